/* upstream.c - one thread's connections to the nodes of the primary, and which nodes are well.
 *
 * A connection walks CONNECTING -> BUSY <-> IDLE -> CLOSED; conn_set_state() alone moves it.
 *
 * What must hold:
 *   - A connection is IDLE only with no call, no unread byte, and its read event armed, so that an
 *     end is seen.
 *   - A call that could not be given a connection has sent nothing: it may go to any other node.
 *   - Nothing is called back from within upstream_get() but call_on_connection().
 *
 * Health is learned from real requests only: a node that cannot be connected to is down for
 * primary.retry_interval, twice as long after each further failure; then one request at a time
 * tries it. When every node is down the one that comes back first is tried, since an error of its
 * own says more than ours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/upstream.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/settings.h"
#include "proxy/call.h"
#include "proxy/worker.h"

/* A peer that vanished without a word is noticed after this: probes begin at 10 s of silence, and
 * bytes that nobody acknowledges count for as long. */
#define SILENCE_S 10
#define SILENCE_PROBES 3
#define UNACKNOWLEDGED_MS 20000

#define DOWN_FACTOR_MAX 5 /* at most 2^5 times primary.retry_interval */

static const struct {
    const char *name;
    unsigned next;
} conn_states[] = {
    [CONN_CONNECTING] = {"connecting", BIT(CONN_BUSY) | BIT(CONN_IDLE) | BIT(CONN_CLOSED)},
    [CONN_BUSY] = {"busy", BIT(CONN_IDLE) | BIT(CONN_CLOSED)},
    [CONN_IDLE] = {"idle", BIT(CONN_BUSY) | BIT(CONN_CLOSED)},
    [CONN_CLOSED] = {"closed", 0},
};

static void conn_set_state(struct upstream_conn *conn, enum conn_state next)
{
    CHECK(conn_states[conn->state].next & BIT(next));
    conn->state = next;
}

/* ------------------------------------------------------------------------------------------------
 * Nodes. */

static void node_failed(struct upstream *upstream, struct node *node, const char *why)
{
    const struct settings *settings = worker_settings(upstream->worker);
    unsigned factor = node->failures < DOWN_FACTOR_MAX ? node->failures : DOWN_FACTOR_MAX;
    uint64_t pause = settings->primary_retry_interval << factor;

    upstream->connect_failures++;
    if (node->failures == 0)
        log_warn(node->config->who, "cannot be reached: %s", why);
    node->failures++;
    node->down_until = worker_now(upstream->worker) + pause;
    node->next_address = (node->next_address + 1) % node->config->address_count;
}

static void node_works(struct node *node)
{
    if (node->failures > 0)
        log_info(node->config->who, "is back (failures=%u)", node->failures);
    node->failures = 0;
    node->down_until = 0;
}

static bool node_usable(const struct node *node, uint64_t now)
{
    return node->down_until == 0 || (now >= node->down_until && !node->probing);
}

/* The node for the next request: one that is well and has room, with the fewest calls, in turn
 * among equals. NULL with FULL: there are such nodes, but none has room. NULL without: every node
 * was tried. */
static struct node *choose_node(struct upstream *upstream, uint64_t tried, bool *full)
{
    uint64_t connections_max = worker_settings(upstream->worker)->primary_connections_max;
    uint64_t now = worker_now(upstream->worker);
    struct node *best = NULL, *first_back = NULL;

    *full = false;
    for (size_t i = 0; i < upstream->node_count; i++) {
        size_t at = (upstream->turn + i) % upstream->node_count;
        struct node *node = &upstream->nodes[at];
        if (tried & (UINT64_C(1) << at))
            continue;
        bool room = !list_empty(&node->idle) || node->open < connections_max;
        if (!node_usable(node, now)) {
            if (room && (first_back == NULL || node->down_until < first_back->down_until))
                first_back = node;
        } else if (!room) {
            *full = true;
        } else if (best == NULL || node->busy < best->busy) {
            best = node;
        }
    }
    if (++upstream->turn >= upstream->node_count)
        upstream->turn = 0;
    return best != NULL || *full ? best : first_back;
}

