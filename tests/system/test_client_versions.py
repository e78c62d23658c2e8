"""test_client_versions.py - indices whose clients set the versions of documents (replicate.client_versions).

On the standby a document has the primary's own `_version`, so that such clients can go on there. It orders
nothing by itself: after a delete that the primary forgot it begins anew. So the primaries' indices here forget
deletes at once (index.gc_deletes -1), which makes each re-creation a lower version.

SPDX-License-Identifier: Apache-2.0
"""

import random
import threading

import pytest

from processes import wait_until
from shared import equal_indices, lines, must, shared_tandem
from standbys import index_status, set_coerce
from tandem import request
from test_seeding import wait_seeded
from verifying import NDJSON, ctl, kinds, result

FORGETS = {"settings": {"number_of_shards": 2, "number_of_replicas": 0, "gc_deletes": "-1"}}
SETTINGS = {"replicate.client_versions": ["sink-*"], "standbys.request_timeout": "3s",
            "audit.interval": "2s"}


def made(content):
    """A fixture: Tandem on a primary on which CONTENT(url) was called before."""
    @pytest.fixture
    def tandem(request, clusters, run_folder):
        yield from shared_tandem(request, clusters, run_folder, SETTINGS, before=content)
    return tandem


def fill_old(url):
    must(url, "PUT", "/sink-old", FORGETS)
    for begin in range(0, 4000, 1000):
        body = []
        for n in range(begin, begin + 1000):
            body += [{"index": {"_id": "d%d" % n, "version": 1000 + n, "version_type": "external"}}, {"n": n}]
        assert not must(url, "POST", "/sink-old/_bulk", lines(*body), NDJSON)["errors"]


plain = made(None)
with_old = made(fill_old)


def version(url, index, id):
    return request(url, "GET", "/%s/_doc/%s" % (index, id)).json().get("_version")


def put(tandem, index, id, number, type="external"):
    return tandem.request("PUT", "/%s/_doc/%s?version=%d&version_type=%s" % (index, id, number, type),
                          {"version": number})


def test_a_standby_has_the_clients_versions(plain):
    must(plain.url, "PUT", "/sink-a", FORGETS)
    assert put(plain, "sink-a", "x", 7000).status == 201
    assert put(plain, "sink-a", "x", 7000, "external_gte").status == 200
    assert put(plain, "sink-a", "x", 6999).status == 409
    assert put(plain, "sink-a", "zero", 0).status == 201
    must(plain.url, "POST", "/sink-a/_update/x", {"doc": {"more": 1}})
    assert plain.request("DELETE", "/sink-a/_doc/x?version=9000&version_type=external").status == 200
    # The primary has forgotten it: a lower one is new.
    assert put(plain, "sink-a", "x", 12).status == 201
    body = [{"index": {"_id": "b", "version": 2 ** 53 + 1, "version_type": "external"}}, {"n": 1},
            {"delete": {"_id": "zero", "version": 5, "version_type": "external"}}, {"index": {"_id": "own"}}, {"n": 2}]
    assert not must(plain.url, "POST", "/sink-a/_bulk", lines(*body), NDJSON)["errors"]
    must(plain.url, "PUT", "/other", FORGETS)
    assert put(plain, "other", "x", 7000).status == 201
    equal_indices(plain, "sink-a", "other")
    assert version(plain.standby.url, "sink-a", "x") == 12
    assert version(plain.standby.url, "sink-a", "b") == 2 ** 53 + 1
    assert version(plain.standby.url, "other", "x") >= 2 ** 40
    (settings,) = request(plain.standby.url, "GET", "/sink-a/_settings").json().values()
    assert settings["settings"]["index"]["gc_deletes"] == "-1"
    # Of the other index the log says what comes after a switch.
    assert "see replicate.client_versions" in open(plain.proxy.log_path).read()
    # By restarts of both nothing changes.
    plain.proxy.restart()
    plain.replicator.restart()
    assert put(plain, "sink-a", "x", 13).status == 200
    equal_indices(plain, "sink-a")
    assert version(plain.standby.url, "sink-a", "x") == 13


def keep_writing(tandem, index, documents, seed, enough):
    chance = random.Random(seed)
    while not enough.is_set():
        id, kind = "d%d" % chance.randrange(documents), chance.random()
        try:
            if kind < 0.35:
                tandem.request("DELETE", "/%s/_doc/%s" % (index, id))
            elif kind < 0.5:
                put(tandem, index, id, chance.randrange(50), chance.choice(["external", "external_gte"]))
            elif kind < 0.7:
                tandem.request("PUT", "/%s/_doc/%s" % (index, id), {"r": chance.random()})
            elif kind < 0.8:
                tandem.request("POST", "/%s/_update/%s" % (index, id), {"doc": {"u": chance.random()},
                                                                       "doc_as_upsert": True})
            else:
                body = []
                for _ in range(6):
                    action = {"_id": "d%d" % chance.randrange(documents)}
                    body += [{"delete": action}] if chance.random() < 0.4 else [{"index": action},
                                                                               {"b": chance.random()}]
                tandem.request("POST", "/%s/_bulk" % index, lines(*body), NDJSON)
        except OSError:
            pass  # the proxy is being restarted


