"""test_comparer.py - the comparer finds every kind of difference, on real engines.

Two clusters are made equal as a replicator would, by hand; then one thing is changed on the standby,
and the comparer must name it, and nothing else.

SPDX-License-Identifier: Apache-2.0
"""

import json

import pytest

import compare
import engine
from tandem import request

INDEX = "books"
PRIMARY_SETTINGS = {"settings": {"number_of_shards": 2, "number_of_replicas": 0}}
STANDBY_SETTINGS = {"settings": {"number_of_shards": 2, "number_of_replicas": 0,
                                 "refresh_interval": "5s", "gc_deletes": "180s"}}
PROPERTIES = {"properties": {"title": {"type": "keyword"}, "price": {"type": "double"}}}


def must(cluster, method, path, body=None):
    answer = request(cluster.url, method, path, body)
    assert answer.status < 300, "%s %s: %r" % (method, path, answer)
    return answer.json()


def is_old(cluster):
    """Elasticsearch 6: types in paths, no composable templates."""
    return cluster.kind == "elasticsearch-6.8"


def put_mapping(cluster, body):
    must(cluster, "PUT", "/%s/_mapping%s" % (INDEX, "/_doc" if is_old(cluster) else ""), body)


def write(pair, id, source, routing=None):
    """To the primary, and as the replicator would to the standby."""
    primary, standby = pair
    suffix = "?routing=%s" % routing if routing else "?"
    done = must(primary, "PUT", "/%s/_doc/%s%s" % (INDEX, id, suffix), source)
    version = (done["_primary_term"] << 40) + done["_seq_no"]
    must(standby, "PUT", "/%s/_doc/%s%s&version_type=external&version=%d" % (
        INDEX, id, suffix, version), source)
    return version


@pytest.fixture
def equal_pair(pair):
    """Two clusters that hold the same."""
    primary, standby = pair
    for cluster, body in ((primary, PRIMARY_SETTINGS), (standby, STANDBY_SETTINGS)):
        must(cluster, "PUT", "/" + INDEX, body)
        put_mapping(cluster, PROPERTIES)
    write(pair, "1", '{"title": "one", "price": 12345678901234567890, "tags": [{"a": null}, {"b": 7}]}')
    write(pair, "2", '{"title": "two", "price": 0.10}', routing="x")
    write(pair, "3", '{"title": "three", "in": {"print": true}}')
    for cluster in pair:
        must(cluster, "PUT", "/%s/_alias/reading" % INDEX)
        must(cluster, "PUT", "/_template/old", {"index_patterns": ["old-*"],
                                                "settings": {"number_of_shards": 1}})
        must(cluster, "PUT", "/_scripts/add", {"script": {"lang": "painless",
                                                          "source": "ctx._source.n += 1"}}
             ) if has_scripts(cluster) else None
        must(cluster, "PUT", "/_ingest/pipeline/nothing", {"processors": []})
        if not is_old(cluster):
            must(cluster, "PUT", "/_component_template/part", {"template": {"aliases": {"p": {}}}})
            must(cluster, "PUT", "/_index_template/new", {
                "index_patterns": ["new-*"], "composed_of": ["part"], "priority": 7})
    # What Tandem keeps on a standby is no difference.
    must(standby, "PUT", "/.tandem", {})
    must(standby, "PUT", "/%s/_alias/.tandem-1-1" % INDEX)
    if not is_old(standby):
        must(standby, "PUT", "/_index_template/tandem-shadow", {
            "index_patterns": ["**"], "priority": 1000000})
    found = compare.compare(primary.url, standby.url)
    assert not found, compare.report(found)
    return pair


def has_scripts(cluster):
    return cluster.kind != "elasticsearch-8.8"


def change_source(standby, id, version, source):
    """A change of a source that leaves the version as it is."""
    must(standby, "DELETE", "/%s/_doc/%s?version_type=external_gte&version=%d" % (
        INDEX, id, version))
    must(standby, "PUT", "/%s/_doc/%s?version_type=external_gte&version=%d" % (
        INDEX, id, version), source)


def version_of(standby, id):
    return must(standby, "GET", "/%s/_doc/%s" % (INDEX, id))["_version"]


def same_version(source, id="1"):
    return lambda standby: change_source(standby, id, version_of(standby, id), json.dumps(source)
                                         if not isinstance(source, str) else source)


def routed_elsewhere(standby):
    version = must(standby, "GET", "/%s/_doc/2?routing=x" % INDEX)["_version"]
    must(standby, "DELETE", "/%s/_doc/2?routing=x&version_type=external_gte&version=%d" % (
        INDEX, version))
    must(standby, "PUT", "/%s/_doc/2?routing=other&version_type=external_gte&version=%d" % (
        INDEX, version), '{"title": "two", "price": 0.10}')


def template_changed(standby):
    must(standby, "PUT", "/_index_template/new", {"index_patterns": ["new-*"], "priority": 8,
                                                  "composed_of": ["part"]})


