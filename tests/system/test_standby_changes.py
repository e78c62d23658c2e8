"""test_standby_changes.py - a standby with two replicators, from the past, released; two standbys.

Each test has a Tandem of its own, since little is as before when it ends.

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil
import time

import pytest

import processes
from processes import wait_until
from shared import equal_indices, must, shared_tandem
from standbys import ONE_SHARD, on_standby, set_coerce, write
from tandem import Replicator, request, yaml


@pytest.fixture
def parking(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"standbys.refused": "park"},
                             equal=False)


@pytest.fixture
def alone(request, clusters, run_folder):
    """One that need not be equal at the end."""
    yield from shared_tandem(request, clusters, run_folder, equal=False)


@pytest.fixture
def fresh(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


@pytest.fixture
def three(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, standbys=("b", "c"))


def test_refused_rows_are_parked_and_dropped(parking):
    must(parking.url, "PUT", "/refusing", ONE_SHARD)
    write(parking, "refusing", 1)
    parking.wait_caught_up()
    set_coerce(parking, "refusing", False)
    must(parking.url, "PUT", "/refusing/_doc/2", {"n": "2"})
    must(parking.url, "PUT", "/refusing/_doc/3", {"n": "3"})
    write(parking, "refusing", 4)
    wait_until(lambda: parking.replicator.standby_status()["parked"] == 2, 20, "both are parked")
    wait_until(lambda: on_standby(parking, "refusing", 4), 20, "the others go on")
    # A newer row of a parked document stands behind it until somebody decides.
    parked = request(parking.replicator.admin_url, "GET", "/_tandem/parked").json()["parked"]
    assert {row["id"] for row in parked} == {"2", "3"}, parked
    text = parking.ctl("parked", "drop", "--seq", str(parked[0]["seq"]), "--yes")
    assert text.strip(), text
    wait_until(lambda: parking.replicator.standby_status()["parked"] == 1, 20, "one is left")
    parking.ctl("parked", "drop", "--all", "--yes")
    wait_until(lambda: parking.replicator.standby_status()["parked"] == 0, 20, "none is left")
    assert "nothing is parked" in parking.ctl("parked", "list")
    must(parking.url, "PUT", "/refusing/_doc/2", {"n": 22})
    parking.wait_caught_up()
    assert must(parking.standby.url, "GET", "/refusing/_doc/2")["_source"] == {"n": 22}


def never_in_sync_while_parked(tandem):
    """One look; what the replicator says of itself."""
    status = tandem.replicator.standby_status()
    assert status["parked"] == 0 or status["state"] != "in_sync", status
    return status


def test_a_standby_with_a_parked_row_is_not_in_sync(parking):
    must(parking.url, "PUT", "/refusing", ONE_SHARD)
    write(parking, "refusing", 1)
    parking.wait_caught_up()
    wait_until(lambda: never_in_sync_while_parked(parking)["state"] == "in_sync", 20, "it is in sync")
    set_coerce(parking, "refusing", False)
    must(parking.url, "PUT", "/refusing/_doc/2", {"n": "2"})
    wait_until(lambda: never_in_sync_while_parked(parking)["state"] == "parked", 20, "it says so")
    write(parking, "refusing", 3)
    wait_until(lambda: never_in_sync_while_parked(parking)["lag_records"] == 0 and on_standby(parking, "refusing", 3),
               20, "the others go on, and nothing is behind")
    assert never_in_sync_while_parked(parking)["state"] == "parked"
    assert 'tandem_standby_in_sync{standby="b"} 0' in parking.replicator.metrics()
    assert "parked" in parking.ctl("status", check=False)
    # It does not forget it.
    parking.replicator.restart()
    wait_until(lambda: never_in_sync_while_parked(parking)["state"] not in ("starting", "catching_up"), 20,
               "it has taken over")
    assert never_in_sync_while_parked(parking)["state"] == "parked"
    parking.ctl("parked", "drop", "--all", "--yes")
    wait_until(lambda: never_in_sync_while_parked(parking)["state"] == "in_sync", 20, "it is in sync again")


def test_two_standbys_each_at_its_own_pace(three):
    b, c = three.replicators["b"], three.replicators["c"]
    write(three, "books", 1, 2)
    three.wait_caught_up()
    c.stop()
    write(three, "books", 3)
    must(three.url, "DELETE", "/books/_doc/1")
    wait_until(lambda: on_standby(three, "books", 3), 20, "b has it")
    assert request(three.standbys["c"].url, "GET", "/books/_doc/3").status == 404
    assert "no replicator" in three.ctl("status", check=False)
    c.start()
    equal_indices(three, "books")
    names = {each["name"] for each in three.proxy.status()["standbys"]}
    assert names == {"b", "c"}, names
    assert b.standby_status()["applied_seq"] == c.standby_status()["applied_seq"]


def test_a_second_replicator_takes_over(alone):
    write(alone, "books", 1)
    alone.wait_caught_up()
    folder = os.path.join(alone.folder, "second")
    os.makedirs(folder)
    settings = dict(alone.settings)
    admin = processes.free_port()
    settings["standbys"] = [dict(alone.settings["standbys"][0], folder=folder,
                                 admin="127.0.0.1:%d" % admin)]
    config = os.path.join(alone.folder, "second.yml")
    with open(config, "w") as file:
        file.write(yaml(settings) + "\n")
    second = Replicator(config, folder, "b", admin)
    try:
        second.start()
        wait_until(lambda: second.standby_status()["state"] == "in_sync", 20, "it has taken over")
        write(alone, "books", 2)
        wait_until(lambda: on_standby(alone, "books", 2), 20, "the second one writes")
        wait_until(lambda: not alone.replicator.running(), 20, "the first one has ended")
        assert "another replicator" in processes.last_lines(alone.replicator.log_path)
        alone.replicator.child = None
        write(alone, "books", 3)
        wait_until(lambda: on_standby(alone, "books", 3), 20, "and goes on")
    finally:
        if second.running():
            assert second.stop() == 0
    assert not second.complaints()


@pytest.mark.parametrize("replicator", ["running", "away"])
def test_a_standby_restored_to_an_older_state_is_noticed(fresh, replicator):
    data = os.path.join(fresh.standby.folder, "data")
    write(fresh, "books", 1, 2, 3)
    fresh.wait_caught_up()
    # .tandem is a second behind.
    wait_until(lambda: must(fresh.standby.url, "GET", "/.tandem/_doc/standby")["_source"][
        "checkpoint"] == fresh.proxy.status()["journal"]["last_seq"], 10, "its checkpoint is stored")
    fresh.standby.stop()
    shutil.copytree(data, data + ".old")
    fresh.standby.restart()
    must(fresh.url, "DELETE", "/books/_doc/2")
    write(fresh, "books", 4, 1)
    write(fresh, "later", 1)
    fresh.wait_caught_up()
    wait_until(lambda: must(fresh.standby.url, "GET", "/.tandem/_doc/standby")["_source"][
        "checkpoint"] == fresh.proxy.status()["journal"]["last_seq"], 10, "its checkpoint is stored")
    life = fresh.replicator.standby_status()["life"]
    if replicator == "away":
        fresh.replicator.stop()
    fresh.standby.stop()
    shutil.rmtree(data)
    os.rename(data + ".old", data)
    fresh.standby.start().wait_ready()
    write(fresh, "books", 5)
    if replicator == "away":
        fresh.replicator.start()
    wait_until(lambda: "went back in time" in open(fresh.replicator.log_path).read(), 30, "it is noticed")
    wait_until(lambda: fresh.replicator.standby_status()["life"] == life + 1, 30, "it is noticed")
    assert "went back in time" in processes.last_lines(fresh.replicator.log_path, 100)
    equal_indices(fresh, "books", "later")


@pytest.mark.parametrize("primary", ["alive", "dead"])
def test_release_makes_an_ordinary_cluster(alone, primary):
    must(alone.url, "PUT", "/_index_template/fields", {
        "index_patterns": ["new-*"], "priority": 1,
        "template": {"mappings": {"properties": {"k": {"type": "keyword"}}}}})
    must(alone.url, "PUT", "/_ingest/pipeline/last", {
        "processors": [{"set": {"field": "last", "value": True}}]})
    must(alone.url, "PUT", "/books", {
        "settings": {"number_of_shards": 1, "index.final_pipeline": "last",
                     "index.mapping.total_fields.limit": 77}, "aliases": {"reading": {}}})
    must(alone.url, "PUT", "/plain", ONE_SHARD)
    write(alone, "books", 1, 2)
    write(alone, "plain", 1)
    alone.ctl("pause", "b")
    write(alone, "books", 3)
    write(alone, "plain", 2)
    if primary == "dead":
        alone.proxy.kill9()
        alone.primary.kill9()
    said = alone.ctl("release", "b", "--yes")
    assert "released" in said, said
    standby = alone.standby.url
    for n in (1, 2, 3):
        assert on_standby(alone, "books", n)
    assert on_standby(alone, "plain", 2)
    assert request(standby, "GET", "/_index_template/tandem-shadow").status == 404
    aliases = must(standby, "GET", "/books,plain/_alias?expand_wildcards=all")
    assert aliases["books"]["aliases"] == {"reading": {}} and not aliases["plain"]["aliases"], aliases
    settings = must(standby, "GET", "/books,plain/_settings?flat_settings=true")
    books, plain = settings["books"]["settings"], settings["plain"]["settings"]
    assert books["index.mapping.total_fields.limit"] == "77"
    assert books["index.final_pipeline"] == "last"
    assert "index.mapping.total_fields.limit" not in plain and "index.gc_deletes" not in plain, plain
    # An ordinary cluster: new fields, new indices by templates, pipelines.
    must(standby, "PUT", "/books/_doc/4", {"new": "field"})
    assert must(standby, "GET", "/books/_doc/4")["_source"] == {"new": "field", "last": True}
    must(standby, "PUT", "/new-1/_doc/1", {"k": "x"})
    mapping = must(standby, "GET", "/new-1/_mapping")["new-1"]["mappings"]
    assert mapping["properties"]["k"] == {"type": "keyword"}
    must(standby, "POST", "/books/_update/1", {"doc": {"n": 11}})
    must(standby, "DELETE", "/plain/_doc/1")
    assert must(standby, "GET", "/.tandem/_doc/standby")["_source"]["state"] == "released"
    if primary == "alive":
        write(alone, "books", 9)
        time.sleep(0.5)  # nothing must happen
        assert not on_standby(alone, "books", 9)
    assert "released" in alone.ctl("status", check=False)
    # Started again, it leaves the cluster alone, and says why.
    alone.replicator.stop()
    alone.replicator.spawn()
    wait_until(lambda: not alone.replicator.running(), 20, "it ends")
    assert "was released" in processes.last_lines(alone.replicator.log_path)
    alone.replicator.child = None
    must(standby, "PUT", "/books/_doc/5", {"newer": "field"})
