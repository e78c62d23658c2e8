/* translate_query.c - filters of aliases in the queries that there are since 5.0: before, filters
 * were none, and had and, or, not, missing and filtered of their own.
 *
 * A query that is not known here stays as it is, and the target says what it thinks of it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "base/bytes.h"
#include "es/translate.h"

static json_t *translate_query(json_t *query);

/* QUERIES, a list or one of them, the caller's. */
static json_t *translate_queries(json_t *queries)
{
    json_t *list, *one;
    size_t i;
    if (!json_is_array(queries))
        return translate_query(queries);
    list = json_array();
    json_array_foreach(queries, i, one) json_array_append_new(list, translate_query(one));
    return list;
}

/* BODY, or its member NAME where it has one. */
static json_t *member_or_itself(json_t *body, const char *name)
{
    json_t *member = json_object_get(body, name);
    return member == NULL ? body : member;
}

/* A query that is gone, in another one's words, the caller's; NULL: NAME is not gone. */
static json_t *replace_query(const char *name, json_t *body)
{
    if (strcmp(name, "and") == 0)
        return json_pack("{s:{s:o}}", "bool", "filter",
                         translate_queries(member_or_itself(body, "filters")));
    if (strcmp(name, "or") == 0)
        return json_pack("{s:{s:o, s:i}}", "bool", "should",
                         translate_queries(member_or_itself(body, "filters")),
                         "minimum_should_match", 1);
    if (strcmp(name, "not") == 0)
        return json_pack(
            "{s:{s:o}}", "bool", "must_not",
            translate_query(member_or_itself(member_or_itself(body, "filter"), "query")));
    if (strcmp(name, "missing") == 0)
        return json_pack("{s:{s:{s:{s:O?}}}}", "bool", "must_not", "exists", "field",
                         json_object_get(body, "field"));
    if (strcmp(name, "query") == 0)
        return translate_query(body);
    if (strcmp(name, "fquery") == 0)
        return translate_query(json_object_get(body, "query"));
    if (strcmp(name, "in") == 0)
        return json_pack("{s:O}", "terms", body);
    if (strcmp(name, "filtered") == 0) {
        json_t *parts = json_object();
        if (json_object_get(body, "query") != NULL)
            json_object_set_new(parts, "must", translate_query(json_object_get(body, "query")));
        if (json_object_get(body, "filter") != NULL)
            json_object_set_new(parts, "filter", translate_query(json_object_get(body, "filter")));
        return json_pack("{s:o}", "bool", parts);
    }
    return NULL;
}

/* Looks into the queries that a query has in it. */
static void translate_parts(const char *name, json_t *body)
{
    static const char *const parts[] = {"must", "should", "must_not", "filter", "query"};
    bool wrapped = strcmp(name, "nested") == 0 || strcmp(name, "constant_score") == 0;
    if (strcmp(name, "bool") != 0 && !wrapped)
        return;
    if (strcmp(name, "nested") == 0 && json_object_get(body, "query") == NULL &&
        json_object_get(body, "filter") != NULL) {
        json_object_set(body, "query", json_object_get(body, "filter"));
        json_object_del(body, "filter");
    }
    if (strcmp(name, "constant_score") == 0 && json_object_get(body, "filter") == NULL &&
        json_object_get(body, "query") != NULL) {
        json_object_set(body, "filter", json_object_get(body, "query"));
        json_object_del(body, "query");
    }
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        if (json_object_get(body, parts[i]) != NULL)
            json_object_set_new(body, parts[i], translate_queries(json_object_get(body, parts[i])));
}

/* One query in the words of today, the caller's. */
static json_t *translate_query(json_t *query)
{
    static const char *const hints[] = {"_cache", "_cache_key", "execution"};
    const char *name = json_object_iter_key(json_object_iter(query));
    if (name == NULL || json_object_size(query) != 1)
        return json_incref(query);
    json_t *now = replace_query(name, json_object_get(query, name));
    if (now != NULL)
        return now;
    json_t *body = json_deep_copy(json_object_get(query, name));
    for (size_t i = 0; i < COUNT_OF(hints); i++)
        if (!json_is_object(json_object_get(body, hints[i])))
            json_object_del(body, hints[i]);
    translate_parts(name, body);
    return json_pack("{s:o}", name, body);
}

void translate_aliases(struct translator *t, json_t *aliases)
{
    const char *name;
    json_t *alias;
    json_object_foreach(aliases, name, alias)
    {
        json_t *filter = json_object_get(alias, "filter");
        if (!json_is_object(filter))
            continue;
        json_t *now = translate_query(filter);
        if (!json_equal(now, filter)) {
            translator_change(
                t, "alias %s: its filter is written in the queries that there are since 5.0", name);
            json_object_set(alias, "filter", now);
        }
        json_decref(now);
    }
}
