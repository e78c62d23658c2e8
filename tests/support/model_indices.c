/* model_indices.c - life of an index of the model cluster: created, closed, cloned, deleted; its
 * settings.
 *
 * Wildcards mean hidden indices too, whatever expand_wildcards says.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "model_impl.h"

#define SHARDS_MAX 1024

/* ---- finding ---- */

struct model_index *index_find(const struct model_cluster *cluster, struct span name)
{
    struct model_index *index;
    HASH_FIND(hh, cluster->indices, name.data, name.size, index);
    return index;
}

void index_list_fini(struct index_list *list)
{
    free(list->list);
    *list = (struct index_list){0};
}

static void list_add(struct index_list *list, struct model_index *index)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->list[i] == index)
            return;
    list->list = bytes_realloc(list->list, (list->count + 1) * sizeof *list->list);
    list->list[list->count++] = index;
}

static bool has_alias(const struct model_index *index, struct span pattern)
{
    const char *name;
    json_t *definition;
    json_object_foreach(index->aliases, name, definition)
    {
        if (span_matches(span_cstr(name), pattern))
            return true;
    }
    return false;
}

/* How many indices or aliases PATTERN names. */
static size_t add_matching(struct model_cluster *cluster, struct span pattern, bool aliases,
                           struct index_list *list)
{
    struct model_index *index, *next;
    size_t count = 0;
    bool all = span_equal(pattern, SPAN("_all"));
    HASH_ITER(hh, cluster->indices, index, next)
    {
        if (!all && !span_matches(span_cstr(index->name), pattern) &&
            !(aliases && has_alias(index, pattern)))
            continue;
        count++;
        list_add(list, index);
    }
    return count;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct model_index *const *)a)->name, (*(struct model_index *const *)b)->name);
}

static bool is_alias(struct model_cluster *cluster, struct span name)
{
    struct model_index *index, *next;
    HASH_ITER(hh, cluster->indices, index, next)
    {
        if (json_object_getn(index->aliases, name.data, name.size) != NULL)
            return true;
    }
    return false;
}

bool indices_resolve(struct model_cluster *cluster, struct span expression, bool ignore,
                     bool aliases, struct index_list *list, struct failure *failure)
{
    while (expression.size != 0) {
        const char *comma = memchr(expression.data, ',', expression.size);
        size_t size = comma == NULL ? expression.size : (size_t)(comma - expression.data);
        struct span name = span_of(expression.data, size);
        expression = span_of(expression.data + size, expression.size - size);
        if (expression.size != 0)
            expression = span_of(expression.data + 1, expression.size - 1);
        bool wild = memchr(name.data, '*', name.size) != NULL || span_equal(name, SPAN("_all"));
        if (add_matching(cluster, name, aliases, list) != 0 || wild || ignore)
            continue;
        if (!aliases && is_alias(cluster, name))
            fail(failure, 400, "illegal_argument_exception",
                 "The provided expression [%.*s] matches an alias, specify the corresponding "
                 "concrete "
                 "indices instead.",
                 (int)name.size, name.data);
        else
            fail_no_index(failure, name, "index_or_alias");
        return false;
    }
    if (list->count != 0)
        qsort(list->list, list->count, sizeof *list->list, by_name);
    return true;
}

/* ---- settings ---- */

const char *index_setting(const struct model_index *index, const char *name)
{
    return json_text(index->settings, name);
}

