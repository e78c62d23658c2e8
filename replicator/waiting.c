/* waiting.c - rows that wait for something, and rows that a standby refuses: side tables on disk.
 *
 * A row waits when its index is not there yet or takes no writes, or when its mapping has not come.
 * All later rows of the same document wait behind it. They are tried again in order of seq when
 * what they wait for may have come. A row is parked when the standby refuses it for good; a person
 * retries or drops it.
 *
 *     waiting   key: incarnation (4 bytes, big-endian), seq (8, big-endian)
 *               value: the record as it stood in the journal
 *     parked    key: seq (8, big-endian)
 *               value: length of the reason (4, little-endian), the reason, the record
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "conf/settings.h"
#include "replicator/standby.h"

#define FEED_AT_ONCE 1000
#define FEED_BYTES (8u << 20)
#define TRY_DELAY_MAX_US (5 * UINT64_C(1000000))
#define TRY_DELAY_MIN_US (200 * UINT64_C(1000))

/* A document with waiting rows. */
struct waiting_key {
    uint64_t document;
    uint64_t count;
    UT_hash_handle hh;
};

static struct span waiting_row_key(uint8_t key[12], uint32_t incarnation, uint64_t seq)
{
    put_u64be(key, (uint64_t)incarnation << 32);
    put_u64be(key + 4, seq);
    return span_of((char *)key, 12);
}

/* The record's bytes, made again from the item. */
static void append_record(const struct item *item, struct buffer *out)
{
    struct record record = {.header = {.kind = RECORD_ROW,
                                       .boot = 1,
                                       .seq = item->seq,
                                       .timeline = item->timeline,
                                       .time_us = item->time_us,
                                       .parts = 1},
                            .row = item->row};
    record_encode(out, &record);
}

static void count_document(struct life *life, uint64_t document)
{
    struct waiting_key *wk;
    HASH_FIND(hh, life->waiting_keys, &document, sizeof document, wk);
    if (wk == NULL) {
        wk = bytes_zalloc(sizeof *wk);
        wk->document = document;
        HASH_ADD(hh, life->waiting_keys, document, sizeof wk->document, wk);
    }
    wk->count++;
    life->waiting++;
}

static void uncount_document(struct life *life, uint64_t document)
{
    struct waiting_key *wk;
    HASH_FIND(hh, life->waiting_keys, &document, sizeof document, wk);
    if (wk == NULL)
        return;
    life->waiting--;
    if (--wk->count == 0) {
        HASH_DEL(life->waiting_keys, wk);
        free(wk);
    }
}

static void forget_documents(struct life *life)
{
    struct waiting_key *wk, *next;
    HASH_ITER(hh, life->waiting_keys, wk, next)
    {
        HASH_DEL(life->waiting_keys, wk);
        free(wk);
    }
    life->waiting = 0;
}

enum status waiting_add(struct standby *sb, struct item *item)
{
    uint8_t key[12];
    struct buffer record = {0}, old = {0};
    struct span row_key = waiting_row_key(key, item->life->incarnation, item->seq);
    bool there = store_get(sb->store, STORE_WAITING, row_key, &old) ==
                 STATUS_OK; /* read twice after a crash */
    append_record(item, &record);
    enum status status =
        there ? STATUS_OK : store_put(sb->store, STORE_WAITING, row_key, buffer_span(&record));
    if (status == STATUS_OK && !there) {
        if (item->life->waiting == 0) {
            item->life->try_delay_us = TRY_DELAY_MIN_US;
            item->life->next_try_us = sb->world->now_us(sb) + TRY_DELAY_MIN_US;
        }
        count_document(item->life, item->document);
    }
    buffer_fini(&record);
    buffer_fini(&old);
    return status;
}

bool waiting_has(const struct life *life, const struct item *item)
{
    struct waiting_key *wk;
    HASH_FIND(hh, life->waiting_keys, &item->document, sizeof item->document, wk);
    return wk != NULL;
}

enum status waiting_remove(struct standby *sb, const struct item *item)
{
    uint8_t key[12];
    uncount_document(item->life, item->document);
    return store_delete(sb->store, STORE_WAITING,
                        waiting_row_key(key, item->life->incarnation, item->seq));
}

/* ---- trying again ---- */

struct feed {
    struct standby *sb;
    struct life *life;
    struct block *block;
    size_t rows;
};

