/* message_test.c - what a head means, what is refused, and that cutting it anywhere changes
 * nothing.
 *
 * Every head here is also given at each of its prefixes, in memory that ends where the bytes end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/message.h"

static const struct http_limits LIMITS = {8192, 65536, HTTP_FIELDS_MAX};

#define ANY 0 /* an expected status that does not matter */

static struct http_head head;
static struct http_refusal refusal;
static char *copy; /* the bytes that `head` points into */

static enum status parse(struct span bytes, const char *method, const struct http_limits *limits)
{
    free(copy);
    copy = malloc(bytes.size == 0 ? 1 : bytes.size);
    assert_non_null(copy);
    if (bytes.size != 0)
        memcpy(copy, bytes.data, bytes.size);
    struct span own = span_of(copy, bytes.size);
    if (method == NULL)
        return http_parse_request(own, limits, &head, &refusal);
    return http_parse_answer(own, span_cstr(method), limits, &head, &refusal);
}

static void show_and_fail(struct span bytes, size_t cut, const char *what)
{
    print_error("%s: cut at %zu of %zu bytes:\n", what, cut, bytes.size);
    for (size_t i = 0; i < bytes.size && i < 2000; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        print_error(c >= 0x20 && c < 0x7f ? "%c" : "\\x%02x", c);
    }
    print_error("\n");
    fail();
}

/* Parses BYTES at every prefix (at every 97th when they are many) and as a whole: NEED_MORE, and
 * from some byte on always the same. METHOD is NULL for a request, else that of the answer's
 * request. */
static enum status parse_cut(struct span bytes, const char *method,
                             const struct http_limits *limits)
{
    enum status whole = parse(bytes, method, limits);
    struct http_refusal expected = refusal;
    size_t size = whole == STATUS_OK ? head.size : bytes.size;
    size_t step = bytes.size > 4000 ? 97 : 1;
    bool refused = false;

    for (size_t cut = 0; cut < size; cut += step) {
        enum status status = parse(span_of(bytes.data, cut), method, limits);
        if (status == STATUS_NEED_MORE && !refused)
            continue;
        refused = true;
        if (status != STATUS_BAD_INPUT || whole != STATUS_BAD_INPUT)
            show_and_fail(bytes, cut, "a prefix was judged otherwise than the whole");
        if (refusal.status != expected.status || strcmp(refusal.why, expected.why) != 0)
            show_and_fail(bytes, cut, "a prefix was refused with other words than the whole");
    }
    return parse(bytes, method, limits);
}

static void expect_refused(struct span bytes, const char *method, int status)
{
    enum status got = parse_cut(bytes, method, &LIMITS);

    if (got != STATUS_BAD_INPUT)
        show_and_fail(bytes, bytes.size, "this should have been refused");
    if (status != ANY && refusal.status != status) {
        print_error("%d (%s) instead of %d\n", refusal.status, refusal.why, status);
        show_and_fail(bytes, bytes.size, "this should have been refused otherwise");
    }
}

static void expect_ok(struct span bytes, const char *method)
{
    enum status got = parse_cut(bytes, method, &LIMITS);

    if (got == STATUS_BAD_INPUT)
        print_error("%d (%s)\n", refusal.status, refusal.why);
    if (got != STATUS_OK)
        show_and_fail(bytes, bytes.size, "this should have been accepted");
}

static void expect_span(struct span got, const char *expected)
{
    if (!span_equal(got, span_cstr(expected))) {
        print_error("'%.*s' instead of '%s'\n", (int)got.size, got.data, expected);
        fail();
    }
}

/* A request (METHOD NULL) or an answer with LINES among its fields. */
static struct buffer message_with(struct span lines, const char *method)
{
    struct buffer out = {0};

    buffer_append_cstr(&out, method == NULL ? "POST /i/_bulk HTTP/1.1\r\nHost: h:9200\r\n"
                                            : "HTTP/1.1 200 OK\r\n");
    buffer_append_span(&out, lines);
    buffer_append_cstr(&out, "\r\n\r\n");
    return out;
}

struct lines_case {
    struct span lines; /* without the last CRLF */
    int request;       /* the status a request with them is refused with; 0: accepted */
    bool answer;       /* an answer with them is accepted */
};

#define NO(lines)                                                                                  \
    {                                                                                              \
        SPAN(lines), 400, false                                                                    \
    }

static void expect_lines(const struct lines_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct buffer request = message_with(cases[i].lines, NULL);
        struct buffer answer = message_with(cases[i].lines, "GET");
        if (cases[i].request == 0)
            expect_ok(buffer_span(&request), NULL);
        else
            expect_refused(buffer_span(&request), NULL, cases[i].request);
        if (cases[i].answer)
            expect_ok(buffer_span(&answer), "GET");
        else
            expect_refused(buffer_span(&answer), "GET", 502);
        buffer_fini(&request);
        buffer_fini(&answer);
    }
}

