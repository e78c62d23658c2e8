/* replicators.h - the replicators on this host: who is here, how far, and what is kept for them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_REPLICATORS_H
#define TANDEM_PROXY_REPLICATORS_H

#include <jansson.h>

#include "base/check.h"
#include "base/status.h"

struct core;
struct replicators;

/* Listens on the socket in the journal's folder; WHY on failure. */
MUST_USE enum status replicators_new(struct core *core, struct replicators **replicators, char *why,
                                     size_t why_size);
void replicators_free(struct replicators *replicators);
/* Records became durable; from any thread. */
void replicators_on_records(struct replicators *replicators);
/* Retention; to be called about once a second. */
void replicators_tick(struct replicators *replicators);
/* The `standbys` list of the status; appends to PROBLEMS. */
json_t *replicators_status(struct replicators *replicators, json_t *problems);

#endif
