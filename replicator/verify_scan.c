/* verify_scan.c - reads a shard of an index on both clusters: sums per bucket, then the documents
 * of buckets that differ.
 *
 * The digest of a document says its id, routing, version and content; a bucket's is the sum, so the
 * order does not matter. What was written after the beginning is left out on both sides, as far as
 * it can be told: what changes while the shard is read is found to differ, and settled later.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json.h"
#include "conf/settings.h"
#include "es/hits.h"
#include "replicator/reading.h"
#include "replicator/seed.h"
#include "replicator/verify_impl.h"

#define FIRST_STEP 1000
#define STEP_MAX (INT64_C(1) << 24)
#define PAGE_BYTES (8u << 20)
#define ANSWER_MAX (512u << 20)

/* Spans into text of this process; the text is kept until the next hit. */
struct document {
    struct buffer id, routing;
    bool routed;
    struct version_seen seen;
};

static bool has_numbers(const struct verify_scan *scan)
{
    return scan->side == ON_STANDBY || !verify_life(scan->verify)->no_numbers;
}

static bool decode_hit(struct verify_scan *scan, const struct hit *hit, struct document *document)
{
    struct standby *sb = scan->verify->sb;
    buffer_clear(&document->id);
    buffer_clear(&document->routing);
    document->routed = hit->routing.size != 0;
    if (!hit->has_numbers || !json_string_decode(hit->id, &document->id) ||
        (document->routed && !json_string_decode(hit->routing, &document->routing)))
        return false;
    document->seen = (struct version_seen){
        .found = true,
        .version = scan->side == ON_STANDBY
                       ? hit->version
                       : reading_document_version(sb, scan->verify->incarnation, hit->term,
                                                  hit->seq_no, hit->version),
        .term = hit->term,
        .seq_no = hit->seq_no,
        .content = verify_content(scan->verify, hit->source, document->routed,
                                  buffer_span(&document->routing))};
    return true;
}

static uint64_t digest_of(const struct document *document)
{
    uint64_t parts[3] = {hash64(document->id.data, document->id.size, 0),
                         (uint64_t)document->seen.version, document->seen.content};
    return hash64(parts, sizeof parts, 2);
}

static size_t bucket_of(const struct document *document)
{
    return hash64(document->id.data, document->id.size, 0) % VERIFY_BUCKETS;
}

static bool bucket_differs(const struct verify *verify, size_t bucket)
{
    return verify->scans[ON_PRIMARY].digests[bucket] != verify->scans[ON_STANDBY].digests[bucket];
}

/* What the standby got after the primary was counted. */
static bool is_newer(const struct verify_scan *scan, const struct document *document)
{
    return scan->side == ON_STANDBY && document->seen.version > scan->verify->counted;
}

static void take_document(struct verify_scan *scan, const struct document *document)
{
    struct verify *verify = scan->verify;
    size_t bucket = bucket_of(document);
    bool newer = is_newer(scan, document);
    if (verify->state == VERIFY_SAMPLING) {
        verify_sample_take(verify, scan->side, buffer_span(&document->id), document->routed,
                           buffer_span(&document->routing), &document->seen);
        return;
    }
    if (verify->state == VERIFY_SUMMING) {
        if (newer && document->seen.version > verify->newest)
            verify->newest = document->seen.version;
        scan->documents += !newer;
        scan->digests[bucket] += newer ? 0 : digest_of(document);
        return;
    }
    bool ahead = newer && document->seen.version > verify->limit;
    if (!ahead && (newer || !bucket_differs(verify, bucket)))
        return;
    struct difference *difference =
        verify_difference(verify, verify->shard, buffer_span(&document->id), document->routed,
                          buffer_span(&document->routing));
    if (difference == NULL)
        return;
    difference->seen[scan->side] = document->seen;
    if (scan->side == ON_PRIMARY)
        verify_set_routing(difference, document->routed, buffer_span(&document->routing));
}

/* How many documents; -1: the answer is not whole. */
static int64_t take_page(struct verify_scan *scan)
{
    struct hits_walk walk;
    struct hit hit;
    struct document document = {0};
    int64_t count = 0, shards = 0;
    enum status status = hits_init(&walk, buffer_span(&scan->call.answer), &shards);
    if (status == STATUS_OK && shards != 1)
        status = STATUS_BAD_INPUT;
    while (status == STATUS_OK && (status = hits_next(&walk, &hit)) == STATUS_OK) {
        if (!has_numbers(scan))
            hit_by_version(&hit);
        if (!decode_hit(scan, &hit, &document))
            status = STATUS_BAD_INPUT;
        else
            take_document(scan, &document);
        count++;
    }
    buffer_fini(&document.id);
    buffer_fini(&document.routing);
    return status == STATUS_NOT_FOUND ? count : -1;
}

/* Counts the hits of a page without taking them: one that is too full must be asked for again. */
static bool page_is_full(struct verify_scan *scan)
{
    struct hits_walk walk;
    struct hit hit;
    int64_t count = 0;
    if (hits_init(&walk, buffer_span(&scan->call.answer), NULL) != STATUS_OK)
        return false;
    while (hits_next(&walk, &hit) == STATUS_OK)
        count++;
    return count >= verify_life(scan->verify)->hits_max;
}

