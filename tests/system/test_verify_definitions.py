"""test_verify_definitions.py - mappings, settings, aliases, templates, pipelines and scripts are compared, too.

SPDX-License-Identifier: Apache-2.0
"""

import json
import random
import threading

import pytest

from processes import wait_until
from shared import equal_indices, must, shared_tandem
from standbys import ONE_SHARD
from tandem import request
from verifying import ctl, ended, fill, result


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


def found(tandem, *args, exit_code=4):
    """The report of a verification, from tandemctl."""
    code, said = ctl(tandem, *(args or ("verify",)), "--json")
    assert code == exit_code, said
    return json.loads(said)


def definitions(report, index):
    return next(each for each in report["indices"] if each["index"] == index)["definitions"]


def places(definitions):
    """What is said to differ, without values."""
    return sorted(" ".join([each["what"], each["kind"]] + [each[word] for word in ("name", "path") if word in each])
                  for each in definitions["differences"])


def define(tandem, index):
    """An index with a bit of everything."""
    must(tandem.url, "PUT", "/" + index, {
        "settings": {"number_of_shards": 2, "number_of_replicas": 0, "refresh_interval": "7s",
                     "final_pipeline": "_none", "max_result_window": 20000, "mapping.total_fields.limit": 500,
                     "analysis": {"analyzer": {"mine": {"type": "custom", "tokenizer": "keyword"}}}},
        "mappings": {"dynamic": "strict", "properties": {"n": {"type": "long"},
                                                         "t": {"type": "text", "analyzer": "mine"}}},
        "aliases": {index + "-all": {}, index + "-some": {"filter": {"term": {"n": 1}}, "routing": "r"}}})
    for n in range(20):
        must(tandem.url, "PUT", "/%s/_doc/%d" % (index, n), {"n": n, "t": "x"})


def put_mapping(url, index, mapping):
    """On the standby, whose gate is closed."""
    must(url, "PUT", "/%s/_settings" % index, {"index.mapping.total_fields.limit": 1000})
    must(url, "PUT", "/%s/_mapping" % index, mapping)
    must(url, "PUT", "/%s/_settings" % index, {"index.mapping.total_fields.limit": 0})


def test_what_is_set_on_a_standby_is_no_difference(tandem):
    define(tandem, "set")
    must(tandem.url, "PUT", "/_ingest/pipeline/set", {"processors": []})
    must(tandem.url, "PUT", "/_template/set", {"index_patterns": ["no-such-*"], "settings": {"number_of_shards": 2}})
    must(tandem.url, "PUT", "/_index_template/set", {"index_patterns": ["no-such-either-*"], "priority": 3})
    must(tandem.url, "PUT", "/_scripts/set", {"script": {"lang": "painless", "source": "1"}})
    tandem.wait_caught_up()
    code, said = ctl(tandem, "verify")
    assert code == 0 and "set: equal, 20 documents" in said and "pipelines, scripts: equal" in said, said
    # The site's own stay the site's own.
    must(tandem.standby.url, "PUT", "/set/_settings", {"index.refresh_interval": "99s", "index.priority": 77})
    assert places(definitions(found(tandem, "verify", "--index", "set", exit_code=0), "set")) == []


def test_what_was_changed_by_hand_in_an_index_is_named_and_mended(tandem):
    define(tandem, "planted")
    tandem.wait_caught_up()
    url = tandem.standby.url
    must(url, "PUT", "/planted/_settings", {"index.max_result_window": 30000, "index.search.slowlog.level": "info"})
    put_mapping(url, "planted", {"dynamic": "false"})
    must(url, "POST", "/_aliases", {"actions": [
        {"remove": {"index": "planted", "alias": "planted-all"}},
        {"add": {"index": "planted", "alias": "planted-some", "filter": {"term": {"n": 2}}, "routing": "r"}},
        {"add": {"index": "planted", "alias": "planted-own"}}]})
    expected = ["different alias planted-some filter.term.n", "different mapping dynamic",
                "different setting max_result_window", "extra alias planted-own", "extra setting search.slowlog.level",
                "missing alias planted-all"]
    there = definitions(found(tandem, "verify", "--index", "planted"), "planted")
    assert places(there) == expected, there
    window = next(each for each in there["differences"] if each.get("path") == "max_result_window")
    assert (window["primary"], window["standby"]) == ("20000", "30000")
    assert (there["missing"], there["extra"], there["different"]) == (1, 2, 3), there
    code, said = ctl(tandem, "verify", "--index", "planted")
    assert code == 4 and "planted: equal, 20 documents" in said, said
    assert "different setting max_result_window; primary: 20000; standby: 30000" in said, said
    assert "missing   alias planted-all" in said and "tandemctl repair" in said, said
    # A repair puts it all right; rows come meanwhile and later.
    mended = definitions(found(tandem, "repair", "--index", "planted", "--apply", exit_code=0), "planted")
    assert (mended["repaired"], mended["left"]) == (6, 0), mended
    must(tandem.url, "PUT", "/planted/_doc/later", {"n": 7})
    equal_indices(tandem, "planted")
    assert must(url, "GET", "/planted/_settings?flat_settings=true")["planted"]["settings"][
        "index.mapping.total_fields.limit"] == "0"


