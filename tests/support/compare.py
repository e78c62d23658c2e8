"""compare.py - says exactly in what a standby differs from its primary.

    python3 tests/support/compare.py PRIMARY_URL STANDBY_URL [--base N]

Compared are, of every index that is replicated: documents (id, routing, source, version), mappings,
settings, number of shards, aliases, whether it is open; and templates of all kinds, pipelines,
stored scripts and lifecycle policies. Not compared is what belongs to a site or to Tandem: see SITE_SETTINGS and EXCLUDED.

What must hold:
  - A document's version on the standby is (base + primary_term) * 2^40 + seq_no of the primary's,
    or, of an index whose clients set the versions (see CLIENT_VERSIONS), and of a primary of before 6.0,
    the primary's own.
  - Sources are equal as JSON: numbers by their exact value and by whether they are integers.
  - Nothing is written to either cluster, but that the indices are refreshed.

Engines from Elasticsearch 2.4 to 9.x and all of OpenSearch. What was translated from before 6.0 is not
compared here (mappings, settings, filters of aliases, templates): `tandemctl verify` does that.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import base64
import fnmatch
import http.client
import json
import sys
import time
import urllib.parse
from decimal import Decimal

VERSION_SHIFT = 40
BUSY_S = 30
PAGE = 1000
SHOWN = 20

# What replicate.exclude is initially: each cluster writes these itself.
EXCLUDED = (
    ".security* .tasks .kibana_task_manager* .async-search* .watches .triggered_watches .ml-* "
    ".transform-* .monitoring-* .ds-ilm-history-* .slm-history* .fleet* .opendistro* .opensearch* "
    ".plugins-* .scripts .tandem*").split()

# Settings that are the engine's identity, the site's own, or set on a standby by Tandem.
SITE_SETTINGS = (
    "index.uuid index.history.uuid index.creation_date* index.provided_name index.version.* "
    "index.number_of_replicas index.auto_expand_replicas index.routing.allocation.* index.blocks.* "
    "index.routing.rebalance.* index.allocation.* index.unassigned.* index.priority "
    "index.store.preload index.resize.* index.shrink.* index.split.* "
    "index.refresh_interval index.gc_deletes index.final_pipeline index.mapping.total_fields.limit "
    "index.translog.durability index.verified_before_close "
    # Compared as what it comes to, with the number of shards.
    "index.number_of_routing_shards").split()

# Templates, pipelines and policies that an engine brings along, on each cluster when it likes.
BUILT_IN = (".* xpack_monitoring_* ilm-history* slm-history* security-index-template security_audit_log "
            "logstash-index-template watch-history-ilm-policy*").split()

TANDEM_ALIASES = ".tandem"
TANDEM_TEMPLATE = "tandem-shadow"


# What Tandem gives index.gc_deletes on a standby where clients set the versions, and only there.
CLIENT_VERSIONS = "-1"


class Line:
    """Which line of engines a cluster is of, for TRANSLATED."""

    def __init__(self, opensearch, version):
        self.types = not opensearch and version < (7,)  # mappings are wrapped in them
        self.typeless = opensearch and version >= (2,) or not opensearch and version >= (8,)
        self.es8 = not opensearch and version >= (8,)
        self.es9 = not opensearch and version >= (9,)
        self.hides_vectors = not opensearch and version >= (9, 2)  # unless it is asked for them
        self.opensearch = opensearch
        self.old = not opensearch and version < (6,)  # no sequence numbers
        self.no_policies = False  # it has no lifecycle policies like Elasticsearch's; see Cluster
        self.name = (opensearch, version[:1])


# What may differ where the standby is of another line of engines: (what, path, for which standbys, reason). All else
# must be equal. A path may begin with the name of a template.
TRANSLATED = (
    ("setting", "index.replication.type", "opensearch", "OpenSearch says of each index what it cannot help being"),
    ("setting", "index.mapper.dynamic", "all", "removed in 7.0"),
    ("setting", "index.optimize_auto_generated_id", "all", "removed in 7.0"),
    ("setting", "index.percolator.map_unmapped_fields_as_*", "all", "has another name since 6.0"),
    ("setting", "index.shard.check_on_startup", "all", "its value `fix` was removed in 7.0"),
    ("setting", "index.soft_deletes.enabled", "typeless", "is always on"),
    ("setting", "index.translog.retention.*", "es8", "removed in 8.0"),
    ("setting", "index.*.slowlog.level", "es8", "removed in 8.0"),
    ("setting", "index.max_adjacency_matrix_filters", "es8", "removed in 8.0"),
    ("setting", "index.merge.policy.reclaim_deletes_weight", "es8", "removed in 8.0"),
    ("setting", "index.mapping.exclude_source_vectors", "es9", "documents that show their vectors go on doing so"),
    ("setting", "index.merge.policy.max_merge_at_once_explicit", "opensearch", "removed in OpenSearch 2"),
    ("setting", "index.lifecycle.*", "no_policies", "there are none to be named"),
    ("lifecycle policy", "*", "no_policies", "there are none"),
    ("setting", "index.max_ngram_diff", "all", "demanded since 7.0 of analysis that needs it"),
    ("setting", "index.max_shingle_diff", "all", "demanded since 7.0 of analysis that needs it"),
    ("setting", "index.analysis.*.filter", "all", "the token filter `standard` was removed, others have new names"),
    ("setting", "index.analysis.*.char_filter", "all", "htmlStrip has another name"),
    ("setting", "index.analysis.*.tokenizer", "all", "nGram has another name"),
    ("setting", "index.analysis.*.type", "all", "delimited_payload_filter and others have new names"),
    ("mapping", "_all*", "all", "there is no _all"),
    ("mapping", "_field_names*", "es8", "removed in 8.0"),
    ("mapping", "*boost", "es8", "removed in 8.0"),
    ("mapping", "*index_options", "es8", "removed in 8.0 where it had no effect"),
    ("mapping", "*format", "es8", "formats have names with underscores"),
    ("mapping", "*.index", "es9", "what was the default of a vector is said"),
    ("mapping", "dynamic_templates", "all", "include_in_all was removed in 7.0"),
    ("mapping", "dynamic_date_formats", "es8", "formats have names with underscores"),
)


def legitimate(difference, primary, standby):
    """True when DIFFERENCE is one that translating from the line of PRIMARY to that of STANDBY makes."""
    if primary.name == standby.name:
        return False
    what, field = difference.what, difference.field or ""
    if primary.old and (what in ("mapping", "setting", "template", "stored script") or ".filter" in field):
        return True
    if what == "template":  # the name, then settings or mappings
        part, _, field = field.partition(".")[2].partition(".")
        what = {"settings": "setting", "mappings": "mapping"}.get(part, part)
    return any(what == kind and fnmatch.fnmatchcase(field, path) and (lines == "all" or getattr(standby, lines))
               for kind, path, lines, _ in TRANSLATED)


class Difference:
    """One thing that is not as it should be; prints as a line."""

    def __init__(self, what, index=None, id=None, field=None, primary=None, standby=None):
        self.what = what  # document, mapping, setting, alias, index, template, ...
        self.index = index
        self.id = id
        self.field = field
        self.primary = primary
        self.standby = standby

    def __str__(self):
        where = [self.what]
        if self.index is not None:
            where.append("of index %s" % self.index)
        if self.id is not None:
            where.append("id %s" % json.dumps(self.id, ensure_ascii=False))
        if self.field is not None:
            where.append("field %s" % self.field)
        return "%s: primary %s, standby %s" % (" ".join(where), _shown(self.primary),
                                               _shown(self.standby))

    __repr__ = __str__


class _Absent:
    def __repr__(self):
        return "nothing"


ABSENT = _Absent()


def _shown(value):
    if value is ABSENT:
        return "has none"
    # Numbers as they were written: marked, and the quotes with the marks taken away.
    text = json.dumps(value, ensure_ascii=False, sort_keys=True,
                      default=lambda number: "\0%s\0" % number)
    text = text.replace('"\\u0000', "").replace('\\u0000"', "")
    return text if len(text) <= 300 else text[:300] + "..."


class _Number:
    """A number of JSON: its exact value, and whether it was written as an integer."""

    def __init__(self, text):
        self.text = text
        self.key = (Decimal(text), not set(text) & set(".eE"))

    def __eq__(self, other):
        return isinstance(other, _Number) and self.key == other.key

    def __str__(self):
        return self.text


def parse_exactly(text):
    """JSON whose numbers keep every digit."""
    return json.loads(text, parse_int=_Number, parse_float=_Number)


class Cluster:
    """Requests to one cluster, over one connection."""

    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self.connection = kind(parts.hostname, parts.port, timeout=120)
        self.headers = {"Content-Type": "application/json"}
        if parts.username:
            secret = "%s:%s" % (parts.username, parts.password)
            self.headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        version = self.ask("GET", "/", absent={}).get("version") or {"number": self._version_of_nodes()}
        self.opensearch = version.get("distribution") == "opensearch"
        self.version = tuple(int(part) for part in version["number"].split("-")[0].split("."))
        self.line = Line(self.opensearch, self.version)
        self.line.no_policies = self.ask("GET", "/_ilm/status", absent=ABSENT) is ABSENT

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def _version_of_nodes(self):
        """Elasticsearch 9 without its modules has no GET /."""
        nodes = self.ask("GET", "/_nodes?filter_path=nodes.*.version")["nodes"].values()
        return next(iter(nodes))["version"]

    def ask(self, method, path, body=None, parse=json.loads, absent=None):
        """The parsed answer; ABSENT, when given, is returned where the engine has no such thing."""
        text = None if body is None else json.dumps(body)
        deadline = time.monotonic() + BUSY_S
        while True:
            self.connection.request(method, path, text, self.headers)
            answer = self.connection.getresponse()
            content = answer.read()
            if answer.status != 429 or time.monotonic() > deadline:
                break
            time.sleep(0.2)  # an engine that is short of memory says so until it has collected its garbage
        if absent is not None and answer.status in (400, 404, 405):
            return absent
        if answer.status >= 300:
            raise RuntimeError("%s %s answered %d: %s" % (method, path, answer.status,
                                                          content[:500]))
        return parse(content)

    def indices(self):
        """name -> what the cluster state says of it, without excluded indices."""
        state = self.ask("GET", "/_cluster/state/metadata?filter_path=metadata.indices.*.state,"
                                "metadata.indices.*.routing_num_shards")
        found = state.get("metadata", {}).get("indices", {})
        return {name: index for name, index in found.items() if not excluded(name)}

    def documents(self, index):
        """Every document of INDEX as the hits of a scroll, with exact numbers in their sources."""
        quoted = urllib.parse.quote(index, safe="")
        self.ask("POST", "/%s/_refresh" % quoted)
        body = {"size": PAGE, "sort": ["_doc"], "version": True, "query": {"match_all": {}}, "_source": True}
        if not self.line.old:
            body["seq_no_primary_term"] = True
        vectors = "&_source_exclude_vectors=false" if self.line.hides_vectors else ""
        page = self.ask("POST", "/%s/_search?scroll=2m%s" % (quoted, vectors), body, parse_exactly)
        while True:
            shards = page["_shards"]
            if shards["failed"] != _Number("0"):
                raise RuntimeError("the scroll over %s failed on %s shards" % (index,
                                                                             shards["failed"]))
            if not page["hits"]["hits"]:
                break
            yield from page["hits"]["hits"]
            page = self.ask("POST", "/_search/scroll",
                            {"scroll": "2m", "scroll_id": page["_scroll_id"]}, parse_exactly)
        self.ask("DELETE", "/_search/scroll", {"scroll_id": [page["_scroll_id"]]}, absent={})


def _matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def excluded(name):
    return _matches(name, EXCLUDED)


def built_in(name, value):
    """True for a template, pipeline or policy that the engine itself made."""
    return _matches(name, BUILT_IN) or (value.get("_meta") or {}).get("managed") is True


def _differing_fields(primary, standby, path=""):
    """(path, value, value) of the leaves in which two JSON values differ."""
    if isinstance(primary, dict) and isinstance(standby, dict):
        for key in sorted(set(primary) | set(standby)):
            yield from _differing_fields(primary.get(key, ABSENT), standby.get(key, ABSENT),
                                         "%s.%s" % (path, key) if path else key)
    elif not _equal(primary, standby):
        yield path, primary, standby


def _equal(one, other):
    # For Python True == 1, not for JSON.
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    return type(one) is type(other) and one == other


def _nearly(one, other):
    """Vectors that are equal but for the last bit: an engine that keeps direction and length apart multiplies."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_nearly, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_nearly(one[key], other[key]) for key in one)
    if isinstance(one, _Number) and isinstance(other, _Number):
        a, b = float(str(one)), float(str(other))
        return abs(a - b) <= 1e-6 * max(abs(a), abs(b))
    return _equal(one, other)


