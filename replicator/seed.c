/* seed.c - copies what an index of the primary held before Tandem saw it, while writes go on.
 *
 * For each index that is filling: its shards are counted (global checkpoints), it is refreshed, and
 * all documents with a sequence number up to that are read in pages and written through the same
 * lanes as the live rows, with the same versions. So the order of the two does not matter: what is
 * older loses. What is written meanwhile has a row of its own.
 *
 *     ASKED -> COUNTING -> REFRESHING -> SCANNING -> DONE
 *       ^__________|___________|            ^_________| (a standby that was set back)
 *
 * What must hold:
 *   - From before the counting until the end no remembered delete of the index is forgotten: a page
 *     may hold a document that is deleted before the page is written.
 *   - Counted before it is refreshed: what is counted is on every copy of the shard by then, and a
 *     search after the refresh finds it.
 *   - The position moves in the order of the pages, and only over what the standby has
 *     acknowledged.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/seed.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "conf/hours.h"
#include "conf/settings.h"
#include "es/index_state.h"
#include "http/message.h"
#include "replicator/audit.h"
#include "replicator/reading.h"
#include "replicator/seed_impl.h"

#define FIRST_STEP 1000
#define CALL_TIMEOUT_US (60 * UINT64_C(1000000))
#define ANSWER_MAX (16u << 20)
/* Half of the window is for seeds: while its rows are on their way the next pages are read, and the
 * journal's rows always find the other half. */
#define WINDOW_SHARE 2
/* So many pages fit into that: some are read while others are written. */
#define PAGES_HELD 8
/* However small they are: each turn looks at all of them. */
#define PAGES_MAX 32

static const struct {
    const char *name;
    unsigned next; /* the states that may follow, as bits */
} seed_states[] = {
    [SEED_ASKED] = {"asked", BIT(SEED_COUNTING)},
    [SEED_COUNTING] = {"counting", BIT(SEED_REFRESHING) | BIT(SEED_ASKED)},
    [SEED_REFRESHING] = {"refreshing", BIT(SEED_SCANNING) | BIT(SEED_ASKED)},
    [SEED_SCANNING] = {"scanning", BIT(SEED_DONE)},
    [SEED_DONE] = {"done", BIT(SEED_SCANNING)},
};

static void seed_set_state(struct seed *seed, enum seed_state next)
{
    CHECK(seed_states[seed->state].next & BIT(next));
    seed->state = next;
}

/* ---- what is stored ---- */

json_t *seed_document(const struct life *life)
{
    const struct seed *seed = life->seed;
    if (seed == NULL)
        return NULL;
    /* What was only counted is counted again. */
    bool begun = seed->state >= SEED_SCANNING;
    json_t *shards = json_array();
    for (size_t i = 0; begun && i < seed->shard_count; i++)
        json_array_append_new(shards, json_pack("[I,I,I]", (json_int_t)seed->shards[i].at,
                                                (json_int_t)seed->shards[i].to,
                                                (json_int_t)seed->shards[i].safe));
    return json_pack("{s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I}", "state",
                     seed_states[begun ? seed->state : SEED_ASKED].name, "asked", seed->asked,
                     "shards", shards, "step", (json_int_t)seed->step, "rows",
                     (json_int_t)seed->rows, "bytes", (json_int_t)seed->bytes, "begun_us",
                     (json_int_t)seed->begun_us, "done_writes", (json_int_t)seed->done_writes,
                     "done_seq", (json_int_t)seed->done_seq);
}

static struct seed *seed_new(struct standby *sb, struct life *life)
{
    struct seed *seed = bytes_zalloc(sizeof *seed);
    seed->sb = sb;
    seed->life = life;
    seed->step = FIRST_STEP;
    es_call_init(&seed->call);
    life->seed = seed;
    return seed;
}

static uint64_t member_u64(const json_t *json, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(json, name));
}

