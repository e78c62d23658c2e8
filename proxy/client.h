/* client.h - one connection of a client: its requests, one after another, and their answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_CLIENT_H
#define TANDEM_PROXY_CLIENT_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "http/message.h"
#include "proxy/exchange.h"
#include "proxy/iobuf.h"
#include "proxy/list.h"
#include "proxy/transport.h"

struct stream;
struct worker;

enum client_state {
    CLIENT_SHAKING,    /* TLS: hands are not shaken yet */
    CLIENT_IDLE,       /* no byte of a request has come */
    CLIENT_HEAD,       /* part of a head has come */
    CLIENT_COLLECTING, /* the body of a write is arriving */
    CLIENT_WAITING,    /* the machine has the write; its reply is not there yet */
    CLIENT_STREAMING,  /* stream.c moves the bytes */
    CLIENT_REPLYING,   /* an answer of ours is on its way out */
    CLIENT_DRAINING,   /* answered; the rest of the request's body is read and dropped */
    CLIENT_LINGERING,  /* our side is shut; the client may still read the answer */
    CLIENT_CLOSED,     /* memory goes at the end of this turn */
};

struct client {
    struct worker *worker; /* borrowed */
    struct transport transport;
    struct event read_event, write_event;
    struct link in_clients;
    struct iobuf in;          /* read and not used yet; detached when IDLE */
    struct buffer out;        /* owned: bytes on their way out, head first */
    size_t out_sent;          /* of out */
    struct buffer reply_body; /* owned: goes out behind out */
    size_t reply_sent;        /* of reply_body */
    struct stream *stream;    /* owned while STREAMING */
    struct exchange *ex;      /* COLLECTING: ours; WAITING: its own, told when we go */
    struct http_body body;    /* of the request */
    uint64_t body_bytes;      /* of the request's body so far */
    uint64_t body_counted;    /* of them in core->body_bytes */
    uint64_t rate_since;      /* when counting for proxy.body_rate_min began; 0: not counting */
    uint64_t rate_bytes;      /* since then */
    uint64_t read_deadline;   /* 0: we do not wait for the client to send */
    uint64_t write_deadline;  /* 0: we do not wait for the client to read */
    uint64_t linger_until;    /* LINGERING: closed then, whatever comes */
    size_t scanned;           /* of an incomplete head: bytes known to hold no end of a line */
    enum client_state state;  /* moved by client_set_state() only */
    int minor;                /* HTTP/1.minor of the request */
    bool keep_alive;          /* what the client wants */
    bool close_after;         /* this answer is the last one */
    bool head_request;        /* the method is HEAD */
    bool body_left;           /* the request's body did not arrive completely */
    bool at_end;              /* the client has said that it sends nothing more */
    bool refused;             /* over proxy.connections_max: every request is answered 503 */
    bool reading, writing;    /* the events are armed */
    bool blocked;             /* the last send could not send all */
    bool running;             /* client_run() is on the stack */
};

/* Takes over FD, which counts in shared->clients. REFUSED: only to be told that there is no room.
 */
void client_new(struct worker *worker, int fd, bool refused);
/* Ends it at once; a write that the machine has goes on without it. */
void client_destroy(struct client *client, bool reset);
void client_tick(struct client *client, uint64_t now);
/* The worker drains: closes the connection if it has been silent. */
void client_drain(struct client *client, uint64_t now);

/* ------------------------------------------------------------------------------------------------
 * For stream.c and collect.c. */

void client_set_state(struct client *client, enum client_state next);
/* Answers with REPLY (its body is taken over; the caller ends the rest). */
void client_reply(struct client *client, struct reply *reply);
/* Answers one of our own errors; nothing of the request goes on. LAST: nor does the connection. */
void client_error(struct client *client, int status, const char *type, const char *outcome,
                  const char *why, bool last);
/* Answers `Expect: 100-continue` if the client still waits for it. */
void client_say_continue(struct client *client, const struct http_head *head);
/* The timers of a request's body, which run only while we read it. */
void client_body_timers(struct client *client, bool run);

/* Sends what is in out and then DATA; how much of DATA was taken. Check client->state afterwards.
 */
size_t client_send(struct client *client, struct span data);
/* How many bytes wait in out. */
static inline size_t client_unsent(const struct client *client)
{
    return client->out.size - client->out_sent;
}
/* Decides whether the answer that is about to begin is the last one (always with LAST), and returns
 * the connection field that says so, or "". */
const char *client_connection_field(struct client *client, bool last);
/* Sets whether more of the body is wanted from the socket now. */
void client_read_more(struct client *client, bool more);
/* The stream has ended with its answer sent. */
void client_stream_done(struct client *client);
/* The framing of the request's body is wrong. */
void client_stream_malformed(struct client *client, const struct http_refusal *refusal);
/* The stream has failed before a byte of its answer was sent: REPLY takes its place. */
void client_stream_reply(struct client *client, struct reply *reply);

#endif
