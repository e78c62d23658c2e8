/* follower.c - follows the primary's cluster state; which life an index name has.
 *
 * One read after the other, each a walk through these steps; follower_set_step() alone moves it:
 *
 *     IDLE -> VERSION -> STATE -> INDICES* -> BIRTHS* -> OBJECTS* -> COMMIT -> IDLE
 *
 * VERSION asks for 150 bytes; when nothing moved the read ends there. A read is complete when all
 * that it found is durable in the journal; then the catalog is published and everybody who asked
 * before the read began is told. Any failure ends the read; the next one begins after
 * follower.interval.
 *
 * Rows that were acknowledged under a life that has ended since (index deleted and made again
 * behind our back) are looked up again under the name's present life: they are put on the watch
 * list in the transaction that journals the new life.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/follower.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tree.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "conf/settings.h"
#include "proxy/definitions.h"
#include "proxy/doubt.h"
#include "proxy/names.h"

#define ANSWER_MAX (512u << 20)
/* How long the rows of an ended life may still come in from writes that were under way. */
#define DEAD_WATCHED_US (60 * UINT64_C(1000000))
#define RECHECK_RECORDS 256
#define WHY_PIPED                                                                                  \
    "a pipeline was set on it past Tandem while it was written to: some documents may be on the "  \
    "standby as the clients sent them"
#define INDEX_NAME_MAX 255 /* bytes; the engines take no longer ones */

enum step {
    STEP_IDLE,
    STEP_VERSION,
    STEP_STATE,
    STEP_INDICES,
    STEP_BIRTHS,
    STEP_OBJECTS,
    STEP_COMMIT
};

struct diverged {
    char *index, *why;
    struct diverged *next;
};

struct follower {
    struct core *core;
    struct definitions defs;
    enum step step; /* moved by follower_set_step() only */
    struct es_call call;
    char state_uuid[64];  /* before 6.0: of the state that was read last */
    bool adopting;        /* the version may go backwards once */
    bool first;           /* no read was completed since the start */
    bool warned;          /* since then, of reads that fail */
    bool births_pending;  /* somebody's birth could not be told yet */
    bool births_by_stats; /* what was there at the start is judged by its content: how it came to be
                             says nothing; as long as that is pending, new indices too */
    uint64_t next_us;     /* of the next read */
    uint64_t begun_us;    /* of the present read */
    uint64_t seq_at_begin; /* durable records when it began */
    size_t kind;           /* of the objects being read */
    const struct catalog *old;
    struct catalog *fresh;
    struct commit commit;
    uint32_t *piped; /* lives that got a pipeline past the proxy, in this read */
    size_t piped_count;
    struct watch **watches; /* ids to look up again, stored with this commit */
    size_t watch_count;
    bool committing;

    struct state_wait *waits;
    struct diverged *diverged;
    bool healthy;
    char why[512];
};

#define STATE_TARGET                                                                               \
    "/_cluster/state/version,metadata?filter_path=cluster_uuid,metadata.cluster_uuid,version,"     \
    "metadata.templates,"                                                                          \
    "metadata.index_template,metadata.component_template,metadata.ingest,metadata.stored_scripts," \
    "metadata.index_lifecycle.policies.*.policy,"                                                  \
    "metadata.data_stream,metadata.index-graveyard,metadata.indices.*.version,metadata.indices.*." \
    "*_version,"                                                                                   \
    "metadata.indices.*.state,metadata.indices.*.settings.index.uuid,"                             \
    "metadata.indices.*.settings.index.history.uuid,metadata.indices.*.settings.index.number_of_"  \
    "shards,"                                                                                      \
    "metadata.indices.*.routing_num_shards,metadata.indices.*.primary_terms"

#define BIRTHS_BY_RECOVERY "/_recovery?filter_path=*.shards.id,*.shards.type,*.shards.primary"
#define BIRTHS_BY_NUMBERS                                                                          \
    "/_stats/docs?level=shards&ignore_unavailable=true&filter_path=indices.*.shards.*.seq_no,"     \
    "indices.*.shards.*.routing,indices.*.shards.*.docs"
