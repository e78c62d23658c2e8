/* translate_field.c - fields of a mapping for another line of engines: parameters and types that
 * were removed or have another form.
 *
 * What must hold: a document that the primary took is taken. A type that has no equal becomes an
 * object that is not looked into, which takes anything, and it is warned of.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "es/translate.h"

const char *translate_text(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

bool translate_is_off(const json_t *value)
{
    const char *text = json_string_value(value);
    if (text != NULL)
        return strcmp(text, "false") == 0 || strcmp(text, "0") == 0 || strcmp(text, "off") == 0;
    return json_is_false(value) || (json_is_integer(value) && json_integer_value(value) == 0);
}

static bool is_boolean(const json_t *value)
{
    const char *text = json_string_value(value);
    return json_is_boolean(value) ||
           (text != NULL && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0));
}

static void set_boolean(struct translator *t, const char *path, json_t *holder, const char *name,
                        bool value)
{
    translator_change(t,
                      "field %s: `%s` is written as %s: since 6.0 nothing but true and false is "
                      "understood",
                      path, name, value ? "true" : "false");
    json_object_set_new(holder, name, json_boolean(value));
}

void translate_boolean(struct translator *t, const char *path, json_t *holder, const char *name)
{
    const json_t *value = json_object_get(holder, name);
    if ((json_is_string(value) || json_is_integer(value)) && !is_boolean(value))
        set_boolean(t, path, holder, name, !translate_is_off(value));
}

/* ---- parameters that are left out ---- */

#define OF_ANY NULL
#define NUMBERS "long integer short byte double float half_float scaled_float"
#define SCALARS NUMBERS " date boolean ip geo_point binary token_count completion"
#define OTHERS "date boolean ip geo_point binary token_count completion"
#define NO_SHAPES "shapes are indexed exactly since 6.6"
#define NO_STEP "numbers are indexed otherwise since 5.0"
#define OF_TEXT "it is one of texts, and had no effect"
#define NO_POINT "points are indexed otherwise since 5.0"

static const struct {
    const char *name;
    const char *types; /* of the fields that have it, between spaces; OF_ANY */
    unsigned lines;    /* that refuse it */
    const char *why;
} parameters[] = {
    {"include_in_all", OF_ANY, LINES_SINCE_6, "there is no _all any more"},
    {"boost", OF_ANY, LINE_ES8, "it was removed in 8.0: boost in queries, or scores differ"},
    {"index_options", NUMBERS, LINE_ES8, "it had no effect on numbers"},
    {"index_options", OTHERS, LINE_ES8, OF_TEXT},
    {"similarity", SCALARS, LINE_ES8, OF_TEXT},
    {"precision_step", OF_ANY, LINES_SINCE_6, NO_STEP},
    {"index_name", OF_ANY, LINES_SINCE_6, "it was removed in 2.0"},
    {"fielddata", SCALARS, LINES_SINCE_6, "only texts have fielddata since 5.0"},
    {"norms", SCALARS, LINES_SINCE_6, OF_TEXT},
    {"omit_norms", SCALARS, LINES_SINCE_6, OF_TEXT},
    {"term_vector", SCALARS, LINES_SINCE_6, OF_TEXT},
    {"coerce", OTHERS, LINES_SINCE_6, "only numbers have it"},
    {"ignore_malformed", "token_count binary completion", LINES_SINCE_6, "it had no effect"},
    {"numeric_resolution", "date", LINES_SINCE_6, "it was removed in 5.0; the format counts"},
    {"compress", "binary", LINES_SINCE_6, "it was removed in 2.0"},
    {"compress_threshold", "binary", LINES_SINCE_6, "it was removed in 2.0"},
    {"index", "binary completion", LINE_ES8, "it had no effect"},
    {"lat_lon", "geo_point", LINES_SINCE_6, NO_POINT},
    {"geohash", "geo_point", LINES_SINCE_6, NO_POINT},
    {"geohash_prefix", "geo_point", LINES_SINCE_6, NO_POINT},
    {"geohash_precision", "geo_point", LINES_SINCE_6, NO_POINT},
    {"payloads", "completion", LINES_SINCE_6, "suggestions have no payload since 5.0"},
    {"tree", "geo_shape", LINE_ES8, NO_SHAPES},
    {"tree_levels", "geo_shape", LINE_ES8, NO_SHAPES},
    {"precision", "geo_shape", LINE_ES8, NO_SHAPES},
    {"distance_error_pct", "geo_shape", LINE_ES8, NO_SHAPES},
    {"strategy", "geo_shape", LINE_ES8, NO_SHAPES},
    {"points_only", "geo_shape", LINE_ES8, NO_SHAPES},
};

