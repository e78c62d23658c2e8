/* es_client_test.c - calls against small servers in this process: answers, silence, resets, dead
 * nodes.
 *
 * Nothing here waits for time to pass but the time-outs themselves, of some 50 ms; every wait ends
 * with the call.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "es/es_client.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "base/loop.h"

static struct loop *loop;

/* A node: what it was asked last, and what it answers. */
struct node {
    struct evhttp *http;
    char url[64];
    unsigned requests;
    char method[16], uri[256], content_type[64], authorization[64], content_length[32],
        encodings[32];
    bool expect;
    size_t body_size;
    char body[64]; /* its beginning */
    int status;
    struct span answer;
    const char *encoding;
    bool silent; /* never answers */
};

static void copy_header(struct evhttp_request *http, const char *name, char *to, size_t size)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(http), name);

    snprintf(to, size, "%s", value == NULL ? "-" : value);
}

static void node_on_request(struct evhttp_request *http, void *arg)
{
    static const char *const names[] = {"GET", "POST", "HEAD", "PUT", "DELETE"};
    struct node *node = arg;
    struct evbuffer *in = evhttp_request_get_input_buffer(http);
    unsigned at = 0;

    node->requests++;
    while (evhttp_request_get_command(http) != (enum evhttp_cmd_type)(1u << at))
        at++;
    assert_true(at < COUNT_OF(names));
    strcpy(node->method, names[at]);
    snprintf(node->uri, sizeof node->uri, "%s", evhttp_request_get_uri(http));
    copy_header(http, "Content-Type", node->content_type, sizeof node->content_type);
    copy_header(http, "Authorization", node->authorization, sizeof node->authorization);
    copy_header(http, "Content-Length", node->content_length, sizeof node->content_length);
    copy_header(http, "Accept-Encoding", node->encodings, sizeof node->encodings);
    node->expect = evhttp_find_header(evhttp_request_get_input_headers(http), "Expect") != NULL;
    node->body_size = evbuffer_get_length(in);
    memset(node->body, 0, sizeof node->body);
    evbuffer_copyout(in, node->body, sizeof node->body - 1);
    if (node->silent)
        return;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(http);
    if (node->encoding != NULL)
        evhttp_add_header(headers, "Content-Encoding", node->encoding);
    evhttp_add_header(headers, "Retry-After", "3");
    struct evbuffer *out = evhttp_request_get_output_buffer(http);
    if (strcmp(node->method, "HEAD") != 0)
        evbuffer_add(out, node->answer.data, node->answer.size);
    evhttp_send_reply(http, node->status, "x", NULL);
}

static uint16_t port_of(evutil_socket_t fd)
{
    struct sockaddr_in bound;
    socklen_t size = sizeof bound;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
    return ntohs(bound.sin_port);
}

static void node_start(struct node *node)
{
    memset(node, 0, sizeof *node);
    node->http = evhttp_new(loop_base(loop));
    struct evhttp_bound_socket *socket = evhttp_bind_socket_with_handle(node->http, "127.0.0.1", 0);
    snprintf(node->url, sizeof node->url, "http://127.0.0.1:%u",
             port_of(evhttp_bound_socket_get_fd(socket)));
    evhttp_set_allowed_methods(node->http, 31); /* GET POST HEAD PUT DELETE */
    evhttp_set_gencb(node->http, node_on_request, node);
    node->status = 200;
    node->answer = SPAN("{}");
}

/* An address at which nobody listens. */
static void dead_url(char *url, size_t size)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof any), 0);
    snprintf(url, size, "http://127.0.0.1:%u", port_of(fd));
    close(fd);
}

static struct es_client *client_of(const char *const *urls, size_t count)
{
    struct es_client_options options = {.urls = urls,
                                        .urls_count = count,
                                        .authorization = "ApiKey abc",
                                        .connect_timeout_us = 100000,
                                        .connections_max = 4};

    return es_client_new(loop, &options);
}

static void call_on_done(struct es_call *call)
{
    *(unsigned *)call->arg += 1;
}

