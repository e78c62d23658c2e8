/* sequencer.h - the journal thread: numbers records, and makes those that wait durable together.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_SEQUENCER_H
#define TANDEM_PROXY_SEQUENCER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "journal/journal.h"

struct core;
struct sequencer;

/* One unit that becomes durable as a whole, or not at all. Owned by whoever submits it, until
 * done() is called. */
struct commit {
    struct loop_task task; /* first: how done() travels back */
    /* Appends and puts what is to be durable; called in the journal's thread, again after a full
     * journal has room. May use commit_open_intent and commit_close_intent. */
    enum status (*write)(struct commit *commit, struct journal_txn *txn);
    /* Called in LOOP's thread. status: OK, or JOURNAL_FULL: nothing of it is there. */
    void (*done)(struct commit *commit);
    struct loop *loop; /* whose thread done() runs in */
    enum status status;
    bool admits; /* it opens an intent: refused with JOURNAL_FULL while room is kept for what is
                    under way */
    /* results */
    uint64_t opened;   /* number of the intent it opened; 0 when none */
    uint64_t closed;   /* number of the intent it closed last; 0 when none */
    uint64_t last_seq; /* highest seq it was given; 0 when none */
    struct commit *next;
    struct sequencer *sequencer;
};

MUST_USE enum status sequencer_new(struct core *core, struct sequencer **sequencer);
void sequencer_free(struct sequencer *sequencer);

/* Starts and ends the thread; without it (the simulation) sequencer_turn is called instead. Ends
 * after all that was submitted is durable. */
void sequencer_start(struct sequencer *sequencer);
void sequencer_stop(struct sequencer *sequencer);
/* One transaction with all that waits. True when there was something to do. */
bool sequencer_turn(struct sequencer *sequencer);
/* True when a turn would do something. */
bool sequencer_pending(struct sequencer *sequencer);

/* From any thread. */
void sequencer_submit(struct sequencer *sequencer, struct commit *commit);
/* Asks for a mark that stands behind everything open now; returns its number. */
uint64_t sequencer_ask_mark(struct sequencer *sequencer);
/* Records below KEEP_FROM may go. */
void sequencer_trim(struct sequencer *sequencer, uint64_t keep_from);
/* Rows up to SEQ are confirmed to have hit the life they name; stored with the next commit. */
void sequencer_confirm(struct sequencer *sequencer, uint64_t seq);
/* The version of the primary's cluster state that was read last; stored with the next commit. */
void sequencer_saw_state(struct sequencer *sequencer, uint64_t version, uint64_t base);
/* BASE: what is added to the primary's own version. */
uint64_t sequencer_version_base(struct sequencer *sequencer);
uint64_t sequencer_state_version(struct sequencer *sequencer);
uint64_t sequencer_confirmed(struct sequencer *sequencer);
uint64_t sequencer_last_seq(struct sequencer *sequencer); /* durable */
uint64_t sequencer_open_intents(struct sequencer *sequencer);
/* The highest primary term seen; written into marks and metadata. */
void sequencer_saw_term(struct sequencer *sequencer, uint64_t term);
uint64_t sequencer_high_term(struct sequencer *sequencer);
/* Looks whether there is room again, when there was none: nothing else does while nothing is
 * written. */
void sequencer_look(struct sequencer *sequencer);
/* True while the journal has no room for new writes. */
bool sequencer_is_full(struct sequencer *sequencer);

/* Within write(): gives the intent its number and stores it. */
MUST_USE enum status commit_open_intent(struct commit *commit, struct journal_txn *txn,
                                        struct intent *intent);
/* Within write(): removes intent NUMBER, which is open. */
MUST_USE enum status commit_close_intent(struct commit *commit, struct journal_txn *txn,
                                         uint64_t number);
/* Within write(): appends RECORD with the present timeline and notes its seq. */
MUST_USE enum status commit_append(struct commit *commit, struct journal_txn *txn,
                                   struct record *record);

#endif
