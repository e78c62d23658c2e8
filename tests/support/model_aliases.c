/* model_aliases.c - the model cluster's aliases.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "model_impl.h"

struct model_index *alias_write_index(struct model_cluster *cluster, struct span alias,
                                      struct failure *failure)
{
    struct model_index *index, *next, *only = NULL, *writes = NULL;
    size_t count = 0;
    bool disabled = false;
    HASH_ITER(hh, cluster->indices, index, next)
    {
        const json_t *definition = json_object_getn(index->aliases, alias.data, alias.size);
        if (definition == NULL)
            continue;
        const json_t *flag = json_object_get(definition, "is_write_index");
        count++;
        only = index;
        disabled = json_is_false(flag);
        if (json_is_true(flag))
            writes = index;
    }
    if (writes != NULL || count == 0)
        return writes;
    if (count == 1 && !disabled)
        return only;
    fail(failure, 400, "illegal_argument_exception",
         "no write index is defined for alias [%.*s]. The write index may be explicitly disabled "
         "using "
         "is_write_index=false or the alias points to multiple indices without one being "
         "designated as a "
         "write index",
         (int)alias.size, alias.data);
    return NULL;
}

json_t *alias_definition(const json_t *body)
{
    static const char *const kept[] = {"filter", "index_routing", "search_routing",
                                       "is_write_index", "is_hidden"};
    json_t *definition = json_object();
    json_t *routing = json_object_get(body, "routing");
    if (routing != NULL) {
        json_object_set_new(definition, "index_routing", json_deep_copy(routing));
        json_object_set_new(definition, "search_routing", json_deep_copy(routing));
    }
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        json_t *value = json_object_get(body, kept[i]);
        if (value != NULL && !json_is_null(value))
            json_object_set_new(definition, kept[i], json_deep_copy(value));
    }
    return definition;
}

bool alias_write_free(const struct model_cluster *cluster, const char *index, const char *alias,
                      const json_t *definition, struct failure *failure)
{
    struct model_index *other, *next;
    if (!json_is_true(json_object_get(definition, "is_write_index")))
        return true;
    HASH_ITER(hh, cluster->indices, other, next)
    {
        const json_t *held = json_object_get(other->aliases, alias);
        if (strcmp(other->name, index) != 0 &&
            json_is_true(json_object_get(held, "is_write_index"))) {
            fail(failure, 500, "illegal_state_exception",
                 "alias [%s] has more than one write index [%s,%s]", alias, index, other->name);
            return false;
        }
    }
    return true;
}

static void touched(struct model_index *index)
{
    index->aliases_version++;
    index->version++;
}

static void add_one(struct model_index *index, const char *alias, const json_t *body)
{
    json_t *definition = alias_definition(body);
    if (json_equal(definition, json_object_get(index->aliases, alias)) != 1)
        touched(index);
    json_object_set_new(index->aliases, alias, definition);
}

/* Removes what matches PATTERN; how many (would) go. */
static size_t remove_matching(struct model_index *index, const char *pattern, bool apply)
{
    const char *name;
    json_t *definition;
    void *next;
    size_t count = 0;
    json_object_foreach_safe(index->aliases, next, name, definition)
    {
        if (!span_matches(span_cstr(name), span_cstr(pattern)) && strcmp(pattern, "_all") != 0)
            continue;
        count++;
        if (apply)
            json_object_del(index->aliases, name);
    }
    if (count != 0 && apply)
        touched(index);
    return count;
}

static bool missing(struct failure *failure, const char *alias)
{
    fail(failure, 404, "aliases_not_found_exception", "aliases [%s] missing", alias);
    return false;
}

/* True when one of ACTIONS (may be NULL) takes the index NAME away. */
static bool taken_away(const json_t *actions, const char *name)
{
    json_t *action;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)actions, i, action)
    {
        const char *index = json_text(json_object_get(action, "remove_index"), "index");
        if (index != NULL && strcmp(index, name) == 0)
            return true;
    }
    return false;
}

