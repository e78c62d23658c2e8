/* history_test.c - entries follow each other, and one that was tampered with does not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "journal/history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define COUNT 5

/* COUNT lines of a history. */
static void make_lines(struct buffer lines[COUNT], struct history *history)
{
    static const char *const words[COUNT] = {"start", "pause", "resume", "reload", "adopt"};
    for (size_t i = 0; i < COUNT; i++) {
        lines[i] = (struct buffer){0};
        history_next(history,
                     &(struct history_event){.time_us = 1000 + i,
                                             .program = "tandem-proxy",
                                             .what = words[i],
                                             .by = "bob \"the\" admin",
                                             .role = "admin",
                                             .from = "127.0.0.1",
                                             .details = i == 2 ? "" : "a line\nand another"},
                     &lines[i]);
    }
}

static void free_lines(struct buffer lines[COUNT])
{
    for (size_t i = 0; i < COUNT; i++)
        buffer_fini(&lines[i]);
}

static void what_was_written_follows(void **state)
{
    struct buffer lines[COUNT];
    struct history written = {0}, read = {0};
    (void)state;
    make_lines(lines, &written);
    for (size_t i = 0; i < COUNT; i++) {
        assert_null(memchr(lines[i].data, '\n', lines[i].size));
        assert_true(history_follow(&read, buffer_span(&lines[i])));
    }
    assert_int_equal(read.last, COUNT);
    assert_string_equal(history_hash(&read), history_hash(&written));
    free_lines(lines);
}

static void what_was_changed_does_not(void **state)
{
    struct buffer lines[COUNT];
    struct history written = {0};
    (void)state;
    make_lines(lines, &written);
    for (size_t at = 0; at < lines[1].size; at++) { /* each byte of an entry in the middle */
        struct history read = {0};
        char was = lines[1].data[at];
        lines[1].data[at] = was == 'x' ? 'y' : 'x';
        bool followed = history_follow(&read, buffer_span(&lines[0])) &&
                        history_follow(&read, buffer_span(&lines[1])) &&
                        history_follow(&read, buffer_span(&lines[2]));
        assert_false(followed);
        lines[1].data[at] = was;
    }
    free_lines(lines);
}

static void what_was_taken_out_or_put_elsewhere_shows(void **state)
{
    struct buffer lines[COUNT];
    struct history written = {0}, read = {0};
    (void)state;
    make_lines(lines, &written);
    assert_false(history_follow(&read, buffer_span(&lines[1])));
    assert_true(history_follow(&read, buffer_span(&lines[0])));
    assert_false(history_follow(&read, buffer_span(&lines[0])));
    assert_false(history_follow(&read, buffer_span(&lines[2])));
    assert_false(history_follow(&read, SPAN("")));
    assert_false(history_follow(&read, SPAN("{\"n\":2}")));
    assert_int_equal(read.last, 1);
    free_lines(lines);
}

static void keys_are_in_order(void **state)
{
    char before[HISTORY_KEY_SIZE], key[HISTORY_KEY_SIZE];
    (void)state;
    history_key(1, before);
    for (uint64_t n = 2; n < 100000; n = n * 3 / 2 + 1) {
        history_key(n, key);
        assert_true(memcmp(before, key, sizeof key) < 0);
        memcpy(before, key, sizeof key);
    }
    assert_memory_equal(key, HISTORY_PREFIX, strlen(HISTORY_PREFIX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_follows),
        cmocka_unit_test(what_was_changed_does_not),
        cmocka_unit_test(what_was_taken_out_or_put_elsewhere_shows),
        cmocka_unit_test(keys_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
