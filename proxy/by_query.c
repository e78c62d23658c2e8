/* by_query.c - a write by query before the primary sees it, and its answer: _delete_by_query,
 * _update_by_query, _reindex.
 *
 * The answer says how many documents were written, not which. So before it is forwarded the
 * highest number of each shard is read where it may write; sweep.c looks at the numbers above them
 * afterwards. A document that was deleted is not found by its number. Where documents may be
 * deleted, the ids that the query finds are noted first.
 *
 *     COUNT -> REFRESH -> FIRST_PAGE -> NEXT_PAGE* -> CLEAR -> READY
 *
 * From before the count on, what others write is noted as well (sweep_notes.c): the query may find
 * that too.
 *
 * What must hold:
 *   - What is to be swept is durable before the first byte goes to the primary.
 *   - The ids noted are all that it may delete, or it is said that they are not.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/by_query.h"

#include <stdlib.h>

#include "base/failpoint.h"
#include "base/json_tree.h"
#include "conf/settings.h"
#include "es/index_state.h"
#include "es/shard.h"

#define PAGE_SIZE 5000
#define SCROLL_KEPT "2m"

enum find_step {
    FIND_COUNT,
    FIND_REFRESH,
    FIND_FIRST_PAGE,
    FIND_NEXT_PAGE,
    FIND_CLEAR,
    FIND_READY
};

struct by_query {
    struct sweep_wait wait; /* first */
    struct exchange *ex;
    json_t *plan;              /* owned; see sweep.h */
    json_t *body;              /* owned; NULL: none */
    struct sweep_notes *notes; /* owned; NULL where nothing can be deleted */
    enum find_step step;
    bool wants_ids;
    size_t id_count;
    const json_t *last; /* of plan's indices: the one that the last hit was of */
    char *scroll_id;    /* owned */
};

/* What both searches and counts understand of its parameters, and searches alone. */
static const char *const name_parameters[] = {"ignore_unavailable", "allow_no_indices",
                                              "expand_wildcards"};
static const char *const search_parameters[] = {
    "q",       "df",      "analyzer",   "analyze_wildcard", "default_operator",
    "lenient", "routing", "preference", "terminate_after"};

static bool refuse(struct exchange *ex, int status, const char *type, const char *why)
{
    reply_error(&ex->reply, status, type, "not-applied", "%s", why);
    return false;
}

/* ---- the request ---- */

static bool prepare_reindex(struct exchange *ex, struct by_query *query)
{
    const json_t *dest = json_object_get(query->body, "dest");
    const char *name = json_string_value(json_object_get(dest, "index"));
    if (name == NULL || *name == '\0')
        return refuse(ex, 400, "action_request_validation_exception",
                      "a reindex needs `dest.index`");
    json_object_set_new(query->plan, "target", json_string(name));
    json_object_set_new(query->plan, "dest", json_string(name));
    if (json_object_get(query->body, "script") !=
        NULL) /* it may delete; by what id, nobody knows */
        json_object_set_new(query->plan, "all_ids", json_false());
    return true;
}

static bool prepare_by_query(struct exchange *ex, struct by_query *query)
{
    struct span names = write_decode_segment(ex, ex->op.index);
    if (names.size == 0)
        return refuse(ex, 400, "tandem_bad_target",
                      "the path has a percent-encoding that is not valid");
    json_object_set_new(query->plan, "target", json_stringn(names.data, names.size));
    query->wants_ids =
        ex->op.kind == OP_KIND_DELETE_BY_QUERY || json_object_get(query->body, "script") != NULL;
    json_object_set_new(query->plan, "deletes", json_boolean(query->wants_ids));
    return true;
}

