"""test_fake_es.py - the scripted cluster does to requests what its script says, and nothing else.

SPDX-License-Identifier: Apache-2.0
"""

import gzip
import http.client
import json
import os
import re
import socket

import pytest

from fake import FakeEs
from processes import wait_until
from tandem import request


@pytest.fixture
def fake(run_folder, request):
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", request.node.name)
    running = FakeEs("fake", os.path.join(run_folder, "fake_es-%s.log" % name), seed=1).start()
    yield running
    if running.running():
        assert running.stop() == 0, "fake_es ended badly, see " + running.log_path


def raw(fake, data, timeout_s=10):
    """What comes back until the connection ends; a reset shows as b"RESET" at the end."""
    with socket.create_connection(("127.0.0.1", fake.port), timeout=timeout_s) as connection:
        connection.sendall(data)
        got = b""
        while True:
            try:
                piece = connection.recv(65536)
            except ConnectionResetError:
                return got + b"RESET"
            if not piece:
                return got
            got += piece


PUT = (b"PUT /a/_doc/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
       b"Content-Length: 7\r\n\r\n{\"n\":1}")


def stored(fake):
    return request(fake.url, "GET", "/a/_doc/1").status == 200


@pytest.mark.parametrize("action,begins,ends,executed", [
    ("none", b"HTTP/1.1 201 ", b'"_primary_term":1}', True),
    ("reset_before", b"RESET", b"RESET", False),
    ("reset_after", b"RESET", b"RESET", True),
    ("close_before", b"", b"", False),
    ("close_after", b"HTTP/1.1 201 ", b'"_primary_term":1}', True),
    ("half_answer", b"HTTP/1.1 201 ", b"", True),
    ("truncated", b"HTTP/1.1 201 ", b"", True),
    ("status", b"HTTP/1.1 503 ", b'"status":503}', False),
    ("execute_then_status", b"HTTP/1.1 503 ", b'"status":503}', True),
    ("delay", b"HTTP/1.1 201 ", b'"_primary_term":1}', True),
    ("slow_answer", b"HTTP/1.1 201 ", b'"_primary_term":1}', True),
    ("drip", b"HTTP/1.1 201 ", b'"_primary_term":1}', True),
    ("garbage", b"\x16\x03", b"\r\n\r\n", True),
    ("oversized", b"HTTP/1.1 201 ", b'"_primary_term":1}', True),
    ("extra", b"HTTP/1.1 201 ", b"extra", True),
    ("flood_1xx", b"HTTP/1.1 102 ", b'"_primary_term":1}', True),
    ("two_framings", b"HTTP/1.1 201 ", b'"_primary_term":1}', True),
    ("chunked", b"HTTP/1.1 201 ", b"0\r\n\r\n", True),
    ("until_close", b"HTTP/1.1 201 ", b'"_primary_term":1}', True),
    ("early", b"HTTP/1.1 413 ", b'"status":413}', False)])
def test_a_fault_does_what_it_is_called(fake, action, begins, ends, executed):
    fake.fault(action, method="PUT", prefix="/a/", interval_ms=1, delay_ms=50)
    got = raw(fake, PUT)
    assert got.startswith(begins) and got.endswith(ends), got
    assert stored(fake) == executed
    assert fake.faults()[0]["fired"] == 1
    assert raw(fake, PUT).startswith(b"HTTP/1.1 20"), "once is enough"


def test_a_hanging_request_may_be_executed_later(fake):
    fake.fault("hang", method="PUT", execute=True, delay_ms=50)
    with pytest.raises(TimeoutError):
        raw(fake, PUT, timeout_s=0.5)
    assert stored(fake)
    fake.fault("hang", method="DELETE")
    with pytest.raises(TimeoutError):
        request(fake.url, "DELETE", "/a/_doc/1", timeout_s=0.2)
    assert stored(fake)


def test_a_late_request_is_executed_after_its_answer(fake):
    fake.fault("late", method="PUT", status=500, delay_ms=300)
    assert raw(fake, PUT).startswith(b"HTTP/1.1 500 ")
    assert not stored(fake)
    wait_until(lambda: stored(fake), 5, "the late request was executed")


