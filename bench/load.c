/* load.c - sends requests over N connections and says how long the answers took.
 *
 *     load [-c connections] [-w seconds] [-d seconds] [-r requests/s] [-m METHOD] [-b body bytes]
 *          [-n bulk documents] [-i] [-H "Name: value"]... host:port path
 *
 * What is sent in the first -w seconds warms up and is counted in all= only.
 * Without -r each connection sends its next request when the answer to the one before has come
 * (closed loop). With -r requests begin at fixed times, and each is measured from the time at which
 * it should have begun: a server that stalls is not excused by the requests that could not be sent
 * meanwhile. `%d` in the path is a number that grows. With -i each document of a bulk has an id,
 * such as an engine would have given it, and an external version. One thread; prints one line of
 * numbers, latencies in microseconds.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"

#define EVENTS 256
#define READ_SIZE ((size_t)256 << 10)

struct options {
    int connections;
    double warm_up, seconds;
    double rate; /* 0: closed loop */
    const char *method, *path, *host, *port;
    size_t body_bytes, documents;
    bool ids;
    struct buffer fields;
};

struct link {
    int fd;
    struct buffer out;
    size_t sent;
    uint64_t due_us; /* when the request under way should have begun */
    bool busy;
    uint64_t left; /* of the answer's body; UINT64_MAX: in its head */
    struct buffer head;
    int status;
};

static struct options options = {.connections = 1, .seconds = 5, .method = "GET"};
static uint32_t *latencies; /* of each answer, in microseconds */
static size_t latencies_room;
static uint64_t all, answers, errors, statuses[6], bytes_in, next_number;
static uint64_t begin_us, end_us, next_due_us;
static char *body; /* what every request carries */

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int dial(void)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int on = 1;

    if (getaddrinfo(options.host, options.port, &hints, &found) != 0)
        die(options.host);
    int fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) != 0)
        die("connect");
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* What -i puts into each action line is of one length: it is written over in every request. */
#define ID_AT (sizeof "{\"index\":{\"_id\":\"" - 1)
#define ID_SIZE 20
#define VERSION_AT (ID_AT + ID_SIZE + sizeof "\",\"version\":" - 1)
#define VERSION_FIRST UINT64_C(1099511627776) /* 2^40: that of term 1 */
#define VERSION_SIZE 13

static void append_action(struct buffer *text)
{
    if (options.ids)
        buffer_appendf(
            text, "{\"index\":{\"_id\":\"%0*d\",\"version\":%llu,\"version_type\":\"external\"}}\n",
            ID_SIZE, 0, (unsigned long long)VERSION_FIRST);
    else
        buffer_append_cstr(text, "{\"index\":{}}\n");
}

/* What changes fastest comes first, then the time and the place: so the engines do it, and it
 * decides what looking an id up costs them. */
static void put_id(char *at, uint64_t number, uint64_t ms)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t bytes[ID_SIZE / 4 * 3] = {(uint8_t)number,
                                            (uint8_t)(number >> 16),
                                            (uint8_t)(ms >> 16),
                                            (uint8_t)(ms >> 24),
                                            (uint8_t)(ms >> 32),
                                            (uint8_t)(ms >> 40),
                                            'b',
                                            'e',
                                            'n',
                                            'c',
                                            'h',
                                            '!',
                                            (uint8_t)(ms >> 8),
                                            (uint8_t)(number >> 8),
                                            (uint8_t)ms};
    for (size_t i = 0; i < sizeof bytes; i += 3, at += 4) {
        uint32_t bits = (uint32_t)bytes[i] << 16 | (uint32_t)bytes[i + 1] << 8 | bytes[i + 2];
        for (int d = 0; d < 4; d++)
            at[d] = digits[bits >> (18 - 6 * d) & 63];
    }
}

/* Other ids and higher versions in the bulk at AT than in the one before. */
static void number_documents(char *at)
{
    size_t each = options.body_bytes / options.documents;
    uint64_t ms = clock_wall_us() / 1000;
    char version[VERSION_SIZE + 1];
    for (size_t i = 0; i < options.documents; i++, at += each) {
        uint64_t number = next_number++;
        put_id(at + ID_AT, number, ms);
        snprintf(version, sizeof version, "%llu", (unsigned long long)(VERSION_FIRST + number));
        memcpy(at + VERSION_AT, version, VERSION_SIZE);
    }
}

/* A body of bulk lines, or of a JSON document of the size asked for. */
static void make_body(void)
{
    struct buffer text = {0};

    if (options.documents > 0) {
        for (size_t i = 0; i < options.documents; i++) {
            append_action(&text);
            buffer_append_cstr(&text, "{\"message\":\"");
            for (size_t n = 0; n + 40 < options.body_bytes; n++)
                buffer_append_char(&text, (char)('a' + n % 26));
            buffer_append_cstr(&text, "\"}\n");
        }
    } else if (options.body_bytes > 0) {
        buffer_append_cstr(&text, "{\"message\":\"");
        while (text.size + 2 < options.body_bytes)
            buffer_append_char(&text, (char)('a' + text.size % 26));
        buffer_append_cstr(&text, "\"}");
    }
    options.body_bytes = text.size;
    body = text.data;
}

