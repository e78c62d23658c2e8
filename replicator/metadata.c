/* metadata.c - definitions onto the standby: newest stamp wins, mappings behind their gate.
 *
 * A record is applied as it is read, ahead of the lanes, and reading goes on when it is through.
 * Three things wait for the earlier rows of their index first: its end, its closing, and a change
 * of its mapping (the gate must not open for a row).
 *
 * Making an index on the standby:
 *  1. its document in .tandem says what is about to be made
 *  2. it is created with the primary's definition and a marker alias `.tandem.<life>`, by which a
 *     restarted replicator knows it as its own
 *  3. the gate is closed (total_fields.limit: 0)
 *  4. the alias of this session is added, so that rows may come
 *
 * What must hold: an index of the standby that carries no marker of ours is never changed or
 * deleted.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tree.h"
#include "base/hash.h"
#include "base/log.h"
#include "conf/settings.h"
#include "http/message.h"
#include "replicator/audit.h"
#include "replicator/seed.h"
#include "replicator/verify.h"

#define TRY_AGAIN_US (5 * UINT64_C(1000000))
#define HELD_LOOK_US UINT64_C(500000)

static void apply_pending(struct standby *sb);

static void push_life_document(struct script *script, const struct life *life)
{
    struct buffer text = {0};
    life_document(life, &text);
    script_push(script, NULL, buffer_cstr(&text), "PUT", "/.tandem/_doc/life-%s", life->hex);
    buffer_fini(&text);
}

static void set_applied(const struct standby *sb, struct life *life)
{
    char *now = definition_now(sb, life);
    bool held = now != NULL && strcmp(now, life->wanted) != 0;
    if (held && !life->aliases_held)
        log_info(
            sb->name,
            "index %s: aliases stay as they are here until an index is seeded, or no other has "
            "their name or their writes",
            life->name);
    life->aliases_held = held;
    free(life->applied);
    life->applied = now;
}

/* ---- the end of a record ---- */

enum status metadata_store_reread(struct standby *sb)
{
    if (sb->pending == NULL || sb->pending_seq <= sb->reread_to)
        return STATUS_OK;
    sb->reread_to = sb->pending_seq;
    return store_put_number(sb->store, "reread_to", sb->reread_to);
}

void metadata_record_is_applied(struct standby *sb)
{
    sb->applying = false;
    sb->definitions_applied++;
    if (sb->pending != NULL) {
        replay_mark_done(sb, sb->pending_seq);
        free(sb->pending);
        sb->pending = NULL;
    }
    if (!sb->reading)
        standby_on_records(sb);
}

bool metadata_is_changing(const struct standby *sb, const struct life *life)
{
    return sb->applying && sb->pending != NULL &&
           span_equal(sb->pending->metadata.type, SPAN("index")) &&
           sb->pending->metadata.incarnation == life->incarnation;
}

static struct life *pending_life(struct standby *sb)
{
    return life_find(sb, sb->pending->metadata.incarnation);
}

static void hold(struct standby *sb, struct life *life, const char *why)
{
    bool new = life->held_why == NULL || strcmp(life->held_why, why) != 0;
    if (new && !life->quiet)
        log_error(sb->name, "index %s cannot be brought up to date, its rows wait: %s", life->name,
                  why);
    bytes_set_text(&life->held_why, why);
    life_set_state(sb, life, LIFE_HELD, why);
    life->next_try_us = sb->world->now_us(sb) + TRY_AGAIN_US;
}

static void life_on_end(struct script *script)
{
    struct standby *sb = script->sb;
    struct life *life = pending_life(sb);
    if (script->failed) {
        script->failed = false;
        hold(sb, life, script->why);
    } else if (life->state != LIFE_GONE) {
        set_applied(sb, life);
        life->alias_away = life->gate_open = false;
        if (life->quiet)
            log_info(sb->name, "index %s is brought up to date again", life->name);
        life->quiet = false;
        bytes_set_text(&life->held_why, NULL);
        life_set_state(sb, life, LIFE_READY, NULL);
        life->next_try_us = 0;
        parked_retry_life(sb, life);
    }
    if (life_save(sb, life))
        metadata_record_is_applied(sb);
}

