/* replicators.c - the replicators on this host: who is here, how far, and what is kept for them.
 *
 * Records are kept until every configured standby has them, and beyond that as journal.keep_size
 * and journal.keep_age say (a standby may be rewound). When a standby holds the journal back until
 * it is nearly full, journal.when_full decides:
 *     drop    gives up the standby that is furthest behind, loudly
 *     block   lets writes be refused
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/replicators.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/settings.h"
#include "journal/wire.h"
#include "proxy/core.h"

#define TRIM_STRETCH 20000
#define ALARM_PERCENT_FIRST 70
#define ALARM_PERCENT_SECOND 85
#define DROP_PERCENT 90

struct connection {
    struct replicators *owner;
    struct bufferevent *bev;
    struct standby_position *standby; /* NULL until it said who it is */
    struct connection *next;
};

/* One configured standby. */
struct standby_position {
    char *name;
    uint64_t seq;      /* everything up to it is there */
    uint64_t heard_us; /* when it last said so; 0: never since the start */
    bool dropped;      /* given up: records are no longer kept for it */
    bool stored;       /* the journal knows it */
};

struct replicators {
    struct core *core;
    struct evconnlistener *listener;
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
    struct connection *connections;
    struct standby_position *standbys;
    size_t count;
    struct loop_task records; /* posted by the journal's thread */
    _Atomic bool records_posted;
    int alarm; /* percent that was last said */
};

/* ---- positions ---- */

struct position_commit {
    struct commit commit;
    char name[256];
    uint64_t seq;
    bool dropped;
};

static enum status position_write(struct commit *commit, struct journal_txn *txn)
{
    struct position_commit *pc = (struct position_commit *)commit;
    struct buffer value = {0};
    buffer_append_u64(&value, pc->seq);
    if (pc->dropped)
        buffer_append_cstr(&value, "dropped");
    enum status status =
        journal_put(txn, JOURNAL_STANDBYS, span_cstr(pc->name), buffer_span(&value));
    buffer_fini(&value);
    return status;
}

static void position_done(struct commit *commit)
{
    free(commit);
}

static void store_position(struct replicators *reps, const struct standby_position *sp)
{
    struct position_commit *pc = bytes_zalloc(sizeof *pc);
    pc->commit.write = position_write;
    pc->commit.done = position_done;
    pc->commit.loop = reps->core->control;
    snprintf(pc->name, sizeof pc->name, "%s", sp->name);
    pc->seq = sp->seq;
    pc->dropped = sp->dropped;
    sequencer_submit(reps->core->sequencer, &pc->commit);
}

static struct standby_position *find_standby(struct replicators *reps, struct span name)
{
    for (size_t i = 0; i < reps->count; i++)
        if (span_equal(name, span_cstr(reps->standbys[i].name)))
            return &reps->standbys[i];
    return NULL;
}

static bool load_position(void *arg, struct span key, struct span value)
{
    struct standby_position *sp = find_standby(arg, key);
    if (sp != NULL && value.size >= 8) {
        sp->seq = get_u64le(value.data);
        sp->dropped = value.size > 8;
        sp->stored = true;
    }
    return true;
}

/* ---- the socket ---- */

static void connection_free(struct connection *connection)
{
    struct connection **link = &connection->owner->connections;
    while (*link != connection)
        link = &(*link)->next;
    *link = connection->next;
    if (connection->standby != NULL)
        log_info("proxy", "the replicator of standby %s has gone", connection->standby->name);
    bufferevent_free(connection->bev);
    free(connection);
}

static void say(struct connection *connection, const char *word, uint64_t number)
{
    evbuffer_add_printf(bufferevent_get_output(connection->bev), "%s%" PRIu64 "\n", word, number);
}

static void take_checkpoint(struct connection *connection, uint64_t seq)
{
    struct standby_position *sp = connection->standby;
    sp->heard_us = connection->owner->core->now_us(connection->owner->core);
    if (seq == sp->seq && sp->stored)
        return;
    sp->seq = seq; /* lower than before when the standby went back in time */
    sp->stored = true;
    struct journal_info info;
    journal_info(connection->owner->core->journal, &info);
    if (sp->dropped && seq + 1 >= info.first_seq) {
        sp->dropped = false;
        log_info("proxy", "standby %s is back within the journal (seq=%" PRIu64 ")", sp->name, seq);
    }
    store_position(connection->owner, sp);
}

static void take_line(struct connection *connection, struct span line)
{
    struct replicators *reps = connection->owner;
    uint64_t number;
    if (span_starts(line, SPAN(WIRE_STANDBY))) {
        line = span_of(line.data + sizeof WIRE_STANDBY - 1, line.size - (sizeof WIRE_STANDBY - 1));
        connection->standby = find_standby(reps, line);
        if (connection->standby == NULL)
            log_warn("proxy",
                     "a replicator speaks for standby %.*s, which this proxy's configuration does "
                     "not have",
                     (int)line.size, line.data);
        else
            log_info("proxy", "the replicator of standby %s is here", connection->standby->name);
        say(connection, WIRE_RECORDS, sequencer_last_seq(reps->core->sequencer));
    } else if (span_equal(line, SPAN(WIRE_MARK_ASKED))) {
        say(connection, WIRE_MARK, sequencer_ask_mark(reps->core->sequencer));
    } else if (connection->standby != NULL && span_starts(line, SPAN(WIRE_CHECKPOINT)) &&
               span_to_u64(span_of(line.data + sizeof WIRE_CHECKPOINT - 1,
                                   line.size - (sizeof WIRE_CHECKPOINT - 1)),
                           &number)) {
        take_checkpoint(connection, number);
    }
}

