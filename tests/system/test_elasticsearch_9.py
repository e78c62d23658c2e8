"""test_elasticsearch_9.py - Elasticsearch 9.2 as primary and as standby: every kind of write, history, proof, doubt.

The tests' 9.2 has few modules: no scripts, no processors, no writes by query, and no GET / (it answers 405). A
bulk that it refuses may be half applied: since 8.16 it runs what has come of a large body before it has read the rest.

SPDX-License-Identifier: Apache-2.0
"""

import json
import random
import threading

import pytest

from processes import wait_until
from shared import lines, must, shared_tandem
from standbys import write
from tandem import request
from test_audit import wait_audited
from test_kills import kill_and_check
from test_mixed_workload import opensearch
from test_seeding import fill as fill_directly, index_status, is_filling, wait_seeded
from test_verify_engines import defined
from verifying import NDJSON, ctl, fill, kinds, result
from workload import Workload

KIND = "elasticsearch-9.2"
AUDIT = {"audit.interval": "1s", "audit.verify_interval": "2s"}
pytestmark = [pytest.mark.long, pytest.mark.limit(600), pytest.mark.engines(KIND)]


def applied(answer, *statuses):
    assert answer.status in (statuses or (200, 201)), answer
    assert answer.headers.get("x-tandem-outcome") == "applied", answer
    return answer.json()


def verify(tandem):
    """Exit code and words; the audit may be comparing something by itself."""
    def look():
        code, said = ctl(tandem, "verify")
        return "is under way already" not in said and (code, said)
    return wait_until(look, 60, "a verification ends")


def equal(tandem):
    tandem.wait_equal()
    code, said = verify(tandem)
    assert code == 0 and "equal to the primary in all" in said, said


def source(cluster, index, id, routing=None):
    """What CLUSTER has of a document; None: nothing."""
    found = request(cluster.url, "GET", "/%s/_doc/%s%s" % (index, id, "?routing=" + routing if routing else ""))
    return found.json().get("_source")


# --- writes ----------------------------------------------------------------------------------------

def test_each_kind_of_write_travels(tandem):
    must(tandem.url, "PUT", "/books", {"settings": {"number_of_shards": 3, "number_of_replicas": 0}})
    assert applied(tandem.request("PUT", "/books/_doc/1", {"n": 1}))["result"] == "created"
    assert applied(tandem.request("PUT", "/books/_doc/1", {"n": 2}))["_version"] == 2
    auto = applied(tandem.request("POST", "/books/_doc", {"n": 3}))["_id"]
    assert applied(tandem.request("PUT", "/books/_create/c", {"n": 4}))["result"] == "created"
    assert tandem.request("PUT", "/books/_create/c", {"n": 5}).status == 409
    assert applied(tandem.request("POST", "/books/_update/1", {"doc": {"more": "words"}}))["result"] == "updated"
    asked = applied(tandem.request("POST", "/books/_update/1?_source=n", {"doc": {"more": "wordy"}}))
    assert asked["get"]["_source"] == {"n": 2}, asked
    applied(tandem.request("POST", "/books/_update/up", {"doc": {"n": 5}, "doc_as_upsert": True}))
    assert tandem.request("POST", "/books/_update/up", {"doc": {"n": 5}}).json()["result"] == "noop"
    assert tandem.request("POST", "/books/_update/none", {"doc": {"n": 5}}).status == 404
    assert applied(tandem.request("DELETE", "/books/_doc/c"))["result"] == "deleted"
    applied(tandem.request("DELETE", "/books/_doc/c"), 404)
    for routing, n in (("x", 6), ("y", 7)):
        applied(tandem.request("PUT", "/books/_doc/r?routing=" + routing, {"n": n}))
    now = must(tandem.url, "GET", "/books/_doc/1")
    condition = "?if_seq_no=%d&if_primary_term=%d" % (now["_seq_no"], now["_primary_term"])
    applied(tandem.request("PUT", "/books/_doc/1" + condition, {"n": 8, "price": 1.50}))
    assert tandem.request("PUT", "/books/_doc/1" + condition, {"n": 9}).status == 409
    applied(tandem.request("PUT", "/born/_doc/1?refresh=true", {"guessed": "text", "when": "2024-02-29", "d": {"e": 1}}))
    equal(tandem)
    assert source(tandem.standby, "books", "1") == {"n": 8, "price": 1.5}
    assert source(tandem.standby, "books", auto) == {"n": 3}
    assert source(tandem.standby, "books", "c") is None