def _document_differences(index, hit, other, base, vectors):
    """One document that is on both sides."""
    id = hit["_id"]
    if hit.get("_routing") != other.get("_routing"):
        yield Difference("document", index, id, "_routing", hit.get("_routing", ABSENT),
                         other.get("_routing", ABSENT))
    # Engines without types say none.
    if "_type" in hit and "_type" in other and hit["_type"] != other["_type"]:
        yield Difference("document", index, id, "_type", hit.get("_type"), other.get("_type"))
    if base is None:
        if str(hit["_version"]) != str(other["_version"]):
            yield Difference("document", index, id, "_version", hit["_version"], other["_version"])
    else:
        yield from _version_differences(index, hit, other, base)
    for field, one, two in _differing_fields(hit.get("_source", ABSENT),
                                             other.get("_source", ABSENT)):
        if not (vectors and isinstance(one, list) and _nearly(one, two)):
            yield Difference("document", index, id, field or "_source", one, two)


def _version_differences(index, hit, other, base):
    id = hit["_id"]
    term, seq_no = int(str(hit["_primary_term"])), int(str(hit["_seq_no"]))
    expected, found = ((base + term) << VERSION_SHIFT) + seq_no, int(str(other["_version"]))
    if expected != found:
        yield Difference(
            "document", index, id, "_version",
            "%d (term %d, seq_no %d)" % (expected, term, seq_no),
            "%d (term %d, seq_no %d)" % (found, (found >> VERSION_SHIFT) - base,
                                         found & ((1 << VERSION_SHIFT) - 1)))


