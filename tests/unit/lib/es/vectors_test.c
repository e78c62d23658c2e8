/* vectors_test.c - which vectors an engine leaves out, and which it answers only nearly as they
 * were.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "es/copied.h"

static bool hides(const char *settings)
{
    json_t *json = json_loads(settings, 0, NULL);
    bool is = settings_hide_vectors(json);
    assert_non_null(json);
    json_decref(json);
    return is;
}

static void indices_made_since_9_2_leave_vectors_out(void **state)
{
    (void)state;
    assert_true(hides("{\"version\":{\"created\":\"9039003\"}}"));
    assert_true(hides("{\"version\":{\"created\":\"9035000\"}}"));
    assert_false(hides("{\"version\":{\"created\":\"9033000\"}}")); /* 9.1 */
    assert_false(hides("{\"version\":{\"created\":\"8080299\"}}"));
    assert_false(hides("{\"version\":{\"created\":\"7100299\"}}"));
    assert_false(hides("{\"version\":{\"created\":\"136408127\"}}")); /* OpenSearch 2.19 */
    assert_false(hides("{}"));
}

static void a_setting_has_the_last_word(void **state)
{
    (void)state;
    assert_false(hides("{\"version\":{\"created\":\"9039003\"},"
                       "\"mapping\":{\"exclude_source_vectors\":\"false\"}}"));
    assert_true(hides("{\"version\":{\"created\":\"9033000\"},"
                      "\"mapping\":{\"exclude_source_vectors\":\"true\"}}"));
}

static void assert_vectors(const char *mappings, const char *expected)
{
    json_t *json = json_loads(mappings, 0, NULL);
    char *fields = mapping_vectors(json);
    assert_non_null(json);
    if (expected == NULL)
        assert_null(fields);
    else
        assert_string_equal(fields, expected);
    free(fields);
    json_decref(json);
}

#define VECTOR "{\"type\":\"dense_vector\",\"dims\":3"

static void only_vectors_compared_by_their_cosine_are_inexact(void **state)
{
    (void)state;
    assert_vectors("{\"properties\":{\"a\":" VECTOR ",\"similarity\":\"cosine\"},\"b\":" VECTOR
                   "},\"o\":{\"properties\":{\"c\":" VECTOR "},\"n\":{\"type\":\"nested\","
                   "\"properties\":{\"d\":" VECTOR "}}}}}}}",
                   "\na\nb\no.c\no.n.d\n");
    assert_vectors(
        "{\"properties\":{\"a\":" VECTOR ",\"similarity\":\"l2_norm\"},\"b\":" VECTOR
        ",\"index\":false},\"c\":{\"type\":\"sparse_vector\"},\"d\":{\"type\":\"float\"}}}",
        "\n");
    assert_vectors("{\"properties\":{\"d\":{\"type\":\"float\"}}}", NULL);
    assert_vectors("{}", NULL);
}

static void assert_alike(const char *fields, const char *one, const char *other)
{
    if (vectors_digest(span_cstr(one), fields) != vectors_digest(span_cstr(other), fields))
        fail_msg("%s and %s have two digests", one, other);
}

static void assert_differ(const char *fields, const char *one, const char *other)
{
    if (vectors_digest(span_cstr(one), fields) == vectors_digest(span_cstr(other), fields))
        fail_msg("%s and %s have one digest", one, other);
}

static void of_an_inexact_vector_counts_how_long_it_is(void **state)
{
    (void)state;
    assert_alike("\na\n", "{\"n\":1,\"a\":[0.1,2,3e1]}", "{\"n\":1,\"a\":[0.2,2,3e1]}");
    assert_differ("\na\n", "{\"n\":1,\"a\":[0.1,2]}", "{\"n\":1,\"a\":[0.1,2,3e1]}");
    assert_differ("\na\n", "{\"n\":1,\"a\":[]}", "{\"n\":1}");
    assert_differ("\na\n", "{\"n\":1,\"a\":[1]}", "{\"n\":2,\"a\":[1]}");
    assert_differ("\na\n", "{\"b\":[1]}", "{\"b\":[2]}");
    assert_differ("\nb\nab\n", "{\"a\":[1]}", "{\"a\":[2]}");
    assert_alike("\na\no.c\n", "{\"o\":{\"c\":[1]},\"o.c\":[1,2]}",
                 "{\"o\":{\"c\":[3]},\"o.c\":[4,5]}");
    assert_differ("\na\no.c\n", "{\"o\":{\"a\":[1]}}", "{\"o\":{\"a\":[2]}}");
    assert_alike("\nl.v\n", "{\"l\":[{\"v\":[1,2]},{\"v\":[3]}]}",
                 "{\"l\":[{\"v\":[2,2]},{\"v\":[4]}]}");
    assert_differ("\nl.v\n", "{\"l\":[{\"v\":[1,2]},{\"n\":[3]}]}",
                  "{\"l\":[{\"v\":[1,2]},{\"n\":[4]}]}");
}

static void the_order_of_members_does_not_count(void **state)
{
    (void)state;
    assert_alike("\n", "{\"a\":1,\"b\":{\"c\":2,\"d\":[3]}}",
                 "{ \"b\": {\"d\":[3 ], \"c\":2},\"a\":1}");
    assert_differ("\n", "{\"a\":1,\"b\":2}", "{\"a\":2,\"b\":1}");
    assert_differ("\n", "{\"a\":{\"b\":1},\"c\":2}", "{\"a\":{},\"b\":1,\"c\":2}");
    assert_differ("\n", "{\"a\":[1,2]}", "{\"a\":[2,1]}");
    assert_differ("\n", "{\"a\":[[1],2]}", "{\"a\":[[1,2]]}");
    assert_differ("\n", "{\"a\":\"1\"}", "{\"a\":1}");
    assert_differ("\n", "{}", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indices_made_since_9_2_leave_vectors_out),
        cmocka_unit_test(a_setting_has_the_last_word),
        cmocka_unit_test(only_vectors_compared_by_their_cosine_are_inexact),
        cmocka_unit_test(of_an_inexact_vector_counts_how_long_it_is),
        cmocka_unit_test(the_order_of_members_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
