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
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>

#include "base/loop.h"

#define HEAD_MAX 65536
#define IDLE_TIMEOUT_S 60
#define ROUTES_MAX 64

struct route {
    const char *method; /* borrowed */
    const char *path;   /* borrowed */
    admin_handler handler;
    void *arg;
};

struct call {
    struct admin_request request; /* what the handler sees */
    struct admin *admin;          /* NULL once the server has gone */
    struct evhttp_request *http;  /* evhttp's; NULL once its connection has gone */
    struct buffer bytes;          /* owned: path, query and body */
    LIST_ENTRY(call) link;        /* in admin->calls while admin is not NULL */
};

struct admin {
    struct evhttp *http; /* owned, and with it the listener */
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

    if (call->admin != NULL)
        LIST_REMOVE(call, link);
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
                       struct span path, struct span query)
{
    struct call *call = bytes_zalloc(sizeof *call);
    struct evbuffer *body = evhttp_request_get_input_buffer(http);
    size_t size = evbuffer_get_length(body);

    call->admin = admin;
    call->http = http;
    char *to = buffer_reserve(&call->bytes, path.size + query.size + size);
    buffer_append_span(&call->bytes, path);
    buffer_append_span(&call->bytes, query);
    CHECK(evbuffer_copyout(body, to + path.size + query.size, size) == (ev_ssize_t)size);
    call->request.method = span_cstr(route->method);
    call->request.path = span_of(to, path.size);
    call->request.query = span_of(to + path.size, query.size);
    call->request.body = span_of(to + path.size + query.size, size);
    LIST_INSERT_HEAD(&admin->calls, call, link);
    evhttp_connection_set_closecb(evhttp_request_get_connection(http), call_on_close, call);
    route->handler(&call->request, route->arg);
}

static void admin_on_request(struct evhttp_request *http, void *arg)
{
    struct admin *admin = arg;
    struct evkeyvalq *headers = evhttp_request_get_input_headers(http);
    const char *uri = evhttp_request_get_uri(http);
    const char *method = method_name(evhttp_request_get_command(http));
    const char *mark = strchr(uri, '?');
    struct span path = mark == NULL ? span_cstr(uri) : span_of(uri, (size_t)(mark - uri));
    struct span query = mark == NULL ? SPAN_NONE : span_cstr(mark + 1);
    bool path_known = false;

    if (!host_is_ours(evhttp_find_header(headers, "Host"))) {
        refuse(http, 403,
               "the Host of a request to the admin address must be an IP address or localhost");
        return;
    }
    if (evhttp_find_header(headers, "Origin") != NULL) {
        refuse(http, 403, "requests of web pages are not taken here");
        return;
    }
    for (size_t i = 0; i < admin->routes_count; i++) {
        const struct route *route = &admin->routes[i];
        if (!span_equal(path, span_cstr(route->path)))
            continue;
        path_known = true;
        if (strcmp(method, route->method) == 0) {
            call_start(admin, http, route, path, query);
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

/* The socket address of HOST and PORT; false when it is not this machine's loopback. */
static bool loopback_address(const char *host, uint16_t port, struct sockaddr_storage *address,
                             socklen_t *size)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (strcasecmp(host, "localhost") == 0)
        host = "127.0.0.1";
    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(address, &v4, *size = sizeof v4);
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1) {
        memcpy(address, &v6, *size = sizeof v6);
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
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

struct admin *admin_new(struct loop *loop, const char *host, uint16_t port, char *why,
                        size_t why_size)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    int on = 1;

    if (!loopback_address(host, port, &address, &size)) {
        snprintf(why, why_size,
                 "the admin address %s is not this machine's loopback, and there is no "
                 "authentication yet; "
                 "use 127.0.0.1",
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

void admin_route(struct admin *admin, const char *method, const char *path, admin_handler handler,
                 void *arg)
{
    CHECK(admin->routes_count < ROUTES_MAX);
    CHECK(strcmp(method, "GET") == 0 || strcmp(method, "POST") == 0);
    admin->routes[admin->routes_count++] = (struct route){method, path, handler, arg};
}
