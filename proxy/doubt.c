/* doubt.c - what became of a write without an answer: probes, negative rows, the watch list.
 *
 * One batch of ids at a time walks these steps; doubt_set_step() alone moves it:
 *
 *     IDLE -> STATE -> NAMES* -> TERMS -> STATS* -> READ -> TERMS_AGAIN -> COMMIT -> IDLE
 *
 *     STATE   a cluster state read that began now: which life does each name have?
 *     NAMES   what date mathematics in a name means now
 *     TERMS   the primary term t of each shard concerned
 *     STATS   max_seq_no m of its primary copy, until its global checkpoint has reached the first
 *             m: a replica may answer the read, and an isolated former primary never gets there
 *     An engine before 6.0 has neither terms nor numbers. There the writes of a document take
 * turns, and the primary copy is read: TERMS, STATS and TERMS_AGAIN are left out.
 *
 *     READ    a realtime _mget. Found: a probed row with its own numbers. Not found: a negative
 *             row (t, m): every state that was replaced by then is below it, every later write
 *             above it
 *     TERMS_AGAIN   another primary meanwhile proves nothing: the batch begins anew
 *
 * What must hold:
 *   - Nothing is ever issued again.
 *   - An intent is closed only in the transaction that holds the rows of all its items.
 *   - The lost request may still execute later, so the ids are looked at again after 1 s, 10 s
 *     and 60 s (the watch list).
 *   - What can't be probed now (a shard without a primary) stays open, is counted, and holds marks
 *     back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/doubt_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/shard.h"
#include "proxy/definitions.h"
#include "proxy/sweep.h"

#define BATCH_ITEMS 500
#define RETRY_US UINT64_C(1000000)
#define UNREADABLE_RETRY_US (60 * UINT64_C(1000000))
#define GLOBAL_CHECKPOINT_WAIT_US UINT64_C(50000)
#define GLOBAL_CHECKPOINT_TRIES 100
/* For so long a name with date mathematics is taken to mean what it meant. */
#define DATE_MATH_HOLDS_US (600 * UINT64_C(1000000))
/* After so long an id that can't be read leaves the watch list, and its index is noted. */
#define WATCH_UNREAD_US (3600 * UINT64_C(1000000))
#define WHY_NO_NUMBERS "its documents have no sequence numbers: what was in doubt can't be ordered"

void doubt_set_step(struct doubt *d, enum step next)
{
    CHECK(next == STEP_IDLE || next >= d->step ||
          (next == STEP_TERMS && d->step == STEP_TERMS_AGAIN));
    d->step = next;
}

/* ---- watches ---- */

static bool load_watch(void *arg, struct span key, struct span value)
{
    struct doubt *d = arg;
    struct watch *watch = watch_decode(d->core, key, value);
    if (watch == NULL)
        return false;
    watch->next = d->watches;
    d->watches = watch;
    d->watch_count++;
    if (watch->number >= atomic_load(&d->core->next_watch))
        atomic_store(&d->core->next_watch, watch->number + 1);
    return true;
}

static void take_watch(struct loop_task *task)
{
    struct watch *watch = (struct watch *)task;
    struct doubt *d = watch->core->doubt;
    if (d->watch_count >= watch->core->settings->doubt_watch_max) {
        follower_note_diverged(
            watch->core, watch->item.name,
            "more ids in doubt than doubt.watch_max: some were not looked at again");
        watch_give_up(watch);
        return;
    }
    watch->next = d->watches;
    d->watches = watch;
    d->watch_count++;
    if (watch->due_us <= watch->core->now_us(watch->core) && d->step == STEP_IDLE)
        core_tick(watch->core);
}

void doubt_take_watch(struct core *core, struct watch *watch)
{
    watch->task.run = take_watch;
    core->post(core->control, &watch->task);
}

/* ---- cases ---- */

struct case_task {
    struct loop_task task;
    struct core *core;
    uint64_t number;
};

