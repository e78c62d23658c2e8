/* translate_old_test.c - what engines before 6.0 had, and no engine since: as later ones have it,
 * or left out, or refused.
 *
 * That the engines take it, and their documents, tests/system/test_migrate_check.py tries.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#include "translating.h"

#define OF_2 "{'version':{'created':'2040699'}}"
#define OF_5 "{'version':{'created':'5061699'}}"
#define OF_6 "{'version':{'created':'6082399'}}"
#define FIELD(text) "{'properties':{'f':" text "}}"
#define FROM_2(text, more) "{'version':{'created':'2040699'}," text more "}"

/* A field of an index of 2.4 is another one on OpenSearch 2, and the same on all lines. */
static void field_becomes(const char *field, const char *expected, const char *said)
{
    static const struct es_engine *const targets[] = {&ES6, &ES7, &ES8, &OS1, &OS2};
    struct buffer old = {0}, new = {0};
    buffer_appendf(&old, FIELD("%s"), field);
    buffer_appendf(&new, FIELD("%s"), expected);
    for (size_t i = 0; i < COUNT_OF(targets); i++)
        becomes(targets[i], OF_2, buffer_cstr(&old), OF_2, buffer_cstr(&new), said);
    buffer_fini(&old);
    buffer_fini(&new);
}

static void strings_become_text_or_keyword(void **state)
{
    (void)state;
    field_becomes("{'type':'string'}", "{'type':'text','fielddata':true}", "become `text`");
    field_becomes("{'type':'string','index':'analyzed'}", "{'type':'text','fielddata':true}", NULL);
    field_becomes("{'type':'string','index':'not_analyzed'}", "{'type':'keyword'}",
                  "become `keyword`");
    /* A keyword's doc_values have a limit, which what is not indexed never had. */
    field_becomes("{'type':'string','index':'no'}",
                  "{'type':'keyword','index':false,'doc_values':false}", "not indexed");
    field_becomes("{'type':'string','index':'no','doc_values':true,'norms':{'enabled':true}}",
                  "{'type':'keyword','index':false}", NULL);
    field_becomes("{'type':'string','fields':{'raw':{'type':'string','index':'not_analyzed'}}}",
                  "{'type':'text','fielddata':true,'fields':{'raw':{'type':'keyword'}}}", NULL);
}

static void a_keyword_keeps_what_it_may_have(void **state)
{
    (void)state;
    field_becomes("{'type':'string','index':'not_analyzed','ignore_above':10,'null_value':'x',"
                  "'store':true,'doc_values':false,'norms':{'enabled':true},'copy_to':['g'],"
                  "'similarity':'BM25'}",
                  "{'type':'keyword','ignore_above':10,'null_value':'x','store':true,"
                  "'doc_values':false,'norms':true,'copy_to':['g'],'similarity':'BM25'}",
                  NULL);
    field_becomes("{'type':'string','index':'not_analyzed','index_options':'offsets',"
                  "'term_vector':'yes','analyzer':'keyword','position_increment_gap':3}",
                  "{'type':'keyword'}", "no positions");
    field_becomes("{'type':'string','index':'not_analyzed','index_options':'freqs'}",
                  "{'type':'keyword','index_options':'freqs'}", NULL);
    field_becomes("{'type':'string','index':'not_analyzed','ignore_above':-1}",
                  "{'type':'keyword'}", NULL);
}

