/* request.c - a write before the primary sees it: taken apart, so that its outcome can be known.
 *
 * Ids are given where the client gave none, updates are asked for the resulting source, and what
 * would hide the items of the answer (filter_path, format, pretty, _source filters) is taken out
 * and remembered for render.c. The document sources are never touched.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/json.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/shard.h"
#include "proxy/write.h"

#define FILTER_PATTERNS_MAX 100
/* Of one item of a bulk: the item, and its names in the arena. */
#define ITEM_MEMORY (sizeof(struct write_item) + 128)
#define USE_NAMES_SEARCHED 64

/* ---- small helpers ---- */

struct span write_decode(struct exchange *ex, struct span raw)
{
    if (!json_is_string(raw))
        return raw; /* a number: its text is the id */
    struct buffer text = {0};
    struct span out = SPAN_NONE;
    if (memchr(raw.data, '\\', raw.size) == NULL)
        return span_of(raw.data + 1, raw.size - 2);
    if (json_string_decode(raw, &text))
        out = arena_copy(&ex->arena, buffer_span(&text));
    buffer_fini(&text);
    return out;
}

struct span write_decode_segment(struct exchange *ex, struct span segment)
{
    struct buffer text = {0};
    struct span out = SPAN_NONE;
    if (http_percent_decode(segment, &text))
        out = arena_copy(&ex->arena, buffer_span(&text));
    buffer_fini(&text);
    return out;
}

/* The decoded value of a query parameter, SPAN_NONE when it is absent. */
static struct span parameter(struct exchange *ex, const char *name)
{
    struct buffer value = {0};
    struct span out = SPAN_NONE;
    if (http_query_get(ex->head.query, span_cstr(name), &value))
        out = arena_copy(&ex->arena, buffer_span(&value));
    buffer_fini(&value);
    return out;
}

static bool parameter_is_true(struct exchange *ex, const char *name)
{
    if (!http_query_has(ex->head.query, span_cstr(name)))
        return false;
    struct span value = parameter(ex, name);
    return value.size == 0 || !span_equal(value, SPAN("false"));
}

static bool external_version_type(struct span type)
{
    return span_starts(type, SPAN("external"));
}

struct write_item *request_add_item(struct exchange *ex)
{
    if (ex->item_count == ex->item_capacity) {
        ex->item_capacity = ex->item_capacity == 0 ? 1 : ex->item_capacity * 2;
        ex->items = bytes_realloc(ex->items, ex->item_capacity * sizeof *ex->items);
    }
    struct write_item *item = &ex->items[ex->item_count++];
    memset(item, 0, sizeof *item);
    return item;
}

static struct span make_id(struct exchange *ex)
{
    char *id = arena_take(&ex->arena, 20);
    auto_id(id, ex->core->id_unique, atomic_fetch_add(&ex->core->id_sequence, 1),
            ex->core->wall_us(ex->core) / 1000);
    return span_of(id, 20);
}

static bool refuse(struct exchange *ex, int status, const char *type, const char *text)
{
    reply_error(&ex->reply, status, type, "not-applied", "%s", text);
    return false;
}

/* ---- the body ---- */

static bool inflate_body(struct exchange *ex, struct buffer *out, int window_bits)
{
    z_stream z = {0};
    uint64_t limit = ex->core->settings->proxy_body_max;
    int result = Z_OK;
    if (inflateInit2(&z, window_bits) != Z_OK)
        return refuse(ex, 503, "tandem_busy", "no memory to decompress the body");
    z.next_in = (Bytef *)ex->body.data;
    z.avail_in = (uInt)ex->body.size;
    while (result != Z_STREAM_END || z.avail_in > 0) {
        if (result == Z_STREAM_END &&
            inflateReset(&z) != Z_OK) /* several members follow each other */
            break;
        buffer_reserve(out, 65536);
        z.next_out = (Bytef *)out->data + out->size;
        uInt room =
            (uInt)(out->capacity - out->size > 1u << 30 ? 1u << 30 : out->capacity - out->size);
        z.avail_out = room;
        result = inflate(&z, Z_NO_FLUSH);
        out->size += room - z.avail_out;
        if (!exchange_charge(ex, room - z.avail_out)) {
            inflateEnd(&z);
            return false;
        }
        if (out->size > limit || (result != Z_OK && result != Z_STREAM_END))
            break;
    }
    inflateEnd(&z);
    if (out->size > limit)
        return refuse(ex, 413, "tandem_too_large",
                      "the decompressed body is larger than proxy.body_max");
    if (result != Z_STREAM_END)
        return refuse(ex, 400, "tandem_bad_body",
                      "the compressed body is damaged or cut; nothing of it was applied");
    return true;
}

