/* main.c - tandem-replicator: start, signals, orderly stop; one standby a process.
 *
 * Exit codes:
 *     0   after an orderly stop, also of a released standby
 *     1   a person must decide; the message says what
 *     2   it cannot start as it is configured
 *     3   another replicator has taken the standby over: starting this one again would only take it
 *         back, and the two would go on like that (the systemd unit leaves it alone)
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <curl/curl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"
#include "conf/settings.h"
#include "replicator/audit.h"
#include "replicator/endpoints.h"
#include "replicator/health.h"
#include "replicator/history_store.h"
#include "replicator/link.h"
#include "replicator/report.h"
#include "replicator/seed.h"
#include "replicator/standby.h"
#include "replicator/verify.h"

#define EXIT_DECIDE 1
#define EXIT_CANNOT_START 2
#define EXIT_TAKEN 3
#define JOURNAL_AGAIN_US 500000
#define BEGIN_AGAIN_US 1000000

struct program {
    const char *config, *standby_name;
    struct settings *settings, *old_settings;
    const struct standby_settings *conf;
    struct loop *loop;
    struct journal *journal; /* NULL until the proxy has made it */
    struct store *store;
    struct es_client *client, *primary;
    struct link *link;
    struct standby *standby; /* NULL until the journal is there */
    struct health health;
    struct access *access;
    struct history_store history;
    enum standby_state noted; /* the state that the history has heard of */
    struct admin *admin;
    struct loop_timer tick, journal_again;
    struct event signals[3];
    bool said_waiting;
    int result;
};

/* ---- the world of the standby ---- */

static struct program *program_of(struct standby *sb)
{
    return sb->world_arg;
}

static uint64_t world_now(struct standby *sb)
{
    (void)sb;
    return clock_now_us();
}

static uint64_t world_wall(struct standby *sb)
{
    (void)sb;
    return clock_wall_us();
}

static void world_call(struct standby *sb, struct es_call *call)
{
    es_client_call(program_of(sb)->client, call);
}

static void world_primary_call(struct standby *sb, struct es_call *call)
{
    es_client_call(program_of(sb)->primary, call);
}

static enum status world_read(struct standby *sb, uint64_t from, size_t max_records,
                              size_t max_bytes, struct buffer *out, size_t *count)
{
    return journal_read(program_of(sb)->journal, from, max_records, max_bytes, out, count);
}

static void world_journal_info(struct standby *sb, struct journal_info *info)
{
    journal_info(program_of(sb)->journal, info);
}

static enum status world_definitions(struct standby *sb, journal_each_fn each, void *arg)
{
    return journal_scan(program_of(sb)->journal, JOURNAL_DEFINITIONS, SPAN_NONE, each, arg);
}

static bool world_primary_uuid(struct standby *sb, struct buffer *out)
{
    return journal_get(program_of(sb)->journal, JOURNAL_STATE, SPAN("cluster_uuid"), out) ==
           STATUS_OK;
}

static void world_ask_mark(struct standby *sb)
{
    link_ask_mark(program_of(sb)->link);
}

static void world_report(struct standby *sb, uint64_t seq)
{
    link_report(program_of(sb)->link, seq);
}

static enum status world_intents(struct standby *sb, journal_each_fn each, void *arg)
{
    return journal_scan(program_of(sb)->journal, JOURNAL_INTENTS, SPAN_NONE, each, arg);
}

static const struct standby_world world = {.now_us = world_now,
                                           .wall_us = world_wall,
                                           .call = world_call,
                                           .primary_call = world_primary_call,
                                           .read = world_read,
                                           .journal_info = world_journal_info,
                                           .definitions = world_definitions,
                                           .ask_mark = world_ask_mark,
                                           .report = world_report,
                                           .primary_uuid = world_primary_uuid,
                                           .intents = world_intents};

static void on_records(void *arg, uint64_t seq)
{
    struct program *program = arg;
    (void)seq;
    if (program->standby != NULL)
        standby_on_records(program->standby);
}

static void on_mark(void *arg, uint64_t number)
{
    struct program *program = arg;
    if (program->standby != NULL)
        standby_on_mark_number(program->standby, number);
}

static const struct link_ops link_ops = {on_records, on_mark};

/* ---- turns ---- */

