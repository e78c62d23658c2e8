/* outcome_test.c - every item of an answer is seen, a cut answer is never a whole one, and each
 * judgement has its case.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/outcome.h"
#include "journal/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static const char answer[] =
    "{\"took\":3,\"errors\":true,\"items\":["
    "{\"index\":{\"_index\":\"a\",\"_type\":\"_doc\",\"_id\":\"1\",\"_version\":4,\"result\":"
    "\"updated\","
    "\"_shards\":{\"total\":2,\"successful\":1,\"failed\":0},\"_seq_no\":12,\"_primary_term\":3,"
    "\"status\":200}},"
    "{\"create\":{\"_index\":\"a\",\"_id\":\"\\u00e4\",\"status\":409,\"error\":{\"type\":"
    "\"version_conflict_engine_exception\",\"reason\":\"[1]: }],{\\\"\"}}},"
    "{\"update\":{\"_index\":\"a\",\"_id\":\"2\",\"_version\":1,\"result\":\"noop\",\"_shards\":{"
    "\"total\":2,"
    "\"successful\":1,\"failed\":1,\"failures\":[{\"x\":1}]},\"get\":{\"_seq_no\":5,\"found\":true,"
    "\"_source\":"
    "{\"n\":1.0}},\"_seq_no\":5,\"_primary_term\":1,\"status\":200}},"
    "{\"delete\":{\"_index\":\"a\",\"_id\":\"3\",\"_version\":9007199254740993,\"result\":\"not_"
    "found\",\"_shards\":"
    "{\"total\":2,\"successful\":1,\"failed\":0},\"_seq_no\":13,\"_primary_term\":3,\"status\":404}"
    "}"
    "],\"ingest_took\":1}";

static void expect_span(struct span got, const char *want)
{
    if (want == NULL) {
        assert_null(got.data);
        return;
    }
    if (got.data == NULL || !span_equal(got, span_cstr(want)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)got.size, got.data == NULL ? "" : got.data, want);
}

/* The same JSON with white space wherever it may stand: nothing takes the fast path then. */
static void loosen(struct buffer *out, const char *json)
{
    bool text = false;
    for (; *json != '\0'; json++) {
        bool structure = !text && strchr("{}[]:,", *json) != NULL;
        if (structure)
            buffer_append_cstr(out, " \n");
        buffer_append_char(out, *json);
        if (structure)
            buffer_append_cstr(out, "\t ");
        if (text && *json == '\\')
            buffer_append_char(out, *++json);
        else if (*json == '"')
            text = !text;
    }
}

static void check_answer(struct span body)
{
    struct outcome_walk walk;
    struct outcome_item item;
    assert_int_equal(outcome_walk_init(&walk, body), STATUS_OK);
    assert_true(walk.errors);
    assert_int_equal(outcome_next(&walk, &item), STATUS_OK);
    assert_int_equal(item.action, BULK_INDEX);
    assert_int_equal(item.status, 200);
    assert_int_equal(item.result, RESULT_UPDATED);
    assert_true(item.has_numbers);
    assert_int_equal(item.seq_no, 12);
    assert_int_equal(item.term, 3);
    assert_int_equal(item.version, 4);
    assert_false(item.shards_failed);
    expect_span(item.index, "\"a\"");
    expect_span(item.id, "\"1\"");
    expect_span(item.error, NULL);
    assert_int_equal(item.raw.data[0], '{');
    assert_int_equal(item.raw.data[item.raw.size - 1], '}');
    assert_int_equal(outcome_judge(&item), OUTCOME_APPLIED);

    assert_int_equal(outcome_next(&walk, &item), STATUS_OK);
    assert_int_equal(item.action, BULK_CREATE);
    expect_span(item.id, "\"\\u00e4\"");
    assert_false(item.has_numbers);
    assert_true(item.error.size > 0);
    assert_int_equal(outcome_judge(&item), OUTCOME_CONFLICT);

    assert_int_equal(outcome_next(&walk, &item), STATUS_OK);
    assert_int_equal(item.action, BULK_UPDATE);
    assert_int_equal(item.result, RESULT_NOOP);
    assert_true(item.shards_failed);
    assert_true(item.get.size > 0);
    assert_true(item.get_source.size > 0);
    assert_int_equal(outcome_judge(&item), OUTCOME_NOTHING);

    assert_int_equal(outcome_next(&walk, &item), STATUS_OK);
    assert_int_equal(item.action, BULK_DELETE);
    assert_true(item.version == 9007199254740993);
    assert_int_equal(outcome_judge(&item), OUTCOME_APPLIED);
    assert_int_equal(outcome_next(&walk, &item), STATUS_NOT_FOUND);
    assert_int_equal(outcome_next(&walk, &item), STATUS_NOT_FOUND);
    assert_int_equal(walk.items, 4);
}

