/* translate_string.c - the type `string` of engines before 5.0: analyzed it is `text` since, not
 * analyzed `keyword`.
 *
 * What must hold: whatever `string` took, its successor takes. So nothing of a value is looked at
 * that was not looked at before: what is not indexed has no doc_values, which have a limit.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "es/copied.h"
#include "es/translate.h"

static void drop(struct translator *t, const char *path, json_t *field, const char *name,
                 const char *why)
{
    if (json_object_del(field, name) == 0)
        translator_change(t, "field %s: `%s` is left out: %s", path, name, why);
}

static void rename_parameter(struct translator *t, const char *path, json_t *field, const char *old,
                             const char *name)
{
    json_t *value = json_object_get(field, old);
    if (value == NULL)
        return;
    translator_change(t, "field %s: `%s` is written as `%s`, its name since 2.0", path, old, name);
    if (json_object_get(field, name) == NULL)
        json_object_set(field, name, value);
    json_object_del(field, old);
}

/* ---- norms ---- */

/* {"enabled": false, "loading": "eager"} -> false; omit_norms says the opposite. */
static void translate_norms(struct translator *t, const char *path, json_t *field)
{
    const json_t *omit = json_object_get(field, "omit_norms");
    json_t *norms = json_object_get(field, "norms");
    if (json_is_object(norms)) {
        const json_t *enabled = json_object_get(norms, "enabled");
        translator_change(t, "field %s: `norms` is written in its form since 5.0", path);
        if (enabled == NULL) /* told nothing, each type has what is usual for it */
            json_object_del(field, "norms");
        else
            json_object_set_new(field, "norms", json_boolean(!translate_is_off(enabled)));
    } else if (omit != NULL) {
        translator_change(t, "field %s: `omit_norms` is written as `norms`", path);
        if (norms == NULL)
            json_object_set_new(field, "norms", json_boolean(translate_is_off(omit)));
    }
    json_object_del(field, "omit_norms");
}

/* ---- fielddata ---- */

/* {"filter.frequency.min": "0.1"} -> {"min": 0.1} */
static void translate_frequency_filter(json_t *field, const json_t *flat)
{
    static const char *const names[] = {"min", "max", "min_segment_size"};
    json_t *filter = json_object();
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[64], text[64];
        snprintf(path, sizeof path, "filter.frequency.%s", names[i]);
        const json_t *value = json_object_get(flat, path);
        if (value == NULL)
            continue;
        snprintf(text, sizeof text, "%s",
                 json_is_string(value) ? json_string_value(value) : ""); /* 2.4 shows text */
        double number = json_is_string(value) ? strtod(text, NULL) : json_number_value(value);
        json_object_set_new(filter, names[i],
                            i == 2 ? json_integer((json_int_t)number) : json_real(number));
    }
    if (json_object_size(filter) != 0)
        json_object_set(field, "fielddata_frequency_filter", filter);
    json_decref(filter);
}

/* The forms that fielddata had before 5.0. */
static void translate_fielddata(struct translator *t, const char *path, json_t *field, bool keyword)
{
    json_t *fielddata = json_object_get(field, "fielddata"), *flat;
    if (!json_is_object(fielddata))
        return;
    flat = json_object();
    settings_to_paths(flat, "", fielddata);
    bool on = strcmp(translate_text(flat, "format"), "disabled") != 0;
    translator_change(t, "field %s: `fielddata` is written in its form since 5.0", path);
    if (strcmp(translate_text(flat, "loading"), "eager_global_ordinals") == 0)
        json_object_set_new(field, "eager_global_ordinals", json_true());
    if (keyword) {
        json_object_del(field, "fielddata");
    } else {
        json_object_set_new(field, "fielddata", json_boolean(on));
        if (on)
            translate_frequency_filter(field, flat);
    }
    json_decref(flat);
}

/* ---- what both have ---- */

static bool has_positions(const json_t *field)
{
    const char *options = translate_text(field, "index_options");
    return strcmp(options, "docs") != 0 && strcmp(options, "freqs") != 0;
}

/* withPositionsOffsets -> with_positions_offsets */
static void translate_term_vector(struct translator *t, const char *path, json_t *field)
{
    const char *value = translate_text(field, "term_vector");
    struct buffer snake = {0};
    for (; *value != '\0'; value++) {
        if (isupper((unsigned char)*value))
            buffer_append_char(&snake, '_');
        buffer_append_char(&snake, (char)tolower((unsigned char)*value));
    }
    if (strcmp(buffer_cstr(&snake), translate_text(field, "term_vector")) != 0) {
        translator_change(t, "field %s: `term_vector` is written as `%s`", path,
                          buffer_cstr(&snake));
        json_object_set_new(field, "term_vector", json_string(buffer_cstr(&snake)));
    }
    buffer_fini(&snake);
}

