/* verify_impl.h - what verify.c (which index is looked at, and what follows from it), verify_scan.c
 * (sums over whole shards) and verify_settle.c (single documents) share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_VERIFY_IMPL_H
#define TANDEM_REPLICATOR_VERIFY_IMPL_H

#include "es/outcome.h"
#include "replicator/sample.h"
#include "replicator/verify.h"

#define VERIFY_BUCKETS 4096
#define VERIFY_TIMEOUT_US (120 * UINT64_C(1000000))

enum verify_side_number { ON_PRIMARY, ON_STANDBY, VERIFY_SIDES };

enum verify_state {
    VERIFY_NONE,
    VERIFY_NEXT,       /* chooses the next index */
    VERIFY_OBJECTS,    /* definitions that are no indices */
    VERIFY_DEFINING,   /* the index' definition */
    VERIFY_COUNTING,   /* what shards it has on both sides, and how far they reach */
    VERIFY_SUMMING,    /* digests of one shard, on both sides */
    VERIFY_SAMPLING,   /* or a random part of its documents */
    VERIFY_RECOUNTING, /* the standby has something newer: does the primary by now, too? */
    VERIFY_COLLECTING, /* the documents of buckets that differ */
    VERIFY_SETTLING,   /* looks at those again, one by one: is it a difference, or under way? */
    VERIFY_ENDED,
};

/* One document in which the two may differ. */
struct difference {
    char *
        key; /* owned: the id and the shard; two routings that lead to one shard are one document */
    size_t key_size;
    struct span id; /* into key */
    bool routed;    /* on the primary, or where it is */
    struct buffer routing;
    size_t shard;
    struct version_seen {
        bool found;
        uint64_t term; /* the cluster's own numbers */
        int64_t seq_no;
        int64_t version;  /* V: on the primary computed, on the standby stored */
        uint64_t content; /* digest, of the routing too */
    } seen[VERIFY_SIDES];
    bool looked_up; /* of a sample: on the other side, too */
    bool settled;   /* it is a difference for certain */
    bool given_up;  /* it can't be made equal */
    unsigned tries;
    int64_t tried_version; /* which of the primary was written last */
    bool ahead;            /* the standby has a version that the primary has never reached */
    UT_hash_handle hh;
};

/* The documents of one shard, read by ranges of its sequence numbers. */
struct verify_scan {
    struct verify *verify;
    enum verify_side_number side;
    int64_t at, upto, to, step;
    char *scroll; /* owned; of a primary without numbers: of the next part; NULL: of the first */
    bool busy, done;
    uint64_t documents;
    uint64_t digests[VERIFY_BUCKETS];
    uint64_t retry_us, backoff_us;
    struct es_call call;
};

/* A look at the definitions of both sides: of an index, or of all objects that are none. */
struct verify_look {
    int step;       /* see verify_definitions.c */
    size_t call;    /* of the step's side, the next */
    unsigned looks; /* that are through */
    uint64_t begun_us;
    uint64_t hold_until_us;     /* while the standby is read nothing is applied */
    uint64_t applied_seen;      /* definitions_applied when the standby was asked */
    json_t *read[VERIFY_SIDES]; /* owned: of an index its definition, else parts */
    json_t *applied;            /* owned, parts: what the standby was given; NULL: not known */
    json_t *states;             /* owned: of the objects */
    json_t *primary, *there;    /* owned, parts: what is compared */
    json_t *found;              /* owned: the differences */
    json_t *since;              /* owned: each of them -> since when, in us */
    bool mending;               /* what differed was put once more */
    json_int_t to_mend;
};

struct verify {
    struct standby *sb;
    enum verify_state state; /* moved by verify_set_state() only */
    char *pattern;           /* owned; NULL: all */
    bool apply, force;
    bool for_audit;    /* nobody asked for it */
    uint64_t ended_us; /* 0: none has ended since the start */
    /* Of the last one that looked at everything; kept over restarts. */
    uint64_t whole_us;    /* since 1970; 0: none has ended */
    bool whole_clean;     /* all was equal, or made so, and no later one found otherwise */
    uint32_t incarnation; /* of the index that is looked at, or was last */
    size_t shard, shard_count;
    /* Per shard, owned: up to where it is read (on the primary: what all copies have), and for the
     * primary its last sequence number and its term. */
    int64_t *reach[VERIFY_SIDES], *highest;
    uint64_t *terms;
    struct verify_scan scans[VERIFY_SIDES];
    int64_t counted;          /* version up to which this shard of the primary is compared */
    int64_t newest;           /* version on the standby, above it; -1: none is */
    int64_t limit;            /* what the standby has above it the primary cannot have given */
    struct difference *found; /* of this index, not settled or different */
    bool truncated;           /* there were more than are kept */
    bool applying;            /* the index was looked at as a whole, and is made equal now */
    struct verify_look look;
    /* a sample */
    double sample; /* percent; 0: everything is looked at */
    uint64_t sample_seed;
    enum verify_side_number sampled_side;
    struct sample ranges;                                          /* of the shard there */
    int64_t sample_numbers[VERIFY_SIDES], sample_of[VERIFY_SIDES]; /* of the index */
    uint64_t sample_documents[VERIFY_SIDES];
    /* settling */
    int step, rounds;
    size_t open; /* differences that are not settled, or not mended, yet */
    struct es_call call;
    bool busy;
    struct mark_wait mark;
    size_t outstanding;  /* rows on their way */
    struct buffer asked; /* pointers of the differences that are asked for now */
    uint64_t retry_us, backoff_us;
    char why[300];            /* what it waits for */
    json_t *result, *results; /* owned; of this index, of all before it */
    json_t *objects;          /* owned: what was found of objects; NULL: nothing yet */
};

