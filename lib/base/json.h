/* json.h - walks JSON text in place, without building a tree.
 *
 * For the data path: finding a few members in large documents at memory speed, and handing out the
 * exact bytes of a value (a `_source` must be journaled as it was written, 1.0 as 1.0). Control
 * paths use jansson.
 *
 * A walk is over borrowed bytes. Values are handed out raw: a string with its quotes and escapes.
 * Text that is not JSON ends the walk with `failed` set; nesting is bounded by JSON_DEPTH_MAX.
 *
 *     struct json_walk walk;
 *     struct span key, value;
 *     if (json_enter(&walk, text, '{'))
 *         while (json_next_member(&walk, &key, &value)) ...
 *     if (walk.failed) ...
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_JSON_H
#define TANDEM_BASE_JSON_H

#include "base/bytes.h"

/* More than any engine takes of a document (1,000, or less, where they have a limit), and what an
 * answer adds. */
#define JSON_DEPTH_MAX 10000

struct json_walk {
    const char *at, *end;
    bool failed; /* the text is not JSON, or ends early */
    bool first;  /* no member was read yet */
    char close;  /* the bracket that ends the walk */
};

/* Begins a walk over the object or array that TEXT holds (white space around it allowed). OPEN is
 * '{' or
 * '['. False when TEXT does not begin with it (failed is set then). */
bool json_enter(struct json_walk *walk, struct span text, char open);
/* The next member of an object: KEY without its quotes but with escapes as they are, VALUE raw.
 * False at the end or on failure. At the true end, `at` stands behind the closing bracket. */
bool json_next_member(struct json_walk *walk, struct span *key, struct span *value);
/* The next element of an array. */
bool json_next_element(struct json_walk *walk, struct span *value);
/* The next element, which begins with OPEN, is not passed over but walked itself, by INNER: long
 * ones are read once then. When INNER has come to its end, json_leave() goes on behind it. False at
 * the end or on failure. */
bool json_enter_element(struct json_walk *walk, char open, struct json_walk *inner);
/* The same with the next member of an object, when it is NAME; false, and WALK stays where it was,
 * when it is not. */
bool json_enter_member(struct json_walk *walk, struct span name, char open,
                       struct json_walk *inner);
/* False, and WALK has failed, when INNER is not at its end. */
bool json_leave(struct json_walk *walk, const struct json_walk *inner);

/* The raw value of member NAME of the object TEXT; SPAN_NONE when absent. Looks at this object
 * only. */
struct span json_member(struct span text, struct span name);
/* Follows a path of member names, separated by '/', as json_member. */
struct span json_path(struct span text, const char *path);

/* True when TEXT is one whole, valid JSON value with nothing but white space around it. */
bool json_valid(struct span text);
/* How long the JSON value is that begins at TEXT (after white space, which counts); 0 when it is
 * not valid or does not end within TEXT (a number may end with TEXT). */
size_t json_value_size(struct span text);

/* Where what is neither white space nor a comment begins, from AT on; END when there is nothing
 * else. */
const char *json_skip_space(const char *at, const char *end);
/* Appends the JSON value TEXT in one line: line ends become spaces; when there are some, comments
 * are left out, since one that began with two slashes would swallow what follows. */
void json_append_line(struct span text, struct buffer *out);

/* Value kinds. */
static inline bool json_is_string(struct span value)
{
    return value.size >= 2 && value.data[0] == '"';
}
static inline bool json_is_null(struct span value)
{
    return value.size == 4 && value.data[0] == 'n';
}
static inline bool json_is_true(struct span value)
{
    return value.size == 4 && value.data[0] == 't';
}
/* An integer that fits; false for anything else (1.0 and 1e3 too). */
bool json_to_i64(struct span value, int64_t *number);
/* Decodes a raw string (quotes included) and appends the text; false when it has a bad escape. */
bool json_string_decode(struct span value, struct buffer *out);
/* True when the raw string VALUE decodes to TEXT. */
bool json_string_is(struct span value, struct span text);

#endif
