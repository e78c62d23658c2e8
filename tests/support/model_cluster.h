/* model_cluster.h - a deterministic model of an OpenSearch cluster, in memory and without I/O.
 *
 * The simulation runs two of them in one process on a fake clock; fake_es serves one over TCP. It
 * answers as the engines do as far as Tandem can tell: versions, sequence numbers, terms,
 * tombstones, mappings that grow, templates, pipelines, aliases, blocks, the cluster state.
 * tests/system/test_engine_facts.py asks the same of a real engine and of fake_es, and compares.
 *
 * What must hold:
 *   - The same options, requests and times give the same answers, byte for byte.
 *   - One request is executed whole, or not at all; nothing happens between requests.
 *   - What a real engine may or may not forget is forgotten only when a test says so (restart).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_TESTS_MODEL_CLUSTER_H
#define TANDEM_TESTS_MODEL_CLUSTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct model_cluster;

struct model_options {
    const char *name;    /* of the cluster; NULL: "model" */
    uint64_t seed;       /* of every uuid and generated id */
    const char *version; /* of the product; NULL: "2.19.1" */
    const char *address; /* host:port that _nodes/http shows; NULL: "127.0.0.1:9200" */
};

struct model_request {
    struct span method;
    struct span target; /* path and query, percent-encoded */
    struct span body;
    struct span content_type;  /* may be empty; bodies must be JSON whatever it says */
    struct span authorization; /* not looked at */
};

struct model_answer {
    int status;
    struct buffer headers; /* "Name: value\r\n" each; no Content-Length */
    struct buffer body;    /* for HEAD too: the caller sends its size only */
};

/* One operation that took a sequence number, as it happened. */
struct model_applied {
    const char *index;
    const char *index_uuid;
    struct span id;
    struct span routing; /* empty when none */
    uint32_t shard;
    int64_t version;
    uint64_t term;
    int64_t seq_no;
    bool deleted; /* else source is what is stored now */
    bool existed; /* a live document was there before */
    struct span source;
    uint64_t now_us;
};

/* One live document. */
struct model_document {
    const char *index;
    const char *index_uuid;
    struct span id;
    struct span routing;
    struct span source;
    uint32_t shard;
    int64_t version;
    uint64_t term;
    int64_t seq_no;
};

struct model_cluster *model_cluster_new(const struct model_options *options);
void model_cluster_free(struct model_cluster *cluster);
/* A snapshot of everything, which lives on its own. It has no observer. */
struct model_cluster *model_cluster_copy(const struct model_cluster *cluster);

/* Executes REQUEST. ANSWER's buffers are emptied first and are the caller's. */
void model_cluster_handle(struct model_cluster *cluster, uint64_t now_us,
                          const struct model_request *request, struct model_answer *answer);
void model_answer_fini(struct model_answer *answer);

/* ON_APPLIED is called for every operation that takes a sequence number. */
void model_cluster_observe(struct model_cluster *cluster,
                           void (*on_applied)(void *arg, const struct model_applied *applied),
                           void *arg);

/* All nodes end and start again: terms rise by one, tombstones are forgotten, transient settings
 * too. */
void model_cluster_restart(struct model_cluster *cluster);
void model_cluster_forget_tombstones(struct model_cluster *cluster);
/* Takes INDEX from SNAPSHOT and restores it over itself: the same uuid, terms above both, a new
 * history uuid. False when one of them does not have it. */
bool model_cluster_restore_index(struct model_cluster *cluster,
                                 const struct model_cluster *snapshot, const char *index);

/* Every live document, indices by name, documents by shard and id. */
void model_cluster_each_document(struct model_cluster *cluster,
                                 void (*each)(void *arg, const struct model_document *document),
                                 void *arg);
/* The live document ID in INDEX (a name, no alias); false when there is none. */
bool model_cluster_document(struct model_cluster *cluster, const char *index, struct span id,
                            struct span routing, struct model_document *document);
int64_t model_cluster_state_version(const struct model_cluster *cluster);
const char *model_cluster_uuid(const struct model_cluster *cluster);

/* Appends a line for each thing in which STANDBY is not what Tandem makes of PRIMARY: documents
 * with their routing, source and version (BASE + term) * 2^40 + seq_no; shards, mappings, aliases,
 * open or closed, settings that are not the site's own; templates, pipelines, scripts. Returns how
 * many. Names that begin with '.' or "tandem-" are left out. */
size_t model_compare(struct model_cluster *primary, struct model_cluster *standby, uint64_t base,
                     struct buffer *differences);

#endif
