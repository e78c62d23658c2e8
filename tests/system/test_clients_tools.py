"""test_clients_tools.py - rsyslog's omelasticsearch writes through Tandem, and elasticdump copies an index through it.

SPDX-License-Identifier: Apache-2.0
"""

import os
import subprocess

import pytest

import clients
import processes
from shared import lines, must, shared_tandem

pytestmark = pytest.mark.long

# Each message has an id, and is created: what rsyslog sends again after a failure is not there twice.
RSYSLOG = """
global(workDirectory="FOLDER")
module(load="imfile")
module(load="omelasticsearch")
template(name="document" type="list" option.jsonf="on") {
    property(outname="host" name="hostname" format="jsonf")
    property(outname="message" name="msg" format="jsonf")
}
template(name="id" type="list") { property(name="msg" field.delimiter="32" field.number="2") }
template(name="index" type="string" string="logs-%programname%")
input(type="imfile" file="FOLDER/messages" tag="app" ruleset="out")
ruleset(name="again") { call out }
ruleset(name="out") {
    action(type="omelasticsearch" server="127.0.0.1" serverport="PORT" template="document"
           searchIndex="index" dynSearchIndex="on" searchType=""
           bulkmode="on" bulkid="id" dynbulkid="on" writeoperation="create"
           retryfailures="on" retryruleset="again" errorfile="FOLDER/errors"
           queue.type="LinkedList" queue.size="100000" queue.dequeueBatchSize="50"
           action.resumeRetryCount="-1" action.resumeInterval="1")
}
"""


@pytest.fixture(scope="module", params=["opensearch-2.19", "elasticsearch-7.10", "elasticsearch-8.8"])
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, kind=request.param)


@pytest.fixture
def rsyslog(tandem):
    """rsyslogd with a configuration of its own, which reads a file; (its folder, the file)."""
    program = clients.rsyslog()
    folder = os.path.join(tandem.folder, "rsyslog")
    os.makedirs(folder)
    config = RSYSLOG.replace("FOLDER", folder).replace("PORT", tandem.url.rsplit(":", 1)[1])
    with open(os.path.join(folder, "rsyslog.conf"), "w") as file:
        file.write(config)
    child = processes.spawn([program, "-n", "-f", file.name, "-i", os.path.join(folder, "pid")],
                            os.path.join(folder, "rsyslog.log"))
    with open(os.path.join(folder, "messages"), "w", buffering=1) as messages:
        yield folder, messages
    processes.end(child)


def stored(url, index):
    must(url, "POST", "/%s/_refresh?ignore_unavailable=true" % index)
    return must(url, "GET", "/%s/_count?ignore_unavailable=true" % index)["count"]


def test_every_message_of_rsyslog_is_there_once_though_the_proxy_is_killed(tandem, rsyslog):
    folder, messages = rsyslog
    sent = cut_off = 0
    for _ in range(3):
        for sent in range(sent + 1, sent + 1001):
            messages.write("message %d of an application\n" % sent)
        # In the midst of it, as soon as some have arrived.
        processes.wait_until(lambda: stored(tandem.primary.url, "logs-app") > sent - 1000, 60, "messages arrive")
        tandem.proxy.kill9()
        cut_off += stored(tandem.primary.url, "logs-app") < sent
        tandem.proxy.start()
    assert cut_off > 0, "rsyslog was always done before the proxy was killed"
    processes.wait_until(lambda: stored(tandem.primary.url, "logs-app") == sent, 60, "all messages are there")
    found = must(tandem.url, "GET", "/logs-app/_search?size=%d" % sent)["hits"]["hits"]
    assert {hit["_id"]: hit["_source"]["message"] for hit in found} == {
        str(n): "message %d of an application" % n for n in range(1, sent + 1)}
    tandem.wait_equal()
    assert stored(tandem.standby.url, "logs-app") == sent


def elasticdump(tandem, source, target, kind):
    environment = clients.node_environment()
    program = os.path.join(environment["NODE_PATH"], ".bin", "elasticdump")
    done = subprocess.run([program, "--input=" + source, "--output=" + target, "--type=" + kind], capture_output=True,
                          text=True, timeout=200, env=dict(os.environ, **environment))
    assert done.returncode == 0 and "dump complete" in done.stdout.lower(), done
    return done.stdout


def documents(url, index):
    must(url, "POST", "/%s/_refresh" % index)
    found = must(url, "GET", "/%s/_search?size=10000" % index)["hits"]["hits"]
    return {hit["_id"]: (hit.get("_routing"), hit["_source"]) for hit in found}


def test_elasticdump_takes_an_index_out_and_in_and_across(tandem):
    fields = {"n": {"type": "long"}, "name": {"type": "keyword"}}
    must(tandem.url, "PUT", "/books", {"settings": {"number_of_shards": 2}, "aliases": {"novels": {}},
                                       "mappings": {"properties": fields}})
    body = "".join(lines({"index": {"_id": "b%d" % n, **({"routing": "r"} if n % 7 == 0 else {})}},
                         {"n": n, "name": "Bücher %d" % n}) for n in range(1500))
    assert not must(tandem.url, "POST", "/books/_bulk", body, {"Content-Type": "application/x-ndjson"})["errors"]
    expected = documents(tandem.url, "books")
    assert len(expected) == 1500
    through = tandem.url + "/"
    for kind in ("settings", "mapping", "data", "alias"):
        path = os.path.join(tandem.folder, "books-%s.json" % kind)
        elasticdump(tandem, through + "books", path, kind)
        elasticdump(tandem, path, through + ("copied" if kind != "alias" else ""), kind)
    elasticdump(tandem, through + "books", through + "across", "data")
    for index in ("copied", "across"):
        assert documents(tandem.url, index) == expected
    mapping = must(tandem.url, "GET", "/copied/_mapping")["copied"]["mappings"]["properties"]
    assert mapping == fields
    tandem.wait_equal()
    assert documents(tandem.standby.url, "across") == expected
