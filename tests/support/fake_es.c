/* fake_es.c - a scripted cluster: the model cluster behind real sockets, with faults on demand.
 *
 *     fake_es --port N [--name NAME] [--seed N] [--version 2.19.1]
 *
 * Prints "ready PORT" when it listens on 127.0.0.1 (--port 0 takes a free one). State is in memory
 * only. Control:
 *
 *     POST   /_fake/faults   a rule or a list of rules (fake_es.h):
 * {"action":"reset_after","method":"PUT",
 *                            "prefix":"/a/","contains":"..","body_contains":"..","nth":1,"count":1,...}
 *     GET    /_fake/faults   the rules with how often they were seen and fired
 *     DELETE /_fake/faults   no more faults; what hangs goes on hanging
 *     GET    /_fake/log      {"requests":[...],"applied":[...]} in order; DELETE empties it
 *     POST   /_fake/restart  connections are reset, terms rise, tombstones are forgotten
 *     POST   /_fake/forget_tombstones
 *     POST   /_fake/snapshot, /_fake/restore       the whole cluster; /_fake/restore?index=x that
 * index over itself POST   /_fake/pause?ms=N  nobody is served for that long POST   /_fake/kill the
 * process ends at once, unanswered
 *
 * One thread, one poll() loop. A connection serves one request after the other; what is pipelined
 * waits in its buffer. A request under a delay is a copy of its own, so that it is executed even
 * when its connection is gone.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "fake_es.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "http/message.h"
#include "model_cluster.h"

#define READ_SIZE 65536
#define LOG_MAX (256u << 20) /* bytes; older lines are not kept above it */

enum conn_state {
    CONN_HEAD,    /* the head of the next request is not complete */
    CONN_BODY,    /* its body is not */
    CONN_WAITING, /* for a time, or for ever */
    CONN_SENDING, /* the answer is on its way */
    CONN_GONE,    /* closed; freed at the end of the turn */
};

/* A request as it came. */
struct job {
    struct buffer method, target, body, content_type;
    uint64_t due_us;
    struct conn *conn; /* who is answered; NULL when nobody is */
    bool executed;
    struct model_answer answer;
    struct job *next;
};

struct conn {
    int fd;
    enum conn_state state;
    struct buffer in, out;
    struct buffer method, target, content_type, authorization, body; /* of the present request */
    struct http_body framing;
    bool keep_alive, gzip, close_after;
    bool drains; /* what still comes is read and dropped, so that the answer is not lost in a reset
                  */
    unsigned interval_ms; /* 0: as fast as it goes */
    size_t at_once;       /* what of `out` goes in front of that, as fast as it goes */
    uint64_t next_byte_us;
    struct conn *next;
};

