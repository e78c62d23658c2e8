/* report.c - what the proxy says of itself: its status, and counters for Prometheus.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/settings.h"
#include "proxy/core.h"
#include "proxy/doubt.h"
#include "proxy/follower.h"
#include "proxy/hold.h"
#include "proxy/names.h"
#include "proxy/orders.h"
#include "proxy/replicators.h"
#include "proxy/sweep.h"
#include "proxy/worker.h"

/* How long a failed copy on the primary is worth a line in the status. */
#define COPY_FAILED_SHOWN_US (600 * UINT64_C(1000000))

static void problem(json_t *problems, const char *level, const char *text, const char *do_this)
{
    json_array_append_new(problems,
                          json_pack("{s:s,s:s,s:s}", "level", level, "text", text, "do", do_this));
}

static const char *state_name(struct core *core, const struct hold_info *hold)
{
    int state = atomic_load(&core->state);
    bool full = state == PROXY_ACTIVE && sequencer_is_full(core->sequencer);
    if (full || (state != PROXY_DRAINING && atomic_load(&core->identity_wrong)))
        return "readonly";
    if (state == PROXY_ACTIVE && hold->state == HOLD_ON)
        return "holding";
    return proxy_state_name((enum proxy_state)atomic_load(&core->state));
}

/* ---- status ---- */

static void add_index(json_t *indices, const char *name, const char *uuid, const char *state,
                      const char *why)
{
    json_array_append_new(indices, json_pack("{s:s,s:s,s:s,s:s}", "name", name, "uuid", uuid,
                                             "state", state, "why", why));
}

static void add_diverged(void *arg, const char *index, const char *why)
{
    add_index(arg, index, "", "diverged", why);
}

/* HAD_CONTENT: names of those that had some before Tandem saw them. How much of it a standby has is
 * the standby's to say. */
static json_t *indices_status(struct core *core, json_t *problems, json_t *had_content)
{
    json_t *indices = json_array();
    const struct catalog *catalog = catalog_get(&core->catalog);
    size_t unsynced = 0;
    char text[200];
    for (size_t i = 0; catalog != NULL && i < catalog->index_count; i++) {
        const struct catalog_index *index = catalog->indices[i];
        unsynced += index->unsynced;
        if (index->birth == BIRTH_FILLING)
            json_array_append_new(had_content, json_string(index->name));
    }
    if (catalog != NULL)
        catalog_put(catalog);
    follower_each_diverged(core->follower, add_diverged, indices);
    if (unsynced != 0) {
        snprintf(
            text, sizeof text,
            "%zu indices have translog.durability async: the primary can lose what it acknowledged",
            unsynced);
        problem(problems, "warning", text, "set index.translog.durability to request");
    }
    return indices;
}

static void primary_problems(const struct report *report, json_t *problems)
{
    struct core *core = report->core;
    char text[700];
    if (atomic_load(&core->identity_wrong)) {
        snprintf(text, sizeof text, "writes are refused: %s", follower_why(core->follower));
        problem(problems, "error", text,
                "check the primary's address; if this cluster really is the primary now: tandemctl "
                "adopt");
    } else if (!follower_healthy(core->follower)) {
        snprintf(text, sizeof text, "the primary's cluster state cannot be read: %s",
                 follower_why(core->follower));
        problem(problems, "error", text,
                "see whether the primary is up; if it is lost for good: tandemctl release STANDBY");
    }
    if (*follower_disbelieved(core->follower) != '\0') {
        snprintf(text, sizeof text,
                 "indices have vanished from the primary that nobody deleted: %s",
                 follower_disbelieved(core->follower));
        problem(
            problems, "error", text,
            "the standbys keep them; find out what happened to the primary before anything else");
    }
    if (sequencer_is_full(core->sequencer))
        problem(problems, "error", "the journal is full, writes are refused",
                "make room on its disk, or raise journal.size_max");
    if (doubt_unprobable(core->doubt) != 0) {
        snprintf(text, sizeof text,
                 "%zu writes in doubt cannot be looked up: their shards have no primary",
                 doubt_unprobable(core->doubt));
        problem(problems, "warning", text, "see _cat/shards of the primary");
    }
    uint64_t copy_failed_us = atomic_load(&core->copy_failed_us);
    if (copy_failed_us != 0 && core->now_us(core) - copy_failed_us < COPY_FAILED_SHOWN_US) {
        snprintf(
            text, sizeof text,
            "the primary acknowledged writes of which a copy failed (_shards.failed), the last "
            "one %" PRIu64 " s ago",
            (core->now_us(core) - copy_failed_us) / 1000000);
        problem(problems, "warning", text,
                "they are replicated; see _cat/shards of the primary: it has fewer copies than it "
                "should");
    }
    if (atomic_load(&core->external_version_writes) != 0)
        problem(
            problems, "notice",
            "clients send external versions; they are replicated like all other writes",
            "after a switch such clients see Tandem's versions, and theirs are refused; name their "
            "indices in replicate.client_versions before they are made");
}

