/* audit.c - finds what changed the primary without passing Tandem, and what got lost on the way.
 *
 * Every operation that is applied takes one sequence number of its shard. The journal names the
 * numbers that were answered to clients; those of an index that was seeded begin behind the seed.
 * So per shard the numbers must be without a gap, up to the global checkpoint of the primary's
 * copy. A gap may be called one when a mark was asked for after that was read, and the journal was
 * read to the mark: what was under way is in it then.
 *
 *     IDLE -> ASKED (stats) -> MARKED (a mark is awaited) -> IDLE
 *
 * The numbers of a gap are scanned on the primary, as a seed scans. A document that is found goes
 * to the standby with its own version: it was written past Tandem, or its row was in doubt. A
 * number without a document was overwritten since, or deletes something, or stands for nothing (a
 * document that failed within the engine). Which of these only a comparison of the whole index can
 * tell: it is verified and repaired then.
 *
 * A write by query says only how many operations it was. When as many numbers of its ranges are
 * missing, they are its own; when not, they are gaps like others. Deletions of which nobody knows
 * the documents lead to a comparison, which may find as many on the standby alone.
 *
 * What must hold:
 *   - Only answered numbers count, never those of rows that were probed or are negative: they are
 *     what somebody saw, not what was written.
 *   - All of it is a cache: what is not known is looked at again.
 *   - What was corrected on the standby is not in the journal. When rows from before a correction
 * are replayed once more, its index is compared as a whole.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/audit.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/index_state.h"
#include "replicator/reading.h"
#include "replicator/seed_impl.h"
#include "replicator/verify.h"

#define TIMEOUT_US (60 * UINT64_C(1000000))
#define ANSWER_MAX (256u << 20)
#define HOLES_AT_ONCE 200
#define STORED_MAX 50 /* stretches per shard; what is beyond is looked at again */

/* Numbers LO to HI, both included. */
struct stretch {
    int64_t lo, hi;
};

struct audit_shard {
    int64_t complete;     /* all up to it are accounted for */
    struct stretch *list; /* owned: those above it, in order, apart */
    size_t count, capacity;
    int64_t reach; /* of the primary in this round; -2: not known */
};

struct audit {
    struct audit_shard *shards; /* owned */
    size_t shard_count;
    struct seed *scan; /* owned; of gaps, under way; NULL: none */
    uint64_t scanned;  /* numbers in it */
    bool suspect;      /* numbers without a document: it must be compared */
    uint64_t excused;  /* documents that the primary deleted, as it said, and nobody knows which */
    uint64_t verified_us;
    uint64_t corrected_seq;             /* where the replay was at the last correction; 0: none */
    uint64_t holes, found, unexplained; /* since the replicator knows the index */
};

/* ---- numbers ---- */

static struct audit_shard *shard_get(struct life *life, size_t shard)
{
    if (life->audit == NULL)
        life->audit = bytes_zalloc(sizeof *life->audit);
    struct audit *audit = life->audit;
    if (shard >= audit->shard_count) {
        audit->shards = bytes_realloc(audit->shards, (shard + 1) * sizeof *audit->shards);
        for (size_t i = audit->shard_count; i <= shard; i++)
            audit->shards[i] = (struct audit_shard){.complete = -1, .reach = -2};
        audit->shard_count = shard + 1;
    }
    return &audit->shards[shard];
}

