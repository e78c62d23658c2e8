/* doubt_impl.h - what the parts of doubt share: the batch under way, its probes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_DOUBT_IMPL_H
#define TANDEM_PROXY_DOUBT_IMPL_H

#include "proxy/doubt.h"
#include "proxy/follower.h"
#include "proxy/shard_facts.h"
#include "proxy/write.h"

enum step {
    STEP_IDLE,
    STEP_STATE,
    STEP_NAMES,
    STEP_TERMS,
    STEP_STATS,
    STEP_READ,
    STEP_TERMS_AGAIN,
    STEP_COMMIT
};

/* An intent without an outcome. */
struct doubt_case {
    uint64_t number;
    struct buffer bytes; /* what intent's spans point into */
    struct intent intent;
    uint64_t due_us;
    bool from_start; /* it was open when the proxy started */
    bool looked_at;
    bool unprobable; /* in the present batch, or when it was last tried */
    struct doubt_case *next;
};

/* One id at one life, within the present batch. */
struct probe {
    const struct intent_item *item;
    struct doubt_case *from_case; /* one of the two */
    struct watch *from_watch;
    const struct catalog_index *target; /* NULL: the name has no life */
    uint32_t shard;
    bool routed; /* by what it is asked for: the item's own, or one that leads to the shard */
    struct span asked_routing;
    bool read_source;
    bool unreadable; /* alone it got no answer that can be read */
    bool answered;   /* what follows is known */
    bool found;
    uint64_t term;
    int64_t seq_no, version;
    struct span source, routing; /* into the answer */
    bool row;                    /* it is news */
};

struct doubt {
    struct core *core;
    enum step step; /* moved by doubt_set_step() only */
    struct doubt_case *cases;
    struct watch *watches;
    size_t case_count, watch_count, from_start;
    uint64_t next_us;

    /* the present batch */
    struct probe *probes;
    size_t probe_count;
    struct doubt_case *batch_cases; /* taken out of `cases` */
    struct watch *batch_watches;    /* taken out of `watches` */
    struct watch *new_watches;      /* for the items of the cases */
    const struct catalog *catalog;
    struct state_wait wait;
    struct es_call call;
    struct shard_facts facts;
    struct arena arena;
    unsigned stats_tries;
    bool any_read;
    size_t read_from, read_to; /* probes of the present _mget */
    size_t read_at_once;       /* at most so many in one; fewer when an answer can't be read */
    uint64_t stats_at_us;      /* when to ask again; 0: not waiting */
    struct commit commit;
    struct documents_use documents; /* no write of what is read is under way, where that matters */
    bool in_turn;
};

void doubt_set_step(struct doubt *d, enum step next);
/* All that could be read was read: decides what becomes durable. */
void doubt_finish_batch(struct doubt *d);
/* The answer to what doubt_asks.c asked; its step is d->step. */
void doubt_on_answer(struct es_call *call);
bool doubt_probe_is_readable(struct doubt *d, const struct probe *p);
/* How many probes one _mget asks for at first. */
#define DOUBT_READ_AT_ONCE 200

/* ---- doubt_asks.c: each sends one call, or finishes the batch when there is nothing to ask ----
 */
void doubt_ask_terms(struct doubt *d, enum step step);
void doubt_ask_stats(struct doubt *d);
/* The first _mget. */
void doubt_begin_reading(struct doubt *d);
/* The next _mget; what was read is looked at again for its terms when all have been. */
void doubt_ask_read(struct doubt *d);
/* What the next name that is date mathematics means now; false when there is none. */
bool doubt_ask_next_name(struct doubt *d);

#endif
