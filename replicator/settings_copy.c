/* settings_copy.c - an index definition of the primary as the standby is to have it.
 *
 * lib/es/copied.c says which settings are copied; for a standby of another line of engines the
 * definition was translated before it comes here (lib/es/translate.c).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/json_tree.h"
#include "base/log.h"
#include "conf/settings.h"
#include "es/copied.h"
#include "es/index_state.h"
#include "es/translate.h"
#include "replicator/standby.h"

static json_t *load(const char *definition)
{
    return definition == NULL ? NULL : json_loads(definition, 0, NULL);
}

static char *dump(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

/* ---- for another line of engines ---- */

static void say_changes(const struct standby *sb, const char *what, const char *name,
                        const struct translation *tr)
{
    const json_t *sentence;
    size_t i;
    json_array_foreach(tr->changes, i, sentence)
        log_info(sb->name, "%s %s is translated: %s", what, name, json_string_value(sentence));
    json_array_foreach(tr->warnings, i, sentence)
        log_warn(sb->name, "%s %s: %s", what, name, json_string_value(sentence));
}

char *definition_translated(const struct standby *sb, const char *type, const char *name,
                            struct span body, bool say, char **refused)
{
    const struct es_engine target = {sb->opensearch, sb->major, sb->minor, sb->no_lifecycle};
    struct translation tr;
    json_t *before = json_tree(body), *after = json_deep_copy(before);
    translation_init(&tr);
    if (strcmp(type, "index") == 0)
        translate_index(&target, after, &tr);
    else
        translate_object(&target, type, after, false, &tr);
    *refused = tr.refused;
    tr.refused = NULL;
    if (say && *refused == NULL)
        say_changes(sb, type, name, &tr);
    bool same = after == NULL || *refused != NULL || json_equal(before, after);
    /* As it came where nothing is changed: what is applied is compared with it. */
    char *text = same ? span_dup(body) : json_dumps(after, JSON_COMPACT);
    translation_fini(&tr);
    json_decref(before);
    json_decref(after);
    return text;
}

/* ---- an index ---- */

/* What the standby has in place of the primary's while it is one. */
static void add_standby_settings(struct standby *sb, json_t *settings, const json_t *definition)
{
    char text[64];
    const char *name = json_string_value(json_object_get(definition, "name"));
    struct span index = name == NULL ? SPAN_NONE : span_cstr(name);
    snprintf(text, sizeof text, "%llus",
             (unsigned long long)(3 * sb->conf->request_timeout / 1000000 + 1));
    /* A client's version may begin anew after a delete; "0s" would still refuse it for a moment. */
    bool client = json_object_get(definition, "versions") != NULL;
    json_object_set_new(settings, "gc_deletes", json_string(client ? "-1" : text));
    json_object_set_new(settings, "translog.durability", json_string("request"));
    for (size_t i = 0; i < sb->conf->settings_override.count; i++) { /* "pattern setting=value" */
        char pattern[256], setting[512];
        const char *item = sb->conf->settings_override.items[i];
        char *value;
        if (sscanf(item, "%255s %511[^\n]", pattern, setting) != 2 ||
            (value = strchr(setting, '=')) == NULL)
            continue;
        *value++ = '\0';
        const char *path = strncmp(setting, "index.", 6) == 0 ? setting + 6 : setting;
        if (span_matches(index, span_cstr(pattern)))
            json_object_set_new(settings, path, json_string(value));
    }
}

static json_t *hidden_alias(const struct standby *sb)
{
    bool knows_hidden = standby_at_least(sb, 7, 7);
    return knows_hidden ? json_pack("{s:b}", "is_hidden", 1) : json_object();
}

bool definition_has_alias(const char *definition, const char *name)
{
    json_t *json = load(definition);
    bool has = json_object_get(json_object_get(json, "aliases"), name) != NULL;
    json_decref(json);
    return has;
}

