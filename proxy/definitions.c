/* definitions.c - the primary's cluster state as lives and objects: compared, numbered, journaled.
 *
 * What must hold:
 *   - A life gets one short number, once; the number is durable with its first record.
 *   - A life is journaled as gone only when its end is believed:
 *       - the index-graveyard names its uuid, or
 *       - a deletion of its name passed this proxy, or
 *       - the same uuid lives on with a new history (it was restored over).
 *   - A record's stamp is the version of a state read that began before its content was read, so
 *     that a newer content under an older stamp is only ever journaled again, never lost.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/definitions.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_tree.h"
#include "base/hash.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/copied.h"
#include "es/index_state.h"
#include "http/message.h"
#include "proxy/names.h"

#define FETCH_AT_ONCE 20
/* An engine reads 4 KB of a request line; the last name may be 765 bytes, encoded. */
#define FETCH_NAMES_SIZE 2800

void definitions_init(struct definitions *defs, struct core *core)
{
    memset(defs, 0, sizeof *defs);
    defs->core = core;
    defs->next_incarnation = 1;
    defs->changes_tail = &defs->changes;
}

static void clear_read(struct definitions *defs)
{
    for (size_t i = 0; i < defs->seen_count; i++) {
        free(defs->seen[i].name);
        free(defs->seen[i].uuid);
        free(defs->seen[i].key);
        free(defs->seen[i].stream);
        json_decref(defs->seen[i].detail);
    }
    free(defs->seen);
    defs->seen = NULL;
    defs->seen_count = 0;
    json_decref(defs->state);
    defs->state = NULL;
}

void definitions_written(struct definitions *defs)
{
    while (defs->changes != NULL) {
        struct change *change = defs->changes;
        defs->changes = change->next;
        free(change->type);
        free(change->name);
        free(change->body);
        free(change);
    }
    defs->changes_tail = &defs->changes;
}

void definitions_fini(struct definitions *defs)
{
    struct life *life, *next_life;
    struct object *object, *next_object;
    HASH_ITER(hh, defs->lives, life, next_life)
    {
        HASH_DEL(defs->lives, life);
        free(life->key);
        free(life->name);
        free(life->flags);
        free(life->definition);
        free(life);
    }
    HASH_ITER(hh, defs->objects, object, next_object)
    {
        HASH_DEL(defs->objects, object);
        free(object->key);
        free(object->text);
        free(object);
    }
    clear_read(defs);
    definitions_written(defs);
    free(defs->dead);
    free(defs->cluster_uuid);
}

static void add_change(struct definitions *defs, const char *type, const char *name,
                       const char *body, uint32_t incarnation)
{
    /* One that is still listed, since a commit failed, would get the same stamp as this one. */
    for (struct change *c = defs->changes; c != NULL; c = c->next)
        if (strcmp(c->type, type) == 0 && strcmp(c->name, name) == 0) {
            free(c->body);
            c->body = body == NULL ? NULL : bytes_strdup(body);
            return;
        }
    struct change *change = bytes_zalloc(sizeof *change);
    change->type = bytes_strdup(type);
    change->name = bytes_strdup(name);
    change->body = body == NULL ? NULL : bytes_strdup(body);
    change->incarnation = incarnation;
    *defs->changes_tail = change;
    defs->changes_tail = &change->next;
}

static struct object *object_get(struct definitions *defs, const char *type, const char *name)
{
    struct buffer key = {0};
    struct object *object;
    buffer_appendf(&key, "%s/%s", type, name);
    HASH_FIND_STR(defs->objects, buffer_cstr(&key), object);
    if (object == NULL) {
        object = bytes_zalloc(sizeof *object);
        object->key = bytes_strdup(buffer_cstr(&key));
        HASH_ADD_KEYPTR(hh, defs->objects, object->key, strlen(object->key), object);
    }
    buffer_fini(&key);
    return object;
}

/* ---- what the journal knows ---- */

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text == NULL ? "" : text;
}

