/* object_kinds_test.c - objects in the answers of engines, as other engines take them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/object_kinds.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define DATES "\"created_date_millis\":1796031118853,\"modified_date_millis\":1796031118853"

static const struct object_kind *kind_of(const char *type)
{
    for (size_t i = 0; i < OBJECT_KINDS; i++)
        if (strcmp(object_kinds[i].type, type) == 0)
            return &object_kinds[i];
    fail();
    return NULL;
}

static void assert_found(const char *type, const char *answer, const char *expected)
{
    json_t *json = json_loads(answer, 0, NULL);
    json_t *found = objects_in(kind_of(type), json);
    char *text = json_dumps(found, JSON_COMPACT);
    assert_non_null(json);
    assert_string_equal(text, expected);
    free(text);
    json_decref(found);
    json_decref(json);
}

static void an_engines_own_dates_are_left_out(void **state)
{
    (void)state;
    assert_found("pipeline", "{\"p\":{\"processors\":[]," DATES "}}",
                 "{\"p\":{\"processors\":[]}}");
    assert_found("index_template",
                 "{\"index_templates\":[{\"name\":\"t\",\"index_template\":{\"index_patterns\":"
                 "[\"a-*\"]," DATES "}}]}",
                 "{\"t\":{\"index_patterns\":[\"a-*\"]}}");
    assert_found(
        "component_template",
        "{\"component_templates\":[{\"name\":\"c\",\"component_template\":{\"template\":{},"
        "\"created_date\":\"2026\",\"modified_date\":\"2026\"," DATES "}}]}",
        "{\"c\":{\"template\":{}}}");
}

static void names_of_objects_are_their_own(void **state)
{
    (void)state;
    assert_found("pipeline", "{\"created_date\":{\"processors\":[]}}",
                 "{\"created_date\":{\"processors\":[]}}");
    assert_found("script", "{\"s\":{\"lang\":\"x\",\"source\":\"y\"}}",
                 "{\"s\":{\"lang\":\"x\",\"source\":\"y\"}}");
    assert_found("template", "{}", "{}");
}

static void what_engines_and_tandem_made_is_not_replicated(void **state)
{
    (void)state;
    json_t *managed = json_loads("{\"_meta\":{\"managed\":true}}", 0, NULL);
    assert_true(object_is_replicated("mine", NULL));
    assert_false(object_is_replicated("mine", managed));
    assert_false(object_is_replicated(".theirs", NULL));
    assert_false(object_is_replicated("tandem-shadow", NULL));
    json_decref(managed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engines_own_dates_are_left_out),
        cmocka_unit_test(names_of_objects_are_their_own),
        cmocka_unit_test(what_engines_and_tandem_made_is_not_replicated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
