/* objects.c - definitions that are no indices onto the standby: templates, pipelines, stored
 * scripts, lifecycle policies.
 *
 * Newest stamp wins. What the standby refuses (a template whose component has not come, the end of
 * a policy that is in use, say) is kept and tried again after each object that is taken, and from
 * time to time. What it can't have now is kept until the release.
 *
 * What must hold:
 *   - No policy is put before the lifecycle engine there was told to stop and said yes: the
 *     takeover does that, and does not end before it has.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/object_kinds.h"
#include "http/message.h"
#include "replicator/standby.h"

#define TRY_AGAIN_US (5 * UINT64_C(1000000))

#define NO_LIFECYCLE                                                                               \
    "the standby's engine has no such lifecycle policies (ILM); it needs some of its own"

static const struct object_kind *kind_of(struct span type)
{
    for (size_t i = 0; i < OBJECT_KINDS; i++)
        if (span_equal(type, span_cstr(object_kinds[i].type)))
            return &object_kinds[i];
    return NULL;
}

/* Templates merge into what is created; without a template that shadows them they must wait until
 * release. From 8 on Elasticsearch takes no legacy template beside the shadow: there they wait too.
 */
static bool waits_for_release(const struct standby *sb, struct span type)
{
    bool shadowed = standby_at_least(sb, 7, 8);
    bool legacy_refused = !sb->opensearch && sb->major >= 8;
    return (!shadowed || legacy_refused) && span_equal(type, SPAN("template"));
}

static bool has_no_such(const struct standby *sb, struct span type)
{
    return !standby_has_lifecycle(sb) && span_equal(type, SPAN(OBJECT_POLICY));
}

static const char *wait_why(const struct standby *sb, struct span type)
{
    if (has_no_such(sb, type))
        return NO_LIFECYCLE;
    return waits_for_release(sb, type) ? "it is put when the standby is released" : NULL;
}

const char *objects_wait_why(const struct standby *sb, const char *type)
{
    return wait_why(sb, span_cstr(type));
}

static void object_key(const struct metadata *md, struct buffer *key)
{
    buffer_append_span(key, md->type);
    buffer_append_char(key, '/');
    buffer_append_span(key, md->name);
}

/* Stores the record of an object; the first byte says whether the standby has it: 'a' applied, 'w'
 * waiting. */
static bool store_object(struct standby *sb, const struct metadata *md, struct span record,
                         char mark)
{
    struct buffer key = {0}, value = {0};
    object_key(md, &key);
    buffer_append_char(&value, mark);
    buffer_append_span(&value, record);
    enum status status = store_begin(sb->store);
    if (status == STATUS_OK)
        status = store_put(sb->store, STORE_OBJECTS, buffer_span(&key), buffer_span(&value));
    if (status == STATUS_OK)
        status = metadata_store_reread(sb);
    buffer_fini(&key);
    buffer_fini(&value);
    return standby_store_end(sb, status);
}

static void on_object(struct script *script, int http_status, struct span body)
{
    struct standby *sb = script->sb;
    (void)script_expect(script, http_status, body, sb->pending->metadata.gone);
}

void objects_on_end(struct standby *sb)
{
    const struct metadata *md = &sb->pending->metadata;
    if (sb->script.failed) {
        sb->script.failed = false;
        if (sb->pending_seq != 0) /* said once, not with each try */
            log_warn(sb->name, "%.*s %.*s is refused, tried again later: %s", (int)md->type.size,
                     md->type.data, (int)md->name.size, md->name.data, sb->script.why);
        snprintf(sb->objects_why, sizeof sb->objects_why, "%.*s %.*s: %.400s", (int)md->type.size,
                 md->type.data, (int)md->name.size, md->name.data, sb->script.why);
        sb->objects_refused = true;
        if (store_object(sb, md, buffer_span(&sb->pending_bytes), 'w'))
            metadata_record_is_applied(sb);
        return;
    }
    if (store_object(sb, md, buffer_span(&sb->pending_bytes), 'a')) {
        sb->objects_next_us = 0; /* what was refused may have waited for this one */
        buffer_clear(&sb->objects_tried);
        metadata_record_is_applied(sb);
    }
}

static bool object_is_old(struct standby *sb, const struct metadata *md)
{
    struct buffer key = {0}, value = {0};
    struct record stored;
    size_t used;
    bool old = false;
    object_key(md, &key);
    if (store_get(sb->store, STORE_OBJECTS, buffer_span(&key), &value) == STATUS_OK &&
        value.size > 1 &&
        record_decode(span_of(value.data + 1, value.size - 1), &stored, &used) == STATUS_OK)
        old = value.data[0] == 'a' && !metadata_is_reread(sb)
                  ? stored.metadata.state_version >= md->state_version
                  : stored.metadata.state_version > md->state_version;
    buffer_fini(&key);
    buffer_fini(&value);
    return old;
}

