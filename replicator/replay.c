/* replay.c - journal records into bulks, in order per document; the checkpoint.
 *
 * Records are read in order. A metadata record stops the reading until it is applied; rows go to
 * lanes by a hash of their document. A lane has at most one bulk under way, so the rows of one
 * document never overtake each other; what must be sent again goes back to the front of its lane.
 *
 * What must hold:
 *   - A record is marked done only when its effect is on the standby, or it is durable in the side
 *     table (waiting, parked).
 *   - The checkpoint is the end of the contiguous done prefix, and becomes durable in the
 *     transaction with the verdicts that moved it.
 *   - A delete is remembered in the same transaction as its verdict.
 *   - Every row goes through the alias of its life and this session, with require_alias and its
 *     external version.
 *
 * Where the clients set the versions (life->client_versions) these are the primary's own. They can
 * begin anew after a delete, so they order nothing by themselves: the journal has the rows of one
 * document in the primary's order, the standby forgets a delete at once (gc_deletes -1), and
 *   - a bulk has one row of a document: the verdict on a row decides what becomes of the next
 *   - what is not of the journal (a seed's, a repair's) goes only when no later delete was taken
 *   - a bulk that went unheard is followed by a new session, so that it can't be executed late.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/outcome.h"
#include "replicator/audit.h"
#include "replicator/seed.h"
#include "replicator/verdict.h"
#include "replicator/verify.h"

#define READ_RECORDS 256
#define READ_BYTES (4u << 20)
#define ITEM_OVERHEAD 200
#define BULK_BYTES_LEAST (64u << 10)
/* After so long a lane that only gets errors is an alarm. */
#define FAILING_ALARM_US (60 * UINT64_C(1000000))
#define BLOCKED_RETRY_US (2 * UINT64_C(1000000))

static void bulk_on_done(struct es_call *call);

/* ---- the done prefix ---- */

static void done_grow(struct standby *sb, uint64_t need)
{
    uint64_t size = sb->done_size == 0 ? 4096 : sb->done_size;
    while (size < need)
        size *= 2;
    if (size == sb->done_size)
        return;
    uint8_t *grown = bytes_zalloc(size);
    for (uint64_t s = sb->first_open; s < sb->next_seq; s++)
        grown[s % size] = sb->done[s % sb->done_size];
    free(sb->done);
    sb->done = grown;
    sb->done_size = size;
}

static void seq_opened(struct standby *sb, uint64_t seq)
{
    CHECK(seq == sb->next_seq);
    done_grow(sb, sb->next_seq - sb->first_open + 1);
    sb->done[seq % sb->done_size] = 0;
    sb->next_seq++;
}

void replay_mark_done(struct standby *sb, uint64_t seq)
{
    if (seq < sb->first_open)
        return; /* it waited in the side table, and the checkpoint passed it */
    if (seq >= sb->next_seq)
        return; /* it waited there when the position went back: it will be read, and sent, again */
    sb->done[seq % sb->done_size] = 1;
    while (sb->first_open < sb->next_seq && sb->done[sb->first_open % sb->done_size])
        sb->first_open++;
}

enum status replay_store_position(struct standby *sb)
{
    enum status status = store_put_number(sb->store, "checkpoint", sb->first_open - 1);
    if (status == STATUS_OK)
        status = store_put_number(sb->store, "epoch", sb->epoch);
    return status;
}

uint64_t replay_safe_checkpoint(struct standby *sb)
{
    uint64_t lowest = waiting_lowest(sb);
    return lowest <= sb->checkpoint ? lowest - 1 : sb->checkpoint;
}

/* ---- items ---- */

void block_put(struct block *block)
{
    if (--block->references != 0)
        return;
    buffer_fini(&block->bytes);
    free(block);
}

uint64_t document_hash(uint32_t incarnation, uint32_t shard, struct span id)
{
    return hash64(id.data, id.size, (uint64_t)incarnation << 32 | shard);
}

/* No version is known, and none is sent: it takes whatever is there. */
#define VERSION_NONE INT64_MAX

static int64_t item_version(struct standby *sb, const struct life *life,
                            const struct record *record)
{
    const struct row *row = &record->row;
    if (!life->client_versions)
        return standby_version(sb, record->header.timeline, row->term, row->seq_no);
    bool known = row->proof != ROW_NEGATIVE && row->version >= 0;
    return known ? row->version : VERSION_NONE;
}

