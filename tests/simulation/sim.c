/* sim.c - the seeded simulation: seeds, jobs, the command line.
 *
 * sim --seeds FROM COUNT [--jobs N]: runs COUNT histories, in N processes; stops at the first that
 * fails.
 * sim --find FROM COUNT [--jobs N]: for planted bugs, succeeds when one of them fails.
 * sim --seed N [--verbose]: one history; --verbose prints it.
 *
 * Histories run in children, some hundred in each: a history that crashes the program is a failure
 * of its seed, and what the crashes of the simulated proxies leak goes with the child.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/settings.h"
#include "replicator/standby.h"
#include "replicator/verify.h"
#include "sim.h"

#define SEEDS_PER_CHILD 200
#define JOBS_MAX 16
#define HISTORY_MAX_US                                                                             \
    (900 * SECOND) /* of work, with the longest waits of the watch list; jumps come on top */
#define QUIET_MAX_US (1200 * SECOND)
#define LOOK_US (800 * MS)

/* Crashes of the simulated proxy leak what was between its threads. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}

/* ---- one history ---- */

static struct settings *make_settings(struct sim *sim)
{
    struct settings *settings = settings_default();
    struct standby_settings *sb = &settings->standbys[0];
    settings->follower_interval = sim_chance(sim, 500) ? 200 * MS : SECOND;
    settings->follower_request_timeout = 3 * SECOND;
    settings->proxy_metadata_timeout = 3 * SECOND;
    settings->proxy_hold_timeout = SECOND;
    sb->lanes = 1 + sim_below(sim, 8);
    sb->bulk_records = 1 + sim_below(sim, 10);
    sb->bulks_in_flight = 1 + sim_below(sim, 4);
    sb->request_timeout = 5 * SECOND;
    sb->backoff_max = 2 * SECOND;
    settings->audit_interval = 5 * SECOND + sim_below(sim, 25 * SECOND);
    settings->audit_verify_interval = 3 * SECOND;
    settings->seed_pages = 1 + sim_below(sim, 4);
    settings->seed_rate_max = sim_chance(sim, 700) ? 0 : 1 + sim_below(sim, 20);
    return settings;
}

static void sim_init(struct sim *sim, uint64_t seed, bool verbose)
{
    struct model_options options = {.name = "a", .seed = seed * 2};
    struct journal_id id = {{0}};
    memset(sim, 0, sizeof *sim);
    sim_present = sim;
    sim->seed = seed;
    sim->random = seed * 0x2545f4914f6cdd1d + 1;
    sim->verbose = verbose;
    sim->now_us = SECOND;
    sim->wall_offset_us = WALL_AT_START;
    sim->ops_tail = &sim->ops;
    faults_plan(sim);
    sim->settings = make_settings(sim);
    sim->clusters[PRIMARY] = model_cluster_new(&options);
    options = (struct model_options){.name = "b", .seed = seed * 2 + 1};
    sim->clusters[STANDBY] = model_cluster_new(&options);
    sim->disk = memory_disk_new();
    put_u64be(id.bytes + 8, seed + 1);
    memory_disk_identify(sim->disk, &id);
    sim->store_memory = store_memory_new();
    checks_new(sim);
    checks_observe(sim, PRIMARY);
    checks_observe(sim, STANDBY);
}

static void sim_fini(struct sim *sim)
{
    replicator_free(sim);
    proxy_free(sim);
    sim_drop_events(sim);
    clients_free(sim);
    checks_free(sim);
    for (int side = 0; side < SIDES; side++)
        model_cluster_free(sim->clusters[side]);
    if (sim->snapshot != NULL)
        model_cluster_free(sim->snapshot);
    memory_disk_free(sim->disk);
    store_memory_free(sim->store_memory);
    settings_free(sim->settings);
}

static bool failed(const struct sim *sim)
{
    return *sim->failure != '\0';
}

static const char *busy(struct sim *sim)
{
    const char *why = proxy_busy(sim);
    if (why == NULL && sim->flights != 0)
        why = "requests are under way";
    if (why == NULL)
        why = replicator_busy(sim);
    if (why != NULL)
        sim->rest_us = 0;
    else if (sim->rest_us == 0)
        sim->rest_us = sim->now_us;
    if (why == NULL && sim->standby->audit_clean_us <= sim->rest_us)
        why = "the audit has not found everything in order";
    return why;
}

