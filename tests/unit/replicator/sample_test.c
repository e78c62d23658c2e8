/* sample_test.c - which sequence numbers a sample looks at.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replicator/sample.h"

/* How many numbers are chosen; all of them in range, in order, none twice. */
static int64_t count(int64_t numbers, double percent, uint64_t seed)
{
    struct sample sample;
    int64_t above, up_to, last = -1, chosen = 0;
    sample_begin(&sample, numbers, percent, seed);
    while (sample_next(&sample, &above, &up_to)) {
        assert_true(above >= last && up_to > above && up_to < numbers);
        last = up_to;
        chosen += up_to - above;
    }
    return chosen;
}

static void all_is_chosen_of_a_hundred_percent(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 63, 64, 65, 999, 64000, 64001, 1234567};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_int_equal(count(sizes[i], 100, i), sizes[i]);
}

static void an_empty_shard_has_no_sample(void **state)
{
    (void)state;
    assert_int_equal(count(0, 100, 1), 0);
    assert_int_equal(count(0, 1, 1), 0);
}

static void a_shard_is_never_left_out(void **state)
{
    (void)state;
    assert_int_equal(count(1, 0.001, 1), 1);
    assert_int_equal(count(50, 0.001, 1), 1);
    assert_int_equal(count(6400, 0.001, 1), 100);
}

static void the_cost_is_proportional(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        int64_t chosen = count(1000000, 5, seed);
        assert_true(chosen >= 49000 && chosen <= 50000);
        chosen = count(1000, 10, seed);
        assert_true(chosen >= 90 && chosen <= 110);
    }
}

static void every_number_has_its_chance(void **state)
{
    (void)state;
    enum { NUMBERS = 640, ROUNDS = 2000 };
    static int hits[NUMBERS];
    for (uint64_t seed = 0; seed < ROUNDS; seed++) {
        struct sample sample;
        int64_t above, up_to;
        sample_begin(&sample, NUMBERS, 25, seed);
        while (sample_next(&sample, &above, &up_to))
            for (int64_t n = above + 1; n <= up_to; n++)
                hits[n]++;
    }
    for (size_t n = 0; n < NUMBERS; n++)
        assert_in_range(hits[n], ROUNDS / 4 - 120, ROUNDS / 4 + 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_chosen_of_a_hundred_percent),
        cmocka_unit_test(an_empty_shard_has_no_sample),
        cmocka_unit_test(a_shard_is_never_left_out),
        cmocka_unit_test(the_cost_is_proportional),
        cmocka_unit_test(every_number_has_its_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