bool definition_writes_to(const char *definition, const char *name)
{
    if (definition == NULL || strstr(definition, "is_write_index") == NULL)
        return false; /* most indices: mappings may be large */
    json_t *json = load(definition);
    const json_t *alias = json_object_get(json_object_get(json, "aliases"), name);
    bool writes = json_is_true(json_object_get(alias, "is_write_index"));
    json_decref(json);
    return writes;
}

char *definition_choose_aliases(const char *definition, const char *from,
                                bool (*keep)(void *arg, const char *name),
                                bool (*add)(void *arg, const char *name), void *arg, bool *changed)
{
    json_t *json = load(definition), *other = load(from), *value;
    json_t *chosen = json_object();
    json_t *own = json_object_get(json, "aliases"), *old = json_object_get(other, "aliases");
    const char *name;
    *changed = false;
    json_object_foreach(own, name, value) if (keep(arg, name)) json_object_set(chosen, name, value);
    else *changed = true;
    json_object_foreach(old, name, value) if (json_object_get(own, name) == NULL && add(arg, name))
    {
        json_object_set(chosen, name, value);
        *changed = true;
    }
    json_object_set_new(json, "aliases", chosen);
    json_decref(other);
    return dump(json);
}

char *definition_create_body(struct standby *sb, const struct life *life, const char *text)
{
    json_t *definition = load(text);
    if (definition == NULL)
        return NULL;
    json_t *settings = copied_settings(definition);
    json_t *routing = json_object_get(definition, "routing_num_shards");
    json_t *aliases = json_deep_copy(json_object_get(definition, "aliases"));
    json_t *mappings = json_object_get(definition, "mappings");
    char marker[64];
    add_standby_settings(sb, settings, definition);
    /* Shown by no GET, but decisive: with other routing shards two routings of one id may share a
     * shard. Engines refuse to state it where it does not fit (one shard before 7.0), and there it
     * is the same by default. */
    if (json_integer_value(routing) > 0 && (sb->opensearch || sb->major >= 7))
        json_object_set(settings, "number_of_routing_shards", routing);
    json_object_set_new(settings, "mapping.total_fields.limit", json_integer(100000));
    if (aliases == NULL)
        aliases = json_object();
    life_marker(life, marker, sizeof marker);
    json_object_set_new(aliases, marker, hidden_alias(sb));
    json_t *body = json_object();
    json_object_set_new(body, "settings", json_pack("{s:o}", "index", settings));
    if (json_object_size(mappings) != 0)
        json_object_set(body, "mappings", mappings);
    json_object_set_new(body, "aliases", aliases);
    json_decref(definition);
    return dump(body);
}

/* The settings of DEFINITION in which a standby's index NAME is to be like the primary's, flat:
 * those that are copied, but for what the configuration overrides, where the site's own value
 * stays. The caller's. */
static json_t *followed_settings(struct standby *sb, const json_t *definition)
{
    json_t *settings = copied_settings(definition), *ours = json_object(), *value;
    const char *path;
    add_standby_settings(sb, ours, definition);
    json_object_foreach(ours, path, value) json_object_del(settings, path);
    json_decref(ours);
    return settings;
}

char *definition_settings_change(struct standby *sb, const char *before, const char *after)
{
    json_t *old = load(before), *new = load(after), *change = json_object(), *value;
    const char *path;
    json_t *old_settings = followed_settings(sb, old);
    json_t *new_settings = followed_settings(sb, new);
    json_object_foreach(new_settings, path,
                        value) if (!json_equal(value, json_object_get(old_settings, path)))
        json_object_set(change, path, value);
    json_object_foreach(old_settings, path, value) if (json_object_get(new_settings, path) == NULL)
        json_object_set_new(change, path, json_null());
    json_decref(old_settings);
    json_decref(new_settings);
    json_decref(old);
    json_decref(new);
    if (json_object_size(change) == 0) {
        json_decref(change);
        return NULL;
    }
    return dump(json_pack("{s:o}", "index", change));
}

