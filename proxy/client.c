/* client.c - one connection of a client: its requests, one after another, and their answers.
 *
 * A request walks these states; client_set_state() alone moves it:
 *
 *     SHAKING -> IDLE -> HEAD -> STREAMING ---------------------> IDLE
 *                             -> COLLECTING -> WAITING -> REPLYING -> IDLE, DRAINING or LINGERING
 *                             -> REPLYING (what we refuse)
 *
 * What must hold:
 *   - One request at a time: the next is read from `in` when the answer to the one before is out.
 *     So answers come in the order of the requests, and a client that pipelines cannot make us
 *     hold more than one buffer.
 *   - An answer, once begun, is sent to its end or the connection is cut; never two answers mixed.
 *   - Behind an error of framing nothing more is read as a request.
 *   - What a client can make us keep is counted in core->body_bytes before it is kept.
 *   - A write that the machine has goes on when the client has gone.
 *
 * A client that sends FIN behind its request still gets its answer: HTTP cannot tell a half-closed
 * connection from one that was given up, and a lost answer is worse than one that nobody reads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/client.h"

#include <event2/event.h>
#include <stdlib.h>

#include "base/log.h"
#include "conf/settings.h"
#include "proxy/collect.h"
#include "proxy/stream.h"
#include "proxy/worker.h"

#define SECOND UINT64_C(1000000)
#define REQUESTS_PER_TURN 64 /* of one connection that pipelines; then others have their turn */
#define DRAIN_MAX                                                                                  \
    (UINT64_C(1) << 20) /* a refused body up to this is read and dropped to keep the connection */
#define LINGER_SILENCE (2 * SECOND) /* the client has so long to send something more ... */
#define LINGER_TIME (30 * SECOND)   /* ... and so long in all */
#define RATE_GRACE (10 * SECOND)    /* before proxy.body_rate_min is looked at */
#define REFUSED_TIME (1 * SECOND)   /* a connection over proxy.connections_max must be quick */
#define DRAIN_SILENCE (1 * SECOND)  /* at the end: an idle client may still be about to send */

/* clang-format off */
static const struct {
    const char *name;
    unsigned next;
} client_states[] = {
    [CLIENT_SHAKING] = {"shaking", BIT(CLIENT_IDLE) | BIT(CLIENT_CLOSED)},
    [CLIENT_IDLE] = {"idle", BIT(CLIENT_HEAD) | BIT(CLIENT_LINGERING) | BIT(CLIENT_CLOSED)},
    [CLIENT_HEAD] = {"head", BIT(CLIENT_COLLECTING) | BIT(CLIENT_STREAMING) | BIT(CLIENT_REPLYING) |
                             BIT(CLIENT_CLOSED)},
    [CLIENT_COLLECTING] = {"collecting", BIT(CLIENT_WAITING) | BIT(CLIENT_REPLYING) | BIT(CLIENT_CLOSED)},
    [CLIENT_WAITING] = {"waiting", BIT(CLIENT_REPLYING) | BIT(CLIENT_CLOSED)},
    [CLIENT_STREAMING] = {"streaming", BIT(CLIENT_REPLYING) | BIT(CLIENT_IDLE) | BIT(CLIENT_LINGERING) |
                                       BIT(CLIENT_CLOSED)},
    [CLIENT_REPLYING] = {"replying", BIT(CLIENT_IDLE) | BIT(CLIENT_DRAINING) | BIT(CLIENT_LINGERING) |
                                     BIT(CLIENT_CLOSED)},
    [CLIENT_DRAINING] = {"draining", BIT(CLIENT_IDLE) | BIT(CLIENT_LINGERING) | BIT(CLIENT_CLOSED)},
    [CLIENT_LINGERING] = {"lingering", BIT(CLIENT_CLOSED)},
    [CLIENT_CLOSED] = {"closed", 0},
};
/* clang-format on */

void client_set_state(struct client *client, enum client_state next)
{
    CHECK(client_states[client->state].next & BIT(next));
    client->state = next;
}

static void client_run(struct client *client);

/* ------------------------------------------------------------------------------------------------
 * Moving bytes. */

static void client_arm_read(struct client *client, bool more)
{
    if (client->reading == more)
        return;
    client->reading = more;
    if (more)
        event_add(&client->read_event, NULL);
    else
        event_del(&client->read_event);
}

