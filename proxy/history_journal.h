/* history_journal.h - the proxy's history, in its journal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_HISTORY_JOURNAL_H
#define TANDEM_PROXY_HISTORY_JOURNAL_H

#include "admin/admin.h"

struct core;
struct history_journal;

/* Reads where the chain ends. From the control thread, as all of it; CORE must outlive it. */
struct history_journal *history_journal_new(struct core *core);
/* What is not durable yet is lost: end it behind the sequencer. */
void history_journal_free(struct history_journal *hj);

/* Adds an entry: WHAT, a word, and DETAILS, a sentence. REQUEST: who asked for it (may be NULL),
 * and, with REPLY, is answered 200 with that (taken) when the entry is durable, 500 when it can't
 * be; without it is left alone. */
void history_journal_add(struct history_journal *hj, const char *what, const char *details,
                         struct admin_request *request, json_t *reply);
/* Answers REQUEST with the entries from `from` on. */
void history_journal_answer(struct admin_request *request, void *hj);

#endif
