"""test_verify_engines.py - definitions are compared as each engine shows them.

SPDX-License-Identifier: Apache-2.0
"""

import json

import pytest

from shared import must
from verifying import ctl

pytestmark = pytest.mark.limit(400)


def verified(tandem, exit_code):
    code, said = ctl(tandem, "verify", "--json")
    assert code == exit_code, said
    report = json.loads(said)
    by_name = {each["index"]: each["definitions"] for each in report["indices"]}
    return by_name, report["objects"]


def defined(tandem, naming, typed, composable, waiting):
    """A bit of everything is equal; what is planted in it is found."""
    mapping = {"properties": {"n": {"type": "long"}, "o": {"properties": {"k": {"type": "keyword", "ignore_above": 9}}}}}
    must(tandem.url, "PUT", "/defined" + naming, {
        "settings": {"number_of_shards": 3, "number_of_replicas": 0, "max_result_window": 20000},
        "mappings": {"book": mapping} if typed else mapping,
        "aliases": {"def-1": {}, "def-2": {"filter": {"term": {"n": 1}}, "routing": "r"}}})
    must(tandem.url, "PUT", "/guessed/_doc/1", {"n": 1, "text": "x", "when": "2024-02-29"})
    must(tandem.url, "PUT", "/_template/old", {"index_patterns": ["old-*"], "settings": {"number_of_shards": 2}})
    if composable:
        must(tandem.url, "PUT", "/_component_template/part", {"template": {"settings": {"number_of_shards": 4}}})
        must(tandem.url, "PUT", "/_index_template/new", {"index_patterns": ["new-*"], "composed_of": ["part"],
                                                        "template": {"aliases": {"news": {}}}})
    must(tandem.url, "PUT", "/_ingest/pipeline/p", {"processors": []})
    tandem.wait_caught_up()
    indices, objects = verified(tandem, 0)
    assert {name: each["differences"] for name, each in indices.items()} == {"defined": [], "guessed": []}
    # 6.8 brings templates of its own, which wait as well.
    assert objects["differences"] == [], objects
    assert [each["name"] for each in objects["waiting"] if each["name"] == "old"] == waiting, objects
    url = tandem.standby.url
    must(url, "PUT", "/defined/_settings", {"index.max_result_window": 30000})
    must(url, "POST", "/_aliases", {"actions": [{"remove": {"index": "defined", "alias": "def-1"}}]})
    must(url, "PUT", "/_ingest/pipeline/p", {"processors": [], "description": "other"})
    indices, objects = verified(tandem, 4)
    assert sorted((each["what"], each["kind"]) for each in indices["defined"]["differences"]) == [
        ("different", "setting"), ("missing", "alias")], indices
    assert [(each["what"], each["kind"], each["name"]) for each in objects["differences"]] == [
        ("extra", "pipeline", "p")], objects
    code, said = ctl(tandem, "repair", "--apply")
    assert code == 0, said
    # The comparer of the tests has the last word, when the fixture ends.


@pytest.mark.engines("opensearch-1.3")
def test_definitions_on_opensearch_1(tandem):
    defined(tandem, "?include_type_name=true", True, True, [])


@pytest.mark.long
@pytest.mark.engines("elasticsearch-7.10")
def test_definitions_on_elasticsearch_7(tandem):
    defined(tandem, "?include_type_name=true", True, True, [])


@pytest.mark.long
@pytest.mark.engines("elasticsearch-6.8")
def test_definitions_on_elasticsearch_6(tandem):
    defined(tandem, "", True, False, ["old"])


@pytest.mark.long
@pytest.mark.engines("elasticsearch-8.8")
def test_definitions_on_elasticsearch_8(tandem):
    defined(tandem, "", False, True, ["old"])
