/* status.c - tandemctl status: what an operator sees first.
 *
 * It asks every program for its status (docs/status.md) and shows what came; who does not answer is
 * shown as that, and never holds up the others for longer than ask.c's bounds. A field that is
 * missing or null is shown as `-`: this view must work while something is broken, and with another
 * version of the daemons.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <getopt.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#define COLUMNS_MAX 10

/* Everything that was asked. */
struct view {
    const struct settings *settings;
    struct answer proxy;
    struct answer *standbys; /* owned: as settings->standbys */
};

static void view_ask(struct view *view, const struct settings *settings)
{
    view->settings = settings;
    view->standbys = bytes_zalloc((settings->standbys_count + 1) * sizeof *view->standbys);
    ask(&settings->proxy_admin, "GET", "/_tandem/status", &view->proxy);
    for (size_t i = 0; i < settings->standbys_count; i++)
        ask(&settings->standbys[i].admin, "GET", "/_tandem/status", &view->standbys[i]);
}

static void view_fini(struct view *view)
{
    answer_fini(&view->proxy);
    for (size_t i = 0; i < view->settings->standbys_count; i++)
        answer_fini(&view->standbys[i]);
    free(view->standbys);
}

/* DONE when all answered, UNREACHABLE when nobody did. */
static enum ctl_exit view_exit(const struct view *view)
{
    size_t answered = view->proxy.exit == CTL_DONE, count = view->settings->standbys_count;

    for (size_t i = 0; i < count; i++)
        answered += view->standbys[i].exit == CTL_DONE;
    if (answered == count + 1)
        return CTL_DONE;
    return answered == 0 ? CTL_UNREACHABLE : CTL_INCOMPLETE;
}

/* ------------------------------------------------------------------------------------------------
 * Values, readable. Each returns text that is valid until the sixteenth call after it. */

static char *scratch(void)
{
    static char texts[16][64];
    static unsigned next;

    return texts[next++ % COUNT_OF(texts)];
}
#define SCRATCH_SIZE 64

/* 88412019 as 88,412,019. */
static const char *grouped(uint64_t value)
{
    char digits[24], *out = scratch(), *to = out;
    int size = snprintf(digits, sizeof digits, "%" PRIu64, value);

    for (int i = 0; i < size; i++) {
        if (i > 0 && (size - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return out;
}

static const char *number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    if (!json_is_number(value) || json_number_value(value) < 0)
        return "-";
    return grouped(json_is_integer(value) ? (uint64_t)json_integer_value(value)
                                          : (uint64_t)json_number_value(value));
}

static const char *duration(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    double seconds = json_number_value(value);
    char *out = scratch();

    if (!json_is_number(value) || seconds < 0)
        return "-";
    if (seconds < 10)
        snprintf(out, SCRATCH_SIZE, "%.2gs", seconds);
    else if (seconds < 120)
        snprintf(out, SCRATCH_SIZE, "%.0fs", seconds);
    else if (seconds < 7200)
        snprintf(out, SCRATCH_SIZE, "%.0fm", seconds / 60);
    else if (seconds < 172800)
        snprintf(out, SCRATCH_SIZE, "%.0fh", seconds / 3600);
    else
        snprintf(out, SCRATCH_SIZE, "%.0fd", seconds / 86400);
    return out;
}

static const char *bytes(const json_t *object, const char *name)
{
    static const char *const units[] = {"B", "KB", "MB", "GB", "TB"};
    const json_t *value = json_object_get(object, name);
    double amount = json_number_value(value);
    char *out = scratch();
    size_t unit = 0;

    if (!json_is_number(value))
        return "-";
    for (; amount >= 1024 && unit + 1 < COUNT_OF(units); unit++)
        amount /= 1024;
    snprintf(out, SCRATCH_SIZE, unit == 0 || amount >= 100 ? "%.0f %s" : "%.1f %s", amount,
             units[unit]);
    return out;
}

/* ------------------------------------------------------------------------------------------------
 * A table with columns as wide as they must be. */

struct table {
    char **cells; /* owned, each too: COLUMNS_MAX per row */
    size_t rows;
};

static void table_row(struct table *table, const char *const *cells, size_t count)
{
    CHECK(count <= COLUMNS_MAX);
    table->cells = bytes_realloc(table->cells, (table->rows + 1) * COLUMNS_MAX * sizeof(char *));
    for (size_t i = 0; i < COLUMNS_MAX; i++)
        table->cells[table->rows * COLUMNS_MAX + i] = bytes_strdup(i < count ? cells[i] : "");
    table->rows++;
}
#define TABLE_ROW(table, ...)                                                                      \
    table_row(table, (const char *const[]){__VA_ARGS__},                                           \
              COUNT_OF(((const char *const[]){__VA_ARGS__})))

/* Control characters of a name would move the cursor of whoever looks. */
static void print_plain(const char *text, size_t width)
{
    size_t size = 0;

    for (; *text != '\0'; text++) {
        bool continued = ((unsigned char)*text & 0xc0) == 0x80;
        putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
        size += !continued;
    }
    for (; size < width; size++)
        putchar(' ');
}

static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void table_print(struct table *table)
{
    size_t widths[COLUMNS_MAX] = {0}, last = 0;

    for (size_t i = 0; i < table->rows * COLUMNS_MAX; i++) {
        size_t width = width_of(table->cells[i]);
        if (width > widths[i % COLUMNS_MAX])
            widths[i % COLUMNS_MAX] = width;
        if (width > 0 && i % COLUMNS_MAX > last)
            last = i % COLUMNS_MAX;
    }
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t i = 0; i <= last; i++)
            print_plain(table->cells[row * COLUMNS_MAX + i], i == last ? 0 : widths[i] + 2);
        putchar('\n');
    }
    for (size_t i = 0; i < table->rows * COLUMNS_MAX; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){NULL, 0};
}