static void call_start(struct es_client *client, struct es_call *call, unsigned *done)
{
    call->on_done = call_on_done;
    call->arg = done;
    es_client_call(client, call);
}

static void run_until(const unsigned *done, unsigned count)
{
    while (*done < count)
        loop_turn(loop, true);
}

static void call_and_wait(struct es_client *client, struct es_call *call)
{
    unsigned done = 0;

    call_start(client, call, &done);
    assert_int_equal(done, 0); /* never inside es_client_call */
    run_until(&done, 1);
    assert_int_equal(es_client_calls(client), 0);
}

/* ------------------------------------------------------------------------------------------------------
 */

static void every_method_arrives_as_it_was_set(void **state)
{
    (void)state;
    static const struct {
        const char *method, *body, *content_type, *seen_type, *seen_length;
    } cases[] = {
        {"GET", "", NULL, "-", "-"},
        {"GET", "{\"a\":1}", NULL, "application/json", "7"},
        {"HEAD", "", NULL, "-", "-"},
        {"POST", "", NULL, "-", "0"},
        {"POST", "{}\n{}\n", "application/x-ndjson", "application/x-ndjson", "6"},
        {"PUT", "", NULL, "-", "0"},
        {"PUT", "{}", NULL, "application/json", "2"},
        {"DELETE", "", NULL, "-", "-"},
        {"DELETE", "{}", NULL, "application/json", "2"},
    };
    struct node node;
    node_start(&node);
    const char *urls[] = {node.url};
    struct es_client *client = client_of(urls, 1);
    struct es_call call;

    es_call_init(&call);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        es_call_set(&call, cases[i].method, "/%s/_doc/a%%2Fb?x=%d", "i-1", 7);
        buffer_append_cstr(&call.body, cases[i].body);
        call.content_type = cases[i].content_type;
        call_and_wait(client, &call);
        assert_int_equal(call.status, STATUS_OK);
        assert_int_equal(call.http_status, 200);
        assert_true(call.sent);
        assert_int_equal(call.retry_after_us, 3000000);
        assert_string_equal(node.method, cases[i].method);
        assert_string_equal(node.uri, "/i-1/_doc/a%2Fb?x=7");
        assert_string_equal(node.body, cases[i].body);
        assert_string_equal(node.content_type, cases[i].seen_type);
        assert_string_equal(node.content_length, cases[i].seen_length);
        assert_string_equal(node.authorization, "ApiKey abc");
        if (strcmp(cases[i].method, "HEAD") != 0)
            assert_true(span_equal(buffer_span(&call.answer), SPAN("{}")));
    }
    es_call_fini(&call);
    es_client_free(client);
    evhttp_free(node.http);
}

static void every_status_is_an_answer(void **state)
{
    (void)state;
    static const int statuses[] = {200, 201, 301, 400, 401, 404, 409, 429, 500, 503};
    struct node node;
    node_start(&node);
    const char *urls[] = {node.url};
    struct es_client *client = client_of(urls, 1);
    struct es_call call;

    es_call_init(&call);
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        node.status = statuses[i];
        es_call_set(&call, "GET", "/");
        call_and_wait(client, &call);
        assert_int_equal(call.status, STATUS_OK);
        assert_int_equal(call.http_status, statuses[i]);
    }
    es_call_fini(&call);
    es_client_free(client);
    evhttp_free(node.http);
}

static void a_large_body_goes_out_without_asking_first(void **state)
{
    (void)state;
    struct node node;
    node_start(&node);
    const char *urls[] = {node.url};
    struct es_client *client = client_of(urls, 1);
    struct es_call call;

    es_call_init(&call);
    es_call_set(&call, "POST", "/_bulk");
    memset(buffer_reserve(&call.body, 5000000), 'x', 5000000);
    call.body.size = 5000000;
    call_and_wait(client, &call);
    assert_int_equal(call.status, STATUS_OK);
    assert_int_equal(node.body_size, 5000000);
    assert_false(node.expect);
    es_call_fini(&call);
    es_client_free(client);
    evhttp_free(node.http);
}