struct item *item_new(struct standby *sb, struct block *block, const struct record *record)
{
    struct item *item = bytes_zalloc(sizeof *item);
    item->block = block;
    block->references++;
    item->row = record->row;
    item->seq = record->header.seq;
    item->time_us = record->header.time_us;
    item->timeline = record->header.timeline;
    item->document = document_hash(item->row.incarnation, item->row.shard, item->row.id);
    item->life = life_get(sb, item->row.incarnation);
    item->version = item_version(sb, item->life, record);
    sb->window_bytes += item->row.source.size + ITEM_OVERHEAD;
    return item;
}

void item_free(struct standby *sb, struct item *item)
{
    sb->window_bytes -= item->row.source.size + ITEM_OVERHEAD;
    block_put(item->block);
    free(item);
}

void replay_enqueue(struct standby *sb, struct item *item)
{
#ifdef PLANT_REORDER
    struct lane *lane = &sb->lanes[item->seq % sb->lane_count];
#else
    struct lane *lane = &sb->lanes[item->document % sb->lane_count];
#endif
    item->next = NULL;
    *lane->last = item;
    lane->last = &item->next;
    lane->count++;
    lane->bytes += item->row.source.size;
    item->life->outstanding++;
}

static struct item *lane_take(struct lane *lane)
{
    struct item *item = lane->first;
    lane->first = item->next;
    if (lane->first == NULL)
        lane->last = &lane->first;
    item->next = NULL;
    lane->count--;
    lane->bytes -= item->row.source.size;
    return item;
}

/* Puts LIST (in order) before everything else in LANE. */
static void lane_put_back(struct lane *lane, struct item *list)
{
    struct item **tail = &list;
    while (*tail != NULL) {
        lane->count++;
        lane->bytes += (*tail)->row.source.size;
        tail = &(*tail)->next;
    }
    *tail = lane->first;
    if (lane->first == NULL)
        lane->last = tail == &list ? &lane->first : tail;
    lane->first = list;
}

/* ITEM needs no further thought. Its seq is done. */
static void finish_item(struct standby *sb, struct item *item)
{
    item->life->outstanding--;
    if (item->page != NULL)
        seed_on_item(item, item->again);
    else if (item->of_repair)
        verify_on_item(sb);
    else
        replay_mark_done(sb, item->seq);
    item_free(sb, item);
}

/* ---- the store, around what a batch of verdicts changes ---- */

static bool store_failed(struct standby *sb, enum status status)
{
    if (status == STATUS_OK)
        return false;
    standby_stop(sb, status, "the replicator's own tables in %s: %s", sb->conf->folder,
                 status_text(status));
    return true;
}

/* Commits the open transaction with the position; false when the store failed (the standby is
 * stopped then). */
static bool commit_position(struct standby *sb)
{
    enum status status = FAILPOINT("R6") ? STATUS_JOURNAL_IO : replay_store_position(sb);
    if (status == STATUS_OK)
        status = store_commit(sb->store);
    else
        store_abort(sb->store);
    if (store_failed(sb, status))
        return false;
    sb->checkpoint = sb->first_open - 1;
    return true;
}

/* ---- bulks ---- */

static bool life_takes_rows(const struct life *life)
{
    return life->state == LIFE_READY && !life->stopped && !life->blocked;
}

/* A negative row of a shard that nothing was ever written to. To a standby that names types its
 * delete would say the index' type, which nobody knows yet. */
static bool takes_nothing_away(const struct row *row)
{
    return row->op == ROW_DELETE && row->proof == ROW_NEGATIVE && row->term == 1 && row->seq_no < 0;
}

/* A delete that was taken says that ITEM is of no use. */
static bool is_covered(struct standby *sb, const struct item *item)
{
    /* The remembered delete itself is sent again: a standby that was restored does not have it. */
    int64_t covered = item->version + (item->row.op == ROW_DELETE);
    if (item->life->client_versions) {
        bool of_journal = item->page == NULL && !item->of_repair;
        if (of_journal || item->row.op == ROW_DELETE)
            return false;
        covered = item->version;
    }
    return deletes_covers(sb, item->life->incarnation, item->document, covered);
}

