/* admin_test.c - the admin server: routes, late answers, and whom it refuses.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/admin.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/loop.h"

static struct loop *loop;
static struct access *access_all, *access_named;
static struct admin *admin;
static struct admin_request *kept; /* by handle_later */
static char seen[200];
static char echo_arg[] = "arg";

static void handle_status(struct admin_request *request, void *arg)
{
    (void)arg;
    (void)request;
    admin_reply_json(request, 200, json_pack("{s:s}", "state", "fine"));
}

static void handle_echo(struct admin_request *request, void *arg)
{
    struct buffer name = {0};
    uint64_t seq = 0;

    bool named = admin_parameter(request, "name", &name),
         numbered = admin_parameter_u64(request, "seq", &seq);
    snprintf(seen, sizeof seen, "%s %.*s %.*s name=%s seq=%llu body=%zu", (const char *)arg,
             (int)request->method.size, request->method.data, (int)request->path.size,
             request->path.data, named ? buffer_cstr(&name) : "-",
             numbered ? (unsigned long long)seq : 0, request->body.size);
    buffer_fini(&name);
    admin_reply(request, 200, "text/plain", span_cstr(seen));
}

static void handle_later(struct admin_request *request, void *arg)
{
    (void)arg;
    kept = request;
}

static int open_connection(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons(admin_port(admin))};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

static void never_on_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* Sends TEXT and reads to the end of the connection; the answer is valid until the next call. */
static const char *ask(const char *text, size_t size)
{
    static char answer[65536];
    size_t got = 0, sent = 0;
    int fd = open_connection();
    struct event *ready =
        event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, never_on_ready, NULL);

    event_add(ready, NULL);
    for (;;) {
        ssize_t n = sent < size ? write(fd, text + sent, size - sent) : 0;
        sent += n > 0 ? (size_t)n : 0;
        n = read(fd, answer + got, sizeof answer - 1 - got);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            break;
        got += n > 0 ? (size_t)n : 0;
        loop_turn(loop, sent == size);
    }
    event_free(ready);
    close(fd);
    answer[got] = '\0';
    return answer;
}

static const char *ask_text(const char *line, const char *fields)
{
    char text[1000];

    snprintf(text, sizeof text, "%s HTTP/1.1\r\n%sConnection: close\r\n\r\n", line, fields);
    return ask(text, strlen(text));
}

#define OURS "Host: 127.0.0.1:9280\r\n"

static void expect_in(const char *answer, int status, const char *text)
{
    char line[32];

    snprintf(line, sizeof line, "HTTP/1.1 %d ", status);
    if (strncmp(answer, line, strlen(line)) != 0 || strstr(answer, text) == NULL)
        fail_msg("expected %d and %s, got:\n%s", status, text, answer);
}

/* ------------------------------------------------------------------------------------------------------
 */

static void a_route_answers_its_method_and_path_only(void **state)
{
    (void)state;
    expect_in(ask_text("GET /_tandem/status", OURS), 200, "{\"state\":\"fine\"}");
    expect_in(ask_text("GET /_tandem/status?x=1", OURS), 200, "{\"state\":\"fine\"}");
    expect_in(ask_text("POST /_tandem/status", OURS "Content-Length: 0\r\n"), 405,
              "\"status\":405");
    expect_in(ask_text("POST /_tandem/status", OURS "Content-Length: 0\r\n"), 405, "Allow: GET");
    expect_in(ask_text("DELETE /_tandem/status", OURS), 405, "\"error\"");
    expect_in(ask_text("GET /_tandem/statu", OURS), 404, "\"error\"");
    expect_in(ask_text("GET /_tandem/status/", OURS), 404, "\"error\"");
    expect_in(ask_text("GET /", OURS), 404, "application/json");
    assert_null(strstr(ask_text("HEAD /_tandem/status", OURS), "error"));
}

