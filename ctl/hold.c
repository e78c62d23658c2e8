/* hold.c - tandemctl hold: all writes wait in the proxy, reads go on.
 *
 * It waits until nothing is under way on the primary any more; only then is there something to rely
 * on. The proxy ends the hold by itself in time, whatever becomes of us.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <getopt.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define POLL_NS 50000000

/* Looks at hold number WHICH once. False: some of what was admitted before it is still under way.
 */
static bool look(const struct ctl *ctl, json_int_t which, enum ctl_exit *result)
{
    struct answer answer;
    ask(&ctl->settings->proxy_admin, "GET", "/_tandem/status", &answer);
    const json_t *hold = json_object_get(answer.json, "hold");
    bool over = true;
    if (answer.exit != CTL_DONE) {
        ctl_say("writes are held, but %s", answer.why);
        *result = CTL_INCOMPLETE;
    } else if (strcmp(json_text(hold, "state", ""), "on") != 0 ||
               json_number(hold, "holds") != which) {
        ctl_say("the hold ended before all that was under way had: %s; writes go on",
                json_text(hold, "ended", "nobody knows why"));
        *result = CTL_TIMED_OUT;
    } else if (json_is_true(json_object_get(hold, "quiet"))) {
        printf("Writes are held, and nothing is under way on the primary; %.1f s are left.\n"
               "To let them go on: tandemctl hold --end\n",
               (double)json_number(hold, "ends_in_ms") / 1000);
        *result = CTL_DONE;
    } else {
        over = false;
    }
    answer_fini(&answer);
    return over;
}

/* Until what was admitted before the hold has an outcome. */
static enum ctl_exit await_quiet(const struct ctl *ctl, json_int_t which)
{
    const struct timespec pause = {0, POLL_NS};
    enum ctl_exit result;
    while (!look(ctl, which, &result))
        nanosleep(&pause, NULL);
    return result;
}

static enum ctl_exit begin(const struct ctl *ctl, uint64_t max_ms)
{
    struct answer answer;
    char target[80] = "/_tandem/hold";

    if (max_ms != 0)
        snprintf(target, sizeof target, "/_tandem/hold?max_ms=%" PRIu64, max_ms);
    ask(&ctl->settings->proxy_admin, "POST", target, &answer);
    enum ctl_exit result = answer.exit;
    if (result == CTL_DONE)
        result = await_quiet(ctl, json_number(json_object_get(answer.json, "hold"), "holds"));
    else
        ctl_say("hold: %s", answer.why);
    answer_fini(&answer);
    return result;
}

static enum ctl_exit end(const struct ctl *ctl)
{
    struct answer answer;

    ask(&ctl->settings->proxy_admin, "POST", "/_tandem/hold/end", &answer);
    const json_t *hold = json_object_get(answer.json, "hold");
    if (answer.exit == CTL_DONE)
        printf("Writes go on; at most %" JSON_INTEGER_FORMAT " were held.\n",
               json_number(hold, "most"));
    else
        ctl_say("hold --end: %s", answer.why);
    enum ctl_exit result = answer.exit;
    answer_fini(&answer);
    return result;
}

enum ctl_exit ctl_hold(struct ctl *ctl)
{
    static const struct option options[] = {
        {"max", required_argument, NULL, 'm'}, {"end", no_argument, NULL, 'e'}, {NULL, 0, NULL, 0}};
    uint64_t max_us = 0;
    bool ends = false;
    int option;

    optind = 0;
    while ((option = getopt_long(ctl->argc, ctl->argv, "", options, NULL)) != -1) {
        if (option == 'e')
            ends = true;
        else if (option != 'm')
            return CTL_REFUSED;
        else if (!conf_duration_parse(optarg, &max_us) || max_us < 1000)
            return ctl_usage("--max needs a time, as 10s or 500ms, not %s", optarg);
    }
    if (optind != ctl->argc)
        return ctl_usage("hold takes --max TIME or --end, not %s", ctl->argv[optind]);
    if (ends && max_us != 0)
        return ctl_usage("hold takes --max or --end, not both");
    return ends ? end(ctl) : begin(ctl, max_us / 1000);
}
