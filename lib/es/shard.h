/* shard.h - which shard a document lives in, as the engines compute it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_SHARD_H
#define TANDEM_ES_SHARD_H

#include <stdint.h>

#include "base/bytes.h"

/* murmur3 (32 bit, seed 0) over the UTF-16LE code units of UTF-8 TEXT, as the engines' Murmur3HashFunction.
 * Bytes that are not UTF-8 count as U+FFFD. */
int32_t shard_hash(struct span text);

/* The shard of document ID with ROUTING (empty when none) in an index with SHARDS primaries, ROUTING_SHARDS =
 * routing_num_shards (> 0) and PARTITION = routing_partition_size (1 by default).
 * floorMod(hash(routing or id) + floorMod(hash(id), PARTITION), ROUTING_SHARDS) / (ROUTING_SHARDS / SHARDS) */
uint32_t shard_of(struct span id, struct span routing, uint32_t shards, uint32_t routing_shards,
                  uint32_t partition);

/* A routing by which document ID is in SHARD: the first decimal number that leads there. Returns TEXT's span. */
struct span shard_routing(struct span id, uint32_t shards, uint32_t routing_shards, uint32_t partition, uint32_t shard,
                          char text[12]);

/* A new document id as the engines make them: time-ordered, 20 URL-safe characters, no terminator. UNIQUE: 6 bytes that
 * no other process uses; SEQUENCE: a counter that never repeats within it; NOW_MS since 1970. */
void auto_id(char id[20], const uint8_t unique[6], uint32_t sequence, uint64_t now_ms);

#endif
