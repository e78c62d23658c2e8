/* index_state.h - what the cluster state says of the life of an index, and the statistics of its
 * numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_INDEX_STATE_H
#define TANDEM_ES_INDEX_STATE_H

#include <jansson.h>
#include <stdbool.h>

#include "base/bytes.h"

/* What of the cluster state tells which cluster it is of (6.0 and later say it at the top), and
 * which lives its indices have. */
#define INDEX_LIFE_FILTER                                                                          \
    "cluster_uuid,metadata.cluster_uuid,metadata.indices.*.settings.index.uuid,"                   \
    "metadata.indices.*.settings.index.history.uuid"

/* Appends the key of the life that INDEX has, as the cluster state shows it: its uuid, and after a
 * restore over it "uuid/history uuid". Empty when INDEX is NULL. */
void index_life_key(const json_t *index, struct buffer *key);
/* True when KEY is the key of the life of INDEX (may be NULL). */
bool index_is_life(const json_t *index, const char *key);
/* Why documents of an index with DEFINITION can't be found by their sequence numbers, although its
 * engine has such; NULL: they can. Borrowed. */
const char *index_unnumbered(const json_t *definition);
/* The primary copy among the COPIES of one shard in _stats?level=shards; borrowed, NULL when none
 * is shown. */
const json_t *index_primary_copy(const json_t *copies);
/* `seq_no` of the primary copy among the COPIES of one shard in _stats?level=shards; borrowed, NULL
 * when none is shown. */
const json_t *index_shard_numbers(const json_t *copies);

#endif