struct server {
    int listener;
    struct model_cluster *cluster, *snapshot;
    struct faults faults;
    struct conn *conns;
    struct job *jobs;
    struct buffer requests, applied; /* JSON, separated by commas */
    uint64_t paused_until_us;
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* ---- the log ---- */

static void append_entry(struct buffer *log, struct buffer *entry)
{
    if (log->size + entry->size > LOG_MAX)
        buffer_clear(log);
    if (log->size != 0)
        buffer_append_char(log, ',');
    buffer_append_span(log, buffer_span(entry));
    buffer_fini(entry);
}

static void on_applied(void *arg, const struct model_applied *applied)
{
    struct server *server = arg;
    struct buffer entry = {0};
    buffer_append_cstr(&entry, "{\"index\":");
    buffer_append_json_string(&entry, span_cstr(applied->index));
    buffer_appendf(&entry, ",\"uuid\":\"%s\",\"id\":", applied->index_uuid);
    buffer_append_json_string(&entry, applied->id);
    buffer_append_cstr(&entry, ",\"routing\":");
    if (applied->routing.size == 0)
        buffer_append_cstr(&entry, "null");
    else
        buffer_append_json_string(&entry, applied->routing);
    buffer_appendf(&entry,
                   ",\"shard\":%" PRIu32 ",\"version\":%" PRId64 ",\"term\":%" PRIu64
                   ",\"seq_no\":%" PRId64 ",\"op\":\"%s\",\"existed\":%s,\"time_us\":%" PRIu64,
                   applied->shard, applied->version, applied->term, applied->seq_no,
                   applied->deleted ? "delete" : "index", applied->existed ? "true" : "false",
                   applied->now_us);
    if (!applied->deleted) {
        buffer_append_cstr(&entry, ",\"source\":");
        buffer_append_span(&entry, applied->source);
    }
    buffer_append_char(&entry, '}');
    append_entry(&server->applied, &entry);
}

static void log_request(struct server *server, const struct conn *conn, const struct fault *fault)
{
    struct buffer entry = {0};
    buffer_append_cstr(&entry, "{\"method\":");
    buffer_append_json_string(&entry, buffer_span(&conn->method));
    buffer_append_cstr(&entry, ",\"target\":");
    buffer_append_json_string(&entry, buffer_span(&conn->target));
    buffer_append_cstr(&entry, ",\"authorization\":");
    buffer_append_json_string(&entry, buffer_span(&conn->authorization));
    buffer_appendf(&entry, ",\"body_size\":%zu,\"fault\":\"%s\",\"time_us\":%" PRIu64 "}",
                   conn->body.size, fault_word(fault == NULL ? FAULT_NONE : fault->action),
                   now_us());
    append_entry(&server->requests, &entry);
}

/* ---- connections ---- */

static void conn_close(struct conn *conn, bool reset)
{
    if (conn->state == CONN_GONE)
        return;
    struct linger linger = {1, 0};
    if (reset)
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(conn->fd);
    conn->state = CONN_GONE;
}

static void conn_free(struct server *server, struct conn *conn)
{
    for (struct job *job = server->jobs; job != NULL; job = job->next)
        if (job->conn == conn)
            job->conn = NULL;
    buffer_fini(&conn->in);
    buffer_fini(&conn->out);
    buffer_fini(&conn->method);
    buffer_fini(&conn->target);
    buffer_fini(&conn->content_type);
    buffer_fini(&conn->authorization);
    buffer_fini(&conn->body);
    free(conn);
}

static void server_accept(struct server *server)
{
    int one = 1;
    int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct conn *conn = bytes_zalloc(sizeof *conn);
    conn->fd = fd;
    conn->next = server->conns;
    server->conns = conn;
}

/* ---- answers ---- */

static void append_head(struct buffer *out, int status, struct span headers, bool keep_alive)
{
    buffer_appendf(out, "HTTP/1.1 %d %s\r\n", status, http_reason(status));
    buffer_append_span(out, headers);
    if (!keep_alive)
        buffer_append_cstr(out, "connection: close\r\n");
}

static void conn_answer(struct conn *conn, int status, struct span headers, struct span body)
{
    append_head(&conn->out, status, headers, conn->keep_alive);
    buffer_appendf(&conn->out, "content-length: %zu\r\n\r\n", body.size);
    if (!span_equal(buffer_span(&conn->method), SPAN("HEAD")))
        buffer_append_span(&conn->out, body);
    conn->close_after = conn->close_after || !conn->keep_alive;
    conn->state = CONN_SENDING;
}

#define JSON_HEADERS SPAN("content-type: application/json; charset=UTF-8\r\n")

static void conn_answer_text(struct conn *conn, int status, const char *text)
{
    conn_answer(conn, status, JSON_HEADERS, span_cstr(text));
}

/* Answers with what FAULT makes of the cluster's ANSWER. */
static void conn_answer_badly(struct conn *conn, const struct fault *fault,
                              const struct model_answer *answer)
{
    struct span headers = buffer_span(&answer->headers), body = buffer_span(&answer->body);
    struct buffer *out = &conn->out;
    size_t before = out->size;
    switch (fault->action) {
    case FAULT_GARBAGE:
        buffer_append_span(out, SPAN("\x16\x03\x01garbage \xff\xfe no http at all\r\n\r\n"));
        conn->state = CONN_SENDING;
        conn->close_after = true;
        return;
    case FAULT_OVERSIZED:
        append_head(out, answer->status, headers, true);
        buffer_appendf(out, "content-length: %zu\r\n\r\n", body.size + 1000);
        break;
    case FAULT_TWO_FRAMINGS:
        append_head(out, answer->status, headers, true);
        buffer_appendf(out, "content-length: %zu\r\ntransfer-encoding: chunked\r\n\r\n", body.size);
        break;
    case FAULT_CHUNKED:
        append_head(out, answer->status, headers, conn->keep_alive);
        buffer_append_cstr(out, "transfer-encoding: chunked\r\n\r\n");
        http_append_chunk(out, span_of(body.data, body.size / 2));
        http_append_chunk(out, span_of(body.data + body.size / 2, body.size - body.size / 2));
        http_append_last_chunk(out);
        conn->close_after = conn->close_after || !conn->keep_alive;
        conn->state = CONN_SENDING;
        return;
    case FAULT_UNTIL_CLOSE:
        append_head(out, answer->status, headers, false);
        buffer_append_cstr(out, "\r\n");
        break;
    case FAULT_FLOOD_1XX:
        for (unsigned i = 0; i < fault->lines; i++)
            buffer_append_cstr(out, "HTTP/1.1 102 Processing\r\n\r\n");
        /* fall through */
    default:
        conn_answer(conn, answer->status, headers, body);
        if (fault->action == FAULT_EXTRA)
            buffer_append_cstr(out, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nextra");
        if (fault->action == FAULT_HALF_ANSWER)
            out->size = before + (out->size - before) / 2;
        if (fault->action == FAULT_TRUNCATED)
            out->size -= body.size - body.size / 2;
        conn->interval_ms = fault->action == FAULT_DRIP ? fault->interval_ms : 0;
        conn->at_once = fault->drip_body ? out->size - body.size : 0;
        conn->close_after = conn->close_after || fault->action == FAULT_HALF_ANSWER ||
                            fault->action == FAULT_TRUNCATED || fault->action == FAULT_CLOSE_AFTER;
        return;
    }
    buffer_append_span(out, body);
    conn->close_after = true;
    conn->state = CONN_SENDING;
}

/* ---- executing ---- */

static void execute(struct server *server, struct span method, struct span target, struct span body,
                    struct span content_type, struct model_answer *answer)
{
    struct model_request request = {
        .method = method, .target = target, .body = body, .content_type = content_type};
    model_cluster_handle(server->cluster, now_us(), &request, answer);
}

static void execute_conn(struct server *server, struct conn *conn, struct model_answer *answer)
{
    execute(server, buffer_span(&conn->method), buffer_span(&conn->target),
            buffer_span(&conn->body), buffer_span(&conn->content_type), answer);
}

static void execute_without_items(struct server *server, struct conn *conn,
                                  const struct fault *fault, struct model_answer *answer)
{
    struct buffer rest = {0}, kinds = {0}, joined = {0};
    fault_split_bulk(fault, buffer_span(&conn->body), &rest, &kinds);
    answer->status = 200;
    buffer_append_span(&answer->headers, JSON_HEADERS);
    if (rest.size != 0)
        execute(server, buffer_span(&conn->method), buffer_span(&conn->target), buffer_span(&rest),
                buffer_span(&conn->content_type), answer);
    if (answer->status == 200 && memchr(kinds.data, 'f', kinds.size) != NULL) {
        fault_join_bulk(fault, buffer_span(&conn->body), buffer_span(&kinds),
                        buffer_span(&answer->body), &joined);
        buffer_clear(&answer->body);
        buffer_append_span(&answer->body, buffer_span(&joined));
    }
    buffer_fini(&rest);
    buffer_fini(&kinds);
    buffer_fini(&joined);
}

/* Keeps a copy of the request for later. ANSWERED: its connection waits for it. */
static struct job *job_later(struct server *server, struct conn *conn, unsigned delay_ms,
                             bool answered)
{
    struct job *job = bytes_zalloc(sizeof *job), **link = &server->jobs;
    buffer_append_span(&job->method, buffer_span(&conn->method));
    buffer_append_span(&job->target, buffer_span(&conn->target));
    buffer_append_span(&job->body, buffer_span(&conn->body));
    buffer_append_span(&job->content_type, buffer_span(&conn->content_type));
    job->conn = answered ? conn : NULL;
    job->due_us = now_us() + (uint64_t)delay_ms * 1000;
    while (*link != NULL && (*link)->due_us <= job->due_us)
        link = &(*link)->next;
    job->next = *link;
    *link = job;
    return job;
}

static void job_free(struct job *job)
{
    buffer_fini(&job->method);
    buffer_fini(&job->target);
    buffer_fini(&job->body);
    buffer_fini(&job->content_type);
    model_answer_fini(&job->answer);
    free(job);
}

static void server_run_due(struct server *server)
{
    while (server->jobs != NULL && server->jobs->due_us <= now_us()) {
        struct job *job = server->jobs;
        server->jobs = job->next;
        if (!job->executed)
            execute(server, buffer_span(&job->method), buffer_span(&job->target),
                    buffer_span(&job->body), buffer_span(&job->content_type), &job->answer);
        if (job->conn != NULL)
            conn_answer(job->conn, job->answer.status, buffer_span(&job->answer.headers),
                        buffer_span(&job->answer.body));
        job_free(job);
    }
}

/* ---- control ---- */

static void control_faults(struct server *server, struct conn *conn, struct span method)
{
    if (span_equal(method, SPAN("DELETE"))) {
        faults_clear(&server->faults);
        conn_answer_text(conn, 200, "{}");
    } else if (span_equal(method, SPAN("GET"))) {
        json_t *shown = faults_show(&server->faults);
        char *text = json_dumps(shown, JSON_COMPACT);
        conn_answer_text(conn, 200, text);
        free(text);
        json_decref(shown);
    } else {
        json_t *rules = json_loadb(conn->body.data, conn->body.size, 0, NULL);
        const char *why = rules == NULL ? "not JSON" : faults_add(&server->faults, rules);
        json_decref(rules);
        conn_answer_text(conn, why == NULL ? 200 : 400, why == NULL ? "{}" : why);
    }
}

static void control_log(struct server *server, struct conn *conn, struct span method)
{
    struct buffer text = {0};
    if (span_equal(method, SPAN("DELETE"))) {
        buffer_clear(&server->requests);
        buffer_clear(&server->applied);
    }
    buffer_append_cstr(&text, "{\"requests\":[");
    buffer_append_span(&text, buffer_span(&server->requests));
    buffer_append_cstr(&text, "],\"applied\":[");
    buffer_append_span(&text, buffer_span(&server->applied));
    buffer_append_cstr(&text, "]}");
    conn_answer(conn, 200, JSON_HEADERS, buffer_span(&text));
    buffer_fini(&text);
}

static void control_restart(struct server *server, struct conn *conn)
{
    model_cluster_restart(server->cluster);
    for (struct conn *other = server->conns; other != NULL; other = other->next)
        if (other != conn)
            conn_close(other, true);
    conn_answer_text(conn, 200, "{}");
}

static void control_restore(struct server *server, struct conn *conn, struct span query)
{
    struct buffer name = {0};
    bool ok = server->snapshot != NULL;
    if (ok && http_query_get(query, SPAN("index"), &name)) {
        ok = model_cluster_restore_index(server->cluster, server->snapshot, buffer_cstr(&name));
    } else if (ok) {
        model_cluster_free(server->cluster);
        server->cluster = model_cluster_copy(server->snapshot);
        model_cluster_observe(server->cluster, on_applied, server);
        model_cluster_restart(server->cluster);
    }
    conn_answer_text(conn, ok ? 200 : 404, "{}");
    buffer_fini(&name);
}

static void server_control(struct server *server, struct conn *conn)
{
    struct span target = buffer_span(&conn->target), method = buffer_span(&conn->method),
                query = SPAN_NONE;
    struct span path = target;
    const char *mark = memchr(target.data, '?', target.size);
    struct buffer value = {0};
    if (mark != NULL) {
        path.size = (size_t)(mark - target.data);
        query = span_of(mark + 1, target.size - path.size - 1);
    }
    if (span_equal(path, SPAN("/_fake/kill")))
        _exit(137);
    if (span_equal(path, SPAN("/_fake/faults"))) {
        control_faults(server, conn, method);
    } else if (span_equal(path, SPAN("/_fake/log"))) {
        control_log(server, conn, method);
    } else if (span_equal(path, SPAN("/_fake/restart"))) {
        control_restart(server, conn);
    } else if (span_equal(path, SPAN("/_fake/restore"))) {
        control_restore(server, conn, query);
    } else if (span_equal(path, SPAN("/_fake/forget_tombstones"))) {
        model_cluster_forget_tombstones(server->cluster);
        conn_answer_text(conn, 200, "{}");
    } else if (span_equal(path, SPAN("/_fake/snapshot"))) {
        model_cluster_free(server->snapshot);
        server->snapshot = model_cluster_copy(server->cluster);
        conn_answer_text(conn, 200, "{}");
    } else if (span_equal(path, SPAN("/_fake/pause")) &&
               http_query_get(query, SPAN("ms"), &value)) {
        server->paused_until_us = now_us() + strtoull(buffer_cstr(&value), NULL, 10) * 1000;
        conn_answer_text(conn, 200, "{}");
    } else {
        conn_answer_text(conn, 404, "no such control path");
    }
    buffer_fini(&value);
}

/* ---- requests ---- */

/* What happens to a whole request under FAULT. */
static void serve_fault(struct server *server, struct conn *conn, const struct fault *fault)
{
    struct model_answer answer = {0};
    conn->state = CONN_WAITING;
    switch (fault->action) {
    case FAULT_HANG:
        if (fault->execute)
            job_later(server, conn, fault->delay_ms, false);
        break;
    case FAULT_RESET_BEFORE:
    case FAULT_CLOSE_BEFORE:
        conn_close(conn, fault->action == FAULT_RESET_BEFORE);
        break;
    case FAULT_RESET_AFTER:
        execute_conn(server, conn, &answer);
        conn_close(conn, true);
        break;
    case FAULT_DELAY:
        job_later(server, conn, fault->delay_ms, true);
        break;
    case FAULT_LATE:
        job_later(server, conn, fault->delay_ms, false);
        /* fall through */
    case FAULT_STATUS:
    case FAULT_EARLY:
    case FAULT_EXECUTE_THEN_STATUS:
        if (fault->action == FAULT_EXECUTE_THEN_STATUS)
            execute_conn(server, conn, &answer);
        buffer_clear(&answer.body);
        fault_body(fault, &answer.body);
        conn_answer(conn, fault->status, JSON_HEADERS, buffer_span(&answer.body));
        break;
    case FAULT_SLOW_ANSWER: {
        struct job *job = job_later(server, conn, fault->delay_ms, true);
        execute_conn(server, conn, &job->answer);
        job->executed = true;
        break;
    }
    case FAULT_ITEM_STATUS:
        execute_without_items(server, conn, fault, &answer);
        conn_answer(conn, answer.status, buffer_span(&answer.headers), buffer_span(&answer.body));
        break;
    default:
        execute_conn(server, conn, &answer);
        conn_answer_badly(conn, fault, &answer);
        break;
    }
    model_answer_fini(&answer);
}

static bool unzip(struct buffer *body)
{
    z_stream stream = {0};
    struct buffer plain = {0};
    int code = inflateInit2(&stream, 15 + 32);
    stream.next_in = (unsigned char *)body->data;
    stream.avail_in = (unsigned)body->size;
    while (code == Z_OK) {
        stream.next_out = (unsigned char *)buffer_reserve(&plain, READ_SIZE);
        stream.avail_out = READ_SIZE;
        code = inflate(&stream, Z_NO_FLUSH);
        plain.size += READ_SIZE - stream.avail_out;
        if (stream.avail_in == 0 && stream.avail_out != 0)
            break; /* as the engines: what there is counts, also of a cut body */
    }
    inflateEnd(&stream);
    buffer_fini(body);
    *body = plain;
    return code == Z_STREAM_END || code == Z_OK || code == Z_BUF_ERROR;
}

static void serve_request(struct server *server, struct conn *conn)
{
    if (span_starts(buffer_span(&conn->target), SPAN("/_fake/"))) {
        server_control(server, conn);
        return;
    }
    if (conn->gzip && conn->body.size != 0 && !unzip(&conn->body)) {
        conn_close(conn, false);
        return;
    }
    struct fault *fault = faults_find(&server->faults, false, buffer_span(&conn->method),
                                      buffer_span(&conn->target), buffer_span(&conn->body));
    log_request(server, conn, fault);
    if (fault != NULL) {
        serve_fault(server, conn, fault);
        return;
    }
    struct model_answer answer = {0};
    execute_conn(server, conn, &answer);
    conn_answer(conn, answer.status, buffer_span(&answer.headers), buffer_span(&answer.body));
    model_answer_fini(&answer);
}

static void keep(struct buffer *into, struct span text)
{
    buffer_clear(into);
    buffer_append_span(into, text);
}

/* False: nothing more to do with what has come. */
static bool take_head(struct server *server, struct conn *conn)
{
    static const struct http_limits limits = {
        .target_max = 65536, .head_max = 131072, .fields_max = 200};
    struct http_refusal refusal;
    struct http_head head;
    struct span type = SPAN_NONE, encoding = SPAN_NONE, authorization = SPAN_NONE;
    enum status status = http_parse_request(buffer_span(&conn->in), &limits, &head, &refusal);
    if (status == STATUS_NEED_MORE)
        return false;
    if (status != STATUS_OK) {
        conn->keep_alive = false;
        keep(&conn->method, SPAN("GET"));
        conn_answer_text(conn, refusal.status, refusal.why);
        return false;
    }
    keep(&conn->method, head.method);
    keep(&conn->target, head.target);
    buffer_clear(&conn->body);
    http_field_get(&head, SPAN("content-type"), &type);
    keep(&conn->content_type, type);
    http_field_get(&head, SPAN("authorization"), &authorization);
    keep(&conn->authorization, authorization);
    conn->gzip = http_field_get(&head, SPAN("content-encoding"), &encoding) &&
                 span_equal_nocase(encoding, SPAN("gzip"));
    conn->keep_alive = head.keep_alive;
    http_body_init(&conn->framing, &head);
    bool expects = head.expect_continue;
    buffer_consume(&conn->in, head.size);
    conn->state = CONN_BODY;
    struct fault *fault = faults_find(&server->faults, true, buffer_span(&conn->method),
                                      buffer_span(&conn->target), SPAN_NONE);
    if (fault != NULL) {
        log_request(server, conn, fault);
        conn->keep_alive = false;
        conn->drains = true;
        serve_fault(server, conn, fault);
        return false;
    }
    if (expects)
        buffer_append_cstr(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
    return true;
}

static bool take_body(struct server *server, struct conn *conn)
{
    struct http_refusal refusal;
    struct span data;
    size_t used, taken = 0;
    while (!conn->framing.done) {
        struct span left = span_of(conn->in.data + taken, conn->in.size - taken);
        if (http_body_next(&conn->framing, left, &used, &data, &refusal) != STATUS_OK) {
            conn_close(conn, false);
            return false;
        }
        buffer_append_span(&conn->body, data);
        taken += used;
        if (used == 0)
            break;
    }
    buffer_consume(&conn->in, taken);
    if (!conn->framing.done)
        return false;
    serve_request(server, conn);
    return conn->state == CONN_SENDING;
}

static void conn_write(struct conn *conn)
{
    size_t size = conn->out.size;
    if (conn->interval_ms != 0 && size != 0) {
        if (now_us() < conn->next_byte_us)
            return;
        conn->next_byte_us = now_us() + (uint64_t)conn->interval_ms * 1000;
        size = conn->at_once != 0 ? conn->at_once : 1;
    }
    while (size != 0) {
        ssize_t sent = send(conn->fd, conn->out.data, size, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR)
                conn_close(conn, false);
            return;
        }
        buffer_consume(&conn->out, (size_t)sent);
        conn->at_once -= conn->at_once < (size_t)sent ? conn->at_once : (size_t)sent;
        size = conn->interval_ms != 0 ? 0 : conn->out.size;
    }
    if (conn->out.size != 0 || conn->state != CONN_SENDING)
        return;
    conn->interval_ms = 0;
    if (conn->close_after && conn->drains) {
        shutdown(conn->fd, SHUT_WR);
        conn->state = CONN_WAITING;
    } else if (conn->close_after) {
        conn_close(conn, false);
    } else {
        conn->state = CONN_HEAD;
    }
}

/* Serves what the connection has brought, one request after the other. */
static void conn_advance(struct server *server, struct conn *conn)
{
    for (;;) {
        bool more = false;
        if (conn->state == CONN_HEAD && conn->in.size != 0)
            more = take_head(server, conn);
        if (conn->state == CONN_BODY)
            more = take_body(server, conn);
        if (conn->state != CONN_GONE && conn->out.size != 0)
            conn_write(conn);
        if (conn->state != CONN_HEAD || !more)
            return;
    }
}

static void conn_read(struct server *server, struct conn *conn)
{
    for (int i = 0; i < 16 && conn->state != CONN_GONE; i++) {
        char *into = buffer_reserve(&conn->in, READ_SIZE);
        ssize_t got = recv(conn->fd, into, READ_SIZE, 0);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (got <= 0) {
            conn_close(conn, false);
            return;
        }
        conn->in.size += (size_t)got;
        if (conn->drains)
            buffer_clear(&conn->in);
        if (got < READ_SIZE)
            break;
    }
    conn_advance(server, conn);
}

/* ---- the loop ---- */

/* Milliseconds until something is due; -1 for never. */
static int server_patience(const struct server *server)
{
    uint64_t now = now_us(), due = UINT64_MAX;
    if (server->jobs != NULL)
        due = server->jobs->due_us;
    for (const struct conn *conn = server->conns; conn != NULL; conn = conn->next)
        if (conn->interval_ms != 0 && conn->out.size != 0 && conn->next_byte_us < due)
            due = conn->next_byte_us;
    if (due == UINT64_MAX)
        return -1;
    return due <= now ? 0 : (int)((due - now) / 1000 + 1);
}

static void server_sweep(struct server *server)
{
    for (struct conn **link = &server->conns; *link != NULL;) {
        struct conn *conn = *link;
        if (conn->state != CONN_GONE) {
            link = &conn->next;
            continue;
        }
        *link = conn->next;
        conn_free(server, conn);
    }
}

static void server_turn(struct server *server, struct pollfd **fds, size_t *capacity)
{
    size_t count = 1;
    for (struct conn *conn = server->conns; conn != NULL; conn = conn->next)
        count++;
    if (count > *capacity)
        *fds = bytes_realloc(*fds, (*capacity = count * 2) * sizeof **fds);
    (*fds)[0] = (struct pollfd){server->listener, POLLIN, 0};
    size_t i = 1;
    for (struct conn *conn = server->conns; conn != NULL; conn = conn->next, i++) {
        bool reads = conn->state != CONN_SENDING;
        bool writes = conn->out.size != 0 && conn->interval_ms == 0;
        (*fds)[i] =
            (struct pollfd){conn->fd, (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0)), 0};
    }
    poll(*fds, count, server_patience(server));
    if (server->paused_until_us > now_us()) {
        usleep((useconds_t)(server->paused_until_us - now_us()));
        return;
    }
    server_run_due(server);
    i = 1;
    for (struct conn *conn = server->conns, *next; conn != NULL; conn = next, i++) {
        next = conn->next;
        if (conn->state != CONN_GONE && ((*fds)[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0)
            conn_read(server, conn);
        if (conn->state != CONN_GONE && conn->out.size != 0)
            conn_write(conn);
        if (conn->state == CONN_HEAD && conn->in.size != 0)
            conn_advance(server, conn);
    }
    if (((*fds)[0].revents & POLLIN) != 0)
        server_accept(server);
    server_sweep(server);
}

static int server_listen(unsigned short port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t size = sizeof address;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4096) != 0) {
        perror("fake_es: cannot listen");
        exit(1);
    }
    getsockname(fd, (struct sockaddr *)&address, &size);
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return fd;
}

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
    (void)number;
    ending = 1;
}

