/* sweep.c - reads back what a write by query left, and journals it: the machine without I/O.
 *
 * A sweep begins when the write has ended. Index by index it walks these steps;
 * sweep_set_step() alone moves it:
 *
 *     WAITING -> TASK* -> STATE -> BARRIER?
 *         -> TERMS -> STATS -> REFRESH -> (READ -> CONFIRM -> COMMIT)*    for each index
 *         -> CLOSE
 *
 *     TASK     the write still runs, or may: its task is asked for
 *     STATE    which life do the indices have now?
 *     BARRIER  where it may delete: the writes under way there end, so that all they wrote is noted
 *     TERMS    the primary term of each shard
 *     STATS    the highest number of each shard, until its global checkpoint has reached it
 *     READ     a page of the numbers that were used since the write began; then the ids that it may
 *              have deleted. Found by number: a probed row. Not there by id: a negative row with
 *              the numbers of TERMS and STATS
 *     CONFIRM  the same life and the same terms still: what was read is the primary's
 *
 * Whoever else writes there meanwhile has rows of his own; where both have one, the standby takes
 * it once.
 *
 * What must hold:
 *   - Its intent stays open until all rows are durable, so no mark passes it: what is deleted while
 *     a page is read is remembered, and the audit does not take its numbers for gaps.
 *   - The record that says how many numbers it used also says how many deletions have no rows.
 *   - A sweep never ends before it is done; the client is told at the first failure.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/index_state.h"
#include "http/message.h"
#include "proxy/sweep_impl.h"

#define BACKOFF_MIN_US UINT64_C(500000)
#define BACKOFF_MAX_US (30 * UINT64_C(1000000))
#define TASK_LOOK_US UINT64_C(200000)
#define TASK_LOOK_MAX_US (5 * UINT64_C(1000000))
#define TASKS_QUIET_US UINT64_C(1000000)
/* A request that was sent may be about to begin. */
#define TASKS_QUIET_LOOKS 3
#define STATS_TRIES_MAX 100
#define STATS_WAIT_US UINT64_C(50000)

struct sweeps {
    struct core *core;
    struct sweep *first;
    size_t count;
};

struct take_task {
    struct loop_task task; /* first */
    struct sweep *sweep;
};

static void go_on(struct sweep *sweep);

/* clang-format off */
static const struct {
    const char *name;
    unsigned next; /* the steps that may follow, as bits */
} sweep_steps[] = {
    [SWEEP_WAITING] = {"waiting", BIT(SWEEP_TASK) | BIT(SWEEP_STATE) | BIT(SWEEP_STATS)},
    [SWEEP_TASK]    = {"running", BIT(SWEEP_WAITING) | BIT(SWEEP_STATE)},
    [SWEEP_STATE]   = {"state", BIT(SWEEP_WAITING) | BIT(SWEEP_BARRIER) | BIT(SWEEP_TERMS) |
                                BIT(SWEEP_CLOSE)},
    [SWEEP_BARRIER] = {"barrier", BIT(SWEEP_TERMS) | BIT(SWEEP_CLOSE)},
    [SWEEP_TERMS]   = {"terms", BIT(SWEEP_WAITING) | BIT(SWEEP_STATS)},
    [SWEEP_STATS]   = {"stats", BIT(SWEEP_WAITING) | BIT(SWEEP_REFRESH) | BIT(SWEEP_TERMS) |
                                BIT(SWEEP_CLOSE)},
    [SWEEP_REFRESH] = {"refresh", BIT(SWEEP_WAITING) | BIT(SWEEP_READ) | BIT(SWEEP_TERMS) |
                                  BIT(SWEEP_CLOSE)},
    [SWEEP_READ]    = {"reading", BIT(SWEEP_WAITING) | BIT(SWEEP_READ) | BIT(SWEEP_CONFIRM)},
    [SWEEP_CONFIRM] = {"confirming", BIT(SWEEP_WAITING) | BIT(SWEEP_COMMIT)},
    [SWEEP_COMMIT]  = {"writing", BIT(SWEEP_WAITING) | BIT(SWEEP_READ) | BIT(SWEEP_TERMS) |
                                  BIT(SWEEP_CLOSE)},
    [SWEEP_CLOSE]   = {"closing", BIT(SWEEP_WAITING)},
};
/* clang-format on */