void seed_load(struct standby *sb, struct life *life, const json_t *json)
{
    const char *state = json_string_value(json_object_get(json, "state"));
    const json_t *shards = json_object_get(json, "shards"), *shard;
    size_t i;
    if (state == NULL || life->seed != NULL)
        return;
    struct seed *seed = seed_new(sb, life);
    for (int s = SEED_ASKED; s <= SEED_DONE; s++)
        if (strcmp(state, seed_states[s].name) == 0)
            seed->state = (enum seed_state)s;
    seed->asked = json_is_true(json_object_get(json, "asked"));
    seed->shard_count = json_array_size(shards);
    seed->shards = bytes_zalloc((seed->shard_count + 1) * sizeof *seed->shards);
    json_array_foreach(shards, i, shard)
    {
        int64_t at = json_integer_value(json_array_get(shard, 0));
        int64_t safe = json_integer_value(json_array_get(shard, 2));
        seed->shards[i] = (struct seed_shard){.number = i,
                                              .at = at,
                                              .next = at,
                                              .to = json_integer_value(json_array_get(shard, 1)),
                                              .sent = safe,
                                              .safe = safe};
    }
    if (member_u64(json, "step") != 0)
        seed->step = (int64_t)member_u64(json, "step");
    seed->rows = member_u64(json, "rows");
    seed->bytes = member_u64(json, "bytes");
    seed->begun_us = member_u64(json, "begun_us");
    seed->done_writes = member_u64(json, "done_writes");
    seed->done_seq = member_u64(json, "done_seq");
}

/* ---- what goes wrong ---- */

void seed_wait(struct seed *seed, const char *format, ...)
{
    char why[sizeof seed->why];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    bytes_mend_utf8(why);
    if (seed->why[0] == '\0') /* said once, although the words of the next answer may be others */
        log_warn(seed->sb->name, "seeding index %s waits: %s", seed->life->name, why);
    memcpy(seed->why, why, sizeof why);
    seed->backoff_us = seed->backoff_us == 0 ? SEED_BACKOFF_MIN_US : seed->backoff_us * 2;
    if (seed->backoff_us > SEED_BACKOFF_MAX_US)
        seed->backoff_us = SEED_BACKOFF_MAX_US;
    seed->retry_us = seed->sb->world->now_us(seed->sb) + seed->backoff_us;
}

void seed_goes_on(struct seed *seed)
{
    if (seed->why[0] != '\0')
        log_info(seed->sb->name, "seeding index %s goes on", seed->life->name);
    seed->why[0] = '\0';
    seed->backoff_us = seed->retry_us = 0;
    if (seed->sb->seed_pages_now < seed->sb->settings->seed_pages && ++seed->sb->seed_good % 8 == 0)
        seed->sb->seed_pages_now++;
}

void seed_slow_down(struct seed *seed)
{
    struct standby *sb = seed->sb;
    sb->seed_pages_now = sb->seed_pages_now > 1 ? sb->seed_pages_now / 2 : 1;
    seed->step = seed->step > 1 ? seed->step / 2 : 1;
}

bool seed_answered(struct seed *seed, const struct es_call *call, const char *what)
{
    if (call->status != STATUS_OK) {
        seed_wait(seed, "the primary cannot be %s: %s", what, call->why);
        return false;
    }
    if (call->http_status >= 200 && call->http_status < 300)
        return true;
    struct span body = buffer_span(&call->answer);
    seed_wait(seed, "the primary refuses to be %s: %d %.*s%s", what, call->http_status,
              (int)(body.size > 160 ? 160 : body.size), body.data == NULL ? "" : body.data,
              call->http_status == 403 || call->http_status == 401
                  ? " (primary.credentials_file needs the right to read the index and its stats)"
                  : "");
    return false;
}

/* ---- counting and refreshing ---- */

static void start_anew(struct seed *seed)
{
    seed_set_state(seed, SEED_ASKED);
}