def _by_id(hits):
    found = {}
    for hit in hits:
        found.setdefault(hit["_id"], []).append(hit)
    return found


def _pairs(ours, theirs):
    """Hits of one id, paired: two documents can have one id, if they were routed apart."""
    if len(ours) == len(theirs) == 1:
        return [(ours[0], theirs[0])]
    left = {hit.get("_routing"): hit for hit in theirs}
    pairs = [(hit, left.pop(hit.get("_routing"), None)) for hit in ours]
    return pairs + [(None, hit) for hit in left.values()]


def compare_documents(primary, standby, index, base, vectors=False):
    """vectors: some of its numbers are components of vectors."""
    ours, theirs = _by_id(primary.documents(index)), _by_id(standby.documents(index))
    for id in sorted(set(ours) | set(theirs)):
        for hit, other in _pairs(ours.get(id, []), theirs.get(id, [])):
            if hit is not None and other is not None:
                yield from _document_differences(index, hit, other, base, vectors)
            else:
                yield Difference("document", index, id, None,
                                 ABSENT if hit is None else hit.get("_source"),
                                 ABSENT if other is None else other.get("_source"))


def _all_settings(cluster, quoted):
    (index,) = cluster.ask("GET", "/%s/_settings?flat_settings=true" % quoted).values()
    return index["settings"]