bool request_decode_body(struct exchange *ex)
{
    struct span coding;
    if (!http_field_get(&ex->head, SPAN("content-encoding"), &coding) ||
        span_equal_nocase(coding, SPAN("identity")))
        return true;
    bool gzip =
        span_equal_nocase(coding, SPAN("gzip")) || span_equal_nocase(coding, SPAN("x-gzip"));
    if (!gzip && !span_equal_nocase(coding, SPAN("deflate")))
        return refuse(ex, 415, "tandem_content_encoding",
                      "send the body as identity, gzip or deflate");
    struct buffer plain = {0};
    bool ok = inflate_body(ex, &plain, gzip ? 15 + 16 : 15);
    buffer_fini(&ex->body);
    ex->body = plain;
    return ok;
}

/* ---- names, lives and ids ---- */

void request_use_name(struct exchange *ex, struct span name)
{
    size_t count = ex->use.count;
    size_t from = count > USE_NAMES_SEARCHED ? count - USE_NAMES_SEARCHED : 0;
    for (size_t i = count; i > from; i--)
        if (span_equal(ex->use_names[i - 1], name))
            return;
    if (count == ex->use_capacity) {
        ex->use_capacity = count == 0 ? 4 : count * 2;
        struct span *grown = arena_take(&ex->arena, ex->use_capacity * sizeof *grown);
        if (count != 0)
            memcpy(grown, ex->use_names, count * sizeof *grown);
        ex->use_names = grown;
    }
    /* A copy: the name may stand in a catalog that is given back while the use goes on. */
    ex->use_names[ex->use.count++] = arena_copy(&ex->arena, name);
}

/* Before it is forwarded: an update of the document may be answered before this write is. */
void request_note_routed(struct exchange *ex, const struct write_item *item)
{
    if ((!item->routed && item->alias_routing.size == 0) || item->op == INTENT_DELETE)
        return;
    if (item->index != NULL)
        atomic_store(&item->index->flags->routed, true);
    else
        atomic_store(&ex->core->routed_unknown_us, ex->core->now_us(ex->core));
}

/* Finds the life behind ITEM's name; false when such a write is refused. PREVIOUS: an item of the
 * same request, or NULL. */
static bool resolve(struct exchange *ex, struct write_item *item, const struct write_item *previous)
{
    if (previous != NULL && span_equal(previous->name, item->name)) {
        item->index = previous->index;
        item->alias_routing = previous->alias_routing;
        item->unreplicated = previous->unreplicated;
        request_note_routed(ex, item);
        return true;
    }
    const char *alias_routing;
    item->index = catalog_write_target(ex->catalog, item->name, &alias_routing);
    item->alias_routing = arena_copy(&ex->arena, span_cstr(alias_routing));
    request_note_routed(ex, item);
    item->unreplicated =
        core_excludes(ex->core, item->name) ||
        (item->index != NULL && core_excludes(ex->core, span_cstr(item->index->name)));
    request_use_name(ex, item->name);
    if (item->index != NULL)
        request_use_name(ex, span_cstr(item->index->name));
    return true;
}

