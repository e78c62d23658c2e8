/* wait.c - tandemctl wait: until a standby has everything, for scripts and for the last step of a
 * move.
 *
 * Everything is what the journal holds now, and what the indices held before: nothing is filling,
 * held, parked or waiting. Writes that are under way or in doubt now are waited for, unless others
 * go on meanwhile: then there is no end to wait for. What stands in the way is said, each thing
 * once; a person may mend it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <getopt.h>
#include <inttypes.h>
#include <time.h>
#include <unistd.h>

#define POLL_NS 500000000
/* Polls without an answer: programs that were just started have come by then. */
#define SILENT_MAX 60

struct waiting {
    const struct settings *settings;
    const struct standby_settings *standby;
    json_int_t goal;     /* seq to be applied; -1: not known yet */
    json_int_t last_seq; /* of the journal, when it was looked at last; -1: it was not */
    unsigned silent;     /* polls in a row that nobody answered */
    char said[600];
};

static void say_once(struct waiting *waiting, const char *text)
{
    if (*text == '\0' || strncmp(waiting->said, text, sizeof waiting->said - 1) == 0)
        return;
    snprintf(waiting->said, sizeof waiting->said, "%s", text);
    fprintf(stderr, "%s\n", text);
}

/* STATUS is that of an active proxy. */
static void take_goal(struct waiting *waiting, const json_t *status)
{
    json_int_t last_seq = json_number(json_object_get(status, "journal"), "last_seq");
    bool goes_on = waiting->last_seq >= 0 && last_seq != waiting->last_seq;
    if (goes_on || json_number(status, "open_intents") == 0)
        waiting->goal = last_seq;
    else
        say_once(waiting, "some writes are under way, or in doubt");
    waiting->last_seq = last_seq;
}

static void see_goal(struct waiting *waiting)
{
    struct answer proxy;
    ask(&waiting->settings->proxy_admin, "GET", "/_tandem/status", &proxy);
    const char *state = json_text(proxy.json, "state", "");
    if (proxy.exit != CTL_DONE)
        waiting->silent++;
    else if (strcmp(state, "active") == 0 || strcmp(state, "holding") == 0)
        take_goal(waiting, proxy.json);
    else
        say_once(waiting, "the proxy is not active yet");
    answer_fini(&proxy);
}

/* True when nothing of the standby's indices is incomplete; rows that wait are seen in its state.
 */
static bool indices_are_whole(const json_t *indices)
{
    const json_t *index;
    size_t at;
    json_array_foreach(indices, at,
                       index) if (strcmp(json_text(index, "state", ""), "ready") != 0) return false;
    return true;
}

static bool is_there(struct waiting *waiting)
{
    struct answer answer;
    ask(&waiting->standby->admin, "GET", "/_tandem/status", &answer);
    const json_t *standby = json_object_get(answer.json, "standby");
    bool there = false;
    if (answer.exit != CTL_DONE) {
        waiting->silent++;
        say_once(waiting, answer.why);
    } else {
        waiting->silent = 0;
        there = strcmp(json_text(standby, "state", ""), "in_sync") == 0 &&
                json_number(standby, "applied_seq") >= waiting->goal &&
                indices_are_whole(json_object_get(answer.json, "indices"));
        if (!there)
            say_once(waiting, json_text(json_array_get(json_object_get(answer.json, "problems"), 0),
                                        "text", ""));
    }
    answer_fini(&answer);
    return there;
}

static enum ctl_exit look_on(struct waiting *waiting, uint64_t timeout_s)
{
    const struct timespec pause = {0, POLL_NS};
    time_t begun = time(NULL);
    for (;;) {
        if (waiting->goal < 0)
            see_goal(waiting);
        if (waiting->goal >= 0 && is_there(waiting)) {
            printf("standby %s: it has everything up to %" JSON_INTEGER_FORMAT
                   ", and what was there before\n",
                   waiting->standby->name, waiting->goal);
            return CTL_DONE;
        }
        if (waiting->silent > SILENT_MAX) {
            ctl_say("standby %s: the proxy or its replicator does not answer",
                    waiting->standby->name);
            return CTL_UNREACHABLE;
        }
        if (timeout_s != 0 && (uint64_t)(time(NULL) - begun) >= timeout_s) {
            ctl_say("standby %s: it does not have everything after %" PRIu64
                    " s; see tandemctl status",
                    waiting->standby->name, timeout_s);
            return CTL_TIMED_OUT;
        }
        nanosleep(&pause, NULL);
    }
}

enum ctl_exit ctl_wait(struct ctl *ctl)
{
    static const struct option options[] = {{"timeout", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    struct waiting waiting = {.settings = ctl->settings, .goal = -1, .last_seq = -1};
    uint64_t timeout_s = 0;
    int option;

    optind = 0;
    while ((option = getopt_long(ctl->argc, ctl->argv, "", options, NULL)) != -1) {
        if (option != 't')
            return CTL_REFUSED;
        if (!span_to_u64(span_cstr(optarg), &timeout_s) || timeout_s == 0)
            return ctl_usage("--timeout needs a number above 0, not %s", optarg);
    }
    if (ctl->argc - optind > 1)
        return ctl_usage("wait needs the name of one standby");
    waiting.standby = ctl_standby(ctl, optind < ctl->argc ? ctl->argv[optind] : NULL);
    return waiting.standby == NULL ? CTL_REFUSED : look_on(&waiting, timeout_s);
}