/* The task is known by it, also when no answer comes. */
static void add_opaque_id(struct exchange *ex, struct by_query *query)
{
    struct span given;
    char id[20];
    if (http_field_get(&ex->head, SPAN("x-opaque-id"), &given) && given.size != 0) {
        json_object_set_new(query->plan, "opaque", json_stringn(given.data, given.size));
        return;
    }
    auto_id(id, ex->core->id_unique, atomic_fetch_add(&ex->core->id_sequence, 1),
            ex->core->wall_us(ex->core) / 1000);
    ex->request.opaque_added = true;
    buffer_append_cstr(&ex->request.fields, "X-Opaque-Id: tandem-");
    buffer_append(&ex->request.fields, id, sizeof id);
    buffer_append_cstr(&ex->request.fields, "\r\n");
    json_object_set_new(query->plan, "opaque", json_sprintf("tandem-%.*s", (int)sizeof id, id));
}

bool by_query_prepare(struct exchange *ex)
{
    struct by_query *query = bytes_zalloc(sizeof *query);
    struct span body = buffer_span(&ex->body);
    ex->query = query;
    query->ex = ex;
    query->plan = json_pack("{s:s, s:[], s:b}", "api", ex->op.api, "indices", "all_ids", 1);
    if (!request_prepare_by_query(ex))
        return false;
    query->body = body.size == 0 ? NULL : json_tree(body);
    if (body.size != 0 && !json_is_object(query->body))
        return refuse(ex, 400, "parsing_exception", "the body is no JSON object");
    add_opaque_id(ex, query);
    ex->request.patient = true;
    return ex->op.kind == OP_KIND_REINDEX ? prepare_reindex(ex, query)
                                          : prepare_by_query(ex, query);
}

/* ---- what Tandem asks first ---- */

static void append_parameters(struct exchange *ex, const char *const *names, size_t count)
{
    struct buffer *target = &ex->capture_request.target;
    struct span rest = ex->head.query, name, value;
    bool has_value;
    while (http_query_next(&rest, &name, &value, &has_value)) {
        for (size_t i = 0; i < count; i++) {
            if (!span_equal(name, span_cstr(names[i])))
                continue;
            buffer_append_char(target, '&');
            buffer_append_span(target, name);
            buffer_append_char(target, '=');
            buffer_append_span(target, value);
        }
    }
}

/* A pipeline may send documents anywhere, and so may the script of a reindex. */
static bool may_go_anywhere(const struct exchange *ex, const struct by_query *query)
{
    if (ex->op.kind == OP_KIND_DELETE_BY_QUERY)
        return false;
    return ex->catalog->pipelines_move ||
           (ex->op.kind == OP_KIND_REINDEX && json_object_get(query->body, "script") != NULL);
}

static void ask_count(struct exchange *ex, const struct by_query *query)
{
    struct buffer *target = &ex->capture_request.target;
    request_begin_own(ex, "GET");
    buffer_append_char(target, '/');
    bool anywhere = may_go_anywhere(ex, query);
    if (anywhere)
        buffer_append_cstr(target, "_all");
    else if (ex->op.kind != OP_KIND_REINDEX)
        buffer_append_span(target, ex->op.index);
    else
        http_percent_encode(span_cstr(json_string_value(json_object_get(query->plan, "dest"))),
                            target);
    buffer_append_cstr(target, "/_stats/docs?level=shards&filter_path=indices.*.uuid,"
                               "indices.*.shards.*.seq_no,indices.*.shards.*.routing");
    if (ex->op.kind != OP_KIND_REINDEX && !anywhere)
        append_parameters(ex, name_parameters, COUNT_OF(name_parameters));
    request_end_own(ex);
}

static void append_json(struct buffer *out, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    buffer_append_cstr(out, text);
    free(text);
}

static void append_member(struct buffer *out, const json_t *body, const char *key)
{
    const json_t *value = json_object_get(body, key);
    if (value == NULL)
        return;
    buffer_appendf(out, ",\"%s\":", key);
    append_json(out, value);
}

