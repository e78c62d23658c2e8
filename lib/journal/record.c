/* record.c - the bytes of a record, and of an intent.
 *
 * This comment is the whole specification; nothing else says how a record looks. All integers are
 * little-endian; "text" is bytes without a terminator; sizes are in bytes.
 *
 * A record is a header of 72 bytes and a content:
 *
 *     at  size  field
 *      0     4  magic: the bytes 'T' 'D' 'M' 'R'
 *      4     2  format version: 1
 *      6     2  kind: 1 row, 2 answered, 3 metadata, 4 mark, 5 hello, 8 swept; reserved: 6 fence,
 *               7 role
 *      8     4  length of the whole record, header included
 *     12     4  CRC32C (Castagnoli) over the whole record without these four bytes:
 *               0..11, then 16 to the end
 *     16    16  journal id: random, born with the journal
 *     32     8  boot: counts the starts of the journal's writer, from 1
 *     40     8  seq: dense within the journal, from 1
 *     48     8  timeline, from 1
 *     56     8  time: wall clock when it was appended, microseconds since 1970
 *     64     2  part, from 0
 *     66     2  parts; a record that is not divided is part 0 of 1
 *     68     4  flags: 0
 *     72        content
 *
 * Every format version, also later ones, keeps bytes 0..15 and the rule of the checksum: so a
 * reader can tell damage (R1, R2) from what is only newer than itself (R3).
 *
 * Content of a row (1):
 *      0     1  operation: 1 index, 2 delete
 *      1     1  proof: 1 answered, 2 probed, 3 negative
 *      2     1  content type of the source: 1 JSON, 2 CBOR, 3 SMILE, 4 YAML; a delete may say 0
 *      3     1  bit 0: a routing is present (it may be empty); bit 1: the primary said that a
 *               copy of the shard failed (`_shards.failed`); other bits 0
 *      4     4  incarnation: short number of one life of one index, defined by a metadata record
 *               of type "index"
 *      8     4  shard
 *     12     4  size of the id
 *     16     8  primary term
 *     24     8  seq_no, signed
 *     32     8  _version on the primary, signed; 0: not known
 *     40     4  size of the routing
 *     44     4  size of the source
 *     48        id, routing, source; then until the end of the record optional fields, each a
 *               tag (2), a size (4) and as many bytes. Tags ascend. A tag below 32768 must be
 *               understood, others may be skipped: 1 _type (text), 4 dynamic_templates (JSON);
 *               2 (_timestamp) and 3 (_ttl) are reserved.
 *
 * Content of answered (2): a number that the primary used and no row carries.
 *      0     4  incarnation
 *      4     4  shard
 *      8     8  primary term
 *     16     8  seq_no
 *
 * Content of metadata (3): the state of one object, or its end.
 *      0     8  version of the cluster state that it was read from; the newest one holds
 *      8     8  highest primary term the writer had seen
 *     16     4  incarnation (of an "index"; else 0)
 *     20     1  bit 0: the object is gone; other bits 0
 *     21     1  size of the type
 *     22     2  size of the name
 *     24     4  size of the body
 *     28        type (text), name (text), body (JSON)
 *      A reader skips a type that it does not know.
 *
 * Content of a mark (4):
 *      0     8  number of the mark, from 1
 *      8     8  highest primary term the writer had seen
 *
 * Content of a hello (5): the first record of each boot.
 *      0     8  highest primary term the writer had seen
 *      8     2  count of bases
 *     10     2  size of the system id
 *     12     2  size of the primary's name
 *     14     2  size of its cluster uuid
 *     16        bases, each a timeline (8) and its base (8); then system id, name, cluster uuid
 *               (texts)
 *
 * Content of swept (8): a write by query is over, and all that it left is in rows before this one.
 *      0     8  how many operations it was, as the primary said
 *      8     8  how many of them are deletions that have no rows: nobody knows of which documents
 *     16     4  count of ranges
 *     20        ranges: incarnation (4), shard (4), the number before the first (8, signed),
 *               the last (8, signed). Of the numbers in them it used as many as it was operations;
 *               all others belong to writes that have rows or answered records of their own
 *
 * A record is valid when all of this holds; a reader stops at the first that does not:
 *   R1  RECORD_TORN     It is at least 72 bytes long, begins with the magic, and length is 72 or
 *                       more and does not run over the end of what there is.
 *   R2  RECORD_TORN     The checksum is right.
 *   R3  RECORD_UNKNOWN  Format version is 1, flags is 0, and kind is one of 1..5 and 8.
 *   R4  RECORD_TORN     boot, seq, timeline and parts are at least 1, and part < parts.
 *   R5  RECORD_TORN     The content has its fixed part, and its sizes add up exactly to length.
 *   R6  RECORD_UNKNOWN  Operations, proofs, content types, bits and must-understand tags are
 *                       among those named above.
 *   R7  RECORD_TORN     Row: the id has 1 to 512 bytes; a delete has no source; a negative row is
 *                       a delete; content type 0 only in a delete; 1 <= term < 2^23;
 *                       0 <= seq_no < 2^40, or -1 in a negative row; tags ascend.
 *   R8  RECORD_TORN     Answered: term and seq_no as in R7, without -1.
 *   R9  RECORD_TORN     Metadata: type and name are not empty; gone means no body.
 *   R10 RECORD_TORN     Mark: the number is at least 1.
 *   R11 RECORD_TORN     Hello: at most 16 bases; their timelines ascend, from 1 or more.
 *   R12 RECORD_TORN     Swept: -1 <= the number before the first <= the last < 2^40.
 *
 * An intent stands beside the records, under its number, and never leaves the writer's disk:
 *
 *     at  size  field
 *      0     4  magic: the bytes 'T' 'D' 'M' 'I'
 *      4     2  format version: 1
 *      6     2  flags: 0
 *      8     4  length of the whole intent
 *     12     4  CRC32C, by the rule of the records
 *     16     8  number, from 1
 *     24     8  boot
 *     32     8  time it was admitted, microseconds since 1970
 *     40     8  version of the cluster state it was admitted under
 *     48     4  count of items
 *     52        items
 *
 * An item:
 *      0     1  operation: 1 index, 2 create, 3 update, 4 delete
 *      1     1  bit 0: a routing is present; bit 1: incarnation, name and concrete name are those
 *               of the item before (a bulk names its index ten thousand times, and this is on the
 *               way of every write); other bits 0
 *      2     4  size of the id
 *            4  size of the routing; only with bit 0
 *            4  incarnation; only without bit 1, as the next two
 *            4  size of the name
 *            4  size of the concrete name
 *               id; routing; name, concrete name
 *
 *   I1  RECORD_TORN     As R1 (with 52 bytes) and R2; the number is at least 1; the items fill the
 *                       rest exactly; the first has not bit 1.
 *   I2  RECORD_UNKNOWN  Format version is 1, flags is 0, operations and bits are among those above.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "journal/record.h"

#include "base/crc32c.h"

/* Where things stand; both heads share the first 16 bytes. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = AT_MAGIC + 4,
    AT_KIND = AT_VERSION + 2,
    AT_LENGTH = AT_KIND + 2,
    AT_CRC = AT_LENGTH + 4,
    AT_JOURNAL = AT_CRC + 4,
    AT_BOOT = AT_JOURNAL + 16,
    AT_SEQ = AT_BOOT + 8,
    AT_TIMELINE = AT_SEQ + 8,
    AT_TIME = AT_TIMELINE + 8,
    AT_PART = AT_TIME + 8,
    AT_PARTS = AT_PART + 2,
    AT_FLAGS = AT_PARTS + 2,
    HEADER_SIZE = AT_FLAGS + 4,

    AT_INTENT_FLAGS = AT_VERSION + 2,
    AT_INTENT_NUMBER = AT_CRC + 4,
    AT_INTENT_BOOT = AT_INTENT_NUMBER + 8,
    AT_INTENT_TIME = AT_INTENT_BOOT + 8,
    AT_INTENT_STATE = AT_INTENT_TIME + 8,
    AT_INTENT_COUNT = AT_INTENT_STATE + 8,
    INTENT_SIZE = AT_INTENT_COUNT + 4,

    ROW_SIZE = 4 + 3 * 4 + 3 * 8 + 2 * 4,
    ANSWERED_SIZE = 2 * 4 + 2 * 8,
    METADATA_SIZE = 2 * 8 + 4 + 1 + 1 + 2 + 4,
    MARK_SIZE = 2 * 8,
    HELLO_SIZE = 8 + 4 * 2,
    BASE_SIZE = 2 * 8,
    SWEPT_SIZE = 2 * 8 + 4,
    RANGE_SIZE = 2 * 4 + 2 * 8,
    ITEM_SIZE_MIN = 1 + 1 + 4,
};

/* What the specification above says, held against what the program does. */
_Static_assert(AT_LENGTH == 8 && AT_CRC == 12 && AT_JOURNAL == 16 && AT_SEQ == 40, "record header");
_Static_assert(HEADER_SIZE == 72 && HEADER_SIZE == RECORD_HEADER_SIZE, "record header");
_Static_assert(sizeof(struct journal_id) == 16, "journal id");
_Static_assert(INTENT_SIZE == 52, "intent");
_Static_assert(ROW_SIZE == 48 && ANSWERED_SIZE == 24 && METADATA_SIZE == 28, "contents");
_Static_assert(MARK_SIZE == 16 && HELLO_SIZE == 16, "contents");
_Static_assert(SWEPT_SIZE == 20 && RANGE_SIZE == 24, "contents");
_Static_assert(COUNT_OF(((struct hello *)NULL)->bases) == 16, "R11");