/* ---- changing an index ---- */

static void encoded_name(const struct life *life, struct buffer *out)
{
    http_percent_encode(span_cstr(life->name), out);
    (void)buffer_cstr(out);
}

/* Adds the alias by which rows of this session come. */
static void push_alias(struct standby *sb, struct life *life)
{
    struct buffer alias = {0}, body = {0};
    bool hidden = standby_at_least(sb, 7, 7);
    life_alias(sb, life, &alias);
    buffer_append_cstr(&body, "{\"actions\":[{\"add\":{\"index\":");
    buffer_append_json_string(&body, span_cstr(life->name));
    buffer_append_cstr(&body, ",\"alias\":");
    buffer_append_json_string(&body, buffer_span(&alias));
    buffer_append_cstr(&body, hidden ? ",\"is_hidden\":true}}]}" : "}}]}");
    script_push(&sb->script, NULL, buffer_cstr(&body), "POST", "/_aliases");
    buffer_fini(&alias);
    buffer_fini(&body);
}

static void on_alias_away(struct script *script, int http_status, struct span body)
{
    (void)script_expect(script, http_status, body, true);
}

/* A bulk that went unheard may be executed at any time, so also in the moment in which the gate is
 * open: without the alias it finds nothing. */
static void push_alias_away(struct standby *sb, struct life *life)
{
    struct buffer alias = {0}, body = {0};
    life_alias(sb, life, &alias);
    buffer_append_cstr(&body, "{\"actions\":[{\"remove\":{\"index\":");
    buffer_append_json_string(&body, span_cstr(life->name));
    buffer_append_cstr(&body, ",\"alias\":");
    buffer_append_json_string(&body, buffer_span(&alias));
    buffer_append_cstr(&body, "}}]}");
    script_push(&sb->script, on_alias_away, buffer_cstr(&body), "POST", "/_aliases");
    life->alias_away = true;
    buffer_fini(&alias);
    buffer_fini(&body);
}

/* Closes the gate: no row can add a field. */
static void push_gate(struct standby *sb, const char *name)
{
#ifdef PLANT_MAPPING_AFTER_ROWS
    (void)sb;
    (void)name;
#else
    script_push(&sb->script, NULL, "{\"index\":{\"mapping.total_fields.limit\":0}}", "PUT",
                "/%s/_settings", name);
#endif
}

static void push_mapping(struct standby *sb, struct life *life, const char *name,
                         const char *mapping, const char *type)
{
    long limit = definition_total_fields(life->wanted);
    char open[100];
    if (life->stray)
        push_alias_away(sb, life);
    life->gate_open = true; /* durable before it is: a restart must not send rows through it */
    if (!life_save(sb, life))
        return;
    snprintf(open, sizeof open, "{\"index\":{\"mapping.total_fields.limit\":%ld}}",
             limit < 100000 ? 100000 : limit);
    script_push(&sb->script, NULL, open, "PUT", "/%s/_settings", name);
    if (*type != '\0')
        script_push(&sb->script, NULL, mapping, "PUT", "/%s/_mapping/%s%s", name, type,
                    standby_names_types(sb) ? "?include_type_name=true" : "");
    else
        script_push(&sb->script, NULL, mapping, "PUT", "/%s/_mapping", name);
    push_gate(sb, name);
}

/* The index must not stay closed because a setting was refused. */
static void on_settings_closed(struct script *script, int http_status, struct span body)
{
    struct life *life = pending_life(script->sb);
    if (http_status >= 200 && http_status < 300)
        return;
    char why[300];
    snprintf(why, sizeof why, "its settings are refused: %d %.*s", http_status,
             (int)(body.size > 200 ? 200 : body.size), body.data == NULL ? "" : body.data);
    bytes_mend_utf8(why);
    bytes_set_text(&life->settings_why, why);
}

static void on_settings_end(struct script *script, int http_status, struct span body)
{
    struct life *life = pending_life(script->sb);
    if (script_expect(script, http_status, body, false) && life->settings_why != NULL)
        script_fail(script, "%s", life->settings_why);
    bytes_set_text(&life->settings_why, NULL);
}

