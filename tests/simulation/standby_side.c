/* standby_side.c - the replicator in the simulation: the world of its machines, its births and its
 * crashes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "conf/settings.h"
#include "replicator/standby.h"
#include "replicator/verify.h"
#include "sim.h"

#define TICK_QUIET_US (250 * MS)
#define PAGE_SLOW_MAX_US (40 * SECOND)

static struct sim *sim_of(struct standby *sb)
{
    return sb->world_arg;
}

static uint64_t world_now(struct standby *sb)
{
    return sim_of(sb)->now_us;
}

static uint64_t world_wall(struct standby *sb)
{
    return sim_of(sb)->now_us + sim_of(sb)->wall_offset_us;
}

static void world_call(struct standby *sb, struct es_call *call)
{
    bool bulk = memmem(call->target.data, call->target.size, "_bulk", 5) != NULL;
    network_call(sim_of(sb), STANDBY, PROCESS_REPLICATOR, bulk ? FLIGHT_BULK : FLIGHT_OWN, call);
}

/* A call to the primary that begins late: it takes long to answer. */
struct slow_call {
    struct es_call *call;
};

static void slow_call_begins(struct sim *sim, void *arg)
{
    struct slow_call *slow = arg;
    network_call(sim, PRIMARY, PROCESS_REPLICATOR, FLIGHT_OWN, slow->call);
    free(slow);
}

static void world_primary_call(struct standby *sb, struct es_call *call)
{
    struct sim *sim = sim_of(sb);
    if (sim->healed || !sim_chance(sim, sim->plan.page_slow)) {
        network_call(sim, PRIMARY, PROCESS_REPLICATOR, FLIGHT_OWN, call);
        return;
    }
    struct slow_call *slow = bytes_zalloc(sizeof *slow);
    slow->call = call;
    sim_after(sim, sim_below(sim, PAGE_SLOW_MAX_US), PROCESS_REPLICATOR, slow_call_begins, free,
              slow);
}

static bool world_primary_uuid(struct standby *sb, struct buffer *out)
{
    return journal_get(sim_of(sb)->reader, JOURNAL_STATE, SPAN("cluster_uuid"), out) == STATUS_OK;
}

static enum status world_read(struct standby *sb, uint64_t from, size_t max_records,
                              size_t max_bytes, struct buffer *out, size_t *count)
{
    return journal_read(sim_of(sb)->reader, from, max_records, max_bytes, out, count);
}

static void world_journal_info(struct standby *sb, struct journal_info *info)
{
    journal_info(sim_of(sb)->reader, info);
}

static enum status world_definitions(struct standby *sb, journal_each_fn each, void *arg)
{
    return journal_scan(sim_of(sb)->reader, JOURNAL_DEFINITIONS, SPAN_NONE, each, arg);
}

static void world_ask_mark(struct standby *sb)
{
    proxy_ask_mark(sim_of(sb));
}

static void world_report(struct standby *sb, uint64_t seq)
{
    struct sim *sim = sim_of(sb);
    struct journal_info info;
    journal_info(sim->reader, &info);
    if (seq > info.last_seq)
        sim_fail(sim, "C12", "the replicator reports seq %" PRIu64 ", the journal ends at %" PRIu64,
                 seq, info.last_seq);
    if (seq < sim->reported && !sim->rewinds)
        sim_fail(sim, "C4", "the reported position went back from %" PRIu64 " to %" PRIu64,
                 sim->reported, seq);
    sim->reported = seq;
}

static const struct standby_world world = {.now_us = world_now,
                                           .wall_us = world_wall,
                                           .call = world_call,
                                           .primary_call = world_primary_call,
                                           .primary_uuid = world_primary_uuid,
                                           .read = world_read,
                                           .journal_info = world_journal_info,
                                           .definitions = world_definitions,
                                           .ask_mark = world_ask_mark,
                                           .report = world_report};

static void start_again(struct sim *sim, void *arg)
{
    (void)arg;
    replicator_start(sim);
}

/* A replicator that stopped so that taking over once more puts things right does that; other
 * stops need a person. */
static void look(struct sim *sim)
{
    if (sim->standby->state != STANDBY_STOPPED)
        return;
    if (!sim->standby->begin_again) {
        sim_fail(sim, "C8", "the replicator stopped: %s", sim->standby->why);
        return;
    }
    sim_say(sim, "replicator stops: %s", sim->standby->why);
    sim->stops = true;
}

/* After a turn of the standby: it can't be freed within it. */
static void stop_if_asked(struct sim *sim)
{
    if (!sim->stops)
        return;
    sim->stops = false;
    replicator_crash(sim);
    sim_after(sim, SECOND, PROCESS_WORLD, start_again, NULL, NULL);
}

static void tick(struct sim *sim, void *arg)
{
    (void)arg;
    uint64_t next = standby_tick(sim->standby);
    look(sim);
    if (sim->stops) {
        stop_if_asked(sim);
        return;
    }
    if (sim->healed && next < sim->now_us + TICK_QUIET_US)
        next = sim->now_us + TICK_QUIET_US;
    sim_at(sim, next, PROCESS_REPLICATOR, tick, NULL, NULL);
}

void replicator_on_records(struct sim *sim)
{
    if (sim->standby == NULL)
        return;
    standby_on_records(sim->standby); /* the next tick looks at its state */
}

void replicator_on_mark(struct sim *sim, uint64_t number)
{
    if (sim->standby != NULL)
        standby_on_mark_number(sim->standby, number);
}

void replicator_start(struct sim *sim)
{
    if (sim->up[PROCESS_REPLICATOR])
        return;
    sim_say(sim, "replicator starts");
    sim->up[PROCESS_REPLICATOR] = true;
    CHECK(journal_open_memory(sim->disk, true, &sim->reader) == STATUS_OK);
    CHECK(store_open_memory(sim->store_memory, &sim->store) == STATUS_OK);
    sim->standby = standby_new(sim->settings, &sim->settings->standbys[0], sim->store, &world, sim);
    sim_after(sim, 1, PROCESS_REPLICATOR, tick, NULL, NULL);
}

void replicator_free(struct sim *sim)
{
    if (!sim->up[PROCESS_REPLICATOR])
        return;
    sim->up[PROCESS_REPLICATOR] = false;
    sim->life[PROCESS_REPLICATOR]++;
    standby_free(sim->standby);
    store_close(sim->store);
    journal_close(sim->reader);
    sim->standby = NULL;
    sim->mark_wanted = false;
}

void replicator_crash(struct sim *sim)
{
    sim_say(sim, "replicator dies");
    replicator_free(sim);
}

const char *replicator_busy(struct sim *sim)
{
    struct standby *sb = sim->standby;
    if (sb == NULL)
        return "the replicator is down";
    if (sb->state != STANDBY_RUNNING)
        return "the replicator is not running";
    if (sb->applying || sb->bootstrap_at < sb->bootstrap.size)
        return "the replicator applies a definition";
    if (sb->objects_refused)
        return "the replicator has definitions which the standby refused";
    if (standby_lag_records(sb) != 0)
        return "the replicator is behind";
    if (parked_count(sb) != 0)
        return "the replicator has parked rows";
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->state != LIFE_READY && life->state != LIFE_GONE)
            return "the replicator has an index that is not ready";
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->filling && life->state != LIFE_GONE)
            return "the replicator has an index that is not seeded";
    if (verify_is_running(sb))
        return "the clusters are compared";
    if (sb->doc_busy || replay_safe_checkpoint(sb) > sb->stored_checkpoint)
        return "the replicator has not stored its position";
    return NULL;
}
