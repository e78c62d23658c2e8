/* body_test.c - every way a body can be framed or misframed, however its bytes are split.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/message.h"

/* How a body was decoded. */
struct decoded {
    struct buffer data;
    enum status status;
    bool done;
    size_t used;
    const char *why; /* with BAD_INPUT */
};

static struct http_body body_of(enum http_framing framing, uint64_t length)
{
    static struct http_head head;
    struct http_body body;

    head.framing = framing;
    head.content_length = length;
    http_body_init(&body, &head);
    return body;
}

/* Decodes BYTES, given in pieces that end at CUT, at CUT + STEP, at CUT + 2 * STEP ... */
static struct decoded decode(struct http_body body, struct span bytes, size_t cut, size_t step)
{
    struct decoded got = {.status = STATUS_OK};
    struct http_refusal refusal = {0};

    for (size_t begin = 0, end = cut; got.status == STATUS_OK && !body.done;) {
        size_t size = (end < bytes.size ? end : bytes.size) - begin;
        char *piece = malloc(size == 0 ? 1 : size); /* ends where the piece ends */
        assert_non_null(piece);
        memcpy(piece, bytes.data + begin, size);
        for (size_t at = 0; at < size && got.status == STATUS_OK && !body.done;) {
            size_t used;
            struct span data;
            got.status =
                http_body_next(&body, span_of(piece + at, size - at), &used, &data, &refusal);
            assert_true(got.status != STATUS_OK || used > 0);
            assert_true(used <= size - at);
            buffer_append_span(&got.data, data);
            at += used;
            got.used += used;
        }
        free(piece);
        if (end >= bytes.size)
            break;
        begin = end;
        end += step;
    }
    got.done = body.done;
    got.why = refusal.why;
    return got;
}

static void expect_same(struct span bytes, size_t cut, struct decoded *whole, struct decoded *parts)
{
    bool same = whole->status == parts->status && whole->done == parts->done &&
                whole->used == parts->used && whole->why == parts->why &&
                span_equal(buffer_span(&whole->data), buffer_span(&parts->data));
    if (!same) {
        print_error("decoded otherwise when cut at %zu: '%.*s'\n", cut, (int)bytes.size,
                    bytes.data);
        fail();
    }
    buffer_fini(&parts->data);
}

/* Decodes BYTES in one piece, in two pieces cut anywhere, and byte by byte: always the same. */
static struct decoded decode_cut(enum http_framing framing, uint64_t length, struct span bytes)
{
    struct http_body body = body_of(framing, length);
    struct decoded whole = decode(body, bytes, bytes.size, 1);
    struct decoded parts = decode(body, bytes, 1, 1);

    expect_same(bytes, 1, &whole, &parts);
    for (size_t cut = 0; cut<bytes.size; cut += bytes.size> 3000 ? 97 : 1) {
        parts = decode(body, bytes, cut, bytes.size);
        expect_same(bytes, cut, &whole, &parts);
    }
    return whole;
}

/* DATA: what comes out; LEFT: how many bytes behind the body stay untouched. */
static void expect_chunks(struct span bytes, const char *data, size_t left)
{
    struct decoded got = decode_cut(HTTP_CHUNKED, 0, bytes);

    if (got.status != STATUS_OK || !got.done || got.used + left != bytes.size ||
        !span_equal(buffer_span(&got.data), span_cstr(data))) {
        print_error("'%.*s': %s, %s, %zu bytes used\n", (int)bytes.size, bytes.data,
                    got.why == NULL ? "not refused" : got.why, got.done ? "done" : "not done",
                    got.used);
        fail();
    }
    buffer_fini(&got.data);
}

static void expect_refused(struct span bytes)
{
    struct decoded got = decode_cut(HTTP_CHUNKED, 0, bytes);

    if (got.status != STATUS_BAD_INPUT || got.done || got.why == NULL) {
        print_error("'%.*s' should have been refused\n", (int)bytes.size, bytes.data);
        fail();
    }
    buffer_fini(&got.data);
}

static void expect_unfinished(struct span bytes)
{
    struct decoded got = decode_cut(HTTP_CHUNKED, 0, bytes);

    if (got.status != STATUS_OK || got.done || got.used != bytes.size) {
        print_error("'%.*s' should wait for more\n", (int)bytes.size, bytes.data);
        fail();
    }
    buffer_fini(&got.data);
}

