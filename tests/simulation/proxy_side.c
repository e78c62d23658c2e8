/* proxy_side.c - the proxy in the simulation: the world of its machines, its births and its
 * crashes.
 *
 * A crash keeps what the journal committed and nothing else. What the machines hold is freed by
 * force then; what travels between their threads at that moment is leaked (the process of the
 * simulation is young).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "conf/settings.h"
#include "proxy/doubt.h"
#include "proxy/follower.h"
#include "proxy/write.h"
#include "sim.h"

#define TICK_QUIET_US (250 * MS)

/* ---- the world of the core ---- */

static uint64_t world_now(struct core *core)
{
    return ((struct sim *)core->world)->now_us;
}

static uint64_t world_wall(struct core *core)
{
    const struct sim *sim = core->world;
    return sim->now_us + sim->wall_offset_us;
}

static void world_call(struct core *core, struct es_call *call)
{
    network_call(core->world, PRIMARY, PROCESS_PROXY, FLIGHT_OWN, call);
}

static void world_fatal(struct core *core, enum status status, const char *why)
{
    struct sim *sim = core->world;
    sim_say(sim, "proxy must end: %s: %s", why, status_text(status));
    sim->died = true;
}

static void records_arrive(struct sim *sim, void *arg)
{
    (void)arg;
    sim->records_told = false;
    replicator_on_records(sim);
}

static void world_on_records(struct core *core)
{
    struct sim *sim = core->world;
    checks_on_records(sim);
    if (sim->records_told)
        return;
    sim->records_told = true;
    sim_after(sim, sim_below(sim, sim->plan.delay_max_us), PROCESS_WORLD, records_arrive, NULL,
              NULL);
}

static uint64_t world_clock(void *arg)
{
    const struct sim *sim = arg;
    return sim->now_us + sim->wall_offset_us;
}

/* ---- turns ---- */

static void run_turn(struct sim *sim, void *arg)
{
    (void)arg;
    sim->turn_scheduled = false;
    (void)sequencer_turn(sim->core.sequencer);
}

static uint64_t commit_delay(struct sim *sim)
{
    if (sim->now_us < sim->slow_until_us)
        return 500 * MS + sim_below(sim, 2 * SECOND);
    return sim_chance(sim, sim->plan.slow_commit) ? sim_below(sim, 300 * MS)
                                                  : 50 + sim_below(sim, 2 * MS);
}

void proxy_look(struct sim *sim)
{
    if (!sim->up[PROCESS_PROXY])
        return;
    if (sim->died) {
        proxy_crash(sim, "its journal failed");
        return;
    }
    if (sim->turn_scheduled || !sequencer_pending(sim->core.sequencer))
        return;
    sim->turn_scheduled = true;
    sim_after(sim, commit_delay(sim), PROCESS_PROXY, run_turn, NULL, NULL);
}

static void look_at_hold(struct sim *sim)
{
    struct hold_info info;
    hold_look(sim->core.hold, &info);
    if (hold_is_quiet(sim->core.hold, &info) && sim->quiet_hold != info.holds) {
        sim->quiet_hold = info.holds;
        sim_say(sim, "the hold is quiet");
    }
}

void proxy_hold(struct sim *sim, uint64_t max_us)
{
    if (!sim->up[PROCESS_PROXY] || !hold_begin(sim->core.hold, max_us))
        return;
    sim_say(sim, "writes are held for %" PRIu64 " ms at most", max_us / MS);
    look_at_hold(sim);
}

void proxy_end_hold(struct sim *sim)
{
    if (sim->up[PROCESS_PROXY] && hold_end(sim->core.hold, "the simulation ended it"))
        sim_say(sim, "the hold ends");
}

static void tick(struct sim *sim, void *arg)
{
    (void)arg;
    uint64_t next = core_tick(&sim->core);
    if (next < sim->now_us + MS)
        next = sim->now_us + MS;
    look_at_hold(sim);
    if (sim->healed && next < sim->now_us + TICK_QUIET_US)
        next = sim->now_us + TICK_QUIET_US;
    sim_at(sim, next, PROCESS_PROXY, tick, NULL, NULL);
}

/* ---- birth and death ---- */

static void name_system(struct sim *sim)
{
    struct journal_txn *txn;
    struct buffer old = {0};
    if (journal_get(sim->journal, JOURNAL_STATE, SPAN("system_id"), &old) == STATUS_NOT_FOUND) {
        CHECK(journal_begin(sim->journal, &txn) == STATUS_OK);
        CHECK(journal_put(txn, JOURNAL_STATE, SPAN("system_id"),
                          SPAN("0123456789abcdef0123456789abcdef")) == STATUS_OK);
        CHECK(journal_commit(txn) == STATUS_OK);
    }
    buffer_fini(&old);
}

