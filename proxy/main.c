/* main.c - tandem-proxy: start, signals, orderly stop.
 *
 * Threads: the main one runs the control loop (follower, doubt, replicators, admin); each worker
 * has a loop of its own; the sequencer has the journal.
 *
 * Exit codes:
 *     0   after an orderly stop
 *     1   a promise could not be kept any more (the disk failed)
 *     2   it cannot start as it is configured
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <curl/curl.h>
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "admin/admin.h"
#include "base/clock.h"
#include "base/log.h"
#include "conf/settings.h"
#include "http/message.h"
#include "proxy/core.h"
#include "proxy/endpoints.h"
#include "proxy/follower.h"
#include "proxy/history_journal.h"
#include "proxy/hold.h"
#include "proxy/orders.h"
#include "proxy/replicators.h"
#include "proxy/report.h"
#include "proxy/trace.h"
#include "proxy/worker.h"

#define EXIT_CANNOT_START 2
#define RETENTION_INTERVAL_US 1000000

struct program {
    const char *config;
    struct settings *settings; /* the newest */
    struct settings **older;   /* owned, and so are they: other threads may be reading them */
    size_t older_count;
    struct core core;
    struct loop *loop;
    struct es_client *client;
    struct workers *workers;
    struct replicators *replicators;
    struct access *access;
    struct history_journal *history;
    struct admin *admin;
    struct report report;
    struct orders orders;
    struct loop_timer tick, retention;
    struct event signals[3];
    pthread_t drainer;
    bool draining;
};

/* ---- the world of the core ---- */

static uint64_t world_now(struct core *core)
{
    (void)core;
    return clock_now_us();
}

static uint64_t world_wall(struct core *core)
{
    (void)core;
    return clock_wall_us();
}

static void world_call(struct core *core, struct es_call *call)
{
    struct program *program = core->world;
    es_client_call(program->client, call);
}

static void world_fatal(struct core *core, enum status status, const char *why)
{
    log_error("proxy", "ending at once, nothing more is acknowledged: %s: %s: %s", why,
              status_text(status), journal_why(core->journal));
    _exit(1);
}

static void world_on_records(struct core *core)
{
    struct program *program = core->world;
    replicators_on_records(program->replicators);
}

/* ---- turns ---- */

static void on_tick(struct loop_timer *timer)
{
    struct program *program = LOOP_OWNER(timer, struct program, tick);
    uint64_t next = core_tick(&program->core), now = clock_now_us();
    loop_timer_set(timer, next > now + 1000 ? next - now : 1000);
}

static void on_retention(struct loop_timer *timer)
{
    struct program *program = LOOP_OWNER(timer, struct program, retention);
    replicators_tick(program->replicators);
    sequencer_look(program->core.sequencer);
    journal_reader_check(program->core.journal);
    loop_timer_set(timer, RETENTION_INTERVAL_US);
}

/* ---- admin ---- */

static void answer_status(struct admin_request *request, void *arg)
{
    admin_reply_json(request, 200, report_status(arg));
}

static void answer_metrics(struct admin_request *request, void *arg)
{
    struct buffer text = {0};
    report_metrics(arg, &text);
    admin_reply(request, 200, "text/plain; version=0.0.4", buffer_span(&text));
    buffer_fini(&text);
}

static bool start_admin(struct program *program, char *why, size_t why_size)
{
    const struct conf_address *at = &program->settings->proxy_admin;
    program->access = access_open(program->settings, why, why_size);
    if (program->access != NULL)
        program->admin =
            admin_new(program->loop, program->access, at->host, at->port, why, why_size);
    if (program->admin == NULL)
        return false;
    program->report = (struct report){&program->core, program->replicators, program->workers,
                                      program->client, clock_now_us()};
    admin_route(program->admin, ADMIN_VIEWER, "GET", "/_tandem/status", answer_status,
                &program->report);
    admin_route(program->admin, ADMIN_VIEWER, "GET", "/_tandem/metrics", answer_metrics,
                &program->report);
    admin_route(program->admin, ADMIN_VIEWER, "GET", "/metrics", answer_metrics, &program->report);
    admin_route(program->admin, ADMIN_VIEWER, "GET", "/_tandem/history", history_journal_answer,
                program->history);
    endpoints_route(program->admin, &program->report);
    program->orders = (struct orders){&program->core, program->history};
    orders_route(program->admin, &program->orders);
    return true;
}

/* ---- signals ---- */

static void *drain_main(void *arg)
{
    struct program *program = arg;
    workers_join(program->workers);
    loop_stop(program->loop);
    return NULL;
}