static void server_free(struct server *server)
{
    while (server->conns != NULL) {
        conn_close(server->conns, false);
        server_sweep(server);
    }
    while (server->jobs != NULL) {
        struct job *job = server->jobs;
        server->jobs = job->next;
        job_free(job);
    }
    faults_clear(&server->faults);
    model_cluster_free(server->cluster);
    model_cluster_free(server->snapshot);
    buffer_fini(&server->requests);
    buffer_fini(&server->applied);
    close(server->listener);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"port", required_argument, NULL, 'p'},
                                            {"name", required_argument, NULL, 'n'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"version", required_argument, NULL, 'v'},
                                            {NULL, 0, NULL, 0}};
    struct model_options model = {.name = "fake", .seed = 0};
    struct server server = {0};
    struct pollfd *fds = NULL;
    size_t capacity = 0;
    unsigned short port = 0;
    char address[32];
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = (unsigned short)atoi(optarg);
        else if (option == 'n')
            model.name = optarg;
        else if (option == 's')
            model.seed = strtoull(optarg, NULL, 10);
        else if (option == 'v')
            model.version = optarg;
        else
            return 2;
    }
    if (model.seed == 0) /* two of them must not be the same cluster */
        model.seed = now_us() * 31 + (uint64_t)getpid();
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    server.listener = server_listen(port);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    model.address = address;
    server.cluster = model_cluster_new(&model);
    model_cluster_observe(server.cluster, on_applied, &server);
    while (!ending)
        server_turn(&server, &fds, &capacity);
    server_free(&server);
    free(fds);
    return 0;
}