#define BIRTHS_BY_COUNTS                                                                           \
    "/_stats/docs,indexing?level=shards&ignore_unavailable=true&filter_path="                      \
    "indices.*.shards.*.routing,indices.*.shards.*.docs,indices.*.shards.*.indexing"

static void on_answer(struct es_call *call);
static void on_committed(struct commit *commit);

static void follower_set_step(struct follower *f, enum step next)
{
    bool end = next == STEP_IDLE; /* a failure may come anywhere */
    CHECK(end || next >= f->step);
    CHECK(end || f->step != STEP_IDLE || next == STEP_VERSION);
    f->step = next;
}

static void ask(struct follower *f, enum step step, const char *target)
{
    follower_set_step(f, step);
    es_call_set(&f->call, "GET", "%s", target);
    f->call.timeout_us = f->core->settings->follower_request_timeout;
    f->call.answer_max = ANSWER_MAX;
    f->call.on_done = on_answer;
    f->call.arg = f;
    f->core->call(f->core, &f->call);
}

/* ---- those who wait ---- */

static void run_wait(struct loop_task *task)
{
    struct state_wait *wait = (struct state_wait *)task;
    wait->on_state(wait);
}

static void end_wait(struct follower *f, struct state_wait *wait, bool failed)
{
    wait->failed = failed;
    wait->catalog = failed ? NULL : catalog_get(&f->core->catalog);
    wait->task.run = run_wait;
    f->core->post(wait->loop, &wait->task);
}

/* Ends the waits that are answered by a read begun at BEGUN_US, and those that are too old. */
static void end_waits(struct follower *f, bool complete, uint64_t begun_us, uint64_t now_us)
{
    struct state_wait **link = &f->waits;
    while (*link != NULL) {
        struct state_wait *wait = *link;
        bool answered = complete && wait->asked_us <= begun_us;
        if (!answered && now_us < wait->deadline_us) {
            link = &wait->next;
            continue;
        }
        *link = wait->next;
        end_wait(f, wait, !answered);
    }
}

static void take_wait(struct loop_task *task)
{
    struct state_wait *wait = (struct state_wait *)task;
    struct follower *f = wait->core->follower;
    wait->asked_us = wait->core->now_us(wait->core);
    wait->deadline_us = wait->asked_us + wait->timeout_us;
    wait->next = f->waits;
    f->waits = wait;
    core_tick(wait->core); /* begins a read at once when none is under way */
}

void follower_await(struct core *core, struct state_wait *wait)
{
    wait->core = core;
    wait->task.run = take_wait;
    core->post(core->control, &wait->task);
}

/* ---- the end of a read ---- */

static void end_read(struct follower *f, bool complete)
{
    uint64_t now = f->core->now_us(f->core);
    if (f->old != NULL)
        catalog_put(f->old);
    f->old = NULL;
    follower_set_step(f, STEP_IDLE);
    f->next_us = now + f->core->settings->follower_interval;
    end_waits(f, complete, f->begun_us, now);
}

static void fail_read(struct follower *f, const char *what, const char *why)
{
    bool was = f->healthy;
    f->healthy = false;
    snprintf(f->why, sizeof f->why, "%s: %s", what, why);
    if (was || !f->warned)
        log_warn("primary", "its cluster state cannot be read, retrying: %s", f->why);
    f->warned = true;
    f->state_uuid[0] = '\0';
    memset(f->defs.section_hash, 0,
           sizeof f->defs.section_hash); /* read again what was not taken in */
    end_read(f, false);
}

static void complete_read(struct follower *f)
{
    if (!f->healthy)
        log_info("primary", "its cluster state is read again (version=%" PRId64 ")",
                 f->defs.version);
    f->healthy = true;
    f->why[0] = '\0';
    if (f->fresh != NULL)
        catalog_publish(&f->core->catalog, f->fresh);
    f->fresh = NULL;
    f->first = f->adopting = false;
    f->births_by_stats = f->births_by_stats && f->births_pending;
    sequencer_confirm(f->core->sequencer, f->seq_at_begin);
    sequencer_saw_state(f->core->sequencer, (uint64_t)f->defs.version,
                        (uint64_t)f->defs.version_base);
    end_read(f, true);
}

/* ---- rows under a life that has ended ---- */

