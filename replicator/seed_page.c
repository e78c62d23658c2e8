/* seed_page.c - reads a stretch of an index of the primary and puts its documents into the lanes.
 *
 * A page is a range of sequence numbers of one shard, (from, to]. Each number belongs to one
 * document at most (a shrunk index: to a few), so the search needs no order, no scroll and no point
 * in time, and a page that was read by half is read again by any later process. What was written
 * since has moved to a higher number and has a row in the journal.
 *
 *     DUE -> ASKED -> CONFIRMING -> READ -> WRITING -> DONE
 *      ^_______|___________|__________________/
 *
 * What must hold:
 *   - Rows go out only when a state read that began after the page came shows that the index has
 *     the same life: uuids never come back, so the page was read from it.
 *   - A page is taken only whole: no shard failed, not timed out, fewer hits than were asked for.
 *   - Nothing is put into the lanes while a definition is applied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/json.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/hits.h"
#include "es/index_state.h"
#include "http/message.h"
#include "replicator/reading.h"
#include "replicator/seed_impl.h"

#define PAGE_ROWS 5000
#define SCROLL_ROWS 1000
#define STEP_MAX (INT64_C(1) << 24)
#define ANSWER_MAX (512u << 20)
#define CONFIRM_MAX (4u << 20)
#define TIMEOUT_US (120 * UINT64_C(1000000))
#define MOVED_RETRY_US (2 * UINT64_C(1000000))

static void on_read(struct es_call *call);
static void on_confirmed(struct es_call *call);

struct seed_page *seed_page_new(struct seed *seed, size_t shard)
{
    struct seed_page *page = bytes_zalloc(sizeof *page);
    struct seed_shard *s = &seed->shards[shard];
    page->sb = seed->sb;
    page->seed = seed;
    page->shard = shard;
    page->from = page->at = s->next;
    page->to = s->to - s->next > seed->step ? s->next + seed->step : s->to;
    page->upto = page->to;
    s->next = page->to;
    es_call_init(&page->call);
    es_call_init(&page->confirm);
    seed->pages++;
    return page;
}

void seed_page_free(struct seed_page *page)
{
    es_call_fini(&page->call);
    es_call_fini(&page->confirm);
    free(page->scroll);
    free(page);
}

static bool has_numbers(const struct seed_page *page)
{
    return !page->seed->life->no_numbers;
}

/* Nobody knows how far a scroll is after an answer that can't be used. */
static void begin_scroll(struct seed_page *page)
{
    free(page->scroll);
    page->scroll = NULL;
}

static void read_again(struct seed_page *page)
{
    page->backoff_us = page->backoff_us == 0 ? SEED_BACKOFF_MIN_US : page->backoff_us * 2;
    if (page->backoff_us > SEED_BACKOFF_MAX_US)
        page->backoff_us = SEED_BACKOFF_MAX_US;
    page->retry_us = page->sb->world->now_us(page->sb) + page->backoff_us;
    page->bytes = 0;
    page->state = PAGE_DUE;
    begin_scroll(page);
}

/* How many documents a part of the scroll has. */
static int64_t part_of(const struct seed_page *page)
{
    int64_t part = page->seed->step, max = page->seed->life->hits_max;
    if (page->part != 0 && page->part < part)
        part = page->part;
    return part < max ? part : max;
}

static void ask(struct seed_page *page, uint64_t now_us)
{
    const struct seed *seed = page->seed;
    size_t shard = seed->shards[page->shard].number;
    if (has_numbers(page))
        hits_search(&page->call, seed->life->name, shard, seed->life->hits_max, page->at,
                    page->upto, seed->life->hides_vectors);
    else
        hits_scroll_search(&page->call, seed->life->name, shard, part_of(page), page->scroll);
    page->call.answer_max = ANSWER_MAX;
    page->call.plain = !page->sb->settings->seed_compress;
    page->call.timeout_us = TIMEOUT_US;
    page->call.on_done = on_read;
    page->call.arg = page;
    page->bytes = seed_page_bytes(page->sb);
    page->asked_us = now_us;
    page->state = PAGE_ASKED;
    page->busy = true;
    page->sb->world->primary_call(page->sb, &page->call);
}

/* For the whole of this page: fit_step() raises the seed's with the next part that is small. */
static bool scroll_less(struct seed_page *page)
{
    int64_t part = part_of(page);
    if (part < 2)
        return false;
    page->part = part / 2;
    page->retry_us = page->bytes = 0;
    page->state = PAGE_DUE;
    begin_scroll(page);
    return true;
}

