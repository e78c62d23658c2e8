/* link.c - the line to the proxy: news of records, marks, checkpoints (see wire.h).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/link.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/bytes.h"
#include "base/log.h"
#include "base/loop.h"
#include "journal/wire.h"

#define CONNECT_AGAIN_US 500000

struct link {
    struct loop *loop;
    struct sockaddr_un address;
    char *standby;
    const struct link_ops *ops;
    void *arg;
    struct bufferevent *bev; /* NULL while the proxy is away */
    bool up;
    bool mark_wanted;
    uint64_t checkpoint;
    bool positioned; /* checkpoint is known: before that nothing is said, for 0 would mean all */
    struct loop_timer again;
};

static void link_down(struct link *link)
{
    if (link->up)
        log_warn("proxy", "it has gone; records in the journal are still replayed");
    if (link->bev != NULL)
        bufferevent_free(link->bev);
    link->bev = NULL;
    link->up = false;
    loop_timer_set(&link->again, CONNECT_AGAIN_US);
}

static void say(struct link *link, const char *word, const char *rest)
{
    if (link->up)
        evbuffer_add_printf(bufferevent_get_output(link->bev), "%s%s\n", word, rest);
}

static void take_line(struct link *link, struct span line)
{
    uint64_t number;
    size_t records = sizeof WIRE_RECORDS - 1, mark = sizeof WIRE_MARK - 1;
    if (span_starts(line, SPAN(WIRE_RECORDS)) &&
        span_to_u64(span_of(line.data + records, line.size - records), &number)) {
        link->ops->on_records(link->arg, number);
    } else if (span_starts(line, SPAN(WIRE_MARK)) &&
               span_to_u64(span_of(line.data + mark, line.size - mark), &number)) {
        link->mark_wanted = false;
        link->ops->on_mark(link->arg, number);
    }
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct link *link = arg;
    size_t size;
    char *line;
    while ((line = evbuffer_readln(bufferevent_get_input(bev), &size, EVBUFFER_EOL_LF)) != NULL) {
        take_line(link, span_of(line, size));
        free(line);
    }
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    struct link *link = arg;
    (void)bev;
    if (what & BEV_EVENT_CONNECTED) {
        link->up = true;
        log_info("proxy", "connected");
        say(link, WIRE_STANDBY, link->standby);
        if (link->positioned)
            link_report(link, link->checkpoint);
        if (link->mark_wanted)
            say(link, WIRE_MARK_ASKED, "");
    } else {
        link_down(link);
    }
}

static void connect_now(struct loop_timer *timer)
{
    struct link *link = LOOP_OWNER(timer, struct link, again);
    link->bev = bufferevent_socket_new(loop_base(link->loop), -1, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(link->bev, on_read, NULL, on_event, link);
    if (bufferevent_socket_connect(link->bev, (struct sockaddr *)&link->address,
                                   sizeof link->address) != 0) {
        link_down(link);
        return;
    }
    bufferevent_enable(link->bev, EV_READ | EV_WRITE);
}

struct link *link_new(struct loop *loop, const char *folder, const char *standby,
                      const struct link_ops *ops, void *arg)
{
    struct link *link = bytes_zalloc(sizeof *link);
    link->loop = loop;
    link->standby = bytes_strdup(standby);
    link->ops = ops;
    link->arg = arg;
    link->address.sun_family = AF_UNIX;
    snprintf(link->address.sun_path, sizeof link->address.sun_path, "%s/" WIRE_SOCKET, folder);
    loop_timer_init(&link->again, loop, connect_now);
    loop_timer_set(&link->again, 0);
    return link;
}

void link_free(struct link *link)
{
    if (link == NULL)
        return;
    loop_timer_clear(&link->again);
    if (link->bev != NULL)
        bufferevent_free(link->bev);
    free(link->standby);
    free(link);
}

void link_ask_mark(struct link *link)
{
    link->mark_wanted = true;
    say(link, WIRE_MARK_ASKED, "");
}

void link_report(struct link *link, uint64_t seq)
{
    char number[24];
    link->checkpoint = seq;
    link->positioned = true;
    snprintf(number, sizeof number, "%" PRIu64, seq);
    say(link, WIRE_CHECKPOINT, number);
}

bool link_is_up(const struct link *link)
{
    return link->up;
}
