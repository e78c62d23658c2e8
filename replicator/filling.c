/* filling.c - what an index that is not filled yet holds up: aliases that would move to it, and the
 * end of the index that has its content. And aliases that the standby does not take yet: on the
 * primary one change moves them, here one index comes before the other.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <stdlib.h>

#include "replicator/standby.h"

/* The life, other than LIFE, that has the only content behind alias NAME: it shows it here, and the
 * one that takes its place is not filled. */
static bool shows_alias(const struct life *life, const char *name)
{
    return life->state != LIFE_GONE && !life->filling && definition_has_alias(life->applied, name);
}

static bool needs_alias(const struct life *life, const char *name)
{
    return life->state != LIFE_GONE && life->filling && definition_has_alias(life->wanted, name);
}

struct swap {
    const struct standby *sb;
    const struct life *life;
};

/* Another index can't have the alias NAME as long as LIFE is there: LIFE has that name, or is where
 * writes to the alias go, and WRITES: they are to go to the other; no engine takes two. */
static bool is_in_the_way(const struct life *life, const char *name, bool writes)
{
    if (life->state == LIFE_GONE)
        return false;
    if (life->name != NULL && strcmp(life->name, name) == 0)
        return true;
    return writes && definition_writes_to(life->applied, name);
}

/* An alias that is to come to an index without its content waits until that is filled, as long as
 * another index shows the content. */
static bool may_come(void *arg, const char *name)
{
    const struct swap *swap = arg;
    const struct life *life = swap->life;
    if (definition_has_alias(life->applied, name))
        return true;
    bool writes = definition_writes_to(life->wanted, name);
    for (const struct life *other = swap->sb->lives; other != NULL; other = other->hh.next)
        if (other != life &&
            (is_in_the_way(other, name, writes) || (life->filling && shows_alias(other, name))))
            return false;
    return true;
}

static bool is_an_index(const struct standby *sb, const char *name)
{
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next)
        if (life->state != LIFE_GONE && !life->ending && life->name != NULL &&
            strcmp(life->name, name) == 0)
            return true;
    return false;
}

/* And it stays where it is meanwhile, unless its name is that of an index by now. */
static bool must_stay(void *arg, const char *name)
{
    const struct swap *swap = arg;
    if (swap->life->filling || is_an_index(swap->sb, name))
        return false;
    for (const struct life *other = swap->sb->lives; other != NULL; other = other->hh.next)
        if (other != swap->life && needs_alias(other, name))
            return true;
    return false;
}

char *definition_expected(const struct standby *sb, const struct life *life, const char *definition)
{
    struct swap swap = {sb, life};
    bool changed;
    char *text =
        definition_choose_aliases(definition, life->applied, may_come, must_stay, &swap, &changed);
    if (changed)
        return text;
    free(text);
    return bytes_strdup(definition); /* as it came: what is applied is compared with it */
}

char *definition_now(const struct standby *sb, const struct life *life)
{
    return definition_expected(sb, life, life->wanted);
}

static bool nobody_needs(void *arg, const char *name)
{
    return !must_stay(arg, name);
}

static bool never(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return false;
}

/* Another life that still has to be filled may have its only content from SOURCE: it was made from
 * it (shrink, split, clone), or takes its place behind an alias. NULL: none. */
const char *life_needed_by(const struct standby *sb, const struct life *source)
{
    for (const struct life *life = sb->lives; life != NULL; life = life->hh.next) {
        char uuid[64];
        if (life == source || life->state == LIFE_GONE || !life->filling || life->wanted == NULL)
            continue;
        definition_resized_from(life->wanted, uuid, sizeof uuid);
        if (*uuid != '\0' && strncmp(source->key, uuid, strlen(uuid)) == 0)
            return "an index that was made from it";
    }
    if (source->filling || source->applied == NULL)
        return NULL;
    struct swap swap = {sb, source};
    bool needed = false;
    free(definition_choose_aliases(source->applied, NULL, nobody_needs, never, &swap, &needed));
    return needed ? "an index that takes its place behind an alias" : NULL;
}

/* True when an alias that waited for a seed, or for an index that has gone, may move. */
bool filling_alias_is_due(const struct standby *sb, struct life *life)
{
    if (!life->aliases_held || life->state != LIFE_READY || life->applied == NULL)
        return false;
    char *now = definition_now(sb, life);
    bool due = strcmp(now, life->applied) != 0;
    free(now);
    return due;
}
