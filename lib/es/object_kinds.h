/* object_kinds.h - the definitions of a cluster that are no indices: where they are found, and
 * which of them are replicated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_OBJECT_KINDS_H
#define TANDEM_ES_OBJECT_KINDS_H

#include <stdbool.h>

#include <jansson.h>

#define OBJECT_KINDS 6

#define OBJECT_POLICY "ilm_policy" /* the type of Elasticsearch's lifecycle policies */

struct object_kind {
    const char *type;    /* in records, and in messages */
    const char *section; /* of the cluster state's metadata */
    const char *path;    /* of one, without its name */
    bool listed;         /* GET of the path tells them all; else only the cluster state does */
    const char
        *state; /* what of the section tells them, as a filter_path; unless they are listed */
    const char *wrapper; /* the member that holds one in the body of a PUT; NULL: it is the body */
};

/* A component goes before what may be composed of it. */
extern const struct object_kind object_kinds[OBJECT_KINDS];

/* Name -> body of the objects of KIND in ANSWER: that of GET of its path, or its section of the
 * cluster state. Bodies as an engine takes them: what it shows besides is taken out of ANSWER. Of a
 * policy that is what it says: not its version, nor the rights of whoever put it. The caller's;
 * empty when there are none. */
json_t *objects_in(const struct object_kind *kind, const json_t *answer);

/* False for what an engine brings along itself, for what is Tandem's, and for names that are too
 * long for a journal's key. */
bool object_is_replicated(const char *name, const json_t *body);

#endif
