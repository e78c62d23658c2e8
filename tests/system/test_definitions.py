"""test_definitions.py - indices, mappings, aliases, templates, pipelines and scripts are on the
standby before any row that needs them, however they came about.

SPDX-License-Identifier: Apache-2.0
"""

import threading

import pytest

from processes import wait_until
from shared import equal_indices, lines, must, shared_tandem
from tandem import request
from test_operator import reload

ONE_SHARD = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


def settings_of(url, index):
    (answer,) = must(url, "GET", "/%s/_settings?flat_settings=true" % index).values()
    return answer["settings"]


def states(daemon_status):
    return {index["name"]: index["state"] for index in daemon_status["indices"]}


def count(url, index):
    must(url, "POST", "/%s/_refresh" % index)
    return must(url, "GET", "/%s/_count" % index)["count"]


def in_threads(work, number=16):
    """Runs work(number) in threads; what they raise is raised here."""
    errors = []

    def guarded(n):
        try:
            work(n)
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=guarded, args=(n,), daemon=True) for n in range(number)]
    for thread in threads:
        thread.start()
    return threads, errors


def join(threads, errors):
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive()
    assert not errors, errors[:3]


# --- made in every way ----------------------------------------------------------------------------

def test_indices_made_explicitly_or_by_a_first_write(tandem):
    must(tandem.url, "PUT", "/made-1", {
        "settings": {"number_of_shards": 3, "number_of_routing_shards": 12, "routing_partition_size": 2,
                     "analysis": {"analyzer": {"mine": {"type": "custom", "tokenizer": "keyword"}}},
                     "sort.field": ["n"], "sort.order": ["desc"]},
        "mappings": {"_routing": {"required": True}, "dynamic": "strict", "properties": {
            "n": {"type": "integer"}, "t": {"type": "text", "analyzer": "mine"}}},
        "aliases": {"made-alias": {"filter": {"term": {"n": 1}}, "search_routing": "a"}}})
    for routing in "abc":
        must(tandem.url, "PUT", "/made-1/_doc/1?routing=" + routing, {"n": 1, "t": "x"})
    must(tandem.url, "PUT", "/made-2/_doc/1", {"n": 1, "deep": {"date": "2024-02-29"}})
    must(tandem.url, "POST", "/_bulk", lines({"index": {"_index": "made-3"}}, {"n": 1.5},
                                             {"index": {"_index": "made-4"}}, {"n": "x"}))
    equal_indices(tandem, "made-1", "made-2", "made-3", "made-4")


def test_templates_of_both_kinds_make_indices(tandem):
    must(tandem.url, "PUT", "/_template/old", {
        "index_patterns": ["old-*"], "order": 3, "settings": {"number_of_shards": 2},
        "mappings": {"properties": {"k": {"type": "keyword"}}}, "aliases": {"olds": {}}})
    must(tandem.url, "PUT", "/_component_template/part", {"template": {
        "settings": {"number_of_shards": 4}, "mappings": {"properties": {"k": {"type": "ip"}}}}})
    must(tandem.url, "PUT", "/_index_template/new", {
        "index_patterns": ["new-*"], "composed_of": ["part"], "priority": 7,
        "template": {"aliases": {"news": {}}, "settings": {"default_pipeline": "mark"}}})
    must(tandem.url, "PUT", "/_ingest/pipeline/mark", {
        "processors": [{"set": {"field": "marked", "value": True}}]})
    must(tandem.url, "PUT", "/old-1/_doc/1", {"k": "x", "n": 1})
    must(tandem.url, "PUT", "/new-1/_doc/1", {"k": "10.0.0.1", "n": 1})
    # Behind the proxy's back.
    must(tandem.primary.url, "PUT", "/new-2")
    must(tandem.url, "PUT", "/new-2/_doc/1", {"k": "10.0.0.2"})
    equal_indices(tandem, "old-1", "new-1", "new-2")
    must(tandem.url, "DELETE", "/_template/old")
    must(tandem.primary.url, "DELETE", "/_index_template/new")
    must(tandem.url, "PUT", "/_component_template/part", {"template": {"aliases": {"later": {}}}})
    tandem.wait_equal()


