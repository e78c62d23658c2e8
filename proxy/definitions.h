/* definitions.h - the primary's cluster state as lives and objects: compared, numbered, journaled.
 *
 * Private to the follower: follower.c asks the primary and decides when, definitions.c reads the
 * answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_DEFINITIONS_H
#define TANDEM_PROXY_DEFINITIONS_H

#include <jansson.h>
#include <uthash.h>

#include "es/object_kinds.h"
#include "journal/journal.h"
#include "proxy/catalog.h"
#include "proxy/core.h"

/* One life, as last journaled. */
struct life {
    char *key; /* uuid, or uuid/history uuid */
    char *name;
    uint32_t incarnation;
    bool gone;
    bool client_versions; /* as it was when the life was first seen */
    bool no_numbers;      /* the same: by an engine before 6.0, although it may be newer by now */
    char *definition;
    struct life_flags *flags; /* owned */
    UT_hash_handle hh;
};

/* One object that is no index, as last journaled. */
struct object {
    char *key; /* type/name */
    char *text;
    bool seen; /* in the present read */
    UT_hash_handle hh;
};

/* A metadata record to be. */
struct change {
    char *type, *name, *body; /* body NULL: it is gone */
    uint32_t incarnation;
    struct change *next;
};

/* What an index of the primary looks like in the counters of the cluster state. */
struct seen_index {
    char *name, *uuid, *key;
    int64_t version, mapping_version, settings_version, aliases_version;
    uint32_t shards, routing_shards;
    char *stream;      /* owned; the data stream that it belongs to, or NULL */
    bool stream_write; /* the one that the stream's new documents go to */
    bool closed;
    bool fetch;  /* its definition must be read */
    bool unread; /* it was asked for, and no answer has it yet */
    bool birth;  /* its birth must be looked at */
    enum birth birth_found;
    json_t *detail; /* the answer of GET /{index}, owned */
};

struct definitions {
    struct core *core;
    struct life *lives;
    struct object *objects;
    uint32_t next_incarnation;
    char *cluster_uuid;

    /* the present read */
    int64_t version;
    json_t *state;   /* owned */
    bool incomplete; /* some definition could not be read this time: read again soon */
    struct seen_index *seen;
    size_t seen_count;
    int64_t
        version_base; /* added to the primary's version: before 7.0 that begins anew at a restart */
    bool damaged;     /* the table in the journal could not be read whole */
    struct change *changes, **changes_tail;
    struct dead {
        uint32_t incarnation;
        uint64_t at_us;
    } * dead; /* lives that ended lately */
    size_t dead_count;
    char disbelieved[512]; /* indices that vanished in a way that is not believed */
    uint64_t section_hash[OBJECT_KINDS];
};

void definitions_init(struct definitions *defs, struct core *core);
void definitions_fini(struct definitions *defs);
/* Loads what the journal knows. */
MUST_USE enum status definitions_load(struct definitions *defs);

/* Takes the answer of the state call in. False: it is not understood. CATALOG: the present one, or
 * NULL. */
bool definitions_take_state(struct definitions *defs, struct span body,
                            const struct catalog *catalog);
/* The next names whose definition, or birth, is still missing: comma-separated and percent-encoded;
 * false when none is. */
bool definitions_next_fetch(struct definitions *defs, struct buffer *names);
bool definitions_next_birth(struct definitions *defs, struct buffer *names);
/* ---- streams.c ---- */
/* Which indices belong to data streams: name -> {stream, write}; the caller's. */
json_t *streams_members(const json_t *metadata);
/* Notes in SEEN what it is to a stream. */
void streams_see(const json_t *members, struct seen_index *seen);
/* True when SEEN is another thing to a stream than OLD was. */
bool streams_moved(const struct seen_index *seen, const struct catalog_index *old);
/* ALIASES, and the one that stands for the stream; the caller's. */
json_t *streams_aliases(const struct seen_index *seen, const json_t *aliases);
/* ---- life_notes.c ---- */
void lives_load_names(struct definitions *defs);
MUST_USE enum status lives_load_routed(struct definitions *defs);
/* Within a commit's write(): CHANGE is the end of a life, whose name is kept. */
MUST_USE enum status lives_write_name(struct definitions *defs, const struct change *change,
                                      struct journal_txn *txn);
/* Within a commit's write(): INDEX has documents with a routing. Known over a restart. */
MUST_USE enum status definitions_store_routed(const struct catalog_index *index,
                                              struct journal_txn *txn);
/* Takes the answer of GET /{names} in. */
bool definitions_take_indices(struct definitions *defs, struct span body);
/* Takes the answer of _stats (BY_STATS) or _recovery in. */
void definitions_take_births(struct definitions *defs, struct span body, bool by_stats);
/* True when objects of KIND changed (or were never read). */
/* True when the cluster state shows some of this kind. */
bool definitions_objects_exist(const struct definitions *defs, size_t kind);
bool definitions_objects_moved(struct definitions *defs, size_t kind);
/* Takes the answer of the kind's endpoint in (body empty: none of that kind, or from the section
 * itself). */
bool definitions_take_objects(struct definitions *defs, size_t kind, struct span body);
/* Ends the read: numbers new lives, decides which ended, and builds the catalog (the caller's). */
struct catalog *definitions_finish(struct definitions *defs, const struct catalog *old,
                                   uint64_t read_begun_us);
/* Writes the changes as metadata records; within a commit's write(). */
MUST_USE enum status definitions_write(struct definitions *defs, struct commit *commit,
                                       struct journal_txn *txn);
/* The changes are durable: forget them. */
void definitions_written(struct definitions *defs);

#endif
