/* loop.c - an event loop that belongs to one thread, and how other threads reach it.
 *
 * Posted tasks wait in a list behind a mutex. Whoever posts the first one writes to the eventfd, so
 * a thousand posts between two turns cost one system call; the loop takes the whole list at once.
 * What is posted meanwhile begins a new list, and so waits for the next turn: a turn is bounded by
 * what came before it.
 *
 * libevent's own time cache follows the wall clock, so the turn keeps a time of its own: read when
 * first asked for, forgotten when the turn ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/loop.h"

#include <event2/listener.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

struct task_list {
    struct loop_task *first, **end; /* end: where the next one is linked in */
};

struct loop {
    struct event_base *base; /* owned */
    struct event *wake;      /* owned; wake_fd can be read */
    int wake_fd;             /* owned; an eventfd */
    char *name;              /* owned */

    pthread_mutex_t posted_lock;
    struct task_list posted; /* under posted_lock */
    _Atomic bool stop;

    struct task_list deferred; /* the loop's thread only, as all below */
    uint64_t now_us;           /* 0: not asked for in this turn */
    bool turning;              /* inside loop_turn */
    _Atomic bool running;      /* inside loop_run; then `thread` is set */
    pthread_t thread;
};

static void list_init(struct task_list *list)
{
    list->first = NULL;
    list->end = &list->first;
}

static void list_append(struct task_list *list, struct loop_task *task)
{
    task->next = NULL;
    *list->end = task;
    list->end = &task->next;
}

/* Empties LIST and returns what was in it. */
static struct loop_task *list_take(struct task_list *list)
{
    struct loop_task *first = list->first;
    list_init(list);
    return first;
}

static void run_all(struct loop_task *task)
{
    while (task != NULL) {
        struct loop_task *next = task->next; /* run() may free the task, or post it again */
        task->next = NULL;
        task->run(task);
        task = next;
    }
}

static void run_posted(struct loop *loop)
{
    CHECK(pthread_mutex_lock(&loop->posted_lock) == 0);
    struct loop_task *first = list_take(&loop->posted);
    CHECK(pthread_mutex_unlock(&loop->posted_lock) == 0);
    run_all(first);
}

static void loop_on_wake(evutil_socket_t fd, short what, void *arg)
{
    uint64_t count;
    (void)what;
    /* first empty the eventfd, then the list: a post in between wakes us once too often, never once
     * too little */
    ssize_t got = read(fd, &count, sizeof count);
    (void)got;
    run_posted(arg);
}

static void wake(struct loop *loop)
{
    uint64_t one = 1;
    ssize_t put = write(loop->wake_fd, &one, sizeof one);
    CHECK(put == (ssize_t)sizeof one);
}

struct loop *loop_new(const char *name)
{
    struct loop *loop = bytes_zalloc(sizeof *loop);
    struct event_config *config = event_config_new();
    loop->name = bytes_strdup(name);
    list_init(&loop->posted);
    list_init(&loop->deferred);
    CHECK(pthread_mutex_init(&loop->posted_lock, NULL) == 0);
    CHECK(config != NULL);
    CHECK(event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_PRECISE_TIMER) ==
          0);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->base = event_base_new_with_config(config);
    event_config_free(config);
    if (loop->wake_fd >= 0 && loop->base != NULL)
        loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, loop_on_wake, loop);
    if (loop->wake == NULL || event_add(loop->wake, NULL) != 0) {
        loop_free(loop);
        return NULL;
    }
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    CHECK(!atomic_load(&loop->running));
    while (loop->deferred.first != NULL)
        run_all(list_take(&loop->deferred));
    if (loop->wake != NULL)
        event_free(loop->wake);
    if (loop->base != NULL)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    CHECK(pthread_mutex_destroy(&loop->posted_lock) == 0);
    free(loop->name);
    free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

const char *loop_name(const struct loop *loop)
{
    return loop->name;
}

