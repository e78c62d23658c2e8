"""test_doubt.py - writes whose answer is lost, late, broken or wrong: what the client is told, what the standby gets.

Each test makes the scripted primary misbehave towards the requests of one index. What must hold every
time: status and X-Tandem-Outcome promise no more than is true, nothing is issued twice, no intent
stays open, and primary and standby end equal.

SPDX-License-Identifier: Apache-2.0
"""

import http.client
import itertools
import json
import socket
import threading
import time

import pytest

from processes import wait_until
from scripted import FREES, SOON_S, applied, connections, memory, new_name, scripted_tandem, shared_fixtures, source, writes
from shared import lines

shared, tandem, index = shared_fixtures()


@pytest.fixture
def alone(request, run_folder):
    yield from scripted_tandem(request, run_folder)


class Write:
    """One write of each kind, to a document of its own: `before` is there first, `after` is left."""

    def __init__(self, kind, method, path, body, before, after, status):
        self.kind, self.method, self.path, self.body = kind, method, path, body
        self.before, self.after, self.status = before, after, status

    def prepare(self, tandem, index):
        if self.before is not None:
            tandem.put(index, self.kind, self.before)

    def send(self, tandem, index, **options):
        return tandem.request(self.method, "/" + index + self.path, self.body, **options)


WRITES = [
    Write("index", "PUT", "/_doc/index", {"n": 2}, {"n": 1}, {"n": 2}, 200),
    Write("create", "PUT", "/_create/create", {"n": 2}, None, {"n": 2}, 201),
    Write("update", "POST", "/_update/update", {"doc": {"n": 2}}, {"n": 1}, {"n": 2}, 200),
    Write("delete", "DELETE", "/_doc/delete", None, {"n": 1}, None, 200),
    Write("bulk", "POST", "/_bulk", lines({"index": {"_id": "bulk"}}, {"n": 2}), {"n": 1}, {"n": 2}, 200),
]
PATHS = ("/_doc", "/_create", "/_update", "/_bulk")


def fault(fake, index, action, **rule):
    """FAULT for everything that writes documents of INDEX; not for what Tandem itself asks."""
    for path in PATHS:
        fake.fault(action, **dict({"prefix": "/" + index + path, "count": 0}, **rule))


def prepare(tandem, index):
    for write in WRITES:
        write.prepare(tandem, index)
    tandem.wait_caught_up()
    tandem.a.clear_log()


def settled(tandem, *indices):
    """Everything is found out and replayed, and equal."""
    wait_until(lambda: tandem.proxy.status()["open_intents"] == 0, SOON_S, "no intent is open")
    tandem.equal(*indices)


def check(tandem, index, executed, kinds=None):
    """After WRITES: each was issued once, had its effect or had none, and is so on the standby."""
    chosen = [write for write in WRITES if kinds is None or write.kind in kinds]
    tandem.a.clear_faults()
    settled(tandem, index)
    assert writes(tandem.a, index) == len(chosen), tandem.a.log()["requests"]
    done = applied(tandem.a, index)
    assert sorted(entry["id"] for entry in done) == sorted(
        write.kind for write in chosen if executed), done
    for write in chosen:
        expected = write.after if executed else write.before
        assert source(tandem.b, index, write.kind) == expected, write.kind


def negative(tandem, index, id, part=""):
    """The journal says of ID that it is not there, and nothing else; at each look anew."""
    rows = tandem.rows(index, id)
    assert rows and all(" delete " in row and " negative" in row and part in row for row in rows), rows


def metric(tandem, name):
    (line,) = [line for line in tandem.proxy.metrics().splitlines() if line.startswith("tandem_%s " % name)]
    return int(line.split()[1])


def told(answer, status, outcome):
    assert (answer.status, answer.headers.get("x-tandem-outcome")) == (status, outcome), answer
    assert (outcome == "applied") == ("x-tandem-seq" in answer.headers), answer


# --- no answer, or none that can be read: 504, unknown --------------------------------------------

@pytest.mark.parametrize("action,executed", [
    ("hang", False), ("hang", True), ("reset_before", False), ("reset_after", True), ("close_before", False),
    ("half_answer", True), ("truncated", True), ("oversized", True), ("garbage", True),
    ("flood_1xx", True), ("two_framings", True)])
def test_a_write_without_an_answer_is_unknown_and_found_out(tandem, index, action, executed):
    prepare(tandem, index)
    fault(tandem.a, index, action, execute=executed)
    for write in WRITES:
        answer = write.send(tandem, index)
        assert answer.status in (502, 504), answer
        told(answer, answer.status, "unknown")
    check(tandem, index, executed)
    if not executed:
        # A row that says what is not there lies above all that was there before.
        negative(tandem, index, "create")
    # The connections are gone: nothing of those answers reaches a request behind them.
    for write in WRITES:
        got = tandem.request("GET", "/%s/_doc/%s" % (index, write.kind)).json()
        assert got["_id"] == write.kind, got