static void sweep_set_step(struct sweep *sweep, enum sweep_step next)
{
    CHECK(sweep_steps[sweep->step].next & BIT(next));
    sweep->step = next;
}

static void wait_until(struct sweep *sweep, uint64_t delay_us)
{
    sweep_set_step(sweep, SWEEP_WAITING);
    sweep->due_us = sweep->core->now_us(sweep->core) + delay_us;
}

/* ---- who waits ---- */

static void run_swept(struct loop_task *task)
{
    struct sweep_wait *wait = (struct sweep_wait *)task;
    wait->on_swept(wait);
}

static void tell(struct sweep *sweep, bool complete)
{
    struct sweep_wait *wait = sweep->wait;
    sweep->wait = NULL;
    if (wait == NULL)
        return;
    wait->complete = complete;
    wait->moved = sweep->moved;
    wait->last_seq = sweep->last_seq;
    wait->task.run = run_swept;
    sweep->core->post(wait->loop, &wait->task);
}

/* What can't be done now is tried again. */
static void retry(struct sweep *sweep, const char *why)
{
    if (sweep->backoff_us == 0)
        log_warn("sweep", "%s on %s: what it left cannot be read now, trying again: %s", sweep->api,
                 sweep->named, why);
    tell(sweep, false);
    sweep->stats_tries = 0;
    sweep->backoff_us = sweep->backoff_us == 0 ? BACKOFF_MIN_US : sweep->backoff_us * 2;
    if (sweep->backoff_us > BACKOFF_MAX_US)
        sweep->backoff_us = BACKOFF_MAX_US;
    wait_until(sweep, sweep->backoff_us);
}

/* False: the call failed, and all of it is tried again. */
static bool succeeded(struct sweep *sweep, const struct es_call *call)
{
    char why[400];
    if (call->status == STATUS_OK && call->http_status == 200)
        return true;
    snprintf(why, sizeof why, "%.300s (http_status=%d)", call->status == STATUS_OK ? "" : call->why,
             call->http_status);
    retry(sweep, why);
    return false;
}

static void ask(struct sweep *sweep, struct es_call *call, void (*on_done)(struct es_call *call))
{
    call->on_done = on_done;
    call->arg = sweep;
    sweep->core->call(sweep->core, call);
}

static void set_limits(const struct sweep *sweep, struct es_call *call)
{
    call->answer_max = SWEEP_ANSWER_MAX;
    call->timeout_us = sweep->core->settings->follower_request_timeout;
}

void sweep_set_call(struct sweep *sweep, struct es_call *call, const char *method,
                    const char *before, const char *after)
{
    struct buffer name = {0};
    http_percent_encode(span_cstr(sweep->targets[sweep->at].name), &name);
    es_call_set(call, method, "%s%s%s", before, buffer_cstr(&name), after);
    set_limits(sweep, call);
    buffer_fini(&name);
}

/* ---- has it ended? ---- */

/* It runs on: the next look is not too soon. */
static void look_later(struct sweep *sweep)
{
    uint64_t age = sweep->core->now_us(sweep->core) - sweep->since_us;
    uint64_t delay = age / 4 > TASK_LOOK_US ? age / 4 : TASK_LOOK_US;
    wait_until(sweep, delay < TASK_LOOK_MAX_US ? delay : TASK_LOOK_MAX_US);
}

static void on_task(struct es_call *call)
{
    struct sweep *sweep = call->arg;
    bool forgotten = call->status == STATUS_OK && call->http_status == 404;
    if (!forgotten && !succeeded(sweep, call))
        return;
    json_t *answer = json_tree(buffer_span(&call->answer));
    bool runs = !forgotten && !json_is_true(json_object_get(answer, "completed"));
    const json_t *response = json_object_get(answer, "response");
    if (!runs && json_is_integer(json_object_get(response, "total"))) {
        json_t *counts = json_object();
        sweep_take_counts(counts, response);
        sweep_load_counts(sweep, counts);
        json_decref(counts);
    }
    json_decref(answer);
    if (runs) {
        look_later(sweep);
        return;
    }
    sweep->ended = true;
    go_on(sweep);
}

