/* core.h - what the proxy's machines share, and what they ask of the world.
 *
 * Everything of the protocol hangs here: the sequencer, the catalog of the primary's indices, the
 * follower, doubt and the names in use. The world (time, threads, calls to the primary) comes in
 * through the function pointers, so that the simulation can be the world.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_CORE_H
#define TANDEM_PROXY_CORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "es/es_client.h"
#include "journal/journal.h"
#include "proxy/catalog.h"
#include "proxy/sequencer.h"

struct settings;
struct follower;
struct doubt;
struct sweeps;
struct sweep_notes;
struct documents;
struct names;
struct hold;

enum proxy_state {
    PROXY_STARTING,   /* the primary's state was not read yet */
    PROXY_RECOVERING, /* resolving what was in doubt; writes are answered 503 */
    PROXY_ACTIVE,     /* reads and writes */
    PROXY_DRAINING,   /* ending: what is under way is finished */
};

/* What the primary is. */
struct engine {
    bool known;
    bool opensearch;
    int major, minor;
};

struct core {
    _Atomic(const struct settings *) settings; /* borrowed; replaced at a reload */
    struct journal *journal;
    struct sequencer *sequencer;
    struct follower *follower;
    struct doubt *doubt;
    struct sweeps *sweeps;
    struct names *names;
    struct hold *hold;
    struct documents *documents;
    struct catalog_box catalog;  /* the newest one; catalog_get() */
    struct engine engine;        /* written once by the follower before PROXY_ACTIVE */
    _Atomic int state;           /* enum proxy_state; moved by core_set_state() only */
    _Atomic bool was_active;     /* writes were admitted at some time */
    _Atomic bool bulks_in_parts; /* Elasticsearch 8.16 or later was seen: a refused bulk may be half
                                    applied */
    _Atomic bool hides_vectors;  /* the primary has, or had, an index with settings_hide_vectors():
                                    what is read back is asked for them */
    _Atomic bool identity_wrong; /* the primary is not the cluster we know: no writes */
    char journal_text[33];       /* the journal's id, for X-Tandem-Seq */
    uint64_t timeline;
    char system_id[33];
    uint8_t id_unique[6]; /* of ids that we make */
    bool hello_said;      /* control thread */
    bool hello_failed;    /* there was no room for it; it is tried again */
    bool engine_asked;
    uint64_t engine_next_us;
    struct es_call engine_call, trace_call;
    _Atomic uint32_t id_sequence;

    /* The world. */
    struct loop *control;                   /* the thread of follower and doubt */
    uint64_t (*now_us)(struct core *core);  /* monotonic, microseconds */
    uint64_t (*wall_us)(struct core *core); /* since 1970 */
    void (*post)(struct loop *loop, struct loop_task *task);
    /* loop_defer(), or NULL: what could wait for the end of the turn is done at once. */
    void (*defer)(struct loop *loop, struct loop_task *task);
    /* A call of Tandem's own to the primary; from the control thread. Never calls back before it
     * returns. */
    void (*call)(struct core *core, struct es_call *call);
    void (*fatal)(struct core *core, enum status status,
                  const char *why); /* the process must end */
    void *world;
    void (*on_records)(struct core *core); /* journal thread: records became durable; may be NULL */

    /* Counters shown in status and metrics. */
    _Atomic uint64_t writes_applied, writes_not_applied, writes_unknown, rows, intents, captures,
        conditional_conflicts, external_version_writes, held, probes, late_rows, copies_failed;
    _Atomic uint64_t
        body_bytes; /* memory of writes in flight: bodies, what is made of them, answers */
    _Atomic uint64_t copy_failed_us;    /* now_us of the last of copies_failed; 0: none */
    _Atomic uint64_t routed_unknown_us; /* now_us of the last routed write to a name without a known
                                           life; 0: none */
    pthread_mutex_t notes_lock;
    struct sweep_notes *notes;   /* by whom rows are noted; see sweep_notes.c */
    _Atomic unsigned noting;     /* how many they are */
    _Atomic uint64_t next_watch; /* number of the next watch; above all that the journal has */
};

/* Prepares CORE around an open journal: loads what is known, and makes the machines. settings,
 * journal and the world must be set. */
MUST_USE enum status core_init(struct core *core, char *why, size_t why_size);
void core_fini(struct core *core);
/* To be called from the control thread every few milliseconds; returns when to call next at the
 * latest (now_us). */
uint64_t core_tick(struct core *core);
void core_set_state(struct core *core, enum proxy_state next);
const char *proxy_state_name(enum proxy_state state);
/* NULL when writes are admitted, else why not (a sentence for the client). */
const char *core_refuses_writes(struct core *core);
/* True when INDEX (decoded name) is excluded from replication by the settings. */
bool core_excludes(const struct core *core, struct span index);
/* False: the primary is of before 6.0, and has no sequence numbers; see docs/old-engines.md. */
bool core_has_numbers(const struct core *core);
/* True when INDEX (decoded name), new today, would be replicated with its clients' own versions, or
 * with the primary's where there are no numbers. */
bool core_keeps_client_versions(const struct core *core, struct span index);
/* True when the setting unreplicated.allow has WORD. */
bool core_allows(const struct core *core, const char *word);

#endif