static bool setting_known(const char *name, struct failure *failure)
{
    static const char *const private[] = {"index.uuid", "index.creation_date",
                                          "index.provided_name", "index.version.created",
                                          "index.history.uuid"};
    static const char *const known[] = {"index.number_of_",
                                        "index.routing",
                                        "index.refresh_interval",
                                        "index.gc_deletes",
                                        "index.blocks.",
                                        "index.mapping.",
                                        "index.default_pipeline",
                                        "index.final_pipeline",
                                        "index.hidden",
                                        "index.auto_expand_replicas",
                                        "index.translog.",
                                        "index.analysis.",
                                        "index.similarity.",
                                        "index.sort.",
                                        "index.codec",
                                        "index.max_",
                                        "index.soft_deletes.",
                                        "index.lifecycle.",
                                        "index.plugins.",
                                        "index.opendistro.",
                                        "index.search.",
                                        "index.indexing.",
                                        "index.merge.",
                                        "index.priority",
                                        "index.query.",
                                        "index.store.",
                                        "index.unassigned.",
                                        "index.write.",
                                        "index.allocation.",
                                        "index.append_only.",
                                        "index.highlight.",
                                        "index.requests.",
                                        "index.warmer.",
                                        "index.load_fixed",
                                        "index.replication.",
                                        "index.knn",
                                        "index.verified_before_"};
    for (size_t i = 0; i < COUNT_OF(private); i++)
        if (strcmp(name, private[i]) == 0) {
            fail(failure, 400, "validation_exception",
                 "Validation Failed: 1: private index setting [%s] can not be set explicitly;",
                 name);
            return false;
        }
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strncmp(name, known[i], strlen(known[i])) == 0)
            return true;
    fail(failure, 400, "illegal_argument_exception",
         "unknown setting [%s] please check that any required plugins are installed, or check the "
         "breaking changes documentation for removed settings",
         name);
    return false;
}

static json_t *as_text(const json_t *value)
{
    char number[40];
    json_t *list, *element;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_TRUE:
        return json_string("true");
    case JSON_FALSE:
        return json_string("false");
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return json_string(number);
    case JSON_REAL:
        snprintf(number, sizeof number, "%.15g", json_real_value(value));
        return json_string(number);
    case JSON_ARRAY:
        list = json_array();
        json_array_foreach((json_t *)(uintptr_t)value, i, element)
        {
            json_array_append_new(list, as_text(element));
        }
        return list;
    default:
        return json_deep_copy(value);
    }
}

static bool flatten(const json_t *body, const char *prefix, json_t *flat, struct failure *failure)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        char path[512];
        bool top = *prefix == '\0';
        bool has_prefix = strncmp(name, "index.", 6) == 0 || strcmp(name, "index") == 0;
        snprintf(path, sizeof path, "%s%s%s", top ? (has_prefix ? "" : "index.") : prefix,
                 top ? "" : ".", name);
        if (json_is_object(value)) {
            if (!flatten(value, path, flat, failure))
                return false;
            continue;
        }
        if (!setting_known(path, failure))
            return false;
        json_object_set_new(flat, path, as_text(value));
    }
    return true;
}

bool settings_flatten(const json_t *body, json_t *flat, struct failure *failure)
{
    return flatten(body, "", flat, failure);
}

json_t *settings_nested(const json_t *flat)
{
    json_t *nested = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)flat, name, value)
    {
        json_t *at = nested;
        const char *rest = name, *dot;
        while ((dot = strchr(rest, '.')) != NULL) {
            json_t *next = json_object_getn(at, rest, (size_t)(dot - rest));
            if (!json_is_object(next)) {
                next = json_object();
                json_object_setn_new(at, rest, (size_t)(dot - rest), next);
            }
            at = next;
            rest = dot + 1;
        }
        json_object_set(at, rest, value);
    }
    return nested;
}