/* What happens to ITEM without asking the standby: true when it is dealt with. Within a store
 * transaction. */
static bool settle_at_home(struct standby *sb, struct item *item, enum status *status)
{
    struct life *life = item->life;
    bool ended = life->state == LIFE_GONE || (life->state == LIFE_HELD && life->ending);
    if (ended || takes_nothing_away(&item->row) || is_covered(sb, item)) {
        if (item->from_waiting)
            *status = waiting_remove(sb, item);
        return true;
    }
    /* What a seed has read it can read again. */
    if (item->page != NULL || item->of_repair) {
        item->again = !life_takes_rows(life);
        return item->again;
    }
    /* What waited is how a block is tried: it goes out although the index is said to be blocked. */
    if (item->from_waiting)
        return life->state != LIFE_READY || life->stopped;
    if (!life_takes_rows(life) || waiting_has(life, item)) {
        *status = waiting_add(sb, item);
        return true;
    }
    return false;
}

static void append_version(struct buffer *body, const struct item *item)
{
#ifdef PLANT_DOCUMENT_VERSION
    buffer_appendf(body, ",\"version\":%" PRId64 ",\"version_type\":\"external\"",
                   item->row.version > 0 ? item->row.version : 1);
#else
    if (item->only_if)
        buffer_appendf(body, ",\"if_seq_no\":%" PRId64 ",\"if_primary_term\":%" PRIu64,
                       item->only_if_seq_no, item->only_if_term);
    else if (!item->life->client_versions || item->version != VERSION_NONE)
        buffer_appendf(body, ",\"version\":%" PRId64 ",\"version_type\":\"external%s\"",
                       item->version,
                       item->even_if_equal || item->life->client_versions ? "_gte" : "");
#endif
}

static void append_item(struct standby *sb, struct buffer *body, const struct item *item)
{
    const struct row *row = &item->row;
    struct buffer alias = {0};
#ifdef PLANT_INDEX_NAME
    buffer_append_cstr(&alias, item->life->name);
#else
    life_alias(sb, item->life, &alias);
#endif
    buffer_append_cstr(body, row->op == ROW_DELETE ? "{\"delete\":{\"_index\":"
                                                   : "{\"index\":{\"_index\":");
    buffer_append_json_string(body, buffer_span(&alias));
    buffer_fini(&alias);
    if (!standby_at_least(sb, 7, 0)) {
        buffer_append_cstr(body, ",\"_type\":");
        buffer_append_json_string(body, row->type.size != 0        ? row->type
                                        : item->life->type != NULL ? span_cstr(item->life->type)
                                                                   : SPAN("_doc"));
    }
    buffer_append_cstr(body, ",\"_id\":");
    buffer_append_json_string(body, row->id);
    if (row->routed) {
        buffer_append_cstr(body, ",\"routing\":");
        buffer_append_json_string(body, row->routing);
    }
    if (row->dynamic_templates.size != 0 && row->op == ROW_INDEX) {
        buffer_append_cstr(body, ",\"dynamic_templates\":");
        buffer_append_span(body, row->dynamic_templates);
    }
    append_version(body, item);
    buffer_append_cstr(body, "}}\n");
    if (row->op == ROW_INDEX) {
        json_append_line(row->source, body);
        buffer_append_char(body, '\n');
    }
}

/* Verdicts need this of an answer; all of it would be ten times as long, and costs the standby. */
#define VERDICTS "filter_path=items.*.status,items.*.result,items.*.error"

static const char *bulk_target(const struct standby *sb)
{
#ifndef PLANT_INDEX_NAME
    if (standby_at_least(sb, 7, 10))
        return "/_bulk?require_alias=true&pipeline=_none&" VERDICTS;
#endif
    return standby_at_least(sb, 6, 5) ? "/_bulk?pipeline=_none&" VERDICTS : "/_bulk?" VERDICTS;
}

/* True when the next row of LANE must wait for the verdict on one that is in the bulk. */
static bool must_wait(const struct lane *lane)
{
    const struct item *next = lane->first;
    if (!next->life->client_versions)
        return false;
    for (const struct item *item = lane->flying; item != NULL; item = item->next)
        if (item->document == next->document)
            return true;
    return false;
}

