"""test_old_primary.py - replicating from Elasticsearch 2.4 and 5.6, which have no sequence numbers and no types less.

Their documents have the primary's own `_version` on the standby, and their writes take turns (docs/old-engines.md).

SPDX-License-Identifier: Apache-2.0
"""

import json
import random
import threading

import pytest

import compare
from processes import wait_until
from shared import EXCLUDE, lines, must, shared_tandem
from tandem import request
from test_seeding import wait_seeded
from verifying import NDJSON, ctl, kinds, result

pytestmark = [pytest.mark.long, pytest.mark.limit(600)]

MAJORS = {2: "elasticsearch-2.4", 5: "elasticsearch-5.6"}
SETTINGS = {"audit.interval": "2s", "standbys.request_timeout": "3s",
            "replicate.exclude": EXCLUDE + [each for each in compare.BUILT_IN if each != ".*"]}
INDEX = {"settings": {"number_of_shards": 3, "number_of_replicas": 0}}
FORGETS = {"settings": {"number_of_shards": 2, "number_of_replicas": 0, "gc_deletes": "-1"}}


def made(content=None):
    """A fixture: Tandem between each of the old engines and an OpenSearch; CONTENT(url) was there before."""
    @pytest.fixture(params=MAJORS)
    def tandem(request, clusters, run_folder):
        for running in shared_tandem(request, clusters, run_folder, SETTINGS, before=content, kind=MAJORS[request.param],
                                     standby_kind="opensearch-2.19"):
            running.major = request.param
            yield running
    return tandem


def fill_old(url):
    must(url, "PUT", "/old", dict(INDEX, mappings={"thing": {"properties": {"n": {"type": "long"}}}}))
    for begin in range(0, 5000, 1000):
        body = []
        for n in range(begin, begin + 1000):
            body += [{"index": dict({"_id": "d%d" % n}, **({"routing": "r%d" % (n % 7)} if n % 3 == 0 else {}))},
                     {"n": n}]
        assert not must(url, "POST", "/old/thing/_bulk", lines(*body), NDJSON)["errors"]
    for n in range(1, 300, 3):
        must(url, "DELETE", "/old/thing/d%d" % n)
        must(url, "PUT", "/old/thing/d%d" % (n + 1), {"n": -n})


plain = made()
with_old = made(fill_old)


def get(url, index, id, type, routing=None):
    return request(url, "GET", "/%s/%s/%s%s" % (index, type, id, "?routing=" + routing if routing else "")).json()


def outcome(answer):
    return answer.headers.get("x-tandem-outcome")


def test_each_kind_of_write_travels(plain):
    url, standby = plain.url, plain.standby.url
    must(url, "PUT", "/a", dict(INDEX, mappings={"t": {"properties": {"n": {"type": "long"}}}}))
    made = plain.request("PUT", "/a/t/1", {"n": 1})
    assert made.status == 201 and made.json()["created"] is True and outcome(made) == "applied", made
    again = plain.request("PUT", "/a/t/1", {"n": 2})
    assert again.status == 200 and again.json()["created"] is False and again.json()["_version"] == 2, again
    auto = plain.request("POST", "/a/t", {"n": 3})
    assert auto.status == 201 and auto.json()["created"] is True and len(auto.json()["_id"]) == 20, auto
    assert plain.request("PUT", "/a/t/1/_create", {"n": 4}).status == 409
    assert plain.request("PUT", "/a/t/c/_create", {"n": 4}).status == 201
    updated = plain.request("POST", "/a/t/1/_update", {"doc": {"more": "words"}})
    assert updated.status == 200 and outcome(updated) == "applied" and "get" not in updated.json(), updated
    asked = plain.request("POST", "/a/t/1/_update?fields=n", {"doc": {"more": "wordy"}})
    assert asked.json()["get"]["fields"] == {"n": [2]}, asked
    assert plain.request("POST", "/a/t/up/_update", {"doc": {"n": 5}, "doc_as_upsert": True}).status == 201
    same = plain.request("POST", "/a/t/up/_update", {"doc": {"n": 5}})
    assert same.json()["_version"] == 1, same
    script = {"script": "ctx.op = 'delete'"} if plain.major == 2 else {"script": {"source": "ctx.op = 'delete'"}}
    assert plain.request("POST", "/a/t/up/_update", script).status == 200
    missing = plain.request("POST", "/a/t/none/_update", {"doc": {"n": 5}})
    assert missing.status == 404, missing
    gone = plain.request("DELETE", "/a/t/c")
    assert gone.json()["found"] is True and outcome(gone) == "applied", gone
    none = plain.request("DELETE", "/a/t/c")
    assert none.status == 404 and none.json()["found"] is False and outcome(none) == "applied", none
    assert plain.request("PUT", "/a/t/r?routing=x", {"n": 6}).status == 201
    assert plain.request("PUT", "/a/t/r?routing=y", {"n": 7}).status == 201
    external = plain.request("PUT", "/a/t/e?version=7000&version_type=external", {"n": 8})
    assert external.json()["_version"] == 7000, external
    assert plain.request("PUT", "/a/t/e?version=6000&version_type=external", {"n": 9}).status == 409
    plain.wait_equal()
    assert get(standby, "a", "1", "_doc")["_source"] == {"n": 2, "more": "wordy"}
    assert get(standby, "a", "e", "_doc")["_version"] == 7000
    assert not get(standby, "a", "up", "_doc")["found"]
    assert "equal to the primary in all" in plain.ctl("verify")


