/* sweep_plan.c - what a sweep must know, as it is stored (see sweep.h); a sweep's birth and end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <stdlib.h>

#include "proxy/sweep_impl.h"

enum status sweep_store(struct journal_txn *txn, uint64_t number, const json_t *plan)
{
    uint8_t key[8];
    char *text = json_dumps(plan, JSON_COMPACT);
    put_u64be(key, number);
    enum status status =
        journal_put(txn, JOURNAL_SWEEPS, span_of((char *)key, sizeof key), span_cstr(text));
    free(text);
    return status;
}

enum status sweep_forget(struct journal_txn *txn, uint64_t number)
{
    uint8_t key[8];
    put_u64be(key, number);
    return journal_delete(txn, JOURNAL_SWEEPS, span_of((char *)key, sizeof key));
}

static char *text_member(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text == NULL ? NULL : bytes_strdup(text);
}

void sweep_add_id(struct sweep *sweep, struct sweep_target *target, struct span id, bool routed,
                  struct span routing)
{
    if (target->id_count == target->id_capacity) {
        target->id_capacity = target->id_capacity == 0 ? 64 : 2 * target->id_capacity;
        target->ids = bytes_realloc(target->ids, target->id_capacity * sizeof *target->ids);
    }
    target->ids[target->id_count++] =
        (struct sweep_id){.id = arena_copy(&sweep->arena, id),
                          .routed = routed,
                          .routing = routed ? arena_copy(&sweep->arena, routing) : SPAN_NONE};
}

static struct span text_of(const json_t *text)
{
    return span_of(json_string_value(text), json_string_length(text));
}

static void load_ids(struct sweep *sweep, struct sweep_target *target, const json_t *ids)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(ids, i, entry)
    {
        const json_t *id = json_array_get(entry, 0), *routing = json_array_get(entry, 1);
        bool routed = json_is_string(routing);
        if (json_string_length(id) != 0)
            sweep_add_id(sweep, target, text_of(id), routed, routed ? text_of(routing) : SPAN_NONE);
    }
}

void sweep_set_shards(struct sweep_target *target, size_t count)
{
    target->after = bytes_realloc(target->after, (count + 1) * sizeof *target->after);
    target->begun = bytes_realloc(target->begun, (count + 1) * sizeof *target->begun);
    target->up_to = bytes_realloc(target->up_to, (count + 1) * sizeof *target->up_to);
    for (size_t i = target->shard_count; i < count; i++)
        target->after[i] = target->begun[i] = target->up_to[i] = -1;
    target->shard_count = count;
}

struct sweep_target *sweep_add_target(struct sweep *sweep, const char *name, const char *uuid)
{
    sweep->targets =
        bytes_realloc(sweep->targets, (sweep->target_count + 1) * sizeof *sweep->targets);
    struct sweep_target *target = &sweep->targets[sweep->target_count++];
    *target = (struct sweep_target){.name = bytes_strdup(name), .uuid = bytes_strdup(uuid)};
    return target;
}

static void load_target(struct sweep *sweep, const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "index"));
    const char *uuid = json_string_value(json_object_get(json, "uuid"));
    const json_t *after = json_object_get(json, "after");
    if (name == NULL || uuid == NULL)
        return;
    struct sweep_target *target = sweep_add_target(sweep, name, uuid);
    sweep_set_shards(target, json_array_size(after));
    for (size_t i = 0; i < target->shard_count; i++)
        target->after[i] = target->begun[i] = json_integer_value(json_array_get(after, i));
    load_ids(sweep, target, json_object_get(json, "ids"));
}

void sweep_load_counts(struct sweep *sweep, const json_t *plan)
{
    const json_t *operations = json_object_get(plan, "operations");
    sweep->counted = json_is_integer(operations);
    sweep->operations = (uint64_t)json_integer_value(operations);
    sweep->deleted = (uint64_t)json_integer_value(json_object_get(plan, "deleted"));
}

struct sweep *sweep_new(struct core *core, uint64_t number, const json_t *plan)
{
    struct sweep *sweep = bytes_zalloc(sizeof *sweep);
    const json_t *index;
    size_t i;
    sweep->core = core;
    sweep->number = number;
    sweep->since_us = core->now_us(core);
    sweep->api = text_member(plan, "api");
    sweep->named = text_member(plan, "target");
    sweep->opaque = text_member(plan, "opaque");
    sweep->task = text_member(plan, "task");
    sweep->dest = text_member(plan, "dest");
    sweep->ended = json_is_true(json_object_get(plan, "ended"));
    sweep->all_ids = json_is_true(json_object_get(plan, "all_ids"));
    sweep_load_counts(sweep, plan);
    json_array_foreach(json_object_get(plan, "indices"), i, index) load_target(sweep, index);
    es_call_init(&sweep->call);
    es_call_init(&sweep->confirm);
    return sweep;
}

void sweep_free(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->target_count; i++) {
        free(sweep->targets[i].name);
        free(sweep->targets[i].uuid);
        free(sweep->targets[i].after);
        free(sweep->targets[i].begun);
        free(sweep->targets[i].up_to);
        free(sweep->targets[i].ids);
    }
    free(sweep->targets);
    free(sweep->api);
    free(sweep->named);
    free(sweep->opaque);
    free(sweep->task);
    free(sweep->dest);
    es_call_fini(&sweep->call);
    es_call_fini(&sweep->confirm);
    shard_facts_clear(&sweep->facts);
    if (sweep->catalog != NULL)
        catalog_put(sweep->catalog);
    arena_fini(&sweep->arena);
    sweep_notes_free(sweep->core, sweep->notes);
    free(sweep->use_names);
    free(sweep);
}

void sweep_take_counts(json_t *plan, const json_t *answer)
{
    json_int_t deleted = json_integer_value(json_object_get(answer, "deleted"));
    json_int_t written = json_integer_value(json_object_get(answer, "updated")) +
                         json_integer_value(json_object_get(answer, "created"));
    json_object_set_new(plan, "operations", json_integer(written + deleted));
    json_object_set_new(plan, "deleted", json_integer(deleted));
}
