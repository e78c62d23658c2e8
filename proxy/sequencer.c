/* sequencer.c - the journal thread: numbers records, and makes those that wait durable together.
 *
 * All that waits when a turn begins goes into one transaction (group commit); its done() calls
 * travel back to their threads only after journal_commit returned. What must hold:
 *   - done() with OK is never posted before the commit of its transaction returned OK.
 *   - A commit that failed left nothing behind: neither rows, nor an intent, nor a number.
 *   - Any error of the disk but "full" ends the process: nothing is acknowledged after it.
 *   - MARK(n) is appended only when every intent opened before n was asked for is closed.
 *
 * Open intents are kept as one byte each in a ring up to the next free number. The few that stay
 * open for long (a shard without a primary) leave the ring for a list, so that it stays short.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/sequencer.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "proxy/core.h"

/* Writes are refused above this share of the journal, so that outcomes of what is under way still
 * fit. */
#define ADMIT_PERCENT 92
/* And while the disk has not this much room for the same. */
#define ADMIT_DISK_ROOM (2u << 20)
#define TRIM_AT_ONCE 1000
#define MARKS_MAX 64
/* Numbers of intents that a start may skip. */
#define INTENTS_RESERVED 1000
/* Intents in the ring, at most: as many bytes. The simulation has a variant with a short one. */
#ifndef RING_MAX
#define RING_MAX (UINT64_C(1) << 20)
#endif

struct pending_mark {
    uint64_t number;
    uint64_t behind; /* every intent below this number must be closed */
};

struct sequencer {
    struct core *core;
    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct commit *first, **last; /* what waits, in order */
    bool stopping;
    uint64_t trim_to;
    bool look; /* whether there is room again */

    /* the journal's thread alone */
    uint64_t next_intent, reserved; /* what is stored is the latter: a page less in each commit */
    uint64_t ring_from;             /* every open intent below it is among the stragglers */
    uint8_t *open;                  /* ring of bytes: 1 = open; indexed by number % open_size */
    uint64_t open_size;
    uint64_t *stragglers; /* ascending */
    size_t straggler_count;
    uint64_t asked_behind; /* marks: see pending_mark */
    struct pending_mark marks[MARKS_MAX];
    size_t mark_count;
    uint64_t stored_confirmed, stored_state;
    uint64_t *closing; /* intents that the present transaction closes */
    size_t closing_count, closing_capacity;

    _Atomic uint64_t next_intent_seen; /* for marks asked from other threads */
    _Atomic uint64_t mark_number;
    _Atomic uint64_t confirmed, state_version, version_base, last_seq, open_count, high_term;
    _Atomic bool full;
};

static uint64_t lowest_open(const struct sequencer *sq)
{
    return sq->straggler_count != 0 ? sq->stragglers[0] : sq->ring_from;
}

static void open_ring_grow(struct sequencer *sq, uint64_t span_needed)
{
    uint64_t size = sq->open_size == 0 ? 1024 : sq->open_size;
    while (size < span_needed)
        size *= 2;
    if (size == sq->open_size)
        return;
    uint8_t *grown = bytes_zalloc(size);
    for (uint64_t n = sq->ring_from; n < sq->ring_from + sq->open_size; n++)
        grown[n % size] = sq->open[n % sq->open_size];
    free(sq->open);
    sq->open = grown;
    sq->open_size = size;
}

/* LIMIT: a number that is about to be put into the ring, or the next free one. */
static void ring_advance(struct sequencer *sq, uint64_t limit)
{
    while (sq->ring_from < limit && !sq->open[sq->ring_from % sq->open_size])
        sq->ring_from++;
}

/* The oldest of the ring goes to the list, to make room for NUMBER. */
static void add_straggler(struct sequencer *sq, uint64_t number)
{
    sq->stragglers =
        bytes_realloc(sq->stragglers, (sq->straggler_count + 1) * sizeof *sq->stragglers);
    sq->stragglers[sq->straggler_count++] = sq->ring_from;
    sq->open[sq->ring_from % sq->open_size] = 0;
    ring_advance(sq, number);
}

