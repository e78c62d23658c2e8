/* bytes.c - spans of borrowed bytes, growing buffers, and reading without running over the end.
 *
 * What must hold:
 *   - memcpy and pointer arithmetic never see NULL: an empty span may have no address at all.
 *   - A buffer grows by doubling, so n appended bytes cost O(n), and never shrinks before
 * buffer_fini.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/bytes.h"

#include <stdarg.h>

#define BUFFER_CAPACITY_MIN 64

bool span_equal_nocase(struct span a, struct span b)
{
    if (a.size != b.size)
        return false;
    for (size_t i = 0; i < a.size; i++) {
        unsigned char differ = (unsigned char)(a.data[i] ^ b.data[i]);
        if (differ == 0)
            continue;
        char letter = (char)(a.data[i] | 0x20); /* the bit in which the cases of a letter differ */
        if (differ != 0x20 || letter < 'a' || letter > 'z')
            return false;
    }
    return true;
}

bool span_to_u64(struct span text, uint64_t *value)
{
    uint64_t v = 0;
    if (text.size == 0)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = (unsigned)(unsigned char)text.data[i] - '0';
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
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
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Only the last star matters when something does not match: what an earlier one took can stay as it
 * is, since the last one may take any run. So the time is at most the product of both lengths. */
bool span_matches(struct span text, struct span pattern)
{
    size_t t = 0, p = 0;
    size_t after_star = SIZE_MAX, star_took_to = 0;
    while (t < text.size) {
        if (p < pattern.size && pattern.data[p] == '*') {
            after_star = ++p;
            star_took_to = t;
        } else if (p < pattern.size && pattern.data[p] == text.data[t]) {
            p++;
            t++;
        } else if (after_star != SIZE_MAX) {
            p = after_star;
            t = ++star_took_to;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*')
        p++;
    return p == pattern.size;
}

/* ------------------------------------------------------------------------------------------------------
 * Memory */

static void *must_have(void *memory)
{
    CHECK(memory != NULL && "out of memory");
    return memory;
}

void *bytes_alloc(size_t size)
{
    return must_have(malloc(size == 0 ? 1 : size));
}

void *bytes_zalloc(size_t size)
{
    return must_have(calloc(1, size == 0 ? 1 : size));
}

void *bytes_realloc(void *old, size_t size)
{
    return must_have(realloc(old, size == 0 ? 1 : size));
}

char *bytes_strdup(const char *text)
{
    return span_dup(span_cstr(text));
}

void bytes_set_text(char **to, const char *text)
{
    char *copy = text == NULL ? NULL : bytes_strdup(text);
    free(*to);
    *to = copy;
}

char *span_dup(struct span span)
{
    CHECK(span.size < SIZE_MAX);
    char *copy = bytes_alloc(span.size + 1);
    if (span.size > 0)
        memcpy(copy, span.data, span.size);
    copy[span.size] = '\0';
    return copy;
}

/* ------------------------------------------------------------------------------------------------------
 * Buffers */

char *buffer_reserve(struct buffer *buffer, size_t more)
{
    CHECK(buffer->size <= buffer->capacity);
    if (buffer->data == NULL || buffer->capacity - buffer->size < more) {
        CHECK(more <= SIZE_MAX / 2 - buffer->size);
        size_t need = buffer->size + more;
        size_t capacity = buffer->capacity * 2;
        if (capacity < BUFFER_CAPACITY_MIN)
            capacity = BUFFER_CAPACITY_MIN;
        if (capacity < need)
            capacity = need;
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
    buffer_append_span(buffer, span_cstr(text));
}

void buffer_append_char(struct buffer *buffer, char c)
{
    *buffer_reserve(buffer, 1) = c;
    buffer->size++;
}

void buffer_append_number(struct buffer *buffer, uint64_t n)
{
    char digits[20]; /* of UINT64_MAX */
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n != 0);
    buffer_append(buffer, digits + at, sizeof digits - at);
}

void buffer_appendf(struct buffer *buffer, const char *format, ...)
{
    for (size_t room = 128;;) {
        va_list args;
        va_start(args, format);
        char *at = buffer_reserve(buffer, room);
        int length = vsnprintf(at, room, format, args);
        va_end(args);
        CHECK(length >= 0);
        if ((size_t)length < room) {
            buffer->size += (size_t)length;
            return;
        }
        room = (size_t)length + 1; /* vsnprintf wants a place for its NUL, too */
    }
}

static void append_escaped(struct buffer *buffer, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char letter_of[0x20] = {
        ['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    char *at = buffer_reserve(buffer, 6);
    char letter = c < 0x20 ? letter_of[c] : (char)c;
    at[0] = '\\';
    if (letter != 0) {
        at[1] = letter;
        buffer->size += 2;
    } else {
        memcpy(at + 1, "u00", 3);
        at[4] = hex[c >> 4];
        at[5] = hex[c & 15];
        buffer->size += 6;
    }
}

void buffer_append_json_string(struct buffer *buffer, struct span text)
{
    size_t run = 0; /* where the bytes begin that need no escape */
    buffer_append_char(buffer, '"');
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c >= 0x20 && c != '"' && c != '\\')
            continue;
        buffer_append(buffer, text.data + run, i - run);
        append_escaped(buffer, c);
        run = i + 1;
    }
    if (run < text.size)
        buffer_append(buffer, text.data + run, text.size - run);
    buffer_append_char(buffer, '"');
}

void buffer_consume(struct buffer *buffer, size_t count)
{
    CHECK(count <= buffer->size);
    if (count == 0)
        return;
    buffer->size -= count;
    memmove(buffer->data, buffer->data + count, buffer->size);
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

void buffer_append_u8(struct buffer *buffer, uint8_t v)
{
    buffer_append_char(buffer, (char)v);
}

void buffer_append_u16(struct buffer *buffer, uint16_t v)
{
    put_u16le(buffer_reserve(buffer, sizeof v), v);
    buffer->size += sizeof v;
}

void buffer_append_u32(struct buffer *buffer, uint32_t v)
{
    put_u32le(buffer_reserve(buffer, sizeof v), v);
    buffer->size += sizeof v;
}

void buffer_append_u64(struct buffer *buffer, uint64_t v)
{
    put_u64le(buffer_reserve(buffer, sizeof v), v);
    buffer->size += sizeof v;
}

/* ------------------------------------------------------------------------------------------------------
 * Reading */

/* Where the next SIZE bytes are, or NULL (and never again anything) when there are fewer. */
static const char *reader_advance(struct reader *reader, size_t size)
{
    if (!reader->ok || (size_t)(reader->end - reader->at) < size) {
        reader->ok = false;
        return NULL;
    }
    const char *at = reader->at;
    if (size > 0)
        reader->at += size;
    return at;
}

struct span reader_take(struct reader *reader, size_t size)
{
    const char *at = reader_advance(reader, size);
    return at == NULL ? SPAN_NONE : span_of(at, size);
}

uint8_t reader_u8(struct reader *reader)
{
    const char *at = reader_advance(reader, 1);
    return at == NULL ? 0 : (uint8_t)*at;
}

uint16_t reader_u16(struct reader *reader)
{
    const char *at = reader_advance(reader, 2);
    return at == NULL ? 0 : get_u16le(at);
}

uint32_t reader_u32(struct reader *reader)
{
    const char *at = reader_advance(reader, 4);
    return at == NULL ? 0 : get_u32le(at);
}

uint64_t reader_u64(struct reader *reader)
{
    const char *at = reader_advance(reader, 8);
    return at == NULL ? 0 : get_u64le(at);
}

size_t bytes_utf8_size(const char *at, const char *end)
{
    const unsigned char *u = (const unsigned char *)at;
    size_t size = u[0] < 0x80                   ? 1
                  : u[0] >= 0xc2 && u[0] < 0xe0 ? 2
                  : u[0] >= 0xe0 && u[0] < 0xf0 ? 3
                  : u[0] >= 0xf0 && u[0] < 0xf5 ? 4
                                                : 0;
    if (size == 0 || (size_t)(end - at) < size)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    bool odd = (u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] >= 0xa0) ||
               (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] >= 0x90);
    return odd ? 0 : size;
}

void bytes_mend_utf8(char *text)
{
    char *end = text + strlen(text);
    while (text < end) {
        size_t size = bytes_utf8_size(text, end);
        if (size == 0)
            *text = '?';
        text += size == 0 ? 1 : size;
    }
}
