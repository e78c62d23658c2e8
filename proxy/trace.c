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
    enum trace trace = TRACE_AWAY;
    es_call_init(&look.call);
    es_call_set(&look.call, "GET", "/.tandem/_doc/primary");
    look.call.timeout_us = 10000000;
    look.call.on_done = on_looked;
    look.call.arg = &look;
    es_client_call(client, &look.call);
    loop_run(look.loop);
    if (look.call.status == STATUS_OK && look.call.http_status == 404) {
        trace = TRACE_NONE;
    } else if (look.call.status == STATUS_OK && look.call.http_status == 200) {
        json_t *json = json_tree(buffer_span(&look.call.answer));
        const char *journal =
            json_string_value(json_object_get(json_object_get(json, "_source"), "journal"));
        snprintf(why, why_size, "%s", journal == NULL ? "?" : journal);
        trace = TRACE_FOUND;
        json_decref(json);
    } else {
        snprintf(why, why_size, "%.300s (http_status=%d)",
                 look.call.status == STATUS_OK ? "" : look.call.why, look.call.http_status);
    }
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
                 "Tandem's trace (.tandem/_doc/primary) cannot be written there, so a lost journal "
                 "would go unnoticed: "
                 "%.200s (http_status=%d)",
                 call->status == STATUS_OK ? "" : call->why, call->http_status);
    (void)core;
}

void trace_leave(struct core *core)
{
    struct es_call *call = &core->trace_call;
    es_call_set(call, "PUT", "/.tandem/_doc/primary");
    buffer_appendf(&call->body, "{\"system_id\":\"%s\",\"journal\":\"%s\"}", core->system_id,
                   core->journal_text);
    call->timeout_us = core->settings->follower_request_timeout;
    call->on_done = on_left;
    call->arg = core;
    core->call(core, call);
}
