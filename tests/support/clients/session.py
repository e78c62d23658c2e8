"""session.py - what an application does, through one of the official Python clients.

    python session.py CLIENT ENGINE URL PART

CLIENT is opensearch-py, elasticsearch-py-7 or elasticsearch-py-8, which must be installed; ENGINE is a kind of
engine.py's, for what it lacks; URL is Tandem's; PART is one of PARTS, and what its indices' names begin with. The
exit code is 0 when all that the client said was as it should be, and what the indices then held. With $TANDEM_CA_FILE
Tandem's certificate is verified.

The parts `retries` and `outage` write until their input ends; they say `written N` now and then, and at the end how
many there are.

SPDX-License-Identifier: Apache-2.0
"""

import asyncio
import functools
import importlib
import os
import sys
import threading
import time
import warnings

GIVE_UP_S = 60


class Library:
    """One client's library. Those of Elasticsearch 8 take a body's members as arguments, the others one body."""

    def __init__(self, client, engine):
        module = importlib.import_module("opensearchpy" if client == "opensearch-py" else "elasticsearch")
        self.helpers = importlib.import_module(module.__name__ + ".helpers")
        self.opensearch = client == "opensearch-py"
        self.eight = client == "elasticsearch-py-8"
        # The clients' own 10 s are too short where several engines share two cores.
        patient = {"request_timeout" if self.eight else "timeout": 30}
        self.client = functools.partial(module.OpenSearch if self.opensearch else module.Elasticsearch, **patient)
        self.async_client = functools.partial(
            module.AsyncOpenSearch if self.opensearch else module.AsyncElasticsearch, **patient)
        self.NotFound, self.Conflict = module.NotFoundError, module.ConflictError
        # What may be tried again is of these: no connection, no answer, no nodes found, 50x.
        self.Failed = (module.TransportError, getattr(module, "ApiError", module.TransportError))
        self.scripts = not engine.startswith("elasticsearch-8")
        self.points_in_time = engine in ("opensearch-2.19", "elasticsearch-8.8")
        if not self.opensearch:
            warnings.simplefilter("ignore", module.ElasticsearchWarning)

    def source(self, value):
        return {"document": value} if self.eight else {"body": value}

    def body(self, **members):
        return members if self.eight else {"body": members}

    def sniffing(self, **more):
        """Finds the nodes at the start, when one fails, and every now and then; patient here too (0.1 s, 0.5 s)."""
        more["sniff_timeout"] = 10
        if "TANDEM_CA_FILE" in os.environ:
            # The older ones forget the https of their URL when they sniff, unless it is a setting.
            more.update({} if self.eight else {"use_ssl": True}, ca_certs=os.environ["TANDEM_CA_FILE"])
        if self.eight:
            return dict(sniff_on_start=True, sniff_on_node_failure=True, min_delay_between_sniffing=0.1, **more)
        return dict(sniff_on_start=True, sniff_on_connection_fail=True, sniffer_timeout=0.1, **more)

    def nodes(self, client):
        """The addresses that the client would send its next request to."""
        if self.eight:
            return sorted({node.base_url for node in client.transport.node_pool.all()})
        return sorted({connection.host for connection in client.transport.connection_pool.connections})


def refused(error, call, *args, **named):
    """CALL must fail with this class of the client's own."""
    try:
        answer = call(*args, **named)
    except error as raised:
        return raised
    raise AssertionError("no %s, but %r" % (error.__name__, answer))


def contents(lib, client, index):
    """All documents, by the scroll helper and its small pages: {id: source}."""
    client.indices.refresh(index=index)
    found = {hit["_id"]: hit["_source"] for hit in lib.helpers.scan(client, index=index, size=250)}
    assert client.count(index=index)["count"] == len(found)
    return found


# ---- single documents ----