static void a_text_keeps_what_it_may_have(void **state)
{
    (void)state;
    field_becomes("{'type':'string','norms':{'enabled':false},'term_vector':'withPositionsOffsets',"
                  "'analyzer':'a','search_analyzer':'b','position_increment_gap':3}",
                  "{'type':'text','fielddata':true,'norms':false,"
                  "'term_vector':'with_positions_offsets','analyzer':'a','search_analyzer':'b',"
                  "'position_increment_gap':3}",
                  "`norms`");
    field_becomes("{'type':'string','null_value':'x','ignore_above':5,'doc_values':false}",
                  "{'type':'text','fielddata':true}", "null_value");
    field_becomes("{'type':'string','index_analyzer':'a','search_quote_analyzer':'q'}",
                  "{'type':'text','fielddata':true,'analyzer':'a','search_analyzer':'a',"
                  "'search_quote_analyzer':'q'}",
                  "index_analyzer");
    field_becomes("{'type':'string','search_analyzer':'b'}",
                  "{'type':'text','fielddata':true,'analyzer':'default','search_analyzer':'b'}",
                  NULL);
    field_becomes("{'type':'string','position_offset_gap':4}",
                  "{'type':'text','fielddata':true,'position_increment_gap':4}",
                  "position_offset_gap");
    field_becomes("{'type':'string','position_increment_gap':4,'index_options':'docs'}",
                  "{'type':'text','fielddata':true,'index_options':'docs'}", "no positions");
    field_becomes("{'type':'string','similarity':'default'}", "{'type':'text','fielddata':true}",
                  "BM25");
    field_becomes("{'type':'string','omit_norms':'true'}",
                  "{'type':'text','fielddata':true,'norms':false}", "omit_norms");
    field_becomes("{'type':'string','norms':{'loading':'eager'}}",
                  "{'type':'text','fielddata':true}", "`norms`");
}

static void fielddata_has_another_form(void **state)
{
    (void)state;
    field_becomes("{'type':'string','fielddata':{'format':'disabled'}}", "{'type':'text'}",
                  "fielddata");
    field_becomes("{'type':'string','fielddata':{'loading':'eager_global_ordinals',"
                  "'filter.frequency.min':'0.25','filter.frequency.min_segment_size':'500'}}",
                  "{'type':'text','fielddata':true,'eager_global_ordinals':true,"
                  "'fielddata_frequency_filter':{'min':0.25,'min_segment_size':500}}",
                  NULL);
    field_becomes("{'type':'string','fielddata':{'filter':{'frequency':{'max':0.5}}}}",
                  "{'type':'text','fielddata':true,'fielddata_frequency_filter':{'max':0.5}}",
                  NULL);
    field_becomes("{'type':'string','index':'not_analyzed','fielddata':{'format':'doc_values',"
                  "'loading':'eager_global_ordinals'}}",
                  "{'type':'keyword','eager_global_ordinals':true}", NULL);
    field_becomes("{'type':'long','fielddata':{'format':'doc_values'}}", "{'type':'long'}",
                  "fielddata");
}

static void other_types_lose_what_was_never_theirs(void **state)
{
    (void)state;
    field_becomes("{'type':'long','index':'no','precision_step':8,'norms':{'enabled':true}}",
                  "{'type':'long','index':false}", "precision_step");
    field_becomes("{'type':'double','index':'not_analyzed','coerce':false,'ignore_malformed':true}",
                  "{'type':'double','index':true,'coerce':false,'ignore_malformed':true}", NULL);
    field_becomes("{'type':'date','numeric_resolution':'seconds','coerce':true}", "{'type':'date'}",
                  "numeric_resolution");
    field_becomes("{'type':'ip','precision_step':8,'index':'analyzed'}",
                  "{'type':'ip','index':true}", NULL);
    field_becomes("{'type':'binary','compress':true,'store':true}",
                  "{'type':'binary','store':true}", "compress");
    field_becomes("{'type':'token_count','analyzer':'a','precision_step':8,'coerce':true}",
                  "{'type':'token_count','analyzer':'a'}", NULL);
    field_becomes("{'type':'boolean','index':'no','null_value':'off'}",
                  "{'type':'boolean','index':false,'null_value':false}", "nothing but true");
    field_becomes("{'properties':{'a':{'type':'long'}},'path':'just_name','include_in_all':false}",
                  "{'properties':{'a':{'type':'long'}}}", "names of fields are whole");
    stays(&OS2, OF_5, FIELD("{'type':'alias','path':'g'}"));
    stays(&OS2, OF_6, FIELD("{'type':'long','coerce':false,'index':'false'}"));
}

