/* lmdb_impl.h - what the files of the LMDB journal share: its tables, its values, its room.
 *
 * Only lib/journal/journal_lmdb*.c include this. The layout is specified at the top of
 * journal_lmdb.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_JOURNAL_LMDB_IMPL_H
#define TANDEM_JOURNAL_LMDB_IMPL_H

#include <lmdb.h>
#include <pthread.h>
#include <sys/types.h>

#include "journal/journal_ops.h"

/* Frames and segments end here. A value needs contiguous pages; 1 MiB is where that begins to hurt,
 * and a quarter of it costs nothing measurable. When LMDB finds no 65 pages side by side in a map
 * that is nearly full, values are cut to what one page holds until there is more room again: so all
 * of the quota can be used. */
#define VALUE_SIZE_MAX (256u << 10)
#define VALUE_SIZE_SMALL 4080 /* a page without its header */
#define FRAME_HEADER_SIZE 16
#define STUB_SIZE 17 /* form, size, first segment */

enum lmdb_form { FORM_WHOLE = 0, FORM_SEGMENTS = 1 };

/* After the JOURNAL_TABLES, which keep their numbers. */
enum lmdb_dbi { LMDB_META = JOURNAL_TABLES, LMDB_FRAMES, LMDB_SEGMENTS, LMDB_DBIS };

struct lmdb_journal {
    struct journal base;
    MDB_env *env; /* owned */
    MDB_dbi dbi[LMDB_DBIS];
    int lock_fd; /* owned; -1 in a reader */
    size_t page_size;
    bool broken;       /* the disk failed: nothing more is written through this handle */
    bool turn_over;    /* the next transaction is preceded by a small commit: see journal_lmdb.c */
    size_t value_size; /* VALUE_SIZE_MAX, or _SMALL while large ones find no place */
    bool disk_full;    /* the disk had no blocks for us when last asked */
    uint64_t disk_allocated; /* bytes of data.mdb that have blocks on the disk */
    /* Held for reading by each read transaction, for writing to take over a new map size. */
    pthread_rwlock_t resize;
    pthread_mutex_t lock;     /* of all below; what is above is the writer's thread's alone */
    struct journal_info info; /* writer: kept up to date; reader: read anew at each call */
    uint64_t free_bytes;      /* pages in the free list when it was last walked */
    uint64_t walked_us;       /* monotonic clock when that was; 0: never */
    uint64_t written_since;   /* bytes written since then, about */
};

struct lmdb_txn {
    struct journal_txn base;
    MDB_txn *txn;     /* owned until commit or abort */
    uint64_t put;     /* bytes put into tables and segments */
    uint64_t segment; /* next free number of a segment; 0: not looked yet */
};

/* A frame as it stands in the map; valid as long as its transaction. */
struct frame {
    uint64_t first;   /* seq of the first record */
    uint64_t count;   /* records in it */
    size_t size;      /* bytes of all its records */
    const char *data; /* the records, or NULL when they are in segments */
    uint64_t segment; /* then: number of the first */
};

/* ------------------------------------------------------------------------------------------------------
 * journal_lmdb.c */

/* The status for LMDB's ERR. */
enum status lmdb_status(int err);
/* The same for the writer's thread: notes why, and ends writing for good where that is what it
 * means. */
enum status lmdb_fail(struct lmdb_journal *lj, int err, const char *what);
/* Read transactions, taking over a map that the writer has enlarged. */
int lmdb_read_begin(struct lmdb_journal *lj, MDB_txn **txn);
void lmdb_read_end(struct lmdb_journal *lj, MDB_txn *txn);

/* ------------------------------------------------------------------------------------------------------
 * journal_lmdb_values.c: frames, segments, values. */

/* Writes all records of TXN as frames. */
int lmdb_frames_write(struct lmdb_journal *lj, struct lmdb_txn *txn);
/* Understands the frame KEY, VALUE. */
enum status lmdb_frame_parse(MDB_val key, MDB_val value, struct frame *frame);
/* The frame that holds seq FROM, or the first above it. NOT_FOUND: there is none. */
enum status lmdb_frame_find(MDB_cursor *cursor, uint64_t from, struct frame *frame);
int lmdb_value_put(struct lmdb_journal *lj, struct lmdb_txn *txn, MDB_dbi dbi, struct span key,
                   struct span value);
int lmdb_value_remove(struct lmdb_journal *lj, struct lmdb_txn *txn, MDB_dbi dbi, struct span key);
/* Understands a table's value: *WHOLE, or (appended to SPARE, which *WHOLE then shows) its
 * segments. */
enum status lmdb_value_parse(struct lmdb_journal *lj, MDB_txn *txn, MDB_val value,
                             struct buffer *spare, struct span *whole);
/* Appends SIZE bytes from the segments beginning at FIRST to OUT. */
enum status lmdb_segments_read(struct lmdb_journal *lj, MDB_txn *txn, uint64_t first, size_t size,
                               struct buffer *out);
/* Removes them; *COUNT (NULL: not wanted) grows by how many there were. */
int lmdb_segments_remove(struct lmdb_journal *lj, MDB_txn *txn, uint64_t first, size_t size,
                         uint64_t *count);
enum status lmdb_check(struct journal *journal, journal_say_fn say, void *arg);

/* ------------------------------------------------------------------------------------------------------
 * journal_lmdb_room.c: how much is used, and whether more fits. */

/* What appends must leave free, for trimming and closing: in the map, and as blocks on the disk. */
uint64_t lmdb_reserve(uint64_t size_max);
/* Brings info.used_bytes up to date, walking the free list when that is due (or NOW). Called with
 * the lock held. */
enum status lmdb_used_refresh(struct lmdb_journal *lj, bool now);
/* Do MORE bytes of records fit under append_max? JOURNAL_FULL when not. */
enum status lmdb_room(struct lmdb_journal *lj, uint64_t more);
/* True when LMDB may soon find no other pages than those that were freed. */
bool lmdb_lives_on_freed_pages(struct lmdb_journal *lj);
/* Sees to it that the disk has blocks for all that LMDB may write for MORE bytes. */
enum status lmdb_disk_room(struct lmdb_journal *lj, uint64_t more, bool appends);

#endif
