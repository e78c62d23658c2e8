/* model_templates.c - templates, pipelines, stored scripts and cluster settings of the model
 * cluster.
 *
 * A new index takes the composable template of the highest priority that matches it; only when none
 * does, all templates of the old kind, in their order. A template for exactly "*" does not mean
 * hidden indices.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "model_impl.h"

/* ---- matching ---- */

static bool matches(const json_t *template, const char *name, bool hidden)
{
    json_t *pattern;
    size_t i;
    json_array_foreach(json_object_get(template, "index_patterns"), i, pattern)
    {
        const char *text = json_string_value(pattern);
        if (hidden && strcmp(text, "*") == 0)
            continue;
        if (span_matches(span_cstr(name), span_cstr(text)))
            return true;
    }
    return false;
}

static const json_t *composable_for(struct model_cluster *cluster, const char *name, bool hidden)
{
    const char *key;
    json_t *template, *best = NULL;
    json_object_foreach(cluster->index_templates, key, template)
    {
        json_int_t priority = json_integer_value(json_object_get(template, "priority"));
        if (matches(template, name, hidden) &&
            (best == NULL || priority > json_integer_value(json_object_get(best, "priority"))))
            best = template;
    }
    return best;
}

bool templates_allow_create(struct model_cluster *cluster, const char *name)
{
    return json_is_true(json_object_get(composable_for(cluster, name, false), "allow_auto_create"));
}

/* Adds the {settings, mappings, aliases} of BODY. */
static bool overlay(const json_t *body, json_t *settings, json_t *mapping, json_t *aliases,
                    struct failure *failure)
{
    return settings_flatten(json_object_get(body, "settings"), settings, failure) &&
           (json_overlay(aliases, json_object_get(body, "aliases")),
            mapping_merge(mapping, json_object_get(body, "mappings"), failure));
}

static bool apply_composable(struct model_cluster *cluster, const json_t *template,
                             json_t *settings, json_t *mapping, json_t *aliases,
                             struct failure *failure)
{
    json_t *name;
    size_t i;
    json_array_foreach(json_object_get(template, "composed_of"), i, name)
    {
        const json_t *component =
            json_object_get(cluster->component_templates, json_string_value(name));
        if (!overlay(json_object_get(component, "template"), settings, mapping, aliases, failure))
            return false;
    }
    return overlay(json_object_get(template, "template"), settings, mapping, aliases, failure);
}

static int by_order(const void *a, const void *b)
{
    json_int_t x = json_integer_value(json_object_get(*(json_t *const *)a, "order"));
    json_int_t y = json_integer_value(json_object_get(*(json_t *const *)b, "order"));
    return (x > y) - (x < y);
}

bool templates_apply(struct model_cluster *cluster, const char *name, bool hidden, json_t *settings,
                     json_t *mapping, json_t *aliases, struct failure *failure)
{
    const json_t *composable = composable_for(cluster, name, hidden);
    if (composable != NULL)
        return apply_composable(cluster, composable, settings, mapping, aliases, failure);
    json_t *template,
        **sorted = bytes_alloc((json_object_size(cluster->templates) + 1) * sizeof *sorted);
    const char *key;
    size_t count = 0;
    bool ok = true;
    json_object_foreach(cluster->templates, key, template)
    {
        if (matches(template, name, hidden))
            sorted[count++] = template;
    }
    qsort(sorted, count, sizeof(json_t *), by_order);
    for (size_t i = 0; i < count && ok; i++)
        ok = overlay(sorted[i], settings, mapping, aliases, failure);
    free(sorted);
    return ok;
}

/* ---- the forms they are kept in ---- */

/* Replaces the settings of BODY by their nested form with texts for values. */
static bool normalize_settings(json_t *body, struct failure *failure)
{
    json_t *settings = json_object_get(body, "settings"), *flat = json_object();
    bool ok = settings_flatten(settings, flat, failure);
    if (ok && settings != NULL)
        json_object_set_new(body, "settings", settings_nested(flat));
    json_decref(flat);
    return ok;
}

static void normalize_mappings(json_t *body)
{
    json_t *typed = json_object_get(json_object_get(body, "mappings"), "_doc");
    if (typed != NULL)
        json_object_set(body, "mappings", typed);
}