/* Takes rows from the front of LANE into its call; what needs no asking is settled on the way. */
static void fill_bulk(struct standby *sb, struct lane *lane)
{
    struct item **tail = &lane->flying;
    size_t rows = 0, most = lane->alone ? 1 : sb->conf->bulk_records;
    enum status status = store_begin(sb->store);
    es_call_set(&lane->call, "POST", "%s", bulk_target(sb));
    lane->call.content_type = "application/x-ndjson";
    lane->call.plain = true;
    lane->call.once = false;
    lane->flying = NULL;
    while (status == STATUS_OK && lane->first != NULL && rows < most) {
        size_t next = lane->first->row.source.size;
        if (rows != 0 && (lane->call.body.size + next > sb->bulk_bytes_now || must_wait(lane)))
            break;
        struct item *item = lane_take(lane);
        if (settle_at_home(sb, item, &status)) {
            finish_item(sb, item);
            continue;
        }
        append_item(sb, &lane->call.body, item);
        /* libcurl would send it again by itself; the first of the two might be executed late. */
        lane->call.once = lane->call.once || item->life->client_versions;
        *tail = item;
        tail = &item->next;
        rows++;
    }
    if (status != STATUS_OK) {
        store_abort(sb->store);
        (void)store_failed(sb, status);
        return;
    }
    (void)commit_position(sb);
}

static void slow_down(struct standby *sb, struct lane *lane, const char *why);

static void start_bulk(struct standby *sb, struct lane *lane)
{
    (void)FAILPOINT("R2");
    fill_bulk(sb, lane);
    if (lane->flying == NULL || sb->state == STANDBY_STOPPED)
        return;
    if (FAILPOINT("R3")) { /* nothing is sent */
        lane_put_back(lane, lane->flying);
        lane->flying = NULL;
        slow_down(sb, lane, "failpoint R3");
        return;
    }
    lane->busy = true;
    sb->lanes_busy++;
    sb->bulks_sent++;
    lane->call.timeout_us = sb->conf->request_timeout;
    lane->call.on_done = bulk_on_done;
    lane->call.arg = lane;
    sb->world->call(sb, &lane->call);
}

/* ---- answers ---- */

static void slow_down(struct standby *sb, struct lane *lane, const char *why)
{
    uint64_t now = sb->world->now_us(sb);
    sb->retries++;
    if (lane->failing_since_us == 0)
        lane->failing_since_us = now;
    if (now - lane->failing_since_us > FAILING_ALARM_US && !sb->away)
        snprintf(sb->alarm, sizeof sb->alarm, "rows are not taken since %" PRIu64 " s: %.400s",
                 (now - lane->failing_since_us) / 1000000, why);
    if (lane->backoff_us == 0 && sb->bulks_now > 1)
        log_info(sb->name, "it asks us to slow down, or fails: %s", why);
    lane->backoff_us = lane->backoff_us == 0 ? sb->conf->backoff_min : lane->backoff_us * 2;
    if (lane->backoff_us > sb->conf->backoff_max)
        lane->backoff_us = sb->conf->backoff_max;
    /* Jitter from what is at hand: the lanes must not come back together. */
    uint64_t jitter =
        hash64(&now, sizeof now, (uint64_t)(lane - sb->lanes)) % (lane->backoff_us / 2 + 1);
    lane->retry_us = now + lane->backoff_us / 2 + jitter;
    sb->bulk_bytes_now =
        sb->bulk_bytes_now / 2 < BULK_BYTES_LEAST ? BULK_BYTES_LEAST : sb->bulk_bytes_now / 2;
    sb->bulks_now = sb->bulks_now > 1 ? sb->bulks_now / 2 : 1;
}

static void speed_up(struct standby *sb, struct lane *lane)
{
    lane->backoff_us = 0;
    lane->retry_us = 0;
    lane->failing_since_us = 0;
    if (lane->alone != 0)
        lane->alone--;
    if (sb->bulk_bytes_now < sb->conf->bulk_bytes)
        sb->bulk_bytes_now += sb->conf->bulk_bytes / 16;
    if (sb->bulks_now < sb->conf->bulks_in_flight && sb->bulks_sent % 8 == 0)
        sb->bulks_now++;
}

