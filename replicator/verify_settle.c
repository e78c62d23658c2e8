/* verify_settle.c - looks at single documents on both clusters until it is certain whether they
 * differ, and makes them equal when that is asked for.
 *
 * What is under way is no difference. So for each round of documents:
 *
 *     0  the primary is asked for them (A)
 *     1  a mark is awaited: what was under way at A is in the journal, and then on the standby
 *     2  the standby is asked
 *     3  for a repair: the primary's terms, and how far its shards reach (t, m), with all copies
 * there 4  the primary is asked again (B)
 *
 * The standby has A or B: equal. A and B are the same, and the standby has another one: a
 * difference. Else it is looked at again.
 *
 * A repair writes what B has. An older or missing document gets B's own version. One for which the
 * standby has a higher version or the tombstone of one (somebody wrote there), and one that is not
 * on the primary, gets V(t, m): every state that was replaced by then is below it, every later
 * write above it. What the standby has above even that can't be made equal by writing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/json.h"
#include "base/log.h"
#include "es/vectors.h"
#include "es/index_state.h"
#include "es/outcome.h"
#include "replicator/audit.h"
#include "replicator/reading.h"
#include "replicator/verify_impl.h"

#define AT_ONCE 500
#define ROUNDS_MAX 20
#define TRIES_MAX 3
#define PAUSE_US (500 * UINT64_C(1000))
#define ANSWER_MAX (512u << 20)

enum { STEP_PRIMARY, STEP_MARK, STEP_STANDBY, STEP_STATE, STEP_REACH, STEP_AGAIN, STEP_WRITTEN };

static void on_documents(struct es_call *call);
static void on_facts(struct es_call *call);

static struct difference **asked(const struct verify *verify)
{
    return (struct difference **)(void *)verify->asked.data;
}

static size_t asked_count(const struct verify *verify)
{
    return verify->asked.size / sizeof(struct difference *);
}

static bool is_open(const struct verify *verify, const struct difference *difference)
{
    return verify->applying ? !difference->given_up : !difference->settled;
}

/* Chooses the documents of the next round; how many are open. */
static size_t choose(struct verify *verify)
{
    size_t open = 0;
    buffer_clear(&verify->asked);
    for (struct difference *d = verify->found; d != NULL; d = d->hh.next) {
        if (!is_open(verify, d))
            continue;
        if (open++ < AT_ONCE)
            buffer_append(&verify->asked, &d, sizeof(struct difference *));
    }
    return open;
}

void verify_ask_documents(struct verify *verify, enum verify_side_number side,
                          void (*on_done)(struct es_call *call))
{
    char *name = verify_name(verify);
    es_call_set(&verify->call, "POST", "/%s/_mget?realtime=true%s", name,
                verify_asks_vectors(verify, side) ? "&" WITH_VECTORS : "");
    free(name);
    buffer_append_cstr(&verify->call.body, "{\"docs\":[");
    for (size_t i = 0; i < asked_count(verify); i++) {
        const struct difference *d = asked(verify)[i];
        buffer_append_cstr(&verify->call.body, i == 0 ? "{\"_id\":" : ",{\"_id\":");
        buffer_append_json_string(&verify->call.body, d->id);
        if (d->routed) {
            buffer_append_cstr(&verify->call.body, ",\"routing\":");
            buffer_append_json_string(&verify->call.body, buffer_span(&d->routing));
        }
        buffer_append_char(&verify->call.body, '}');
    }
    buffer_append_cstr(&verify->call.body, "]}");
    verify->call.answer_max = ANSWER_MAX;
    verify->call.on_done = on_done;
    verify->call.arg = verify;
    verify->busy = true;
    verify_call(verify, side, &verify->call);
}