static void load_life(struct definitions *defs, const struct metadata *metadata)
{
    struct life *life = bytes_zalloc(sizeof *life);
    life->key = span_dup(metadata->name);
    life->incarnation = metadata->incarnation;
    life->gone = metadata->gone;
    life->definition = span_dup(metadata->body);
    json_t *body = json_tree(metadata->body);
    life->name = bytes_strdup(text_of(body, "name"));
    life->client_versions = strcmp(text_of(body, "versions"), "client") == 0;
    life->no_numbers = strcmp(text_of(body, "numbers"), "none") == 0;
    if (!life->gone && !life->client_versions &&
        core_keeps_client_versions(defs->core, span_cstr(life->name)))
        log_warn(
            "follower",
            "index %s was replicated before it stood in replicate.client_versions: it stays as "
            "it is, with Tandem's versions; fill a new index to change that",
            life->name);
    json_decref(body);
    HASH_ADD_KEYPTR(hh, defs->lives, life->key, strlen(life->key), life);
    if (life->incarnation >= defs->next_incarnation)
        defs->next_incarnation = life->incarnation + 1;
}

static bool load_one(void *arg, struct span key, struct span value)
{
    struct definitions *defs = arg;
    struct record record;
    size_t used;
    (void)key;
    defs->damaged =
        record_decode(value, &record, &used) != STATUS_OK || record.header.kind != RECORD_METADATA;
    if (defs->damaged)
        return false;
    if (span_equal(record.metadata.type, SPAN("index"))) {
        load_life(defs, &record.metadata);
    } else if (!record.metadata.gone) {
        char *type = span_dup(record.metadata.type), *name = span_dup(record.metadata.name);
        object_get(defs, type, name)->text = span_dup(record.metadata.body);
        free(type);
        free(name);
    }
    if ((int64_t)record.metadata.state_version > defs->version)
        defs->version = (int64_t)record.metadata.state_version;
    sequencer_saw_term(defs->core->sequencer, record.metadata.high_term);
    return true;
}

enum status definitions_load(struct definitions *defs)
{
    struct buffer value = {0};
    if (journal_get(defs->core->journal, JOURNAL_STATE, SPAN("cluster_uuid"), &value) == STATUS_OK)
        defs->cluster_uuid = span_dup(buffer_span(&value));
    buffer_fini(&value);
    enum status status =
        journal_scan(defs->core->journal, JOURNAL_DEFINITIONS, SPAN_NONE, load_one, defs);
    if (status == STATUS_OK && defs->damaged)
        return STATUS_RECORD_TORN; /* a life that is not known would get its number twice */
    if (status == STATUS_OK)
        lives_load_names(defs);
    if (status == STATUS_OK)
        status = lives_load_routed(defs);
    return status;
}

/* ---- the state call ---- */

static int64_t integer_of(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    if (json_is_string(value)) /* settings are strings */
        return strtoll(json_string_value(value), NULL, 10);
    return json_integer_value(value);
}

static void see_terms(struct definitions *defs, const json_t *index)
{
    const char *shard;
    json_t *term;
    json_object_foreach(json_object_get(index, "primary_terms"), shard, term)
        sequencer_saw_term(defs->core->sequencer, (uint64_t)json_integer_value(term));
}

static void see_index(struct definitions *defs, const char *name, const json_t *index,
                      const json_t *members, const struct catalog *catalog)
{
    const json_t *settings = json_object_get(json_object_get(index, "settings"), "index");
    const char *uuid = text_of(settings, "uuid");
    struct seen_index *seen = &defs->seen[defs->seen_count++];
    struct buffer key = {0};

    memset(seen, 0, sizeof *seen);
    index_life_key(index, &key);
    seen->name = bytes_strdup(name);
    seen->uuid = bytes_strdup(uuid);
    seen->key = bytes_strdup(buffer_cstr(&key));
    buffer_fini(&key);
    seen->version = integer_of(index, "version");
    seen->mapping_version = integer_of(index, "mapping_version");
    seen->settings_version = integer_of(index, "settings_version");
    seen->aliases_version = integer_of(index, "aliases_version");
    seen->routing_shards = (uint32_t)integer_of(index, "routing_num_shards");
    seen->shards = (uint32_t)integer_of(settings, "number_of_shards");
    if (seen->shards == 0)
        seen->shards = 1;
    if (seen->routing_shards <
        seen->shards) /* not said: the engines before 7.0 route by the shards alone */
        seen->routing_shards = seen->shards;
    seen->closed = strcmp(text_of(index, "state"), "close") == 0;
    streams_see(members, seen);
    see_terms(defs, index);
    if (core_excludes(defs->core, span_cstr(name)))
        return;
    const struct catalog_index *old =
        catalog == NULL ? NULL : catalog_find_index(catalog, span_cstr(name));
    bool same = old != NULL && strcmp(old->key, seen->key) == 0;
    seen->fetch = !same || old->mapping_version != seen->mapping_version ||
                  old->settings_version != seen->settings_version ||
                  old->aliases_version != seen->aliases_version || old->closed != seen->closed ||
                  streams_moved(seen, old) ||
                  seen->mapping_version ==
                      0 /* before 7.0 no counters are shown: look each time the state moved */;
    struct life *life;
    HASH_FIND_STR(defs->lives, seen->key, life);
    seen->birth_found = same ? old->birth : BIRTH_UNKNOWN;
    if (!same && life != NULL)
        seen->birth_found = strstr(life->definition, "\"born\":\"empty\"") != NULL ? BIRTH_EMPTY
                            : strstr(life->definition, "\"born\":\"filling\"") != NULL
                                ? BIRTH_FILLING
                                : BIRTH_UNKNOWN;
    /* A closed one can't be asked, so what is in it must be taken for content. */
    if (seen->closed && seen->birth_found == BIRTH_UNKNOWN)
        seen->birth_found = BIRTH_FILLING;
    seen->birth = seen->birth_found == BIRTH_UNKNOWN;
}

