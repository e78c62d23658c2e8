/* exchange.c - one write, or one change of definitions, through the proxy: the machine without I/O.
 *
 * A write walks these states; exchange_set_state() alone moves it:
 *
 *     READING -> HELD -> INTENDING -> FORWARDING -> CONFIRMING -> CAPTURING
 *                                                         -> JOURNALING -> REPLYING
 *
 *     HELD        only under a hold (hold.h), while a change of definitions is under way on one of
 *                 its names, or, where clients set the versions, another write of one of its
 *                 documents
 *     CONFIRMING  only where the life that was hit is not certain
 *     CAPTURING   only where the answer does not hold the resulting document
 *
 * A change of definitions walks READING -> HELD -> FORWARDING -> CONFIRMING -> REPLYING, and a
 * write by query READING -> HELD -> FINDING -> INTENDING -> FORWARDING -> SWEEPING -> REPLYING.
 *
 * What must hold, whatever happens around us:
 *   - No client sees success for a write whose rows are not durable.
 *   - No write is forwarded before its intent is durable, or before its body is complete.
 *   - What got no certain answer stays an open intent until doubt has found out; it is never
 *     issued again.
 *
 * The special complication: the client may vanish in any state, yet a write the primary has already
 * applied must still reach the journal. So `owner` may turn NULL, and the walk goes on.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/exchange.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "conf/settings.h"
#include "proxy/by_query.h"
#include "proxy/write.h"

enum exchange_state {
    EXCHANGE_READING,    /* the request is still arriving */
    EXCHANGE_HELD,       /* under a hold, or a change of definitions on its names is under way */
    EXCHANGE_FINDING,    /* a write by query: what it may touch is being read */
    EXCHANGE_INTENDING,  /* complete and valid; its intent is not durable yet */
    EXCHANGE_FORWARDING, /* with the primary; its answer is not complete */
    EXCHANGE_CONFIRMING, /* answered; waits for a state read that tells which life it hit */
    EXCHANGE_CAPTURING,  /* answered; the resulting documents are being read */
    EXCHANGE_SWEEPING,   /* a write by query was answered; what it left is being journaled */
    EXCHANGE_JOURNALING, /* rows and outcome are not durable yet */
    EXCHANGE_REPLYING,   /* nothing left to lose; the answer is the data path's */
};

/* clang-format off */
static const struct {
    const char *name;
    unsigned next; /* the states that may follow, as bits */
} exchange_states[] = {
    [EXCHANGE_READING]    = {"reading", BIT(EXCHANGE_HELD) | BIT(EXCHANGE_FINDING) | BIT(EXCHANGE_INTENDING) |
                                        BIT(EXCHANGE_FORWARDING) | BIT(EXCHANGE_REPLYING)},
    [EXCHANGE_HELD]       = {"held", BIT(EXCHANGE_FINDING) | BIT(EXCHANGE_INTENDING) | BIT(EXCHANGE_FORWARDING) |
                                     BIT(EXCHANGE_REPLYING)},
    [EXCHANGE_FINDING]    = {"finding", BIT(EXCHANGE_INTENDING) | BIT(EXCHANGE_REPLYING)},
    [EXCHANGE_INTENDING]  = {"intending", BIT(EXCHANGE_FORWARDING) | BIT(EXCHANGE_REPLYING)},
    [EXCHANGE_FORWARDING] = {"forwarding", BIT(EXCHANGE_CONFIRMING) | BIT(EXCHANGE_CAPTURING) |
                                           BIT(EXCHANGE_SWEEPING) | BIT(EXCHANGE_JOURNALING) |
                                           BIT(EXCHANGE_REPLYING)},
    [EXCHANGE_CONFIRMING] = {"confirming", BIT(EXCHANGE_CAPTURING) | BIT(EXCHANGE_JOURNALING) |
                                           BIT(EXCHANGE_REPLYING)},
    [EXCHANGE_CAPTURING]  = {"capturing", BIT(EXCHANGE_JOURNALING)},
    [EXCHANGE_SWEEPING]   = {"sweeping", BIT(EXCHANGE_REPLYING)},
    [EXCHANGE_JOURNALING] = {"journaling", BIT(EXCHANGE_REPLYING)},
    [EXCHANGE_REPLYING]   = {"replying", 0},
};
/* clang-format on */

