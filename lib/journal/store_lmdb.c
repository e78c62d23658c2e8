/* store_lmdb.c - the store in an LMDB environment of its own: one named database a table.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/store_impl.h"

static const char *const table_names[STORE_TABLES] = {"state",   "lives",   "objects",
                                                      "deletes", "waiting", "parked"};

struct lmdb_store {
    struct store store;
    MDB_env *env;
    MDB_dbi dbis[STORE_TABLES];
    MDB_txn *txn; /* the open write transaction, or NULL */
    int lock;     /* held while we live */
};

static enum status status_of(int error)
{
    if (error == 0)
        return STATUS_OK;
    if (error == MDB_NOTFOUND)
        return STATUS_NOT_FOUND;
    return error == MDB_MAP_FULL || error == ENOSPC ? STATUS_JOURNAL_FULL : STATUS_JOURNAL_IO;
}

static MDB_val val_of(struct span span)
{
    return (MDB_val){span.size, (void *)(uintptr_t)span.data};
}

static enum status lmdb_begin(struct store *store)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    CHECK(ls->txn == NULL);
    return status_of(mdb_txn_begin(ls->env, NULL, 0, &ls->txn));
}

static enum status lmdb_put(struct store *store, enum store_table table, struct span key,
                            struct span value)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    MDB_val k = val_of(key), v = val_of(value);
    CHECK(ls->txn != NULL && key.size > 0 && key.size <= 511);
    return status_of(mdb_put(ls->txn, ls->dbis[table], &k, &v, 0));
}

static enum status lmdb_delete(struct store *store, enum store_table table, struct span key)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    MDB_val k = val_of(key);
    CHECK(ls->txn != NULL);
    int error = mdb_del(ls->txn, ls->dbis[table], &k, NULL);
    return error == MDB_NOTFOUND ? STATUS_OK : status_of(error);
}

static enum status lmdb_commit(struct store *store)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    CHECK(ls->txn != NULL);
    int error = mdb_txn_commit(ls->txn);
    ls->txn = NULL;
    return status_of(error);
}

static void lmdb_abort(struct store *store)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    if (ls->txn != NULL)
        mdb_txn_abort(ls->txn);
    ls->txn = NULL;
}

/* The transaction to read in: the open one, or a new one that *MINE says to end. */
static MDB_txn *reading(struct lmdb_store *ls, bool *mine)
{
    MDB_txn *txn = ls->txn;
    *mine = txn == NULL;
    if (txn == NULL && mdb_txn_begin(ls->env, NULL, MDB_RDONLY, &txn) != 0)
        return NULL;
    return txn;
}

static enum status lmdb_get(struct store *store, enum store_table table, struct span key,
                            struct buffer *value)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    bool mine;
    MDB_txn *txn = reading(ls, &mine);
    MDB_val k = val_of(key), v;
    if (txn == NULL)
        return STATUS_JOURNAL_IO;
    int error = mdb_get(txn, ls->dbis[table], &k, &v);
    if (error == 0)
        buffer_append(value, v.mv_data, v.mv_size);
    if (mine)
        mdb_txn_abort(txn);
    return status_of(error);
}

static enum status lmdb_scan(struct store *store, enum store_table table, struct span from,
                             store_each_fn each, void *arg)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    bool mine;
    MDB_txn *txn = reading(ls, &mine);
    MDB_cursor *cursor = NULL;
    MDB_val k = val_of(from), v;
    if (txn == NULL)
        return STATUS_JOURNAL_IO;
    int error = mdb_cursor_open(txn, ls->dbis[table], &cursor);
    if (error == 0)
        error = mdb_cursor_get(cursor, &k, &v, from.size == 0 ? MDB_FIRST : MDB_SET_RANGE);
    while (error == 0 && each(arg, span_of(k.mv_data, k.mv_size), span_of(v.mv_data, v.mv_size)))
        error = mdb_cursor_get(cursor, &k, &v, MDB_NEXT);
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    if (mine)
        mdb_txn_abort(txn);
    return error == MDB_NOTFOUND ? STATUS_OK : status_of(error);
}

