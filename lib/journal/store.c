/* store.c - a replicator's own small, durable tables: hands calls to the implementation.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "journal/store_impl.h"

void store_close(struct store *store)
{
    if (store != NULL)
        store->ops->close(store);
}

enum status store_begin(struct store *store)
{
    return store->ops->begin(store);
}

enum status store_put(struct store *store, enum store_table table, struct span key,
                      struct span value)
{
    return store->ops->put(store, table, key, value);
}

enum status store_put_number(struct store *store, const char *name, uint64_t value)
{
    char bytes[8];
    put_u64le(bytes, value);
    return store_put(store, STORE_STATE, span_cstr(name), span_of(bytes, sizeof bytes));
}

enum status store_delete(struct store *store, enum store_table table, struct span key)
{
    return store->ops->delete (store, table, key);
}

enum status store_commit(struct store *store)
{
    return store->ops->commit(store);
}

void store_abort(struct store *store)
{
    store->ops->abort(store);
}

enum status store_get(struct store *store, enum store_table table, struct span key,
                      struct buffer *value)
{
    return store->ops->get(store, table, key, value);
}

enum status store_scan(struct store *store, enum store_table table, struct span from,
                       store_each_fn each, void *arg)
{
    return store->ops->scan(store, table, from, each, arg);
}

uint64_t store_count(struct store *store, enum store_table table)
{
    return store->ops->count(store, table);
}

#define NEARLY_FULL_PERCENT 85

bool store_is_nearly_full(struct store *store)
{
    return store->ops->used_percent(store) >= NEARLY_FULL_PERCENT;
}
