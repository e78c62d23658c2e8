/* history.h - what was decided, by whom, and what came of it: numbered, only ever added to,
 * chained.
 *
 * An entry is one line of JSON,
 *
 *     {"n":7,"time_us":1764500000000000,"program":"tandem-proxy","what":"reload","by":"bob",
 *      "role":"admin","from":"127.0.0.1","details":"...","before":"<64 hex digits>"}
 *
 * `n` counts from 1 without a gap, and `before` is the SHA-256 of the line of entry n - 1 (64 zeros
 * for the first). So an entry that was changed, taken out or put in between shows at the next one.
 * What was cut off at the end shows only to somebody who wrote down a hash: history_hash().
 *
 * Each daemon has a history of its own, under history_key() in its own tables; it stores an entry
 * before it says that what the entry tells of is done.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_JOURNAL_HISTORY_H
#define TANDEM_JOURNAL_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"

#define HISTORY_HASH_SIZE 64 /* hex digits */
#define HISTORY_KEY_SIZE 16  /* "history/" and the number, big-endian */
#define HISTORY_PREFIX "history/"
#define HISTORY_ANSWER_MAX 1000 /* lines in one answer of an admin address */

/* Where the chain ends; zeroed: it is empty. */
struct history {
    uint64_t last; /* number of the newest entry */
    char hash[HISTORY_HASH_SIZE + 1];
};

struct history_event {
    uint64_t time_us;
    const char *program;          /* tandem-proxy, tandem-replicator */
    const char *what;             /* one word: reload, adopt, pause ... */
    const char *by, *role, *from; /* who asked; "": nobody did, or no name was asked for */
    const char *details;          /* a sentence for people */
};

/* Appends the line of the next entry to OUT, and moves the end of the chain to it. */
void history_next(struct history *history, const struct history_event *event, struct buffer *out);
/* Moves the end of the chain to LINE, which was stored as the next one; false: it is not what must
 * come next, and nothing was moved. */
MUST_USE bool history_follow(struct history *history, struct span line);
/* Moves the end of the chain to LINE, the newest entry that is stored, whatever stands before it.
 */
void history_resume(struct history *history, struct span line);
/* The key of entry N. */
void history_key(uint64_t n, char key[HISTORY_KEY_SIZE]);
/* The hash of the newest entry; 64 zeros: there is none. */
const char *history_hash(const struct history *history);

#endif
