/* model_documents.c - one write to one document of the model cluster, and the endpoints for one
 * document.
 *
 * A write walks: validate -> resolve the name -> pipelines -> mapping -> versions -> stored. Each
 * step may refuse it, and only the last takes a sequence number: what the engines refuse takes
 * none.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "es/shard.h"
#include "http/message.h"
#include "model_impl.h"

#define ID_SIZE_MAX 512

void write_init(struct write *write, enum bulk_action action)
{
    memset(write, 0, sizeof *write);
    write->action = action;
    write->failure.shard = -1;
}

void write_fini(struct write *write)
{
    buffer_fini(&write->get_source);
    buffer_fini(&write->made_id);
    buffer_fini(&write->made_index);
    buffer_fini(&write->made_routing);
    buffer_fini(&write->made_source);
}

/* ---- where a document is ---- */

struct model_doc *shard_find(const struct model_shard *shard, struct span id)
{
    struct model_doc *doc;
    HASH_FIND(hh, shard->docs, id.data, id.size, doc);
    return doc;
}

struct model_shard *index_shard(struct model_index *index, struct span id, struct span routing,
                                uint32_t *number)
{
    *number = shard_of(id, routing, index->shard_count, index->routing_shards, index->partition);
    CHECK(*number < index->shard_count);
    return &index->shards[*number];
}

/* ---- the name ---- */

static bool creation_allowed(struct model_cluster *cluster, struct span name, char *why,
                             size_t size)
{
    const char *setting = cluster_setting(cluster, "action.auto_create_index");
    char *text = span_dup(name);
    bool by_template = templates_allow_create(cluster, text);
    free(text);
    why[0] = '\0';
    if (by_template || setting == NULL || strcmp(setting, "true") == 0)
        return true;
    if (strcmp(setting, "false") == 0)
        return false;
    for (const char *at = setting; *at != '\0';) {
        size_t length = strcspn(at, ",");
        struct span pattern = span_of(at, length);
        bool allow = true;
        if (length != 0 && (*at == '-' || *at == '+')) {
            allow = *at == '+';
            pattern = span_of(at + 1, length - 1);
        }
        if (span_matches(name, pattern)) {
            snprintf(why, size,
                     " and [action.auto_create_index] contains [%.*s] which forbids automatic "
                     "creation of the index",
                     (int)length, at);
            return allow;
        }
        at += length;
        at += *at == ',';
    }
    snprintf(why, size, " and [action.auto_create_index] ([%s]) doesn't match", setting);
    return false;
}

static struct model_index *create_for(struct model_cluster *cluster, struct write *write)
{
    char why[400];
    if (write->action == BULK_DELETE && write->version_type == VERSION_INTERNAL) {
        fail_no_index(&write->failure, write->name, "index_expression");
        return NULL;
    }
    if (!creation_allowed(cluster, write->name, why, sizeof why)) {
        fail_no_index(&write->failure, write->name, "index_expression");
        if (why[0] != '\0') {
            size_t length = strlen(write->failure.reason);
            snprintf(write->failure.reason + length, sizeof write->failure.reason - length, "%s",
                     why);
            write->failure.resource = false;
        }
        return NULL;
    }
    return index_create(cluster, write->name, NULL, &write->failure);
}

bool alias_routing(const struct model_index *index, struct span name, struct span *routing,
                   struct failure *failure)
{
    const json_t *alias = json_object_getn(index->aliases, name.data, name.size);
    const char *added = json_text(alias, "index_routing");
    if (added == NULL)
        return true;
    if (routing->size != 0 && !span_equal(*routing, span_cstr(added))) {
        fail(
            failure, 400, "illegal_argument_exception",
            "Alias [%.*s] has index routing associated with it [%s], and was provided with routing "
            "value [%.*s], rejecting operation",
            (int)name.size, name.data, added, (int)routing->size, routing->data);
        return false;
    }
    *routing = span_cstr(added);
    return true;
}

