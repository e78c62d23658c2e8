/* takeover.c - takes a standby over: identity, session, aliases, position; writes `.tandem`.
 *
 *  1. which engine, which cluster: the cluster_uuid is pinned in the store
 *  2. .tandem/standby: whose standby it is, how far it is; another system's is refused
 *  3. the session is raised by compare-and-set: whoever loses stops
 *  4. what would decide by itself is shadowed or stopped (templates, lifecycle engines)
 *  5. the indices there are compared with the registry: what vanished or was restored is noticed
 *  6. in one call the former sessions' aliases go and ours come: late bulks of others find no alias
 *  7. the position: the lower of what the store and .tandem say; further back when the standby
 *     itself went back
 *
 * The layout of .tandem is described in docs/dot-tandem.md.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "replicator/audit.h"
#include "replicator/seed.h"
#include "replicator/verify.h"

#define DOCUMENT_INTERVAL_US UINT64_C(1000000)
/* How often a definition is tried before its index, or object, waits and the others go on. */
#define DEFINITION_TRIES 6
#define SHADOW_PRIORITY "4611686018427387903"

void life_marker(const struct life *life, char *out, size_t size)
{
    snprintf(out, size, ".tandem.%s", life->hex);
}

void life_alias(const struct standby *sb, const struct life *life, struct buffer *out)
{
    buffer_appendf(out, ".tandem-%s-%" PRIu64, life->hex, sb->session);
    (void)buffer_cstr(out);
}

/* ---- the store ---- */

static bool load_stored_life(void *arg, struct span key, struct span value)
{
    struct standby *sb = arg;
    (void)key;
    sb->damaged = !life_load(sb, value);
    return !sb->damaged;
}

static uint64_t stored_number(struct standby *sb, const char *name)
{
    struct buffer value = {0};
    uint64_t number = 0;
    if (store_get(sb->store, STORE_STATE, span_cstr(name), &value) == STATUS_OK && value.size == 8)
        number = get_u64le(value.data);
    buffer_fini(&value);
    return number;
}

static char *stored_text(struct standby *sb, const char *name)
{
    struct buffer value = {0};
    char *text = NULL;
    if (store_get(sb->store, STORE_STATE, span_cstr(name), &value) == STATUS_OK)
        text = span_dup(buffer_span(&value));
    buffer_fini(&value);
    return text;
}

enum status standby_load(struct standby *sb)
{
    enum status status = store_scan(sb->store, STORE_LIVES, SPAN_NONE, load_stored_life, sb);
    if (status == STATUS_OK && sb->damaged)
        status = STATUS_RECORD_TORN;
    if (status == STATUS_OK)
        status = waiting_load(sb);
    sb->checkpoint = stored_number(sb, "checkpoint");
    sb->epoch = stored_number(sb, "epoch") + 1;
    sb->reread_to = stored_number(sb, "reread_to");
    sb->bootstrap_kind = (enum bootstrap_kind)stored_number(sb, "bootstrap");
    sb->paused = stored_number(sb, "paused") != 0;
    sb->release_to = stored_number(sb, "release_to");
    sb->cluster_uuid = stored_text(sb, "cluster_uuid");
    sb->system_id = stored_text(sb, "system_id");
    verify_load(sb);
    return status;
}

static enum status put_text(struct standby *sb, const char *name, const char *text)
{
    return text == NULL ? STATUS_OK
                        : store_put(sb->store, STORE_STATE, span_cstr(name), span_cstr(text));
}

