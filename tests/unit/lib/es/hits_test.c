/* hits_test.c - answers to searches: only whole ones count.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/hits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define ANSWER(shards, more, hits)                                                                 \
    "{\"took\":1,\"timed_out\":" more ",\"_shards\":" shards ",\"hits\":{\"max_score\":null,"      \
    "\"hits\":[" hits "]}}"
#define ONE_SHARD "{\"total\":1,\"successful\":1,\"skipped\":0,\"failed\":0}"

static void a_whole_answer_gives_its_documents(void **state)
{
    struct hits_walk walk;
    struct hit hit;
    int64_t shards = 0;
    struct span body = SPAN(ANSWER(
        ONE_SHARD, "false",
        "{\"_index\":\"i\",\"_type\":\"_doc\",\"_id\":\"a\\u00e9\",\"_version\":3,\"_seq_no\":0,"
        "\"_primary_term\":2,\"_routing\":\"r\",\"_source\":{\"n\": 1.0}},"
        "{\"_index\":\"i\",\"_type\":\"book\",\"_id\":\"b\",\"_score\":null,\"_source\":{}}"));
    (void)state;
    assert_int_equal(hits_init(&walk, body, &shards), STATUS_OK);
    assert_int_equal(shards, 1);
    assert_int_equal(hits_next(&walk, &hit), STATUS_OK);
    assert_true(span_equal(hit.id, SPAN("\"a\\u00e9\"")));
    assert_true(span_equal(hit.routing, SPAN("\"r\"")));
    assert_true(span_equal(hit.source, SPAN("{\"n\": 1.0}")));
    assert_int_equal(hit.type.size, 0);
    assert_true(hit.has_numbers);
    assert_int_equal(hit.seq_no, 0);
    assert_int_equal(hit.term, 2);
    assert_int_equal(hit.version, 3);
    assert_int_equal(hits_next(&walk, &hit), STATUS_OK);
    assert_true(span_equal(hit.type, SPAN("\"book\"")));
    assert_false(hit.has_numbers);
    assert_int_equal(hit.routing.size, 0);
    assert_int_equal(hits_next(&walk, &hit), STATUS_NOT_FOUND);
}

static void an_answer_that_is_not_whole_is_none(void **state)
{
    static const char *const answers[] = {
        ANSWER("{\"total\":2,\"successful\":1,\"skipped\":0,\"failed\":1}", "false", ""),
        ANSWER(ONE_SHARD, "true", ""),
        "{\"took\":1,\"timed_out\":false,\"hits\":{\"hits\":[]}}",
        "{\"took\":1,\"timed_out\":false,\"_shards\":" ONE_SHARD "}",
        "{\"error\":{}}",
        "",
        "<html>",
    };
    struct hits_walk walk;
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (hits_init(&walk, span_cstr(answers[i]), NULL) != STATUS_BAD_INPUT)
            fail_msg("%s is taken", answers[i]);
}

static void an_answer_that_is_cut_ends_badly(void **state)
{
    static const char whole[] =
        ANSWER(ONE_SHARD, "false", "{\"_id\":\"a\",\"_source\":{\"n\":1}},{\"_id\":\"b\"}");
    (void)state;
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        struct hits_walk walk;
        struct hit hit;
        enum status status = hits_init(&walk, span_of(whole, size), NULL);
        while (status == STATUS_OK)
            status = hits_next(&walk, &hit);
        if (status != STATUS_BAD_INPUT)
            fail_msg("cut at %zu it is taken for whole", size);
    }
}

static void members_stand_in_any_order(void **state)
{
    struct hits_walk walk;
    struct hit hit;
    (void)state;
    assert_int_equal(
        hits_init(&walk,
                  SPAN("{ \"hits\" : { \"hits\" : [ { \"_id\" : \"a\" } , {\"_id\":\"b\"} ] , "
                       "\"total\" : {\"value\":2} } , \"_shards\" : " ONE_SHARD " }"),
                  NULL),
        STATUS_OK);
    assert_int_equal(hits_next(&walk, &hit), STATUS_OK);
    assert_int_equal(hits_next(&walk, &hit), STATUS_OK);
    assert_true(span_equal(hit.id, SPAN("\"b\"")));
    for (int i = 0; i < 2; i++)
        assert_int_equal(hits_next(&walk, &hit), STATUS_NOT_FOUND);
}

static void a_hit_without_an_id_is_none(void **state)
{
    struct hits_walk walk;
    struct hit hit;
    (void)state;
    assert_int_equal(hits_init(&walk, SPAN(ANSWER(ONE_SHARD, "false", "{\"_source\":{}}")), NULL),
                     STATUS_OK);
    assert_int_equal(hits_next(&walk, &hit), STATUS_BAD_INPUT);
}

static void a_scroll_goes_on_where_its_answer_says(void **state)
{
    struct es_call call;
    (void)state;
    es_call_init(&call);
    hits_scroll_search(&call, "a b", 3, 500, NULL);
    assert_non_null(strstr(buffer_cstr(&call.target), "/a%20b/_search?scroll="));
    assert_non_null(strstr(buffer_cstr(&call.target), "preference=_shards:3"));
    assert_non_null(strstr(buffer_cstr(&call.body), "\"size\":500"));
    char *scroll = hits_scroll(SPAN("{\"_scroll_id\":\"abc\\u003d\",\"hits\":{}}"));
    assert_string_equal(scroll, "abc=");
    hits_scroll_search(&call, "a b", 3, 500, scroll);
    assert_string_equal(buffer_cstr(&call.target), "/_search/scroll");
    assert_non_null(strstr(buffer_cstr(&call.body), "\"scroll_id\":\"abc=\""));
    free(scroll);
    assert_null(hits_scroll(SPAN("{\"hits\":{}}")));
    es_call_fini(&call);
}

static void a_hit_without_numbers_has_its_version(void **state)
{
    struct hit hit = {.seq_no = -1, .version = 6};
    (void)state;
    hit_by_version(&hit);
    assert_true(hit.has_numbers);
    assert_int_equal(hit.seq_no, 6);
    assert_int_equal(hit.term, 1);
    hit.version = 7;
    hit_by_version(&hit);
    assert_int_equal(hit.seq_no, 6);
}

/* libcurl sends a request again by itself when a connection that was used before ends without an
 * answer. */
static void the_next_part_of_a_scroll_is_asked_for_once(void **state)
{
    struct es_call call;
    (void)state;
    es_call_init(&call);
    hits_scroll_search(&call, "a b", 2, 10, "s\"1");
    assert_true(call.once);
    assert_string_equal(buffer_cstr(&call.target), "/_search/scroll");
    assert_non_null(strstr(buffer_cstr(&call.body), "\"scroll_id\":\"s\\\"1\""));
    hits_scroll_search(&call, "a b", 2, 10, NULL);
    assert_false(call.once);
    assert_non_null(strstr(buffer_cstr(&call.target), "/a%20b/_search?scroll="));
    es_call_fini(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_answer_gives_its_documents),
        cmocka_unit_test(an_answer_that_is_not_whole_is_none),
        cmocka_unit_test(an_answer_that_is_cut_ends_badly),
        cmocka_unit_test(members_stand_in_any_order),
        cmocka_unit_test(a_hit_without_an_id_is_none),
        cmocka_unit_test(a_scroll_goes_on_where_its_answer_says),
        cmocka_unit_test(a_hit_without_numbers_has_its_version),
        cmocka_unit_test(the_next_part_of_a_scroll_is_asked_for_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