void loop_turn(struct loop *loop, bool wait)
{
    /* what is deferred already, before the first turn or by a deferred task, must not wait for an
     * event */
    bool must_not_wait = !wait || loop->deferred.first != NULL;
    CHECK(!loop->turning);
    loop->turning = true;
    CHECK(event_base_loop(loop->base, EVLOOP_ONCE | (must_not_wait ? EVLOOP_NONBLOCK : 0)) >= 0);
    run_all(list_take(&loop->deferred));
    loop->turning = false;
    loop->now_us = 0;
}

/* The kernel keeps 15 bytes of a thread's name. The first thread keeps the program's, which ps
 * shows. */
static void name_thread(const struct loop *loop)
{
    char name[16];
    snprintf(name, sizeof name, "%s", loop->name);
    if (getpid() != gettid())
        (void)pthread_setname_np(pthread_self(), name);
}

void loop_run(struct loop *loop)
{
    CHECK(!atomic_load(&loop->running));
    loop->thread = pthread_self();
    atomic_store(&loop->running, true);
    name_thread(loop);
    while (!atomic_load(&loop->stop))
        loop_turn(loop, true);
    run_posted(loop); /* what was posted before the stop is in the list by now */
    run_all(list_take(&loop->deferred));
    atomic_store(&loop->stop, false);
    atomic_store(&loop->running, false);
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stop, true);
    wake(loop);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    CHECK(pthread_mutex_lock(&loop->posted_lock) == 0);
    bool was_empty = loop->posted.first == NULL;
    list_append(&loop->posted, task);
    CHECK(pthread_mutex_unlock(&loop->posted_lock) == 0);
    if (was_empty)
        wake(loop);
}

static bool is_here(struct loop *loop)
{
    return !atomic_load(&loop->running) || pthread_equal(loop->thread, pthread_self());
}

void loop_defer(struct loop *loop, struct loop_task *task)
{
    CHECK(is_here(loop));
    list_append(&loop->deferred, task);
}

uint64_t loop_now_us(struct loop *loop)
{
    CHECK(is_here(loop));
    if (loop->now_us != 0)
        return loop->now_us;
    uint64_t now_us = clock_now_us();
    if (loop->turning) /* between turns there is no turn to keep it for */
        loop->now_us = now_us;
    return now_us;
}

/* ------------------------------------------------------------------------------------------------------
 * Timers */

static void timer_on_time(evutil_socket_t fd, short what, void *arg)
{
    struct loop_timer *timer = arg;
    (void)fd;
    (void)what;
    timer->fire(timer);
}

void loop_timer_init(struct loop_timer *timer, struct loop *loop,
                     void (*fire)(struct loop_timer *timer))
{
    timer->loop = loop;
    timer->fire = fire;
    CHECK(evtimer_assign(&timer->ev, loop->base, timer_on_time, timer) == 0);
}

void loop_timer_set(struct loop_timer *timer, uint64_t after_us)
{
    struct timeval after = {.tv_sec = (time_t)(after_us / CLOCK_US_PER_S),
                            .tv_usec = (suseconds_t)(after_us % CLOCK_US_PER_S)};
    CHECK(evtimer_add(&timer->ev, &after) == 0);
}

void loop_timer_clear(struct loop_timer *timer)
{
    CHECK(evtimer_del(&timer->ev) == 0);
}

bool loop_timer_is_set(const struct loop_timer *timer)
{
    return evtimer_pending(&timer->ev, NULL) != 0;
}

/* ------------------------------------------------------------------------------------------------------
 * Listeners. */

#define LISTENER_PAUSE_US 100000

static void listener_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    evconnlistener_enable(arg);
}

static void listener_on_error(struct evconnlistener *listener, void *arg)
{
    static const struct timeval pause = {0, LISTENER_PAUSE_US};
    (void)arg;
    /* The connection stays in the kernel's queue, so the socket stays readable. */
    if (event_base_once(evconnlistener_get_base(listener), -1, EV_TIMEOUT, listener_again, listener,
                        &pause) == 0)
        evconnlistener_disable(listener);
}

void loop_pause_listener_on_error(struct evconnlistener *listener)
{
    evconnlistener_set_error_cb(listener, listener_on_error);
}
