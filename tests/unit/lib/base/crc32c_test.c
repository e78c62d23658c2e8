/* crc32c_test.c - both ways to the checksum give the published values, and the same for everything.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"

static void the_published_values_come_out_of_both(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xff, sizeof ones);
    for (int i = 0; i < 32; i++) {
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    const struct {
        const void *data;
        size_t size;
        uint32_t crc;
    } cases[] = {
        {"", 0, 0},
        {"123456789", 9, 0xe3069283},
        {zeros, 32, 0x8a9136aa},
        {ones, 32, 0x62a8ab43},
        {up, 32, 0x46dd794e},
        {down, 32, 0x113fdb5c},
        {"a", 1, 0xc1d04330},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_int_equal(crc32c(0, cases[i].data, cases[i].size), cases[i].crc);
        assert_int_equal(crc32c_portable(0, cases[i].data, cases[i].size), cases[i].crc);
    }
    assert_int_equal(crc32c(7, NULL, 0), 7);
    assert_int_equal(crc32c_portable(7, NULL, 0), 7);
}

static void both_agree_for_each_length_and_alignment(void **state)
{
    (void)state;
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167 + (i >> 3));
    for (size_t from = 0; from < 16; from++)
        for (size_t size = 0; from + size <= sizeof bytes; size++)
            if (crc32c(0, bytes + from, size) != crc32c_portable(0, bytes + from, size))
                fail_msg("from %zu, size %zu", from, size);
}

static void the_parts_of_a_text_give_the_checksum_of_the_whole(void **state)
{
    (void)state;
    const char *text = "one record, which came in two parts";
    size_t size = strlen(text);
    for (size_t cut = 0; cut <= size; cut++) {
        uint32_t first = crc32c(0, text, cut);
        assert_int_equal(crc32c(first, text + cut, size - cut), crc32c(0, text, size));
        assert_int_equal(crc32c_portable(first, text + cut, size - cut), crc32c(0, text, size));
    }
}

static void one_changed_bit_is_seen(void **state)
{
    (void)state;
    uint8_t bytes[64] = {1, 2, 3};
    uint32_t crc = crc32c(0, bytes, sizeof bytes);
    for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(crc32c(0, bytes, sizeof bytes), crc);
        bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_values_come_out_of_both),
        cmocka_unit_test(both_agree_for_each_length_and_alignment),
        cmocka_unit_test(the_parts_of_a_text_give_the_checksum_of_the_whole),
        cmocka_unit_test(one_changed_bit_is_seen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