static void a_request_is_handed_out_in_spans(void **state)
{
    (void)state;
    expect_ok(
        SPAN("PUT /i/_doc/1?refresh=true&x HTTP/1.1\r\nHost: es:9200\r\nContent-Length: 12\r\n"
             "X-Empty:\r\nX-Padded: \t a b \t\r\n\r\n{\"a\": 1}...."),
        NULL);
    expect_span(head.method, "PUT");
    expect_span(head.target, "/i/_doc/1?refresh=true&x");
    expect_span(head.path, "/i/_doc/1");
    expect_span(head.query, "refresh=true&x");
    expect_span(head.host, "es:9200");
    assert_int_equal(head.minor, 1);
    assert_int_equal(head.framing, HTTP_LENGTH);
    assert_int_equal(head.content_length, 12);
    assert_true(head.keep_alive);
    assert_false(head.expect_continue);
    assert_int_equal(head.field_count, 4);
    expect_span(head.fields[2].name, "X-Empty");
    expect_span(head.fields[2].value, "");
    expect_span(head.fields[3].value, "a b");
    assert_int_equal(copy[head.size], '{');
}

static void an_answer_is_handed_out_in_spans(void **state)
{
    (void)state;
    expect_ok(SPAN("HTTP/1.1 429 Too Many Requests\r\nX-elastic-product: Elasticsearch\r\n"
                   "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n"),
              "POST");
    assert_int_equal(head.status, 429);
    expect_span(head.reason, "Too Many Requests");
    assert_int_equal(head.framing, HTTP_CHUNKED);
    assert_int_equal(head.field_count, 2);
    assert_true(head.keep_alive);
    assert_int_equal(copy[head.size], '0');
}

static void a_content_length_is_plain_digits_and_alone(void **state)
{
    (void)state;
#define CL "Content-Length: "
    const struct lines_case cases[] = {
        {SPAN(CL "0"), 0, true},
        {SPAN(CL "5"), 0, true},
        {SPAN(CL " 5 \t"), 0, true}, /* white space around a value is not part of it */
        {SPAN("cOnTeNt-lEnGtH:5"), 0, true},
        {SPAN(CL "9223372036854775807"), 0, true},
        /* clang-format off */
        NO(CL "9223372036854775808"), NO(CL "18446744073709551616"),
        NO(CL "99999999999999999999999999"), NO(CL "0x10"), NO(CL "+5"), NO(CL "-1"), NO(CL "1_0"),
        NO(CL "010"), NO(CL "00"), NO(CL ""), NO(CL "5,5"), NO(CL "5, 6"), NO(CL "5 5"),
        NO(CL "1e0"), NO(CL "5.0"), NO(CL "5\r"), NO(CL "5\r6"), NO(CL "\v5"), NO(CL "5\xa0"),
        NO(CL "\"5\""), NO(CL "5\r\n" CL "5"), NO(CL "5\r\n" CL "6"),
        NO(CL "5\r\nX: y\r\ncontent-length: 0"), NO("Content_Length: 5"), NO("Content-Length : 5"),
        NO("Content-Length\t: 5"), NO(CL "5\r\n 6"),
        /* clang-format on */
    };
    expect_lines(cases, COUNT_OF(cases));
}

static void a_transfer_encoding_is_chunked_and_nothing_else(void **state)
{
    (void)state;
#define TE "Transfer-Encoding: "
    const struct lines_case cases[] = {
        {SPAN(TE "chunked"), 0, true},
        {SPAN("transfer-encoding:CHUNKED\t"), 0, true},
        {SPAN(TE "chunked, chunked"), 400, false},
        {SPAN(TE "chunked\r\n" TE "chunked"), 400, false},
        {SPAN(TE "chunked\r\n" TE "identity"), 400, false},
        {SPAN(TE "identity\r\n" TE "chunked"), 501, false},
        /* clang-format off */
        NO(TE "chunked, identity"), NO(TE ",chunked"), NO(TE "chunked,"), NO(TE "chunked;q=1"),
        NO(TE "\"chunked\""), NO(TE "chunked chunked"), NO(TE "chunked x"), NO(TE ""), NO(TE ","),
        /* clang-format on */
        {SPAN(TE "xchunked"), 501, false},
        {SPAN(TE "gzip, chunked"), 501, false},
        {SPAN(TE "gzip;level=9, chunked"), 501, false},
        {SPAN(TE "identity"), 501, false},
        {SPAN(TE "gzip"), 501, false},
        {SPAN(TE "chunked\v"), 400, false},
        {SPAN(TE "\fchunked"), 400, false},
        {SPAN(TE "\205chunked"), 400, false},
        {SPAN(TE "chunked\xa0"), 400, false},
        {SPAN(TE "\377chunked"), 400, false},
        /* clang-format off */
        NO(TE "\0chunked"), NO(TE "\r\n chunked"), NO(TE "chunked\r\n ,x"),
        NO(TE "chunked\r\n\tx"), NO("Transfer-Encoding : chunked"),
        NO("Transfer-Encoding\t: chunked"), NO(" Transfer-Encoding: chunked"),
        NO("Transfer_Encoding: chunked"), NO("Transfer-Encoding\xa0: chunked"),
        NO(TE "chunked\r\n" CL "5"), NO(CL "5\r\n" TE "chunked"),
        NO("TRANSFER-ENCODING: chunked\r\nX: y\r\ncontent-length: 0"),
        NO("content-length: 0\r\nX: y\r\ntransfer-encoding: chunked"),
        /* clang-format on */
        {SPAN(TE "xchunked\r\n" CL "5"), 501, false},
        {SPAN(TE "chunked\n" CL "5"), 400, false},
    };
    expect_lines(cases, COUNT_OF(cases));
}