void replay_may_be_stale(struct standby *sb, struct life *life)
{
    struct journal_info info;
    sb->world->journal_info(sb, &info);
    if (life == NULL)
        sb->stale_seq = info.last_seq;
    else
        life->stale_seq = info.last_seq;
}

/* Where the primary's own versions count, the standby can have a newer one than a row only where
 * that row was replayed before, or a seed or a repair was ahead of it. Else the document has begun
 * anew on the primary, and its end never passed here: a _ttl, or somebody past Tandem. */
static void look_at_stale(struct standby *sb, const struct item *item)
{
    struct life *life = item->life;
    if (!life->client_versions || item->page != NULL || item->of_repair || life->filling ||
        item->seq <= life->stale_seq || item->seq <= sb->stale_seq)
        return;
    log_error(
        sb->name,
        "index %s: the standby has a version above that of a new write (id %.*s): the document "
        "was deleted past Tandem, or written on the standby; the index is compared",
        life->name == NULL ? "?" : life->name, (int)item->row.id.size, item->row.id.data);
    replay_may_be_stale(sb, life); /* said once for all there are now */
    audit_suspect(life);
}

static enum status take_done(struct standby *sb, struct item *item,
                             const struct outcome_item *answer)
{
    enum status status = STATUS_OK;
    sb->rows_done++;
    sb->stale += answer->status == 409;
    if (answer->status == 409)
        look_at_stale(sb, item);
    if (item->page != NULL && answer->status != 409)
        seed_on_written(item);
    item->life->blocked = false; /* it was tried, and works again */
#ifndef PLANT_FORGET_DELETES
    if (item->row.op == ROW_DELETE && !item->only_if)
        status = deletes_remember(sb, item->life->incarnation, item->document, item->version);
#endif
    if (status == STATUS_OK && item->from_waiting)
        status = waiting_remove(sb, item);
    return status;
}

static void note_blocked(struct standby *sb, struct life *life, struct span error)
{
    snprintf(sb->alarm, sizeof sb->alarm, "index %s takes no writes: %.*s",
             life->name == NULL ? "?" : life->name, (int)(error.size > 300 ? 300 : error.size),
             error.data == NULL ? "" : error.data);
    if (!life->blocked)
        log_error(sb->name, "%s; its rows wait and are tried again", sb->alarm);
    life->blocked = true;
    life->next_try_us = sb->world->now_us(sb) + BLOCKED_RETRY_US;
}

static enum status take_refused(struct standby *sb, struct item *item, struct span error)
{
    struct life *life = item->life;
    enum status status = parked_add(sb, item, error);
    sb->rows_refused++;
    if (status == STATUS_OK && item->from_waiting)
        status = waiting_remove(sb, item);
    /* Where clients set the versions a later row of the document must not go before it. */
    if (sb->conf->refused == REFUSED_STOP || life->client_versions)
        life->stopped = true;
    log_error(sb->name, "index %s refuses a row for good, it is parked%s: %.*s (seq=%" PRIu64 ")",
              life->name == NULL ? "?" : life->name,
              life->stopped ? " and the index stops until `tandemctl parked retry` or `drop`" : "",
              (int)(error.size > 300 ? 300 : error.size), error.data == NULL ? "" : error.data,
              item->seq);
    return status;
}

/* One item's verdict, within the transaction. True: it must be sent again. */
static bool take_verdict(struct standby *sb, struct item *item, const struct outcome_item *answer,
                         enum status *status)
{
    enum verdict verdict = verdict_item(answer);
    switch (verdict) {
    case VERDICT_DONE:
        *status = take_done(sb, item, answer);
        return false;
    case VERDICT_RETRY:
        return true;
    case VERDICT_PARK:
        *status = take_refused(sb, item, answer->error);
        return false;
    case VERDICT_BLOCKED:
        note_blocked(sb, item->life, answer->error);
        break;
    case VERDICT_ALIAS:
        sb->doc_next_us = 0; /* look at .tandem: another session? */
        item->life->alias_lost = true;
        if (item->life->state == LIFE_READY)
            life_set_state(sb, item->life, LIFE_HELD, "its alias is gone from the standby");
        break;
    case VERDICT_MAPPING:
        break;
    }
    item->again = item->page != NULL || item->of_repair;
    if (!item->again && !item->from_waiting)
        *status = waiting_add(sb, item);
    return false;
}