static void hold_problem(const struct hold_info *hold, json_t *problems)
{
    char text[200];
    if (hold->state != HOLD_ON)
        return;
    snprintf(text, sizeof text,
             "writes are held (%" PRIu64 " requests, since %" PRIu64 " ms); they go on in %" PRIu64
             " ms at the latest",
             hold->held, hold->for_us / 1000, hold->ends_in_us / 1000);
    problem(problems, "notice", text, "to let them go on now: tandemctl hold --end");
}

static json_t *primary_status(const struct report *report)
{
    struct core *core = report->core;
    const struct settings *settings = core->settings;
    json_t *nodes = json_array();
    struct workers_stats stats;
    workers_stats(report->workers, &stats);
    for (size_t i = 0; i < es_client_nodes(report->client); i++) {
        bool healthy;
        const char *url = es_client_node(report->client, i, &healthy);
        json_array_append_new(nodes, json_pack("{s:s, s:b}", "url", url, "healthy", healthy));
    }
    const char *state = atomic_load(&core->identity_wrong) ? "another cluster"
                        : follower_healthy(core->follower) ? "ok"
                                                           : "away";
    return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:b}", "name", settings->primary_name,
                     "cluster_uuid", follower_cluster_uuid(core->follower), "state", state, "nodes",
                     nodes, "nodes_healthy", (json_int_t)stats.nodes_well, "nodes_total",
                     (json_int_t)stats.nodes, "insecure_skip_verify",
                     settings->primary_insecure_skip_verify);
}

json_t *report_status(const struct report *report)
{
    struct core *core = report->core;
    const struct settings *settings = core->settings;
    struct journal_info info;
    json_t *problems = json_array(), *had_content = json_array();
    const struct catalog *catalog = catalog_get(&core->catalog);
    struct hold_info hold;
    journal_info(core->journal, &info);
    hold_look(core->hold, &hold);
    primary_problems(report, problems);
    hold_problem(&hold, problems);
    json_t *journal =
        json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "id", core->journal_text, "boot",
                  (json_int_t)info.boot, "first_seq", (json_int_t)info.first_seq, "last_seq",
                  (json_int_t)info.last_seq, "used_bytes", (json_int_t)info.used_bytes, "size_max",
                  (json_int_t)info.size_max, "confirmed_seq",
                  (json_int_t)sequencer_confirmed(core->sequencer));
    json_t *status = json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "program",
        "tandem-proxy", "version", TANDEM_VERSION, "system", settings->system_name, "state",
        state_name(core, &hold), "uptime_s",
        (json_int_t)((core->now_us(core) - report->begun_us) / 1000000), "primary",
        primary_status(report), "journal", journal, "open_intents",
        (json_int_t)sequencer_open_intents(core->sequencer), "in_doubt",
        (json_int_t)doubt_open(core->doubt), "watch", (json_int_t)doubt_watched(core->doubt),
        "in_flight", (json_int_t)names_in_use(core->names), "held",
        (json_int_t)names_held(core->names), "state_version",
        (json_int_t)(catalog == NULL ? 0 : catalog->version), "indices",
        indices_status(core, problems, had_content), "standbys",
        replicators_status(report->replicators, problems));
    json_object_set_new(status, "had_content", had_content);
    json_object_set_new(status, "hold", orders_hold_status(core, &hold));
    json_object_set_new(status, "by_query", sweeps_report(core->sweeps));
    json_object_set_new(status, "problems", problems);
    if (catalog != NULL)
        catalog_put(catalog);
    return status;
}

/* ---- metrics ---- */

