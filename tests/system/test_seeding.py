"""test_seeding.py - what indices held before Tandem saw them is copied while writes go on.

Each test has content on the primary before its Tandem starts, and ends with primary and standby equal.

SPDX-License-Identifier: Apache-2.0
"""

import json
import random
import signal
import threading
import time

import pytest

from processes import wait_until
from shared import equal_indices, lines, must, shared_tandem
from standbys import ONE_SHARD, index_status, on_standby, write
from tandem import request

SEEDED_S = 60
ALL = 3000


def fill(url, index, count, shards=3, routed=False, mappings=None, type=None):
    """COUNT documents straight into INDEX; each third was deleted and each fifth written twice."""
    must(url, "PUT", "/" + index, {"settings": {"number_of_shards": shards, "number_of_replicas": 0},
                                   **({"mappings": mappings} if mappings else {})})
    for begin in range(0, count, 1000):
        body = []
        for n in range(begin, min(begin + 1000, count)):
            action = {"_id": "d%d" % n, **({"_type": type} if type else {})}
            if routed and n % 2:
                action["routing"] = "r%d" % (n % 7)
            body += [{"index": action}, {"n": n, "text": "x" * (n % 50), "was": "there"}]
            if n % 3 == 0:
                body.append({"delete": action})
            elif n % 5 == 0:
                body += [{"index": action}, {"n": n, "again": True}]
        answer = must(url, "POST", "/%s/_bulk" % index, lines(*body), {"Content-Type": "application/x-ndjson"})
        assert not answer["errors"], answer


def is_filling(tandem, index):
    status = index_status(tandem, index)
    return status is not None and status["state"] == "filling"


def is_seeded(tandem, index):
    return request(tandem.standby.url, "HEAD", "/" + index).status == 200 and index_status(tandem, index) is None


def wait_seeded(tandem, *indices, deadline_s=SEEDED_S):
    for index in indices:
        wait_until(lambda: is_seeded(tandem, index), deadline_s, index + " is seeded")


def seeding(settings=None, equal=True, kind="opensearch-2.19", **indices):
    """A fixture: Tandem on a primary that has INDICES (name -> arguments of fill)."""
    def before(url):
        for name, arguments in indices.items():
            fill(url, name, **arguments)

    @pytest.fixture
    def tandem(request, clusters, run_folder):
        yield from shared_tandem(request, clusters, run_folder, settings, equal=equal, before=before, kind=kind)
    return tandem


plain = seeding(old=dict(count=ALL), routed=dict(count=ALL, shards=2, routed=True), empty=dict(count=0))


def test_what_was_there_before_is_copied(plain):
    wait_seeded(plain, "old", "routed", "empty")
    write(plain, "old", 1, 2)
    must(plain.url, "DELETE", "/old/_doc/d1")
    equal_indices(plain, "old", "routed", "empty")
    log = open(plain.replicator.log_path).read()
    assert "index old is seeded (documents=2000 " in log, log[-3000:]
    # Their numbers are the primary's own.
    theirs = must(plain.standby.url, "GET", "/old/_doc/d2")["_version"]
    ours = must(plain.primary.url, "GET", "/old/_doc/d2")
    assert theirs == ours["_primary_term"] * 2 ** 40 + ours["_seq_no"]


slow = seeding({"seed.rate_max": 400}, old=dict(count=ALL))


def test_what_is_deleted_or_written_meanwhile_stays_so(slow):
    wait_until(lambda: slow.replicator.metrics().find("seed_documents_total{standby=\"b\"} 0") < 0, 20, "it begins")
    doomed = ["d%d" % n for n in range(ALL) if n % 3 and n % 2]
    body = [each for id in doomed for each in ({"delete": {"_id": id}},)]
    assert is_filling(slow, "old"), "the seed was over before the deletes began"
    assert not must(slow.url, "POST", "/old/_bulk", lines(*body))["errors"]
    changed = ["d%d" % n for n in range(ALL) if n % 3 and n % 2 == 0 and n % 7 == 0]
    for id in changed[:20]:
        must(slow.url, "POST", "/old/_update/" + id, {"doc": {"changed": True}})
    wait_seeded(slow, "old")
    slow.wait_caught_up()
    must(slow.standby.url, "POST", "/_refresh")
    left = must(slow.standby.url, "GET", "/old/_count")["count"]
    assert left == ALL - ALL // 3 - len(doomed), "a page brought back what was deleted"


def test_the_limit_is_kept(slow):
    wait_seeded(slow, "old")
    log = open(slow.replicator.log_path).read()
    took = float(log.split("index old is seeded (documents=2000 ")[1].split("seconds=")[1].split(")")[0])
    assert took > 3, "2000 documents at 400/s took only %.1f s" % took


big = seeding({"seed.rate_max": 4000}, old=dict(count=12000), routed=dict(count=6000, routed=True))