bool takeover_store(struct standby *sb)
{
    bool releases = sb->release_undoing || sb->state == STANDBY_STARTING;
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {
        {"document_checkpoint", sb->stored_checkpoint},
        {"document_writes", sb->doc_writes},
        {"reread_to", sb->reread_to},
        {"session", sb->session},
        {"checkpoint", sb->checkpoint}, /* with the registry, which may forget why it went back */
        {"bootstrap", sb->bootstrap_kind},
        {"paused", sb->paused},
        {"release_to", releases ? sb->release_to : 0},
    };
    enum status status = store_begin(sb->store);
    if (status == STATUS_OK)
        status = put_text(sb, "cluster_uuid", sb->cluster_uuid);
    if (status == STATUS_OK)
        status = put_text(sb, "system_id", sb->system_id);
    if (status == STATUS_OK)
        status = put_text(sb, "journal", sb->journal_text);
    for (size_t i = 0; status == STATUS_OK && i < COUNT_OF(numbers); i++)
        status = store_put_number(sb->store, numbers[i].name, numbers[i].value);
    for (struct life *life = sb->lives; status == STATUS_OK && life != NULL; life = life->hh.next)
        if (life->key != NULL)
            status = life_store(sb, life);
    return standby_store_end(sb, status);
}

/* ---- the document ---- */

void takeover_document(struct standby *sb, const char *state, struct buffer *out)
{
    json_t *bases = json_array();
    for (size_t i = 0; i < sb->base_count; i++)
        json_array_append_new(bases,
                              json_pack("{s:I, s:I}", "timeline", (json_int_t)sb->bases[i].timeline,
                                        "base", (json_int_t)sb->bases[i].base));
    sb->doc_writes++;
    seed_on_document(sb);
    json_t *json = json_pack(
        "{s:s, s:i, s:s?, s:s, s:i, s:o, s:I, s:I, s:s, s:s, s:I, s:[I, I], s:I, s:I, s:I, s:I}",
        "kind", "standby", "format", 1, "system_id", sb->system_id, "state", state, "timeline", 1,
        "bases", bases, "life", (json_int_t)sb->life, "session", (json_int_t)sb->session, "writer",
        sb->writer, "journal", sb->journal_text, "checkpoint", (json_int_t)sb->stored_checkpoint,
        "marks", (json_int_t)sb->marks[0], (json_int_t)sb->marks[1], "parked",
        (json_int_t)parked_count(sb), "high_term", (json_int_t)sb->high_term, "writes",
        (json_int_t)sb->doc_writes, "updated_ms", (json_int_t)(sb->world->wall_us(sb) / 1000));
    char *text = json_dumps(json, JSON_COMPACT);
    buffer_append_cstr(out, text);
    free(text);
    json_decref(json);
}

static void take_document_numbers(struct standby *sb, const json_t *json)
{
    sb->doc_seq_no = json_integer_value(json_object_get(json, "_seq_no"));
    sb->doc_term = (uint64_t)json_integer_value(json_object_get(json, "_primary_term"));
}

/* Whose session the document in .tandem has, from an answer of GET. */
enum owner { OWNER_US, OWNER_ANOTHER, OWNER_FORMER /* the standby went back in time */ };

static enum owner whose_session(const struct standby *sb, int http_status, const json_t *source)
{
    uint64_t session = (uint64_t)json_integer_value(json_object_get(source, "session"));
    const char *writer = json_string_value(json_object_get(source, "writer"));
    if (http_status == 404 || session < sb->session)
        return OWNER_FORMER;
    bool same = session == sb->session && (writer == NULL || strcmp(writer, sb->writer) == 0);
    return same ? OWNER_US : OWNER_ANOTHER;
}

static void stop_taken(struct standby *sb, const json_t *source)
{
    standby_stop(sb, STATUS_STANDBY_TAKEN,
                 "another replicator (session %" JSON_INTEGER_FORMAT
                 ") works on this standby; ours was %" PRIu64,
                 json_integer_value(json_object_get(source, "session")), sb->session);
}

bool takeover_still_ours(struct standby *sb, int http_status, struct span body)
{
    json_t *json = json_tree(body);
    const json_t *source = json_object_get(json, "_source");
    enum owner owner = whose_session(sb, http_status, source);
    if (owner == OWNER_ANOTHER)
        stop_taken(sb, source);
    json_decref(json);
    return owner != OWNER_ANOTHER;
}

static void stop_and_begin_again(struct standby *sb, const json_t *source)
{
    sb->begin_again = true;
    standby_stop(sb, STATUS_CLUSTER_ODD,
                 "the standby went back in time (its checkpoint is %" JSON_INTEGER_FORMAT
                 ", it was %" PRIu64 "); it is taken over again, and rewound",
                 json_integer_value(json_object_get(source, "checkpoint")),
                 stored_number(sb, "document_checkpoint"));
}

