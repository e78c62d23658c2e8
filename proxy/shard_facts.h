/* shard_facts.h - what a probe must know of a shard: term, max_seq_no, global checkpoint.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_SHARD_FACTS_H
#define TANDEM_PROXY_SHARD_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

struct shard_fact; /* kept in a hash by "index/shard" */
struct shard_facts {
    struct shard_fact_entry *entries;
};

struct shard_fact {
    uint64_t term;
    int64_t max_seq_no; /* -1: nothing was ever written */
    bool has_term, has_stats;
    bool settled; /* the global checkpoint has reached the max_seq_no that was read first */
};

void shard_facts_clear(struct shard_facts *facts);
/* Takes metadata.indices.*.primary_terms in. */
void shard_facts_take_terms(struct shard_facts *facts, struct span body);
/* True when BODY shows the same terms for every shard whose term is known. */
bool shard_facts_terms_are(struct shard_facts *facts, struct span body);
/* Takes _stats?level=shards in. True when every shard that has a started primary is settled. */
bool shard_facts_take_stats(struct shard_facts *facts, struct span body);
/* True when a read of this shard proves something. */
bool shard_facts_ready(struct shard_facts *facts, const char *index, uint32_t shard);
const struct shard_fact *shard_facts_get(struct shard_facts *facts, const char *index,
                                         uint32_t shard);
/* The first member name of the JSON object BODY, copied into ARENA; SPAN_NONE when there is none.
 */
struct span shard_facts_first_name(struct arena *arena, struct span body);

#endif
