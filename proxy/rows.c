/* rows.c - what an answer changed: the rows of a write, from its items and the primary's answer.
 *
 * A row is state, not statement: the resulting source with the primary's own (term, seq_no). Where
 * the answer does not hold the resulting document (pipelines, encodings we can't read, a life that
 * is not certain) it is read with one realtime _mget per request; what that returns is journaled
 * with *its* numbers, and the answer's are noted as answered.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/vectors.h"
#include "es/shard.h"
#include "proxy/definitions.h"
#include "proxy/sweep.h"
#include "proxy/write.h"

/* For so long after an index was first seen or changed, a write's life is confirmed by a state
 * read. */
#define LIFE_RECENT_US (60 * UINT64_C(1000000))
#define WATCH_FIRST_US UINT64_C(1000000)
/* Longer than a write is under way. */
#define ROUTED_LATELY_US (300 * UINT64_C(1000000))

/* ---- the answer ---- */

static bool says_missing_document(struct span error)
{
    struct span word = SPAN("document_missing");
    return error.size != 0 && memmem(error.data, error.size, word.data, word.size) != NULL;
}

static void judge(struct exchange *ex, struct write_item *item)
{
    item->outcome = outcome_judge(&item->answer);
    if (item->unreplicated)
        return;
    if (item->outcome == OUTCOME_UNKNOWN)
        ex->unknown = true;
    /* The cluster may have tried twice: the refusal can be of its own second try. So can an update
     * be that finds nothing, when a script of the first try deleted the document. */
    if (item->outcome == OUTCOME_REFUSED && item->op == INTENT_UPDATE &&
        item->answer.status == 404 && says_missing_document(item->answer.error))
        item->outcome = OUTCOME_CONFLICT;
    item->wants_watch = item->outcome == OUTCOME_CONFLICT;
    if (item->answer.shards_failed) {
        atomic_fetch_add(&ex->core->copies_failed, 1);
        atomic_store(&ex->core->copy_failed_us, ex->core->now_us(ex->core));
    }
}