/* The first stretch that ends at SEQ_NO - 1 or later. */
static size_t find(const struct audit_shard *shard, int64_t seq_no)
{
    size_t low = 0, high = shard->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (shard->list[middle].hi < seq_no - 1)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remove_stretches(struct audit_shard *shard, size_t at, size_t count)
{
    if (count == 0)
        return;
    memmove(shard->list + at, shard->list + at + count,
            (shard->count - at - count) * sizeof *shard->list);
    shard->count -= count;
}

static void insert_stretch(struct audit_shard *shard, size_t at, int64_t lo, int64_t hi)
{
    if (shard->count == shard->capacity) {
        shard->capacity = shard->capacity == 0 ? 8 : 2 * shard->capacity;
        shard->list = bytes_realloc(shard->list, shard->capacity * sizeof *shard->list);
    }
    memmove(shard->list + at + 1, shard->list + at, (shard->count - at) * sizeof *shard->list);
    shard->list[at] = (struct stretch){lo, hi};
    shard->count++;
}

/* LO to HI are accounted for. */
static void note_stretch(struct audit_shard *shard, int64_t lo, int64_t hi)
{
    if (hi <= shard->complete)
        return;
    size_t at = find(shard, lo), end = at;
    while (end < shard->count && shard->list[end].lo <= hi + 1) {
        lo = shard->list[end].lo < lo ? shard->list[end].lo : lo;
        hi = shard->list[end].hi > hi ? shard->list[end].hi : hi;
        end++;
    }
    remove_stretches(shard, at, end - at);
    if (lo > shard->complete + 1) {
        insert_stretch(shard, at, lo, hi);
        return;
    }
    shard->complete = hi;
    while (shard->count != 0 && shard->list[0].lo <= shard->complete + 1) {
        if (shard->list[0].hi > shard->complete)
            shard->complete = shard->list[0].hi;
        remove_stretches(shard, 0, 1);
    }
}

void audit_note(struct standby *sb, uint32_t incarnation, uint32_t shard, int64_t seq_no)
{
    struct life *life = life_get(sb, incarnation);
    if (seq_no >= 0 && !life->no_numbers)
        note_stretch(shard_get(life, shard), seq_no, seq_no);
}

/* A loss of this would not be found by looking again. */
static void keep(struct standby *sb, const struct life *life)
{
    if (life->key != NULL)
        (void)life_save(sb, life);
}

static void suspect_and_keep(struct standby *sb, struct life *life)
{
#ifndef PLANT_BASE_COVERS
    audit_suspect(life);
#endif
    keep(sb, life);
}

/* LIFE is not seeded yet. What becomes of ROW's document past Tandem has a number that the base of
 * the audit will cover; but not where its own number counts, see audit_set_base(). */
static void row_before_base(struct standby *sb, struct life *life, const struct row *row)
{
    const struct audit_shard *shard = shard_get(life, row->shard);
    if (row->proof == ROW_ANSWERED) {
        bool first =
            row->seq_no > shard->complete && (shard->count == 0 || row->seq_no < shard->list[0].lo);
        audit_note(sb, row->incarnation, row->shard, row->seq_no);
        if (first)
            keep(sb, life);
    } else if (row->proof == ROW_PROBED && !life->audit->suspect) {
        suspect_and_keep(sb, life);
    }
}

/* It was seeded up to beyond ROW, which is read only now. */
static void row_below_base(struct standby *sb, struct life *life, uint64_t seq)
{
    life->seed->done_seq = seq + 1; /* once is enough, also when it is read again */
    suspect_and_keep(sb, life);
}

static bool is_below_base(const struct seed *seed, uint64_t seq, const struct row *row)
{
    return seed != NULL && seed->state == SEED_DONE && seq >= seed->done_seq &&
           row->shard < seed->shard_count && row->seq_no <= seed->shards[row->shard].to &&
           row->proof != ROW_NEGATIVE;
}

void audit_on_row(struct standby *sb, uint64_t seq, const struct row *row)
{
    struct life *life = life_get(sb, row->incarnation);
    if (life->no_numbers)
        return;
    if (life->filling || life->wanted == NULL)
        row_before_base(sb, life, row);
    else if (is_below_base(life->seed, seq, row))
        row_below_base(sb, life, seq);
#ifndef PLANT_COUNT_NEGATIVE
    if (row->proof != ROW_ANSWERED)
        return;
#endif
    audit_note(sb, row->incarnation, row->shard, row->seq_no);
}

void audit_set_base(struct life *life, size_t shard, int64_t seq_no)
{
    struct audit_shard *s = shard_get(life, shard);
    if (s->count != 0 && s->list[0].lo <= seq_no)
        seq_no = s->list[0].lo - 1; /* from there on there is a journal */
    if (seq_no >= 0)
        note_stretch(s, 0, seq_no);
}

/* ---- what is stored ---- */

json_t *audit_document(const struct life *life)
{
    const struct audit *audit = life->audit;
    if (audit == NULL)
        return NULL;
    json_t *shards = json_array();
    for (size_t i = 0; i < audit->shard_count; i++) {
        const struct audit_shard *shard = &audit->shards[i];
        json_t *numbers = json_array();
        json_array_append_new(numbers, json_integer(shard->complete));
        for (size_t at = 0; at < shard->count && at < STORED_MAX; at++) {
            json_array_append_new(numbers, json_integer(shard->list[at].lo));
            json_array_append_new(numbers, json_integer(shard->list[at].hi));
        }
        json_array_append_new(shards, numbers);
    }
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:b}", "shards", shards, "excused",
                     (json_int_t)audit->excused, "corrected_seq", (json_int_t)audit->corrected_seq,
                     "holes", (json_int_t)audit->holes, "found", (json_int_t)audit->found,
                     "unexplained", (json_int_t)audit->unexplained, "suspect", audit->suspect);
}

