"""test_primary_lost.py - a primary that was emptied, or mixed up with another cluster, must not
empty the standby.

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil

import pytest

from processes import wait_until
from shared import must, shared_tandem
from tandem import request


@pytest.fixture
def alone(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, equal=False)


def test_an_emptied_primary_does_not_empty_the_standby(alone):
    for n in range(3):
        must(alone.url, "PUT", "/books/_doc/%d" % n, {"n": n})
    must(alone.url, "PUT", "/_ingest/pipeline/kept", {"processors": []})
    alone.wait_caught_up()
    alone.primary.stop()
    shutil.rmtree(os.path.join(alone.primary.folder, "data"))
    alone.primary.start().wait_ready()

    # Before it is noticed a write may reach the other cluster; it is never acknowledged.
    wait_until(lambda: alone.proxy.status()["primary"]["state"] == "another cluster", 20,
               "it is noticed")
    for method, path, body in (("PUT", "/books/_doc/9", {"n": 9}), ("DELETE", "/books", None),
                               ("PUT", "/others", {})):
        answer = alone.request(method, path, body)
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (503, "not-applied"), answer
    assert request(alone.primary.url, "HEAD", "/books").status == 404
    problems = alone.proxy.status()["problems"]
    assert any("writes are refused" in problem["text"] for problem in problems), problems
    assert "writes are refused" in alone.ctl("status", check=False)
    # Reads pass still.
    assert alone.request("GET", "/_cluster/health").status == 200
    # So it is after a restart of everything.
    for daemon in alone.daemons:
        daemon.stop()
    alone.replicator.spawn()
    alone.proxy.spawn()
    wait_until(lambda: answers(alone), 20, "it is there")
    for n in range(3):
        assert request(alone.standby.url, "GET", "/books/_doc/%d" % n).status == 200
    assert request(alone.standby.url, "GET", "/_ingest/pipeline/kept").status == 200
    answer = alone.request("PUT", "/books/_doc/9", {"n": 9})
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (503, "not-applied"), answer


def answers(tandem):
    try:
        return tandem.proxy.status()
    except OSError:
        return None