struct version_seen verify_see(struct verify *verify, struct difference *difference,
                               const struct mget_doc *doc, enum verify_side_number side)
{
    struct standby *sb = verify->sb;
    struct version_seen seen = {.found = doc->found};
    struct buffer routing = {0};
    if (!doc->found)
        return seen;
    bool routed = doc->routing.size != 0 && json_string_decode(doc->routing, &routing);
    seen.version = side == ON_STANDBY ? doc->version
                                      : reading_document_version(sb, verify->incarnation, doc->term,
                                                                 doc->seq_no, doc->version);
    seen.term = doc->term;
    seen.seq_no = doc->seq_no;
    seen.content = verify_content(verify, doc->source, routed, buffer_span(&routing));
    if (side == ON_PRIMARY)
        verify_set_routing(difference, routed, buffer_span(&routing));
    buffer_fini(&routing);
    return seen;
}

/* ---- the repair ---- */

int64_t verify_version(struct verify *verify, size_t shard, int64_t seq_no)
{
    const struct life *life = life_find(verify->sb, verify->incarnation);
    if (life != NULL && life->client_versions)
        return INT64_MAX; /* they have nothing to do with numbers */
    return reading_version(verify->sb, verify->terms[shard], seq_no);
}

/* V(t, m) of the difference's shard. */
static int64_t version_now(struct verify *verify, const struct difference *difference)
{
    return verify_version(verify, difference->shard, verify->reach[ON_PRIMARY][difference->shard]);
}

/* No operation of the primary can have had a higher one. */
static int64_t highest_version(struct verify *verify, const struct difference *difference)
{
    return verify_version(verify, difference->shard, verify->highest[difference->shard]);
}

static void append_row(struct verify *verify, const struct difference *difference,
                       const struct mget_doc *doc, bool as_of_now, struct buffer *out)
{
    bool there = difference->seen[ON_PRIMARY].found;
    const struct row row = {.op = there ? ROW_INDEX : ROW_DELETE,
                            .proof = there ? ROW_PROBED : ROW_NEGATIVE,
                            .incarnation = verify->incarnation,
                            .shard = (uint32_t)difference->shard,
                            .term = as_of_now ? verify->terms[difference->shard] : doc->term,
                            .seq_no = as_of_now ? verify->reach[ON_PRIMARY][difference->shard]
                                                : doc->seq_no,
                            .version = there ? doc->version : 0,
                            .routed = difference->routed,
                            .routing = buffer_span(&difference->routing),
                            .id = difference->id,
                            .content = CONTENT_JSON,
                            .source = there ? doc->source : SPAN_NONE};
    reading_append_row(verify->sb, &row, out);
}

/* ONLY_IF: a delete of this state of the document, and of no other; NULL: by its version. */
static void send_row(struct verify *verify, struct span bytes, bool even_if_equal,
                     const struct version_seen *only_if)
{
    struct standby *sb = verify->sb;
    struct record record;
    size_t used;
    struct block *block = bytes_zalloc(sizeof *block);
    block->references = 1;
    buffer_append_span(&block->bytes, bytes);
    CHECK(record_decode(buffer_span(&block->bytes), &record, &used) == STATUS_OK);
    struct item *item = item_new(sb, block, &record);
    item->of_repair = true;
    item->even_if_equal = even_if_equal;
    if (only_if != NULL) {
        item->only_if = true;
        item->only_if_term = only_if->term;
        item->only_if_seq_no = only_if->seq_no;
    }
    verify->outstanding++;
    audit_on_corrected(sb, item->life);
    replay_may_be_stale(sb, item->life);
    replay_enqueue(sb, item);
    block_put(block);
}

/* Where clients set the versions: a version above the primary's is taken away first, and nothing is
 * that came after it was seen. */
