"""test_memory.py - the memory of both programs is bounded: by what is in flight, not by what there was.

Of the release build, which tests/run makes too: what a sanitizer frees it keeps for a while. Counted is
the memory that is a program's own (RssAnon), not what it has mapped of files, which the kernel takes back
when it likes. Primary and standby are scripted clusters, which are as fast as that takes.

    TANDEM_DOCUMENTS=50000000 tests/run test_memory_is_flat_over_many_documents

SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures
import http.client
import json
import os
import resource
import signal
import subprocess
import sys

import pytest

import processes
from scripted import scripted_tandem
from shared import lines
from tandem import ROOT, request

sys.path.append(os.path.join(ROOT, "bench"))
import contenders
import memory

pytestmark = pytest.mark.long

DOCUMENTS = int(os.environ.get("TANDEM_DOCUMENTS", 5_000_000))
IN_BULK = 5000
SENDERS = 4
BODIES = 20  # different ones, sent over and over: so many times IN_BULK documents remain
SETTINGS = {"log.level": "warn", "primary.answer_timeout": "60s", "standbys.request_timeout": "5s",
            "journal.size_max": "8GB", "journal.keep_size": "256MB", "standbys.size_max": "4GB",
            "standbys.window_bytes": "16MB"}
CATCH_UP_S = 600


@pytest.fixture(scope="module", autouse=True)
def release_build():
    """TANDEM_RELEASE names a folder that has one already."""
    folder = os.environ.get("TANDEM_RELEASE")
    if folder is None:
        folder = os.path.join(ROOT, "build", "release")
        for command in (["cmake", "--preset", "release", "-Wno-dev"], ["cmake", "--build", folder]):
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TANDEM_BUILD", folder)
        yield


@pytest.fixture
def tandem(request, run_folder):
    yield from scripted_tandem(request, run_folder, SETTINGS)


def sizes_mb(tandem):
    return {daemon.name: contenders.memory_mb(daemon.child.pid) for daemon in tandem.daemons}


def must_be_flat(before, now):
    for name in before:
        print("%s: %.1f MB, then %.1f MB" % (name, before[name], now[name]))
    for name in before:
        assert now[name] <= 1.1 * before[name] + 20, "%s grew from %.0f to %.0f MB" % (
            name, before[name], now[name])


def bodies():
    return [lines(*(line for n in range(IN_BULK) for line in (
        {"index": {"_id": "%d-%d" % (number, n)}}, {"n": n, "word": "alpha"}))).encode()
        for number in range(BODIES)]


def send(tandem, index, documents, sent=bodies()):
    """DOCUMENTS documents in bulks, by several clients."""
    def sender(numbers):
        link = http.client.HTTPConnection(tandem.url.split("//")[1], timeout=120)
        for number in numbers:
            link.request("POST", "/%s/_bulk" % index, sent[number % BODIES],
                         {"Content-Type": "application/x-ndjson"})
            answer = link.getresponse()
            text = answer.read()
            assert answer.status == 200 and b'"errors":false' in text[:100], (answer.status, text[:300])
        link.close()
    bulks = documents // IN_BULK
    with concurrent.futures.ThreadPoolExecutor(SENDERS) as pool:
        list(pool.map(sender, [range(first, bulks, SENDERS) for first in range(SENDERS)]))


def count(fake, index):
    return request(fake.url, "GET", "/%s/_count" % index).json()["count"]


@pytest.mark.limit(3600)
@pytest.mark.parametrize("documents", [DOCUMENTS])
def test_memory_is_flat_over_many_documents(tandem, documents):
    tandem.index("books", number_of_shards=3)
    send(tandem, "books", documents // 5)
    tandem.wait_caught_up(CATCH_UP_S)
    before = sizes_mb(tandem)
    send(tandem, "books", documents - documents // 5)
    tandem.wait_caught_up(CATCH_UP_S)
    must_be_flat(before, sizes_mb(tandem))
    assert count(tandem.a, "books") == count(tandem.b, "books") == min(documents, IN_BULK * BODIES)


@pytest.mark.limit(1200)
def test_memory_is_flat_while_a_standby_is_away_and_when_it_catches_up(tandem):
    tandem.index("books", number_of_shards=3)
    send(tandem, "books", 1_000_000)
    tandem.wait_caught_up(CATCH_UP_S)
    processes.signal_group(tandem.b.child, signal.SIGSTOP)
    send(tandem, "books", 100_000)  # more than the replicator's window holds
    before = sizes_mb(tandem)
    send(tandem, "books", 200_000)
    must_be_flat(before, sizes_mb(tandem))
    assert tandem.replicator.standby_status()["lag_records"] > 290_000
    processes.signal_group(tandem.b.child, signal.SIGCONT)
    tandem.wait_caught_up(CATCH_UP_S)
    must_be_flat(before, sizes_mb(tandem))
    assert count(tandem.a, "books") == count(tandem.b, "books") == 100_000


@pytest.mark.limit(900)
def test_bulks_of_90_mb_are_journaled_whole_and_their_memory_is_given_back(tandem):
    """Each is held whole, and copied to rows. malloc keeps some of that, at most about as much as one
    bulk takes; of four of them the most would be missed."""
    documents, size, rounds, kept_mb = 9000, 10_000, 4, 160
    tandem.index("books")
    tandem.put("books", "small", {"n": 1})
    tandem.wait_caught_up(CATCH_UP_S)
    before = sizes_mb(tandem)
    for round in range(rounds):
        body = "".join('{"index":{"_id":"%d-%d"}}\n{"text":"%s"}\n' % (round, n, "x" * size)
                       for n in range(documents))
        assert len(body) > 90e6
        answer = tandem.request("POST", "/books/_bulk", body, timeout_s=300)
        assert answer.status == 200 and answer.headers["x-tandem-outcome"] == "applied", answer
        assert [item["index"]["status"] for item in json.loads(answer.body)["items"]] == [201] * documents
        if round == 0:  # later the first ones are trimmed
            rows = [line[:200] for line in tandem.rows("books") if " row index " in line[:200]]
            assert len(rows) == documents + 1, rows[:5]
    tandem.equal("books")
    assert count(tandem.b, "books") == rounds * documents + 1
    print("from %s to %s" % (before, sizes_mb(tandem)))
    for name, now in sizes_mb(tandem).items():
        assert now < before[name] + kept_mb, "%s keeps %.0f MB, before it had %.0f" % (name, now, before[name])


@pytest.mark.limit(300)
def test_ten_thousand_idle_connections_and_slow_readers_cost_little(run_folder):
    """What bench/run measures of it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = memory.IDLE + 1000
    if hard < needed:
        pytest.skip("needs %d descriptors, allowed are %d" % (needed, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, needed), hard))
    folder = os.path.join(run_folder, "connections")
    os.makedirs(folder)
    servers = [contenders.start_stub(folder)]
    try:
        servers.append(contenders.start_tandem(folder, servers[0]))
        got = memory.measure(servers[1], print)
    finally:
        for server in reversed(servers):
            server.end()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert memory.idle_kb(got) <= memory.IDLE_KB, got
    assert got["slow"] <= memory.slow_max_mb(got), got
    assert got["slow"] >= got["after idle"] + 10, ("nobody was slow", got)
    assert got["after slow"] <= got["after idle"] + 32, ("not given back", got)