static void booleans_are_written_as_such(void **state)
{
    (void)state;
    field_becomes("{'type':'long','store':'yes'}", "{'type':'long','store':true}", "`store`");
    field_becomes("{'type':'long','store':'no'}", "{'type':'long','store':false}", NULL);
    field_becomes("{'type':'nested','include_in_parent':'yes','include_in_root':'0'}",
                  "{'type':'nested','include_in_parent':true,'include_in_root':false}", NULL);
    /* It meant that: only false, 0 and off were off. */
    field_becomes("{'type':'object','enabled':'no'}", "{'type':'object','enabled':true}", NULL);
    field_becomes("{'type':'object','dynamic':'off'}", "{'type':'object','dynamic':false}", NULL);
    stays(&OS2, OF_2, FIELD("{'type':'object','dynamic':'strict'}"));
    stays(&OS2, OF_2, FIELD("{'type':'object','dynamic':'true','enabled':false}"));
    json_t *index = definition(OF_5, FIELD("{'type':'boolean'}"));
    assert_true(translate(&OS2, index, "which the new cluster refuses"));
    json_decref(index);
}

static void points_out_of_range_are_taken_still(void **state)
{
    (void)state;
    field_becomes("{'type':'geo_point','lat_lon':true,'geohash':true,'geohash_prefix':true,"
                  "'geohash_precision':8}",
                  "{'type':'geo_point'}", ".geohash find nothing");
    field_becomes("{'type':'geo_point','normalize':true}",
                  "{'type':'geo_point','ignore_malformed':true}", "out of range");
    field_becomes("{'type':'geo_point','validate_lat':false}",
                  "{'type':'geo_point','ignore_malformed':true}", "out of range");
    field_becomes("{'type':'geo_point','validate':true,'coerce':false}", "{'type':'geo_point'}",
                  NULL);
}

#define ANYTHING "{'type':'object','enabled':false}"

static void a_type_without_an_equal_takes_anything(void **state)
{
    (void)state;
    field_becomes("{'type':'attachment','fields':{'content':{'type':'string'}}}", ANYTHING,
                  "taken apart by a pipeline");
    field_becomes("{'type':'completion','payloads':true,'analyzer':'simple'}", ANYTHING,
                  "payloads");
    field_becomes("{'type':'completion','context':{'x':{'type':'category'}}}", ANYTHING, "context");
    field_becomes("{'type':'completion','payloads':false,'analyzer':'simple'}",
                  "{'type':'completion','analyzer':'simple'}", "`output`");
    field_becomes("{'type':'long','fields':{'f':{'type':'attachment'},'g':{'type':'long'}}}",
                  "{'type':'long','fields':{'g':{'type':'long'}}}", "a field of a field");
    field_becomes("{'type':'multi_field','fields':{'f':{'type':'long','store':true},"
                  "'raw':{'type':'string','index':'not_analyzed'}}}",
                  "{'type':'long','store':true,'fields':{'raw':{'type':'keyword'}}}",
                  "multi_field");
    stays(&OS2, OF_5, FIELD("{'type':'murmur3'}")); /* there is a plugin for it, perhaps */
    stays(&OS2, OF_6, FIELD("{'type':'percolator'}"));
}

#define RULE(rule) "{'dynamic_templates':[" rule "]}"

