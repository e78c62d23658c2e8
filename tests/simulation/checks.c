/* checks.c - what must hold, during a history and at its end. The names are those of
 * tests/README.md.
 *
 *   C1  what was acknowledged, or something later, is on the standby
 *   C2  what was refused is nowhere; the standby has nothing that the primary never had
 *   C3  documents, definitions and versions of both clusters are equal (C5: so are their counts)
 *   C4  versions of a document on the standby never decrease; the journal is dense
 *   C6  replaying everything once more changes nothing
 *   C8  it becomes quiet in bounded time
 *   C9  an acknowledgement leaves after its rows are durable
 *   C12 no position is ahead of what is there
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <uthash.h>

#include "base/json.h"
#include "es/outcome.h"
#include "http/message.h"
#include "replicator/standby.h"
#include "sim.h"

/* One operation that a cluster executed. */
struct applied {
    uint64_t at_us, term, token;
    int64_t version, seq_no;
    bool deleted;
    char *source; /* owned; NULL unless verbose */
};

/* One document of one life of one index of a cluster. */
struct document {
    char *key; /* owned: name, uuid, shard, id */
    char *name, *uuid, *id, *routing;
    size_t id_size, routing_size;
    uint32_t shard;
    struct applied *applied; /* owned */
    size_t count;
    int64_t version;  /* of the last operation */
    unsigned written; /* sim->life of the replicator then */
    bool ended;       /* what the cluster knew of it is gone */
    UT_hash_handle hh;
};

/* Which documents had which token. */
struct token {
    uint64_t token;
    struct document *document;
    uint64_t term;
    int64_t seq_no;
    UT_hash_handle hh;
};

/* What a row of the journal says of an id. */
struct durable {
    char *id; /* owned; the key */
    struct numbers {
        uint64_t term;
        int64_t seq_no;
    } * rows;
    size_t count;
    UT_hash_handle hh;
};

struct checks {
    struct document *documents[SIDES];
    struct token *tokens[SIDES];
    struct durable *durable;
    uint64_t read_to; /* seq */
    char *about;      /* owned: the id that the failure is about; NULL: none */
};

/* ---- what the clusters execute ---- */

static uint64_t token_of(struct span source)
{
    const char *at = source.size == 0 ? NULL : memmem(source.data, source.size, "\"t\":", 4);
    uint64_t token = 0;
    if (at == NULL)
        return 0;
    for (at += 4; at < source.data + source.size && (*at == ' ' || (*at >= '0' && *at <= '9'));
         at++)
        if (*at != ' ')
            token = token * 10 + (uint64_t)(*at - '0');
    return token;
}

static struct document *document_get(struct sim *sim, enum side side,
                                     const struct model_applied *what)
{
    struct document *document, **all = &sim->checks->documents[side];
    struct buffer key = {0};
    buffer_appendf(&key, "%s/%s/%u/", what->index, what->index_uuid, what->shard);
    buffer_append_span(&key, what->id);
    HASH_FIND(hh, *all, key.data, key.size, document);
    if (document == NULL) {
        document = bytes_zalloc(sizeof *document);
        document->key = span_dup(buffer_span(&key));
        document->name = bytes_strdup(what->index);
        document->uuid = bytes_strdup(what->index_uuid);
        document->id = span_dup(what->id);
        document->id_size = what->id.size;
        document->shard = what->shard;
        HASH_ADD_KEYPTR(hh, *all, document->key, key.size, document);
    }
    free(document->routing);
    document->routing = span_dup(what->routing);
    document->routing_size = what->routing.size;
    buffer_fini(&key);
    return document;
}

static void about(struct sim *sim, const char *id)
{
    if (sim->checks->about == NULL)
        sim->checks->about = bytes_strdup(id);
}

/* The standby has only what the primary had, under the primary's numbers. For a moment it may have
 * it in the former life of an index, which had other shards: that is acknowledged at once, and
 * looked up again. */
