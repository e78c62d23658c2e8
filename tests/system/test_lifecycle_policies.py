"""test_lifecycle_policies.py - lifecycle policies are on the standby, and once released it goes on by them.

Elasticsearch 6.8 is the one engine here that has them.

SPDX-License-Identifier: Apache-2.0
"""

import json

import pytest

import compare
from clusters import make_empty
from processes import wait_until
from shared import EXCLUDE, lines, must, shared_tandem
from standbys import index_status
from tandem import request
from test_lifecycle_primary import ilm
from verifying import NDJSON, ctl

pytestmark = [pytest.mark.long, pytest.mark.limit(600), pytest.mark.engines("elasticsearch-6.8")]

SOON_S = 60
ACTS_S = 150
MAX_DOCS = 20
ROLLOVER = {"actions": {"rollover": {"max_docs": MAX_DOCS}}}
# Far longer than the primary is left to act, and as long as the test waits for the released standby to.
DELETE = {"min_age": "20s", "actions": {"delete": {}}}
SHRINK = {"min_age": "0s", "actions": {"shrink": {"number_of_shards": 1}}}
OLD_AGE = {"policy": {"phases": {"delete": {"min_age": "400d", "actions": {"delete": {}}}}}}


def put_policy(url, name, **phases):
    must(url, "PUT", "/_ilm/policy/" + name, {"policy": {"phases": phases}})


def policies(engine):
    """What they say, without the engine's own."""
    return {name: each["policy"] for name, each in must(engine.url, "GET", "/_ilm/policy").items()
            if not compare.built_in(name, each)}


def wait_policies(tandem, what):
    wait_until(lambda: policies(tandem.standby) == policies(tandem.primary), SOON_S, what, interval_s=0.2)


def objects(tandem, *args):
    """Exit code, and what was found of definitions that are no indices."""
    code, said = ctl(tandem, *(args or ("verify",)), "--json")
    return code, json.loads(said)["objects"]


@pytest.fixture
def acting(clusters):
    """Both clusters may act by policies; afterwards they have none."""
    engines = clusters.get("elasticsearch-6.8")
    for engine in engines:
        ilm(engine, "RUNNING")
    yield
    for engine in engines:
        make_empty(engine)
        ilm(engine, "RUNNING")


# --- as any other definition -----------------------------------------------------------------------

def test_a_policy_is_put_changed_and_deleted(tandem):
    put_policy(tandem.url, "of-logs", hot=ROLLOVER)
    tandem.wait_caught_up()  # the answer came when it was in the journal
    assert set(policies(tandem.standby)) == {"of-logs"}
    assert policies(tandem.standby) == policies(tandem.primary)
    put_policy(tandem.url, "of-logs", hot=ROLLOVER, delete=DELETE)
    tandem.wait_caught_up()
    assert set(policies(tandem.standby)["of-logs"]["phases"]) == {"hot", "delete"}
    # Past Tandem, and under a name that must be encoded.
    put_policy(tandem.primary.url, "m%C3%BCde%25x", delete=DELETE)
    wait_policies(tandem, "what went past Tandem is there")
    assert set(policies(tandem.standby)) == {"of-logs", "müde%x"}
    must(tandem.url, "DELETE", "/_ilm/policy/of-logs")
    tandem.wait_caught_up()
    assert set(policies(tandem.standby)) == {"müde%x"}
    dumped = tandem.ctl("journal", "dump")
    assert "ilm_policy" in dumped and "watch-history" not in dumped, "the engine's own is not copied"
    # The same again has another version and date, and is no other policy.
    put_policy(tandem.url, "m%C3%BCde%25x", delete=DELETE)
    assert tandem.ctl("journal", "dump").count("ilm_policy") == dumped.count("ilm_policy")


def test_a_policy_changed_by_hand_is_named_and_mended(tandem):
    must(tandem.url, "PUT", "/books/_doc/1", {"n": 1})
    for name in ("lost", "turned", "kept"):
        put_policy(tandem.url, name, hot=ROLLOVER, delete=DELETE)
    tandem.wait_caught_up()
    code, found = objects(tandem)
    assert code == 0 and not found["differences"], found
    assert not [each for each in found["waiting"] if each["kind"] == "ilm_policy"], found
    url = tandem.standby.url
    must(url, "DELETE", "/_ilm/policy/lost")
    put_policy(url, "turned", hot={"actions": {"rollover": {"max_docs": 1}}}, delete=DELETE)
    put_policy(url, "own", delete=DELETE)
    code, found = objects(tandem)
    places = sorted((each["what"], each["kind"], each["name"], each.get("path", "")) for each in found["differences"])
    assert code == 4 and places == [
        ("different", "ilm_policy", "turned", "phases.hot.actions.rollover.max_docs"),
        ("extra", "ilm_policy", "own", ""), ("missing", "ilm_policy", "lost", "")], places
    code, found = objects(tandem, "repair", "--apply")
    assert (found["repaired"], found["left"]) == (2, 1), found  # "own" is for whoever put it there
    must(url, "DELETE", "/_ilm/policy/own")
    wait_policies(tandem, "the others are mended")


