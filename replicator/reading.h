/* reading.h - what seeds, verifications and audits ask of an index, and how the answers are read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_READING_H
#define TANDEM_REPLICATOR_READING_H

#include <jansson.h>

#include "replicator/standby.h"

/* Why STATE, a cluster state, is not the primary's; NULL: it is. */
const char *reading_not_the_primary(struct standby *sb, const json_t *state);
/* Why STATE, the primary's cluster state of LIFE's name, is not of LIFE; NULL: it is. */
const char *reading_not_this_life(struct standby *sb, const struct life *life, const json_t *state);
/* Appends ROW, which was read from the primary, as a record of the present timeline. Its seq is
 * above all of the journal's. */
void reading_append_row(struct standby *sb, const struct row *row, struct buffer *out);
/* V of an operation of the primary, on the present timeline. */
int64_t reading_version(struct standby *sb, uint64_t term, int64_t seq_no);
/* The version that a standby should have of a document of INCARNATION, which the primary has with
 * these numbers and this `_version`. */
int64_t reading_document_version(struct standby *sb, uint32_t incarnation, uint64_t term,
                                 int64_t seq_no, int64_t version);

#endif
