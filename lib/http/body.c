/* body.c - message bodies, piece by piece: by length, in chunks, or up to the last byte.
 *
 * What is decoded does not depend on how the bytes were split on their way: everything the scanner
 * must remember between two calls is in struct http_body, no byte is looked at twice and none is
 * looked at ahead.
 *
 * Chunks walk these states; chunk_step() alone moves them, but for DATA, which http_body_next()
 * takes in stretches:
 *
 *     SIZE -> [EXTENSION_NAME -> EXTENSION] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE
 *                                              SIZE_LF -> LINE (the size was 0)
 *     LINE -> NAME -> TEXT -> TEXT_LF -> LINE        a trailer, checked and dropped
 *     LINE -> END_LF                                 the body is done
 *
 * Stricter than RFC 9112 asks: no white space before a ';', at most 16 digits, extensions and
 * trailers bounded, and a trailer that would mean something as a header (framing, routing,
 * credentials) refuses the message.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http/message.h"

#include "http/chars.h"

#define SIZE_DIGITS_MAX 16
#define EXTENSIONS_MAX 1024 /* bytes of chunk extensions in one body */
#define TRAILERS_MAX 8192   /* bytes of chunk extensions and trailers in one body */

enum chunk_state {
    CHUNK_SIZE,           /* hex digits */
    CHUNK_EXTENSION_NAME, /* behind the first ';': a token must begin */
    CHUNK_EXTENSION,      /* dropped up to the CR */
    CHUNK_SIZE_LF,        /* the CR behind the size was read */
    CHUNK_DATA,           /* `left` bytes of the chunk are still to come */
    CHUNK_DATA_CR,        /* the chunk is complete but for its CRLF */
    CHUNK_DATA_LF,        /* its CR was read */
    CHUNK_LINE,           /* behind the last chunk, at the beginning of a line */
    CHUNK_NAME,           /* in the name of a trailer */
    CHUNK_TEXT,           /* in the value of a trailer */
    CHUNK_TEXT_LF,        /* the CR of a trailer was read */
    CHUNK_END_LF,         /* the CR of the empty line was read */
    CHUNK_REFUSED,        /* for good */
};

/* What may not come late: framing, routing, credentials, how to read it all (RFC 9110, 6.5.1). */
/* clang-format off */
static const char *const forbidden_trailers[] = {
    "authorization", "connection", "content-encoding", "content-length", "content-range",
    "content-type", "cookie", "es-secondary-authorization", "expect", "host", "if-match",
    "keep-alive", "location", "proxy-authorization", "proxy-connection", "range", "set-cookie",
    "te", "trailer", "transfer-encoding", "upgrade", "via", "www-authenticate", "x-api-key",
};
/* clang-format on */

void http_body_init(struct http_body *body, const struct http_head *head)
{
    memset(body, 0, sizeof *body);
    body->framing = head->framing;
    body->state = CHUNK_SIZE;
    if (head->framing == HTTP_LENGTH)
        body->left = head->content_length;
    body->done = head->framing == HTTP_NO_BODY || (head->framing == HTTP_LENGTH && body->left == 0);
}

/* One byte of the size line. NULL, or why it is refused; so are all the steps below. */
static const char *size_step(struct http_body *body, char c)
{
    if (char_is(c, CHAR_HEX)) {
        if (body->count == SIZE_DIGITS_MAX || body->left > (UINT64_C(1) << 59) - 1)
            return "the size of a chunk is too large";
        body->left = body->left << 4 | char_hex(c);
        body->count++;
        return NULL;
    }
    if (body->count == 0)
        return "a chunk does not begin with its size";
    if (c != ';' && c != '\r')
        return "the size of a chunk is not a hex number";
    body->state = c == ';' ? CHUNK_EXTENSION_NAME : CHUNK_SIZE_LF;
    return NULL;
}

static const char *extension_step(struct http_body *body, char c)
{
    if (++body->extension > EXTENSIONS_MAX)
        return "the chunk extensions are too long";
    if (body->state == CHUNK_EXTENSION_NAME) {
        body->state = CHUNK_EXTENSION;
        return char_is(c, CHAR_TOKEN) ? NULL : "a chunk extension has no name";
    }
    if (c == '\r')
        body->state = CHUNK_SIZE_LF;
    else if (!char_is(c, CHAR_VALUE))
        return "a chunk extension has a control byte";
    return NULL;
}

/* Takes C as the next byte of a trailer's name off the forbidden names that still match. */
static void forbidden_narrow(struct http_body *body, char c)
{
    char lower = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;

    for (unsigned i = 0; body->forbidden != 0 && i < COUNT_OF(forbidden_trailers); i++)
        if ((body->forbidden & BIT(i)) != 0 && forbidden_trailers[i][body->count] != lower)
            body->forbidden &= ~BIT(i); /* its NUL is no token: shorter names fall out too */
    body->count++;
}

