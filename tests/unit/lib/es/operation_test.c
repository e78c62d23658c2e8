/* operation_test.c - every call of operations.tsv is what its row says, and nothing unknown is a
 * write.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "es/operation.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

static struct operation classify(const char *method, const char *path)
{
    struct operation op;
    operation_classify(span_cstr(method), span_cstr(path), &op);
    return op;
}

static void expect(const char *method, const char *path, enum op_class class, enum op_kind kind)
{
    struct operation op = classify(method, path);
    if (op.class != class || op.kind != kind)
        fail_msg("%s %s is %s/%s, not %s/%s", method, path, op_class_name(op.class),
                 op_kind_name(op.kind), op_class_name(class), op_kind_name(kind));
}

static void expect_span(struct span got, const char *want)
{
    if (!span_equal(got, span_cstr(want)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)got.size, got.data, want);
}

static void expect_parts(const char *method, const char *path, const char *index, const char *type,
                         const char *id)
{
    struct operation op = classify(method, path);
    expect_span(op.index, index);
    expect_span(op.type, type);
    expect_span(op.id, id);
}

/* Every {parameter} of TEMPLATE replaced by VALUE. */
static void fill(char *path, size_t size, const char *template, const char *value)
{
    size_t at = 0;
    while (*template != '\0' && at + strlen(value) + 2 < size) {
        if (*template != '{') {
            path[at++] = *template ++;
            continue;
        }
        memcpy(path + at, value, strlen(value));
        at += strlen(value);
        template = strchr(template, '}') + 1;
    }
    path[at] = '\0';
}

static void check_row(char *row)
{
    static const char *const values[] = {"x", "a-1,b-*", "%3Clogs-%7Bnow%2Fd%7D%3E", "7",
                                         "caf%C3%A9"};
    char *column[7], *rest = row, path[512];
    for (size_t i = 0; i < 7; i++)
        column[i] = strsep(&rest, "\t\n");
    const char *kind = strcmp(column[5], "-") == 0 ? "none" : column[5];
    char *methods = column[1], *method;
    while ((method = strsep(&methods, ",")) != NULL) {
        for (size_t i = 0; i < COUNT_OF(values); i++) {
            fill(path, sizeof path, column[2], values[i]);
            struct operation op = classify(method, path);
            if (strcmp(op_class_name(op.class), column[4]) != 0 ||
                strcmp(op_kind_name(op.kind), kind) != 0)
                fail_msg("%s %s: row %s/%s, got %s/%s (%s)", method, path, column[4], kind,
                         op_class_name(op.class), op_kind_name(op.kind), op.api);
        }
    }
}

static void every_row_of_the_table_is_classified_as_it_says(void **state)
{
    (void)state;
    char line[1024];
    size_t rows = 0;
    FILE *file = fopen(TANDEM_SOURCE_DIR "/lib/es/operations.tsv", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (line[0] == '#' || strncmp(line, "api\t", 4) == 0)
            continue;
        check_row(line);
        rows++;
    }
    fclose(file);
    assert_true(rows > 1700);
}

static void document_calls_give_their_parts(void **state)
{
    (void)state;
    expect("PUT", "/logs/_doc/1", OP_WRITE, OP_KIND_INDEX);
    expect("POST", "/logs/_doc", OP_WRITE, OP_KIND_INDEX);
    expect("PUT", "/logs/_create/1", OP_WRITE, OP_KIND_CREATE);
    expect("POST", "/logs/_update/1", OP_WRITE, OP_KIND_UPDATE);
    expect("DELETE", "/logs/_doc/1", OP_WRITE, OP_KIND_DELETE);
    expect("POST", "/_bulk", OP_WRITE, OP_KIND_BULK);
    expect("PUT", "/logs/_bulk", OP_WRITE, OP_KIND_BULK);
    expect_parts("PUT", "/logs/_doc/a%2Fb%F0%9F%98%80", "logs", "", "a%2Fb%F0%9F%98%80");
    expect_parts("PUT", "/logs/_doc/_odd", "logs", "", "_odd");
    expect_parts("PUT", "/%3Clogs-%7Bnow%2Fd%7D%3E/_create/1", "%3Clogs-%7Bnow%2Fd%7D%3E", "", "1");
    expect_parts("POST", "/logs/_bulk", "logs", "", "");
    expect_parts("POST", "/_bulk", "", "", "");
    assert_string_equal(classify("PUT", "/logs/_doc/1").api, "index");
}

