/* iobuf.c - flat receive buffers, lent to a connection only while a message is in flight.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/iobuf.h"

#include <stdlib.h>

static char *pool_take(struct iobuf_pool *pool, size_t capacity)
{
    pool->lent_bytes += capacity;
    if (capacity == IOBUF_SMALL && pool->small_count > 0)
        return pool->small[--pool->small_count];
    if (capacity == IOBUF_LARGE && pool->large_count > 0)
        return pool->large[--pool->large_count];
    return bytes_alloc(capacity);
}

static void pool_put(struct iobuf_pool *pool, char *data, size_t capacity)
{
    CHECK(pool->lent_bytes >= capacity);
    pool->lent_bytes -= capacity;
    if (capacity == IOBUF_SMALL && pool->small_count < IOBUF_SMALL_KEPT)
        pool->small[pool->small_count++] = data;
    else if (capacity == IOBUF_LARGE && pool->large_count < IOBUF_LARGE_KEPT)
        pool->large[pool->large_count++] = data;
    else
        free(data);
}

void iobuf_pool_fini(struct iobuf_pool *pool)
{
    while (pool->small_count > 0)
        free(pool->small[--pool->small_count]);
    while (pool->large_count > 0)
        free(pool->large[--pool->large_count]);
}

void iobuf_attach(struct iobuf_pool *pool, struct iobuf *buf)
{
    if (buf->data != NULL)
        return;
    buf->data = pool_take(pool, IOBUF_SMALL);
    buf->capacity = IOBUF_SMALL;
    buf->start = buf->end = 0;
}

void iobuf_detach(struct iobuf_pool *pool, struct iobuf *buf)
{
    if (buf->data != NULL)
        pool_put(pool, buf->data, buf->capacity);
    *buf = (struct iobuf){0};
}

bool iobuf_grow(struct iobuf_pool *pool, struct iobuf *buf)
{
    if (buf->capacity >= IOBUF_LARGE)
        return false;
    char *data = pool_take(pool, IOBUF_LARGE);
    size_t size = buf->end - buf->start;
    if (buf->data != NULL) {
        memcpy(data, buf->data + buf->start, size);
        pool_put(pool, buf->data, buf->capacity);
    }
    *buf = (struct iobuf){.data = data, .end = size, .capacity = IOBUF_LARGE};
    return true;
}

void iobuf_compact(struct iobuf *buf)
{
    if (buf->start == 0)
        return;
    memmove(buf->data, buf->data + buf->start, buf->end - buf->start);
    buf->end -= buf->start;
    buf->start = 0;
}
