/* bytes_test.c - spans, buffers and readers at their edges.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void equality_ignores_the_case_of_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(span_equal_nocase(SPAN("Content-Length"), SPAN("cONTENT-lENGTH")));
    assert_false(span_equal_nocase(SPAN("a"), SPAN("ab")));
    assert_true(span_equal_nocase(SPAN_NONE, SPAN("")));
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            char x = (char)a, y = (char)b;
            int la = a >= 'A' && a <= 'Z' ? a + 32 : a, lb = b >= 'A' && b <= 'Z' ? b + 32 : b;
            assert_int_equal(span_equal_nocase(span_of(&x, 1), span_of(&y, 1)), la == lb);
        }
}

static void a_decimal_is_read_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1x",
                                        "0x1",
                                        "1.",
                                        "18446744073709551616",
                                        "99999999999999999999"};
    uint64_t v = 7;
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_false(span_to_u64(span_cstr(wrong[i]), &v));
    assert_int_equal(v, 7);
    assert_true(span_to_u64(SPAN("0"), &v) && v == 0);
    assert_true(span_to_u64(SPAN("007"), &v) && v == 7);
    assert_true(span_to_u64(SPAN("18446744073709551615"), &v) && v == UINT64_MAX);
}

static void the_order_is_by_bytes_then_by_length(void **state)
{
    (void)state;
    static const struct span sorted[] = {{NULL, 0}, {"a", 1}, {"ab", 2}, {"b", 1}, {"\xff", 1}};
    for (size_t i = 0; i < COUNT_OF(sorted); i++)
        for (size_t j = 0; j < COUNT_OF(sorted); j++) {
            int order = span_compare(sorted[i], sorted[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
}

static void a_star_matches_any_run_and_nothing_else_is_special(void **state)
{
    (void)state;
    static const struct {
        const char *text, *pattern;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "*", true},
        {"", "**", true},
        {"", "a", false},
        {"a", "", false},
        {"logs-1", "logs-*", true},
        {"logs", "logs-*", false},
        {"a.b", "a?b", false},
        {"a?b", "a?b", true},
        {"abcabc", "*abc", true},
        {"abcabd", "*abc", false},
        {"xaybz", "*a*b*", true},
        {"xbyaz", "*a*b*", false},
        {"aaa", "a*a", true},
        {"a", "a*a", false},
        {"*", "\\*", false},
        {"mississippi", "m*iss*ip*i", true},
        {"Logs-1", "logs-*", false},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (span_matches(span_cstr(cases[i].text), span_cstr(cases[i].pattern)) != cases[i].matches)
            fail_msg("'%s' against '%s'", cases[i].text, cases[i].pattern);
}

static void many_stars_do_not_take_exponential_time(void **state)
{
    (void)state;
    struct buffer text = {0};
    for (int i = 0; i < 2000; i++)
        buffer_append_char(&text, 'a');
    assert_false(span_matches(buffer_span(&text), SPAN("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*ab")));
    buffer_fini(&text);
}

static void a_buffer_keeps_what_was_appended_and_drops_what_is_consumed(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_append(&b, NULL, 0);
    buffer_append_span(&b, SPAN_NONE);
    buffer_append_cstr(&b, NULL);
    assert_int_equal(b.size, 0);
    assert_string_equal(buffer_cstr(&b), "");
    for (int i = 0; i < 1000; i++)
        buffer_appendf(&b, "%d,", i);
    assert_int_equal(b.size, 10 * 2 + 90 * 3 + 900 * 4);
    buffer_consume(&b, b.size - 4);
    assert_string_equal(buffer_cstr(&b), "999,");
    buffer_clear(&b);
    assert_int_equal(b.size, 0);
    assert_true(b.capacity > 0);
    buffer_fini(&b);
    assert_null(b.data);
    assert_int_equal(b.capacity, 0);
}

static void formatted_text_of_any_length_arrives_whole(void **state)
{
    (void)state;
    static const int lengths[] = {0, 1, 126, 127, 128, 129, 5000};
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct buffer b = {0};
        buffer_append_char(&b, '<');
        buffer_appendf(&b, "%*s", lengths[i], "");
        buffer_append_char(&b, '>');
        assert_int_equal(b.size, lengths[i] + 2);
        assert_int_equal(b.data[0], '<');
        assert_int_equal(b.data[b.size - 1], '>');
        buffer_fini(&b);
    }
}

static void reserved_room_is_there_and_not_in_use(void **state)
{
    (void)state;
    struct buffer b = {0};
    char *at = buffer_reserve(&b, 10000);
    memset(at, 'x', 10000);
    assert_int_equal(b.size, 0);
    b.size = 10000;
    assert_ptr_equal(buffer_reserve(&b, 0), b.data + 10000);
    buffer_fini(&b);
}

static void json_strings_escape_what_they_must(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_append_json_string(&b, SPAN_NONE);
    assert_string_equal(buffer_cstr(&b), "\"\"");
    buffer_clear(&b);
    buffer_append_json_string(&b, SPAN("\x01"
                                       "a\"b\\c/\b\f\n\r\t\x1f\x7f\xc3\xa4\0z"));
    assert_string_equal(buffer_cstr(&b),
                        "\"\\u0001a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u001f\x7f\xc3\xa4\\u0000z\"");
    buffer_fini(&b);
}

static void copies_end_with_a_nul(void **state)
{
    (void)state;
    char *a = span_dup(SPAN_NONE), *b = span_dup(span_of("abcdef", 3)), *c = bytes_strdup("xyz");
    assert_string_equal(a, "");
    assert_string_equal(b, "abc");
    assert_string_equal(c, "xyz");
    free(a);
    free(b);
    free(c);
}

static void what_was_put_in_is_read_back(void **state)
{
    (void)state;
    struct buffer b = {0};
    buffer_append_u8(&b, 0xfe);
    buffer_append_u16(&b, 0xfedc);
    buffer_append_u32(&b, 0xfedcba98);
    buffer_append_u64(&b, UINT64_C(0xfedcba9876543210));
    buffer_append_cstr(&b, "tail");
    assert_memory_equal(b.data, "\xfe\xdc\xfe\x98\xba\xdc\xfe\x10\x32", 9);
    struct reader r = reader_of(buffer_span(&b));
    assert_int_equal(reader_u8(&r), 0xfe);
    assert_int_equal(reader_u16(&r), 0xfedc);
    assert_int_equal(reader_u32(&r), 0xfedcba98);
    assert_true(reader_u64(&r) == UINT64_C(0xfedcba9876543210));
    assert_true(span_equal(reader_take(&r, 4), SPAN("tail")));
    assert_true(r.ok);
    assert_true(r.at == r.end);
    buffer_fini(&b);

    uint8_t be[8];
    put_u64be(be, UINT64_C(0x0102030405060708));
    assert_memory_equal(be, "\1\2\3\4\5\6\7\10", 8);
    assert_true(get_u64be(be) == UINT64_C(0x0102030405060708));
}

static void a_reader_never_recovers_from_a_short_read(void **state)
{
    (void)state;
    struct reader r = reader_of(SPAN("abc"));
    assert_int_equal(reader_u32(&r), 0);
    assert_false(r.ok);
    assert_int_equal(reader_u8(&r), 0);
    assert_int_equal(reader_u16(&r), 0);
    assert_true(reader_u64(&r) == 0);
    assert_int_equal(reader_take(&r, 1).size, 0);

    r = reader_of(SPAN_NONE);
    assert_int_equal(reader_take(&r, 0).size, 0);
    assert_true(r.ok);
    assert_int_equal(reader_take(&r, SIZE_MAX).size, 0);
    assert_false(r.ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_ignores_the_case_of_ascii_letters_only),
        cmocka_unit_test(a_decimal_is_read_whole_or_not_at_all),
        cmocka_unit_test(the_order_is_by_bytes_then_by_length),
        cmocka_unit_test(a_star_matches_any_run_and_nothing_else_is_special),
        cmocka_unit_test(many_stars_do_not_take_exponential_time),
        cmocka_unit_test(a_buffer_keeps_what_was_appended_and_drops_what_is_consumed),
        cmocka_unit_test(formatted_text_of_any_length_arrives_whole),
        cmocka_unit_test(reserved_room_is_there_and_not_in_use),
        cmocka_unit_test(json_strings_escape_what_they_must),
        cmocka_unit_test(copies_end_with_a_nul),
        cmocka_unit_test(what_was_put_in_is_read_back),
        cmocka_unit_test(a_reader_never_recovers_from_a_short_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
