/* endpoints.h - what load balancers ask the proxy's admin address.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_ENDPOINTS_H
#define TANDEM_PROXY_ENDPOINTS_H

#include "admin/admin.h"
#include "proxy/report.h"

/* Adds the paths to ADMIN; REPORT must outlive it. */
void endpoints_route(struct admin *admin, const struct report *report);

#endif
