/* chars.h - which bytes may stand where in HTTP/1.1: one table, one bit per class. Private to
 * lib/http.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_HTTP_CHARS_H
#define TANDEM_HTTP_CHARS_H

#include <stdbool.h>
#include <stdint.h>

#define CHAR_TOKEN 1u       /* of methods and field names */
#define CHAR_VALUE 2u       /* of field values: visible, SP, HTAB, and everything from 0x80 on */
#define CHAR_TARGET 4u      /* of request targets: visible ASCII but '#' */
#define CHAR_HOST 8u        /* of host names: letters, digits, '-', '.', '_' */
#define CHAR_HEX 16u        /* of chunk sizes and percent escapes */
#define CHAR_UNRESERVED 32u /* what needs no percent escape anywhere: letters, digits, "-._~" */
#define CHAR_DIGIT 64u

extern const uint8_t http_chars[256];

static inline bool char_is(char c, unsigned classes)
{
    return (http_chars[(uint8_t)c] & classes) != 0;
}

/* The value of a hex digit. */
static inline unsigned char_hex(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
}

#endif