/* ---- verify.c ---- */
struct life *verify_life(struct verify *verify);
void verify_set_state(struct verify *verify, enum verify_state next);
/* The call cannot be used: WHY is said, the next try put off. */
void verify_wait(struct verify *verify, const char *format, ...) PRINTF_LIKE(2, 3);
/* The index is another one by now, or gone: nothing more is said of it. */
void verify_skip(struct verify *verify, const char *why);
/* Sends CALL to the cluster of SIDE. */
void verify_call(struct verify *verify, enum verify_side_number side, struct es_call *call);
/* True when that side leaves vectors out of the documents that it answers, unless it is asked. */
bool verify_asks_vectors(struct verify *verify, enum verify_side_number side);
/* True when CALL has ended with an answer of 2xx. */
bool verify_answered(struct verify *verify, enum verify_side_number side,
                     const struct es_call *call);
/* The present index' name, percent-encoded; the caller's. */
char *verify_name(struct verify *verify);
/* A digest of the JSON document SOURCE, that does not depend on white space, and of its routing. Of
 * vectors that an engine puts back see vectors_digest(). */
uint64_t verify_content(struct verify *verify, struct span source, bool routed,
                        struct span routing);
/* The difference of a document, made when it is not known yet; NULL: there are too many. */
struct difference *verify_difference(struct verify *verify, size_t shard, struct span id,
                                     bool routed, struct span routing);
void verify_set_routing(struct difference *difference, bool routed, struct span routing);
void verify_drop_difference(struct verify *verify, struct difference *difference);
bool verify_is_equal(const struct difference *difference);
/* The same in version and content, or not there either. */
bool verify_is_same(const struct version_seen *a, const struct version_seen *b);

/* Both sides are counted; AGAIN: the primary once more. */
void verify_on_counted(struct verify *verify, bool again);

/* ---- verify_count.c ---- */
/* Asks for the next of what has to be known. */
void verify_count(struct verify *verify);
/* Reads uuid and primary terms of the index from an answer of the primary's cluster state; false:
 * it is another index (skipped then). */
bool verify_take_state(struct verify *verify, struct span body);
/* Reads how far the shards of SIDE reach; false: some shard tells nothing now (it waits then). */
bool verify_take_reach(struct verify *verify, enum verify_side_number side, struct span body);

/* ---- verify_definitions.c ---- */
/* In VERIFY_OBJECTS of all objects, in VERIFY_DEFINING of the index. */
void verify_look_begin(struct verify *verify);
/* True when what was found is in `objects`, or in the index' result. */
bool verify_look_turn(struct verify *verify, uint64_t now_us);
void verify_look_fini(struct verify_look *look);

/* ---- verify_scan.c ---- */
/* V of an operation of the present index. */
int64_t verify_version(struct verify *verify, size_t shard, int64_t seq_no);
void verify_scan_begin(struct verify *verify);
/* SIDE is read from above ABOVE up to UP_TO. */
void verify_scan_range(struct verify *verify, enum verify_side_number side, int64_t above,
                       int64_t up_to);
/* Goes on with both sides; true when both are through. */
bool verify_scan_turn(struct verify *verify, uint64_t now_us);
/* True when some bucket of the shard differs. */
bool verify_scan_differs(const struct verify *verify);

/* ---- verify_sample.c ---- */
/* An index begins. */
void verify_sample_reset(struct verify *verify);
void verify_sample_begin(struct verify *verify);
/* True when what does not agree is in `found`. */
bool verify_sample_turn(struct verify *verify, uint64_t now_us);
/* Notes in the result how much of the index was looked at. */
void verify_sample_note(struct verify *verify);
/* A document of the sample. */
void verify_sample_take(struct verify *verify, enum verify_side_number side, struct span id,
                        bool routed, struct span routing, const struct version_seen *seen);

/* ---- verify_settle.c ---- */
/* Asks SIDE for the documents in `asked`. */
void verify_ask_documents(struct verify *verify, enum verify_side_number side,
                          void (*on_done)(struct es_call *call));
struct version_seen verify_see(struct verify *verify, struct difference *difference,
                               const struct mget_doc *doc, enum verify_side_number side);
void verify_settle_begin(struct verify *verify);
/* True when nothing is left to be looked at. */
bool verify_settle_turn(struct verify *verify, uint64_t now_us);

#endif
