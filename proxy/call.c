/* call.c - one request to the primary and its answer.
 *
 *     WAITING -> SENDING -> SENT -> ENDED        (an early answer goes from SENDING to ENDED)
 *
 * What must hold:
 *   - nothing_sent is true only while not one byte of the request was handed to a socket. Only then
 *     the call may move to another connection; a reset right behind the first byte counts as sent.
 *   - A connection goes back to its pool only behind an answer that is complete, says keep-alive,
 *     and left no byte, and only if the request was sent completely. In every other case it is
 *     closed.
 *   - Bytes of the answer are handed out in order and once; `held` is what was decoded and not
 *     taken yet.
 *
 * The special complication: a node that refuses a long body answers and closes while we are still
 * sending. Sending fails then, but the answer is there to be read; so a failed send waits for what
 * reading says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/call.h"

#include "base/failpoint.h"

#include <event2/event.h>

#include "conf/settings.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

/* Bytes a second, on average, of an answer that is collected. */
#define COLLECT_RATE_MIN 1024
#define INFORMATIONAL_MAX 16 /* 1xx answers in front of the final one; more is a flood */

static const struct http_limits answer_limits = {
    .target_max = IOBUF_LARGE,
    .head_max = IOBUF_LARGE,
    .fields_max = HTTP_FIELDS_MAX,
};

static const struct {
    const char *name;
    unsigned next;
} call_states[] = {
    [CALL_WAITING] = {"waiting", BIT(CALL_SENDING) | BIT(CALL_ENDED)},
    [CALL_SENDING] = {"sending", BIT(CALL_WAITING) | BIT(CALL_SENT) | BIT(CALL_ENDED)},
    [CALL_SENT] = {"sent", BIT(CALL_ENDED)},
    [CALL_ENDED] = {"ended", 0},
};

static void call_set_state(struct call *call, enum call_state next)
{
    CHECK(call_states[call->state].next & BIT(next));
    call->state = next;
}

static uint64_t answer_deadline(const struct call *call)
{
    const struct settings *settings = worker_settings(call->upstream->worker);
    return worker_now(call->upstream->worker) +
           (call->patient ? settings->by_query_timeout : settings->primary_answer_timeout);
}

/* Of the answer's body. One that is collected has an open intent behind it, and marks wait for
 * that: a primary that gives a byte now and then must not hold it open for ever. */
static uint64_t body_deadline(const struct call *call)
{
    uint64_t next = answer_deadline(call);
    if (!call->collected)
        return next;
    uint64_t last = call->answered_us +
                    worker_settings(call->upstream->worker)->primary_answer_timeout +
                    call->answer_bytes * 1000000 / COLLECT_RATE_MIN;
    return next < last ? next : last;
}

/* Leaves the lists and gives up the connection. */
static void call_end(struct call *call, bool reusable)
{
    struct upstream_conn *conn = call->conn;

    if (call->state == CALL_WAITING)
        upstream_forget(call->upstream, call);
    list_remove(&call->in_queue);
    list_remove(&call->in_calls);
    conn = call->conn;
    call->conn = NULL;
    call_set_state(call, CALL_ENDED);
    if (conn != NULL)
        upstream_put(conn, reusable);
}

static void call_fail(struct call *call, const char *why)
{
    call->why = why;
    call_end(call, false);
    counter_add(&call->upstream->worker->counters.upstream_failures, 1);
    call->ops->on_failure(call);
}

/* ------------------------------------------------------------------------------------------------
 * Beginning and sending. */

void call_start(struct call *call, struct upstream *upstream, const struct call_ops *ops,
                void *user, struct span method, struct buffer *head)
{
    *call = (struct call){
        .ops = ops,
        .user = user,
        .upstream = upstream,
        .method = method,
        .head = *head,
        .head_size = head->size,
        .state = CALL_WAITING,
        .nothing_sent = true,
    };
    *head = (struct buffer){0};
    list_init(&call->in_queue);
    list_push_back(&upstream->calls, &call->in_calls);
    call->deadline = answer_deadline(call);
    upstream_get(upstream, call);
}

void call_on_connection(struct call *call, struct upstream_conn *conn)
{
    list_remove(&call->in_queue);
    call->conn = conn;
    call->deadline = 0;
    call_set_state(call, CALL_SENDING);
    upstream_read_more(conn, true);

    /* Bytes that were framed for a connection on which nothing could be sent stay behind the new
     * Host. */
    const struct buffer *host = &conn->node->config->host_field;
    size_t framed = call->head.size - call->head_size;
    buffer_reserve(&call->head, host->size);
    memmove(call->head.data + call->head_size + host->size, call->head.data + call->head_size,
            framed);
    memcpy(call->head.data + call->head_size, host->data, host->size);
    call->head.size += host->size;
    call->ops->on_writable(call);
}

