"""test_http_pass_through.py - for a client the proxy is the cluster: bytes pass as they are.

SPDX-License-Identifier: Apache-2.0
"""

import gzip
import json
import os
import socket
import threading

import pytest

from fake_primary import Client, FakePrimary, Proxy, answer, chunked, get, reads_body


@pytest.fixture(scope="module")
def pair():
    """A fake primary and the proxy in front of it, for the tests of this file."""
    primary = FakePrimary()
    proxy = Proxy([primary.url], {"proxy.rewrite_nodes": True})
    yield primary, proxy
    proxy.stop()
    primary.stop()


@pytest.fixture
def primary(pair):
    pair[0].handler = lambda request, connection: answer(200, b"{}")
    pair[0].requests.clear()
    return pair[0]


@pytest.fixture
def port(pair):
    return pair[1].port


def says(primary, data):
    primary.handler = lambda request, connection: data


def test_a_request_head_passes_but_for_the_fields_of_the_hop(primary, port):
    with Client(port) as client:
        client.send(b"GET /bench/_search?q=a%2Fb&x=+%C3 HTTP/1.1\r\nhOST: tandem:9\r\nX-Opaque-Id: 7\r\n"
                    b"Authorization: Basic eDp5\r\nx-empty:\r\nx-two: 1\r\nX-Two:   2 \r\nConnection: x-hop, keep-alive\r\n"
                    b"X-Hop: 1\r\nKeep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nVia: 1.0 other\r\n\r\n")
        assert client.read().status == 200
    (request,) = primary.requests
    assert request.target == "/bench/_search?q=a%2Fb&x=+%C3"
    names = [name for name, _ in request.fields]
    assert names[:6] == ["X-Opaque-Id", "Authorization", "x-empty", "x-two", "X-Two", "Via"]
    assert request.get("x-two") == "1" and ("X-Two", "2") in request.fields
    assert request.get("Authorization") == "Basic eDp5"
    assert request.get("Host") == "127.0.0.1:%d" % primary.port
    vias = [value for name, value in request.fields if name == "Via"]
    assert vias[0] == "1.0 other" and vias[1].startswith("1.1 tandem-")
    for gone in ("Connection", "X-Hop", "Keep-Alive", "TE", "Upgrade"):
        assert request.get(gone) is None


def test_an_answer_passes_byte_for_byte(primary, port):
    body = bytes(range(256)) * 7
    fields = [("X-elastic-product", "Elasticsearch"), ("content-type", "application/vnd.elasticsearch+json;compatible-with=8"),
              ("Warning", '299 Elasticsearch-8.8.0 "old"'), ("warning", '299 b "older"'), ("Date", "yesterday"),
              ("Set-Cookie", "a=b"), ("X-Opaque-Id", "7")]
    says(primary, answer(203, body, fields, reason="As it  likes"))
    got = get(port)
    assert got.head.startswith(b"HTTP/1.1 203 As it  likes\r\n")
    assert got.fields == fields + [("content-length", str(len(body)))]
    assert got.body == body


@pytest.mark.parametrize("method,target", [("GET", "/bench/_search"), ("DELETE", "/_search/scroll"),
                                           ("POST", "/bench/_search"), ("GET", "/bench/_msearch")])
@pytest.mark.parametrize("size", [0, 1, 70000, 3000000])
def test_bodies_arrive_whole_with_any_method(primary, port, method, target, size):
    body = os.urandom(size)
    assert get(port, target, method, body=body).status == 200
    (request,) = primary.requests
    assert (request.method, request.body) == (method, body)
    assert request.get("Content-Length") == str(size) and not request.came_chunked


def test_chunked_requests_stay_chunked_and_lose_extensions_and_trailers(primary, port):
    with Client(port) as client:
        client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
                    b"3;name=value\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-Trailer: 1\r\n\r\n"
                    b"GET /bench/_count HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.read().status == 200
        assert client.read().status == 200
    assert primary.requests[0].came_chunked and primary.requests[0].body == b"abc0123456789"
    assert primary.requests[0].get("X-Trailer") is None
    assert primary.requests[1].target == "/bench/_count"