static bool take_alias_routing(struct write *write, const struct model_index *index)
{
    struct span routing = write->routing;
    if (!alias_routing(index, write->name, &routing, &write->failure))
        return false;
    if (routing.data != write->routing.data) {
        buffer_clear(&write->made_routing);
        buffer_append_span(&write->made_routing, routing);
        write->routing = buffer_span(&write->made_routing);
    }
    return true;
}

struct model_index *write_resolve(struct model_cluster *cluster, struct write *write)
{
    struct model_index *index = index_find(cluster, write->name);
    bool alias = false;
    if (index == NULL) {
        index = alias_write_index(cluster, write->name, &write->failure);
        alias = index != NULL;
        if (write->failure.status != 0)
            return NULL;
    }
    if (write->require_alias && !alias) {
        fail(&write->failure, 404, "index_not_found_exception",
             "no such index [%.*s] and [require_alias] request flag is [true] and [%.*s] is not an "
             "alias",
             (int)write->name.size, write->name.data, (int)write->name.size, write->name.data);
        snprintf(write->failure.index, sizeof write->failure.index, "%.*s", (int)write->name.size,
                 write->name.data);
        strcpy(write->failure.index_uuid, "_na_");
        return NULL;
    }
    if (index == NULL)
        index = create_for(cluster, write);
    if (index == NULL || (alias && !take_alias_routing(write, index)))
        return NULL;
    return index;
}

static bool index_writable(struct model_cluster *cluster, struct model_index *index,
                           struct failure *failure)
{
    if (index->closed) {
        fail(failure, 400, "index_closed_exception", "closed");
        snprintf(failure->index, sizeof failure->index, "%s", index->name);
        memcpy(failure->index_uuid, index->uuid, UUID_SIZE);
        return false;
    }
    if (cluster_setting_is(cluster, "cluster.blocks.read_only", "true")) {
        fail(failure, 403, "cluster_block_exception",
             "index [%s] blocked by: [FORBIDDEN/6/cluster read-only (api)];", index->name);
        return false;
    }
    if (index->block != NULL) {
        fail(failure, index->block_status, "cluster_block_exception",
             "index [%s] blocked by: [%s];", index->name, index->block);
        return false;
    }
    return true;
}

/* ---- versions ---- */

static void conflict(struct write *write, const char *format, ...) PRINTF_LIKE(2, 3);
static void conflict(struct write *write, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail(&write->failure, 409, "version_conflict_engine_exception", "[%.*s]: version conflict, %s",
         (int)write->id.size, write->id.data, text);
    snprintf(write->failure.index, sizeof write->failure.index, "%s", write->index->name);
    memcpy(write->failure.index_uuid, write->index->uuid, UUID_SIZE);
    write->failure.shard = (int)write->shard;
}

bool write_versions_allow(struct write *write, const struct model_doc *live,
                          const struct model_doc *known)
{
    if (write->action == BULK_CREATE && live != NULL) {
        conflict(write, "document already exists (current version [%" PRId64 "])", live->version);
        return false;
    }
    if (write->has_condition) {
        if (live == NULL) {
            conflict(write,
                     "required seqNo [%" PRId64 "], primary term [%" PRId64
                     "]. but no document was found",
                     write->if_seq_no, write->if_term);
            return false;
        }
        if (live->seq_no != write->if_seq_no || live->term != (uint64_t)write->if_term) {
            conflict(write,
                     "required seqNo [%" PRId64 "], primary term [%" PRId64
                     "]. current document has seqNo [%" PRId64 "] and primary term [%" PRIu64 "]",
                     write->if_seq_no, write->if_term, live->seq_no, live->term);
            return false;
        }
    }
    if (write->version_type == VERSION_INTERNAL || known == NULL)
        return true;
    bool gte = write->version_type == VERSION_EXTERNAL_GTE;
    if (gte ? write->version >= known->version : write->version > known->version)
        return true;
    conflict(write,
             gte ? "current version [%" PRId64 "] is higher than the one provided [%" PRId64 "]"
                 : "current version [%" PRId64 "] is higher or equal to the one provided [%" PRId64
                   "]",
             known->version, write->version);
    return false;
}