def test_bulks_answer_as_without_tandem(tandem):
    body = lines({"index": {"_id": "1"}}, {"n": 1}, {"index": {}}, {"n": 2}, {"create": {"_id": "1"}}, {"n": 3},
                 {"create": {"_id": "2"}}, {"n": 4}, {"update": {"_id": "1"}}, {"doc": {"m": 1}},
                 {"update": {"_id": "1"}}, {"doc": {"m": 1}}, {"update": {"_id": "none"}}, {"doc": {"m": 1}},
                 {"delete": {"_id": "2"}}, {"delete": {"_id": "never"}}, {"index": {"_id": "1", "routing": "z"}}, {"n": 5},
                 {"index": {"_id": "bad"}}, {"n": "no number"}, {"update": {"_id": "up"}},
                 {"doc": {"n": 9}, "doc_as_upsert": True})
    ours, theirs = [], []
    for url, index, items in ((tandem.url, "books", ours), (tandem.primary.url, "past", theirs)):
        must(tandem.url, "PUT", "/" + index, {"settings": {"number_of_shards": 1, "number_of_replicas": 0},
                                              "mappings": {"properties": {"n": {"type": "long"}}}})
        answer = request(url, "POST", "/%s/_bulk" % index, body, NDJSON)
        assert answer.status == 200, answer
        for item in json.loads(answer.body.replace(index.encode(), b"index"))["items"]:
            (one,) = item.values()
            one.get("error", {}).pop("index_uuid", None)
            one["_id"] = "auto" if len(one["_id"]) == 20 else one["_id"]
            items.append(item)
    assert ours == theirs
    must(tandem.url, "DELETE", "/past")
    equal(tandem)


def test_sixteen_writers_leave_both_clusters_equal(tandem, seed):
    workload = Workload(seed, opensearch(tandem.url), operations=60, scripts=False, pipelines=False)
    workload.run()
    tandem.wait_caught_up()
    workload.check_ledger(tandem)
    equal(tandem)


@pytest.mark.limit(1200)
def test_kill_9_loses_nothing(tandem, seed):
    """It starts slowly: meanwhile much is written."""
    kill_and_check(tandem, seed, rounds=4, engine_every=2, catch_up_s=300, scripts=False, pipelines=False)


# --- definitions -----------------------------------------------------------------------------------

def test_definitions_are_compared_and_repaired(tandem):
    defined(tandem, "", False, True, ["old"])


def test_indices_come_roll_over_and_go(tandem):
    url, standby = tandem.url, tandem.standby.url
    must(url, "PUT", "/_index_template/logs", {"index_patterns": ["logs-*"], "template": {
        "settings": {"number_of_shards": 2, "number_of_replicas": 0}, "aliases": {"all-logs": {}},
        "mappings": {"properties": {"host": {"type": "keyword"}}}}})
    must(url, "PUT", "/logs-000001", {"aliases": {"logging": {"is_write_index": True}}})
    write(tandem, "logging", 1, 2)
    rolled = must(url, "POST", "/logging/_rollover", {"conditions": {"max_docs": 1}})
    if not rolled["rolled_over"]:
        rolled = must(url, "POST", "/logging/_rollover")
    assert rolled["new_index"] == "logs-000002", rolled
    write(tandem, "logging", 3)
    must(url, "PUT", "/logs-000002/_mapping", {"properties": {"later": {"type": "ip"}}})
    must(url, "PUT", "/logs-000002/_doc/4", {"later": "10.0.0.1", "guessed": 1.5})
    must(url, "POST", "/_aliases", {"actions": [
        {"add": {"index": "logs-000001", "alias": "first", "filter": {"term": {"host": "a"}}, "routing": "x"}}]})
    must(url, "PUT", "/logs-000001/_settings", {"index.max_result_window": 20000})
    must(url, "POST", "/logs-000001/_close")
    tandem.wait_equal()
    assert source(tandem.standby, "logs-000002", "3") == {"n": 3}
    must(url, "POST", "/logs-000001/_open")
    must(url, "DELETE", "/logs-000001")
    must(url, "PUT", "/logs-000001/_doc/9", {"host": "another life"})
    must(url, "DELETE", "/_index_template/logs")
    equal(tandem)
    assert source(tandem.standby, "logs-000001", "1") is None
    must(tandem.primary.url, "DELETE", "/logs-000002")
    wait_until(lambda: request(standby, "HEAD", "/logs-000002").status == 404, 30, "a deletion past Tandem is believed")


