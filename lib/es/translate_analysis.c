/* translate_analysis.c - the analysis of an index for another line of engines: names of what comes
 * with an engine, and what was removed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "es/translate.h"

/* ---- names ---- */

/* Names of what comes with an engine. OLD is refused by LINES where an analyzer uses it, and by
 * TYPE_LINES as the type of one's own. */
static const struct {
    const char *section; /* of the analysis: tokenizer, filter, char_filter */
    const char *old, *name;
    unsigned lines, type_lines;
} renamed[] = {
    {"tokenizer", "nGram", "ngram", LINES_ALL, LINE_ES8},
    {"tokenizer", "edgeNGram", "edge_ngram", LINES_ALL, LINE_ES8},
    {"filter", "nGram", "ngram", LINES_ALL, LINE_ES8},
    {"filter", "edgeNGram", "edge_ngram", LINES_ALL, LINE_ES8},
    {"filter", "delimited_payload_filter", "delimited_payload", LINES_ALL, LINES_ALL},
    {"char_filter", "htmlStrip", "html_strip", LINES_ALL, LINES_ALL},
};

static const char *new_name(const struct translator *t, const char *section, const char *old,
                            bool is_type)
{
    for (size_t i = 0; old != NULL && i < COUNT_OF(renamed); i++) {
        unsigned lines = is_type ? renamed[i].type_lines : renamed[i].lines;
        if (strcmp(renamed[i].section, section) == 0 && strcmp(renamed[i].old, old) == 0 &&
            (lines & t->line) != 0)
            return renamed[i].name;
    }
    return NULL;
}

/* wordDelimiter -> word_delimiter: engines before 5.0 knew what came with them by both. The
 * caller's; NULL: there is no such name. */
static char *snake_name(const struct translator *t, const char *name)
{
    struct buffer snake = {0};
    for (size_t i = 0; i < COUNT_OF(renamed); i++)
        if (strcmp(renamed[i].old, name) == 0)
            return NULL; /* it is another one by its capitals */
    if (t->origin != 2 || !islower((unsigned char)*name))
        return NULL;
    for (; *name != '\0'; name++) {
        if (isupper((unsigned char)*name))
            buffer_append_char(&snake, '_');
        buffer_append_char(&snake, (char)tolower((unsigned char)*name));
    }
    char *text = bytes_strdup(buffer_cstr(&snake));
    buffer_fini(&snake);
    return text;
}

static const char *type_of(const json_t *parts, const char *name)
{
    return json_string_value(json_object_get(json_object_get(parts, name), "type"));
}

/* The token filter `standard` did nothing, and is gone: by its type, or by the name that came with
 * the engine. */
static bool is_standard_filter(const json_t *filters, const char *name)
{
    const char *type = type_of(filters, name);
    return strcmp(type != NULL                             ? type
                  : json_object_get(filters, name) == NULL ? name
                                                           : "",
                  "standard") == 0;
}

/* One name that an analyzer uses. Its successor, the caller's; NULL: it is left out. */
static json_t *used_name(struct translator *t, const json_t *analysis, const char *section,
                         json_t *used)
{
    const char *name = json_string_value(used);
    const json_t *own = json_object_get(analysis, section);
    if (name == NULL)
        return json_incref(used);
    if (strcmp(section, "filter") == 0 && (t->line & LINES_ALL) != 0 &&
        is_standard_filter(own, name)) {
        translator_change(
            t, "token filter `standard` is left out: it did nothing, and was removed in 7.0");
        return NULL;
    }
    if (json_object_get(own, name) != NULL)
        return json_incref(used);
    char *snake = snake_name(t, name);
    const char *present = new_name(t, section, name, false);
    if (present == NULL)
        present = snake;
    json_t *now = json_incref(used);
    if (present != NULL && strcmp(present, name) != 0) {
        translator_change(t, "%s `%s` is written as `%s`, its present name", section, name,
                          present);
        json_decref(now);
        now = json_string(present);
    }
    free(snake);
    return now;
}

/* "lowercase, stop" -> ["lowercase", "stop"], the caller's. */
static json_t *split_names(const char *text)
{
    json_t *list = json_array();
    char *copy = bytes_strdup(text), *rest = NULL;
    for (char *name = strtok_r(copy, ", ", &rest); name != NULL; name = strtok_r(NULL, ", ", &rest))
        json_array_append_new(list, json_string(name));
    free(copy);
    return list;
}