static char *copy_bytes(struct span from)
{
    char *copy = bytes_alloc(from.size + 1);
    if (from.size != 0)
        memcpy(copy, from.data, from.size);
    copy[from.size] = '\0';
    return copy;
}

static void doc_set(struct model_doc *doc, const struct write *write, struct span source)
{
    free(doc->routing);
    free(doc->source);
    doc->routing = write->routing.size == 0 ? NULL : copy_bytes(write->routing);
    doc->routing_size = write->routing.size;
    doc->source = doc->deleted ? NULL : copy_bytes(source);
    doc->source_size = doc->deleted ? 0 : source.size;
    doc->version = write->new_version;
    doc->seq_no = write->seq_no;
    doc->term = write->term;
}

static void tell(struct model_cluster *cluster, const struct write *write,
                 const struct model_doc *doc, bool existed)
{
    if (cluster->on_applied == NULL)
        return;
    struct model_applied applied = {
        .index = write->index->name,
        .index_uuid = write->index->uuid,
        .id = span_of(doc->id, doc->id_size),
        .routing = span_of(doc->routing, doc->routing_size),
        .shard = write->shard,
        .version = doc->version,
        .term = doc->term,
        .seq_no = doc->seq_no,
        .deleted = doc->deleted,
        .existed = existed,
        .source = span_of(doc->source, doc->source_size),
        .now_us = cluster->now_us,
    };
    cluster->on_applied(cluster->arg, &applied);
}

void write_apply(struct model_cluster *cluster, struct write *write, struct span source)
{
    struct model_shard *shard = index_shard(write->index, write->id, write->routing, &write->shard);
    struct model_doc *doc = shard_find(shard, write->id);
    struct model_doc *live = doc != NULL && !doc->deleted ? doc : NULL, *known = doc;
    int64_t gc = write->index->gc_deletes_us;
    if (doc != NULL && doc->deleted && (gc < 0 || cluster->now_us - doc->deleted_us > (uint64_t)gc))
        known = NULL; /* the tombstone is too old to count */
    if (!write_versions_allow(write, live, known))
        return;
    bool deletes = write->action == BULK_DELETE;
    write->new_version = write->version_type != VERSION_INTERNAL ? write->version
                         : known == NULL                         ? 1
                                                                 : known->version + 1;
    write->seq_no = ++shard->max_seq_no;
    write->term = shard->term;
    if (deletes)
        write->result = live != NULL ? "deleted" : "not_found";
    else
        write->result = live != NULL ? "updated" : "created";
    write->status = deletes ? (live != NULL ? 200 : 404) : (live != NULL ? 200 : 201);
    if (doc == NULL) {
        doc = bytes_zalloc(sizeof *doc);
        doc->id = copy_bytes(write->id);
        doc->id_size = write->id.size;
        HASH_ADD_KEYPTR(hh, shard->docs, doc->id, doc->id_size, doc);
    }
    if (live == NULL && !deletes)
        shard->live++;
    else if (live != NULL && deletes)
        shard->live--;
    doc->deleted = deletes;
    doc->deleted_us = cluster->now_us;
    doc_set(doc, write, source);
    tell(cluster, write, doc, live != NULL);
}

/* ---- one write ---- */

void write_validate(struct write *write)
{
    struct failure *failure = &write->failure;
    const char *why = NULL;
    char text[200];
    bool creates = write->action == BULK_CREATE ||
                   (write->action == BULK_INDEX && write->no_id && write->bulk == false);
    if (write->has_version && write->version_type == VERSION_INTERNAL)
        why = "internal versioning can not be used for optimistic concurrency control. Please use "
              "`if_seq_no` and `if_primary_term` instead";
    else if (write->has_version && creates)
        why = "create operations only support internal versioning. use index instead";
    else if (write->has_version && write->no_id)
        why = "an id must be provided if version type or value are set";
    else if (write->has_version && write->has_condition)
        why = "compare and write operations can not use versioning";
    else if (write->has_condition && creates)
        why = "create operations do not support compare and set. use index instead";
    else if (write->has_condition && write->if_term == 0)
        why = "ifSeqNo is set, but primary term is [0]";
    else if (write->version_type != VERSION_INTERNAL &&
             (!write->has_version || write->version < 0)) {
        snprintf(text, sizeof text, "illegal version value [%" PRId64 "] for version type [%s]",
                 write->has_version ? write->version : -3,
                 write->version_type == VERSION_EXTERNAL ? "EXTERNAL" : "EXTERNAL_GTE");
        why = text;
    } else if (write->id.size > ID_SIZE_MAX) {
        snprintf(text, sizeof text,
                 "id [...] is too long, must be no longer than %d bytes but was: %zu", ID_SIZE_MAX,
                 write->id.size);
        why = text;
    }
    if (why != NULL)
        fail(failure, 400, "action_request_validation_exception", "Validation Failed: 1: %s;", why);
}

