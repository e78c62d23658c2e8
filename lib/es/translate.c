/* translate.c - definitions of one line of engines as another one takes them.
 *
 * Here: what is translated for whom, and objects that are no indices. translate_settings.c has the
 * settings and analysis, translate_mapping.c the mappings; docs/migration.md lists it for people.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/translate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

void translation_init(struct translation *tr)
{
    tr->changes = json_array();
    tr->warnings = json_array();
    tr->refused = NULL;
}

void translation_fini(struct translation *tr)
{
    json_decref(tr->changes);
    json_decref(tr->warnings);
    free(tr->refused);
}

/* Adds a sentence that is not there yet: the same may be true of many fields. */
static void add_sentence(json_t *list, const char *format, va_list args)
{
    char text[700];
    const json_t *one;
    size_t i;
    vsnprintf(text, sizeof text, format, args);
    bytes_mend_utf8(text);
    json_array_foreach(list, i, one) if (strcmp(json_string_value(one), text) == 0) return;
    json_array_append_new(list, json_string(text));
}

void translator_change(struct translator *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_sentence(t->tr->changes, format, args);
    va_end(args);
}

void translator_warn(struct translator *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_sentence(t->tr->warnings, format, args);
    va_end(args);
}

void translator_refuse(struct translator *t, const char *format, ...)
{
    char text[700];
    va_list args;
    if (t->tr->refused != NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bytes_mend_utf8(text);
    t->tr->refused = bytes_strdup(text);
}

static unsigned line_of(const struct es_engine *engine)
{
    if (engine->opensearch)
        return engine->major >= 2 ? LINE_OS2 : LINE_OS1;
    return engine->major >= 8 ? LINE_ES8 : engine->major == 7 ? LINE_ES7 : 0;
}

static struct translator translator_for(const struct es_engine *target, struct translation *tr)
{
    unsigned line = line_of(target);
    return (struct translator){
        .tr = tr,
        .line = line,
        .flat_objects =
            target->opensearch && (target->major > 2 || (target->major == 2 && target->minor >= 7)),
        .keeps_types = (line & LINES_TYPELESS) == 0,
    };
}

/* True when the index was created by an engine before 7.0, whose date formats are joda-time's. */
static bool is_of_joda(const json_t *definition)
{
    json_t *index = json_object_get(json_object_get(definition, "settings"), "index");
    const char *created =
        json_string_value(json_object_get(json_object_get(index, "version"), "created"));
    return created != NULL && strtol(created, NULL, 10) < 7000000;
}

void translate_index(const struct es_engine *target, json_t *definition, struct translation *tr)
{
    struct translator t = translator_for(target, tr);
    if (t.line == 0)
        return;
    t.joda = is_of_joda(definition);
    translate_settings(&t, json_object_get(json_object_get(definition, "settings"), "index"));
    translate_mappings(&t, definition);
}

/* ---- objects ---- */

/* Before 6.0 a template had one pattern, by another name. */
static void translate_patterns(struct translator *t, json_t *body)
{
    json_t *pattern = json_object_get(body, "template");
    if (!json_is_string(pattern) || json_object_get(body, "index_patterns") != NULL)
        return;
    translator_change(t, "`template` is written as `index_patterns`, its name since 6.0");
    json_object_set_new(body, "index_patterns", json_pack("[O]", pattern));
    json_object_del(body, "template");
}

static void translate_holder(struct translator *t, json_t *holder)
{
    translate_settings(t, json_object_get(json_object_get(holder, "settings"), "index"));
    translate_mappings(t, holder);
}

void translate_object(const struct es_engine *target, const char *type, json_t *body, bool joda,
                      struct translation *tr)
{
    struct translator t = translator_for(target, tr);
    if (t.line == 0)
        return;
    t.joda = joda;
    t.keeps_types = false; /* what comes from a template is written to without a type */
    if (strcmp(type, "template") == 0) {
        translate_patterns(&t, body);
        translate_holder(&t, body);
    } else if (strcmp(type, "index_template") == 0 || strcmp(type, "component_template") == 0) {
        translate_holder(&t, json_object_get(body, "template"));
    }
}