static void call_primary(struct seed *seed, const char *method, const char *what,
                         void (*on_done)(struct es_call *call))
{
    struct buffer name = {0};
    http_percent_encode(span_cstr(seed->life->name), &name);
    es_call_set(&seed->call, method, "/%s/%s", buffer_cstr(&name), what);
    buffer_fini(&name);
    seed->call.answer_max = ANSWER_MAX;
    seed->call.timeout_us = CALL_TIMEOUT_US;
    seed->call.on_done = on_done;
    seed->call.arg = seed;
    seed->busy = true;
    seed->sb->world->primary_call(seed->sb, &seed->call);
}

static void seed_free_one(struct seed *seed)
{
    es_call_fini(&seed->call);
    free(seed->shards);
    free(seed);
}

/* The call of SEED has ended. False: nobody wants it any more. */
static bool still_wanted(struct seed *seed)
{
    struct seed **link = &seed->sb->seeds_dropped;
    seed->busy = false;
    if (seed->life != NULL)
        return true;
    while (*link != seed)
        link = &(*link)->next_dropped;
    *link = seed->next_dropped;
    seed_free_one(seed);
    return false;
}

static void on_refreshed(struct es_call *call)
{
    (void)FAILPOINT("S2");
    struct seed *seed = call->arg;
    if (!still_wanted(seed))
        return;
    if (!seed_answered(seed, call, "refreshed")) {
        start_anew(seed);
        return;
    }
    seed_set_state(seed, SEED_SCANNING);
    seed->begun_us = seed->sb->world->wall_us(seed->sb);
    seed->rows = seed->bytes = 0;
    seed_goes_on(seed);
    if (seed->of_audit || !life_save(seed->sb, seed->life))
        return;
    log_info(seed->sb->name, "index %s is being seeded (shards=%zu)", seed->life->name,
             seed->shard_count);
    standby_on_records(seed->sb); /* last: it may be gone then */
}

/* Without numbers a shard is one page. */
static bool read_shard_without_numbers(const json_t *copies, struct seed_shard *shard)
{
    const json_t *copy = index_primary_copy(copies);
    shard->to = 0;
    shard->documents =
        (uint64_t)json_integer_value(json_object_get(json_object_get(copy, "docs"), "count"));
    return copy != NULL;
}

/* The global checkpoint of the primary copy among COPIES; false: there is none now. */
static bool read_shard(const json_t *copies, int64_t *to)
{
    const json_t *checkpoint = json_object_get(index_shard_numbers(copies), "global_checkpoint");
    *to = json_integer_value(checkpoint);
    return json_is_integer(checkpoint);
}

static bool read_counts(struct seed *seed, const json_t *index)
{
    const json_t *shards = json_object_get(index, "shards");
    const char *uuid = json_string_value(json_object_get(index, "uuid"));
    char name[24];
    bool numbers = !seed->life->no_numbers;
    /* Before 6.0 it is not said here; each page is confirmed. */
    if (numbers && (uuid == NULL || strncmp(seed->life->key, uuid, strlen(uuid)) != 0)) {
        seed_wait(seed, "the primary has another index of this name now, or none that is open");
        return false;
    }
    seed->shard_count = seed->life->shards;
    free(seed->shards);
    seed->shards = bytes_zalloc((seed->shard_count + 1) * sizeof *seed->shards);
    for (size_t i = 0; i < seed->shard_count; i++) {
        struct seed_shard *shard = &seed->shards[i];
        snprintf(name, sizeof name, "%zu", i);
        shard->number = i;
        shard->at = shard->next = shard->sent = shard->safe = -1;
        const json_t *copies = json_object_get(shards, name);
        if (numbers ? !read_shard(copies, &shard->to)
                    : !read_shard_without_numbers(copies, shard)) {
            seed_wait(seed, "shard %zu of it has no primary copy now, or tells no sequence numbers",
                      i);
            return false;
        }
    }
    return true;
}

