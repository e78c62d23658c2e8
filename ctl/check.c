/* check.c - tandemctl check: could this standby take the primary's place now?
 *
 * The rules are those that keep a switch from harm. All that fail are said at once, each with what
 * to do; nothing is asked of the clusters that the daemons do not know already.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <getopt.h>

/* What the rules look at, and what the one that is being judged says. */
struct facts {
    const struct settings *settings;
    const struct standby_settings *conf;
    const json_t *proxy;   /* its status; NULL: it does not answer */
    const json_t *standby; /* `standby` of the replicator's status; NULL: it does not answer */
    const json_t *indices; /* of the replicator's status */
    const json_t *others;  /* names of other standbys that are in sync */
    char why[500];
};

static const char *text_at(const json_t *object, const char *name)
{
    return json_text(object, name, "");
}

static double number_at(const json_t *object, const char *name)
{
    return json_number_value(json_object_get(object, name));
}

/* Says WHY it fails; false, for the rule to return. */
static PRINTF_LIKE(2, 3) bool fails(struct facts *facts, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(facts->why, sizeof facts->why, format, args);
    va_end(args);
    return false;
}

/* ---- the rules: true when it holds ---- */

static bool identity(struct facts *facts)
{
    const json_t *primary = json_object_get(facts->proxy, "primary");

    if (facts->proxy == NULL)
        return fails(facts, "the proxy does not answer: which cluster is the primary is not known");
    if (strcmp(text_at(primary, "state"), "another cluster") == 0)
        return fails(facts,
                     "another cluster answers at the primary's address; see tandemctl adopt");
    return true;
}

static bool in_doubt_zero(struct facts *facts)
{
    double doubt = number_at(facts->proxy, "in_doubt");

    return doubt == 0 || fails(facts,
                               "%.0f writes have no known outcome; they are looked up, see "
                               "tandemctl status",
                               doubt);
}

static bool no_by_query(struct facts *facts)
{
    size_t count = json_array_size(json_object_get(facts->proxy, "by_query"));

    return count == 0 || fails(facts,
                               "%zu writes by query run, or what they left is being read; wait, or "
                               "cancel their tasks",
                               count);
}

static bool candidate_health(struct facts *facts)
{
    const char *state = text_at(facts->standby, "state");
    const char *health = text_at(json_object_get(facts->standby, "health"), "status");

    if (facts->standby == NULL)
        return fails(facts, "its replicator does not answer");
    if (strcmp(state, "in_sync") != 0 && strcmp(state, "catching_up") != 0)
        return fails(facts, "it is %s; tandemctl status says why", state);
    if (strcmp(health, "red") == 0 || strcmp(health, "unknown") == 0)
        return fails(facts, "the health of the cluster is %s; see its _cluster/health", health);
    return true;
}

static bool max_lag(struct facts *facts)
{
    double lag = number_at(facts->standby, "lag_s"), most = (double)facts->conf->lag_max / 1e6;

    return lag <= most || fails(facts, "it is %.1f s behind, %.0f records; lag_max is %.1f s", lag,
                                number_at(facts->standby, "lag_records"), most);
}

static bool nothing_parked(struct facts *facts)
{
    double parked = number_at(facts->standby, "parked"),
           waits = number_at(facts->standby, "waiting");

    if (parked > 0)
        return fails(facts, "%.0f rows are parked; tandemctl parked list, then retry or drop",
                     parked);
    return waits == 0 || fails(facts, "%.0f rows wait for an index or a mapping", waits);
}

/* Names the first of the indices of LIST in STATE, or any of them (NULL). */
static bool no_index_is(struct facts *facts, const json_t *list, const char *state,
                        const char *text)
{
    const json_t *index, *first = NULL;
    size_t at, count = 0;

    json_array_foreach(list, at, index)
    {
        if (strcmp(text_at(index, "state"), state) != 0)
            continue;
        first = first == NULL ? index : first;
        count++;
    }
    return count == 0 || fails(facts, "%zu indices are %s (%s ...): %s", count, state,
                               text_at(first, "name"), text);
}

static bool schema_parity(struct facts *facts)
{
    return no_index_is(facts, facts->indices, "held",
                       "they are not as on the primary; tandemctl status says why") &&
           no_index_is(facts, facts->indices, "stopped",
                       "a row was refused; tandemctl parked list");
}

static bool nothing_filling(struct facts *facts)
{
    return no_index_is(facts, facts->indices, "filling",
                       "they have content that is not here; tandemctl seed");
}

static bool nothing_diverged(struct facts *facts)
{
    return no_index_is(facts, json_object_get(facts->proxy, "indices"), "diverged",
                       "tandemctl verify, then repair --apply");
}

#define VERIFY_FRESH_S (24 * 3600.0)

static bool verify_fresh(struct facts *facts)
{
    const json_t *verified = json_object_get(facts->standby, "verified");
    const json_t *age = json_object_get(verified, "age_s");

    if (!json_is_number(age))
        return fails(facts, "it was never verified as a whole; tandemctl verify");
    if (!json_is_true(json_object_get(verified, "clean")))
        return fails(facts, "the last verification found differences; tandemctl repair --apply");
    return json_number_value(age) <= VERIFY_FRESH_S ||
           fails(facts, "it was verified %.0f h ago, more than 24; tandemctl verify",
                 json_number_value(age) / 3600);
}

