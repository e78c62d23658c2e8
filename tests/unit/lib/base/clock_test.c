/* clock_test.c - both clocks tell microseconds, and the first only moves forward.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <time.h>

static void time_does_not_go_back(void **state)
{
    (void)state;
    uint64_t before = clock_now_us();
    for (int i = 0; i < 10000; i++) {
        uint64_t now = clock_now_us();
        assert_true(now >= before);
        before = now;
    }
    assert_true(before > 0);
}

static void the_wall_clock_counts_from_1970(void **state)
{
    (void)state;
    uint64_t before_s = (uint64_t)time(NULL);
    uint64_t wall_us = clock_wall_us();
    /* time() may lag behind by a tick of the kernel */
    assert_true(wall_us / CLOCK_US_PER_S >= before_s);
    assert_true(wall_us / CLOCK_US_PER_S <= (uint64_t)time(NULL) + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_does_not_go_back),
        cmocka_unit_test(the_wall_clock_counts_from_1970),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
