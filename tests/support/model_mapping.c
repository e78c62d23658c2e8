/* model_mapping.c - mappings of the model cluster: given, guessed from documents, checked.
 *
 * A document is looked at whole before anything changes: it is refused, or the mapping grows by all
 * its new fields in one step of the cluster state, and then it is stored.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdlib.h>

#include "base/json.h"
#include "model_impl.h"

#define DUPLICATES_LOOKED_AT 64 /* names of one object; more are not compared */

/* ---- types ---- */

static enum field_type type_of(const char *name)
{
    static const struct {
        const char *name;
        enum field_type type;
    } types[] = {{"long", FIELD_LONG},        {"integer", FIELD_LONG},    {"short", FIELD_LONG},
                 {"byte", FIELD_LONG},        {"float", FIELD_FLOAT},     {"double", FIELD_FLOAT},
                 {"half_float", FIELD_FLOAT}, {"boolean", FIELD_BOOLEAN}, {"date", FIELD_DATE},
                 {"text", FIELD_TEXT},        {"keyword", FIELD_TEXT},    {"object", FIELD_OBJECT},
                 {"nested", FIELD_OBJECT}};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strcmp(name, types[i].name) == 0)
            return types[i].type;
    return FIELD_ANYTHING;
}

static bool digits(struct span text, size_t at, size_t count)
{
    if (at + count > text.size)
        return false;
    for (size_t i = at; i < at + count; i++)
        if (!isdigit((unsigned char)text.data[i]))
            return false;
    return true;
}

/* yyyy-MM, yyyy-MM-dd and more behind a T; yyyy/MM/dd and more behind a blank. TEXT without quotes.
 */
static bool looks_like_date(struct span text, bool *slashes)
{
    *slashes = false;
    if (!digits(text, 0, 4) || text.size < 7 || !digits(text, 5, 2))
        return false;
    *slashes = text.data[4] == '/';
    if (text.data[4] != '-' && !*slashes)
        return false;
    if (text.size == 7)
        return !*slashes;
    if (text.data[7] != text.data[4] || !digits(text, 8, 2))
        return false;
    return text.size == 10 || (text.data[10] == (*slashes ? ' ' : 'T') && digits(text, 11, 2));
}

