/* sweep_rows.c - what a sweep reads of one index: pages of numbers, and ids; and the rows they
 * make.
 *
 * Apart from sweep.c because jansson and base/json.h share names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/json.h"
#include "es/hits.h"
#include "es/outcome.h"
#include "es/shard.h"
#include "http/message.h"
#include "proxy/definitions.h"
#include "proxy/sweep_impl.h"

#define PAGE_STEP_MIN 500
#define PAGE_STEP_MAX 4000
/* A number has one document, but in a shrunk index it can have a few. */
#define PAGE_SIZE(step) (2 * (step) + 50)
#define PAGE_BYTES (4u << 20) /* the next page is larger while one is smaller than this */
#define IDS_AT_ONCE 1000
#define TIMEOUT_US (120 * UINT64_C(1000000))

static struct sweep_target *present(const struct sweep *sweep)
{
    return &sweep->targets[sweep->at];
}

/* ---- asking ---- */

static bool next_page(struct sweep *sweep)
{
    struct sweep_target *target = present(sweep);
    while (sweep->shard < target->shard_count &&
           target->after[sweep->shard] >= target->up_to[sweep->shard])
        sweep->shard++;
    if (sweep->shard == target->shard_count)
        return false;
    int64_t after = target->after[sweep->shard], to = target->up_to[sweep->shard];
    if (sweep->page_step == 0)
        sweep->page_step = PAGE_STEP_MIN;
    sweep->page_to = to - after > sweep->page_step ? after + sweep->page_step : to;
    sweep->reads_ids = false;
    hits_search(&sweep->call, target->name, sweep->shard, PAGE_SIZE(sweep->page_step), after,
                sweep->page_to, atomic_load(&sweep->core->hides_vectors));
    return true;
}

static bool next_ids(struct sweep *sweep)
{
    const struct sweep_target *target = present(sweep);
    size_t left = target->id_count - target->id_at;
    if (left == 0)
        return false;
    sweep->reads_ids = true;
    sweep->ids_to = target->id_at + (left < IDS_AT_ONCE ? left : IDS_AT_ONCE);
    sweep_set_call(sweep, &sweep->call, "POST", "/", "/_mget?realtime=true&_source=false");
    struct buffer *body = &sweep->call.body;
    buffer_append_cstr(body, "{\"docs\":");
    for (size_t i = target->id_at; i < sweep->ids_to; i++) {
        const struct sweep_id *id = &target->ids[i];
        buffer_append_cstr(body, i == target->id_at ? "[{\"_id\":" : ",{\"_id\":");
        buffer_append_json_string(body, id->id);
        if (id->routed) {
            buffer_append_cstr(body, ",\"routing\":");
            buffer_append_json_string(body, id->routing);
        }
        buffer_append_char(body, '}');
    }
    buffer_append_cstr(body, "]}");
    return true;
}

bool sweep_next_read(struct sweep *sweep)
{
    bool any = next_page(sweep) || next_ids(sweep);
    sweep->call.answer_max = SWEEP_ANSWER_MAX;
    sweep->call.timeout_us = TIMEOUT_US;
    return any;
}

/* ---- the answers ---- */

static bool smaller_page(struct sweep *sweep)
{
    if (sweep->page_step <= 1)
        return false;
    sweep->page_step /= 2;
    return true;
}

static bool take_page(struct sweep *sweep, bool *bad)
{
    struct hits_walk walk;
    struct hit hit;
    int64_t count = 0, shards = 0;
    enum status status = hits_init(&walk, buffer_span(&sweep->call.answer), &shards);
    while (status == STATUS_OK && (status = hits_next(&walk, &hit)) == STATUS_OK)
        count++;
    *bad = status != STATUS_NOT_FOUND || shards != 1;
    if (*bad)
        return false;
    if (count >= PAGE_SIZE(sweep->page_step)) {
        *bad = !smaller_page(sweep);
        return false;
    }
    if (sweep->call.answer.size < PAGE_BYTES && sweep->page_step < PAGE_STEP_MAX)
        sweep->page_step *= 2;
    else if (sweep->call.answer.size > 2 * PAGE_BYTES)
        (void)smaller_page(sweep);
    return true;
}

static bool take_ids(struct sweep *sweep, bool *bad)
{
    struct sweep_target *target = present(sweep);
    struct outcome_walk walk;
    struct mget_doc doc;
    *bad = mget_walk_init(&walk, buffer_span(&sweep->call.answer)) != STATUS_OK;
    for (size_t i = target->id_at; i < sweep->ids_to && !*bad; i++) {
        *bad = mget_next(&walk, &doc) != STATUS_OK || doc.failed;
        target->ids[i].gone = !doc.found;
    }
    return !*bad;
}

