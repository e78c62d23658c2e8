/* translate_dynamic.c - how the types of unknown fields are guessed, for another line of engines:
 * dynamic templates and date detection.
 *
 * The special complication: before 5.0 a template that matches any type had parameters of strings
 * in it, which other types did not mind. Types mind now, so one becomes two, the first for strings.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "es/translate.h"

/* What a field may be guessed to be; `*` is any. */
static bool is_guessed(const char *type)
{
    static const char *const types[] = {"object",  "string", "long",   "double",
                                        "boolean", "date",   "binary", "*"};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strcmp(type, types[i]) == 0)
            return true;
    return false;
}

/* True when MAPPING takes whatever type a field is guessed to be. */
static bool follows_guess(const json_t *mapping)
{
    const char *type = translate_text(mapping, "type");
    return *type == '\0' || strcmp(type, "{dynamic_type}") == 0 ||
           strcmp(type, "{dynamicType}") == 0;
}

static const char *const of_strings[] = {
    "index",         "norms",      "omit_norms",  "fielddata",       "ignore_above", "analyzer",
    "index_options", "similarity", "term_vector", "search_analyzer", "doc_values"};

/* Here, or in another way in which the field is indexed. */
static bool has_string_parameters(json_t *mapping)
{
    const char *name;
    json_t *field;
    for (size_t i = 0; i < COUNT_OF(of_strings); i++)
        if (json_object_get(mapping, of_strings[i]) != NULL)
            return true;
    json_object_foreach(json_object_get(mapping, "fields"), name,
                        field) if (follows_guess(field) &&
                                   has_string_parameters(field)) return true;
    return false;
}

/* Says what is guessed: that it is a string, or (with false) that it is none. */
static void settle_guess(json_t *mapping, bool string)
{
    const char *name;
    json_t *field;
    if (follows_guess(mapping) && string)
        json_object_set_new(mapping, "type", json_string("string"));
    else if (follows_guess(mapping))
        for (size_t i = 0; i < COUNT_OF(of_strings); i++)
            if (strcmp(of_strings[i], "index") != 0 && strcmp(of_strings[i], "doc_values") != 0)
                json_object_del(mapping, of_strings[i]);
    json_object_foreach(json_object_get(mapping, "fields"), name, field)
        settle_guess(field, string);
}

static bool has_template(const json_t *templates, const char *name)
{
    const json_t *template;
    size_t i;
    json_array_foreach(templates, i,
                       template) if (json_object_get(template, name) != NULL) return true;
    return false;
}

/* Makes one for strings of RULE, which is called NAME and stands at I: *BEFORE it. */
static void split_rule(struct translator *t, json_t *templates, size_t i, const char *name,
                       json_t *rule)
{
    char own[400];
    snprintf(own, sizeof own, "%s_strings", name);
    if (has_template(templates, own))
        return;
    json_t *strings = json_deep_copy(rule);
    json_object_set_new(strings, "match_mapping_type", json_string("string"));
    settle_guess(json_object_get(strings, "mapping"), true);
    settle_guess(json_object_get(rule, "mapping"), false);
    translator_change(t,
                      "dynamic template %s has another one before it, %s: what it says of "
                      "strings, other types refuse",
                      name, own);
    json_array_insert_new(templates, i, json_pack("{s:o}", own, strings));
}

/* Whether strings, or also strings, are meant by a template of before 6.0. */
static void find_strings(struct translator *t, json_t *templates, size_t i, const char *name,
                         json_t *rule)
{
    json_t *mapping = json_object_get(rule, "mapping");
    const char *guess = translate_text(rule, "match_mapping_type");
    if (t->origin == 0 || t->origin >= 6 || !has_string_parameters(mapping))
        return;
    if (strcmp(guess, "string") == 0)
        settle_guess(mapping, true);
    else if ((*guess == '\0' || strcmp(guess, "*") == 0) && follows_guess(mapping))
        split_rule(t, templates, i, name, rule);
}

/* The templates that may match, with those for strings in front. */
static void sort_templates(struct translator *t, json_t *templates)
{
    for (size_t i = json_array_size(templates); i-- > 0;) {
        json_t *template = json_array_get(templates, i);
        const char *name = json_object_iter_key(json_object_iter(template));
        json_t *rule = json_object_get(template, name == NULL ? "" : name);
        const char *guess = translate_text(rule, "match_mapping_type");
        if (*guess != '\0' && !is_guessed(guess)) {
            translator_change(t, "dynamic template %s is left out: no field is guessed to be `%s`",
                              name, guess);
            json_array_remove(templates, i);
        } else if (rule != NULL) {
            find_strings(t, templates, i, name, rule);
        }
    }
}

void translate_dynamic_value(struct translator *t, const char *path, json_t *holder)
{
    const char *value = translate_text(holder, "dynamic");
    if (strcmp(value, "strict") != 0 && strcmp(value, "runtime") != 0 &&
        strstr(value, "allow_templates") == NULL)
        translate_boolean(t, path, holder, "dynamic");
}

void translate_dynamic(struct translator *t, json_t *mapping)
{
    json_t *templates = json_object_get(mapping, "dynamic_templates"), *template, *rule;
    json_t *formats = json_object_get(mapping, "dynamic_date_formats"), *format;
    const char *name;
    size_t i;
    translate_dynamic_value(t, "(root)", mapping);
    translate_boolean(t, "(root)", mapping, "date_detection");
    translate_boolean(t, "(root)", mapping, "numeric_detection");
    sort_templates(t, templates);
    json_array_foreach(templates, i, template) json_object_foreach(template, name, rule)
    {
        char path[400];
        snprintf(path, sizeof path, "(dynamic template %s)", name);
        translate_field(t, path, json_object_get(rule, "mapping"));
    }
    json_array_foreach(formats, i, format) if (json_is_string(format)) json_array_set_new(
        formats, i, translate_formats(t, "(dynamic date)", json_string_value(format)));
}
