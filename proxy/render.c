/* render.c - the answer the client asked for, from the answer the primary gave.
 *
 * The primary's answer goes through byte for byte where the client could tell, but for what
 * request.c asked for on its own: the resulting source of updates, create in place of index,
 * unfiltered items.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json.h"
#include "es/filter_path.h"
#include "proxy/write.h"

#define UNKNOWN_ITEMS_LISTED 200

void reply_error(struct reply *reply, int status, const char *type, const char *outcome,
                 const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);

    struct buffer *body = &reply->body;
    buffer_clear(body);
    buffer_clear(&reply->fields);
    reply->status = status;
    for (int i = 0; i < 2; i++) { /* the engines' form: the cause stands twice */
        buffer_append_cstr(body,
                           i == 0 ? "{\"error\":{\"root_cause\":[{\"type\":" : "}],\"type\":");
        buffer_append_json_string(body, span_cstr(type));
        buffer_append_cstr(body, ",\"reason\":");
        buffer_append_json_string(body, span_cstr(text));
    }
    buffer_appendf(body, "},\"status\":%d}", status);
    buffer_append_cstr(&reply->fields, "Content-Type: application/json; charset=UTF-8\r\n");
    if (outcome != NULL)
        buffer_appendf(&reply->fields, "X-Tandem-Outcome: %s\r\n", outcome);
    if (status == 429 || status == 503)
        buffer_append_cstr(&reply->fields, "Retry-After: 1\r\n");
}

/* ---- taking out what we asked for ---- */

/* Appends the raw `get` object as the client wanted to see it. */
static void append_get(struct buffer *out, const struct write_item *item)
{
    struct json_walk walk;
    struct span key, value;
    bool first = true;
    if (item->get_filter.size == 0 || !json_enter(&walk, item->answer.get, '{')) {
        buffer_append_span(out, item->answer.get);
        return;
    }
    buffer_append_char(out, '{');
    while (json_next_member(&walk, &key, &value)) {
        buffer_append_cstr(out, first ? "\"" : ",\"");
        first = false;
        buffer_append_span(out, key);
        buffer_append_cstr(out, "\":");
        if (!span_equal(key, SPAN("_source")) ||
            filter_path_apply(value, item->get_filter, out) != STATUS_OK)
            buffer_append_span(out, value);
    }
    buffer_append_char(out, '}');
}

/* `get` is there because we asked for the source; that nothing was found the engine shows in any
 * case. */
static bool get_is_ours(const struct write_item *item)
{
    return item->get_added &&
           (item->answer.get_source.size != 0 || item->answer.result != RESULT_NOOP);
}

/* Appends the object VALUE of ITEM's answer without what we added. */
static void append_item_object(struct buffer *out, const struct write_item *item,
                               struct span object)
{
    struct json_walk walk;
    struct span key, value;
    bool first = true;
    if (!json_enter(&walk, object, '{')) {
        buffer_append_span(out, object);
        return;
    }
    buffer_append_char(out, '{');
    while (json_next_member(&walk, &key, &value)) {
        bool get = span_equal(key, SPAN("get"));
        if (get && get_is_ours(item))
            continue;
        buffer_append_cstr(out, first ? "\"" : ",\"");
        first = false;
        buffer_append_span(out, key);
        buffer_append_cstr(out, "\":");
        if (get)
            append_get(out, item);
        else
            buffer_append_span(out, value);
    }
    buffer_append_char(out, '}');
}

/* The success that the cluster's first try had, for an id of ours that came back as a conflict. */
static void append_first_try(struct buffer *out, const struct write_item *item, bool bulk)
{
    buffer_append_cstr(out, "{\"_index\":");
    buffer_append_json_string(out, span_cstr(item->hit->name));
    buffer_append_cstr(out, ",\"_id\":");
    buffer_append_json_string(out, item->id);
    buffer_appendf(out,
                   ",\"_version\":%" PRId64
                   ",\"result\":\"created\",\"_shards\":{\"total\":1,\"successful\":1,"
                   "\"failed\":0},\"_seq_no\":%" PRId64 ",\"_primary_term\":%" PRIu64 "%s}",
                   item->captured.version, item->captured.seq_no, item->captured.term,
                   bulk ? ",\"status\":201" : "");
}

static bool is_first_try(const struct write_item *item)
{
    return item->id_injected && item->answer.status == 409 && item->outcome == OUTCOME_APPLIED;
}

static bool item_is_untouched(const struct write_item *item)
{
    return !item->action_was_index && !is_first_try(item) &&
           (item->answer.get.size == 0 || (!get_is_ours(item) && item->get_filter.size == 0));
}

static void append_bulk_item(struct buffer *out, const struct write_item *item)
{
    struct json_walk walk;
    struct span key, value;
    if (item_is_untouched(item) || !json_enter(&walk, item->answer.raw, '{') ||
        !json_next_member(&walk, &key, &value)) {
        buffer_append_span(out, item->answer.raw);
        return;
    }
    buffer_append_cstr(out, "{\"");
    buffer_append_span(out, item->action_was_index ? SPAN("index") : key);
    buffer_append_cstr(out, "\":");
    if (is_first_try(item))
        append_first_try(out, item, true);
    else
        append_item_object(out, item, value);
    buffer_append_char(out, '}');
}

