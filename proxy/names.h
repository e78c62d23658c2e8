/* names.h - which index names are being written, and which are being redefined.
 *
 * A write uses its names shared, a change of definitions (create, delete, mapping, alias ...)
 * exclusively: it waits until the writes under way on its names have ended and holds back new ones,
 * so that it is plain which life a write hit. Both waits are bounded. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_NAMES_H
#define TANDEM_PROXY_NAMES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/loop.h"

struct core;
struct names;

struct names_use {
    struct loop_task task; /* first: how on_granted travels back */
    /* set by the user */
    struct loop *loop;
    bool exclusive;
    size_t count;
    struct span
        *names; /* borrowed until names_leave(); decoded; exclusive ones may hold `*` and "_all" */
    void (*on_granted)(struct names_use *use); /* in loop's thread, when names_enter() said false */
    /* answers */
    bool denied;             /* a write was held too long: it must not be forwarded */
    _Atomic bool overlapped; /* a change of definitions ran at the same time after all */
    /* private */
    enum { USE_OUT, USE_WAITING, USE_RUNNING, USE_GRANTING } state;
    uint64_t since_us;
    struct names_use *next, *previous;
};

struct names *names_new(struct core *core);
void names_free(struct names *names);
/* True: go on. False: wait for on_granted(), then look at denied. */
bool names_enter(struct names *names, struct names_use *use);
void names_leave(struct names *names, struct names_use *use);
/* Ends waits that last too long. */
void names_tick(struct names *names, uint64_t now_us);
/* How many writes are held back now. */
/* Sets *REDEFINED when a change of definitions on NAME is under way, *WRITTEN when a write is;
 * leaves them alone otherwise. */
void names_look(struct names *names, struct span name, bool *redefined, bool *written);
size_t names_held(struct names *names);

/* How many writes and changes of definitions are under way, waiting ones included. */
size_t names_in_use(struct names *names);

/* A deletion of PATTERN was answered with 2xx. */
void names_note_deletion(struct names *names, struct span pattern);
/* True when index NAME matches a deletion that passed this proxy lately. */
bool names_was_deleted(struct names *names, struct span name);

#endif