static void dynamic_templates_are_split_where_strings_differ(void **state)
{
    (void)state;
    becomes(&OS2, OF_2,
            RULE("{'s':{'match_mapping_type':'string','mapping':{'index':'not_analyzed'}}}"), OF_2,
            RULE("{'s':{'match_mapping_type':'string','mapping':{'type':'keyword'}}}"), NULL);
    becomes(&OS2, OF_2,
            RULE("{'s':{'match':'*','mapping':{'type':'{dynamic_type}','doc_values':true,"
                 "'index':'not_analyzed','fields':{'r':{'type':'{dynamic_type}'}}}}}"),
            OF_2,
            RULE("{'s_strings':{'match':'*','match_mapping_type':'string','mapping':{'type':"
                 "'keyword','fields':{'r':{'type':'text','fielddata':true}}}}},"
                 "{'s':{'match':'*','mapping':{'type':'{dynamic_type}',"
                 "'index':true,'fields':{'r':{'type':'{dynamic_type}'}}}}}"),
            "s_strings");
    becomes(&OS2, OF_2, RULE("{'s':{'match':'*_s','mapping':{'type':'string','index':'no'}}}"),
            OF_2,
            RULE("{'s':{'match':'*_s','mapping':{'type':'keyword','index':false,"
                 "'doc_values':false}}}"),
            NULL);
    becomes(&OS2, OF_5, RULE("{'f':{'match_mapping_type':'float','mapping':{'type':'float'}}}"),
            OF_5, RULE(""), "guessed to be `float`");
    stays(&OS2, OF_2, RULE("{'f':{'match':'*','mapping':{'type':'{dynamic_type}'}}}"));
    stays(&OS2, OF_6, RULE("{'f':{'match_mapping_type':'string','mapping':{'ignore_above':256}}}"));
}

static void what_engines_did_themselves_is_left_out_and_warned_of(void **state)
{
    (void)state;
    becomes(&OS2, OF_2, "{'t':{'_ttl':{'enabled':true},'properties':{}}}", OF_2,
            "{'properties':{}}", "do not end by themselves");
    becomes(&OS2, OF_2, "{'t':{'_timestamp':{'enabled':true},'properties':{}}}", OF_2,
            "{'properties':{}}", "they have none");
    becomes(&OS2, OF_2, "{'t':{'transform':{'script':'x'},'properties':{}}}", OF_2,
            "{'properties':{}}", "indexes them as they are");
    becomes(&OS2, OF_2,
            "{'t':{'_size':{'enabled':true,'store':'yes'},'_routing':{'required':'yes','store':"
            "true},'_source':{'compress':true},'_type':{'store':true},'include_in_all':false,"
            "'date_detection':'off','_meta':{'a':1}}}",
            OF_2,
            "{'_size':{'enabled':true},'_routing':{'required':true},'_source':{},"
            "'date_detection':false,'_meta':{'a':1}}",
            "`store` of `_size`");
    becomes(&OS2, OF_2, "{'t':{'_size':{'enabled':false}}}", OF_2, "{}", "not enabled");
    is_refused(&OS2, OF_2, "{'t':{'_routing':{'path':'a'}}}", "_routing.path");
    becomes(&OS2, OF_2, "{'.percolator':{'properties':{'query':" ANYTHING "}}}", OF_2,
            "{'properties':{'query':" ANYTHING "}}", "does not percolate");
}

static void several_types_are_named_with_what_to_do(void **state)
{
    (void)state;
    is_refused(&OS2, OF_2, "{'b':{},'_default_':{},'a':{}}", "2 mapping types (a, b)");
    is_refused(&OS2, OF_2, "{'b':{},'.percolator':{}}", "replicate.exclude");
    is_refused(&OS2, OF_5, "{'b':{'_parent':{'type':'a'}}}", "replicate.exclude");
    is_refused(&ES7, OF_2, "{'b':{},'a':{}}", "index each type into an index of its own");
}

static void elasticsearch_6_keeps_what_it_knows(void **state)
{
    (void)state;
    stays(&ES6, OF_6, "{'_default_':{'_all':{'enabled':false}},'t':{'_all':{'enabled':false}}}");
    stays(&ES6,
          "{'mapper':{'dynamic':'true'},'analysis':{'analyzer':{'a':{'filter':['standard',"
          "'nGram']}}},'similarity':{'s':{'type':'classic'}}}",
          FIELD("{'type':'date','format':'YYYY-MM-dd'}"));
    becomes(&ES6, OF_5, "{'t':{'_all':{'enabled':true},'properties':{}}}", OF_5,
            "{'t':{'properties':{}}}", "_all");
    becomes(&ES6, OF_2, "{'t':{'properties':{'f':{'type':'string'}}}}", OF_2,
            "{'t':{'properties':{'f':{'type':'text','fielddata':true}}}}", NULL);
}