static bool has_errors(const struct exchange *ex)
{
    for (size_t i = 0; i < ex->item_count; i++)
        if (ex->items[i].answer.error.size != 0 && !is_first_try(&ex->items[i]))
            return true;
    return false;
}

static void render_bulk(struct exchange *ex, struct buffer *out)
{
    struct json_walk walk;
    struct span key, value;
    bool first = true;
    if (!json_enter(&walk, buffer_span(&ex->answer.body), '{'))
        return;
    buffer_append_char(out, '{');
    while (json_next_member(&walk, &key, &value)) {
        buffer_append_cstr(out, first ? "\"" : ",\"");
        first = false;
        buffer_append_span(out, key);
        buffer_append_cstr(out, "\":");
        if (span_equal(key, SPAN("errors"))) {
            buffer_append_cstr(out, has_errors(ex) ? "true" : "false");
        } else if (span_equal(key, SPAN("items"))) {
            for (size_t i = 0; i < ex->item_count; i++) {
                buffer_append_char(out, i == 0 ? '[' : ',');
                append_bulk_item(out, &ex->items[i]);
            }
            buffer_append_cstr(out, ex->item_count == 0 ? "[]" : "]");
        } else {
            buffer_append_span(out, value);
        }
    }
    buffer_append_char(out, '}');
}

/* True when something of the answer's body must change before the client sees it. */
static bool body_is_touched(const struct exchange *ex)
{
    if (ex->op.class != OP_WRITE || (ex->op.kind == OP_KIND_BULK && ex->answer.head.status >= 300))
        return false;
    for (size_t i = 0; i < ex->item_count; i++)
        if (!item_is_untouched(&ex->items[i]))
            return true;
    return false;
}

static void render_body(struct exchange *ex)
{
    struct buffer *body = &ex->reply.body;
    buffer_clear(body);
    if (!body_is_touched(ex)) {
        struct buffer whole = ex->answer.body; /* moves; spans into it stay valid */
        ex->answer.body = (struct buffer){0};
        buffer_fini(body);
        *body = whole;
    } else if (ex->op.kind == OP_KIND_BULK) {
        render_bulk(ex, body);
    } else if (is_first_try(&ex->items[0])) {
        append_first_try(body, &ex->items[0], false);
    } else {
        append_item_object(body, &ex->items[0], buffer_span(&ex->answer.body));
    }
    bool error = ex->answer.head.status >= 400; /* the engines never filter errors */
    if (ex->filter_path.size != 0 && !error) {
        struct buffer filtered = {0};
        if (filter_path_apply(buffer_span(body), ex->filter_path, &filtered) == STATUS_OK) {
            buffer_fini(body);
            *body = filtered;
        }
    }
    if (ex->pretty) {
        struct buffer pretty = {0};
        if (json_pretty(buffer_span(body), &pretty) == STATUS_OK) {
            buffer_fini(body);
            *body = pretty;
        }
    }
}

void render_reply(struct exchange *ex)
{
    bool first_try = ex->op.class == OP_WRITE && ex->op.kind != OP_KIND_BULK &&
                     ex->item_count == 1 && is_first_try(&ex->items[0]);
    ex->reply.status = first_try ? 201 : ex->answer.head.status;
    buffer_clear(&ex->reply.fields);
    if (ex->answer.head.status != 0)
        http_append_fields(&ex->reply.fields, &ex->answer.head,
                           ex->request.opaque_added ? " x-opaque-id " : NULL);
    render_body(ex);
}

static void list_unknown_items(struct exchange *ex)
{
    size_t listed = 0;
    for (size_t i = 0; i < ex->item_count && listed < UNKNOWN_ITEMS_LISTED; i++) {
        enum outcome outcome = ex->items[i].outcome;
        if (ex->items[i].unreplicated ||
            (outcome != OUTCOME_UNKNOWN && outcome != OUTCOME_CONFLICT))
            continue;
        buffer_appendf(&ex->reply.fields, "%s%zu", listed++ == 0 ? "X-Tandem-Unknown-Items: " : ",",
                       i);
    }
    if (listed != 0)
        buffer_append_cstr(&ex->reply.fields, "\r\n");
}

void render_promise(struct exchange *ex, const char *outcome)
{
    struct buffer *fields = &ex->reply.fields;
    buffer_append_cstr(fields, "X-Tandem-Outcome: ");
    buffer_append_cstr(fields, outcome);
    buffer_append_cstr(fields, "\r\n");
    if (ex->commit.last_seq != 0) {
        buffer_append_cstr(fields, "X-Tandem-Seq: ");
        buffer_append_cstr(fields, ex->core->journal_text);
        buffer_append_char(fields, ':');
        buffer_append_number(fields, ex->commit.last_seq);
        buffer_append_cstr(fields, "\r\n");
    }
    if ((ex->unknown || ex->conflicts != 0) && ex->op.kind == OP_KIND_BULK)
        list_unknown_items(ex);
}
