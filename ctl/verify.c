/* verify.c - tandemctl verify, repair and audit: begin, show how far it is, and say what was found.
 *
 * The replicator does the work, and goes on when we are interrupted; --cancel ends it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <getopt.h>
#include <time.h>
#include <unistd.h>

#include "http/message.h"

#define POLL_NS 500000000
#define SHOWN_MAX 10

struct wish {
    const char *standby, *index;
    double sample; /* percent; 0: all */
    bool repair, apply, force, cancel, json;
};

/* "5%", or "5" */
static bool parse_sample(const char *text, double *percent)
{
    char *end;

    *percent = strtod(text, &end);
    end += *end == '%';
    return end != text && *end == '\0' && *percent > 0 && *percent <= 100;
}

static bool parse(struct ctl *ctl, struct wish *wish)
{
    static const struct option options[] = {
        {"standby", required_argument, NULL, 's'}, {"index", required_argument, NULL, 'i'},
        {"apply", no_argument, NULL, 'a'},         {"force", no_argument, NULL, 'f'},
        {"cancel", no_argument, NULL, 'c'},        {"json", no_argument, NULL, 'j'},
        {"sample", required_argument, NULL, 'p'},  {NULL, 0, NULL, 0}};
    int option;

    optind = 0; /* begin anew, and let options and words mix */
    while ((option = getopt_long(ctl->argc, ctl->argv, "", options, NULL)) != -1) {
        if (option == 's')
            wish->standby = optarg;
        else if (option == 'i')
            wish->index = optarg;
        else if (option == 'a' && wish->repair)
            wish->apply = true;
        else if (option == 'f' && wish->repair)
            wish->force = true;
        else if (option == 'c')
            wish->cancel = true;
        else if (option == 'j')
            wish->json = true;
        else if (option == 'p' && wish->repair)
            return ctl_usage("--sample is for verify: a sample is not repaired") == CTL_DONE;
        else if (option == 'p' && !parse_sample(optarg, &wish->sample))
            return ctl_usage("--sample takes a percentage above 0, up to 100%%, such as 5%%, not "
                             "%s",
                             optarg) == CTL_DONE;
        else if (option == 'p')
            ;
        else if (option == 'a' || option == 'f')
            return ctl_usage("--%s is for repair", option == 'a' ? "apply" : "force") == CTL_DONE;
        else
            return false;
    }
    if (optind == ctl->argc)
        return true;
    ctl_usage("%s takes options only, not %s", ctl->argv[0], ctl->argv[optind]);
    return false;
}

/* ---- what was found ---- */

static json_int_t differences_of(const json_t *index)
{
    return json_number(index, "missing") + json_number(index, "extra") +
           json_number(index, "different");
}

static void show_documents(const json_t *index)
{
    const json_t *list = json_object_get(index, "differences"), *one;
    size_t at;

    json_array_foreach(list, at, one)
    {
        if (at == SHOWN_MAX) {
            printf("      and %zu more (GET /_tandem/verify has some of them)\n",
                   json_array_size(list) - SHOWN_MAX);
            return;
        }
        printf("      %-9s %s", json_text(one, "what", "?"), json_text(one, "id", "?"));
        if (json_is_string(json_object_get(one, "routing")))
            printf(" (routing %s)", json_text(one, "routing", ""));
        putchar('\n');
    }
}

/* True when all that was looked at is equal, or was made so. */
static bool is_well(const json_t *found)
{
    bool repaired = json_is_integer(json_object_get(found, "repaired"));
    return differences_of(found) == 0 || (repaired && json_number(found, "left") == 0);
}

static bool index_is_well(const json_t *index)
{
    return *json_text(index, "skipped", "") == '\0' && is_well(index) &&
           is_well(json_object_get(index, "definitions"));
}

static void show_repaired(const json_t *found)
{
    if (json_is_integer(json_object_get(found, "repaired")))
        printf("    %" JSON_INTEGER_FORMAT " were made equal, %" JSON_INTEGER_FORMAT " are left\n",
               json_number(found, "repaired"), json_number(found, "left"));
}

static void show_definition(const json_t *one)
{
    static const char *const words[] = {"kind", "name", "path"};
    const char *ours = json_text(one, "primary", NULL), *theirs = json_text(one, "standby", NULL);

    printf("      %-9s", json_text(one, "what", "waiting"));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (*json_text(one, words[i], "") != '\0')
            printf(" %s", json_text(one, words[i], ""));
    if (ours != NULL)
        printf("; primary: %s", ours);
    if (theirs != NULL)
        printf("; standby: %s", theirs);
    if (*json_text(one, "why", "") != '\0')
        printf(" (%s)", json_text(one, "why", ""));
    putchar('\n');
}

