/* verify_definitions.c - compares definitions: of the present index; or of all that is no index
 * (templates, pipelines, scripts, policies), and which indices there are.
 *
 * Nobody but us changes a standby, so what the journal has brought there is the witness. In one
 * look:
 *
 *     MARK      all that was in the journal after the look before is on the standby by now
 *     STANDBY   it is read, while we apply nothing there; and what was applied is noted
 *     PRIMARY   it is read
 *     JUDGE     is it a difference, or under way?
 *     MEND      (repair) what differs is put once more; MENDING: then it is looked at again
 *
 * What differs is a difference when the primary has what was applied: the standby was given it, and
 * has it no more. When the primary has something else, that is under way; unless it stays so for a
 * good while, with marks that pass: then the journal missed it. The first look is without a mark:
 * mostly all is equal.
 *
 * What must hold:
 *   - What a standby is to have is told by the code that puts it there (definition_expected,
 *     definition_parts); there is no second opinion.
 *   - Nothing is said of what was read while a definition was being applied.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/copied.h"
#include "es/index_state.h"
#include "es/object_kinds.h"
#include "replicator/differences.h"
#include "replicator/reading.h"
#include "replicator/verify_impl.h"

#define SHOWN_MAX 100
#define ANSWER_MAX (128u << 20)
#define PAUSE_US (500 * UINT64_C(1000))
#define SHORT_PAUSE_US (50 * UINT64_C(1000))
/* The standby is read in one go; what takes longer is read again. */
#define HOLD_MAX_US (2 * UINT64_C(1000000))
/* So long a definition may be on its way: the proxy reads the state five times a second. */
#define UNDER_WAY_US (15 * UINT64_C(1000000))
#define UNDER_WAY_READS 20
/* What changes all the time is not looked at for ever. */
#define LOOK_MAX_US (3 * UNDER_WAY_US)
#define LOOKS_MIN 5

/* The names of indices are compared like those of objects. */
static const struct object_kind index_names = {"index", "indices",         NULL,
                                               false,   "indices.*.state", NULL};

enum { LOOK_MARK, LOOK_STANDBY, LOOK_PRIMARY, LOOK_JUDGE, LOOK_MEND, LOOK_MENDING };

static void on_answer(struct es_call *call);

static bool of_objects(const struct verify *verify)
{
    return verify->state == VERIFY_OBJECTS;
}

static void set_json(json_t **to, json_t *json)
{
    json_decref(*to);
    *to = json;
}

void verify_look_fini(struct verify_look *look)
{
    for (int side = 0; side < VERIFY_SIDES; side++)
        set_json(&look->read[side], NULL);
    set_json(&look->applied, NULL);
    set_json(&look->states, NULL);
    set_json(&look->primary, NULL);
    set_json(&look->there, NULL);
    set_json(&look->since, NULL);
    set_json(&look->found, NULL);
}

void verify_look_begin(struct verify *verify)
{
    struct verify_look *look = &verify->look;
    verify_look_fini(look);
    *look = (struct verify_look){.step = LOOK_STANDBY,
                                 .begun_us = verify->sb->world->now_us(verify->sb)};
}

/* ---- what is asked ---- */

static enum verify_side_number side_of(const struct verify *verify)
{
    return verify->look.step == LOOK_STANDBY ? ON_STANDBY : ON_PRIMARY;
}

static size_t call_count(const struct verify *verify)
{
    return of_objects(verify) ? OBJECT_KINDS + 1 : 2;
}

static const struct object_kind *kind_of_call(const struct verify *verify)
{
    return verify->look.call < OBJECT_KINDS ? &object_kinds[verify->look.call] : &index_names;
}

