/* documents.h - writes of one document go to the primary one after the other, where that matters.
 *
 * Rows of an index with its clients' own versions have no numbers that order them, so the journal's
 * order must be the primary's: the next write of a document is forwarded when the row of the one
 * before is durable. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_DOCUMENTS_H
#define TANDEM_PROXY_DOCUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/loop.h"

struct core;
struct documents;
struct documents_turn;

struct documents_use {
    struct loop_task task; /* first: how on_turn travels back */
    /* set by the user */
    struct loop *loop;
    void (*on_turn)(struct documents_use *use); /* in loop's thread, when documents_enter() said
                                                   false */
    /* private */
    struct documents_turn *turns;
    size_t count, behind; /* behind: turns that are not the first of their document */
};

struct documents *documents_new(struct core *core);
void documents_free(struct documents *documents);
uint64_t documents_key(struct span index, struct span id);
/* Takes a turn at each of the COUNT documents (documents_key()) at once, so that nobody waits for
 * another in a circle; KEYS is sorted, and one that stands in it twice counts once. True: go on.
 * False: wait for on_turn(). */
bool documents_enter(struct documents *documents, struct documents_use *use, uint64_t *keys,
                     size_t count);
/* Gives all turns back; only when it was USE's turn. */
void documents_leave(struct documents *documents, struct documents_use *use);

#endif