size_t upstream_well(const struct upstream *upstream)
{
    size_t well = 0;
    for (size_t i = 0; i < upstream->node_count; i++)
        well += upstream->nodes[i].down_until == 0;
    return well;
}

/* ------------------------------------------------------------------------------------------------
 * Connections. */

void upstream_read_more(struct upstream_conn *conn, bool more)
{
    if (conn->reading == more)
        return;
    conn->reading = more;
    if (more)
        event_add(&conn->read_event, NULL);
    else
        event_del(&conn->read_event);
}

void upstream_write_more(struct upstream_conn *conn, bool more)
{
    if (conn->writing == more)
        return;
    conn->writing = more;
    if (more)
        event_add(&conn->write_event, NULL);
    else
        event_del(&conn->write_event);
}

void upstream_close(struct upstream_conn *conn)
{
    struct upstream *upstream = conn->upstream;
    struct node *node = conn->node;

    if (conn->state == CONN_CLOSED)
        return;
    if (conn->state == CONN_CONNECTING && node->down_until != 0)
        node->probing = false;
    if (conn->state != CONN_IDLE)
        node->busy--;
    conn_set_state(conn, CONN_CLOSED);
    conn->call = NULL;
    event_del(&conn->read_event);
    event_del(&conn->write_event);
    iobuf_detach(&upstream->worker->buffers, &conn->in);
    transport_close(&conn->transport, false);
    node->open--;
    list_remove(&conn->in_idle);
    list_remove(&conn->in_all);
    worker_free_later(upstream->worker, conn);
    /* Somebody may wait for a connection because there were too many. */
    if (!list_empty(&upstream->waiting))
        event_active(&upstream->later, EV_TIMEOUT, 0);
}

static void conn_failed_to_connect(struct upstream_conn *conn, const char *why)
{
    struct upstream *upstream = conn->upstream;
    struct node *node = conn->node;
    struct call *call = conn->call;

    node_failed(upstream, node, why);
    upstream_close(conn);
    if (call != NULL) {
        call->tried |= UINT64_C(1) << (size_t)(node - upstream->nodes);
        call->conn = NULL;
        call->why = why;
        upstream_get(upstream, call);
    }
}

/* The socket can be written for the first time, or the handshake can go on. */
static void conn_go_on_connecting(struct upstream_conn *conn)
{
    if (!conn->connected) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(conn->transport.fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error != 0) {
            conn_failed_to_connect(conn, strerrordesc_np(error));
            return;
        }
        conn->connected = true;
    }
    int shaken = transport_handshake(&conn->transport);
    if (shaken == TRANSPORT_ERROR) {
        conn_failed_to_connect(conn, conn->transport.why);
        return;
    }
    upstream_read_more(conn, true);
    upstream_write_more(conn, shaken == TRANSPORT_AGAIN && conn->transport.wants_write);
    if (shaken == TRANSPORT_AGAIN)
        return;

    struct call *call = conn->call;
    if (conn->node->down_until != 0)
        conn->node->probing = false;
    node_works(conn->node);
    conn_set_state(conn, CONN_BUSY);
    conn->deadline = 0;
    if (call != NULL)
        call_on_connection(call, conn);
    else
        upstream_put(conn, true);
    /* Others may have waited only because this node was being tried. */
    if (!list_empty(&conn->upstream->waiting))
        event_active(&conn->upstream->later, EV_TIMEOUT, 0);
}

static void conn_on_read(evutil_socket_t fd, short what, void *arg)
{
    struct upstream_conn *conn = arg;
    (void)fd, (void)what;

    switch (conn->state) {
    case CONN_CONNECTING:
        conn_go_on_connecting(conn);
        break;
    case CONN_BUSY:
        call_on_readable(conn->call);
        break;
    case CONN_IDLE: /* an end, or bytes that nobody asked for */
        upstream_close(conn);
        break;
    case CONN_CLOSED:
        break;
    }
}

