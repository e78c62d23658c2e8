"""test_rows.py - every way to write a document: the client's answer, and the row on the standby.

Most requests are made twice, through Tandem and directly to an index that is not replicated; the
answers must be alike. Each test ends with the comparison of its indices on both clusters.

SPDX-License-Identifier: Apache-2.0
"""

import gzip
import json
import re

import pytest

from shared import Twins, equal_indices, lines, must, shared_tandem
from tandem import request

SEQ = re.compile(r"[0-9a-f]{32}:[0-9]+")


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


def make_twins(request, tandem, shards):
    name = request.node.name.replace("test_", "").replace("_", "-")
    both = Twins(tandem, name)
    for url, index in ((tandem.url, both.name), (tandem.primary.url, both.direct)):
        must(url, "PUT", "/" + index, {"settings": {"number_of_shards": shards}})
    yield both
    if not getattr(request.node, "failed", False):
        both.equal()


@pytest.fixture
def twins(request, tandem):
    """With one shard: so the numbers of the answers are alike, whatever the ids are."""
    yield from make_twins(request, tandem, 1)


@pytest.fixture
def wide_twins(request, tandem):
    yield from make_twins(request, tandem, 3)


def put_pipelines(tandem):
    for name, processors in {
            "stamp": [{"set": {"field": "stamp", "value": "{{_id}}"}}],
            "last": [{"set": {"field": "last", "value": True}}],
            "drop": [{"drop": {}}],
            "fail": [{"fail": {"message": "as asked"}}],
            "rename": [{"set": {"field": "_id", "value": "renamed-{{word}}"}}],
            "route": [{"set": {"field": "_routing", "value": "somewhere-{{word}}"}}],
            "elsewhere": [{"set": {"field": "_index", "value": "{{_index}}-elsewhere"}}]}.items():
        must(tandem.url, "PUT", "/_ingest/pipeline/" + name, {"processors": processors})


# --- single documents -----------------------------------------------------------------------------

def test_index_create_delete(twins):
    answer = twins.write("PUT", "/{i}/_doc/1", {"n": 1}, status=201)
    assert SEQ.fullmatch(answer.headers["x-tandem-seq"])
    twins.write("PUT", "/{i}/_doc/1", {"n": 2}, status=200)
    twins.write("POST", "/{i}/_doc/1?refresh=true", {"n": 3}, status=200)
    twins.write("PUT", "/{i}/_create/2", {"n": 1}, status=201)
    twins.write("PUT", "/{i}/_doc/3?op_type=create", {"n": 1}, status=201)
    twins.write("DELETE", "/{i}/_doc/3", status=200)
    answer = twins.write("DELETE", "/{i}/_doc/3", status=404)
    assert "x-tandem-seq" in answer.headers, "a delete that finds nothing takes a number"


def test_what_is_refused_is_not_applied(twins):
    twins.write("PUT", "/{i}/_doc/1", {"n": 1}, status=201)
    for path, status in (("/{i}/_create/1", 409), ("/{i}/_doc/1?op_type=create", 409),
                         ("/{i}/_doc/1?if_seq_no=7&if_primary_term=1", 409),
                         ("/{i}/_doc/1?if_seq_no=7", 400), ("/{i}/_doc/1?no_such=parameter", 400)):
        twins.write("PUT", path, {"n": 2}, status=status, outcome="not-applied")
    twins.write("POST", "/{i}/_update/none", {"doc": {"n": 1}}, status=404, outcome="unknown")
    twins.write("PUT", "/{i}/_doc/2", '{"n": ', status=400, outcome="not-applied")
    twins.write("PUT", "/{i}/_doc/2", "", status=400, outcome="not-applied")
    twins.write("PUT", "/{i}/_doc/2", {"n": "no number"}, status=400, outcome="not-applied")
    twins.write("PUT", "/{i}/_doc/" + "x" * 513, {"n": 2}, status=400, outcome="not-applied")


def test_conditions_that_hold(twins):
    twins.write("PUT", "/{i}/_doc/1", {"n": 1}, status=201)
    seq_no = twins.write("PUT", "/{i}/_doc/1?if_seq_no=0&if_primary_term=1", {"n": 2},
                         status=200).json()["_seq_no"]
    twins.write("POST", "/{i}/_update/1?if_seq_no=%d&if_primary_term=1" % seq_no,
                {"doc": {"n": 3}}, status=200)
    twins.write("DELETE", "/{i}/_doc/1?if_seq_no=%d&if_primary_term=1" % (seq_no + 1), status=200)