static void client_arm_write(struct client *client, bool more)
{
    if (client->writing == more)
        return;
    client->writing = more;
    if (more)
        event_add(&client->write_event, NULL);
    else
        event_del(&client->write_event);
}

/* The body of a request is expected from now on: its timers run only while we read. */
void client_body_timers(struct client *client, bool run)
{
    const struct settings *settings = worker_settings(client->worker);
    uint64_t now = worker_now(client->worker);

    if (!run) {
        client->read_deadline = client->rate_since = 0;
        return;
    }
    client->read_deadline = now + settings->proxy_body_timeout;
    if (client->rate_since == 0) {
        client->rate_since = now;
        client->rate_bytes = 0;
    }
}

void client_read_more(struct client *client, bool more)
{
    if (client->at_end)
        more = false;
    client_arm_read(client, more);
    if (more && client->rate_since == 0)
        client_body_timers(client, true);
    else if (!more)
        client_body_timers(client, false);
}

size_t client_send(struct client *client, struct span data)
{
    struct iovec parts[2];
    int count = 0;
    size_t out_left = client_unsent(client);

    if (out_left > 0)
        parts[count++] = (struct iovec){client->out.data + client->out_sent, out_left};
    if (data.size > 0)
        parts[count++] = (struct iovec){(void *)(uintptr_t)data.data, data.size};
    if (count == 0) {
        client->write_deadline = 0;
        return 0;
    }
    ssize_t result = transport_send(&client->transport, parts, count);
    if (result == TRANSPORT_ERROR) {
        client_destroy(client, false);
        return 0;
    }
    size_t sent = result > 0 ? (size_t)result : 0;
    size_t of_out = sent < out_left ? sent : out_left;
    client->out_sent += of_out;
    if (client->out_sent == client->out.size) {
        buffer_clear(&client->out);
        client->out_sent = 0;
    }
    if (sent < out_left + data.size) {
        client->blocked = true;
        client_arm_write(client, true);
        if (sent > 0 || client->write_deadline == 0)
            client->write_deadline =
                worker_now(client->worker) + worker_settings(client->worker)->proxy_write_timeout;
    } else {
        client->write_deadline = 0;
    }
    counter_add(&client->worker->counters.bytes_out, sent);
    return sent - of_out;
}

/* ------------------------------------------------------------------------------------------------
 * The end of a connection. */

void client_destroy(struct client *client, bool reset)
{
    struct worker *worker = client->worker;

    if (client->state == CLIENT_CLOSED)
        return;
    if (client->ex != NULL)
        collect_leave(client);
    client_set_state(client, CLIENT_CLOSED);
    if (client->stream != NULL)
        stream_free(client->stream);
    client->stream = NULL;
    event_del(&client->read_event);
    event_del(&client->write_event);
    iobuf_detach(&worker->buffers, &client->in);
    buffer_fini(&client->out);
    buffer_fini(&client->reply_body);
    transport_close(&client->transport, reset);
    list_remove(&client->in_clients);
    worker->client_count--;
    atomic_fetch_sub(&worker->shared->clients, 1);
    worker_free_later(worker, client);
    worker_may_end(worker);
}

/* Shuts our side and gives the client time to read: closing at once would reset the connection if
 * it still sends, and take the answer away from it. */
static void client_linger(struct client *client)
{
    if (client->at_end) {
        client_destroy(client, false);
        return;
    }
    client_set_state(client, CLIENT_LINGERING);
    transport_shutdown(&client->transport);
    buffer_fini(&client->out);
    client->in.start = client->in.end = 0;
    client->linger_until = worker_now(client->worker) + LINGER_TIME;
    client->read_deadline = worker_now(client->worker) + LINGER_SILENCE;
    client->rate_since = 0;
    client_arm_read(client, true);
    client_arm_write(client, false);
}

static void client_go_idle(struct client *client)
{
    iobuf_detach(&client->worker->buffers, &client->in);
    if (client->out.capacity > 0)
        buffer_fini(&client->out);
    client->read_deadline =
        worker_now(client->worker) +
        (client->refused ? REFUSED_TIME : worker_settings(client->worker)->proxy_idle_timeout);
    client->rate_since = 0;
    client_arm_read(client, true);
}

