/* names.c - which index names are being written, and which are being redefined.
 *
 * All uses stand in one list in order of arrival. A use may run when no earlier one conflicts with
 * it: two conflict when one of them is exclusive and a name of one matches a name of the other. So
 * a change of definitions is never starved, and neither are writes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/names.h"

#include <pthread.h>
#include <stdlib.h>

#include "conf/settings.h"
#include "proxy/core.h"

#define DELETIONS_KEPT 1024
/* Long enough for the follower to read the state behind the deletion, short enough not to excuse a
 * later loss. */
#define DELETION_BELIEVED_US (120 * UINT64_C(1000000))

struct names {
    struct core *core;
    pthread_mutex_t lock;
    struct names_use *first, *last;
    size_t exclusive_count, waiting_count;
    struct {
        char *pattern;
        uint64_t at_us;
    } deletions[DELETIONS_KEPT]; /* ring */
    size_t deletion_next;
};

struct names *names_new(struct core *core)
{
    struct names *names = bytes_zalloc(sizeof *names);
    names->core = core;
    pthread_mutex_init(&names->lock, NULL);
    return names;
}

void names_free(struct names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < DELETIONS_KEPT; i++)
        free(names->deletions[i].pattern);
    pthread_mutex_destroy(&names->lock);
    free(names);
}

static bool name_matches(struct span name, struct span pattern)
{
    return span_equal(pattern, SPAN("_all")) || span_matches(name, pattern);
}

static bool conflict(const struct names_use *a, const struct names_use *b)
{
    if (!a->exclusive && !b->exclusive)
        return false;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++)
            if (name_matches(a->names[i], b->names[j]) || name_matches(b->names[j], a->names[i]))
                return true;
    return false;
}

static bool may_run(const struct names *names, const struct names_use *use)
{
    if (names->exclusive_count == 0)
        return true;
    for (const struct names_use *u = names->first; u != use; u = u->next)
        if (conflict(u, use))
            return false;
    return true;
}

static void run_granted(struct loop_task *task)
{
    struct names_use *use = (struct names_use *)task;
    use->state = USE_RUNNING;
    use->on_granted(use);
}

/* Lets USE go on (or be refused: DENIED); it is told in its own thread. */
static void grant(struct names *names, struct names_use *use, bool denied)
{
    use->denied = denied;
    use->state = USE_GRANTING;
    use->task.run = run_granted;
    names->waiting_count -= !use->exclusive;
    names->core->post(use->loop, &use->task);
}

static void grant_those_that_may(struct names *names)
{
    for (struct names_use *u = names->first; u != NULL; u = u->next)
        if (u->state == USE_WAITING && may_run(names, u))
            grant(names, u, false);
}

bool names_enter(struct names *names, struct names_use *use)
{
    pthread_mutex_lock(&names->lock);
    use->denied = false;
    use->overlapped = false;
    use->since_us = names->core->now_us(names->core);
    use->next = NULL;
    use->previous = names->last;
    if (names->last != NULL)
        names->last->next = use;
    else
        names->first = use;
    names->last = use;
    names->exclusive_count += use->exclusive;
    bool granted = may_run(names, use);
    use->state = granted ? USE_RUNNING : USE_WAITING;
    if (!granted && !use->exclusive) {
        names->waiting_count++;
        atomic_fetch_add(&names->core->held, 1);
    }
    pthread_mutex_unlock(&names->lock);
    return granted;
}

void names_leave(struct names *names, struct names_use *use)
{
    pthread_mutex_lock(&names->lock);
    CHECK(use->state == USE_RUNNING);
    if (use->previous != NULL)
        use->previous->next = use->next;
    else
        names->first = use->next;
    if (use->next != NULL)
        use->next->previous = use->previous;
    else
        names->last = use->previous;
    use->state = USE_OUT;
    bool others_wait = names->exclusive_count != 0;
    names->exclusive_count -= use->exclusive;
    if (others_wait)
        grant_those_that_may(names);
    pthread_mutex_unlock(&names->lock);
}

/* A change of definitions that waited long enough goes ahead of writes that hang; they learn that
 * it did. */
static void force_exclusive(struct names *names, struct names_use *use)
{
    for (struct names_use *u = names->first; u != use; u = u->next)
        if (conflict(u, use))
            u->overlapped = true;
    use->overlapped = true;
    grant(names, use, false);
}

void names_tick(struct names *names, uint64_t now_us)
{
    uint64_t limit = names->core->settings->proxy_hold_timeout;
    pthread_mutex_lock(&names->lock);
    if (names->exclusive_count != 0)
        for (struct names_use *u = names->first; u != NULL; u = u->next) {
            /* Another thread may have begun to wait after NOW_US was read. */
            if (u->state != USE_WAITING || now_us < u->since_us + limit)
                continue;
            if (u->exclusive)
                force_exclusive(names, u);
            else
                grant(names, u, true);
        }
    pthread_mutex_unlock(&names->lock);
}

void names_look(struct names *names, struct span name, bool *redefined, bool *written)
{
    pthread_mutex_lock(&names->lock);
    for (const struct names_use *u = names->first; u != NULL; u = u->next)
        for (size_t i = 0; i < u->count; i++)
            if (name_matches(name, u->names[i]))
                *(u->exclusive ? redefined : written) = true;
    pthread_mutex_unlock(&names->lock);
}

size_t names_held(struct names *names)
{
    pthread_mutex_lock(&names->lock);
    size_t held = names->waiting_count;
    pthread_mutex_unlock(&names->lock);
    return held;
}

size_t names_in_use(struct names *names)
{
    size_t count = 0;
    pthread_mutex_lock(&names->lock);
    for (const struct names_use *u = names->first; u != NULL; u = u->next)
        count++;
    pthread_mutex_unlock(&names->lock);
    return count;
}

void names_note_deletion(struct names *names, struct span pattern)
{
    pthread_mutex_lock(&names->lock);
    free(names->deletions[names->deletion_next].pattern);
    names->deletions[names->deletion_next].pattern = span_dup(pattern);
    names->deletions[names->deletion_next].at_us = names->core->now_us(names->core);
    names->deletion_next = (names->deletion_next + 1) % DELETIONS_KEPT;
    pthread_mutex_unlock(&names->lock);
}

bool names_was_deleted(struct names *names, struct span name)
{
    bool found = false;
    pthread_mutex_lock(&names->lock);
    uint64_t now = names->core->now_us(names->core); /* not before: others note the time within it */
    for (size_t i = 0; i < DELETIONS_KEPT && !found; i++)
        if (names->deletions[i].pattern != NULL &&
            now - names->deletions[i].at_us < DELETION_BELIEVED_US)
            found = name_matches(name, span_cstr(names->deletions[i].pattern));
    pthread_mutex_unlock(&names->lock);
    return found;
}
