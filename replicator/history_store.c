/* history_store.c - a replicator's history, in its own tables.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/history_store.h"

#include <stdlib.h>

#include "base/log.h"

#define PROGRAM "tandem-replicator"

static bool take_line(void *arg, struct span key, struct span line)
{
    struct history *end = arg;
    if (!span_starts(key, SPAN(HISTORY_PREFIX)))
        return false;
    history_resume(end, line);
    return true;
}

void history_store_open(struct history_store *hs, struct store *store)
{
    *hs = (struct history_store){.store = store};
    if (store_scan(store, STORE_STATE, SPAN(HISTORY_PREFIX), take_line, &hs->end) != STATUS_OK)
        log_error("history", "it cannot be read");
}

static enum status put(struct history_store *hs, const struct history *next, struct span line)
{
    char key[HISTORY_KEY_SIZE];
    history_key(next->last, key);
    enum status status = store_begin(hs->store);
    if (status != STATUS_OK)
        return status;
    status = store_put(hs->store, STORE_STATE, span_of(key, sizeof key), line);
    if (status == STATUS_OK)
        return store_commit(hs->store);
    store_abort(hs->store);
    return status;
}

void history_store_add(struct history_store *hs, uint64_t time_us, const char *what,
                       const struct admin_request *request, const char *details)
{
    bool named = request != NULL && request->role != ADMIN_ANYBODY;
    struct history next = hs->end;
    struct buffer line = {0};
    char *text = bytes_strdup(details);
    bytes_mend_utf8(text);
    history_next(&next,
                 &(struct history_event){.time_us = time_us,
                                         .program = PROGRAM,
                                         .what = what,
                                         .by = named ? request->name : "",
                                         .role = named ? admin_role_name(request->role) : "",
                                         .from = request == NULL ? "" : request->from,
                                         .details = text},
                 &line);
    enum status status = put(hs, &next, buffer_span(&line));
    if (status == STATUS_OK)
        hs->end = next;
    else
        log_error("history", "an entry cannot be stored (%s: %s): %s", what, text,
                  status_text(status));
    buffer_fini(&line);
    free(text);
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

void history_store_answer(struct admin_request *request, const struct history_store *hs)
{
    uint64_t from = 1;
    char key[HISTORY_KEY_SIZE];
    struct list list = {.lines = json_array(), .left = HISTORY_ANSWER_MAX};
    (void)admin_parameter_u64(request, "from", &from);
    history_key(from, key);
    if (store_scan(hs->store, STORE_STATE, span_of(key, sizeof key), add_line, &list) != STATUS_OK)
        log_error("history", "it cannot be read");
    admin_reply_json(request, 200,
                     json_pack("{s:s, s:I, s:s, s:o}", "program", PROGRAM, "last",
                               (json_int_t)hs->end.last, "hash", history_hash(&hs->end), "lines",
                               list.lines));
}