void translate_string_parameters(struct translator *t, const char *path, json_t *field)
{
    bool keyword = strcmp(translate_text(field, "type"), "keyword") == 0;
    translate_norms(t, path, field);
    translate_fielddata(t, path, field, keyword);
    rename_parameter(t, path, field, "index_analyzer", "analyzer");
    rename_parameter(t, path, field, "position_offset_gap", "position_increment_gap");
    translate_term_vector(t, path, field);
    if (!has_positions(field))
        drop(t, path, field, "position_increment_gap", "it has no positions");
    if (strcmp(translate_text(field, "similarity"), "default") != 0)
        return;
    translator_change(
        t,
        "field %s: similarity `default` is left out: it is BM25 since 5.0, and scores "
        "differ",
        path);
    json_object_del(field, "similarity");
}

/* ---- the type ---- */

/* What only text has. */
static void become_keyword(struct translator *t, const char *path, json_t *field, bool indexed)
{
    static const char *const of_text[] = {"term_vector",         "analyzer",
                                          "search_analyzer",     "search_quote_analyzer",
                                          "index_analyzer",      "position_increment_gap",
                                          "position_offset_gap", "index_prefixes"};
    json_object_set_new(field, "type", json_string("keyword"));
    for (size_t i = 0; i < COUNT_OF(of_text); i++)
        drop(t, path, field, of_text[i], "a keyword has no such parameter");
    if (has_positions(field))
        drop(t, path, field, "index_options", "a keyword has no positions");
    if (json_integer_value(json_object_get(field, "ignore_above")) < 0)
        json_object_del(field, "ignore_above");
    if (indexed) {
        translator_change(t, "fields of the type `string` that are not analyzed become `keyword`");
        json_object_del(field, "index");
        return;
    }
    translator_change(t, "fields of the type `string` that are not indexed become `keyword` with "
                         "`index: false`");
    json_object_set_new(field, "index", json_false());
    if (json_object_get(field, "doc_values") == NULL)
        json_object_set_new(field, "doc_values", json_false());
    json_object_del(field, "norms");
    json_object_del(field, "omit_norms");
}

/* An analyzer that is only understood together with another one is given that. */
static void complete_analyzers(json_t *field)
{
    static const char *const names[] = {"search_quote_analyzer", "search_analyzer", "analyzer"};
    for (size_t i = 0; i + 1 < COUNT_OF(names); i++)
        if (json_object_get(field, names[i]) != NULL &&
            json_object_get(field, names[i + 1]) == NULL) {
            json_t *analyzer = json_object_get(field, "analyzer");
            json_object_set_new(field, names[i + 1],
                                analyzer == NULL ? json_string("default") : json_incref(analyzer));
        }
}

static void become_text(struct translator *t, const char *path, json_t *field)
{
    json_object_set_new(field, "type", json_string("text"));
    json_object_del(field, "index");
    translator_change(t, "fields of the type `string` that are analyzed become `text`, with "
                         "`fielddata`, so that sorting and aggregating by them goes on");
    drop(t, path, field, "doc_values", "a text has none");
    if (json_object_get(field, "null_value") != NULL)
        translator_warn(t, "field %s: documents without a value are not found by its null_value",
                        path);
    drop(t, path, field, "null_value", "a text has no such parameter");
    drop(t, path, field, "ignore_above", "a text has no such parameter, and indexes long values");
    if (json_object_get(field, "fielddata") == NULL)
        json_object_set_new(field, "fielddata", json_true());
    rename_parameter(t, path, field, "index_analyzer", "analyzer");
    complete_analyzers(field);
}

void translate_string(struct translator *t, const char *path, json_t *field)
{
    const json_t *index = json_object_get(field, "index");
    const char *text = json_string_value(index);
    bool indexed = text == NULL ? !json_is_false(index)
                                : strcmp(text, "no") != 0 && strcmp(text, "false") != 0;
    if (indexed && (text == NULL || strcmp(text, "not_analyzed") != 0))
        become_text(t, path, field);
    else
        become_keyword(t, path, field, indexed);
}