#define FORMAT_VERSION 1
#define TAG_OPTIONAL 32768     /* tags from here on may be skipped */
#define TERM_LIMIT (1LL << 23) /* (base + term) * 2^40 must fit in 63 bits */
#define SEQ_NO_LIMIT (1LL << 40)
#define ROW_ROUTED 1
#define ROW_COPY_FAILED 2
#define METADATA_GONE 1
#define ITEM_ROUTED 1
#define ITEM_SAME_TARGET 2

static const char record_magic[4] = {'T', 'D', 'M', 'R'};
static const char intent_magic[4] = {'T', 'D', 'M', 'I'};

/* ------------------------------------------------------------------------------------------------------
 * Head and checksum, the same for records and intents. */

static uint32_t checksum(const char *bytes, size_t size)
{
    uint32_t crc = crc32c(0, bytes, AT_CRC);

    return crc32c(crc, bytes + AT_CRC + 4, size - AT_CRC - 4);
}

/* Fills in length and checksum of what stands in OUT from START on. */
static void seal(struct buffer *out, size_t start)
{
    char *bytes = out->data + start;
    size_t size = out->size - start;

    CHECK(size <= UINT32_MAX); /* request bodies are limited far below */
    put_u32le(bytes + AT_LENGTH, (uint32_t)size);
    put_u32le(bytes + AT_CRC, checksum(bytes, size));
}

