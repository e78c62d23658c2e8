/* history_store.h - a replicator's history, in its own tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_HISTORY_STORE_H
#define TANDEM_REPLICATOR_HISTORY_STORE_H

#include "admin/admin.h"
#include "journal/history.h"
#include "journal/store.h"

struct history_store {
    struct store *store; /* borrowed */
    struct history end;
};

/* Reads where the chain ends. */
void history_store_open(struct history_store *hs, struct store *store);
/* Adds an entry, durably: WHAT, a word, and DETAILS, a sentence. REQUEST: who asked for it; may be
 * NULL. Never within another transaction of the store. */
void history_store_add(struct history_store *hs, uint64_t time_us, const char *what,
                       const struct admin_request *request, const char *details);
/* Answers REQUEST with the entries from `from` on. */
void history_store_answer(struct admin_request *request, const struct history_store *hs);

#endif