static bool normalize_patterns(json_t *body, struct failure *failure)
{
    json_t *patterns = json_object_get(body, "index_patterns");
    if (json_is_string(patterns))
        json_object_set_new(body, "index_patterns", json_pack("[O]", patterns));
    if (json_array_size(json_object_get(body, "index_patterns")) != 0)
        return true;
    fail(failure, 400, "action_request_validation_exception",
         "Validation Failed: 1: index patterns are missing;");
    return false;
}

/* Each makes the stored form of BODY; NULL with failure set. */
static json_t *store_template(struct model_cluster *cluster, const char *name, json_t *body,
                              struct failure *failure)
{
    static const char *const parts[] = {"settings", "mappings", "aliases"};
    (void)cluster;
    (void)name;
    if (!normalize_patterns(body, failure) || !normalize_settings(body, failure))
        return NULL;
    normalize_mappings(body);
    if (json_object_get(body, "order") == NULL)
        json_object_set_new(body, "order", json_integer(0));
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (json_object_get(body, parts[i]) == NULL)
            json_object_set_new(body, parts[i], json_object());
    return json_incref(body);
}

static json_t *store_index_template(struct model_cluster *cluster, const char *name, json_t *body,
                                    struct failure *failure)
{
    json_t *template = json_object_get(body, "template"), *component;
    size_t i;
    json_array_foreach(json_object_get(body, "composed_of"), i, component)
    {
        if (json_object_get(cluster->component_templates, json_string_value(component)) == NULL)
            fail(failure, 400, "invalid_index_template_exception",
                 "index_template [%s] invalid, cause [index template [%s] specifies component "
                 "templates "
                 "[%s] that do not exist]",
                 name, name, json_string_value(component));
    }
    if (failure->status != 0 || !normalize_patterns(body, failure) ||
        !normalize_settings(template, failure))
        return NULL;
    normalize_mappings(template);
    if (json_object_get(body, "composed_of") == NULL)
        json_object_set_new(body, "composed_of", json_array());
    return json_incref(body);
}

static json_t *store_component(struct model_cluster *cluster, const char *name, json_t *body,
                               struct failure *failure)
{
    (void)cluster;
    (void)name;
    json_t *template = json_object_get(body, "template");
    if (!json_is_object(template)) {
        fail(failure, 400, "illegal_argument_exception", "Required [template]");
        return NULL;
    }
    normalize_mappings(template);
    return normalize_settings(template, failure) ? json_incref(body) : NULL;
}

static json_t *store_pipeline(struct model_cluster *cluster, const char *name, json_t *body,
                              struct failure *failure)
{
    (void)cluster;
    (void)name;
    return ingest_check(body, failure) ? json_incref(body) : NULL;
}

static json_t *store_script(struct model_cluster *cluster, const char *name, json_t *body,
                            struct failure *failure)
{
    (void)cluster;
    (void)name;
    json_t *script = json_object_get(body, "script");
    if (json_text(script, "source") != NULL)
        return json_incref(script);
    fail(failure, 400, "illegal_argument_exception", "must specify a script");
    return NULL;
}

/* ---- calls ---- */

struct kind {
    const char *segment, *second; /* of the path */
    size_t table;                 /* offset of the table in struct model_cluster */
    json_t *(*store)(struct model_cluster *cluster, const char *name, json_t *body,
                     struct failure *failure);
    const char *missing_type, *missing; /* of a delete */
    const char *list, *member;          /* how GET shows them; NULL: by name */
};
#define TABLE(field) offsetof(struct model_cluster, field)
static const struct kind kinds[] = {
    {"_template", NULL, TABLE(templates), store_template, "index_template_missing_exception",
     "index_template [%s] missing", NULL, NULL},
    {"_index_template", NULL, TABLE(index_templates), store_index_template,
     "index_template_missing_exception", "index_template [%s] missing", "index_templates",
     "index_template"},
    {"_component_template", NULL, TABLE(component_templates), store_component,
     "index_template_missing_exception", "index_template [%s] missing", "component_templates",
     "component_template"},
    {"_ingest", "pipeline", TABLE(pipelines), store_pipeline, "resource_not_found_exception",
     "pipeline [%s] is missing", NULL, NULL},
    {"_scripts", NULL, TABLE(scripts), store_script, "resource_not_found_exception",
     "stored script [%s] does not exist and cannot be deleted", NULL, NULL},
};

static json_t *table_of(const struct model_cluster *cluster, const struct kind *kind)
{
    return *(json_t *const *)(const void *)((const char *)cluster + kind->table);
}

