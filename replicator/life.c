/* life.c - one life of one index: its states, and how it is stored.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json_tree.h"
#include "base/log.h"
#include "replicator/audit.h"
#include "replicator/seed.h"

/* clang-format off */
static const struct {
    const char *name;
    unsigned next;
} life_states[] = {
    [LIFE_UNKNOWN]  = {"unknown",  BIT(LIFE_CREATING) | BIT(LIFE_HELD) | BIT(LIFE_GONE) | BIT(LIFE_READY)},
    [LIFE_CREATING] = {"creating", BIT(LIFE_CREATING) | BIT(LIFE_READY) | BIT(LIFE_HELD) | BIT(LIFE_GONE)},
    [LIFE_READY]    = {"ready",    BIT(LIFE_READY) | BIT(LIFE_CREATING) | BIT(LIFE_HELD) | BIT(LIFE_GONE)},
    [LIFE_HELD]     = {"held",     BIT(LIFE_CREATING) | BIT(LIFE_READY) | BIT(LIFE_HELD) | BIT(LIFE_GONE)},
    [LIFE_GONE]     = {"gone",     BIT(LIFE_GONE) | BIT(LIFE_HELD)}, /* held: an older copy of the standby has it again */
};
/* clang-format on */

const char *life_state_name(enum life_state state)
{
    return life_states[state].name;
}

void life_set_state(struct standby *sb, struct life *life, enum life_state next, const char *why)
{
    CHECK(life_states[life->state].next & BIT(next));
    if (life->state != next && !life->quiet)
        log_info(sb->name, "index %s: %s -> %s%s%s", life->name == NULL ? "?" : life->name,
                 life_states[life->state].name, life_states[next].name, why == NULL ? "" : ": ",
                 why == NULL ? "" : why);
    life->state = next;
    char *copy = why == NULL ? NULL : bytes_strdup(why);
    free(life->why);
    life->why = copy;
}

struct life *life_find(struct standby *sb, uint32_t incarnation)
{
    struct life *life;
    HASH_FIND(hh, sb->lives, &incarnation, sizeof incarnation, life);
    return life;
}

struct life *life_get(struct standby *sb, uint32_t incarnation)
{
    struct life *life = life_find(sb, incarnation);
    if (life == NULL) {
        life = bytes_zalloc(sizeof *life);
        life->incarnation = incarnation;
        HASH_ADD(hh, sb->lives, incarnation, sizeof life->incarnation, life);
    }
    return life;
}

void life_forget_applied(struct standby *sb, struct life *life, const char *why)
{
    if (life->standby_uuid == NULL || life->state == LIFE_GONE)
        return;
    free(life->applied);
    life->applied = NULL;
    life_set_state(sb, life, LIFE_HELD, why);
}

/* ---- as JSON ---- */

void life_document(const struct life *life, struct buffer *out)
{
    json_t *json = json_pack(
        "{s:s, s:s?, s:s?, s:s, s:I, s:s, s:s?, s:s?, s:s?, s:s?, s:I, s:I, s:b, s:b, s:b, s:b, "
        "s:b, s:b, s:b}",
        "kind", "life", "key", life->key, "name", life->name, "hex", life->hex, "incarnation",
        (json_int_t)life->incarnation, "state", life_state_name(life->state), "why", life->why,
        "applied", life->applied, "uuid", life->standby_uuid, "history_uuid", life->standby_history,
        "stamp", (json_int_t)life->stamp, "since_seq", (json_int_t)life->since_seq, "filling",
        life->filling, "incomplete", life->incomplete, "ending", life->ending, "kept", life->kept,
        "gate_open", life->gate_open, "aliases_held", life->aliases_held, "made_empty",
        life->made_empty);
    if (life->wanted != NULL && (life->state != LIFE_READY || life->applied == NULL ||
                                 strcmp(life->wanted, life->applied) != 0))
        json_object_set_new(json, "wanted", json_string(life->wanted));
    json_t *seed = seed_document(life);
    if (seed != NULL)
        json_object_set_new(json, "seed", seed);
    json_t *audit = audit_document(life);
    if (audit != NULL)
        json_object_set_new(json, "audit", audit);
    char *text = json_dumps(json, JSON_COMPACT);
    CHECK(text != NULL); /* an empty entry would lose the life */
    buffer_append_cstr(out, text);
    free(text);
    json_decref(json);
}

