"""test_by_query.py - _delete_by_query, _update_by_query and _reindex: what they left is on the standby.

SPDX-License-Identifier: Apache-2.0
"""

import threading

import pytest

from processes import wait_until
from shared import equal_indices, lines, must, shared_tandem
from tandem import request
from test_audit import wait_audited
from verifying import NDJSON, bulk_path, fill

SETTINGS = {"audit.interval": "1s", "audit.verify_interval": "2s", "by_query.ids_max": 5000}
ENDS_S = 60
PAINLESS = "if (ctx._source.n % 3 == 0) { ctx.op = 'delete' } else if (ctx._source.n % 3 == 1) { ctx._source.more = 'x' } else { ctx.op = 'noop' }"


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, SETTINGS)


def refresh(tandem, *names):
    must(tandem.url, "POST", "/%s/_refresh" % ",".join(names))


def by_query(tandem, path, body, status=200, outcome="applied", headers=None):
    answer = tandem.request("POST", path, body, headers)
    assert (answer.status, answer.headers.get("x-tandem-outcome")) == (status, outcome), answer
    return answer


def script_error(tandem):
    """What the engine says of a script that fails."""
    return 500 if tandem.primary.kind == "elasticsearch-6.8" else 400


def counts(answer):
    return {key: answer.json()[key] for key in ("created", "updated", "deleted", "noops")
            if answer.json().get(key)}


def nothing_open(tandem):
    return tandem.proxy.status()["by_query"] == [] and tandem.proxy.status()["open_intents"] == 0


def explained(tandem, index):
    """The audit accounts for every number, and had nothing to look for."""
    found = wait_audited(tandem, index)
    assert (found["found"], found["unexplained"]) == (0, 0), found


def test_a_delete_by_query_is_on_the_standby(tandem):
    fill(tandem, "deleted", 900)
    refresh(tandem, "deleted")
    answer = by_query(tandem, "/deleted/_delete_by_query", {"query": {"range": {"n": {"lt": 300}}}})
    assert counts(answer) == {"deleted": 300}, answer
    assert answer.headers["x-tandem-seq"], answer
    equal_indices(tandem, "deleted")
    explained(tandem, "deleted")
    assert must(tandem.standby.url, "GET", "/deleted/_count")["count"] == 600


def test_an_update_by_query_is_on_the_standby(tandem):
    fill(tandem, "updated", 900)
    refresh(tandem, "updated")
    answer = by_query(tandem, "/updated/_update_by_query?refresh=true&pretty", {
        "query": {"range": {"n": {"lt": 300}}}, "script": {"source": PAINLESS}})
    assert counts(answer) == {"updated": 100, "deleted": 100, "noops": 100} and answer.body[:4] == b"{\n  ", answer
    answer = by_query(tandem, "/updated/_update_by_query?filter_path=updated,failures", None)
    assert answer.json() == {"updated": 800, "failures": []}, answer
    equal_indices(tandem, "updated")
    explained(tandem, "updated")


def test_a_reindex_into_a_new_and_into_an_old_index_is_on_the_standby(tandem):
    fill(tandem, "source", 900)
    refresh(tandem, "source")
    by_query(tandem, "/_reindex", {"source": {"index": "source"}, "dest": {"index": "copy"}})
    must(tandem.url, "POST", "/_aliases", {"actions": [{"add": {"index": "copy", "alias": "copies"}}]})
    answer = by_query(tandem, "/_reindex?refresh=true", {
        "source": {"index": "source", "query": {"range": {"n": {"gte": 800}}}}, "dest": {"index": "copies"},
        "script": {"source": "ctx._id = ctx._id + '-again'; ctx._routing = 'r'"}})
    assert counts(answer) == {"created": 100}, answer
    answer = by_query(tandem, "/_reindex?refresh=true", {
        "source": {"index": "source"}, "dest": {"index": "copy", "version_type": "external"},
        "conflicts": "proceed"})
    assert answer.json()["version_conflicts"] == 900, answer
    equal_indices(tandem, "source", "copy")
    explained(tandem, "copy")


def test_a_reindex_whose_script_deletes_is_made_up_for(tandem):
    fill(tandem, "from", 90)
    refresh(tandem, "from")
    by_query(tandem, "/_reindex?refresh=true", {"source": {"index": "from"}, "dest": {"index": "to"}})
    by_query(tandem, "/_reindex?refresh=true", {
        "source": {"index": "from"}, "dest": {"index": "to"},
        "script": {"source": "if (ctx._source.n < 30) { ctx.op = 'delete' }"}}, outcome="unknown")
    wait_until(lambda: must(tandem.standby.url, "GET", "/to/_count")["count"] == 60, ENDS_S, "they go")
    equal_indices(tandem, "to")


