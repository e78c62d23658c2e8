/* arena.c - memory that goes all at once: small pieces for the life of one request.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/arena.h"

#include <stdlib.h>

#define BLOCK_SIZE 4000
#define BLOCK_SIZE_FIRST                                                                           \
    960 /* enough for most requests, and small enough for malloc to have at hand */

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    max_align_t data[];
};

void *arena_take(struct arena *arena, size_t size)
{
    size = (size + sizeof(max_align_t) - 1) & ~(sizeof(max_align_t) - 1);
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t room = block == NULL ? BLOCK_SIZE_FIRST : BLOCK_SIZE;
        if (size > room)
            room = size;
        block = bytes_zalloc(sizeof *block + room);
        block->size = room;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *piece = (char *)block->data + block->used;
    block->used += size;
    return piece;
}

struct span arena_copy(struct arena *arena, struct span text)
{
    if (text.size == 0)
        return SPAN("");
    char *copy = arena_take(arena, text.size);
    memcpy(copy, text.data, text.size);
    return span_of(copy, text.size);
}

size_t arena_size(const struct arena *arena)
{
    size_t size = 0;
    for (const struct arena_block *b = arena->blocks; b != NULL; b = b->next)
        size += b->size + sizeof *b;
    return size;
}

void arena_fini(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        free(block);
    }
}
