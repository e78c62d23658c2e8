"""test_verify_interrupted.py - a verification that is killed, cancelled, or asked for with wrong words.

SPDX-License-Identifier: Apache-2.0
"""

import json

import pytest

from processes import wait_until
from shared import must, shared_tandem
from standbys import state
from tandem import request
from verifying import ctl, fill, kinds, report, result


@pytest.fixture
def slow(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"seed.rate_max": 400})


def test_it_goes_on_where_it_was_when_the_replicator_dies(slow):
    for name in ("one", "two", "three"):
        fill(slow, name, 300, shards=1)
    must(slow.standby.url, "PUT", "/two/_doc/stranger", {"n": -1})
    must(slow.replicator.admin_url, "POST", "/_tandem/verify?repair=true")
    wait_until(lambda: len(report(slow)["indices"]) == 1, 30, "the first one is done")
    slow.replicator.kill9()
    slow.replicator.start()
    wait_until(lambda: state(slow) not in ("starting", "away"), 20, "it has taken over")
    assert len(report(slow)["indices"]) >= 1 and report(slow)["state"] == "running", report(slow)
    answer = request(slow.replicator.admin_url, "POST", "/_tandem/verify")
    assert answer.status == 409 and b"under way" in answer.body, answer
    assert kinds(result(slow, "two")) == {"missing": 0, "extra": 1, "different": 0}
    assert [each["index"] for each in report(slow)["indices"]] == ["one", "two", "three"], json.dumps(report(slow))


def test_it_can_be_cancelled_and_wrong_words_are_refused(slow):
    fill(slow, "long", 1500, shards=1)
    must(slow.replicator.admin_url, "POST", "/_tandem/verify")
    assert ctl(slow, "verify", "--cancel")[0] == 0
    assert report(slow)["state"] == "ended"
    for args, word in ((("verify", "--index", "nothing*"), "nothing*"), (("verify", "--apply"), "repair"),
                       (("repair", "--sample", "5%"), "not repaired"), (("verify", "--sample", "0"), "percentage"),
                       (("verify", "--sample", "101%"), "percentage"), (("verify", "--sample", "few"), "percentage"),
                       (("verify", "long"), "options only"), (("verify", "--standby", "z"), "no standby z")):
        code, said = ctl(slow, *args)
        assert code == 2 and word in said, said
    for query in ("sample=5&repair=true", "sample=0", "sample=nan", "sample="):
        answer = request(slow.replicator.admin_url, "POST", "/_tandem/verify?" + query)
        assert answer.status == 400 and b"nothing was begun" in answer.body, answer
