/* admin.c - the small HTTP server both daemons use for status, counters and commands.
 *
 * libevent's evhttp does the work. A request is copied into a call of our own before its handler
 * runs, because evhttp frees its request when the connection goes, and a handler may answer long
 * after:
 *
 *     call->http is NULL from the moment the connection has gone; then an answer only frees the
 * call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "admin/admin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stddef.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include <openssl/ssl.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/loop.h"

#define HEAD_MAX 65536
#define IDLE_TIMEOUT_S 60
#define ROUTES_MAX 64

struct route {
    enum admin_role role; /* at least */
    const char *method;   /* borrowed */
    const char *path;     /* borrowed */
    admin_handler handler;
    void *arg;
};

struct caller {
    enum admin_role role; /* ADMIN_ANYBODY: not known */
    char name[ACCESS_NAME_MAX + 1], from[64];
};

struct call {
    struct admin_request request; /* what the handler sees */
    struct admin *admin;          /* NULL once the server has gone */
    struct evhttp_request *http;  /* evhttp's; NULL once its connection has gone */
    struct buffer bytes;          /* owned: target and body */
    struct span target;           /* path and query, into bytes */
    struct caller caller;
    const char *method;    /* borrowed */
    LIST_ENTRY(call) link; /* in admin->calls while admin is not NULL */
};

struct admin {
    struct access *access; /* borrowed */
    struct evhttp *http;   /* owned, and with it the listener */
    uint16_t port;
    struct route routes[ROUTES_MAX];
    size_t routes_count;
    LIST_HEAD(, call) calls; /* not answered yet */
};

/* ------------------------------------------------------------------------------------------------------
 * Answers. */

static struct call *call_of(struct admin_request *request)
{
    return (struct call *)(void *)((char *)request - offsetof(struct call, request));
}

static void call_on_close(struct evhttp_connection *connection, void *arg)
{
    struct call *call = arg;

    (void)connection;
    call->http = NULL;
}

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {{200, "OK"},
                   {202, "Accepted"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {403, "Forbidden"},
                   {404, "Not Found"},
                   {405, "Method Not Allowed"},
                   {409, "Conflict"},
                   {412, "Precondition Failed"},
                   {500, "Internal Server Error"},
                   {503, "Service Unavailable"},
                   {504, "Gateway Timeout"}};

    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "-";
}

/* Who asks on HTTP, by what it sent and by its connection. */
static struct caller caller_of(const struct admin *admin, struct evhttp_request *http)
{
    struct caller caller = {0};
    struct evhttp_connection *connection = evhttp_request_get_connection(http);
    struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
    SSL *ssl = access_tls(admin->access) == NULL
                   ? NULL
                   : bufferevent_openssl_get_ssl(evhttp_connection_get_bufferevent(connection));
    char *address = NULL;
    uint16_t port = 0;
    caller.role =
        access_who(admin->access, evhttp_find_header(headers, "Authorization"), ssl, caller.name);
    evhttp_connection_get_peer(connection, &address, &port);
    snprintf(caller.from, sizeof caller.from, "%s", address == NULL ? "?" : address);
    return caller;
}

static void note(struct admin *admin, const struct caller *caller, const char *method,
                 struct span target, int status)
{
    access_note(admin->access, &(struct access_note){.time_us = clock_wall_us(),
                                                     .name = caller->name,
                                                     .from = caller->from,
                                                     .method = method,
                                                     .role = caller->role,
                                                     .target = target,
                                                     .status = status});
    if (strcmp(method, "POST") == 0 && access_asks(admin->access))
        log_info("admin", "%s %.*s by %s (%s) from %s: %d", method, (int)target.size, target.data,
                 caller->name[0] == '\0' ? "?" : caller->name, admin_role_name(caller->role),
                 caller->from, status);
}

/* Sends an answer on HTTP, which is evhttp's again from here on. */
static void send_answer(struct evhttp_request *http, int status, const char *content_type,
                        struct span body)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    struct evbuffer *out = evhttp_request_get_output_buffer(http);

    evhttp_add_header(headers, "Content-Type", content_type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    if (evhttp_request_get_command(http) != EVHTTP_REQ_HEAD)
        evbuffer_add(out, body.data, body.size);
    evhttp_send_reply(http, status, reason(status), NULL);
}