bool definitions_take_state(struct definitions *defs, struct span body,
                            const struct catalog *catalog)
{
    clear_read(defs);
    defs->state = json_tree(body);
    const json_t *metadata = json_object_get(defs->state, "metadata");
    if (!json_is_integer(json_object_get(defs->state, "version")) || metadata == NULL)
        return false;
    defs->version =
        defs->version_base + json_integer_value(json_object_get(defs->state, "version"));
    const json_t *indices = json_object_get(metadata, "indices");
    const char *name;
    json_t *index;
    json_t *members = streams_members(metadata);
    defs->seen = bytes_alloc((json_object_size(indices) + 1) * sizeof *defs->seen);
    json_object_foreach((json_t *)(uintptr_t)indices, name, index)
        see_index(defs, name, index, members, catalog);
    json_decref(members);
    return true;
}

static bool next_names(struct definitions *defs, struct buffer *names, bool births)
{
    size_t count = 0;
    buffer_clear(names);
    for (size_t i = 0;
         i < defs->seen_count && count < FETCH_AT_ONCE && names->size < FETCH_NAMES_SIZE; i++) {
        struct seen_index *seen = &defs->seen[i];
        bool *due = births ? &seen->birth : &seen->fetch;
        if (!*due)
            continue;
        *due = false;
        seen->unread = seen->unread || !births;
        if (count++ != 0)
            buffer_append_char(names, ',');
        http_percent_encode(span_cstr(seen->name), names);
    }
    return count != 0;
}

bool definitions_next_fetch(struct definitions *defs, struct buffer *names)
{
    return next_names(defs, names, false);
}

bool definitions_next_birth(struct definitions *defs, struct buffer *names)
{
    return next_names(defs, names, true);
}

static struct seen_index *find_seen(struct definitions *defs, const char *name)
{
    for (size_t i = 0; i < defs->seen_count; i++)
        if (strcmp(defs->seen[i].name, name) == 0)
            return &defs->seen[i];
    return NULL;
}

bool definitions_take_indices(struct definitions *defs, struct span body)
{
    json_t *json = json_tree(body), *index;
    const char *name;
    if (!json_is_object(json)) {
        json_decref(json);
        return false;
    }
    json_object_foreach(json, name, index)
    {
        struct seen_index *seen = find_seen(defs, name);
        const json_t *settings = json_object_get(json_object_get(index, "settings"), "index");
        if (seen == NULL || strcmp(text_of(settings, "uuid"), seen->uuid) != 0)
            continue; /* it was made again meanwhile: the next read sees it */
        json_decref(seen->detail);
        seen->detail = json_incref(index);
        seen->unread = false;
    }
    json_decref(json);
    return true;
}

/* ---- births ---- */