static void append_path(struct buffer *out)
{
    const char *number = strstr(options.path, "%d");
    if (number == NULL) {
        buffer_append_cstr(out, options.path);
        return;
    }
    buffer_append(out, options.path, (size_t)(number - options.path));
    buffer_appendf(out, "%llu%s", (unsigned long long)next_number++, number + 2);
}

static bool link_send(struct link *link, int epoll)
{
    while (link->sent < link->out.size) {
        ssize_t sent = send(link->fd, link->out.data + link->sent, link->out.size - link->sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EAGAIN) {
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = link};
            epoll_ctl(epoll, EPOLL_CTL_MOD, link->fd, &event);
            return true;
        }
        if (sent <= 0)
            return false;
        link->sent += (size_t)sent;
    }
    return true;
}

static void link_begin(struct link *link, int epoll, uint64_t due_us)
{
    buffer_clear(&link->out);
    buffer_clear(&link->head);
    link->sent = 0;
    link->left = UINT64_MAX;
    link->due_us = due_us;
    link->busy = true;
    buffer_appendf(&link->out, "%s ", options.method);
    append_path(&link->out);
    buffer_appendf(&link->out, " HTTP/1.1\r\nHost: %s\r\n", options.host);
    buffer_append_span(&link->out, buffer_span(&options.fields));
    if (options.body_bytes > 0)
        buffer_appendf(&link->out, "Content-Type: application/%s\r\nContent-Length: %zu\r\n",
                       options.documents > 0 ? "x-ndjson" : "json", options.body_bytes);
    buffer_append_cstr(&link->out, "\r\n");
    if (options.body_bytes > 0)
        buffer_append(&link->out, body, options.body_bytes);
    if (options.ids)
        number_documents(link->out.data + link->out.size - options.body_bytes);
    if (!link_send(link, epoll))
        die("send");
}

static void note_latency(uint64_t took_us)
{
    if (answers == latencies_room) {
        latencies_room = latencies_room == 0 ? 65536 : latencies_room * 2;
        latencies = bytes_realloc(latencies, latencies_room * sizeof latencies[0]);
    }
    latencies[answers++] = took_us > UINT32_MAX ? UINT32_MAX : (uint32_t)took_us;
}

/* Finds status and length in a complete head; false when it has no length. */
static bool read_head(struct link *link, struct span head)
{
    static const char name[] = "\ncontent-length:";

    link->status = head.size > 12 ? atoi(head.data + 9) : 0;
    for (size_t i = 0; i + sizeof name < head.size; i++) {
        if (head.data[i] == '\n' && strncasecmp(head.data + i, name, sizeof name - 1) == 0) {
            link->left = strtoull(head.data + i + sizeof name - 1, NULL, 10);
            return true;
        }
    }
    return false;
}

static void link_answered(struct link *link, int epoll)
{
    uint64_t now = clock_now_us();

    link->busy = false;
    all++;
    if (link->due_us >= begin_us && now < end_us) {
        statuses[link->status / 100 > 5 ? 0 : link->status / 100]++;
        note_latency(now - link->due_us);
    }
    if (options.rate == 0 && now < end_us)
        link_begin(link, epoll, now);
}

/* False: the connection has ended. */
static bool link_read(struct link *link, int epoll)
{
    static char data[READ_SIZE];
    ssize_t got = recv(link->fd, data, sizeof data, MSG_DONTWAIT);
    if (got <= 0)
        return got < 0 && errno == EAGAIN;
    struct span rest = span_of(data, (size_t)got);
    if (clock_now_us() >= begin_us)
        bytes_in += rest.size;
    while (rest.size > 0) {
        if (link->left == UINT64_MAX) {
            size_t before = link->head.size;
            buffer_append_span(&link->head, rest);
            char *end = memmem(link->head.data, link->head.size, "\r\n\r\n", 4);
            if (end == NULL)
                return true;
            size_t size = (size_t)(end - link->head.data) + 4;
            rest = span_of(rest.data + (size - before), rest.size - (size - before));
            if (!read_head(link, span_of(link->head.data, size)))
                return false; /* chunked answers are not measured with this */
        }
        size_t part = rest.size < link->left ? rest.size : (size_t)link->left;
        link->left -= part;
        rest = span_of(rest.data + part, rest.size - part);
        if (link->left == 0) {
            link_answered(link, epoll);
            return rest.size == 0; /* nobody asked for more */
        }
    }
    if (link->left == 0)
        link_answered(link, epoll);
    return true;
}

