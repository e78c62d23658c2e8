/* target_test.c - escapes and parameters mean what they mean to the engines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/message.h"

static void only_whole_escapes_are_decoded(void **state)
{
    const struct {
        const char *text, *decoded; /* NULL: refused */
    } cases[] = {
        {"", ""},         {"abc", "abc"},  {"a+b", "a+b"},   {"%41%62", "Ab"},
        {"%2F%2f", "//"}, {"%25", "%"},    {"%2541", "%41"}, {"%e2%82%AC", "\xe2\x82\xac"},
        {"%", NULL},      {"%4", NULL},    {"a%", NULL},     {"%%", NULL},
        {"%4g", NULL},    {"%g4", NULL},   {"%-1", NULL},    {"% 1", NULL},
        {"%u0041", NULL}, {"ok%zz", NULL}, {"%0x", NULL},    {"%\xff\xff", NULL},
    };
    struct buffer out = {0};
    (void)state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        buffer_append_cstr(&out, "=");
        bool good = http_percent_decode(span_cstr(cases[i].text), &out);
        assert_int_equal(good, cases[i].decoded != NULL);
        assert_int_equal(buffer_span(&out).data[0], '=');
        struct span got = span_of(out.data + 1, out.size - 1);
        assert_true(span_equal(got, span_cstr(good ? cases[i].decoded : "")));
    }
    assert_false(
        http_percent_decode(span_of("%41", 1), &out)); /* digits behind the end are not ours */
    assert_false(http_percent_decode(span_of("%41", 2), &out));
    buffer_clear(&out);
    assert_true(http_percent_decode(SPAN("a%00b"), &out));
    assert_true(span_equal(buffer_span(&out), SPAN("a\0b")));
    assert_true(http_percent_decode(SPAN_NONE, &out));
    buffer_fini(&out);
}

static void whatever_is_encoded_decodes_to_itself(void **state)
{
    static const char unreserved[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    struct buffer encoded = {0}, decoded = {0};
    (void)state;

    for (int c = 0; c < 256; c++) {
        char text[1] = {(char)c};
        buffer_clear(&encoded);
        buffer_clear(&decoded);
        http_percent_encode(span_of(text, 1), &encoded);
        assert_int_equal(encoded.size, c != 0 && strchr(unreserved, c) != NULL ? 1 : 3);
        assert_true(http_percent_decode(buffer_span(&encoded), &decoded));
        assert_true(span_equal(buffer_span(&decoded), span_of(text, 1)));
    }
    buffer_clear(&encoded);
    http_percent_encode(SPAN("a/b c+\xe2"), &encoded);
    assert_true(span_equal(buffer_span(&encoded), SPAN("a%2Fb%20c%2B%E2")));
    buffer_fini(&encoded);
    buffer_fini(&decoded);
}

/* Writes the parameters of QUERY as "name=value|name|", raw. */
static void expect_walk(const char *query, const char *expected)
{
    struct span rest = span_cstr(query), name, value;
    struct buffer out = {0};
    bool has_value;

    while (http_query_next(&rest, &name, &value, &has_value)) {
        buffer_append_span(&out, name);
        if (has_value) {
            buffer_append_char(&out, '=');
            buffer_append_span(&out, value);
        }
        buffer_append_char(&out, '|');
    }
    if (!span_equal(buffer_span(&out), span_cstr(expected))) {
        print_error("'%s' gave '%.*s'\n", query, (int)out.size, out.data);
        fail();
    }
    buffer_fini(&out);
}

static void parameters_are_split_as_the_engines_split_them(void **state)
{
    (void)state;
    expect_walk("", "");
    expect_walk("a=1&b&c=", "a=1|b|c=|");
    expect_walk("a", "a|");
    expect_walk("&&a&&b&", "a|b|");
    expect_walk("a=b=c&d==", "a=b=c|d==|");
    expect_walk("=a&==b=c&=&d", "a|b=c|d|");
    expect_walk("a=1;b=2;;c", "a=1|b=2|c|");
    expect_walk("a=x?y/z&%61=%3d", "a=x?y/z|%61=%3d|");
    expect_walk(";", "");
}

static void a_parameter_is_found_by_its_decoded_name_and_the_last_counts(void **state)
{
    const struct {
        const char *query, *name, *value; /* NULL: not there */
        bool has;
    } cases[] = {
        {"refresh=true", "refresh", "true", true},
        {"refresh", "refresh", "", true},
        {"refresh=", "refresh", "", true},
        {"a=1&refresh=wait_for&b", "refresh", "wait_for", true},
        {"refresh=true&refresh=false", "refresh", "false", true},
        {"refresh=true&refresh", "refresh", "", true},
        {"re%66resh=true", "refresh", "true", true},
        {"%72%65fresh=a&refresh=b", "refresh", "b", true},
        {"a=1;refresh=true", "refresh", "true", true},
        {"==refresh=x", "refresh", "x", true},
        {"q=a+b%2Bc%20d", "q", "a b+c d", true},
        {"a+b=1", "a b", "1", true},
        {"a+b=1", "a+b", NULL, false},
        {"a%2Bb=1", "a+b", "1", true},
        {"Refresh=true", "refresh", NULL, false},
        {"refreshes=1&efresh=2&refres=3", "refresh", NULL, false},
        {"x=refresh", "refresh", NULL, false},
        {"", "refresh", NULL, false},
        {"refresh=%zz", "refresh", NULL, true},
        {"refresh=ok&refresh=%", "refresh", NULL, true},
        {"refre%zzsh=1", "refresh", NULL, false},
    };
    struct buffer out = {0};
    (void)state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct span query = span_cstr(cases[i].query), name = span_cstr(cases[i].name);
        buffer_clear(&out);
        buffer_append_char(&out, '=');
        bool found = http_query_get(query, name, &out);
        struct span got = span_of(out.data + 1, out.size - 1);
        if (found != (cases[i].value != NULL) || http_query_has(query, name) != cases[i].has ||
            !span_equal(got, span_cstr(cases[i].value))) {
            print_error("'%s' in '%s' gave '%.*s'\n", cases[i].name, cases[i].query, (int)got.size,
                        got.data);
            fail();
        }
    }
    buffer_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_whole_escapes_are_decoded),
        cmocka_unit_test(whatever_is_encoded_decodes_to_itself),
        cmocka_unit_test(parameters_are_split_as_the_engines_split_them),
        cmocka_unit_test(a_parameter_is_found_by_its_decoded_name_and_the_last_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