/* Reads the intent. One that can't be read stays open, and is said: what it held can't be looked
 * up. */
static bool case_load(struct doubt *d, struct doubt_case *c)
{
    uint8_t key[8];
    put_u64be(key, c->number);
    buffer_clear(&c->bytes);
    intent_fini(&c->intent);
    enum status status =
        journal_get(d->core->journal, JOURNAL_INTENTS, span_of((char *)key, sizeof key), &c->bytes);
    if (status == STATUS_OK)
        status = intent_decode(buffer_span(&c->bytes), &c->intent);
    if (status != STATUS_OK)
        log_error("doubt", "intent %" PRIu64 " cannot be read, it stays open: %s", c->number,
                  status_text(status));
    return status == STATUS_OK;
}

static void case_free(struct doubt_case *c)
{
    intent_fini(&c->intent);
    buffer_fini(&c->bytes);
    free(c);
}

static void case_add(struct doubt *d, uint64_t number, bool from_start)
{
    struct doubt_case *c = bytes_zalloc(sizeof *c);
    c->number = number;
    c->from_start = from_start;
    c->due_us = d->core->now_us(d->core);
    c->next = d->cases;
    d->cases = c;
    d->case_count++;
    d->from_start += from_start;
}

static void take_case(struct loop_task *task)
{
    struct case_task *ct = (struct case_task *)task;
    case_add(ct->core->doubt, ct->number, false);
    core_tick(ct->core);
    free(ct);
}

void doubt_take_intent(struct core *core, uint64_t number)
{
    struct case_task *ct = bytes_zalloc(sizeof *ct);
    ct->core = core;
    ct->number = number;
    ct->task.run = take_case;
    core->post(core->control, &ct->task);
}

static bool load_case(void *arg, struct span key, struct span value)
{
    struct doubt *d = arg;
    (void)value;
    if (!sweeps_have(d->core->sweeps, get_u64be(key.data)))
        case_add(d, get_u64be(key.data), true);
    return true;
}

/* ---- the batch ---- */

/* True when W knows something of the life that TARGET is; numbers of another one say nothing. */
static bool watch_knows(const struct watch *w, const struct catalog_index *target)
{
    return w->known && target != NULL && w->life == target->incarnation;
}

static struct probe *new_probe(struct doubt *d, const struct intent_item *item,
                               struct doubt_case *c, struct watch *w,
                               const struct catalog_index *target)
{
    d->probes = bytes_realloc(d->probes, (d->probe_count + 1) * sizeof *d->probes);
    struct probe *p = &d->probes[d->probe_count++];
    *p = (struct probe){.item = item,
                        .from_case = c,
                        .from_watch = w,
                        .target = target,
                        .routed = item->routed,
                        .asked_routing = item->routed ? item->routing : SPAN_NONE};
    p->read_source = w == NULL || !watch_knows(w, target);
    if (target != NULL)
        p->shard = shard_of(item->id, p->asked_routing, target->shards, target->routing_shards,
                            target->partition);
    return p;
}

/* Where a pipeline may have chosen the routing, a write in doubt can have gone to any shard: each
 * is asked, the one of its own routing by that. */
static void add_probe(struct doubt *d, const struct intent_item *item, struct doubt_case *c,
                      struct watch *w, const struct catalog_index *target)
{
    uint32_t own = new_probe(d, item, c, w, target)->shard;
    if (c == NULL || target == NULL || !d->catalog->pipelines_route)
        return;
    for (uint32_t shard = 0; shard < target->shards; shard++) {
        char text[12];
        if (shard == own)
            continue;
        struct probe *p = new_probe(d, item, c, w, target);
        p->shard = shard;
        p->routed = true;
        p->asked_routing =
            arena_copy(&d->arena, shard_routing(item->id, target->shards, target->routing_shards,
                                                target->partition, shard, text));
    }
}

/* An alias of several indices names none to write to, but it may have named one of them when ITEM
 * was forwarded. False: it is no such alias. */