/* FOUND of the definitions of WHAT; says nothing when there is nothing to say. */
static void show_definitions(const char *what, const json_t *found)
{
    const json_t *one;
    size_t at;

    if (differences_of(found) != 0)
        printf("  %s: %" JSON_INTEGER_FORMAT " are missing, %" JSON_INTEGER_FORMAT
               " are extra, %" JSON_INTEGER_FORMAT " differ\n",
               what, json_number(found, "missing"), json_number(found, "extra"),
               json_number(found, "different"));
    else if (json_array_size(json_object_get(found, "waiting")) != 0)
        printf("  %s: equal, but some wait\n", what);
    json_array_foreach(json_object_get(found, "differences"), at, one) show_definition(one);
    json_array_foreach(json_object_get(found, "waiting"), at, one) show_definition(one);
    show_repaired(found);
}

/* A sample says nothing of what it did not look at. */
static void show_sample(const json_t *index)
{
    const json_t *sample = json_object_get(index, "sample");

    if (differences_of(index) == 0)
        printf("  %s: no difference in a sample: ", json_text(index, "index", "?"));
    else
        fputs("    that was a sample: ", stdout);
    printf("%" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
           " numbers of the primary, %" JSON_INTEGER_FORMAT " of %" JSON_INTEGER_FORMAT
           " of the standby; %" JSON_INTEGER_FORMAT " documents\n",
           json_number(sample, "numbers"), json_number(sample, "of"),
           json_number(sample, "standby_numbers"), json_number(sample, "standby_of"),
           json_number(index, "documents"));
}

static void show_index(const json_t *index)
{
    const char *skipped = json_text(index, "skipped", ""),
               *refused = json_text(index, "refused", "");
    const char *name = json_text(index, "index", "?");
    bool sampled = json_is_object(json_object_get(index, "sample"));
    char what[300];

    snprintf(what, sizeof what, "%.255s, its definition", name);
    if (*skipped != '\0') {
        printf("  %s: not compared: %s\n", name, skipped);
    } else if (differences_of(index) == 0 && sampled) {
        show_sample(index);
    } else if (differences_of(index) == 0) {
        printf("  %s: equal, %" JSON_INTEGER_FORMAT " documents\n", name,
               json_number(index, "documents"));
    } else {
        printf("  %s: of %" JSON_INTEGER_FORMAT " documents %" JSON_INTEGER_FORMAT
               " are missing, %" JSON_INTEGER_FORMAT " are extra, %" JSON_INTEGER_FORMAT
               " differ%s\n",
               name, json_number(index, "documents"), json_number(index, "missing"),
               json_number(index, "extra"), json_number(index, "different"),
               json_is_true(json_object_get(index, "truncated")) ? " (at least)" : "");
        show_documents(index);
        if (sampled)
            show_sample(index);
        if (*refused != '\0')
            printf("    nothing was written: %s. Look at the primary; --force writes all the "
                   "same\n",
                   refused);
        show_repaired(index);
    }
    show_definitions(what, json_object_get(index, "definitions"));
}

static void show_result(const struct wish *wish, const json_t *report, bool well)
{
    const json_t *indices = json_object_get(report, "indices"), *index;
    const json_t *objects = json_object_get(report, "objects");
    json_int_t differences = differences_of(objects);
    size_t at;

    json_array_foreach(indices, at, index)
    {
        show_index(index);
        differences +=
            differences_of(index) + differences_of(json_object_get(index, "definitions"));
    }
    bool waits = json_array_size(json_object_get(objects, "waiting")) != 0;
    if (json_is_object(objects) && differences_of(objects) == 0 && !waits)
        puts("  templates, policies, pipelines, scripts: equal");
    show_definitions("templates, policies, pipelines, scripts, names of indices", objects);
    if (well && wish->sample != 0)
        puts("no difference was found in the samples; the rest was not looked at");
    else if (well)
        puts("the standby is equal to the primary in all of them");
    else if (wish->repair && !wish->apply && differences != 0)
        puts("nothing was changed; --apply makes the standby equal to the primary");
    else if (!wish->repair && differences != 0)
        puts("tandemctl repair makes the standby equal to the primary");
}

static enum ctl_exit end_report(const struct wish *wish, const json_t *report)
{
    const json_t *index;
    size_t at;
    bool well = is_well(json_object_get(report, "objects"));

    json_array_foreach(json_object_get(report, "indices"), at, index) well =
        index_is_well(index) && well;
    if (wish->json) {
        json_dumpf(report, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        show_result(wish, report, well);
    }
    return well ? CTL_DONE : CTL_INCOMPLETE;
}

/* ---- waiting ---- */

static void show_progress(const json_t *report)
{
    if (!isatty(STDERR_FILENO))
        return;
    fprintf(stderr, "\r\033[K%zu done; %s %.0f %%  %s",
            json_array_size(json_object_get(report, "indices")), json_text(report, "index", ""),
            json_real_value(json_object_get(report, "index_done")) * 100,
            json_text(report, "why", ""));
}

static enum ctl_exit look_on(const struct standby_settings *standby, const struct wish *wish)
{
    const struct timespec pause = {0, POLL_NS};
    struct answer answer;
    enum ctl_exit result;