/* R1 and R2: the size of what stands at the front of BYTES, or 0. */
static size_t unseal(struct span bytes, const char magic[4], size_t size_min)
{
    if (bytes.size < size_min || memcmp(bytes.data, magic, 4) != 0)
        return 0;
    size_t size = get_u32le(bytes.data + AT_LENGTH);
    if (size < size_min || size > bytes.size)
        return 0;
    return get_u32le(bytes.data + AT_CRC) == checksum(bytes.data, size) ? size : 0;
}

static uint32_t size_u32(struct span span)
{
    CHECK(span.size <= UINT32_MAX);
    return (uint32_t)span.size;
}

static uint16_t size_u16(struct span span)
{
    CHECK(span.size <= UINT16_MAX);
    return (uint16_t)span.size;
}

/* ------------------------------------------------------------------------------------------------------
 * Validity of contents. The encoder stops the program on what the decoder would refuse. */

static bool numbers_valid(uint64_t term, int64_t seq_no, int64_t seq_no_min)
{
    return term >= 1 && term < TERM_LIMIT && seq_no >= seq_no_min && seq_no < SEQ_NO_LIMIT;
}

static bool row_known(const struct row *row) /* R6 */
{
    return (row->op == ROW_INDEX || row->op == ROW_DELETE) && row->proof >= ROW_ANSWERED &&
           row->proof <= ROW_NEGATIVE && row->content <= CONTENT_YAML;
}

static bool row_valid(const struct row *row) /* R7, but for the order of tags */
{
    if (row->id.size < 1 || row->id.size > RECORD_ID_MAX)
        return false;
    if (row->op == ROW_DELETE && row->source.size > 0)
        return false;
    if (row->op != ROW_DELETE && (row->proof == ROW_NEGATIVE || row->content == 0))
        return false;
    return numbers_valid(row->term, row->seq_no, row->proof == ROW_NEGATIVE ? -1 : 0);
}

static bool metadata_valid(const struct metadata *metadata) /* R9 */
{
    return metadata->type.size > 0 && metadata->name.size > 0 &&
           !(metadata->gone && metadata->body.size > 0);
}

static bool hello_valid(const struct hello *hello) /* R11 */
{
    uint64_t before = 0;

    if (hello->base_count > COUNT_OF(hello->bases))
        return false;
    for (size_t i = 0; i < hello->base_count; i++) {
        if (hello->bases[i].timeline <= before)
            return false;
        before = hello->bases[i].timeline;
    }
    return true;
}