/* The answer is out. */
static void client_request_done(struct client *client)
{
    if (client->close_after) {
        client_linger(client);
        return;
    }
    if (client->body_left) {
        client_set_state(client, CLIENT_DRAINING);
        client_read_more(client, true);
    } else {
        client_set_state(client, CLIENT_IDLE);
    }
    client_run(client);
}

/* ------------------------------------------------------------------------------------------------
 * Answers of ours. */

const char *client_connection_field(struct client *client, bool last)
{
    bool no_more = client->at_end && client->in.end == client->in.start;
    client->close_after =
        last || client->close_after || !client->keep_alive || client->worker->draining || no_more;
    if (client->close_after)
        return "Connection: close\r\n";
    return client->minor == 0 ? "Connection: keep-alive\r\n" : "";
}

static bool has_field(struct span fields, const char *name)
{
    size_t size = strlen(name);
    while (fields.size > size) {
        if (fields.data[size] == ':' &&
            span_equal_nocase(span_of(fields.data, size), span_of(name, size)))
            return true;
        const char *end = memchr(fields.data, '\n', fields.size);
        if (end == NULL)
            return false;
        fields = span_of(end + 1, fields.size - (size_t)(end + 1 - fields.data));
    }
    return false;
}

static void client_send_reply(struct client *client)
{
    struct span rest = span_of(client->reply_body.data + client->reply_sent,
                               client->reply_body.size - client->reply_sent);
    client->reply_sent += client_send(client, rest);
    if (client->state == CLIENT_CLOSED || client_unsent(client) > 0 ||
        client->reply_sent < client->reply_body.size)
        return;
    buffer_fini(&client->reply_body);
    client->reply_sent = 0;
    client_request_done(client);
}

/* Answers with REPLY (its body is taken over; the caller ends the rest). */
void client_reply(struct client *client, struct reply *reply)
{
    struct buffer *out = &client->out;
    bool no_length = reply->status == 204 || reply->status == 304;

    client_body_timers(client, false);
    client_set_state(client, CLIENT_REPLYING);
    const char *connection = client_connection_field(client, reply->close);
    buffer_reserve(out, reply->fields.size + 256);
    buffer_append_cstr(out, "HTTP/1.1 ");
    buffer_append_number(out, (uint64_t)reply->status);
    buffer_append_char(out, ' ');
    buffer_append_cstr(out, http_reason(reply->status));
    buffer_append_cstr(out, "\r\n");
    buffer_append_span(out, buffer_span(&reply->fields));
    if (!has_field(buffer_span(&reply->fields), "date"))
        http_append_date(out);
    if (!no_length) {
        buffer_append_cstr(out, "content-length: ");
        buffer_append_number(out, client->head_request && reply->body.size == 0
                                      ? reply->head_length
                                      : (uint64_t)reply->body.size);
        buffer_append_cstr(out, "\r\n");
    }
    buffer_append_cstr(out, connection);
    buffer_append_cstr(out, "\r\n");
    if (client->head_request || no_length)
        buffer_clear(&reply->body);
    client->reply_body = reply->body;
    client->reply_sent = 0;
    reply->body = (struct buffer){0};
    client_send_reply(client);
}

/* Throws away what has come of the body of a request that is not carried out. Decides whether the
 * connection can go on behind it. */
static void client_drop_body(struct client *client)
{
    struct http_refusal refusal;

    while (!client->body.done && client->in.end > client->in.start) {
        size_t used = 0;
        struct span data;
        if (http_body_next(&client->body, iobuf_span(&client->in), &used, &data, &refusal) !=
            STATUS_OK) {
            client->close_after = true;
            break;
        }
        iobuf_consume(&client->in, used);
        if (used == 0)
            break;
    }
    client->body_left = !client->body.done;
    if (client->body_left && (client->body.framing != HTTP_LENGTH || client->body.left > DRAIN_MAX))
        client->close_after = true;
}

/* Answers one of our own errors; nothing of the request goes on. */
void client_error(struct client *client, int status, const char *type, const char *outcome,
                  const char *why, bool last)
{
    struct reply reply = {0};
    reply_error(&reply, status, type, outcome, "%s", why);
    reply.close |= last;
    client_reply(client, &reply);
    reply_fini(&reply);
}

/* The request cannot be understood: nothing behind it can be, either. */
static void client_malformed(struct client *client, int status, const char *why)
{
    counter_add(&client->worker->counters.malformed, 1);
    log_debug("client", "malformed request: %s (status=%d)", why, status);
    client->body_left = true;
    client_error(client, status, "illegal_argument_exception", "not-applied", why, true);
}

