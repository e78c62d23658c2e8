/* sweep_notes.c - what others write while a write by query that may delete is under way.
 *
 * The ids that it may delete are those that its query finds before it begins, and those that are
 * written from then on. The index is refreshed in between, so what is in neither was not there.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "conf/settings.h"
#include "proxy/sweep_impl.h"

struct note {
    struct span index, id, routing; /* in the arena */
    bool routed;
};

struct sweep_notes {
    struct sweep_notes *next;
    struct arena arena;
    struct note *list; /* owned */
    size_t count, capacity;
    bool too_many;
};

struct sweep_notes *sweep_notes_begin(struct core *core)
{
    struct sweep_notes *notes = bytes_zalloc(sizeof *notes);
    pthread_mutex_lock(&core->notes_lock);
    notes->next = core->notes;
    core->notes = notes;
    atomic_fetch_add(&core->noting, 1);
    pthread_mutex_unlock(&core->notes_lock);
    return notes;
}

/* Nobody adds to NOTES any more. */
static void unlink_notes(struct core *core, struct sweep_notes *notes)
{
    pthread_mutex_lock(&core->notes_lock);
    struct sweep_notes **link = &core->notes;
    while (*link != notes)
        link = &(*link)->next;
    *link = notes->next;
    atomic_fetch_sub(&core->noting, 1);
    pthread_mutex_unlock(&core->notes_lock);
}

static void free_notes(struct sweep_notes *notes)
{
    arena_fini(&notes->arena);
    free(notes->list);
    free(notes);
}

void sweep_notes_free(struct core *core, struct sweep_notes *notes)
{
    if (notes == NULL)
        return;
    unlink_notes(core, notes);
    free_notes(notes);
}

static void add(struct sweep_notes *notes, size_t max, const char *index, const struct row *row)
{
    if (notes->count == max) {
        notes->too_many = true;
        return;
    }
    if (notes->count == notes->capacity) {
        notes->capacity = notes->capacity == 0 ? 64 : 2 * notes->capacity;
        notes->list = bytes_realloc(notes->list, notes->capacity * sizeof *notes->list);
    }
    const struct note *last = notes->count == 0 ? NULL : &notes->list[notes->count - 1];
    bool same = last != NULL && span_equal(last->index, span_cstr(index));
    notes->list[notes->count++] =
        (struct note){.index = same ? last->index : arena_copy(&notes->arena, span_cstr(index)),
                      .id = arena_copy(&notes->arena, row->id),
                      .routed = row->routed,
                      .routing = row->routed ? arena_copy(&notes->arena, row->routing) : SPAN_NONE};
}

void sweep_note_row(struct core *core, const char *index, const struct row *row)
{
    if (atomic_load(&core->noting) == 0 || row->op != ROW_INDEX)
        return;
    pthread_mutex_lock(&core->notes_lock);
    for (struct sweep_notes *notes = core->notes; notes != NULL; notes = notes->next)
        add(notes, core->settings->by_query_ids_max, index, row);
    pthread_mutex_unlock(&core->notes_lock);
}

static struct sweep_target *target_of(struct sweep *sweep, struct span name)
{
    for (size_t i = 0; i < sweep->target_count; i++)
        if (span_equal(name, span_cstr(sweep->targets[i].name)))
            return &sweep->targets[i];
    return NULL;
}

bool sweep_take_notes(struct sweep *sweep)
{
    struct sweep_notes *notes = sweep->notes;
    struct sweep_target *target = NULL;
    sweep->notes = NULL;
    unlink_notes(sweep->core, notes);
    bool all = !notes->too_many;
    for (size_t i = 0; i < notes->count; i++) {
        const struct note *note = &notes->list[i];
        if (target == NULL || !span_equal(note->index, span_cstr(target->name)))
            target = target_of(sweep, note->index);
        if (target != NULL && target->index != NULL)
            sweep_add_id(sweep, target, note->id, note->routed, note->routing);
    }
    free_notes(notes);
    return all;
}
