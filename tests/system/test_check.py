"""test_check.py - tandemctl check: whether a standby could take the primary's place, and all that is in the way.

SPDX-License-Identifier: Apache-2.0
"""

import json

import pytest

from processes import wait_until
from shared import must, shared_tandem
from test_admin_access import ctl
from verifying import ended


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


def failing(tandem):
    """The rules that do not hold, with their reasons; notes left out."""
    code, said = ctl(tandem, "check", "b", "--json")
    found = json.loads(said)
    wrong = {each["rule"]: each["why"] for each in found["rules"] if not each["holds"] and not each["warns"]}
    assert (code, found["ready"]) == ((4, False) if wrong else (0, True)), (code, said)
    return wrong


def verify(tandem, *args):
    ctl(tandem, "repair" if args else "verify", *args)
    ended(tandem)


def test_all_that_is_in_the_way_is_said_at_once(tandem):
    must(tandem.url, "PUT", "/checked", {"settings": {"number_of_replicas": 0}})
    for n in range(20):
        must(tandem.url, "PUT", "/checked/_doc/%d" % n, {"n": n})
    tandem.wait_caught_up()
    wait_until(lambda: set(failing(tandem)) == {"VERIFY_FRESH"}, 30, "only the verification is missing")
    verify(tandem)
    wait_until(lambda: not failing(tandem), 30, "it is ready")
    code, said = ctl(tandem, "check")
    assert code == 0 and "standby b: READY" in said and "note  MIN_STANDBY" in said, said
    # That it was verified is known after a restart too.
    tandem.replicator.restart()
    wait_until(lambda: not failing(tandem), 30, "it is ready again")
    # Somebody changes the standby.
    must(tandem.standby.url, "PUT", "/checked/_doc/of-somebody-else", {"n": 0})
    verify(tandem)
    assert "differences" in failing(tandem)["VERIFY_FRESH"]
    tandem.ctl("pause", "b")
    tandem.proxy.kill9()
    wrong = failing(tandem)
    assert "paused" in wrong["CANDIDATE_HEALTH"] and "proxy does not answer" in wrong["IDENTITY"], wrong
    assert "VERIFY_FRESH" in wrong, wrong
    tandem.proxy.start()
    tandem.ctl("resume", "b")
    verify(tandem, "--apply")
    verify(tandem)
    wait_until(lambda: not failing(tandem), 30, "it is ready once more")
    tandem.replicator.kill9()
    assert set(failing(tandem)) == {"CANDIDATE_HEALTH"}
    tandem.replicator.start()


def test_a_wrong_command_line_is_refused(tandem):
    assert ctl(tandem, "check", "nobody")[0] == 2
    assert ctl(tandem, "check", "b", "c")[0] == 2
    assert ctl(tandem, "check", "--fast")[0] == 2
