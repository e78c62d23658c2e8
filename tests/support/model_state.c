/* model_state.c - the model cluster's state as its calls show it: cluster state, _stats, _recovery,
 * nodes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "model_impl.h"

#define STATE_METRICS_ALL "version,metadata"

json_t *index_definition(const struct model_index *index)
{
    return json_pack("{s:O,s:O,s:o}", "aliases", index->aliases, "mappings", index->mapping,
                     "settings", settings_nested(index->settings));
}

/* ---- cluster state ---- */

static json_t *typed_mapping(json_t *mapping)
{
    return json_object_size(mapping) == 0 ? json_object() : json_pack("{s:O}", "_doc", mapping);
}

static json_t *index_state(const struct model_index *index)
{
    json_t *terms = json_object(), *aliases = json_array(), *definition;
    const char *name;
    char number[16];
    for (uint32_t i = 0; i < index->shard_count; i++) {
        snprintf(number, sizeof number, "%" PRIu32, i);
        json_object_set_new(terms, number, json_integer((json_int_t)index->shards[i].term));
    }
    json_object_foreach(index->aliases, name, definition)
    {
        json_array_append_new(aliases, json_string(name));
    }
    return json_pack(
        "{s:I,s:I,s:I,s:I,s:I,s:s,s:o,s:o,s:o,s:o,s:{},s:{},s:b}", "version",
        (json_int_t)index->version, "mapping_version", (json_int_t)index->mapping_version,
        "settings_version", (json_int_t)index->settings_version, "aliases_version",
        (json_int_t)index->aliases_version, "routing_num_shards", (json_int_t)index->routing_shards,
        "state", index->closed ? "close" : "open", "settings", settings_nested(index->settings),
        "mappings", typed_mapping(index->mapping), "aliases", aliases, "primary_terms", terms,
        "in_sync_allocations", "rollover_info", "system", 0);
}

static json_t *templates_state(const json_t *templates)
{
    json_t *shown = json_object(), *template;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)templates, name, template)
    {
        json_t *copy = json_copy(template);
        json_object_set_new(copy, "mappings", typed_mapping(json_object_get(template, "mappings")));
        json_object_set_new(shown, name, copy);
    }
    return shown;
}

static json_t *pipelines_state(const json_t *pipelines)
{
    json_t *shown = json_array(), *pipeline;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)pipelines, name, pipeline)
    {
        json_array_append_new(shown, json_pack("{s:s,s:O}", "id", name, "config", pipeline));
    }
    return shown;
}

/* Sections of things there are none of are absent, as in the engines. */
static void add_sections(const struct model_cluster *cluster, json_t *metadata)
{
    if (json_object_size(cluster->component_templates) != 0)
        json_object_set_new(metadata, "component_template",
                            json_pack("{s:O}", "component_template", cluster->component_templates));
    if (json_object_size(cluster->index_templates) != 0)
        json_object_set_new(metadata, "index_template",
                            json_pack("{s:O}", "index_template", cluster->index_templates));
    if (json_object_size(cluster->scripts) != 0)
        json_object_set(metadata, "stored_scripts", cluster->scripts);
    if (json_object_size(cluster->pipelines) != 0)
        json_object_set_new(metadata, "ingest",
                            json_pack("{s:o}", "pipeline", pipelines_state(cluster->pipelines)));
}

static json_t *metadata_state(struct call *call, struct span expression)
{
    const struct model_cluster *cluster = call->cluster;
    struct failure ignored = {.shard = -1};
    struct index_list list = {0};
    json_t *indices = json_object();
    indices_resolve(call->cluster, expression.size == 0 ? SPAN("_all") : expression, true, true,
                    &list, &ignored);
    for (size_t i = 0; i < list.count; i++)
        json_object_set_new(indices, list.list[i]->name, index_state(list.list[i]));
    index_list_fini(&list);
    json_t *metadata =
        json_pack("{s:s,s:b,s:o,s:o,s:{s:O}}", "cluster_uuid", cluster->uuid,
                  "cluster_uuid_committed", 1, "templates", templates_state(cluster->templates),
                  "indices", indices, "index-graveyard", "tombstones", cluster->graveyard);
    add_sections(cluster, metadata);
    return metadata;
}

