/* admin.h - the small HTTP server both daemons use for status, counters and commands.
 *
 * Not for clients: a few requests a second from tandemctl, Prometheus and people. It runs on the
 * loop of its owner, and everything here is called from that loop's thread.
 *
 * Where no name is asked for (access.h), it refuses what could bring somebody else's request in: an
 * address that is not loopback, and a Host that is a name other than localhost (DNS rebinding). An
 * Origin (a web page in the operator's browser) it refuses in any case.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_ADMIN_ADMIN_H
#define TANDEM_ADMIN_ADMIN_H

#include <jansson.h>

#include "admin/access.h"
#include "base/bytes.h"
#include "base/check.h"

struct admin;
struct loop;

#define ADMIN_BODY_MAX (1024 * 1024)

/* A request, from its handler until it is answered. Spans are valid until then. */
struct admin_request {
    struct span method;
    struct span path;  /* raw, without the query */
    struct span query; /* raw, without the question mark; empty when there is none */
    struct span body;
    const char *from; /* the address */
    const char *name; /* who asks; "" when no name was asked for */
    enum admin_role role;
};

/* Answers REQUEST, now or later; exactly one of the admin_reply functions must be called for each
 * request. */
typedef void (*admin_handler)(struct admin_request *request, void *arg);

/* Listens on HOST (an IP address, or localhost; of this machine's loopback, where ACCESS asks for
 * no names) and PORT (0: any free one). NULL: WHY says the reason and what to do. LOOP and ACCESS
 * must outlive it. */
MUST_USE struct admin *admin_new(struct loop *loop, struct access *access, const char *host,
                                 uint16_t port, char *why, size_t why_size);
/* Closes everything. Requests that are not answered yet lose their connection; they must still be
 * answered. */
void admin_free(struct admin *admin);
uint16_t admin_port(const struct admin *admin);

/* HANDLER answers METHOD ("GET", and with it HEAD, or "POST") on exactly PATH, to callers of ROLE
 * or above where names are asked for. Both strings must outlive ADMIN. */
void admin_route(struct admin *admin, enum admin_role role, const char *method, const char *path,
                 admin_handler handler, void *arg);

/* Answers and frees REQUEST, whether somebody still listens or not. */
void admin_reply(struct admin_request *request, int status, const char *content_type,
                 struct span body);
/* The same with JSON, which it takes. */
void admin_reply_json(struct admin_request *request, int status, json_t *body);
/* The same with {"error": {"status": STATUS, "text": ...}}. */
void admin_reply_error(struct admin_request *request, int status, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* Appends the decoded value of parameter NAME in the query to VALUE. False when it is not there or
 * is wrongly encoded. */
bool admin_parameter(const struct admin_request *request, const char *name, struct buffer *value);
/* The same for an unsigned decimal. */
bool admin_parameter_u64(const struct admin_request *request, const char *name, uint64_t *value);

#endif
