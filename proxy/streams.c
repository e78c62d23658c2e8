/* streams.c - data streams, as a standby is to have them: their indices, behind an alias.
 *
 * A data stream takes no external versions, so its copy can't be one. But what it is made of are
 * indices with names, lives and sequence numbers of their own, and what it is to clients is a name
 * that they write to and search. So each of its indices is replicated like any other, with the
 * stream's name as an alias of it, which leads writes to the last one. A rollover is then a new
 * index, and an alias that moves.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <string.h>

#include "proxy/definitions.h"

json_t *streams_members(const json_t *metadata)
{
    json_t *members = json_object(), *stream, *index;
    const char *name;
    size_t i;
    json_object_foreach(json_object_get(json_object_get(metadata, "data_stream"), "data_stream"),
                        name, stream)
    {
        const json_t *indices = json_object_get(stream, "indices");
        json_array_foreach(indices, i, index)
        {
            const char *member = json_string_value(json_object_get(index, "index_name"));
            bool last = i + 1 == json_array_size(indices);
            if (member != NULL)
                json_object_set_new(members, member,
                                    json_pack("{s:s, s:b}", "stream", name, "write", last));
        }
    }
    return members;
}

void streams_see(const json_t *members, struct seen_index *seen)
{
    const json_t *member = json_object_get(members, seen->name);
    const char *stream = json_string_value(json_object_get(member, "stream"));
    seen->stream = stream == NULL ? NULL : bytes_strdup(stream);
    seen->stream_write = json_is_true(json_object_get(member, "write"));
}

bool streams_moved(const struct seen_index *seen, const struct catalog_index *old)
{
    bool both = seen->stream != NULL && old->stream != NULL;
    return (seen->stream == NULL) != (old->stream == NULL) ||
           (both && strcmp(seen->stream, old->stream) != 0) ||
           seen->stream_write != old->stream_write;
}

json_t *streams_aliases(const struct seen_index *seen, const json_t *aliases)
{
    json_t *with =
        json_is_object(aliases) ? json_copy((json_t *)(uintptr_t)aliases) : json_object();
    if (seen->stream != NULL)
        json_object_set_new(with, seen->stream,
                            json_pack("{s:b}", "is_write_index", seen->stream_write));
    return with;
}