static bool may_inject(const struct write_item *item)
{
    return !item->unreplicated && !item->request_pipeline &&
           (item->index == NULL || !item->index->no_id_injection);
}

/* ---- what can't be replicated from engines before 6.0 ---- */

/* The engines since know one type in an index, and one document of an id. False: refused. */
static bool type_fits(struct exchange *ex, const struct write_item *item)
{
    const char *type = item->index == NULL ? NULL : item->index->type;
    if (type == NULL || item->unreplicated || item->type.size == 0 ||
        span_equal(item->type, span_cstr(type)))
        return true;
    reply_error(
        &ex->reply, 400, "tandem_types", "not-applied",
        strchr(type, ',') == NULL
            ? "index %s has documents of the type %s, and a second type can't be replicated: "
              "write %.*s to an index of its own, or put the index into replicate.exclude"
            : "index %s has documents of the types %s, and only one can be replicated: give "
              "%.*s an index of its own, or put the index into replicate.exclude",
        item->index->name, type, (int)item->type.size, item->type.data);
    return false;
}

static bool refuse_force(struct exchange *ex)
{
    return refuse(ex, 400, "tandem_version_force",
                  "version_type=force may set a version below the one that is there, and a standby "
                  "would keep the newer: use external_gte");
}

/* ---- what the client asked `_source` to be, as a filter_path ---- */

static void append_names(struct buffer *out, struct span value, const char *prefix)
{
    struct json_walk walk;
    struct span element;
    struct buffer text = {0};
    if (json_is_string(value)) {
        (void)json_string_decode(value, &text);
        buffer_appendf(out, "%s%s%s", out->size != 0 ? "," : "", prefix, buffer_cstr(&text));
    } else if (value.size != 0 && value.data[0] == '[' && json_enter(&walk, value, '[')) {
        while (json_next_element(&walk, &element))
            append_names(out, element, prefix);
    }
    buffer_fini(&text);
}

/* Notes what a raw JSON `_source` asks for: true, false, names, or includes and excludes. */
static void want_source(struct exchange *ex, struct write_item *item, struct span value)
{
    struct buffer filter = {0};
    item->get_added = value.size == 0 || span_equal(value, SPAN("false"));
    item->get_filter = SPAN_NONE;
    if (item->get_added || span_equal(value, SPAN("true")))
        return;
    if (value.data[0] == '{') {
        append_names(&filter, json_member(value, SPAN("includes")), "");
        append_names(&filter, json_member(value, SPAN("include")), "");
        append_names(&filter, json_member(value, SPAN("excludes")), "-");
        append_names(&filter, json_member(value, SPAN("exclude")), "-");
    } else {
        append_names(&filter, value, "");
    }
    item->get_filter = arena_copy(&ex->arena, buffer_span(&filter));
    buffer_fini(&filter);
}

/* The same from the URL, as a raw JSON value in the arena; SPAN_NONE when the URL says nothing. */
static struct span url_source(struct exchange *ex)
{
    struct span source = parameter(ex, "_source");
    struct span includes = parameter(ex, "_source_includes");
    struct span excludes = parameter(ex, "_source_excludes");
    struct buffer json = {0};
    if (includes.size != 0 || excludes.size != 0) {
        buffer_append_cstr(&json, "{\"includes\":");
        buffer_append_json_string(&json, includes);
        buffer_append_cstr(&json, ",\"excludes\":");
        buffer_append_json_string(&json, excludes);
        buffer_append_char(&json, '}');
    } else if (source.data != NULL) {
        if (source.size == 0 || span_equal(source, SPAN("true")))
            buffer_append_cstr(&json, "true");
        else if (span_equal(source, SPAN("false")))
            buffer_append_cstr(&json, "false");
        else
            buffer_append_json_string(&json, source);
    }
    struct span out = json.size == 0 ? SPAN_NONE : arena_copy(&ex->arena, buffer_span(&json));
    buffer_fini(&json);
    return out;
}

/* ---- target and fields ---- */

