/* failpoint.c - places where a test can make the program die, wait or fail.
 *
 * Points are found by name in a list behind a mutex: slow, but only test builds come here. What a
 * point does happens outside the mutex, so one that sleeps does not hold up the others.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/failpoint.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

enum action {
    ACTION_NONE,
    ACTION_KILL,
    ACTION_STOP,
    ACTION_DELAY,
    ACTION_ERROR,
};

struct rule {
    enum action action;
    uint64_t delay_ms; /* ACTION_DELAY */
    uint64_t after, every;
    bool once;
    bool random;
    double share;    /* random: of the hits that the others leave */
    uint64_t dice;   /* random: where the sequence stands */
    uint64_t passed; /* hits since it was set */
    bool fired;
};

struct point {
    struct point *next;
    char *name; /* owned; never freed, nor is the point: call sites live for ever */
    uint64_t hits;
    struct rule rule;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct point *points; /* under lock */
static pthread_once_t environment_read = PTHREAD_ONCE_INIT;

/* Under lock. */
static struct point *point_get(struct span name)
{
    struct point **at = &points;
    for (; *at != NULL; at = &(*at)->next)
        if (span_equal(span_cstr((*at)->name), name))
            return *at;
    *at = bytes_zalloc(sizeof **at);
    (*at)->name = span_dup(name);
    return *at;
}

/* ------------------------------------------------------------------------------------------------------
 * Reading a specification */

/* Cuts TEXT in two at the first SEPARATOR and returns what is before it; all of it when there is
 * none. */
static struct span cut_at(struct span *text, char separator)
{
    const char *found = text->size == 0 ? NULL : memchr(text->data, separator, text->size);
    struct span before = *text;
    if (found == NULL) {
        *text = SPAN_NONE;
        return before;
    }
    before.size = (size_t)(found - text->data);
    *text = span_of(found + 1, text->size - before.size - 1);
    return before;
}

/* Splits "word(arguments)"; ARGUMENTS is empty when there are no brackets. */
static bool split_call(struct span text, struct span *word, struct span *arguments)
{
    struct span rest = text;
    *word = cut_at(&rest, '(');
    *arguments = SPAN_NONE;
    if (word->size == text.size)
        return true;
    if (rest.size < 2 || rest.data[rest.size - 1] != ')')
        return false;
    *arguments = span_of(rest.data, rest.size - 1);
    return true;
}

static bool parse_action(struct span text, struct rule *rule)
{
    struct span word, argument;
    if (!split_call(text, &word, &argument))
        return false;
    *rule = (struct rule){.every = 1};
    if (span_equal(word, SPAN("delay"))) {
        rule->action = ACTION_DELAY;
        return span_to_u64(argument, &rule->delay_ms);
    }
    if (span_equal(word, SPAN("kill")))
        rule->action = ACTION_KILL;
    else if (span_equal(word, SPAN("stop")))
        rule->action = ACTION_STOP;
    else if (span_equal(word, SPAN("error")))
        rule->action = ACTION_ERROR;
    else if (!span_equal(word, SPAN("off")))
        return false;
    return argument.size == 0;
}

static bool parse_share(struct span text, double *share)
{
    char number[32], *end;
    if (text.size == 0 || text.size >= sizeof number)
        return false;
    memcpy(number, text.data, text.size);
    number[text.size] = '\0';
    *share = strtod(number, &end);
    return *end == '\0' && *share >= 0 && *share <= 1;
}

static bool parse_modifier(struct span text, struct rule *rule)
{
    struct span word, argument;
    if (!split_call(text, &word, &argument))
        return false;
    if (span_equal(word, SPAN("after")))
        return span_to_u64(argument, &rule->after);
    if (span_equal(word, SPAN("every")))
        return span_to_u64(argument, &rule->every) && rule->every > 0;
    if (span_equal(word, SPAN("prob"))) {
        struct span share = cut_at(&argument, ',');
        rule->random = true;
        return parse_share(share, &rule->share) && span_to_u64(argument, &rule->dice);
    }
    rule->once = true;
    return span_equal(text, SPAN("once"));
}

/* "NAME=action:modifier:..." */
static bool parse_point(struct span text, struct span *name, struct rule *rule)
{
    size_t size = text.size;
    *name = cut_at(&text, '=');
    if (name->size == 0 || name->size == size || memchr(name->data, ':', name->size) != NULL)
        return false;
    if (!parse_action(cut_at(&text, ':'), rule))
        return false;
    while (text.size > 0)
        if (!parse_modifier(cut_at(&text, ':'), rule))
            return false;
    return true;
}

static bool parse_spec(const char *spec, bool apply)
{
    struct span rest = span_cstr(spec), name;
    struct rule rule;
    while (rest.size > 0) {
        struct span text = cut_at(&rest, ';');
        if (text.size == 0)
            continue;
        if (!parse_point(text, &name, &rule))
            return false;
        if (apply)
            point_get(name)->rule = rule;
    }
    return true;
}

/* Under lock. */
static bool set_locked(const char *spec)
{
    if (!parse_spec(spec, false))
        return false;
    if (spec == NULL || *spec == '\0')
        for (struct point *point = points; point != NULL; point = point->next)
            point->rule = (struct rule){0};
    return parse_spec(spec, true);
}

static void read_environment(void)
{
    const char *spec = getenv("TANDEM_FAILPOINTS");
    if (spec != NULL && !set_locked(spec)) {
        fprintf(stderr, "TANDEM_FAILPOINTS cannot be read: %s\n", spec);
        abort(); /* a test that does not break what it says would pass for nothing */
    }
}

static void lock_points(void)
{
    CHECK(pthread_mutex_lock(&lock) == 0);
    CHECK(pthread_once(&environment_read, read_environment) == 0);
}

static void unlock_points(void)
{
    CHECK(pthread_mutex_unlock(&lock) == 0);
}

bool failpoint_set(const char *spec)
{
    lock_points();
    bool ok = set_locked(spec);
    unlock_points();
    return ok;
}

/* ------------------------------------------------------------------------------------------------------
 * Being hit */

/* A number of 0 to below 1 that depends on the seed and on how many came before it. */
static double roll(uint64_t *dice)
{
    uint64_t x = *dice += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return (double)(x >> 11) / (double)(UINT64_C(1) << 53);
}

/* Under lock. */
static bool rule_fires(struct rule *rule)
{
    if (rule->action == ACTION_NONE || ++rule->passed <= rule->after)
        return false;
    if ((rule->passed - rule->after) % rule->every != 0)
        return false;
    if (rule->random && roll(&rule->dice) >= rule->share)
        return false;
    if (rule->once && rule->fired)
        return false;
    rule->fired = true;
    return true;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

bool failpoint_hit(const char *name)
{
    lock_points();
    struct point *point = point_get(span_cstr(name));
    point->hits++;
    enum action action = rule_fires(&point->rule) ? point->rule.action : ACTION_NONE;
    uint64_t delay_ms = point->rule.delay_ms;
    unlock_points();

    switch (action) {
    case ACTION_NONE:
        break;
    case ACTION_KILL:
        kill(getpid(), SIGKILL);
        break;
    case ACTION_STOP:
        kill(getpid(), SIGSTOP);
        break;
    case ACTION_DELAY:
        sleep_ms(delay_ms);
        break;
    case ACTION_ERROR:
        return true;
    }
    return false;
}

uint64_t failpoint_hits(const char *name)
{
    uint64_t hits = 0;
    lock_points();
    for (const struct point *point = points; point != NULL; point = point->next)
        if (strcmp(point->name, name) == 0)
            hits = point->hits;
    unlock_points();
    return hits;
}

void failpoint_list(struct buffer *out)
{
    lock_points();
    for (const struct point *point = points; point != NULL; point = point->next)
        buffer_appendf(out, "%s %" PRIu64 "\n", point->name, point->hits);
    unlock_points();
}
