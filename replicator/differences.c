/* differences.c - in what two definitions differ.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/differences.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define SHOWN_SIZE 200

static void add(json_t *list, const char *kind, const char *name, const char *path,
                const json_t *primary, const json_t *there)
{
    json_t *entry = json_pack("{s:s, s:s, s:s}", "kind", kind, "what",
                              there == NULL ? "missing" : (primary == NULL ? "extra" : "different"),
                              "name", name);
    if (path != NULL)
        json_object_set_new(entry, "path", json_string(path));
    json_object_set(entry, "primary", (json_t *)(uintptr_t)primary);
    json_object_set(entry, "standby", (json_t *)(uintptr_t)there);
    json_array_append_new(list, entry);
}

static void compare_paths(json_t *list, const char *kind, const char *name, const json_t *primary,
                          const json_t *there)
{
    const char *path;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)primary, path, value)
    {
        const json_t *other = json_object_get(there, path);
        if (!json_equal(value, other))
            add(list, kind, name, path, value, other);
    }
    json_object_foreach((json_t *)(uintptr_t)there, path, value)
    {
        if (json_object_get(primary, path) == NULL)
            add(list, kind, name, path, NULL, value);
    }
}

static void compare_names(json_t *list, const char *kind, const json_t *primary,
                          const json_t *there)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)primary, name, value)
    {
        const json_t *other = json_object_get(there, name);
        if (other == NULL)
            add(list, kind, name, NULL, value, NULL);
        else
            compare_paths(list, kind, name, value, other);
    }
    json_object_foreach((json_t *)(uintptr_t)there, name, value)
    {
        if (json_object_get(primary, name) == NULL)
            add(list, kind, name, NULL, NULL, value);
    }
}

json_t *differences_of(const json_t *primary, const json_t *there)
{
    json_t *list = json_array(), *value;
    const char *kind;
    json_object_foreach((json_t *)(uintptr_t)primary, kind, value)
        compare_names(list, kind, value, json_object_get(there, kind));
    json_object_foreach((json_t *)(uintptr_t)there, kind, value)
    {
        if (json_object_get(primary, kind) == NULL)
            compare_names(list, kind, NULL, value);
    }
    return list;
}

static const json_t *at_place(const json_t *parts, const json_t *difference)
{
    const char *kind = json_string_value(json_object_get(difference, "kind"));
    const char *name = json_string_value(json_object_get(difference, "name"));
    const char *path = json_string_value(json_object_get(difference, "path"));
    const json_t *named = json_object_get(json_object_get(parts, kind), name);
    return path == NULL ? named : json_object_get(named, path);
}

bool differences_agree(const json_t *difference, const json_t *primary, const json_t *other)
{
    const json_t *one = at_place(primary, difference), *two = at_place(other, difference);
    return one == NULL ? two == NULL : json_equal(one, two) != 0;
}

json_t *differences_show(const json_t *difference)
{
    json_t *shown = json_object(), *value;
    const char *member;
    json_object_foreach((json_t *)(uintptr_t)difference, member, value)
    {
        char text[SHOWN_SIZE + 4];
        char *whole = json_is_string(value) ? bytes_strdup(json_string_value(value))
                                            : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        snprintf(text, sizeof text, "%.*s%s", SHOWN_SIZE, whole,
                 strlen(whole) > SHOWN_SIZE ? "..." : "");
        bytes_mend_utf8(text); /* it may have been cut within a character */
        if (strcmp(member, "name") != 0 || *text != '\0')
            json_object_set_new(shown, member, json_string(text));
        free(whole);
    }
    return shown;
}