void call_on_no_connection(struct call *call)
{
    call_fail(call, call->why);
}

/* Sending failed. As long as nothing was sent another connection will do. */
static void call_send_failed(struct call *call)
{
    struct upstream_conn *conn = call->conn;

    if (!call->nothing_sent) {
        call->send_broken = true;
        upstream_write_more(conn, false);
        event_active(&conn->read_event, EV_READ, 0);
        return;
    }
    size_t host = conn->node->config->host_field.size;
    size_t framed = call->head.size - call->head_size - host;
    memmove(call->head.data + call->head_size, call->head.data + call->head_size + host, framed);
    call->head.size -= host;
    call->conn = NULL;
    call_set_state(call, CALL_WAITING);
    call->deadline = answer_deadline(call);
    upstream_close(conn);
    /* In front: it has waited already. */
    list_push_front(&call->upstream->waiting, &call->in_queue);
    event_active(&call->upstream->later, EV_TIMEOUT, 0);
}

size_t call_send(struct call *call, struct span data, bool last)
{
    struct iovec parts[2];
    int count = 0;

    if (call->state != CALL_SENDING || call->send_broken)
        return 0;
    size_t head_left = call->head.size - call->head_sent;
    if (head_left > 0)
        parts[count++] = (struct iovec){call->head.data + call->head_sent, head_left};
    if (data.size > 0)
        parts[count++] = (struct iovec){(void *)(uintptr_t)data.data, data.size};

    size_t sent = 0;
    if (count > 0) {
        ssize_t result = transport_send(&call->conn->transport, parts, count);
        if (result == TRANSPORT_ERROR) {
            call_send_failed(call);
            return 0;
        }
        if (result > 0) {
            sent = (size_t)result;
            call->nothing_sent = false;
        }
    }
    size_t of_head = sent < head_left ? sent : head_left;
    call->head_sent += of_head;
    if (call->head_sent == call->head.size && !call->nothing_sent) {
        buffer_clear(&call->head);
        call->head_size = call->head_sent = 0;
    }
    if (sent < head_left + data.size) {
        if (sent > 0)
            call->send_broken = FAILPOINT("P5b");
        call->conn->blocked = true;
        upstream_write_more(call->conn, true);
        if (sent > 0 || call->deadline == 0)
            call->deadline = answer_deadline(call);
    } else if (last) {
        call_set_state(call, CALL_SENT);
        call->deadline = FAILPOINT("P6") ? 1 : answer_deadline(call); /* no answer comes */
    } else {
        call->deadline = 0; /* it is not the primary that we wait for */
    }
    return sent - of_head;
}

struct buffer *call_framed(struct call *call)
{
    return &call->head;
}

size_t call_unsent(const struct call *call)
{
    return call->head.size - call->head_sent;
}

void call_on_writable(struct call *call)
{
    if (call->state == CALL_SENDING)
        call->ops->on_writable(call);
}

/* ------------------------------------------------------------------------------------------------
 * The answer. */

static void call_answer_complete(struct call *call)
{
    bool reusable = call->state == CALL_SENT && !call->closing && !call->send_broken &&
                    call->body.framing != HTTP_UNTIL_CLOSE;

    if (call->conn->in.end - call->conn->in.start > 0)
        reusable = false; /* more came than was asked for */
    call_end(call, reusable);
    call->ops->on_end(call);
}

/* Looks for a final head at the front of what came. False: not there yet, or the call has ended. */
static bool call_read_head(struct call *call)
{
    struct iobuf *in = &call->conn->in;
    struct http_head *head = &call->upstream->worker->head;
    struct http_refusal refusal;

    for (;;) {
        struct span bytes = iobuf_span(in);
        if (bytes.size == 0)
            return false;
        enum status status = http_parse_answer(bytes, call->method, &answer_limits, head, &refusal);
        if (status == STATUS_NEED_MORE) {
            if (bytes.size < IOBUF_LARGE)
                return false;
            call_fail(call, "the answer's head does not end");
            return false;
        }
        if (status != STATUS_OK) {
            call_fail(call, refusal.why);
            return false;
        }
        if (head->status >= 200)
            break;
        if (head->status == 101) {
            call_fail(call, "the primary switched protocols, which nobody asked for");
            return false;
        }
        /* 100 was answered by us; 103 and others are hints that a gateway may drop (RFC
         * 9110, 15.2). */
        if (++call->informational > INFORMATIONAL_MAX) {
            call_fail(call, "too many informational answers");
            return false;
        }
        iobuf_consume(in, head->size);
    }
    call->answered = true;
    call->answered_us = worker_now(call->upstream->worker);
    call->closing = !head->keep_alive;
    if (head->framing == HTTP_LENGTH && head->content_length < IOBUF_SMALL / 2)
        call->conn->large = false;
    http_body_init(&call->body, head);
    if (call->body.framing == HTTP_NO_BODY ||
        (call->body.framing == HTTP_LENGTH && call->body.left == 0))
        call->body.done = true;
    size_t size = head->size;
    call->ops->on_head(call, head, span_of(in->data + in->start, size));
    if (call->state == CALL_ENDED)
        return false;
    iobuf_consume(in, size);
    return true;
}