static void on_read(struct bufferevent *bev, void *arg)
{
    struct evbuffer *input = bufferevent_get_input(bev);
    size_t size;
    char *line;
    while ((line = evbuffer_readln(input, &size, EVBUFFER_EOL_LF)) != NULL) {
        take_line(arg, span_of(line, size));
        free(line);
    }
    if (evbuffer_get_length(input) > WIRE_LINE_MAX)
        connection_free(arg);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
    (void)bev;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
        connection_free(arg);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int size, void *arg)
{
    struct replicators *reps = arg;
    struct connection *connection = bytes_zalloc(sizeof *connection);
    (void)listener;
    (void)address;
    (void)size;
    connection->owner = reps;
    connection->bev =
        bufferevent_socket_new(loop_base(reps->core->control), fd, BEV_OPT_CLOSE_ON_FREE);
    connection->next = reps->connections;
    reps->connections = connection;
    bufferevent_setcb(connection->bev, on_read, NULL, on_event, connection);
    bufferevent_enable(connection->bev, EV_READ | EV_WRITE);
}

static void tell_records(struct loop_task *task)
{
    struct replicators *reps = LOOP_OWNER(task, struct replicators, records);
    atomic_store(&reps->records_posted, false);
    for (struct connection *c = reps->connections; c != NULL; c = c->next)
        if (evbuffer_get_length(bufferevent_get_output(c->bev)) < WIRE_LINE_MAX)
            say(c, WIRE_RECORDS, sequencer_last_seq(reps->core->sequencer));
}

void replicators_on_records(struct replicators *reps)
{
    if (!atomic_exchange(&reps->records_posted, true))
        loop_post(reps->core->control, &reps->records);
}

/* ---- retention ---- */

/* The lowest seq that some standby still needs; WHO is the one furthest behind. */
static uint64_t needed_from(const struct replicators *reps, struct standby_position **who)
{
    uint64_t lowest = UINT64_MAX;
    *who = NULL;
    for (size_t i = 0; i < reps->count; i++) {
        struct standby_position *sp = &reps->standbys[i];
        if (!sp->dropped && sp->seq + 1 < lowest) {
            lowest = sp->seq + 1;
            *who = sp;
        }
    }
    return lowest;
}

static void drop_standby(struct replicators *reps, struct standby_position *sp,
                         const struct journal_info *info)
{
    log_error("proxy",
              "standby %s is dropped: the journal is full with what it has not taken "
              "(journal.when_full: drop); it "
              "must be seeded again (seq=%" PRIu64 " last_seq=%" PRIu64 ")",
              sp->name, sp->seq, info->last_seq);
    sp->dropped = true;
    store_position(reps, sp);
}

static void say_fullness(struct replicators *reps, int percent, const struct standby_position *who)
{
    int level = percent >= ALARM_PERCENT_SECOND  ? ALARM_PERCENT_SECOND
                : percent >= ALARM_PERCENT_FIRST ? ALARM_PERCENT_FIRST
                                                 : 0;
    if (level > reps->alarm)
        log_warn("journal", "it is %d %% full; standby %s needs what is in it", percent,
                 who == NULL ? "-" : who->name);
    reps->alarm = level;
}

/* How many records make what is used more than KEEP_SIZE, if all were of one size: right enough for
 * a second. */
static uint64_t excess_records(const struct journal_info *info, uint64_t keep_size)
{
    double share = (double)(info->used_bytes - keep_size) / (double)info->used_bytes;
    return (uint64_t)((double)(info->last_seq - info->first_seq + 1) * share) + 1;
}

/* What SP has not taken yet is more than a tenth of the journal, if all records were of one size:
 * who is nearly up to date does not make it full, however large its records are. */
static bool holds_much_back(const struct standby_position *sp, const struct journal_info *info)
{
    uint64_t records = info->last_seq + 1 - info->first_seq;
    return sp->seq < info->last_seq && (info->last_seq - sp->seq) > records / 10;
}

