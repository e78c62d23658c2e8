"""test_clients_tools.py - rsyslog's omelasticsearch writes through Tandem, and elasticdump copies an index through it.

SPDX-License-Identifier: Apache-2.0
"""

import os
import subprocess

import pytest

import clients
import processes
from shared import lines, must, shared_tandem
from tandem import request

pytestmark = pytest.mark.long

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
input(type="imfile" file="FOLDER/messages" tag="PROGRAM" ruleset="out")
ruleset(name="again") { call out }
ruleset(name="out") {
    action(type="omelasticsearch" server="127.0.0.1" serverport="PORT" template="document"
           searchIndex="index" dynSearchIndex="on" searchType="" errorfile="FOLDER/errors"
           queue.type="LinkedList" queue.size="100000" queue.dequeueBatchSize="50"
           action.resumeRetryCount="-1" action.resumeInterval="1"
           MORE)
}
"""
# Each message has an id, and is created: what rsyslog sends again after a failure is not there twice.
ONCE = """bulkmode="on" bulkid="id" dynbulkid="on" writeoperation="create" retryfailures="on" retryruleset="again\""""


@pytest.fixture(scope="module", params=["opensearch-2.19", "elasticsearch-7.10", "elasticsearch-8.8"])
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, kind=request.param)


@pytest.fixture
def rsyslog(tandem):
    """Starts rsyslogd with more settings of its action; returns the file that it reads for a program."""
    started = []

    def start(program, more):
        folder = os.path.join(tandem.folder, "rsyslog-" + program)
        os.makedirs(folder)
        config = RSYSLOG.replace("FOLDER", folder).replace("PORT", tandem.url.rsplit(":", 1)[1])
        with open(os.path.join(folder, "rsyslog.conf"), "w") as file:
            file.write(config.replace("PROGRAM", program).replace("MORE", more))
        messages = open(os.path.join(folder, "messages"), "w", buffering=1)
        child = processes.spawn([clients.rsyslog(), "-n", "-f", file.name, "-i", os.path.join(folder, "pid")],
                                os.path.join(folder, "rsyslog.log"))
        started.append((child, messages))
        return messages
    yield start
    for child, messages in started:
        processes.end(child)
        messages.close()


def stored(url, index):
    """How many documents; none of an index that is not there, or just being made."""
    request(url, "POST", "/%s/_refresh" % index)
    answer = request(url, "GET", "/%s/_count" % index)
    return answer.json()["count"] if answer.status == 200 else 0


def write_through_kills(tandem, messages, index, count):
    """Three times COUNT messages; each time the proxy is killed as soon as some have arrived. How many there are."""
    sent = cut_off = 0
    for _ in range(3):
        for sent in range(sent + 1, sent + count + 1):
            messages.write("message %d of an application\n" % sent)
        processes.wait_until(lambda: stored(tandem.primary.url, index) > sent - count, 60, "messages arrive")
        tandem.proxy.kill9()
        cut_off += stored(tandem.primary.url, index) < sent
        tandem.proxy.start()
    assert cut_off > 0, "rsyslog was always done before the proxy was killed"
    return sent


def found(url, index):
    must(url, "POST", "/%s/_refresh" % index)
    return must(url, "GET", "/%s/_search?size=10000" % index)["hits"]["hits"]


def test_every_message_of_rsyslog_is_there_once_though_the_proxy_is_killed(tandem, rsyslog):
    sent = write_through_kills(tandem, rsyslog("once", ONCE), "logs-once", 1000)
    processes.wait_until(lambda: stored(tandem.primary.url, "logs-once") == sent, 60, "all messages are there")
    assert {hit["_id"]: hit["_source"]["message"] for hit in found(tandem.url, "logs-once")} == {
        str(n): "message %d of an application" % n for n in range(1, sent + 1)}
    tandem.wait_equal()
    assert stored(tandem.standby.url, "logs-once") == sent


def test_no_message_of_rsyslog_is_lost_without_ids_either(tandem, rsyslog):
    """One request for each message, the engine's ids: what it sends again may be there twice."""
    sent = write_through_kills(tandem, rsyslog("plain", ""), "logs-plain", 200)
    wanted = {"message %d of an application" % n for n in range(1, sent + 1)}
    processes.wait_until(lambda: {hit["_source"]["message"] for hit in found(tandem.url, "logs-plain")} == wanted, 60,
                         "all messages are there")
    assert stored(tandem.primary.url, "logs-plain") <= sent + 3
    tandem.wait_equal()


def elasticdump(source, target, kind, *more):
    environment = clients.node_environment()
    program = os.path.join(environment["NODE_PATH"], ".bin", "elasticdump")
    done = subprocess.run([program, "--input=" + source, "--output=" + target, "--type=" + kind, *more],
                          capture_output=True, text=True, timeout=200, env=dict(os.environ, **environment))
    assert done.returncode == 0 and "dump complete" in done.stdout.lower(), done


def documents(url, index):
    return {hit["_id"]: (hit.get("_routing"), hit["_source"]) for hit in found(url, index)}


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
        elasticdump(through + "books", path, kind)
        elasticdump(path, through + ("copied" if kind != "alias" else ""), kind)
    elasticdump(through + "books", through + "across", "data")
    for index in ("copied", "across"):
        assert documents(tandem.url, index) == expected
    mapping = must(tandem.url, "GET", "/copied/_mapping")["copied"]["mappings"]["properties"]
    assert mapping == fields
    elasticdump(through + "across", through + "moved", "data", "--delete")
    assert documents(tandem.url, "moved") == expected and stored(tandem.url, "across") == 0
    tandem.wait_equal()
    assert documents(tandem.standby.url, "moved") == expected
