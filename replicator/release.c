/* release.c - gives a standby back as an ordinary cluster: drains, undoes what replication set.
 *
 * Works with the primary and the proxy alive or dead: what was in the journal when the release
 * began is drained. Rows that still wait for a mapping go through an open gate, in order. Rows that
 * nothing can bring in (their index is held, or stopped) keep the release waiting, with a problem
 * that says so, until that is mended or the operator says to leave them out (force). Then:
 *  1. the store and .tandem say that the release is under way: a restart goes on from here
 *  2. the aliases of rows and lives go: nothing of ours can write any more
 *  3. each index gets the primary's own limits and pipelines back
 *  4. the shadow goes, templates that waited or were refused are put, and then lifecycle engines
 *     start: what a rollover makes is made from these templates
 *  5. .tandem says "released"
 *
 * What fails within 3 and 4 does not keep the cluster from being released: it is listed, for the
 * operator to mend. Every step can be repeated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "conf/settings.h"
#include "http/message.h"
#include "replicator/standby.h"

#define IN_DOUBT_LISTED 200
#define GATES_AGAIN_US (3 * UINT64_C(1000000))
#define OPEN_GATE "{\"index\":{\"mapping.total_fields.limit\":100000}}"

bool release_begin(struct standby *sb, bool force, char *why, size_t why_size)
{
    struct journal_info info;
    if (sb->state == STANDBY_RELEASING || sb->state == STANDBY_RELEASED) {
        sb->release_force = sb->release_force || force;
        return true;
    }
    if (sb->state != STANDBY_RUNNING) {
        snprintf(why, why_size, "the standby is %s, not running: %s", standby_state_name(sb),
                 sb->why);
        return false;
    }
    if (parked_count(sb) != 0 && !force) {
        snprintf(why, why_size,
                 "rows are parked; decide first: tandemctl parked list, then retry or drop "
                 "(or release --force: they are left out)");
        return false;
    }
    sb->world->journal_info(sb, &info);
    sb->release_to = info.last_seq;
    sb->release_force = force;
    sb->paused = false;
    log_info(sb->name, "release: draining the journal (to_seq=%" PRIu64 " lag_records=%" PRIu64 ")",
             sb->release_to, standby_lag_records(sb));
    standby_set_state(sb, STANDBY_RELEASING);
    return true;
}

/* Something that the operator has to look at when the cluster is released. */
PRINTF_LIKE(2, 3) static void note_left(struct standby *sb, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bytes_mend_utf8(text);
    log_warn(sb->name, "release: %s", text);
    if (sb->release_left == NULL)
        sb->release_left = json_array();
    json_array_append_new(sb->release_left, json_string(text));
}

/* ---- what still waits ---- */

static bool takes_rows(const struct life *life)
{
    return life->state == LIFE_READY && !life->stopped && !life->blocked;
}

static void gate_on_end(struct script *script)
{
    struct standby *sb = script->sb;
    script->failed = false;
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        life->next_try_us = 0;
}

static void on_gate(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    if (http_status < 200 || http_status >= 300)
        log_error(sb->name, "release: a gate is not opened: %d %.*s", http_status,
                  (int)(body.size > 200 ? 200 : body.size), body.data == NULL ? "" : body.data);
}

/* Also again after a while: a definition that was tried once more may have closed it. */
static void open_gates(struct standby *sb, uint64_t now_us)
{
    if (now_us < sb->release_gates_us)
        return;
    sb->release_gates_us = now_us + GATES_AGAIN_US;
    script_fini(&sb->takeover);
    script_init(&sb->takeover, sb, "release", gate_on_end);
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        struct buffer name = {0};
        if (life->waiting == 0 || !takes_rows(life))
            continue;
        log_warn(sb->name,
                 "release: rows of index %s wait for a mapping that never came; they go through an "
                 "open gate (rows=%" PRIu64 ")",
                 life->name, life->waiting);
        http_percent_encode(span_cstr(life->name), &name);
        script_push(&sb->takeover, on_gate, OPEN_GATE, "PUT", "/%s/_settings", buffer_cstr(&name));
        buffer_fini(&name);
    }
    script_run(&sb->takeover);
}

