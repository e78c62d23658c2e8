/* log_test.c - a line is whole, bounded and cannot be forged; what is too much is left out and
 * counted.
 *
 * The log goes into a pipe, from which the test reads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <syslog.h> /* its constants and ours must not clash */
#include <unistd.h>

static int ends[2];
static char text[1 << 20];

static int setup(void **state)
{
    (void)state;
    if (pipe2(ends, O_NONBLOCK) != 0)
        return -1;
    log_init(LOG_LEVEL_INFO, "the-program");
    log_to(ends[1], false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_to(STDERR_FILENO, true);
    close(ends[0]);
    close(ends[1]);
    return 0;
}

/* All that has been written since the last call, as a C string. */
static const char *written(void)
{
    size_t size = 0;
    for (ssize_t got; (got = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    text[size] = '\0';
    return text;
}

static void a_line_names_level_and_object(void **state)
{
    (void)state;
    log_info("standby b 10.0.7.2:9200", "caught up (seq=%d lag_records=%d)", 90211, 0);
    assert_string_equal(written(),
                        "info  standby b 10.0.7.2:9200: caught up (seq=90211 lag_records=0)\n");
    log_error(NULL, "stopping");
    assert_string_equal(written(), "error the-program: stopping\n");
}

static void the_stamp_is_in_utc_with_milliseconds(void **state)
{
    (void)state;
    unsigned year, month, day, hour, minute, second, ms;
    char rest[32];
    log_to(ends[1], true);
    log_warn("proxy", "x");
    assert_int_equal(sscanf(written(), "%4u-%2u-%2uT%2u:%2u:%2u.%3uZ %31[^\n]", &year, &month, &day,
                            &hour, &minute, &second, &ms, rest),
                     8);
    assert_string_equal(rest, "warn  proxy: x");
    assert_true(strlen(text) == 24 + 1 + strlen(rest) + 1);
    assert_true(year >= 1970 && month >= 1 && month <= 12 && ms <= 999);
}

static void lines_below_the_level_are_not_made(void **state)
{
    (void)state;
    int made = 0;
    log_debug("proxy", "%d", ++made);
    assert_int_equal(made, 0);
    assert_string_equal(written(), "");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("proxy", "%d", ++made);
    assert_string_equal(written(), "debug proxy: 1\n");
    log_set_level(LOG_LEVEL_ERROR);
    assert_false(log_enabled(LOG_LEVEL_WARN));
    assert_true(log_enabled(LOG_LEVEL_ERROR));
}

static void a_level_is_read_by_its_name(void **state)
{
    (void)state;
    enum log_level level = LOG_LEVEL_ERROR;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_true(log_level_parse("warn", &level));
    assert_int_equal(level, LOG_LEVEL_WARN);
    assert_false(log_level_parse("warning", &level));
    assert_false(log_level_parse("", &level));
}

static void a_client_cannot_forge_a_line_or_command_a_terminal(void **state)
{
    (void)state;
    log_info("client\n1", "%s",
             "a\nerror proxy: b\r\x1b[2J\x7f \xc2\x9b \xff \xc3\xa4 \xe2\x82\xac \xe2\x82");
    assert_string_equal(written(), "info  client\\x0a1: a\\x0aerror proxy: b\\x0d\\x1b[2J\\x7f "
                                   "\\xc2\\x9b \\xff \xc3\xa4 \xe2\x82\xac \\xe2\\x82\n");
}

static void a_long_line_is_cut_and_says_so(void **state)
{
    (void)state;
    static char longer[3 * LOG_LINE_SIZE_MAX];
    for (size_t size = LOG_LINE_SIZE_MAX - 40; size < LOG_LINE_SIZE_MAX + 10; size++) {
        memset(longer, 'x', size);
        longer[size] = '\0';
        log_info("p", "%s", longer);
        size_t whole = strlen("info  p: \n") + size, got = strlen(written());
        assert_true(got <= LOG_LINE_SIZE_MAX);
        assert_int_equal(text[got - 1], '\n');
        if (got != whole)
            assert_memory_equal(text + got - 4, "...\n", 4);
    }
    memset(longer, '\n', sizeof longer - 1); /* each becomes four bytes */
    log_info("p", "%s", longer);
    size_t got = strlen(written());
    assert_true(got <= LOG_LINE_SIZE_MAX && got > LOG_LINE_SIZE_MAX - 8);
    assert_memory_equal(text + got - 8, "\\x0a...\n", 8);
    memset(longer, 'w', sizeof longer - 1);
    log_info(longer, "still the sentence");
    assert_non_null(strstr(written(), ": still the sentence\n"));
}

static void errno_survives(void **state)
{
    (void)state;
    log_to(-1, true);
    errno = ENOSPC;
    log_info("p", "%m");
    assert_int_equal(errno, ENOSPC);
}

static void a_line_that_cannot_be_written_is_counted(void **state)
{
    (void)state;
    uint64_t before = log_lines_lost();
    log_to(-1, true);
    log_info("p", "lost");
    assert_int_equal(log_lines_lost() - before, 1);
    log_to(ends[1], false);
    for (int i = 0; i < 20000 && log_lines_lost() - before == 1; i++)
        log_info("p", "nobody reads, and we do not wait");
    assert_int_equal(log_lines_lost() - before, 2);
}

#define WRITERS 4
#define LINES_EACH 200
static void *write_lines(void *arg)
{
    for (int i = 0; i < LINES_EACH; i++)
        log_info("thread", "%s %d", (const char *)arg, i);
    return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    static char names[WRITERS][200];
    int next[WRITERS] = {0};
    pthread_t threads[WRITERS];
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    for (int t = 0; t < WRITERS; t++) {
        memset(names[t], 'a' + t, sizeof names[t] - 1);
        assert_int_equal(pthread_create(&threads[t], NULL, write_lines, names[t]), 0);
    }
    for (int t = 0; t < WRITERS; t++)
        pthread_join(threads[t], NULL);
    char *rest = NULL;
    written();
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[200], more;
        int number;
        assert_int_equal(sscanf(line, "info  thread: %199s %d%c", name, &number, &more), 2);
        int t = name[0] - 'a';
        assert_true(t >= 0 && t < WRITERS);
        assert_string_equal(name, names[t]);
        assert_int_equal(number, next[t]++);
    }
    for (int t = 0; t < WRITERS; t++)
        assert_int_equal(next[t], LINES_EACH);
}

static void at_most_one_line_in_ten_seconds_passes(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    uint64_t now = 5;
    assert_true(log_ratelimit(&limit, now));
    assert_int_equal(log_left_out(&limit), 0);
    for (int i = 0; i < 7; i++)
        assert_false(log_ratelimit(&limit, now + (uint64_t)i));
    assert_false(log_ratelimit(&limit, now + LOG_LIMIT_US - 1));
    assert_true(log_ratelimit(&limit, now + LOG_LIMIT_US));
    assert_int_equal(log_left_out(&limit), 8);
    assert_true(log_ratelimit(&limit, now + 5 * LOG_LIMIT_US));
    assert_int_equal(log_left_out(&limit), 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_line_names_level_and_object),
        T(the_stamp_is_in_utc_with_milliseconds),
        T(lines_below_the_level_are_not_made),
        T(a_level_is_read_by_its_name),
        T(a_client_cannot_forge_a_line_or_command_a_terminal),
        T(a_long_line_is_cut_and_says_so),
        T(errno_survives),
        T(a_line_that_cannot_be_written_is_counted),
        T(lines_of_threads_do_not_mix),
        T(at_most_one_line_in_ten_seconds_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
