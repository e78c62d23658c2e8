/* hits.h - searches for the documents of a range of sequence numbers, and the documents in an
 * answer.
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
#include "es/es_client.h"

/* Sets CALL to the search for the documents of one shard of INDEX whose sequence numbers are above
 * ABOVE, up to UP_TO; at most SIZE of them are answered. VECTORS: the engine must be asked for them
 * (settings_hide_vectors). */
void hits_search(struct es_call *call, const char *index, size_t shard, int64_t size, int64_t above,
                 int64_t up_to, bool vectors);

/* Sets CALL to the first part of all documents of one shard of INDEX as they are now, or, with the
 * SCROLL that an answer gave (hits_scroll), to the next: for engines before 6.0. Parts are SIZE
 * documents; one without any is the end. What is open in the engine goes by itself after five
 * minutes without a call. */
void hits_scroll_search(struct es_call *call, const char *index, size_t shard, int64_t size,
                        const char *scroll);
/* The id for the next part, the caller's; NULL: there is none. */
char *hits_scroll(struct span body);

struct hits_walk {
    struct json_walk walk;      /* over the hits */
    struct json_walk around[2]; /* the answer, and its member `hits`: what encloses them */
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

/* Begins the walk. BAD_INPUT: the answer is none to a search, it timed out, or a shard failed; that
 * it is cut is seen at its end only. *SHARDS (may be NULL): how many it is of. */
MUST_USE enum status hits_init(struct hits_walk *walk, struct span body, int64_t *shards);
/* The next one. OK; NOT_FOUND at the end; BAD_INPUT when the answer is cut, or a hit has no id. */
MUST_USE enum status hits_next(struct hits_walk *walk, struct hit *hit);

/* HIT of an engine before 6.0 gets numbers of its `_version`: see outcome_by_version(). */
void hit_by_version(struct hit *hit);

/* What of a hit must be decoded, the caller's. */
struct hit_text {
    struct buffer id, routing, type; /* empty when absent */
};
/* False: HIT is no whole document, it came without its source, its numbers, or readable names.
 * Ended with hit_text_fini() in any case. */
MUST_USE bool hit_text_init(struct hit_text *text, const struct hit *hit);
void hit_text_fini(struct hit_text *text);

#endif
