/* stream.c - a request that passes through: head and body as they come, the answer as it comes.
 *
 * Framing ends at each hop and is made anew: a length stays a length, chunks become chunks of our
 * own, an answer that ends with its connection goes out in chunks (to HTTP/1.0: ends with the
 * connection too). All else is passed on byte for byte; bytes that need no change are sent from the
 * buffer they were received in.
 *
 * What must hold:
 *   - Neither side is read from while the other takes nothing: what waits is at most one buffer in
 *     each direction.
 *   - An answer that was cut is never ended as if it were complete.
 *   - A stream that ends before its answer is complete takes its connection to the primary with it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/stream.h"

#include <inttypes.h>

#include "conf/settings.h"
#include "proxy/call.h"
#include "proxy/client.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"

#define FRAMED_MAX ((size_t)64 << 10) /* chunks made anew and not sent yet, in either direction */
#define COLLECT_MAX                                                                                \
    ((size_t)4 << 20) /* an answer that is rewritten; a longer one passes as it is */

enum answer_framing {
    ANSWER_PLAIN,   /* as it comes: by length, none, or until the connection closes */
    ANSWER_CHUNKED, /* in chunks of ours */
};

struct stream {
    struct client *client; /* borrowed */
    struct call call;
    enum answer_framing framing;
    const char *answer_field; /* borrowed, static; a line to add, or NULL */
    bool started;             /* an answer's head was put into client->out */
    bool ended;               /* the primary's answer is complete */
    bool early; /* the answer began before the request's end: the connection ends behind it */
    bool cut_by_close; /* the client will take the end of the connection for that of the body */
    bool replicates_nothing; /* GET or HEAD: a failure has no outcome to speak of */
    bool rewrite;            /* the answer is collected, for nodes_rewrite() */
    struct buffer head;      /* owned: the answer's head without its length, while rewriting */
    struct buffer collected; /* owned */
    struct buffer publish;   /* owned: the address to name, while rewriting */
};

/* ------------------------------------------------------------------------------------------------
 * The request. */

static void append_request_head(struct buffer *out, const struct worker *worker,
                                const struct http_head *head, const struct routing *routing)
{
    buffer_reserve(out, head->size + 160);
    buffer_append_span(out, head->method);
    buffer_append_char(out, ' ');
    buffer_append_span(out, head->target);
    buffer_append(out, " HTTP/1.1\r\n", 11);
    http_append_fields(out, head, routing->rewrite_nodes ? " host accept-encoding " : " host ");
    buffer_append(out, "Via: 1.1 ", 9);
    buffer_append_cstr(out, worker->shared->via);
    buffer_append(out, "\r\n", 2);
    if (head->framing == HTTP_CHUNKED)
        buffer_append_cstr(out, "Transfer-Encoding: chunked\r\n");
    else if (head->framing == HTTP_LENGTH)
        buffer_appendf(out, "Content-Length: %" PRIu64 "\r\n", head->content_length);
}

/* Sends what has come of a body of known length, from where it lies. */
static void pass_plain(struct stream *stream)
{
    struct client *client = stream->client;
    struct http_body *body = &client->body;
    struct http_refusal refusal;
    struct span data = SPAN_NONE;
    size_t used = 0;

    if (!body->done) {
        data = iobuf_span(&client->in);
        if (data.size > body->left)
            data.size = (size_t)body->left;
    }
    size_t taken = call_send(&stream->call, data, body->done || data.size == body->left);
    if (taken == 0)
        return;
    CHECK(http_body_next(body, span_of(data.data, taken), &used, &data, &refusal) == STATUS_OK &&
          used == taken);
    iobuf_consume(&client->in, taken);
}

/* Frames anew what has come of a chunked body, as much as may wait. False: it is malformed. */
static bool frame_chunks(struct stream *stream, struct http_refusal *refusal)
{
    struct client *client = stream->client;
    struct buffer *framed = call_framed(&stream->call);

    while (!client->body.done && client->in.end > client->in.start &&
           call_unsent(&stream->call) < FRAMED_MAX) {
        size_t used = 0;
        struct span data = SPAN_NONE;
        if (http_body_next(&client->body, iobuf_span(&client->in), &used, &data, refusal) !=
            STATUS_OK)
            return false;
        http_append_chunk(framed, data);
        iobuf_consume(&client->in, used);
        if (client->body.done)
            http_append_last_chunk(framed);
        else if (used == 0)
            break;
    }
    return true;
}

