/* report.h - what the proxy says of itself: its status, and counters for Prometheus.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_REPORT_H
#define TANDEM_PROXY_REPORT_H

#include <jansson.h>

#include "base/bytes.h"

struct core;
struct replicators;
struct workers;
struct es_client;

struct report {
    struct core *core;
    struct replicators *replicators;
    struct workers *workers;
    struct es_client *client; /* Tandem's own calls to the primary */
    uint64_t begun_us;
};

/* docs/status.md; the caller's. Control thread. */
json_t *report_status(const struct report *report);
/* Prometheus' text format, appended. Control thread. */
void report_metrics(const struct report *report, struct buffer *out);

#endif
