/* shard_test.c - the hash is the engines', to the bit, and ids are in the order of time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/shard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void the_hash_gives_the_known_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t hash;
    } vectors[] = {
        {"hell", 0x5a0cb7c3},
        {"hello", 0xd7c31989},
        {"hello w", 0x22ab2984},
        {"hello wo", 0xdf0ca123},
        {"hello wor", 0xe7744d61},
        {"The quick brown fox jumps over the lazy dog", 0xe07db09c},
        {"The quick brown fox jumps over the lazy cog", 0x4e63d2ad},
    };
    for (size_t i = 0; i < COUNT_OF(vectors); i++)
        if ((uint32_t)shard_hash(span_cstr(vectors[i].text)) != vectors[i].hash)
            fail_msg("the hash of \"%s\" is %08x", vectors[i].text,
                     (uint32_t)shard_hash(span_cstr(vectors[i].text)));
}

static void bytes_that_are_not_utf8_count_as_the_replacement_character(void **state)
{
    (void)state;
    int32_t replacement = shard_hash(SPAN("a\xef\xbf\xbd"));
    assert_int_equal(shard_hash(SPAN("a\xff")), replacement);
    assert_int_equal(shard_hash(SPAN("a\xc3")), replacement);
    assert_int_equal(shard_hash(SPAN("a\x80")), replacement);
    assert_int_not_equal(shard_hash(SPAN("a\xc3\xa4")), replacement);
    /* overlong, a surrogate, above the last character: each byte on its own */
    int32_t three = shard_hash(SPAN("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"));
    assert_int_equal(shard_hash(SPAN("\xe0\x80\x80")), three);
    assert_int_equal(shard_hash(SPAN("\xed\xa0\x80")), three);
}

static void a_shard_is_always_one_of_the_index(void **state)
{
    (void)state;
    static const uint32_t counts[][2] = {{1, 1},   {1, 1024}, {3, 768},
                                         {5, 640}, {7, 896},  {2, 1024}};
    char id[16];
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        uint32_t seen = 0;
        for (int n = 0; n < 1000; n++) {
            struct span text = span_of(id, (size_t)snprintf(id, sizeof id, "id-%d", n));
            uint32_t shard = shard_of(text, SPAN_NONE, counts[i][0], counts[i][1], 1);
            assert_true(shard < counts[i][0]);
            assert_true(shard_of(text, SPAN("r"), counts[i][0], counts[i][1], 2) < counts[i][0]);
            seen |= 1u << shard;
        }
        assert_int_equal(seen, (1u << counts[i][0]) - 1);
    }
}

static void routing_decides_and_a_partition_spreads_it(void **state)
{
    (void)state;
    uint32_t shard = shard_of(SPAN("a"), SPAN("r"), 5, 640, 1);
    assert_int_equal(shard_of(SPAN("b"), SPAN("r"), 5, 640, 1), shard);
    assert_int_equal(shard_of(SPAN("r"), SPAN_NONE, 5, 640, 1), shard);
    /* hash("hello") = 0xd7c31989 is negative: floorMod, not the remainder of C */
    assert_int_equal(shard_of(SPAN("hello"), SPAN_NONE, 1000, 1000, 1), 201);
    uint32_t moved =
        ((uint32_t)shard_hash(SPAN("hell")) + ((uint32_t)shard_hash(SPAN("hello wo")) % 2 != 0)) %
        1000;
    assert_int_equal(shard_of(SPAN("hello wo"), SPAN("hell"), 1000, 1000, 2), moved);
}

static int value_of(char c)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = memchr(alphabet, c, 64);
    assert_non_null(at);
    return (int)(at - alphabet);
}

static void later_ids_sort_behind_earlier_ones(void **state)
{
    (void)state;
    static const uint8_t unique[6] = {1, 2, 3, 4, 5, 6};
    char before[20], id[20];
    auto_id(before, unique, 0, 1700000000000);
    for (uint32_t n = 1; n < 2000; n++) {
        auto_id(id, unique, n, 1700000000000 + n / 300);
        int order = 0;
        for (int i = 0; i < 20 && order == 0; i++)
            order = value_of(id[i]) - value_of(before[i]);
        assert_true(order > 0);
        memcpy(before, id, sizeof id);
    }
}

static void ids_differ_by_process_and_sequence(void **state)
{
    (void)state;
    char a[20], b[20], c[20];
    auto_id(a, (const uint8_t[6]){1}, 7, 1700000000000);
    auto_id(b, (const uint8_t[6]){2}, 7, 1700000000000);
    auto_id(c, (const uint8_t[6]){1}, 8, 1700000000000);
    assert_memory_not_equal(a, b, 20);
    assert_memory_not_equal(a, c, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_gives_the_known_vectors),
        cmocka_unit_test(bytes_that_are_not_utf8_count_as_the_replacement_character),
        cmocka_unit_test(a_shard_is_always_one_of_the_index),
        cmocka_unit_test(routing_decides_and_a_partition_spreads_it),
        cmocka_unit_test(later_ids_sort_behind_earlier_ones),
        cmocka_unit_test(ids_differ_by_process_and_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
