/* shard_facts.c - what a probe must know of a shard: term, max_seq_no, global checkpoint.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "base/json_tree.h"
#include "proxy/shard_facts.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

struct shard_fact_entry {
    char *key;
    struct shard_fact fact;
    UT_hash_handle hh;
};

void shard_facts_clear(struct shard_facts *facts)
{
    struct shard_fact_entry *entry, *next;
    HASH_ITER(hh, facts->entries, entry, next)
    {
        HASH_DEL(facts->entries, entry);
        free(entry->key);
        free(entry);
    }
}

static struct shard_fact *fact_get(struct shard_facts *facts, const char *index, const char *shard,
                                   bool make)
{
    char key[300];
    struct shard_fact_entry *entry;
    snprintf(key, sizeof key, "%s/%s", index, shard);
    HASH_FIND_STR(facts->entries, key, entry);
    if (entry == NULL && make) {
        entry = bytes_zalloc(sizeof *entry);
        entry->key = bytes_strdup(key);
        HASH_ADD_KEYPTR(hh, facts->entries, entry->key, strlen(entry->key), entry);
    }
    return entry == NULL ? NULL : &entry->fact;
}

static json_t *indices_of(json_t *json)
{
    return json_object_get(json_object_get(json, "metadata"), "indices");
}

void shard_facts_take_terms(struct shard_facts *facts, struct span body)
{
    json_t *json = json_tree(body), *index, *term;
    const char *name, *shard;
    json_object_foreach(indices_of(json), name, index)
        json_object_foreach(json_object_get(index, "primary_terms"), shard, term)
    {
        struct shard_fact *fact = fact_get(facts, name, shard, true);
        fact->term = (uint64_t)json_integer_value(term);
        fact->has_term = true;
    }
    json_decref(json);
}

bool shard_facts_terms_are(struct shard_facts *facts, struct span body)
{
    json_t *json = json_tree(body);
    bool same = true;
    struct shard_fact_entry *entry, *next;
    HASH_ITER(hh, facts->entries, entry, next)
    {
        char name[300];
        char *shard = strrchr(entry->key, '/');
        snprintf(name, sizeof name, "%.*s", (int)(shard - entry->key), entry->key);
        json_t *index = json_object_get(indices_of(json), name);
        json_t *term = json_object_get(json_object_get(index, "primary_terms"), shard + 1);
        same = same && (uint64_t)json_integer_value(term) == entry->fact.term;
    }
    json_decref(json);
    return same;
}

static void take_copy(struct shard_fact *fact, const json_t *copy, bool *settled)
{
    const json_t *routing = json_object_get(copy, "routing"),
                 *seq_no = json_object_get(copy, "seq_no");
    const char *state = json_string_value(json_object_get(routing, "state"));
    if (!json_is_true(json_object_get(routing, "primary")) || seq_no == NULL ||
        (state != NULL && strcmp(state, "STARTED") != 0 && strcmp(state, "RELOCATING") != 0))
        return;
    if (!fact->has_stats) {
        fact->max_seq_no = json_integer_value(json_object_get(seq_no, "max_seq_no"));
        fact->has_stats = true;
    }
    if (json_integer_value(json_object_get(seq_no, "global_checkpoint")) >= fact->max_seq_no)
        fact->settled = true;
    *settled = *settled && fact->settled;
}

bool shard_facts_take_stats(struct shard_facts *facts, struct span body)
{
    json_t *json = json_tree(body), *index, *copies, *copy;
    const char *name, *shard;
    size_t i;
    bool settled = true;
    json_object_foreach(json_object_get(json, "indices"), name, index)
        json_object_foreach(json_object_get(index, "shards"), shard, copies)
            json_array_foreach(copies, i, copy)
                take_copy(fact_get(facts, name, shard, true), copy, &settled);
    json_decref(json);
    return settled;
}

const struct shard_fact *shard_facts_get(struct shard_facts *facts, const char *index,
                                         uint32_t shard)
{
    char text[16];
    snprintf(text, sizeof text, "%u", shard);
    return fact_get(facts, index, text, false);
}

bool shard_facts_ready(struct shard_facts *facts, const char *index, uint32_t shard)
{
    const struct shard_fact *fact = shard_facts_get(facts, index, shard);
    return fact != NULL && fact->has_term && fact->has_stats && fact->settled;
}

struct span shard_facts_first_name(struct arena *arena, struct span body)
{
    json_t *json = json_tree(body);
    void *first = json_object_iter(json);
    struct span name =
        first == NULL ? SPAN_NONE : arena_copy(arena, span_cstr(json_object_iter_key(first)));
    json_decref(json);
    return name;
}