/* Settings that an open index does not take: once more, closed. */
static void on_settings(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    struct life *life = pending_life(sb);
    struct buffer name = {0};
    if (http_status != 400) {
        (void)script_expect(script, http_status, body, false);
        return;
    }
    char *settings = definition_settings_change(sb, life->applied, life->wanted);
    encoded_name(life, &name);
    bool closed = definition_is_closed(life->wanted);
    script_push(script, NULL, NULL, "POST", "/%s/_close", buffer_cstr(&name));
    script_push(script, on_settings_closed, settings, "PUT", "/%s/_settings", buffer_cstr(&name));
    if (closed)
        script_push(script, on_settings_end, NULL, "GET", "/%s/_alias", buffer_cstr(&name));
    else
        script_push(script, on_settings_end, NULL, "POST", "/%s/_open", buffer_cstr(&name));
    buffer_fini(&name);
    free(settings);
}

/* What is there, from the answer of GET /{index} or GET /{index}/_alias, without our aliases: as a
 * definition. The caller's. */
static char *definition_there(const struct life *life, struct span body)
{
    json_t *json = json_tree(body), *there = json_object_get(json, life->name);
    definition_drop_ours(there);
    char *text = there == NULL ? bytes_strdup("{}") : json_dumps(there, JSON_COMPACT);
    json_decref(json);
    return text;
}

/* An alias can't be taken away twice: what is to change is told by what is there, since the answer
 * to an earlier try may have been lost. */
static void on_aliases_there(struct script *script, int http_status, struct span body)
{
    struct life *life = pending_life(script->sb);
    if (!script_expect(script, http_status, body, false))
        return;
    char *there = definition_there(life, body);
    char *now = definition_now(script->sb, life);
    char *change = definition_alias_change(life->name, there, now);
    if (change != NULL)
        script_push(script, NULL, change, "POST", "/_aliases");
    free(change);
    free(there);
    free(now);
}

/* The steps from what the standby has to what is wanted. */
static void push_changes(struct standby *sb, struct life *life, const char *name)
{
    char type[256];
    char *settings = definition_settings_change(sb, life->applied, life->wanted);
    char *mapping = definition_mapping_change(life->applied, life->wanted, type, sizeof type);
    char *now = definition_now(sb, life);
    char *aliases = definition_alias_change(life->name, life->applied, now);
    if (settings != NULL)
        script_push(&sb->script, on_settings, settings, "PUT", "/%s/_settings", name);
    if (mapping != NULL)
        push_mapping(sb, life, name, mapping, type);
    if (aliases != NULL)
        script_push(&sb->script, on_aliases_there, NULL, "GET", "/%s/_alias", name);
    free(settings);
    free(mapping);
    free(aliases);
    free(now);
}

/* What was taken away or replaced behind our back is brought back by taking the standby over anew,
 * which replays from far enough; unless it was another replicator that took it over. */
static void look_again(struct script *script, int http_status, struct span body, const char *what)
{
    struct standby *sb = script->sb;
    struct life *life = pending_life(sb);
    life->alias_lost = false;
    if (takeover_still_ours(sb, http_status, body)) {
        standby_stop(sb, STATUS_CLUSTER_ODD, "index %s %s; the standby is taken over again",
                     life->name, what);
        sb->begin_again = true;
    }
    script_fail(script, "%s", sb->why);
}

static void on_vanished(struct script *script, int http_status, struct span body)
{
    look_again(script, http_status, body, "has vanished from the standby");
}

static void on_replaced(struct script *script, int http_status, struct span body)
{
    look_again(script, http_status, body, "or its alias was replaced on the standby");
}

static void on_alias_look(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    struct life *life = pending_life(sb);
    struct buffer alias = {0};
    if (!script_expect(script, http_status, body, true))
        return;
    json_t *json = json_tree(body);
    const json_t *index = json_object_get(json, life->name);
    const char *uuid = json_string_value(
        json_object_get(json_object_get(json_object_get(index, "settings"), "index"), "uuid"));
    life_alias(sb, life, &alias);
    bool well = uuid != NULL && strcmp(uuid, life->standby_uuid) == 0 &&
                json_object_get(json_object_get(index, "aliases"), buffer_cstr(&alias)) != NULL;
    if (!well)
        script_push_next(script, uuid == NULL ? on_vanished : on_replaced, NULL, "GET",
                         "/.tandem/_doc/standby"); /* before anything is changed there */
    else
        life->alias_lost = false;
    buffer_fini(&alias);
    json_decref(json);
}

