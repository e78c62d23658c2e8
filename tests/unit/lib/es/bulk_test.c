/* bulk_test.c - items are found as the engines find them, and what engines disagree about is
 * refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/bulk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static void expect_span(struct span got, const char *want)
{
    if (want == NULL) {
        assert_null(got.data);
        return;
    }
    if (got.data == NULL || !span_equal(got, span_cstr(want)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)got.size, got.data == NULL ? "" : got.data, want);
}

/* Walks TEXT in a heap block of its very size; the status that ended it, and the number of items.
 */
static enum status walk_all(const char *text, size_t *items, const char **why, size_t *line)
{
    size_t size = strlen(text);
    char *copy = bytes_alloc(size + 1);
    memcpy(copy, text, size);
    char *exact = copy + 1; /* the byte behind the text is the block's end */
    memmove(exact, copy, size);
    struct bulk_walk walk;
    struct bulk_item item;
    enum status status;
    bulk_walk_init(&walk, span_of(exact, size));
    while ((status = bulk_next(&walk, &item)) == STATUS_OK)
        assert_int_equal(item.number + 1, walk.items);
    if (status == STATUS_BAD_INPUT)
        assert_int_equal(bulk_next(&walk, &item), STATUS_BAD_INPUT);
    *items = walk.items;
    *why = walk.why;
    *line = walk.why_line;
    free(copy);
    return status;
}

static void expect_items(const char *text, size_t want)
{
    size_t items, line;
    const char *why;
    enum status status = walk_all(text, &items, &why, &line);
    if (status != STATUS_NOT_FOUND || items != want)
        fail_msg("%zu items, not %zu (%s): %s", items, want, why == NULL ? "no failure" : why,
                 text);
}

static void expect_refused(const char *text, size_t want_line, const char *want)
{
    size_t items, line;
    const char *why;
    enum status status = walk_all(text, &items, &why, &line);
    if (status != STATUS_BAD_INPUT)
        fail_msg("not refused: %s", text);
    if (strstr(why, want) == NULL || line != want_line)
        fail_msg("\"%s\" in line %zu: %s", why, line, text);
}

static void every_action_gives_its_parts(void **state)
{
    (void)state;
    static const char body[] = "{\"index\":{\"_index\":\"a\",\"_id\":\"1\",\"routing\":\"r\","
                               "\"pipeline\":\"p\",\"require_alias\":true}}\n"
                               "{\"x\": 1}\n"
                               "{ \"create\" : { \"_index\" : \"b\" , \"_type\":\"t\" } } \n"
                               "{\"y\":2}\r\n"
                               "{\"update\":{\"_id\":7,\"_source\":[]}}\n";
    static const char rest[] =
        "{\"update\":{\"_id\":7,\"_source\":\"a,b\",\"if_seq_no\":3}}\n"
        "{\"doc\":{}}\n"
        "{\"delete\":{\"_id\":\"\\u00e4\",\"version\":3,\"version_type\":\"external\"}}\n"
        "{\"index\":{\"op_type\":\"create\",\"_routing\":\"q\"}}\n"
        "\n";
    struct bulk_walk walk;
    struct bulk_item item;
    bulk_walk_init(&walk, span_cstr(body));
    assert_int_equal(bulk_next(&walk, &item), STATUS_OK);
    assert_int_equal(item.action, BULK_INDEX);
    expect_span(item.index, "\"a\"");
    expect_span(item.id, "\"1\"");
    expect_span(item.routing, "\"r\"");
    expect_span(item.pipeline, "\"p\"");
    expect_span(item.require_alias, "true");
    expect_span(item.type, NULL);
    expect_span(item.source, "{\"x\": 1}");
    assert_int_equal(item.line_number, 1);
    assert_int_equal(bulk_next(&walk, &item), STATUS_OK);
    assert_int_equal(item.action, BULK_CREATE);
    expect_span(item.metadata, "{ \"_index\" : \"b\" , \"_type\":\"t\" }");
    expect_span(item.type, "\"t\"");
    expect_span(item.source, "{\"y\":2}");
    assert_int_equal(item.line_number, 3);
    assert_int_equal(bulk_next(&walk, &item), STATUS_BAD_INPUT); /* an array */

    bulk_walk_init(&walk, span_cstr(rest));
    assert_int_equal(bulk_next(&walk, &item), STATUS_OK);
    expect_span(item.id, "7");
    expect_span(item.source_filter, "\"a,b\"");
    assert_true(item.has_condition);
    assert_int_equal(bulk_next(&walk, &item), STATUS_OK);
    assert_int_equal(item.action, BULK_DELETE);
    expect_span(item.id, "\"\\u00e4\"");
    expect_span(item.source, NULL);
    assert_true(item.has_external_version);
    assert_false(item.has_condition);
    assert_int_equal(bulk_next(&walk, &item), STATUS_OK);
    expect_span(item.op_type, "\"create\"");
    expect_span(item.routing, "\"q\"");
    expect_span(item.source, "");
    assert_int_equal(bulk_next(&walk, &item), STATUS_NOT_FOUND);
    assert_int_equal(bulk_next(&walk, &item), STATUS_NOT_FOUND);
}