/* The items of a 2xx answer; those to be sent again go back to the lane. */
static void take_items(struct standby *sb, struct lane *lane)
{
    struct outcome_walk walk;
    struct outcome_item answer;
    struct item *again = NULL, **again_tail = &again;
    enum status walked = outcome_walk_init(&walk, buffer_span(&lane->call.answer));
    enum status status = store_begin(sb->store);
    struct item *item = lane->flying;
    lane->flying = NULL;
    while (item != NULL && status == STATUS_OK) {
        struct item *next = item->next;
        item->next = NULL;
        if (walked == STATUS_OK)
            walked = outcome_next(&walk, &answer);
        bool retry = walked != STATUS_OK || take_verdict(sb, item, &answer, &status);
        if (retry) {
            *again_tail = item;
            again_tail = &item->next;
        } else {
            finish_item(sb, item);
        }
        item = next;
    }
    *again_tail = item;
    bool any = again != NULL;
    lane_put_back(lane, again);
    if (status == STATUS_OK && FAILPOINT("R5"))
        status = STATUS_JOURNAL_IO;
    if (status != STATUS_OK) {
        store_abort(sb->store);
        (void)store_failed(sb, status);
        return;
    }
    if (commit_position(sb)) {
        if (any)
            slow_down(sb, lane, "some rows of a bulk were not taken");
        else
            speed_up(sb, lane);
    }
}

/* A single row that was refused without an item: it is what is wrong. */
static void refuse_lone_row(struct standby *sb, struct lane *lane)
{
    struct item *item = lane->flying;
    lane->flying = NULL;
    enum status status = store_begin(sb->store);
    if (status == STATUS_OK)
        status = take_refused(sb, item, buffer_span(&lane->call.answer));
    if (status != STATUS_OK) {
        store_abort(sb->store);
        (void)store_failed(sb, status);
        return;
    }
    finish_item(sb, item);
    (void)commit_position(sb);
}

static void bulk_refused(struct standby *sb, struct lane *lane)
{
    struct es_call *call = &lane->call;
    enum verdict verdict =
        call->status == STATUS_OK ? verdict_bulk(call->http_status) : VERDICT_RETRY;
    char why[400];
    snprintf(why, sizeof why, "%.380s",
             call->status == STATUS_OK ? buffer_cstr(&call->answer) : call->why);
    if (verdict == VERDICT_PARK && lane->flying->next == NULL) {
        refuse_lone_row(sb, lane);
        return;
    }
    bool unheard = call->status != STATUS_OK || call->http_status >= 500;
    bool late_is_wrong = false;
    size_t rows = 0;
    for (struct item *item = lane->flying; item != NULL; item = item->next, rows++) {
        item->life->stray = item->life->stray || unheard;
        late_is_wrong = late_is_wrong || (unheard && item->life->client_versions);
    }
    if (verdict == VERDICT_BLOCKED)
        snprintf(sb->alarm, sizeof sb->alarm, "bulks are refused: %d %.300s", call->http_status,
                 why);
    lane_put_back(lane, lane->flying);
    lane->flying = NULL;
    if (verdict == VERDICT_PARK)
        lane->alone = rows;
    if (verdict != VERDICT_PARK)
        slow_down(sb, lane, why);
    if (late_is_wrong) {
        sb->begin_again = true;
        standby_stop(
            sb, STATUS_CLUSTER_AWAY,
            "a bulk went unheard that has documents with their clients' own versions; it is "
            "taken over anew, so that the bulk can't be executed late: %.300s",
            why);
    }
}

static void bulk_on_done(struct es_call *call)
{
    struct lane *lane = call->arg;
    struct standby *sb = lane->sb;
    if (FAILPOINT("R4")) /* the answer is lost */
        call->status = STATUS_CLUSTER_AWAY;
    lane->busy = false;
    sb->lanes_busy--;
    if (sb->away != (call->status == STATUS_CLUSTER_AWAY))
        sb->away_since_us = sb->world->now_us(sb);
    sb->away = call->status == STATUS_CLUSTER_AWAY;
    if (sb->away)
        snprintf(sb->away_why, sizeof sb->away_why, "%s", call->why);
    if (call->status == STATUS_OK && call->http_status >= 200 && call->http_status < 300) {
        sb->alarm[0] = '\0';
        take_items(sb, lane);
    } else {
        bulk_refused(sb, lane);
    }
    standby_on_records(sb); /* room in the window, and perhaps a metadata record that waited */
}