void replicators_tick(struct replicators *reps)
{
    const struct settings *settings = reps->core->settings;
    struct journal_info info;
    struct standby_position *who;
    journal_info(reps->core->journal, &info);
    if (info.last_seq < info.first_seq)
        return;
    uint64_t keep_from = needed_from(reps, &who);
    int percent = info.size_max == 0 ? 0 : (int)(info.used_bytes * 100 / info.size_max);
    say_fullness(reps, percent, who);
    if (percent >= DROP_PERCENT && who != NULL && holds_much_back(who, &info) &&
        settings->journal_when_full == WHEN_FULL_DROP &&
        keep_from <= info.first_seq + TRIM_STRETCH) {
        drop_standby(reps, who, &info);
        keep_from = needed_from(reps, &who);
    }
    uint64_t wall = reps->core->wall_us(reps->core);
    bool old = info.oldest_time_us != 0 && wall > info.oldest_time_us &&
               wall - info.oldest_time_us > settings->journal_keep_age;
    bool big = info.used_bytes > settings->journal_keep_size;
    if (keep_from > info.last_seq + 1)
        keep_from = info.last_seq + 1;
    uint64_t stretch = old ? TRIM_STRETCH : 0,
             excess = big ? excess_records(&info, settings->journal_keep_size) : 0;
    if (excess > stretch)
        stretch = excess;
    if (keep_from > info.first_seq + stretch)
        keep_from = info.first_seq +
                    stretch; /* a stretch a second, so that age and size are looked at again */
    if ((old || big) && keep_from > info.first_seq)
        sequencer_trim(reps->core->sequencer, keep_from);
}

/* ---- status ---- */

static void problem(json_t *problems, const char *level, const char *text, const char *do_this)
{
    json_array_append_new(problems,
                          json_pack("{s:s,s:s,s:s}", "level", level, "text", text, "do", do_this));
}

json_t *replicators_status(struct replicators *reps, json_t *problems)
{
    json_t *list = json_array();
    uint64_t now = reps->core->now_us(reps->core), last = sequencer_last_seq(reps->core->sequencer);
    char text[400];
    for (size_t i = 0; i < reps->count; i++) {
        const struct standby_position *sp = &reps->standbys[i];
        json_array_append_new(
            list, json_pack("{s:s, s:I, s:o, s:I, s:b}", "name", sp->name, "seq",
                            (json_int_t)sp->seq, "age_s",
                            sp->heard_us == 0 ? json_null()
                                              : json_real((double)(now - sp->heard_us) / 1e6),
                            "lag_records", (json_int_t)(last > sp->seq ? last - sp->seq : 0),
                            "dropped", sp->dropped));
        if (sp->dropped) {
            snprintf(text, sizeof text, "standby %s was dropped by the journal's retention",
                     sp->name);
            problem(
                problems, "error", text,
                "empty that cluster and its replicator's folder, and start the replicator again");
        }
    }
    if (reps->alarm != 0) {
        snprintf(text, sizeof text, "the journal is more than %d %% full", reps->alarm);
        problem(problems, reps->alarm >= ALARM_PERCENT_SECOND ? "error" : "warning", text,
                "see which standby is behind, or raise journal.size_max");
    }
    return list;
}

/* ---- birth and end ---- */

static enum status listen_here(struct replicators *reps, char *why, size_t why_size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int size = snprintf(reps->path, sizeof reps->path, "%s/" WIRE_SOCKET,
                        reps->core->settings->journal_folder);
    if (size < 0 || (size_t)size >= sizeof reps->path) {
        snprintf(why, why_size,
                 "journal.folder is too long a path for a Unix socket (at most %zu bytes)",
                 sizeof reps->path - sizeof "/" WIRE_SOCKET);
        return STATUS_SETTINGS_WRONG;
    }
    memcpy(address.sun_path, reps->path, sizeof address.sun_path);
    unlink(reps->path); /* we hold the journal's lock: nobody else listens there */
    reps->listener = evconnlistener_new_bind(loop_base(reps->core->control), on_accept, reps,
                                             LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 16,
                                             (struct sockaddr *)&address, sizeof address);
    if (reps->listener == NULL) {
        snprintf(why, why_size, "%s cannot be listened on: %s", reps->path, strerror(errno));
        return STATUS_SETTINGS_WRONG;
    }
    loop_pause_listener_on_error(reps->listener);
    return STATUS_OK;
}

enum status replicators_new(struct core *core, struct replicators **out, char *why, size_t why_size)
{
    const struct settings *settings = core->settings;
    struct replicators *reps = bytes_zalloc(sizeof *reps);
    reps->core = core;
    reps->records.run = tell_records;
    reps->count = settings->standbys_count;
    reps->standbys = bytes_zalloc((reps->count + 1) * sizeof *reps->standbys);
    for (size_t i = 0; i < reps->count; i++)
        reps->standbys[i].name = bytes_strdup(settings->standbys[i].name);
    *out = reps;
    if (journal_scan(core->journal, JOURNAL_STANDBYS, SPAN_NONE, load_position, reps) !=
        STATUS_OK) {
        snprintf(why, why_size, "the journal's table of standbys cannot be read");
        return STATUS_JOURNAL_IO;
    }
    return listen_here(reps, why, why_size);
}

void replicators_free(struct replicators *reps)
{
    if (reps == NULL)
        return;
    while (reps->connections != NULL)
        connection_free(reps->connections);
    if (reps->listener != NULL) {
        evconnlistener_free(reps->listener);
        unlink(reps->path);
    }
    for (size_t i = 0; i < reps->count; i++)
        free(reps->standbys[i].name);
    free(reps->standbys);
    free(reps);
}
