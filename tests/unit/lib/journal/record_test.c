/* record_test.c - records and intents: every byte of them is guarded.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc32c.h"
#include "journal/record.h"

#define HEADER                                                                                     \
    .header = {.journal = {{1, 2, 3}},                                                             \
               .boot = 4,                                                                          \
               .seq = 5,                                                                           \
               .timeline = 6,                                                                      \
               .time_us = 7,                                                                       \
               .part = 0,                                                                          \
               .parts = 1}

/* One of each kind; every field has a value of its own. */
static size_t examples(struct record out[9])
{
    static const char two_ranges[] =
        "\x0b\0\0\0\x0c\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x0d\0\0\0\0\0\0\0"
        "\x15\0\0\0\x16\0\0\0\x17\0\0\0\0\0\0\0\x18\0\0\0\0\0\0\0";
    static const struct record all[] = {
        {HEADER, .row = {ROW_INDEX,
                         ROW_ANSWERED,
                         11,
                         12,
                         13,
                         14,
                         15,
                         true,
                         {"r", 1},
                         {"id-1", 4},
                         CONTENT_JSON,
                         {"{\"a\":1.0}", 9},
                         {"_doc", 4},
                         {"{}", 2}}},
        {HEADER, .row = {ROW_DELETE,
                         ROW_PROBED,
                         11,
                         12,
                         13,
                         14,
                         15,
                         true,
                         {"", 0},
                         {"id-2", 4},
                         0,
                         {NULL, 0},
                         {"", 0},
                         {NULL, 0}}},
        {HEADER, .row = {ROW_DELETE,
                         ROW_NEGATIVE,
                         11,
                         12,
                         13,
                         -1,
                         0,
                         false,
                         {NULL, 0},
                         {"id-3", 4},
                         0,
                         {NULL, 0},
                         {NULL, 0},
                         {NULL, 0}}},
        {HEADER, .answered = {21, 22, 23, 24}},
        {HEADER, .metadata = {{"index", 5}, {"uuid", 4}, 31, 32, 33, false, {"{}", 2}}},
        {HEADER, .metadata = {{"template", 8}, {"t", 1}, 31, 32, 0, true, {NULL, 0}}},
        {HEADER, .mark = {41, 42}},
        {HEADER, .hello = {{"system", 6}, {"primary", 7}, {"uuid", 4}, 51, 2, {{1, 0}, {6, 52}}}},
        {HEADER, .swept = {61, 62, 2, {two_ranges, sizeof two_ranges - 1}}},
    };
    static const enum record_kind kinds[] = {RECORD_ROW,      RECORD_ROW,      RECORD_ROW,
                                             RECORD_ANSWERED, RECORD_METADATA, RECORD_METADATA,
                                             RECORD_MARK,     RECORD_HELLO,    RECORD_SWEPT};

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        out[i] = all[i];
        out[i].header.kind = kinds[i];
    }
    return COUNT_OF(all);
}

/* Makes the checksum of the record in BYTES right again after a test changed it on purpose. */
static void reseal(struct buffer *bytes)
{
    uint32_t crc = crc32c(0, bytes->data, 12);

    put_u32le(bytes->data + 12, crc32c(crc, bytes->data + 16, bytes->size - 16));
}

static enum status decode(const struct buffer *bytes, struct record *record)
{
    size_t used;
    enum status status = record_decode(buffer_span(bytes), record, &used);

    assert_int_equal(used, status == STATUS_OK ? bytes->size : 0);
    return status;
}

static void every_kind_comes_back_byte_for_byte(void **state)
{
    struct record all[9];
    size_t count = examples(all);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct buffer bytes = {0}, again = {0};
        struct record got;
        record_encode(&bytes, &all[i]);
        assert_int_equal(decode(&bytes, &got), STATUS_OK);
        assert_int_equal(record_peek(buffer_span(&bytes), NULL), bytes.size);
        record_encode(&again, &got);
        assert_int_equal(again.size, bytes.size);
        assert_memory_equal(again.data, bytes.data, bytes.size);
        buffer_fini(&bytes);
        buffer_fini(&again);
    }
}

