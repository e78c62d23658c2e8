/* translate_settings.c - settings of an index for another line of engines.
 *
 * Which line refuses what was tried on engines (tests/system/test_migration.py tries it again), but
 * for what only Elasticsearch 8 with all its modules shows.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "es/copied.h"
#include "es/translate.h"

/* ---- settings that are left out or called otherwise ---- */

#define NO_LIFECYCLE                                                                               \
    "the new cluster has no such lifecycle policies (ILM); give the index a policy of its own "    \
    "kind"
#define NO_QUERY_LIMIT "it was removed in 8.0; it changes no document"

static const struct {
    const char *path;  /* below "index"; a trailing '.' takes all below */
    const char *value; /* with this value only; NULL: with any */
    unsigned lines;    /* that refuse it */
    const char *name;  /* its present name; NULL: it is left out */
    const char *why;
} rules[] = {
    {"mapping.single_type", NULL, LINES_SINCE_6, NULL,
     "every index has one type at most since 6.0"},
    {"ttl.disable_purge", NULL, LINES_SINCE_6, NULL, "there is no _ttl any more"},
    {"shadow_replicas", NULL, LINES_SINCE_6, NULL, "it was removed in 6.0; it changes no document"},
    {"shared_filesystem.", NULL, LINES_SINCE_6, NULL,
     "it was removed in 6.0; it changes no document"},
    {"recovery.initial_shards", NULL, LINES_SINCE_6, NULL,
     "it was removed in 6.0; it changes no document"},
    {"cache.query.enable", NULL, LINES_SINCE_6, "requests.cache.enable", "its name since 2.0"},
    {"store.type", "default", LINES_SINCE_6, NULL, "every engine has its own"},
    {"mapper.dynamic", NULL, LINES_ALL, NULL,
     "it was removed in 7.0; a mapping's own `dynamic` counts"},
    {"optimize_auto_generated_id", NULL, LINES_ALL, NULL,
     "it was removed in 7.0; it changes no document"},
    {"percolator.map_unmapped_fields_as_string", NULL, LINES_ALL,
     "percolator.map_unmapped_fields_as_text", "its name since 6.0"},
    {"shard.check_on_startup", "fix", LINES_ALL, NULL,
     "`fix` was removed in 7.0; it changes no document"},
    {"soft_deletes.enabled", "false", LINES_TYPELESS, NULL, "they can't be switched off any more"},
    {"translog.retention.", NULL, LINE_ES8, NULL,
     "it was removed in 8.0: soft deletes keep what is needed"},
    {"search.slowlog.level", NULL, LINE_ES8, NULL,
     "it was removed in 8.0; the thresholds of each level are kept"},
    {"indexing.slowlog.level", NULL, LINE_ES8, NULL,
     "it was removed in 8.0; the thresholds of each level are kept"},
    {"max_adjacency_matrix_filters", NULL, LINE_ES8, NULL, NO_QUERY_LIMIT},
    {"force_memory_term_dictionary", NULL, LINE_ES8, NULL, NO_QUERY_LIMIT},
    {"merge.policy.reclaim_deletes_weight", NULL, LINE_ES8, NULL, NO_QUERY_LIMIT},
    {"merge.policy.max_merge_at_once_explicit", NULL, LINE_OS2, NULL,
     "it was removed in OpenSearch 2; it changes no document"},
    {"lifecycle.", NULL, LINES_OPENSEARCH | LINE_NO_LIFECYCLE, NULL, NO_LIFECYCLE},
    {"xpack.", NULL, LINES_OPENSEARCH, NULL, "OpenSearch has no x-pack"},
    {"routing.allocation.include._tier_preference", NULL, LINES_OPENSEARCH, NULL,
     "OpenSearch has no data tiers, and would give the shards to no node"},
};

/* The holder of the setting at PATH, which may be written with objects or with dots, and in *KEY
 * its key there (a part of PATH); NULL: there is none. */