/* Adds an entry to the history. REQUEST: who asked for it, or NULL. */
static PRINTF_LIKE(4, 5) void note(struct program *program, const char *what,
                                   const struct admin_request *request, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    history_store_add(&program->history, clock_wall_us(), what, request, text);
}

/* Nobody asked for these now: they came to be. */
static void note_state(struct program *program)
{
    const struct standby *sb = program->standby;
    if (sb->state == program->noted)
        return;
    program->noted = sb->state;
    if (sb->state == STANDBY_RUNNING)
        note(program, "running", NULL,
             "standby %s: session %" PRIu64 ", life %" PRIu64 ", from seq %" PRIu64, sb->name,
             sb->session, sb->life, sb->first_open);
    else if (sb->state == STANDBY_RELEASED)
        note(program, "released", NULL,
             "standby %s: it has all up to seq %" PRIu64 "; in doubt %zu, to look at %zu", sb->name,
             sb->checkpoint, sb->in_doubt_count, json_array_size(sb->release_left));
    else if (sb->state == STANDBY_STOPPED)
        note(program, "stopped", NULL, "standby %s: %s", sb->name, sb->why);
}

static void on_tick(struct loop_timer *timer)
{
    struct program *program = LOOP_OWNER(timer, struct program, tick);
    struct standby *sb = program->standby;
    uint64_t next = standby_tick(sb), now = clock_now_us();
    note_state(program);
    health_tick(&program->health, now);
    if (sb->state == STANDBY_STOPPED && sb->begin_again) {
        standby_free(sb);
        program->standby =
            standby_new(program->settings, program->conf, program->store, &world, program);
        loop_timer_set(timer, BEGIN_AGAIN_US);
        return;
    }
    if (sb->state == STANDBY_STOPPED) {
        program->result = sb->stopped_by == STATUS_STANDBY_TAKEN ? EXIT_TAKEN : EXIT_DECIDE;
        loop_stop(program->loop);
        return;
    }
    loop_timer_set(timer, next > now ? next - now : 1000);
}

/* The proxy makes the journal; wait for it. */
static void open_journal(struct loop_timer *timer)
{
    struct program *program = LOOP_OWNER(timer, struct program, journal_again);
    struct journal_options options = {.folder = program->settings->journal_folder,
                                      .read_only = true};
    char why[500];
    enum status status = journal_open_lmdb(&options, &program->journal, why, sizeof why);
    if (status == STATUS_JOURNAL_MISSING) {
        if (!program->said_waiting)
            log_info("journal", "it is not there yet, waiting for the proxy to make it: %s", why);
        program->said_waiting = true;
        loop_timer_set(timer, JOURNAL_AGAIN_US);
        return;
    }
    if (status != STATUS_OK) {
        log_error("journal", "%s", why);
        program->result = EXIT_CANNOT_START;
        loop_stop(program->loop);
        return;
    }
    program->link = link_new(program->loop, program->settings->journal_folder, program->conf->name,
                             &link_ops, program);
    program->standby =
        standby_new(program->settings, program->conf, program->store, &world, program);
    loop_timer_set(&program->tick, 0);
}

/* ---- admin ---- */

static void answer_history(struct admin_request *request, void *arg)
{
    const struct program *program = arg;
    history_store_answer(request, &program->history);
}

static bool has_standby(struct admin_request *request, const struct program *program)
{
    if (program->standby != NULL)
        return true;
    admin_reply_error(request, 409, "the journal is not there yet: start the proxy");
    return false;
}

static json_t *status_of(struct program *program)
{
    json_t *status = report_status(program->standby, link_is_up(program->link));
    json_object_set_new(json_object_get(status, "standby"), "health",
                        health_report(&program->health, clock_now_us()));
    return status;
}

static void answer_status(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    if (has_standby(request, program))
        admin_reply_json(request, 200, status_of(program));
}

static void answer_metrics(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    struct buffer text = {0};
    if (!has_standby(request, program))
        return;
    report_metrics(program->standby, link_is_up(program->link), &text);
    admin_reply(request, 200, "text/plain; version=0.0.4", buffer_span(&text));
    buffer_fini(&text);
}