static void change_life(struct standby *sb, struct life *life)
{
    struct buffer encoded = {0};
    bool was_closed = definition_is_closed(life->applied),
         is_closed = definition_is_closed(life->wanted);
    encoded_name(life, &encoded);
    const char *name = buffer_cstr(&encoded);
    if (life->alias_lost && !life->alias_away)
        script_push(&sb->script, on_alias_look, NULL, "GET", "/%s", name);
    if (was_closed && !is_closed)
        script_push(&sb->script, NULL, NULL, "POST", "/%s/_open", name);
    push_changes(sb, life, name);
    if (life->alias_away)
        push_alias(sb, life);
    if (is_closed && !was_closed)
        script_push(&sb->script, NULL, NULL, "POST", "/%s/_close", name);
    buffer_fini(&encoded);
    script_run(&sb->script);
}

/* ---- making an index ---- */

/* True when BODY, an answer of GET /{index} or GET /{index}/_alias, has the alias MARKER. */
static bool has_alias(struct span body, const char *marker)
{
    char quoted[80];
    snprintf(quoted, sizeof quoted, "\"%s\"", marker);
    return memmem(body.data, body.size, quoted, strlen(quoted)) != NULL;
}

static void on_uuid(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    struct life *life = pending_life(sb);
    if (!script_expect(script, http_status, body, false))
        return;
    json_t *json = json_tree(body);
    json_t *index =
        json_object_get(json_object_get(json_object_get(json, life->name), "settings"), "index");
    bytes_set_text(&life->standby_uuid, json_string_value(json_object_get(index, "uuid")));
    bytes_set_text(&life->standby_history,
                   json_string_value(json_object_get(json_object_get(index, "history"), "uuid")));
    json_decref(json);
    life->state = LIFE_READY; /* as the document is to say; life_on_end sets it */
    set_applied(sb, life);
    push_life_document(script, life);
    life->state = LIFE_CREATING;
}

/* Behind the creation: the gate, the alias, the uuid. */
static void push_gate_and_alias(struct standby *sb, struct life *life)
{
    struct buffer name = {0};
    encoded_name(life, &name);
    push_gate(sb, buffer_cstr(&name));
    push_alias(sb, life);
    if (definition_is_closed(life->wanted))
        script_push(&sb->script, NULL, NULL, "POST", "/%s/_close", buffer_cstr(&name));
    script_push(&sb->script, on_uuid, NULL, "GET", "/%s/_settings", buffer_cstr(&name));
    buffer_fini(&name);
}

/* The former life of LIFE that stands under its name; NULL when none does. Either it had been
 * deleted here, and the standby went back in time; or it was kept because another index, not filled
 * yet, needs its content: then it gives way, since what was acknowledged since counts more than
 * what can be seeded. */
static struct life *former_life(struct standby *sb, const struct life *life, struct span body)
{
    char marker[64];
    for (struct life *old = sb->lives; old != NULL; old = old->hh.next) {
        bool ended = old->state == LIFE_GONE || (old->state == LIFE_HELD && old->ending);
        if (old == life || !ended || old->name == NULL || strcmp(old->name, life->name) != 0)
            continue;
        life_marker(old, marker, sizeof marker);
        if (has_alias(body, marker))
            return old;
    }
    return NULL;
}

/* True when what stands under LIFE's name is another life of it that has not ended. */
static bool later_life(const struct standby *sb, const struct life *life, struct span body)
{
    char marker[64];
    for (const struct life *other = sb->lives; other != NULL; other = other->hh.next) {
        if (other == life || other->name == NULL || strcmp(other->name, life->name) != 0)
            continue;
        life_marker(other, marker, sizeof marker);
        if (other->stamp > life->stamp && has_alias(body, marker))
            return true;
    }
    return false;
}