static void a_line_that_two_readers_may_read_differently_is_refused(void **state)
{
    (void)state;
    const struct lines_case cases[] = {
        {SPAN("X-Tab: a\tb"), 0, true},
        {SPAN("X-Text: caf\xc3\xa9 \x80\xff"), 0, true},
        {SPAN("X-Empty:"), 0, true},
        {SPAN("X!#$%&'*+-.^_`|~09: symbols"), 0, true},
        {SPAN("X-Colons: a:b::c"), 0, true},
        /* clang-format off */
        NO("X: a\nY: b"), NO("X: a\n"), NO("X: a\rY: b"), NO("X: a\r\rY: b"), NO("X: a\r"),
        NO("X: a\r\n b"), NO("X: a\r\n\tb"), NO(" X: a"), NO("\tX: a"), NO("X : a"), NO("X\t: a"),
        NO("X"), NO("X\r\nY: b"), NO("X\r\n : b"), NO("no colon here"), NO(": a"), NO("X: a\0b"),
        /* clang-format on */
        {SPAN("X: a\001b"), 400, false},
        {SPAN("X: a\x7f"), 400, false},
        {SPAN("X: 1234567890\1771234567890"), 400, false},
        {SPAN("X: 1234567890\0371234567890"), 400, false},
        /* clang-format off */
        NO("X\0: a"), NO("X\x01: a"), NO("X\x7f: a"), NO("X\xc3\xa9: a"), NO("X(y): a"),
        NO("X\"y\": a"), NO("X,Y: a"), NO("X/Y: a"), NO("\n"),
        /* clang-format on */
    };
    expect_lines(cases, COUNT_OF(cases));
}

static void every_byte_is_judged_by_its_class(void **state)
{
    static const char symbols[] = "!#$%&'*+-.^_`|~";
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool token = letter || (c != 0 && strchr(symbols, c) != NULL);
        bool value = c == '\t' || (c >= ' ' && c != 0x7f);
        bool target = c > ' ' && c < 0x7f && c != '#' && c != '%';
        char name_line[] = {'X', (char)c, ':', 'y'};
        char value_line[] = "X: 0123456789?0123456789";
        char request[] = "GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n";

        value_line[13] = (char)c;
        struct lines_case cases[] = {
            {span_of(name_line, 4), token || c == ':' ? 0 : 400, token || c == ':'},
            {span_of(value_line, sizeof value_line - 1), value ? 0 : 400, value},
        };
        expect_lines(cases, 2);
        request[6] = (char)c;
        if (target)
            expect_ok(span_of(request, sizeof request - 1), NULL);
        else if (c != ' ') /* a space there ends the target, and no version follows */
            expect_refused(span_of(request, sizeof request - 1), NULL, 400);
    }
}

