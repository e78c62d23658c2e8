/* message.h - HTTP/1.1 heads and bodies: strict, incremental, both directions, no I/O.
 *
 * What is ambiguous is refused, never repaired (RFC 9110, RFC 9112; the rules are listed in message.c).
 * Heads are scanned in one pass and handed out as spans into the caller's bytes. Bodies are decoded piece
 * by piece (chunked or by length), so that they can be streamed or collected.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_HTTP_MESSAGE_H
#define TANDEM_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"

#define HTTP_FIELDS_MAX 200

struct http_field {
    struct span name;  /* as sent */
    struct span value; /* without the white space around it */
};

enum http_framing {
    HTTP_NO_BODY,     /* the head is the whole message */
    HTTP_LENGTH,      /* content_length bytes follow (may be 0) */
    HTTP_CHUNKED,     /* chunks follow */
    HTTP_UNTIL_CLOSE, /* answers only: the body ends with the connection */
};

/* A head, as spans into the bytes it was parsed from. */
struct http_head {
    /* requests */
    struct span method;
    struct span target; /* in origin form; of an absolute-form target the path and query */
    struct span path;   /* target up to '?', as sent (percent-encoded) */
    struct span query;  /* behind '?', empty when there is none */
    struct span host;   /* the Host field, or the authority of an absolute-form target */
    /* answers */
    int status; /* 100..599 */
    struct span reason;
    /* both */
    int minor; /* HTTP/1.minor: 0 or 1 */
    size_t size; /* bytes of the head, its last CRLF included */
    enum http_framing framing;
    uint64_t content_length; /* with HTTP_LENGTH; for HTTP_NO_BODY answers to HEAD: what it says, else 0 */
    bool keep_alive;         /* the connection may be used again after this message */
    bool expect_continue;    /* requests of HTTP/1.1 with `Expect: 100-continue` and a body */
    size_t field_count;
    struct http_field fields[HTTP_FIELDS_MAX];
};

/* Why a message was refused: the status to answer and the sentence that says it. */
struct http_refusal {
    int status; /* 400, 405, 414, 417, 431, 501, 505 */
    const char *why;
};

struct http_limits {
    size_t target_max; /* bytes of the request target; 414 above */
    size_t head_max;   /* bytes of the whole head; 431 above */
    size_t fields_max; /* at most HTTP_FIELDS_MAX; 431 above */
};

/* Parses a request head from the front of BYTES. OK: HEAD is filled. NEED_MORE: it is not complete yet (HEAD is
 * undefined). BAD_INPUT: REFUSAL says what to answer before closing. At most one CRLF before the
 * request line is skipped (head->size includes it). */
MUST_USE enum status http_parse_request(struct span bytes, const struct http_limits *limits,
                                        struct http_head *head, struct http_refusal *refusal);

/* Parses an answer's head. METHOD is that of its request (HEAD, CONNECT change the framing). 1xx answers are
 * handed out like others with HTTP_NO_BODY. BAD_INPUT: the connection must not be used again. */
MUST_USE enum status http_parse_answer(struct span bytes, struct span method,
                                       const struct http_limits *limits, struct http_head *head,
                                       struct http_refusal *refusal);

/* The value of the first field NAME (any case); false when there is none. */
bool http_field_get(const struct http_head *head, struct span name, struct span *value);
/* How many fields are called NAME. */
size_t http_field_count(const struct http_head *head, struct span name);

/* Empties HEAD. The array of fields is left as it is: it is most of a head, and nothing of it is looked at beyond
 * field_count. */
static inline void http_head_clear(struct http_head *head)
{
    memset(head, 0, offsetof(struct http_head, fields));
}
/* Copies what is filled; the spans still point into the bytes they were parsed from. */
static inline void http_head_copy(struct http_head *to, const struct http_head *from)
{
    memcpy(to, from, offsetof(struct http_head, fields) + from->field_count * sizeof from->fields[0]);
}

/* True for fields that end at this hop: Connection, what it names, Keep-Alive, Proxy-Connection, TE, Trailer,
 * Transfer-Encoding, Upgrade. Content-Length and Expect are ours to write and count as such too. */
bool http_field_is_hop(const struct http_head *head, struct span name);

/* Appends all end-to-end fields of HEAD as "Name: value\r\n", but for those named in DROP (NULL or names,
 * lower case, separated by spaces, with one before the first and after the last: " accept-encoding "). */
void http_append_fields(struct buffer *out, const struct http_head *head, const char *drop);

/* ------------------------------------------------------------------------------------------------------
 * Bodies. */

struct http_body {
    enum http_framing framing;
    uint64_t left;      /* bytes left of the length, or of the present chunk */
    int state;          /* of the chunk scanner (body.c) */
    size_t extension;   /* bytes of chunk extensions and trailers seen so far */
    unsigned count;     /* digits of the chunk's size, or bytes of the trailer's name, seen so far */
    unsigned forbidden; /* the forbidden trailer names that still match, as bits (body.c) */
    bool done;          /* the last byte of the body was consumed */
};

void http_body_init(struct http_body *body, const struct http_head *head);
/* Consumes from BYTES what belongs to the body. *USED: how many bytes were consumed. *DATA: body bytes among them
 * (a span into BYTES; one stretch a call, so call again while bytes are left and it is not done).
 * OK (look at body->done), or BAD_INPUT with REFUSAL. With HTTP_UNTIL_CLOSE the caller sets done at the end of file. */
MUST_USE enum status http_body_next(struct http_body *body, struct span bytes, size_t *used,
                                    struct span *data, struct http_refusal *refusal);

/* Appends DATA as one chunk; nothing when it is empty. */
void http_append_chunk(struct buffer *out, struct span data);
/* Appends the last chunk, without trailers. */
void http_append_last_chunk(struct buffer *out);

/* Appends `Date: ` with the present time. */
void http_append_date(struct buffer *out);
/* The standard reason phrase for STATUS; "" when there is none. */
const char *http_reason(int status);

/* ------------------------------------------------------------------------------------------------------
 * Targets. */

/* Decodes %XX (and nothing else; '+' stays) and appends. False on a bad escape; nothing is appended then. */
bool http_percent_decode(struct span text, struct buffer *out);
/* Appends TEXT with everything but unreserved characters percent-encoded; fit for one path segment or value. */
void http_percent_encode(struct span text, struct buffer *out);

/* Walks `a=1&b&c=`: NAME and VALUE raw, HAS_VALUE false for `b`. False at the end. */
bool http_query_next(struct span *rest, struct span *name, struct span *value, bool *has_value);
/* Decodes and appends the value of parameter NAME ('+' becomes a space, as the engines do); false when absent
 * or badly escaped. The last one wins, as in the engines. */
bool http_query_get(struct span query, struct span name, struct buffer *value);
bool http_query_has(struct span query, struct span name);

#endif
