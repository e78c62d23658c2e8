/* translate_mapping.c - mappings for another line of engines: types taken out, and what stands
 * around the fields. Those have their own, translate_field.c.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"
#include "es/copied.h"
#include "es/translate.h"

#define TYPES_SHOWN 10 /* of an index that has several: enough to know it by */

/* ---- what stands around the fields ---- */

/* Leaves out the member NAME of MAPPING; true when there was one. */
static bool drop(struct translator *t, json_t *mapping, const char *name, const char *why)
{
    if (json_object_get(mapping, name) == NULL)
        return false;
    translator_change(t, "`%s` is left out: %s", name, why);
    json_object_del(mapping, name);
    return true;
}

/* Leaves out all members of MAPPING's FIELD but KEPT. */
static void keep_only(struct translator *t, json_t *mapping, const char *field, const char *kept)
{
    json_t *members = json_object_get(mapping, field), *value;
    const char *name;
    void *next;
    json_object_foreach_safe(members, next, name, value)
    {
        if (strcmp(name, kept) == 0)
            continue;
        translator_change(t, "`%s` of `%s` is left out: it was removed in 2.0", name, field);
        json_object_del(members, name);
    }
    translate_boolean(t, field, members, kept);
}

static void translate_all(struct translator *t, json_t *mapping)
{
    const json_t *enabled = json_object_get(json_object_get(mapping, "_all"), "enabled");
    bool off = enabled != NULL && translate_is_off(enabled);
    if (t->line == LINE_ES6 && json_is_false(enabled))
        return; /* this may be said there */
    if (drop(t, mapping, "_all", "there is none any more") && !off)
        translator_warn(
            t, "it has the field _all: searches in it find nothing on the new cluster; copy_to "
               "can replace it");
}

/* What engines did themselves before 5.0. */
static void drop_old_features(struct translator *t, json_t *mapping)
{
    const json_t *ttl = json_object_get(mapping, "_ttl");
    const json_t *timestamp = json_object_get(mapping, "_timestamp");
    bool has_ttl = ttl != NULL && !translate_is_off(json_object_get(ttl, "enabled"));
    bool has_timestamp = json_object_get(timestamp, "enabled") != NULL &&
                         !translate_is_off(json_object_get(timestamp, "enabled"));
    if (drop(t, mapping, "_ttl", "it was removed in 5.0") && has_ttl)
        translator_warn(t, "its documents have a _ttl: on the new cluster they do not end by "
                           "themselves");
    if (drop(t, mapping, "_timestamp", "it was removed in 5.0") && has_timestamp)
        translator_warn(t,
                        "its documents have a _timestamp, which is no part of the source: on the "
                        "new cluster they have none");
    if (drop(t, mapping, "transform", "it was removed in 5.0"))
        translator_warn(t, "a script transforms its documents before they are indexed: the new "
                           "cluster indexes them as they are");
}

/* Members that say how the engine's own fields are indexed. */
static void translate_own_fields(struct translator *t, json_t *mapping)
{
    static const char *const settled[] = {"_id",       "_type",  "_index",        "_uid",
                                          "_analyzer", "_boost", "include_in_all"};
    static const char *const of_source[] = {"compress", "compress_threshold", "format"};
    json_t *size = json_object_get(mapping, "_size");
    for (size_t i = 0; i < COUNT_OF(settled); i++)
        (void)drop(t, mapping, settled[i], "it can't be configured any more");
    for (size_t i = 0; i < COUNT_OF(of_source); i++)
        (void)drop(t, json_object_get(mapping, "_source"), of_source[i], "it was removed in 2.0");
    if (size != NULL && translate_is_off(json_object_get(size, "enabled")))
        (void)drop(t, mapping, "_size", "it is not enabled");
    else
        keep_only(t, mapping, "_size", "enabled");
    if (json_object_get(json_object_get(mapping, "_routing"), "path") != NULL)
        translator_refuse(
            t,
            "the routing of its documents is taken from a field of theirs (_routing.path), which "
            "engines since 2.0 don't do: index it again on the old cluster, with routings that "
            "are said, or leave it behind with replicate.exclude");
    keep_only(t, mapping, "_routing", "required");
    keep_only(t, mapping, "_field_names", "enabled");
    if ((t->line & LINE_ES8) != 0 &&
        json_object_get(json_object_get(mapping, "_field_names"), "enabled") != NULL)
        (void)drop(t, mapping, "_field_names", "it was removed in 8.0; it changes no document");
}

/* Queries that were documents of their own type: 5.0 made a type of fields of it. */
static void warn_of_percolator(struct translator *t, const char *type)
{
    if (type != NULL && strcmp(type, ".percolator") == 0)
        translator_warn(t,
                        "its documents are queries of the type .percolator: the new cluster keeps "
                        "them, but does not percolate");
}

