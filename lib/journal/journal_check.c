/* journal_check.c - reads a whole journal and says all that is wrong with it.
 *
 * It holds every record against the numbered conditions of record.c, and the journal against these:
 *   C1  Every record from first_seq to last_seq is there, under its own number.
 *   C2  Every record names this journal; boot and timeline never go down, and boot is not above
 *       the journal's.
 *   C3  Every definition is a metadata record, stored under its type '/' name.
 *   C4  Every intent decodes, and is stored under its own number.
 *   C5  No standby stands beyond last_seq.
 * and asks the implementation for what only it can see. It may run while the writer writes and
 * trims: what was trimmed meanwhile is no finding.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdarg.h>

#include "journal/journal_ops.h"

#define RECORDS_AT_ONCE 256
#define BYTES_AT_ONCE (1u << 20)

struct check {
    struct journal *journal;
    journal_say_fn say;
    void *arg;
    struct journal_info info;
    uint64_t findings;
    uint64_t boot, timeline;        /* of the last good record */
    uint64_t lost_first, lost_last; /* a run of records that cannot be read; first 0: none */
};

static void PRINTF_LIKE(2, 3) finding(struct check *check, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    check->findings++;
    check->say(check->arg, text);
}

/* ------------------------------------------------------------------------------------------------------
 * Records. */

/* Runs of lost records are one finding. */
static void lost_end(struct check *check)
{
    if (check->lost_first != 0 && check->lost_first == check->lost_last)
        finding(check, "record %" PRIu64 " cannot be found.", check->lost_first);
    else if (check->lost_first != 0)
        finding(check, "records %" PRIu64 " to %" PRIu64 " cannot be found.", check->lost_first,
                check->lost_last);
    check->lost_first = 0;
}

static void lost_add(struct check *check, uint64_t seq)
{
    if (check->lost_first == 0)
        check->lost_first = seq;
    check->lost_last = seq;
}

static void check_header(struct check *check, uint64_t seq, const struct record_header *header)
{
    if (header->seq != seq)
        finding(check, "record %" PRIu64 " calls itself %" PRIu64 ".", seq, header->seq);
    if (memcmp(&header->journal, &check->info.id, sizeof header->journal) != 0)
        finding(check, "record %" PRIu64 " belongs to another journal.", seq);
    if (header->boot < check->boot || header->boot > check->info.boot)
        finding(check,
                "record %" PRIu64 " is of boot %" PRIu64 ", between boots %" PRIu64 " and %" PRIu64
                ".",
                seq, header->boot, check->boot, check->info.boot);
    else
        check->boot = header->boot;
    if (header->timeline < check->timeline)
        finding(check, "record %" PRIu64 " is of timeline %" PRIu64 ", after timeline %" PRIu64 ".",
                seq, header->timeline, check->timeline);
    else
        check->timeline = header->timeline;
}

/* Checks the COUNT records in BYTES, which begin with SEQ. */
static void check_batch(struct check *check, uint64_t seq, struct span bytes, size_t count)
{
    struct record record;
    size_t used;

    for (size_t i = 0; i < count; i++, seq++) {
        size_t size = record_peek(bytes, NULL);
        if (size == 0) {
            lost_add(check, seq);
            continue; /* nothing tells where the next one begins */
        }
        enum status status = record_decode(span_of(bytes.data, size), &record, &used);
        if (status == STATUS_OK)
            check_header(check, seq, &record.header);
        else
            finding(check, "record %" PRIu64 ": %s.", seq, status_text(status));
        bytes = span_of(bytes.data + size, bytes.size - size);
    }
}

static void check_records(struct check *check)
{
    struct buffer bytes = {0};
    uint64_t seq = check->info.first_seq;
    size_t count;

    while (seq <= check->info.last_seq) {
        enum status status =
            journal_read(check->journal, seq, RECORDS_AT_ONCE, BYTES_AT_ONCE, &bytes, &count);
        if (status == STATUS_OK && count > 0) {
            lost_end(check);
            check_batch(check, seq, buffer_span(&bytes), count);
            seq += count;
            continue;
        }
        struct journal_info now;
        journal_info(check->journal, &now);
        if (now.first_seq > seq) {
            seq = now.first_seq; /* trimmed meanwhile */
            continue;
        }
        lost_add(check, seq);
        seq++;
    }
    lost_end(check);
    buffer_fini(&bytes);
}

/* ------------------------------------------------------------------------------------------------------
 * Tables. */

static bool check_definition(void *arg, struct span key, struct span value)
{
    struct check *check = arg;
    struct record record;
    struct buffer name = {0};
    size_t used;
    enum status status = record_decode(value, &record, &used);

    if (status != STATUS_OK) {
        finding(check, "definition %.*s: %s.", (int)key.size, key.data, status_text(status));
    } else if (record.header.kind != RECORD_METADATA || used != value.size) {
        finding(check, "definition %.*s is not one metadata record.", (int)key.size, key.data);
    } else {
        buffer_append_span(&name, record.metadata.type);
        buffer_append_char(&name, '/');
        buffer_append_span(&name, record.metadata.name);
        if (!span_equal(buffer_span(&name), key))
            finding(check, "definition %.*s is stored for %.*s.", (int)key.size, key.data,
                    (int)name.size, name.data);
    }
    buffer_fini(&name);
    return true;
}

static bool check_intent(void *arg, struct span key, struct span value)
{
    struct check *check = arg;
    struct intent intent;

    if (key.size != 8) {
        finding(check, "an intent has a key of %zu bytes.", key.size);
        return true;
    }
    uint64_t number = get_u64be(key.data);
    enum status status = intent_decode(value, &intent);
    if (status != STATUS_OK)
        finding(check, "intent %" PRIu64 ": %s.", number, status_text(status));
    else if (intent.number != number)
        finding(check, "intent %" PRIu64 " calls itself %" PRIu64 ".", number, intent.number);
    if (status == STATUS_OK)
        intent_fini(&intent);
    return true;
}

static bool check_standby(void *arg, struct span key, struct span value)
{
    struct check *check = arg;

    if (value.size < 8)
        finding(check, "standby %.*s has no position.", (int)key.size, key.data);
    else if (get_u64le(value.data) > check->info.last_seq)
        finding(check, "standby %.*s stands at %" PRIu64 ", the journal ends at %" PRIu64 ".",
                (int)key.size, key.data, get_u64le(value.data), check->info.last_seq);
    return true;
}

static void check_table(struct check *check, enum journal_table table, journal_each_fn each)
{
    enum status status = journal_scan(check->journal, table, SPAN_NONE, each, check);

    if (status != STATUS_OK)
        finding(check, "table %s: %s.", journal_table_name(table), status_text(status));
}

enum status journal_check(struct journal *journal, void (*say)(void *arg, const char *text),
                          void *arg)
{
    struct check check = {.journal = journal, .say = say, .arg = arg};
    enum status status = STATUS_OK;

    journal_info(journal, &check.info);
    check_records(&check);
    check_table(&check, JOURNAL_DEFINITIONS, check_definition);
    check_table(&check, JOURNAL_INTENTS, check_intent);
    journal_info(journal, &check.info); /* a standby may have come further meanwhile */
    check_table(&check, JOURNAL_STANDBYS, check_standby);
    if (journal->ops->check != NULL)
        status = journal->ops->check(journal, say, arg);
    return check.findings == 0 ? status : STATUS_JOURNAL_BROKEN;
}
