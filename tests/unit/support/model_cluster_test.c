/* model_cluster_test.c - the model cluster answers as the engines do; what it knows is shown here
 * one by one.
 *
 * tests/system/test_engine_facts.py compares the same things with a real engine.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/json.h"
#include "es/outcome.h"
#include "model_cluster.h"

#define SECOND UINT64_C(1000000)

struct world {
    struct model_cluster *cluster;
    struct model_answer answer;
    uint64_t now_us;
};

static int begin(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    world->cluster = model_cluster_new(&(struct model_options){.seed = 1});
    world->now_us = 1000 * SECOND;
    *state = world;
    return 0;
}

static int end(void **state)
{
    struct world *world = *state;
    model_cluster_free(world->cluster);
    model_answer_fini(&world->answer);
    free(world);
    return 0;
}

static int ask(struct world *world, const char *method, const char *target, const char *body)
{
    struct model_request request = {
        .method = span_cstr(method), .target = span_cstr(target), .body = span_cstr(body)};
    model_cluster_handle(world->cluster, world->now_us, &request, &world->answer);
    return world->answer.status;
}

/* The answer has the JSON value TEXT at PATH. */
static void expect(struct world *world, const char *path, const char *text)
{
    struct span value = json_path(buffer_span(&world->answer.body), path);
    if (!span_equal(value, span_cstr(text)))
        fail_msg("%s is %.*s, not %s, in %s", path, (int)value.size,
                 value.size == 0 ? "" : value.data, text, buffer_cstr(&world->answer.body));
}

#define EXPECT_STATUS(status, call)                                                                \
    do {                                                                                           \
        int got_ = (call);                                                                         \
        if (got_ != (status))                                                                      \
            fail_msg("%d, not %d: %s", got_, (status), buffer_cstr(&world->answer.body));          \
    } while (0)

static void versions_and_numbers_rise(void **state)
{
    struct world *world = *state;
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1", "{\"n\":1}"));
    expect(world, "_version", "1");
    expect(world, "_seq_no", "0");
    EXPECT_STATUS(200, ask(world, "PUT", "/a/_doc/1", "{\"n\":2}"));
    expect(world, "result", "\"updated\"");
    expect(world, "_version", "2");
    EXPECT_STATUS(409, ask(world, "PUT", "/a/_create/1", "{\"n\":2}"));
    expect(world, "error/type", "\"version_conflict_engine_exception\"");
    EXPECT_STATUS(200, ask(world, "DELETE", "/a/_doc/1", NULL));
    expect(world, "_version", "3");
    EXPECT_STATUS(404, ask(world, "DELETE", "/a/_doc/1", NULL));
    expect(world, "result", "\"not_found\"");
    expect(world, "_version", "4");
    expect(world, "_seq_no", "3");
    EXPECT_STATUS(404, ask(world, "GET", "/a/_doc/1", NULL));
    EXPECT_STATUS(201, ask(world, "POST", "/a/_doc", "{\"n\":5}"));
    assert_int_equal(json_path(buffer_span(&world->answer.body), "_id").size, 22);
}

static void external_versions_are_a_fence(void **state)
{
    struct world *world = *state;
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1?version=10&version_type=external", "{}"));
    EXPECT_STATUS(409, ask(world, "PUT", "/a/_doc/1?version=10&version_type=external", "{}"));
    EXPECT_STATUS(409, ask(world, "PUT", "/a/_doc/1?version=9&version_type=external", "{}"));
    EXPECT_STATUS(200, ask(world, "PUT", "/a/_doc/1?version=10&version_type=external_gte", "{}"));
    expect(world, "_seq_no", "1"); /* a conflict takes no number */
    EXPECT_STATUS(200, ask(world, "DELETE", "/a/_doc/1?version=20&version_type=external", NULL));
    EXPECT_STATUS(409, ask(world, "PUT", "/a/_doc/1?version=15&version_type=external", "{}"));
    EXPECT_STATUS(404, ask(world, "DELETE", "/a/_doc/2?version=7&version_type=external", NULL));
    expect(world, "_version", "7");
    EXPECT_STATUS(400, ask(world, "PUT", "/a/_create/9?version=7&version_type=external", "{}"));
}