def test_kills_in_the_middle_lose_nothing(big, seed):
    chance, ended = random.Random(seed), threading.Event()

    def keep_writing():
        n = 0
        while not ended.is_set():
            n += 1
            index = chance.choice(["old", "routed"])
            try:
                big.request("PUT", "/%s/_doc/live%d" % (index, n % 500), {"live": n})
                big.request("DELETE", "/%s/_doc/d%d" % (index, chance.randrange(6000)))
            except OSError:
                time.sleep(0.05)  # it is being killed

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        for _ in range(5):
            before = seen(big)
            wait_until(lambda: seen(big) > before + chance.randrange(1500) or is_seeded(big, "old"), 30,
                       "the seed goes on")
            daemon = chance.choice([big.replicator, big.replicator, big.proxy])
            daemon.kill9()
            daemon.start()
    finally:
        ended.set()
        writer.join()
    wait_seeded(big, "old", "routed")


def seen(tandem):
    """How many documents the standby has."""
    return sum(each["total"]["indexing"]["index_total"]
               for each in must(tandem.standby.url, "GET", "/_stats/indexing")["indices"].values())


manual = seeding({"seed.mode": "manual"}, equal=False, old=dict(count=30, shards=1), other=dict(count=3, shards=1))


def test_by_hand_only_what_was_asked_for(manual):
    wait_until(lambda: is_filling(manual, "old") and is_filling(manual, "other"), 20, "both are filling")
    assert "tandemctl seed" in manual.ctl("status", check=False)
    assert "1 to be seeded" in manual.ctl("seed", "--index", "ol*")
    wait_seeded(manual, "old")
    equal_indices(manual, "old")
    assert is_filling(manual, "other") and request(manual.standby.url, "GET", "/other/_doc/d1").status == 404
    # What is not filling is not copied again by mistake, but can be.
    assert manual.ctl("seed", "--index", "old", check=False) == ""
    manual.ctl("seed", "--index", "old", "--again")
    wait_seeded(manual, "old")
    manual.ctl("seed")
    wait_seeded(manual, "other")
    equal_indices(manual, "other")


later = seeding({"seed.hours": '"00:00-00:01"'}, old=dict(count=30))


def test_out_of_hours_nothing_is_read(later):
    now = time.localtime()
    minutes = now.tm_hour * 60 + now.tm_min
    set_hours(later, (minutes + 600) % 1440, (minutes + 660) % 1440)
    later.replicator.restart()
    wait_until(lambda: "hour" in ((index_status(later, "old") or {}).get("seed") or {}).get("why", ""), 20,
               "it is said what it waits for")
    assert "hour" in later.ctl("status", check=False)
    set_hours(later, (minutes - 10) % 1440, (minutes + 60) % 1440)
    later.replicator.child.send_signal(signal.SIGHUP)
    wait_seeded(later, "old")