/* ------------------------------------------------------------------------------------------------
 * The parts of the view. */

static const char *node_health(const json_t *primary)
{
    const json_t *nodes = json_object_get(primary, "nodes"), *node;
    size_t at, healthy = 0, count = json_array_size(nodes);
    char *out = scratch();

    json_array_foreach(nodes, at, node) healthy += json_is_true(json_object_get(node, "healthy"));
    snprintf(out, SCRATCH_SIZE, "%zu/%zu nodes", healthy, count);
    return count == 0 ? "-" : out;
}

static void show_standby(struct table *table, const struct standby_settings *settings,
                         const struct answer *answer)
{
    const json_t *standby = json_object_get(answer->json, "standby");
    char role[80], lag[140];

    if (answer->exit != CTL_DONE) {
        TABLE_ROW(table, settings->name, "standby/unknown", "no replicator", "-", "-", "-", "-",
                  "-");
        return;
    }
    const char *state = json_text(standby, "state", "unknown");
    snprintf(role, sizeof role, "standby/%s", state);
    snprintf(lag, sizeof lag, "%s / %s", number(standby, "lag_records"),
             duration(standby, "lag_s"));
    TABLE_ROW(table, settings->name, role, strcmp(state, "away") == 0 ? "away" : "ok",
              number(standby, "applied_seq"), lag, number(standby, "waiting"),
              number(standby, "parked"), number(standby, "rows_per_s"));
}

static void show_clusters(const struct view *view)
{
    const json_t *primary = json_object_get(view->proxy.json, "primary");
    struct table table = {NULL, 0};
    char health[100];

    TABLE_ROW(&table, "CLUSTER", "ROLE", "HEALTH", "APPLIED(seq)", "LAG records/s", "WAITING",
              "PARKED", "ROWS/s");
    if (view->proxy.exit == CTL_DONE)
        snprintf(health, sizeof health, "%.60s, %s", json_text(primary, "state", "-"),
                 node_health(primary));
    else
        snprintf(health, sizeof health, "no proxy");
    TABLE_ROW(&table, view->settings->primary_name, "primary", health, "-", "-", "-", "-", "-");
    for (size_t i = 0; i < view->settings->standbys_count; i++)
        show_standby(&table, &view->settings->standbys[i], &view->standbys[i]);
    table_print(&table);
}