static void a_packed_answer_is_unpacked(void **state)
{
    (void)state;
    static const char packed[] =
        "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6"
        "\x10\x36\x05\x00\x00\x00";
    struct node node;
    node_start(&node);
    node.encoding = "gzip";
    node.answer = span_of(packed, sizeof packed - 1);
    const char *urls[] = {node.url};
    struct es_client *client = client_of(urls, 1);
    struct es_call call;

    es_call_init(&call);
    es_call_set(&call, "GET", "/");
    call_and_wait(client, &call);
    assert_int_equal(call.status, STATUS_OK);
    assert_true(span_equal(buffer_span(&call.answer), SPAN("hello")));
    es_call_fini(&call);
    es_client_free(client);
    evhttp_free(node.http);
}

static void a_plain_answer_can_be_asked_for(void **state)
{
    (void)state;
    struct node node;
    node_start(&node);
    const char *urls[] = {node.url};
    struct es_client *client = client_of(urls, 1);
    struct es_call call;

    es_call_init(&call);
    for (int i = 0; i < 4; i++) { /* handles are used again */
        es_call_set(&call, "GET", "/");
        call.plain = i % 2 == 1;
        call_and_wait(client, &call);
        assert_string_equal(node.encodings, call.plain ? "-" : "gzip");
    }
    es_call_fini(&call);
    es_client_free(client);
    evhttp_free(node.http);
}

static void an_answer_above_its_limit_ends_the_call(void **state)
{
    (void)state;
    struct node node;
    node_start(&node);
    node.answer = SPAN("0123456789");
    const char *urls[] = {node.url};
    struct es_client *client = client_of(urls, 1);
    struct es_call call;

    es_call_init(&call);
    for (size_t max = 0; max <= 11; max++) {
        es_call_set(&call, "GET", "/");
        call.answer_max = max;
        call_and_wait(client, &call);
        assert_int_equal(call.status, max < 10 ? STATUS_TOO_LARGE : STATUS_OK);
        assert_int_equal(call.answer.size, max < 10 ? 0 : 10);
        assert_true(call.sent);
    }
    es_call_fini(&call);
    es_client_free(client);
    evhttp_free(node.http);
}

static void healthy_nodes_take_turns_and_dead_ones_are_passed_over(void **state)
{
    (void)state;
    struct node a, b;
    char dead[64];
    node_start(&a);
    node_start(&b);
    dead_url(dead, sizeof dead);
    const char *urls[] = {a.url, dead, b.url};
    struct es_client *client = client_of(urls, 3);
    struct es_call call;
    bool healthy;

    es_call_init(&call);
    for (int i = 0; i < 10; i++) {
        es_call_set(&call, "POST", "/_bulk");
        call_and_wait(client, &call);
        assert_int_equal(call.status, STATUS_OK);
    }
    assert_int_equal(a.requests + b.requests, 10);
    assert_true(a.requests >= 4 && b.requests >= 4);
    assert_string_equal(es_client_node(client, 1, &healthy), dead);
    assert_false(healthy);
    es_client_node(client, 2, &healthy);
    assert_true(healthy);
    es_call_fini(&call);
    es_client_free(client);
    evhttp_free(a.http);
    evhttp_free(b.http);
}

static void with_every_node_dead_nothing_was_sent(void **state)
{
    (void)state;
    char one[64], two[64];
    dead_url(one, sizeof one);
    dead_url(two, sizeof two);
    const char *urls[] = {one, two};
    struct es_client *client = client_of(urls, 2);
    struct es_call call;

    es_call_init(&call);
    for (int i = 0; i < 3; i++) {
        es_call_set(&call, "POST", "/_bulk");
        call_and_wait(client, &call);
        assert_int_equal(call.status, STATUS_CLUSTER_AWAY);
        assert_int_equal(call.http_status, 0);
        assert_false(call.sent);
        assert_non_null(strstr(call.why, "127.0.0.1"));
    }
    es_call_fini(&call);
    es_client_free(client);
}

