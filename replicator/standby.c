/* standby.c - one standby: its life cycle, its turns, its lag.
 *
 *     STARTING -> RUNNING -> RELEASING -> RELEASED
 *          \         \           \-> STOPPED
 *
 * STOPPED is for what only a person can decide; the process ends then, and its message says what to
 * do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/audit.h"
#include "replicator/seed.h"
#include "replicator/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "conf/settings.h"

#define RATE_INTERVAL_US (2 * UINT64_C(1000000))

/* clang-format off */
static const struct {
    const char *name;
    unsigned next; /* the states that may follow, as bits */
} standby_states[] = {
    [STANDBY_STARTING]  = {"starting",  BIT(STANDBY_RUNNING) | BIT(STANDBY_STOPPED)},
    [STANDBY_RUNNING]   = {"running",   BIT(STANDBY_RELEASING) | BIT(STANDBY_STOPPED)},
    [STANDBY_RELEASING] = {"releasing", BIT(STANDBY_RELEASED) | BIT(STANDBY_STOPPED)},
    [STANDBY_RELEASED]  = {"released",  0},
    [STANDBY_STOPPED]   = {"blocked",   0},
};
/* clang-format on */

void standby_set_state(struct standby *sb, enum standby_state next)
{
    CHECK(standby_states[sb->state].next & BIT(next));
    log_info(sb->name, "%s -> %s", standby_states[sb->state].name, standby_states[next].name);
    sb->state = next;
}

void standby_stop(struct standby *sb, enum status status, const char *format, ...)
{
    va_list args;
    if (sb->state == STANDBY_STOPPED)
        return;
    va_start(args, format);
    vsnprintf(sb->why, sizeof sb->why, format, args);
    bytes_mend_utf8(sb->why);
    va_end(args);
    log_error(sb->name, "stopping: %s (%s)", sb->why, status_text(status));
    sb->stopped_by = status;
    standby_set_state(sb, STANDBY_STOPPED);
}

int64_t standby_version(struct standby *sb, uint64_t timeline, uint64_t term, int64_t seq_no)
{
    uint64_t base = 0;
    for (size_t i = 0; i < sb->base_count; i++)
        if (sb->bases[i].timeline == timeline)
            base = sb->bases[i].base;
    if (term > sb->high_term)
        sb->high_term = term;
    return record_version(base, term, seq_no);
}

bool standby_at_least(const struct standby *sb, int major, int minor)
{
    return sb->opensearch || sb->major > major || (sb->major == major && sb->minor >= minor);
}

bool standby_has_lifecycle(const struct standby *sb)
{
    return !sb->opensearch && !sb->no_lifecycle;
}

bool standby_store_end(struct standby *sb, enum status status)
{
    if (status == STATUS_OK)
        status = store_commit(sb->store);
    else
        store_abort(sb->store);
    if (status != STATUS_OK)
        standby_stop(sb, status, "the replicator's own tables: %s", status_text(status));
    return status == STATUS_OK;
}

const char *standby_state_name(const struct standby *sb)
{
    if (sb->state == STANDBY_RUNNING) {
        if (sb->paused)
            return sb->lanes_busy == 0 && !sb->script.busy ? "paused" : "pausing";
        if (sb->away)
            return "away";
        for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
            if (life->stopped || life->blocked || life->state == LIFE_HELD)
                return "blocked";
        if (parked_count(((struct standby *)(uintptr_t)sb)) != 0)
            return "parked";
        bool behind = waiting_lowest((struct standby *)(uintptr_t)sb) != UINT64_MAX ||
                      standby_lag_records(sb) > sb->conf->lag_max_records ||
                      standby_lag_us(sb) > sb->conf->lag_max;
        return behind ? "catching_up" : "in_sync";
    }
    return standby_states[sb->state].name;
}

uint64_t standby_lag_records(const struct standby *sb)
{
    struct journal_info info;
    sb->world->journal_info((struct standby *)(uintptr_t)sb, &info);
    uint64_t waiting = 0;
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        waiting += life->waiting;
    uint64_t position = sb->state == STANDBY_STARTING ? sb->checkpoint + 1 : sb->first_open;
    return (info.last_seq + 1 > position ? info.last_seq + 1 - position : 0) + waiting;
}

/* The age of the oldest row that is not through; an estimate from what was read last. */
uint64_t standby_lag_us(const struct standby *sb)
{
    uint64_t wall = sb->world->wall_us((struct standby *)(uintptr_t)sb);
    uint64_t oldest = waiting_oldest_us((struct standby *)(uintptr_t)sb);
    if (standby_lag_records(sb) == 0)
        return 0;
    for (size_t i = 0; i < sb->lane_count; i++) {
        const struct item *heads[2] = {sb->lanes[i].first, sb->lanes[i].flying};
        for (size_t h = 0; h < 2; h++)
            if (heads[h] != NULL && heads[h]->time_us < oldest)
                oldest = heads[h]->time_us;
    }
    if (oldest == UINT64_MAX)
        oldest = sb->last_read_time_us != 0 ? sb->last_read_time_us : wall;
    return wall > oldest ? wall - oldest : 0;
}