def documents(lib, url, prefix):
    client, books = lib.client(url), prefix + "-books"
    assert client.ping() and client.info()["version"]["number"]
    client.indices.create(index=books, **lib.body(settings={"number_of_shards": 2}, mappings={
        "properties": {"title": {"type": "keyword"}}}))
    first = client.index(index=books, id="1", **lib.source({"title": "Solaris"}))
    assert first["result"] == "created"
    if lib.eight:
        assert first.meta.headers["x-tandem-outcome"] == "applied" and first.meta.headers["x-tandem-seq"]
    made = client.index(index=books, **lib.source({"title": "Fiasco"}))["_id"]
    assert client.get(index=books, id=made)["_source"] == {"title": "Fiasco"}
    client.create(index=books, id="a b/ü", **lib.source({"title": "Eden"}))
    assert client.exists(index=books, id="a b/ü") and not client.exists(index=books, id="2")
    expected = {"1": changes(lib, client, books, first), made: {"title": "Fiasco"}, "a b/ü": {"title": "Eden"},
                "up": {"title": "The Cyberiad"}}
    client.index(index=books, id="2", **lib.source({"title": "gone soon"}))
    assert client.delete(index=books, id="2")["result"] == "deleted"
    refused(lib.NotFound, client.delete, index=books, id="2")
    refused(lib.NotFound, client.get, index=books, id="2")
    refused(lib.NotFound, client.index, index=prefix + "-none", require_alias=True, **lib.source({}))
    found = client.mget(index=books, **lib.body(ids=["1", "2"]))["docs"]
    assert [each["found"] for each in found] == [True, False]
    assert contents(lib, client, books) == expected


def changes(lib, client, books, first):
    """Updates and conflicts of document 1; what it is then."""
    update = client.update(index=books, id="1", **lib.body(doc={"pages": 204}))
    assert update["result"] == "updated" and "get" not in update
    assert client.update(index=books, id="1", **lib.body(doc={"pages": 204}))["result"] == "noop"
    source = {"title": "Solaris", "pages": 204}
    if lib.scripts:
        client.update(index=books, id="1", **lib.body(script={"source": "ctx._source.pages += params.more",
                                                              "params": {"more": 10}}))
        source["pages"] = 214
    client.update(index=books, id="up", **lib.body(doc={"title": "The Cyberiad"}, doc_as_upsert=True))
    refused(lib.NotFound, client.update, index=books, id="none", **lib.body(doc={"a": 1}))
    conflict = refused(lib.Conflict, client.create, index=books, id="1", **lib.source({}))
    if lib.eight:
        assert conflict.meta.status == 409 and conflict.meta.headers["x-tandem-outcome"] == "unknown"
    else:
        assert conflict.status_code == 409 and conflict.error == "version_conflict_engine_exception"
    refused(lib.Conflict, client.index, index=books, id="1", if_seq_no=first["_seq_no"],
            if_primary_term=first["_primary_term"], **lib.source({}))
    seen = client.get(index=books, id="1")
    client.index(index=books, id="1", if_seq_no=seen["_seq_no"], if_primary_term=seen["_primary_term"],
                 **lib.source(dict(source, read=True)))
    return dict(source, read=True)


# ---- many at once ----

