/* faults.c - what goes wrong in a history: chosen by its seed, healed at its end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "conf/settings.h"
#include "sim.h"

#define SPAN_US (4 * SECOND)

/* Half of the histories do not have this fault at all: so that the others' effects are seen alone.
 */
static unsigned rate(struct sim *sim, unsigned most)
{
    return sim_chance(sim, 500) ? 0 : (unsigned)sim_below(sim, most + 1);
}

void faults_plan(struct sim *sim)
{
    struct plan *plan = &sim->plan;
    *plan = (struct plan){.delay_max_us = sim_chance(sim, 700) ? 3 * MS : 60 * MS};
    plan->metadata = sim_chance(sim, 600);
    plan->pipelines = sim_chance(sim, 300);
    plan->dynamic = sim_chance(sim, 300) ? 0 : sim_chance(sim, 500) ? 200 : 900;
    plan->admin = sim_chance(sim, 300);
    plan->writes_past = sim_chance(sim, 400);
    plan->alias_routes = !plan->metadata && !plan->admin && sim_chance(sim, 500);
    plan->client_gone = rate(sim, 100);
    plan->slow_commit = rate(sim, 100);
    if (sim_chance(sim, 100))
        return; /* a calm day */
    plan->write_unsent = rate(sim, 60);
    plan->write_lost = rate(sim, 60);
    plan->answer_lost = rate(sim, 100);
    plan->write_late = rate(sim, 80);
    plan->answer_5xx = rate(sim, 80);
    plan->write_twice = rate(sim, 80);
    plan->item_busy = rate(sim, 200);
    plan->own_lost = rate(sim, 60);
    plan->page_slow = rate(sim, 300);
    plan->bulk_lost = rate(sim, 150);
    plan->bulk_answer_lost = rate(sim, 150);
    plan->bulk_late = rate(sim, 150);
    plan->bulk_busy = rate(sim, 150);
    plan->bulk_5xx = rate(sim, 100);
    plan->row_busy = rate(sim, 200);
    plan->faults = (unsigned)sim_below(sim, 9);
    plan->journal_full = sim_chance(sim, 300);
    plan->restores = sim_chance(sim, 150);
    plan->loses_store = sim_chance(sim, 200);
    plan->jumps = sim_chance(sim, 200);
}

/* ---- what can be done ---- */

static void fault_crash_proxy(struct sim *sim)
{
    proxy_crash(sim, "killed");
}

static void replicator_again(struct sim *sim, void *arg)
{
    (void)arg;
    replicator_start(sim);
}

static void fault_crash_replicator(struct sim *sim)
{
    if (!sim->up[PROCESS_REPLICATOR])
        return;
    replicator_crash(sim);
    if (sim->plan.loses_store && sim_chance(sim, 500)) {
        sim_say(sim, "the replicator's tables are lost");
        store_memory_free(sim->store_memory);
        sim->store_memory = store_memory_new();
        sim->rewinds = true;
    }
    sim_after(sim, 5 * MS + sim_below(sim, 2 * SECOND), PROCESS_WORLD, replicator_again, NULL,
              NULL);
}

static void fault_restart_primary(struct sim *sim)
{
    sim_say(sim, "the primary restarts");
    model_cluster_restart(sim->clusters[PRIMARY]);
    sim->restarts[PRIMARY]++;
    sim->down_until_us[PRIMARY] = sim->now_us + sim_below(sim, 800 * MS);
}

static void fault_restart_standby(struct sim *sim)
{
    sim_say(sim, "the standby restarts, and forgets tombstones");
    model_cluster_restart(sim->clusters[STANDBY]);
    sim->restarts[STANDBY]++;
    checks_standby_forgot(sim);
    sim->down_until_us[STANDBY] = sim->now_us + sim_below(sim, 800 * MS);
}

static void fault_forget(struct sim *sim)
{
    sim_say(sim, "the standby forgets tombstones");
    model_cluster_forget_tombstones(sim->clusters[STANDBY]);
    sim->restarts[STANDBY]++;
    checks_standby_forgot(sim);
}

static void fault_primary_away(struct sim *sim)
{
    sim_say(sim, "the primary is away for a while");
    sim->down_until_us[PRIMARY] = sim->now_us + sim_below(sim, 2 * SECOND);
}

static void fault_standby_away(struct sim *sim)
{
    sim_say(sim, "the standby is away for a while");
    sim->down_until_us[STANDBY] = sim->now_us + sim_below(sim, 5 * SECOND);
}

static void fault_slow_disk(struct sim *sim)
{
    sim_say(sim, "the journal's disk is slow for a while");
    sim->slow_until_us = sim->now_us + sim_below(sim, 2 * SECOND);
}

static void fault_journal_full(struct sim *sim)
{
    unsigned count = 1 + (unsigned)sim_below(sim, 6);
    if (!sim->plan.journal_full)
        return;
    sim_say(sim, "the journal has no room for %u commits", count);
    memory_disk_fail(sim->disk, STATUS_JOURNAL_FULL, count);
}

