/* model_compare.c - what a standby model cluster has wrong, and walks over all documents.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "model_impl.h"

#define VERSION_SHIFT 40

/* ---- walks ---- */

static void show_doc(const struct model_index *index, uint32_t shard, const struct model_doc *doc,
                     struct model_document *document)
{
    *document = (struct model_document){
        .index = index->name,
        .index_uuid = index->uuid,
        .id = span_of(doc->id, doc->id_size),
        .routing = span_of(doc->routing, doc->routing_size),
        .source = span_of(doc->source, doc->source_size),
        .shard = shard,
        .version = doc->version,
        .term = doc->term,
        .seq_no = doc->seq_no,
    };
}

static int by_id(const void *a, const void *b)
{
    const struct model_doc *x = *(struct model_doc *const *)a, *y = *(struct model_doc *const *)b;
    return span_compare(span_of(x->id, x->id_size), span_of(y->id, y->id_size));
}

static void each_of_shard(const struct model_index *index, uint32_t shard,
                          void (*each)(void *arg, const struct model_document *document), void *arg)
{
    const struct model_shard *from = &index->shards[shard];
    struct model_doc *doc, *next, **sorted = bytes_alloc((from->live + 1) * sizeof *sorted);
    size_t count = 0;
    HASH_ITER(hh, from->docs, doc, next)
    {
        if (!doc->deleted)
            sorted[count++] = doc;
    }
    CHECK(count == from->live);
    qsort(sorted, count, sizeof(struct model_doc *), by_id);
    for (size_t i = 0; i < count; i++) {
        struct model_document document;
        show_doc(index, shard, sorted[i], &document);
        each(arg, &document);
    }
    free(sorted);
}

void model_cluster_each_document(struct model_cluster *cluster,
                                 void (*each)(void *arg, const struct model_document *document),
                                 void *arg)
{
    struct index_list list = {0};
    struct failure failure = {.shard = -1};
    indices_resolve(cluster, SPAN("_all"), true, false, &list, &failure);
    for (size_t i = 0; i < list.count; i++)
        for (uint32_t shard = 0; shard < list.list[i]->shard_count; shard++)
            each_of_shard(list.list[i], shard, each, arg);
    index_list_fini(&list);
}

bool model_cluster_document(struct model_cluster *cluster, const char *name, struct span id,
                            struct span routing, struct model_document *document)
{
    struct model_index *index = index_find(cluster, span_cstr(name));
    uint32_t shard;
    if (index == NULL)
        return false;
    const struct model_doc *doc = shard_find(index_shard(index, id, routing, &shard), id);
    if (doc == NULL || doc->deleted)
        return false;
    show_doc(index, shard, doc, document);
    return true;
}

/* ---- comparing ---- */

struct comparison {
    struct model_cluster *primary, *standby;
    uint64_t base;
    struct buffer *out;
    size_t count;
};

static void differ(struct comparison *cmp, const char *format, ...) PRINTF_LIKE(2, 3);
static void differ(struct comparison *cmp, const char *format, ...)
{
    char text[1200];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_appendf(cmp->out, "%s\n", text);
    cmp->count++;
}

static bool left_out(const char *name)
{
    return name[0] == '.' || strncmp(name, "tandem-", 7) == 0;
}

static void compare_doc(struct comparison *cmp, const struct model_index *index,
                        const struct model_doc *has, const struct model_doc *should)
{
    int64_t version =
        (int64_t)((cmp->base + should->term) << VERSION_SHIFT | (uint64_t)should->seq_no);
    const char *name = index->name;
    int size = (int)should->id_size;
    if (has == NULL || has->deleted) {
        differ(cmp, "document %s/%.*s: missing (term %" PRIu64 ", seq_no %" PRId64 ")", name, size,
               should->id, should->term, should->seq_no);
        return;
    }
    if (!span_equal(span_of(has->routing, has->routing_size),
                    span_of(should->routing, should->routing_size)))
        differ(cmp, "document %s/%.*s: routing [%.*s], primary [%.*s]", name, size, should->id,
               (int)has->routing_size, has->routing_size == 0 ? "" : has->routing,
               (int)should->routing_size, should->routing_size == 0 ? "" : should->routing);
    if (!span_equal(span_of(has->source, has->source_size),
                    span_of(should->source, should->source_size)))
        differ(cmp, "document %s/%.*s: source %.*s, primary %.*s", name, size, should->id,
               (int)has->source_size, has->source, (int)should->source_size, should->source);
    if (has->version != version)
        differ(cmp, "document %s/%.*s: version %" PRId64 ", should be %" PRId64, name, size,
               should->id, has->version, version);
}

static void compare_shard(struct comparison *cmp, const struct model_index *primary,
                          const struct model_shard *from, const struct model_shard *to)
{
    struct model_doc *doc, *next;
    HASH_ITER(hh, from->docs, doc, next)
    {
        if (!doc->deleted)
            compare_doc(cmp, primary, shard_find(to, span_of(doc->id, doc->id_size)), doc);
    }
    HASH_ITER(hh, to->docs, doc, next)
    {
        if (doc->deleted)
            continue;
        const struct model_doc *other = shard_find(from, span_of(doc->id, doc->id_size));
        if (other == NULL || other->deleted)
            differ(cmp, "document %s/%.*s: only on the standby (version %" PRId64 ")",
                   primary->name, (int)doc->id_size, doc->id, doc->version);
    }
}