static bool add_members(struct doubt *d, const struct intent_item *item, struct doubt_case *c,
                        struct watch *w)
{
    const struct catalog_alias *alias = catalog_find_alias(d->catalog, item->name);
    bool any = false;
    for (size_t i = 0; alias != NULL && i < alias->count; i++) {
        const struct catalog_index *index =
            catalog_find_index(d->catalog, span_cstr(alias->members[i].index));
        if (index != NULL)
            add_probe(d, item, c, w, index);
        any = any || index != NULL;
    }
    return any;
}

/* The lives ITEM could mean: what its name means now, and what it meant when it was admitted if
 * that still lives. */
static void add_probes(struct doubt *d, const struct intent_item *item, struct doubt_case *c,
                       struct watch *w)
{
    const char *routing;
    const struct catalog_index *now = catalog_write_target(d->catalog, item->name, &routing);
    const struct catalog_index *then =
        item->incarnation == 0 ? NULL : catalog_find_incarnation(d->catalog, item->incarnation);
    if (item->id.size == 0)
        return;
    if (then != NULL && then != now)
        add_probe(d, item, c, w, then);
    if (then == NULL && now == NULL && add_members(d, item, c, w))
        return;
    if (now != NULL || then == NULL)
        add_probe(d, item, c, w, now);
}

static void take_due_cases(struct doubt *d, uint64_t now_us, size_t *items)
{
    struct doubt_case **link = &d->cases;
    while (*link != NULL && *items < BATCH_ITEMS) {
        struct doubt_case *c = *link;
        if (c->due_us > now_us) {
            link = &c->next;
            continue;
        }
        c->unprobable = !case_load(d, c);
        if (c->unprobable) {
            c->due_us = now_us + UNREADABLE_RETRY_US;
            d->from_start -= c->from_start && !c->looked_at;
            c->looked_at = true;
            link = &c->next;
            continue;
        }
        *link = c->next;
        c->next = d->batch_cases;
        d->batch_cases = c;
        *items += c->intent.item_count;
    }
}

static void take_due_watches(struct doubt *d, uint64_t now_us, size_t *items)
{
    struct watch **link = &d->watches;
    while (*link != NULL && *items < BATCH_ITEMS) {
        struct watch *w = *link;
        if (w->due_us > now_us) {
            link = &w->next;
            continue;
        }
        *link = w->next;
        w->next = d->batch_watches;
        d->batch_watches = w;
        ++*items;
    }
}

/* Puts the batch back and ends it; what it held is due again after RETRY_US. */
static void end_batch(struct doubt *d)
{
    uint64_t due = d->core->now_us(d->core) + RETRY_US;
    while (d->batch_cases != NULL) {
        struct doubt_case *c = d->batch_cases;
        d->batch_cases = c->next;
        c->due_us = due;
        c->next = d->cases;
        d->cases = c;
    }
    while (d->batch_watches != NULL) {
        struct watch *w = d->batch_watches;
        d->batch_watches = w->next;
        if (w->due_us < due)
            w->due_us = due;
        w->next = d->watches;
        d->watches = w;
    }
    while (d->new_watches != NULL) {
        struct watch *w = d->new_watches;
        d->new_watches = w->next;
        watch_free(w);
    }
    if (d->in_turn)
        documents_leave(d->core->documents, &d->documents);
    d->in_turn = false;
    if (d->catalog != NULL)
        catalog_put(d->catalog);
    d->catalog = NULL;
    d->probe_count = 0;
    shard_facts_clear(&d->facts);
    arena_fini(&d->arena);
    doubt_set_step(d, STEP_IDLE);
}

static void fail_batch(struct doubt *d, const char *why)
{
    log_warn("doubt", "what is in doubt cannot be settled now, trying again: %s", why);
    for (struct doubt_case *c = d->batch_cases; c != NULL; c = c->next)
        c->unprobable = true;
    end_batch(d);
}

/* ---- answers ---- */