/* True when ANSWER, a list of tasks, shows one of a write by query with our X-Opaque-Id. */
static bool shows_task(const struct sweep *sweep, const json_t *answer)
{
    const char *node_id, *task_id;
    json_t *node, *task;
    json_object_foreach(json_object_get(answer, "nodes"), node_id, node)
    {
        json_object_foreach(json_object_get(node, "tasks"), task_id, task)
        {
            const json_t *headers = json_object_get(task, "headers");
            const char *opaque = json_string_value(json_object_get(headers, "X-Opaque-Id"));
            if (opaque != NULL && strcmp(opaque, sweep->opaque) == 0)
                return true;
        }
    }
    return false;
}

static void on_tasks(struct es_call *call)
{
    struct sweep *sweep = call->arg;
    if (!succeeded(sweep, call))
        return;
    json_t *answer = json_tree(buffer_span(&call->answer));
    bool shown = shows_task(sweep, answer);
    json_decref(answer);
    sweep->quiet = shown ? 0 : sweep->quiet + 1;
    if (sweep->quiet < TASKS_QUIET_LOOKS) {
        wait_until(sweep, TASKS_QUIET_US);
        return;
    }
    sweep->ended = true;
    go_on(sweep);
}

static void ask_task(struct sweep *sweep)
{
    sweep_set_step(sweep, SWEEP_TASK);
    if (sweep->task != NULL) {
        es_call_set(&sweep->call, "GET", "/_tasks/");
        http_percent_encode(span_cstr(sweep->task), &sweep->call.target);
    } else {
        es_call_set(&sweep->call, "GET", "/_tasks?actions=*byquery,*reindex&detailed=true");
    }
    set_limits(sweep, &sweep->call);
    ask(sweep, &sweep->call, sweep->task != NULL ? on_task : on_tasks);
}

/* ---- what must be swept ---- */

/* What TARGET is now. One of another life is swept from its first number on. */
static void resolve(struct sweep *sweep, struct sweep_target *target)
{
    const struct catalog_index *index = catalog_find_index(sweep->catalog, span_cstr(target->name));
    bool replicated = index != NULL && index->definition != NULL && !index->closed &&
                      !core_excludes(sweep->core, span_cstr(index->name));
    target->index = replicated ? index : NULL;
    if (!replicated || strcmp(index->uuid, target->uuid) == 0) {
        if (replicated)
            sweep_set_shards(target, index->shards);
        return;
    }
    free(target->uuid);
    target->uuid = bytes_strdup(index->uuid);
    target->shard_count = target->id_count = target->id_at = 0;
    sweep_set_shards(target, index->shards);
}

static bool is_listed(const struct sweep *sweep, const char *name)
{
    for (size_t i = 0; i < sweep->target_count; i++)
        if (strcmp(sweep->targets[i].name, name) == 0)
            return true;
    return false;
}

static void add_dest(struct sweep *sweep)
{
    const char *routing;
    const struct catalog_index *index =
        sweep->dest == NULL
            ? NULL
            : catalog_write_target(sweep->catalog, span_cstr(sweep->dest), &routing);
    if (index != NULL && !is_listed(sweep, index->name))
        (void)sweep_add_target(sweep, index->name, "");
}

/* Every write that was under way when it ended has ended too. */
static void on_barrier(struct names_use *use)
{
    (void)FAILPOINT("Q3");
    struct sweep *sweep = (struct sweep *)((char *)use - offsetof(struct sweep, use));
    bool all = !use->overlapped;
    names_leave(sweep->core->names, use);
    all = sweep_take_notes(sweep) && all;
    sweep->all_ids = sweep->all_ids && all;
    go_on(sweep);
}

