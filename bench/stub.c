/* stub.c - a cluster that does no work: what is left of a measurement when the primary costs
 * nothing.
 *
 * Answers as an OpenSearch node would, as fast as it can, from one epoll loop per thread:
 *
 *     GET  /bytes/N              a body of N bytes
 *     PUT, POST .../_doc/..., _create   201 with a growing _seq_no
 *     POST .../_bulk             an item for each action line
 *     GET  /, /_cluster/state..., /bench, .../_stats..., .../_recovery
 *                                what Tandem asks for, with one index, `bench`
 *     any other POST             200 {} behind the whole body, which is not kept
 *
 * Usage: stub [port [threads]]
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/bytes.h"

#define EVENTS 256
#define READ_SIZE ((size_t)256 << 10)
#define BYTES_MAX ((size_t)64 << 20)

struct peer {
    int fd;
    struct buffer in;  /* owned: one request, perhaps more */
    struct buffer out; /* owned: what is left to send */
    size_t sent;
    uint64_t skip; /* of a body that nobody looks at: bytes still to come */
};

static uint16_t port = 9311;
static _Atomic int64_t next_seq_no;
static char *filler; /* BYTES_MAX times 'x' */

/* ------------------------------------------------------------------------------------------------------
 * Answers. */

static const char root[] = "{\"name\":\"stub\",\"cluster_name\":\"stub\",\"cluster_uuid\":"
                           "\"c3R1Yi1jbHVzdGVyLXV1aWQ\",\"version\":{"
                           "\"distribution\":\"opensearch\",\"number\":\"2.19.1\",\"build_type\":"
                           "\"tar\",\"lucene_version\":\"9.12.1\","
                           "\"minimum_wire_compatibility_version\":\"7.10.0\",\"minimum_index_"
                           "compatibility_version\":\"7.0.0\"}}";
static const char state_version[] = "{\"cluster_uuid\":\"c3R1Yi1jbHVzdGVyLXV1aWQ\",\"version\":7}";
static const char state[] =
    "{\"cluster_uuid\":\"c3R1Yi1jbHVzdGVyLXV1aWQ\",\"version\":7,\"metadata\":{\"templates\":{},"
    "\"indices\":{\"bench\":{"
    "\"version\":3,\"mapping_version\":1,\"settings_version\":1,\"aliases_version\":1,\"state\":"
    "\"open\","
    "\"settings\":{\"index\":{\"uuid\":\"YmVuY2gtaW5kZXgtdXVpZA\",\"number_of_shards\":\"1\"}},"
    "\"routing_num_shards\":1024,\"primary_terms\":{\"0\":1}}},\"index-graveyard\":{\"tombstones\":"
    "[]}}}";
static const char definition[] =
    "{\"bench\":{\"aliases\":{},\"mappings\":{},\"settings\":{\"index\":{\"creation_date\":"
    "\"1700000000000\","
    "\"number_of_shards\":\"1\",\"number_of_replicas\":\"0\",\"uuid\":\"YmVuY2gtaW5kZXgtdXVpZA\","
    "\"version\":{\"created\":\"136407827\"},\"provided_name\":\"bench\"}}}}";
static const char stats[] =
    "{\"indices\":{\"bench\":{\"shards\":{\"0\":[{\"routing\":{\"state\":\"STARTED\",\"primary\":"
    "true,\"node\":\"n\"},"
    "\"seq_no\":{\"max_seq_no\":-1,\"local_checkpoint\":-1,\"global_checkpoint\":-1}}]}}}}";

static const char recovery[] =
    "{\"bench\":{\"shards\":[{\"id\":0,\"type\":\"EMPTY_STORE\",\"primary\":true}]}}";

static void answer(struct buffer *out, const char *status, struct span body, bool head_only)
{
    buffer_appendf(out,
                   "HTTP/1.1 %s\r\ncontent-type: application/json; "
                   "charset=UTF-8\r\ncontent-length: %zu\r\n\r\n",
                   status, body.size);
    if (!head_only)
        buffer_append_span(out, body);
}

static void append_item(struct buffer *out, struct span id)
{
    int64_t seq_no = atomic_fetch_add(&next_seq_no, 1);
    buffer_append_cstr(out, "{\"_index\":\"bench\",\"_id\":\"");
    buffer_append_span(out, id);
    buffer_appendf(out,
                   "\",\"_version\":1,\"result\":\"created\",\"_shards\":{\"total\":1,"
                   "\"successful\":1,\"failed\":0},"
                   "\"_seq_no\":%lld,\"_primary_term\":1",
                   (long long)seq_no);
}