static void conn_on_write(evutil_socket_t fd, short what, void *arg)
{
    struct upstream_conn *conn = arg;
    (void)fd, (void)what;

    if (conn->state == CONN_CONNECTING) {
        conn_go_on_connecting(conn);
    } else if (conn->state == CONN_BUSY) {
        conn->blocked = false;
        if (conn->transport.wants_write) { /* it is a read that waited */
            conn->transport.wants_write = false;
            call_on_readable(conn->call);
        }
        if (conn->state == CONN_BUSY)
            call_on_writable(conn->call);
        if (conn->state == CONN_BUSY && !conn->blocked && !conn->transport.wants_write)
            upstream_write_more(conn, false);
    }
}

static void socket_options(int fd)
{
    int on = 1, idle = SILENCE_S, probes = SILENCE_PROBES, unacknowledged = UNACKNOWLEDGED_MS;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
}

/* Begins to connect to NODE for CALL. NULL: it failed at once, and WHY says it. */
static struct upstream_conn *conn_open(struct upstream *upstream, struct node *node,
                                       struct call *call, const char **why)
{
    const struct node_address *address = &node->config->addresses[node->next_address];
    int fd = socket(address->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        *why = strerrordesc_np(errno);
        return NULL;
    }
    socket_options(fd);
    upstream->connects++;
    if (connect(fd, (const struct sockaddr *)&address->address, address->size) != 0 &&
        errno != EINPROGRESS) {
        *why = strerrordesc_np(errno);
        close(fd);
        return NULL;
    }
    struct upstream_conn *conn = bytes_zalloc(sizeof *conn);
    conn->upstream = upstream;
    conn->node = node;
    conn->call = call;
    conn->state = CONN_CONNECTING;
    conn->deadline =
        worker_now(upstream->worker) + worker_settings(upstream->worker)->primary_connect_timeout;
    transport_init_client(&conn->transport, fd,
                          node->config->tls ? upstream->worker->shared->nodes.context : NULL,
                          node->config->host);
    event_assign(&conn->read_event, upstream->worker->base, fd, EV_READ | EV_PERSIST, conn_on_read,
                 conn);
    event_assign(&conn->write_event, upstream->worker->base, fd, EV_WRITE | EV_PERSIST,
                 conn_on_write, conn);
    list_push_back(&upstream->conns, &conn->in_all);
    list_init(&conn->in_idle);
    node->open++;
    node->busy++;
    node->probing = node->down_until != 0;
    upstream_write_more(conn, true);
    return conn;
}

/* A connection from the pool that looks alive; NULL when there is none. */
static struct upstream_conn *conn_from_pool(struct node *node)
{
    while (!list_empty(&node->idle)) {
        struct upstream_conn *conn = LINK_OF(node->idle.next, struct upstream_conn, in_idle);
        if (!transport_quiet(&conn->transport)) {
            upstream_close(conn);
            continue;
        }
        list_remove(&conn->in_idle);
        conn_set_state(conn, CONN_BUSY);
        node->busy++;
        return conn;
    }
    return NULL;
}

/* ------------------------------------------------------------------------------------------------
 * What a call asks for. */

void upstream_fail_later(struct upstream *upstream, struct call *call)
{
    list_remove(&call->in_queue);
    list_push_back(&upstream->failed, &call->in_queue);
    event_active(&upstream->later, EV_TIMEOUT, 0);
}

void upstream_get(struct upstream *upstream, struct call *call)
{
    struct node *node;
    bool full;

    while ((node = choose_node(upstream, call->tried, &full)) != NULL) {
        struct upstream_conn *conn = conn_from_pool(node);
        if (conn != NULL) {
            conn->call = call;
            call_on_connection(call, conn);
            return;
        }
        conn = conn_open(upstream, node, call, &call->why);
        if (conn != NULL) {
            call->conn = conn;
            return;
        }
        node_failed(upstream, node, call->why);
        call->tried |= UINT64_C(1) << (size_t)(node - upstream->nodes);
    }
    if (full) {
        list_remove(&call->in_queue);
        list_push_back(&upstream->waiting, &call->in_queue);
        return;
    }
    if (call->why == NULL)
        call->why = "no node of the primary can be reached";
    upstream_fail_later(upstream, call);
}

