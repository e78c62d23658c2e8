/* report.c - what the replicator says of itself: its status, and counters for Prometheus.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/report.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/settings.h"
#include "base/json_tree.h"
#include "replicator/audit.h"
#include "replicator/seed.h"
#include "replicator/verify.h"

static void problem(json_t *problems, const char *level, const char *what, const char *do_this)
{
    char text[800];
    snprintf(text, sizeof text, "%s", what);
    bytes_mend_utf8(text);
    json_array_append_new(problems,
                          json_pack("{s:s,s:s,s:s}", "level", level, "text", text, "do", do_this));
}

static const char *index_state(const struct life *life)
{
    if (life->stopped || life->blocked)
        return "stopped";
    if (life->filling && life->state == LIFE_READY)
        return "filling";
    return life_state_name(life->state);
}

static const char *index_why(const struct life *life)
{
    if (life->stopped)
        return "it refused a row for good; see tandemctl parked list";
    if (life->blocked)
        return "it takes no writes: a block, a closed index, or missing rights";
    if (life->why != NULL)
        return life->why;
    if (life->aliases_held)
        return "an alias of it waits until an index is seeded, or no other has its name or its "
               "writes";
    if (life->waiting != 0)
        return "rows wait for a mapping that has not come, or cannot be made here";
    return life->filling ? "it had content before Tandem saw it; that content is not here yet" : "";
}

static json_t *index_status(struct standby *sb, const struct life *life)
{
    json_t *json = json_pack("{s:s?, s:I, s:s, s:s, s:I}", "name", life->name, "incarnation",
                             (json_int_t)life->incarnation, "state", index_state(life), "why",
                             index_why(life), "waiting", (json_int_t)life->waiting);
    json_t *seed = seed_report(sb, life);
    if (seed != NULL)
        json_object_set_new(json, "seed", seed);
    return json;
}

/* What is to be done about indices that are filling. */
static void filling_problem(const struct standby *sb, size_t filling, const char *why,
                            json_t *problems)
{
    char text[700];
    if (filling == 0)
        return;
    snprintf(text, sizeof text, "%zu %s content that is not here yet%s%.400s", filling,
             filling == 1 ? "index has" : "indices have",
             why == NULL ? "" : "; the seed waits: ", why == NULL ? "" : why);
    if (sb->settings->seed_mode == SEED_MANUAL)
        problem(problems, "warning", text, "tandemctl seed");
    else if (why != NULL)
        problem(problems, "warning", text, "mend what it waits for; it goes on by itself");
    else
        problem(problems, "notice", text, "it is being seeded: nothing to do but wait");
}

static json_t *indices_status(struct standby *sb, json_t *problems, uint64_t *waiting)
{
    json_t *indices = json_array();
    const char *seed_why = NULL;
    size_t filling = 0;
    char text[700];
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        *waiting += life->waiting;
        bool well = life->state == LIFE_READY && !life->stopped && !life->blocked &&
                    !life->filling && !life->aliases_held && life->waiting == 0;
        if (life->state == LIFE_GONE || well)
            continue;
        filling += life->filling;
        if (seed_why == NULL)
            seed_why = seed_waits_for(sb, life);
        json_array_append_new(indices, index_status(sb, life));
        if (life->stopped || life->blocked || life->state == LIFE_HELD) {
            snprintf(text, sizeof text, "index %s: %.500s", life->name == NULL ? "?" : life->name,
                     index_why(life));
            problem(problems, "error", text,
                    life->stopped
                        ? "tandemctl parked list; mend the cause; tandemctl parked retry, or drop"
                    : life->untranslatable != NULL
                        ? "mend the cause on the primary; it goes on by itself. tandemctl "
                          "migrate-check shows all such"
                        : "mend the cause on the standby; it goes on by itself");
        }
    }
    filling_problem(sb, filling, seed_why, problems);
    return indices;
}

