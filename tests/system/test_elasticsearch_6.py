"""test_elasticsearch_6.py - typed paths on Elasticsearch 6.8: no require_alias, no composable templates, types in bulks.

And on 7.10, which still takes them.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

from processes import wait_until
from tandem import request

pytestmark = [pytest.mark.long, pytest.mark.limit(400)]


def ok(tandem, method, path, body=None, expected=(200, 201)):
    answer = tandem.request(method, path, body)
    assert answer.status in expected, answer
    return answer


@pytest.mark.engines("elasticsearch-6.8")
def test_typed_paths_travel(tandem):
    typed_paths(tandem, "")


@pytest.mark.engines("elasticsearch-7.10")
def test_typed_paths_travel_on_7_too(tandem):
    typed_paths(tandem, "?include_type_name=true")


def typed_paths(tandem, naming):
    ok(tandem, "PUT", "/typed" + naming, {"settings": {"number_of_shards": 2}, "mappings": {"book": {"properties": {
        "title": {"type": "keyword"}}}}})
    ok(tandem, "PUT", "/typed/book/1", {"title": "Solaris"})
    ok(tandem, "POST", "/typed/book", {"title": "Fiasco"})
    ok(tandem, "POST", "/typed/book/1/_update", {"doc": {"pages": 204}})
    ok(tandem, "PUT", "/typed/book/2/_create", {"title": "Eden"})
    ok(tandem, "DELETE", "/typed/book/2")
    ok(tandem, "PUT", "/plain/_doc/1?routing=x", {"new": "field"})
    lines = ('{"index":{"_index":"typed","_type":"book","_id":"3"}}\n{"title":"His Master"}\n'
             '{"index":{"_index":"typed","_type":"book"}}\n{"title":"auto"}\n'
             '{"update":{"_index":"typed","_type":"book","_id":"1"}}\n{"doc":{"read":true}}\n'
             '{"delete":{"_index":"plain","_type":"_doc","_id":"none"}}\n')
    answer = request(tandem.url, "POST", "/_bulk", lines, {"Content-Type": "application/x-ndjson"})
    assert answer.status == 200 and not answer.json()["errors"], answer
    ok(tandem, "PUT", "/_template/t", {"index_patterns": ["templated-*"], "settings": {"number_of_shards": 3}})
    ok(tandem, "PUT", "/templated-1/_doc/1", {"a": 1})
    tandem.wait_caught_up()
    found = request(tandem.standby.url, "GET", "/typed/book/1").json()
    assert found["_source"] == {"title": "Solaris", "pages": 204, "read": True}, found


@pytest.mark.engines("elasticsearch-7.10")
def test_a_watch_of_a_former_life_gives_an_index_no_type(tandem):
    """Its delete would make a mapping, and one of the primary's type would be refused behind it."""
    ok(tandem, "PUT", "/books/_create/1", {"title": "Fiasco"})
    ok(tandem, "PUT", "/books/_create/1", {"title": "Eden"}, expected=(409,))
    ok(tandem, "DELETE", "/books")
    ok(tandem, "PUT", "/books")
    wait_until(lambda: "negative" in tandem.ctl("journal", "dump", "--index", "books"), 30, "the watch looked")
    ok(tandem, "PUT", "/books/book/1", {"title": "Solaris"})
