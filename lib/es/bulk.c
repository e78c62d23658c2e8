/* bulk.c - walks a _bulk body line by line without parsing documents.
 *
 * A body is lines that end with '\n': an action, and behind it, but for a delete, the source. Only
 * action lines are read as JSON; a source line is found by its newline and handed out as it is. So
 * the cost of a document is that of its action line, and of memchr over its source.
 *
 * What must hold:
 *   - Position is identity: the n-th item handed out is the n-th item of any engine's answer.
 *     Whatever makes engines disagree about that is refused: see bulk.h.
 *   - What we hand out of the metadata is what the engine takes. So a key with an escape, and a key
 *     given twice (also under its old name, `routing` and `_routing`), are refused: engines differ
 *     in which one they take.
 *   - After a failure the walk stays where it is: every further call fails with the same sentence.
 *
 * Left to the engine: metadata keys we do not use, and whether a source is JSON (a bad one fails
 * its item only).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/bulk.h"

#include "base/json.h"

/* Keys that we do not know are remembered to find one that comes twice; nobody sends more than a
 * few. */
#define UNKNOWN_KEYS_MAX 16

static const struct span action_names[] = {
    [BULK_INDEX] = {"index", 5},
    [BULK_CREATE] = {"create", 6},
    [BULK_UPDATE] = {"update", 6},
    [BULK_DELETE] = {"delete", 6},
};

enum meta {
    META_INDEX,
    META_TYPE,
    META_ID,
    META_ROUTING,
    META_PIPELINE,
    META_REQUIRE_ALIAS,
    META_SOURCE,
    META_OP_TYPE,
    META_VERSION,
    META_VERSION_TYPE,
    META_IF_SEQ_NO,
    META_IF_PRIMARY_TERM,
    META_COUNT,
};

/* clang-format off */
static const struct meta_key {
    struct span name;
    enum meta meta;
} meta_keys[] = {
    {{"_index", 6}, META_INDEX},
    {{"_id", 3}, META_ID},
    {{"routing", 7}, META_ROUTING},
    {{"_routing", 8}, META_ROUTING},           /* up to 6.x */
    {{"_type", 5}, META_TYPE},
    {{"pipeline", 8}, META_PIPELINE},
    {{"require_alias", 13}, META_REQUIRE_ALIAS},
    {{"_source", 7}, META_SOURCE},
    {{"op_type", 7}, META_OP_TYPE},
    {{"version", 7}, META_VERSION},
    {{"_version", 8}, META_VERSION},           /* up to 6.x */
    {{"version_type", 12}, META_VERSION_TYPE},
    {{"_version_type", 13}, META_VERSION_TYPE}, /* up to 6.x, as the next two */
    {{"versionType", 11}, META_VERSION_TYPE},
    {{"_versionType", 12}, META_VERSION_TYPE},
    {{"if_seq_no", 9}, META_IF_SEQ_NO},
    {{"if_primary_term", 15}, META_IF_PRIMARY_TERM},
};
/* clang-format on */

/* What one action line says. */
struct metadata {
    unsigned seen; /* bits of enum meta */
    struct span values[META_COUNT];
    struct span unknown[UNKNOWN_KEYS_MAX];
    size_t unknown_count;
};

const char *bulk_action_name(enum bulk_action action)
{
    CHECK((size_t)action < COUNT_OF(action_names));
    return action_names[action].data;
}

void bulk_walk_init(struct bulk_walk *walk, struct span body)
{
    *walk = (struct bulk_walk){.begin = body.data, .at = body.data};
    walk->end = body.size == 0 ? body.data : body.data + body.size;
}

static enum status refuse(struct bulk_walk *walk, const char *why)
{
    walk->why = why;
    walk->why_line = walk->lines;
    return STATUS_BAD_INPUT;
}

/* Takes the next line, without its newline and a '\r' before it. False when no newline ends it. */
static inline bool take_line(struct bulk_walk *walk, struct span *line)
{
    const char *newline = memchr(walk->at, '\n', (size_t)(walk->end - walk->at));
    walk->lines++;
    if (newline == NULL)
        return false;
    size_t size = (size_t)(newline - walk->at);
    if (size > 0 && newline[-1] == '\r')
        size--;
    *line = span_of(walk->at, size);
    walk->at = newline + 1;
    return true;
}