/* True when WORD is one of LIST, which has spaces between them. */
static bool has_word(const char *list, const char *word)
{
    size_t size = strlen(word);
    const char *at = list;
    while (size != 0 && (at = strstr(at, word)) != NULL) {
        if ((at == list || at[-1] == ' ') && (at[size] == ' ' || at[size] == '\0'))
            return true;
        at += size;
    }
    return false;
}

static void drop(struct translator *t, const char *path, json_t *field, const char *name,
                 const char *why)
{
    translator_change(t, "field %s: `%s` is left out: %s", path, name, why);
    json_object_del(field, name);
}

static void drop_parameters(struct translator *t, const char *path, json_t *field)
{
    const char *type = translate_text(field, "type");
    for (size_t i = 0; i < COUNT_OF(parameters); i++)
        if (json_object_get(field, parameters[i].name) != NULL &&
            (parameters[i].lines & t->line) != 0 &&
            (parameters[i].types == OF_ANY || has_word(parameters[i].types, type)))
            drop(t, path, field, parameters[i].name, parameters[i].why);
    const char *way = translate_text(field, "path"); /* an alias has one of another kind */
    if (strcmp(way, "just_name") == 0 || strcmp(way, "full") == 0)
        drop(t, path, field, "path", "it was removed in 2.0: names of fields are whole");
}

/* ---- other forms of parameters ---- */

/* `index` was no, analyzed or not_analyzed before 5.0, for all types. */
static void translate_index_parameter(struct translator *t, const char *path, json_t *field)
{
    const char *index = translate_text(field, "index");
    if (strcmp(index, "no") == 0)
        set_boolean(t, path, field, "index", false);
    else if (strcmp(index, "analyzed") == 0 || strcmp(index, "not_analyzed") == 0)
        set_boolean(t, path, field, "index", true);
}

static void translate_booleans(struct translator *t, const char *path, json_t *field)
{
    static const char *const names[] = {"index",
                                        "doc_values",
                                        "store",
                                        "enabled",
                                        "include_in_parent",
                                        "include_in_root",
                                        "coerce",
                                        "ignore_malformed",
                                        "preserve_separators",
                                        "ignore_z_value",
                                        "fielddata",
                                        "norms",
                                        "eager_global_ordinals",
                                        "preserve_position_increments"};
    bool is_boolean_field = strcmp(translate_text(field, "type"), "boolean") == 0;
    translate_index_parameter(t, path, field);
    if (strcmp(translate_text(field, "store"), "no") == 0)
        set_boolean(t, path, field, "store", false);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        translate_boolean(t, path, field, names[i]);
    if (is_boolean_field)
        translate_boolean(t, path, field, "null_value");
    translate_dynamic_value(t, path, field);
}

/* Before 6.0 a field of this type took any value. */
static void warn_of_booleans(struct translator *t, const json_t *field)
{
    if (t->origin != 0 && t->origin < 6 && strcmp(translate_text(field, "type"), "boolean") == 0)
        translator_warn(t, "it has fields of the type boolean: before 6.0 they took 1, 0, yes, no, "
                           "on, off and the like, which the new cluster refuses; only true and "
                           "false are taken");
}

/* ---- types ---- */

/* A type that had the others in `fields`, also its main one, by its own name. */
static void translate_multi_field(struct translator *t, const char *path, json_t *field)
{
    if (strcmp(translate_text(field, "type"), "multi_field") != 0)
        return;
    const char *dot = strrchr(path, '.'), *name = dot == NULL ? path : dot + 1;
    json_t *fields = json_object_get(field, "fields");
    json_t *main = json_deep_copy(json_object_get(fields, name));
    translator_change(t, "field %s: type `multi_field` becomes that of its main field", path);
    json_object_del(fields, name);
    json_object_del(field, "type");
    if (main == NULL)
        main = json_pack("{s:s, s:s}", "type", "string", "index", "no");
    json_object_update(field, main);
    json_decref(main);
}