/* "3h" in microseconds; negative stays -1. */
static int64_t duration_us(const char *text)
{
    char *unit;
    double number = strtod(text, &unit);
    static const struct {
        const char *unit;
        double us;
    } units[] = {{"ms", 1e3}, {"s", 1e6}, {"m", 6e7}, {"h", 3.6e9}, {"d", 8.64e10}};
    if (number < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (strcmp(unit, units[i].unit) == 0)
            return (int64_t)(number * units[i].us);
    return (int64_t)(number * 1e3);
}

static bool setting_true(const struct model_index *index, const char *name)
{
    const char *value = index_setting(index, name);
    return value != NULL && strcmp(value, "true") == 0;
}

void index_refresh(struct model_index *index)
{
    const char *gc = index_setting(index, "index.gc_deletes");
    const char *limit = index_setting(index, "index.mapping.total_fields.limit");
    const char *partition = index_setting(index, "index.routing_partition_size");
    index->gc_deletes_us = gc == NULL ? 60 * INT64_C(1000000) : duration_us(gc);
    index->fields_max = limit == NULL ? 1000 : atoll(limit);
    index->partition = partition == NULL ? 1 : (uint32_t)atoi(partition);
    index->default_pipeline = index_setting(index, "index.default_pipeline");
    index->final_pipeline = index_setting(index, "index.final_pipeline");
    index->block = NULL;
    index->block_status = 403;
    if (setting_true(index, "index.blocks.read_only"))
        index->block = "FORBIDDEN/5/index read-only (api)";
    else if (setting_true(index, "index.blocks.write"))
        index->block = "FORBIDDEN/8/index write (api)";
    else if (setting_true(index, "index.blocks.read_only_allow_delete")) {
        index->block = "TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark, index has "
                       "read-only-allow-delete block";
        index->block_status = 429;
    }
    mapping_compile(index);
}

/* ---- birth and death ---- */

static void doc_free(struct model_doc *doc)
{
    free(doc->id);
    free(doc->routing);
    free(doc->source);
    free(doc);
}

void index_free(struct model_index *index)
{
    struct model_doc *doc, *next;
    for (uint32_t i = 0; i < index->shard_count; i++)
        HASH_ITER(hh, index->shards[i].docs, doc, next)
        {
            HASH_DEL(index->shards[i].docs, doc);
            doc_free(doc);
        }
    mapping_fields_free(index);
    json_decref(index->settings);
    json_decref(index->mapping);
    json_decref(index->aliases);
    free(index->shards);
    free(index->name);
    free(index);
}

static char *copy_bytes(const char *data, size_t size)
{
    char *copy = bytes_alloc(size + 1);
    memcpy(copy, data, size);
    copy[size] = '\0';
    return copy;
}

static void copy_shard(struct model_shard *into, const struct model_shard *from)
{
    struct model_doc *doc, *next;
    *into = *from;
    into->docs = NULL;
    HASH_ITER(hh, from->docs, doc, next)
    {
        struct model_doc *copy = bytes_alloc(sizeof *copy);
        *copy = *doc;
        copy->id = copy_bytes(doc->id, doc->id_size);
        if (doc->routing != NULL)
            copy->routing = copy_bytes(doc->routing, doc->routing_size);
        if (doc->source != NULL)
            copy->source = copy_bytes(doc->source, doc->source_size);
        HASH_ADD_KEYPTR(hh, into->docs, copy->id, copy->id_size, copy);
    }
}

struct model_index *index_copy(const struct model_index *index)
{
    struct model_index *copy = bytes_alloc(sizeof *copy);
    *copy = *index;
    copy->name = bytes_strdup(index->name);
    copy->settings = json_deep_copy(index->settings);
    copy->mapping = json_deep_copy(index->mapping);
    copy->aliases = json_deep_copy(index->aliases);
    copy->fields = NULL;
    copy->shards = bytes_zalloc(index->shard_count * sizeof *copy->shards);
    for (uint32_t i = 0; i < index->shard_count; i++)
        copy_shard(&copy->shards[i], &index->shards[i]);
    index_refresh(copy);
    return copy;
}

/* Shards can double until there would be more than 1024, and once at least. */
static uint32_t default_routing_shards(uint32_t shards)
{
    uint32_t routing = shards * 2;
    while (routing * 2 <= SHARDS_MAX)
        routing *= 2;
    return shards == 1 ? SHARDS_MAX : routing;
}

static bool name_is_good(struct model_cluster *cluster, struct span name, struct failure *failure)
{
    const char *why = NULL;
    if (name.size == 0 || name.size > 255)
        why = "must not be empty or longer than 255 bytes";
    else if (strchr("_-+", name.data[0]) != NULL)
        why = "must not start with '_', '-', or '+'";
    for (size_t i = 0; i < name.size && why == NULL; i++) {
        if (name.data[i] >= 'A' && name.data[i] <= 'Z')
            why = "must be lowercase";
        else if (strchr(" \"*\\<|,>/?#:", name.data[i]) != NULL)
            why = "must not contain the following characters [ , \", *, \\, <, |, ,, >, /, ?]";
    }
    if (why == NULL && is_alias(cluster, name))
        why = "already exists as alias";
    if (why == NULL)
        return true;
    fail(failure, 400, "invalid_index_name_exception", "Invalid index name [%.*s], %s",
         (int)name.size, name.data, why);
    snprintf(failure->index, sizeof failure->index, "%.*s", (int)name.size, name.data);
    strcpy(failure->index_uuid, "_na_");
    return false;
}

static bool creation_is_good(struct model_cluster *cluster, struct span name,
                             struct failure *failure)
{
    const struct model_index *old = index_find(cluster, name);
    if (metadata_blocked(cluster, NULL, failure))
        return false;
    if (cluster_setting_is(cluster, "cluster.blocks.create_index", "true")) {
        fail(failure, 403, "cluster_block_exception",
             "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];");
        return false;
    }
    if (old == NULL)
        return name_is_good(cluster, name, failure);
    fail(failure, 400, "resource_already_exists_exception", "index [%s/%s] already exists",
         old->name, old->uuid);
    snprintf(failure->index, sizeof failure->index, "%s", old->name);
    memcpy(failure->index_uuid, old->uuid, UUID_SIZE);
    return false;
}

static bool take_counts(struct model_index *index, struct failure *failure)
{
    const char *shards = index_setting(index, "index.number_of_shards");
    const char *routing = index_setting(index, "index.number_of_routing_shards");
    int count = shards == NULL ? 1 : atoi(shards);
    if (count < 1 || count > SHARDS_MAX) {
        fail(failure, 400, "illegal_argument_exception",
             "Failed to parse value [%s] for setting [index.number_of_shards] must be >= 1",
             shards);
        return false;
    }
    index->shard_count = (uint32_t)count;
    index->routing_shards =
        routing == NULL ? default_routing_shards(index->shard_count) : (uint32_t)atoi(routing);
    if (index->routing_shards < index->shard_count ||
        index->routing_shards % index->shard_count != 0) {
        fail(failure, 400, "illegal_argument_exception",
             "the number of source shards [%d] must be a factor of [%s]", count, routing);
        index->shard_count = 0; /* nothing is allocated yet */
        return false;
    }
    json_object_del(index->settings,
                    "index.number_of_routing_shards"); /* the engines do not show it */
    return true;
}

static void give_identity(struct model_cluster *cluster, struct model_index *index)
{
    char text[40];
    make_uuid(cluster, index->uuid);
    snprintf(text, sizeof text, "%" PRIu64, cluster->now_us / 1000);
    json_object_set_new(index->settings, "index.creation_date", json_string(text));
    json_object_set_new(index->settings, "index.provided_name", json_string(index->name));
    json_object_set_new(index->settings, "index.uuid", json_string(index->uuid));
    json_object_set_new(index->settings, "index.version.created", json_string("136407927"));
    json_object_set_new(index->settings, "index.replication.type", json_string("DOCUMENT"));
    snprintf(text, sizeof text, "%" PRIu32, index->shard_count);
    json_object_set_new(index->settings, "index.number_of_shards", json_string(text));
    if (index_setting(index, "index.number_of_replicas") == NULL)
        json_object_set_new(index->settings, "index.number_of_replicas", json_string("1"));
}

/* What the body says, over what the templates say. */
static bool take_body(struct model_cluster *cluster, struct model_index *index, const json_t *body,
                      struct failure *failure)
{
    json_t *settings = json_object(), *mapping = json_object_get(body, "mappings"), *definition;
    json_t *aliases = json_object();
    const char *name;
    bool ok = settings_flatten(json_object_get(body, "settings"), settings, failure);
    const char *hidden = json_text(settings, "index.hidden");
    ok = ok && templates_apply(cluster, index->name, hidden != NULL && strcmp(hidden, "true") == 0,
                               index->settings, index->mapping, aliases, failure);
    json_object_foreach(json_object_get(body, "aliases"), name, definition)
    {
        json_object_set_new(aliases, name, json_deep_copy(definition));
    }
    json_object_foreach(aliases, name, definition)
    {
        ok = ok && alias_write_free(cluster, index->name, name, definition, failure);
        json_object_set_new(index->aliases, name, alias_definition(definition));
    }
    json_object_update(index->settings, settings);
    ok = ok && mapping_merge(index->mapping, mapping, failure);
    json_decref(settings);
    json_decref(aliases);
    return ok;
}

static void drop_nulls(json_t *settings)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(settings, next, name, value)
    {
        if (json_is_null(value))
            json_object_del(settings, name);
    }
}

