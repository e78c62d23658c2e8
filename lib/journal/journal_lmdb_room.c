/* journal_lmdb_room.c - how much of the LMDB journal is used, and whether more fits.
 *
 * Two things can be full: the map (the quota, size_max) and the disk under it. Both are asked
 * before LMDB writes, for two reasons. LMDB reports a write that the full disk cut short as EIO,
 * which is the end of the process, whereas a full disk must only make the proxy read-only. And when
 * no page is left, not even a delete can commit, since LMDB copies what it changes: so appends stop
 * while a reserve is left, and trimming and closing intents go on.
 *
 *   used = pages of the file that LMDB ever used, without those in its free list, in bytes
 *   append_max = size_max - reserve; reserve = 1/64 of the map, at least 128 KiB, at most 64 MiB
 *   the disk has blocks for all of used, for what is about to be written, and for 256 KiB more
 *
 * The free list is walked at most once a second, or after 1/256 of the map was written; in between
 * what was written counts as used, which errs on the safe side.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <time.h>

#include "journal/lmdb_impl.h"

#define RESERVE_MIN (128u << 10)
#define RESERVE_MAX (64u << 20)
#define DISK_RESERVE (256u << 10) /* pages of a few small commits; trimming gives more */
#define WALK_PERIOD_US 1000000
/* The disk is asked for this much at a time, so that the file's size changes seldom. */
#define ALLOCATE_CHUNK (16u << 20)
/* A transaction without records that puts no more than this may use the reserve. */
#define SMALL_PUT (64u << 10)
/* Pages a commit writes besides what it was given: paths of eight trees, the free list, the meta
 * page. */
#define COMMIT_PAGES 48

static uint64_t monotonic_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t lmdb_reserve(uint64_t size_max)
{
    uint64_t reserve = min_u64(size_max / 64, RESERVE_MAX);

    return reserve < RESERVE_MIN ? RESERVE_MIN : reserve;
}

/* Bytes of the file that LMDB ever used. */
static uint64_t file_used(struct lmdb_journal *lj)
{
    MDB_envinfo info;

    (void)mdb_env_info(lj->env, &info); /* fails for a NULL argument only */
    return (info.me_last_pgno + 1) * lj->page_size;
}

/* Adds up the free list: table 0 of LMDB, whose values are lists of page numbers that begin with
 * their count. */
static int free_pages(struct lmdb_journal *lj, uint64_t *pages)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    MDB_txn *txn;
    int err = lmdb_read_begin(lj, &txn);

    *pages = 0;
    if (err != 0)
        return err;
    err = mdb_cursor_open(txn, 0, &cursor);
    if (err == 0) {
        while ((err = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
            size_t count = 0;
            if (value.mv_size >= sizeof count)
                memcpy(&count, value.mv_data, sizeof count);
            *pages += count;
        }
        mdb_cursor_close(cursor);
    }
    lmdb_read_end(lj, txn);
    return err == MDB_NOTFOUND ? 0 : err;
}

enum status lmdb_used_refresh(struct lmdb_journal *lj, bool now)
{
    uint64_t clock = monotonic_us(), file = file_used(lj), pages;

    if (now || lj->walked_us == 0 || clock - lj->walked_us >= WALK_PERIOD_US ||
        lj->written_since > lj->info.size_max / 256) {
        int err = free_pages(lj, &pages);
        if (err != 0)
            return lmdb_status(err);
        lj->free_bytes = min_u64(pages * lj->page_size, file);
        lj->walked_us = clock;
        lj->written_since = 0;
    }
    lj->info.used_bytes = min_u64(file - lj->free_bytes + lj->written_since, file);
    return STATUS_OK;
}

enum status lmdb_room(struct lmdb_journal *lj, uint64_t more)
{
    enum status status;

    pthread_mutex_lock(&lj->lock);
    status = lmdb_used_refresh(lj, false);
    /* Nothing was written since the last walk when we refuse one after the other: then it costs
     * nothing. */
    if (status == STATUS_OK && lj->info.used_bytes + more > lj->info.append_max &&
        lj->written_since > 0)
        status = lmdb_used_refresh(lj, true);
    if (status == STATUS_OK && lj->info.used_bytes + more > lj->info.append_max)
        status = journal_fail(&lj->base, STATUS_JOURNAL_FULL,
                              "the journal's quota is used up (used_bytes=%" PRIu64
                              " more_bytes=%" PRIu64 " append_max=%" PRIu64 ")",
                              lj->info.used_bytes, more, lj->info.append_max);
    if (lj->info.used_bytes < lj->info.size_max / 2)
        lj->value_size = VALUE_SIZE_MAX; /* room enough to find large pieces again */
    pthread_mutex_unlock(&lj->lock);
    return status;
}

bool lmdb_lives_on_freed_pages(struct lmdb_journal *lj)
{
    return lj->disk_full || file_used(lj) > lj->info.size_max / 2;
}

/* Gives the file blocks up to END. */
static int allocate(struct lmdb_journal *lj, uint64_t end)
{
    mdb_filehandle_t fd;
    int err;

    (void)mdb_env_get_fd(lj->env, &fd);
    do
        err = posix_fallocate(fd, (off_t)lj->disk_allocated, (off_t)(end - lj->disk_allocated));
    while (err == EINTR);
    if (err == 0)
        lj->disk_allocated = end;
    return err;
}

enum status lmdb_disk_room(struct lmdb_journal *lj, uint64_t more, bool appends)
{
    uint64_t map = lj->info.size_max;
    uint64_t growth = more + more / 8 + COMMIT_PAGES * lj->page_size;
    uint64_t need = min_u64(file_used(lj) + growth + DISK_RESERVE, map);
    enum status status = STATUS_OK;
    int err;

    lj->disk_full = false;
    if (need <= lj->disk_allocated)
        return STATUS_OK;
    err = allocate(lj, min_u64(need + ALLOCATE_CHUNK, map));
    if (err == ENOSPC || err == EDQUOT)
        err = allocate(lj, need);
    if (err == 0)
        return STATUS_OK;
    if (err != ENOSPC && err != EDQUOT && err != EFBIG) {
        lj->disk_allocated = map; /* this file system cannot: then LMDB will find out */
        return STATUS_OK;
    }
    lj->disk_full = true;
    if (!appends && more <= SMALL_PUT)
        return STATUS_OK; /* what the reserve is for */
    pthread_mutex_lock(&lj->lock);
    /* After a trim the pages in the free list are enough. They lie in pieces, so ask for twice of
     * it. */
    status = lmdb_used_refresh(lj, true);
    if (status == STATUS_OK && lj->free_bytes < 2 * growth + DISK_RESERVE)
        status = journal_fail(&lj->base, STATUS_JOURNAL_FULL,
                              "the disk is full (more_bytes=%" PRIu64 ")", growth);
    pthread_mutex_unlock(&lj->lock);
    return status;
}