static bool read_items(struct exchange *ex)
{
    struct outcome_walk walk;
    size_t count = 0;
    enum status status = outcome_walk_init(&walk, buffer_span(&ex->answer.body));
    if (status != STATUS_OK)
        return false;
    while (count <= ex->item_count) {
        struct outcome_item answer;
        status = outcome_next(&walk, &answer);
        if (status != STATUS_OK || count == ex->item_count)
            break;
        if (!core_has_numbers(ex->core))
            outcome_by_version(&answer);
        ex->items[count++].answer = answer;
    }
    if (status != STATUS_NOT_FOUND || count != ex->item_count) {
        log_error(
            "proxy",
            "the primary's answer to a bulk has other items than the bulk: all of it is in doubt "
            "(sent=%zu answered=%zu)",
            ex->item_count, count);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        judge(ex, &ex->items[i]);
    return true;
}

bool rows_read_answer(struct exchange *ex)
{
    int status = ex->answer.head.status;
    if (ex->op.kind == OP_KIND_BULK && status >= 200 && status < 300)
        return read_items(ex);
    if (ex->op.kind == OP_KIND_BULK) {
        enum outcome whole = outcome_judge_whole_bulk(status, buffer_span(&ex->answer.body),
                                                      atomic_load(&ex->core->bulks_in_parts));
        for (size_t i = 0; i < ex->item_count; i++)
            ex->items[i].outcome = whole;
        return whole == OUTCOME_REFUSED;
    }
    struct write_item *item = &ex->items[0];
    if (outcome_single(status, buffer_span(&ex->answer.body), &item->answer) != STATUS_OK) {
        item->answer = (struct outcome_item){.status = status};
        if (status >= 200 && status < 300)
            return false;
    }
    if (!core_has_numbers(ex->core))
        outcome_by_version(&item->answer);
    judge(ex, item);
    return item->outcome != OUTCOME_UNKNOWN || item->unreplicated;
}

/* ---- lives ---- */

static const struct catalog_index *
answered_index(struct exchange *ex, const struct catalog *catalog, struct write_item *item)
{
    if (item->answer.index.size == 0)
        return NULL;
    return catalog_find_index(catalog, write_decode(ex, item->answer.index));
}

/* True when the answer shows a state that is promised. An update that changed nothing is among
 * them: what made it so may be a first try of the cluster's, or a write that is still in doubt, and
 * has no row yet. */
static bool item_is_applied(const struct write_item *item)
{
    bool noop = item->outcome == OUTCOME_NOTHING && item->op == INTENT_UPDATE &&
                item->answer.result == RESULT_NOOP && item->answer.has_numbers;
    return (item->outcome == OUTCOME_APPLIED || noop) && !item->unreplicated;
}

bool rows_need_state(const struct exchange *ex)
{
    uint64_t now = ex->core->now_us(ex->core);
    bool always = ex->core->settings->lives_confirm == CONFIRM_ALWAYS;
    struct span last = SPAN_NONE;
    for (size_t i = 0; i < ex->item_count; i++) {
        struct write_item *item = &ex->items[i];
        if (!item_is_applied(item) || (last.size != 0 && span_equal(last, item->answer.index)))
            continue;
        last = item->answer.index;
        const struct catalog_index *index =
            answered_index((struct exchange *)(uintptr_t)ex, ex->catalog, item);
        if (always || index == NULL || atomic_load(&ex->use.overlapped) ||
            now - index->changed_us < LIFE_RECENT_US)
            return true;
    }
    return false;
}

/* The life ITEM hit. It is certain when the name meant the same life before the write was forwarded
 * and in a read begun after its answer; else only what is found in the present life counts. */
static void decide_life(struct exchange *ex, struct write_item *item)
{
    const struct catalog_index *before = answered_index(ex, ex->catalog, item);
    if (ex->catalog_after == NULL) {
        item->hit = before;
        return;
    }
    item->hit = answered_index(ex, ex->catalog_after, item);
    item->uncertain =
        item->hit != NULL && (before == NULL || before->incarnation != item->hit->incarnation);
}

/* A write with a routing went to a name whose life was not known: it may be any. */
static bool routed_lately(struct core *core)
{
    uint64_t at = atomic_load(&core->routed_unknown_us);
    return at != 0 && core->now_us(core) - at < ROUTED_LATELY_US;
}

static bool id_fits(struct exchange *ex, const struct write_item *item)
{
    struct span id = item->answer.id.size != 0 ? write_decode(ex, item->answer.id) : item->id;
    return id.size > 0 && id.size <= RECORD_ID_MAX;
}

static enum row_source decide_source(struct exchange *ex, const struct write_item *item)
{
    const struct outcome_item *answer = &item->answer;
    if (item->hit == NULL || !answer->has_numbers)
        return ROW_FROM_NOTHING;
    if (!id_fits(ex, item)) {
        follower_note_diverged(ex->core, span_cstr(item->hit->name),
                               "a document has an id that is no text, or longer than 512 bytes");
        return ROW_FROM_NOTHING;
    }
    if (item->uncertain)
        return ROW_FROM_CAPTURE;
    if (answer->result == RESULT_DELETED || answer->result == RESULT_NOT_FOUND)
        return ROW_FROM_DELETE;
    if (item->op == INTENT_UPDATE) {
        bool piped =
            ex->op.kind != OP_KIND_BULK && item->hit->has_pipeline && answer->result != RESULT_NOOP;
        /* Without a routing in the request the document keeps the one it has, which no answer
         * shows; what was there before Tandem may have any. */
        bool kept = !item->routed && item->alias_routing.size == 0 &&
                    (atomic_load(&item->hit->flags->routed) || routed_lately(ex->core) ||
                     item->hit->birth == BIRTH_FILLING);
        if (!ex->json_body || answer->get_source.size == 0 || piped || kept ||
            item->hit->body_differs)
            return ROW_FROM_CAPTURE;
        return ROW_FROM_GET;
    }
    if (!ex->json_body || item->request_pipeline || item->hit->has_pipeline ||
        item->hit->body_differs)
        return ROW_FROM_CAPTURE;
    return ROW_FROM_REQUEST;
}

void rows_decide_lives(struct exchange *ex)
{
    for (size_t i = 0; i < ex->item_count; i++) {
        struct write_item *item = &ex->items[i];
        bool first_try = item->id_injected && item->outcome == OUTCOME_CONFLICT;
        if (first_try && !item->unreplicated) {
            /* The id is ours alone, so the conflict is with the cluster's own first try. */
            item->hit = item->index;
            item->row_source = item->index != NULL ? ROW_FROM_CAPTURE : ROW_FROM_NOTHING;
            item->uncertain = true;
            continue;
        }
        if (!item_is_applied(item))
            continue;
        decide_life(ex, item);
        item->row_source = decide_source(ex, item);
        if (core_has_numbers(ex->core)) /* else it is a part of a version */
            sequencer_saw_term(ex->core->sequencer, item->answer.term);
    }
}

/* ---- the capture ---- */

static bool wants_capture(const struct write_item *item)
{
    return item->row_source == ROW_FROM_CAPTURE && !item->has_row;
}

static void append_capture_get(struct exchange *ex, const struct write_item *item,
                               struct span routing)
{
    struct buffer *body = &ex->capture_body;
    struct span id = item->answer.id.size != 0 ? write_decode(ex, item->answer.id) : item->id;
    buffer_append_cstr(body, body->size > 9 ? ",{\"_index\":" : "{\"_index\":");
    buffer_append_json_string(body, span_cstr(item->hit->name));
    buffer_append_cstr(body, ",\"_id\":");
    buffer_append_json_string(body, id);
    if (routing.size != 0) {
        buffer_append_cstr(body, ",\"routing\":");
        buffer_append_json_string(body, routing);
    }
    if (item->type.size != 0) {
        buffer_append_cstr(body, ",\"_type\":");
        buffer_append_json_string(body, item->type);
    }
    buffer_append_char(body, '}');
}

/* One get for each shard, by routings that lead there. */
static void append_sweep(struct exchange *ex, struct write_item *item)
{
    const struct catalog_index *index = item->hit;
    struct span id = item->answer.id.size != 0 ? write_decode(ex, item->answer.id) : item->id;
    for (uint32_t shard = 0; shard < index->shards; shard++) {
        char text[12];
        append_capture_get(
            ex, item,
            shard_routing(id, index->shards, index->routing_shards, index->partition, shard, text));
    }
}

static void append_capture_doc(struct exchange *ex, struct write_item *item)
{
    if (item->sweep)
        append_sweep(ex, item);
    else
        append_capture_get(ex, item, item->routed ? item->routing : item->alias_routing);
}

static bool any_wants_capture(const struct exchange *ex)
{
    for (size_t i = 0; i < ex->item_count; i++)
        if (wants_capture(&ex->items[i]))
            return true;
    return false;
}

bool rows_capture(struct exchange *ex)
{
    if (!any_wants_capture(ex)) /* nearly every write */
        return false;
    request_begin_own(ex, "POST");
    buffer_append_cstr(&ex->capture_request.target, "/_mget?realtime=true");
    if (atomic_load(&ex->core->hides_vectors))
        buffer_append_cstr(&ex->capture_request.target, "&" WITH_VECTORS);
    buffer_append_cstr(&ex->capture_body, "{\"docs\":[");
    for (size_t i = 0; i < ex->item_count; i++)
        if (wants_capture(&ex->items[i]))
            append_capture_doc(ex, &ex->items[i]);
    buffer_append_cstr(&ex->capture_body, "]}");
    request_end_own(ex);
    return true;
}

/* Takes one captured document. False: it is older than the answer, from a stale copy. */
static bool take_doc(const struct exchange *ex, struct write_item *item, const struct mget_doc *doc)
{
    bool found = doc->found;
    if (doc->failed || (found && !doc->has_numbers))
        return false;
    if (!item->uncertain && found &&
        numbers_compare(doc->term, doc->seq_no, item->answer.term, item->answer.seq_no) < 0)
        return false;
    if (!found && ex->core->settings->primary_urls.count > 1 && !item->uncertain && !item->sweep) {
        /* With several nodes an isolated former primary may have answered: "not there" with the
         * answer's own numbers would beat what was acknowledged. doubt asks a copy that is proved.
         */
        item->row_source = ROW_FROM_NOTHING;
        item->outcome = OUTCOME_UNKNOWN;
        return true;
    }
    item->captured = *doc;
    item->has_row = true;
    if (!found && (item->uncertain || item->sweep)) {
        /* Nothing is proved about the present life, or nobody knows the routing that it had:
         * neither a row nor a negative one. What a write left in an uncertain life is doubt's to
         * find out: without a row nothing may be promised. */
        item->row_source = ROW_FROM_NOTHING;
        item->has_row = false;
        if (item->uncertain && item->outcome == OUTCOME_APPLIED)
            item->outcome = OUTCOME_UNKNOWN;
        else
            item->wants_watch = item->uncertain;
    }
    if (found && item->outcome == OUTCOME_CONFLICT && item->id_injected)
        item->outcome = OUTCOME_APPLIED;
    return true;
}

/* A pipeline may have given the document another routing, which the answer does not say: when what
 * is under the request's own is not exactly what was written, every shard is asked. */
static bool needs_sweep(const struct exchange *ex, const struct write_item *item,
                        const struct mget_doc *doc)
{
    const struct catalog *catalog = ex->catalog_after != NULL ? ex->catalog_after : ex->catalog;
    bool piped = item->request_pipeline || item->hit->has_pipeline;
    bool exact = doc->found && doc->term == item->answer.term && doc->seq_no == item->answer.seq_no;
    return catalog->pipelines_route && piped && !exact && !item->sweep && !doc->failed &&
           item->hit->shards > 1 && item->answer.has_numbers;
}

static void watch_document(struct exchange *ex, const struct write_item *item, struct span routing)
{
    struct intent_item what = {.op = item->op,
                               .name = span_cstr(item->hit->name),
                               .concrete = span_cstr(item->hit->name),
                               .incarnation = item->hit->incarnation,
                               .id = item->answer.id.size != 0 ? write_decode(ex, item->answer.id)
                                                               : item->id,
                               .routed = routing.size != 0,
                               .routing = routing};
    ex->watches = bytes_realloc(ex->watches, (ex->watch_count + 1) * sizeof *ex->watches);
    ex->watches[ex->watch_count++] = watch_new(ex->core, &what, 0);
}

static enum status next_doc(const struct exchange *ex, struct outcome_walk *walk,
                            struct mget_doc *doc)
{
    enum status status = mget_next(walk, doc);
    if (status == STATUS_OK && !core_has_numbers(ex->core))
        mget_by_version(doc);
    return status;
}

/* Reads the gets of a sweep; *OUT becomes the one that was written, or replaced it. Numbers are
 * given per shard, so two shards may both have a document that fits: the others are looked at
 * again, by their own routing. */
static enum status read_sweep(struct exchange *ex, struct outcome_walk *walk,
                              const struct write_item *item, struct mget_doc *out)
{
    bool failed = false;
    *out = (struct mget_doc){0};
    for (uint32_t shard = 0; shard < item->hit->shards; shard++) {
        struct mget_doc doc;
        if (next_doc(ex, walk, &doc) != STATUS_OK)
            return STATUS_BAD_INPUT;
        failed = failed || doc.failed;
        if (!doc.found || !doc.has_numbers ||
            numbers_compare(doc.term, doc.seq_no, item->answer.term, item->answer.seq_no) < 0)
            continue;
        if (!out->found)
            *out = doc;
        else
            watch_document(ex, item,
                           doc.routing.size != 0 ? write_decode(ex, doc.routing) : SPAN_NONE);
    }
    out->failed = failed;
    return STATUS_OK;
}

bool rows_take_capture(struct exchange *ex)
{
    struct outcome_walk walk;
    bool complete = true;
    if (ex->capture_answer.head.status != 200 ||
        mget_walk_init(&walk, buffer_span(&ex->capture_answer.body)) != STATUS_OK)
        return false;
    for (size_t i = 0; i < ex->item_count; i++) {
        struct write_item *item = &ex->items[i];
        struct mget_doc doc;
        if (!wants_capture(item))
            continue;
        if ((item->sweep ? read_sweep(ex, &walk, item, &doc) : next_doc(ex, &walk, &doc)) !=
            STATUS_OK)
            return false;
        if (needs_sweep(ex, item, &doc)) {
            item->sweep = true;
            complete = false;
            continue;
        }
        if (doc.source.size != 0)
            doc.source =
                arena_copy(&ex->arena, doc.source); /* the answer's bytes go with the next try */
        if (doc.routing.size != 0)
            doc.routing = arena_copy(&ex->arena, doc.routing);
        complete = take_doc(ex, item, &doc) && complete;
        ex->unknown = ex->unknown || item->outcome == OUTCOME_UNKNOWN;
    }
    return complete;
}

void rows_capture_failed(struct exchange *ex)
{
    for (size_t i = 0; i < ex->item_count; i++) {
        if (!wants_capture(&ex->items[i]))
            continue;
        ex->items[i].row_source = ROW_FROM_NOTHING;
        ex->items[i].outcome = OUTCOME_UNKNOWN;
        ex->unknown = true;
    }
}

/* ---- rows ---- */

static void row_from_capture(struct exchange *ex, struct write_item *item)
{
    const struct mget_doc *doc = &item->captured;
    struct row *row = &item->row;
    if (!doc->found) {
#ifndef PLANT_NO_NEGATIVE_ROW
        row->op = ROW_DELETE;
        row->proof = ROW_NEGATIVE;
#else
        item->has_row = false;
#endif
        return;
    }
    bool same = doc->term == item->answer.term && doc->seq_no == item->answer.seq_no;
    row->op = ROW_INDEX;
    row->proof = same && !item->uncertain ? ROW_ANSWERED : ROW_PROBED;
    row->term = doc->term;
    row->seq_no = doc->seq_no;
    row->version = doc->version;
    row->source = doc->source;
    row->content = CONTENT_JSON;
    /* Its own routing: a request with another one may have written the same id in the same shard.
     */
    row->routed = doc->routing.size != 0;
    row->routing = row->routed ? write_decode(ex, doc->routing) : SPAN_NONE;
}

static void build_row(struct exchange *ex, struct write_item *item)
{
    struct row *row = &item->row;
    item->has_row = true;
    *row = (struct row){
        .incarnation = item->hit->incarnation,
        .term = item->answer.term,
        .seq_no = item->answer.seq_no,
        .version = item->answer.version,
        .routed = item->routed || item->alias_routing.size != 0,
        .routing = item->routed ? item->routing : item->alias_routing,
        .id = item->answer.id.size != 0 ? write_decode(ex, item->answer.id) : item->id,
        .content = CONTENT_JSON,
        .type = item->type.size != 0 ? item->type : SPAN_NONE,
        .proof = ROW_ANSWERED,
        .op = ROW_INDEX,
        .copy_failed = item->answer.shards_failed,
    };
    if (item->row_source == ROW_FROM_REQUEST)
        row->source = item->source;
    else if (item->row_source == ROW_FROM_GET)
        row->source = item->answer.get_source;
    else if (item->row_source == ROW_FROM_DELETE)
        row->op = ROW_DELETE;
    else
        row_from_capture(ex, item);
    row->shard = shard_of(row->id, row->routed ? row->routing : SPAN_NONE, item->hit->shards,
                          item->hit->routing_shards, item->hit->partition);
}

/* An open end of one item: what doubt or the watch list has to know. */
static void item_as_intent(const struct write_item *item, struct intent_item *out)
{
    bool by_alias = !item->routed && item->alias_routing.size != 0;
    *out = (struct intent_item){.op = item->op,
                                .name = item->name,
                                .id = item->id,
                                .routed = item->routed || by_alias,
                                .routing = by_alias ? item->alias_routing : item->routing};
    if (item->index != NULL) {
        out->incarnation = item->index->incarnation;
        out->concrete = span_cstr(item->index->name);
    }
}

static void add_watch(struct exchange *ex, const struct write_item *item)
{
    struct intent_item what;
    item_as_intent(item, &what);
    if (what.id.size == 0)
        return;
    ex->watches = bytes_realloc(ex->watches, (ex->watch_count + 1) * sizeof *ex->watches);
    struct watch *watch = watch_new(ex->core, &what, item->uncertain ? 0 : WATCH_FIRST_US);
    /* A conflict is with what is there already: nothing is executed later. */
    if (item->outcome == OUTCOME_CONFLICT && !item->uncertain)
        watch_once(watch);
    ex->watches[ex->watch_count++] = watch;
}

/* It has no row, but what the answer promises holds for it too. */
static void count_unreplicated(struct exchange *ex, const struct write_item *item)
{
    ex->applied += item->outcome == OUTCOME_APPLIED || item->outcome == OUTCOME_NOTHING;
    ex->conflicts += item->outcome == OUTCOME_CONFLICT || item->outcome == OUTCOME_UNKNOWN;
}

void rows_build(struct exchange *ex)
{
    for (size_t i = 0; i < ex->item_count; i++) {
        struct write_item *item = &ex->items[i];
        if (item->unreplicated) {
            count_unreplicated(ex, item);
            continue;
        }
        if (item->row_source != ROW_FROM_NOTHING && item->hit != NULL)
            build_row(ex, item);
        if (item->has_row) {
            atomic_fetch_add(&ex->core->rows, 1);
            sweep_note_row(ex->core, item->hit->name, &item->row);
        }
        if (item->outcome == OUTCOME_APPLIED || item->outcome == OUTCOME_NOTHING)
            ex->applied++;
        ex->conflicts += item->outcome == OUTCOME_CONFLICT;
        if (item->outcome == OUTCOME_CONFLICT)
            atomic_fetch_add(&ex->core->conditional_conflicts, 1);
        if (item->wants_watch)
            add_watch(ex, item);
    }
}

/* The answer's numbers, where the row has others or there is none. */
static enum status write_answered(struct exchange *ex, struct journal_txn *txn,
                                  const struct write_item *item)
{
    bool carried = item->has_row && item->row.term == item->answer.term &&
                   item->row.seq_no == item->answer.seq_no && item->row.proof == ROW_ANSWERED;
    if (item->hit == NULL || item->uncertain || !item->answer.has_numbers || carried ||
        item->outcome != OUTCOME_APPLIED)
        return STATUS_OK;
    struct span routing = item->routed ? item->routing : item->alias_routing;
    struct record record = {
        .header.kind = RECORD_ANSWERED,
        .answered = {.incarnation = item->hit->incarnation,
                     .shard = shard_of(item->id, routing, item->hit->shards,
                                       item->hit->routing_shards, item->hit->partition),
                     .term = item->answer.term,
                     .seq_no = item->answer.seq_no}};
    return commit_append(&ex->commit, txn, &record);
}

/* Of a bulk with certain and uncertain items only the uncertain ones stay open. */
static enum status write_remaining_intent(struct exchange *ex, struct journal_txn *txn)
{
    struct intent intent = {.number = ex->intent, .time_us = ex->core->wall_us(ex->core)};
    struct buffer bytes = {0};
    uint8_t key[8];
    intent.items = bytes_alloc(sizeof *intent.items * ex->item_count);
    for (size_t i = 0; i < ex->item_count; i++)
        if (!ex->items[i].unreplicated && ex->items[i].outcome == OUTCOME_UNKNOWN)
            item_as_intent(&ex->items[i], &intent.items[intent.item_count++]);
    put_u64be(key, ex->intent);
    intent_encode(&bytes, &intent);
    enum status status =
        journal_put(txn, JOURNAL_INTENTS, span_of((char *)key, sizeof key), buffer_span(&bytes));
    buffer_fini(&bytes);
    free(intent.items);
    return status;
}

void rows_written(struct exchange *ex)
{
    for (size_t i = 0; i < ex->item_count; i++)
        if (ex->items[i].has_row && ex->items[i].row.routed)
            atomic_store(&ex->items[i].hit->flags->stored, true);
}

enum status rows_write(struct exchange *ex, struct journal_txn *txn)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < ex->item_count; i++) {
        struct write_item *item = &ex->items[i];
        if (item->has_row) {
            struct record record = {.header.kind = RECORD_ROW, .row = item->row};
            status = commit_append(&ex->commit, txn, &record);
            if (status == STATUS_OK && item->row.routed)
                status = definitions_store_routed(item->hit, txn);
        }
        if (status == STATUS_OK)
            status = write_answered(ex, txn, item);
    }
    for (size_t i = 0; status == STATUS_OK && i < ex->watch_count; i++)
        status = watch_store(ex->watches[i], txn);
    if (status == STATUS_OK)
        status = ex->unknown ? write_remaining_intent(ex, txn)
                             : commit_close_intent(&ex->commit, txn, ex->intent);
    return status;
}