/* Reads the document after a conflict: is it another's session, or an answer of ours that got lost?
 */
static void on_document_reread(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    json_t *json = json_tree(body);
    json_t *source = json_object_get(json, "_source");
    uint64_t checkpoint = (uint64_t)json_integer_value(json_object_get(source, "checkpoint"));
    enum owner owner = whose_session(sb, http_status, source);
    if (owner == OWNER_ANOTHER)
        stop_taken(sb, source);
    else if (owner == OWNER_FORMER || checkpoint < stored_number(sb, "document_checkpoint"))
        stop_and_begin_again(sb, source);
    else
        take_document_numbers(sb, json);
    json_decref(json);
}

static void on_document_stored(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    if (http_status == 409 || http_status == 404) {
        script_push(script, on_document_reread, NULL, "GET", "/.tandem/_doc/standby");
        return;
    }
    if (!script_expect(script, http_status, body, false))
        return;
    json_t *json = json_tree(body);
    take_document_numbers(sb, json);
    json_decref(json);
}

static bool store_after_document(struct standby *sb)
{
    seed_on_document_stored(sb);
    return takeover_store(sb);
}

static void document_on_end(struct script *script)
{
    struct standby *sb = script->sb;
    if (script->failed)
        log_warn(sb->name, "its position cannot be stored in .tandem: %s", script->why);
    else if (sb->state != STANDBY_STOPPED && store_after_document(sb))
        sb->world->report(sb, sb->stored_checkpoint);
    script->failed = false;
    sb->doc_busy = false;
}

void takeover_tick_document(struct standby *sb, uint64_t now_us)
{
    if (sb->doc_busy) {
        script_tick(&sb->doc_script, now_us);
        return;
    }
    uint64_t checkpoint = replay_safe_checkpoint(sb);
    bool look = sb->doc_next_us == 0; /* somebody wants to know whose session it is */
    bool news = checkpoint > sb->stored_checkpoint || seed_wants_document(sb);
    if (!look && (now_us < sb->doc_next_us || !news))
        return;
    struct buffer text = {0};
    sb->doc_next_us = now_us + DOCUMENT_INTERVAL_US;
    if (sb->doc_script.on_end == NULL)
        script_init(&sb->doc_script, sb, ".tandem", document_on_end);
    if (checkpoint > sb->stored_checkpoint)
        sb->stored_checkpoint = checkpoint;
    takeover_document(sb, "standby", &text);
    sb->doc_busy = true;
    script_push(&sb->doc_script, on_document_stored, buffer_cstr(&text), "PUT",
                "/.tandem/_doc/standby?if_seq_no=%" PRId64 "&if_primary_term=%" PRIu64,
                sb->doc_seq_no, sb->doc_term);
    buffer_fini(&text);
    script_run(&sb->doc_script);
}

/* ---- 7. the position ---- */

static bool collect_definition(void *arg, struct span key, struct span value)
{
    struct standby *sb = arg;
    (void)key;
    buffer_append_span(&sb->bootstrap, value);
    return true;
}