static void on_stop(evutil_socket_t sig, short what, void *arg)
{
    struct program *program = arg;
    (void)what;
    if (program->draining)
        return;
    program->draining = true;
    log_info("proxy", "%s: draining, what is under way is finished",
             sig == SIGTERM ? "SIGTERM" : "SIGINT");
    core_set_state(&program->core, PROXY_DRAINING);
    hold_end(program->core.hold, "the proxy ends");
    workers_drain(program->workers);
    CHECK(pthread_create(&program->drainer, NULL, drain_main, program) == 0);
}

static void log_lines(const char *what, const struct buffer *lines)
{
    struct span rest = buffer_span(lines);
    while (rest.size != 0) {
        const char *end = memchr(rest.data, '\n', rest.size);
        size_t size = end == NULL ? rest.size : (size_t)(end - rest.data);
        log_info("proxy", "reload: %s%.*s", what, (int)size, rest.data);
        rest = end == NULL ? SPAN_NONE : span_of(end + 1, rest.size - size - 1);
    }
}

static void note_reload(struct program *program, const struct buffer *changed,
                        const struct buffer *restart)
{
    struct buffer text = {0};
    if (changed->size == 0 && restart->size == 0)
        buffer_append_cstr(&text, "nothing was changed");
    buffer_append_span(&text, buffer_span(changed));
    if (restart->size != 0)
        buffer_appendf(&text, "after a restart: %.*s", (int)restart->size, restart->data);
    for (size_t i = 0; i < text.size; i++) /* a line for each, and none in a sentence */
        if (text.data[i] == '\n')
            text.data[i] = ';';
    history_journal_add(program->history, "reload", buffer_cstr(&text), NULL, NULL);
    buffer_fini(&text);
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
        log_error("proxy", "reload: nothing was changed: %s", why);
        return;
    }
    program->older =
        bytes_realloc(program->older, (program->older_count + 1) * sizeof(struct settings *));
    program->older[program->older_count++] = program->settings;
    program->settings = fresh;
    atomic_store(&program->core.settings, fresh);
    workers_reload(program->workers, fresh);
    log_set_level((enum log_level)fresh->log_level);
    log_lines("", &changed);
    log_lines("takes effect after a restart: ", &restart);
    if (!access_reload(program->access, fresh, why, sizeof why))
        log_error("proxy", "reload: the admin address stays as it was: %s", why);
    log_info("proxy", "reload: done");
    note_reload(program, &changed, &restart);
    buffer_fini(&changed);
    buffer_fini(&restart);
}

static void catch_signals(struct program *program)
{
    struct event_base *base = loop_base(program->loop);
    evsignal_assign(&program->signals[0], base, SIGTERM, on_stop, program);
    evsignal_assign(&program->signals[1], base, SIGINT, on_stop, program);
    evsignal_assign(&program->signals[2], base, SIGHUP, on_reload, program);
    for (size_t i = 0; i < COUNT_OF(program->signals); i++)
        event_add(&program->signals[i], NULL);
}

/* ---- start ---- */

static int cannot_start(const char *why)
{
    log_error("proxy", "cannot start: %s", why);
    return EXIT_CANNOT_START;
}

/* Opens the journal; makes one only where none can have been lost. */
static enum status open_journal(struct program *program, const char *authorization, char *why,
                                size_t why_size)
{
    const struct settings *settings = program->settings;
    struct journal_options options = {
        .folder = settings->journal_folder, .size_max = settings->journal_size_max, .sync = true};
    char marker[4096], trace_why[400];
    snprintf(marker, sizeof marker, "%s/adopt", settings->journal_folder);
    enum status status = journal_open_lmdb(&options, &program->core.journal, why, why_size);
    bool adopt = unlink(marker) == 0;
    if (status != STATUS_JOURNAL_MISSING)
        return status;
    switch (adopt ? TRACE_NONE : trace_look(settings, authorization, trace_why, sizeof trace_why)) {
    case TRACE_NONE:
        options.create = true;
        if (adopt)
            log_warn(
                "proxy",
                "adopted: starting on a new, empty journal; every index with content is filling");
        return journal_open_lmdb(&options, &program->core.journal, why, why_size);
    case TRACE_FOUND:
        snprintf(why, why_size,
                 "there is no journal in %s, but the primary was written to through journal %s: it "
                 "is lost, or this is "
                 "the wrong folder. To go on without it: tandemctl adopt",
                 settings->journal_folder, trace_why);
        return STATUS_JOURNAL_MISSING;
    case TRACE_AWAY:
        snprintf(why, why_size,
                 "there is no journal in %s yet, and the primary cannot be asked whether there was "
                 "one: %s",
                 settings->journal_folder, trace_why);
        return STATUS_CLUSTER_AWAY;
    }
    return STATUS_JOURNAL_MISSING;
}