static void typed_paths_of_old_engines_are_known(void **state)
{
    (void)state;
    expect("PUT", "/logs/event/1", OP_WRITE, OP_KIND_INDEX);
    expect_parts("PUT", "/logs/event/1", "logs", "event", "1");
    expect("POST", "/logs/event", OP_WRITE, OP_KIND_INDEX);
    expect("POST", "/logs/event/1/_update", OP_WRITE, OP_KIND_UPDATE);
    expect("PUT", "/logs/event/1/_create", OP_WRITE, OP_KIND_CREATE);
    expect("POST", "/logs/event/_bulk", OP_WRITE, OP_KIND_BULK);
    expect_parts("POST", "/logs/event/_bulk", "logs", "event", "");
    expect("DELETE", "/logs/event/1", OP_WRITE, OP_KIND_DELETE);
    expect("POST", "/logs/event/_search", OP_READ, OP_KIND_NONE);
    expect("PUT", "/logs/event/_mapping", OP_METADATA, OP_KIND_METADATA_OTHER);
    /* the type _doc, and how the caller can tell that a type was meant */
    expect("POST", "/logs/_doc/_search", OP_READ, OP_KIND_NONE);
    expect("POST", "/logs/_doc/_bulk", OP_WRITE, OP_KIND_BULK);
    expect("POST", "/logs/_doc/1/_update", OP_WRITE, OP_KIND_UPDATE);
    expect_parts("POST", "/logs/_doc/1/_update", "logs", "_doc", "1");
    expect_parts("POST", "/logs/_doc/_bulk", "logs", "_doc", "");
}

static void what_is_unknown_is_never_a_write(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",
        "/_xyz",
        "/_xyz/_doc/1",
        "/_xyz/_bulk",
        "/logs/_xyz",
        "/logs/_xyz/1",
        "/logs/%5Fdoc/1",
        "/%5Fall/_doc/1",
        "/_everything/_doc/1",
        "/logs/_doc/1/_xyz",
        "/logs/_bulk/7",
        "/a/b/c/d",
        "/a/b/c/d/e/f/g/h/i/j/k",
        "/_bulk/_bulk",
    };
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "post", "TRACE", ""};
    for (size_t i = 0; i < COUNT_OF(paths); i++)
        for (size_t j = 0; j < COUNT_OF(methods); j++)
            expect(methods[j], paths[i], OP_UNKNOWN, OP_KIND_NONE);
    expect("post", "/logs/_bulk", OP_UNKNOWN, OP_KIND_NONE);
    assert_null(classify("POST", "/_xyz").api);
}

static void metadata_and_dangerous_calls_are_told_apart(void **state)
{
    (void)state;
    expect("DELETE", "/", OP_FORBIDDEN, OP_KIND_NONE);
    expect("DELETE", "//", OP_FORBIDDEN, OP_KIND_NONE);
    expect("GET", "/", OP_READ, OP_KIND_NONE);
    expect("HEAD", "/", OP_READ, OP_KIND_NONE);
    expect("DELETE", "/_all", OP_METADATA, OP_KIND_INDEX_DELETE);
    expect("DELETE", "/_all,-b", OP_METADATA, OP_KIND_INDEX_DELETE);
    expect("DELETE", "/logs-*", OP_METADATA, OP_KIND_INDEX_DELETE);
    expect("DELETE", "/%5Fall", OP_UNKNOWN, OP_KIND_NONE);
    expect("PUT", "/logs", OP_METADATA, OP_KIND_INDEX_CREATE);
    expect("PUT", "/logs/", OP_METADATA, OP_KIND_INDEX_CREATE);
    expect("POST", "//logs//_doc/", OP_WRITE, OP_KIND_INDEX);
    expect("POST", "/_aliases", OP_METADATA, OP_KIND_METADATA_OTHER);
    expect("POST", "/logs/_rollover", OP_METADATA, OP_KIND_METADATA_OTHER);
    expect("PUT", "/_ingest/pipeline/p", OP_METADATA, OP_KIND_METADATA_OTHER);
    expect("POST", "/_ingest/pipeline/_simulate", OP_READ, OP_KIND_NONE);
    expect("PUT", "/_scripts/s", OP_METADATA, OP_KIND_METADATA_OTHER);
    expect("PUT", "/_ilm/policy/p", OP_METADATA, OP_KIND_METADATA_OTHER);
    expect("DELETE", "/_ilm/policy/p", OP_METADATA, OP_KIND_METADATA_OTHER);
    expect("GET", "/_ilm/policy/p", OP_READ, OP_KIND_NONE);
    expect("POST", "/_ilm/stop", OP_ADMIN, OP_KIND_NONE);
    expect("POST", "/_scripts/painless/_execute", OP_READ, OP_KIND_NONE);
    expect("POST", "/logs/_delete_by_query", OP_BY_QUERY, OP_KIND_DELETE_BY_QUERY);
    expect("POST", "/logs/_update_by_query", OP_BY_QUERY, OP_KIND_UPDATE_BY_QUERY);
    expect("POST", "/repo/_rollup/x", OP_UNREPLICATED, OP_KIND_BY_QUERY);
    expect("POST", "/_reindex", OP_BY_QUERY, OP_KIND_REINDEX);
    expect("POST", "/_snapshot/r/s/_restore", OP_METADATA, OP_KIND_METADATA_OTHER);
    expect("POST", "/_snapshot/r/s/_mount", OP_UNREPLICATED, OP_KIND_RESTORE);
    expect("PUT", "/_data_stream/d", OP_METADATA, OP_KIND_METADATA_OTHER);
    expect("PUT", "/_data_stream/d/_lifecycle", OP_ADMIN, OP_KIND_NONE);
    expect_parts("PUT", "/_data_stream/d", "d", "", "");
    expect("PUT", "/_bulk/stream", OP_OPAQUE, OP_KIND_NONE);
    expect("POST", "/_otlp/v1/logs", OP_OPAQUE, OP_KIND_NONE);
}

