/* hits.h - the documents in an answer to a search.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ES_HITS_H
#define TANDEM_ES_HITS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "base/json.h"
#include "base/status.h"

struct hits_walk {
    struct json_walk walk;
};

/* One hit. Spans are raw JSON within the answer; SPAN_NONE when absent. */
struct hit {
    struct span id, routing, type; /* strings; `type` is absent where it is `_doc` */
    struct span source;
    bool has_numbers; /* asked for with seq_no_primary_term */
    int64_t seq_no;
    uint64_t term;
    int64_t version; /* 0 when it was not asked for */
};

/* Begins the walk. BAD_INPUT: the answer is not a whole one: it is none to a search, it timed out,
 * or a shard failed. *SHARDS (may be NULL): how many it is of. */
MUST_USE enum status hits_init(struct hits_walk *walk, struct span body, int64_t *shards);
/* The next one. OK; NOT_FOUND at the end; BAD_INPUT when the answer is cut, or a hit has no id. */
MUST_USE enum status hits_next(struct hits_walk *walk, struct hit *hit);

#endif