def test_a_task_is_seen_to_its_end(tandem):
    fill(tandem, "task", 600)
    refresh(tandem, "task")
    answer = by_query(tandem, "/task/_update_by_query?wait_for_completion=false&requests_per_second=300&scroll_size=100",
                      {"script": {"source": "ctx._source.more = 1"}}, outcome="unknown")
    task = answer.json()["task"]
    (shown,) = tandem.proxy.status()["by_query"]
    assert (shown["target"], shown["task"], shown["step"]) == ("task", task, "running"), shown
    assert "update_by_query" in tandem.ctl("status", check=False)
    wait_until(lambda: nothing_open(tandem), ENDS_S, "it ends")
    assert must(tandem.url, "GET", "/_tasks/" + task)["response"]["updated"] == 600
    equal_indices(tandem, "task")
    explained(tandem, "task")


def test_a_task_that_is_cancelled_leaves_what_it_did(tandem):
    fill(tandem, "cancelled", 400)
    refresh(tandem, "cancelled")
    answer = by_query(tandem, "/cancelled/_delete_by_query?wait_for_completion=false&requests_per_second=50&scroll_size=50",
                      {"query": {"match_all": {}}}, outcome="unknown")
    wait_until(lambda: must(tandem.url, "GET", "/cancelled/_stats")["_all"]["primaries"]["indexing"]["delete_total"],
               ENDS_S, "it has begun")
    must(tandem.url, "POST", "/_tasks/%s/_cancel" % answer.json()["task"])
    wait_until(lambda: nothing_open(tandem), ENDS_S, "it ends")
    refresh(tandem, "cancelled")
    assert 0 < must(tandem.url, "GET", "/cancelled/_count")["count"] < 400
    equal_indices(tandem, "cancelled")
    explained(tandem, "cancelled")


def test_several_indices_slices_routing_and_parameters(tandem):
    for name in ("many-1", "many-2", "many-3"):
        fill(tandem, name, 200)
    refresh(tandem, "many-*")
    answer = by_query(tandem, "/many-*,-many-3/_update_by_query?slices=2&refresh=true&q=n:%5B0%20TO%2099%5D", None)
    assert counts(answer) == {"updated": 200}, answer
    answer = by_query(tandem, "/many-1,none/_delete_by_query?ignore_unavailable=true&routing=r0&refresh=true",
                      {"query": {"match_all": {}}, "max_docs": 7})
    assert counts(answer) == {"deleted": 7}, answer
    answer = by_query(tandem, "/_all/_delete_by_query?slices=auto",
                      {"query": {"term": {"n": 42}}, "max_docs": 1000})
    assert answer.json()["deleted"] >= 3, answer
    equal_indices(tandem, "many-1", "many-2", "many-3")
    for name in ("many-1", "many-2", "many-3"):
        explained(tandem, name)


def test_errors_are_the_engines_and_leave_nothing_open(tandem):
    fill(tandem, "errors", 300)
    refresh(tandem, "errors")
    for path, body, status in (("/nowhere/_delete_by_query", {"query": {"match_all": {}}}, 404),
                               ("/errors/_delete_by_query", {"query": {"no_such": {}}}, 400),
                               ("/errors/_delete_by_query", None, 400),
                               ("/errors/_update_by_query", {"script": {"source": "what"}}, script_error(tandem)),
                               ("/_reindex", {"source": {"index": "nowhere"}, "dest": {"index": "errors-x"}}, 404)):
        direct = request(tandem.primary.url, "POST", path, body)
        answer = by_query(tandem, path, body, status, "not-applied")
        assert direct.status == status and direct.json()["error"]["reason"] == answer.json()["error"]["reason"], answer
    for body in ("{", "[]", '{"source":{}}'):
        assert tandem.request("POST", "/_reindex", body).headers["x-tandem-outcome"] == "not-applied"
    assert nothing_open(tandem)


def test_a_script_that_fails_in_the_middle_leaves_what_it_did(tandem):
    fill(tandem, "middle", 300, shards=1)
    refresh(tandem, "middle")
    answer = by_query(tandem, "/middle/_update_by_query?scroll_size=50", {
        "script": {"source": "if (ctx._source.n == 220) { throw new Exception('no') } ctx._source.more = 1"}},
        script_error(tandem))
    assert "script_exception" in str(answer.json()), answer
    equal_indices(tandem, "middle")
    refresh(tandem, "middle")
    assert must(tandem.standby.url, "POST", "/middle/_refresh") and must(
        tandem.standby.url, "GET", "/middle/_count?q=more:1")["count"] > 0