def test_a_large_chunked_request_arrives_whole(primary, port):
    parts = [os.urandom(size) for size in (1, 65536, 5, 200000, 70000, 3)] * 5
    with Client(port) as client:
        client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(*parts))
        assert client.read().status == 200
    assert primary.requests[0].body == b"".join(parts)


def test_gzip_is_not_touched(primary, port):
    packed = gzip.compress(b"{}" * 1000)
    says(primary, answer(200, packed, [("content-encoding", "gzip")]))
    got = get(port, method="POST", body=packed, fields=[("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")])
    assert got.body == packed and got.get("content-encoding") == "gzip"
    assert primary.requests[0].body == packed and primary.requests[0].get("accept-encoding") == "gzip"


@pytest.mark.parametrize("parts", [(b"a",), (b"a" * 100, b"b" * 70000, b"c"), (b"x",) * 300])
def test_chunked_answers_arrive_whole(primary, port, parts):
    says(primary, answer(200, chunked(*parts), [("Transfer-Encoding", "chunked")], length=False))
    got = get(port)
    assert got.get("Transfer-Encoding") == "chunked" and got.get("content-length") is None
    assert got.body == b"".join(parts)


def test_parts_of_a_chunked_answer_do_not_wait_for_the_next(primary, port):
    go_on = threading.Event()

    def handler(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n6")
        assert go_on.wait(10)
        connection.send(b"\r\nsecond\r\n0\r\n\r\n")
    primary.handler = handler
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        client.until(b"first\r\n")
        go_on.set()
        client.until(b"second\r\n0\r\n\r\n")


def test_an_answer_until_close_is_chunked_for_1_1_and_ends_with_the_connection_for_1_0(primary, port):
    def handler(request, connection):
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n" + b"z" * 100000)
        connection.sock.shutdown(socket.SHUT_RDWR)
    primary.handler = handler
    got = get(port)
    assert got.get("Transfer-Encoding") == "chunked" and got.body == b"z" * 100000
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n")
        got = client.read()
        assert got.get("Transfer-Encoding") is None and got.get("Connection") == "close"
        assert got.body == b"z" * 100000


def test_http_1_0_gets_chunked_answers_without_chunks(primary, port):
    says(primary, answer(200, chunked(b"abc", b"def"), [("Transfer-Encoding", "chunked")], length=False))
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.0\r\nHost: t\r\n\r\n")
        assert client.rest().endswith(b"\r\n\r\nabcdef")


def test_http_1_0_closes_unless_it_asks_to_be_kept(primary, port):
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.0\r\nHost: t\r\nConnection: keep-alive\r\n\r\n")
        assert client.read().get("Connection") == "keep-alive"
        client.send(b"GET /bench/_search HTTP/1.0\r\nHost: t\r\n\r\n")
        assert client.read().get("Connection") == "close"
        assert client.closed()


def test_head_204_and_304_have_no_body(primary, port):
    with Client(port) as client:
        says(primary, b"HTTP/1.1 200 OK\r\ncontent-length: 12345\r\n\r\n")
        client.send(b"HEAD /bench HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.read("HEAD").get("content-length") == "12345"
        says(primary, b"HTTP/1.1 204 No Content\r\n\r\n")
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        got = client.read()
        assert got.status == 204 and got.get("content-length") is None
        says(primary, b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\ncontent-length: 99\r\n\r\n")
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.read().get("ETag") == '"x"'
        says(primary, answer(404, b"", [("x", "y")]))
        client.send(b"HEAD /none HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.read("HEAD").status == 404
    assert primary.connections <= 20


def test_a_request_in_single_bytes_and_an_answer_in_single_bytes(primary, port):
    def handler(request, connection):
        for byte in answer(200, b"slowly"):
            connection.send(bytes([byte]))
    primary.handler = handler
    with Client(port) as client:
        for byte in b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc":
            client.send(bytes([byte]))
        assert client.read().body == b"slowly"
    assert primary.requests[0].body == b"abc"


def test_pipelined_requests_are_answered_in_order(primary, port):
    def handler(request, connection):
        return answer(200, request.target.encode() + request.body)
    primary.handler = handler
    with Client(port) as client:
        client.send(b"".join(b"GET /bench/_search?%d HTTP/1.1\r\nHost: t\r\n\r\n" % i +
                             b"POST /bench/_search?p%d HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n%02d" % (i, i)
                             for i in range(90)))
        for i in range(90):
            assert client.read().body == b"/bench/_search?%d" % i
            assert client.read().body == b"/bench/_search?p%d%02d" % (i, i)


def test_refusals_keep_their_place_between_pipelined_requests(primary, port):
    primary.handler = lambda request, connection: answer(200, request.target.encode())
    with Client(port) as client:
        client.send(b"".join(b"GET /bench/_search?%d HTTP/1.1\r\nHost: t\r\n\r\n"
                             b"DELETE / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}" % i for i in range(100)))
        for i in range(100):
            assert client.read().body == b"/bench/_search?%d" % i
            assert client.read().status in (200, 201, 400, 403, 405)


def test_expect_continue_is_answered_before_the_body(primary, port):
    for method, target in ((b"POST", b"/bench/_search"), (b"PUT", b"/bench/_doc/1")):
        primary.handler = lambda request, connection: answer(201, b'{"_index":"bench","_id":"1","_version":1,'
                                                             b'"result":"created","_seq_no":0,"_primary_term":1}')
        with Client(port) as client:
            client.send(b"%s %s HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                        b"Expect: 100-continue\r\n\r\n" % (method, target))
            assert client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            client.send(b"{}")
            assert client.read().status == 201
        assert primary.requests[-1].get("Expect") is None


def test_an_answer_before_the_end_of_the_body_is_relayed(primary, port):
    @reads_body
    def handler(request, connection):
        connection.send(answer(413, b"too much"))
        connection.sock.shutdown(socket.SHUT_WR)
        while connection.more():
            connection.data = b""
    primary.handler = handler
    with Client(port) as client:
        client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nContent-Length: 50000000\r\n\r\n")
        client.send(b"x" * 1000)
        got = client.read()
        assert got.status == 413 and got.body == b"too much" and got.get("Connection") == "close"
        client.sock.settimeout(10)
        try:
            for _ in range(20):
                client.send(b"y" * 100000)
        except OSError:
            pass
    primary.handler = lambda request, connection: answer(200, b"next")
    assert get(port).body == b"next"


def test_a_client_that_half_closes_gets_its_answer(primary, port):
    def handler(request, connection):
        return answer(200, b"w" * 300000)
    primary.handler = handler
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n" * 3)
        client.sock.shutdown(socket.SHUT_WR)
        for _ in range(3):
            assert client.read().body == b"w" * 300000
        assert client.closed()


def test_a_client_that_leaves_within_its_body_takes_the_request_with_it(primary, port):
    seen = threading.Event()

    @reads_body
    def handler(request, connection):
        try:
            connection.read_body(request)
        except EOFError:
            seen.set()
            raise
        return answer(200, b"whole")
    primary.handler = handler
    with Client(port) as client:
        client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nhalf")
    assert seen.wait(10)
    primary.handler = lambda request, connection: answer(200, b"next")
    assert get(port).body == b"next"


def test_absolute_targets_and_options(primary, port):
    with Client(port) as client:
        client.send(b"GET http://other:1/bench/_search?a HTTP/1.1\r\nHost: other:1\r\n\r\n")
        assert client.read().status == 200
    assert primary.requests[0].target == "/bench/_search?a"
    assert primary.requests[0].get("Host") == "127.0.0.1:%d" % primary.port


def test_a_loop_is_seen(primary, port):
    get(port)
    via = primary.requests[0].get("Via")
    got = get(port, fields=[("Via", "1.1 somebody, " + via)])
    assert got.status == 508 and len(primary.requests) == 1


NODES = (b'{"_nodes":{"total":1,"successful":1,"failed":0},"cluster_name":"fake","nodes":{"n1":{"name":"n",'
         b'"http":{"bound_address":["10.0.0.1:9200"],"publish_address":"10.0.0.1:9200","max_content_length_in_bytes":1}}}}')
# As the clients of all languages do it, .NET and PHP last.
SNIFFING = ("/_nodes/http", "/_nodes/_all/http", "/_nodes/n1/http", "/_nodes/_all/http?pretty&filter_path=nodes",
            "/_nodes/http,settings?flat_settings=true", "/_nodes/")


@pytest.mark.parametrize("target", SNIFFING)
def test_sniffing_clients_are_told_to_stay(primary, port, target):
    for data in (answer(200, NODES), answer(200, chunked(NODES[:50], NODES[50:]), [("Transfer-Encoding", "chunked")],
                                            length=False)):
        says(primary, data)
        tandem = "127.0.0.1:%d" % port
        got = get(port, target, fields=[("Accept-Encoding", "gzip")], host=tandem)
        (node,) = json.loads(got.body)["nodes"].values()
        assert (node["http"]["publish_address"], node["http"]["bound_address"]) == (tandem, [tandem]), got.body
        assert b"10.0.0.1" not in got.body
        assert primary.requests[-1].get("Accept-Encoding") is None


@pytest.mark.parametrize("settings,named", [({"proxy.rewrite_nodes": False}, None),
                                            ({"proxy.publish": "tandem.example:9200"}, "tandem.example:9200")])
def test_what_sniffing_clients_are_told_is_a_setting(settings, named):
    primary = FakePrimary(lambda request, connection: answer(200, NODES))
    proxy = Proxy([primary.url], settings)
    try:
        for target in SNIFFING:
            got = get(proxy.port, target)
            (node,) = json.loads(got.body)["nodes"].values()
            assert node["http"]["publish_address"] == (named or "10.0.0.1:9200"), got.body
            assert named or got.body == NODES
    finally:
        proxy.stop()
        primary.stop()


def told(port, host):
    (node,) = json.loads(get(port, "/_nodes/http", host=host).body)["nodes"].values()
    return node["http"]["publish_address"]


def test_a_sniffing_client_is_told_the_name_under_which_it_came(primary, port):
    says(primary, answer(200, NODES))
    for host in ("search.example:9200", "10.1.2.3:80", "[fd00::7]:9200"):
        assert told(port, host) == host
    assert [told(port, host) for host in ("search2", "10.1.2.3", "[fd00::7]")] == [
        "search2:80", "10.1.2.3:80", "[fd00::7]:80"]
    # An old client that names no host hears where we listen.
    with Client(port) as client:
        got = client.send(b"GET /_nodes/http HTTP/1.0\r\n\r\n").read()
    assert b'"publish_address":"127.0.0.1:%d"' % port in got.body, got.body


def test_what_is_said_of_nodes_without_their_addresses_is_untouched(primary, port):
    said = b'{ "nodes" : { "n1" : { "jvm" : { "pid" : 7, "load" : 0.10 } } } }'
    says(primary, answer(200, said))
    for target in ("/_nodes/jvm?pretty", "/_nodes/n1/jvm?pretty"):
        assert get(port, target).body == said


def test_a_slow_reader_costs_one_buffer(pair, primary, port):
    body = b"s" * (64 << 20)
    says(primary, answer(200, body))
    get(port)
    before = pair[1].memory()
    with Client(port) as client:
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        head = client.until(b"\r\n\r\n")
        client.exactly(1 << 20)
        assert pair[1].memory() - before < 16 << 20
        left = len(body) - (1 << 20) - len(client.data)
        while left > 0:
            got = client.sock.recv(1 << 20)
            assert got == b"s" * len(got)
            left -= len(got)
    assert left == 0 and b"content-length: %d" % len(body) in head


def test_a_slow_primary_holds_the_sender_back(pair, primary, port):
    go_on = threading.Event()

    @reads_body
    def handler(request, connection):
        assert go_on.wait(20)
        connection.read_body(request)
        return answer(200, b"all")
    primary.handler = handler
    before = pair[1].memory()
    body = os.urandom(32 << 20)
    with Client(port, timeout_s=1) as client:
        client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(body))
        sent = 0  # how far one gets is up to the kernel, which may hold all of it
        try:
            while sent < len(body):
                sent += client.sock.send(body[sent:sent + (1 << 20)])
        except TimeoutError:
            pass
        assert pair[1].memory() - before < 8 << 20
        go_on.set()
        client.sock.settimeout(20)
        client.send(body[sent:])
        assert client.read().body == b"all"
    assert primary.requests[0].body == body
