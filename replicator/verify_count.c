/* verify_count.c - which life of an index is compared, and how far its shards reach on both sides.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/json_tree.h"
#include "es/index_state.h"
#include "replicator/reading.h"
#include "replicator/verify_impl.h"

static void on_counted(struct es_call *call);

static bool take_nothing(struct verify *verify, struct span body)
{
    (void)verify;
    (void)body;
    return true;
}

static bool take_primary_reach(struct verify *verify, struct span body)
{
    return verify_take_reach(verify, ON_PRIMARY, body);
}

static bool take_standby_reach(struct verify *verify, struct span body)
{
    return verify_take_reach(verify, ON_STANDBY, body);
}

#define STATS                                                                                      \
    "/_stats?level=shards&filter_path=indices.*.shards.*.seq_no,indices.*.shards.*.routing"
#define STATE "?filter_path=" INDEX_LIFE_FILTER ",metadata.indices.*.primary_terms"

/* The calls that tell where an index stands, in their order: refreshed after it was counted. */
static const struct {
    enum verify_side_number side;
    const char *method, *before, *behind;
    bool (*take)(struct verify *verify, struct span body);
} counts[] = {
    {ON_PRIMARY, "GET", "/_cluster/state/metadata/", STATE, verify_take_state},
    {ON_PRIMARY, "GET", "/", STATS, take_primary_reach},
    {ON_PRIMARY, "POST", "/", "/_refresh", take_nothing},
    {ON_STANDBY, "POST", "/", "/_refresh", take_nothing},
    {ON_STANDBY, "GET", "/", STATS, take_standby_reach},
};

#define COUNTS_OF_PRIMARY 2 /* the first ones: terms and reach */

void verify_count(struct verify *verify)
{
    char *name = verify_name(verify);
    es_call_set(&verify->call, counts[verify->step].method, "%s%s%s", counts[verify->step].before,
                name, counts[verify->step].behind);
    free(name);
    verify->call.answer_max = 16u << 20;
    verify->call.on_done = on_counted;
    verify->call.arg = verify;
    verify->busy = true;
    verify_call(verify, counts[verify->step].side, &verify->call);
}

static void on_counted(struct es_call *call)
{
    struct verify *verify = call->arg;
    verify->busy = false;
    bool again = verify->state == VERIFY_RECOUNTING;
    if ((verify->state != VERIFY_COUNTING && !again) || verify_life(verify) == NULL)
        return;
    if (!verify_answered(verify, counts[verify->step].side, call) ||
        !counts[verify->step].take(verify, buffer_span(&call->answer)))
        return;
    verify->step++;
    if (verify->step == (again ? COUNTS_OF_PRIMARY : (int)COUNT_OF(counts)))
        verify_on_counted(verify, again);
}

bool verify_take_state(struct verify *verify, struct span body)
{
    const struct life *life = verify_life(verify);
    json_t *state = json_tree(body);
    const json_t *indices = json_object_get(json_object_get(state, "metadata"), "indices");
    const json_t *terms = json_object_get(json_object_get(indices, life->name), "primary_terms");
    const char *why = reading_not_this_life(verify->sb, life, state);
    char name[24];
    for (size_t i = 0; why == NULL && i < verify->shard_count; i++) {
        snprintf(name, sizeof name, "%zu", i);
        verify->terms[i] =
            life->no_numbers ? 1 : (uint64_t)json_integer_value(json_object_get(terms, name));
    }
    json_decref(state);
    if (why != NULL)
        verify_skip(verify, why);
    return why == NULL;
}

bool verify_take_reach(struct verify *verify, enum verify_side_number side, struct span body)
{
    json_t *json = json_tree(body);
    const json_t *index =
        json_object_get(json_object_get(json, "indices"), verify_life(verify)->name);
    const json_t *shards = json_object_get(index, "shards");
    char name[24];
    bool good = true;
    for (size_t i = 0; i < verify->shard_count; i++) {
        snprintf(name, sizeof name, "%zu", i);
        const json_t *copies = json_object_get(shards, name);
        if (side == ON_PRIMARY && verify_life(verify)->no_numbers) { /* it is read whole */
            good = good && index_primary_copy(copies) != NULL;
            continue; /* and reach and highest stay 0 */
        }
        const json_t *numbers = index_shard_numbers(copies);
        const json_t *highest = json_object_get(numbers, "max_seq_no");
        const json_t *safe = json_object_get(numbers, "global_checkpoint");
        good = good && json_is_integer(highest) && json_is_integer(safe);
        verify->reach[side][i] = json_integer_value(side == ON_PRIMARY ? safe : highest);
        if (side == ON_PRIMARY)
            verify->highest[i] = json_integer_value(highest);
    }
    json_decref(json);
    if (!good)
        verify_wait(verify, "a shard of index %s has no primary copy %s now",
                    verify_life(verify)->name,
                    side == ON_PRIMARY ? "on the primary" : "on the standby");
    return good;
}
