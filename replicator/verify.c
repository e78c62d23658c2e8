/* verify.c - compares a standby with the primary, index by index and shard by shard, while writes
 * go on; makes it equal when that is asked for.
 *
 *     NEXT -> DEFINING -> COUNTING -> SUMMING -> (RECOUNTING) -> COLLECTING -> SETTLING
 *      ^ |                               ^__________|________________________________| |
 *      |  -> OBJECTS, ENDED               ____________________________________________/
 *      |_________________________________/
 *
 * First the definitions (verify_definitions.c): of each index, and of what is no index once. Then:
 * For each shard: the digests of both sides are summed up per bucket (verify_scan.c); where a
 * bucket differs its documents are read once more, and those that differ are looked at one by one
 * until it is certain (verify_settle.c). A repair does all of it first, and then writes. A sample
 * looks at a random part of each shard instead (SAMPLING, verify_sample.c), and settles that.
 *
 * What must hold:
 *   - What is under way is no difference.
 *   - The primary is never written to.
 *   - Nothing is written when the primary looks as if it had lost data: the standby has versions
 * that the primary never reached, or a good part of its documents is not on the primary. An
 * operator may say otherwise (force).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "replicator/verify.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/index_state.h"
#include "es/vectors.h"
#include "http/message.h"
#include "replicator/audit.h"
#include "replicator/reading.h"
#include "replicator/verify_impl.h"

#define BACKOFF_MIN_US (500 * UINT64_C(1000))
#define BACKOFF_MAX_US (30 * UINT64_C(1000000))
#define FOUND_MAX 100000
#define SHOWN_MAX 200
/* So long what was found can be read, before the audit begins a verification of its own. */
#define READ_US (60 * UINT64_C(1000000))
/* So many documents that only the standby has are no sign of a loss. */
#define EXTRA_HARMLESS 100
#define EXTRA_PERCENT 10

static const struct {
    const char *name;
    unsigned next; /* the states that may follow, as bits */
} states[] = {
    [VERIFY_NONE] = {"none", BIT(VERIFY_NEXT)},
    [VERIFY_NEXT] = {"running", BIT(VERIFY_OBJECTS) | BIT(VERIFY_DEFINING) | BIT(VERIFY_ENDED)},
    [VERIFY_OBJECTS] = {"running", BIT(VERIFY_NEXT) | BIT(VERIFY_ENDED)},
    [VERIFY_DEFINING] = {"running", BIT(VERIFY_COUNTING) | BIT(VERIFY_NEXT) | BIT(VERIFY_ENDED)},
    [VERIFY_SAMPLING] = {"running", BIT(VERIFY_SETTLING) | BIT(VERIFY_NEXT) | BIT(VERIFY_ENDED)},
    [VERIFY_COUNTING] = {"running", BIT(VERIFY_SAMPLING) | BIT(VERIFY_SUMMING) | BIT(VERIFY_NEXT) |
                                        BIT(VERIFY_ENDED)},
    [VERIFY_SUMMING] = {"running", BIT(VERIFY_SUMMING) | BIT(VERIFY_RECOUNTING) |
                                       BIT(VERIFY_COLLECTING) | BIT(VERIFY_SETTLING) |
                                       BIT(VERIFY_NEXT) | BIT(VERIFY_ENDED)},
    [VERIFY_RECOUNTING] = {"running", BIT(VERIFY_SUMMING) | BIT(VERIFY_COLLECTING) |
                                          BIT(VERIFY_SETTLING) | BIT(VERIFY_NEXT) |
                                          BIT(VERIFY_ENDED)},
    [VERIFY_COLLECTING] = {"running", BIT(VERIFY_SETTLING) | BIT(VERIFY_NEXT) | BIT(VERIFY_ENDED)},
    [VERIFY_SETTLING] = {"running", BIT(VERIFY_SAMPLING) | BIT(VERIFY_SUMMING) |
                                        BIT(VERIFY_SETTLING) | BIT(VERIFY_NEXT) |
                                        BIT(VERIFY_ENDED)},
    [VERIFY_ENDED] = {"ended", BIT(VERIFY_NEXT)},
};