static void harmless_forms_pass(void **state)
{
    (void)state;
    expect_items("", 0);
    expect_items("\n\r\n \n", 0);
    expect_items("{\"index\":{}}\n{}\n", 1);
    expect_items("{\"index\":{}}\r\n{}\r\n", 1);
    expect_items("\n\n{\"index\":{}}\n{}\n\n{\"delete\":{\"_id\":\"1\"}}\n\n", 2);
    expect_items("{\"index\":{\"_id\":null,\"_index\":\"x\"}}\n{}\n", 1);
    expect_items("{\"index\":{}}\nthis is not JSON\n", 1);
    expect_items("{\"update\":{\"_id\":\"1\",\"_source\":{\"includes\":[\"a\"]}}}\n{}\n", 1);
    expect_items(
        "{\"index\":{\"dynamic_templates\":{\"a\":\"b\"},\"retry_on_conflict\":3,\"foo\":1}}\n{}\n",
        1);
}

static void what_engines_disagree_about_is_refused(void **state)
{
    (void)state;
    expect_refused("{\"bogus\":{}}\n{}\n", 1, "none of index");
    expect_refused("{\"Index\":{}}\n{}\n", 1, "none of index");
    expect_refused("{\"index\":{}}\n{}\n{\"ind\\u0065x\":{}}\n{}\n", 3, "none of index");
    expect_refused("{\"index\":{}} x\n{}\n", 1, "behind the object");
    expect_refused("{\"index\":{}}{\"index\":{}}\n{}\n", 1, "behind the object");
    expect_refused("{\"index\":{},\"delete\":{}}\n{}\n", 1, "one action");
    expect_refused("{\"index\":{\"_id\":[\"1\"]}}\n{}\n", 1, "array");
    expect_refused("{\"index\":{\"foo\":[]}}\n{}\n", 1, "array");
    expect_refused("{\"index\":{\"_id\":{}}}\n{}\n", 1, "simple value");
    expect_refused("{\"index\":{\"_id\":\"1\",\"_id\":\"2\"}}\n{}\n", 1, "twice");
    expect_refused("{\"index\":{\"routing\":\"1\",\"_routing\":\"2\"}}\n{}\n", 1, "twice");
    expect_refused("{\"index\":{\"foo\":null,\"foo\":\"2\"}}\n{}\n", 1, "twice");
    expect_refused("{\"index\":{\"_i\\u0064\":\"1\"}}\n{}\n", 1, "escapes");
    expect_refused("{\"index\":{}}\n{}", 2, "newline");
    expect_refused("{\"index\":{}}", 1, "newline");
    expect_refused("{\"index\":{}}\n", 1, "no source line");
    expect_refused("{\"delete\":{\"_id\":\"1\"}}\n{\"index\":{}}\n", 2, "no source line");
}

static void action_lines_that_are_not_actions_are_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "{}",
        "[]",
        "7",
        "{\"index\"}",
        "{\"index\":7}",
        "{\"index\":null}",
        "{\"index\":[]}",
        "{\"index\":{}",
        "{\"index\":{",
        "{index:{}}",
        "{\"index\":{\"_id\"}}",
        "{\"index\":{\"_id\":}}",
        "{",
        "{\"index",
        "\"index\"",
        "\xef\xbb\xbf{\"index\":{}}",
        "{\"index\":{\"_id\":01}}",
    };
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        char body[128];
        size_t items, line;
        const char *why;
        snprintf(body, sizeof body, "%s\n{}\n", lines[i]);
        if (walk_all(body, &items, &why, &line) != STATUS_BAD_INPUT || items != 0 || line != 1)
            fail_msg("not refused: %s", lines[i]);
    }
}

/* Clients know the engines' words. */
static void an_empty_action_is_refused_in_the_engines_words(void **state)
{
    (void)state;
    static const char want[] = "expected FIELD_NAME but found [END_OBJECT]";
    expect_refused("{\"index\":{}}\n{}\n{}\n", 3, want);
    expect_refused(" { } \n{}\n", 1, want);
}

static void a_body_cut_anywhere_never_gives_more_items(void **state)
{
    (void)state;
    static const char body[] =
        "{\"index\":{\"_index\":\"a\"}}\n{\"x\":1}\n{\"delete\":{\"_id\":\"1\"}}\n"
        "{\"update\":{\"_id\":\"2\"}}\n{\"doc\":{}}\n";
    for (size_t cut = 0; cut < sizeof body; cut++) {
        char part[sizeof body];
        size_t items, line;
        const char *why;
        memcpy(part, body, cut);
        part[cut] = '\0';
        enum status status = walk_all(part, &items, &why, &line);
        assert_true(items <= 3);
        assert_true(status == STATUS_NOT_FOUND || (status == STATUS_BAD_INPUT && why != NULL));
    }
}

static void more_unknown_keys_than_we_remember_are_refused(void **state)
{
    (void)state;
    char body[512] = "{\"delete\":{";
    for (int i = 0; i < 17; i++)
        snprintf(body + strlen(body), sizeof body - strlen(body), "%s\"k%d\":1", i == 0 ? "" : ",",
                 i);
    strcat(body, "}}\n");
    expect_refused(body, 1, "too many");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_gives_its_parts),
        cmocka_unit_test(harmless_forms_pass),
        cmocka_unit_test(what_engines_disagree_about_is_refused),
        cmocka_unit_test(action_lines_that_are_not_actions_are_refused),
        cmocka_unit_test(an_empty_action_is_refused_in_the_engines_words),
        cmocka_unit_test(a_body_cut_anywhere_never_gives_more_items),
        cmocka_unit_test(more_unknown_keys_than_we_remember_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
