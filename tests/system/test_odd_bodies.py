"""test_odd_bodies.py - documents at the edge of what JSON and HTTP allow: what the engine makes of them is what travels.

Against real engines where their answer is the point, else against scripted ones.

SPDX-License-Identifier: Apache-2.0
"""

import itertools
import json

import pytest

from fake_primary import Client, FakePrimary, Proxy, chunked, get
from processes import wait_until
from scripted import SOON_S, applied, memory, scripted_tandem, source
from shared import Twins, lines, must, shared_tandem
from tandem import request as ask
from test_http_limits import INDEXED

numbers = itertools.count()


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


@pytest.fixture
def twins(request, tandem):
    """With a field `raw` into which the engine doesn't look."""
    both = Twins(tandem, "odd-%d" % next(numbers))
    for url, index in ((tandem.url, both.name), (tandem.primary.url, both.direct)):
        must(url, "PUT", "/" + index, {"settings": {"number_of_shards": 1}, "mappings": {
            "properties": {"raw": {"type": "object", "enabled": False}}}})
    yield both
    if not getattr(request.node, "failed", False):
        both.equal()


@pytest.fixture(scope="module")
def scripted(request, run_folder):
    yield from scripted_tandem(request, run_folder)


# --- what the engine takes or refuses ---------------------------------------------------------------

# What no decoder of UTF-8 should take, and halves of surrogate pairs. The engines' takes some of it.
NO_TEXT = [b"\xff\xfe", b"\xc3", b"\x80", b"\xe2\x82", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\\ud800",
           b"\\udc00\\ud800", b"\\u0000"]


def same(twins, method, path, body):
    """Alike with and without Tandem, and promised as it is."""
    answer = twins.ask(method, path, body)
    items = answer.json().get("items")
    if items is not None:
        done = any(item["status"] < 300 for each in items for item in each.values())
    else:
        done = answer.status < 300
    assert answer.headers["x-tandem-outcome"] == ("applied" if done else "not-applied"), answer
    return done


def equal_bytes(twins, *ids):
    """These are there, and the same to the last byte; then the index goes: no comparer can read them."""
    twins.tandem.wait_caught_up()
    for id in ids:
        one, two = (ask(engine.url, "GET", "/%s/_source/%s" % (twins.name, id))
                    for engine in (twins.tandem.primary, twins.tandem.standby))
        assert (one.status, one.body) == (two.status, two.body), (id, one, two)
    must(twins.tandem.url, "DELETE", "/" + twins.name)


@pytest.mark.parametrize("text", NO_TEXT, ids=repr)
def test_a_source_that_is_no_utf8_is_what_the_engine_makes_of_it(twins, text):
    taken = 0
    for n, body in enumerate((b'{"t":"%s"}', b'{"raw":{"t":"%s"}}', b'{"raw":{"%s":1}}', b'{"raw":["%s",{"%s":["%s"]}]}')):
        body = body.replace(b"%s", text)
        taken += same(twins, "PUT", "/{i}/_doc/%d" % n, body)
        same(twins, "POST", "/{i}/_bulk", b'{"index":{"_id":"b%d"}}\n%s\n{"index":{"_id":"beside"}}\n{"n":%d}\n' % (n, body, n))
        same(twins, "POST", "/{i}/_update/u%d" % n, b'{"doc":%s,"doc_as_upsert":true}' % body)
    assert taken in (0, 4), "the engine makes a difference that was not known"
    equal_bytes(twins, *(id % n for n in range(4) for id in ("%d", "b%d", "u%d")))


def test_a_nul_in_an_id_within_a_bulk_travels(twins):
    for id in ("a\\u0000b", "\\u0000", "a\\u0000", "\\u0000\\u0000"):
        for n, body in enumerate(('{"index":{"_id":"%s"}}\n{"n":1}\n', '{"update":{"_id":"%s"}}\n{"doc":{"n":2}}\n',
                                  '{"index":{"_id":"routed","routing":"%s"}}\n{"n":1}\n', '{"delete":{"_id":"%s"}}\n',
                                  '{"create":{"_id":"%s"}}\n{"n":3}\n')):
            assert same(twins, "POST", "/{i}/_bulk", body.replace("%s", id)), (id, n)


