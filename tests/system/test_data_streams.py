"""test_data_streams.py - a data stream is on the standby as its indices, behind an alias of its name.

SPDX-License-Identifier: Apache-2.0
"""

import threading

import pytest

from processes import wait_until
from shared import must, shared_tandem
from streams import SOON_S, TEMPLATE, behind, equal, members, write
from test_audit import wait_audited


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"audit.interval": "1s", "audit.verify_interval": "2s"})


@pytest.fixture(autouse=True)
def template(tandem):
    must(tandem.url, "PUT", "/_index_template/streams", TEMPLATE)


def test_a_write_makes_the_stream_on_both_sides(tandem):
    (id,) = write(tandem, "stream-born", "one")
    answer = tandem.request("POST", "/stream-born/_doc", {"@timestamp": "2026-11-29", "word": "two"})
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (201, "applied"), answer
    answer = tandem.request("PUT", "/stream-born/_create/mine", {"@timestamp": "2026-11-29", "word": "three"})
    assert answer.status == 201, answer
    assert tandem.request("PUT", "/stream-born/_create/mine", {"@timestamp": "2026-11-29"}).status == 409
    assert tandem.request("PUT", "/stream-born/_doc/mine", {"@timestamp": "2026-11-29"}).status == 400
    assert equal(tandem, "stream-born") == 3
    (index,) = members(tandem.primary.url, "stream-born")
    assert must(tandem.standby.url, "GET", "/%s/_doc/%s" % (index, id))["_source"]["word"] == "one"
    assert tandem.proxy.status()["indices"] == []


def test_it_is_made_and_deleted_by_name(tandem):
    assert must(tandem.url, "PUT", "/_data_stream/stream-named") == {"acknowledged": True}
    wait_until(lambda: list(behind(tandem, "stream-named").values()) == [True], SOON_S, "it is made")
    write(tandem, "stream-named", "a", "b")
    equal(tandem, "stream-named")
    must(tandem.url, "DELETE", "/_data_stream/stream-named")
    wait_until(lambda: behind(tandem, "stream-named") == {}, SOON_S, "it goes")
    write(tandem, "stream-named", "c")
    assert equal(tandem, "stream-named") == 1


def test_it_rolls_over_under_load(tandem):
    write(tandem, "stream-rolling", "first")
    ended = threading.Event()
    failed = []

    def keep_writing():
        while not ended.is_set():
            try:
                write(tandem, "stream-rolling", "x", "y", "z")
            except AssertionError as error:
                failed.append(error)
                return

    writers = [threading.Thread(target=keep_writing) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        for generation in range(2, 6):
            assert must(tandem.url, "POST", "/stream-rolling/_rollover")["rolled_over"]
            wait_until(lambda: len(behind(tandem, "stream-rolling")) == generation, SOON_S, "it has rolled over")
        # Past Tandem too.
        must(tandem.primary.url, "POST", "/stream-rolling/_rollover")
        wait_until(lambda: len(behind(tandem, "stream-rolling")) == 6, SOON_S, "it has rolled over")
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    assert not failed, failed[0]
    assert equal(tandem, "stream-rolling") > 1
    for index in members(tandem.primary.url, "stream-rolling"):
        wait_audited(tandem, index)


def test_documents_are_updated_and_deleted_in_its_indices(tandem):
    ids = write(tandem, "stream-changed", *["w%d" % n for n in range(20)])
    (index,) = members(tandem.primary.url, "stream-changed")
    must(tandem.url, "DELETE", "/%s/_doc/%s" % (index, ids[0]))
    must(tandem.url, "POST", "/%s/_update/%s" % (index, ids[1]), {"doc": {"word": "new"}})
    must(tandem.url, "POST", "/stream-changed/_rollover")
    must(tandem.url, "POST", "/stream-changed/_refresh")
    for path, body, done in (
            ("_delete_by_query", {"query": {"terms": {"word": ["w7", "w8"]}}}, {"deleted": 2}),
            ("_update_by_query", {"script": {"source": "ctx._source.more = 1"}, "query": {"term": {"word": "w9"}}}, {"updated": 1})):
        answer = tandem.request("POST", "/stream-changed/%s?refresh=true" % path, body)
        assert answer.headers["x-tandem-outcome"] == "applied" and done.items() <= answer.json().items(), answer
    answer = tandem.request("POST", "/_reindex?refresh=true", {
        "source": {"index": index}, "dest": {"index": "stream-copied", "op_type": "create"}})
    assert answer.headers["x-tandem-outcome"] == "applied" and answer.json()["created"] == 17, answer
    assert equal(tandem, "stream-changed") == 17 and equal(tandem, "stream-copied") == 17