def test_what_hangs_keeps_neither_memory_nor_connections(tandem, index):
    count = 60
    fault(tandem.a, index, "hang")

    def send(n, answers):
        answers.append(tandem.request("PUT", "/%s/_doc/%d" % (index, n), {"text": "x" * 500_000}))

    def round():
        answers = []
        threads = [threading.Thread(target=send, args=(n, answers)) for n in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(answers) == count
        for answer in answers:
            told(answer, 504, "unknown")
        wait_until(lambda: "tandem_body_bytes 0" in tandem.proxy.metrics(), SOON_S, "no body is kept")
        return memory(tandem.proxy)
    first = round()
    assert round() - first < 20 << 20  # 30 MB went through
    tandem.a.clear_faults()
    settled(tandem, index)
    wait_until(lambda: connections(tandem.a) < 10, SOON_S, "the connections that hung are gone")


@pytest.fixture
def patient(request, run_folder):
    """Gives up late enough for another client to be served meanwhile."""
    yield from scripted_tandem(request, run_folder, {"primary.answer_timeout": "2s"})


@pytest.mark.parametrize("path,body", [("/_doc/x", {"n": 1}), ("/_bulk", lines({"index": {"_id": "x"}}, {"n": 1}))])
def test_an_answer_that_drips_is_given_up_in_bounded_time(patient, path, body):
    """Each byte comes in time, all of them never would: the intent does not stay open for that long."""
    index = patient.index("books")
    patient.a.fault("drip", part="body", interval_ms=400, prefix="/" + index + path)
    answers, begun = [], time.monotonic()
    thread = threading.Thread(target=lambda: answers.append(patient.request("POST", "/" + index + path, body)))
    thread.start()
    wait_until(lambda: patient.a.faults()[0]["fired"], SOON_S, "it drips")
    patient.put(index, "other", {"n": 1})
    assert thread.is_alive() and patient.proxy.status()["open_intents"] == 1
    thread.join()
    assert time.monotonic() - begun < 15  # at this pace the whole answer takes more than a minute
    told(answers[0], 504, "unknown")
    settled(patient, index)
    assert source(patient.b, index, "x") == {"n": 1}
    assert [entry["id"] for entry in applied(patient.a, index)] == ["x", "other"]


# --- an answer of 5xx: passed on, unknown ---------------------------------------------------------

@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("action,executed", [("status", False), ("execute_then_status", True)])
def test_a_5xx_is_passed_on_and_unknown(tandem, index, status, action, executed):
    prepare(tandem, index)
    fault(tandem.a, index, action, status=status)
    for write in WRITES:
        answer = write.send(tandem, index)
        told(answer, status, "unknown")
        assert answer.json()["error"]["reason"] == "scripted"
    check(tandem, index, executed)


TIMED_OUT = ["timeout_exception", "process_cluster_event_timeout_exception", "receive_timeout_transport_exception"]


@pytest.mark.parametrize("type", TIMED_OUT)
@pytest.mark.parametrize("executed", [False, True])
def test_a_time_out_is_unknown_where_it_says_429(tandem, index, type, executed):
    """Elasticsearch since 9.0."""
    kinds = [write.kind for write in WRITES if write.kind != "bulk"]  # of that, the items say it
    prepare(tandem, index)
    fault(tandem.a, index, "execute_then_status" if executed else "status", status=429, type=type)
    for write in WRITES[:-1]:
        told(write.send(tandem, index), 429, "unknown")
    check(tandem, index, executed, kinds)


def test_a_definition_that_timed_out_is_unknown_where_it_says_429(tandem, index):
    tandem.a.fault("execute_then_status", status=429, type=TIMED_OUT[1], method="PUT", prefix="/%s/_mapping" % index)
    answer = tandem.request("PUT", "/%s/_mapping" % index, {"properties": {"n": {"type": "byte"}}})
    assert (answer.status, answer.headers.get("x-tandem-outcome")) == (429, "unknown"), answer
    tandem.put(index, "x", {"n": 1})
    settled(tandem, index)


@pytest.mark.parametrize("action", ["late", "hang"])
def test_a_write_that_is_executed_after_the_answer_is_found_by_the_watch_list(tandem, index, action):
    prepare(tandem, index)
    # Looked at at once and after a second: between the two.
    fault(tandem.a, index, action, status=500, delay_ms=700 if action == "hang" else 300, execute=True)
    for write in WRITES:
        told(write.send(tandem, index), 504 if action == "hang" else 500, "unknown")
    tandem.a.clear_faults()
    for write in WRITES:
        wait_until(lambda: source(tandem.a, index, write.kind) == write.after, 5, "it was executed")
        wait_until(lambda: source(tandem.b, index, write.kind) == write.after, 5, "the standby has it")
    check(tandem, index, True)


def test_a_write_that_is_executed_seconds_later_is_found_too(tandem, index):
    """By the probe after ten seconds; a newer write to the same id is not undone by it."""
    prepare(tandem, index)
    fault(tandem.a, index, "late", status=500, delay_ms=2500)
    for write in WRITES:
        told(write.send(tandem, index), 500, "unknown")
    tandem.a.clear_faults()
    tandem.put(index, "beside", {"n": 1})
    wait_until(lambda: source(tandem.a, index, "bulk") == {"n": 2}, 10, "it was executed")
    tandem.put(index, "index", {"n": 3})
    for write in WRITES[1:]:
        wait_until(lambda: source(tandem.b, index, write.kind) == write.after, 25, "the standby has it")
    settled(tandem, index)
    assert source(tandem.b, index, "index") == {"n": 3}
    assert writes(tandem.a, index) == len(WRITES) + 2


def test_a_primary_that_dies_is_asked_again_under_its_new_term(tandem, index):
    prepare(tandem, index)
    fault(tandem.a, index, "hang")
    answers = {}

    def send(write):
        answers[write.kind] = write.send(tandem, index)
    threads = [threading.Thread(target=send, args=(write,)) for write in WRITES]
    for thread in threads:
        thread.start()
    wait_until(lambda: writes(tandem.a, index) == len(WRITES), SOON_S, "all are with the primary")
    tandem.a.restart()
    for thread in threads:
        thread.join()
    for answer in answers.values():
        told(answer, 504, "unknown")
    check(tandem, index, False)
    negative(tandem, index, "create", " term=2 ")


def asked(tandem, part):
    return sum(part in entry["target"] for entry in tandem.a.log()["requests"])


def test_another_term_behind_the_reading_proves_nothing(tandem, index):
    tandem.a.clear_log()
    other = {"metadata": {"indices": {index: {"primary_terms": {"0": 7}}}}}
    tandem.a.fault("status", status=200, contains="primary_terms", prefix="/_cluster/state/metadata/" + index,
                   nth=2, count=2, body=json.dumps(other))
    tandem.a.fault("reset_before", method="PUT", prefix="/%s/_doc/new" % index)
    told(tandem.request("PUT", "/%s/_doc/new" % index, {"n": 1}), 504, "unknown")
    settled(tandem, index)
    # Terms 1 and then 7, which does not fit; again 7 and then 1; then 1 twice.
    assert asked(tandem, "primary_terms") >= 6 and asked(tandem, "/_mget") >= 3
    negative(tandem, index, "new", " term=1 ")


def test_a_primary_that_dies_while_it_is_asked(tandem, index):
    tandem.put(index, "old", {"n": 1})
    tandem.a.fault("delay", method="POST", prefix="/_mget", body_contains=index, delay_ms=400)
    tandem.a.fault("reset_before", method="PUT", prefix="/%s/_doc/new" % index)
    told(tandem.request("PUT", "/%s/_doc/new" % index, {"n": 1}), 504, "unknown")
    wait_until(lambda: any(each["action"] == "delay" and each["fired"] for each in tandem.a.faults()),
               SOON_S, "it is being asked")
    tandem.a.restart()
    settled(tandem, index)
    negative(tandem, index, "new", " term=2 ")


def behind(index, max_seq_no, global_checkpoint):
    """What a primary copy says whose replicas have not all answered yet."""
    numbers = {"max_seq_no": max_seq_no, "local_checkpoint": max_seq_no, "global_checkpoint": global_checkpoint}
    return json.dumps({"indices": {index: {"shards": {"0": [
        {"routing": {"state": "STARTED", "primary": True, "node": "n"}, "seq_no": numbers}]}}}})


@pytest.mark.parametrize("action", ["reset_before", "reset_after"])
def test_nothing_is_journaled_before_the_global_checkpoint_has_come_up(alone, action):
    """A replica may answer the reading: it must have all that the primary copy had when it was asked."""
    tandem = alone  # what other tests left on the watch list would be read too
    index = tandem.index("books")
    tandem.put(index, "old", {"n": 1})
    top = 0 if action == "reset_before" else 1  # of the numbers that the primary copy has given
    stats = {"prefix": "/" + index, "contains": "/_stats", "status": 200}
    tandem.a.fault("status", count=0, body=behind(index, top, top - 1), **stats)
    tandem.a.fault(action, method="PUT", prefix="/%s/_doc/new" % index)
    tandem.a.clear_log()
    told(tandem.request("PUT", "/%s/_doc/new" % index, {"n": 1}), 504, "unknown")
    wait_until(lambda: asked(tandem, "/_stats") >= 5, SOON_S, "it is asked again and again")
    assert tandem.rows(index, "new") == [] and asked(tandem, "/_mget") == 0
    assert tandem.proxy.status()["open_intents"] == 1
    # Later writes raise the numbers; what counts is the first that was heard.
    tandem.a.clear_faults()
    tandem.a.fault("status", count=0, body=behind(index, top + 9, top), **stats)
    wait_until(lambda: tandem.rows(index, "new"), SOON_S, "it is read")
    assert asked(tandem, "/_mget") >= 1
    (row,) = tandem.rows(index, "new")
    assert (" seq_no=%d " % top if action == "reset_after" else " seq_no=%d negative" % top) in row + " ", row
    settled(tandem, index)
    assert source(tandem.b, index, "new") == (None if action == "reset_before" else {"n": 1})


def test_a_probe_that_reads_something_older_is_not_believed_and_asked_again(tandem, index):
    """The watch list's second look, answered by a copy that has not heard of the write it found at first."""
    tandem.put(index, "x", {"n": 1})
    tandem.a.fault("reset_after", method="PUT", prefix="/%s/_doc/x" % index)
    captures(tandem, index, status=200, body=stale(index), nth=2, count=3)

    def seen():
        return tandem.a.faults()[1]["seen"]
    told(tandem.request("PUT", "/%s/_doc/x" % index, {"n": 2}), 504, "unknown")
    # The first look, three that are stale, and the one that is believed: not only after ten seconds each.
    wait_until(lambda: seen() >= 5, 9, "it is asked again at once")
    rows = tandem.rows(index, "x")
    assert len(rows) == 2 and " seq_no=1 " in rows[1], rows
    settled(tandem, index)
    assert source(tandem.b, index, "x") == {"n": 2}
    assert tandem.rows(index, "x") == rows


# --- 409 after applying ---------------------------------------------------------------------------

def conflict(tandem, index, method, path, body):
    """The cluster applied it, lost its own answer, tried again, and found the document there."""
    tandem.a.fault("execute_then_status", status=409, method=method, prefix="/" + index)
    return tandem.request(method, "/" + index + path, body)


def test_a_create_that_conflicts_with_its_own_first_try_is_on_the_standby(tandem, index):
    answer = conflict(tandem, index, "PUT", "/_create/x", {"n": 1})
    told(answer, 409, "unknown")
    assert answer.json()["error"]["type"] == "version_conflict_engine_exception"
    wait_until(lambda: source(tandem.b, index, "x") == {"n": 1}, SOON_S, "the watch list found it")
    settled(tandem, index)


@pytest.mark.parametrize("method,path,body,left", [
    ("PUT", "/_doc/x?if_seq_no=0&if_primary_term=1", {"n": 2}, {"n": 2}),
    ("DELETE", "/_doc/x?if_seq_no=0&if_primary_term=1", None, None),
    ("POST", "/_update/x?if_seq_no=0&if_primary_term=1", {"doc": {"n": 2}}, {"n": 2})])
def test_a_condition_that_fails_after_its_own_first_try(tandem, index, method, path, body, left):
    tandem.put(index, "x", {"n": 1})
    told(conflict(tandem, index, method, path, body), 409, "unknown")
    wait_until(lambda: source(tandem.b, index, "x") == left, SOON_S, "the watch list found it")
    settled(tandem, index)


@pytest.mark.parametrize("kind", ["update", "bulk"])
def test_a_script_that_deletes_and_then_finds_nothing(tandem, index, kind):
    """Its own first try deleted the document; that it was not applied would be a lie."""
    tandem.put(index, "x", {"n": 1})
    script = {"script": {"source": "ctx.op = 'delete'"}}
    error = {"type": "document_missing_exception", "reason": "scripted"}
    if kind == "update":
        tandem.a.fault("execute_then_status", status=404, type=error["type"], prefix="/%s/_update" % index)
        answer = tandem.request("POST", "/%s/_update/x" % index, script)
        assert answer.status == 404, answer
    else:
        items = {"took": 1, "errors": True, "items": [
            {"update": {"_index": index, "_id": "x", "status": 404, "error": error}}]}
        tandem.a.fault("execute_then_status", status=200, body=json.dumps(items), prefix="/%s/_bulk" % index)
        answer = tandem.request("POST", "/%s/_bulk" % index, lines({"update": {"_id": "x"}}, script))
    assert source(tandem.a, index, "x") is None
    wait_until(lambda: source(tandem.b, index, "x") is None, SOON_S, "the watch list found it")
    settled(tandem, index)
    assert answer.headers["x-tandem-outcome"] == "unknown", answer


def test_a_true_conflict_changes_nothing(tandem, index):
    tandem.put(index, "x", {"n": 1})
    answer = tandem.request("PUT", "/%s/_create/x" % index, {"n": 2})
    told(answer, 409, "unknown")
    settled(tandem, index)
    assert source(tandem.b, index, "x") == {"n": 1}


@pytest.mark.parametrize("path", ["/_doc", "/_doc?refresh=true", "/_doc?filter_path=_id,result,_seq_no"])
def test_a_conflict_with_an_id_of_ours_is_the_first_try(tandem, index, path):
    tandem.a.fault("execute_then_status", status=409, prefix="/" + index)
    answer = tandem.request("POST", "/" + index + path, {"n": 1})
    told(answer, 201, "applied")
    body = answer.json()
    (done,) = applied(tandem.a, index)
    assert (body["_id"], body["result"], body["_seq_no"]) == (done["id"], "created", done["seq_no"])
    settled(tandem, index)
    assert source(tandem.b, index, body["_id"]) == {"n": 1}


def test_a_bulk_item_with_an_id_of_ours_that_conflicts_is_the_first_try(tandem, index):
    items = {"took": 1, "errors": True, "items": [
        {"create": {"_index": index, "status": 409, "error": {
            "type": "version_conflict_engine_exception", "reason": "scripted"}}}]}
    tandem.a.fault("execute_then_status", status=200, body=json.dumps(items), prefix="/%s/_bulk" % index)
    answer = tandem.request("POST", "/%s/_bulk" % index, lines({"index": {}}, {"n": 1}))
    told(answer, 200, "applied")
    (done,) = applied(tandem.a, index)
    body = answer.json()
    assert body["errors"] is False and body["items"][0]["index"]["status"] == 201, body
    assert body["items"][0]["index"]["_id"] == done["id"], body
    settled(tandem, index)
    assert source(tandem.b, index, done["id"]) == {"n": 1}


# --- bulks ----------------------------------------------------------------------------------------

def bulk(index, *ids):
    return lines(*itertools.chain.from_iterable(
        ({"index": {"_index": index, "_id": id}}, {"id": id}) for id in ids))


@pytest.mark.parametrize("status", [500, 503])
def test_a_bulk_lists_the_items_it_knows_nothing_of(tandem, index, status):
    tandem.a.fault("item_status", status=status, item='"_id": "lost', prefix="/_bulk")
    answer = tandem.request("POST", "/_bulk", bulk(index, "a", "lost1", "b", "lost2"))
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (200, "unknown"), answer
    assert answer.headers["x-tandem-unknown-items"] == "1,3", answer
    assert "x-tandem-seq" in answer.headers  # of those that are certain
    assert [item["index"]["status"] for item in answer.json()["items"]] == [201, status, 201, status]
    settled(tandem, index)
    assert " negative" in tandem.rows(index, "lost1")[-1]
    assert source(tandem.b, index, "b") == {"id": "b"}
    assert [entry["id"] for entry in applied(tandem.a, index)] == ["a", "b"]


def test_an_item_refused_for_lack_of_room_is_not_replayed(tandem, index):
    tandem.a.fault("item_status", status=429, item='"_id": "full"', prefix="/_bulk")
    answer = tandem.request("POST", "/_bulk", bulk(index, "a", "full", "b"))
    told(answer, 200, "applied")
    assert "x-tandem-unknown-items" not in answer.headers
    settled(tandem, index)
    assert tandem.rows(index, "full") == []
    assert source(tandem.b, index, "full") is None


def test_an_answer_with_other_items_than_the_bulk_is_all_in_doubt(tandem, index):
    items = {"took": 1, "errors": False, "items": [
        {"index": {"_index": index, "_id": "a", "_version": 1, "result": "created", "_seq_no": 0,
                   "_primary_term": 1, "status": 201}}]}
    tandem.a.fault("execute_then_status", status=200, body=json.dumps(items), prefix="/_bulk")
    answer = tandem.request("POST", "/_bulk", bulk(index, "a", "b"))
    assert answer.headers["x-tandem-outcome"] == "unknown", answer
    settled(tandem, index)
    assert source(tandem.b, index, "b") == {"id": "b"}


# --- certain answers ------------------------------------------------------------------------------

def test_a_429_is_a_failure_and_not_replayed(tandem, index):
    prepare(tandem, index)
    fault(tandem.a, index, "status", status=429)
    for write in WRITES:
        told(write.send(tandem, index), 429, "not-applied")
    check(tandem, index, False)
    assert tandem.rows(index, "create") == []


def test_an_answer_before_the_end_of_the_body(tandem, index):
    tandem.a.fault("early", status=413, prefix="/%s/_doc/big" % index)
    answer = tandem.request("PUT", "/%s/_doc/big" % index, {"text": "x" * 20_000_000})
    told(answer, 413, "not-applied")
    for n in range(5):
        tandem.put(index, "small%d" % n, {"n": n})
    settled(tandem, index)
    assert source(tandem.b, index, "big") is None


@pytest.mark.parametrize("action", ["extra", "close_after", "chunked", "until_close", "drip"])
def test_a_good_answer_in_an_odd_form_is_taken(tandem, index, action):
    prepare(tandem, index)
    fault(tandem.a, index, action, interval_ms=1)
    for write in WRITES:
        answer = write.send(tandem, index)
        told(answer, write.status, "applied")
        if write.kind != "bulk":
            assert answer.json()["_id"] == write.kind
    check(tandem, index, True)


def test_failed_replicas_count_as_applied(tandem, index):
    body = {"_index": index, "_id": "x", "_version": 1, "result": "created",
            "_shards": {"total": 2, "successful": 1, "failed": 1,
                        "failures": [{"_index": index, "_shard": 0, "status": "INTERNAL_SERVER_ERROR"}]},
            "_seq_no": 0, "_primary_term": 1}
    tandem.a.fault("execute_then_status", status=201, body=json.dumps(body), prefix="/" + index)
    before = metric(tandem, "copies_failed_total")
    answer = tandem.request("PUT", "/%s/_doc/x" % index, {"n": 1})
    told(answer, 201, "applied")
    assert answer.json() == body
    settled(tandem, index)
    (row,) = tandem.rows(index, "x")
    assert " answered" in row, row
    assert source(tandem.b, index, "x") == {"n": 1}
    assert metric(tandem, "copies_failed_total") == before + 1
    shown = [each for each in tandem.proxy.status()["problems"] if "_shards.failed" in each["text"]]
    assert [each["level"] for each in shown] == ["warning"], shown
    assert "_shards.failed" in tandem.ctl("status", check=False)


def test_items_of_a_bulk_with_failed_replicas_are_counted_each(tandem, index):
    def item(id, number, failed):
        return {"index": {"_index": index, "_id": id, "_version": 1, "result": "created", "_seq_no": number,
                          "_shards": {"total": 2, "successful": 2 - failed, "failed": failed},
                          "_primary_term": 1, "status": 201}}
    items = [item("a", 0, 1), item("b", 1, 0), item("c", 2, 1)]
    tandem.a.fault("execute_then_status", status=200, prefix="/_bulk",
                   body=json.dumps({"took": 1, "errors": False, "items": items}))
    before = metric(tandem, "copies_failed_total")
    told(tandem.request("POST", "/_bulk", bulk(index, "a", "b", "c")), 200, "applied")
    assert metric(tandem, "copies_failed_total") == before + 2
    settled(tandem, index)


def test_a_success_without_numbers_is_not_promised(tandem, index):
    tandem.a.fault("execute_then_status", status=201, body='{"result":"created"}', prefix="/" + index)
    answer = tandem.request("PUT", "/%s/_doc/x" % index, {"n": 1})
    told(answer, 201, "unknown")
    settled(tandem, index)
    assert source(tandem.b, index, "x") == {"n": 1}


# --- documents that are read back -----------------------------------------------------------------

@pytest.fixture
def piped(tandem):
    answer = tandem.request("PUT", "/_ingest/pipeline/mark", {
        "processors": [{"set": {"field": "marked", "value": True}}]})
    assert answer.status == 200, answer
    return tandem.index(new_name("piped"), **{"index.default_pipeline": "mark"})


def stale(index, **members):
    return json.dumps({"docs": [dict({"_index": index, "_id": "x", "found": True, "_version": 1, "_seq_no": 0,
                                      "_primary_term": 1, "_source": {"stale": True}}, **members)]})


def captures(tandem, index, **rule):
    tandem.a.fault(rule.pop("action", "status"), method="POST", prefix="/_mget", body_contains=index, **rule)


@pytest.mark.parametrize("rule", [
    {"status": 200}, {"status": 503}, {"action": "garbage"}, {"action": "reset_before"},
    {"status": 200, "body": '{"docs":[{"_index":"i","_id":"x","error":{"type":"no_shard_available"}}]}'}])
def test_a_capture_that_answers_with_something_older_is_asked_again(tandem, piped, rule):
    tandem.put(piped, "x", {"n": 1})
    captures(tandem, piped, **dict({"body": stale(piped), "count": 3}, **rule))
    answer = tandem.request("PUT", "/%s/_doc/x" % piped, {"n": 2})
    told(answer, 200, "applied")
    settled(tandem, piped)
    assert source(tandem.b, piped, "x") == {"n": 2, "marked": True}


def test_a_capture_that_never_answers_with_it_is_in_doubt(tandem, piped):
    tandem.put(piped, "x", {"n": 1})
    captures(tandem, piped, status=200, body=stale(piped), count=8)
    answer = tandem.request("PUT", "/%s/_doc/x" % piped, {"n": 2})
    told(answer, 200, "unknown")
    settled(tandem, piped)
    assert source(tandem.b, piped, "x") == {"n": 2, "marked": True}


def test_a_document_deleted_before_it_could_be_read_back(tandem, piped):
    """The capture finds nothing; a negative row has the answer's numbers, and the delete is above it."""
    captures(tandem, piped, action="delay", delay_ms=400)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(
        tandem.request("PUT", "/%s/_doc/x" % piped, {"n": 1})))
    thread.start()
    wait_until(lambda: any(each["fired"] for each in tandem.a.faults()), SOON_S, "it is being read back")
    told(tandem.request("DELETE", "/%s/_doc/x" % piped), 200, "applied")
    thread.join()
    assert answers[0].status == 201 and answers[0].headers["x-tandem-outcome"] == "applied", answers
    settled(tandem, piped)
    assert source(tandem.b, piped, "x") is None
    rows = tandem.rows(piped, "x")
    assert any(" seq_no=0 negative" in row for row in rows) and any(" seq_no=1 answered" in row for row in rows), rows


