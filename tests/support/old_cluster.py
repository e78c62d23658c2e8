"""old_cluster.py - what a cluster that has been in use for years holds, made directly on an engine.

For tests of migrations: indices with analysis, nested and joined documents, routing, sorting and aliases; documents
that were updated and deleted; templates, pipelines and stored scripts.

SPDX-License-Identifier: Apache-2.0
"""

import random

from shared import lines, must

NDJSON = {"Content-Type": "application/x-ndjson"}
WORDS = "amber basalt cedar delta ember fjord granite harbor iris jasper".split()
CITIES = ["Oslo", "Riga", "Turku", "Gdańsk"]

ANALYSIS = {
    "char_filter": {"marks": {"type": "mapping", "mappings": ["& => and"]}},
    "filter": {"stop_words": {"type": "stop", "stopwords": ["the", "a"]},
               "same": {"type": "synonym", "synonyms": ["quick, fast"]},
               "prefixes": {"type": "edge_ngram", "min_gram": 2, "max_gram": 8}},
    "analyzer": {"titles": {"type": "custom", "tokenizer": "standard", "char_filter": ["marks"],
                            "filter": ["lowercase", "same", "stop_words"]},
                 "as_typed": {"type": "custom", "tokenizer": "standard", "filter": ["lowercase", "prefixes"]}},
    "normalizer": {"folded": {"type": "custom", "filter": ["lowercase", "asciifolding"]}}}

BOOK = {
    "dynamic": "true",
    "_meta": {"owner": "library"},
    "dynamic_templates": [{"codes": {"match": "*_code", "mapping": {"type": "keyword", "ignore_above": 64}}}],
    "properties": {
        "title": {"type": "text", "analyzer": "titles", "copy_to": ["all"],
                  "fields": {"raw": {"type": "keyword", "normalizer": "folded", "ignore_above": 256},
                             "typed": {"type": "text", "analyzer": "as_typed", "search_analyzer": "standard"}}},
        "all": {"type": "text"},
        "written": {"type": "date", "format": "yyyy-MM-dd||epoch_millis"},
        "pages": {"type": "integer"},
        "price": {"type": "scaled_float", "scaling_factor": 100},
        "cover": {"type": "binary"},
        "shelf": {"type": "object", "properties": {"room": {"type": "keyword"}, "row": {"type": "byte"}}},
        "notes": {"type": "object", "enabled": False},
        "loans": {"type": "nested", "properties": {"to": {"type": "keyword"}, "on": {"type": "date"}}},
        "at": {"type": "geo_point"},
        "seen_from": {"type": "ip"},
        "valid": {"type": "date_range"},
        "suggest": {"type": "completion"}}}

EVENT = {"properties": {"when": {"type": "date"}, "kind": {"type": "keyword"}, "n": {"type": "long"}}}
ORDER = {"properties": {"rank": {"type": "join", "relations": {"order": "line"}}, "n": {"type": "long"},
                        "query": {"type": "percolator"}, "word": {"type": "keyword"}}}
LOG = {"properties": {"@timestamp": {"type": "date"}, "message": {"type": "text"}, "host": {"type": "keyword"}}}

PIPELINE = {"description": "stamps what comes", "processors": [
    {"set": {"field": "stamped", "value": "yes"}},
    {"script": {"lang": "painless", "source": "ctx.long_word = ctx.word != null && ctx.word.length() > 5"}}]}
SCRIPT = {"script": {"lang": "painless", "source": "ctx._source.n += params.by"}}
SEARCH_TEMPLATE = {"script": {"lang": "mustache", "source": '{"query":{"match":{"title":"{{title}}"}}}'}}

# name -> type of its documents (before 7.0)
TYPES = {"books-v3": "book", "events": "event", "orders": "_doc", "logs-2020.01": "log", "logs-2020.02": "log",
         "words": "word", "wide-1": "doc", "things": "thing", "notes-1": "note"}

