/* listener.c - takes in connections of clients, as many as there is room for.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/listener.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/settings.h"
#include "proxy/client.h"
#include "proxy/worker.h"

/* So many in one turn of the loop; the others are not kept waiting by a flood of connections. */
#define ACCEPT_BATCH 64
/* Without descriptors: look again after this, or when a client has gone. */
#define PAUSE_US 100000
#define BACKLOG 1024

/* Above proxy.connections_max so many more are taken in, only to be told 503; still more are just
 * closed. */
#define REFUSED_MAX 256

int listener_bind(const struct conf_address *address, char *why, size_t why_size)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *found = NULL;
    char port[8];
    int on = 1, fd = -1;

    snprintf(port, sizeof port, "%u", address->port);
    int error = getaddrinfo(address->host, port, &hints, &found);
    if (error != 0) {
        snprintf(why, why_size, "proxy.listen: %s: %s", address->text, gai_strerror(error));
        return -1;
    }
    fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto failed;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    /* Accepted connections inherit it: one call less for each. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0)
        goto failed;
    freeaddrinfo(found);
    return fd;
failed:
    snprintf(why, why_size, "proxy.listen: %s: %s", address->text, strerror(errno));
    if (fd >= 0)
        close(fd);
    freeaddrinfo(found);
    return -1;
}

static void pause_accepting(struct listener *listener)
{
    if (listener->paused_until == 0)
        log_warn("proxy", "no file descriptors are left, new connections wait (clients=%zu)",
                 listener->worker->client_count);
    listener->paused_until = worker_now(listener->worker) + PAUSE_US;
    listener->accepting = false;
    event_del(&listener->event);
}

/* Gives up the reserve to take one connection and end it: a client is told, and the queue gets
 * shorter. */
static void refuse_without_descriptors(struct listener *listener)
{
    if (listener->reserve < 0)
        return;
    close(listener->reserve);
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0)
        close(fd);
    listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* False when there is nothing more to accept now. */
static bool accept_one(struct listener *listener)
{
    struct worker *worker = listener->worker;
    int fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            refuse_without_descriptors(listener);
            pause_accepting(listener);
            return false;
        }
        return errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
    }
    uint64_t clients = atomic_fetch_add(&worker->shared->clients, 1);
    uint64_t clients_max = worker_settings(worker)->proxy_connections_max;
    if (clients >= clients_max + REFUSED_MAX) {
        counter_add(&worker->counters.refused_connections, 1);
        atomic_fetch_sub(&worker->shared->clients, 1);
        close(fd);
        return true;
    }
    counter_add(clients < clients_max ? &worker->counters.accepted
                                      : &worker->counters.refused_connections,
                1);
    client_new(worker, fd, clients >= clients_max);
    return true;
}

static void listener_on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct listener *listener = arg;
    (void)fd, (void)what;

    for (int i = 0; i < ACCEPT_BATCH && accept_one(listener); i++)
        ;
}

void listener_init(struct listener *listener, struct worker *worker, int fd)
{
    *listener = (struct listener){.worker = worker, .fd = fd};
    listener->reserve = open("/dev/null", O_RDONLY | O_CLOEXEC);
    event_assign(&listener->event, worker->base, fd, EV_READ | EV_PERSIST, listener_on_accept,
                 listener);
}

void listener_start(struct listener *listener)
{
    listener->paused_until = 0;
    listener->accepting = true;
    event_add(&listener->event, NULL);
}

void listener_tick(struct listener *listener, uint64_t now)
{
    if (listener->fd >= 0 && listener->paused_until != 0 && now >= listener->paused_until) {
        listener->accepting = true;
        event_add(&listener->event, NULL);
        /* If it fails again at once it pauses again, silently. */
        listener_on_accept(listener->fd, EV_READ, listener);
        if (listener->accepting)
            listener->paused_until = 0;
    }
}

void listener_close(struct listener *listener)
{
    if (listener->fd < 0)
        return;
    /* Who has connected before the end was asked for must not be reset. */
    while (listener->accepting && accept_one(listener))
        ;
    event_del(&listener->event);
    close(listener->fd);
    listener->fd = -1;
    listener->accepting = false;
}

void listener_fini(struct listener *listener)
{
    if (listener->fd >= 0) {
        event_del(&listener->event);
        close(listener->fd);
    }
    if (listener->reserve >= 0)
        close(listener->reserve);
    listener->fd = listener->reserve = -1;
}
