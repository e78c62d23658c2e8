/* core.c - what the proxy's machines share: birth, states, and what is refused when.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/core.h"

#include <jansson.h>
#include <stdio.h>
#include <sys/random.h>

#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "proxy/documents.h"
#include "proxy/doubt.h"
#include "proxy/follower.h"
#include "proxy/hold.h"
#include "proxy/names.h"
#include "proxy/sweep.h"
#include "proxy/trace.h"

/* clang-format off */
static const struct {
    const char *name;
    unsigned next; /* the states that may follow, as bits */
} proxy_states[] = {
    [PROXY_STARTING]   = {"starting",   BIT(PROXY_RECOVERING) | BIT(PROXY_DRAINING)},
    [PROXY_RECOVERING] = {"recovering", BIT(PROXY_ACTIVE) | BIT(PROXY_DRAINING)},
    [PROXY_ACTIVE]     = {"active",     BIT(PROXY_DRAINING)},
    [PROXY_DRAINING]   = {"draining",   0},
};
/* clang-format on */

const char *proxy_state_name(enum proxy_state state)
{
    return proxy_states[state].name;
}

void core_set_state(struct core *core, enum proxy_state next)
{
    enum proxy_state state = (enum proxy_state)atomic_load(&core->state);
    CHECK(proxy_states[state].next & BIT(next));
    log_info("proxy", "%s -> %s", proxy_states[state].name, proxy_states[next].name);
    if (next == PROXY_ACTIVE)
        atomic_store(&core->was_active, true);
    atomic_store(&core->state, (int)next);
}

const char *core_refuses_writes(struct core *core)
{
    if (atomic_load(&core->identity_wrong))
        return "the primary is not the cluster Tandem knows: writes are refused until an operator "
               "has looked "
               "(tandemctl status)";
    if (sequencer_is_full(core->sequencer))
        return "the journal has no room, so writes are refused; reads go on";
    switch ((enum proxy_state)atomic_load(&core->state)) {
    case PROXY_STARTING:
        return "the primary's cluster state was not read yet; try again";
    case PROXY_RECOVERING:
        return "writes that were under way when the proxy ended are being looked up; try again";
    case PROXY_DRAINING: /* what is under way is finished */
        if (!atomic_load(&core->was_active))
            return "Tandem is ending";
        break;
    case PROXY_ACTIVE:
        break;
    }
    return NULL;
}

/* True when AT begins with -yyyy.mm.dd. */
static bool is_day(const char *at)
{
    static const char shape[] = "-0000.00.00";
    for (size_t i = 0; shape[i] != '\0'; i++)
        if (shape[i] == '0' ? at[i] < '0' || at[i] > '9' : at[i] != shape[i])
            return false;
    return true;
}

/* The data stream that INDEX belongs to by its name, .ds-STREAM-000001 or
 * .ds-STREAM-2026.11.29-000001; SPAN_NONE: to none. */
static struct span stream_of(struct span index)
{
    if (!span_starts(index, SPAN(".ds-")))
        return SPAN_NONE;
    struct span name = span_of(index.data + 4, index.size - 4);
    while (name.size != 0 && name.data[name.size - 1] != '-')
        name.size--;
    name.size -= name.size != 0;
    if (name.size > 11 && is_day(name.data + name.size - 11))
        name.size -= 11;
    return name;
}

bool core_excludes(const struct core *core, struct span index)
{
    struct span stream = stream_of(index);
    return settings_excludes(core->settings, index) ||
           (stream.size != 0 && settings_excludes(core->settings, stream));
}

bool core_has_numbers(const struct core *core)
{
    return !core->engine.known || core->engine.opensearch || core->engine.major >= 6;
}

bool core_keeps_client_versions(const struct core *core, struct span index)
{
    if (!core_has_numbers(core))
        return true; /* there is nothing else that orders the states of a document */
    /* What is behind a data stream takes no versions of clients. */
    return settings_keeps_client_versions(core->settings, index) && stream_of(index).size == 0;
}

