"""test_hold_all.py - tandemctl hold: all writes wait in the proxy, reads go on, nobody sees an error.

SPDX-License-Identifier: Apache-2.0
"""

import concurrent.futures
import socket
import struct
import threading
import time

import pytest

from processes import wait_until
from shared import lines, must, shared_tandem
from tandem import request
from test_admin_access import ctl

SOON_S = 10


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, settings={"hold.requests_max": 20, "hold.bytes_max": "1MB"})


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(40) as threads:
        yield threads


@pytest.fixture(autouse=True)
def no_hold_is_left(tandem):
    yield
    wait_until(lambda: hold_of(tandem)["state"] == "off", SOON_S, "no hold")


def hold_of(tandem):
    return tandem.proxy.status()["hold"]


def operations(tandem):
    """How many the primary has applied, of all kinds: nothing that writes passes this by."""
    stats = must(tandem.primary.url, "GET", "/_stats/indexing?expand_wildcards=all")["_all"]["total"]["indexing"]
    return stats["index_total"] + stats["delete_total"]


def held(tandem, count):
    wait_until(lambda: hold_of(tandem)["requests"] == count, SOON_S, "%d are held" % count)


def test_writes_wait_and_reads_go_on(tandem, pool):
    must(tandem.url, "PUT", "/held/_doc/0?refresh=true", {"n": 0})
    code, said = ctl(tandem, "hold", "--max", "60s")
    assert code == 0 and "nothing is under way" in said, said
    before = operations(tandem)
    asked = [pool.submit(tandem.request, "PUT", "/held/_doc/%d" % n, {"n": n}) for n in range(1, 8)]
    asked.append(pool.submit(tandem.request, "POST", "/_bulk", lines({"index": {"_index": "held", "_id": "b"}}, {"n": 8})))
    asked.append(pool.submit(tandem.request, "PUT", "/held-too", {"settings": {"number_of_shards": 1}}))
    asked.append(pool.submit(tandem.request, "POST", "/held/_delete_by_query?refresh=true", {"query": {"term": {"n": 0}}}))
    held(tandem, 10)
    # Reads, and the status, as ever; a load balancer keeps sending us what comes.
    assert must(tandem.url, "GET", "/held/_doc/0")["_source"] == {"n": 0}
    assert must(tandem.url, "POST", "/held/_search", {"query": {"match_all": {}}})["hits"]["hits"]
    assert request(tandem.primary.url, "HEAD", "/held-too").status == 404
    status = tandem.proxy.status()
    assert status["state"] == "holding" and status["hold"]["quiet"], status["hold"]
    assert [p for p in status["problems"] if "writes are held (10 requests" in p["text"]], status["problems"]
    assert "hold --end" in ctl(tandem, "status")[1]
    assert request(tandem.proxy.admin_url, "GET", "/primary").status == 200
    assert "tandem_hold_requests 10\n" in tandem.proxy.metrics()
    assert operations(tandem) == before and not [one for one in asked if one.done()]
    code, said = ctl(tandem, "hold")
    assert code == 2 and "held already" in said, said
    code, said = ctl(tandem, "hold", "--end")
    assert code == 0 and "at most 10 were held" in said, said
    for one in asked:
        answer = one.result(SOON_S)
        assert answer.status in (200, 201) and answer.headers["x-tandem-outcome"] in ("applied", "not-applied"), answer
    assert request(tandem.url, "GET", "/held/_doc/0").status == 404
    code, said = ctl(tandem, "history")
    assert "writes are held for at most" in said and "writes go on (10 requests" in said, said
    tandem.wait_equal()


def test_it_ends_when_its_time_is_over(tandem, pool):
    begun = time.monotonic()
    ctl(tandem, "hold", "--max", "700ms")
    one = pool.submit(tandem.request, "PUT", "/held/_doc/time", {"n": 1})
    assert one.result(SOON_S).status == 201 and time.monotonic() - begun >= 0.69
    assert hold_of(tandem)["cut"] and hold_of(tandem)["ended"] == "its time was over"


@pytest.mark.parametrize("count,size,bound", [(21, 10, "hold.requests_max"), (3, 400000, "hold.bytes_max")])
def test_at_its_bounds_it_ends_and_all_goes_on(tandem, pool, count, size, bound):
    ctl(tandem, "hold", "--max", "60s")
    asked = [pool.submit(tandem.request, "PUT", "/held/_doc/%s-%d" % (bound, n), {"text": "x" * size}) for n in range(count)]
    assert {one.result(SOON_S).status for one in asked} == {201}
    assert hold_of(tandem)["cut"] and bound in hold_of(tandem)["ended"]


def test_what_a_client_broke_off_is_not_written_behind_its_back(tandem, pool):
    ctl(tandem, "hold", "--max", "60s")
    host, port = tandem.url.split("//")[1].split(":")
    gone = socket.create_connection((host, int(port)))
    gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # its end is a reset
    gone.sendall(b'PUT /held/_doc/given-up HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'
                 b'Content-Length: 7\r\n\r\n{"n":1}')
    held(tandem, 1)
    gone.close()
    other = pool.submit(tandem.request, "PUT", "/held/_doc/kept", {"n": 1})
    held(tandem, 2)
    ctl(tandem, "hold", "--end")
    assert other.result(SOON_S).status == 201
    wait_until(lambda: hold_of(tandem)["in_flight"] == 0, SOON_S, "nothing is in flight")
    assert request(tandem.url, "GET", "/held/_doc/given-up").status == 404


def test_it_waits_for_what_is_under_way(tandem, pool):
    """Writers that never stop: when hold says that nothing is under way, nothing is."""
    going = threading.Event()
    going.set()

    def write(number):
        statuses, n = set(), 0
        while going.is_set():
            n += 1
            statuses.add(tandem.request("POST", "/_bulk", lines(
                {"index": {"_index": "held", "_id": "w%d-%d" % (number, n % 50)}}, {"n": n},
                {"index": {"_index": "held"}}, {"n": n})).status)
        return statuses
    writers = [pool.submit(write, number) for number in range(8)]
    for _ in range(3):
        code, said = ctl(tandem, "hold", "--max", "30s")
        assert code == 0, said
        before = operations(tandem)
        held(tandem, 8)
        assert operations(tandem) == before
        ctl(tandem, "hold", "--end")
        wait_until(lambda: operations(tandem) > before + 100, SOON_S, "writes go on")
    going.clear()
    assert set.union(*(one.result(SOON_S) for one in writers)) == {200}
    tandem.wait_equal()


def test_the_end_of_the_proxy_ends_it(tandem, pool):
    ctl(tandem, "hold", "--max", "60s")
    one = pool.submit(tandem.request, "PUT", "/held/_doc/end", {"n": 1})
    held(tandem, 1)
    assert tandem.proxy.stop() == 0
    assert one.result(SOON_S).status == 201
    tandem.proxy.start()
    assert hold_of(tandem)["state"] == "off"


@pytest.mark.parametrize("words,code,meant", [
    (("hold", "--max", "soon"), 2, "needs a time"), (("hold", "--max", "10ms"), 2, "100 to 600000"),
    (("hold", "--max", "1h"), 2, "100 to 600000"), (("hold", "now"), 2, "not now"), (("hold", "--end"), 2, "no writes are held"),
    (("hold", "--end", "--max", "1s"), 2, "not both"), (("release", "nobody"), 2, "no standby nobody")])
def test_what_is_wrong_is_said(tandem, words, code, meant):
    got, said = ctl(tandem, *words)
    assert got == code and meant in said, (got, said)
    assert hold_of(tandem)["state"] == "off"
