/* es_client.c - bounded requests to one cluster: libcurl's multi interface on the event loop.
 *
 * libcurl tells us the sockets and the timer it wants watched (client_on_socket, client_on_timer),
 * we tell it when they are ready; what has ended is collected after each such step (collect). Only
 * there calls end, so on_done never runs inside libcurl or inside es_client_call.
 *
 * "Not one byte was sent" must be certain when it is said, since then another node is tried: it is
 * said only of failures before the connection was made, TLS included, with no byte counted as sent.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/es_client.h"

#include <stdarg.h>
#include <strings.h>

#include <event2/event.h>

#include "base/clock.h"
#include "base/loop.h"

#define UPLOAD_BUFFER 2097152 /* libcurl's largest: a bulk goes out in few steps */
#define HANDLES_KEPT 64       /* idle handles that are kept for the next calls */
#define NODE_REST_US 1000000

struct node {
    char *url;
    uint64_t rest_until_us; /* no calls before, unless all nodes rest; 0: it is healthy */
};

struct es_client {
    struct event_base *base; /* borrowed */
    CURLM *multi;            /* owned */
    struct event *timer;     /* owned */
    struct node *nodes;      /* owned */
    size_t nodes_count;
    size_t next_node;    /* whose turn it is */
    char *authorization; /* owned: the whole header line, wiped at the end; NULL: none */
    char *ca_file;       /* owned; NULL: the system's */
    bool insecure;
    long connect_timeout_ms;
    uint64_t rest_us;
    struct es_call *calls; /* under way; caller's */
    size_t calls_count;
    CURL *handles[HANDLES_KEPT]; /* owned, idle */
    size_t handles_count;
};

/* ------------------------------------------------------------------------------------------------------
 * Nodes. */

static bool node_rests(const struct node *node, uint64_t now)
{
    return node->rest_until_us > now;
}

/* The node whose turn it is; when all rest, the one that has rested longest. */
static size_t node_pick(struct es_client *client)
{
    uint64_t now = clock_now_us();
    size_t best = client->next_node % client->nodes_count;

    for (size_t i = 0; i < client->nodes_count; i++) {
        size_t at = (client->next_node + i) % client->nodes_count;
        if (!node_rests(&client->nodes[at], now)) {
            best = at;
            break;
        }
        if (client->nodes[at].rest_until_us < client->nodes[best].rest_until_us)
            best = at;
    }
    client->next_node = best + 1;
    return best;
}

size_t es_client_nodes(const struct es_client *client)
{
    return client->nodes_count;
}

const char *es_client_node(const struct es_client *client, size_t at, bool *healthy)
{
    CHECK(at < client->nodes_count);
    *healthy = client->nodes[at].rest_until_us == 0;
    return client->nodes[at].url;
}

/* ------------------------------------------------------------------------------------------------------
 * One try of a call. */

static size_t call_on_bytes(char *bytes, size_t one, size_t size, void *arg)
{
    struct es_call *call = arg;

    (void)one;
    if (size > call->answer_max - call->answer.size)
        return 0; /* libcurl ends the call with CURLE_WRITE_ERROR */
    buffer_append(&call->answer, bytes, size);
    return size;
}

/* Looks at each line of the answer's head: libcurl takes a head that ends in the middle for an
 * answer. */
static size_t call_on_head_line(char *bytes, size_t one, size_t size, void *arg)
{
    struct es_call *call = arg;
    struct span line = span_of(bytes, size), name = span_of(bytes, 0);

    (void)one;
    while (name.size < size && bytes[name.size] != ':')
        name.size++;
    if (span_starts(line, SPAN("HTTP/")))
        call->head_whole = call->framed = false; /* the last one counts, after 1xx */
    else if (span_equal_nocase(name, SPAN("content-length")) ||
             span_equal_nocase(name, SPAN("transfer-encoding")))
        call->framed = true;
    else if (span_equal(line, SPAN("\r\n")) || span_equal(line, SPAN("\n")))
        call->head_whole = true;
    return size;
}

/* Whether the answer said where it ends, and came so far. Engines always say it; what ends with the
 * connection may have been cut. */