char *definition_alias_change(const char *index, const char *before, const char *after)
{
    json_t *old = load(before), *new = load(after), *actions = json_array(), *value;
    json_t *old_aliases = json_object_get(old, "aliases"),
           *new_aliases = json_object_get(new, "aliases");
    const char *name;
    json_object_foreach(old_aliases, name, value) if (json_object_get(new_aliases, name) == NULL)
        json_array_append_new(actions,
                              json_pack("{s:{s:s,s:s}}", "remove", "index", index, "alias", name));
    json_object_foreach(new_aliases, name, value)
    {
        if (json_equal(value, json_object_get(old_aliases, name)))
            continue;
        json_t *add = json_deep_copy(value);
        json_object_set_new(add, "index", json_string(index));
        json_object_set_new(add, "alias", json_string(name));
        json_array_append_new(actions, json_pack("{s:o}", "add", add));
    }
    json_decref(old);
    json_decref(new);
    if (json_array_size(actions) == 0) {
        json_decref(actions);
        return NULL;
    }
    return dump(json_pack("{s:o}", "actions", actions));
}

char *definition_alias_removal(const char *index)
{
    return dump(
        json_pack("{s:[{s:{s:s,s:s}}]}", "actions", "remove", "index", index, "alias", ".tandem*"));
}

/* The mapping type that wraps MAPPINGS in old engines; NULL when there is none. */
static const char *mapping_type(json_t *mappings)
{
    const char *name;
    return mapping_types(mappings, &name) == 1 ? name : NULL;
}

char *definition_mapping_change(const char *before, const char *after, char *type, size_t type_size)
{
    json_t *old = load(before), *new = load(after);
    json_t *old_mappings = json_object_get(old, "mappings"),
           *new_mappings = json_object_get(new, "mappings");
    char *text = NULL;
    *type = '\0';
    if (json_object_size(new_mappings) != 0 && !json_equal(old_mappings, new_mappings)) {
        const char *name = mapping_type(new_mappings);
        if (name != NULL) {
            snprintf(type, type_size, "%s", name);
            new_mappings = json_object_get(new_mappings, name);
        }
        text = json_dumps(new_mappings, JSON_COMPACT);
    }
    json_decref(old);
    json_decref(new);
    return text;
}

void definition_drop_ours(json_t *definition)
{
    json_t *aliases = json_object_get(definition, "aliases"), *value;
    const char *name;
    void *next;
    json_object_foreach_safe(aliases, next, name, value)
    {
        if (strncmp(name, ".tandem", 7) == 0)
            json_object_del(aliases, name);
    }
}

static json_t *flat_aliases(const json_t *definition)
{
    json_t *aliases = json_object(), *value;
    const char *name;
    json_object_foreach(json_object_get(definition, "aliases"), name, value)
    {
        json_t *flat = json_object();
        settings_to_paths(flat, "", value);
        json_object_set_new(aliases, name, flat);
    }
    return aliases;
}

json_t *definition_parts(struct standby *sb, const char *text)
{
    static const char *const members[] = {"state", "routing_num_shards"};
    json_t *definition = load(text), *index = json_object(), *mapping = json_object();
    json_t *mappings = json_object_get(definition, "mappings");
    const char *type = mapping_type(mappings);
    for (size_t i = 0; i < COUNT_OF(members); i++)
        json_object_set(index, members[i], json_object_get(definition, members[i]));
    settings_to_paths(mapping, "", type == NULL ? mappings : json_object_get(mappings, type));
    json_t *parts = json_pack("{s:{s:o}, s:{s:o}, s:{s:o}, s:o}", "index", "", index, "setting", "",
                              followed_settings(sb, definition), "mapping", "", mapping, "alias",
                              flat_aliases(definition));
    json_decref(definition);
    return parts;
}

bool standby_names_types(const struct standby *sb)
{
    return sb->major == (sb->opensearch ? 1 : 7);
}

char *definition_type(const char *definition)
{
    json_t *json = load(definition);
    const char *name = mapping_type(json_object_get(json, "mappings"));
    char *type = name == NULL ? NULL : bytes_strdup(name);
    json_decref(json);
    return type;
}

