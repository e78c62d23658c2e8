/* hold.c - the hold: all writes wait in the proxy, reads go on.
 *
 * A hold walks OFF -> ON -> RELEASING -> OFF.
 *
 * Nearly always it is OFF, and then to enter is to count up and look at the state, without a lock.
 * Both are in the one order of all atomics (seq_cst): either hold_begin() sees the count, or who
 * counted sees that a hold has begun and takes the count back. So when nothing is in flight under a
 * hold, nothing that goes on is overlooked.
 *
 * What was held goes on in the order in which it came, at most RELEASED_AT_ONCE at a time, so that
 * a primary that has just come back does not get all of it in one moment; what comes meanwhile
 * stands behind it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/hold.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/log.h"
#include "conf/settings.h"
#include "proxy/core.h"

#define RELEASED_AT_ONCE 64

struct hold {
    struct core *core;
    _Atomic int state; /* enum hold_state; written under the lock */
    _Atomic uint64_t in_flight;
    pthread_mutex_t lock; /* of all below */
    struct hold_use *first, **last;
    uint64_t held, bytes;
    uint64_t begun_us, until_us;
    uint64_t holds, most, longest_us;
    char ended[160];
    bool cut;
};

struct hold *hold_new(struct core *core)
{
    struct hold *hold = bytes_zalloc(sizeof *hold);
    hold->core = core;
    hold->last = &hold->first;
    atomic_init(&hold->state, HOLD_OFF);
    pthread_mutex_init(&hold->lock, NULL);
    return hold;
}

void hold_free(struct hold *hold)
{
    if (hold == NULL)
        return;
    pthread_mutex_destroy(&hold->lock);
    free(hold);
}

static void run_released(struct loop_task *task)
{
    struct hold_use *use = (struct hold_use *)task;
    use->on_released(use);
}

/* With the lock. */
static void release_some(struct hold *hold)
{
    uint64_t now = hold->core->now_us(hold->core);
    while (hold->first != NULL && atomic_load(&hold->in_flight) < RELEASED_AT_ONCE) {
        struct hold_use *use = hold->first;
        uint64_t waited = now - use->since_us;
        hold->first = use->next;
        if (hold->first == NULL)
            hold->last = &hold->first;
        hold->held--;
        hold->bytes -= use->bytes;
        hold->longest_us = waited > hold->longest_us ? waited : hold->longest_us;
        atomic_fetch_add(&hold->in_flight, 1);
        use->task.run = run_released;
        hold->core->post(use->loop, &use->task);
    }
    if (hold->first != NULL)
        return;
    atomic_store(&hold->state, HOLD_OFF);
    log_info("hold", "all that was held goes on (requests=%" PRIu64 " longest_ms=%" PRIu64 ")",
             hold->most, hold->longest_us / 1000);
}

/* With the lock. */
static void end(struct hold *hold, const char *why, bool cut)
{
    snprintf(hold->ended, sizeof hold->ended, "%s", why);
    hold->cut = cut;
    atomic_store(&hold->state, HOLD_RELEASING);
    LOG_AT(cut ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "hold",
           "ended: %s (held_ms=%" PRIu64 " requests=%" PRIu64 ")", why,
           (hold->core->now_us(hold->core) - hold->begun_us) / 1000, hold->held);
    release_some(hold);
}

/* With the lock. */
static void look_at_bounds(struct hold *hold)
{
    const struct settings *settings = hold->core->settings;
    if (hold->held > settings->hold_requests_max)
        end(hold, "more requests are held than hold.requests_max", true);
    else if (hold->bytes > settings->hold_bytes_max)
        end(hold, "the requests that are held take more than hold.bytes_max", true);
}