static void fit_step(struct verify_scan *scan, size_t bytes, int64_t count)
{
    if (bytes > PAGE_BYTES || count > 5000)
        scan->step = scan->step > 1 ? scan->step / 2 : 1;
    else if (bytes < PAGE_BYTES / 2 && count < 2500 && scan->step < STEP_MAX)
        scan->step *= 2;
}

/* Begins anew: nobody knows how far a scroll is after an answer that can't be used. */
static void begin_scroll(struct verify_scan *scan)
{
    free(scan->scroll);
    scan->scroll = NULL;
    if (scan->verify->state == VERIFY_SUMMING) {
        scan->documents = 0;
        memset(scan->digests, 0, sizeof scan->digests);
    }
}

static bool ask_for_less(struct verify_scan *scan)
{
    if (!has_numbers(scan)) {
        begin_scroll(scan);
        scan->step = scan->step > 1 ? scan->step / 2 : 1;
        return scan->step > 1;
    }
    if (scan->upto - scan->at < 2)
        return false;
    scan->step = (scan->upto - scan->at) / 2;
    return true;
}

static void on_page(struct es_call *call)
{
    struct verify_scan *scan = call->arg;
    struct verify *verify = scan->verify;
    scan->busy = false;
    bool scanning = verify->state == VERIFY_SUMMING || verify->state == VERIFY_COLLECTING ||
                    verify->state == VERIFY_SAMPLING;
    if (!scanning || verify_life(verify) == NULL)
        return;
    if (call->status == STATUS_TOO_LARGE && ask_for_less(scan))
        return;
    if (!verify_answered(verify, scan->side, call)) {
        if (!has_numbers(scan))
            begin_scroll(scan);
        return;
    }
    if (has_numbers(scan) && page_is_full(scan) && ask_for_less(scan))
        return;
    int64_t count = take_page(scan);
    if (count < 0) {
        verify_skip(verify, "its documents can't be read whole, or have no sequence numbers");
        return;
    }
    if (scan->side == ON_PRIMARY)
        seed_note_read(verify->sb, (uint64_t)count, call->answer.size);
    if (has_numbers(scan)) {
        scan->at = scan->upto;
        scan->done = scan->at >= scan->to;
        fit_step(scan, call->answer.size, count);
    } else {
        free(scan->scroll);
        scan->scroll = hits_scroll(buffer_span(&call->answer));
        scan->done = count == 0;
    }
    buffer_fini(&call->answer);
    standby_on_records(verify->sb); /* last */
}

static void ask(struct verify_scan *scan)
{
    struct verify *verify = scan->verify;
    scan->upto = scan->to - scan->at > scan->step ? scan->at + scan->step : scan->to;
    const struct life *life = verify_life(verify);
    if (has_numbers(scan))
        hits_search(&scan->call, life->name, verify->shard, life->hits_max, scan->at, scan->upto,
                    verify_asks_vectors(verify, scan->side));
    else
        hits_scroll_search(&scan->call, life->name, verify->shard,
                           scan->step < life->hits_max ? scan->step : life->hits_max, scan->scroll);
    scan->call.answer_max = ANSWER_MAX;
    scan->call.plain = !verify->sb->settings->seed_compress;
    scan->call.on_done = on_page;
    scan->call.arg = scan;
    scan->busy = true;
    verify_call(verify, scan->side, &scan->call);
}

void verify_scan_begin(struct verify *verify)
{
    for (int side = 0; side < VERIFY_SIDES; side++) {
        struct verify_scan *scan = &verify->scans[side];
        scan->verify = verify;
        scan->side = (enum verify_side_number)side;
        scan->at = -1;
        scan->step = FIRST_STEP;
        free(scan->scroll);
        scan->scroll = NULL;
        if (verify->state == VERIFY_SUMMING) {
            verify->newest = -1;
            verify->counted =
                verify_version(verify, verify->shard, verify->reach[ON_PRIMARY][verify->shard]);
            scan->to = verify->reach[side][verify->shard];
            scan->documents = 0;
            memset(scan->digests, 0, sizeof scan->digests);
        }
        scan->done = scan->to < 0;
    }
}

void verify_scan_range(struct verify *verify, enum verify_side_number side, int64_t above,
                       int64_t up_to)
{
    struct verify_scan *scan = &verify->scans[side];
    scan->verify = verify;
    scan->side = side;
    scan->at = above;
    scan->to = up_to;
    scan->step = up_to - above;
    scan->done = above >= up_to;
}

bool verify_scan_turn(struct verify *verify, uint64_t now_us)
{
    bool done = true;
    for (int side = 0; side < VERIFY_SIDES; side++) {
        struct verify_scan *scan = &verify->scans[side];
        bool may =
            side == ON_STANDBY || (now_us >= verify->sb->seed_next_us && seed_may_read(verify->sb));
        if (!scan->busy && !scan->done && may && now_us >= verify->retry_us)
            ask(scan);
        done = done && scan->done && !scan->busy;
    }
    return done;
}

bool verify_scan_differs(const struct verify *verify)
{
    for (size_t bucket = 0; bucket < VERIFY_BUCKETS; bucket++)
        if (bucket_differs(verify, bucket))
            return true;
    return false;
}
