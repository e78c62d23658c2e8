/* journal_lmdb_values.c - frames, segments and values of the LMDB journal: bytes in, bytes out.
 *
 * The layout is specified at the top of journal_lmdb.c. What must hold:
 *   - A segment belongs to exactly one frame or value, and goes with it, in the same transaction.
 *   - Nothing here asks LMDB for more contiguous bytes than value_size, and a page.
 *   - What is read is measured before it is followed: a damaged file ends in a status, not in a
 *     crash of ours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "journal/lmdb_impl.h"

#include <inttypes.h>

_Static_assert(sizeof(size_t) == sizeof(uint64_t), "keys of frames are LMDB integers of 8 bytes");

static MDB_val val_of(struct span span)
{
    /* LMDB takes what it only reads as void *. */
    union {
        const char *in;
        void *out;
    } data = {.in = span.data};

    return (MDB_val){span.size, data.out};
}

static MDB_val val_u64(uint64_t *number)
{
    return (MDB_val){sizeof *number, number};
}

static uint64_t key_u64(MDB_val key)
{
    uint64_t number = 0;

    if (key.mv_size == sizeof number)
        memcpy(&number, key.mv_data, sizeof number);
    return number;
}

/* ------------------------------------------------------------------------------------------------------
 * Segments. */

/* One above the highest number in use: numbers ascend, so that segments are appended and never
 * split pages. */
static int segment_next(struct lmdb_journal *lj, struct lmdb_txn *txn)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int err;

    if (txn->segment != 0)
        return 0;
    err = mdb_cursor_open(txn->txn, lj->dbi[LMDB_SEGMENTS], &cursor);
    if (err != 0)
        return err;
    err = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    if (err == 0)
        txn->segment = key_u64(key) + 1;
    else if (err == MDB_NOTFOUND)
        txn->segment = 1;
    mdb_cursor_close(cursor);
    return err == MDB_NOTFOUND ? 0 : err;
}

/* Writes BYTES as segments. *FIRST: number of the first. */
static int segments_write(struct lmdb_journal *lj, struct lmdb_txn *txn, struct span bytes,
                          uint64_t *first)
{
    int err = segment_next(lj, txn);

    *first = txn->segment;
    for (size_t at = 0, size; at < bytes.size && err == 0; at += size) {
        size = bytes.size - at < lj->value_size ? bytes.size - at : lj->value_size;
        MDB_val key = val_u64(&txn->segment), value = val_of(span_of(bytes.data + at, size));
        err = mdb_put(txn->txn, lj->dbi[LMDB_SEGMENTS], &key, &value, MDB_APPEND);
        txn->segment++;
    }
    return err;
}

enum status lmdb_segments_read(struct lmdb_journal *lj, MDB_txn *txn, uint64_t first, size_t size,
                               struct buffer *out)
{
    size_t end = out->size + size;

    for (uint64_t number = first; out->size < end; number++) {
        MDB_val key = val_u64(&number), value;
        int err = mdb_get(txn, lj->dbi[LMDB_SEGMENTS], &key, &value);
        if (err == MDB_NOTFOUND ||
            (err == 0 && (value.mv_size == 0 || value.mv_size > end - out->size)))
            return STATUS_JOURNAL_BROKEN;
        if (err != 0)
            return lmdb_status(err);
        buffer_append(out, value.mv_data, value.mv_size);
    }
    return STATUS_OK;
}

int lmdb_segments_remove(struct lmdb_journal *lj, MDB_txn *txn, uint64_t first, size_t size,
                         uint64_t *count)
{
    for (uint64_t number = first; size > 0; number++) {
        MDB_val key = val_u64(&number), value;
        int err = mdb_get(txn, lj->dbi[LMDB_SEGMENTS], &key, &value);
        if (err == MDB_NOTFOUND)
            return 0; /* damage: the check tells; trimming it away must still work */
        if (err == 0) {
            size -= value.mv_size < size ? value.mv_size : size;
            err = mdb_del(txn, lj->dbi[LMDB_SEGMENTS], &key, NULL);
        }
        if (err != 0)
            return err;
        if (count != NULL)
            *count += 1;
    }
    return 0;
}

/* ------------------------------------------------------------------------------------------------------
 * Frames. */

static int frame_write(struct lmdb_journal *lj, struct lmdb_txn *txn, uint64_t first,
                       uint64_t count, struct span records)
{
    bool whole = FRAME_HEADER_SIZE + records.size <= lj->value_size;
    MDB_val key = val_u64(&first), value = {FRAME_HEADER_SIZE + (whole ? records.size : 8), NULL};
    uint64_t segment = 0;
    int err = 0;

    if (!whole)
        err = segments_write(lj, txn, records, &segment);
    if (err == 0)
        err = mdb_put(txn->txn, lj->dbi[LMDB_FRAMES], &key, &value, MDB_APPEND | MDB_RESERVE);
    if (err != 0)
        return err;
    char *at = value.mv_data;
    put_u32le(at, whole ? FORM_WHOLE : FORM_SEGMENTS);
    put_u32le(at + 4, (uint32_t)count);
    put_u64le(at + 8, records.size);
    if (whole)
        memcpy(at + FRAME_HEADER_SIZE, records.data, records.size);
    else
        put_u64le(at + FRAME_HEADER_SIZE, segment);
    return 0;
}

