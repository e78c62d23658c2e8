"""test_kills.py - kill -9 of everything, at random, under load: nothing acknowledged is lost, the clusters end equal.

After the last round everything runs again; then: every acknowledged write, or something newer, is on the standby (C1), the
clusters are equal document by document (C2, C3, C5; by the fixture), the journal is whole (C4), and a replicator that
begins anew from nothing changes nothing (C6).

SPDX-License-Identifier: Apache-2.0
"""

import os
import random
import shutil

import pytest

from processes import wait_until
from test_mixed_workload import opensearch
from workload import Workload

ENDLESS = 1_000_000


def kill_rounds(tandem, seed, rounds, engine_every):
    """Kills somebody each round, once the workload went on since the last; engines in each ENGINE_EVERY-th round."""
    chance = random.Random(seed)
    workload = Workload(seed, opensearch(tandem.url), operations=ENDLESS, tolerant=True)
    workload.prepare()
    workload.start()
    try:
        for round in range(rounds):
            wait_progress(tandem, workload, chance.randrange(20, 300))
            if round % engine_every == engine_every - 1:
                victim = chance.choice([tandem.primary, tandem.standby])
            else:
                victim = chance.choice([tandem.proxy, tandem.replicator])
            print("round %d: kill -9 of %s" % (round, victim.name))
            victim.kill9()
            victim.start()
            victim.wait_ready()
    finally:
        workload.stop()
        workload.wait()
    return workload


def wait_progress(tandem, workload, writes):
    before = sum(workload.tally.values())
    wait_until(lambda: sum(workload.tally.values()) >= before + writes, 120, "the writers go on")


def check(tandem, workload):
    tandem.wait_caught_up()
    # An engine that was just started answers 400 to a pipeline that it has not loaded yet.
    unexpected = [text for text in workload.unexpected if "pipeline" not in text]
    assert not unexpected, unexpected[:5]
    lost = workload.ledger.lost(tandem.standby.url)
    assert not lost, "acknowledged, but not on the standby:\n" + "\n".join(lost[:20])
    tandem.wait_equal()
    check_journal(tandem)
    rewind(tandem)


def check_journal(tandem):
    """C4: every record can be read, and the numbers are dense."""
    tandem.ctl("journal", "check")  # fails the test unless it ends with 0


def rewind(tandem):
    """C6: a replicator that lost its own files and its place on the standby replays everything; nothing changes."""
    tandem.replicator.stop()
    shutil.rmtree(os.path.join(tandem.folder, "standby-" + tandem.replicator.standby))
    tandem.replicator.start()
    tandem.wait_caught_up()
    tandem.wait_equal()


@pytest.mark.limit(400)
def test_ten_rounds_of_kill_9_lose_nothing(tandem, seed):
    check(tandem, kill_rounds(tandem, seed, rounds=10, engine_every=5))


@pytest.mark.long
@pytest.mark.limit(7200)
def test_three_hundred_rounds_of_kill_9_lose_nothing(tandem, seed):
    check(tandem, kill_rounds(tandem, seed, rounds=300, engine_every=10))
