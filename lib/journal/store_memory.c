/* store_memory.c - the store over plain memory, for the simulation: sorted arrays, and an undo list
 * for the open transaction.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "journal/store_impl.h"

struct entry {
    struct buffer key, value;
};

struct memory_table {
    struct entry *entries; /* sorted by key */
    size_t count, capacity;
};

/* How to take back one change: the key's value before it. */
struct undo {
    enum store_table table;
    struct buffer key, value;
    bool existed;
};

struct store_memory {
    struct memory_table tables[STORE_TABLES];
};

struct memory_store {
    struct store store;
    struct store_memory *memory;
    bool open;
    struct undo *undos;
    size_t undo_count, undo_capacity;
};

struct store_memory *store_memory_new(void)
{
    return bytes_zalloc(sizeof(struct store_memory));
}

void store_memory_free(struct store_memory *memory)
{
    for (size_t t = 0; t < STORE_TABLES; t++) {
        for (size_t i = 0; i < memory->tables[t].count; i++) {
            buffer_fini(&memory->tables[t].entries[i].key);
            buffer_fini(&memory->tables[t].entries[i].value);
        }
        free(memory->tables[t].entries);
    }
    free(memory);
}

/* Where KEY is, or would be. */
static size_t find(const struct memory_table *table, struct span key, bool *found)
{
    size_t low = 0, high = table->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = span_compare(buffer_span(&table->entries[middle].key), key);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < table->count && span_equal(buffer_span(&table->entries[low].key), key);
    return low;
}

static void set(struct memory_table *table, struct span key, struct span value)
{
    bool found;
    size_t at = find(table, key, &found);
    if (!found) {
        if (table->count == table->capacity) {
            table->capacity = table->capacity == 0 ? 16 : table->capacity * 2;
            table->entries =
                bytes_realloc(table->entries, table->capacity * sizeof *table->entries);
        }
        memmove(&table->entries[at + 1], &table->entries[at],
                (table->count - at) * sizeof *table->entries);
        table->count++;
        table->entries[at] = (struct entry){0};
        buffer_append_span(&table->entries[at].key, key);
    }
    buffer_clear(&table->entries[at].value);
    buffer_append_span(&table->entries[at].value, value);
}

static void unset(struct memory_table *table, struct span key)
{
    bool found;
    size_t at = find(table, key, &found);
    if (!found)
        return;
    buffer_fini(&table->entries[at].key);
    buffer_fini(&table->entries[at].value);
    table->count--;
    memmove(&table->entries[at], &table->entries[at + 1],
            (table->count - at) * sizeof *table->entries);
}

static void remember(struct memory_store *ms, enum store_table table, struct span key)
{
    bool found;
    size_t at = find(&ms->memory->tables[table], key, &found);
    if (ms->undo_count == ms->undo_capacity) {
        ms->undo_capacity = ms->undo_capacity == 0 ? 16 : ms->undo_capacity * 2;
        ms->undos = bytes_realloc(ms->undos, ms->undo_capacity * sizeof *ms->undos);
    }
    struct undo *undo = &ms->undos[ms->undo_count++];
    *undo = (struct undo){.table = table, .existed = found};
    buffer_append_span(&undo->key, key);
    if (found)
        buffer_append_span(&undo->value, buffer_span(&ms->memory->tables[table].entries[at].value));
}

static void forget_undos(struct memory_store *ms)
{
    for (size_t i = 0; i < ms->undo_count; i++) {
        buffer_fini(&ms->undos[i].key);
        buffer_fini(&ms->undos[i].value);
    }
    ms->undo_count = 0;
    ms->open = false;
}

static enum status memory_begin(struct store *store)
{
    struct memory_store *ms = (struct memory_store *)store;
    CHECK(!ms->open);
    ms->open = true;
    return STATUS_OK;
}

static enum status memory_put(struct store *store, enum store_table table, struct span key,
                              struct span value)
{
    struct memory_store *ms = (struct memory_store *)store;
    CHECK(ms->open);
    remember(ms, table, key);
    set(&ms->memory->tables[table], key, value);
    return STATUS_OK;
}

static enum status memory_delete(struct store *store, enum store_table table, struct span key)
{
    struct memory_store *ms = (struct memory_store *)store;
    CHECK(ms->open);
    remember(ms, table, key);
    unset(&ms->memory->tables[table], key);
    return STATUS_OK;
}

static enum status memory_commit(struct store *store)
{
    forget_undos((struct memory_store *)store);
    return STATUS_OK;
}

static void memory_abort(struct store *store)
{
    struct memory_store *ms = (struct memory_store *)store;
    for (size_t i = ms->undo_count; i > 0; i--) {
        struct undo *undo = &ms->undos[i - 1];
        if (undo->existed)
            set(&ms->memory->tables[undo->table], buffer_span(&undo->key),
                buffer_span(&undo->value));
        else
            unset(&ms->memory->tables[undo->table], buffer_span(&undo->key));
    }
    forget_undos(ms);
}

static enum status memory_get(struct store *store, enum store_table table, struct span key,
                              struct buffer *value)
{
    struct memory_store *ms = (struct memory_store *)store;
    bool found;
    size_t at = find(&ms->memory->tables[table], key, &found);
    if (!found)
        return STATUS_NOT_FOUND;
    buffer_append_span(value, buffer_span(&ms->memory->tables[table].entries[at].value));
    return STATUS_OK;
}

static enum status memory_scan(struct store *store, enum store_table table, struct span from,
                               store_each_fn each, void *arg)
{
    struct memory_table *mt = &((struct memory_store *)store)->memory->tables[table];
    bool found;
    for (size_t i = find(mt, from, &found); i < mt->count; i++)
        if (!each(arg, buffer_span(&mt->entries[i].key), buffer_span(&mt->entries[i].value)))
            break;
    return STATUS_OK;
}

static uint64_t memory_count(struct store *store, enum store_table table)
{
    return ((struct memory_store *)store)->memory->tables[table].count;
}

static unsigned memory_used_percent(struct store *store)
{
    (void)store;
    return 0;
}

static void memory_close(struct store *store)
{
    struct memory_store *ms = (struct memory_store *)store;
    if (ms->open)
        memory_abort(store);
    free(ms->undos);
    free(ms);
}

static const struct store_ops memory_ops = {
    memory_close, memory_begin, memory_put,  memory_delete, memory_commit,
    memory_abort, memory_get,   memory_scan, memory_count,  memory_used_percent};

enum status store_open_memory(struct store_memory *memory, struct store **store)
{
    struct memory_store *ms = bytes_zalloc(sizeof *ms);
    ms->store.ops = &memory_ops;
    ms->memory = memory;
    *store = &ms->store;
    return STATUS_OK;
}
