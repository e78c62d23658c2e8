/* transport.c - one socket, plain or TLS, behind the same four calls.
 *
 * The special complication: OpenSSL may want the socket writable in order to read (a handshake, a
 * key update). wants_write hands that to the caller, which then waits for both.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/transport.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* One TLS record: parts are gathered up to this, so that a head and its body travel in one. */
#define RECORD_MAX 16384

/* ------------------------------------------------------------------------------------------------
 * Contexts. */

static SSL_CTX *context_new(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);
    if (context == NULL)
        return NULL;
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    return context;
}

static void context_why(char *why, size_t why_size, const char *what, const char *file)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(why, why_size, "%s %s: %s", what, file, reason == NULL ? "cannot be used" : reason);
    ERR_clear_error();
}

/* Clients that offer protocols get HTTP/1.1, or no agreement. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_size,
                           const unsigned char *offered, unsigned offered_size, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    unsigned char *chosen;
    (void)ssl, (void)arg;
    if (SSL_select_next_proto(&chosen, out_size, ours, sizeof ours - 1, offered, offered_size) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

SSL_CTX *transport_server_context(const char *certificate_file, const char *key_file, char *why,
                                  size_t why_size)
{
    SSL_CTX *context = context_new(TLS_server_method());
    if (context == NULL) {
        context_why(why, why_size, "TLS", "");
        return NULL;
    }
    if (SSL_CTX_use_certificate_chain_file(context, certificate_file) != 1) {
        context_why(why, why_size, "the certificate", certificate_file);
        goto failed;
    }
    if (SSL_CTX_use_PrivateKey_file(context, key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        context_why(why, why_size, "the private key", key_file);
        goto failed;
    }
    SSL_CTX_set_session_id_context(context, (const unsigned char *)"tandem", 6);
    SSL_CTX_set_alpn_select_cb(context, choose_protocol, NULL);
    return context;
failed:
    SSL_CTX_free(context);
    return NULL;
}

SSL_CTX *transport_client_context(const char *ca_file, bool insecure, char *why, size_t why_size)
{
    SSL_CTX *context = context_new(TLS_client_method());
    if (context == NULL) {
        context_why(why, why_size, "TLS", "");
        return NULL;
    }
    if (ca_file[0] != 0 && SSL_CTX_load_verify_locations(context, ca_file, NULL) != 1) {
        context_why(why, why_size, "the authorities in", ca_file);
        SSL_CTX_free(context);
        return NULL;
    }
    if (ca_file[0] == 0)
        SSL_CTX_set_default_verify_paths(context);
    SSL_CTX_set_verify(context, insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    return context;
}

/* ------------------------------------------------------------------------------------------------
 * One connection. */

void transport_init_server(struct transport *transport, int fd, SSL_CTX *context)
{
    *transport = (struct transport){.fd = fd, .shaken = context == NULL, .why = ""};
    if (context == NULL)
        return;
    transport->ssl = SSL_new(context);
    CHECK(transport->ssl != NULL);
    SSL_set_fd(transport->ssl, fd);
    SSL_set_accept_state(transport->ssl);
}

void transport_init_client(struct transport *transport, int fd, SSL_CTX *context, const char *host)
{
    unsigned char address[16];
    *transport = (struct transport){.fd = fd, .shaken = context == NULL, .why = ""};
    if (context == NULL)
        return;
    transport->ssl = SSL_new(context);
    CHECK(transport->ssl != NULL);
    SSL_set_fd(transport->ssl, fd);
    SSL_set_connect_state(transport->ssl);
    bool is_address =
        inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1;
    if (is_address) {
        X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(transport->ssl), host);
    } else {
        SSL_set_hostflags(transport->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        SSL_set1_host(transport->ssl, host);
        /* SSL_set_tlsext_host_name, which would cast the const away where compilers see it */
        SSL_ctrl(transport->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 (void *)(uintptr_t)host);
    }
}