def test_updates_of_all_kinds(twins):
    def update(id, body, status=200, **promise):
        return twins.write("POST", "/{i}/_update/" + id, body, status=status, **promise).json()
    twins.write("PUT", "/{i}/_doc/1", {"n": 1, "deep": {"a": 1}}, status=201)
    assert "get" not in update("1", {"doc": {"deep": {"b": 2}}})
    answer = update("1", {"doc": {"n": 1}})
    assert answer["result"] == "noop" and "get" not in answer
    assert update("1", {"doc": {"n": 1}, "detect_noop": False})["result"] == "updated"
    update("1", {"script": {"source": "ctx._source.n += params.by", "params": {"by": 5}}})
    assert update("1", {"script": "ctx.op = 'none'"})["result"] == "noop"
    update("2", {"doc": {"n": 1}, "upsert": {"n": 0}}, 201)
    update("2", {"doc": {"n": 1}, "upsert": {"n": 0}})
    update("3", {"doc": {"n": 7}, "doc_as_upsert": True}, 201)
    update("4", {"scripted_upsert": True, "upsert": {"n": 1}, "script": "ctx._source.n *= 9"}, 201)
    assert update("4", {"script": "ctx.op = 'delete'"})["result"] == "deleted"
    update("5", {"script": "ctx.op = 'none'", "scripted_upsert": True, "upsert": {"n": 1}})
    update("1", {"script": "ctx._source.n = 1 / 0"}, 400, outcome="not-applied")
    update("1", {"doc": {"n": 1}, "no_such": 1}, 400, outcome="not-applied")
    update("1?retry_on_conflict=3", {"doc": {"n": 11}})


def test_source_filter_path_and_pretty_are_the_clients(twins):
    twins.write("PUT", "/{i}/_doc/1?pretty", {"n": 1, "m": {"a": 1, "b": 2}}, status=201)
    twins.write("PUT", "/{i}/_doc/1?filter_path=result,_shards.total&pretty=true",
                {"n": 1, "m": {"a": 1, "b": 2}}, status=200)
    twins.write("PUT", "/{i}/_doc/1?filter_path=-_shards", {"n": 1, "m": {"a": 1, "b": 2}})
    for number, query in enumerate((
            "_source=true", "_source=false", "_source=n", "_source=m.*,no", "_source_includes=m",
            "_source_excludes=m.a", "_source_includes=m&_source_excludes=m.b", "_source",
            "_source=true&filter_path=get._source.n", "_source=true&pretty", "pretty&human",
            "filter_path=nothing")):
        twins.write("POST", "/{i}/_update/1?" + query, {"doc": {"n": number + 10}}, status=200)
    for number, source in enumerate((True, False, "m", ["n", "m.a"], {"includes": ["m"]},
                                     {"excludes": "m.b"}, {"includes": "m.*", "excludes": ["*.a"]},
                                     "true")):
        twins.write("POST", "/{i}/_update/1", {"doc": {"n": number + 30}, "_source": source})
    twins.write("POST", "/{i}/_update/1?_source=n", {"doc": {"n": 50}, "_source": "m"})
    # A noop and an upsert with the source asked for.
    twins.write("POST", "/{i}/_update/1?_source=true", {"doc": {"n": 50}})
    twins.write("POST", "/{i}/_update/2?_source=n", {"doc": {"n": 1, "o": 1}, "doc_as_upsert": True})
    twins.write("POST", "/{i}/_update/2?_source=true", {"script": "ctx.op = 'delete'"})


def test_an_id_made_by_tandem_looks_as_the_engines_own(twins):
    answer = twins.write("POST", "/{i}/_doc", {"n": 1}, status=201)
    assert re.fullmatch(r"[A-Za-z0-9_-]{20}", answer.json()["_id"])
    twins.write("POST", "/{i}/_doc/", {"n": 2}, status=201)
    twins.write("POST", "/{i}/_doc?routing=x&refresh=true&filter_path=result", {"n": 3}, status=201)
    twins.write("POST", "/{i}/_doc?op_type=create", {"n": 4}, status=201)
    twins.write("POST", "/{i}/_doc", {"n": "no number"}, status=400, outcome="not-applied")
    twins.write("POST", "/{i}/_doc?op_type=index", {"n": 5}, status=201)