static void a_forgotten_tombstone_lets_an_older_write_in(void **state)
{
    struct world *world = *state;
    ask(world, "PUT", "/a/_doc/1?version=10&version_type=external", "{}");
    ask(world, "DELETE", "/a/_doc/1?version=20&version_type=external", NULL);
    EXPECT_STATUS(409, ask(world, "PUT", "/a/_doc/1?version=15&version_type=external", "{}"));
    world->now_us += 61 * SECOND;
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1?version=15&version_type=external", "{}"));
    ask(world, "PUT", "/a/_settings", "{\"index.gc_deletes\":\"3h\"}");
    ask(world, "DELETE", "/a/_doc/1?version=20&version_type=external", NULL);
    world->now_us += 61 * SECOND;
    EXPECT_STATUS(409, ask(world, "PUT", "/a/_doc/1?version=15&version_type=external", "{}"));
    model_cluster_restart(world->cluster);
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1?version=15&version_type=external", "{}"));
    expect(world, "_primary_term", "2");
}

static void a_fenced_alias_stops_a_late_bulk(void **state)
{
    struct world *world = *state;
    const char *bulk = "{\"index\":{\"_index\":\".tandem-1-1\",\"_id\":\"1\",\"version\":5,"
                       "\"version_type\":\"external\"}}\n{\"n\":1}\n"
                       "{\"delete\":{\"_index\":\".tandem-1-1\",\"_id\":\"2\",\"version\":5,"
                       "\"version_type\":\"external\"}}\n";
    ask(world, "PUT", "/a", "{\"aliases\":{\".tandem-1-1\":{\"is_hidden\":true}}}");
    EXPECT_STATUS(200, ask(world, "POST", "/_bulk?require_alias=true", bulk));
    expect(world, "errors", "false");
    EXPECT_STATUS(200,
                  ask(world, "POST", "/_aliases",
                      "{\"actions\":[{\"remove\":{\"index\":\"*\",\"alias\":\".tandem-*\"}}]}"));
    EXPECT_STATUS(200, ask(world, "POST", "/_bulk?require_alias=true", bulk));
    expect(world, "errors", "true");
    struct outcome_walk walk;
    struct outcome_item item;
    assert_int_equal(outcome_walk_init(&walk, buffer_span(&world->answer.body)), STATUS_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(outcome_next(&walk, &item), STATUS_OK);
        assert_int_equal(item.status, 404);
        assert_true(json_string_is(json_member(item.error, SPAN("type")),
                                   SPAN("index_not_found_exception")));
    }
    EXPECT_STATUS(404, ask(world, "GET", "/.tandem-1-1", NULL));
}

static void the_gate_passes_known_fields_only(void **state)
{
    struct world *world = *state;
    ask(world, "PUT", "/a",
        "{\"mappings\":{\"properties\":{\"n\":{\"type\":\"long\"}}},\"settings\":{"
        "\"index.mapping.total_fields.limit\":1}}");
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1", "{\"n\":1}"));
    EXPECT_STATUS(400, ask(world, "PUT", "/a/_doc/2", "{\"n\":1,\"new\":2}"));
    expect(world, "error/reason", "\"Limit of total fields [1] has been exceeded\"");
    EXPECT_STATUS(400,
                  ask(world, "PUT", "/a/_mapping", "{\"properties\":{\"m\":{\"type\":\"long\"}}}"));
}

static void mappings_are_guessed_at_first_sight(void **state)
{
    struct world *world = *state;
    int64_t before = model_cluster_state_version(world->cluster);
    EXPECT_STATUS(
        201,
        ask(world, "PUT", "/a/_doc/1",
            "{\"l\":1,\"f\":1.5,\"t\":\"x\",\"b\":true,\"d\":\"2020-01-02\",\"o\":{\"p\":[1]}}"));
    assert_true(model_cluster_state_version(world->cluster) > before);
    ask(world, "GET", "/a/_mapping", NULL);
    expect(world, "a/mappings/properties/l/type", "\"long\"");
    expect(world, "a/mappings/properties/f/type", "\"float\"");
    expect(world, "a/mappings/properties/t/type", "\"text\"");
    expect(world, "a/mappings/properties/b/type", "\"boolean\"");
    expect(world, "a/mappings/properties/d/type", "\"date\"");
    expect(world, "a/mappings/properties/o/properties/p/type", "\"long\"");
    EXPECT_STATUS(400, ask(world, "PUT", "/a/_doc/2", "{\"l\":\"word\"}"));
    expect(world, "error/type", "\"mapper_parsing_exception\"");
    EXPECT_STATUS(400, ask(world, "PUT", "/a/_doc/2", "{\"l\":{\"x\":1}}"));
    EXPECT_STATUS(400, ask(world, "PUT", "/a/_doc/2", "{\"o\":1}"));
    EXPECT_STATUS(400, ask(world, "PUT", "/a/_doc/2", "{\"l\":1"));
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/2", "{\"l\":\"12\",\"b\":\"true\"}"));
    expect(world, "_seq_no", "1");
}

