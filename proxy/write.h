/* write.h - one write taken apart: its items, what happened to each, and the rows that follow.
 *
 * Private to the files that are the exchange: exchange.c (the order of things), request.c (before
 * the primary), rows.c (after it), render.c (what the client sees).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_WRITE_H
#define TANDEM_PROXY_WRITE_H

#include "base/arena.h"
#include "es/outcome.h"
#include "proxy/catalog.h"
#include "proxy/core.h"
#include "proxy/documents.h"
#include "proxy/doubt.h"
#include "proxy/exchange.h"
#include "proxy/follower.h"
#include "proxy/hold.h"
#include "proxy/names.h"

/* Where the row of an applied item comes from. */
enum row_source {
    ROW_FROM_NOTHING, /* no row */
    ROW_FROM_REQUEST, /* the request's source, the answer's numbers */
    ROW_FROM_GET,     /* get._source of the answer */
    ROW_FROM_DELETE,  /* a tombstone with the answer's numbers */
    ROW_FROM_CAPTURE, /* a realtime _mget after the answer */
};

/* One item of a write: a whole single-document request, or one action of a bulk. */
struct write_item {
    /* as asked */
    enum intent_op op;
    struct span name, type, id, routing; /* decoded; in the arena */
    bool routed;
    bool id_said;          /* of a bulk: the client gave one */
    bool id_injected;      /* the client gave none */
    bool action_was_index; /* an injected bulk item goes out as create and comes back as index */
    bool conditional;      /* create, if_seq_no: a 409 may be the cluster's own second try */
    bool external_version;
    bool request_pipeline;  /* a pipeline is named in the request */
    bool get_added;         /* we asked for `get`; the client did not: take it out again */
    struct span get_filter; /* what the client asked for instead: decoded list of the `_source`
                               parameter, or empty */
    bool unreplicated;      /* excluded index, or a kind that the settings let pass */
    struct span source;     /* the document as sent; SPAN_NONE when there is none */
    struct span dynamic_templates;
    /* before the primary */
    const struct catalog_index
        *index;                /* life known at admission, in ex->catalog; NULL: not known */
    struct span alias_routing; /* routing that the alias adds */
    /* after it */
    struct outcome_item answer;
    enum outcome outcome;
    enum row_source row_source;
    const struct catalog_index *hit; /* the life it hit; in ex->catalog or ex->catalog_after */
    bool uncertain;   /* the life is not proved by the answer: only what is found there counts */
    bool wants_watch; /* look again later: it may have been applied without an answer */
    bool has_row;
    struct row row;
    struct mget_doc captured;
    bool sweep; /* a pipeline may have set the routing: the capture asks every shard */
};

struct by_query;

struct exchange {
    struct core *core;
    struct loop *loop;
    const struct exchange_ports *ports;
    void *ctx;
    void *owner; /* the data path's; NULL once the client has gone */
    int state;   /* enum exchange_state; moved by exchange_set_state() only */
    uint64_t begun_us;

    uint64_t charged; /* bytes of core->body_bytes that go with this exchange */
    struct operation op;
    struct buffer head_bytes; /* what head's spans point into */
    struct buffer body;       /* decoded */
    struct buffer new_body; /* what is forwarded instead of body, when anything had to be changed */
    struct span content_type;
    bool json_body;
    struct arena arena;

    struct write_item *items; /* owned */
    size_t item_count, item_capacity;
    struct span *use_names; /* in the arena */
    size_t use_capacity;
    struct names_use use;
    bool using;
    struct hold_use hold;
    bool entered; /* and has not left: hold_leave() is owed */
    struct documents_use documents;
    bool in_turn; /* its documents are not given back yet */

    struct span filter_path; /* decoded, in the arena */
    bool pretty;

    const struct catalog *catalog; /* at admission */
    const struct catalog
        *catalog_after; /* of a read begun after the answer; NULL when none was needed */
    struct state_wait wait;