static void compare_json(struct comparison *cmp, const char *what, const char *name,
                         json_t *primary, json_t *standby)
{
    if (json_equal(primary, standby) == 1)
        return;
    char *a = json_dumps(primary, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    char *b = json_dumps(standby, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
    differ(cmp, "%s %s: %s, primary %s", what, name, b == NULL ? "none" : b,
           a == NULL ? "none" : a);
    free(a);
    free(b);
}

/* Settings that are the engine's identity, the site's own, or set on a standby by Tandem. */
static bool site_setting(const char *name)
{
    static const char *const patterns[] = {"index.uuid",
                                           "index.history.uuid",
                                           "index.creation_date*",
                                           "index.provided_name",
                                           "index.version.*",
                                           "index.number_of_replicas",
                                           "index.auto_expand_replicas",
                                           "index.routing.allocation.*",
                                           "index.blocks.*",
                                           "index.refresh_interval",
                                           "index.gc_deletes",
                                           "index.final_pipeline",
                                           "index.mapping.total_fields.limit",
                                           "index.translog.durability",
                                           "index.verified_before_close",
                                           "index.resize.source.*",
                                           "index.replication.type"};
    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        if (span_matches(span_cstr(name), span_cstr(patterns[i])))
            return true;
    return false;
}

static json_t *compared_settings(const json_t *settings)
{
    json_t *kept = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)settings, name, value)
    {
        if (!site_setting(name))
            json_object_set(kept, name, value);
    }
    return kept;
}

static json_t *compared_aliases(const json_t *aliases)
{
    json_t *kept = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)aliases, name, value)
    {
        if (strncmp(name, ".tandem", 7) != 0)
            json_object_set(kept, name, value);
    }
    return kept;
}

static void compare_definitions(struct comparison *cmp, const struct model_index *primary,
                                const struct model_index *standby)
{
    json_t *a = compared_settings(primary->settings), *b = compared_settings(standby->settings);
    compare_json(cmp, "settings of", primary->name, a, b);
    json_decref(a);
    json_decref(b);
    a = compared_aliases(primary->aliases);
    b = compared_aliases(standby->aliases);
    compare_json(cmp, "aliases of", primary->name, a, b);
    json_decref(a);
    json_decref(b);
    compare_json(cmp, "mapping of", primary->name, primary->mapping, standby->mapping);
    if (primary->closed != standby->closed)
        differ(cmp, "index %s: %s, primary %s", primary->name, standby->closed ? "closed" : "open",
               primary->closed ? "closed" : "open");
}

static void compare_index(struct comparison *cmp, const struct model_index *primary)
{
    const struct model_index *standby = index_find(cmp->standby, span_cstr(primary->name));
    if (standby == NULL) {
        differ(cmp, "index %s: missing", primary->name);
        return;
    }
    compare_definitions(cmp, primary, standby);
    if (primary->shard_count != standby->shard_count ||
        primary->routing_shards != standby->routing_shards ||
        primary->partition != standby->partition) {
        differ(cmp, "index %s: other numbers of shards", primary->name);
        return;
    }
    for (uint32_t i = 0; i < primary->shard_count; i++)
        compare_shard(cmp, primary, &primary->shards[i], &standby->shards[i]);
}

static void compare_objects(struct comparison *cmp, const char *what, const json_t *primary,
                            const json_t *standby)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)primary, name, value)
    {
        if (!left_out(name))
            compare_json(cmp, what, name, value, json_object_get(standby, name));
    }
    json_object_foreach((json_t *)(uintptr_t)standby, name, value)
    {
        if (!left_out(name) && json_object_get(primary, name) == NULL)
            differ(cmp, "%s %s: only on the standby", what, name);
    }
}

size_t model_compare(struct model_cluster *primary, struct model_cluster *standby, uint64_t base,
                     struct buffer *differences)
{
    struct comparison cmp = {
        .primary = primary, .standby = standby, .base = base, .out = differences};
    struct model_index *index, *next;
    HASH_ITER(hh, primary->indices, index, next)
    {
        if (!left_out(index->name))
            compare_index(&cmp, index);
    }
    HASH_ITER(hh, standby->indices, index, next)
    {
        if (!left_out(index->name) && index_find(primary, span_cstr(index->name)) == NULL)
            differ(&cmp, "index %s: only on the standby", index->name);
    }
    compare_objects(&cmp, "template", primary->templates, standby->templates);
    compare_objects(&cmp, "index template", primary->index_templates, standby->index_templates);
    compare_objects(&cmp, "component template", primary->component_templates,
                    standby->component_templates);
    compare_objects(&cmp, "pipeline", primary->pipelines, standby->pipelines);
    compare_objects(&cmp, "stored script", primary->scripts, standby->scripts);
    return cmp.count;
}
