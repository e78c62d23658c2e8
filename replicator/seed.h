/* seed.h - the first copy of an index: what was on the primary before Tandem saw it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_SEED_H
#define TANDEM_REPLICATOR_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "replicator/standby.h"

/* Goes on with what is under way, and begins what is due. */
void seed_tick(struct standby *sb, uint64_t now_us);
/* ITEM, a row of a page, is dealt with; AGAIN: it could not be taken now. */
void seed_on_item(struct item *item, bool again);
/* The standby took ITEM, a row of a page: it did not have it. */
void seed_on_written(struct item *item);
/* True while remembered deletes of LIFE must be kept. */
bool seed_holds_deletes(const struct life *life);
/* Asks for the indices that match PATTERN (NULL: all) and are not filled; AGAIN: also for those
 * that are. Returns how many; -1: that could not be stored. */
int seed_ask(struct standby *sb, const char *pattern, bool again);
/* True when all that LIFE held was copied. */
bool seed_is_done(const struct life *life);
/* LIFE's content on the standby has gone: a seed begins anew. */
void seed_start_over(struct standby *sb, struct life *life);
/* True when something was copied since the document in .tandem was written. */
bool seed_wants_document(const struct standby *sb);
/* The document number sb->doc_writes is on its way; it has arrived. */
void seed_on_document(struct standby *sb);
void seed_on_document_stored(struct standby *sb);
/* The standby is taken over; its document is the one numbered WRITES, the last that we know of is
 * KNOWN_WRITES: what was copied since may be gone. */
void seed_on_takeover(struct standby *sb, uint64_t writes, uint64_t known_writes);
/* LIFE has ended, or is about to be freed. */
void seed_forget(struct standby *sb, struct life *life);
/* Nothing of it is left; before the lives are freed. */
void seed_free(struct standby *sb);
/* What is stored of it with the life; the caller's. NULL: nothing. */
json_t *seed_document(const struct life *life);
void seed_load(struct standby *sb, struct life *life, const json_t *json);
/* What the seed of LIFE waits for, a sentence; NULL: nothing. */
const char *seed_waits_for(const struct standby *sb, const struct life *life);
/* False out of hours (seed.hours). */
bool seed_may_read(const struct standby *sb);
/* So much was read from the primary: counts against its limits. */
void seed_note_read(struct standby *sb, uint64_t documents, uint64_t bytes);
/* For the status: how far it is, and what it waits for; the caller's. NULL: LIFE needs none. */
json_t *seed_report(struct standby *sb, const struct life *life);

#endif
