/* history.c - tandemctl history: what was decided, by whom, and what came of it.
 *
 * Each daemon has a chain of its own. They are read whole, checked, and shown as one, by time.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "ctl.h"

#include <getopt.h>
#include <time.h>

#include "journal/history.h"

#define SHOWN 40 /* of the newest, unless all are asked for */

/* One daemon's chain. */
struct chain {
    const char *who; /* borrowed; "proxy", or the standby's name */
    const struct conf_address *address;
    struct history end; /* as far as it follows */
    uint64_t broken_at; /* number of the entry that does not follow; 0: all do */
    bool whole;         /* it was read to its end */
    bool read;          /* all that was answered follows, but perhaps the end is another */
};

static const char *text_of(const json_t *entry, const char *name)
{
    return json_text(entry, name, "");
}

/* Appends the entries of LINES that follow to ENTRIES; false: one does not. */
static bool take_lines(struct chain *chain, const json_t *lines, json_t *entries)
{
    size_t at;
    json_t *line;

    json_array_foreach(lines, at, line)
    {
        struct span text = span_of(json_string_value(line), json_string_length(line));
        if (!history_follow(&chain->end, text)) {
            chain->broken_at = chain->end.last + 1;
            return false;
        }
        json_t *entry = json_loadb(text.data, text.size, 0, NULL);
        json_object_set_new(entry, "of", json_string(chain->who));
        json_array_append_new(entries, entry);
    }
    return true;
}

/* Reads all of a chain into ENTRIES, as far as it is one. */
static bool read_chain(struct chain *chain, json_t *entries)
{
    struct answer answer;
    bool more = true, asked = true;

    while (more && asked) {
        char target[64];
        snprintf(target, sizeof target, "/_tandem/history?from=%llu",
                 (unsigned long long)chain->end.last + 1);
        ask(chain->address, "GET", target, &answer);
        asked = answer.exit == CTL_DONE;
        const json_t *lines = json_object_get(answer.json, "lines");
        if (!asked)
            ctl_say("%s: %s", chain->who, answer.why);
        more = json_array_size(lines) != 0 && take_lines(chain, lines, entries);
        chain->read = asked && chain->broken_at == 0;
        chain->whole =
            chain->read && strcmp(text_of(answer.json, "hash"), history_hash(&chain->end)) == 0;
        answer_fini(&answer);
    }
    return chain->whole;
}

static int by_time(const void *a, const void *b)
{
    json_int_t x = json_number(*(json_t *const *)a, "time_us");
    json_int_t y = json_number(*(json_t *const *)b, "time_us");

    return (x > y) - (x < y);
}

/* A list of the same entries, in the order of their time. */
static json_t *sorted(const json_t *entries)
{
    size_t count = json_array_size(entries), at;
    json_t **list = bytes_alloc((count + 1) * sizeof *list), *entry, *out = json_array();

    json_array_foreach(entries, at, entry) list[at] = entry;
    qsort(list, count, sizeof(json_t *), by_time);
    for (at = 0; at < count; at++)
        json_array_append(out, list[at]);
    free(list);
    return out;
}

static void show_entry(const json_t *entry)
{
    time_t seconds = (time_t)(json_number(entry, "time_us") / 1000000);
    struct tm tm;
    char when[32];
    const char *by = text_of(entry, "by"), *from = text_of(entry, "from");

    gmtime_r(&seconds, &tm);
    strftime(when, sizeof when, "%Y-%m-%d %H:%M:%SZ", &tm);
    printf("%s  %-8s %-9s %s", when, text_of(entry, "of"), text_of(entry, "what"),
           text_of(entry, "details"));
    if (*by != '\0' || *from != '\0')
        printf(" (%s%s%s%s)", *by != '\0' ? by : "", *by != '\0' && *from != '\0' ? ", " : "",
               *from != '\0' ? "from " : "", from);
    putchar('\n');
}

static void show(const json_t *entries, bool all)
{
    size_t count = json_array_size(entries), at;
    json_t *entry;

    if (!all && count > SHOWN)
        printf("... %zu older ones; --all shows them\n", count - SHOWN);
    json_array_foreach(entries, at, entry)
    {
        if (all || at + SHOWN >= count)
            show_entry(entry);
    }
}

static void say_broken(const struct chain *chain)
{
    if (chain->broken_at != 0)
        ctl_say("the history of %s is not what was written: entry %llu does not follow the one "
                "before it; what is shown of it ends there",
                chain->who, (unsigned long long)chain->broken_at);
    else if (chain->read && !chain->whole)
        ctl_say(
            "the history of %s has lost its end: its newest entry is not the one that it tells of",
            chain->who);
}

enum ctl_exit ctl_history(struct ctl *ctl)
{
    static const struct option options[] = {
        {"json", no_argument, NULL, 'j'}, {"all", no_argument, NULL, 'a'}, {NULL, 0, NULL, 0}};
    bool json = false, all = false, whole = true;
    int option;

    while ((option = getopt_long(ctl->argc, ctl->argv, "+", options, NULL)) != -1) {
        if (option == '?')
            return CTL_REFUSED;
        json = json || option == 'j';
        all = all || option == 'a';
    }
    if (optind != ctl->argc)
        return ctl_usage("history takes no further words");
    json_t *entries = json_array();
    for (size_t i = 0; i <= ctl->settings->standbys_count; i++) {
        const struct standby_settings *standby = i == 0 ? NULL : &ctl->settings->standbys[i - 1];
        struct chain chain = {.who = standby == NULL ? "proxy" : standby->name,
                              .address =
                                  standby == NULL ? &ctl->settings->proxy_admin : &standby->admin};
        whole = read_chain(&chain, entries) && whole;
        say_broken(&chain);
    }
    json_t *list = sorted(entries);
    if (json) {
        json_dumpf(list, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        show(list, all);
    }
    json_decref(list);
    json_decref(entries);
    return whole ? CTL_DONE : CTL_INCOMPLETE;
}
