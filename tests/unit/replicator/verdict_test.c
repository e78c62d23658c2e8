/* verdict_test.c - what a standby's answers mean, in the words of the engines.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "replicator/verdict.h"

static void assert_verdict(enum verdict expected, int status, const char *error)
{
    struct outcome_item item = {.status = status, .error = span_cstr(error)};
    assert_string_equal(verdict_name(verdict_item(&item)), verdict_name(expected));
}

static void an_older_row_is_done(void **state)
{
    (void)state;
    assert_verdict(VERDICT_DONE, 409, "{\"type\":\"version_conflict_engine_exception\"}");
}

static void a_delete_of_what_is_not_there_is_done(void **state)
{
    (void)state;
    struct outcome_item item = {.status = 404, .result = RESULT_NOT_FOUND};
    assert_string_equal(verdict_name(verdict_item(&item)), verdict_name(VERDICT_DONE));
}

static void an_engine_that_just_starts_is_asked_again(void **state)
{
    (void)state;
    assert_verdict(VERDICT_RETRY, 503, "{\"type\":\"unavailable_shards_exception\"}");
    assert_verdict(VERDICT_RETRY, 429, "{\"type\":\"es_rejected_execution_exception\"}");
    /* Of a delete, whose index it began to make before it had read its own state. */
    assert_verdict(VERDICT_RETRY, 400,
                   "{\"type\":\"invalid_index_name_exception\",\"reason\":\"Invalid index name "
                   "[.tandem-401831cc6cea10aa-6], already exists as alias\"}");
}

static void an_alias_that_is_gone_is_no_refusal(void **state)
{
    (void)state;
    assert_verdict(VERDICT_ALIAS, 404, "{\"type\":\"index_not_found_exception\"}");
}

static void a_field_that_is_not_mapped_waits_for_its_mapping(void **state)
{
    (void)state;
    assert_verdict(VERDICT_MAPPING, 400,
                   "{\"type\":\"illegal_argument_exception\",\"reason\":\"Limit of total fields [1] "
                   "has been exceeded\"}");
    assert_verdict(VERDICT_MAPPING, 400, "{\"type\":\"strict_dynamic_mapping_exception\"}");
}

static void blocks_and_missing_rights_wait(void **state)
{
    (void)state;
    assert_verdict(VERDICT_BLOCKED, 403, "{\"type\":\"cluster_block_exception\"}");
    assert_verdict(VERDICT_BLOCKED, 400, "{\"type\":\"index_closed_exception\"}");
    assert_verdict(VERDICT_BLOCKED, 401, "{\"type\":\"security_exception\"}");
}

static void what_stays_wrong_is_parked(void **state)
{
    (void)state;
    assert_verdict(VERDICT_PARK, 400, "{\"type\":\"mapper_parsing_exception\"}");
    assert_verdict(VERDICT_PARK, 400, "{\"type\":\"invalid_index_name_exception\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_row_is_done),
        cmocka_unit_test(a_delete_of_what_is_not_there_is_done),
        cmocka_unit_test(an_engine_that_just_starts_is_asked_again),
        cmocka_unit_test(an_alias_that_is_gone_is_no_refusal),
        cmocka_unit_test(a_field_that_is_not_mapped_waits_for_its_mapping),
        cmocka_unit_test(blocks_and_missing_rights_wait),
        cmocka_unit_test(what_stays_wrong_is_parked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