static void a_start_line_is_method_target_version(void **state)
{
    (void)state;
#define REST "\r\nHost: h\r\n\r\n"
    const struct {
        struct span bytes;
        int status; /* 0: accepted */
    } cases[] = {
        {SPAN("GET / HTTP/1.1" REST), 0},
        {SPAN("HEAD / HTTP/1.1" REST), 0},
        {SPAN("POST / HTTP/1.1" REST), 0},
        {SPAN("PUT / HTTP/1.1" REST), 0},
        {SPAN("DELETE / HTTP/1.1" REST), 0},
        {SPAN("OPTIONS / HTTP/1.1" REST), 0},
        {SPAN("PATCH / HTTP/1.1" REST), 0},
        {SPAN("\r\nGET / HTTP/1.1" REST), 0},
        {SPAN("GET / HTTP/1.0" REST), 0},
        {SPAN("GET / HTTP/1.0\r\n\r\n"), 0},
        {SPAN("\r\n\r\nGET / HTTP/1.1" REST), 400},
        {SPAN("\nGET / HTTP/1.1" REST), 400},
        {SPAN("\rGET / HTTP/1.1" REST), 400},
        {SPAN(" GET / HTTP/1.1" REST), 400},
        {SPAN("GET  / HTTP/1.1" REST), 400},
        {SPAN("GET /  HTTP/1.1" REST), 400},
        {SPAN("GET\t/ HTTP/1.1" REST), 400},
        {SPAN("GET /\tHTTP/1.1" REST), 400},
        {SPAN("GET / HTTP/1.1 " REST), 400},
        {SPAN("GET / HTTP/1.1\nHost: h\n\n"), 400},
        {SPAN("GET /\r\n\r\n"), 400},
        {SPAN("GET\r\n\r\n"), 400},
        {SPAN("GET / \r\n\r\n"), 400},
        {SPAN("GET / HTTP/1.10" REST), 400},
        {SPAN("GET / HTTP/01.1" REST), 400},
        {SPAN("GET / HTTP/1" REST), 400},
        {SPAN("GET / HTTP/1.a" REST), 400},
        {SPAN("GET / http/1.1" REST), 400},
        {SPAN("GET / HTTPS/1.1" REST), 400},
        {SPAN("GET / HTTP/2.0" REST), 505},
        {SPAN("GET / HTTP/0.9" REST), 505},
        {SPAN("GET / HTTP/1.2" REST), 505},
        {SPAN("get / HTTP/1.1" REST), 405},
        {SPAN("Get / HTTP/1.1" REST), 405},
        {SPAN("FOO / HTTP/1.1" REST), 405},
        {SPAN("PROPFIND / HTTP/1.1" REST), 405},
        {SPAN("CONNECT h:9200 HTTP/1.1" REST), 405},
        {SPAN("TRACE / HTTP/1.1" REST), 405},
        {SPAN("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 405},
        {SPAN("G\0T / HTTP/1.1" REST), 400},
        {SPAN("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400}, /* TLS on a plain port */
        {SPAN("GE(T / HTTP/1.1" REST), 400},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        if (cases[i].status == 0)
            expect_ok(cases[i].bytes, NULL);
        else
            expect_refused(cases[i].bytes, NULL, cases[i].status);
    }

    static char method[65536];
    memset(method, 'A', sizeof method);
    expect_refused(span_of(method, sizeof method), NULL, 405);
    static char lines[200];
    memset(lines, '\r', sizeof lines);
    for (size_t i = 1; i < sizeof lines; i += 2)
        lines[i] = '\n';
    expect_refused(span_of(lines, sizeof lines), NULL, 400);
}

static void a_target_is_a_path_untouched(void **state)
{
    (void)state;
    const struct {
        const char *sent, *path, *query;
    } good[] = {
        {"/", "/", ""},
        {"//", "//", ""},
        {"//evil/x", "//evil/x", ""},
        {"/../..//x/./", "/../..//x/./", ""},
        {"/i/_doc/..%2f", "/i/_doc/..%2f", ""},
        {"/i/_doc/%e2%82%ac", "/i/_doc/%e2%82%ac", ""},
        {"/<logs-{now/d}>/_doc/a\"b\\c^d`e|f", "/<logs-{now/d}>/_doc/a\"b\\c^d`e|f", ""},
        {"/a?", "/a", ""},
        {"/a?b?c=/d", "/a", "b?c=/d"},
        {"/a;b:c@d,e+f", "/a;b:c@d,e+f", ""},
        {"/%0d%0a", "/%0d%0a", ""},
    };
    struct buffer text = {0};
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        buffer_clear(&text);
        buffer_appendf(&text, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", good[i].sent);
        expect_ok(buffer_span(&text), NULL);
        expect_span(head.target, good[i].sent);
        expect_span(head.path, good[i].path);
        expect_span(head.query, good[i].query);
    }

    const char *bad[] = {"/#frag", "/a?b#c", "/%00",     "/a?%00",  "/%",   "/%0",
                         "/%zz",   "/%%",    "/%1g",     "*",       "**",   "h:9200",
                         "a",      "?a",     "ftp://h/", "http:/h", "http", "\\"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        buffer_clear(&text);
        buffer_appendf(&text, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", bad[i]);
        expect_refused(buffer_span(&text), NULL, 400);
    }
    buffer_fini(&text);
    expect_refused(SPAN("GET /caf\xc3\xa9 HTTP/1.1" REST), NULL, 400);
    expect_refused(SPAN("GET /a\0b HTTP/1.1" REST), NULL, 400);
    expect_refused(SPAN("GET /a b HTTP/1.1" REST), NULL, 400);
    expect_ok(SPAN("OPTIONS * HTTP/1.1" REST), NULL);
    expect_span(head.path, "*");
}

static void an_absolute_target_brings_its_own_host(void **state)
{
    (void)state;
    const struct {
        const char *line, *target, *host;
    } good[] = {
        {"GET http://a/i?x=1", "/i?x=1", "a"},
        {"GET HTTPS://a.b:9200//i", "//i", "a.b:9200"},
        {"GET http://[::1]:9200/", "/", "[::1]:9200"},
        {"GET http://a", "/", "a"},
        {"OPTIONS http://a", "*", "a"},
        {"GET /http://u@a/", "/http://u@a/", "h"},
    };
    const char *bad[] = {"http://",      "http:///i",     "http://u@a/",  "http://u:p@a/i",
                         "http://a?x=1", "http://a:/",    "http://a:0/",  "http://a:99999/",
                         "http://a,b/",  "http://a%20b/", "http://[::1/", "http://[zz]/",
                         "http://a\\@b/"};
    struct buffer text = {0}, fields = {0};

    for (size_t i = 0; i < COUNT_OF(good); i++) {
        buffer_clear(&text);
        buffer_appendf(&text, "%s HTTP/1.1\r\nX: y\r\nHost: h\r\n\r\n", good[i].line);
        expect_ok(buffer_span(&text), NULL);
        expect_span(head.target, good[i].target);
        expect_span(head.host, good[i].host);
        buffer_clear(&text);
        buffer_clear(&fields);
        buffer_appendf(&text, "X: y\r\nHost: %s\r\n", good[i].host);
        http_append_fields(&fields, &head, NULL);
        assert_true(span_equal(buffer_span(&fields), buffer_span(&text)));
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        buffer_clear(&text);
        buffer_appendf(&text, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", bad[i]);
        expect_refused(buffer_span(&text), NULL, 400);
    }
    expect_refused(SPAN("GET http://a/ HTTP/1.1\r\n\r\n"), NULL, 400); /* Host is still due */
    expect_ok(SPAN("GET http://a/ HTTP/1.0\r\nX: y\r\n\r\n"), NULL);
    buffer_clear(&fields);
    http_append_fields(&fields, &head, NULL);
    assert_true(span_equal(buffer_span(&fields), SPAN("X: y\r\nHost: a\r\n")));
    buffer_fini(&text);
    buffer_fini(&fields);
}

static void a_request_has_one_valid_host(void **state)
{
    (void)state;
    const char *good[] = {"h",     "h:9200",      "es-1.example_x.org",       "127.0.0.1:1",
                          "[::1]", "[::1]:65535", "[2001:db8::ffff:1.2.3.4]", "H.",
                          "\th \t"};
    /* clang-format off */
    const char *bad[] = {
        "", "a,b", "a b", "h/", "h/path", "http://h", "u@h", ":", ":9200", "h:", "h:x", "h:+1",
        "h:-1", "h:0", "h:1:2", "h:65536", "h:100000", "[", "[]", "[::1", "[::1]x", "[:]", "::1",
        "[::g]", "h%20", "h?", "h#", "h\\", "[::1]:", "a;b", "\xc3\xa9", "h\"", "*", "[1234]",
        "[1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:1:2:3:4:5:6:7:8:9:a:b:c]",
    };
    /* clang-format on */
    struct buffer text = {0};

    for (size_t i = 0; i < COUNT_OF(good) + COUNT_OF(bad); i++) {
        bool is_good = i < COUNT_OF(good);
        const char *host = is_good ? good[i] : bad[i - COUNT_OF(good)];
        for (int minor = 0; minor <= 1; minor++) {
            buffer_clear(&text);
            buffer_appendf(&text, "GET / HTTP/1.%d\r\nHost:%s\r\n\r\n", minor, host);
            if (is_good)
                expect_ok(buffer_span(&text), NULL);
            else
                expect_refused(buffer_span(&text), NULL, 400);
        }
    }
    buffer_fini(&text);
    expect_refused(SPAN("GET / HTTP/1.1\r\n\r\n"), NULL, 400);
    expect_refused(SPAN("GET / HTTP/1.1\r\nHost: h\r\nhost: h\r\n\r\n"), NULL, 400);
    expect_refused(SPAN("GET / HTTP/1.0\r\nHost: h\r\nHost: i\r\n\r\n"), NULL, 400);
    expect_ok(SPAN("GET / HTTP/1.0\r\n\r\n"), NULL);
    expect_span(head.host, "");
}

static void only_100_continue_can_be_expected(void **state)
{
    (void)state;
    /* clang-format off */
    const char *bad[] = {
        "x 100-continue", "100-continue, foo", "100-continue,", "foo", "", "100-continu",
        "100-continue\r\nExpect: 100-continue",
    };
    /* clang-format on */
    struct buffer text = {0};

    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        buffer_clear(&text);
        buffer_appendf(&text, "PUT /a HTTP/1.1\r\nHost: h\r\nExpect: %s\r\n\r\n", bad[i]);
        expect_refused(buffer_span(&text), NULL, 417);
    }
    buffer_fini(&text);
    expect_refused(SPAN("PUT /a HTTP/1.1\r\nHost: h\r\nExpect:\r\n 100-continue\r\n\r\n"), NULL,
                   ANY);
    expect_ok(SPAN("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n" CL "1\r\n\r\n"), NULL);
    assert_true(head.expect_continue);
    expect_ok(SPAN("PUT /a HTTP/1.1\r\nHost: h\r\nexpect:100-Continue\r\n" TE "chunked\r\n\r\n"),
              NULL);
    assert_true(head.expect_continue);
    expect_ok(SPAN("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n"), NULL);
    assert_false(head.expect_continue);
    expect_ok(SPAN("PUT /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n" CL "0\r\n\r\n"), NULL);
    assert_false(head.expect_continue);
    expect_ok(SPAN("PUT /a HTTP/1.0\r\nExpect: 100-continue\r\n" CL "1\r\n\r\n"), NULL);
    assert_false(head.expect_continue);
}

static void connection_may_not_name_what_is_end_to_end(void **state)
{
    (void)state;
#define CN "Connection: "
    const struct lines_case cases[] = {
        {SPAN(CN "close"), 0, true},
        {SPAN(CN "Keep-Alive, X-Hop"), 0, true},
        {SPAN(CN "TE, Upgrade\r\nTE: gzip\r\nUpgrade: h2c"), 0, true},
        {SPAN(CN ""), 0, true},
        {SPAN(CN ",close,"), 0, true},
        {SPAN("Proxy-Connection: keep-alive"), 0, true},
        /* clang-format off */
        NO(CN "close, content-length"), NO(CN "keep-alive, authorization"),
        NO(CN "Transfer-Encoding"), NO(CN "HOST"), NO(CN "close\r\n" CN "Content-Type"),
        NO(CN "x,\tx-api-key"), NO(CN "x-forwarded-for"), NO(CN "keep alive"), NO(CN "\"close\""),
        NO(CN "close;x"),
        /* clang-format on */
        {SPAN(CN "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a"), 0, true},
        {SPAN(CN "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a"), 400, false},
    };
    expect_lines(cases, COUNT_OF(cases));
}

static void a_connection_lives_on_as_both_versions_have_it(void **state)
{
    (void)state;
    const struct {
        const char *field;
        bool old, now; /* HTTP/1.0, HTTP/1.1 */
    } cases[] = {
        {"X: y", false, true},
        {"Connection: close", false, false},
        {"Connection: Close", false, false},
        {"Connection: keep-alive", true, true},
        {"Connection: x, Keep-Alive", true, true},
        {"Connection: keep-alive, close", false, false},
        {"Connection: keep-alive\r\nConnection: close", false, false},
        {"Proxy-Connection: keep-alive", false, true},
        {"Keep-Alive: timeout=5", false, true},
        {"Connection: closed", false, true},
    };
    struct buffer text = {0};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int minor = 0; minor <= 1; minor++) {
            bool expected = minor == 0 ? cases[i].old : cases[i].now;
            buffer_clear(&text);
            buffer_appendf(&text, "GET / HTTP/1.%d\r\nHost: h\r\n%s\r\n\r\n", minor,
                           cases[i].field);
            expect_ok(buffer_span(&text), NULL);
            assert_int_equal(head.keep_alive, expected);
            buffer_clear(&text);
            buffer_appendf(&text, "HTTP/1.%d 200 OK\r\nContent-Length: 0\r\n%s\r\n\r\n", minor,
                           cases[i].field);
            expect_ok(buffer_span(&text), "GET");
            assert_int_equal(head.keep_alive, expected);
        }
    }
    buffer_fini(&text);
}

static void old_messages_have_no_chunks(void **state)
{
    (void)state;
    expect_refused(SPAN("POST / HTTP/1.0\r\nHost: h\r\n" TE "chunked\r\n\r\n"), NULL, 400);
    expect_refused(SPAN("POST / HTTP/1.0\r\n" TE "identity\r\n\r\n"), NULL, 400);
    expect_refused(SPAN("HTTP/1.0 200 OK\r\n" TE "chunked\r\n\r\n"), "GET", 502);
}

static void any_method_may_have_a_body_or_none(void **state)
{
    const char *names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    struct buffer text = {0};
    (void)state;

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct {
            const char *field;
            enum http_framing framing;
        } cases[] = {{"X: y", HTTP_NO_BODY},
                     {CL "7", HTTP_LENGTH},
                     {CL "0", HTTP_LENGTH},
                     {TE "chunked", HTTP_CHUNKED}};
        for (size_t j = 0; j < COUNT_OF(cases); j++) {
            buffer_clear(&text);
            buffer_appendf(&text, "%s /i/_search HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", names[i],
                           cases[j].field);
            expect_ok(buffer_span(&text), NULL);
            assert_int_equal(head.framing, cases[j].framing);
        }
    }
    buffer_fini(&text);
}

static void an_answer_is_framed_by_status_and_method(void **state)
{
    (void)state;
    const struct {
        const char *method, *status, *field;
        int framing; /* -1: refused */
        uint64_t length;
        bool keep_alive;
    } cases[] = {
        {"GET", "200", CL "5", HTTP_LENGTH, 5, true},
        {"GET", "200", CL "0", HTTP_LENGTH, 0, true},
        {"GET", "200", TE "chunked", HTTP_CHUNKED, 0, true},
        {"GET", "200", "X: y", HTTP_UNTIL_CLOSE, 0, false},
        {"GET", "500", "X: y", HTTP_UNTIL_CLOSE, 0, false},
        {"HEAD", "200", CL "5", HTTP_NO_BODY, 5, true},
        {"HEAD", "404", TE "chunked", HTTP_NO_BODY, 0, true},
        {"HEAD", "200", "X: y", HTTP_NO_BODY, 0, true},
        {"HEAD", "200", TE "chunked\r\n" CL "5", -1, 0, false},
        {"GET", "304", CL "5", HTTP_NO_BODY, 0, true},
        {"GET", "304", TE "chunked", HTTP_NO_BODY, 0, true},
        {"HEAD", "304", CL "5", HTTP_NO_BODY, 5, true},
        {"GET", "204", "X: y", HTTP_NO_BODY, 0, true},
        {"GET", "204", CL "0", HTTP_NO_BODY, 0, true},
        {"GET", "204", CL "5", -1, 0, false},
        {"GET", "204", TE "chunked", -1, 0, false},
        {"PUT", "100", "X: y", HTTP_NO_BODY, 0, true},
        {"PUT", "103", "Link: </a>", HTTP_NO_BODY, 0, true},
        {"PUT", "100", CL "5", -1, 0, false},
        {"PUT", "100", TE "chunked", -1, 0, false},
        {"GET", "101", "Upgrade: h2c", -1, 0, false},
        {"GET", "205", CL "0", HTTP_LENGTH, 0, true},
        {"CONNECT", "200", CL "5", -1, 0, false},
        {"CONNECT", "404", CL "5", HTTP_LENGTH, 5, true},
    };
    struct buffer text = {0};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&text);
        buffer_appendf(&text, "HTTP/1.1 %s Fine\r\n%s\r\n\r\n", cases[i].status, cases[i].field);
        if (cases[i].framing < 0) {
            expect_refused(buffer_span(&text), cases[i].method, 502);
            continue;
        }
        expect_ok(buffer_span(&text), cases[i].method);
        assert_int_equal(head.framing, cases[i].framing);
        assert_int_equal(head.content_length, cases[i].length);
        assert_int_equal(head.keep_alive, cases[i].keep_alive);
    }
    buffer_fini(&text);
}

