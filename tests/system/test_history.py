"""test_history.py - what was decided, by whom, and what came of it: kept over restarts, and checked.

SPDX-License-Identifier: Apache-2.0
"""

import http.server
import json
import os
import threading

import pytest

import processes
from shared import must, shared_tandem
from tandem import request
from test_admin_access import ctl
from verifying import ended


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


def history(tandem):
    code, said = ctl(tandem, "history", "--json")
    assert code == 0, said
    return json.loads(said)


def test_what_operators_do_is_kept(tandem):
    must(tandem.url, "PUT", "/kept/_doc/1", {"n": 1})
    tandem.wait_caught_up()
    tandem.ctl("pause", "b")
    tandem.ctl("resume", "b")
    tandem.ctl("seed", "--index", "kept", "--again")
    tandem.wait_caught_up()
    ctl(tandem, "verify")
    ended(tandem)
    os.kill(tandem.proxy.child.pid, 1)
    os.kill(tandem.replicator.child.pid, 1)
    tandem.replicator.kill9()
    tandem.replicator.start()
    tandem.proxy.kill9()
    tandem.proxy.start()
    tandem.ctl("pause", "b")
    tandem.ctl("resume", "b")
    entries = history(tandem)
    of_standby = [entry["what"] for entry in entries if entry["of"] == "b"]
    of_proxy = [entry["what"] for entry in entries if entry["of"] == "proxy"]
    assert of_standby[:6] == ["start", "running", "pause", "resume", "seed", "verify"], of_standby
    assert of_standby.count("start") == 2 and of_standby[-2:] == ["pause", "resume"], of_standby
    assert of_proxy[0] == "start" and of_proxy.count("start") == 2, of_proxy
    assert [entry["time_us"] for entry in entries] == sorted(entry["time_us"] for entry in entries)
    assert all(entry["from"] == "127.0.0.1" for entry in entries if entry["what"] in ("pause", "resume", "seed"))
    code, said = ctl(tandem, "history")
    assert code == 0 and "pause     standby b (from 127.0.0.1)" in said, said


class Liar(http.server.BaseHTTPRequestHandler):
    """Answers as an admin address, with LINES as the history."""
    lines, hash = [], ""

    def do_GET(self):
        first = int(self.path.rsplit("=", 1)[1])
        body = json.dumps({"lines": self.lines[first - 1:], "hash": self.hash, "last": len(self.lines)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize("lie", ["none", "changed", "taken out", "cut off"])
def test_what_was_tampered_with_shows(tandem, lie):
    tandem.ctl("pause", "b")
    tandem.ctl("resume", "b")
    true = request(tandem.replicator.admin_url, "GET", "/_tandem/history").json()
    lines = list(true["lines"])
    if lie == "changed":
        lines[1] = lines[1].replace("standby b", "standby c")
    elif lie == "taken out":
        del lines[1]
    elif lie == "cut off":
        lines.pop()
    Liar.lines, Liar.hash = lines, true["hash"]
    server = http.server.HTTPServer(("127.0.0.1", processes.free_port()), Liar)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    before = tandem.settings
    try:
        tandem.settings = dict(before, standbys=[dict(before["standbys"][0], admin="127.0.0.1:%d" % server.server_port)])
        tandem.write_config()
        code, said = ctl(tandem, "history")
        assert code == (0 if lie == "none" else 4), said
        if lie in ("changed", "taken out"):
            assert "is not what was written" in said, said
        if lie == "cut off":
            assert "has lost its end" in said, said
    finally:
        tandem.settings = before
        tandem.write_config()
        server.shutdown()
        thread.join()
        server.server_close()
