"""history.py - what a full cluster costs: seeding beside the standby's own bulk speed; the audit of 1,000 shards.

The engines share the processors with everything else here, so only numbers of one run compare.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import statistics
import time

import contenders
import processes
import tandem
from engine import MAIN_KIND, Engine, start_all
from through_engines import INDEX, Link, bulks

SEED_DOCUMENTS = 300000
AUDIT_INDICES, AUDIT_SHARDS = 100, 10
AUDIT_INTERVAL_S = 1
AUDIT_WATCHED_S = 60
STATS = ("/_stats/docs?level=shards&filter_path=indices.*.uuid,indices.*.shards.*.seq_no,"
         "indices.*.shards.*.routing")


def _fill(load, url, index, documents):
    while True:
        count = tandem.request(url, "POST", "/%s/_refresh" % index) and tandem.request(
            url, "GET", "/%s/_count" % index).json()["count"]
        if count >= documents:
            return count
        bulks(load, url, index, 5, warm_up=0)


def _seeded_per_second(system, index):
    pattern = re.compile(r"index %s is seeded \(documents=(\d+) bytes=\d+ seconds=([\d.]+)\)" % index)

    def found():
        with open(system.replicator.log_path) as log:
            return pattern.search(log.read())
    processes.wait_until(found, 900, "the index is seeded", 0.5)
    return int(found().group(1)) / float(found().group(2))


def _pair(folder, name, settings):
    engines = [Engine(MAIN_KIND, name + "-" + which, folder=os.path.join(folder, name + "-" + which))
               for which in ("a", "b")]
    start_all(engines)
    primary, standby = engines
    return engines, tandem.Tandem(os.path.join(folder, name), primary, {"b": standby}, dict({
        "proxy.threads": 1, "journal.size_max": "8GB"}, **settings))


def _end(system, engines):
    system.kill()
    for engine in engines:
        engine.stop()


def seeding(folder, load, seconds):
    """A cluster that is full when Tandem comes; no other load meanwhile."""
    engines, system = _pair(folder, "seeding", {})
    primary, standby = engines
    try:
        for url, index in ((primary.url, "full"), (standby.url, "own")):
            tandem.request(url, "PUT", "/" + index, INDEX)
        bulks(load, standby.url, "own", 2 * seconds)  # it compiles itself meanwhile
        count = _fill(load, primary.url, "full", SEED_DOCUMENTS)
        own = [bulks(load, standby.url, "own", seconds) for _ in range(3)]
        tandem.request(standby.url, "DELETE", "/own")
        system.start()
        return {"seed_documents": count, "own": statistics.median(own),
                "seeded": _seeded_per_second(system, "full")}
    finally:
        _end(system, engines)


def audit(folder):
    """What one round costs: the primary's answer, and the replicator's work with it."""
    engines, system = _pair(folder, "audit", {"audit.interval": "0s"})
    primary, standby = engines
    settings = {"settings": {"number_of_shards": AUDIT_SHARDS, "number_of_replicas": 0}}
    try:
        for engine in engines:
            tandem.request(engine.url, "PUT", "/_cluster/settings",
                           {"transient": {"cluster.max_shards_per_node": 5000}})
        system.start()
        for n in range(AUDIT_INDICES):
            index = "/many-%d" % n
            status = tandem.request(system.url, "PUT", index, settings, timeout_s=120).status
            if status != 200 or tandem.request(system.url, "PUT", index + "/_doc/1", {"n": n}).status != 201:
                raise SystemExit("an index of the bench could not be made (%d)" % status)
        system.wait_caught_up(600)
        before, bytes_, took = contenders.cpu_seconds(primary.child.pid), 0, []
        link = Link(primary.url)
        for _ in range(20):
            begin = time.perf_counter()
            bytes_ = link.ask_size("GET", STATS)
            took.append((time.perf_counter() - begin) * 1000)
        stats_cpu = (contenders.cpu_seconds(primary.child.pid) - before) / 20
        system.settings["audit"] = {"interval": "%ds" % AUDIT_INTERVAL_S}
        system.write_config()
        idle = _watched(system)
        system.replicator.restart()
        processes.wait_until(lambda: len(system.replicator.status()["standby"]["audit"]) != 0, 60, "an audit", 0.5)
        return {"audit_shards": AUDIT_INDICES * AUDIT_SHARDS, "stats_ms": statistics.median(took),
                "stats_kb": bytes_ / 1000, "stats_cpu_ms": stats_cpu * 1000,
                "round_cpu_ms": (_watched(system) - idle) / AUDIT_WATCHED_S * AUDIT_INTERVAL_S * 1000}
    finally:
        _end(system, engines)


def _watched(system):
    """Seconds of processor that the replicator used meanwhile."""
    before = contenders.cpu_seconds(system.replicator.child.pid)
    time.sleep(AUDIT_WATCHED_S)  # this is what is measured, not waited for
    return contenders.cpu_seconds(system.replicator.child.pid) - before


def run(folder, load, seconds):
    """All of it; a dict of numbers."""
    results = seeding(folder, load, seconds)
    results.update(audit(folder))
    return results