/* As the standby's engine takes it; ENCODED: its name in a path. */
static char *push_put(struct script *script, script_answer_fn on_answer, const struct metadata *md,
                      const char *encoded)
{
    struct standby *sb = script->sb;
    const struct object_kind *kind = kind_of(md->type);
    struct buffer body = {0};
    char *type = span_dup(md->type), *name = span_dup(md->name), *refused;
    char *text = definition_translated(sb, type, name, md->body, sb->pending_seq != 0, &refused);
    if (kind->wrapper != NULL)
        buffer_appendf(&body, "{\"%s\":%s}", kind->wrapper, text);
    else
        buffer_append_cstr(&body, text);
    if (refused == NULL)
        script_push(script, on_answer, buffer_cstr(&body), "PUT", "%s/%s", kind->path, encoded);
    buffer_fini(&body);
    free(type);
    free(name);
    free(text);
    return refused;
}

char *objects_push(struct script *script, script_answer_fn on_answer, const struct metadata *md)
{
    struct buffer name = {0};
    char *refused = NULL;
    if (has_no_such(script->sb, md->type))
        return bytes_strdup(NO_LIFECYCLE);
    http_percent_encode(md->name, &name);
    if (md->gone)
        script_push(script, on_answer, NULL, "DELETE", "%s/%s", kind_of(md->type)->path,
                    buffer_cstr(&name));
    else
        refused = push_put(script, on_answer, md, buffer_cstr(&name));
    buffer_fini(&name);
    return refused;
}

/* Once for all of them: each one is in the status. */
static void say_left_out(struct standby *sb, const struct metadata *md)
{
    if (sb->left_out_said || md->gone || !has_no_such(sb, md->type))
        return;
    sb->left_out_said = true;
    log_warn(sb->name, "%.*s %.*s is not put there, nor is any other: " NO_LIFECYCLE,
             (int)md->type.size, md->type.data, (int)md->name.size, md->name.data);
}

void objects_apply(struct standby *sb)
{
    const struct metadata *md = &sb->pending->metadata;
    if (kind_of(md->type) == NULL || object_is_old(sb, md)) {
        metadata_record_is_applied(sb);
        return;
    }
    if (wait_why(sb, md->type) != NULL) {
        say_left_out(sb, md);
        if (store_object(sb, md, buffer_span(&sb->pending_bytes), 'r'))
            metadata_record_is_applied(sb);
        return;
    }
    char *refused = objects_push(&sb->script, on_object, md);
    if (refused != NULL)
        script_fail(&sb->script, "%s", refused);
    free(refused);
    script_run(&sb->script);
}

/* ---- what is known ---- */

static json_t *member_get(json_t *json, const char *name)
{
    json_t *member = json_object_get(json, name);
    if (member == NULL && json_object_set_new(json, name, member = json_object()) != 0)
        return NULL;
    return member;
}

struct known {
    json_t *bodies, *states;
};

static bool add_known(void *arg, struct span key, struct span value)
{
    struct known *known = arg;
    struct record record;
    size_t used;
    (void)key;
    if (value.size < 2 ||
        record_decode(span_of(value.data + 1, value.size - 1), &record, &used) != STATUS_OK)
        return true;
    const struct metadata *md = &record.metadata;
    char *type = span_dup(md->type), *name = span_dup(md->name);
    const char *state = value.data[0] == 'a'   ? "applied"
                        : value.data[0] == 'w' ? "refused"
                                               : "waiting";
    if (!md->gone)
        json_object_set_new(member_get(known->bodies, type), name, json_tree(md->body));
    if (known->states != NULL)
        json_object_set_new(member_get(known->states, type), name, json_string(state));
    free(type);
    free(name);
    return true;
}

json_t *objects_known(struct standby *sb, json_t *states)
{
    struct known known = {json_object(), states};
    if (store_scan(sb->store, STORE_OBJECTS, SPAN_NONE, add_known, &known) == STATUS_OK)
        return known.bodies;
    json_decref(known.bodies);
    return NULL;
}

static bool count_left_out(void *arg, struct span key, struct span value)
{
    size_t *count = arg;
    struct record record;
    size_t used;
    if (!span_starts(key, SPAN(OBJECT_POLICY "/")))
        return false;
    if (value.size > 1 && value.data[0] == 'r' &&
        record_decode(span_of(value.data + 1, value.size - 1), &record, &used) == STATUS_OK)
        *count += !record.metadata.gone;
    return true;
}