def test_writes_of_others_meanwhile_are_kept_apart(tandem):
    fill(tandem, "busy", 1500)
    refresh(tandem, "busy")
    ended = threading.Event()
    failed = []

    def write():
        n = 0
        while not ended.is_set():
            n += 1
            body = lines({"index": {"_id": "d%d" % (n * 7 % 1500)}}, {"n": n, "by": "writer"},
                         {"delete": {"_id": "d%d" % (n * 11 % 1500)}}, {"index": {}}, {"n": n})
            answer = tandem.request("POST", bulk_path(tandem, "busy"), body, NDJSON)
            if answer.status != 200 or answer.headers["x-tandem-outcome"] != "applied":
                failed.append(answer)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for n in range(5):
            by_query(tandem, "/busy/_update_by_query?conflicts=proceed&refresh=true",
                     {"script": {"source": "ctx._source.round = %d" % n}})
            answer = tandem.request("POST", "/busy/_delete_by_query?conflicts=proceed&refresh=true",
                                    {"query": {"range": {"n": {"gte": n * 20, "lt": n * 20 + 20}}}})
            assert answer.status == 200 and answer.headers["x-tandem-outcome"] == "applied", answer
    finally:
        ended.set()
        writer.join()
    assert not failed, failed[0]
    wait_until(lambda: nothing_open(tandem), ENDS_S, "nothing is open")
    equal_indices(tandem, "busy")
    wait_audited(tandem, "busy")


def test_more_ids_than_may_be_noted_are_compared(tandem):
    fill(tandem, "large", 6000, shards=1)
    refresh(tandem, "large")
    answer = by_query(tandem, "/large/_delete_by_query", {"query": {"range": {"n": {"lt": 5500}}}}, outcome="unknown")
    assert counts(answer) == {"deleted": 5500}, answer
    wait_until(lambda: must(tandem.standby.url, "POST", "/large/_refresh") and must(
        tandem.standby.url, "GET", "/large/_count")["count"] == 500, ENDS_S, "they go")
    equal_indices(tandem, "large")


@pytest.mark.parametrize("form", ["waited-for", "task"])
def test_a_proxy_that_dies_meanwhile_sees_it_to_its_end(tandem, form):
    name = "dies-" + form
    fill(tandem, name, 600)
    refresh(tandem, name)
    path = "/%s/_delete_by_query?requests_per_second=200&scroll_size=100" % name
    query = {"query": {"range": {"n": {"lt": 500}}}}
    if form == "task":
        by_query(tandem, path + "&wait_for_completion=false", query, outcome="unknown")
    else:
        def ask():
            try:
                tandem.request("POST", path, query)
            except OSError:
                pass  # its proxy dies
        threading.Thread(target=ask).start()
    wait_until(lambda: must(tandem.primary.url, "GET", "/%s/_stats" % name)["_all"]["primaries"]["indexing"]["delete_total"],
               ENDS_S, "it has begun")
    tandem.proxy.kill9()
    tandem.proxy.start()
    (shown,) = tandem.proxy.status()["by_query"]
    assert shown["step"] == "running", shown
    must(tandem.url, "PUT", "/%s/_doc/meanwhile" % name, {"n": 1000})
    wait_until(lambda: nothing_open(tandem), ENDS_S, "it ends")
    refresh(tandem, name)
    assert must(tandem.url, "GET", "/%s/_count" % name)["count"] == 101
    equal_indices(tandem, name)
    wait_audited(tandem, name)


def test_a_clients_own_opaque_id_goes_through(tandem):
    fill(tandem, "opaque", 10)
    refresh(tandem, "opaque")
    answer = by_query(tandem, "/opaque/_update_by_query", None, headers={"X-Opaque-Id": "mine"})
    assert answer.headers["x-opaque-id"] == "mine", answer
    answer = by_query(tandem, "/opaque/_update_by_query", None)
    assert "x-opaque-id" not in answer.headers, answer


def test_an_index_made_again_meanwhile_is_swept_whole(tandem):
    fill(tandem, "again", 200)
    refresh(tandem, "again")
    answer = by_query(tandem, "/again/_update_by_query?wait_for_completion=false&requests_per_second=50&scroll_size=50",
                      {"script": {"source": "ctx._source.more = 1"}}, outcome="unknown")
    must(tandem.url, "DELETE", "/again")
    must(tandem.url, "PUT", "/again/_doc/new", {"n": 1})
    must(tandem.url, "POST", "/_tasks/%s/_cancel" % answer.json()["task"])
    wait_until(lambda: nothing_open(tandem), ENDS_S, "it ends")
    equal_indices(tandem, "again")
