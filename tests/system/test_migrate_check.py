"""test_migrate_check.py - tandemctl migrate-check and wait between clusters of one line; test_migration.py has others.

SPDX-License-Identifier: Apache-2.0
"""

import json
import urllib.parse

import pytest

from old_cluster import NDJSON, OldCluster
from shared import EXCLUDE, lines, must
from standbys import ONE_SHARD, on_standby, write
from tandem import Tandem
from verifying import ctl


def test_the_same_line_takes_everything_as_it_is(tandem):
    must(tandem.url, "PUT", "/books", {**ONE_SHARD, "mappings": {"properties": {"title": {"type": "text"}}},
                                       "aliases": {"shelf": {"filter": {"term": {"title": "x"}}}}})
    must(tandem.url, "PUT", "/_template/old", {"index_patterns": ["old-*"], "mappings": {"dynamic": "strict"}})
    must(tandem.url, "PUT", "/_index_template/new", {"index_patterns": ["new-*"], "composed_of": [], "template": {
        "settings": {"number_of_shards": 2}}})
    must(tandem.url, "PUT", "/_ingest/pipeline/stamp", {"processors": [{"set": {"field": "a", "value": 1}}]})
    must(tandem.url, "PUT", "/_scripts/add", {"script": {"lang": "painless", "source": "ctx._source.n++"}})
    code, said = ctl(tandem, "migrate-check", "--json")
    found = json.loads(said)
    assert code == 0, said
    assert found["from"] == found["to"] == {"product": "OpenSearch", "version": "2.19.1"}
    assert {(each["kind"], each["name"]) for each in found["objects"]} >= {
        ("index", "books"), ("template", "old"), ("index template", "new"), ("pipeline", "stamp"),
        ("stored script", "add")}
    assert all(each["result"] == "as it is" for each in found["objects"]), said
    assert not [each for each in found["objects"] if "tandem" in each["name"]], "Tandem's own are not moved"
    code, said = ctl(tandem, "migrate-check")
    assert code == 0 and "index books: as it is" in said and " 0 translated, 0 not possible" in said, said


def test_a_cluster_that_is_not_there_is_said(tandem):
    tandem.settings["standbys"][0]["urls"] = ["http://127.0.0.1:1"]
    tandem.write_config()
    code, said = ctl(tandem, "migrate-check")
    assert code == 1 and "nobody answers at http://127.0.0.1:1" in said, said
    tandem.settings["standbys"][0]["urls"] = [tandem.standby.url]
    tandem.write_config()


def test_waiting_ends_when_the_standby_has_everything(tandem):
    write(tandem, "books", 1)
    code, said = ctl(tandem, "wait", "b", "--timeout", "60")
    assert code == 0 and "it has everything" in said, said
    assert on_standby(tandem, "books", 1)
    tandem.ctl("pause", "b")
    write(tandem, "books", 2)
    code, said = ctl(tandem, "wait", "b", "--timeout", "1")
    assert code == 3 and "does not have everything" in said, said
    tandem.ctl("resume", "b")
    code, said = ctl(tandem, "wait")
    assert code == 0 and on_standby(tandem, "books", 2), said
    assert ctl(tandem, "wait", "nobody")[0] == 2


# --- engines before 6.0 ----------------------------------------------------------------------------

OF_BOTH = {"books-v3", "events", "logs-2020.01", "logs-2020.02", "things", "notes-1"}


def total(url, path, query):
    found = must(url, "POST", path + "/_search?size=0", {"query": query})["hits"]["total"]
    return found["value"] if isinstance(found, dict) else found


def copy(old, new, index):
    """All documents of INDEX, which the new cluster has to take."""
    hits = must(old, "POST", "/%s/_search?size=10000" % index, {"query": {"match_all": {}}})["hits"]["hits"]
    body = []
    for hit in hits:
        routing = {"routing": hit["_routing"]} if "_routing" in hit else {}
        body += [{"index": dict({"_index": index, "_id": hit["_id"]}, **routing)}, hit["_source"]]
    answer = must(new, "POST", "/_bulk?refresh=true", lines(*body), NDJSON)
    refused = [item["index"] for item in answer["items"] if item["index"]["status"] >= 300]
    assert hits and not refused, refused[:3]