def test_odd_ids_travel(twins):
    for number, id in enumerate((
            "a%2Fb", "a%252Fb", "%F0%9F%92%A9%E2%98%83", "a+b", "a%20b", "%22%5C", "..", ".", "_x",
            "x" * 512, "%C3%A9" * 256, "a,b", "*", "%3Cx%3E", "1", "%01", "a;b=c", "a&b",
            "%F0%9F%92%A9" * 128)):
        answer = twins.ask("PUT", "/{i}/_doc/" + id, {"n": number})
        twins.write("POST", "/{i}/_update/" + id, {"doc": {"m": 1}}, status=answer.status and 200)
    twins.write("POST", "/_bulk", lines(*[each for id in (
        "a/b%2Fc", "\N{PILE OF POO}\N{SNOWMAN}", "\u0001\t\n", 'quo"te\\', "x" * 512, 7, "\u00e9", 1.5, True)
        for each in ({"index": {"_index": "{i}", "_id": id}}, {"bulk": True})]), status=200)
    # Escaped as a client may, in a body that is not as json.dumps writes it.
    twins.write("POST", "/_bulk", '{"index":{"_index":"{i}","_id":"\\ud83d\\udca9\\u0041\\/"}}\n{}\n')


def test_two_routings_of_one_id_are_two_documents(wide_twins):
    for routing in ("red", "green", "blue", "r%2Fd", "%E2%98%83"):
        wide_twins.write("PUT", "/{i}/_doc/1?routing=" + routing, {"of": routing}, status=None)
        wide_twins.write("POST", "/{i}/_update/1?routing=" + routing, {"doc": {"again": routing}})
    wide_twins.write("DELETE", "/{i}/_doc/1?routing=red")
    wide_twins.write("POST", "/{i}/_bulk?routing=violet", lines(
        {"index": {"_id": "1"}}, {"n": 1}, {"index": {"_id": "1", "routing": "red"}}, {"n": 2},
        {"delete": {"_id": "1", "routing": "blue"}}, {"index": {"_id": "2", "routing": 7}}, {"n": 3},
        {"update": {"_id": "1", "routing": "red"}}, {"doc": {"m": 2}}), outcome="unknown")  # red's was blue's


def test_json_over_several_lines_travels(twins):
    twins.write("PUT", "/{i}/_doc/1", '{\n  "a" : [ 1,\r\n\t2 ],\n  "b": "x\\ny"\n}\n', status=201)
    twins.write("POST", "/{i}/_doc", '\n{"a":\n3}', status=201)
    twins.write("POST", "/{i}/_update/1", '{\n "doc": {\n"c": {\n}\n}\n}\n', status=200)
    twins.write("PUT", "/{i}/_doc/2", '{"a": 1, "a": 2}', status=None, outcome="not-applied")
    twins.write("PUT", "/{i}/_doc/3", '{"u": "\\u00e9\\ud83d\\udca9", "n": 1e3, "z": -0.0}')


# --- bulks ----------------------------------------------------------------------------------------

def test_bulks_in_all_forms(twins):
    twins.write("POST", "/_bulk", lines(
        {"index": {"_index": "{i}", "_id": "1"}}, {"n": 1},
        {"create": {"_index": "{i}", "_id": "1"}}, {"n": 2},
        {"update": {"_index": "{i}", "_id": "1"}}, {"doc": {"n": 3}},
        {"update": {"_index": "{i}", "_id": "1"}}, {"doc": {"n": 3}},
        {"delete": {"_index": "{i}", "_id": "1"}}, {"delete": {"_index": "{i}", "_id": "1"}},
        {"index": {"_index": "{i}", "_id": "1", "op_type": "create"}}, {"n": 4},
        {"update": {"_index": "{i}", "_id": "none"}}, {"doc": {"n": 3}},
        {"index": {"_index": "{i}", "_id": "2"}}, {"n": "no number"},
        {"update": {"_index": "{i}", "_id": "3"}}, {"script": "ctx._source.n++", "upsert": {"n": 0}},
        {"update": {"_index": "{i}", "_id": "3"}}, {"script": "ctx.op = 'delete'"},
        {"update": {"_index": "{i}", "_id": "4"}}, {"doc": {"n": 1}, "doc_as_upsert": True}))
    twins.write("PUT", "/{i}/_bulk", lines({"index": {"_id": "5"}}, {"n": 1}, {"index": {}}, {"n": 2},
                                           {"create": {}}, {"n": 3}, {"index": {"op_type": "create"}}, {"n": 4}))
    twins.write("POST", "/{i}/_bulk?refresh=true&filter_path=items.*.error,errors", lines(
        {"create": {"_id": "5"}}, {"n": 2}, {"index": {"_id": "6"}}, {"n": 2}))
    twins.write("POST", "/{i}/_bulk?filter_path=items.*._id,took&pretty", lines(
        {"index": {"_id": "7"}}, {"n": 2}, {"index": {}}, {"n": 9}))
    twins.write("POST", "/{i}/_bulk", lines({"create": {"_id": "5"}}, {"n": 2}),
                outcome="not-applied")
    twins.write("POST", "/{i}/_bulk", b'{"index":{"_id":"8"}}\r\n{"n":1}\r\n\n{"delete":{"_id":"7"}}\n')
    twins.write("POST", "/{i}/_bulk", lines(
        {"index": {"_id": "9", "if_seq_no": 77, "if_primary_term": 1}}, {"n": 1},
        {"delete": {"_id": "8", "if_seq_no": 77, "if_primary_term": 1}},
        {"index": {"_id": "10"}}, {"n": 1}))


