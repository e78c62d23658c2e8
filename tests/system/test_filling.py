"""test_filling.py - indices whose content no row explains: made from others, restored; what a standby keeps for their sake.

Nobody seeds them here, so each test has a Tandem of its own, and the clusters need not be equal when it ends.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

from processes import wait_until
from shared import equal_indices, must, shared_tandem
from standbys import ONE_SHARD, index_status, on_standby, write
from tandem import request

SOON_S = 20
REPOSITORY = "/_snapshot/filling"
SNAPSHOT = REPOSITORY + "/one"


@pytest.fixture
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"seed.mode": "manual"}, equal=False)


def there(tandem, index):
    return request(tandem.standby.url, "HEAD", "/" + index).status == 200


def wait_filling(tandem, index):
    """Until both programs say so of INDEX, and the standby has it."""
    wait_until(lambda: index in tandem.proxy.status()["had_content"], SOON_S, "the proxy says so")
    wait_until(lambda: (index_status(tandem, index) or {}).get("state") == "filling", SOON_S,
               "the replicator says so")
    assert there(tandem, index)


def wait_kept(tandem, index, why):
    """Until it is shown that INDEX, deleted on the primary, is kept for another one."""
    status = wait_until(lambda: next((each for each in tandem.replicator.status()["indices"]
                                      if each["name"] == index and "kept here" in each["why"]), None), SOON_S,
                        "it is shown that %s is kept" % index)
    assert "deleted on the primary" in status["why"] and why in status["why"], status
    text = tandem.ctl("status", check=False)
    assert "kept here" in text, text
    assert there(tandem, index)


# --- made from another index ----------------------------------------------------------------------

def resize_and_delete_source(tandem, how):
    must(tandem.url, "PUT", "/source", {"settings": {"number_of_shards": 2, "number_of_replicas": 0}})
    write(tandem, "source", 1, 2, 3)
    must(tandem.url, "PUT", "/source/_settings", {"index.blocks.write": True})
    must(tandem.url, "POST", "/source/_%s/target" % how, {"settings": {
        "index.number_of_replicas": 0, "index.blocks.write": None, "index.number_of_shards": 2 if how == "clone" else 1}})
    wait_filling(tandem, "target")
    must(tandem.url, "DELETE", "/source")
    wait_kept(tandem, "source", "made from it")


@pytest.mark.parametrize("how", ["clone", "shrink"])
def test_the_source_of_a_resized_index_is_kept(tandem, how):
    resize_and_delete_source(tandem, how)
    write(tandem, "target", 4)
    wait_until(lambda: on_standby(tandem, "target", 4), SOON_S, "new rows of the target travel")
    # So it is when the replicator is started again.
    tandem.replicator.restart()
    wait_kept(tandem, "source", "made from it")
    for n in (1, 2, 3):
        assert on_standby(tandem, "source", n) and not on_standby(tandem, "target", n)


def test_a_source_that_was_kept_goes_with_the_target(tandem):
    resize_and_delete_source(tandem, "clone")
    must(tandem.url, "DELETE", "/target")
    for name in ("target", "source"):
        wait_until(lambda: not there(tandem, name), SOON_S, name + " is gone")
    wait_until(lambda: index_status(tandem, "source") is None, SOON_S, "nothing is shown of it any more")


# --- restored -------------------------------------------------------------------------------------

def take_snapshot(primary):
    """Makes `saved` with the documents 1 to 3 and a snapshot of it."""
    must(primary.url, "PUT", REPOSITORY, {"type": "fs", "settings": {"location": "filling"}})
    request(primary.url, "DELETE", SNAPSHOT)
    must(primary.url, "PUT", "/saved", ONE_SHARD)
    for n in (1, 2, 3):
        must(primary.url, "PUT", "/saved/_doc/%d" % n, {"saved": n})
    must(primary.url, "PUT", SNAPSHOT + "?wait_for_completion=true", {"indices": "saved"})


def restore(tandem, name):
    return tandem.request("POST", SNAPSHOT + "/_restore?wait_for_completion=true", {
        "indices": "saved", "rename_pattern": "saved", "rename_replacement": name, "include_global_state": False})


def restore_filling(tandem, name):
    answer = restore(tandem, name)
    assert answer.status == 200 and answer.headers["x-tandem-outcome"] == "applied", answer
    wait_filling(tandem, name)


def test_a_restored_index_is_filling_and_its_new_rows_travel(tandem):
    take_snapshot(tandem.primary)
    restore_filling(tandem, "restored")
    assert "restored" in tandem.ctl("status", check=False)
    must(tandem.url, "PUT", "/restored/_doc/2", {"n": 22})
    must(tandem.url, "PUT", "/restored/_doc/4", {"n": 4, "new": "field"})
    must(tandem.url, "DELETE", "/restored/_doc/3")
    tandem.wait_caught_up()
    for n, source in ((2, {"n": 22}), (4, {"n": 4, "new": "field"})):
        assert must(tandem.standby.url, "GET", "/restored/_doc/%d" % n)["_source"] == source
    assert not on_standby(tandem, "restored", 1) and not on_standby(tandem, "restored", 3)
    # It is no index without content: what goes on beside it is not disturbed.
    write(tandem, "beside", 1)
    equal_indices(tandem, "beside")


def test_an_index_that_is_restored_over_itself_is_a_new_one(tandem):
    take_snapshot(tandem.primary)
    write(tandem, "saved", 4)
    tandem.wait_caught_up()
    assert on_standby(tandem, "saved", 4)
    must(tandem.url, "POST", "/saved/_close")
    restore_filling(tandem, "saved")
    assert request(tandem.primary.url, "HEAD", "/saved/_doc/4").status == 404
    write(tandem, "saved", 5)
    wait_until(lambda: on_standby(tandem, "saved", 5), SOON_S, "its new rows travel")
    assert not on_standby(tandem, "saved", 4), "what is not on the primary any more is on the standby"


# --- behind an alias ------------------------------------------------------------------------------

def alias_members(tandem):
    return list(must(tandem.standby.url, "GET", "/_alias/reading"))


def swap(tandem, old, new):
    must(tandem.url, "POST", "/_aliases", {"actions": [{"remove": {"index": old, "alias": "reading"}},
                                                       {"add": {"index": new, "alias": "reading"}}]})


def test_an_alias_stays_with_the_content(tandem):
    take_snapshot(tandem.primary)
    must(tandem.url, "PUT", "/old", dict(ONE_SHARD, aliases={"reading": {}}))
    write(tandem, "old", 1, 2)
    equal_indices(tandem, "old")
    restore_filling(tandem, "new")
    swap(tandem, "old", "new")
    wait_until(lambda: "alias" in (index_status(tandem, "old") or {"why": ""})["why"], SOON_S, "it is shown")
    tandem.wait_caught_up()
    assert list(must(tandem.primary.url, "GET", "/_alias/reading")) == ["new"]
    assert alias_members(tandem) == ["old"]
    text = tandem.ctl("status", check=False)
    assert "alias" in text and "old" in text, text

    # The index that shows the content is deleted on the primary.
    must(tandem.url, "DELETE", "/old")
    wait_kept(tandem, "old", "behind an alias")
    assert alias_members(tandem) == ["old"] and on_standby(tandem, "old", 1)
    # What was acknowledged since counts more.
    must(tandem.url, "PUT", "/old/_doc/3", {"n": 3})
    wait_until(lambda: on_standby(tandem, "old", 3), SOON_S, "the new index has the name")
    equal_indices(tandem, "old")
    assert not on_standby(tandem, "old", 1)