def test_pipelines_and_scripts_are_changed_and_deleted(tandem):
    for n in range(3):
        must(tandem.url, "PUT", "/_ingest/pipeline/p", {"processors": [
            {"set": {"field": "n", "value": n}}], "description": "number %d" % n})
        must(tandem.url, "PUT", "/_scripts/s", {"script": {
            "lang": "painless", "source": "ctx._source.n = %d" % n}})
    must(tandem.url, "PUT", "/_ingest/pipeline/gone", {"processors": []})
    must(tandem.url, "PUT", "/_scripts/gone", {"script": {"lang": "painless", "source": "1"}})
    must(tandem.url, "PUT", "/scripted/_doc/1", {"n": 7})
    must(tandem.url, "POST", "/scripted/_update/1", {"script": {"id": "s"}})
    must(tandem.url, "DELETE", "/_ingest/pipeline/gone")
    must(tandem.primary.url, "DELETE", "/_scripts/gone")
    tandem.wait_equal()
    assert must(tandem.standby.url, "GET", "/scripted/_doc/1")["_source"] == {"n": 2}


def test_mappings_settings_and_aliases_are_changed(tandem):
    must(tandem.url, "PUT", "/changing", ONE_SHARD)
    must(tandem.url, "PUT", "/changing/_doc/1", {"n": 1})
    must(tandem.url, "PUT", "/changing/_mapping", {"dynamic": False, "_meta": {"by": "us"},
                                                  "properties": {"k": {"type": "keyword"}}})
    must(tandem.url, "PUT", "/changing/_doc/2", {"k": "x", "unknown": 1})
    must(tandem.url, "PUT", "/changing/_settings", {"index.max_result_window": 20077,
                                                   "index.search.slowlog.level": "info"})
    must(tandem.primary.url, "PUT", "/changing/_settings", {"index.max_result_window": 20078})
    must(tandem.primary.url, "PUT", "/changing/_mapping", {"properties": {"l": {"type": "long"}}})
    must(tandem.url, "PUT", "/changing/_doc/3", {"l": 12345678901})
    must(tandem.url, "POST", "/_aliases", {"actions": [
        {"add": {"index": "changing", "alias": "one"}},
        {"add": {"index": "changing", "alias": "two", "filter": {"term": {"k": "x"}}}}]})
    must(tandem.url, "POST", "/_aliases", {"actions": [
        {"remove": {"index": "changing", "alias": "one"}},
        {"add": {"index": "changing", "alias": "two", "is_write_index": True}}]})
    must(tandem.url, "PUT", "/two/_doc/4", {"k": "through alias"})
    equal_indices(tandem, "changing")
    must(tandem.url, "PUT", "/changing/_settings", {"index.max_result_window": None})
    equal_indices(tandem, "changing")


def test_values_that_would_be_guessed_differently(tandem):
    values = [7, 7.5, "seven", "2024-02-29", True, [1, 2], {"deep": 1}, "10.0.0.1"]

    def write(number):
        for round in range(12):
            answer = tandem.request("PUT", "/guessed/_doc/%d-%d" % (number, round), {
                "field_%d" % round: values[(number + round) % len(values)],
                "own_%d_%d" % (number, round): values[number % len(values)]})
            assert answer.status in (201, 400), answer
    join(*in_threads(write))
    equal_indices(tandem, "guessed")


# --- lives ----------------------------------------------------------------------------------------

def delete_and_make_again(tandem, how, index):
    """Under the load of writers that mind nothing."""
    ends = threading.Event()
    admin = tandem.url if how == "through" else tandem.primary.url

    def write(number):
        round = 0
        while not ends.is_set():
            round += 1
            if number % 2:
                answer = tandem.request("PUT", "/%s/_doc/%d" % (index, round % 20), {"by": number})
                assert answer.status in (200, 201, 404, 503), answer
            else:
                answer = tandem.request("POST", "/%s/_bulk" % index, lines(
                    {"index": {"_id": str(round % 20)}}, {"by": number},
                    {"delete": {"_id": str(number)}}, {"index": {}}, {"round": round}))
                assert answer.status in (200, 503), answer
    must(tandem.url, "PUT", "/" + index, ONE_SHARD)
    threads, errors = in_threads(write)
    for shards in (2, 3, 1):
        assert request(admin, "DELETE", "/" + index).status in (200, 404)
        # A writer may have been faster: then the index is one that the engine made.
        assert request(admin, "PUT", "/" + index, {
            "settings": {"number_of_shards": shards}}).status in (200, 400)
        ends.wait(0.5)
    ends.set()
    join(threads, errors)
    equal_indices(tandem, index)


@pytest.mark.parametrize("how", ["through", "behind"])
def test_deleted_and_made_again_under_load(tandem, how):
    delete_and_make_again(tandem, how, "again-" + how)


@pytest.fixture
def confirming(tandem):
    """Every write waits for a state read that shows which life it hit."""
    for chosen in ("always", "auto"):
        tandem.settings["lives"] = {"confirm": chosen}
        tandem.write_config()
        reload(tandem.proxy)
        if chosen == "always":
            yield tandem