def test_bulks(plain):
    must(plain.url, "PUT", "/a", dict(INDEX, mappings={"t": {"properties": {"n": {"type": "long"}}}}))
    must(plain.primary.url, "PUT", "/direct-a", dict(INDEX, mappings={"t": {"properties": {"n": {"type": "long"}}}}))
    script = {"script": "ctx.op = 'delete'"} if plain.major == 2 else {"script": {"source": "ctx.op = 'delete'"}}
    body = [{"index": {"_id": "1"}}, {"n": 1}, {"index": {}}, {"n": 2}, {"create": {"_id": "1"}}, {"n": 3},
            {"create": {"_id": "2"}}, {"n": 4}, {"update": {"_id": "1"}}, {"doc": {"m": 1}},
            {"update": {"_id": "1"}}, {"doc": {"m": 1}}, {"update": {"_id": "2"}}, script,
            {"update": {"_id": "none"}}, {"doc": {"m": 1}}, {"delete": {"_id": "1"}}, {"delete": {"_id": "never"}},
            {"index": {"_id": "1", "routing": "z"}}, {"n": 5}, {"index": {"_id": "bad"}}, {"n": "no number"},
            {"update": {"_id": "up"}}, {"doc": {"n": 9}, "doc_as_upsert": True}]
    ours = request(plain.url, "POST", "/a/t/_bulk", lines(*body), NDJSON)
    theirs = request(plain.primary.url, "POST", "/direct-a/t/_bulk", lines(*body), NDJSON)

    def shown(answer):
        text = json.dumps([item for item in answer.json()["items"]]).replace("direct-a", "a")
        items = json.loads(text)
        for item in items:
            (one,) = item.values()
            one["_id"] = "auto" if len(one["_id"]) == 20 else one["_id"]
            one.get("error", {}).pop("index_uuid", None)
        return items
    assert shown(ours) == shown(theirs)
    # A conflict may be with the cluster's own first try, and so may what is missing.
    assert outcome(ours) == "unknown" and ours.headers["x-tandem-unknown-items"] == "2,7", ours.headers
    must(plain.primary.url, "DELETE", "/direct-a")
    plain.wait_equal()
    assert "equal to the primary in all" in plain.ctl("verify")