static bool member_is(const char *definition, const char *member, const char *text)
{
    json_t *json = load(definition);
    const char *value = json_string_value(json_object_get(json, member));
    bool is = value != NULL && strcmp(value, text) == 0;
    json_decref(json);
    return is;
}

bool definition_is_closed(const char *definition)
{
    return member_is(definition, "state", "close");
}

bool definition_is_filling(const char *definition)
{
    return member_is(definition, "born", "filling");
}

void definition_resized_from(const char *definition, char *uuid, size_t size)
{
    json_t *json = load(definition);
    json_t *index = json_object_get(json_object_get(json, "settings"), "index");
    json_t *source = json_object_get(json_object_get(index, "resize"), "source");
    const char *text = json_string_value(json_object_get(source, "uuid"));
    snprintf(uuid, size, "%s", text == NULL ? "" : text);
    json_decref(json);
}

static json_t *index_setting(json_t *definition, const char *path)
{
    json_t *flat = json_object();
    settings_to_paths(flat, "", json_object_get(json_object_get(definition, "settings"), "index"));
    json_t *value = json_incref(json_object_get(flat, path));
    json_decref(flat);
    return value;
}

static long number_setting(const char *definition, const char *path, long otherwise)
{
    json_t *json = load(definition);
    json_t *value = index_setting(json, path);
    long number = value == NULL ? otherwise : strtol(json_string_value(value), NULL, 10);
    json_decref(value);
    json_decref(json);
    return number;
}

long definition_total_fields(const char *definition)
{
    return number_setting(definition, "mapping.total_fields.limit", 1000);
}

size_t definition_shards(const char *definition)
{
    return (size_t)number_setting(definition, "number_of_shards", 1);
}

long definition_result_window(const char *definition)
{
    return number_setting(definition, "max_result_window", 10000);
}

bool definition_has_client_versions(const char *definition)
{
    json_t *json = load(definition);
    const char *versions = json_string_value(json_object_get(json, "versions"));
    bool client = versions != NULL && strcmp(versions, "client") == 0;
    json_decref(json);
    return client;
}

bool definition_has_no_numbers(const char *definition)
{
    json_t *json = load(definition);
    const char *numbers = json_string_value(json_object_get(json, "numbers"));
    bool none = numbers != NULL && strcmp(numbers, "none") == 0;
    json_decref(json);
    return none;
}

bool definition_hides_vectors(const char *definition)
{
    json_t *json = load(definition);
    bool hides = settings_hide_vectors(json_object_get(json_object_get(json, "settings"), "index"));
    json_decref(json);
    return hides;
}

char *definition_vectors(const char *definition)
{
    json_t *json = load(definition);
    char *fields = mapping_vectors(json_object_get(json, "mappings"));
    json_decref(json);
    return fields;
}

const char *definition_unseedable(const char *definition)
{
    json_t *json = load(definition);
    const char *why = mapping_unreadable(json_object_get(json, "mappings"));
    if (why == NULL && !definition_has_no_numbers(definition))
        why = index_unnumbered(json); /* else it is read by scrolls */
    if (why == NULL && definition_is_closed(definition))
        why = "it is closed on the primary, and can't be read until it is opened";
    json_decref(json);
    return why;
}

char *definition_release_settings(const struct standby *sb, const char *definition)
{
    static const char *const held_back[] = {"final_pipeline", "gc_deletes",
                                            "mapping.total_fields.limit", "translog.durability"};
    json_t *json = load(definition), *settings = json_object();
    for (size_t i = 0; i < COUNT_OF(held_back); i++) {
        bool known = standby_at_least(sb, 7, 5);
        if (!known && strcmp(held_back[i], "final_pipeline") == 0)
            continue; /* refused there, even to unset it, and with it all the others */
        json_t *value = index_setting(json, held_back[i]);
        json_object_set_new(settings, held_back[i], value == NULL ? json_null() : value);
    }
    json_decref(json);
    return dump(json_pack("{s:o}", "index", settings));
}
