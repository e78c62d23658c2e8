/* upstream.h - one thread's connections to the nodes of the primary, and which nodes are well.
 *
 * A connection belongs to one call at a time (call.h) and waits in its node's pool between calls.
 * It goes back there only behind an answer that was complete, clean and keep-alive; anything that
 * comes while it is idle, an end or a byte, closes it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_UPSTREAM_H
#define TANDEM_PROXY_UPSTREAM_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/bytes.h"
#include "proxy/iobuf.h"
#include "proxy/list.h"
#include "proxy/transport.h"

struct call;
struct settings;
struct worker;

#define NODE_ADDRESSES_MAX 8
#define NODES_MAX 64

/* A node as it is configured: the same for all threads, made at start. */
struct node_address {
    struct sockaddr_storage address;
    socklen_t size;
};
struct node_config {
    char *who;  /* owned; "primary node http://...", for logs */
    char *host; /* owned; the name for TLS */
    bool tls;
    struct buffer host_field; /* "Host: name:port\r\n\r\n", what ends a request head */
    struct node_address addresses[NODE_ADDRESSES_MAX];
    size_t address_count;
};
struct nodes {
    struct node_config *items; /* owned */
    size_t count;
    SSL_CTX *context; /* owned; NULL when no node speaks TLS */
};
/* Resolves the names (this blocks) and loads what TLS needs. */
bool nodes_init(struct nodes *nodes, const struct settings *settings, char *why, size_t why_size);
void nodes_fini(struct nodes *nodes);

struct node {
    const struct node_config *config; /* borrowed */
    struct link idle;                 /* connections, the one used last in front */
    size_t open, busy;                /* connections, and those with a call */
    size_t next_address;
    uint64_t down_until; /* 0: well */
    unsigned failures;   /* in a row */
    bool probing;        /* down, and a first connection is being tried again */
};

enum conn_state {
    CONN_CONNECTING, /* the socket is not connected yet, or hands are not shaken yet */
    CONN_BUSY,       /* with a call */
    CONN_IDLE,       /* in the node's pool */
    CONN_CLOSED,     /* memory goes at the end of this turn */
};

struct upstream_conn {
    struct upstream *upstream; /* borrowed */
    struct node *node;         /* borrowed */
    struct call *call;         /* borrowed; NULL when IDLE or CLOSED */
    struct transport transport;
    struct event read_event, write_event;
    struct iobuf in;       /* answer bytes not handed out yet; detached when IDLE */
    enum conn_state state; /* moved by conn_set_state() only */
    bool reading, writing; /* the events are armed */
    bool blocked;          /* the last send could not send all */
    bool connected;        /* of CONNECTING: now hands are shaken */
    bool large;            /* its last answer was long: begin the next with a large buffer */
    uint64_t deadline;     /* CONNECTING, IDLE: closed then */
    struct link in_all, in_idle;
};

struct upstream {
    struct worker *worker; /* borrowed */
    struct node *nodes;    /* owned */
    size_t node_count;
    size_t turn;                         /* where round robin goes on */
    struct link conns;                   /* all connections */
    struct link calls;                   /* all calls (call.c), for their deadlines */
    struct link waiting;                 /* calls that wait for a connection, the oldest in front */
    struct link failed;                  /* calls whose failure is told at the next turn */
    struct event later;                  /* fires for `failed` */
    uint64_t connects, connect_failures; /* counters */
};

void upstream_init(struct upstream *upstream, struct worker *worker, const struct nodes *nodes);
void upstream_fini(struct upstream *upstream);

/* Finds CALL a connection: call_on_connection, at once or later, or call_on_no_connection, always
 * later. */
void upstream_get(struct upstream *upstream, struct call *call);
/* CALL no longer waits. */
void upstream_forget(struct upstream *upstream, struct call *call);
/* The answer is complete. REUSABLE: the connection is as good as new. */
void upstream_put(struct upstream_conn *conn, bool reusable);
/* Closes it, whatever state it is in. */
void upstream_close(struct upstream_conn *conn);
/* Arms or disarms its events. */
void upstream_read_more(struct upstream_conn *conn, bool more);
void upstream_write_more(struct upstream_conn *conn, bool more);
/* Tells CALL's failure at the next turn of the loop. */
void upstream_fail_later(struct upstream *upstream, struct call *call);
/* Closes what has been idle or connecting for too long; ends calls that are overdue. */
void upstream_tick(struct upstream *upstream, uint64_t now);
/* How many nodes are not down. */
size_t upstream_well(const struct upstream *upstream);

#endif