/* A capture that keeps answering with something older came from a stale copy; after so many tries
 * it is in doubt. */
#define CAPTURE_TRIES_MAX 8

static void exchange_set_state(struct exchange *ex, enum exchange_state next)
{
    CHECK(exchange_states[ex->state].next & BIT(next));
    ex->state = (int)next;
}

static void exchange_reply_now(struct exchange *ex)
{
    if (ex->using) {
        names_leave(ex->core->names, &ex->use);
        ex->using = false;
    }
    if (ex->in_turn)
        documents_leave(ex->core->documents, &ex->documents);
    ex->in_turn = false;
    if (ex->entered)
        hold_leave(ex->core->hold);
    ex->entered = false;
    exchange_set_state(ex, EXCHANGE_REPLYING);
    (void)FAILPOINT("P9");
    ex->ports->reply(ex->ctx, ex);
}

/* ---- birth ---- */

struct exchange *exchange_new(struct core *core, struct loop *loop,
                              const struct exchange_ports *ports, void *ctx, void *owner,
                              struct span head_bytes, const struct routing *routing)
{
    struct exchange *ex = bytes_alloc(sizeof *ex);
    (void)FAILPOINT("P0");
    struct http_limits limits = {SIZE_MAX, SIZE_MAX, HTTP_FIELDS_MAX};
    struct http_refusal refusal;

    memset(ex, 0, offsetof(struct exchange, head));
    http_head_clear(&ex->head);
    primary_answer_init(&ex->answer);
    primary_answer_init(&ex->capture_answer);
    ex->core = core;
    ex->loop = loop;
    ex->ports = ports;
    ex->ctx = ctx;
    ex->owner = owner;
    ex->state = EXCHANGE_READING;
    ex->begun_us = core->now_us(core);
    buffer_append_span(&ex->head_bytes, head_bytes);
    CHECK(http_parse_request(buffer_span(&ex->head_bytes), &limits, &ex->head, &refusal) ==
          STATUS_OK);
    ex->op.class = routing->op.class;
    operation_classify(ex->head.method, ex->head.path, &ex->op);
    return ex;
}

struct buffer *exchange_body(struct exchange *ex)
{
    return &ex->body;
}

void *exchange_owner(const struct exchange *ex)
{
    return ex->owner;
}

struct reply *exchange_reply(struct exchange *ex)
{
    return &ex->reply;
}

void exchange_on_client_gone(struct exchange *ex)
{
    ex->owner = NULL;
}

/* ---- memory ---- */

void exchange_count(struct exchange *ex, uint64_t size)
{
    atomic_fetch_add(&ex->core->body_bytes, size);
    ex->charged += size;
}

bool exchange_charge(struct exchange *ex, uint64_t size)
{
    exchange_count(ex, size);
    if (atomic_load(&ex->core->body_bytes) <= ex->core->settings->proxy_bodies_max)
        return true;
    reply_error(&ex->reply, 503, "tandem_memory_exception", "not-applied",
                "the memory of all writes in flight reaches proxy.bodies_max; try again, or send "
                "less at once");
    return false;
}

/* ---- 1. the intent ---- */

static enum status intent_write(struct commit *commit, struct journal_txn *txn)
{
    struct exchange *ex = (struct exchange *)((char *)commit - offsetof(struct exchange, commit));
    struct intent intent = {.time_us = ex->core->wall_us(ex->core),
                            .state_version = (uint64_t)ex->catalog->version,
                            .item_count = 0};
    intent.items = bytes_alloc(sizeof *intent.items * (ex->item_count + 1));
    for (size_t i = 0; i < ex->item_count; i++) {
        const struct write_item *item = &ex->items[i];
        if (item->unreplicated)
            continue;
        struct intent_item *ii = &intent.items[intent.item_count++];
        bool by_alias = !item->routed && item->alias_routing.size != 0;
        *ii = (struct intent_item){.op = item->op,
                                   .name = item->name,
                                   .id = item->id,
                                   .routed = item->routed || by_alias,
                                   .routing = by_alias ? item->alias_routing : item->routing};
        if (item->index != NULL) {
            ii->incarnation = item->index->incarnation;
            ii->concrete = span_cstr(item->index->name);
        }
    }
    enum status status = commit_open_intent(commit, txn, &intent);
    if (status == STATUS_OK && ex->query != NULL)
        status = by_query_store(ex, txn, commit->opened);
    free(intent.items);
    return status;
}

