/* by_query.h - a write by query on its way: what must be known before it is forwarded, and what its
 * answer says.
 *
 * Private to the exchange. What it left is read back by sweep.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_BY_QUERY_H
#define TANDEM_PROXY_BY_QUERY_H

#include "proxy/sweep.h"
#include "proxy/write.h"

/* Reads the request, and prepares ex->request. False: ex->reply is the refusal. Needs ex->catalog.
 */
bool by_query_prepare(struct exchange *ex);
/* True: ex->capture_request is the next call of Tandem's own that must come before. False: all is
 * known. */
bool by_query_ask(struct exchange *ex);
/* Takes the answer to that call, ex->capture_answer. False: ex->reply is the refusal. */
bool by_query_take(struct exchange *ex);
/* Within a commit's write(): stores what must be swept, under the number of the open intent. */
MUST_USE enum status by_query_store(struct exchange *ex, struct journal_txn *txn, uint64_t number);
/* Reads ex->answer. True: it names a task, which is stored with by_query_store(). */
bool by_query_take_answer(struct exchange *ex);
/* Hands it over to be swept; ON_SWEPT, unless it is NULL, is called in ex's loop when that is over.
 */
void by_query_sweep(struct exchange *ex, void (*on_swept)(struct sweep_wait *wait));
/* The exchange that waits. */
struct exchange *by_query_exchange(struct sweep_wait *wait);
void by_query_free(struct by_query *query);

#endif