void verify_set_state(struct verify *verify, enum verify_state next)
{
    CHECK(states[verify->state].next & BIT(next));
    verify->state = next;
}

static bool is_running(const struct verify *verify)
{
    return verify != NULL && verify->state != VERIFY_NONE && verify->state != VERIFY_ENDED;
}

bool verify_is_running(const struct standby *sb)
{
    return is_running(sb->verify);
}

/* ---- differences ---- */

struct difference *verify_difference(struct verify *verify, size_t shard, struct span id,
                                     bool routed, struct span routing)
{
    struct difference *difference;
    struct buffer key = {0};
    buffer_append_span(&key, id);
    buffer_append_u32(&key, (uint32_t)shard);
    HASH_FIND(hh, verify->found, key.data, key.size, difference);
    if (difference == NULL && HASH_COUNT(verify->found) >= FOUND_MAX) {
        verify->truncated = true;
    } else if (difference == NULL) {
        difference = bytes_zalloc(sizeof *difference);
        difference->key = span_dup(buffer_span(&key));
        difference->key_size = key.size;
        difference->id = span_of(difference->key, id.size);
        difference->shard = shard;
        HASH_ADD_KEYPTR(hh, verify->found, difference->key, difference->key_size, difference);
        verify_set_routing(difference, routed, routing);
    }
    buffer_fini(&key);
    return difference;
}

void verify_set_routing(struct difference *difference, bool routed, struct span routing)
{
    difference->routed = routed;
    buffer_clear(&difference->routing);
    buffer_append_span(&difference->routing, routing);
}

void verify_drop_difference(struct verify *verify, struct difference *difference)
{
    HASH_DEL(verify->found, difference);
    buffer_fini(&difference->routing);
    free(difference->key);
    free(difference);
}

static void drop_all(struct verify *verify)
{
    struct difference *difference, *next;
    HASH_ITER(hh, verify->found, difference, next)
    {
        verify_drop_difference(verify, difference);
    }
    buffer_clear(&verify->asked);
}

/* A standby that is ahead with the same content was repaired, or has a newer row already. */
bool verify_is_equal(const struct difference *difference)
{
    const struct version_seen *ours = &difference->seen[ON_PRIMARY],
                              *theirs = &difference->seen[ON_STANDBY];
    if (!ours->found || !theirs->found)
        return ours->found == theirs->found;
    return theirs->version >= ours->version && theirs->content == ours->content;
}

bool verify_is_same(const struct version_seen *a, const struct version_seen *b)
{
    return a->found == b->found &&
           (!a->found || (a->version == b->version && a->content == b->content));
}

/* White space between the members means nothing, and the standby has it in one line. */
uint64_t verify_content(struct verify *verify, struct span source, bool routed, struct span routing)
{
    const struct life *life = verify_life(verify);
    struct buffer text = {0};
    bool quoted = false;
    uint64_t of_routing = routed ? hash64(routing.data, routing.size, 1) : 0;
    if (life != NULL && life->vectors != NULL)
        return vectors_digest(source, life->vectors) + of_routing;
    for (size_t i = 0; i < source.size; i++) {
        char c = source.data[i];
        if (quoted && c == '\\' && i + 1 < source.size) {
            buffer_append(&text, source.data + i++, 2);
            continue;
        }
        if (c == '"')
            quoted = !quoted;
        if (quoted || (c != ' ' && c != '\n' && c != '\r' && c != '\t'))
            buffer_append_char(&text, c);
    }
    uint64_t digest = hash64(text.data, text.size, 3);
    buffer_fini(&text);
    return digest + of_routing;
}

/* ---- calls ---- */

struct life *verify_life(struct verify *verify)
{
    struct life *life = life_find(verify->sb, verify->incarnation);
    return life == NULL || life->state == LIFE_GONE || life->ending ? NULL : life;
}