static void on_counted(struct es_call *call)
{
    (void)FAILPOINT("S1");
    struct seed *seed = call->arg;
    if (!still_wanted(seed))
        return;
    bool good = seed_answered(seed, call, "asked for the index's stats");
    if (good) {
        json_t *json = json_tree(buffer_span(&call->answer));
        good =
            read_counts(seed, json_object_get(json_object_get(json, "indices"), seed->life->name));
        json_decref(json);
    }
    if (!good) {
        start_anew(seed);
        return;
    }
    seed_set_state(seed, SEED_REFRESHING);
    call_primary(seed, "POST", "_refresh", on_refreshed);
}

static void begin(struct seed *seed)
{
    if (seed->life->unseedable != NULL) {
        seed_wait(seed, "%s", seed->life->unseedable);
        return;
    }
    seed_set_state(seed, SEED_COUNTING);
    call_primary(seed, "GET",
                 "_stats?level=shards&filter_path=indices.*.uuid,indices.*.shards.*.seq_no,"
                 "indices.*.shards.*.routing,indices.*.shards.*.docs",
                 on_counted);
}

/* ---- pages ---- */

bool seed_may_read(const struct standby *sb)
{
    return hours_have(sb->settings->seed_hours,
                      hours_minute(sb->world->wall_us((struct standby *)(uintptr_t)sb)));
}

static bool is_first_of_shard(const struct standby *sb, const struct seed_page *page)
{
    for (const struct seed_page *other = sb->seed_pages; other != NULL; other = other->next)
        if (other->seed == page->seed && other->shard == page->shard && other->from < page->from)
            return false;
    return true;
}

/* Pages that are through, and have none before them, move the position. */
static bool take_finished(struct standby *sb)
{
    for (struct seed_page *page = sb->seed_pages; page != NULL; page = page->next) {
        if (page->seed == NULL || page->state != PAGE_DONE || page->taken ||
            !is_first_of_shard(sb, page))
            continue;
        page->seed->shards[page->shard].at = page->to;
        page->taken = true;
        page->seed->pages--;
        bool stored = page->seed->of_audit || life_save(sb, page->seed->life);
        page->seed = NULL;
        return stored;
    }
    return false;
}

static void free_pages(struct standby *sb)
{
    struct seed_page **link = &sb->seed_pages;
    while (*link != NULL) {
        struct seed_page *page = *link;
        if (page->seed != NULL || page->busy || page->outstanding != 0) {
            link = &page->next;
            continue;
        }
        *link = page->next;
        sb->seed_page_count--;
        seed_page_free(page);
    }
}

uint64_t seed_page_bytes(const struct standby *sb)
{
    uint64_t most = sb->conf->window_bytes / WINDOW_SHARE / PAGES_HELD;
    return sb->conf->bulk_bytes < most ? sb->conf->bulk_bytes : most;
}

static bool has_room(const struct standby *sb)
{
    uint64_t held = 0;
    for (const struct seed_page *page = sb->seed_pages; page != NULL; page = page->next)
        held += page->bytes;
    return held == 0 || held + seed_page_bytes(sb) <= sb->conf->window_bytes / WINDOW_SHARE;
}

bool seed_may_ask(const struct standby *sb)
{
    size_t asked = 0;
    for (const struct seed_page *page = sb->seed_pages; page != NULL; page = page->next)
        asked += page->busy;
    return asked < sb->seed_pages_now && has_room(sb);
}

static bool can_go_on(const struct seed *seed)
{
    const struct life *life = seed->life;
    return life->state == LIFE_READY && !life->ending && !life->stopped && !life->blocked;
}

/* Pages that the primary was not asked for, or has not answered yet; those whose rows are on their
 * way to the standby are none of its concern. */
static size_t pages_to_read(const struct standby *sb)
{
    size_t count = 0;
    for (const struct seed_page *page = sb->seed_pages; page != NULL; page = page->next)
        count += page->busy || page->state == PAGE_DUE;
    return count;
}

