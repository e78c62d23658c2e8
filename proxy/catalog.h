/* catalog.h - the primary's indices and aliases as last read: immutable, shared by all threads.
 *
 * The follower builds a new catalog whenever the primary's state moved and publishes it; readers
 * take a reference and let it go. A life is one incarnation of one index: its key is the uuid, and
 * after a restore over it "uuid/history uuid".
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_CATALOG_H
#define TANDEM_PROXY_CATALOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

enum birth {
    BIRTH_UNKNOWN, /* not looked at yet */
    BIRTH_EMPTY,   /* everything in it came as rows */
    BIRTH_FILLING, /* it had or got content that no row explains: it must be seeded */
};

/* What is learned of a life by writing to it; shared by all that is read of it, and lives as long
 * as the follower. */
struct life_flags {
    _Atomic bool routed; /* documents with a routing were written to it */
    _Atomic bool stored; /* and the journal says so */
};

/* One index of the primary; immutable but for the reference count and its flags. */
struct catalog_index {
    _Atomic int references;
    char *name;
    char *uuid;
    char *key; /* of its life */
    uint32_t incarnation;
    uint32_t shards, routing_shards, partition;
    uint64_t changed_us; /* now_us when its life or its aliases last changed, as far as seen */
    int64_t version, mapping_version, settings_version,
        aliases_version; /* the primary's counters */
    char *
        stream; /* the data stream that it belongs to, or NULL; then it has an alias of that name */
    bool stream_write; /* new documents of the stream go to it */
    bool closed;
    bool has_pipeline;    /* a default or final pipeline */
    bool no_id_injection; /* time series, append-only, or a pipeline that sets _id */
    bool body_differs;    /* the stored source is not what was sent (semantic_text ...): capture */
    bool source_hidden;   /* _source is disabled or filtered: only the request's body tells */
    bool unsynced; /* translog.durability is async: acknowledged operations can be lost by the
                      primary */
    bool client_versions; /* its clients set the versions, and a standby has them too */
    char *type; /* before 6.0: the type of its documents; several types, with commas between them,
                   can't be replicated; NULL: it has none yet */
    enum birth birth;
    struct life_flags *flags; /* borrowed */
    char *definition; /* JSON journaled for it last; NULL for indices that are not replicated */
};

struct catalog_alias {
    char *name;
    size_t count;
    struct catalog_alias_member {
        char *index;
        char *index_routing; /* NULL when none */
        bool is_write;
    } * members;
};

struct catalog {
    _Atomic int references;
    int64_t version;        /* of the cluster state it shows */
    uint64_t read_begun_us; /* when the read that showed it began */
    size_t index_count, alias_count;
    struct catalog_index **indices; /* sorted by name */
    struct catalog_alias *aliases;  /* sorted by name */
    bool pipelines_route;           /* some pipeline or script may set `_routing` */
    bool pipelines_move;            /* some pipeline or script may set `_id` or `_index` */
};

struct catalog_box {
    pthread_mutex_t lock;
    struct catalog *newest;
};

void catalog_box_init(struct catalog_box *box);
void catalog_box_fini(struct catalog_box *box);
/* A reference to the newest catalog, NULL before the first; end it with catalog_put(). */
const struct catalog *catalog_get(struct catalog_box *box);
void catalog_put(const struct catalog *catalog);
/* Publishes CATALOG (takes its reference). */
void catalog_publish(struct catalog_box *box, struct catalog *catalog);

struct catalog *catalog_new(void);
struct catalog_index *catalog_index_ref(struct catalog_index *index);
void catalog_index_unref(struct catalog_index *index);
/* Sorts what was filled in; before publishing. */
void catalog_sort(struct catalog *catalog);

const struct catalog_index *catalog_find_index(const struct catalog *catalog, struct span name);
const struct catalog_alias *catalog_find_alias(const struct catalog *catalog, struct span name);
/* The concrete index a write to NAME (index or alias) goes to; NULL when that can't be told. */
const struct catalog_index *catalog_write_target(const struct catalog *catalog, struct span name,
                                                 const char **alias_routing);
const struct catalog_index *catalog_find_incarnation(const struct catalog *catalog,
                                                     uint32_t incarnation);

#endif