static void takeover_on_end(struct script *script)
{
    struct standby *sb = script->sb;
    struct journal_info info;
    if (script->failed || sb->state == STANDBY_STOPPED) {
        if (sb->state != STANDBY_STOPPED)
            standby_stop(sb, STATUS_CLUSTER_ODD, "the standby cannot be taken over: %s",
                         script->why);
        return;
    }
    sb->world->journal_info(sb, &info);
    uint64_t start =
        (sb->checkpoint < sb->stored_checkpoint ? sb->checkpoint : sb->stored_checkpoint) + 1;
    if (sb->rewind_to < start)
        start = sb->rewind_to == 0 ? 1 : sb->rewind_to;
    bool fresh = sb->checkpoint == 0 && sb->stored_checkpoint == 0;
    if (fresh && start < info.first_seq) {
        start = info.first_seq; /* its beginning is gone: what was there before must be seeded */
        sb->bootstrap_kind = BOOTSTRAP_INCOMPLETE;
    }
    if (sb->release_to != 0)
        start = sb->release_to + 1; /* all of it is there, and what was undone takes no rows */
    else if (sb->bootstrap_kind != BOOTSTRAP_NONE &&
             sb->world->definitions(sb, collect_definition, sb) != STATUS_OK) {
        standby_stop(sb, STATUS_JOURNAL_IO, "the journal's definitions cannot be read");
        return;
    }
    if (sb->reread_to < sb->checkpoint)
        sb->reread_to = sb->checkpoint;
    audit_on_start(sb, start);
    replay_may_be_stale(sb, NULL);
    replay_start(sb, start);
    if (!takeover_store(sb))
        return;
    if (sb->release_to != 0) {
        standby_set_state(sb, STANDBY_RUNNING);
        release_resume(sb);
        return;
    }
    sb->world->report(sb, start - 1); /* the retention must keep what is about to be read */
    log_info(sb->name,
             "taken over, replaying (session=%" PRIu64 " life=%" PRIu64 " seq=%" PRIu64
             " journal_last_seq=%" PRIu64 ")",
             sb->session, sb->life, start, info.last_seq);
    sb->doc_next_us = sb->world->now_us(sb) + DOCUMENT_INTERVAL_US;
    sb->objects_refused = true; /* perhaps: the first look tells */
    standby_set_state(sb, STANDBY_RUNNING);
}

/* ---- 5. and 6. the indices there ---- */

static void lose_life(struct standby *sb, struct life *life, const char *what)
{
    /* Of one that was told apart from its place the beginning is not known: all of it, then. */
    uint64_t from = life->since_seq == 0 ? 1 : life->since_seq;
    struct journal_info info;
    sb->world->journal_info(sb, &info);
    bool trimmed = from < info.first_seq;
    if (trimmed && sb->world->primary_call != NULL) { /* all that it has is read from the primary */
        log_error(sb->name, "index %s %s, and its beginning is gone from the journal: it is seeded",
                  life->name, what);
        life->incomplete = true;
    } else {
        log_error(sb->name,
                  "index %s %s; its rows are replayed from its beginning (seq=%" PRIu64 ")",
                  life->name, what, from);
        if (from < sb->rewind_to)
            sb->rewind_to = from;
    }
    seed_start_over(sb, life);
}

/* Compares what the registry says with what is there. */
static void check_life(struct standby *sb, struct life *life, const json_t *indices)
{
    const json_t *index = json_object_get(indices, life->name == NULL ? "" : life->name);
    const json_t *settings = json_object_get(json_object_get(index, "settings"), "index");
    const char *uuid = json_string_value(json_object_get(settings, "uuid"));
    const char *history =
        json_string_value(json_object_get(json_object_get(settings, "history"), "uuid"));
    if (life->standby_uuid == NULL)
        return;
    if (life->state == LIFE_GONE) {
        if (uuid != NULL && strcmp(uuid, life->standby_uuid) == 0) {
            life->ending = true;
            life_set_state(sb, life, LIFE_HELD, "it came back with an older copy of the standby");
        }
        return;
    }
    if (life->ending) { /* if it is away, that was us */
        life->given_up = life->kept && (uuid == NULL || strcmp(uuid, life->standby_uuid) != 0);
        return;
    }
    if (uuid == NULL || strcmp(uuid, life->standby_uuid) != 0) {
        lose_life(sb, life,
                  uuid == NULL ? "has vanished from the standby" : "was replaced on the standby");
        free(life->standby_uuid);
        free(life->applied);
        life->standby_uuid = life->applied = NULL;
        life_set_state(sb, life, LIFE_HELD, "it vanished from the standby and is made again");
    } else if (strcmp(history == NULL ? "" : history,
                      life->standby_history == NULL ? "" : life->standby_history) != 0) {
        lose_life(sb, life, "was restored from a snapshot on the standby");
        free(life->standby_history);
        life->standby_history = history == NULL ? NULL : bytes_strdup(history);
    }
}

