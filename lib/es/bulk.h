/* bulk.h - walks a _bulk body line by line without parsing documents.
 *
 * What the engines disagree about is refused here, so that an item's position always means the same: unknown
 * actions (7.10 drops them without an item), junk behind the action's object, more than one action in a line,
 * arrays in metadata, a missing last newline, a missing source line (see es-semantics in docs/engines.md).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_BULK_H
#define TANDEM_ES_BULK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"

enum bulk_action { BULK_INDEX, BULK_CREATE, BULK_UPDATE, BULK_DELETE };

/* One item. Spans are raw JSON values into the body (strings with quotes and escapes; an _id may be a number). */
struct bulk_item {
    enum bulk_action action;
    struct span line;     /* the action line, without its newline */
    struct span metadata; /* the object behind the action: {"_index":...} */
    struct span source;   /* the source line without its newline (and without a '\r' before it); empty for deletes */
    struct span index, type, id, routing, pipeline, require_alias, source_filter, op_type; /* SPAN_NONE when absent.
                             routing: `routing` or `_routing`; source_filter: `_source` in the action */
    bool has_condition;        /* if_seq_no, if_primary_term */
    bool has_external_version; /* version_type external, external_gt, external_gte (or _version_type) */
    bool forces_version;       /* version_type force, which may set a lower one: before 6.0 */
    size_t number;             /* position among the items, from 0 */
    size_t line_number;        /* of the action line, from 1, for error messages */
};

struct bulk_walk {
    const char *begin, *at, *end;
    size_t items, lines;
    const char *why; /* after a failure: the sentence for the client, without the line number */
    size_t why_line; /* from 1 */
};

void bulk_walk_init(struct bulk_walk *walk, struct span body);
/* The next item. OK; NOT_FOUND at the end of the body; BAD_INPUT with walk->why. */
MUST_USE enum status bulk_next(struct bulk_walk *walk, struct bulk_item *item);

/* "index", "create", "update", "delete" */
const char *bulk_action_name(enum bulk_action action);

#endif
