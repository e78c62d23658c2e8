/* marks.c - asks the proxy for marks, one at a time, for all who wait for one.
 *
 * A mark says that everything that was open when it was asked for is closed, so it must have been
 * asked for after whoever waits began to wait. One request is under way at most: its answer can
 * then belong to no other.
 *
 * A proxy that dies after it has answered, and before the mark is in its journal, forgets it: what
 * has not come after a while is asked for again.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/standby.h"

#define AGAIN_US (30 * UINT64_C(1000000))

static void ask(struct standby *sb)
{
    bool any = false;
    for (struct mark_wait *wait = sb->mark_waits; wait != NULL; wait = wait->next) {
        any = any || !wait->asked;
        if (!wait->asked)
            wait->since_us = sb->world->now_us(sb);
        wait->asked = true;
    }
    if (!any)
        return;
    sb->mark_asking = true;
    sb->world->ask_mark(sb);
}

void marks_tick(struct standby *sb, uint64_t now_us)
{
    for (struct mark_wait *wait = sb->mark_waits; wait != NULL; wait = wait->next)
        if (wait->number != 0 && wait->seq == 0 && now_us - wait->since_us > AGAIN_US) {
            wait->number = 0;
            wait->asked = false;
        }
    if (!sb->mark_asking)
        ask(sb);
}

void mark_await(struct standby *sb, struct mark_wait *wait)
{
    mark_forget(sb, wait);
    wait->next = sb->mark_waits;
    sb->mark_waits = wait;
    if (!sb->mark_asking)
        ask(sb);
}

void mark_forget(struct standby *sb, struct mark_wait *wait)
{
    for (struct mark_wait **link = &sb->mark_waits; *link != NULL; link = &(*link)->next)
        if (*link == wait) {
            *link = wait->next;
            break;
        }
    *wait = (struct mark_wait){0};
}

static void tell(struct standby *sb, uint64_t number, uint64_t seq)
{
    for (struct mark_wait *wait = sb->mark_waits; wait != NULL; wait = wait->next)
        if (wait->number != 0 && number >= wait->number && wait->seq == 0)
            wait->seq = seq;
}

void standby_on_mark_number(struct standby *sb, uint64_t number)
{
    if (!sb->mark_asking)
        return;
    sb->mark_asking = false;
    for (struct mark_wait *wait = sb->mark_waits; wait != NULL; wait = wait->next)
        if (wait->asked && wait->number == 0)
            wait->number = number;
    if (sb->mark_read_seq != 0) /* its record may have been read before its number came */
        tell(sb, sb->mark_read_number, sb->mark_read_seq);
    ask(sb);
}

void marks_on_record(struct standby *sb, uint64_t number, uint64_t seq)
{
    sb->mark_read_number = number;
    sb->mark_read_seq = seq;
    tell(sb, number, seq);
    if (seq > sb->marks[1]) {
        sb->marks[0] = sb->marks[1];
        sb->marks[1] = seq;
    }
}