static void set_call(struct verify *verify)
{
    struct es_call *call = &verify->call;
    if (of_objects(verify)) {
        const struct object_kind *kind = kind_of_call(verify);
        if (kind->listed)
            es_call_set(call, "GET", "%s", kind->path);
        else
            es_call_set(call, "GET",
                        "/_cluster/state/metadata?filter_path=cluster_uuid,metadata.cluster_uuid,"
                        "metadata.%s",
                        kind->state);
        return;
    }
    char *name = verify_name(verify);
    if (verify->look.call == 0)
        es_call_set(call, "GET",
                    "/_cluster/state/metadata/%s?filter_path=" INDEX_LIFE_FILTER
                    ",metadata.indices.*.state,metadata.indices.*.routing_num_shards,"
                    "metadata.indices.*.settings.index.number_of_shards",
                    name);
    else
        es_call_set(call, "GET", "/%s", name);
    free(name);
}

static void ask(struct verify *verify)
{
    struct verify_look *look = &verify->look;
    enum verify_side_number side = side_of(verify);
    if (look->call == 0) {
        set_json(&look->read[side], json_object());
        look->applied_seen = verify->sb->definitions_applied;
        look->hold_until_us = verify->sb->world->now_us(verify->sb) + HOLD_MAX_US;
    }
    set_call(verify);
    verify->call.answer_max = ANSWER_MAX;
    verify->call.on_done = on_answer;
    verify->call.arg = verify;
    verify->busy = true;
    verify_call(verify, side, &verify->call);
}

/* ---- answers ---- */

static bool is_ours(const struct standby *sb, const char *name, const json_t *body)
{
    return object_is_replicated(name, body) && !settings_excludes(sb->settings, span_cstr(name));
}

static json_t *flat_object(json_t *body)
{
    json_t *flat = json_object();
    settings_to_paths(flat, "", body);
    return flat;
}

/* BODY of the primary, as the standby's engine takes it; the caller's. What it can't take stays as
 * it is. */
static json_t *translated(const struct standby *sb, const char *type, const char *name,
                          json_t *body)
{
    char *before = json_dumps(body, JSON_COMPACT), *refused;
    char *after = definition_translated(sb, type, name, span_cstr(before), false, &refused);
    json_t *json = refused == NULL ? json_tree(span_cstr(after)) : json_incref(body);
    free(before);
    free(after);
    free(refused);
    return json;
}

static json_t *flat_translated(const struct standby *sb, const char *type, const char *name,
                               json_t *body)
{
    json_t *json = translated(sb, type, name, body), *flat = flat_object(json);
    json_decref(json);
    return flat;
}

/* The objects of a kind, those that are replicated, as parts. */
static void take_objects(struct verify *verify, const struct object_kind *kind,
                         const json_t *answer)
{
    json_t *section = json_object_get(json_object_get(answer, "metadata"), kind->section);
    json_t *all = objects_in(kind, kind->listed ? answer : section), *body, *ours = json_object();
    bool primary = side_of(verify) == ON_PRIMARY;
    const char *name;
    json_object_foreach(all, name, body)
    {
        if (is_ours(verify->sb, name, body))
            json_object_set_new(ours, name,
                                kind == &index_names ? json_object()
                                : primary ? flat_translated(verify->sb, kind->type, name, body)
                                          : flat_object(body));
    }
    json_object_set_new(verify->look.read[side_of(verify)], kind->type, ours);
    json_decref(all);
}

/* Before 7.0 the state does not say it, and routing goes by the shards. */
static void take_routing_shards(json_t *definition, const json_t *index)
{
    json_t *said = json_object_get(index, "routing_num_shards");
    const json_t *settings = json_object_get(json_object_get(index, "settings"), "index");
    const char *shards = json_string_value(json_object_get(settings, "number_of_shards"));
    if (said != NULL)
        json_object_set(definition, "routing_num_shards", said);
    else if (shards != NULL)
        json_object_set_new(definition, "routing_num_shards", json_integer(atoll(shards)));
}

/* The alias that stands for a data stream is none of the primary's: which index of the stream is
 * the last one, the journal tells. */