static bool collect_waiting(void *arg, struct span key, struct span value)
{
    struct feed *feed = arg;
    if (key.size != 12 || get_u64be(key.data) >> 32 != feed->life->incarnation)
        return false;
    if (feed->rows == FEED_AT_ONCE || feed->block->bytes.size > FEED_BYTES)
        return false;
    buffer_append_span(&feed->block->bytes, value);
    feed->rows++;
    return true;
}

static bool takes_rows(const struct standby *sb, const struct life *life)
{
    return life->state == LIFE_READY && !life->stopped && !metadata_is_changing(sb, life);
}

void waiting_feed(struct standby *sb, struct life *life)
{
    uint8_t key[12];
    struct feed feed = {.sb = sb, .life = life};
    if (life->waiting == 0 || life->outstanding != 0 || !takes_rows(sb, life))
        return;
    feed.block = bytes_zalloc(sizeof *feed.block);
    feed.block->references = 1;
    if (store_scan(sb->store, STORE_WAITING,
                   waiting_row_key(key, life->incarnation, life->fed_up_to + 1), collect_waiting,
                   &feed) != STATUS_OK)
        standby_stop(sb, STATUS_JOURNAL_IO, "the table of waiting rows cannot be read");
    struct span rest = buffer_span(&feed.block->bytes);
    while (rest.size != 0) {
        struct record record;
        size_t used;
        if (record_decode(rest, &record, &used) != STATUS_OK) {
            standby_stop(sb, STATUS_RECORD_TORN, "a waiting row is damaged");
            break;
        }
        struct item *item = item_new(sb, feed.block, &record);
        item->from_waiting = true;
        life->fed_up_to = item->seq;
        replay_enqueue(sb, item);
        rest = span_of(rest.data + used, rest.size - used);
    }
    block_put(feed.block);
    life->feeding = feed.rows != 0;
    if (feed.rows == 0)
        life->fed_up_to = 0; /* the round is over; what still waits is tried from the beginning */
}

void waiting_tick(struct standby *sb, uint64_t now_us)
{
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        if (life->waiting == 0 || life->outstanding != 0 || !takes_rows(sb, life))
            continue;
        bool going_on = life->feeding;
        if (!going_on && now_us < life->next_try_us)
            continue;
        uint64_t before = life->waiting;
        waiting_feed(sb, life);
        if (life->feeding)
            continue;
        /* A round has ended: all that could go went; the rest has to wait for longer. */
        life->try_delay_us = life->try_delay_us == 0 ? TRY_DELAY_MIN_US : life->try_delay_us * 2;
        if (life->try_delay_us > TRY_DELAY_MAX_US || before == 0)
            life->try_delay_us = TRY_DELAY_MAX_US;
        life->next_try_us = now_us + life->try_delay_us;
    }
}

/* ---- all of a life ---- */

static bool collect_keys(void *arg, struct span key, struct span value)
{
    struct feed *feed = arg;
    (void)value;
    if (key.size != 12 || get_u64be(key.data) >> 32 != feed->life->incarnation)
        return false;
    buffer_append_span(&feed->block->bytes, key);
    return true;
}

enum status waiting_drop(struct standby *sb, struct life *life)
{
    uint8_t key[12];
    struct block block = {0};
    struct feed feed = {.sb = sb, .life = life, .block = &block};
    enum status status = store_scan(
        sb->store, STORE_WAITING, waiting_row_key(key, life->incarnation, 0), collect_keys, &feed);
    for (size_t at = 0; status == STATUS_OK && at < block.bytes.size; at += 12)
        status = store_delete(sb->store, STORE_WAITING, span_of(block.bytes.data + at, 12));
    buffer_fini(&block.bytes);
    forget_documents(life);
    return status;
}

static bool first_key(void *arg, struct span key, struct span value)
{
    (void)value;
    *(uint64_t *)arg = key.size == 12 ? get_u64be(key.data + 4) : UINT64_MAX;
    return false;
}

static bool first_time(void *arg, struct span key, struct span value)
{
    struct record record;
    size_t used;
    (void)key;
    if (record_decode(value, &record, &used) == STATUS_OK)
        *(uint64_t *)arg = record.header.time_us;
    return false;
}