static bool range_valid(const struct seq_range *range) /* R12 */
{
    return range->after >= -1 && range->after <= range->up_to && range->up_to < SEQ_NO_LIMIT;
}

struct seq_range swept_range(const struct swept *swept, size_t at)
{
    CHECK(at < swept->count && (at + 1) * RANGE_SIZE <= swept->ranges.size);
    const char *bytes = swept->ranges.data + at * RANGE_SIZE;
    return (struct seq_range){.incarnation = get_u32le(bytes),
                              .shard = get_u32le(bytes + 4),
                              .after = (int64_t)get_u64le(bytes + 8),
                              .up_to = (int64_t)get_u64le(bytes + 16)};
}

static bool swept_valid(const struct swept *swept)
{
    if (swept->ranges.size != swept->count * RANGE_SIZE)
        return false;
    for (size_t i = 0; i < swept->count; i++) {
        struct seq_range range = swept_range(swept, i);
        if (!range_valid(&range))
            return false;
    }
    return true;
}

static bool header_valid(const struct record_header *header) /* R4 */
{
    return header->boot >= 1 && header->seq >= 1 && header->timeline >= 1 && header->parts >= 1 &&
           header->part < header->parts;
}

/* ------------------------------------------------------------------------------------------------------
 * Encoding. */

static void field_encode(struct buffer *out, enum row_field tag, struct span value)
{
    if (value.data == NULL)
        return; /* absent; present and empty is something else */
    buffer_append_u16(out, (uint16_t)tag);
    buffer_append_u32(out, size_u32(value));
    buffer_append_span(out, value);
}

static void row_encode(struct buffer *out, const struct row *row)
{
    struct span routing = row->routed ? row->routing : SPAN_NONE;
    char *at;

    CHECK(row_known(row) && row_valid(row));
    at = buffer_reserve(out, ROW_SIZE + row->id.size + routing.size + row->source.size);
    at[0] = (char)row->op;
    at[1] = (char)row->proof;
    at[2] = (char)row->content;
    at[3] = (char)((row->routed ? ROW_ROUTED : 0) | (row->copy_failed ? ROW_COPY_FAILED : 0));
    put_u32le(at + 4, row->incarnation);
    put_u32le(at + 8, row->shard);
    put_u32le(at + 12, size_u32(row->id));
    put_u64le(at + 16, row->term);
    put_u64le(at + 24, (uint64_t)row->seq_no);
    put_u64le(at + 32, (uint64_t)row->version);
    put_u32le(at + 40, size_u32(routing));
    put_u32le(at + 44, size_u32(row->source));
    out->size += ROW_SIZE;
    buffer_append_span(out, row->id);
    buffer_append_span(out, routing);
    buffer_append_span(out, row->source);
    field_encode(out, ROW_FIELD_TYPE, row->type);
    field_encode(out, ROW_FIELD_DYNAMIC_TEMPLATES, row->dynamic_templates);
}

static void answered_encode(struct buffer *out, const struct answered *answered)
{
    CHECK(numbers_valid(answered->term, answered->seq_no, 0));
    buffer_append_u32(out, answered->incarnation);
    buffer_append_u32(out, answered->shard);
    buffer_append_u64(out, answered->term);
    buffer_append_u64(out, (uint64_t)answered->seq_no);
}

static void metadata_encode(struct buffer *out, const struct metadata *metadata)
{
    CHECK(metadata_valid(metadata) && metadata->type.size <= UINT8_MAX);
    buffer_append_u64(out, metadata->state_version);
    buffer_append_u64(out, metadata->high_term);
    buffer_append_u32(out, metadata->incarnation);
    buffer_append_u8(out, metadata->gone ? METADATA_GONE : 0);
    buffer_append_u8(out, (uint8_t)metadata->type.size);
    buffer_append_u16(out, size_u16(metadata->name));
    buffer_append_u32(out, size_u32(metadata->body));
    buffer_append_span(out, metadata->type);
    buffer_append_span(out, metadata->name);
    buffer_append_span(out, metadata->body);
}

static void mark_encode(struct buffer *out, const struct mark *mark)
{
    CHECK(mark->number >= 1);
    buffer_append_u64(out, mark->number);
    buffer_append_u64(out, mark->high_term);
}

static void hello_encode(struct buffer *out, const struct hello *hello)
{
    CHECK(hello_valid(hello));
    buffer_append_u64(out, hello->high_term);
    buffer_append_u16(out, (uint16_t)hello->base_count);
    buffer_append_u16(out, size_u16(hello->system_id));
    buffer_append_u16(out, size_u16(hello->cluster));
    buffer_append_u16(out, size_u16(hello->cluster_uuid));
    for (size_t i = 0; i < hello->base_count; i++) {
        buffer_append_u64(out, hello->bases[i].timeline);
        buffer_append_u64(out, hello->bases[i].base);
    }
    buffer_append_span(out, hello->system_id);
    buffer_append_span(out, hello->cluster);
    buffer_append_span(out, hello->cluster_uuid);
}

