/* journal_memory.c - the promises kept by a model disk, for the simulation and for tests.
 *
 * A disk holds what was committed, a transaction only a list of what it will do; commit does it all
 * at once. So what was not committed cannot be seen and is gone with the handle: that is a crash.
 * What must hold:
 *   - Nothing of a transaction is on the disk before its commit, nor after a commit that failed.
 *   - A disk has one writer at a time; it outlives its journals.
 * Simulations open thousands of these a second, each for a few dozen records: nothing is allocated
 * before it is needed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <pthread.h>
#include <stdatomic.h>

#include "journal/journal_ops.h"

#define SIZE_MAX_MODEL                                                                             \
    (1ull << 40) /* a model disk does not fill up by itself: see memory_disk_fail */

struct entry {
    char *bytes; /* owned: the key, then the value */
    size_t key_size, value_size;
};

struct table {
    struct entry *entries; /* owned, ascending by key */
    size_t count, capacity;
};

struct memory_disk {
    pthread_mutex_t lock; /* of all below */
    struct journal_id id;
    uint64_t boot;
    uint64_t first_seq, last_seq; /* kept records; first is last + 1 when there are none */
    struct buffer records;        /* kept records back to back */
    size_t *ends;                 /* of record first_seq + i: where it ends in records */
    size_t end_capacity;
    struct table tables[JOURNAL_TABLES];
    struct journal *writer; /* borrowed; NULL when none has it open */
    enum status fail_status;
    unsigned fail_count;
};

struct memory_journal {
    struct journal base;
    struct memory_disk *disk; /* borrowed */
    bool broken;              /* the disk failed: nothing more is written through this handle */
};

struct memory_txn {
    struct journal_txn base;
    struct buffer changes; /* owned: put or delete (1), table (1), sizes of key and value (8, 8),
                              key, value */
};

static struct memory_disk *disk_of(struct journal *journal)
{
    return ((struct memory_journal *)journal)->disk;
}

/* ------------------------------------------------------------------------------------------------------
 * Tables. */

static struct span entry_key(const struct entry *entry)
{
    return span_of(entry->bytes, entry->key_size);
}

static struct span entry_value(const struct entry *entry)
{
    return span_of(entry->bytes + entry->key_size, entry->value_size);
}