static void ask_first_page(struct exchange *ex, const struct by_query *query)
{
    struct buffer *target = &ex->capture_request.target;
    request_begin_own(ex, "POST");
    buffer_append_char(target, '/');
    buffer_append_span(target, ex->op.index);
    if (ex->op.type.size != 0) {
        buffer_append_char(target, '/');
        buffer_append_span(target, ex->op.type);
    }
    buffer_append_cstr(target, "/_search?scroll=" SCROLL_KEPT);
    append_parameters(ex, name_parameters, COUNT_OF(name_parameters));
    append_parameters(ex, search_parameters, COUNT_OF(search_parameters));
    buffer_appendf(&ex->capture_body, "{\"size\":%d,\"_source\":false,\"sort\":[\"_doc\"]",
                   PAGE_SIZE);
    append_member(&ex->capture_body, query->body, "query");
    append_member(&ex->capture_body, query->body, "slice");
    buffer_append_char(&ex->capture_body, '}');
    request_end_own(ex);
}

static void ask_scroll(struct exchange *ex, const struct by_query *query, const char *method)
{
    bool next = query->step == FIND_NEXT_PAGE;
    request_begin_own(ex, method);
    buffer_append_cstr(&ex->capture_request.target, "/_search/scroll");
    buffer_append_cstr(&ex->capture_body, next ? "{\"scroll\":\"" SCROLL_KEPT "\",\"scroll_id\":"
                                               : "{\"scroll_id\":[");
    buffer_append_json_string(&ex->capture_body, span_cstr(query->scroll_id));
    buffer_append_cstr(&ex->capture_body, next ? "}" : "]}");
    request_end_own(ex);
}

static void ask_refresh(struct exchange *ex)
{
    struct buffer *target = &ex->capture_request.target;
    request_begin_own(ex, "POST");
    buffer_append_char(target, '/');
    buffer_append_span(target, ex->op.index);
    buffer_append_cstr(target, "/_refresh?filter_path=_shards");
    append_parameters(ex, name_parameters, COUNT_OF(name_parameters));
    request_end_own(ex);
}

bool by_query_ask(struct exchange *ex)
{
    struct by_query *query = ex->query;
    switch (query->step) {
    case FIND_COUNT:
        if (query->wants_ids && query->notes == NULL)
            query->notes = sweep_notes_begin(ex->core);
        ask_count(ex, query);
        return true;
    case FIND_REFRESH:
        ask_refresh(ex);
        return true;
    case FIND_FIRST_PAGE:
        ask_first_page(ex, query);
        return true;
    case FIND_NEXT_PAGE:
        ask_scroll(ex, query, "POST");
        return true;
    case FIND_CLEAR:
        ask_scroll(ex, query, "DELETE");
        return true;
    case FIND_READY:
        break;
    }
    return false;
}

/* ---- and what it hears ---- */

/* The highest number that the primary's copy used; -1 when it is not started: whatever it has is
 * read again then. */
static json_int_t highest_number(const json_t *copies)
{
    const json_t *numbers = index_shard_numbers(copies);
    return numbers == NULL ? -1 : json_integer_value(json_object_get(numbers, "max_seq_no"));
}

static json_t *numbers_of(const json_t *index)
{
    json_t *shards = json_object_get(index, "shards"), *after = json_array();
    char number[24];
    for (size_t i = 0; i < json_object_size(shards); i++) {
        snprintf(number, sizeof number, "%zu", i);
        json_array_append_new(after, json_integer(highest_number(json_object_get(shards, number))));
    }
    return after;
}

static void take_count(struct by_query *query, const json_t *answer)
{
    json_t *indices = json_object_get(query->plan, "indices"), *index;
    const char *name;
    json_object_foreach(json_object_get(answer, "indices"), name, index)
    {
        const char *uuid = json_string_value(json_object_get(index, "uuid"));
        json_array_append_new(indices, json_pack("{s:s, s:s, s:o, s:[]}", "index", name, "uuid",
                                                 uuid == NULL ? "" : uuid, "after",
                                                 numbers_of(index), "ids"));
    }
}