char *verify_name(struct verify *verify)
{
    struct buffer name = {0};
    http_percent_encode(span_cstr(verify_life(verify)->name), &name);
    char *text = bytes_strdup(buffer_cstr(&name));
    buffer_fini(&name);
    return text;
}

bool verify_asks_vectors(struct verify *verify, enum verify_side_number side)
{
    const struct standby *sb = verify->sb;
    if (side == ON_PRIMARY)
        return verify_life(verify)->hides_vectors;
    return !sb->opensearch && standby_at_least(sb, 9, 2);
}

void verify_call(struct verify *verify, enum verify_side_number side, struct es_call *call)
{
    struct standby *sb = verify->sb;
    call->timeout_us = VERIFY_TIMEOUT_US;
    if (side == ON_PRIMARY)
        sb->world->primary_call(sb, call);
    else
        sb->world->call(sb, call);
}

void verify_wait(struct verify *verify, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(verify->why, sizeof verify->why, format, args);
    va_end(args);
    bytes_mend_utf8(verify->why);
    verify->backoff_us = verify->backoff_us == 0 ? BACKOFF_MIN_US : verify->backoff_us * 2;
    if (verify->backoff_us > BACKOFF_MAX_US)
        verify->backoff_us = BACKOFF_MAX_US;
    verify->retry_us = verify->sb->world->now_us(verify->sb) + verify->backoff_us;
}

bool verify_answered(struct verify *verify, enum verify_side_number side,
                     const struct es_call *call)
{
    const char *who = side == ON_PRIMARY ? "the primary" : "the standby";
    if (call->status != STATUS_OK) {
        verify_wait(verify, "%s: %s", who, call->why);
        return false;
    }
    if (call->http_status < 200 || call->http_status >= 300) {
        struct span body = buffer_span(&call->answer);
        verify_wait(verify, "%s refuses: %d %.*s", who, call->http_status,
                    (int)(body.size > 160 ? 160 : body.size), body.data == NULL ? "" : body.data);
        return false;
    }
    verify->why[0] = '\0';
    verify->backoff_us = 0;
    return true;
}

/* ---- one index ---- */

static void save(struct verify *verify);

static void tell_audit(const struct verify *verify, struct life *life)
{
    bool looked = !verify->truncated &&
                  json_integer_value(json_object_get(verify->result, "left")) == 0 &&
                  json_object_get(verify->result, "skipped") == NULL;
    if (looked && verify->apply && json_object_get(verify->result, "refused") == NULL)
        audit_on_equal(life);
    else if (!looked && verify->for_audit)
        audit_suspect(life);
}

static void end_index(struct verify *verify)
{
    if (verify_life(verify) != NULL)
        tell_audit(verify, verify_life(verify));
    json_array_append_new(verify->results, verify->result);
    verify->result = NULL;
    drop_all(verify);
    mark_forget(verify->sb, &verify->mark);
    verify->applying = false;
    verify_set_state(verify, VERIFY_NEXT);
    save(verify);
}

void verify_skip(struct verify *verify, const char *why)
{
    json_object_set_new(verify->result, "skipped", json_string(why));
    end_index(verify);
}

static const char *kind_of(const struct difference *difference)
{
    return !difference->seen[ON_STANDBY].found   ? "missing"
           : !difference->seen[ON_PRIMARY].found ? "extra"
                                                 : "different";
}

static void add_to(json_t *result, const char *name, json_int_t more)
{
    json_int_t now = json_integer_value(json_object_get(result, name));
    json_object_set_new(result, name, json_integer(now + more));
}

