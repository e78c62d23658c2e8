"""test_lifecycle_primary.py - the primary's own lifecycle policies roll over, shrink and delete while clients write.

The standby follows what they did, and does nothing by a policy of its own until it is released.

SPDX-License-Identifier: Apache-2.0
"""

import re
import threading

import pytest

from clusters import make_empty
from processes import wait_until
from shared import lines, must
from standbys import index_status
from verifying import NDJSON

pytestmark = [pytest.mark.long, pytest.mark.limit(600), pytest.mark.engines("elasticsearch-6.8"),
              pytest.mark.settings({"seed.mode": "auto"})]

WRITERS = 3
ACTS_S = 150
POLICY = "/_ilm/policy/of-logs"
ROLLOVER = {"actions": {"rollover": {"max_docs": 150}}}
DELETE = {"min_age": "4s", "actions": {"delete": {}}}
SHRINK = {"min_age": "0s", "actions": {"shrink": {"number_of_shards": 1}, "forcemerge": {"max_num_segments": 1}}}
# What would be seen at once, if the standby acted.
HASTY = {"hot": {"actions": {"rollover": {"max_docs": 1}}}, "delete": {"min_age": "0s", "actions": {"delete": {}}}}


def ilm(engine, wanted):
    """Starts or stops what acts by policies, and waits until it is so."""
    must(engine.url, "POST", "/_ilm/" + {"RUNNING": "start", "STOPPED": "stop"}[wanted])
    wait_until(lambda: must(engine.url, "GET", "/_ilm/status")["operation_mode"] == wanted, 60, "ILM is " + wanted)


@pytest.fixture
def lifecycle(clusters):
    """Both clusters may act by policies; afterwards they have none."""
    engines = clusters.get("elasticsearch-6.8")
    for engine in engines:
        ilm(engine, "RUNNING")
    yield
    for engine in engines:
        make_empty(engine)
        ilm(engine, "RUNNING")


class Writers:
    """Clients that write to the alias: new documents, the same ones again, and deletions."""

    def __init__(self, tandem):
        self.tandem = tandem
        self.ended = threading.Event()
        self.failed = []
        self.threads = [threading.Thread(target=self.write, args=(number,)) for number in range(WRITERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join()

    def write(self, number):
        n = 0
        while not self.ended.wait(0.1):
            n += 1
            own = "%d-%d" % (number, n % 40)
            body = lines({"index": {"_id": own}}, {"n": n}, {"index": {}}, {"n": n, "f%d" % (n % 9): "x"},
                         {"update": {"_id": own}}, {"doc": {"again": n}},
                         {"delete": {"_id": "%d-%d" % (number, (n * 7 + 1) % 40)}})
            answer = self.tandem.request("POST", "/logs/_doc/_bulk", body, NDJSON)
            if not self.is_well(answer):
                self.failed.append(answer)

    @staticmethod
    def is_well(answer):
        """Of a deletion in an index that was made just now nothing is promised; all else is applied."""
        return (answer.status == 200 and answer.headers.get("x-tandem-unknown-items", "3") == "3" and
                all(item["status"] in (200, 201, 404) for each in answer.json()["items"] for item in each.values()))


def indices(engine):
    return set(must(engine.url, "GET", "/logs*,shrink-*/_settings?expand_wildcards=all"))


def begin(tandem, phases):
    """The policy and an alias under it, set through Tandem; by hand, the standby's copy is made a hasty one."""
    for engine in (tandem.primary, tandem.standby):
        must(engine.url, "PUT", "/_cluster/settings", {"persistent": {"indices.lifecycle.poll_interval": "1s"}})
    must(tandem.url, "PUT", POLICY, {"policy": {"phases": phases}})
    tandem.wait_caught_up()
    must(tandem.standby.url, "PUT", POLICY, {"policy": {"phases": HASTY}})
    must(tandem.url, "PUT", "/_template/logs", {
        "index_patterns": ["logs-*"],
        "settings": {"number_of_shards": 2, "number_of_replicas": 0, "refresh_interval": "1s",
                     "lifecycle.name": "of-logs", "lifecycle.rollover_alias": "logs"}})
    must(tandem.url, "PUT", "/logs-000001", {"aliases": {"logs": {"is_write_index": True}}})


def end(tandem, deleted):
    """The primary acts no more, and nothing is left of what it did that the standby does not have."""
    ilm(tandem.primary, "STOPPED")
    assert must(tandem.standby.url, "GET", "/_ilm/status") == {"operation_mode": "STOPPED"}
    wait_until(lambda: indices(tandem.standby) == indices(tandem.primary), ACTS_S, "the standby has the same indices")
    assert not deleted & indices(tandem.standby)
    for name in indices(tandem.primary):
        wait_until(lambda: (index_status(tandem, name) or {}).get("state") != "filling", ACTS_S, name + " is filled")
    must(tandem.standby.url, "PUT", POLICY, {"policy": must(tandem.primary.url, "GET", POLICY)["of-logs"]["policy"]})


def test_what_rolls_over_and_is_deleted_is_on_the_standby(lifecycle, tandem):
    begin(tandem, {"hot": ROLLOVER, "delete": DELETE})
    seen = set()

    def three_are_gone():
        seen.update(indices(tandem.primary))
        return len(seen - indices(tandem.primary)) >= 3

    with Writers(tandem) as writers:
        wait_until(lambda: "logs-000002" in indices(tandem.standby), ACTS_S, "the standby rolled over", interval_s=0.2)
        wait_until(three_are_gone, ACTS_S, "three indices were deleted", interval_s=0.2)
        wait_until(lambda: "logs-000001" not in indices(tandem.standby), ACTS_S, "the deletion travels")
    assert not writers.failed, writers.failed[0]
    end(tandem, seen - indices(tandem.primary))


def test_what_is_shrunk_and_merged_is_on_the_standby(lifecycle, tandem):
    begin(tandem, {"hot": ROLLOVER, "warm": SHRINK})

    def shrunk(engine):
        return sum(bool(re.match("shrink-logs-", name)) for name in indices(engine))

    with Writers(tandem) as writers:
        wait_until(lambda: shrunk(tandem.primary) >= 2, ACTS_S, "two indices were shrunk", interval_s=0.5)
        wait_until(lambda: shrunk(tandem.standby) >= 1, ACTS_S, "one is on the standby")
    assert not writers.failed, writers.failed[0]
    end(tandem, {"logs-000001"})