bool core_allows(const struct core *core, const char *word)
{
    return settings_allows(core->settings, word);
}

/* ---- HELLO: the first record of each boot ---- */

struct hello_commit {
    struct commit commit;
    struct core *core;
    char uuid[64];
};

static enum status hello_write(struct commit *commit, struct journal_txn *txn)
{
    struct hello_commit *hc = (struct hello_commit *)commit;
    struct core *core = hc->core;
    struct record record = {.header.kind = RECORD_HELLO,
                            .hello = {.system_id = span_cstr(core->system_id),
                                      .cluster = span_cstr(core->settings->primary_name),
                                      .cluster_uuid = span_cstr(hc->uuid),
                                      .high_term = sequencer_high_term(core->sequencer),
                                      .base_count = 1,
                                      .bases = {{.timeline = 1, .base = 0}}}};
    enum status status = commit_append(commit, txn, &record);
    if (status == STATUS_OK)
        status = journal_put(txn, JOURNAL_STATE, SPAN("system_id"), span_cstr(core->system_id));
    return status;
}

static void hello_done(struct commit *commit)
{
    struct hello_commit *hc = (struct hello_commit *)commit;
    struct core *core = hc->core;
    bool durable = commit->status == STATUS_OK;
    free(hc);
    if (!durable) {
        if (!core->hello_failed)
            log_error("journal", "the first record of this start has no room, so no write is "
                                 "admitted: make room or raise journal.size_max");
        core->hello_failed = true;
        core->hello_said = false; /* with the next tick again */
        return;
    }
    if (atomic_load(&core->state) == PROXY_STARTING)
        core_set_state(core, PROXY_RECOVERING);
    trace_leave(core);
}

static void say_hello(struct core *core)
{
    struct hello_commit *hc = bytes_zalloc(sizeof *hc);
    hc->core = core;
    snprintf(hc->uuid, sizeof hc->uuid, "%s", follower_cluster_uuid(core->follower));
    hc->commit = (struct commit){.write = hello_write, .done = hello_done, .loop = core->control};
    sequencer_submit(core->sequencer, &hc->commit);
    core->hello_said = true;
}

/* ---- which engine the primary is ---- */

/* An upgrade goes from node to node, under a running proxy. */
#define ENGINE_AGAIN_US (30 * UINT64_C(1000000))

static void engine_on_answer(struct es_call *call)
{
    struct core *core = call->arg;
    json_t *json = json_tree(buffer_span(&call->answer));
    const json_t *version = json_object_get(json, "version");
    const char *number = json_string_value(json_object_get(version, "number"));
    const char *distribution = json_string_value(json_object_get(version, "distribution"));
    struct engine engine = {.known = true};
    core->engine_asked = false;
    if (call->status == STATUS_OK && number != NULL) {
        engine.opensearch = distribution != NULL && strcmp(distribution, "opensearch") == 0;
        sscanf(number, "%d.%d", &engine.major, &engine.minor);
        if (!engine.opensearch && (engine.major > 8 || (engine.major == 8 && engine.minor >= 16)))
            atomic_store(&core->bulks_in_parts, true); /* and so it stays: nodes may be mixed */
    }
    if (core->engine.known) {
        ; /* asked again for what an upgrade changes */
    } else if (call->status == STATUS_OK && number != NULL) {
        core->engine = engine;
        log_info("primary", "it is %s %s", core->engine.opensearch ? "OpenSearch" : "Elasticsearch",
                 number);
    } else if (call->status == STATUS_OK && call->http_status == 405) {
        core->engine =
            (struct engine){.known = true, .major = 9}; /* 9.x as shipped for tests answers so */
        atomic_store(&core->bulks_in_parts, true);
    }
    json_decref(json);
}

