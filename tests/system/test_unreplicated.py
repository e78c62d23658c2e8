"""test_unreplicated.py - what unreplicated.allow lets pass is done, and is shown as diverged.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

from shared import equal_indices, must, shared_tandem
from tandem import request

WORDS = ["by_query", "reindex", "data_stream", "unknown", "opaque"]


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"unreplicated.allow": WORDS},
                             equal=False)


def diverged(tandem):
    return {index["name"]: index["why"] for index in tandem.proxy.status()["indices"]
            if index["state"] == "diverged"}


def test_what_is_allowed_passes_and_marks_its_indices(tandem):
    for n in range(3):
        must(tandem.url, "PUT", "/books/_doc/%d?refresh=true" % n, {"n": n})
        must(tandem.url, "PUT", "/clean/_doc/%d" % n, {"n": n})
    assert diverged(tandem) == {}
    answer = tandem.request("POST", "/books/_delete_by_query?refresh=true",
                            {"query": {"term": {"n": 1}}})
    assert answer.status == 200 and answer.json()["deleted"] == 1, answer
    assert answer.headers["x-tandem-replicated"] == "no", answer
    assert list(diverged(tandem)) == ["books"] and "by_query" in diverged(tandem)["books"]
    status = tandem.ctl("status", check=False)
    assert "books" in status and "diverged" in status, status
    # What follows is replicated still.
    must(tandem.url, "PUT", "/books/_doc/9", {"n": 9})
    tandem.wait_caught_up()
    assert must(tandem.standby.url, "GET", "/books/_doc/9")["_source"] == {"n": 9}
    equal_indices(tandem, "clean")


def test_unknown_and_global_calls_are_noted_too(tandem):
    must(tandem.url, "PUT", "/books/_doc/1?refresh=true", {"n": 1})
    answer = tandem.request("POST", "/_reindex", {"source": {"index": "books"},
                                                  "dest": {"index": "copies"}})
    assert answer.status == 200 and answer.headers["x-tandem-replicated"] == "no", answer
    assert any("reindex" in why for why in diverged(tandem).values()), diverged(tandem)
    answer = tandem.request("POST", "/books/_no_such_call", {})
    assert answer.status in (400, 405) and answer.headers["x-tandem-replicated"] == "no", answer


def test_the_mark_survives_a_restart(tandem):
    must(tandem.url, "POST", "/books/_update_by_query?refresh=true", {})
    before = diverged(tandem)
    assert "books" in before
    tandem.proxy.restart()
    assert diverged(tandem) == before


def test_data_streams_pass_and_are_marked(tandem):
    must(tandem.url, "PUT", "/_index_template/streams", {
        "index_patterns": ["stream-*"], "data_stream": {}, "priority": 10,
        "template": {"settings": {"number_of_shards": 1}}})
    answer = tandem.request("POST", "/stream-a/_doc", {"@timestamp": "2024-01-01"})
    assert answer.status == 201, answer
    assert any(name.startswith("stream-a") or name == "*" for name in diverged(tandem)), diverged(tandem)
    must(tandem.url, "DELETE", "/_data_stream/stream-a")
    must(tandem.url, "DELETE", "/_index_template/streams")
