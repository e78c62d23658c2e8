/* model_bulk.c - the model cluster's calls for many documents: _bulk, _mget, _search, _count.
 *
 * A bulk is looked at whole before its first item is executed: what the engines refuse as a whole
 * changes nothing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/json.h"
#include "model_impl.h"

/* ---- bulk ---- */

struct bulk_defaults {
    struct span index;
    struct buffer routing, pipeline;
    bool has_pipeline, require_alias;
    int want_source; /* as in struct write */
};

/* The text of one item's strings, kept until the next item. */
struct item_text {
    struct buffer index, id, routing, pipeline;
};

static struct span text_of(struct span raw, struct buffer *into)
{
    buffer_clear(into);
    if (raw_is_null(raw))
        return SPAN_NONE;
    if (!raw_is_string(raw) || !json_string_decode(raw, into))
        buffer_append_span(into, raw); /* a number */
    return buffer_span(into);
}

static struct span either(struct span metadata, const char *name, const char *old_name)
{
    struct span value = json_member(metadata, span_cstr(name));
    return value.size != 0 ? value : json_member(metadata, span_cstr(old_name));
}

static void take_numbers(struct write *write, const struct bulk_item *item)
{
    struct span value = json_member(item->metadata, SPAN("if_seq_no"));
    if (item->has_condition) {
        write->has_condition = value.size != 0;
        json_to_i64(value, &write->if_seq_no);
        json_to_i64(json_member(item->metadata, SPAN("if_primary_term")), &write->if_term);
    }
    value = either(item->metadata, "version", "_version");
    if (value.size != 0)
        write->has_version = json_to_i64(value, &write->version);
    value = either(item->metadata, "version_type", "_version_type");
    if (value.size > 2 && memcmp(value.data, "\"external", 9) == 0)
        write->version_type =
            memcmp(value.data, "\"external_gte", 13) == 0 ? VERSION_EXTERNAL_GTE : VERSION_EXTERNAL;
}

static void take_item(struct write *write, const struct bulk_item *item,
                      const struct bulk_defaults *defaults, struct item_text *text)
{
    write_init(write, item->action);
    write->bulk = true;
    write->name = item->index.size != 0 ? text_of(item->index, &text->index) : defaults->index;
    write->no_id = item->id.size == 0 || raw_is_null(item->id);
    if (!write->no_id)
        write->id = text_of(item->id, &text->id);
    write->routing = item->routing.size != 0 ? text_of(item->routing, &text->routing)
                                             : buffer_span(&defaults->routing);
    write->source = item->source;
    write->has_pipeline = item->pipeline.size != 0 || defaults->has_pipeline;
    write->pipeline = item->pipeline.size != 0 ? text_of(item->pipeline, &text->pipeline)
                                               : buffer_span(&defaults->pipeline);
    write->require_alias =
        item->require_alias.size != 0 ? raw_is_true(item->require_alias) : defaults->require_alias;
    if (item->op_type.size != 0 && json_string_is(item->op_type, SPAN("create")) &&
        item->action == BULK_INDEX)
        write->action = BULK_CREATE;
    write->want_source = defaults->want_source;
    if (item->source_filter.size != 0) {
        write->want_source = item->source_filter.data[0] == 'f' ? SOURCE_NO : SOURCE_YES;
        write->want_source_first = true;
    } else if (defaults->want_source != SOURCE_UNSET) {
        write->want_source_first = true;
    }
    take_numbers(write, item);
}

static void append_item(const struct write *write, struct buffer *out)
{
    buffer_appendf(out, "{\"%s\":", bulk_action_name(write->action));
    if (write->failure.status == 0) {
        write_append_success(write, out);
        buffer_appendf(out, ",\"status\":%d}}", write->status);
        return;
    }
    buffer_append_cstr(out, "{\"_index\":");
    buffer_append_json_string(out,
                              write->index != NULL ? span_cstr(write->index->name) : write->name);
    buffer_append_cstr(out, ",\"_id\":");
    if (write->no_id && write->made_id.size == 0)
        buffer_append_cstr(out, "null");
    else
        buffer_append_json_string(out, write->id);
    buffer_appendf(out, ",\"status\":%d,\"error\":", write->failure.status);
    failure_append(&write->failure, out);
    buffer_append_cstr(out, "}}");
}

