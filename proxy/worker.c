/* worker.c - the threads that move bytes: each has a loop, a listener, clients and connections.
 *
 * The end: workers_drain() stops accepting; every answer from then on is the connection's last;
 * idle connections are closed after a moment in which they may still send. A worker ends when
 * nothing is under way, or at proxy.drain_timeout.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/core.h"
#include "proxy/worker.h"

#include <event2/event.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/settings.h"
#include "proxy/client.h"

#define TICK_US 200000

struct workers {
    struct shared shared;
    struct worker *items; /* owned */
    size_t count;
};

/* ------------------------------------------------------------------------------------------------
 * Memory that callbacks may still look at. */

void worker_free_later(struct worker *worker, void *memory)
{
    if (worker->dead_count == worker->dead_capacity) {
        worker->dead_capacity = worker->dead_capacity == 0 ? 64 : 2 * worker->dead_capacity;
        worker->dead = bytes_realloc(worker->dead, worker->dead_capacity * sizeof worker->dead[0]);
    }
    if (worker->dead_count == 0)
        loop_defer(worker->loop, &worker->reaper);
    worker->dead[worker->dead_count++] = memory;
}

static void worker_reap(struct loop_task *task)
{
    struct worker *worker = LOOP_OWNER(task, struct worker, reaper);

    for (size_t i = 0; i < worker->dead_count; i++)
        free(worker->dead[i]);
    worker->dead_count = 0;
}

/* ------------------------------------------------------------------------------------------------
 * Time and the end. */

void worker_may_end(struct worker *worker)
{
    if (worker->draining && worker->client_count == 0 && list_empty(&worker->orphans))
        loop_stop(worker->loop);
}

static void worker_begin_drain(struct worker *worker, uint64_t now)
{
    uint64_t timeout = worker_settings(worker)->proxy_drain_timeout;

    worker->draining = true;
    worker->drain_until = now + timeout;
    listener_close(&worker->listener);
    struct link *next;
    for (struct link *link = worker->clients.next; link != &worker->clients; link = next) {
        next = link->next;
        client_drain(LINK_OF(link, struct client, in_clients), now);
    }
    worker_may_end(worker);
}

static void worker_on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct worker *worker = arg;
    uint64_t now = worker_now(worker);
    struct link *next;
    (void)fd, (void)what;

    if (atomic_load(&worker->shared->draining) && !worker->draining)
        worker_begin_drain(worker, now);
    listener_tick(&worker->listener, now);
    upstream_tick(&worker->upstream, now);
    for (struct link *link = worker->clients.next; link != &worker->clients; link = next) {
        next = link->next; /* a client's end takes no other with it */
        client_tick(LINK_OF(link, struct client, in_clients), now);
    }
    if (worker->draining && now >= worker->drain_until) {
        log_warn(loop_name(worker->loop), "cutting off what did not end in time (clients=%zu)",
                 worker->client_count);
        loop_stop(worker->loop);
    }
    worker->counters_nodes_well = upstream_well(&worker->upstream);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    const struct timeval tick = {.tv_usec = TICK_US};

    event_add(&worker->tick, &tick);
    listener_start(&worker->listener);
    loop_run(worker->loop);
    return NULL;
}

/* False: no file descriptor is left. */
static bool worker_init(struct worker *worker, struct shared *shared, unsigned index, int fd)
{
    char name[16];

    snprintf(name, sizeof name, "worker %u", index);
    worker->loop = loop_new(name);
    if (worker->loop == NULL)
        return false;
    worker->shared = shared;
    worker->index = index;
    worker->base = loop_base(worker->loop);
    list_init(&worker->clients);
    list_init(&worker->orphans);
    event_assign(&worker->tick, worker->base, -1, EV_PERSIST, worker_on_tick, worker);
    worker->reaper.run = worker_reap;
    listener_init(&worker->listener, worker, fd);
    upstream_init(&worker->upstream, worker, &shared->nodes);
    return true;
}

static void worker_fini(struct worker *worker)
{
    while (!list_empty(&worker->clients))
        client_destroy(LINK_OF(worker->clients.next, struct client, in_clients), true);
    listener_fini(&worker->listener);
    upstream_fini(&worker->upstream);
    event_del(&worker->tick);
    iobuf_pool_fini(&worker->buffers);
    loop_free(worker->loop); /* runs the reaper if it still has to */
    free(worker->dead);
}

/* ------------------------------------------------------------------------------------------------
 * All of them. */