static void a_bulk_answer_gives_its_items_compact_or_not(void **state)
{
    (void)state;
    struct buffer loose = {0};
    check_answer(span_cstr(answer));
    loosen(&loose, answer);
    check_answer(buffer_span(&loose));
    buffer_fini(&loose);
}

static void an_answer_cut_anywhere_is_never_whole(void **state)
{
    (void)state;
    for (size_t cut = 0; cut < sizeof answer - 1; cut++) {
        char *part = bytes_alloc(cut == 0 ? 1 : cut);
        struct outcome_walk walk;
        struct outcome_item item;
        memcpy(part, answer, cut);
        enum status status = outcome_walk_init(&walk, span_of(part, cut));
        while (status == STATUS_OK)
            status = outcome_next(&walk, &item);
        if (status != STATUS_BAD_INPUT)
            fail_msg("cut at %zu: %s", cut, status_name(status));
        free(part);
    }
}

static void what_is_no_bulk_answer_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "",
        "{}",
        "[]",
        "null",
        "{\"items\":{}}",
        "{\"items\":[}",
        "{\"items\":[{}]}",
        "{\"items\":[7]}",
        "{\"items\":[{\"index\":7}]}",
        "{\"items\":[{\"bogus\":{}}]}",
        "{\"items\":[{\"index\":{}},]}",
        "{\"items\":[,{\"index\":{}}]}",
        "{\"items\":[{\"index\":{}} {\"index\":{}}]}",
        "{\"items\":[{\"index\":{},\"create\":{}}]}",
        "{\"items\":[{\"index\":{,\"status\":200}}]}",
        "{\"items\":[{\"index\":{\"status\":200,}}]}",
        "{\"items\":[{\"index\":{\"status\":200 \"_id\":\"1\"}}]}",
        "{\"items\":[{\"index\":{\"_shards\":{\"total\":1,}}}]}",
        "{\"items\":[]} x",
        "{,\"items\":[]}",
        "{\"took\":1 \"items\":[]}",
        "{\"items\":[],}",
        "{\"error\":{\"type\":\"x\"},\"status\":400}",
    };
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        struct outcome_walk walk;
        struct outcome_item item;
        enum status status = outcome_walk_init(&walk, span_cstr(bodies[i]));
        while (status == STATUS_OK)
            status = outcome_next(&walk, &item);
        if (status != STATUS_BAD_INPUT)
            fail_msg("%s: %s", status_name(status), bodies[i]);
    }
}

static void errors_false_is_seen_before_the_items_or_not_at_all(void **state)
{
    (void)state;
    struct outcome_walk walk;
    struct outcome_item item;
    assert_int_equal(outcome_walk_init(&walk, SPAN("{\"errors\":false,\"took\":1,\"items\":[]}")),
                     STATUS_OK);
    assert_false(walk.errors);
    assert_int_equal(outcome_next(&walk, &item), STATUS_NOT_FOUND);
    assert_int_equal(outcome_walk_init(&walk, SPAN("{\"items\":[],\"errors\":false}")), STATUS_OK);
    assert_true(walk.errors);
    assert_int_equal(outcome_next(&walk, &item), STATUS_NOT_FOUND);
}

#define WRITTEN(result) "{\"result\":\"" result "\",\"_seq_no\":0,\"_primary_term\":1}"
#define FAILED(type)                                                                               \
    "{\"error\":{\"root_cause\":[],\"type\":\"" type "\",\"reason\":\"x\"},\"status\":1}"