static bool is_number(struct span text)
{
    char copy[64], *end;
    if (text.size == 0 || text.size >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    strtod(copy, &end);
    return *end == '\0' && (isdigit((unsigned char)copy[0]) || copy[0] == '-' || copy[0] == '+');
}

static bool fits_long(struct span text)
{
    int64_t whole;
    if (json_to_i64(text, &whole))
        return true;
    return is_number(text) && memchr(text.data, '.', text.size) != NULL;
}

/* True when the scalar VALUE can be stored in a field of TYPE. */
static bool fits(enum field_type type, struct span value)
{
    bool string = raw_is_string(value), slashes;
    struct span text = string ? span_of(value.data + 1, value.size - 2) : value;
    bool boolean = value.data[0] == 't' || value.data[0] == 'f';
    switch (type) {
    case FIELD_LONG:
        return !boolean && (fits_long(text) || (string && text.size == 0));
    case FIELD_FLOAT:
        return !boolean && (is_number(text) || (string && text.size == 0));
    case FIELD_BOOLEAN:
        return boolean || (string && (text.size == 0 || span_equal(text, SPAN("true")) ||
                                      span_equal(text, SPAN("false"))));
    case FIELD_DATE:
        return !boolean && (!string || looks_like_date(text, &slashes) || is_number(text));
    case FIELD_OBJECT:
        return false;
    case FIELD_TEXT:
    case FIELD_ANYTHING:
        break;
    }
    return true;
}

/* ---- the compiled mapping ---- */

void mapping_fields_free(struct model_index *index)
{
    struct model_field *field, *next;
    HASH_ITER(hh, index->fields, field, next)
    {
        HASH_DEL(index->fields, field);
        free(field->path);
        free(field->type_name);
        free(field);
    }
    index->field_count = 0;
}

static void compile(struct model_index *index, const json_t *properties, const char *prefix)
{
    const char *name;
    json_t *definition;
    json_object_foreach((json_t *)(uintptr_t)properties, name, definition)
    {
        struct model_field *field = bytes_zalloc(sizeof *field);
        const char *type = json_text(definition, "type");
        if (type == NULL)
            type = "object";
        field->path = bytes_alloc(strlen(prefix) + strlen(name) + 2);
        sprintf(field->path, "%s%s%s", prefix, *prefix == '\0' ? "" : ".", name);
        field->type =
            json_is_false(json_object_get(definition, "enabled")) ? FIELD_ANYTHING : type_of(type);
        field->type_name = bytes_strdup(type);
        HASH_ADD_KEYPTR(hh, index->fields, field->path, strlen(field->path), field);
        index->field_count += 1 + json_object_size(json_object_get(definition, "fields"));
        compile(index, json_object_get(definition, "properties"), field->path);
    }
}

void mapping_compile(struct model_index *index)
{
    mapping_fields_free(index);
    compile(index, json_object_get(index->mapping, "properties"), "");
    const char *dynamic = json_text(index->mapping, "dynamic");
    index->dynamic = DYNAMIC_TRUE;
    if (json_is_false(json_object_get(index->mapping, "dynamic")) ||
        (dynamic != NULL && strcmp(dynamic, "false") == 0))
        index->dynamic = DYNAMIC_FALSE;
    else if (dynamic != NULL && strcmp(dynamic, "strict") == 0)
        index->dynamic = DYNAMIC_STRICT;
    index->date_detection = !json_is_false(json_object_get(index->mapping, "date_detection"));
    index->routing_required =
        json_is_true(json_object_get(json_object_get(index->mapping, "_routing"), "required"));
    index->source_disabled =
        json_is_false(json_object_get(json_object_get(index->mapping, "_source"), "enabled"));
}

static size_t count_properties(const json_t *properties)
{
    const char *name;
    json_t *definition;
    size_t count = 0;
    json_object_foreach((json_t *)(uintptr_t)properties, name, definition) count +=
        1 + json_object_size(json_object_get(definition, "fields")) +
        count_properties(json_object_get(definition, "properties"));
    return count;
}

size_t mapping_count(const json_t *mapping)
{
    return count_properties(json_object_get(mapping, "properties"));
}

/* ---- merging ---- */

static const char *shown_type(const json_t *definition)
{
    const char *type = json_text(definition, "type");
    return type == NULL ? "object" : type;
}

static bool merge_properties(json_t *into, const json_t *from, const char *prefix,
                             struct failure *failure)
{
    const char *name;
    json_t *definition;
    json_object_foreach((json_t *)(uintptr_t)from, name, definition)
    {
        char path[512];
        json_t *old = json_object_get(into, name);
        snprintf(path, sizeof path, "%s%s%s", prefix, *prefix == '\0' ? "" : ".", name);
        if (old == NULL) {
            json_object_set_new(into, name, json_deep_copy(definition));
            continue;
        }
        if (strcmp(shown_type(old), shown_type(definition)) != 0) {
            fail(failure, 400, "illegal_argument_exception",
                 "mapper [%s] cannot be changed from type [%s] to [%s]", path, shown_type(old),
                 shown_type(definition));
            return false;
        }
        json_t *below = json_object_get(definition, "properties");
        if (below != NULL && json_object_get(old, "properties") == NULL)
            json_object_set_new(old, "properties", json_object());
        if (!merge_properties(json_object_get(old, "properties"), below, path, failure))
            return false;
        const char *key;
        json_t *value;
        json_object_foreach(definition, key, value)
        {
            if (strcmp(key, "properties") != 0)
                json_object_set_new(old, key, json_deep_copy(value));
        }
    }
    return true;
}

bool mapping_merge(json_t *into, const json_t *from, struct failure *failure)
{
    const char *name;
    json_t *value;
    const json_t *typed = json_object_get(from, "_doc");
    if (typed != NULL)
        from = typed;
    json_object_foreach((json_t *)(uintptr_t)from, name, value)
    {
        if (strcmp(name, "properties") != 0) {
            json_object_set_new(into, name, json_deep_copy(value));
            continue;
        }
        if (json_object_get(into, "properties") == NULL && json_object_size(value) != 0)
            json_object_set_new(into, "properties", json_object());
        if (!merge_properties(json_object_get(into, "properties"), value, "", failure))
            return false;
    }
    return true;
}

/* ---- documents ---- */

struct guess {
    char *path; /* owned */
    enum field_type type;
    const char *definition; /* JSON */
    const char *type_name;
    struct guess *next;
};

struct taking {
    struct model_index *index;
    struct span id;
    struct buffer *path;
    struct guess *guesses;
    struct failure *failure;
};

static bool take_value(struct taking *taking, struct span value);

static bool refuse_value(struct taking *taking, const char *type, struct span value, bool object)
{
    struct span path = buffer_span(taking->path);
    struct span shown = raw_is_string(value) ? span_of(value.data + 1, value.size - 2) : value;
    int width = shown.size > 60 ? 60 : (int)shown.size;
    if (object)
        fail(taking->failure, 400, "mapper_parsing_exception",
             "object mapping for [%.*s] tried to parse field [%.*s] as object, but found a "
             "concrete value",
             (int)path.size, path.data, (int)path.size, path.data);
    else
        fail(taking->failure, 400, "mapper_parsing_exception",
             "failed to parse field [%.*s] of type [%s] in document with id '%.*s'. Preview of "
             "field's "
             "value: '%.*s'",
             (int)path.size, path.data, type, (int)taking->id.size, taking->id.data, width,
             shown.data);
    taking->failure->cause = object ? NULL : "illegal_argument_exception";
    return false;
}

static bool not_json(struct failure *failure)
{
    fail(failure, 400, "mapper_parsing_exception", "failed to parse");
    failure->cause = "json_parse_exception";
    return false;
}

static struct guess *guess_find(const struct taking *taking, struct span path)
{
    for (struct guess *guess = taking->guesses; guess != NULL; guess = guess->next)
        if (span_equal(span_cstr(guess->path), path))
            return guess;
    return NULL;
}

static void guess_value(struct guess *guess, struct span value, bool date_detection)
{
    bool slashes;
    guess->type = FIELD_TEXT;
    guess->definition = "{\"type\":\"text\",\"fields\":{\"keyword\":{\"type\":\"keyword\","
                        "\"ignore_above\":256}}}";
    if (value.data[0] == '{') {
        guess->type = FIELD_OBJECT;
        guess->definition = "{\"type\":\"object\"}";
    } else if (value.data[0] == 't' || value.data[0] == 'f') {
        guess->type = FIELD_BOOLEAN;
        guess->definition = "{\"type\":\"boolean\"}";
    } else if (!raw_is_string(value)) {
        bool whole = strcspn(value.data, ".eE,}] \n") >= value.size;
        guess->type = whole ? FIELD_LONG : FIELD_FLOAT;
        guess->definition = whole ? "{\"type\":\"long\"}" : "{\"type\":\"float\"}";
    } else if (date_detection &&
               looks_like_date(span_of(value.data + 1, value.size - 2), &slashes)) {
        guess->type = FIELD_DATE;
        guess->definition =
            slashes ? "{\"type\":\"date\",\"format\":\"yyyy/MM/dd HH:mm:ss||yyyy/MM/dd||"
                      "epoch_millis\"}"
                    : "{\"type\":\"date\"}";
    }
    static const char *const names[] = {"object", "long", "float", "boolean", "date", "text", ""};
    guess->type_name = names[guess->type];
}

/* A field that the mapping does not know. */
static bool take_new(struct taking *taking, struct span value)
{
    struct span path = buffer_span(taking->path);
    struct guess now, *before = guess_find(taking, path);
    if (taking->index->dynamic == DYNAMIC_STRICT) {
        fail(taking->failure, 400, "strict_dynamic_mapping_exception",
             "mapping set to strict, dynamic introduction of [%.*s] within [_doc] is not allowed",
             (int)path.size, path.data);
        return false;
    }
    if (taking->index->dynamic == DYNAMIC_FALSE)
        return true;
    guess_value(&now, value, taking->index->date_detection);
    if (before == NULL) {
        before = bytes_alloc(sizeof *before);
        *before = now;
        before->path = span_dup(path);
        before->next = taking->guesses;
        taking->guesses = before;
        return true;
    }
    if (before->type == now.type)
        return true;
    fail(taking->failure, 400, "illegal_argument_exception",
         "mapper [%s] cannot be changed from type [%s] to [%s]", before->path, before->type_name,
         now.type_name);
    return false;
}

static bool take_object(struct taking *taking, struct span text)
{
    struct json_walk walk;
    struct span key, value, seen[DUPLICATES_LOOKED_AT];
    size_t count = 0, size = taking->path->size;
    if (!json_enter(&walk, text, '{'))
        return not_json(taking->failure);
    while (json_next_member(&walk, &key, &value)) {
        for (size_t i = 0; i < count; i++)
            if (span_equal(seen[i], key))
                return not_json(taking->failure);
        if (count < DUPLICATES_LOOKED_AT)
            seen[count++] = key;
        if (size != 0)
            buffer_append_char(taking->path, '.');
        buffer_append_span(taking->path, key);
        bool ok = take_value(taking, value);
        taking->path->size = size;
        if (!ok)
            return false;
    }
    return !walk.failed || not_json(taking->failure);
}

static bool take_value(struct taking *taking, struct span value)
{
    struct model_field *field;
    if (value.data[0] == 'n')
        return true;
    if (value.data[0] == '[') {
        struct json_walk walk;
        struct span element;
        json_enter(&walk, value, '[');
        while (json_next_element(&walk, &element))
            if (!take_value(taking, element))
                return false;
        return true;
    }
    HASH_FIND(hh, taking->index->fields, taking->path->data, taking->path->size, field);
    if (field == NULL && !take_new(taking, value))
        return false;
    if (value.data[0] != '{')
        return field == NULL || fits(field->type, value) ||
               refuse_value(taking, field->type_name, value, field->type == FIELD_OBJECT);
    if (field != NULL && field->type != FIELD_OBJECT)
        return field->type == FIELD_ANYTHING ||
               refuse_value(taking, field->type_name, value, false);
    if (field == NULL && taking->index->dynamic == DYNAMIC_FALSE)
        return true;
    return take_object(taking, value);
}

/* Puts one guess where it belongs; objects on the way are made. */
static void add_guess(json_t *mapping, const struct guess *guess)
{
    const char *at = guess->path, *dot;
    json_t *parent = mapping, *properties;
    for (;; at = dot + 1) {
        properties = json_object_get(parent, "properties");
        if (properties == NULL) {
            properties = json_object();
            json_object_set_new(parent, "properties", properties);
            if (parent != mapping)
                json_object_del(parent, "type"); /* an object with properties needs none */
        }
        dot = strchr(at, '.');
        if (dot == NULL)
            break;
        parent = json_object_getn(properties, at, (size_t)(dot - at));
        if (parent == NULL) {
            parent = json_object();
            json_object_setn_new(properties, at, (size_t)(dot - at), parent);
        }
    }
    if (json_object_get(properties, at) == NULL)
        json_object_set_new(properties, at, json_loads(guess->definition, 0, NULL));
}

static bool grow(struct model_cluster *cluster, struct taking *taking)
{
    struct model_index *index = taking->index;
    json_t *mapping = json_deep_copy(index->mapping);
    for (struct guess *guess = taking->guesses; guess != NULL; guess = guess->next)
        add_guess(mapping, guess);
    if (mapping_count(mapping) > (size_t)index->fields_max) {
        fail(taking->failure, 400, "illegal_argument_exception",
             "Limit of total fields [%lld] has been exceeded", (long long)index->fields_max);
        json_decref(mapping);
        return false;
    }
    json_decref(index->mapping);
    index->mapping = mapping;
    index->mapping_version++;
    index->version++;
    cluster_bump(cluster);
    mapping_compile(index);
    return true;
}

bool mapping_take(struct model_cluster *cluster, struct model_index *index, struct span id,
                  struct span source, struct failure *failure)
{
    struct taking taking = {.index = index, .id = id, .path = &cluster->path, .failure = failure};
    buffer_clear(&cluster->path);
    bool ok = json_valid(source) ? take_object(&taking, source) : not_json(failure);
    if (ok && taking.guesses != NULL)
        ok = grow(cluster, &taking);
    for (struct guess *guess = taking.guesses, *next; guess != NULL; guess = next) {
        next = guess->next;
        free(guess->path);
        free(guess);
    }
    return ok;
}
