/* json_tree_test.c - JSON text into a tree, whatever bytes the engines put into it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json_tree.h"

static void becomes(const char *text, const char *expected)
{
    json_t *json = json_tree(span_cstr(text));
    char *dumped = json == NULL ? NULL : json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    if (expected == NULL)
        assert_null(dumped);
    else
        assert_string_equal(dumped, expected);
    free(dumped);
    json_decref(json);
}

static void what_is_json_stays_as_it_is(void **state)
{
    (void)state;
    becomes("{\"a\":[1,\"\xc3\xa9\xf0\x9f\x99\x82\",null]}",
            "{\"a\":[1,\"\xc3\xa9\xf0\x9f\x99\x82\",null]}");
    becomes("{\"\\ud83d\\ude42\":\"\\u00e9\\n\"}", "{\"\xf0\x9f\x99\x82\":\"\xc3\xa9\\n\"}");
    becomes("", NULL);
    becomes("{", NULL);
    becomes("[1,]", NULL);
}

static void what_is_no_text_is_replaced(void **state)
{
    (void)state;
    becomes("{\"a\xff\":1}", "{\"a\xef\xbf\xbd\":1}");
    becomes("{\"\xed\xa0\x80\":1}", "{\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\":1}");
    becomes("{\"\xc0\x80x\":1}", "{\"\xef\xbf\xbd\xef\xbf\xbdx\":1}");
    becomes("{\"\\ud800\":1}", "{\"\xef\xbf\xbd\":1}");
    becomes("{\"\\udc00\\ud800\":1}", "{\"\xef\xbf\xbd\xef\xbf\xbd\":1}");
    becomes("{\"\\u0000a\":1}", "{\"\xef\xbf\xbd"
                                "a\":1}");
    becomes("{\"\\\\ud800\":\"\xff\"}", "{\"\\\\ud800\":\"\xef\xbf\xbd\"}");
    becomes("{\"\xe2\x82\":1", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_json_stays_as_it_is),
        cmocka_unit_test(what_is_no_text_is_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