/* Half of what was asked for; false: it is a single number already. */
static bool ask_for_less(struct seed_page *page)
{
    if (!has_numbers(page))
        return scroll_less(page);
    if (page->upto - page->at < 2)
        return false;
    page->upto = page->at + (page->upto - page->at) / 2;
    page->seed->step = page->upto - page->at;
    page->retry_us = page->bytes = 0;
    page->state = PAGE_DUE;
    return true;
}

static void confirm(struct seed_page *page)
{
    struct buffer name = {0};
    http_percent_encode(span_cstr(page->seed->life->name), &name);
    es_call_set(&page->confirm, "GET", "/_cluster/state/metadata/%s?filter_path=" INDEX_LIFE_FILTER,
                buffer_cstr(&name));
    buffer_fini(&name);
    page->confirm.answer_max = CONFIRM_MAX;
    page->confirm.timeout_us = TIMEOUT_US;
    page->confirm.on_done = on_confirmed;
    page->confirm.arg = page;
    page->state = PAGE_CONFIRMING;
    page->busy = true;
    page->sb->world->primary_call(page->sb, &page->confirm);
}

/* The call of PAGE has ended. False: the page is not wanted any more, and is freed with the next
 * turn. */
static bool still_wanted(struct seed_page *page)
{
    page->busy = false;
    return page->seed != NULL;
}

static bool is_whole(struct seed_page *page)
{
    struct hits_walk walk;
    int64_t shards = 0;
    if (hits_init(&walk, buffer_span(&page->call.answer), &shards) == STATUS_OK && shards == 1)
        return true;
    seed_wait(page->seed, "the primary answers for shard %zu only in part",
              page->seed->shards[page->shard].number);
    return false;
}

static void on_read(struct es_call *call)
{
    (void)FAILPOINT("S3");
    struct seed_page *page = call->arg;
    struct standby *sb = page->sb;
    if (!still_wanted(page))
        return;
    struct seed *seed = page->seed;
    uint64_t took = sb->world->now_us(sb) - page->asked_us;
    if (call->status == STATUS_TOO_LARGE && ask_for_less(page))
        return;
    if (!seed_answered(seed, call, "read from") || !is_whole(page)) {
        seed_slow_down(seed);
        read_again(page);
        return;
    }
    page->bytes = call->answer.size;
    if (took > sb->settings->seed_latency_max)
        seed_slow_down(seed);
    confirm(page);
}

/* Is it the life that was read? */
static bool is_this_life(struct seed_page *page)
{
    json_t *state = json_tree(buffer_span(&page->confirm.answer));
    const char *why = reading_not_this_life(page->sb, page->seed->life, state);
    json_decref(state);
    if (why != NULL)
        seed_wait(page->seed, "%s", why);
    return why == NULL;
}

static void on_confirmed(struct es_call *call)
{
    (void)FAILPOINT("S4");
    struct seed_page *page = call->arg;
    struct standby *sb = page->sb;
    if (!still_wanted(page))
        return;
    if (seed_answered(page->seed, call, "read from") && is_this_life(page))
        page->state = PAGE_READ;
    else
        read_again(page);
    standby_on_records(sb); /* last: the page may be gone then */
}

/* ---- rows ---- */

/* Appends the record of one hit to OUT; false: it can't be a row. */
static bool append_row(struct seed_page *page, const struct hit *hit, struct buffer *out)
{
    struct hit_text text;
    bool good = hit_text_init(&text, hit); /* the number of a document without one: its version */
    if (good)
        reading_append_row(page->sb,
                           &(struct row){.op = ROW_INDEX,
                                         .proof = ROW_PROBED,
                                         .incarnation = page->seed->life->incarnation,
                                         .shard = (uint32_t)page->seed->shards[page->shard].number,
                                         .term = hit->term,
                                         .seq_no = hit->seq_no,
                                         .version = hit->version,
                                         .routed = hit->routing.size != 0,
                                         .routing = buffer_span(&text.routing),
                                         .id = buffer_span(&text.id),
                                         .content = CONTENT_JSON,
                                         .source = hit->source,
                                         .type = buffer_span(&text.type)},
                           out);
    hit_text_fini(&text);
    return good;
}

/* The hits as records; how many, -1: they are not what was asked for. */
static int64_t append_rows(struct seed_page *page, struct buffer *out)
{
    struct hits_walk walk;
    struct hit hit;
    int64_t count = 0;
    enum status status = hits_init(&walk, buffer_span(&page->call.answer), NULL);
    while (status == STATUS_OK && (status = hits_next(&walk, &hit)) == STATUS_OK) {
        if (!has_numbers(page))
            hit_by_version(&hit);
        if (!append_row(page, &hit, out))
            return -1;
        count++;
    }
    return status == STATUS_NOT_FOUND ? count : -1;
}