static void a_handler_gets_parameters_and_body(void **state)
{
    (void)state;
    expect_in(ask_text("POST /echo?seq=17&name=a%2Fb+c", OURS "Content-Length: 0\r\n"), 200,
              "arg POST /echo name=a/b c seq=17 body=0");
    expect_in(ask_text("POST /echo?nam=x&names=y&seq=-1", OURS "Content-Length: 0\r\n"), 200,
              "name=- seq=0");
    expect_in(ask_text("POST /echo?name=%2&seq=1x", OURS "Content-Length: 0\r\n"), 200,
              "name=- seq=0");
    static const char posted[] =
        "POST /echo HTTP/1.1\r\n" OURS "Connection: close\r\nContent-Length: 5\r\n\r\nhello";
    expect_in(ask(posted, sizeof posted - 1), 200, "body=5");
}

static void a_body_above_the_limit_is_refused(void **state)
{
    (void)state;
    struct buffer text = {0};
    const char *status;

    for (size_t over = 0; over < 2; over++) {
        buffer_clear(&text);
        buffer_appendf(&text,
                       "POST /echo HTTP/1.1\r\n" OURS
                       "Connection: close\r\nContent-Length: %zu\r\n\r\n",
                       ADMIN_BODY_MAX + over);
        memset(buffer_reserve(&text, ADMIN_BODY_MAX + over), 'x', ADMIN_BODY_MAX + over);
        text.size += ADMIN_BODY_MAX + over;
        status = ask(text.data, text.size);
        if (over == 0)
            expect_in(status, 200, "body=1048576");
        else
            assert_null(strstr(status, "HTTP/1.1 200"));
    }
    buffer_fini(&text);
}

static void names_of_others_and_web_pages_are_refused(void **state)
{
    (void)state;
    static const char *const good[] = {"Host: localhost\r\n", "Host: LOCALHOST:9280\r\n",
                                       "Host: 127.0.0.1\r\n", "Host: [::1]:9280\r\n",
                                       "Host: [::1]\r\n"};
    static const char *const bad[] = {"Host: evil.example\r\n",
                                      "Host: localhost.evil.example:9280\r\n",
                                      "Host: 127.0.0.1.evil.example\r\n",
                                      "Host: [::1]evil\r\n",
                                      "Host: \r\n",
                                      "",
                                      "Host: 127.0.0.1\r\nOrigin: http://evil.example\r\n",
                                      "Host: 127.0.0.1\r\nOrigin: null\r\n"};

    for (size_t i = 0; i < COUNT_OF(good); i++)
        expect_in(ask_text("GET /_tandem/status", good[i]), 200, "fine");
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        expect_in(ask_text("GET /_tandem/status", bad[i]), 403, "\"error\"");
}

static void an_answer_may_come_later_or_to_nobody(void **state)
{
    (void)state;
    static const char text[] = "GET /later HTTP/1.1\r\n" OURS "Connection: close\r\n\r\n";
    char answer[1000];

    for (int gone = 0; gone < 2; gone++) {
        int fd = open_connection();
        ssize_t got;
        kept = NULL;
        assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
        while (kept == NULL)
            loop_turn(loop, true);
        assert_true(span_equal(kept->path, SPAN("/later")));
        if (gone) {
            close(fd);
            for (int i = 0; i < 10; i++)
                loop_turn(loop, false);
        }
        admin_reply(kept, 200, "text/plain", SPAN("at last"));
        for (int i = 0; i < 10; i++)
            loop_turn(loop, false);
        if (gone)
            continue;
        while ((got = read(fd, answer, sizeof answer - 1)) < 0 && errno == EAGAIN)
            loop_turn(loop, false);
        assert_true(got > 0);
        answer[got] = '\0';
        expect_in(answer, 200, "at last");
        close(fd);
    }
}

static void a_request_may_outlive_the_server(void **state)
{
    (void)state;
    static const char text[] = "GET /later HTTP/1.1\r\n" OURS "\r\n";
    int fd = open_connection();

    kept = NULL;
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    while (kept == NULL)
        loop_turn(loop, true);
    admin_free(admin);
    admin = NULL;
    assert_true(span_equal(kept->path, SPAN("/later")));
    admin_reply_error(kept, 503, "too late %d", 1);
    close(fd);
}