static void a_row_says_what_it_said(void **state)
{
    struct record all[9], got;
    struct buffer bytes = {0};

    (void)state;
    examples(all);
    record_encode(&bytes, &all[0]);
    assert_int_equal(decode(&bytes, &got), STATUS_OK);
    assert_int_equal(got.header.kind, RECORD_ROW);
    assert_int_equal(got.header.boot, 4);
    assert_int_equal(got.header.seq, 5);
    assert_int_equal(got.header.timeline, 6);
    assert_int_equal(got.header.time_us, 7);
    assert_memory_equal(&got.header.journal, &all[0].header.journal, sizeof got.header.journal);
    assert_int_equal(got.row.op, ROW_INDEX);
    assert_int_equal(got.row.proof, ROW_ANSWERED);
    assert_int_equal(got.row.incarnation, 11);
    assert_int_equal(got.row.shard, 12);
    assert_int_equal(got.row.term, 13);
    assert_int_equal(got.row.seq_no, 14);
    assert_int_equal(got.row.version, 15);
    assert_true(got.row.routed);
    assert_true(span_equal(got.row.routing, SPAN("r")));
    assert_true(span_equal(got.row.id, SPAN("id-1")));
    assert_true(span_equal(got.row.source, SPAN("{\"a\":1.0}")));
    assert_true(span_equal(got.row.type, SPAN("_doc")));
    assert_true(span_equal(got.row.dynamic_templates, SPAN("{}")));
    buffer_fini(&bytes);
}

static void an_empty_routing_is_not_a_missing_one(void **state)
{
    struct record all[9], got;
    struct buffer bytes = {0};

    (void)state;
    examples(all);
    record_encode(&bytes, &all[1]);
    assert_int_equal(decode(&bytes, &got), STATUS_OK);
    assert_true(got.row.routed && got.row.routing.size == 0);
    assert_true(got.row.type.data != NULL && got.row.type.size == 0);
    assert_true(got.row.dynamic_templates.data == NULL);
    buffer_clear(&bytes);
    record_encode(&bytes, &all[2]);
    assert_int_equal(decode(&bytes, &got), STATUS_OK);
    assert_false(got.row.routed);
    assert_int_equal(got.row.seq_no, -1);
    buffer_fini(&bytes);
}

static void a_record_cut_anywhere_is_torn(void **state)
{
    struct record all[9], got;
    size_t count = examples(all), used;

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct buffer bytes = {0};
        record_encode(&bytes, &all[i]);
        for (size_t cut = 0; cut < bytes.size; cut++) {
            /* A copy of its own, so that a sanitizer sees one byte too many. */
            char *copy = bytes_alloc(cut + 1);
            memcpy(copy, bytes.data, cut);
            assert_int_equal(record_decode(span_of(copy, cut), &got, &used), STATUS_RECORD_TORN);
            free(copy);
        }
        buffer_fini(&bytes);
    }
}

static void any_flipped_bit_is_seen(void **state)
{
    struct record all[9], got;
    size_t count = examples(all);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        struct buffer bytes = {0};
        record_encode(&bytes, &all[i]);
        for (size_t bit = 0; bit < bytes.size * 8; bit++) {
            bytes.data[bit / 8] ^= (char)(1 << bit % 8);
            assert_int_equal(decode(&bytes, &got), STATUS_RECORD_TORN);
            bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        }
        buffer_fini(&bytes);
    }
}

/* Puts VALUE into byte AT of example WHICH, with a right checksum, and decodes it. */
static enum status altered(size_t which, size_t at, char value)
{
    struct record all[9], got;
    struct buffer bytes = {0};

    examples(all);
    record_encode(&bytes, &all[which]);
    bytes.data[at] = value;
    reseal(&bytes);
    enum status status = decode(&bytes, &got);
    buffer_fini(&bytes);
    return status;
}