static inline const char *skip_space(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

static bool action_by_name(struct span name, enum bulk_action *action)
{
    for (size_t i = 0; i < COUNT_OF(action_names); i++) {
        if (span_equal(name, action_names[i])) {
            *action = (enum bulk_action)i;
            return true;
        }
    }
    return false;
}

/* Reads `{"index":` and gives where the metadata begins. NULL with *WHY. */
static const char *read_action(struct span line, enum bulk_action *action, const char **why)
{
    const char *end = line.data + line.size, *at = skip_space(line.data, end);
    *why = "an action must be a JSON object as {\"index\":{...}}";
    if (at == end || *at != '{')
        return NULL;
    at = skip_space(at + 1, end);
    if (at != end && *at == '}')
        *why = "expected FIELD_NAME but found [END_OBJECT]"; /* the engines' words */
    if (at == end || *at != '"')
        return NULL;
    const char *quote = memchr(at + 1, '"', (size_t)(end - at - 1));
    if (quote == NULL)
        return NULL;
    if (!action_by_name(span_of(at + 1, (size_t)(quote - at - 1)), action)) {
        *why = "the action is none of index, create, update and delete";
        return NULL;
    }
    at = skip_space(quote + 1, end);
    if (at == end || *at != ':')
        return NULL;
    at = skip_space(at + 1, end);
    if (at == end || *at != '{') {
        *why = "the metadata of an action must be an object";
        return NULL;
    }
    return at;
}

static inline const struct meta_key *meta_key_of(struct span name)
{
    for (size_t i = 0; i < COUNT_OF(meta_keys); i++)
        if (span_equal(name, meta_keys[i].name))
            return &meta_keys[i];
    return NULL;
}

static const char *add_unknown(struct metadata *meta, struct span key)
{
    if (key.size > 0 && memchr(key.data, '\\', key.size) != NULL)
        return "a key of the metadata must be written without escapes";
    for (size_t i = 0; i < meta->unknown_count; i++)
        if (span_equal(meta->unknown[i], key))
            return "a key of the metadata is given twice";
    if (meta->unknown_count == UNKNOWN_KEYS_MAX)
        return "the metadata has too many keys";
    meta->unknown[meta->unknown_count++] = key;
    return NULL;
}

/* The sentence against it, or NULL. */
static inline const char *add_member(struct metadata *meta, struct span key, struct span value)
{
    if (value.data[0] == '[')
        return "an array cannot be a value of the metadata";
    const struct meta_key *known = meta_key_of(key);
    if (known == NULL)
        return add_unknown(meta, key);
    if ((meta->seen & BIT(known->meta)) != 0)
        return "a key of the metadata is given twice";
    if (value.data[0] == '{' && known->meta != META_SOURCE)
        return "this key of the metadata must have a simple value";
    meta->seen |= BIT(known->meta);
    meta->values[known->meta] = json_is_null(value) ? SPAN_NONE : value;
    return NULL;
}

/* Reads the object that begins at AT, and that nothing but the action's closing bracket follows. */
static const char *read_metadata(const char *at, const char *end, struct metadata *meta,
                                 struct span *object)
{
    struct json_walk walk;
    struct span key, value;
    if (!json_enter(&walk, span_of(at, (size_t)(end - at)), '{'))
        return "the action line is not valid JSON";
    while (json_next_member(&walk, &key, &value)) {
        const char *why = add_member(meta, key, value);
        if (why != NULL)
            return why;
    }
    if (walk.failed)
        return "the action line is not valid JSON";
    *object = span_of(at, (size_t)(walk.at - at));
    at = skip_space(walk.at, end);
    if (at == end)
        return "the action line is not valid JSON";
    if (*at == ',')
        return "a line can hold one action only";
    if (*at != '}')
        return "the action line is not valid JSON";
    return skip_space(at + 1, end) == end ? NULL
                                          : "nothing may stand behind the object of an action";
}

static bool is_external(struct span version_type)
{
    return json_string_is(version_type, SPAN("external")) ||
           json_string_is(version_type, SPAN("external_gt")) ||
           json_string_is(version_type, SPAN("external_gte"));
}

static inline struct span meta_value(const struct metadata *meta, enum meta which)
{
    return (meta->seen & BIT(which)) != 0 ? meta->values[which] : SPAN_NONE;
}

static inline void fill_item(struct bulk_item *item, const struct metadata *meta)
{
    item->index = meta_value(meta, META_INDEX);
    item->type = meta_value(meta, META_TYPE);
    item->id = meta_value(meta, META_ID);
    item->routing = meta_value(meta, META_ROUTING);
    item->pipeline = meta_value(meta, META_PIPELINE);
    item->require_alias = meta_value(meta, META_REQUIRE_ALIAS);
    item->source_filter = meta_value(meta, META_SOURCE);
    item->op_type = meta_value(meta, META_OP_TYPE);
    item->forces_version = json_string_is(meta_value(meta, META_VERSION_TYPE), SPAN("force"));
    item->has_external_version =
        item->forces_version || is_external(meta_value(meta, META_VERSION_TYPE));
    /* A version without an external type is a condition too, up to 6.x; later engines refuse it. */
    item->has_condition = meta_value(meta, META_IF_SEQ_NO).size > 0 ||
                          meta_value(meta, META_IF_PRIMARY_TERM).size > 0 ||
                          (meta_value(meta, META_VERSION).size > 0 && !item->has_external_version);
}

/* Takes lines until one has an action. NOT_FOUND at the end of the body. */
static enum status take_action_line(struct bulk_walk *walk, struct span *line)
{
    do {
        if (walk->at == walk->end)
            return STATUS_NOT_FOUND;
        if (!take_line(walk, line))
            return refuse(walk, "the last line must end with a newline");
    } while (skip_space(line->data, line->data + line->size) == line->data + line->size);
    return STATUS_OK;
}

enum status bulk_next(struct bulk_walk *walk, struct bulk_item *item)
{
    struct metadata meta;
    const char *why;
    if (walk->why != NULL)
        return STATUS_BAD_INPUT;
    meta.seen = 0; /* the values are written before they are read */
    meta.unknown_count = 0;

    enum status status = take_action_line(walk, &item->line);
    if (status != STATUS_OK)
        return status;
    const char *at = read_action(item->line, &item->action, &why);
    if (at == NULL)
        return refuse(walk, why);
    why = read_metadata(at, item->line.data + item->line.size, &meta, &item->metadata);
    if (why != NULL)
        return refuse(walk, why);
    fill_item(item, &meta);
    item->number = walk->items;
    item->line_number = walk->lines;

    item->source = SPAN_NONE;
    if (item->action != BULK_DELETE) {
        if (walk->at == walk->end)
            return refuse(walk, "the action has no source line behind it");
        if (!take_line(walk, &item->source))
            return refuse(walk, "the last line must end with a newline");
    }
    walk->items++;
    return STATUS_OK;
}