/* Before 6.0: as far as it can be told since the shard was started. */
static bool never_written(const json_t *copy)
{
    const json_t *seq_no = json_object_get(copy, "seq_no"), *docs = json_object_get(copy, "docs"),
                 *indexing = json_object_get(copy, "indexing");
    if (seq_no != NULL) /* documents of before 6.0 have no numbers */
        return integer_of(seq_no, "max_seq_no") == -1 && integer_of(docs, "count") == 0;
    return docs != NULL && indexing != NULL && integer_of(docs, "count") == 0 &&
           integer_of(docs, "deleted") == 0 && integer_of(indexing, "index_total") == 0 &&
           integer_of(indexing, "delete_total") == 0;
}

static void birth_by_stats(struct seen_index *seen, const json_t *index)
{
    const char *shard;
    json_t *copies, *copy;
    size_t i, primaries = 0;
    bool empty = true;
    json_object_foreach(json_object_get(index, "shards"), shard, copies)
    {
        json_array_foreach(copies, i, copy)
        {
            if (!json_is_true(json_object_get(json_object_get(copy, "routing"), "primary")))
                continue;
            primaries++;
            empty = empty && never_written(copy);
        }
    }
    if (!empty)
        seen->birth_found = BIRTH_FILLING;
    else if (primaries == seen->shards)
        seen->birth_found = BIRTH_EMPTY;
}

static void birth_by_recovery(struct seen_index *seen, const json_t *index)
{
    json_t *shard;
    size_t i, primaries = 0;
    json_array_foreach(json_object_get(index, "shards"), i, shard)
    {
        if (!json_is_true(json_object_get(shard, "primary")))
            continue;
        primaries++;
        if (strcmp(text_of(shard, "type"), "EMPTY_STORE") != 0)
            seen->birth_found = BIRTH_FILLING;
    }
    if (seen->birth_found == BIRTH_UNKNOWN && primaries == seen->shards)
        seen->birth_found = BIRTH_EMPTY;
}

void definitions_take_births(struct definitions *defs, struct span body, bool by_stats)
{
    json_t *json = json_tree(body), *index;
    const char *name;
    json_object_foreach(by_stats ? json_object_get(json, "indices") : json, name, index)
    {
        struct seen_index *seen = find_seen(defs, name);
        if (seen == NULL || seen->birth_found != BIRTH_UNKNOWN)
            continue;
        if (by_stats)
            birth_by_stats(seen, index);
        else
            birth_by_recovery(seen, index);
    }
    json_decref(json);
}

/* ---- objects ---- */

bool definitions_objects_moved(struct definitions *defs, size_t kind)
{
    const json_t *section =
        json_object_get(json_object_get(defs->state, "metadata"), object_kinds[kind].section);
    char *text = section == NULL ? NULL : json_dumps(section, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t hash = text == NULL ? 1 : hash64(text, strlen(text), 1);
    free(text);
    bool moved = hash != defs->section_hash[kind];
    defs->section_hash[kind] = hash;
    return moved;
}

bool definitions_objects_exist(const struct definitions *defs, size_t kind)
{
    const json_t *section =
        json_object_get(json_object_get(defs->state, "metadata"), object_kinds[kind].section);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)section, key,
                        value) if (json_object_size(value) != 0 ||
                                   json_array_size(value) != 0) return true;
    return false;
}

static bool object_is_ours(const struct definitions *defs, const char *name, const json_t *body)
{
    return object_is_replicated(name, body) && !core_excludes(defs->core, span_cstr(name));
}

static void see_object(struct definitions *defs, const char *type, const char *name,
                       const json_t *body)
{
    if (!object_is_ours(defs, name, body))
        return;
    struct object *object = object_get(defs, type, name);
    char *text = json_dumps(body, JSON_COMPACT);
    object->seen = true;
    if (object->text == NULL || strcmp(object->text, text) != 0) {
        add_change(defs, type, name, text, 0);
        free(object->text);
        object->text = text;
        return;
    }
    free(text);
}

static void end_unseen_objects(struct definitions *defs, const char *type)
{
    struct object *object, *next;
    size_t prefix = strlen(type);
    HASH_ITER(hh, defs->objects, object, next)
    {
        if (strncmp(object->key, type, prefix) != 0 || object->key[prefix] != '/')
            continue;
        if (!object->seen && object->text != NULL) {
            add_change(defs, type, object->key + prefix + 1, NULL, 0);
            free(object->text);
            object->text = NULL;
        }
        object->seen = false;
    }
}

