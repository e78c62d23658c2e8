/* store_impl.h - what an implementation of the store provides; see store.h.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_JOURNAL_STORE_IMPL_H
#define TANDEM_JOURNAL_STORE_IMPL_H

#include "journal/store.h"

struct store_ops {
    void (*close)(struct store *store);
    enum status (*begin)(struct store *store);
    enum status (*put)(struct store *store, enum store_table table, struct span key,
                       struct span value);
    enum status (*delete)(struct store *store, enum store_table table, struct span key);
    enum status (*commit)(struct store *store);
    void (*abort)(struct store *store);
    enum status (*get)(struct store *store, enum store_table table, struct span key,
                       struct buffer *value);
    enum status (*scan)(struct store *store, enum store_table table, struct span from,
                        store_each_fn each, void *arg);
    uint64_t (*count)(struct store *store, enum store_table table);
    unsigned (*used_percent)(struct store *store);
};

struct store {
    const struct store_ops *ops; /* the first member of every implementation */
};

#endif