void audit_load(struct life *life, const json_t *json)
{
    const json_t *numbers;
    size_t i;
    json_array_foreach(json_object_get(json, "shards"), i, numbers)
    {
        struct audit_shard *shard = shard_get(life, i);
        shard->complete = json_integer_value(json_array_get(numbers, 0));
        for (size_t at = 1; at + 1 < json_array_size(numbers); at += 2)
            note_stretch(shard, json_integer_value(json_array_get(numbers, at)),
                         json_integer_value(json_array_get(numbers, at + 1)));
    }
    if (life->audit == NULL)
        return;
    life->audit->corrected_seq =
        (uint64_t)json_integer_value(json_object_get(json, "corrected_seq"));
    life->audit->excused = (uint64_t)json_integer_value(json_object_get(json, "excused"));
    life->audit->holes = (uint64_t)json_integer_value(json_object_get(json, "holes"));
    life->audit->found = (uint64_t)json_integer_value(json_object_get(json, "found"));
    life->audit->unexplained = (uint64_t)json_integer_value(json_object_get(json, "unexplained"));
    life->audit->suspect = json_is_true(json_object_get(json, "suspect"));
}

void audit_on_corrected(struct standby *sb, struct life *life)
{
    (void)shard_get(life, 0);
    life->audit->corrected_seq = sb->next_seq;
}

void audit_suspect(struct life *life)
{
    (void)shard_get(life, 0);
    life->audit->suspect = true;
}

void audit_on_start(struct standby *sb, uint64_t start)
{
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->audit != NULL && start <= life->audit->corrected_seq)
            life->audit->suspect = true;
}

/* ---- gaps ---- */

/* Its documents can be compared now. */
static bool is_comparable(const struct life *life)
{
    return life->state == LIFE_READY && !life->ending && !life->filling && !life->stopped &&
           !life->blocked && life->wanted != NULL && life->unseedable == NULL;
}

static bool is_audited(const struct life *life)
{
    return is_comparable(life) && !life->no_numbers;
}

/* Appends the gaps of SHARD up to its reach to LIST (MAX at most); how many there are in it then.
 */
static size_t gaps_of(const struct audit_shard *shard, size_t number, struct seed_shard *list,
                      size_t count, size_t max)
{
    int64_t next = shard->complete + 1;
#ifdef PLANT_IGNORE_HOLES
    next = shard->reach + 1;
#endif
    for (size_t i = 0; i <= shard->count && count < max; i++) {
        int64_t end = i < shard->count ? shard->list[i].lo - 1 : shard->reach;
        if (end > shard->reach)
            end = shard->reach;
        if (next <= end)
            list[count++] = (struct seed_shard){
                .number = number, .at = next - 1, .next = next - 1, .to = end, .begin = next};
        next = i < shard->count ? shard->list[i].hi + 1 : end + 1;
    }
    return count;
}

/* True when LIFE has gaps: they are scanned. */
static bool look_for_gaps(struct standby *sb, struct life *life)
{
    struct audit *audit = life->audit;
    size_t count = 0;
    if (audit == NULL || audit->scan != NULL || !is_audited(life))
        return audit != NULL && audit->scan != NULL;
    struct seed_shard *list = bytes_zalloc(HOLES_AT_ONCE * sizeof *list);
    for (size_t i = 0; i < audit->shard_count; i++)
        count = gaps_of(&audit->shards[i], i, list, count, HOLES_AT_ONCE);
    if (count == 0) {
        free(list);
        return false;
    }
    audit->scanned = 0;
    for (size_t i = 0; i < count; i++)
        audit->scanned += (uint64_t)(list[i].to - list[i].at);
    audit->scan = seed_scan_begin(sb, life, list, count);
    return true;
}