static bool forbidden_matches(const struct http_body *body)
{
    for (unsigned i = 0; i < COUNT_OF(forbidden_trailers); i++)
        if ((body->forbidden & BIT(i)) != 0 && forbidden_trailers[i][body->count] == '\0')
            return true;
    return false;
}

static const char *trailer_step(struct http_body *body, char c)
{
    if (++body->extension > TRAILERS_MAX)
        return "the trailers are too long";
    switch (body->state) {
    case CHUNK_LINE:
        if (c == '\r') {
            body->state = CHUNK_END_LF;
            return NULL;
        }
        body->state = CHUNK_NAME;
        body->count = 0;
        body->forbidden = (unsigned)((UINT64_C(1) << COUNT_OF(forbidden_trailers)) - 1);
        /* fall through */
    case CHUNK_NAME:
        if (char_is(c, CHAR_TOKEN)) {
            forbidden_narrow(body, c);
            return NULL;
        }
        if (c != ':' || body->count == 0)
            return "a trailer has no proper name";
        if (forbidden_matches(body))
            return "a trailer may not carry this field";
        body->state = CHUNK_TEXT;
        return NULL;
    case CHUNK_TEXT:
        if (c == '\r')
            body->state = CHUNK_TEXT_LF;
        else if (!char_is(c, CHAR_VALUE))
            return "a trailer has a control byte in its value";
        return NULL;
    default:
        CHECK(body->state == CHUNK_TEXT_LF);
        body->state = CHUNK_LINE;
        return c == '\n' ? NULL : "a line of the trailers does not end in CRLF";
    }
}

/* Moves the scanner by one byte that is not data. */
static const char *chunk_step(struct http_body *body, char c)
{
    switch (body->state) {
    case CHUNK_SIZE:
        return size_step(body, c);
    case CHUNK_EXTENSION_NAME:
    case CHUNK_EXTENSION:
        return extension_step(body, c);
    case CHUNK_SIZE_LF:
        body->state = body->left == 0 ? CHUNK_LINE : CHUNK_DATA;
        return c == '\n' ? NULL : "the size line of a chunk does not end in CRLF";
    case CHUNK_DATA_CR:
        body->state = CHUNK_DATA_LF;
        return c == '\r' ? NULL : "a chunk is longer than its size";
    case CHUNK_DATA_LF:
        body->state = CHUNK_SIZE;
        body->count = 0;
        return c == '\n' ? NULL : "a chunk does not end in CRLF";
    case CHUNK_LINE:
    case CHUNK_NAME:
    case CHUNK_TEXT:
    case CHUNK_TEXT_LF:
        return trailer_step(body, c);
    case CHUNK_END_LF:
        body->done = c == '\n';
        return body->done ? NULL : "the last line of the body does not end in CRLF";
    default:
        CHECK(body->state == CHUNK_REFUSED);
        return "the body was refused before";
    }
}

enum status http_body_next(struct http_body *body, struct span bytes, size_t *used,
                           struct span *data, struct http_refusal *refusal)
{
    size_t at = 0;

    *used = 0;
    *data = SPAN_NONE;
    if (body->framing == HTTP_CHUNKED) {
        while (at < bytes.size && !body->done && body->state != CHUNK_DATA) {
            const char *why = chunk_step(body, bytes.data[at]);
            if (why != NULL) {
                body->state = CHUNK_REFUSED;
                *refusal = (struct http_refusal){400, why};
                *used = at;
                return STATUS_BAD_INPUT;
            }
            at++;
        }
    }
    *used = at;
    if (body->done || at == bytes.size)
        return STATUS_OK;

    size_t size = bytes.size - at;
    if (body->framing != HTTP_UNTIL_CLOSE) {
        if (size > body->left)
            size = (size_t)body->left;
        body->left -= size;
        if (body->left == 0 && body->framing == HTTP_CHUNKED)
            body->state = CHUNK_DATA_CR;
        else if (body->left == 0)
            body->done = true;
    }
    *data = span_of(bytes.data + at, size);
    *used = at + size;
    return STATUS_OK;
}

void http_append_chunk(struct buffer *out, struct span data)
{
    if (data.size == 0)
        return; /* a chunk of size 0 would end the body */
    buffer_appendf(out, "%zx\r\n", data.size);
    buffer_append_span(out, data);
    buffer_append(out, "\r\n", 2);
}

void http_append_last_chunk(struct buffer *out)
{
    buffer_append(out, "0\r\n\r\n", 5);
}