static void what_a_later_version_may_write_stops_the_reader(void **state)
{
    (void)state;
    assert_int_equal(altered(6, 4, 2), STATUS_RECORD_UNKNOWN);  /* R3 format version */
    assert_int_equal(altered(6, 68, 1), STATUS_RECORD_UNKNOWN); /* R3 flags */
    for (int kind = 0; kind < 256; kind++) {
        if (kind < RECORD_ROW || (kind > RECORD_HELLO && kind != RECORD_SWEPT))
            assert_int_equal(altered(6, 6, (char)kind), STATUS_RECORD_UNKNOWN); /* R3 kind */
    }
    assert_int_equal(altered(0, 72 + 0, 3), STATUS_RECORD_UNKNOWN);  /* R6 operation */
    assert_int_equal(altered(0, 72 + 1, 4), STATUS_RECORD_UNKNOWN);  /* R6 proof */
    assert_int_equal(altered(0, 72 + 2, 5), STATUS_RECORD_UNKNOWN);  /* R6 content type */
    assert_int_equal(altered(0, 72 + 3, 5), STATUS_RECORD_UNKNOWN);  /* R6 bits */
    assert_int_equal(altered(4, 72 + 20, 2), STATUS_RECORD_UNKNOWN); /* R6 bits of metadata */
}

static void what_no_version_may_write_is_torn(void **state)
{
    (void)state;
    assert_int_equal(altered(6, 32, 0), STATUS_RECORD_TORN);       /* R4 boot 0 */
    assert_int_equal(altered(6, 40, 0), STATUS_RECORD_TORN);       /* R4 seq 0 */
    assert_int_equal(altered(6, 48, 0), STATUS_RECORD_TORN);       /* R4 timeline 0 */
    assert_int_equal(altered(6, 64, 1), STATUS_RECORD_TORN);       /* R4 part 1 of 1 */
    assert_int_equal(altered(6, 66, 0), STATUS_RECORD_TORN);       /* R4 no parts */
    assert_int_equal(altered(0, 72 + 12, 3), STATUS_RECORD_TORN);  /* R5 sizes */
    assert_int_equal(altered(0, 72 + 40, 0), STATUS_RECORD_TORN);  /* R5 */
    assert_int_equal(altered(0, 72 + 44, 99), STATUS_RECORD_TORN); /* R5 */
    assert_int_equal(altered(0, 72 + 16, 0), STATUS_RECORD_TORN);  /* R7 term 0 */
    assert_int_equal(altered(0, 72 + 19, 1), STATUS_RECORD_TORN);  /* R7 term too large */
    assert_int_equal(altered(0, 72 + 29, 1), STATUS_RECORD_TORN);  /* R7 seq_no 2^40 */
    assert_int_equal(altered(0, 72 + 31, -1), STATUS_RECORD_TORN); /* R7 negative seq_no */
    assert_int_equal(altered(0, 72 + 1, 3), STATUS_RECORD_TORN);   /* R7 negative, no delete */
    assert_int_equal(altered(0, 72 + 0, 2), STATUS_RECORD_TORN);   /* R7 delete with a source */
    assert_int_equal(altered(0, 72 + 2, 0), STATUS_RECORD_TORN);   /* R7 content of an index */
    assert_int_equal(altered(3, 72 + 8, 0), STATUS_RECORD_TORN);   /* R8 term 0 */
    assert_int_equal(altered(4, 72 + 20, 1), STATUS_RECORD_TORN);  /* R9 gone, with a body */
    assert_int_equal(altered(4, 72 + 21, 0), STATUS_RECORD_TORN);  /* R9 no type (and R5) */
    assert_int_equal(altered(6, 72 + 0, 0), STATUS_RECORD_TORN);   /* R10 */
    assert_int_equal(altered(7, 72 + 8, 17), STATUS_RECORD_TORN);  /* R11 too many bases */
    assert_int_equal(altered(7, 72 + 16, 7), STATUS_RECORD_TORN);  /* R11 timelines descend */
    assert_int_equal(altered(8, 72 + 16, 3), STATUS_RECORD_TORN);  /* R12 a range is missing */
    assert_int_equal(altered(8, 72 + 20 + 24 + 16, 22),
                     STATUS_RECORD_TORN); /* R12 it ends before it begins */
    assert_int_equal(altered(8, 72 + 20 + 24 + 21, 1), STATUS_RECORD_TORN); /* R12 2^40 */
}