static bool is_called(const json_t *index, const char *name)
{
    return index != NULL && strcmp(json_string_value(json_object_get(index, "index")), name) == 0;
}

static json_t *ids_of(struct by_query *query, const char *name)
{
    size_t i;
    const json_t *index;
    if (!is_called(query->last, name)) {
        query->last = NULL;
        json_array_foreach(json_object_get(query->plan, "indices"), i, index)
        {
            if (is_called(index, name))
                query->last = index;
        }
    }
    return json_object_get(query->last, "ids");
}

/* Not all ids are known: what is deleted is counted, and the index is compared. */
static void give_ids_up(struct by_query *query)
{
    size_t i;
    json_t *index;
    json_array_foreach(json_object_get(query->plan, "indices"), i, index)
    {
        json_object_set_new(index, "ids", json_array());
    }
    json_object_set_new(query->plan, "all_ids", json_false());
    query->step = query->scroll_id == NULL ? FIND_READY : FIND_CLEAR;
}

/* What is deleted of it can't be told. */
static void note_new_index(struct by_query *query, const char *name)
{
    json_object_set_new(query->plan, "all_ids", json_false());
    if (name != NULL)
        json_array_append_new(
            json_object_get(query->plan, "indices"),
            json_pack("{s:s, s:s, s:[], s:[]}", "index", name, "uuid", "", "after", "ids"));
}

static void note_hit(struct by_query *query, const json_t *hit)
{
    const char *name = json_string_value(json_object_get(hit, "_index"));
    json_t *ids = name == NULL ? NULL : ids_of(query, name);
    json_t *routing = json_object_get(hit, "_routing");
    if (ids == NULL) { /* made since the count: it is swept from its first number on */
        note_new_index(query, name);
        return;
    }
    json_array_append_new(ids, json_pack("[O, O]", json_object_get(hit, "_id"),
                                         routing == NULL ? json_null() : routing));
    query->id_count++;
}

static void take_page(struct by_query *query, const json_t *answer)
{
    const json_t *hits = json_object_get(answer, "hits");
    json_t *list = json_object_get(hits, "hits"), *hit;
    const json_t *total = json_object_get(hits, "total");
    const char *scroll_id = json_string_value(json_object_get(answer, "_scroll_id"));
    json_int_t count =
        json_integer_value(json_is_object(total) ? json_object_get(total, "value") : total);
    size_t i;
    if (scroll_id != NULL) {
        free(query->scroll_id);
        query->scroll_id = bytes_strdup(scroll_id);
    }
    bool whole =
        json_is_array(list) && scroll_id != NULL &&
        json_integer_value(json_object_get(json_object_get(answer, "_shards"), "failed")) == 0 &&
        !json_is_true(json_object_get(answer, "timed_out"));
    uint64_t max = query->ex->core->settings->by_query_ids_max;
    if (!whole || (uint64_t)count > max || query->id_count + json_array_size(list) > max) {
        give_ids_up(query);
        return;
    }
    json_array_foreach(list, i, hit) note_hit(query, hit);
    query->step = json_array_size(list) == 0 ? FIND_CLEAR : FIND_NEXT_PAGE;
}

/* The first index that is written to whose clients set the versions; NULL: none. What such a write
 * leaves is read back, and nothing would order it and the clients' own writes. */
static const char *with_client_versions(const struct exchange *ex, const struct by_query *query)
{
    const json_t *index;
    size_t i;
    const char *dest = json_string_value(json_object_get(query->plan, "dest"));
    if (dest != NULL && catalog_find_alias(ex->catalog, span_cstr(dest)) == NULL &&
        catalog_find_index(ex->catalog, span_cstr(dest)) == NULL &&
        core_keeps_client_versions(ex->core, span_cstr(dest)))
        return dest;
    json_array_foreach(json_object_get(query->plan, "indices"), i, index)
    {
        const char *name = json_string_value(json_object_get(index, "index"));
        const struct catalog_index *found = catalog_find_index(ex->catalog, span_cstr(name));
        if (found != NULL && found->client_versions && !may_go_anywhere(ex, query))
            return name;
    }
    return NULL;
}

