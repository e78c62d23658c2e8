"""test_failpoints.py - every step of a write and of its replay, with a death, an error and a delay at each.

The steps are named in the sources, FAILPOINT("P3b"): P0 admitted, P1 body complete, P2 prepared, P3a before the transaction, P3b
before its commit, P3c intent durable, P5 before the first byte to the primary, P6 behind the last, P7 answered, P8 rows being
written, P9 before the first byte to the client, P10 behind it; R0 read, R1 decode, R2 group, R3 before the bulk, R4
answered, R5 verdicts, R6 before the checkpoint, R7 before the journal is trimmed.

Each death is seen by the process that is gone, each delay by writers that go on; what an error does depends on the step, and
is listed in ERRORS, so that an error that never happened is no success.

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import os
import re
import socket

import pytest

from processes import wait_until
from tandem import FREES
from test_kills import ENDLESS, Resources, check_journal, wait_progress
from test_mixed_workload import opensearch
from workload import Workload

PROXY_STEPS = ["P0", "P1", "P2", "P3a", "P3b", "P3c", "P5", "P6", "P7", "P8", "P9", "P10"]
REPLICATOR_STEPS = ["R0", "R1", "R2", "R3", "R4", "R5", "R6"]
ACTIONS = ["kill:after(25)", "error:after(25):once", "delay(200):every(9)"]
# One error is mended by a second try (P8), may be outrun by the answer (P6), or hits a connection that nobody looks at (P10).
MORE_THAN_ONCE = ("P6", "P8", "P10")
# How an error shows: a client's answer, a line of the daemon's log, a counter that was 0, a connection that is closed behind
# its answer, or the daemon's end with exit code 1 and a line.
ERRORS = {
    "P0": None, "P9": None, "R2": None,  # nothing can fail there
    "P1": ("answer", "failpoint P1"), "P2": ("answer", "failpoint P2"),
    "P3a": ("end", "ending at once"), "P3b": ("end", "ending at once"),
    "P3c": ("answer", "failpoint P3c"), "P5": ("answer", "failpoint P5"),
    "P6": ("counter", "tandem_primary_failures_total"),  # it may be a document that is read back
    "P7": ("answer", "failpoint P7"), "P8": ("answer", "no room for the outcome"),
    "P10": ("hang up", ""),
    "R0": ("end", "the journal cannot be read at seq"), "R1": ("end", "the journal cannot be read at seq"),
    "R3": ("log", "failpoint R3"), "R4": ("log", r"slow down, or fails: (?!some rows)"),
    "R5": ("end", "the replicator's own tables"), "R6": ("end", "the replicator's own tables"),
    "R7": ("end", "old records could not be dropped")}


class Effects:
    """What was said from now on."""

    def __init__(self, daemon, workload):
        self.daemon, self.workload = daemon, workload
        self.answers = len(workload.reasons)
        self.log_size = os.path.getsize(daemon.log_path)

    def log(self):
        with open(self.daemon.log_path, errors="replace") as file:
            file.seek(self.log_size)
            return file.read()

    def seen(self, how, what):
        if how == "answer":
            return any(re.search(what, text) for text in list(self.workload.reasons)[self.answers:])
        if how == "hang up":
            return hangs_up(self.daemon.url)
        if how == "counter":
            count = re.search(r"^%s(?:\{.*\})? (\d+)$" % what, self.daemon.metrics(), re.MULTILINE)
            return int(count.group(1)) > 0
        ended = how != "end" or not self.daemon.running() and self.daemon.child.returncode == 1
        return ended and re.search(what, self.log()) is not None


def hangs_up(url):
    """True when a connection that may be used again is closed behind the answer to a write."""
    connection = http.client.HTTPConnection(*url.split("//")[1].split(":"), timeout=30)
    try:
        connection.request("PUT", "/hung-up/_doc/1", b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert not answer.will_close
        connection.sock.settimeout(0.2)
        return connection.sock.recv(1) == b""
    except socket.timeout:
        return False  # it stays open
    except (ConnectionError, http.client.HTTPException):
        return True
    finally:
        connection.close()


def wait_for_error(daemon, step, effects, workload, before):
    if ERRORS[step] is None:
        wait_until(lambda: sum(workload.tally.values()) >= before + 60, 60, "the writers go on")
        return
    how, what = ERRORS[step]
    if how != "end":
        daemon.wait_ready()
    wait_until(lambda: effects.seen(how, what), 60, "an error at %s shows: %s %s" % (step, how, what))


def go_through(daemon, step, tandem, workload):
    for action in ACTIONS:
        daemon.stop()
        if step in MORE_THAN_ONCE:
            action = action.removesuffix(":once")
        daemon.environment = dict(FREES, TANDEM_FAILPOINTS="%s=%s" % (step, action))
        effects = Effects(daemon, workload)
        before = sum(workload.tally.values())
        daemon.spawn()  # it may die before it was seen to be ready
        if action.startswith("kill"):
            wait_until(lambda: not daemon.running(), 60, "%s dies at %s" % (daemon.name, step))
        elif action.startswith("error"):
            wait_for_error(daemon, step, effects, workload, before)
        else:
            wait_until(lambda: sum(workload.tally.values()) >= before + 60, 60, "the writers go on")
            assert daemon.running(), "%s ends of a delay at %s" % (daemon.name, step)
        if not daemon.running():
            daemon.child = None
            daemon.environment = dict(FREES)
            daemon.start()
    daemon.stop()
    daemon.environment = dict(FREES)
    daemon.start()
    wait_progress(tandem, workload, 20)


def run_step(tandem, seed, daemon, step):
    resources = Resources(tandem)
    workload = Workload(seed, opensearch(tandem.url), operations=ENDLESS, writers=6, tolerant=True)
    workload.prepare()
    workload.start()
    try:
        go_through(daemon, step, tandem, workload)
    finally:
        workload.stop()
        workload.wait()
    tandem.wait_caught_up()
    assert not workload.unexpected, workload.unexpected[:5]
    workload.check_ledger(tandem)
    check_journal(tandem)
    resources.check()


@pytest.mark.parametrize("step", PROXY_STEPS)
def test_a_write_that_is_cut_at(step, tandem, seed):
    run_step(tandem, seed, tandem.proxy, step)


@pytest.mark.parametrize("step", REPLICATOR_STEPS)
def test_a_replay_that_is_cut_at(step, tandem, seed):
    run_step(tandem, seed, tandem.replicator, step)


@pytest.mark.long
@pytest.mark.settings({"journal.keep_size": "64KB", "journal.keep_age": "1s"})
def test_a_journal_that_is_cut_while_it_is_trimmed(tandem, seed):
    run_step(tandem, seed, tandem.proxy, "R7")