# --- what can't be probed -------------------------------------------------------------------------

def marks(tandem):
    return sum(" mark " in record for record in tandem.records())


def test_a_shard_without_a_primary_keeps_its_intents_open(tandem, index):
    tandem.put(index, "x", {"n": 1})
    tandem.put(index, "y", {"n": 1})
    tandem.wait_caught_up()
    tandem.a.fault("reset_after", prefix="/%s/_doc/x" % index)
    tandem.a.fault("status", status=200, body='{"indices":{}}', method="GET", count=0,
                   contains="/_stats", prefix="/" + index)
    told(tandem.request("PUT", "/%s/_doc/x" % index, {"n": 2}), 504, "unknown")

    def shown():
        return any("cannot be looked up" in each["text"] for each in tandem.proxy.status()["problems"])
    wait_until(shown, SOON_S, "it is shown")
    status = tandem.proxy.status()
    assert status["open_intents"] == 1 and status["in_doubt"] == 1, status
    assert "cannot be looked up" in tandem.ctl("status", check=False)
    # Others are served.
    told(tandem.request("DELETE", "/%s/_doc/y" % index), 200, "applied")
    wait_until(lambda: source(tandem.b, index, "y") is None, SOON_S, "the standby goes on")
    assert source(tandem.b, index, "x") == {"n": 1}
    # A replicator that remembers deletes asks for a mark when it starts; then not for ten seconds.
    before = marks(tandem)
    tandem.replicator.restart()
    time.sleep(0.7)  # nothing must happen
    assert marks(tandem) == before
    assert tandem.proxy.status()["open_intents"] == 1
    tandem.a.clear_faults()
    settled(tandem, index)
    assert source(tandem.b, index, "x") == {"n": 2}
    wait_until(lambda: marks(tandem) > before, 5, "the mark that was asked for is there")
    wait_until(lambda: not shown(), SOON_S, "and is not shown any more")