void client_say_continue(struct client *client, const struct http_head *head)
{
    if (!head->expect_continue || client->body.done || client->in.end > client->in.start)
        return;
    buffer_append_cstr(&client->out, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(client, SPAN_NONE);
}

/* ------------------------------------------------------------------------------------------------
 * Streams. */

void client_stream_done(struct client *client)
{
    stream_free(client->stream);
    client->stream = NULL;
    client_body_timers(client, false);
    client->body_left = false; /* if it is, the connection closes: the answer said so */
    client_request_done(client);
}

void client_stream_reply(struct client *client, struct reply *reply)
{
    stream_free(client->stream);
    client->stream = NULL;
    client_drop_body(client);
    client_reply(client, reply);
}

void client_stream_malformed(struct client *client, const struct http_refusal *refusal)
{
    bool unanswered = stream_unanswered(client->stream);

    stream_free(client->stream);
    client->stream = NULL;
    if (unanswered)
        client_malformed(client, refusal->status, refusal->why);
    else
        client_destroy(client, true);
}

/* ------------------------------------------------------------------------------------------------
 * Requests. */

/* Our own pseudonym in a request's Via: it has been here before. */
static bool is_loop(const struct client *client, const struct http_head *head)
{
    struct span via = span_cstr(client->worker->shared->via);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (span_equal_nocase(field->name, SPAN("via")) && field->value.size >= via.size &&
            memmem(field->value.data, field->value.size, via.data, via.size) != NULL)
            return true;
    }
    return false;
}

/* Consumes the head, which is not carried out, and what has come of the body. */
static void client_skip_request(struct client *client, const struct http_head *head)
{
    iobuf_consume(&client->in, head->size);
    if (head->expect_continue && client->in.end == client->in.start && !client->body.done)
        client->close_after = true; /* without our 100 it may or may not send the body */
    client_drop_body(client);
}

/* A head is complete: where does it go? */
static void client_begin_request(struct client *client, const struct http_head *head)
{
    struct worker *worker = client->worker;
    const struct settings *settings = worker_settings(worker);
    struct routing routing = {0};

    counter_add(&worker->counters.requests, 1);
    client->minor = head->minor;
    client->keep_alive = head->keep_alive;
    client->head_request = span_equal(head->method, SPAN("HEAD"));
    client->close_after = client->body_left = false;
    client->body_bytes = 0;
    client->read_deadline = 0;
    http_body_init(&client->body, head);
    client->body.done |=
        head->framing == HTTP_NO_BODY || (head->framing == HTTP_LENGTH && client->body.left == 0);

    if (client->refused) {
        client_skip_request(client, head);
        client_error(client, 503, "tandem_connections_exception", "not-applied",
                     "there are proxy.connections_max connections already; try again", true);
        return;
    }
    if (is_loop(client, head)) {
        client_skip_request(client, head);
        client_error(
            client, 508, "tandem_loop_exception", "not-applied",
            "this request has passed through this Tandem already: primary.urls leads back to it",
            true);
        return;
    }
    if (head->framing == HTTP_LENGTH && head->content_length > settings->proxy_body_max) {
        counter_add(&worker->counters.too_large, 1);
        client_skip_request(client, head);
        client_error(client, 413, "content_too_large_exception", "not-applied",
                     "the body is larger than proxy.body_max", true);
        return;
    }
    route_request(worker->shared->core, head, &routing);
    switch (routing.route) {
    case ROUTE_REFUSE:
        counter_add(&worker->counters.refused, 1);
        client_skip_request(client, head);
        client_reply(client, &routing.refusal);
        reply_fini(&routing.refusal);
        break;
    case ROUTE_EXCHANGE:
        collect_begin(client, head, &routing);
        break;
    case ROUTE_STREAM:
        counter_add(&worker->counters.streams, 1);
        client_set_state(client, CLIENT_STREAMING);
        stream_begin(client, head, &routing);
        if (client->state == CLIENT_STREAMING)
            client_say_continue(client, head);
        break;
    }
}

/* An incomplete head is scanned again only when something came that may end a line or break a rule:
 * else a client that sends byte by byte would make us scan it thousands of times. */