void swept_append(struct buffer *ranges, const struct seq_range *range)
{
    CHECK(range_valid(range));
    buffer_append_u32(ranges, range->incarnation);
    buffer_append_u32(ranges, range->shard);
    buffer_append_u64(ranges, (uint64_t)range->after);
    buffer_append_u64(ranges, (uint64_t)range->up_to);
}

static void swept_encode(struct buffer *out, const struct swept *swept)
{
    CHECK(swept_valid(swept) && swept->count <= UINT32_MAX);
    buffer_append_u64(out, swept->operations);
    buffer_append_u64(out, swept->unnamed);
    buffer_append_u32(out, (uint32_t)swept->count);
    buffer_append_span(out, swept->ranges);
}

static void header_encode(char *at, const struct record_header *header)
{
    CHECK(header_valid(header));
    memcpy(at + AT_MAGIC, record_magic, sizeof record_magic);
    put_u16le(at + AT_VERSION, FORMAT_VERSION);
    put_u16le(at + AT_KIND, (uint16_t)header->kind);
    memcpy(at + AT_JOURNAL, header->journal.bytes, sizeof header->journal.bytes);
    put_u64le(at + AT_BOOT, header->boot);
    put_u64le(at + AT_SEQ, header->seq);
    put_u64le(at + AT_TIMELINE, header->timeline);
    put_u64le(at + AT_TIME, header->time_us);
    put_u16le(at + AT_PART, header->part);
    put_u16le(at + AT_PARTS, header->parts);
    put_u32le(at + AT_FLAGS, 0);
}

void record_encode(struct buffer *out, const struct record *record)
{
    size_t start = out->size;

    header_encode(buffer_reserve(out, HEADER_SIZE), &record->header);
    out->size += HEADER_SIZE;
    switch (record->header.kind) {
    case RECORD_ROW:
        row_encode(out, &record->row);
        break;
    case RECORD_ANSWERED:
        answered_encode(out, &record->answered);
        break;
    case RECORD_METADATA:
        metadata_encode(out, &record->metadata);
        break;
    case RECORD_MARK:
        mark_encode(out, &record->mark);
        break;
    case RECORD_HELLO:
        hello_encode(out, &record->hello);
        break;
    case RECORD_SWEPT:
        swept_encode(out, &record->swept);
        break;
    case RECORD_FENCE:
    case RECORD_ROLE:
    default:
        CHECK(!"a kind of record that this version does not write");
    }
    seal(out, start);
}

/* ------------------------------------------------------------------------------------------------------
 * Decoding. Each takes the content, and has read it to its end when it returns OK. */

/* The optional fields until the end of READER. */
static enum status fields_decode(struct reader *reader, struct row *row)
{
    uint32_t before = 0;

    while (reader->ok && reader->at < reader->end) {
        uint32_t tag = reader_u16(reader);
        struct span value = reader_take(reader, reader_u32(reader));
        if (!reader->ok || tag <= before)
            return STATUS_RECORD_TORN;
        before = tag;
        if (tag == ROW_FIELD_TYPE)
            row->type = value;
        else if (tag == ROW_FIELD_DYNAMIC_TEMPLATES)
            row->dynamic_templates = value;
        else if (tag < TAG_OPTIONAL)
            return STATUS_RECORD_UNKNOWN;
    }
    return reader->ok ? STATUS_OK : STATUS_RECORD_TORN;
}

static enum status row_decode(struct reader *reader, struct row *row)
{
    row->op = reader_u8(reader);
    row->proof = reader_u8(reader);
    row->content = reader_u8(reader);
    unsigned bits = reader_u8(reader);
    row->incarnation = reader_u32(reader);
    row->shard = reader_u32(reader);
    size_t id_size = reader_u32(reader);
    row->term = reader_u64(reader);
    row->seq_no = (int64_t)reader_u64(reader);
    row->version = (int64_t)reader_u64(reader);
    size_t routing_size = reader_u32(reader);
    size_t source_size = reader_u32(reader);
    row->id = reader_take(reader, id_size);
    row->routing = reader_take(reader, routing_size);
    row->source = reader_take(reader, source_size);
    row->routed = (bits & ROW_ROUTED) != 0;
    row->copy_failed = (bits & ROW_COPY_FAILED) != 0;
    row->type = row->dynamic_templates = SPAN_NONE;
    if (!reader->ok || (!row->routed && routing_size > 0))
        return STATUS_RECORD_TORN;
    if (bits > (ROW_ROUTED | ROW_COPY_FAILED) || !row_known(row))
        return STATUS_RECORD_UNKNOWN;
    if (!row_valid(row))
        return STATUS_RECORD_TORN;
    return fields_decode(reader, row);
}

