/* vectors.c - fields of vectors, which an engine may leave out of the documents that it answers.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/vectors.h"

#include <string.h>

#include "base/hash.h"
#include "base/json.h"

/* A document as far as it was walked. */
struct digesting {
    const char *fields; /* borrowed: paths, each with a newline before and behind it */
    struct buffer path; /* owned: of the present value, with a newline before it */
};

static bool is_listed(struct digesting *d)
{
    buffer_append_char(&d->path, '\n');
    bool listed = strstr(d->fields, buffer_cstr(&d->path)) != NULL;
    d->path.size--;
    return listed;
}

static uint64_t both(uint64_t one, uint64_t other)
{
    uint64_t pair[] = {one, other};
    return hash64(pair, sizeof pair, 4);
}

static uint64_t digest_value(struct digesting *d, struct span value);

/* In the order of the list, but of a listed vector only how long it is. An object in a list has the
 * list's path. */
static uint64_t digest_list(struct digesting *d, struct span list)
{
    struct json_walk walk;
    struct span element;
    bool counted = is_listed(d);
    uint64_t digest = 0, count = 0;
    if (json_enter(&walk, list, '['))
        for (; json_next_element(&walk, &element); count++)
            digest = counted ? 0 : both(digest, digest_value(d, element));
    return both(digest, count);
}

/* In any order. */
static uint64_t digest_object(struct digesting *d, struct span object)
{
    struct json_walk walk;
    struct span key, value;
    size_t size = d->path.size;
    uint64_t digest = 1;
    if (json_enter(&walk, object, '{'))
        while (json_next_member(&walk, &key, &value)) {
            if (size > 1)
                buffer_append_char(&d->path, '.');
            buffer_append_span(&d->path, key);
            digest += both(hash64(key.data, key.size, 5), digest_value(d, value));
            d->path.size = size;
        }
    return both(digest, 1);
}

static uint64_t digest_value(struct digesting *d, struct span value)
{
    if (value.data[0] == '[')
        return digest_list(d, value);
    if (value.data[0] == '{')
        return digest_object(d, value);
    return hash64(value.data, value.size, 6);
}

uint64_t vectors_digest(struct span source, const char *fields)
{
    struct digesting d = {.fields = fields};
    if (source.size == 0 || !json_valid(source) || source.data[0] != '{')
        return hash64(source.data, source.size, 6);
    buffer_append_char(&d.path, '\n');
    uint64_t digest = digest_object(&d, source);
    buffer_fini(&d.path);
    return digest;
}