static void take_name(struct doubt *d, struct span body, bool missing)
{
    struct span name = SPAN_NONE;
    struct span concrete = missing ? SPAN_NONE : shard_facts_first_name(&d->arena, body);
    for (size_t i = 0; i < d->probe_count; i++) {
        struct probe *p = &d->probes[i];
        bool this_one = p->target == NULL && !p->answered && p->item->name.data[0] == '<' &&
                        (name.size == 0 || span_equal(name, p->item->name));
        if (!this_one)
            continue;
        name = p->item->name;
        p->answered = true; /* asked; what it means stands in target */
        p->target = catalog_find_index(d->catalog, concrete);
        if (p->target != NULL)
            p->shard = shard_of(p->item->id, p->item->routed ? p->item->routing : SPAN_NONE,
                                p->target->shards, p->target->routing_shards, p->target->partition);
    }
}

static void names_known(struct doubt *d)
{
    for (size_t i = 0; i < d->probe_count; i++)
        d->probes[i].answered = false;
    d->stats_tries = 0;
    doubt_ask_terms(d, STEP_TERMS);
}

static void take_stats(struct doubt *d, struct span body)
{
    if (shard_facts_take_stats(&d->facts, body) || ++d->stats_tries >= GLOBAL_CHECKPOINT_TRIES) {
        doubt_begin_reading(d); /* shards that are not ready are not read */
        return;
    }
    d->stats_at_us = d->core->now_us(d->core) + GLOBAL_CHECKPOINT_WAIT_US;
}

/* Judges what was read of P; false when it is older than what is known: a stale copy answered. */
static bool judge_probe(const struct doubt *d, struct probe *p, const struct shard_fact *fact)
{
    const struct watch *w = p->from_watch;
    bool knows = w != NULL && watch_knows(w, p->target);
    if (!core_has_numbers(d->core)) {
        /* It was read from the primary copy, while nobody else writes it. Versions may begin anew
         * when a document was deleted for long. */
        p->row = !p->found || !knows || !w->found || p->term != w->term || p->seq_no != w->seq_no;
        if (!p->found)
            numbers_of_version(0, &p->term, &p->seq_no);
        return true;
    }
    if (!p->found) {
        p->term = fact->term;
        p->seq_no = fact->max_seq_no;
        /* Each time: it may have been deleted after m was read, and then this row is not above what
         * was deleted; the next one is. */
        p->row = true;
        return true;
    }
    if (knows && w->found) {
        int order = numbers_compare(p->term, p->seq_no, w->term, w->seq_no);
        p->row = order > 0;
        return order >= 0;
    }
    p->row = true;
    return true;
}

/* The text of a raw JSON string; empty when there is none. */
static struct span decoded(struct doubt *d, struct span raw)
{
    struct buffer text = {0};
    struct span copy = SPAN_NONE;
    if (raw.size != 0 && json_string_decode(raw, &text))
        copy = arena_copy(&d->arena, buffer_span(&text));
    buffer_fini(&text);
    return copy;
}

static bool take_read(struct doubt *d, struct span body)
{
    struct outcome_walk walk;
    struct mget_doc doc;
    if (mget_walk_init(&walk, body) != STATUS_OK)
        return false;
    for (size_t i = d->read_from; i < d->read_to; i++) {
        struct probe *p = &d->probes[i];
        if (!doubt_probe_is_readable(d, p))
            continue;
        if (mget_next(&walk, &doc) != STATUS_OK)
            return false;
        if (doc.failed)
            continue;
        if (!core_has_numbers(d->core))
            mget_by_version(&doc);
        if (doc.found && !doc.has_numbers) {
            follower_note_diverged(d->core, span_cstr(p->target->name), WHY_NO_NUMBERS);
            p->answered = true; /* and no row: nothing says which state is newer */
            continue;
        }
        p->found = doc.found;
        p->term = doc.term;
        p->seq_no = doc.seq_no;
        p->version = doc.version;
        p->source = arena_copy(&d->arena, doc.source);
        p->routing = decoded(d, doc.routing);
        p->answered = judge_probe(d, p, shard_facts_get(&d->facts, p->target->name, p->shard));
    }
    return true;
}