static void check_origin(struct sim *sim, const struct model_applied *what)
{
    uint64_t term = (uint64_t)what->version >> 40, token = token_of(what->source);
    int64_t seq_no = what->version & ((INT64_C(1) << 40) - 1);
    if (what->deleted)
        return; /* negative rows have numbers of their own */
    for (struct document *d = sim->checks->documents[PRIMARY]; d != NULL; d = d->hh.next) {
        if (strcmp(d->name, what->index) != 0 || !span_equal(span_of(d->id, d->id_size), what->id))
            continue;
        for (size_t i = 0; i < d->count; i++)
            if (d->applied[i].term == term && d->applied[i].seq_no == seq_no &&
                d->applied[i].token == token)
                return;
    }
    about(sim, what->id.data == NULL ? "" : span_dup(what->id));
    sim_fail(sim, "C2",
             "the standby was given %s/%.*s with version %" PRId64
             ", which the primary never had so",
             what->index, (int)what->id.size, what->id.data, what->version);
}

static void check_versions(struct sim *sim, struct document *document,
                           const struct model_applied *what)
{
    bool same_run = document->written == sim->life[PROCESS_REPLICATOR];
    if (document->count != 0 && same_run && !document->ended && what->version < document->version) {
        about(sim, document->id);
        sim_fail(sim, "C4",
                 "the version of %s/%s on the standby went back from %" PRId64 " to %" PRId64,
                 document->name, document->id, document->version, what->version);
    }
    document->version = what->version;
    document->written = sim->life[PROCESS_REPLICATOR];
    document->ended = false;
}

static void note_token(struct sim *sim, enum side side, struct document *document,
                       const struct applied *applied)
{
    struct token *token;
    if (applied->token == 0)
        return;
    HASH_FIND(hh, sim->checks->tokens[side], &applied->token, sizeof applied->token, token);
    if (token == NULL) {
        token = bytes_zalloc(sizeof *token);
        token->token = applied->token;
        HASH_ADD(hh, sim->checks->tokens[side], token, sizeof token->token, token);
    }
    token->document = document;
    token->term = applied->term;
    token->seq_no = applied->seq_no;
}

static void take_applied(struct sim *sim, enum side side, const struct model_applied *what)
{
    if (what->index[0] == '.')
        return;
    struct document *document = document_get(sim, side, what);
    if ((document->count & (document->count - 1)) == 0)
        document->applied =
            bytes_realloc(document->applied, (document->count * 2 + 1) * sizeof *document->applied);
    struct applied *applied = &document->applied[document->count];
    *applied = (struct applied){.at_us = sim->now_us,
                                .term = what->term,
                                .seq_no = what->seq_no,
                                .version = what->version,
                                .token = token_of(what->source),
                                .deleted = what->deleted,
                                .source = sim->verbose ? span_dup(what->source) : NULL};
    if (side == STANDBY && !sim->spoilt) {
        check_origin(sim, what);
        check_versions(sim, document, what);
    }
    document->count++;
    note_token(sim, side, document, applied);
}

static void on_primary(void *arg, const struct model_applied *applied)
{
    take_applied(arg, PRIMARY, applied);
}

static void on_standby(void *arg, const struct model_applied *applied)
{
    take_applied(arg, STANDBY, applied);
}

void checks_observe(struct sim *sim, enum side side)
{
    model_cluster_observe(sim->clusters[side], side == PRIMARY ? on_primary : on_standby, sim);
}

/* A bulk whose answer was lost is sent again in its order: a row before a deletion comes back for a
 * moment where the tombstone was forgotten. That it does not stay is C3's. */
void checks_standby_forgot(struct sim *sim)
{
    for (struct document *d = sim->checks->documents[STANDBY]; d != NULL; d = d->hh.next)
        d->ended = true;
}

/* ---- what is durable ---- */