    struct primary_request request;
    struct primary_request capture_request;
    struct buffer capture_body;
    unsigned capture_tries;

    struct by_query *query; /* owned; of a write by query */
    struct commit commit;
    uint64_t intent; /* number; 0 when none is open */
    bool unknown;    /* some of it is in doubt */
    size_t applied;
    size_t conflicts;       /* 409: it may be the cluster's own second try that was refused */
    struct watch **watches; /* to be handed to doubt when durable; owned */
    size_t watch_count;
    struct reply reply;

    /* Heads have room for many fields: 20 KB that are not zeroed and mostly never touched. Last,
     * behind all that is zeroed at birth. */
    struct http_head head;
    struct primary_answer answer, capture_answer;
};

/* definition_names.c, request.c: small parts of the latter. */
void request_use_name(struct exchange *ex, struct span name);
struct span write_decode_segment(struct exchange *ex, struct span segment);

/* request.c: reads and rewrites the request. False: ex->reply is the refusal. Needs ex->catalog. */
bool request_prepare(struct exchange *ex);
/* Prepares ex->request for a write by query: what would hide its answer is taken out. False:
 * refused. */
bool request_prepare_by_query(struct exchange *ex);
/* True when the clients of ITEM's index set the versions, and it has an id. */
bool request_keeps_client_versions(const struct exchange *ex, const struct write_item *item);
/* Begins a call of Tandem's own, ex->capture_request with ex->capture_body, both empty; and ends it
 * when target and body are there. */
void request_begin_own(struct exchange *ex, const char *method);
void request_end_own(struct exchange *ex);
/* Undoes Content-Encoding of the body. False: ex->reply is the refusal. */
bool request_decode_body(struct exchange *ex);
/* definition_names.c: names that a change of definitions touches, into ex->use_names. */
void request_metadata_names(struct exchange *ex);
/* Prepares ex->request for a change of definitions. False: refused. */
bool request_prepare_metadata(struct exchange *ex);
/* ITEM's life may get a document with a routing. */
void request_note_routed(struct exchange *ex, const struct write_item *item);
struct write_item *request_add_item(struct exchange *ex);

/* rows.c: reads the answer into the items. False: it is not understood; all of it is in doubt. */
bool rows_read_answer(struct exchange *ex);
/* True when the life that was hit is not certain without a newer state read. */
bool rows_need_state(const struct exchange *ex);
/* Decides for each item which life it hit, from ex->catalog and, when not NULL, ex->catalog_after.
 */
void rows_decide_lives(struct exchange *ex);
/* True when something must be captured; ex->capture_request is ready then. */
bool rows_capture(struct exchange *ex);
/* Takes the answer of the capture in; false: ask again (older than the answer), or nothing usable.
 */
bool rows_take_capture(struct exchange *ex);
/* Gives up on the capture: what needed it is in doubt. */
void rows_capture_failed(struct exchange *ex);
/* Fills item->row for all that have one. */
void rows_build(struct exchange *ex);
/* Writes rows, answered numbers, watches and the end of the intent. */
enum status rows_write(struct exchange *ex, struct journal_txn *txn);
/* They are durable. */
void rows_written(struct exchange *ex);

/* render.c: ex->reply from the primary's answer. */
void render_reply(struct exchange *ex);
/* Adds X-Tandem-Outcome and X-Tandem-Seq. */
void render_promise(struct exchange *ex, const char *outcome);

/* Decodes a raw JSON string or number into the arena. */
struct span write_decode(struct exchange *ex, struct span raw);

/* ---- exchange.c, for the others ---- */
/* Counts SIZE bytes of memory as EX's until its end. */
void exchange_count(struct exchange *ex, uint64_t size);
/* The same before a byte was sent: false when there is no room, and the reply says so. */
MUST_USE bool exchange_charge(struct exchange *ex, uint64_t size);

#endif
