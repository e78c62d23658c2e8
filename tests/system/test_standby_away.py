"""test_standby_away.py - minutes of load while nothing is replicated; then it catches up without help.

    TANDEM_AWAY_MINUTES=60 tests/run test_standby_away.py     for longer than the usual three

SPDX-License-Identifier: Apache-2.0
"""

import os
import time

import pytest

from processes import wait_until
from test_kills import ENDLESS, check_journal
from test_mixed_workload import opensearch
from workload import Workload

MINUTES = float(os.environ.get("TANDEM_AWAY_MINUTES", 3))
LIMIT_S = int(60 * MINUTES * 4 + 900)
# A long absence needs the room; the replicator catches up while the writers go on, for a while.
SETTINGS = {"journal.size_max": "32GB", "log.level": "info"}
WITH_LOAD_S = 20


@pytest.mark.long
@pytest.mark.limit(LIMIT_S)
@pytest.mark.settings(SETTINGS)
@pytest.mark.parametrize("who", ["replicator", "standby"])
def test_minutes_away_are_caught_up_without_help(tandem, seed, who):
    workload = Workload(seed, opensearch(tandem.url), operations=ENDLESS)
    workload.prepare()
    tandem.wait_caught_up()
    if who == "replicator":
        tandem.replicator.stop()
    else:
        tandem.standby.stop()
    begun, seq = time.monotonic(), tandem.proxy.status()["journal"]["last_seq"]
    workload.start()
    try:
        wait_until(lambda: time.monotonic() > begun + 60 * MINUTES or not workload.running(),
                   60 * MINUTES + 60, "the time is over", interval_s=1)
        behind = tandem.proxy.status()["journal"]["last_seq"] - seq
        if who == "replicator":
            tandem.replicator.start()
        else:
            tandem.standby.start()
            tandem.standby.wait_ready()
        back = time.monotonic()
        wait_until(lambda: time.monotonic() > back + WITH_LOAD_S or not workload.running(),
                   WITH_LOAD_S + 60, "it catches up under load for a while", interval_s=1)
    finally:
        workload.stop()
        workload.wait()
    tandem.wait_caught_up(LIMIT_S)
    print("%s away: %d records behind after %.0f s, caught up %.0f s later" % (
        who, behind, back - begun, time.monotonic() - back))
    workload.check()
    assert behind > 100 * 60 * MINUTES / 3, "hardly any load: %d records" % behind
    lost = workload.ledger.lost(tandem.standby.url)
    assert not lost, "acknowledged, but not on the standby:\n" + "\n".join(lost[:20])
    assert tandem.replicator.standby_status()["parked"] == 0
    check_journal(tandem)
