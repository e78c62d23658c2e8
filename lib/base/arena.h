/* arena.h - memory that goes all at once: small pieces for the life of one request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_ARENA_H
#define TANDEM_BASE_ARENA_H

#include "base/bytes.h"

struct arena_block;
struct arena {
    struct arena_block *blocks; /* owned, newest first; all zero is an empty arena */
};

/* SIZE bytes, aligned for anything, zeroed; they live until arena_fini. */
void *arena_take(struct arena *arena, size_t size);
/* A copy of TEXT. */
struct span arena_copy(struct arena *arena, struct span text);
/* Bytes held. */
size_t arena_size(const struct arena *arena);
void arena_fini(struct arena *arena);

#endif