static enum status answered_decode(struct reader *reader, struct answered *answered)
{
    answered->incarnation = reader_u32(reader);
    answered->shard = reader_u32(reader);
    answered->term = reader_u64(reader);
    answered->seq_no = (int64_t)reader_u64(reader);
    return numbers_valid(answered->term, answered->seq_no, 0) ? STATUS_OK : STATUS_RECORD_TORN;
}

static enum status metadata_decode(struct reader *reader, struct metadata *metadata)
{
    metadata->state_version = reader_u64(reader);
    metadata->high_term = reader_u64(reader);
    metadata->incarnation = reader_u32(reader);
    unsigned bits = reader_u8(reader);
    size_t type_size = reader_u8(reader);
    size_t name_size = reader_u16(reader);
    size_t body_size = reader_u32(reader);
    metadata->type = reader_take(reader, type_size);
    metadata->name = reader_take(reader, name_size);
    metadata->body = reader_take(reader, body_size);
    metadata->gone = (bits & METADATA_GONE) != 0;
    if (!reader->ok)
        return STATUS_RECORD_TORN;
    if (bits > METADATA_GONE)
        return STATUS_RECORD_UNKNOWN;
    return metadata_valid(metadata) ? STATUS_OK : STATUS_RECORD_TORN;
}

static enum status mark_decode(struct reader *reader, struct mark *mark)
{
    mark->number = reader_u64(reader);
    mark->high_term = reader_u64(reader);
    return mark->number >= 1 ? STATUS_OK : STATUS_RECORD_TORN;
}

static enum status hello_decode(struct reader *reader, struct hello *hello)
{
    hello->high_term = reader_u64(reader);
    hello->base_count = reader_u16(reader);
    size_t system_size = reader_u16(reader);
    size_t cluster_size = reader_u16(reader);
    size_t uuid_size = reader_u16(reader);
    if (hello->base_count > COUNT_OF(hello->bases))
        return STATUS_RECORD_TORN;
    for (size_t i = 0; i < hello->base_count; i++) {
        hello->bases[i].timeline = reader_u64(reader);
        hello->bases[i].base = reader_u64(reader);
    }
    hello->system_id = reader_take(reader, system_size);
    hello->cluster = reader_take(reader, cluster_size);
    hello->cluster_uuid = reader_take(reader, uuid_size);
    return hello_valid(hello) ? STATUS_OK : STATUS_RECORD_TORN;
}

static enum status swept_decode(struct reader *reader, struct swept *swept)
{
    swept->operations = reader_u64(reader);
    swept->unnamed = reader_u64(reader);
    swept->count = reader_u32(reader);
    swept->ranges = reader_take(reader, swept->count * RANGE_SIZE);
    return reader->ok && swept_valid(swept) ? STATUS_OK : STATUS_RECORD_TORN;
}

static enum status content_decode(struct reader *reader, struct record *record)
{
    switch (record->header.kind) {
    case RECORD_ROW:
        return row_decode(reader, &record->row);
    case RECORD_ANSWERED:
        return answered_decode(reader, &record->answered);
    case RECORD_METADATA:
        return metadata_decode(reader, &record->metadata);
    case RECORD_MARK:
        return mark_decode(reader, &record->mark);
    case RECORD_HELLO:
        return hello_decode(reader, &record->hello);
    case RECORD_SWEPT:
        return swept_decode(reader, &record->swept);
    case RECORD_FENCE:
    case RECORD_ROLE:
    default:
        return STATUS_RECORD_UNKNOWN; /* R3 */
    }
}

static void header_decode(const char *at, struct record_header *header)
{
    *header = (struct record_header){
        .kind = get_u16le(at + AT_KIND),
        .boot = get_u64le(at + AT_BOOT),
        .seq = get_u64le(at + AT_SEQ),
        .timeline = get_u64le(at + AT_TIMELINE),
        .time_us = get_u64le(at + AT_TIME),
        .part = get_u16le(at + AT_PART),
        .parts = get_u16le(at + AT_PARTS),
    };
    memcpy(header->journal.bytes, at + AT_JOURNAL, sizeof header->journal.bytes);
}

