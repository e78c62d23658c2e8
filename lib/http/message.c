/* message.c - HTTP/1.1 heads, of requests and of answers: one pass, front to back.
 *
 * A decision depends only on the bytes before it and on the byte it is made at. So a head that
 * arrives in pieces gives NEED_MORE until it is complete, or is refused at the byte that is wrong,
 * with the same words however it was split. Nothing is read behind limits->head_max.
 *
 * What we refuse (RFC 9110, RFC 9112, at their strictest; there are no lenient switches):
 *
 * - Lines: anything but CRLF at the end of a line; folded lines; white space before a colon; a name
 *   that is no token; control bytes and DEL in a value; a second empty line before the request.
 * - Requests: an unknown method, CONNECT and TRACE (405); a target with SP, control bytes, bytes
 *   from 0x80 on, '#', %00 or an escape that is none (the engines read `%%` as '%', others do not);
 *   a target that is not in origin form, in absolute form (http or https, no userinfo) or `*` with
 *   OPTIONS; versions but 1.0 and 1.1 (505); in HTTP/1.1 no Host, in both two, or one that is no
 *   host[:port]; Expect but 100-continue (417).
 * - Framing: Content-Length with Transfer-Encoding, either of them twice, Transfer-Encoding in
 *   HTTP/1.0, a length that is not plain digits (a leading zero may be octal to others), codings
 *   but `chunked` (501 when well-formed), names that some servers take for these (underscores).
 * - Hops: Connection naming what is not its to remove: framing, Host, credentials, content, origin.
 * - Answers: all of the above that applies; 101 (we never ask for it); a body announced on 1xx or
 *   204; a tunnel. Whoever sends such an answer is out of step: the connection is worth nothing.
 *
 * What we leave alone: `//` and `/../` in a target (ids may hold anything), and the characters that
 * a URI may not hold but clients of the engines send and the engines take: `"<>\^`{|}`.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "http/message.h"

#include <time.h>

#include "base/clock.h"
#include "http/chars.h"

#define METHOD_SIZE_MAX 7         /* of the methods we know */
#define CONNECTION_OPTIONS_MAX 32 /* bounds the work of http_field_is_hop() */

/* One walk over one head. */
struct scan {
    const char *at, *end; /* what is not looked at yet; ends at head_max */
    const struct http_limits *limits;
    struct http_head *head;
    struct http_refusal *refusal;
    bool answer;           /* not a request */
    bool close;            /* Connection: close */
    bool keep_alive;       /* Connection: keep-alive */
    bool chunked;          /* there is a Transfer-Encoding, and it is this */
    bool expect;           /* Expect: 100-continue */
    unsigned hosts;        /* Host fields seen */
    unsigned lengths;      /* Content-Length fields seen */
    unsigned options;      /* elements of Connection fields seen */
    struct span authority; /* of an absolute-form target */
};

/* clang-format off */
static const struct span methods[] = {
    {"GET", 3}, {"POST", 4}, {"PUT", 3}, {"HEAD", 4}, {"DELETE", 6}, {"OPTIONS", 7}, {"PATCH", 5},
};

/* Fields that end at this hop, or that we write ourselves. Connection itself comes first. */
static const struct span hop_fields[] = {
    {"connection", 10}, {"keep-alive", 10}, {"proxy-connection", 16}, {"te", 2}, {"trailer", 7},
    {"transfer-encoding", 17}, {"upgrade", 7}, {"content-length", 14}, {"expect", 6},
};

/* What Connection may not name: removing them would change what the message says or who says it. */
static const struct span end_to_end_fields[] = {
    {"content-length", 14}, {"transfer-encoding", 17}, {"host", 4}, {"authorization", 13},
    {"proxy-authorization", 19}, {"es-secondary-authorization", 26}, {"x-api-key", 9},
    {"es-security-runas-user", 22}, {"cookie", 6}, {"set-cookie", 10}, {"www-authenticate", 16},
    {"content-type", 12}, {"content-encoding", 16}, {"content-range", 13}, {"expect", 6},
    {"accept", 6}, {"accept-encoding", 15}, {"via", 3}, {"forwarded", 9}, {"x-forwarded-for", 15},
    {"x-forwarded-host", 16}, {"x-forwarded-proto", 17}, {"x-real-ip", 9}, {"x-opaque-id", 11},
    {"x-elastic-product", 17}, {"location", 8}, {"warning", 7},
};
/* clang-format on */