static void intent_opened(struct sequencer *sq, uint64_t number)
{
    while (number - sq->ring_from >= RING_MAX && sq->open[sq->ring_from % sq->open_size])
        add_straggler(sq, number);
    CHECK(number >= sq->ring_from);
    open_ring_grow(sq, number - sq->ring_from + 1);
    sq->open[number % sq->open_size] = 1;
    atomic_fetch_add(&sq->open_count, 1);
}

static void straggler_closed(struct sequencer *sq, uint64_t number)
{
    size_t at = 0;
    while (at < sq->straggler_count && sq->stragglers[at] != number)
        at++;
    CHECK(at < sq->straggler_count);
    sq->straggler_count--;
    memmove(sq->stragglers + at, sq->stragglers + at + 1,
            (sq->straggler_count - at) * sizeof *sq->stragglers);
}

static void intent_closed(struct sequencer *sq, uint64_t number)
{
    CHECK(number < sq->next_intent);
    atomic_fetch_sub(&sq->open_count, 1);
    if (number < sq->ring_from) {
        straggler_closed(sq, number);
        return;
    }
    CHECK(sq->open[number % sq->open_size]);
    sq->open[number % sq->open_size] = 0;
    ring_advance(sq, sq->next_intent);
}

/* ---- what write() functions use ---- */

enum status commit_open_intent(struct commit *commit, struct journal_txn *txn,
                               struct intent *intent)
{
    struct sequencer *sq = commit->sequencer;
    struct journal_info info;
    uint8_t key[8];
    struct buffer bytes = {0};

    journal_info(sq->core->journal, &info);
    intent->number = sq->next_intent++;
    intent->boot = info.boot;
    commit->opened = intent->number;
    put_u64be(key, intent->number);
    intent_encode(&bytes, intent);
    enum status status =
        journal_put(txn, JOURNAL_INTENTS, span_of((char *)key, sizeof key), buffer_span(&bytes));
    buffer_fini(&bytes);
    return status;
}

enum status commit_close_intent(struct commit *commit, struct journal_txn *txn, uint64_t number)
{
    struct sequencer *sq = commit->sequencer;
    uint8_t key[8];
    if (sq->closing_count == sq->closing_capacity) {
        sq->closing_capacity = sq->closing_capacity == 0 ? 64 : sq->closing_capacity * 2;
        sq->closing = bytes_realloc(sq->closing, sq->closing_capacity * sizeof *sq->closing);
    }
    sq->closing[sq->closing_count++] = number;
    commit->closed = number;
    put_u64be(key, number);
    return journal_delete(txn, JOURNAL_INTENTS, span_of((char *)key, sizeof key));
}

enum status commit_append(struct commit *commit, struct journal_txn *txn, struct record *record)
{
    record->header.timeline = commit->sequencer->core->timeline;
#ifdef PLANT_LOSE_ROW
    if (record->header.kind == RECORD_ROW && record->row.seq_no % 7 == 6)
        return STATUS_OK;
#endif
    return journal_append(txn, record, &commit->last_seq);
}

/* ---- one turn ---- */

static struct commit *take_all(struct sequencer *sq, uint64_t *trim_to, bool *look)
{
    pthread_mutex_lock(&sq->lock);
    struct commit *list = sq->first;
    sq->first = NULL;
    sq->last = &sq->first;
    *trim_to = sq->trim_to;
    sq->trim_to = 0;
    *look = sq->look;
    sq->look = false;
    pthread_mutex_unlock(&sq->lock);
    return list;
}

static enum status write_counter(struct journal_txn *txn, const char *name, uint64_t value)
{
    char bytes[8];
    put_u64le(bytes, value);
    return journal_put(txn, JOURNAL_STATE, span_cstr(name), span_of(bytes, sizeof bytes));
}