static bool pass_chunked(struct stream *stream, struct http_refusal *refusal)
{
    struct client *client = stream->client;
    size_t before;

    do {
        before = client->in.end - client->in.start;
        if (!frame_chunks(stream, refusal))
            return false;
        call_send(&stream->call, SPAN_NONE, client->body.done);
    } while (call_unsent(&stream->call) == 0 && !client->body.done &&
             client->in.end > client->in.start && client->in.end - client->in.start < before);
    return true;
}

bool stream_on_client_bytes(struct stream *stream, struct http_refusal *refusal)
{
    struct client *client = stream->client;

    if (client->body.framing == HTTP_CHUNKED) {
        client->body_bytes += client->in.end - client->in.start;
        if (!pass_chunked(stream, refusal))
            return false;
    } else {
        pass_plain(stream);
    }
    if (client->body.done)
        client->read_deadline = client->rate_since = 0;
    else
        client_read_more(client, iobuf_room(&client->in) > 0 || client->in.data == NULL);
    return true;
}

static void stream_on_writable(struct call *call)
{
    struct stream *stream = call->user;
    struct client *client = stream->client;
    struct http_refusal refusal;

    if (!stream_on_client_bytes(stream, &refusal))
        client_stream_malformed(client, &refusal);
}

/* ------------------------------------------------------------------------------------------------
 * The answer. */

static void append_answer_head(struct buffer *out, const struct stream *stream,
                               const struct http_head *head)
{
    struct span length = SPAN_NONE;
    bool sends_length = !stream->rewrite && head->status != 204 &&
                        (head->framing == HTTP_LENGTH || head->framing == HTTP_NO_BODY);

    buffer_reserve(out, head->size + 128);
    char line[16] = "HTTP/1.1 000 ";
    line[9] = (char)('0' + head->status / 100);
    line[10] = (char)('0' + head->status / 10 % 10);
    line[11] = (char)('0' + head->status % 10);
    buffer_append(out, line, 13);
    buffer_append_span(out, head->reason);
    buffer_append(out, "\r\n", 2);
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (!http_field_is_hop(head, field->name)) {
            buffer_append_span(out, field->name);
            buffer_append(out, ": ", 2);
            buffer_append_span(out, field->value);
            buffer_append(out, "\r\n", 2);
        } else if (length.size == 0 && sends_length &&
                   span_equal_nocase(field->name, SPAN("content-length"))) {
            length = field->name;
            buffer_append_span(out, length);
            buffer_append(out, ": ", 2);
            if (head->framing == HTTP_LENGTH)
                buffer_append_number(out, head->content_length);
            else
                buffer_append_span(out, field->value);
            buffer_append(out, "\r\n", 2);
        }
    }
    if (stream->answer_field != NULL)
        buffer_append_cstr(out, stream->answer_field);
}

/* Chooses the framing towards the client, and ends the head with it. */
static void end_answer_head(struct stream *stream, struct buffer *out, bool unknown_length)
{
    struct client *client = stream->client;
    bool last = stream->early;

    if (unknown_length && client->minor >= 1) {
        stream->framing = ANSWER_CHUNKED;
        buffer_append_cstr(out, "Transfer-Encoding: chunked\r\n");
    } else if (unknown_length) {
        stream->cut_by_close = true;
        last = true;
    }
    buffer_append_cstr(out, client_connection_field(client, last));
    buffer_append(out, "\r\n", 2);
    stream->started = true;
}

static void stream_on_head(struct call *call, const struct http_head *head, struct span bytes)
{
    struct stream *stream = call->user;
    struct client *client = stream->client;
    struct span encoding;
    (void)bytes;

    bool has_body = head->framing != HTTP_NO_BODY;
    stream->early = !client->body.done || call->state != CALL_SENT;
    stream->rewrite = stream->rewrite && has_body && head->status == 200 &&
                      head->content_length <= COLLECT_MAX &&
                      !http_field_get(head, SPAN("content-encoding"), &encoding);
    if (stream->rewrite) {
        append_answer_head(&stream->head, stream, head);
        return;
    }
    append_answer_head(&client->out, stream, head);
    end_answer_head(stream, &client->out,
                    head->framing == HTTP_CHUNKED || head->framing == HTTP_UNTIL_CLOSE);
}

/* The answer is too long to be rewritten: it goes on as it is. */
static void stop_rewriting(struct stream *stream)
{
    struct client *client = stream->client;

    stream->rewrite = false;
    buffer_append_span(&client->out, buffer_span(&stream->head));
    end_answer_head(stream, &client->out, true);
    if (stream->framing == ANSWER_CHUNKED)
        http_append_chunk(&client->out, buffer_span(&stream->collected));
    else
        buffer_append_span(&client->out, buffer_span(&stream->collected));
    buffer_fini(&stream->collected);
}

