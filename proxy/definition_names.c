/* definition_names.c - which index names a change of definitions touches.
 *
 * Apart from request.c because jansson and base/json.h share names.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>

#include "base/json_tree.h"
#include "proxy/write.h"

static void use_list(struct exchange *ex, struct span list)
{
    struct span decoded = write_decode_segment(ex, list);
    while (decoded.size != 0) {
        const char *comma = memchr(decoded.data, ',', decoded.size);
        size_t size = comma == NULL ? decoded.size : (size_t)(comma - decoded.data);
        if (size != 0)
            request_use_name(ex, span_of(decoded.data, size));
        decoded = comma == NULL ? SPAN_NONE : span_of(comma + 1, decoded.size - size - 1);
    }
}

static void use_json_names(struct exchange *ex, const json_t *value)
{
    const char *key;
    json_t *member;
    size_t i;
    if (json_is_array(value))
        json_array_foreach(value, i, member) use_json_names(ex, member);
    if (!json_is_object(value))
        return;
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        bool names = strcmp(key, "index") == 0 || strcmp(key, "indices") == 0 ||
                     strcmp(key, "alias") == 0 || strcmp(key, "aliases") == 0;
        if (names && json_is_string(member))
            request_use_name(ex, arena_copy(&ex->arena, span_cstr(json_string_value(member))));
        else if (names && json_is_array(member))
            for (size_t n = 0; n < json_array_size(member); n++)
                request_use_name(ex, arena_copy(&ex->arena, span_cstr(json_string_value(
                                                                json_array_get(member, n)))));
        else
            use_json_names(ex, member);
    }
}

void request_metadata_names(struct exchange *ex)
{
    const char *api = ex->op.api == NULL ? "" : ex->op.api;
    struct span path = ex->head.path;
    ex->use.count = 0;
    if (strstr(api, "template") != NULL || strstr(api, "pipeline") != NULL ||
        strstr(api, "script") != NULL || strcmp(api, "ilm.put_lifecycle") == 0 ||
        strcmp(api, "ilm.delete_lifecycle") == 0)
        return; /* no index is touched by these */
    if (strstr(api, "snapshot") != NULL || strstr(api, "dangling") != NULL)
        return; /* what is restored is new, or closed: nobody writes to it */
    if (strcmp(api, "indices.update_aliases") == 0) {
        json_t *json = json_tree(buffer_span(&ex->body));
        use_json_names(ex, json);
        json_decref(json);
        return;
    }
    while (path.size != 0) {
        const char *slash = memchr(path.data, '/', path.size);
        size_t size = slash == NULL ? path.size : (size_t)(slash - path.data);
        if (size != 0 &&
            (path.data[0] != '_' || span_equal(span_of(path.data, size), SPAN("_all"))))
            use_list(ex, span_of(path.data, size));
        path = slash == NULL ? SPAN_NONE : span_of(slash + 1, path.size - size - 1);
    }
    if (ex->use.count == 0)
        request_use_name(ex, SPAN("*"));
}