static void add_pages(struct seed *seed, uint64_t now_us)
{
    struct standby *sb = seed->sb;
    for (size_t i = 0; i < seed->shard_count; i++)
        while (seed->shards[i].next < seed->shards[i].to && sb->seed_page_count < PAGES_MAX &&
               pages_to_read(sb) < sb->seed_pages_now && has_room(sb)) {
            struct seed_page *page = seed_page_new(seed, i);
            page->next = sb->seed_pages;
            sb->seed_pages = page;
            sb->seed_page_count++;
            seed_page_turn(page, now_us);
        }
}

static void finish(struct seed *seed)
{
    (void)FAILPOINT("S7");
    struct standby *sb = seed->sb;
    struct life *life = seed->life;
    uint64_t took = sb->world->wall_us(sb) - seed->begun_us;
    seed_set_state(seed, SEED_DONE);
    seed->done_seq = sb->next_seq;
    life->filling = false;
    replay_may_be_stale(sb, life);
    for (size_t i = 0; i < seed->shard_count && !life->no_numbers; i++)
        audit_set_base(life, i, seed->shards[i].to);
    if (!life->made_empty &&
        !life->no_numbers) /* it may have had more before, and a seed takes nothing away */
        audit_suspect(life);
    life->made_empty = false;
    if (life_save(seed->sb, seed->life))
        log_info(sb->name,
                 "index %s is seeded (documents=%" PRIu64 " bytes=%" PRIu64 " seconds=%.1f)",
                 life->name, seed->rows, seed->bytes, (double)took / 1e6);
}

static bool is_through(const struct seed *seed)
{
    for (size_t i = 0; i < seed->shard_count; i++)
        if (seed->shards[i].at != seed->shards[i].to)
            return false;
    return seed->pages == 0;
}

static void turn(struct standby *sb, struct life *life, uint64_t now_us)
{
    if (life->seed == NULL && life->filling && sb->settings->seed_mode == SEED_AUTO)
        (void)seed_new(sb, life);
    struct seed *seed = life->seed;
    if (seed == NULL || seed->busy || !can_go_on(seed) || sb->applying)
        return;
    bool wanted = seed->asked || sb->settings->seed_mode == SEED_AUTO;
    if (seed->state == SEED_ASKED && wanted && life->filling && now_us >= seed->retry_us &&
        seed_may_read(sb))
        begin(seed);
    else if (seed->state == SEED_SCANNING && is_through(seed))
        finish(seed);
    else if (seed->state == SEED_SCANNING && seed_may_read(sb))
        add_pages(seed, now_us);
}

static void turn_scan(struct seed *scan, uint64_t now_us)
{
    if (scan->busy || scan->sb->applying)
        return;
    if (scan->state == SEED_ASKED || (scan->state == SEED_SCANNING && is_through(scan)))
        audit_on_scanned(scan); /* of what failed the next round knows */
    else if (scan->state == SEED_SCANNING && can_go_on(scan) && seed_may_read(scan->sb))
        add_pages(scan, now_us);
}

void seed_tick(struct standby *sb, uint64_t now_us)
{
    if (sb->world->primary_call == NULL || sb->state != STANDBY_RUNNING)
        return;
    if (sb->seed_pages_now == 0 || sb->seed_pages_now > sb->settings->seed_pages)
        sb->seed_pages_now = sb->settings->seed_pages;
    if (sb->seed_seq == 0)
        sb->seed_seq = UINT64_C(1) << 62 | sb->world->wall_us(sb);
    for (struct seed_page *page = sb->seed_pages; page != NULL; page = page->next)
        seed_page_turn(page, now_us);
    while (take_finished(sb))
        ;
    free_pages(sb);
    for (struct life *life = sb->lives; life != NULL && sb->state == STANDBY_RUNNING;
         life = life->hh.next) {
        if (life->filling || life->seed != NULL)
            turn(sb, life, now_us);
        if (audit_scan_of(life) != NULL)
            turn_scan(audit_scan_of(life), now_us);
    }
}

void seed_on_item(struct item *item, bool again)
{
    struct seed_page *page = item->page;
    page->outstanding--;
    page->again = page->again || again;
}

/* ---- from outside ---- */

