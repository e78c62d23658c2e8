/* transport.h - one socket, plain or TLS, behind the same four calls.
 *
 * Nothing here blocks and nothing here waits: a call that cannot go on says TRANSPORT_AGAIN, and
 * the caller waits for the socket. TLS is OpenSSL directly on the socket, from 1.2 on, without
 * renegotiation. A TLS connection must be shaken hands on (transport_handshake) before bytes are
 * moved.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_PROXY_TRANSPORT_H
#define TANDEM_PROXY_TRANSPORT_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/bytes.h"
#include "base/check.h"

/* What transport_recv and transport_send return besides counts of bytes. */
#define TRANSPORT_AGAIN (-1) /* wait for the socket, see wants_write */
#define TRANSPORT_ERROR (-2) /* it is of no more use; why says more */

struct transport {
    int fd;           /* owned; -1 when closed */
    SSL *ssl;         /* owned; NULL: plain */
    bool shaken;      /* hands are shaken; always true for plain */
    bool wants_write; /* the last AGAIN of a recv or handshake waits until the socket can be written
                       */
    const char *why;  /* of the last error; static text */
    struct buffer record; /* of TLS: gathered bytes that must be written again as they are; all but
                             the last one count as sent */
};

/* Contexts, one each for the whole program. NULL: WHY says what is wrong. */
SSL_CTX *transport_server_context(const char *certificate_file, const char *key_file, char *why,
                                  size_t why_size);
/* CA_FILE "" means the system's authorities. INSECURE skips the verification of chain and name. */
SSL_CTX *transport_client_context(const char *ca_file, bool insecure, char *why, size_t why_size);

/* Takes over FD. CONTEXT NULL: plain. */
void transport_init_server(struct transport *transport, int fd, SSL_CTX *context);
/* HOST: the name (or address) that the certificate must be for. */
void transport_init_client(struct transport *transport, int fd, SSL_CTX *context, const char *host);
/* Closes it, without waiting for anything. With RESET the other side sees that the connection was
 * cut. */
void transport_close(struct transport *transport, bool reset);

/* 1: done. TRANSPORT_AGAIN or TRANSPORT_ERROR. */
int transport_handshake(struct transport *transport);
/* Bytes read, 0 at the end of the stream, TRANSPORT_AGAIN or TRANSPORT_ERROR. */
ssize_t transport_recv(struct transport *transport, void *data, size_t size);
/* Bytes sent (1 or more), TRANSPORT_AGAIN or TRANSPORT_ERROR. After AGAIN the next call must begin
 * with the same bytes. */
ssize_t transport_send(struct transport *transport, const struct iovec *parts, int count);
/* True when bytes were read from the socket already and no event will tell of them. */
bool transport_pending(const struct transport *transport);
/* True when nothing at all came since the last read, not even the end: the connection looks alive.
 */
bool transport_quiet(const struct transport *transport);
/* Says that nothing more will be sent. */
void transport_shutdown(struct transport *transport);

#endif
