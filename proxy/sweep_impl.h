/* sweep_impl.h - what the parts of a sweep share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_SWEEP_IMPL_H
#define TANDEM_PROXY_SWEEP_IMPL_H

#include "proxy/core.h"
#include "proxy/follower.h"
#include "proxy/names.h"
#include "proxy/shard_facts.h"
#include "proxy/sweep.h"

#define SWEEP_ANSWER_MAX (64u << 20)

enum sweep_step {
    SWEEP_WAITING, /* for its time */
    SWEEP_TASK,
    SWEEP_STATE,
    SWEEP_BARRIER,
    SWEEP_TERMS,
    SWEEP_STATS,
    SWEEP_REFRESH,
    SWEEP_READ,
    SWEEP_CONFIRM,
    SWEEP_COMMIT,
    SWEEP_CLOSE
};

/* A document that may be deleted. */
struct sweep_id {
    struct span id, routing; /* in the sweep's arena */
    bool routed;
    bool gone; /* in the present batch: it was not found */
};

/* One index that may have been written to. */
struct sweep_target {
    char *name, *uuid;                 /* owned */
    const struct catalog_index *index; /* in the sweep's catalog; NULL: nothing of it is swept */
    size_t shard_count;
    int64_t *after;       /* owned; per shard the number that is done */
    int64_t *begun;       /* owned; where it began */
    int64_t *up_to;       /* owned; where it ends */
    bool swept;           /* up_to is known, and all of it was read */
    struct sweep_id *ids; /* owned */
    size_t id_count, id_capacity, id_at;
};

struct sweep {
    struct core *core;
    uint64_t number;                          /* of its intent */
    struct sweep_wait *wait;                  /* borrowed; NULL: nobody waits, or is told already */
    char *api, *named, *opaque, *task, *dest; /* owned; task, dest may be NULL */
    bool ended, all_ids, counted;
    uint64_t operations, deleted; /* when counted */

    enum sweep_step step; /* moved by sweep_set_step() only */
    uint64_t due_us, backoff_us, since_us;
    unsigned quiet;               /* looks at the list of tasks that did not show it */
    struct sweep_target *targets; /* owned */
    size_t target_count, at;
    const struct catalog *catalog; /* a reference, or NULL */
    struct state_wait state;
    struct sweep_notes *notes; /* owned; NULL: none, or in the targets' ids already */
    struct names_use use;      /* of the barrier */
    struct span *use_names;    /* owned */
    struct shard_facts facts;  /* of the present target */
    unsigned stats_tries;
    struct es_call call, confirm;
    struct commit commit;
    bool reads_ids; /* what `call` reads: ids, or a page of a shard */
    size_t shard;
    int64_t page_to, page_step;
    size_t ids_to; /* of the present batch */
    uint64_t gone;
    bool incomplete; /* something could not be read: the audit finds it */
    bool moved;
    uint64_t last_seq;
    struct arena arena;
    struct sweep *next;
};

/* ---- sweep_plan.c ---- */
struct sweep *sweep_new(struct core *core, uint64_t number, const json_t *plan);
void sweep_free(struct sweep *sweep);
/* What the answer said it did, from a plan. */
void sweep_load_counts(struct sweep *sweep, const json_t *plan);
/* TARGET has COUNT shards; of new ones nothing is done. */
void sweep_set_shards(struct sweep_target *target, size_t count);
struct sweep_target *sweep_add_target(struct sweep *sweep, const char *name, const char *uuid);
/* Adds a document that may be deleted; copies. */
void sweep_add_id(struct sweep *sweep, struct sweep_target *target, struct span id, bool routed,
                  struct span routing);
/* ---- sweep.c, for the others ---- */
/* Sets CALL to one of the present index: BEFORE, its name, AFTER. */
void sweep_set_call(struct sweep *sweep, struct es_call *call, const char *method,
                    const char *before, const char *after);
/* ---- sweep_notes.c ---- */
/* Adds what was noted of the sweep's targets to their ids, and ends the notes. False: there was too
 * much of it. */
bool sweep_take_notes(struct sweep *sweep);

/* ---- sweep_rows.c ---- */
/* Sets sweep->call to the next page of numbers of the present target, or to the next ids of it;
 * false: there is none. */
bool sweep_next_read(struct sweep *sweep);
/* Looks at the answer. False: it must be read in smaller pieces, or again; sweep_next_read() is
 * ready for that. *BAD: it is none. */
bool sweep_take_read(struct sweep *sweep, bool *bad);
/* Within a commit's write(): the rows of what was read. */
MUST_USE enum status sweep_write_rows(struct sweep *sweep, struct commit *commit,
                                      struct journal_txn *txn);
/* They are durable. */
void sweep_rows_written(struct sweep *sweep);

#endif