def test_a_policy_ends_behind_its_last_index(tandem):
    """An engine keeps a policy that is in use."""
    for name in ("one", "two"):
        put_policy(tandem.url, name, **OLD_AGE["policy"]["phases"])
        must(tandem.url, "PUT", "/of-" + name, {"settings": {"number_of_replicas": 0, "lifecycle.name": name}})
    tandem.wait_caught_up()
    # In one look of the follower, as far as that can be had.
    must(tandem.primary.url, "DELETE", "/of-one")
    must(tandem.primary.url, "DELETE", "/_ilm/policy/one")
    wait_policies(tandem, "the first is gone")
    assert "one" not in policies(tandem.standby)
    assert "ilm_policy one is refused" not in open(tandem.replicator.log_path).read()
    # Something on the standby still uses the other: it is said, and tried until it can be had.
    must(tandem.standby.url, "PUT", "/in-the-way", {"settings": {"lifecycle.name": "two"}})
    must(tandem.url, "DELETE", "/of-two")
    must(tandem.url, "DELETE", "/_ilm/policy/two")
    put_policy(tandem.url, "three", hot=ROLLOVER)
    must(tandem.url, "PUT", "/of-three/_doc/1", {"n": 1})
    tandem.wait_caught_up()
    assert set(policies(tandem.standby)) == {"two", "three"}, "it holds up nothing else"
    assert "ilm_policy two" in tandem.ctl("status", check=False)
    must(tandem.standby.url, "DELETE", "/in-the-way")
    wait_policies(tandem, "the second is gone")


# --- a released standby ----------------------------------------------------------------------------

@pytest.fixture
def alone(request, acting, clusters, run_folder):
    """What is done to it in the end is not compared. With a replica its one node would wait for ever in a step."""
    settings = {"seed.mode": "auto", "standbys.settings_override": ["* index.number_of_replicas=0"]}
    yield from shared_tandem(request, clusters, run_folder, settings, equal=False, kind="elasticsearch-6.8",
                             before=lambda url: act_often(clusters))


def act_often(clusters):
    for engine in (clusters.engines["elasticsearch-6.8", name] for name in "ab"):
        must(engine.url, "PUT", "/_cluster/settings", {"persistent": {"indices.lifecycle.poll_interval": "1s"}})


def begin(tandem, **phases):
    put_policy(tandem.url, "of-logs", **phases)
    must(tandem.url, "PUT", "/_template/logs", {
        "index_patterns": ["logs-*"], "settings": {
            "number_of_shards": 2, "number_of_replicas": 0, "lifecycle.name": "of-logs",
            "lifecycle.rollover_alias": "logs"}})
    must(tandem.url, "PUT", "/logs-000001", {"aliases": {"logs": {"is_write_index": True}}})


def write(url):
    """As many documents as an index may have, and one more."""
    body = [line for n in range(MAX_DOCS + 1) for line in ({"index": {}}, {"n": n})]
    assert not must(url, "POST", "/logs/_doc/_bulk?refresh=true", lines(*body), NDJSON)["errors"]


def indices(engine):
    return set(must(engine.url, "GET", "/logs*,shrink-*/_settings"))


def setting(engine, index, name):
    return must(engine.url, "GET", "/%s/_settings?flat_settings=true" % index)[index]["settings"].get("index." + name)


def marked(engine, index):
    """True when its lifecycle knows that it was rolled over."""
    return setting(engine, index, "lifecycle.indexing_complete") == "true"


def explained(engine):
    """How the lifecycle of each index stands. None may be in error."""
    found = must(engine.url, "GET", "/logs*,shrink-*/_ilm/explain")["indices"]
    wrong = {name: each for name, each in found.items()
             if each.get("step") == "ERROR" or "does not exist" in str(each.get("step_info"))}
    assert not wrong, wrong
    return found


def release(tandem):
    """The primary acts no more; the standby has done nothing so far, and does from now on."""
    assert must(tandem.standby.url, "GET", "/_ilm/status") == {"operation_mode": "STOPPED"}
    wait_until(lambda: indices(tandem.standby) == indices(tandem.primary), ACTS_S, "the standby has the same indices")
    for name in indices(tandem.primary):
        wait_until(lambda: (index_status(tandem, name) or {}).get("state") != "filling", ACTS_S, name + " is filled")
    tandem.wait_equal()
    code, said = ctl(tandem, "verify")
    assert code == 0, said
    said = tandem.ctl("release", "b", "--yes", "--timeout", "60")
    assert "released" in said and "ilm" not in said, said
    assert must(tandem.standby.url, "GET", "/_ilm/status") == {"operation_mode": "RUNNING"}