/* The answer to an _mget can't be read: once more with fewer ids, until the one that is to blame is
 * alone. It must not keep all the others from being settled. */
static void read_fewer(struct doubt *d)
{
    if (d->read_at_once > 1) {
        d->read_at_once = d->read_at_once > 8 ? d->read_at_once / 8 : 1;
        doubt_ask_read(d);
        return;
    }
    for (size_t i = d->read_from; i < d->read_to; i++) {
        struct probe *p = &d->probes[i];
        if (!doubt_probe_is_readable(d, p))
            continue;
        log_error("doubt",
                  "index %s: the document %.*s cannot be read back; its write stays in doubt",
                  p->target->name, (int)p->item->id.size, p->item->id.data);
        p->unreadable = true;
    }
    d->read_from = d->read_to;
    doubt_ask_read(d);
}

/* ---- the journal ---- */

static bool needs_source_first(const struct probe *p)
{
    return p->row && p->found && !p->read_source;
}

/* A document that was found is reached by its own routing: another request with the same id, in the
 * same shard, may have given it one that the request in doubt had not. */
static enum status write_probe_row(struct doubt *d, struct journal_txn *txn, const struct probe *p)
{
    struct span routing = p->found ? p->routing : p->asked_routing;
#ifdef PLANT_NO_NEGATIVE_ROW
    if (!p->found)
        return STATUS_OK;
#endif
    struct record record = {.header.kind = RECORD_ROW,
                            .row = {.op = p->found ? ROW_INDEX : ROW_DELETE,
                                    .proof = p->found ? ROW_PROBED : ROW_NEGATIVE,
                                    .incarnation = p->target->incarnation,
                                    .shard = p->shard,
                                    .term = p->term,
                                    .seq_no = p->seq_no,
                                    .version = p->found ? p->version : 0,
                                    .routed = p->found ? routing.size != 0 : p->routed,
                                    .routing = routing,
                                    .id = p->item->id,
                                    .content = CONTENT_JSON,
                                    .source = p->source}};
    atomic_fetch_add(&d->core->late_rows, 1);
    enum status status = commit_append(&d->commit, txn, &record);
    if (status == STATUS_OK && record.row.routed && p->found)
        status = definitions_store_routed(p->target, txn);
    return status;
}

static enum status write_batch(struct commit *commit, struct journal_txn *txn)
{
    struct doubt *d = (struct doubt *)((char *)commit - offsetof(struct doubt, commit));
    enum status status = STATUS_OK;
    for (size_t i = 0; status == STATUS_OK && i < d->probe_count; i++) {
        const struct probe *p = &d->probes[i];
        bool held_back = p->from_case != NULL && p->from_case->unprobable;
        if (p->answered && p->row && !needs_source_first(p) && !held_back)
            status = write_probe_row(d, txn, p);
    }
    for (struct doubt_case *c = d->batch_cases; status == STATUS_OK && c != NULL; c = c->next) {
        if (!c->unprobable)
            status = commit_close_intent(commit, txn, c->number);
    }
    for (struct watch *w = d->new_watches; status == STATUS_OK && w != NULL; w = w->next)
        status = watch_store(w, txn);
    for (struct watch *w = d->batch_watches; status == STATUS_OK && w != NULL; w = w->next)
        status = watch_is_over(w) ? watch_remove(w, txn) : watch_store(w, txn);
    return status;
}

static void case_closed(struct doubt *d, struct doubt_case *c)
{
    d->from_start -= c->from_start && !c->looked_at;
    d->case_count--;
    case_free(c);
}

