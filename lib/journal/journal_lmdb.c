/* journal_lmdb.c - the promises kept on the local disk, in one LMDB environment per proxy.
 *
 * In the folder lie data.mdb and lock.mdb (LMDB's own) and lock.tandem, which the writer keeps
 * locked (flock) and which holds its process id. The environment has these tables ("u64" keys are
 * LMDB integers, 8 bytes in the machine's order; everything else is little-endian):
 *
 *     meta      name -> 8 bytes:
 *                   "format"   1
 *                   "boot"     starts of the writer so far
 *                   "created"  microseconds since 1970
 *                   "first"    every seq below it was trimmed away
 *               and "id" -> the 16 bytes of the journal's id
 *     frames    u64, seq of its first record -> form (4), count of records (4), size of all of
 *               them (8), then
 *                   form 0: the records of record.c, back to back
 *                   form 1: number of its first segment (8); such a frame is one large record
 *     segments  u64, ascending -> up to 256 KiB; those of one owner are consecutive
 *     intents, watch, definitions, standbys, state
 *               keys and values of journal.h: key -> form (1), then
 *                   form 0: the value
 *                   form 1: size of the value (8), number of its first segment (8)
 *
 * The records of one commit go into one frame, or several of up to 256 KiB each. Frames follow
 * each other without a hole: the next key is this key plus this count.
 *
 * What must hold:
 *   - One process writes: lock.tandem says who. LMDB forbids to open an environment twice in one
 *     process.
 *   - Every change of one transaction is in one LMDB transaction, and OK is said only after its
 *     commit returned.
 *   - After an error of the disk nothing is written any more: what the kernel failed to write
 *     once, it may forget about.
 *   - No read transaction outlives a call: it would keep LMDB from using any page again that is
 *     freed meanwhile.
 *   - Memory that LMDB writes is cleared first (never MDB_NOMEMINIT): what the proxy had in its
 *     memory is no part of a journal.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/lmdb_impl.h"

#define FORMAT_VERSION 1
#define LOCK_NAME "lock.tandem"
#define READERS_MAX 256     /* read transactions at one time, of all processes */
#define SIZE_MIN (1u << 20) /* a smaller map could not even hold its reserve */
#define TRIM_BYTES_MAX                                                                             \
    (32u << 20) /* per transaction: the list of its pages must be stored too, in one piece */

static const char *const dbi_names[LMDB_DBIS] = {
    [LMDB_META] = "meta", [LMDB_FRAMES] = "frames", [LMDB_SEGMENTS] = "segments"};

static struct lmdb_journal *lmdb_of(struct journal *journal)
{
    return (struct lmdb_journal *)journal;
}

enum status lmdb_status(int err)
{
    switch (err) {
    case 0:
        return STATUS_OK;
    case MDB_MAP_FULL:
    case ENOSPC:
    case EDQUOT:
        return STATUS_JOURNAL_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return STATUS_JOURNAL_BROKEN;
    default:
        return STATUS_JOURNAL_IO;
    }
}

enum status lmdb_fail(struct lmdb_journal *lj, int err, const char *what)
{
    enum status status = lmdb_status(err);

    if (status == STATUS_JOURNAL_BROKEN) /* seen while writing, it ends writing */
        status = STATUS_JOURNAL_IO;
    if (status == STATUS_JOURNAL_IO)
        lj->broken = true;
    if (status == STATUS_JOURNAL_FULL) {
        lj->turn_over = true;
        lj->value_size = VALUE_SIZE_SMALL;
    }
    return journal_fail(&lj->base, status, "%s: %s", what, mdb_strerror(err));
}

/* ------------------------------------------------------------------------------------------------------
 * Read transactions and the meta table. */

int lmdb_read_begin(struct lmdb_journal *lj, MDB_txn **txn)
{
    for (;;) {
        pthread_rwlock_rdlock(&lj->resize);
        int err = mdb_txn_begin(lj->env, NULL, MDB_RDONLY, txn);
        if (err == 0)
            return 0;
        pthread_rwlock_unlock(&lj->resize);
        if (err != MDB_MAP_RESIZED)
            return err;
        /* The writer came back with a larger quota. No transaction of ours may be open while we
         * take it over. */
        pthread_rwlock_wrlock(&lj->resize);
        err = mdb_env_set_mapsize(lj->env, 0);
        pthread_rwlock_unlock(&lj->resize);
        if (err != 0)
            return err;
    }
}