@pytest.mark.parametrize("how", ["through", "behind"])
def test_deleted_and_made_again_while_every_write_confirms_its_life(confirming, how):
    delete_and_make_again(confirming, how, "confirmed-" + how)


def test_a_deleted_index_goes_from_the_standby(tandem):
    for name in ("doomed-1", "doomed-2", "doomed-3", "spared-1"):
        must(tandem.url, "PUT", "/%s/_doc/1" % name, {"n": 1})
    equal_indices(tandem, "doomed-1", "spared-1")
    must(tandem.primary.url, "DELETE", "/doomed-1")
    must(tandem.url, "DELETE", "/doomed-*")
    for name in ("doomed-1", "doomed-2", "doomed-3"):
        wait_until(lambda: request(tandem.standby.url, "HEAD", "/" + name).status == 404, 20,
                   name + " is gone")
    equal_indices(tandem, "spared-1")


def test_an_index_removed_by_an_alias_action_goes_too(tandem):
    for name in ("swapped-old", "swapped-new"):
        must(tandem.url, "PUT", "/%s/_doc/1" % name, {"from": name})
    must(tandem.url, "POST", "/_aliases", {"actions": [
        {"remove_index": {"index": "swapped-old"}},
        {"add": {"index": "swapped-new", "alias": "swapped-old"}}]})
    must(tandem.url, "PUT", "/swapped-old/_doc/2", {"through": "alias"})
    wait_until(lambda: "swapped-new" in request(tandem.standby.url, "GET", "/swapped-old").json(),
               20, "the alias has taken the index' place")
    equal_indices(tandem, "swapped-new")


def test_what_one_change_moves_on_the_primary_holds_up_no_index(tandem):
    """There one index has the writes of an alias, or its name, at a time; here one comes before the other."""
    must(tandem.url, "PUT", "/rolled-000001", dict(ONE_SHARD, aliases={"rolled": {"is_write_index": True}}))
    for n in range(2, 8):
        must(tandem.url, "POST", "/rolled/_rollover", ONE_SHARD)
        must(tandem.url, "PUT", "/rolled/_doc/%d" % n, {"n": n})
    for n in range(6):
        must(tandem.url, "PUT", "/taken-%d/_doc/1" % n, {"n": n})
        must(tandem.url, "PUT", "/taker-%d/_doc/1" % n, {"n": n})
        must(tandem.url, "POST", "/_aliases", {"actions": [
            {"remove_index": {"index": "taken-%d" % n}}, {"add": {"index": "taker-%d" % n, "alias": "taken-%d" % n}}]})
        must(tandem.url, "PUT", "/taken-%d/_doc/2" % n, {"n": n})
    equal_indices(tandem, *["rolled-%06d" % n for n in range(1, 8)], *["taker-%d" % n for n in range(6)])
    wait_until(lambda: all(request(tandem.standby.url, "GET", "/taken-%d/_doc/2" % n).status == 200 for n in range(6)), 20,
               "the aliases are there")
    with open(tandem.replicator.log_path) as log:
        assert not [line for line in log if "-> held" in line and ("rolled-" in line or "take" in line)]


def test_closed_and_opened(tandem):
    must(tandem.url, "PUT", "/closing", ONE_SHARD)
    must(tandem.url, "PUT", "/closing/_doc/1", {"n": 1})
    must(tandem.url, "POST", "/closing/_close")
    answer = tandem.request("PUT", "/closing/_doc/2", {"n": 2})
    assert answer.status == 400 and answer.headers["x-tandem-outcome"] == "not-applied", answer
    tandem.wait_equal()
    must(tandem.primary.url, "POST", "/closing/_open")
    must(tandem.url, "PUT", "/closing/_doc/2", {"n": 2})
    tandem.wait_equal()


# --- what a standby is ----------------------------------------------------------------------------

def test_the_standby_decides_nothing_by_itself(tandem):
    must(tandem.url, "PUT", "/gated/_doc/1", {"n": 1})
    must(tandem.url, "PUT", "/_template/everything", {
        "index_patterns": ["untouched-*"], "settings": {"number_of_shards": 5}})
    equal_indices(tandem, "gated")
    assert settings_of(tandem.standby.url, "gated")["index.mapping.total_fields.limit"] == "0"
    (shadow,) = must(tandem.standby.url, "GET", "/_index_template/tandem-shadow")["index_templates"]
    assert shadow["index_template"]["index_patterns"] == ["**"]
    aliases = must(tandem.standby.url, "GET", "/gated/_alias")["gated"]["aliases"]
    assert any(name.startswith(".tandem-") for name in aliases), aliases
    # A pipeline that has run on the primary does not run again.
    must(tandem.url, "PUT", "/_ingest/pipeline/once", {
        "processors": [{"script": {"source": "ctx.n = ctx.n + 1"}}]})
    must(tandem.url, "PUT", "/piped-once", {"settings": {"default_pipeline": "once",
                                                        "final_pipeline": "once"}})
    must(tandem.url, "PUT", "/piped-once/_doc/1", {"n": 1})
    equal_indices(tandem, "piped-once")
    assert must(tandem.standby.url, "GET", "/piped-once/_doc/1")["_source"] == {"n": 3}
    must(tandem.url, "DELETE", "/_template/everything")


