/* scan_bench.c - how fast bulk bodies and bulk answers are walked.
 *
 *     scan_bench
 *
 * One line for each: the bytes per second and the time per item of the outcome scanner over an
 * answer of 1,000 items, and of the bulk walk over bodies with documents of 135 bytes and of 1 KiB.
 * Each runs for about half a second, all in the cache of the processor, as a body that has just
 * been received is.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/clock.h"
#include "es/bulk.h"
#include "es/outcome.h"

#define ITEMS 1000
#define RUN_US 500000

static void make_answer(struct buffer *out)
{
    buffer_append_cstr(out, "{\"took\":30,\"errors\":false,\"items\":[");
    for (unsigned i = 0; i < ITEMS; i++)
        buffer_appendf(out,
                       "%s{\"index\":{\"_index\":\"logs-2024.11.03\",\"_id\":\"n3Qk%08xAbCdEfGh\","
                       "\"_version\":1,\"result\":\"created\",\"_shards\":{\"total\":2,"
                       "\"successful\":1,\"failed\":0},\"_seq_no\":%u,\"_primary_term\":1,"
                       "\"status\":201}}",
                       i == 0 ? "" : ",", i * 2654435761u, 1000000 + i);
    buffer_append_cstr(out, "]}");
}

static void make_body(struct buffer *out, size_t document_bytes)
{
    for (unsigned i = 0; i < ITEMS; i++) {
        buffer_appendf(out, "{\"index\":{\"_index\":\"logs\",\"_id\":\"%08x\"}}\n{\"message\":\"",
                       i * 2654435761u);
        for (size_t n = 0; n + 14 < document_bytes; n++)
            buffer_append_char(out, (char)('a' + n % 26));
        buffer_append_cstr(out, "\"}\n");
    }
}

static size_t walk_answer(struct span answer)
{
    struct outcome_walk walk;
    struct outcome_item item;
    size_t found = 0;

    CHECK(outcome_walk_init(&walk, answer) == STATUS_OK);
    while (outcome_next(&walk, &item) == STATUS_OK)
        found += item.status == 201 && item.has_numbers && item.id.size > 2;
    return found;
}

static size_t walk_body(struct span body)
{
    struct bulk_walk walk;
    struct bulk_item item;
    size_t found = 0;

    bulk_walk_init(&walk, body);
    while (bulk_next(&walk, &item) == STATUS_OK)
        found += item.id.size > 2 && item.source.size > 0;
    return found;
}

static void run(const char *name, size_t (*walk)(struct span), struct span bytes)
{
    uint64_t begin_us = clock_now_us(), spent_us;
    uint64_t rounds = 0;

    do {
        CHECK(walk(bytes) == ITEMS);
        rounds++;
        spent_us = clock_now_us() - begin_us;
    } while (spent_us < RUN_US);
    printf("%s gb_per_second=%.3f ns_per_item=%.1f\n", name,
           (double)bytes.size * (double)rounds / (double)spent_us / 1e3,
           (double)spent_us * 1e3 / ((double)rounds * ITEMS));
}

int main(void)
{
    struct buffer bytes = {0};

    make_answer(&bytes);
    run("outcome", walk_answer, buffer_span(&bytes));
    buffer_clear(&bytes);
    make_body(&bytes, 135);
    run("bulk-135", walk_body, buffer_span(&bytes));
    buffer_clear(&bytes);
    make_body(&bytes, 1024);
    run("bulk-1k", walk_body, buffer_span(&bytes));
    buffer_fini(&bytes);
    return 0;
}