static void answer_pause(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    bool pause = span_equal(request->path, SPAN("/_tandem/pause"));
    if (!has_standby(request, program))
        return;
    enum standby_state state = program->standby->state;
    if (state != STANDBY_STARTING && state != STANDBY_RUNNING) {
        admin_reply_error(request, 409, "nothing was changed: the standby is %s",
                          standby_state_name(program->standby));
        return;
    }
    if (!standby_pause(program->standby, pause)) {
        admin_reply_error(request, 500, "it cannot be stored: %s", program->standby->why);
        return;
    }
    note(program, pause ? "pause" : "resume", request, "standby %s", program->conf->name);
    bool under_way = pause && strcmp(standby_state_name(program->standby), "paused") != 0;
    admin_reply_json(request, under_way ? 202 : 200, json_pack("{s:b}", "paused", pause));
}

static bool is_said(struct admin_request *request, const char *name)
{
    struct buffer value = {0};
    bool is =
        admin_parameter(request, name, &value) && span_equal(buffer_span(&value), SPAN("true"));
    buffer_fini(&value);
    return is;
}

static void answer_release(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    char why[600];
    if (!has_standby(request, program))
        return;
    if (!release_begin(program->standby, is_said(request, "force"), why, sizeof why)) {
        admin_reply_error(request, 409, "nothing was changed: %s", why);
        return;
    }
    note(program, "release", request, "standby %s, of what is in the journal up to %" PRIu64 "%s",
         program->conf->name, program->standby->release_to,
         program->standby->release_force ? "; what cannot go in is left out" : "");
    admin_reply_json(request, program->standby->state == STANDBY_RELEASED ? 200 : 202,
                     json_pack("{s:s}", "state", standby_state_name(program->standby)));
}

static void answer_parked(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    struct buffer text = {0};
    if (!has_standby(request, program))
        return;
    buffer_append_cstr(&text, "{\"parked\":");
    parked_list(program->standby, &text);
    buffer_append_char(&text, '}');
    admin_reply(request, 200, "application/json", buffer_span(&text));
    buffer_fini(&text);
}

static void answer_unpark(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    uint64_t seq = 0;
    if (!has_standby(request, program))
        return;
    bool named = admin_parameter_u64(request, "seq", &seq) && seq != 0;
    bool everything = is_said(request, "all");
    if (named == everything) {
        admin_reply_error(request, 400,
                          "nothing was changed: say seq=N (a number above 0), or all=true");
        return;
    }
    bool retry = span_equal(request->path, SPAN("/_tandem/parked/retry"));
    int count = retry ? parked_retry(program->standby, seq) : parked_drop(program->standby, seq);
    if (count > 0)
        note(program, retry ? "retry" : "drop", request, "%d parked rows%s", count,
             named ? ", by their seq" : ", all there were");
    if (count == 0 && named)
        admin_reply_error(request, 404, "no row with seq %llu is parked", (unsigned long long)seq);
    else
        admin_reply_json(request, count < 0 ? 500 : 200,
                         json_pack("{s:i}", retry ? "retried" : "dropped", count));
}

static void answer_seed(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    struct buffer index = {0};
    if (!has_standby(request, program))
        return;
    if (program->standby->state != STANDBY_RUNNING) {
        admin_reply_error(request, 409, "nothing was changed: the standby is %s",
                          standby_state_name(program->standby));
        return;
    }
    bool named = admin_parameter(request, "index", &index);
    bool repeat = is_said(request, "again");
    int count = seed_ask(program->standby, named ? buffer_cstr(&index) : NULL, repeat);
    if (count > 0)
        note(program, "seed", request, "%d indices%s%s%s", count, named ? " called " : "",
             named ? buffer_cstr(&index) : "", repeat ? ", once more" : "");
    if (count == 0)
        admin_reply_error(request, 404, "nothing was changed: no index%s%s %s",
                          named ? " that is called " : "", named ? buffer_cstr(&index) : "",
                          repeat ? "is replicated"
                                 : "is filling; say again=true to copy one once more");
    else
        admin_reply_json(request, count < 0 ? 500 : 200, json_pack("{s:i}", "asked", count));
    buffer_fini(&index);
}

