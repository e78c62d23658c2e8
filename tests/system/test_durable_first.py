"""test_durable_first.py - what a client is told was durable before it was told.

A scripted primary answers at once, and the journal takes as long as the failpoint says: whatever the
client hears before the journal is done, it hears too early.

SPDX-License-Identifier: Apache-2.0
"""

import json
import socket

import pytest

from processes import wait_until
from scripted import SOON_S, applied, scripted_tandem, source
from shared import lines

# Long enough for an answer that nothing holds back, even from a busy machine.
HEARD_S = 3
NEVER_MS = 600_000


@pytest.fixture
def tandem(request, run_folder):
    yield from scripted_tandem(request, run_folder)


class Line:
    """A connection on which one request is sent, and that listens for the answer."""

    def __init__(self, tandem, method, path, body):
        self.socket = socket.create_connection(("127.0.0.1", int(tandem.url.rsplit(":", 1)[1])))
        self.socket.sendall(("%s %s HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                             "Content-Length: %d\r\n\r\n" % (method, path, len(body))).encode() + body)

    def heard(self, seconds):
        """What came within SECONDS; None when nothing did."""
        self.socket.settimeout(seconds)
        try:
            return self.socket.recv(65536)
        except TimeoutError:
            return None


WRITES = {
    "document": ("PUT", "/books/_doc/x", json.dumps({"n": 1}).encode()),
    "bulk": ("POST", "/books/_bulk", lines({"index": {"_id": "x"}}, {"n": 1}).encode()),
}


@pytest.mark.parametrize("kind", WRITES)
def test_no_answer_leaves_before_its_rows_are_durable(tandem, kind):
    """P8: the primary has answered, and its rows are being written to the journal."""
    tandem.index("books")
    tandem.proxy.stop()
    tandem.proxy.environment["TANDEM_FAILPOINTS"] = "P8=delay(%d)" % NEVER_MS
    tandem.proxy.start()
    line = Line(tandem, *WRITES[kind])
    wait_until(lambda: applied(tandem.a, "books"), SOON_S, "the primary has it")
    heard = line.heard(HEARD_S)
    assert heard is None, "answered before the rows are durable: %r" % heard
    # So whoever dies here has promised nothing, and what the primary has is found out.
    tandem.proxy.kill9()
    del tandem.proxy.environment["TANDEM_FAILPOINTS"]
    tandem.proxy.start()
    tandem.equal("books")
    assert source(tandem.b, "books", "x") == {"n": 1}
