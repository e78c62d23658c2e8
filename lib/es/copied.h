/* copied.h - what of an index definition goes to another cluster, and what it says of itself.
 *
 * A definition is an object with the members "settings", "mappings" and "aliases", as an engine
 * shows an index.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_COPIED_H
#define TANDEM_ES_COPIED_H

#include <jansson.h>
#include <stdbool.h>

/* Flattens settings, or any other object, into OUT, below PREFIX: "analysis.analyzer.x.type" ->
 * value (text, array, or an empty object). */
void settings_to_paths(json_t *out, const char *prefix, json_t *value);
/* The settings of DEFINITION that are copied, flat, as paths below "index". The caller's. */
json_t *copied_settings(const json_t *definition);

/* How many mapping types MAPPINGS have (engines before 7.0 wrap fields in them), without
 * `_default_`, which is no type. *NAME: one of them, borrowed; NULL when there is none. */
size_t mapping_types(json_t *mappings, const char **name);
/* Why the documents of an index with these MAPPINGS cannot be read back as they were written; NULL:
 * they can. */
const char *mapping_unreadable(json_t *mappings);

/* Settings of an index, below "index": does the engine leave vectors out of the `_source` that it
 * answers, unless it is asked for them? Elasticsearch does so since 9.2, and every engine that can
 * show such settings understands WITH_VECTORS (vectors.h). */
bool settings_hide_vectors(const json_t *settings);
/* NULL: MAPPINGS have no vectors. Else those that such an engine answers only nearly as they were
 * written (it keeps direction and length, and multiplies): paths, with a newline before the first
 * and behind each. The caller's. */
char *mapping_vectors(const json_t *mappings);

#endif
