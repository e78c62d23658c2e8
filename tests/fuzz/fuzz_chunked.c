/* fuzz_chunked.c - bodies come out the same however their bytes are split.
 *
 * The first byte of the input seeds the splits; the rest is a chunked body and what follows it.
 * What must hold:
 *
 * - One piece, single bytes and pieces of any size give the same data, end and refusal.
 * - Data lies within the bytes given, and each call makes progress.
 * - What came out, written as chunks of any size, comes out again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* How a body was decoded. */
struct decoded {
    struct buffer data;
    enum status status;
    bool done;
    size_t used;
    const char *why; /* with BAD_INPUT */
};

/* The size of the next piece, 1..most, from a generator that SEED is the state of. */
static size_t next_size(uint32_t *seed, size_t most)
{
    *seed = *seed * 1664525u + 1013904223u;
    return 1 + (*seed >> 16) % most;
}

/* Decodes BYTES in pieces of at most MOST bytes; in one piece when that is 0. */
static struct decoded decode(struct span bytes, uint32_t seed, size_t most)
{
    static const struct http_head head = {.framing = HTTP_CHUNKED};
    struct decoded got = {.status = STATUS_OK};
    struct http_refusal refusal = {0};
    struct http_body body;

    http_body_init(&body, &head);
    while (got.used < bytes.size && got.status == STATUS_OK && !body.done) {
        size_t size = most == 0 ? bytes.size : next_size(&seed, most), used;
        if (size > bytes.size - got.used)
            size = bytes.size - got.used;
        struct span piece = span_of(bytes.data + got.used, size), data;
        got.status = http_body_next(&body, piece, &used, &data, &refusal);
        CHECK(used <= size && (used > 0 || got.status != STATUS_OK));
        CHECK(data.size == 0 ||
              (data.data >= piece.data && data.data + data.size == piece.data + used));
        CHECK(got.status == STATUS_OK || data.size == 0);
        buffer_append_span(&got.data, data);
        got.used += used;
    }
    got.done = body.done;
    got.why = refusal.why;
    CHECK((got.status == STATUS_OK) == (got.why == NULL));
    return got;
}

static void check_split(const struct decoded *whole, struct span bytes, uint32_t seed, size_t most)
{
    struct decoded parts = decode(bytes, seed, most);

    CHECK(parts.status == whole->status && parts.done == whole->done && parts.used == whole->used);
    CHECK(parts.why == whole->why);
    CHECK(span_equal(buffer_span(&parts.data), buffer_span(&whole->data)));
    buffer_fini(&parts.data);
}

static void check_round_trip(struct span data, uint32_t seed)
{
    struct buffer chunks = {0};

    for (size_t at = 0; at < data.size;) {
        size_t size = next_size(&seed, 40);
        if (size > data.size - at)
            size = data.size - at;
        http_append_chunk(&chunks, span_of(data.data + at, size));
        at += size;
    }
    http_append_last_chunk(&chunks);
    struct decoded again = decode(buffer_span(&chunks), seed, 0);
    CHECK(again.status == STATUS_OK && again.done && again.used == chunks.size);
    CHECK(span_equal(buffer_span(&again.data), data));
    buffer_fini(&again.data);
    buffer_fini(&chunks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct span bytes = span_of((const char *)data + 1, size - 1);
    struct decoded whole = decode(bytes, 0, 0);

    check_split(&whole, bytes, 0, 1);
    check_split(&whole, bytes, data[0], 7);
    check_split(&whole, bytes, data[0], 100);
    check_round_trip(buffer_span(&whole.data), data[0]);
    buffer_fini(&whole.data);
    return 0;
}