static void note_row(struct sim *sim, const struct row *row)
{
    struct durable *durable;
    HASH_FIND(hh, sim->checks->durable, row->id.data, row->id.size, durable);
    if (durable == NULL) {
        durable = bytes_zalloc(sizeof *durable);
        durable->id = span_dup(row->id);
        HASH_ADD_KEYPTR(hh, sim->checks->durable, durable->id, row->id.size, durable);
    }
    durable->rows = bytes_realloc(durable->rows, (durable->count + 1) * sizeof *durable->rows);
    durable->rows[durable->count++] = (struct numbers){row->term, row->seq_no};
}

void checks_on_records(struct sim *sim)
{
    struct buffer bytes = {0};
    size_t count = 0, used;
    struct record record;
    if (journal_read(sim->journal, sim->checks->read_to + 1, 10000, SIZE_MAX, &bytes, &count) !=
        STATUS_OK)
        sim_fail(sim, "C4", "the journal cannot be read from seq %" PRIu64,
                 sim->checks->read_to + 1);
    struct span rest = buffer_span(&bytes);
    while (rest.size != 0 && record_decode(rest, &record, &used) == STATUS_OK) {
        if (record.header.seq != ++sim->checks->read_to)
            sim_fail(sim, "C4", "the journal has seq %" PRIu64 " where %" PRIu64 " belongs",
                     record.header.seq, sim->checks->read_to);
        if (record.header.kind == RECORD_ROW) {
            note_row(sim, &record.row);
            sim_say(sim,
                    "    seq %" PRIu64 ": %s row of %.*s (%" PRIu64 ", %" PRId64 ") in life %u",
                    record.header.seq,
                    record.row.proof == ROW_NEGATIVE ? "negative"
                    : record.row.proof == ROW_PROBED ? "probed"
                    : record.row.op == ROW_DELETE    ? "deleting"
                                                     : "answered",
                    (int)record.row.id.size, record.row.id.data, record.row.term, record.row.seq_no,
                    record.row.incarnation);
        } else if (record.header.kind == RECORD_METADATA) {
            sim_say(sim, "    seq %" PRIu64 ": %.*s %.*s%s life %u state %" PRIu64,
                    record.header.seq, (int)record.metadata.type.size, record.metadata.type.data,
                    (int)record.metadata.name.size, record.metadata.name.data,
                    record.metadata.gone ? " gone" : "", record.metadata.incarnation,
                    record.metadata.state_version);
        }
        rest = span_of(rest.data + used, rest.size - used);
    }
    buffer_fini(&bytes);
}

static bool is_durable(struct sim *sim, struct span id, uint64_t term, int64_t seq_no)
{
    struct durable *durable;
    HASH_FIND(hh, sim->checks->durable, id.data, id.size, durable);
    for (size_t i = 0; durable != NULL && i < durable->count; i++)
        if (durable->rows[i].term > term ||
            (durable->rows[i].term == term && durable->rows[i].seq_no >= seq_no))
            return true;
    return false;
}

/* True when the primary's index NAME has the uuid UUID. */
static bool index_is(struct sim *sim, const char *name, const char *uuid)
{
    struct buffer target = {0};
    struct model_answer answer = {0};
    buffer_append_char(&target, '/');
    http_percent_encode(span_cstr(name), &target);
    struct model_request request = {.method = SPAN("GET"), .target = buffer_span(&target)};
    model_cluster_handle(sim->clusters[PRIMARY], sim->now_us + sim->wall_offset_us, &request,
                         &answer);
    bool is = answer.status == 200 &&
              memmem(answer.body.data, answer.body.size, uuid, strlen(uuid)) != NULL;
    model_answer_fini(&answer);
    buffer_fini(&target);
    return is;
}

