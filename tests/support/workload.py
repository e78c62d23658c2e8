"""workload.py - a seeded mixed workload of many concurrent writers, through the official clients.

Writers meet on purpose: few ids, many writers, each in a thread with its own client and its own
random numbers (drawn from the seed and the writer's number: what each asks for repeats, how they
interleave does not). Each answer must be one that the operation may get; anything else is collected
in `unexpected`.

What was acknowledged is kept in a ledger, so that a test can ask a cluster afterwards whether it
still knows it all. Each write brings a number of its own (`op` in the source): of those that were
refused for certain no document may bear it, on no cluster.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import json
import random
import threading
import time

from tandem import request

IDS = ["id-%d" % i for i in range(24)] + ["with space", "a/b%2Fc", "\N{SNOWMAN}\N{PILE OF POO}",
                                          "long-" + "x" * 507]
# Shards 0, 1 and 2 of 3 (before 7.0: 1, 2 and 0): two routings in one shard would be one document.
ROUTINGS = ["red", "black", "brown"]
# Values that an engine would map differently, according to which comes first.
GUESSES = [7, 7.5, "seven", "2024-02-29", True, [1, 2], {"deep": {"er": 1}}, {"deep": "flat"}]
PLAIN, ROUTED, PIPED, WRITTEN = "plain", "routed", "piped", "written-1"
WRITE_ALIAS, SWAP_ALIAS = "writing", "swapping"
TYPE = "book"  # on engines that have types
WRITERS = 16
ADMINISTRATORS = 4  # so many of them change definitions now and then


def refused_by_mapping(error):
    """Writers that bring a new field at the same time may guess its type differently."""
    return any(word in str(error) for word in ("mapper", "mapping", "failed to parse field"))


def reason_of(error):
    """What an answer says is wrong, in one line; of a connection that broke, how."""
    info = getattr(error, "info", None)
    try:
        return "%s: %s" % (info["error"]["type"], info["error"]["reason"])
    except (KeyError, TypeError):
        return str(error)


def refused_for_certain(error, whole_bulk=False):
    """True when the answer promises that nothing was applied, as docs/guarantees.md says it of bodies."""
    status, reason = getattr(error, "status_code", None), reason_of(error)
    if status == 503:  # of these one is unknown: what was applied, and had no room in the journal
        return reason.startswith("tandem_") and "outcome of this write" not in reason
    return status in (400, 401, 403, 413, 429) and not whole_bulk


class Ledger:
    """The newest acknowledged state of each document, by the primary's own numbers."""

    def __init__(self):
        self.lock = threading.Lock()
        self.newest = {}  # (index, id, routing) -> ((term, seq_no), is it a delete)
        self.in_doubt = set()  # keys with a write whose fate the client was not told
        self.refused = set()  # ops that were refused for certain

    def note(self, answer, routing, deleted):
        if "_seq_no" not in answer:
            return
        key = (answer["_index"], answer["_id"], routing)
        entry = ((answer["_primary_term"], answer["_seq_no"]), deleted)
        with self.lock:
            self.newest[key] = max(self.newest.get(key, entry), entry)

    def doubt(self, index, id, routing):
        with self.lock:
            self.in_doubt.add((index, id, routing))

    def refuse(self, ops):
        with self.lock:
            self.refused.update(op for op in ops if op is not None)

    def refused_seen(self, url):
        """Refused ops that a document of the cluster bears all the same, as text."""
        request(url, "POST", "/_refresh")
        found = []
        body = {"size": 1000, "_source": ["op"], "sort": ["_doc"]}
        answer = request(url, "POST", "/_search?scroll=1m", body).json()
        while answer["hits"]["hits"]:
            found += ["%s/%s: %s" % (hit["_index"], hit["_id"], hit["_source"]["op"])
                      for hit in answer["hits"]["hits"]
                      if hit.get("_source", {}).get("op") in self.refused]
            answer = request(url, "POST", "/_search/scroll", {
                "scroll": "1m", "scroll_id": answer["_scroll_id"]}).json()
        request(url, "DELETE", "/_search/scroll", {"scroll_id": answer["_scroll_id"]})
        return found

    def lost(self, standby_url, base=0):
        """Acknowledged writes that the cluster does not know (nor anything newer), as text."""
        found = []
        for (index, id, routing), ((term, seq_no), deleted) in sorted(
                self.newest.items(), key=lambda item: str(item[0])):
            body = {"docs": [dict({"_index": index, "_id": id, "_source": False},
                                  **({"routing": routing} if routing else {}))]}
            (doc,) = request(standby_url, "POST", "/_mget", body).json()["docs"]
            version = ((base + term) << 40) + seq_no
            if doc.get("found") and doc["_version"] < version:
                found.append("%s/%s routing %s: version %d, acknowledged was %d" % (
                    index, id, routing, doc["_version"], version))
            elif not doc.get("found") and not deleted and (
                    index, id, routing) not in self.in_doubt:
                found.append("%s/%s routing %s: is missing" % (index, id, routing))
        return found