static void batch_done(struct commit *commit)
{
    struct doubt *d = (struct doubt *)((char *)commit - offsetof(struct doubt, commit));
    for (struct watch *w = d->batch_watches; w != NULL; w = w->next) {
        if (commit->status == STATUS_OK) {
            w->tries_durable = w->tries;
        } else { /* what was learned has no row: it is news again */
            w->tries = w->tries_durable;
            w->known = false;
            w->due_us = 0;
        }
    }
    if (commit->status != STATUS_OK) {
        fail_batch(d, status_text(commit->status));
        return;
    }
    struct doubt_case *cases = d->batch_cases;
    struct watch *watches = d->batch_watches, *fresh = d->new_watches;
    d->batch_cases = NULL;
    d->batch_watches = d->new_watches = NULL;
    while (cases != NULL) {
        struct doubt_case *c = cases;
        cases = c->next;
        if (!c->unprobable) {
            case_closed(d, c);
            continue;
        }
        d->from_start -= c->from_start && !c->looked_at;
        c->looked_at = true;
        c->next = d->batch_cases;
        d->batch_cases = c;
    }
    while (watches != NULL) {
        struct watch *w = watches;
        watches = w->next;
        if (watch_is_over(w)) {
            d->watch_count--;
            watch_free(w);
        } else {
            w->next = d->batch_watches;
            d->batch_watches = w;
        }
    }
    while (fresh != NULL) {
        struct watch *w = fresh;
        fresh = w->next;
        w->next = d->watches;
        d->watches = w;
        d->watch_count++;
    }
    end_batch(d);
    d->next_us = 0; /* there may be more */
}

/* What is known of W after P, which may be one of two: of the life that the name had and of the one
 * it has. */
static void watch_learn(struct watch *w, const struct probe *p)
{
    if (!p->answered) {
        w->unread = w->unread || p->target != NULL;
        return;
    }
    if (needs_source_first(p)) {
        w->known = false;
        w->again = true;
        return;
    }
    w->known = true;
    w->life = p->target->incarnation;
    w->found = p->found;
    w->term = p->term;
    w->seq_no = p->seq_no;
}

/* W moves on when all of it was read, or there was nothing that could be. */
static void watch_advance(struct watch *w, uint64_t now_us)
{
    if (w->again) {
        w->due_us = now_us;
    } else if (!w->unread) {
        w->tries++;
        w->due_us = now_us + watch_delay(w->tries);
    } else if (now_us - w->since_us > WATCH_UNREAD_US) {
        watch_end(w);
        follower_note_diverged(w->core, w->item.name,
                               "an id in doubt could not be read for an hour");
    }
    w->again = w->unread = false;
}

static void watch_case_item(struct doubt *d, const struct probe *p, uint64_t now_us)
{
    struct intent_item item = *p->item;
    item.routed = p->routed;
    item.routing = p->asked_routing;
    struct watch *w = watch_new(d->core, &item, watch_delay(0));
    w->known = p->answered && p->target != NULL;
    w->life = w->known ? p->target->incarnation : 0;
    w->found = p->found;
    w->term = p->term;
    w->seq_no = p->seq_no;
    w->due_us = now_us + watch_delay(0);
    w->tries = 0;
    w->next = d->new_watches;
    d->new_watches = w;
}

static void note_unproved(struct doubt *d, const struct doubt_case *c,
                          const struct intent_item *item)
{
    uint64_t wall = d->core->wall_us(d->core);
    if (item->id.size == 0)
        follower_note_diverged(
            d->core, item->name,
            "a write without an id got no answer: whether it was applied can't be proved");
    else if (item->name.size != 0 && item->name.data[0] == '<' && wall > c->intent.time_us &&
             wall - c->intent.time_us > DATE_MATH_HOLDS_US)
        follower_note_diverged(
            d->core, item->name,
            "a write to a name with date mathematics got no answer, and what the "
            "name meant then can't be told any more");
}

/* A pipeline that sets `_id` or `_index` may have put the document elsewhere. */
static bool may_have_moved(const struct doubt *d, const struct probe *p)
{
    return p->answered && !p->found && p->from_case != NULL && p->item->op != INTENT_DELETE &&
           d->catalog->pipelines_move && (p->target == NULL || p->target->has_pipeline);
}