/* An object that is not looked into takes what there may be in the field. */
static void become_anything(struct translator *t, const char *path, json_t *field, const char *why)
{
    translator_change(t,
                      "field %s: type `%s` becomes an object that is not indexed, and takes "
                      "anything",
                      path, translate_text(field, "type"));
    translator_warn(t, "field %s: searches in it find nothing on the new cluster: %s", path, why);
    json_object_clear(field);
    json_object_set_new(field, "type", json_string("object"));
    json_object_set_new(field, "enabled", json_false());
}

/* Suggestions before 5.0: the payload, the output and the context of one are refused since. */
static void translate_completion(struct translator *t, const char *path, json_t *field)
{
    const json_t *payloads = json_object_get(field, "payloads");
    if (strcmp(translate_text(field, "type"), "completion") != 0)
        return;
    if (json_object_get(field, "contexts") != NULL && t->origin != 0 && t->origin < 7 &&
        (t->line & LINES_ALL) != 0)
        translator_warn(t, "field %s: a suggestion without a context is refused by the new cluster",
                        path);
    if (json_object_get(field, "context") != NULL)
        become_anything(t, path, field,
                        "its suggestions have a context of before 5.0, which would "
                        "be refused");
    else if (payloads != NULL && !translate_is_off(payloads))
        become_anything(t, path, field, "its suggestions have payloads, which would be refused");
    else if (payloads != NULL || t->origin == 2)
        translator_warn(t,
                        "field %s: a document whose suggestion has an `output` is refused by the "
                        "new cluster",
                        path);
}

static bool is_on(const json_t *field, const char *name)
{
    const json_t *value = json_object_get(field, name);
    return value != NULL && !translate_is_off(value);
}

static bool is_off(const json_t *field, const char *name)
{
    return translate_is_off(json_object_get(field, name));
}

/* Points out of range that were taken are taken still. */
static void translate_geo_point(struct translator *t, const char *path, json_t *field)
{
    static const char *const on[] = {"coerce", "normalize", "normalize_lat", "normalize_lon"};
    static const char *const off[] = {"validate", "validate_lat", "validate_lon"};
    bool takes_all = false;
    if (strcmp(translate_text(field, "type"), "geo_point") != 0)
        return;
    if (is_on(field, "lat_lon") || is_on(field, "geohash") || is_on(field, "geohash_prefix"))
        translator_warn(t,
                        "field %s: searches in %s.lat, .lon and .geohash find nothing on the new "
                        "cluster",
                        path, path);
    for (size_t i = 0; i < COUNT_OF(on); i++) {
        takes_all |= is_on(field, on[i]);
        if (json_object_get(field, on[i]) != NULL)
            drop(t, path, field, on[i], NO_POINT);
    }
    for (size_t i = 0; i < COUNT_OF(off); i++) {
        takes_all |= is_off(field, off[i]);
        if (json_object_get(field, off[i]) != NULL)
            drop(t, path, field, off[i], NO_POINT);
    }
    if (takes_all) {
        translator_change(t,
                          "field %s: `ignore_malformed` is set, so that points out of range are "
                          "taken as before",
                          path);
        json_object_set_new(field, "ignore_malformed", json_true());
    }
}

/* Elasticsearch's flattened is OpenSearch's flat_object, which has no parameters. */
static void translate_flattened(struct translator *t, const char *path, json_t *field)
{
    static const char *const dropped[] = {"depth_limit", "ignore_above", "eager_global_ordinals",
                                          "split_queries_on_whitespace"};
    if (!t->flat_objects || strcmp(translate_text(field, "type"), "flattened") != 0)
        return;
    translator_change(t, "field %s: type `flattened` becomes `flat_object`, its name in OpenSearch",
                      path);
    json_object_set_new(field, "type", json_string("flat_object"));
    for (size_t i = 0; i < COUNT_OF(dropped); i++)
        if (json_object_get(field, dropped[i]) != NULL)
            drop(t, path, field, dropped[i], "flat_object has no such parameter");
}

#define VECTORS_INDEXED 8500000   /* since 8.11, unless it is said otherwise */
#define VECTORS_QUANTIZED 8505000 /* since 8.14 */