class Workload:
    """WRITERS threads, each with OPERATIONS operations drawn from SEED.

    connect() gives a client of opensearch-py or elasticsearch. tolerant: what a client sees while
    things are killed (no connection, time-outs, 429, 502-504) is counted, not unexpected. typed: an
    engine before 7.0, whose paths name a type.
    """

    def __init__(self, seed, connect, operations=100, writers=WRITERS, tolerant=False, scripts=True,
                 pipelines=True, typed=False):
        self.seed = seed
        self.connect = connect
        self.operations = operations
        self.tolerant = tolerant
        self.scripts = scripts
        self.pipelines = pipelines
        self.typed = typed
        self.ledger = Ledger()
        self.tally = collections.Counter()
        self.unexpected = []
        self.reasons = []  # of all answers that were no success, in order
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=Writer(self, number).run, daemon=True)
                        for number in range(writers)]

    def prepare(self):
        """Makes the indices, pipelines, templates and aliases that the writers count on."""
        client = self.connect()
        if self.pipelines:
            client.ingest.put_pipeline(id="stamp", body={"processors": [
                {"set": {"field": "stamp", "value": "by pipeline"}},
                {"uppercase": {"field": "word", "ignore_missing": True}}]})
            client.ingest.put_pipeline(id="final", body={"processors": [
                {"set": {"field": "final", "value": "{{_id}}"}}]})
        client.indices.put_template(name="dynamic", body={
            "index_patterns": ["dynamic-*"], "settings": {"number_of_shards": 2}})
        settings = {"number_of_shards": 2, "number_of_replicas": 0}
        client.indices.create(index=PLAIN, body={"settings": settings})
        client.indices.create(index=ROUTED, body={"settings": dict(settings, number_of_shards=3)})
        piped = {"default_pipeline": "stamp"} if self.pipelines else {}
        if self.pipelines and not self.typed:  # there are none before 7.5
            piped["final_pipeline"] = "final"
        client.indices.create(index=PIPED, body={"settings": dict(settings, **piped)})
        client.indices.create(index="written-0", body={
            "settings": settings, "aliases": {WRITE_ALIAS: {}}})
        client.indices.create(index=WRITTEN, body={
            "settings": settings, "aliases": {WRITE_ALIAS: {"is_write_index": True}}})
        client.indices.create(index="swap-0", body={"settings": settings, "aliases": {SWAP_ALIAS: {}}})
        client.indices.create(index="swap-1", body={"settings": settings})
        client.close()

    def start(self):
        for thread in self.threads:
            thread.start()
        return self

    def running(self):
        return any(thread.is_alive() for thread in self.threads)

    def stop(self):
        """Writers end after the operation they are at."""
        self.stopping.set()

    def wait(self, deadline_s=240):
        end_s = time.monotonic() + deadline_s
        for thread in self.threads:
            thread.join(max(0, end_s - time.monotonic()))
        assert not self.running(), "writers still run after %d s" % deadline_s

    def run(self, deadline_s=240):
        self.prepare()
        self.start()
        self.wait(deadline_s)
        self.check()

    def check(self):
        print("workload of seed %d: %s" % (self.seed, dict(sorted(self.tally.items()))))
        assert not self.unexpected, "seed %d: %d unexpected answers:\n%s" % (
            self.seed, len(self.unexpected), "\n".join(self.unexpected[:20]))

    def check_ledger(self, tandem):
        """Once the standby caught up: all that was acknowledged is there (C1), nothing of what was refused (C2, C9)."""
        lost = self.ledger.lost(tandem.standby.url)
        assert not lost, "acknowledged, but not on the standby:\n" + "\n".join(lost[:20])
        for url in (tandem.primary.url, tandem.standby.url):
            seen = self.ledger.refused_seen(url)
            assert not seen, "refused, but on %s:\n%s" % (url, "\n".join(seen[:20]))