def test_a_field_that_only_the_standby_has_is_named_and_said_to_stay(tandem):
    define(tandem, "grown")
    tandem.wait_caught_up()
    put_mapping(tandem.standby.url, "grown", {"properties": {"own": {"type": "ip"}}})
    mended = definitions(found(tandem, "repair", "--index", "grown", "--apply"), "grown")
    assert places(mended) == ["extra mapping properties.own.type"] and mended["left"] == 1, mended
    assert "delete the index on the standby" in mended["differences"][0]["why"], mended
    # That is the way: it is made again, and has it all.
    must(tandem.standby.url, "DELETE", "/grown")
    tandem.replicator.restart()
    wait_until(lambda: request(tandem.standby.url, "HEAD", "/grown/_doc/19").status == 200, 30, "it is made again")
    tandem.wait_caught_up()
    assert places(definitions(found(tandem, "verify", "--index", "grown", exit_code=0), "grown")) == []


def test_a_closed_index_has_a_definition_that_is_compared(tandem):
    define(tandem, "shut")
    must(tandem.url, "POST", "/shut/_close")
    tandem.wait_caught_up()
    must(tandem.standby.url, "POST", "/_aliases", {"actions": [{"remove": {"index": "shut", "alias": "shut-all"}}]})
    must(tandem.standby.url, "POST", "/shut/_open")
    there = found(tandem, "verify", "--index", "shut")["indices"][0]
    assert places(there["definitions"]) == ["different index state", "missing alias shut-all"], there
    assert "closed" in there["skipped"], there
    mended = definitions(found(tandem, "repair", "--index", "shut", "--apply"), "shut")
    assert mended["left"] == 0, mended
    must(tandem.url, "DELETE", "/shut")


def test_templates_pipelines_and_scripts_changed_by_hand_are_named_and_mended(tandem):
    bodies = {"/_template/hand": {"index_patterns": ["hand-1-*"], "settings": {"number_of_shards": 2}},
              "/_index_template/hand": {"index_patterns": ["hand-2-*"], "priority": 5, "composed_of": ["hand"]},
              "/_ingest/pipeline/hand": {"description": "ours", "processors": [{"set": {"field": "a", "value": 1}}]},
              "/_scripts/hand": {"script": {"lang": "painless", "source": "ctx._source.n = 1"}}}
    must(tandem.url, "PUT", "/_component_template/hand", {"template": {"settings": {"number_of_shards": 3}}})
    for path, body in bodies.items():
        must(tandem.url, "PUT", path, body)
    tandem.wait_caught_up()
    url = tandem.standby.url
    must(url, "DELETE", "/_template/hand")
    must(url, "PUT", "/_component_template/hand", {"template": {"settings": {"number_of_shards": 4}}})
    must(url, "PUT", "/_index_template/own", {"index_patterns": ["own-*"], "priority": 9})
    must(url, "PUT", "/_ingest/pipeline/hand", dict(bodies["/_ingest/pipeline/hand"], description="theirs"))
    must(url, "DELETE", "/_scripts/hand")
    must(url, "PUT", "/stranger", ONE_SHARD)
    there = found(tandem)["objects"]
    assert places(there) == [
        "different component_template hand template.settings.index.number_of_shards",
        "different pipeline hand description", "extra index stranger", "extra index_template own",
        "missing script hand", "missing template hand"], there
    code, said = ctl(tandem, "verify")
    assert code == 4 and "missing   template hand; primary: " in said, said
    assert "different pipeline hand description; primary: ours; standby: theirs" in said, said
    # What Tandem never put there it does not take away.
    mended = found(tandem, "repair", "--apply")["objects"]
    assert (mended["repaired"], mended["left"]) == (4, 2), mended
    assert [each["why"] for each in mended["differences"] if each["what"] == "extra"] == [
        "Tandem did not put it there: delete it by hand"] * 2, mended
    must(url, "DELETE", "/_index_template/own")
    must(url, "DELETE", "/stranger")
    assert found(tandem, exit_code=0)["objects"]["differences"] == []