def bulks(lib, url, prefix):
    """The three helpers, with compressed bodies, and what they say of items that fail."""
    client, lines = lib.client(url, http_compress=True), prefix + "-lines"
    expected = {str(n): {"n": n, "text": "line %d of many" % n} for n in range(2000)}
    done = lib.helpers.bulk(client, ({"_index": lines, "_id": id, **source} for id, source in expected.items()))
    assert done == (2000, [])
    assert lib.helpers.bulk(client, ({"_index": prefix + "-unnamed", "n": n} for n in range(700)))[0] == 700
    assert sorted(each["n"] for each in contents(lib, client, prefix + "-unnamed").values()) == list(range(700))
    mixed = [{"_op_type": "update", "_index": lines, "_id": "0", "doc": {"seen": True}},
             {"_op_type": "create", "_index": lines, "_id": "1", "n": -1},
             {"_op_type": "delete", "_index": lines, "_id": "2"},
             {"_op_type": "delete", "_index": lines, "_id": "none"},
             {"_op_type": "index", "_index": lines, "_id": "3", "n": "no number"},
             {"_op_type": "create", "_index": lines, "_id": "new", "n": 2000}]
    said = [(ok, *item.values()) for ok, item in lib.helpers.streaming_bulk(client, mixed, raise_on_error=False)]
    assert [each["status"] for _, each in said] == [200, 409, 200, 404, 400, 201], said
    assert [ok for ok, _ in said] == [True, False, True, False, False, True]
    expected["0"]["seen"], expected["new"] = True, {"n": 2000}
    del expected["2"]
    failed = refused(lib.helpers.BulkIndexError, lib.helpers.bulk, client, mixed[1:2])
    assert failed.errors[0]["create"]["status"] == 409
    if not lib.eight:  # there it asks for data streams, which the tests' engine has not
        copied = lib.helpers.reindex(client, prefix + "-unnamed", prefix + "-again")
        assert copied == (700, 0), copied
        assert contents(lib, client, prefix + "-again") == contents(lib, client, prefix + "-unnamed")
    more = {"p%d" % n: {"n": n} for n in range(2000)}
    done = lib.helpers.parallel_bulk(client, ({"_index": lines, "_id": id, "_source": source}
                                              for id, source in more.items()), thread_count=4, chunk_size=100)
    assert sum(ok for ok, _ in done) == 2000
    assert contents(lib, client, lines) == {**expected, **more}


# ---- by query ----

def by_query(lib, url, prefix):
    """Update, delete and reindex, also as a task that the application looks after."""
    client, rows, copy = lib.client(url), prefix + "-rows", prefix + "-copy"
    assert lib.helpers.bulk(client, ({"_index": rows, "_id": str(n), "n": n} for n in range(900)),
                            refresh=True) == (900, [])
    done = client.update_by_query(index=rows, refresh=True, **lib.body(query={"range": {"n": {"lt": 300}}}, script={
        "source": "ctx._source.low = true"}))
    assert done["updated"] == 300 and done["failures"] == []
    done = client.delete_by_query(index=rows, refresh=True, **lib.body(query={"range": {"n": {"gte": 600}}}))
    assert done["deleted"] == 300
    expected = {str(n): {"n": n, "low": True} if n < 300 else {"n": n} for n in range(600)}
    assert contents(lib, client, rows) == expected
    done = client.reindex(refresh=True, **lib.body(source={"index": rows}, dest={"index": copy}))
    assert done["created"] == 600
    task = client.delete_by_query(index=copy, wait_for_completion=False, **lib.body(query={"term": {"low": True}}))
    done = client.tasks.get(task_id=task["task"], wait_for_completion=True)
    assert done["completed"] and done["response"]["deleted"] == 300
    assert contents(lib, client, copy) == {str(n): {"n": n} for n in range(300, 600)}


# ---- reading, and the names of indices ----

