/* life_notes.c - what the journal's table of states says of lives, beside their definitions: the
 * names of those that have ended, and which have documents with a routing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "proxy/definitions.h"

/* The record of an end has no name; rows that nobody confirmed are looked for under it after a
 * restart. */
static void ended_key(uint32_t incarnation, struct buffer *key)
{
    buffer_appendf(key, "ended/%" PRIu32, incarnation);
}

enum status definitions_store_routed(const struct catalog_index *index, struct journal_txn *txn)
{
    struct buffer key = {0};
    atomic_store(&index->flags->routed, true);
    if (atomic_load(&index->flags->stored))
        return STATUS_OK;
    buffer_appendf(&key, "routed/%" PRIu32, index->incarnation);
    enum status status = journal_put(txn, JOURNAL_STATE, buffer_span(&key), SPAN("1"));
    buffer_fini(&key);
    return status;
}

/* Keys of JOURNAL_STATE: "routed/" and the life's number. */
static bool load_routed(void *arg, struct span key, struct span value)
{
    struct definitions *defs = arg;
    struct span prefix = SPAN("routed/");
    uint64_t incarnation;
    (void)value;
    if (!span_starts(key, prefix))
        return false;
    if (!span_to_u64(span_of(key.data + prefix.size, key.size - prefix.size), &incarnation))
        return true;
    for (struct life *life = defs->lives; life != NULL; life = life->hh.next)
        if (life->incarnation == incarnation) {
            life->flags = life->flags != NULL ? life->flags : bytes_zalloc(sizeof *life->flags);
            atomic_store(&life->flags->routed, true);
            atomic_store(&life->flags->stored, true);
        }
    return true;
}

void lives_load_names(struct definitions *defs)
{
    struct buffer key = {0}, name = {0};
    for (struct life *life = defs->lives; life != NULL; life = life->hh.next) {
        buffer_clear(&key);
        buffer_clear(&name);
        ended_key(life->incarnation, &key);
        if (!life->gone ||
            journal_get(defs->core->journal, JOURNAL_STATE, buffer_span(&key), &name) != STATUS_OK)
            continue;
        free(life->name);
        life->name = span_dup(buffer_span(&name));
    }
    buffer_fini(&key);
    buffer_fini(&name);
}

enum status lives_write_name(struct definitions *defs, const struct change *change,
                             struct journal_txn *txn)
{
    struct life *life;
    struct buffer key = {0};
    HASH_FIND_STR(defs->lives, change->name, life);
    if (life == NULL || change->body != NULL || change->incarnation == 0)
        return STATUS_OK;
    ended_key(life->incarnation, &key);
    enum status status = journal_put(txn, JOURNAL_STATE, buffer_span(&key), span_cstr(life->name));
    buffer_fini(&key);
    return status;
}

enum status lives_load_routed(struct definitions *defs)
{
    return journal_scan(defs->core->journal, JOURNAL_STATE, SPAN("routed/"), load_routed, defs);
}
