/* translate_mapping.c - mappings for another line of engines: types taken out, parameters that were
 * removed, date formats.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "es/copied.h"
#include "es/translate.h"

/* ---- date formats ---- */

/* Words with which the names of formats begin that come with an engine; a pattern never does. */
static bool is_named_format(const char *format)
{
    static const char *const words[] = {"basic",   "date",    "epoch",  "hour",  "iso8601",
                                        "ordinal", "rfc3339", "strict", "tTime", "t_time",
                                        "time",    "week",    "year"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strncmp(format, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* dateOptionalTime -> date_optional_time. True when that is another one. */
static bool append_snake_case(const char *format, struct buffer *out)
{
    bool other = false;
    for (; *format != '\0'; format++) {
        if (!isupper((unsigned char)*format)) {
            buffer_append_char(out, *format);
            continue;
        }
        buffer_append_char(out, '_');
        buffer_append_char(out, (char)tolower((unsigned char)*format));
        other = true;
    }
    return other;
}

/* True when PATTERN has letters that mean something else in java.time than in joda-time. */
static bool has_changed_letters(const char *pattern)
{
    bool quoted = false;
    for (; *pattern != '\0'; pattern++) {
        quoted ^= *pattern == '\'';
        if (!quoted && strchr("CYZexz", *pattern) != NULL)
            return true;
    }
    return false;
}

/* One of the formats between "||". */
static void translate_one_format(struct translator *t, const char *path, const char *format,
                                 bool joda, struct buffer *out)
{
    struct buffer snake = {0};
    if (!is_named_format(format)) {
        buffer_append_cstr(out, format);
        if (joda && has_changed_letters(format))
            translator_warn(
                t,
                "field %s: date format `%s` was written for joda-time, and may read dates "
                "otherwise now; put a format with the prefix 8 on the old cluster first",
                path, format);
    } else if ((t->line & LINE_ES8) != 0 && append_snake_case(format, &snake)) {
        translator_change(t, "field %s: date format `%s` is written as `%s`, its present name",
                          path, format, buffer_cstr(&snake));
        buffer_append_span(out, buffer_span(&snake));
    } else {
        buffer_append_cstr(out, format);
    }
    buffer_fini(&snake);
}

/* FORMATS as the target takes them, the caller's. */
static json_t *translate_formats(struct translator *t, const char *path, const char *formats)
{
    bool joda = t->joda && *formats != '8'; /* the prefix is that of all of them */
    struct buffer out = {0};
    char *copy = bytes_strdup(formats), *at = copy;
    for (;;) {
        char *end = strstr(at, "||");
        if (end != NULL)
            *end = '\0';
        translate_one_format(t, path, at, joda, &out);
        if (end == NULL)
            break;
        buffer_append_cstr(&out, "||");
        at = end + 2;
    }
    json_t *text = json_string(buffer_cstr(&out));
    free(copy);
    buffer_fini(&out);
    return text;
}

/* ---- fields ---- */

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text == NULL ? "" : text;
}

static bool is_number(const char *type)
{
    static const char *const types[] = {"long",   "integer", "short",      "byte",
                                        "double", "float",   "half_float", "scaled_float"};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

#define OF_ANY NULL
#define OF_NUMBERS "a number"

/* Parameters of fields that are left out. */
static const struct {
    const char *name;
    const char *type; /* of the fields that have it; OF_ANY, OF_NUMBERS */
    unsigned lines;   /* that refuse it */
    const char *why;
} parameters[] = {
    {"include_in_all", OF_ANY, LINES_ALL, "there is no _all any more"},
    {"boost", OF_ANY, LINE_ES8, "it was removed in 8.0: boost in queries, or scores differ"},
    {"index_options", OF_NUMBERS, LINE_ES8, "it had no effect on numbers"},
    {"tree", "geo_shape", LINE_ES8, "shapes are indexed exactly since 6.6"},
    {"tree_levels", "geo_shape", LINE_ES8, "shapes are indexed exactly since 6.6"},
    {"precision", "geo_shape", LINE_ES8, "shapes are indexed exactly since 6.6"},
    {"distance_error_pct", "geo_shape", LINE_ES8, "shapes are indexed exactly since 6.6"},
    {"strategy", "geo_shape", LINE_ES8, "shapes are indexed exactly since 6.6"},
    {"points_only", "geo_shape", LINE_ES8, "shapes are indexed exactly since 6.6"},
};

static void drop_parameters(struct translator *t, const char *path, json_t *field)
{
    const char *type = text_of(field, "type");
    for (size_t i = 0; i < COUNT_OF(parameters); i++) {
        const char *of = parameters[i].type;
        bool fits =
            of == NULL || (strcmp(of, OF_NUMBERS) == 0 ? is_number(type) : strcmp(of, type) == 0);
        /* A field may be called like a parameter: then it is an object's, and no scalar. */
        const json_t *value = json_object_get(field, parameters[i].name);
        if (value == NULL || json_is_object(value) || !fits || (parameters[i].lines & t->line) == 0)
            continue;
        translator_change(t, "field %s: `%s` is left out: %s", path, parameters[i].name,
                          parameters[i].why);
        json_object_del(field, parameters[i].name);
    }
}

/* Elasticsearch's flattened is OpenSearch's flat_object, which has no parameters. */
static void translate_flattened(struct translator *t, const char *path, json_t *field)
{
    static const char *const dropped[] = {"depth_limit", "ignore_above", "eager_global_ordinals",
                                          "split_queries_on_whitespace"};
    if (!t->flat_objects || strcmp(text_of(field, "type"), "flattened") != 0)
        return;
    translator_change(t, "field %s: type `flattened` becomes `flat_object`, its name in OpenSearch",
                      path);
    json_object_set_new(field, "type", json_string("flat_object"));
    for (size_t i = 0; i < COUNT_OF(dropped); i++)
        if (json_object_del(field, dropped[i]) == 0)
            translator_change(t, "field %s: `%s` is left out: flat_object has no such parameter",
                              path, dropped[i]);
}

static void translate_fields(struct translator *t, const char *path, json_t *fields);

static void translate_field(struct translator *t, const char *path, json_t *field)
{
    drop_parameters(t, path, field);
    translate_flattened(t, path, field);
    const char *format = json_string_value(json_object_get(field, "format"));
    if (format != NULL)
        json_object_set_new(field, "format", translate_formats(t, path, format));
    if (strcmp(text_of(field, "similarity"), "classic") == 0)
        translator_refuse(
            t,
            "field %s has the similarity classic, which was removed in 7.0; give it another "
            "one on the old cluster (BM25, say)",
            path);
    translate_fields(t, path, json_object_get(field, "properties"));
    translate_fields(t, path, json_object_get(field, "fields"));
}

static void translate_fields(struct translator *t, const char *path, json_t *fields)
{
    const char *name;
    json_t *field;
    json_object_foreach(fields, name, field)
    {
        char below[400];
        snprintf(below, sizeof below, "%s%s%s", path, *path == '\0' ? "" : ".", name);
        if (json_is_object(field))
            translate_field(t, below, field);
    }
}

/* ---- what stands around the fields ---- */

static void translate_dynamic(struct translator *t, json_t *mapping)
{
    json_t *templates = json_object_get(mapping, "dynamic_templates"), *template, *rule;
    json_t *formats = json_object_get(mapping, "dynamic_date_formats"), *format;
    const char *name;
    size_t i;
    json_array_foreach(templates, i, template) json_object_foreach(template, name, rule)
    {
        char path[400];
        snprintf(path, sizeof path, "(dynamic template %s)", name);
        translate_field(t, path, json_object_get(rule, "mapping"));
    }
    json_array_foreach(formats, i, format) if (json_is_string(format)) json_array_set_new(
        formats, i, translate_formats(t, "(dynamic date)", json_string_value(format)));
}

static void translate_mapping(struct translator *t, json_t *mapping)
{
    json_t *all = json_object_get(mapping, "_all");
    if (all != NULL) {
        translator_change(t, "`_all` is left out: there is none any more");
        if (!json_is_false(json_object_get(all, "enabled")))
            translator_warn(
                t, "it has the field _all: searches in it find nothing on the new cluster; copy_to "
                   "can replace it");
        json_object_del(mapping, "_all");
    }
    if ((t->line & LINE_ES8) != 0 &&
        json_object_get(json_object_get(mapping, "_field_names"), "enabled") != NULL) {
        translator_change(
            t, "`_field_names` is left out: it was removed in 8.0; it changes no document");
        json_object_del(mapping, "_field_names");
    }
    if (json_object_get(mapping, "_parent") != NULL)
        translator_refuse(
            t, "its documents have a _parent, of before 6.0: index it again with a field of the "
               "type join on the old cluster");
    translate_dynamic(t, mapping);
    translate_fields(t, "", json_object_get(mapping, "properties"));
}

/* Takes out the type around the mapping that is HOLDER's; the mapping, borrowed. */
static json_t *take_out_type(struct translator *t, json_t *holder, const char *type)
{
    json_t *mappings = json_object_get(holder, "mappings");
    json_t *mapping = json_object_get(mappings, type);
    if (t->keeps_types) {
        json_object_del(mappings, "_default_");
        return mapping;
    }
    if (strcmp(type, "_doc") != 0 && strcmp(type, "_default_") != 0)
        translator_change(t, "mapping type `%s` is taken out: there are no types any more", type);
    json_object_set(holder, "mappings", mapping);
    return mapping;
}

void translate_mappings(struct translator *t, json_t *holder)
{
    json_t *mappings = json_object_get(holder, "mappings"), *mapping;
    const char *type;
    size_t types = mapping_types(mappings, &type);
    json_t *of_all = types != 0 || json_object_size(mappings) == 1
                         ? json_object_get(mappings, "_default_")
                         : NULL;
    if (types > 1) {
        translator_refuse(
            t,
            "it has %zu mapping types, and documents of two types may have one id: index each "
            "type into an index of its own on the old cluster",
            types);
        return;
    }
    if (of_all != NULL && types == 0) /* it holds for whatever type comes first */
        translator_change(t, "`_default_` becomes the mapping itself: there are no types any more");
    else if (of_all != NULL)
        translator_change(
            t, "`_default_` is left out: there are no types any more that it could be for");
    if (types == 0 && of_all == NULL)
        mapping = mappings;
    else if (types == 0 && t->keeps_types) {
        json_object_set(holder, "mappings", of_all);
        mapping = of_all;
    } else
        mapping = take_out_type(t, holder, types == 0 ? "_default_" : type);
    translate_mapping(t, mapping);
}