/* How many percent are to be looked at, 0: all. False: it was answered what is wrong. */
static bool sample_said(struct admin_request *request, double *percent)
{
    struct buffer value = {0};
    char *end = NULL;
    *percent = 0;
    if (!admin_parameter(request, "sample", &value))
        return true;
    *percent = strtod(buffer_cstr(&value), &end);
    bool good = value.size != 0 && *end == '\0' && *percent > 0 && *percent <= 100;
    bool repair = is_said(request, "repair");
    buffer_fini(&value);
    if (!good)
        admin_reply_error(request, 400,
                          "nothing was begun: sample is a percentage above 0, up to 100");
    else if (repair)
        admin_reply_error(request, 400,
                          "nothing was begun: a sample is not repaired; verify it all");
    return good && !repair;
}

static void begin_verify(struct admin_request *request, struct program *program)
{
    struct buffer index = {0};
    double sample;
    if (!sample_said(request, &sample))
        return;
    bool named = admin_parameter(request, "index", &index);
    int count = verify_begin(program->standby, named ? buffer_cstr(&index) : NULL,
                             is_said(request, "repair"), is_said(request, "force"), sample);
    if (count > 0)
        note(program, is_said(request, "repair") ? "repair" : "verify", request, "%d indices%s%s%s",
             count, named ? " called " : "", named ? buffer_cstr(&index) : "",
             is_said(request, "force") ? ", whatever the primary looks like" : "");
    if (count == 0)
        admin_reply_error(request, 404, "nothing was begun: no index%s%s is replicated",
                          named ? " that is called " : "", named ? buffer_cstr(&index) : "");
    else if (count == -1)
        admin_reply_error(
            request, 409,
            "nothing was begun: a verification or a repair is under way already; wait "
            "for it, or cancel it");
    else
        admin_reply_json(request, count < 0 ? 500 : 202, json_pack("{s:i}", "indices", count));
    buffer_fini(&index);
}

static void answer_verify(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    if (!has_standby(request, program))
        return;
    if (span_equal(request->method, SPAN("GET")))
        admin_reply_json(request, 200, verify_report(program->standby));
    else if (program->standby->state != STANDBY_RUNNING)
        admin_reply_error(request, 409, "nothing was begun: the standby is %s",
                          standby_state_name(program->standby));
    else
        begin_verify(request, program);
}

static void answer_audit(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    if (!has_standby(request, program))
        return;
    if (span_equal(request->method, SPAN("POST")))
        audit_now(program->standby);
    admin_reply_json(request, 200, audit_report(program->standby));
}

static void answer_verify_cancel(struct admin_request *request, void *arg)
{
    struct program *program = arg;
    if (!has_standby(request, program))
        return;
    if (verify_cancel(program->standby))
        admin_reply_json(request, 200, verify_report(program->standby));
    else
        admin_reply_error(request, 409, "nothing was changed: no verification is under way");
}

static void answer_in_sync(struct admin_request *request, void *arg)
{
    const struct program *program = arg;
    endpoints_answer_standby(request, program->standby);
}

static void answer_ready(struct admin_request *request, void *arg)
{
    const struct program *program = arg;
    endpoints_answer_ready(request, program->standby);
}

static bool start_admin(struct program *program, char *why, size_t why_size)
{
    static const struct {
        enum admin_role role;
        const char *method, *path;
        admin_handler handler;
    } routes[] = {
        {ADMIN_VIEWER, "GET", "/_tandem/status", answer_status},
        {ADMIN_VIEWER, "GET", "/_tandem/metrics", answer_metrics},
        {ADMIN_VIEWER, "GET", "/metrics", answer_metrics},
        {ADMIN_VIEWER, "GET", "/_tandem/history", answer_history},
        {ADMIN_OPERATOR, "POST", "/_tandem/pause", answer_pause},
        {ADMIN_OPERATOR, "POST", "/_tandem/resume", answer_pause},
        {ADMIN_ADMIN, "POST", "/_tandem/release", answer_release},
        {ADMIN_OPERATOR, "POST", "/_tandem/seed", answer_seed},
        {ADMIN_VIEWER, "GET", "/_tandem/audit", answer_audit},
        {ADMIN_OPERATOR, "POST", "/_tandem/audit", answer_audit},
        {ADMIN_VIEWER, "GET", "/_tandem/verify", answer_verify},
        {ADMIN_OPERATOR, "POST", "/_tandem/verify", answer_verify},
        {ADMIN_OPERATOR, "POST", "/_tandem/verify/cancel", answer_verify_cancel},
        {ADMIN_VIEWER, "GET", "/_tandem/parked", answer_parked},
        {ADMIN_OPERATOR, "POST", "/_tandem/parked/retry", answer_unpark},
        {ADMIN_ADMIN, "POST", "/_tandem/parked/drop", answer_unpark},
        {ADMIN_ANYBODY, "GET", "/standby", answer_in_sync},
        {ADMIN_ANYBODY, "GET", "/ready", answer_ready},
        {ADMIN_ANYBODY, "GET", "/live", answer_ready},
    };
    const struct conf_address *at = &program->conf->admin;
    program->access = access_open(program->settings, why, why_size);
    if (program->access != NULL)
        program->admin =
            admin_new(program->loop, program->access, at->host, at->port, why, why_size);
    if (program->admin == NULL)
        return false;
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        admin_route(program->admin, routes[i].role, routes[i].method, routes[i].path,
                    routes[i].handler, program);
    return true;
}