def test_the_source_of_updates_in_bulks_is_the_clients(twins):
    twins.write("POST", "/{i}/_bulk", lines(*[each for n in range(8) for each in (
        {"index": {"_id": str(n)}}, {"n": n, "m": {"a": 1, "b": 2}})]))
    body = lines(
        {"update": {"_id": "0"}}, {"doc": {"x": 1}}, {"update": {"_id": "1", "_source": True}},
        {"doc": {"x": 1}}, {"update": {"_id": "2", "_source": False}}, {"doc": {"x": 1}},
        {"update": {"_id": "3", "_source": {"includes": ["n", "m.a"]}}}, {"doc": {"x": 1}},
        {"update": {"_id": "4", "_source": {"excludes": ["m"]}}}, {"doc": {"x": 1}},
        {"update": {"_id": "5"}}, {"doc": {"x": 1}, "_source": True},
        {"update": {"_id": "6"}}, {"doc": {"x": 1}, "_source": "m"},
        {"delete": {"_id": "7"}}, {"index": {}}, {"n": 8})
    twins.write("POST", "/{i}/_bulk", body)
    for query in ("_source=true", "_source=n", "_source_includes=m", "_source_excludes=m",
                  "_source=false"):
        twins.write("POST", "/{i}/_bulk?" + query,
                    body.replace('"x": 1', '"x": "%s"' % query).replace("delete", "update").replace(
                        '"7"}}\n', '"6"}}\n{"doc": {"x": 2}}\n'))


def test_bulks_that_are_wrong_change_nothing(twins):
    for body in ('{"bogus":{"_id":"1"}}\n{"n":1}\n', '{"index":{"_id":"1"}}\n{"n":1}',
                 '{"index":{"_id":"1"}}\n', '{"index":{"_id":["1"]}}\n{"n":1}\n', "", "x\n"):
        answer = twins.tandem.request("POST", "/%s/_bulk" % twins.name, body)
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (400, "not-applied"), answer
        assert json.loads(answer.body)["error"]["reason"], answer
    answer = twins.tandem.request("POST", "/_bulk", lines({"index": {"_id": "1"}}, {"n": 1}))
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (400, "not-applied"), answer
    assert twins.ask("GET", "/{i}/_count?filter_path=count").json() == {"count": 0}


def test_an_empty_id_is_refused_as_by_the_engine(twins):
    """The item of an index or a create; of an update or a delete the whole bulk."""
    put_pipelines(twins.tandem)
    twins.write("POST", "/{i}/_bulk", lines(
        {"index": {"_id": ""}}, {"n": 1}, {"create": {"_id": ""}}, {"n": 2}, {"index": {"_id": "3"}}, {"n": 3},
        {"index": {"_id": "", "op_type": "create"}}, {"n": 4}, {"update": {"_id": "3"}}, {"doc": {"m": 5}},
        {"index": {"_id": "", "pipeline": "rename"}}, {"word": "six"}), status=200)
    twins.write("POST", "/{i}/_bulk", lines({"index": {"_id": ""}}, {"n": 1}), status=200, outcome="not-applied")
    for action in ({"update": {"_id": ""}}, {"doc": {"n": 1}, "doc_as_upsert": True}), ({"delete": {"_id": ""}},):
        twins.write("POST", "/{i}/_bulk", lines({"index": {"_id": "7"}}, {"n": 7}, *action), status=400,
                    outcome="not-applied")
    twins.ask("POST", "/{i}/_refresh")
    assert twins.ask("GET", "/{i}/_count?filter_path=count").json() == {"count": 2}