void audit_on_scanned(struct seed *scan)
{
    (void)FAILPOINT("A3");
    struct life *life = scan->life;
    struct audit *audit = life->audit;
    uint64_t explained = scan->explained < audit->scanned ? scan->explained : audit->scanned;
    bool failed = scan->state != SEED_SCANNING;
    for (size_t i = 0; i < scan->shard_count && !failed; i++)
        note_stretch(shard_get(life, scan->shards[i].number), scan->shards[i].begin,
                     scan->shards[i].to);
    if (!failed) {
        audit->holes += scan->shard_count;
        audit->found += scan->written;
        audit->unexplained += audit->scanned - explained;
        audit->suspect = audit->suspect || explained < audit->scanned;
        scan->sb->audit_found += scan->written;
        scan->sb->audit_unexplained += audit->scanned - explained;
    }
    if (scan->written != 0)
        log_warn(scan->sb->name,
                 "index %s: %" PRIu64
                 " documents were written past Tandem, or their rows got lost; "
                 "they are on the standby now",
                 life->name, scan->written);
    audit->scan = NULL;
    seed_scan_free(scan);
}

/* ---- comparing ---- */

/* One at a time, and none too often: it reads the whole index. */
static void verify_suspects(struct standby *sb, uint64_t now_us)
{
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        struct audit *audit = life->audit;
        if (audit == NULL || !audit->suspect || !is_comparable(life) || audit->scan != NULL)
            continue;
        if (sb->first_open < audit->corrected_seq || life->waiting != 0)
            continue; /* what it is suspected for is being replayed */
        bool soon = audit->verified_us != 0 &&
                    now_us - audit->verified_us < sb->settings->audit_verify_interval;
        if (soon || !verify_is_free(sb, now_us))
            continue;
        audit->verified_us = now_us;
        audit->suspect = false;
        log_info(sb->name, "index %s: it may differ: it is compared%s", life->name,
                 sb->settings->audit_repair ? ", and made equal" : "");
        verify_begin_for_audit(sb, life->name, sb->settings->audit_repair);
        return;
    }
}

/* ---- writes by query ---- */

struct audit_swept {
    struct audit_swept *next;
    struct buffer ranges; /* owned; what swept.ranges points into */
    struct swept swept;
};

/* Any of its indices may have lost that many. */
static void excuse(struct standby *sb, const struct swept *swept)
{
    uint32_t before = 0;
    for (size_t i = 0; i < swept->count; i++) {
        struct seq_range range = swept_range(swept, i);
        struct life *life = life_get(sb, range.incarnation);
        if (range.incarnation == before)
            continue;
        before = range.incarnation;
        audit_suspect(life);
        life->audit->excused += swept->unnamed;
    }
}

uint64_t audit_excused(const struct life *life)
{
    return life->audit == NULL ? 0 : life->audit->excused;
}

void audit_on_equal(struct life *life)
{
    if (life->audit != NULL)
        life->audit->excused = 0;
}

void audit_on_swept(struct standby *sb, const struct swept *swept)
{
    if (swept->unnamed != 0) {
        excuse(sb, swept);
        return;
    }
    struct audit_swept *as = bytes_zalloc(sizeof *as);
    buffer_append_span(&as->ranges, swept->ranges);
    as->swept = *swept;
    as->swept.ranges = buffer_span(&as->ranges);
    as->next = sb->audit_swept;
    sb->audit_swept = as;
}

static void swept_free(struct audit_swept *as)
{
    buffer_fini(&as->ranges);
    free(as);
}

/* How many of RANGE's numbers are not accounted for. */
static uint64_t missing_of(const struct audit_shard *shard, const struct seq_range *range)
{
    int64_t next = (range->after > shard->complete ? range->after : shard->complete) + 1;
    uint64_t missing = 0;
    for (size_t i = 0; i < shard->count && next <= range->up_to; i++) {
        int64_t end = shard->list[i].lo - 1 < range->up_to ? shard->list[i].lo - 1 : range->up_to;
        missing += end >= next ? (uint64_t)(end - next + 1) : 0;
        next = shard->list[i].hi + 1 > next ? shard->list[i].hi + 1 : next;
    }
    return missing + (range->up_to >= next ? (uint64_t)(range->up_to - next + 1) : 0);
}

/* True when each of its ranges was read to its end in this round, and was audited all the while. */
static bool can_be_counted(struct standby *sb, const struct swept *swept, bool *ever)
{
    *ever = true;
    for (size_t i = 0; i < swept->count; i++) {
        struct seq_range range = swept_range(swept, i);
        struct life *life = life_get(sb, range.incarnation);
        if (!is_audited(life))
            return *ever = false;
        if (shard_get(life, range.shard)->reach < range.up_to)
            return false;
    }
    return true;
}

