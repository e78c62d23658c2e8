"""test_failpoints.py - every step of a write and of its replay, with a death, an error and a delay at each.

The steps are named in the sources, FAILPOINT("P3b"): P0 admitted, P1 body complete, P2 prepared, P3a before the transaction, P3b
before its commit, P3c intent durable, P5 before the first byte to the primary, P5b when only a part of it was sent, P6 behind the last, P7 answered, P8 rows being
written, P9 before the first byte to the client, P10 behind it; R0 read, R1 decode, R2 group, R3 before the bulk, R4
answered, R5 verdicts, R6 before the checkpoint, R7 before the journal is trimmed.

SPDX-License-Identifier: Apache-2.0
"""

import http.client

import pytest

from processes import wait_until
from scripted import FREES, SOON_S, applied, scripted_tandem, source, writes
from shared import lines
from test_kills import ENDLESS, check_journal, wait_progress
from test_mixed_workload import opensearch
from workload import Workload

PROXY_STEPS = ["P0", "P1", "P2", "P3a", "P3b", "P3c", "P5", "P6", "P7", "P8", "P9", "P10"]
REPLICATOR_STEPS = ["R0", "R1", "R2", "R3", "R4", "R5", "R6"]
ACTIONS = ["kill:after(25)", "error:after(25):once", "delay(200):every(9)"]
ENDS = {"kill": True, "delay": False}  # what an error does depends on the step


def go_through(daemon, step, tandem, workload):
    for action in ACTIONS:
        daemon.stop()
        daemon.environment = {"TANDEM_FAILPOINTS": "%s=%s" % (step, action)}
        daemon.spawn()  # it may die before it was seen to be ready
        if action.startswith("kill"):
            wait_until(lambda: not daemon.running(), 60, "%s dies at %s" % (daemon.name, step))
        else:
            before = sum(workload.tally.values())
            wait_until(lambda: not daemon.running() or sum(workload.tally.values()) >= before + 60, 60,
                       "the writers go on, or %s ends at %s" % (daemon.name, step))
        if not daemon.running():
            daemon.child = None
            daemon.environment = {}
            daemon.start()
    daemon.stop()
    daemon.environment = {}
    daemon.start()
    wait_progress(tandem, workload, 20)


def run_step(tandem, seed, daemon, step):
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
    lost = workload.ledger.lost(tandem.standby.url)
    assert not lost, "acknowledged, but not on the standby:\n" + "\n".join(lost[:20])
    check_journal(tandem)


@pytest.mark.parametrize("step", PROXY_STEPS)
def test_a_write_that_is_cut_at(step, tandem, seed):
    run_step(tandem, seed, tandem.proxy, step)


@pytest.mark.parametrize("step", REPLICATOR_STEPS)
def test_a_replay_that_is_cut_at(step, tandem, seed):
    run_step(tandem, seed, tandem.replicator, step)


@pytest.mark.settings({"journal.keep_size": "64KB", "journal.keep_age": "1s"})
def test_a_journal_that_is_cut_while_it_is_trimmed(tandem, seed):
    run_step(tandem, seed, tandem.proxy, "R7")


# --- a body that does not fit into what the kernel takes at once -------------------------------------

@pytest.fixture
def scripted(request, run_folder):
    yield from scripted_tandem(request, run_folder)


@pytest.mark.parametrize("action", ["kill", "error:once"])
@pytest.mark.parametrize("path", ["/_doc/new", "/_bulk"])
def test_a_request_of_which_only_a_part_was_sent_leaves_a_row_that_says_so(scripted, path, action):
    """K4: P5b. The primary has executed nothing, and this is what the journal says of each document."""
    index = scripted.index("books")
    scripted.put(index, "old", {"n": 1})
    scripted.proxy.stop()
    scripted.proxy.environment = dict(FREES, TANDEM_FAILPOINTS="P5b=" + action)
    scripted.proxy.start()
    big = {"text": "x" * 8_000_000}
    body = big if path == "/_doc/new" else lines({"index": {"_id": "new"}}, big, {"delete": {"_id": "old"}})
    if action == "kill":
        with pytest.raises((OSError, http.client.HTTPException)):
            scripted.request("POST", "/" + index + path, body)
        wait_until(lambda: not scripted.proxy.running(), SOON_S, "it died")
        scripted.proxy.environment = dict(FREES)
        scripted.proxy.start()
    else:
        answer = scripted.request("POST", "/" + index + path, body)
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (504, "unknown"), answer
    wait_until(lambda: scripted.proxy.status()["open_intents"] == 0, SOON_S, "no intent is open")
    scripted.equal(index)
    assert [entry["id"] for entry in applied(scripted.a, index)] == ["old"]
    assert writes(scripted.a, index) == 1  # and nothing whole came but the first
    assert all(" negative" in row for row in scripted.rows(index, "new")) and scripted.rows(index, "new")
    assert source(scripted.b, index, "new") is None and source(scripted.b, index, "old") == {"n": 1}