/* A raw node: accepts, and after the first bytes does as it is told. */
struct raw {
    struct evconnlistener *listener;
    struct event *events[16];
    int fds[16];
    unsigned count, received;
    const char *answer; /* sent before it closes; NULL: it stays silent */
};

static void raw_on_bytes(evutil_socket_t fd, short what, void *arg)
{
    struct raw *raw = arg;
    char bytes[65536];

    (void)what;
    ssize_t got = read(fd, bytes, sizeof bytes);
    if (got > 0)
        raw->received++;
    if (got > 0 && raw->answer != NULL) {
        assert_int_equal(write(fd, raw->answer, strlen(raw->answer)), strlen(raw->answer));
        shutdown(fd, SHUT_RDWR);
    }
    for (unsigned i = 0; got <= 0 && i < raw->count; i++) {
        if (raw->fds[i] == fd)
            event_del(raw->events[i]);
    }
}

static void raw_on_accept(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int size, void *arg)
{
    struct raw *raw = arg;

    (void)listener;
    (void)address;
    (void)size;
    assert_true(raw->count < COUNT_OF(raw->fds));
    raw->fds[raw->count] = fd;
    raw->events[raw->count] =
        event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, raw_on_bytes, raw);
    event_add(raw->events[raw->count++], NULL);
}

static void raw_start(struct raw *raw, const char *answer, const char *scheme, char *url,
                      size_t size)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    memset(raw, 0, sizeof *raw);
    raw->answer = answer;
    raw->listener =
        evconnlistener_new_bind(loop_base(loop), raw_on_accept, raw, LEV_OPT_CLOSE_ON_FREE, 16,
                                (struct sockaddr *)&any, sizeof any);
    snprintf(url, size, "%s://127.0.0.1:%u", scheme, port_of(evconnlistener_get_fd(raw->listener)));
}

static void raw_stop(struct raw *raw)
{
    evconnlistener_free(raw->listener);
    for (unsigned i = 0; i < raw->count; i++) {
        event_free(raw->events[i]);
        close(raw->fds[i]);
    }
}

static void a_call_that_was_sent_goes_to_no_other_node(void **state)
{
    (void)state;
    static const char *const answers[] = {
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        "nonsense\r\n\r\n",
        NULL};

    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        struct raw raw;
        struct node other;
        struct es_call call;
        char url[64];
        raw_start(&raw, answers[i], "http", url, sizeof url);
        node_start(&other);
        const char *urls[] = {url, other.url};
        struct es_client *client = client_of(urls, 2);

        es_call_init(&call);
        es_call_set(&call, "POST", "/_bulk");
        buffer_append_cstr(&call.body, "{}\n");
        call.timeout_us = answers[i] == NULL ? 50000 : 30000000;
        call_and_wait(client, &call);
        if (call.status != STATUS_CLUSTER_AWAY || !call.sent || other.requests != 0 ||
            raw.received == 0)
            fail_msg("answer %zu: %s, sent %d, requests to the other %u", i,
                     status_name(call.status), call.sent, other.requests);
        assert_int_equal(call.answer.size, 0);
        es_call_fini(&call);
        es_client_free(client);
        evhttp_free(other.http);
        raw_stop(&raw);
    }
}

static void a_node_silent_before_the_request_was_sent_is_passed_over(void **state)
{
    (void)state;
    struct raw raw;
    struct node other;
    struct es_call call;
    char url[64];
    raw_start(&raw, NULL, "https", url, sizeof url); /* TLS never comes about */
    node_start(&other);
    const char *urls[] = {url, other.url};
    struct es_client *client = client_of(urls, 2);

    es_call_init(&call);
    es_call_set(&call, "POST", "/_bulk");
    call_and_wait(client, &call);
    assert_int_equal(call.status, STATUS_OK);
    assert_int_equal(other.requests, 1);
    es_call_fini(&call);
    es_client_free(client);
    evhttp_free(other.http);
    raw_stop(&raw);
}

