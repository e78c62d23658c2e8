/* differences_test.c - in what two definitions differ, and what of a definition counts on a
 * standby.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/settings.h"
#include "replicator/differences.h"
#include "replicator/standby.h"

static json_t *parse(const char *text)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    return json;
}

static void assert_json(const char *expected, json_t *found)
{
    json_t *json = parse(expected);
    char *text = json_dumps(found, JSON_COMPACT | JSON_SORT_KEYS);
    char *wanted = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text, wanted);
    free(text);
    free(wanted);
    json_decref(json);
    json_decref(found);
}

static json_t *differences(const char *primary, const char *there)
{
    json_t *one = parse(primary), *two = parse(there), *found = differences_of(one, two);
    json_decref(one);
    json_decref(two);
    return found;
}

/* ---- differences ---- */

static void equal_parts_do_not_differ(void **state)
{
    (void)state;
    assert_json("[]",
                differences("{\"alias\":{\"a\":{}},\"setting\":{\"\":{\"x\":\"1\",\"y\":[1]}}}",
                            "{\"setting\":{\"\":{\"y\":[1],\"x\":\"1\"}},\"alias\":{\"a\":{}}}"));
}

static void a_path_is_missing_extra_or_different(void **state)
{
    (void)state;
    assert_json("[{\"kind\":\"setting\",\"what\":\"different\",\"name\":\"\",\"path\":\"a\","
                "\"primary\":\"1\",\"standby\":\"2\"},"
                "{\"kind\":\"setting\",\"what\":\"missing\",\"name\":\"\",\"path\":\"b\","
                "\"primary\":\"1\"},"
                "{\"kind\":\"setting\",\"what\":\"extra\",\"name\":\"\",\"path\":\"c\","
                "\"standby\":[\"1\"]}]",
                differences("{\"setting\":{\"\":{\"a\":\"1\",\"b\":\"1\"}}}",
                            "{\"setting\":{\"\":{\"a\":\"2\",\"c\":[\"1\"]}}}"));
}

static void a_name_on_one_side_is_one_difference(void **state)
{
    (void)state;
    assert_json("[{\"kind\":\"pipeline\",\"what\":\"missing\",\"name\":\"p\","
                "\"primary\":{\"a\":1,\"b\":2}},"
                "{\"kind\":\"script\",\"what\":\"extra\",\"name\":\"s\",\"standby\":{}}]",
                differences("{\"pipeline\":{\"p\":{\"a\":1,\"b\":2}}}",
                            "{\"pipeline\":{},\"script\":{\"s\":{}}}"));
}

static void what_agrees_is_told_at_the_place_of_a_difference(void **state)
{
    (void)state;
    json_t *primary = parse("{\"alias\":{\"a\":{\"x\":1},\"b\":{}}}");
    json_t *there = parse("{\"alias\":{\"a\":{\"x\":2}}}");
    json_t *applied = parse("{\"alias\":{\"a\":{\"x\":1}}}");
    json_t *found = differences_of(primary, there);
    assert_int_equal(json_array_size(found), 2);
    /* The standby was given x = 1, and does not have it; it was not given b. */
    assert_true(differences_agree(json_array_get(found, 0), primary, applied));
    assert_false(differences_agree(json_array_get(found, 1), primary, applied));
    json_decref(primary);
    json_decref(there);
    json_decref(applied);
    json_decref(found);
}

static void what_is_shown_is_text_of_some_hundred_bytes(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    json_t *difference = json_pack("{s:s, s:s, s:s, s:s, s:[i]}", "kind", "setting", "what",
                                   "different", "name", "", "primary", text, "standby", 7);
    json_t *shown = differences_show(difference);
    assert_null(json_object_get(shown, "name"));
    assert_string_equal(json_string_value(json_object_get(shown, "standby")), "[7]");
    const char *primary = json_string_value(json_object_get(shown, "primary"));
    assert_true(strlen(primary) < 300);
    assert_string_equal(primary + strlen(primary) - 4, "x...");
    json_decref(shown);
    json_decref(difference);
}