/* Notes what is a difference in the result; what never came to rest is none. */
static void note_differences(struct verify *verify)
{
    json_t *shown = json_array();
    json_object_set_new(verify->result, "missing", json_integer(0));
    json_object_set_new(verify->result, "extra", json_integer(0));
    json_object_set_new(verify->result, "different", json_integer(0));
    json_object_set_new(verify->result, "in_flight", json_integer(0));
    for (const struct difference *d = verify->found; d != NULL; d = d->hh.next) {
        add_to(verify->result, d->settled ? kind_of(d) : "in_flight", 1);
        if (!d->settled || json_array_size(shown) >= SHOWN_MAX)
            continue;
        struct buffer id = {0}, routing = {0};
        buffer_append_span(&id, d->id);
        buffer_append_span(&routing, buffer_span(&d->routing));
        json_t *one = json_pack("{s:s, s:s}", "what", kind_of(d), "id", buffer_cstr(&id));
        if (one != NULL && d->routed)
            json_object_set_new(one, "routing", json_string(buffer_cstr(&routing)));
        if (one != NULL)
            json_array_append_new(shown, one);
        buffer_fini(&id);
        buffer_fini(&routing);
    }
    json_object_set_new(verify->result, "differences", shown);
    if (verify->truncated)
        json_object_set_new(verify->result, "truncated", json_true());
}

/* Why nothing may be written; NULL: it may. */
static const char *refusal(struct verify *verify)
{
    json_int_t extra = json_integer_value(json_object_get(verify->result, "extra"));
    extra -= (json_int_t)audit_excused(verify_life(verify));
    json_int_t documents = json_integer_value(json_object_get(verify->result, "standby_documents"));
    for (const struct difference *d = verify->found; d != NULL; d = d->hh.next)
        if (d->settled && d->ahead)
            return "the standby has versions that the primary never reached: the primary may have "
                   "lost data";
    if (extra > EXTRA_HARMLESS && extra * 100 > documents * EXTRA_PERCENT)
        return "a good part of the standby's documents is not on the primary: it may have lost "
               "data";
    return NULL;
}

/* All shards were looked at. */
static void judge_index(struct verify *verify)
{
    (void)FAILPOINT("V3");
    note_differences(verify);
    if (verify->sample != 0)
        verify_sample_note(verify);
    const char *why = verify->force ? NULL : refusal(verify);
    if (!verify->apply || HASH_COUNT(verify->found) == 0) {
        end_index(verify);
        return;
    }
    if (why != NULL) {
        json_object_set_new(verify->result, "refused", json_string(why));
        log_error(verify->sb->name, "index %s is not made equal: %s",
                  json_string_value(json_object_get(verify->result, "index")), why);
        end_index(verify);
        return;
    }
    verify->applying = true;
    verify_settle_begin(verify);
    if (verify->state != VERIFY_SETTLING)
        verify_set_state(verify, VERIFY_SETTLING);
}

