/* health.h - how the standby cluster says it is, asked every few seconds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_HEALTH_H
#define TANDEM_REPLICATOR_HEALTH_H

#include <jansson.h>
#include <stdint.h>

#include "es/es_client.h"

struct health {
    struct es_client *client; /* borrowed */
    struct es_call call;
    bool busy;
    uint64_t next_us;
    char status[16];   /* green, yellow, red; "": not known */
    uint64_t known_us; /* when it said so; 0: never */
};

void health_init(struct health *health, struct es_client *client);
void health_fini(struct health *health);
/* Asks when it is time to. */
void health_tick(struct health *health, uint64_t now_us);
/* {"status", "age_s"}; what is older than half a minute is not known. */
json_t *health_report(const struct health *health, uint64_t now_us);

#endif