static void enter_barrier(struct sweep *sweep)
{
    sweep_set_step(sweep, SWEEP_BARRIER);
    sweep->use_names = bytes_zalloc((sweep->target_count + 1) * sizeof *sweep->use_names);
    sweep->use = (struct names_use){.loop = sweep->core->control,
                                    .exclusive = true,
                                    .names = sweep->use_names,
                                    .on_granted = on_barrier};
    for (size_t i = 0; i < sweep->target_count; i++)
        if (sweep->targets[i].index != NULL)
            sweep->use_names[sweep->use.count++] = span_cstr(sweep->targets[i].name);
    if (names_enter(sweep->core->names, &sweep->use))
        on_barrier(&sweep->use);
}

static void on_state(struct state_wait *wait)
{
    struct sweep *sweep = (struct sweep *)((char *)wait - offsetof(struct sweep, state));
    if (wait->failed) {
        retry(sweep, "the cluster state can't be read");
        return;
    }
    if (sweep->catalog != NULL)
        catalog_put(sweep->catalog);
    sweep->catalog = wait->catalog;
    add_dest(sweep);
    for (size_t i = 0; i < sweep->target_count; i++)
        resolve(sweep, &sweep->targets[i]);
    sweep->at = 0;
    if (sweep->notes != NULL)
        enter_barrier(sweep);
    else
        go_on(sweep);
}

static void ask_state(struct sweep *sweep)
{
    sweep_set_step(sweep, SWEEP_STATE);
    sweep->state =
        (struct state_wait){.core = sweep->core,
                            .loop = sweep->core->control,
                            .on_state = on_state,
                            .timeout_us = sweep->core->settings->follower_request_timeout};
    follower_await(sweep->core, &sweep->state);
}

/* ---- one index ---- */

static void next_target(struct sweep *sweep)
{
    sweep->at++;
    go_on(sweep);
}

static bool moved(const struct sweep_target *target)
{
    for (size_t i = 0; i < target->shard_count; i++)
        if (target->after[i] < target->up_to[i])
            return true;
    return false;
}

static void read_next(struct sweep *sweep);

static void on_refreshed(struct es_call *call)
{
    struct sweep *sweep = call->arg;
    if (!succeeded(sweep, call))
        return;
    sweep->shard = 0;
    read_next(sweep);
}

static bool take_limits(struct sweep *sweep)
{
    struct sweep_target *target = &sweep->targets[sweep->at];
    for (size_t i = 0; i < target->shard_count; i++) {
        if (!shard_facts_ready(&sweep->facts, target->name, (uint32_t)i))
            return false;
        target->up_to[i] = shard_facts_get(&sweep->facts, target->name, (uint32_t)i)->max_seq_no;
        if (target->up_to[i] < target->after[i])
            target->up_to[i] = target->after[i];
    }
    return true;
}

static void ask_stats(struct sweep *sweep);

static void on_stats(struct es_call *call)
{
    struct sweep *sweep = call->arg;
    struct sweep_target *target = &sweep->targets[sweep->at];
    if (!succeeded(sweep, call))
        return;
    if (!shard_facts_take_stats(&sweep->facts, buffer_span(&call->answer)) || !take_limits(sweep)) {
        if (++sweep->stats_tries < STATS_TRIES_MAX)
            wait_until(sweep, STATS_WAIT_US);
        else
            retry(sweep, "a shard has no primary, or its global checkpoint stands still");
        return;
    }
    sweep->stats_tries = 0;
    sweep->moved = sweep->moved || moved(target);
    if (!moved(target) && target->id_at == target->id_count) {
        target->swept = true;
        next_target(sweep);
        return;
    }
    sweep_set_step(sweep, SWEEP_REFRESH);
    sweep_set_call(sweep, &sweep->call, "POST", "/", "/_refresh");
    sweep->call.timeout_us = 2 * sweep->core->settings->follower_request_timeout;
    ask(sweep, &sweep->call, on_refreshed);
}

static void ask_stats(struct sweep *sweep)
{
    sweep_set_step(sweep, SWEEP_STATS);
    sweep_set_call(sweep, &sweep->call, "GET", "/",
                   "/_stats/docs?level=shards&filter_path=indices.*.shards.*.seq_no,"
                   "indices.*.shards.*.routing");
    ask(sweep, &sweep->call, on_stats);
}

