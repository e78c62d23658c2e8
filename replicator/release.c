/* release.c - gives a standby back as an ordinary cluster: drains, undoes what replication set.
 *
 * Works with the primary and the proxy alive or dead: what is in the journal is drained. Rows that
 * still wait for a mapping go through an open gate, in order. Then:
 *  1. the aliases of rows and lives go: nothing of ours can write any more
 *  2. each index gets the primary's own limits and pipelines back
 *  3. templates that waited are put
 *  4. the shadow goes, and lifecycle engines start
 *  5. .tandem says "released"
 *
 * Every step can be repeated: a release that was interrupted is begun again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "conf/settings.h"
#include "http/message.h"
#include "replicator/standby.h"

#define IN_DOUBT_LISTED 200
#define OPEN_GATE "{\"index\":{\"mapping.total_fields.limit\":100000}}"

bool release_begin(struct standby *sb, char *why, size_t why_size)
{
    struct journal_info info;
    if (sb->state == STANDBY_RELEASING || sb->state == STANDBY_RELEASED)
        return true;
    if (sb->state != STANDBY_RUNNING) {
        snprintf(why, why_size, "the standby is %s, not running: %s", standby_state_name(sb),
                 sb->why);
        return false;
    }
    if (parked_count(sb) != 0) {
        snprintf(why, why_size,
                 "rows are parked; decide first: tandemctl parked list, then retry or drop");
        return false;
    }
    sb->world->journal_info(sb, &info);
    sb->release_to = info.last_seq;
    sb->paused = false;
    log_info(sb->name, "release: draining the journal (to_seq=%" PRIu64 " lag_records=%" PRIu64 ")",
             sb->release_to, standby_lag_records(sb));
    standby_set_state(sb, STANDBY_RELEASING);
    return true;
}

static void on_optional(struct script *script, int http_status, struct span body)
{
    (void)script;
    (void)http_status;
    (void)body;
}

/* ---- what still waits goes through an open gate ---- */

static bool any_waits(const struct standby *sb)
{
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->waiting != 0)
            return true;
    return false;
}

static void gate_on_end(struct script *script)
{
    struct standby *sb = script->sb;
    if (script->failed)
        log_error(sb->name, "release: %s", script->why);
    script->failed = false;
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        life->next_try_us = 0;
}

static void open_gates(struct standby *sb)
{
    script_fini(&sb->takeover);
    script_init(&sb->takeover, sb, "release", gate_on_end);
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        struct buffer name = {0};
        if (life->waiting == 0 || life->state != LIFE_READY)
            continue;
        log_warn(sb->name,
                 "release: rows of index %s wait for a mapping that never came; they go through an "
                 "open gate "
                 "(rows=%" PRIu64 ")",
                 life->name, life->waiting);
        http_percent_encode(span_cstr(life->name), &name);
        script_push(&sb->takeover, NULL, OPEN_GATE, "PUT", "/%s/_settings", buffer_cstr(&name));
        buffer_fini(&name);
    }
    script_run(&sb->takeover);
}

/* ---- undo ---- */

static bool is_ours(const struct life *life)
{
    return life->standby_uuid != NULL && life->state != LIFE_GONE;
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
        script_push(script, on_optional, text, "POST",
                    "/_aliases"); /* 404: they are gone already */
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
        char *settings = definition_release_settings(life->wanted);
        http_percent_encode(span_cstr(life->name), &name);
        script_push(script, NULL, settings, "PUT", "/%s/_settings", buffer_cstr(&name));
        free(settings);
        buffer_fini(&name);
    }
}

static bool push_waiting_template(void *arg, struct span key, struct span value)
{
    struct script *script = arg;
    struct record record;
    size_t used;
    (void)key;
    if (value.size < 2 || value.data[0] != 'r' ||
        record_decode(span_of(value.data + 1, value.size - 1), &record, &used) != STATUS_OK ||
        record.metadata.gone)
        return true;
    struct buffer name = {0};
    char *body = span_dup(record.metadata.body);
    http_percent_encode(record.metadata.name, &name);
    script_push(script, NULL, body, "PUT", "/_template/%s", buffer_cstr(&name));
    buffer_fini(&name);
    free(body);
    return true;
}

static void push_noise_back(struct standby *sb, struct script *script)
{
    script_push(script, on_optional, NULL, "DELETE", "/_index_template/tandem-shadow");
    if (!sb->opensearch && (sb->major < 7 || (sb->major == 7 && sb->minor < 10)))
        script_push(script, NULL, "{\"persistent\":{\"action.auto_create_index\":null}}", "PUT",
                    "/_cluster/settings");
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
        standby_stop(sb, STATUS_CLUSTER_ODD, "release stopped half-way, run it again: %s",
                     script->why);
        return;
    }
    log_info(sb->name,
             "released: it is an ordinary cluster now (applied_seq=%" PRIu64 " in_doubt=%zu)",
             sb->checkpoint, sb->in_doubt_count);
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

static void undo(struct standby *sb)
{
    struct buffer text = {0};
    struct script *script = &sb->takeover;
    if (sb->world->intents != NULL && sb->world->intents(sb, note_in_doubt, sb) != STATUS_OK)
        log_error(sb->name, "release: the journal's open intents cannot be read");
    script_fini(script);
    script_init(script, sb, "release", undo_on_end);
    push_remove_aliases(sb, script);
    push_settings_back(sb, script);
    push_noise_back(sb,
                    script); /* the shadow goes first: some engines take no template beside it */
    if (store_scan(sb->store, STORE_OBJECTS, SPAN_NONE, push_waiting_template, script) != STATUS_OK)
        script_fail(script, "the table of objects cannot be read");
    sb->stored_checkpoint = sb->checkpoint;
    takeover_document(sb, "released", &text);
    script_push(script, NULL, buffer_cstr(&text), "PUT", "/.tandem/_doc/standby");
    buffer_fini(&text);
    script_run(script);
}

void release_tick(struct standby *sb, uint64_t now_us)
{
    bool drained =
        sb->first_open > sb->release_to && replay_is_drained(sb) && !sb->applying && !sb->doc_busy;
    script_tick(&sb->takeover, now_us);
    if (sb->takeover.busy || sb->takeover.first != NULL || !drained)
        return;
    if (any_waits(sb)) {
        if (!sb->release_gates_open) {
            sb->release_gates_open = true;
            open_gates(sb);
        }
        return;
    }
    if (!sb->release_undoing) {
        sb->release_undoing = true;
        undo(sb);
    }
}