static bool answer_is_whole(const struct es_call *call, long http_status)
{
    bool empty = strcmp(call->method, "HEAD") == 0 || http_status == 204 || http_status == 304;

    return call->head_whole && (call->framed || empty);
}

static CURL *handle_get(struct es_client *client)
{
    if (client->handles_count > 0)
        return client->handles[--client->handles_count];
    CURL *easy = curl_easy_init();
    CHECK(easy != NULL);
    return easy;
}

static void handle_put(struct es_client *client, CURL *easy)
{
    if (client->handles_count == HANDLES_KEPT) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    client->handles[client->handles_count++] = easy;
}

static void headers_free(struct curl_slist *headers)
{
    for (struct curl_slist *at = headers; at != NULL; at = at->next)
        explicit_bzero(at->data, strlen(at->data)); /* one of them is the authorization */
    curl_slist_free_all(headers);
}

static void add_header(struct es_call *call, const char *line)
{
    call->headers = curl_slist_append(call->headers, line);
    CHECK(call->headers != NULL);
}

/* The request line, headers and body. */
static void set_request(struct es_client *client, struct es_call *call)
{
    CURL *easy = call->easy;
    bool has_body = call->body.size > 0;
    struct buffer url = {0};

    buffer_append_cstr(&url, client->nodes[call->node].url);
    buffer_append_span(&url, buffer_span(&call->target));
    curl_easy_setopt(easy, CURLOPT_URL, buffer_cstr(&url));
    buffer_fini(&url);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    if (strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (has_body || strcmp(call->method, "POST") == 0 || strcmp(call->method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, has_body ? call->body.data : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.size);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    } else {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
        curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
    }
    add_header(
        call, "Expect:"); /* or libcurl would wait a second for a 100 that some nodes do not send */
    add_header(call, "User-Agent: tandem/" TANDEM_VERSION);
    if (client->authorization != NULL)
        add_header(call, client->authorization);
    char line[200] = "Content-Type:"; /* of an empty POST: none, and not libcurl's form */
    if (has_body)
        snprintf(line, sizeof line, "Content-Type: %s",
                 call->content_type == NULL ? "application/json" : call->content_type);
    add_header(call, line);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->headers);
}

/* How the node is reached, and the bounds. */
static void set_transport(struct es_client *client, struct es_call *call, uint64_t now)
{
    CURL *easy = call->easy;
    uint64_t left_us = call->deadline_us > now ? call->deadline_us - now : 0;

    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)UPLOAD_BUFFER);
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, call->plain ? NULL : "gzip");
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, client->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(left_us / 1000 + 1));
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, client->insecure ? 0L : 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, client->insecure ? 0L : 2L);
    if (client->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL); /* these, and not the system's besides */
    }
    if (call->once)
        curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, call_on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, call_on_head_line);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
}

static void call_try(struct es_client *client, struct es_call *call)
{
    call->tries++;
    call->node = node_pick(client);
    call->easy = handle_get(client);
    call->error[0] = '\0';
    call->head_whole = call->framed = false;
    set_request(client, call);
    set_transport(client, call, clock_now_us());
    CURLMcode code = curl_multi_add_handle(client->multi, call->easy);
    CHECK(code == CURLM_OK); /* a fresh handle: nothing but memory could be wrong */
}

/* Takes CALL's handle away from libcurl. */
static void call_detach(struct es_call *call)
{
    struct es_client *client = call->client;

    curl_multi_remove_handle(client->multi, call->easy);
    handle_put(client, call->easy);
    call->easy = NULL;
    headers_free(call->headers);
    call->headers = NULL;
}

static void call_unlink(struct es_call *call)
{
    *call->link = call->next;
    if (call->next != NULL)
        call->next->link = call->link;
    call->client->calls_count--;
    call->client = NULL;
}

/* ------------------------------------------------------------------------------------------------------
 * The end of a try. */

/* True when CODE can only come before the first byte of a request. */
static bool before_sending(CURL *easy, CURLcode code)
{
    curl_off_t pretransfer = 0;
    long request_size = 0;

    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_size);
    curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &pretransfer);
    if (request_size > 0)
        return false;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_URL_MALFORMAT:
        return true;
    case CURLE_OPERATION_TIMEDOUT:
        return pretransfer == 0;
    default:
        return false;
    }
}