bool definitions_take_objects(struct definitions *defs, size_t kind, struct span body)
{
    const struct object_kind *ok = &object_kinds[kind];
    json_t *json = json_tree(body), *value;
    const char *name;
    if (body.size != 0 && json == NULL)
        return false;
    if (!ok->listed)
        json = json_incref(json_object_get(json_object_get(defs->state, "metadata"), ok->section));
    json_t *objects = objects_in(ok, json);
    json_object_foreach(objects, name, value) see_object(defs, ok->type, name, value);
    json_decref(objects);
    json_decref(json);
    end_unseen_objects(defs, ok->type);
    return true;
}

/* ---- the end of a read ---- */

static const char *const birth_words[] = {"unknown", "empty", "filling"};

static bool pipeline_sets_id(struct definitions *defs, const char *pipeline)
{
    struct object *object = object_get(defs, "pipeline", pipeline);
    return object->text != NULL && strstr(object->text, "\"_id\"") != NULL;
}

/* True when a pipeline, or a script that one may call, has WORD in its text. */
static bool pipelines_have(const struct definitions *defs, const char *word)
{
    for (const struct object *object = defs->objects; object != NULL; object = object->hh.next)
        if (object->text != NULL && strstr(object->text, word) != NULL &&
            (strncmp(object->key, "pipeline/", 9) == 0 || strncmp(object->key, "script/", 7) == 0))
            return true;
    return false;
}

static bool names_pipeline(const char *pipeline)
{
    return *pipeline != '\0' && strcmp(pipeline, "_none") != 0;
}

/* The names of the types in MAPPINGS with commas between them, the caller's; NULL: there are none.
 */
static char *types_of(const json_t *mappings)
{
    struct buffer names = {0};
    const char *type;
    json_t *mapping;
    json_object_foreach((json_t *)(uintptr_t)mappings, type, mapping)
    {
        if (strcmp(type, "_default_") != 0)
            buffer_appendf(&names, "%s%s", names.size != 0 ? "," : "", type);
    }
    char *text = names.size == 0 ? NULL : bytes_strdup(buffer_cstr(&names));
    buffer_fini(&names);
    return text;
}

static void read_flags(struct definitions *defs, struct catalog_index *index, const json_t *detail)
{
    const json_t *settings = json_object_get(json_object_get(detail, "settings"), "index");
    const char *first = text_of(settings, "default_pipeline"),
               *final = text_of(settings, "final_pipeline");
    char *mappings =
        json_dumps(json_object_get(detail, "mappings"), JSON_COMPACT | JSON_ENCODE_ANY);
    index->partition = (uint32_t)integer_of(settings, "routing_partition_size");
    if (index->partition == 0)
        index->partition = 1;
    index->has_pipeline = names_pipeline(first) || names_pipeline(final);
    index->no_id_injection =
        strcmp(text_of(settings, "mode"), "time_series") == 0 ||
        strcmp(text_of(json_object_get(settings, "append_only"), "enabled"), "true") == 0 ||
        (names_pipeline(first) && pipeline_sets_id(defs, first)) ||
        (names_pipeline(final) && pipeline_sets_id(defs, final));
    index->body_differs = mappings != NULL && strstr(mappings, "\"semantic_text\"") != NULL;
    index->source_hidden = mappings != NULL && strstr(mappings, "\"_source\":{") != NULL;
    if (settings_hide_vectors(settings))
        atomic_store(&defs->core->hides_vectors, true);
    index->unsynced =
        strcmp(text_of(json_object_get(settings, "translog"), "durability"), "async") == 0;
    if (!core_has_numbers(defs->core))
        index->type = types_of(json_object_get(detail, "mappings"));
    free(mappings);
}

/* The mappings without the type `_doc` around them, which says nothing: so they fit engines without
 * types. A type of another name is kept. */
static json_t *mappings_of(const struct engine *engine, const json_t *detail)
{
    json_t *mappings = json_object_get(detail, "mappings"),
           *inner = json_object_get(mappings, "_doc");
    bool hidden = engine->opensearch || engine->major >= 7;
    return hidden && json_object_size(mappings) == 1 && json_is_object(inner) ? inner : mappings;
}