# What 2.4 and 5.6 have, and nobody since. {2: ..., 5: ...}
THING = {
    2: {"_all": {"enabled": True}, "_timestamp": {"enabled": True}, "_ttl": {"enabled": True, "default": "900d"},
        "_routing": {"required": False}, "dynamic": "true", "numeric_detection": False,
        "dynamic_templates": [
            {"raw": {"match": "*_raw", "mapping": {"type": "{dynamic_type}", "index": "not_analyzed", "doc_values": True}}},
            {"never": {"match": "*", "match_mapping_type": "float", "mapping": {"type": "float"}}}],
        "properties": {
            "name": {"type": "string", "analyzer": "names", "norms": {"enabled": False}, "store": "yes",
                     "position_increment_gap": 50, "include_in_all": False, "copy_to": ["everything"],
                     "fields": {"raw": {"type": "string", "index": "not_analyzed", "ignore_above": 300},
                                "words": {"type": "token_count", "analyzer": "standard", "precision_step": 8}}},
            "everything": {"type": "string", "fielddata": {"format": "disabled"}, "term_vector": "with_positions_offsets"},
            "code": {"type": "string", "index": "not_analyzed", "null_value": "none", "index_options": "positions"},
            "blob": {"type": "string", "index": "no"},
            "size": {"type": "long", "precision_step": 8, "index": "not_analyzed", "coerce": True},
            "weight": {"type": "double", "fielddata": {"format": "doc_values"}, "index": "no"},
            "on": {"type": "date", "format": "YYYY-MM-dd HH:mm:ss||epoch_millis", "precision_step": 16},
            "with_zone": {"type": "date", "format": "yyyy-MM-dd'T'HH:mm:ssZ"},
            "is": {"type": "boolean"},
            "from": {"type": "ip", "precision_step": 8},
            "at": {"type": "geo_point", "lat_lon": True, "geohash": True, "geohash_prefix": True},
            "hint": {"type": "completion", "payloads": True},
            "parts": {"type": "nested", "include_in_parent": True, "properties": {"n": {"type": "integer"}}}}},
    5: {"_all": {"enabled": True}, "dynamic_templates": [
            {"raw": {"match": "*_raw", "match_mapping_type": "string", "mapping": {"type": "keyword"}}}],
        "properties": {
            "name": {"type": "text", "analyzer": "names", "norms": False, "store": True, "include_in_all": False,
                     "fielddata": True, "copy_to": ["everything"],
                     "fields": {"raw": {"type": "keyword", "ignore_above": 300},
                                "words": {"type": "token_count", "analyzer": "standard"}}},
            "everything": {"type": "text", "term_vector": "with_positions_offsets"},
            "code": {"type": "keyword", "null_value": "none"}, "blob": {"type": "keyword", "index": False, "doc_values": False},
            "size": {"type": "long"}, "weight": {"type": "scaled_float", "scaling_factor": 10},
            "on": {"type": "date", "format": "YYYY-MM-dd HH:mm:ss||epoch_millis"},
            "with_zone": {"type": "date", "format": "yyyy-MM-dd'T'HH:mm:ssZ"},
            "is": {"type": "boolean"}, "from": {"type": "ip"}, "at": {"type": "geo_point"},
            "hint": {"type": "completion"},
            "parts": {"type": "nested", "include_in_parent": True, "properties": {"n": {"type": "integer"}}}}}}
THING_ANALYSIS = {
    "filter": {"start": {"type": "edgeNGram", "min_gram": 1, "max_gram": 6}, "plain": {"type": "standard"},
               "same": {"type": "synonym", "synonyms": ["the => a", "quick,fast"]}},
    "analyzer": {"names": {"type": "custom", "tokenizer": "standard", "char_filter": ["html_strip"],
                           "filter": "standard, lowercase, stop, same, plain, start"}}}
# 2.4 keeps whatever is set.
THING_SETTINGS = {2: {"cache.query.enable": True, "translog.flush_threshold_ops": 5000, "merge.policy.type": "tiered",
                      "somebody.wrote": "this", "similarity.plain.type": "default"},
                  5: {"merge.policy.reclaim_deletes_weight": 2.0}}
NOTE = {"properties": {"text": {"type": "string"}, "by": {"type": "string", "index": "not_analyzed"}}}


def of_two(fields):
    """FIELDS as 2.4 has them: what is younger is left to be guessed."""
    made = {}
    for name, field in fields.items():
        kind = field.get("type")
        if kind in ("date_range", "join", "percolator"):
            continue
        field = {key: value for key, value in field.items() if key not in ("normalizer", "scaling_factor")}
        if kind in ("text", "keyword"):
            field["type"] = "string"
        if kind == "keyword":
            field["index"] = "not_analyzed"
        if kind == "scaled_float":
            field["type"] = "double"
        for below in ("fields", "properties"):
            if below in field:
                field[below] = of_two(field[below])
        made[name] = field
    return made


