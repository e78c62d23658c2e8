"""test_migration.py - from an old engine to a new one: seeded under writes, verified, released, and the same.

The old cluster has been in use before Tandem sees it (support/old_cluster.py).

SPDX-License-Identifier: Apache-2.0
"""

import json
import random
import threading

import pytest

import compare
from old_cluster import NDJSON, OldCluster, documents
from processes import wait_until
from shared import EXCLUDE, lines, must, shared_tandem
from tandem import request
from verifying import ctl
from workload import Workload

pytestmark = [pytest.mark.long, pytest.mark.limit(900)]
COUNT = 1500
# So slow that writes meet the seed; and what the old engine brought along stays behind.
SETTINGS = {"seed.rate_max": 1000, "replicate.exclude": EXCLUDE + [
    each for each in compare.BUILT_IN if each != ".*"]}


def elasticsearch(url):
    import elasticsearch as library
    import warnings
    warnings.simplefilter("ignore", library.ElasticsearchWarning)
    return lambda: library.Elasticsearch(url, timeout=60, max_retries=0, retry_on_timeout=False)


class OldApplication:
    """Goes on writing to what is there, through Tandem, until it is stopped."""

    def __init__(self, tandem, old, seed):
        self.tandem, self.old = tandem, old
        self.chance = random.Random(seed)
        self.ended = threading.Event()
        self.wrong = []
        self.written = 0
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.is_set():
            index = self.chance.choice(self.old.indices)
            sources = list(documents(index, 40, self.chance))
            body = []
            for n in self.chance.sample(range(COUNT // 2), 20):
                routing, source = sources[n % 40]
                if routing:  # of the document that is there
                    routing = "customer-%d" % (n % 11) if index == "events" else str(n - n % 4)
                action = self.old.action(index, n, routing)
                body += self.chance.choice([[{"index": action}, source], [{"delete": action}],
                                            [{"update": action}, {"doc": {"live": n}, "doc_as_upsert": True}]])
            answer = request(self.tandem.url, "POST", "/_bulk", lines(*body), NDJSON)
            if answer.status == 429:  # the old cluster is small
                continue
            failed = answer.status != 200 or [
                item for item in answer.json()["items"] for each in item.values() if each["status"] >= 400
                and each["status"] not in (404, 409)]
            if failed:
                self.wrong.append("%r %r" % (answer, failed))
            self.written += 1
            self.ended.wait(0.02)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()
        assert not self.wrong, self.wrong[:3]


def migration(kind, standby_kind, prepare, **old):
    """A fixture: Tandem between an old cluster, made by PREPARE, and a new one."""
    @pytest.fixture
    def fixture(request, clusters, run_folder):
        def before(url):
            prepare(OldCluster(url, **old))
        for running in shared_tandem(request, clusters, run_folder, SETTINGS, equal=False, before=before, kind=kind,
                                     standby_kind=standby_kind):
            running.old = OldCluster(running.url, **old)
            yield running
    return fixture


def is_seeded(tandem):
    """Everything that was there before is on the standby; what can't be made there is an error."""
    states = {each["name"]: each for each in tandem.replicator.status()["indices"]}
    held = [each for each in states.values() if each["state"] == "held"]
    assert not held, held
    return all(request(tandem.standby.url, "HEAD", "/" + index).status == 200
               and states.get(index, {}).get("state", "ready") == "ready" for index in tandem.old.indices)


class NoWorkload:
    """For engines that no client of today lets in: the old application is all there is."""

    def prepare(self):
        pass

    start = wait = check = prepare

    def check_ledger(self, tandem):
        pass


def migrate(tandem, seed, **workload):
    """Writers go on during the seed; then they stop, and the new cluster has it all and is given back."""
    announced = json.loads(ctl(tandem, "migrate-check", "--json")[1])
    impossible = [each["name"] for each in announced["objects"] if each["result"] == "not possible"]
    assert impossible == (["find"] if tandem.old.major == 2 else []), announced  # of 2.4, scripts are documents
    writers = NoWorkload()
    if tandem.old.major > 5:
        writers = Workload(seed, elasticsearch(tandem.url), operations=40, writers=4, tolerant=True, **workload)
    writers.prepare()
    with OldApplication(tandem, tandem.old, seed) as application:
        writers.start()
        tandem.replicator.kill9()  # what was translated is known again
        tandem.replicator.start()
        wait_until(lambda: is_seeded(tandem), 300, "everything is seeded")
        assert application.written > 3, "nobody wrote meanwhile"
        writers.wait()
    writers.check()
    tandem.wait_caught_up(120)
    writers.check_ledger(tandem)
    tandem.wait_equal()
    assert "equal to the primary in all" in tandem.ctl("verify")
    if tandem.old.major > 5:  # before, there are no numbers that could be without a gap
        tandem.ctl("audit")
    assert "released" in tandem.ctl("release", "b", "--yes", "--timeout", "60")
    differences = compare.compare(tandem.primary.url, tandem.standby.url)
    assert not differences, compare.report(differences)
    return {each["name"]: each for each in announced["objects"]}


# --- Elasticsearch 7.10 to OpenSearch 2.19 ---------------------------------------------------------

def of_seven(old):
    old.definitions()
    old.composable()
    old.fill_all(COUNT)


seven = migration("elasticsearch-7.10", "opensearch-2.19", of_seven)
seven_to_eight = migration("elasticsearch-7.10", "elasticsearch-8.8", of_seven, plain=True)
seven_to_nine = migration("elasticsearch-7.10", "elasticsearch-9.2", of_seven, plain=True)
eight_to_nine = migration("elasticsearch-8.8", "elasticsearch-9.2", of_seven, plain=True, major=8)


def test_elasticsearch_7_to_opensearch_2(seven, seed):
    announced = migrate(seven, seed)
    assert {each["result"] for each in announced.values()} == {"as it is"}, announced
    url = seven.standby.url
    found = must(url, "GET", "/books/_search", {"query": {"match": {"title": "fast"}}, "size": 0})
    assert found["hits"]["total"]["value"] > 0, "the analyzer does not know its synonyms"


def test_elasticsearch_7_to_elasticsearch_8(seven_to_eight, seed):
    announced = migrate(seven_to_eight, seed, scripts=False, pipelines=False)
    assert {each["result"] for each in announced.values()} == {"as it is"}, announced


def test_elasticsearch_7_to_elasticsearch_9(seven_to_nine, seed):
    announced = migrate(seven_to_nine, seed, scripts=False, pipelines=False)
    assert {each["result"] for each in announced.values()} == {"as it is"}, announced


def test_elasticsearch_8_to_elasticsearch_9(eight_to_nine, seed):
    announced = migrate(eight_to_nine, seed, scripts=False, pipelines=False)
    assert {each["result"] for each in announced.values()} == {"as it is"}, announced


# --- Elasticsearch 6.8 -----------------------------------------------------------------------------

def of_six(old):
    old.definitions()
    old.fill_all(COUNT)
    old.old_fashioned()


six_to_opensearch = migration("elasticsearch-6.8", "opensearch-2.19", of_six, typed=True)
six_to_eight = migration("elasticsearch-6.8", "elasticsearch-8.8", of_six, typed=True, plain=True)


def test_elasticsearch_6_to_opensearch_2(six_to_opensearch, seed):
    announced = migrate(six_to_opensearch, seed, typed=True)
    assert announced["orders"]["result"] == "as it is" and announced["words"]["result"] == "translated"
    assert announced["old"]["kind"] == "lifecycle policy" and announced["old"]["result"] == "left out"
    url = six_to_opensearch.standby.url
    found = must(url, "GET", "/words/_search", {"query": {"match": {"text": "ranit"}}, "size": 0})
    assert found["hits"]["total"]["value"] > 0, "the analyzer makes no n-grams"
    must(url, "PUT", "/wide-2/_doc/1", {"brand": "new"})
    made = must(url, "GET", "/wide-2")["wide-2"]
    assert made["mappings"]["properties"]["brand"] == {"type": "keyword"}, "the template's _default_ was lost"


def test_elasticsearch_6_to_elasticsearch_8(six_to_eight, seed):
    announced = migrate(six_to_eight, seed, typed=True, scripts=False, pipelines=False)
    assert announced["words"]["result"] == "translated"
    must(six_to_eight.standby.url, "PUT", "/words/_doc/new", {"on": "2024-01-02T03:04:05Z", "other": {"field": 1}})


# --- Elasticsearch 5.6 and 2.4 ---------------------------------------------------------------------

def of_before_six(old):
    old.definitions()
    old.fill_all(COUNT)


five_to_opensearch = migration("elasticsearch-5.6", "opensearch-2.19", of_before_six, major=5)
two_to_opensearch = migration("elasticsearch-2.4", "opensearch-2.19", of_before_six, major=2)


def from_before_six(tandem, seed):
    announced = migrate(tandem, seed)
    assert announced["things"]["result"] == "translated", announced["things"]
    url = tandem.standby.url
    found = must(url, "GET", "/books-v3/_search", {"query": {"match": {"title": "fast"}}, "size": 0})
    assert found["hits"]["total"]["value"] > 0, "the analyzer does not know its synonyms"
    must(url, "PUT", "/notes-2/_doc/1", {"brand": "new word"})
    made = must(url, "GET", "/notes-2")["notes-2"]
    assert made["mappings"]["properties"]["brand"] == {"type": "keyword"}, "the template's _default_ was lost"
    found = must(url, "GET", "/big/_count")["count"]
    assert found == must(tandem.primary.url, "GET", "/big/_count")["count"] > 0, "the alias' filter finds others"


def test_elasticsearch_5_to_opensearch_2(five_to_opensearch, seed):
    from_before_six(five_to_opensearch, seed)


def test_elasticsearch_2_to_opensearch_2(two_to_opensearch, seed):
    from_before_six(two_to_opensearch, seed)


# --- what has no equal in the new cluster ----------------------------------------------------------

def with_a_classic(old):
    for index, settings in (("scored", {"similarity.mine.type": "classic"}), ("plain-words", {})):
        must(old.url, "PUT", "/" + index, {"settings": {"index": dict(settings, number_of_replicas=0)}})
        must(old.url, "PUT", "/%s/_doc/1" % index, {"text": "one"})
    must(old.url, "PUT", "/_template/scored", {"index_patterns": ["scored-*"], "settings": {
        "similarity.mine.type": "classic"}})


blocked = migration("elasticsearch-6.8", "opensearch-2.19", with_a_classic, typed=True)


def test_an_untranslatable_index_waits(blocked):
    refused = {each["name"]: each for each in json.loads(ctl(blocked, "migrate-check", "--json")[1])["objects"]
               if each["result"] == "not possible"}
    assert list(refused) == ["scored", "scored"] or set(refused) == {"scored"}, refused
    assert "classic" in refused["scored"]["why"]
    assert ctl(blocked, "migrate-check")[0] == 4
    must(blocked.url, "PUT", "/plain-words/_doc/2", {"text": "two"})
    must(blocked.url, "PUT", "/scored/_doc/2", {"text": "two"})
    wait_until(lambda: request(blocked.standby.url, "GET", "/plain-words/_doc/2").status == 200
               and request(blocked.standby.url, "GET", "/plain-words/_doc/1").status == 200, 60, "the other goes on")
    (wrong,) = wait_until(lambda: [each for each in blocked.replicator.status()["indices"]
                                   if each["name"] == "scored" and each["state"] == "held"], 30, "it is said")
    assert "classic" in wrong["why"], wrong
    assert "classic" in blocked.ctl("status", check=False)
    assert request(blocked.standby.url, "HEAD", "/scored").status == 404
    # Mended on the old cluster it goes on by itself.
    for method, path, body in (("POST", "_close", None), ("PUT", "_settings", {"index.similarity.mine.type": "BM25"}),
                               ("POST", "_open", None)):
        must(blocked.primary.url, method, "/scored/" + path, body)
    must(blocked.primary.url, "DELETE", "/_template/scored")
    for id in "12":
        wait_until(lambda: request(blocked.standby.url, "GET", "/scored/_doc/" + id).status == 200, 60, "it is there")
    blocked.wait_equal()