/* True when STATE shows the life that the present index had in the catalog. */
static bool is_same_life(const struct sweep *sweep, struct span state)
{
    const struct sweep_target *target = &sweep->targets[sweep->at];
    json_t *json = json_tree(state);
    const json_t *indices = json_object_get(json_object_get(json, "metadata"), "indices");
    bool same = index_is_life(json_object_get(indices, target->name), target->index->key);
    json_decref(json);
    return same;
}

#define TERMS_FILTER                                                                               \
    "?filter_path=metadata.indices.*.primary_terms,metadata.indices.*.settings.index.uuid,"        \
    "metadata.indices.*.settings.index.history.uuid"

static void on_terms(struct es_call *call)
{
    struct sweep *sweep = call->arg;
    if (!succeeded(sweep, call))
        return;
    if (!is_same_life(sweep, buffer_span(&call->answer))) {
        retry(sweep, "the index was made again meanwhile");
        return;
    }
    shard_facts_take_terms(&sweep->facts, buffer_span(&call->answer));
    ask_stats(sweep);
}

static void begin_target(struct sweep *sweep)
{
    shard_facts_clear(&sweep->facts);
    sweep->stats_tries = 0;
    sweep_set_step(sweep, SWEEP_TERMS);
    sweep_set_call(sweep, &sweep->call, "GET", "/_cluster/state/metadata/", TERMS_FILTER);
    ask(sweep, &sweep->call, on_terms);
}

/* ---- reading ---- */

static enum status rows_write(struct commit *commit, struct journal_txn *txn)
{
    struct sweep *sweep = (struct sweep *)((char *)commit - offsetof(struct sweep, commit));
    return sweep_write_rows(sweep, commit, txn);
}

/* The commit has returned. False: nothing of it is there, and it is tried again. */
static bool is_durable(struct sweep *sweep)
{
    if (sweep->commit.status != STATUS_OK) {
        retry(sweep, status_text(sweep->commit.status));
        return false;
    }
    if (sweep->commit.last_seq != 0)
        sweep->last_seq = sweep->commit.last_seq;
    return true;
}

static void rows_done(struct commit *commit)
{
    (void)FAILPOINT("Q6");
    struct sweep *sweep = (struct sweep *)((char *)commit - offsetof(struct sweep, commit));
    if (!is_durable(sweep))
        return;
    sweep->backoff_us = 0;
    sweep_rows_written(sweep);
    read_next(sweep);
}

static void submit(struct sweep *sweep, enum status (*write)(struct commit *, struct journal_txn *),
                   void (*done)(struct commit *))
{
    sweep->commit = (struct commit){.write = write, .done = done, .loop = sweep->core->control};
    sequencer_submit(sweep->core->sequencer, &sweep->commit);
}

static void on_confirmed(struct es_call *call)
{
    (void)FAILPOINT("Q5");
    struct sweep *sweep = call->arg;
    if (!succeeded(sweep, call))
        return;
    if (!is_same_life(sweep, buffer_span(&call->answer)) ||
        !shard_facts_terms_are(&sweep->facts, buffer_span(&call->answer))) {
        retry(sweep, "the index has another primary now, or was made again");
        return;
    }
    sweep_set_step(sweep, SWEEP_COMMIT);
    submit(sweep, rows_write, rows_done);
}

static void on_read(struct es_call *call)
{
    (void)FAILPOINT("Q4");
    struct sweep *sweep = call->arg;
    bool bad;
    if (sweep_take_read(sweep, &bad)) {
        sweep_set_step(sweep, SWEEP_CONFIRM);
        sweep_set_call(sweep, &sweep->confirm, "GET", "/_cluster/state/metadata/", TERMS_FILTER);
        ask(sweep, &sweep->confirm, on_confirmed);
    } else if (bad) {
        char why[400];
        snprintf(why, sizeof why, "%.300s (http_status=%d)",
                 call->status == STATUS_OK ? "the answer is not whole" : call->why,
                 call->http_status);
        retry(sweep, why);
    } else {
        read_next(sweep);
    }
}