/* At the first read any ended life may have rows that nobody confirmed before the proxy ended. */
static bool is_dead(const struct follower *f, uint32_t incarnation)
{
    for (const struct life *l = f->defs.lives; f->first && l != NULL; l = l->hh.next)
        if (l->incarnation == incarnation)
            return l->gone;
    for (size_t i = 0; i < f->defs.dead_count; i++)
        if (f->defs.dead[i].incarnation == incarnation)
            return true;
    return false;
}

static void forget_dead(struct follower *f)
{
    size_t kept = 0;
    uint64_t now = f->core->now_us(f->core);
    for (size_t i = 0; i < f->defs.dead_count; i++)
        if (now - f->defs.dead[i].at_us < DEAD_WATCHED_US)
            f->defs.dead[kept++] = f->defs.dead[i];
    f->defs.dead_count = kept;
}

static const char *name_of_dead(const struct follower *f, uint32_t incarnation)
{
    for (const struct life *l = f->defs.lives; l != NULL; l = l->hh.next)
        if (l->incarnation == incarnation)
            return l->name;
    return NULL;
}

static void recheck_row(struct follower *f, const struct row *row)
{
    const char *name = name_of_dead(f, row->incarnation);
    if (name == NULL || catalog_find_index(f->fresh, span_cstr(name)) == NULL)
        return; /* the name has no life now: there is nothing to look at */
    struct intent_item item = {.op = INTENT_INDEX,
                               .name = span_cstr(name),
                               .id = row->id,
                               .routed = row->routed,
                               .routing = row->routing};
    f->watches = bytes_realloc(f->watches, (f->watch_count + 1) * sizeof *f->watches);
    f->watches[f->watch_count++] = watch_new(f->core, &item, 0);
}

/* INDEX got a pipeline between two reads. When that was not through the proxy (which would have
 * held the writes), what was written meanwhile may have gone through it, while its rows hold what
 * the clients sent. */
static void note_piped(struct follower *f, const struct catalog_index *index)
{
    bool redefined = false, written = false;
    names_look(f->core->names, span_cstr(index->name), &redefined, &written);
    for (size_t i = 0; i < f->fresh->alias_count; i++)
        for (size_t j = 0; j < f->fresh->aliases[i].count; j++)
            if (strcmp(f->fresh->aliases[i].members[j].index, index->name) == 0)
                names_look(f->core->names, span_cstr(f->fresh->aliases[i].name), &redefined,
                           &written);
    if (redefined)
        return;
    if (written)
        follower_note_diverged(f->core, span_cstr(index->name), WHY_PIPED);
    f->piped = bytes_realloc(f->piped, (f->piped_count + 1) * sizeof *f->piped);
    f->piped[f->piped_count++] = index->incarnation;
}

static void find_piped(struct follower *f)
{
    f->piped_count = 0;
    for (size_t i = 0; f->old != NULL && i < f->fresh->index_count; i++) {
        const struct catalog_index *now = f->fresh->indices[i];
        const struct catalog_index *before = catalog_find_index(f->old, span_cstr(now->name));
        if (before != NULL && before != now && before->incarnation == now->incarnation &&
            !before->has_pipeline && now->has_pipeline)
            note_piped(f, now);
    }
}

static void recheck_piped(struct follower *f, const struct row *row)
{
    for (size_t i = 0; i < f->piped_count; i++) {
        if (f->piped[i] != row->incarnation || row->proof != ROW_ANSWERED || row->op != ROW_INDEX)
            continue;
        const struct catalog_index *index = catalog_find_incarnation(f->fresh, row->incarnation);
        if (index != NULL)
            follower_note_diverged(f->core, span_cstr(index->name), WHY_PIPED);
        f->piped[i] = 0; /* once is enough */
    }
}