static void run_until(struct sim *sim, uint64_t at_us)
{
    while (!failed(sim) && sim->heap_size != 0 && sim->heap[0].at_us <= at_us)
        (void)sim_step(sim);
    if (sim->now_us < at_us)
        sim->now_us = at_us;
}

/* C8: it becomes quiet. The two looks apart are for what only the next read of the state shows. */
static void run_until_quiet(struct sim *sim)
{
    uint64_t end = sim->now_us + QUIET_MAX_US;
    unsigned quiet = 0;
    const char *why = NULL;
    while (!failed(sim) && quiet < 6) {
        run_until(sim, sim->now_us + LOOK_US);
        why = busy(sim);
        quiet = why == NULL ? quiet + 1 : 0;
        if (sim->now_us > end)
            sim_fail(sim, "C8", "it does not become quiet: %s", why == NULL ? "?" : why);
    }
}

static void run_work(struct sim *sim)
{
    uint64_t end = sim->now_us + HISTORY_MAX_US;
    while (!failed(sim) && (sim->ops_left != 0 || sim->ops_waiting != 0 || sim->faults_left != 0)) {
        if (!sim_step(sim))
            break;
        if (sim->now_us > end && !sim->plan.jumps)
            sim_fail(sim, "C8", "a client waits for ever");
    }
}

/* C6: everything again from the first record. The replicator keeps its registry, so that lives stay
 * what they are. */
static void replay_all(struct sim *sim)
{
    struct store *store;
    sim->rewinds = true;
    replicator_crash(sim);
    CHECK(store_open_memory(sim->store_memory, &store) == STATUS_OK);
    CHECK(store_begin(store) == STATUS_OK);
    CHECK(store_delete(store, STORE_STATE, SPAN("checkpoint")) == STATUS_OK);
    CHECK(store_commit(store) == STATUS_OK);
    store_close(store);
    sim_say(sim, "everything is replayed");
    replicator_start(sim);
    run_until_quiet(sim);
    if (!failed(sim))
        checks_at_end(sim);
    if (failed(sim))
        snprintf(sim->checker, sizeof sim->checker, "C6");
}

/* Definitions that a verification found to differ: nobody spoils any. */
static void check_definitions(struct sim *sim, const json_t *found)
{
    static const char *const kinds[] = {"missing", "extra", "different", "in_flight"};
    char *text = json_dumps(found, JSON_COMPACT | JSON_ENCODE_ANY);
    for (size_t k = 0; k < COUNT_OF(kinds); k++)
        if (!failed(sim) && json_integer_value(json_object_get(found, kinds[k])) != 0)
            sim_fail(sim, "C3", "equal definitions are said to differ: %s", text);
    free(text);
}

/* Runs a verification, or a repair, to its end; how many documents it found to differ, and LEFT as
 * they were. */
static json_int_t run_verify(struct sim *sim, bool repair, double sample, json_int_t *left)
{
    static const char *const kinds[] = {"missing", "extra", "different"};
    uint64_t end = sim->now_us + QUIET_MAX_US;
    json_int_t found = *left = 0;
    json_t *index;
    size_t i;
    if (verify_begin(sim->standby, NULL, repair, true, sample) <= 0)
        return 0; /* there is no index */
    json_t *report = verify_report(sim->standby);
    while (!failed(sim) &&
           strcmp(json_string_value(json_object_get(report, "state")), "running") == 0) {
        json_decref(report);
        run_until(sim, sim->now_us + LOOK_US);
        report = verify_report(sim->standby);
        if (sim->now_us > end)
            sim_fail(sim, "C8", "a verification does not end: %s",
                     json_string_value(json_object_get(report, "why")));
    }
    json_array_foreach(json_object_get(report, "indices"), i, index)
    {
        for (size_t k = 0; k < COUNT_OF(kinds); k++)
            found += json_integer_value(json_object_get(index, kinds[k]));
        *left += json_integer_value(json_object_get(index, "left"));
        check_definitions(sim, json_object_get(index, "definitions"));
    }
    if (!failed(sim) && json_object_get(report, "objects") == NULL)
        sim_fail(sim, "C3", "a verification did not look at templates and pipelines");
    check_definitions(sim, json_object_get(report, "objects"));
    json_decref(report);
    return found;
}

