/* translate_test.c - what another line of engines takes: translated, left as it is, or refused.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "translating.h"

#include "es/copied.h"

#define BOOK "{'book':{'properties':{'properties':{'type':'keyword'}}}}"
#define UNTYPED "{'properties':{'properties':{'type':'keyword'}}}"

static void a_type_is_taken_out_where_there_are_none(void **state)
{
    (void)state;
    becomes(&OS2, "{}", BOOK, "{}", UNTYPED, "mapping type `book`");
    becomes(&ES8, "{}", BOOK, "{}", UNTYPED, "mapping type `book`");
    becomes(&OS2, "{}", "{'_doc':{'dynamic':'strict'}}", "{}", "{'dynamic':'strict'}", NULL);
    becomes(&OS2, "{}", "{'book':{}}", "{}", "{}", "mapping type `book`");
    stays(&ES7, "{}", BOOK);
    stays(&OS1, "{}", BOOK);
    stays(&OS2, "{}", UNTYPED);
    stays(&OS2, "{}", "{}");
}

static void the_default_mapping_goes(void **state)
{
    (void)state;
    becomes(&OS2, "{}",
            "{'_default_':{'dynamic':'true'},"
            "'book':{'dynamic':'strict'}}",
            "{}", "{'dynamic':'strict'}", "`_default_` is left out");
    becomes(&ES7, "{}",
            "{'_default_':{'dynamic':'true'},"
            "'book':{'dynamic':'strict'}}",
            "{}", "{'book':{'dynamic':'strict'}}", "`_default_` is left out");
    becomes(&OS2, "{}", "{'_default_':{'dynamic':'strict'}}", "{}", "{'dynamic':'strict'}",
            "becomes the mapping itself");
}

static void several_types_are_refused(void **state)
{
    (void)state;
    is_refused(&OS2, "{}", "{'a':{'properties':{}},'b':{'properties':{}}}", "2 mapping types");
    is_refused(&ES7, "{}", "{'a':{'properties':{}},'b':{'properties':{}}}", "2 mapping types");
    is_refused(&OS2, "{}", "{'a':{'_parent':{'type':'b'},'properties':{}}}", "_parent");
    is_refused(&ES6, "{}", "{'a':{'properties':{}},'b':{'properties':{}}}", "(a, b)");
    stays(&ES5, "{}", "{'a':{'properties':{}},'b':{'properties':{}}}");
}

static void settings_that_were_removed_are_left_out(void **state)
{
    (void)state;
    becomes(&OS2, "{'mapper':{'dynamic':'true'},'codec':'best_compression'}", "{}",
            "{'codec':'best_compression'}", "{}", "index.mapper.dynamic");
    becomes(&ES7, "{'mapper.dynamic':'false'}", "{}", "{}", "{}", "index.mapper.dynamic");
    becomes(&ES8, "{'soft_deletes':{'enabled':'false'},'translog':{'retention':{'age':'1h'}}}",
            "{}", "{}", "{}", "index.translog.retention.*");
    stays(&OS2, "{'soft_deletes':{'enabled':'true'},'translog':{'retention':{'age':'1h'}}}", "{}");
    becomes(&OS2, "{'shard':{'check_on_startup':'fix'}}", "{}", "{}", "{}", "fix");
    stays(&OS2, "{'shard':{'check_on_startup':'checksum'}}", "{}");
    becomes(&OS2, "{'lifecycle':{'name':'x','rollover_alias':'y'}}", "{}", "{}", "{}", "policy");
    stays(&ES8, "{'lifecycle':{'name':'x','rollover_alias':'y'}}", "{}");
    static const struct es_engine plain = {false, 7, 10, true};
    becomes(&plain, "{'lifecycle':{'name':'x','indexing_complete':'true'},'codec':'c'}", "{}",
            "{'codec':'c'}", "{}", "policy");
    stays(&plain, "{'soft_deletes':{'enabled':'false'}}", "{}");
    becomes(&OS2, "{'percolator':{'map_unmapped_fields_as_string':'true'}}", "{}",
            "{'percolator.map_unmapped_fields_as_text':'true'}", "{}", "is written as");
    stays(&ES6, "{'mapper':{'dynamic':'true'}}", "{}");
}

#define MADE_BY(version) "{'version':{'created':'" version "'}}"
#define VECTOR(more) "{'properties':{'v':{'type':'dense_vector','dims':3" more "}}}"
#define HNSW ",'index_options':{'type':'hnsw','m':16,'ef_construction':100}"
#define SHOWS "{'version':{'created':'8080299'},'mapping':{'exclude_source_vectors':'false'}}"

static void vectors_keep_the_meaning_that_they_had(void **state)
{
    (void)state;
    becomes(&ES9, MADE_BY("8080299"), VECTOR(""), SHOWS, VECTOR(",'index':false"), "before 8.11");
    becomes(&ES9, MADE_BY("8080299"), VECTOR(",'index':true"), SHOWS, VECTOR(",'index':true" HNSW),
            "before 8.14");
    becomes(&ES9, "{'version':{'created':'8503000'}}", VECTOR(""),
            "{'version':{'created':'8503000'},'mapping':{'exclude_source_vectors':'false'}}",
            VECTOR(HNSW), "before 8.14");
    stays(&ES9, MADE_BY("9039003"), VECTOR(""));
    stays(&ES8, MADE_BY("7100299"), VECTOR(""));
}

static void documents_that_show_their_vectors_go_on_doing_so(void **state)
{
    (void)state;
    becomes(&ES9, "{'version':{'created':'8080299'},'mapping':{'ignore_malformed':'true'}}", "{}",
            "{'version':{'created':'8080299'},'mapping':{'ignore_malformed':'true',"
            "'exclude_source_vectors':'false'}}",
            "{}", NULL);
    stays(&ES9, MADE_BY("9039003"), "{}");
    stays(&ES9, SHOWS, "{}");
    stays(&ES8, MADE_BY("8080299"), "{}");
    stays(&OS2, MADE_BY("7100299"), "{}");
}

#define ANALYZER(filters)                                                                          \
    "{'analysis':{'analyzer':{'a':{'tokenizer':'standard','filter':" filters "}}}}"

static void names_of_filters_follow(void **state)
{
    (void)state;
    becomes(&OS2, ANALYZER("['standard','lowercase']"), "{}", ANALYZER("['lowercase']"), "{}",
            "`standard`");
    becomes(&OS2, ANALYZER("['nGram','edgeNGram']"), "{}", ANALYZER("['ngram','edge_ngram']"), "{}",
            "`nGram`");
    becomes(&OS2, ANALYZER("'delimited_payload_filter'"), "{}", ANALYZER("'delimited_payload'"),
            "{}", NULL);
    becomes(&ES8,
            "{'analysis':{'char_filter':{'c':{'type':'htmlStrip'}},'analyzer':{'a':{'char_filter':["
            "'c']}}}}",
            "{}",
            "{'analysis':{'char_filter':{'c':{'type':'html_strip'}},'analyzer':{'a':{'char_filter':"
            "['c']}}}}",
            "{}", "html_strip");
    stays(&OS2, ANALYZER("['lowercase','stop']"), "{}");
    /* What is called like one of the engine's own is not meant. */
    stays(&OS2,
          "{'analysis':{'filter':{'nGram':{'type':'lowercase'},'standard':{'type':'stop'}},"
          "'analyzer':{'a':{'filter':['nGram','standard']}}}}",
          "{}");
    becomes(&OS2,
            "{'analysis':{'filter':{'mine':{'type':'standard'}},'analyzer':{'a':{'filter':['mine','"
            "stop']}}}}",
            "{}", "{'analysis':{'analyzer':{'a':{'filter':['stop']}}}}", "{}", "`standard`");
}

