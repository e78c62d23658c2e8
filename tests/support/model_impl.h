/* model_impl.h - what the files of the model cluster share.
 *
 * model_cluster.c    requests to endpoints; errors; life of a cluster
 * model_documents.c  one write to one document, and the endpoints for one document
 * model_bulk.c       _bulk, _mget, _search, _count
 * model_update.c     _update: merging, upserts, the mini scripts
 * model_ingest.c     pipelines
 * model_mapping.c    mappings: given, guessed, checked
 * model_indices.c    life of an index: created, closed, cloned, deleted; its settings
 * model_templates.c  templates, pipelines, scripts, cluster settings; what they make of a new index
 * model_aliases.c    aliases
 * model_state.c      the cluster state and other reads of metadata
 * model_compare.c    what a standby has wrong
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_TESTS_MODEL_IMPL_H
#define TANDEM_TESTS_MODEL_IMPL_H

#include <jansson.h>

#include <uthash.h>

#include "base/check.h"
#include "es/bulk.h"
#include "model_cluster.h"

/* jansson's macros of these names hide the functions of base/json.h, which must be included first.
 */
static inline bool raw_is_string(struct span value)
{
    return value.size >= 2 && value.data[0] == '"';
}
static inline bool raw_is_null(struct span value)
{
    return value.size == 4 && value.data[0] == 'n';
}
static inline bool raw_is_true(struct span value)
{
    return value.size == 4 && value.data[0] == 't';
}

#define UUID_SIZE 23 /* with its NUL */
#define TARGET_SEGMENTS_MAX 8
#define GRAVEYARD_MAX 500

struct model_doc {
    char *id; /* owned; the key */
    size_t id_size;
    char *routing; /* owned; NULL when none */
    size_t routing_size;
    char *source; /* owned; NULL when deleted */
    size_t source_size;
    int64_t version;
    int64_t seq_no;
    uint64_t term;
    bool deleted; /* a tombstone */
    uint64_t deleted_us;
    UT_hash_handle hh;
};

struct model_shard {
    struct model_doc *docs; /* owned; tombstones too */
    int64_t max_seq_no;     /* -1 when nothing was written */
    uint64_t term;
    size_t live;
    char history_uuid[UUID_SIZE];
};

enum field_type {
    FIELD_OBJECT,
    FIELD_LONG,
    FIELD_FLOAT,
    FIELD_BOOLEAN,
    FIELD_DATE,
    FIELD_TEXT,    /* text, keyword: any scalar */
    FIELD_ANYTHING /* types that the model does not check */
};

struct model_field {
    char *path; /* owned: a.b.c; the key */
    enum field_type type;
    char *type_name; /* owned: as in the mapping */
    UT_hash_handle hh;
};

struct model_index {
    char *name; /* owned; the key */
    char uuid[UUID_SIZE];
    uint32_t shard_count, routing_shards, partition;
    struct model_shard *shards; /* owned */
    int64_t version, mapping_version, settings_version, aliases_version;
    bool closed;
    const char *recovery; /* EMPTY_STORE, EXISTING_STORE, LOCAL_SHARDS, SNAPSHOT */
    json_t *settings;     /* owned; flat: "index.number_of_shards": "2" */
    json_t *mapping;      /* owned; {"properties": ...} */
    json_t *aliases;      /* owned; name: definition */
    /* Read out of settings and mapping by index_refresh(). */
    int64_t gc_deletes_us; /* -1: forgotten at once */
    const char *block;     /* what a write is refused with; NULL when it is not */
    int block_status;
    int64_t fields_max;
    const char *default_pipeline, *final_pipeline; /* borrowed; NULL when none */
    bool routing_required, source_disabled;
    enum { DYNAMIC_TRUE, DYNAMIC_FALSE, DYNAMIC_STRICT } dynamic;
    bool date_detection;
    struct model_field *fields; /* owned */
    size_t field_count;         /* with multi-fields */
    UT_hash_handle hh;
};

struct model_cluster {
    char *name, *product_version, *address; /* owned */
    uint64_t random;
    uint32_t auto_ids;
    char uuid[UUID_SIZE], node_id[UUID_SIZE];
    int64_t version; /* of the cluster state */
    struct model_index *indices;
    json_t *templates, *index_templates, *component_templates, *pipelines,
        *scripts;                   /* owned; by name */
    json_t *persistent, *transient; /* owned; flat */
    json_t *graveyard;              /* owned; an array */
    uint64_t now_us;                /* of the present request */
    void (*on_applied)(void *arg, const struct model_applied *applied);
    void *arg;
    struct buffer scratch, path; /* kept for their memory */
};