static uint64_t lmdb_count(struct store *store, enum store_table table)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    bool mine;
    MDB_stat stat = {0};
    MDB_txn *txn = reading(ls, &mine);
    if (txn != NULL && mdb_stat(txn, ls->dbis[table], &stat) != 0)
        stat.ms_entries = 0;
    if (txn != NULL && mine)
        mdb_txn_abort(txn);
    return stat.ms_entries;
}

/* Of pages in use, not of the file: that never shrinks. */
static unsigned lmdb_used_percent(struct store *store)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    bool mine;
    MDB_envinfo info = {0};
    uint64_t used = 0;
    MDB_txn *txn = reading(ls, &mine);
    for (size_t t = 0; txn != NULL && t < STORE_TABLES; t++) {
        MDB_stat stat;
        if (mdb_stat(txn, ls->dbis[t], &stat) == 0)
            used += (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
                    (uint64_t)stat.ms_psize;
    }
    if (txn != NULL && mine)
        mdb_txn_abort(txn);
    mdb_env_info(ls->env, &info);
    return info.me_mapsize == 0 ? 0 : (unsigned)(used * 100 / info.me_mapsize);
}

static void lmdb_close(struct store *store)
{
    struct lmdb_store *ls = (struct lmdb_store *)store;
    lmdb_abort(store);
    if (ls->env != NULL)
        mdb_env_close(ls->env);
    if (ls->lock >= 0)
        close(ls->lock);
    free(ls);
}

static const struct store_ops lmdb_ops = {lmdb_close,  lmdb_begin,       lmdb_put, lmdb_delete,
                                          lmdb_commit, lmdb_abort,       lmdb_get, lmdb_scan,
                                          lmdb_count,  lmdb_used_percent};

static int open_tables(struct lmdb_store *ls)
{
    MDB_txn *txn;
    int error = mdb_txn_begin(ls->env, NULL, 0, &txn);
    if (error != 0)
        return error;
    for (size_t t = 0; t < STORE_TABLES && error == 0; t++)
        error = mdb_dbi_open(txn, table_names[t], MDB_CREATE, &ls->dbis[t]);
    if (error != 0) {
        mdb_txn_abort(txn);
        return error;
    }
    return mdb_txn_commit(txn);
}

static enum status take_lock(struct lmdb_store *ls, const char *folder, char *why, size_t why_size)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/lock.tandem", folder);
    ls->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (ls->lock < 0) {
        snprintf(why, why_size, "%s cannot be written: %s", path, strerror(errno));
        return STATUS_JOURNAL_IO;
    }
    if (flock(ls->lock, LOCK_EX | LOCK_NB) != 0) {
        snprintf(why, why_size, "another replicator works in %s; stop it first", folder);
        return STATUS_JOURNAL_IN_USE;
    }
    return STATUS_OK;
}

enum status store_open_lmdb(const char *folder, uint64_t size_max_bytes, struct store **store,
                            char *why, size_t why_size)
{
    struct lmdb_store *ls = bytes_zalloc(sizeof *ls);
    ls->store.ops = &lmdb_ops;
    ls->lock = -1;
    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        snprintf(why, why_size, "the folder %s cannot be made: %s", folder, strerror(errno));
        free(ls);
        return STATUS_JOURNAL_IO;
    }
    enum status status = take_lock(ls, folder, why, why_size);
    if (status == STATUS_OK) {
        int error = mdb_env_create(&ls->env);
        if (error == 0)
            error = mdb_env_set_maxdbs(ls->env, STORE_TABLES);
        if (error == 0)
            error = mdb_env_set_mapsize(ls->env, size_max_bytes);
        if (error == 0)
            error = mdb_env_open(ls->env, folder, 0, 0600);
        if (error == 0)
            error = open_tables(ls);
        status = status_of(error);
        if (error != 0)
            snprintf(why, why_size, "the tables in %s cannot be opened: %s", folder,
                     mdb_strerror(error));
    }
    if (status != STATUS_OK) {
        lmdb_close(&ls->store);
        return status;
    }
    *store = &ls->store;
    return STATUS_OK;
}