static void take_stream(const struct life *life, json_t *definition)
{
    const char *stream = json_string_value(json_object_get(definition, "data_stream"));
    json_t *wanted = stream == NULL ? NULL : json_tree(span_cstr(life->wanted));
    json_t *alias =
        json_object_get(json_object_get(wanted, "aliases"), stream == NULL ? "" : stream);
    if (alias != NULL)
        json_object_set(json_object_get(definition, "aliases"), stream, alias);
    json_decref(wanted);
}

/* False: it is another index (skipped), or not there now (waits). */
static bool take_index(struct verify *verify, const json_t *answer)
{
    const struct life *life = verify_life(verify);
    json_t *definition = verify->look.read[side_of(verify)];
    bool first = verify->look.call == 0, primary = side_of(verify) == ON_PRIMARY;
    const json_t *indices = json_object_get(json_object_get(answer, "metadata"), "indices");
    json_t *index = json_object_get(first ? indices : answer, life->name);
    const char *why = NULL;
    if (primary && first)
        why = reading_not_this_life(verify->sb, life, answer);
    else if (primary && !index_is_life(index, life->key))
        why = "the primary has another index of this name now, or none";
    if (why != NULL) {
        verify_skip(verify, why);
        return false;
    }
    if (index == NULL) {
        verify_wait(verify, "index %s is not on the standby now", life->name);
        return false;
    }
    if (first) {
        json_object_set_new(definition, "name", json_string(life->name));
        json_object_set(definition, "state", json_object_get(index, "state"));
        take_routing_shards(definition, index);
    } else {
        json_object_update(definition, index);
        if (primary)
            take_stream(life, definition);
        else
            definition_drop_ours(definition);
    }
    return true;
}

static bool take(struct verify *verify)
{
    bool none = verify->call.http_status != 200; /* the body is an error then */
    json_t *answer = none ? json_object() : json_tree(buffer_span(&verify->call.answer));
    const struct object_kind *kind = kind_of_call(verify);
    const char *why = NULL;
    bool good = true;
    if (!of_objects(verify)) {
        good = take_index(verify, answer);
    } else {
        if (side_of(verify) == ON_PRIMARY && !kind->listed)
            why = reading_not_the_primary(verify->sb, answer);
        if (why == NULL)
            take_objects(verify, kind, answer);
        else
            verify_wait(verify, "%s", why);
        good = why == NULL;
    }
    json_decref(answer);
    return good;
}

/* Engines that do not know a kind of object have none. */
static bool is_none(const struct verify *verify, const struct es_call *call)
{
    return of_objects(verify) && kind_of_call(verify)->listed && call->status == STATUS_OK &&
           (call->http_status == 400 || call->http_status == 404 || call->http_status == 405);
}

/* ---- what it means ---- */

/* DEFINITION, of SIDE, as parts. */
static json_t *index_parts(struct verify *verify, enum verify_side_number side)
{
    struct standby *sb = verify->sb;
    const struct life *life = verify_life(verify);
    json_t *read = side == ON_PRIMARY ? translated(sb, "index", life->name, verify->look.read[side])
                                      : json_incref(verify->look.read[side]);
    char *text = json_dumps(read, JSON_COMPACT);
    json_decref(read);
    char *expected = side == ON_PRIMARY ? definition_expected(sb, life, text) : NULL;
    json_t *parts = definition_parts(sb, expected == NULL ? text : expected);
    free(expected);
    free(text);
    return parts;
}

static json_t *names_of_lives(const struct standby *sb)
{
    json_t *names = json_object();
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->state != LIFE_GONE && life->name != NULL)
            json_object_set_new(names, life->name, json_object());
    return names;
}

