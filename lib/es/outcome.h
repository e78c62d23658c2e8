/* outcome.h - what an answer of the engine says happened to each write.
 *
 * A forward scanner over the raw bytes of an answer to _bulk, _doc, _create, _update, DELETE and _mget: no tree,
 * at memory speed.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_OUTCOME_H
#define TANDEM_ES_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/status.h"
#include "es/bulk.h"

/* What became of one write, by its item or its single answer. */
enum outcome {
    OUTCOME_APPLIED,  /* it took a seq_no: created, updated, deleted, or not_found of a delete */
    OUTCOME_NOTHING,  /* a success that changed nothing: noop, or dropped by a pipeline */
    OUTCOME_REFUSED,  /* certainly not applied */
    OUTCOME_CONFLICT, /* 409: a condition did not hold when it was last tried; it may have been applied before */
    OUTCOME_UNKNOWN,  /* it may have been applied, now or later */
};

enum result { RESULT_NONE, RESULT_CREATED, RESULT_UPDATED, RESULT_DELETED, RESULT_NOT_FOUND, RESULT_NOOP };

struct outcome_item {
    enum bulk_action action; /* bulk only */
    int status;              /* of the item; of a single answer the HTTP status */
    enum result result;
    struct span index;  /* raw JSON strings, SPAN_NONE when absent */
    struct span id;
    struct span error;  /* raw value of "error"; SPAN_NONE when there is none */
    bool has_numbers;   /* _seq_no and _primary_term are there and valid */
    int64_t seq_no;
    uint64_t term;
    int64_t version;
    struct span get;        /* raw "get" object of an update; SPAN_NONE when absent */
    struct span get_source; /* raw `_source` within it */
    bool shards_failed;     /* _shards.failed > 0 */
    signed char created, found; /* what engines before 6.0 say: 1, 0, or -1 when they do not */
    struct span raw;        /* bulk: the item's whole object {"index":{...}}; single: the body */
};

struct outcome_walk {
    struct span body;
    const char *at, *end;
    size_t items;
    bool errors; /* the value of "errors" where it was seen before the items */
};

/* Begins the walk over the items of a bulk answer. BAD_INPUT when it is not one (no "items" array). */
MUST_USE enum status outcome_walk_init(struct outcome_walk *walk, struct span body);
/* The next item. OK; NOT_FOUND at the end; BAD_INPUT when the answer is cut or not JSON. */
MUST_USE enum status outcome_next(struct outcome_walk *walk, struct outcome_item *item);

/* Reads the answer to a single index, create, update or delete. BAD_INPUT when the body is no JSON object. */
MUST_USE enum status outcome_single(int http_status, struct span body, struct outcome_item *item);

/* What stands in the place of term and sequence number where there are none: (1, VERSION) below 2^40, and in the same
 * order above. VERSION is not negative. */
void numbers_of_version(int64_t version, uint64_t *term, int64_t *seq_no);
/* An engine before 6.0 has no sequence numbers, and before 5.0 no `result`. ITEM gets those of its `_version`, which
 * order the states of one document as long as its writes follow each other, and the result by `created` and `found`.
 * An update of 2.4 says neither: it is a success that may have changed nothing, or deleted the document. */
void outcome_by_version(struct outcome_item *item);

/* Judges one item (see the table in outcome.c): by status, result and the type of its error.
 * WHOLE: it stands for a whole request of one document (some 5xx are certain refusals then, others not). */
enum outcome outcome_judge(const struct outcome_item *item);
/* Judges an answer without items: a non-2xx of a whole bulk. INCREMENTAL: the engine is ES 8.16 or later, where a
 * refused bulk may be half applied. */
enum outcome outcome_judge_whole_bulk(int http_status, struct span body, bool incremental);

/* One document of an _mget answer (or a single GET). */
struct mget_doc {
    struct span index, id, routing; /* raw JSON strings, SPAN_NONE when absent */
    bool found;
    bool failed;        /* an error stands in its place (index missing, shard away): nothing is known */
    struct span error;
    bool has_numbers;
    int64_t seq_no;
    uint64_t term;
    int64_t version;
    struct span source; /* raw; SPAN_NONE when not asked for or disabled */
};
/* Walks the "docs" of an _mget answer, as outcome_walk_init and outcome_next. */
MUST_USE enum status mget_walk_init(struct outcome_walk *walk, struct span body);
MUST_USE enum status mget_next(struct outcome_walk *walk, struct mget_doc *doc);
/* As outcome_by_version. */
void mget_by_version(struct mget_doc *doc);

#endif