/* /_cluster/state/{metrics}/{indices} */
static void cluster_state_call(struct call *call)
{
    const struct model_cluster *cluster = call->cluster;
    char *metrics =
        call->segment_count > 2 ? span_dup(call->segments[2]) : bytes_strdup(STATE_METRICS_ALL);
    bool all = strstr(metrics, "_all") != NULL;
    json_t *answer =
        json_pack("{s:s,s:s}", "cluster_name", cluster->name, "cluster_uuid", cluster->uuid);
    if (all || strstr(metrics, "version") != NULL) {
        json_object_set_new(answer, "version", json_integer(cluster->version));
        json_object_set_new(
            answer, "state_uuid",
            json_sprintf("%.14s%08" PRIx64, cluster->uuid, (uint64_t)cluster->version));
    }
    if (all || strstr(metrics, "metadata") != NULL)
        json_object_set_new(
            answer, "metadata",
            metadata_state(call, call->segment_count > 3 ? call->segments[3] : SPAN_NONE));
    free(metrics);
    answer_json(call, 200, answer);
}

/* ---- shards ---- */

static json_t *shard_stats(const struct model_cluster *cluster, const struct model_shard *shard)
{
    json_int_t max = shard->max_seq_no;
    return json_pack("[{s:{s:s,s:b,s:s,s:n},s:{s:I,s:i},s:{s:i,s:{s:s}},s:{s:I,s:I,s:I}}]",
                     "routing", "state", "STARTED", "primary", 1, "node", cluster->node_id,
                     "relocating_node", "docs", "count", (json_int_t)shard->live, "deleted", 0,
                     "commit", "generation", 1, "user_data", "history_uuid", shard->history_uuid,
                     "seq_no", "max_seq_no", max, "local_checkpoint", max, "global_checkpoint",
                     max);
}

static json_t *index_stats(const struct model_cluster *cluster, const struct model_index *index,
                           bool by_shard)
{
    json_t *shards = json_object();
    size_t live = 0;
    char number[16];
    for (uint32_t i = 0; i < index->shard_count; i++) {
        snprintf(number, sizeof number, "%" PRIu32, i);
        live += index->shards[i].live;
        json_object_set_new(shards, number, shard_stats(cluster, &index->shards[i]));
    }
    json_t *stats = json_pack("{s:s,s:{s:{s:I,s:i}},s:{s:{s:I,s:i}}}", "uuid", index->uuid,
                              "primaries", "docs", "count", (json_int_t)live, "deleted", 0, "total",
                              "docs", "count", (json_int_t)live, "deleted", 0);
    if (by_shard)
        json_object_set(stats, "shards", shards);
    json_decref(shards);
    return stats;
}

static void stats_call(struct call *call, const struct index_list *list, bool named)
{
    struct buffer level = {0};
    json_t *indices = json_object();
    struct failure failure = {.shard = -1};
    bool by_shard =
        call_param(call, "level", &level) && span_equal(buffer_span(&level), SPAN("shards"));
    for (size_t i = 0; i < list->count; i++) {
        const struct model_index *index = list->list[i];
        if (!index->closed) {
            json_object_set_new(indices, index->name, index_stats(call->cluster, index, by_shard));
        } else if (named) {
            fail(&failure, 400, "index_closed_exception", "closed");
            snprintf(failure.index, sizeof failure.index, "%s", index->name);
            memcpy(failure.index_uuid, index->uuid, UUID_SIZE);
        }
    }
    buffer_fini(&level);
    if (failure.status != 0) {
        json_decref(indices);
        answer_failure(call, &failure);
        return;
    }
    answer_json(call, 200,
                json_pack("{s:{s:i,s:i,s:i},s:o}", "_shards", "total", 1, "successful", 1, "failed",
                          0, "indices", indices));
}

static void recovery_call(struct call *call, const struct index_list *list)
{
    json_t *answer = json_object();
    for (size_t i = 0; i < list->count; i++) {
        const struct model_index *index = list->list[i];
        json_t *shards = json_array();
        for (uint32_t shard = 0; shard < index->shard_count; shard++)
            json_array_append_new(shards,
                                  json_pack("{s:I,s:s,s:s,s:b}", "id", (json_int_t)shard, "type",
                                            index->recovery, "stage", "DONE", "primary", 1));
        json_object_set_new(answer, index->name, json_pack("{s:o}", "shards", shards));
    }
    answer_json(call, 200, answer);
}