def dead_or_active(proxy):
    try:
        return not proxy.running() or proxy.is_ready()
    except OSError:
        return False


def test_a_proxy_that_is_killed_while_it_recovers(alone):
    """Again and again, at each question it asks: what is found out is found out once it is left alone."""
    index = alone.index("books")
    prepare(alone, index)
    fault(alone.a, index, "hang", execute=True)
    threads = [threading.Thread(target=lambda write=write: pytest.raises(OSError, write.send, alone, index))
               for write in WRITES]
    for thread in threads:
        thread.start()
    wait_until(lambda: writes(alone.a, index) == len(WRITES), SOON_S, "all are with the primary")
    alone.proxy.kill9()
    for thread in threads:
        thread.join()
    alone.a.clear_faults()
    for rule in ({"contains": "primary_terms"}, {"contains": "/_stats"}, {"prefix": "/_mget"}):
        alone.a.fault("hang", count=0, **rule)
        alone.proxy.spawn()
        wait_until(lambda: alone.a.faults()[0]["fired"] > 0, SOON_S, "it asks")
        assert alone.proxy.status()["state"] != "active"
        answer = alone.request("PUT", "/%s/_doc/new" % index, {"n": 1})
        told(answer, 503, "not-applied")
        alone.proxy.kill9()
        alone.a.clear_faults()
    for n in range(4):
        alone.proxy.environment = dict(FREES, TANDEM_FAILPOINTS="P3b=kill:after(%d)" % n)
        alone.proxy.spawn()
        wait_until(lambda: dead_or_active(alone.proxy), SOON_S, "it dies, or is ready")
        if alone.proxy.running():
            alone.proxy.kill9()
    alone.proxy.environment = dict(FREES)
    alone.proxy.start()
    check(alone, index, True)