size_t record_peek(struct span bytes, struct record_header *header)
{
    if (bytes.size < HEADER_SIZE || memcmp(bytes.data, record_magic, sizeof record_magic) != 0)
        return 0;
    size_t size = get_u32le(bytes.data + AT_LENGTH);
    if (size < HEADER_SIZE || size > bytes.size)
        return 0;
    if (header != NULL)
        header_decode(bytes.data, header);
    return size;
}

enum status record_decode(struct span bytes, struct record *record, size_t *used)
{
    size_t size = unseal(bytes, record_magic, HEADER_SIZE);
    struct reader reader;
    enum status status;

    *used = 0;
    memset(record, 0, sizeof *record);
    if (size == 0)
        return STATUS_RECORD_TORN;
    if (get_u16le(bytes.data + AT_VERSION) != FORMAT_VERSION ||
        get_u32le(bytes.data + AT_FLAGS) != 0)
        return STATUS_RECORD_UNKNOWN;
    header_decode(bytes.data, &record->header);
    reader = reader_of(span_of(bytes.data + HEADER_SIZE, size - HEADER_SIZE));
    status = content_decode(&reader, record);
    if (status != STATUS_OK)
        return status;
    if (!header_valid(&record->header) || !reader.ok || reader.at != reader.end)
        return STATUS_RECORD_TORN; /* R4, R5 */
    *used = size;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------
 * Intents. */

static bool same_target(const struct intent_item *a, const struct intent_item *b)
{
    return a->incarnation == b->incarnation && span_equal(a->name, b->name) &&
           span_equal(a->concrete, b->concrete);
}

static void item_encode(struct buffer *out, const struct intent_item *item,
                        const struct intent_item *before)
{
    bool same = before != NULL && same_target(item, before);

    CHECK(item->op >= INTENT_INDEX && item->op <= INTENT_DELETE);
    buffer_append_u8(out, (uint8_t)item->op);
    buffer_append_u8(out, (item->routed ? ITEM_ROUTED : 0) | (same ? ITEM_SAME_TARGET : 0));
    buffer_append_u32(out, size_u32(item->id));
    if (item->routed)
        buffer_append_u32(out, size_u32(item->routing));
    if (!same) {
        buffer_append_u32(out, item->incarnation);
        buffer_append_u32(out, size_u32(item->name));
        buffer_append_u32(out, size_u32(item->concrete));
    }
    buffer_append_span(out, item->id);
    if (item->routed)
        buffer_append_span(out, item->routing);
    if (!same) {
        buffer_append_span(out, item->name);
        buffer_append_span(out, item->concrete);
    }
}

void intent_encode(struct buffer *out, const struct intent *intent)
{
    size_t start = out->size;
    char *at = buffer_reserve(out, INTENT_SIZE);

    CHECK(intent->number >= 1 && intent->item_count <= UINT32_MAX);
    memcpy(at + AT_MAGIC, intent_magic, sizeof intent_magic);
    put_u16le(at + AT_VERSION, FORMAT_VERSION);
    put_u16le(at + AT_INTENT_FLAGS, 0);
    put_u64le(at + AT_INTENT_NUMBER, intent->number);
    put_u64le(at + AT_INTENT_BOOT, intent->boot);
    put_u64le(at + AT_INTENT_TIME, intent->time_us);
    put_u64le(at + AT_INTENT_STATE, intent->state_version);
    put_u32le(at + AT_INTENT_COUNT, (uint32_t)intent->item_count);
    out->size += INTENT_SIZE;
    for (size_t i = 0; i < intent->item_count; i++)
        item_encode(out, &intent->items[i], i == 0 ? NULL : &intent->items[i - 1]);
    seal(out, start);
}

static enum status item_decode(struct reader *reader, struct intent_item *item,
                               const struct intent_item *before)
{
    size_t routing_size = 0, name_size = 0, concrete_size = 0;

    item->op = reader_u8(reader);
    unsigned bits = reader_u8(reader);
    bool same = (bits & ITEM_SAME_TARGET) != 0;
    size_t id_size = reader_u32(reader);
    item->routed = (bits & ITEM_ROUTED) != 0;
    if (item->routed)
        routing_size = reader_u32(reader);
    if (!same) {
        item->incarnation = reader_u32(reader);
        name_size = reader_u32(reader);
        concrete_size = reader_u32(reader);
    }
    item->id = reader_take(reader, id_size);
    item->routing = reader_take(reader, routing_size);
    item->name = reader_take(reader, name_size);
    item->concrete = reader_take(reader, concrete_size);
    if (!reader->ok || (same && before == NULL))
        return STATUS_RECORD_TORN;
    if (bits > (ITEM_ROUTED | ITEM_SAME_TARGET) || item->op < INTENT_INDEX ||
        item->op > INTENT_DELETE)
        return STATUS_RECORD_UNKNOWN;
    if (same) {
        item->incarnation = before->incarnation;
        item->name = before->name;
        item->concrete = before->concrete;
    }
    return STATUS_OK;
}

enum status intent_decode(struct span bytes, struct intent *intent)
{
    size_t size = unseal(bytes, intent_magic, INTENT_SIZE);
    const char *at = bytes.data;
    struct reader reader;
    enum status status = STATUS_OK;