void proxy_start(struct sim *sim)
{
    struct core *core = &sim->core;
    char why[300];
    if (sim->up[PROCESS_PROXY])
        return;
    sim_say(sim, "proxy starts");
    sim->up[PROCESS_PROXY] = true;
    sim->died = sim->turn_scheduled = false;
    sim->quiet_hold = 0;
    for (size_t i = 0; i < SIM_LOOPS; i++)
        sim->loops[i] = (struct sim_loop){.last = &sim->loops[i].first};
    CHECK(journal_open_memory(sim->disk, false, &sim->journal) == STATUS_OK);
    journal_set_clock(sim->journal, world_clock, sim);
    name_system(sim);
    memset(core, 0, sizeof *core);
    core->settings = sim->settings;
    core->journal = sim->journal;
    core->control = sim_loop(sim, 0);
    core->now_us = world_now;
    core->wall_us = world_wall;
    core->post = sim_post;
    core->call = world_call;
    core->fatal = world_fatal;
    core->on_records = world_on_records;
    core->world = sim;
    CHECK(core_init(core, why, sizeof why) == STATUS_OK);
    /* Chance that the seed does not give would make histories differ. */
    for (size_t i = 0; i < sizeof core->id_unique; i++)
        core->id_unique[i] = (uint8_t)sim_below(sim, 256);
    atomic_store(&core->id_sequence, (uint32_t)sim_below(sim, UINT32_MAX));
    sim_after(sim, 1, PROCESS_PROXY, tick, NULL, NULL);
    if (sim->mark_wanted)
        proxy_ask_mark(sim); /* the replicator connects and asks again */
}

static void start_again(struct sim *sim, void *arg)
{
    (void)arg;
    proxy_start(sim);
}

static void free_exchange(struct exchange *ex)
{
    ex->state = 0; /* wherever it is: nobody will call it any more */
    exchange_free(ex);
}

void proxy_free(struct sim *sim)
{
    if (!sim->up[PROCESS_PROXY])
        return;
    sim->up[PROCESS_PROXY] = false;
    sim->life[PROCESS_PROXY]++;
    for (struct op *op = sim->ops; op != NULL; op = op->next) {
        if (op->exchange != NULL)
            free_exchange(op->exchange);
        op->exchange = NULL;
    }
    core_fini(&sim->core);
    journal_close(sim->journal);
    sim->journal = NULL;
}

void proxy_crash(struct sim *sim, const char *why)
{
    if (!sim->up[PROCESS_PROXY])
        return;
    sim_say(sim, "proxy dies: %s", why);
    proxy_free(sim);
    for (struct op *op = sim->ops; op != NULL; op = op->next)
        if (op->result == SAID_NOTHING)
            clients_on_silence(sim, op);
    memory_disk_fail(sim->disk, STATUS_OK, 0);
    sim_after(sim, 10 * MS + sim_below(sim, SECOND), PROCESS_WORLD, start_again, NULL, NULL);
}

/* ---- exchanges ---- */

static void forward_on_end(struct flight *flight)
{
    struct exchange *ex = flight->arg;
    struct primary_answer answer = {0};
    struct http_limits limits = {SIZE_MAX, SIZE_MAX, HTTP_FIELDS_MAX};
    struct http_refusal refusal;
    if (flight->failed) {
        exchange_on_failure(ex, flight->nothing_sent, "the network of the simulation");
        return;
    }
    buffer_appendf(&answer.head_bytes, "HTTP/1.1 %d %s\r\n", flight->answer.status,
                   http_reason(flight->answer.status));
    buffer_append_span(&answer.head_bytes, buffer_span(&flight->answer.headers));
    buffer_appendf(&answer.head_bytes, "content-length: %zu\r\n\r\n", flight->answer.body.size);
    CHECK(http_parse_answer(buffer_span(&answer.head_bytes), buffer_span(&flight->method), &limits,
                            &answer.head, &refusal) == STATUS_OK);
    buffer_append_span(&answer.body, buffer_span(&flight->answer.body));
    exchange_on_answer(ex, &answer);
    primary_answer_fini(&answer);
}

/* The value of the field NAME ("name:") among FIELDS, SPAN_NONE when there is none. */
static struct span field_value(struct span fields, const char *name)
{
    size_t size = strlen(name);
    while (fields.size > size) {
        const char *end = memchr(fields.data, '\n', fields.size);
        size_t line = end == NULL ? fields.size : (size_t)(end - fields.data) + 1;
        if (line > size && strncasecmp(fields.data, name, size) == 0) {
            struct span value = span_of(fields.data + size, line - size);
            while (value.size != 0 && value.data[0] == ' ')
                value = span_of(value.data + 1, value.size - 1);
            while (value.size != 0 &&
                   (value.data[value.size - 1] == '\n' || value.data[value.size - 1] == '\r'))
                value.size--;
            return value;
        }
        fields = span_of(fields.data + line, fields.size - line);
    }
    return SPAN_NONE;
}