# name, change on the standby, what the differences are, the field that is named
PLANTED = [
    ("a document is missing", lambda s: must(s, "DELETE", "/books/_doc/3"), "document", None),
    ("a document too many", lambda s: must(s, "PUT", "/books/_doc/4", {}), "document", None),
    ("another value", same_version(
        '{"title": "ONE", "price": 12345678901234567890, "tags": [{"a": null}, {"b": 7}]}'),
     "document", "title"),
    ("the last digit of a number", same_version(
        '{"title": "one", "price": 12345678901234567891, "tags": [{"a": null}, {"b": 7}]}'),
     "document", "price"),
    ("an integer became a float", same_version(
        '{"title": "one", "price": 12345678901234567890.0, "tags": [{"a": null}, {"b": 7}]}'),
     "document", "price"),
    ("deep in a list", same_version(
        '{"title": "one", "price": 12345678901234567890, "tags": [{"a": null}, {"b": 8}]}'),
     "document", "tags"),
    ("true became text", same_version('{"title": "three", "in": {"print": "true"}}', "3"),
     "document", "in.print"),
    ("a version one too high", lambda s: must(
        s, "PUT", "/books/_doc/3?version_type=external&version=%d" % (version_of(s, "3") + 1),
        '{"title": "three", "in": {"print": true}}'), "document", "_version"),
    ("another routing", routed_elsewhere, "document", "_routing"),
    ("a field more in the mapping", lambda s: put_mapping(
        s, {"properties": {"extra": {"type": "long"}}}), "mapping", "extra"),
    ("another setting", lambda s: must(
        s, "PUT", "/books/_settings", {"index.max_result_window": 9999}), "setting",
     "index.max_result_window"),
    ("an alias more", lambda s: must(s, "PUT", "/books/_alias/more"), "alias", "more"),
    ("an alias with a filter", lambda s: must(
        s, "PUT", "/books/_alias/reading", {"filter": {"term": {"title": "one"}}}), "alias",
     "reading"),
    ("an alias less", lambda s: must(s, "DELETE", "/books/_alias/reading"), "alias", "reading"),
    ("an index more", lambda s: must(s, "PUT", "/extra"), "index", None),
    ("an index less", lambda s: must(s, "DELETE", "/books"), "index", None),
    ("closed", lambda s: must(s, "POST", "/books/_close"), "index", "state"),
    ("a template", lambda s: must(s, "PUT", "/_template/old", {
        "index_patterns": ["old-*"], "settings": {"number_of_shards": 2}}), "template", "old"),
    ("an index template", template_changed, "index template", "new"),
    ("a component template", lambda s: must(s, "PUT", "/_component_template/part", {
        "template": {"aliases": {"q": {}}}}), "component template", "part"),
    ("a pipeline less", lambda s: must(s, "DELETE", "/_ingest/pipeline/nothing"), "pipeline",
     "nothing"),
    ("a script", lambda s: must(s, "PUT", "/_scripts/add", {
        "script": {"lang": "painless", "source": "ctx._source.n += 2"}}), "stored script", "add"),
]


@pytest.mark.parametrize("change,what,field", [case[1:] for case in PLANTED],
                         ids=[case[0].replace(" ", "_") for case in PLANTED])
def test_a_planted_difference_is_found(equal_pair, change, what, field):
    primary, standby = equal_pair
    change(standby)
    found = compare.compare(primary.url, standby.url)
    assert found, "nothing was found"
    assert {difference.what for difference in found} == {what}, compare.report(found)
    if field is not None:
        assert any(field in (difference.field or "") for difference in found), compare.report(found)


def test_a_different_number_of_shards_is_found(pair):
    primary, standby = pair
    must(primary, "PUT", "/one", {"settings": {"number_of_shards": 2}})
    must(standby, "PUT", "/one", {"settings": {"number_of_shards": 3}})
    found = compare.compare(primary.url, standby.url)
    assert {(each.what, each.field) for each in found} >= {("setting", "index.number_of_shards")}


def test_two_documents_with_one_id_are_told_apart(equal_pair):
    primary, standby = equal_pair
    write(equal_pair, "twin", '{"title": "left"}', routing="x")
    write(equal_pair, "twin", '{"title": "right"}', routing="y")
    hits = must(primary, "POST", "/%s/_refresh" % INDEX) and must(
        primary, "POST", "/%s/_search" % INDEX, {"query": {"ids": {"values": ["twin"]}}})
    assert len(hits["hits"]["hits"]) == 2, "the routings were chosen to lead to different shards"
    assert not compare.compare(primary.url, standby.url)
    must(standby, "DELETE", "/%s/_doc/twin?routing=y" % INDEX)
    (found,) = compare.compare(primary.url, standby.url)
    assert (found.what, found.id, found.primary) == ("document", "twin", {"title": "right"})


def test_a_base_is_taken_into_account(pair):
    primary, standby = pair
    must(primary, "PUT", "/one/_doc/1", {"n": 1})
    must(standby, "PUT", "/one/_doc/1?version_type=external&version=%d" % ((16 + 1) << 40), {"n": 1})
    assert not compare.compare(primary.url, standby.url, base=16)
    (found,) = compare.compare(primary.url, standby.url, base=0)
    assert found.field == "_version"


@pytest.mark.long
@pytest.mark.parametrize("kind", sorted(set(engine.KINDS) - {engine.MAIN_KIND}))
def test_it_works_on_every_engine(clusters, kind):
    pair = clusters.get(kind)
    primary, standby = pair
    for cluster in pair:
        must(cluster, "PUT", "/" + INDEX, PRIMARY_SETTINGS)
        put_mapping(cluster, PROPERTIES)
        must(cluster, "PUT", "/%s/_alias/reading" % INDEX)
        must(cluster, "PUT", "/_template/old", {"index_patterns": ["old-*"]})
    write(pair, "1", '{"title": "one", "price": 12345678901234567890}')
    write(pair, "2", '{"title": "two"}', routing="x")
    assert not compare.compare(primary.url, standby.url)
    must(standby, "PUT", "/%s/_doc/2?routing=x&version_type=external&version=%d" % (INDEX, 1 << 50),
         '{"title": "two!"}')
    found = compare.compare(primary.url, standby.url)
    assert {each.field for each in found} == {"_version", "title"}, compare.report(found)