static void push_alias_actions(struct standby *sb, struct script *script, bool remove);

/* 404: an index lost its alias by somebody's hand, so there is nothing to remove: add only. */
static void on_aliases(struct script *script, int http_status, struct span body)
{
    if (http_status == 404)
        push_alias_actions(script->sb, script, false);
    else
        (void)script_expect(script, http_status, body, false);
}

static bool has_what_is_wanted(const struct standby *sb, struct life *life)
{
    char *now = life->applied == NULL ? NULL : definition_now(sb, life);
    bool same = now != NULL && strcmp(now, life->applied) == 0;
    free(now);
    return same;
}

static void push_alias_actions(struct standby *sb, struct script *script, bool remove)
{
    json_t *actions = json_array();
    bool hidden = standby_at_least(sb, 7, 7);
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        struct buffer alias = {0};
        if (life->standby_uuid == NULL || life->state == LIFE_GONE || life->ending)
            continue;
        life_alias(sb, life, &alias);
        if (remove)
            json_array_append_new(actions, json_pack("{s:{s:s,s:s}}", "remove", "index", life->name,
                                                     "alias", ".tandem-*"));
        json_t *add = json_pack("{s:s,s:s}", "index", life->name, "alias", buffer_cstr(&alias));
        if (hidden)
            json_object_set_new(add, "is_hidden", json_true());
        json_array_append_new(actions, json_pack("{s:o}", "add", add));
        buffer_fini(&alias);
        if (life->state != LIFE_READY && has_what_is_wanted(sb, life))
            life_set_state(sb, life, LIFE_READY, NULL);
    }
    if (json_array_size(actions) != 0) {
        json_t *body = json_pack("{s:O}", "actions", actions);
        char *text = json_dumps(body, JSON_COMPACT);
        script_push(script, remove ? on_aliases : NULL, text, "POST", "/_aliases");
        free(text);
        json_decref(body);
    }
    json_decref(actions);
}

static void on_indices(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    if (!script_expect(script, http_status, body, false))
        return;
    json_t *json = json_tree(body);
    const json_t *indices = json_object_get(json_object_get(json, "metadata"), "indices");
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next)
        check_life(sb, life, indices);
    json_decref(json);
    push_alias_actions(sb, script, true);
}

/* ---- 4. nothing there decides by itself ---- */

static void on_optional(struct script *script, int http_status, struct span body)
{
    (void)script; /* an engine without this call has nothing to stop */
    (void)http_status;
    (void)body;
}

/* A refusal for missing rights, or for being busy, does not come here: it is asked again until it
 * works. Whatever else says no has nothing to stop, and is given no policies. */
static void on_lifecycle_stopped(struct script *script, int http_status, struct span body)
{
    (void)body;
    script->sb->no_lifecycle = http_status < 200 || http_status >= 300;
}

static void push_quiet(struct standby *sb, struct script *script)
{
    if (standby_at_least(sb, 7, 8))
        script_push(script, NULL,
                    "{\"index_patterns\":[\"**\"],\"priority\":" SHADOW_PRIORITY
                    ",\"template\":{\"settings\":{}},"
                    "\"_meta\":{\"description\":\"Tandem: keeps templates off this standby until "
                    "it is released\"}}",
                    "PUT", "/_index_template/tandem-shadow");
    if (!standby_at_least(sb, 7, 10))
        script_push(script, NULL,
                    "{\"persistent\":{\"action.auto_create_index\":\"-.tandem-*,+*\"}}", "PUT",
                    "/_cluster/settings");
    if (sb->opensearch) {
        script_push(script, on_optional,
                    "{\"persistent\":{\"plugins.index_state_management.enabled\":false}}", "PUT",
                    "/_cluster/settings");
        return;
    }
    script_push(script, on_lifecycle_stopped, NULL, "POST", "/_ilm/stop");
    script_push(script, on_optional, NULL, "POST", "/_slm/stop");
}

/* ---- 2. and 3. whose standby it is ---- */

