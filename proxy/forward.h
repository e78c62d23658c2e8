/* forward.h - the machine's port to the primary: a whole request out, a whole answer back.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_FORWARD_H
#define TANDEM_PROXY_FORWARD_H

#include "proxy/exchange.h"

/* exchange_ports.forward; CTX is the worker. */
void forward_start(void *ctx, struct exchange *ex, struct primary_request *request);

#endif
