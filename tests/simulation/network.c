/* network.c - requests to the two model clusters, and all that can happen to one on its way.
 *
 * A flight leaves, is executed (or not), and ends at its sender: these are two events, in either
 * order. A request whose sender gave up may be executed after that, one that was executed may never
 * be answered. The sender's process may be dead when it ends.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "es/bulk.h"
#include "sim.h"

/* The last probe of the watch list comes after a minute. */
#define WRITE_LATE_MAX_US (45 * SECOND)
/* The standby keeps tombstones for three time-outs of a bulk; a bulk that is executed later than
 * that is beyond what is promised (see tests/README.md). */
#define BULK_LATE_MAX_US (9 * SECOND)

static void flight_put(struct flight *flight)
{
    if (--flight->references != 0)
        return;
    flight->sim->flights -= flight->counted;
    buffer_fini(&flight->method);
    buffer_fini(&flight->target);
    buffer_fini(&flight->content_type);
    buffer_fini(&flight->body);
    model_answer_fini(&flight->answer);
    free(flight);
}

static void flight_drop(void *arg)
{
    flight_put(arg);
}

/* ---- at the cluster ---- */

static void set_answer(struct flight *flight, int status, const char *body)
{
    flight->answer.status = status;
    buffer_clear(&flight->answer.headers);
    buffer_append_cstr(&flight->answer.headers,
                       "content-type: application/json; charset=UTF-8\r\n");
    buffer_clear(&flight->answer.body);
    buffer_append_cstr(&flight->answer.body, body);
}

static void execute_body(struct flight *flight, struct span body)
{
    struct sim *sim = flight->sim;
    struct model_request request = {.method = buffer_span(&flight->method),
                                    .target = buffer_span(&flight->target),
                                    .body = body,
                                    .content_type = buffer_span(&flight->content_type)};
    model_cluster_handle(sim->clusters[flight->side], sim->now_us + sim->wall_offset_us, &request,
                         &flight->answer);
}

static json_t *busy_item(const struct bulk_item *item)
{
    struct buffer text = {0};
    buffer_appendf(
        &text,
        "{\"%s\":{\"_index\":%.*s,\"_id\":%.*s,\"status\":429,\"error\":{\"type\":"
        "\"rejected_execution_exception\",\"reason\":\"the queue is full\"}}}",
        bulk_action_name(item->action), item->index.size == 0 ? 4 : (int)item->index.size,
        item->index.size == 0 ? "null" : item->index.data,
        item->id.size == 0 ? 4 : (int)item->id.size, item->id.size == 0 ? "null" : item->id.data);
    json_t *json = json_loadb(text.data, text.size, 0, NULL);
    CHECK(json != NULL);
    buffer_fini(&text);
    return json;
}

/* A bulk of which some items find their shard's queue full. */
static void execute_in_part(struct flight *flight)
{
    struct bulk_walk walk;
    struct bulk_item item;
    struct buffer rest = {0};
    json_t *busy = json_array();
    bulk_walk_init(&walk, buffer_span(&flight->body));
    while (bulk_next(&walk, &item) == STATUS_OK) {
        if (sim_chance(flight->sim, 300)) {
            json_array_append_new(busy, busy_item(&item));
            continue;
        }
        json_array_append_new(busy, json_null());
        buffer_append_span(&rest, item.line);
        buffer_append_char(&rest, '\n');
        if (item.action != BULK_DELETE) {
            buffer_append_span(&rest, item.source);
            buffer_append_char(&rest, '\n');
        }
    }
    if (rest.size != 0)
        execute_body(flight, buffer_span(&rest));
    else
        set_answer(flight, 200, "{\"took\":0,\"errors\":true,\"items\":[]}");
    buffer_fini(&rest);
    json_t *answer = json_loadb(flight->answer.body.data, flight->answer.body.size, 0, NULL);
    json_t *items = json_object_get(answer, "items"), *json;
    size_t i;
    if (json_is_array(items)) {
        json_array_foreach(busy, i, json) if (!json_is_null(json))
            json_array_insert(items, i, json);
        json_object_set_new(answer, "errors", json_true());
        char *text = json_dumps(answer, JSON_COMPACT);
        set_answer(flight, 200, text);
        free(text);
    }
    json_decref(answer);
    json_decref(busy);
}