static void read_next(struct sweep *sweep)
{
    if (!sweep_next_read(sweep)) {
        sweep->targets[sweep->at].swept = true;
        next_target(sweep);
        return;
    }
    sweep_set_step(sweep, SWEEP_READ);
    ask(sweep, &sweep->call, on_read);
}

/* ---- the end ---- */

/* Deletions that it reported, and that may have no rows. */
static uint64_t unnamed(const struct sweep *sweep)
{
    return sweep->all_ids ? 0 : sweep->deleted;
}

/* True when every range was read to its end, and it is known how many operations there were. */
static bool may_be_counted(const struct sweep *sweep)
{
    bool all = sweep->counted && !sweep->incomplete;
    for (size_t i = 0; i < sweep->target_count && all; i++)
        all = sweep->targets[i].index == NULL || sweep->targets[i].swept;
    return all;
}

static void append_ranges(const struct sweep *sweep, struct swept *swept, struct buffer *bytes)
{
    for (size_t i = 0; i < sweep->target_count; i++) {
        const struct sweep_target *target = &sweep->targets[i];
        for (size_t s = 0; target->index != NULL && s < target->shard_count; s++) {
            struct seq_range range = {.incarnation = target->index->incarnation,
                                      .shard = (uint32_t)s,
                                      .after = target->begun[s],
                                      .up_to = target->up_to[s]};
            if (range.up_to <= range.after)
                continue;
            swept_append(bytes, &range);
            swept->count++;
        }
    }
    swept->ranges = buffer_span(bytes);
}

static enum status close_write(struct commit *commit, struct journal_txn *txn)
{
    struct sweep *sweep = (struct sweep *)((char *)commit - offsetof(struct sweep, commit));
    struct record record = {.header.kind = RECORD_SWEPT,
                            .swept = {.operations = sweep->operations, .unnamed = unnamed(sweep)}};
    struct buffer ranges = {0};
    enum status status = STATUS_OK;
    append_ranges(sweep, &record.swept, &ranges);
    if (may_be_counted(sweep) && record.swept.count != 0)
        status = commit_append(commit, txn, &record);
    buffer_fini(&ranges);
    if (status == STATUS_OK)
        status = sweep_forget(txn, sweep->number);
    return status == STATUS_OK ? commit_close_intent(commit, txn, sweep->number) : status;
}

static void unlink_sweep(struct sweep *sweep)
{
    struct sweeps *sweeps = sweep->core->sweeps;
    struct sweep **link = &sweeps->first;
    while (*link != sweep)
        link = &(*link)->next;
    *link = sweep->next;
    sweeps->count--;
}

static void close_done(struct commit *commit)
{
    (void)FAILPOINT("Q7");
    struct sweep *sweep = (struct sweep *)((char *)commit - offsetof(struct sweep, commit));
    if (!is_durable(sweep))
        return;
    bool whole = sweep->counted ? may_be_counted(sweep) && unnamed(sweep) == 0
                                : !sweep->moved || (sweep->all_ids && !sweep->incomplete);
    if (!whole)
        log_warn("sweep",
                 "%s on %s: not all that it deleted is known; the audit of each standby compares "
                 "the index",
                 sweep->api, sweep->named);
    log_info("sweep", "%s on %s is in the journal (operations=%" PRIu64 " gone=%" PRIu64 ")",
             sweep->api, sweep->named, sweep->operations, sweep->gone);
    tell(sweep, whole);
    unlink_sweep(sweep);
    sweep_free(sweep);
}

/* ---- the walk ---- */

static void go_on(struct sweep *sweep)
{
    if (!sweep->ended) {
        ask_task(sweep);
        return;
    }
    if (sweep->step == SWEEP_WAITING || sweep->step == SWEEP_TASK) {
        ask_state(sweep);
        return;
    }
    while (sweep->at < sweep->target_count &&
           (sweep->targets[sweep->at].index == NULL || sweep->targets[sweep->at].swept))
        sweep->at++;
    if (sweep->at < sweep->target_count) {
        begin_target(sweep);
        return;
    }
    sweep_set_step(sweep, SWEEP_CLOSE);
    submit(sweep, close_write, close_done);
}