static void more_calls_than_connections_wait_and_all_end(void **state)
{
    (void)state;
    struct node node;
    node_start(&node);
    const char *urls[] = {node.url};
    struct es_client *client = client_of(urls, 1);
    static struct es_call calls[100];
    unsigned done = 0;

    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        es_call_init(&calls[i]);
        es_call_set(&calls[i], "GET", "/%zu", i);
        call_start(client, &calls[i], &done);
    }
    assert_int_equal(es_client_calls(client), COUNT_OF(calls));
    run_until(&done, COUNT_OF(calls));
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        assert_int_equal(calls[i].status, STATUS_OK);
        es_call_fini(&calls[i]);
    }
    assert_int_equal(node.requests, COUNT_OF(calls));
    es_client_free(client);
    evhttp_free(node.http);
}

static void a_cancelled_call_never_ends(void **state)
{
    (void)state;
    struct node node;
    node_start(&node);
    node.silent = true;
    const char *urls[] = {node.url};
    struct es_client *client = client_of(urls, 1);
    struct es_call calls[3];
    unsigned done = 0, ended = 0;

    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        es_call_init(&calls[i]);
        es_call_set(&calls[i], "GET", "/");
        call_start(client, &calls[i], &done);
    }
    calls[1].timeout_us = 1;
    while (node.requests < 2)
        loop_turn(loop, true);
    es_client_cancel(&calls[0]);
    es_client_cancel(&calls[0]); /* not under way: nothing happens */
    assert_int_equal(es_client_calls(client), 2);
    es_call_fini(&calls[1]);
    es_client_free(client); /* drops the third */
    assert_null(calls[2].client);
    assert_int_equal(done + ended, 0);
    es_call_fini(&calls[0]);
    es_call_fini(&calls[2]);
    evhttp_free(node.http);
}

struct repeated {
    struct es_client *client;
    unsigned left, done;
};

static void repeat_on_done(struct es_call *call)
{
    struct repeated *repeated = call->arg;

    assert_int_equal(call->status, STATUS_OK);
    if (--repeated->left == 0)
        repeated->done = 1;
    else
        es_client_call(repeated->client, call);
}

static void a_call_may_be_started_again_as_it_ends(void **state)
{
    (void)state;
    struct node node;
    node_start(&node);
    const char *urls[] = {node.url};
    struct repeated repeated = {client_of(urls, 1), 5, 0};
    struct es_call call;

    es_call_init(&call);
    es_call_set(&call, "GET", "/");
    call.once = true;
    call.on_done = repeat_on_done;
    call.arg = &repeated;
    es_client_call(repeated.client, &call);
    run_until(&repeated.done, 1);
    assert_int_equal(node.requests, 5);
    es_call_fini(&call);
    es_client_free(repeated.client);
    evhttp_free(node.http);
}

static int make_loop(void **state)
{
    (void)state;
    loop = loop_new("test");
    return loop == NULL ? -1 : 0;
}

static int free_loop(void **state)
{
    (void)state;
    loop_free(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_arrives_as_it_was_set),
        cmocka_unit_test(every_status_is_an_answer),
        cmocka_unit_test(a_large_body_goes_out_without_asking_first),
        cmocka_unit_test(a_packed_answer_is_unpacked),
        cmocka_unit_test(a_plain_answer_can_be_asked_for),
        cmocka_unit_test(an_answer_above_its_limit_ends_the_call),
        cmocka_unit_test(healthy_nodes_take_turns_and_dead_ones_are_passed_over),
        cmocka_unit_test(with_every_node_dead_nothing_was_sent),
        cmocka_unit_test(a_call_that_was_sent_goes_to_no_other_node),
        cmocka_unit_test(a_node_silent_before_the_request_was_sent_is_passed_over),
        cmocka_unit_test(more_calls_than_connections_wait_and_all_end),
        cmocka_unit_test(a_cancelled_call_never_ends),
        cmocka_unit_test(a_call_may_be_started_again_as_it_ends),
    };

    return cmocka_run_group_tests(tests, make_loop, free_loop);
}
