/* fuzz_record.c - records and intents: any bytes at all end in a judgement.
 *
 * The first byte of the input says what the rest is: 'R' a record, 'I' an intent as they are; 'r',
 * 'i' the same with length and checksum put right first, so that what lies behind the checksum is
 * reached. What must hold:
 *
 * - What is accepted lies within the bytes, and so do all its spans.
 * - Encoded again it decodes to the same, and encoding that gives the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/crc32c.h"
#include "journal/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AT_LENGTH 8
#define AT_CRC 12

static void seal(struct buffer *bytes)
{
    if (bytes->size < AT_CRC + 4)
        return;
    put_u32le(bytes->data + AT_LENGTH, (uint32_t)bytes->size);
    uint32_t crc = crc32c(0, bytes->data, AT_CRC);
    put_u32le(bytes->data + AT_CRC,
              crc32c(crc, bytes->data + AT_CRC + 4, bytes->size - AT_CRC - 4));
}

static void check_inside(struct span part, struct span whole)
{
    CHECK(part.size == 0 ||
          (part.data >= whole.data && part.data + part.size <= whole.data + whole.size));
}

static void check_spans(const struct record *record, struct span bytes)
{
    const struct row *row = &record->row;

    if (record->header.kind == RECORD_ROW) {
        check_inside(row->id, bytes);
        check_inside(row->routing, bytes);
        check_inside(row->source, bytes);
        check_inside(row->type, bytes);
        check_inside(row->dynamic_templates, bytes);
        CHECK(record_version(0, row->term, row->seq_no) > 0);
    } else if (record->header.kind == RECORD_METADATA) {
        check_inside(record->metadata.type, bytes);
        check_inside(record->metadata.name, bytes);
        check_inside(record->metadata.body, bytes);
    } else if (record->header.kind == RECORD_HELLO) {
        check_inside(record->hello.system_id, bytes);
        check_inside(record->hello.cluster, bytes);
        check_inside(record->hello.cluster_uuid, bytes);
    } else if (record->header.kind == RECORD_SWEPT) {
        check_inside(record->swept.ranges, bytes);
    }
}

static void one_record(struct span bytes)
{
    struct buffer first = {0}, second = {0};
    struct record record, again;
    size_t used;

    if (record_decode(bytes, &record, &used) != STATUS_OK)
        return;
    CHECK(used <= bytes.size && record_peek(bytes, NULL) == used);
    check_spans(&record, span_of(bytes.data, used));
    record_encode(&first, &record);
    CHECK(first.size <= used); /* fields that may be skipped are gone */
    CHECK(record_decode(buffer_span(&first), &again, &used) == STATUS_OK && used == first.size);
    record_encode(&second, &again);
    CHECK(span_equal(buffer_span(&first), buffer_span(&second)));
    buffer_fini(&first);
    buffer_fini(&second);
}

static void one_intent(struct span bytes)
{
    struct buffer first = {0}, second = {0};
    struct intent intent, again;

    if (intent_decode(bytes, &intent) != STATUS_OK)
        return;
    for (size_t i = 0; i < intent.item_count; i++) {
        check_inside(intent.items[i].name, bytes);
        check_inside(intent.items[i].id, bytes);
        check_inside(intent.items[i].routing, bytes);
        check_inside(intent.items[i].concrete, bytes);
    }
    intent_encode(&first, &intent);
    CHECK(first.size <= bytes.size); /* names that are said again are said once */
    CHECK(intent_decode(buffer_span(&first), &again) == STATUS_OK);
    CHECK(again.item_count == intent.item_count && again.number == intent.number);
    intent_encode(&second, &again);
    CHECK(span_equal(buffer_span(&first), buffer_span(&second)));
    intent_fini(&intent);
    intent_fini(&again);
    buffer_fini(&first);
    buffer_fini(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer bytes = {0};

    if (size == 0)
        return 0;
    buffer_append(&bytes, data + 1, size - 1);
    if (data[0] == 'r' || data[0] == 'i')
        seal(&bytes);
    if (data[0] == 'R' || data[0] == 'r')
        one_record(buffer_span(&bytes));
    else if (data[0] == 'I' || data[0] == 'i')
        one_intent(buffer_span(&bytes));
    buffer_fini(&bytes);
    return 0;
}