static void a_status_line_is_version_status_reason(void **state)
{
    (void)state;
    const struct {
        struct span line;
        const char *reason; /* NULL: refused */
    } cases[] = {
        {SPAN("HTTP/1.1 200 OK"), "OK"},
        {SPAN("HTTP/1.1 200 "), ""},
        {SPAN("HTTP/1.1 200"), ""},
        {SPAN("HTTP/1.1 200 caf\xc3\xa9\tok"), "caf\xc3\xa9\tok"},
        {SPAN("HTTP/1.0 599 x"), "x"},
        {SPAN("HTTP/1.1 20"), NULL},
        {SPAN("HTTP/1.1 20 OK"), NULL},
        {SPAN("HTTP/1.1 2000"), NULL},
        {SPAN("HTTP/1.1 2000 OK"), NULL},
        {SPAN("HTTP/1.1 600 OK"), NULL},
        {SPAN("HTTP/1.1 099 OK"), NULL},
        {SPAN("HTTP/1.1 -10 OK"), NULL},
        {SPAN("HTTP/1.1 2x0 OK"), NULL},
        {SPAN("HTTP/1.1  200 OK"), NULL},
        {SPAN("HTTP/1.1\t200 OK"), NULL},
        {SPAN("HTTP/1.1 200\tOK"), NULL},
        {SPAN("HTTP/1.1"), NULL},
        {SPAN("HTTP/1.1 "), NULL},
        {SPAN("HTTP/2.0 200 OK"), NULL},
        {SPAN("HTTP/1.10 200 OK"), NULL},
        {SPAN("http/1.1 200 OK"), NULL},
        {SPAN("ICY 200 OK"), NULL},
        {SPAN(" HTTP/1.1 200 OK"), NULL},
        {SPAN("\r\nHTTP/1.1 200 OK"), NULL},
        {SPAN("HTTP/1.1 200 O\0K"), NULL},
        {SPAN("HTTP/1.1 200 O\x7fK"), NULL},
        {SPAN("HTTP/1.1 200 O\nK"), NULL},
        {SPAN("HTTP/1.1 200 O\rK"), NULL},
        {SPAN("{\"acknowledged\": true}HTTP/1.1 200 OK"),
         NULL}, /* bytes behind the answer before */
    };
    struct buffer text = {0};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&text);
        buffer_append_span(&text, cases[i].line);
        buffer_append_cstr(&text, "\r\nContent-Length: 0\r\n\r\n");
        if (cases[i].reason == NULL) {
            expect_refused(buffer_span(&text), "GET", 502);
        } else {
            expect_ok(buffer_span(&text), "GET");
            expect_span(head.reason, cases[i].reason);
        }
    }
    buffer_fini(&text);
}