#define NGRAM(type, min, max, more)                                                                \
    "{'analysis':{'tokenizer':{'t':{'type':'" type "','min_gram':'" min "','max_gram':'" max       \
    "'}}}" more "}"
#define SHINGLE(max, more)                                                                         \
    "{'analysis':{'filter':{'t':{'type':'shingle','max_shingle_size':'" max "'}}}" more "}"

static void limits_are_raised_to_what_analysis_needs(void **state)
{
    (void)state;
    becomes(&OS2, NGRAM("nGram", "2", "5", ""), "{}",
            NGRAM("nGram", "2", "5", ",'max_ngram_diff':'3'"), "{}",
            "index.max_ngram_diff is set to 3");
    becomes(&ES8, NGRAM("nGram", "2", "5", ",'max_ngram_diff':'2'"), "{}",
            NGRAM("ngram", "2", "5", ",'max_ngram_diff':'3'"), "{}",
            "index.max_ngram_diff is set to 3");
    stays(&OS2, NGRAM("ngram", "2", "5", ",'max_ngram_diff':'9'"), "{}");
    stays(&OS2, NGRAM("ngram", "2", "3", ""), "{}");
    stays(&OS2, NGRAM("edge_ngram", "2", "20", ""), "{}");
    becomes(&ES7, SHINGLE("8", ""), "{}", SHINGLE("8", ",'max_shingle_diff':'7'"), "{}",
            "max_shingle_diff");
    stays(&ES7, SHINGLE("4", ""), "{}");
}

