/* hold_test.c - the hold: what waits, what goes on, and when it ends by itself.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/log.h"
#include "conf/settings.h"
#include "proxy/core.h"
#include "proxy/hold.h"

#define MS UINT64_C(1000)

/* A world of one loop, whose tasks run when we say so. */
struct world {
    struct core core;
    struct settings settings;
    struct loop_task *first, **last;
    uint64_t now_us;
    pthread_mutex_t lock;
    size_t released;
};

struct write {
    struct hold_use use; /* first */
    struct world *world;
    size_t turn; /* 1: was released first */
};

static uint64_t world_now(struct core *core)
{
    return ((struct world *)core->world)->now_us;
}

static struct world *present;

static void world_post(struct loop *loop, struct loop_task *task)
{
    (void)loop;
    pthread_mutex_lock(&present->lock);
    task->next = NULL;
    *present->last = task;
    present->last = &task->next;
    pthread_mutex_unlock(&present->lock);
}

/* The task posted first, which is no longer posted; NULL: there is none. */
static struct loop_task *take_task(struct world *world)
{
    pthread_mutex_lock(&world->lock);
    struct loop_task *task = world->first;
    if (task != NULL) {
        world->first = task->next;
        if (world->first == NULL)
            world->last = &world->first;
    }
    pthread_mutex_unlock(&world->lock);
    return task;
}

static bool run_one(struct world *world)
{
    struct loop_task *task = take_task(world);
    if (task != NULL)
        task->run(task);
    return task != NULL;
}

static int world_new(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->settings.hold_time_max = 8000 * MS;
    world->settings.hold_requests_max = 1000;
    world->settings.hold_bytes_max = 100000;
    atomic_init(&world->core.settings, &world->settings);
    world->core.now_us = world_now;
    world->core.post = world_post;
    world->core.world = world;
    world->last = &world->first;
    world->now_us = 1000000;
    pthread_mutex_init(&world->lock, NULL);
    world->core.hold = hold_new(&world->core);
    present = world;
    *state = world;
    return 0;
}

static int world_free(void **state)
{
    struct world *world = *state;
    hold_free(world->core.hold);
    pthread_mutex_destroy(&world->lock);
    free(world);
    return 0;
}

static void on_released(struct hold_use *use)
{
    struct write *write = (struct write *)use;
    write->turn = ++write->world->released;
}

static bool enter(struct world *world, struct write *write, uint64_t bytes)
{
    *write = (struct write){.use = {.bytes = bytes, .on_released = on_released}, .world = world};
    return hold_enter(world->core.hold, &write->use);
}

static struct hold_info look(struct world *world)
{
    struct hold_info info;
    hold_look(world->core.hold, &info);
    return info;
}

static void without_a_hold_all_goes_on(void **state)
{
    struct world *world = *state;
    struct write a, b;
    assert_true(enter(world, &a, 10));
    assert_true(enter(world, &b, 10));
    assert_int_equal(look(world).in_flight, 2);
    assert_false(hold_end(world->core.hold, "nothing to end"));
    hold_leave(world->core.hold);
    hold_leave(world->core.hold);
    assert_int_equal(look(world).in_flight, 0);
}

static void what_is_held_goes_on_in_order(void **state)
{
    struct world *world = *state;
    struct write early, writes[200];
    assert_true(enter(world, &early, 1));
    assert_true(hold_begin(world->core.hold, 0));
    assert_false(hold_begin(world->core.hold, 0));
    for (size_t i = 0; i < 200; i++)
        assert_false(enter(world, &writes[i], 3));
    struct hold_info info = look(world);
    assert_int_equal(info.state, HOLD_ON);
    assert_int_equal(info.held, 200);
    assert_int_equal(info.bytes, 600);
    assert_int_equal(info.in_flight, 1); /* the early one */
    hold_leave(world->core.hold);
    assert_int_equal(look(world).in_flight, 0);
    assert_false(run_one(world));
    world->now_us += 700 * MS;
    assert_true(hold_end(world->core.hold, "enough"));
    assert_false(hold_end(world->core.hold, "again"));

    /* Not all of them at once; and what comes now stands behind them. */
    while (run_one(world))
        ;
    info = look(world);
    assert_int_equal(info.state, HOLD_RELEASING);
    assert_true(info.in_flight < 200);
    assert_int_equal(info.in_flight, world->released);
    struct write late;
    assert_false(enter(world, &late, 1));
    for (size_t left = 0; left < 201; left++) {
        hold_leave(world->core.hold);
        while (run_one(world))
            ;
    }
    assert_int_equal(world->released, 201);
    for (size_t i = 0; i < 200; i++)
        assert_int_equal(writes[i].turn, i + 1);
    assert_int_equal(late.turn, 201);
    info = look(world);
    assert_int_equal(info.state, HOLD_OFF);
    assert_int_equal(info.in_flight, 0);
    assert_int_equal(info.bytes, 0);
    assert_int_equal(info.longest_us, 700 * MS);
    assert_int_equal(info.most, 200);
    assert_string_equal(info.ended, "enough");
    assert_false(info.cut);
    assert_true(enter(world, &early, 1));
}