/* What an analyzer or normalizer uses of SECTION: a name or a list of names. */
static void translate_uses(struct translator *t, const json_t *analysis, json_t *analyzer,
                           const char *section)
{
    json_t *uses = json_object_get(analyzer, section), *list, *one;
    const char *text = json_string_value(uses);
    size_t i;
    if (text != NULL && strchr(text, ',') == NULL) {
        one = used_name(t, analysis, section, uses);
        if (one == NULL)
            json_object_del(analyzer, section);
        else
            json_object_set_new(analyzer, section, one);
        return;
    }
    if (text == NULL && !json_is_array(uses))
        return;
    json_t *names = text == NULL ? json_incref(uses) : split_names(text);
    list = json_array();
    json_array_foreach(names, i, one)
    {
        json_t *now = used_name(t, analysis, section, one);
        if (now != NULL)
            json_array_append_new(list, now);
    }
    if (!json_equal(list, names))
        json_object_set(analyzer, section, list);
    json_decref(names);
    json_decref(list);
}

/* The types of one's own tokenizers and filters. */
static void translate_types(struct translator *t, json_t *analysis, const char *section)
{
    json_t *parts = json_object_get(analysis, section), *part;
    const char *name;
    void *next;
    json_object_foreach_safe(parts, next, name, part)
    {
        const char *type = type_of(parts, name), *present = new_name(t, section, type, true);
        if (present != NULL) {
            translator_change(t, "%s `%s`: type `%s` is written as `%s`, its present name", section,
                              name, type, present);
            json_object_set_new(part, "type", json_string(present));
        } else if (strcmp(section, "filter") == 0 && (t->line & LINES_ALL) != 0 &&
                   is_standard_filter(parts, name)) {
            json_object_del(parts, name);
        }
    }
}

static long number_of(const json_t *part, const char *name, long otherwise)
{
    const json_t *value = json_object_get(part, name);
    if (json_is_string(value))
        return strtol(json_string_value(value), NULL, 10);
    return json_is_integer(value) ? (long)json_integer_value(value) : otherwise;
}

/* How far a tokenizer or filter spreads: what max_ngram_diff (SHINGLES: max_shingle_diff) limits.
 */
static long spread_of(const json_t *part, bool shingles)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    if (type == NULL)
        return 0;
    if (!shingles)
        return strcmp(type, "ngram") == 0 || strcmp(type, "nGram") == 0
                   ? number_of(part, "max_gram", 2) - number_of(part, "min_gram", 1)
                   : 0;
    if (strcmp(type, "shingle") != 0)
        return 0;
    const json_t *output = json_object_get(part, "output_unigrams");
    bool unigrams = output == NULL || !translate_is_off(output);
    return number_of(part, "max_shingle_size", 2) - number_of(part, "min_shingle_size", 2) +
           unigrams;
}

static void raise_limit(struct translator *t, json_t *settings, const char *name, long initially,
                        bool shingles)
{
    static const char *const sections[] = {"tokenizer", "filter"};
    const json_t *analysis = json_object_get(settings, "analysis"), *part;
    const char *key;
    long needed = 0, limit = number_of(settings, name, initially);
    for (size_t i = 0; i < COUNT_OF(sections); i++)
        json_object_foreach((json_t *)(uintptr_t)json_object_get(analysis, sections[i]), key, part)
        {
            long spread = spread_of(part, shingles);
            needed = spread > needed ? spread : needed;
        }
    if (needed <= limit)
        return;
    char text[32];
    snprintf(text, sizeof text, "%ld", needed);
    translator_change(t,
                      "setting index.%s is set to %s: its analysis needs it, and since 7.0 it is "
                      "demanded",
                      name, text);
    json_object_set_new(settings, name, json_string(text));
}

/* ---- what engines before 6.0 had otherwise ---- */