    *intent = (struct intent){0};
    if (size == 0 || size != bytes.size)
        return STATUS_RECORD_TORN;
    if (get_u16le(at + AT_VERSION) != FORMAT_VERSION || get_u16le(at + AT_INTENT_FLAGS) != 0)
        return STATUS_RECORD_UNKNOWN;
    intent->number = get_u64le(at + AT_INTENT_NUMBER);
    intent->boot = get_u64le(at + AT_INTENT_BOOT);
    intent->time_us = get_u64le(at + AT_INTENT_TIME);
    intent->state_version = get_u64le(at + AT_INTENT_STATE);
    size_t count = get_u32le(at + AT_INTENT_COUNT);
    /* The count decides what is allocated: it must not promise more than the bytes could hold. */
    if (intent->number < 1 || count > (size - INTENT_SIZE) / ITEM_SIZE_MIN)
        return STATUS_RECORD_TORN;
    if (count > 0)
        intent->items = bytes_zalloc(count * sizeof *intent->items);
    reader = reader_of(span_of(at + INTENT_SIZE, size - INTENT_SIZE));
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = item_decode(&reader, &intent->items[i], i == 0 ? NULL : &intent->items[i - 1]);
        intent->item_count = i + 1;
    }
    if (status == STATUS_OK && reader.at != reader.end)
        status = STATUS_RECORD_TORN;
    if (status != STATUS_OK)
        intent_fini(intent);
    return status;
}

void intent_fini(struct intent *intent)
{
    free(intent->items);
    *intent = (struct intent){0};
}

/* ------------------------------------------------------------------------------------------------------
 * Numbers and names. */

int64_t record_version(uint64_t base, uint64_t term, int64_t seq_no)
{
    CHECK(seq_no >= -1 && seq_no < SEQ_NO_LIMIT && base < TERM_LIMIT && term < TERM_LIMIT);
    CHECK(base + term >= 1 && base + term < TERM_LIMIT);
    return (int64_t)(base + term) * SEQ_NO_LIMIT +
           seq_no; /* -1: just below the shard's first operation */
}

int numbers_compare(uint64_t term_a, int64_t seq_no_a, uint64_t term_b, int64_t seq_no_b)
{
    if (term_a != term_b)
        return term_a < term_b ? -1 : 1;
    if (seq_no_a != seq_no_b)
        return seq_no_a < seq_no_b ? -1 : 1;
    return 0;
}

void journal_id_text(const struct journal_id *id, char text[33])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < sizeof id->bytes; i++) {
        text[2 * i] = digits[id->bytes[i] >> 4];
        text[2 * i + 1] = digits[id->bytes[i] & 15];
    }
    text[32] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool journal_id_parse(struct span text, struct journal_id *id)
{
    if (text.size != 2 * sizeof id->bytes)
        return false;
    for (size_t i = 0; i < sizeof id->bytes; i++) {
        int high = hex_value(text.data[2 * i]), low = hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

const char *record_kind_name(enum record_kind kind)
{
    static const char *const names[] = {
        [RECORD_ROW] = "row",   [RECORD_ANSWERED] = "answered", [RECORD_METADATA] = "metadata",
        [RECORD_MARK] = "mark", [RECORD_HELLO] = "hello",       [RECORD_FENCE] = "fence",
        [RECORD_ROLE] = "role", [RECORD_SWEPT] = "swept",
    };

    return (size_t)kind < COUNT_OF(names) && names[kind] != NULL ? names[kind] : "unknown";
}

const char *row_proof_name(enum row_proof proof)
{
    static const char *const names[] = {
        [ROW_ANSWERED] = "answered",
        [ROW_PROBED] = "probed",
        [ROW_NEGATIVE] = "negative",
    };

    return (size_t)proof < COUNT_OF(names) && names[proof] != NULL ? names[proof] : "unknown";
}