def test_require_alias_is_honoured(twins):
    for url, index in ((twins.tandem.url, twins.name), (twins.tandem.primary.url, twins.direct)):
        must(url, "PUT", "/%s/_alias/%s-alias" % (index, index))
    twins.write("PUT", "/{i}-alias/_doc/1?require_alias=true", {"n": 1}, status=201)
    twins.write("PUT", "/{i}/_doc/1?require_alias=true", {"n": 1}, status=404, outcome="not-applied")
    twins.write("POST", "/{i}-alias/_bulk?require_alias=true", lines(
        {"index": {"_id": "2"}}, {"n": 1}, {"index": {"_index": "{i}", "_id": "3"}}, {"n": 1},
        {"index": {"_index": "{i}", "_id": "4", "require_alias": False}}, {"n": 1},
        {"index": {}}, {"n": 1}))
    twins.write("POST", "/{i}-alias/_update/2?require_alias=true", {"doc": {"m": 1}}, status=200)


def test_an_update_without_routing_keeps_the_one_the_document_has(twins):
    """No answer shows it; on one shard such an update finds the document all the same."""
    twins.write("PUT", "/{i}/_doc/1?routing=red", {"n": 1}, status=201)
    twins.write("POST", "/{i}/_update/1", {"doc": {"n": 2}}, status=200)
    twins.write("POST", "/{i}/_bulk", lines(
        {"index": {"_id": "2", "routing": "blue"}}, {"n": 1}, {"update": {"_id": "2"}}, {"doc": {"n": 2}},
        {"index": {"_id": "3"}}, {"n": 1}, {"update": {"_id": "3"}}, {"doc": {"n": 2}}))


def test_a_write_alias_chooses_index_and_routing(twins):
    for url, index in ((twins.tandem.url, twins.name), (twins.tandem.primary.url, twins.direct)):
        must(url, "PUT", "/%s-2" % index, {"settings": {"number_of_shards": 3}})
        must(url, "POST", "/_aliases", {"actions": [
            {"add": {"index": index, "alias": index + "-w"}},
            {"add": {"index": index + "-2", "alias": index + "-w", "is_write_index": True}},
            {"add": {"index": index + "-2", "alias": index + "-r", "index_routing": "north"}},
            {"add": {"index": index + "-2", "alias": index + "-s", "routing": "south"}}]})
    twins.write("PUT", "/{i}-w/_doc/1", {"n": 1}, status=201)
    twins.write("PUT", "/{i}-r/_doc/1", {"n": 2}, status=None)
    twins.write("POST", "/{i}-s/_update/1", {"doc": {"n": 3}, "doc_as_upsert": True}, status=None)
    twins.write("POST", "/{i}-s/_doc", {"n": 4}, status=201)
    twins.write("PUT", "/{i}-r/_doc/2?routing=other", {"n": 5}, status=400, outcome="not-applied")
    twins.write("POST", "/_bulk", lines(
        {"index": {"_index": "{i}-w", "_id": "5"}}, {"n": 1},
        {"update": {"_index": "{i}-r", "_id": "1"}}, {"doc": {"m": 1}},
        {"index": {"_index": "{i}-s"}}, {"m": 1},
        {"delete": {"_index": "{i}-s", "_id": "1"}}, {"delete": {"_index": "{i}-r", "_id": "9"}}))
    equal_indices(twins.tandem, twins.name, twins.name + "-2")


def test_dates_in_names(tandem):
    answer = tandem.request("PUT", "/%3Ctest-dated-%7Bnow%2Fd%7D%3E/_doc/1", {"n": 1})
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (201, "applied"), answer
    index = answer.json()["_index"]
    assert re.fullmatch(r"test-dated-\d{4}\.\d\d\.\d\d", index)
    answer = tandem.request("POST", "/_bulk", lines(
        {"index": {"_index": "<test-dated-{now/d}>", "_id": "2"}}, {"n": 2},
        {"index": {"_index": "<test-dated-{now/M{yyyy}}>"}}, {"n": 3},
        {"update": {"_index": "<test-dated-{now/d}>", "_id": "1"}}, {"doc": {"n": 4}}))
    assert answer.json()["items"][2]["update"]["_index"] == index, answer
    equal_indices(tandem, index, index[:len("test-dated-0000")])


