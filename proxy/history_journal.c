/* history_journal.c - the proxy's history, in its journal.
 *
 * One entry is committed after the other: the next one holds the hash of the one before, which may
 * still fail.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "proxy/history_journal.h"

#include <stdlib.h>

#include "base/log.h"
#include "journal/history.h"
#include "proxy/core.h"

#define PROGRAM "tandem-proxy"

struct entry {
    struct entry *next;
    char *what, *details, *by, *role, *from; /* owned */
    uint64_t time_us;
    struct admin_request *request; /* to be answered; NULL: nobody waits */
    json_t *reply;                 /* owned */
};

struct history_journal {
    struct core *core;
    struct history end;          /* of what is durable */
    struct entry *first, **tail; /* not durable yet */
    struct commit commit;        /* of the first */
    struct history next;         /* the end, when that is durable */
    struct buffer line;          /* of it */
    bool busy;
};

static bool take_line(void *arg, struct span key, struct span line)
{
    struct history_journal *hj = arg;
    if (!span_starts(key, SPAN(HISTORY_PREFIX)))
        return false;
    history_resume(&hj->end, line);
    return true;
}

struct history_journal *history_journal_new(struct core *core)
{
    struct history_journal *hj = bytes_zalloc(sizeof *hj);
    hj->core = core;
    hj->tail = &hj->first;
    if (journal_scan(core->journal, JOURNAL_STATE, SPAN(HISTORY_PREFIX), take_line, hj) !=
        STATUS_OK)
        log_error("history", "it cannot be read from the journal");
    return hj;
}

static void entry_free(struct entry *entry)
{
    free(entry->what);
    free(entry->details);
    free(entry->by);
    free(entry->role);
    free(entry->from);
    json_decref(entry->reply);
    free(entry);
}

void history_journal_free(struct history_journal *hj)
{
    if (hj == NULL)
        return;
    while (hj->first != NULL) {
        struct entry *entry = hj->first;
        hj->first = entry->next;
        if (entry->request != NULL)
            admin_reply_error(entry->request, 503, "Tandem is ending");
        entry_free(entry);
    }
    buffer_fini(&hj->line);
    free(hj);
}

static enum status write_line(struct commit *commit, struct journal_txn *txn)
{
    struct history_journal *hj =
        (struct history_journal *)((char *)commit - offsetof(struct history_journal, commit));
    char key[HISTORY_KEY_SIZE];
    history_key(hj->next.last, key);
    return journal_put(txn, JOURNAL_STATE, span_of(key, sizeof key), buffer_span(&hj->line));
}

static void commit_first(struct history_journal *hj);

static void on_committed(struct commit *commit)
{
    struct history_journal *hj =
        (struct history_journal *)((char *)commit - offsetof(struct history_journal, commit));
    struct entry *entry = hj->first;
    bool durable = commit->status == STATUS_OK;
    hj->busy = false;
    hj->first = entry->next;
    if (hj->first == NULL)
        hj->tail = &hj->first;
    if (durable)
        hj->end = hj->next;
    else
        log_error("history", "an entry cannot be stored (%s: %s): %s", entry->what, entry->details,
                  status_text(commit->status));
    if (entry->request != NULL && durable)
        admin_reply_json(entry->request, 200, json_incref(entry->reply));
    else if (entry->request != NULL)
        admin_reply_error(entry->request, 500, "it is done, but the history cannot be stored: %s",
                          status_text(commit->status));
    entry_free(entry);
    if (hj->first != NULL)
        commit_first(hj);
}

static void commit_first(struct history_journal *hj)
{
    const struct entry *entry = hj->first;
    hj->busy = true;
    hj->next = hj->end;
    buffer_clear(&hj->line);
    history_next(&hj->next,
                 &(struct history_event){.time_us = entry->time_us,
                                         .program = PROGRAM,
                                         .what = entry->what,
                                         .by = entry->by,
                                         .role = entry->role,
                                         .from = entry->from,
                                         .details = entry->details},
                 &hj->line);
    hj->commit =
        (struct commit){.write = write_line, .done = on_committed, .loop = hj->core->control};
    sequencer_submit(hj->core->sequencer, &hj->commit);
}

void history_journal_add(struct history_journal *hj, const char *what, const char *details,
                         struct admin_request *request, json_t *reply)
{
    struct entry *entry = bytes_zalloc(sizeof *entry);
    bool named = request != NULL && request->role != ADMIN_ANYBODY;
    entry->what = bytes_strdup(what);
    entry->details = bytes_strdup(details);
    entry->by = bytes_strdup(named ? request->name : "");
    entry->role = bytes_strdup(named ? admin_role_name(request->role) : "");
    entry->from = bytes_strdup(request == NULL ? "" : request->from);
    entry->time_us = hj->core->wall_us(hj->core);
    entry->request = reply == NULL ? NULL : request;
    entry->reply = reply;
    *hj->tail = entry;
    hj->tail = &entry->next;
    if (!hj->busy)
        commit_first(hj);
}

/* ---- what it says ---- */

struct list {
    json_t *lines;
    size_t left;
};

static bool add_line(void *arg, struct span key, struct span line)
{
    struct list *list = arg;
    if (!span_starts(key, SPAN(HISTORY_PREFIX)) || list->left-- == 0)
        return false;
    json_array_append_new(list->lines, json_stringn(line.data, line.size));
    return true;
}

void history_journal_answer(struct admin_request *request, void *arg)
{
    struct history_journal *hj = arg;
    uint64_t from = 1;
    char key[HISTORY_KEY_SIZE];
    struct list list = {.lines = json_array(), .left = HISTORY_ANSWER_MAX};
    (void)admin_parameter_u64(request, "from", &from);
    history_key(from, key);
    if (journal_scan(hj->core->journal, JOURNAL_STATE, span_of(key, sizeof key), add_line, &list) !=
        STATUS_OK)
        log_error("history", "it cannot be read from the journal");
    admin_reply_json(request, 200,
                     json_pack("{s:s, s:I, s:s, s:o}", "program", PROGRAM, "last",
                               (json_int_t)hj->end.last, "hash", history_hash(&hj->end), "lines",
                               list.lines));
}
