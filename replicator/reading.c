/* reading.c - what seeds, verifications and audits ask of an index, and how the answers are read.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/reading.h"

#include "es/index_state.h"

const char *reading_not_the_primary(struct standby *sb, const json_t *state)
{
    const char *cluster = json_string_value(json_object_get(state, "cluster_uuid"));
    if (cluster == NULL) { /* before 6.0, where an answer for one index shows none */
        cluster =
            json_string_value(json_object_get(json_object_get(state, "metadata"), "cluster_uuid"));
        if (cluster != NULL && strcmp(cluster, "_na_") == 0)
            return NULL; /* an index of the same uuid is of the same cluster */
    }
    struct buffer known = {0};
    bool other = sb->world->primary_uuid != NULL && sb->world->primary_uuid(sb, &known) &&
                 (cluster == NULL || !span_equal(buffer_span(&known), span_cstr(cluster)));
    buffer_fini(&known);
    return other ? "another cluster answers at the primary's address" : NULL;
}

const char *reading_not_this_life(struct standby *sb, const struct life *life, const json_t *state)
{
    const json_t *indices = json_object_get(json_object_get(state, "metadata"), "indices");
    const char *why = reading_not_the_primary(sb, state);
    if (why == NULL && !index_is_life(json_object_get(indices, life->name), life->key))
        why = "the primary has another index of this name now, or none";
    return why;
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

int64_t reading_document_version(struct standby *sb, uint32_t incarnation, uint64_t term,
                                 int64_t seq_no, int64_t version)
{
    const struct life *life = life_find(sb, incarnation);
    bool client = life != NULL && life->client_versions;
    return client ? version : reading_version(sb, term, seq_no);
}