void transport_close(struct transport *transport, bool reset)
{
    if (transport->ssl != NULL) {
        SSL_free(transport->ssl);
        transport->ssl = NULL;
    }
    buffer_fini(&transport->record);
    if (transport->fd < 0)
        return;
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(transport->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    close(transport->fd);
    transport->fd = -1;
}

/* Turns what OpenSSL says into ours. */
static int tls_result(struct transport *transport, int result)
{
    int system_error = errno;
    switch (SSL_get_error(transport->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        transport->wants_write = false;
        return TRANSPORT_AGAIN;
    case SSL_ERROR_WANT_WRITE:
        transport->wants_write = true;
        return TRANSPORT_AGAIN;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    case SSL_ERROR_SYSCALL:
        transport->why = system_error == 0 ? "the connection ended" : strerrordesc_np(system_error);
        break;
    default:
        transport->why = ERR_reason_error_string(ERR_peek_last_error());
        break;
    }
    ERR_clear_error();
    if (transport->why == NULL)
        transport->why = "TLS failed";
    return TRANSPORT_ERROR;
}

int transport_handshake(struct transport *transport)
{
    if (transport->shaken)
        return 1;
    ERR_clear_error();
    errno = 0;
    int result = SSL_do_handshake(transport->ssl);
    if (result == 1) {
        transport->shaken = true;
        transport->wants_write = false;
        return 1;
    }
    result = tls_result(transport, result);
    if (result == TRANSPORT_AGAIN)
        return result;
    long verified = SSL_get_verify_result(transport->ssl);
    if (verified != X509_V_OK && SSL_get_verify_mode(transport->ssl) != SSL_VERIFY_NONE)
        transport->why = X509_verify_cert_error_string(verified);
    return TRANSPORT_ERROR;
}

ssize_t transport_recv(struct transport *transport, void *data, size_t size)
{
    if (transport->ssl == NULL) {
        ssize_t got = recv(transport->fd, data, size, 0);
        if (got >= 0)
            return got;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)
            return TRANSPORT_AGAIN;
        transport->why = strerrordesc_np(errno);
        return TRANSPORT_ERROR;
    }
    size_t got = 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_read_ex(transport->ssl, data, size, &got);
    if (result == 1) {
        transport->wants_write = false;
        return (ssize_t)got;
    }
    /* An end without close_notify is an error here: a cut answer must not look complete. */
    return tls_result(transport, result);
}

static ssize_t tls_write(struct transport *transport, const char *data, size_t size)
{
    size_t sent = 0;
    ERR_clear_error();
    errno = 0;
    int result = SSL_write_ex(transport->ssl, data, size, &sent);
    if (result == 1)
        return (ssize_t)sent;
    bool wanted_write =
        transport->wants_write; /* is about reading; a write always waits for both */
    result = tls_result(transport, result);
    transport->wants_write = wanted_write;
    return result == 0 ? TRANSPORT_ERROR : result;
}

/* The parts, gathered into GATHERED as far as a record goes. */
static size_t gather(char *gathered, const struct iovec *parts, int count)
{
    size_t size = 0;
    for (int i = 0; i < count && size < RECORD_MAX; i++) {
        size_t part = parts[i].iov_len;
        if (part > RECORD_MAX - size)
            part = RECORD_MAX - size;
        memcpy(gathered + size, parts[i].iov_base, part);
        size += part;
    }
    return size;
}

/* At most one record: gathered when the first part is shorter than that. OpenSSL wants a write that
 * could not go on to be tried again with as many bytes at least, while our callers may come with
 * fewer next time (what was gathered is not all theirs to keep). So those bytes are kept here. They
 * count as sent but for the last one, so that the caller comes again. */
static ssize_t tls_send(struct transport *transport, const struct iovec *parts, int count)
{
    char gathered[RECORD_MAX];
    if (transport->record.size != 0) {
        ssize_t sent = tls_write(transport, transport->record.data, transport->record.size);
        if (sent < 0)
            return sent;
        if ((size_t)sent < transport->record.size) { /* the other side negotiated shorter records */
            memmove(transport->record.data, transport->record.data + sent,
                    transport->record.size - (size_t)sent);
            transport->record.size -= (size_t)sent;
            return tls_send(transport, parts, count);
        }
        buffer_fini(&transport->record);
        return 1;
    }
    if (count == 1 || parts[0].iov_len >= sizeof gathered)
        return tls_write(transport, parts[0].iov_base, parts[0].iov_len);
    size_t size = gather(gathered, parts, count);
    CHECK(size > 0);
    ssize_t sent = tls_write(transport, gathered, size);
    if (sent != TRANSPORT_AGAIN || size == 1)
        return sent;
    buffer_append(&transport->record, gathered, size);
    return (ssize_t)size - 1;
}

/* As many records as the socket takes. */
static ssize_t tls_send_all(struct transport *transport, const struct iovec *parts, int count)
{
    struct iovec left[4];
    size_t total = 0;
    CHECK(count <= 4);
    memcpy(left, parts, (size_t)count * sizeof left[0]);
    int at = 0;
    for (;;) {
        while (at < count && left[at].iov_len == 0)
            at++;
        if (at == count)
            return (ssize_t)total;
        ssize_t sent = tls_send(transport, left + at, count - at);
        if (sent < 0)
            return total > 0 ? (ssize_t)total : sent; /* an error shows again next time */
        total += (size_t)sent;
        for (size_t rest = (size_t)sent; rest > 0;) {
            size_t step = rest < left[at].iov_len ? rest : left[at].iov_len;
            left[at].iov_base = (char *)left[at].iov_base + step;
            left[at].iov_len -= step;
            rest -= step;
            if (left[at].iov_len == 0)
                at++;
        }
    }
}

ssize_t transport_send(struct transport *transport, const struct iovec *parts, int count)
{
    if (transport->ssl != NULL)
        return tls_send_all(transport, parts, count);
    ssize_t sent;
    if (count == 1) {
        sent = send(transport->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL);
    } else {
        struct iovec copy[4];
        CHECK(count <= 4);
        memcpy(copy, parts, (size_t)count * sizeof copy[0]);
        struct msghdr message = {.msg_iov = copy, .msg_iovlen = (size_t)count};
        sent = sendmsg(transport->fd, &message, MSG_NOSIGNAL);
    }
    if (sent >= 0)
        return sent;
    if (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR || errno == ENOBUFS)
        return TRANSPORT_AGAIN;
    transport->why = strerrordesc_np(errno);
    return TRANSPORT_ERROR;
}

bool transport_pending(const struct transport *transport)
{
    return transport->ssl != NULL && SSL_pending(transport->ssl) > 0;
}

bool transport_quiet(const struct transport *transport)
{
    char byte;
    if (transport_pending(transport))
        return false;
    ssize_t got = recv(transport->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void transport_shutdown(struct transport *transport)
{
    if (transport->ssl != NULL && transport->shaken) {
        ERR_clear_error();
        SSL_shutdown(transport->ssl);
        ERR_clear_error();
    }
    shutdown(transport->fd, SHUT_WR);
}
