/* sweep.h - reads back what a write by query left, and journals it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_SWEEP_H
#define TANDEM_PROXY_SWEEP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/check.h"
#include "base/loop.h"
#include "base/status.h"

struct core;
struct journal_txn;
struct row;
struct sweeps;
struct sweep_notes;

/* What a sweep must know is stored under the number of its intent, as JSON:
 *
 *     api         "delete_by_query", "update_by_query" or "reindex"
 *     target      the path's index segment, or the destination, as the client named it
 *     opaque      X-Opaque-Id that it was forwarded with: its task is known by it
 *     task        the task's id, when the client did not wait for its end
 *     dest        of a reindex: the name it writes to, which may have no index yet
 *     indices     [{index, uuid, after: [per shard the highest number that was used before],
 *                   ids: [[id, routing or null] ...]}]: where it may write, and the documents it
 * may delete all_ids     ids has all that its query found, or there is nothing it may delete
 *     deletes     it may delete documents
 *     ended       an answer came, so it does not run any more
 *     operations, deleted    what the answer says it did
 */

/* Within a commit's write(): stores PLAN under NUMBER, or takes it away. */
MUST_USE enum status sweep_store(struct journal_txn *txn, uint64_t number, const json_t *plan);
MUST_USE enum status sweep_forget(struct journal_txn *txn, uint64_t number);

/* Somebody who waits until a sweep is over. */
struct sweep_wait {
    struct loop_task task; /* first: how it travels back */
    struct loop *loop;
    void (*on_swept)(struct sweep_wait *wait);
    /* answers */
    bool complete; /* all that it left is in the journal; false: Tandem goes on trying */
    bool moved;    /* something was written meanwhile where it may have written */
    uint64_t last_seq;
};

/* ---- sweep_notes.c: what others write while a write by query that may delete is under way ----
 *
 * Its query found what was there before; what is written since, it may find and delete as well. */

/* From now on rows are noted. From any thread; ended with sweep_notes_free(). */
struct sweep_notes *sweep_notes_begin(struct core *core);
void sweep_notes_free(struct core *core, struct sweep_notes *notes);
/* ROW, of the index of that name, is about to be journaled. From any thread; cheap when nothing is
 * noted. */
void sweep_note_row(struct core *core, const char *index, const struct row *row);

MUST_USE enum status sweeps_new(struct core *core, struct sweeps **sweeps);
void sweeps_free(struct sweeps *sweeps);
uint64_t sweeps_tick(struct sweeps *sweeps, uint64_t now_us);

/* Begins to sweep what PLAN (taken) says; intent NUMBER is open, and the plan is stored. NOTES
 * (taken; NULL: it deletes nothing) and WAIT may be NULL. From any thread. */
void sweep_take(struct core *core, uint64_t number, json_t *plan, struct sweep_notes *notes,
                struct sweep_wait *wait);
/* Notes in PLAN what ANSWER, of a write by query that has ended, says it did. */
void sweep_take_counts(json_t *plan, const json_t *answer);
/* True when intent NUMBER stands for a write by query that was under way when the proxy started. */
bool sweeps_have(const struct sweeps *sweeps, uint64_t number);
size_t sweeps_open(const struct sweeps *sweeps);
/* Those under way; the caller's. Control thread. */
json_t *sweeps_report(const struct sweeps *sweeps);

#endif
