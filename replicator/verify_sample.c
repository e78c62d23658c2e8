/* verify_sample.c - looks at a random part of a shard, on both clusters.
 *
 * A document has other sequence numbers on the standby than on the primary, and its version, which
 * would tell the primary's, cannot be searched for. So each side is sampled by its own numbers, and
 * what is found there is looked up on the other side by its id: from the primary that finds what is
 * missing or different, from the standby what is extra, too. What does not agree is settled as in a
 * whole verification.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "base/hash.h"
#include "replicator/seed.h"
#include "replicator/verify_impl.h"

#define AT_ONCE 200

void verify_sample_reset(struct verify *verify)
{
    verify->sample_seed = verify->sb->world->wall_us(verify->sb);
    for (int side = 0; side < VERIFY_SIDES; side++) {
        verify->sample_numbers[side] = verify->sample_of[side] = 0;
        verify->sample_documents[side] = 0;
    }
}

void verify_sample_note(struct verify *verify)
{
    json_object_set_new(verify->result, "documents",
                        json_integer((json_int_t)verify->sample_documents[ON_PRIMARY]));
    json_object_set_new(verify->result, "standby_documents",
                        json_integer((json_int_t)verify->sample_documents[ON_STANDBY]));
    json_object_set_new(verify->result, "sample",
                        json_pack("{s:f, s:I, s:I, s:I, s:I}", "percent", verify->sample, "numbers",
                                  (json_int_t)verify->sample_numbers[ON_PRIMARY], "of",
                                  (json_int_t)verify->sample_of[ON_PRIMARY], "standby_numbers",
                                  (json_int_t)verify->sample_numbers[ON_STANDBY], "standby_of",
                                  (json_int_t)verify->sample_of[ON_STANDBY]));
}

static void next_side(struct verify *verify, enum verify_side_number side)
{
    uint64_t seed[4] = {verify->sample_seed, verify->incarnation, verify->shard, side};
    verify->sampled_side = side;
    sample_begin(&verify->ranges, verify->reach[side][verify->shard] + 1, verify->sample,
                 hash64(seed, sizeof seed, 0));
}

void verify_sample_begin(struct verify *verify)
{
    for (int side = 0; side < VERIFY_SIDES; side++) {
        verify_scan_range(verify, (enum verify_side_number)side, -1, -1);
        verify->sample_of[side] += verify->reach[side][verify->shard] + 1;
    }
    next_side(verify, ON_PRIMARY);
}

/* ---- on the other side ---- */

static enum verify_side_number other_side(const struct verify *verify)
{
    return verify->sampled_side == ON_PRIMARY ? ON_STANDBY : ON_PRIMARY;
}

static void choose(struct verify *verify)
{
    buffer_clear(&verify->asked);
    for (struct difference *d = verify->found; d != NULL; d = d->hh.next)
        if (!d->looked_up && verify->asked.size < AT_ONCE * sizeof d)
            buffer_append(&verify->asked, &d, sizeof d);
}

static bool take_documents(struct verify *verify)
{
    struct difference **asked = (struct difference **)(void *)verify->asked.data;
    size_t i = 0, count = verify->asked.size / sizeof *asked;
    enum verify_side_number side = other_side(verify);
    struct outcome_walk walk;
    struct mget_doc doc;
    enum status status = mget_walk_init(&walk, buffer_span(&verify->call.answer));
    while (status == STATUS_OK && (status = mget_next(&walk, &doc)) == STATUS_OK) {
        if (i == count || doc.failed)
            return false;
        struct difference *d = asked[i++];
        d->seen[side] = verify_see(verify, d, &doc, side);
        d->looked_up = true;
    }
    return status == STATUS_NOT_FOUND && i == count;
}

static void drop_equal(struct verify *verify)
{
    struct difference **asked = (struct difference **)(void *)verify->asked.data;
    for (size_t i = 0; i < verify->asked.size / sizeof *asked; i++)
        if (verify_is_same(&asked[i]->seen[ON_PRIMARY], &asked[i]->seen[ON_STANDBY]))
            verify_drop_difference(verify, asked[i]);
    buffer_clear(&verify->asked);
}

static void on_documents(struct es_call *call)
{
    struct verify *verify = call->arg;
    verify->busy = false;
    if (verify->state != VERIFY_SAMPLING || verify_life(verify) == NULL)
        return;
    if (!verify_answered(verify, other_side(verify), call))
        return;
    if (!take_documents(verify)) {
        verify_wait(verify, "some documents can't be read now");
        return;
    }
    if (other_side(verify) == ON_PRIMARY)
        seed_note_read(verify->sb, verify->asked.size / sizeof(struct difference *),
                       call->answer.size);
    drop_equal(verify);
    buffer_fini(&call->answer);
    standby_on_records(verify->sb); /* last */
}

/* ---- turns ---- */

void verify_sample_take(struct verify *verify, enum verify_side_number side, struct span id,
                        bool routed, struct span routing, const struct version_seen *seen)
{
    struct difference *d = verify_difference(verify, verify->shard, id, routed, routing);
    verify->sample_documents[side]++;
    if (d != NULL && !d->settled && !d->looked_up)
        d->seen[side] = *seen;
}

/* False: both sides are through. */
static bool next_range(struct verify *verify)
{
    int64_t above, up_to;
    while (!sample_next(&verify->ranges, &above, &up_to)) {
        if (verify->sampled_side == ON_STANDBY)
            return false;
        next_side(verify, ON_STANDBY);
    }
    verify->sample_numbers[verify->sampled_side] += up_to - above;
    verify_scan_range(verify, verify->sampled_side, above, up_to);
    return true;
}

bool verify_sample_turn(struct verify *verify, uint64_t now_us)
{
    struct standby *sb = verify->sb;
    if (verify->busy || now_us < verify->retry_us || !verify_scan_turn(verify, now_us))
        return false;
    choose(verify);
    if (verify->asked.size == 0)
        return !next_range(verify);
    if (other_side(verify) == ON_STANDBY || (now_us >= sb->seed_next_us && seed_may_read(sb)))
        verify_ask_documents(verify, other_side(verify), on_documents);
    return false;
}
