/* hash_test.c - the hash is SipHash-2-4, and depends on each byte and on the seed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/bytes.h"

static void the_published_values_come_out(void **state)
{
    (void)state;
    /* key and text are 00 01 02 ...; the text has as many bytes as the index says */
    static const uint64_t want[] = {
        0x726fdb47dd0e0e31, 0x74f839c593dc67fd, 0x0d6c8009d9a94f5a, 0x85676696d7fb7e2d,
        0xcf2794e0277187b7, 0x18765564cd99a68d, 0xcbc9466e58fee3ce, 0xab0200f58b01d137,
        0x93f5f5799a932462, 0x9e0082df0ba9e4b0, 0x7a5dbbc594ddb9f3, 0xf4b32f46226bada7,
        0x751e8fbc860ee5fb, 0x14ea5627c0843d90, 0xf723ca908e7af2ee, 0xa129ca6149be45e5,
    };
    uint8_t text[COUNT_OF(want)];
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        uint64_t got = hash64_keyed(text, i, 0x0706050403020100, 0x0f0e0d0c0b0a0908);
        if (got != want[i])
            fail_msg("size %zu: %016llx", i, (unsigned long long)got);
        text[i] = (uint8_t)i;
    }
}

static void each_bit_and_the_seed_and_the_length_count(void **state)
{
    (void)state;
    uint8_t text[24] = {0};
    uint64_t hash = hash64(text, sizeof text, 1);
    assert_true(hash == hash64(text, sizeof text, 1));
    assert_true(hash != hash64(text, sizeof text, 2));
    assert_true(hash != hash64(text, sizeof text - 1, 1));
    assert_true(hash64(NULL, 0, 1) != hash64(NULL, 0, 2));
    for (size_t bit = 0; bit < sizeof text * 8; bit++) {
        text[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(hash64(text, sizeof text, 1) != hash);
        text[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void the_seed_of_the_process_stays(void **state)
{
    (void)state;
    assert_true(hash_process_seed() == hash_process_seed());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_values_come_out),
        cmocka_unit_test(each_bit_and_the_seed_and_the_length_count),
        cmocka_unit_test(the_seed_of_the_process_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