static void every_judgement_has_its_case(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum outcome outcome;
    } cases[] = {
        {201, WRITTEN("created"), OUTCOME_APPLIED},
        {200, WRITTEN("updated"), OUTCOME_APPLIED},
        {200, WRITTEN("deleted"), OUTCOME_APPLIED},
        {404, WRITTEN("not_found"), OUTCOME_APPLIED},
        {200, WRITTEN("noop"), OUTCOME_NOTHING},
        {200, "{\"result\":\"noop\",\"_version\":-3,\"_id\":\"auto-generated\"}", OUTCOME_NOTHING},
        {200, "{\"result\":\"noop\",\"_version\":-1}", OUTCOME_NOTHING},
        {201, "{\"result\":\"created\"}", OUTCOME_UNKNOWN},
        {201, "{\"result\":\"created\",\"_seq_no\":-2,\"_primary_term\":0}", OUTCOME_UNKNOWN},
        {201, "{\"result\":\"created\",\"_seq_no\":5}", OUTCOME_UNKNOWN},
        {200, "{}", OUTCOME_UNKNOWN},
        {404, "{}", OUTCOME_UNKNOWN},
        {404, "{\"found\":false}", OUTCOME_UNKNOWN},
        {404, FAILED("index_not_found_exception"), OUTCOME_REFUSED},
        {404, FAILED("document_missing_exception"), OUTCOME_REFUSED},
        {404, FAILED("shard_not_found_exception"), OUTCOME_UNKNOWN},
        {409, FAILED("version_conflict_engine_exception"), OUTCOME_CONFLICT},
        {400, FAILED("mapper_parsing_exception"), OUTCOME_REFUSED},
        {401, FAILED("security_exception"), OUTCOME_REFUSED},
        {403, FAILED("cluster_block_exception"), OUTCOME_REFUSED},
        {405, "{\"error\":\"Incorrect HTTP method\",\"status\":405}", OUTCOME_REFUSED},
        {406, "{\"error\":\"x\"}", OUTCOME_REFUSED},
        {413, "{}", OUTCOME_REFUSED},
        {415, "{}", OUTCOME_REFUSED},
        {429, FAILED("es_rejected_execution_exception"), OUTCOME_REFUSED},
        {429, FAILED("circuit_breaking_exception"), OUTCOME_REFUSED},
        {429, FAILED("timeout_exception"), OUTCOME_UNKNOWN},
        {429, FAILED("process_cluster_event_timeout_exception"), OUTCOME_UNKNOWN},
        {429, FAILED("receive_timeout_transport_exception"), OUTCOME_UNKNOWN},
        {500, FAILED("fail_processor_exception"), OUTCOME_REFUSED},
        {500, FAILED("null_pointer_exception"), OUTCOME_UNKNOWN},
        {500, "{}", OUTCOME_UNKNOWN},
        {502, "{}", OUTCOME_UNKNOWN},
        {503, FAILED("unavailable_shards_exception"), OUTCOME_UNKNOWN},
        {503, FAILED("process_cluster_event_timeout_exception"), OUTCOME_UNKNOWN},
        {504, "{}", OUTCOME_UNKNOWN},
        {408, "{}", OUTCOME_UNKNOWN},
        {302, "{}", OUTCOME_UNKNOWN},
        {0, "{}", OUTCOME_UNKNOWN},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct outcome_item item;
        assert_int_equal(outcome_single(cases[i].status, span_cstr(cases[i].body), &item),
                         STATUS_OK);
        assert_int_equal(item.status, cases[i].status);
        if (outcome_judge(&item) != cases[i].outcome)
            fail_msg("%d %s is %d", cases[i].status, cases[i].body, (int)outcome_judge(&item));
    }
}

static void a_single_answer_that_is_no_object_is_refused(void **state)
{
    (void)state;
    struct outcome_item item;
    assert_int_equal(outcome_single(200, SPAN_NONE, &item), STATUS_BAD_INPUT);
    assert_int_equal(outcome_single(200, SPAN("[]"), &item), STATUS_BAD_INPUT);
    assert_int_equal(outcome_single(200, SPAN("{\"_seq_no\":1}}"), &item), STATUS_BAD_INPUT);
    assert_int_equal(
        outcome_single(201, SPAN("{\"_seq_no\":9223372036854775807,\"_primary_term\":1}"), &item),
        STATUS_OK);
    assert_true(item.seq_no == INT64_MAX);
    assert_int_equal(outcome_single(201, SPAN("{\"_seq_no\":1.0,\"_primary_term\":1}"), &item),
                     STATUS_OK);
    assert_false(item.has_numbers);
}

