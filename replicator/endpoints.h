/* endpoints.h - what load balancers ask a replicator's admin address.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_REPLICATOR_ENDPOINTS_H
#define TANDEM_REPLICATOR_ENDPOINTS_H

#include "admin/admin.h"
#include "replicator/standby.h"

/* /standby: may reads be sent to the standby? SB: NULL as long as there is no journal. */
void endpoints_answer_standby(struct admin_request *request, struct standby *sb);
/* /live, /ready: it answers. */
void endpoints_answer_ready(struct admin_request *request, struct standby *sb);

#endif