int lmdb_frames_write(struct lmdb_journal *lj, struct lmdb_txn *txn)
{
    struct span rest = buffer_span(&txn->base.bytes);
    uint64_t seq = txn->base.first_seq;
    int err = 0;

    while (rest.size > 0 && err == 0) {
        uint64_t count = 0;
        size_t size = 0;
        while (size < rest.size) {
            size_t next = record_peek(span_of(rest.data + size, rest.size - size), NULL);
            CHECK(next > 0); /* we encoded it */
            if (count > 0 && FRAME_HEADER_SIZE + size + next > lj->value_size)
                break;
            size += next;
            count++;
        }
        err = frame_write(lj, txn, seq, count, span_of(rest.data, size));
        rest = span_of(rest.data + size, rest.size - size);
        seq += count;
    }
    CHECK(err != 0 || seq == txn->base.first_seq + txn->base.count);
    return err;
}

enum status lmdb_frame_parse(MDB_val key, MDB_val value, struct frame *frame)
{
    const char *at = value.mv_data;

    *frame = (struct frame){0};
    if (value.mv_size < FRAME_HEADER_SIZE)
        return STATUS_JOURNAL_BROKEN;
    uint32_t form = get_u32le(at);
    size_t rest = value.mv_size - FRAME_HEADER_SIZE;
    frame->first = key_u64(key);
    frame->count = get_u32le(at + 4);
    frame->size = get_u64le(at + 8);
    if (frame->first == 0 || frame->count == 0)
        return STATUS_JOURNAL_BROKEN;
    if (form == FORM_WHOLE && frame->size == rest) {
        frame->data = at + FRAME_HEADER_SIZE;
        return STATUS_OK;
    }
    /* One record alone: its length, and so all of it, fits in 32 bits. */
    if (form == FORM_SEGMENTS && rest == 8 && frame->count == 1 && frame->size <= UINT32_MAX) {
        frame->segment = get_u64le(at + FRAME_HEADER_SIZE);
        return STATUS_OK;
    }
    return STATUS_JOURNAL_BROKEN;
}

enum status lmdb_frame_find(MDB_cursor *cursor, uint64_t from, struct frame *frame)
{
    MDB_val key = val_u64(&from), value;
    int err = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    bool above = err == 0 && key_u64(key) != from;

    if (err == MDB_NOTFOUND)
        err = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
    else if (above)
        err = mdb_cursor_get(cursor, &key, &value, MDB_PREV);
    if (err == 0) {
        enum status status = lmdb_frame_parse(key, value, frame);
        if (status != STATUS_OK || from < frame->first + frame->count)
            return status;
    }
    /* The frame before ends below FROM: the next one, if any. */
    if (above) {
        key = val_u64(&from);
        err = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
        if (err == 0)
            return lmdb_frame_parse(key, value, frame);
    }
    return err == 0 || err == MDB_NOTFOUND ? STATUS_NOT_FOUND : STATUS_JOURNAL_BROKEN;
}

/* ------------------------------------------------------------------------------------------------------
 * Values of the tables. */

/* The segments that the present value of KEY has, if it has any: *SIZE is 0 when not. */
static int value_segments(struct lmdb_txn *txn, MDB_dbi dbi, struct span key, uint64_t *first,
                          size_t *size)
{
    MDB_val at = val_of(key), value = {0, NULL};
    int err = mdb_get(txn->txn, dbi, &at, &value);
    const char *bytes = value.mv_data;

    *size = 0;
    if (err == 0 && value.mv_size == STUB_SIZE && bytes[0] == FORM_SEGMENTS) {
        *size = get_u64le(bytes + 1);
        *first = get_u64le(bytes + 9);
    }
    return err;
}

int lmdb_value_remove(struct lmdb_journal *lj, struct lmdb_txn *txn, MDB_dbi dbi, struct span key)
{
    uint64_t first = 0;
    size_t size;
    MDB_val at = val_of(key);
    int err = value_segments(txn, dbi, key, &first, &size);

    if (err == 0 && size > 0)
        err = lmdb_segments_remove(lj, txn->txn, first, size, NULL);
    if (err == 0)
        err = mdb_del(txn->txn, dbi, &at, NULL);
    return err == MDB_NOTFOUND ? 0 : err;
}

int lmdb_value_put(struct lmdb_journal *lj, struct lmdb_txn *txn, MDB_dbi dbi, struct span key,
                   struct span value)
{
    bool whole = value.size < lj->value_size;
    MDB_val at = val_of(key), to = {whole ? 1 + value.size : STUB_SIZE, NULL};
    uint64_t first = 0;
    size_t size;
    int err = value_segments(txn, dbi, key, &first, &size);