static void session_is_ours(struct script *script, const json_t *json)
{
    struct standby *sb = script->sb;
    take_document_numbers(sb, json);
    if (sb->release_to != 0)
        return; /* it is being released: nothing is set any more */
    push_quiet(sb, script);
    script_push(script, on_indices, NULL, "GET",
                "/_cluster/state/metadata?filter_path=metadata.indices.*.settings.index.uuid,"
                "metadata.indices.*.settings.index.history.uuid");
}

/* A conflict may be with our own first try, whose answer was lost: then the document there is the
 * one we wrote, to the last member. */
static void on_session_reread(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    json_t *json = json_tree(body);
    json_t *ours = json_loads(sb->session_text, 0, NULL);
    const json_t *source = json_object_get(json, "_source");
    if (http_status == 200 &&
        (json_equal(source, ours) || whose_session(sb, http_status, source) == OWNER_US)) {
        session_is_ours(script, json);
    } else if (whose_session(sb, http_status, source) == OWNER_FORMER ||
               json_integer_value(json_object_get(source, "session")) == (json_int_t)sb->session) {
        /* Somebody of a former session wrote in between, or somebody else began at the same moment
         * (it may be our own former process, whose request came late): the next session decides. */
        sb->begin_again = true;
        script_fail(script, "its document changed while it was taken over");
    } else {
        stop_taken(sb, source);
    }
    json_decref(ours);
    json_decref(json);
}

static void on_session(struct script *script, int http_status, struct span body)
{
    if (http_status == 409) {
        script_push(script, on_session_reread, NULL, "GET", "/.tandem/_doc/standby");
        return;
    }
    if (!script_expect(script, http_status, body, false))
        return;
    json_t *json = json_tree(body);
    session_is_ours(script, json);
    json_decref(json);
}

static void push_session(struct standby *sb, struct script *script, const char *condition)
{
    struct buffer text = {0};
    takeover_document(sb, "standby", &text);
    free(sb->session_text);
    sb->session_text = bytes_strdup(buffer_cstr(&text));
    script_push(script, on_session, buffer_cstr(&text), "PUT", "/.tandem/_doc/standby?%s",
                condition);
    buffer_fini(&text);
}

/* The registry as the standby has it, for a replicator that lost its own tables. */
static void on_registry(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    json_t *json = json_tree(body), *hit;
    size_t i;
    if (http_status == 200) {
        json_array_foreach(json_object_get(json_object_get(json, "hits"), "hits"), i, hit)
        {
            char *text = json_dumps(json_object_get(hit, "_source"), JSON_COMPACT);
            (void)life_load(sb, span_cstr(text)); /* as it was made; see bootstrap for the rest */
            free(text);
        }
    }
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        life->made_empty = false;
        life_forget_applied(sb, life, "the replicator's tables were lost: it is compared");
    }
    json_decref(json);
}

static void new_life_of_standby(struct standby *sb, const json_t *source, uint64_t checkpoint)
{
    uint64_t mark =
        (uint64_t)json_integer_value(json_array_get(json_object_get(source, "marks"), 0));
    log_error(sb->name,
              "it went back in time (its checkpoint is %" PRIu64 ", it was %" PRIu64
              "): a new life begins, replaying from the last mark but one (seq=%" PRIu64 ")",
              checkpoint, stored_number(sb, "document_checkpoint"), mark + 1);
    sb->life++;
    sb->rewind_to = mark + 1;
    enum status status = metadata_forget_applied(sb);
    if (status != STATUS_OK)
        standby_stop(sb, status, "the replicator's own tables: %s", status_text(status));
}