static bool fields_fit(struct model_index *index, const json_t *mapping, struct failure *failure)
{
    if (mapping_count(mapping) <= (size_t)index->fields_max)
        return true;
    fail(failure, 400, "illegal_argument_exception",
         "Limit of total fields [%" PRId64 "] has been exceeded", index->fields_max);
    return false;
}

struct model_index *index_create(struct model_cluster *cluster, struct span name,
                                 const json_t *body, struct failure *failure)
{
    if (!creation_is_good(cluster, name, failure))
        return NULL;
    struct model_index *index = bytes_zalloc(sizeof *index);
    index->name = span_dup(name);
    index->settings = json_object();
    index->mapping = json_object();
    index->aliases = json_object();
    bool ok = take_body(cluster, index, body, failure);
    drop_nulls(index->settings);
    if (!ok || !take_counts(index, failure)) {
        index->shard_count = 0;
        index_free(index);
        return NULL;
    }
    give_identity(cluster, index);
    index->version = 3;
    index->mapping_version = index->settings_version = index->aliases_version = 1;
    index->recovery = "EMPTY_STORE";
    index->shards = bytes_zalloc(index->shard_count * sizeof *index->shards);
    for (uint32_t i = 0; i < index->shard_count; i++) {
        index->shards[i].max_seq_no = -1;
        index->shards[i].term = 1;
        make_uuid(cluster, index->shards[i].history_uuid);
    }
    index_refresh(index);
    if (!fields_fit(index, index->mapping, failure)) {
        index_free(index);
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, cluster->indices, index->name, strlen(index->name), index);
    cluster->version += 2;
    return index;
}