@pytest.mark.parametrize("action", ["kill", "error:once"])
@pytest.mark.parametrize("path", ["/_doc/new", "/_bulk"])
def test_a_request_of_which_only_a_part_was_sent_leaves_a_row_that_says_so(alone, path, action):
    """K4: failpoint P5b. The primary has executed nothing, and this is what the journal says of each document."""
    index = alone.index("books")
    alone.put(index, "old", {"n": 1})
    alone.proxy.stop()
    alone.proxy.environment = dict(FREES, TANDEM_FAILPOINTS="P5b=" + action)
    alone.proxy.start()
    big = {"text": "x" * 8_000_000}
    body = big if path == "/_doc/new" else lines({"index": {"_id": "new"}}, big, {"delete": {"_id": "old"}})
    if action == "kill":
        with pytest.raises((OSError, http.client.HTTPException)):
            alone.request("POST", "/" + index + path, body)
        wait_until(lambda: not alone.proxy.running(), SOON_S, "it died")
        alone.proxy.environment = dict(FREES)
        alone.proxy.start()
    else:
        told(alone.request("POST", "/" + index + path, body), 504, "unknown")
    settled(alone, index)
    assert [entry["id"] for entry in applied(alone.a, index)] == ["old"]
    assert writes(alone.a, index) == 1  # and nothing whole came but the first
    negative(alone, index, "new")
    assert source(alone.b, index, "new") is None and source(alone.b, index, "old") == {"n": 1}


