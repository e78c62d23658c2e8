/* settings_copy_test.c - what a definition says of how its index can be read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "replicator/standby.h"

#define MADE_BY(created) "\"settings\":{\"index\":{\"version\":{\"created\":\"" created "\"}}}"

/* A primary that was upgraded from 5.6 has documents that no search by numbers finds. */
static void documents_without_numbers_are_not_seeded_by_numbers(void **state)
{
    (void)state;
    const char *why = definition_unseedable("{" MADE_BY("5061699") "}");
    assert_non_null(why);
    assert_non_null(strstr(why, "_reindex"));
    assert_null(definition_unseedable("{" MADE_BY("6081399") "}"));
    assert_null(definition_unseedable("{" MADE_BY("136357827") "}")); /* OpenSearch */
    assert_null(definition_unseedable("{}"));
}

/* Where it was replicated from the old engine it goes on by scrolls. */
static void what_began_without_numbers_goes_on_without(void **state)
{
    (void)state;
    static const char old[] = "{" MADE_BY("5061699") ",\"numbers\":\"none\"}";
    assert_true(definition_has_no_numbers(old));
    assert_null(definition_unseedable(old));
    assert_false(definition_has_no_numbers("{" MADE_BY("6081399") "}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_without_numbers_are_not_seeded_by_numbers),
        cmocka_unit_test(what_began_without_numbers_goes_on_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