bool sweep_take_read(struct sweep *sweep, bool *bad)
{
    *bad = false;
    bool too_much = sweep->call.status == STATUS_TOO_LARGE ||
                    sweep->call.http_status == 400; /* index.max_result_window may be small */
    if (too_much && !sweep->reads_ids && smaller_page(sweep))
        return false;
    *bad = sweep->call.status != STATUS_OK || sweep->call.http_status != 200;
    if (*bad)
        return false;
    return sweep->reads_ids ? take_ids(sweep, bad) : take_page(sweep, bad);
}

/* ---- rows ---- */

static enum status append(struct sweep *sweep, struct commit *commit, struct journal_txn *txn,
                          const struct row *row)
{
    struct record record = {.header.kind = RECORD_ROW, .row = *row};
    enum status status = commit_append(commit, txn, &record);
    if (status == STATUS_OK && row->routed && row->op == ROW_INDEX)
        status = definitions_store_routed(present(sweep)->index, txn);
    return status;
}

static enum status append_hit(struct sweep *sweep, struct commit *commit, struct journal_txn *txn,
                              const struct hit *hit)
{
    struct hit_text text;
    enum status status = STATUS_OK;
    if (hit_text_init(&text, hit))
        status = append(sweep, commit, txn,
                        &(struct row){.op = ROW_INDEX,
                                      .proof = ROW_PROBED,
                                      .incarnation = present(sweep)->index->incarnation,
                                      .shard = (uint32_t)sweep->shard,
                                      .term = hit->term,
                                      .seq_no = hit->seq_no,
                                      .version = hit->version,
                                      .routed = hit->routing.size != 0,
                                      .routing = buffer_span(&text.routing),
                                      .id = buffer_span(&text.id),
                                      .content = CONTENT_JSON,
                                      .source = hit->source,
                                      .type = buffer_span(&text.type)});
    else
        sweep->incomplete = true; /* without its source there is no row to make */
    hit_text_fini(&text);
    return status;
}

static enum status write_page(struct sweep *sweep, struct commit *commit, struct journal_txn *txn)
{
    struct hits_walk walk;
    struct hit hit;
    enum status status = hits_init(&walk, buffer_span(&sweep->call.answer), NULL);
    CHECK(status == STATUS_OK);
    while (status == STATUS_OK && hits_next(&walk, &hit) == STATUS_OK)
        status = append_hit(sweep, commit, txn, &hit);
    return status;
}

/* What is gone gets a negative row with the numbers that were read before: every state that was
 * deleted is below them. */
static enum status write_gone(struct sweep *sweep, struct commit *commit, struct journal_txn *txn)
{
    const struct sweep_target *target = present(sweep);
    enum status status = STATUS_OK;
    for (size_t i = target->id_at; i < sweep->ids_to && status == STATUS_OK; i++) {
        const struct sweep_id *id = &target->ids[i];
        if (!id->gone)
            continue;
        const struct catalog_index *index = target->index;
        uint32_t shard = shard_of(id->id, id->routed ? id->routing : SPAN_NONE, index->shards,
                                  index->routing_shards, index->partition);
        const struct shard_fact *fact = shard_facts_get(&sweep->facts, target->name, shard);
        status = append(sweep, commit, txn,
                        &(struct row){.op = ROW_DELETE,
                                      .proof = ROW_NEGATIVE,
                                      .incarnation = index->incarnation,
                                      .shard = shard,
                                      .term = fact->term,
                                      .seq_no = fact->max_seq_no,
                                      .routed = id->routed,
                                      .routing = id->routing,
                                      .id = id->id,
                                      .content = CONTENT_JSON,
                                      .source = SPAN_NONE});
    }
    return status;
}

enum status sweep_write_rows(struct sweep *sweep, struct commit *commit, struct journal_txn *txn)
{
    return sweep->reads_ids ? write_gone(sweep, commit, txn) : write_page(sweep, commit, txn);
}

void sweep_rows_written(struct sweep *sweep)
{
    struct sweep_target *target = present(sweep);
    if (!sweep->reads_ids) {
        target->after[sweep->shard] = sweep->page_to;
        return;
    }
    for (size_t i = target->id_at; i < sweep->ids_to; i++)
        sweep->gone += target->ids[i].gone;
    target->id_at = sweep->ids_to;
}