void admin_reply(struct admin_request *request, int status, const char *content_type,
                 struct span body)
{
    struct call *call = call_of(request);

    if (call->admin != NULL) {
        note(call->admin, &call->caller, call->method, call->target, status);
        LIST_REMOVE(call, link);
    }
    if (call->http != NULL) {
        evhttp_connection_set_closecb(evhttp_request_get_connection(call->http), NULL, NULL);
        send_answer(call->http, status, content_type, body);
    }
    buffer_fini(&call->bytes);
    free(call);
}

void admin_reply_json(struct admin_request *request, int status, json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);

    CHECK(text != NULL); /* our own value: it is sound, or memory is gone */
    json_decref(body);
    admin_reply(request, status, "application/json", span_cstr(text));
    free(text);
}

static void append_error(struct buffer *out, int status, struct span text)
{
    buffer_appendf(out, "{\"error\":{\"status\":%d,\"text\":", status);
    buffer_append_json_string(out, text);
    buffer_append_cstr(out, "}}\n");
}

void admin_reply_error(struct admin_request *request, int status, const char *format, ...)
{
    struct buffer body = {0};
    char text[1000];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    append_error(&body, status, span_cstr(text));
    admin_reply(request, status, "application/json", buffer_span(&body));
    buffer_fini(&body);
}

static void refuse(struct evhttp_request *http, int status, const char *text)
{
    struct buffer body = {0};

    append_error(&body, status, span_cstr(text));
    send_answer(http, status, "application/json", buffer_span(&body));
    buffer_fini(&body);
}

/* ------------------------------------------------------------------------------------------------------
 * Requests. */

static const char *method_name(enum evhttp_cmd_type command)
{
    switch (command) {
    case EVHTTP_REQ_GET:
    case EVHTTP_REQ_HEAD: /* the same without the body */
        return "GET";
    case EVHTTP_REQ_POST:
        return "POST";
    default:
        return "other"; /* no route has it */
    }
}

/* An address or localhost, with or without a port: then no name server had a say in who is meant.
 */
static bool host_is_ours(const char *host)
{
    char name[64], *colon;
    struct in_addr v4;
    struct in6_addr v6;

    if (host == NULL || strlen(host) >= sizeof name)
        return false;
    strcpy(name, host);
    if (name[0] == '[') {
        char *bracket = strchr(name, ']');
        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
            return false;
        *bracket = '\0';
        return inet_pton(AF_INET6, name + 1, &v6) == 1;
    }
    if ((colon = strchr(name, ':')) != NULL)
        *colon = '\0';
    return strcasecmp(name, "localhost") == 0 || inet_pton(AF_INET, name, &v4) == 1;
}

static void call_start(struct admin *admin, struct evhttp_request *http, const struct route *route,
                       const struct caller *caller, struct span target)
{
    struct call *call = bytes_zalloc(sizeof *call);
    struct evbuffer *body = evhttp_request_get_input_buffer(http);
    size_t size = evbuffer_get_length(body);

    call->admin = admin;
    call->http = http;
    call->caller = *caller;
    call->method = route->method;
    char *to = buffer_reserve(&call->bytes, target.size + size);
    buffer_append_span(&call->bytes, target);
    CHECK(evbuffer_copyout(body, to + target.size, size) == (ev_ssize_t)size);
    size_t path = strlen(route->path);
    bool has_query = target.size > path; /* a question mark follows the path */
    call->target = span_of(to, target.size);
    call->request.method = span_cstr(route->method);
    call->request.path = span_of(to, path);
    call->request.query =
        has_query ? span_of(to + path + 1, target.size - path - 1) : span_of(to, 0);
    call->request.body = span_of(to + target.size, size);
    call->request.from = call->caller.from;
    call->request.name = call->caller.name;
    call->request.role = caller->role;
    LIST_INSERT_HEAD(&admin->calls, call, link);
    evhttp_connection_set_closecb(evhttp_request_get_connection(http), call_on_close, call);
    route->handler(&call->request, route->arg);
}

/* Why a request is not even looked at; NULL: it is. */
static const char *is_of_a_web_page(const struct admin *admin, struct evhttp_request *http)
{
    struct evkeyvalq *headers = evhttp_request_get_input_headers(http);

    if (evhttp_find_header(headers, "Origin") != NULL)
        return "requests of web pages are not taken here";
    if (!access_asks(admin->access) && !host_is_ours(evhttp_find_header(headers, "Host")))
        return "the Host of a request to the admin address must be an IP address or localhost";
    return NULL;
}