/* ---- reading ---- */

static void take_hello(struct standby *sb, const struct hello *hello)
{
    for (size_t i = 0; i < hello->base_count && i < COUNT_OF(sb->bases); i++)
        sb->bases[i] = hello->bases[i];
    sb->base_count = hello->base_count;
    if (sb->cluster_uuid != NULL && span_equal(hello->cluster_uuid, span_cstr(sb->cluster_uuid))) {
        standby_stop(sb, STATUS_IDENTITY, "the standby's address leads to the primary itself");
    } else if (sb->system_id == NULL) {
        sb->system_id = span_dup(hello->system_id);
    } else if (!span_equal(hello->system_id, span_cstr(sb->system_id))) {
        standby_stop(sb, STATUS_IDENTITY,
                     "the journal is of system %.*s, this standby belongs to %s",
                     (int)hello->system_id.size, hello->system_id.data, sb->system_id);
    }
}

static bool timeline_is_known(const struct standby *sb, uint64_t timeline)
{
    for (size_t i = 0; i < sb->base_count; i++)
        if (sb->bases[i].timeline == timeline)
            return true;
    return timeline == 1; /* base[1] = 0 */
}

static void take_record(struct standby *sb, struct block *block, const struct record *record,
                        struct span bytes)
{
    seq_opened(sb, record->header.seq);
    sb->last_read_time_us = record->header.time_us;
    switch (record->header.kind) {
    case RECORD_ROW:
        if (!timeline_is_known(sb, record->header.timeline))
            standby_stop(sb, STATUS_JOURNAL_BROKEN, "timeline %" PRIu64 " has no base",
                         record->header.timeline);
        else
            replay_enqueue(sb, item_new(sb, block, record));
        audit_on_row(sb, record->header.seq, &record->row);
        return;
    case RECORD_METADATA:
        if (record->metadata.high_term > sb->high_term)
            sb->high_term = record->metadata.high_term;
        metadata_apply(sb, record, bytes);
        return;
    case RECORD_MARK:
        marks_on_record(sb, record->mark.number, record->header.seq);
        break;
    case RECORD_HELLO:
        take_hello(sb, &record->hello);
        break;
    case RECORD_ANSWERED:
        audit_note(sb, record->answered.incarnation, record->answered.shard,
                   record->answered.seq_no);
        break;
    case RECORD_SWEPT:
        audit_on_swept(sb, &record->swept);
        break;
    case RECORD_FENCE:
    case RECORD_ROLE:
        break;
    }
    replay_mark_done(sb, record->header.seq);
}

/* Takes the records of BLOCK until one must be applied first; the rest is read again. */
static void take_block(struct standby *sb, struct block *block)
{
    struct span rest = buffer_span(&block->bytes);
    while (rest.size != 0 && !sb->applying && sb->state != STANDBY_STOPPED) {
        struct record record;
        size_t used;
        enum status status =
            FAILPOINT("R1") ? STATUS_RECORD_TORN : record_decode(rest, &record, &used);
        if (status != STATUS_OK) {
            standby_stop(sb, status, "the journal cannot be read at seq %" PRIu64 ": %s",
                         sb->next_seq, status_text(status));
            return;
        }
        if (record.header.seq != sb->next_seq) {
            standby_stop(sb, STATUS_JOURNAL_BROKEN,
                         "the journal jumps from seq %" PRIu64 " to %" PRIu64, sb->next_seq,
                         record.header.seq);
            return;
        }
        take_record(sb, block, &record, span_of(rest.data, used));
        rest = span_of(rest.data + used, rest.size - used);
    }
}