/* The JSON that is journaled for a life. */
static char *definition_text(const struct core *core, const struct seen_index *seen,
                             const struct life *life, const json_t *detail)
{
    /* 2.4 tells the same in another order each time. */
    size_t order = life->no_numbers ? JSON_SORT_KEYS : 0;
    json_t *json = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:O?, s:O?, s:O?}", "name", seen->name, "uuid",
        seen->uuid, "key", seen->key, "state", seen->closed ? "close" : "open", "born",
        birth_words[seen->birth_found], "number_of_shards", (int)seen->shards, "routing_num_shards",
        (int)seen->routing_shards, "settings", json_object_get(detail, "settings"), "mappings",
        mappings_of(&core->engine, detail), "aliases", json_object_get(detail, "aliases"));
    if (seen->stream != NULL)
        json_object_set_new(json, "aliases",
                            streams_aliases(seen, json_object_get(detail, "aliases")));
    if (life->client_versions)
        json_object_set_new(json, "versions", json_string("client"));
    if (life->no_numbers)
        json_object_set_new(json, "numbers", json_string("none"));
    char *text = json_dumps(json, JSON_COMPACT | order);
    json_decref(json);
    return text;
}

static struct life *life_of(struct definitions *defs, const struct seen_index *seen)
{
    struct life *life;
    HASH_FIND_STR(defs->lives, seen->key, life);
    if (life == NULL) {
        life = bytes_zalloc(sizeof *life);
        life->key = bytes_strdup(seen->key);
        life->name = bytes_strdup(seen->name);
        life->incarnation = defs->next_incarnation++;
        life->no_numbers = !core_has_numbers(defs->core);
        life->client_versions =
            seen->stream == NULL && core_keeps_client_versions(defs->core, span_cstr(seen->name));
        HASH_ADD_KEYPTR(hh, defs->lives, life->key, strlen(life->key), life);
    }
    return life;
}

static struct life_flags *life_flags(struct life *life)
{
    if (life->flags == NULL)
        life->flags = bytes_zalloc(sizeof *life->flags);
    return life->flags;
}

static struct catalog_index *index_new(struct definitions *defs, const struct seen_index *seen,
                                       const struct catalog_index *old, const json_t *detail)
{
    struct catalog_index *index = bytes_zalloc(sizeof *index);
    struct life *life = life_of(defs, seen);
    bool same_life = old != NULL && strcmp(old->key, seen->key) == 0;
    atomic_init(&index->references, 1);
    index->name = bytes_strdup(seen->name);
    index->uuid = bytes_strdup(seen->uuid);
    index->key = bytes_strdup(seen->key);
    index->incarnation = life->incarnation;
    index->flags = life_flags(life);
    index->client_versions = life->client_versions;
    index->shards = seen->shards;
    index->routing_shards = seen->routing_shards;
    index->version = seen->version;
    index->mapping_version = seen->mapping_version;
    index->settings_version = seen->settings_version;
    index->aliases_version = seen->aliases_version;
    index->stream = seen->stream == NULL ? NULL : bytes_strdup(seen->stream);
    index->stream_write = seen->stream_write;
    index->closed = seen->closed;
    index->birth = seen->birth_found;
    index->changed_us =
        same_life && old->aliases_version == seen->aliases_version && !streams_moved(seen, old)
            ? old->changed_us
            : defs->core->now_us(defs->core);
    read_flags(defs, index, detail);
    index->definition = definition_text(defs->core, seen, life, detail);
    if (life->definition == NULL || life->gone ||
        strcmp(life->definition, index->definition) != 0) {
        add_change(defs, "index", seen->key, index->definition, life->incarnation);
        free(life->definition);
        life->definition = bytes_strdup(index->definition);
        life->gone = false;
    }
    return index;
}

/* The catalog's entry for SEEN: the old one where nothing moved; NULL when its definition could not
 * be read this time. */
static struct catalog_index *index_for(struct definitions *defs, const struct seen_index *seen,
                                       const struct catalog *catalog)
{
    const struct catalog_index *old =
        catalog == NULL ? NULL : catalog_find_index(catalog, span_cstr(seen->name));
    bool same = old != NULL && strcmp(old->key, seen->key) == 0;
    if (seen->detail != NULL)
        return index_new(defs, seen, old, seen->detail);
    if (!same)
        return NULL;
    if (old->birth != seen->birth_found) { /* only its birth became known */
        json_t *definition = json_loads(old->definition, 0, NULL);
        struct catalog_index *index = index_new(defs, seen, old, definition);
        json_decref(definition);
        return index;
    }
    return catalog_index_ref((struct catalog_index *)(uintptr_t)old);
}