void index_delete(struct model_cluster *cluster, struct model_index *index)
{
    json_array_append_new(cluster->graveyard,
                          json_pack("{s:{s:s,s:s},s:I}", "index", "index_name", index->name,
                                    "index_uuid", index->uuid, "delete_date_in_millis",
                                    (json_int_t)(cluster->now_us / 1000)));
    if (json_array_size(cluster->graveyard) > GRAVEYARD_MAX)
        json_array_remove(cluster->graveyard, 0);
    HASH_DEL(cluster->indices, index);
    index_free(index);
    cluster_bump(cluster);
}

bool metadata_blocked(struct model_cluster *cluster, const struct model_index *index,
                      struct failure *failure)
{
    if (cluster_setting_is(cluster, "cluster.blocks.read_only", "true"))
        fail(failure, 403, "cluster_block_exception",
             "blocked by: [FORBIDDEN/6/cluster read-only (api)];");
    else if (index != NULL && setting_true(index, "index.blocks.read_only"))
        fail(failure, 403, "cluster_block_exception",
             "index [%s] blocked by: [FORBIDDEN/5/index read-only (api)];", index->name);
    return failure->status != 0;
}

/* ---- calls ---- */

static bool call_indices(struct call *call, bool aliases, struct index_list *list)
{
    struct failure failure = {.shard = -1};
    struct span expression = call->segments[0];
    if (expression.data[0] == '_')
        expression = SPAN("_all");
    if (indices_resolve(call->cluster, expression, call_flag(call, "ignore_unavailable", false),
                        aliases, list, &failure))
        return true;
    answer_failure(call, &failure);
    return false;
}