/* Why something was refused; all zero when it was not. */
struct failure {
    int status; /* 0: none */
    const char *type;
    char reason[700];
    char index[256], index_uuid[UUID_SIZE]; /* "" when the engine does not name it */
    int shard;                              /* -1 when it does not name it */
    bool resource;                          /* an index or alias that is not there */
    const char *resource_type;
    const char *cause; /* type of the caused_by; NULL when there is none */
};
void fail(struct failure *failure, int status, const char *type, const char *format, ...)
    PRINTF_LIKE(4, 5);
void fail_no_index(struct failure *failure, struct span name, const char *resource_type);
/* {"type":...,"reason":...} */
void failure_append(const struct failure *failure, struct buffer *out);

/* A request, taken apart. */
struct call {
    struct model_cluster *cluster;
    const struct model_request *request;
    struct model_answer *answer;
    struct span segments[TARGET_SEGMENTS_MAX]; /* decoded */
    size_t segment_count;
    struct span query;
    struct buffer text; /* holds the segments */
};
bool call_is(const struct call *call, const char *method);
/* The decoded parameter NAME into VALUE (emptied first); false when it is absent. */
bool call_param(const struct call *call, const char *name, struct buffer *value);
bool call_flag(const struct call *call, const char *name, bool otherwise);
void answer_failure(struct call *call, const struct failure *failure);
/* Dumps JSON (taken over) as the body. */
void answer_json(struct call *call, int status, json_t *json);
void answer_acknowledged(struct call *call);
/* The body as an object; a new empty one when there is no body; NULL when it is not one (answered
 * then). */
json_t *call_body(struct call *call);

/* ---- documents ---- */

enum version_type { VERSION_INTERNAL, VERSION_EXTERNAL, VERSION_EXTERNAL_GTE };

/* One write and what became of it. Spans are decoded text, borrowed. */
struct write {
    enum bulk_action action;
    struct span name; /* of index or alias, as asked for */
    struct span id;
    bool no_id; /* to be generated */
    struct span routing;
    struct span source; /* the document, or the body of an update */
    struct span pipeline;
    bool has_pipeline, require_alias, bulk;
    bool has_version, has_condition;
    int64_t version, if_seq_no, if_term;
    enum version_type version_type;
    enum { SOURCE_UNSET, SOURCE_NO, SOURCE_YES } want_source;
    bool want_source_first; /* said in a bulk's action line: the body does not count */
    /* what became of it */
    struct failure failure;
    struct model_index *index; /* NULL while it is not resolved */
    uint32_t shard;
    const char *result; /* "created" ... */
    int status;
    int64_t new_version, seq_no;
    uint64_t term;
    bool dropped;    /* by a pipeline */
    bool no_numbers; /* a success without seq_no and term */
    bool no_op;
    bool has_get, get_found, get_has_source;
    struct buffer get_source;
    struct buffer made_id, made_index, made_routing,
        made_source; /* by generation, pipeline or script */
};
void write_init(struct write *write, enum bulk_action action);
void write_fini(struct write *write);
/* Executes it; failure.status != 0 when it was refused. */
void write_run(struct model_cluster *cluster, struct write *write);
/* The answer of a success, without the closing brace (a bulk item adds its status). */
void write_append_success(const struct write *write, struct buffer *out);
/* Refusals that a look at the request gives (versions with create ...); before anything is
 * executed. */
void write_validate(struct write *write);

/* Finds the index that NAME means for a write; creates it when that is allowed. NULL with failure
 * set. */
struct model_index *write_resolve(struct model_cluster *cluster, struct write *write);
/* The live document or tombstone of ID; NULL when there is none. */
struct model_doc *shard_find(const struct model_shard *shard, struct span id);
struct model_shard *index_shard(struct model_index *index, struct span id, struct span routing,
                                uint32_t *number);
/* Stores WRITE's document (SOURCE) or deletion, with every check of versions. */
void write_apply(struct model_cluster *cluster, struct write *write, struct span source);
/* Puts the routing that the alias NAME of INDEX adds into *ROUTING (borrowed). False with failure
 * set when there is another one already. */
bool alias_routing(const struct model_index *index, struct span name, struct span *routing,
                   struct failure *failure);
/* False with failure set when INDEX wants a routing and there is none. */
bool routing_given(const struct model_index *index, struct span id, struct span routing,
                   struct failure *failure);
/* Checks routing and mapping, gives an id, and applies. False with failure set. */
bool write_store(struct model_cluster *cluster, struct write *write, struct span source);
/* True when the versions and conditions of WRITE allow it over LIVE and KNOWN (a tombstone counts
 * as known). */
bool write_versions_allow(struct write *write, const struct model_doc *live,
                          const struct model_doc *known);
/* Runs pipeline NAME (empty or _none: nothing happens) on *SOURCE; what comes out is in
 * write->made_*. False when it failed or dropped the document. */