static bool worth_parsing(struct client *client, struct span bytes)
{
    size_t from = client->scanned;
    client->scanned = bytes.size;
    if (from == 0 || bytes.size - from >= 4096 || bytes.size / 4096 != from / 4096)
        return true;
    struct span fresh = span_of(bytes.data + from, bytes.size - from);
    return memchr(fresh.data, '\n', fresh.size) != NULL ||
           memchr(fresh.data, '\r', fresh.size) != NULL ||
           memchr(fresh.data, 0, fresh.size) != NULL;
}

/* Looks for a head at the front of `in`. False: there is none yet. */
static bool client_read_head(struct client *client)
{
    struct worker *worker = client->worker;
    const struct settings *settings = worker_settings(worker);
    struct http_head *head = &worker->head;
    struct http_refusal refusal = {0};
    struct span bytes = iobuf_span(&client->in);

    if (bytes.size == 0) {
        if (client->at_end)
            client_destroy(client, false);
        else
            client_go_idle(client);
        return false;
    }
    if (client->state == CLIENT_IDLE) {
        client_set_state(client, CLIENT_HEAD);
        client->scanned = 0;
        client->read_deadline = worker_now(client->worker) + settings->proxy_head_timeout;
    }
    if (!worth_parsing(client, bytes) && !client->at_end)
        return false;
    struct http_limits limits = {
        .target_max = settings->proxy_target_max,
        .head_max =
            settings->proxy_head_max < IOBUF_LARGE ? settings->proxy_head_max : IOBUF_LARGE - 1,
        .fields_max = settings->proxy_fields_max < HTTP_FIELDS_MAX ? settings->proxy_fields_max
                                                                   : HTTP_FIELDS_MAX,
    };
    switch (http_parse_request(bytes, &limits, head, &refusal)) {
    case STATUS_OK:
        client->scanned = 0;
        client_begin_request(client, head);
        return true;
    case STATUS_NEED_MORE:
        if (client->at_end)
            client_destroy(client, false);
        else
            client_arm_read(client, true);
        return false;
    default:
        client->head_request = false;
        client->keep_alive = false;
        client->minor = 1;
        client_malformed(client, refusal.status, refusal.why);
        return true;
    }
}

/* STREAMING: hands on what has come of the body. True when the client is in another state now. */
static bool client_pass_on(struct client *client)
{
    struct http_refusal refusal = {0};

    if (client->body.done)
        return false;
    if (!stream_on_client_bytes(client->stream, &refusal))
        client_stream_malformed(client, &refusal);
    else if (client->state == CLIENT_STREAMING && !client->body.done && client->at_end &&
             client->in.end == client->in.start)
        client_destroy(client, false);
    return client->state != CLIENT_STREAMING;
}

/* Does what can be done with what has come. */
static void client_run(struct client *client)
{
    int requests = 0;

    if (client->running)
        return;
    client->running = true;
    for (bool going = true; going;) {
        switch (client->state) {
        case CLIENT_IDLE:
        case CLIENT_HEAD:
            if (++requests > REQUESTS_PER_TURN) {
                event_active(&client->read_event, EV_READ, 0);
                going = false;
                break;
            }
            going = client_read_head(client);
            break;
        case CLIENT_COLLECTING:
            collect_go_on(client);
            if (client->state == CLIENT_COLLECTING && client->at_end)
                client_destroy(client, false);
            going = client->state != CLIENT_COLLECTING;
            break;
        case CLIENT_STREAMING:
            going = client_pass_on(client);
            break;
        case CLIENT_DRAINING:
            client_drop_body(client);
            if (client->close_after || (client->body_left && client->at_end)) {
                client_linger(client);
            } else if (!client->body_left) {
                client_body_timers(client, false);
                client_set_state(client, CLIENT_IDLE);
            }
            going = client->state == CLIENT_IDLE;
            break;
        default:
            going = false;
        }
    }
    client->running = false;
}

/* ------------------------------------------------------------------------------------------------
 * Events. */

/* The client sends nothing more. */
static void client_on_end(struct client *client)
{
    client->at_end = true;
    client_arm_read(client, false);
    switch (client->state) {
    case CLIENT_WAITING:
    case CLIENT_REPLYING:
        client->read_deadline = 0;
        break;
    case CLIENT_STREAMING:
        client_body_timers(client, false);
        if (!client->body.done)
            client_destroy(client, false);
        break;
    case CLIENT_IDLE:
    case CLIENT_HEAD:
        if (client->in.end > client->in.start) {
            client_run(client); /* requests that wait for their turn; behind them it ends */
            break;
        }
        client_destroy(client, false);
        break;
    default:
        client_destroy(client, false);
    }
}

