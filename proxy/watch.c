/* watch.c - one id that is looked at again later: its birth, its stored form, its delays. doubt.c
 * does the looking.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "proxy/core.h"
#include "proxy/doubt.h"

static const uint64_t watch_delays_us[] = {1000000, 10000000, 60000000};

bool watch_is_over(const struct watch *watch)
{
    return watch->tries >= COUNT_OF(watch_delays_us);
}

uint64_t watch_delay(unsigned tries)
{
    return tries < COUNT_OF(watch_delays_us) ? watch_delays_us[tries] : 0;
}

void watch_end(struct watch *watch)
{
    watch->tries = COUNT_OF(watch_delays_us);
}

void watch_once(struct watch *watch)
{
    watch->tries = watch->tries_durable = COUNT_OF(watch_delays_us) - 1;
}

static void intent_item_copy(struct intent_item *to, const struct intent_item *from)
{
    *to = *from;
    to->name = span_cstr(span_dup(from->name));
    to->name.size = from->name.size;
    to->id = span_of(span_dup(from->id), from->id.size);
    to->routing = span_of(span_dup(from->routing), from->routing.size);
    to->concrete = span_of(span_dup(from->concrete), from->concrete.size);
}

static void span_free(struct span span)
{
    free((void *)(uintptr_t)span.data);
}

struct watch *watch_new(struct core *core, const struct intent_item *item, uint64_t delay_us)
{
    struct watch *watch = bytes_zalloc(sizeof *watch);
    watch->core = core;
    watch->number = atomic_fetch_add(&core->next_watch, 1);
    watch->since_us = core->now_us(core);
    watch->due_us = watch->since_us + delay_us;
    intent_item_copy(&watch->item, item);
    return watch;
}

void watch_free(struct watch *watch)
{
    span_free(watch->item.name);
    span_free(watch->item.id);
    span_free(watch->item.routing);
    span_free(watch->item.concrete);
    free(watch);
}

/* The stored form: known, found, tries, life, term, seq_no; then an intent of one item. */
enum status watch_store(const struct watch *watch, struct journal_txn *txn)
{
    struct buffer value = {0};
    uint8_t key[8];
    struct intent_item item = watch->item;
    struct intent intent = {.number = watch->number, .item_count = 1, .items = &item};
    put_u64be(key, watch->number);
    buffer_append_u8(&value, watch->known);
    buffer_append_u8(&value, watch->found);
    buffer_append_u16(&value, (uint16_t)watch->tries);
    buffer_append_u32(&value, watch->life);
    buffer_append_u64(&value, watch->term);
    buffer_append_u64(&value, (uint64_t)watch->seq_no);
    intent_encode(&value, &intent);
    enum status status =
        journal_put(txn, JOURNAL_WATCH, span_of((char *)key, sizeof key), buffer_span(&value));
    buffer_fini(&value);
    return status;
}

enum status watch_remove(const struct watch *watch, struct journal_txn *txn)
{
    uint8_t key[8];
    put_u64be(key, watch->number);
    return journal_delete(txn, JOURNAL_WATCH, span_of((char *)key, sizeof key));
}

struct watch *watch_decode(struct core *core, struct span key, struct span value)
{
    struct reader reader = reader_of(value);
    struct watch *watch = bytes_zalloc(sizeof *watch);
    struct intent intent;
    watch->core = core;
    watch->number = get_u64be(key.data);
    watch->known = reader_u8(&reader) != 0;
    watch->found = reader_u8(&reader) != 0;
    watch->tries = watch->tries_durable = reader_u16(&reader);
    watch->since_us = core->now_us(core);
    watch->life = reader_u32(&reader);
    watch->term = reader_u64(&reader);
    watch->seq_no = (int64_t)reader_u64(&reader);
    /* Not earlier than it would have been: the lost request does not execute sooner for our death.
     */
    watch->due_us = core->now_us(core) + (watch->tries == 0 ? 0 : watch_delay(watch->tries));
    if (!reader.ok ||
        intent_decode(span_of(reader.at, (size_t)(reader.end - reader.at)), &intent) != STATUS_OK) {
        free(watch);
        return NULL;
    }
    if (intent.item_count == 1)
        intent_item_copy(&watch->item, &intent.items[0]);
    intent_fini(&intent);
    return watch;
}

struct give_up {
    struct commit commit;
    struct watch *watch;
};

static enum status give_up_write(struct commit *commit, struct journal_txn *txn)
{
    return watch_remove(((struct give_up *)commit)->watch, txn);
}

static void give_up_done(struct commit *commit)
{
    watch_free(((struct give_up *)commit)->watch);
    free(commit);
}

void watch_give_up(struct watch *watch)
{
    struct give_up *give_up = bytes_zalloc(sizeof *give_up);
    give_up->watch = watch;
    give_up->commit =
        (struct commit){.write = give_up_write, .done = give_up_done, .loop = watch->core->control};
    sequencer_submit(watch->core->sequencer, &give_up->commit);
}