/* ---- signals, start, stop ---- */

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
    struct program *program = arg;
    (void)what;
    log_info("replicator", "%s: ending; it goes on where it was at the next start",
             sig == SIGTERM ? "SIGTERM" : "SIGINT");
    loop_stop(program->loop);
}

static void on_reload(evutil_socket_t sig, short what, void *arg)
{
    struct program *program = arg;
    struct settings *fresh;
    struct buffer changed = {0}, restart = {0};
    char why[1000];
    (void)sig;
    (void)what;
    if (settings_reload(program->settings, program->config, &fresh, &changed, &restart, why,
                        sizeof why) != STATUS_OK) {
        log_error("replicator", "reload: nothing was changed: %s", why);
        return;
    }
    settings_free(program->old_settings); /* a call under way may still look at those before */
    program->old_settings = program->settings;
    program->settings = fresh;
    const struct standby_settings *conf = settings_standby(fresh, program->conf->name);
    if (conf != NULL)
        program->conf = conf;
    if (conf != NULL && program->standby != NULL) {
        program->standby->settings = fresh;
        program->standby->conf = conf;
        replay_on_reload(program->standby);
    }
    if (!access_reload(program->access, fresh, why, sizeof why))
        log_error("replicator", "reload: the admin address stays as it was: %s", why);
    log_set_level((enum log_level)fresh->log_level);
    note(program, "reload", NULL, "%.*s%s%.*s", (int)changed.size, buffer_cstr(&changed),
         restart.size != 0 ? "; after a restart: " : "", (int)restart.size, buffer_cstr(&restart));
    log_info("replicator", "reload: done%s%s%s%s", changed.size != 0 ? "; changed: " : "",
             changed.size != 0 ? buffer_cstr(&changed) : "",
             restart.size != 0 ? "; some settings take effect at a restart: " : "",
             restart.size != 0 ? buffer_cstr(&restart) : "");
    buffer_fini(&changed);
    buffer_fini(&restart);
}

static int cannot_start(const char *why)
{
    log_error("replicator", "cannot start: %s", why);
    return EXIT_CANNOT_START;
}

static void make_client(struct program *program, const char *authorization)
{
    const struct standby_settings *conf = program->conf;
    struct es_client_options options = {
        .urls = (const char *const *)conf->urls.items,
        .urls_count = conf->urls.count,
        .authorization = authorization,
        .ca_file = conf->ca_file,
        .insecure = conf->insecure_skip_verify,
        .connect_timeout_us = 5000000,
        .connections_max = conf->bulks_in_flight + 4,
    };
    program->client = es_client_new(program->loop, &options);
}

/* For seeds. */
static bool make_primary_client(struct program *program, char *why, size_t why_size)
{
    const struct settings *settings = program->settings;
    char *authorization = NULL;
    if (secret_authorization(settings->primary_credentials_file, &authorization, why, why_size) !=
        STATUS_OK)
        return false;
    struct es_client_options options = {
        .urls = (const char *const *)settings->primary_urls.items,
        .urls_count = settings->primary_urls.count,
        .authorization = authorization,
        .ca_file = settings->primary_ca_file,
        .insecure = settings->primary_insecure_skip_verify,
        .connect_timeout_us = settings->primary_connect_timeout,
        .connections_max = settings->seed_pages + 2,
    };
    program->primary = es_client_new(program->loop, &options);
    secret_free(authorization);
    return true;
}