/* What was applied, at the moment in which the standby was read. */
static void note_applied(struct verify *verify)
{
    struct standby *sb = verify->sb;
    struct verify_look *look = &verify->look;
    json_t *objects, *body;
    const char *type, *name;
    if (!of_objects(verify)) {
        const struct life *life = verify_life(verify);
        bool ready = life->state == LIFE_READY && life->applied != NULL;
        set_json(&look->applied, ready ? definition_parts(sb, life->applied) : NULL);
        return;
    }
    set_json(&look->states, json_object());
    set_json(&look->applied, objects_known(sb, look->states));
    json_object_foreach(look->applied, type, objects)
    {
        json_object_foreach(objects, name, body)
            json_object_set_new(objects, name, flat_translated(sb, type, name, body));
    }
    json_object_set_new(look->applied, index_names.type, names_of_lives(sb));
}

/* What an engine makes by itself, on each cluster when it likes. */
static bool is_built_in(const char *name)
{
    static const char *const patterns[] = {"xpack_monitoring_*", "ilm-history*", "slm-history*"};
    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        if (span_matches(span_cstr(name), span_cstr(patterns[i])))
            return true;
    return false;
}

static void drop_built_in(struct verify_look *look)
{
    json_t *objects, *body;
    const char *type, *name;
    void *next;
    json_object_foreach(look->read[ON_STANDBY], type, objects)
    {
        json_object_foreach_safe(objects, next, name, body)
        {
            bool known = json_object_get(json_object_get(look->states, type), name) != NULL ||
                         json_object_get(json_object_get(look->primary, type), name) != NULL;
            if (!known && is_built_in(name))
                json_object_del(objects, name);
        }
    }
}

/* Objects that wait for the release are taken as they are to be put then, and those that a standby
 * can't have as if it had them: they are named all the same (waiting_of). */
static void take_waiting(struct verify *verify)
{
    struct verify_look *look = &verify->look;
    for (size_t i = 0; i < OBJECT_KINDS; i++) {
        const char *type = object_kinds[i].type;
        if (objects_wait_why(verify->sb, type) == NULL)
            continue;
        json_t *known = json_object_get(look->applied, type);
        json_object_set_new(look->read[ON_STANDBY], type,
                            known == NULL ? json_object() : json_deep_copy(known));
    }
}

/* Indices that the journal tells of are looked at one by one. */
static void drop_known_indices(struct verify_look *look)
{
    const json_t *known = json_object_get(look->applied, index_names.type);
    json_t *names, *body;
    const char *name;
    for (int side = 0; side < VERIFY_SIDES; side++) {
        names = json_object_get(look->read[side], index_names.type);
        json_object_foreach((json_t *)(uintptr_t)known, name, body) json_object_del(names, name);
    }
}

static void compare(struct verify *verify)
{
    struct verify_look *look = &verify->look;
    if (of_objects(verify)) {
        set_json(&look->primary, json_incref(look->read[ON_PRIMARY]));
        drop_known_indices(look);
        drop_built_in(look);
        take_waiting(verify);
        set_json(&look->there, json_incref(look->read[ON_STANDBY]));
    } else {
        set_json(&look->primary, index_parts(verify, ON_PRIMARY));
        set_json(&look->there, index_parts(verify, ON_STANDBY));
    }
    set_json(&look->found, differences_of(look->primary, look->there));
}

static const char *text_of(const json_t *difference, const char *member)
{
    return json_string_value(json_object_get(difference, member));
}

static bool says(const json_t *difference, const char *member, const char *text)
{
    return strcmp(text_of(difference, member), text) == 0;
}

/* "applied", "refused", "waiting"; NULL: the journal never told of it. */
static const char *state_of(const struct verify *verify, const json_t *difference)
{
    if (!of_objects(verify))
        return "applied";
    return json_string_value(
        json_object_get(json_object_get(verify->look.states, text_of(difference, "kind")),
                        text_of(difference, "name")));
}

/* True when the standby was given what the primary has. */
static bool is_witnessed(const struct verify *verify, const json_t *difference)
{
    const struct verify_look *look = &verify->look;
    const char *state = state_of(verify, difference);
    return look->applied != NULL && differences_agree(difference, look->primary, look->applied) &&
           (state == NULL || strcmp(state, "applied") == 0);
}