# --- pipelines ------------------------------------------------------------------------------------

def test_pipelines_decide_what_is_stored(twins):
    put_pipelines(twins.tandem)
    twins.write("PUT", "/{i}/_doc/1?pipeline=stamp", {"n": 1}, status=201)
    twins.write("POST", "/{i}/_doc?pipeline=stamp", {"n": 1}, status=201)
    answer = twins.write("PUT", "/{i}/_doc/2?pipeline=drop", {"n": 1}, status=200)
    assert "x-tandem-seq" not in answer.headers
    twins.write("PUT", "/{i}/_doc/3?pipeline=fail", {"n": 1}, status=500, outcome="not-applied")
    twins.write("PUT", "/{i}/_doc/3?pipeline=no-such", {"n": 1}, status=400, outcome="not-applied")
    twins.write("PUT", "/{i}/_doc/4?pipeline=rename", {"word": "x"}, status=201)
    twins.write("POST", "/{i}/_doc?pipeline=rename", {"word": "y"}, status=201)
    twins.write("POST", "/{i}/_doc?pipeline=drop", {"word": "y"}, status=200)
    twins.write("POST", "/{i}/_bulk?pipeline=stamp", lines(
        {"index": {"_id": "5"}}, {"n": 1}, {"index": {}}, {"n": 2},
        {"index": {"_id": "6", "pipeline": "_none"}}, {"n": 3},
        {"index": {"_id": "7", "pipeline": "drop"}}, {"n": 4},
        {"create": {"_id": "5"}}, {"n": 9},
        {"index": {"_id": "8", "pipeline": "rename"}}, {"word": "z"},
        {"update": {"_id": "5"}}, {"doc": {"m": 1}},
        {"update": {"_id": "9"}}, {"doc": {"m": 1}, "upsert": {"up": 1}}, {"delete": {"_id": "6"}}))


def test_default_and_final_pipelines(twins):
    put_pipelines(twins.tandem)
    for url, index in ((twins.tandem.url, twins.name), (twins.tandem.primary.url, twins.direct)):
        must(url, "PUT", "/%s/_settings" % index, {"index.default_pipeline": "stamp",
                                                  "index.final_pipeline": "last"})
    twins.write("PUT", "/{i}/_doc/1", {"n": 1}, status=201)
    twins.write("PUT", "/{i}/_doc/1?pipeline=_none", {"n": 2}, status=200)
    twins.write("POST", "/{i}/_update/1?_source=true", {"doc": {"n": 3}}, status=200)
    twins.write("POST", "/{i}/_update/2", {"doc": {"n": 3}, "doc_as_upsert": True}, status=201)
    twins.write("POST", "/{i}/_doc", {"n": 1}, status=201)
    twins.write("POST", "/{i}/_bulk", lines(
        {"index": {"_id": "3"}}, {"n": 1}, {"update": {"_id": "1"}}, {"doc": {"n": 4}},
        {"update": {"_id": "4"}}, {"doc": {"n": 4}, "doc_as_upsert": True},
        {"update": {"_id": "4"}}, {"script": "ctx._source.n++"}, {"index": {}}, {"n": 5},
        {"index": {"_id": "5", "pipeline": "drop"}}, {"n": 5}, {"delete": {"_id": "3"}}))
    twins.write("POST", "/{i}/_bulk", lines(
        {"index": {"_id": "6", "pipeline": "fail"}}, {"n": 5}, {"index": {"_id": "7"}}, {"n": 6}))


def test_a_pipeline_may_choose_index_and_routing(twins):
    put_pipelines(twins.tandem)
    for url, index in ((twins.tandem.url, twins.name), (twins.tandem.primary.url, twins.direct)):
        must(url, "PUT", "/%s-elsewhere" % index, {"settings": {"number_of_shards": 3}})
    twins.write("PUT", "/{i}/_doc/1?pipeline=elsewhere", {"n": 1}, status=201)
    twins.write("POST", "/{i}/_bulk?pipeline=elsewhere", lines(
        {"index": {"_id": "2"}}, {"n": 1}, {"index": {"pipeline": "_none", "_id": "3"}}, {"n": 1}))
    equal_indices(twins.tandem, twins.name, twins.name + "-elsewhere")


def test_a_pipeline_may_choose_the_routing(wide_twins):
    put_pipelines(wide_twins.tandem)
    for word in ("a", "b", "c"):
        wide_twins.write("PUT", "/{i}/_doc/%s?pipeline=route" % word, {"word": word}, status=201)
    wide_twins.write("POST", "/{i}/_bulk?pipeline=route", lines(*[each for word in "defgh" for each in (
        {"index": {"_id": word}}, {"word": word})]))