/* Begins what is due; how many milliseconds until the next. */
static int begin_due(struct link *links, int epoll)
{
    uint64_t now = clock_now_us();

    for (int i = 0; i < options.connections && next_due_us <= now; i++) {
        if (links[i].busy)
            continue;
        link_begin(&links[i], epoll, next_due_us);
        next_due_us += (uint64_t)(1e6 / options.rate);
    }
    return next_due_us <= now ? 1 : (int)((next_due_us - now) / 1000);
}

static void run(struct link *links, int epoll)
{
    struct epoll_event events[EVENTS];

    while (clock_now_us() < end_us) {
        int wait_ms = options.rate > 0 ? begin_due(links, epoll) : 100;
        int count = epoll_wait(epoll, events, EVENTS, wait_ms);
        for (int i = 0; i < count; i++) {
            struct link *link = events[i].data.ptr;
            bool well = true;
            if (events[i].events & EPOLLOUT) {
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
                epoll_ctl(epoll, EPOLL_CTL_MOD, link->fd, &event);
                well = link_send(link, epoll);
            }
            if (well && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
                well = link_read(link, epoll);
            if (!well) {
                errors++;
                close(link->fd);
                link->fd = dial();
                struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
                epoll_ctl(epoll, EPOLL_CTL_ADD, link->fd, &event);
                link->busy = false;
                if (options.rate == 0)
                    link_begin(link, epoll, clock_now_us());
            }
        }
    }
}

static void parse(int argc, char **argv)
{
    int option;
    while ((option = getopt(argc, argv, "c:w:d:r:m:b:n:iH:")) != -1) {
        switch (option) {
        case 'c':
            options.connections = atoi(optarg);
            break;
        case 'w':
            options.warm_up = atof(optarg);
            break;
        case 'd':
            options.seconds = atof(optarg);
            break;
        case 'r':
            options.rate = atof(optarg);
            break;
        case 'm':
            options.method = optarg;
            break;
        case 'b':
            options.body_bytes = strtoul(optarg, NULL, 10);
            break;
        case 'n':
            options.documents = strtoul(optarg, NULL, 10);
            break;
        case 'i':
            options.ids = true;
            break;
        case 'H':
            buffer_appendf(&options.fields, "%s\r\n", optarg);
            break;
        default:
            exit(2);
        }
    }
    char *colon = optind + 1 < argc ? strrchr(argv[optind], ':') : NULL;
    if (colon == NULL || options.connections < 1 || options.seconds <= 0 ||
        (options.ids && options.documents == 0)) {
        fprintf(stderr,
                "usage: load [-c N] [-w SECONDS] [-d SECONDS] [-r RATE] [-m METHOD] [-b BYTES] "
                "[-n DOCUMENTS] [-i] [-H FIELD] host:port path\n");
        exit(2);
    }
    *colon = 0;
    options.host = argv[optind];
    options.port = colon + 1;
    options.path = argv[optind + 1];
}

static int by_value(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return x < y ? -1 : x > y;
}

static uint32_t quantile(double q)
{
    return answers == 0 ? 0 : latencies[(size_t)(q * (double)(answers - 1))];
}

static void print(void)
{
    if (answers > 0)
        qsort(latencies, answers, sizeof latencies[0], by_value);
    printf("requests=%llu per_second=%.0f mb_per_second=%.1f p50=%u p90=%u p99=%u p999=%u max=%u "
           "2xx=%llu 4xx=%llu 5xx=%llu other=%llu errors=%llu all=%llu\n",
           (unsigned long long)answers, (double)answers / options.seconds,
           (double)(bytes_in + answers * options.body_bytes) / options.seconds / 1e6, quantile(0.5),
           quantile(0.9), quantile(0.99), quantile(0.999), quantile(1),
           (unsigned long long)statuses[2], (unsigned long long)statuses[4],
           (unsigned long long)statuses[5],
           (unsigned long long)(statuses[0] + statuses[1] + statuses[3]),
           (unsigned long long)errors, (unsigned long long)all);
}

int main(int argc, char **argv)
{
    parse(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    make_body();
    int epoll = epoll_create1(0);
    struct link *links = bytes_zalloc((size_t)options.connections * sizeof links[0]);
    for (int i = 0; i < options.connections; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &links[i]};
        links[i].fd = dial();
        epoll_ctl(epoll, EPOLL_CTL_ADD, links[i].fd, &event);
    }
    next_due_us = clock_now_us();
    begin_us = next_due_us + (uint64_t)(options.warm_up * 1e6);
    end_us = begin_us + (uint64_t)(options.seconds * 1e6);
    for (int i = 0; i < options.connections && options.rate == 0; i++)
        link_begin(&links[i], epoll, clock_now_us());
    run(links, epoll);
    print();
    return 0;
}