static bool listed(const char *list, struct span name)
{
    char padded[64];
    if (name.size + 3 > sizeof padded)
        return false;
    int size = snprintf(padded, sizeof padded, " %.*s ", (int)name.size, name.data);
    return size > 0 && strstr(list, padded) != NULL;
}

/* PATH and the query without the parameters in DROP; ADD (or NULL) is one more parameter. */
static void build_target(struct exchange *ex, struct span path, const char *drop, const char *add)
{
    struct buffer *target = &ex->request.target;
    struct span rest = ex->head.query, name, value;
    bool has_value;
    char separator = '?';
    buffer_append_span(target, path);
    while (http_query_next(&rest, &name, &value, &has_value)) {
        struct span decoded = write_decode_segment(ex, name);
        if (name.size == 0 || listed(drop, decoded))
            continue;
        buffer_append_char(target, separator);
        separator = '&';
        buffer_append_span(target, name);
        if (has_value) {
            buffer_append_char(target, '=');
            buffer_append_span(target, value);
        }
    }
    if (add != NULL) {
        buffer_append_char(target, separator);
        buffer_append_cstr(target, add);
    }
}

#define DROP_RENDERING " filter_path pretty format "
#define DROP_SOURCE                                                                                \
    DROP_RENDERING                                                                                 \
    "_source _source_includes _source_excludes _source_include _source_exclude "                   \
    "_source_exclude_vectors fields "

static void finish_request(struct exchange *ex, struct span method)
{
    ex->request.method = method;
    http_append_fields(&ex->request.fields, &ex->head, " host accept-encoding content-encoding ");
    ex->request.body = ex->new_body.size != 0 ? buffer_span(&ex->new_body) : buffer_span(&ex->body);
    ex->request.has_body = ex->head.framing != HTTP_NO_BODY;
}

/* ---- single documents ---- */

/* The update's body with `_source: true`: in the place of the client's, or behind all else, so that
 * line and column of an error are right. */
static void rewrite_update_body(struct exchange *ex)
{
    struct json_walk walk;
    struct span key, value, body = buffer_span(&ex->body);
    struct buffer *out = &ex->new_body;
    const char *copied = body.data, *end = body.data + body.size;
    bool found = false, empty = true;
    if (!json_valid(body) || !json_enter(&walk, body, '{'))
        return; /* the primary says what is wrong with it */
    while (json_next_member(&walk, &key, &value)) {
        empty = false;
        if (!span_equal(key, SPAN("_source")))
            continue;
        buffer_append(out, copied, (size_t)(value.data - copied));
        buffer_append_cstr(out, "true");
        copied = value.data + value.size;
        found = true;
    }
    while (!found && *--end != '}')
        ;
    buffer_append(out, copied, (size_t)(end - copied));
    if (!found)
        buffer_append_cstr(out, empty ? "\"_source\":true}" : ",\"_source\":true}");
}

/* Before 6.0 a client may ask for stored `fields` of what became of a document. */
static bool asks_fields(const struct exchange *ex, struct span object)
{
    return !core_has_numbers(ex->core) && (http_query_has(ex->head.query, SPAN("fields")) ||
                                           json_member(object, SPAN("fields")).size != 0);
}

/* 2.4 knows no other way to ask for the source. */
static bool source_is_a_field(const struct exchange *ex)
{
    return !core_has_numbers(ex->core) && ex->core->engine.major < 5;
}

static void prepare_update(struct exchange *ex, struct write_item *item)
{
    struct span body_source = SPAN_NONE, asked = url_source(ex);
    if (!ex->json_body || asks_fields(ex, buffer_span(&ex->body))) {
        build_target(ex, ex->head.path, DROP_RENDERING, NULL);
        return; /* the body can't be read here, or asks for other things: the row is captured */
    }
    if (source_is_a_field(ex)) {
        item->get_added = true;
        build_target(ex, ex->head.path, DROP_RENDERING, "fields=_source");
        return;
    }
    body_source = json_member(buffer_span(&ex->body), SPAN("_source"));
    want_source(ex, item, body_source.size != 0 ? body_source : asked);
    rewrite_update_body(ex);
    build_target(ex, ex->head.path, DROP_SOURCE, NULL);
}