static void shards_call(struct call *call, bool stats)
{
    struct failure failure = {.shard = -1};
    struct index_list list = {0};
    bool named = call->segments[0].data[0] != '_';
    if (!indices_resolve(call->cluster, named ? call->segments[0] : SPAN("_all"),
                         call_flag(call, "ignore_unavailable", false), true,
                         &list, &failure))
        answer_failure(call, &failure);
    else if (stats)
        stats_call(call, &list, named);
    else
        recovery_call(call, &list);
    index_list_fini(&list);
}

/* ---- the rest ---- */

static void root_call(struct call *call)
{
    const struct model_cluster *cluster = call->cluster;
    answer_json(call, 200,
                json_pack("{s:s,s:s,s:s,s:{s:s,s:s,s:s,s:b,s:s,s:s},s:s}", "name", cluster->name,
                          "cluster_name", cluster->name, "cluster_uuid", cluster->uuid, "version",
                          "distribution", "opensearch", "number", cluster->product_version,
                          "build_type", "unknown", "build_snapshot", 0,
                          "minimum_wire_compatibility_version", "7.10.0",
                          "minimum_index_compatibility_version", "7.0.0", "tagline",
                          "The OpenSearch Project: https://opensearch.org/"));
}

static void health_call(struct call *call)
{
    answer_json(call, 200,
                json_pack("{s:s,s:s,s:b,s:i,s:i,s:b,s:i,s:i,s:i,s:i,s:i}", "cluster_name",
                          call->cluster->name, "status", "green", "timed_out", 0, "number_of_nodes",
                          1, "number_of_data_nodes", 1, "discovered_master", 1,
                          "active_primary_shards", (int)HASH_COUNT(call->cluster->indices),
                          "relocating_shards", 0, "initializing_shards", 0, "unassigned_shards", 0,
                          "number_of_pending_tasks", 0));
}

static void nodes_call(struct call *call)
{
    const struct model_cluster *cluster = call->cluster;
    answer_json(call, 200,
                json_pack("{s:{s:i,s:i,s:i},s:s,s:{s:{s:s,s:s,s:s,s:[s,s,s],s:{s:[s],s:s,s:i}}}}",
                          "_nodes", "total", 1, "successful", 1, "failed", 0, "cluster_name",
                          cluster->name, "nodes", cluster->node_id, "name", cluster->name, "ip",
                          "127.0.0.1", "version", cluster->product_version, "roles",
                          "cluster_manager", "data", "ingest", "http", "bound_address",
                          cluster->address, "publish_address", cluster->address,
                          "max_content_length_in_bytes", 104857600));
}

static void cat_indices_call(struct call *call)
{
    struct model_index *index, *next;
    json_t *rows = json_array();
    HASH_ITER(hh, call->cluster->indices, index, next)
    {
        size_t live = 0;
        for (uint32_t i = 0; i < index->shard_count; i++)
            live += index->shards[i].live;
        json_array_append_new(rows, json_pack("{s:s,s:s,s:s,s:s,s:o,s:o}", "health", "green",
                                              "status", index->closed ? "close" : "open", "index",
                                              index->name, "uuid", index->uuid, "pri",
                                              json_sprintf("%" PRIu32, index->shard_count),
                                              "docs.count", json_sprintf("%zu", live)));
    }
    answer_json(call, 200, rows);
}

void state_call(struct call *call)
{
    struct span first = call->segment_count > 0 ? call->segments[0] : SPAN_NONE;
    struct span second = call->segment_count > 1 ? call->segments[1] : SPAN_NONE;
    if (!call_is(call, "GET") && !call_is(call, "HEAD"))
        return;
    if (first.size == 0)
        root_call(call);
    else if (span_equal(first, SPAN("_stats")) || span_equal(second, SPAN("_stats")))
        shards_call(call, true);
    else if (span_equal(first, SPAN("_recovery")) || span_equal(second, SPAN("_recovery")))
        shards_call(call, false);
    else if (span_equal(first, SPAN("_nodes")))
        nodes_call(call);
    else if (span_equal(first, SPAN("_cat")))
        cat_indices_call(call);
    else if (span_equal(second, SPAN("health")))
        health_call(call);
    else if (span_equal(second, SPAN("state")))
        cluster_state_call(call);
}