/* The lowest of what READ_FIRST says of each life's first row; UINT64_MAX: none waits. */
static uint64_t lowest_first(struct standby *sb,
                             bool (*read_first)(void *arg, struct span key, struct span value))
{
    uint64_t lowest = UINT64_MAX;
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        uint8_t key[12];
        uint64_t first = UINT64_MAX;
        if (life->waiting == 0)
            continue;
        if (store_scan(sb->store, STORE_WAITING, waiting_row_key(key, life->incarnation, 0),
                       read_first, &first) == STATUS_OK &&
            first < lowest)
            lowest = first;
    }
    return lowest;
}

uint64_t waiting_lowest(struct standby *sb)
{
    return lowest_first(sb, first_key);
}

uint64_t waiting_oldest_us(struct standby *sb)
{
    return lowest_first(sb, first_time);
}

static bool load_waiting(void *arg, struct span key, struct span value)
{
    struct standby *sb = arg;
    struct record record;
    size_t used;
    sb->damaged = key.size != 12 || record_decode(value, &record, &used) != STATUS_OK;
    if (sb->damaged)
        return false;
    struct life *life = life_get(sb, (uint32_t)(get_u64be(key.data) >> 32));
    count_document(life, document_hash(record.row.incarnation, record.row.shard, record.row.id));
    return true;
}

static bool load_parked(void *arg, struct span key, struct span value);

enum status waiting_load(struct standby *sb)
{
    enum status status = store_scan(sb->store, STORE_WAITING, SPAN_NONE, load_waiting, sb);
    if (status == STATUS_OK && sb->damaged)
        status = STATUS_RECORD_TORN;
    if (status == STATUS_OK)
        status = store_scan(sb->store, STORE_PARKED, SPAN_NONE, load_parked, sb);
    return status;
}

/* ---- parked ---- */

enum status parked_add(struct standby *sb, const struct item *item, struct span reason)
{
    uint8_t key[8];
    struct buffer value = {0};
    if (reason.size > 2000)
        reason.size = 2000;
    put_u64be(key, item->seq);
    char *text = span_dup(reason); /* it may have been cut within a character */
    bytes_mend_utf8(text);
    buffer_append_u32(&value, (uint32_t)strlen(text));
    buffer_append_cstr(&value, text);
    free(text);
    append_record(item, &value);
    enum status status =
        store_put(sb->store, STORE_PARKED, span_of((char *)key, 8), buffer_span(&value));
    buffer_fini(&value);
    return status;
}

static bool parked_decode(struct span value, struct span *reason, struct record *record)
{
    struct reader reader = reader_of(value);
    size_t used;
    *reason = reader_take(&reader, reader_u32(&reader));
    return reader.ok && record_decode(span_of(reader.at, (size_t)(reader.end - reader.at)), record,
                                      &used) == STATUS_OK;
}

/* An index whose row was refused stays stopped over a restart. */
static bool load_parked(void *arg, struct span key, struct span value)
{
    struct standby *sb = arg;
    struct span reason;
    struct record record;
    (void)key;
    if (!parked_decode(value, &reason, &record))
        return true;
    struct life *life = life_get(sb, record.row.incarnation);
    life->stopped = sb->conf->refused == REFUSED_STOP || life->client_versions;
    return true;
}

struct parked_walk {
    struct standby *sb;
    struct buffer *out;
    struct life *life; /* NULL: any */
    uint64_t only;     /* seq; 0: all */
    struct buffer seqs;
    size_t count;
};

static bool list_parked(void *arg, struct span key, struct span value)
{
    struct parked_walk *walk = arg;
    struct span reason;
    struct record record;
    if (!parked_decode(value, &reason, &record))
        return true;
    struct life *life = life_get(walk->sb, record.row.incarnation);
    buffer_appendf(walk->out, "%s{\"seq\":%" PRIu64 ",\"index\":", walk->count++ == 0 ? "" : ",",
                   get_u64be(key.data));
    buffer_append_json_string(walk->out, span_cstr(life->name == NULL ? "?" : life->name));
    buffer_append_cstr(walk->out, ",\"id\":");
    buffer_append_json_string(walk->out, record.row.id);
    if (record.row.routed) {
        buffer_append_cstr(walk->out, ",\"routing\":");
        buffer_append_json_string(walk->out, record.row.routing);
    }
    uint64_t wall = walk->sb->world->wall_us(walk->sb);
    buffer_appendf(walk->out, ",\"operation\":\"%s\",\"since\":%" PRIu64 ",\"error\":",
                   record.row.op == ROW_DELETE ? "delete" : "index",
                   wall > record.header.time_us ? (wall - record.header.time_us) / 1000000 : 0);
    buffer_append_json_string(walk->out, reason);
    buffer_append_char(walk->out, '}');
    return true;
}