static bool act_on(struct model_cluster *cluster, const json_t *actions, const char *kind,
                   const struct index_list *list, const json_t *body, const char *alias, bool apply,
                   struct failure *failure)
{
    size_t removed = 0;
    if (strcmp(kind, "remove_index") == 0) {
        for (size_t i = 0; apply && i < list->count; i++)
            index_delete(cluster, list->list[i]);
        return true;
    }
    if (alias == NULL) {
        fail(failure, 400, "illegal_argument_exception", "One of [alias] or [aliases] is required");
        return false;
    }
    if (strcmp(kind, "add") == 0 && index_find(cluster, span_cstr(alias)) != NULL &&
        !taken_away(actions, alias)) {
        fail(failure, 400, "invalid_alias_name_exception",
             "Invalid alias name [%s]: an index exists with the same name as the alias", alias);
        return false;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(kind, "remove") == 0)
            removed += remove_matching(list->list[i], alias, apply);
        else if (apply)
            add_one(list->list[i], alias, body);
    }
    return apply || strcmp(kind, "add") == 0 || removed != 0 ||
           json_is_false(json_object_get(body, "must_exist")) || missing(failure, alias);
}

static bool act(struct model_cluster *cluster, const json_t *actions, const char *kind,
                const json_t *body, bool apply, struct failure *failure)
{
    json_t *names = json_object_get(body, "indices"), *aliases = json_object_get(body, "aliases"),
           *name;
    struct index_list list = {0};
    struct buffer expression = {0};
    size_t i;
    if (strcmp(kind, "add") != 0 && strcmp(kind, "remove") != 0 &&
        strcmp(kind, "remove_index") != 0) {
        fail(failure, 400, "illegal_argument_exception", "[aliases] unknown field [%s]", kind);
        return false;
    }
    if (json_text(body, "index") != NULL)
        buffer_append_cstr(&expression, json_text(body, "index"));
    json_array_foreach(names, i, name)
    {
        if (expression.size != 0)
            buffer_append_char(&expression, ',');
        buffer_append_cstr(&expression, json_string_value(name));
    }
    bool ok = indices_resolve(cluster, buffer_span(&expression), false, false, &list, failure);
    if (ok && aliases == NULL)
        ok = act_on(cluster, actions, kind, &list, body, json_text(body, "alias"), apply, failure);
    json_array_foreach(aliases, i, name)
    {
        ok = ok &&
             act_on(cluster, actions, kind, &list, body, json_string_value(name), apply, failure);
    }
    index_list_fini(&list);
    buffer_fini(&expression);
    return ok;
}

enum walk { WALK_LOOK, WALK_REST, WALK_REMOVE_INDICES };

/* All actions or none: the first walk only looks. Indices go first, so that an alias can take a
 * name over. */
static void walk_actions(struct model_cluster *cluster, json_t *actions, enum walk walk,
                         struct failure *failure)
{
    json_t *action, *options;
    const char *kind;
    size_t i;
    json_array_foreach(actions, i, action)
    {
        json_object_foreach(action, kind, options)
        {
            bool removes = strcmp(kind, "remove_index") == 0;
            if (failure->status == 0 &&
                (walk == WALK_LOOK || removes == (walk == WALK_REMOVE_INDICES)))
                act(cluster, actions, kind, options, walk != WALK_LOOK, failure);
        }
    }
}

/* False with failure set when the aliases as they are now have two write indices somewhere. */
static bool aliases_consistent(struct model_cluster *cluster, const json_t *actions,
                               struct failure *failure)
{
    struct model_index *index, *next;
    const char *name;
    json_t *definition;
    HASH_ITER(hh, cluster->indices, index, next)
    {
        if (taken_away(actions, index->name))
            continue;
        json_object_foreach(index->aliases, name, definition)
        {
            if (!alias_write_free(cluster, index->name, name, definition, failure))
                return false;
        }
    }
    return true;
}

