/* json_test.c - the walk accepts exactly JSON, hands out exact bytes, and never reads past the end.
 *
 * Every text is tried from a heap block of its very size, so that the address sanitizer sees a byte
 * too many.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <jansson.h>

static struct span exact(struct span text)
{
    char *copy = bytes_alloc(text.size);
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    return span_of(copy, text.size);
}

static void drop(struct span text)
{
    free((void *)(uintptr_t)text.data);
}

static bool valid(struct span text)
{
    struct span copy = exact(text);
    bool is = json_valid(copy);
    drop(copy);
    return is;
}

static void json_is_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "0",
        "-0",
        "1",
        "-12",
        "1.5",
        "1e3",
        "1E+3",
        "1.25e-300",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\"",
        "\"\\u00e4\\n\\\"\\\\\\/\\b\\f\\r\\t\"",
        "\"0123456789abcde\"",
        "\"0123456789abcdef\"",
        "\"0123456789abcdef0123456789abcdef\"",
        "\"\\ud800\"", /* half a pair: the grammar allows it */
        "[]",
        "{}",
        " [ ] ",
        "\t{\r\n} ",
        "[1,2,3]",
        "[[],[[]],{}]",
        "{\"a\":1}",
        " { \"a\" : 1 , \"b\" : [ true , false ] , \"\" : { \"c\" : null } } ",
        "{\"a\":1,\"a\":2}",
        /* not RFC 8259, but the engines' parser takes them, and gives them back as they came */
        "// c\n1",
        "[1]/**/",
        "[1]// to the end",
        "{/*a*/\"a\"/*b*/:/*c*/1/*d*/,// e\n\"b\":[//\n]}",
        "[NaN,INF,-INF,+INF,Infinity,-Infinity,+Infinity]",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (!valid(span_cstr(texts[i])))
            fail_msg("refused: %s", texts[i]);
}

static bool in_a_line(const char *text, const char *expected)
{
    struct buffer out = {0};
    json_append_line(span_cstr(text), &out);
    bool same = span_equal(buffer_span(&out), span_cstr(expected));
    buffer_fini(&out);
    return same;
}

static void a_value_is_put_into_one_line(void **state)
{
    (void)state;
    assert_true(in_a_line("{\"a\" : 1}", "{\"a\" : 1}"));
    assert_true(in_a_line("{\n\"a\":\r\n1}\n", "{ \"a\":  1} "));
    assert_true(in_a_line("{\"a\":1 // one\n,\"b\":2}", "{\"a\":1  ,\"b\":2}"));
    assert_true(in_a_line("{/* x\n y */\"a//b\":\"\\\"/*\"\n}", "{ \"a//b\":\"\\\"/*\" }"));
    assert_true(in_a_line("{\"a\":1}//", "{\"a\":1}//")); /* no line end: nothing is swallowed */
}

static void what_is_not_json_is_not_valid(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        " ",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e3",
        "1e",
        "1e+",
        "--1",
        "0x1",
        "1 2",
        "tru",
        "True",
        "truee",
        "nul",
        "nulll",
        "\"",
        "\"a",
        "a\"",
        "'a'",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\t\"",
        "\"0123456789abcdef\n\"",
        "[",
        "]",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[,]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{]",
        "[}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,}",
        "{\"a\",1}",
        "{\"a\" 1}",
        "{a:1}",
        "{1:1}",
        "{\"a\":1]",
        "{\"a\":1,2}",
        "{\"a\":1}}",
        "[]]",
        "[] x",
        "/c\n1",
        "[1]/*",
        "-NaN",
        "Inf",
        "+1",
        "\xef\xbb\xbf{}",
        "{\"a\":[1,{\"b\":2]}}",
        "[\"a\":1]",
        "{\"a\":1:2}",
        "[1,,2]",
        "\v1",
        "\f1",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (valid(span_cstr(texts[i])))
            fail_msg("accepted: %s", texts[i]);
    assert_false(valid(SPAN("1\0")));
    assert_false(valid(SPAN("\"a\0b\"")));
    assert_false(json_valid(SPAN_NONE));
}

static void every_control_byte_in_a_string_is_refused_wherever_it_stands(void **state)
{
    (void)state;
    for (size_t at = 1; at < 40; at++)
        for (int c = 0; c < 256; c++) {
            char text[41];
            memset(text, 'x', sizeof text);
            text[0] = text[40] = '"';
            text[at] = (char)c;
            bool good = c >= 0x20 && c != '"' && c != '\\';
            if (valid(span_of(text, sizeof text)) != good)
                fail_msg("byte %d at %zu", c, at);
        }
}