static struct catalog_alias *alias_get(struct catalog *catalog, const char *name)
{
    for (size_t i = 0; i < catalog->alias_count; i++)
        if (strcmp(catalog->aliases[i].name, name) == 0)
            return &catalog->aliases[i];
    catalog->aliases =
        bytes_realloc(catalog->aliases, (catalog->alias_count + 1) * sizeof *catalog->aliases);
    struct catalog_alias *alias = &catalog->aliases[catalog->alias_count++];
    *alias = (struct catalog_alias){.name = bytes_strdup(name)};
    return alias;
}

static void add_aliases(struct catalog *catalog, const struct catalog_index *index)
{
    json_t *definition = json_loads(index->definition, 0, NULL), *body;
    const char *name;
    json_object_foreach(json_object_get(definition, "aliases"), name, body)
    {
        struct catalog_alias *alias = alias_get(catalog, name);
        const char *routing = json_string_value(json_object_get(body, "index_routing"));
        alias->members = bytes_realloc(alias->members, (alias->count + 1) * sizeof *alias->members);
        alias->members[alias->count++] = (struct catalog_alias_member){
            .index = bytes_strdup(index->name),
            .index_routing = routing == NULL ? NULL : bytes_strdup(routing),
            .is_write = json_is_true(json_object_get(body, "is_write_index")),
        };
    }
    json_decref(definition);
}

/* ---- lives that ended ---- */

static bool graveyard_names(const struct definitions *defs, const char *uuid)
{
    const json_t *graveyard =
        json_object_get(json_object_get(defs->state, "metadata"), "index-graveyard");
    json_t *tombstone;
    size_t i;
    json_array_foreach(
        json_object_get(graveyard, "tombstones"), i,
        tombstone) if (strcmp(text_of(json_object_get(tombstone, "index"), "index_uuid"), uuid) ==
                       0) return true;
    return false;
}

static bool end_is_believed(struct definitions *defs, const struct life *life)
{
    char uuid[64];
    snprintf(uuid, sizeof uuid, "%s", life->key);
    uuid[strcspn(uuid, "/")] = '\0';
    const struct seen_index *same_name = find_seen(defs, life->name);
    bool restored_over = same_name != NULL && strcmp(same_name->uuid, uuid) == 0;
    return restored_over || graveyard_names(defs, uuid) ||
           names_was_deleted(defs->core->names, span_cstr(life->name));
}

static void note_dead(struct definitions *defs, uint32_t incarnation)
{
    defs->dead = bytes_realloc(defs->dead, (defs->dead_count + 1) * sizeof *defs->dead);
    defs->dead[defs->dead_count++] = (struct dead){incarnation, defs->core->now_us(defs->core)};
}

static bool was_seen(const struct definitions *defs, const char *key)
{
    for (size_t i = 0; i < defs->seen_count; i++)
        if (strcmp(defs->seen[i].key, key) == 0)
            return true;
    return false;
}

/* Ends come before births in the journal: the standby needs the name. */
static void end_lives(struct definitions *defs)
{
    struct life *life, *next;
    char disbelieved[sizeof defs->disbelieved] = "";
    HASH_ITER(hh, defs->lives, life, next)
    {
        if (life->gone || was_seen(defs, life->key))
            continue;
        if (!end_is_believed(defs, life)) {
            size_t used = strlen(disbelieved);
            snprintf(disbelieved + used, sizeof disbelieved - used, "%s%s", used != 0 ? "," : "",
                     life->name);
            continue;
        }
        add_change(defs, "index", life->key, NULL, life->incarnation);
        life->gone = true;
        note_dead(defs, life->incarnation);
    }
    if (strcmp(disbelieved, defs->disbelieved) != 0 && *disbelieved != '\0')
        log_error("primary",
                  "indices are missing that nobody deleted as far as Tandem can tell; the standbys "
                  "keep them: %s",
                  disbelieved);
    memcpy(defs->disbelieved, disbelieved, sizeof disbelieved);
}