static void make_id(struct model_cluster *cluster, struct write *write)
{
    uint8_t unique[6];
    memcpy(unique, cluster->node_id, sizeof unique);
    buffer_clear(&write->made_id);
    char *id = buffer_reserve(&write->made_id, 20);
    auto_id(id, unique, cluster->auto_ids++, cluster->now_us / 1000);
    write->made_id.size = 20;
    write->id = buffer_span(&write->made_id);
}

/* Runs the pipelines around finding, or making, the index: the engines run the first ones before
 * they create it. */
static bool index_through_pipelines(struct model_cluster *cluster, struct write *write,
                                    struct span *source)
{
    struct failure ignored = {.shard = -1};
    write->index = index_find(cluster, write->name);
    if (write->index == NULL)
        write->index = alias_write_index(cluster, write->name, &ignored);
    bool was_there = write->index != NULL;
    const char *by_default = was_there ? write->index->default_pipeline : NULL;
    struct span first = write->has_pipeline ? write->pipeline : span_cstr(by_default);
    if (!ingest_run(cluster, write, first, source))
        return false;
    if (write->made_index.size != 0)
        write->name = buffer_span(&write->made_index);
    write->index = write_resolve(cluster, write);
    if (write->index == NULL || !index_writable(cluster, write->index, &write->failure))
        return false;
    if (!was_there && !write->has_pipeline &&
        !ingest_run(cluster, write, span_cstr(write->index->default_pipeline), source))
        return false;
    return ingest_run(cluster, write, span_cstr(write->index->final_pipeline), source);
}

bool routing_given(const struct model_index *index, struct span id, struct span routing,
                   struct failure *failure)
{
    if (!index->routing_required || routing.size != 0)
        return true;
    fail(failure, 400, "routing_missing_exception", "routing is required for [%s]/[%.*s]",
         index->name, (int)id.size, id.data);
    snprintf(failure->index, sizeof failure->index, "%s", index->name);
    strcpy(failure->index_uuid, "_na_");
    return false;
}

bool write_store(struct model_cluster *cluster, struct write *write, struct span source)
{
    if (!index_writable(cluster, write->index, &write->failure))
        return false;
    if (!routing_given(write->index, write->id, write->routing, &write->failure))
        return false;
    if (write->no_id && write->made_id.size == 0)
        make_id(cluster, write);
    if (!mapping_take(cluster, write->index, write->id, source, &write->failure))
        return false;
    write_apply(cluster, write, source);
    return write->failure.status == 0;
}

void write_run(struct model_cluster *cluster, struct write *write)
{
    struct span source = write->source;
    if (!write->no_id && write->id.size == 0)
        fail(&write->failure, 400, "illegal_argument_exception",
             "if _id is specified it must not be empty");
    if (write->failure.status != 0)
        return;
    if (write->action == BULK_INDEX || write->action == BULK_CREATE) {
        if (index_through_pipelines(cluster, write, &source))
            write_store(cluster, write, source);
        return;
    }
    write->index = write_resolve(cluster, write);
    if (write->index == NULL || !index_writable(cluster, write->index, &write->failure) ||
        !routing_given(write->index, write->id, write->routing, &write->failure))
        return;
    if (write->action == BULK_UPDATE)
        update_run(cluster, write);
    else
        write_apply(cluster, write, SPAN_NONE);
}