/* POST /{index}/_doc becomes PUT /{index}/_doc/{id}?op_type=create. */
static struct span inject_id(struct exchange *ex, struct write_item *item)
{
    struct buffer path = {0};
    struct span trimmed = ex->head.path;
    item->id = make_id(ex);
    item->id_injected = true;
    while (trimmed.size > 1 && trimmed.data[trimmed.size - 1] == '/')
        trimmed.size--;
    buffer_append_span(&path, trimmed);
    buffer_append_char(&path, '/');
    buffer_append_span(&path, item->id);
    struct span out = arena_copy(&ex->arena, buffer_span(&path));
    buffer_fini(&path);
    return out;
}

static bool prepare_single(struct exchange *ex)
{
    struct write_item *item = request_add_item(ex);
    struct span method = ex->head.method, path = ex->head.path;
    bool create =
        ex->op.kind == OP_KIND_CREATE || span_equal(parameter(ex, "op_type"), SPAN("create"));
    struct span routing = parameter(ex, "routing"), pipeline = parameter(ex, "pipeline");
    if (routing.data == NULL)
        routing = parameter(ex, "parent");

    item->op = ex->op.kind == OP_KIND_DELETE   ? INTENT_DELETE
               : ex->op.kind == OP_KIND_UPDATE ? INTENT_UPDATE
               : create                        ? INTENT_CREATE
                                               : INTENT_INDEX;
    item->name = write_decode_segment(ex, ex->op.index);
    item->type = write_decode_segment(ex, ex->op.type);
    item->id = write_decode_segment(ex, ex->op.id);
    if (item->name.size == 0 || (ex->op.id.size != 0 && item->id.size == 0))
        return refuse(ex, 400, "tandem_bad_target",
                      "the path has a percent-encoding that is not valid");
    item->routed = routing.size != 0;
    item->routing = routing;
    item->conditional = create || http_query_has(ex->head.query, SPAN("if_seq_no"));
    item->external_version = external_version_type(parameter(ex, "version_type"));
    item->request_pipeline = pipeline.size != 0 && !span_equal(pipeline, SPAN("_none"));
    item->source = buffer_span(&ex->body);
    if (!resolve(ex, item, NULL) || !type_fits(ex, item))
        return false;
    if (!item->unreplicated && span_equal(parameter(ex, "version_type"), SPAN("force")))
        return refuse_force(ex);
    if (item->op == INTENT_UPDATE) {
        prepare_update(ex, item);
    } else if (item->id.size == 0 && item->op != INTENT_DELETE && may_inject(item)) {
        path = inject_id(ex, item);
        method = SPAN("PUT");
        build_target(ex, path, DROP_RENDERING "op_type ", "op_type=create");
    } else {
        build_target(ex, path, DROP_RENDERING, NULL);
    }
    finish_request(ex, method);
    return true;
}

/* ---- bulks ---- */

struct bulk_defaults {
    struct span name, type, routing, source;
    bool pipeline;
};

/* Appends the members of METADATA but `_id`, `op_type` and `_source`. */
static void append_metadata(struct buffer *out, struct span metadata, bool first, bool keep_id)
{
    struct json_walk walk;
    struct span key, value;
    if (!json_enter(&walk, metadata, '{'))
        return;
    while (json_next_member(&walk, &key, &value)) {
        bool dropped =
            span_equal(key, SPAN("_source")) ||
            (!keep_id && (span_equal(key, SPAN("_id")) || span_equal(key, SPAN("op_type"))));
        if (dropped)
            continue;
        buffer_appendf(out, "%s\"", first ? "" : ",");
        first = false;
        buffer_append_span(out, key);
        buffer_append_cstr(out, "\":");
        buffer_append_span(out, value);
    }
}

