/* model_cluster.c - the model cluster's life, its errors, and which call goes where.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdarg.h>
#include <stdlib.h>

#include "es/filter_path.h"
#include "http/message.h"
#include "model_impl.h"

/* ---- errors ---- */

void fail(struct failure *failure, int status, const char *type, const char *format, ...)
{
    va_list args;
    if (failure->status != 0)
        return; /* the first one counts */
    failure->status = status;
    failure->type = type;
    failure->shard = -1;
    va_start(args, format);
    vsnprintf(failure->reason, sizeof failure->reason, format, args);
    va_end(args);
}

void fail_no_index(struct failure *failure, struct span name, const char *resource_type)
{
    fail(failure, 404, "index_not_found_exception", "no such index [%.*s]", (int)name.size,
         name.data);
    snprintf(failure->index, sizeof failure->index, "%.*s", (int)name.size, name.data);
    strcpy(failure->index_uuid, "_na_");
    failure->resource = true;
    failure->resource_type = resource_type;
}

void failure_append(const struct failure *failure, struct buffer *out)
{
    buffer_appendf(out, "{\"type\":\"%s\",\"reason\":", failure->type);
    buffer_append_json_string(out, span_cstr(failure->reason));
    if (failure->index[0] != '\0') {
        buffer_append_cstr(out, ",\"index\":");
        buffer_append_json_string(out, span_cstr(failure->index));
        if (failure->resource) {
            buffer_append_cstr(out, ",\"resource.id\":");
            buffer_append_json_string(out, span_cstr(failure->index));
            buffer_appendf(out, ",\"resource.type\":\"%s\"", failure->resource_type);
        }
        if (failure->shard >= 0)
            buffer_appendf(out, ",\"shard\":\"%d\"", failure->shard);
        buffer_appendf(out, ",\"index_uuid\":\"%s\"", failure->index_uuid);
    }
    if (failure->cause != NULL)
        buffer_appendf(out, ",\"caused_by\":{\"type\":\"%s\",\"reason\":\"\"}", failure->cause);
    buffer_append_char(out, '}');
}

void answer_failure(struct call *call, const struct failure *failure)
{
    struct buffer *body = &call->answer->body;
    call->answer->status = failure->status;
    buffer_clear(body);
    buffer_append_cstr(body, "{\"error\":{\"root_cause\":[");
    failure_append(failure, body);
    buffer_append_cstr(body, "],");
    size_t at = body->size;
    failure_append(failure, body);
    memmove(body->data + at, body->data + at + 1, body->size - at - 1); /* without its bracket */
    body->size--;
    buffer_appendf(body, ",\"status\":%d}", failure->status);
}

void answer_json(struct call *call, int status, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(15));
    call->answer->status = status;
    buffer_clear(&call->answer->body);
    buffer_append_cstr(&call->answer->body, text);
    free(text);
    json_decref(json);
}

void answer_acknowledged(struct call *call)
{
    call->answer->status = 200;
    buffer_append_cstr(&call->answer->body, "{\"acknowledged\":true}");
}

/* ---- requests ---- */

bool call_is(const struct call *call, const char *method)
{
    return span_equal(call->request->method, span_cstr(method));
}

bool call_param(const struct call *call, const char *name, struct buffer *value)
{
    buffer_clear(value);
    return call->query.size != 0 && http_query_get(call->query, span_cstr(name), value);
}

bool call_flag(const struct call *call, const char *name, bool otherwise)
{
    struct buffer value = {0};
    bool flag = otherwise;
    if (call_param(call, name, &value))
        flag = !span_equal(buffer_span(&value), SPAN("false"));
    buffer_fini(&value);
    return flag;
}