def test_rules_choose_by_body_and_by_turn(fake):
    fake.fault("status", status=429, body_contains='"n":3', nth=2, count=2)
    statuses = [request(fake.url, "PUT", "/a/_doc/1", {"n": n}).status for n in (1, 3, 3, 2, 3, 3)]
    # json.dumps writes a blank behind the colon.
    assert statuses == [201, 200, 200, 200, 200, 200]
    statuses = [request(fake.url, "PUT", "/a/_doc/1", '{"n":%d}' % n).status for n in (1, 3, 3, 2, 3, 3)]
    assert statuses == [200, 200, 429, 200, 429, 200]


def test_chosen_items_of_a_bulk_fail_and_are_not_executed(fake):
    lines = "".join('{"index":{"_index":"a","_id":"%d"}}\n{"n":%d}\n' % (i, i) for i in range(4))
    fake.fault("item_status", prefix="/_bulk", item='"_id":"2"', status=429)
    answer = request(fake.url, "POST", "/_bulk", lines).json()
    assert [item["index"]["status"] for item in answer["items"]] == [201, 201, 429, 201]
    assert answer["errors"] is True
    assert [entry["id"] for entry in fake.log()["applied"]] == ["0", "1", "3"]


def test_pipelined_requests_are_answered_in_order(fake):
    many = b"".join(b"PUT /a/_doc/%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" % i
                    for i in range(50))
    got = raw(fake, many + b"GET /a/_doc/7 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert re.findall(rb'"_id":"(\d+)"', got) == [b"%d" % i for i in range(50)] + [b"7"]


def test_bodies_may_be_chunked_gzipped_and_expected(fake):
    chunked = (b"PUT /a/_doc/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
               b"Expect: 100-continue\r\n\r\n3\r\n{\"n\r\n4\r\n\":1}\r\n0\r\n\r\n")
    assert raw(fake, chunked).startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")
    answer = request(fake.url, "PUT", "/a/_doc/2", gzip.compress(b'{"n":1}'),
                     {"Content-Encoding": "gzip", "Content-Type": "application/json"})
    assert answer.status == 201


def test_a_head_answer_has_the_length_and_no_body(fake):
    request(fake.url, "PUT", "/a/_doc/1", {"n": 1})
    got = raw(fake, b"HEAD /a/_doc/1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    length = len(request(fake.url, "GET", "/a/_doc/1").body)
    assert got.endswith(b"\r\n\r\n") and b"content-length: %d\r\n" % length in got


def test_an_early_answer_reaches_a_client_that_still_sends(fake):
    fake.fault("early", method="POST", status=413)
    head = b"POST /_bulk HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", fake.port), timeout=10) as connection:
        connection.sendall(head)
        for _ in range(50):
            connection.sendall(b"x" * 100000)
        assert connection.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_restart_snapshot_and_restore(fake):
    request(fake.url, "PUT", "/a/_doc/1", {"n": 1})
    fake.snapshot()
    request(fake.url, "PUT", "/a/_doc/1", {"n": 2})
    fake.restore("a")
    assert request(fake.url, "GET", "/a/_doc/1").json()["_source"] == {"n": 1}
    idle = http.client.HTTPConnection("127.0.0.1", fake.port, timeout=10)
    idle.request("GET", "/")
    idle.getresponse().read()
    fake.restart()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        idle.request("GET", "/")
        idle.getresponse()
    assert request(fake.url, "PUT", "/a/_doc/2", {"n": 2}).json()["_primary_term"] == 3


def test_the_log_has_what_came_and_what_was_applied(fake):
    fake.fault("status", method="DELETE", status=500)
    request(fake.url, "PUT", "/a/_doc/1?routing=r", {"n": 1})
    request(fake.url, "DELETE", "/a/_doc/1")
    log = fake.log()
    assert [(entry["method"], entry["fault"]) for entry in log["requests"]] == [
        ("GET", "none"), ("PUT", "none"), ("DELETE", "status")]
    (applied,) = log["applied"]
    assert (applied["id"], applied["routing"], applied["op"], applied["seq_no"]) == ("1", "r", "index", 0)
    fake.clear_log()
    assert fake.log() == {"requests": [], "applied": []}
    assert json.loads(request(fake.url, "POST", "/_fake/faults", {"action": "none"}).body) == {}
    assert request(fake.url, "POST", "/_fake/faults", {"action": "nosuch"}).status == 400