/* A life that has ended since needs no rows: true when what was answered is of one that has not. */
static bool life_goes_on(struct sim *sim, struct span id, const struct outcome_item *answer)
{
    for (struct document *d = sim->checks->documents[PRIMARY]; d != NULL; d = d->hh.next) {
        if (!span_equal(span_of(d->id, d->id_size), id) ||
            !json_string_is(answer->index, span_cstr(d->name)))
            continue;
        for (size_t i = 0; i < d->count; i++)
            if (d->applied[i].term == answer->term && d->applied[i].seq_no == answer->seq_no &&
                index_is(sim, d->name, d->uuid))
                return true;
    }
    return false;
}

static void check_item_durable(struct sim *sim, const struct op *op,
                               const struct outcome_item *answer)
{
    struct buffer id = {0};
    if (outcome_judge(answer) != OUTCOME_APPLIED || !json_string_decode(answer->id, &id)) {
        buffer_fini(&id);
        return;
    }
    if (!is_durable(sim, buffer_span(&id), answer->term, answer->seq_no) &&
        life_goes_on(sim, buffer_span(&id), answer)) {
        about(sim, buffer_cstr(&id));
        sim_fail(sim, "C9",
                 "op %" PRIu64 " was promised %s (%" PRIu64 ", %" PRId64
                 "), but no row of it is durable",
                 op->number, buffer_cstr(&id), answer->term, answer->seq_no);
    }
    buffer_fini(&id);
}

void checks_on_promise(struct sim *sim, const struct op *op, int status, struct span body)
{
    struct outcome_walk walk;
    struct outcome_item answer;
    if (!op->bulk) {
        if (outcome_single(status, body, &answer) == STATUS_OK)
            check_item_durable(sim, op, &answer);
        return;
    }
    if (outcome_walk_init(&walk, body) != STATUS_OK)
        return;
    while (outcome_next(&walk, &answer) == STATUS_OK)
        check_item_durable(sim, op, &answer);
}

/* ---- at the end ---- */

static const struct token *find_token(struct sim *sim, enum side side, uint64_t token)
{
    struct token *found;
    HASH_FIND(hh, sim->checks->tokens[side], &token, sizeof token, found);
    return found;
}

/* C1: what was acknowledged is on the standby, or something later of the same document. */
static void check_acknowledged(struct sim *sim, const struct op *op, const struct op_item *item)
{
    const struct token *had = find_token(sim, PRIMARY, item->token);
    struct model_document standby, primary;
    if (item->token == 0 || had == NULL)
        return; /* a deletion, or an update that changed nothing */
    const struct document *d = had->document;
    struct span id = span_of(d->id, d->id_size), routing = span_of(d->routing, d->routing_size);
    int64_t version = (int64_t)(had->term << 40 | (uint64_t)had->seq_no);
    if (!model_cluster_document(sim->clusters[PRIMARY], d->name, id, routing, &primary) ||
        strcmp(primary.index_uuid, d->uuid) != 0)
        return; /* deleted since, or its index was */
    if (model_cluster_document(sim->clusters[STANDBY], d->name, id, routing, &standby) &&
        standby.version >= version)
        return;
    about(sim, d->id);
    sim_fail(sim, "C1",
             "op %" PRIu64
             " was acknowledged, but %s/%s on the standby is older than version %" PRId64,
             op->number, d->name, d->id, version);
}

static void check_items(struct sim *sim)
{
    for (const struct op *op = sim->ops; op != NULL; op = op->next) {
        for (size_t i = 0; i < op->item_count; i++) {
            const struct op_item *item = &op->items[i];
            if (item->result == SAID_APPLIED)
                check_acknowledged(sim, op, item);
            for (int side = 0; side < SIDES && item->result == SAID_NOT_APPLIED && item->token != 0;
                 side++) {
                if (find_token(sim, (enum side)side, item->token) == NULL)
                    continue;
                about(sim, find_token(sim, (enum side)side, item->token)->document->id);
                sim_fail(
                    sim, "C2",
                    "op %" PRIu64 " was answered %d, not applied, but t=%" PRIu64 " was on the %s",
                    op->number, op->status, item->token, side == PRIMARY ? "primary" : "standby");
            }
        }
    }
}