/* The value of "_id" in an action line; an id of the stub's when there is none. */
static struct span action_id(struct span line)
{
    const char *at = memmem(line.data, line.size, "\"_id\":\"", 7);
    if (at == NULL)
        return SPAN("none");
    at += 7;
    const char *end = memchr(at, '"', (size_t)(line.data + line.size - at));
    return end == NULL ? SPAN("none") : span_of(at, (size_t)(end - at));
}

static void answer_bulk(struct buffer *out, struct span body)
{
    struct buffer text = {0};
    bool first = true, source = false;

    buffer_append_cstr(&text, "{\"took\":1,\"errors\":false,\"items\":[");
    while (body.size > 0) {
        const char *end = memchr(body.data, '\n', body.size);
        size_t size = end == NULL ? body.size : (size_t)(end - body.data) + 1;
        struct span line = span_of(body.data, size);
        body = span_of(body.data + size, body.size - size);
        if (source || size <= 1) {
            source = false;
            continue;
        }
        source = memmem(line.data, line.size < 12 ? line.size : 12, "\"delete\"", 8) == NULL;
        buffer_append_cstr(&text, first ? "{\"index\":" : ",{\"index\":");
        append_item(&text, action_id(line));
        buffer_append_cstr(&text, ",\"status\":201}}");
        first = false;
    }
    buffer_append_cstr(&text, "]}");
    answer(out, "200 OK", buffer_span(&text), false);
    buffer_fini(&text);
}

static void answer_document(struct buffer *out, struct span path)
{
    struct buffer text = {0};
    const char *slash = memrchr(path.data, '/', path.size);
    struct span id = span_of(slash + 1, (size_t)(path.data + path.size - slash - 1));

    append_item(&text, span_starts(id, SPAN("_")) ? SPAN("made") : id);
    buffer_append_char(&text, '}');
    answer(out, "201 Created", buffer_span(&text), false);
    buffer_fini(&text);
}

static bool contains(struct span text, const char *part)
{
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static void answer_get(struct buffer *out, struct span target, struct span path, bool head_only)
{
    if (span_starts(path, SPAN("/bytes/"))) {
        size_t size = strtoul(path.data + 7, NULL, 10);
        answer(out, "200 OK", span_of(filler, size > BYTES_MAX ? BYTES_MAX : size), head_only);
    } else if (path.size == 1) {
        answer(out, "200 OK", span_cstr(root), head_only);
    } else if (span_starts(path, SPAN("/_cluster/state/version,metadata"))) {
        answer(out, "200 OK", span_cstr(state), head_only);
    } else if (span_starts(path, SPAN("/_cluster/state"))) {
        answer(out, "200 OK", span_cstr(state_version), head_only);
    } else if (contains(path, "/_stats")) {
        answer(out, "200 OK", span_cstr(stats), head_only);
    } else if (contains(path, "/_recovery")) {
        answer(out, "200 OK", span_cstr(recovery), head_only);
    } else if (span_equal(path, SPAN("/bench")) && contains(target, "ignore_unavailable")) {
        answer(out, "200 OK", span_cstr(definition), head_only);
    } else {
        answer(out, "404 Not Found", SPAN("{}"), head_only);
    }
}

/* ------------------------------------------------------------------------------------------------------
 * Requests. */

static size_t content_length(struct span head)
{
    static const char name[] = "\r\ncontent-length:";
    for (size_t i = 0; i + sizeof name < head.size; i++) {
        const char *at = memchr(head.data + i, '\r', head.size - i);
        if (at == NULL)
            return 0;
        i = (size_t)(at - head.data);
        if (i + sizeof name < head.size && strncasecmp(at, name, sizeof name - 1) == 0)
            return strtoul(at + sizeof name - 1, NULL, 10);
    }
    return 0;
}

static bool is_write(struct span path)
{
    return contains(path, "/_bulk") || contains(path, "/_doc") || contains(path, "/_create");
}

/* Answers the request at the front of `in`; its size, or 0 when it is not complete. */
static size_t serve(struct peer *peer, struct span in)
{
    struct buffer *out = &peer->out;
    const char *end = in.size == 0 ? NULL : memmem(in.data, in.size, "\r\n\r\n", 4);
    if (end == NULL)
        return 0;
    struct span head = span_of(in.data, (size_t)(end - in.data) + 4);
    size_t length = content_length(head);
    const char *space = memchr(head.data, ' ', head.size);
    const char *stop = space == NULL ? NULL : memchr(space + 1, ' ', (size_t)(end - space));
    if (stop == NULL)
        return head.size + length;
    struct span method = span_of(head.data, (size_t)(space - head.data));
    struct span target = span_of(space + 1, (size_t)(stop - space - 1)), path = target;
    const char *query = memchr(target.data, '?', target.size);
    if (query != NULL)
        path.size = (size_t)(query - target.data);

    if (in.size < head.size + length) {
        if (is_write(path))
            return 0;
        peer->skip = head.size + length - in.size;
        return in.size;
    }
    struct span body = span_of(in.data + head.size, length);
    if (span_equal(method, SPAN("GET")) || span_equal(method, SPAN("HEAD")))
        answer_get(out, target, path, method.data[0] == 'H');
    else if (contains(path, "/_bulk"))
        answer_bulk(out, body);
    else if (contains(path, "/_doc") || contains(path, "/_create"))
        answer_document(out, path);
    else
        answer(out, "200 OK", SPAN("{}"), false);
    return head.size + length;
}

/* False: the peer has gone. */
static bool peer_send(struct peer *peer, int epoll)
{
    while (peer->sent < peer->out.size) {
        ssize_t sent =
            send(peer->fd, peer->out.data + peer->sent, peer->out.size - peer->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLOUT, .data.ptr = peer};
            epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
            return true;
        }
        if (sent <= 0)
            return false;
        peer->sent += (size_t)sent;
    }
    buffer_clear(&peer->out);
    peer->sent = 0;
    return true;
}