/* What keeps CALLER from ROUTE; 0: nothing does. */
static int refusal(const struct admin *admin, const struct route *route,
                   const struct caller *caller)
{
    if (!access_asks(admin->access) || caller->role >= route->role)
        return 0;
    return caller->role == ADMIN_ANYBODY ? 401 : 403;
}

static void refuse_caller(struct admin *admin, struct evhttp_request *http,
                          const struct route *route, const struct caller *caller,
                          struct span target, int status)
{
    char text[200];

    if (status == 401)
        snprintf(
            text, sizeof text,
            "who are you? Send Authorization: Bearer TOKEN, with a token of admin.tokens_file%s",
            access_tls(admin->access) == NULL ? "" : ", or a client certificate");
    else
        snprintf(text, sizeof text, "%s has the role %s, and this needs the role %s", caller->name,
                 admin_role_name(caller->role), admin_role_name(route->role));
    if (status == 401)
        evhttp_add_header(evhttp_request_get_output_headers(http), "WWW-Authenticate",
                          "Bearer realm=\"tandem\"");
    note(admin, caller, route->method, target, status);
    refuse(http, status, text);
}

static void admin_on_request(struct evhttp_request *http, void *arg)
{
    struct admin *admin = arg;
    const char *uri = evhttp_request_get_uri(http), *mark = strchr(uri, '?');
    const char *method = method_name(evhttp_request_get_command(http));
    struct span path = mark == NULL ? span_cstr(uri) : span_of(uri, (size_t)(mark - uri));
    const char *why = is_of_a_web_page(admin, http);
    bool path_known = false;

    if (why != NULL) {
        refuse(http, 403, why);
        return;
    }
    for (size_t i = 0; i < admin->routes_count; i++) {
        const struct route *route = &admin->routes[i];
        if (!span_equal(path, span_cstr(route->path)))
            continue;
        path_known = true;
        if (strcmp(method, route->method) == 0) {
            struct caller caller = caller_of(admin, http);
            int status = refusal(admin, route, &caller);
            if (status == 0)
                call_start(admin, http, route, &caller, span_cstr(uri));
            else
                refuse_caller(admin, http, route, &caller, span_cstr(uri), status);
            return;
        }
        evhttp_add_header(evhttp_request_get_output_headers(http), "Allow", route->method);
    }
    if (path_known)
        refuse(http, 405, "this path does not take this method");
    else
        refuse(http, 404,
               "there is nothing at this path; GET /_tandem/status is what there is to see");
}

/* ------------------------------------------------------------------------------------------------------
 * Parameters. */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if ((c | 32) >= 'a' && (c | 32) <= 'f')
        return (c | 32) - 'a' + 10;
    return -1;
}

static bool percent_decode(struct span text, struct buffer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] != '%') {
            buffer_append_char(out, text.data[i] == '+' ? ' ' : text.data[i]);
            continue;
        }
        if (i + 2 >= text.size || hex(text.data[i + 1]) < 0 || hex(text.data[i + 2]) < 0)
            return false;
        buffer_append_char(out, (char)(hex(text.data[i + 1]) << 4 | hex(text.data[i + 2])));
        i += 2;
    }
    return true;
}

bool admin_parameter(const struct admin_request *request, const char *name, struct buffer *value)
{
    const char *at = request->query.data, *end = at + request->query.size;
    size_t size = strlen(name);

    while (at < end) {
        const char *next = memchr(at, '&', (size_t)(end - at));
        if (next == NULL)
            next = end;
        if ((size_t)(next - at) > size && memcmp(at, name, size) == 0 && at[size] == '=')
            return percent_decode(span_of(at + size + 1, (size_t)(next - at) - size - 1), value);
        at = next + 1;
    }
    return false;
}

bool admin_parameter_u64(const struct admin_request *request, const char *name, uint64_t *value)
{
    struct buffer text = {0};
    bool good = admin_parameter(request, name, &text) && span_to_u64(buffer_span(&text), value);

    buffer_fini(&text);
    return good;
}

/* ------------------------------------------------------------------------------------------------------
 * The server. */

