"""test_migrate_check.py - tandemctl migrate-check and wait between clusters of one line; test_migration.py has others.

SPDX-License-Identifier: Apache-2.0
"""

import json

from shared import must
from standbys import ONE_SHARD, on_standby, write
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
