/* follower.h - follows the primary's cluster state; which life an index name has.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_FOLLOWER_H
#define TANDEM_PROXY_FOLLOWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/loop.h"
#include "base/status.h"
#include "proxy/catalog.h"

struct core;
struct follower;

/* Somebody who needs a state read that begins after now. */
struct state_wait {
    struct loop_task task; /* first: how it travels, both ways */
    struct core *core;
    struct loop *loop;
    uint64_t timeout_us;
    void (*on_state)(struct state_wait *wait); /* in loop's thread */
    /* answers */
    bool failed;                   /* no read ended in time */
    const struct catalog *catalog; /* a reference for the asker; NULL when failed */
    /* private */
    uint64_t asked_us, deadline_us;
    struct state_wait *next;
};

MUST_USE enum status follower_new(struct core *core, struct follower **follower);
void follower_free(struct follower *follower);
uint64_t follower_tick(struct follower *follower, uint64_t now_us);

/* From any thread. What the read finds is durable in the journal before on_state is called. */
void follower_await(struct core *core, struct state_wait *wait);

/* For status: false when the last read failed; WHY says the reason. */
bool follower_healthy(const struct follower *follower);
const char *follower_why(const struct follower *follower);
const char *follower_cluster_uuid(const struct follower *follower);
/* Indices that vanished from the primary in a way that is not believed; comma-separated, "" when
 * none. */
const char *follower_disbelieved(const struct follower *follower);
/* An operator says that the cluster at the primary's address is the primary, whatever was known.
 * Control thread. */
void follower_adopt(struct follower *follower);
/* Notes that INDEX (decoded name) diverged from the standbys, and why; durable. Any thread. */
void follower_note_diverged(struct core *core, struct span index, const char *why);
/* Calls EACH for every index noted as diverged. Control thread. */
void follower_each_diverged(const struct follower *follower,
                            void (*each)(void *arg, const char *index, const char *why), void *arg);

#endif