#define LAST "0\r\n\r\n"

static void chunks_come_out_as_one_body(void **state)
{
    (void)state;
    expect_chunks(SPAN(LAST), "", 0);
    expect_chunks(SPAN("5\r\nabcde\r\n" LAST), "abcde", 0);
    expect_chunks(SPAN("2\r\nab\r\n1\r\nc\r\n2\r\nde\r\n" LAST), "abcde", 0);
    expect_chunks(SPAN("005\r\nabcde\r\n000\r\n\r\n"), "abcde", 0);
    expect_chunks(SPAN("0000000000000005\r\nabcde\r\n0000000000000000\r\n\r\n"), "abcde", 0);
    expect_chunks(SPAN("a\r\n0123456789\r\n" LAST), "0123456789", 0);
    expect_chunks(SPAN("A\r\n0123456789\r\n" LAST), "0123456789", 0);
    expect_chunks(SPAN("1A\r\n01234567890123456789012345\r\n" LAST), "01234567890123456789012345",
                  0);
    expect_chunks(SPAN("5\r\n0\r\n\r\n\r\n" LAST), "0\r\n\r\n", 0);
    expect_chunks(SPAN("1\r\nx\r\n" LAST "GET / HTTP/1.1\r\n"), "x", 16);
    expect_chunks(SPAN(LAST "\r\n"), "", 2);
}

static void extensions_and_trailers_are_dropped(void **state)
{
    (void)state;
    expect_chunks(SPAN("5;a\r\nabcde\r\n" LAST), "abcde", 0);
    expect_chunks(SPAN("5;a=b;c=\"d;e\"\r\nabcde\r\n0;z\r\n\r\n"), "abcde", 0);
    expect_chunks(SPAN("1\r\nx\r\n0\r\nX: y\r\n\r\n"), "x", 0);
    expect_chunks(SPAN("1\r\nx\r\n0\r\nX:\r\nContent-Lengths: 5\r\nHos: t\r\nT: x\r\n\r\n"), "x",
                  0);
    expect_chunks(SPAN("0\r\nzost: x\r\nTf: x\r\nvib: x\r\nahost: x\r\n\r\n"), "", 0);
    expect_chunks(SPAN("0\r\nX-Content-Length: 5\r\nhost-: y\r\n\r\nz"), "", 1);
}

static void a_size_is_hex_digits_and_nothing_else(void **state)
{
    const struct span sizes[] = {
        SPAN(""),
        SPAN("0x5"),
        SPAN("+5"),
        SPAN("-0"),
        SPAN("-5"),
        SPAN("5_0"),
        SPAN(" 5"),
        SPAN("5 "),
        SPAN("5 ;a"),
        SPAN("5\t"),
        SPAN("\t5"),
        SPAN("5;"),
        SPAN("5; a"),
        SPAN(";a"),
        SPAN("g"),
        SPAN("5h"),
        SPAN("5.0"),
        SPAN("5,5"),
        SPAN("\0"),
        SPAN("5\0"),
        SPAN("\x7f"),
        SPAN("5\xb2"),
        SPAN("\"5\""),
        SPAN("5;;a"),
        SPAN("5\v"),
        SPAN("5\r"),
        SPAN("5\r;"),
        SPAN("5\n"),
        SPAN("\r\n5"),
        SPAN("5;=a"),
        SPAN("00000000000000005"),
        SPAN("fffffffffffffffff"),
        SPAN("10000000000000005"),
        SPAN("ffffffffffffffff"),
        SPAN("8000000000000000"),
    };
    struct buffer text = {0};
    (void)state;

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        buffer_clear(&text);
        buffer_append_span(&text, sizes[i]);
        buffer_append_cstr(&text, "\r\nabcde\r\n" LAST);
        expect_refused(buffer_span(&text));
    }
    buffer_fini(&text);
    expect_unfinished(SPAN("7fffffffffffffff\r\nabcde"));
}