static void two_routings_of_one_id_are_two_documents(void **state)
{
    struct world *world = *state;
    ask(world, "PUT", "/a", "{\"settings\":{\"number_of_shards\":16}}");
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1?routing=x", "{\"n\":1}"));
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1?routing=y", "{\"n\":2}"));
    EXPECT_STATUS(200, ask(world, "GET", "/a/_doc/1?routing=y", NULL));
    expect(world, "_source", "{\"n\":2}");
    expect(world, "_routing", "\"y\"");
    ask(world, "POST", "/a/_count", NULL);
    expect(world, "count", "2");
}

static void updates_merge_and_say_what_they_made(void **state)
{
    struct world *world = *state;
    EXPECT_STATUS(404, ask(world, "POST", "/a/_update/1", "{\"doc\":{\"n\":1}}"));
    EXPECT_STATUS(201, ask(world, "POST", "/a/_update/1?_source=true",
                           "{\"doc\":{\"n\":1},\"doc_as_upsert\":true}"));
    expect(world, "get/_source", "{\"n\":1}");
    EXPECT_STATUS(200, ask(world, "POST", "/a/_update/1?_source=true", "{\"doc\":{\"n\":1}}"));
    expect(world, "result", "\"noop\"");
    expect(world, "_seq_no", "0");
    EXPECT_STATUS(
        200, ask(world, "POST", "/a/_update/1?_source=true",
                 "{\"script\":{\"source\":\"ctx._source.n += params.n\",\"params\":{\"n\":4}}}"));
    expect(world, "get/_source", "{\"n\":5}");
    EXPECT_STATUS(200, ask(world, "POST", "/a/_update/1", "{\"script\":\"ctx.op='none'\"}"));
    expect(world, "result", "\"noop\"");
    EXPECT_STATUS(
        200, ask(world, "POST", "/a/_update/1?_source=true", "{\"script\":\"ctx.op='delete'\"}"));
    expect(world, "result", "\"deleted\"");
    expect(world, "_version", "3");
    EXPECT_STATUS(404, ask(world, "GET", "/a/_doc/1", NULL));
}

static void pipelines_change_and_drop_documents(void **state)
{
    struct world *world = *state;
    ask(world, "PUT", "/_ingest/pipeline/tag",
        "{\"processors\":[{\"set\":{\"field\":\"tag\",\"value\":\"v\"}}]}");
    ask(world, "PUT", "/_ingest/pipeline/drop", "{\"processors\":[{\"drop\":{}}]}");
    ask(world, "PUT", "/a", "{\"settings\":{\"final_pipeline\":\"tag\"}}");
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1?pipeline=_none", "{\"n\":1.0}"));
    ask(world, "GET", "/a/_doc/1", NULL);
    expect(world, "_source", "{\"n\":1.0,\"tag\":\"v\"}");
    EXPECT_STATUS(200, ask(world, "PUT", "/a/_doc/2?pipeline=drop", "{\"n\":1}"));
    expect(world, "result", "\"noop\"");
    expect(world, "_version", "-3");
    assert_int_equal(json_path(buffer_span(&world->answer.body), "_seq_no").size, 0);
    EXPECT_STATUS(200,
                  ask(world, "POST", "/a/_update/1?_source=true", "{\"doc\":{\"tag\":\"w\"}}"));
    expect(world, "get/_source", "{\"n\":1.0,\"tag\":\"w\"}");
    ask(world, "GET", "/a/_doc/1", NULL);
    expect(world, "_source", "{\"n\":1.0,\"tag\":\"v\"}");
}

static void the_highest_template_shadows_the_others(void **state)
{
    struct world *world = *state;
    ask(world, "PUT", "/_template/old",
        "{\"index_patterns\":[\"t*\"],\"settings\":{\"number_of_shards\":3}}");
    ask(world, "PUT", "/_index_template/new",
        "{\"index_patterns\":[\"t1*\"],\"priority\":1,\"template\":{\"settings\":{\"number_of_"
        "shards\":2}}}");
    ask(world, "PUT", "/t0/_doc/1", "{}");
    ask(world, "GET", "/t0/_settings?flat_settings=true", NULL);
    expect(world, "t0/settings/index.number_of_shards", "\"3\"");
    ask(world, "PUT", "/t1/_doc/1", "{}");
    ask(world, "GET", "/t1/_settings?flat_settings=true", NULL);
    expect(world, "t1/settings/index.number_of_shards", "\"2\"");
    ask(world, "PUT", "/_index_template/shadow",
        "{\"index_patterns\":[\"**\"],\"priority\":1000,\"template\":{\"settings\":{}}}");
    ask(world, "PUT", "/t11/_doc/1", "{}");
    ask(world, "GET", "/t11/_settings?flat_settings=true", NULL);
    expect(world, "t11/settings/index.number_of_shards", "\"1\"");
}