/* Writes the commits of LIST (up to, not including, END) in one transaction. */
static enum status write_list(struct sequencer *sq, struct commit *list, struct commit *end)
{
    struct journal_txn *txn = NULL;
    uint64_t first_intent = sq->next_intent, reserved = sq->reserved;
    uint64_t confirmed = atomic_load(&sq->confirmed), state = atomic_load(&sq->state_version);
    sq->closing_count = 0;
    enum status status =
        FAILPOINT("P3a") ? STATUS_JOURNAL_IO : journal_begin(sq->core->journal, &txn);

    for (struct commit *c = list; status == STATUS_OK && c != end; c = c->next) {
        c->opened = c->closed = c->last_seq = 0;
        status = c->write(c, txn);
    }
    if (status == STATUS_OK && sq->next_intent > reserved) {
        reserved = sq->next_intent + INTENTS_RESERVED;
        status = write_counter(txn, "next_intent", reserved);
    }
    if (status == STATUS_OK && confirmed != sq->stored_confirmed)
        status = write_counter(txn, "confirmed", confirmed);
    if (status == STATUS_OK && state != sq->stored_state)
        status = write_counter(txn, "state_version", state);
    if (status == STATUS_OK && state != sq->stored_state)
        status = write_counter(txn, "version_base", atomic_load(&sq->version_base));
    if (status == STATUS_OK && FAILPOINT("P3b"))
        status = STATUS_JOURNAL_IO;
    if (status == STATUS_OK) {
        status = journal_commit(txn);
        txn = NULL;
    }
    if (txn != NULL)
        journal_abort(txn);
    if (status != STATUS_OK) {
        sq->next_intent = first_intent;
        return status;
    }
    sq->reserved = reserved;
    sq->stored_confirmed = confirmed;
    sq->stored_state = state;
    return STATUS_OK;
}

/* What the durable commits changed, in memory. */
static void apply_list(struct sequencer *sq, struct commit *list, struct commit *end)
{
    bool records = false;
    for (struct commit *c = list; c != end; c = c->next) {
        if (c->opened != 0)
            intent_opened(sq, c->opened);
        if (c->last_seq > atomic_load(&sq->last_seq)) {
            atomic_store(&sq->last_seq, c->last_seq);
            records = true;
        }
    }
    if (records && sq->core->on_records != NULL)
        sq->core->on_records(sq->core);
    for (size_t i = 0; i < sq->closing_count; i++)
        intent_closed(sq, sq->closing[i]);
    ring_advance(sq, sq->next_intent);
    atomic_store(&sq->next_intent_seen, sq->next_intent);
}

static void finish_list(struct sequencer *sq, struct commit *list, struct commit *end,
                        enum status status)
{
    while (list != end) {
        struct commit *c = list;
        list = c->next;
        c->status = status;
        sq->core->post(c->loop, &c->task);
    }
}

/* One transaction for all; when the journal has no room for all of them, one for each, so that
 * small ones pass. */
static void commit_list(struct sequencer *sq, struct commit *list)
{
    enum status status = write_list(sq, list, NULL);
    if (status == STATUS_OK) {
        apply_list(sq, list, NULL);
        finish_list(sq, list, NULL, STATUS_OK);
        return;
    }
    for (struct commit *c = list, *next; c != NULL; c = next) {
        next = c->next;
        if (status == STATUS_JOURNAL_FULL)
            status = write_list(sq, c, next);
        if (status != STATUS_OK && status != STATUS_JOURNAL_FULL) {
            sq->core->fatal(sq->core, status, "a commit of the journal failed");
            return; /* nothing more is acknowledged */
        }
        if (status == STATUS_OK)
            apply_list(sq, c, next);
        finish_list(sq, c, next, status);
        status = STATUS_JOURNAL_FULL;
    }
}

/* Splits off what may not be admitted while the journal is nearly full, and refuses it. */
static struct commit *refuse_admissions(struct sequencer *sq, struct commit *list)
{
    struct commit *kept = NULL, **tail = &kept;
    while (list != NULL) {
        struct commit *c = list;
        list = c->next;
        c->next = NULL;
        if (c->admits) {
            finish_list(sq, c, NULL, STATUS_JOURNAL_FULL);
        } else {
            *tail = c;
            tail = &c->next;
        }
    }
    return kept;
}