static size_t stream_on_body(struct call *call, struct span data)
{
    struct stream *stream = call->user;
    struct client *client = stream->client;

    if (stream->rewrite) {
        if (stream->collected.size + data.size <= COLLECT_MAX) {
            buffer_append_span(&stream->collected, data);
            return data.size;
        }
        stop_rewriting(stream);
    }
    if (stream->framing == ANSWER_PLAIN)
        return client_send(client, data);
    if (client_unsent(client) >= FRAMED_MAX)
        return 0;
    http_append_chunk(&client->out, data);
    return data
        .size; /* small chunks that came together go out together, in stream_on_handed_out() */
}

static void stream_on_handed_out(struct call *call)
{
    struct stream *stream = call->user;
    struct client *client = stream->client;

    if (client_unsent(client) > 0 && !client->blocked)
        client_send(client, SPAN_NONE);
}

static void finish_if_sent(struct stream *stream)
{
    struct client *client = stream->client;

    if (client_unsent(client) > 0)
        client_send(client, SPAN_NONE);
    if (client->state == CLIENT_STREAMING && client_unsent(client) == 0)
        client_stream_done(client);
}

static void stream_on_end(struct call *call)
{
    struct stream *stream = call->user;
    struct client *client = stream->client;
    struct buffer rewritten = {0};

    stream->ended = true;
    if (stream->rewrite) {
        struct span body = buffer_span(&stream->collected);
        if (nodes_rewrite(body, buffer_span(&stream->publish), &rewritten))
            body = buffer_span(&rewritten);
        buffer_append_span(&client->out, buffer_span(&stream->head));
        buffer_appendf(&client->out, "content-length: %zu\r\n", body.size);
        end_answer_head(stream, &client->out, false);
        buffer_append_span(&client->out, body);
        buffer_fini(&rewritten);
    }
    if (stream->framing == ANSWER_CHUNKED)
        http_append_last_chunk(&client->out);
    finish_if_sent(stream);
}

static void stream_on_failure(struct call *call)
{
    struct stream *stream = call->user;
    struct client *client = stream->client;
    struct reply reply = {0};

    if (stream->started) {
        client_destroy(client, stream->cut_by_close);
        return;
    }
    int status = call->nothing_sent ? 503 : call->timed_out ? 504 : 502;
    const char *outcome = call->nothing_sent ? "not-applied" : "unknown";
    reply_error(&reply, status, "tandem_primary_exception",
                stream->replicates_nothing ? NULL : outcome, "%s", call->why);
    client_stream_reply(client, &reply);
    reply_fini(&reply);
}

static const struct call_ops stream_ops = {
    .on_writable = stream_on_writable,
    .on_head = stream_on_head,
    .on_body = stream_on_body,
    .on_handed_out = stream_on_handed_out,
    .on_end = stream_on_end,
    .on_failure = stream_on_failure,
};

/* ------------------------------------------------------------------------------------------------
 * For client.c. */

void stream_begin(struct client *client, const struct http_head *head,
                  const struct routing *routing)
{
    struct worker *worker = client->worker;
    struct stream *stream = bytes_zalloc(sizeof *stream);
    struct buffer request = {0};

    stream->client = client;
    stream->answer_field = routing->answer_field;
    stream->rewrite = routing->rewrite_nodes;
    if (stream->rewrite)
        nodes_publish(head, worker_settings(worker), &stream->publish);
    stream->replicates_nothing = client->head_request || span_equal(head->method, SPAN("GET"));
    append_request_head(&request, worker, head, routing);
    iobuf_consume(&client->in, head->size);
    client->stream = stream;
    call_start(&stream->call, &worker->upstream, &stream_ops, stream,
               client->head_request ? SPAN("HEAD") : SPAN("GET"), &request);
}

void stream_on_client_writable(struct stream *stream)
{
    if (stream->ended)
        finish_if_sent(stream);
    else
        call_resume(&stream->call);
}

bool stream_unanswered(const struct stream *stream)
{
    return !stream->started;
}

void stream_free(struct stream *stream)
{
    struct worker *worker = stream->client->worker;

    call_cancel(&stream->call);
    call_fini(&stream->call);
    buffer_fini(&stream->head);
    buffer_fini(&stream->collected);
    buffer_fini(&stream->publish);
    worker_free_later(worker, stream);
}