static void give_up(struct standby *sb, struct life *old)
{
    if (old->state != LIFE_HELD)
        return;
    log_warn(
        sb->name,
        "index %s is made anew, so its former life, which was kept for its content, is given up",
        old->name);
    old->given_up = true;
    old->next_try_us = 0;
}

static void on_former_gone(struct script *script, int http_status, struct span body)
{
    (void)script_expect(script, http_status, body, true);
}

static void on_present(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    struct life *life = pending_life(sb), *former;
    struct buffer name = {0};
    char marker[64];
    life_marker(life, marker, sizeof marker);
    encoded_name(life, &name);
    if (http_status == 404) {
        char *now = definition_now(sb, life);
        char *create = now == NULL ? NULL : definition_create_body(sb, life, now);
        if (create == NULL)
            script_fail(script, "its definition in the journal is no JSON");
        else
            script_push(script, NULL, create, "PUT", "/%s%s", buffer_cstr(&name),
                        life->type != NULL && standby_names_types(sb) ? "?include_type_name=true"
                                                                      : "");
        free(create);
        life->made_empty = true;
        bytes_set_text(&life->applied, now); /* of an index without a uuid: what was asked for */
        free(now);
        push_gate_and_alias(sb, life);
    } else if (!script_expect(script, http_status, body, false)) {
        ; /* script->why says it */
    } else if (has_alias(body, marker)) {
        if (life->applied == NULL)
            life->applied = definition_there(life, body);
        push_changes(sb, life, buffer_cstr(&name)); /* made before a crash of ours, or unheard */
        push_gate_and_alias(sb, life);
    } else if ((former = former_life(sb, life, body)) != NULL) {
        give_up(sb, former);
        script_push(script, on_former_gone, NULL, "DELETE", "/%s", buffer_cstr(&name));
        script_push(script, on_present, NULL, "GET", "/%s", buffer_cstr(&name));
    } else if (later_life(sb, life, body)) {
        life->quiet = true; /* it is an old definition, read again: its end stands further on */
        script_fail(script, "a later life of it is there already");
    } else {
        script_fail(script, "an index of that name is there which Tandem did not make; it is not "
                            "touched. Delete or rename it, "
                            "or exclude the name from replication");
    }
    buffer_fini(&name);
}

static void on_name_freed(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    if (!script_expect(script, http_status, body, true))
        return;
    for (struct life *other = sb->lives; other != NULL; other = other->hh.next)
        if (other->aliases_held && other->state == LIFE_READY &&
            definition_has_alias(other->applied, pending_life(sb)->name)) {
            set_applied(sb, other);
            (void)life_save(sb, other);
        }
}

/* An alias that stayed on another index, waiting for a seed, gives its name up to the index LIFE.
 */
static void push_free_name(struct standby *sb, const struct life *life)
{
    for (struct life *other = sb->lives; other != NULL; other = other->hh.next) {
        if (!other->aliases_held || other->state != LIFE_READY ||
            !definition_has_alias(other->applied, life->name))
            continue;
        char *now = definition_now(sb, other);
        char *change = definition_alias_change(other->name, other->applied, now);
        if (change != NULL)
            script_push(&sb->script, on_name_freed, change, "POST", "/_aliases");
        free(change);
        free(now);
    }
}

static void create_life(struct standby *sb, struct life *life)
{
    struct buffer name = {0};
    life_set_state(sb, life, LIFE_CREATING, NULL);
    encoded_name(life, &name);
    push_life_document(&sb->script, life);
    push_free_name(sb, life);
    script_push(&sb->script, on_present, NULL, "GET", "/%s", buffer_cstr(&name));
    buffer_fini(&name);
    script_run(&sb->script);
}

/* ---- the end of an index ---- */

/* What waits for LIFE, which has ended, or is parked, is for nothing. */
static void drop_waiting(struct standby *sb, struct life *life)
{
    enum status status = store_begin(sb->store);
    if (status == STATUS_OK)
        status = waiting_drop(sb, life);
    (void)standby_store_end(sb, status);
    parked_drop_life(sb, life);
}

static void forget_rows(struct standby *sb, struct life *life)
{
    drop_waiting(sb, life);
    audit_forget(sb, life);
    seed_forget(sb, life);
    life_set_state(sb, life, LIFE_GONE, NULL);
}