static void append_shards(const struct write *write, struct buffer *out)
{
    if (write->no_op || write->dropped) {
        buffer_append_cstr(out, ",\"_shards\":{\"total\":0,\"successful\":0,\"failed\":0}");
        return;
    }
    const char *replicas = index_setting(write->index, "index.number_of_replicas");
    buffer_appendf(out, ",\"_shards\":{\"total\":%d,\"successful\":1,\"failed\":0}",
                   replicas == NULL ? 2 : 1 + atoi(replicas));
}

static void append_get(const struct write *write, struct buffer *out)
{
    buffer_append_cstr(out, ",\"get\":{");
    if (!write->no_numbers)
        buffer_appendf(out, "\"_seq_no\":%" PRId64 ",\"_primary_term\":%" PRIu64 ",", write->seq_no,
                       write->term);
    buffer_append_cstr(out, write->get_found ? "\"found\":true" : "\"found\":false");
    if (write->get_has_source) {
        buffer_append_cstr(out, ",\"_source\":");
        buffer_append_span(out, buffer_span(&write->get_source));
    }
    buffer_append_char(out, '}');
}

void write_append_success(const struct write *write, struct buffer *out)
{
    buffer_append_cstr(out, "{\"_index\":");
    buffer_append_json_string(out, write->dropped ? write->name : span_cstr(write->index->name));
    buffer_append_cstr(out, ",\"_id\":");
    buffer_append_json_string(out, write->id);
    buffer_appendf(out, ",\"_version\":%" PRId64 ",\"result\":\"%s\"", write->new_version,
                   write->result);
    append_shards(write, out);
    if (!write->no_numbers)
        buffer_appendf(out, ",\"_seq_no\":%" PRId64 ",\"_primary_term\":%" PRIu64, write->seq_no,
                       write->term);
    if (write->has_get)
        append_get(write, out);
}

/* ---- endpoints ---- */

static bool number_param(const struct call *call, struct failure *failure, const char *name,
                         struct span text, int64_t *number)
{
    (void)call;
    if (json_to_i64(text, number))
        return true;
    fail(failure, 400, "illegal_argument_exception",
         "Failed to parse long parameter [%s] with value [%.*s]", name, (int)text.size, text.data);
    return false;
}

static bool version_type_param(struct write *write, struct span value)
{
    if (span_equal(value, SPAN("external")) || span_equal(value, SPAN("external_gt")))
        write->version_type = VERSION_EXTERNAL;
    else if (span_equal(value, SPAN("external_gte")))
        write->version_type = VERSION_EXTERNAL_GTE;
    else if (!span_equal(value, SPAN("internal"))) {
        fail(&write->failure, 400, "illegal_argument_exception", "No version type match [%.*s]",
             (int)value.size, value.data);
        return false;
    }
    return true;
}