def test_a_nul_in_an_id_in_doubt_is_found(scripted):
    index = scripted.index("nul")
    for id in ("a\0b", "\0"):
        scripted.a.fault("reset_after", prefix="/nul/_bulk")
        answer = scripted.request("POST", "/nul/_bulk", lines({"index": {"_id": id}}, {"n": 1}))
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (504, "unknown"), answer
    wait_until(lambda: scripted.proxy.status()["open_intents"] == 0, SOON_S, "no intent is open")
    scripted.equal(index)
    assert {entry["id"] for entry in applied(scripted.b, index)} == {"a\0b", "\0"}


# --- deep -------------------------------------------------------------------------------------------

def deep(levels):
    """An object in objects, as many as LEVELS, behind `raw`."""
    return b'{"raw":' + b'{"a":' * (levels - 1) + b"1" + b"}" * levels


@pytest.mark.parametrize("levels", [20, 500, 990, 1000, 1001, 1100])
def test_a_deep_document_is_what_the_engine_makes_of_it(twins, levels):
    same(twins, "PUT", "/{i}/_doc/mapped", b'{"x":' * levels + b"1" + b"}" * levels)
    assert same(twins, "PUT", "/{i}/_doc/1", deep(levels))
    assert same(twins, "POST", "/{i}/_bulk", b'{"index":{"_id":"2"}}\n%s\n{"delete":{"_id":"none"}}\n' % deep(levels))
    equal_bytes(twins, "1", "2")


# --- framing ----------------------------------------------------------------------------------------

def test_a_body_in_chunks_of_one_byte_travels(scripted):
    index = scripted.index("chunks")
    body = json.dumps({"text": "x" * 20_000}).encode()
    head = ("PUT /%s/_doc/%%d HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n"
            "Transfer-Encoding: chunked\r\n\r\n" % index)
    before = None
    with Client(int(scripted.url.rsplit(":", 1)[1])) as client:
        for n in range(12):
            client.send((head % n).encode() + chunked(*[body[at:at + 1] for at in range(len(body))]))
            got = client.read()
            assert (got.status, got.get("X-Tandem-Outcome")) == (201, "applied"), got.body
            before = before or (n == 3 and memory(scripted.proxy))
    assert memory(scripted.proxy) - before < 4 << 20
    scripted.equal(index)
    assert source(scripted.b, index, "11") == json.loads(body)


@pytest.fixture
def far():
    """A proxy that takes heads of the greatest size, in front of one that answers everything."""
    primary = FakePrimary(lambda request, connection: INDEXED)
    proxy = Proxy([primary.url], {"proxy.head_max": "64KB"})
    yield primary, proxy
    proxy.stop()
    primary.stop()


FIELDS = b"".join(b"X%d: y\r\n" % n for n in range(100_000))


@pytest.mark.parametrize("fields", [FIELDS, b"X: y\r\n" * 100_000, b"x:\r\n" * 100_000], ids=["named", "alike", "short"])
def test_a_head_of_100000_fields_is_431_and_costs_nothing(far, fields):
    primary, proxy = far
    before = None
    for n in range(20):
        with Client(proxy.port) as client:
            client.send(b"PUT /bench/_doc/1 HTTP/1.1\r\nHost: t\r\n")
            try:
                client.send(fields + b"\r\n")
            except OSError:
                pass  # it need not read all of it
            got = client.read()
            assert got.status == 431 and got.get("Connection") == "close", got.head
        before = before or (n == 4 and proxy.memory())
    assert proxy.memory() - before < 2 << 20
    assert primary.requests == []
    assert get(proxy.port, "/bench/_doc/1", "PUT", body=b"{}").status == 201


def test_documents_that_are_odd_do_not_add_up_in_memory(far):
    primary, proxy = far
    bodies = [b'{"t":"%s"}' % text for text in NO_TEXT] + [
        deep(1000), deep(200_000), b"[" * 500_000, b'{"a":' * 100_000, b'{"t":"' + b"\\u0000" * 100_000 + b'"}',
        b"{" + b",".join(b'"f%d":1' % n for n in range(50_000)) + b"}", b'{"n":' + b"9" * 1_000_000 + b"}"]

    def round():
        for body in bodies:
            for target, sent in (("/bench/_doc/1", body), ("/bench/_update/1", b'{"doc":%s}' % body),
                                 ("/bench/_bulk", b'{"index":{"_id":"1"}}\n%s\n' % body)):
                assert get(proxy.port, target, "POST", body=sent).status < 600
        return proxy.memory()
    for _ in range(3):
        before = round()
    for _ in range(5):
        after = round()
    assert after - before < 8 << 20  # 40 MB went through