def thing(n, chance):
    return {"name": "The quick <b>%s</b> %d" % (chance.choice(WORDS), n), "code": None if n % 7 == 0 else "C%d" % n,
            "blob": "x" * (40000 if n % 50 == 0 else 10), "size": n, "weight": n / 10,
            "on": ("2015-%02d-%02d 10:11:%02d", "2015-%d-%d 9:8:%d")[n % 2] % (1 + n % 12, 1 + n % 28, n % 60)
                  if n % 3 else 1420070400000 + n,
            "with_zone": "2015-01-01T10:11:12" + ("+0100", "+01:00", "Z")[n % 3], "is": n % 2 == 0,
            "from": "10.0.0.%d" % (n % 250), "at": [n % 180, n % 90], "parts": [{"n": n}, {"n": n + 1}],
            "shop_raw": "S %d" % n, "free": {"field": n}}


def book(n, chance):
    word = chance.choice(WORDS)
    return {"title": "The quick %s & %s %d" % (word, chance.choice(WORDS), n), "pages": n % 900,
            "written": "20%02d-%02d-%02d" % (n % 24, 1 + n % 12, 1 + n % 28), "price": n / 4,
            "shelf": {"room": chance.choice("ABC"), "row": n % 9}, "notes": {"any": [1, {"thing": n}]},
            "loans": [{"to": "reader-%d" % (n % 17), "on": 1500000000000 + n}, {"to": "nobody"}],
            "at": {"lat": n % 80, "lon": -(n % 170)}, "seen_from": "10.0.%d.%d" % (n % 200, n % 250),
            "valid": {"gte": "2020-01-01", "lt": "2021-01-01"}, "suggest": {"input": [word], "weight": n % 5},
            "shop_code": "S%d" % n, "cover": "AAECAw=="}


def documents(index, count, chance):
    """(routing or None, source) of documents 0 .. COUNT - 1 of INDEX."""
    for n in range(count):
        if index == "books-v3":
            yield None, book(n, chance)
        elif index == "events":
            yield "customer-%d" % (n % 11), {"when": 1600000000000 + n * 1000, "kind": chance.choice(WORDS), "n": n}
        elif index == "orders":
            family = str(n - n % 4)
            yield family, {"n": n, "word": chance.choice(WORDS),
                           "rank": "order" if n % 4 == 0 else {"name": "line", "parent": family}}
        elif index == "things":
            yield None, dict(thing(n, chance), hint={"input": [chance.choice(WORDS)], "weight": n % 5})
        elif index == "notes-1":
            yield None, {"text": " ".join(chance.sample(WORDS, 3)), "by": "reader %d" % (n % 5)}
        else:
            yield None, {"@timestamp": "2020-01-%02dT10:00:%02dZ" % (1 + n % 28, n % 60),
                         "message": " ".join(chance.sample(WORDS, 4)), "host": "web-%d" % (n % 3)}


# What the tests' Elasticsearch 8.8 lacks: it has but a few modules.
WITHOUT_MODULES = ("title", "price", "suggest")