/* Replaces the action line of BI in what is forwarded; *COPIED: how far the body was taken over. */
static void rewrite_line(struct exchange *ex, const struct bulk_item *bi,
                         const struct write_item *item, const char **copied)
{
    struct buffer *out = &ex->new_body;
    buffer_append(out, *copied, (size_t)(bi->line.data - *copied));
    if (item->id_injected) {
        buffer_append_cstr(out, "{\"create\":{\"_id\":");
        buffer_append_json_string(out, item->id);
        append_metadata(out, bi->metadata, false, false);
    } else {
        buffer_appendf(out, "{\"%s\":{", bulk_action_name(bi->action));
        append_metadata(out, bi->metadata, true, true);
    }
    buffer_append_cstr(out, "}}");
    *copied = bi->line.data + bi->line.size;
}

static const enum intent_op bulk_ops[] = {[BULK_INDEX] = INTENT_INDEX,
                                          [BULK_CREATE] = INTENT_CREATE,
                                          [BULK_UPDATE] = INTENT_UPDATE,
                                          [BULK_DELETE] = INTENT_DELETE};

static void read_action(struct exchange *ex, const struct bulk_item *bi,
                        const struct bulk_defaults *d, struct write_item *item)
{
    struct span pipeline = bi->pipeline.size != 0 ? write_decode(ex, bi->pipeline) : SPAN_NONE;
    bool has_routing = bi->routing.size != 0 && !json_is_null(bi->routing);
    item->op = bulk_ops[bi->action];
    if (bi->action == BULK_INDEX && bi->op_type.size != 0 &&
        json_string_is(bi->op_type, SPAN("create")))
        item->op = INTENT_CREATE;
    item->name =
        bi->index.size != 0 && !json_is_null(bi->index) ? write_decode(ex, bi->index) : d->name;
    item->type = bi->type.size != 0 ? write_decode(ex, bi->type) : d->type;
    item->id_said = bi->id.size != 0 && !json_is_null(bi->id);
    item->id = item->id_said ? write_decode(ex, bi->id) : SPAN_NONE;
    item->routing = has_routing ? write_decode(ex, bi->routing) : d->routing;
    item->routed = item->routing.size != 0;
    item->conditional = item->op == INTENT_CREATE || bi->has_condition;
    item->external_version = bi->has_external_version;
    item->request_pipeline =
        pipeline.size != 0 ? !span_equal(pipeline, SPAN("_none")) : d->pipeline;
    item->source = bi->source;
}

/* True when the action line has to be rewritten. */
static bool prepare_bulk_update(struct exchange *ex, const struct bulk_item *bi,
                                const struct bulk_defaults *d, struct write_item *item)
{
    struct span asked = bi->source_filter.size != 0 ? bi->source_filter : d->source;
    if (asks_fields(ex, bi->source) || asks_fields(ex, bi->metadata))
        return false; /* the row is captured */
    if (source_is_a_field(ex)) {
        item->get_added = true;
        return false;
    }
    if (asked.size == 0)
        asked = json_member(bi->source, SPAN("_source"));
    want_source(ex, item, asked);
    return bi->source_filter.size != 0;
}

static void build_bulk_target(struct exchange *ex, bool updates)
{
    if (!updates || asks_fields(ex, SPAN("{}")))
        build_target(ex, ex->head.path, DROP_RENDERING, NULL);
    else if (source_is_a_field(ex))
        build_target(ex, ex->head.path, DROP_RENDERING, "fields=_source");
    else
        build_target(ex, ex->head.path, DROP_SOURCE, "_source=true");
}