/* The socket address of HOST and PORT; false when it is none. */
static bool read_address(const char *host, uint16_t port, struct sockaddr_storage *address,
                         socklen_t *size, bool *loopback)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (strcasecmp(host, "localhost") == 0)
        host = "127.0.0.1";
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(address, &v4, *size = sizeof v4);
        *loopback = ntohl(v4.sin_addr.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(address, &v6, *size = sizeof v6);
        *loopback = IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
        return true;
    }
    return false;
}

static uint16_t port_of(evutil_socket_t fd)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    CHECK(getsockname(fd, (struct sockaddr *)&bound, &size) == 0);
    memcpy(&v4, &bound, sizeof v4);
    memcpy(&v6, &bound, sizeof v6);
    return ntohs(bound.ss_family == AF_INET ? v4.sin_port : v6.sin6_port);
}

/* Of evhttp, for each connection. */
static struct bufferevent *new_tls(struct event_base *base, void *arg)
{
    SSL *ssl = SSL_new(arg);

    return ssl == NULL ? NULL
                       : bufferevent_openssl_socket_new(base, -1, ssl, BUFFEREVENT_SSL_ACCEPTING,
                                                        BEV_OPT_CLOSE_ON_FREE);
}

struct admin *admin_new(struct loop *loop, struct access *access, const char *host, uint16_t port,
                        char *why, size_t why_size)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    int on = 1;
    bool loopback = false;

    bool good = read_address(host, port, &address, &size, &loopback);
    if (!good || (!loopback && !access_asks(access))) {
        snprintf(why, why_size,
                 good ? "the admin address %s can be reached from other machines: set "
                        "admin.tokens_file or admin.client_ca_file first, or use 127.0.0.1"
                      : "the admin address %s is no IP address",
                 host);
        return NULL;
    }
    struct evconnlistener *listener =
        evconnlistener_new_bind(loop_base(loop), NULL, NULL,
                                LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
                                128, (struct sockaddr *)&address, (int)size);
    if (listener == NULL) {
        snprintf(why, why_size, "cannot listen on the admin address %s port %u: %s%s", host, port,
                 strerror(errno),
                 errno == EADDRINUSE ? "; another Tandem runs, or the port is somebody else's"
                                     : "");
        return NULL;
    }
    loop_pause_listener_on_error(listener);
    evutil_socket_t fd = evconnlistener_get_fd(listener);
    /* Connections inherit it: an answer is a head and a body, and must not wait for an
     * acknowledgement between. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    struct admin *admin = bytes_zalloc(sizeof *admin);
    LIST_INIT(&admin->calls);
    admin->access = access;
    admin->port = port_of(fd);
    admin->http = evhttp_new(loop_base(loop));
    CHECK(admin->http != NULL);
    evhttp_set_max_headers_size(admin->http, HEAD_MAX);
    evhttp_set_max_body_size(admin->http, ADMIN_BODY_MAX);
    evhttp_set_timeout(admin->http, IDLE_TIMEOUT_S);
    evhttp_set_allowed_methods(admin->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD |
                                                EVHTTP_REQ_PUT | EVHTTP_REQ_DELETE |
                                                EVHTTP_REQ_OPTIONS);
    evhttp_set_gencb(admin->http, admin_on_request, admin);
    if (access_tls(access) != NULL)
        evhttp_set_bevcb(admin->http, new_tls, access_tls(access));
    CHECK(evhttp_bind_listener(admin->http, listener) != NULL);
    return admin;
}

void admin_free(struct admin *admin)
{
    if (admin == NULL)
        return;
    evhttp_free(admin->http); /* closes connections: call_on_close says so to the calls that wait */
    while (!LIST_EMPTY(&admin->calls)) {
        struct call *call = LIST_FIRST(&admin->calls);
        LIST_REMOVE(call, link);
        call->admin = NULL;
        call->http = NULL;
    }
    free(admin);
}

uint16_t admin_port(const struct admin *admin)
{
    return admin->port;
}

void admin_route(struct admin *admin, enum admin_role role, const char *method, const char *path,
                 admin_handler handler, void *arg)
{
    CHECK(admin->routes_count < ROUTES_MAX);
    CHECK(strcmp(method, "GET") == 0 || strcmp(method, "POST") == 0);
    admin->routes[admin->routes_count++] = (struct route){role, method, path, handler, arg};
}
