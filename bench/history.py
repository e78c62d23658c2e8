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
from through_engines import INDEX, Link, bulk_numbers, bulks

SEED_DOCUMENTS = 600000
GIVEN = ["-i"]  # to load: ids and versions
# The standby's index is to be refreshed as seldom as those beside it.
SEED_SETTINGS = {"seed.mode": "manual", "standbys.settings_override": ["full index.refresh_interval=30s"]}
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


class _Meter:
    """What processes use of the processors meanwhile."""

    def __init__(self, **pids):
        self.pids = pids
        self.before = {name: contenders.cpu_seconds(pid) for name, pid in pids.items()}
        self.begin = time.perf_counter()

    def read(self):
        """Seconds of processor by name, and the shares of all processors."""
        took = time.perf_counter() - self.begin
        used = {name: contenders.cpu_seconds(pid) - self.before[name] for name, pid in self.pids.items()}
        return used, {name: cpu / took / os.cpu_count() for name, cpu in used.items()}


def _own(load, standby, index, seconds, options=()):
    """The standby's own bulks: documents a second, its processor time for each in ms, its share of the processors."""
    meter = _Meter(standby=standby.child.pid)
    numbers = bulk_numbers(load, standby.url, index, seconds, options=options)
    used, shares = meter.read()
    return {"per_second": numbers["documents_per_second"], "share": shares["standby"],
            "cpu_ms": used["standby"] * 1000 / numbers["documents"]}


def _median(runs):
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _seeded(system, primary, standby, index):
    """The same of the seed of INDEX, with the shares of everybody."""
    def said(pattern):
        with open(system.replicator.log_path) as log:
            return re.search(pattern % re.escape(index), log.read())

    def begun():
        meter = _Meter(standby=standby.child.pid, primary=primary.child.pid, replicator=system.replicator.child.pid)
        return "1 to be seeded" in system.ctl("seed", check=False) and meter

    meter = processes.wait_until(begun, 60, "the index is known")
    found = processes.wait_until(
        lambda: said(r"index %s is seeded \(documents=(\d+) bytes=\d+ seconds=([\d.]+)\)"), 900,
        "the index is seeded", 0.05)
    used, shares = meter.read()
    documents = int(found.group(1))
    return {"per_second": documents / float(found.group(2)), "shares": shares, "share": shares["standby"],
            "cpu_ms": used["standby"] * 1000 / documents,
            "replicator_cpu_ms": used["replicator"] * 1000 / documents,
            "primary_cpu_ms": used["primary"] * 1000 / documents}


def _pair(folder, name, settings):
    engines = [Engine(MAIN_KIND, name + "-" + which, folder=os.path.join(folder, name + "-" + which))
               for which in ("a", "b")]
    start_all(engines)
    primary, standby = engines
    return engines, tandem.Tandem(os.path.join(folder, name), primary, {"b": standby}, dict({
        "log.level": "info", "proxy.threads": 1, "journal.size_max": "8GB"}, **settings))


def _end(system, engines):
    system.kill()
    for engine in engines:
        engine.stop()


def seeding(folder, load, seconds):
    """A cluster that is full when Tandem comes; no other load meanwhile.

    Beside it stand the standby's own bulks, in turn: with ids that the engine gives, which it need
    not look up and no replication can use, and with given ids and external versions.
    """
    engines, system = _pair(folder, "seeding", SEED_SETTINGS)
    primary, standby = engines
    try:
        for url, index in ((primary.url, "full"), (standby.url, "own"), (standby.url, "given")):
            tandem.request(url, "PUT", "/" + index, INDEX)
        bulks(load, standby.url, "own", seconds)  # it compiles itself meanwhile
        bulks(load, standby.url, "given", seconds, options=GIVEN)
        count = _fill(load, primary.url, "full", SEED_DOCUMENTS)
        own, given = [], []
        for _ in range(3):
            own.append(_own(load, standby, "own", seconds))
            given.append(_own(load, standby, "given", seconds, GIVEN))
        for index in ("own", "given"):
            tandem.request(standby.url, "DELETE", "/" + index)
        system.start()
        return {"seed_documents": count, "own": _median(own), "given": _median(given),
                "seeded": _seeded(system, primary, standby, "full")}
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