static void reads_that_post_and_calls_that_act_on_get(void **state)
{
    (void)state;
    static const char *const reads[] = {
        "/logs/_search",     "/_msearch",         "/_mget",           "/logs/_count",
        "/_field_caps",      "/_analyze",         "/_rank_eval",      "/logs/_terms_enum",
        "/_search/template", "/_render/template", "/logs/_explain/1", "/_validate/query"};
    for (size_t i = 0; i < COUNT_OF(reads); i++)
        expect("POST", reads[i], OP_READ, OP_KIND_NONE);
    expect("GET", "/_refresh", OP_MAINTENANCE, OP_KIND_NONE);
    expect("GET", "/logs/_flush", OP_MAINTENANCE, OP_KIND_NONE);
    expect("GET", "/_security/enroll/node", OP_ADMIN, OP_KIND_NONE);
    /* As the clients sniff: Go, Java, Ruby; JavaScript, Python; .NET; PHP. */
    expect("GET", "/_nodes/http", OP_READ, OP_KIND_NODES_HTTP);
    expect("GET", "/_nodes/_all/http", OP_READ, OP_KIND_NODES_HTTP);
    expect("GET", "/_nodes/http,settings", OP_READ, OP_KIND_NODES_HTTP);
    expect("GET", "/_nodes/", OP_READ, OP_KIND_NODES_HTTP);
    expect("GET", "/_nodes/a,b/settings,http", OP_READ, OP_KIND_NODES_HTTP);
    expect("GET", "/_nodes/a/stats", OP_READ, OP_KIND_NONE);
    expect("GET", "/_nodes/hot_threads", OP_READ, OP_KIND_NONE);
    expect("GET", "/_nodes/stats", OP_READ, OP_KIND_NONE);
    expect("HEAD", "/_cluster/health", OP_READ, OP_KIND_NONE);
    expect("OPTIONS", "/anything", OP_READ, OP_KIND_NONE);
    expect("GET", "/_cat/indices", OP_READ, OP_KIND_NONE);
    expect("POST", "/_search/scroll", OP_SESSION, OP_KIND_NONE);
    expect("PUT", "/_cluster/settings", OP_ADMIN, OP_KIND_NONE);
}

static void the_compatibility_page_has_every_class_and_row(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0, lines = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    operation_print_compatibility(out);
    fclose(out);
    for (enum op_class class = OP_READ; class <= OP_UNKNOWN; class = (enum op_class)(class + 1)) {
        char heading[64];
        snprintf(heading, sizeof heading, "\n## %s\n", op_class_name(class));
        assert_non_null(strstr(text, heading));
    }
    for (const char *at = text; (at = strstr(at, "\n| ")) != NULL; at++)
        lines++;
    assert_true(lines > 1700);
    assert_non_null(strstr(text, "| bulk | POST,PUT | `/_bulk` |"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_of_the_table_is_classified_as_it_says),
        cmocka_unit_test(document_calls_give_their_parts),
        cmocka_unit_test(typed_paths_of_old_engines_are_known),
        cmocka_unit_test(what_is_unknown_is_never_a_write),
        cmocka_unit_test(metadata_and_dangerous_calls_are_told_apart),
        cmocka_unit_test(reads_that_post_and_calls_that_act_on_get),
        cmocka_unit_test(the_compatibility_page_has_every_class_and_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