static void client_on_received(struct client *client, size_t size)
{
    counter_add(&client->worker->counters.bytes_in, size);
    if (client->rate_since != 0) {
        client->rate_bytes += size;
        client->read_deadline =
            worker_now(client->worker) + worker_settings(client->worker)->proxy_body_timeout;
    }
}

/* Memory to read into; false when the client must wait until some is used. */
static bool client_make_room(struct client *client)
{
    struct iobuf_pool *pool = &client->worker->buffers;
    struct iobuf *in = &client->in;
    bool reads_body = client->state == CLIENT_STREAMING && !client->body.done;

    if (in->data == NULL) {
        iobuf_attach(pool, in);
    } else if (iobuf_room(in) == 0) {
        if (in->start > 0)
            iobuf_compact(in);
        else if (client->state == CLIENT_HEAD || reads_body)
            iobuf_grow(pool, in);
    }
    return iobuf_room(in) > 0;
}

/* Reads what there is. False: nothing more to do in this turn. */
static bool client_receive(struct client *client)
{
    bool direct = client->state == CLIENT_COLLECTING && client->body.framing == HTTP_LENGTH &&
                  client->in.end == client->in.start && !client->body.done;
    ssize_t got;

    if (direct) {
        got = collect_receive(client);
        if (client->state != CLIENT_COLLECTING)
            return false;
    } else {
        if (!client_make_room(client)) {
            if (client->state == CLIENT_STREAMING && !client->body.done)
                client_read_more(client, false);
            else
                client_arm_read(client, false);
            return false;
        }
        got = transport_recv(&client->transport, client->in.data + client->in.end,
                             iobuf_room(&client->in));
        if (got > 0) {
            bool full = (size_t)got == iobuf_room(&client->in);
            client->in.end += (size_t)got;
            if (full && client->state == CLIENT_STREAMING && !client->body.done)
                iobuf_grow(&client->worker->buffers, &client->in);
        }
    }
    if (got > 0) {
        client_on_received(client, (size_t)got);
        return true;
    }
    if (got == TRANSPORT_AGAIN) {
        if (client->transport.wants_write)
            client_arm_write(client, true);
        return client->in.end >
               client->in.start; /* a turn may have ended before all was looked at */
    }
    if (got == TRANSPORT_ERROR)
        client_destroy(client, false);
    else
        client_on_end(client);
    return false;
}

static void client_shake(struct client *client)
{
    int shaken = transport_handshake(&client->transport);

    if (shaken == TRANSPORT_ERROR) {
        log_debug("client", "no TLS: %s", client->transport.why);
        client_destroy(client, false);
        return;
    }
    client_arm_write(client, shaken == TRANSPORT_AGAIN && client->transport.wants_write);
    if (shaken == TRANSPORT_AGAIN)
        return;
    client_set_state(client, CLIENT_IDLE);
    client_go_idle(client);
    if (transport_pending(&client->transport))
        event_active(&client->read_event, EV_READ, 0);
}

/* LINGERING: reads and forgets. */
static void client_swallow(struct client *client)
{
    uint64_t now = worker_now(client->worker);

    iobuf_attach(&client->worker->buffers, &client->in);
    ssize_t got = transport_recv(&client->transport, client->in.data, client->in.capacity);
    iobuf_detach(&client->worker->buffers, &client->in);
    if (got > 0) {
        client->read_deadline = now + LINGER_SILENCE;
        if (client->read_deadline > client->linger_until)
            client->read_deadline = client->linger_until;
    } else if (got != TRANSPORT_AGAIN) {
        client_destroy(client, false);
    }
}

static void client_on_read(evutil_socket_t fd, short what, void *arg)
{
    struct client *client = arg;
    (void)fd, (void)what;

    do {
        if (client->state == CLIENT_CLOSED) {
            return;
        } else if (client->state == CLIENT_SHAKING) {
            client_shake(client);
            return;
        } else if (client->state == CLIENT_LINGERING) {
            client_swallow(client);
        } else {
            if (!client_receive(client))
                return;
            client_run(client);
        }
    } while (client->state != CLIENT_CLOSED && client->reading &&
             transport_pending(&client->transport));
}