static bool prepare_item(struct exchange *ex, const struct bulk_item *bi,
                         const struct bulk_defaults *d, const char **copied, bool *updates)
{
    const struct write_item *previous = NULL;
    if (ex->item_count == ex->item_capacity &&
        !exchange_charge(ex, (ex->item_capacity + 1) * ITEM_MEMORY))
        return false;
    struct write_item *item = request_add_item(ex);
    if (ex->item_count > 1)
        previous = item - 1;
    read_action(ex, bi, d, item);
    if (item->name.size == 0)
        return refuse(ex, 400, "action_request_validation_exception",
                      "Validation Failed: an action names no index, and the path names none;");
    /* An empty one is refused by every engine: the item of an index or a create, else the bulk. */
    if (item->id_said && item->id.data == NULL)
        return refuse(ex, 400, "illegal_argument_exception",
                      "an `_id` of the bulk holds half a surrogate pair");
    if (!resolve(ex, item, previous) || !type_fits(ex, item))
        return false;
    if (!item->unreplicated && bi->forces_version)
        return refuse_force(ex);
    bool rewrite = false;
    if (bi->action == BULK_UPDATE) {
        rewrite = prepare_bulk_update(ex, bi, d, item);
        *updates = true;
    } else if (!item->id_said && bi->action != BULK_DELETE && may_inject(item)) {
        item->id = make_id(ex);
        item->id_injected = true;
        /* 2.4 itself makes a create of it, and says so. */
        item->action_was_index = item->op == INTENT_INDEX && !source_is_a_field(ex);
        rewrite = true;
    }
    if (rewrite && ex->new_body.size == 0 && !exchange_charge(ex, ex->body.size))
        return false;
    if (rewrite)
        rewrite_line(ex, bi, item, copied);
    return true;
}

static bool prepare_bulk(struct exchange *ex)
{
    struct bulk_walk walk;
    struct bulk_item bi;
    struct bulk_defaults d = {.name = write_decode_segment(ex, ex->op.index),
                              .type = write_decode_segment(ex, ex->op.type),
                              .routing = parameter(ex, "routing"),
                              .source = url_source(ex)};
    struct span pipeline = parameter(ex, "pipeline");
    const char *copied = ex->body.data;
    bool updates = false;
    enum status status;

    d.pipeline = pipeline.size != 0 && !span_equal(pipeline, SPAN("_none"));
    if (!ex->json_body)
        return refuse(ex, 415, "tandem_content_type",
                      "a bulk must be JSON (application/x-ndjson or application/json)");
    bulk_walk_init(&walk, buffer_span(&ex->body));
    while ((status = bulk_next(&walk, &bi)) == STATUS_OK)
        if (!prepare_item(ex, &bi, &d, &copied, &updates))
            return false;
    if (status == STATUS_BAD_INPUT) {
        reply_error(&ex->reply, 400, "illegal_argument_exception", "not-applied",
                    "Malformed action/metadata line [%zu], %s; nothing of it was applied",
                    walk.why_line, walk.why);
        return false;
    }
    if (ex->new_body.size != 0)
        buffer_append(&ex->new_body, copied, (size_t)(ex->body.data + ex->body.size - copied));
    build_bulk_target(ex, updates);
    finish_request(ex, ex->head.method);
    return true;
}

/* ---- Tandem's own calls for it ---- */

void request_begin_own(struct exchange *ex, const char *method)
{
    struct primary_request *request = &ex->capture_request;
    buffer_clear(&request->target);
    buffer_clear(&request->fields);
    buffer_clear(&ex->capture_body);
    buffer_append_cstr(&request->fields,
                       "Content-Type: application/json\r\nAccept: application/json\r\n");
    request->method = span_cstr(method);
    request->own_account = true;
}

void request_end_own(struct exchange *ex)
{
    ex->capture_request.body = buffer_span(&ex->capture_body);
    ex->capture_request.has_body = ex->capture_body.size != 0;
}

/* ---- a write ---- */

static bool contains_nocase(struct span text, const char *word)
{
    size_t size = strlen(word);
    for (size_t at = 0; at + size <= text.size; at++)
        if (strncasecmp(text.data + at, word, size) == 0)
            return true;
    return false;
}

