/* sim.h - one seed, one history: proxy, replicator, two model clusters and their clients in one
 * process.
 *
 *   world.c         the clock, the queue of events, chance, loops
 *   network.c       requests to the model clusters, and what can happen to each
 *   proxy_side.c    the proxy's machines: their world, their births and crashes
 *   standby_side.c  the replicator's
 *   clients.c       what clients ask for, and what they were answered
 *   faults.c        what is done to the parts, and when
 *   checks.c        what must hold, during a history and at its end
 *   sim.c           seeds, jobs, the command line
 *
 * What must hold of the simulation itself:
 *   - A seed gives the same history, byte for byte: chance comes from sim_chance() and sim_below()
 * only, events of one moment run in the order in which they were made.
 *   - The machines are those of production, unchanged; only their world is ours.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_TESTS_SIM_H
#define TANDEM_TESTS_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/check.h"
#include "journal/store.h"
#include "model_cluster.h"
#include "proxy/core.h"

#define MS UINT64_C(1000)
#define SECOND UINT64_C(1000000)
#define WALL_AT_START (UINT64_C(1790000000) * SECOND)
#define SIM_LOOPS 3 /* the control thread's, and two workers' */

struct sim;
struct exchange;
struct standby;
struct standby_world;

enum process { PROCESS_WORLD, PROCESS_PROXY, PROCESS_REPLICATOR, PROCESSES };
enum side { PRIMARY, STANDBY, SIDES };

/* Something that happens at its time, unless the process it belongs to has died before. */
struct sim_event {
    uint64_t at_us, order;
    enum process process;
    unsigned life; /* of the process */
    void (*run)(struct sim *sim, void *arg);
    void (*drop)(void *arg); /* called instead of run when the process has died; NULL: nothing */
    void *arg;
};

/* One thread of the proxy, as `struct loop *` to the machines. */
struct sim_loop {
    struct loop_task *first, **last;
    bool scheduled;
};

/* What can go wrong in this history; chances are per 1000. */
struct plan {
    unsigned write_unsent, write_lost, answer_lost, write_late, answer_5xx, write_twice, item_busy;
    unsigned own_lost, page_slow;
    unsigned bulk_lost, bulk_answer_lost, bulk_late, bulk_busy, bulk_5xx, row_busy;
    unsigned client_gone;
    unsigned slow_commit;
    unsigned faults; /* how many are done to the parts, see faults.c */
    bool journal_full, restores, loses_store, admin, metadata, jumps;
    bool pipelines;
    bool writes_past; /* somebody writes to the primary past Tandem */
    bool alias_routes; /* `al` adds a routing, always: one that changes under a write is beyond what
                          is watched */
    unsigned dynamic;  /* chance of a field whose type is guessed */
    uint64_t delay_max_us;
};

enum said {
    SAID_NOTHING,
    SAID_APPLIED,     /* promised */
    SAID_NOT_APPLIED, /* promised too */
    SAID_UNKNOWN,     /* answered so, or never answered */
};

/* One document write that a client asked for; a bulk has several. */
struct op_item {
    uint64_t token; /* `t` in the document, never used again; 0: the item stores none */
    char index[32]; /* name as sent */
    char id[32];    /* "": none was given */
    char routing[8];
    bool is_delete;
    enum said result;
};

/* One request of a client. */
struct op {
    uint64_t number;
    unsigned client;
    bool bulk, metadata;
    struct buffer head, body; /* owned */
    struct op_item *items;    /* owned */
    size_t item_count;
    enum said result;
    int status;
    uint64_t begun_us, ended_us;
    struct exchange *exchange; /* NULL when it has none */
    struct op *next;           /* in sim->ops */
};

struct sim {
    uint64_t seed, random, now_us, wall_offset_us;
    bool verbose;
    struct sim_event *heap; /* owned */
    size_t heap_size, heap_capacity;
    uint64_t next_order, events_run;
    unsigned life[PROCESSES];
    bool up[PROCESSES];
    struct plan plan;
    uint64_t rest_us; /* since when nothing is busy but the audit; 0: something is */
    bool healed; /* nothing goes wrong any more */
    struct settings *settings;

    struct model_cluster *clusters[SIDES];
    struct model_cluster *snapshot; /* of the standby; NULL when none was taken */
    uint64_t down_until_us[SIDES];
    unsigned restarts[SIDES];
    size_t flights;

    struct memory_disk *disk;
    struct core core;
    struct journal *journal;
    struct sim_loop loops[SIM_LOOPS];
    bool turn_scheduled, died; /* the proxy must end: its journal failed */
    uint64_t slow_until_us;    /* commits take long */
    bool records_told;
    uint64_t quiet_hold; /* number of the hold under which nothing was under way any more */

    struct store_memory *store_memory;
    struct store *store;
    struct journal *reader;
    struct standby *standby;
    bool mark_wanted;
    uint64_t reported;
    bool stops;   /* the replicator ends, to be started again */
    bool spoilt;  /* somebody wrote on the standby past Tandem */
    bool rewinds; /* the replicator or the standby lost what it knew: rows may come again */

    struct op *ops, **ops_tail; /* all of them, in order */
    size_t op_count, ops_left, ops_waiting, faults_left;
    uint64_t next_token;
    struct seen {
        char index[32], id[32];
        int64_t seq_no;
        uint64_t term;
    } seen[16]; /* numbers that clients were answered, for conditions */
    size_t seen_next;