static void note_node(struct es_client *client, struct es_call *call, CURLcode code)
{
    struct node *node = &client->nodes[call->node];

    if (code == CURLE_OK || code == CURLE_WRITE_ERROR)
        node->rest_until_us = 0;
    else
        node->rest_until_us = clock_now_us() + client->rest_us;
}

static void note_result(struct es_client *client, struct es_call *call, CURLcode code)
{
    long http_status = 0;
    curl_off_t retry_after = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http_status);
    curl_easy_getinfo(call->easy, CURLINFO_RETRY_AFTER, &retry_after);
    call->sent = code == CURLE_OK || !before_sending(call->easy, code);
    call->http_status = code == CURLE_OK ? (int)http_status : 0;
    call->retry_after_us =
        retry_after > 0 && retry_after < 86400 ? (uint64_t)retry_after * 1000000 : 0;
    if (code == CURLE_OK) {
        call->status = STATUS_OK;
        call->why[0] = '\0';
    } else if (code == CURLE_WRITE_ERROR) {
        call->status = STATUS_TOO_LARGE;
        snprintf(call->why, sizeof call->why, "%.200s: the answer is larger than %zu bytes",
                 client->nodes[call->node].url, call->answer_max);
    } else {
        call->status = STATUS_CLUSTER_AWAY;
        snprintf(call->why, sizeof call->why, "%.200s: %s", client->nodes[call->node].url,
                 call->error[0] != '\0' ? call->error : curl_easy_strerror(code));
    }
    if (code != CURLE_OK)
        buffer_clear(&call->answer);
}

static void call_on_end(struct es_client *client, struct es_call *call, CURLcode code)
{
    long http_status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &http_status);
    if (code == CURLE_OK && !answer_is_whole(call, http_status))
        code = CURLE_PARTIAL_FILE;
    note_node(client, call, code);
    note_result(client, call, code);
    call_detach(call);
    if (!call->sent && call->tries < client->nodes_count && clock_now_us() < call->deadline_us) {
        call_try(client, call);
        return;
    }
    call_unlink(call);
    call->on_done(call); /* last: it may free the call, or start it again */
}

static void collect(struct es_client *client)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        char *call = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message goes with its handle */
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        call_on_end(client, (struct es_call *)(void *)call, code);
    }
}

/* ------------------------------------------------------------------------------------------------------
 * The loop. */

static void client_on_ready(evutil_socket_t fd, short what, void *arg)
{
    struct es_client *client = arg;
    int running,
        mask = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

    curl_multi_socket_action(client->multi, fd, mask, &running);
    collect(client);
}

static void client_on_time(evutil_socket_t fd, short what, void *arg)
{
    struct es_client *client = arg;
    int running;

    (void)fd;
    (void)what;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(client);
}

static int client_on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct es_client *client = arg;
    struct event *event = socket_arg;
    short want = EV_PERSIST;

    (void)easy;
    if (event != NULL)
        event_free(event);
    event = NULL;
    if (what != CURL_POLL_REMOVE) {
        want |= what & CURL_POLL_IN ? EV_READ : 0;
        want |= what & CURL_POLL_OUT ? EV_WRITE : 0;
        event = event_new(client->base, fd, want, client_on_ready, client);
        CHECK(event != NULL && event_add(event, NULL) == 0);
    }
    curl_multi_assign(client->multi, fd, event);
    return 0;
}

static int client_on_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct es_client *client = arg;
    struct timeval in = {timeout_ms / 1000, timeout_ms % 1000 * 1000};

    (void)multi;
    if (timeout_ms < 0)
        event_del(client->timer);
    else
        event_add(client->timer, &in);
    return 0;
}

/* ------------------------------------------------------------------------------------------------------
 * Calls and the client. */

void es_call_init(struct es_call *call)
{
    memset(call, 0, sizeof *call);
    strcpy(call->method, "GET");
    call->timeout_us = 30000000;
    call->answer_max = 100 * 1024 * 1024;
}