static json_t *find_setting(json_t *settings, const char *path, const char **key)
{
    char part[256];
    if (!json_is_object(settings))
        return NULL;
    if (*path == '\0' || json_object_get(settings, path) != NULL) {
        *key = path;
        return *path == '\0' ? NULL : settings;
    }
    for (const char *dot = strchr(path, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
        json_t *found = find_setting(json_object_get(settings, part), dot + 1, key);
        if (found != NULL)
            return found;
    }
    return NULL;
}

/* ---- flat settings ---- */

/* Sets VALUE in OBJECT at PATH, whose parts are between dots. */
static void set_path(json_t *object, const char *path, json_t *value)
{
    char part[256];
    const char *dot = strchr(path, '.');
    if (dot == NULL) {
        json_object_set(object, path, value);
        return;
    }
    snprintf(part, sizeof part, "%.*s", (int)(dot - path), path);
    json_t *below = json_object_get(object, part);
    if (!json_is_object(below)) {
        below = json_object();
        json_object_set_new(object, part, below);
    }
    set_path(below, dot + 1, value);
}

/* VALUE, or the list that it is when its members are called 0, 1 ..., as engines before 6.0 have it
 * flat. The caller's. */
static json_t *with_lists(json_t *value)
{
    size_t size = json_object_size(value), i = 0;
    const char *name;
    json_t *member;
    if (!json_is_object(value))
        return json_incref(value);
    json_t *list = json_array(), *object = json_object();
    for (char key[32]; i < size; i++) {
        snprintf(key, sizeof key, "%zu", i);
        if ((member = json_object_get(value, key)) == NULL)
            break;
        json_array_append(list, member);
    }
    json_object_foreach(value, name, member) json_object_set_new(object, name, with_lists(member));
    bool is_list = size != 0 && i == size;
    json_decref(is_list ? object : list);
    return is_list ? list : object;
}

/* "analysis.analyzer.x.type" is written as objects: what is looked for is looked for there. */
static void unflatten(json_t *settings, const char *group)
{
    json_t *tree = json_object(), *value;
    const char *key;
    void *next;
    size_t size = strlen(group);
    json_object_foreach_safe(settings, next, key, value)
    {
        if (strncmp(key, group, size) != 0 || key[size] != '.')
            continue;
        set_path(tree, key + size + 1, value);
        json_object_del(settings, key);
    }
    json_t *lists = with_lists(tree), *nested = json_object_get(settings, group);
    if (json_is_object(nested))
        json_object_update(nested, lists);
    else if (json_object_size(lists) != 0)
        json_object_set(settings, group, lists);
    json_decref(lists);
    json_decref(tree);
}

static bool has_value(const json_t *value, const char *text)
{
    return text == NULL || (json_is_string(value) && strcmp(json_string_value(value), text) == 0) ||
           (json_is_false(value) && strcmp(text, "false") == 0);
}

static void apply_rule(struct translator *t, json_t *settings, size_t i)
{
    char path[256];
    const char *key;
    size_t size = strlen(rules[i].path);
    bool below = rules[i].path[size - 1] == '.';
    snprintf(path, sizeof path, "%.*s", (int)(below ? size - 1 : size), rules[i].path);
    json_t *holder = find_setting(settings, path, &key);
    json_t *value = holder == NULL ? NULL : json_object_get(holder, key);
    if (value == NULL || !has_value(value, rules[i].value))
        return;
    if (rules[i].name != NULL) {
        translator_change(t, "setting index.%s is written as index.%s: %s", path, rules[i].name,
                          rules[i].why);
        json_object_set(settings, rules[i].name, value);
    } else {
        translator_change(t, "setting index.%s%s is left out: %s", path, below ? ".*" : "",
                          rules[i].why);
    }
    json_object_del(holder, key);
}

/* ---- what engines before 5.0 never looked at ---- */

/* All that there was before 6.0 under a name that it has today; a trailing '.' takes all below.
 * Which of it a line refuses the rules above say. */
static const char *const known[] = {
    "number_of_shards",
    "number_of_replicas",
    "auto_expand_replicas",
    "refresh_interval",
    "creation_date",
    "uuid",
    "version.",
    "provided_name",
    "analysis.",
    "similarity.",
    "blocks.",
    "codec",
    "compound_format",
    "data_path",
    "gc_deletes",
    "priority",
    "unassigned.",
    "routing.",
    "allocation.",
    "indexing.slowlog.level",
    "indexing.slowlog.reformat",
    "indexing.slowlog.source",
    "indexing.slowlog.threshold.",
    "search.slowlog.level",
    "search.slowlog.threshold.",
    "mapping.coerce",
    "mapping.ignore_malformed",
    "mapping.total_fields.",
    "max_adjacency_matrix_filters",
    "max_refresh_listeners",
    "max_rescore_window",
    "max_result_window",
    "max_slices_per_scroll",
    "number_of_routing_shards",
    "routing_partition_size",
    "sort.",
    "warmer.enabled",
    "write.wait_for_active_shards",
    "merge.policy.deletes_pct_allowed",
    "merge.policy.expunge_deletes_allowed",
    "merge.policy.floor_segment",
    "merge.policy.max_merge_at_once",
    "merge.policy.max_merge_at_once_explicit",
    "merge.policy.max_merged_segment",
    "merge.policy.reclaim_deletes_weight",
    "merge.policy.segments_per_tier",
    "merge.scheduler.auto_throttle",
    "merge.scheduler.max_merge_count",
    "merge.scheduler.max_thread_count",
    "percolator.map_unmapped_fields_as_text",
    "queries.cache.enabled",
    "query.default_field",
    "query.parse.allow_unmapped_fields",
    "query_string.lenient",
    "requests.cache.enable",
    "shard.check_on_startup",
    "store.type",
    "translog.durability",
    "translog.flush_threshold_size",
    "translog.sync_interval",
    "max_ngram_diff", /* what is added here */
    "max_shingle_diff",
};

static bool is_known(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        size_t size = strlen(known[i]);
        if (known[i][size - 1] == '.' ? strncmp(path, known[i], size) == 0
                                      : strcmp(path, known[i]) == 0)
            return true;
    }
    return false;
}