@pytest.mark.long
@pytest.mark.limit(600)
@pytest.mark.parametrize("kind, major", [("elasticsearch-2.4", 2), ("elasticsearch-5.6", 5)])
def test_what_is_translated_of_an_old_engine_takes_its_documents(clusters, tmp_path, kind, major):
    (old,) = clusters.get(kind, ("a",))
    (new,) = clusters.get("opensearch-2.19", ("b",))
    cluster = OldCluster(old.url, major=major)
    cluster.definitions()
    cluster.fill_all(400)
    cluster.untranslatable()
    must(old.url, "POST", "/_refresh")
    code, said = ctl(Tandem(str(tmp_path), old, {"b": new}, {"replicate.exclude": EXCLUDE}), "migrate-check", "--json")
    assert code == 4, said
    found = {(each["kind"], each["name"]): each for each in json.loads(said)["objects"]}
    refused = {name: each["why"] for (_, name), each in found.items() if each["result"] == "not possible"}
    assert set(refused) == {"mixed", "family"} | ({"find"} if major == 2 else set()), refused
    assert "(cat, dog)" in refused["mixed"] and "replicate.exclude" in refused["mixed"]
    assert "_parent" in refused["family"] and "replicate.exclude" in refused["family"]
    assert {name for what, name in found if what == "index"} == OF_BOTH | {"mixed", "family"}, "what is there, and no more"
    for name in sorted(OF_BOTH):
        assert found["index", name]["result"] == "translated", found["index", name]
        must(new.url, "PUT", "/" + name, found["index", name]["definition"])
        copy(old.url, new.url, name)
    same_answers(old.url, new.url)
    for name in ("logs", "notes"):
        must(new.url, "PUT", "/_template/" + name, found["template", name]["definition"])
    must(new.url, "PUT", "/notes-2/_doc/1?refresh=true", {"by": "you", "other": "Two Words"})
    assert must(new.url, "GET", "/notes-2")["notes-2"]["mappings"]["properties"]["other"] == {"type": "keyword"}, \
        "the template's _default_ was lost"
    if major == 5:
        assert {name for what, name in found if what in ("pipeline", "stored script")} == {"stamp", "add", "find"}


def same_answers(old, new):
    """What the two find is the same."""
    for path, query in (
            ("/things", {"match": {"name": "fast"}}), ("/things", {"match": {"name": "amb"}}),
            ("/things", {"term": {"code": "C5"}}), ("/things", {"term": {"code": "none"}}),
            ("/things", {"range": {"on": {"gte": "2015-06-15 00:00:00", "lt": "2015-09-01 00:00:00"}}}),
            ("/things", {"range": {"with_zone": {"lt": "2015-01-01T10:00:00Z"}}}),
            ("/things", {"term": {"is": True}}), ("/things", {"term": {"from": "10.0.0.7"}}),
            ("/things", {"nested": {"path": "parts", "query": {"term": {"parts.n": 9}}}}),
            ("/things", {"range": {"parts.n": {"lt": 9}}}), ("/things", {"term": {"shop_raw": "S 9"}}),
            ("/things", {"geo_bounding_box": {"at": {"top_left": [0, 40], "bottom_right": [40, 0]}}}),
            ("/big", {"match_all": {}}), ("/books", {"match": {"title": "fast"}}), ("/books", {"term": {"pages": 7}}),
            ("/books", {"term": {"shop_code": "S7"}}), ("/room-a", {"match_all": {}}),
            ("/web-1", {"match_all": {}}), ("/notes-1", {"term": {"by": "reader 3"}})):
        there, here = total(old, path, query), total(new, path, query)
        assert there == here, "%s %s finds %d there, %d here" % (path, query, there, here)
        assert there > 0, "%s %s finds nothing" % (path, query)
    sort = urllib.parse.quote("name:asc")
    first = [must(url, "GET", "/things/_search?size=1&sort=" + sort)["hits"]["hits"][0]["sort"] for url in (old, new)]
    assert first[0] == first[1]