static void create_call(struct call *call)
{
    struct failure failure = {.shard = -1};
    json_t *body = call_body(call);
    if (body == NULL)
        return;
    if (index_create(call->cluster, call->segments[0], body, &failure) == NULL) {
        answer_failure(call, &failure);
    } else {
        json_t *answer = json_pack("{s:b,s:b}", "acknowledged", 1, "shards_acknowledged", 1);
        json_object_set_new(answer, "index",
                            json_stringn(call->segments[0].data, call->segments[0].size));
        answer_json(call, 200, answer);
    }
    json_decref(body);
}

static void delete_call(struct call *call, const struct index_list *list)
{
    struct failure failure = {.shard = -1};
    for (size_t i = 0; i < list->count; i++)
        metadata_blocked(call->cluster, list->list[i], &failure);
    if (failure.status != 0) {
        answer_failure(call, &failure);
        return;
    }
    for (size_t i = 0; i < list->count; i++)
        index_delete(call->cluster, list->list[i]);
    answer_acknowledged(call);
}

enum { SHOW_ALL, SHOW_SETTINGS, SHOW_MAPPING };

static void get_call(struct call *call, const struct index_list *list, int what)
{
    json_t *answer = json_object();
    bool flat = call_flag(call, "flat_settings", false);
    for (size_t i = 0; i < list->count; i++) {
        struct model_index *index = list->list[i];
        json_t *shown = what == SHOW_ALL ? index_definition(index) : json_object();
        if (what == SHOW_MAPPING)
            json_object_set(shown, "mappings", index->mapping);
        if (what == SHOW_SETTINGS || (what == SHOW_ALL && flat))
            json_object_set_new(shown, "settings",
                                flat ? json_deep_copy(index->settings)
                                     : settings_nested(index->settings));
        json_object_set_new(answer, index->name, shown);
    }
    answer_json(call, 200, answer);
}

static bool settings_allowed(const struct model_index *index, const json_t *flat,
                             struct failure *failure)
{
    static const char *const final[] = {"index.number_of_shards", "index.number_of_routing_shards",
                                        "index.routing_partition_size"};
    static const char *const fixed[] = {"index.analysis.", "index.sort.", "index.codec",
                                        "index.similarity."};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)flat, name, value)
    {
        bool refused = false;
        for (size_t i = 0; i < COUNT_OF(final); i++)
            refused = refused || strcmp(name, final[i]) == 0;
        for (size_t i = 0; i < COUNT_OF(fixed) && !index->closed; i++)
            refused = refused || strncmp(name, fixed[i], strlen(fixed[i])) == 0;
        if (refused) {
            fail(failure, 400, "illegal_argument_exception",
                 "Can't update non dynamic settings [[%s]] for open indices [[%s/%s]]", name,
                 index->name, index->uuid);
            return false;
        }
    }
    return true;
}