/* Finds rows that are not confirmed and name an ended life. */
static void recheck_rows(struct follower *f)
{
    struct buffer bytes = {0};
    size_t count;
    uint64_t seq = sequencer_confirmed(f->core->sequencer) + 1;
    if (f->defs.dead_count == 0 && f->piped_count == 0 && !f->first)
        return;
    while (seq <= f->seq_at_begin &&
           journal_read(f->core->journal, seq, RECHECK_RECORDS, 1 << 20, &bytes, &count) ==
               STATUS_OK &&
           count != 0) {
        struct span rest = buffer_span(&bytes);
        struct record record;
        size_t used;
        while (rest.size != 0 && record_decode(rest, &record, &used) == STATUS_OK) {
            if (record.header.kind == RECORD_ROW && is_dead(f, record.row.incarnation))
                recheck_row(f, &record.row);
            else if (record.header.kind == RECORD_ROW)
                recheck_piped(f, &record.row);
            rest = span_of(rest.data + used, rest.size - used);
        }
        seq += count;
    }
    buffer_fini(&bytes);
    forget_dead(f);
}

/* ---- the journal ---- */

static enum status commit_write(struct commit *commit, struct journal_txn *txn)
{
    struct follower *f = (struct follower *)((char *)commit - offsetof(struct follower, commit));
    enum status status = definitions_write(&f->defs, commit, txn);
    for (size_t i = 0; status == STATUS_OK && i < f->watch_count; i++)
        status = watch_store(f->watches[i], txn);
    return status;
}

static void on_committed(struct commit *commit)
{
    struct follower *f = (struct follower *)((char *)commit - offsetof(struct follower, commit));
    f->committing = false;
    if (commit->status != STATUS_OK) {
        /* The changes stay listed; they go out when there is room. */
        catalog_put(f->fresh);
        f->fresh = NULL;
        fail_read(f, "journal", status_text(commit->status));
        return;
    }
    definitions_written(&f->defs);
    for (size_t i = 0; i < f->watch_count; i++)
        doubt_take_watch(f->core, f->watches[i]);
    f->watch_count = 0;
    complete_read(f);
}

static void note_births(struct follower *f)
{
    f->births_pending = false;
    for (size_t i = 0; i < f->fresh->index_count; i++)
        f->births_pending = f->births_pending || f->fresh->indices[i]->birth == BIRTH_UNKNOWN;
}

static void finish_state(struct follower *f)
{
    f->fresh = definitions_finish(&f->defs, f->old, f->begun_us);
    note_births(f);
    find_piped(f);
    recheck_rows(f);
    if (f->defs.changes == NULL && f->watch_count == 0) {
        complete_read(f);
        return;
    }
    follower_set_step(f, STEP_COMMIT);
    f->committing = true;
    f->commit =
        (struct commit){.write = commit_write, .done = on_committed, .loop = f->core->control};
    sequencer_submit(f->core->sequencer, &f->commit);
}

/* ---- the steps ---- */

/* Objects are read kind by kind, those of which the state shows a change. */
static void next_objects(struct follower *f)
{
    while (f->kind < OBJECT_KINDS) {
        if (!definitions_objects_moved(&f->defs, f->kind)) {
            f->kind++;
            continue;
        }
        if (object_kinds[f->kind].listed) {
            ask(f, STEP_OBJECTS, object_kinds[f->kind].path);
            return;
        }
        definitions_take_objects(&f->defs, f->kind++, SPAN_NONE);
    }
    finish_state(f);
}

/* 2.4 calls all recoveries of primaries the same. */
static bool births_are_by_stats(const struct follower *f)
{
    return f->births_by_stats || (!f->core->engine.opensearch && f->core->engine.major < 5);
}

static void next_births(struct follower *f)
{
    struct buffer names = {0}, target = {0};
    bool any = definitions_next_birth(&f->defs, &names);
    if (any) {
        buffer_append_char(&target, '/');
        buffer_append_span(&target, buffer_span(&names));
        buffer_append_cstr(&target, !births_are_by_stats(f)     ? BIRTHS_BY_RECOVERY
                                    : core_has_numbers(f->core) ? BIRTHS_BY_NUMBERS
                                                                : BIRTHS_BY_COUNTS);
        ask(f, STEP_BIRTHS, buffer_cstr(&target));
    }
    buffer_fini(&names);
    buffer_fini(&target);
    if (!any) {
        f->kind = 0;
        next_objects(f);
    }
}