class Writer:
    """One thread's worth of operations. Each method named do_... is one kind of write."""

    def __init__(self, workload, number):
        self.workload = workload
        self.number = number
        self.random = random.Random("%d/%d" % (workload.seed, number))
        self.ops = 0
        kinds = {self.do_index: 6, self.do_create: 4, self.do_delete: 4, self.do_auto_id: 2,
                 self.do_update_doc: 4, self.do_upsert: 3, self.do_doc_as_upsert: 3,
                 self.do_noop: 1, self.do_conditional: 3, self.do_alias: 3, self.do_dynamic: 3,
                 self.do_bulk: 8, self.do_bulk_of_index: 3, self.do_routed: 5, self.do_date_name: 1,
                 self.do_big: 1, self.do_swapped: 2, self.do_fleeting: 2}
        if workload.scripts:
            kinds.update({self.do_script: 4, self.do_scripted_upsert: 2, self.do_script_deletes: 1})
        if workload.pipelines:
            kinds.update({self.do_piped: 4, self.do_request_pipeline: 2, self.do_piped_update: 2})
        if number < ADMINISTRATORS:
            kinds.update({self.do_new_index: 1, self.do_drop_index: 1, self.do_mapping: 1,
                          self.do_swap: 1, self.do_template: 1})
        self.kinds, self.weights = list(kinds), list(kinds.values())

    def run(self):
        self.client = self.workload.connect()
        for _ in range(self.workload.operations):
            if self.workload.stopping.is_set():
                break
            (kind,) = self.random.choices(self.kinds, self.weights)
            try:
                kind()
            except Exception as error:  # of the writer itself: a bug in the test
                self.workload.unexpected.append("%s: %r" % (kind.__name__, error))
        self.client.close()

    # --- one call ---------------------------------------------------------------------------------

    def mark(self, body, is_update):
        """BODY with a new op in all that may become a document; (body, op)."""
        self.ops += 1
        op = "op-%d-%d" % (self.number, self.ops)
        if not is_update:
            return dict(body, op=op), op
        body = {name: dict(part, op=op) if name in ("doc", "upsert") and part else part
                for name, part in body.items()}
        if "script" in body:
            script = body["script"]
            body["script"] = dict(script, source=script["source"] + "; ctx._source.op = params.mark",
                                  params=dict(script.get("params", {}), mark=op))
        return body, op

    def call(self, what, may_be, method, index, id=None, routing=None, deletes=False, noted=True,
             **options):
        """One write of one document; MAY_BE: the statuses other than success that are all right.
        Not noted: nothing is known afterwards, since its index may go."""
        op = None
        if options.get("body"):
            options["body"], op = self.mark(options["body"], method == self.client.update)
        if id is not None:
            options["id"] = id
        if routing is not None:
            options["routing"] = routing
        if self.workload.typed:
            options["doc_type"] = TYPE
        try:
            answer = method(index=index, **options)
        except Exception as error:
            self.failed(what, may_be, error, [(index, id, routing)], [op])
            return None
        self.workload.tally[what + " ok"] += 1
        if noted:
            self.workload.ledger.note(answer, routing, deletes or answer.get("result") == "deleted")
        return answer

    def failed(self, what, may_be, error, keys, ops=(), whole_bulk=False):
        status = getattr(error, "status_code", None)
        self.workload.reasons.append(reason_of(error))
        certain = refused_for_certain(error, whole_bulk)
        if certain:
            self.workload.ledger.refuse(ops)
        if status in may_be or (status == 400 and refused_by_mapping(error)):
            self.workload.tally["%s %s" % (what, status)] += 1
            if status == 404 and what == "delete":
                self.workload.ledger.note(error.info, keys[0][2], True)
            return
        for key in keys if not certain else ():
            self.workload.ledger.doubt(*key)
        away = status in (429, 502, 503, 504, "N/A", "TIMEOUT")
        if self.workload.tolerant and away:
            self.workload.tally["away %s" % status] += 1
            self.workload.stopping.wait(self.random.uniform(0.01, 0.1))
            return
        self.workload.unexpected.append("writer %d, %s of %s: %r" % (
            self.number, what, keys[:1], error))

    def administer(self, what, may_be, method, **options):
        """One change of definitions."""
        try:
            method(**options)
        except Exception as error:
            self.failed(what, may_be, error, [])
            return
        self.workload.tally[what + " ok"] += 1

    def source(self):
        return {"n": self.random.randrange(1000), "writer": self.number,
                "word": self.random.choice(["alpha", "beta", "gamma"]),
                "price": self.random.choice([0.1, 1e10, 12345678901234567, -0.5]),
                "tags": self.random.sample(["x", "y", "z"], 2)}

    def id(self):
        return self.random.choice(IDS)

    # --- single documents -------------------------------------------------------------------------

    def do_index(self):
        refresh = {"refresh": "true"} if self.random.random() < 0.05 else {}
        self.call("index", (), self.client.index, PLAIN, self.id(), body=self.source(), **refresh)

    def do_create(self):
        self.call("create", (409,), self.client.create, PLAIN, self.id(), body=self.source())

    def do_delete(self):
        self.call("delete", (404,), self.client.delete, PLAIN, self.id(), deletes=True)

    def do_auto_id(self):
        self.call("auto id", (), self.client.index, PLAIN, body=self.source())

    def do_update_doc(self):
        self.call("update", (404, 409), self.client.update, PLAIN, self.id(),
                  body={"doc": {"n": self.random.randrange(1000), "seen": self.number}})

    def do_upsert(self):
        self.call("upsert", (409,), self.client.update, PLAIN, self.id(),
                  body={"doc": {"n": -1}, "upsert": self.source()})

    def do_doc_as_upsert(self):
        self.call("doc_as_upsert", (409,), self.client.update, PLAIN, self.id(),
                  body={"doc": self.source(), "doc_as_upsert": True})

    def do_noop(self):
        self.call("noop", (404, 409), self.client.update, PLAIN, self.id(), body={"doc": {}})

    def do_script(self):
        self.call("script", (400, 404, 409), self.client.update, PLAIN, self.id(), body={
            "script": {"source": "ctx._source.n += params.by", "params": {"by": self.number}}},
            retry_on_conflict=self.random.choice([0, 3]))

    def do_scripted_upsert(self):
        self.call("scripted upsert", (409,), self.client.update, PLAIN, self.id(), body={
            "scripted_upsert": True, "upsert": {"n": 0},
            "script": {"source": "ctx._source.n = (ctx._source.n == null ? 0 : ctx._source.n) + 1"}})

    def do_script_deletes(self):
        op = self.random.choice(["delete", "none"])
        self.call("script " + op, (404, 409), self.client.update, PLAIN, self.id(), body={
            "script": {"source": "ctx.op = params.op", "params": {"op": op}}})

    def do_conditional(self):
        """Reads a document and writes it if nobody else did meanwhile."""
        id = self.id()
        try:
            seen = self.client.get(index=PLAIN, id=id,
                                   **({"doc_type": TYPE} if self.workload.typed else {}))
        except Exception as error:
            self.failed("get", (404,), error, [])
            return
        condition = {"if_seq_no": seen["_seq_no"], "if_primary_term": seen["_primary_term"]}
        if self.random.random() < 0.2:
            self.call("conditional delete", (404, 409), self.client.delete, PLAIN, id, deletes=True,
                      **condition)
        else:
            self.call("conditional", (409,), self.client.index, PLAIN, id, body=self.source(),
                      **condition)

    def do_alias(self):
        required = self.random.random() < 0.5 and not self.workload.typed  # since 7.10
        self.call("alias", (), self.client.index, WRITE_ALIAS, self.id(), body=self.source(),
                  **({"require_alias": "true"} if required else {}))

    def do_dynamic(self):
        """New fields and new indices; what is guessed first decides, so some are refused."""
        index = "dynamic-%d" % self.random.randrange(4)
        field = "field_%d" % self.random.randrange(40)
        self.call("dynamic", (), self.client.index, index, self.id(),
                  body={field: self.random.choice(GUESSES)})

    def do_routed(self):
        """Two routings of one id are two documents."""
        method, may_be, body = self.random.choice([
            (self.client.index, (), self.source()), (self.client.delete, (404,), None),
            (self.client.update, (409,), {"doc": {"n": 0}, "upsert": self.source()})])
        self.call("delete" if body is None else "routed", may_be, method, ROUTED, self.id(),
                  self.random.choice(ROUTINGS), deletes=body is None,
                  **({} if body is None else {"body": body}))

    def do_date_name(self):
        self.call("date name", (), self.client.index, "<dated-{now/d}>", self.id(),
                  body=self.source())

    def do_big(self):
        self.call("big", (), self.client.index, PLAIN, self.id(),
                  body=dict(self.source(), text="x" * self.random.randrange(200000)))

    # --- definitions, and what is written to where they move ---------------------------------------

    def fleeting(self):
        return "fleeting-%d" % self.random.randrange(3)

    def do_new_index(self):
        self.administer("new index", (400,), self.client.indices.create, index=self.fleeting(), body={
            "settings": {"number_of_shards": self.random.randrange(1, 4), "number_of_replicas": 0}})

    def do_drop_index(self):
        self.administer("drop index", (404,), self.client.indices.delete, index=self.fleeting())

    def do_fleeting(self):
        """It may be between two lives: then it is not there, or makes itself a new one."""
        self.call("fleeting", (404,), self.client.index, self.fleeting(), self.id(), noted=False,
                  body=self.source())

    def do_mapping(self):
        field = "mapped_%d" % self.random.randrange(1000)
        self.administer("mapping", (), self.client.indices.put_mapping, index=PLAIN,
                        body={"properties": {field: {"type": "keyword"}}},
                        **({"doc_type": TYPE} if self.workload.typed else {}))

    def do_swap(self):
        """From one index to the other, in one step."""
        self.administer("swap", (), self.client.indices.update_aliases, body={"actions": [
            {"remove": {"index": "swap-*", "alias": SWAP_ALIAS}},
            {"add": {"index": "swap-%d" % self.random.randrange(2), "alias": SWAP_ALIAS}}]})

    def do_swapped(self):
        self.call("swapped", (), self.client.index, SWAP_ALIAS, self.id(), body=self.source())

    def do_template(self):
        self.administer("template", (), self.client.indices.put_template,
                        name="template-%d" % self.random.randrange(3), body={
                            "index_patterns": ["templated-*"], "order": self.random.randrange(100),
                            "settings": {"number_of_shards": self.random.randrange(1, 4)}})

    # --- through pipelines ------------------------------------------------------------------------

    def do_piped(self):
        self.call("piped", (), self.client.index, PIPED, self.id(), body=self.source())

    def do_request_pipeline(self):
        self.call("request pipeline", (), self.client.index, PLAIN, self.id(), body=self.source(),
                  pipeline="stamp")

    def do_piped_update(self):
        self.call("piped update", (409,), self.client.update, PIPED, self.id(),
                  body={"doc": {"word": "later"}, "upsert": self.source()})

    # --- bulks ------------------------------------------------------------------------------------

    def do_bulk(self):
        """Over several indices, named in each action."""
        self.bulk("bulk", [self.action(True) for _ in range(self.random.randrange(1, 30))])

    def do_bulk_of_index(self):
        """The index stands in the path."""
        options = {"refresh": "true"} if self.random.random() < 0.1 else {}
        self.bulk("bulk of index",
                  [self.action(False) for _ in range(self.random.randrange(1, 30))], index=PLAIN,
                  **options)

    def action(self, with_index):
        """(kind, metadata, line or None)."""
        meta = {"_id": self.id()}
        if with_index and self.workload.typed:
            meta["_type"] = TYPE
        if with_index:
            meta["_index"] = self.random.choice([PLAIN, PLAIN, ROUTED, PIPED, WRITE_ALIAS,
                                                 "dynamic-0"])
            if meta["_index"] == ROUTED:
                meta["routing"] = self.random.choice(ROUTINGS)
        kind = self.random.choice(["index", "index", "create", "delete", "update"])
        if self.workload.typed and kind == "update" and meta.get("_index") in (WRITE_ALIAS, "dynamic-0"):
            meta["_index"] = PLAIN  # 6.8 looks for a pipeline of an alias' name, [null], when another item has one
        if kind == "delete":
            return kind, meta, None
        if kind != "update":
            if kind == "index" and "routing" not in meta and self.random.random() < 0.1:
                del meta["_id"]
            return kind, meta, self.source()
        bodies = [{"doc": {"n": 1}}, {"doc": {"n": 2}, "doc_as_upsert": True},
                  {"doc": {"n": 3}, "upsert": self.source()}]
        if self.workload.scripts:
            bodies.append({"script": {"source": "ctx._source.n = 4"}, "upsert": {"n": 4}})
        if self.random.random() < 0.3:
            meta["_source"] = self.random.choice([True, False])
        return kind, meta, self.random.choice(bodies)

    def bulk(self, what, actions, **options):
        lines, ops = [], []
        for kind, meta, line in actions:
            ops.append(None)
            lines.append(json.dumps({kind: meta}))
            if line is not None:
                if self.random.random() < 0.9:  # without one an update may change nothing
                    line, ops[-1] = self.mark(line, kind == "update")
                lines.append(json.dumps(line, ensure_ascii=self.random.random() < 0.5))
        default = options.get("index")
        if default and self.workload.typed:
            options["doc_type"] = TYPE
        try:
            answer = self.client.bulk(body="\n".join(lines) + "\n", **options)
        except Exception as error:
            keys = [(WRITTEN if meta.get("_index") == WRITE_ALIAS else meta.get("_index", default),
                     meta.get("_id"), meta.get("routing")) for _, meta, _ in actions]
            self.failed(what, (), error, keys, ops, whole_bulk=True)
            return
        self.workload.tally[what + " ok"] += 1
        self.look_at_items(what, actions, ops, answer["items"])

    def look_at_items(self, what, actions, ops, items):
        if len(items) != len(actions):
            self.workload.unexpected.append("%s: %d items for %d actions" % (
                what, len(items), len(actions)))
        for (kind, meta, _), op, item in zip(actions, ops, items):
            (answered, result), = item.items()
            if answered != kind or result["_id"] != meta.get("_id", result["_id"]):
                self.workload.unexpected.append("%s: %s answers %s" % (what, item, (kind, meta)))
            self.workload.tally["item %s %s" % (kind, result["status"])] += 1
            if result["status"] == 400:
                self.workload.ledger.refuse([op])
            away = self.workload.tolerant and result["status"] in (429, 500, 502, 503, 504)
            if away:
                self.workload.ledger.doubt(result["_index"], result["_id"], meta.get("routing"))
            elif result["status"] not in (200, 201, 404, 409) and not (
                    result["status"] == 400 and refused_by_mapping(result["error"])):
                self.workload.unexpected.append("%s: %s" % (what, item))
            if "error" not in result:
                self.workload.ledger.note(result, meta.get("routing"),
                                          kind == "delete" or result["result"] == "deleted")