size_t objects_left_out(struct standby *sb)
{
    size_t count = 0;
    if (!standby_has_lifecycle(sb) && store_scan(sb->store, STORE_OBJECTS, SPAN(OBJECT_POLICY "/"),
                                                 count_left_out, &count) != STATUS_OK)
        return 0;
    return count;
}

bool objects_put_again(struct standby *sb, const char *type, const char *name)
{
    struct buffer key = {0}, value = {0};
    object_key(&(struct metadata){.type = span_cstr(type), .name = span_cstr(name)}, &key);
    bool known = store_get(sb->store, STORE_OBJECTS, buffer_span(&key), &value) == STATUS_OK &&
                 value.size > 1;
    if (known && value.data[0] == 'a') {
        value.data[0] = 'w';
        enum status status = store_begin(sb->store);
        if (status == STATUS_OK)
            status = store_put(sb->store, STORE_OBJECTS, buffer_span(&key), buffer_span(&value));
        if (standby_store_end(sb, status))
            sb->objects_refused = true;
        sb->objects_next_us = 0;
        buffer_clear(&sb->objects_tried);
    }
    buffer_fini(&key);
    buffer_fini(&value);
    return known;
}

/* ---- what was refused, again ---- */

struct refused {
    struct standby *sb;
    struct buffer record;
};

/* True when the object of KEY is to be put now, though it is not there: it was refused, or the
 * engine takes by now what it could not have when the record came. */
static bool is_due(const struct standby *sb, struct span key, char mark)
{
    const char *slash = memchr(key.data, '/', key.size);
    return mark == 'w' ||
           (mark == 'r' && wait_why(sb, span_of(key.data, (size_t)(slash - key.data))) == NULL);
}

/* The first one behind the one that was tried last. */
static bool pick_refused(void *arg, struct span key, struct span value)
{
    struct refused *refused = arg;
    struct buffer *tried = &refused->sb->objects_tried;
    if (value.size < 2 || !is_due(refused->sb, key, value.data[0]) ||
        span_equal(key, buffer_span(tried)))
        return true;
    buffer_clear(tried);
    buffer_append_span(tried, key);
    buffer_append_span(&refused->record, span_of(value.data + 1, value.size - 1));
    return false;
}

static bool pick_applied(void *arg, struct span key, struct span value)
{
    struct buffer *entries = arg;
    if (value.size < 2 || value.data[0] != 'a')
        return true;
    buffer_append_u32(entries, (uint32_t)key.size);
    buffer_append_span(entries, key);
    buffer_append_u32(entries, (uint32_t)value.size);
    buffer_append_span(entries, value);
    return true;
}

enum status metadata_forget_applied(struct standby *sb)
{
    struct buffer entries = {0}, value = {0};
    for (struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        life->stamp = 0;
        life_forget_applied(sb, life, "the standby went back in time");
    }
    enum status status = store_scan(sb->store, STORE_OBJECTS, SPAN_NONE, pick_applied, &entries);
    if (status == STATUS_OK)
        status = store_begin(sb->store);
    struct reader reader = reader_of(buffer_span(&entries));
    while (status == STATUS_OK && reader.at < reader.end) {
        struct span key = reader_take(&reader, reader_u32(&reader));
        struct span old = reader_take(&reader, reader_u32(&reader));
        buffer_clear(&value);
        buffer_append_char(&value, 'w');
        buffer_append_span(&value, span_of(old.data + 1, old.size - 1));
        status = store_put(sb->store, STORE_OBJECTS, key, buffer_span(&value));
    }
    if (status == STATUS_OK)
        status = store_commit(sb->store);
    buffer_fini(&entries);
    buffer_fini(&value);
    return status;
}

void objects_reapply(struct standby *sb, uint64_t now_us)
{
    struct refused refused = {.sb = sb};
    bool round_begins = sb->objects_tried.size == 0;
    if (store_scan(sb->store, STORE_OBJECTS, buffer_span(&sb->objects_tried), pick_refused,
                   &refused) != STATUS_OK)
        standby_stop(sb, STATUS_JOURNAL_IO, "the table of objects cannot be read");
    if (refused.record.size != 0) {
        metadata_apply_bytes(sb, buffer_span(&refused.record));
    } else { /* the round is over */
        buffer_clear(&sb->objects_tried);
        sb->objects_refused = !round_begins;
        if (round_begins)
            sb->objects_why[0] = '\0';
        sb->objects_next_us = now_us + TRY_AGAIN_US;
    }
    buffer_fini(&refused.record);
}
