"""test_order.py - writes are journaled in the order of their answers, which need not be that of the primary.

A scripted primary executes one write and answers it late; what comes after it overtakes it on the way
to the standby. The fake's own mapping is guessed from the first value it sees, as an engine's.

SPDX-License-Identifier: Apache-2.0
"""

import threading

import pytest

from processes import wait_until
from scripted import SOON_S, applied, scripted_tandem, source
from tandem import request

LATE_MS = 3000
# A late answer is still an answer; and new fields are not learned before a row that has them is on its way.
PATIENT = {"primary.answer_timeout": "30s", "follower.interval": "5s"}


@pytest.fixture
def tandem(request, run_folder):
    yield from scripted_tandem(request, run_folder, PATIENT)


class Late:
    """A write that the primary executes at once and answers LATE_MS later."""

    def __init__(self, tandem, index, id, body):
        tandem.a.fault("slow_answer", method="PUT", prefix="/%s/_doc/%s" % (index, id), delay_ms=LATE_MS)
        self.answer = None
        self.thread = threading.Thread(target=self._send, args=(tandem, index, id, body), daemon=True)
        self.thread.start()
        wait_until(lambda: applied(tandem.a, index), SOON_S, "the primary has executed it")

    def _send(self, tandem, index, id, body):
        self.answer = tandem.request("PUT", "/%s/_doc/%s" % (index, id), body)

    def wait(self):
        self.thread.join(SOON_S)
        assert self.answer is not None and self.answer.headers["x-tandem-outcome"] == "applied", self.answer


def test_a_write_that_a_delete_overtook_stays_deleted_when_the_standby_forgot(tandem):
    """The standby's own tombstone is gone before the older write comes: Tandem must remember it."""
    tandem.index("books")
    late = Late(tandem, "books", "x", {"n": 1})
    answer = tandem.request("DELETE", "/books/_doc/x")
    assert answer.headers["x-tandem-outcome"] == "applied", answer
    wait_until(lambda: applied(tandem.b, "books"), SOON_S, "the standby has the delete")
    assert late.answer is None, "too slow to show anything"
    tandem.b.restart()
    late.wait()
    tandem.equal("books")
    assert source(tandem.b, "books", "x") is None


def settled(tandem, index):
    """True when the proxy no longer asks for the cluster state before it answers a write to INDEX."""
    tandem.a.clear_log()
    tandem.put(index, "settled", {"n": 0})
    return not any(entry["target"].startswith("/_cluster/state") for entry in tandem.a.log()["requests"])


@pytest.mark.long
def test_a_field_has_the_primarys_type_when_another_value_comes_first(tandem):
    tandem.index("books")
    # With an index that it has known for a minute it does so no more: a row may be on the standby first.
    wait_until(lambda: settled(tandem, "books"), 120, "the index is settled", interval_s=5)
    tandem.a.clear_log()
    late = Late(tandem, "books", "1", {"pages": 7})
    tandem.put("books", "2", {"pages": "8"})  # a number, to whom pages are numbers
    types = {}

    def typed():
        for fake in (tandem.a, tandem.b):
            mapping = request(fake.url, "GET", "/books/_mapping").json()["books"]["mappings"]
            types[fake.name] = mapping.get("properties", {}).get("pages", {}).get("type")
        return types["b"]
    wait_until(typed, SOON_S, "the standby knows the field")
    assert types == {"a": "long", "b": "long"}, "the standby guessed the field by itself"
    late.wait()
    tandem.equal("books")