    struct checks *checks;
    char failure[2000]; /* "" while all is well */
    char checker[8];
};

/* ---- world.c ---- */
uint64_t sim_below(struct sim *sim, uint64_t limit); /* 0 .. limit - 1 */
bool sim_chance(struct sim *sim, unsigned per_mille);
void sim_at(struct sim *sim, uint64_t at_us, enum process process,
            void (*run)(struct sim *sim, void *arg), void (*drop)(void *arg), void *arg);
void sim_after(struct sim *sim, uint64_t delay_us, enum process process,
               void (*run)(struct sim *sim, void *arg), void (*drop)(void *arg), void *arg);
/* Runs the next event. False: there is none. */
bool sim_step(struct sim *sim);
void sim_drop_events(struct sim *sim);
/* A line of the history, printed with --verbose. */
void sim_say(struct sim *sim, const char *format, ...) PRINTF_LIKE(2, 3);
/* CHECKER found that something does not hold; the first finding counts. */
void sim_fail(struct sim *sim, const char *checker, const char *format, ...) PRINTF_LIKE(3, 4);
void sim_post(struct loop *loop, struct loop_task *task);
struct loop *sim_loop(struct sim *sim, size_t number);
/* The one simulation of this process. */
extern struct sim *sim_present;

/* ---- network.c ---- */
enum flight_kind {
    FLIGHT_WRITE,    /* a client's documents */
    FLIGHT_METADATA, /* a client's change of definitions */
    FLIGHT_OWN,      /* Tandem's own, of the proxy or the replicator */
    FLIGHT_BULK,     /* the replicator's rows */
};
/* A request under way. It frees itself. */
struct flight {
    struct sim *sim;
    enum side side;
    enum process process;
    enum flight_kind kind;
    struct buffer method, target, content_type, body;
    /* how it ends */
    bool failed, nothing_sent, slow_down;
    int pretend; /* status to answer instead of what the cluster says; 0: none */
    bool twice, some_items_busy, late;
    struct model_answer answer;
    void (*on_end)(struct flight *flight); /* unless the process died meanwhile */
    void *arg;
    unsigned references;
    unsigned restarts; /* of the cluster, when it left */
    bool counted;      /* in sim->flights; what only reads is not */
};
void flight_send(struct sim *sim, enum side side, enum process process, enum flight_kind kind,
                 struct span method, struct span target, struct span content_type, struct span body,
                 void (*on_end)(struct flight *flight), void *arg);
/* CALL as a flight; ends in call->on_done. */
void network_call(struct sim *sim, enum side side, enum process process, enum flight_kind kind,
                  struct es_call *call);
/* At once and without fault, by an administrator. Returns the status. */
int network_ask(struct sim *sim, enum side side, const char *method, const char *target,
                const char *body);

/* True when there is an index of that name. */
bool network_peek(struct sim *sim, enum side side, const char *index);

/* ---- proxy_side.c ---- */
void proxy_start(struct sim *sim);
void proxy_crash(struct sim *sim, const char *why);
void proxy_free(struct sim *sim);
/* Something was done in the proxy: commits may wait now. */
void proxy_look(struct sim *sim);
void proxy_take(struct sim *sim, struct op *op);
void proxy_client_gone(struct sim *sim, struct op *op);
void proxy_ask_mark(struct sim *sim);
void proxy_hold(struct sim *sim, uint64_t max_us);
void proxy_end_hold(struct sim *sim);
/* NULL when the proxy has nothing to do, else what it is at. */
const char *proxy_busy(struct sim *sim);

/* ---- standby_side.c ---- */
void replicator_start(struct sim *sim);
void replicator_crash(struct sim *sim);
void replicator_free(struct sim *sim);
void replicator_on_records(struct sim *sim);
void replicator_on_mark(struct sim *sim, uint64_t number);
const char *replicator_busy(struct sim *sim);

/* ---- clients.c ---- */
void clients_start(struct sim *sim);
void clients_setup(struct sim *sim);
/* The answer to OP: as the client sees it. */
void clients_on_reply(struct sim *sim, struct op *op, int status, struct span fields,
                      struct span body);
/* No answer will come. */
void clients_on_silence(struct sim *sim, struct op *op);
/* COUNT writes straight to the primary, of documents that may be there or not; ROUTED: some with a
 * routing. */
void clients_write_past(struct sim *sim, size_t count, bool routed);
size_t clients_spoil_standby(struct sim *sim);
void clients_free(struct sim *sim);

/* ---- faults.c ---- */
void faults_plan(struct sim *sim);
void faults_start(struct sim *sim);
void faults_heal(struct sim *sim);

/* ---- checks.c ---- */
void checks_new(struct sim *sim);
void checks_free(struct sim *sim);
void checks_observe(struct sim *sim, enum side side);
/* The standby forgot tombstones, or was restored from a copy. */
void checks_standby_forgot(struct sim *sim);
void checks_on_records(struct sim *sim);
/* OP was answered APPLIED with BODY: its rows must be durable. */
void checks_on_promise(struct sim *sim, const struct op *op, int status, struct span body);
void checks_at_end(struct sim *sim);
/* Documents and definitions are equal; versions of what was repaired may be higher. */
void checks_after_repair(struct sim *sim);
/* Prints what happened to the document that the failure is about. */
void checks_explain(struct sim *sim);

#endif
