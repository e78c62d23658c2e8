/* stream.h - a request that passes through: head and body as they come, the answer as it comes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_STREAM_H
#define TANDEM_PROXY_STREAM_H

#include "http/message.h"
#include "proxy/exchange.h"

struct client;
struct stream;

/* Begins to pass on the request in HEAD, which is at the front of client->in, and consumes it
 * there; sets client->stream. */
void stream_begin(struct client *client, const struct http_head *head,
                  const struct routing *routing);
/* More of the request has come, or its end. False: its framing is wrong, and WHY says how. */
bool stream_on_client_bytes(struct stream *stream, struct http_refusal *refusal);
/* The client has read some of the answer. */
void stream_on_client_writable(struct stream *stream);
/* True when no byte of an answer has been handed to the client. */
bool stream_unanswered(const struct stream *stream);
/* Ends it, and the connection to the primary with it if the answer was not complete. */
void stream_free(struct stream *stream);

#endif