static void every_line_ends_in_crlf(void **state)
{
    (void)state;
    expect_refused(SPAN("5\nabcde\r\n" LAST));
    expect_refused(SPAN("5\rabcde\r\n" LAST));
    expect_refused(SPAN("5\r\nabcde\n" LAST));
    expect_refused(SPAN("5\r\nabcde\r" LAST));
    expect_refused(SPAN("5\r\nabcde" LAST));
    expect_refused(SPAN("5\r\nabcdef\r\n" LAST));
    expect_refused(SPAN("5\r\nabcde\r\n\r\n" LAST));
    expect_refused(SPAN("5\r\n\r\nabcde\r\n" LAST));
    expect_refused(SPAN("5;a=\r\r\nabcde\r\n" LAST));
    expect_refused(SPAN("5;a=\n\r\nabcde\r\n" LAST));
    expect_refused(SPAN("5;a=\"\r\n\"\r\nabcde\r\n" LAST));
    expect_refused(SPAN("5;a=\"\n\"\r\nabcde\r\n" LAST));
    expect_refused(SPAN("5;a\0\r\nabcde\r\n" LAST));
    expect_refused(SPAN("5;a\x7f\r\nabcde\r\n" LAST));
    expect_refused(SPAN("0\n\r\n"));
    expect_refused(SPAN("0\r\n\n"));
    expect_refused(SPAN("0\r\n\r\r"));
    expect_refused(SPAN("0\r\r\n"));
    expect_refused(SPAN("0\r\nX: y\n\r\n"));
    expect_refused(SPAN("0\r\nX: y\r\r\n"));
    expect_unfinished(SPAN("0\r\n"));
    expect_unfinished(SPAN("0\r\n\r"));
    expect_unfinished(SPAN("5\r\nabcde\r\n"));
    expect_unfinished(SPAN("5\r\nabc"));
    expect_unfinished(SPAN("0\r\nX: y\r\n"));
    expect_unfinished(SPAN(""));
}

static void a_trailer_is_a_field_that_means_nothing(void **state)
{
    const char *lines[] = {"Content-Length: 5",
                           "content-length: 5",
                           "Transfer-Encoding: chunked",
                           "HOST: h",
                           "Authorization: x",
                           "Content-Encoding: x",
                           "Content-Type: x",
                           "TE: x",
                           "Trailer: X",
                           "Connection: close",
                           "Upgrade: h2c",
                           "x-api-key: x",
                           "Cookie: x",
                           "Expect: x",
                           "es-secondary-authorization: x",
                           " X: y",
                           "\tX: y",
                           "X : y",
                           "X\t: y",
                           ": y",
                           "X",
                           "X y: z",
                           "X: \x01",
                           "X: \x7f",
                           "X\xc3: y",
                           "X: y\r\n z",
                           "X(: y",
                           "X: y\r\nHost: h",
                           "Hostess: x\r\nHost:",
                           "\"X\": y"};
    struct buffer text = {0};
    (void)state;

    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        buffer_clear(&text);
        buffer_appendf(&text, "1\r\nx\r\n0\r\n%s\r\n\r\n", lines[i]);
        expect_refused(buffer_span(&text));
    }
    buffer_fini(&text);
    expect_refused(SPAN("0\r\nX: \0\r\n\r\n"));
    expect_refused(SPAN("0\r\nX\0: y\r\n\r\n"));
}

static struct buffer repeated(const char *front, size_t count, const char *piece, const char *back)
{
    struct buffer out = {0};

    buffer_append_cstr(&out, front);
    for (size_t i = 0; i < count; i++)
        buffer_append_cstr(&out, piece);
    buffer_append_cstr(&out, back);
    return out;
}

static void extensions_and_trailers_are_bounded(void **state)
{
    const struct {
        struct buffer bytes;
        bool fits;
    } cases[] = {
        {repeated("1;", 1023, "a", "\r\nx\r\n" LAST), true}, /* the CR counts too */
        {repeated("1;", 1024, "a", "\r\nx\r\n" LAST), false},
        {repeated("1;", 100000, "a", ""), false},
        {repeated("", 341, "1;ab\r\nx\r\n", LAST), true},
        {repeated("", 342, "1;ab\r\nx\r\n", LAST), false},
        {repeated("0\r\n", 1364, "X: y\r\n", "\r\n"), true},
        {repeated("0\r\n", 1366, "X: y\r\n", "\r\n"), false},
        {repeated("0\r\nX: ", 100000, "y", ""), false},
        {repeated("0\r\n", 100000, "y", ""), false},
    };
    (void)state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer bytes = cases[i].bytes;
        struct decoded got = decode_cut(HTTP_CHUNKED, 0, buffer_span(&bytes));
        if (got.done != cases[i].fits || (got.status == STATUS_OK) != cases[i].fits) {
            print_error("case %zu, %zu bytes\n", i, bytes.size);
            fail();
        }
        buffer_fini(&got.data);
        buffer_fini(&bytes);
    }
}