static void fault_journal_fails(struct sim *sim)
{
    sim_say(sim, "the journal's disk fails once");
    memory_disk_fail(sim->disk, STATUS_JOURNAL_IO, 1);
}

static void fault_snapshot(struct sim *sim)
{
    if (!sim->plan.restores || sim->snapshot != NULL)
        return;
    sim_say(sim, "a copy of the standby is taken");
    sim->snapshot = model_cluster_copy(sim->clusters[STANDBY]);
}

static void fault_restore(struct sim *sim)
{
    if (!sim->plan.restores || sim->snapshot == NULL)
        return;
    sim_say(sim, "the standby is restored from the copy");
    if (sim->up[PROCESS_REPLICATOR]) {
        replicator_crash(sim);
        sim_after(sim, SECOND, PROCESS_WORLD, replicator_again, NULL, NULL);
    }
    model_cluster_free(sim->clusters[STANDBY]);
    sim->clusters[STANDBY] = model_cluster_copy(sim->snapshot);
    checks_standby_forgot(sim);
    checks_observe(sim, STANDBY);
    sim->rewinds = true;
}

static void fault_admin(struct sim *sim)
{
    static const char *const names[] = {"/alpha", "/beta", "/gamma"};
    const char *name = names[sim_below(sim, 3)];
    char target[60], body[100];
    if (!sim->plan.admin)
        return;
    sim_say(sim, "an administrator works on the primary, past Tandem");
    switch (sim_below(sim, 4)) {
    case 0:
        network_ask(sim, PRIMARY, "DELETE", name, NULL);
        network_ask(sim, PRIMARY, "PUT", name, "{\"settings\":{\"number_of_shards\":1}}");
        break;
    case 1:
        network_ask(sim, PRIMARY, "DELETE", name, NULL);
        break;
    case 2:
        snprintf(target, sizeof target, "%s/_mapping", name);
        snprintf(body, sizeof body, "{\"properties\":{\"f%u\":{\"type\":\"keyword\"}}}",
                 (unsigned)sim_below(sim, 6));
        network_ask(sim, PRIMARY, "PUT", target, body);
        break;
    default:
        snprintf(body, sizeof body,
                 "{\"actions\":[{\"add\":{\"index\":\"%s\",\"alias\":\"al\"%s}}]}", name + 1,
                 sim->plan.alias_routes ? ",\"routing\":\"r1\"" : "");
        network_ask(sim, PRIMARY, "POST", "/_aliases", body);
        break;
    }
}

static void fault_write_past(struct sim *sim)
{
    if (sim->plan.writes_past)
        clients_write_past(sim, 1 + sim_below(sim, 5), false);
}

static void hold_ends(struct sim *sim, void *arg)
{
    (void)arg;
    proxy_end_hold(sim);
}

static void fault_hold(struct sim *sim)
{
    proxy_hold(sim, 100 * MS + sim_below(sim, 3 * SECOND));
    if (sim_chance(sim, 500))
        sim_after(sim, sim_below(sim, 3 * SECOND), PROCESS_PROXY, hold_ends, NULL, NULL);
}

static void fault_jump(struct sim *sim)
{
    if (!sim->plan.jumps)
        return;
    sim_say(sim, "everything stands still for minutes");
    sim->restarts[STANDBY]++; /* what was on its way to the standby has gone: no bulk outlives its
                                 tombstones */
    checks_standby_forgot(sim);
    sim->now_us += 61 * SECOND + sim_below(sim, 300 * SECOND);
}

static void (*const faults[])(struct sim *sim) = {
    fault_crash_proxy,
    fault_crash_proxy,
    fault_crash_replicator,
    fault_crash_replicator,
    fault_restart_primary,
    fault_restart_standby,
    fault_forget,
    fault_primary_away,
    fault_standby_away,
    fault_slow_disk,
    fault_journal_full,
    fault_journal_fails,
    fault_snapshot,
    fault_restore,
    fault_admin,
    fault_admin,
    fault_write_past,
    fault_write_past,
    fault_jump,
    fault_hold,
};

static void run_fault(struct sim *sim, void *arg)
{
    (void)arg;
    sim->faults_left--;
    if (!sim->healed)
        faults[sim_below(sim, COUNT_OF(faults))](sim);
}

void faults_start(struct sim *sim)
{
    sim->faults_left = sim->plan.faults;
    for (size_t i = 0; i < sim->plan.faults; i++)
        sim_after(sim, sim_below(sim, SPAN_US), PROCESS_WORLD, run_fault, NULL, NULL);
}

void faults_heal(struct sim *sim)
{
    sim_say(sim, "all is healed");
    sim->healed = true;
    sim->settings->follower_interval =
        2 * SECOND; /* only the watch list is waited for: no need to look often */
    sim->slow_until_us = 0;
    proxy_end_hold(sim);
    sim->down_until_us[PRIMARY] = sim->down_until_us[STANDBY] = 0;
    memory_disk_fail(sim->disk, STATUS_OK, 0);
}