static void update_full(struct sequencer *sq)
{
    struct journal_info info;
    journal_info(sq->core->journal, &info);
    bool quota = info.size_max != 0 && info.used_bytes > info.size_max / 100 * ADMIT_PERCENT;
    bool full = quota || !journal_disk_has_room(sq->core->journal, ADMIT_DISK_ROOM);
    if (full != atomic_load(&sq->full)) {
        atomic_store(&sq->full, full);
        if (full)
            log_error("journal",
                      "no room is left: writes are refused, reads go on: %s (used_bytes=%" PRIu64
                      " size_max=%" PRIu64 ")",
                      quota ? "journal.size_max is used up" : "the disk is full", info.used_bytes,
                      info.size_max);
        else
            log_info("journal", "there is room again: writes are admitted (used_bytes=%" PRIu64 ")",
                     info.used_bytes);
    }
}

struct mark_commit {
    struct commit commit;
    struct mark mark;
};

static enum status mark_write(struct commit *commit, struct journal_txn *txn)
{
    struct mark_commit *mc = (struct mark_commit *)commit;
    struct record record = {.header.kind = RECORD_MARK, .mark = mc->mark};
    enum status status = commit_append(commit, txn, &record);
    if (status == STATUS_OK)
        status = write_counter(txn, "mark", mc->mark.number);
    return status;
}

static void mark_done(struct loop_task *task)
{
    free(task);
}

/* Asked marks whose intents have closed go out with the next turn. */
static bool queue_due_marks(struct sequencer *sq)
{
    size_t kept = 0;
    bool any = false;
    pthread_mutex_lock(&sq->lock);
    for (size_t i = 0; i < sq->mark_count; i++) {
        if (lowest_open(sq) < sq->marks[i].behind) {
            sq->marks[kept++] = sq->marks[i];
            continue;
        }
        struct mark_commit *mc = bytes_zalloc(sizeof *mc);
        mc->commit.task.run = mark_done;
        mc->commit.write = mark_write;
        mc->commit.loop = sq->core->control;
        mc->commit.sequencer = sq;
        mc->mark.number = sq->marks[i].number;
        mc->mark.high_term = atomic_load(&sq->high_term);
        *sq->last = &mc->commit;
        sq->last = &mc->commit.next;
        any = true;
    }
    sq->mark_count = kept;
    pthread_mutex_unlock(&sq->lock);
    return any;
}

bool sequencer_turn(struct sequencer *sq)
{
    uint64_t trim_to, trimmed = 0;
    bool look;
    queue_due_marks(sq);
    struct commit *list = take_all(sq, &trim_to, &look);
    if (list == NULL && trim_to == 0 && !look)
        return false;

    update_full(sq);
    if (atomic_load(&sq->full))
        list = refuse_admissions(sq, list);
    if (list != NULL)
        commit_list(sq, list);
    if (trim_to != 0) {
        enum status status = FAILPOINT("R7")
                                 ? STATUS_JOURNAL_IO
                                 : journal_trim(sq->core->journal, trim_to, TRIM_AT_ONCE, &trimmed);
        if (status != STATUS_OK && status != STATUS_JOURNAL_FULL)
            sq->core->fatal(sq->core, status, "old records could not be dropped from the journal");
        /* The rest in the next turn, behind what waits. Of large records the journal drops fewer at
         * once than it was asked to, so only none at all says that it is done. */
        if (trimmed != 0)
            sequencer_trim(sq, trim_to);
        update_full(sq);
    }
    return true;
}

/* A mark that waits for an intent to close is no work: closing it is a commit, which wakes us. */
static bool has_work(const struct sequencer *sq)
{
    bool due = false;
    for (size_t i = 0; i < sq->mark_count; i++)
        due = due || lowest_open(sq) >= sq->marks[i].behind;
    return sq->first != NULL || sq->trim_to != 0 || sq->look || due;
}