static void on_gone(struct script *script, int http_status, struct span body)
{
    (void)http_status;
    (void)body;
    forget_rows(script->sb, pending_life(script->sb));
}

static void push_gone(struct script *script, const struct life *life)
{
    script_push(script, on_gone, NULL, "DELETE", "/.tandem/_doc/life-%s", life->hex);
}

/* It may have gone with an earlier try whose answer was lost. */
static void on_deleted(struct script *script, int http_status, struct span body)
{
    if (script_expect(script, http_status, body, true))
        push_gone(script, pending_life(script->sb));
}

static void on_delete_look(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    struct life *life = pending_life(sb);
    struct buffer name = {0};
    char marker[64];
    if (!script_expect(script, http_status, body, true))
        return;
    life_marker(life, marker, sizeof marker);
    encoded_name(life, &name);
    if (http_status != 404 && has_alias(body, marker))
        script_push(script, on_deleted, NULL, "DELETE", "/%s", buffer_cstr(&name));
    else
        push_gone(script, life);
    buffer_fini(&name);
}

static void end_life(struct standby *sb, struct life *life)
{
    struct buffer name = {0};
    const char *needed = life_needed_by(sb, life);
    life->ending = true;
    life->kept = needed != NULL && !life->given_up;
    if (life->kept) {
        char why[300];
        snprintf(why, sizeof why, "deleted on the primary; kept here until %.200s is seeded",
                 needed);
        hold(sb, life, why);
        drop_waiting(sb, life); /* they are for nothing: it has ended */
        life->stamp = sb->pending->metadata.state_version;
        if (life_save(sb, life))
            metadata_record_is_applied(sb);
        return;
    }
    if (!life_save(sb, life)) /* so that a restart does not take it for lost */
        return;
    encoded_name(life, &name);
    script_push(&sb->script, on_delete_look, NULL, "GET", "/%s/_alias", buffer_cstr(&name));
    buffer_fini(&name);
    script_run(&sb->script);
}

/* True when the pending record was applied before. The standby may have been set back to a moment
 * before that, and its document in .tandem with it. */
bool metadata_is_reread(const struct standby *sb)
{
    return sb->pending_seq != 0 && sb->pending_seq <= sb->reread_to;
}

/* ---- one record ---- */

void metadata_on_script_end(struct script *script)
{
    struct standby *sb = script->sb;
    if (!sb->applying)
        return;
    if (span_equal(sb->pending->metadata.type, SPAN("index")))
        life_on_end(script);
    else
        objects_on_end(sb);
}

static struct life *define_life(struct standby *sb, const struct metadata *md)
{
    struct life *life = life_get(sb, md->incarnation);
    char *key = span_dup(md->name);
    if (!md->gone) {
        json_t *json = json_tree(md->body);
        const char *name = json_string_value(json_object_get(json, "name"));
        life_name(life, key, name == NULL ? "" : name);
        free(life->wanted);
        free(life->untranslatable);
        life->wanted = definition_translated(sb, "index", name == NULL ? "?" : name, md->body,
                                             life->applied == NULL && sb->pending_seq != 0,
                                             &life->untranslatable);
        json_decref(json);
        life_read_wanted(life);
        life->stamp = md->state_version;
        life->filling =
            !seed_is_done(life) && (life->incomplete || definition_is_filling(life->wanted));
    }
    if (life->since_seq == 0)
        life->since_seq = sb->pending_seq;
    free(key);
    return life;
}

static bool must_wait_for_rows(const struct life *life, const struct metadata *md)
{
    return life->outstanding != 0 &&
           (md->gone || life->state == LIFE_READY); /* what is not ready has no rows in the lanes */
}

