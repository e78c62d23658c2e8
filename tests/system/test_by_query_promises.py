"""test_by_query_promises.py - an acknowledged write by query is safe without the primary, also what it found of others.

SPDX-License-Identifier: Apache-2.0
"""

from concurrent.futures import ThreadPoolExecutor

import pytest

from processes import wait_until
from shared import equal_indices, must, shared_tandem
from tandem import request as ask
from verifying import fill

WRITERS = 16


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"proxy.threads": 2, "audit.interval": "0s"})


def arm(tandem, points):
    tandem.proxy.stop()
    tandem.proxy.environment["TANDEM_FAILPOINTS"] = points
    tandem.proxy.start()


def count(url, path):
    must(url, "POST", "/%s/_refresh" % path.split("?")[0])
    name, _, query = path.partition("?")
    return must(url, "GET", "/%s/_count?%s" % (name, query))["count"]


def test_what_is_written_behind_the_look_and_deleted_too_is_deleted_on_the_standby(tandem):
    """The look ends with the call that clears its scroll, the fifth; then its thread waits, and the other one writes."""
    fill(tandem, "beside", 300)
    must(tandem.url, "POST", "/beside/_refresh")
    arm(tandem, "Q1=delay(3000):after(4):once")
    try:
        with ThreadPoolExecutor(WRITERS + 1) as pool:
            deleting = pool.submit(tandem.request, "POST", "/beside/_delete_by_query", {"query": {"range": {"n": {"lt": 100}}}})
            wait_until(lambda: any(node["indices"]["search"]["scroll_total"] for node in
                                   ask(tandem.primary.url, "GET", "/_nodes/stats/indices/search").json()["nodes"].values()),
                       20, "it has looked")
            list(pool.map(lambda n: tandem.request("PUT", "/beside/_doc/late%d?refresh=true" % n, {"n": n}), range(WRITERS)))
            answer = deleting.result()
    finally:
        arm(tandem, "")
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (200, "applied"), answer
    assert answer.json()["deleted"] > 100, "none of the writers came in between: %s" % answer.json()
    equal_indices(tandem, "beside")


@pytest.mark.parametrize("call,body,query,left", [
    ("_delete_by_query", {"query": {"range": {"n": {"lt": 200}}}}, "", 400),
    ("_update_by_query", {"script": {"source": "ctx._source.more = 1"}}, "q=more:1", 600)])
def test_what_is_acknowledged_is_on_the_standby_when_the_primary_dies_at_once(tandem, call, body, query, left):
    name = "lost" + call.replace("_", "-")
    fill(tandem, name, 600)
    must(tandem.url, "POST", "/%s/_refresh" % name)
    answer = tandem.request("POST", "/%s/%s" % (name, call), body)
    tandem.primary.kill9()
    try:
        assert answer.headers["x-tandem-outcome"] == "applied", answer
        tandem.wait_caught_up()
        assert count(tandem.standby.url, "%s?%s" % (name, query)) == left
    finally:
        tandem.primary.restart()
    equal_indices(tandem, name)