static void it_ends_when_its_time_is_over(void **state)
{
    struct world *world = *state;
    struct write write;
    assert_true(hold_begin(world->core.hold, 300 * MS));
    assert_false(enter(world, &write, 1));
    assert_int_equal(hold_tick(world->core.hold, world->now_us), world->now_us + 300 * MS);
    world->now_us += 299 * MS;
    (void)hold_tick(world->core.hold, world->now_us);
    assert_int_equal(look(world).ends_in_us, 1 * MS);
    assert_false(run_one(world));
    world->now_us += 1 * MS;
    (void)hold_tick(world->core.hold, world->now_us);
    assert_true(run_one(world));
    assert_int_equal(write.turn, 1);
    assert_true(look(world).cut);
    hold_leave(world->core.hold);
    assert_int_equal(look(world).state, HOLD_OFF);
}

static void it_ends_at_its_bounds(void **state)
{
    struct world *world = *state;
    static struct write writes[1001];
    assert_true(hold_begin(world->core.hold, 0));
    for (size_t i = 0; i < 1000; i++)
        assert_false(enter(world, &writes[i], 1));
    assert_int_equal(look(world).state, HOLD_ON);
    assert_false(enter(world, &writes[1000], 1));
    assert_int_equal(look(world).state, HOLD_RELEASING);
    for (size_t i = 0; i < 1001; i++) {
        assert_true(run_one(world));
        hold_leave(world->core.hold);
    }
    assert_int_equal(look(world).state, HOLD_OFF);
    assert_int_equal(world->released, 1001);

    assert_true(hold_begin(world->core.hold, 0));
    assert_false(enter(world, &writes[0], 99999));
    assert_int_equal(look(world).state, HOLD_ON);
    assert_false(enter(world, &writes[1], 2));
    assert_true(look(world).cut);
    while (run_one(world))
        hold_leave(world->core.hold);
    assert_int_equal(look(world).state, HOLD_OFF);
    assert_int_equal(look(world).holds, 2);
}

/* ---- many threads: none is lost, and none goes on under a hold that is quiet ---- */

#define THREADS 4
#define WRITES_EACH 20000

static _Atomic bool quiet;
static _Atomic uint64_t went_on_under_it, done;

struct thread {
    pthread_t thread;
    struct world *world;
};

static void *write_all(void *arg)
{
    struct thread *thread = arg;
    struct hold *hold = thread->world->core.hold;
    for (size_t i = 0; i < WRITES_EACH; i++) {
        struct write *write = calloc(1, sizeof *write);
        write->world = thread->world;
        write->use.on_released = on_released;
        if (hold_enter(hold, &write->use)) {
            if (atomic_load(&quiet))
                atomic_fetch_add(&went_on_under_it, 1);
            hold_leave(hold);
            atomic_fetch_add(&done, 1);
            free(write);
        }
    }
    return NULL;
}

/* Runs what was released, as the loops of the threads would. */
static void run_released(struct world *world)
{
    struct loop_task *task;
    while ((task = take_task(world)) != NULL) {
        task->run(task);
        hold_leave(world->core.hold);
        atomic_fetch_add(&done, 1);
        free(task);
    }
}

static void threads_lose_nothing(void **state)
{
    struct world *world = *state;
    struct thread threads[THREADS];
    world->settings.hold_requests_max = UINT64_MAX;
    world->settings.hold_bytes_max = UINT64_MAX;
    atomic_store(&done, 0);
    for (size_t i = 0; i < THREADS; i++) {
        threads[i].world = world;
        pthread_create(&threads[i].thread, NULL, write_all, &threads[i]);
    }
    while (atomic_load(&done) + look(world).held < THREADS * WRITES_EACH) {
        if (hold_begin(world->core.hold, 0)) {
            while (look(world).in_flight != 0)
                ;
            atomic_store(&quiet, true);
            for (int i = 0; i < 100; i++)
                (void)look(world);
            atomic_store(&quiet, false);
            assert_true(hold_end(world->core.hold, "enough"));
        }
        run_released(world);
        (void)hold_tick(world->core.hold, world->now_us);
    }
    (void)hold_end(world->core.hold, "the end");
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i].thread, NULL);
    while (look(world).state != HOLD_OFF || world->first != NULL) {
        run_released(world);
        (void)hold_tick(world->core.hold, world->now_us);
    }
    assert_int_equal(atomic_load(&done), THREADS * WRITES_EACH);
    assert_int_equal(atomic_load(&went_on_under_it), 0);
    assert_int_equal(look(world).in_flight, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_a_hold_all_goes_on, world_new, world_free),
        cmocka_unit_test_setup_teardown(what_is_held_goes_on_in_order, world_new, world_free),
        cmocka_unit_test_setup_teardown(it_ends_when_its_time_is_over, world_new, world_free),
        cmocka_unit_test_setup_teardown(it_ends_at_its_bounds, world_new, world_free),
        cmocka_unit_test_setup_teardown(threads_lose_nothing, world_new, world_free),
    };
    log_init(LOG_LEVEL_ERROR, "test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