/* Somebody writes past Tandem, or the primary has lost something. */
static void audit_problem(const struct standby *sb, json_t *problems)
{
    char text[600];
    const char *refused = verify_refused(sb);
    if (refused != NULL) {
        snprintf(text, sizeof text,
                 "index %.255s differs, and was not made equal: the primary looks as if it had "
                 "lost data",
                 refused);
        problem(problems, "error", text,
                "GET /_tandem/verify says more; look at the primary; tandemctl repair --apply "
                "--force if it is right");
    }
    if (sb->audit_found == 0)
        return;
    snprintf(text, sizeof text,
             "%" PRIu64
             " documents went past Tandem (or their rows got lost) since this replicator "
             "began, and were brought over",
             sb->audit_found);
    problem(problems, "notice", text, "tandemctl audit says where; find out who writes there");
}

static void standby_problems(struct standby *sb, json_t *problems, bool proxy_up)
{
    char text[700];
    if (sb->state == STANDBY_STOPPED)
        problem(problems, "error", sb->why,
                "the text says what is wrong; start the replicator again after mending it");
    if (sb->away) {
        snprintf(text, sizeof text, "standby %s cannot be reached: %s", sb->conf->name,
                 sb->away_why);
        problem(problems, "error", text,
                "see whether the cluster is up; records are kept for it meanwhile");
    }
    if (sb->alarm[0] != '\0')
        problem(problems, "error", sb->alarm,
                "lift the block or grant the right; it goes on by itself");
    if (sb->objects_why[0] != '\0') {
        snprintf(text, sizeof text, "a definition is refused by the standby: %.600s",
                 sb->objects_why);
        problem(problems, "warning", text,
                "mend what it needs there; it is tried again every few seconds");
    }
    size_t left_out = objects_left_out(sb);
    if (left_out != 0) {
        snprintf(
            text, sizeof text,
            "%zu lifecycle %s of the primary %s not on standby %s: its engine has no such (ILM)",
            left_out, left_out == 1 ? "policy" : "policies", left_out == 1 ? "is" : "are",
            sb->conf->name);
        problem(problems, "notice", text, "give it policies of its own before it is released");
    }
    if (sb->paused) {
        snprintf(text, sizeof text, "tandemctl resume %s", sb->conf->name);
        problem(problems, "notice", "replication is paused by an operator", text);
    }
    if (!proxy_up && sb->state == STANDBY_RUNNING)
        problem(problems, "warning", "the proxy on this host is away",
                "records in its journal are still replayed; see the proxy");
    if (sb->high_term > 8192 * 8 / 10)
        problem(problems, "warning",
                "primary terms are high: versions soon no longer fit a JSON double",
                "clients that read _version as a double lose precision above term 8192");
}

/* Everything up to it is on the standby: rows that wait on disk are not. */
static uint64_t applied_seq(struct standby *sb)
{
    bool running = sb->state != STANDBY_STARTING && sb->first_open != 0;
    uint64_t seq = running ? sb->first_open - 1 : sb->checkpoint;
    uint64_t waiting = waiting_lowest(sb);
    return waiting <= seq ? waiting - 1 : seq;
}

json_t *report_status(struct standby *sb, bool proxy_up)
{
    struct journal_info info;
    json_t *problems = json_array();
    uint64_t waiting = 0;
    sb->world->journal_info(sb, &info);
    standby_problems(sb, problems, proxy_up);
    audit_problem(sb, problems);
    json_t *indices = indices_status(sb, problems, &waiting);
    size_t in_flight = 0;
    for (size_t i = 0; i < sb->lane_count; i++)
        in_flight += sb->lanes[i].count + sb->lanes[i].busy;
    bool running = sb->state != STANDBY_STARTING;
    json_t *standby = json_pack(
        "{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:I, s:f, s:s?}", "name",
        sb->conf->name, "state", standby_state_name(sb), "session", (json_int_t)sb->session, "life",
        (json_int_t)sb->life, "applied_seq", (json_int_t)applied_seq(sb), "read_seq",
        (json_int_t)(running && sb->next_seq != 0 ? sb->next_seq - 1 : sb->checkpoint),
        "journal_last_seq", (json_int_t)info.last_seq, "lag_records",
        (json_int_t)standby_lag_records(sb), "lag_s", (double)standby_lag_us(sb) / 1e6, "waiting",
        (json_int_t)waiting, "parked", (json_int_t)parked_count(sb), "in_flight",
        (json_int_t)in_flight, "rows_per_s", sb->rate, "cluster_uuid", sb->cluster_uuid);
    json_object_set_new(standby, "audit", audit_summary(sb));
    json_object_set_new(standby, "verified", verify_whole(sb));
    struct buffer in_doubt = {0};
    buffer_appendf(&in_doubt, "[%.*s]", (int)sb->in_doubt.size,
                   sb->in_doubt.data == NULL ? "" : sb->in_doubt.data);
    json_object_set_new(standby, "in_doubt", json_tree(buffer_span(&in_doubt)));
    buffer_fini(&in_doubt);
    json_object_set_new(standby, "left",
                        sb->release_left == NULL ? json_array() : json_deep_copy(sb->release_left));
    return json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "program", "tandem-replicator", "version",
                     TANDEM_VERSION, "system", sb->settings->system_name, "standby", standby,
                     "indices", indices, "problems", problems);
}