bool ingest_run(struct model_cluster *cluster, struct write *write, struct span name,
                struct span *source);
bool ingest_check(const json_t *pipeline, struct failure *failure);
void update_run(struct model_cluster *cluster, struct write *write);

void documents_call(struct call *call);
void bulk_call(struct call *call, struct span index);
void mget_call(struct call *call, struct span index);
void search_call(struct call *call, struct span index, bool count);
/* Appends ,"_version":..,"_seq_no":.. and, with SOURCE, the source of a live document. */
void doc_append(const struct model_doc *doc, bool source, struct buffer *out);

/* ---- indices ---- */

void cluster_bump(struct model_cluster *cluster);
void make_uuid(struct model_cluster *cluster, char uuid[UUID_SIZE]);
struct model_index *index_find(const struct model_cluster *cluster, struct span name);
/* Creates NAME from BODY (may be NULL; borrowed) and the templates. NULL with failure set. */
struct model_index *index_create(struct model_cluster *cluster, struct span name,
                                 const json_t *body, struct failure *failure);
void index_delete(struct model_cluster *cluster, struct model_index *index);
void index_free(struct model_index *index);
struct model_index *index_copy(const struct model_index *index);
/* Reads settings and mapping again. */
void index_refresh(struct model_index *index);
const char *index_setting(const struct model_index *index, const char *name);
struct index_list {
    struct model_index **list; /* owned array of borrowed indices */
    size_t count;
};
/* What EXPRESSION (names, aliases, wildcards, commas) means, sorted by name. False with failure set
 * when a plain name is not there and IGNORE is false. */
bool indices_resolve(struct model_cluster *cluster, struct span expression, bool ignore,
                     bool aliases, struct index_list *list, struct failure *failure);
void index_list_fini(struct index_list *list);
/* 403 by cluster.blocks.read_only or, of INDEX (may be NULL), a metadata block. */
bool metadata_blocked(struct model_cluster *cluster, const struct model_index *index,
                      struct failure *failure);
bool cluster_setting_is(const struct model_cluster *cluster, const char *name, const char *value);
const char *cluster_setting(const struct model_cluster *cluster, const char *name);
/* Flattens BODY's settings under "index."; false with failure set when one is not known or private.
 */
bool settings_flatten(const json_t *body, json_t *flat, struct failure *failure);
/* The flat settings as nested objects; a new reference. */
json_t *settings_nested(const json_t *flat);
void indices_call(
    struct call *call); /* /{index}, _settings, _mapping, _close, _open, _block, _clone */

/* ---- templates ---- */

/* Adds to SETTINGS (flat), MAPPING and ALIASES what the templates give an index NAME. */
bool templates_apply(struct model_cluster *cluster, const char *name, bool hidden, json_t *settings,
                     json_t *mapping, json_t *aliases, struct failure *failure);
/* 1: a template allows NAME to be created by a write, 0: it says nothing. */
bool templates_allow_create(struct model_cluster *cluster, const char *name);
void templates_call(
    struct call *call); /* templates of all kinds, pipelines, scripts, cluster settings */

/* ---- aliases ---- */

/* The index that writes through ALIAS go to. NULL: no such alias (failure untouched), or failure
 * set. */
struct model_index *alias_write_index(struct model_cluster *cluster, struct span alias,
                                      struct failure *failure);
/* Turns a request's alias definition into the stored one (routing -> index_routing,
 * search_routing). New reference. */
json_t *alias_definition(const json_t *body);
/* False with failure set when ALIAS as DEFINITION on INDEX would have a second write index. */
bool alias_write_free(const struct model_cluster *cluster, const char *index, const char *alias,
                      const json_t *definition, struct failure *failure);
void aliases_call(struct call *call);

/* ---- mappings ---- */

/* Merges the mapping FROM into INTO (both {"properties":..}); false with failure set. */
bool mapping_merge(json_t *into, const json_t *from, struct failure *failure);
/* Builds index->fields from index->mapping. */
void mapping_compile(struct model_index *index);
void mapping_fields_free(struct model_index *index);
size_t mapping_count(const json_t *mapping);
/* Checks SOURCE against the mapping and lets the mapping grow. False with failure set. */
bool mapping_take(struct model_cluster *cluster, struct model_index *index, struct span id,
                  struct span source, struct failure *failure);

/* ---- state ---- */

void state_call(
    struct call *call); /* _cluster/state, _stats, _recovery, _nodes, _cat, GET /, health */
/* The definition of INDEX as GET /{index} shows it; new reference. */
json_t *index_definition(const struct model_index *index);

/* json helpers */
const char *json_text(const json_t *object, const char *name); /* NULL when it is no string */
void json_overlay(json_t *into, const json_t *from);           /* deep, FROM wins */

#endif