static bool shared_init(struct shared *shared, const struct settings *settings, struct core *core,
                        char *why, size_t why_size)
{
    uint32_t random = 0;

    shared->core = core;
    atomic_store(&shared->settings, settings);
    if (getrandom(&random, sizeof random, 0) != sizeof random)
        random = (uint32_t)getpid();
    snprintf(shared->via, sizeof shared->via, "tandem-%08x", random);
    if (settings->proxy_tls_certificate_file[0] != 0) {
        shared->server_context = transport_server_context(
            settings->proxy_tls_certificate_file, settings->proxy_tls_key_file, why, why_size);
        if (shared->server_context == NULL)
            return false;
    }
    if (settings->primary_insecure_skip_verify)
        log_warn("primary", "its certificates are not verified (primary.insecure_skip_verify)");
    return nodes_init(&shared->nodes, settings, why, why_size) &&
           secret_authorization(settings->primary_credentials_file, &shared->authorization, why,
                                why_size) == STATUS_OK;
}

enum status workers_open(struct workers **workers, const struct settings *settings,
                         struct core *core, char *why, size_t why_size)
{
    struct workers *all = bytes_zalloc(sizeof *all);

    /* OpenSSL writes with write(2): a connection that the other side has cut must not kill the
     * process. */
    signal(SIGPIPE, SIG_IGN);
    *workers = NULL;
    if (!shared_init(&all->shared, settings, core, why, why_size))
        goto failed;
    all->items = bytes_zalloc(settings->proxy_threads * sizeof all->items[0]);
    for (size_t i = 0; i < settings->proxy_threads; i++) {
        int fd = listener_bind(&settings->proxy_listen, why, why_size);
        if (fd < 0)
            goto failed;
        if (!worker_init(&all->items[i], &all->shared, (unsigned)i, fd)) {
            close(fd);
            snprintf(why, why_size, "no file descriptor is left for thread %zu of proxy.threads",
                     i);
            goto failed;
        }
        all->count++;
    }
    *workers = all;
    return STATUS_OK;
failed:
    workers_free(all);
    return STATUS_SETTINGS_WRONG;
}

void workers_start(struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        struct worker *worker = &workers->items[i];
        CHECK(pthread_create(&worker->thread, NULL, worker_main, worker) == 0);
        worker->running = true;
    }
}

void workers_drain(struct workers *workers)
{
    atomic_store(&workers->shared.draining, true); /* seen at the next tick */
}

void workers_join(struct workers *workers)
{
    for (size_t i = 0; i < workers->count; i++) {
        if (workers->items[i].running)
            pthread_join(workers->items[i].thread, NULL);
        workers->items[i].running = false;
    }
}

void workers_free(struct workers *workers)
{
    if (workers == NULL)
        return;
    for (size_t i = 0; i < workers->count; i++)
        worker_fini(&workers->items[i]);
    free(workers->items);
    SSL_CTX_free(workers->shared.server_context);
    nodes_fini(&workers->shared.nodes);
    secret_free(workers->shared.authorization);
    free(workers);
}

void workers_reload(struct workers *workers, const struct settings *fresh)
{
    atomic_store_explicit(&workers->shared.settings, fresh, memory_order_release);
}

void workers_stats(struct workers *workers, struct workers_stats *stats)
{
    *stats = (struct workers_stats){
        .clients = atomic_load(&workers->shared.clients),
        .body_bytes = atomic_load(&workers->shared.core->body_bytes),
        .nodes = workers->shared.nodes.count,
        .nodes_well = workers->items[0].counters_nodes_well,
    };
    for (size_t i = 0; i < workers->count; i++) {
        struct worker_counters *counters = &workers->items[i].counters;
        stats->accepted += atomic_load(&counters->accepted);
        stats->refused_connections += atomic_load(&counters->refused_connections);
        stats->requests += atomic_load(&counters->requests);
        stats->streams += atomic_load(&counters->streams);
        stats->exchanges += atomic_load(&counters->exchanges);
        stats->refused += atomic_load(&counters->refused);
        stats->malformed += atomic_load(&counters->malformed);
        stats->timeouts += atomic_load(&counters->timeouts);
        stats->upstream_failures += atomic_load(&counters->upstream_failures);
        stats->too_large += atomic_load(&counters->too_large);
        stats->no_memory += atomic_load(&counters->no_memory);
        stats->bytes_in += atomic_load(&counters->bytes_in);
        stats->bytes_out += atomic_load(&counters->bytes_out);
    }
}
