/* audit.h - the proof that nothing was missed: per shard, every sequence number of the primary is
 * accounted for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_AUDIT_H
#define TANDEM_REPLICATOR_AUDIT_H

#include <jansson.h>

#include "replicator/standby.h"

struct seed;

/* The record SEQ of the journal is ROW. */
void audit_on_row(struct standby *sb, uint64_t seq, const struct row *row);
/* A record of the journal says that the primary used this number. */
void audit_note(struct standby *sb, uint32_t incarnation, uint32_t shard, int64_t seq_no);
/* A write by query is over. What it did to documents is in rows, but which number each operation
 * used nobody knows: they are counted in the next round that sees all of them. */
void audit_on_swept(struct standby *sb, const struct swept *swept);
/* So many documents of LIFE may be on the standby alone without a sign that the primary lost some.
 */
uint64_t audit_excused(const struct life *life);
/* LIFE was compared and made equal. */
void audit_on_equal(struct life *life);
/* Everything up to SEQ_NO was copied: the audit of the shard begins there, or where the journal
 * does, when that is earlier. */
void audit_set_base(struct life *life, size_t shard, int64_t seq_no);
/* Something was written to LIFE on the standby that is not in the journal. */
void audit_on_corrected(struct standby *sb, struct life *life);
/* The replay begins at START. */
void audit_on_start(struct standby *sb, uint64_t start);
/* The standby may have something of LIFE that the primary has not: it is compared. */
void audit_suspect(struct life *life);
void audit_tick(struct standby *sb, uint64_t now_us);
/* SCAN, which an audit began, is through. */
void audit_on_scanned(struct seed *scan);
/* Looks at once, instead of at the next interval. */
void audit_now(struct standby *sb);
/* What is stored of it with the life; the caller's. NULL: nothing. */
json_t *audit_document(const struct life *life);
void audit_load(struct life *life, const json_t *json);
/* For the status, in short; the caller's. */
json_t *audit_summary(const struct standby *sb);
/* All indices; the caller's. */
json_t *audit_report(const struct standby *sb);
/* The scan of LIFE's gaps that is under way; NULL: none. */
struct seed *audit_scan_of(const struct life *life);
void audit_forget(struct standby *sb, struct life *life);
/* Before the lives are freed. */
void audit_free(struct standby *sb);

#endif