bool standby_pause(struct standby *sb, bool paused)
{
    if (paused == sb->paused)
        return true;
    log_info(sb->name, paused ? "paused by an operator" : "resumed by an operator");
    sb->paused = paused;
    return sb->state != STANDBY_RUNNING || takeover_store(sb); /* it outlives the process */
}

/* ---- turns ---- */

static void update_rate(struct standby *sb, uint64_t now_us)
{
    if (now_us - sb->rate_mark_us < RATE_INTERVAL_US)
        return;
    if (sb->rate_mark_us != 0)
        sb->rate =
            (double)(sb->rows_done - sb->rate_rows) * 1e6 / (double)(now_us - sb->rate_mark_us);
    sb->rate_mark_us = now_us;
    sb->rate_rows = sb->rows_done;
}

/* Definitions of a journal whose beginning is gone come before its records. */
static bool bootstrap(struct standby *sb)
{
    if (sb->bootstrap_at >= sb->bootstrap.size) {
        if (sb->bootstrap_kind != BOOTSTRAP_NONE && !sb->applying) {
            sb->bootstrap_kind = BOOTSTRAP_NONE;
            (void)takeover_store(sb);
        }
        return false;
    }
    struct span rest =
        span_of(sb->bootstrap.data + sb->bootstrap_at, sb->bootstrap.size - sb->bootstrap_at);
    struct record record;
    size_t used;
    if (sb->applying)
        return true;
    if (record_decode(rest, &record, &used) != STATUS_OK) {
        standby_stop(sb, STATUS_RECORD_TORN, "a definition in the journal is damaged");
        return true;
    }
    sb->bootstrap_at += used;
    if (sb->bootstrap_kind == BOOTSTRAP_INCOMPLETE &&
        span_equal(record.metadata.type, SPAN("index")) && !record.metadata.gone)
        life_get(sb, record.metadata.incarnation)->incomplete = true;
    if (!record.metadata.gone)
        metadata_apply_bytes(sb, span_of(rest.data, used));
    return true;
}

static void run(struct standby *sb, uint64_t now_us)
{
    if (sb->release_undoing) {
        release_tick(sb, now_us);
        return;
    }
    metadata_tick(sb, now_us);
    if (!bootstrap(sb) && !sb->paused) {
        waiting_tick(sb, now_us);
        seed_tick(sb, now_us); /* what it puts into the lanes goes out at once */
        replay_tick(sb, now_us);
        verify_tick(sb, now_us);
        audit_tick(sb, now_us);
    }
    if (sb->state == STANDBY_STOPPED)
        return;
    marks_tick(sb, now_us);
    deletes_tick(sb, now_us);
    takeover_tick_document(sb, now_us);
    update_rate(sb, now_us);
    if (sb->state == STANDBY_RELEASING)
        release_tick(sb, now_us);
}

uint64_t standby_tick(struct standby *sb)
{
    uint64_t now = sb->world->now_us(sb);
    switch (sb->state) {
    case STANDBY_STARTING:
        if (sb->takeover.on_end == NULL)
            takeover_begin(sb);
        script_tick(&sb->takeover, now);
        break;
    case STANDBY_RUNNING:
    case STANDBY_RELEASING:
        run(sb, now);
        break;
    case STANDBY_RELEASED:
    case STANDBY_STOPPED:
        break;
    }
    return now + 50000;
}

void standby_on_records(struct standby *sb)
{
    if (sb->state == STANDBY_RUNNING || sb->state == STANDBY_RELEASING)
        standby_tick(sb);
}

/* ---- birth and end ---- */

struct standby *standby_new(const struct settings *settings, const struct standby_settings *conf,
                            struct store *store, const struct standby_world *world, void *world_arg)
{
    struct standby *sb = bytes_zalloc(sizeof *sb);
    sb->settings = settings;
    sb->conf = conf;
    sb->store = store;
    sb->world = world;
    sb->world_arg = world_arg;
    snprintf(sb->name, sizeof sb->name, "standby %.50s", conf->name);
    sb->begun_us = world->now_us(sb);
    es_call_init(&sb->audit_call);
    enum status status = standby_load(sb);
    if (status != STATUS_OK)
        standby_stop(sb, status, "the replicator's own tables in %s cannot be read", conf->folder);
    return sb;
}

void standby_free(struct standby *sb)
{
    if (sb == NULL)
        return;
    replay_free(sb);
    audit_free(sb);
    seed_free(sb);
    verify_free(sb);
    script_fini(&sb->script);
    script_fini(&sb->takeover);
    script_fini(&sb->doc_script);
    while (sb->lives != NULL)
        life_free(sb, sb->lives);
    buffer_fini(&sb->pending_bytes);
    buffer_fini(&sb->bootstrap);
    buffer_fini(&sb->objects_tried);
    free(sb->pending);
    free(sb->cluster_uuid);
    free(sb->session_text);
    free(sb->system_id);
    buffer_fini(&sb->in_doubt);
    json_decref(sb->release_left);
    free(sb);
}