static void a_refused_body_stays_refused(void **state)
{
    struct http_body body = body_of(HTTP_CHUNKED, 0);
    struct http_refusal refusal = {0};
    struct span data;
    size_t used;
    (void)state;

    assert_int_equal(http_body_next(&body, SPAN("x"), &used, &data, &refusal), STATUS_BAD_INPUT);
    assert_int_equal(refusal.status, 400);
    assert_int_equal(used, 0);
    assert_int_equal(http_body_next(&body, SPAN(LAST), &used, &data, &refusal), STATUS_BAD_INPUT);
    assert_false(body.done);
}

static void a_length_is_kept_to_the_byte(void **state)
{
    (void)state;
    for (uint64_t length = 0; length <= 8; length++) {
        struct decoded got = decode_cut(HTTP_LENGTH, length, SPAN("01234567"));
        assert_int_equal(got.status, STATUS_OK);
        assert_true(got.done);
        assert_int_equal(got.used, length);
        assert_true(span_equal(buffer_span(&got.data), span_of("01234567", length)));
        buffer_fini(&got.data);
    }
    struct decoded half = decode_cut(HTTP_LENGTH, UINT64_MAX, SPAN("0123"));
    assert_false(half.done); /* the connection ended: the caller sees a body that is not done */
    assert_int_equal(half.used, 4);
    buffer_fini(&half.data);
}

static void no_body_takes_nothing_and_an_endless_one_all(void **state)
{
    (void)state;
    struct decoded none = decode_cut(HTTP_NO_BODY, 0, SPAN("GET / HTTP/1.1"));
    assert_true(none.done);
    assert_int_equal(none.used, 0);
    struct decoded all = decode_cut(HTTP_UNTIL_CLOSE, 0, SPAN("0\r\n\r\nGET /"));
    assert_false(all.done);
    assert_int_equal(all.used, 10);
    assert_true(span_equal(buffer_span(&all.data), SPAN("0\r\n\r\nGET /")));
    buffer_fini(&all.data);
}

static void what_is_written_in_chunks_reads_back(void **state)
{
    struct buffer out = {0}, text = {0};
    (void)state;

    for (size_t size = 0; size < 300; size++)
        buffer_append_char(&text, (char)size);
    for (size_t size = 0; size <= text.size; size++)
        http_append_chunk(&out, span_of(text.data, size)); /* nothing for size 0 */
    http_append_last_chunk(&out);

    struct decoded got = decode(body_of(HTTP_CHUNKED, 0), buffer_span(&out), out.size, 1);
    assert_int_equal(got.status, STATUS_OK);
    assert_true(got.done);
    assert_int_equal(got.used, out.size);
    assert_int_equal(got.data.size, 300 * 301 / 2);
    assert_true(span_equal(span_of(got.data.data + got.data.size - 300, 300), buffer_span(&text)));
    buffer_fini(&got.data);
    buffer_fini(&out);
    buffer_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_come_out_as_one_body),
        cmocka_unit_test(extensions_and_trailers_are_dropped),
        cmocka_unit_test(a_size_is_hex_digits_and_nothing_else),
        cmocka_unit_test(every_line_ends_in_crlf),
        cmocka_unit_test(a_trailer_is_a_field_that_means_nothing),
        cmocka_unit_test(extensions_and_trailers_are_bounded),
        cmocka_unit_test(a_refused_body_stays_refused),
        cmocka_unit_test(a_length_is_kept_to_the_byte),
        cmocka_unit_test(no_body_takes_nothing_and_an_endless_one_all),
        cmocka_unit_test(what_is_written_in_chunks_reads_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