static void harden(void)
{
    struct rlimit files;
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_DUMPABLE, 0); /* credentials pass through this memory */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void make_world(struct program *program, const char *authorization)
{
    const struct settings *settings = program->settings;
    struct es_client_options options = {
        .urls = (const char *const *)settings->primary_urls.items,
        .urls_count = settings->primary_urls.count,
        .authorization = authorization,
        .ca_file = settings->primary_ca_file,
        .insecure = settings->primary_insecure_skip_verify,
        .connect_timeout_us = settings->primary_connect_timeout,
        .retry_interval_us = settings->primary_retry_interval,
        .connections_max = 8,
    };
    program->client = es_client_new(program->loop, &options);
    program->core.control = program->loop;
    program->core.now_us = world_now;
    program->core.wall_us = world_wall;
    program->core.post = loop_post;
    program->core.defer = loop_defer;
    program->core.call = world_call;
    program->core.fatal = world_fatal;
    program->core.world = program;
    program->core.on_records = world_on_records;
    atomic_store(&program->core.settings, settings);
}

static int run(struct program *program)
{
    char why[1000];
    char *authorization = NULL;
    if (program->settings->primary_insecure_skip_verify)
        log_warn("primary", "its certificate is not verified (primary.insecure_skip_verify)");
    if (secret_authorization(program->settings->primary_credentials_file, &authorization, why,
                             sizeof why) != STATUS_OK ||
        open_journal(program, authorization, why, sizeof why) != STATUS_OK)
        return cannot_start(why);
    program->loop = loop_new("control");
    make_world(program, authorization);
    secret_free(authorization);
    program->history = history_journal_new(&program->core);
    if (core_init(&program->core, why, sizeof why) != STATUS_OK ||
        workers_open(&program->workers, program->settings, &program->core, why, sizeof why) !=
            STATUS_OK ||
        replicators_new(&program->core, &program->replicators, why, sizeof why) != STATUS_OK ||
        !start_admin(program, why, sizeof why))
        return cannot_start(why);
    catch_signals(program);
    sequencer_start(program->core.sequencer);
    history_journal_add(program->history, "start", "version " TANDEM_VERSION, NULL, NULL);
    workers_start(program->workers);
    loop_timer_init(&program->tick, program->loop, on_tick);
    loop_timer_init(&program->retention, program->loop, on_retention);
    loop_timer_set(&program->tick, 0);
    loop_timer_set(&program->retention, RETENTION_INTERVAL_US);
    log_info("proxy", "tandem-proxy %s listens on %s, admin on %s, journal %s in %s",
             TANDEM_VERSION, program->settings->proxy_listen.text,
             program->settings->proxy_admin.text, program->core.journal_text,
             program->settings->journal_folder);
    loop_run(program->loop);
    return 0;
}

static void stop(struct program *program)
{
    pthread_join(program->drainer, NULL);
    sequencer_stop(program->core.sequencer);
    loop_turn(program->loop, false); /* what the last commits posted */
    loop_timer_clear(&program->tick);
    loop_timer_clear(&program->retention);
    for (size_t i = 0; i < COUNT_OF(program->signals); i++)
        event_del(&program->signals[i]);
    admin_free(program->admin);
    access_free(program->access);
    replicators_free(program->replicators);
    uint64_t open = sequencer_open_intents(program->core.sequencer);
    core_fini(&program->core);
    es_client_free(program->client);
    workers_free(program->workers);
    history_journal_free(program->history);
    journal_close(program->core.journal);
    loop_free(program->loop);
    settings_free(program->settings);
    for (size_t i = 0; i < program->older_count; i++)
        settings_free(program->older[i]);
    free(program->older);
    log_info("proxy", "ended (open_intents=%llu)", (unsigned long long)open);
}

static int usage(FILE *out)
{
    fprintf(out, "usage: tandem-proxy --config FILE\n\n"
                 "The proxy in front of the primary cluster. Every setting is in FILE; see "
                 "conf/tandem.yml.\n"
                 "  SIGTERM  finish what is under way, then end    SIGHUP  read FILE again\n");
    return out == stdout ? 0 : EXIT_CANNOT_START;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    static struct program program;
    char why[1000];
    int option;
    while ((option = getopt_long(argc, argv, "c:vh", options, NULL)) != -1) {
        if (option == 'v')
            return printf("tandem-proxy %s\n", TANDEM_VERSION) < 0;
        if (option != 'c')
            return usage(option == 'h' ? stdout : stderr);
        program.config = optarg;
    }
    if (program.config == NULL || optind != argc)
        return usage(stderr);
    log_init(LOG_LEVEL_INFO, "proxy");
    if (settings_load(program.config, &program.settings, why, sizeof why) != STATUS_OK)
        return cannot_start(why);
    log_set_level((enum log_level)program.settings->log_level);
    harden();
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int result = run(&program);
    if (result == 0)
        stop(&program);
    return result;
}