/* Hands out what is held. False: the user takes no more now, or has ended the call. */
static bool call_hand_out(struct call *call)
{
    if (call->held.size > 0) {
        size_t taken = call->ops->on_body(call, call->held);
        if (call->state == CALL_ENDED)
            return false;
        call->held.data += taken;
        call->held.size -= taken;
    }
    if (call->held.size > 0) {
        upstream_read_more(call->conn, false);
        call->deadline = 0; /* it is the client that we wait for */
        call->ops->on_handed_out(call);
        return false;
    }
    iobuf_consume(&call->conn->in, call->held_raw);
    call->held_raw = 0;
    return true;
}

static void call_read_body(struct call *call)
{
    struct iobuf *in = &call->conn->in;
    struct http_refusal refusal;

    while (!call->body.done && in->end > in->start) {
        size_t used = 0;
        if (http_body_next(&call->body, iobuf_span(in), &used, &call->held, &refusal) !=
            STATUS_OK) {
            call_fail(call, refusal.why);
            return;
        }
        call->held_raw = used;
        if (!call_hand_out(call))
            return;
        if (used == 0 && !call->body.done)
            break; /* it needs more bytes to go on */
    }
    if (call->body.done)
        call_answer_complete(call);
    else
        call->ops->on_handed_out(call);
}

/* Goes through what is in conn->in. */
static void call_read(struct call *call)
{
    if (!call->answered && !call_read_head(call))
        return;
    if (call->held_raw > 0 && !call_hand_out(call))
        return;
    call_read_body(call);
}

static void call_on_end_of_stream(struct call *call)
{
    if (call->answered && call->body.framing == HTTP_UNTIL_CLOSE) {
        call->body.done = true;
        call_answer_complete(call);
    } else if (call->answered) {
        call_fail(call, "the primary closed the connection within its answer");
    } else {
        call_fail(call, "the primary closed the connection without an answer");
    }
}

/* Memory to read into. */
static void make_room(struct upstream_conn *conn)
{
    struct iobuf_pool *pool = &conn->upstream->worker->buffers;
    struct iobuf *in = &conn->in;

    if (in->data == NULL && !conn->large)
        iobuf_attach(pool, in);
    else if (in->end == in->start && conn->large)
        iobuf_grow(pool, in);
    else if (iobuf_room(in) == 0 && !iobuf_grow(pool, in))
        iobuf_compact(in);
}

void call_on_readable(struct call *call)
{
    do {
        struct upstream_conn *conn = call->conn;
        make_room(conn);
        size_t room = iobuf_room(&conn->in);
        CHECK(room > 0);
        ssize_t got = transport_recv(&conn->transport, conn->in.data + conn->in.end, room);
        if (got == TRANSPORT_AGAIN) {
            if (conn->transport.wants_write)
                upstream_write_more(conn, true);
            return;
        }
        if (got == TRANSPORT_ERROR) {
            call_fail(call, conn->transport.why);
            return;
        }
        if (got == 0) {
            call_on_end_of_stream(call);
            return;
        }
        conn->large |= (size_t)got == room;
        conn->in.end += (size_t)got;
        call->answer_bytes += (size_t)got;
        if (call->answered)
            call->deadline = body_deadline(call);
        call_read(call);
    } while (call->state != CALL_ENDED && call->held_raw == 0 &&
             transport_pending(&call->conn->transport));
}

void call_resume(struct call *call)
{
    if (call->state == CALL_ENDED || call->held_raw == 0)
        return;
    call_read(call);
    if (call->state == CALL_ENDED || call->held_raw > 0)
        return;
    call->deadline = answer_deadline(call);
    upstream_read_more(call->conn, true);
    if (transport_pending(&call->conn->transport))
        call_on_readable(call);
}

void call_on_overdue(struct call *call)
{
    call->timed_out = true;
    if (call->state == CALL_WAITING)
        call_fail(call, "no connection to the primary became free in time");
    else if (call->state == CALL_SENDING)
        call_fail(call, "the primary stopped reading the request");
    else
        call_fail(call, call->answered ? "the primary stopped in the middle of its answer"
                                       : "the primary did not answer in time");
}

void call_cancel(struct call *call)
{
    if (call->state != CALL_ENDED)
        call_end(call, false);
}

void call_fini(struct call *call)
{
    CHECK(call->state == CALL_ENDED);
    buffer_fini(&call->head);
}
