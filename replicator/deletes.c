/* deletes.c - deletes remembered until no older row can come.
 *
 * The standby forgets a tombstone after index.gc_deletes and at every restart of a node; an older
 * row that comes after that would bring the document back. So each delete is remembered here, with
 * its version, from the transaction of its verdict on.
 *
 * While an index is seeded nothing of it goes: a page may hold a document that is deleted before
 * the page is written.
 *
 * An entry may go when every row that could be older has been replayed: a mark is asked for after
 * the entry was made, and the durable checkpoint has passed that mark. Entries are counted in
 * epochs, so that one mark serves many: asking for a mark closes the present epoch.
 *
 * Key: incarnation (4 bytes, big-endian), hash of the document (8 bytes, big-endian). Value:
 * version, epoch (8 bytes each, little-endian).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "replicator/seed.h"

#define MARK_INTERVAL_US (10 * UINT64_C(1000000))
#define FORGET_AT_ONCE 2000

static struct span delete_key(uint8_t key[12], uint32_t incarnation, uint64_t document)
{
    put_u64be(key, (uint64_t)incarnation << 32);
    put_u64be(key + 4, document);
    return span_of((char *)key, 12);
}

bool deletes_covers(struct standby *sb, uint32_t incarnation, uint64_t document, int64_t version)
{
    uint8_t key[12];
    struct buffer value = {0};
    bool covers = store_get(sb->store, STORE_DELETES, delete_key(key, incarnation, document),
                            &value) == STATUS_OK &&
                  value.size == 16 && version <= (int64_t)get_u64le(value.data);
    buffer_fini(&value);
    return covers;
}

enum status deletes_remember(struct standby *sb, uint32_t incarnation, uint64_t document,
                             int64_t version)
{
    uint8_t key[12];
    char value[16];
    if (deletes_covers(sb, incarnation, document, version))
        return STATUS_OK; /* a later one was taken first */
    put_u64le(value, (uint64_t)version);
    put_u64le(value + 8, sb->epoch);
    return store_put(sb->store, STORE_DELETES, delete_key(key, incarnation, document),
                     span_of(value, sizeof value));
}

struct forgetting {
    struct standby *sb;
    uint64_t epoch;
    struct buffer keys; /* 12 bytes each */
};

static bool pick_old(void *arg, struct span key, struct span value)
{
    struct forgetting *f = arg;
    const struct life *life = life_find(f->sb, (uint32_t)(get_u64be(key.data) >> 32));
    if (life != NULL && seed_holds_deletes(life))
        return true;
    if (value.size == 16 && get_u64le(value.data + 8) <= f->epoch)
        buffer_append_span(&f->keys, key);
    return f->keys.size < FORGET_AT_ONCE * 12;
}

/* Drops entries of epochs up to EPOCH. True: there may be more. */
static bool forget(struct standby *sb, uint64_t epoch)
{
    struct forgetting f = {.sb = sb, .epoch = epoch};
    enum status status = store_scan(sb->store, STORE_DELETES, SPAN_NONE, pick_old, &f);
    bool more = f.keys.size >= FORGET_AT_ONCE * 12;
    if (status == STATUS_OK && f.keys.size != 0) {
        status = store_begin(sb->store);
        for (size_t at = 0; status == STATUS_OK && at < f.keys.size; at += 12)
            status = store_delete(sb->store, STORE_DELETES, span_of(f.keys.data + at, 12));
        if (status == STATUS_OK)
            status = store_commit(sb->store);
        else
            store_abort(sb->store);
    }
    buffer_fini(&f.keys);
    if (status != STATUS_OK)
        standby_stop(sb, status, "remembered deletes: %s", status_text(status));
    return more && status == STATUS_OK;
}

void deletes_tick(struct standby *sb, uint64_t now_us)
{
    /* What .tandem says must have passed the mark: a replicator that lost its tables starts from
     * there. */
    if (sb->deletes_mark.seq != 0 && sb->stored_checkpoint >= sb->deletes_mark.seq) {
        /* A parked row may be older than a delete, and be sent after it at any time. */
        if (parked_count(sb) == 0 && forget(sb, sb->mark_asked_epoch))
            return; /* the rest with the next tick */
        mark_forget(sb, &sb->deletes_mark);
        sb->mark_asked_epoch = 0;
    }
    if (now_us < sb->mark_next_us || sb->mark_asked_epoch != 0)
        return;
    sb->mark_next_us = now_us + MARK_INTERVAL_US;
    bool moved = sb->checkpoint > sb->marks[1] + 1; /* a mark is also where a rewind may begin */
    if (store_count(sb->store, STORE_DELETES) == 0 && !moved)
        return;
    sb->mark_asked_epoch = sb->epoch++; /* the new epoch is stored with the next position */
    mark_await(sb, &sb->deletes_mark);
}