static int run(struct program *program)
{
    const struct standby_settings *conf = program->conf;
    char why[1000];
    char *authorization = NULL;
    if (conf->insecure_skip_verify)
        log_warn("replicator",
                 "the certificate of standby %s is not verified (insecure_skip_verify)",
                 conf->name);
    if (secret_authorization(conf->credentials_file, &authorization, why, sizeof why) !=
            STATUS_OK ||
        store_open_lmdb(conf->folder, conf->size_max, &program->store, why, sizeof why) !=
            STATUS_OK)
        return cannot_start(why);
    history_store_open(&program->history, program->store);
    note(program, "start", NULL, "version " TANDEM_VERSION);
    program->loop = loop_new("replicator");
    make_client(program, authorization);
    health_init(&program->health, program->client);
    secret_free(authorization);
    if (!make_primary_client(program, why, sizeof why) || !start_admin(program, why, sizeof why))
        return cannot_start(why);
    struct event_base *base = loop_base(program->loop);
    evsignal_assign(&program->signals[0], base, SIGTERM, on_stop, program);
    evsignal_assign(&program->signals[1], base, SIGINT, on_stop, program);
    evsignal_assign(&program->signals[2], base, SIGHUP, on_reload, program);
    for (size_t i = 0; i < COUNT_OF(program->signals); i++)
        event_add(&program->signals[i], NULL);
    loop_timer_init(&program->tick, program->loop, on_tick);
    loop_timer_init(&program->journal_again, program->loop, open_journal);
    loop_timer_set(&program->journal_again, 0);
    log_info("replicator", "tandem-replicator %s for standby %s at %s, admin on %s", TANDEM_VERSION,
             conf->name, conf->urls.items[0], conf->admin.text);
    loop_run(program->loop);
    return program->result;
}

static void stop(struct program *program)
{
    if (program->loop == NULL)
        return;
    loop_timer_clear(&program->tick);
    loop_timer_clear(&program->journal_again);
    for (size_t i = 0; i < COUNT_OF(program->signals); i++)
        event_del(&program->signals[i]);
    admin_free(program->admin);
    access_free(program->access);
    standby_free(program->standby);
    link_free(program->link);
    health_fini(&program->health);
    es_client_free(program->client);
    if (program->primary != NULL)
        es_client_free(program->primary);
    store_close(program->store);
    if (program->journal != NULL)
        journal_close(program->journal);
    loop_free(program->loop);
    settings_free(program->settings);
    settings_free(program->old_settings);
}

static int usage(FILE *out)
{
    fprintf(out, "usage: tandem-replicator --config FILE [--standby NAME]\n\n"
                 "Brings one standby cluster up to date from the proxy's journal. NAME may be left "
                 "out when FILE has one standby.\n");
    return out == stdout ? 0 : EXIT_CANNOT_START;
}

static const struct standby_settings *choose_standby(const struct program *program, char *why,
                                                     size_t why_size)
{
    if (program->standby_name == NULL && program->settings->standbys_count == 1)
        return &program->settings->standbys[0];
    if (program->standby_name == NULL) {
        snprintf(why, why_size, "%s has %zu standbys: say which with --standby NAME",
                 program->config, program->settings->standbys_count);
        return NULL;
    }
    const struct standby_settings *conf =
        settings_standby(program->settings, program->standby_name);
    if (conf == NULL)
        snprintf(why, why_size, "%s has no standby called %s", program->config,
                 program->standby_name);
    return conf;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"standby", required_argument, NULL, 's'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static struct program program;
    char why[1000];
    int option;
    while ((option = getopt_long(argc, argv, "c:s:vh", options, NULL)) != -1) {
        if (option == 'v')
            return printf("tandem-replicator %s\n", TANDEM_VERSION) < 0;
        if (option == 'c')
            program.config = optarg;
        else if (option == 's')
            program.standby_name = optarg;
        else
            return usage(option == 'h' ? stdout : stderr);
    }
    if (program.config == NULL || optind != argc)
        return usage(stderr);
    log_init(LOG_LEVEL_INFO, "replicator");
    if (settings_load(program.config, &program.settings, why, sizeof why) != STATUS_OK)
        return cannot_start(why);
    log_set_level((enum log_level)program.settings->log_level);
    program.conf = choose_standby(&program, why, sizeof why);
    if (program.conf == NULL)
        return cannot_start(why);
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int result = run(&program);
    stop(&program);
    return result;
}