class OldCluster:
    """The cluster at URL. TYPED: an engine before 7.0. PLAIN: nothing that takes modules of an engine. MAJOR: 2 and
    5 are those of 2.4 and 5.6, and typed."""

    def __init__(self, url, typed=False, plain=False, seed=1, major=7):
        self.url = url
        self.typed = typed or major < 7
        self.plain = plain
        self.major = major
        self.chance = random.Random(seed)
        self.indices = ["books-v3", "events", "logs-2020.01", "logs-2020.02"]
        if major < 6:
            self.indices += ["things", "notes-1"]
        elif not plain:
            self.indices.append("orders")

    def mappings(self, index, mapping):
        if self.major == 2 and index not in ("things", "notes-1"):
            mapping = dict(mapping, properties=of_two(mapping["properties"]), dynamic_templates=[
                {name: dict(rule, **of_two({"mapping": rule["mapping"]})) for name, rule in each.items()}
                for each in mapping.get("dynamic_templates", [])])
        return {TYPES[index]: mapping} if self.typed else mapping

    def create(self, index, settings, mapping, aliases=None):
        must(self.url, "PUT", "/" + index, {
            "settings": {"index": dict({"number_of_replicas": 0}, **settings)},
            "mappings": self.mappings(index, mapping), "aliases": aliases or {}})

    def action(self, index, id, routing=None):
        return dict({"_index": index, "_id": str(id)}, **({"_type": TYPES[index]} if self.typed else {}),
                    **({"routing": routing} if routing else {}))

    def fill(self, index, count):
        """Each ninth was deleted, each fifth written twice, each seventh updated."""
        body, later = [], []
        for n, (routing, source) in enumerate(documents(index, count, self.chance)):
            action = self.action(index, n, routing)
            body += [{"index": action}, source]
            if n % 9 == 4:
                later.append([{"delete": action}])
            elif n % 5 == 0:
                later.append([{"index": action}, dict(source, again=True)])
            elif n % 7 == 0:
                later.append([{"update": action}, {"doc": {"changed": n}}])
        for begin in range(0, len(body), 1000):
            self.bulk(body[begin:begin + 1000])
        self.bulk([line for each in later for line in each])

    def bulk(self, body):
        answer = must(self.url, "POST", "/_bulk?refresh=true", lines(*body), NDJSON)
        assert not answer["errors"], [item for item in answer["items"] if "error" in str(item)][:3]

    def definitions(self):
        """Templates, pipelines, scripts: before the indices, which come from them in part."""
        if self.major == 2:
            must(self.url, "PUT", "/_search/template/find", {"template": {"query": {"match_all": {}}}})
        elif not self.plain:
            must(self.url, "PUT", "/_ingest/pipeline/stamp", PIPELINE)
            must(self.url, "PUT", "/_scripts/add", SCRIPT)
            must(self.url, "PUT", "/_scripts/find", SEARCH_TEMPLATE)
        must(self.url, "PUT", "/_template/logs", dict(self.pattern("logs-*"), **{
            "order": 2, "settings": {
                "number_of_shards": 2, "number_of_replicas": 0, "refresh_interval": "5s"},
            "mappings": self.mappings("logs-2020.01", LOG),
            "aliases": {"logs": {}, "web-1": {"filter": {"term": {"host": "web-1"}}}}},
            **({} if self.major == 2 else {"version": 7})))

    def pattern(self, pattern):
        """The names that a template is for."""
        return {"template": pattern} if self.major < 6 else {"index_patterns": [pattern]}

    def composable(self):
        """Engines from 7.8 on."""
        must(self.url, "PUT", "/_component_template/hosts", {"template": {"mappings": {"properties": {
            "host": {"type": "keyword"}}}}})
        must(self.url, "PUT", "/_index_template/metrics", {
            "index_patterns": ["metrics-*"], "composed_of": ["hosts"], "priority": 50, "_meta": {"by": "us"},
            "template": {"settings": {"number_of_shards": 3}, "aliases": {"metrics": {}}}})

    def fill_all(self, count):
        fields = {name: field for name, field in BOOK["properties"].items()
                  if not self.plain or name not in WITHOUT_MODULES}
        self.create("books-v3", dict({"number_of_shards": 3, "max_result_window": 20000},
                                     **({} if self.plain else {"analysis": self.analysis()})),
                    dict(BOOK, properties=fields), {
            "books": {"is_write_index": True} if self.major > 5 else {}, "room-a": {"filter": {"term": {"shelf.room": "A"}}}})
        order = {"sort.field": ["when", "n"], "sort.order": ["desc", "asc"]} if self.major > 5 else {}
        self.create("events", dict({"number_of_shards": 2, "codec": "best_compression"}, **order), EVENT, {
            "customer-3": {"routing": "customer-3", "filter": {"range": {"n": {"gte": 0}}}}})
        if self.major < 6:
            self.create_older()
        elif not self.plain:
            self.create("orders", {"number_of_shards": 4, "default_pipeline": "stamp"}, ORDER)
        for index in self.indices:
            self.fill(index, count if index == "books-v3" else count // 2)
        must(self.url, "POST", "/logs-2020.02/_close")
        must(self.url, "POST", "/logs-2020.02/_open")

    def analysis(self):
        if self.major != 2:
            return ANALYSIS
        return {part: made for part, made in ANALYSIS.items() if part != "normalizer"}

    def create_older(self):
        """What engines before 6.0 have, and no engine since."""
        must(self.url, "PUT", "/_template/notes", {
            "template": "notes-*", "settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0,
                                                          "mapper.dynamic": True}},
            "mappings": {"_default_": {"_all": {"enabled": False}, "dynamic_templates": [
                {"words": {"match_mapping_type": "string", "mapping": {"type": "string", "index": "not_analyzed"}}}]},
                "note": NOTE}})
        self.create("things", dict({"number_of_shards": 3, "analysis": THING_ANALYSIS}, **THING_SETTINGS[self.major]),
                    THING[self.major], {"big": {"filter": {"and": [{"range": {"size": {"gte": 100}}}, {"not": {
                        "missing": {"field": "name"}}}]} if self.major == 2 else {"range": {"size": {"gte": 100}}}}})

    def untranslatable(self):
        """Engines before 6.0: two types in one index, and one that is the other's parent."""
        must(self.url, "PUT", "/mixed", {"settings": {"number_of_replicas": 0}, "mappings": {
            "cat": {"properties": {"n": {"type": "long"}}}, "dog": {"properties": {"n": {"type": "long"}}}}})
        must(self.url, "PUT", "/family", {"settings": {"number_of_replicas": 0}, "mappings": {
            "child": {"_parent": {"type": "parent"}}}})

    def old_fashioned(self):
        """What newer engines refuse as it stands: settings, analysis and mappings of the years before 7.0."""
        must(self.url, "PUT", "/_template/wide", {
            "index_patterns": ["wide-*"], "settings": {"index": {"mapper.dynamic": True, "number_of_shards": 1}},
            "mappings": {"_default_": {"_all": {"enabled": False}, "dynamic_templates": [
                {"words": {"match_mapping_type": "string", "mapping": {"type": "keyword"}}}]}}})
        must(self.url, "PUT", "/_template/unused", {"index_patterns": ["unused-*"], "mappings": {"doc": {
            "dynamic_templates": [{"t": {"match": "*_text", "mapping": {"type": "text", "include_in_all": False}}}]}}})
        analysis = {"filter": {"plain": {"type": "standard"}, "pairs": {"type": "shingle", "max_shingle_size": 7}},
                    "analyzer": {"pairs": {"tokenizer": "standard", "filter": ["plain", "lowercase", "pairs"]}}}
        lifecycle = {} if self.plain else {"lifecycle.name": "old"}
        if not self.plain:
            must(self.url, "PUT", "/_ilm/policy/old", {"policy": {"phases": {"hot": {"actions": {
                "set_priority": {"priority": 7}}}}}})
        if not self.plain:
            analysis = {
                    "char_filter": {}, "tokenizer": {"pieces": {"type": "nGram", "min_gram": 3, "max_gram": 6}},
                    "filter": {"plain": {"type": "standard"},
                               "pairs": {"type": "shingle", "max_shingle_size": 7}},
                    "analyzer": {
                        "pieces": {"tokenizer": "pieces", "filter": ["standard", "lowercase"]},
                        "pairs": {"tokenizer": "standard", "filter": ["plain", "lowercase", "pairs"],
                                  "char_filter": ["htmlStrip"]},
                        "payload": {"tokenizer": "whitespace", "filter": ["delimited_payload_filter"]}}}
        must(self.url, "PUT", "/words", {
            "settings": {"index": dict({
                "number_of_shards": 5, "number_of_replicas": 0, "mapper.dynamic": True,
                "soft_deletes.enabled": False, "shard.check_on_startup": "fix",
                "translog.retention.size": "256mb", "merge.policy.max_merge_at_once_explicit": 20,
                "analysis": analysis}, **lifecycle)},
            "mappings": {"_default_": {"dynamic": "true"}, "word": {
                "_all": {"enabled": False}, "_field_names": {"enabled": True},
                "properties": {"text": {"type": "text", "boost": 2.0, **({} if self.plain else {"analyzer": "pieces"})},
                               "pairs": {"type": "text", "analyzer": "pairs"},
                               "n": {"type": "long", "index_options": "docs"},
                               "on": {"type": "date", "format": "dateOptionalTime||yyyy/MM/dd"}}}}})
        body = []
        for n in range(300):
            body += [{"index": self.action("words", n)}, {
                "text": " ".join(self.chance.sample(WORDS, 3)), "pairs": "<b>%d</b> of many" % n, "n": n,
                "on": "2019/02/%02d" % (1 + n % 28) if n % 2 else "2019-03-04T05:06:07Z", "free": {"field": n}}]
            body += [{"index": self.action("wide-1", n)}, {"k%d" % (n % 9): "value", "other": n}]
        self.bulk(body)
        self.bulk([{"delete": self.action("words", n)} for n in range(0, 300, 7)])
