"""through_engines.py - what a user of two real clusters sees: lag, bulk indexing, catching up.

The engines share the processors with everything else here, so only numbers of one run compare:
bulks direct to the primary, through Tandem with the replicator paused (what the proxy costs), and
with the standby kept up to date meanwhile (two engines and Tandem on the same processors).

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import itertools
import json
import os
import statistics
import time

import contenders
import processes
import tandem
from engine import MAIN_KIND, Engine, start_all

DOCUMENT_BYTES = 1100
DOCUMENTS = 1000  # in a bulk
WRITERS = 8
# A write waits for a read of the cluster state while its index is younger than a minute.
SETTLED_S = 62
INDEX = {"settings": {"index.number_of_shards": 1, "index.number_of_replicas": 0,
                      "index.refresh_interval": "30s"}}


class Link:
    """A connection that is kept."""

    def __init__(self, url):
        host, port = url.split("//")[1].split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=60)

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json"} if body else {}
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer.status

    def ask_size(self, method, path):
        """Bytes of the answer."""
        self.connection.request(method, path)
        return len(self.connection.getresponse().read())


_numbers = itertools.count()


def quantile(values, q):
    return sorted(values)[int(q * (len(values) - 1))]


def _lag(system, writes):
    """From acknowledged to readable by id on the standby, in ms, one write at a time."""
    through, standby = Link(system.url), Link(system.standby.url)
    took = []
    for _ in range(writes):
        path = "/bench/_doc/lag-%d" % next(_numbers)
        status = through.ask("PUT", path, json.dumps({"message": "x" * 1000}))
        begin = time.perf_counter()
        if status != 201:
            raise SystemExit("a write through Tandem was answered %d" % status)
        while standby.ask("GET", path) != 200:
            if time.perf_counter() - begin > 30:
                raise SystemExit("a write did not come to the standby within 30 s")
        took.append((time.perf_counter() - begin) * 1000)
    return took


def bulks(load, url, index, seconds, warm_up=2, options=()):
    """Documents per second of WRITERS writers of bulks."""
    return bulk_numbers(load, url, index, seconds, warm_up, options)["documents_per_second"]


def bulk_numbers(load, url, index, seconds, warm_up=2, options=()):
    """All that is known of such a run; its `documents` are those of the warm-up too."""
    numbers = load(url.split("//")[1], "/%s/_bulk" % index,
                   ["-m", "POST", "-c", WRITERS, "-w", warm_up, "-d", seconds, "-n", DOCUMENTS,
                    "-b", DOCUMENT_BYTES] + list(options), strict=False)
    # An engine that is pressed refuses some: 429.
    numbers["documents_per_second"] = numbers["2xx"] * DOCUMENTS / seconds
    numbers["documents"] = numbers["all"] * DOCUMENTS
    return numbers


def _lag_records(system):
    return system.replicator.standby_status()["lag_records"]


def _measure_bulks(system, primary, load, seconds, rounds):
    """Direct and through Tandem in turn; then what waited for the standby; then all at once."""
    direct, paused, results = [], [], {}
    system.ctl("pause", "b")
    for _ in range(rounds):
        direct.append(bulks(load, primary.url, "direct", seconds))
        paused.append(bulks(load, system.url, "bench", seconds))
    results["direct"] = statistics.median(direct)
    results["through_paused"] = statistics.median(paused)
    results["paused_ratio"] = statistics.median(b / a for a, b in zip(direct, paused))
    behind, begin = _lag_records(system), time.monotonic()
    system.ctl("resume", "b")
    processes.wait_until(lambda: _lag_records(system) == 0, 600, "the standby has caught up", 0.1)
    results["catch_up_records"] = behind
    results["catch_up"] = behind / (time.monotonic() - begin)
    results["through_live"] = bulks(load, system.url, "bench", seconds)
    results["behind_after_live"] = _lag_records(system)
    return results


def run(folder, load, seconds, rounds):
    """All of it; a dict of numbers."""
    engines = [Engine(MAIN_KIND, name, folder=os.path.join(folder, "engine-" + name))
               for name in ("a", "b")]
    start_all(engines)
    primary, standby = engines
    system = tandem.Tandem(os.path.join(folder, "pair"), primary, {"b": standby},
                           {"log.level": "warn", "proxy.threads": 1, "journal.size_max": "8GB",
                            "journal.keep_size": contenders.KEEP_SIZE})
    try:
        system.start()
        for index in ("bench", "direct"):
            tandem.request(system.url, "PUT", "/" + index, INDEX)
        system.wait_caught_up()
        # The engines compile themselves meanwhile.
        until = time.monotonic() + SETTLED_S
        for index in ("bench", "direct"):
            bulks(load, system.url, index, 5)
        system.wait_caught_up(300)
        while time.monotonic() < until:
            _lag(system, 50)
        took = _lag(system, 500)
        results = {"lag_p50_ms": quantile(took, .5), "lag_p99_ms": quantile(took, .99)}
        results.update(_measure_bulks(system, primary, load, seconds, rounds))
    finally:
        system.kill()
        for engine in engines:
            engine.stop()
    return results