static bool refuse_client_versions(struct exchange *ex, const char *name)
{
    reply_error(&ex->reply, 400, "tandem_client_versions", "not-applied",
                core_has_numbers(ex->core)
                    ? "the clients of index %s set the versions of its documents "
                      "(replicate.client_versions), and a write by query has none of theirs: write "
                      "its documents one by one, with their versions"
                    : "what a write by query left in index %s can't be told in an engine of before "
                      "6.0: read the documents with a scroll and write them in bulks",
                name);
    return false;
}

bool by_query_take(struct exchange *ex)
{
    (void)FAILPOINT("Q1");
    struct by_query *query = ex->query;
    int status = ex->capture_answer.head.status;
    json_t *answer = status == 200 ? json_tree(buffer_span(&ex->capture_answer.body)) : NULL;
    if (query->step == FIND_COUNT && status != 200 && status != 404 && status != 400) {
        reply_error(&ex->reply, 503, "tandem_primary_away", "not-applied",
                    "the primary's numbers cannot be read (HTTP %d); nothing was sent", status);
        return false;
    }
    switch (query->step) {
    case FIND_COUNT:
        take_count(query, answer);
        if (with_client_versions(ex, query) != NULL) {
            refuse_client_versions(ex, with_client_versions(ex, query));
            json_decref(answer);
            return false;
        }
        query->step = query->wants_ids ? FIND_REFRESH : FIND_READY;
        break;
    case FIND_REFRESH:
        query->step = FIND_FIRST_PAGE;
        if (answer == NULL ||
            json_integer_value(json_object_get(json_object_get(answer, "_shards"), "failed")) != 0)
            give_ids_up(query);
        break;
    case FIND_FIRST_PAGE:
    case FIND_NEXT_PAGE:
        if (answer == NULL) /* the primary says to the request itself what is wrong with it */
            give_ids_up(query);
        else
            take_page(query, answer);
        break;
    case FIND_CLEAR:
    case FIND_READY:
        query->step = FIND_READY;
        break;
    }
    json_decref(answer);
    return true;
}

/* ---- the journal ---- */

enum status by_query_store(struct exchange *ex, struct journal_txn *txn, uint64_t number)
{
    return sweep_store(txn, number, ex->query->plan);
}

/* ---- the answer ---- */

bool by_query_take_answer(struct exchange *ex)
{
    (void)FAILPOINT("Q2");
    json_t *plan = ex->query->plan, *answer = json_tree(buffer_span(&ex->answer.body));
    const json_t *task = json_object_get(answer, "task");
    bool counts = json_is_integer(json_object_get(answer, "total"));
    bool is_task = json_is_string(task) && !counts;
    if (is_task)
        json_object_set(plan, "task", (json_t *)(uintptr_t)task);
    else
        json_object_set_new(plan, "ended", json_true());
    if (counts)
        sweep_take_counts(plan, answer);
    json_decref(answer);
    return is_task;
}

void by_query_sweep(struct exchange *ex, void (*on_swept)(struct sweep_wait *wait))
{
    struct by_query *query = ex->query;
    json_t *plan = query->plan;
    struct sweep_notes *notes = query->notes;
    query->plan = NULL;
    query->notes = NULL;
    query->wait = (struct sweep_wait){.loop = ex->loop, .on_swept = on_swept};
    sweep_take(ex->core, ex->intent, plan, notes, on_swept == NULL ? NULL : &query->wait);
}

struct exchange *by_query_exchange(struct sweep_wait *wait)
{
    return ((struct by_query *)wait)->ex;
}

void by_query_free(struct by_query *query)
{
    if (query == NULL)
        return;
    json_decref(query->plan);
    json_decref(query->body);
    sweep_notes_free(query->ex->core, query->notes);
    free(query->scroll_id);
    free(query);
}
