"""test_unreplicated.py - what unreplicated.allow lets pass is done, and is shown as diverged.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

from processes import wait_until
from scripted import scripted_tandem
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
    answer = tandem.request("POST", "/books/_rollup/rolled", {})  # not known to this engine
    assert answer.status in (400, 405) and answer.headers["x-tandem-replicated"] == "no", answer
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
    answer = tandem.request("POST", "/_migration/reindex", {})
    assert answer.status in (400, 405) and answer.headers["x-tandem-replicated"] == "no", answer
    assert any("reindex" in why for why in diverged(tandem).values()), diverged(tandem)
    answer = tandem.request("POST", "/books/_no_such_call", {})
    assert answer.status in (400, 405) and answer.headers["x-tandem-replicated"] == "no", answer


def test_administration_passes_and_says_that_it_is_not_replicated(tandem):
    """The answer is the engine's own, whether it knows the call or not; nothing is marked for it."""
    marked = diverged(tandem)
    for method, path, body in (
            ("PUT", "/_cluster/settings", {"transient": {"cluster.max_shards_per_node": 1234}}),
            ("PUT", "/_snapshot/repo", {"type": "fs", "settings": {"location": "of-test-unreplicated"}}),
            ("DELETE", "/_snapshot/repo", None),
            ("PUT", "/_plugins/_security/api/internalusers/reader", {"password": "x"}),
            ("PUT", "/_security/user/reader", {"password": "x", "roles": []})):
        through = tandem.request(method, path, body)
        assert through.headers.get("x-tandem-replicated") == "no", (method, path, through)
        assert "x-tandem-outcome" not in through.headers, through
        if "ecurity" in path:  # this engine has none, and says so itself
            assert through.status == 400 and b"no handler" in through.body, through
        else:
            assert through.status == 200, through
    settings = must(tandem.primary.url, "GET", "/_cluster/settings")
    assert settings["transient"]["cluster"]["max_shards_per_node"] == "1234", settings
    tandem.wait_caught_up()
    assert must(tandem.standby.url, "GET", "/_cluster/settings")["transient"] == {}
    assert diverged(tandem) == marked
    must(tandem.url, "PUT", "/_cluster/settings", {"transient": {"cluster.max_shards_per_node": None}})


def test_the_mark_survives_a_restart(tandem):
    tandem.request("POST", "/books/_rollup/rolled", {})
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


@pytest.fixture
def open_to(request, run_folder):
    """With all words allowed, against scripted clusters."""
    yield from scripted_tandem(request, run_folder, {"unreplicated.allow": WORDS}, equal=False)


@pytest.mark.parametrize("word,method,path,index", [
    ("opaque", "POST", "/books/_bulk/stream", "books"), ("opaque", "POST", "/_bulk/stream", "*"),
    ("unknown", "DELETE", "/_no_such_call", "*"),
    ("unknown", "POST", "/books/_no_such_call", "books"),
    ("unknown", "PUT", "/books/_no_such_call/x", "books")])
def test_what_cannot_be_understood_passes_and_marks_the_index_it_names(open_to, word, method, path, index):
    for name in ("books", "clean"):
        open_to.put(name, "1", {"n": 1})
    open_to.a.fault("status", status=200, prefix=path, body={"done": True})
    answer = open_to.request(method, path, {"n": 1})
    assert (answer.status, answer.headers["x-tandem-replicated"]) == (200, "no"), answer
    assert answer.json() == {"done": True} and "x-tandem-outcome" not in answer.headers, answer
    assert [each["method"] for each in open_to.a.log()["requests"] if each["target"] == path] == [method]
    wait_until(lambda: diverged(open_to), 10, "it is marked")
    assert list(diverged(open_to)) == [index] and word in diverged(open_to)[index], diverged(open_to)
    # What follows is replicated still.
    open_to.put("books", "2", {"n": 2})
    open_to.equal("books", "clean")


@pytest.fixture(scope="module")
def closed(request, run_folder):
    """With nothing allowed, against scripted clusters."""
    yield from scripted_tandem(request, run_folder)


@pytest.mark.parametrize("word,method,path", [
    ("opaque", "POST", "/books/_bulk/stream"), ("unknown", "POST", "/books/_no_such_call"),
    ("by_query", "POST", "/books/_rollup/x"), ("reindex", "POST", "/_migration/reindex"),
    ("restore", "POST", "/_snapshot/repo/snap/_mount"), ("data_stream", "PUT", "/_data_stream/x")])
def test_without_the_word_it_is_refused_and_reaches_nobody(closed, word, method, path):
    closed.a.clear_log()
    answer = closed.request(method, path, {})
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (400, "not-applied"), answer
    assert "unreplicated.allow: [%s]" % word in answer.json()["error"]["reason"], answer
    assert not any(each["target"] == path for each in closed.a.log()["requests"])
    assert diverged(closed) == {}
