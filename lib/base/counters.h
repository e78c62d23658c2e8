/* counters.h - counters and gauges from one table with help text, latency histograms, and how
 * Prometheus reads them.
 *
 * A program has one table, from which come the numbers' indices, the array of values and the text:
 *
 *     #define PROXY_COUNTERS(X)                                                  \
 *         X(WRITES, "writes_total", COUNTER, "Writes that were admitted.")       \
 *         X(CLIENTS, "clients", GAUGE, "Client connections that are open.")
 *
 *     enum { PROXY_COUNTERS(COUNTERS_INDEX) PROXY_COUNTERS_COUNT };
 *     static const struct counter_def defs[] = {PROXY_COUNTERS(COUNTERS_DEF)};
 *     static _Atomic uint64_t values[PROXY_COUNTERS_COUNT];
 *
 *     counters_inc(&values[WRITES]);
 *
 * A name may carry labels: "requests_total{route=\"bulk\"}". Rows that differ in their labels only
 * stand together in the table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_COUNTERS_H
#define TANDEM_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/bytes.h"

enum counter_kind {
    COUNTER, /* only grows, while the process lives */
    GAUGE,   /* as it is now */
};

struct counter_def {
    const char *name, *help;
    enum counter_kind kind;
};

#define COUNTERS_INDEX(id, name, kind, help) id,
#define COUNTERS_DEF(id, name, kind, help) [id] = {name, help, kind},

/* Numbers for people: no thread waits for another's, so relaxed order is enough. */
static inline void counters_add(_Atomic uint64_t *value, uint64_t more)
{
    atomic_fetch_add_explicit(value, more, memory_order_relaxed);
}
static inline void counters_inc(_Atomic uint64_t *value)
{
    counters_add(value, 1);
}
static inline void counters_dec(_Atomic uint64_t *gauge)
{
    atomic_fetch_sub_explicit(gauge, 1, memory_order_relaxed);
}
static inline void counters_set(_Atomic uint64_t *gauge, uint64_t now)
{
    atomic_store_explicit(gauge, now, memory_order_relaxed);
}
static inline uint64_t counters_get(_Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

/* Appends the COUNT values in Prometheus' text form, each name behind PREFIX ("tandem_proxy_"). */
void counters_render(struct buffer *out, const struct counter_def *defs, _Atomic uint64_t *values,
                     size_t count, const char *prefix);

/* Microseconds by size. Up to 8 each value has a bucket of its own, then each power of two has
 * eight: what a quantile says is at most an eighth too high. All zero is an empty one; any thread
 * may add. */
#define HISTOGRAM_SUB_BITS 3
#define HISTOGRAM_VALUE_BITS 40 /* twelve days; what is longer counts as that */
#define HISTOGRAM_BUCKETS ((HISTOGRAM_VALUE_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS)
struct histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BUCKETS];
    _Atomic uint64_t sum_us;
    _Atomic uint64_t max_us;
};
void histogram_add(struct histogram *histogram, uint64_t us);
/* Adds all that FROM has seen. */
void histogram_merge(struct histogram *into, struct histogram *from);
void histogram_clear(struct histogram *histogram);
uint64_t histogram_count(struct histogram *histogram);
/* The value that a share Q (0 to 1) of all values does not exceed; 0 when there are none. */
uint64_t histogram_quantile(struct histogram *histogram, double q);
/* Appends it in Prometheus' text form, in seconds, as NAME (end it with "_seconds"). LABELS:
 * "phase=\"primary\"" or NULL. HELP is NULL when one with the same name and other labels was
 * rendered just before. */
void histogram_render(struct buffer *out, struct histogram *histogram, const char *name,
                      const char *labels, const char *help);

#endif