/* What the engines take and the model need not look at. */
static bool harmless_param(struct span name)
{
    static const char *const names[] = {"refresh",
                                        "timeout",
                                        "wait_for_active_shards",
                                        "pretty",
                                        "human",
                                        "error_trace",
                                        "filter_path",
                                        "format",
                                        "preference",
                                        "realtime",
                                        "stored_fields",
                                        "retry_on_conflict",
                                        "lang",
                                        "_source_includes",
                                        "_source_excludes"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (span_equal(name, span_cstr(names[i])))
            return true;
    return false;
}

static bool take_param(struct call *call, struct write *write, struct span name, struct span value,
                       struct buffer *routing, struct buffer *pipeline)
{
    bool update = write->action == BULK_UPDATE;
    if (span_equal(name, SPAN("routing"))) {
        buffer_append_span(routing, value);
    } else if (span_equal(name, SPAN("pipeline")) && !update && write->action != BULK_DELETE) {
        buffer_append_span(pipeline, value);
        write->has_pipeline = true;
    } else if (update &&
               (span_equal(name, SPAN("version")) || span_equal(name, SPAN("version_type")))) {
        fail(&write->failure, 400, "action_request_validation_exception",
             "Validation Failed: 1: versioning is not supported by updates;");
        return false;
    } else if (span_equal(name, SPAN("version"))) {
        write->has_version = true;
        return number_param(call, &write->failure, "version", value, &write->version);
    } else if (span_equal(name, SPAN("version_type"))) {
        return version_type_param(write, value);
    } else if (span_equal(name, SPAN("if_seq_no"))) {
        write->has_condition = true;
        return number_param(call, &write->failure, "if_seq_no", value, &write->if_seq_no);
    } else if (span_equal(name, SPAN("if_primary_term"))) {
        return number_param(call, &write->failure, "if_primary_term", value, &write->if_term);
    } else if (span_equal(name, SPAN("require_alias"))) {
        write->require_alias = !span_equal(value, SPAN("false"));
    } else if (span_equal(name, SPAN("op_type")) && write->action == BULK_INDEX) {
        if (span_equal(value, SPAN("create")))
            write->action = BULK_CREATE;
    } else if (span_equal(name, SPAN("_source")) && update) {
        write->want_source = span_equal(value, SPAN("false")) ? SOURCE_NO : SOURCE_YES;
    } else if (!harmless_param(name)) {
        fail(&write->failure, 400, "illegal_argument_exception",
             "request [%.*s] contains unrecognized parameter: [%.*s]",
             (int)(call->request->target.size - call->query.size - 1), call->request->target.data,
             (int)name.size, name.data);
        return false;
    }
    return true;
}

static bool take_params(struct call *call, struct write *write, struct buffer *routing,
                        struct buffer *pipeline)
{
    struct span rest = call->query, name, raw;
    struct buffer value = {0};
    bool has_value, ok = true;
    while (ok && http_query_next(&rest, &name, &raw, &has_value)) {
        buffer_clear(&value);
        ok = http_percent_decode(raw, &value) &&
             take_param(call, write, name, buffer_span(&value), routing, pipeline);
    }
    buffer_fini(&value);
    write->routing = buffer_span(routing);
    write->pipeline = buffer_span(pipeline);
    return ok;
}

static void answer_write(struct call *call, struct write *write)
{
    struct buffer *body = &call->answer->body;
    if (write->failure.status != 0) {
        answer_failure(call, &write->failure);
        return;
    }
    call->answer->status = write->status;
    write_append_success(write, body);
    buffer_append_char(body, '}');
    if (write->status == 201) {
        buffer_append_cstr(&call->answer->headers, "Location: /");
        http_percent_encode(span_cstr(write->index->name), &call->answer->headers);
        buffer_append_cstr(&call->answer->headers, "/_doc/");
        http_percent_encode(write->id, &call->answer->headers);
        buffer_append_cstr(&call->answer->headers, "\r\n");
    }
}

static void write_call(struct call *call, enum bulk_action action)
{
    struct write write;
    struct buffer routing = {0}, pipeline = {0};
    write_init(&write, action);
    write.name = call->segments[0];
    write.no_id = call->segment_count < 3;
    if (!write.no_id)
        write.id = call->segments[2];
    write.source = call->request->body;
    if (take_params(call, &write, &routing, &pipeline))
        write_validate(&write);
    if (write.failure.status == 0 && action != BULK_DELETE && write.source.size == 0)
        fail(&write.failure, 400, "parse_exception", "request body is required");
    if (write.no_id && write.action == BULK_INDEX)
        write.action = BULK_CREATE; /* as the engines since 7.5 */
    write_run(call->cluster, &write);
    if (write.dropped)
        write.new_version = write.no_id ? -4 : -3;
    answer_write(call, &write);
    write_fini(&write);
    buffer_fini(&routing);
    buffer_fini(&pipeline);
}

void doc_append(const struct model_doc *doc, bool source, struct buffer *out)
{
    buffer_appendf(out,
                   ",\"_version\":%" PRId64 ",\"_seq_no\":%" PRId64 ",\"_primary_term\":%" PRIu64,
                   doc->version, doc->seq_no, doc->term);
    if (doc->routing != NULL) {
        buffer_append_cstr(out, ",\"_routing\":");
        buffer_append_json_string(out, span_of(doc->routing, doc->routing_size));
    }
    buffer_append_cstr(out, ",\"found\":true");
    if (source) {
        buffer_append_cstr(out, ",\"_source\":");
        buffer_append(out, doc->source, doc->source_size);
    }
}

/* The index that a document is read from, and by which routing; NULL with failure set. */
static struct model_index *get_from(struct call *call, struct span *routing,
                                    struct failure *failure)
{
    struct index_list list = {0};
    struct span name = call->segments[0];
    struct model_index *index = NULL;
    if (indices_resolve(call->cluster, name, false, true, &list, failure)) {
        if (list.count != 0)
            index = list.list[0];
        else
            fail_no_index(failure, name, "index_expression");
    }
    index_list_fini(&list);
    failure->resource_type = "index_expression";
    if (index == NULL || !alias_routing(index, name, routing, failure) ||
        !routing_given(index, call->segments[2], *routing, failure))
        return NULL;
    if (!index->closed)
        return index;
    fail(failure, 400, "index_closed_exception", "closed");
    snprintf(failure->index, sizeof failure->index, "%s", index->name);
    memcpy(failure->index_uuid, index->uuid, UUID_SIZE);
    return NULL;
}

static void answer_doc(struct call *call, const struct model_index *index,
                       const struct model_doc *doc, bool source)
{
    struct buffer *body = &call->answer->body;
    call->answer->status = doc != NULL ? 200 : 404;
    buffer_append_cstr(body, "{\"_index\":");
    buffer_append_json_string(body, span_cstr(index->name));
    buffer_append_cstr(body, ",\"_id\":");
    buffer_append_json_string(body, call->segments[2]);
    if (doc != NULL)
        doc_append(doc, source && !index->source_disabled, body);
    else
        buffer_append_cstr(body, ",\"found\":false");
    buffer_append_char(body, '}');
}

static void get_call(struct call *call, bool source_only)
{
    struct failure failure = {.shard = -1};
    struct buffer text = {0}, filter = {0};
    call_param(call, "routing", &text);
    struct span routing = buffer_span(&text), id = call->segments[2];
    bool source =
        !call_param(call, "_source", &filter) || !span_equal(buffer_span(&filter), SPAN("false"));
    struct model_index *index = get_from(call, &routing, &failure);
    if (index == NULL) {
        answer_failure(call, &failure);
    } else {
        uint32_t number;
        const struct model_doc *doc = shard_find(index_shard(index, id, routing, &number), id);
        if (doc != NULL && doc->deleted)
            doc = NULL;
        if (doc != NULL && source_only) {
            call->answer->status = 200;
            buffer_append(&call->answer->body, doc->source, doc->source_size);
        } else {
            answer_doc(call, index, doc, source);
        }
    }
    buffer_fini(&text);
    buffer_fini(&filter);
}

void documents_call(struct call *call)
{
    struct span kind = call->segments[1];
    bool puts = call_is(call, "PUT") || call_is(call, "POST");
    bool reads = call_is(call, "GET") || call_is(call, "HEAD");
    if (span_equal(kind, SPAN("_update")) && call_is(call, "POST") && call->segment_count == 3)
        write_call(call, BULK_UPDATE);
    else if (span_equal(kind, SPAN("_create")) && puts && call->segment_count == 3)
        write_call(call, BULK_CREATE);
    else if (span_equal(kind, SPAN("_doc")) && puts &&
             (call->segment_count == 3 || call_is(call, "POST")))
        write_call(call, BULK_INDEX);
    else if (span_equal(kind, SPAN("_doc")) && call_is(call, "DELETE") && call->segment_count == 3)
        write_call(call, BULK_DELETE);
    else if (call->segment_count == 3 && reads)
        get_call(call, span_equal(kind, SPAN("_source")));
    else {
        call->answer->status = 405;
        buffer_append_cstr(&call->answer->body,
                           "{\"error\":\"Incorrect HTTP method for uri\",\"status\":405}");
    }
}