static void put_object(struct call *call, const struct kind *kind, const char *name)
{
    struct failure failure = {.shard = -1};
    json_t *body = call_body(call), *table = table_of(call->cluster, kind);
    if (body == NULL)
        return;
    json_t *stored = metadata_blocked(call->cluster, NULL, &failure)
                         ? NULL
                         : kind->store(call->cluster, name, body, &failure);
    if (stored == NULL) {
        answer_failure(call, &failure);
    } else {
        /* The same template again is no change; the same pipeline is one. */
        if (kind->second != NULL || json_equal(stored, json_object_get(table, name)) != 1)
            cluster_bump(call->cluster);
        json_object_set_new(table, name, stored);
        answer_acknowledged(call);
    }
    json_decref(body);
}

static bool in_use(struct call *call, const struct kind *kind, const char *name)
{
    const char *key;
    json_t *template, *component;
    size_t i;
    struct failure failure = {.shard = -1};
    if (kind->store != store_component)
        return false;
    json_object_foreach(call->cluster->index_templates, key, template)
    {
        json_array_foreach(json_object_get(template, "composed_of"), i, component)
        {
            if (strcmp(json_string_value(component), name) == 0)
                fail(&failure, 400, "illegal_argument_exception",
                     "component templates [%s] cannot be removed as they are still in use by index "
                     "templates [%s]",
                     name, key);
        }
    }
    if (failure.status != 0)
        answer_failure(call, &failure);
    return failure.status != 0;
}

static void delete_object(struct call *call, const struct kind *kind, const char *pattern)
{
    struct failure failure = {.shard = -1};
    json_t *table = table_of(call->cluster, kind), *value;
    const char *name;
    void *next;
    size_t count = 0;
    if (in_use(call, kind, pattern))
        return;
    if (!metadata_blocked(call->cluster, NULL, &failure))
        json_object_foreach_safe(table, next, name, value)
        {
            if (span_matches(span_cstr(name), span_cstr(pattern))) {
                count++;
                json_object_del(table, name);
            }
        }
    if (count == 0 && strchr(pattern, '*') == NULL) {
        /* each of these texts has one %s */
        char *text = bytes_alloc(strlen(kind->missing) + strlen(pattern) + 1);
        const char *at = strstr(kind->missing, "%s");
        sprintf(text, "%.*s%s%s", (int)(at - kind->missing), kind->missing, pattern, at + 2);
        fail(&failure, 404, kind->missing_type, "%s", text);
        free(text);
    }
    if (failure.status != 0) {
        answer_failure(call, &failure);
        return;
    }
    if (count != 0)
        cluster_bump(call->cluster);
    answer_acknowledged(call);
}

static void get_script(struct call *call, const char *name)
{
    json_t *script = json_object_get(call->cluster->scripts, name);
    json_t *answer = json_pack("{s:s,s:b}", "_id", name, "found", script != NULL);
    if (script != NULL)
        json_object_set(answer, "script", script);
    answer_json(call, script != NULL ? 200 : 404, answer);
}

static void get_objects(struct call *call, const struct kind *kind, const char *pattern)
{
    json_t *shown = kind->list != NULL ? json_array() : json_object(), *value;
    const char *name;
    size_t count = 0;
    json_object_foreach(table_of(call->cluster, kind), name, value)
    {
        if (pattern != NULL && !span_matches(span_cstr(name), span_cstr(pattern)))
            continue;
        count++;
        if (kind->list != NULL)
            json_array_append_new(shown, json_pack("{s:s,s:O}", "name", name, kind->member, value));
        else
            json_object_set(shown, name, value);
    }
    bool missing = count == 0 && pattern != NULL && strchr(pattern, '*') == NULL;
    if (missing && kind->list != NULL) {
        struct failure failure = {.shard = -1};
        fail(&failure, 404, "resource_not_found_exception", "%s matching [%s] not found",
             kind->store == store_component ? "component template" : "index template", pattern);
        answer_failure(call, &failure);
        json_decref(shown);
        return;
    }
    answer_json(call, missing ? 404 : 200,
                kind->list != NULL ? json_pack("{s:o}", kind->list, shown) : shown);
}

/* ---- cluster settings ---- */

const char *cluster_setting(const struct model_cluster *cluster, const char *name)
{
    const char *value = json_text(cluster->transient, name);
    return value != NULL ? value : json_text(cluster->persistent, name);
}

