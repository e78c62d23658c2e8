/* status_test.c - the table of statuses is complete and says what each is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const enum status all[] = {
#define X(name, remedy, text) STATUS_##name,
    STATUS_TABLE(X)
#undef X
};
#define ALL_COUNT (sizeof all / sizeof all[0])

static void every_status_has_a_sentence_and_a_name_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < ALL_COUNT; i++) {
        assert_true(strlen(status_text(all[i])) > 0);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(status_text(all[i]), status_text(all[j]));
            assert_string_not_equal(status_name(all[i]), status_name(all[j]));
        }
    }
}

static void names_are_lower_case_with_underscores(void **state)
{
    (void)state;
    for (size_t i = 0; i < ALL_COUNT; i++)
        for (const char *c = status_name(all[i]); *c != '\0'; c++)
            assert_true((*c >= 'a' && *c <= 'z') || *c == '_');
    assert_string_equal(status_name(STATUS_STANDBY_REFUSED), "standby_refused");
}

static void the_remedy_is_that_of_the_table(void **state)
{
    (void)state;
    assert_int_equal(status_remedy(STATUS_OK), REMEDY_NOTHING);
    assert_int_equal(status_remedy(STATUS_NEED_MORE), REMEDY_MORE);
    assert_int_equal(status_remedy(STATUS_CLUSTER_BUSY), REMEDY_RETRY);
    assert_int_equal(status_remedy(STATUS_NOT_THERE_YET), REMEDY_WAIT);
    assert_int_equal(status_remedy(STATUS_STANDBY_REFUSED), REMEDY_PARK);
    assert_int_equal(status_remedy(STATUS_RECORD_TORN), REMEDY_STOP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_sentence_and_a_name_of_its_own),
        cmocka_unit_test(names_are_lower_case_with_underscores),
        cmocka_unit_test(the_remedy_is_that_of_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