static void flight_execute(struct sim *sim, void *arg)
{
    struct flight *flight = arg;
    /* A node that restarts drops what it had not executed yet. */
    if (sim->now_us < sim->down_until_us[flight->side] ||
        flight->restarts != sim->restarts[flight->side]) {
        flight->failed = true;
        flight_put(flight);
        return;
    }
    if (flight->some_items_busy)
        execute_in_part(flight);
    else
        execute_body(flight, buffer_span(&flight->body));
    if (flight->twice)
        execute_body(flight, buffer_span(&flight->body));
    if (sim->verbose && (flight->kind != FLIGHT_OWN || flight->method.data[0] != 'G'))
        sim_say(sim, "    %s executes%s %s %.*s -> %d %.*s",
                flight->side == PRIMARY ? "primary" : "standby",
                flight->late     ? " late"
                : flight->twice  ? " twice"
                : flight->failed ? " unheard"
                                 : "",
                buffer_cstr(&flight->method), (int)flight->target.size, flight->target.data,
                flight->answer.status,
                flight->answer.body.size > 300 ? 300 : (int)flight->answer.body.size,
                flight->answer.body.data == NULL ? "" : flight->answer.body.data);
    if (flight->pretend == 502)
        set_answer(flight, 502, "<html>Bad Gateway</html>");
    else if (flight->pretend != 0)
        set_answer(flight, flight->pretend,
                   "{\"error\":{\"type\":\"node_disconnected_exception\",\"reason\":\"it left\"}}");
    flight_put(flight);
}

/* ---- on the way ---- */

static bool is_bulk(const struct flight *flight)
{
    return flight->target.size >= 6 &&
           memmem(flight->target.data, flight->target.size, "_bulk", 5) != NULL;
}

/* True when FLIGHT is executed before its end is heard of. */
static bool choose_write(struct sim *sim, struct flight *flight)
{
    const struct plan *plan = &sim->plan;
    static const int statuses[] = {500, 502, 503, 504};
    if (sim_chance(sim, plan->write_unsent))
        flight->failed = flight->nothing_sent = true;
    else if (sim_chance(sim, plan->write_lost))
        flight->failed = true;
    else if (sim_chance(sim, plan->write_late))
        flight->failed = flight->late = true;
    else if (sim_chance(sim, plan->answer_lost))
        return flight->failed = true;
    else if (sim_chance(sim, plan->answer_5xx))
        flight->pretend = statuses[sim_below(sim, 4)];
    else if (flight->kind == FLIGHT_WRITE && sim_chance(sim, plan->write_twice))
        flight->twice = true;
    else if (is_bulk(flight) && sim_chance(sim, plan->item_busy))
        flight->some_items_busy = true;
    return !flight->failed;
}

static bool choose_bulk(struct sim *sim, struct flight *flight)
{
    const struct plan *plan = &sim->plan;
    if (sim_chance(sim, plan->bulk_lost))
        flight->failed = true;
    else if (sim_chance(sim, plan->bulk_late))
        flight->failed = flight->late = true;
    else if (sim_chance(sim, plan->bulk_answer_lost))
        return flight->failed = true;
    else if (sim_chance(sim, plan->bulk_5xx))
        flight->pretend = sim_chance(sim, 500) ? 503 : 502;
    else if (sim_chance(sim, plan->row_busy))
        flight->some_items_busy = true;
    return !flight->failed;
}

/* Calls for definitions are not executed late: a cluster does them one after the other, a second
 * try behind the first. */
static bool choose_own(struct sim *sim, struct flight *flight)
{
    if (!sim_chance(sim, sim->plan.own_lost))
        return true;
    if (sim_chance(sim, 300)) {
        flight->pretend = sim_chance(sim, 500) ? 503 : 429;
        return true;
    }
    flight->failed = true;
    return sim_chance(sim, 500);
}

static void flight_end(struct sim *sim, void *arg)
{
    struct flight *flight = arg;
    (void)sim;
    flight->on_end(flight);
    flight_put(flight);
}

static uint64_t some_delay(struct sim *sim)
{
    uint64_t delay = sim_below(sim, sim->plan.delay_max_us) + 50;
    return sim_chance(sim, 20) ? delay * 20 : delay;
}