static void settings_that_nobody_knows_are_left_out(void **state)
{
    (void)state;
    becomes(&OS2,
            FROM_2("'strange':{'thing':'x'},'merge':{'policy':{'type':'tiered','floor_segment':"
                   "'2mb'}},'translog':{'flush_threshold_ops':'5','flush_threshold_size':'1gb'},",
                   "'number_of_shards':'3','routing':{'allocation':{'include':{'a':'b'}}}"),
            "{}",
            FROM_2("'merge':{'policy':{'floor_segment':'2mb'}},"
                   "'translog':{'flush_threshold_size':'1gb'},",
                   "'number_of_shards':'3','routing':{'allocation':{'include':{'a':'b'}}}"),
            "{}", "index.strange.thing");
    stays(&OS2, "{'version':{'created':'5061699'},'strange':{'thing':'x'}}", "{}");
    becomes(&OS2, FROM_2("'cache':{'query':{'enable':'on'}}", ""), "{}",
            FROM_2("'requests.cache.enable':'true'", ""), "{}", "requests.cache.enable");
    becomes(&OS2, FROM_2("'mapping':{'coerce':'no','ignore_malformed':'1'}", ""), "{}",
            FROM_2("'mapping':{'coerce':'false','ignore_malformed':'true'}", ""), "{}",
            "index.mapping.coerce");
    becomes(&OS2, FROM_2("'store':{'type':'default'}", ""), "{}",
            "{'version':{'created':'2040699'}}", "{}", "index.store.type");
    becomes(&OS2, "{'mapping':{'single_type':'true'},'shadow_replicas':'false'}", "{}", "{}", "{}",
            "single_type");
    becomes(&OS2, FROM_2("'similarity':{'mine':{'type':'default'}}", ""), "{}",
            FROM_2("'similarity':{'mine':{'type':'BM25'}}", ""), "{}", "BM25");
}

#define ANALYSIS(text) FROM_2("'analysis':{" text "}", "")

static void names_in_capitals_and_lists_in_text_are_understood(void **state)
{
    (void)state;
    becomes(&OS2,
            ANALYSIS("'analyzer':{'a':{'tokenizer':'uaxUrlEmail','filter':'standard, "
                     "wordDelimiter,nGram'}}"),
            "{}",
            ANALYSIS("'analyzer':{'a':{'tokenizer':'uax_url_email','filter':['word_delimiter',"
                     "'ngram']}}"),
            "{}", "`wordDelimiter`");
    becomes(&OS2,
            FROM_2("'analysis.analyzer.a.filter.0':'standard','analysis.analyzer.a.filter.1':"
                   "'stop','analysis.analyzer.a.tokenizer':'keyword'",
                   ""),
            "{}", ANALYSIS("'analyzer':{'a':{'filter':['stop'],'tokenizer':'keyword'}}"), "{}",
            "`standard`");
    stays(&OS2,
          ANALYSIS("'analyzer':{'a':{'tokenizer':'PathHierarchy','filter':'lowercase,stop'}}"),
          "{}");
    stays(&OS2, "{'analysis':{'analyzer':{'a':{'filter':['porterStem']}}}}", "{}");
}