static void exchange_forward(struct exchange *ex)
{
    exchange_set_state(ex, EXCHANGE_FORWARDING);
    if (FAILPOINT("P5"))
        exchange_on_failure(ex, true, "failpoint P5");
    else
        ex->ports->forward(ex->ctx, ex, &ex->request);
}

static void intent_done(struct commit *commit)
{
    struct exchange *ex = (struct exchange *)((char *)commit - offsetof(struct exchange, commit));
    if (commit->status == STATUS_JOURNAL_FULL) {
        reply_error(&ex->reply, 503, "tandem_journal_full", "not-applied",
                    "the journal has no room, so writes are refused; reads go on. Make room, or "
                    "raise journal.size_max");
        exchange_reply_now(ex);
        return;
    }
    ex->intent = commit->opened;
    atomic_fetch_add(&ex->core->intents, 1);
    bool fails = FAILPOINT("P3c");
    if (fails) {
        exchange_set_state(ex, EXCHANGE_FORWARDING);
        exchange_on_failure(ex, true, "failpoint P3c");
        return;
    }
    exchange_forward(ex);
}

static void exchange_intend(struct exchange *ex)
{
    exchange_set_state(ex, EXCHANGE_INTENDING);
    ex->commit.write = intent_write;
    ex->commit.done = intent_done;
    ex->commit.loop = ex->loop;
    ex->commit.admits = true;
    sequencer_submit(ex->core->sequencer, &ex->commit);
}

/* A write by query holds its names only until here: it may run for hours, and which lives it hit
 * is seen afterwards. */
static void exchange_find(struct exchange *ex)
{
    if (ex->using) {
        names_leave(ex->core->names, &ex->use);
        ex->using = false;
        exchange_set_state(ex, EXCHANGE_FINDING);
    }
    if (by_query_ask(ex))
        ex->ports->forward(ex->ctx, ex, &ex->capture_request);
    else
        exchange_intend(ex);
}

static void exchange_on_turn(struct documents_use *use)
{
    struct exchange *ex = (struct exchange *)((char *)use - offsetof(struct exchange, documents));
    ex->in_turn = true;
    exchange_intend(ex);
}

/* Where clients set the versions no two writes of one document are under way at once. */
static void exchange_take_turns(struct exchange *ex)
{
    uint64_t *keys = NULL;
    size_t count = 0;
    for (size_t i = 0; i < ex->item_count; i++) {
        const struct write_item *item = &ex->items[i];
        if (!request_keeps_client_versions(ex, item))
            continue;
        if (keys == NULL)
            keys = bytes_alloc(ex->item_count * sizeof *keys);
        keys[count++] = documents_key(
            item->index != NULL ? span_cstr(item->index->name) : item->name, item->id);
    }
    if (count == 0) {
        exchange_intend(ex);
        return;
    }
    ex->documents.loop = ex->loop;
    ex->documents.on_turn = exchange_on_turn;
    if (ex->state == EXCHANGE_READING) /* before somebody else can say that it is our turn */
        exchange_set_state(ex, EXCHANGE_HELD);
    if (documents_enter(ex->core->documents, &ex->documents, keys, count))
        exchange_on_turn(&ex->documents);
    free(keys);
}

static void exchange_admitted(struct exchange *ex)
{
    if (ex->op.class == OP_BY_QUERY)
        exchange_find(ex);
    else if (ex->op.class == OP_WRITE)
        exchange_take_turns(ex);
    else
        exchange_forward(ex);
}

static void exchange_on_granted(struct names_use *use)
{
    struct exchange *ex = (struct exchange *)((char *)use - offsetof(struct exchange, use));
    if (use->denied) {
        reply_error(&ex->reply, 503, "tandem_held_too_long", "not-applied",
                    "a change of definitions on this index is taking long; try again");
        exchange_reply_now(ex);
        return;
    }
    /* What was resolved before the wait may name another life by now. */
    const struct catalog *fresh = catalog_get(&ex->core->catalog);
    for (size_t i = 0; i < ex->item_count; i++) {
        const char *routing;
        struct write_item *item = &ex->items[i];
        item->index = catalog_write_target(fresh, item->name, &routing);
        item->alias_routing = arena_copy(&ex->arena, span_cstr(routing));
        request_note_routed(ex, item);
    }
    catalog_put(ex->catalog);
    ex->catalog = fresh;
    exchange_admitted(ex);
}