static void a_text_cut_anywhere_is_not_valid(void **state)
{
    (void)state;
    struct span text =
        SPAN("{\"took\":3,\"errors\":false,\"items\":[{\"index\":{\"_id\":\"a\\u00e4\","
             "\"_seq_no\":12,\"x\":[-1.5e+3,null,true,[]]}},{}]}");
    assert_true(valid(text));
    for (size_t cut = 0; cut < text.size; cut++) {
        assert_false(valid(span_of(text.data, cut)));
        struct span copy = exact(span_of(text.data, cut));
        assert_int_equal(json_value_size(copy), 0);
        drop(copy);
    }
}

static void depth_is_bounded_and_each_level_remembers_its_kind(void **state)
{
    (void)state;
    for (size_t depth = 1; depth <= JSON_DEPTH_MAX + 1; depth++) {
        struct buffer text = {0};
        /* a pattern with a period that does not divide the word that keeps the bits */
        for (size_t i = 0; i < depth; i++)
            buffer_append_cstr(&text, i % 3 == 0 ? "[0," : "{\"k\":");
        buffer_append_cstr(&text, "1");
        for (size_t i = depth; i-- > 0;)
            buffer_append_char(&text, i % 3 == 0 ? ']' : '}');
        assert_int_equal(json_valid(buffer_span(&text)), depth <= JSON_DEPTH_MAX);
        char *last = &text.data[text.size - 1 - depth / 2];
        *last = *last == ']' ? '}' : ']';
        assert_false(json_valid(buffer_span(&text)));
        buffer_fini(&text);
    }
}

static void a_million_brackets_do_no_harm(void **state)
{
    (void)state;
    struct buffer text = {0};
    memset(buffer_reserve(&text, 1000000), '[', 1000000);
    text.size = 1000000;
    assert_false(json_valid(buffer_span(&text)));
    buffer_fini(&text);
}

static void members_come_in_order_with_their_exact_bytes(void **state)
{
    (void)state;
    struct span text = SPAN(" { \"a\" : 1.0 ,\"b\\n\":{ \"c\":[ 1 ] }, \"\":\"x\\\"y\" } tail");
    static const struct span keys[] = {{"a", 1}, {"b\\n", 3}, {"", 0}};
    static const char *const values[] = {"1.0", "{ \"c\":[ 1 ] }", "\"x\\\"y\""};
    struct json_walk walk;
    struct span key, value;
    size_t n = 0;
    assert_true(json_enter(&walk, text, '{'));
    while (json_next_member(&walk, &key, &value)) {
        assert_true(n < 3 && span_equal(key, keys[n]));
        assert_true(span_equal(value, span_cstr(values[n])));
        n++;
    }
    assert_int_equal(n, 3);
    assert_false(walk.failed);
    assert_memory_equal(walk.at, " tail", 5);
    assert_false(json_next_member(&walk, &key, &value)); /* the end stays the end */
    assert_false(walk.failed);
}

static void elements_come_in_order(void **state)
{
    (void)state;
    struct json_walk walk;
    struct span value;
    size_t sizes[] = {1, 2, 7, 4}, n = 0;
    assert_true(json_enter(&walk, SPAN("[1 , {},[2,\"]\"],null]"), '['));
    for (; json_next_element(&walk, &value); n++)
        assert_true(n < 4 && value.size == sizes[n]);
    assert_int_equal(n, 4);
    assert_false(walk.failed);
    assert_true(walk.at == walk.end);

    assert_true(json_enter(&walk, SPAN("[ ]"), '['));
    assert_false(json_next_element(&walk, &value));
    assert_false(walk.failed);
}

static void a_walk_may_enter_what_it_meets(void **state)
{
    static const char text[] = "{\"a\":1, \"list\" : [ {\"n\":1}, {} ,{\"n\":3}],\"z\":2}";
    struct json_walk walk, list, one;
    struct span key, value;
    size_t elements = 0, members = 0;
    (void)state;
    assert_true(json_enter(&walk, span_cstr(text), '{'));
    assert_false(json_enter_member(&walk, SPAN("list"), '[', &list));
    assert_true(json_next_member(&walk, &key, &value));
    assert_true(json_enter_member(&walk, SPAN("list"), '[', &list));
    for (; json_enter_element(&list, '{', &one); elements++) {
        while (json_next_member(&one, &key, &value))
            members++;
        assert_true(json_leave(&list, &one));
    }
    assert_false(list.failed);
    assert_int_equal(elements, 3);
    assert_int_equal(members, 2);
    assert_true(json_leave(&walk, &list));
    assert_true(json_next_member(&walk, &key, &value));
    assert_true(span_equal(key, SPAN("z")));
    assert_false(json_next_member(&walk, &key, &value));
    assert_false(walk.failed);
}