static void note_what_is_unproved(struct doubt *d)
{
    for (struct doubt_case *c = d->batch_cases; c != NULL; c = c->next)
        for (size_t i = 0; i < c->intent.item_count; i++)
            note_unproved(d, c, &c->intent.items[i]);
    for (size_t i = 0; i < d->probe_count; i++)
        if (may_have_moved(d, &d->probes[i]))
            follower_note_diverged(
                d->core, d->probes[i].item->name,
                "a write got no answer, and a pipeline may have given it another "
                "id or index: whether it was applied can't be proved");
}

/* All that could be read was read: decide what becomes durable. */
void doubt_finish_batch(struct doubt *d)
{
    uint64_t now = d->core->now_us(d->core);
    for (size_t i = 0; i < d->probe_count; i++) {
        struct probe *p = &d->probes[i];
        if (p->from_case != NULL && p->target != NULL && !p->answered)
            p->from_case->unprobable = true;
    }
    for (size_t i = 0; i < d->probe_count; i++) {
        struct probe *p = &d->probes[i];
        if (p->from_watch != NULL)
            watch_learn(p->from_watch, p);
        else if (!p->from_case->unprobable)
            watch_case_item(d, p, now);
    }
    for (struct watch *w = d->batch_watches; w != NULL; w = w->next)
        watch_advance(w, now);
    note_what_is_unproved(d);
    doubt_set_step(d, STEP_COMMIT);
    d->commit = (struct commit){.write = write_batch, .done = batch_done, .loop = d->core->control};
    sequencer_submit(d->core->sequencer, &d->commit);
}

static void take_terms_again(struct doubt *d, struct span body)
{
    if (shard_facts_terms_are(&d->facts, body)) {
        doubt_finish_batch(d);
        return;
    }
    for (size_t i = 0; i < d->probe_count; i++)
        d->probes[i].answered = d->probes[i].row = d->probes[i].unreadable = false;
    shard_facts_clear(&d->facts);
    d->stats_tries = 0;
    doubt_ask_terms(d, STEP_TERMS);
}

void doubt_on_answer(struct es_call *call)
{
    struct doubt *d = call->arg;
    bool missing = call->status == STATUS_OK && call->http_status == 404;
    if (d->step == STEP_READ && call->status == STATUS_TOO_LARGE) {
        read_fewer(d);
        return;
    }
    if (call->status != STATUS_OK || (call->http_status != 200 && !missing)) {
        char why[400];
        snprintf(why, sizeof why, "%.300s (http_status=%d)",
                 call->status == STATUS_OK ? "" : call->why, call->http_status);
        fail_batch(d, why);
        return;
    }
    struct span body = buffer_span(&call->answer);
    switch (d->step) {
    case STEP_NAMES:
        take_name(d, body, missing);
        if (!doubt_ask_next_name(d))
            names_known(d);
        break;
    case STEP_TERMS:
        shard_facts_take_terms(&d->facts, body);
        doubt_ask_stats(d);
        break;
    case STEP_STATS:
        if (missing)
            fail_batch(d, "an index vanished meanwhile");
        else
            take_stats(d, body);
        break;
    case STEP_READ:
        if (!take_read(d, body)) {
            read_fewer(d);
            break;
        }
        d->any_read = true;
        d->read_from = d->read_to;
        doubt_ask_read(d);
        break;
    case STEP_TERMS_AGAIN:
        take_terms_again(d, body);
        break;
    case STEP_IDLE:
    case STEP_STATE:
    case STEP_COMMIT:
        CHECK(!"an answer while none was asked for");
    }
}

static void on_turn(struct documents_use *use)
{
    struct doubt *d = (struct doubt *)((char *)use - offsetof(struct doubt, documents));
    d->in_turn = true;
    if (!doubt_ask_next_name(d))
        names_known(d);
}