json_t *call_body(struct call *call)
{
    struct failure failure = {.shard = -1};
    struct span body = call->request->body;
    if (body.size == 0)
        return json_object();
    json_t *json = json_loadb(body.data, body.size, 0, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    fail(&failure, 400, "parse_exception", "Failed to parse content to map");
    answer_failure(call, &failure);
    return NULL;
}

static void answer_no_handler(struct call *call)
{
    call->answer->status = 400;
    buffer_append_cstr(&call->answer->body, "{\"error\":");
    buffer_clear(&call->cluster->scratch);
    buffer_appendf(&call->cluster->scratch, "no handler found for uri [%.*s] and method [%.*s]",
                   (int)call->request->target.size, call->request->target.data,
                   (int)call->request->method.size, call->request->method.data);
    buffer_append_json_string(&call->answer->body, buffer_span(&call->cluster->scratch));
    buffer_append_char(&call->answer->body, '}');
}

/* False when the target cannot be taken apart. */
static bool call_split(struct call *call)
{
    struct span target = call->request->target;
    const char *query = memchr(target.data, '?', target.size);
    struct span path = target;
    size_t ends[TARGET_SEGMENTS_MAX], count = 0;
    if (query != NULL) {
        path.size = (size_t)(query - target.data);
        call->query = span_of(query + 1, target.size - path.size - 1);
    }
    buffer_reserve(&call->text, path.size); /* spans into it must stay */
    for (size_t at = 0; at < path.size;) {
        size_t end = at;
        while (end < path.size && path.data[end] != '/')
            end++;
        if (end > at) {
            if (count == TARGET_SEGMENTS_MAX ||
                !http_percent_decode(span_of(path.data + at, end - at), &call->text))
                return false;
            ends[count++] = call->text.size;
        }
        at = end + 1;
    }
    for (size_t i = 0, begin = 0; i < count; begin = ends[i++])
        call->segments[i] = span_of(call->text.data + begin, ends[i] - begin);
    call->segment_count = count;
    return true;
}

/* Calls whose first segment begins with '_'. */
static void global_call(struct call *call)
{
    struct span first = call->segments[0];
    static const struct {
        const char *name;
        void (*run)(struct call *call);
    } calls[] = {{"_cluster", state_call},
                 {"_stats", state_call},
                 {"_recovery", state_call},
                 {"_nodes", state_call},
                 {"_cat", state_call},
                 {"_template", templates_call},
                 {"_index_template", templates_call},
                 {"_component_template", templates_call},
                 {"_ingest", templates_call},
                 {"_scripts", templates_call},
                 {"_aliases", aliases_call},
                 {"_alias", aliases_call},
                 {"_all", indices_call},
                 {"_refresh", indices_call},
                 {"_flush", indices_call},
                 {"_settings", indices_call},
                 {"_mapping", indices_call}};
    if (span_equal(first, SPAN("_bulk"))) {
        bulk_call(call, SPAN_NONE);
        return;
    }
    if (span_equal(first, SPAN("_mget"))) {
        mget_call(call, SPAN_NONE);
        return;
    }
    if (span_equal(first, SPAN("_search")) && call->segment_count == 2) {
        call->answer->status = 200; /* the second page of a scroll */
        buffer_append_cstr(
            &call->answer->body,
            call_is(call, "DELETE")
                ? "{\"succeeded\":true,\"num_freed\":1}"
                : "{\"_scroll_id\":\"end\",\"took\":1,\"timed_out\":false,\"_shards\":{"
                  "\"total\":1,\"successful\":1,\"skipped\":0,\"failed\":0},\"hits\":{"
                  "\"max_score\":1.0,\"hits\":[],\"total\":{\"value\":0,\"relation\":"
                  "\"eq\"}}}");
        return;
    }
    if (span_equal(first, SPAN("_search")) || span_equal(first, SPAN("_count"))) {
        search_call(call, SPAN("_all"), span_equal(first, SPAN("_count")));
        return;
    }
    if (span_equal(first, SPAN("_cluster")) && call->segment_count == 2 &&
        span_equal(call->segments[1], SPAN("settings"))) {
        templates_call(call);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        if (span_equal(first, span_cstr(calls[i].name))) {
            calls[i].run(call);
            return;
        }
    answer_no_handler(call);
}

static void index_call(struct call *call)
{
    struct span index = call->segments[0];
    struct span second = call->segment_count > 1 ? call->segments[1] : SPAN_NONE;
    if (span_equal(second, SPAN("_doc")) || span_equal(second, SPAN("_create")) ||
        span_equal(second, SPAN("_update")) || span_equal(second, SPAN("_source")))
        documents_call(call);
    else if (span_equal(second, SPAN("_bulk")))
        bulk_call(call, index);
    else if (span_equal(second, SPAN("_mget")))
        mget_call(call, index);
    else if (span_equal(second, SPAN("_search")) || span_equal(second, SPAN("_count")))
        search_call(call, index, span_equal(second, SPAN("_count")));
    else if (span_equal(second, SPAN("_alias")) || span_equal(second, SPAN("_aliases")))
        aliases_call(call);
    else if (span_equal(second, SPAN("_stats")) || span_equal(second, SPAN("_recovery")))
        state_call(call);
    else
        indices_call(call);
}

/* filter_path and pretty, as the engines do: not for errors. */
static void shape_answer(struct call *call)
{
    struct buffer filter = {0}, shaped = {0};
    struct model_answer *answer = call->answer;
    bool ok =
        call_param(call, "filter_path", &filter) && filter.size != 0 && answer->status < 400 &&
        filter_path_apply(buffer_span(&answer->body), buffer_span(&filter), &shaped) == STATUS_OK;
    if (!ok && call->query.size != 0 && http_query_has(call->query, SPAN("pretty")))
        ok = json_pretty(buffer_span(&answer->body), &shaped) == STATUS_OK;
    if (ok) {
        buffer_clear(&answer->body);
        buffer_append_span(&answer->body, buffer_span(&shaped));
    }
    buffer_fini(&filter);
    buffer_fini(&shaped);
}

void model_cluster_handle(struct model_cluster *cluster, uint64_t now_us,
                          const struct model_request *request, struct model_answer *answer)
{
    struct call call = {.cluster = cluster, .request = request, .answer = answer};
    cluster->now_us = now_us;
    buffer_clear(&answer->headers);
    buffer_clear(&answer->body);
    answer->status = 0;
    buffer_append_cstr(&answer->headers, "content-type: application/json; charset=UTF-8\r\n");
    if (!call_split(&call))
        answer_no_handler(&call);
    else if (call.segment_count == 0)
        state_call(&call);
    else if (call.segments[0].data[0] == '_')
        global_call(&call);
    else
        index_call(&call);
    if (answer->status == 0)
        answer_no_handler(&call);
    if (call.query.size != 0)
        shape_answer(&call);
    buffer_fini(&call.text);
}

void model_answer_fini(struct model_answer *answer)
{
    buffer_fini(&answer->headers);
    buffer_fini(&answer->body);
}

/* ---- life ---- */

static uint64_t next_random(struct model_cluster *cluster)
{
    uint64_t z = cluster->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

void make_uuid(struct model_cluster *cluster, char uuid[UUID_SIZE])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t bits = 0;
    for (int i = 0; i < UUID_SIZE - 1; i++, bits >>= 6) {
        if (i % 10 == 0)
            bits = next_random(cluster);
        uuid[i] = digits[bits & 63];
    }
    uuid[UUID_SIZE - 1] = '\0';
}

void cluster_bump(struct model_cluster *cluster)
{
    cluster->version++;
}

struct model_cluster *model_cluster_new(const struct model_options *options)
{
    struct model_cluster *cluster = bytes_zalloc(sizeof *cluster);
    cluster->name = bytes_strdup(options->name == NULL ? "model" : options->name);
    cluster->product_version = bytes_strdup(options->version == NULL ? "2.19.1" : options->version);
    cluster->address = bytes_strdup(options->address == NULL ? "127.0.0.1:9200" : options->address);
    cluster->random = options->seed;
    make_uuid(cluster, cluster->uuid);
    make_uuid(cluster, cluster->node_id);
    cluster->version = 3;
    cluster->templates = json_object();
    cluster->index_templates = json_object();
    cluster->component_templates = json_object();
    cluster->pipelines = json_object();
    cluster->scripts = json_object();
    cluster->persistent = json_object();
    cluster->transient = json_object();
    cluster->graveyard = json_array();
    return cluster;
}

void model_cluster_free(struct model_cluster *cluster)
{
    struct model_index *index, *next;
    if (cluster == NULL)
        return;
    HASH_ITER(hh, cluster->indices, index, next)
    {
        HASH_DEL(cluster->indices, index);
        index_free(index);
    }
    json_decref(cluster->templates);
    json_decref(cluster->index_templates);
    json_decref(cluster->component_templates);
    json_decref(cluster->pipelines);
    json_decref(cluster->scripts);
    json_decref(cluster->persistent);
    json_decref(cluster->transient);
    json_decref(cluster->graveyard);
    buffer_fini(&cluster->scratch);
    buffer_fini(&cluster->path);
    free(cluster->name);
    free(cluster->product_version);
    free(cluster->address);
    free(cluster);
}

struct model_cluster *model_cluster_copy(const struct model_cluster *cluster)
{
    struct model_cluster *copy = bytes_alloc(sizeof *copy);
    struct model_index *index, *next;
    *copy = *cluster;
    copy->indices = NULL;
    copy->on_applied = NULL;
    copy->scratch = copy->path = (struct buffer){0};
    copy->name = bytes_strdup(cluster->name);
    copy->product_version = bytes_strdup(cluster->product_version);
    copy->address = bytes_strdup(cluster->address);
    copy->templates = json_deep_copy(cluster->templates);
    copy->index_templates = json_deep_copy(cluster->index_templates);
    copy->component_templates = json_deep_copy(cluster->component_templates);
    copy->pipelines = json_deep_copy(cluster->pipelines);
    copy->scripts = json_deep_copy(cluster->scripts);
    copy->persistent = json_deep_copy(cluster->persistent);
    copy->transient = json_deep_copy(cluster->transient);
    copy->graveyard = json_deep_copy(cluster->graveyard);
    HASH_ITER(hh, cluster->indices, index, next)
    {
        struct model_index *made = index_copy(index);
        HASH_ADD_KEYPTR(hh, copy->indices, made->name, strlen(made->name), made);
    }
    return copy;
}

void model_cluster_observe(struct model_cluster *cluster,
                           void (*on_applied)(void *arg, const struct model_applied *applied),
                           void *arg)
{
    cluster->on_applied = on_applied;
    cluster->arg = arg;
}

static void forget_shard(struct model_shard *shard)
{
    struct model_doc *doc, *next;
    HASH_ITER(hh, shard->docs, doc, next)
    {
        if (!doc->deleted)
            continue;
        HASH_DEL(shard->docs, doc);
        free(doc->id);
        free(doc->routing);
        free(doc);
    }
}

void model_cluster_forget_tombstones(struct model_cluster *cluster)
{
    struct model_index *index, *next;
    HASH_ITER(hh, cluster->indices, index, next)
    {
        for (uint32_t i = 0; i < index->shard_count; i++)
            forget_shard(&index->shards[i]);
    }
}

void model_cluster_restart(struct model_cluster *cluster)
{
    struct model_index *index, *next;
    model_cluster_forget_tombstones(cluster);
    json_object_clear(cluster->transient);
    HASH_ITER(hh, cluster->indices, index, next)
    {
        for (uint32_t i = 0; i < index->shard_count; i++)
            index->shards[i].term++;
        index->recovery = "EXISTING_STORE";
        index->version += 2;
    }
    cluster->version += 5;
}

bool model_cluster_restore_index(struct model_cluster *cluster,
                                 const struct model_cluster *snapshot, const char *name)
{
    const struct model_index *from = index_find(snapshot, span_cstr(name));
    struct model_index *old = index_find(cluster, span_cstr(name));
    if (from == NULL || old == NULL)
        return false;
    struct model_index *made = index_copy(from);
    memcpy(made->uuid, old->uuid, UUID_SIZE);
    make_uuid(cluster, made->shards[0].history_uuid);
    json_object_set_new(made->settings, "index.uuid", json_string(old->uuid));
    json_object_set_new(made->settings, "index.history.uuid",
                        json_string(made->shards[0].history_uuid));
    made->version = old->version + 3;
    made->mapping_version = old->mapping_version + 1;
    made->settings_version = old->settings_version + 1;
    made->aliases_version = old->aliases_version + 1;
    made->recovery = "SNAPSHOT";
    made->closed = false;
    for (uint32_t i = 0; i < made->shard_count; i++) {
        uint64_t term = i < old->shard_count ? old->shards[i].term : 0;
        if (made->shards[i].term < term)
            made->shards[i].term = term;
        made->shards[i].term++;
        make_uuid(cluster, made->shards[i].history_uuid);
        forget_shard(&made->shards[i]);
    }
    HASH_DEL(cluster->indices, old);
    index_free(old);
    HASH_ADD_KEYPTR(hh, cluster->indices, made->name, strlen(made->name), made);
    index_refresh(made);
    cluster->version += 3;
    return true;
}

int64_t model_cluster_state_version(const struct model_cluster *cluster)
{
    return cluster->version;
}

const char *model_cluster_uuid(const struct model_cluster *cluster)
{
    return cluster->uuid;
}

/* ---- json ---- */

const char *json_text(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

void json_overlay(json_t *into, const json_t *from)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        json_t *old = json_object_get(into, name);
        if (json_is_object(old) && json_is_object(value))
            json_overlay(old, value);
        else
            json_object_set_new(into, name, json_deep_copy(value));
    }
}