static void what_was_entered_is_left_at_its_end_only(void **state)
{
    struct json_walk walk, one;
    (void)state;
    assert_true(json_enter(&walk, SPAN("[{\"n\":1}]"), '['));
    assert_true(json_enter_element(&walk, '{', &one));
    assert_false(json_leave(&walk, &one));
    assert_true(walk.failed);
    assert_true(json_enter(&walk, SPAN("[1]"), '['));
    assert_false(json_enter_element(&walk, '{', &one));
    assert_true(walk.failed);
}

static void a_walk_over_anything_else_fails(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",           " ",          "[1]",         "\"a\"",   "{\"a\":1",  "{\"a\":1 \"b\":2}",
        "{\"a\":1,}", "{,\"a\":1}", "{\"a\":tru}", "{\"a\"}", "{\"a\":1,,"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct span text = exact(span_cstr(wrong[i]));
        struct json_walk walk;
        struct span key, value;
        if (json_enter(&walk, text, '{'))
            while (json_next_member(&walk, &key, &value))
                ;
        assert_true(walk.failed);
        assert_false(json_next_member(&walk, &key, &value));
        drop(text);
    }
}

static void a_member_is_found_by_its_decoded_name(void **state)
{
    (void)state;
    struct span text =
        SPAN("{\"x\":{\"_id\":0},\"\\u005fid\":1,\"_id\":2,\"\\u00e4\":3,\"a\\\"\":4}");
    assert_true(span_equal(json_member(text, SPAN("_id")), SPAN("1")));
    assert_true(span_equal(json_member(text, SPAN("\xc3\xa4")), SPAN("3")));
    assert_true(span_equal(json_member(text, SPAN("a\"")), SPAN("4")));
    assert_int_equal(json_member(text, SPAN("a\\\"")).size, 0);
    assert_int_equal(json_member(text, SPAN("_i")).size, 0);
    assert_int_equal(json_member(text, SPAN("_idx")).size, 0);
    assert_null(json_member(text, SPAN("absent")).data);
    assert_null(json_member(SPAN("[1]"), SPAN("a")).data);
    assert_null(json_member(SPAN_NONE, SPAN("a")).data);
    assert_true(span_equal(json_member(SPAN("{\"\":5}"), SPAN_NONE), SPAN("5")));
}

static void a_path_goes_down_member_by_member(void **state)
{
    (void)state;
    struct span text = SPAN("{\"a\":{\"b\":{\"c\":[7]}},\"d\":1}");
    assert_true(span_equal(json_path(text, "a/b/c"), SPAN("[7]")));
    assert_true(span_equal(json_path(text, "d"), SPAN("1")));
    assert_null(json_path(text, "d/e").data);
    assert_null(json_path(text, "a/x/c").data);
    assert_null(json_path(text, "a/b/c/0").data);
}

static void the_size_of_a_value_counts_the_space_before_it(void **state)
{
    (void)state;
    assert_int_equal(json_value_size(SPAN(" \n{\"a\":[1,2]} rest")), 13);
    assert_int_equal(json_value_size(SPAN("12")), 2);
    assert_int_equal(json_value_size(SPAN("12,")), 2);
    assert_int_equal(json_value_size(SPAN("\"a\"\"b\"")), 3);
    assert_int_equal(json_value_size(SPAN("  ")), 0);
    assert_int_equal(json_value_size(SPAN("12.")), 0);
    assert_int_equal(json_value_size(SPAN_NONE), 0);
}

static void an_integer_fits_or_is_none(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "-",
                                        "1.0",
                                        "1e3",
                                        "01",
                                        "-01",
                                        "+1",
                                        "\"1\"",
                                        "true",
                                        " 1",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "1 "};
    int64_t n = 7;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(json_to_i64(span_cstr(wrong[i]), &n));
    assert_int_equal(n, 7);
    assert_true(json_to_i64(SPAN("0"), &n) && n == 0);
    assert_true(json_to_i64(SPAN("-0"), &n) && n == 0);
    assert_true(json_to_i64(SPAN("-1"), &n) && n == -1);
    assert_true(json_to_i64(SPAN("9223372036854775807"), &n) && n == INT64_MAX);
    assert_true(json_to_i64(SPAN("-9223372036854775808"), &n) && n == INT64_MIN);
}

