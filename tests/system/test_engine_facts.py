"""test_engine_facts.py - every fact about engines that the model cluster uses, asked of a real one too.

A fact is a list of steps: a request, and in short words what is answered. The same list runs on a
real engine and on fake_es, and each must say exactly what is written here; so the simulation and the
tests with faults stand on nothing that a real engine does not do.

    201 created v1 #0 t1                status, result, _version, _seq_no, _primary_term
    404 index_not_found_exception       status, type of the error
    200 [...; ...]                      a bulk or mget: its items

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import time

import pytest

import engine as engines
from fake import FakeEs
from tandem import request

ANY = object()  # only required to be the same on both


@pytest.fixture
def opensearch(clusters):
    """A real engine, empty."""
    return clusters.get(engines.MAIN_KIND, ("a",))[0]


@pytest.fixture
def fake_es(run_folder, request):
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", request.node.name)
    running = FakeEs("fake", os.path.join(run_folder, "fake_es-%s.log" % name)).start()
    yield running
    if running.running():
        assert running.stop() == 0, "fake_es ended badly, see " + running.log_path


# --- words for answers ---

def _numbers(part):
    words = []
    for key, mark in (("_version", "v"), ("_seq_no", "#"), ("_primary_term", "t")):
        if key in part:
            words.append("%s%d" % (mark, part[key]))
    return words


def _source(part):
    """Sorted: a pipeline leaves the members in an order of the engine's own."""
    if "_source" not in part:
        return []
    return [json.dumps(part["_source"], separators=(",", ":"), sort_keys=True)]


def _one(part):
    """A single answer, or one item of many."""
    error = part.get("error")
    if isinstance(error, dict):
        return [error["type"]]
    words = [part["result"]] if "result" in part else []
    if "found" in part:
        words.append("found" if part["found"] else "missing")
    words += _numbers(part)
    if "_routing" in part:
        words.append("routing=" + part["_routing"])
    words += _source(part)
    if "get" in part:
        words += ["get"] + (["found"] if part["get"]["found"] else ["missing"])
        words += _source(part["get"])
    return words


def words(answer):
    if not answer.body:
        return str(answer.status)
    body = answer.json()
    if not isinstance(body, dict):
        return str(answer.status)
    if "items" in body:
        items = []
        for item in body["items"]:
            (part,) = item.values()
            items.append(" ".join([str(part["status"])] + _one(part)))
        return "%d [%s]" % (answer.status, "; ".join(items))
    if "docs" in body:
        return "%d [%s]" % (answer.status, "; ".join(" ".join(_one(doc)) for doc in body["docs"]))
    return " ".join([str(answer.status)] + _one(body))


def look(body, path):
    """The value at a path of names separated by '/'; None when there is none."""
    for name in path.split("/"):
        if not isinstance(body, dict) or name not in body:
            return None
        body = body[name]
    return body


# --- words for requests ---

def get(path, expected, **paths):
    return ("GET", path, None, expected, paths)


def put(path, body, expected, **paths):
    return ("PUT", path, body, expected, paths)


def post(path, body, expected, **paths):
    return ("POST", path, body, expected, paths)


def delete(path, expected, **paths):
    return ("DELETE", path, None, expected, paths)


def bulk(lines, expected, path="/_bulk"):
    return ("POST", path, "".join(json.dumps(line) + "\n" for line in lines), expected, {})


def wait(seconds):
    """The engines look at a clock that is up to 200 ms old."""
    return ("WAIT", seconds, None, None, {})


def at(path, value):
    """The value at PATH of the answer is VALUE."""
    return {"at": (path, value)}


EXTERNAL = "version_type=external&version="
OK = "200"
CONFLICT = "409 version_conflict_engine_exception"