/* Equal clusters are found to be equal; what somebody does to the standby is found, and mended,
 * unless the standby is ahead of the primary then. */
static void verify_all(struct sim *sim)
{
    json_int_t left, found = run_verify(sim, false, 0, &left);
    if (found == 0 && !failed(sim))
        found = run_verify(sim, false, 1 + (double)sim_below(sim, 99), &left);
    if (found != 0)
        sim_fail(sim, "C3", "equal clusters are said to differ in %d documents", (int)found);
    size_t spoilt = failed(sim) ? 0 : clients_spoil_standby(sim);
    found = failed(sim) ? 0 : run_verify(sim, false, 100, &left);
    if (!failed(sim) && (size_t)found != spoilt)
        sim_fail(sim, "C3", "%zu documents of the standby were spoilt, a sample of all finds %d",
                 spoilt, (int)found);
    found = failed(sim) ? 0 : run_verify(sim, true, 0, &left);
    if (!failed(sim) && (size_t)found != spoilt)
        sim_fail(sim, "C3", "%zu documents of the standby were spoilt, %d are found", spoilt,
                 (int)found);
    json_int_t still = failed(sim) ? 0 : run_verify(sim, false, 0, &(json_int_t){0});
    if (!failed(sim) && still != left)
        sim_fail(sim, "C3", "a repair left %d differences, and there are %d", (int)left,
                 (int)still);
    if (!failed(sim) && left == 0)
        checks_after_repair(sim);
}

static void run_history(struct sim *sim)
{
    clients_setup(sim);
    proxy_start(sim);
    replicator_start(sim);
    if (sim_chance(sim, 500)) { /* what is there is known for so long that lives are certain */
        uint64_t interval = sim->settings->follower_interval;
        sim->settings->follower_interval = 5 * SECOND;
        run_until(sim, sim->now_us + 65 * SECOND);
        sim->settings->follower_interval = interval;
    }
    clients_start(sim);
    faults_start(sim);
    run_work(sim);
    faults_heal(sim);
    run_until_quiet(sim);
    if (!failed(sim))
        checks_at_end(sim);
    if (!failed(sim) && sim_chance(sim, 300))
        verify_all(sim);
    else if (!failed(sim) && sim_chance(sim, 300))
        replay_all(sim);
}

static const char *program;

static void print_failure(struct sim *sim)
{
    printf("seed %" PRIu64 " fails: %s: %s\n", sim->seed, sim->checker, sim->failure);
    checks_explain(sim);
    printf("repeat with: %s --seed %" PRIu64 " --verbose\n", program, sim->seed);
    fflush(stdout);
}

static bool run_seed(uint64_t seed, bool verbose, bool print, char checker[8])
{
    static struct sim sim;
    sim_init(&sim, seed, verbose);
    run_history(&sim);
    bool ok = !failed(&sim);
    memcpy(checker, sim.checker, sizeof sim.checker);
    if (!ok && print)
        print_failure(&sim);
    if (verbose)
        printf("seed %" PRIu64 ": %s, %zu requests, %" PRIu64 " events, %.1f s\n", seed,
               ok ? "ok" : "failed", sim.op_count, sim.events_run, (double)sim.now_us / 1e6);
    sim_fini(&sim);
    return ok;
}

/* ---- many ---- */

/* Shared by all processes of a run. */
struct board {
    _Atomic uint64_t next; /* seed */
    uint64_t end;
    _Atomic uint64_t done, failures, first_failure;
    char checker[8];                    /* of the first failure */
    _Atomic uint64_t running[JOBS_MAX]; /* seed + 1 */
    bool quiet;
};

static void child_main(struct board *board, size_t job)
{
    for (int i = 0; i < SEEDS_PER_CHILD; i++) {
        uint64_t seed = atomic_fetch_add(&board->next, 1);
        if (seed >= board->end || atomic_load(&board->failures) != 0)
            break;
        atomic_store(&board->running[job], seed + 1);
        char checker[8];
        if (!run_seed(seed, false, !board->quiet, checker) &&
            atomic_fetch_add(&board->failures, 1) == 0) {
            memcpy(board->checker, checker, sizeof checker);
            atomic_store(&board->first_failure, seed);
        }
        atomic_fetch_add(&board->done, 1);
    }
    atomic_store(&board->running[job], 0);
    fflush(stdout);
    _exit(0);
}