static void strings_decode_to_utf8(void **state)
{
    (void)state;
    static const struct {
        const char *raw;
        struct span text;
    } cases[] = {
        {"\"\"", {"", 0}},
        {"\"plain\"", {"plain", 5}},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", {"\"\\/\b\f\n\r\t", 8}},
        {"\"\\u0000\"", {"\0", 1}},
        {"\"\\u007f\\u0080\\u07ff\"", {"\x7f\xc2\x80\xdf\xbf", 5}},
        {"\"\\u0800\\uFFFF\"", {"\xe0\xa0\x80\xef\xbf\xbf", 6}},
        {"\"a\\ud83d\\ude00z\"", {"a\xf0\x9f\x98\x80z", 6}},
        {"\"\\uD800\\uDC00\\uDBFF\\uDFFF\"", {"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8}},
        {"\"0123456789abcdef\\n0123456789abcdef\"", {"0123456789abcdef\n0123456789abcdef", 33}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer out = {0};
        struct span raw = exact(span_cstr(cases[i].raw));
        buffer_append_char(&out, '>');
        assert_true(json_string_decode(raw, &out));
        assert_true(span_equal(span_of(out.data + 1, out.size - 1), cases[i].text));
        assert_true(json_string_is(raw, cases[i].text));
        assert_false(json_string_is(raw, SPAN("something else")));
        buffer_fini(&out);
        drop(raw);
    }
}

static void a_bad_escape_is_refused_and_leaves_the_buffer_as_it_was(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\"a\\x\"",
        "\"a\\u12\"",
        "\"a\\u12g4\"",
        "\"a\\ud800\"",
        "\"a\\udc00\"",
        "\"a\\ud800\\n\"",
        "\"a\\ud800\\u0041\"",
        "\"a\\ud800\\ud800\"",
        "\"a\\\"",
        "\"a\nb\"",
        "\"a\"b\"",
        "a",
        "\"",
        "12",
    };
    struct buffer out = {0};
    buffer_append_cstr(&out, "keep");
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct span raw = exact(span_cstr(wrong[i]));
        if (json_string_decode(raw, &out))
            fail_msg("decoded: %s", wrong[i]);
        assert_int_equal(out.size, 4);
        assert_false(json_string_is(raw, SPAN("a")));
        drop(raw);
    }
    buffer_fini(&out);
}

static void appended_strings_decode_to_themselves(void **state)
{
    (void)state;
    struct buffer all = {0}, raw = {0}, back = {0};
    for (int c = 0; c < 256; c++)
        buffer_append_char(&all, (char)c);
    buffer_append_json_string(&raw, buffer_span(&all));
    assert_true(json_valid(buffer_span(&raw)));
    assert_true(json_string_decode(buffer_span(&raw), &back));
    assert_true(span_equal(buffer_span(&back), buffer_span(&all)));
    buffer_fini(&all);
    buffer_fini(&raw);
    buffer_fini(&back);
}

/* jansson as the second opinion, on texts that are nearly JSON. The seed is fixed: a failure
 * repeats. */
static void we_agree_with_another_parser_about_mutated_texts(void **state)
{
    (void)state;
    static const char base[] =
        "{\"a\":[1,-2.5e1,\"x\\n\",true],\"b\":{\"c\":null,\"d\":{}},\"e\":[[],0]}";
    static const char bytes[] = "{}[],:\"\\0123eE+-.tfn u\n\taA\x01";
    uint64_t seed = 20261124;
    for (int round = 0; round < 200000; round++) {
        char text[sizeof base];
        memcpy(text, base, sizeof base);
        size_t size = sizeof base - 1;
        for (int i = 0; i <= round % 3; i++) {
            seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
            text[(seed >> 33) % size] = bytes[(seed >> 12) % (sizeof bytes - 1)];
        }
        json_error_t error = {0};
        json_t *tree = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
        bool ours = valid(span_of(text, size));
        if (json_error_code(&error) == json_error_numeric_overflow)
            continue; /* it gave up at a number that JSON allows */
        if (ours != (tree != NULL))
            fail_msg("round %d: ours says %d about %.*s", round, ours, (int)size, text);
        json_decref(tree);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_is_valid),
        cmocka_unit_test(a_value_is_put_into_one_line),
        cmocka_unit_test(what_is_not_json_is_not_valid),
        cmocka_unit_test(every_control_byte_in_a_string_is_refused_wherever_it_stands),
        cmocka_unit_test(a_text_cut_anywhere_is_not_valid),
        cmocka_unit_test(depth_is_bounded_and_each_level_remembers_its_kind),
        cmocka_unit_test(a_million_brackets_do_no_harm),
        cmocka_unit_test(members_come_in_order_with_their_exact_bytes),
        cmocka_unit_test(elements_come_in_order),
        cmocka_unit_test(a_walk_may_enter_what_it_meets),
        cmocka_unit_test(what_was_entered_is_left_at_its_end_only),
        cmocka_unit_test(a_walk_over_anything_else_fails),
        cmocka_unit_test(a_member_is_found_by_its_decoded_name),
        cmocka_unit_test(a_path_goes_down_member_by_member),
        cmocka_unit_test(the_size_of_a_value_counts_the_space_before_it),
        cmocka_unit_test(an_integer_fits_or_is_none),
        cmocka_unit_test(strings_decode_to_utf8),
        cmocka_unit_test(a_bad_escape_is_refused_and_leaves_the_buffer_as_it_was),
        cmocka_unit_test(appended_strings_decode_to_themselves),
        cmocka_unit_test(we_agree_with_another_parser_about_mutated_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