/* True when the whole bulk may run; else it was answered. */
static bool bulk_check(struct call *call, const struct bulk_defaults *defaults,
                       struct item_text *text)
{
    struct bulk_walk walk;
    struct bulk_item item;
    struct failure failure = {.shard = -1};
    enum status status;
    bulk_walk_init(&walk, call->request->body);
    while ((status = bulk_next(&walk, &item)) == STATUS_OK && failure.status == 0) {
        struct write write;
        take_item(&write, &item, defaults, text);
        write_validate(&write);
        if (write.name.size == 0)
            fail(&write.failure, 400, "action_request_validation_exception",
                 "Validation Failed: 1: index is missing;");
        if (write.no_id && (item.action == BULK_UPDATE || item.action == BULK_DELETE))
            fail(&write.failure, 400, "action_request_validation_exception",
                 "Validation Failed: 1: id is missing;");
        if (item.action == BULK_UPDATE && write.has_version)
            fail(&write.failure, 400, "illegal_argument_exception",
                 "Update requests do not support versioning. Please use `if_seq_no` and "
                 "`if_primary_term` instead");
        failure = write.failure;
        write_fini(&write);
    }
    if (failure.status == 0 && status == STATUS_BAD_INPUT)
        fail(&failure, 400, "illegal_argument_exception", "%s (line [%zu])", walk.why,
             walk.why_line);
    if (failure.status == 0 && walk.items == 0)
        fail(&failure, 400, "action_request_validation_exception",
             "Validation Failed: 1: no requests added;");
    if (failure.status != 0)
        answer_failure(call, &failure);
    return failure.status == 0;
}

static bool is_error(const struct write *write)
{
    return write->failure.status != 0;
}

static void bulk_execute(struct call *call, const struct bulk_defaults *defaults,
                         struct item_text *text)
{
    struct buffer *out = &call->answer->body;
    struct bulk_walk walk;
    struct bulk_item item;
    bool errors = false;
    call->answer->status = 200;
    /* "errors" is known at the end: both words have one length with the blank in front, which JSON
     * allows. */
    buffer_append_cstr(out, "{\"took\":1,\"errors\":");
    size_t errors_at = out->size;
    buffer_append_cstr(out, "false,\"items\":[");
    bulk_walk_init(&walk, call->request->body);
    while (bulk_next(&walk, &item) == STATUS_OK) {
        struct write write;
        take_item(&write, &item, defaults, text);
        write_run(call->cluster, &write);
        errors = errors || is_error(&write);
        if (item.number != 0)
            buffer_append_char(out, ',');
        append_item(&write, out);
        write_fini(&write);
    }
    if (errors)
        memcpy(out->data + errors_at, " true", 5);
    buffer_append_cstr(out, "]}");
}

void bulk_call(struct call *call, struct span index)
{
    struct bulk_defaults defaults = {.index = index};
    struct item_text text = {0};
    struct buffer value = {0};
    call_param(call, "routing", &defaults.routing);
    defaults.has_pipeline = call_param(call, "pipeline", &defaults.pipeline);
    defaults.require_alias = call_flag(call, "require_alias", false);
    if (call_param(call, "_source", &value))
        defaults.want_source =
            span_equal(buffer_span(&value), SPAN("false")) ? SOURCE_NO : SOURCE_YES;
    if (bulk_check(call, &defaults, &text))
        bulk_execute(call, &defaults, &text);
    buffer_fini(&value);
    buffer_fini(&defaults.routing);
    buffer_fini(&defaults.pipeline);
    buffer_fini(&text.index);
    buffer_fini(&text.id);
    buffer_fini(&text.routing);
    buffer_fini(&text.pipeline);
}

/* ---- mget ---- */

static void mget_error(const struct failure *failure, struct buffer *out)
{
    buffer_append_cstr(out, ",\"error\":{\"root_cause\":[");
    failure_append(failure, out);
    buffer_append_cstr(out, "],");
    size_t at = out->size;
    failure_append(failure, out);
    memmove(out->data + at, out->data + at + 1, out->size - at - 1); /* without its bracket */
    out->size--;
}