static void only_loopback_is_listened_on_and_a_taken_port_is_named(void **state)
{
    (void)state;
    static const char *const bad[] = {"0.0.0.0", "10.0.0.1", "::", "example.org", ""};
    char why[300];

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        why[0] = '\0';
        assert_null(admin_new(loop, access_all, bad[i], 0, why, sizeof why));
        assert_non_null(strstr(why, i < 3 ? "admin.tokens_file" : "no IP address"));
    }
    assert_null(admin_new(loop, access_all, "127.0.0.1", admin_port(admin), why, sizeof why));
    assert_non_null(strstr(why, "somebody else"));
}

/* ---- who may do what ---- */

#define VIEWER "Authorization: Bearer viewer-0123456789\r\n"
#define ADMIN "Authorization: bearer admin-token-0123456789\r\n"
static const char tokens[] = "# who may\n\n viewer  prom viewer-0123456789 \r\n"
                             "operator ann operator-0123456789\nadmin bob admin-token-0123456789";
static char audit_file[] = "admin_test-audit-XXXXXX";

static void a_name_is_asked_for_and_a_role(void **state)
{
    (void)state;
    expect_in(ask_text("GET /_tandem/status", OURS), 401, "WWW-Authenticate: Bearer");
    expect_in(ask_text("GET /_tandem/status", OURS "Authorization: Bearer viewer-012345678\r\n"),
              401, "who are you");
    expect_in(ask_text("GET /_tandem/status", OURS "Authorization: Basic dmlld2Vy\r\n"), 401,
              "error");
    expect_in(ask_text("GET /_tandem/status", OURS VIEWER), 200, "fine");
    expect_in(ask_text("POST /echo", OURS VIEWER "Content-Length: 0\r\n"), 403,
              "prom has the role viewer, and this needs the role admin");
    expect_in(ask_text("POST /echo", OURS ADMIN "Content-Length: 0\r\n"), 200, "arg POST /echo");
    expect_in(ask_text("GET /open", OURS), 200, "fine");
    assert_null(strstr(ask_text("HEAD /open", OURS), "fine"));
    /* Whoever has a token is no page that was lured here by a name. */
    expect_in(ask_text("GET /_tandem/status", "Host: tandem.example\r\n" VIEWER), 200, "fine");
    expect_in(ask_text("GET /_tandem/status", OURS VIEWER "Origin: http://evil.example\r\n"), 403,
              "web pages");
}

static void each_call_is_in_the_audit_file(void **state)
{
    char text[4000] = "";
    FILE *file;

    (void)state;
    ask_text("POST /echo?seq=7", OURS ADMIN "Content-Length: 0\r\n");
    ask_text("POST /echo", OURS VIEWER "Content-Length: 0\r\n");
    ask_text("GET /_tandem/status", OURS);
    file = fopen(audit_file, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    assert_non_null(strstr(text, "\"name\":\"bob\",\"role\":\"admin\",\"from\":\"127.0.0.1\","
                                 "\"method\":\"POST\",\"target\":\"/echo?seq=7\",\"status\":200}"));
    assert_non_null(strstr(text, "\"name\":\"prom\",\"role\":\"viewer\""));
    assert_non_null(strstr(text, "\"name\":\"\",\"role\":\"nobody\""));
    assert_null(strstr(text, "0123456789"));
}

static void other_tokens_take_the_place_of_those_before_or_nothing_does(void **state)
{
    char why[300];

    (void)state;
    assert_false(access_set_tokens(access_named, SPAN("viewer x short"), why, sizeof why));
    expect_in(ask_text("GET /_tandem/status", OURS VIEWER), 200, "fine");
    assert_false(access_set_tokens(access_named, SPAN("# nobody\n\n"), why, sizeof why));
    assert_non_null(strstr(why, "names anybody"));
    expect_in(ask_text("GET /_tandem/status", OURS), 401, "who are you");
    expect_in(ask_text("GET /_tandem/status", OURS VIEWER), 200, "fine");
    assert_true(
        access_set_tokens(access_named, SPAN("viewer x another-0123456789"), why, sizeof why));
    expect_in(ask_text("GET /_tandem/status", OURS VIEWER), 401, "who are you");
    expect_in(ask_text("GET /_tandem/status", OURS "Authorization: Bearer another-0123456789\r\n"),
              200, "fine");
}

static void a_wrong_line_is_named_and_shows_no_token(void **state)
{
    static const char *const wrong[] = {"boss x secret-0123456789", "viewer x", "viewer",
                                        "viewer x secret-012345",
                                        "viewer x secret-0123456789 more"};
    char why[300];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct access_options options = {.tokens = span_cstr(wrong[i]),
                                         .certificate_file = "",
                                         .key_file = "",
                                         .client_ca_file = "",
                                         .audit_file = ""};
        assert_null(access_new(&options, why, sizeof why));
        assert_non_null(strstr(why, "line 1: "));
        assert_null(strstr(why, "secret"));
    }
}