/* What is not said of a vector has another meaning since: then it is said. An index that refuses a
 * vector of zeros, which it never indexed, would be another one. */
static void translate_dense_vector(struct translator *t, const char *path, json_t *field)
{
    const json_t *index = json_object_get(field, "index");
    if (t->created == 0 || t->created >= VECTORS_QUANTIZED ||
        strcmp(translate_text(field, "type"), "dense_vector") != 0)
        return;
    bool indexed = index == NULL ? t->created >= VECTORS_INDEXED : !translate_is_off(index);
    if (!indexed && index == NULL && t->version >= 811) {
        translator_change(t,
                          "field %s: `index` is set to false, which vectors had by default before "
                          "8.11",
                          path);
        json_object_set_new(field, "index", json_false());
    } else if (indexed && json_object_get(field, "index_options") == NULL && t->version >= 814) {
        translator_change(t,
                          "field %s: `index_options` are set to hnsw, which vectors had by default "
                          "before 8.14",
                          path);
        json_object_set_new(
            field, "index_options",
            json_pack("{s:s, s:i, s:i}", "type", "hnsw", "m", 16, "ef_construction", 100));
    }
}

static void translate_type(struct translator *t, const char *path, json_t *field)
{
    translate_multi_field(t, path, field);
    if (strcmp(translate_text(field, "type"), "string") == 0)
        translate_string(t, path, field);
    if (strcmp(translate_text(field, "type"), "attachment") == 0)
        become_anything(t, path, field, "files are taken apart by a pipeline since 5.0");
    translate_completion(t, path, field);
    translate_geo_point(t, path, field);
    translate_flattened(t, path, field);
    translate_dense_vector(t, path, field);
    const char *type = translate_text(field, "type");
    if (strcmp(type, "text") == 0 || strcmp(type, "keyword") == 0)
        translate_string_parameters(t, path, field);
}

static void field_below(char *below, size_t size, const char *path, const char *name)
{
    snprintf(below, size, "%s%s%s", path, *path == '\0' ? "" : ".", name);
}

/* Other ways in which a field is indexed. An object can't be one. */
static void translate_multi_fields(struct translator *t, const char *path, json_t *fields)
{
    const char *name;
    json_t *field;
    void *next;
    json_object_foreach_safe(fields, next, name, field)
    {
        char below[400];
        field_below(below, sizeof below, path, name);
        translate_field(t, below, field);
        if (strcmp(translate_text(field, "type"), "object") == 0)
            drop(t, path, fields, name, "an object can't be a field of a field");
    }
}

/* 2.4 shows what a field would be in any case; no engine since does, so it would be missing there
 * for ever. */
static void drop_defaults(json_t *field)
{
    const char *type = translate_text(field, "type");
    if (strcmp(type, "date") == 0 &&
        strcmp(translate_text(field, "format"), "strict_date_optional_time||epoch_millis") == 0)
        json_object_del(field, "format");
    if (json_is_false(json_object_get(field, "fielddata")))
        json_object_del(field, "fielddata");
    if (json_is_true(json_object_get(field, "doc_values")))
        json_object_del(field, "doc_values");
}

void translate_field(struct translator *t, const char *path, json_t *field)
{
    translate_type(t, path, field);
    drop_parameters(t, path, field);
    translate_booleans(t, path, field);
    warn_of_booleans(t, field);
    const char *format = json_string_value(json_object_get(field, "format"));
    if (format != NULL)
        json_object_set_new(field, "format", translate_formats(t, path, format));
    if (t->origin == 2)
        drop_defaults(field);
    if ((t->line & LINES_ALL) != 0 && strcmp(translate_text(field, "similarity"), "classic") == 0)
        translator_refuse(
            t,
            "field %s has the similarity classic, which was removed in 7.0; give it another "
            "one on the old cluster (BM25, say)",
            path);
    translate_fields(t, path, json_object_get(field, "properties"));
    translate_multi_fields(t, path, json_object_get(field, "fields"));
}

void translate_fields(struct translator *t, const char *path, json_t *fields)
{
    const char *name;
    json_t *field;
    json_object_foreach(fields, name, field)
    {
        char below[400];
        field_below(below, sizeof below, path, name);
        if (json_is_object(field))
            translate_field(t, below, field);
    }
}