bool sequencer_pending(struct sequencer *sq)
{
    pthread_mutex_lock(&sq->lock);
    bool pending = has_work(sq);
    pthread_mutex_unlock(&sq->lock);
    return pending;
}

static void *sequencer_main(void *arg)
{
    struct sequencer *sq = arg;
    for (;;) {
        if (sequencer_turn(sq))
            continue;
        pthread_mutex_lock(&sq->lock);
        while (!has_work(sq) && !sq->stopping)
            pthread_cond_wait(&sq->wake, &sq->lock);
        bool end = sq->stopping && sq->first == NULL;
        pthread_mutex_unlock(&sq->lock);
        if (end)
            return NULL;
    }
}

/* ---- from other threads ---- */

static void commit_run_done(struct loop_task *task)
{
    struct commit *commit = (struct commit *)task;
    commit->done(commit);
}

/* One for each thread that submits. */
struct wake_later {
    struct loop_task task;
    struct sequencer *sequencer;
    bool set;
};

static void wake_now(struct loop_task *task)
{
    struct wake_later *later = (struct wake_later *)task;
    later->set = false;
    pthread_mutex_lock(&later->sequencer->lock);
    pthread_cond_signal(&later->sequencer->wake);
    pthread_mutex_unlock(&later->sequencer->lock);
}

/* The journal's thread is woken at the end of the turn: at once it would commit what came first
 * alone, and all else of this turn had to wait for two flushes. */
static void wake_at_end_of_turn(struct sequencer *sq, struct loop *loop)
{
    static _Thread_local struct wake_later later;
    if (later.set)
        return;
    later = (struct wake_later){.task.run = wake_now, .sequencer = sq, .set = true};
    sq->core->defer(loop, &later.task);
}

void sequencer_submit(struct sequencer *sq, struct commit *commit)
{
    commit->task.run = commit_run_done;
    commit->sequencer = sq;
    commit->next = NULL;
    struct loop *loop = commit->loop; /* the commit may be done when the lock is given back */
    pthread_mutex_lock(&sq->lock);
    bool first = sq->first == NULL;
    *sq->last = commit;
    sq->last = &commit->next;
    if (first && sq->core->defer == NULL)
        pthread_cond_signal(&sq->wake);
    pthread_mutex_unlock(&sq->lock);
    if (first && sq->core->defer != NULL)
        wake_at_end_of_turn(sq, loop);
}

uint64_t sequencer_ask_mark(struct sequencer *sq)
{
    pthread_mutex_lock(&sq->lock);
    uint64_t number = atomic_fetch_add(&sq->mark_number, 1) + 1;
    /* An intent that waits in the queue has no number yet; its write is not forwarded before its
     * commit, so the mark need not wait for it. */
    struct pending_mark mark = {number, atomic_load(&sq->next_intent_seen)};
    if (sq->mark_count == MARKS_MAX)
        sq->marks[MARKS_MAX - 1] = mark; /* the newest mark says more than the one it replaces */
    else
        sq->marks[sq->mark_count++] = mark;
    pthread_cond_signal(&sq->wake);
    pthread_mutex_unlock(&sq->lock);
    return number;
}

void sequencer_trim(struct sequencer *sq, uint64_t keep_from)
{
    pthread_mutex_lock(&sq->lock);
    if (keep_from > sq->trim_to)
        sq->trim_to = keep_from;
    pthread_cond_signal(&sq->wake);
    pthread_mutex_unlock(&sq->lock);
}

void sequencer_look(struct sequencer *sq)
{
    if (!atomic_load(&sq->full))
        return;
    pthread_mutex_lock(&sq->lock);
    sq->look = true;
    pthread_cond_signal(&sq->wake);
    pthread_mutex_unlock(&sq->lock);
}

void sequencer_confirm(struct sequencer *sq, uint64_t seq)
{
    if (seq > atomic_load(&sq->confirmed))
        atomic_store(&sq->confirmed, seq);
}

uint64_t sequencer_confirmed(struct sequencer *sq)
{
    return atomic_load(&sq->confirmed);
}