def test_what_cannot_be_replicated_is_refused_clearly(plain):
    must(plain.url, "PUT", "/a", dict(INDEX, mappings={"t": {}}))
    must(plain.url, "PUT", "/a/t/1", {"n": 1})
    for answer in (plain.request("PUT", "/a/second/1", {"n": 1}),
                   request(plain.url, "POST", "/_bulk", lines({"index": {"_index": "a", "_type": "second", "_id": "1"}},
                                                              {"n": 1}), NDJSON)):
        assert answer.status == 400 and "replicate.exclude" in answer.json()["error"]["reason"], answer
        assert answer.json()["error"]["type"] == "tandem_types" and outcome(answer) == "not-applied", answer
    must(plain.primary.url, "PUT", "/two", {"settings": {"number_of_replicas": 0}, "mappings": {"x": {}, "y": {}}})
    wait_until(lambda: plain.request("PUT", "/two/x/1", {"n": 1}).status == 400, 20, "both types are known")
    forced = plain.request("PUT", "/a/t/1?version=1&version_type=force", {"n": 1})
    assert forced.status == 400 and "external_gte" in forced.json()["error"]["reason"], forced
    by_query = plain.request("POST", "/a/_update_by_query", {"query": {"match_all": {}}})
    assert by_query.status == 400 and by_query.json()["error"]["type"] == "tandem_client_versions", by_query
    assert "scroll" in by_query.json()["error"]["reason"], by_query
    (held,) = wait_until(lambda: [each for each in plain.replicator.status()["indices"] if each["name"] == "two"
                                  and each["state"] == "held"], 30, "the standby can't have it, and says so")
    assert "type" in held["why"], held
    wait_seeded(plain, "a")
    (said,) = [each for each in request(plain.replicator.admin_url, "GET", "/_tandem/audit").json()["indices"]
               if each["index"] == "a"]
    assert said["state"] == "none" and "sequence numbers" in said["why"], said
    must(plain.url, "DELETE", "/two")


def test_definitions_and_deletions(plain):
    must(plain.url, "PUT", "/_template/logs", {"template": "log-*", "settings": {
        "number_of_shards": 2, "number_of_replicas": 0}, "mappings": {"line": {"properties": {
            "host": {"type": "string", "index": "not_analyzed"} if plain.major == 2 else {"type": "keyword"}}}},
        "aliases": {"logs": {}}})
    must(plain.url, "PUT", "/log-1/line/1", {"host": "a", "guessed": "some text", "when": "2015-01-02"})
    must(plain.url, "PUT", "/log-2/line/1", {"host": "a"})
    must(plain.url, "POST", "/_aliases", {"actions": [{"add": {"index": "log-1", "alias": "first"}}]})
    must(plain.url, "PUT", "/log-1/_mapping/line", {"properties": {"later": {"type": "long"}}})
    must(plain.url, "PUT", "/log-1/line/2", {"later": 7})
    plain.wait_equal()
    must(plain.url, "DELETE", "/log-2")
    must(plain.url, "PUT", "/log-2/line/9", {"host": "another life"})
    must(plain.url, "DELETE", "/log-1")
    plain.wait_equal()
    assert request(plain.standby.url, "HEAD", "/log-1").status == 404
    # A delete in an index that is missing makes it, in these engines.
    assert plain.request("DELETE", "/made-by-a-delete/t/1").status == 404
    must(plain.url, "PUT", "/made-by-a-delete/t/1", {"n": 1})
    plain.wait_equal()


def test_past_tandem_an_index_is_deleted(plain):
    must(plain.url, "PUT", "/a/t/1", {"n": 1})
    plain.wait_equal()
    must(plain.primary.url, "DELETE", "/a")
    if plain.major == 5:
        wait_until(lambda: request(plain.standby.url, "HEAD", "/a").status == 404, 30, "the graveyard is believed")
        return
    wait_until(lambda: "nobody deleted" in open(plain.proxy.log_path).read(), 30, "it is said")
    assert request(plain.standby.url, "HEAD", "/a").status == 200
    must(plain.url, "PUT", "/a/t/1", {"n": 2})
    must(plain.url, "DELETE", "/a")


def keep_writing(tandem, index, documents, seed, enough, ledger):
    chance = random.Random(seed)
    while not enough.is_set():
        id, kind = "d%d" % chance.randrange(documents), chance.random()
        try:
            if kind < 0.3:
                tandem.request("DELETE", "/%s/thing/%s" % (index, id))
            elif kind < 0.6:
                tandem.request("PUT", "/%s/thing/%s" % (index, id), {"n": chance.randrange(1000)})
            elif kind < 0.75:
                tandem.request("POST", "/%s/thing/%s/_update" % (index, id),
                               {"doc": {"u": chance.randrange(1000)}, "doc_as_upsert": True})
            else:
                body = []
                for _ in range(6):
                    action = {"_id": "d%d" % chance.randrange(documents)}
                    body += [{"delete": action}] if chance.random() < 0.4 else [{"index": action},
                                                                               {"b": chance.randrange(1000)}]
                request(tandem.url, "POST", "/%s/thing/_bulk" % index, lines(*body), NDJSON)
            fresh = chance.random() < 0.3 and tandem.request("POST", "/%s/thing" % index, {"n": seed})
            if fresh and fresh.status == 201:
                ledger.append(fresh.json()["_id"])
        except OSError:
            pass  # the proxy is being killed