# --- history and proof -----------------------------------------------------------------------------

@pytest.fixture
def with_old(request, clusters, run_folder):
    def before(url):
        fill_directly(url, "old", 6000, routed=True)
        fill_directly(url, "calm", 300, shards=1)
    yield from shared_tandem(request, clusters, run_folder, {"seed.rate_max": 1500}, before=before, kind=KIND)


def test_what_was_there_before_is_seeded_under_writes_and_a_kill(with_old, seed):
    ended, counts = threading.Event(), [0] * 3

    def keep_writing(number):
        chance = random.Random(seed + number)
        while not ended.is_set():
            n = chance.randrange(6000)
            path = "/old/_doc/d%d%s" % (n, "?routing=r%d" % (n % 7) if n % 2 else "")
            if chance.random() < 0.4:
                with_old.request("DELETE", path)
            else:
                with_old.request("PUT", path, {"live": chance.random()})
            counts[number] += 1

    wait_until(lambda: is_filling(with_old, "old"), 30, "it begins")
    threads = [threading.Thread(target=keep_writing, args=(number,)) for number in range(len(counts))]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: min(counts) > 10, 60, "they write")
        assert is_filling(with_old, "old"), "the seed was over before it was killed"
        with_old.replicator.kill9()
        with_old.replicator.start()
        wait_seeded(with_old, "old", "calm", deadline_s=180)
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    equal(with_old)
    log = open(with_old.replicator.log_path).read()
    assert "index calm is seeded (documents=" in log, log[-2000:]  # of 200, or of more where it was read again
    assert index_status(with_old, "old") is None


@pytest.fixture
def audited(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, AUDIT, kind=KIND)


def test_what_passed_tandem_is_found_by_the_audit(audited):
    fill(audited, "past", 300, shards=2)
    for n in range(20):
        must(audited.primary.url, "PUT", "/past/_doc/direct%d" % n, {"n": n})
    must(audited.primary.url, "PUT", "/past/_doc/d1", {"n": 1000})
    write(audited, "past", 1)
    found = wait_audited(audited, "past")
    assert found["found"] == 21 and found["unexplained"] == 0, found
    for n in (1, 2, 3):
        must(audited.primary.url, "DELETE", "/past/_doc/d%d" % n)
    wait_until(lambda: all(source(audited.standby, "past", "d%d" % n) is None for n in (1, 2, 3)), 60, "deletes too")
    assert wait_audited(audited, "past")["unexplained"] == 3
    equal(audited)


@pytest.fixture
def spoilt(request, clusters, run_folder):
    """What a repair has put has versions of its own, so it is not compared at the end."""
    yield from shared_tandem(request, clusters, run_folder, kind=KIND, equal=False)


def test_verify_finds_and_repair_mends(spoilt):
    fill(spoilt, "books", 1000)
    spoilt.wait_equal()
    standby = spoilt.standby.url
    must(standby, "DELETE", "/books/_doc/d1")
    must(standby, "PUT", "/books/_doc/extra", {"n": 1})
    must(standby, "PUT", "/books/_doc/d2", {"n": "2000"})
    assert verify(spoilt)[0] == 4
    assert kinds(result(spoilt, "books")) == {"missing": 1, "extra": 1, "different": 1}, result(spoilt, "books")
    spoilt.ctl("repair", "--apply")
    assert verify(spoilt)[0] == 0
    assert source(spoilt.standby, "books", "extra") is None
    for id in ("d1", "d2"):
        assert source(spoilt.standby, "books", id)["n"] == int(id[1:])


# --- vectors, which 9.2 keeps beside _source and answers only when it is asked for them ----------------

