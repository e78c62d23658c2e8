/* call.h - one request to the primary and its answer.
 *
 * Its user (stream.c or forward.c) writes the head, feeds the body, and is told of the answer piece
 * by piece. The call finds a connection, and another one as long as not one byte was sent; from the
 * first byte on there is no second try. What ends a call is either on_end or on_failure, once, and
 * never before call_start() has returned.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_CALL_H
#define TANDEM_PROXY_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "http/message.h"
#include "proxy/list.h"

struct call;
struct upstream;
struct upstream_conn;

struct call_ops {
    /* There is a connection and room: go on with call_send(). */
    void (*on_writable)(struct call *call);
    /* The head of the final answer; HEAD and BYTES (the head as it came) are valid until this
     * returns. */
    void (*on_head)(struct call *call, const struct http_head *head, struct span bytes);
    /* Body bytes, decoded. Returns how many were taken; after fewer than all comes nothing until
     * call_resume(). */
    size_t (*on_body)(struct call *call, struct span data);
    /* All that came is handed out and more will come: a moment to send what was gathered. */
    void (*on_handed_out)(struct call *call);
    /* The answer is complete, the connection given back. */
    void (*on_end)(struct call *call);
    /* See nothing_sent, timed_out, answered and why. */
    void (*on_failure)(struct call *call);
};

enum call_state {
    CALL_WAITING, /* for a connection */
    CALL_SENDING, /* the request is not out completely; an answer may come all the same */
    CALL_SENT,    /* all of it is out */
    CALL_ENDED,   /* on_end or on_failure was called, or call_cancel() */
};

struct call {
    const struct call_ops *ops;
    void *user;
    struct upstream *upstream;  /* borrowed */
    struct upstream_conn *conn; /* borrowed; NULL while WAITING and when ENDED */
    struct span method;         /* borrowed until the end */
    struct buffer
        head; /* owned: request line and fields without Host and the empty line, which are added
                 for each connection; behind them body bytes that had to be copied */
    size_t head_size;      /* of what the user wrote */
    size_t head_sent;      /* bytes of head that are out */
    uint64_t tried;        /* bits of nodes that could not be reached */
    enum call_state state; /* moved by call_set_state() only */
    bool nothing_sent;     /* the primary has not seen one byte */
    bool send_broken;      /* sending failed; the answer may still be there to be read */
    bool answered;         /* on_head was called */
    bool timed_out;
    bool closing;           /* the connection must not be used again */
    const char *why;        /* of the failure; static text */
    struct http_body body;  /* of the answer */
    struct span held;       /* decoded, not taken by the user yet; inside conn->in */
    size_t held_raw;        /* bytes of conn->in to drop when held is empty */
    unsigned informational; /* 1xx answers seen */
    uint64_t deadline;      /* 0: none */
    bool patient;           /* the answer may take by_query.timeout */
    bool collected;         /* the user takes the whole answer: it must come at a least rate */
    uint64_t answered_us;   /* when its head came */
    size_t answer_bytes;    /* that came since */
    struct link in_calls, in_queue;
};

/* HEAD: see above; its memory is taken over. Calls nothing back but on_writable. */
void call_start(struct call *call, struct upstream *upstream, const struct call_ops *ops,
                void *user, struct span method, struct buffer *head);
/* Sends what is left of the head and then DATA. Returns how much of DATA was taken; when that is
 * not all, on_writable follows. LAST: with all of DATA taken the request is complete. Calls nothing
 * back. */
size_t call_send(struct call *call, struct span data, bool last);
/* Where body bytes that must be framed anew are put, sent in front of DATA by the next call_send().
 */
struct buffer *call_framed(struct call *call);
/* How many bytes wait in head. */
size_t call_unsent(const struct call *call);
/* The user can take body bytes again. */
void call_resume(struct call *call);
/* Ends it: the connection is destroyed, nothing is called back. */
void call_cancel(struct call *call);
/* Frees what it owns; it must have ended. */
void call_fini(struct call *call);

/* For upstream.c. */
void call_on_connection(struct call *call, struct upstream_conn *conn);
void call_on_no_connection(struct call *call);
void call_on_readable(struct call *call);
void call_on_writable(struct call *call);
void call_on_overdue(struct call *call);

#endif
