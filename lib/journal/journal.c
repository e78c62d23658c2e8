/* journal.c - what is the same in every implementation of the journal.
 *
 * Numbers and encodes what is appended, and hands the rest on. What must hold, whatever the
 * implementation:
 *   - Numbers are dense: a number is given out again when, and only when, the transaction that had
 *     it did not commit.
 *   - After its first failure a transaction does nothing more, and its commit fails with that same
 *     status.
 *   - There is one transaction at a time, and none in a journal opened for reading.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "journal/journal.h"

#include <stdarg.h>
#include <time.h>

#include "journal/journal_ops.h"

/* Memory for records above this is given back after the transaction: one large bulk must not cost
 * for ever. */
#define SPARE_SIZE_MAX (4u << 20)

static uint64_t wall_clock_us(void *arg)
{
    struct timespec now;

    (void)arg;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void journal_init(struct journal *journal, const struct journal_ops *ops, bool read_only)
{
    journal->ops = ops;
    journal->clock_us = wall_clock_us;
    journal->read_only = read_only;
}

enum status journal_fail(struct journal *journal, enum status status, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(journal->why, sizeof journal->why, format, args);
    va_end(args);
    return status;
}

const char *journal_table_name(enum journal_table table)
{
    static const char *const names[] = {
        [JOURNAL_INTENTS] = "intents",   [JOURNAL_SWEEPS] = "sweeps",
        [JOURNAL_WATCH] = "watch",       [JOURNAL_DEFINITIONS] = "definitions",
        [JOURNAL_STANDBYS] = "standbys", [JOURNAL_STATE] = "state",
    };
    _Static_assert(COUNT_OF(names) == JOURNAL_TABLES, "a name for each table");

    CHECK(table < JOURNAL_TABLES);
    return names[table];
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    if (journal->txn != NULL)
        journal_abort(journal->txn);
    buffer_fini(&journal->spare);
    journal->ops->close(journal);
}

void journal_info(struct journal *journal, struct journal_info *info)
{
    journal->ops->info(journal, info);
}

const char *journal_why(const struct journal *journal)
{
    return journal->why;
}

void journal_set_clock(struct journal *journal, uint64_t (*clock_us)(void *arg), void *arg)
{
    journal->clock_us = clock_us;
    journal->clock_arg = arg;
}

unsigned journal_reader_check(struct journal *journal)
{
    return journal->ops->reader_check(journal);
}

/* ------------------------------------------------------------------------------------------------------
 * Writing. */

bool journal_disk_has_room(struct journal *journal, uint64_t more)
{
    return journal->ops->disk_room == NULL ||
           journal->ops->disk_room(journal, more) != STATUS_JOURNAL_FULL;
}

enum status journal_begin(struct journal *journal, struct journal_txn **txn_at)
{
    CHECK(!journal->read_only && journal->txn == NULL);

    struct journal_txn *txn = bytes_zalloc(journal->ops->txn_size);
    txn->journal = journal;
    txn->first_seq = journal->last_seq + 1;
    txn->bytes = journal->spare;
    journal->spare = (struct buffer){0};
    buffer_clear(&txn->bytes);
    journal->txn = txn;

    enum status status = journal->ops->begin(txn);
    if (status != STATUS_OK) {
        txn->failed = status;
        journal_abort(txn);
        txn = NULL;
    }
    *txn_at = txn;
    return status;
}

/* Frees TXN, which its implementation has ended. */
static void txn_free(struct journal_txn *txn)
{
    struct journal *journal = txn->journal;

    CHECK(journal->txn == txn);
    if (txn->bytes.capacity > SPARE_SIZE_MAX)
        buffer_fini(&txn->bytes);
    journal->spare = txn->bytes;
    journal->txn = NULL;
    free(txn);
}

enum status journal_append(struct journal_txn *txn, struct record *record, uint64_t *seq)
{
    struct journal *journal = txn->journal;
    struct record_header *header = &record->header;

    *seq = 0;
    if (txn->failed != STATUS_OK)
        return txn->failed;
    header->journal = journal->id;
    header->boot = journal->boot;
    header->seq = txn->first_seq + txn->count;
    header->time_us = journal->clock_us(journal->clock_arg);
    header->part = 0;
    header->parts = 1;
    record_encode(&txn->bytes, record);
    txn->count++;
    txn->failed = journal->ops->room(txn);
    if (txn->failed == STATUS_OK)
        *seq = header->seq;
    return txn->failed;
}

static bool key_fits(struct span key)
{
    return key.size >= 1 && key.size <= JOURNAL_KEY_MAX;
}

enum status journal_put(struct journal_txn *txn, enum journal_table table, struct span key,
                        struct span value)
{
    CHECK(table < JOURNAL_TABLES && key_fits(key)); /* who has longer names shortens them */
    if (txn->failed == STATUS_OK)
        txn->failed = txn->journal->ops->put(txn, table, key, value);
    return txn->failed;
}

enum status journal_delete(struct journal_txn *txn, enum journal_table table, struct span key)
{
    CHECK(table < JOURNAL_TABLES && key_fits(key));
    if (txn->failed == STATUS_OK)
        txn->failed = txn->journal->ops->remove(txn, table, key);
    return txn->failed;
}

enum status journal_commit(struct journal_txn *txn)
{
    enum status status = txn->failed;

    if (status == STATUS_OK)
        status = txn->journal->ops->commit(txn);
    else
        txn->journal->ops->abort(txn);
    txn_free(txn);
    return status;
}

void journal_abort(struct journal_txn *txn)
{
    txn->journal->ops->abort(txn);
    txn_free(txn);
}

enum status journal_trim(struct journal *journal, uint64_t keep_from, uint64_t max,
                         uint64_t *trimmed)
{
    CHECK(!journal->read_only && journal->txn == NULL);
    *trimmed = 0;
    return journal->ops->trim(journal, keep_from, max, trimmed);
}

/* ------------------------------------------------------------------------------------------------------
 * Reading. */

enum status journal_read(struct journal *journal, uint64_t from, size_t max_records,
                         size_t max_bytes, struct buffer *out, size_t *count)
{
    CHECK(from >= 1);
    buffer_clear(out);
    *count = 0;
    return journal->ops->read(journal, from, max_records, max_bytes, out, count);
}

enum status journal_get(struct journal *journal, enum journal_table table, struct span key,
                        struct buffer *value)
{
    CHECK(table < JOURNAL_TABLES && key_fits(key));
    return journal->ops->get(journal, table, key, value);
}

enum status journal_scan(struct journal *journal, enum journal_table table, struct span from,
                         journal_each_fn each, void *arg)
{
    CHECK(table < JOURNAL_TABLES && from.size <= JOURNAL_KEY_MAX);
    return journal->ops->scan(journal, table, from, each, arg);
}
