/* worker.h - the threads that move bytes: each has a loop, a listener, clients and connections.
 *
 * Nothing is shared between workers but what is read-only and a few atomic numbers (struct shared).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_WORKER_H
#define TANDEM_PROXY_WORKER_H

#include <event2/event_struct.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"
#include "http/message.h"
#include "proxy/iobuf.h"
#include "proxy/list.h"
#include "proxy/listener.h"
#include "proxy/upstream.h"

struct core;
struct settings;

/* What all workers share. */
struct shared {
    struct core *core;
    _Atomic(const struct settings *)
        settings;            /* borrowed; replaced at a reload, see workers_reload() */
    SSL_CTX *server_context; /* owned; NULL: clients speak plain HTTP */
    struct nodes nodes;
    char *authorization;      /* owned; Tandem's own account, NULL when there is none */
    char via[32];             /* our pseudonym, random in each process: "tandem-1f2e3d4c" */
    _Atomic uint64_t clients; /* connections of clients, all threads */
    _Atomic bool draining;
};

/* Counters of one worker; written by its thread, read by any. */
struct worker_counters {
    _Atomic uint64_t accepted, refused_connections, requests, streams, exchanges, refused,
        malformed;
    _Atomic uint64_t bytes_in, bytes_out, timeouts, upstream_failures, too_large, no_memory;
};

struct worker {
    struct shared *shared; /* borrowed */
    struct loop *loop;     /* owned */
    struct event_base *base;
    struct listener listener;
    struct upstream upstream;
    struct iobuf_pool buffers;
    struct link clients; /* all of them */
    struct link orphans; /* bodies whose client has gone (client.c) */
    void **dead;         /* owned: memory that goes at the end of the turn */
    size_t dead_count, dead_capacity;
    struct loop_task reaper; /* frees it */
    struct event tick;       /* deadlines are looked at a few times a second */
    struct http_head head;   /* scratch: the head being parsed */
    struct worker_counters counters;
    size_t client_count;
    _Atomic size_t counters_nodes_well;
    unsigned index;
    bool draining;
    uint64_t drain_until;
    pthread_t thread;
    bool running; /* the thread was started */
};

/* Sum over all workers. */
struct workers_stats {
    uint64_t clients, body_bytes, accepted, refused_connections, requests, streams, exchanges,
        refused, malformed;
    uint64_t timeouts, upstream_failures, too_large, no_memory, bytes_in, bytes_out;
    size_t nodes, nodes_well; /* as the first worker sees them */
};

struct workers;

/* Binds the address, reads certificates and credentials, resolves the primary's names. Nothing runs
 * yet. */
MUST_USE enum status workers_open(struct workers **workers, const struct settings *settings,
                                  struct core *core, char *why, size_t why_size);
/* Starts the threads; from here on clients are served. */
void workers_start(struct workers *workers);
/* Begins an orderly end: from any thread. What is under way is finished, for
 * settings->proxy_drain_timeout. */
void workers_drain(struct workers *workers);
/* Waits for all threads to end; only after workers_drain(). */
void workers_join(struct workers *workers);
void workers_free(struct workers *workers);
/* FRESH replaces the settings; the old ones must stay readable until workers_free(). */
void workers_reload(struct workers *workers, const struct settings *fresh);
void workers_stats(struct workers *workers, struct workers_stats *stats);

/* For the parts of a worker. */
static inline const struct settings *worker_settings(const struct worker *worker)
{
    return atomic_load_explicit(&worker->shared->settings, memory_order_acquire);
}
/* Monotonic microseconds, as of this turn of the loop. */
static inline uint64_t worker_now(const struct worker *worker)
{
    return loop_now_us(worker->loop);
}
/* Something has ended; if it was the last while draining, so does the worker. */
void worker_may_end(struct worker *worker);
/* MEMORY is freed when the present callback and all others of this turn are over. */
void worker_free_later(struct worker *worker, void *memory);

static inline void counter_add(_Atomic uint64_t *counter, uint64_t count)
{
    /* One writer: no need for a locked instruction. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + count,
                          memory_order_relaxed);
}

#endif
