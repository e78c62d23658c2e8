/* collect.h - the whole body of a write, and then the machine's reply.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_COLLECT_H
#define TANDEM_PROXY_COLLECT_H

#include <sys/types.h>

#include "http/message.h"
#include "proxy/exchange.h"

struct client;

/* Begins the write in HEAD, which is at the front of client->in. */
void collect_begin(struct client *client, const struct http_head *head,
                   const struct routing *routing);
/* Goes through what has come of the body; with all of it the machine takes over. */
void collect_go_on(struct client *client);
/* Reads straight into the exchange's body; returns as transport_recv does. */
ssize_t collect_receive(struct client *client);
/* Gives up a write whose body is not complete, and answers why. */
void collect_abandon(struct client *client, int status, const char *type, const char *why);
/* The client goes: an incomplete write is forgotten, one that the machine has goes on. */
void collect_leave(struct client *client);

#endif