# --- encodings ------------------------------------------------------------------------------------

CBOR = b"\xa2\x61n\x07\x64word\x63abc"  # {"n": 7, "word": "abc"}
SMILE = b":)\n\x01\xfa\x80n\xce\x83word\x42abc\xfb"
YAML = b"---\nn: 7\nword: abc\n"


@pytest.mark.parametrize("name, body", [("cbor", CBOR), ("smile", SMILE), ("yaml", YAML)])
def test_documents_in_other_encodings_become_rows(tandem, name, body):
    index = "test-encoding-" + name
    headers = {"Content-Type": "application/" + name, "Accept": "application/json"}
    answer = tandem.request("PUT", "/%s/_doc/1" % index, body, headers)
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (201, "applied"), answer
    answer = tandem.request("POST", "/%s/_doc" % index, body, headers)
    assert answer.status == 201 and len(answer.json()["_id"]) == 20, answer
    assert tandem.request("GET", "/%s/_source/1" % index, headers={
        "Accept": "application/json"}).json() == {"n": 7, "word": "abc"}
    doc = {"cbor": b"\xa1\x63doc\xa1\x61m\x01", "yaml": b"doc:\n  m: 1\n",
           "smile": b":)\n\x01\xfa\x82doc\xfa\x80m\xc2\xfb\xfb"}[name]
    answer = tandem.request("POST", "/%s/_update/1" % index, doc, headers)
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (200, "applied"), answer
    equal_indices(tandem, index)


def test_types_that_are_not_understood_are_refused(twins):
    ask = twins.tandem.request
    for path, headers, status in (
            ("/%s/_bulk", {"Content-Type": "application/smile"}, 415),
            ("/%s/_doc/1", {"Content-Type": "application/json", "Accept": "application/yaml"}, 406),
            ("/%s/_doc/1?format=yaml", {}, 406),
            ("/%s/_doc/1", {"Content-Type": "application/json", "Content-Encoding": "br"}, 415)):
        answer = ask("POST", path % twins.name, lines({"index": {}}, {"n": 1}), headers)
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (status, "not-applied"), answer
    twins.write("POST", "/{i}/_doc/1", b"n=1", {"Content-Type": "text/plain"}, status=406,
                outcome="not-applied")
    twins.write("PUT", "/{i}/_doc/2", {"n": 1}, {"Accept": "*/*"}, status=201)
    twins.write("PUT", "/{i}/_doc/3?format=json", {"n": 1}, status=201)
    twins.write("PUT", "/{i}/_doc/4", b'{"n": 1}',
                {"Content-Type": "application/json; charset=utf-8"}, status=201)