static void analyzers_that_are_gone_are_written_out(void **state)
{
    (void)state;
    becomes(&OS2, ANALYSIS("'analyzer':{'a':{'type':'standard_html_strip','stopwords':['x']}}"),
            "{}",
            ANALYSIS("'filter':{'a_stop':{'type':'stop','stopwords':['x']}},'analyzer':{'a':{"
                     "'type':'custom','tokenizer':'standard','char_filter':['html_strip'],"
                     "'filter':['lowercase','a_stop']}}"),
            "{}", "standard_html_strip");
    becomes(&OS2, ANALYSIS("'analyzer':{'default_index':{'type':'simple'}}"), "{}",
            ANALYSIS("'analyzer':{'default':{'type':'simple'},'default_search':{'type':'standard'}"
                     "}"),
            "{}", "default_index");
    becomes(&OS2, ANALYSIS("'analyzer':{'a':{'tokenizer':'keyword','position_offset_gap':'3'}}"),
            "{}", ANALYSIS("'analyzer':{'a':{'tokenizer':'keyword','position_increment_gap':'3'}}"),
            "{}", "position_offset_gap");
    becomes(&OS2, ANALYSIS("'filter':{'s':{'type':'synonym','synonyms':['a,b']}}"), "{}",
            ANALYSIS("'filter':{'s':{'type':'synonym','synonyms':['a,b'],'lenient':'true'}}"), "{}",
            "lenient");
    stays(&OS2, ANALYSIS("'filter':{'s':{'type':'synonym','lenient':'false'}}"), "{}");
}

static void dates_are_read_as_generously(void **state)
{
    (void)state;
    becomes(&OS2, OF_2, FIELD("{'type':'date','format':'YYYY-MM-dd HH:mm:ss||epoch_millis'}"), OF_2,
            FIELD("{'type':'date','format':'yyyy-MM-dd HH:mm:ss||epoch_millis||yyyy-M-d H:m:s'}"),
            "yyyy-M-d H:m:s");
    becomes(&OS2, OF_2, FIELD("{'type':'date','format':'dd/MM HH:mmZ'}"), OF_2,
            FIELD("{'type':'date','format':'dd/MM HH:mmXX||dd/MM HH:mmXXX||d/M H:mXX||"
                  "d/M H:mXXX'}"),
            NULL);
    stays(&OS2, OF_5, FIELD("{'type':'date','format':'yyyyMMdd||strict_date_optional_time'}"));
    stays(&OS2, OF_6, FIELD("{'type':'date','format':'yyyy-MM-dd'}"));
    stays(&ES6, OF_5, FIELD("{'type':'date','format':'yyyy-MM-dd'}"));
}

static void templates_have_defaults_and_one_pattern(void **state)
{
    (void)state;
    object_becomes(&OS2, "template",
                   "{'template':'a-*','order':1,'warmers':{},'settings':{'index':{'strange':'x',"
                   "'refresh_interval':'5s'}},'mappings':{'_default_':{'dynamic':'strict',"
                   "'properties':{'a':{'type':'long'},'b':{'type':'string'}},'dynamic_templates':"
                   "[{'x':{'match':'x','mapping':{'type':'long'}}}]},'t':{'properties':{'a':{"
                   "'type':'string'}},'dynamic_templates':[{'y':{'match':'y','mapping':{'type':"
                   "'long'}}}]}}}",
                   "{'index_patterns':['a-*'],'order':1,'settings':{'index':{'refresh_interval':"
                   "'5s'}},'mappings':{'dynamic':'strict','properties':{'a':{'type':'text',"
                   "'fielddata':true},'b':{'type':'text','fielddata':true}},'dynamic_templates':["
                   "{'y':{'match':'y','mapping':{'type':'long'}}},"
                   "{'x':{'match':'x','mapping':{'type':'long'}}}]}}");
    object_becomes(&OS2, "template",
                   "{'template':'a-*','settings':{'index.refresh_interval':'5s','index.strange':"
                   "'x'},'mappings':{}}",
                   "{'index_patterns':['a-*'],'settings':{'index':{'refresh_interval':'5s'}},"
                   "'mappings':{}}");
    object_becomes(&ES6, "template",
                   "{'template':'a-*','mappings':{'t':{'properties':{'a':{'type':'string'}}}}}",
                   "{'index_patterns':['a-*'],'mappings':{'t':{'properties':{'a':{'type':'text',"
                   "'fielddata':true}}}}}");
}