static void mget_one(struct call *call, struct span name, struct span id, struct span routing,
                     bool source)
{
    struct buffer *out = &call->answer->body;
    struct failure failure = {.shard = -1};
    struct model_index *index = index_find(call->cluster, name);
    if (index == NULL)
        index = alias_write_index(call->cluster, name, &failure);
    if (index == NULL && failure.status == 0)
        fail_no_index(&failure, name, "index_expression");
    if (index != NULL && index->closed) {
        fail(&failure, 400, "index_closed_exception", "closed");
        snprintf(failure.index, sizeof failure.index, "%s", index->name);
        memcpy(failure.index_uuid, index->uuid, UUID_SIZE);
    }
    if (index != NULL && alias_routing(index, name, &routing, &failure))
        routing_given(index, id, routing, &failure);
    buffer_append_cstr(out, "{\"_index\":");
    buffer_append_json_string(out,
                              index != NULL && failure.status == 0 ? span_cstr(index->name) : name);
    buffer_append_cstr(out, ",\"_id\":");
    buffer_append_json_string(out, id);
    if (failure.status != 0) {
        mget_error(&failure, out);
    } else {
        uint32_t number;
        struct model_doc *doc = shard_find(index_shard(index, id, routing, &number), id);
        if (doc != NULL && !doc->deleted)
            doc_append(doc, source && !index->source_disabled, out);
        else
            buffer_append_cstr(out, ",\"found\":false");
    }
    buffer_append_char(out, '}');
}

static void mget_docs(struct call *call, struct span docs, struct span index, bool source)
{
    struct json_walk walk;
    struct span doc, value;
    struct item_text text = {0};
    bool first = true;
    if (!json_enter(&walk, docs, '['))
        return;
    while (json_next_element(&walk, &doc)) {
        struct span name = index, routing = SPAN_NONE;
        bool wanted = source;
        if (!first)
            buffer_append_char(&call->answer->body, ',');
        first = false;
        if ((value = json_member(doc, SPAN("_index"))).size != 0)
            name = text_of(value, &text.index);
        if ((value = either(doc, "routing", "_routing")).size != 0)
            routing = text_of(value, &text.routing);
        if ((value = json_member(doc, SPAN("_source"))).size != 0)
            wanted = value.data[0] != 'f';
        mget_one(call, name, text_of(json_member(doc, SPAN("_id")), &text.id), routing, wanted);
    }
    buffer_fini(&text.index);
    buffer_fini(&text.id);
    buffer_fini(&text.routing);
}

void mget_call(struct call *call, struct span index)
{
    struct span body = call->request->body, ids = json_member(body, SPAN("ids")), id;
    struct buffer filter = {0}, text = {0};
    struct json_walk walk;
    bool first = true;
    bool source =
        !call_param(call, "_source", &filter) || !span_equal(buffer_span(&filter), SPAN("false"));
    buffer_append_cstr(&call->answer->body, "{\"docs\":[");
    mget_docs(call, json_member(body, SPAN("docs")), index, source);
    if (ids.size != 0 && json_enter(&walk, ids, '['))
        while (json_next_element(&walk, &id)) {
            if (!first)
                buffer_append_char(&call->answer->body, ',');
            first = false;
            mget_one(call, index, text_of(id, &text), SPAN_NONE, source);
        }
    buffer_append_cstr(&call->answer->body, "]}");
    call->answer->status = 200;
    buffer_fini(&filter);
    buffer_fini(&text);
}

/* ---- search ---- */

struct search {
    int64_t from, size, total, shown;
    bool version, numbers, source;
    int64_t above, up_to; /* a range of _seq_no */
    int64_t shard;        /* the only one; -1: all */
};

static int by_seq_no(const void *a, const void *b)
{
    const struct model_doc *x = *(struct model_doc *const *)a, *y = *(struct model_doc *const *)b;
    return (x->seq_no > y->seq_no) - (x->seq_no < y->seq_no);
}

static void search_hit(struct call *call, struct search *search, const struct model_index *index,
                       const struct model_doc *doc)
{
    struct buffer *out = &call->answer->body;
    if (search->total++ < search->from || search->shown >= search->size)
        return;
    if (search->shown++ != 0)
        buffer_append_char(out, ',');
    buffer_append_cstr(out, "{\"_index\":");
    buffer_append_json_string(out, span_cstr(index->name));
    buffer_append_cstr(out, ",\"_id\":");
    buffer_append_json_string(out, span_of(doc->id, doc->id_size));
    if (search->version)
        buffer_appendf(out, ",\"_version\":%" PRId64, doc->version);
    if (search->numbers)
        buffer_appendf(out, ",\"_seq_no\":%" PRId64 ",\"_primary_term\":%" PRIu64, doc->seq_no,
                       doc->term);
    buffer_append_cstr(out, ",\"_score\":1.0");
    if (doc->routing != NULL) {
        buffer_append_cstr(out, ",\"_routing\":");
        buffer_append_json_string(out, span_of(doc->routing, doc->routing_size));
    }
    if (search->source) {
        buffer_append_cstr(out, ",\"_source\":");
        buffer_append(out, doc->source, doc->source_size);
    }
    buffer_append_char(out, '}');
}