def test_a_definition_that_the_standby_refuses_is_missing(tandem):
    """Two templates of one priority that match the same: the standby has one of its own."""
    clash = {"index_patterns": ["clash-*"], "priority": 11}
    must(tandem.standby.url, "PUT", "/_index_template/clash-own", clash)
    must(tandem.url, "PUT", "/_index_template/clash", clash)
    tandem.wait_caught_up()
    there = found(tandem)["objects"]
    assert places(there) == ["extra index_template clash-own", "missing index_template clash"], there
    assert "refuses" in next(each["why"] for each in there["differences"] if each["name"] == "clash"), there
    must(tandem.standby.url, "DELETE", "/_index_template/clash-own")
    mended = found(tandem, "repair", "--apply", exit_code=0)["objects"]
    assert mended["differences"] == [] or mended["left"] == 0, mended
    must(tandem.url, "DELETE", "/_index_template/clash")


def keep_defining(tandem, enough, seed):
    """Definitions that change all the time, also back and forth, through Tandem and past it; not so fast that the
    standby falls behind for good, for a mark would never pass then."""
    chance = random.Random(seed)
    round = 0
    while not enough.is_set():
        if tandem.replicator.standby_status()["lag_s"] > 2:
            enough.wait(0.1)
            continue
        round += 1
        url = chance.choice((tandem.url, tandem.primary.url))
        name = "moving-%d" % chance.randrange(2)
        request(url, "PUT", "/%s/_settings" % name, {"index.max_result_window": 20000 + round % 2})
        request(url, "POST", "/_aliases", {"actions": [{chance.choice(("add", "remove")): {
            "index": name, "alias": "moving"}}]})
        request(url, "PUT", "/_ingest/pipeline/moving", {"processors": [], "description": "%d" % (round % 2)})
        if chance.random() < 0.3:
            request(url, "DELETE", "/_ingest/pipeline/moving")
            request(url, "PUT", "/%s/_mapping" % name, {"properties": {"f%d" % (round % 300): {"type": "long"}}})
            request(tandem.url, "PUT", "/%s/_doc/%d" % (name, round % 50), {"g%d" % (round % 100): round})


@pytest.mark.long  # each change takes the standby three calls, so a verification is long on the way
@pytest.mark.limit(900)
def test_definitions_under_way_are_no_difference(tandem, seed):
    for n in range(2):
        must(tandem.url, "PUT", "/moving-%d" % n, ONE_SHARD)
    fill(tandem, "still", 200)
    enough = threading.Event()
    writers = [threading.Thread(target=keep_defining, args=(tandem, enough, seed + n)) for n in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(3):
            must(tandem.replicator.admin_url, "POST", "/_tandem/verify")
            seen = ended(tandem)
            for each in [definitions(seen, "moving-0"), definitions(seen, "moving-1"), seen["objects"]]:
                assert each["differences"] == [], json.dumps(each)
        # And what is none of it is found in the middle of it.
        must(tandem.standby.url, "PUT", "/moving-0/_settings", {"index.max_inner_result_window": 77})
        must(tandem.standby.url, "PUT", "/_ingest/pipeline/planted", {"processors": []})
        must(tandem.replicator.admin_url, "POST", "/_tandem/verify")
        seen = ended(tandem)
        assert places(definitions(seen, "moving-0")) == ["extra setting max_inner_result_window"], seen
        assert places(seen["objects"]) == ["extra pipeline planted"], seen
        # A repair in the middle of it, too.
        must(tandem.replicator.admin_url, "POST", "/_tandem/verify?repair=true&index=moving-0")
        assert definitions({"indices": [result(tandem, "moving-0")]}, "moving-0")["left"] == 0
    finally:
        enough.set()
        for writer in writers:
            writer.join()
    must(tandem.standby.url, "DELETE", "/_ingest/pipeline/planted")
    equal_indices(tandem, "moving-0", "moving-1")
