/* json_tree.c - JSON text into a tree of jansson's, whatever bytes the engines put into it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json_tree.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* The number of the escape \uXXXX at AT, or -1. */
static long escaped(const char *at, const char *end)
{
    char digits[5] = "";
    char *stop;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    memcpy(digits, at + 2, 4);
    long number = strtol(digits, &stop, 16);
    return *stop == '\0' ? number : -1;
}

/* Copies the escape at AT, mended; returns behind it. */
static const char *mend_escape(const char *at, const char *end, struct buffer *out)
{
    long first = escaped(at, end);
    if (first < 0) { /* another escape: two bytes that stay together */
        size_t size = end - at < 2 ? (size_t)(end - at) : 2;
        buffer_append(out, at, size);
        return at + size;
    }
    long second = escaped(at + 6, end);
    bool pair = first >= 0xd800 && first < 0xdc00 && second >= 0xdc00 && second < 0xe000;
    bool odd = first == 0 || (first >= 0xd800 && first < 0xe000 && !pair);
    if (odd)
        buffer_append_cstr(out, REPLACEMENT);
    else
        buffer_append(out, at, pair ? 12 : 6);
    return at + (pair ? 12 : 6);
}

static void mend(struct span text, struct buffer *out)
{
    const char *at = text.data, *end = at + text.size;
    while (at < end) {
        size_t size = bytes_utf8_size(at, end);
        if (*at == '\\') {
            at = mend_escape(at, end, out);
            continue;
        }
        if (size == 0)
            buffer_append_cstr(out, REPLACEMENT);
        else
            buffer_append(out, at, size);
        at += size == 0 ? 1 : size;
    }
}

json_t *json_tree(struct span text)
{
    if (text.size == 0)
        return NULL;
    json_t *json = json_loadb(text.data, text.size, 0, NULL);
    if (json != NULL)
        return json;
    struct buffer mended = {0};
    mend(text, &mended);
    json = json_loadb(mended.data, mended.size, 0, NULL);
    buffer_fini(&mended);
    return json;
}