static bool min_standby(struct facts *facts)
{
    return json_array_size(facts->others) > 0 ||
           fails(facts, "no other standby is in sync: after a switch there would be none until the "
                        "old primary is one");
}

static const struct {
    const char *id;
    bool (*holds)(struct facts *facts);
    bool warns; /* it is said, and keeps nobody from anything */
} rules[] = {
    {"IDENTITY", identity, false},
    {"CANDIDATE_HEALTH", candidate_health, false},
    {"MAX_LAG", max_lag, false},
    {"NOTHING_PARKED", nothing_parked, false},
    {"SCHEMA_PARITY", schema_parity, false},
    {"NOTHING_FILLING", nothing_filling, false},
    {"NOTHING_DIVERGED", nothing_diverged, false},
    {"IN_DOUBT_ZERO", in_doubt_zero, false},
    {"NO_BY_QUERY", no_by_query, false},
    {"VERIFY_FRESH", verify_fresh, false},
    {"MIN_STANDBY", min_standby, true},
};

/* ---- asking and saying ---- */

/* Rules that can't be judged, since nobody answers, fail with the one that says so. */
static bool can_be_judged(const struct facts *facts, size_t rule)
{
    bool (*holds)(struct facts * facts) = rules[rule].holds;
    bool of_proxy = holds == in_doubt_zero || holds == no_by_query || holds == nothing_diverged;
    bool of_neither = holds == identity || holds == candidate_health || holds == min_standby;

    return of_neither || (of_proxy ? facts->proxy != NULL : facts->standby != NULL);
}

/* Judges all rules into a list of {"rule", "holds", "warns", "why"}; *READY: none that counts
 * fails. */
static json_t *judge(struct facts *facts, bool *ready)
{
    json_t *verdicts = json_array();

    *ready = true;
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        facts->why[0] = '\0';
        if (!can_be_judged(facts, i))
            continue;
        bool holds = rules[i].holds(facts);
        *ready = *ready && (holds || rules[i].warns);
        json_array_append_new(verdicts,
                              json_pack("{s:s, s:b, s:b, s:s}", "rule", rules[i].id, "holds", holds,
                                        "warns", rules[i].warns, "why", facts->why));
    }
    return verdicts;
}

static void show(const char *standby, const json_t *verdicts, bool ready)
{
    const json_t *verdict;
    size_t at;

    printf("standby %s: %s\n", standby, ready ? "READY" : "NOT READY");
    json_array_foreach(verdicts, at, verdict)
    {
        bool holds = json_is_true(json_object_get(verdict, "holds"));
        bool warns = json_is_true(json_object_get(verdict, "warns"));
        printf("  %-4s  %-17s%s%s\n",
               holds   ? "ok"
               : warns ? "note"
                       : "FAIL",
               text_at(verdict, "rule"), holds ? "" : " ", text_at(verdict, "why"));
    }
}

/* Names of the standbys that are in sync, but for CONF. */
static json_t *others_in_sync(const struct ctl *ctl, const struct standby_settings *conf)
{
    json_t *names = json_array();

    for (size_t i = 0; i < ctl->settings->standbys_count; i++) {
        const struct standby_settings *other = &ctl->settings->standbys[i];
        struct answer answer;
        if (other == conf)
            continue;
        ask(&other->admin, "GET", "/_tandem/status", &answer);
        if (answer.exit == CTL_DONE &&
            strcmp(text_at(json_object_get(answer.json, "standby"), "state"), "in_sync") == 0)
            json_array_append_new(names, json_string(other->name));
        answer_fini(&answer);
    }
    return names;
}

static enum ctl_exit check(struct ctl *ctl, const struct standby_settings *conf, bool json)
{
    struct answer proxy, standby;
    bool ready;

    ask(&ctl->settings->proxy_admin, "GET", "/_tandem/status", &proxy);
    ask(&conf->admin, "GET", "/_tandem/status", &standby);
    json_t *others = others_in_sync(ctl, conf);
    struct facts facts = {
        .settings = ctl->settings,
        .conf = conf,
        .proxy = proxy.exit == CTL_DONE ? proxy.json : NULL,
        .standby = standby.exit == CTL_DONE ? json_object_get(standby.json, "standby") : NULL,
        .indices = json_object_get(standby.json, "indices"),
        .others = others};
    json_t *verdicts = judge(&facts, &ready);
    if (json) {
        json_t *out =
            json_pack("{s:s, s:b, s:O}", "standby", conf->name, "ready", ready, "rules", verdicts);
        json_dumpf(out, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(out);
    } else {
        show(conf->name, verdicts, ready);
    }
    json_decref(verdicts);
    json_decref(others);
    answer_fini(&proxy);
    answer_fini(&standby);
    return ready ? CTL_DONE : CTL_INCOMPLETE;
}

enum ctl_exit ctl_check(struct ctl *ctl)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {NULL, 0, NULL, 0}};
    bool json = false;
    int option;

    optind = 0; /* anew: here options may stand behind the name */
    while ((option = getopt_long(ctl->argc, ctl->argv, "", options, NULL)) != -1) {
        if (option != 'j')
            return CTL_REFUSED;
        json = true;
    }
    if (ctl->argc - optind > 1)
        return ctl_usage("check needs at most one standby's name");
    const struct standby_settings *conf =
        ctl_standby(ctl, optind < ctl->argc ? ctl->argv[optind] : NULL);
    return conf == NULL ? CTL_REFUSED : check(ctl, conf, json);
}
