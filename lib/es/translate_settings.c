/* translate_settings.c - settings and analysis of an index for another line of engines.
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
#include "es/translate.h"

/* ---- settings that are left out or called otherwise ---- */

#define NO_LIFECYCLE                                                                               \
    "lifecycle policies are Elasticsearch's; give the index a policy of the new cluster's"
#define NO_QUERY_LIMIT "it was removed in 8.0; it changes no document"

static const struct {
    const char *path;  /* below "index"; a trailing '.' takes all below */
    const char *value; /* with this value only; NULL: with any */
    unsigned lines;    /* that refuse it */
    const char *name;  /* its present name; NULL: it is left out */
    const char *why;
} rules[] = {
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
    {"lifecycle.", NULL, LINES_OPENSEARCH, NULL, NO_LIFECYCLE},
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

/* ---- analysis ---- */

/* Names of what comes with an engine. OLD is refused by LINES where an analyzer uses it, and by
 * TYPE_LINES as the type of one's own. */
static const struct {
    const char *section; /* of the analysis: tokenizer, filter, char_filter */
    const char *old, *name;
    unsigned lines, type_lines;
} renamed[] = {
    {"tokenizer", "nGram", "ngram", LINES_ALL, LINE_ES8},
    {"tokenizer", "edgeNGram", "edge_ngram", LINES_ALL, LINE_ES8},
    {"filter", "nGram", "ngram", LINES_ALL, LINE_ES8},
    {"filter", "edgeNGram", "edge_ngram", LINES_ALL, LINE_ES8},
    {"filter", "delimited_payload_filter", "delimited_payload", LINES_ALL, LINES_ALL},
    {"char_filter", "htmlStrip", "html_strip", LINES_ALL, LINES_ALL},
};

static const char *new_name(const struct translator *t, const char *section, const char *old,
                            bool is_type)
{
    for (size_t i = 0; old != NULL && i < COUNT_OF(renamed); i++) {
        unsigned lines = is_type ? renamed[i].type_lines : renamed[i].lines;
        if (strcmp(renamed[i].section, section) == 0 && strcmp(renamed[i].old, old) == 0 &&
            (lines & t->line) != 0)
            return renamed[i].name;
    }
    return NULL;
}

static const char *type_of(const json_t *parts, const char *name)
{
    return json_string_value(json_object_get(json_object_get(parts, name), "type"));
}

/* The token filter `standard` did nothing, and is gone: by its type, or by the name that came with
 * the engine. */
static bool is_standard_filter(const json_t *filters, const char *name)
{
    const char *type = type_of(filters, name);
    return strcmp(type != NULL                             ? type
                  : json_object_get(filters, name) == NULL ? name
                                                           : "",
                  "standard") == 0;
}

/* One name that an analyzer uses. Its successor, the caller's; NULL: it is left out. */
static json_t *used_name(struct translator *t, const json_t *analysis, const char *section,
                         json_t *used)
{
    const char *name = json_string_value(used);
    const json_t *own = json_object_get(analysis, section);
    if (name == NULL)
        return json_incref(used);
    if (strcmp(section, "filter") == 0 && is_standard_filter(own, name)) {
        translator_change(
            t, "token filter `standard` is left out: it did nothing, and was removed in 7.0");
        return NULL;
    }
    const char *present =
        json_object_get(own, name) == NULL ? new_name(t, section, name, false) : NULL;
    if (present == NULL)
        return json_incref(used);
    translator_change(t, "%s `%s` is written as `%s`, its present name", section, name, present);
    return json_string(present);
}

/* What an analyzer or normalizer uses of SECTION: a name or a list of names. */
static void translate_uses(struct translator *t, const json_t *analysis, json_t *analyzer,
                           const char *section)
{
    json_t *uses = json_object_get(analyzer, section), *list, *one;
    size_t i;
    if (json_is_string(uses)) {
        one = used_name(t, analysis, section, uses);
        if (one == NULL)
            json_object_del(analyzer, section);
        else
            json_object_set_new(analyzer, section, one);
        return;
    }
    if (!json_is_array(uses))
        return;
    list = json_array();
    json_array_foreach(uses, i, one)
    {
        json_t *now = used_name(t, analysis, section, one);
        if (now != NULL)
            json_array_append_new(list, now);
    }
    json_object_set_new(analyzer, section, list);
}

/* The types of one's own tokenizers and filters. */
static void translate_types(struct translator *t, json_t *analysis, const char *section)
{
    json_t *parts = json_object_get(analysis, section), *part;
    const char *name;
    void *next;
    json_object_foreach_safe(parts, next, name, part)
    {
        const char *type = type_of(parts, name), *present = new_name(t, section, type, true);
        if (present != NULL) {
            translator_change(t, "%s `%s`: type `%s` is written as `%s`, its present name", section,
                              name, type, present);
            json_object_set_new(part, "type", json_string(present));
        } else if (strcmp(section, "filter") == 0 && is_standard_filter(parts, name)) {
            json_object_del(parts, name);
        }
    }
}

static long number_of(const json_t *part, const char *name, long otherwise)
{
    const json_t *value = json_object_get(part, name);
    if (json_is_string(value))
        return strtol(json_string_value(value), NULL, 10);
    return json_is_integer(value) ? (long)json_integer_value(value) : otherwise;
}

/* How far a tokenizer or filter spreads: what max_ngram_diff (SHINGLES: max_shingle_diff) limits.
 */
static long spread_of(const json_t *part, bool shingles)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    if (type == NULL)
        return 0;
    if (!shingles)
        return strcmp(type, "ngram") == 0 || strcmp(type, "nGram") == 0
                   ? number_of(part, "max_gram", 2) - number_of(part, "min_gram", 1)
                   : 0;
    if (strcmp(type, "shingle") != 0)
        return 0;
    bool unigrams = !has_value(json_object_get(part, "output_unigrams"), "false");
    return number_of(part, "max_shingle_size", 2) - number_of(part, "min_shingle_size", 2) +
           unigrams;
}

