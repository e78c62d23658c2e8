"""test_http_faults.py - a primary that misbehaves: clear answers, and no answer ever reaches another client.

SPDX-License-Identifier: Apache-2.0
"""

import socket
import threading
import time

import pytest

from fake_primary import Client, FakePrimary, Proxy, answer, chunked, get, reads_body
from processes import free_port, wait_until


@pytest.fixture(scope="module")
def pair():
    primary = FakePrimary()
    proxy = Proxy([primary.url], {"primary.answer_timeout": "1s", "primary.connect_timeout": "1s",
                                  "primary.retry_interval": "100ms"})
    yield primary, proxy
    proxy.stop()
    primary.stop()


@pytest.fixture
def primary(pair):
    pair[0].handler = lambda request, connection: answer(200, b"fine")
    pair[0].requests.clear()
    return pair[0]


@pytest.fixture
def port(pair):
    return pair[1].port


LENGTH = b"HTTP/1.1 200 OK\r\ncontent-length: "
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
# Answers whose end can't be told, or that are no HTTP at all.
GAMES = {
    "length and chunked": CHUNKED + b"Content-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunked and length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "two lengths": LENGTH + b"3\r\ncontent-length: 4\r\n\r\nabcd",
    "length in hex": LENGTH + b"0x3\r\n\r\nabc",
    "length with sign": LENGTH + b"+3\r\n\r\nabc",
    "negative length": LENGTH + b"-1\r\n\r\nabc",
    "length list": LENGTH + b"3, 4\r\n\r\nabc",
    "huge length": LENGTH + b"99999999999999999999999\r\n\r\nabc",
    "empty length": LENGTH + b"\r\n\r\nabc",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 3\n\nabc",
    "space before colon": b"HTTP/1.1 200 OK\r\ncontent-length : 3\r\n\r\nabc",
    "no colon": b"HTTP/1.1 200 OK\r\nnonsense\r\ncontent-length: 3\r\n\r\nabc",
    "nul in a value": b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 3\r\n\r\nabc",
    "bare cr in a value": b"HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 3\r\n\r\nabc",
    "short status": b"HTTP/1.1 20 OK\r\ncontent-length: 3\r\n\r\nabc",
    "long status": b"HTTP/1.1 2000 OK\r\ncontent-length: 3\r\n\r\nabc",
    "other version": b"HTTP/2.0 200 OK\r\ncontent-length: 3\r\n\r\nabc",
    "no http": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "nothing but a close": b"",
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "switching protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\nabc",
    "flood of 1xx": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100,
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100000,
}
# Answers that begin well and then break: the client must see that its answer was cut.
CUTS = {
    "short body": LENGTH + b"100\r\n\r\nabc",
    "chunk cut": CHUNKED + b"\r\n5\r\nabc",
    "no last chunk": CHUNKED + b"\r\n3\r\nabc\r\n",
    "chunk size in words": CHUNKED + b"\r\n3\r\nabc\r\nxyz\r\n",
    "chunk size overflows": CHUNKED + b"\r\n3\r\nabc\r\n11111111111111111\r\n",
    "no crlf behind a chunk": CHUNKED + b"\r\n3\r\nabcd\r\n0\r\n\r\n",
    "chunk size with 0x": CHUNKED + b"\r\n3\r\nabc\r\n0x3\r\nabc\r\n0\r\n\r\n",
}


def then_close(data):
    def handler(request, connection):
        connection.send(data)
        connection.sock.shutdown(socket.SHUT_RDWR)
    return handler


def then_stay(data):
    return lambda request, connection: data


def assert_next_is_clean(primary, port, used):
    """No connection that was misused is used again, and nothing that was on it reaches anybody."""
    primary.handler = lambda request, connection: answer(200, b"%d" % connection.number)
    for _ in range(3):
        assert int(get(port).body) > used


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("end", (then_close, then_stay))
def test_a_malformed_answer_is_a_502(primary, port, name, end):
    if end is then_stay and name in ("nothing but a close", "half a head"):
        pytest.skip("that is a primary that hangs: another test")
    primary.handler = end(GAMES[name])
    got = get(port)
    assert got.status == 502 and b"error" in got.body, got.body
    assert_next_is_clean(primary, port, primary.connections)