static void two_requests_in_one_packet_stay_two(void **state)
{
    struct span bytes =
        SPAN("GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
    (void)state;

    expect_ok(bytes, NULL);
    expect_span(head.path, "/a");
    size_t first = head.size;
    expect_ok(span_of(bytes.data + first, bytes.size - first), NULL);
    expect_span(head.path, "/b");
    assert_int_equal(first + head.size, bytes.size);

    expect_ok(SPAN("\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\nx"), NULL);
    assert_int_equal(copy[head.size], 'x');
}

static void limits_hold_to_the_byte(void **state)
{
    const char text[] = "GET /2345678 HTTP/1.1\r\nHost: h\r\nA: b\r\nC: d\r\n\r\n";
    struct span bytes = span_of(text, sizeof text - 1);
    struct http_limits limits = {8, bytes.size, 3};
    (void)state;

    assert_int_equal(parse_cut(bytes, NULL, &limits), STATUS_OK);
    limits.target_max = 7;
    assert_int_equal(parse_cut(bytes, NULL, &limits), STATUS_BAD_INPUT);
    assert_int_equal(refusal.status, 414);
    limits.target_max = 8;
    limits.fields_max = 2;
    assert_int_equal(parse_cut(bytes, NULL, &limits), STATUS_BAD_INPUT);
    assert_int_equal(refusal.status, 431);
    limits.fields_max = 3;
    for (limits.head_max = 1; limits.head_max < bytes.size; limits.head_max++) {
        assert_int_equal(parse_cut(bytes, NULL, &limits), STATUS_BAD_INPUT);
        assert_int_equal(refusal.status, 431);
        /* a caller whose buffer is full at head_max must not wait for more */
        struct span full = span_of(bytes.data, limits.head_max);
        assert_int_equal(parse(full, NULL, &limits), STATUS_BAD_INPUT);
    }

    struct buffer many = {0};
    buffer_append_cstr(&many, "GET / HTTP/1.1\r\nHost: h\r\n");
    for (int i = 1; i < HTTP_FIELDS_MAX; i++)
        buffer_append_cstr(&many, "a: b\r\n");
    size_t size = many.size;
    buffer_append_cstr(&many, "\r\n");
    expect_ok(buffer_span(&many), NULL);
    assert_int_equal(head.field_count, HTTP_FIELDS_MAX);
    many.size = size;
    buffer_append_cstr(&many, "a: b\r\n\r\n");
    expect_refused(buffer_span(&many), NULL, 431);
    buffer_fini(&many);

    static char target[70000] = "GET /";
    memset(target + 5, 'a', sizeof target - 5);
    expect_refused(span_of(target, sizeof target), NULL, 414);
    memcpy(target, "GET / HTTP/1.1\r\nX: ", 19);
    expect_refused(span_of(target, sizeof target), NULL, 431);
}

static void fields_are_found_in_any_case(void **state)
{
    struct span value = SPAN_NONE;
    (void)state;

    expect_ok(SPAN("GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nX-AB: 3\r\n\r\n"), NULL);
    assert_true(http_field_get(&head, SPAN("x-A"), &value));
    expect_span(value, "1");
    assert_true(http_field_get(&head, SPAN("x-ab"), &value));
    expect_span(value, "3");
    assert_false(http_field_get(&head, SPAN("x-"), &value));
    assert_int_equal(http_field_count(&head, SPAN("X-a")), 2);
    assert_int_equal(http_field_count(&head, SPAN("host")), 1);
    assert_int_equal(http_field_count(&head, SPAN("x")), 0);
}

static void only_end_to_end_fields_are_passed_on(void **state)
{
    struct buffer out = {0};
    (void)state;

    expect_ok(
        SPAN("POST /a HTTP/1.1\r\nhost: h\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nx-hop: 2\r\n"
             "Keep-Alive: 5\r\nProxy-Connection: close\r\nTE: trailers\r\nTrailer: X\r\n"
             "Transfer-Encoding: chunked\r\nUpgrade: h2c\r\nExpect: 100-continue\r\n"
             "Connection: x-other\r\nX-Other: 3\r\nAuthorization: Basic x\r\n"
             "Accept-Encoding: gzip\r\nX-Kept:  a b \r\nX-Empty:\r\n\r\n"),
        NULL);
    http_append_fields(&out, &head, NULL);
    expect_span(buffer_span(&out), "host: h\r\nAuthorization: Basic x\r\nAccept-Encoding: gzip\r\n"
                                   "X-Kept: a b\r\nX-Empty: \r\n");
    buffer_clear(&out);
    http_append_fields(&out, &head, " accept-encoding x-kept ");
    expect_span(buffer_span(&out), "host: h\r\nAuthorization: Basic x\r\nX-Empty: \r\n");
    buffer_clear(&out);
    http_append_fields(&out, &head, " host ");
    expect_span(buffer_span(&out),
                "Authorization: Basic x\r\nAccept-Encoding: gzip\r\nX-Kept: a b\r\n"
                "X-Empty: \r\n");
    assert_true(http_field_is_hop(&head, SPAN("x-HOP")));
    assert_true(http_field_is_hop(&head, SPAN("Content-Length")));
    assert_false(http_field_is_hop(&head, SPAN("x-ho")));

    buffer_clear(&out);
    expect_ok(SPAN("HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\nDate: x\r\nServer: y\r\n"
                   "Connection: x-a\r\nX-A: 1\r\nContent-Length: 5\r\n\r\n"),
              "GET");
    http_append_fields(&out, &head, NULL);
    expect_span(buffer_span(&out), "X-elastic-product: Elasticsearch\r\nDate: x\r\nServer: y\r\n");
    buffer_fini(&out);
}

static void reasons_are_standard_or_empty(void **state)
{
    (void)state;
    assert_string_equal(http_reason(200), "OK");
    assert_string_equal(http_reason(431), "Request Header Fields Too Large");
    assert_string_equal(http_reason(511), "Network Authentication Required");
    for (int status = -600; status <= 1000; status++)
        assert_non_null(http_reason(status));
    assert_string_equal(http_reason(299), "");
    assert_string_equal(http_reason(512), "");
    assert_string_equal(http_reason(-1), "");
}

static int free_copy(void **state)
{
    (void)state;
    free(copy);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_handed_out_in_spans),
        cmocka_unit_test(an_answer_is_handed_out_in_spans),
        cmocka_unit_test(a_content_length_is_plain_digits_and_alone),
        cmocka_unit_test(a_transfer_encoding_is_chunked_and_nothing_else),
        cmocka_unit_test(a_line_that_two_readers_may_read_differently_is_refused),
        cmocka_unit_test(every_byte_is_judged_by_its_class),
        cmocka_unit_test(a_start_line_is_method_target_version),
        cmocka_unit_test(a_target_is_a_path_untouched),
        cmocka_unit_test(an_absolute_target_brings_its_own_host),
        cmocka_unit_test(a_request_has_one_valid_host),
        cmocka_unit_test(only_100_continue_can_be_expected),
        cmocka_unit_test(connection_may_not_name_what_is_end_to_end),
        cmocka_unit_test(a_connection_lives_on_as_both_versions_have_it),
        cmocka_unit_test(old_messages_have_no_chunks),
        cmocka_unit_test(any_method_may_have_a_body_or_none),
        cmocka_unit_test(an_answer_is_framed_by_status_and_method),
        cmocka_unit_test(a_status_line_is_version_status_reason),
        cmocka_unit_test(two_requests_in_one_packet_stay_two),
        cmocka_unit_test(limits_hold_to_the_byte),
        cmocka_unit_test(fields_are_found_in_any_case),
        cmocka_unit_test(only_end_to_end_fields_are_passed_on),
        cmocka_unit_test(reasons_are_standard_or_empty),
    };
    return cmocka_run_group_tests(tests, NULL, free_copy);
}
