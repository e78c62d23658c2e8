/* status.h - every way an operation can end, and what to do about it.
 *
 * One vocabulary for the whole program. A status says what happened; its remedy says who acts next.
 * Functions that can fail return `enum status` and are marked MUST_USE.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_BASE_STATUS_H
#define TANDEM_BASE_STATUS_H

enum remedy {
    REMEDY_NOTHING, /* it worked */
    REMEDY_MORE,    /* more input is needed; call again with it */
    REMEDY_RETRY,   /* the other side is away or busy: later, with backoff */
    REMEDY_REFUSE,  /* the input is wrong: say so to whoever sent it */
    REMEDY_WAIT,    /* something that comes later in the journal is needed first */
    REMEDY_PARK,    /* the standby refuses for good: keep it for a person */
    REMEDY_STOP,    /* going on would break a promise: stop, and say why */
};

/* clang-format off */
#define STATUS_TABLE(X)                                                                            \
    X(OK,               NOTHING, "ok")                                                             \
    X(NEED_MORE,        MORE,    "more input is needed")                                           \
    X(BAD_INPUT,        REFUSE,  "the input is not valid")                                         \
    X(TOO_LARGE,        REFUSE,  "the input is larger than its limit")                             \
    X(NOT_FOUND,        REFUSE,  "there is no such thing")                                         \
    X(NO_MEMORY,        RETRY,   "no memory is left for this")                                     \
    X(SETTINGS_WRONG,   STOP,    "a setting is wrong")                                             \
    X(CLUSTER_AWAY,     RETRY,   "the cluster cannot be reached")                                  \
    X(CLUSTER_BUSY,     RETRY,   "the cluster asks us to slow down")                               \
    X(CLUSTER_BLOCKED,  RETRY,   "the cluster refuses for a block, a closed index or our rights")  \
    X(CLUSTER_ODD,      RETRY,   "the cluster answered something we do not understand")            \
    X(NOT_THERE_YET,    WAIT,    "the index or mapping for this row has not come yet")             \
    X(STANDBY_REFUSED,  PARK,    "the standby refuses this for good")                              \
    X(STANDBY_TAKEN,    STOP,    "another replicator has taken this standby over")                 \
    X(RECORD_TORN,      STOP,    "a journal record ends early or fails its check")                 \
    X(RECORD_UNKNOWN,   STOP,    "a journal record is of a kind or version we do not know")        \
    X(JOURNAL_IO,       STOP,    "the journal cannot be read or written")                          \
    X(JOURNAL_FULL,     RETRY,   "the journal has no room")                                        \
    X(JOURNAL_IN_USE,   STOP,    "another process has this journal open")                          \
    X(JOURNAL_MISSING,  STOP,    "the journal is missing or empty where there was one")            \
    X(JOURNAL_BROKEN,   STOP,    "the journal contradicts itself")                                 \
    X(IDENTITY,         STOP,    "this is not the cluster we know")
/* clang-format on */

enum status {
#define X(name, remedy, text) STATUS_##name,
    STATUS_TABLE(X)
#undef X
};

/* The sentence for STATUS, for logs and errors; never NULL. */
const char *status_text(enum status status);
/* The name for STATUS as in the table, lower case with underscores; never NULL. */
const char *status_name(enum status status);
enum remedy status_remedy(enum status status);

#endif
