/* loop.h - an event loop (libevent's) that belongs to one thread, and how other threads reach it.
 *
 * A turn of the loop: wait; run the callbacks of events, timers and posted tasks; run what was
 * deferred. Nothing in a turn may block.
 *
 * What must hold:
 *   - Only loop_post() and loop_stop() may be called from another thread; the event base has no
 * locks.
 *   - A task is linked into at most one loop at a time, and belongs to the loop until its run() is
 * called. run() may free the task or post it again.
 *   - Tasks posted by one thread run in the order of posting.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_LOOP_H
#define TANDEM_BASE_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event.h>
#include <event2/event_struct.h>

struct loop;

/* Embedded in what it is about; run() finds it with LOOP_OWNER. */
struct loop_task {
    void (*run)(struct loop_task *task);
    struct loop_task *next; /* the loop's */
};
#define LOOP_OWNER(member_pointer, type, member)                                                   \
    ((type *)(void *)((char *)(member_pointer)-offsetof(type, member)))

/* NAME is copied; it becomes the thread's name, so the first 15 bytes should tell. NULL when the
 * system has no file descriptor left. */
struct loop *loop_new(const char *name);
/* Runs what is still deferred and forgets what is still posted. No other thread may use the loop
 * any more, and all events and timers in it must have been removed. */
void loop_free(struct loop *loop);
struct event_base *loop_base(struct loop *loop);
const char *loop_name(const struct loop *loop);

/* Turns until loop_stop(). What was posted before the stop has been run when it returns. */
void loop_run(struct loop *loop);
/* From any thread, also before loop_run (which then returns at once). It counts for one loop_run.
 */
void loop_stop(struct loop *loop);
/* One turn: waits for an event if WAIT, handles what has happened. For tests and simulations. */
void loop_turn(struct loop *loop, bool wait);
/* From any thread: TASK will run in the loop's thread. */
void loop_post(struct loop *loop, struct loop_task *task);
/* From the loop's thread: TASK runs at the end of this turn, when no callback is under way any
 * more; so this is where memory is freed that a caller up the stack may still look at. What is
 * deferred by a deferred task runs at the end of the next turn, which then does not wait. */
void loop_defer(struct loop *loop, struct loop_task *task);
/* From the loop's thread: clock_now_us() as of this turn. */
uint64_t loop_now_us(struct loop *loop);

/* A timer that fires once each time it is set. Embedded; cleared before it or its loop goes. */
struct loop_timer {
    struct event ev; /* libevent's */
    struct loop *loop;
    void (*fire)(struct loop_timer *timer);
};
void loop_timer_init(struct loop_timer *timer, struct loop *loop,
                     void (*fire)(struct loop_timer *timer));
/* Fires AFTER_US microseconds from now, whatever it was set to before. */
void loop_timer_set(struct loop_timer *timer, uint64_t after_us);
/* Does not fire any more until it is set again; harmless when it is not set. */
void loop_timer_clear(struct loop_timer *timer);
bool loop_timer_is_set(const struct loop_timer *timer);

struct evconnlistener;
/* When LISTENER cannot accept (no file descriptor is left) it pauses, where libevent's would spin.
 * After it was freed its loop must not turn any more. */
void loop_pause_listener_on_error(struct evconnlistener *listener);

#endif
