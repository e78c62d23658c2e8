/* counters.c - numbers in Prometheus' text form.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/counters.h"

#include <inttypes.h>

#define SUB_COUNT (1u << HISTOGRAM_SUB_BITS)

/* The bounds that Prometheus sees: powers of two from 64 us to 134 s, always all of them, since a
 * series that comes and goes cannot be summed up over time. */
#define SHOWN_BITS_MIN 6
#define SHOWN_BITS_MAX 27

static struct span name_without_labels(const char *name)
{
    return span_of(name, strcspn(name, "{"));
}

static void append_help(struct buffer *out, const char *prefix, struct span name, const char *type,
                        const char *help)
{
    buffer_appendf(out, "# HELP %s%.*s ", prefix, (int)name.size, name.data);
    for (const char *c = help; *c != '\0'; c++) {
        if (*c == '\\' || *c == '\n')
            buffer_append_cstr(out, *c == '\n' ? "\\n" : "\\\\");
        else
            buffer_append_char(out, *c);
    }
    buffer_appendf(out, "\n# TYPE %s%.*s %s\n", prefix, (int)name.size, name.data, type);
}

void counters_render(struct buffer *out, const struct counter_def *defs, _Atomic uint64_t *values,
                     size_t count, const char *prefix)
{
    struct span before = SPAN_NONE;
    for (size_t i = 0; i < count; i++) {
        struct span name = name_without_labels(defs[i].name);
        if (!span_equal(name, before))
            append_help(out, prefix, name, defs[i].kind == GAUGE ? "gauge" : "counter",
                        defs[i].help);
        before = name;
        buffer_appendf(out, "%s%s %" PRIu64 "\n", prefix, defs[i].name, counters_get(&values[i]));
    }
}

/* ------------------------------------------------------------------------------------------------------
 * Histograms. A bucket holds what is above its lower bound and not above its upper one, as
 * Prometheus has it. */

static size_t bucket_of(uint64_t us)
{
    uint64_t above = us == 0 ? 0 : us - 1;
    if (above >> HISTOGRAM_VALUE_BITS != 0)
        return HISTOGRAM_BUCKETS - 1;
    if (above < SUB_COUNT)
        return (size_t)above;
    unsigned shift = 63u - (unsigned)__builtin_clzll(above) - HISTOGRAM_SUB_BITS;
    return (shift + 1) * SUB_COUNT + (size_t)(above >> shift & (SUB_COUNT - 1));
}

static uint64_t bucket_bound(size_t bucket)
{
    if (bucket < SUB_COUNT)
        return bucket + 1;
    size_t shift = bucket / SUB_COUNT - 1;
    return (uint64_t)(SUB_COUNT + bucket % SUB_COUNT + 1) << shift;
}

static void raise_max(_Atomic uint64_t *max, uint64_t us)
{
    uint64_t now = counters_get(max);
    while (now < us && !atomic_compare_exchange_weak(max, &now, us))
        ;
}

void histogram_add(struct histogram *histogram, uint64_t us)
{
    counters_inc(&histogram->buckets[bucket_of(us)]);
    counters_add(&histogram->sum_us, us);
    raise_max(&histogram->max_us, us);
}

void histogram_merge(struct histogram *into, struct histogram *from)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t more = counters_get(&from->buckets[i]);
        if (more > 0)
            counters_add(&into->buckets[i], more);
    }
    counters_add(&into->sum_us, counters_get(&from->sum_us));
    raise_max(&into->max_us, counters_get(&from->max_us));
}

void histogram_clear(struct histogram *histogram)
{
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        counters_set(&histogram->buckets[i], 0);
    counters_set(&histogram->sum_us, 0);
    counters_set(&histogram->max_us, 0);
}

uint64_t histogram_count(struct histogram *histogram)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += counters_get(&histogram->buckets[i]);
    return count;
}

uint64_t histogram_quantile(struct histogram *histogram, double q)
{
    CHECK(q >= 0 && q <= 1);
    uint64_t count = histogram_count(histogram), max = counters_get(&histogram->max_us), seen = 0;
    double wanted = q * (double)count;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t here = counters_get(&histogram->buckets[i]);
        seen += here;
        if (here > 0 && (double)seen >= wanted)
            return bucket_bound(i) < max && i < HISTOGRAM_BUCKETS - 1 ? bucket_bound(i) : max;
    }
    return max;
}

void histogram_render(struct buffer *out, struct histogram *histogram, const char *name,
                      const char *labels, const char *help)
{
    const char *own = labels == NULL ? "" : labels, *comma = labels == NULL ? "" : ",";
    const char *open = labels == NULL ? "" : "{", *close = labels == NULL ? "" : "}";
    uint64_t count = 0;
    unsigned bits = SHOWN_BITS_MIN;
    if (help != NULL)
        append_help(out, "", span_cstr(name), "histogram", help);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        count += counters_get(&histogram->buckets[i]);
        uint64_t shown = UINT64_C(1) << bits;
        if (bits > SHOWN_BITS_MAX || bucket_bound(i) != shown)
            continue;
        buffer_appendf(out, "%s_bucket{%s%sle=\"%.6f\"} %" PRIu64 "\n", name, own, comma,
                       (double)shown / 1e6, count);
        bits++;
    }
    buffer_appendf(out, "%s_bucket{%s%sle=\"+Inf\"} %" PRIu64 "\n", name, own, comma, count);
    buffer_appendf(out, "%s_sum%s%s%s %.6f\n", name, open, own, close,
                   (double)counters_get(&histogram->sum_us) / 1e6);
    buffer_appendf(out, "%s_count%s%s%s %" PRIu64 "\n", name, open, own, close, count);
}