struct catalog *definitions_finish(struct definitions *defs, const struct catalog *old,
                                   uint64_t read_begun_us)
{
    struct catalog *catalog = catalog_new();
    catalog->version = defs->version;
    catalog->read_begun_us = read_begun_us;
    end_lives(defs);
    defs->incomplete = false;
    catalog->indices = bytes_alloc((defs->seen_count + 1) * sizeof *catalog->indices);
    for (size_t i = 0; i < defs->seen_count; i++) {
        if (core_excludes(defs->core, span_cstr(defs->seen[i].name)))
            continue;
        struct catalog_index *index = index_for(defs, &defs->seen[i], old);
        if (index != NULL)
            catalog->indices[catalog->index_count++] = index;
        defs->incomplete = defs->incomplete || index == NULL || defs->seen[i].unread;
    }
    for (size_t i = 0; i < catalog->index_count; i++)
        add_aliases(catalog, catalog->indices[i]);
    catalog->pipelines_route = pipelines_have(defs, "_routing");
    catalog->pipelines_move = pipelines_have(defs, "_id") || pipelines_have(defs, "_index") ||
                              pipelines_have(defs, "\"reroute\"") ||
                              pipelines_have(defs, "date_index_name");
    catalog_sort(catalog);
    clear_read(defs);
    return catalog;
}

/* ---- into the journal ---- */

static enum status write_change(const struct change *change, uint64_t version, uint64_t high_term,
                                struct commit *commit, struct journal_txn *txn)
{
    struct buffer key = {0}, bytes = {0};
    struct record record = {.header.kind = RECORD_METADATA,
                            .metadata = {.type = span_cstr(change->type),
                                         .name = span_cstr(change->name),
                                         .state_version = version,
                                         .high_term = high_term,
                                         .incarnation = change->incarnation,
                                         .gone = change->body == NULL,
                                         .body = span_cstr(change->body)}};
    enum status status = commit_append(commit, txn, &record);
    if (status == STATUS_OK) {
        buffer_appendf(&key, "%s/%s", change->type, change->name);
        record_encode(&bytes, &record);
        status = journal_put(txn, JOURNAL_DEFINITIONS, buffer_span(&key), buffer_span(&bytes));
    }
    buffer_fini(&key);
    buffer_fini(&bytes);
    return status;
}

static const struct life *life_of_change(const struct definitions *defs,
                                         const struct change *change)
{
    for (const struct life *l = defs->lives; l != NULL; l = l->hh.next)
        if (l->incarnation == change->incarnation)
            return l;
    return NULL;
}

/* An index without its content goes ahead of what may take the last copy of that content away (the
 * end of another index, an alias that leaves it), but for the former life of its own name. */
static bool goes_first(const struct definitions *defs, const struct change *change)
{
    if (change->body == NULL || strcmp(change->type, "index") != 0 ||
        strstr(change->body, "\"born\":\"filling\"") == NULL)
        return false;
    const struct life *life = life_of_change(defs, change);
    for (const struct change *c = defs->changes; life != NULL && c != NULL; c = c->next) {
        const struct life *ended = c->body == NULL ? life_of_change(defs, c) : NULL;
        if (ended != NULL && strcmp(ended->name, life->name) == 0)
            return false;
    }
    return true;
}

/* The end of a policy goes behind that of the indices which named it: an engine keeps one that is
 * in use. */
static bool goes_last(const struct change *change)
{
    return change->body == NULL && strcmp(change->type, OBJECT_POLICY) == 0;
}

enum status definitions_write(struct definitions *defs, struct commit *commit,
                              struct journal_txn *txn)
{
    enum status status = STATUS_OK;
    uint64_t high_term = sequencer_high_term(defs->core->sequencer);
    for (int pass = 0; pass < 3; pass++)
        for (const struct change *c = defs->changes; status == STATUS_OK && c != NULL;
             c = c->next) {
            if ((goes_first(defs, c) ? 0 : goes_last(c) ? 2 : 1) != pass)
                continue;
            status = write_change(c, (uint64_t)defs->version, high_term, commit, txn);
            if (status == STATUS_OK)
                status = lives_write_name(defs, c, txn);
        }
    if (status == STATUS_OK && defs->cluster_uuid != NULL)
        status =
            journal_put(txn, JOURNAL_STATE, SPAN("cluster_uuid"), span_cstr(defs->cluster_uuid));
    return status;
}