static void translate_mapping(struct translator *t, json_t *mapping)
{
    translate_all(t, mapping);
    drop_old_features(t, mapping);
    translate_own_fields(t, mapping);
    if (json_object_get(mapping, "_parent") != NULL)
        translator_refuse(
            t, "its documents have a _parent, of before 6.0: index it again with a field of the "
               "type join on the old cluster, or leave it behind with replicate.exclude");
    translate_boolean(t, "(root)", mapping, "enabled");
    translate_dynamic(t, mapping);
    translate_fields(t, "", json_object_get(mapping, "properties"));
}

/* ---- types ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void refuse_types(struct translator *t, json_t *mappings, size_t types)
{
    const char **sorted = calloc(types, sizeof *sorted), *name;
    struct buffer names = {0};
    json_t *value;
    size_t count = 0;
    CHECK(sorted != NULL);
    json_object_foreach(mappings, name, value) if (strcmp(name, "_default_") != 0) sorted[count++] =
        name;
    qsort(sorted, count, sizeof *sorted, by_name);
    for (size_t i = 0; i < count && i < TYPES_SHOWN; i++)
        buffer_appendf(&names, "%s%s", i == 0 ? "" : ", ", sorted[i]);
    buffer_append_cstr(&names, count > TYPES_SHOWN ? " ..." : "");
    translator_refuse(
        t,
        "it has %zu mapping types (%s), and documents of two types may have one id: index each "
        "type into an index of its own on the old cluster, or leave it behind with "
        "replicate.exclude",
        types, buffer_cstr(&names));
    buffer_fini(&names);
    free(sorted);
}

/* Adds DEFAULTS to a list of objects with one member each, like dynamic templates; those that are
 * there count. */
static void add_list(json_t *list, const json_t *defaults)
{
    json_t *own, *value;
    size_t i, j;
    json_array_foreach(defaults, i, value)
    {
        const char *name = json_object_iter_key(json_object_iter(value));
        bool there = false;
        json_array_foreach(list, j, own) there =
            there || json_equal(own, value) || (name != NULL && json_object_get(own, name) != NULL);
        if (!there)
            json_array_append(list, value);
    }
}

/* What `_default_` says holds for a type that says nothing else: so an engine of before 7.0 puts
 * them together when it makes the index. */
static void add_defaults(json_t *mapping, json_t *defaults)
{
    const char *name;
    json_t *value;
    json_object_foreach(defaults, name, value)
    {
        json_t *own = json_object_get(mapping, name);
        if (own == NULL)
            json_object_set_new(mapping, name, json_deep_copy(value));
        else if (json_is_object(own) && json_is_object(value))
            add_defaults(own, value);
        else if (json_is_array(own) && json_is_array(value))
            add_list(own, value);
    }
}

/* Takes out the type around the mapping that is HOLDER's; the mapping, borrowed. */
static json_t *take_out_type(struct translator *t, json_t *holder, const char *type)
{
    json_t *mappings = json_object_get(holder, "mappings");
    json_t *mapping = json_object_get(mappings, type);
    if (t->keeps_types) {
        json_object_del(mappings, "_default_");
        return mapping;
    }
    if (strcmp(type, "_doc") != 0 && strcmp(type, "_default_") != 0)
        translator_change(t, "mapping type `%s` is taken out: there are no types any more", type);
    json_object_set(holder, "mappings", mapping);
    return mapping;
}

/* An index has them in its type since that was made; of a template this is done here. */
static void put_defaults_away(struct translator *t, json_t *mapping, json_t *defaults)
{
    if (t->is_template) {
        translator_change(t, "`_default_` becomes a part of the mapping: there are no types any "
                             "more");
        add_defaults(mapping, defaults);
    } else {
        translator_change(
            t, "`_default_` is left out: there are no types any more that it could be for");
    }
}

/* Elasticsearch 6 has a type still, and `_default_` where there was one. */
static void translate_typed(struct translator *t, json_t *mappings, size_t types)
{
    const char *name;
    json_t *mapping;
    if (types == 0 && json_object_get(mappings, "_default_") == NULL)
        translate_mapping(t, mappings);
    else
        json_object_foreach(mappings, name, mapping) translate_mapping(t, mapping);
}

void translate_mappings(struct translator *t, json_t *holder)
{
    json_t *mappings = json_object_get(holder, "mappings"), *mapping;
    const char *type;
    size_t types = mapping_types(mappings, &type);
    json_t *of_all = types != 0 || json_object_size(mappings) == 1
                         ? json_object_get(mappings, "_default_")
                         : NULL;
    if (types > 1) {
        refuse_types(t, mappings, types);
        return;
    }
    warn_of_percolator(t, type);
    if (t->line == LINE_ES6) {
        translate_typed(t, mappings, types);
        return;
    }
    if (of_all != NULL && types == 0) /* it holds for whatever type comes first */
        translator_change(t, "`_default_` becomes the mapping itself: there are no types any more");
    else if (of_all != NULL)
        put_defaults_away(t, json_object_get(mappings, type), of_all);
    if (types == 0 && of_all == NULL)
        mapping = mappings;
    else if (types == 0 && t->keeps_types) {
        json_object_set(holder, "mappings", of_all);
        mapping = of_all;
    } else
        mapping = take_out_type(t, holder, types == 0 ? "_default_" : type);
    translate_mapping(t, mapping);
}