def set_hours(tandem, begin, end):
    tandem.settings["seed"]["hours"] = '"%02d:%02d-%02d:%02d"' % (begin // 60, begin % 60, end // 60, end % 60)
    tandem.write_config()


unreadable = seeding(equal=False, dark=dict(count=3, mappings={"_source": {"enabled": False}}),
                     part=dict(count=3, mappings={"_source": {"excludes": ["text"]}}), old=dict(count=3))


def test_what_cannot_be_read_back_is_said(unreadable):
    for index, word in (("dark", "_source off"), ("part", "out of _source")):
        status = wait_until(lambda: (index_status(unreadable, index) or {}).get("seed"), 20, "it is shown")
        assert word in wait_until(lambda: index_status(unreadable, index)["seed"]["why"], 20, "it is said why")
        assert word in json.dumps(index_status(unreadable, index)) and status["state"] == "asked"
    assert "_source" in unreadable.ctl("status", check=False)
    wait_seeded(unreadable, "old")
    equal_indices(unreadable, "old")


narrow = seeding({"seed.mode": "manual", "standbys.window_bytes": "2MB", "standbys.bulk_bytes": "512KB"},
                 old=dict(count=30000, shards=2))


def test_pages_are_read_ahead_up_to_half_of_the_window(narrow):
    wait_until(lambda: is_filling(narrow, "old"), 20, "it is filling")
    narrow.standby.pause()
    try:
        narrow.ctl("seed")
        wait_until(lambda: read_bytes(narrow) > 700000, 20, "it reads on, although nothing is written")
        for _ in range(20):
            time.sleep(0.1)  # for as long as this it is looked for what must not happen
            assert read_bytes(narrow) < 1500000, "it reads more than it may hold"
    finally:
        narrow.standby.resume()
    wait_seeded(narrow, "old")


def read_bytes(tandem):
    return int(tandem.replicator.metrics().split("\ntandem_standby_seed_bytes_total{standby=\"b\"} ")[1].split()[0])


# --- indices that come with content, while Tandem runs ---------------------------------------------

@pytest.fixture
def running(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


@pytest.mark.parametrize("how", ["clone", "shrink", "split"])
def test_a_resized_index_is_filled_and_its_source_may_go(running, how):
    must(running.url, "PUT", "/source", {"settings": {"number_of_shards": 2, "number_of_replicas": 0,
                                                      "number_of_routing_shards": 4}})
    write(running, "source", *range(60))
    must(running.url, "DELETE", "/source/_doc/7")
    must(running.url, "PUT", "/source/_settings", {"index.blocks.write": True})
    must(running.url, "POST", "/source/_%s/target" % how, {"settings": {
        "index.number_of_replicas": 0, "index.blocks.write": None,
        "index.number_of_shards": {"clone": 2, "shrink": 1, "split": 4}[how]}})
    must(running.url, "DELETE", "/source")
    write(running, "target", 3, 61)
    wait_seeded(running, "target")
    wait_until(lambda: request(running.standby.url, "HEAD", "/source").status == 404, 20, "the source may go")


def test_an_alias_moves_when_the_index_is_filled(running):
    must(running.url, "PUT", "/one", {**ONE_SHARD, "aliases": {"shown": {}}})
    write(running, "one", *range(20))
    must(running.url, "PUT", "/one/_settings", {"index.blocks.write": True})
    must(running.url, "POST", "/one/_clone/two", {"settings": {"index.number_of_replicas": 0,
                                                               "index.blocks.write": None}})
    must(running.url, "POST", "/_aliases", {"actions": [{"remove": {"index": "one", "alias": "shown"}},
                                                        {"add": {"index": "two", "alias": "shown"}}]})
    must(running.url, "DELETE", "/one")
    wait_seeded(running, "two")
    wait_until(lambda: list(must(running.standby.url, "GET", "/_alias/shown")) == ["two"], 20, "the alias moves")


def test_what_the_standby_lost_and_the_journal_forgot_is_seeded(running):
    running.settings["journal"].update({"keep_size": "1MB", "keep_age": "1s"})
    running.write_config()
    write(running, "kept", *range(50))
    running.wait_caught_up()
    running.replicator.stop()
    running.proxy.restart()
    running.replicator.start()

    def trimmed():
        write(running, "noise", 1)
        return running.proxy.status()["journal"]["first_seq"] > 60
    wait_until(trimmed, 60, "the beginning is trimmed")
    running.replicator.stop()
    must(running.standby.url, "DELETE", "/kept")
    running.replicator.start()
    wait_seeded(running, "kept")
    running.wait_caught_up()
    assert on_standby(running, "kept", 49)


# --- other engines ---------------------------------------------------------------------------------

es8 = seeding(kind="elasticsearch-8.8", old=dict(count=ALL, routed=True))
es7 = seeding(kind="elasticsearch-7.10", old=dict(count=ALL, routed=True))
es6 = seeding(kind="elasticsearch-6.8", old=dict(count=ALL, routed=True, type="_doc"), typed=dict(count=90, type="book"))


@pytest.mark.long
@pytest.mark.limit(400)
@pytest.mark.parametrize("engine", ["es6", "es7", "es8"])
def test_other_engines_too(request, engine):
    tandem = request.getfixturevalue(engine)
    indices = ["old", "typed"] if engine == "es6" else ["old"]
    wait_seeded(tandem, *indices)
    must(tandem.url, "PUT", "/old/_doc/d1", {"live": True})
    tandem.wait_caught_up()
    equal_indices(tandem, *indices)


@pytest.mark.long
@pytest.mark.limit(900)
def test_a_million_documents_under_load_with_kills(million, seed):
    chance, ended = random.Random(seed), threading.Event()

    def keep_writing(number):
        mine = random.Random(seed + number)
        while not ended.is_set():
            body = []
            for _ in range(20):
                action = {"_id": "d%d" % mine.randrange(1000000)}
                body += [{"delete": action}] if mine.random() < 0.3 else [{"index": action}, {"live": mine.random()}]
            try:
                million.request("POST", "/old/_bulk", lines(*body), {"Content-Type": "application/x-ndjson"})
            except OSError:
                time.sleep(0.05)  # it is being killed

    writers = [threading.Thread(target=keep_writing, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(6):
            before = seen(million)
            wait_until(lambda: seen(million) > before + 50000 + chance.randrange(50000) or is_seeded(million, "old"),
                       120, "the seed goes on")
            victim = chance.choice([million.replicator, million.proxy, million.standby])
            victim.kill9()
            victim.restart()
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    wait_seeded(million, "old", deadline_s=600)
    million.wait_caught_up(300)
    equal_indices(million, "old")


million = seeding(equal=False, old=dict(count=1000000, shards=3))
