/* trace.c - the trace that Tandem leaves on the primary, so that a lost journal is noticed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/trace.h"

#include <jansson.h>
#include <stdio.h>

#include "base/json_tree.h"
#include "base/log.h"
#include "base/loop.h"
#include "conf/settings.h"
#include "es/es_client.h"
#include "proxy/core.h"

struct look {
    struct loop *loop;
    struct es_call call;
};

static void on_looked(struct es_call *call)
{
    struct look *look = call->arg;
    loop_stop(look->loop);
}

/* Engines before 6.0 take no `_doc` for a type, those since 7.0 nothing else. */
static const char *const traces[] = {"/.tandem/_doc/primary", "/.tandem/trace/primary"};

static void read_trace(struct span body, char *why, size_t why_size)
{
    json_t *json = json_tree(body);
    const char *journal =
        json_string_value(json_object_get(json_object_get(json, "_source"), "journal"));
    snprintf(why, why_size, "%s", journal == NULL ? "?" : journal);
    json_decref(json);
}

static enum trace look_for(struct look *look, struct es_client *client, const char *target,
                           char *why, size_t why_size)
{
    struct es_call *call = &look->call;
    es_call_set(call, "GET", "%s", target);
    call->timeout_us = 10000000;
    call->on_done = on_looked;
    call->arg = look;
    es_client_call(client, call);
    loop_run(look->loop);
    if (call->status == STATUS_OK && call->http_status == 200) {
        read_trace(buffer_span(&call->answer), why, why_size);
        return TRACE_FOUND;
    }
    bool no_such_path = target != traces[0] && call->http_status < 500;
    if (call->status == STATUS_OK && (call->http_status == 404 || no_such_path))
        return TRACE_NONE;
    snprintf(why, why_size, "%.300s (http_status=%d)", call->status == STATUS_OK ? "" : call->why,
             call->http_status);
    return TRACE_AWAY;
}

enum trace trace_look(const struct settings *settings, const char *authorization, char *why,
                      size_t why_size)
{
    struct look look = {.loop = loop_new("trace")};
    struct es_client_options options = {
        .urls = (const char *const *)settings->primary_urls.items,
        .urls_count = settings->primary_urls.count,
        .authorization = authorization,
        .ca_file = settings->primary_ca_file,
        .insecure = settings->primary_insecure_skip_verify,
        .connect_timeout_us = settings->primary_connect_timeout,
        .connections_max = 1,
    };
    struct es_client *client = es_client_new(look.loop, &options);
    enum trace trace = TRACE_NONE;
    es_call_init(&look.call);
    for (size_t i = 0; i < COUNT_OF(traces) && trace == TRACE_NONE; i++)
        trace = look_for(&look, client, traces[i], why, why_size);
    es_call_fini(&look.call);
    es_client_free(client);
    loop_free(look.loop);
    return trace;
}

static void on_left(struct es_call *call)
{
    struct core *core = call->arg;
    if (call->status != STATUS_OK || call->http_status >= 300)
        log_warn("primary",
                 "Tandem's trace (the document `primary` in .tandem) cannot be written there, so a "
                 "lost journal "
                 "would go unnoticed: "
                 "%.200s (http_status=%d)",
                 call->status == STATUS_OK ? "" : call->why, call->http_status);
    (void)core;
}

void trace_leave(struct core *core)
{
    struct es_call *call = &core->trace_call;
    es_call_set(call, "PUT", "%s", traces[core_has_numbers(core) ? 0 : 1]);
    buffer_appendf(&call->body, "{\"system_id\":\"%s\",\"journal\":\"%s\"}", core->system_id,
                   core->journal_text);
    call->timeout_us = core->settings->follower_request_timeout;
    call->on_done = on_left;
    call->arg = core;
    core->call(core, call);
}
