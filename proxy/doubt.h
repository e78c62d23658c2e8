/* doubt.h - what became of a write without an answer: probes, negative rows, the watch list.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_DOUBT_H
#define TANDEM_PROXY_DOUBT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "journal/journal.h"

struct core;
struct doubt;

/* One id that is looked at again later: a lost request may still execute, or a 409 may hide a write
 * that was applied. */
struct watch {
    struct loop_task task; /* first */
    struct core *core;
    uint64_t number;         /* key in JOURNAL_WATCH */
    struct intent_item item; /* strings owned */
    bool known;              /* what follows was read, of this life: */
    uint32_t life;
    bool found;
    uint64_t term;
    int64_t seq_no;
    unsigned tries;         /* probes done: at 1 s, 10 s, 60 s */
    unsigned tries_durable; /* of them, those whose commit has returned */
    uint64_t due_us;        /* now_us of the next probe */
    uint64_t since_us;      /* now_us when it was made or loaded */
    bool unread;            /* in the present batch: something of it could not be read */
    bool again;             /* in the present batch: there is news, to be read whole at once */
    struct watch *next;
};

MUST_USE enum status doubt_new(struct core *core, struct doubt **doubt);
void doubt_free(struct doubt *doubt);
uint64_t doubt_tick(struct doubt *doubt, uint64_t now_us);

/* Intent NUMBER (durable) got no answer: find out. From any thread. */
void doubt_take_intent(struct core *core, uint64_t number);
/* True when every intent that was open at the start has been looked at. */
bool doubt_recovered(const struct doubt *doubt);
size_t doubt_open(const struct doubt *doubt); /* intents being looked at */
size_t
doubt_unprobable(const struct doubt *doubt); /* of them, those whose shard can't be read now */
size_t doubt_watched(const struct doubt *doubt);

/* A watch for ITEM (copied); not in the journal yet. DELAY_US until the first probe. */
struct watch *watch_new(struct core *core, const struct intent_item *item, uint64_t delay_us);
void watch_free(struct watch *watch);
/* Within a commit's write(): stores it. */
MUST_USE enum status watch_store(const struct watch *watch, struct journal_txn *txn);
/* Within a commit's write(): its probes are done. */
MUST_USE enum status watch_remove(const struct watch *watch, struct journal_txn *txn);
/* A watch as it was stored; NULL when the bytes are not one. */
struct watch *watch_decode(struct core *core, struct span key, struct span value);
/* How long before the probe that comes after TRIES others. */
uint64_t watch_delay(unsigned tries);
bool watch_is_over(const struct watch *watch);
/* No further probes. */
void watch_end(struct watch *watch);
/* One probe, and no more: what it looks for was executed already, if it was. */
void watch_once(struct watch *watch);
/* Frees WATCH, and takes it out of the journal. */
void watch_give_up(struct watch *watch);
/* Hands a durable watch over; from any thread. */
void doubt_take_watch(struct core *core, struct watch *watch);

#endif
