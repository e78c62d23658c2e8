/* seed_impl.h - what seed.c (the life of a seed) and seed_page.c (its reads) share.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_SEED_IMPL_H
#define TANDEM_REPLICATOR_SEED_IMPL_H

#include "replicator/seed.h"

#define SEED_BACKOFF_MIN_US (500 * UINT64_C(1000))
#define SEED_BACKOFF_MAX_US (30 * UINT64_C(1000000))

enum seed_state {
    SEED_ASKED,    /* it has not begun, or begins anew */
    SEED_COUNTING, /* how far do the shards reach? */
    SEED_REFRESHING,
    SEED_SCANNING, /* pages are read */
    SEED_DONE,
};

/* One shard of the primary's index: numbers up to `at` are on the standby, up to `next` in pages,
 * `to` is the last; `safe` is where `at` was when the document in .tandem was written last, which
 * is where a takeover goes on: the standby may have been set back to that moment, and nobody would
 * see it. All -1 when it is empty. A primary of before 6.0 has no numbers: its shard is one page,
 * 0, read with a scroll, and read again from the beginning by another process. */
struct seed_shard {
    size_t number; /* of the shard; of an audit's scan each stretch is an entry of its own */
    int64_t begin; /* of such a stretch, its first number */
    int64_t at, next, to;
    int64_t sent, safe; /* sent: in the document under way */
    uint64_t documents; /* without numbers: how many it had when it was counted, about */
};

struct seed {
    struct standby *sb;
    struct life *life;     /* NULL: the life has ended while a call was under way */
    enum seed_state state; /* moved by seed_set_state() only */
    bool asked;            /* by an operator: also where seed.mode is manual */
    size_t shard_count;
    struct seed_shard *shards;
    size_t pages;         /* of it, anywhere between due and done */
    int64_t step;         /* how many numbers a page has */
    uint64_t rows, bytes; /* read so far */
    uint64_t begun_us;    /* wall clock */
    uint64_t
        done_writes;   /* DONE: of the first document in .tandem that was written since; 0: none */
    uint64_t done_seq; /* DONE: what became of rows below it is known */
    uint64_t speed_from_us, speed_from; /* for the time left: when this process began, and where */
    char why[300];                      /* what it waits for; empty: nothing */
    uint64_t retry_us, backoff_us;
    struct es_call call; /* of COUNTING and REFRESHING */
    bool busy;
    struct seed *next_dropped;   /* of those whose life has ended */
    bool of_audit;               /* it scans gaps: nothing of it is stored */
    uint64_t explained, written; /* documents found, and those that the standby did not have */
};

enum page_state {
    PAGE_DUE,        /* to be read at `retry_us` */
    PAGE_ASKED,      /* the search is under way */
    PAGE_CONFIRMING, /* was it this life of the index that was read? */
    PAGE_READ,       /* its rows can go to the lanes */
    PAGE_WRITING,    /* they are on their way */
    PAGE_DONE,
};

/* A stretch of numbers of one shard, read and written in one go or in several. */
struct seed_page {
    struct seed_page *next;
    struct standby *sb;
    struct seed
        *seed; /* NULL: it is not wanted any more, and goes when nothing of it is under way */
    size_t shard;
    int64_t from, to; /* (from, to] */
    int64_t at, upto; /* (at, upto] is what is read now */
    enum page_state state;
    size_t outstanding; /* rows in the lanes */
    bool again;         /* some row could not be taken */
    bool busy;          /* a call is under way */
    uint64_t rows;      /* in what was read last */
    uint64_t bytes; /* that it holds, or is expected to; 0 while it is DUE and when it is DONE */
    bool taken;     /* DONE, and the position has moved over it */
    uint64_t asked_us, retry_us, backoff_us;
    char *scroll; /* owned; without numbers: of the next part; NULL: of the first */
    int64_t part; /* then: no more documents at once than so many; 0: as many as the seed's step */
    struct es_call call, confirm;
};

/* ---- seed.c ---- */
/* Says WHY it can't go on, once, and puts off the next try. */
void seed_wait(struct seed *seed, const char *format, ...) PRINTF_LIKE(2, 3);
/* It goes on: what was wrong is not wrong any more. */
void seed_goes_on(struct seed *seed);
/* The primary is slow, or asks for less: fewer pages at a time, and smaller ones. */
void seed_slow_down(struct seed *seed);
/* True when one page more may be asked for: the primary has not too many of them to answer, and
 * there is memory for it. */
bool seed_may_ask(const struct standby *sb);
/* The size that a page is to have. */
uint64_t seed_page_bytes(const struct standby *sb);
/* True when CALL ended with an answer of 2xx; else SEED waits, and says why: it cannot be WHAT. */
bool seed_answered(struct seed *seed, const struct es_call *call, const char *what);

/* Scans the stretches in LIST (taken over) of LIFE for an audit; ends in audit_on_scanned(). */
struct seed *seed_scan_begin(struct standby *sb, struct life *life, struct seed_shard *list,
                             size_t count);
/* It is through. */
void seed_scan_free(struct seed *scan);
/* It is not wanted any more. */
void seed_scan_drop(struct standby *sb, struct seed *scan);

/* ---- seed_page.c ---- */
struct seed_page *seed_page_new(struct seed *seed, size_t shard);
/* Goes on with PAGE. */
void seed_page_turn(struct seed_page *page, uint64_t now_us);
void seed_page_free(struct seed_page *page);

#endif
