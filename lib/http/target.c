/* target.c - percent escapes and query parameters, read as the engines read them.
 *
 * The engines' own reader (RestUtils, the same in all versions we know) is not what RFC 3986
 * suggests: ';' separates parameters like '&', '=' before a name is skipped, names are decoded too,
 * '+' is a space in the query only, and the last of several equal names counts. We must see every
 * parameter that the engine will see, or `?a=1;refresh=true` would be two things to two readers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http/message.h"

#include "http/chars.h"

/* Decodes TEXT behind out->size, '+' as a space when PLUS; on a bad escape nothing is appended. */
static bool decode(struct span text, bool plus, struct buffer *out)
{
    const char *at = text.data;
    const char *end = text.size == 0 ? at : at + text.size;
    char *to = buffer_reserve(out, text.size);
    size_t size = 0;

    for (; at != end; at++) {
        char c = *at;
        if (c == '%') {
            if (end - at < 3 || !char_is(at[1], CHAR_HEX) || !char_is(at[2], CHAR_HEX))
                return false;
            c = (char)(char_hex(at[1]) << 4 | char_hex(at[2]));
            at += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        to[size++] = c;
    }
    out->size += size;
    return true;
}

bool http_percent_decode(struct span text, struct buffer *out)
{
    return decode(text, false, out);
}

void http_percent_encode(struct span text, struct buffer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    char *to = buffer_reserve(out, 3 * text.size);
    size_t size = 0;

    for (size_t i = 0; i < text.size; i++) {
        char c = text.data[i];
        if (char_is(c, CHAR_UNRESERVED)) {
            to[size++] = c;
        } else {
            to[size++] = '%';
            to[size++] = digits[(uint8_t)c >> 4];
            to[size++] = digits[(uint8_t)c & 15];
        }
    }
    out->size += size;
}

bool http_query_next(struct span *rest, struct span *name, struct span *value, bool *has_value)
{
    while (rest->size != 0) {
        size_t size = 0;
        while (size < rest->size && rest->data[size] != '&' && rest->data[size] != ';')
            size++;
        struct span pair = span_of(rest->data, size);
        size += size < rest->size; /* the separator */
        *rest = span_of(rest->data + size, rest->size - size);

        while (pair.size != 0 && pair.data[0] == '=')
            pair = span_of(pair.data + 1, pair.size - 1);
        if (pair.size == 0)
            continue; /* `&&`: the engines see nothing there either */
        const char *equals = memchr(pair.data, '=', pair.size);
        *has_value = equals != NULL;
        *name = pair;
        *value = SPAN_NONE;
        if (equals != NULL) {
            *name = span_of(pair.data, (size_t)(equals - pair.data));
            *value = span_of(equals + 1, pair.size - name->size - 1);
        }
        return true;
    }
    return false;
}

/* True when RAW decodes to NAME. SCRATCH is for decoding, and empty again afterwards. */
static bool name_is(struct span raw, struct span name, struct buffer *scratch)
{
    if (raw.size < name.size)
        return false; /* decoding only shortens */
    if (raw.size == name.size && memchr(raw.data, '+', raw.size) == NULL)
        return span_equal(raw, name);
    bool same = decode(raw, true, scratch) && span_equal(buffer_span(scratch), name);
    buffer_clear(scratch);
    return same;
}

/* The raw value of the last parameter called NAME. */
static bool query_find(struct span query, struct span name, struct span *found)
{
    struct buffer scratch = {0};
    struct span raw, value;
    bool has_value, any = false;

    while (http_query_next(&query, &raw, &value, &has_value)) {
        if (name_is(raw, name, &scratch)) {
            *found = value;
            any = true;
        }
    }
    buffer_fini(&scratch);
    return any;
}

bool http_query_get(struct span query, struct span name, struct buffer *value)
{
    struct span raw;

    return query_find(query, name, &raw) && decode(raw, true, value);
}

bool http_query_has(struct span query, struct span name)
{
    struct span raw;

    return query_find(query, name, &raw);
}