static void search_shard(struct call *call, struct search *search, const struct model_index *index,
                         const struct model_shard *shard)
{
    struct model_doc *doc, *next, **sorted = bytes_alloc((shard->live + 1) * sizeof *sorted);
    size_t count = 0;
    HASH_ITER(hh, shard->docs, doc, next)
    {
        if (!doc->deleted && doc->seq_no > search->above && doc->seq_no <= search->up_to)
            sorted[count++] = doc;
    }
    qsort(sorted, count, sizeof *sorted, by_seq_no);
    for (size_t i = 0; i < count; i++)
        search_hit(call, search, index, sorted[i]);
    free(sorted);
}

/* A scroll gives all hits on its first page and none on the second. */
static void search_answer(struct call *call, struct search *search, const struct index_list *list)
{
    struct buffer *out = &call->answer->body;
    struct buffer scroll = {0};
    if (call_param(call, "scroll", &scroll)) {
        search->size = INT64_MAX;
        buffer_append_cstr(out, "{\"_scroll_id\":\"end\",");
    } else {
        buffer_append_char(out, '{');
    }
    buffer_fini(&scroll);
    buffer_append_cstr(out,
                       "\"took\":1,\"timed_out\":false,\"_shards\":{\"total\":1,\"successful\":1,"
                       "\"skipped\":0,\"failed\":0},\"hits\":{\"max_score\":1.0,\"hits\":[");
    for (size_t i = 0; i < list->count; i++)
        for (uint32_t shard = 0; shard < list->list[i]->shard_count; shard++)
            if (search->shard < 0 || search->shard == shard)
                search_shard(call, search, list->list[i], &list->list[i]->shards[shard]);
    buffer_appendf(out, "],\"total\":{\"value\":%" PRId64 ",\"relation\":\"eq\"}}}", search->total);
}

/* The one query there is, {"range":{"_seq_no":{"gt":N,"lte":M}}}, and the shard that is asked. */
static void search_limits(struct call *call, struct search *search)
{
    struct buffer preference = {0};
    struct span range = json_path(call->request->body, "query/range/_seq_no");
    if (range.size != 0) {
        json_to_i64(json_member(range, SPAN("gt")), &search->above);
        json_to_i64(json_member(range, SPAN("lte")), &search->up_to);
    }
    if (call_param(call, "preference", &preference))
        (void)sscanf(buffer_cstr(&preference), "_shards:%" SCNd64, &search->shard);
    buffer_fini(&preference);
}

void search_call(struct call *call, struct span index, bool count)
{
    struct failure failure = {.shard = -1};
    struct index_list list = {0};
    struct span body = call->request->body;
    struct search search = {
        .size = 10, .source = true, .above = -1, .up_to = INT64_MAX, .shard = -1};
    struct span filter = json_member(body, SPAN("_source"));
    if (!indices_resolve(call->cluster, index, call_flag(call, "ignore_unavailable", false), true,
                         &list, &failure)) {
        answer_failure(call, &failure);
        return;
    }
    json_to_i64(json_member(body, SPAN("from")), &search.from);
    json_to_i64(json_member(body, SPAN("size")), &search.size);
    search_limits(call, &search);
    search.version = raw_is_true(json_member(body, SPAN("version")));
    search.numbers = raw_is_true(json_member(body, SPAN("seq_no_primary_term")));
    search.source = filter.size == 0 || filter.data[0] != 'f';
    call->answer->status = 200;
    if (!count) {
        search_answer(call, &search, &list);
    } else {
        size_t live = 0;
        for (size_t i = 0; i < list.count; i++)
            for (uint32_t shard = 0; shard < list.list[i]->shard_count; shard++)
                live += list.list[i]->shards[shard].live;
        buffer_appendf(&call->answer->body,
                       "{\"count\":%zu,\"_shards\":{\"total\":1,\"successful\":1,\"skipped\":0,"
                       "\"failed\":0}}",
                       live);
    }
    index_list_fini(&list);
}