void parked_list(struct standby *sb, struct buffer *out)
{
    struct parked_walk walk = {.sb = sb, .out = out};
    buffer_append_char(out, '[');
    if (store_scan(sb->store, STORE_PARKED, SPAN_NONE, list_parked, &walk) != STATUS_OK)
        log_error(sb->name, "the table of parked rows cannot be read");
    buffer_append_char(out, ']');
}

static bool pick_parked(void *arg, struct span key, struct span value)
{
    struct parked_walk *walk = arg;
    struct span reason;
    struct record record;
    bool fits = walk->only == 0 || get_u64be(key.data) == walk->only;
    if (fits && walk->life != NULL)
        fits = parked_decode(value, &reason, &record) &&
               record.row.incarnation == walk->life->incarnation;
    if (fits)
        buffer_append_span(&walk->seqs, key);
    return true;
}

/* Takes one row out of the parked ones; RETRY puts it among those that wait. */
static enum status unpark(struct standby *sb, struct span key, bool retry)
{
    struct buffer value = {0};
    struct span reason;
    struct record record;
    enum status status = store_get(sb->store, STORE_PARKED, key, &value);
    if (status == STATUS_OK && parked_decode(buffer_span(&value), &reason, &record)) {
        struct life *life = life_get(sb, record.row.incarnation);
        struct block *block = bytes_zalloc(sizeof *block);
        block->references = 1;
        struct item *item = item_new(sb, block, &record);
        life->stopped = false;
        life->feeding = false;
        life->fed_up_to = 0;
        if (retry && life->state != LIFE_GONE)
            status = waiting_add(sb, item);
        life->next_try_us = 0;
        item_free(sb, item);
        block_put(block);
    }
    buffer_fini(&value);
    if (status == STATUS_OK)
        status = store_delete(sb->store, STORE_PARKED, key);
    return status;
}

static int unpark_all(struct standby *sb, struct parked_walk *walk, bool retry)
{
    int count = 0;
    enum status status = store_scan(sb->store, STORE_PARKED, SPAN_NONE, pick_parked, walk);
    if (status == STATUS_OK && walk->seqs.size != 0) {
        status = store_begin(sb->store);
        for (size_t at = 0; status == STATUS_OK && at < walk->seqs.size; at += 8, count++)
            status = unpark(sb, span_of(walk->seqs.data + at, 8), retry);
        if (status == STATUS_OK)
            status = store_commit(sb->store);
        else
            store_abort(sb->store);
    }
    buffer_fini(&walk->seqs);
    if (status != STATUS_OK) {
        standby_stop(sb, status, "parked rows: %s", status_text(status));
        return -1;
    }
    return count;
}

int parked_retry(struct standby *sb, uint64_t seq)
{
    struct parked_walk walk = {.sb = sb, .only = seq};
    return unpark_all(sb, &walk, true);
}

int parked_drop(struct standby *sb, uint64_t seq)
{
    struct parked_walk walk = {.sb = sb, .only = seq};
    return unpark_all(sb, &walk, false);
}

void parked_retry_life(struct standby *sb, struct life *life)
{
    struct parked_walk walk = {.sb = sb, .life = life};
    if (parked_count(sb) != 0)
        (void)unpark_all(sb, &walk, true);
}

void parked_drop_life(struct standby *sb, struct life *life)
{
    struct parked_walk walk = {.sb = sb, .life = life};
    if (parked_count(sb) != 0)
        (void)unpark_all(sb, &walk, false);
    life->stopped = false;
}

uint64_t parked_count(struct standby *sb)
{
    return store_count(sb->store, STORE_PARKED);
}

void life_free(struct standby *sb, struct life *life)
{
    HASH_DEL(sb->lives, life);
    forget_documents(life);
    free(life->key);
    free(life->name);
    free(life->why);
    free(life->held_why);
    free(life->settings_why);
    free(life->applied);
    free(life->wanted);
    free(life->vectors);
    free(life->standby_uuid);
    free(life->standby_history);
    free(life->type);
    free(life->untranslatable);
    free(life);
}