static void port_forward(void *ctx, struct exchange *ex, struct primary_request *request)
{
    struct sim *sim = ctx;
    enum flight_kind kind = request->own_account          ? FLIGHT_OWN
                            : ex->op.class == OP_METADATA ? FLIGHT_METADATA
                                                          : FLIGHT_WRITE;
    struct hold_info hold;
    hold_look(sim->core.hold, &hold);
    if (kind != FLIGHT_OWN && hold.state == HOLD_ON && sim->quiet_hold == hold.holds)
        sim_fail(sim, "HOLD", "a client's write goes to the primary under a hold that was quiet");
    flight_send(sim, PRIMARY, PROCESS_PROXY, kind, request->method, buffer_span(&request->target),
                field_value(buffer_span(&request->fields), "content-type:"), request->body,
                forward_on_end, ex);
}

static void port_reply(void *ctx, struct exchange *ex)
{
    struct op *op = exchange_owner(ex);
    struct reply *reply = exchange_reply(ex);
    if (op != NULL) {
        op->exchange = NULL;
        clients_on_reply(ctx, op, reply->status, buffer_span(&reply->fields),
                         buffer_span(&reply->body));
    }
    exchange_free(ex);
}

static const struct exchange_ports ports = {port_forward, port_reply};

void proxy_take(struct sim *sim, struct op *op)
{
    struct http_limits limits = {SIZE_MAX, SIZE_MAX, HTTP_FIELDS_MAX};
    struct http_refusal refusal;
    struct http_head head;
    struct routing routing;
    if (!sim->up[PROCESS_PROXY]) {
        clients_on_silence(sim, op);
        return;
    }
    CHECK(http_parse_request(buffer_span(&op->head), &limits, &head, &refusal) == STATUS_OK);
    route_request(&sim->core, &head, &routing);
    if (routing.route != ROUTE_EXCHANGE) {
        int status = routing.route == ROUTE_REFUSE ? routing.refusal.status : 0;
        if (status == 0) {
            sim_fail(sim, "sim", "%.*s is passed through, which the simulation does not do",
                     (int)head.target.size, head.target.data);
            return;
        }
        clients_on_reply(sim, op, status, buffer_span(&routing.refusal.fields),
                         buffer_span(&routing.refusal.body));
        reply_fini(&routing.refusal);
        return;
    }
    struct exchange *ex = exchange_new(&sim->core, sim_loop(sim, 1 + op->client % (SIM_LOOPS - 1)),
                                       &ports, sim, op, buffer_span(&op->head), &routing);
    op->exchange = ex;
    buffer_append_span(exchange_body(ex), buffer_span(&op->body));
    exchange_start(ex);
}

void proxy_client_gone(struct sim *sim, struct op *op)
{
    if (op->exchange != NULL)
        exchange_on_client_gone(op->exchange);
    op->exchange = NULL; /* it goes on by itself; a crash leaks it */
    clients_on_silence(sim, op);
}

/* ---- the replicator's link ---- */

static void mark_arrives(struct sim *sim, void *arg)
{
    (void)arg;
    if (!sim->up[PROCESS_PROXY] || !sim->mark_wanted)
        return;
    uint64_t number = sequencer_ask_mark(sim->core.sequencer);
    sim->mark_wanted = false;
    replicator_on_mark(sim, number);
}

void proxy_ask_mark(struct sim *sim)
{
    sim->mark_wanted = true;
    sim_after(sim, sim_below(sim, sim->plan.delay_max_us), PROCESS_WORLD, mark_arrives, NULL, NULL);
}

/* ---- what it is at ---- */

const char *proxy_busy(struct sim *sim)
{
    struct core *core = &sim->core;
    if (!sim->up[PROCESS_PROXY])
        return "the proxy is down";
    if (atomic_load(&core->state) != PROXY_ACTIVE)
        return proxy_state_name((enum proxy_state)atomic_load(&core->state));
    if (doubt_open(core->doubt) != 0)
        return "the proxy has writes in doubt";
    if (doubt_watched(core->doubt) != 0)
        return "the proxy has ids on its watch list";
    if (sequencer_pending(core->sequencer) || sequencer_open_intents(core->sequencer) != 0)
        return "the proxy has open intents, or commits to do";
    if (!follower_healthy(core->follower))
        return "the proxy cannot follow the primary's state";
    for (size_t i = 0; i < SIM_LOOPS; i++)
        if (sim->loops[i].first != NULL)
            return "the proxy has tasks to run";
    if (core->catalog.newest == NULL ||
        core->catalog.newest->version < model_cluster_state_version(sim->clusters[PRIMARY]))
        return "the proxy has not read the primary's newest state";
    return NULL;
}