static int start_with(struct access *access)
{
    char why[300];

    loop = loop_new("test");
    admin = admin_new(loop, access, "localhost", 0, why, sizeof why);
    if (admin == NULL)
        return -1;
    admin_route(admin, ADMIN_ANYBODY, "GET", "/open", handle_status, NULL);
    admin_route(admin, ADMIN_VIEWER, "GET", "/_tandem/status", handle_status, NULL);
    admin_route(admin, ADMIN_ADMIN, "POST", "/echo", handle_echo, echo_arg);
    admin_route(admin, ADMIN_VIEWER, "GET", "/later", handle_later, NULL);
    return 0;
}

static int start(void **state)
{
    struct access_options options = {
        .certificate_file = "", .key_file = "", .client_ca_file = "", .audit_file = ""};
    char why[300];

    (void)state;
    access_all = access_new(&options, why, sizeof why);
    return access_all == NULL ? -1 : start_with(access_all);
}

static int start_named(void **state)
{
    struct access_options options = {.tokens = span_cstr(tokens),
                                     .certificate_file = "",
                                     .key_file = "",
                                     .client_ca_file = "",
                                     .audit_file = audit_file};
    char why[300];

    (void)state;
    strcpy(audit_file + strlen(audit_file) - 6, "XXXXXX");
    close(mkstemp(audit_file));
    access_named = access_new(&options, why, sizeof why);
    return access_named == NULL ? -1 : start_with(access_named);
}

static int stop_named(void **state)
{
    (void)state;
    admin_free(admin);
    access_free(access_named);
    loop_free(loop);
    return unlink(audit_file);
}

static int stop(void **state)
{
    (void)state;
    admin_free(admin);
    access_free(access_all);
    loop_free(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_route_answers_its_method_and_path_only, start, stop),
        cmocka_unit_test_setup_teardown(a_handler_gets_parameters_and_body, start, stop),
        cmocka_unit_test_setup_teardown(a_body_above_the_limit_is_refused, start, stop),
        cmocka_unit_test_setup_teardown(names_of_others_and_web_pages_are_refused, start, stop),
        cmocka_unit_test_setup_teardown(an_answer_may_come_later_or_to_nobody, start, stop),
        cmocka_unit_test_setup_teardown(a_request_may_outlive_the_server, start, stop),
        cmocka_unit_test_setup_teardown(only_loopback_is_listened_on_and_a_taken_port_is_named,
                                        start, stop),
        cmocka_unit_test_setup_teardown(a_name_is_asked_for_and_a_role, start_named, stop_named),
        cmocka_unit_test_setup_teardown(each_call_is_in_the_audit_file, start_named, stop_named),
        cmocka_unit_test_setup_teardown(other_tokens_take_the_place_of_those_before_or_nothing_does,
                                        start_named, stop_named),
        cmocka_unit_test(a_wrong_line_is_named_and_shows_no_token),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
