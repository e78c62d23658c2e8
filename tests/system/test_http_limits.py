"""test_http_limits.py - whoever asks for too much, too slowly or too unclearly is told so; the others notice nothing.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
import socket
import threading
import time

import pytest

from fake_primary import Client, FakePrimary, Proxy, answer, chunked, get
from processes import wait_until

INDEXED = answer(201, b'{"_index":"bench","_id":"1","_version":1,"result":"created","_shards":{"total":1,"successful":1,'
                      b'"failed":0},"_seq_no":0,"_primary_term":1}', [("content-type", "application/json")])


@pytest.fixture
def primary():
    primary = FakePrimary()
    yield primary
    primary.stop()


@pytest.fixture
def proxy(primary, request):
    marker = request.node.get_closest_marker("settings")
    proxy = Proxy([primary.url], marker.args[0] if marker else None)
    yield proxy
    proxy.stop()


def refusal(port, data):
    """Sends DATA; the answer, and that the connection ends behind it."""
    with Client(port) as client:
        client.send(data)
        got = client.read()
        assert got.get("Connection") == "close"
        client.sock.shutdown(socket.SHUT_WR)
        assert client.closed()
        return got


def test_a_long_head_is_431_and_a_long_target_414(proxy, primary):
    line = b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n"
    assert refusal(proxy.port, line + b"X: " + b"y" * 70000 + b"\r\n\r\n").status == 431
    assert refusal(proxy.port, line + b"".join(b"X%d: y\r\n" % i for i in range(300)) + b"\r\n").status == 431
    assert refusal(proxy.port, b"GET /" + b"z" * 20000 + b" HTTP/1.1\r\nHost: t\r\n\r\n").status == 414
    assert refusal(proxy.port, b"GET /" + b"z" * 200000).status in (414, 431)
    assert primary.requests == []
    assert get(proxy.port, "/bench/_search?q=" + "a" * 15000).status == 200


@pytest.mark.settings({"proxy.body_max": "100KB"})
@pytest.mark.parametrize("target", ["/bench/_doc/1", "/bench/_bulk"])
def test_a_long_body_is_413_before_anything_is_sent(proxy, primary, target):
    head = b"POST %s HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n" % target.encode()
    with Client(proxy.port) as client:  # told from the head: the body need not be sent
        client.send(head + b"Content-Length: 102401\r\nExpect: 100-continue\r\n\r\n")
        got = client.read()
        assert got.status == 413 and got.get("X-Tandem-Outcome") == "not-applied"
    with Client(proxy.port) as client:  # told as it grows
        client.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        client.send(chunked(*[b"x" * 10000] * 11)[:-5])
        assert client.read().status == 413
    with Client(proxy.port) as client:  # who sends all of it still reads the answer
        client.send(head + b"Content-Length: 20000000\r\n\r\n" + b"x" * 20000000)
        assert client.read().status == 413
    assert primary.requests == []


@pytest.mark.settings({"proxy.bodies_max": "1MB", "proxy.body_max": "1MB"})
def test_memory_of_bodies_in_flight_is_bounded_by_a_503(proxy, primary):
    head = b"PUT /bench/_doc/1 HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 600000\r\n\r\n"
    first = Client(proxy.port).send(head + b'{"a":"' + b"x" * 500000)
    time.sleep(0.2)  # for the proxy to have read it: nothing tells us
    with Client(proxy.port) as second:
        got = second.send(head).read()
        assert got.status == 503 and got.get("Retry-After") and got.get("X-Tandem-Outcome") == "not-applied"
    with Client(proxy.port) as third:
        third.send(head.replace(b"Content-Length: 600000", b"Transfer-Encoding: chunked"))
        third.send(b"92000\r\n" + b"y" * 0x92000)
        assert third.read().status == 503
    assert get(proxy.port).status == 200  # reads go on
    first.sock.close()
    primary.handler = lambda request, connection: INDEXED

    def has_room():
        return get(proxy.port, "/bench/_doc/1", "PUT", body=b'{"b":"%s"}' % (b"z" * 600000)).status == 201
    wait_until(has_room, 5, "the memory of who has gone is free again")


@pytest.mark.settings({"proxy.connections_max": 5})
def test_too_many_connections_are_told_503(proxy):
    keep = []
    for _ in range(5):
        client = Client(proxy.port)
        assert client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n").read().status == 200
        keep.append(client)
    for _ in range(3):
        got = get(proxy.port)
        assert got.status == 503 and got.get("Retry-After")
    assert keep[0].send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n").read().status == 200
    for client in keep:
        client.sock.close()
    wait_until(lambda: get(proxy.port).status == 200, 5, "there is room again")


@pytest.mark.settings({"proxy.head_timeout": "1s", "proxy.body_timeout": "1s", "proxy.idle_timeout": "3s"})
def test_slow_senders_are_408_and_others_unaffected(proxy, primary):
    slow_head = [Client(proxy.port).send(b"GET /bench/_search HTTP/1.1\r\nHos") for _ in range(20)]
    slow_body = Client(proxy.port).send(b"PUT /bench/_doc/1 HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
                                        b"Content-Length: 10\r\n\r\n{")
    slow_stream = Client(proxy.port).send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\n{")
    idle = Client(proxy.port)
    begun = time.monotonic()
    slowest = 0
    dripping = Client(proxy.port)
    stop = threading.Event()

    def drip():
        try:
            for byte in b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n" + b"X: y\r\n" * 1000:
                dripping.send(bytes([byte]))
                if stop.wait(0.02):
                    return
        except OSError:
            pass
    thread = threading.Thread(target=drip)
    thread.start()
    while time.monotonic() < begun + 1:
        at = time.monotonic()
        assert get(proxy.port).status == 200
        slowest = max(slowest, time.monotonic() - at)
    assert slowest < 0.5
    for client in slow_head + [slow_body, slow_stream, dripping]:
        assert client.read().status == 408
    stop.set()
    thread.join()
    assert 0.8 < time.monotonic() - begun < 4
    assert [r.target for r in primary.requests if r.body] == []
    assert idle.closed() and time.monotonic() - begun > 2.5


@pytest.mark.settings({"proxy.write_timeout": "1s"})
def test_who_reads_nothing_is_cut_off(proxy, primary):
    gone = threading.Event()

    def handler(request, connection):
        try:
            connection.send(answer(200, b"x" * (64 << 20)))
        finally:
            gone.set()
    primary.handler = handler
    with Client(proxy.port, timeout_s=20) as client:
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        client.until(b"\r\n\r\n")
        assert gone.wait(10)  # and with the client the connection to the primary
        with pytest.raises((EOFError, ConnectionResetError)):
            client.exactly(64 << 20)


@pytest.mark.settings({"proxy.body_rate_min": "1KB", "proxy.body_timeout": "5s"})
@pytest.mark.long
def test_a_body_that_drips_is_given_up(proxy):
    with Client(proxy.port, timeout_s=60) as client:
        client.send(b"PUT /bench/_doc/1 HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        client.sock.settimeout(1)
        for _ in range(30):
            client.send(b" ")
            try:
                if client.more():
                    break
            except TimeoutError:
                pass
        assert client.read().status == 408


def test_without_descriptors_accepting_pauses_and_work_goes_on(primary):
    proxy = Proxy([primary.url], {"proxy.connections_max": 1000}, rlimit_files=80)
    try:
        worker = Client(proxy.port)
        assert worker.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n").read().status == 200
        crowd = [Client(proxy.port) for _ in range(150)]
        before = proxy.cpu_s()
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert worker.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n").read().status == 200
            time.sleep(0.05)  # a steady load, whose cost is measured
        assert proxy.cpu_s() - before < 0.5
        for client in crowd:
            client.sock.close()
        wait_until(lambda: get(proxy.port).status == 200, 5, "new connections are taken again")
    finally:
        proxy.stop()


def test_idle_connections_cost_almost_nothing(primary):
    count = 3000
    proxy = Proxy([primary.url], {"proxy.connections_max": 10000})
    try:
        get(proxy.port)
        before = proxy.memory()
        idle = []
        for i in range(count):
            client = Client(proxy.port)
            if i % 10 == 0:  # some of them have done something
                assert client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n").read().status == 200
            idle.append(client)
        assert get(proxy.port).status == 200
        assert proxy.memory() - before < count * 2048 + (8 << 20)
        cpu = proxy.cpu_s()
        time.sleep(1)  # to see what they cost while nothing happens
        assert proxy.cpu_s() - cpu < 0.2
        for client in idle:
            client.sock.close()
    finally:
        proxy.stop()


# --------------------------------------------------------------------------------------------------
# What cannot be understood.

HOST = b"\r\nHost: t\r\n"
POST = b"POST /bench/_search HTTP/1.1" + HOST
MALFORMED = [
    POST + b"Content-Length: " + value + b"\r\n\r\nabcde" for value in (
        b"0x10", b"+5", b"-1", b"1_0", b"", b"5, 6", b"5,5x", b"9223372036854775808000", b"1e0", b"5.0", b"5\r5", b"5 5")
] + [
    POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n",
] + [
    POST + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n" for value in (
        b"chunked, chunked", b"chunked, identity", b"xchunked", b"chunked;q=1", b'"chunked"', b"gzip, chunked", b"identity",
        b"", b"\x0bchunked", b"chunked\x85", b"\xa0chunked", b"\xffchunked")
] + [
    POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    b"POST /bench/_search HTTP/1.0" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
] + [
    POST + b"Transfer-Encoding: chunked\r\n\r\n" + body for body in (
        b"0x5\r\nabcde\r\n0\r\n\r\n", b"+5\r\nabcde\r\n0\r\n\r\n", b"-0\r\n\r\n", b"5_0\r\n", b"\r\nabc", b"5\r;\r\nabcde\r\n0\r\n\r\n",
        b"5;a=\r\r\nabcde\r\n0\r\n\r\n", b"11111111111111111\r\nabc", b"5\nabcde\n0\n\n", b"5\rabcde\r0\r\r", b"5\r\nabcdeX\r\n0\r\n\r\n",
        b"3\r\nabcde\r\n0\r\n\r\n", b"0\n\r\n", b"5;" + b"x" * 100000 + b"\r\nabcde\r\n0\r\n\r\n", b"g\r\n", b"0\r\nX: a\rb\r\n\r\n",
        b"0\r\n" + b"X: y\r\n" * 20000 + b"\r\n")
] + [
    b"GET /bench/_search HTTP/1.1\nHost: t\n\n", b"GET /bench/_search HTTP/1.1\rHost: t\r\r",
    b"GET /bench/_search HTTP/1.1\r\n Host: t\r\n\r\n", b"GET /bench/_search HTTP/1.1" + HOST + b"no colon\r\n\r\n",
    b"GET /bench/_search HTTP/1.1" + HOST + b": empty name\r\n\r\n", b"GET /bench/_search HTTP/1.1" + HOST + b"X: a\0b\r\n\r\n",
    b"GET /bench/_search HTTP/1.1" + HOST + b"X\0: a\r\n\r\n", b"GET /bench/_search HTTP/1.1" + HOST + b"X: a\r\n folded\r\n\r\n",
    b"GET /bench/_search HTTP/1.1" + HOST + b"X\xc3\xa4: a\r\n\r\n", b"GET  /bench/_search HTTP/1.1" + HOST + b"\r\n",
    b"GET\t/bench/_search HTTP/1.1" + HOST + b"\r\n", b"GET /bench/_search" + HOST + b"\r\n",
    b"GET /bench/_search HTTP/1.10" + HOST + b"\r\n", b"GET /bench/_search HTTP/01.1" + HOST + b"\r\n",
    b"GET /bench/_search HTTP/2.0" + HOST + b"\r\n", b"GET /bench/_search http/1.1" + HOST + b"\r\n",
    b"get /bench/_search HTTP/1.1" + HOST + b"\r\n", b"BREW /bench/_search HTTP/1.1" + HOST + b"\r\n",
    b"GET /a b HTTP/1.1" + HOST + b"\r\n", b"GET /bench#frag HTTP/1.1" + HOST + b"\r\n", b"GET /\xc3\xa4 HTTP/1.1" + HOST + b"\r\n",
    b"GET /%00 HTTP/1.1" + HOST + b"\r\n", b"GET * HTTP/1.1" + HOST + b"\r\n", b"GET t:80 HTTP/1.1" + HOST + b"\r\n",
    b"CONNECT t:80 HTTP/1.1" + HOST + b"\r\n", b"TRACE / HTTP/1.1" + HOST + b"\r\n", b"GET http://u:p@t/ HTTP/1.1" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", POST + b"Expect: x\r\nContent-Length: 2\r\n\r\n{}",
    b"GET / HTTP/1.1" + HOST + b"Connection: close, content-length\r\n\r\n",
    b"GET / HTTP/1.1" + HOST + b"Connection: authorization\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]


@pytest.fixture(scope="module")
def shared():
    primary = FakePrimary(lambda request, connection: answer(200, (request.get("X-Id") or "none").encode() + request.body))
    proxy = Proxy([primary.url], {"proxy.head_timeout": "2s", "proxy.body_timeout": "2s"})
    yield primary, proxy
    proxy.stop()
    primary.stop()


@pytest.mark.parametrize("number", range(len(MALFORMED)))
def test_what_is_ambiguous_is_refused_and_the_connection_closed(shared, number):
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: t\r\nX-Id: smuggled\r\n\r\n"
    with Client(shared[1].port) as client:
        client.send(MALFORMED[number] + smuggled)
        got = client.read()
        assert 400 <= got.status <= 505, got.head
        assert got.status in (400, 405, 408, 413, 414, 417, 431, 501, 502, 505), got.head
        assert client.closed()
    assert not [r for r in shared[0].requests if "smuggled" in r.target]


def test_no_foreign_answer_reaches_anybody_while_the_malformed_corpus_runs(shared):
    """H9: well-behaved clients check that each answer is theirs, while bad ones share the connections."""
    primary, proxy = shared
    stop, wrong, done = threading.Event(), [], []

    def good(name):
        count = 0
        with Client(proxy.port) as client:
            while not stop.is_set():
                mine = b"%s-%d" % (name, count)
                if count % 3 == 0:
                    client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\nX-Id: %s\r\n\r\n" % mine)
                elif count % 3 == 1:
                    client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nX-Id: %s\r\nContent-Length: 4\r\n\r\nbody" % mine)
                    mine += b"body"
                else:
                    client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nX-Id: %s\r\nTransfer-Encoding: chunked\r\n\r\n%s"
                                % (mine, chunked(b"bo", b"dy")))
                    mine += b"body"
                got = client.read()
                if got.status != 200 or got.body != mine:
                    wrong.append((mine, got.head, got.body))
                    return
                count += 1
        done.append(count)
    threads = [threading.Thread(target=good, args=(b"client%d" % i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for data in MALFORMED:
        for cut in (len(data), len(data) // 2, len(data) - 1):
            with Client(proxy.port) as bad:
                bad.send(data[:cut])
                if cut == len(data):
                    try:
                        bad.read()
                    except (OSError, EOFError):
                        pass
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == [] and sum(done) > 100


def test_byte_by_byte_malformed_is_refused_too(shared):
    for data in MALFORMED[:40:3]:
        with Client(shared[1].port) as client:
            try:
                for byte in data[:300]:
                    client.send(bytes([byte]))
            except OSError:
                pass
            try:
                assert client.read().status >= 400
            except ConnectionResetError:
                pass


def test_a_pause_within_a_head_or_chunk_does_not_shift_the_frames(shared):
    with Client(shared[1].port) as client:
        for part in (b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nX-Id: a\r\nTransfer-Enc", b"oding: chunked\r", b"\n\r\n1", b"0\r\n0123456789",
                     b"abcdef\r", b"\n0\r\n", b"\r\nGET /bench/_search HTTP/1.1\r\nHost: t\r\nX-Id: b\r\n\r\n"):
            client.send(part)
            time.sleep(0.03)  # so that each part arrives alone
        assert client.read().body == b"a0123456789abcdef"
        assert client.read().body == b"b"


# --------------------------------------------------------------------------------------------------
# The end.

@pytest.mark.parametrize("rounds", range(3))
def test_sigterm_fails_no_request(primary, rounds):
    primary.handler = lambda request, connection: (time.sleep(0.002), answer(200, b"ok" + request.body))[1]  # under way at the end
    proxy = Proxy([primary.url], {"proxy.drain_timeout": "10s"})
    failures, served, stopping = [], [0], threading.Event()

    def client_loop(number):
        body = b"%d" % number
        while True:
            try:
                client = Client(proxy.port)
            except OSError:
                return  # nobody listens any more: that is what an end looks like
            sent = 0
            try:
                while True:
                    client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
                    got = client.read()
                    assert got.status == 200 and got.body == b"ok" + body
                    served[0] += 1
                    sent += 1
                    if got.get("Connection") == "close":
                        break
            except (OSError, EOFError, AssertionError) as error:
                if not stopping.is_set() or sent > 0:
                    failures.append(repr(error))
                return
            finally:
                client.sock.close()
    threads = [threading.Thread(target=client_loop, args=(i,)) for i in range(16)]
    for thread in threads:
        thread.start()
    wait_until(lambda: served[0] > 200, 10, "the load runs", 0.01)
    stopping.set()
    os.kill(proxy.child.pid, signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert failures == []
    assert proxy.child.wait(10) == 0


def test_sigterm_waits_for_what_is_under_way_and_closes_what_is_idle(primary):
    release = threading.Event()

    def handler(request, connection):
        release.wait(10)
        return answer(200, b"late")
    primary.handler = handler
    proxy = Proxy([primary.url])
    with Client(proxy.port) as busy, Client(proxy.port) as idle:
        busy.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        wait_until(lambda: primary.requests, 5, "the request is under way")
        os.kill(proxy.child.pid, signal.SIGTERM)
        assert idle.closed()
        assert proxy.child.poll() is None
        release.set()
        got = busy.read()
        assert got.body == b"late" and got.get("Connection") == "close"
        assert busy.closed()
    assert proxy.child.wait(10) == 0


@pytest.mark.settings({"proxy.drain_timeout": "1s"})
def test_what_does_not_end_is_cut_off_at_the_drain_timeout(proxy, primary):
    release = threading.Event()
    primary.handler = lambda request, connection: (release.wait(20), None)[1]
    with Client(proxy.port) as busy:
        busy.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        wait_until(lambda: primary.requests, 5, "the request is under way")
        os.kill(proxy.child.pid, signal.SIGTERM)
        assert proxy.child.wait(10) == 0
    release.set()