bool seed_holds_deletes(const struct life *life)
{
#ifdef PLANT_SEED_FORGETS
    (void)life;
    return false;
#else
    bool seeds =
        life->seed != NULL && life->seed->state != SEED_ASKED && life->seed->state != SEED_DONE;
    return seeds || audit_scan_of(life) != NULL;
#endif
}

bool seed_is_done(const struct life *life)
{
    return life->seed != NULL && life->seed->state == SEED_DONE;
}

/* Nobody wants SEED any more; it goes when its call has ended. */
static void drop(struct standby *sb, struct seed *seed)
{
    for (struct seed_page *page = sb->seed_pages; page != NULL; page = page->next)
        if (page->seed == seed)
            page->seed = NULL;
    seed->life = NULL;
    if (seed->busy) {
        seed->next_dropped = sb->seeds_dropped;
        sb->seeds_dropped = seed;
    } else {
        seed_free_one(seed);
    }
}

void seed_forget(struct standby *sb, struct life *life)
{
    if (life->seed == NULL)
        return;
    drop(sb, life->seed);
    life->seed = NULL;
}

/* ---- the scans of an audit ---- */

struct seed *seed_scan_begin(struct standby *sb, struct life *life, struct seed_shard *list,
                             size_t count)
{
    struct seed *scan = bytes_zalloc(sizeof *scan);
    scan->sb = sb;
    scan->life = life;
    scan->of_audit = true;
    scan->step = FIRST_STEP;
    scan->shards = list;
    scan->shard_count = count;
    es_call_init(&scan->call);
    seed_set_state(scan, SEED_COUNTING); /* the audit has counted */
    seed_set_state(scan, SEED_REFRESHING);
    call_primary(scan, "POST", "_refresh", on_refreshed);
    return scan;
}

void seed_scan_free(struct seed *scan)
{
    seed_free_one(scan);
}

void seed_scan_drop(struct standby *sb, struct seed *scan)
{
    drop(sb, scan);
}

void seed_on_written(struct item *item)
{
    struct seed *seed = item->page->seed;
    if (seed == NULL)
        return;
    seed->written++;
    if (seed->of_audit)
        audit_on_corrected(seed->sb, seed->life);
}

int seed_ask(struct standby *sb, const char *pattern, bool again)
{
    int count = 0;
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        bool named = life->name != NULL &&
                     (pattern == NULL || span_matches(span_cstr(life->name), span_cstr(pattern)));
        if (!named || life->state == LIFE_GONE || life->ending || !(life->filling || again))
            continue;
        if (again) {
            seed_forget(sb, life);
            life->filling = life->incomplete = true;
        }
        struct seed *seed = life->seed == NULL ? seed_new(sb, life) : life->seed;
        seed->asked = true;
        seed->retry_us = 0;
        if (!life_save(seed->sb, seed->life))
            return -1;
        count++;
    }
    return count;
}

void seed_start_over(struct standby *sb, struct life *life)
{
    seed_forget(sb, life);
    life->filling =
        life->incomplete || (life->wanted != NULL && definition_is_filling(life->wanted));
}

/* ---- what of it is sure to be on the standby ---- */

bool seed_wants_document(const struct standby *sb)
{
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        const struct seed *seed = life->seed;
        if (seed == NULL || seed->state < SEED_SCANNING)
            continue;
        if (seed->state == SEED_DONE && seed->done_writes == 0)
            return true;
        for (size_t i = 0; seed->state == SEED_SCANNING && i < seed->shard_count; i++)
            if (seed->shards[i].at != seed->shards[i].safe)
                return true;
    }
    return false;
}

void seed_on_document(struct standby *sb)
{
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        struct seed *seed = life->seed;
        for (size_t i = 0; seed != NULL && i < seed->shard_count; i++)
            seed->shards[i].sent = seed->shards[i].at;
        if (seed != NULL && seed->state == SEED_DONE && seed->done_writes == 0)
            seed->done_writes = sb->doc_writes;
    }
}

