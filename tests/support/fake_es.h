/* fake_es.h - the scripted cluster: what its two files share.
 *
 * fake_es.c      sockets, requests in and answers out
 * fake_faults.c  the script: which request meets which fault
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_TESTS_FAKE_ES_H
#define TANDEM_TESTS_FAKE_ES_H

#include <jansson.h>

#include "base/bytes.h"
#include "base/check.h"

/* clang-format off */
/* The word of the control path, and what happens to the request. `at` "head": before its body is read. */
#define FAULT_TABLE(X)                                                                             \
    X(NONE,                "none")                /* as if there were no rule */                   \
    X(HANG,                "hang")                /* never answered; see execute, execute_ms */    \
    X(RESET_BEFORE,        "reset_before")        /* not executed, the connection is reset */      \
    X(RESET_AFTER,         "reset_after")         /* executed, then reset */                       \
    X(CLOSE_BEFORE,        "close_before")        /* not executed, closed in order */              \
    X(CLOSE_AFTER,         "close_after")         /* executed and answered, then closed unannounced */ \
    X(HALF_ANSWER,         "half_answer")         /* executed, half of the answer, closed */       \
    X(TRUNCATED,           "truncated")           /* executed, the head and half of the body, closed */ \
    X(STATUS,              "status")              /* answered with status and body, not executed */ \
    X(EXECUTE_THEN_STATUS, "execute_then_status") /* executed, answered with status and body */    \
    X(DELAY,               "delay")               /* executed and answered after delay_ms */       \
    X(LATE,                "late")                /* answered with status now, executed after delay_ms */ \
    X(SLOW_ANSWER,         "slow_answer")         /* executed now, answered after delay_ms */      \
    X(DRIP,                "drip")                /* executed, the answer (`part` "body": only that) byte by byte, one per interval_ms */ \
    X(GARBAGE,             "garbage")             /* executed, answered with no HTTP */            \
    X(OVERSIZED,           "oversized")           /* executed, Content-Length larger than what follows, closed */ \
    X(EXTRA,               "extra")               /* executed, another answer behind the answer */ \
    X(FLOOD_1XX,           "flood_1xx")           /* executed, `lines` times 102, then the answer */ \
    X(TWO_FRAMINGS,        "two_framings")        /* executed, Content-Length and chunked at once */ \
    X(CHUNKED,             "chunked")             /* executed, answered in chunks (no fault at all) */ \
    X(UNTIL_CLOSE,         "until_close")         /* executed, answered without framing, closed */ \
    X(EARLY,               "early")               /* answered with status before the body is read, then closed */ \
    X(ITEM_STATUS,         "item_status")         /* bulk items that hold `item` are not executed and get status and type */
/* clang-format on */

enum fault_action {
#define X(name, word) FAULT_##name,
    FAULT_TABLE(X)
#undef X
};

/* One rule. Rules are tried in order; the first that fires counts. */
struct fault {
    enum fault_action action;
    char *method, *prefix, *contains, *body; /* NULL: any. Of the target: prefix, contains */
    bool at_head;   /* judged when the head has come; BODY is not looked at */
    bool execute;   /* HANG: it is executed all the same */
    bool drip_body; /* DRIP: the head comes at once */
    unsigned nth;   /* fires from the nth match on, from 1 */
    unsigned count; /* how often; 0: always */
    unsigned seen, fired;
    int status;
    char *text;       /* the body of the answer; NULL: an error of the engines' kind */
    char *error_type; /* in that error, and in items */
    char *item;       /* ITEM_STATUS: which items; NULL: all */
    unsigned delay_ms, interval_ms, lines;
    struct fault *next;
};

struct faults {
    struct fault *first;
};

/* Adds the rules of JSON (an array, or one object). NULL, or what is wrong with it. */
const char *faults_add(struct faults *faults, const json_t *json);
void faults_clear(struct faults *faults);
/* The rule that this request meets, counted; NULL when there is none. */
struct fault *faults_find(struct faults *faults, bool at_head, struct span method,
                          struct span target, struct span body);
const char *fault_word(enum fault_action action);
/* The rules with their counts, for the log; new reference. */
json_t *faults_show(const struct faults *faults);

/* The answer's body that FAULT gives instead of the cluster's. */
void fault_body(const struct fault *fault, struct buffer *out);
/* ITEM_STATUS: copies to REST the items of BODY that FAULT lets pass, and a letter per item to
 * KINDS: 'p', or 'f' for those that fail. */
void fault_split_bulk(const struct fault *fault, struct span body, struct buffer *rest,
                      struct buffer *kinds);
/* Puts the failed items back in place: ANSWER is the cluster's to what passed (empty when nothing
 * did). */
void fault_join_bulk(const struct fault *fault, struct span body, struct span kinds,
                     struct span answer, struct buffer *out);

#endif