bool hold_enter(struct hold *hold, struct hold_use *use)
{
    atomic_fetch_add(&hold->in_flight, 1);
    if (atomic_load(&hold->state) == HOLD_OFF)
        return true;
    pthread_mutex_lock(&hold->lock);
    if (atomic_load(&hold->state) == HOLD_OFF) {
        pthread_mutex_unlock(&hold->lock);
        return true;
    }
    atomic_fetch_sub(&hold->in_flight, 1);
    use->since_us = hold->core->now_us(hold->core);
    use->next = NULL;
    *hold->last = use;
    hold->last = &use->next;
    hold->held++;
    hold->bytes += use->bytes;
    hold->most = hold->held > hold->most ? hold->held : hold->most;
    if (atomic_load(&hold->state) == HOLD_ON)
        look_at_bounds(hold);
    else
        release_some(hold);
    pthread_mutex_unlock(&hold->lock);
    return false;
}

void hold_leave(struct hold *hold)
{
    atomic_fetch_sub(&hold->in_flight, 1);
    if (atomic_load(&hold->state) != HOLD_RELEASING)
        return;
    pthread_mutex_lock(&hold->lock);
    if (atomic_load(&hold->state) == HOLD_RELEASING)
        release_some(hold);
    pthread_mutex_unlock(&hold->lock);
}

bool hold_begin(struct hold *hold, uint64_t max_us)
{
    pthread_mutex_lock(&hold->lock);
    bool off = atomic_load(&hold->state) == HOLD_OFF;
    if (off) {
        hold->begun_us = hold->core->now_us(hold->core);
        hold->until_us =
            hold->begun_us + (max_us == 0 ? hold->core->settings->hold_time_max : max_us);
        hold->holds++;
        hold->most = hold->longest_us = 0;
        hold->ended[0] = '\0';
        hold->cut = false;
        atomic_store(&hold->state, HOLD_ON);
        log_info("hold", "writes are held (for_at_most_ms=%" PRIu64 ")",
                 (hold->until_us - hold->begun_us) / 1000);
    }
    pthread_mutex_unlock(&hold->lock);
    return off;
}

bool hold_end(struct hold *hold, const char *why)
{
    pthread_mutex_lock(&hold->lock);
    bool on = atomic_load(&hold->state) == HOLD_ON;
    if (on)
        end(hold, why, false);
    pthread_mutex_unlock(&hold->lock);
    return on;
}

uint64_t hold_tick(struct hold *hold, uint64_t now_us)
{
    uint64_t next = UINT64_MAX;
    if (atomic_load(&hold->state) == HOLD_OFF)
        return next;
    pthread_mutex_lock(&hold->lock);
    if (atomic_load(&hold->state) == HOLD_ON && now_us >= hold->until_us)
        end(hold, "its time was over", true);
    else if (atomic_load(&hold->state) == HOLD_ON)
        next = hold->until_us;
    else if (atomic_load(&hold->state) == HOLD_RELEASING)
        release_some(hold); /* who entered and took it back may have hidden room */
    pthread_mutex_unlock(&hold->lock);
    return next;
}

bool hold_is_quiet(const struct hold *hold, const struct hold_info *info)
{
    return info->state == HOLD_ON && info->in_flight == 0 &&
           sequencer_open_intents(hold->core->sequencer) == 0;
}

void hold_look(struct hold *hold, struct hold_info *info)
{
    uint64_t now = hold->core->now_us(hold->core);
    pthread_mutex_lock(&hold->lock);
    bool on = atomic_load(&hold->state) == HOLD_ON;
    *info = (struct hold_info){
        .state = (enum hold_state)atomic_load(&hold->state),
        .held = hold->held,
        .bytes = hold->bytes,
        .in_flight = atomic_load(&hold->in_flight),
        .for_us = on && now > hold->begun_us ? now - hold->begun_us : 0,
        .ends_in_us = on && hold->until_us > now ? hold->until_us - now : 0,
        .holds = hold->holds,
        .most = hold->most,
        .longest_us = hold->longest_us,
        .cut = hold->cut,
    };
    snprintf(info->ended, sizeof info->ended, "%s", hold->ended);
    pthread_mutex_unlock(&hold->lock);
}