/* Index of the first entry whose key is not below KEY. */
static size_t table_find(const struct table *table, struct span key)
{
    size_t low = 0, high = table->count;

    /* Intents come in ascending order: look behind the last one first. */
    if (high > 0 && span_compare(entry_key(&table->entries[high - 1]), key) < 0)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (span_compare(entry_key(&table->entries[middle]), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool table_has(const struct table *table, size_t at, struct span key)
{
    return at < table->count && span_equal(entry_key(&table->entries[at]), key);
}

static void table_put(struct table *table, struct span key, struct span value)
{
    size_t at = table_find(table, key);
    struct entry *entry;

    if (!table_has(table, at, key)) {
        if (table->count == table->capacity) {
            table->capacity = table->capacity == 0 ? 16 : 2 * table->capacity;
            table->entries =
                bytes_realloc(table->entries, table->capacity * sizeof *table->entries);
        }
        memmove(&table->entries[at + 1], &table->entries[at],
                (table->count - at) * sizeof *table->entries);
        table->count++;
        table->entries[at].bytes = NULL;
    }
    entry = &table->entries[at];
    free(entry->bytes);
    entry->bytes = bytes_alloc(key.size + value.size);
    entry->key_size = key.size;
    entry->value_size = value.size;
    memcpy(entry->bytes, key.data, key.size);
    if (value.size > 0)
        memcpy(entry->bytes + key.size, value.data, value.size);
}

static void table_remove(struct table *table, struct span key)
{
    size_t at = table_find(table, key);

    if (!table_has(table, at, key))
        return;
    free(table->entries[at].bytes);
    table->count--;
    memmove(&table->entries[at], &table->entries[at + 1],
            (table->count - at) * sizeof *table->entries);
}

/* ------------------------------------------------------------------------------------------------------
 * The disk. */

struct memory_disk *memory_disk_new(void)
{
    static _Atomic uint64_t made;
    struct memory_disk *disk = bytes_zalloc(sizeof *disk);

    pthread_mutex_init(&disk->lock, NULL);
    put_u64be(disk->id.bytes + 8, atomic_fetch_add(&made, 1) + 1);
    disk->first_seq = 1;
    return disk;
}

void memory_disk_free(struct memory_disk *disk)
{
    if (disk == NULL)
        return;
    CHECK(disk->writer == NULL);
    for (size_t t = 0; t < JOURNAL_TABLES; t++) {
        for (size_t i = 0; i < disk->tables[t].count; i++)
            free(disk->tables[t].entries[i].bytes);
        free(disk->tables[t].entries);
    }
    buffer_fini(&disk->records);
    free(disk->ends);
    pthread_mutex_destroy(&disk->lock);
    free(disk);
}

void memory_disk_identify(struct memory_disk *disk, const struct journal_id *id)
{
    CHECK(disk->boot == 0); /* the id is part of every record */
    disk->id = *id;
}

void memory_disk_fail(struct memory_disk *disk, enum status status, unsigned count)
{
    pthread_mutex_lock(&disk->lock);
    disk->fail_status = status;
    disk->fail_count = count;
    pthread_mutex_unlock(&disk->lock);
}

static size_t record_start(const struct memory_disk *disk, size_t index)
{
    return index == 0 ? 0 : disk->ends[index - 1];
}

static void disk_append(struct memory_disk *disk, struct span bytes, uint64_t count)
{
    size_t kept = disk->last_seq + 1 - disk->first_seq;
    size_t end = disk->records.size;

    if (kept + count > disk->end_capacity) {
        disk->end_capacity = 2 * (kept + count);
        disk->ends = bytes_realloc(disk->ends, disk->end_capacity * sizeof *disk->ends);
    }
    buffer_append_span(&disk->records, bytes);
    for (uint64_t i = 0; i < count; i++) {
        size_t size =
            record_peek(span_of(disk->records.data + end, disk->records.size - end), NULL);
        CHECK(size > 0);
        end += size;
        disk->ends[kept + i] = end;
    }
    CHECK(end == disk->records.size);
    disk->last_seq += count;
}

/* ------------------------------------------------------------------------------------------------------
 * Writing. */

static enum status memory_begin(struct journal_txn *txn)
{
    if (((struct memory_journal *)txn->journal)->broken)
        return STATUS_JOURNAL_IO;
    return STATUS_OK;
}

static enum status memory_room(struct journal_txn *txn)
{
    (void)txn;
    return STATUS_OK;
}

static void change_add(struct journal_txn *txn, bool put, enum journal_table table, struct span key,
                       struct span value)
{
    struct buffer *changes = &((struct memory_txn *)txn)->changes;

    buffer_append_u8(changes, put);
    buffer_append_u8(changes, (uint8_t)table);
    buffer_append_u64(changes, key.size);
    buffer_append_u64(changes, value.size);
    buffer_append_span(changes, key);
    buffer_append_span(changes, value);
}

static enum status memory_put(struct journal_txn *txn, enum journal_table table, struct span key,
                              struct span value)
{
    change_add(txn, true, table, key, value);
    return STATUS_OK;
}

static enum status memory_remove(struct journal_txn *txn, enum journal_table table, struct span key)
{
    change_add(txn, false, table, key, SPAN_NONE);
    return STATUS_OK;
}

static void memory_abort(struct journal_txn *txn)
{
    buffer_fini(&((struct memory_txn *)txn)->changes);
}

static void changes_apply(struct memory_disk *disk, struct span changes)
{
    struct reader reader = reader_of(changes);

    while (reader.at < reader.end) {
        bool put = reader_u8(&reader) != 0;
        struct table *table = &disk->tables[reader_u8(&reader)];
        size_t key_size = reader_u64(&reader), value_size = reader_u64(&reader);
        struct span key = reader_take(&reader, key_size);
        struct span value = reader_take(&reader, value_size);
        CHECK(reader.ok);
        if (put)
            table_put(table, key, value);
        else
            table_remove(table, key);
    }
}

static enum status memory_commit(struct journal_txn *txn)
{
    struct memory_journal *mj = (struct memory_journal *)txn->journal;
    struct memory_disk *disk = mj->disk;
    enum status status = STATUS_OK;

    pthread_mutex_lock(&disk->lock);
    if (disk->fail_count > 0) {
        disk->fail_count--;
        status = journal_fail(&mj->base, disk->fail_status, "the model disk was told to fail");
        mj->broken = status != STATUS_JOURNAL_FULL;
    } else {
        disk_append(disk, buffer_span(&txn->bytes), txn->count);
        changes_apply(disk, buffer_span(&((struct memory_txn *)txn)->changes));
        mj->base.last_seq = disk->last_seq;
    }
    pthread_mutex_unlock(&disk->lock);
    memory_abort(txn);
    return status;
}

static enum status memory_trim(struct journal *journal, uint64_t keep_from, uint64_t max,
                               uint64_t *trimmed)
{
    struct memory_disk *disk = disk_of(journal);

    pthread_mutex_lock(&disk->lock);
    size_t kept = disk->last_seq + 1 - disk->first_seq, count = 0;
    while (count < kept && count < max && disk->first_seq + count < keep_from)
        count++;
    if (count > 0) {
        size_t bytes = disk->ends[count - 1];
        buffer_consume(&disk->records, bytes);
        memmove(disk->ends, disk->ends + count, (kept - count) * sizeof *disk->ends);
        for (size_t i = 0; i < kept - count; i++)
            disk->ends[i] -= bytes;
        disk->first_seq += count;
    }
    pthread_mutex_unlock(&disk->lock);
    *trimmed = count;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------
 * Reading. */

static enum status memory_read(struct journal *journal, uint64_t from, size_t max_records,
                               size_t max_bytes, struct buffer *out, size_t *count)
{
    struct memory_disk *disk = disk_of(journal);
    enum status status = STATUS_OK;

    pthread_mutex_lock(&disk->lock);
    if (from > disk->last_seq + 1) {
        status = STATUS_JOURNAL_BROKEN;
    } else if (from < disk->first_seq) {
        status = STATUS_NOT_FOUND;
    } else if (from <= disk->last_seq) {
        size_t first = from - disk->first_seq, kept = disk->last_seq + 1 - disk->first_seq;
        size_t start = record_start(disk, first), next = first;
        while (next < kept && next - first < max_records &&
               (next == first || disk->ends[next] - start <= max_bytes))
            next++;
        buffer_append(out, disk->records.data + start, record_start(disk, next) - start);
        *count = next - first;
    }
    pthread_mutex_unlock(&disk->lock);
    return status;
}

static enum status memory_get(struct journal *journal, enum journal_table which, struct span key,
                              struct buffer *value)
{
    struct memory_disk *disk = disk_of(journal);
    struct table *table = &disk->tables[which];
    enum status status = STATUS_NOT_FOUND;

    pthread_mutex_lock(&disk->lock);
    size_t at = table_find(table, key);
    if (table_has(table, at, key)) {
        buffer_append_span(value, entry_value(&table->entries[at]));
        status = STATUS_OK;
    }
    pthread_mutex_unlock(&disk->lock);
    return status;
}

static enum status memory_scan(struct journal *journal, enum journal_table which, struct span from,
                               journal_each_fn each, void *arg)
{
    struct memory_disk *disk = disk_of(journal);
    struct table *table = &disk->tables[which];

    pthread_mutex_lock(&disk->lock);
    for (size_t i = table_find(table, from); i < table->count; i++) {
        if (!each(arg, entry_key(&table->entries[i]), entry_value(&table->entries[i])))
            break;
    }
    pthread_mutex_unlock(&disk->lock);
    return STATUS_OK;
}

static void memory_info(struct journal *journal, struct journal_info *info)
{
    struct memory_disk *disk = disk_of(journal);
    struct record_header header = {0};

    pthread_mutex_lock(&disk->lock);
    (void)record_peek(buffer_span(&disk->records), &header);
    *info = (struct journal_info){
        .id = disk->id,
        .boot = disk->boot,
        .first_seq = disk->first_seq,
        .last_seq = disk->last_seq,
        .used_bytes = disk->records.size,
        .size_max = SIZE_MAX_MODEL,
        .append_max = SIZE_MAX_MODEL,
        .oldest_time_us = header.time_us,
    };
    pthread_mutex_unlock(&disk->lock);
}

static unsigned memory_reader_check(struct journal *journal)
{
    (void)journal;
    return 0;
}

static void memory_close(struct journal *journal)
{
    struct memory_disk *disk = disk_of(journal);

    pthread_mutex_lock(&disk->lock);
    if (disk->writer == journal)
        disk->writer = NULL;
    pthread_mutex_unlock(&disk->lock);
    free(journal);
}

static const struct journal_ops memory_ops = {
    .close = memory_close,
    .info = memory_info,
    .reader_check = memory_reader_check,
    .begin = memory_begin,
    .room = memory_room,
    .put = memory_put,
    .remove = memory_remove,
    .commit = memory_commit,
    .abort = memory_abort,
    .trim = memory_trim,
    .read = memory_read,
    .get = memory_get,
    .scan = memory_scan,
    .txn_size = sizeof(struct memory_txn),
};

enum status journal_open_memory(struct memory_disk *disk, bool read_only, struct journal **journal)
{
    struct memory_journal *mj;

    *journal = NULL;
    pthread_mutex_lock(&disk->lock);
    if (!read_only && disk->writer != NULL) {
        pthread_mutex_unlock(&disk->lock);
        return STATUS_JOURNAL_IN_USE;
    }
    mj = bytes_zalloc(sizeof *mj);
    journal_init(&mj->base, &memory_ops, read_only);
    mj->disk = disk;
    if (!read_only) {
        disk->boot++;
        disk->writer = &mj->base;
    }
    mj->base.id = disk->id;
    mj->base.boot = disk->boot;
    mj->base.last_seq = disk->last_seq;
    pthread_mutex_unlock(&disk->lock);
    *journal = &mj->base;
    return STATUS_OK;
}