@pytest.mark.parametrize("name", CUTS)
def test_an_answer_that_breaks_off_is_seen_to_be_cut(primary, port, name):
    primary.handler = then_close(CUTS[name])
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        try:
            got = client.read()
        except (EOFError, ConnectionResetError):
            got = None
        # Cut for the client too, or refused as a whole when nothing had been sent yet.
        assert got is None or got.status == 502, (got.head, got.body)
    assert_next_is_clean(primary, port, primary.connections)


def test_bytes_behind_an_answer_poison_only_their_connection(primary, port):
    for junk in (b"x", answer(200, b"for nobody"), b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc" * 5):
        primary.handler = then_stay(answer(200, b"right") + junk)
        assert get(port).body == b"right"
        assert_next_is_clean(primary, port, primary.connections)


def test_a_late_second_answer_reaches_nobody(primary, port):
    sent = threading.Event()

    def handler(request, connection):
        connection.send(answer(200, b"right"))

        def later():
            time.sleep(0.1)  # the answer before it must be through first
            try:
                connection.send(answer(200, b"for nobody"))
            except OSError:
                pass
            sent.set()
        threading.Thread(target=later, daemon=True).start()
    primary.handler = handler
    assert get(port).body == b"right"
    assert sent.wait(5)
    primary.handler = lambda request, connection: answer(200, b"mine")
    assert get(port).body == b"mine"


def test_a_body_where_none_may_be_is_not_taken_for_the_next_answer(primary, port):
    for method, head in (("HEAD", answer(200, b"a body")), ("GET", b"HTTP/1.1 204 No Content\r\n\r\na body"),
                         ("GET", b"HTTP/1.1 304 Not Modified\r\ncontent-length: 6\r\n\r\na body")):
        primary.handler = then_stay(head)
        assert get(port, method=method).body == b""
        assert_next_is_clean(primary, port, primary.connections)


def test_informational_answers_are_swallowed(primary, port):
    primary.handler = then_stay(b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" +
                                answer(200, b"final"))
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.until(b"\r\n").startswith(b"HTTP/1.1 200")


def test_a_primary_that_hangs_is_a_504_and_others_go_on(primary, port):
    release = threading.Event()

    def handler(request, connection):
        if "hang" in request.target:
            release.wait(20)
            return answer(200, b"for nobody")
        return answer(200, b"quick")
    primary.handler = handler
    with Client(port) as client:
        begun = time.monotonic()
        client.send(b"GET /bench/_search?hang HTTP/1.1\r\nHost: t\r\n\r\n")
        for _ in range(20):
            assert get(port).body == b"quick"
        assert client.read().status == 504
        assert 0.8 < time.monotonic() - begun < 5
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        release.set()
        assert client.read().body == b"quick"


def test_a_primary_that_stops_within_its_answer_is_cut(primary, port):
    release = threading.Event()

    def handler(request, connection):
        connection.send(LENGTH + b"100\r\n\r\nabc")
        release.wait(20)
        raise EOFError
    primary.handler = handler
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            client.read()
    release.set()


def test_a_reset_behind_the_request_is_a_502_and_not_tried_again(primary, port):
    @reads_body
    def handler(request, connection):
        connection.reset()
        raise EOFError
    primary.handler = handler
    for body in (None, b"{}"):
        primary.requests.clear()
        got = get(port, method="GET" if body is None else "POST", body=body)
        assert got.status == 502 and len(primary.requests) == 1
    assert got.get("X-Tandem-Outcome") == "unknown"


def test_a_pooled_connection_that_was_closed_is_not_used(primary, port):
    for _ in range(20):
        assert get(port).status == 200
        primary.close_connections()
        assert get(port, method="POST", body=b"{}").status == 200


def test_a_primary_that_is_away_is_a_503_not_applied(primary, port):
    primary.stop()
    got = get(port, method="POST", body=b"{}")
    assert got.status == 503 and got.get("Retry-After") and got.get("X-Tandem-Outcome") == "not-applied"
    got = get(port)
    assert got.status == 503 and got.get("X-Tandem-Outcome") is None
    primary.listen()
    wait_until(lambda: get(port).status == 200, 5, "the primary is used again")


def test_connections_are_kept_and_shared(primary, port):
    get(port)
    before = primary.connections
    for _ in range(50):
        get(port)
    assert primary.connections - before <= 1


def test_another_node_is_used_when_one_cannot_be_reached():
    a, b = FakePrimary(), FakePrimary()
    nobody = free_port()
    proxy = Proxy([a.url, "http://127.0.0.1:%d" % nobody, b.url], {"primary.retry_interval": "100ms"})
    try:
        for i in range(60):
            assert get(proxy.port, method="POST", body=b"%d" % i).status == 200
        assert len(a.requests) > 10 and len(b.requests) > 10
        a.stop()
        for i in range(60, 90):
            assert get(proxy.port, method="POST", body=b"%d" % i).status == 200
        a.listen()
        came = [r.body for r in a.requests + b.requests]
        assert sorted(came) == sorted(b"%d" % i for i in range(90))  # each once
        before = len(a.requests)

        def again():
            get(proxy.port)
            return len(a.requests) > before
        wait_until(again, 10, "the node that came back is used", 0.02)
    finally:
        proxy.stop()
        a.stop()
        b.stop()


def test_a_node_that_accepts_nothing_counts_as_away(primary):
    """Its queue is full: packets are dropped, as with a host that lost power."""
    deaf = socket.socket()
    deaf.bind(("127.0.0.1", free_port()))
    deaf.listen(0)
    fill = [socket.socket() for _ in range(4)]
    for each in fill:
        each.setblocking(False)
        each.connect_ex(deaf.getsockname())
    proxy = Proxy(["http://127.0.0.1:%d" % deaf.getsockname()[1], primary.url],
                  {"primary.connect_timeout": "300ms", "primary.retry_interval": "60s"})
    try:
        begun = time.monotonic()
        for _ in range(10):
            assert get(proxy.port, method="POST", body=b"{}").status == 200
        assert time.monotonic() - begun < 3
    finally:
        proxy.stop()
        for each in fill + [deaf]:
            each.close()


def test_waiting_for_a_connection_keeps_the_order_and_ends(primary):
    proxy = Proxy([primary.url], {"primary.connections_max": 2, "primary.answer_timeout": "1s"})
    release, busy = threading.Event(), threading.Semaphore(0)

    def handler(request, connection):
        busy.release()
        if "hold" in request.target:
            release.wait(10)
        return answer(200, request.target.encode())
    primary.handler = handler
    try:
        clients = [Client(proxy.port) for _ in range(12)]
        for i, client in enumerate(clients[:6]):
            client.send(b"GET /bench/_search?%s%d HTTP/1.1\r\nHost: t\r\n\r\n" % (b"hold" if i < 2 else b"", i))
            if i < 2:
                assert busy.acquire(timeout=5)
        release.set()
        for i, client in enumerate(clients[:6]):
            assert client.read().body.endswith(b"%d" % i)
        release.clear()
        for client in clients:
            client.send(b"GET /bench/_search?hold HTTP/1.1\r\nHost: t\r\n\r\n")
        statuses = [client.read().status for client in clients]
        assert set(statuses) == {503, 504}
    finally:
        release.set()
        proxy.stop()


def test_chunked_answer_with_trailers_is_passed_without_them(primary, port):
    primary.handler = then_stay(CHUNKED + b"Trailer: X-T\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")
    got = get(port)
    assert got.body == b"abc" and got.get("Trailer") is None
    assert chunked(b"abc").endswith(b"0\r\n\r\n")
    primary.handler = lambda request, connection: answer(200, b"next")
    assert get(port).body == b"next"
