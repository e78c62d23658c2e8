/* fuzz_bulk.c - a bulk body is walked without ever leaving it, and each item stands for itself.
 *
 * What must hold:
 *
 * - What is handed out lies within the body, in order; metadata is an object, values are JSON.
 * - An item's own lines, walked alone, are the same item.
 * - A walk that failed says why, and says it again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"
#include "es/bulk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct span part, struct span whole)
{
    return part.data == NULL ||
           (part.data >= whole.data && part.data + part.size <= whole.data + whole.size);
}

static bool same(struct span a, struct span b)
{
    return (a.data == NULL) == (b.data == NULL) && span_equal(a, b);
}

static void check_values(const struct bulk_item *item)
{
    const struct span values[] = {item->index,   item->type,          item->id,
                                  item->routing, item->pipeline,      item->require_alias,
                                  item->op_type, item->source_filter, item->metadata};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        CHECK(within(values[i], item->line));
        CHECK(values[i].data == NULL || json_valid(values[i]));
        CHECK(values[i].data == NULL || values[i].data[0] != '[');
    }
    CHECK(item->metadata.size >= 2 && item->metadata.data[0] == '{');
}

/* Walks the lines of ITEM as a body of their own. */
static void check_alone(const struct bulk_item *item)
{
    struct buffer body = {0};
    struct bulk_walk walk;
    struct bulk_item again;

    buffer_append_span(&body, item->line);
    buffer_append_char(&body, '\n');
    if (item->action != BULK_DELETE) {
        buffer_append_span(&body, item->source);
        buffer_append_cstr(
            &body, "\r\n"); /* a '\r' that is the source's own must not be dropped with it */
    }
    bulk_walk_init(&walk, buffer_span(&body));
    CHECK(bulk_next(&walk, &again) == STATUS_OK);
    CHECK(again.action == item->action && again.number == 0 && again.line_number == 1);
    CHECK(same(again.index, item->index) && same(again.id, item->id));
    CHECK(same(again.routing, item->routing) && same(again.source, item->source));
    CHECK(again.has_condition == item->has_condition);
    CHECK(again.has_external_version == item->has_external_version);
    CHECK(bulk_next(&walk, &again) == STATUS_NOT_FOUND && walk.items == 1);
    buffer_fini(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span body = span_of((const char *)data, size);
    struct bulk_walk walk;
    struct bulk_item item;
    enum status status;
    const char *before = body.data;

    bulk_walk_init(&walk, body);
    while ((status = bulk_next(&walk, &item)) == STATUS_OK) {
        CHECK(item.number + 1 == walk.items && item.line_number <= walk.lines);
        CHECK(within(item.line, body) && within(item.source, body) && item.line.data >= before);
        CHECK((item.source.data == NULL) == (item.action == BULK_DELETE));
        check_values(&item);
        check_alone(&item);
        before = item.line.data + item.line.size;
    }
    CHECK(status == STATUS_NOT_FOUND || status == STATUS_BAD_INPUT);
    CHECK((status == STATUS_BAD_INPUT) == (walk.why != NULL));
    CHECK(bulk_next(&walk, &item) == status);
    return 0;
}