void flight_send(struct sim *sim, enum side side, enum process process, enum flight_kind kind,
                 struct span method, struct span target, struct span content_type, struct span body,
                 void (*on_end)(struct flight *flight), void *arg)
{
    struct flight *flight = bytes_zalloc(sizeof *flight);
    bool executed = true;
    *flight = (struct flight){
        .sim = sim, .side = side, .process = process, .kind = kind, .on_end = on_end, .arg = arg};
    flight->references = 1;
    flight->restarts = sim->restarts[side];
    flight->counted = kind != FLIGHT_OWN || !span_equal(method, SPAN("GET"));
    sim->flights += flight->counted;
    buffer_append_span(&flight->method, method);
    buffer_append_span(&flight->target, target);
    buffer_append_span(&flight->content_type, content_type);
    buffer_append_span(&flight->body, body);
    if (sim->now_us < sim->down_until_us[side]) {
        flight->failed = flight->nothing_sent = true;
        executed = false;
    } else if (!sim->healed) {
        executed = kind == FLIGHT_OWN    ? choose_own(sim, flight)
                   : kind == FLIGHT_BULK ? choose_bulk(sim, flight)
                                         : choose_write(sim, flight);
        if (kind == FLIGHT_BULK && sim_chance(sim, sim->plan.bulk_busy)) {
            executed = false;
            set_answer(flight, sim_chance(sim, 500) ? 429 : 503, "{\"error\":{\"type\":\"busy\"}}");
        }
    }
    uint64_t there = sim->now_us + some_delay(sim), back = there + some_delay(sim);
    if (flight->late)
        there = back + sim_below(sim, kind == FLIGHT_BULK ? BULK_LATE_MAX_US : WRITE_LATE_MAX_US);
    if (executed || flight->late) {
        flight->references++;
        sim_at(sim, there, PROCESS_WORLD, flight_execute, flight_drop, flight);
    }
    sim_at(sim, back, process, flight_end, flight_drop, flight);
}

/* ---- calls of Tandem's own ---- */

static void call_on_end(struct flight *flight)
{
    struct es_call *call = flight->arg;
    call->sent = !flight->nothing_sent;
    call->http_status = 0;
    call->retry_after_us = 0;
    call->why[0] = '\0';
    buffer_clear(&call->answer);
    if (flight->failed) {
        call->status = STATUS_CLUSTER_AWAY;
        snprintf(call->why, sizeof call->why, "the network of the simulation");
    } else {
        call->status = STATUS_OK;
        call->http_status = flight->answer.status;
        if (!span_equal(buffer_span(&flight->method), SPAN("HEAD")))
            buffer_append_span(&call->answer, buffer_span(&flight->answer.body));
        (void)buffer_cstr(&call->answer);
    }
    call->on_done(call);
}

void network_call(struct sim *sim, enum side side, enum process process, enum flight_kind kind,
                  struct es_call *call)
{
    flight_send(sim, side, process, kind, span_cstr(call->method), buffer_span(&call->target),
                span_cstr(call->content_type == NULL ? "application/json" : call->content_type),
                buffer_span(&call->body), call_on_end, call);
}

bool network_peek(struct sim *sim, enum side side, const char *index)
{
    char target[100];
    snprintf(target, sizeof target, "/%s", index);
    return network_ask(sim, side, "HEAD", target, "") == 200;
}

int network_ask(struct sim *sim, enum side side, const char *method, const char *target,
                const char *body)
{
    struct model_answer answer = {0};
    struct model_request request = {.method = span_cstr(method),
                                    .target = span_cstr(target),
                                    .body = span_cstr(body),
                                    .content_type = SPAN("application/json")};
    model_cluster_handle(sim->clusters[side], sim->now_us + sim->wall_offset_us, &request, &answer);
    int status = answer.status;
    sim_say(sim, "    %s is asked %s %s %s -> %d %.*s", side == PRIMARY ? "primary" : "standby",
            method, target, body == NULL ? "" : body, status,
            answer.body.size > 200 ? 200 : (int)answer.body.size,
            answer.body.data == NULL ? "" : answer.body.data);
    model_answer_fini(&answer);
    return status;
}