static bool exchange_refused(struct exchange *ex)
{
    const char *why = FAILPOINT("P1") ? "failpoint P1" : core_refuses_writes(ex->core);
    if (why == NULL)
        return false;
    reply_error(&ex->reply, 503, "tandem_not_ready", "not-applied", "%s", why);
    return true;
}

static bool prepare(struct exchange *ex)
{
    return ex->op.class == OP_WRITE      ? request_prepare(ex)
           : ex->op.class == OP_BY_QUERY ? by_query_prepare(ex)
                                         : request_prepare_metadata(ex);
}

/* It is its turn, be it at once or behind a hold. */
static void exchange_begin(struct exchange *ex)
{
    bool metadata = ex->op.class == OP_METADATA;
    if (exchange_refused(ex)) {
        exchange_reply_now(ex);
        return;
    }
    ex->catalog = catalog_get(&ex->core->catalog); /* it is there: only now, writes are taken */
    if (!request_decode_body(ex) || !prepare(ex)) {
        exchange_reply_now(ex);
        return;
    }
    if (FAILPOINT("P2")) {
        reply_error(&ex->reply, 503, "tandem_not_ready", "not-applied", "failpoint P2");
        exchange_reply_now(ex);
        return;
    }
    if (metadata || ex->op.class == OP_BY_QUERY)
        request_metadata_names(ex);
    ex->use.loop = ex->loop;
    ex->use.exclusive = metadata;
    ex->use.names = ex->use_names;
    ex->use.on_granted = exchange_on_granted;
    ex->using = true;
    if (names_enter(ex->core->names, &ex->use)) {
        exchange_admitted(ex);
        return;
    }
    if (ex->state == EXCHANGE_READING)
        exchange_set_state(ex, EXCHANGE_HELD);
}

static void exchange_on_released(struct hold_use *use)
{
    struct exchange *ex = (struct exchange *)((char *)use - offsetof(struct exchange, hold));
    if (ex->owner != NULL) {
        exchange_begin(ex);
        return;
    }
    /* Its client gave up, and has perhaps sent it again: it must not be written twice. */
    reply_error(&ex->reply, 503, "tandem_held_too_long", "not-applied",
                "the client has gone while writes were held; nothing was sent");
    exchange_reply_now(ex);
}

void exchange_start(struct exchange *ex)
{
    ex->hold = (struct hold_use){
        .loop = ex->loop, .bytes = ex->body.size, .on_released = exchange_on_released};
    ex->entered = true;
    if (hold_enter(ex->core->hold, &ex->hold))
        exchange_begin(ex);
    else
        exchange_set_state(ex, EXCHANGE_HELD);
}

/* ---- 3. rows and outcome durable, then the client ---- */

static enum status outcome_write(struct commit *commit, struct journal_txn *txn)
{
    struct exchange *ex = (struct exchange *)((char *)commit - offsetof(struct exchange, commit));
    return FAILPOINT("P8") ? STATUS_JOURNAL_FULL : rows_write(ex, txn);
}

static void hand_watches_over(struct exchange *ex)
{
    for (size_t i = 0; i < ex->watch_count; i++)
        doubt_take_watch(ex->core, ex->watches[i]);
    ex->watch_count = 0;
}

static void count_outcome(struct exchange *ex)
{
    atomic_fetch_add(ex->unknown   ? &ex->core->writes_unknown
                     : ex->applied ? &ex->core->writes_applied
                                   : &ex->core->writes_not_applied,
                     1);
}

/* The answer as the primary gave it, with what it promises. */
static void exchange_reply_rendered(struct exchange *ex)
{
    render_reply(ex);
    render_promise(ex, ex->unknown || ex->conflicts != 0 ? "unknown"
                       : ex->applied != 0                ? "applied"
                                                         : "not-applied");
    count_outcome(ex);
    exchange_reply_now(ex);
}

