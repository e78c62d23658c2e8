"""test_by_query_elasticsearch.py - writes by query on Elasticsearch 6.8 and 7.10: the tests of test_by_query.py, and typed paths.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

import test_by_query
from shared import equal_indices, must, shared_tandem
from test_by_query import by_query, counts, explained, refresh
from verifying import fill

pytestmark = [pytest.mark.long, pytest.mark.limit(400)]

# One of them speaks words that came with 7.3; here it is said in those of both.
globals().update({name: test for name, test in vars(test_by_query).items() if name.startswith("test_")
                  and callable(test) and name != "test_several_indices_slices_routing_and_parameters"})


@pytest.fixture(scope="module", params=["elasticsearch-6.8", "elasticsearch-7.10"])
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, test_by_query.SETTINGS, kind=request.param)


def test_several_indices_slices_and_routing(tandem):
    for name in ("many-1", "many-2", "many-3"):
        fill(tandem, name, 200)
    refresh(tandem, "many-*")
    answer = by_query(tandem, "/many-*,-many-3/_update_by_query?slices=2&refresh=true&q=n:%5B0%20TO%2099%5D", None)
    assert counts(answer) == {"updated": 200}, answer
    answer = by_query(tandem, "/many-1,none/_delete_by_query?ignore_unavailable=true&routing=r0&refresh=true&size=7",
                      {"query": {"match_all": {}}})
    assert counts(answer) == {"deleted": 7}, answer
    equal_indices(tandem, "many-1", "many-2", "many-3")
    for name in ("many-1", "many-2", "many-3"):
        explained(tandem, name)


def test_typed_paths_and_a_type_of_its_own(tandem):
    naming = "" if tandem.primary.kind == "elasticsearch-6.8" else "?include_type_name=true"
    must(tandem.url, "PUT", "/books" + naming, {"mappings": {"book": {"properties": {"n": {"type": "long"}}}}})
    for n in range(60):
        must(tandem.url, "PUT", "/books/book/%d" % n, {"n": n})
    refresh(tandem, "books")
    answer = by_query(tandem, "/books/book/_update_by_query?refresh=true", {
        "query": {"range": {"n": {"lt": 20}}}, "script": {"source": "ctx._source.more = 1"}})
    assert counts(answer) == {"updated": 20}, answer
    answer = by_query(tandem, "/books/book/_delete_by_query?refresh=true", {"query": {"range": {"n": {"gte": 50}}}})
    assert counts(answer) == {"deleted": 10}, answer
    answer = by_query(tandem, "/_reindex?refresh=true", {"source": {"index": "books"}, "dest": {"index": "copied-books"}})
    assert counts(answer) == {"created": 50}, answer
    answer = by_query(tandem, "/_reindex?refresh=true", {
        "source": {"index": "books", "type": "book"}, "dest": {"index": "retyped", "type": "_doc"}})
    assert counts(answer) == {"created": 50}, answer
    equal_indices(tandem, "books", "copied-books", "retyped")
    explained(tandem, "books")
