/* translate.h - definitions of one line of engines as another one takes them.
 *
 * Pure: from JSON to JSON. The replicator puts what comes out of here on the standby, and
 * `tandemctl migrate-check` shows the same beforehand.
 *
 * What must hold:
 *   - What the target takes as it is stays as it is.
 *   - Nothing is guessed: what has no equal there is refused, for that one index or object.
 *   - Translating twice gives the same as translating once.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_TRANSLATE_H
#define TANDEM_ES_TRANSLATE_H

#include <jansson.h>
#include <stdbool.h>

/* The engine that a definition is for. */
struct es_engine {
    bool opensearch;
    int major, minor;
    bool no_lifecycle; /* an Elasticsearch without lifecycle policies */
};

struct translation {
    json_t *changes;  /* sentences: what is other than on the primary, and why */
    json_t *warnings; /* sentences: nothing is changed, but somebody should look */
    char *refused;    /* why it cannot be had there; NULL: it can */
};

void translation_init(struct translation *tr);
void translation_fini(struct translation *tr);

/* Changes the index DEFINITION ("settings", "mappings", "aliases") into one for TARGET. */
void translate_index(const struct es_engine *target, json_t *definition, struct translation *tr);
/* The same for an object that is no index. TYPE as the journal names it: template, index_template,
 * component_template, pipeline, script, ilm_policy. JODA: it comes from an engine before 7.0. */
void translate_object(const struct es_engine *target, const char *type, json_t *body, bool joda,
                      struct translation *tr);

/* ---- for translate.c's parts ---- */

/* Lines of engines that take the same definitions; as bits. */
enum {
    LINE_ES7 = 1,           /* Elasticsearch 7 */
    LINE_ES8 = 2,           /* Elasticsearch 8 and later */
    LINE_OS1 = 4,           /* OpenSearch 1 */
    LINE_OS2 = 8,           /* OpenSearch 2 and later */
    LINE_ES6 = 16,          /* Elasticsearch 6: what it refuses of older ones, and no more */
    LINE_NO_LIFECYCLE = 32, /* besides: any of Elasticsearch that has no lifecycle policies */
    LINES_OPENSEARCH = LINE_OS1 | LINE_OS2,
    LINES_TYPELESS = LINE_ES8 | LINE_OS2,
    LINES_ALL = LINE_ES7 | LINE_ES8 | LINE_OS1 | LINE_OS2,
    LINES_SINCE_6 = LINES_ALL | LINE_ES6,
};

struct translator {
    struct translation *tr;
    unsigned line; /* of the target; 0: before 6.0, nothing is translated */
    int version;   /* of the target, where it is Elasticsearch: 902 is 9.2; else 0 */
    int origin;    /* the major version that it was made by, 2 for all before 5.0; 0: not known */
    long created;  /* the same as engines count it, since 8.11 by other steps; 0: not known */
    bool no_lifecycle; /* the target has no lifecycle policies */
    bool flat_objects; /* it has that type of fields */
    bool keeps_types;  /* a mapping type may stay */
    bool joda;         /* date formats were written for joda-time */
    bool is_template;  /* it is what indices are made from: nobody has put its parts together */
};

__attribute__((format(printf, 2, 3))) void translator_change(struct translator *t,
                                                             const char *format, ...);
__attribute__((format(printf, 2, 3))) void translator_warn(struct translator *t, const char *format,
                                                           ...);
/* The first reason counts. */
__attribute__((format(printf, 2, 3))) void translator_refuse(struct translator *t,
                                                             const char *format, ...);

/* True for what engines before 6.0 took as false in a mapping; `no` was not among it. */
bool translate_is_off(const json_t *value);
/* The member NAME of OBJECT as text; "" where it is none. */
const char *translate_text(const json_t *object, const char *name);

/* translate_settings.c: SETTINGS are those below "index". */
void translate_settings(struct translator *t, json_t *settings);
/* translate_analysis.c: the analysis in them. */
void translate_analysis(struct translator *t, json_t *settings);
/* translate_mapping.c: the mappings that are HOLDER's member "mappings". */
void translate_mappings(struct translator *t, json_t *holder);
/* translate_dynamic.c: how the types of unknown fields are guessed. */
void translate_dynamic(struct translator *t, json_t *mapping);
void translate_dynamic_value(struct translator *t, const char *path, json_t *holder);
/* translate_field.c: FIELD, called PATH in what is said, and what is below it. */
void translate_field(struct translator *t, const char *path, json_t *field);
void translate_fields(struct translator *t, const char *path, json_t *fields);
/* A boolean parameter, of which engines before 6.0 took more than true and false. */
void translate_boolean(struct translator *t, const char *path, json_t *holder, const char *name);
/* translate_string.c: the type of engines before 5.0 that is `text` or `keyword` since. */
void translate_string(struct translator *t, const char *path, json_t *field);
/* Parameters that `text` and `keyword` have by other names, or in other forms, than it had. */
void translate_string_parameters(struct translator *t, const char *path, json_t *field);
/* translate_date.c: FORMATS as the target takes them, the caller's. */
json_t *translate_formats(struct translator *t, const char *path, const char *formats);
/* translate_query.c: the filters of ALIASES. */
void translate_aliases(struct translator *t, json_t *aliases);

#endif