static void a_similarity_that_is_gone_is_refused(void **state)
{
    (void)state;
    is_refused(&OS2, "{'similarity':{'mine':{'type':'classic'}}}", "{}", "`mine`");
    is_refused(
        &ES8, "{}",
        "{'book':{'properties':{'a':{'properties':{'b':{'type':'text','similarity':'classic'}}}}}}",
        "field a.b");
    stays(&OS2, "{'similarity':{'mine':{'type':'BM25','b':'0.3'}}}", "{}");
}

#define FIELD(text) "{'properties':{'f':{'properties':{'g':" text "}}}}"

static void parameters_of_fields_that_were_removed_are_left_out(void **state)
{
    (void)state;
    becomes(&OS2, "{}", FIELD("{'type':'text','include_in_all':false}"), "{}",
            FIELD("{'type':'text'}"), "f.g");
    becomes(&ES8, "{}", FIELD("{'type':'text','fields':{'h':{'type':'text','boost':2}}}"), "{}",
            FIELD("{'type':'text','fields':{'h':{'type':'text'}}}"), "f.g.h");
    stays(&OS2, "{}", FIELD("{'type':'text','boost':2}"));
    becomes(&ES8, "{}", FIELD("{'type':'long','index_options':'docs'}"), "{}",
            FIELD("{'type':'long'}"), "numbers");
    stays(&ES8, "{}", FIELD("{'type':'text','index_options':'docs'}"));
    becomes(&ES8, "{}", FIELD("{'type':'geo_shape','tree':'quadtree','orientation':'cw'}"), "{}",
            FIELD("{'type':'geo_shape','orientation':'cw'}"), "`tree`");
    /* Fields that are called like parameters. */
    stays(
        &ES8, "{}",
        "{'properties':{'boost':{'type':'long'},'tree':{'properties':{'boost':{'type':'text'}}}}}");
    becomes(&OS2, "{}", "{'book':{'_all':{'enabled':true},'properties':{}}}", "{}",
            "{'properties':{}}", "_all");
    becomes(&ES8, "{}", "{'_field_names':{'enabled':false}}", "{}", "{}", "_field_names");
    becomes(&OS2, "{}",
            "{'dynamic_templates':[{'t':{'mapping':{'type':'text','include_in_all':true}}}]}", "{}",
            "{'dynamic_templates':[{'t':{'mapping':{'type':'text'}}}]}", "dynamic template t");
}

static void flattened_is_flat_object_in_opensearch(void **state)
{
    (void)state;
    becomes(&OS2, "{}", FIELD("{'type':'flattened','depth_limit':3}"), "{}",
            FIELD("{'type':'flat_object'}"), "depth_limit");
    stays(&OS20, "{}", FIELD("{'type':'flattened'}")); /* the engine says what it thinks of it */
    stays(&ES8, "{}", FIELD("{'type':'flattened'}"));
}

#define OF_6 "{'version':{'created':'6082399'}}"
#define OF_7 "{'version':{'created':'7100299'}}"

static void date_formats_keep_their_meaning(void **state)
{
    (void)state;
    becomes(&ES8, "{}",
            FIELD("{'type':'date','format':'strictDateOptionalTime||yyyyMMdd||basicTTime'}"), "{}",
            FIELD("{'type':'date','format':'strict_date_optional_time||yyyyMMdd||basic_t_time'}"),
            "strict_date_optional_time");
    stays(&OS2, "{}", FIELD("{'type':'date','format':'dateOptionalTime'}"));
    becomes(&ES8, "{}", "{'dynamic_date_formats':['yyyy/MM/dd','dateTime']}", "{}",
            "{'dynamic_date_formats':['yyyy/MM/dd','date_time']}", "date_time");
    becomes(&OS2, OF_6, FIELD("{'type':'date','format':'epoch_millis||YYYY-MM-dd'}"), OF_6,
            FIELD("{'type':'date','format':'epoch_millis||yyyy-MM-dd'}"), "joda-time");
    becomes(&OS2, OF_6, FIELD("{'type':'date','format':'yyyy-MM-dd HH:mm Z'}"), OF_6,
            FIELD("{'type':'date','format':'yyyy-MM-dd HH:mm XX||yyyy-MM-dd HH:mm XXX'}"),
            "joda-time");
    becomes(&OS2, OF_6, FIELD("{'type':'date','format':'HH:mmZZ'}"), OF_6,
            FIELD("{'type':'date','format':'HH:mmXXX||HH:mmXX'}"), "joda-time");
    becomes(&OS2, OF_6, FIELD("{'type':'date','format':'HH:mm ZZZ'}"), OF_6,
            FIELD("{'type':'date','format':'HH:mm VV'}"), "joda-time");
    /* Nothing is guessed of letters that have no equal: it is said. */
    becomes(&OS2, OF_6, FIELD("{'type':'date','format':'xxxx-ww'}"), OF_6,
            FIELD("{'type':'date','format':'xxxx-ww'}"), "prefix 8");
    struct translation tr;
    static const char *const harmless[][2] = {
        {OF_6, FIELD("{'type':'date','format':'yyyy-MM-dd HH:mm:ss'}")},
        {OF_6, FIELD("{'type':'date','format':'8YYYY-MM-dd'}")},
        {OF_7, FIELD("{'type':'date','format':'YYYY-MM-dd'}")},
    };
    for (size_t i = 0; i < COUNT_OF(harmless); i++) {
        json_t *index = definition(harmless[i][0], harmless[i][1]);
        translation_init(&tr);
        translate_index(&OS2, index, &tr);
        assert_int_equal(json_array_size(tr.warnings), 0);
        translation_fini(&tr);
        json_decref(index);
    }
}