    for (;;) {
        ask(&standby->admin, "GET", "/_tandem/verify", &answer);
        if (answer.exit != CTL_DONE || strcmp(json_text(answer.json, "state", ""), "running") != 0)
            break;
        show_progress(answer.json);
        answer_fini(&answer);
        nanosleep(&pause, NULL);
    }
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (answer.exit == CTL_DONE) {
        result = end_report(wish, answer.json);
    } else {
        ctl_say("standby %s: it was begun, but %s", standby->name, answer.why);
        result = CTL_INCOMPLETE;
    }
    answer_fini(&answer);
    return result;
}

static enum ctl_exit run(struct ctl *ctl, struct wish *wish)
{
    const struct standby_settings *standby;
    struct buffer target = {0};
    struct answer answer;

    if (!parse(ctl, wish) || (standby = ctl_standby(ctl, wish->standby)) == NULL)
        return CTL_REFUSED;
    buffer_append_cstr(&target, "/_tandem/verify");
    if (wish->cancel)
        buffer_append_cstr(&target, "/cancel");
    buffer_appendf(&target, "?repair=%s&force=%s", wish->apply ? "true" : "false",
                   wish->force ? "true" : "false");
    if (wish->sample != 0)
        buffer_appendf(&target, "&sample=%.6f", wish->sample);
    if (wish->index != NULL) {
        buffer_append_cstr(&target, "&index=");
        http_percent_encode(span_cstr(wish->index), &target);
    }
    ask(&standby->admin, "POST", buffer_cstr(&target), &answer);
    buffer_fini(&target);
    enum ctl_exit result = answer.exit;
    if (result == CTL_DONE && !wish->cancel)
        result = look_on(standby, wish);
    else if (result != CTL_DONE)
        ctl_say("%s %s: %s", ctl->argv[0], standby->name, answer.why);
    answer_fini(&answer);
    return result;
}

enum ctl_exit ctl_verify(struct ctl *ctl)
{
    return run(ctl, &(struct wish){.repair = false});
}

enum ctl_exit ctl_repair(struct ctl *ctl)
{
    return run(ctl, &(struct wish){.repair = true});
}

/* ---- the audit ---- */

static void show_audited(const json_t *index)
{
    const json_t *complete = json_object_get(index, "complete_up_to"), *one;
    const char *why = json_text(index, "why", "");
    size_t at;

    printf("  %s: %s%s%s\n", json_text(index, "index", "?"), json_text(index, "state", "?"),
           *why == '\0' ? "" : ": ", why);
    if (json_array_size(complete) == 0)
        return; /* nothing was counted */
    fputs("      complete up to", stdout);
    json_array_foreach(complete, at, one)
        printf("%s %" JSON_INTEGER_FORMAT, at == 0 ? "" : ",", json_integer_value(one));
    printf("; holes %" JSON_INTEGER_FORMAT ", brought over %" JSON_INTEGER_FORMAT
           ", without a document %" JSON_INTEGER_FORMAT "\n",
           json_number(index, "holes"), json_number(index, "found"),
           json_number(index, "unexplained"));
}

static void show_audit(const struct standby_settings *standby, const json_t *report)
{
    const json_t *index;
    size_t at;

    printf("standby %s", standby->name);
    if (!json_is_true(json_object_get(report, "on"))) {
        puts(": the audit is off (audit.interval: 0s)");
        return;
    }
    if (json_is_number(json_object_get(report, "clean_age_s")))
        printf(": everything was in order %.0f s ago\n",
               json_number_value(json_object_get(report, "clean_age_s")));
    else
        puts(": it has not found everything in order yet");
    json_array_foreach(json_object_get(report, "indices"), at, index) show_audited(index);
}

/* True when all that can be audited is. */
static bool all_is_audited(const json_t *report)
{
    const json_t *index;
    size_t at, open = 0;

    json_array_foreach(json_object_get(report, "indices"), at, index) open +=
        strcmp(json_text(index, "state", ""), "audited") != 0;
    return open == 0 && json_is_true(json_object_get(report, "on"));
}

enum ctl_exit ctl_audit(struct ctl *ctl)
{
    const struct standby_settings *standby;
    struct wish wish = {0};
    struct answer answer;

    if (!parse(ctl, &wish) || (standby = ctl_standby(ctl, wish.standby)) == NULL)
        return CTL_REFUSED;
    ask(&standby->admin, "POST", "/_tandem/audit", &answer);
    enum ctl_exit result = answer.exit;
    if (result != CTL_DONE)
        ctl_say("audit %s: %s", standby->name, answer.why);
    else if (wish.json && json_dumpf(answer.json, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    else
        show_audit(standby, answer.json);
    if (result == CTL_DONE && !all_is_audited(answer.json))
        result = CTL_INCOMPLETE;
    answer_fini(&answer);
    return result;
}
