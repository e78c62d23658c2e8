/* bytes.c - spans of borrowed bytes, growing buffers, and integers in a fixed byte order.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/bytes.h"

#include <stdarg.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++)
        if (lower(a.data[i]) != lower(b.data[i]))
            return false;
    return true;
}

bool span_to_u64(struct span text, uint64_t *value)
{
    uint64_t v = 0;
    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *value = v;
    return true;
}

int span_compare(struct span a, struct span b)
{
    size_t common = a.size < b.size ? a.size : b.size;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    if (order != 0)
        return order;
    return a.size < b.size ? -1 : a.size > b.size;
}

/* Greedy with one point to go back to: linear but for the product of the last star's run. */
bool span_matches(struct span text, struct span pattern)
{
    size_t t = 0, p = 0, star = SIZE_MAX, star_text = 0;
    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            star_text = t;
        } else if (p < pattern.size && pattern.data[p] == text.data[t]) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

void *bytes_alloc(size_t size)
{
    void *memory = malloc(size == 0 ? 1 : size);
    CHECK(memory != NULL);
    return memory;
}

void *bytes_zalloc(size_t size)
{
    void *memory = calloc(1, size == 0 ? 1 : size);
    CHECK(memory != NULL);
    return memory;
}

void *bytes_realloc(void *old, size_t size)
{
    void *memory = realloc(old, size == 0 ? 1 : size);
    CHECK(memory != NULL);
    return memory;
}

char *bytes_strdup(const char *text)
{
    return span_dup(span_cstr(text));
}

char *span_dup(struct span span)
{
    char *copy = bytes_alloc(span.size + 1);
    if (span.size != 0)
        memcpy(copy, span.data, span.size);
    copy[span.size] = '\0';
    return copy;
}

char *buffer_reserve(struct buffer *buffer, size_t more)
{
    CHECK(more <= SIZE_MAX / 2 - buffer->size);
    size_t need = buffer->size + more;
    if (need > buffer->capacity || buffer->data == NULL) {
        size_t capacity = buffer->capacity < 64 ? 64 : buffer->capacity;
        while (capacity < need)
            capacity += capacity / 2 + 1;
        buffer->data = bytes_realloc(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

void buffer_append(struct buffer *buffer, const void *data, size_t size)
{
    if (size == 0)
        return;
    memcpy(buffer_reserve(buffer, size), data, size);
    buffer->size += size;
}

void buffer_append_span(struct buffer *buffer, struct span span)
{
    buffer_append(buffer, span.data, span.size);
}

void buffer_append_cstr(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_char(struct buffer *buffer, char c)
{
    *buffer_reserve(buffer, 1) = c;
    buffer->size++;
}

void buffer_appendf(struct buffer *buffer, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char *at = buffer_reserve(buffer, 128);
    int size = vsnprintf(at, buffer->capacity - buffer->size, format, args);
    CHECK(size >= 0);
    if ((size_t)size >= buffer->capacity - buffer->size) {
        at = buffer_reserve(buffer, (size_t)size + 1);
        vsnprintf(at, (size_t)size + 1, format, again);
    }
    buffer->size += (size_t)size;
    va_end(again);
    va_end(args);
}

void buffer_append_json_string(struct buffer *buffer, struct span text)
{
    buffer_append_char(buffer, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '"' || c == '\\') {
            buffer_append_char(buffer, '\\');
            buffer_append_char(buffer, (char)c);
        } else if (c < 0x20) {
            buffer_appendf(buffer, "\\u%04x", c);
        } else {
            buffer_append_char(buffer, (char)c);
        }
    }
    buffer_append_char(buffer, '"');
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    CHECK(count <= buffer->size);
    if (count != 0 && count != buffer->size)
        memmove(buffer->data, buffer->data + count, buffer->size - count);
    buffer->size -= count;
}

void buffer_fini(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

const char *buffer_cstr(struct buffer *buffer)
{
    *buffer_reserve(buffer, 1) = '\0';
    return buffer->data;
}

struct span reader_take(struct reader *reader, size_t size)
{
    if (!reader->ok || (size_t)(reader->end - reader->at) < size) {
        reader->ok = false;
        return SPAN_NONE;
    }
    struct span taken = {reader->at, size};
    reader->at += size;
    return taken;
}

uint8_t reader_u8(struct reader *reader)
{
    struct span s = reader_take(reader, 1);
    return s.size == 0 ? 0 : (uint8_t)s.data[0];
}

uint16_t reader_u16(struct reader *reader)
{
    struct span s = reader_take(reader, 2);
    return s.size == 0 ? 0 : get_u16le(s.data);
}

uint32_t reader_u32(struct reader *reader)
{
    struct span s = reader_take(reader, 4);
    return s.size == 0 ? 0 : get_u32le(s.data);
}

uint64_t reader_u64(struct reader *reader)
{
    struct span s = reader_take(reader, 8);
    return s.size == 0 ? 0 : get_u64le(s.data);
}

void buffer_append_u8(struct buffer *buffer, uint8_t v)
{
    buffer_append_char(buffer, (char)v);
}

void buffer_append_u16(struct buffer *buffer, uint16_t v)
{
    put_u16le(buffer_reserve(buffer, 2), v);
    buffer->size += 2;
}

void buffer_append_u32(struct buffer *buffer, uint32_t v)
{
    put_u32le(buffer_reserve(buffer, 4), v);
    buffer->size += 4;
}

void buffer_append_u64(struct buffer *buffer, uint64_t v)
{
    put_u64le(buffer_reserve(buffer, 8), v);
    buffer->size += 8;
}
