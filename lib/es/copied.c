/* copied.c - what of an index definition goes to another cluster, and what it says of itself.
 *
 *     copied              analysis, similarity, sorting, shard counts, mappings, aliases ...
 *     never copied        what the engine gives out itself, and what is the site's own (replicas,
 *                         allocation, blocks, refresh interval)
 *     held back, until    final pipelines, write limits, the number of fields
 *     the release
 *
 * docs/metadata.md lists them for people.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/copied.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"

/* Settings of an index that are never copied, as paths below "index"; a trailing '.' takes all
 * below. */
static const char *const not_copied[] = {
    /* given out by the engine */
    "uuid",
    "history.",
    "creation_date",
    "creation_date_string",
    "provided_name",
    "version.",
    "resize.",
    "shrink.",
    "split.",
    "merge.enabled",
    "verified_before_close",
    "verified_read_only",
    "frozen",
    "search.throttled",
    "source_only",
    "store.snapshot.",
    "rollup.",
    "downsample.",
    "dimensions",
    "slice.validated",
    "xpack.ccr.following_index",
    "archived.",
    "searchable_snapshot.",
    "remote_store.",
    "plugins.replication.",
    "replication.",
    "routing.allocation.",
    "routing.rebalance.",
    "allocation.",
    /* the site's own */
    "number_of_replicas",
    "auto_expand_replicas",
    "blocks.",
    "refresh_interval",
    "unassigned.",
    "priority",
    "store.preload",
    "translog.durability",
    "number_of_routing_shards",
    /* until release */
    "final_pipeline",
    "gc_deletes",
    "append_only.",
    "mapping.total_fields.",
};

static bool is_copied(const char *path)
{
    for (size_t i = 0; i < COUNT_OF(not_copied); i++) {
        size_t size = strlen(not_copied[i]);
        bool below = not_copied[i][size - 1] == '.';
        if (below ? strncmp(path, not_copied[i], size) == 0 : strcmp(path, not_copied[i]) == 0)
            return false;
    }
    return true;
}

void settings_to_paths(json_t *out, const char *prefix, json_t *value)
{
    const char *key;
    json_t *member;
    if (!json_is_object(value) || (json_object_size(value) == 0 && *prefix != '\0')) {
        json_object_set(out, prefix, value);
        return;
    }
    json_object_foreach(value, key, member)
    {
        struct buffer path = {0};
        buffer_appendf(&path, "%s%s%s", prefix, *prefix == '\0' ? "" : ".", key);
        settings_to_paths(out, buffer_cstr(&path), member);
        buffer_fini(&path);
    }
}

json_t *copied_settings(const json_t *definition)
{
    json_t *flat = json_object(), *out = json_object(), *value;
    const char *path;
    settings_to_paths(flat, "", json_object_get(json_object_get(definition, "settings"), "index"));
    json_object_foreach(flat, path, value) if (is_copied(path)) json_object_set(out, path, value);
    json_decref(flat);
    return out;
}

/* What may stand at the top of a mapping that has no type around it. */
static bool is_mapping_member(const char *key)
{
    static const char *const known[] = {"properties",
                                        "dynamic",
                                        "_source",
                                        "_meta",
                                        "_routing",
                                        "dynamic_templates",
                                        "date_detection",
                                        "numeric_detection",
                                        "_field_names",
                                        "runtime",
                                        "dynamic_date_formats",
                                        "derived",
                                        "_size",
                                        "_data_stream_timestamp",
                                        "_doc_count",
                                        "_all"};
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strcmp(key, known[i]) == 0)
            return true;
    return false;
}

size_t mapping_types(json_t *mappings, const char **name)
{
    const char *key;
    json_t *value;
    size_t count = 0;
    *name = NULL;
    json_object_foreach(mappings, key, value)
    {
        if (is_mapping_member(key) || !json_is_object(value)) {
            *name = NULL;
            return 0;
        }
        if (strcmp(key, "_default_") == 0)
            continue;
        *name = key;
        count++;
    }
    return count;
}

/* The version that an index is made by, as Elasticsearch counts them since 8.11: from this one on
 * it leaves vectors out unless a setting says otherwise. OpenSearch counts from 135000000 on. */
#define HIDES_VECTORS 9035000
#define COUNTS_OTHERWISE 100000000

bool settings_hide_vectors(const json_t *settings)
{
    const json_t *mapping = json_object_get(settings, "mapping");
    const json_t *version = json_object_get(settings, "version");
    const char *said = json_string_value(json_object_get(mapping, "exclude_source_vectors"));
    const char *created = json_string_value(json_object_get(version, "created"));
    long number = created == NULL ? 0 : strtol(created, NULL, 10);
    if (said != NULL)
        return strcmp(said, "true") == 0;
    return number >= HIDES_VECTORS && number < COUNTS_OTHERWISE;
}

static bool says(const json_t *field, const char *name, const char *unless)
{
    const char *said = json_string_value(json_object_get(field, name));
    return said != NULL && strcmp(said, unless) != 0;
}

/* Only vectors of floats that are compared by their cosine are kept in two parts. */
static bool is_inexact(const json_t *field, const char *type)
{
    return strcmp(type, "dense_vector") == 0 && !says(field, "similarity", "cosine") &&
           !json_is_false(json_object_get(field, "index"));
}

static void append_vectors(const json_t *mapping, const char *above, struct buffer *out)
{
    const char *name;
    json_t *field;
    json_object_foreach(json_object_get(mapping, "properties"), name, field)
    {
        const char *type = json_string_value(json_object_get(field, "type"));
        struct buffer path = {0};
        buffer_appendf(&path, "%s%s%s", above, *above == '\0' ? "" : ".", name);
        if (type != NULL && strstr(type, "_vector") != NULL && out->size == 0)
            buffer_append_char(out, '\n');
        if (type != NULL && is_inexact(field, type))
            buffer_appendf(out, "%s\n", buffer_cstr(&path));
        append_vectors(field, buffer_cstr(&path), out);
        buffer_fini(&path);
    }
}

char *mapping_vectors(const json_t *mappings)
{
    struct buffer fields = {0};
    append_vectors(mappings, "", &fields);
    char *text = fields.size == 0 ? NULL : bytes_strdup(buffer_cstr(&fields));
    buffer_fini(&fields);
    return text;
}

const char *mapping_unreadable(json_t *mappings)
{
    const char *type;
    size_t types = mapping_types(mappings, &type);
    const json_t *mapping = types == 0 ? mappings : json_object_get(mappings, type);
    const json_t *source = json_object_get(mapping, "_source");
    if (json_is_false(json_object_get(source, "enabled")))
        return "its documents can't be read back: the mapping switches _source off; restore a "
               "snapshot of it into the standby, or index it again through Tandem";
    if (json_array_size(json_object_get(source, "includes")) != 0 ||
        json_array_size(json_object_get(source, "excludes")) != 0)
        return "its documents can't be read back as they were written: the mapping leaves fields "
               "out of _source; index it again through Tandem";
    return NULL;
}
