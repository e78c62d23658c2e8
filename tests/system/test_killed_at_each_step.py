"""test_killed_at_each_step.py - a death at each step of a seed, a verification, an audit and a write by query.

The steps are named in the sources, FAILPOINT("S3"). Seeds: S1 counted, S2 refreshed, S3 page read, S4 its life confirmed, S5 rows
in the lanes, S6 rows done, S7 index done. Verifications: V1 a shard summed, V2 counted again, V3 all shards compared, V4 a document
looked at again, V5 a row on its way, V6 made equal. The audit: A1 numbers read, A2 mark reached, A3 gap scanned. Writes by query, in the
proxy: Q1 something was found before it was forwarded, Q2 answered, Q3 the writes beside it have ended, Q4 something read, Q5
confirmed, Q6 rows durable, Q7 done.

SPDX-License-Identifier: Apache-2.0
"""

import threading

import pytest

from processes import wait_until
from shared import equal_indices, must, shared_tandem
from standbys import index_status, state
from tandem import request
from test_audit import wait_audited
from verifying import ctl, fill, report

pytestmark = pytest.mark.long
DIES_S = 60
COMPARED_S = 120  # an operator's verification holds back those of the audit for a minute


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"audit.interval": "1s", "audit.verify_interval": "2s"})


@pytest.fixture(autouse=True)
def disarmed(tandem):
    """One test that fails does not take the others with it."""
    yield
    for daemon in tandem.daemons:
        if daemon.environment.pop("TANDEM_FAILPOINTS", None) is not None or not daemon.running():
            daemon.kill9()
            daemon.start()


def arm(daemon, step):
    daemon.stop()
    daemon.environment["TANDEM_FAILPOINTS"] = step + "=kill"
    daemon.start()


def wait_dead(daemon):
    """Until it has died of its failpoint; then it is started without."""
    wait_until(lambda: not daemon.running(), DIES_S, "it dies at its step")
    assert daemon.child.returncode == -9, daemon.child.returncode
    del daemon.environment["TANDEM_FAILPOINTS"]
    daemon.start()


def post(tandem, path):
    try:
        request(tandem.replicator.admin_url, "POST", path)
    except OSError:
        pass  # it has died


def running(tandem):
    wait_until(lambda: state(tandem) not in ("starting", "away"), 20, "it has taken over")


@pytest.mark.parametrize("step", ["S1", "S2", "S3", "S4", "S5", "S6", "S7"])
def test_a_seed(tandem, step):
    name = "seeded-" + step.lower()
    fill(tandem, name, 900)
    arm(tandem.replicator, step)
    running(tandem)
    ctl(tandem, "seed", "--index", name, "--again")
    wait_dead(tandem.replicator)
    must(tandem.url, "PUT", "/%s/_doc/meanwhile" % name, {"n": 1})
    must(tandem.url, "DELETE", "/%s/_doc/d1" % name)
    wait_until(lambda: (index_status(tandem, name) or {}).get("state") != "filling", DIES_S, "it is seeded")
    equal_indices(tandem, name)


@pytest.mark.parametrize("step", ["V1", "V2", "V3", "V4", "V5", "V6"])
def test_a_repair(tandem, step):
    name = "repaired-" + step.lower()
    fill(tandem, name, 300, shards=2)
    for n in range(20):
        must(tandem.standby.url, "PUT", "/%s/_doc/stranger%d" % (name, n), {"n": -1})
    arm(tandem.replicator, step)
    # An index that is just being looked at again is passed over.
    wait_until(lambda: post(tandem, "/_tandem/verify?repair=true&index=" + name) or not tandem.replicator.running(), DIES_S,
               "it dies", interval_s=0.3)
    wait_dead(tandem.replicator)
    running(tandem)
    tandem.wait_caught_up()
    wait_until(lambda: report(tandem)["state"] == "ended", DIES_S, "it ends")
    wait_until(lambda: ctl(tandem, "repair", "--index", name, "--apply")[0] == 0, DIES_S, "it is made equal")
    equal_indices(tandem, name)
    assert ctl(tandem, "verify", "--index", name)[0] == 0


@pytest.mark.parametrize("step", ["A1", "A2", "A3"])
def test_an_audit(tandem, step):
    name = "audited-" + step.lower()
    fill(tandem, name, 100, shards=2)
    arm(tandem.replicator, step)
    must(tandem.primary.url, "PUT", "/%s/_doc/direct" % name, {"n": 1})
    must(tandem.primary.url, "DELETE", "/%s/_doc/d1" % name)
    wait_dead(tandem.replicator)
    wait_until(lambda: request(tandem.standby.url, "GET", "/%s/_doc/direct" % name).status == 200, DIES_S, "it comes")
    wait_until(lambda: request(tandem.standby.url, "GET", "/%s/_doc/d1" % name).status == 404, COMPARED_S,
               "it goes")
    wait_audited(tandem, name)
    equal_indices(tandem, name)


@pytest.mark.parametrize("call", ["_delete_by_query", "_update_by_query"])
@pytest.mark.parametrize("step", ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7"])
def test_a_write_by_query(tandem, step, call):
    name = "queried-%s%s" % (step.lower(), call.replace("_", "-"))
    fill(tandem, name, 300)
    must(tandem.url, "POST", "/%s/_refresh" % name)
    body = {"query": {"range": {"n": {"lt": 100}}}, "script": {"source": "ctx._source.more = 1"}}
    if call == "_delete_by_query":
        del body["script"]
    arm(tandem.proxy, step)

    def ask():
        try:
            tandem.request("POST", "/%s/%s" % (name, call), body)
        except OSError:
            pass  # its proxy dies

    asking = threading.Thread(target=ask)
    asking.start()
    wait_dead(tandem.proxy)
    asking.join()
    must(tandem.url, "PUT", "/%s/_doc/d0?routing=r0" % name, {"n": "0"})
    wait_until(lambda: tandem.proxy.status()["by_query"] == [], DIES_S, "it is seen to its end")
    wait_audited(tandem, name)
    equal_indices(tandem, name)
