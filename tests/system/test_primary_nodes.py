"""test_primary_nodes.py - several nodes of the primary: a write goes to another one only when not a byte of it was sent.

Two gates in front of one scripted cluster are its nodes. What must hold every time: nothing is issued
twice, and what is said to the client is true.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

from fake import Gate, Trap
from processes import wait_until
from scripted import SOON_S, applied, index_fixture, scripted_tandem, source, writes

index = index_fixture()
BIG = 20_000_000


@pytest.fixture(scope="module")
def shared(request, run_folder):
    gates = []

    def settings(a, _):
        gates.extend((Gate(a), Gate(a)))
        return {"primary.urls": [gate.url for gate in gates], "primary.retry_interval": "200ms",
                "primary.answer_timeout": "5s"}
    for running in scripted_tandem(request, run_folder, settings):
        running.gates = gates
        yield running
    for gate in gates:
        gate.shut()


@pytest.fixture
def tandem(shared):
    yield shared
    for gate in shared.gates:
        gate.trap = None
    shared.heal()


def settled(tandem, index):
    wait_until(lambda: tandem.proxy.status()["open_intents"] == 0, SOON_S, "no intent is open")
    tandem.equal(index)


def well(tandem):
    return tandem.proxy.status()["primary"]["nodes_healthy"]


def trap(tandem, *args, **options):
    chosen = Trap(*args, **options)
    for gate in tandem.gates:
        gate.trap = chosen
    return chosen


def test_writes_go_to_all_nodes(tandem, index):
    before = [gate.bytes for gate in tandem.gates]
    for n in range(20):
        tandem.put(index, str(n), {"text": "x" * 100_000})
    assert all(gate.bytes - was > 500_000 for gate, was in zip(tandem.gates, before))
    assert writes(tandem.a, index) == 20
    settled(tandem, index)


@pytest.mark.parametrize("number", [0, 1])
def test_a_write_goes_to_the_other_node_when_one_refuses_connections(tandem, index, number):
    gate = tandem.gates[number]
    gate.shut()
    try:
        for n in range(20):
            tandem.put(index, str(n), {"n": n})
        wait_until(lambda: well(tandem) == 1, SOON_S, "it is shown")
    finally:
        gate.listen()
    assert writes(tandem.a, index) == 20
    assert [entry["id"] for entry in applied(tandem.a, index)] == [str(n) for n in range(20)]
    settled(tandem, index)
    used = gate.connections

    def again():
        tandem.put(index, "again", {"n": 1})
        return gate.connections > used and well(tandem) == 2
    wait_until(again, SOON_S, "the node that came back is used")


@pytest.mark.parametrize("executes", [False, True])
@pytest.mark.parametrize("body", [{"n": 1}, {"text": "x" * BIG}], ids=["small", "20 MB"])
def test_a_reset_behind_the_body_is_unknown_and_not_tried_on_the_other_node(tandem, index, body, executes):
    tandem.put(index, "before", {"n": 1})
    trapped = trap(tandem, b"PUT /%s/_doc/x " % index.encode(), executes=executes)
    answer = tandem.request("PUT", "/%s/_doc/x" % index, body)
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (504, "unknown"), answer
    assert trapped.sprung and b"in time" not in answer.body, answer
    settled(tandem, index)
    assert trapped.hits == 1 and writes(tandem.a, index) == 1 + executes
    assert source(tandem.b, index, "x") == (body if executes else None)
    if not executes:
        assert " negative" in tandem.rows(index, "x")[-1]


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_reset_in_the_middle_of_a_body_is_unknown_and_not_tried_on_the_other_node(tandem, index, share):
    tandem.put(index, "x", {"n": 1})
    trapped = trap(tandem, b"PUT /%s/_doc/x " % index.encode(), share=share)
    answer = tandem.request("PUT", "/%s/_doc/x" % index, {"text": "x" * BIG})
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (504, "unknown"), answer
    assert trapped.sprung
    tandem.put(index, "beside", {"n": 1})
    settled(tandem, index)
    assert trapped.hits == 1 and writes(tandem.a, index) == 2
    assert source(tandem.b, index, "x") == {"n": 1}
