/* verify.h - compares a standby with the primary, document by document, and makes it equal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_VERIFY_H
#define TANDEM_REPLICATOR_VERIFY_H

#include <jansson.h>

#include "replicator/standby.h"

/* Begins with the indices that match PATTERN (NULL: all). APPLY: what differs is made equal, unless
 * the primary looks as if it had lost data; FORCE: also then. SAMPLE: so many percent of each index
 * are looked at, never with APPLY; 0: all. How many indices; 0: none matches, -1: one is under way
 * already, -2: it could not be stored. */
int verify_begin(struct standby *sb, const char *pattern, bool apply, bool force, double sample);
bool verify_is_running(const struct standby *sb);
/* True when the audit may begin one: none is under way, and whoever asked for the last one has had
 * the time to read what was found. */
bool verify_is_free(const struct standby *sb, uint64_t now_us);
void verify_begin_for_audit(struct standby *sb, const char *index, bool repair);
/* Ends what is under way; what was found so far stays in the report. False: nothing is. */
bool verify_cancel(struct standby *sb);
/* True while definitions of the standby are read: none is changed meanwhile. It takes no longer
 * than some seconds. */
bool verify_is_reading(const struct standby *sb);
void verify_tick(struct standby *sb, uint64_t now_us);
/* A row of a repair is dealt with. */
void verify_on_item(struct standby *sb);
/* The first index of the last repair in which nothing was written, since the primary looks as if it
 * had lost data; NULL: none. */
const char *verify_refused(const struct standby *sb);
/* When everything was looked at last, and whether it was equal: {"age_s": number or null, "clean"};
 * the caller's. */
json_t *verify_whole(const struct standby *sb);
/* What was found, and how far it is; the caller's. */
json_t *verify_report(const struct standby *sb);
/* Goes on where the last process was. */
void verify_load(struct standby *sb);
void verify_free(struct standby *sb);

#endif