/* True when the body is read as JSON: what is known to be another format is captured instead. The
 * engines read media types without regard to case. */
static bool is_json_type(struct span type)
{
    return type.size == 0 || !(contains_nocase(type, "cbor") || contains_nocase(type, "smile") ||
                               contains_nocase(type, "yaml"));
}

static bool accepts_json(struct exchange *ex)
{
    struct span accept, format = parameter(ex, "format");
    if (format.size != 0 && !span_equal(format, SPAN("json")))
        return false;
    if (format.size != 0 || !http_field_get(&ex->head, SPAN("accept"), &accept) || accept.size == 0)
        return ex->json_body || format.size != 0 || ex->op.kind == OP_KIND_DELETE;
    return span_matches(accept, SPAN("*json*")) || memchr(accept.data, '*', accept.size) != NULL;
}

/* Each pattern is held against each name of the answer, by a thread that others wait for. */
static bool too_many_patterns(struct span filter_path)
{
    size_t commas = 0;
    for (size_t i = 0; i < filter_path.size; i++)
        commas += filter_path.data[i] == ',';
    return commas >= FILTER_PATTERNS_MAX;
}

/* Notes how the answer is to look. */
static bool read_rendering(struct exchange *ex)
{
    if (!http_field_get(&ex->head, SPAN("content-type"), &ex->content_type))
        ex->content_type = SPAN_NONE;
    ex->json_body = is_json_type(ex->content_type);
    ex->filter_path = parameter(ex, "filter_path");
    ex->pretty = parameter_is_true(ex, "pretty");
    if (ex->op.kind == OP_KIND_BULK && !ex->json_body)
        return refuse(ex, 415, "tandem_content_type",
                      "a bulk must be JSON (application/x-ndjson or application/json)");
    if (too_many_patterns(ex->filter_path))
        return refuse(ex, 400, "illegal_argument_exception",
                      "filter_path has more than 100 patterns");
    if (!accepts_json(ex))
        return refuse(ex, 406, "tandem_not_acceptable",
                      "answers to writes are JSON: accept application/json");
    return true;
}

bool request_prepare_by_query(struct exchange *ex)
{
    if (!read_rendering(ex))
        return false;
    if (!ex->json_body)
        return refuse(ex, 415, "tandem_content_type",
                      "a write by query must be JSON (application/json)");
    build_target(ex, ex->head.path, DROP_RENDERING, NULL);
    finish_request(ex, ex->head.method);
    return true;
}

bool request_keeps_client_versions(const struct exchange *ex, const struct write_item *item)
{
    if (item->unreplicated || item->id.size == 0)
        return false;
    return item->index != NULL ? item->index->client_versions
                               : core_keeps_client_versions(ex->core, item->name);
}

bool request_prepare(struct exchange *ex)
{
    if (!read_rendering(ex))
        return false;
    bool prepared = ex->op.kind == OP_KIND_BULK ? prepare_bulk(ex) : prepare_single(ex);
    for (size_t i = 0; prepared && i < ex->item_count; i++)
        if (ex->items[i].external_version && !request_keeps_client_versions(ex, &ex->items[i]) &&
            atomic_fetch_add(&ex->core->external_version_writes, 1) == 0)
            log_warn("proxy",
                     "clients send external versions (first to index %.*s): they are replicated "
                     "like all others, but after a switch this index shows Tandem's versions, and "
                     "theirs are refused; see replicate.client_versions",
                     (int)ex->items[i].name.size, ex->items[i].name.data);
    return prepared;
}

/* ---- changes of definitions ---- */

bool request_prepare_metadata(struct exchange *ex)
{
    ex->filter_path = SPAN_NONE;
    build_target(ex, ex->head.path, "", NULL);
    finish_request(ex, ex->head.method);
    ex->request.patient = strcmp(ex->op.api, "snapshot.restore") == 0; /* it may be waited for */
    return true;
}