/* How long DIFFERENCE has been there without a change; SINCE gets it. */
static uint64_t age_of(const struct verify *verify, const json_t *difference, json_t *since,
                       uint64_t now_us)
{
    char *text = json_dumps(difference, JSON_COMPACT | JSON_SORT_KEYS);
    const json_t *before = json_object_get(verify->look.since, text);
    uint64_t from = before == NULL ? now_us : (uint64_t)json_integer_value(before);
    json_object_set_new(since, text, json_integer((json_int_t)from));
    free(text);
    return now_us > from ? now_us - from : 0; /* a turn within a turn has a later clock */
}

/* True when the standby has something of the field, or the like, that PATH speaks of. */
static bool field_is_there(const json_t *mapping, const char *path)
{
    size_t field = (size_t)(strrchr(path, '.') - path) + 1; /* with the dot */
    const char *other;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)mapping, other, value)
    {
        if (strncmp(other, path, field) == 0)
            return true;
    }
    return false;
}

/* Of a field that is there an engine takes few changes. */
static bool is_fixed(const struct verify *verify, const json_t *difference)
{
    const char *path = text_of(difference, "path");
    const json_t *mapping = json_object_get(json_object_get(verify->look.there, "mapping"), "");
    return says(difference, "kind", "mapping") && strncmp(path, "properties.", 11) == 0 &&
           field_is_there(mapping, path);
}

/* Why DIFFERENCE is there, or what is to be done about it, where repair is not enough. */
static const char *why_of(const struct verify *verify, const json_t *difference, bool witnessed)
{
    const char *state = state_of(verify, difference);
    if (state != NULL && strcmp(state, "refused") == 0)
        return "the standby refuses it; tandemctl status says why";
    if (!witnessed)
        return "the journal does not have what the primary has";
    if (state == NULL)
        return "Tandem did not put it there: delete it by hand";
    if (is_fixed(verify, difference))
        return "a field can't be changed back: delete the index on the standby, it is made again";
    return NULL;
}

/* Marks what is a difference for certain; how many are not, and how long the OLDEST of them has
 * been there. */
static size_t judge(struct verify *verify, uint64_t now_us, uint64_t *oldest)
{
    struct verify_look *look = &verify->look;
    json_t *since = json_object(), *difference;
    uint64_t patience = UNDER_WAY_READS * verify->sb->settings->follower_interval;
    size_t i, open = 0;
    if (patience < UNDER_WAY_US)
        patience = UNDER_WAY_US;
    json_array_foreach(look->found, i, difference)
    {
        bool witnessed = is_witnessed(verify, difference);
        uint64_t age = age_of(verify, difference, since, now_us);
        bool certain = age >= patience || witnessed;
        const char *why = certain ? why_of(verify, difference, witnessed) : NULL;
        if (why != NULL)
            json_object_set_new(difference, "why", json_string(why));
        if (certain)
            json_object_set_new(difference, "certain", json_true());
        open += !certain;
        if (!certain && age > *oldest)
            *oldest = age;
    }
    set_json(&look->since, since);
    return open;
}

/* ---- the result ---- */

static bool is_certain(const json_t *difference)
{
    return json_is_true(json_object_get(difference, "certain"));
}

static json_int_t certain_count(const struct verify *verify)
{
    json_int_t count = 0;
    const json_t *difference;
    size_t i;
    json_array_foreach(verify->look.found, i, difference) count += is_certain(difference);
    return count;
}

/* What waits for something on purpose. */
static json_t *waiting_of(struct verify *verify)
{
    const char *type, *name;
    json_t *objects, *body, *waiting = json_array();
    if (!of_objects(verify) && verify_life(verify)->aliases_held)
        json_array_append_new(waiting, json_pack("{s:s, s:s}", "kind", "alias", "why",
                                                 "it stays where it is until an index is seeded"));
    json_object_foreach(of_objects(verify) ? verify->look.applied : NULL, type, objects)
    {
        const char *why = objects_wait_why(verify->sb, type);
        if (why == NULL)
            continue;
        json_object_foreach(objects, name, body)
        {
            if (json_array_size(waiting) < SHOWN_MAX)
                json_array_append_new(
                    waiting, json_pack("{s:s, s:s, s:s}", "kind", type, "name", name, "why", why));
        }
    }
    return waiting;
}

