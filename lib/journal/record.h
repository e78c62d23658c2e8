/* record.h - what a journal record says, and its bytes.
 *
 * The format is specified at the top of record.c, and only there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_JOURNAL_RECORD_H
#define TANDEM_JOURNAL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"

#define RECORD_ID_MAX 512     /* bytes of a document's id, the engines' own limit */
#define RECORD_HEADER_SIZE 72 /* bytes before the content */

enum record_kind {
    RECORD_ROW = 1,      /* the resulting state of one document */
    RECORD_ANSWERED = 2, /* numbers that the primary used and no row carries */
    RECORD_METADATA = 3, /* the state of one metadata object, or its end */
    RECORD_MARK = 4,     /* everything that was open when this mark was asked for is closed */
    RECORD_HELLO = 5,    /* a boot of the journal's writer: timeline and history of bases */
    RECORD_FENCE = 6,    /* reserved: an older timeline can no longer acknowledge anything */
    RECORD_ROLE = 7,     /* reserved: which cluster is primary */
    RECORD_SWEPT = 8,    /* a write by query is over; all that it left is in rows before this one */
};

struct journal_id {
    uint8_t bytes[16];
};

/* The header of every record. */
struct record_header {
    enum record_kind kind;
    struct journal_id journal;
    uint64_t boot;        /* counts the starts of the journal's writer, from 1 */
    uint64_t seq;         /* dense, from 1 */
    uint64_t timeline;    /* from 1 */
    uint64_t time_us;     /* wall clock at the commit, microseconds since 1970 */
    uint16_t part, parts; /* 0 of 1 in LMDB */
};

enum row_op { ROW_INDEX = 1, ROW_DELETE = 2 };
enum row_proof {
    ROW_ANSWERED = 1, /* term and seq_no are those of the primary's answer */
    ROW_PROBED = 2,   /* read afterwards; its own numbers */
    ROW_NEGATIVE = 3, /* "not there as of (term, seq_no)": deletes whatever is older */
};
enum row_content { CONTENT_JSON = 1, CONTENT_CBOR = 2, CONTENT_SMILE = 3, CONTENT_YAML = 4 };

/* Optional fields, as tags. */
enum row_field {
    ROW_FIELD_TYPE = 1 /* `_type` of old engines */,
    ROW_FIELD_TIMESTAMP = 2,
    ROW_FIELD_TTL = 3,
    ROW_FIELD_DYNAMIC_TEMPLATES = 4
};

struct row {
    enum row_op op;
    enum row_proof proof;
    uint32_t incarnation; /* short number of this journal, defined by a metadata record "index" */
    uint32_t shard;
    uint64_t term;
    int64_t seq_no;  /* -1 only for a negative row of an empty shard */
    int64_t version; /* `_version` on the primary; 0 when not known */
    bool routed;     /* routing is present (it may be empty) */
    struct span routing;
    struct span id; /* decoded, 1..RECORD_ID_MAX bytes */
    enum row_content content;
    struct span source;            /* bytes as they are; empty for deletes */
    struct span type;              /* ROW_FIELD_TYPE, SPAN_NONE when absent */
    struct span dynamic_templates; /* raw JSON, SPAN_NONE when absent */
    bool copy_failed; /* the primary said that a copy of the shard failed (`_shards.failed`) */
};

/* Numbers of one shard that no row carries (noops of failed documents, deletes of a dropped life
 * ...). */
struct answered {
    uint32_t incarnation;
    uint32_t shard;
    uint64_t term;
    int64_t seq_no;
};

/* The numbers AFTER < n <= UP_TO of one shard. */
struct seq_range {
    uint32_t incarnation;
    uint32_t shard;
    int64_t after; /* -1: from the first on */
    int64_t up_to;
};

/* The end of a write by query: of the numbers in these ranges it used OPERATIONS, and whoever
 * else wrote there has rows of his own. */
struct swept {
    uint64_t operations;
    uint64_t unnamed; /* deletions among them that have no rows: nobody knows of which documents */
    size_t count;
    struct span ranges; /* as they are encoded; read with swept_range() */
};