def test_compressed_bodies_must_be_whole(twins):
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    plain = lines({"index": {"_id": "1"}}, {"n": 1}, {"index": {"_id": "2"}}, {"n": 2}).encode()
    packed = gzip.compress(plain)
    twins.write("POST", "/{i}/_bulk", packed, headers, status=200)
    halves = gzip.compress(plain.replace(b'"1"', b'"3"')) + gzip.compress(b'{"delete":{"_id":"2"}}\n')
    twins.write("POST", "/{i}/_bulk", halves, headers, status=200)
    first = plain.replace(b'"1"', b'"cut"')
    whole = gzip.compress(first)
    for body in (whole[:-8], whole[:-1], whole[:len(whole) // 2], b"no gzip",
                 whole[:-5] + bytes([whole[-5] ^ 1]) + whole[-4:]):
        answer = twins.tandem.request("POST", "/%s/_bulk" % twins.name, body, headers)
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (400, "not-applied"), answer
    assert request(twins.tandem.primary.url, "GET", "/%s/_doc/cut" % twins.name).status == 404
    twins.write("PUT", "/{i}/_doc/9", gzip.compress(b'{"n": 9}'),
                {"Content-Type": "application/json", "Content-Encoding": "gzip"}, status=201)


def test_external_versions_are_replicated_with_a_warning(twins):
    twins.write("PUT", "/{i}/_doc/1?version=42&version_type=external", {"n": 1}, status=201)
    twins.write("PUT", "/{i}/_doc/1?version=41&version_type=external", {"n": 2}, status=409,
                outcome="not-applied")
    twins.write("DELETE", "/{i}/_doc/1?version=43&version_type=external_gte", status=200)
    twins.write("POST", "/{i}/_bulk", lines(
        {"index": {"_id": "1", "version": 50, "version_type": "external"}}, {"n": 3},
        {"delete": {"_id": "2", "version": 7, "version_type": "external"}}))
    problems = twins.tandem.proxy.status()["problems"]
    assert any("external versions" in problem["text"] for problem in problems), problems


# --- what is refused, what passes -----------------------------------------------------------------

REFUSED = (
    ("by_query", "POST", "/{i}/_rollup/{i}-x", {}),
    ("reindex", "POST", "/_migration/reindex", {}),
    ("restore", "POST", "/_snapshot/repository/snapshot/_mount", {}),
    ("opaque", "POST", "/_bulk/stream", '{"index":{"_index":"{i}"}}\n{"n":1}\n'),
    ("unknown", "POST", "/{i}/_no_such_call", {}),
    ("unknown", "DELETE", "/{i}/_doc/1/2/3", None))


def in_name(value, name):
    return json.loads(json.dumps(value).replace("{i}", name))


def test_what_cannot_be_replicated_is_refused_with_the_setting_named(twins):
    twins.write("PUT", "/{i}/_doc/1", {"n": 1}, status=201)
    for word, method, path, body in REFUSED:
        answer = twins.tandem.request(method, in_name(path, twins.name), in_name(body, twins.name))
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (400, "not-applied"), answer
        assert "unreplicated.allow: [%s]" % word in answer.json()["error"]["reason"], answer
    answer = twins.tandem.request("DELETE", "/")
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (403, "not-applied"), answer
    must(twins.tandem.primary.url, "POST", "/%s/_refresh" % twins.name)
    assert twins.tandem.request("GET", "/%s/_count" % twins.name).json()["count"] == 1
    assert twins.tandem.proxy.status()["indices"] == []


def test_excluded_indices_pass_unreplicated(tandem):
    answer = tandem.request("PUT", "/direct-excluded/_doc/1", {"n": 1})
    assert answer.status == 201 and answer.headers["x-tandem-replicated"] == "no", answer
    assert "x-tandem-outcome" not in answer.headers, answer
    for path, body in (("/direct-excluded/_delete_by_query", {"query": {"match_none": {}}}),
                       ("/direct-excluded/_bulk", lines({"index": {}}, {"n": 1}))):
        assert tandem.request("POST", path, body).status == 200
    answer = tandem.request("POST", "/_bulk", lines(
        {"index": {"_index": "direct-excluded", "_id": "2"}}, {"n": 2},
        {"index": {"_index": "direct-excluded"}}, {"n": 3},
        {"index": {"_index": "test-beside-excluded", "_id": "1"}}, {"n": 4}))
    assert answer.headers["x-tandem-outcome"] == "applied" and not answer.json()["errors"], answer
    answer = tandem.request("POST", "/_bulk", lines(
        {"index": {"_index": "direct-excluded", "_id": "2"}}, {"n": 2}))
    assert answer.status == 200, answer
    equal_indices(tandem, "test-beside-excluded")
    assert request(tandem.standby.url, "GET", "/direct-excluded").status == 404


def test_scrolls_and_points_in_time_pass(twins):
    twins.write("POST", "/{i}/_bulk?refresh=true", lines(*[each for n in range(5) for each in (
        {"index": {"_id": str(n)}}, {"n": n})]))
    ask = twins.tandem.request
    page = ask("POST", "/%s/_search?scroll=1m" % twins.name, {"size": 2}).json()
    seen = len(page["hits"]["hits"])
    while page["hits"]["hits"]:
        page = ask("POST", "/_search/scroll", {"scroll": "1m", "scroll_id": page["_scroll_id"]}).json()
        seen += len(page["hits"]["hits"])
    assert seen == 5
    assert ask("DELETE", "/_search/scroll", {"scroll_id": page["_scroll_id"]}).status == 200
    pit = ask("POST", "/%s/_search/point_in_time?keep_alive=1m" % twins.name).json()["pit_id"]
    twins.write("PUT", "/{i}/_doc/later?refresh=true", {"n": 9}, status=201)
    found = ask("POST", "/_search", {"pit": {"id": pit, "keep_alive": "1m"}}).json()
    assert found["hits"]["total"]["value"] == 5
    assert ask("DELETE", "/_search/point_in_time", {"pit_id": [pit]}).status == 200