static void next_indices(struct follower *f)
{
    struct buffer names = {0}, target = {0};
    bool any = definitions_next_fetch(&f->defs, &names);
    if (any) {
        buffer_append_char(&target, '/');
        buffer_append_span(&target, buffer_span(&names));
        buffer_append_cstr(&target, "?ignore_unavailable=true");
        if (f->core->engine.major ==
            (f->core->engine.opensearch ? 1 : 7)) /* types are hidden there */
            buffer_append_cstr(&target, "&include_type_name=true");
        ask(f, STEP_INDICES, buffer_cstr(&target));
    }
    buffer_fini(&names);
    buffer_fini(&target);
    if (!any)
        next_births(f);
}

/* The cluster state that is known already is newer than VERSION. Before 7.0 an engine counts anew
 * when all of its nodes have ended; since then it does not, so it is another state, or an older
 * copy. What may go back gets higher stamps all the same: the newest one wins. False: the read has
 * ended. */
static bool went_backwards(struct follower *f, int64_t *version, bool *wrong)
{
    if (!f->core->engine.known) {
        fail_read(f, "identity", "which engine the primary is is not known yet");
        return false;
    }
    if (f->adopting || (!f->core->engine.opensearch && f->core->engine.major < 7)) {
        f->defs.version_base += f->defs.version + 1 - *version;
        *version = f->defs.version + 1;
        return true;
    }
    fail_read(f, "identity",
              "the cluster state went backwards: the cluster was restored from an older copy; "
              "see `tandemctl adopt`");
    *wrong = true;
    return false;
}

/* The primary must be the cluster we know. False: the read has ended. */
static bool check_identity(struct follower *f, struct span body, int64_t *version)
{
    json_t *json = json_tree(body);
    const char *uuid = json_string_value(json_object_get(json, "cluster_uuid"));
    if (uuid == NULL) /* before 6.0 */
        uuid =
            json_string_value(json_object_get(json_object_get(json, "metadata"), "cluster_uuid"));
    bool ok = false, wrong = false;
    *version = f->defs.version_base + json_integer_value(json_object_get(json, "version"));
    if (uuid == NULL || strcmp(uuid, "_na_") == 0) {
        fail_read(f, "identity", "the answer names no cluster_uuid yet");
    } else if (f->defs.cluster_uuid != NULL && strcmp(f->defs.cluster_uuid, uuid) != 0) {
        fail_read(f, "identity",
                  "another cluster answers at this address: its uuid is not the one we know; "
                  "see `tandemctl adopt`");
        wrong = true;
    } else if (*version >= f->defs.version) {
        ok = true;
    } else {
        ok = went_backwards(f, version, &wrong);
    }
    if (ok && f->defs.cluster_uuid == NULL)
        f->defs.cluster_uuid = bytes_strdup(uuid);
    if (wrong && !atomic_load(&f->core->identity_wrong))
        log_error("primary", "writes are refused, the standbys are left alone: %s", f->why);
    if (ok || wrong)
        atomic_store(&f->core->identity_wrong, wrong);
    json_decref(json);
    return ok;
}

/* There is something left to be read, although nothing moved. */
static bool must_look(const struct follower *f)
{
    return f->births_pending || f->defs.incomplete || f->defs.dead_count != 0 ||
           f->defs.changes != NULL;
}

/* Before 6.0 the short answer does not name the cluster, but each state of any cluster has an id of
 * its own. */
static void on_state_uuid(struct follower *f, struct span body)
{
    json_t *json = json_tree(body);
    const char *uuid = json_string_value(json_object_get(json, "state_uuid"));
    bool known = f->old != NULL && uuid != NULL && strcmp(uuid, f->state_uuid) == 0;
    snprintf(f->state_uuid, sizeof f->state_uuid, "%s", uuid == NULL ? "" : uuid);
    json_decref(json);
    if (known && !must_look(f))
        complete_read(f);
    else
        ask(f, STEP_STATE, STATE_TARGET);
}

static void on_version(struct follower *f, struct span body)
{
    int64_t version;
    if (!core_has_numbers(f->core)) {
        on_state_uuid(f, body);
        return;
    }
    if (!check_identity(f, body, &version))
        return;
    if (f->old == NULL || version != f->old->version || must_look(f))
        ask(f, STEP_STATE, STATE_TARGET);
    else
        complete_read(f);
}