void seed_on_document_stored(struct standby *sb)
{
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        for (size_t i = 0; life->seed != NULL && i < life->seed->shard_count; i++)
            life->seed->shards[i].safe = life->seed->shards[i].sent;
}

/* What LIFE's seed has done since the document of the standby was written does not count. */
static void go_back(struct life *life)
{
    struct seed *seed = life->seed;
    if (seed->state == SEED_DONE)
        seed_set_state(seed, SEED_SCANNING);
    seed->done_writes = 0;
    life->filling = true;
    for (size_t i = 0; i < seed->shard_count; i++)
        seed->shards[i].at = seed->shards[i].next = seed->shards[i].sent = seed->shards[i].safe;
}

void seed_on_takeover(struct standby *sb, uint64_t writes, uint64_t known_writes)
{
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        const struct seed *seed = life->seed;
        if (seed == NULL || seed->state < SEED_SCANNING)
            continue;
        if (seed->state == SEED_DONE && seed->done_writes != 0 && seed->done_writes <= writes)
            continue;
        if (writes >= known_writes)
            go_back(life);
        else
            seed_start_over(sb, life); /* an older copy: what it has of it nobody knows */
    }
    sb->doc_writes = writes > known_writes ? writes : known_writes;
}

void seed_free(struct standby *sb)
{
    while (sb->seed_pages != NULL) {
        struct seed_page *page = sb->seed_pages;
        sb->seed_pages = page->next;
        seed_page_free(page);
    }
    while (sb->seeds_dropped != NULL) {
        struct seed *seed = sb->seeds_dropped;
        sb->seeds_dropped = seed->next_dropped;
        seed_free_one(seed);
    }
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->seed != NULL) {
            seed_free_one(life->seed);
            life->seed = NULL;
        }
}

/* Numbers, or documents, read and how many there are. */
static void measure(const struct seed *seed, uint64_t *done, uint64_t *all)
{
    *done = *all = 0;
    for (size_t i = 0; i < seed->shard_count && seed->life->no_numbers; i++)
        *all += seed->shards[i].documents;
    if (seed->life->no_numbers) { /* what was written meanwhile may be among the rows */
        *done = seed->rows < *all ? seed->rows : *all;
        return;
    }
    for (size_t i = 0; i < seed->shard_count; i++) {
        *done += (uint64_t)(seed->shards[i].at + 1);
        *all += (uint64_t)(seed->shards[i].to + 1);
    }
}

const char *seed_waits_for(const struct standby *sb, const struct life *life)
{
    const struct seed *seed = life->seed;
    if (seed == NULL || seed->state == SEED_DONE)
        return NULL;
    if (seed->why[0] != '\0')
        return seed->why;
    if (seed->state == SEED_ASKED && !seed->asked && sb->settings->seed_mode == SEED_MANUAL)
        return "seed.mode is manual";
    return seed_may_read(sb) ? NULL : "it is not the hour for it (seed.hours)";
}

json_t *seed_report(struct standby *sb, const struct life *life)
{
    struct seed *seed = life->seed;
    uint64_t done, all, now = sb->world->now_us(sb);
    if (seed == NULL || seed->state == SEED_DONE)
        return NULL;
    const char *why = seed_waits_for(sb, life);
    measure(seed, &done, &all);
    json_t *json = json_pack("{s:s, s:I, s:I, s:s}", "state", seed_states[seed->state].name,
                             "documents", (json_int_t)seed->rows, "bytes", (json_int_t)seed->bytes,
                             "why", why == NULL ? "" : why);
    if (seed->state != SEED_SCANNING || all == 0)
        return json;
    json_object_set_new(json, "done", json_real((double)done / (double)all));
    if (seed->speed_from_us == 0) {
        seed->speed_from_us = now;
        seed->speed_from = done;
    }
    if (done > seed->speed_from)
        json_object_set_new(json, "left_s",
                            json_real((double)(all - done) * (double)(now - seed->speed_from_us) /
                                      1e6 / (double)(done - seed->speed_from)));
    return json;
}
