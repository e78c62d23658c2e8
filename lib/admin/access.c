/* access.c - who may ask what of an admin address: roles, tokens, client certificates, and the file
 * that says who asked.
 *
 * A token is kept as its SHA-256, and digests are compared in constant time: how long a refusal
 * takes says nothing of how much of a token was right.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "admin/access.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

#include "base/log.h"
#include "conf/settings.h"

#define DIGEST_SIZE 32

struct principal {
    enum admin_role role;
    char name[ACCESS_NAME_MAX + 1];
    unsigned char digest[DIGEST_SIZE]; /* of its token */
};

struct access {
    struct principal *principals; /* owned */
    size_t count;
    SSL_CTX *tls; /* owned; NULL: plain */
    bool certificates;
    int audit_fd; /* -1: none */
    bool audit_failed;
};

static const char *const role_names[] = {"nobody", "viewer", "operator", "admin"};

const char *admin_role_name(enum admin_role role)
{
    return role_names[role];
}

static enum admin_role role_of(struct span word)
{
    for (int role = ADMIN_VIEWER; role <= ADMIN_ADMIN; role++)
        if (span_equal_nocase(word, span_cstr(role_names[role])))
            return (enum admin_role)role;
    return ADMIN_ANYBODY;
}

/* ---- tokens ---- */

static void digest_of(struct span token, unsigned char digest[DIGEST_SIZE])
{
    unsigned size = DIGEST_SIZE;
    CHECK(EVP_Digest(token.data, token.size, digest, &size, EVP_sha256(), NULL) == 1);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Takes the next word off LINE; SPAN_NONE: there is none. */
static struct span take_word(struct span *line)
{
    const char *at = line->data, *end = line->data + line->size;
    while (at < end && is_space(*at))
        at++;
    const char *begin = at;
    while (at < end && !is_space(*at))
        at++;
    *line = span_of(at, (size_t)(end - at));
    return begin == at ? SPAN_NONE : span_of(begin, (size_t)(at - begin));
}

/* Reads one line; the reason against it, or NULL. */
static const char *read_principal(struct span line, struct principal *principal)
{
    struct span role = take_word(&line), name = take_word(&line), token = take_word(&line);
    principal->role = role_of(role);
    if (principal->role == ADMIN_ANYBODY)
        return "it must begin with viewer, operator or admin";
    if (name.size == 0 || token.size == 0 || take_word(&line).size != 0)
        return "it must be: ROLE NAME TOKEN";
    if (name.size > ACCESS_NAME_MAX)
        return "the name is longer than 64 bytes";
    if (token.size < ACCESS_TOKEN_MIN)
        return "the token is shorter than 16 bytes; make one with: openssl rand -hex 32";
    snprintf(principal->name, sizeof principal->name, "%.*s", (int)name.size, name.data);
    digest_of(token, principal->digest);
    return NULL;
}

bool access_set_tokens(struct access *access, struct span tokens, char *why, size_t why_size)
{
    struct principal *principals = NULL;
    size_t count = 0, number = 0;
    const char *wrong = NULL;
    bool given = tokens.size != 0;
    while (tokens.size != 0 && wrong == NULL) {
        const char *end = memchr(tokens.data, '\n', tokens.size);
        size_t size = end == NULL ? tokens.size : (size_t)(end - tokens.data);
        struct span line = span_of(tokens.data, size), rest = line, first = take_word(&rest);
        tokens = end == NULL ? SPAN_NONE : span_of(end + 1, tokens.size - size - 1);
        number++;
        if (first.size == 0 || first.data[0] == '#')
            continue;
        principals = bytes_realloc(principals, (count + 1) * sizeof *principals);
        wrong = read_principal(line, &principals[count++]);
    }
    /* A file that was emptied, or has comments only, must not let everybody in. */
    if (wrong == NULL && given && count == 0)
        wrong = "no line names anybody; take the file out of the settings to ask for no names";
    if (wrong != NULL) {
        snprintf(why, why_size, "line %zu: %s", number, wrong);
        free(principals);
        return false;
    }
    free(access->principals);
    access->principals = principals;
    access->count = count;
    return true;
}

/* Each token is looked at, whether one before fits or not. */
static enum admin_role by_token(const struct access *access, struct span token, char *name)
{
    unsigned char digest[DIGEST_SIZE];
    const struct principal *found = NULL;
    digest_of(token, digest);
    for (size_t i = 0; i < access->count; i++)
        if (CRYPTO_memcmp(digest, access->principals[i].digest, DIGEST_SIZE) == 0)
            found = &access->principals[i];
    if (found == NULL)
        return ADMIN_ANYBODY;
    memcpy(name, found->name, sizeof found->name);
    return found->role;
}

/* ---- certificates ---- */

static void text_of(X509_NAME *subject, int nid, char *text, size_t size)
{
    if (X509_NAME_get_text_by_NID(subject, nid, text, (int)size) < 0)
        text[0] = '\0';
}

/* Whether it is signed by one of ours and in force the handshake has seen to. */
static enum admin_role by_certificate(SSL *ssl, char *name)
{
    char unit[32];
    X509 *certificate = SSL_get0_peer_certificate(ssl);
    if (certificate == NULL || SSL_get_verify_result(ssl) != X509_V_OK)
        return ADMIN_ANYBODY;
    X509_NAME *subject = X509_get_subject_name(certificate);
    text_of(subject, NID_organizationalUnitName, unit, sizeof unit);
    enum admin_role role = role_of(span_cstr(unit));
    if (role != ADMIN_ANYBODY)
        text_of(subject, NID_commonName, name, ACCESS_NAME_MAX + 1);
    return role;
}

static bool tls_failed(struct access *access, const char *what, const char *file, char *why,
                       size_t why_size)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    snprintf(why, why_size, "%s %s cannot be used: %s", what, file,
             reason == NULL ? "it is not what it should be" : reason);
    ERR_clear_error();
    SSL_CTX_free(access->tls);
    access->tls = NULL;
    return false;
}