VECTORS = {"settings": {"number_of_shards": 2, "number_of_replicas": 0}, "mappings": {"properties": {
    "cosine": {"type": "dense_vector", "dims": 8, "similarity": "cosine"},
    "l2": {"type": "dense_vector", "dims": 4, "similarity": "l2_norm"},
    "in": {"properties": {"plain": {"type": "dense_vector", "dims": 4, "index": False}}},
    "parts": {"type": "nested", "properties": {"v": {"type": "dense_vector", "dims": 4}}},
    "sparse": {"type": "sparse_vector"}, "n": {"type": "long"}}}}


def document(n, chance):
    def vector(size):
        return [chance.uniform(-3, 3) for _ in range(size)]
    return {"cosine": vector(8), "n": n, "l2": vector(4), "in": {"plain": vector(4)}, "text": "a  b",
            "parts": [{"k": "x", "v": vector(4)}, {"v": vector(4)}], "sparse": {"a": 0.1234567, "b": 2.5}}


def with_vectors(url, chance):
    must(url, "PUT", "/vectors", VECTORS)
    body = []
    for n in range(300):
        body += [{"index": {"_id": "old%d" % n}}, document(n, chance)]
    assert not must(url, "POST", "/vectors/_bulk", lines(*body), NDJSON)["errors"]


@pytest.fixture
def vectors(request, clusters, run_folder, seed):
    def before(url):
        with_vectors(url, random.Random(seed))
    yield from shared_tandem(request, clusters, run_folder, AUDIT, before=before, kind=KIND, equal=False)


def whole(cluster, id):
    """A document with its vectors."""
    return must(cluster.url, "GET", "/vectors/_doc/%s?_source_exclude_vectors=false" % id)["_source"]


def shape(value):
    """All but the numbers of a vector."""
    if isinstance(value, dict):
        return {key: shape(each) for key, each in value.items()}
    if isinstance(value, list):
        return len(value) if all(isinstance(each, (int, float)) for each in value) else [shape(each) for each in value]
    return value


def test_vectors_are_seeded_replicated_audited_and_verified(vectors, seed):
    chance = random.Random(seed + 1)
    wait_seeded(vectors, "vectors")
    must(vectors.url, "PUT", "/vectors/_doc/live", document(1, chance))
    must(vectors.url, "POST", "/vectors/_update/old1", {"doc": {"n": 1000}})
    updated = must(vectors.url, "POST", "/vectors/_update/old2?_source=n,cosine", {"doc": {"n": 1001}})
    assert len(updated["get"]["_source"]["cosine"]) == 8, updated
    must(vectors.url, "POST", "/vectors/_update/old3?_source=true&_source_exclude_vectors=true", {"doc": {"n": 1002}})
    must(vectors.primary.url, "PUT", "/vectors/_doc/past", document(2, chance))
    wait_until(lambda: request(vectors.standby.url, "HEAD", "/vectors/_doc/past").status == 200, 60, "it is found")
    equal(vectors)
    for id in ("old0", "old1", "old2", "old3", "live", "past"):
        ours, theirs = whole(vectors.primary, id), whole(vectors.standby, id)
        assert len(ours["cosine"]) == 8 and shape(ours) == shape(theirs), (ours, theirs)
    # A vector that went lost is a difference, and mended.
    lost = whole(vectors.standby, "old5")
    del lost["cosine"]
    must(vectors.standby.url, "PUT", "/vectors/_doc/old5", lost)
    assert verify(vectors)[0] == 4
    assert kinds(result(vectors, "vectors")) == {"missing": 0, "extra": 0, "different": 1}
    vectors.ctl("repair", "--apply")
    assert len(whole(vectors.standby, "old5")["cosine"]) == 8


@pytest.mark.settings({"primary.answer_timeout": "2s"})
def test_vectors_are_found_out(tandem, seed):
    """A write in doubt is read back."""
    must(tandem.url, "PUT", "/vectors", VECTORS)
    must(tandem.url, "PUT", "/vectors/_doc/1", document(1, random.Random(seed)))
    tandem.primary.pause()
    try:
        answer = tandem.request("PUT", "/vectors/_doc/2", document(2, random.Random(seed)))
    finally:
        tandem.primary.resume()
    assert answer.status == 504 and answer.headers["x-tandem-outcome"] == "unknown", answer
    wait_until(lambda: request(tandem.standby.url, "HEAD", "/vectors/_doc/2").status == 200, 60, "it is found out")
    equal(tandem)
    assert len(whole(tandem.standby, "2")["cosine"]) == 8