static void put_settings(struct call *call, const struct index_list *list)
{
    struct failure failure = {.shard = -1};
    json_t *body = call_body(call), *flat = json_object();
    if (body == NULL)
        goto out;
    const json_t *given = json_object_get(body, "settings");
    settings_flatten(given != NULL ? given : body, flat, &failure);
    for (size_t i = 0; i < list->count && failure.status == 0; i++)
        settings_allowed(list->list[i], flat, &failure);
    if (failure.status == 0 &&
        cluster_setting_is(call->cluster, "cluster.blocks.read_only", "true"))
        metadata_blocked(call->cluster, NULL, &failure);
    if (failure.status != 0) {
        answer_failure(call, &failure);
        goto out;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct model_index *index = list->list[i];
        json_t *before = json_copy(index->settings);
        json_object_update(index->settings, flat);
        drop_nulls(index->settings);
        if (json_equal(before, index->settings) != 1) {
            index->settings_version++;
            index->version++;
        }
        json_decref(before);
        index_refresh(index);
    }
    cluster_bump(call->cluster);
    answer_acknowledged(call);
out:
    json_decref(body);
    json_decref(flat);
}

static void put_mapping_of(struct model_cluster *cluster, struct model_index *index,
                           const json_t *body, struct failure *failure)
{
    json_t *merged = json_deep_copy(index->mapping);
    if (!metadata_blocked(cluster, index, failure) && mapping_merge(merged, body, failure) &&
        fields_fit(index, merged, failure) && json_equal(merged, index->mapping) != 1) {
        json_decref(index->mapping);
        index->mapping = json_incref(merged);
        index->mapping_version++;
        index->version++;
        cluster_bump(cluster);
        index_refresh(index);
    }
    json_decref(merged);
}

static void put_mapping(struct call *call, const struct index_list *list)
{
    struct failure failure = {.shard = -1};
    json_t *body = call_body(call);
    if (body == NULL)
        return;
    for (size_t i = 0; i < list->count && failure.status == 0; i++)
        put_mapping_of(call->cluster, list->list[i], body, &failure);
    if (failure.status != 0)
        answer_failure(call, &failure);
    else
        answer_acknowledged(call);
    json_decref(body);
}

static void set_closed(struct call *call, const struct index_list *list, bool closed)
{
    json_t *indices = json_object();
    for (size_t i = 0; i < list->count; i++) {
        struct model_index *index = list->list[i];
        json_object_set_new(indices, index->name, json_pack("{s:b}", "closed", 1));
        if (index->closed == closed)
            continue;
        index->closed = closed;
        if (closed)
            json_object_set_new(index->settings, "index.verified_before_close",
                                json_string("true"));
        else
            json_object_del(index->settings, "index.verified_before_close");
        for (uint32_t shard = 0; shard < index->shard_count; shard++)
            index->shards[shard].term++;
        index->recovery = "EXISTING_STORE";
        index->settings_version++;
        index->version += 5;
        call->cluster->version += 3;
        index_refresh(index);
    }
    json_t *answer = json_pack("{s:b,s:b}", "acknowledged", 1, "shards_acknowledged", 1);
    if (closed)
        json_object_set(answer, "indices", indices);
    json_decref(indices);
    answer_json(call, 200, answer);
}

/* PUT /{index}/_block/{name}: an index that has the block already is not in the answer. */
static void block_call(struct call *call, const struct index_list *list)
{
    json_t *blocked = json_array();
    char name[64];
    snprintf(name, sizeof name, "index.blocks.%.*s", (int)call->segments[2].size,
             call->segments[2].data);
    for (size_t i = 0; i < list->count; i++) {
        struct model_index *index = list->list[i];
        if (setting_true(index, name))
            continue;
        json_object_set_new(index->settings, name, json_string("true"));
        index->settings_version++;
        index->version += 2;
        call->cluster->version += 2;
        index_refresh(index);
        json_array_append_new(blocked, json_pack("{s:s,s:b}", "name", index->name, "blocked", 1));
    }
    answer_json(call, 200,
                json_pack("{s:b,s:b,s:o}", "acknowledged", 1, "shards_acknowledged",
                          json_array_size(blocked) != 0, "indices", blocked));
}

