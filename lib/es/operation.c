/* operation.c - method and path of a request -> which call of Elasticsearch or OpenSearch it is.
 *
 * The tables come from operations.tsv by way of operations.py: rows (what Tandem knows of each
 * call) and a trie over path segments whose leaves point at rows. A request is looked up twice at
 * most:
 *
 *   1. with its last segment as a literal: /x/_doc/_search is the search of type _doc (6.x, 7.x);
 *   2. with any segment as a parameter: /x/_doc/7 is a document.
 *
 * Within a pass a literal edge is tried before the parameter, and given up when nothing below it
 * takes the method. That is the order in which the engines' own router tries its routes.
 *
 * What must hold:
 *   - A first segment that begins with '_' is never an index, but for _all; a type begins with '_'
 *     only as _doc. So a call of a later engine that we do not know is OP_UNKNOWN, never a write to
 *     an index "_xyz".
 *   - An escaped '_' (%5F) counts as one: whatever the engine makes of it, it is not in our table.
 *   - Nothing is allocated and no row is scanned: some binary searches, well below a microsecond.
 *
 * The special complication: under a type named _doc, engines without types (8.x, OpenSearch 2) see
 * an id where 6.x and 7.x see a call: POST /x/_doc/_search. We say the call, and give `type` as
 * _doc; on an engine without types the caller can tell by that.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/operation.h"

struct op_row {
    enum op_class class;
    enum op_kind kind;
    const char *api, *methods, *path, *engines, *note;
};

struct op_node {
    uint16_t edge;  /* the first of its literal edges in op_edges, sorted by size, then bytes */
    uint16_t edges; /* how many */
    uint16_t any;   /* the node behind a parameter; 0 (the root) for none */
    uint16_t leaf;  /* the first of its leaves in op_leafs */
    uint16_t leaves;
};

struct op_edge {
    const char *text;
    uint16_t size;
    uint16_t node;
};

struct op_leaf {
    uint16_t methods;                 /* OP_METHOD_ bits */
    uint16_t row;                     /* in op_rows */
    uint8_t index_at, type_at, id_at; /* which segment it is, from 1; 0 for none */
};

/* clang-format off */
#include "operations_table.inc"
/* clang-format on */

struct path {
    struct span segments[OP_SEGMENTS_MAX];
    size_t count;
    unsigned method;   /* one OP_METHOD_ bit */
    bool literal_last; /* pass 1: the last segment must be a literal */
};

static unsigned method_bit(struct span method)
{
    /* clang-format off */
    static const struct { struct span name; unsigned bit; } methods[] = {
        {{"GET", 3}, OP_METHOD_GET},       {{"POST", 4}, OP_METHOD_POST},   {{"PUT", 3}, OP_METHOD_PUT},
        {{"DELETE", 6}, OP_METHOD_DELETE}, {{"HEAD", 4}, OP_METHOD_HEAD},   {{"PATCH", 5}, OP_METHOD_PATCH},
    };
    /* clang-format on */
    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (span_equal(method, methods[i].name))
            return methods[i].bit;
    return 0;
}

/* False when there are more segments than any call we know has. */
static bool path_split(struct path *path, struct span text)
{
    const char *at = text.data, *end = at + text.size;
    while (at < end) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        const char *stop = slash == NULL ? end : slash;
        if (stop > at) {
            if (path->count == OP_SEGMENTS_MAX)
                return false;
            path->segments[path->count++] = span_of(at, (size_t)(stop - at));
        }
        at = stop + (slash != NULL);
    }
    return true;
}

static bool begins_with_underscore(struct span segment)
{
    return segment.data[0] == '_' || span_starts(segment, SPAN("%5F")) ||
           span_starts(segment, SPAN("%5f"));
}

/* _all, alone or before a comma: "every index", the only such word that starts with '_'. */
static bool is_all(struct span segment)
{
    if (!span_starts(segment, SPAN("_all")))
        return false;
    struct span rest = span_of(segment.data + 4, segment.size - 4);
    return rest.size == 0 || span_starts(rest, SPAN(",")) || span_starts(rest, SPAN("%2C")) ||
           span_starts(rest, SPAN("%2c"));
}

/* Whether segment AT may stand for a parameter. INDEXED: the first segment does. */
static bool may_be_parameter(struct span segment, size_t at, bool indexed)
{
    if (at == 0)
        return !begins_with_underscore(segment) || is_all(segment);
    if (at == 1 && indexed)
        return !begins_with_underscore(segment) || span_equal(segment, SPAN("_doc"));
    return true;
}