class Writers:
    """Threads that write the documents d0, d1 ... of INDEX."""

    def __init__(self, tandem, index, documents, seed, count=6):
        self.enough = threading.Event()
        self.threads = [threading.Thread(target=keep_writing, args=(tandem, index, documents, seed + n, self.enough))
                        for n in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()

    def __exit__(self, *_):
        self.enough.set()
        for thread in self.threads:
            thread.join()


def rows(tandem):
    return tandem.replicator.standby_status()["applied_seq"]


def more_rows(tandem, count):
    before = rows(tandem)
    wait_until(lambda: rows(tandem) >= before + count, 60, "%d more records are replayed" % count)


def test_writers_of_the_same_documents(plain, seed):
    must(plain.url, "PUT", "/sink-hot", FORGETS)
    with Writers(plain, "sink-hot", 5, seed):
        more_rows(plain, 3000)
    equal_indices(plain, "sink-hot")


def test_deaths_under_writers(plain, seed):
    must(plain.url, "PUT", "/sink-hot", FORGETS)
    with Writers(plain, "sink-hot", 20, seed):
        more_rows(plain, 300)
        plain.replicator.kill9()
        plain.replicator.start()
        more_rows(plain, 300)
        plain.proxy.kill9()
        plain.proxy.start()
        more_rows(plain, 300)
        # Bulks that got no answer may still be executed, when newer rows have come.
        plain.standby.pause()
        wait_until(lambda: "can't be executed late" in open(plain.replicator.log_path).read(), 60, "a new session")
        plain.standby.resume()
        more_rows(plain, 300)
    equal_indices(plain, "sink-hot")


def test_a_seed_brings_no_deleted_document_back(with_old, seed):
    with Writers(with_old, "sink-old", 4000, seed):
        wait_seeded(with_old, "sink-old")
        more_rows(with_old, 300)
    equal_indices(with_old, "sink-old")
    assert index_status(with_old, "sink-old") is None


def test_verify_and_repair(plain):
    must(plain.url, "PUT", "/sink-v", FORGETS)
    for n in range(30):
        assert put(plain, "sink-v", "d%d" % n, 100 + n).status == 201
    plain.wait_caught_up()
    url = plain.standby.url
    must(url, "PUT", "/sink-v/_doc/d1", {"version": -1})  # a higher version
    must(url, "DELETE", "/sink-v/_doc/d2")
    must(url, "PUT", "/sink-v/_doc/d3?version=103&version_type=external_gte", {"version": -1})  # an equal one
    must(url, "PUT", "/sink-v/_doc/extra", {"version": -1})
    assert ctl(plain, "verify", "--index", "sink-v")[0] != 0
    assert kinds(result(plain, "sink-v")) == {"missing": 1, "extra": 1, "different": 2}
    code, said = ctl(plain, "repair", "--index", "sink-v", "--apply")
    assert code == 0, said
    equal_indices(plain, "sink-v")
    assert version(url, "sink-v", "d1") == 101


def test_a_write_past_tandem_is_found(plain):
    must(plain.url, "PUT", "/sink-p", FORGETS)
    assert put(plain, "sink-p", "x", 5).status == 201
    plain.wait_caught_up()
    must(plain.primary.url, "PUT", "/sink-p/_doc/past?version=77&version_type=external", {"by": "hand"})
    wait_until(lambda: version(plain.standby.url, "sink-p", "past") == 77, 90, "the audit brings it over")
    equal_indices(plain, "sink-p")


def test_a_write_by_query_is_refused(plain):
    must(plain.url, "PUT", "/sink-q", FORGETS)
    assert put(plain, "sink-q", "x", 5).status == 201
    must(plain.url, "POST", "/sink-q/_refresh")
    all = {"query": {"match_all": {}}}
    for path, body in (("/sink-q/_update_by_query", all), ("/sink-*/_delete_by_query", all),
                       ("/_reindex", {"source": {"index": "sink-q"}, "dest": {"index": "sink-new"}})):
        answer = plain.request("POST", path, body)
        assert answer.status == 400 and answer.json()["error"]["type"] == "tandem_client_versions", answer
        assert "replicate.client_versions" in answer.json()["error"]["reason"]
    assert version(plain.primary.url, "sink-q", "x") == 5


def test_a_replicated_index_stays_as_it_is(plain):
    must(plain.url, "PUT", "/later", FORGETS)
    assert put(plain, "later", "x", 5).status == 201
    plain.wait_caught_up()
    plain.settings["replicate"]["client_versions"] = ["sink-*", "later"]
    plain.write_config()
    plain.proxy.restart()
    assert put(plain, "later", "x", 6).status == 200
    equal_indices(plain, "later")
    assert version(plain.standby.url, "later", "x") >= 2 ** 40
    assert "index later was replicated before" in open(plain.proxy.log_path).read()


def test_no_row_of_a_document_goes_before_one_that_is_refused(plain):
    # The setting that lets an index go on does not hold here: what is refused would come too late.
    plain.settings["standbys"][0]["refused"] = "park"
    plain.write_config()
    plain.replicator.restart()
    must(plain.url, "PUT", "/sink-r", FORGETS)
    must(plain.url, "PUT", "/sink-r/_doc/x?version=5&version_type=external", {"n": 1})
    plain.wait_caught_up()
    set_coerce(plain, "sink-r", False)
    must(plain.url, "PUT", "/sink-r/_doc/x?version=6&version_type=external", {"n": "2"})
    must(plain.url, "DELETE", "/sink-r/_doc/x")
    must(plain.url, "PUT", "/sink-r/_doc/x?version=2&version_type=external", {"n": 3})
    must(plain.url, "DELETE", "/sink-r/_doc/x")
    wait_until(lambda: plain.replicator.standby_status()["parked"] == 1, 20, "it is parked")
    wait_until(lambda: plain.replicator.standby_status()["waiting"] == 3, 20, "the others wait")
    set_coerce(plain, "sink-r", True)
    plain.ctl("parked", "retry", "--all")
    wait_until(lambda: plain.replicator.standby_status()["parked"] == 0, 20, "it is taken")
    must(plain.url, "PUT", "/sink-r/_mapping", {"properties": {"n": {"type": "long", "coerce": True}}})
    equal_indices(plain, "sink-r")