/* Decodes example 2 (a row without fields) with the optional field TAG behind it, twice when asked.
 */
static enum status with_field(unsigned tag, unsigned times)
{
    struct record all[9], got;
    struct buffer bytes = {0};

    examples(all);
    record_encode(&bytes, &all[2]);
    for (unsigned i = 0; i < times; i++) {
        buffer_append_u16(&bytes, (uint16_t)tag);
        buffer_append_u32(&bytes, 3);
        buffer_append_cstr(&bytes, "abc");
    }
    put_u32le(bytes.data + 8, (uint32_t)bytes.size);
    reseal(&bytes);
    enum status status = decode(&bytes, &got);
    buffer_fini(&bytes);
    return status;
}

static void unknown_fields_stop_the_reader_unless_they_may_be_skipped(void **state)
{
    (void)state;
    assert_int_equal(with_field(ROW_FIELD_TYPE, 1), STATUS_OK);
    assert_int_equal(with_field(ROW_FIELD_TYPE, 2), STATUS_RECORD_TORN);
    assert_int_equal(with_field(ROW_FIELD_TTL, 1), STATUS_RECORD_UNKNOWN);
    assert_int_equal(with_field(32767, 1), STATUS_RECORD_UNKNOWN);
    assert_int_equal(with_field(32768, 1), STATUS_OK);
    assert_int_equal(with_field(0, 1), STATUS_RECORD_TORN);
}

static void ids_of_1_to_512_bytes_are_taken(void **state)
{
    char text[RECORD_ID_MAX];
    struct record all[9], got;

    (void)state;
    memset(text, 'x', sizeof text);
    examples(all);
    for (size_t size = 1; size <= RECORD_ID_MAX; size++) {
        struct buffer bytes = {0};
        all[0].row.id = span_of(text, size);
        record_encode(&bytes, &all[0]);
        assert_int_equal(decode(&bytes, &got), STATUS_OK);
        assert_true(span_equal(got.row.id, all[0].row.id));
        buffer_fini(&bytes);
    }
}

static void versions_order_as_base_and_term_then_seq_no(void **state)
{
    (void)state;
    assert_int_equal(record_version(0, 1, 0), 1ll << 40);
    assert_int_equal(record_version(2, 3, 4), (5ll << 40) + 4);
    assert_int_equal(record_version(0, 7, -1), (7ll << 40) - 1); /* below seq_no 0, above term 6 */
    assert_true(record_version(0, 1, (1ll << 40) - 1) < record_version(0, 2, 0));
    assert_true(record_version(0, (1 << 23) - 1, (1ll << 40) - 1) == INT64_MAX);
    assert_true(numbers_compare(1, 9, 2, 0) < 0);
    assert_true(numbers_compare(2, 0, 1, 9) > 0);
    assert_true(numbers_compare(2, -1, 2, 0) < 0);
    assert_true(numbers_compare(2, 3, 2, 3) == 0);
}

static void a_journal_id_reads_back_from_its_text(void **state)
{
    struct journal_id id = {{0, 1, 0x7f, 0x80, 0xff}}, got;
    char text[33];

    (void)state;
    journal_id_text(&id, text);
    assert_string_equal(text, "00017f80ff0000000000000000000000");
    assert_true(journal_id_parse(span_cstr(text), &got));
    assert_memory_equal(&id, &got, sizeof id);
    assert_false(journal_id_parse(span_of(text, 31), &got));
    assert_false(journal_id_parse(SPAN("00017F80ff0000000000000000000000"), &got));
    assert_false(journal_id_parse(SPAN("g0017f80ff00000000000000000000000"), &got));
}

/* ------------------------------------------------------------------------------------------------------
 * Intents. */

static struct intent_item intent_items[] = {
    {INTENT_INDEX, {"logs", 4}, {"1", 1}, false, {NULL, 0}, 7, {"logs-1", 6}},
    {INTENT_CREATE, {"logs", 4}, {"2", 1}, true, {"r", 1}, 7, {"logs-1", 6}},
    {INTENT_UPDATE, {"logs", 4}, {"", 0}, true, {"", 0}, 8, {"logs-1", 6}},
    {INTENT_DELETE, {"other", 5}, {"4", 1}, false, {NULL, 0}, 0, {NULL, 0}},
    {INTENT_DELETE, {"other", 5}, {"5", 1}, false, {NULL, 0}, 0, {NULL, 0}},
};

