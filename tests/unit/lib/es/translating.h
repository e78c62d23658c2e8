/* translating.h - what the tests of translations share: definitions in short, and what becomes of
 * them.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef TANDEM_TESTS_TRANSLATING_H
#define TANDEM_TESTS_TRANSLATING_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "es/translate.h"

static const struct es_engine ES5 = {false, 5, 6, true}, ES6 = {false, 6, 8, false},
                              ES7 = {false, 7, 17, false}, ES8 = {false, 8, 8, false},
                              ES9 = {false, 9, 2, false}, OS1 = {true, 1, 3, false},
                              OS2 = {true, 2, 19, false}, OS20 = {true, 2, 0, false};

/* JSON with ' for ". */
static inline json_t *parse(const char *text)
{
    char *copy = bytes_strdup(text);
    for (char *at = copy; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    json_t *json = json_loads(copy, 0, NULL);
    assert_non_null(json);
    free(copy);
    return json;
}

static inline void assert_json(json_t *found, const char *expected)
{
    json_t *wanted = parse(expected);
    char *text = json_dumps(found, JSON_COMPACT), *other = json_dumps(wanted, JSON_COMPACT);
    if (!json_equal(found, wanted))
        fail_msg("%s\nis not %s", text, other);
    free(text);
    free(other);
    json_decref(wanted);
}

/* An index definition of its parts. */
static inline json_t *definition(const char *settings, const char *mappings)
{
    return json_pack("{s:{s:o}, s:o, s:{}}", "settings", "index", parse(settings), "mappings",
                     parse(mappings), "aliases");
}

static inline bool translate(const struct es_engine *target, json_t *index, const char *said)
{
    struct translation tr;
    translation_init(&tr);
    translate_index(target, index, &tr);
    char *changes = json_dumps(tr.changes, 0), *warnings = json_dumps(tr.warnings, 0);
    if (said != NULL && strstr(changes, said) == NULL && strstr(warnings, said) == NULL &&
        (tr.refused == NULL || strstr(tr.refused, said) == NULL))
        fail_msg("\"%s\" is not said, but %s %s %s", said, changes, warnings, tr.refused);
    bool possible = tr.refused == NULL;
    free(changes);
    free(warnings);
    translation_fini(&tr);
    return possible;
}

/* SETTINGS and MAPPINGS for TARGET are those expected, once and a second time. */
static inline void becomes(const struct es_engine *target, const char *settings,
                           const char *mappings, const char *new_settings, const char *new_mappings,
                           const char *said)
{
    json_t *index = definition(settings, mappings);
    assert_true(translate(target, index, said));
    for (int i = 0; i < 2; i++) {
        assert_json(json_object_get(json_object_get(index, "settings"), "index"), new_settings);
        assert_json(json_object_get(index, "mappings"), new_mappings);
        assert_true(translate(target, index, NULL));
    }
    json_decref(index);
}

static inline void stays(const struct es_engine *target, const char *settings, const char *mappings)
{
    struct translation tr;
    json_t *index = definition(settings, mappings);
    translation_init(&tr);
    translate_index(target, index, &tr);
    assert_null(tr.refused);
    assert_int_equal(json_array_size(tr.changes), 0);
    assert_json(json_object_get(json_object_get(index, "settings"), "index"), settings);
    assert_json(json_object_get(index, "mappings"), mappings);
    translation_fini(&tr);
    json_decref(index);
}

static inline void is_refused(const struct es_engine *target, const char *settings,
                              const char *mappings, const char *said)
{
    json_t *index = definition(settings, mappings);
    assert_false(translate(target, index, said));
    json_decref(index);
}

static inline void object_becomes(const struct es_engine *target, const char *type,
                                  const char *body, const char *expected)
{
    struct translation tr;
    json_t *object = parse(body);
    translation_init(&tr);
    translate_object(target, type, object, true, &tr);
    assert_null(tr.refused);
    assert_json(object, expected);
    translation_fini(&tr);
    json_decref(object);
}

#endif