/* True while rows wait that may still go. */
static bool must_wait(struct standby *sb, uint64_t now_us)
{
    bool movable = false, stuck = false;
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        if (life->waiting == 0)
            continue;
        if (takes_rows(life)) {
            movable = true;
            continue;
        }
        stuck = true;
        if (!sb->release_force)
            snprintf(sb->alarm, sizeof sb->alarm,
                     "the release waits: %" PRIu64
                     " rows of index %.100s cannot go in (%.200s); mend "
                     "that, or leave them out: tandemctl release %s --force",
                     life->waiting, life->name == NULL ? "?" : life->name,
                     life->why != NULL ? life->why : "it is stopped or blocked", sb->conf->name);
    }
    if (movable)
        open_gates(sb, now_us);
    return movable || (stuck && !sb->release_force);
}

static void note_what_is_left(struct standby *sb)
{
    uint64_t parked = parked_count(sb);
    if (parked != 0)
        note_left(sb, "%" PRIu64 " rows are parked and not in it: tandemctl parked list", parked);
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        const char *name = life->name == NULL ? "?" : life->name;
        if (life->waiting != 0)
            note_left(sb, "index %s: %" PRIu64 " rows that waited are left out (%s)", name,
                      life->waiting, life->why == NULL ? "it took none" : life->why);
        if (life->state == LIFE_GONE)
            continue;
        if (life->kept)
            note_left(sb, "index %s was deleted on the primary; its copy is still here", name);
        else if (life->filling)
            note_left(sb, "index %s is not complete: it had content that never came here", name);
        if (life->aliases_held)
            note_left(sb, "index %s: an alias of it is still where it was before it moved", name);
    }
}

/* ---- undo ---- */

static bool is_ours(const struct life *life)
{
    return life->standby_uuid != NULL && life->state != LIFE_GONE;
}

/* A step that may fail: what is wrong is listed. */
static void on_undo(struct script *script, int http_status, struct span body)
{
    if ((http_status >= 200 && http_status < 300) || http_status == 404)
        return;
    note_left(script->sb, "%s is refused: %d %.*s", script_target(script), http_status,
              (int)(body.size > 200 ? 200 : body.size), body.data == NULL ? "" : body.data);
}

static void on_optional(struct script *script, int http_status, struct span body)
{
    (void)script; /* an engine without this call has nothing to undo */
    (void)http_status;
    (void)body;
}

static void on_alias_gone(struct script *script, int http_status, struct span body)
{
    (void)script_expect(script, http_status, body, true);
}

/* 404: one of the indices, or its aliases, are gone already: one by one, then. */
static void on_aliases_gone(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    if (http_status != 404) {
        (void)script_expect(script, http_status, body, false);
        return;
    }
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        if (!is_ours(life))
            continue;
        char *text = definition_alias_removal(life->name);
        script_push_next(script, on_alias_gone, text, "POST", "/_aliases");
        free(text);
    }
}

static void push_remove_aliases(struct standby *sb, struct script *script)
{
    json_t *actions = json_array();
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (is_ours(life))
            json_array_append_new(actions, json_pack("{s:{s:s,s:s}}", "remove", "index", life->name,
                                                     "alias", ".tandem*"));
    if (json_array_size(actions) != 0) {
        json_t *body = json_pack("{s:O}", "actions", actions);
        char *text = json_dumps(body, JSON_COMPACT);
        script_push(script, on_aliases_gone, text, "POST", "/_aliases");
        free(text);
        json_decref(body);
    }
    json_decref(actions);
}

static void push_settings_back(struct standby *sb, struct script *script)
{
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        struct buffer name = {0};
        if (!is_ours(life) || life->wanted == NULL)
            continue;
        char *settings = definition_release_settings(sb, life->wanted);
        http_percent_encode(span_cstr(life->name), &name);
        script_push(script, on_undo, settings, "PUT", "/%s/_settings", buffer_cstr(&name));
        free(settings);
        buffer_fini(&name);
    }
}

/* What waited for the release, and what the standby has refused so far. */
static bool push_waiting_object(void *arg, struct span key, struct span value)
{
    struct script *script = arg;
    struct record record;
    size_t used;
    (void)key;
    if (value.size < 2 || value.data[0] == 'a' ||
        record_decode(span_of(value.data + 1, value.size - 1), &record, &used) != STATUS_OK ||
        record.metadata.gone)
        return true;
    char *refused = objects_push(script, on_undo, &record.metadata);
    if (refused != NULL)
        note_left(script->sb, "%.*s %.*s is not there: %s", (int)record.metadata.type.size,
                  record.metadata.type.data, (int)record.metadata.name.size,
                  record.metadata.name.data, refused);
    free(refused);
    return true;
}