static uint16_t literal_child(const struct op_node *node, struct span segment)
{
    const struct op_edge *edges = op_edges + node->edge;
    size_t low = 0, high = node->edges;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const struct op_edge *edge = &edges[middle];
        int order = edge->size != segment.size ? (edge->size < segment.size ? -1 : 1)
                                               : memcmp(edge->text, segment.data, segment.size);
        if (order == 0)
            return edge->node;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

static const struct op_leaf *find_leaf(const struct op_node *node, unsigned method)
{
    for (const struct op_leaf *leaf = op_leafs + node->leaf;
         leaf < op_leafs + node->leaf + node->leaves; leaf++)
        if ((leaf->methods & method) != 0)
            return leaf;
    return NULL;
}

/* The leaf for the segments from AT on, below NODE. Depth and breadth are bounded by the table: two
 * edges a level. */
static const struct op_leaf *descend(const struct path *path, size_t at, const struct op_node *node,
                                     bool indexed)
{
    if (at == path->count)
        return find_leaf(node, path->method);
    struct span segment = path->segments[at];
    uint16_t child = literal_child(node, segment);
    if (child != 0) {
        const struct op_leaf *leaf = descend(path, at + 1, &op_nodes[child], indexed);
        if (leaf != NULL)
            return leaf;
    }
    if (node->any == 0 || !may_be_parameter(segment, at, indexed))
        return NULL;
    if (path->literal_last && at + 1 == path->count)
        return NULL;
    return descend(path, at + 1, &op_nodes[node->any], indexed || at == 0);
}

static const struct op_leaf *look_up(struct path *path, unsigned method)
{
    path->method = method;
    path->literal_last = true;
    const struct op_leaf *leaf = descend(path, 0, op_nodes, false);
    if (leaf == NULL) {
        path->literal_last = false;
        leaf = descend(path, 0, op_nodes, false);
    }
    return leaf;
}

static struct span segment_at(const struct path *path, unsigned number)
{
    return number == 0 ? SPAN_NONE : path->segments[number - 1];
}

void operation_classify(struct span method, struct span text, struct operation *op)
{
    struct path path = {.count = 0};
    unsigned bit = method_bit(method);
    *op = (struct operation){.class = OP_UNKNOWN};
    if (span_equal(method, SPAN("OPTIONS"))) {
        op->class = OP_READ; /* the engines answer it for any path, and do nothing */
        op->api = "options";
        return;
    }
    if (bit == 0 || text.size == 0 || !path_split(&path, text))
        return;

    const struct op_leaf *leaf = look_up(&path, bit);
    if (leaf == NULL && bit == OP_METHOD_HEAD)
        leaf = look_up(&path, OP_METHOD_GET);
    if (leaf == NULL) { /* what is marked when it passes all the same */
        struct span first = segment_at(&path, path.count != 0);
        op->index = first.size != 0 && first.data[0] != '_' ? first : SPAN_NONE;
        return;
    }
    const struct op_row *row = &op_rows[leaf->row];
    op->class = row->class;
    op->kind = row->kind;
    op->api = row->api;
    op->index = segment_at(&path, leaf->index_at);
    op->type = segment_at(&path, leaf->type_at);
    op->id = segment_at(&path, leaf->id_at);
}

/* clang-format off */
static const struct {
    const char *name, *text; /* the sentences are those of docs/compatibility.md */
} op_classes[] = {
    [OP_READ] = {"read",
        "Passes through untouched and streaming. `OPTIONS` does for any path, and `GET` and `HEAD` of paths that are not "
        "listed here. The answer to the sniffing calls names Tandem instead of the nodes where the configuration says so."},
    [OP_WRITE] = {"write",
        "A document write: it is announced in the journal, forwarded, and its results are journaled before the client sees "
        "the answer; then they go to the standbys. Bulk bodies must be JSON (415 otherwise) and answers are JSON (406 "
        "otherwise); `filter_path` and `pretty` are honoured. `X-Tandem-Outcome` says what is certain."},
    [OP_BY_QUERY] = {"by_query",
        "Writes what a query finds. It is forwarded as it is; when it has ended, what it left is read back (the numbers that "
        "its shards used since, and for what it may delete the ids that its query found before) and journaled, and then the "
        "client gets its answer. With `wait_for_completion=false` the answer is the task, and the outcome is unknown until "
        "Tandem has seen it end; status shows it. What it touches of excluded indices stays there."},
    [OP_METADATA] = {"metadata",
        "Changes definitions: indices, mappings, settings, aliases, templates, component templates, pipelines, stored "
        "scripts. It passes, and Tandem follows the state that comes of it, which is on a standby before any row that needs "
        "it; wildcards are no problem for that reason. The client gets its answer when the change is in the journal. Indices "
        "that arrive with content (shrink, split, clone, restore) are shown as filling until they are seeded."},
    [OP_MAINTENANCE] = {"maintenance",
        "Concerns nodes, caches and segments of one cluster: it passes and is not replicated. Also where it is called by `GET`."},
    [OP_SESSION] = {"session",
        "Scrolls, points in time, asynchronous searches, tasks: they pass, and belong to the cluster that made them."},
    [OP_ADMIN] = {"admin",
        "Administration of the cluster, of security, of features and of snapshots: it passes, and is not replicated. Do the "
        "same on the standby where you need it there."},
    [OP_UNREPLICATED] = {"unreplicated",
        "Changes documents or data streams in a way that is not replicated yet. Refused, unless its kind is listed in the "
        "setting `unreplicated.allow`; then it passes and the index is marked as diverged. Nothing diverges silently. Calls "
        "whose targets are all excluded indices pass."},
    [OP_OPAQUE] = {"opaque",
        "Writes documents, and its answer does not name them, so they cannot be journaled: refused."},
    [OP_FORBIDDEN] = {"forbidden",
        "Would delete everything: refused, and no setting changes that."},
    [OP_UNKNOWN] = {"unknown",
        "Not listed here. `GET` and `HEAD` pass as reads; everything else gets a 4xx that names the setting which would let "
        "it pass unreplicated."},
};

static const char *const op_kinds[] = {
    [OP_KIND_NONE] = "none",
    [OP_KIND_BULK] = "bulk",
    [OP_KIND_INDEX] = "index",
    [OP_KIND_CREATE] = "create",
    [OP_KIND_UPDATE] = "update",
    [OP_KIND_DELETE] = "delete",
    [OP_KIND_DELETE_BY_QUERY] = "delete_by_query",
    [OP_KIND_UPDATE_BY_QUERY] = "update_by_query",
    [OP_KIND_INDEX_CREATE] = "index_create",
    [OP_KIND_INDEX_DELETE] = "index_delete",
    [OP_KIND_METADATA_OTHER] = "metadata_other",
    [OP_KIND_BY_QUERY] = "by_query",
    [OP_KIND_REINDEX] = "reindex",
    [OP_KIND_RESTORE] = "restore",
    [OP_KIND_DATA_STREAM] = "data_stream",
    [OP_KIND_NODES_HTTP] = "nodes_http",
};
/* clang-format on */

const char *op_class_name(enum op_class class)
{
    CHECK((size_t) class < COUNT_OF(op_classes));
    return op_classes[class].name;
}

const char *op_kind_name(enum op_kind kind)
{
    CHECK((size_t)kind < COUNT_OF(op_kinds));
    return op_kinds[kind];
}

static void print_class(FILE *out, enum op_class class)
{
    size_t count = 0;
    fprintf(out, "\n## %s\n\n%s\n", op_class_name(class), op_classes[class].text);
    for (size_t i = 0; i < COUNT_OF(op_rows); i++) {
        const struct op_row *row = &op_rows[i];
        if (row->class != class)
            continue;
        if (count++ == 0)
            fputs("\n| call | methods | path | engines | note |\n| --- | --- | --- | --- | --- |\n",
                  out);
        fprintf(out, "| %s | %s | `%s` | %s | ", row->api, row->methods, row->path, row->engines);
        if (class == OP_UNREPLICATED)
            fprintf(out, "kind `%s`%s", op_kind_name(row->kind), row->note[0] == '\0' ? "" : "; ");
        fprintf(out, "%s |\n", row->note);
    }
}

void operation_print_compatibility(FILE *out)
{
    fputs(
        "# Compatibility\n\n"
        "What Tandem does with each call of Elasticsearch and OpenSearch. This page is printed by "
        "the program from\n"
        "the very table it classifies requests with (`lib/es/operations.tsv`); do not edit it "
        "here.\n\n"
        "A call is known by its method and the shape of its path. Versions are those of the "
        "specifications that were\n"
        "read: \"2.4-9.5\" is every sample from 2.4 to 9.5, \"OS 2.4+\" is OpenSearch since 2.4.\n",
        out);
    for (size_t class = 0; class < COUNT_OF(op_classes); class ++)
        print_class(out, (enum op_class) class);
}
