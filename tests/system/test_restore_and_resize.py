"""test_restore_and_resize.py - indices that arrive with content are seeded: restored, shrunk, split, cloned, rolled over.

SPDX-License-Identifier: Apache-2.0
"""

import os

import pytest

from processes import wait_until
from shared import equal_indices, must, shared_tandem
from standbys import index_status
from tandem import request
from verifying import fill

SEEDED_S = 60
REPOSITORY = "/_snapshot/arriving"


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"seed.mode": "auto"})


def wait_seeded(tandem, *names):
    for name in names:
        wait_until(lambda: request(tandem.standby.url, "HEAD", "/" + name).status == 200, SEEDED_S, name + " is made")
        wait_until(lambda: (index_status(tandem, name) or {}).get("state") != "filling", SEEDED_S, name + " is seeded")
    equal_indices(tandem, *names)


def snapshot(tandem, name, index):
    must(tandem.url, "PUT", REPOSITORY, {"type": "fs", "settings": {"location": "arriving-%d" % os.getpid()}})
    must(tandem.url, "PUT", "%s/%s?wait_for_completion=true" % (REPOSITORY, name),
         {"indices": index, "include_global_state": False})


def forget(tandem, name):
    must(tandem.url, "DELETE", "%s/%s" % (REPOSITORY, name))
    must(tandem.url, "DELETE", REPOSITORY)


@pytest.mark.parametrize("waits", ["true", "false"])
def test_what_is_restored_under_another_name_is_seeded(tandem, waits):
    name = "restored-" + waits
    fill(tandem, "saved-" + waits, 600)
    snapshot(tandem, "one", "saved-" + waits)
    answer = tandem.request("POST", "%s/one/_restore?wait_for_completion=%s" % (REPOSITORY, waits), {
        "indices": "saved-*", "rename_pattern": "saved", "rename_replacement": "restored"})
    assert answer.status == 200 and answer.headers["x-tandem-outcome"] == "applied", answer
    for n in range(20):
        wait_until(lambda: tandem.request("PUT", "/%s/_doc/new%d" % (name, n), {"n": n}).status == 201, 20, "it is written to")
    wait_seeded(tandem, name)
    assert must(tandem.url, "GET", "/%s/_stats" % name)["_all"]["primaries"]["docs"]["count"] == 620
    forget(tandem, "one")


def test_what_is_restored_over_itself_is_as_it_was(tandem):
    fill(tandem, "over", 300)
    snapshot(tandem, "two", "over")
    for n in range(50):
        must(tandem.url, "PUT", "/over/_doc/later%d" % n, {"n": n})
        must(tandem.url, "DELETE", "/over/_doc/d%d?routing=r%d" % (4 * n, 4 * n % 5))
    must(tandem.url, "POST", "/over/_close")
    answer = tandem.request("POST", REPOSITORY + "/two/_restore?wait_for_completion=true", {"indices": "over"})
    assert answer.status == 200 and answer.headers["x-tandem-outcome"] == "applied", answer
    must(tandem.url, "PUT", "/over/_doc/after", {"n": 1})
    wait_until(lambda: request(tandem.standby.url, "GET", "/over/_doc/after").status == 200, SEEDED_S, "its new rows travel")
    wait_seeded(tandem, "over")
    must(tandem.standby.url, "POST", "/over/_refresh")
    assert must(tandem.standby.url, "GET", "/over/_count")["count"] == 301
    forget(tandem, "two")


def test_a_restore_that_fails_is_the_engines_error(tandem):
    answer = tandem.request("POST", "/_snapshot/nowhere/none/_restore", {})
    assert answer.status == 404 and answer.headers["x-tandem-outcome"] == "not-applied", answer
    assert "repository_missing_exception" in str(answer.json()), answer


@pytest.mark.parametrize("how,shards", [("clone", 2), ("shrink", 1), ("split", 4)])
def test_what_is_made_from_another_index_is_seeded_while_it_is_written_to(tandem, how, shards):
    source, target = "source-" + how, "target-" + how
    must(tandem.url, "PUT", "/" + source, {"settings": {"number_of_shards": 2, "number_of_replicas": 0,
                                                        "number_of_routing_shards": 8}})
    for n in range(200):
        must(tandem.url, "PUT", "/%s/_doc/%d%s" % (source, n, "?routing=r" if n % 3 == 0 else ""), {"n": n})
    must(tandem.url, "PUT", "/%s/_settings" % source, {"index.blocks.write": True})
    must(tandem.url, "POST", "/%s/_%s/%s" % (source, how, target), {"settings": {
        "index.number_of_replicas": 0, "index.blocks.write": None, "index.number_of_shards": shards}})
    must(tandem.url, "PUT", "/%s/_doc/1" % target, {"n": 1000})
    must(tandem.url, "DELETE", "/%s/_doc/2" % target)
    must(tandem.url, "DELETE", "/" + source)
    wait_seeded(tandem, target)
    wait_until(lambda: request(tandem.standby.url, "HEAD", "/" + source).status == 404, SEEDED_S, "the source goes")


def test_an_alias_rolls_over(tandem):
    must(tandem.url, "PUT", "/roll-000001", {"aliases": {"roll": {"is_write_index": True}},
                                             "settings": {"number_of_replicas": 0}})
    for n in range(30):
        must(tandem.url, "POST", "/roll/_doc?refresh=true", {"n": n})
        if n % 10 == 9:
            assert must(tandem.url, "POST", "/roll/_rollover", {"conditions": {"max_docs": 5}})["rolled_over"]
    equal_indices(tandem, "roll-000001", "roll-000002", "roll-000003", "roll-000004")
    assert must(tandem.standby.url, "GET", "/roll/_alias")["roll-000004"]["aliases"]["roll"]["is_write_index"]