class Writers:
    def __init__(self, tandem, index, documents, seed, count=5):
        self.enough = threading.Event()
        self.ledger = []
        self.threads = [threading.Thread(target=keep_writing, args=(tandem, index, documents, seed + n, self.enough,
                                                                    self.ledger)) for n in range(count)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.enough.set()
        for thread in self.threads:
            thread.join()


def test_writers_of_the_same_documents_and_kills(plain, seed):
    """The primary forgets deletes at once, so that each re-creation has a lower version."""
    must(plain.url, "PUT", "/w", dict(FORGETS, mappings={"thing": {}}))
    with Writers(plain, "w", 4, seed, count=8) as writers:
        for victim in (plain.proxy, plain.replicator, plain.proxy):
            enough = len(writers.ledger) + 60
            wait_until(lambda: len(writers.ledger) > enough, 60, "they write")
            victim.kill9()
            victim.start()
        enough = len(writers.ledger) + 60
        wait_until(lambda: len(writers.ledger) > enough, 60, "they write again")
    plain.wait_caught_up(60)
    plain.wait_equal()
    missing = [id for id in writers.ledger if not get(plain.standby.url, "w", id, "_doc")["found"]]
    assert not missing, missing[:3]
    assert "equal to the primary in all" in plain.ctl("verify")


def test_what_was_there_before_is_seeded_under_writes(with_old, seed):
    with Writers(with_old, "old", 5000, seed) as writers:
        wait_until(lambda: len(writers.ledger) > 50, 60, "they write")
        with_old.replicator.kill9()
        with_old.replicator.start()
        wait_seeded(with_old, "old")
    with_old.wait_equal()
    assert "equal to the primary in all" in with_old.ctl("verify")
    log = open(with_old.replicator.log_path).read()
    assert "index old is seeded" in log


def test_what_bypassed_tandem_is_found_and_repaired(with_old):
    wait_seeded(with_old, "old")
    with_old.wait_equal()
    must(with_old.primary.url, "PUT", "/old/thing/past", {"n": 1})
    must(with_old.primary.url, "PUT", "/old/thing/d4999", {"n": "4999000"})
    must(with_old.primary.url, "DELETE", "/old/thing/d4996")
    must(with_old.standby.url, "DELETE", "/old/_doc/d4997")
    must(with_old.standby.url, "PUT", "/old/_doc/extra", {"n": 1})
    assert ctl(with_old, "verify", "--sample", "5%")[1].count("verify the index as a whole") == 1
    ctl(with_old, "verify")
    assert kinds(result(with_old, "old")) == {"missing": 2, "extra": 2, "different": 1}, result(with_old, "old")
    with_old.ctl("repair", "--apply")
    with_old.wait_equal()


def test_a_document_that_began_anew_behind_our_back(plain):
    """Its end never passed Tandem, so the standby has a version above the new ones."""
    must(plain.url, "PUT", "/w", dict(FORGETS, mappings={"thing": {}}))
    for n in range(5):
        must(plain.url, "PUT", "/w/thing/x", {"n": n})
    must(plain.url, "PUT", "/w/thing/y", {"n": 0})
    plain.wait_caught_up()
    wait_seeded(plain, "w")
    must(plain.primary.url, "DELETE", "/w/thing/x")
    assert must(plain.url, "PUT", "/w/thing/x", {"n": 77})["_version"] == 1
    wait_until(lambda: get(plain.standby.url, "w", "x", "_doc").get("_source") == {"n": 77}, 60, "it is found")
    assert "above that of a new write (id x)" in open(plain.replicator.log_path).read()
    plain.wait_equal()
    # What is replayed once more means nothing.
    plain.replicator.kill9()
    plain.replicator.start()
    must(plain.url, "PUT", "/w/thing/y", {"n": 1})
    plain.wait_caught_up()
    assert open(plain.replicator.log_path).read().count("above that of a new write") == 1
