/* index_state.c - what the cluster state says of the life of an index, and the statistics of its
 * numbers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/index_state.h"

#include <stdlib.h>
#include <string.h>

void index_life_key(const json_t *index, struct buffer *key)
{
    const json_t *settings = json_object_get(json_object_get(index, "settings"), "index");
    const char *uuid = json_string_value(json_object_get(settings, "uuid"));
    const char *history =
        json_string_value(json_object_get(json_object_get(settings, "history"), "uuid"));
    if (uuid != NULL)
        buffer_append_cstr(key, uuid);
    if (history != NULL && *history != '\0')
        buffer_appendf(key, "/%s", history);
}

bool index_is_life(const json_t *index, const char *key)
{
    struct buffer own = {0};
    index_life_key(index, &own);
    bool same = strcmp(buffer_cstr(&own), key) == 0;
    buffer_fini(&own);
    return same;
}

const char *index_unnumbered(const json_t *definition)
{
    const json_t *index = json_object_get(json_object_get(definition, "settings"), "index");
    const char *created =
        json_string_value(json_object_get(json_object_get(index, "version"), "created"));
    return created == NULL || strtol(created, NULL, 10) >= 6000000
               ? NULL
               : "an engine before 6.0 made it, so documents may have no sequence numbers: _reindex "
                 "it on the primary";
}

const json_t *index_primary_copy(const json_t *copies)
{
    size_t i;
    json_t *copy;
    json_array_foreach(copies, i, copy)
    {
        if (json_is_true(json_object_get(json_object_get(copy, "routing"), "primary")))
            return copy;
    }
    return NULL;
}

const json_t *index_shard_numbers(const json_t *copies)
{
    return json_object_get(index_primary_copy(copies), "seq_no");
}