static void outcome_done(struct commit *commit)
{
    struct exchange *ex = (struct exchange *)((char *)commit - offsetof(struct exchange, commit));
#ifdef PLANT_ACK_BEFORE_DURABLE
    exchange_free(ex); /* the answer left long ago */
    return;
#endif
    if (commit->status == STATUS_JOURNAL_FULL) {
        /* Applied by the primary, and not ours to acknowledge: the intent is still open, so doubt
         * will journal it. */
        doubt_take_intent(ex->core, ex->intent);
        ex->unknown = true;
        reply_error(&ex->reply, 503, "tandem_unknown", NULL,
                    "the journal has no room for the outcome of this write; it is journaled as "
                    "soon as there is");
        render_promise(ex, "unknown");
        count_outcome(ex);
        exchange_reply_now(ex);
        return;
    }
    hand_watches_over(ex);
    rows_written(ex);
    if (commit->closed == 0 && ex->intent != 0 && ex->unknown)
        doubt_take_intent(ex->core, ex->intent);
    exchange_reply_rendered(ex);
}

static void exchange_journal(struct exchange *ex)
{
    exchange_set_state(ex, EXCHANGE_JOURNALING);
    rows_build(ex);
    if (ex->using) {
        names_leave(ex->core->names, &ex->use);
        ex->using = false;
    }
    ex->commit = (struct commit){.write = outcome_write, .done = outcome_done, .loop = ex->loop};
    sequencer_submit(ex->core->sequencer, &ex->commit);
#ifdef PLANT_ACK_BEFORE_DURABLE
    struct exchange *early = bytes_zalloc(sizeof *early);
    early->core = ex->core;
    early->ports = ex->ports;
    early->ctx = ex->ctx;
    early->owner = ex->owner;
    early->state = EXCHANGE_JOURNALING;
    early->head = ex->head;
    early->answer.head = ex->answer.head;
    buffer_append_span(&early->answer.body, buffer_span(&ex->answer.body));
    early->applied = ex->applied;
    exchange_reply_rendered(early);
#endif
}

static void exchange_capture(struct exchange *ex)
{
    if (!rows_capture(ex)) {
        exchange_journal(ex);
        return;
    }
    exchange_set_state(ex, EXCHANGE_CAPTURING);
    atomic_fetch_add(&ex->core->captures, 1);
    ex->ports->forward(ex->ctx, ex, &ex->capture_request);
}

/* A change of definitions that was refused, but may be under way: a time-out, which Elasticsearch
 * since 9.0 answers with 429. */
static bool may_still_happen(const struct exchange *ex)
{
    struct outcome_item answer;
    int status = ex->answer.head.status;
    if (status != 429)
        return status >= 500;
    return outcome_single(status, buffer_span(&ex->answer.body), &answer) == STATUS_OK &&
           outcome_judge(&answer) == OUTCOME_UNKNOWN;
}

static void exchange_on_state(struct state_wait *wait)
{
    struct exchange *ex = (struct exchange *)((char *)wait - offsetof(struct exchange, wait));
    if (wait->failed) {
        ex->unknown = true;
        if (ex->intent != 0)
            doubt_take_intent(ex->core, ex->intent);
        reply_error(&ex->reply, 504, "tandem_unknown", NULL,
                    "the primary answered %d, but its cluster state could not be read in time; "
                    "Tandem finds out",
                    ex->answer.head.status);
        render_promise(ex, "unknown");
        count_outcome(ex);
        exchange_reply_now(ex);
        return;
    }
    ex->catalog_after = wait->catalog;
    if (ex->op.class != OP_WRITE) {
        ex->applied = ex->answer.head.status < 300;
        ex->unknown = may_still_happen(ex);
        exchange_reply_rendered(ex);
        return;
    }
    rows_decide_lives(ex);
    exchange_capture(ex);
}

static void exchange_confirm(struct exchange *ex)
{
    exchange_set_state(ex, EXCHANGE_CONFIRMING);
    ex->wait = (struct state_wait){.core = ex->core,
                                   .loop = ex->loop,
                                   .on_state = exchange_on_state,
                                   .timeout_us = ex->core->settings->proxy_metadata_timeout};
    follower_await(ex->core, &ex->wait);
}

/* ---- 2. the primary's answer ---- */