/* ---- parts ---- */

static json_t *parts_with(char *override, const char *definition)
{
    char *items[] = {override};
    struct standby_settings conf = {.request_timeout = 30000000,
                                    .settings_override = {.items = items, .count = 1}};
    struct standby sb = {.conf = &conf, .opensearch = true, .major = 2};
    return definition_parts(&sb, definition);
}

static void what_is_the_sites_own_or_held_back_does_not_count(void **state)
{
    (void)state;
    char none[] = "films index.codec=default", codec[] = "b* index.codec=default";
    static const char definition[] =
        "{\"name\":\"books\",\"state\":\"open\",\"routing_num_shards\":8,\"settings\":{\"index\":{"
        "\"uuid\":\"u\","
        "\"refresh_interval\":\"1s\",\"number_of_replicas\":\"1\",\"blocks\":{\"write\":\"true\"},"
        "\"mapping\":{\"total_fields\":{\"limit\":\"0\"},\"depth\":{\"limit\":\"9\"}},"
        "\"final_pipeline\":\"p\",\"gc_deletes\":\"9s\",\"codec\":\"best\"}},\"mappings\":{},"
        "\"aliases\":{}}";
    assert_json("{\"index\":{\"\":{\"state\":\"open\",\"routing_num_shards\":8}},"
                "\"setting\":{\"\":{\"codec\":\"best\",\"mapping.depth.limit\":\"9\"}},"
                "\"mapping\":{\"\":{}},\"alias\":{}}",
                parts_with(none, definition));
    assert_json("{\"index\":{\"\":{\"state\":\"open\",\"routing_num_shards\":8}},"
                "\"setting\":{\"\":{\"mapping.depth.limit\":\"9\"}},\"mapping\":{\"\":{}},"
                "\"alias\":{}}",
                parts_with(codec, definition));
}

static void mappings_count_without_their_type_and_aliases_one_by_one(void **state)
{
    (void)state;
    char none[] = "films index.codec=default";
    static const char expected[] =
        "{\"index\":{\"\":{}},\"setting\":{\"\":{}},\"mapping\":{\"\":{\"dynamic\":\"strict\","
        "\"properties.o.properties.k.type\":\"keyword\",\"properties.e\":{}}},"
        "\"alias\":{\"a\":{},\"b\":{\"filter.term.k\":\"x\",\"is_write_index\":true}}}";
    static const char aliases[] = "\"aliases\":{\"a\":{},\"b\":{\"filter\":{\"term\":{\"k\":\"x\"}}"
                                  ",\"is_write_index\":true}}";
    static const char mapping[] =
        "{\"dynamic\":\"strict\",\"properties\":{\"e\":{},\"o\":{\"properties\":{\"k\":"
        "{\"type\":\"keyword\"}}}}}";
    char text[1000];
    snprintf(text, sizeof text, "{\"mappings\":%s,%s}", mapping, aliases);
    assert_json(expected, parts_with(none, text));
    snprintf(text, sizeof text, "{\"mappings\":{\"book\":%s},%s}", mapping, aliases);
    assert_json(expected, parts_with(none, text));
}

static void aliases_of_tandem_are_taken_out_of_what_is_there(void **state)
{
    (void)state;
    json_t *there = parse("{\"aliases\":{\".tandem.12\":{},\".tandem-12-3\":{},\"a\":{}}}");
    definition_drop_ours(there);
    assert_json("{\"aliases\":{\"a\":{}}}", there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_parts_do_not_differ),
        cmocka_unit_test(a_path_is_missing_extra_or_different),
        cmocka_unit_test(a_name_on_one_side_is_one_difference),
        cmocka_unit_test(what_agrees_is_told_at_the_place_of_a_difference),
        cmocka_unit_test(what_is_shown_is_text_of_some_hundred_bytes),
        cmocka_unit_test(what_is_the_sites_own_or_held_back_does_not_count),
        cmocka_unit_test(mappings_count_without_their_type_and_aliases_one_by_one),
        cmocka_unit_test(aliases_of_tandem_are_taken_out_of_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