void lmdb_read_end(struct lmdb_journal *lj, MDB_txn *txn)
{
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&lj->resize);
}

/* LMDB takes keys as void *, and leaves them as they are. */
static MDB_val name_val(const char *name, char copy[16])
{
    size_t size = strlen(name);

    CHECK(size < 16);
    memcpy(copy, name, size);
    return (MDB_val){size, copy};
}

/* 0 when there is no such name. */
static int meta_get(struct lmdb_journal *lj, MDB_txn *txn, const char *name, uint64_t *number)
{
    char copy[16];
    MDB_val key = name_val(name, copy), value;
    int err = mdb_get(txn, lj->dbi[LMDB_META], &key, &value);

    *number = 0;
    if (err == 0 && value.mv_size != sizeof *number)
        return MDB_CORRUPTED;
    if (err == 0)
        *number = get_u64le(value.mv_data);
    return err == MDB_NOTFOUND ? 0 : err;
}

static int meta_put(struct lmdb_journal *lj, MDB_txn *txn, const char *name, uint64_t number)
{
    char copy[16];
    uint8_t bytes[8];
    MDB_val key = name_val(name, copy), value = {sizeof bytes, bytes};

    put_u64le(bytes, number);
    return mdb_put(txn, lj->dbi[LMDB_META], &key, &value, 0);
}

/* First and last seq and the oldest time, as TXN sees them. */
static enum status bounds_read(struct lmdb_journal *lj, MDB_txn *txn, struct journal_info *info)
{
    struct record_header header = {0};
    struct frame frame;
    MDB_cursor *cursor;
    MDB_val key, value;
    enum status status = lmdb_status(meta_get(lj, txn, "first", &info->first_seq));

    info->last_seq = info->first_seq - 1;
    info->oldest_time_us = 0;
    if (status != STATUS_OK)
        return status;
    if (mdb_cursor_open(txn, lj->dbi[LMDB_FRAMES], &cursor) != 0)
        return STATUS_JOURNAL_IO;
    int err = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (err == 0)
        status = lmdb_frame_parse(key, value, &frame);
    if (err == 0 && status == STATUS_OK) {
        info->last_seq = frame.first + frame.count - 1;
        (void)mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        status = lmdb_frame_parse(key, value, &frame);
    }
    if (err == 0 && status == STATUS_OK) {
        struct buffer spare = {0};
        struct span records = span_of(frame.data, frame.size);
        if (frame.data == NULL) {
            status = lmdb_segments_read(lj, txn, frame.segment, frame.size, &spare);
            records = buffer_span(&spare);
        }
        (void)record_peek(records, &header);
        info->oldest_time_us = header.time_us;
        buffer_fini(&spare);
    }
    mdb_cursor_close(cursor);
    return err == MDB_NOTFOUND ? STATUS_OK : err != 0 ? lmdb_status(err) : status;
}

/* ------------------------------------------------------------------------------------------------------
 * Writing. */

/* LMDB does not give pages out again in the transaction after the one that freed them, only in the
 * one after that. When the map has no other pages left, and every attempt is aborted for want of
 * them, there is never a second one: so commit something small between. */