static void end_repair(struct verify *verify)
{
    (void)FAILPOINT("V6");
    json_int_t all = 0, left = 0;
    static const char *const kinds[] = {"missing", "extra", "different"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        all += json_integer_value(json_object_get(verify->result, kinds[i]));
    for (const struct difference *d = verify->found; d != NULL; d = d->hh.next)
        left += d->settled;
    json_object_set_new(verify->result, "repaired", json_integer(all - left));
    json_object_set_new(verify->result, "left", json_integer(left));
    log_info(verify->sb->name,
             "index %s: %" JSON_INTEGER_FORMAT " documents were made equal, %" JSON_INTEGER_FORMAT
             " are left",
             json_string_value(json_object_get(verify->result, "index")), all - left, left);
    end_index(verify);
}

static void begin_shard(struct verify *verify)
{
    if (verify->sample != 0) {
        verify_set_state(verify, VERIFY_SAMPLING);
        verify_sample_begin(verify);
        return;
    }
    verify_set_state(verify, VERIFY_SUMMING);
    verify_scan_begin(verify);
}

static void next_shard(struct verify *verify)
{
    if (++verify->shard < verify->shard_count)
        begin_shard(verify);
    else
        judge_index(verify);
}

static void collect(struct verify *verify)
{
    (void)FAILPOINT("V2");
    verify->limit = verify_version(verify, verify->shard, verify->highest[verify->shard]);
    if (!verify_scan_differs(verify) && verify->newest <= verify->limit) {
        next_shard(verify);
        return;
    }
    verify_set_state(verify, VERIFY_COLLECTING);
    verify_scan_begin(verify);
}

static void end_sums(struct verify *verify)
{
    (void)FAILPOINT("V1");
    add_to(verify->result, "documents", (json_int_t)verify->scans[ON_PRIMARY].documents);
    add_to(verify->result, "standby_documents", (json_int_t)verify->scans[ON_STANDBY].documents);
    verify->step = 0;
    if (verify->newest >= 0)
        verify_set_state(verify, VERIFY_RECOUNTING);
    else
        collect(verify);
}

/* Of the documents of buckets that differ, those that do not. */
static void drop_equal(struct verify *verify)
{
    struct difference *difference, *next;
    HASH_ITER(hh, verify->found, difference, next)
    {
        const struct version_seen *ours = &difference->seen[ON_PRIMARY],
                                  *theirs = &difference->seen[ON_STANDBY];
        if (!difference->settled && ours->found && theirs->found &&
            ours->version == theirs->version && ours->content == theirs->content)
            verify_drop_difference(verify, difference);
    }
}

void verify_on_counted(struct verify *verify, bool again)
{
    if (again)
        collect(verify);
    else
        begin_shard(verify);
}

/* ---- which index ---- */

static bool matches(const struct verify *verify, const struct life *life)
{
    return life->name != NULL && life->state != LIFE_GONE && !life->ending &&
           (verify->pattern == NULL ||
            span_matches(span_cstr(life->name), span_cstr(verify->pattern)));
}

static struct life *next_life(const struct verify *verify)
{
    struct life *next = NULL;
    for (struct life *life = verify->sb->lives; life != NULL; life = life->hh.next)
        if (life->incarnation > verify->incarnation && matches(verify, life) &&
            (next == NULL || life->incarnation < next->incarnation))
            next = life;
    return next;
}

static void take_room(struct verify *verify)
{
    size_t count = verify->shard_count + 1;
    for (int side = 0; side < VERIFY_SIDES; side++) {
        free(verify->reach[side]);
        verify->reach[side] = bytes_zalloc(count * sizeof(int64_t));
    }
    free(verify->highest);
    free(verify->terms);
    verify->highest = bytes_zalloc(count * sizeof(int64_t));
    verify->terms = bytes_zalloc(count * sizeof(uint64_t));
}

static void begin_index(struct verify *verify, const struct life *life)
{
    verify->incarnation = life->incarnation;
    verify->shard = 0;
    verify->shard_count = life->shards;
    verify->step = 0;
    verify->truncated = verify->applying = false;
    take_room(verify);
    verify_sample_reset(verify);
    verify->result =
        json_pack("{s:s, s:i, s:i}", "index", life->name, "documents", 0, "standby_documents", 0);
    verify_set_state(verify, VERIFY_DEFINING);
    if (life->state == LIFE_READY)
        verify_look_begin(verify);
    else
        verify_skip(verify, "it is not ready on the standby; see its state");
}

/* Its definition was looked at. */
static void begin_documents(struct verify *verify)
{
    const struct life *life = verify_life(verify);
    verify_look_fini(&verify->look);
    verify_set_state(verify, VERIFY_COUNTING);
    if (life->state != LIFE_READY)
        verify_skip(verify, "it is not ready on the standby; see its state");
    else if (life->filling)
        verify_skip(verify, "it is filling: it has to be seeded first");
    else if (definition_is_closed(life->wanted))
        verify_skip(verify, "it is closed, and can't be read");
    else if (verify->sample != 0 && life->no_numbers)
        verify_skip(verify, "a sample needs sequence numbers, and an engine before 6.0 made it: "
                            "verify the index as a whole");
}

static void end_objects(struct verify *verify)
{
    verify_look_fini(&verify->look);
    verify_set_state(verify, VERIFY_NEXT);
    save(verify);
}

/* True when nothing in FOUND differs, or is left to differ. WHOLE: and all of it was looked at. */
static bool is_well(const json_t *found, bool whole)
{
    static const char *const kinds[] = {"missing", "extra", "different"};
    const json_t *left = json_object_get(found, "left");
    json_int_t all = 0;
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        all += json_integer_value(json_object_get(found, kinds[i]));
    return (!whole || json_object_get(found, "skipped") == NULL) &&
           (all == 0 || (left != NULL && json_integer_value(left) == 0));
}

static void note_whole(struct verify *verify)
{
    bool whole = verify->pattern == NULL && verify->sample == 0 && verify->objects != NULL;
    bool well = is_well(verify->objects, whole);
    size_t at;
    json_t *index;
    json_array_foreach(verify->results, at, index) well =
        well && is_well(index, whole) && is_well(json_object_get(index, "definitions"), whole);
    if (whole)
        verify->whole_us = verify->sb->world->wall_us(verify->sb);
    verify->whole_clean = well && (whole || verify->whole_clean);
}

json_t *verify_whole(const struct standby *sb)
{
    const struct verify *verify = sb->verify;
    uint64_t now = sb->world->wall_us((struct standby *)(uintptr_t)sb);
    if (verify == NULL || verify->whole_us == 0)
        return json_pack("{s:n, s:b}", "age_s", "clean", 0);
    return json_pack("{s:f, s:b}", "age_s",
                     now < verify->whole_us ? 0.0 : (double)(now - verify->whole_us) / 1e6, "clean",
                     verify->whole_clean);
}

static void end(struct verify *verify)
{
    verify_set_state(verify, VERIFY_ENDED);
    verify->ended_us = verify->sb->world->now_us(verify->sb);
    note_whole(verify);
    save(verify);
    log_info(verify->sb->name, "%s has ended (indices=%zu)",
             verify->apply ? "a repair" : "a verification", json_array_size(verify->results));
}

static void choose_index(struct verify *verify)
{
    struct life *life = next_life(verify);
    if (life != NULL) {
        begin_index(verify, life);
    } else if (verify->pattern == NULL && verify->objects == NULL) {
        verify_set_state(verify, VERIFY_OBJECTS);
        verify_look_begin(verify);
    } else {
        end(verify);
    }
}

/* ---- turns ---- */

static void turn(struct verify *verify, uint64_t now_us)
{
    switch (verify->state) {
    case VERIFY_NEXT:
        choose_index(verify);
        break;
    case VERIFY_OBJECTS:
        if (verify_look_turn(verify, now_us))
            end_objects(verify);
        break;
    case VERIFY_DEFINING:
        if (verify_look_turn(verify, now_us))
            begin_documents(verify);
        break;
    case VERIFY_COUNTING:
    case VERIFY_RECOUNTING:
        if (!verify->busy && now_us >= verify->retry_us)
            verify_count(verify);
        break;
    case VERIFY_SUMMING:
        if (verify_scan_turn(verify, now_us))
            end_sums(verify);
        break;
    case VERIFY_COLLECTING:
        if (verify_scan_turn(verify, now_us)) {
            drop_equal(verify);
            verify_set_state(verify, VERIFY_SETTLING);
            verify_settle_begin(verify);
        }
        break;
    case VERIFY_SAMPLING:
        if (verify_sample_turn(verify, now_us)) {
            verify_set_state(verify, VERIFY_SETTLING);
            verify_settle_begin(verify);
        }
        break;
    case VERIFY_SETTLING:
        if (!verify_settle_turn(verify, now_us))
            break;
        if (verify->applying)
            end_repair(verify);
        else
            next_shard(verify);
        break;
    case VERIFY_NONE:
    case VERIFY_ENDED:
        break;
    }
}

static bool calls_are_under_way(const struct verify *verify)
{
    return verify->busy || verify->scans[ON_PRIMARY].busy || verify->scans[ON_STANDBY].busy ||
           verify->outstanding != 0;
}

void verify_tick(struct standby *sb, uint64_t now_us)
{
    struct verify *verify = sb->verify;
    if (!is_running(verify) || sb->state != STANDBY_RUNNING)
        return;
    bool of_index = verify->state != VERIFY_NEXT && verify->state != VERIFY_OBJECTS;
    if (of_index && verify_life(verify) == NULL) {
        if (!calls_are_under_way(verify))
            verify_skip(verify, "it was deleted meanwhile");
        return;
    }
    if (verify->state == VERIFY_NEXT && calls_are_under_way(verify))
        return; /* of the index before */
    turn(verify, now_us);
}

void verify_on_item(struct standby *sb)
{
    sb->verify->outstanding--;
}

/* ---- from outside ---- */

static void save(struct verify *verify)
{
    struct standby *sb = verify->sb;
    json_t *json = json_pack(
        "{s:s?, s:b, s:b, s:b, s:f, s:I, s:b, s:I, s:b, s:O, s:O*}", "pattern", verify->pattern,
        "apply", verify->apply, "force", verify->force, "for_audit", verify->for_audit, "sample",
        verify->sample, "incarnation", (json_int_t)verify->incarnation, "ended",
        verify->state == VERIFY_ENDED, "whole_us", (json_int_t)verify->whole_us, "whole_clean",
        verify->whole_clean, "results", verify->results, "objects", verify->objects);
    char *text = json_dumps(json, JSON_COMPACT);
    enum status status = store_begin(sb->store);
    if (status == STATUS_OK)
        status = store_put(sb->store, STORE_STATE, SPAN("verify"), span_cstr(text));
    free(text);
    json_decref(json);
    (void)standby_store_end(sb, status);
}

static struct verify *verify_get(struct standby *sb)
{
    if (sb->verify != NULL)
        return sb->verify;
    struct verify *verify = bytes_zalloc(sizeof *verify);
    verify->sb = sb;
    es_call_init(&verify->call);
    for (int side = 0; side < VERIFY_SIDES; side++)
        es_call_init(&verify->scans[side].call);
    return sb->verify = verify;
}

static void start(struct verify *verify, const char *pattern, bool apply, bool force, double sample)
{
    free(verify->pattern);
    verify->pattern = pattern == NULL ? NULL : bytes_strdup(pattern);
    verify->apply = apply;
    verify->force = force;
    verify->sample = sample;
    verify->for_audit = false;
    verify->incarnation = 0;
    verify->why[0] = '\0';
    verify->retry_us = verify->backoff_us = 0;
    json_decref(verify->results);
    verify->results = json_array();
    json_decref(verify->objects);
    verify->objects = NULL;
    verify_set_state(verify, VERIFY_NEXT);
}

int verify_begin(struct standby *sb, const char *pattern, bool apply, bool force, double sample)
{
    struct verify *verify = verify_get(sb);
    int count = 0;
    if (is_running(verify))
        return -1;
    struct verify wanted = {.pattern = (char *)(uintptr_t)pattern};
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        count += matches(&wanted, life);
    if (count == 0)
        return 0;
    CHECK(sample >= 0 && sample <= 100 && (sample == 0 || !apply));
    start(verify, pattern, apply, force, sample);
    save(verify);
    return sb->state == STANDBY_STOPPED ? -2 : count;
}

bool verify_is_free(const struct standby *sb, uint64_t now_us)
{
    const struct verify *verify = sb->verify;
    return verify == NULL || (!is_running(verify) && (verify->for_audit || verify->ended_us == 0 ||
                                                      now_us > verify->ended_us + READ_US));
}

void verify_begin_for_audit(struct standby *sb, const char *index, bool repair)
{
    if (verify_begin(sb, index, repair, false, 0) <= 0)
        return;
    sb->verify->for_audit = true;
    save(sb->verify);
}

bool verify_cancel(struct standby *sb)
{
    struct verify *verify = sb->verify;
    if (!is_running(verify))
        return false;
    if (verify->result != NULL) {
        json_object_set_new(verify->result, "skipped", json_string("it was cancelled"));
        json_array_append_new(verify->results, verify->result);
        verify->result = NULL;
    }
    drop_all(verify);
    mark_forget(sb, &verify->mark);
    end(verify);
    return true;
}

void verify_load(struct standby *sb)
{
    struct buffer text = {0};
    if (store_get(sb->store, STORE_STATE, SPAN("verify"), &text) != STATUS_OK)
        return;
    json_t *json = json_tree(buffer_span(&text));
    buffer_fini(&text);
    struct verify *verify = verify_get(sb);
    start(verify, json_string_value(json_object_get(json, "pattern")),
          json_is_true(json_object_get(json, "apply")),
          json_is_true(json_object_get(json, "force")),
          json_number_value(json_object_get(json, "sample")));
    verify->for_audit = json_is_true(json_object_get(json, "for_audit"));
    verify->incarnation = (uint32_t)json_integer_value(json_object_get(json, "incarnation"));
    if (json_is_array(json_object_get(json, "results"))) {
        json_decref(verify->results);
        verify->results = json_incref(json_object_get(json, "results"));
    }
    verify->objects = json_incref(json_object_get(json, "objects"));
    verify->whole_us = (uint64_t)json_integer_value(json_object_get(json, "whole_us"));
    verify->whole_clean = json_is_true(json_object_get(json, "whole_clean"));
    if (json_is_true(json_object_get(json, "ended")))
        verify_set_state(verify, VERIFY_ENDED);
    json_decref(json);
}

const char *verify_refused(const struct standby *sb)
{
    const json_t *index;
    size_t at;
    json_array_foreach(sb->verify == NULL ? NULL : sb->verify->results, at, index)
    {
        if (json_is_string(json_object_get(index, "refused")))
            return json_string_value(json_object_get(index, "index"));
    }
    return NULL;
}

/* How much of the present index is read, 0 to 1. */
static double done_of_index(const struct verify *verify)
{
    double done = 0;
    if (verify->shard_count == 0 || verify->applying || verify->state == VERIFY_DEFINING)
        return verify->applying ? 1 : 0;
    for (int side = 0; side < VERIFY_SIDES; side++) {
        const struct verify_scan *scan = &verify->scans[side];
        bool summing = verify->state == VERIFY_SUMMING && scan->to >= 0;
        done += summing ? (double)(scan->at + 1) / (double)(scan->to + 1) / VERIFY_SIDES : 0.5;
    }
    return ((double)verify->shard + done) / (double)verify->shard_count;
}

json_t *verify_report(const struct standby *sb)
{
    const struct verify *verify = sb->verify;
    if (verify == NULL)
        return json_pack("{s:s, s:[]}", "state", states[VERIFY_NONE].name, "indices");
    json_t *json = json_pack("{s:s, s:s, s:O, s:O?, s:s}", "state", states[verify->state].name,
                             "what", verify->apply ? "repair" : "verify", "indices",
                             verify->results, "objects", verify->objects, "why", verify->why);
    if (verify->sample != 0)
        json_object_set_new(json, "sample", json_real(verify->sample));
    struct life *life = life_find(((struct standby *)(uintptr_t)sb), verify->incarnation);
    if (is_running(verify) && life != NULL && verify->state != VERIFY_NEXT &&
        verify->state != VERIFY_OBJECTS) {
        json_object_set_new(json, "index", json_string(life->name));
        json_object_set_new(json, "index_done", json_real(done_of_index(verify)));
    }
    return json;
}

void verify_free(struct standby *sb)
{
    struct verify *verify = sb->verify;
    if (verify == NULL)
        return;
    es_call_fini(&verify->call);
    for (int side = 0; side < VERIFY_SIDES; side++) {
        es_call_fini(&verify->scans[side].call);
        free(verify->scans[side].scroll);
        free(verify->reach[side]);
    }
    drop_all(verify);
    verify_look_fini(&verify->look);
    buffer_fini(&verify->asked);
    free(verify->highest);
    free(verify->terms);
    free(verify->pattern);
    json_decref(verify->result);
    json_decref(verify->results);
    json_decref(verify->objects);
    free(verify);
    sb->verify = NULL;
}