static void clone_call(struct call *call, struct model_index *source)
{
    struct failure failure = {.shard = -1};
    struct model_cluster *cluster = call->cluster;
    json_t *body = call_body(call), *settings = json_object();
    if (body == NULL || !creation_is_good(cluster, call->segments[2], &failure) ||
        !settings_flatten(json_object_get(body, "settings"), settings, &failure))
        goto out;
    if (!setting_true(source, "index.blocks.write")) {
        fail(&failure, 500, "illegal_state_exception",
             "index %s must be read-only to resize index. use \"index.blocks.write=true\"",
             source->name);
        goto out;
    }
    struct model_index *made = index_copy(source);
    free(made->name);
    made->name = span_dup(call->segments[2]);
    json_object_clear(made->aliases);
    json_object_update(made->settings, settings);
    drop_nulls(made->settings);
    give_identity(cluster, made);
    json_object_set_new(made->settings, "index.resize.source.name", json_string(source->name));
    json_object_set_new(made->settings, "index.resize.source.uuid", json_string(source->uuid));
    made->recovery = "LOCAL_SHARDS";
    made->version = 3;
    made->mapping_version = made->settings_version = made->aliases_version = 1;
    index_refresh(made);
    for (uint32_t i = 0; i < made->shard_count; i++) {
        made->shards[i].term++;
        make_uuid(cluster, made->shards[i].history_uuid);
    }
    HASH_ADD_KEYPTR(hh, cluster->indices, made->name, strlen(made->name), made);
    cluster->version += 2;
    answer_json(call, 200,
                json_pack("{s:b,s:b,s:s}", "acknowledged", 1, "shards_acknowledged", 1, "index",
                          made->name));
out:
    if (failure.status != 0)
        answer_failure(call, &failure);
    json_decref(body);
    json_decref(settings);
}

static void action_call(struct call *call, struct span action, const struct index_list *list)
{
    bool reads = call_is(call, "GET") || call_is(call, "HEAD");
    if (span_equal(action, SPAN("_settings"))) {
        if (reads)
            get_call(call, list, SHOW_SETTINGS);
        else if (call_is(call, "PUT"))
            put_settings(call, list);
    } else if (span_equal(action, SPAN("_mapping")) || span_equal(action, SPAN("_mappings"))) {
        if (reads)
            get_call(call, list, SHOW_MAPPING);
        else
            put_mapping(call, list);
    } else if (span_equal(action, SPAN("_close")) || span_equal(action, SPAN("_open"))) {
        set_closed(call, list, span_equal(action, SPAN("_close")));
    } else if (span_equal(action, SPAN("_refresh")) || span_equal(action, SPAN("_flush")) ||
               span_equal(action, SPAN("_forcemerge"))) {
        answer_json(
            call, 200,
            json_pack("{s:{s:i,s:i,s:i}}", "_shards", "total", 1, "successful", 1, "failed", 0));
    } else if (span_equal(action, SPAN("_block")) && call->segment_count == 3) {
        block_call(call, list);
    } else if (span_equal(action, SPAN("_clone")) && call->segment_count == 3 && list->count == 1) {
        clone_call(call, list->list[0]);
    }
}

void indices_call(struct call *call)
{
    struct index_list list = {0};
    struct span action = call->segment_count > 1 ? call->segments[1] : SPAN_NONE;
    bool whole = call->segment_count == 1;
    if (call->segments[0].data[0] == '_' && !span_equal(call->segments[0], SPAN("_all"))) {
        action = call->segments[0];
        whole = false;
    }
    if (whole && call_is(call, "PUT")) {
        create_call(call);
        return;
    }
    if (!call_indices(call, !(whole && call_is(call, "DELETE")), &list))
        return;
    if (!whole)
        action_call(call, action, &list);
    else if (call_is(call, "DELETE"))
        delete_call(call, &list);
    else if (call_is(call, "GET") || call_is(call, "HEAD"))
        get_call(call, &list, SHOW_ALL);
    index_list_fini(&list);
}