static int turn_over(struct lmdb_journal *lj)
{
    MDB_txn *txn;
    int err = mdb_txn_begin(lj->env, NULL, 0, &txn);

    if (err != 0)
        return err;
    err = meta_put(lj, txn, "first", lj->info.first_seq);
    if (err == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return err;
}

static enum status lmdb_begin(struct journal_txn *base)
{
    struct lmdb_journal *lj = lmdb_of(base->journal);
    struct lmdb_txn *txn = (struct lmdb_txn *)base;
    int err = 0;

    if (lj->broken)
        return STATUS_JOURNAL_IO;
    if (lj->turn_over) {
        err = turn_over(lj);
        lj->turn_over = false;
    }
    if (err == 0 || lmdb_status(err) == STATUS_JOURNAL_FULL) /* it may yet delete something */
        err = mdb_txn_begin(lj->env, NULL, 0, &txn->txn);
    return err == 0 ? STATUS_OK : lmdb_fail(lj, err, "cannot begin a transaction");
}

static void lmdb_abort(struct journal_txn *base)
{
    struct lmdb_txn *txn = (struct lmdb_txn *)base;

    if (txn->txn != NULL)
        mdb_txn_abort(txn->txn);
    txn->txn = NULL;
}

static enum status lmdb_txn_room(struct journal_txn *base)
{
    return lmdb_room(lmdb_of(base->journal), base->bytes.size);
}

static enum status lmdb_room_on_disk(struct journal *journal, uint64_t more)
{
    return lmdb_disk_room(lmdb_of(journal), more, true);
}

static enum status lmdb_put(struct journal_txn *base, enum journal_table table, struct span key,
                            struct span value)
{
    struct lmdb_journal *lj = lmdb_of(base->journal);
    struct lmdb_txn *txn = (struct lmdb_txn *)base;
    int err = lmdb_value_put(lj, txn, lj->dbi[table], key, value);

    txn->put += key.size + value.size;
    return err == 0 ? STATUS_OK : lmdb_fail(lj, err, "cannot put a value");
}

static enum status lmdb_remove(struct journal_txn *base, enum journal_table table, struct span key)
{
    struct lmdb_journal *lj = lmdb_of(base->journal);
    struct lmdb_txn *txn = (struct lmdb_txn *)base;
    int err = lmdb_value_remove(lj, txn, lj->dbi[table], key);

    return err == 0 ? STATUS_OK : lmdb_fail(lj, err, "cannot delete a value");
}

/* What a commit changed in what journal_info tells. */
static void info_committed(struct lmdb_journal *lj, const struct lmdb_txn *txn)
{
    struct record_header header = {0};

    pthread_mutex_lock(&lj->lock);
    lj->written_since += txn->base.bytes.size + txn->put;
    lj->info.last_seq += txn->base.count;
    if (txn->base.count > 0 && lj->info.oldest_time_us == 0) {
        (void)record_peek(buffer_span(&txn->base.bytes), &header);
        lj->info.oldest_time_us = header.time_us;
    }
    lj->base.last_seq = lj->info.last_seq;
    pthread_mutex_unlock(&lj->lock);
}

static enum status lmdb_commit(struct journal_txn *base)
{
    struct lmdb_journal *lj = lmdb_of(base->journal);
    struct lmdb_txn *txn = (struct lmdb_txn *)base;
    enum status status = STATUS_OK;
    int err;

    if (base->count > 0 || txn->put > 0)
        status = lmdb_disk_room(lj, base->bytes.size + txn->put, base->count > 0);
    if (status != STATUS_OK) {
        lmdb_abort(base);
        return status;
    }
    err = lmdb_frames_write(lj, txn);
    if (err != 0) {
        lmdb_abort(base);
        return lmdb_fail(lj, err, "cannot write records");
    }
    err = mdb_txn_commit(txn->txn);
    txn->txn = NULL; /* freed, whether it worked or not */
    if (err != 0)
        return lmdb_fail(lj, err, "cannot commit");
    info_committed(lj, txn);
    return STATUS_OK;
}

/* Drops whole frames below KEEP_FROM, until about MAX records and segments are gone. */
static int frames_drop(struct lmdb_journal *lj, MDB_txn *txn, uint64_t keep_from, uint64_t max,
                       uint64_t *first)
{
    uint64_t done = 0, bytes = 0;
    struct frame frame;
    MDB_cursor *cursor;
    MDB_val key, value;
    int err = mdb_cursor_open(txn, lj->dbi[LMDB_FRAMES], &cursor);

    if (err != 0)
        return err;
    while (done < max && bytes < TRIM_BYTES_MAX) {
        err = mdb_cursor_get(cursor, &key, &value, MDB_FIRST);
        if (err != 0)
            break;
        if (lmdb_frame_parse(key, value, &frame) != STATUS_OK) {
            err = MDB_CORRUPTED;
            break;
        }
        if (frame.first + frame.count > keep_from)
            break;
        if (frame.data == NULL) {
            err = lmdb_segments_remove(lj, txn, frame.segment, frame.size, &done);
        }
        if (err == 0)
            err = mdb_cursor_del(cursor, 0);
        if (err != 0)
            break;
        done += frame.count;
        bytes += frame.size;
        *first = frame.first + frame.count;
    }
    mdb_cursor_close(cursor);
    return err == MDB_NOTFOUND ? 0 : err;
}

static void first_seq_set(struct lmdb_journal *lj, uint64_t first)
{
    pthread_mutex_lock(&lj->lock);
    lj->info.first_seq = first;
    pthread_mutex_unlock(&lj->lock);
}

static int trim_once(struct lmdb_journal *lj, uint64_t keep_from, uint64_t max, uint64_t *first)
{
    const uint64_t before = lj->info.first_seq;
    MDB_txn *txn;
    int err = mdb_txn_begin(lj->env, NULL, 0, &txn);

    if (err != 0)
        return err;
    err = frames_drop(lj, txn, keep_from, max, first);
    if (err == 0 && *first > before)
        err = meta_put(lj, txn, "first", *first);
    if (err != 0 || *first <= before) {
        mdb_txn_abort(txn);
        return err;
    }
    /* Said before it is done: a reader who misses a record must be able to see that it was trimmed. */
    first_seq_set(lj, *first);
    err = mdb_txn_commit(txn);
    if (err != 0)
        first_seq_set(lj, before);
    return err;
}

static enum status lmdb_trim(struct journal *journal, uint64_t keep_from, uint64_t max,
                             uint64_t *trimmed)
{
    struct lmdb_journal *lj = lmdb_of(journal);
    const uint64_t before = lj->info.first_seq;
    struct journal_info now = {0};
    uint64_t first;
    MDB_txn *txn;
    int err;

    if (lj->broken)
        return STATUS_JOURNAL_IO;
    /* What is freed must be noted, and even that may not fit at once when there is hardly a page
     * left. */
    do {
        first = before;
        err = trim_once(lj, keep_from, max, &first);
        max /= 8;
    } while (lmdb_status(err) == STATUS_JOURNAL_FULL && max > 0);
    if (err != 0)
        return lmdb_fail(lj, err, "cannot trim");
    *trimmed = first - before;
    if (*trimmed == 0)
        return STATUS_OK;
    lj->turn_over = lmdb_lives_on_freed_pages(lj);

    err = lmdb_read_begin(lj, &txn);
    if (err != 0)
        return lmdb_fail(lj, err, "cannot read");
    enum status status = bounds_read(lj, txn, &now);
    lmdb_read_end(lj, txn);
    pthread_mutex_lock(&lj->lock);
    lj->info.oldest_time_us = now.oldest_time_us;
    lj->written_since++; /* so that who asks for room has it looked up */
    pthread_mutex_unlock(&lj->lock);
    return status;
}

/* ------------------------------------------------------------------------------------------------------
 * Reading. */

/* Appends records of FRAME from *NEXT on to OUT, and moves *NEXT on. */
static enum status frame_read(struct lmdb_journal *lj, MDB_txn *txn, const struct frame *frame,
                              uint64_t *next, size_t max_records, size_t max_bytes,
                              struct buffer *out, size_t *count, bool *enough)
{
    struct span rest = span_of(frame->data, frame->size);

    if (frame->data == NULL) {
        *enough = *count > 0 && out->size + frame->size > max_bytes;
        if (*enough)
            return STATUS_OK;
        enum status status = lmdb_segments_read(lj, txn, frame->segment, frame->size, out);
        *count += status == STATUS_OK;
        *next += status == STATUS_OK;
        return status;
    }
    for (uint64_t seq = frame->first; seq < frame->first + frame->count; seq++) {
        size_t size = record_peek(rest, NULL);
        if (size == 0)
            return STATUS_RECORD_TORN;
        *enough = *count >= max_records || (*count > 0 && out->size + size > max_bytes);
        if (*enough)
            return STATUS_OK;
        if (seq >= *next) {
            buffer_append(out, rest.data, size);
            *count += 1;
            *next = seq + 1;
        }
        rest = span_of(rest.data + size, rest.size - size);
    }
    return rest.size == 0 ? STATUS_OK : STATUS_JOURNAL_BROKEN;
}

/* Why there is no record FROM: none yet, trimmed, or something is wrong. */
static enum status read_nothing(struct lmdb_journal *lj, MDB_txn *txn, uint64_t from)
{
    struct journal_info now = {0};
    enum status status = bounds_read(lj, txn, &now);

    if (status != STATUS_OK)
        return status;
    if (from == now.last_seq + 1)
        return STATUS_OK;
    return from < now.first_seq ? STATUS_NOT_FOUND : STATUS_JOURNAL_BROKEN;
}

static enum status lmdb_read(struct journal *journal, uint64_t from, size_t max_records,
                             size_t max_bytes, struct buffer *out, size_t *count)
{
    struct lmdb_journal *lj = lmdb_of(journal);
    uint64_t next = from;
    bool enough = max_records == 0;
    struct frame frame;
    MDB_cursor *cursor = NULL;
    MDB_val key, value;
    MDB_txn *txn;
    enum status status;
    int err = lmdb_read_begin(lj, &txn);

    if (err != 0)
        return lmdb_status(err);
    err = mdb_cursor_open(txn, lj->dbi[LMDB_FRAMES], &cursor);
    status = err != 0 ? lmdb_status(err) : lmdb_frame_find(cursor, from, &frame);
    if (status == STATUS_NOT_FOUND || (status == STATUS_OK && frame.first > from)) {
        status = read_nothing(lj, txn, from);
        enough = true;
    }
    while (status == STATUS_OK && !enough) {
        status = frame_read(lj, txn, &frame, &next, max_records, max_bytes, out, count, &enough);
        if (status != STATUS_OK || enough ||
            (err = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) != 0)
            break;
        status = lmdb_frame_parse(key, value, &frame);
        if (status == STATUS_OK && frame.first != next)
            status = STATUS_JOURNAL_BROKEN;
    }
    if (cursor != NULL)
        mdb_cursor_close(cursor);
    lmdb_read_end(lj, txn);
    /* Whole records before the damage are still good; who asks for the next gets the bad news. */
    return *count > 0 ? STATUS_OK : status;
}

static enum status lmdb_get(struct journal *journal, enum journal_table table, struct span key,
                            struct buffer *out)
{
    struct lmdb_journal *lj = lmdb_of(journal);
    char copy[JOURNAL_KEY_MAX];
    MDB_val at = {key.size, copy}, value;
    struct buffer spare = {0};
    struct span whole;
    MDB_txn *txn;
    enum status status;
    int err = lmdb_read_begin(lj, &txn);

    if (err != 0)
        return lmdb_status(err);
    memcpy(copy, key.data, key.size);
    err = mdb_get(txn, lj->dbi[table], &at, &value);
    status = err == MDB_NOTFOUND ? STATUS_NOT_FOUND : lmdb_status(err);
    if (status == STATUS_OK)
        status = lmdb_value_parse(lj, txn, value, &spare, &whole);
    if (status == STATUS_OK)
        buffer_append_span(out, whole);
    lmdb_read_end(lj, txn);
    buffer_fini(&spare);
    return status;
}

static enum status lmdb_scan(struct journal *journal, enum journal_table table, struct span from,
                             journal_each_fn each, void *arg)
{
    struct lmdb_journal *lj = lmdb_of(journal);
    char copy[JOURNAL_KEY_MAX];
    MDB_val key = {from.size, copy}, value;
    struct buffer spare = {0};
    struct span whole;
    MDB_cursor *cursor;
    MDB_txn *txn;
    enum status status = STATUS_OK;
    int err = lmdb_read_begin(lj, &txn);

    if (err != 0)
        return lmdb_status(err);
    if (from.size > 0)
        memcpy(copy, from.data, from.size);
    err = mdb_cursor_open(txn, lj->dbi[table], &cursor);
    if (err == 0) {
        err = mdb_cursor_get(cursor, &key, &value, from.size > 0 ? MDB_SET_RANGE : MDB_FIRST);
        while (err == 0) {
            buffer_clear(&spare);
            status = lmdb_value_parse(lj, txn, value, &spare, &whole);
            if (status != STATUS_OK || !each(arg, span_of(key.mv_data, key.mv_size), whole))
                break;
            err = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
        mdb_cursor_close(cursor);
    }
    lmdb_read_end(lj, txn);
    buffer_fini(&spare);
    return err == 0 || err == MDB_NOTFOUND ? status : lmdb_status(err);
}

/* A reader looks everything up: another process writes it. */
static void info_reread(struct lmdb_journal *lj)
{
    MDB_envinfo env;
    MDB_txn *txn;

    if (lmdb_read_begin(lj, &txn) != 0)
        return; /* what was known stays */
    (void)mdb_env_info(lj->env, &env);
    lj->info.size_max = env.me_mapsize;
    (void)meta_get(lj, txn, "boot", &lj->info.boot);
    (void)bounds_read(lj, txn, &lj->info);
    lmdb_read_end(lj, txn);
}

static void lmdb_info(struct journal *journal, struct journal_info *info)
{
    struct lmdb_journal *lj = lmdb_of(journal);

    pthread_mutex_lock(&lj->lock);
    if (journal->read_only)
        info_reread(lj);
    (void)lmdb_used_refresh(lj, false); /* on failure the last known number stays */
    *info = lj->info;
    pthread_mutex_unlock(&lj->lock);
    uint64_t reserve = lmdb_reserve(info->size_max);
    info->append_max = info->size_max > reserve ? info->size_max - reserve : 0;
}

static unsigned lmdb_reader_check(struct journal *journal)
{
    int dead = 0;

    (void)mdb_reader_check(lmdb_of(journal)->env, &dead);
    return (unsigned)dead;
}

/* ------------------------------------------------------------------------------------------------------
 * Opening and closing. */

static void lmdb_close(struct journal *journal)
{
    struct lmdb_journal *lj = lmdb_of(journal);

    if (lj->env != NULL)
        mdb_env_close(lj->env);
    if (lj->lock_fd >= 0)
        close(lj->lock_fd); /* lets go of the lock, too: after LMDB, which may still write */
    pthread_rwlock_destroy(&lj->resize);
    pthread_mutex_destroy(&lj->lock);
    free(lj);
}

static const struct journal_ops lmdb_ops = {
    .close = lmdb_close,
    .info = lmdb_info,
    .reader_check = lmdb_reader_check,
    .begin = lmdb_begin,
    .room = lmdb_txn_room,
    .disk_room = lmdb_room_on_disk,
    .put = lmdb_put,
    .remove = lmdb_remove,
    .commit = lmdb_commit,
    .abort = lmdb_abort,
    .trim = lmdb_trim,
    .read = lmdb_read,
    .get = lmdb_get,
    .scan = lmdb_scan,
    .check = lmdb_check,
    .txn_size = sizeof(struct lmdb_txn),
};

/* Is there a folder with a journal in it? Makes the folder when that is wanted. */
static enum status folder_find(struct lmdb_journal *lj, const struct journal_options *options)
{
    const char *folder = options->folder;
    struct buffer path = {0};
    struct stat found;
    bool create = options->create && !options->read_only;
    enum status status = STATUS_OK;

    buffer_appendf(&path, "%s/data.mdb", folder);
    if (stat(buffer_cstr(&path), &found) != 0) {
        if (errno != ENOENT)
            status = journal_fail(&lj->base, STATUS_JOURNAL_IO, "cannot look at %s/data.mdb: %s",
                                  folder, strerror(errno));
        else if (!create)
            status = journal_fail(&lj->base, STATUS_JOURNAL_MISSING, "there is no journal in %s",
                                  folder);
        else if (mkdir(folder, 0750) != 0 && errno != EEXIST)
            status = journal_fail(&lj->base, STATUS_JOURNAL_IO, "cannot make the folder %s: %s",
                                  folder, strerror(errno));
    }
    buffer_fini(&path);
    return status;
}

/* Takes lock.tandem, and writes our process id into it for whoever comes second. */
static enum status folder_lock(struct lmdb_journal *lj, const char *folder)
{
    struct buffer path = {0};
    char text[32] = "";
    enum status status = STATUS_OK;

    buffer_appendf(&path, "%s/" LOCK_NAME, folder);
    lj->lock_fd = open(buffer_cstr(&path), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lj->lock_fd < 0) {
        status = journal_fail(&lj->base, STATUS_JOURNAL_IO, "cannot open %s: %s",
                              buffer_cstr(&path), strerror(errno));
    } else if (flock(lj->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK)
            status = journal_fail(&lj->base, STATUS_JOURNAL_IO, "cannot lock %s: %s",
                                  buffer_cstr(&path), strerror(errno));
        else if (pread(lj->lock_fd, text, sizeof text - 1, 0) < 0)
            text[0] = '\0';
        if (status == STATUS_OK)
            status = journal_fail(&lj->base, STATUS_JOURNAL_IN_USE,
                                  "process %ld has the journal in %s open: stop it first",
                                  strtol(text, NULL, 10), folder);
    } else {
        int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
        /* Only a hint for people: when it cannot be written the lock still holds. */
        if (ftruncate(lj->lock_fd, 0) != 0 || pwrite(lj->lock_fd, text, (size_t)size, 0) != size)
            text[0] = '\0';
    }
    buffer_fini(&path);
    return status;
}

static int tables_open(struct lmdb_journal *lj, MDB_txn *txn, bool create)
{
    int err = 0;

    for (int i = 0; i < LMDB_DBIS && err == 0; i++) {
        const char *name =
            i < JOURNAL_TABLES ? journal_table_name((enum journal_table)i) : dbi_names[i];
        unsigned flags = create ? MDB_CREATE : 0;
        if (i == LMDB_FRAMES || i == LMDB_SEGMENTS)
            flags |= MDB_INTEGERKEY;
        err = mdb_dbi_open(txn, name, flags, &lj->dbi[i]);
    }
    return err;
}

static int journal_make(struct lmdb_journal *lj, MDB_txn *txn)
{
    char copy[16];
    MDB_val key = name_val("id", copy), value = {sizeof lj->base.id, lj->base.id.bytes};
    int err = meta_put(lj, txn, "format", FORMAT_VERSION);

    if (getrandom(lj->base.id.bytes, sizeof lj->base.id, 0) != (ssize_t)sizeof lj->base.id)
        return EIO;
    if (err == 0)
        err = mdb_put(txn, lj->dbi[LMDB_META], &key, &value, 0);
    if (err == 0)
        err = meta_put(lj, txn, "first", 1);
    if (err == 0)
        err = meta_put(lj, txn, "created", lj->base.clock_us(NULL));
    return err;
}

/* Reads who this journal is and how far it goes. */
static enum status journal_load(struct lmdb_journal *lj, MDB_txn *txn, const char *folder)
{
    char copy[16];
    MDB_val key = name_val("id", copy), value;
    uint64_t format = 0;
    int err = meta_get(lj, txn, "format", &format);

    if (err == 0 && format != FORMAT_VERSION)
        return journal_fail(&lj->base, STATUS_JOURNAL_BROKEN,
                            "the journal in %s has format %" PRIu64
                            ", this program knows format %d: use the program that wrote it",
                            folder, format, FORMAT_VERSION);
    if (err == 0)
        err = mdb_get(txn, lj->dbi[LMDB_META], &key, &value);
    if (err == 0 && value.mv_size != sizeof lj->base.id)
        err = MDB_CORRUPTED;
    if (err == 0) {
        memcpy(lj->base.id.bytes, value.mv_data, sizeof lj->base.id);
        err = meta_get(lj, txn, "boot", &lj->base.boot);
    }
    if (err != 0 || bounds_read(lj, txn, &lj->info) != STATUS_OK)
        return journal_fail(&lj->base, STATUS_JOURNAL_BROKEN,
                            "the journal in %s contradicts itself: %s", folder,
                            err == 0 ? "a frame is not what we write" : mdb_strerror(err));
    lj->info.id = lj->base.id;
    return STATUS_OK;
}

/* After LMDB opened: the tables, made when that is wanted, and this start counted. */
static enum status journal_start(struct lmdb_journal *lj, const struct journal_options *options)
{
    bool create = options->create && !options->read_only, fresh = false;
    enum status status = STATUS_OK;
    MDB_txn *txn = NULL;
    int err = mdb_txn_begin(lj->env, NULL, options->read_only ? MDB_RDONLY : 0, &txn);

    if (err == 0) {
        err = tables_open(lj, txn, false);
        fresh = err == MDB_NOTFOUND; /* they are made all at once, or not at all */
        if (fresh && create)
            err = tables_open(lj, txn, true);
        if (fresh && create && err == 0)
            err = journal_make(lj, txn);
    }
    if (fresh && !create)
        status = journal_fail(&lj->base, STATUS_JOURNAL_MISSING, "there is no journal in %s",
                              options->folder);
    else if (err == 0)
        status = journal_load(lj, txn, options->folder);
    if (err == 0 && status == STATUS_OK && !options->read_only)
        err = meta_put(lj, txn, "boot", ++lj->base.boot);
    if (err == 0 && status == STATUS_OK) {
        err = mdb_txn_commit(txn); /* keeps the tables open, of a reader as well */
        txn = NULL;
    }
    if (txn != NULL)
        mdb_txn_abort(txn);
    if (status == STATUS_OK && err != 0)
        status = journal_fail(&lj->base, lmdb_status(err), "cannot open the journal in %s: %s",
                              options->folder, mdb_strerror(err));
    lj->info.boot = lj->base.boot;
    lj->base.last_seq = lj->info.last_seq;
    return status;
}

static enum status env_open(struct lmdb_journal *lj, const struct journal_options *options)
{
    uint64_t size = options->size_max < SIZE_MIN ? SIZE_MIN : options->size_max;
    /* Read transactions belong to no thread: every call has its own. */
    unsigned flags = MDB_NOTLS | (options->read_only ? MDB_RDONLY : 0) |
                     (options->sync || options->read_only ? 0 : MDB_NOSYNC);
    MDB_envinfo info;
    MDB_stat stat;
    int err = mdb_env_create(&lj->env);

    if (err == 0)
        err = mdb_env_set_maxdbs(lj->env, LMDB_DBIS);
    if (err == 0)
        err = mdb_env_set_maxreaders(lj->env, READERS_MAX);
    if (err == 0 && !options->read_only) /* a reader takes the writer's */
        err = mdb_env_set_mapsize(lj->env, size);
    if (err == 0)
        err = mdb_env_open(lj->env, options->folder, flags, 0640);
    if (err == ENOENT && options->read_only)
        return journal_fail(&lj->base, STATUS_JOURNAL_MISSING, "there is no journal in %s",
                            options->folder);
    if (err != 0)
        return journal_fail(&lj->base, lmdb_status(err), "cannot open the journal in %s: %s",
                            options->folder, mdb_strerror(err));
    (void)lmdb_reader_check(&lj->base);
    (void)mdb_env_info(lj->env, &info);
    (void)mdb_env_stat(lj->env, &stat);
    lj->page_size = stat.ms_psize;
    lj->info.size_max = info.me_mapsize; /* never below what is in use */
    lj->info.append_max = lj->info.size_max - lmdb_reserve(lj->info.size_max);
    return STATUS_OK;
}

/* Files that were just made are there after a power loss only when their folder was synced as well.
 */
static enum status folder_sync(struct lmdb_journal *lj, const char *folder, const char *relative)
{
    struct buffer path = {0};
    enum status status = STATUS_OK;

    buffer_appendf(&path, "%s%s", folder, relative);
    int fd = open(buffer_cstr(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        status = journal_fail(&lj->base, STATUS_JOURNAL_IO, "cannot sync the folder %s: %s",
                              buffer_cstr(&path), strerror(errno));
    if (fd >= 0)
        close(fd);
    buffer_fini(&path);
    return status;
}

enum status journal_open_lmdb(const struct journal_options *options, struct journal **journal,
                              char *why, size_t why_size)
{
    struct lmdb_journal *lj = bytes_zalloc(sizeof *lj);
    bool writes = !options->read_only;
    mdb_filehandle_t fd;
    struct stat file;

    *journal = NULL;
    journal_init(&lj->base, &lmdb_ops, options->read_only);
    lj->lock_fd = -1;
    lj->value_size = VALUE_SIZE_MAX;
    pthread_rwlock_init(&lj->resize, NULL);
    pthread_mutex_init(&lj->lock, NULL);

    enum status status = folder_find(lj, options);
    if (status == STATUS_OK && writes)
        status = folder_lock(lj, options->folder);
    if (status == STATUS_OK)
        status = env_open(lj, options);
    if (status == STATUS_OK && mdb_env_get_fd(lj->env, &fd) == 0 && fstat(fd, &file) == 0)
        lj->disk_allocated = (uint64_t)file.st_size;
    if (status == STATUS_OK)
        status = journal_start(lj, options);
    if (status == STATUS_OK && writes)
        status = folder_sync(lj, options->folder, "");
    if (status == STATUS_OK && writes)
        (void)folder_sync(lj, options->folder, "/.."); /* it need not be ours */
    if (status != STATUS_OK) {
        snprintf(why, why_size, "%s", lj->base.why);
        lmdb_close(&lj->base);
        return status;
    }
    *journal = &lj->base;
    return STATUS_OK;
}