static void templates_are_translated_like_indices(void **state)
{
    (void)state;
    object_becomes(&OS2, "template", "{'template':'logs-*','order':1,'settings':{},'mappings':{}}",
                   "{'index_patterns':['logs-*'],'order':1,'settings':{},'mappings':{}}");
    object_becomes(&ES8, "template",
                   "{'index_patterns':['a'],'settings':{'index':{'mapper':{'dynamic':'true'}}},'"
                   "mappings':" BOOK "}",
                   "{'index_patterns':['a'],'settings':{'index':{}},'mappings':" UNTYPED "}");
    object_becomes(&OS2, "template",
                   "{'index_patterns':['a'],'mappings':{'_default_':{'dynamic':'false'}}}",
                   "{'index_patterns':['a'],'mappings':{'dynamic':'false'}}");
    object_becomes(
        &OS2, "index_template",
        "{'index_patterns':['a'],'template':{'settings':{'index':{'lifecycle':{'name':'x'}}}}}",
        "{'index_patterns':['a'],'template':{'settings':{'index':{}}}}");
    object_becomes(&OS2, "index_template", "{'index_patterns':['a'],'composed_of':['b']}",
                   "{'index_patterns':['a'],'composed_of':['b']}");
    object_becomes(&OS2, "pipeline", "{'template':'x','mappings':{'a':{}}}",
                   "{'template':'x','mappings':{'a':{}}}");
}

static void what_is_the_sites_own_is_not_copied(void **state)
{
    (void)state;
    json_t *index =
        definition("{'uuid':'x','number_of_shards':'2','number_of_replicas':'1',"
                   "'routing':{'allocation':{'include':{'a':'b'}}},'sort':{'field':'n'},"
                   "'lifecycle':{'name':'x','indexing_complete':'true'}}",
                   "{}");
    json_t *copied = copied_settings(index);
    assert_json(copied, "{'number_of_shards':'2','sort.field':'n','lifecycle.name':'x',"
                        "'lifecycle.indexing_complete':'true'}");
    json_decref(copied);
    json_decref(index);
}

static void a_mapping_that_hides_the_source_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *mappings;
        bool readable;
    } cases[] = {
        {"{'book':{'_source':{'enabled':false}}}", false},
        {"{'_source':{'excludes':['a']}}", false},
        {"{'_default_':{},'book':{'_source':{'includes':['a']}}}", false},
        {"{'book':{'properties':{}}}", true},
        {"{'_source':{}}", true},
        {"{}", true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_t *mappings = parse(cases[i].mappings);
        assert_true((mapping_unreadable(mappings) == NULL) == cases[i].readable);
        json_decref(mappings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_is_taken_out_where_there_are_none),
        cmocka_unit_test(the_default_mapping_goes),
        cmocka_unit_test(several_types_are_refused),
        cmocka_unit_test(settings_that_were_removed_are_left_out),
        cmocka_unit_test(vectors_keep_the_meaning_that_they_had),
        cmocka_unit_test(documents_that_show_their_vectors_go_on_doing_so),
        cmocka_unit_test(names_of_filters_follow),
        cmocka_unit_test(limits_are_raised_to_what_analysis_needs),
        cmocka_unit_test(a_similarity_that_is_gone_is_refused),
        cmocka_unit_test(parameters_of_fields_that_were_removed_are_left_out),
        cmocka_unit_test(flattened_is_flat_object_in_opensearch),
        cmocka_unit_test(date_formats_keep_their_meaning),
        cmocka_unit_test(templates_are_translated_like_indices),
        cmocka_unit_test(what_is_the_sites_own_is_not_copied),
        cmocka_unit_test(a_mapping_that_hides_the_source_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
