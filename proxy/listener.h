/* listener.h - takes in connections of clients, as many as there is room for.
 *
 * Each thread has a socket of its own on the same address (SO_REUSEPORT), so the kernel spreads
 * connections and nobody hands them over. Without file descriptors accepting pauses instead of
 * spinning, and work under way goes on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_LISTENER_H
#define TANDEM_PROXY_LISTENER_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conf_address;
struct worker;

struct listener {
    struct worker *worker; /* borrowed */
    int fd;                /* owned; -1 when closed */
    int reserve;           /* owned: a descriptor to give up when there is no other */
    struct event event;
    bool accepting;        /* the event is armed */
    uint64_t paused_until; /* 0: not paused */
};

/* Binds ADDRESS; -1: WHY says what is wrong. */
int listener_bind(const struct conf_address *address, char *why, size_t why_size);
/* Takes over FD. */
void listener_init(struct listener *listener, struct worker *worker, int fd);
void listener_start(struct listener *listener);
/* Takes in what has connected already, then closes. */
void listener_close(struct listener *listener);
void listener_fini(struct listener *listener);
void listener_tick(struct listener *listener, uint64_t now);

#endif