/* True when STATUS says that there is no such thing, and not that it can't be read now: whoever
 * took a 429 for an index that has gone would promise its writes without rows. */
static bool says_missing(const struct follower *f, int status)
{
    if (f->step == STEP_OBJECTS)
        return status == 404 || status == 400 || status == 405; /* the engine has no such kind */
    return (f->step == STEP_INDICES || f->step == STEP_BIRTHS) && status == 404;
}

static void on_answer(struct es_call *call)
{
    struct follower *f = call->arg;
    struct span body = buffer_span(&call->answer);
    bool missing = call->status == STATUS_OK && says_missing(f, call->http_status);
    char why[300];

    if (call->status != STATUS_OK || (call->http_status != 200 && !missing)) {
        snprintf(why, sizeof why, "%.180s (http_status=%d)",
                 call->status == STATUS_OK ? buffer_cstr(&call->answer) : call->why,
                 call->http_status);
        fail_read(f, call->status == STATUS_OK ? "refused" : "request", why);
        return;
    }
    bool ok = true;
    switch (f->step) {
    case STEP_VERSION:
        on_version(f, body);
        return;
    case STEP_STATE:
        if (!core_has_numbers(f->core) && !check_identity(f, body, &(int64_t){0}))
            return;
        ok = definitions_take_state(&f->defs, body, f->old);
        if (ok)
            next_indices(f);
        break;
    case STEP_INDICES: /* 404: one vanished meanwhile; the next read knows more */
        ok = missing || definitions_take_indices(&f->defs, body);
        if (ok)
            next_indices(f);
        break;
    case STEP_BIRTHS:
        if (!missing)
            definitions_take_births(&f->defs, body, births_are_by_stats(f));
        next_births(f);
        break;
    case STEP_OBJECTS: /* 404: there are none; 400: this engine has no such thing */
        if (missing && definitions_objects_exist(&f->defs, f->kind)) {
            fail_read(f, object_kinds[f->kind].path,
                      "the cluster state has some, and none are answered");
            return;
        }
        ok = definitions_take_objects(&f->defs, f->kind++, missing ? SPAN("{}") : body);
        if (ok)
            next_objects(f);
        break;
    case STEP_IDLE:
    case STEP_COMMIT:
        CHECK(!"an answer while none was asked for");
    }
    if (!ok)
        fail_read(f, "answer", "it is not what a cluster state looks like");
}

static void begin_read(struct follower *f, uint64_t now_us)
{
    f->begun_us = now_us;
    f->seq_at_begin = sequencer_last_seq(f->core->sequencer);
    f->old = catalog_get(&f->core->catalog);
    ask(f, STEP_VERSION, "/_cluster/state/version?filter_path=cluster_uuid,version,state_uuid");
}

uint64_t follower_tick(struct follower *f, uint64_t now_us)
{
    end_waits(f, false, 0, now_us);
    if (f->step != STEP_IDLE)
        return now_us + f->core->settings->follower_interval;
    if (f->waits != NULL && f->healthy)
        f->next_us = now_us;
    if (now_us >= f->next_us && f->core->engine.known) /* what is asked depends on the engine */
        begin_read(f, now_us);
    return f->next_us > now_us ? f->next_us : now_us + f->core->settings->follower_interval;
}

/* ---- divergence ---- */

struct diverged_commit {
    struct commit commit;
    struct core *core;
    char *index, *why;
};

static enum status diverged_write(struct commit *commit, struct journal_txn *txn)
{
    struct diverged_commit *dc = (struct diverged_commit *)commit;
    struct buffer key = {0};
    buffer_appendf(&key, "diverged/%s", dc->index);
    enum status status = journal_put(txn, JOURNAL_STATE, buffer_span(&key), span_cstr(dc->why));
    buffer_fini(&key);
    return status;
}

static void diverged_done(struct commit *commit)
{
    struct diverged_commit *dc = (struct diverged_commit *)commit;
    free(dc->index);
    free(dc->why);
    free(dc);
}