static json_t *result_of(struct verify *verify)
{
    json_t *shown = json_array(), *difference;
    json_t *result =
        json_pack("{s:i, s:i, s:i, s:i}", "missing", 0, "extra", 0, "different", 0, "in_flight", 0);
    size_t i;
    json_array_foreach(verify->look.found, i, difference)
    {
        bool certain = is_certain(difference);
        const char *what = certain ? text_of(difference, "what") : "in_flight";
        json_int_t before = json_integer_value(json_object_get(result, what));
        json_object_set_new(result, what, json_integer(before + 1));
        if (!certain || json_array_size(shown) >= SHOWN_MAX)
            continue;
        json_object_del(difference, "certain");
        json_array_append_new(shown, differences_show(difference));
        json_object_set_new(difference, "certain", json_true());
    }
    json_object_set_new(result, "differences", shown);
    json_object_set_new(result, "waiting", waiting_of(verify));
    return result;
}

static json_t *result_get(const struct verify *verify)
{
    return of_objects(verify) ? verify->objects : json_object_get(verify->result, "definitions");
}

static void set_result(struct verify *verify)
{
    if (of_objects(verify))
        set_json(&verify->objects, result_of(verify));
    else
        json_object_set_new(verify->result, "definitions", result_of(verify));
}

/* ---- the repair ---- */

static void put_objects_again(struct verify *verify)
{
    const json_t *difference;
    size_t i;
    json_array_foreach(verify->look.found, i, difference)
    {
        if (is_certain(difference))
            (void)objects_put_again(verify->sb, text_of(difference, "kind"),
                                    text_of(difference, "name"));
    }
}

/* A mapping that the standby would refuse is left as it is: its rows would wait for ever. */
static void put_index_again(struct verify *verify)
{
    const struct life *life = verify_life(verify);
    json_t *there = json_deep_copy(verify->look.read[ON_STANDBY]), *difference;
    json_t *wanted = json_loads(life->wanted, 0, NULL);
    size_t i;
    json_array_foreach(verify->look.found, i, difference)
    {
        if (is_fixed(verify, difference))
            json_object_set(there, "mappings", json_object_get(wanted, "mappings"));
    }
    char *text = json_dumps(there, JSON_COMPACT);
    metadata_put_again(verify->sb, verify_life(verify), text);
    free(text);
    json_decref(wanted);
    json_decref(there);
}

static void mend(struct verify *verify, uint64_t now_us)
{
    struct verify_look *look = &verify->look;
    look->mending = true;
    look->begun_us = now_us;
    look->step = LOOK_MENDING;
    if (of_objects(verify))
        put_objects_again(verify);
    else if (verify_life(verify)->state == LIFE_READY)
        put_index_again(verify); /* last: it may end at once, and we go on within it */
}

/* True when what was put once more is there, or refused. */
static bool is_mended(const struct verify *verify, uint64_t now_us)
{
    const struct standby *sb = verify->sb;
    bool waits = of_objects(verify) && sb->objects_refused; /* some may be refused for ever */
    return !sb->applying && (!waits || now_us > verify->look.begun_us + UNDER_WAY_US);
}

/* ---- looks ---- */

static void look_again(struct verify *verify)
{
    verify->look.step = LOOK_MARK;
    mark_await(verify->sb, &verify->mark);
}