/* Engines before 5.0 kept whatever somebody wrote; later ones refuse what they don't know, and with
 * it the index. */
static void drop_unknown(struct translator *t, json_t *settings)
{
    json_t *flat = json_object(), *value;
    const char *path, *key;
    settings_to_paths(flat, "", settings);
    json_object_foreach(flat, path, value)
    {
        json_t *holder = is_known(path) ? NULL : find_setting(settings, path, &key);
        if (holder == NULL || (json_is_object(value) && json_object_size(value) == 0))
            continue;
        translator_change(t, "setting index.%s is left out: there is none any more", path);
        json_object_del(holder, key);
    }
    json_decref(flat);
}

/* Before 6.0 these were written in more ways. */
static void translate_booleans(struct translator *t, json_t *settings)
{
    static const char *const booleans[] = {"mapping.coerce",
                                           "mapping.ignore_malformed",
                                           "requests.cache.enable",
                                           "queries.cache.enabled",
                                           "query_string.lenient",
                                           "query.parse.allow_unmapped_fields",
                                           "indexing.slowlog.reformat",
                                           "merge.scheduler.auto_throttle"};
    for (size_t i = 0; i < COUNT_OF(booleans); i++) {
        const char *key;
        json_t *holder = find_setting(settings, booleans[i], &key);
        const json_t *value = json_object_get(holder, key);
        const char *text = json_string_value(value);
        if (text == NULL || strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
            continue;
        bool on = !translate_is_off(value) && strcmp(text, "no") != 0;
        translator_change(t, "setting index.%s is written as %s", booleans[i],
                          on ? "true" : "false");
        json_object_set_new(holder, key, json_string(on ? "true" : "false"));
    }
}

/* ---- similarity ---- */

/* What was meant by `default` before 5.0 is gone, and BM25 is in its place. */
static void replace_default(struct translator *t, json_t *settings)
{
    const char *name;
    json_t *one;
    json_object_foreach(json_object_get(settings, "similarity"), name, one)
    {
        if (!has_value(json_object_get(one, "type"), "default"))
            continue;
        translator_change(
            t,
            "similarity `%s`: type `default` becomes BM25, the default since 5.0, and "
            "scores differ",
            name);
        json_object_set_new(one, "type", json_string("BM25"));
    }
}

static void refuse_classic(struct translator *t, const json_t *settings)
{
    const json_t *similarity = json_object_get(settings, "similarity");
    const char *name;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)similarity, name,
                        one) if (has_value(json_object_get(one, "type"), "classic"))
        translator_refuse(t,
                          "its similarity `%s` is of the type classic, which was removed in 7.0; "
                          "give it another one on the old cluster (BM25, say)",
                          name);
}

/* Groups of settings without any mean nothing, and no engine shows them. */
static void drop_empty(json_t *settings)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(settings, next, name, value)
    {
        drop_empty(value);
        if (json_is_object(value) && json_object_size(value) == 0)
            json_object_del(settings, name);
    }
}

/* They keep the hash of 1.x, also in 2.4: which shard a document is in could not be told, and a
 * seed and the rows of one document would not meet. */
static void refuse_old_hash(struct translator *t, const json_t *settings)
{
    const json_t *version = json_object_get(settings, "version");
    const char *created = json_string_value(json_object_get(version, "created"));
    if (created != NULL && strtol(created, NULL, 10) < 2000000 &&
        strcmp(translate_text(settings, "number_of_shards"), "1") != 0)
        translator_refuse(t, "an engine before 2.0 made it, which spread documents over the shards "
                             "by another hash; index it again on the old cluster");
}

void translate_settings(struct translator *t, json_t *settings)
{
    if (!json_is_object(settings))
        return;
    unflatten(settings, "analysis");
    unflatten(settings, "similarity");
    unsigned line = t->line | (t->no_lifecycle ? LINE_NO_LIFECYCLE : 0);
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if ((rules[i].lines & line) != 0)
            apply_rule(t, settings, i);
    if (t->origin == 2) {
        refuse_old_hash(t, settings);
        drop_unknown(t, settings);
    }
    translate_booleans(t, settings);
    translate_analysis(t, settings);
    replace_default(t, settings);
    if ((t->line & LINES_ALL) != 0)
        refuse_classic(t, settings);
    drop_empty(settings);
}