void sequencer_saw_state(struct sequencer *sq, uint64_t version, uint64_t base)
{
    atomic_store(&sq->version_base, base);
    atomic_store(&sq->state_version, version);
}

uint64_t sequencer_version_base(struct sequencer *sq)
{
    return atomic_load(&sq->version_base);
}

uint64_t sequencer_state_version(struct sequencer *sq)
{
    return atomic_load(&sq->state_version);
}

uint64_t sequencer_last_seq(struct sequencer *sq)
{
    return atomic_load(&sq->last_seq);
}

uint64_t sequencer_open_intents(struct sequencer *sq)
{
    return atomic_load(&sq->open_count);
}

void sequencer_saw_term(struct sequencer *sq, uint64_t term)
{
    uint64_t seen = atomic_load(&sq->high_term);
    while (term > seen && !atomic_compare_exchange_weak(&sq->high_term, &seen, term))
        ;
}

uint64_t sequencer_high_term(struct sequencer *sq)
{
    return atomic_load(&sq->high_term);
}

bool sequencer_is_full(struct sequencer *sq)
{
    return atomic_load(&sq->full);
}

/* ---- birth and end ---- */

static uint64_t load_counter(struct journal *journal, const char *name, uint64_t otherwise)
{
    struct buffer value = {0};
    uint64_t number = otherwise;
    if (journal_get(journal, JOURNAL_STATE, span_cstr(name), &value) == STATUS_OK &&
        value.size == 8)
        number = get_u64le(value.data);
    buffer_fini(&value);
    return number;
}

static bool load_open_intent(void *arg, struct span key, struct span value)
{
    struct sequencer *sq = arg;
    (void)value;
    if (key.size != 8)
        return true;
    uint64_t number = get_u64be(key.data);
    if (sq->ring_from == 0)
        sq->ring_from = number;
    intent_opened(sq, number);
    return true;
}

enum status sequencer_new(struct core *core, struct sequencer **out)
{
    struct sequencer *sq = bytes_zalloc(sizeof *sq);
    struct journal_info info;

    sq->core = core;
    pthread_mutex_init(&sq->lock, NULL);
    pthread_cond_init(&sq->wake, NULL);
    sq->last = &sq->first;
    sq->next_intent = sq->reserved = load_counter(core->journal, "next_intent", 1);
    atomic_store(&sq->mark_number, load_counter(core->journal, "mark", 0));
    atomic_store(&sq->confirmed, load_counter(core->journal, "confirmed", 0));
    sq->stored_confirmed = atomic_load(&sq->confirmed);
    sq->stored_state = load_counter(core->journal, "state_version", 0);
    atomic_store(&sq->state_version, sq->stored_state);
    atomic_store(&sq->version_base, load_counter(core->journal, "version_base", 0));
    journal_info(core->journal, &info);
    atomic_store(&sq->last_seq, info.last_seq);
    open_ring_grow(sq, 1);
    enum status status =
        journal_scan(core->journal, JOURNAL_INTENTS, SPAN_NONE, load_open_intent, sq);
    if (sq->ring_from == 0)
        sq->ring_from = sq->next_intent;
    atomic_store(&sq->next_intent_seen, sq->next_intent);
    *out = sq;
    return status;
}

void sequencer_free(struct sequencer *sq)
{
    if (sq == NULL)
        return;
    pthread_mutex_destroy(&sq->lock);
    pthread_cond_destroy(&sq->wake);
    free(sq->open);
    free(sq->stragglers);
    free(sq->closing);
    free(sq);
}

void sequencer_start(struct sequencer *sq)
{
    sq->threaded = true;
    CHECK(pthread_create(&sq->thread, NULL, sequencer_main, sq) == 0);
}

void sequencer_stop(struct sequencer *sq)
{
    if (!sq->threaded)
        return;
    pthread_mutex_lock(&sq->lock);
    sq->stopping = true;
    pthread_cond_signal(&sq->wake);
    pthread_mutex_unlock(&sq->lock);
    pthread_join(sq->thread, NULL);
    sq->threaded = false;
}