/* What became of it is found out without EX. */
static void exchange_doubt(struct exchange *ex)
{
    if (ex->query != NULL)
        by_query_sweep(ex, NULL);
    else if (ex->intent != 0)
        doubt_take_intent(ex->core, ex->intent);
}

/* The whole of it is in doubt: the client gets the original answer or failure, marked. */
static void exchange_doubt_all(struct exchange *ex)
{
    ex->unknown = true;
    exchange_doubt(ex);
    render_promise(ex, "unknown");
    count_outcome(ex);
    exchange_reply_now(ex);
}

static void metadata_on_answer(struct exchange *ex)
{
    bool success = ex->answer.head.status >= 200 && ex->answer.head.status < 300;
    if (success && ex->op.kind == OP_KIND_INDEX_DELETE)
        for (size_t i = 0; i < ex->use.count; i++)
            names_note_deletion(ex->core->names, ex->use.names[i]);
    if (ex->answer.head.status >= 400 && !may_still_happen(ex)) {
        exchange_reply_rendered(ex);
        return;
    }
    exchange_confirm(ex);
}

static void capture_on_answer(struct exchange *ex, struct primary_answer *answer)
{
    primary_answer_fini(&ex->capture_answer);
    primary_answer_move(&ex->capture_answer, answer);
    if (!rows_take_capture(ex)) {
        if (++ex->capture_tries < CAPTURE_TRIES_MAX && rows_capture(ex)) {
            ex->ports->forward(ex->ctx, ex, &ex->capture_request);
            return;
        }
        rows_capture_failed(ex);
    }
    exchange_journal(ex);
}

/* ---- a write by query ---- */

static void found_on_answer(struct exchange *ex, struct primary_answer *answer)
{
    primary_answer_fini(&ex->capture_answer);
    primary_answer_move(&ex->capture_answer, answer);
    if (by_query_take(ex))
        exchange_find(ex);
    else
        exchange_reply_now(ex);
}

static void exchange_on_swept(struct sweep_wait *wait)
{
    struct exchange *ex = by_query_exchange(wait);
    ex->unknown = !wait->complete;
    ex->applied = ex->answer.head.status < 300 || wait->moved;
    ex->commit.last_seq = wait->last_seq;
    exchange_reply_rendered(ex);
}

static enum status task_write(struct commit *commit, struct journal_txn *txn)
{
    struct exchange *ex = (struct exchange *)((char *)commit - offsetof(struct exchange, commit));
    return by_query_store(ex, txn, ex->intent);
}

static void task_done(struct commit *commit)
{
    struct exchange *ex = (struct exchange *)((char *)commit - offsetof(struct exchange, commit));
    by_query_sweep(ex, NULL);
    ex->unknown = true;
    exchange_reply_rendered(ex);
}

static void by_query_on_answer(struct exchange *ex)
{
    if (!by_query_take_answer(ex)) {
        exchange_set_state(ex, EXCHANGE_SWEEPING);
        by_query_sweep(ex, exchange_on_swept);
        return;
    }
    exchange_set_state(ex, EXCHANGE_JOURNALING);
    ex->commit = (struct commit){.write = task_write, .done = task_done, .loop = ex->loop};
    sequencer_submit(ex->core->sequencer, &ex->commit);
}

void exchange_on_answer(struct exchange *ex, struct primary_answer *answer)
{
    if (ex->state == EXCHANGE_FINDING) {
        found_on_answer(ex, answer);
        return;
    }
    if (ex->state == EXCHANGE_CAPTURING) {
        capture_on_answer(ex, answer);
        return;
    }
    CHECK(ex->state == EXCHANGE_FORWARDING);
    if (FAILPOINT("P7")) {
        exchange_on_failure(ex, false, "failpoint P7");
        return;
    }
    primary_answer_move(&ex->answer, answer);
    if (ex->op.class == OP_BY_QUERY) {
        by_query_on_answer(ex);
        return;
    }
    if (ex->op.class != OP_WRITE) {
        metadata_on_answer(ex);
        return;
    }
    if (!rows_read_answer(ex)) {
        render_reply(ex);
        exchange_doubt_all(ex);
        return;
    }
    if (rows_need_state(ex)) {
        exchange_confirm(ex);
        return;
    }
    rows_decide_lives(ex);
    exchange_capture(ex);
}