    if (err == MDB_NOTFOUND)
        err = 0;
    if (err == 0 && size > 0)
        err = lmdb_segments_remove(lj, txn->txn, first, size, NULL);
    if (err == 0 && !whole)
        err = segments_write(lj, txn, value, &first);
    if (err == 0)
        err = mdb_put(txn->txn, dbi, &at, &to, MDB_RESERVE);
    if (err != 0)
        return err;
    char *bytes = to.mv_data;
    bytes[0] = whole ? FORM_WHOLE : FORM_SEGMENTS;
    if (whole && value.size > 0)
        memcpy(bytes + 1, value.data, value.size);
    if (!whole) {
        put_u64le(bytes + 1, value.size);
        put_u64le(bytes + 9, first);
    }
    return 0;
}

enum status lmdb_value_parse(struct lmdb_journal *lj, MDB_txn *txn, MDB_val value,
                             struct buffer *spare, struct span *whole)
{
    const char *bytes = value.mv_data;
    size_t start = spare->size;

    if (value.mv_size >= 1 && bytes[0] == FORM_WHOLE) {
        *whole = span_of(bytes + 1, value.mv_size - 1);
        return STATUS_OK;
    }
    if (value.mv_size != STUB_SIZE || bytes[0] != FORM_SEGMENTS)
        return STATUS_JOURNAL_BROKEN;
    enum status status =
        lmdb_segments_read(lj, txn, get_u64le(bytes + 9), get_u64le(bytes + 1), spare);
    *whole = span_of(spare->data + start, spare->size - start);
    return status;
}

/* ------------------------------------------------------------------------------------------------------
 * The check: do segments and those who own them agree? */

/* Adds to *OWNED how many segments hold the SIZE bytes that begin with FIRST. */
static enum status segments_count(struct lmdb_journal *lj, MDB_txn *txn, uint64_t first,
                                  size_t size, uint64_t *owned)
{
    for (uint64_t number = first; size > 0; number++) {
        MDB_val key = val_u64(&number), value;
        int err = mdb_get(txn, lj->dbi[LMDB_SEGMENTS], &key, &value);
        if (err != 0 || value.mv_size == 0 || value.mv_size > size)
            return STATUS_JOURNAL_BROKEN;
        size -= value.mv_size;
        *owned += 1;
    }
    return STATUS_OK;
}

/* Adds up the segments that the entries of table WHICH own. */
static enum status segments_owned(struct lmdb_journal *lj, MDB_txn *txn, enum lmdb_dbi which,
                                  uint64_t *owned)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    struct frame frame;
    enum status status = STATUS_OK;
    int err = mdb_cursor_open(txn, lj->dbi[which], &cursor);

    if (err != 0)
        return STATUS_JOURNAL_BROKEN;
    while (status == STATUS_OK && (err = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        const char *bytes = value.mv_data;
        if (which == LMDB_FRAMES) {
            status = lmdb_frame_parse(key, value, &frame);
            if (status == STATUS_OK && frame.data == NULL)
                status = segments_count(lj, txn, frame.segment, frame.size, owned);
        } else if (value.mv_size == STUB_SIZE && bytes[0] == FORM_SEGMENTS) {
            status = segments_count(lj, txn, get_u64le(bytes + 9), get_u64le(bytes + 1), owned);
        }
    }
    mdb_cursor_close(cursor);
    return err == 0 || err == MDB_NOTFOUND ? status : STATUS_JOURNAL_BROKEN;
}

enum status lmdb_check(struct journal *journal, journal_say_fn say, void *arg)
{
    struct lmdb_journal *lj = (struct lmdb_journal *)journal;
    enum status status = STATUS_OK;
    uint64_t owned = 0;
    MDB_txn *txn;
    MDB_stat stat;
    char text[160];

    if (lmdb_read_begin(lj, &txn) != 0) {
        say(arg, "the LMDB file does not let us read it.");
        return STATUS_JOURNAL_BROKEN;
    }
    for (int which = 0; which < LMDB_DBIS; which++) {
        if (which == LMDB_META || which == LMDB_SEGMENTS)
            continue;
        if (segments_owned(lj, txn, (enum lmdb_dbi)which, &owned) != STATUS_OK) {
            snprintf(text, sizeof text, "table %s has entries that are not what we write.",
                     which == LMDB_FRAMES ? "frames"
                                          : journal_table_name((enum journal_table)which));
            say(arg, text);
            status = STATUS_JOURNAL_BROKEN;
        }
    }
    if (mdb_stat(txn, lj->dbi[LMDB_SEGMENTS], &stat) != 0 || stat.ms_entries != owned) {
        snprintf(text, sizeof text, "%zu segments are stored, but %" PRIu64 " are in use.",
                 stat.ms_entries, owned);
        say(arg, text);
        status = STATUS_JOURNAL_BROKEN;
    }
    lmdb_read_end(lj, txn);
    return status;
}