static void a_whole_bulk_is_refused_only_where_nothing_ran(void **state)
{
    (void)state;
    static const int refused[] = {400, 401, 403, 405, 406, 413, 415, 429};
    static const int unknown[] = {0, 200, 404, 408, 409, 500, 502, 503, 504};
    struct span blocked = SPAN("{\"error\":{\"type\":\"cluster_block_exception\"},\"status\":503}");
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        assert_int_equal(outcome_judge_whole_bulk(refused[i], SPAN_NONE, false), OUTCOME_REFUSED);
        assert_int_equal(outcome_judge_whole_bulk(refused[i], SPAN_NONE, true), OUTCOME_UNKNOWN);
    }
    for (size_t i = 0; i < COUNT_OF(unknown); i++)
        assert_int_equal(outcome_judge_whole_bulk(unknown[i], SPAN("{}"), false), OUTCOME_UNKNOWN);
    assert_int_equal(outcome_judge_whole_bulk(503, blocked, false), OUTCOME_REFUSED);
    assert_int_equal(outcome_judge_whole_bulk(503, blocked, true), OUTCOME_UNKNOWN);
}

static void mget_tells_found_from_missing_from_failed(void **state)
{
    (void)state;
    static const char body[] =
        "{\"docs\":[{\"_index\":\"a\",\"_id\":\"1\",\"_version\":2,\"_seq_no\":7,\"_primary_term\":"
        "1,\"_routing\":\"r\","
        "\"found\":true,\"_source\":{\"a\" : [1, \"]}\"]}},"
        "{\"_index\":\"a\",\"_id\":\"2\",\"found\":false},"
        "{\"_index\":\"b\",\"_id\":\"3\",\"error\":{\"type\":\"index_not_found_exception\"}},"
        "{\"_index\":\"b\",\"_id\":\"4\"}]}";
    struct outcome_walk walk;
    struct mget_doc doc;
    assert_int_equal(mget_walk_init(&walk, span_cstr(body)), STATUS_OK);
    assert_int_equal(mget_next(&walk, &doc), STATUS_OK);
    assert_true(doc.found && doc.has_numbers && !doc.failed);
    assert_int_equal(doc.seq_no, 7);
    expect_span(doc.routing, "\"r\"");
    expect_span(doc.source, "{\"a\" : [1, \"]}\"]}");
    assert_int_equal(mget_next(&walk, &doc), STATUS_OK);
    assert_true(!doc.found && !doc.failed && !doc.has_numbers);
    expect_span(doc.source, NULL);
    assert_int_equal(mget_next(&walk, &doc), STATUS_OK);
    assert_true(doc.failed && doc.error.size > 0);
    assert_int_equal(mget_next(&walk, &doc), STATUS_OK);
    assert_true(doc.failed);
    assert_int_equal(mget_next(&walk, &doc), STATUS_NOT_FOUND);
    assert_int_equal(mget_walk_init(&walk, SPAN("{\"error\":{},\"status\":404}")),
                     STATUS_BAD_INPUT);
    for (size_t cut = 0; cut < sizeof body - 1; cut++) {
        enum status status = mget_walk_init(&walk, span_of(body, cut));
        while (status == STATUS_OK)
            status = mget_next(&walk, &doc);
        assert_int_equal(status, STATUS_BAD_INPUT);
    }
}