def reading(lib, url, prefix):
    """Pages with a point in time, aliases that move, a rollover, a template, and a refresh that is waited for."""
    client, old, new, alias = lib.client(url), prefix + "-000001", prefix + "-000002", prefix + "-current"
    client.indices.put_index_template(name=prefix, **lib.body(index_patterns=[prefix + "-*"], template={
        "settings": {"number_of_shards": 2}, "mappings": {"properties": {"word": {"type": "keyword"}}}}))
    client.indices.create(index=old, **lib.body(aliases={alias: {"is_write_index": True}}))
    for n in range(20):
        client.index(index=alias, id=str(n), refresh="wait_for" if n == 19 else None, **lib.source({"word": "w%d" % n}))
    found = client.search(index=alias, **lib.body(query={"term": {"word": "w7"}}))
    assert found["hits"]["hits"][0]["_id"] == "7" and client.count(index=alias)["count"] == 20
    rolled = client.indices.rollover(alias=alias, **lib.body(conditions={"max_docs": 10}))
    assert rolled["rolled_over"] and rolled["new_index"] == new
    client.index(index=alias, id="20", refresh=True, **lib.source({"word": "w20"}))
    assert client.get(index=new, id="20")["_source"] == {"word": "w20"}
    client.indices.update_aliases(**lib.body(actions=[{"add": {"index": old, "alias": prefix + "-old"}},
                                                      {"remove": {"index": old, "alias": alias}}]))
    client.indices.put_alias(index=new, name=prefix + "-new")
    assert sorted(client.indices.get_alias(index=prefix + "-*")) == [old, new]
    assert client.count(index=alias)["count"] == 1
    client.indices.put_mapping(index=new, **lib.body(properties={"more": {"type": "long"}}))
    answers = client.msearch(**({"searches": searches(old, new)} if lib.eight else {"body": searches(old, new)}))
    assert [each["hits"]["total"]["value"] for each in answers["responses"]] == [20, 1]
    if lib.points_in_time:
        assert [id for id, _ in pages(lib, client, old)] == [str(n) for n in range(20)]
    assert len(contents(lib, client, prefix + "-0*")) == 21


def searches(*indices):
    return [line for index in indices for line in ({"index": index}, {"query": {"match_all": {}}})]


def pages(lib, client, index):
    """All documents by a point in time, in pages of seven; a document that comes later is not among them."""
    if lib.opensearch:
        point = client.create_pit(index=index, keep_alive="1m")["pit_id"]
    else:
        point = client.open_point_in_time(index=index, keep_alive="1m")["id"]
    client.index(index=index, id="later", refresh=True, **lib.source({"word": "later"}))
    found, after = [], {}
    while True:
        hits = client.search(**lib.body(size=7, query={"match_all": {}}, sort=[{"_seq_no": "asc"}, {"word": "asc"}],
                                        pit={"id": point, "keep_alive": "1m"}, **after))["hits"]["hits"]
        found += [(hit["_id"], hit["_source"]) for hit in hits]
        if len(hits) < 7:
            break
        after = {"search_after": hits[-1]["sort"]}
    if lib.opensearch:
        client.delete_pit(body={"pit_id": [point]})
    else:
        client.close_point_in_time(**lib.body(id=point))
    client.delete(index=index, id="later", refresh=True)
    return sorted(found, key=lambda each: int(each[0]))


# ---- where it sends its requests ----

def sniffing(lib, url, prefix):
    client, index = lib.client(url, **lib.sniffing()), prefix + "-sniffed"
    assert lib.nodes(client) == [url], lib.nodes(client)
    for n in range(30):
        client.index(index=index, id=str(n), **lib.source({"n": n}))
        if not lib.eight:
            client.transport.sniff_hosts()
        elif n % 10 == 0:
            client.transport.sniff(is_initial_sniff=True)
        assert lib.nodes(client) == [url], lib.nodes(client)
    for more in {}, {"metric": "http,settings"}:
        nodes = client.nodes.info(**more)["nodes"].values()
        assert [node["http"]["publish_address"] for node in nodes] == [url.split("//")[1]]
    assert contents(lib, client, index) == {str(n): {"n": n} for n in range(30)}


# ---- the asynchronous client ----

def asynchronous(lib, url, prefix):
    asyncio.run(at_once(lib, url, prefix + "-async"))