static void ask_engine(struct core *core, uint64_t now_us)
{
    if (core->engine_asked || now_us < core->engine_next_us)
        return;
    core->engine_next_us = now_us + (core->engine.known ? ENGINE_AGAIN_US : 500000);
    core->engine_asked = true;
    es_call_set(&core->engine_call, "GET", "/");
    core->engine_call.timeout_us = core->settings->follower_request_timeout;
    core->engine_call.on_done = engine_on_answer;
    core->engine_call.arg = core;
    core->call(core, &core->engine_call);
}

/* ---- the control thread's turn ---- */

uint64_t core_tick(struct core *core)
{
    uint64_t now = core->now_us(core);
    uint64_t next = now + 100000, at;
    ask_engine(core, now);
    names_tick(core->names, now);
    at = hold_tick(core->hold, now);
    next = at < next ? at : next;
    at = follower_tick(core->follower, now);
    next = at < next ? at : next;
    bool known = core->catalog.newest != NULL && core->engine.known;
    if (known && !core->hello_said)
        say_hello(core);
    if (known && atomic_load(&core->state) != PROXY_STARTING) {
        at = doubt_tick(core->doubt, now);
        next = at < next ? at : next;
        at = sweeps_tick(core->sweeps, now);
        next = at < next ? at : next;
    }
    if (atomic_load(&core->state) == PROXY_RECOVERING && doubt_recovered(core->doubt) &&
        follower_healthy(core->follower))
        core_set_state(core, PROXY_ACTIVE);
    return next;
}

/* ---- birth and end ---- */

static void hex(char *out, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        sprintf(out + 2 * i, "%02x", bytes[i]);
}

static void load_system_id(struct core *core)
{
    struct buffer value = {0};
    if (journal_get(core->journal, JOURNAL_STATE, SPAN("system_id"), &value) == STATUS_OK &&
        value.size == 32) {
        memcpy(core->system_id, value.data, 32);
    } else {
        uint8_t random[16];
        CHECK(getrandom(random, sizeof random, 0) == (ssize_t)sizeof random);
        hex(core->system_id, random, sizeof random);
    }
    buffer_fini(&value);
}

enum status core_init(struct core *core, char *why, size_t why_size)
{
    struct journal_info info;
    uint32_t start;
    enum status status;

    catalog_box_init(&core->catalog);
    core->timeline = 1;
    atomic_init(&core->state, PROXY_STARTING);
    journal_info(core->journal, &info);
    journal_id_text(&info.id, core->journal_text);
    load_system_id(core);
    CHECK(getrandom(core->id_unique, sizeof core->id_unique, 0) == (ssize_t)sizeof core->id_unique);
    CHECK(getrandom(&start, sizeof start, 0) == (ssize_t)sizeof start);
    atomic_init(&core->id_sequence, start);
    atomic_init(&core->next_watch, core->wall_us(core));
    es_call_init(&core->engine_call);
    es_call_init(&core->trace_call);
    core->names = names_new(core);
    core->hold = hold_new(core);
    core->documents = documents_new(core);
    pthread_mutex_init(&core->notes_lock, NULL);
    status = sequencer_new(core, &core->sequencer);
    if (status == STATUS_OK)
        status = follower_new(core, &core->follower);
    if (status == STATUS_OK)
        status = sweeps_new(core, &core->sweeps);
    if (status == STATUS_OK)
        status = doubt_new(core, &core->doubt);
    if (status != STATUS_OK)
        snprintf(why, why_size, "the journal's tables cannot be read: %s", status_text(status));
    return status;
}

void core_fini(struct core *core)
{
    es_call_fini(&core->engine_call);
    es_call_fini(&core->trace_call);
    doubt_free(core->doubt);
    sweeps_free(core->sweeps);
    follower_free(core->follower);
    sequencer_free(core->sequencer);
    names_free(core->names);
    hold_free(core->hold);
    documents_free(core->documents);
    pthread_mutex_destroy(&core->notes_lock);
    catalog_box_fini(&core->catalog);
}