/* The filter of an alias is another one. */
static void filter_becomes(const char *filter, const char *expected)
{
    json_t *index = json_pack("{s:{s:{s:o}}}", "aliases", "a", "filter", parse(filter));
    for (int i = 0; i < 2; i++) {
        assert_true(translate(&OS2, index, NULL));
        assert_json(
            json_object_get(json_object_get(json_object_get(index, "aliases"), "a"), "filter"),
            expected);
    }
    json_decref(index);
}

static void filters_of_aliases_are_queries(void **state)
{
    (void)state;
    filter_becomes("{'and':[{'term':{'a':1,'_cache':true}},{'not':{'missing':{'field':'b'}}}]}",
                   "{'bool':{'filter':[{'term':{'a':1}},{'bool':{'must_not':{'bool':{'must_not':"
                   "{'exists':{'field':'b'}}}}}}]}}");
    filter_becomes("{'or':{'filters':[{'in':{'a':[1]}},{'query':{'match_all':{}}}]}}",
                   "{'bool':{'should':[{'terms':{'a':[1]}},{'match_all':{}}],"
                   "'minimum_should_match':1}}");
    filter_becomes("{'filtered':{'query':{'match_all':{}},'filter':{'not':{'filter':{'term':{'a':"
                   "1}}}}}}",
                   "{'bool':{'must':{'match_all':{}},'filter':{'bool':{'must_not':{'term':{'a':1}}"
                   "}}}}");
    filter_becomes("{'nested':{'path':'p','filter':{'fquery':{'query':{'term':{'p.a':1}}}}}}",
                   "{'nested':{'path':'p','query':{'term':{'p.a':1}}}}");
    filter_becomes("{'term':{'and':1}}", "{'term':{'and':1}}");
    filter_becomes("{'range':{'a':{'gte':1}}}", "{'range':{'a':{'gte':1}}}");
}

static void shards_of_before_2_0_are_refused(void **state)
{
    (void)state;
    is_refused(&OS2, "{'version':{'created':'1070599'},'number_of_shards':'5'}", "{'t':{}}",
               "another hash");
    is_refused(&OS2, "{'version':{'created':'900799'},'number_of_shards':'2'}", "{'t':{}}",
               "another hash");
    becomes(&OS2, "{'version':{'created':'1070599'},'number_of_shards':'1'}", "{}",
            "{'version':{'created':'1070599'},'number_of_shards':'1'}", "{}", NULL);
    becomes(&OS2, "{'version':{'created':'2040699'},'number_of_shards':'5'}", "{}",
            "{'version':{'created':'2040699'},'number_of_shards':'5'}", "{}", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_become_text_or_keyword),
        cmocka_unit_test(a_keyword_keeps_what_it_may_have),
        cmocka_unit_test(a_text_keeps_what_it_may_have),
        cmocka_unit_test(fielddata_has_another_form),
        cmocka_unit_test(other_types_lose_what_was_never_theirs),
        cmocka_unit_test(booleans_are_written_as_such),
        cmocka_unit_test(points_out_of_range_are_taken_still),
        cmocka_unit_test(a_type_without_an_equal_takes_anything),
        cmocka_unit_test(dynamic_templates_are_split_where_strings_differ),
        cmocka_unit_test(what_engines_did_themselves_is_left_out_and_warned_of),
        cmocka_unit_test(several_types_are_named_with_what_to_do),
        cmocka_unit_test(elasticsearch_6_keeps_what_it_knows),
        cmocka_unit_test(settings_that_nobody_knows_are_left_out),
        cmocka_unit_test(names_in_capitals_and_lists_in_text_are_understood),
        cmocka_unit_test(analyzers_that_are_gone_are_written_out),
        cmocka_unit_test(dates_are_read_as_generously),
        cmocka_unit_test(templates_have_defaults_and_one_pattern),
        cmocka_unit_test(filters_of_aliases_are_queries),
        cmocka_unit_test(shards_of_before_2_0_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