enum status life_store(struct standby *sb, const struct life *life)
{
    struct buffer text = {0};
    uint8_t key[8];
    put_u64be(key, life->incarnation);
    life_document(life, &text);
    enum status status =
        store_put(sb->store, STORE_LIVES, span_of((char *)key, 8), buffer_span(&text));
    buffer_fini(&text);
    return status;
}

static char *copy_member(const json_t *json, const char *member)
{
    const char *text = json_string_value(json_object_get(json, member));
    return text == NULL ? NULL : bytes_strdup(text);
}

void life_name(struct life *life, const char *key, const char *name)
{
    bytes_set_text(&life->key, key);
    bytes_set_text(&life->name, name);
    snprintf(life->hex, sizeof life->hex, "%016" PRIx64, hash64(key, strlen(key), 0));
}

#define HITS_MAX 10000 /* what an engine allows without a setting */

void life_read_wanted(struct life *life)
{
    free(life->type);
    free(life->vectors);
    life->type = life->vectors = NULL;
    if (life->wanted == NULL)
        return;
    long window = definition_result_window(life->wanted);
    life->type = definition_type(life->wanted);
    life->shards = definition_shards(life->wanted);
    life->hits_max = window < HITS_MAX ? window : HITS_MAX;
    life->client_versions = definition_has_client_versions(life->wanted);
    life->no_numbers = definition_has_no_numbers(life->wanted);
    life->hides_vectors = definition_hides_vectors(life->wanted);
    if (life->hides_vectors)
        life->vectors = definition_vectors(life->wanted);
    life->unseedable = definition_unseedable(life->wanted);
}

bool life_load(struct standby *sb, struct span text)
{
    json_t *json = json_tree(text);
    const char *key = json_string_value(json_object_get(json, "key"));
    const char *name = json_string_value(json_object_get(json, "name"));
    const char *state = json_string_value(json_object_get(json, "state"));
    if (key == NULL || state == NULL) {
        json_decref(json);
        return false;
    }
    struct life *life =
        life_get(sb, (uint32_t)json_integer_value(json_object_get(json, "incarnation")));
    life_name(life, key, name);
    life->applied = copy_member(json, "applied");
    life->wanted = copy_member(json, "wanted");
    if (life->wanted == NULL && life->applied != NULL)
        life->wanted = bytes_strdup(life->applied);
    life_read_wanted(life);
    life->standby_uuid = copy_member(json, "uuid");
    life->standby_history = copy_member(json, "history_uuid");
    life->why = copy_member(json, "why");
    life->stamp = (uint64_t)json_integer_value(json_object_get(json, "stamp"));
    life->since_seq = (uint64_t)json_integer_value(json_object_get(json, "since_seq"));
    life->filling = json_is_true(json_object_get(json, "filling"));
    life->made_empty = json_is_true(json_object_get(json, "made_empty"));
    life->ending = json_is_true(json_object_get(json, "ending"));
    life->kept = json_is_true(json_object_get(json, "kept"));
    life->incomplete = json_is_true(json_object_get(json, "incomplete"));
    life->gate_open = json_is_true(json_object_get(json, "gate_open"));
    life->aliases_held = json_is_true(json_object_get(json, "aliases_held"));
    for (int s = LIFE_UNKNOWN; s <= LIFE_GONE; s++)
        if (strcmp(state, life_state_name((enum life_state)s)) == 0)
            life->state = (enum life_state)s;
    seed_load(sb, life, json_object_get(json, "seed"));
    audit_load(life, json_object_get(json, "audit"));
    if (life->gate_open)
        life_forget_applied(sb, life, "a mapping was being put when the replicator ended");
    json_decref(json);
    return true;
}

bool life_save(struct standby *sb, const struct life *life)
{
    enum status status = store_begin(sb->store);
    if (status == STATUS_OK)
        status = life_store(sb, life);
    if (status == STATUS_OK)
        status = metadata_store_reread(sb);
    return standby_store_end(sb, status);
}