/* It was an analyzer that came with the engine: a custom one does the same. */
static void replace_html_strip(struct translator *t, json_t *analysis, const char *name,
                               json_t *analyzer)
{
    json_t *stopwords = json_incref(json_object_get(analyzer, "stopwords"));
    json_t *used = json_pack("[s]", "lowercase"), *filters = json_object_get(analysis, "filter");
    translator_change(t,
                      "analyzer `%s`: type `standard_html_strip` becomes a custom analyzer that "
                      "does the same",
                      name);
    json_object_clear(analyzer);
    if (stopwords != NULL) {
        char own[300];
        snprintf(own, sizeof own, "%s_stop", name);
        if (filters == NULL && (filters = json_object()) != NULL)
            json_object_set_new(analysis, "filter", filters);
        json_object_set_new(filters, own,
                            json_pack("{s:s, s:o}", "type", "stop", "stopwords", stopwords));
        json_array_append_new(used, json_string(own));
    }
    json_object_set_new(analyzer, "type", json_string("custom"));
    json_object_set_new(analyzer, "tokenizer", json_string("standard"));
    json_object_set_new(analyzer, "char_filter", json_pack("[s]", "html_strip"));
    json_object_set_new(analyzer, "filter", used);
}

/* `default_index` was for writing what `default` is for both, if it was there. */
static void replace_default_index(struct translator *t, json_t *analyzers)
{
    json_t *for_index = json_object_get(analyzers, "default_index");
    json_t *for_all = json_object_get(analyzers, "default");
    if (for_index == NULL)
        return;
    translator_change(t, "analyzer `default_index` is written as `default`, and what searches took "
                         "as `default_search`");
    if (json_object_get(analyzers, "default_search") == NULL)
        json_object_set_new(analyzers, "default_search",
                            for_all == NULL ? json_pack("{s:s}", "type", "standard")
                                            : json_incref(for_all));
    json_object_set(analyzers, "default", for_index);
    json_object_del(analyzers, "default_index");
}

static void translate_old_analyzers(struct translator *t, json_t *analysis)
{
    json_t *analyzers = json_object_get(analysis, "analyzer"), *analyzer;
    const char *name;
    replace_default_index(t, analyzers);
    json_object_foreach(analyzers, name, analyzer)
    {
        json_t *gap = json_object_get(analyzer, "position_offset_gap");
        if (gap != NULL) {
            translator_change(t,
                              "analyzer `%s`: `position_offset_gap` is written as "
                              "`position_increment_gap`, its name since 2.0",
                              name);
            json_object_set(analyzer, "position_increment_gap", gap);
            json_object_del(analyzer, "position_offset_gap");
        }
        if ((t->line & LINES_ALL) != 0 &&
            strcmp(translate_text(analyzer, "type"), "standard_html_strip") == 0)
            replace_html_strip(t, analysis, name, analyzer);
    }
}

/* Rules were read by themselves. Since 6.0 they go through the filters before them, and one of
 * which nothing is left refuses the whole index, unless they are told to be lenient. */
static void be_lenient(struct translator *t, json_t *analysis)
{
    const char *name;
    json_t *filter;
    if (t->origin == 0 || t->origin >= 6)
        return;
    json_object_foreach(json_object_get(analysis, "filter"), name, filter)
    {
        if (strncmp(translate_text(filter, "type"), "synonym", 7) != 0 ||
            json_object_get(filter, "lenient") != NULL)
            continue;
        translator_change(t,
                          "filter `%s`: `lenient` is set, so that a rule of which the filters "
                          "before it leave nothing does not refuse the index since 6.0",
                          name);
        json_object_set_new(filter, "lenient", json_string("true"));
    }
}

/* ---- all of it ---- */

void translate_analysis(struct translator *t, json_t *settings)
{
    static const char *const sections[] = {"tokenizer", "filter", "char_filter"};
    static const char *const users[] = {"analyzer", "normalizer"};
    json_t *analysis = json_object_get(settings, "analysis"), *user;
    const char *name;
    translate_old_analyzers(t, analysis);
    be_lenient(t, analysis);
    for (size_t i = 0; i < COUNT_OF(users); i++)
        json_object_foreach(json_object_get(analysis, users[i]), name,
                            user) for (size_t s = 0; s < COUNT_OF(sections); s++)
            translate_uses(t, analysis, user, sections[s]);
    for (size_t s = 0; s < COUNT_OF(sections); s++)
        translate_types(t, analysis, sections[s]);
    if ((t->line & LINES_ALL) == 0)
        return;
    raise_limit(t, settings, "max_ngram_diff", 1, false);
    raise_limit(t, settings, "max_shingle_diff", 3, true);
}
