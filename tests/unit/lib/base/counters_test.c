/* counters_test.c - counters and histograms say what was counted, in the form that Prometheus
 * reads.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>
#include <pthread.h>

/* clang-format off */
#define EXAMPLE_COUNTERS(X)                                                                        \
    X(WRITES_BULK,   "writes_total{kind=\"bulk\"}",   COUNTER, "Writes that were admitted.")       \
    X(WRITES_SINGLE, "writes_total{kind=\"single\"}", COUNTER, "Writes that were admitted.")       \
    X(CLIENTS,       "clients",                       GAUGE,   "Open, with a \\ and\na new line.")
/* clang-format on */
enum { EXAMPLE_COUNTERS(COUNTERS_INDEX) EXAMPLE_COUNT };
static const struct counter_def defs[] = {EXAMPLE_COUNTERS(COUNTERS_DEF)};

static void a_table_is_rendered_with_help_and_type_once_per_name(void **state)
{
    (void)state;
    _Atomic uint64_t values[EXAMPLE_COUNT] = {0};
    struct buffer out = {0};
    counters_inc(&values[WRITES_BULK]);
    counters_add(&values[WRITES_BULK], 41);
    counters_set(&values[CLIENTS], 5);
    counters_dec(&values[CLIENTS]);
    counters_render(&out, defs, values, EXAMPLE_COUNT, "tandem_");
    assert_string_equal(buffer_cstr(&out),
                        "# HELP tandem_writes_total Writes that were admitted.\n"
                        "# TYPE tandem_writes_total counter\n"
                        "tandem_writes_total{kind=\"bulk\"} 42\n"
                        "tandem_writes_total{kind=\"single\"} 0\n"
                        "# HELP tandem_clients Open, with a \\\\ and\\na new line.\n"
                        "# TYPE tandem_clients gauge\n"
                        "tandem_clients 4\n");
    buffer_fini(&out);
}

static void a_quantile_is_never_too_low_and_at_most_an_eighth_too_high(void **state)
{
    (void)state;
    for (uint64_t v = 0; v < UINT64_C(1) << HISTOGRAM_VALUE_BITS; v += 1 + v / 37) {
        struct histogram h = {0};
        histogram_add(&h, v);
        histogram_add(&h, UINT64_C(1) << HISTOGRAM_VALUE_BITS);
        uint64_t got = histogram_quantile(&h, 0.5);
        if (got < v || got > v + v / 8 + 1)
            fail_msg("%" PRIu64 " became %" PRIu64, v, got);
    }
}

static void quantiles_of_a_known_distribution(void **state)
{
    (void)state;
    struct histogram h = {0};
    assert_int_equal(histogram_quantile(&h, 0.99), 0);
    for (uint64_t us = 1; us <= 1000; us++)
        histogram_add(&h, us);
    assert_int_equal(histogram_count(&h), 1000);
    assert_in_range(histogram_quantile(&h, 0.5), 500, 563);
    assert_in_range(histogram_quantile(&h, 0.99), 990, 1000);
    assert_int_equal(histogram_quantile(&h, 1), 1000);
    assert_int_equal(histogram_quantile(&h, 0), 1);
    histogram_clear(&h);
    assert_int_equal(histogram_count(&h), 0);
}

static void the_largest_values_count_too(void **state)
{
    (void)state;
    struct histogram h = {0};
    histogram_add(&h, UINT64_MAX);
    histogram_add(&h, 0);
    assert_int_equal(histogram_count(&h), 2);
    assert_true(histogram_quantile(&h, 1) == UINT64_MAX);
}

static void merged_histograms_are_as_one(void **state)
{
    (void)state;
    struct histogram a = {0}, b = {0}, both = {0};
    for (uint64_t us = 0; us < 5000; us += 7) {
        histogram_add(us % 2 == 0 ? &a : &b, us);
        histogram_add(&both, us);
    }
    histogram_merge(&a, &b);
    assert_memory_equal(&a, &both, sizeof a);
}

static void prometheus_sees_cumulative_buckets_in_seconds(void **state)
{
    (void)state;
    struct histogram h = {0};
    struct buffer out = {0};
    histogram_add(&h, 64); /* a bound belongs to its bucket */
    histogram_add(&h, 65);
    histogram_add(&h, 3000000);
    histogram_render(&out, &h, "wait_seconds", "phase=\"primary\"", "Time.");
    const char *text = buffer_cstr(&out);
    static const char *const lines[] = {
        "# HELP wait_seconds Time.\n# TYPE wait_seconds histogram\n"
        "wait_seconds_bucket{phase=\"primary\",le=\"0.000064\"} 1\n"
        "wait_seconds_bucket{phase=\"primary\",le=\"0.000128\"} 2\n",
        "le=\"2.097152\"} 2\n",
        "le=\"4.194304\"} 3\n",
        "le=\"134.217728\"} 3\n"
        "wait_seconds_bucket{phase=\"primary\",le=\"+Inf\"} 3\n"
        "wait_seconds_sum{phase=\"primary\"} 3.000129\n"
        "wait_seconds_count{phase=\"primary\"} 3\n",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("no %s in %s", lines[i], text);
    buffer_clear(&out);
    histogram_render(&out, &h, "wait_seconds", NULL, NULL);
    text = buffer_cstr(&out);
    assert_ptr_equal(strstr(text, "wait_seconds_bucket{le=\"0.000064\"} 1\n"), text);
    assert_non_null(strstr(text, "\nwait_seconds_count 3\n"));
    buffer_fini(&out);
}

#define THREADS 2
#define ADDS 20000
static struct histogram shared;
static _Atomic uint64_t shared_count;
static void *add_many(void *arg)
{
    for (uint64_t i = 0; i < ADDS; i++) {
        histogram_add(&shared, i);
        counters_inc(&shared_count);
    }
    return arg;
}

static void nothing_is_lost_between_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, add_many, NULL), 0);
    for (int t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    assert_int_equal(histogram_count(&shared), THREADS * ADDS);
    assert_int_equal(counters_get(&shared_count), THREADS * ADDS);
    assert_int_equal(histogram_quantile(&shared, 1), ADDS - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_rendered_with_help_and_type_once_per_name),
        cmocka_unit_test(a_quantile_is_never_too_low_and_at_most_an_eighth_too_high),
        cmocka_unit_test(quantiles_of_a_known_distribution),
        cmocka_unit_test(the_largest_values_count_too),
        cmocka_unit_test(merged_histograms_are_as_one),
        cmocka_unit_test(prometheus_sees_cumulative_buckets_in_seconds),
        cmocka_unit_test(nothing_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