static void metric(struct buffer *out, const char *name, const char *kind, const char *help,
                   uint64_t value)
{
    buffer_appendf(out, "# HELP tandem_%s %s\n# TYPE tandem_%s %s\ntandem_%s %" PRIu64 "\n", name,
                   help, name, kind, name, value);
}

void report_metrics(const struct report *report, struct buffer *out)
{
    struct core *core = report->core;
    struct journal_info info;
    struct workers_stats w;
    struct hold_info hold;
    journal_info(core->journal, &info);
    workers_stats(report->workers, &w);
    hold_look(core->hold, &hold);
    const struct {
        const char *name, *kind, *help;
        uint64_t value;
    } metrics[] = {
        {"active", "gauge", "1 while writes are admitted", core_refuses_writes(core) == NULL},
        {"primary_ok", "gauge", "1 while the primary's cluster state is followed",
         follower_healthy(core->follower)},
        {"clients", "gauge", "connections of clients", w.clients},
        {"requests_total", "counter", "requests read", w.requests},
        {"streams_total", "counter", "requests passed through", w.streams},
        {"exchanges_total", "counter", "writes and changes of definitions", w.exchanges},
        {"refused_total", "counter", "requests Tandem refused", w.refused},
        {"malformed_total", "counter", "requests that are not strict HTTP/1.1", w.malformed},
        {"timeouts_total", "counter", "clients or primary nodes that took too long", w.timeouts},
        {"primary_failures_total", "counter", "requests without an answer from the primary",
         w.upstream_failures},
        {"bytes_in_total", "counter", "bytes from clients", w.bytes_in},
        {"bytes_out_total", "counter", "bytes to clients", w.bytes_out},
        {"body_bytes", "gauge", "memory of bodies in flight", w.body_bytes},
        {"writes_applied_total", "counter", "writes answered as applied",
         atomic_load(&core->writes_applied)},
        {"writes_not_applied_total", "counter", "writes answered as not applied",
         atomic_load(&core->writes_not_applied)},
        {"writes_unknown_total", "counter", "writes answered as unknown",
         atomic_load(&core->writes_unknown)},
        {"rows_total", "counter", "rows journaled with their answers", atomic_load(&core->rows)},
        {"late_rows_total", "counter", "rows found by probes", atomic_load(&core->late_rows)},
        {"intents_total", "counter", "intents made durable", atomic_load(&core->intents)},
        {"captures_total", "counter", "writes whose documents were read back",
         atomic_load(&core->captures)},
        {"conflicts_total", "counter", "writes answered 409",
         atomic_load(&core->conditional_conflicts)},
        {"copies_failed_total", "counter", "writes of which the primary said that a copy failed",
         atomic_load(&core->copies_failed)},
        {"held_total", "counter", "writes that waited for a change of definitions",
         atomic_load(&core->held)},
        {"holds_total", "counter", "times that all writes were held", hold.holds},
        {"hold_requests", "gauge", "writes that a hold keeps waiting now", hold.held},
        {"hold_longest_us", "gauge", "the longest that one waited, in the last hold",
         hold.longest_us},
        {"open_intents", "gauge", "writes without an outcome",
         sequencer_open_intents(core->sequencer)},
        {"in_doubt", "gauge", "writes being looked up", doubt_open(core->doubt)},
        {"by_query_open", "gauge", "writes by query that run, or whose results are being read back",
         sweeps_open(core->sweeps)},
        {"watched_ids", "gauge", "ids that are looked at again", doubt_watched(core->doubt)},
        {"probes_total", "counter", "calls of doubt to the primary", atomic_load(&core->probes)},
        {"journal_last_seq", "gauge", "newest durable record", info.last_seq},
        {"journal_first_seq", "gauge", "oldest record kept", info.first_seq},
        {"journal_used_bytes", "gauge", "bytes of the journal in use", info.used_bytes},
        {"journal_size_max_bytes", "gauge", "its quota", info.size_max},
        {"high_term", "gauge",
         "highest primary term seen; versions stay exact in JSON doubles below 8192",
         sequencer_high_term(core->sequencer)},
    };
    for (size_t i = 0; i < COUNT_OF(metrics); i++)
        metric(out, metrics[i].name, metrics[i].kind, metrics[i].help, metrics[i].value);
}