def test_the_sites_own_settings_are_not_copied(tandem):
    must(tandem.url, "PUT", "/sited", {"settings": {
        "number_of_shards": 1, "number_of_replicas": 0, "refresh_interval": "77s",
        "index.routing.allocation.exclude._name": "nobody", "index.codec": "best_compression"}})
    must(tandem.url, "PUT", "/sited/_settings", {"index.blocks.metadata": False})
    must(tandem.url, "PUT", "/sited/_doc/1", {"n": 1})
    must(tandem.url, "PUT", "/sited/_settings", {"index.blocks.write": True})
    equal_indices(tandem, "sited")
    found = settings_of(tandem.standby.url, "sited")
    assert found["index.codec"] == "best_compression"
    for name in ("index.refresh_interval", "index.blocks.write",
                 "index.routing.allocation.exclude._name"):
        assert name not in found, found
    must(tandem.url, "PUT", "/sited/_settings", {"index.blocks.write": None})


def test_an_index_of_the_standbys_own_is_never_touched(tandem):
    must(tandem.standby.url, "PUT", "/foreign", {"mappings": {"properties": {"own": {"type": "ip"}}}})
    must(tandem.standby.url, "PUT", "/foreign/_doc/own?refresh=true", {"own": "10.0.0.1"})
    must(tandem.url, "PUT", "/foreign/_doc/1", {"n": 1})
    must(tandem.url, "PUT", "/beside/_doc/1", {"n": 1})
    must(tandem.url, "POST", "/_bulk", lines({"index": {"_index": "foreign", "_id": "2"}}, {"n": 2},
                                             {"index": {"_index": "beside", "_id": "2"}}, {"n": 2}))
    wait_until(lambda: request(tandem.standby.url, "HEAD", "/beside/_doc/2").status == 200, 20,
               "other indices go on")
    status = wait_until(lambda: next(
        (index for index in tandem.replicator.status()["indices"]
         if index["name"] == "foreign" and index["waiting"] == 2 and index["state"] == "held"), None), 10, "its rows wait")
    assert "Tandem" in status["why"], status
    assert "foreign" in tandem.ctl("status", check=False)
    must(tandem.url, "DELETE", "/foreign/_doc/1")
    assert must(tandem.standby.url, "GET", "/foreign/_doc/own")["_source"] == {"own": "10.0.0.1"}
    assert count(tandem.standby.url, "foreign") == 1
    # Deleting it on the primary does not delete it on the standby either.
    must(tandem.standby.url, "DELETE", "/foreign")
    equal_indices(tandem, "foreign", "beside")


def test_deleting_the_primarys_leaves_the_standbys_own(tandem):
    must(tandem.standby.url, "PUT", "/foreign-2/_doc/own", {"own": 1})
    must(tandem.url, "PUT", "/foreign-2/_doc/1", {"n": 1})
    must(tandem.url, "DELETE", "/foreign-2")
    must(tandem.url, "PUT", "/after-foreign/_doc/1", {"n": 1})
    equal_indices(tandem, "after-foreign")
    assert must(tandem.standby.url, "GET", "/foreign-2/_doc/own")["found"]
    must(tandem.standby.url, "DELETE", "/foreign-2")


# --- indices with content that no row explains ----------------------------------------------------

def test_indices_from_before_tandem_are_told_from_empty_ones(tandem):
    tandem.proxy.stop()
    must(tandem.primary.url, "PUT", "/before", ONE_SHARD)
    for n in range(3):
        must(tandem.primary.url, "PUT", "/before/_doc/%d" % n, {"n": n})
    must(tandem.primary.url, "PUT", "/before-empty", ONE_SHARD)
    tandem.proxy.start()
    found = tandem.proxy.status()["had_content"]
    assert "before" in found and "before-empty" not in found, found
    must(tandem.url, "PUT", "/before/_doc/1", {"n": 77})
    must(tandem.url, "PUT", "/before-empty/_doc/1", {"n": 1})
    equal_indices(tandem, "before-empty", "before")
    must(tandem.url, "DELETE", "/before")
