/* iobuf.h - flat receive buffers, lent to a connection only while a message is in flight.
 *
 * One pool per thread, so nothing is locked. A buffer begins at IOBUF_SMALL bytes and grows once to
 * IOBUF_LARGE: larger reads pay only where a message is long. An idle connection holds none, which
 * is what makes ten thousand of them cheap.
 *
 * What must hold: start <= end <= capacity; a buffer without memory has all of them 0.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_IOBUF_H
#define TANDEM_PROXY_IOBUF_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

#define IOBUF_SMALL ((size_t)64 << 10)
#define IOBUF_LARGE ((size_t)256 << 10)

struct iobuf {
    char *data; /* owned; NULL while detached */
    size_t start, end;
    size_t capacity;
};

/* How many free buffers of a size a pool keeps: 4 MiB of each. What is above goes back to the
 * system. */
#define IOBUF_SMALL_KEPT 64
#define IOBUF_LARGE_KEPT 16

struct iobuf_pool {
    char *small[IOBUF_SMALL_KEPT], *large[IOBUF_LARGE_KEPT];
    size_t small_count, large_count;
    size_t lent_bytes; /* of all buffers attached now */
};

void iobuf_pool_fini(struct iobuf_pool *pool);

/* Gives BUF memory if it has none. */
void iobuf_attach(struct iobuf_pool *pool, struct iobuf *buf);
/* Takes its memory back; what is in it is lost. */
void iobuf_detach(struct iobuf_pool *pool, struct iobuf *buf);
/* Makes it IOBUF_LARGE; false when it is already. */
bool iobuf_grow(struct iobuf_pool *pool, struct iobuf *buf);
/* Moves what is unread to the front. */
void iobuf_compact(struct iobuf *buf);

static inline struct span iobuf_span(const struct iobuf *buf)
{
    return span_of(buf->data + buf->start, buf->end - buf->start);
}

static inline size_t iobuf_room(const struct iobuf *buf)
{
    return buf->capacity - buf->end;
}

static inline void iobuf_consume(struct iobuf *buf, size_t count)
{
    CHECK(count <= buf->end - buf->start);
    buf->start += count;
    if (buf->start == buf->end)
        buf->start = buf->end = 0;
}

#endif