FACTS = {
    "versions and sequence numbers rise with each applied operation": [
        put("/f", {}, OK),
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        put("/f/_doc/1", {"n": 2}, "200 updated v2 #1 t1"),
        put("/f/_create/1", {"n": 2}, CONFLICT),
        put("/f/_doc/1?op_type=create", {"n": 2}, CONFLICT),
        delete("/f/_doc/1", "200 deleted v3 #2 t1"),
        delete("/f/_doc/1", "404 not_found v4 #3 t1"),
        put("/f/_create/1", {"n": 3}, "201 created v5 #4 t1"),
        get("/f/_doc/1", '200 found v5 #4 t1 {"n":3}'),
        get("/f/_doc/2", "404 missing"),
        get("/none/_doc/2", "404 index_not_found_exception"),
        delete("/none/_doc/2", "404 index_not_found_exception")],
    "what is refused takes no sequence number": [
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        put("/f/_doc/2", {"n": "word"}, "400 mapper_parsing_exception"),
        put("/f/_doc/2", '{"n":1', "400 mapper_parsing_exception"),
        put("/f/_doc/2", '{"n":1,"n":2}', "400 mapper_parsing_exception"),
        put("/f/_doc/1?if_seq_no=7&if_primary_term=1", {"n": 1}, CONFLICT),
        post("/f/_update/9", {"doc": {"n": 1}}, "404 document_missing_exception"),
        post("/f/_update/1", {"doc": {"n": 1}}, "200 noop v1 #0 t1"),
        post("/f/_refresh", None, ANY),
        put("/f/_doc/1", {"n": 1}, "200 updated v2 #1 t1")],
    "external versions: only a higher one is let in": [
        put("/f/_doc/1?" + EXTERNAL + "10", {}, "201 created v10 #0 t1"),
        put("/f/_doc/1?" + EXTERNAL + "10", {}, CONFLICT),
        put("/f/_doc/1?" + EXTERNAL + "9", {}, CONFLICT),
        put("/f/_doc/1?version_type=external_gte&version=9", {}, CONFLICT),
        put("/f/_doc/1?version_type=external_gte&version=10", {}, "200 updated v10 #1 t1"),
        put("/f/_doc/1", {}, "200 updated v11 #2 t1"),
        delete("/f/_doc/1?" + EXTERNAL + "11", CONFLICT),
        delete("/f/_doc/1?" + EXTERNAL + "20", "200 deleted v20 #3 t1"),
        put("/f/_doc/1?" + EXTERNAL + "15", {}, CONFLICT),
        put("/f/_doc/1?" + EXTERNAL + "9007199254740993", {}, "201 created v9007199254740993 #4 t1"),
        get("/f/_doc/1", "200 found v9007199254740993 #4 t1 {}")],
    "external versions are refused where they mean nothing": [
        put("/f/_doc/1", {}, "201 created v1 #0 t1"),
        put("/f/_create/2?" + EXTERNAL + "3", {}, "400 action_request_validation_exception"),
        post("/f/_doc?" + EXTERNAL + "3", {}, "400 action_request_validation_exception"),
        put("/f/_doc/1?version=3", {}, "400 action_request_validation_exception"),
        put("/f/_doc/1?" + EXTERNAL + "-1", {}, "400 action_request_validation_exception"),
        put("/f/_doc/1?if_seq_no=0&if_primary_term=1&" + EXTERNAL + "3", {},
            "400 action_request_validation_exception"),
        post("/f/_update/1?" + EXTERNAL + "3", {"doc": {}}, ANY),
        bulk([{"index": {"_index": "f", "_id": "8"}}, {},
              {"create": {"_index": "f", "_id": "9", "version": 3, "version_type": "external"}}, {}],
             "400 action_request_validation_exception"),
        get("/f/_doc/8", "404 missing")],
    "a delete of nothing with an external version leaves a tombstone": [
        put("/f", {}, OK),
        delete("/f/_doc/1?" + EXTERNAL + "7", "404 not_found v7 #0 t1"),
        put("/f/_doc/1?" + EXTERNAL + "5", {}, CONFLICT),
        put("/f/_doc/1?" + EXTERNAL + "8", {}, "201 created v8 #1 t1"),
        bulk([{"delete": {"_index": "f", "_id": "2", "version": 3, "version_type": "external"}}],
             "200 [404 not_found v3 #2 t1]")],
    "a tombstone older than gc_deletes lets an older write in": [
        put("/f", {"settings": {"index.gc_deletes": "1ms"}}, OK),
        put("/f/_doc/1?" + EXTERNAL + "10", {}, "201 created v10 #0 t1"),
        delete("/f/_doc/1?" + EXTERNAL + "20", "200 deleted v20 #1 t1"),
        wait(1),
        put("/f/_doc/1?" + EXTERNAL + "15", {}, "201 created v15 #2 t1"),
        put("/f/_settings", {"index.gc_deletes": "3h"}, OK),
        delete("/f/_doc/1?" + EXTERNAL + "30", "200 deleted v30 #3 t1"),
        wait(1),
        post("/f/_refresh", None, ANY),
        put("/f/_doc/1?" + EXTERNAL + "25", {}, CONFLICT),
        put("/f/_settings", {"index.gc_deletes": "-1"}, OK),
        put("/f/_doc/1?" + EXTERNAL + "25", {}, "201 created v25 #4 t1"),
        delete("/f/_doc/1", "200 deleted v26 #5 t1"),
        put("/f/_doc/1", {}, "201 created v1 #6 t1")],
    "only a delete with an external version creates a missing index": [
        delete("/f1/_doc/1", "404 index_not_found_exception"),
        delete("/f1/_doc/1?" + EXTERNAL + "7", "404 not_found v7 #0 t1"),
        put("/_cluster/settings", {"persistent": {"action.auto_create_index": "false"}}, OK),
        delete("/f2/_doc/1?" + EXTERNAL + "7", "404 index_not_found_exception"),
        put("/f2/_doc/1", {}, "404 index_not_found_exception"),
        bulk([{"index": {"_index": "f2", "_id": "1"}}, {}, {"index": {"_index": "f1", "_id": "1"}},
              {}], "200 [404 index_not_found_exception; 201 created v8 #1 t1]"),
        put("/_cluster/settings", {"persistent": {"action.auto_create_index": "-.tandem-*,+*"}}, OK),
        put("/.tandem-x/_doc/1", {}, "404 index_not_found_exception"),
        put("/f3/_doc/1", {}, "201 created v1 #0 t1")],
    "an alias that was removed stops a late bulk": [
        put("/f", {"aliases": {".tandem-1-1": {"is_hidden": True}}}, OK),
        bulk([{"index": {"_index": ".tandem-1-1", "_id": "1", "version": 5,
                         "version_type": "external"}}, {"n": 1},
              {"delete": {"_index": ".tandem-1-1", "_id": "2", "version": 5,
                          "version_type": "external"}}],
             "200 [201 created v5 #0 t1; 404 not_found v5 #1 t1]", "/_bulk?require_alias=true"),
        post("/_aliases", {"actions": [{"remove": {"index": "*", "alias": ".tandem-*"}}]}, OK),
        bulk([{"index": {"_index": ".tandem-1-1", "_id": "1", "version": 6,
                         "version_type": "external"}}, {"n": 1},
              {"delete": {"_index": ".tandem-1-1", "_id": "1", "version": 7,
                          "version_type": "external"}}],
             "200 [404 index_not_found_exception; 404 index_not_found_exception]",
             "/_bulk?require_alias=true"),
        bulk([{"index": {"_index": "f", "_id": "1"}}, {"n": 1}],
             "200 [404 index_not_found_exception]", "/_bulk?require_alias=true"),
        get("/.tandem-1-1", "404 index_not_found_exception"),
        post("/_aliases", {"actions": [{"remove": {"index": "*", "alias": ".tandem-*"}}]},
             "404 aliases_not_found_exception"),
        post("/_aliases", {"actions": [{"remove": {"index": "*", "alias": ".tandem-*",
                                                   "must_exist": False}}]}, OK),
        get("/f/_doc/1", '200 found v5 #0 t1 {"n":1}')],
    "a bulk's answer can be cut down to its verdicts, and no item is left out": [
        bulk([{"index": {"_index": "f", "_id": "1", "version": 5, "version_type": "external"}}, {"n": 1},
              {"index": {"_index": "f", "_id": "1", "version": 4, "version_type": "external"}}, {"n": 2},
              {"delete": {"_index": "f", "_id": "2", "version": 5, "version_type": "external"}},
              {"index": {"_index": "f", "_id": "1", "version": 6, "version_type": "external"}}, {"n": 3}],
             "200 [201 created; 409 version_conflict_engine_exception; 404 not_found; 200 updated]",
             "/_bulk?filter_path=items.*.status,items.*.result,items.*.error")],
    "the limit of fields is a gate for new fields only": [
        put("/f", {"mappings": {"properties": {"n": {"type": "long"}, "m": {"type": "keyword"}}}}, OK),
        put("/f/_settings", {"index.mapping.total_fields.limit": 0}, OK),
        put("/f/_doc/1", {"n": 1, "m": "x"}, "201 created v1 #0 t1"),
        put("/f/_doc/2", {"n": 1, "new": 1}, "400 illegal_argument_exception",
            **at("error/reason", "Limit of total fields [0] has been exceeded")),
        bulk([{"index": {"_index": "f", "_id": "2"}}, {"new": 1}, {"index": {"_index": "f", "_id": "3"}},
              {"n": 3}], "200 [400 illegal_argument_exception; 201 created v1 #1 t1]"),
        put("/f/_mapping", {"properties": {"new": {"type": "long"}}}, "400 illegal_argument_exception"),
        put("/f/_mapping", {"properties": {"n": {"type": "long"}}}, "400 illegal_argument_exception"),
        put("/f2", {"settings": {"index.mapping.total_fields.limit": 0}, "mappings": {
            "properties": {"n": {"type": "long"}, "m": {"type": "long"}}}},
            "400 illegal_argument_exception"),
        put("/f/_settings", {"index.mapping.total_fields.limit": 1000}, OK),
        put("/f/_mapping", {"properties": {"new": {"type": "long"}}}, OK),
        put("/f/_settings", {"index.mapping.total_fields.limit": 0}, OK),
        put("/f/_doc/2", {"n": 1, "new": 1}, "201 created v1 #2 t1"),
        # Of an index without fields a limit of 1 lets the first one pass.
        put("/f3", {"settings": {"index.mapping.total_fields.limit": 0}}, OK),
        put("/f3/_doc/1", {}, "201 created v1 #0 t1"),
        put("/f3/_doc/2", {"n": 1}, "400 illegal_argument_exception"),
        put("/f3/_settings", {"index.mapping.total_fields.limit": 1}, OK),
        put("/f3/_doc/2", {"n": 1}, "201 created v1 #1 t1")],
    "fields are guessed at first sight, and then must fit": [
        put("/f/_doc/1", {"l": 1, "d": 1.5, "t": "x", "b": True, "w": "2020-01-02", "o": {"p": [1]}},
            "201 created v1 #0 t1"),
        get("/f/_mapping", ANY, **at("f/mappings/properties", {
            "l": {"type": "long"}, "d": {"type": "float"}, "b": {"type": "boolean"},
            "w": {"type": "date"}, "o": {"properties": {"p": {"type": "long"}}},
            "t": {"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}}})),
        put("/f/_doc/2", {"l": "12", "d": 3, "b": "true", "t": 5, "w": 7}, "201 created v1 #1 t1"),
        put("/f/_doc/2", {"l": 1.9}, "200 updated v2 #2 t1"),
        put("/f/_doc/2", {"l": None, "o": {"p": []}}, "200 updated v3 #3 t1"),
        put("/f/_doc/3", {"l": "word"}, "400 mapper_parsing_exception"),
        put("/f/_doc/3", {"l": {"x": 1}}, "400 mapper_parsing_exception"),
        put("/f/_doc/3", {"l": True}, "400 mapper_parsing_exception"),
        put("/f/_doc/3", {"b": "yes"}, "400 mapper_parsing_exception"),
        put("/f/_doc/3", {"w": "no date"}, "400 mapper_parsing_exception"),
        put("/f/_doc/3", {"o": 1}, "400 mapper_parsing_exception"),
        put("/f/_doc/3", {"t": {"x": 1}}, "400 mapper_parsing_exception"),
        put("/f/_doc/3", {"mixed": [1, "x"]}, "400 illegal_argument_exception"),
        put("/f/_mapping", {"properties": {"l": {"type": "keyword"}}}, "400 illegal_argument_exception"),
        get("/f/_doc/3", "404 missing")],
    "a guessed field is in the cluster state before the write's answer": [
        put("/f", {}, OK),
        get("/_cluster/state/metadata/f", ANY, **at("metadata/indices/f/mappings", {})),
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        get("/_cluster/state/metadata/f", ANY,
            **at("metadata/indices/f/mappings", {"_doc": {"properties": {"n": {"type": "long"}}}})),
        get("/_cluster/state/metadata/f", ANY, **at("metadata/indices/f/mapping_version", 2)),
        put("/f/_doc/2", {"n": 1}, "201 created v1 #1 t1"),
        get("/_cluster/state/metadata/f", ANY, **at("metadata/indices/f/mapping_version", 2))],
    "a deleted index stands in the graveyard": [
        put("/f", {}, OK),
        ("UUID", "f", None, None, {}),
        delete("/f", OK),
        ("GRAVEYARD", "f", None, None, {}),
        put("/f/_doc/1", {}, "201 created v1 #0 t1"),
        ("NEW UUID", "f", None, None, {}),
        delete("/none", "404 index_not_found_exception"),
        delete("/none*", OK)],
    "the template of the highest priority shadows all others": [
        put("/_template/f-old", {"index_patterns": ["f*"], "settings": {"number_of_shards": 3},
                                 "aliases": {"of-old": {}}}, OK),
        put("/f1/_doc/1", {}, ANY),
        get("/f1/_settings", ANY, **at("f1/settings/index/number_of_shards", "3")),
        put("/_component_template/f-part", {"template": {"mappings": {"properties": {
            "k": {"type": "keyword"}}}}}, OK),
        put("/_index_template/f-new", {"index_patterns": ["f*"], "priority": 10, "composed_of": ["f-part"],
                                       "template": {"settings": {"number_of_shards": 2}}}, OK),
        put("/f2/_doc/1", {}, ANY),
        get("/f2", ANY, **at("f2/settings/index/number_of_shards", "2")),
        get("/f2", ANY, **at("f2/mappings/properties/k/type", "keyword")),
        get("/f2", ANY, **at("f2/aliases", {})),
        put("/_index_template/tandem-shadow", {"index_patterns": ["**"], "priority": 2000000000,
                                               "template": {"settings": {}}}, OK),
        put("/f3/_doc/1", {"k": "x"}, "201 created v1 #0 t1"),
        get("/f3", ANY, **at("f3/settings/index/number_of_shards", "1")),
        get("/f3", ANY, **at("f3/mappings/properties/k/type", "text")),
        put("/.f4", {"settings": {"index.hidden": True}}, OK),
        get("/.f4", ANY, **at(".f4/settings/index/number_of_shards", "1")),
        delete("/_component_template/f-part", "400 illegal_argument_exception"),
        delete("/_index_template/none", "404 index_template_missing_exception"),
        get("/_cluster/state/metadata", ANY, **at("metadata/index_template/index_template/tandem-shadow", {
            "index_patterns": ["**"], "template": {"settings": {}}, "composed_of": [],
            "priority": 2000000000}))],
    "a final pipeline always runs, others not with _none": [
        put("/_ingest/pipeline/f-d", {"processors": [{"set": {"field": "d", "value": 1}}]}, OK),
        put("/_ingest/pipeline/f-f", {"processors": [{"set": {"field": "f", "value": 2}}]}, OK),
        put("/_ingest/pipeline/f-r", {"processors": [{"set": {"field": "r", "value": 3}}]}, OK),
        put("/f", {"settings": {"default_pipeline": "f-d", "final_pipeline": "f-f"}}, OK),
        put("/f/_doc/1", '{"n": 1.0}', "201 created v1 #0 t1"),
        get("/f/_doc/1", '200 found v1 #0 t1 {"d":1,"f":2,"n":1.0}'),
        put("/f/_doc/1?pipeline=f-r", {"n": 1}, "200 updated v2 #1 t1"),
        get("/f/_doc/1", '200 found v2 #1 t1 {"f":2,"n":1,"r":3}'),
        put("/f/_doc/1?pipeline=_none", {"n": 1}, "200 updated v3 #2 t1"),
        get("/f/_doc/1", '200 found v3 #2 t1 {"f":2,"n":1}'),
        put("/f/_settings", {"index.final_pipeline": None}, OK),
        bulk([{"index": {"_index": "f", "_id": "1"}}, {"n": 2}], "200 [200 updated v4 #3 t1]",
             "/_bulk?pipeline=_none"),
        get("/f/_doc/1", '200 found v4 #3 t1 {"n":2}'),
        bulk([{"index": {"_index": "f", "_id": "1", "pipeline": "f-r"}}, {"n": 2}],
             "200 [200 updated v5 #4 t1]", "/_bulk?pipeline=_none"),
        get("/f/_doc/1", '200 found v5 #4 t1 {"n":2,"r":3}'),
        put("/f/_doc/1?pipeline=none", {"n": 1}, "400 illegal_argument_exception"),
        put("/_ingest/pipeline/f-x", {"processors": [{"nosuch": {}}]}, "400 parse_exception")],
    "without a pipeline the source stays byte for byte": [
        put("/f/_doc/1", '{"a": 1.0,\n "b" : 1e3 , "c":"\\u00e9"}', "201 created v1 #0 t1"),
        ("RAW", "/f/_doc/1", b'{"a": 1.0,\n "b" : 1e3 , "c":"\\u00e9"}', None, {}),
        post("/f/_update/1?_source=true", {"doc": {"d": 1}},
             '200 updated v2 #1 t1 get found {"a":1.0,"b":1000.0,"c":"\\u00e9","d":1}')],
    "documents dropped by a pipeline take no number": [
        put("/_ingest/pipeline/f-drop", {"processors": [{"drop": {}}]}, OK),
        put("/_ingest/pipeline/f-fail", {"processors": [{"fail": {"message": "no"}}]}, OK),
        put("/_ingest/pipeline/f-move", {"processors": [
            {"set": {"field": "_index", "value": "f2"}}, {"set": {"field": "_id", "value": "new"}},
            {"remove": {"field": "x"}}]}, OK),
        put("/f/_doc/1?pipeline=f-drop", {"n": 1}, "200 noop v-3"),
        get("/f", "404 index_not_found_exception"),
        bulk([{"index": {"_index": "f", "_id": "1", "pipeline": "f-drop"}}, {"n": 1},
              {"index": {"_index": "f", "_id": "2"}}, {"n": 1}], ANY),
        put("/f/_doc/1?pipeline=f-fail", {"n": 1}, "500 fail_processor_exception"),
        put("/f/_doc/1?pipeline=f-move", {"x": 1, "y": 2}, "201 created v1 #0 t1"),
        get("/f2/_doc/new", '200 found v1 #0 t1 {"y":2}'),
        put("/f/_doc/1?pipeline=f-move", {"y": 2}, "400 illegal_argument_exception"),
        post("/f/_doc?pipeline=f-drop", {"n": 1}, ANY, **at("_id", "auto-generated"))],
    "get._source is what was there before a single update's pipeline": [
        put("/_ingest/pipeline/f-d", {"processors": [{"set": {"field": "d", "value": 1}}]}, OK),
        put("/f", {"settings": {"default_pipeline": "f-d"}}, OK),
        put("/f/_doc/1?pipeline=_none", {"n": 1}, "201 created v1 #0 t1"),
        post("/f/_update/1?_source=true", {"doc": {"n": 2}}, '200 updated v2 #1 t1 get found {"n":2}'),
        get("/f/_doc/1", '200 found v2 #1 t1 {"d":1,"n":2}'),
        bulk([{"index": {"_index": "f", "_id": "2", "pipeline": "_none"}}, {"n": 1},
              {"update": {"_index": "f", "_id": "2"}}, {"doc": {"n": 2}},
              {"update": {"_index": "f", "_id": "3"}}, {"doc": {"n": 3}, "doc_as_upsert": True}],
             '200 [201 created v1 #2 t1; 200 updated v2 #3 t1 get found {"n":2}; '
             '201 created v1 #4 t1 get found {"d":1,"n":3}]', "/_bulk?_source=true"),
        get("/f/_doc/2", '200 found v2 #3 t1 {"n":2}'),
        post("/f/_update/1?pipeline=_none", {"doc": {"n": 2}}, "400 illegal_argument_exception")],
    "updates merge, and a noop repeats the numbers": [
        put("/f/_doc/1", {"n": 1, "o": {"a": 1, "b": 2}}, "201 created v1 #0 t1"),
        post("/f/_update/1?_source=true", {"doc": {"o": {"b": 3}, "m": None}},
             '200 updated v2 #1 t1 get found {"m":null,"n":1,"o":{"a":1,"b":3}}'),
        post("/f/_update/1?_source=true", {"doc": {"o": {"b": 3}}},
             '200 noop v2 #1 t1 get found {"m":null,"n":1,"o":{"a":1,"b":3}}'),
        post("/f/_update/1", {"doc": {"o": {"b": 3}}, "detect_noop": False}, "200 updated v3 #2 t1"),
        post("/f/_update/1?_source=true", {"doc": {"n": 5}, "_source": False}, "200 updated v4 #3 t1"),
        post("/f/_update/1", {"doc": {"n": 6}, "_source": True},
             '200 updated v5 #4 t1 get found {"m":null,"n":6,"o":{"a":1,"b":3}}'),
        post("/f/_update/1?if_seq_no=1&if_primary_term=1", {"doc": {"n": 7}}, CONFLICT),
        post("/f/_update/2?_source=true", {"doc": {"n": 1}, "upsert": {"u": 1}},
             '201 created v1 #5 t1 get found {"u":1}'),
        post("/f/_update/3?_source=true", {"doc": {"n": 1}, "doc_as_upsert": True},
             '201 created v1 #6 t1 get found {"n":1}'),
        post("/f/_update/9", {"doc": {"n": 1}}, "404 document_missing_exception"),
        post("/none/_update/9", {"doc": {"n": 1}}, "404 document_missing_exception"),
        post("/f/_update/1", {"nosuch": {}}, "400 x_content_parse_exception")],
    "a bulk's URL asks for sources, its action line beats it": [
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        bulk([{"update": {"_index": "f", "_id": "1"}}, {"doc": {"n": 2}},
              {"update": {"_index": "f", "_id": "1"}}, {"doc": {"n": 3}, "_source": False},
              {"update": {"_index": "f", "_id": "1", "_source": False}}, {"doc": {"n": 4}},
              {"update": {"_index": "f", "_id": "1"}}, {"doc": {"n": 4}}],
             '200 [200 updated v2 #1 t1 get found {"n":2}; 200 updated v3 #2 t1 get found {"n":3}; '
             '200 updated v4 #3 t1; 200 noop v4 #3 t1 get found {"n":4}]', "/_bulk?_source=true")],
    "scripts add, delete and do nothing": [
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        post("/f/_update/1?_source=true", {"script": {
            "source": "ctx._source.n += params.n", "params": {"n": 4}}},
            '200 updated v2 #1 t1 get found {"n":5}'),
        put("/_scripts/f-s", {"script": {"lang": "painless", "source": "ctx._source.f = params.f"}}, OK),
        post("/f/_update/1?_source=true", {"script": {"id": "f-s", "params": {"f": "x"}}},
             '200 updated v3 #2 t1 get found {"f":"x","n":5}'),
        post("/f/_update/1?_source=true", {"script": "ctx.op='none'"},
             '200 noop v3 #2 t1 get found {"f":"x","n":5}'),
        post("/f/_update/1?_source=true", {"script": "ctx.op='delete'"}, "200 deleted v4 #3 t1 get found"),
        get("/f/_doc/1", "404 missing"),
        post("/f/_update/1?_source=true", {"script": "ctx.op='none'", "upsert": {"n": 1},
                                           "scripted_upsert": True}, "200 noop v-1 get missing"),
        post("/f/_update/1?_source=true", {"script": "ctx.op='none'", "upsert": {"n": 1}},
             '201 created v5 #4 t1 get found {"n":1}'),
        get("/_scripts/f-s", ANY, **at("script/source", "ctx._source.f = params.f")),
        delete("/_scripts/none", "404 resource_not_found_exception")],
    "items of a bulk run in order, one refused does not stop the others": [
        put("/f", {"mappings": {"properties": {"n": {"type": "long"}}}}, OK),
        bulk([{"index": {"_index": "f", "_id": "1"}}, {"n": 1},
              {"create": {"_index": "f", "_id": "1"}}, {"n": 2},
              {"index": {"_index": "f", "_id": "1"}}, {"n": "word"},
              {"update": {"_index": "f", "_id": "1"}}, {"doc": {"n": 3}},
              {"update": {"_index": "f", "_id": "2"}}, {"doc": {"n": 3}},
              {"delete": {"_index": "f", "_id": "1"}},
              {"delete": {"_index": "f", "_id": "1"}},
              {"index": {"_index": "Bad", "_id": "1"}}, {"n": 1},
              {"index": {"_index": "f", "_id": "1", "if_seq_no": 0, "if_primary_term": 1}}, {"n": 1},
              {"index": {"_index": "f", "_id": "1"}}, {"n": 4}],
             "200 [201 created v1 #0 t1; 409 version_conflict_engine_exception; "
             "400 mapper_parsing_exception; 200 updated v2 #1 t1; 404 document_missing_exception; "
             "200 deleted v3 #2 t1; 404 not_found v4 #3 t1; 400 invalid_index_name_exception; "
             "409 version_conflict_engine_exception; 201 created v5 #4 t1]"),
        post("/_bulk", '{"index":{"_index":"f","_id":"1"}}\n{"n":1}', "400 illegal_argument_exception"),
        post("/f/_bulk", '{"index":{"_id":"7"}}\n{"n":1}\n', "200 [201 created v1 #5 t1]"),
        post("/f/_bulk", '{"index":{"_id":7}}\n{"n":1}\n', "200 [200 updated v2 #6 t1]")],
    "the shard is murmur3 of the routing or the id": [
        put("/f", {"settings": {"number_of_shards": 5, "number_of_replicas": 0}}, OK),
        bulk([line for i in range(40) for line in ({"index": {"_index": "f", "_id": "doc-%d" % i}}, {})],
             ANY),
        put("/f/_doc/1?routing=x", {"n": 1}, ANY),
        put("/f/_doc/1?routing=y", {"n": 2}, ANY),
        put("/f/_doc/%E2%82%AC%F0%9F%98%80", {}, ANY),
        get("/f/_doc/1?routing=x", ANY), get("/f/_doc/1?routing=y", ANY), get("/f/_doc/1", ANY),
        ("SHARDS", "f", None, None, {})],
    "an alias may add a routing, and refuses another": [
        put("/f", {"settings": {"number_of_shards": 5}, "aliases": {"fa": {"index_routing": "q"}}}, OK),
        put("/fa/_doc/1", {}, "201 created v1 #0 t1"),
        get("/f/_doc/1?routing=q", "200 found v1 #0 t1 routing=q {}"),
        get("/fa/_doc/1", "200 found v1 #0 t1 routing=q {}"),
        post("/_mget", {"docs": [{"_index": "fa", "_id": "1"},
                                 {"_index": "fa", "_id": "1", "routing": "z"}]},
             "200 [found v1 #0 t1 routing=q {}; illegal_argument_exception]"),
        put("/fa/_doc/1?routing=z", {}, "400 illegal_argument_exception"),
        get("/_alias/fa", ANY, **at("f/aliases/fa", {"index_routing": "q"}))],
    "an alias of several indices needs a write index": [
        put("/f1", {"aliases": {"fw": {}}}, OK),
        put("/fw/_doc/1", {}, "201 created v1 #0 t1"),
        put("/f2", {"aliases": {"fw": {}}}, OK),
        put("/fw/_doc/1", {}, "400 illegal_argument_exception"),
        post("/_aliases", {"actions": [{"add": {"index": "f2", "alias": "fw", "is_write_index": True}}]},
             OK),
        put("/fw/_doc/1", {}, "201 created v1 #0 t1", **at("_index", "f2")),
        post("/_aliases", {"actions": [{"remove": {"index": "f1", "alias": "fw"}},
                                       {"add": {"index": "none", "alias": "fw"}}]},
             "404 index_not_found_exception"),
        get("/f1/_alias", ANY, **at("f1/aliases", {"fw": {}})),
        post("/_aliases", {"actions": [{"remove_index": {"index": "f1"}},
                                       {"add": {"index": "f2", "alias": "f1"}}]}, ANY),
        delete("/f2/_alias/none", "404 aliases_not_found_exception"),
        delete("/fw", "400 illegal_argument_exception")],
    "an alias has one write index, counted when all is done": [
        put("/f1", {"aliases": {"fw": {"is_write_index": True}}}, OK),
        put("/f2", {"aliases": {"fw": {"is_write_index": True}}}, "500 illegal_state_exception"),
        put("/f2", {"aliases": {"fw": {}}}, OK),
        post("/_aliases", {"actions": [{"add": {"index": "f2", "alias": "fw", "is_write_index": True}}]},
             "500 illegal_state_exception"),
        get("/f2/_alias", ANY, **at("f2/aliases", {"fw": {}})),
        post("/_aliases", {"actions": [
            {"add": {"index": "f2", "alias": "fw", "is_write_index": True}},
            {"add": {"index": "f1", "alias": "fw", "is_write_index": False}}]}, OK),
        put("/fw/_doc/1", {}, "201 created v1 #0 t1", **at("_index", "f2")),
        put("/f1/_alias/fw", {"is_write_index": True}, "500 illegal_state_exception")],
    "an index that wants a routing refuses without one": [
        put("/f", {"mappings": {"_routing": {"required": True}, "dynamic": "strict",
                                "properties": {"a": {"type": "long"}}}}, OK),
        put("/f/_doc/1", {"a": 1}, "400 routing_missing_exception"),
        get("/f/_doc/1", "400 routing_missing_exception"),
        delete("/f/_doc/1", "400 routing_missing_exception"),
        post("/f/_update/1", {"doc": {"a": 1}}, "400 routing_missing_exception"),
        post("/_mget", {"docs": [{"_index": "f", "_id": "1"}]}, "200 [routing_missing_exception]"),
        put("/f/_doc/1?routing=r", {"z": 1}, "400 strict_dynamic_mapping_exception"),
        put("/f/_doc/1?routing=r", {"a": 1}, "201 created v1 #0 t1"),
        bulk([{"delete": {"_index": "f", "_id": "1"}}, {"delete": {"_index": "f", "_id": "1",
                                                                   "routing": "r"}}],
             "200 [400 routing_missing_exception; 200 deleted v2 #1 t1]"),
        bulk([{"index": {"_index": "f", "_id": "", "routing": "r"}}, {"a": 1}],
             "200 [400 illegal_argument_exception]")],
    "mget tells what is missing from what is not known": [
        put("/f", {"aliases": {"fa": {}}}, OK),
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        put("/f/_doc/2?routing=x", {"n": 2}, "201 created v1 #1 t1"),
        post("/_mget", {"docs": [
            {"_index": "f", "_id": "1"}, {"_index": "f", "_id": "1", "_source": False},
            {"_index": "f", "_id": "none"}, {"_index": "none", "_id": "1"},
            {"_index": "f", "_id": "2", "routing": "x"}, {"_index": "fa", "_id": "1"}]},
            '200 [found v1 #0 t1 {"n":1}; found v1 #0 t1; missing; index_not_found_exception; '
            'found v1 #1 t1 routing=x {"n":2}; found v1 #0 t1 {"n":1}]'),
        post("/f/_mget?_source=false", {"ids": ["1", "none"]}, "200 [found v1 #0 t1; missing]"),
        post("/f/_close", None, OK),
        post("/_mget", {"docs": [{"_index": "f", "_id": "1"}]}, "200 [index_closed_exception]")],
    "closing and opening raises the term, not the numbers": [
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        post("/f/_close", None, OK),
        put("/f/_doc/1", {"n": 1}, "400 index_closed_exception"),
        get("/f/_doc/1", "400 index_closed_exception"),
        bulk([{"index": {"_index": "f", "_id": "1"}}, {"n": 1}], "200 [400 index_closed_exception]"),
        get("/_cluster/state/metadata/f", ANY, **at("metadata/indices/f/state", "close")),
        get("/f/_stats?level=shards", "400 index_closed_exception"),
        post("/f/_open", None, OK),
        get("/_cluster/state/metadata/f", ANY, **at("metadata/indices/f/primary_terms", {"0": 3})),
        put("/f/_doc/1", {"n": 2}, "200 updated v2 #1 t3")],
    "a write block refuses with 403, item by item in a bulk": [
        put("/f", {}, OK),
        put("/f/_settings", {"index.blocks.write": True}, OK),
        put("/f/_doc/1", {}, "403 cluster_block_exception"),
        delete("/f/_doc/1", "403 cluster_block_exception"),
        bulk([{"index": {"_index": "f", "_id": "1"}}, {}], "200 [403 cluster_block_exception]"),
        put("/f/_mapping", {"properties": {"n": {"type": "long"}}}, OK),
        put("/f/_settings", {"index.blocks.write": None}, OK),
        put("/f/_doc/1", {}, "201 created v1 #0 t1"),
        put("/f/_block/write", None, OK, **at("indices", [{"name": "f", "blocked": True}])),
        put("/f/_block/write", None, OK, **at("indices", [])),
        put("/f/_doc/1", {}, "403 cluster_block_exception"),
        delete("/f", OK)],
    "a read-only cluster refuses writes and definitions": [
        put("/f", {}, OK),
        put("/_cluster/settings", {"persistent": {"cluster.blocks.read_only": True}}, OK),
        put("/f/_doc/1", {}, "403 cluster_block_exception"),
        put("/f2", {}, "403 cluster_block_exception"),
        delete("/f", "403 cluster_block_exception"),
        put("/f/_alias/fa", {}, "403 cluster_block_exception"),
        put("/_index_template/ft", {"index_patterns": ["f*"], "template": {"settings": {}}},
            "403 cluster_block_exception"),
        put("/_ingest/pipeline/fp", {"processors": []}, "403 cluster_block_exception"),
        put("/_cluster/settings", {"persistent": {"cluster.blocks.read_only": None}}, OK),
        put("/f/_doc/1", {}, "201 created v1 #0 t1")],
    "definitions are refused for the reasons engines have": [
        put("/f", {}, OK),
        put("/f", {}, "400 resource_already_exists_exception"),
        put("/F", {}, "400 invalid_index_name_exception"),
        put("/f2", {"settings": {"index.nosuch": 1}}, "400 illegal_argument_exception"),
        put("/f/_settings", {"index.number_of_shards": 3}, "400 illegal_argument_exception"),
        put("/none/_settings", {"index.number_of_replicas": 0}, "404 index_not_found_exception"),
        put("/f/_alias/f", {}, ANY),
        put("/_cluster/settings", {"persistent": {"nosuch.x": 1}}, "400 illegal_argument_exception"),
        get("/_index_template/none", "404 resource_not_found_exception"),
        put("/f/_doc/1?nosuch=1", {}, "400 illegal_argument_exception"),
        put("/f/_doc/1", None, "400 parse_exception"),
        put("/f/_doc/" + "x" * 513, {}, "400 action_request_validation_exception"),
        put("/f/_doc/" + "x" * 512, {}, "201 created v1 #0 t1")],
    "routing shards are those the engine counts with": [
        put("/f1", {"settings": {"number_of_shards": 1}}, OK),
        put("/f2", {"settings": {"number_of_shards": 2}}, OK),
        put("/f3", {"settings": {"number_of_shards": 3}}, OK),
        put("/f5", {"settings": {"number_of_shards": 5}}, OK),
        put("/f7", {"settings": {"number_of_shards": 7}}, OK),
        put("/f8", {"settings": {"number_of_shards": 3, "number_of_routing_shards": 6}}, OK),
        get("/_cluster/state/metadata", ANY, **at("metadata/indices/f1/routing_num_shards", 1024)),
        get("/_cluster/state/metadata", ANY, **at("metadata/indices/f2/routing_num_shards", 1024)),
        get("/_cluster/state/metadata", ANY, **at("metadata/indices/f3/routing_num_shards", 768)),
        get("/_cluster/state/metadata", ANY, **at("metadata/indices/f5/routing_num_shards", 640)),
        get("/_cluster/state/metadata", ANY, **at("metadata/indices/f7/routing_num_shards", 896)),
        get("/_cluster/state/metadata", ANY, **at("metadata/indices/f8/routing_num_shards", 6)),
        get("/f8/_settings", ANY, **at("f8/settings/index/number_of_shards", "3"))],
    "a clone keeps the numbers of its documents": [
        put("/f", {"settings": {"number_of_replicas": 0}}, OK),
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        put("/f/_doc/2", {"n": 2}, "201 created v1 #1 t1"),
        put("/f/_doc/1", {"n": 3}, "200 updated v2 #2 t1"),
        put("/f/_clone/f2", {}, ANY),
        put("/f/_settings", {"index.blocks.write": True}, OK),
        put("/f/_clone/f2", {"settings": {"index.blocks.write": None}}, OK),
        get("/f2/_doc/1", '200 found v2 #2 t1 {"n":3}'),
        get("/f2/_recovery", ANY, **at("f2/shards", "LOCAL_SHARDS")),
        get("/f/_recovery", ANY, **at("f/shards", "EMPTY_STORE")),
        put("/f2/_doc/3", {"n": 1}, "201 created v1 #3 t2")],
    "numbers of a shard are those of its last answer": [
        put("/f", {"settings": {"number_of_replicas": 0}}, OK),
        ("SEQ NO", "f", [-1], None, {}),
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        put("/f/_doc/1", {"n": 2}, "200 updated v2 #1 t1"),
        delete("/f/_doc/9", "404 not_found v1 #2 t1"),
        ("SEQ NO", "f", [2], None, {})],
    "conditions need the very document": [
        put("/f/_doc/1", {"n": 1}, "201 created v1 #0 t1"),
        put("/f/_doc/1?if_seq_no=0&if_primary_term=1", {"n": 2}, "200 updated v2 #1 t1"),
        put("/f/_doc/1?if_seq_no=0&if_primary_term=1", {"n": 3}, CONFLICT),
        put("/f/_doc/1?if_seq_no=1&if_primary_term=2", {"n": 3}, CONFLICT),
        put("/f/_doc/2?if_seq_no=0&if_primary_term=1", {"n": 3}, CONFLICT),
        put("/f/_doc/1?if_seq_no=1", {"n": 3}, "400 action_request_validation_exception"),
        delete("/f/_doc/1?if_seq_no=0&if_primary_term=1", CONFLICT),
        delete("/f/_doc/1?if_seq_no=1&if_primary_term=1", "200 deleted v3 #2 t1")],
    "what follows the cluster state sees each change": [
        ("MOVES", "PUT", "/f", {}, True),
        ("MOVES", "PUT", "/f/_mapping", {"properties": {"n": {"type": "long"}}}, True),
        ("MOVES", "PUT", "/f/_doc/1", {"n": 1}, False),
        ("MOVES", "PUT", "/f/_doc/1", {"m": 1}, True),
        ("MOVES", "PUT", "/f/_settings", {"index.gc_deletes": "3h"}, True),
        ("MOVES", "PUT", "/f/_alias/fa", {}, True),
        ("MOVES", "PUT", "/_index_template/ft", {"index_patterns": ["g*"], "template": {}}, True),
        ("MOVES", "PUT", "/_template/ft", {"index_patterns": ["h*"]}, True),
        ("MOVES", "PUT", "/_component_template/ft", {"template": {}}, True),
        ("MOVES", "PUT", "/_ingest/pipeline/fp", {"processors": []}, True),
        ("MOVES", "PUT", "/_scripts/fs", {"script": {"lang": "painless", "source": "ctx.op='none'"}}, True),
        ("MOVES", "POST", "/f/_refresh", None, False),
        ("MOVES", "DELETE", "/f", None, True)],
}


# --- running ---

def _index_uuid(url, index):
    state = request(url, "GET", "/_cluster/state/metadata/" + index).json()
    return state["metadata"]["indices"][index]["settings"]["index"]["uuid"]


def _recovery_type(value):
    """All primaries' kind of recovery, where one path stands for a list of shards."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "primary" in value[0]:
        (kind,) = {shard["type"] for shard in value if shard["primary"]}
        return kind
    return value


def _primaries(url, index):
    """Of each shard: max_seq_no, and how many documents it has."""
    request(url, "POST", "/%s/_refresh" % index)
    stats = request(url, "GET", "/%s/_stats/docs?level=shards" % index).json()["indices"][index]
    shards = sorted((int(number), copies) for number, copies in stats["shards"].items())
    found = []
    for _, copies in shards:
        (primary,) = [copy for copy in copies if copy["routing"]["primary"]]
        assert primary["seq_no"]["local_checkpoint"] == primary["seq_no"]["max_seq_no"]
        assert primary["commit"]["user_data"]["history_uuid"]
        found.append((primary["seq_no"]["max_seq_no"], primary["docs"]["count"]))
    return found


def _version(url):
    return request(url, "GET", "/_cluster/state/version").json()["version"]


def _special(url, step, memory):
    """Steps that are no single request; what they found, or None."""
    kind, argument = step[0], step[1]
    if kind == "WAIT":
        time.sleep(argument)  # for the engine's own clock to go on
    elif kind == "UUID":
        memory["uuid"] = _index_uuid(url, argument)
    elif kind == "NEW UUID":
        assert _index_uuid(url, argument) != memory["uuid"]
    elif kind == "GRAVEYARD":
        state = request(url, "GET", "/_cluster/state/metadata?filter_path=metadata.index-graveyard").json()
        last = state["metadata"]["index-graveyard"]["tombstones"][-1]
        assert last["index"] == {"index_name": argument, "index_uuid": memory["uuid"]}
        assert last["delete_date_in_millis"] > 0
    elif kind == "RAW":
        body = request(url, "GET", argument).body
        assert step[2] in body, body
    elif kind == "SEQ NO":
        assert [number for number, _ in _primaries(url, argument)] == step[2]
    elif kind == "SHARDS":
        return _primaries(url, argument)
    elif kind == "MOVES":
        _, method, path, body, moves = step
        before = _version(url)
        answer = request(url, method, path, body)
        assert answer.status in (200, 201), answer
        assert (_version(url) > before) == moves, "%s %s" % (method, path)
    else:
        return False
    return None


def run(url, steps):
    """Runs the steps; what was answered where the fact says ANY."""
    found, memory = [], {}
    for step in steps:
        special = _special(url, step, memory)
        if special is not False:
            found.append(special)
            continue
        method, path, body, expected, paths = step
        answer = request(url, method, path, body)
        said = words(answer)
        where = "%s %s %s\nanswered %r" % (method, path, "" if body is None else body, answer)
        if expected is ANY:
            found.append(said)
        else:
            assert said == expected, where
        for place, value in paths.values():
            assert _recovery_type(look(answer.json(), place)) == value, "%s of %s" % (place, where)
    return found


@pytest.mark.parametrize("fact", FACTS)
def test_engine_and_model_agree(fact, opensearch, fake_es):
    of_model = run(fake_es.url, FACTS[fact])
    of_engine = run(opensearch.url, FACTS[fact])
    assert of_model == of_engine


# --- what only a real engine can show -------------------------------------------------------------

def test_a_restart_forgets_flushed_tombstones_and_raises_the_term(opensearch):
    external = "/books/_doc/1?version_type=external&version=%d"
    request(opensearch.url, "PUT", "/books", {"settings": {
        "number_of_shards": 1, "number_of_replicas": 0, "index.gc_deletes": "1h"}})
    first = request(opensearch.url, "PUT", external % 10, {"n": 1}).json()
    assert request(opensearch.url, "DELETE", external % 20).status == 200
    assert request(opensearch.url, "PUT", external % 15, {"n": 2}).status == 409
    assert request(opensearch.url, "POST", "/books/_flush?force=true&wait_if_ongoing=true").status == 200
    opensearch.restart()
    answer = request(opensearch.url, "PUT", external % 15, {"n": 2})
    assert answer.status == 201 and answer.json()["_version"] == 15, answer
    assert answer.json()["_primary_term"] > first["_primary_term"], answer
    assert answer.json()["_seq_no"] > first["_seq_no"], answer


def test_a_restore_over_a_closed_index_keeps_the_uuid_and_names_a_history(opensearch):
    def must(*args):
        answer = request(opensearch.url, *args)
        assert answer.status in (200, 201), answer
        return answer.json()
    must("PUT", "/_snapshot/facts", {"type": "fs", "settings": {"location": "facts"}})
    try:
        must("PUT", "/books/_doc/1", {"n": 1})
        must("PUT", "/_snapshot/facts/one?wait_for_completion=true", {"indices": "books"})
        uuid = _index_uuid(opensearch.url, "books")
        must("POST", "/books/_close")
        must("POST", "/_snapshot/facts/one/_restore?wait_for_completion=true", {"indices": "books"})
        settings = must("GET", "/books/_settings")["books"]["settings"]["index"]
        assert settings["uuid"] == uuid and settings["history"]["uuid"] not in ("", uuid), settings
    finally:
        request(opensearch.url, "DELETE", "/_snapshot/facts/one")
        request(opensearch.url, "DELETE", "/_snapshot/facts")