static void take_diverged(struct loop_task *task)
{
    struct diverged_commit *dc = (struct diverged_commit *)task;
    struct follower *f = dc->core->follower;
    for (struct diverged *d = f->diverged; d != NULL; d = d->next) {
        if (strcmp(d->index, dc->index) == 0) {
            diverged_done(&dc->commit);
            return;
        }
    }
    struct diverged *d = bytes_zalloc(sizeof *d);
    d->index = bytes_strdup(dc->index);
    d->why = bytes_strdup(dc->why);
    d->next = f->diverged;
    f->diverged = d;
    log_warn("proxy", "index %s diverges from the standbys from now on: %s", d->index, d->why);
    dc->commit.write = diverged_write;
    dc->commit.done = diverged_done;
    dc->commit.loop = dc->core->control;
    sequencer_submit(dc->core->sequencer, &dc->commit);
}

void follower_note_diverged(struct core *core, struct span index, const char *why)
{
    struct diverged_commit *dc = bytes_zalloc(sizeof *dc);
    dc->core = core;
    /* It may be what a client sent; a key of the journal has room for an index name, not for that.
     */
    dc->index =
        span_dup(span_of(index.data, index.size > INDEX_NAME_MAX ? INDEX_NAME_MAX : index.size));
    dc->why = bytes_strdup(why);
    dc->commit.task.run = take_diverged;
    core->post(core->control, &dc->commit.task);
}

static bool load_diverged(void *arg, struct span key, struct span value)
{
    struct follower *f = arg;
    struct span prefix = SPAN("diverged/");
    if (!span_starts(key, prefix))
        return false;
    struct diverged *d = bytes_zalloc(sizeof *d);
    d->index = span_dup(span_of(key.data + prefix.size, key.size - prefix.size));
    d->why = span_dup(value);
    d->next = f->diverged;
    f->diverged = d;
    return true;
}

void follower_each_diverged(const struct follower *f,
                            void (*each)(void *arg, const char *index, const char *why), void *arg)
{
    for (const struct diverged *d = f->diverged; d != NULL; d = d->next)
        each(arg, d->index, d->why);
}

/* ---- birth and end ---- */

enum status follower_new(struct core *core, struct follower **out)
{
    struct follower *f = bytes_zalloc(sizeof *f);
    f->core = core;
    f->first = f->births_by_stats = true;
    es_call_init(&f->call);
    definitions_init(&f->defs, core);
    *out = f;
    enum status status = definitions_load(&f->defs);
    f->defs.version_base = (int64_t)sequencer_version_base(core->sequencer);
    if ((int64_t)sequencer_state_version(core->sequencer) > f->defs.version)
        f->defs.version = (int64_t)sequencer_state_version(core->sequencer);
    if (status == STATUS_OK)
        status = journal_scan(core->journal, JOURNAL_STATE, SPAN("diverged/"), load_diverged, f);
    return status;
}

void follower_free(struct follower *f)
{
    if (f == NULL)
        return;
    es_call_fini(&f->call);
    for (size_t i = 0; i < f->watch_count; i++)
        watch_free(f->watches[i]);
    free(f->watches);
    free(f->piped);
    if (f->old != NULL)
        catalog_put(f->old);
    if (f->fresh != NULL)
        catalog_put(f->fresh);
    while (f->diverged != NULL) {
        struct diverged *d = f->diverged;
        f->diverged = d->next;
        free(d->index);
        free(d->why);
        free(d);
    }
    definitions_fini(&f->defs);
    free(f);
}

void follower_adopt(struct follower *f)
{
    log_warn("primary", "adopted by an operator: the cluster that answers now is the primary");
    free(f->defs.cluster_uuid);
    f->defs.cluster_uuid = NULL;
    f->adopting = true;
    f->first = f->births_by_stats = true; /* what has content that no row explains is filling */
    atomic_store(&f->core->identity_wrong, false);
    f->next_us = 0;
}

bool follower_healthy(const struct follower *f)
{
    return f->healthy;
}

const char *follower_why(const struct follower *f)
{
    return f->why;
}

const char *follower_cluster_uuid(const struct follower *f)
{
    return f->defs.cluster_uuid == NULL ? "" : f->defs.cluster_uuid;
}

const char *follower_disbelieved(const struct follower *f)
{
    return f->defs.disbelieved;
}