async def at_once(lib, url, index):
    async with lib.async_client(url, http_compress=True, **lib.sniffing()) as client:
        assert await client.ping()
        expected = {str(n): {"n": n} for n in range(200)}
        await asyncio.gather(*(client.index(index=index, id=id, **lib.source(source))
                               for id, source in expected.items()))
        more = {"b%d" % n: {"n": n} for n in range(1500)}
        done = await lib.helpers.async_bulk(client, ({"_index": index, "_id": id, **source}
                                                     for id, source in more.items()))
        assert done == (1500, [])
        # All at one document: the engine tries again where another was faster.
        await asyncio.gather(*(client.update(index=index, id="0", retry_on_conflict=30, **lib.body(doc={"f%d" % n: n}))
                               for n in range(20)))
        expected["0"].update({"f%d" % n: n for n in range(20)})
        tries = await asyncio.gather(*(client.create(index=index, id="once", **lib.source({"n": n}))
                                       for n in range(10)), return_exceptions=True)
        (made,) = [n for n, each in enumerate(tries) if not isinstance(each, Exception)]
        assert sum(isinstance(each, lib.Conflict) for each in tries) == 9, tries
        expected["once"] = {"n": made}
        await client.delete(index=index, id="199")
        del expected["199"]
        await client.indices.refresh(index=index)
        found = {hit["_id"]: hit["_source"] async for hit in lib.helpers.async_scan(client, index=index, size=300)}
        assert found == {**expected, **more}
        assert lib.nodes(client) == [url], lib.nodes(client)


# ---- Tandem goes away and comes back ----

def retries(lib, url, prefix):
    """Four threads write each document until the client says that it is there."""
    client, index = lib.client(url, max_retries=5, retry_on_timeout=True, **lib.sniffing()), prefix + "-kept"
    written, failed, ended = {}, [], threading.Event()
    writers = [threading.Thread(target=write, args=(lib, client, index, number, written, failed, ended))
               for number in range(4)]
    for writer in writers:
        writer.start()
    watcher = threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True)
    watcher.start()
    while not ended.wait(0.1) and not failed:
        print("written", len(written), flush=True)
    ended.set()
    for writer in writers:
        writer.join()
    assert not failed, failed
    assert contents(lib, client, index) == written
    assert lib.nodes(client) == [url], lib.nodes(client)
    print("written", len(written), flush=True)


def write(lib, client, index, number, written, failed, ended):
    """In turn by index, create and a bulk of ten."""
    try:
        n = 0
        while not ended.is_set():
            id, source = "%d-%d" % (number, n), {"n": n}
            if n % 3 == 0:
                until_it_works(lib, lambda: client.index(index=index, id=id, **lib.source(source)))
            elif n % 3 == 1:
                create(lib, client, index, id, source)
            else:
                ten = {"%s-%d" % (id, k): {"n": n, "k": k} for k in range(10)}
                until_it_works(lib, lambda: lib.helpers.bulk(client, [{"_index": index, "_id": each, **source}
                                                                      for each, source in ten.items()]))
                written.update(ten)
                n += 1
                continue
            written[id] = source
            n += 1
    except Exception as error:
        failed.append(repr(error))


def create(lib, client, index, id, source):
    """A conflict is the trace of an earlier try whose answer was lost: nobody else has this id."""
    try:
        until_it_works(lib, lambda: client.create(index=index, id=id, **lib.source(source)))
    except lib.Conflict:
        assert until_it_works(lib, lambda: client.get(index=index, id=id))["_source"] == source


def until_it_works(lib, call):
    """As applications do: a while without Tandem is longer than the client tries by itself."""
    end_s = time.monotonic() + GIVE_UP_S
    while True:
        try:
            return call()
        except lib.Conflict:
            raise
        except lib.Failed as error:
            status = error.meta.status if hasattr(error, "meta") else getattr(error, "status_code", None)
            if isinstance(status, int) and status not in (502, 503, 504) or time.monotonic() > end_s:
                raise
            print("again", flush=True)
            time.sleep(0.05)


PARTS = {part.__name__: part for part in (documents, bulks, by_query, reading, sniffing, asynchronous,
                                              retries)}
PARTS["outage"] = retries


def main():
    client, engine, url, part = sys.argv[1:]
    PARTS[part](Library(client, engine), url, part)


if __name__ == "__main__":
    main()