/* ------------------------------------------------------------------------------------------------------
 * Pieces. */

static enum status refuse(struct scan *scan, int status, const char *why)
{
    *scan->refusal = (struct http_refusal){scan->answer ? 502 : status, why};
    return STATUS_BAD_INPUT;
}

static bool in_table(struct span name, const struct span *table, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (table[i].size == name.size && table[i].data[0] == (name.data[0] | 0x20) &&
            span_equal_nocase(table[i], name)) /* the first letter spares most of the calls */
            return true;
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static struct span trim(struct span text)
{
    while (text.size != 0 && is_space(text.data[0]))
        text = span_of(text.data + 1, text.size - 1);
    while (text.size != 0 && is_space(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* Takes the next element of a comma-separated list off LIST, without the white space around it.
 * False behind the last one; a list with nothing in it has one empty element. */
static bool next_element(struct span *list, struct span *element)
{
    if (list->data == NULL)
        return false;
    const char *comma = list->size == 0 ? NULL : memchr(list->data, ',', list->size);
    size_t size = comma == NULL ? list->size : (size_t)(comma - list->data);
    *element = trim(span_of(list->data, size));
    *list = comma == NULL ? SPAN_NONE : span_of(comma + 1, list->size - size - 1);
    return true;
}

static size_t token_size(struct span text)
{
    size_t size = 0;

    while (size < text.size && char_is(text.data[size], CHAR_TOKEN))
        size++;
    return size;
}

/* The first byte from AT on that may not stand in a value: its CR, when all is well. Eight at a
 * time; HTAB, being rare, ends that. */
static const char *skip_value(const char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);

    for (; end - at >= 8; at += 8) {
        uint64_t bytes;
        memcpy(&bytes, at, sizeof bytes);
        uint64_t del = bytes ^ ones * 0x7f;
        uint64_t control = ((bytes - ones * 0x20) & ~bytes) | ((del - ones) & ~del);
        if ((control & ones * 0x80) != 0)
            break;
    }
    while (at != end && char_is(*at, CHAR_VALUE))
        at++;
    return at;
}

/* Steps over CRLF; WHY tells what else stands there. */
static enum status scan_crlf(struct scan *scan, const char *why)
{
    if (scan->at == scan->end)
        return STATUS_NEED_MORE;
    if (*scan->at == '\n')
        return refuse(scan, 400, "a line ends in LF without CR");
    if (*scan->at != '\r')
        return refuse(scan, 400, why);
    if (scan->end - scan->at < 2)
        return STATUS_NEED_MORE;
    if (scan->at[1] != '\n')
        return refuse(scan, 400, "a CR stands without LF");
    scan->at += 2;
    return STATUS_OK;
}

/* Steps over "HTTP/1.0" or "HTTP/1.1". */
static enum status scan_version(struct scan *scan)
{
    static const char pattern[8] = {'H', 'T', 'T', 'P', '/', '1', '.', '1'};

    for (size_t i = 0; i < sizeof pattern; i++) {
        if (scan->at + i == scan->end)
            return STATUS_NEED_MORE;
        char c = scan->at[i];
        if (c != pattern[i] && !((i == 5 || i == 7) && char_is(c, CHAR_DIGIT)))
            return refuse(scan, 400, "the version is not HTTP/1.1 or HTTP/1.0");
    }
    if (scan->at[5] != '1' || scan->at[7] > '1')
        return refuse(scan, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    scan->head->minor = scan->at[7] - '0';
    scan->at += sizeof pattern;
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------
 * The start lines. */

static enum status scan_method(struct scan *scan)
{
    const char *start = scan->at;
    const char *at = start;

    while (at != scan->end && at - start <= METHOD_SIZE_MAX && char_is(*at, CHAR_TOKEN))
        at++;
    struct span method = span_of(start, (size_t)(at - start));
    if (method.size > METHOD_SIZE_MAX)
        return refuse(scan, 405, "this method is not known here");
    if (at == scan->end)
        return STATUS_NEED_MORE;
    if (*at != ' ' || method.size == 0)
        return refuse(scan, 400, "the request does not begin with a method and one space");
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (span_equal(methods[i], method)) {
            scan->head->method = method;
            scan->at = at + 1;
            return STATUS_OK;
        }
    }
    return refuse(scan, 405, "this method is not known here");
}

/* host[:port], by class of characters: letters, digits and "-._", or an IPv6 address in brackets.
 */
static bool is_authority(struct span text)
{
    const char *at = text.data;
    const char *end = at + text.size;

    if (text.size != 0 && *at == '[') {
        unsigned colons = 0;
        for (at++; at != end && (char_is(*at, CHAR_HEX) || *at == ':' || *at == '.'); at++)
            colons += *at == ':';
        if (at == end || *at != ']' || colons < 2 || at - text.data > 46)
            return false;
        at++;
    } else {
        while (at != end && char_is(*at, CHAR_HOST))
            at++;
        if (at == text.data)
            return false;
    }
    if (at == end)
        return true;

    uint64_t port;
    struct span digits = span_of(at + 1, (size_t)(end - at) - 1);
    return *at == ':' && digits.size <= 5 && span_to_u64(digits, &port) && port >= 1 &&
           port <= 65535;
}

/* Takes scheme and authority off an absolute-form TARGET. */
static enum status take_authority(struct scan *scan, struct span *target)
{
    size_t scheme = 0;
    if (target->size >= 7 && span_equal_nocase(span_of(target->data, 7), SPAN("http://")))
        scheme = 7;
    else if (target->size >= 8 && span_equal_nocase(span_of(target->data, 8), SPAN("https://")))
        scheme = 8;
    else
        return refuse(scan, 400, "the target is neither a path nor an http URI");

    size_t size = 0;
    struct span rest = span_of(target->data + scheme, target->size - scheme);
    while (size < rest.size && rest.data[size] != '/' && rest.data[size] != '?')
        size++;
    scan->authority = span_of(rest.data, size);
    if (!is_authority(scan->authority))
        return refuse(scan, 400, "the target's authority is not host[:port]");
    *target = span_of(rest.data + size, rest.size - size);
    if (target->size == 0)
        *target = span_equal(scan->head->method, SPAN("OPTIONS")) ? SPAN("*") : SPAN("/");
    if (target->data[0] == '?')
        return refuse(scan, 400, "the target has a query but no path");
    return STATUS_OK;
}

/* False for an escape that is none, and for %00. */
static bool escapes_are_good(struct span text)
{
    const char *at = text.data;
    const char *end = at + text.size;

    while ((at = memchr(at, '%', (size_t)(end - at))) != NULL) {
        if (end - at < 3 || !char_is(at[1], CHAR_HEX) || !char_is(at[2], CHAR_HEX))
            return false;
        if (at[1] == '0' && at[2] == '0')
            return false;
        at += 3;
    }
    return true;
}

/* Fills target, path and query from the target as sent. */
static enum status split_target(struct scan *scan, struct span target)
{
    struct http_head *head = scan->head;

    if (target.size == 0)
        return refuse(scan, 400, "the target is empty");
    if (span_equal(target, SPAN("*"))) {
        if (!span_equal(head->method, SPAN("OPTIONS")))
            return refuse(scan, 400, "the target * is for OPTIONS only");
    } else if (target.data[0] != '/') {
        enum status status = take_authority(scan, &target);
        if (status != STATUS_OK)
            return status;
    }
    if (!escapes_are_good(target))
        return refuse(scan, 400, "the target has %00 or a bad escape");

    const char *mark = memchr(target.data, '?', target.size);
    head->target = target;
    head->path = target;
    head->query = SPAN_NONE;
    if (mark != NULL) {
        head->path.size = (size_t)(mark - target.data);
        head->query = span_of(mark + 1, target.size - head->path.size - 1);
    }
    return STATUS_OK;
}

static enum status scan_target(struct scan *scan)
{
    const char *start = scan->at;
    const char *at = start;

    while (at != scan->end && char_is(*at, CHAR_TARGET)) {
        if ((size_t)(at - start) == scan->limits->target_max)
            return refuse(scan, 414, "the target is too long");
        at++;
    }
    if (at == scan->end)
        return STATUS_NEED_MORE;
    if (*at == '\r' || *at == '\n')
        return refuse(scan, 400, "the request line has no version");
    if (*at != ' ')
        return refuse(scan, 400, "the target has a character that must be escaped");
    scan->at = at + 1;
    return split_target(scan, span_of(start, (size_t)(at - start)));
}

static enum status scan_request_line(struct scan *scan)
{
    enum status status = STATUS_OK;

    if (*scan->at == '\r')
        status = scan_crlf(scan, "");
    if (status == STATUS_OK)
        status = scan_method(scan);
    if (status == STATUS_OK)
        status = scan_target(scan);
    if (status == STATUS_OK)
        status = scan_version(scan);
    if (status == STATUS_OK)
        status = scan_crlf(scan, "something stands behind the version");
    return status;
}

static enum status scan_status_line(struct scan *scan)
{
    struct http_head *head = scan->head;
    enum status status = scan_version(scan);

    if (status != STATUS_OK)
        return status;
    for (int i = 0; i < 4; i++, scan->at++) {
        if (scan->at == scan->end)
            return STATUS_NEED_MORE;
        if (i == 0 ? *scan->at != ' ' : !char_is(*scan->at, CHAR_DIGIT))
            return refuse(scan, 502, "the status is not three digits");
        if (i != 0)
            head->status = head->status * 10 + (*scan->at - '0');
    }
    if (head->status < 100 || head->status > 599)
        return refuse(scan, 502, "the status is not between 100 and 599");
    if (scan->at != scan->end && *scan->at == ' ') {
        const char *start = ++scan->at;
        scan->at = skip_value(start, scan->end);
        head->reason = span_of(start, (size_t)(scan->at - start));
    }
    return scan_crlf(scan, "something odd stands behind the status");
}

/* ------------------------------------------------------------------------------------------------------
 * The fields. */

static enum status note_host(struct scan *scan, struct span value)
{
    if (++scan->hosts > 1)
        return refuse(scan, 400, "there is more than one Host");
    if (!is_authority(value))
        return refuse(scan, 400, "Host is not host[:port]");
    scan->head->host = value;
    return STATUS_OK;
}

static enum status note_length(struct scan *scan, struct span value)
{
    uint64_t *length = &scan->head->content_length;

    if (++scan->lengths > 1)
        return refuse(scan, 400, "there is more than one Content-Length");
    if (scan->chunked)
        return refuse(scan, 400, "there are both Content-Length and Transfer-Encoding");
    if (!span_to_u64(value, length) || *length > INT64_MAX ||
        (value.size > 1 && *value.data == '0'))
        return refuse(scan, 400, "Content-Length is not a plain number");
    return STATUS_OK;
}

/* What is wrong with a list of codings that is not just "chunked". */
static enum status refuse_codings(struct scan *scan, struct span list)
{
    struct span element;
    bool chunked = false, unknown = false;

    while (next_element(&list, &element)) {
        struct span coding = span_of(element.data, token_size(element));
        struct span rest = trim(span_of(coding.data + coding.size, element.size - coding.size));
        if (coding.size == 0 || (rest.size != 0 && rest.data[0] != ';'))
            return refuse(scan, 400, "Transfer-Encoding is malformed");
        if (chunked)
            return refuse(scan, 400, "chunked is not the last coding, or is there twice");
        chunked = span_equal_nocase(coding, SPAN("chunked"));
        if (chunked && rest.size != 0)
            return refuse(scan, 400, "chunked has no parameters");
        unknown = unknown || !chunked;
    }
    CHECK(unknown);
    return refuse(scan, 501, "no transfer coding but chunked is known here");
}

static enum status note_coding(struct scan *scan, struct span value)
{
    if (scan->head->minor == 0)
        return refuse(scan, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (scan->lengths != 0)
        return refuse(scan, 400, "there are both Content-Length and Transfer-Encoding");
    if (scan->chunked)
        return refuse(scan, 400, "there is more than one Transfer-Encoding");
    if (!span_equal_nocase(value, SPAN("chunked")))
        return refuse_codings(scan, value);
    scan->chunked = true;
    return STATUS_OK;
}

static enum status note_connection(struct scan *scan, struct span list)
{
    struct span option;

    while (next_element(&list, &option)) {
        if (++scan->options > CONNECTION_OPTIONS_MAX)
            return refuse(scan, 400, "Connection names too many fields");
        if (token_size(option) != option.size)
            return refuse(scan, 400, "Connection is not a list of names");
        if (span_equal_nocase(option, SPAN("close")))
            scan->close = true;
        else if (span_equal_nocase(option, SPAN("keep-alive")))
            scan->keep_alive = true;
        else if (in_table(option, end_to_end_fields, COUNT_OF(end_to_end_fields)))
            return refuse(scan, 400, "Connection names a field that must not be removed");
    }
    return STATUS_OK;
}

static enum status note_expect(struct scan *scan, struct span value)
{
    if (scan->expect || !span_equal_nocase(value, SPAN("100-continue")))
        return refuse(scan, 417, "nothing but 100-continue can be expected here");
    scan->expect = true;
    return STATUS_OK;
}

/* Looks at a field that decides on the framing, the routing or the connection. */
static enum status note_field(struct scan *scan, const struct http_field *field)
{
    switch (field->name.size) { /* most names are done with here */
    case 4:
        if (!scan->answer && span_equal_nocase(field->name, SPAN("host")))
            return note_host(scan, field->value);
        break;
    case 6:
        if (!scan->answer && span_equal_nocase(field->name, SPAN("expect")))
            return note_expect(scan, field->value);
        break;
    case 10:
        if (span_equal_nocase(field->name, SPAN("connection")))
            return note_connection(scan, field->value);
        break;
    case 14:
        if (span_equal_nocase(field->name, SPAN("content-length")))
            return note_length(scan, field->value);
        if (span_equal_nocase(field->name, SPAN("content_length")))
            return refuse(scan, 400, "a field looks like Content-Length and is not");
        break;
    case 17:
        if (span_equal_nocase(field->name, SPAN("transfer-encoding")))
            return note_coding(scan, field->value);
        if (span_equal_nocase(field->name, SPAN("transfer_encoding")))
            return refuse(scan, 400, "a field looks like Transfer-Encoding and is not");
        break;
    }
    return STATUS_OK;
}

static enum status refuse_name(struct scan *scan, size_t size, char c)
{
    if (is_space(c) && size == 0)
        return refuse(scan, 400, "a header line begins with white space");
    if (is_space(c))
        return refuse(scan, 400, "white space stands before a colon");
    if (c == '\r' || c == '\n')
        return refuse(scan, 400, "a header line has no colon");
    return refuse(scan, 400, size == 0 ? "a header has no name" : "a header's name is malformed");
}

/* Takes one line: name, colon, value, CRLF. */
static enum status scan_field(struct scan *scan, struct http_field *field)
{
    const char *start = scan->at;
    const char *end = scan->end;
    const char *at = start;

    while (at != end && char_is(*at, CHAR_TOKEN))
        at++;
    if (at == end)
        return STATUS_NEED_MORE;
    field->name = span_of(start, (size_t)(at - start));
    if (*at != ':' || field->name.size == 0)
        return refuse_name(scan, field->name.size, *at);

    at++;
    while (at != end && is_space(*at))
        at++;
    start = at;
    scan->at = skip_value(at, end);
    field->value = trim(span_of(start, (size_t)(scan->at - start)));
    return scan_crlf(scan, "a header's value has a control byte");
}

/* Takes all fields and the empty line behind them. */
static enum status scan_fields(struct scan *scan)
{
    struct http_head *head = scan->head;

    while (scan->at != scan->end && *scan->at != '\r') {
        if (head->field_count == scan->limits->fields_max)
            return refuse(scan, 431, "there are too many header fields");
        struct http_field *field = &head->fields[head->field_count];
        enum status status = scan_field(scan, field);
        if (status == STATUS_OK)
            status = note_field(scan, field);
        if (status != STATUS_OK)
            return status;
        head->field_count++;
    }
    return scan_crlf(scan, "");
}

/* ------------------------------------------------------------------------------------------------------
 * What the fields mean together. */

static bool keeps_alive(const struct scan *scan)
{
    return !scan->close && (scan->head->minor == 1 || scan->keep_alive);
}

static enum status settle_request(struct scan *scan)
{
    struct http_head *head = scan->head;

    if (scan->hosts == 0 && head->minor == 1)
        return refuse(scan, 400, "there is no Host");
    if (scan->authority.size != 0)
        head->host = scan->authority;
    if (scan->chunked)
        head->framing = HTTP_CHUNKED;
    else
        head->framing = scan->lengths != 0 ? HTTP_LENGTH : HTTP_NO_BODY;
    head->keep_alive = keeps_alive(scan);
    head->expect_continue = scan->expect && head->minor == 1 &&
                            (head->framing == HTTP_CHUNKED || head->content_length != 0);
    return STATUS_OK;
}

static enum status settle_answer(struct scan *scan, struct span method)
{
    struct http_head *head = scan->head;
    bool bodiless = head->status < 200 || head->status == 204;

    if (head->status == 101)
        return refuse(scan, 502, "the answer switches protocols, which nobody asked for");
    if (head->status >= 200 && head->status < 300 && span_equal(method, SPAN("CONNECT")))
        return refuse(scan, 502, "the answer opens a tunnel, which nobody asked for");
    if (bodiless && (scan->chunked || head->content_length != 0))
        return refuse(scan, 502, "the answer announces a body where none can be");

    head->keep_alive = keeps_alive(scan);
    if (bodiless || head->status == 304 || span_equal(method, SPAN("HEAD"))) {
        head->framing = HTTP_NO_BODY;
        if (!span_equal(method, SPAN("HEAD")))
            head->content_length = 0;
    } else if (scan->chunked) {
        head->framing = HTTP_CHUNKED;
    } else if (scan->lengths != 0) {
        head->framing = HTTP_LENGTH;
    } else {
        head->framing = HTTP_UNTIL_CLOSE;
        head->keep_alive = false;
    }
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------------------
 * In from outside. */

static struct scan scan_begin(struct span bytes, const struct http_limits *limits,
                              struct http_head *head, struct http_refusal *refusal)
{
    size_t size = bytes.size < limits->head_max ? bytes.size : limits->head_max;

    CHECK(limits->fields_max <= HTTP_FIELDS_MAX);
    http_head_clear(head);
    return (struct scan){.at = bytes.data,
                         .end = size == 0 ? bytes.data : bytes.data + size,
                         .limits = limits,
                         .head = head,
                         .refusal = refusal};
}

/* What STATUS means once the limit on the head is taken into account. */
static enum status scan_end(struct scan *scan, struct span bytes, enum status status)
{
    if (status == STATUS_OK)
        scan->head->size = (size_t)(scan->at - bytes.data);
    else if (status == STATUS_NEED_MORE && bytes.size >= scan->limits->head_max)
        return refuse(scan, 431, "the head is too large"); /* not even the next byte would fit */
    return status;
}

enum status http_parse_request(struct span bytes, const struct http_limits *limits,
                               struct http_head *head, struct http_refusal *refusal)
{
    struct scan scan = scan_begin(bytes, limits, head, refusal);
    enum status status = STATUS_NEED_MORE;

    if (scan.at != scan.end)
        status = scan_request_line(&scan);
    if (status == STATUS_OK)
        status = scan_fields(&scan);
    if (status == STATUS_OK)
        status = settle_request(&scan);
    return scan_end(&scan, bytes, status);
}

enum status http_parse_answer(struct span bytes, struct span method,
                              const struct http_limits *limits, struct http_head *head,
                              struct http_refusal *refusal)
{
    struct scan scan = scan_begin(bytes, limits, head, refusal);
    enum status status = STATUS_NEED_MORE;

    scan.answer = true;
    if (scan.at != scan.end)
        status = scan_status_line(&scan);
    if (status == STATUS_OK)
        status = scan_fields(&scan);
    if (status == STATUS_OK)
        status = settle_answer(&scan, method);
    return scan_end(&scan, bytes, status);
}

/* ------------------------------------------------------------------------------------------------------
 * Reading fields, and writing them. */

bool http_field_get(const struct http_head *head, struct span name, struct span *value)
{
    for (size_t i = 0; i < head->field_count; i++) {
        const struct http_field *field = &head->fields[i];
        if (field->name.size == name.size && span_equal_nocase(field->name, name)) {
            *value = field->value;
            return true;
        }
    }
    return false;
}

size_t http_field_count(const struct http_head *head, struct span name)
{
    size_t count = 0;

    for (size_t i = 0; i < head->field_count; i++)
        count += span_equal_nocase(head->fields[i].name, name);
    return count;
}

/* The index of the first Connection field from FROM on; field_count when there is none. */
static size_t find_connection(const struct http_head *head, size_t from)
{
    const struct span name = hop_fields[0];

    while (from < head->field_count && (head->fields[from].name.size != name.size ||
                                        !span_equal_nocase(head->fields[from].name, name)))
        from++;
    return from;
}

/* As http_field_is_hop(); CONNECTION is the index of the first Connection field. */
static bool is_hop(const struct http_head *head, size_t connection, struct span name)
{
    if (in_table(name, hop_fields, COUNT_OF(hop_fields)))
        return true;
    for (; connection < head->field_count; connection = find_connection(head, connection + 1)) {
        struct span list = head->fields[connection].value, option;
        while (next_element(&list, &option))
            if (option.size == name.size && span_equal_nocase(option, name))
                return true;
    }
    return false;
}

bool http_field_is_hop(const struct http_head *head, struct span name)
{
    return is_hop(head, find_connection(head, 0), name);
}

/* True when DROP, names between spaces, holds NAME. */
static bool is_dropped(struct span name, const char *drop)
{
    for (const char *at = drop; at != NULL && *at != '\0';) {
        size_t size = strcspn(++at, " ");
        if (size == name.size && span_equal_nocase(span_of(at, size), name))
            return true;
        at += size;
    }
    return false;
}

static void append_field(struct buffer *out, struct span name, struct span value)
{
    char *to = buffer_reserve(out, name.size + value.size + 4);

    memcpy(to, name.data, name.size);
    to += name.size;
    *to++ = ':';
    *to++ = ' ';
    memcpy(to, value.data, value.size);
    to += value.size;
    *to++ = '\r';
    *to++ = '\n';
    out->size += name.size + value.size + 4;
}

void http_append_fields(struct buffer *out, const struct http_head *head, const char *drop)
{
    bool host_due = head->host.size != 0 && !is_dropped(SPAN("host"), drop);
    size_t connection = find_connection(head, 0);

    for (size_t i = 0; i < head->field_count; i++) {
        struct http_field field = head->fields[i];
        if (is_hop(head, connection, field.name) || is_dropped(field.name, drop))
            continue;
        if (host_due && span_equal_nocase(field.name, SPAN("host"))) {
            field.value =
                head->host; /* the authority of an absolute target replaces what Host says */
            host_due = false;
        }
        append_field(out, field.name, field.value);
    }
    if (host_due) /* HTTP/1.0 with an absolute target */
        append_field(out, SPAN("Host"), head->host);
}

void http_append_date(struct buffer *out)
{
    static _Thread_local char text[64]; /* made once a second */
    static _Thread_local time_t made;
    time_t now = (time_t)(clock_wall_us() / CLOCK_US_PER_S);

    if (now != made) {
        struct tm tm;
        gmtime_r(&now, &tm);
        strftime(text, sizeof text, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        made = now;
    }
    buffer_append_cstr(out, text);
}

const char *http_reason(int status)
{
    /* clang-format off */
    static const char *const reasons[] = {
        [100] = "Continue", [101] = "Switching Protocols", [102] = "Processing", [103] = "Early Hints",
        [200] = "OK", [201] = "Created", [202] = "Accepted", [203] = "Non-Authoritative Information",
        [204] = "No Content", [205] = "Reset Content", [206] = "Partial Content",
        [300] = "Multiple Choices", [301] = "Moved Permanently", [302] = "Found", [303] = "See Other",
        [304] = "Not Modified", [307] = "Temporary Redirect", [308] = "Permanent Redirect",
        [400] = "Bad Request", [401] = "Unauthorized", [402] = "Payment Required", [403] = "Forbidden",
        [404] = "Not Found", [405] = "Method Not Allowed", [406] = "Not Acceptable",
        [407] = "Proxy Authentication Required", [408] = "Request Timeout", [409] = "Conflict",
        [410] = "Gone", [411] = "Length Required", [412] = "Precondition Failed",
        [413] = "Content Too Large", [414] = "URI Too Long", [415] = "Unsupported Media Type",
        [416] = "Range Not Satisfiable", [417] = "Expectation Failed", [421] = "Misdirected Request",
        [422] = "Unprocessable Content", [424] = "Failed Dependency", [425] = "Too Early",
        [426] = "Upgrade Required", [428] = "Precondition Required", [429] = "Too Many Requests",
        [431] = "Request Header Fields Too Large", [451] = "Unavailable For Legal Reasons",
        [500] = "Internal Server Error", [501] = "Not Implemented", [502] = "Bad Gateway",
        [503] = "Service Unavailable", [504] = "Gateway Timeout", [505] = "HTTP Version Not Supported",
        [507] = "Insufficient Storage", [508] = "Loop Detected", [511] = "Network Authentication Required",
    };
    /* clang-format on */
    if (status < 0 || (size_t)status >= COUNT_OF(reasons) || reasons[status] == NULL)
        return "";
    return reasons[status];
}
