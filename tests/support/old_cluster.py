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
         "words": "word", "wide-1": "doc"}


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
        else:
            yield None, {"@timestamp": "2020-01-%02dT10:00:%02dZ" % (1 + n % 28, n % 60),
                         "message": " ".join(chance.sample(WORDS, 4)), "host": "web-%d" % (n % 3)}


# What the tests' Elasticsearch 8.8 lacks: it has but a few modules.
WITHOUT_MODULES = ("title", "price", "suggest")


class OldCluster:
    """The cluster at URL. TYPED: an engine before 7.0. PLAIN: nothing that takes modules of an engine."""

    def __init__(self, url, typed=False, plain=False, seed=1):
        self.url = url
        self.typed = typed
        self.plain = plain
        self.chance = random.Random(seed)
        self.indices = ["books-v3", "events", "logs-2020.01", "logs-2020.02"] + ([] if plain else ["orders"])

    def mappings(self, index, mapping):
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
        if not self.plain:
            must(self.url, "PUT", "/_ingest/pipeline/stamp", PIPELINE)
            must(self.url, "PUT", "/_scripts/add", SCRIPT)
            must(self.url, "PUT", "/_scripts/find", SEARCH_TEMPLATE)
        must(self.url, "PUT", "/_template/logs", {
            "index_patterns": ["logs-*"], "order": 2, "version": 7, "settings": {
                "number_of_shards": 2, "number_of_replicas": 0, "refresh_interval": "5s"},
            "mappings": self.mappings("logs-2020.01", LOG),
            "aliases": {"logs": {}, "web-1": {"filter": {"term": {"host": "web-1"}}}}})

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
                                     **({} if self.plain else {"analysis": ANALYSIS})), dict(BOOK, properties=fields), {
            "books": {"is_write_index": True}, "room-a": {"filter": {"term": {"shelf.room": "A"}}}})
        self.create("events", {"number_of_shards": 2, "codec": "best_compression",
                               "sort.field": ["when", "n"], "sort.order": ["desc", "asc"]}, EVENT, {
            "customer-3": {"routing": "customer-3", "filter": {"range": {"n": {"gte": 0}}}}})
        if not self.plain:
            self.create("orders", {"number_of_shards": 4, "default_pipeline": "stamp"}, ORDER)
        for index in self.indices:
            self.fill(index, count if index == "books-v3" else count // 2)
        must(self.url, "POST", "/logs-2020.02/_close")
        must(self.url, "POST", "/logs-2020.02/_open")

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