static void apply_actions(struct model_cluster *cluster, json_t *actions, struct failure *failure)
{
    struct model_index *index, *next;
    json_t *before = json_object();
    HASH_ITER(hh, cluster->indices, index, next)
    {
        json_object_set_new(before, index->name, json_copy(index->aliases));
    }
    walk_actions(cluster, actions, WALK_REST, failure);
    if (aliases_consistent(cluster, actions, failure)) {
        walk_actions(cluster, actions, WALK_REMOVE_INDICES, failure);
        cluster_bump(cluster);
    } else {
        HASH_ITER(hh, cluster->indices, index, next)
        {
            json_decref(index->aliases);
            index->aliases = json_incref(json_object_get(before, index->name));
        }
    }
    json_decref(before);
}

static void post_actions(struct call *call)
{
    struct failure failure = {.shard = -1};
    json_t *body = call_body(call);
    if (body == NULL)
        return;
    json_t *actions = json_object_get(body, "actions");
    if (!metadata_blocked(call->cluster, NULL, &failure))
        walk_actions(call->cluster, actions, WALK_LOOK, &failure);
    if (failure.status == 0)
        apply_actions(call->cluster, actions, &failure);
    json_decref(body);
    if (failure.status != 0)
        answer_failure(call, &failure);
    else
        answer_acknowledged(call);
}

/* PUT, POST, DELETE /{index}/_alias/{name} */
static void change_one(struct call *call)
{
    struct failure failure = {.shard = -1};
    struct index_list list = {0};
    json_t *body = call_body(call);
    if (body == NULL)
        return;
    char *alias = span_dup(call->segments[2]);
    const char *kind = call_is(call, "DELETE") ? "remove" : "add";
    if (!metadata_blocked(call->cluster, NULL, &failure) &&
        indices_resolve(call->cluster, call->segments[0], false, false, &list, &failure) &&
        act_on(call->cluster, NULL, kind, &list, body, alias, false, &failure) &&
        (list.count == 0 ||
         alias_write_free(call->cluster, list.list[0]->name, alias, body, &failure)))
        act_on(call->cluster, NULL, kind, &list, body, alias, true, &failure);
    if (failure.status != 0) {
        answer_failure(call, &failure);
    } else {
        cluster_bump(call->cluster);
        answer_acknowledged(call);
    }
    free(alias);
    index_list_fini(&list);
    json_decref(body);
}

static json_t *aliases_matching(const struct model_index *index, struct span pattern)
{
    json_t *shown = json_object(), *definition;
    const char *name;
    json_object_foreach(index->aliases, name, definition)
    {
        if (pattern.size == 0 || span_matches(span_cstr(name), pattern))
            json_object_set(shown, name, definition);
    }
    return shown;
}

static void get_aliases(struct call *call, struct span expression, struct span pattern)
{
    struct failure failure = {.shard = -1};
    struct index_list list = {0};
    if (!indices_resolve(call->cluster, expression, false, true, &list, &failure)) {
        answer_failure(call, &failure);
        return;
    }
    json_t *all = json_object();
    for (size_t i = 0; i < list.count; i++) {
        json_t *shown = aliases_matching(list.list[i], pattern);
        if (json_object_size(shown) != 0 || pattern.size == 0)
            json_object_set_new(all, list.list[i]->name, json_pack("{s:O}", "aliases", shown));
        json_decref(shown);
    }
    index_list_fini(&list);
    if (json_object_size(all) == 0 && pattern.size != 0 &&
        memchr(pattern.data, '*', pattern.size) == NULL) {
        json_object_set_new(all, "error",
                            json_sprintf("alias [%.*s] missing", (int)pattern.size, pattern.data));
        json_object_set_new(all, "status", json_integer(404));
        answer_json(call, 404, all);
        return;
    }
    answer_json(call, 200, all);
}

void aliases_call(struct call *call)
{
    bool of_index = call->segments[0].data[0] != '_';
    bool reads = call_is(call, "GET") || call_is(call, "HEAD");
    size_t name_at = of_index ? 2 : 1;
    struct span pattern = call->segment_count > name_at ? call->segments[name_at] : SPAN_NONE;
    if (reads)
        get_aliases(call, of_index ? call->segments[0] : SPAN("_all"), pattern);
    else if (!of_index && call_is(call, "POST"))
        post_actions(call);
    else if (of_index && call->segment_count == 3)
        change_one(call);
}
