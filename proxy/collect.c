/* collect.c - the whole body of a write, and then the machine's reply.
 *
 * Nothing of a write goes to the primary before its body is here completely, so it is collected in
 * memory: counted against proxy.body_max and, over all threads, against proxy.bodies_max before it
 * is kept. A body of known length is read straight to its place.
 *
 * What must hold: what was counted is uncounted once, when the exchange ends, also if its client
 * has gone long before.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/failpoint.h"
#include "proxy/collect.h"

#include <stdlib.h>

#include "conf/settings.h"
#include "proxy/client.h"
#include "proxy/forward.h"
#include "proxy/core.h"
#include "proxy/worker.h"

#define DIRECT_READ_MAX ((size_t)256 << 10) /* read in one go: as much as a buffer of a stream */

/* Memory of bodies whose client has gone while the machine goes on. */
struct orphan {
    struct link in_orphans;
    struct exchange *ex;
    uint64_t counted;
};

static void body_uncount(struct client *client)
{
    atomic_fetch_sub(&client->worker->shared->core->body_bytes, client->body_counted);
    client->body_counted = 0;
}

void collect_leave(struct client *client)
{
    struct worker *worker = client->worker;
    struct exchange *ex = client->ex;

    client->ex = NULL;
    if (client->state == CLIENT_COLLECTING) {
        body_uncount(client);
        exchange_free(ex);
        return;
    }
    struct orphan *orphan = bytes_zalloc(sizeof *orphan);
    orphan->ex = ex;
    orphan->counted = client->body_counted;
    client->body_counted = 0;
    list_push_back(&worker->orphans, &orphan->in_orphans);
    exchange_on_client_gone(ex);
}

static void orphan_end(struct worker *worker, struct exchange *ex)
{
    for (struct link *link = worker->orphans.next; link != &worker->orphans; link = link->next) {
        struct orphan *orphan = LINK_OF(link, struct orphan, in_orphans);
        if (orphan->ex == ex) {
            atomic_fetch_sub(&worker->shared->core->body_bytes, orphan->counted);
            list_remove(link);
            free(orphan);
            break;
        }
    }
    exchange_free(ex);
    worker_may_end(worker);
}

/* Gives up a write whose body is not complete. */
void collect_abandon(struct client *client, int status, const char *type, const char *why)
{
    body_uncount(client);
    exchange_free(client->ex);
    client->ex = NULL;
    client->body_left = true;
    client_error(client, status, type, "not-applied", why, true);
}

/* Counts SIZE more bytes of the body; false: it was refused. */
static bool body_count(struct client *client, size_t size)
{
    struct worker *worker = client->worker;
    const struct settings *settings = worker_settings(worker);

    client->body_bytes += size;
    if (client->body_bytes > settings->proxy_body_max) {
        counter_add(&worker->counters.too_large, 1);
        collect_abandon(client, 413, "content_too_large_exception",
                        "the body is larger than proxy.body_max");
        return false;
    }
    uint64_t before = atomic_fetch_add(&worker->shared->core->body_bytes, size);
    client->body_counted += size;
    if (before + size > settings->proxy_bodies_max) {
        counter_add(&worker->counters.no_memory, 1);
        collect_abandon(client, 503, "tandem_memory_exception",
                        "the bodies of all writes in flight reach proxy.bodies_max; try again");
        return false;
    }
    return true;
}

static void client_body_complete(struct client *client)
{
    client_body_timers(client, false);
    client_set_state(client, CLIENT_WAITING);
    exchange_start(client->ex);
}

/* Goes through what has come of the body. */
void collect_go_on(struct client *client)
{
    struct http_refusal refusal;

    while (!client->body.done && client->in.end > client->in.start) {
        size_t used = 0;
        struct span data;
        if (http_body_next(&client->body, iobuf_span(&client->in), &used, &data, &refusal) !=
            STATUS_OK) {
            counter_add(&client->worker->counters.malformed, 1);
            collect_abandon(client, refusal.status, "illegal_argument_exception", refusal.why);
            return;
        }
        if (data.size > 0) {
            if (!body_count(client, data.size))
                return;
            buffer_append_span(exchange_body(client->ex), data);
        }
        iobuf_consume(&client->in, used);
        if (used == 0)
            break;
    }
    if (client->body.done)
        client_body_complete(client);
}

/* Reads straight into the exchange's body: for bodies of known length there is nothing to decode.
 */
ssize_t collect_receive(struct client *client)
{
    struct buffer *body = exchange_body(client->ex);
    struct http_refusal refusal;
    struct span data;
    size_t used = 0;
    size_t want = client->body.left < DIRECT_READ_MAX ? (size_t)client->body.left : DIRECT_READ_MAX;

    char *at = buffer_reserve(body, want);
    ssize_t got = transport_recv(&client->transport, at, want);
    if (got <= 0)
        return got;
    CHECK(http_body_next(&client->body, span_of(at, (size_t)got), &used, &data, &refusal) ==
          STATUS_OK);
    CHECK(used == (size_t)got);
    if (body_count(client, (size_t)got))
        body->size += (size_t)got;
    return got;
}

static void collect_on_reply(void *ctx, struct exchange *ex)
{
    struct worker *worker = ctx;
    struct client *client = exchange_owner(ex);

    if (client == NULL) {
        orphan_end(worker, ex);
        return;
    }
    CHECK(client->ex == ex && client->state == CLIENT_WAITING);
    client->ex = NULL;
    struct reply reply = *exchange_reply(ex);
    *exchange_reply(ex) = (struct reply){0};
    exchange_free(ex);
    body_uncount(client);
    client_reply(client, &reply);
    reply_fini(&reply);
    if (FAILPOINT("P10") && client->state != CLIENT_CLOSED)
        client_destroy(client, true);
}

static const struct exchange_ports worker_ports = {
    .forward = forward_start,
    .reply = collect_on_reply,
};

void collect_begin(struct client *client, const struct http_head *head,
                   const struct routing *routing)
{
    struct worker *worker = client->worker;
    const struct settings *settings = worker_settings(worker);

    counter_add(&worker->counters.exchanges, 1);
    client->ex = exchange_new(worker->shared->core, worker->loop, &worker_ports, worker, client,
                              span_of(client->in.data + client->in.start, head->size), routing);
    client_set_state(client, CLIENT_COLLECTING);
    if (head->framing == HTTP_LENGTH &&
        atomic_load(&worker->shared->core->body_bytes) + head->content_length >
            settings->proxy_bodies_max) {
        counter_add(&worker->counters.no_memory, 1);
        collect_abandon(client, 503, "tandem_memory_exception",
                        "the bodies of all writes in flight reach proxy.bodies_max; try again");
        return;
    }
    size_t size = head->size;
    iobuf_consume(&client->in, size);
    client_say_continue(client, head);
    if (client->state == CLIENT_CLOSED)
        return;
    client_read_more(client, true);
    collect_go_on(client);
}
