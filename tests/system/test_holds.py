"""test_holds.py - a change of definitions that is slow or hangs: who waits for it, how long, and what is said then.

Against a scripted primary.

SPDX-License-Identifier: Apache-2.0
"""

import threading
import time

import pytest

from processes import wait_until
from scripted import SOON_S, new_name, shared_fixtures, source, writes
from tandem import request as ask

HOLD_S, ANSWER_S, METADATA_S = 0.7, 3, 2
FIELD = {"properties": {"k": {"type": "keyword"}}}
MAPPING_OF = "/_mapping"

shared, tandem, index = shared_fixtures({
    "proxy.hold_timeout": "700ms", "primary.answer_timeout": "3s", "proxy.metadata_timeout": "2s"})


class Change(threading.Thread):
    """A change of INDEX' mapping, under way; `answer` and how long it took when it has ended."""

    def __init__(self, tandem, index):
        super().__init__()
        self.tandem, self.path = tandem, "/" + index + MAPPING_OF
        self.answer = self.took_s = None
        self.start()

    def run(self):
        begun = time.monotonic()
        self.answer = self.tandem.request("PUT", self.path, FIELD)
        self.took_s = time.monotonic() - begun

    def told(self, status, outcome):
        self.join()
        assert (self.answer.status, self.answer.headers.get("x-tandem-outcome")) == (status, outcome), self.answer


def fired(tandem, number=0):
    return tandem.a.faults()[number]["fired"]


def refused_at_hold_timeout(tandem, index):
    """A write and a bulk to INDEX are refused, after the time that is set and with nothing sent."""
    before = writes(tandem.a, index)
    for method, path, body in (("PUT", "/_doc/x", {"n": 1}),
                               ("POST", "/_bulk", '{"index":{"_id":"x"}}\n{"n":1}\n')):
        begun = time.monotonic()
        answer = tandem.request(method, "/" + index + path, body)
        took_s = time.monotonic() - begun
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (503, "not-applied"), answer
        assert answer.json()["error"]["type"] == "tandem_held_too_long" and "retry-after" in answer.headers, answer
        assert HOLD_S * 0.9 < took_s < ANSWER_S, took_s
    assert writes(tandem.a, index) == before


def mapping(fake, index):
    (found,) = ask(fake.url, "GET", "/%s/_mapping" % index).json().values()
    return found["mappings"]


def test_writes_behind_a_change_that_hangs_are_refused_at_hold_timeout(tandem, index):
    other = tandem.index(new_name("other"))
    tandem.a.fault("hang", method="PUT", prefix="/" + index + MAPPING_OF)
    change = Change(tandem, index)
    wait_until(lambda: fired(tandem), SOON_S, "it hangs")
    refused_at_hold_timeout(tandem, index)
    tandem.put(other, "x", {"n": 1})  # of another name: it does not wait
    assert change.is_alive()
    change.told(504, "unknown")
    assert ANSWER_S * 0.9 < change.took_s < ANSWER_S + 5
    # It has had its time: nobody waits for it any more.
    tandem.put(index, "x", {"n": 2})
    tandem.equal(index, other)
    assert source(tandem.b, index, "x") == {"n": 2}


def test_a_change_that_hangs_and_is_executed_reaches_the_standby(tandem, index):
    tandem.a.fault("hang", method="PUT", prefix="/" + index + MAPPING_OF, execute=True)
    Change(tandem, index).told(504, "unknown")
    assert mapping(tandem.a, index) == FIELD
    tandem.put(index, "x", {"k": "v"})
    tandem.equal(index)
    assert mapping(tandem.b, index)["properties"] == FIELD["properties"]


def test_a_change_that_cannot_be_journaled_is_unknown_at_metadata_timeout(tandem, index):
    """The primary has answered; that the state cannot be read is no reason to wait for ever, or to promise it."""
    tandem.a.fault("hang", prefix="/_cluster/state/version,metadata", count=0)
    change = Change(tandem, index)
    wait_until(lambda: fired(tandem), SOON_S, "the state is being read")
    refused_at_hold_timeout(tandem, index)
    change.told(504, "unknown")
    assert METADATA_S * 0.9 < change.took_s < METADATA_S + 5
    assert mapping(tandem.a, index) == FIELD  # so `not-applied` would have been a lie
    tandem.a.clear_faults()
    tandem.put(index, "x", {"k": "v"})
    tandem.equal(index)
    assert mapping(tandem.b, index)["properties"] == FIELD["properties"]


def test_writes_that_wait_for_a_slow_change_go_on_when_it_is_done(tandem, index):
    tandem.a.fault("slow_answer", method="PUT", prefix="/" + index + MAPPING_OF, delay_ms=350)
    change = Change(tandem, index)
    wait_until(lambda: fired(tandem), SOON_S, "it is under way")
    tandem.put(index, "x", {"k": "v"})
    change.told(200, "applied")
    tandem.equal(index)
    assert mapping(tandem.b, index)["properties"] == FIELD["properties"]


@pytest.mark.parametrize("path", ["/_settings", "/_close", ""])
def test_every_kind_of_change_holds_writes(tandem, index, path):
    """"" deletes the index; what waited behind it is not written to a life that has ended."""
    method, body = {"": ("DELETE", None), "/_close": ("POST", None),
                    "/_settings": ("PUT", {"index.number_of_replicas": 0})}[path]
    tandem.a.fault("hang", method=method, prefix="/" + index)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(tandem.request(method, "/" + index + path, body)))
    thread.start()
    wait_until(lambda: fired(tandem), SOON_S, "it hangs")
    refused_at_hold_timeout(tandem, index)
    thread.join()
    assert (answers[0].status, answers[0].headers["x-tandem-outcome"]) == (504, "unknown"), answers
    tandem.equal(index)
