/* fuzz_bulk_answer.c - answers to writes are read the same by the fast path and by json.h, and
 * rendered as JSON.
 *
 * The input is a filter_path up to the first newline, and an answer behind it.
 * What must hold:
 *
 * - A walk that comes to its end has read valid JSON, and every item as a slow reader does.
 * - Filtered and pretty answers are JSON again, and filtering or indenting once more changes
 * nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json.h"
#include "es/filter_path.h"
#include "es/outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The last value of member NAME, by way of json.h only. */
static struct span last_member(struct span object, struct span name)
{
    struct json_walk walk;
    struct span key, value, found = SPAN_NONE;
    if (json_enter(&walk, object, '{'))
        while (json_next_member(&walk, &key, &value))
            if (span_equal(key, name))
                found = value;
    return found;
}

static void check_item(const struct outcome_item *item, bool bulk)
{
    struct span name = span_cstr(bulk_action_name(item->action)), error;
    struct span object = bulk ? last_member(item->raw, name) : item->raw;
    int64_t seq_no = -1, term = 0;

    CHECK(json_valid(item->raw) && object.size > 0);
    if (!json_to_i64(last_member(object, SPAN("_seq_no")), &seq_no))
        seq_no = -1;
    if (!json_to_i64(last_member(object, SPAN("_primary_term")), &term))
        term = 0;
    CHECK(item->has_numbers == (seq_no >= 0 && term >= 1));
    CHECK(!item->has_numbers || (item->seq_no == seq_no && item->term == (uint64_t)term));
    CHECK(span_equal(item->id, last_member(object, SPAN("_id"))));
    CHECK(span_equal(item->index, last_member(object, SPAN("_index"))));
    error = last_member(object, SPAN("error"));
    CHECK(span_equal(item->error, json_is_null(error) ? SPAN_NONE : error));
    CHECK(outcome_judge(item) != OUTCOME_APPLIED || item->has_numbers);
}

static void check_walks(struct span body)
{
    struct outcome_walk walk;
    struct outcome_item item;
    struct mget_doc doc;
    enum status status = outcome_walk_init(&walk, body);

    while (status == STATUS_OK && (status = outcome_next(&walk, &item)) == STATUS_OK)
        check_item(&item, true);
    CHECK(status == STATUS_BAD_INPUT || json_valid(body));

    status = mget_walk_init(&walk, body);
    while (status == STATUS_OK && (status = mget_next(&walk, &doc)) == STATUS_OK)
        CHECK(doc.source.size == 0 || json_valid(doc.source));
    CHECK(status == STATUS_BAD_INPUT || json_valid(body));

    if (outcome_single(200, body, &item) == STATUS_OK)
        check_item(&item, false);
    (void)outcome_judge_whole_bulk(503, body, false);
}

static void check_filter(struct span body, struct span filter)
{
    struct buffer once = {0}, twice = {0};
    enum status status = filter_path_apply(body, filter, &once);
    CHECK((status == STATUS_OK) == json_valid(body));
    if (status == STATUS_OK) {
        CHECK(json_valid(buffer_span(&once)));
        CHECK(filter_path_apply(buffer_span(&once), filter, &twice) == STATUS_OK);
        CHECK(span_equal(buffer_span(&once), buffer_span(&twice)));
    }
    buffer_fini(&once);
    buffer_fini(&twice);
}

static void check_pretty(struct span body)
{
    struct buffer once = {0}, twice = {0};
    enum status status = json_pretty(body, &once);
    CHECK((status == STATUS_OK) == json_valid(body));
    if (status == STATUS_OK) {
        CHECK(json_valid(buffer_span(&once)));
        CHECK(json_pretty(buffer_span(&once), &twice) == STATUS_OK);
        CHECK(span_equal(buffer_span(&once), buffer_span(&twice)));
    }
    buffer_fini(&once);
    buffer_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *newline = size == 0 ? NULL : memchr(text, '\n', size);
    /* A walk counts nesting from its items, json_valid from the body: they differ only in deeper
     * texts than these. */
    if (newline == NULL || size > JSON_DEPTH_MAX)
        return 0;
    struct span filter = span_of(text, (size_t)(newline - text));
    struct span body = span_of(newline + 1, size - filter.size - 1);
    check_walks(body);
    check_filter(body, filter);
    check_pretty(body);
    return 0;
}