/* Answers of 2.4.6 and 5.6.16, shortened. */
static void engines_without_numbers_tell_by_version(void **state)
{
    static const struct {
        const char *body;
        int status;
        enum result result;
        int64_t number; /* -1: none */
        enum outcome outcome;
    } cases[] = {
        {"{\"_id\":\"1\",\"_version\":1,\"created\":true}", 201, RESULT_CREATED, 1,
         OUTCOME_APPLIED},
        {"{\"_id\":\"1\",\"_version\":2,\"created\":false}", 200, RESULT_UPDATED, 2,
         OUTCOME_APPLIED},
        {"{\"_id\":\"1\",\"_version\":2,\"result\":\"updated\",\"created\":false}", 200,
         RESULT_UPDATED, 2, OUTCOME_APPLIED},
        {"{\"found\":true,\"_id\":\"1\",\"_version\":4}", 200, RESULT_DELETED, 4, OUTCOME_APPLIED},
        {"{\"found\":false,\"_id\":\"1\",\"_version\":5}", 404, RESULT_NOT_FOUND, 5,
         OUTCOME_APPLIED},
        {"{\"_id\":\"1\",\"_version\":0,\"created\":true}", 201, RESULT_CREATED, 0,
         OUTCOME_APPLIED},
        {"{\"_id\":\"1\",\"_version\":7,\"get\":{\"found\":true,\"_source\":{}}}", 200,
         RESULT_UPDATED, 7, OUTCOME_APPLIED},
        {"{\"_id\":\"1\",\"_version\":1,\"get\":{\"found\":true,\"_source\":{}}}", 201,
         RESULT_CREATED, 1, OUTCOME_APPLIED},
        {"{\"_id\":\"1\",\"_version\":7,\"result\":\"noop\"}", 200, RESULT_NOOP, 7,
         OUTCOME_NOTHING},
        {"{\"error\":{\"type\":\"document_already_exists_exception\"},\"status\":409}", 409,
         RESULT_NONE, -1, OUTCOME_CONFLICT},
        {"{\"error\":{\"type\":\"x\"},\"_version\":3,\"status\":400}", 400, RESULT_NONE, -1,
         OUTCOME_REFUSED},
        {"{\"_id\":\"1\"}", 200, RESULT_NONE, -1, OUTCOME_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome_item item;
        assert_int_equal(outcome_single(cases[i].status, span_cstr(cases[i].body), &item),
                         STATUS_OK);
        assert_false(item.has_numbers);
        outcome_by_version(&item);
        assert_int_equal(item.result, cases[i].result);
        assert_int_equal(item.has_numbers, cases[i].number >= 0);
        assert_int_equal(item.seq_no, cases[i].number);
        assert_int_equal(outcome_judge(&item), cases[i].outcome);
    }
}

/* Whatever version a client sets, a row can have its numbers. */
static void any_version_has_numbers_in_its_order(void **state)
{
    static const int64_t versions[] = {0,
                                       1,
                                       (INT64_C(1) << 40) - 1,
                                       INT64_C(1) << 40,
                                       1764495600000,
                                       1764495600001,
                                       1764495600000000000,
                                       INT64_MAX >> 1};
    uint64_t term_before = 0, term;
    int64_t before = -1, seq_no;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        struct buffer out = {0};
        numbers_of_version(versions[i], &term, &seq_no);
        assert_true(numbers_compare(term, seq_no, term_before, before) > 0);
        struct record record = {
            .header = {.kind = RECORD_ROW, .boot = 1, .seq = 1, .timeline = 1, .parts = 1},
            .row = {.op = ROW_INDEX,
                    .proof = ROW_ANSWERED,
                    .term = term,
                    .seq_no = seq_no,
                    .version = versions[i],
                    .id = SPAN("1"),
                    .content = CONTENT_JSON,
                    .source = SPAN("{}")}};
        record_encode(&out, &record); /* stops the program on what it would not read */
        buffer_fini(&out);
        term_before = term;
        before = seq_no;
    }
    numbers_of_version(INT64_MAX, &term, &seq_no);
    assert_true(term < 1 << 23);
    numbers_of_version(7, &term, &seq_no);
    assert_int_equal(term, 1);
    assert_int_equal(seq_no, 7);
}

static void what_has_numbers_keeps_them(void **state)
{
    struct outcome_item item;
    struct mget_doc doc = {
        .found = true, .has_numbers = true, .seq_no = 9, .term = 2, .version = 4};
    (void)state;
    assert_int_equal(outcome_single(200,
                                    SPAN("{\"_version\":4,\"result\":\"updated\",\"_seq_no\":9,"
                                         "\"_primary_term\":2}"),
                                    &item),
                     STATUS_OK);
    outcome_by_version(&item);
    assert_int_equal(item.seq_no, 9);
    assert_int_equal(item.term, 2);
    mget_by_version(&doc);
    assert_int_equal(doc.seq_no, 9);
    doc.has_numbers = false;
    mget_by_version(&doc);
    assert_int_equal(doc.seq_no, 4);
    assert_int_equal(doc.term, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bulk_answer_gives_its_items_compact_or_not),
        cmocka_unit_test(an_answer_cut_anywhere_is_never_whole),
        cmocka_unit_test(what_is_no_bulk_answer_is_refused),
        cmocka_unit_test(errors_false_is_seen_before_the_items_or_not_at_all),
        cmocka_unit_test(every_judgement_has_its_case),
        cmocka_unit_test(a_single_answer_that_is_no_object_is_refused),
        cmocka_unit_test(a_whole_bulk_is_refused_only_where_nothing_ran),
        cmocka_unit_test(mget_tells_found_from_missing_from_failed),
        cmocka_unit_test(engines_without_numbers_tell_by_version),
        cmocka_unit_test(any_version_has_numbers_in_its_order),
        cmocka_unit_test(what_has_numbers_keeps_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