void es_call_fini(struct es_call *call)
{
    es_client_cancel(call);
    buffer_fini(&call->target);
    buffer_fini(&call->body);
    buffer_fini(&call->answer);
}

void es_call_set(struct es_call *call, const char *method, const char *target_format, ...)
{
    va_list args;

    CHECK(call->client == NULL && strlen(method) < sizeof call->method);
    strcpy(call->method, method);
    buffer_clear(&call->target);
    buffer_clear(&call->body);
    buffer_clear(&call->answer);
    va_start(args, target_format);
    int size = vsnprintf(NULL, 0, target_format, args);
    va_end(args);
    CHECK(size >= 0);
    char *to = buffer_reserve(&call->target, (size_t)size + 1);
    va_start(args, target_format);
    vsnprintf(to, (size_t)size + 1, target_format, args);
    va_end(args);
    call->target.size = (size_t)size;
}

void es_client_call(struct es_client *client, struct es_call *call)
{
    CHECK(call->client == NULL && call->on_done != NULL);
    CHECK(call->target.size > 0 && call->target.data[0] == '/');
    buffer_clear(&call->answer);
    call->why[0] = '\0';
    call->http_status = 0;
    call->sent = false;
    call->tries = 0;
    call->deadline_us = clock_now_us() + call->timeout_us;
    call->client = client;
    call->next = client->calls;
    call->link = &client->calls;
    if (call->next != NULL)
        call->next->link = &call->next;
    client->calls = call;
    client->calls_count++;
    call_try(client, call);
}

void es_client_cancel(struct es_call *call)
{
    if (call->client == NULL)
        return;
    call_detach(call);
    call_unlink(call);
}

size_t es_client_calls(const struct es_client *client)
{
    return client->calls_count;
}

static char *header_line(const char *name, const char *value)
{
    struct buffer line = {0};

    buffer_reserve(&line, strlen(name) + strlen(value) + 3); /* once: it must leave no copies */
    buffer_append_cstr(&line, name);
    buffer_append_cstr(&line, ": ");
    buffer_append_cstr(&line, value);
    buffer_append_char(&line, '\0');
    return line.data; /* the caller's, as any string */
}

struct es_client *es_client_new(struct loop *loop, const struct es_client_options *options)
{
    struct es_client *client = bytes_zalloc(sizeof *client);

    CHECK(options->urls_count > 0 && options->connections_max > 0);
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); /* counted by libcurl */
    client->base = loop_base(loop);
    client->nodes_count = options->urls_count;
    client->nodes = bytes_zalloc(options->urls_count * sizeof *client->nodes);
    for (size_t i = 0; i < options->urls_count; i++)
        client->nodes[i].url = bytes_strdup(options->urls[i]);
    if (options->authorization != NULL)
        client->authorization = header_line("Authorization", options->authorization);
    if (options->ca_file != NULL && options->ca_file[0] != '\0')
        client->ca_file = bytes_strdup(options->ca_file);
    client->insecure = options->insecure;
    client->connect_timeout_ms = (long)(options->connect_timeout_us / 1000 + 1);
    client->rest_us = options->retry_interval_us == 0 ? NODE_REST_US : options->retry_interval_us;
    client->timer = evtimer_new(client->base, client_on_time, client);
    client->multi = curl_multi_init();
    CHECK(client->timer != NULL && client->multi != NULL);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, client_on_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, client_on_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    curl_multi_setopt(client->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                      (long)options->connections_max);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)options->connections_max);
    return client;
}

void es_client_free(struct es_client *client)
{
    if (client == NULL)
        return;
    while (client->calls != NULL)
        es_client_cancel(client->calls);
    for (size_t i = 0; i < client->handles_count; i++)
        curl_easy_cleanup(client->handles[i]);
    curl_multi_cleanup(
        client->multi); /* closes its connections: client_on_socket frees their events */
    event_free(client->timer);
    for (size_t i = 0; i < client->nodes_count; i++)
        free(client->nodes[i].url);
    free(client->nodes);
    if (client->authorization != NULL)
        explicit_bzero(client->authorization, strlen(client->authorization));
    free(client->authorization);
    free(client->ca_file);
    free(client);
    curl_global_cleanup();
}