static pid_t child_start(struct board *board, size_t job)
{
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        child_main(board, job);
    return pid;
}

static void child_ended(struct board *board, size_t job, int how)
{
    uint64_t seed = atomic_load(&board->running[job]);
    if (how == 0)
        return;
    if (!board->quiet)
        printf("seed %" PRIu64
               " fails: C11: the program died of signal %d\nrepeat with: %s --seed %" PRIu64
               " --verbose\n",
               seed - 1, WTERMSIG(how), program, seed - 1);
    if (atomic_fetch_add(&board->failures, 1) == 0) {
        strcpy(board->checker, "C11");
        atomic_store(&board->first_failure, seed - 1);
    }
    atomic_store(&board->running[job], 0);
}

/* Runs COUNT histories from seed FROM on, in JOBS processes at once, until one fails. */
static struct board *run_seeds(uint64_t from, uint64_t count, size_t jobs, bool quiet)
{
    struct board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[JOBS_MAX];
    size_t running = 0;
    CHECK(board != MAP_FAILED);
    atomic_store(&board->next, from);
    board->end = from + count;
    board->quiet = quiet;
    for (size_t job = 0; job < jobs; job++, running++)
        pids[job] = child_start(board, job);
    while (running != 0) {
        int how;
        pid_t pid = wait(&how);
        size_t job = 0;
        while (job < jobs && pids[job] != pid)
            job++;
        if (job == jobs)
            continue;
        child_ended(board, job, how);
        if (atomic_load(&board->next) < board->end && atomic_load(&board->failures) == 0)
            pids[job] = child_start(board, job);
        else
            running--;
    }
    return board;
}

static int usage(FILE *out)
{
    fprintf(out,
            "usage: %s --seeds FROM COUNT [--jobs N] | --find FROM COUNT [--jobs N] | "
            "--seed N [--verbose]\n",
            program);
    return out == stdout ? 0 : 2;
}

static double seconds_since(const struct timespec *begun)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begun->tv_sec) + (double)(now.tv_nsec - begun->tv_nsec) / 1e9;
}

static int report(const struct board *board, double seconds, bool find)
{
    uint64_t done = atomic_load(&board->done), failures = atomic_load(&board->failures);
    if (find && failures != 0)
        printf("found by %s with seed %" PRIu64 ", after %" PRIu64 " histories and %.1f s\n",
               board->checker, atomic_load(&board->first_failure), done, seconds);
    else
        printf("%" PRIu64 " histories in %.1f s, %.0f a second; %" PRIu64 " failed\n", done,
               seconds, (double)done / (seconds + 1e-9), failures);
    return (failures != 0) == find ? 0 : 1;
}

int main(int argc, char **argv)
{
    uint64_t from = 0, count = 0, jobs = 1, seed = 0;
    bool one = false, verbose = false, find = false, ok = true;
    struct timespec begun;
    char checker[8];
    program = argv[0];
    for (int i = 1; i < argc && ok; i++) {
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            one = ok = span_to_u64(span_cstr(argv[++i]), &seed);
        } else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc) {
            ok = span_to_u64(span_cstr(argv[++i]), &jobs) && jobs > 0 && jobs <= JOBS_MAX;
        } else if ((strcmp(argv[i], "--seeds") == 0 || strcmp(argv[i], "--find") == 0) &&
                   i + 2 < argc) {
            find = strcmp(argv[i], "--find") == 0;
            ok = span_to_u64(span_cstr(argv[i + 1]), &from) &&
                 span_to_u64(span_cstr(argv[i + 2]), &count);
            i += 2;
        } else {
            ok = false;
        }
    }
    if (!ok || (!one && count == 0))
        return usage(stderr);
    log_init(LOG_LEVEL_DEBUG, "sim");
    log_to(verbose ? STDOUT_FILENO : STDERR_FILENO, false);
    atomic_store(&log_threshold, verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR + 1);
    if (verbose)
        setvbuf(stdout, NULL, _IONBF, 0);
    if (one)
        return run_seed(seed, verbose, true, checker) ? 0 : 1;
    clock_gettime(CLOCK_MONOTONIC, &begun);
    const struct board *board = run_seeds(from, count, jobs, find);
    return report(board, seconds_since(&begun), find);
}