/* Both sides are read. True when nothing is left to be looked at. */
static bool end_look(struct verify *verify, uint64_t now_us)
{
    struct verify_look *look = &verify->look;
    compare(verify);
    uint64_t oldest = 0, taken_us = now_us > look->begun_us ? now_us - look->begun_us : 0;
    size_t open = judge(verify, now_us, &oldest);
    json_int_t certain = certain_count(verify);
    bool first = look->looks++ == 0, lively = look->looks >= LOOKS_MIN && oldest < taken_us / 2;
    bool tired = lively || taken_us > LOOK_MAX_US;
    if (json_array_size(look->found) != 0 && (first || (open != 0 && !tired))) {
        look_again(verify);
        return false;
    }
    if (look->mending) {
        json_object_set_new(result_get(verify), "repaired", json_integer(look->to_mend - certain));
        json_object_set_new(result_get(verify), "left", json_integer(certain));
        return true;
    }
    set_result(verify);
    look->to_mend = certain;
    look->step = LOOK_MEND;
    return !verify->apply || certain == 0;
}

static void on_answer(struct es_call *call)
{
    struct verify *verify = call->arg;
    struct verify_look *look = &verify->look;
    struct standby *sb = verify->sb;
    verify->busy = false;
    bool looking = verify->state == VERIFY_DEFINING || verify->state == VERIFY_OBJECTS;
    if (!looking || (!of_objects(verify) && verify_life(verify) == NULL))
        return;
    bool changed = look->step == LOOK_STANDBY &&
                   (metadata_is_writing(sb) || sb->definitions_applied != look->applied_seen);
    if (changed) /* it was read while it changed */
        verify->retry_us = sb->world->now_us(sb) + SHORT_PAUSE_US;
    bool good =
        !changed && (is_none(verify, call) || verify_answered(verify, side_of(verify), call));
    if (!good || !take(verify)) {
        look->call = 0;
        return;
    }
    buffer_fini(&call->answer);
    if (++look->call < call_count(verify)) {
        ask(verify);
        return;
    }
    look->call = 0;
    if (look->step == LOOK_STANDBY)
        note_applied(verify);
    look->step++;
    standby_on_records(sb); /* last */
}

bool verify_is_reading(const struct standby *sb)
{
    const struct verify *verify = sb->verify;
    if (verify == NULL || verify->look.step != LOOK_STANDBY ||
        (verify->state != VERIFY_DEFINING && verify->state != VERIFY_OBJECTS))
        return false;
    uint64_t now = sb->world->now_us((struct standby *)(uintptr_t)sb);
    return now >= verify->retry_us && now < verify->look.hold_until_us;
}

/* Definitions may change one after the other without a gap: they wait for us a moment. */
static void ask_standby(struct verify *verify, uint64_t now_us)
{
    struct verify_look *look = &verify->look;
    if (!metadata_is_writing(verify->sb))
        ask(verify);
    else if (now_us >= look->hold_until_us + HOLD_MAX_US)
        look->hold_until_us = now_us + HOLD_MAX_US;
}

static bool mark_is_reached(struct verify *verify)
{
    const struct standby *sb = verify->sb;
    bool reached = verify->mark.seq != 0 && sb->first_open > verify->mark.seq;
    snprintf(verify->why, sizeof verify->why, "%s",
             reached ? "" : "it waits until the standby has what is in the journal");
    return reached;
}

bool verify_look_turn(struct verify *verify, uint64_t now_us)
{
    struct verify_look *look = &verify->look;
    if (verify->busy || now_us < verify->retry_us)
        return false;
    switch (look->step) {
    case LOOK_MARK:
        if (mark_is_reached(verify)) {
            mark_forget(verify->sb, &verify->mark);
            look->step = LOOK_STANDBY;
            verify->retry_us = now_us + PAUSE_US;
        }
        return false;
    case LOOK_STANDBY:
        ask_standby(verify, now_us);
        return false;
    case LOOK_PRIMARY:
        ask(verify);
        return false;
    case LOOK_JUDGE:
        return end_look(verify, now_us);
    case LOOK_MEND:
        if (!verify->sb->applying)
            mend(verify, now_us);
        return false;
    default:
        if (is_mended(verify, now_us))
            look_again(verify);
        return false;
    }
}