static void apply_life(struct standby *sb)
{
    const struct metadata *md = &sb->pending->metadata;
    struct life *life = life_find(sb, md->incarnation);
    if (life != NULL && (life->state == LIFE_GONE ||
                         (!md->gone && life->wanted != NULL && md->state_version < life->stamp))) {
        if (life->since_seq == 0)
            life->since_seq = sb->pending_seq;
        metadata_record_is_applied(sb);
        return;
    }
    if (life != NULL && must_wait_for_rows(life, md))
        return; /* metadata_tick() comes back */
    if (md->gone && (life == NULL || life->name == NULL)) {
        life = life_get(sb, md->incarnation);
        char *key = span_dup(md->name);
        life_name(life, key, "");
        free(key);
        forget_rows(sb, life);
        if (life_save(sb, life))
            metadata_record_is_applied(sb);
        return;
    }
    life = define_life(sb, md);
    if (metadata_is_reread(sb))
        bytes_set_text(&life->applied, NULL); /* compare with what is there */
    if (md->gone) {
        end_life(sb, life);
    } else if (life->untranslatable != NULL) {
        script_fail(&sb->script, "%s", life->untranslatable);
        life_on_end(&sb->script);
    } else if (life->applied == NULL || life->standby_uuid == NULL)
        create_life(sb, life);
    else
        change_life(sb, life);
}

bool metadata_is_writing(const struct standby *sb)
{
    return sb->script.busy || sb->script.first != NULL;
}

static void apply_pending(struct standby *sb)
{
    if (metadata_is_writing(sb) || verify_is_reading(sb))
        return; /* metadata_tick() comes back */
    if (span_equal(sb->pending->metadata.type, SPAN("index")))
        apply_life(sb);
    else
        objects_apply(sb);
}

/* Takes a copy of RECORD as the one being applied. */
static void take_pending(struct standby *sb, struct span bytes, uint64_t seq)
{
    size_t used;
    sb->applying = true;
    sb->pending = bytes_alloc(sizeof *sb->pending);
    buffer_clear(&sb->pending_bytes);
    buffer_append_span(&sb->pending_bytes, bytes);
    CHECK(record_decode(buffer_span(&sb->pending_bytes), sb->pending, &used) == STATUS_OK);
    sb->pending_seq = seq;
}

void metadata_apply_bytes(struct standby *sb, struct span bytes)
{
    take_pending(sb, bytes, 0);
    apply_pending(sb);
}

void metadata_apply(struct standby *sb, const struct record *record, struct span bytes)
{
    take_pending(sb, bytes, record->header.seq);
    apply_pending(sb);
}

/* ---- what was held or refused, again ---- */

/* A record for LIFE's wanted definition, or its end, as if it came again. */
static void reapply_life(struct standby *sb, struct life *life)
{
    struct buffer bytes = {0};
    struct record record = {
        .header = {.kind = RECORD_METADATA, .seq = 1, .boot = 1, .timeline = 1, .parts = 1},
        .metadata = {.type = SPAN("index"),
                     .name = span_cstr(life->key),
                     .state_version = life->stamp,
                     .incarnation = life->incarnation,
                     .gone = life->ending,
                     .body = life->ending ? SPAN_NONE : span_cstr(life->wanted)}};
    record_encode(&bytes, &record);
    metadata_apply_bytes(sb, buffer_span(&bytes));
    buffer_fini(&bytes);
}

void metadata_put_again(struct standby *sb, struct life *life, const char *there)
{
    bytes_set_text(&life->applied, there);
    reapply_life(sb, life);
}

static bool is_due(const struct standby *sb, struct life *life, uint64_t now_us)
{
    if (filling_alias_is_due(sb, life))
        return true;
    return (life->state == LIFE_HELD || life->state == LIFE_CREATING) && life->wanted != NULL &&
           (!life->kept || life->given_up || life_needed_by(sb, life) == NULL) &&
           now_us >= life->next_try_us;
}

void metadata_tick(struct standby *sb, uint64_t now_us)
{
    script_tick(&sb->script, now_us);
    if (sb->applying) {
        apply_pending(sb);
        return;
    }
    if (sb->paused)
        return;
    if (sb->objects_refused && now_us >= sb->objects_next_us) {
        objects_reapply(sb, now_us);
        if (sb->applying)
            return;
    }
    if (now_us < sb->held_next_us)
        return;
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (is_due(sb, life, now_us)) {
            life->next_try_us = now_us + TRY_AGAIN_US; /* so that the next one has its turn */
            life->quiet = life->held_why != NULL;
            reapply_life(sb, life);
            return;
        }
    sb->held_next_us = now_us + HELD_LOOK_US;
}
