/* loop_test.c - tasks run once, in order and in the loop's thread; what is deferred runs at the end
 * of the turn.
 *
 * The tests with threads are meant for the thread sanitizer, too.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/loop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "base/clock.h"

/* A task that writes its letter down. */
struct letter {
    struct loop_task task;
    struct buffer *out;
    char c;
};

static void write_letter(struct loop_task *task)
{
    struct letter *letter = LOOP_OWNER(task, struct letter, task);
    buffer_append_char(letter->out, letter->c);
}

static struct letter letter_of(struct buffer *out, char c)
{
    return (struct letter){.task.run = write_letter, .out = out, .c = c};
}

static void posted_tasks_run_in_order_in_the_next_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new("test");
    struct buffer out = {0};
    struct letter a = letter_of(&out, 'a'), b = letter_of(&out, 'b'), c = letter_of(&out, 'c');
    loop_post(loop, &a.task);
    loop_post(loop, &b.task);
    assert_string_equal(buffer_cstr(&out), "");
    loop_turn(loop, true);
    assert_string_equal(buffer_cstr(&out), "ab");
    loop_turn(loop, false);
    loop_post(loop, &c.task);
    loop_post(loop, &a.task);
    loop_turn(loop, true);
    assert_string_equal(buffer_cstr(&out), "abca");
    assert_string_equal(loop_name(loop), "test");
    buffer_fini(&out);
    loop_free(loop);
}

/* A task that posts or defers others and notes when. */
struct chain {
    struct loop_task task;
    struct loop *loop;
    struct buffer *out;
    struct loop_task *post, *defer;
};

static void run_chain(struct loop_task *task)
{
    struct chain *chain = LOOP_OWNER(task, struct chain, task);
    buffer_append_char(chain->out, '<');
    if (chain->post != NULL)
        loop_post(chain->loop, chain->post);
    if (chain->defer != NULL)
        loop_defer(chain->loop, chain->defer);
    buffer_append_char(chain->out, '>');
}

static void a_task_posted_by_a_task_waits_for_the_next_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new("test");
    struct buffer out = {0};
    struct letter p = letter_of(&out, 'p'), d = letter_of(&out, 'd'), x = letter_of(&out, 'x');
    struct chain chain = {{.run = run_chain}, loop, &out, &p.task, &d.task};
    loop_post(loop, &chain.task);
    loop_post(loop, &x.task);
    loop_turn(loop, true);
    assert_string_equal(buffer_cstr(&out), "<>xd");
    loop_turn(loop, true);
    assert_string_equal(buffer_cstr(&out), "<>xdp");
    buffer_fini(&out);
    loop_free(loop);
}

static void a_turn_does_not_wait_while_something_is_deferred(void **state)
{
    (void)state;
    struct loop *loop = loop_new("test");
    struct buffer out = {0};
    struct letter d = letter_of(&out, 'd');
    struct chain chain = {{.run = run_chain}, loop, &out, NULL, &d.task};
    loop_defer(loop, &chain.task);
    loop_turn(loop, true); /* would wait for ever */
    assert_string_equal(buffer_cstr(&out), "<>");
    loop_turn(loop, true);
    assert_string_equal(buffer_cstr(&out), "<>d");
    buffer_fini(&out);
    loop_free(loop);
}

static void free_self(struct loop_task *task)
{
    free(LOOP_OWNER(task, struct letter, task));
}

static void a_task_may_free_itself_and_none_that_frees_is_forgotten(void **state)
{
    (void)state;
    struct loop *loop = loop_new("test");
    for (int i = 0; i < 3; i++) {
        struct letter *posted = bytes_zalloc(sizeof *posted);
        struct letter *deferred = bytes_zalloc(sizeof *deferred);
        posted->task.run = deferred->task.run = free_self;
        loop_post(loop, &posted->task);
        loop_defer(loop, &deferred->task);
    }
    loop_turn(loop, true);
    struct letter *last = bytes_zalloc(sizeof *last);
    last->task.run = free_self;
    loop_defer(loop, &last->task);
    loop_free(loop); /* the leak checker looks */
}

static void a_stop_before_the_run_is_not_lost(void **state)
{
    (void)state;
    struct loop *loop = loop_new("test");
    struct buffer out = {0};
    struct letter a = letter_of(&out, 'a');
    loop_post(loop, &a.task);
    loop_stop(loop);
    loop_run(loop);
    assert_string_equal(buffer_cstr(&out), "a");
    loop_stop(loop); /* and again, for the next run */
    loop_run(loop);
    buffer_fini(&out);
    loop_free(loop);
}

/* ------------------------------------------------------------------------------------------------------
 * Timers and time */

struct alarm {
    struct loop_timer timer;
    struct buffer *out;
    char c;
    bool stops;
};

static void on_alarm(struct loop_timer *timer)
{
    struct alarm *alarm = LOOP_OWNER(timer, struct alarm, timer);
    assert_false(loop_timer_is_set(timer));
    buffer_append_char(alarm->out, alarm->c);
    if (alarm->stops)
        loop_stop(timer->loop);
}

