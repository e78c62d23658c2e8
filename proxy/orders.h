/* orders.h - what operators tell the proxy to do, at its admin address.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_ORDERS_H
#define TANDEM_PROXY_ORDERS_H

#include <jansson.h>

#include "admin/admin.h"

struct core;
struct history_journal;
struct hold_info;

struct orders {
    struct core *core;
    struct history_journal *history;
};

/* Adds the paths to ADMIN; ORDERS must outlive it. */
void orders_route(struct admin *admin, struct orders *orders);

/* The hold that INFO is of, for the status; the caller's. */
json_t *orders_hold_status(struct core *core, const struct hold_info *info);

#endif