static void show_proxy(const struct view *view)
{
    const json_t *status = view->proxy.json, *journal = json_object_get(status, "journal");
    struct table table = {NULL, 0};
    char seqs[140], used[200];

    if (view->proxy.exit != CTL_DONE)
        return;
    putchar('\n');
    TABLE_ROW(&table, "PROXY", "STATE", "UP", "OPEN", "WATCHED", "IN-FLIGHT", "HELD",
              "CLUSTER STATE");
    TABLE_ROW(&table, json_text(status, "version", "-"), json_text(status, "state", "-"),
              duration(status, "uptime_s"), number(status, "open_intents"), number(status, "watch"),
              number(status, "in_flight"), number(status, "held"), number(status, "state_version"));
    table_print(&table);
    snprintf(seqs, sizeof seqs, "%s..%s", number(journal, "first_seq"),
             number(journal, "last_seq"));
    double part = json_number_value(json_object_get(journal, "used_bytes"));
    double whole = json_number_value(json_object_get(journal, "size_max"));
    snprintf(used, sizeof used, "%s of %s (%.0f%%)", bytes(journal, "used_bytes"),
             bytes(journal, "size_max"), whole > 0 ? 100 * part / whole : 0);
    putchar('\n');
    TABLE_ROW(&table, "JOURNAL", "BOOT", "SEQ", "CONFIRMED", "USED");
    TABLE_ROW(&table, json_text(journal, "id", "-"), number(journal, "boot"), seqs,
              number(journal, "confirmed_seq"), used);
    table_print(&table);
}

/* How far a seed is. */
static void describe_seed(const json_t *seed, char *text, size_t size)
{
    char left[60] = "";
    double done = json_real_value(json_object_get(seed, "done"));
    double left_s = json_real_value(json_object_get(seed, "left_s"));

    if (left_s > 0)
        snprintf(left, sizeof left, ", about %.0f %s left", left_s < 120 ? left_s : left_s / 60,
                 left_s < 120 ? "s" : "min");
    const char *why = json_text(seed, "why", "");
    snprintf(text, size, "being seeded: %.0f %%, %" JSON_INTEGER_FORMAT " documents%s%s%s",
             done * 100, json_number(seed, "documents"), left,
             why[0] == '\0' ? "" : "; it waits: ", why);
}

static void describe_index(const json_t *index, char *text, size_t size)
{
    const json_t *seed = json_object_get(index, "seed");
    bool filling = strcmp(json_text(index, "state", ""), "filling") == 0;

    if (seed != NULL && filling)
        describe_seed(seed, text, size);
    else
        snprintf(text, size, "%s", json_text(index, "why", ""));
}

static void add_indices(struct table *table, const char *where, const json_t *status)
{
    const json_t *index;
    size_t at;

    json_array_foreach(json_object_get(status, "indices"), at, index)
    {
        char why[600];
        describe_index(index, why, sizeof why);
        TABLE_ROW(table, json_text(index, "name", "?"), where, json_text(index, "state", "?"), why);
    }
}

static void show_indices(const struct view *view)
{
    struct table table = {NULL, 0};

    add_indices(&table, "proxy", view->proxy.json);
    for (size_t i = 0; i < view->settings->standbys_count; i++)
        add_indices(&table, view->settings->standbys[i].name, view->standbys[i].json);
    if (table.rows == 0)
        return;
    puts("\nINDICES THAT ARE NOT WELL");
    table_print(&table);
}

/* Writes by query that run, or whose results are being read back. */
static void show_by_query(const struct view *view)
{
    struct table table = {NULL, 0};
    const json_t *one;
    size_t at;

    json_array_foreach(json_object_get(view->proxy.json, "by_query"), at, one)
    {
        char age[40];
        snprintf(age, sizeof age, "%.0fs", json_number_value(json_object_get(one, "age_s")));
        if (at == 0)
            TABLE_ROW(&table, "WRITE BY QUERY", "TARGET", "STEP", "FOR", "TASK");
        TABLE_ROW(&table, json_text(one, "api", "?"), json_text(one, "target", "?"),
                  json_text(one, "step", "?"), age, json_text(one, "task", "-"));
    }
    if (table.rows == 0)
        return;
    putchar('\n');
    table_print(&table);
}