# --- clients that go, or do not wait --------------------------------------------------------------

def put_bytes(index, id, body):
    return (b"PUT /%s/_doc/%s HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
        index.encode(), id, len(body), body))


def connect(tandem):
    return socket.create_connection(("127.0.0.1", int(tandem.url.rsplit(":", 1)[1])), timeout=20)


def test_a_client_that_goes_before_its_answer(tandem, index):
    tandem.a.fault("slow_answer", delay_ms=200, prefix="/" + index)
    with connect(tandem) as connection:
        connection.sendall(put_bytes(index, b"x", b'{"n":1}'))
        wait_until(lambda: applied(tandem.a, index), SOON_S, "the primary has applied it")
    wait_until(lambda: source(tandem.b, index, "x") == {"n": 1}, SOON_S, "the standby has it")
    settled(tandem, index)


def test_a_client_that_goes_before_its_body_is_whole(tandem, index):
    with connect(tandem) as connection:
        connection.sendall(put_bytes(index, b"x", b'{"n":1}')[:-1])
    tandem.put(index, "y", {"n": 1})
    settled(tandem, index)
    assert [entry["id"] for entry in applied(tandem.a, index)] == ["y"]


def test_pipelined_writes_with_one_in_doubt_are_answered_in_order(tandem, index):
    tandem.a.fault("reset_after", prefix="/%s/_doc/2" % index)
    with connect(tandem) as connection:
        connection.sendall(b"".join(put_bytes(index, b"%d" % n, b'{"n":%d}' % n) for n in range(5)))
        got = b""
        while got.count(b"HTTP/1.1 ") < 5 or not got.endswith(b"}"):
            piece = connection.recv(65536)
            assert piece, got
            got += piece
    answers = got.split(b"HTTP/1.1 ")[1:]
    assert [answer[:3] for answer in answers] == [b"201", b"201", b"504", b"201", b"201"], got
    for n in (0, 1, 3, 4):
        assert b'"_id":"%d"' % n in answers[n]
    settled(tandem, index)
    for n in range(5):
        assert source(tandem.b, index, str(n)) == {"n": n}


def test_odd_ids_in_doubt_are_found(tandem, index):
    ids = ["a%2Fb", "%F0%9F%98%80", "x" * 512, "%22", "a%20b", "%25"]
    fault(tandem.a, index, "reset_after")
    for n, id in enumerate(ids):
        told(tandem.request("PUT", "/%s/_doc/%s?routing=r%%2F%d" % (index, id, n), {"n": n}), 504, "unknown")
    settled(tandem, index)
    for n, id in enumerate(ids):
        assert source(tandem.b, index, id, "r%%2F%d" % n) == {"n": n}, id
