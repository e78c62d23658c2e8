/* reading.c - what seeds, verifications and audits ask of an index, and how the answers are read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/reading.h"

#include <inttypes.h>

#include "http/message.h"

void reading_search(struct es_call *call, const struct life *life, size_t shard, int64_t above,
                    int64_t up_to)
{
    struct buffer name = {0};
    http_percent_encode(span_cstr(life->name), &name);
    es_call_set(call, "POST",
                "/%s/_search?preference=_shards:%zu&allow_partial_search_results=false",
                buffer_cstr(&name), shard);
    buffer_appendf(&call->body,
                   "{\"size\":%" PRId64 ",\"seq_no_primary_term\":true,\"version\":true,"
                   "\"track_total_hits\":false,\"sort\":[\"_doc\"],\"query\":{\"range\":{"
                   "\"_seq_no\":{\"gt\":%" PRId64 ",\"lte\":%" PRId64 "}}}}",
                   life->hits_max, above, up_to);
    buffer_fini(&name);
}

const char *reading_not_the_primary(struct standby *sb, const json_t *state)
{
    const char *cluster = json_string_value(json_object_get(state, "cluster_uuid"));
    struct buffer known = {0};
    bool other = sb->world->primary_uuid != NULL && sb->world->primary_uuid(sb, &known) &&
                 (cluster == NULL || !span_equal(buffer_span(&known), span_cstr(cluster)));
    buffer_fini(&known);
    return other ? "another cluster answers at the primary's address" : NULL;
}

bool reading_is_life(const struct life *life, const json_t *index)
{
    const json_t *settings = json_object_get(json_object_get(index, "settings"), "index");
    const char *uuid = json_string_value(json_object_get(settings, "uuid"));
    const char *history =
        json_string_value(json_object_get(json_object_get(settings, "history"), "uuid"));
    struct buffer key = {0};
    buffer_appendf(&key, "%s%s%s", uuid == NULL ? "" : uuid, history == NULL ? "" : "/",
                   history == NULL ? "" : history);
    bool same = strcmp(buffer_cstr(&key), life->key) == 0;
    buffer_fini(&key);
    return same;
}

const char *reading_not_this_life(struct standby *sb, const struct life *life, const json_t *state)
{
    const json_t *indices = json_object_get(json_object_get(state, "metadata"), "indices");
    const char *why = reading_not_the_primary(sb, state);
    if (why == NULL && !reading_is_life(life, json_object_get(indices, life->name)))
        why = "the primary has another index of this name now, or none";
    return why;
}

const json_t *reading_numbers(const json_t *copies)
{
    size_t i;
    json_t *copy;
    json_array_foreach(copies, i, copy)
    {
        if (json_is_true(json_object_get(json_object_get(copy, "routing"), "primary")))
            return json_object_get(copy, "seq_no");
    }
    return NULL;
}

static uint64_t present_timeline(const struct standby *sb)
{
    return sb->base_count == 0 ? 1 : sb->bases[sb->base_count - 1].timeline;
}

void reading_append_row(struct standby *sb, const struct row *row, struct buffer *out)
{
    struct record record = {.header = {.kind = RECORD_ROW,
                                       .boot = 1,
                                       .seq = sb->seed_seq++,
                                       .timeline = present_timeline(sb),
                                       .time_us = sb->world->wall_us(sb),
                                       .parts = 1},
                            .row = *row};
    record_encode(out, &record);
}

int64_t reading_version(struct standby *sb, uint64_t term, int64_t seq_no)
{
    return standby_version(sb, present_timeline(sb), term, seq_no);
}
