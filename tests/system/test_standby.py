"""test_standby.py - what happens on the standby's side: pauses, refusals, blocks, losses.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import shutil
import time

import pytest

from processes import wait_until
from shared import equal_indices, must, shared_tandem
from standbys import ONE_SHARD, index_status, on_standby, set_coerce, wait_state, write


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


def test_pause_and_resume(tandem):
    write(tandem, "paused", 1)
    tandem.wait_caught_up()
    tandem.ctl("pause", "b")
    wait_state(tandem, "paused")
    write(tandem, "paused", 2)
    time.sleep(0.5)  # nothing must happen meanwhile
    assert not on_standby(tandem, "paused", 2)
    assert tandem.replicator.standby_status()["lag_records"] > 0
    assert "paused" in tandem.ctl("status", check=False)
    tandem.ctl("resume", "b")
    equal_indices(tandem, "paused")


def test_the_status_is_readable(tandem):
    write(tandem, "shown", 1)
    tandem.wait_caught_up()
    wait_state(tandem, "in_sync")
    text = tandem.ctl("status")
    for word in ("CLUSTER", "primary", "standby/in_sync", "JOURNAL", "LAG"):
        assert word in text, text
    assert "null" not in text and "(null)" not in text, text
    as_json = json.loads(tandem.ctl("status", "--json"))
    assert as_json, as_json


@pytest.mark.parametrize("how", ["write block", "closed"])
def test_an_index_blocked_on_the_standby_goes_on_by_itself(tandem, how):
    index = "blocked-" + how.split()[0]
    write(tandem, index, 1)
    equal_indices(tandem, index)
    if how == "closed":
        must(tandem.standby.url, "POST", "/%s/_close" % index)
    else:
        must(tandem.standby.url, "PUT", "/%s/_block/write" % index)
    write(tandem, index, 2, 3)
    write(tandem, "beside-" + index, 1)
    # While it is tried again it counts as ready for a moment.
    wait_until(lambda: "block" in (index_status(tandem, index) or {"why": ""})["why"], 20,
               "it is shown")
    wait_until(lambda: on_standby(tandem, "beside-" + index, 1), 20, "other indices go on")
    assert index in tandem.ctl("status", check=False)
    if how == "closed":
        must(tandem.standby.url, "POST", "/%s/_open" % index)
    else:
        must(tandem.standby.url, "PUT", "/%s/_settings" % index, {"index.blocks.write": None})
    equal_indices(tandem, index, "beside-" + index)
    wait_until(lambda: index_status(tandem, index) is None, 10, "and is well again")


def test_a_refused_row_stops_its_index_only(tandem):
    must(tandem.url, "PUT", "/refusing", ONE_SHARD)
    write(tandem, "refusing", 1)
    equal_indices(tandem, "refusing")
    set_coerce(tandem, "refusing", False)
    must(tandem.url, "PUT", "/refusing/_doc/2", {"n": "2"})
    write(tandem, "refusing", 3)
    write(tandem, "beside-refusing", 1)
    wait_until(lambda: tandem.replicator.standby_status()["parked"] == 1, 20, "it is parked")
    wait_until(lambda: on_standby(tandem, "beside-refusing", 1), 20, "other indices go on")
    wait_until(lambda: (index_status(tandem, "refusing") or {}).get("state") == "stopped", 10, "stopped")
    text = tandem.ctl("parked", "list")
    assert "refusing/2" in text and "mapper" in text, text
    text = tandem.ctl("status", check=False)
    assert "refusing" in text and "parked" in text, text
    # A retry before the cause is mended parks it again.
    tandem.ctl("parked", "retry", "--all")
    wait_until(lambda: tandem.replicator.standby_status()["parked"] == 1, 20, "it is parked again")
    set_coerce(tandem, "refusing", True)
    tandem.ctl("parked", "retry", "--all")
    wait_until(lambda: tandem.replicator.standby_status()["parked"] == 0, 20, "it is taken")
    must(tandem.url, "PUT", "/refusing/_mapping", {"properties": {"n": {"type": "long", "coerce": True}}})
    equal_indices(tandem, "refusing")


@pytest.mark.parametrize("when", ["running", "away"])
def test_an_index_deleted_on_the_standby_is_made_again(tandem, when):
    index = "vanished-" + when
    write(tandem, index, 1, 2, 3)
    must(tandem.url, "DELETE", "/%s/_doc/2" % index)
    equal_indices(tandem, index)
    if when == "away":
        tandem.replicator.stop()
    must(tandem.standby.url, "DELETE", "/" + index)
    write(tandem, index, 4)
    if when == "away":
        tandem.replicator.start()
    wait_until(lambda: "vanished from the standby" in open(tandem.replicator.log_path).read(), 20,
               "the replicator notices")
    equal_indices(tandem, index)


def test_a_replicator_that_is_restarted_goes_on(tandem):
    write(tandem, "restarted", 1)
    for kill in (True, False):
        if kill:
            tandem.replicator.kill9()
        else:
            tandem.replicator.stop()
        write(tandem, "restarted", 2, 3)
        must(tandem.url, "DELETE", "/restarted/_doc/2")
        tandem.replicator.start()
        equal_indices(tandem, "restarted")


def test_a_replicator_that_lost_its_folder_reads_the_standby(tandem):
    write(tandem, "forgotten", *range(20))
    tandem.wait_caught_up()
    session = tandem.replicator.standby_status()["session"]
    tandem.replicator.stop()
    folder = os.path.join(tandem.folder, "standby-b")
    shutil.rmtree(folder)
    os.makedirs(folder)
    must(tandem.url, "DELETE", "/forgotten/_doc/7")
    write(tandem, "forgotten", 20)
    tandem.replicator.start()
    equal_indices(tandem, "forgotten")
    assert tandem.replicator.standby_status()["session"] == session + 1