def _settings(cluster, quoted):
    return {name: value for name, value in _all_settings(cluster, quoted).items()
            if not _matches(name, SITE_SETTINGS)}


def _mappings(cluster, quoted):
    (index,) = cluster.ask("GET", "/%s/_mapping" % quoted).values()
    return index["mappings"]


def _stream_alias(cluster, index):
    """What stands for the data stream that INDEX belongs to: an alias of its name, on a standby."""
    if not index.startswith(".ds-"):
        return {}
    for stream in cluster.ask("GET", "/_data_stream", absent={}).get("data_streams", ()):
        members = [member["index_name"] for member in stream["indices"]]
        if index in members:
            return {stream["name"]: {"is_write_index": index == members[-1]}}
    return {}


def _aliases(cluster, quoted):
    (index,) = cluster.ask("GET", "/%s/_alias" % quoted).values()
    index["aliases"].update(_stream_alias(cluster, urllib.parse.unquote(quoted)))
    return {name: alias for name, alias in index["aliases"].items()
            if not name.startswith(TANDEM_ALIASES)}


def without_types(mappings):
    """What stands within the one type; types are before 7.0."""
    types = [name for name in mappings if name != "_default_"] or list(mappings)
    return mappings[types[0]] if len(types) == 1 else mappings


def compare_index(primary, standby, index, is_open, base):
    """Everything of one index that is on both sides; a closed one has no documents to read."""
    quoted = urllib.parse.quote(index, safe="")
    for what, read in (("mapping", _mappings), ("setting", _settings), ("alias", _aliases)):
        ours, theirs = read(primary, quoted), read(standby, quoted)
        if what == "mapping" and primary.line.types and not standby.line.types:
            ours = without_types(ours)
        for field, one, two in _differing_fields(ours, theirs):
            found = Difference(what, index, None, field or None, one, two)
            if not legitimate(found, primary.line, standby.line):
                yield found
    if primary.line.old or _all_settings(standby, quoted).get("index.gc_deletes") == CLIENT_VERSIONS:
        base = None
    if is_open:
        vectors = primary.line.hides_vectors and "dense_vector" in json.dumps(_mappings(primary, quoted))
        yield from compare_documents(primary, standby, index, base, vectors)