/* One metadata object. TYPE and NAME say which, e.g. "index" + uuid, "template" + name. */
struct metadata {
    struct span type; /* "index", "template", "index_template", "component_template", "pipeline",
                         "script", "ilm_policy"; later ones may be others */
    struct span name; /* for "index": the life's key, <uuid> or <uuid>/<history uuid> */
    uint64_t state_version; /* version of the cluster state it was read from: newest wins */
    uint64_t high_term;     /* highest primary term this proxy saw */
    uint32_t incarnation;   /* of an "index": its short number in this journal; else 0 */
    bool gone;              /* it was deleted; body is empty */
    struct span body;       /* JSON as the primary gave it, see docs/metadata.md */
};

struct mark {
    uint64_t number;    /* the request it answers, counted by the proxy from 1 */
    uint64_t high_term; /* highest primary term this proxy saw */
};

struct base {
    uint64_t timeline;
    uint64_t base;
};
struct hello {
    struct span system_id; /* text */
    struct span cluster;   /* the primary's name in the configuration */
    struct span cluster_uuid;
    uint64_t high_term;
    size_t base_count;
    struct base bases[16]; /* history of bases, oldest first; base[1] = 0 */
};

/* One decoded record. Spans point into the bytes it was decoded from. */
struct record {
    struct record_header header;
    union {
        struct row row;
        struct answered answered;
        struct metadata metadata;
        struct mark mark;
        struct hello hello;
        struct swept swept;
    };
};

/* Appends RECORD's bytes to OUT. The header's magic, version, length and checksum are filled in. */
void record_encode(struct buffer *out, const struct record *record);
/* Appends one range to what `swept.ranges` is to be. */
void swept_append(struct buffer *ranges, const struct seq_range *range);
/* The range at AT, below swept->count. */
struct seq_range swept_range(const struct swept *swept, size_t at);
/* Decodes the record at the front of BYTES; *USED: its size. RECORD_TORN: it ends early or its
 * checksum is wrong. RECORD_UNKNOWN: kind or format version is not known to this program. */
MUST_USE enum status record_decode(struct span bytes, struct record *record, size_t *used);

/* Size of the record at the front of BYTES, as its header says, and its header (NULL: not wanted)
 * without looking at checksum, version or content; 0 when there is none. For stepping over records.
 */
size_t record_peek(struct span bytes, struct record_header *header);

/* V = (base + term) * 2^40 + seq_no, the external version a row is written with on a standby. For a
 * negative row of an empty shard (seq_no -1) it is one less than that of the shard's first
 * operation. Never 0. */
int64_t record_version(uint64_t base, uint64_t term, int64_t seq_no);
/* Orders (term, seq_no) lexicographically: <0, 0, >0. */
int numbers_compare(uint64_t term_a, int64_t seq_no_a, uint64_t term_b, int64_t seq_no_b);

/* 32 lower-case hex digits and a NUL. */
void journal_id_text(const struct journal_id *id, char text[33]);
bool journal_id_parse(struct span text, struct journal_id *id);

const char *record_kind_name(enum record_kind kind);
const char *row_proof_name(enum row_proof proof);

/* ------------------------------------------------------------------------------------------------------
 * Intents: not records (they have a counter of their own and never leave the proxy's disk). */

enum intent_op { INTENT_INDEX = 1, INTENT_CREATE, INTENT_UPDATE, INTENT_DELETE };

struct intent_item {
    enum intent_op op;
    struct span name; /* index or alias as sent, decoded */
    struct span id;   /* decoded; empty when the client gave none and none could be injected */
    bool routed;
    struct span routing;
    uint32_t incarnation; /* the life the name meant when the write was admitted; 0: not known */
    struct span concrete; /* the concrete index name behind it then; empty: not known */
};

struct intent {
    uint64_t number; /* from 1, never used again */
    uint64_t boot;
    uint64_t time_us;       /* wall clock when it was admitted */
    uint64_t state_version; /* of the cluster state it was admitted under */
    size_t item_count;
    struct intent_item
        *items; /* intent_decode: allocated, freed by intent_fini; spans into the bytes */
};

void intent_encode(struct buffer *out, const struct intent *intent);
MUST_USE enum status intent_decode(struct span bytes, struct intent *intent);
void intent_fini(struct intent *intent);

#endif
