/* health.c - how the standby cluster says it is, asked every few seconds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/health.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/json_tree.h"

#define EVERY_US (5 * UINT64_C(1000000))
#define TIMEOUT_US (10 * UINT64_C(1000000))
#define OLD_US (30 * UINT64_C(1000000))

void health_init(struct health *health, struct es_client *client)
{
    *health = (struct health){.client = client};
    es_call_init(&health->call);
}

void health_fini(struct health *health)
{
    es_call_fini(&health->call);
}

static void on_answer(struct es_call *call)
{
    struct health *health = call->arg;
    health->busy = false;
    if (call->status != STATUS_OK || call->http_status != 200)
        return; /* it grows old */
    json_t *json = json_tree(buffer_span(&call->answer));
    const char *status = json_string_value(json_object_get(json, "status"));
    if (status != NULL) {
        snprintf(health->status, sizeof health->status, "%s", status);
        health->known_us = clock_now_us();
    }
    json_decref(json);
}

void health_tick(struct health *health, uint64_t now_us)
{
    if (health->busy || now_us < health->next_us)
        return;
    health->next_us = now_us + EVERY_US;
    health->busy = true;
    es_call_set(&health->call, "GET", "/_cluster/health?filter_path=status");
    health->call.timeout_us = TIMEOUT_US;
    health->call.on_done = on_answer;
    health->call.arg = health;
    es_client_call(health->client, &health->call);
}

json_t *health_report(const struct health *health, uint64_t now_us)
{
    bool known = health->known_us != 0 && now_us - health->known_us < OLD_US;
    return json_pack("{s:s, s:o}", "status", known ? health->status : "unknown", "age_s",
                     health->known_us == 0 ? json_null()
                                           : json_real((double)(now_us - health->known_us) / 1e6));
}
