"""test_audit.py - what changed the primary past Tandem is found by itself, and brought over.

SPDX-License-Identifier: Apache-2.0
"""

import json
import threading

import pytest

from processes import wait_until
from shared import equal_indices, lines, must, shared_tandem
from standbys import ONE_SHARD, write
from tandem import request
from verifying import NDJSON, ctl, fill

FOUND_S = 60
SETTINGS = {"audit.interval": "1s", "audit.verify_interval": "2s"}


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, SETTINGS)


def audit(tandem, index):
    report = request(tandem.replicator.admin_url, "GET", "/_tandem/audit").json()
    return next((each for each in report["indices"] if each["index"] == index), None)


def reach(tandem, index):
    """The global checkpoints of the primary's shards."""
    shards = must(tandem.primary.url, "GET", "/%s/_stats?level=shards" % index)["indices"][index]["shards"]
    return [next(copy["seq_no"]["global_checkpoint"] for copy in shards[str(n)] if copy["routing"]["primary"])
            for n in range(len(shards))]


def wait_audited(tandem, index):
    """Until every operation of the primary is accounted for."""
    def complete():
        found = audit(tandem, index)
        return found and found["state"] == "audited" and found["complete_up_to"] == reach(tandem, index) and found
    return wait_until(complete, FOUND_S, index + " is audited")


def test_what_passed_tandem_is_accounted_for(tandem):
    fill(tandem, "calm", 900)
    write(tandem, "calm", 1, 2, 3)
    must(tandem.url, "DELETE", "/calm/_doc/1")
    tandem.request("DELETE", "/calm/_doc/never-there")
    tandem.request("POST", "/calm/_update/2", {"doc": {"more": 1}})
    tandem.request("POST", "/calm/_update/2", {"doc": {"more": 1}})  # a noop
    tandem.request("PUT", "/calm/_create/2", {"n": 2})  # a conflict
    tandem.request("PUT", "/calm/_doc/bad", {"n": {"no": "number"}})  # refused
    found = wait_audited(tandem, "calm")
    assert (found["holes"], found["found"], found["unexplained"]) == (0, 0, 0), found
    code, said = ctl(tandem, "audit", "--json")
    assert json.loads(said)["on"] is True, said
    code, said = ctl(tandem, "audit")
    assert code == 0 and "calm" in said, said


def test_documents_that_went_past_tandem_are_brought_over(tandem):
    fill(tandem, "past", 300, shards=2)
    for n in range(20):
        must(tandem.primary.url, "PUT", "/past/_doc/direct%d" % n, {"n": n})
    must(tandem.primary.url, "PUT", "/past/_doc/d1", {"n": 1000})
    write(tandem, "past", 1)
    found = wait_audited(tandem, "past")
    assert found["found"] == 21 and found["unexplained"] == 0, found
    equal_indices(tandem, "past")
    assert "past Tandem" in tandem.ctl("status", check=False)
    assert "written past Tandem" in open(tandem.replicator.log_path).read()


def test_deletions_past_tandem_are_found_too(tandem):
    fill(tandem, "gone", 300, shards=2)
    for n in (1, 2, 3):
        must(tandem.primary.url, "DELETE", "/gone/_doc/d%d" % n)
    wait_until(lambda: all(request(tandem.standby.url, "GET", "/gone/_doc/d%d" % n).status == 404 for n in (1, 2, 3)),
               FOUND_S, "they go on the standby")
    found = wait_audited(tandem, "gone")
    assert found["unexplained"] == 3, found
    equal_indices(tandem, "gone")


def test_an_index_that_only_others_write_to(tandem):
    must(tandem.primary.url, "PUT", "/others", ONE_SHARD)
    wait_until(lambda: request(tandem.standby.url, "HEAD", "/others").status == 200, 20, "it is made")
    body = []
    for n in range(500):
        body += [{"index": {"_id": "o%d" % n}}, {"n": n}]
    assert not must(tandem.primary.url, "POST", "/others/_bulk", lines(*body), NDJSON)["errors"]
    found = wait_audited(tandem, "others")
    assert found["found"] == 500, found
    equal_indices(tandem, "others")


def test_writes_while_the_proxy_is_down(tandem):
    fill(tandem, "down", 200, shards=1)
    tandem.proxy.stop()
    must(tandem.primary.url, "PUT", "/down/_doc/meanwhile", {"n": 1})
    must(tandem.primary.url, "DELETE", "/down/_doc/d7")
    tandem.proxy.start()
    wait_until(lambda: request(tandem.standby.url, "GET", "/down/_doc/meanwhile").status == 200, FOUND_S, "it comes")
    wait_until(lambda: request(tandem.standby.url, "GET", "/down/_doc/d7").status == 404, FOUND_S, "it goes")
    wait_audited(tandem, "down")
    equal_indices(tandem, "down")


def test_a_restart_forgets_nothing(tandem):
    fill(tandem, "again", 200, shards=2)
    wait_audited(tandem, "again")
    tandem.replicator.kill9()
    tandem.replicator.start()
    found = wait_audited(tandem, "again")
    assert (found["holes"], found["found"], found["unexplained"]) == (0, 0, 0), found


def test_load_leaves_no_holes(tandem):
    fill(tandem, "busy", 500)
    ended = threading.Event()

    def keep_writing(number):
        n = 0
        while not ended.is_set():
            n += 1
            tandem.request("PUT", "/busy/_doc/w%d-%d" % (number, n % 50), {"live": n})
    writers = [threading.Thread(target=keep_writing, args=(n,)) for n in range(4)]
    for writer in writers:
        writer.start()
    try:
        before = audit(tandem, "busy")["complete_up_to"]
        wait_until(lambda: all(now > then + 100 for now, then in zip(audit(tandem, "busy")["complete_up_to"], before)),
                   FOUND_S, "the audit goes on under load")
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    found = wait_audited(tandem, "busy")
    assert (found["holes"], found["found"], found["unexplained"]) == (0, 0, 0), found
