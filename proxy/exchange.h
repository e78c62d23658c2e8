/* exchange.h - one write, or one change of definitions, through the proxy: the machine without I/O.
 *
 * The data path (client.c, upstream.c) reads requests and moves bytes; what must happen in which
 * order, and what may be answered when, is decided here and nowhere else. The simulation drives the
 * same functions.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_EXCHANGE_H
#define TANDEM_PROXY_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/loop.h"
#include "es/operation.h"
#include "http/message.h"

struct core;
struct settings;
struct exchange;

/* What goes to the primary. The data path adds the request line, Host, Via, Content-Length and
 * Connection. */
struct primary_request {
    struct span method;   /* borrowed until the answer or failure */
    struct buffer target; /* path and query as they go out */
    struct buffer fields; /* "Name: value\r\n"... ; the client's own credentials are among them */
    struct span body;     /* borrowed until the answer or failure; may be empty */
    bool has_body;        /* send Content-Length even when it is 0 */
    bool own_account;     /* Tandem's own call: the data path adds Tandem's Authorization */
    bool opaque_added;    /* X-Opaque-Id is ours, and comes back in the answer */
    bool patient;         /* its answer may take as long as by_query.timeout */
};

/* What came back, complete. */
struct primary_answer {
    struct buffer head_bytes; /* owned; what head's spans point into */
    struct buffer body;       /* owned; de-chunked, content coding as it came (none is asked for) */
    struct http_head head;
};
/* All zero is an empty answer too; this writes less. */
void primary_answer_init(struct primary_answer *answer);
/* TO, which owns nothing, takes over what FROM has; FROM is empty then. */
void primary_answer_move(struct primary_answer *to, struct primary_answer *from);
void primary_answer_fini(struct primary_answer *answer);

/* What goes to the client. The data path adds the status line, Content-Length, Connection, and Date
 * where fields has none. */
struct reply {
    int status;
    struct buffer fields; /* "Name: value\r\n"... */
    struct buffer body;
    uint64_t head_length; /* with HEAD: the Content-Length to say; the body is empty */
    bool close;           /* close the connection behind this answer */
};
void reply_fini(struct reply *reply);
/* Fills REPLY with one of Tandem's own errors, in the engines' form:
 * {"error":{"type":TYPE,"reason":...,"root_cause":[...]},"status":STATUS}, with `X-Tandem-Outcome:
 * OUTCOME` unless NULL. Retry-After: 1 is added to 429 and 503. */
void reply_error(struct reply *reply, int status, const char *type, const char *outcome,
                 const char *format, ...) PRINTF_LIKE(5, 6);

/* ------------------------------------------------------------------------------------------------
 * Where a request goes, by its head alone. Thread-safe. */

enum route {
    ROUTE_STREAM,   /* pass through untouched, head and body as they come */
    ROUTE_EXCHANGE, /* read the whole body, then exchange_start() */
    ROUTE_REFUSE,   /* answer REFUSAL; nothing goes to the primary */
};
struct routing {
    enum route route;
    struct operation op;
    struct reply refusal;     /* ROUTE_REFUSE; the caller ends it with reply_fini() */
    const char *answer_field; /* ROUTE_STREAM: a field line to add to the answer
                                 ("X-Tandem-Replicated: no\r\n"), or NULL */
    bool rewrite_nodes; /* ROUTE_STREAM: collect the answer and pass it through nodes_rewrite() */
};
void route_request(struct core *core, const struct http_head *head, struct routing *routing);
/* What a client that sniffs is told for an address: proxy.publish, else what it called us itself.
 */
void nodes_publish(const struct http_head *head, const struct settings *settings,
                   struct buffer *out);
/* The answer to _nodes/http and the like with every node's HTTP addresses replaced by PUBLISH
 * ("host:port"). BODY is JSON; OUT is appended to. False when BODY has none, or is not what we
 * expect: send it as it is. */
bool nodes_rewrite(struct span body, struct span publish, struct buffer *out);

/* ------------------------------------------------------------------------------------------------
 * The machine. All calls for one exchange come from one thread, that of its loop. */

/* What an exchange asks of the thread it lives in. Each returns at once. */
struct exchange_ports {
    /* Sends REQUEST to the primary and reads the whole answer; ends in exchange_on_answer or
     * exchange_on_failure, not before this call has returned. On time-out the connection is
     * destroyed. */
    void (*forward)(void *ctx, struct exchange *ex, struct primary_request *request);
    /* ex's reply is ready (exchange_reply()): write it in order, then exchange_free(). If the
     * client has gone: just exchange_free(). */
    void (*reply)(void *ctx, struct exchange *ex);
};

/* A new exchange for the request in HEAD_BYTES (copied; head is parsed again from the copy). OWNER
 * is the data path's. */
struct exchange *exchange_new(struct core *core, struct loop *loop,
                              const struct exchange_ports *ports, void *ctx, void *owner,
                              struct span head_bytes, const struct routing *routing);
/* Where the data path collects the decoded (de-chunked, still gzipped) body. */
struct buffer *exchange_body(struct exchange *ex);
/* The body is complete. */
void exchange_start(struct exchange *ex);
/* Takes over ANSWER's buffers. */
void exchange_on_answer(struct exchange *ex, struct primary_answer *answer);
/* No answer, or none that can be read. NOTHING_SENT: certain that the primary has not seen one
 * byte. */
void exchange_on_failure(struct exchange *ex, bool nothing_sent, const char *why);
/* The client has gone; the exchange goes on without it (owner becomes NULL). */
void exchange_on_client_gone(struct exchange *ex);
void *exchange_owner(const struct exchange *ex);
/* Valid from ports->reply() until exchange_free(). */
struct reply *exchange_reply(struct exchange *ex);
/* Only before exchange_start() or after ports->reply(). */
void exchange_free(struct exchange *ex);

#endif
