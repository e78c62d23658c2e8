"""test_journal_faults.py - the journal's disk is full, broken, lost, damaged, shared or held back; no promise is broken by it.

A journal on a tiny disk needs a tmpfs of its own (mount, as root), a broken disk needs strace: where these are not
allowed the test is skipped and says so.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import shutil
import subprocess
import time

import pytest

from clusters import make_empty
from processes import end, last_lines, spawn, wait_until
from shared import must
from tandem import program, request
from test_kills import ENDLESS, check_journal, wait_progress
from test_mixed_workload import opensearch
from workload import Workload

MB = 1 << 20
PAYLOAD = {"settings": {"number_of_shards": 1, "number_of_replicas": 0},
           "mappings": {"properties": {"text": {"type": "keyword", "index": False, "doc_values": False}}}}


def put(tandem, index, id, size=0):
    return tandem.request("PUT", "/%s/_doc/%s" % (index, id), {"n": 1, "text": "x" * size})


def on_primary(tandem, index, id):
    return request(tandem.primary.url, "GET", "/%s/_doc/%s?_source=false" % (index, id)).status == 200


def refused_whole(answer):
    """A write that was not done, and says so."""
    assert answer.status == 503 and answer.headers.get("x-tandem-outcome") == "not-applied", answer
    assert "x-tandem-seq" not in answer.headers, answer
    return "no room" in answer.json()["error"]["reason"]


def log_of(daemon):
    with open(daemon.log_path, errors="replace") as file:
        return file.read()


def wait_log(daemon, text, deadline_s=20):
    wait_until(lambda: text in log_of(daemon), deadline_s, "%s logs %r" % (daemon.name, text))


def run_to_its_end(daemon):
    """Starts a program that should not stay; its exit code and what it said."""
    before = len(log_of(daemon)) if os.path.exists(daemon.log_path) else 0
    daemon.spawn()
    code = daemon.child.wait(60)
    daemon.child = None
    return code, log_of(daemon)[before:]


def begin_standby_anew(tandem):
    """As docs/operations.md says it."""
    if tandem.replicator.running():
        tandem.replicator.stop()
    make_empty(tandem.standby)
    folder = os.path.join(tandem.folder, "standby-" + tandem.replicator.standby)
    shutil.rmtree(folder)
    os.makedirs(folder)
    tandem.replicator.start()


# ---- D1: a full disk ----

@pytest.fixture
def tiny_disk(request, run_folder):
    """A tmpfs of 12 MB for the journal, with a file of 4 MB in the way."""
    folder = os.path.join(run_folder, "tiny-disk")
    os.makedirs(folder, exist_ok=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12M", "tmpfs", folder],
                             capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip("no tmpfs can be mounted here: " + mounted.stderr.strip())
    with open(os.path.join(folder, "ballast"), "wb") as file:
        file.write(b"\0" * 4 * MB)
    request.node.add_marker(pytest.mark.settings({"journal.folder": folder}))
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(tandem, written):
    """Writes until it is refused; the ids that were acknowledged are added to WRITTEN."""
    for n in range(len(written), len(written) + 200):
        answer = put(tandem, "filled", n, 150_000)
        if answer.status != 201:
            assert refused_whole(answer), answer
            assert not on_primary(tandem, "filled", n)
            return n
        written.append(n)
    raise AssertionError("the disk of 12 MB took it all")


def test_a_full_disk_refuses_writes_whole_until_there_is_room(tiny_disk, tandem):
    must(tandem.url, "PUT", "/filled", PAYLOAD)
    written = []
    refused = fill(tandem, written)
    assert tandem.proxy.status()["state"] == "readonly"
    assert any("journal is full" in each["text"] for each in tandem.proxy.status()["problems"])
    assert "make room" in tandem.ctl("status", check=False)
    wait_log(tandem.proxy, "no room is left: writes are refused")
    for _ in range(3):  # it stays so, and reads go on
        refused_whole(put(tandem, "filled", refused, 10))
        assert tandem.request("GET", "/filled/_doc/0").status == 200
    assert not on_primary(tandem, "filled", refused)

    os.unlink(os.path.join(tiny_disk, "ballast"))
    wait_until(lambda: put(tandem, "filled", "room", 10).status == 201, 20, "there is room again")
    wait_until(lambda: tandem.proxy.status()["state"] == "active", 10, "it is active")

    fill(tandem, written)
    subprocess.run(["mount", "-o", "remount,size=64M", tiny_disk], check=True)
    wait_until(lambda: put(tandem, "filled", "grown", 10).status == 201, 20, "the disk has grown")
    assert tandem.proxy.status()["open_intents"] == 0
    tandem.wait_caught_up()
    check_journal(tandem)
    for n in written:
        assert request(tandem.standby.url, "GET", "/filled/_doc/%d?_source=false" % n).status == 200


def test_a_proxy_started_on_a_full_disk_serves_reads_and_recovers(tiny_disk, tandem):
    must(tandem.url, "PUT", "/filled", PAYLOAD)
    refused = fill(tandem, [])
    tandem.proxy.stop()
    tandem.proxy.spawn()
    wait_until(lambda: alive(tandem) and tandem.request("GET", "/filled/_doc/0").status == 200, 30,
               "reads pass")
    assert put(tandem, "filled", refused, 10).status == 503
    os.unlink(os.path.join(tiny_disk, "ballast"))
    wait_until(lambda: put(tandem, "filled", refused, 10).status == 201, 30, "there is room again")
    check_journal(tandem)


def alive(tandem):
    assert tandem.proxy.running(), last_lines(tandem.proxy.log_path)
    try:
        tandem.proxy.status()
    except OSError:
        return False
    return True


# ---- D2, SB1: the quota is used up while a standby is away ----

def fill_to(tandem, percent):
    """Writes until so much of the journal is used; what was acknowledged."""
    written = []
    journal = tandem.proxy.status()["journal"]
    while journal["used_bytes"] * 100 < journal["size_max"] * percent:
        id = "%d-%d" % (percent, len(written))
        answer = put(tandem, "filled", id, MB)
        assert answer.status == 201, answer
        written.append(id)
        journal = tandem.proxy.status()["journal"]
    return written


SMALL = {"journal.size_max": "64MB", "journal.keep_size": "1MB", "journal.keep_age": "1s"}


@pytest.mark.settings(dict(SMALL, **{"journal.when_full": "block"}))
def test_a_full_map_blocks_writes_until_the_standby_is_back(tandem):
    must(tandem.url, "PUT", "/filled", PAYLOAD)
    tandem.wait_caught_up()
    tandem.replicator.kill9()
    fill_to(tandem, 72)
    wait_log(tandem.proxy, "it is 7")
    assert re.search(r"it is 7\d % full; standby b needs", log_of(tandem.proxy))
    fill_to(tandem, 86)
    wait_until(lambda: re.search(r"it is 8\d % full; standby b needs", log_of(tandem.proxy)), 10,
               "the second alarm")
    assert any("more than 85 % full" in each["text"] for each in tandem.proxy.status()["problems"])
    for n in range(20):
        answer = put(tandem, "filled", "last-%d" % n, MB)
        if answer.status != 201:
            break
    assert refused_whole(answer), answer
    assert not on_primary(tandem, "filled", "last-%d" % n)
    assert tandem.proxy.status()["state"] == "readonly"
    assert tandem.request("GET", "/filled/_doc/72-0").status == 200
    first = tandem.proxy.status()["journal"]["first_seq"]
    time.sleep(1.5)  # a turn of the retention must not change that
    assert refused_whole(put(tandem, "filled", "last", 10))
    assert tandem.proxy.status()["journal"]["first_seq"] == first, "what the standby needs is trimmed"
    tandem.replicator.start()
    wait_until(lambda: put(tandem, "filled", "last", 10).status == 201, 60, "writes are admitted")
    tandem.wait_caught_up()
    assert tandem.proxy.status()["journal"]["first_seq"] > first
    assert not tandem.proxy.status()["standbys"][0]["dropped"]


# Long until rows of an index whose birth was trimmed away wait for nothing when it has ended: as it is, some do.
@pytest.mark.long
@pytest.mark.settings(dict(SMALL, **{"journal.when_full": "drop"}))
def test_a_full_map_drops_the_standby_loudly(tandem):
    must(tandem.url, "PUT", "/filled", PAYLOAD)
    tandem.wait_caught_up()
    tandem.replicator.kill9()
    fill_to(tandem, 86)
    assert not tandem.proxy.status()["standbys"][0]["dropped"]
    for n in range(60):  # as much again: no write may be refused in the end
        answer = put(tandem, "filled", "more-%d" % n, MB)
        if answer.status == 503:  # the retention looks once a second
            refused_whole(answer)
            wait_until(lambda: put(tandem, "filled", "more-%d" % n, MB).status < 300, 10,
                       "writes go on")
    wait_log(tandem.proxy, "standby b is dropped: the journal is full")
    (standby,) = tandem.proxy.status()["standbys"]
    assert standby["dropped"] is True
    assert any("standby b was dropped" in each["text"] and each["level"] == "error"
               for each in tandem.proxy.status()["problems"])
    assert "standby b was dropped" in tandem.ctl("status", check=False)
    code, said = run_to_its_end(tandem.replicator)
    assert code == 1 and " error " in said, said
    must(tandem.url, "DELETE", "/filled")  # its rows are gone: nothing could make it equal
    begin_standby_anew(tandem)
    must(tandem.url, "PUT", "/after/_doc/1", {"n": 1})
    tandem.wait_caught_up()
    wait_until(lambda: not tandem.proxy.status()["standbys"][0]["dropped"], 10, "it is back")


# ---- D3, D4: a broken disk ----

FAULTS = {"sync": "fdatasync:error=EIO:when=1", "late_sync": "fdatasync:error=EIO:when=9",
          "write": "pwrite64,pwritev:error=EIO:when=1", "late_write": "pwrite64:error=EIO:when=12",
          "short_write": "pwrite64,pwritev:retval=1:when=3"}


def break_disk(daemon, fault):
    """From now on the system calls of a running program go wrong as FAULT says."""
    tracer = spawn(["strace", "-f", "-o", os.devnull, "-p", daemon.child.pid, "-e",
                    "trace=" + fault.split(":")[0], "-e", "inject=" + fault],
                   daemon.log_path + ".strace")

    def begun():
        with open(daemon.log_path + ".strace") as file:
            return not daemon.running() or tracer.poll() is not None or "attached" in file.read()
    wait_until(begun, 20, "strace is attached")
    if tracer.poll() is not None and daemon.running():
        pytest.skip("strace may not trace here: " + last_lines(daemon.log_path + ".strace"))
    return tracer


@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace to break a disk with")
@pytest.mark.parametrize("fault", [pytest.param(fault, marks=[pytest.mark.long] * fault.startswith("late"))
                                   for fault in FAULTS])
def test_a_broken_disk_ends_the_proxy(tandem, seed, fault):
    workload = Workload(seed, opensearch(tandem.url), operations=ENDLESS, writers=6, tolerant=True)
    workload.prepare()
    workload.start()
    try:
        wait_progress(tandem, workload, 30)
        tracer = break_disk(tandem.proxy, FAULTS[fault])
        wait_until(lambda: not tandem.proxy.running(), 60, "the proxy ends")
        code = tandem.proxy.child.returncode
        tandem.proxy.child = None
        end(tracer)
        assert code == 1, "exit code %d\n%s" % (code, last_lines(tandem.proxy.log_path))
        said = next(line for line in log_of(tandem.proxy).splitlines() if "ending at once" in line)
        assert " error " in said and re.search(r"Input/output|EIO|disk", said), said
        tandem.proxy.start()
        wait_progress(tandem, workload, 20)
    finally:
        workload.stop()
        workload.wait()
    tandem.wait_caught_up()
    assert not workload.unexpected, workload.unexpected[:5]
    workload.check_ledger(tandem)
    check_journal(tandem)


# ---- D10: one journal, two proxies; C3: a lost journal ----

def test_a_second_proxy_on_the_journal_is_refused(tandem):
    done = subprocess.run([program("tandem-proxy"), "--config", tandem.config], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 2, done
    assert "process %d has the journal in" % tandem.proxy.child.pid in done.stderr, done.stderr
    must(tandem.url, "PUT", "/books/_doc/1", {"n": 1})  # the first one is not disturbed


def test_a_lost_journal_is_not_replaced_until_adopt_says_so(tandem):
    must(tandem.url, "PUT", "/books/_doc/1", {"n": 1})
    must(tandem.url, "PUT", "/empty")
    tandem.wait_caught_up()
    wait_until(lambda: request(tandem.primary.url, "GET", "/.tandem/_doc/primary").status == 200, 10,
               "the trace is there")
    tandem.stop()
    journal = os.path.join(tandem.folder, "journal")
    shutil.rmtree(journal)
    for _ in range(2):  # it must not begin one by trying
        code, said = run_to_its_end(tandem.proxy)
        assert code == 2 and "tandemctl adopt" in said and "it is lost" in said, said
        assert not os.path.exists(os.path.join(journal, "data.mdb"))
    assert "new journal" in tandem.ctl("adopt", "--yes")
    tandem.proxy.start()
    assert tandem.proxy.status()["had_content"] == ["books"]
    code, said = run_to_its_end(tandem.replicator)
    assert code == 1 and " error " in said, said
    begin_standby_anew(tandem)
    must(tandem.url, "PUT", "/books/_doc/2", {"n": 2})
    tandem.wait_caught_up()
    assert request(tandem.standby.url, "GET", "/books/_doc/2").status == 200
    must(tandem.url, "PUT", "/books/_doc/1", {"n": 3})  # what a client writes again travels


# ---- C3: retention; C4: dump and check ----

@pytest.mark.settings({"journal.keep_size": "64KB", "journal.keep_age": "1s"})
def test_retention_trims_but_never_what_a_standby_needs(tandem):
    must(tandem.url, "PUT", "/books/_doc/0", {"n": 0})
    tandem.wait_caught_up()
    tandem.ctl("pause", "b")
    applied = tandem.replicator.standby_status()["applied_seq"]
    for n in range(30):
        must(tandem.url, "PUT", "/books/_doc/%d" % n, {"text": "x" * 10_000})
    time.sleep(2.5)  # older than keep_age, larger than keep_size, and looked at twice
    journal = tandem.proxy.status()["journal"]
    assert journal["first_seq"] <= applied + 1, journal
    dumped = tandem.ctl("journal", "dump", "--from", str(applied + 1))
    assert len(dumped.splitlines()) >= 30
    tandem.ctl("resume", "b")
    tandem.wait_caught_up()
    wait_until(lambda: tandem.proxy.status()["journal"]["first_seq"] > applied + 30, 20, "it is trimmed")
    check_journal(tandem)


@pytest.mark.settings({"journal.keep_age": "365d"})
def test_retention_by_size_trims_young_records(tandem):
    tandem.settings["journal"]["keep_size"] = "64KB"
    tandem.write_config()
    tandem.proxy.restart()
    for n in range(30):
        must(tandem.url, "PUT", "/books/_doc/%d" % n, {"text": "x" * 10_000})
    wait_until(lambda: tandem.proxy.status()["journal"]["first_seq"] > 10, 20, "it is trimmed")


def test_dump_shows_records_and_check_finds_a_flipped_byte(tandem):
    for n in range(5):
        must(tandem.url, "PUT", "/books/_doc/b%d" % n, {"title": "canary-%d" % n})
    must(tandem.url, "PUT", "/other/_doc/b1", {"n": 1})
    must(tandem.url, "DELETE", "/books/_doc/b1")
    tandem.wait_caught_up()
    mine = tandem.ctl("journal", "dump", "--index", "books", "--id", "b1").splitlines()
    assert len(mine) == 2 and "canary-1" in mine[0] and "delete" in mine[1], mine
    seq = int(re.search(r"\d+", mine[1]).group())
    later = tandem.ctl("journal", "dump", "--from", str(seq)).splitlines()
    assert mine[1] in later and mine[0] not in later
    assert len(tandem.ctl("journal", "dump", "--index", "books").splitlines()) >= 6
    tandem.ctl("journal", "check")

    tandem.stop()
    path = os.path.join(tandem.folder, "journal", "data.mdb")
    with open(path, "r+b") as file:
        # Pages are copied when they change: the record may stand in a page that is free as well.
        whole = file.read()
        places = [each.start() for each in re.finditer(b"canary-3", whole)]
        assert places
        for place in places:
            file.seek(place)
            file.write(b"C")
    done = subprocess.run([program("tandemctl"), "--config", tandem.config, "journal", "check"],
                          capture_output=True, text=True, timeout=60)
    damaged = int(re.search(r"\d+", next(line for line in mine if "canary-1" in line)).group()) + 2
    assert done.returncode not in (0, 1, 2), done
    assert re.search(r"\b%d\b" % damaged, done.stdout + done.stderr), (damaged, done)
    with open(path, "r+b") as file:
        file.write(whole)
    tandem.ctl("journal", "check")