static void raise_limit(struct translator *t, json_t *settings, const char *name, long initially,
                        bool shingles)
{
    static const char *const sections[] = {"tokenizer", "filter"};
    const json_t *analysis = json_object_get(settings, "analysis"), *part;
    const char *key;
    long needed = 0, limit = number_of(settings, name, initially);
    for (size_t i = 0; i < COUNT_OF(sections); i++)
        json_object_foreach((json_t *)(uintptr_t)json_object_get(analysis, sections[i]), key, part)
        {
            long spread = spread_of(part, shingles);
            needed = spread > needed ? spread : needed;
        }
    if (needed <= limit)
        return;
    char text[32];
    snprintf(text, sizeof text, "%ld", needed);
    translator_change(t,
                      "setting index.%s is set to %s: its analysis needs it, and since 7.0 it is "
                      "demanded",
                      name, text);
    json_object_set_new(settings, name, json_string(text));
}

static void translate_analysis(struct translator *t, json_t *settings)
{
    static const char *const sections[] = {"tokenizer", "filter", "char_filter"};
    static const char *const users[] = {"analyzer", "normalizer"};
    json_t *analysis = json_object_get(settings, "analysis"), *user;
    const char *name;
    for (size_t i = 0; i < COUNT_OF(users); i++)
        json_object_foreach(json_object_get(analysis, users[i]), name,
                            user) for (size_t s = 0; s < COUNT_OF(sections); s++)
            translate_uses(t, analysis, user, sections[s]);
    for (size_t s = 0; s < COUNT_OF(sections); s++)
        translate_types(t, analysis, sections[s]);
    raise_limit(t, settings, "max_ngram_diff", 1, false);
    raise_limit(t, settings, "max_shingle_diff", 3, true);
}

/* ---- similarity ---- */

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

void translate_settings(struct translator *t, json_t *settings)
{
    if (!json_is_object(settings))
        return;
    for (size_t i = 0; i < COUNT_OF(rules); i++)
        if ((rules[i].lines & t->line) != 0)
            apply_rule(t, settings, i);
    translate_analysis(t, settings);
    refuse_classic(t, settings);
}
