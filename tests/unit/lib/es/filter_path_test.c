/* filter_path_test.c - the same text is left as the engines leave, for each form of a pattern.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/filter_path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void expect(const char *json, const char *filter, const char *want)
{
    struct buffer out = {0};
    buffer_append_cstr(&out, "=");
    assert_int_equal(filter_path_apply(span_cstr(json), span_cstr(filter), &out), STATUS_OK);
    if (strcmp(buffer_cstr(&out) + 1, want) != 0)
        fail_msg("%s of %s is %s, not %s", filter, json, buffer_cstr(&out) + 1, want);
    buffer_fini(&out);
}

static const char bulk[] =
    "{\"took\":3,\"errors\":true,\"items\":["
    "{\"index\":{\"_index\":\"a\",\"_id\":\"1\",\"status\":201}},"
    "{\"index\":{\"_index\":\"a\",\"_id\":\"2\",\"status\":400,\"error\":{\"type\":\"x\"}}}]}";

static void names_and_wildcards_include(void **state)
{
    (void)state;
    expect(bulk, "took", "{\"took\":3}");
    expect(bulk, "took,errors", "{\"took\":3,\"errors\":true}");
    expect(bulk, " took , nothing", "{\"took\":3}");
    expect(bulk, "items.*.error", "{\"items\":[{\"index\":{\"error\":{\"type\":\"x\"}}}]}");
    expect(bulk, "items.*.status",
           "{\"items\":[{\"index\":{\"status\":201}},{\"index\":{\"status\":400}}]}");
    expect(bulk, "items.index._i*",
           "{\"items\":[{\"index\":{\"_index\":\"a\",\"_id\":\"1\"}},"
           "{\"index\":{\"_index\":\"a\",\"_id\":\"2\"}}]}");
    expect(bulk, "er*", "{\"errors\":true}");
    expect(bulk, "*", bulk);
    expect(bulk, "**", bulk);
    expect(bulk, "items,items.index._id,took,errors", bulk);
}

static void two_stars_stand_for_one_or_more_names(void **state)
{
    (void)state;
    static const char json[] = "{\"x\":1,\"a\":{\"x\":2,\"b\":{\"x\":3,\"y\":4}}}";
    expect(json, "**.x", "{\"a\":{\"x\":2,\"b\":{\"x\":3}}}");
    expect(json, "a.**.x", "{\"a\":{\"b\":{\"x\":3}}}");
    expect(json, "a.**", "{\"a\":{\"x\":2,\"b\":{\"x\":3,\"y\":4}}}");
    expect(json, "**.**.y", "{\"a\":{\"b\":{\"y\":4}}}");
    expect(json, "-**.x", "{\"x\":1,\"a\":{\"b\":{\"y\":4}}}");
}

static void a_minus_excludes_and_goes_before_what_includes(void **state)
{
    (void)state;
    expect(bulk, "-items", "{\"took\":3,\"errors\":true}");
    expect(bulk, "-took,-errors,-items", "{}");
    expect(bulk, "items,-items.index._index,-items.index.error",
           "{\"items\":[{\"index\":{\"_id\":\"1\",\"status\":201}},"
           "{\"index\":{\"_id\":\"2\",\"status\":400}}]}");
    expect("{\"a\":{\"b\":1},\"c\":2}", "-a.b", "{\"c\":2}");
    expect("{\"a\":{\"b\":1},\"c\":2}", "-a.x", "{\"a\":{\"b\":1},\"c\":2}");
    expect("{\"a\":[1,{\"b\":1,\"c\":2}]}", "-a.b", "{\"a\":[1,{\"c\":2}]}");
    expect("{\"a\":{\"b\":1}}", "a,-a.b", "{}");
}

static void what_is_emptied_goes_and_what_was_empty_stays(void **state)
{
    (void)state;
    expect("{\"a\":{},\"b\":[]}", "-c", "{\"a\":{},\"b\":[]}");
    expect("{\"a\":{},\"b\":[]}", "-a.x,-b.x", "{\"a\":{},\"b\":[]}");
    expect("{\"a\":{},\"b\":[]}", "a", "{\"a\":{}}");
    expect("{\"a\":{},\"b\":[]}", "a.x", "{}");
    expect("{\"a\":[[],[{\"x\":1}],2]}", "a.x", "{\"a\":[[{\"x\":1}]]}");
    expect("{\"a\":1}", "b", "{}");
    expect("{}", "b", "{}");
}

static void an_empty_filter_keeps_everything(void **state)
{
    (void)state;
    expect(bulk, "", bulk);
    expect(bulk, ",, ", bulk);
    expect(bulk, "-", bulk);
}

static void values_are_kept_as_they_were_written(void **state)
{
    (void)state;
    expect("{ \"a\" : 1.0 , \"b\" : \"\\u00e4\\\"}\" }", "a,b",
           "{\"a\":1.0,\"b\":\"\\u00e4\\\"}\"}");
    expect("{\"a\": { \"x\" : [ 1e3 , -0 ] } }", "a", "{\"a\":{ \"x\" : [ 1e3 , -0 ] }}");
    expect("{\"a\": { \"x\" : [ 1e3 , -0 ] } }", "a.x", "{\"a\":{\"x\":[ 1e3 , -0 ]}}");
}

static void keys_are_compared_decoded_and_dots_can_be_escaped(void **state)
{
    (void)state;
    expect("{\"\\u0061\":1,\"b\":2}", "a", "{\"\\u0061\":1}");
    expect("{\"a.b\":1,\"a\":{\"b\":2}}", "a\\.b", "{\"a.b\":1}");
    expect("{\"a.b\":1,\"a\":{\"b\":2}}", "a.b", "{\"a\":{\"b\":2}}");
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_int_equal(filter_path_apply(SPAN("{\"a\":1"), SPAN("a"), &out), STATUS_BAD_INPUT);
    assert_int_equal(filter_path_apply(SPAN_NONE, SPAN("a"), &out), STATUS_BAD_INPUT);
    assert_int_equal(json_pretty(SPAN("{\"a\":1}}"), &out), STATUS_BAD_INPUT);
    assert_int_equal(out.size, 0);
    buffer_fini(&out);
}

static void many_stars_stay_linear(void **state)
{
    (void)state;
    struct buffer json = {0}, filter = {0}, out = {0};
    for (int i = 0; i < 200; i++)
        buffer_append_cstr(&json, "{\"a\":");
    buffer_append_cstr(&json, "1");
    for (int i = 0; i < 200; i++)
        buffer_append_char(&json, '}');
    for (int i = 0; i < 100; i++)
        buffer_append_cstr(&filter, "**.");
    buffer_append_cstr(&filter, "b");
    assert_int_equal(filter_path_apply(buffer_span(&json), buffer_span(&filter), &out), STATUS_OK);
    assert_string_equal(buffer_cstr(&out), "{}");
    buffer_fini(&json);
    buffer_fini(&filter);
    buffer_fini(&out);
}

static void pretty_is_that_of_the_engines(void **state)
{
    (void)state;
    struct buffer out = {0};
    assert_int_equal(
        json_pretty(SPAN("{\"took\":3, \"a\":[1,{\"b\":\"x, :{\"}],\"e\":{},\"f\":[ ]}"), &out),
        STATUS_OK);
    assert_string_equal(buffer_cstr(&out),
                        "{\n  \"took\" : 3,\n  \"a\" : [\n    1,\n    {\n      \"b\" : \"x, :{\"\n"
                        "    }\n  ],\n  \"e\" : { },\n  \"f\" : [ ]\n}\n");
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_wildcards_include),
        cmocka_unit_test(two_stars_stand_for_one_or_more_names),
        cmocka_unit_test(a_minus_excludes_and_goes_before_what_includes),
        cmocka_unit_test(what_is_emptied_goes_and_what_was_empty_stays),
        cmocka_unit_test(an_empty_filter_keeps_everything),
        cmocka_unit_test(values_are_kept_as_they_were_written),
        cmocka_unit_test(keys_are_compared_decoded_and_dots_can_be_escaped),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(many_stars_stay_linear),
        cmocka_unit_test(pretty_is_that_of_the_engines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