static void enqueue(struct seed_page *page, struct block *block)
{
    struct span rest = buffer_span(&block->bytes);
    while (rest.size != 0) {
        struct record record;
        size_t used;
        CHECK(record_decode(rest, &record, &used) == STATUS_OK);
        struct item *item = item_new(page->sb, block, &record);
        item->page = page;
        page->outstanding++;
        replay_enqueue(page->sb, item);
        rest = span_of(rest.data + used, rest.size - used);
    }
}

/* The next page is to be as large as one should be. */
static void fit_step(struct seed *seed, int64_t asked, int64_t rows, size_t bytes)
{
    if (seed->life->no_numbers) { /* until it is slow again; a scroll keeps the size that it has */
        seed->step = seed->step < SCROLL_ROWS / 2 ? seed->step * 2 : SCROLL_ROWS;
        return;
    }
    int64_t step = asked < STEP_MAX / 2 ? asked * 2 : STEP_MAX;
    uint64_t target = seed_page_bytes(seed->sb);
    if (bytes > target)
        step = (int64_t)((double)asked * (double)target / (double)bytes);
    else if (bytes > target / 2 || rows > PAGE_ROWS / 2)
        step = asked;
    if (rows > PAGE_ROWS)
        step = asked / 2;
    seed->step = step < 1 ? 1 : step;
}

void seed_note_read(struct standby *sb, uint64_t documents, uint64_t bytes)
{
    const struct settings *settings = sb->settings;
    uint64_t now = sb->world->now_us(sb), cost = 0;
    if (settings->seed_rate_max != 0)
        cost = documents * 1000000 / settings->seed_rate_max;
    if (settings->seed_bytes_max != 0 && bytes * 1000000 / settings->seed_bytes_max > cost)
        cost = bytes * 1000000 / settings->seed_bytes_max;
    sb->seed_next_us = (sb->seed_next_us > now ? sb->seed_next_us : now) + cost;
}

static void write_rows(struct seed_page *page)
{
    struct seed *seed = page->seed;
    size_t bytes = page->call.answer.size;
    struct block *block = bytes_zalloc(sizeof *block);
    block->references = 1;
    int64_t rows = append_rows(page, &block->bytes);
    bool full = has_numbers(page) && rows >= seed->life->hits_max;
    if (full && ask_for_less(page)) {
        block_put(block);
        return;
    }
    if (rows < 0 || full) {
        seed_wait(seed, rows < 0 ? "a document came without _source or sequence numbers: it can't "
                                   "be copied like this"
                                 : "too many documents have one sequence number");
        block_put(block);
        read_again(page);
        return;
    }
    enqueue(page, block);
    (void)FAILPOINT("S5");
    block_put(block);
    if (!has_numbers(page)) {
        free(page->scroll);
        page->scroll = hits_scroll(buffer_span(&page->call.answer));
    }
    page->rows = (uint64_t)rows;
    seed->rows += (uint64_t)rows;
    seed->bytes += bytes;
    page->sb->seed_rows += (uint64_t)rows;
    page->sb->seed_bytes += bytes;
    seed_note_read(page->sb, (uint64_t)rows, bytes);
    fit_step(seed, page->upto - page->at, rows, bytes);
    buffer_fini(&page->call.answer);
    page->again = false;
    page->state = PAGE_WRITING;
}

/* All rows of what was read are dealt with. */
static void end_writing(struct seed_page *page)
{
    (void)FAILPOINT("S6");
    if (page->again) {
        read_again(page);
        return;
    }
    page->backoff_us = page->retry_us = page->bytes = 0;
    if (!has_numbers(page) && page->rows != 0) {
        page->state = PAGE_DUE; /* until a part of the scroll is empty */
        seed_goes_on(page->seed);
        return;
    }
    page->seed->explained += page->rows;
    page->at = page->upto;
    page->upto = page->to - page->at > page->seed->step ? page->at + page->seed->step : page->to;
    page->state = page->at == page->to ? PAGE_DONE : PAGE_DUE;
    seed_goes_on(page->seed);
}

static bool may_write(const struct seed_page *page)
{
    const struct standby *sb = page->sb;
    const struct life *life = page->seed->life;
    return !sb->applying && life->state == LIFE_READY && !life->stopped && !life->blocked &&
           sb->window_bytes < sb->conf->window_bytes;
}

void seed_page_turn(struct seed_page *page, uint64_t now_us)
{
    if (page->seed == NULL || page->busy)
        return;
    if (page->state == PAGE_WRITING && page->outstanding == 0)
        end_writing(page);
    if (page->state == PAGE_READ && may_write(page))
        write_rows(page);
    if (page->state == PAGE_DUE && now_us >= page->retry_us && now_us >= page->sb->seed_next_us &&
        seed_may_read(page->sb) && seed_may_ask(page->sb))
        ask(page, now_us);
}
