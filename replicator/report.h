/* report.h - what the replicator says of itself: its status, and counters for Prometheus.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_REPORT_H
#define TANDEM_REPLICATOR_REPORT_H

#include <jansson.h>

#include "base/bytes.h"

struct standby;

/* docs/status.md; the caller's. PROXY_UP: the proxy on this host is connected. */
json_t *report_status(struct standby *sb, bool proxy_up);
/* Prometheus' text format, appended. */
void report_metrics(struct standby *sb, bool proxy_up, struct buffer *out);

#endif
