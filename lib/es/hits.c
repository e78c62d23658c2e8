/* hits.c - searches for the documents of a range of sequence numbers, and the documents in an
 * answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/hits.h"

#include <inttypes.h>

#include "es/outcome.h"
#include "es/vectors.h"
#include "http/message.h"

#define SCROLL_KEPT "5m"

void hits_search(struct es_call *call, const char *index, size_t shard, int64_t size, int64_t above,
                 int64_t up_to, bool vectors)
{
    struct buffer name = {0};
    call->once = false;
    http_percent_encode(span_cstr(index), &name);
    es_call_set(call, "POST",
                "/%s/_search?preference=_shards:%zu&allow_partial_search_results=false%s",
                buffer_cstr(&name), shard, vectors ? "&" WITH_VECTORS : "");
    buffer_appendf(&call->body,
                   "{\"size\":%" PRId64 ",\"seq_no_primary_term\":true,\"version\":true,"
                   "\"track_total_hits\":false,\"sort\":[\"_doc\"],\"query\":{\"range\":{"
                   "\"_seq_no\":{\"gt\":%" PRId64 ",\"lte\":%" PRId64 "}}}}",
                   size, above, up_to);
    buffer_fini(&name);
}

void hits_scroll_search(struct es_call *call, const char *index, size_t shard, int64_t size,
                        const char *scroll)
{
    struct buffer name = {0};
    call->once = scroll != NULL; /* sent twice it would pass over a part that nobody has seen */
    if (scroll != NULL) {
        es_call_set(call, "POST", "/_search/scroll");
        buffer_appendf(&call->body, "{\"scroll\":\"%s\",\"scroll_id\":", SCROLL_KEPT);
        buffer_append_json_string(&call->body, span_cstr(scroll));
        buffer_append_char(&call->body, '}');
        return;
    }
    http_percent_encode(span_cstr(index), &name);
    es_call_set(call, "POST", "/%s/_search?scroll=%s&preference=_shards:%zu", buffer_cstr(&name),
                SCROLL_KEPT, shard);
    buffer_appendf(&call->body,
                   "{\"size\":%" PRId64 ",\"version\":true,\"sort\":[\"_doc\"],"
                   "\"query\":{\"match_all\":{}}}",
                   size);
    buffer_fini(&name);
}

char *hits_scroll(struct span body)
{
    struct buffer text = {0};
    char *scroll = NULL;
    if (json_string_decode(json_member(body, SPAN("_scroll_id")), &text) && text.size != 0)
        scroll = span_dup(buffer_span(&text));
    buffer_fini(&text);
    return scroll;
}

/* Stands INNER within the value of member NAME of AROUND. */
static bool enter(struct json_walk *around, struct span name, char open, struct json_walk *inner)
{
    struct span key, value;
    while (!json_enter_member(around, name, open, inner))
        if (!json_next_member(around, &key, &value))
            return false;
    return true;
}

/* The hits are nearly all of an answer, and are not passed over to find out where they end. What
 * must be known before stands in front of them: engines write `_shards` and `timed_out` first. */
enum status hits_init(struct hits_walk *walk, struct span body, int64_t *shards)
{
    int64_t failed = 1, total = 0;

    if (!json_to_i64(json_path(body, "_shards/failed"), &failed) ||
        !json_to_i64(json_path(body, "_shards/total"), &total) || failed != 0 ||
        json_is_true(json_member(body, SPAN("timed_out"))) ||
        !json_enter(&walk->around[0], body, '{') ||
        !enter(&walk->around[0], SPAN("hits"), '{', &walk->around[1]) ||
        !enter(&walk->around[1], SPAN("hits"), '[', &walk->walk))
        return STATUS_BAD_INPUT;
    if (shards != NULL)
        *shards = total;
    return STATUS_OK;
}

/* The rest of AROUND, behind INNER. */
static bool leave(struct json_walk *around, const struct json_walk *inner)
{
    struct span key, value;
    if (!json_leave(around, inner))
        return false;
    while (json_next_member(around, &key, &value))
        ;
    return !around->failed;
}

static enum status hits_end(struct hits_walk *walk)
{
    bool whole = leave(&walk->around[1], &walk->walk) && leave(&walk->around[0], &walk->around[1]);
    return whole ? STATUS_NOT_FOUND : STATUS_BAD_INPUT;
}

static bool take_number(struct span value, int64_t *number)
{
    return json_to_i64(value, number) && *number >= 0;
}

/* One walk over the hit's members: `_source` is long, and is passed over once. */
enum status hits_next(struct hits_walk *walk, struct hit *hit)
{
    struct json_walk members;
    struct span key, value;
    int64_t term = 0;
    bool has_seq_no = false;

    if (!json_enter_element(&walk->walk, '{', &members))
        return walk->walk.failed ? STATUS_BAD_INPUT : hits_end(walk);
    *hit = (struct hit){.seq_no = -1};
    while (json_next_member(&members, &key, &value)) {
        if (span_equal(key, SPAN("_id")))
            hit->id = value;
        else if (span_equal(key, SPAN("_routing")))
            hit->routing = value;
        else if (span_equal(key, SPAN("_type")) && !json_string_is(value, SPAN("_doc")))
            hit->type = value;
        else if (span_equal(key, SPAN("_source")))
            hit->source = value;
        else if (span_equal(key, SPAN("_seq_no")))
            has_seq_no = take_number(value, &hit->seq_no);
        else if (span_equal(key, SPAN("_primary_term")))
            (void)take_number(value, &term);
        else if (span_equal(key, SPAN("_version")))
            (void)json_to_i64(value, &hit->version);
    }
    hit->term = (uint64_t)term;
    hit->has_numbers = has_seq_no && term > 0;
    bool whole = json_leave(&walk->walk, &members) && json_is_string(hit->id);
    return whole ? STATUS_OK : STATUS_BAD_INPUT;
}

void hit_by_version(struct hit *hit)
{
    if (hit->has_numbers)
        return;
    hit->has_numbers = true;
    numbers_of_version(hit->version, &hit->term, &hit->seq_no);
}

static bool decode(struct span raw, struct buffer *out)
{
    return raw.size == 0 || json_string_decode(raw, out);
}

bool hit_text_init(struct hit_text *text, const struct hit *hit)
{
    *text = (struct hit_text){0};
    return hit->has_numbers && hit->source.size != 0 && decode(hit->id, &text->id) &&
           decode(hit->routing, &text->routing) && decode(hit->type, &text->type);
}

void hit_text_fini(struct hit_text *text)
{
    buffer_fini(&text->id);
    buffer_fini(&text->routing);
    buffer_fini(&text->type);
}