@pytest.fixture
def from_eight(request, clusters, run_folder, seed):
    def before(url):
        must(url, "PUT", "/vectors", {"settings": VECTORS["settings"], "mappings": {"properties": {
            "cosine": {"type": "dense_vector", "dims": 8, "index": True, "similarity": "cosine"},
            "plain": {"type": "dense_vector", "dims": 2}}}})
        must(url, "PUT", "/vectors/_doc/1", {"cosine": document(1, random.Random(seed))["cosine"], "plain": [0, 0]})
    yield from shared_tandem(request, clusters, run_folder, before=before, kind="elasticsearch-8.8", standby_kind=KIND)


def test_documents_that_showed_their_vectors_go_on_doing_so(from_eight):
    wait_seeded(from_eight, "vectors")
    equal(from_eight)
    found = source(from_eight.standby, "vectors", "1")
    assert len(found["cosine"]) == 8 and found["plain"] == [0, 0], found  # zeros: it is not indexed, as before


# --- doubt -----------------------------------------------------------------------------------------

@pytest.mark.settings({"primary.answer_timeout": "2s"})
def test_a_write_to_a_cluster_that_hangs_is_unknown_and_found_out(tandem):
    must(tandem.url, "PUT", "/books", {"settings": {"number_of_shards": 1, "number_of_replicas": 0}})
    write(tandem, "books", 1, 2)
    tandem.wait_caught_up()
    tandem.primary.pause()
    try:
        answers = [tandem.request(method, "/books/" + path, body) for method, path, body in (
            ("PUT", "_doc/1", {"n": 10}), ("DELETE", "_doc/2", None), ("PUT", "_create/3", {"n": 3}))]
    finally:
        tandem.primary.resume()
    for answer in answers:
        assert answer.status == 504 and answer.headers["x-tandem-outcome"] == "unknown", answer
    wait_until(lambda: tandem.proxy.status()["open_intents"] == 0, 60, "it is found out")
    equal(tandem)
    # What was sent whole is executed, and nothing twice.
    wait_until(lambda: source(tandem.standby, "books", "3") == {"n": 3}, 30, "the standby has it")
    assert must(tandem.primary.url, "GET", "/books/_doc/3")["_version"] == 1


def half_applied(tandem, bad):
    """A bulk that is above what the engine keeps in memory at once, with something that it refuses near its end."""
    must(tandem.url, "PUT", "/big", {"settings": {"number_of_shards": 2, "number_of_replicas": 0},
                                     "mappings": {"properties": {"text": {"type": "text", "index": False}}}})
    write(tandem, "big", 0)
    body = []
    for n in range(90):
        body += [{"index": {"_id": str(n)}}, {"n": n, "text": "x" * 400_000}]
    return request(tandem.url, "POST", "/big/_bulk", lines(*body) + bad + lines({"index": {"_id": "last"}}, {"n": 1}),
                   NDJSON)


def test_a_bulk_that_the_engine_refuses_half_way_is_found_out(tandem):
    answer = half_applied(tandem, '{"index":{"_id":"bad","unheard_of":true}}\n{"n":1}\n')
    assert answer.status == 400 and b"unheard_of" in answer.body, answer
    assert answer.headers["x-tandem-outcome"] == "unknown", answer
    wait_until(lambda: tandem.proxy.status()["open_intents"] == 0, 120, "it is found out")
    equal(tandem)
    for cluster in (tandem.primary, tandem.standby):
        assert source(cluster, "big", "last") is None and source(cluster, "big", "89") is None
        assert source(cluster, "big", "0")["text"] and source(cluster, "big", "9"), "nothing was applied"


def test_a_bulk_that_cannot_be_read_never_reaches_the_engine(tandem):
    answer = half_applied(tandem, '{"index":{"_id":"bad"}\n{"n":1}\n')
    assert answer.status == 400 and answer.headers["x-tandem-outcome"] == "not-applied", answer
    assert must(tandem.primary.url, "GET", "/big/_count")["count"] <= 1
    assert source(tandem.primary, "big", "0") == {"n": 0}
    equal(tandem)