static void push_shadow_away(struct standby *sb, struct script *script)
{
    if (standby_at_least(sb, 7, 8))
        script_push(script, on_undo, NULL, "DELETE", "/_index_template/tandem-shadow");
    if (!standby_at_least(sb, 7, 10))
        script_push(script, on_undo, "{\"persistent\":{\"action.auto_create_index\":null}}", "PUT",
                    "/_cluster/settings");
}

static void push_lifecycle_back(struct standby *sb, struct script *script)
{
    if (sb->opensearch) {
        script_push(script, on_optional,
                    "{\"persistent\":{\"plugins.index_state_management.enabled\":null}}", "PUT",
                    "/_cluster/settings");
        return;
    }
    script_push(script, on_optional, NULL, "POST", "/_ilm/start");
    script_push(script, on_optional, NULL, "POST", "/_slm/start");
}

static void undo_on_end(struct script *script)
{
    struct standby *sb = script->sb;
    if (script->failed) {
        standby_stop(sb, STATUS_CLUSTER_ODD,
                     "the release stopped half-way: %s; start the replicator again, it goes on",
                     script->why);
        return;
    }
    log_info(sb->name,
             "released: it is an ordinary cluster now (applied_seq=%" PRIu64
             " in_doubt=%zu to_look_at=%zu)",
             sb->checkpoint, sb->in_doubt_count, json_array_size(sb->release_left));
    standby_set_state(sb, STANDBY_RELEASED);
}

/* What was never acknowledged and may or may not be on the lost primary: said, for the day it comes
 * back. */
static bool note_in_doubt(void *arg, struct span key, struct span value)
{
    struct standby *sb = arg;
    struct intent intent;
    (void)key;
    if (intent_decode(value, &intent) != STATUS_OK)
        return true;
    for (size_t i = 0; i < intent.item_count; i++) {
        const struct intent_item *item = &intent.items[i];
        if (sb->in_doubt_count++ >= IN_DOUBT_LISTED)
            continue;
        log_warn(sb->name, "release: in doubt, never acknowledged: index %.*s id %.*s",
                 (int)item->name.size, item->name.data, (int)item->id.size, item->id.data);
        buffer_append_cstr(&sb->in_doubt, sb->in_doubt.size != 0 ? ",{\"index\":" : "{\"index\":");
        buffer_append_json_string(&sb->in_doubt, item->name);
        buffer_append_cstr(&sb->in_doubt, ",\"id\":");
        buffer_append_json_string(&sb->in_doubt, item->id);
        buffer_append_char(&sb->in_doubt, '}');
    }
    intent_fini(&intent);
    return true;
}

static void push_document(struct standby *sb, struct script *script, const char *state)
{
    struct buffer text = {0};
    takeover_document(sb, state, &text);
    script_push(script, NULL, buffer_cstr(&text), "PUT", "/.tandem/_doc/standby");
    buffer_fini(&text);
}

static void undo(struct standby *sb)
{
    struct script *script = &sb->takeover;
    sb->release_undoing = true;
    if (!takeover_store(sb))
        return;
    if (sb->world->intents != NULL && sb->world->intents(sb, note_in_doubt, sb) != STATUS_OK)
        log_error(sb->name, "release: the journal's open intents cannot be read");
    note_what_is_left(sb);
    script_fini(script);
    script_init(script, sb, "release", undo_on_end);
    push_document(sb, script, "releasing");
    push_remove_aliases(sb, script);
    push_settings_back(sb, script);
    push_shadow_away(sb, script); /* first: some engines take no template beside it */
    if (store_scan(sb->store, STORE_OBJECTS, SPAN_NONE, push_waiting_object, script) != STATUS_OK)
        script_fail(script, "the table of objects cannot be read");
    push_lifecycle_back(sb, script);
    sb->stored_checkpoint = sb->checkpoint;
    push_document(sb, script, "released");
    script_run(script);
}

void release_resume(struct standby *sb)
{
    log_info(sb->name, "release: it was interrupted, and goes on");
    standby_set_state(sb, STANDBY_RELEASING);
    sb->release_undoing = true; /* begun with the next tick: the script that ends now is in use */
    sb->release_again = true;
}

void release_tick(struct standby *sb, uint64_t now_us)
{
    bool drained =
        sb->first_open > sb->release_to && replay_is_drained(sb) && !sb->applying && !sb->doc_busy;
    if (sb->release_again) {
        sb->release_again = false;
        undo(sb);
        return;
    }
    script_tick(&sb->takeover, now_us);
    if (sb->takeover.busy || sb->takeover.first != NULL || !drained || sb->release_undoing)
        return;
    if (!must_wait(sb, now_us))
        undo(sb);
}
