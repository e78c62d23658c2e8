/* forward.c - the machine's port to the primary: a whole request out, a whole answer back.
 *
 * What must hold: one forward ends in exactly one exchange_on_answer or exchange_on_failure, never
 * from within forward_start(); and nothing_sent is said only when it is certain.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/forward.h"

#include <inttypes.h>

#include "proxy/call.h"
#include "proxy/upstream.h"
#include "proxy/worker.h"
#include "proxy/write.h"

/* More is not an answer to a write: a bulk of 100 MB is answered with about as much when sources
 * are asked for. */
#define ANSWER_MAX ((size_t)512 << 20)
#define ANSWER_RESERVE_MAX ((size_t)1 << 20) /* room made at once for an announced length */

struct forward {
    struct worker *worker;                 /* borrowed */
    struct exchange *ex;                   /* borrowed until the end */
    const struct primary_request *request; /* borrowed until the end */
    struct call call;
    size_t body_sent;
    struct primary_answer answer; /* owned until it is handed over; last, since it is large */
};

static void forward_end(struct forward *forward)
{
    call_cancel(&forward->call);
    call_fini(&forward->call);
    worker_free_later(forward->worker, forward);
}

static void forward_fail(struct forward *forward, bool nothing_sent, const char *why)
{
    struct exchange *ex = forward->ex;

    primary_answer_fini(&forward->answer);
    forward_end(forward);
    exchange_on_failure(ex, nothing_sent, why);
}

static void forward_on_writable(struct call *call)
{
    struct forward *forward = call->user;
    struct span body = forward->request->body;
    struct span rest =
        body.size == 0 ? SPAN_NONE
                       : span_of(body.data + forward->body_sent, body.size - forward->body_sent);

    forward->body_sent += call_send(call, rest, true);
}

static void forward_on_head(struct call *call, const struct http_head *head, struct span bytes)
{
    struct forward *forward = call->user;
    struct primary_answer *answer = &forward->answer;
    const struct http_limits limits = {IOBUF_LARGE, IOBUF_LARGE, HTTP_FIELDS_MAX};
    struct http_refusal refusal;

    /* Parsed again, so that its spans point into bytes that the answer owns. */
    buffer_append_span(&answer->head_bytes, bytes);
    CHECK(http_parse_answer(buffer_span(&answer->head_bytes), call->method, &limits, &answer->head,
                            &refusal) == STATUS_OK);
    if (head->framing == HTTP_LENGTH && head->content_length > 0)
        buffer_reserve(&answer->body, head->content_length < ANSWER_RESERVE_MAX
                                          ? (size_t)head->content_length
                                          : ANSWER_RESERVE_MAX);
}

static size_t forward_on_body(struct call *call, struct span data)
{
    struct forward *forward = call->user;

    if (forward->answer.body.size + data.size > ANSWER_MAX) {
        call_cancel(call);
        forward_fail(forward, false, "the primary's answer is too long");
        return 0;
    }
    exchange_count(forward->ex, data.size);
    buffer_append_span(&forward->answer.body, data);
    return data.size;
}

static void forward_on_handed_out(struct call *call)
{
    (void)call;
}

static void forward_on_end(struct call *call)
{
    struct forward *forward = call->user;

    forward_end(forward); /* its memory stays until the turn ends */
    exchange_on_answer(forward->ex, &forward->answer);
    primary_answer_fini(&forward->answer);
}

static void forward_on_failure(struct call *call)
{
    struct forward *forward = call->user;
    forward_fail(forward, call->nothing_sent, call->why);
}

static const struct call_ops forward_ops = {
    .on_writable = forward_on_writable,
    .on_head = forward_on_head,
    .on_body = forward_on_body,
    .on_handed_out = forward_on_handed_out,
    .on_end = forward_on_end,
    .on_failure = forward_on_failure,
};

void forward_start(void *ctx, struct exchange *ex, struct primary_request *request)
{
    struct worker *worker = ctx;
    struct forward *forward = bytes_alloc(sizeof *forward);
    struct buffer head = {0};

    forward->body_sent = 0;
    primary_answer_init(&forward->answer);
    forward->worker = worker;
    forward->ex = ex;
    forward->request = request;
    buffer_reserve(&head, request->target.size + request->fields.size + 256);
    buffer_append_span(&head, request->method);
    buffer_append_char(&head, ' ');
    buffer_append_span(&head, buffer_span(&request->target));
    buffer_append_cstr(&head, " HTTP/1.1\r\n");
    buffer_append_span(&head, buffer_span(&request->fields));
    if (request->own_account && worker->shared->authorization != NULL)
        buffer_appendf(&head, "Authorization: %s\r\n", worker->shared->authorization);
    buffer_append_cstr(&head, "Via: 1.1 ");
    buffer_append_cstr(&head, worker->shared->via);
    buffer_append_cstr(&head, "\r\n");
    if (request->has_body || request->body.size > 0) {
        buffer_append_cstr(&head, "Content-Length: ");
        buffer_append_number(&head, request->body.size);
        buffer_append_cstr(&head, "\r\n");
    }
    call_start(&forward->call, &worker->upstream, &forward_ops, forward,
               span_equal(request->method, SPAN("HEAD")) ? SPAN("HEAD") : SPAN("GET"), &head);
    forward->call.collected = true;
    forward->call.patient = request->patient;
}