static size_t show_problem(const char *level, const char *who, const char *text,
                           const char *what_to_do)
{
    printf("  %-8s", level);
    print_plain(who, 0);
    fputs(": ", stdout);
    print_plain(text, 0);
    fputs("\n          -> ", stdout);
    print_plain(what_to_do, 0);
    putchar('\n');
    return 1;
}

static size_t show_problems_of(const char *who, const struct answer *answer, const char *unit)
{
    const json_t *problem;
    size_t at, shown = 0;
    char what_to_do[300];

    if (answer->exit != CTL_DONE) {
        snprintf(what_to_do, sizeof what_to_do, "see why it does not run: journalctl -u %s", unit);
        return show_problem("error", who, answer->why, what_to_do);
    }
    json_array_foreach(json_object_get(answer->json, "problems"), at, problem) shown +=
        show_problem(json_text(problem, "level", "error"), who, json_text(problem, "text", "?"),
                     json_text(problem, "do", "see its log"));
    return shown;
}

static void show_problems(const struct view *view)
{
    size_t shown;
    char who[200], unit[200];

    puts("\nWHAT IS WRONG, AND WHAT TO DO");
    shown = show_problems_of("proxy", &view->proxy, "tandem-proxy");
    for (size_t i = 0; i < view->settings->standbys_count; i++) {
        snprintf(who, sizeof who, "standby %s", view->settings->standbys[i].name);
        snprintf(unit, sizeof unit, "tandem-replicator@%s", view->settings->standbys[i].name);
        shown += show_problems_of(who, &view->standbys[i], unit);
    }
    if (shown == 0)
        puts("  nothing");
}

static void show(const struct view *view)
{
    char when[40];
    time_t now = time(NULL);
    struct tm local;

    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", localtime_r(&now, &local));
    printf("SYSTEM %s   %s\n\n", view->settings->system_name, when);
    show_clusters(view);
    show_proxy(view);
    show_by_query(view);
    show_indices(view);
    show_problems(view);
}

/* What every program said, as it is; null and the reason for those that said nothing. */
static void show_json(const struct view *view)
{
    json_t *all = json_object(), *standbys = json_array();

    json_object_set_new(all, "system", json_string(view->settings->system_name));
    json_object_set(all, "proxy", view->proxy.exit == CTL_DONE ? view->proxy.json : json_null());
    if (view->proxy.exit != CTL_DONE)
        json_object_set_new(all, "proxy_error", json_string(view->proxy.why));
    for (size_t i = 0; i < view->settings->standbys_count; i++) {
        const struct answer *answer = &view->standbys[i];
        json_t *one = json_pack(
            "{s:s, s:O}", "name", view->settings->standbys[i].name, "replicator",
            answer->exit == CTL_DONE && answer->json != NULL ? answer->json : json_null());
        CHECK(one != NULL);
        if (answer->exit != CTL_DONE)
            json_object_set_new(one, "error", json_string(answer->why));
        json_array_append_new(standbys, one);
    }
    json_object_set_new(all, "standbys", standbys);
    json_dumpf(all, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(all);
}

enum ctl_exit ctl_status(struct ctl *ctl)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"watch", required_argument, NULL, 'w'},
                                            {NULL, 0, NULL, 0}};
    uint64_t every_s = 0;
    bool json = false;
    int option;

    optind = 0;
    while ((option = getopt_long(ctl->argc, ctl->argv, "w:", options, NULL)) != -1) {
        if (option == 'j')
            json = true;
        else if (option != 'w')
            return CTL_REFUSED;
        else if (!span_to_u64(span_cstr(optarg), &every_s) || every_s == 0 || every_s > 86400)
            return ctl_usage("-w needs seconds, 1 to 86400");
    }
    if (optind != ctl->argc)
        return ctl_usage("status takes no further words");
    for (;;) {
        const struct timespec pause = {(time_t)every_s, 0};
        struct view view;
        view_ask(&view, ctl->settings);
        if (every_s > 0 && isatty(STDOUT_FILENO))
            fputs("\033[H\033[2J", stdout);
        if (json)
            show_json(&view);
        else
            show(&view);
        enum ctl_exit result = view_exit(&view);
        view_fini(&view);
        if (every_s == 0 || fflush(stdout) != 0)
            return result;
        nanosleep(&pause, NULL);
    }
}