static void client_on_write(evutil_socket_t fd, short what, void *arg)
{
    struct client *client = arg;
    (void)fd, (void)what;

    client->blocked = false;
    switch (client->state) {
    case CLIENT_SHAKING:
        client_shake(client);
        return;
    case CLIENT_STREAMING:
        if (client_unsent(client) > 0)
            client_send(client, SPAN_NONE);
        if (client->state == CLIENT_STREAMING && client_unsent(client) == 0)
            stream_on_client_writable(client->stream);
        break;
    case CLIENT_REPLYING:
        client_send_reply(client);
        break;
    case CLIENT_CLOSED:
        return;
    default:
        client_send(client, SPAN_NONE);
    }
    if (client->state == CLIENT_CLOSED)
        return;
    if (!client->blocked)
        client_arm_write(client, false);
    if (client->transport.wants_write) {
        client->transport.wants_write = false;
        client_on_read(fd, what, client);
    }
}

/* ------------------------------------------------------------------------------------------------
 * Time, beginning, end. */

/* The client did not send in time what we wait for. */
static void client_on_silence(struct client *client)
{
    counter_add(&client->worker->counters.timeouts, 1);
    switch (client->state) {
    case CLIENT_HEAD:
        client->head_request = false;
        client->minor = 1;
        client->body_left = true;
        client_error(client, 408, "timeout_exception", "not-applied",
                     "the request's head did not arrive within proxy.head_timeout", true);
        break;
    case CLIENT_COLLECTING:
        collect_abandon(
            client, 408, "timeout_exception",
            "the request's body did not arrive in time (proxy.body_timeout, proxy.body_rate_min)");
        break;
    case CLIENT_STREAMING:
        if (stream_unanswered(client->stream)) {
            stream_free(client->stream);
            client->stream = NULL;
            client->body_left = true;
            client_error(client, 408, "timeout_exception", NULL,
                         "the request's body did not arrive in time (proxy.body_timeout, "
                         "proxy.body_rate_min)",
                         true);
        } else {
            client_destroy(client, true);
        }
        break;
    default:
        client_destroy(client, false);
    }
}

void client_tick(struct client *client, uint64_t now)
{
    uint64_t rate_min = worker_settings(client->worker)->proxy_body_rate_min;

    if (client->write_deadline != 0 && now >= client->write_deadline) {
        counter_add(&client->worker->counters.timeouts, 1);
        client_destroy(client, true); /* with a reset: else what is unsent would keep the socket */
        return;
    }
    bool overdue = client->read_deadline != 0 && now >= client->read_deadline;
    bool slow = client->rate_since != 0 && rate_min != 0 && now > client->rate_since + RATE_GRACE &&
                client->rate_bytes < rate_min * ((now - client->rate_since) / SECOND);
    if (overdue || slow)
        client_on_silence(client);
}

void client_drain(struct client *client, uint64_t now)
{
    if (client->state != CLIENT_IDLE && client->state != CLIENT_SHAKING)
        return;
    uint64_t idle = worker_settings(client->worker)->proxy_idle_timeout;
    uint64_t since = client->read_deadline > idle ? client->read_deadline - idle : 0;
    /* One that was busy a moment ago is probably about to send again: that request is served, as
     * the last. */
    client->read_deadline = now - since >= DRAIN_SILENCE ? now : since + DRAIN_SILENCE;
}

void client_new(struct worker *worker, int fd, bool refused)
{
    struct client *client = bytes_zalloc(sizeof *client);

    client->worker = worker;
    client->refused = refused;
    transport_init_server(&client->transport, fd, worker->shared->server_context);
    event_assign(&client->read_event, worker->base, fd, EV_READ | EV_PERSIST, client_on_read,
                 client);
    event_assign(&client->write_event, worker->base, fd, EV_WRITE | EV_PERSIST, client_on_write,
                 client);
    list_push_back(&worker->clients, &client->in_clients);
    worker->client_count++;
    if (client->transport.shaken) {
        client->state = CLIENT_IDLE;
        client_go_idle(client);
    } else {
        client->state = CLIENT_SHAKING;
        client->read_deadline = worker_now(worker) + worker_settings(worker)->proxy_head_timeout;
        client_arm_read(client, true);
    }
    if (worker->draining)
        client->read_deadline = worker_now(client->worker) + DRAIN_SILENCE;
}
