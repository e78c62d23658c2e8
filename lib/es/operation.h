/* operation.h - method and path of a request -> which call of Elasticsearch or OpenSearch it is.
 *
 * One table, operations.tsv, lists every REST path of the engines from 2.4 to 9.5 with its class; it is compiled
 * in. docs/compatibility.md is printed from the same table (operation_print_compatibility).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_OPERATION_H
#define TANDEM_ES_OPERATION_H

#include <stdbool.h>
#include <stdio.h>

#include "base/bytes.h"

/* What Tandem does with a call. The order is that of docs/compatibility.md. */
enum op_class {
    OP_READ,        /* passes through, streaming */
    OP_WRITE,       /* a document write: intent, forward, rows (kind says which) */
    OP_BY_QUERY,    /* writes what a query finds: forwarded; what it left is read back and journaled before the answer */
    OP_METADATA,    /* changes definitions that are replicated as state: indices, mappings, settings, aliases,
                       templates, component templates, pipelines, stored scripts; followed, answered when journaled */
    OP_MAINTENANCE, /* refresh, flush, forcemerge, cache clear ...: node-local; passes, not replicated */
    OP_SESSION,     /* scroll, point in time, async search, tasks: passes, belongs to the primary */
    OP_ADMIN,       /* cluster, security, feature, snapshot administration: passes, said to be unreplicated */
    OP_UNREPLICATED,/* changes replicated data in a way that is not replicated yet: refused unless its kind is allowed */
    OP_OPAQUE,      /* writes documents and its answer names none: refused */
    OP_FORBIDDEN,   /* DELETE / and the like: refused, there is no setting */
    OP_UNKNOWN,     /* not in the table: GET and HEAD pass as reads, everything else is refused unless allowed */
};

enum op_kind {
    OP_KIND_NONE,
    /* OP_WRITE */
    OP_KIND_BULK,
    OP_KIND_INDEX,  /* with or without id, op_type=create too */
    OP_KIND_CREATE, /* by path */
    OP_KIND_UPDATE,
    OP_KIND_DELETE,
    /* OP_BY_QUERY; and OP_KIND_REINDEX */
    OP_KIND_DELETE_BY_QUERY,
    OP_KIND_UPDATE_BY_QUERY,
    /* OP_METADATA */
    OP_KIND_INDEX_CREATE,
    OP_KIND_INDEX_DELETE,
    OP_KIND_METADATA_OTHER,
    /* OP_UNREPLICATED: each is a word of the setting `unreplicated.allow` */
    OP_KIND_BY_QUERY,
    OP_KIND_REINDEX,
    OP_KIND_RESTORE,    /* restore and mount of a snapshot */
    /* OP_READ whose answer may be rewritten */
    OP_KIND_NODES_HTTP, /* says the addresses of nodes: sniffing */
};

struct operation {
    enum op_class class;
    enum op_kind kind;
    const char *api;   /* the name in the engines' specifications, as "indices.create"; NULL for OP_UNKNOWN */
    struct span index; /* raw (percent-encoded) path segments, empty when the path has none */
    struct span type;
    struct span id;
};

/* Classifies METHOD and PATH (without the query, percent-encoded as sent; empty segments are ignored as the engines do).
 * A `.../{index}` shape never takes a first segment that begins with '_' but for the literal _all. Never fails:
 * what is not known is OP_UNKNOWN. */
void operation_classify(struct span method, struct span path, struct operation *op);

/* "read", "write", ...: for logs and counters. */
const char *op_class_name(enum op_class class);
/* The word for settings and messages: "by_query", "reindex", "restore", "bulk" ... */
const char *op_kind_name(enum op_kind kind);

/* Prints docs/compatibility.md. */
void operation_print_compatibility(FILE *out);

#endif
