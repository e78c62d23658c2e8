/* object_kinds_test.c - definitions that are no indices: where they are found, and which of them
 * are replicated.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "translating.h"

#include "es/object_kinds.h"

static const struct object_kind *kind_of(const char *type)
{
    for (size_t i = 0; i < OBJECT_KINDS; i++)
        if (strcmp(object_kinds[i].type, type) == 0)
            return &object_kinds[i];
    fail_msg("no kind is called %s", type);
    return NULL;
}

static void finds(const char *type, const char *answer, const char *expected)
{
    json_t *json = parse(answer), *found = objects_in(kind_of(type), json);
    assert_json(found, expected);
    json_decref(found);
    json_decref(json);
}

static void objects_are_listed_or_named(void **state)
{
    (void)state;
    finds("pipeline", "{'p':{'processors':[]}}", "{'p':{'processors':[]}}");
    finds("index_template", "{'index_templates':[{'name':'t','index_template':{'priority':1}}]}",
          "{'t':{'priority':1}}");
    finds("script", "{'s':{'lang':'painless'}}", "{'s':{'lang':'painless'}}");
    finds("template", "{}", "{}");
}

static void of_a_policy_counts_what_it_says(void **state)
{
    (void)state;
    finds(OBJECT_POLICY,
          "{'operation_mode':'RUNNING','policies':{"
          "'a':{'version':3,'modified_date':17,'headers':{'secret':'x'},'policy':{'phases':{}}},"
          "'b':{'policy':{'phases':{'hot':{'actions':{'rollover':{'max_docs':1}}}}}}}}",
          "{'a':{'phases':{}},'b':{'phases':{'hot':{'actions':{'rollover':{'max_docs':1}}}}}}");
    finds(OBJECT_POLICY, "{}", "{}");
    json_t *found = objects_in(kind_of(OBJECT_POLICY), NULL);
    assert_json(found, "{}");
    json_decref(found);
}

static void what_newer_engines_write_out_reads_alike(void **state)
{
    (void)state;
    finds(OBJECT_POLICY,
          "{'policies':{'a':{'policy':{'phases':{'delete':{'min_age':'1d','actions':{"
          "'delete':{'delete_searchable_snapshot':true}}}}}}}}",
          "{'a':{'phases':{'delete':{'min_age':'1d','actions':{'delete':{}}}}}}");
    finds(OBJECT_POLICY,
          "{'policies':{'a':{'policy':{'phases':{'delete':{'actions':{"
          "'delete':{'delete_searchable_snapshot':false}}}}}}}}",
          "{'a':{'phases':{'delete':{'actions':{'delete':{'delete_searchable_snapshot':false}}}}}"
          "}");
}

static bool is_replicated(const char *name, const char *body)
{
    json_t *json = parse(body);
    bool is = object_is_replicated(name, json);
    json_decref(json);
    return is;
}

static void what_engines_and_tandem_make_is_not_replicated(void **state)
{
    (void)state;
    static const char *const others[] = {"",
                                         ".monitoring",
                                         "tandem-shadow",
                                         "painless#s",
                                         "watch-history-ilm-policy",
                                         "watch-history-ilm-policy-16",
                                         "slm-history-ilm-policy",
                                         "ilm-history-ilm-policy",
                                         "ml-size-based-ilm-policy"};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        assert_false(is_replicated(others[i], "{}"));
    assert_true(is_replicated("logs", "{}"));
    assert_true(is_replicated("my-history-ilm-policy", "{'_meta':{'managed':false}}"));
    assert_false(is_replicated("logs", "{'phases':{},'_meta':{'managed':true}}"));
}

#define DATES "'created_date_millis':1796031118853,'modified_date_millis':1796031118853"

static void an_engines_own_dates_are_left_out(void **state)
{
    (void)state;
    finds("pipeline", "{'p':{'processors':[]," DATES "}}", "{'p':{'processors':[]}}");
    finds("index_template",
          "{'index_templates':[{'name':'t','index_template':{'index_patterns':['a-*']," DATES
          "}}]}",
          "{'t':{'index_patterns':['a-*']}}");
    finds("component_template",
          "{'component_templates':[{'name':'c','component_template':{'template':{},"
          "'created_date':'2026','modified_date':'2026'," DATES "}}]}",
          "{'c':{'template':{}}}");
}

static void names_of_objects_are_their_own(void **state)
{
    (void)state;
    finds("pipeline", "{'created_date':{'processors':[]}}", "{'created_date':{'processors':[]}}");
    finds("script", "{'s':{'lang':'x','source':'y'}}", "{'s':{'lang':'x','source':'y'}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_listed_or_named),
        cmocka_unit_test(an_engines_own_dates_are_left_out),
        cmocka_unit_test(names_of_objects_are_their_own),
        cmocka_unit_test(of_a_policy_counts_what_it_says),
        cmocka_unit_test(what_newer_engines_write_out_reads_alike),
        cmocka_unit_test(what_engines_and_tandem_make_is_not_replicated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