static enum status close_write(struct commit *commit, struct journal_txn *txn)
{
    struct exchange *ex = (struct exchange *)((char *)commit - offsetof(struct exchange, commit));
    enum status status = ex->query == NULL ? STATUS_OK : sweep_forget(txn, ex->intent);
    return status == STATUS_OK ? commit_close_intent(commit, txn, ex->intent) : status;
}

static void close_done(struct commit *commit)
{
    struct exchange *ex = (struct exchange *)((char *)commit - offsetof(struct exchange, commit));
    if (commit->status ==
        STATUS_JOURNAL_FULL) /* it stays open; to doubt it is a write that left no trace */
        exchange_doubt(ex);
    count_outcome(ex);
    exchange_reply_now(ex);
}

void exchange_on_failure(struct exchange *ex, bool nothing_sent, const char *why)
{
    if (ex->state == EXCHANGE_CAPTURING) {
        if (++ex->capture_tries < CAPTURE_TRIES_MAX && rows_capture(ex)) {
            ex->ports->forward(ex->ctx, ex, &ex->capture_request);
            return;
        }
        rows_capture_failed(ex);
        exchange_journal(ex);
        return;
    }
    if (ex->state == EXCHANGE_FINDING) {
        reply_error(&ex->reply, 503, "tandem_primary_away", "not-applied",
                    "the primary cannot be reached (%s); nothing was sent", why);
        exchange_reply_now(ex);
        return;
    }
    CHECK(ex->state == EXCHANGE_FORWARDING);
    if (!nothing_sent) {
        reply_error(&ex->reply, 504, "tandem_unknown", NULL,
                    "no answer from the primary (%s): the write may have been applied, now or "
                    "later; Tandem finds out",
                    why);
        exchange_doubt_all(ex);
        return;
    }
    reply_error(&ex->reply, 503, "tandem_primary_away", "not-applied",
                "the primary cannot be reached (%s); nothing was sent", why);
    if (ex->intent == 0) {
        exchange_reply_now(ex);
        return;
    }
    exchange_set_state(ex, EXCHANGE_JOURNALING);
    ex->commit = (struct commit){.write = close_write, .done = close_done, .loop = ex->loop};
    sequencer_submit(ex->core->sequencer, &ex->commit);
}

/* ---- end ---- */

void primary_answer_init(struct primary_answer *answer)
{
    answer->head_bytes = (struct buffer){0};
    answer->body = (struct buffer){0};
    http_head_clear(&answer->head);
}

void primary_answer_move(struct primary_answer *to, struct primary_answer *from)
{
    to->head_bytes = from->head_bytes;
    to->body = from->body;
    http_head_copy(&to->head, &from->head);
    primary_answer_init(from);
}

void primary_answer_fini(struct primary_answer *answer)
{
    buffer_fini(&answer->head_bytes);
    buffer_fini(&answer->body);
}

void reply_fini(struct reply *reply)
{
    buffer_fini(&reply->fields);
    buffer_fini(&reply->body);
}

void exchange_free(struct exchange *ex)
{
    CHECK(ex->state == EXCHANGE_READING || ex->state == EXCHANGE_REPLYING ||
          ex->state == EXCHANGE_JOURNALING);
    atomic_fetch_sub(&ex->core->body_bytes, ex->charged);
    for (size_t i = 0; i < ex->watch_count; i++)
        watch_free(ex->watches[i]);
    free(ex->watches);
    free(ex->items);
    by_query_free(ex->query);
    if (ex->catalog != NULL)
        catalog_put(ex->catalog);
    if (ex->catalog_after != NULL)
        catalog_put(ex->catalog_after);
    buffer_fini(&ex->head_bytes);
    buffer_fini(&ex->body);
    buffer_fini(&ex->new_body);
    buffer_fini(&ex->request.target);
    buffer_fini(&ex->request.fields);
    buffer_fini(&ex->capture_request.target);
    buffer_fini(&ex->capture_request.fields);
    buffer_fini(&ex->capture_body);
    primary_answer_fini(&ex->answer);
    primary_answer_fini(&ex->capture_answer);
    reply_fini(&ex->reply);
    arena_fini(&ex->arena);
    free(ex);
}
