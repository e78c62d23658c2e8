/* access.h - who may ask what of an admin address: roles, tokens, client certificates, and the file
 * that says who asked.
 *
 * A role may do all that the ones before it may: a viewer looks, an operator does what can be
 * undone or loses nothing, an admin also what can't.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ADMIN_ACCESS_H
#define TANDEM_ADMIN_ACCESS_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/check.h"

enum admin_role {
    ADMIN_ANYBODY, /* of a path: asks for no name; of a caller: is not known */
    ADMIN_VIEWER,
    ADMIN_OPERATOR,
    ADMIN_ADMIN,
};

/* "viewer", "operator", "admin"; "nobody" for ADMIN_ANYBODY. */
const char *admin_role_name(enum admin_role role);

struct access;
struct settings;

struct access_options {
    /* Text of a tokens file; empty: none. One principal in a line: ROLE NAME TOKEN; what begins
     * with # is a comment. */
    struct span tokens;
    const char *certificate_file, *key_file; /* PEM; "": plain HTTP */
    const char *client_ca_file; /* PEM; "": none. Certificates that these signed are principals: the
                                   common name is the name, the organizational unit the role */
    const char *audit_file;     /* "": none; one JSON object in a line for each call */
};

#define ACCESS_TOKEN_MIN 16 /* bytes */
#define ACCESS_NAME_MAX 64  /* bytes */

/* As the settings say. NULL: WHY. */
MUST_USE struct access *access_open(const struct settings *settings, char *why, size_t why_size);
/* Reads the tokens file again, and opens the audit file again; false: WHY, and what could not be read
 * or opened stays as it was. */
MUST_USE bool access_reload(struct access *access, const struct settings *settings, char *why,
                            size_t why_size);
/* NULL: WHY says what is wrong, without any part of a token. */
MUST_USE struct access *access_new(const struct access_options *options, char *why,
                                   size_t why_size);
void access_free(struct access *access);
/* Takes the tokens of another text in the place of those there are; false: WHY, and nothing was
 * changed. A text without any is refused: nobody would be asked for a name any more. */
MUST_USE bool access_set_tokens(struct access *access, struct span tokens, char *why,
                                size_t why_size);

/* True when a name is asked for: there are tokens, or client certificates. */
bool access_asks(const struct access *access);
/* NULL: plain. */
SSL_CTX *access_tls(const struct access *access);

/* Who calls: by the value of Authorization (NULL: there is none), and by the certificate of SSL
 * (may be NULL). NAME (ACCESS_NAME_MAX + 1 bytes) becomes "" where nobody is known. */
enum admin_role access_who(const struct access *access, const char *authorization, SSL *ssl,
                           char *name);

/* One call, as it was answered. */
struct access_note {
    uint64_t time_us; /* since 1970 */
    const char *name, *from, *method;
    enum admin_role role;
    struct span target;
    int status;
};
/* Writes it to the audit file, if there is one. */
void access_note(struct access *access, const struct access_note *note);

#endif