static void intent_example(struct buffer *bytes)
{
    struct intent intent = {91, 92, 93, 94, COUNT_OF(intent_items), intent_items};

    intent_encode(bytes, &intent);
}

static void an_intent_comes_back_whole(void **state)
{
    struct buffer bytes = {0};
    struct intent got;

    (void)state;
    intent_example(&bytes);
    assert_int_equal(intent_decode(buffer_span(&bytes), &got), STATUS_OK);
    assert_int_equal(got.number, 91);
    assert_int_equal(got.boot, 92);
    assert_int_equal(got.time_us, 93);
    assert_int_equal(got.state_version, 94);
    assert_int_equal(got.item_count, COUNT_OF(intent_items));
    for (size_t i = 0; i < got.item_count; i++) {
        const struct intent_item *a = &intent_items[i], *b = &got.items[i];
        assert_int_equal(a->op, b->op);
        assert_true(span_equal(a->name, b->name) && span_equal(a->id, b->id));
        assert_true(a->routed == b->routed && span_equal(a->routing, b->routing));
        assert_true(a->incarnation == b->incarnation && span_equal(a->concrete, b->concrete));
    }
    intent_fini(&got);
    buffer_fini(&bytes);
}

static void an_intent_that_is_cut_or_flipped_is_torn(void **state)
{
    struct buffer bytes = {0};
    struct intent got;

    (void)state;
    intent_example(&bytes);
    for (size_t cut = 0; cut < bytes.size; cut++)
        assert_int_equal(intent_decode(span_of(bytes.data, cut), &got), STATUS_RECORD_TORN);
    for (size_t bit = 0; bit < bytes.size * 8; bit++) {
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        assert_int_equal(intent_decode(buffer_span(&bytes), &got), STATUS_RECORD_TORN);
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    buffer_fini(&bytes);
}

static void a_large_bulk_repeats_no_names_in_its_intent(void **state)
{
    struct intent_item *items = bytes_zalloc(10000 * sizeof *items);
    struct intent intent = {1, 1, 1, 1, 10000, items}, got;
    struct buffer bytes = {0};

    (void)state;
    for (size_t i = 0; i < intent.item_count; i++)
        items[i] = (struct intent_item){INTENT_INDEX,
                                        SPAN("an-index-with-a-long-name"),
                                        SPAN("01234567890123456789"),
                                        false,
                                        SPAN_NONE,
                                        3,
                                        SPAN("an-index-with-a-long-name")};
    intent_encode(&bytes, &intent);
    assert_in_range(bytes.size, 10000 * 26, 10000 * 26 + 200);
    assert_int_equal(intent_decode(buffer_span(&bytes), &got), STATUS_OK);
    assert_true(span_equal(got.items[9999].concrete, items[0].concrete));
    intent_fini(&got);
    buffer_fini(&bytes);
    free(items);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_byte_for_byte),
        cmocka_unit_test(a_row_says_what_it_said),
        cmocka_unit_test(an_empty_routing_is_not_a_missing_one),
        cmocka_unit_test(a_record_cut_anywhere_is_torn),
        cmocka_unit_test(any_flipped_bit_is_seen),
        cmocka_unit_test(what_a_later_version_may_write_stops_the_reader),
        cmocka_unit_test(what_no_version_may_write_is_torn),
        cmocka_unit_test(unknown_fields_stop_the_reader_unless_they_may_be_skipped),
        cmocka_unit_test(ids_of_1_to_512_bytes_are_taken),
        cmocka_unit_test(versions_order_as_base_and_term_then_seq_no),
        cmocka_unit_test(a_journal_id_reads_back_from_its_text),
        cmocka_unit_test(an_intent_comes_back_whole),
        cmocka_unit_test(an_intent_that_is_cut_or_flipped_is_torn),
        cmocka_unit_test(a_large_bulk_repeats_no_names_in_its_intent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
