/* script.h - calls to a cluster one after the other, each tried until it has an answer.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_SCRIPT_H
#define TANDEM_REPLICATOR_SCRIPT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "es/es_client.h"

struct standby;
struct script_step;

struct script {
    struct standby *sb;
    const char *what;                      /* for the log: "metadata", "takeover" */
    void (*on_end)(struct script *script); /* no step is left */
    struct es_call call;
    struct script_step *first, **last; /* owned */
    bool busy;
    bool failed; /* set by a step's on_answer: the rest is dropped, on_end is called */
    char why[512];
    char said[200];    /* of script_target() */
    uint64_t retry_us; /* when to try again; 0: not waiting */
    uint64_t backoff_us;
    unsigned tries, tries_max; /* answers of a step that ask to try again; 0: without end */
};

/* An answer that is final: 2xx, or a refusal that trying again does not change. May push further
 * steps, or set script->failed with script->why. */
typedef void (*script_answer_fn)(struct script *script, int http_status, struct span body);

void script_init(struct script *script, struct standby *sb, const char *what,
                 void (*on_end)(struct script *script));
void script_fini(struct script *script);
/* Adds a step at the end; BODY (may be NULL) is copied. ON_ANSWER NULL: anything but 2xx fails the
 * script. */
void script_push(struct script *script, script_answer_fn on_answer, const char *body,
                 const char *method, const char *target_format, ...) PRINTF_LIKE(5, 6);
/* The same, right behind the step whose answer is being looked at. */
void script_push_next(struct script *script, script_answer_fn on_answer, const char *body,
                      const char *method, const char *target);
/* Method and target of the step whose answer is being looked at, for a message. */
const char *script_target(struct script *script);
/* Begins, or goes on; calls on_end at once when there is no step. */
void script_run(struct script *script);
void script_tick(struct script *script, uint64_t now_us);
/* Fails the script with a sentence. */
void script_fail(struct script *script, const char *format, ...) PRINTF_LIKE(2, 3);
/* For on_answer functions that accept only 2xx (and 404 where MISSING_OK). */
bool script_expect(struct script *script, int http_status, struct span body, bool missing_ok);

#endif