/* The numbers of a write by query that nobody else used. False: the next round sees more. */
static bool count_swept(struct standby *sb, const struct swept *swept)
{
    uint64_t missing = 0;
    bool ever;
    if (!can_be_counted(sb, swept, &ever))
        return !ever;
    for (size_t i = 0; i < swept->count; i++) {
        struct seq_range range = swept_range(swept, i);
        missing += missing_of(shard_get(life_get(sb, range.incarnation), range.shard), &range);
    }
    for (size_t i = 0; i < swept->count && missing == swept->operations; i++) {
        struct seq_range range = swept_range(swept, i);
        if (range.up_to > range.after)
            note_stretch(shard_get(life_get(sb, range.incarnation), range.shard), range.after + 1,
                         range.up_to);
    }
    return true;
}

static void count_all_swept(struct standby *sb)
{
    for (struct audit_swept **link = &sb->audit_swept; *link != NULL;) {
        struct audit_swept *as = *link;
        if (!count_swept(sb, &as->swept)) {
            link = &as->next;
            continue;
        }
        *link = as->next;
        swept_free(as);
    }
}

/* Its gaps may be numbers that are still to be counted. */
static bool has_swept(struct standby *sb, const struct life *life)
{
    for (const struct audit_swept *as = sb->audit_swept; as != NULL; as = as->next)
        for (size_t i = 0; i < as->swept.count; i++)
            if (swept_range(&as->swept, i).incarnation == life->incarnation)
                return true;
    return false;
}

/* ---- rounds ---- */

static void take_shards(struct life *life, const json_t *index)
{
    const char *number;
    json_t *copies;
    const char *uuid = json_string_value(json_object_get(index, "uuid"));
    if (uuid == NULL || strncmp(life->key, uuid, strlen(uuid)) != 0)
        return;
    json_object_foreach(json_object_get((json_t *)(uintptr_t)index, "shards"), number, copies)
    {
        const json_t *checkpoint =
            json_object_get(index_shard_numbers(copies), "global_checkpoint");
        if (json_is_integer(checkpoint))
            shard_get(life, strtoul(number, NULL, 10))->reach = json_integer_value(checkpoint);
    }
}

static void on_stats(struct es_call *call)
{
    (void)FAILPOINT("A1");
    struct standby *sb = call->arg;
    sb->audit_state = AUDIT_IDLE;
    sb->audit_next_us = sb->world->now_us(sb) + sb->settings->audit_interval;
    if (call->status != STATUS_OK || call->http_status != 200)
        return;
    json_t *json = json_tree(buffer_span(&call->answer));
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        for (size_t i = 0; life->audit != NULL && i < life->audit->shard_count; i++)
            life->audit->shards[i].reach = -2;
        if (life->key != NULL && life->name != NULL && is_audited(life))
            take_shards(life, json_object_get(json_object_get(json, "indices"), life->name));
    }
    json_decref(json);
    sb->audit_state = AUDIT_MARKED;
    mark_await(sb, &sb->audit_mark);
}

static void ask_stats(struct standby *sb)
{
    struct es_call *call = &sb->audit_call;
    es_call_set(call, "GET",
                "/_stats/docs?level=shards&filter_path=indices.*.uuid,indices.*.shards.*.seq_no,"
                "indices.*.shards.*.routing");
    call->answer_max = ANSWER_MAX;
    call->timeout_us = TIMEOUT_US;
    call->on_done = on_stats;
    call->arg = sb;
    sb->audit_begun_us = sb->world->now_us(sb);
    sb->audit_state = AUDIT_ASKED;
    sb->world->primary_call(sb, call);
}

static bool is_suspect(const struct life *life)
{
    return life->state != LIFE_GONE && !life->ending && life->audit != NULL && life->audit->suspect;
}

static void end_round(struct standby *sb, uint64_t now_us)
{
    bool clean = true;
    (void)FAILPOINT("A2");
    mark_forget(sb, &sb->audit_mark);
    count_all_swept(sb);
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        bool gaps = has_swept(sb, life) || look_for_gaps(sb, life);
        clean = clean && !gaps && !is_suspect(life);
    }
    if (clean && !verify_is_running(sb))
        sb->audit_clean_us = sb->audit_begun_us;
    sb->audit_state = AUDIT_IDLE;
    sb->audit_next_us = now_us + sb->settings->audit_interval;
}

