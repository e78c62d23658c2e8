/* fuzz_http_head.c - heads of requests and answers: cut anywhere, and written out again.
 *
 * The first byte of the input says what the rest is: 'R' a request; 'A', 'H', 'C' an answer to GET,
 * HEAD, CONNECT; in lower case the same under small limits. What must hold:
 *
 * - Every prefix gives NEED_MORE, up to one byte from which on the judgement is always the same.
 * - A head that is accepted lies within the bytes, and so do all its spans.
 * - Written out by http_append_fields() with a start line and framing of our own, it means the
 *   same; writing that out once more gives the same bytes.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 4096 /* each prefix is parsed: the work is quadratic */

struct kind {
    bool answer;
    struct span method; /* of the answer's request */
    struct http_limits limits;
};

static struct kind kind_of(char letter)
{
    struct kind kind = {.limits = {2048, 4096, HTTP_FIELDS_MAX}};

    if (letter >= 'a')
        kind.limits = (struct http_limits){16, 128, 4};
    letter = (char)(letter & ~0x20);
    kind.answer = letter == 'A' || letter == 'H' || letter == 'C';
    kind.method = letter == 'H' ? SPAN("HEAD") : letter == 'C' ? SPAN("CONNECT") : SPAN("GET");
    return kind;
}

static enum status parse(const struct kind *kind, struct span bytes, struct http_head *head,
                         struct http_refusal *refusal)
{
    if (kind->answer)
        return http_parse_answer(bytes, kind->method, &kind->limits, head, refusal);
    return http_parse_request(bytes, &kind->limits, head, refusal);
}

static void check_prefixes(const struct kind *kind, struct span bytes, enum status whole,
                           size_t head_size, const struct http_refusal *expected)
{
    static struct http_head head;
    bool decided = false;

    for (size_t size = 0; size < bytes.size; size++) {
        struct http_refusal refusal = {0};
        char *copy = malloc(size == 0 ? 1 : size); /* so that ASan sees a read behind the prefix */
        CHECK(copy != NULL);
        memcpy(copy, bytes.data, size);
        enum status status = parse(kind, span_of(copy, size), &head, &refusal);
        free(copy);
        if (status == STATUS_NEED_MORE) {
            CHECK(!decided);
            continue;
        }
        decided = true;
        CHECK(status == whole);
        if (status == STATUS_OK)
            CHECK(size >= head_size && head.size == head_size);
        else
            CHECK(refusal.status == expected->status && strcmp(refusal.why, expected->why) == 0);
    }
}

static bool within(struct span inner, struct span outer)
{
    return inner.size == 0 || (inner.data >= outer.data && inner.size <= outer.size &&
                               (size_t)(inner.data - outer.data) <= outer.size - inner.size);
}

static void check_spans(const struct http_head *head, struct span bytes)
{
    struct span whole = span_of(bytes.data, head->size);

    CHECK(head->size <= bytes.size && head->field_count <= HTTP_FIELDS_MAX);
    for (size_t i = 0; i < head->field_count; i++) {
        CHECK(head->fields[i].name.size > 0);
        CHECK(within(head->fields[i].name, whole) && within(head->fields[i].value, whole));
    }
    CHECK(within(head->method, whole) && within(head->reason, whole) && within(head->host, whole));
    CHECK(head->target.size <= 1 || within(head->target, whole)); /* "/" and "*" may be our own */
    CHECK(head->path.size + head->query.size <= head->target.size);
}

/* Writes HEAD as the proxy would send it on. */
static void write_out(const struct kind *kind, const struct http_head *head, struct buffer *out)
{
    if (kind->answer) {
        buffer_appendf(out, "HTTP/1.%d %d ", head->minor, head->status);
        buffer_append_span(out, head->reason);
    } else {
        buffer_append_span(out, head->method);
        buffer_append_char(out, ' ');
        buffer_append_span(out, head->target);
        buffer_appendf(out, " HTTP/1.%d", head->minor);
    }
    buffer_append_cstr(out, "\r\n");
    http_append_fields(out, head, NULL);
    if (head->framing == HTTP_CHUNKED)
        buffer_append_cstr(out, "transfer-encoding: chunked\r\n");
    if (head->framing == HTTP_LENGTH || head->content_length != 0)
        buffer_appendf(out, "content-length: %llu\r\n", (unsigned long long)head->content_length);
    buffer_append_cstr(out, "\r\n");
}

static void check_round_trip(const struct kind *kind, const struct http_head *head)
{
    static struct http_head again;
    struct kind wide = *kind; /* our framing and the spaces behind colons may need more room */
    struct http_refusal refusal;
    struct buffer once = {0}, twice = {0};

    wide.limits = (struct http_limits){65536, 65536, HTTP_FIELDS_MAX};
    write_out(kind, head, &once);
    CHECK(parse(&wide, buffer_span(&once), &again, &refusal) == STATUS_OK);
    CHECK(again.size == once.size);
    CHECK(again.status == head->status && again.minor == head->minor);
    CHECK(again.framing == head->framing && again.content_length == head->content_length);
    CHECK(span_equal(again.method, head->method) && span_equal(again.target, head->target));
    CHECK(span_equal(again.path, head->path) && span_equal(again.query, head->query));
    CHECK(span_equal(again.host, head->host) && span_equal(again.reason, head->reason));
    size_t hops = 0; /* only the framing that we wrote ourselves */
    for (size_t i = 0; i < again.field_count; i++)
        hops += http_field_is_hop(&again, again.fields[i].name);
    CHECK(hops <= 1);
    write_out(kind, &again, &twice);
    CHECK(span_equal(buffer_span(&once), buffer_span(&twice)));
    buffer_fini(&once);
    buffer_fini(&twice);
}

static void check_query(struct span query)
{
    struct buffer value = {0};
    struct span name, raw;
    bool has_value;

    for (struct span rest = query; http_query_next(&rest, &name, &raw, &has_value);) {
        CHECK(name.size > 0 && within(name, query) && within(raw, query));
        CHECK(has_value || raw.size == 0);
        buffer_clear(&value);
        if (http_percent_decode(name, &value) && memchr(name.data, '+', name.size) == NULL)
            CHECK(http_query_has(query, buffer_span(&value)));
        http_query_get(query, name, &value);
    }
    buffer_fini(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_head head;
    struct http_refusal refusal = {0};

    if (size == 0 || size > INPUT_MAX)
        return 0;
    struct kind kind = kind_of((char)data[0]);
    struct span bytes = span_of((const char *)data + 1, size - 1);
    enum status status = parse(&kind, bytes, &head, &refusal);

    check_prefixes(&kind, bytes, status, head.size, &refusal);
    if (status == STATUS_OK) {
        check_spans(&head, bytes);
        check_query(head.query);
        if (head.field_count < HTTP_FIELDS_MAX) /* HTTP/1.0 may get a Host */
            check_round_trip(&kind, &head);
    } else if (status == STATUS_BAD_INPUT) {
        CHECK(refusal.status >= 400 && refusal.status <= 505 && refusal.why[0] != '\0');
    }
    return 0;
}