/* Drops what comes of a body that nobody looks at; behind its end comes the answer. */
static bool peer_skip(struct peer *peer, int epoll)
{
    static _Thread_local char data[READ_SIZE];
    ssize_t got =
        recv(peer->fd, data, peer->skip < sizeof data ? (size_t)peer->skip : sizeof data, 0);

    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    peer->skip -= (uint64_t)got;
    if (peer->skip > 0)
        return true;
    answer(&peer->out, "200 OK", SPAN("{}"), false);
    return peer_send(peer, epoll);
}

static bool peer_on_event(struct peer *peer, int epoll, uint32_t events)
{
    if (events & EPOLLOUT) {
        if (!peer_send(peer, epoll))
            return false;
        if (peer->out.size == 0) {
            struct epoll_event event = {.events = EPOLLIN, .data.ptr = peer};
            epoll_ctl(epoll, EPOLL_CTL_MOD, peer->fd, &event);
        }
        return true;
    }
    if (peer->skip > 0)
        return peer_skip(peer, epoll);
    char *at = buffer_reserve(&peer->in, peer->in.size == 0 ? 16384 : READ_SIZE);
    ssize_t got = recv(peer->fd, at, peer->in.capacity - peer->in.size, 0);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    peer->in.size += (size_t)got;
    size_t used, total = 0;
    while ((used = serve(peer, span_of(peer->in.data + total, peer->in.size - total))) > 0)
        total += used;
    if (total == peer->in.size)
        buffer_clear(&peer->in);
    else if (total > 0)
        buffer_consume(&peer->in, total);
    return peer_send(peer, epoll);
}

static void peer_close(struct peer *peer)
{
    close(peer->fd);
    buffer_fini(&peer->in);
    buffer_fini(&peer->out);
    free(peer);
}

static void *loop(void *arg)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
    (void)arg;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1024) != 0) {
        perror("stub");
        exit(1);
    }
    int epoll = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            struct peer *peer = events[i].data.ptr;
            if (peer != NULL) {
                if (!peer_on_event(peer, epoll, events[i].events))
                    peer_close(peer);
                continue;
            }
            int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
            if (fd < 0)
                continue;
            peer = bytes_zalloc(sizeof *peer);
            peer->fd = fd;
            event = (struct epoll_event){.events = EPOLLIN, .data.ptr = peer};
            epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    int threads = argc > 2 ? atoi(argv[2]) : 1;
    if (argc > 1)
        port = (uint16_t)atoi(argv[1]);
    signal(SIGPIPE, SIG_IGN);
    filler = bytes_alloc(BYTES_MAX);
    memset(filler, 'x', BYTES_MAX);
    for (int i = 1; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, loop, NULL) != 0)
            return 1;
    }
    loop(NULL);
    return 0;
}
