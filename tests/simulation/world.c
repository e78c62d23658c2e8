/* world.c - the simulation's clock, its queue of events, its chance, and its loops.
 *
 * Time stands still while an event runs, and jumps to the next one then. Each loop of the proxy is
 * a queue of its own: its tasks run in the order in which they were posted, but those of two loops
 * overtake each other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/hash.h"
#include "sim.h"

struct sim *sim_present;

/* ---- chance ---- */

/* Steele's splitmix64: a counter, mixed. */
static uint64_t next_random(struct sim *sim)
{
    uint64_t z = sim->random += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

uint64_t sim_below(struct sim *sim, uint64_t limit)
{
    return limit == 0 ? 0 : next_random(sim) % limit;
}

bool sim_chance(struct sim *sim, unsigned per_mille)
{
    return per_mille != 0 && sim_below(sim, 1000) < per_mille;
}

/* ---- events ---- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

static void heap_up(struct sim *sim, size_t at)
{
    struct sim_event event = sim->heap[at];
    while (at != 0 && before(&event, &sim->heap[(at - 1) / 2])) {
        sim->heap[at] = sim->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    sim->heap[at] = event;
}

static void heap_down(struct sim *sim, size_t at)
{
    struct sim_event event = sim->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= sim->heap_size)
            break;
        if (child + 1 < sim->heap_size && before(&sim->heap[child + 1], &sim->heap[child]))
            child++;
        if (!before(&sim->heap[child], &event))
            break;
        sim->heap[at] = sim->heap[child];
        at = child;
    }
    sim->heap[at] = event;
}

void sim_at(struct sim *sim, uint64_t at_us, enum process process,
            void (*run)(struct sim *sim, void *arg), void (*drop)(void *arg), void *arg)
{
    if (sim->heap_size == sim->heap_capacity) {
        sim->heap_capacity = sim->heap_capacity == 0 ? 256 : 2 * sim->heap_capacity;
        sim->heap = bytes_realloc(sim->heap, sim->heap_capacity * sizeof *sim->heap);
    }
    sim->heap[sim->heap_size] =
        (struct sim_event){.at_us = at_us < sim->now_us ? sim->now_us : at_us,
                           .order = sim->next_order++,
                           .process = process,
                           .life = sim->life[process],
                           .run = run,
                           .drop = drop,
                           .arg = arg};
    heap_up(sim, sim->heap_size++);
}

void sim_after(struct sim *sim, uint64_t delay_us, enum process process,
               void (*run)(struct sim *sim, void *arg), void (*drop)(void *arg), void *arg)
{
    sim_at(sim, sim->now_us + delay_us, process, run, drop, arg);
}

static struct sim_event take_first(struct sim *sim)
{
    struct sim_event event = sim->heap[0];
    sim->heap[0] = sim->heap[--sim->heap_size];
    if (sim->heap_size != 0)
        heap_down(sim, 0);
    return event;
}

static void drop(const struct sim_event *event)
{
    if (event->drop != NULL)
        event->drop(event->arg);
}

bool sim_step(struct sim *sim)
{
    if (sim->heap_size == 0)
        return false;
    struct sim_event event = take_first(sim);
    if (event.at_us > sim->now_us)
        sim->now_us = event.at_us;
    sim->events_run++;
    if (event.life != sim->life[event.process]) {
        drop(&event);
        return true;
    }
    event.run(sim, event.arg);
    proxy_look(sim);
    return true;
}

void sim_drop_events(struct sim *sim)
{
    for (size_t i = 0; i < sim->heap_size; i++)
        drop(&sim->heap[i]);
    free(sim->heap);
    sim->heap = NULL;
    sim->heap_size = sim->heap_capacity = 0;
}

/* ---- the proxy's loops ---- */

struct loop *sim_loop(struct sim *sim, size_t number)
{
    return (struct loop *)(void *)&sim->loops[number];
}

static void run_tasks(struct sim *sim, void *arg)
{
    struct sim_loop *loop = arg;
    loop->scheduled = false;
    struct loop_task *task = loop->first;
    (void)sim;
    if (task == NULL)
        return;
    loop->first = task->next;
    if (loop->first == NULL)
        loop->last = &loop->first;
    else
        sim_post((struct loop *)(void *)loop, NULL);
    task->run(task);
}

/* TASK NULL: only see to it that what waits is run. */
void sim_post(struct loop *loop, struct loop_task *task)
{
    struct sim *sim = sim_present;
    struct sim_loop *queue = (struct sim_loop *)(void *)loop;
    if (task != NULL) {
        task->next = NULL;
        *queue->last = task;
        queue->last = &task->next;
    }
    if (queue->scheduled)
        return;
    queue->scheduled = true;
    sim_after(sim, sim_below(sim, 200), PROCESS_PROXY, run_tasks, NULL, queue);
}

/* ---- words ---- */

void sim_say(struct sim *sim, const char *format, ...)
{
    va_list args;
    if (!sim->verbose)
        return;
    printf("%10.6f  ", (double)sim->now_us / 1e6);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
}

void sim_fail(struct sim *sim, const char *checker, const char *format, ...)
{
    va_list args;
    if (*sim->failure != '\0')
        return;
    va_start(args, format);
    vsnprintf(sim->failure, sizeof sim->failure, format, args);
    va_end(args);
    snprintf(sim->checker, sizeof sim->checker, "%s", checker);
    sim_say(sim, "%s: %s", checker, sim->failure);
}