static bool belongs_to_us(struct standby *sb, struct script *script, const json_t *source)
{
    const char *system_id = json_string_value(json_object_get(source, "system_id"));
    const char *journal = json_string_value(json_object_get(source, "journal"));
    const char *state = json_string_value(json_object_get(source, "state"));
    if (state != NULL && strcmp(state, "released") == 0) {
        script_fail(script, "this cluster was released and may have been written to since; to make "
                            "it a standby again, delete "
                            "its index .tandem and its indices");
        return false;
    }
    if (state != NULL && strcmp(state, "releasing") == 0 && sb->release_to == 0) {
        script_fail(script,
                    "this cluster was being released, by a replicator with another folder than "
                    "%s; that one must end it, with its folder",
                    sb->conf->folder);
        return false;
    }
    if (system_id != NULL && sb->system_id != NULL && strcmp(system_id, sb->system_id) != 0) {
        script_fail(script, "it is a standby of another system (%s)", system_id);
        return false;
    }
    if (journal != NULL && *journal != '\0' && strcmp(journal, sb->journal_text) != 0) {
        script_fail(script,
                    "it followed another journal (%s, ours is %s): that journal was lost or "
                    "replaced. Delete the "
                    "indices and .tandem there to begin anew",
                    journal, sb->journal_text);
        return false;
    }
    if (sb->system_id == NULL && system_id != NULL)
        sb->system_id = bytes_strdup(system_id);
    return true;
}

/* Nothing in it is searched but by `kind`. */
static void push_document_index(struct standby *sb, struct script *script)
{
    struct buffer body = {0};
    buffer_appendf(
        &body,
        "{\"settings\":{\"index\":{\"number_of_shards\":1,\"auto_expand_replicas\":\"0-1\"%s}},"
        "\"mappings\":%s{\"dynamic\":false,\"properties\":{\"kind\":{\"type\":\"keyword\"}}}%s}",
        standby_at_least(sb, 7, 7) ? ",\"hidden\":true" : "",
        standby_at_least(sb, 7, 0) ? "" : "{\"_doc\":", standby_at_least(sb, 7, 0) ? "" : "}");
    script_push(script, on_optional, buffer_cstr(&body), "PUT", "/.tandem");
    buffer_fini(&body);
}

static void on_document(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    char condition[100] = "op_type=create";
    json_t *json = json_tree(body);
    json_t *source = json_object_get(json, "_source");
    if (http_status == 404)
        seed_on_takeover(sb, 0, stored_number(sb, "document_writes"));
    if (http_status == 404) {
        if (sb->checkpoint != 0 || stored_number(sb, "document_checkpoint") != 0)
            new_life_of_standby(sb, NULL, 0);
        sb->checkpoint = 0;
        sb->session = stored_number(sb, "session") + 1;
        push_document_index(sb, script);
        push_session(sb, script, condition);
    } else if (script_expect(script, http_status, body, false) &&
               belongs_to_us(sb, script, source)) {
        uint64_t checkpoint = (uint64_t)json_integer_value(json_object_get(source, "checkpoint"));
        bool lost_tables = sb->lives == NULL && sb->checkpoint == 0;
        sb->life = (uint64_t)json_integer_value(json_object_get(source, "life"));
        sb->session = (uint64_t)json_integer_value(json_object_get(source, "session")) + 1;
        sb->marks[0] =
            (uint64_t)json_integer_value(json_array_get(json_object_get(source, "marks"), 0));
        sb->marks[1] =
            (uint64_t)json_integer_value(json_array_get(json_object_get(source, "marks"), 1));
        if (checkpoint < stored_number(sb, "document_checkpoint"))
            new_life_of_standby(sb, source, checkpoint);
        seed_on_takeover(sb, (uint64_t)json_integer_value(json_object_get(source, "writes")),
                         stored_number(sb, "document_writes"));
        if (lost_tables)
            sb->bootstrap_kind = BOOTSTRAP_LOST_TABLES;
        if (lost_tables) { /* remembered deletes are lost too: begin where no older row can come
                              from */
            sb->checkpoint = sb->marks[0];
            script_push(script, on_optional, NULL, "POST", "/.tandem/_refresh");
            script_push(script, on_registry, NULL, "GET",
                        "/.tandem/_search?size=10000&q=kind:life");
        }
        sb->stored_checkpoint = checkpoint;
        take_document_numbers(sb, json);
        snprintf(condition, sizeof condition, "if_seq_no=%" PRId64 "&if_primary_term=%" PRIu64,
                 sb->doc_seq_no, sb->doc_term);
        push_session(sb, script, condition);
    }
    json_decref(json);
}