def test_a_released_standby_goes_on_rolling_over_and_deleting(alone):
    begin(alone, hot=ROLLOVER)
    standby = alone.standby
    for old, new in (("logs-000001", "logs-000002"), ("logs-000002", "logs-000003")):
        write(alone.url)
        wait_until(lambda: new in indices(alone.primary) and marked(alone.primary, old), ACTS_S,
                   "the primary rolls over", interval_s=0.2)
    ilm(alone.primary, "STOPPED")
    put_policy(alone.url, "of-logs", hot=ROLLOVER, delete=DELETE)
    release(alone)
    assert marked(standby, "logs-000001") and marked(standby, "logs-000002") and not marked(standby, "logs-000003")
    for name in indices(standby):
        assert setting(standby, name, "lifecycle.rollover_alias") == "logs"

    # What was rolled over is not again: it grows old, and goes. The last one is rolled over when it is full.
    def hot_and_old():
        found = explained(standby)
        return (found.get("logs-000003", {}).get("action") == "rollover" and
                all(found[name].get("phase") != "new" and found[name].get("action") != "rollover"
                    for name in ("logs-000001", "logs-000002")))
    wait_until(hot_and_old, 15, "each index is where it was", interval_s=0.2)
    assert indices(standby) == {"logs-000001", "logs-000002", "logs-000003"}
    write(standby.url)
    wait_until(lambda: explained(standby).get("logs-000004", {}).get("action") == "rollover", ACTS_S, "it rolls over",
               interval_s=0.2)
    assert setting(standby, "logs-000004", "number_of_shards") == "2", "it was made from the template"

    def deleted():
        explained(standby)
        return indices(standby) == {"logs-000004"}
    wait_until(deleted, ACTS_S, "what is old is deleted", interval_s=0.2)


def test_a_released_standby_goes_on_with_what_was_shrunk(alone):
    begin(alone, hot=ROLLOVER, warm=SHRINK)
    standby = alone.standby
    write(alone.url)
    wait_until(lambda: indices(alone.primary) == {"shrink-logs-000001", "logs-000002"}, ACTS_S, "it was shrunk")
    wait_until(lambda: explained(alone.primary)["shrink-logs-000001"]["phase"] == "completed", ACTS_S, "it is through")
    ilm(alone.primary, "STOPPED")
    release(alone)
    write(standby.url)

    def both_shrunk():
        found = explained(standby)
        return (set(found) == {"shrink-logs-000001", "shrink-logs-000002", "logs-000003"} and
                all(found[name].get("phase") == "completed" for name in found if name.startswith("shrink-")))
    wait_until(both_shrunk, ACTS_S, "it shrinks the next", interval_s=0.2)


# --- engines without policies ----------------------------------------------------------------------

@pytest.fixture
def without(request, clusters, run_folder):
    """The standby has none. What the old engine brought along stays behind: other tests are to find it empty."""
    settings = {"replicate.exclude": EXCLUDE + [each for each in compare.BUILT_IN if each != ".*"]}
    yield from shared_tandem(request, clusters, run_folder, settings, equal=False, kind="elasticsearch-6.8",
                             standby_kind=request.param)


@pytest.mark.parametrize("without", ["elasticsearch-7.10", "opensearch-2.19"], indirect=True)
def test_without_policies(without):
    begin(without, hot=ROLLOVER)
    put_policy(without.url, "old", **OLD_AGE["policy"]["phases"])
    must(without.url, "PUT", "/logs-000001/_doc/1", {"n": 1})
    without.wait_caught_up()
    assert setting(without.standby, "logs-000001", "lifecycle.name") is None
    assert request(without.standby.url, "GET", "/logs-000001/_doc/1").status == 200
    assert open(without.replicator.log_path).read().count("is not put there, nor is any other") == 1
    said = without.ctl("status")
    assert "2 lifecycle policies of the primary are not on standby b" in said and "refused" not in said, said
    code, found = objects(without)
    waiting = {each["name"] for each in found["waiting"] if each["kind"] == "ilm_policy"}
    assert code == 0 and waiting == {"of-logs", "old"} and not found["differences"], found
    announced = json.loads(ctl(without, "migrate-check", "--json")[1])
    assert announced["left_out"] == 2, announced
    assert {each["name"] for each in announced["objects"] if each["result"] == "left out"} == {"of-logs", "old"}
    must(without.url, "DELETE", "/_ilm/policy/old")
    without.wait_caught_up()
    assert "1 lifecycle policy of the primary is not on standby b" in without.ctl("status")
    without.replicator.restart()
    wait_until(lambda: "1 lifecycle policy of the primary is not on standby b" in without.ctl("status"), SOON_S,
               "it is known again")
    without.wait_equal()
    said = without.ctl("release", "b", "--yes", "--timeout", "60")
    assert "released" in said and "ilm_policy of-logs is not there" in said, said