static void repair_client_versions(struct verify *verify, struct difference *difference,
                                   const struct mget_doc *doc)
{
    struct version_seen *ours = &difference->seen[ON_PRIMARY];
    const struct version_seen *theirs = &difference->seen[ON_STANDBY];
    bool found = ours->found;
    struct buffer bytes = {0};
    difference->given_up = (found && doc->source.size == 0) || ++difference->tries > TRIES_MAX;
    if (difference->given_up)
        return;
    if (theirs->found && (!found || theirs->version > ours->version)) {
        ours->found = false; /* as a row */
        append_row(verify, difference, doc, true, &bytes);
        ours->found = found;
        send_row(verify, buffer_span(&bytes), false, theirs);
        buffer_clear(&bytes);
    }
    if (found) {
        append_row(verify, difference, doc, false, &bytes);
        send_row(verify, buffer_span(&bytes), true, NULL);
    }
    (void)FAILPOINT("V5");
    buffer_fini(&bytes);
}

/* Writes what the primary has. */
static void repair(struct verify *verify, struct difference *difference, const struct mget_doc *doc)
{
    const struct version_seen *ours = &difference->seen[ON_PRIMARY],
                              *theirs = &difference->seen[ON_STANDBY];
    struct buffer bytes = {0};
    int64_t now = version_now(verify, difference);
    bool tried = difference->tries != 0 && difference->tried_version == ours->version;
    bool newer = !ours->found || tried || (theirs->found && theirs->version > ours->version);
    difference->given_up = difference->ahead || (ours->found && doc->source.size == 0) ||
                           ++difference->tries > TRIES_MAX;
    if (difference->given_up || (theirs->found && newer && theirs->version >= now))
        return; /* the last: the primary is a moment ahead of what all its copies have; again */
    difference->tried_version = ours->version;
    append_row(verify, difference, doc, newer, &bytes);
    send_row(verify, buffer_span(&bytes), !newer && theirs->found, NULL);
    (void)FAILPOINT("V5");
    buffer_fini(&bytes);
}

/* ---- answers ---- */

/* What the second look at the primary says of D. BEFORE: the first look. */
static void judge(struct verify *verify, struct difference *d, const struct mget_doc *doc)
{
    (void)FAILPOINT("V4");
    struct version_seen before = d->seen[ON_PRIMARY];
    if (verify_is_equal(d)) { /* the standby has A */
        verify_drop_difference(verify, d);
        return;
    }
    d->seen[ON_PRIMARY] = verify_see(verify, d, doc, ON_PRIMARY);
    if (verify_is_equal(d)) {
        verify_drop_difference(verify, d);
        return;
    }
    if (!verify_is_same(&before, &d->seen[ON_PRIMARY]))
        return; /* it is being written: again */
    const struct version_seen *theirs = &d->seen[ON_STANDBY];
    d->ahead = theirs->found && theirs->version > highest_version(verify, d);
    d->settled = true;
    const struct life *life = life_find(verify->sb, verify->incarnation);
    if (verify->applying && life->client_versions)
        repair_client_versions(verify, d, doc);
    else if (verify->applying)
        repair(verify, d, doc);
}

static bool take_documents(struct verify *verify, enum verify_side_number side)
{
    struct outcome_walk walk;
    struct mget_doc doc;
    bool again = verify->step == STEP_AGAIN;
    size_t i = 0;
    enum status status = mget_walk_init(&walk, buffer_span(&verify->call.answer));
    while (status == STATUS_OK && (status = mget_next(&walk, &doc)) == STATUS_OK) {
        if (i == asked_count(verify) || doc.failed)
            return false;
        if (side == ON_PRIMARY && verify_life(verify)->no_numbers)
            mget_by_version(&doc);
        struct difference *d = asked(verify)[i++];
        if (again)
            judge(verify, d, &doc);
        else
            d->seen[side] = verify_see(verify, d, &doc, side);
    }
    return status == STATUS_NOT_FOUND && i == asked_count(verify);
}