void audit_now(struct standby *sb)
{
    sb->audit_next_us = 1;
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->audit != NULL)
            life->audit->verified_us = 0;
}

void audit_tick(struct standby *sb, uint64_t now_us)
{
    if (sb->world->primary_call == NULL || sb->settings->audit_interval == 0 ||
        sb->state != STANDBY_RUNNING)
        return;
    if (sb->audit_next_us == 0) /* whoever has just begun has other things to do */
        sb->audit_next_us = now_us + sb->settings->audit_interval;
    if (sb->audit_state == AUDIT_IDLE && now_us >= sb->audit_next_us)
        ask_stats(sb);
    else if (sb->audit_state == AUDIT_MARKED && sb->audit_mark.seq != 0 &&
             sb->next_seq > sb->audit_mark.seq && !sb->applying)
        end_round(sb, now_us);
    verify_suspects(sb, now_us);
}

/* ---- what it says ---- */

static const char *why_not(const struct life *life)
{
    if (life->filling)
        return "it is filling";
    if (life->unseedable != NULL)
        return life->unseedable;
    if (life->no_numbers)
        return "an engine before 6.0 made it, without sequence numbers; verify it instead";
    return is_audited(life) ? "" : "it is not ready on the standby";
}

static json_t *report_life(const struct life *life)
{
    static const struct audit none;
    const struct audit *audit = life->audit == NULL ? &none : life->audit;
    json_t *complete = json_array();
    for (size_t i = 0; i < audit->shard_count; i++)
        json_array_append_new(complete, json_integer(audit->shards[i].complete));
    const char *state = !is_audited(life)     ? "none"
                        : audit->scan != NULL ? "scanning"
                        : audit->suspect      ? "suspect"
                                              : "audited";
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:I}", "index", life->name, "state", state,
                     "why", why_not(life), "complete_up_to", complete, "holes",
                     (json_int_t)audit->holes, "found", (json_int_t)audit->found, "unexplained",
                     (json_int_t)audit->unexplained);
}

static json_t *clean_age(const struct standby *sb)
{
    uint64_t now = sb->world->now_us((struct standby *)(uintptr_t)sb);
    return sb->audit_clean_us == 0 ? json_null()
                                   : json_real((double)(now - sb->audit_clean_us) / 1e6);
}

json_t *audit_summary(const struct standby *sb)
{
    size_t scanning = 0, suspect = 0, none = 0;
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        if (life->name == NULL || life->state == LIFE_GONE || life->ending)
            continue;
        none += !is_audited(life);
        scanning += life->audit != NULL && life->audit->scan != NULL;
        suspect += is_suspect(life);
    }
    return json_pack("{s:b, s:o, s:I, s:I, s:I, s:I, s:I}", "on", sb->settings->audit_interval != 0,
                     "clean_age_s", clean_age(sb), "not_audited", (json_int_t)none, "scanning",
                     (json_int_t)scanning, "suspect", (json_int_t)suspect, "found",
                     (json_int_t)sb->audit_found, "unexplained", (json_int_t)sb->audit_unexplained);
}

json_t *audit_report(const struct standby *sb)
{
    json_t *indices = json_array();
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->name != NULL && life->state != LIFE_GONE && !life->ending)
            json_array_append_new(indices, report_life(life));
    return json_pack("{s:b, s:o, s:o}", "on", sb->settings->audit_interval != 0, "clean_age_s",
                     clean_age(sb), "indices", indices);
}

struct seed *audit_scan_of(const struct life *life)
{
    return life->audit == NULL ? NULL : life->audit->scan;
}

/* ---- ends ---- */

void audit_forget(struct standby *sb, struct life *life)
{
    struct audit *audit = life->audit;
    if (audit == NULL)
        return;
    if (audit->scan != NULL)
        seed_scan_drop(sb, audit->scan);
    for (size_t i = 0; i < audit->shard_count; i++)
        free(audit->shards[i].list);
    free(audit->shards);
    free(audit);
    life->audit = NULL;
}

void audit_free(struct standby *sb)
{
    es_call_fini(&sb->audit_call);
    while (sb->audit_swept != NULL) {
        struct audit_swept *as = sb->audit_swept;
        sb->audit_swept = as->next;
        swept_free(as);
    }
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        audit_forget(sb, life);
}