void report_metrics(struct standby *sb, bool proxy_up, struct buffer *out)
{
    struct journal_info info;
    uint64_t waiting = 0;
    sb->world->journal_info(sb, &info);
    uint64_t filling = 0;
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        waiting += life->waiting;
        filling += life->filling && life->state != LIFE_GONE;
    }
    const struct {
        const char *name, *kind, *help;
        uint64_t value;
    } metrics[] = {
        {"in_sync", "gauge", "1 while the lag is below its limits and nothing is held",
         strcmp(standby_state_name(sb), "in_sync") == 0},
        {"proxy_up", "gauge", "1 while the proxy on this host is connected", proxy_up},
        {"applied_seq", "gauge", "everything up to here is on the standby", applied_seq(sb)},
        {"journal_last_seq", "gauge", "newest record of the journal", info.last_seq},
        {"lag_records", "gauge", "records not on the standby yet", standby_lag_records(sb)},
        {"lag_ms", "gauge", "age of the oldest of them", standby_lag_us(sb) / 1000},
        {"rows_total", "counter", "rows the standby has taken", sb->rows_done},
        {"stale_total", "counter", "rows it had already, or newer", sb->stale},
        {"bulks_total", "counter", "bulks sent", sb->bulks_sent},
        {"retries_total", "counter", "bulks that had to be sent again, whole or in part",
         sb->retries},
        {"waiting", "gauge", "rows that wait for an index or a mapping", waiting},
        {"parked", "gauge", "rows the standby refused for good", parked_count(sb)},
        {"remembered_deletes", "gauge", "deletes remembered against older rows",
         store_count(sb->store, STORE_DELETES)},
        {"window_bytes", "gauge", "memory of rows on their way", sb->window_bytes},
        {"session", "gauge", "session on the standby", sb->session},
        {"filling", "gauge", "indices with content that is not on the standby yet", filling},
        {"audit_clean_age_ms", "gauge",
         "since a look found every operation accounted for; 0: none has",
         sb->audit_clean_us == 0 ? 0 : (sb->world->now_us(sb) - sb->audit_clean_us) / 1000},
        {"audit_found_total", "counter",
         "documents that went past Tandem, or whose rows got lost, and were brought over",
         sb->audit_found},
        {"audit_unexplained_total", "counter", "operations that left no document",
         sb->audit_unexplained},
        {"seed_documents_total", "counter", "documents read from the primary by seeds",
         sb->seed_rows},
        {"seed_bytes_total", "counter", "bytes of them", sb->seed_bytes},
    };
    for (size_t i = 0; i < COUNT_OF(metrics); i++)
        buffer_appendf(out,
                       "# HELP tandem_standby_%s %s\n# TYPE tandem_standby_%s "
                       "%s\ntandem_standby_%s{standby=\"%s\"} %" PRIu64 "\n",
                       metrics[i].name, metrics[i].help, metrics[i].name, metrics[i].kind,
                       metrics[i].name, sb->conf->name, metrics[i].value);
}
