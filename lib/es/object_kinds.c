/* object_kinds.c - the definitions of a cluster that are no indices: where they are found, and
 * which of them are replicated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/object_kinds.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/check.h"

#define NAME_MAX_SIZE 480 /* with its type it is a key of LMDB, of 511 bytes at most */

const struct object_kind object_kinds[OBJECT_KINDS] = {
    {"component_template", "component_template", "/_component_template", true, NULL, NULL},
    {"template", "templates", "/_template", true, NULL, NULL},
    {"index_template", "index_template", "/_index_template", true, NULL, NULL},
    {"pipeline", "ingest", "/_ingest/pipeline", true, NULL, NULL},
    {"script", "stored_scripts", "/_scripts", false, "stored_scripts", "script"},
    {OBJECT_POLICY, "index_lifecycle", "/_ilm/policy", false, "index_lifecycle.policies.*.policy",
     "policy"},
};

/* What newer engines write out, and older ones do not know, though they do the same: without it a
 * policy reads alike on both. */
static void drop_defaults(json_t *policy)
{
    const char *phase;
    json_t *actions;
    json_object_foreach(json_object_get(policy, "phases"), phase, actions)
    {
        json_t *end = json_object_get(json_object_get(actions, "actions"), "delete");
        if (json_is_true(json_object_get(end, "delete_searchable_snapshot")))
            json_object_del(end, "delete_searchable_snapshot");
    }
}

static json_t *policies_in(const json_t *section)
{
    json_t *objects = json_object(), *entry;
    const char *name;
    json_object_foreach(json_object_get(section, "policies"), name, entry)
    {
        json_t *policy = json_deep_copy(json_object_get(entry, "policy"));
        drop_defaults(policy);
        json_object_set_new(objects, name, policy);
    }
    return objects;
}

/* Since 9.2 Elasticsearch shows when an object was made and changed, and refuses to be told. */
static void leave_out_dates(const struct object_kind *kind, json_t *body)
{
    static const char *const dates[] = {"created_date", "created_date_millis", "modified_date",
                                        "modified_date_millis"};
    if (strcmp(kind->type, "template") == 0 || strcmp(kind->type, "script") == 0 ||
        strcmp(kind->type, OBJECT_POLICY) == 0)
        return; /* these have none */
    for (size_t i = 0; i < COUNT_OF(dates); i++)
        json_object_del(body, dates[i]);
}

static json_t *bodies_in(const struct object_kind *kind, const json_t *answer)
{
    const char *name;
    json_t *value;
    size_t i;
    char list[64];
    if (strcmp(kind->type, OBJECT_POLICY) == 0)
        return policies_in(answer);
    json_t *objects = json_object();
    snprintf(list, sizeof list, "%ss", kind->type);
    if (json_is_array(json_object_get(answer, list))) {
        json_array_foreach(json_object_get(answer, list), i, value)
        {
            name = json_string_value(json_object_get(value, "name"));
            if (name != NULL)
                json_object_set(objects, name, json_object_get(value, kind->type));
        }
        return objects;
    }
    json_object_foreach((json_t *)(uintptr_t)answer, name, value)
    {
        json_object_set(objects, name, value);
    }
    return objects;
}

json_t *objects_in(const struct object_kind *kind, const json_t *answer)
{
    json_t *objects = bodies_in(kind, answer), *body;
    const char *name;
    json_object_foreach(objects, name, body) leave_out_dates(kind, body);
    return objects;
}

/* Policies of an engine's own indices: old engines do not say that they are managed. */
static bool is_policy_of_engine(const char *name)
{
    static const char *const patterns[] = {"watch-history-ilm-policy*", "ilm-history-ilm-policy*",
                                           "slm-history-ilm-policy*", "ml-size-based-ilm-policy*"};
    for (size_t i = 0; i < COUNT_OF(patterns); i++)
        if (span_matches(span_cstr(name), span_cstr(patterns[i])))
            return true;
    return false;
}

bool object_is_replicated(const char *name, const json_t *body)
{
    /* LANGUAGE#ID is what 5.x shows, besides, for a stored script that is called ID. */
    return *name != '\0' && name[0] != '.' && strncmp(name, "tandem-", 7) != 0 &&
           strchr(name, '#') == NULL && strlen(name) < NAME_MAX_SIZE &&
           !is_policy_of_engine(name) &&
           !json_is_true(json_object_get(json_object_get(body, "_meta"), "managed"));
}