static void journal_says(void *arg, const char *text)
{
    sim_fail(arg, "C4", "%s", text);
}

void checks_at_end(struct sim *sim)
{
    struct buffer differences = {0};
    if (journal_check(sim->journal, journal_says, sim) != STATUS_OK)
        sim_fail(sim, "C4", "the journal contradicts itself");
    check_items(sim);
    size_t count = model_compare(sim->clusters[PRIMARY], sim->clusters[STANDBY], 0, &differences);
    if (count != 0)
        sim_fail(sim, "C3", "the clusters differ in %zu things:\n%s", count,
                 buffer_cstr(&differences));
    buffer_fini(&differences);
}

void checks_after_repair(struct sim *sim)
{
    struct buffer differences = {0}, left = {0};
    (void)model_compare(sim->clusters[PRIMARY], sim->clusters[STANDBY], 0, &differences);
    char *text = bytes_strdup(buffer_cstr(&differences)), *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
        if (*line != '\0' && strstr(line, ": version ") == NULL)
            buffer_appendf(&left, "%s\n", line);
    free(text);
    if (left.size != 0)
        sim_fail(sim, "C3", "after a repair the clusters differ:\n%s", buffer_cstr(&left));
    buffer_fini(&differences);
    buffer_fini(&left);
}

/* ---- the history of a document ---- */

static void explain_document(const struct document *d, const char *side)
{
    printf("%s %s/%s (uuid %s, shard %u):\n", side, d->name, d->id, d->uuid, d->shard);
    for (size_t i = 0; i < d->count; i++) {
        const struct applied *a = &d->applied[i];
        printf("    at %.6f version %" PRId64 " = (%" PRIu64 ", %" PRId64 ") numbers (%" PRIu64
               ", %" PRId64 ") %s t=%" PRIu64 " %s\n",
               (double)a->at_us / 1e6, a->version, (uint64_t)a->version >> 40,
               a->version & ((INT64_C(1) << 40) - 1), a->term, a->seq_no,
               a->deleted ? "deleted" : "stored", a->token, a->source == NULL ? "" : a->source);
    }
}

void checks_explain(struct sim *sim)
{
    static const char *const sides[] = {"primary", "standby"};
    for (int side = 0; side < SIDES; side++)
        for (const struct document *d = sim->checks->documents[side]; d != NULL; d = d->hh.next) {
            bool named = sim->checks->about != NULL ? strcmp(d->id, sim->checks->about) == 0
                                                    : strstr(sim->failure, d->id) != NULL;
            if (named)
                explain_document(d, sides[side]);
        }
}

/* ---- birth and end ---- */

void checks_new(struct sim *sim)
{
    sim->checks = bytes_zalloc(sizeof *sim->checks);
}

static void documents_free(struct document *all)
{
    struct document *d, *next;
    HASH_ITER(hh, all, d, next)
    {
        HASH_DEL(all, d);
        for (size_t i = 0; i < d->count; i++)
            free(d->applied[i].source);
        free(d->applied);
        free(d->key);
        free(d->name);
        free(d->uuid);
        free(d->id);
        free(d->routing);
        free(d);
    }
}

void checks_free(struct sim *sim)
{
    struct checks *checks = sim->checks;
    for (int side = 0; side < SIDES; side++) {
        struct token *t, *next;
        HASH_ITER(hh, checks->tokens[side], t, next)
        {
            HASH_DEL(checks->tokens[side], t);
            free(t);
        }
        documents_free(checks->documents[side]);
    }
    struct durable *durable, *next;
    HASH_ITER(hh, checks->durable, durable, next)
    {
        HASH_DEL(checks->durable, durable);
        free(durable->id);
        free(durable->rows);
        free(durable);
    }
    free(checks->about);
    free(checks);
}