void upstream_forget(struct upstream *upstream, struct call *call)
{
    (void)upstream;
    list_remove(&call->in_queue);
    if (call->conn != NULL && call->conn->state == CONN_CONNECTING) {
        call->conn->call = NULL; /* it goes to the pool when it is connected */
        call->conn = NULL;
    }
}

void upstream_put(struct upstream_conn *conn, bool reusable)
{
    struct upstream *upstream = conn->upstream;
    struct worker *worker = upstream->worker;

    conn->call = NULL;
    if (!reusable || worker->draining || conn->in.end != conn->in.start ||
        transport_pending(&conn->transport)) {
        upstream_close(conn);
        return;
    }
    iobuf_detach(&worker->buffers, &conn->in);
    conn->node->busy--;
    conn_set_state(conn, CONN_IDLE);
    conn->deadline = worker_now(worker) + worker_settings(worker)->primary_idle_timeout;
    upstream_write_more(conn, false);
    upstream_read_more(conn, true);
    list_push_front(&conn->node->idle, &conn->in_idle);
    if (!list_empty(&upstream->waiting))
        event_active(&upstream->later, EV_TIMEOUT, 0);
}

/* ------------------------------------------------------------------------------------------------
 * Between turns. */

/* Gives those that wait what there is, the oldest first. */
static void upstream_serve(struct upstream *upstream)
{
    while (!list_empty(&upstream->waiting)) {
        struct call *call = LINK_OF(upstream->waiting.next, struct call, in_queue);
        bool full;
        if (choose_node(upstream, call->tried, &full) == NULL && full)
            return;
        list_remove(&call->in_queue);
        upstream_get(upstream, call);
    }
}

static void upstream_on_later(evutil_socket_t fd, short what, void *arg)
{
    struct upstream *upstream = arg;
    (void)fd, (void)what;

    while (!list_empty(&upstream->failed)) {
        struct call *call = LINK_OF(upstream->failed.next, struct call, in_queue);
        list_remove(&call->in_queue);
        call_on_no_connection(call);
    }
    upstream_serve(upstream);
}

void upstream_tick(struct upstream *upstream, uint64_t now)
{
    struct link *next;
    for (struct link *link = upstream->conns.next; link != &upstream->conns; link = next) {
        struct upstream_conn *conn = LINK_OF(link, struct upstream_conn, in_all);
        next = link->next;
        if (conn->deadline == 0 || now < conn->deadline)
            continue;
        if (conn->state == CONN_IDLE) {
            upstream_close(conn);
        } else if (conn->state == CONN_CONNECTING) {
            conn_failed_to_connect(conn, "it did not accept the connection in time");
            /* The list may have changed anywhere: the rest has its turn at the next tick. */
            return;
        }
    }
    for (struct link *link = upstream->calls.next; link != &upstream->calls; link = next) {
        struct call *call = LINK_OF(link, struct call, in_calls);
        next = link->next;
        if (call->deadline != 0 && now >= call->deadline) {
            call_on_overdue(call);
            next = upstream->calls.next; /* it may have ended others: begin again */
        }
    }
}

void upstream_init(struct upstream *upstream, struct worker *worker, const struct nodes *nodes)
{
    *upstream = (struct upstream){.worker = worker, .node_count = nodes->count};
    upstream->nodes = bytes_zalloc(nodes->count * sizeof upstream->nodes[0]);
    for (size_t i = 0; i < nodes->count; i++) {
        upstream->nodes[i].config = &nodes->items[i];
        list_init(&upstream->nodes[i].idle);
    }
    /* Each thread begins with another node. */
    upstream->turn = worker->index % nodes->count;
    list_init(&upstream->conns);
    list_init(&upstream->calls);
    list_init(&upstream->waiting);
    list_init(&upstream->failed);
    event_assign(&upstream->later, worker->base, -1, 0, upstream_on_later, upstream);
}

void upstream_fini(struct upstream *upstream)
{
    while (!list_empty(&upstream->conns))
        upstream_close(LINK_OF(upstream->conns.next, struct upstream_conn, in_all));
    event_del(&upstream->later);
    free(upstream->nodes);
}