/* Where clients set the versions nothing orders what is read here and a write that is under way. */
static void take_turns(struct doubt *d)
{
    uint64_t *keys = bytes_alloc((d->probe_count + 1) * sizeof *keys);
    size_t count = 0;
    for (size_t i = 0; i < d->probe_count; i++)
        if (d->probes[i].target != NULL && d->probes[i].target->client_versions)
            keys[count++] =
                documents_key(span_cstr(d->probes[i].target->name), d->probes[i].item->id);
    d->documents.loop = d->core->control;
    d->documents.on_turn = on_turn;
    if (documents_enter(d->core->documents, &d->documents, keys, count))
        on_turn(&d->documents);
    free(keys);
}

static void on_state(struct state_wait *wait)
{
    struct doubt *d = (struct doubt *)((char *)wait - offsetof(struct doubt, wait));
    if (wait->failed) {
        fail_batch(d, "its cluster state can't be read");
        return;
    }
    d->catalog = wait->catalog;
    for (struct doubt_case *c = d->batch_cases; c != NULL; c = c->next)
        for (size_t i = 0; i < c->intent.item_count; i++)
            add_probes(d, &c->intent.items[i], c, NULL);
    for (struct watch *w = d->batch_watches; w != NULL; w = w->next)
        add_probes(d, &w->item, NULL, w);
    take_turns(d);
}

uint64_t doubt_tick(struct doubt *d, uint64_t now_us)
{
    if (d->step == STEP_STATS && d->stats_at_us != 0 && now_us >= d->stats_at_us) {
        d->stats_at_us = 0;
        doubt_ask_stats(d);
    }
    if (d->step != STEP_IDLE)
        return now_us + GLOBAL_CHECKPOINT_WAIT_US;
    size_t items = 0;
    take_due_cases(d, now_us, &items);
    take_due_watches(d, now_us, &items);
    if (d->batch_cases == NULL && d->batch_watches == NULL)
        return now_us + RETRY_US / 4;
    doubt_set_step(d, STEP_STATE);
    d->wait = (struct state_wait){.core = d->core,
                                  .loop = d->core->control,
                                  .on_state = on_state,
                                  .timeout_us = d->core->settings->follower_request_timeout};
    follower_await(d->core, &d->wait);
    return now_us + RETRY_US;
}

/* ---- birth and end ---- */

enum status doubt_new(struct core *core, struct doubt **out)
{
    struct doubt *d = bytes_zalloc(sizeof *d);
    d->core = core;
    es_call_init(&d->call);
    *out = d;
    enum status status = journal_scan(core->journal, JOURNAL_INTENTS, SPAN_NONE, load_case, d);
    if (status == STATUS_OK)
        status = journal_scan(core->journal, JOURNAL_WATCH, SPAN_NONE, load_watch, d);
    if (d->case_count != 0)
        log_info(
            "doubt",
            "writes without a known outcome are looked up before writes are admitted (count=%zu)",
            d->case_count);
    return status;
}

void doubt_free(struct doubt *d)
{
    if (d == NULL)
        return;
    es_call_fini(&d->call);
    end_batch(d);
    while (d->cases != NULL) {
        struct doubt_case *c = d->cases;
        d->cases = c->next;
        case_free(c);
    }
    while (d->watches != NULL) {
        struct watch *w = d->watches;
        d->watches = w->next;
        watch_free(w);
    }
    free(d->probes);
    shard_facts_clear(&d->facts);
    arena_fini(&d->arena);
    free(d);
}

bool doubt_recovered(const struct doubt *d)
{
    return d->from_start == 0;
}

size_t doubt_open(const struct doubt *d)
{
    return d->case_count;
}

size_t doubt_unprobable(const struct doubt *d)
{
    size_t count = 0;
    for (const struct doubt_case *c = d->cases; c != NULL; c = c->next)
        count += c->unprobable;
    return count;
}

size_t doubt_watched(const struct doubt *d)
{
    return d->watch_count;
}