static void on_documents(struct es_call *call)
{
    struct verify *verify = call->arg;
    enum verify_side_number side = verify->step == STEP_STANDBY ? ON_STANDBY : ON_PRIMARY;
    verify->busy = false;
    if (verify->state != VERIFY_SETTLING || verify_life(verify) == NULL)
        return;
    if (!verify_answered(verify, side, call))
        return;
    if (verify->step == STEP_AGAIN && verify->sb->applying) {
        verify->step = STEP_PRIMARY; /* no row may go out now: once more, when it may */
        return;
    }
    if (!take_documents(verify, side)) {
        verify_wait(verify, "some documents can't be read now");
        verify->step = STEP_PRIMARY;
        verify->open = choose(verify);
        return;
    }
    verify->step++;
    if (verify->step == STEP_MARK)
        mark_await(verify->sb, &verify->mark);
    buffer_fini(&call->answer);
}

static void on_facts(struct es_call *call)
{
    struct verify *verify = call->arg;
    verify->busy = false;
    if (verify->state != VERIFY_SETTLING || verify_life(verify) == NULL)
        return;
    if (!verify_answered(verify, ON_PRIMARY, call))
        return;
    bool good = verify->step == STEP_STATE
                    ? verify_take_state(verify, buffer_span(&call->answer))
                    : verify_take_reach(verify, ON_PRIMARY, buffer_span(&call->answer));
    if (good)
        verify->step++;
}

static void ask_facts(struct verify *verify)
{
    char *name = verify_name(verify);
    if (verify->step == STEP_STATE)
        es_call_set(&verify->call, "GET",
                    "/_cluster/state/metadata/%s?filter_path=" INDEX_LIFE_FILTER
                    ",metadata.indices.*.primary_terms",
                    name);
    else
        es_call_set(&verify->call, "GET",
                    "/%s/_stats?level=shards&filter_path=indices.*.shards.*.seq_no,"
                    "indices.*.shards.*.routing",
                    name);
    free(name);
    verify->call.answer_max = 16u << 20;
    verify->call.on_done = on_facts;
    verify->call.arg = verify;
    verify->busy = true;
    verify_call(verify, ON_PRIMARY, &verify->call);
}

/* ---- turns ---- */

/* Everything up to the mark is on the standby, but for rows that are parked. */
static bool mark_is_reached(const struct verify *verify)
{
    const struct standby *sb = verify->sb;
    const struct life *life = life_find(verify->sb, verify->incarnation);
    return verify->mark.seq != 0 && sb->first_open > verify->mark.seq && life->waiting == 0;
}

void verify_settle_begin(struct verify *verify)
{
    verify->step = STEP_PRIMARY;
    verify->rounds = 0;
    verify->open = choose(verify);
}

static bool next_round(struct verify *verify, uint64_t now_us)
{
    size_t before = verify->open;
    verify->open = choose(verify);
    if (verify->open == 0)
        return true;
    verify->step = STEP_PRIMARY;
    if (verify->open < before) {
        verify->rounds = 0;
        return false;
    }
    verify->retry_us = now_us + PAUSE_US;
    /* What changes all the time is under way for ever, and that is no difference. */
    return ++verify->rounds > ROUNDS_MAX;
}

bool verify_settle_turn(struct verify *verify, uint64_t now_us)
{
    if (asked_count(verify) == 0 && verify->outstanding == 0)
        return true;
    if (verify->busy || now_us < verify->retry_us)
        return false;
    switch (verify->step) {
    case STEP_PRIMARY:
    case STEP_AGAIN:
        if (verify->step == STEP_PRIMARY || !verify->sb->applying)
            verify_ask_documents(verify, ON_PRIMARY, on_documents);
        return false;
    case STEP_MARK:
        if (!mark_is_reached(verify))
            return false;
        mark_forget(verify->sb, &verify->mark);
        verify->step = STEP_STANDBY;
        return false;
    case STEP_STANDBY:
        verify_ask_documents(verify, ON_STANDBY, on_documents);
        return false;
    case STEP_STATE:
    case STEP_REACH:
        ask_facts(verify);
        return false;
    default:
        return verify->outstanding == 0 && next_round(verify, now_us);
    }
}