static void a_deleted_index_is_in_the_graveyard(void **state)
{
    struct world *world = *state;
    ask(world, "PUT", "/a", NULL);
    ask(world, "GET", "/_cluster/state/version,metadata/a", NULL);
    struct span uuid =
        json_path(buffer_span(&world->answer.body), "metadata/indices/a/settings/index/uuid");
    char *copy = span_dup(uuid);
    EXPECT_STATUS(200, ask(world, "DELETE", "/a", NULL));
    ask(world, "GET", "/_cluster/state/version,metadata?filter_path=metadata.index-graveyard",
        NULL);
    assert_non_null(strstr(buffer_cstr(&world->answer.body), copy));
    free(copy);
}

static void a_closed_or_blocked_index_refuses_writes(void **state)
{
    struct world *world = *state;
    ask(world, "PUT", "/a", NULL);
    EXPECT_STATUS(200, ask(world, "PUT", "/a/_block/write", NULL));
    EXPECT_STATUS(403, ask(world, "PUT", "/a/_doc/1", "{}"));
    expect(world, "error/type", "\"cluster_block_exception\"");
    ask(world, "PUT", "/a/_settings", "{\"index.blocks.write\":null}");
    ask(world, "POST", "/a/_close", NULL);
    EXPECT_STATUS(400, ask(world, "PUT", "/a/_doc/1", "{}"));
    expect(world, "error/type", "\"index_closed_exception\"");
    ask(world, "POST", "/a/_open", NULL);
    EXPECT_STATUS(201, ask(world, "PUT", "/a/_doc/1", "{}"));
    expect(world, "_primary_term", "3");
}

static void comparing_finds_each_kind_of_difference(void **state)
{
    struct world *world = *state;
    struct model_cluster *standby;
    struct buffer differences = {0};
    ask(world, "PUT", "/a/_doc/1?version=1099511627776&version_type=external", "{\"n\":1}");
    standby = model_cluster_copy(world->cluster);
    /* The copy has the version that (term 1, seq_no 0) packs to. */
    assert_int_equal(model_compare(world->cluster, standby, 0, &differences), 0);
    ask(world, "PUT", "/a/_doc/1", "{\"n\":2}");
    ask(world, "PUT", "/a/_doc/2", "{\"n\":2}");
    ask(world, "PUT", "/_scripts/s",
        "{\"script\":{\"lang\":\"painless\",\"source\":\"ctx.op='none'\"}}");
    assert_int_equal(model_compare(world->cluster, standby, 0, &differences), 4);
    buffer_fini(&differences);
    model_cluster_free(standby);
}

static void a_restored_index_begins_another_history(void **state)
{
    struct world *world = *state;
    ask(world, "PUT", "/a/_doc/1", "{\"n\":1}");
    struct model_cluster *snapshot = model_cluster_copy(world->cluster);
    ask(world, "PUT", "/a/_doc/1", "{\"n\":2}");
    assert_true(model_cluster_restore_index(world->cluster, snapshot, "a"));
    ask(world, "GET", "/a/_doc/1", NULL);
    expect(world, "_source", "{\"n\":1}");
    expect(world, "_primary_term", "1");
    ask(world, "GET", "/_cluster/state/metadata/a", NULL);
    assert_true(json_path(buffer_span(&world->answer.body),
                          "metadata/indices/a/settings/index/history/uuid")
                    .size > 2);
    expect(world, "metadata/indices/a/primary_terms", "{\"0\":2}");
    model_cluster_free(snapshot);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(versions_and_numbers_rise),
        TEST(external_versions_are_a_fence),
        TEST(a_forgotten_tombstone_lets_an_older_write_in),
        TEST(a_fenced_alias_stops_a_late_bulk),
        TEST(the_gate_passes_known_fields_only),
        TEST(mappings_are_guessed_at_first_sight),
        TEST(two_routings_of_one_id_are_two_documents),
        TEST(updates_merge_and_say_what_they_made),
        TEST(pipelines_change_and_drop_documents),
        TEST(the_highest_template_shadows_the_others),
        TEST(a_deleted_index_is_in_the_graveyard),
        TEST(a_closed_or_blocked_index_refuses_writes),
        TEST(comparing_finds_each_kind_of_difference),
        TEST(a_restored_index_begins_another_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
