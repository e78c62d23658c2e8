/* bytes.h - spans of borrowed bytes, growing buffers, and integers in a fixed byte order.
 *
 * A span never owns; a buffer always does. Memory that cannot be had stops the program (bytes_alloc):
 * what a client can make us allocate is bounded by settings before we get here.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_BYTES_H
#define TANDEM_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/check.h"

struct span {
    const char *data; /* borrowed; may be NULL when size is 0 */
    size_t size;      /* bytes */
};

struct buffer {
    char *data;      /* owned, NULL when capacity is 0; not terminated */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
};

#define SPAN(literal) ((struct span){("" literal), sizeof(literal) - 1})
#define SPAN_NONE ((struct span){NULL, 0})

static inline struct span span_of(const char *data, size_t size)
{
    return (struct span){data, size};
}

/* The span of a C string; NULL gives the empty span. */
static inline struct span span_cstr(const char *text)
{
    return (struct span){text, text == NULL ? 0 : strlen(text)};
}

static inline bool span_equal(struct span a, struct span b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool span_starts(struct span text, struct span prefix)
{
    return text.size >= prefix.size && (prefix.size == 0 || memcmp(text.data, prefix.data, prefix.size) == 0);
}

/* Equal without regard to the case of ASCII letters. */
bool span_equal_nocase(struct span a, struct span b);
/* Reads all of TEXT as an unsigned decimal (digits only, no sign); false when it is none or overflows. */
bool span_to_u64(struct span text, uint64_t *value);
/* Orders by bytes, then by length: <0, 0, >0. */
int span_compare(struct span a, struct span b);
/* `*` matches any run, everything else itself; the whole of TEXT must match. */
bool span_matches(struct span text, struct span pattern);

/* malloc, calloc, realloc and strdup that stop the program when there is no memory. */
void *bytes_alloc(size_t size);
void *bytes_zalloc(size_t size);
void *bytes_realloc(void *old, size_t size);
/* How many bytes from AT on are one character of UTF-8; 0: none is. AT < END. */
size_t bytes_utf8_size(const char *at, const char *end);
/* Replaces what is no UTF-8 in TEXT by '?', in place: a text that was cut, or came from elsewhere. */
void bytes_mend_utf8(char *text);
char *bytes_strdup(const char *text);
/* *TO, which is freed, becomes a copy of TEXT; NULL stays NULL. */
void bytes_set_text(char **to, const char *text);
/* A NUL-terminated copy of SPAN; the caller frees it. */
char *span_dup(struct span span);

/* Makes room for MORE bytes behind buffer->size (the size itself is unchanged); returns where they go. */
char *buffer_reserve(struct buffer *buffer, size_t more);
void buffer_append(struct buffer *buffer, const void *data, size_t size);
void buffer_append_span(struct buffer *buffer, struct span span);
void buffer_append_cstr(struct buffer *buffer, const char *text);
void buffer_append_char(struct buffer *buffer, char c);
/* Appends N in decimal. */
void buffer_append_number(struct buffer *buffer, uint64_t n);
void buffer_appendf(struct buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/* Appends TEXT as a JSON string, quotes included; control bytes are escaped, all else as it is. */
void buffer_append_json_string(struct buffer *buffer, struct span text);
/* Drops the first COUNT bytes. */
void buffer_consume(struct buffer *buffer, size_t count);
/* Empties it and keeps its memory. */
static inline void buffer_clear(struct buffer *buffer)
{
    buffer->size = 0;
}
/* Frees its memory; it is an empty buffer afterwards. */
void buffer_fini(struct buffer *buffer);
static inline struct span buffer_span(const struct buffer *buffer)
{
    return (struct span){buffer->data, buffer->size};
}
/* Adds a NUL behind the content (not counted in size) and returns it as a C string. */
const char *buffer_cstr(struct buffer *buffer);

/* Little-endian integers, the byte order of everything we store. */
static inline void put_u16le(void *at, uint16_t v)
{
    uint8_t *p = at;
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}
static inline void put_u32le(void *at, uint32_t v)
{
    put_u16le(at, (uint16_t)v);
    put_u16le((uint8_t *)at + 2, (uint16_t)(v >> 16));
}
static inline void put_u64le(void *at, uint64_t v)
{
    put_u32le(at, (uint32_t)v);
    put_u32le((uint8_t *)at + 4, (uint32_t)(v >> 32));
}
static inline uint16_t get_u16le(const void *at)
{
    const uint8_t *p = at;
    return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t get_u32le(const void *at)
{
    return get_u16le(at) | (uint32_t)get_u16le((const uint8_t *)at + 2) << 16;
}
static inline uint64_t get_u64le(const void *at)
{
    return get_u32le(at) | (uint64_t)get_u32le((const uint8_t *)at + 4) << 32;
}
/* Big-endian, for keys that must sort as numbers. */
static inline void put_u64be(void *at, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        ((uint8_t *)at)[i] = (uint8_t)(v >> (56 - 8 * i));
}
static inline uint64_t get_u64be(const void *at)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++)
        v = v << 8 | ((const uint8_t *)at)[i];
    return v;
}

/* Reading a byte string front to back without ever running over its end: after the first short read
 * every further one gives 0 or the empty span, and `ok` is false. */
struct reader {
    const char *at, *end;
    bool ok;
};
static inline struct reader reader_of(struct span bytes)
{
    return (struct reader){bytes.data, bytes.data == NULL ? NULL : bytes.data + bytes.size, true};
}
struct span reader_take(struct reader *reader, size_t size);
uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
void buffer_append_u8(struct buffer *buffer, uint8_t v);
void buffer_append_u16(struct buffer *buffer, uint16_t v);
void buffer_append_u32(struct buffer *buffer, uint32_t v);
void buffer_append_u64(struct buffer *buffer, uint64_t v);

#endif