/* ---- 1. which cluster ---- */

/* Before anything is written: what replication sets on a standby would do harm there. */
static bool is_the_primary(struct standby *sb, const char *uuid)
{
    struct buffer primary = {0};
    bool is = sb->world->primary_uuid != NULL && sb->world->primary_uuid(sb, &primary) &&
              span_equal(buffer_span(&primary), span_cstr(uuid));
    buffer_fini(&primary);
    return is;
}

static void on_identity(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    if (!script_expect(script, http_status, body, false))
        return;
    json_t *json = json_tree(body);
    const char *uuid = json_string_value(json_object_get(json, "cluster_uuid"));
    if (uuid == NULL)
        script_fail(script, "it names no cluster_uuid");
    else if (sb->cluster_uuid != NULL && strcmp(sb->cluster_uuid, uuid) != 0)
        script_fail(script,
                    "another cluster answers at this address (%s, known is %s). If the standby was "
                    "made anew, remove "
                    "the folder %s",
                    uuid, sb->cluster_uuid, sb->conf->folder);
    else if (is_the_primary(sb, uuid))
        standby_stop(
            sb, STATUS_IDENTITY,
            "the standby's address leads to the primary itself; nothing was changed there");
    else if (sb->cluster_uuid == NULL)
        sb->cluster_uuid = bytes_strdup(uuid);
    json_decref(json);
}

/* The first of its nodes' versions, where the cluster says none. */
static void on_nodes(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    json_t *json = json_tree(body);
    json_t *nodes = json_object_get(json, "nodes");
    const json_t *node = json_object_iter_value(json_object_iter(nodes));
    const char *number = json_string_value(json_object_get(node, "version"));
    if (script_expect(script, http_status, body, false) && number != NULL)
        sscanf(number, "%d.%d", &sb->major, &sb->minor);
    json_decref(json);
}

static void on_engine(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    json_t *json = json_tree(body);
    const json_t *version = json_object_get(json, "version");
    const char *number = json_string_value(json_object_get(version, "number"));
    const char *distribution = json_string_value(json_object_get(version, "distribution"));
    sb->opensearch = distribution != NULL && strcmp(distribution, "opensearch") == 0;
    if (number != NULL) {
        sscanf(number, "%d.%d", &sb->major, &sb->minor);
    } else if (http_status == 405) { /* 9.x as shipped for tests */
        sb->major = 9;
        script_push(script, on_nodes, NULL, "GET", "/_nodes?filter_path=nodes.*.version");
    } else {
        (void)script_expect(script, http_status >= 300 ? http_status : 500, body, false);
    }
    json_decref(json);
}

void takeover_begin(struct standby *sb)
{
    struct journal_info info;
    sb->world->journal_info(sb, &info);
    journal_id_text(&info.id, sb->journal_text);
    char *followed = stored_text(sb, "journal");
    bool another = followed != NULL && strcmp(followed, sb->journal_text) != 0;
    if (another)
        standby_stop(
            sb, STATUS_IDENTITY,
            "this replicator followed journal %s, and now finds %s: the journal was lost or "
            "replaced. Empty the standby and the folder %s to begin anew",
            followed, sb->journal_text, sb->conf->folder);
    free(followed);
    if (another)
        return;
    snprintf(sb->writer, sizeof sb->writer, "%" PRIu64 "-%ld", sb->world->wall_us(sb),
             (long)getpid());
    sb->rewind_to = UINT64_MAX;
    sb->life = 1;
    script_init(&sb->script, sb, "definitions", metadata_on_script_end);
    sb->script.tries_max = DEFINITION_TRIES;
    script_init(&sb->takeover, sb, "taking the standby over", takeover_on_end);
    script_push(&sb->takeover, on_engine, NULL, "GET", "/");
    script_push(&sb->takeover, on_identity, NULL, "GET",
                "/_cluster/state/version?filter_path=cluster_uuid,version");
    script_push(&sb->takeover, on_document, NULL, "GET", "/.tandem/_doc/standby");
    script_run(&sb->takeover);
}