/* Reads one stretch. False: there is nothing more, or no room. */
static bool read_more(struct standby *sb)
{
    size_t count = 0;
    size_t records = READ_RECORDS;
    if (sb->applying || sb->window_bytes >= sb->conf->window_bytes || sb->state == STANDBY_STOPPED)
        return false;
    if (sb->state == STANDBY_RELEASING) { /* what comes later is not for this cluster any more */
        if (sb->next_seq > sb->release_to)
            return false;
        if (sb->release_to - sb->next_seq + 1 < records)
            records = sb->release_to - sb->next_seq + 1;
    }
    if (store_is_nearly_full(sb->store)) {
        snprintf(
            sb->alarm, sizeof sb->alarm,
            "the replicator's own tables in %s are nearly full with rows that wait: nothing more "
            "is read until they go; raise size_max",
            sb->conf->folder);
        return false;
    }
    struct block *block = bytes_zalloc(sizeof *block);
    block->references = 1;
    enum status status = FAILPOINT("R0") ? STATUS_JOURNAL_IO
                                         : sb->world->read(sb, sb->next_seq, records, READ_BYTES,
                                                           &block->bytes, &count);
    if (status == STATUS_NOT_FOUND)
        standby_stop(sb, STATUS_JOURNAL_MISSING,
                     "the journal no longer has seq %" PRIu64
                     ": this standby was dropped by the retention, or its "
                     "position is of another journal; it must be seeded again",
                     sb->next_seq);
    else if (status != STATUS_OK)
        standby_stop(sb, status, "the journal cannot be read at seq %" PRIu64, sb->next_seq);
    sb->reading = true;
    if (status == STATUS_OK && count != 0)
        take_block(sb, block);
    sb->reading = false;
    block_put(block);
    return count != 0;
}

/* ---- turns ---- */

static void start_bulks(struct standby *sb, uint64_t now_us)
{
    for (size_t i = 0; i < sb->lane_count && sb->lanes_busy < sb->bulks_now; i++) {
        struct lane *lane = &sb->lanes[(sb->bulks_sent + i) % sb->lane_count];
        if (!lane->busy && lane->first != NULL && now_us >= lane->retry_us &&
            sb->state != STANDBY_STOPPED)
            start_bulk(sb, lane);
    }
}

void replay_on_reload(struct standby *sb)
{
    if (sb->bulk_bytes_now > sb->conf->bulk_bytes)
        sb->bulk_bytes_now = sb->conf->bulk_bytes;
    if (sb->bulks_now > sb->conf->bulks_in_flight)
        sb->bulks_now = sb->conf->bulks_in_flight;
}

void replay_tick(struct standby *sb, uint64_t now_us)
{
    while (read_more(sb))
        ;
    start_bulks(sb, now_us);
    if (sb->state == STANDBY_STOPPED || sb->first_open - 1 == sb->checkpoint)
        return;
    /* Records that are no rows moved the position: store it before it gets old. */
    if (sb->lanes_busy == 0 && store_begin(sb->store) == STATUS_OK)
        (void)commit_position(sb);
}

bool replay_is_drained(const struct standby *sb)
{
    if (sb->lanes_busy != 0)
        return false;
    for (size_t i = 0; i < sb->lane_count; i++)
        if (sb->lanes[i].first != NULL)
            return false;
    return true;
}

void replay_start(struct standby *sb, uint64_t next_seq)
{
    sb->next_seq = sb->first_open = next_seq;
    sb->checkpoint = next_seq - 1;
    done_grow(sb, 1);
    sb->lane_count = sb->conf->lanes;
    sb->lanes = bytes_zalloc(sb->lane_count * sizeof *sb->lanes);
    for (size_t i = 0; i < sb->lane_count; i++) {
        sb->lanes[i].sb = sb;
        sb->lanes[i].last = &sb->lanes[i].first;
        es_call_init(&sb->lanes[i].call);
    }
    sb->bulk_bytes_now = sb->conf->bulk_bytes;
    sb->bulks_now = sb->conf->bulks_in_flight;
}

static void free_items(struct standby *sb, struct item *item)
{
    while (item != NULL) {
        struct item *next = item->next;
        item_free(sb, item);
        item = next;
    }
}

void replay_free(struct standby *sb)
{
    for (size_t i = 0; i < sb->lane_count; i++) {
        es_call_fini(&sb->lanes[i].call);
        free_items(sb, sb->lanes[i].first);
        free_items(sb, sb->lanes[i].flying);
    }
    free(sb->lanes);
    free(sb->done);
}