static void timers_fire_once_in_the_order_of_their_time(void **state)
{
    (void)state;
    struct loop *loop = loop_new("test");
    struct buffer out = {0};
    struct alarm alarms[4];
    static const uint64_t after_us[] = {3000, 1000, 2000, 100};
    uint64_t begin = clock_now_us();
    for (size_t i = 0; i < 4; i++) {
        alarms[i] = (struct alarm){.out = &out, .c = (char)('a' + i), .stops = i == 0};
        loop_timer_init(&alarms[i].timer, loop, on_alarm);
        assert_false(loop_timer_is_set(&alarms[i].timer));
        loop_timer_set(&alarms[i].timer, after_us[i]);
        assert_true(loop_timer_is_set(&alarms[i].timer));
    }
    loop_timer_set(&alarms[2].timer, 500); /* the last word counts */
    loop_timer_clear(&alarms[3].timer);
    loop_timer_clear(&alarms[3].timer);
    loop_run(loop);
    assert_true(clock_now_us() - begin >= 3000);
    assert_string_equal(buffer_cstr(&out), "cba");
    buffer_fini(&out);
    loop_free(loop);
}

struct look {
    struct loop_task task;
    struct loop *loop;
    uint64_t first, second, after;
};

static void look_at_time(struct loop_task *task)
{
    struct look *look = LOOP_OWNER(task, struct look, task);
    look->first = loop_now_us(look->loop);
    while (clock_now_us() == look->first) /* until time has moved */
        ;
    look->second = loop_now_us(look->loop);
    look->after = clock_now_us();
}

static void time_stands_still_within_a_turn(void **state)
{
    (void)state;
    struct loop *loop = loop_new("test");
    struct look look = {{.run = look_at_time}, loop, 0, 0, 0}, next = look;
    uint64_t before = loop_now_us(loop);
    loop_post(loop, &look.task);
    loop_turn(loop, true);
    assert_true(look.first >= before);
    assert_true(look.first == look.second);
    assert_true(look.after > look.first);
    loop_post(loop, &next.task);
    loop_turn(loop, true);
    assert_true(next.first >= look.after);
    assert_true(loop_now_us(loop) >= next.after);
    loop_free(loop);
}

/* ------------------------------------------------------------------------------------------------------
 * Threads */

static void *run_loop(void *arg)
{
    loop_run(arg);
    return NULL;
}

#define POSTERS 2
#define POSTS 20000

struct numbered {
    struct loop_task task;
    int poster, number;
};

/* Touched in the loop's thread only, without locks: the thread sanitizer sees when that is not so.
 */
static int next_number[POSTERS];
static bool out_of_order;

static void take_number(struct loop_task *task)
{
    struct numbered *numbered = LOOP_OWNER(task, struct numbered, task);
    out_of_order |= numbered->number != next_number[numbered->poster]++;
    free(numbered);
}

struct poster {
    pthread_t thread;
    struct loop *loop;
    int index;
};

static void *post_numbers(void *arg)
{
    struct poster *poster = arg;
    for (int i = 0; i < POSTS; i++) {
        struct numbered *numbered = bytes_zalloc(sizeof *numbered);
        *numbered = (struct numbered){{.run = take_number}, poster->index, i};
        loop_post(poster->loop, &numbered->task);
    }
    return NULL;
}

static void tasks_of_each_thread_run_once_and_in_order(void **state)
{
    (void)state;
    struct loop *loop = loop_new("test-threads-with-a-long-name");
    struct poster posters[POSTERS];
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, loop), 0);
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){.loop = loop, .index = i};
        assert_int_equal(pthread_create(&posters[i].thread, NULL, post_numbers, &posters[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++)
        pthread_join(posters[i].thread, NULL);
    loop_stop(loop);
    pthread_join(thread, NULL);
    assert_false(out_of_order);
    for (int i = 0; i < POSTERS; i++)
        assert_int_equal(next_number[i], POSTS);
    loop_free(loop);
}

/* A ball that two loops post to each other: each hop is a wake-up of a thread that waits. */
struct ball {
    struct loop_task task;
    struct loop *sides[2];
    int hops; /* handed over with the ball */
};
#define HOPS 2000

static void hit_ball(struct loop_task *task)
{
    struct ball *ball = LOOP_OWNER(task, struct ball, task);
    if (++ball->hops == HOPS) {
        loop_stop(ball->sides[0]);
        loop_stop(ball->sides[1]);
        return;
    }
    loop_post(ball->sides[ball->hops % 2], task);
}

static void no_wake_up_is_lost_between_two_loops(void **state)
{
    (void)state;
    struct ball ball = {{.run = hit_ball}, {loop_new("left"), loop_new("right")}, 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_loop, ball.sides[1]), 0);
    loop_post(ball.sides[0], &ball.task);
    loop_run(ball.sides[0]);
    pthread_join(thread, NULL);
    assert_int_equal(ball.hops, HOPS);
    loop_free(ball.sides[0]);
    loop_free(ball.sides[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(posted_tasks_run_in_order_in_the_next_turn),
        cmocka_unit_test(a_task_posted_by_a_task_waits_for_the_next_turn),
        cmocka_unit_test(a_turn_does_not_wait_while_something_is_deferred),
        cmocka_unit_test(a_task_may_free_itself_and_none_that_frees_is_forgotten),
        cmocka_unit_test(a_stop_before_the_run_is_not_lost),
        cmocka_unit_test(timers_fire_once_in_the_order_of_their_time),
        cmocka_unit_test(time_stands_still_within_a_turn),
        cmocka_unit_test(tasks_of_each_thread_run_once_and_in_order),
        cmocka_unit_test(no_wake_up_is_lost_between_two_loops),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