bool cluster_setting_is(const struct model_cluster *cluster, const char *name, const char *value)
{
    const char *set = cluster_setting(cluster, name);
    return set != NULL && strcmp(set, value) == 0;
}

static bool flatten_cluster(const json_t *body, const char *prefix, json_t *flat, const char *scope,
                            struct failure *failure)
{
    static const char *const known[] = {
        "action.", "cluster.", "indices.", "plugins.",   "search.",        "ingest.",    "script.",
        "xpack.",  "logger.",  "*",        "discovery.", "compatibility.", "opendistro", "knn."};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)body, name, value)
    {
        char path[512];
        bool good = false;
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix == '\0' ? "" : ".", name);
        if (json_is_object(value)) {
            if (!flatten_cluster(value, path, flat, scope, failure))
                return false;
            continue;
        }
        for (size_t i = 0; i < COUNT_OF(known); i++)
            good = good || strncmp(path, known[i], strlen(known[i])) == 0;
        if (!good && !json_is_null(value)) {
            fail(failure, 400, "illegal_argument_exception", "%s setting [%s], not recognized",
                 scope, path);
            return false;
        }
        char *text = json_is_string(value) ? bytes_strdup(json_string_value(value))
                                           : json_dumps(value, JSON_ENCODE_ANY);
        json_object_set_new(flat, path, json_is_null(value) ? json_null() : json_string(text));
        free(text);
    }
    return true;
}

/* Takes FLAT over the settings; a null removes, also by a wildcard. */
static void merge_cluster(json_t *settings, const json_t *flat)
{
    const char *name, *old;
    json_t *value, *had;
    void *next;
    json_object_foreach((json_t *)(uintptr_t)flat, name, value)
    {
        if (!json_is_null(value)) {
            json_object_set(settings, name, value);
            continue;
        }
        json_object_foreach_safe(settings, next, old, had)
        {
            if (span_matches(span_cstr(old), span_cstr(name)))
                json_object_del(settings, old);
        }
    }
}

static void answer_cluster_settings(struct call *call, bool acknowledged)
{
    bool flat = call_flag(call, "flat_settings", false);
    json_t *answer = json_object();
    if (acknowledged)
        json_object_set_new(answer, "acknowledged", json_true());
    json_object_set_new(answer, "persistent",
                        flat ? json_deep_copy(call->cluster->persistent)
                             : settings_nested(call->cluster->persistent));
    json_object_set_new(answer, "transient",
                        flat ? json_deep_copy(call->cluster->transient)
                             : settings_nested(call->cluster->transient));
    answer_json(call, 200, answer);
}

static void cluster_settings_call(struct call *call)
{
    struct failure failure = {.shard = -1};
    if (!call_is(call, "PUT")) {
        answer_cluster_settings(call, false);
        return;
    }
    json_t *body = call_body(call), *persistent = json_object(), *transient = json_object();
    if (body != NULL &&
        flatten_cluster(json_object_get(body, "persistent"), "", persistent, "persistent",
                        &failure) &&
        flatten_cluster(json_object_get(body, "transient"), "", transient, "transient", &failure)) {
        merge_cluster(call->cluster->persistent, persistent);
        merge_cluster(call->cluster->transient, transient);
        cluster_bump(call->cluster);
        answer_cluster_settings(call, true);
    } else if (body != NULL) {
        answer_failure(call, &failure);
    }
    json_decref(body);
    json_decref(persistent);
    json_decref(transient);
}

void templates_call(struct call *call)
{
    const struct kind *kind = NULL;
    if (span_equal(call->segments[0], SPAN("_cluster"))) {
        cluster_settings_call(call);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (span_equal(call->segments[0], span_cstr(kinds[i].segment)))
            kind = &kinds[i];
    CHECK(kind != NULL);
    size_t name_at = 1;
    if (kind->second != NULL && (call->segment_count < 2 ||
                                 !span_equal(call->segments[name_at++], span_cstr(kind->second))))
        return;
    char *name = call->segment_count > name_at ? span_dup(call->segments[name_at]) : NULL;
    bool reads = call_is(call, "GET") || call_is(call, "HEAD");
    if (reads && kind->store == store_script && name != NULL)
        get_script(call, name);
    else if (reads)
        get_objects(call, kind, name);
    else if (name != NULL && call_is(call, "DELETE"))
        delete_object(call, kind, name);
    else if (name != NULL)
        put_object(call, kind, name);
    free(name);
}