static bool load_tls(struct access *access, const struct access_options *options, char *why,
                     size_t why_size)
{
    if (options->certificate_file[0] == '\0')
        return true;
    access->tls = SSL_CTX_new(TLS_server_method());
    CHECK(access->tls != NULL);
    SSL_CTX_set_min_proto_version(access->tls, TLS1_2_VERSION);
    SSL_CTX_set_options(access->tls, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_session_id_context(access->tls, (const unsigned char *)"tandem-admin", 12);
    if (SSL_CTX_use_certificate_chain_file(access->tls, options->certificate_file) != 1)
        return tls_failed(access, "the certificate", options->certificate_file, why, why_size);
    if (SSL_CTX_use_PrivateKey_file(access->tls, options->key_file, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(access->tls) != 1)
        return tls_failed(access, "the key", options->key_file, why, why_size);
    access->certificates = options->client_ca_file[0] != '\0';
    if (!access->certificates)
        return true;
    if (SSL_CTX_load_verify_locations(access->tls, options->client_ca_file, NULL) != 1)
        return tls_failed(access, "the authorities in", options->client_ca_file, why, why_size);
    SSL_CTX_set_client_CA_list(access->tls, SSL_load_client_CA_file(options->client_ca_file));
    /* Who shows none may still have a token, or look at what asks for no name. */
    SSL_CTX_set_verify(access->tls, SSL_VERIFY_PEER, NULL);
    return true;
}

/* ---- who ---- */

enum admin_role access_who(const struct access *access, const char *authorization, SSL *ssl,
                           char *name)
{
    static const char scheme[] = "Bearer ";
    enum admin_role role = ADMIN_ANYBODY;
    name[0] = '\0';
    if (authorization != NULL && strncasecmp(authorization, scheme, sizeof scheme - 1) == 0)
        role = by_token(access, span_cstr(authorization + sizeof scheme - 1), name);
    if (role == ADMIN_ANYBODY && ssl != NULL && access->certificates)
        role = by_certificate(ssl, name);
    return role;
}

bool access_asks(const struct access *access)
{
    return access->count != 0 || access->certificates;
}

SSL_CTX *access_tls(const struct access *access)
{
    return access->tls;
}

/* ---- the audit file ---- */

static bool open_audit(struct access *access, const char *path, char *why, size_t why_size)
{
    access->audit_fd = -1;
    if (path[0] == '\0')
        return true;
    access->audit_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (access->audit_fd < 0)
        snprintf(why, why_size, "the audit file %s cannot be opened: %s", path, strerror(errno));
    return access->audit_fd >= 0;
}

void access_note(struct access *access, const struct access_note *note)
{
    struct buffer line = {0};
    if (access->audit_fd < 0)
        return;
    buffer_appendf(&line, "{\"time_us\":%" PRIu64 ",\"name\":", note->time_us);
    buffer_append_json_string(&line, span_cstr(note->name));
    buffer_appendf(&line, ",\"role\":\"%s\",\"from\":", admin_role_name(note->role));
    buffer_append_json_string(&line, span_cstr(note->from));
    buffer_appendf(&line, ",\"method\":\"%s\",\"target\":", note->method);
    buffer_append_json_string(&line, note->target);
    buffer_appendf(&line, ",\"status\":%d}\n", note->status);
    /* One write for a line: both daemons may have the file. */
    bool failed = write(access->audit_fd, line.data, line.size) != (ssize_t)line.size;
    if (failed && !access->audit_failed)
        log_error("admin", "the audit file cannot be written: %s", strerror(errno));
    access->audit_failed = failed;
    buffer_fini(&line);
}

/* ---- birth and end ---- */

struct access *access_new(const struct access_options *options, char *why, size_t why_size)
{
    struct access *access = bytes_zalloc(sizeof *access);
    access->audit_fd = -1;
    if (access_set_tokens(access, options->tokens, why, why_size) &&
        load_tls(access, options, why, why_size) &&
        open_audit(access, options->audit_file, why, why_size))
        return access;
    access_free(access);
    return NULL;
}

/* The text of the tokens file, the caller's to wipe; false: WHY. */
static bool read_tokens(const struct settings *settings, struct buffer *tokens, char *why,
                        size_t why_size)
{
    const char *path = settings->admin_tokens_file;
    return path[0] == '\0' || secret_read_file(path, tokens, why, why_size) == STATUS_OK;
}

/* WHY names a line; which file it is of stands in front. */
static void name_file(const struct settings *settings, char *why, size_t why_size)
{
    char text[400];
    snprintf(text, sizeof text, "%s", why);
    if (strncmp(text, "line ", 5) == 0)
        snprintf(why, why_size, "%s, %s", settings->admin_tokens_file, text);
}

struct access *access_open(const struct settings *settings, char *why, size_t why_size)
{
    struct buffer tokens = {0};
    struct access *access = NULL;
    if (read_tokens(settings, &tokens, why, why_size))
        access = access_new(
            &(struct access_options){.tokens = buffer_span(&tokens),
                                     .certificate_file = settings->admin_tls_certificate_file,
                                     .key_file = settings->admin_tls_key_file,
                                     .client_ca_file = settings->admin_client_ca_file,
                                     .audit_file = settings->admin_audit_file},
            why, why_size);
    if (access == NULL)
        name_file(settings, why, why_size);
    secret_fini(&tokens);
    return access;
}

/* The file may have been moved aside, and another is to be written. */
static bool reopen_audit(struct access *access, const char *path, char *why, size_t why_size)
{
    int before = access->audit_fd;
    if (!open_audit(access, path, why, why_size)) {
        access->audit_fd = before;
        return false;
    }
    if (before >= 0)
        close(before);
    return true;
}

bool access_reload(struct access *access, const struct settings *settings, char *why,
                   size_t why_size)
{
    struct buffer tokens = {0};
    bool good = read_tokens(settings, &tokens, why, why_size) &&
                access_set_tokens(access, buffer_span(&tokens), why, why_size);
    if (!good)
        name_file(settings, why, why_size);
    secret_fini(&tokens);
    return good && reopen_audit(access, settings->admin_audit_file, why, why_size);
}

void access_free(struct access *access)
{
    if (access == NULL)
        return;
    if (access->audit_fd >= 0)
        close(access->audit_fd);
    SSL_CTX_free(access->tls);
    free(access->principals);
    free(access);
}