def compare_indices(primary, standby, base):
    ours, theirs = primary.indices(), standby.indices()
    for index in sorted(set(ours) | set(theirs)):
        if index not in ours or index not in theirs:
            yield Difference("index", index, None, None,
                             "has it" if index in ours else ABSENT,
                             "has it" if index in theirs else ABSENT)
            continue
        for field in ("state", "routing_num_shards"):
            if field == "routing_num_shards" and primary.line.types and not standby.line.types:
                shards = _all_settings(primary, urllib.parse.quote(index, safe=""))["index.number_of_shards"]
                ours[index][field] = int(shards)  # not shown before 7.0, where it is the number of shards
            if ours[index].get(field) != theirs[index].get(field):
                yield Difference("index", index, None, field, ours[index].get(field),
                                 theirs[index].get(field))
        is_open = ours[index]["state"] == theirs[index]["state"] == "open"
        yield from compare_index(primary, standby, index, is_open, base)


def _flat(settings, prefix=""):
    """Settings with dots in their names; not all engines give them so when they are asked to."""
    found = {}
    for name, value in settings.items():
        found.update(_flat(value, prefix + name + ".") if isinstance(value, dict) else {prefix + name: value})
    return found


# Since 9.2 Elasticsearch says of templates and pipelines when they were made and changed there.
DATES = ("created_date", "created_date_millis", "modified_date", "modified_date_millis")


def _without_dates(objects):
    return {name: {key: part for key, part in value.items() if key not in DATES} for name, value in objects.items()}


def _composable(path, list_name, object_name):
    """Answers that are a list of {name, object}; engines before 7.8 have none."""
    def read(cluster):
        answer = cluster.ask("GET", path, absent={})
        found = _without_dates({entry["name"]: entry[object_name] for entry in answer.get(list_name, [])})
        for each in found.values():
            if "settings" in each.get("template", {}):
                each["template"]["settings"] = _flat(each["template"]["settings"])
        return found
    return read


def _named(path):
    return lambda cluster: cluster.ask("GET", path, absent={})


def _scripts(cluster):
    state = cluster.ask("GET", "/_cluster/state/metadata?filter_path=metadata.stored_scripts")
    return state.get("metadata", {}).get("stored_scripts", {})


def _policies(cluster):
    """Without what each cluster counts and dates for itself; engines without x-pack have none."""
    answer = cluster.ask("GET", "/_ilm/policy", absent={})
    return {name: each["policy"] for name, each in answer.items()}


GLOBALS = (
    ("template", _named("/_template?flat_settings=true")),
    ("index template", _composable("/_index_template?flat_settings=true", "index_templates",
                                   "index_template")),
    ("component template", _composable("/_component_template?flat_settings=true",
                                       "component_templates", "component_template")),
    ("pipeline", lambda cluster: _without_dates(cluster.ask("GET", "/_ingest/pipeline", absent={}))),
    ("stored script", _scripts),
    ("lifecycle policy", _policies),
)


def legacy_templates_wait(standby):
    """True where a standby takes no legacy templates before it is released (docs/metadata.md)."""
    if standby.opensearch:
        return False
    state = standby.ask("GET", "/.tandem/_doc/standby", absent={}).get("_source", {}).get("state")
    return state == "standby" and (standby.version >= (8,) or standby.version < (7, 8))


def compare_globals(primary, standby):
    """What belongs to no index. The first part of a difference's field is the object's name."""
    for what, read in GLOBALS:
        if what == "template" and legacy_templates_wait(standby):
            continue
        ours, theirs = (
            {name: value for name, value in read(cluster).items()
             if name != TANDEM_TEMPLATE and not built_in(name, value)}
            for cluster in (primary, standby))
        if what == "template" and primary.line.types and not standby.line.types:
            ours = {name: dict(value, mappings=without_types(value["mappings"])) for name, value in ours.items()}
        for field, one, two in _differing_fields(ours, theirs):
            found = Difference(what, None, None, field, one, two)
            if not legitimate(found, primary.line, standby.line):
                yield found


def compare(primary_url, standby_url, base=0):
    """All differences, a list: empty when the standby is equal."""
    with Cluster(primary_url) as primary, Cluster(standby_url) as standby:
        return list(compare_globals(primary, standby)) + list(
            compare_indices(primary, standby, base))


def report(differences):
    """The first few as text, and how many there are."""
    lines = [str(difference) for difference in differences[:SHOWN]]
    if len(differences) > SHOWN:
        lines.append("... and %d more" % (len(differences) - SHOWN))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description="Compares a standby with its primary.")
    parser.add_argument("primary_url")
    parser.add_argument("standby_url")
    parser.add_argument("--base", type=int, default=0, help="base of the timeline (default 0)")
    options = parser.parse_args()
    differences = compare(options.primary_url, options.standby_url, options.base)
    if differences:
        print(report(differences))
        print("%d differences" % len(differences))
        return 1
    print("equal")
    return 0


if __name__ == "__main__":
    sys.exit(main())
