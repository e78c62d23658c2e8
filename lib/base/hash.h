/* hash.h - a keyed 64-bit hash that nobody can find collisions for without the key.
 *
 * SipHash-2-4: ids come from clients, and a client must not be able to send all its ids to one
 * bucket. The value depends on bytes and seed alone, on every machine, so it may be stored where
 * its seed is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_HASH_H
#define TANDEM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash64(const void *data, size_t size, uint64_t seed);
/* With a whole key of 128 bits. */
uint64_t hash64_keyed(const void *data, size_t size, uint64_t key0, uint64_t key1);
/* A random seed, the same for the life of this process: for tables in memory. */
uint64_t hash_process_seed(void);

#endif
