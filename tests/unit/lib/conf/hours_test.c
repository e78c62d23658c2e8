/* hours_test.c - stretches of the day.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "conf/hours.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void what_is_no_stretch_is_refused(void **state)
{
    static const char *const wrong[] = {
        "22",          "22:00",       "22:00-24:00",  "22:60-23:00", "2:00-3:00", "22:00 23:00",
        "a2:00-23:00", "22-00-23:00", "22:00-23:00 ", "22:00-23:0",  "-"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (hours_valid(wrong[i]))
            fail_msg("\"%s\" is taken", wrong[i]);
    assert_true(hours_valid(""));
    assert_true(hours_valid("22:00-06:00"));
    assert_true(hours_valid("00:00-23:59"));
}

static void a_stretch_has_its_beginning_and_not_its_end(void **state)
{
    (void)state;
    assert_true(hours_have("08:30-09:00", 8 * 60 + 30));
    assert_false(hours_have("08:30-09:00", 8 * 60 + 29));
    assert_true(hours_have("08:30-09:00", 8 * 60 + 59));
    assert_false(hours_have("08:30-09:00", 9 * 60));
}

static void a_stretch_may_go_over_midnight(void **state)
{
    (void)state;
    assert_true(hours_have("22:00-06:00", 23 * 60));
    assert_true(hours_have("22:00-06:00", 0));
    assert_true(hours_have("22:00-06:00", 5 * 60 + 59));
    assert_false(hours_have("22:00-06:00", 6 * 60));
    assert_false(hours_have("22:00-06:00", 21 * 60 + 59));
}

static void without_a_stretch_it_is_always(void **state)
{
    (void)state;
    assert_true(hours_have("", 0));
    assert_true(hours_have("", 1439));
    assert_true(hours_have("07:00-07:00", 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_stretch_is_refused),
        cmocka_unit_test(a_stretch_has_its_beginning_and_not_its_end),
        cmocka_unit_test(a_stretch_may_go_over_midnight),
        cmocka_unit_test(without_a_stretch_it_is_always),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
