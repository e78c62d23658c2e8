/* translate.c - definitions of one line of engines as another one takes them.
 *
 * Here: what is translated for whom, and objects that are no indices. The parts are
 *
 *     translate_settings.c, translate_analysis.c   what stands below "settings"
 *     translate_mapping.c                          types, and what stands around the fields
 *     translate_field.c, translate_string.c        fields, and the type that 5.0 made two of
 *     translate_dynamic.c, translate_date.c        how unknown fields are guessed, how dates are
 * read translate_query.c                            filters of aliases
 *
 * docs/migration.md lists for people what they do.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/translate.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "es/copied.h"

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
__attribute__((format(printf, 2, 0))) static void add_sentence(json_t *list, const char *format,
                                                               va_list args)
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
    return engine->major >= 8   ? LINE_ES8
           : engine->major == 7 ? LINE_ES7
           : engine->major == 6 ? LINE_ES6
                                : 0;
}

static struct translator translator_for(const struct es_engine *target, struct translation *tr)
{
    unsigned line = line_of(target);
    return (struct translator){
        .tr = tr,
        .line = line,
        .no_lifecycle = target->no_lifecycle,
        .version = target->opensearch ? 0 : 100 * target->major + target->minor,
        .flat_objects =
            target->opensearch && (target->major > 2 || (target->major == 2 && target->minor >= 7)),
        .keeps_types = (line & LINES_TYPELESS) == 0,
    };
}

/* The version of the engine that created the index, as it says it; 0: it does not. */
static long created_by(const json_t *definition)
{
    json_t *index = json_object_get(json_object_get(definition, "settings"), "index");
    const char *created =
        json_string_value(json_object_get(json_object_get(index, "version"), "created"));
    return created == NULL ? 0 : strtol(created, NULL, 10);
}

/* Its major version, 2 for all before 5.0; 0: it is not said. */
static int origin_of(long created)
{
    long major = created / 1000000;
    return created != 0 && major < 2 ? 2 : (int)major;
}

/* Since 9.2 vectors are left out of the `_source` that is answered, unless the index was made
 * otherwise: those that show them go on doing so. */
static void keep_vectors_shown(const struct es_engine *target, json_t *settings)
{
    bool hides =
        !target->opensearch && (target->major > 9 || (target->major == 9 && target->minor >= 2));
    if (!hides || !json_is_object(settings) || settings_hide_vectors(settings))
        return;
    json_t *mapping = json_object_get(settings, "mapping");
    if (mapping == NULL) {
        mapping = json_object();
        json_object_set_new(settings, "mapping", mapping);
    }
    json_object_set_new(mapping, "exclude_source_vectors", json_string("false"));
}

void translate_index(const struct es_engine *target, json_t *definition, struct translation *tr)
{
    struct translator t = translator_for(target, tr);
    if (t.line == 0)
        return;
    t.created = created_by(definition);
    t.origin = origin_of(t.created);
    t.joda = t.origin != 0 && t.origin < 7; /* their date formats are joda-time's */
    translate_settings(&t, json_object_get(json_object_get(definition, "settings"), "index"));
    translate_mappings(&t, definition);
    translate_aliases(&t, json_object_get(definition, "aliases"));
    keep_vectors_shown(target, json_object_get(json_object_get(definition, "settings"), "index"));
}

/* ---- objects ---- */

/* Before 6.0 a template had one pattern, by another name. That tells how old it is, and nothing
 * else does: it is taken for one of before 5.0. */
static void translate_patterns(struct translator *t, json_t *body)
{
    json_t *pattern = json_object_get(body, "template");
    if (!json_is_string(pattern) || json_object_get(body, "index_patterns") != NULL)
        return;
    translator_change(t, "`template` is written as `index_patterns`, its name since 6.0");
    json_object_set_new(body, "index_patterns", json_pack("[O]", pattern));
    json_object_del(body, "template");
    t->joda = true;
    t->origin = 2;
    if (json_object_size(json_object_get(body, "warmers")) != 0)
        translator_change(t, "`warmers` is left out: it was removed in 5.0");
    json_object_del(body, "warmers");
}

/* {"index.refresh_interval": "5s"} -> {"index": {"refresh_interval": "5s"}} */
static void gather_settings(json_t *settings)
{
    const char *path;
    json_t *value, *index = json_object();
    void *next;
    json_object_foreach_safe(settings, next, path, value)
    {
        if (strncmp(path, "index.", 6) != 0)
            continue;
        json_object_set(index, path + 6, value);
        json_object_del(settings, path);
    }
    if (json_is_object(json_object_get(settings, "index")))
        json_object_update(json_object_get(settings, "index"), index);
    else if (json_object_size(index) != 0)
        json_object_set(settings, "index", index);
    json_decref(index);
}

static void translate_holder(struct translator *t, json_t *holder)
{
    gather_settings(json_object_get(holder, "settings"));
    translate_settings(t, json_object_get(json_object_get(holder, "settings"), "index"));
    translate_mappings(t, holder);
    translate_aliases(t, json_object_get(holder, "aliases"));
}

void translate_object(const struct es_engine *target, const char *type, json_t *body, bool joda,
                      struct translation *tr)
{
    struct translator t = translator_for(target, tr);
    if (t.line == 0)
        return;
    t.joda = joda;
    t.origin = joda ? 6 : 0;
    t.is_template = true;
    t.keeps_types = false; /* what comes from a template is written to without a type */
    if (strcmp(type, "template") == 0) {
        translate_patterns(&t, body);
        translate_holder(&t, body);
    } else if (strcmp(type, "index_template") == 0 || strcmp(type, "component_template") == 0) {
        translate_holder(&t, json_object_get(body, "template"));
    } else if (strcmp(type, "script") == 0 &&
               json_object_size(json_object_get(body, "options")) == 0) {
        json_object_del(body, "options"); /* 5.x shows them where there are none */
    }
}