uint64_t sweeps_tick(struct sweeps *sweeps, uint64_t now_us)
{
    uint64_t next = UINT64_MAX;
    for (struct sweep *sweep = sweeps->first, *after; sweep != NULL; sweep = after) {
        after = sweep->next;
        if (sweep->step != SWEEP_WAITING)
            continue;
        if (now_us < sweep->due_us)
            next = sweep->due_us < next ? sweep->due_us : next;
        else if (sweep->stats_tries != 0) /* the only thing that is waited for within an index */
            ask_stats(sweep);
        else
            go_on(sweep);
    }
    return next;
}

/* ---- birth and end ---- */

static void add_sweep(struct sweeps *sweeps, struct sweep *sweep)
{
    sweep->next = sweeps->first;
    sweeps->first = sweep;
    sweeps->count++;
}

static void take(struct loop_task *task)
{
    struct take_task *tt = (struct take_task *)task;
    struct sweep *sweep = tt->sweep;
    add_sweep(sweep->core->sweeps, sweep);
    free(tt);
    go_on(sweep);
}

void sweep_take(struct core *core, uint64_t number, json_t *plan, struct sweep_notes *notes,
                struct sweep_wait *wait)
{
    struct take_task *tt = bytes_zalloc(sizeof *tt);
    tt->sweep = sweep_new(core, number, plan);
    tt->sweep->wait = wait;
    tt->sweep->notes = notes;
    tt->task.run = take;
    json_decref(plan);
    core->post(core->control, &tt->task);
}

/* What others wrote meanwhile was noted by the process that died. */
static struct sweep *load(struct sweeps *sweeps, uint64_t number, const json_t *plan)
{
    struct sweep *sweep = sweep_new(sweeps->core, number, plan);
    sweep->all_ids = sweep->all_ids && !json_is_true(json_object_get(plan, "deletes"));
    return sweep;
}

static bool load_sweep(void *arg, struct span key, struct span value)
{
    struct sweeps *sweeps = arg;
    json_t *plan = json_tree(value);
    if (plan == NULL)
        log_error("sweep", "a write by query that was under way cannot be read; the audit of each "
                           "standby finds what it left");
    else
        add_sweep(sweeps, load(sweeps, get_u64be(key.data), plan));
    json_decref(plan);
    return true;
}

enum status sweeps_new(struct core *core, struct sweeps **out)
{
    struct sweeps *sweeps = bytes_zalloc(sizeof *sweeps);
    sweeps->core = core;
    *out = sweeps;
    enum status status = journal_scan(core->journal, JOURNAL_SWEEPS, SPAN_NONE, load_sweep, sweeps);
    for (struct sweep *sweep = sweeps->first; sweep != NULL; sweep = sweep->next)
        log_info("sweep", "%s on %s was under way: what it left is read back", sweep->api,
                 sweep->named);
    return status;
}

void sweeps_free(struct sweeps *sweeps)
{
    if (sweeps == NULL)
        return;
    while (sweeps->first != NULL) {
        struct sweep *sweep = sweeps->first;
        sweeps->first = sweep->next;
        sweep_free(sweep);
    }
    free(sweeps);
}

bool sweeps_have(const struct sweeps *sweeps, uint64_t number)
{
    for (const struct sweep *sweep = sweeps->first; sweep != NULL; sweep = sweep->next)
        if (sweep->number == number)
            return true;
    return false;
}

size_t sweeps_open(const struct sweeps *sweeps)
{
    return sweeps->count;
}

json_t *sweeps_report(const struct sweeps *sweeps)
{
    json_t *list = json_array();
    for (const struct sweep *sweep = sweeps->first; sweep != NULL; sweep = sweep->next) {
        uint64_t now = sweep->core->now_us(sweep->core);
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:s*, s:f}", "api", sweep->api, "target", sweep->named,
                            "step", sweep->ended ? sweep_steps[sweep->step].name : "running",
                            "task", sweep->task, "age_s", (double)(now - sweep->since_us) / 1e6));
    }
    return list;
}
