/* hold.h - the hold: all writes wait in the proxy, reads go on.
 *
 * For what is done to the primary within some seconds, by hand or as a part of a switch. Each write
 * and each change of definitions enters here before anything of it is looked at or made durable,
 * and leaves when its answer is decided; so it is known what is still under way. A hold is bounded
 * in time, number and bytes (hold.time_max, hold.requests_max, hold.bytes_max): at a bound it ends
 * by itself, and the writes go on. It does not outlive the process: nothing was promised of what is
 * held. Thread-safe.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_HOLD_H
#define TANDEM_PROXY_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

struct core;
struct hold;

struct hold_use {
    struct loop_task task; /* first: how on_released travels back */
    /* set by the user */
    struct loop *loop;
    uint64_t bytes;                            /* of memory that it keeps while it is held */
    void (*on_released)(struct hold_use *use); /* in loop's thread, when hold_enter() said false */
    /* private */
    uint64_t since_us;
    struct hold_use *next;
};

enum hold_state {
    HOLD_OFF,
    HOLD_ON,        /* nothing new goes on */
    HOLD_RELEASING, /* it is over; those that were held go on, some at a time */
};

struct hold_info {
    enum hold_state state;
    uint64_t held, bytes;        /* that wait now */
    uint64_t in_flight;          /* entered and not left: what was admitted before */
    uint64_t for_us, ends_in_us; /* of HOLD_ON: how long already, and how much longer at most */
    uint64_t holds;              /* how many there were, this one included */
    uint64_t most, longest_us;   /* of the present or last one: requests, and the longest wait */
    char ended[160];             /* why the last one did: a sentence; "" when none has */
    bool cut;                    /* the last one ended at a bound */
};

struct hold *hold_new(struct core *core);
/* Nothing may be held any more. */
void hold_free(struct hold *hold);

/* True: go on. False: on_released() comes. In both cases hold_leave() must follow. */
bool hold_enter(struct hold *hold, struct hold_use *use);
/* What entered is over. */
void hold_leave(struct hold *hold);

/* Begins to hold, for at most MAX_US (0: hold.time_max). False: there is a hold already; it is not
 * changed. */
bool hold_begin(struct hold *hold, uint64_t max_us);
/* Ends it. False: there was none. */
bool hold_end(struct hold *hold, const char *why);
/* Looks whether its time is over; returns when to call next at the latest (now_us). */
uint64_t hold_tick(struct hold *hold, uint64_t now_us);
void hold_look(struct hold *hold, struct hold_info *info);
/* INFO is of a hold under which nothing is under way on the primary: what was admitted before it
 * has an outcome, or is known to have none. */
bool hold_is_quiet(const struct hold *hold, const struct hold_info *info);

#endif
