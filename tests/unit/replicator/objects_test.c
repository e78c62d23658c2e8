/* objects_test.c - which objects a standby is given at once, and which it has to do without.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "es/object_kinds.h"
#include "replicator/standby.h"

static void waits(const struct standby *sb, const char *type, const char *why)
{
    const char *found = objects_wait_why(sb, type);
    if (why == NULL)
        assert_null(found);
    else
        assert_non_null(strstr(found == NULL ? "" : found, why));
}

static void policies_are_put_where_there_is_such_a_thing(void **state)
{
    (void)state;
    static const struct standby es6 = {.major = 6, .minor = 8}, es8 = {.major = 8, .minor = 8},
                                plain = {.major = 7, .minor = 10, .no_lifecycle = true},
                                os2 = {.opensearch = true, .major = 2, .minor = 19};
    waits(&es6, OBJECT_POLICY, NULL);
    waits(&es8, OBJECT_POLICY, NULL);
    waits(&plain, OBJECT_POLICY, "no such lifecycle policies");
    waits(&os2, OBJECT_POLICY, "no such lifecycle policies");
}

static void legacy_templates_wait_where_nothing_shadows_them(void **state)
{
    (void)state;
    static const struct standby es6 = {.major = 6, .minor = 8}, es8 = {.major = 8, .minor = 8},
                                es7 = {.major = 7, .minor = 10},
                                os2 = {.opensearch = true, .major = 2, .minor = 19};
    waits(&es6, "template", "released");
    waits(&es8, "template", "released");
    waits(&es7, "template", NULL);
    waits(&os2, "template", NULL);
    waits(&es6, "pipeline", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policies_are_put_where_there_is_such_a_thing),
        cmocka_unit_test(legacy_templates_wait_where_nothing_shadows_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
