"""test_verify.py - a standby is compared with the primary, document by document, and made equal.

SPDX-License-Identifier: Apache-2.0
"""

import random

import pytest

from processes import wait_until
from shared import equal_indices, lines, must, shared_tandem
from standbys import ONE_SHARD, write
from tandem import request
from verifying import NDJSON, ctl, fill, kinds, result, written_to


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    # The audit would find what is written past Tandem first, and verify on its own.
    yield from shared_tandem(request, clusters, run_folder, {"audit.interval": "0s"})


def spoil(tandem, index):
    """By hand, on the standby: one document goes, one comes, two are changed. Their ids."""
    url = tandem.standby.url
    must(url, "DELETE", "/%s/_doc/d1" % index)
    must(url, "PUT", "/%s/_doc/stranger" % index, {"n": -1})
    must(url, "PUT", "/%s/_doc/d2" % index, {"n": -2})
    # As a broken disk would have it: the same version, another content.
    version = must(url, "GET", "/%s/_doc/d3" % index)["_version"]
    must(url, "PUT", "/%s/_doc/d3?version=%d&version_type=external_gte" % (index, version), {"n": -3})


def test_equal_clusters_are_equal(tandem):
    fill(tandem, "calm", 1500)
    must(tandem.url, "DELETE", "/calm/_doc/d1")
    tandem.wait_caught_up()
    code, said = ctl(tandem, "verify", "--index", "calm")
    assert code == 0 and "calm: equal, 1499 documents" in said, said


def test_differences_are_found_and_mended(tandem):
    fill(tandem, "spoilt", 1000, shards=1)
    spoil(tandem, "spoilt")
    code, said = ctl(tandem, "verify", "--index", "spoilt")
    assert code == 4, said
    assert "1 are missing, 1 are extra, 2 differ" in said, said
    for line in ("missing   d1", "extra     stranger", "different d2", "different d3"):
        assert line in said, said
    # A dry run changes nothing.
    code, said = ctl(tandem, "repair", "--index", "spoilt")
    assert code == 4 and "--apply" in said, said
    assert request(tandem.standby.url, "GET", "/spoilt/_doc/d1").status == 404
    code, said = ctl(tandem, "repair", "--index", "spoilt", "--apply")
    assert code == 0 and "4 were made equal, 0 are left" in said, said
    for n in (1, 2, 3):
        assert must(tandem.standby.url, "GET", "/spoilt/_doc/d%d" % n)["_source"]["n"] == n
    assert request(tandem.standby.url, "GET", "/spoilt/_doc/stranger").status == 404
    # Later writes win over what was repaired.
    write(tandem, "spoilt", 1)
    must(tandem.url, "PUT", "/spoilt/_doc/d1", {"n": 100})
    must(tandem.url, "PUT", "/spoilt/_doc/d2", {"n": 200})
    must(tandem.url, "PUT", "/spoilt/_doc/d3", {"n": 300})
    tandem.wait_caught_up()
    code, said = ctl(tandem, "verify", "--index", "spoilt")
    assert code == 0, said
    equal_indices(tandem, "spoilt")


def test_what_was_done_past_tandem_is_found(tandem):
    """Writes straight to the primary: the standby gets them by a repair."""
    fill(tandem, "past", 600, shards=2)
    direct = tandem.primary.url
    must(direct, "PUT", "/past/_doc/new", {"n": 1})
    must(direct, "PUT", "/past/_doc/d5", {"n": 55})
    must(direct, "DELETE", "/past/_doc/d6")
    code, said = ctl(tandem, "repair", "--index", "past", "--apply")
    assert code == 0 and "1 are missing, 1 are extra, 1 differ" in said and "3 were made equal" in said, said
    equal_indices(tandem, "past")


def test_what_is_under_way_is_no_difference(tandem, seed):
    fill(tandem, "busy", 2000)
    chance = random.Random(seed)
    with written_to(tandem, "busy", 2000, 4, seed):
        for _ in range(3):
            must(tandem.replicator.admin_url, "POST", "/_tandem/verify?index=busy")
            found = result(tandem, "busy")
            assert kinds(found) == {"missing": 0, "extra": 0, "different": 0}, found
        # And what is none of it is found in the middle of it.
        id = "d%d" % chance.randrange(2000)
        must(tandem.standby.url, "PUT", "/busy/_doc/stranger", {"live": -1})
        must(tandem.replicator.admin_url, "POST", "/_tandem/verify?index=busy&repair=true")
        found = result(tandem, "busy")
        assert kinds(found) == {"missing": 0, "extra": 1, "different": 0} and found["left"] == 0, (id, found)
    equal_indices(tandem, "busy")


def test_a_primary_that_lost_data_does_not_empty_the_standby(tandem):
    fill(tandem, "robbed", 600, shards=2)
    doomed = [{"delete": {"_id": "d%d" % n, **({"routing": "r%d" % (n % 5)} if n % 4 == 0 else {})}} for n in range(300)]
    assert not must(tandem.primary.url, "POST", "/robbed/_bulk", lines(*doomed), NDJSON)["errors"]
    code, said = ctl(tandem, "repair", "--index", "robbed", "--apply")
    assert code == 4 and "300 are extra" in said and "may have lost data" in said and "--force" in said, said
    assert "lost data" in tandem.ctl("status", check=False)
    must(tandem.standby.url, "POST", "/robbed/_refresh")
    assert must(tandem.standby.url, "GET", "/robbed/_count")["count"] == 600
    code, said = ctl(tandem, "repair", "--index", "robbed", "--apply", "--force")
    assert code == 0 and "300 were made equal" in said, said
    equal_indices(tandem, "robbed")


def test_a_standby_that_is_ahead_is_not_overwritten(tandem):
    must(tandem.url, "PUT", "/ahead", ONE_SHARD)
    write(tandem, "ahead", 1, 2, 3)
    tandem.wait_caught_up()
    version = must(tandem.standby.url, "GET", "/ahead/_doc/1")["_version"]
    must(tandem.standby.url, "PUT", "/ahead/_doc/1?version=%d&version_type=external" % (version + 1000000), {"n": -1})
    code, said = ctl(tandem, "repair", "--index", "ahead", "--apply")
    assert code == 4 and "never reached" in said, said
    # The way out that the runbook names: the index is made again, and has it all.
    must(tandem.standby.url, "DELETE", "/ahead")
    tandem.replicator.restart()
    wait_until(lambda: request(tandem.standby.url, "GET", "/ahead/_doc/3").status == 200, 30, "it is made again")
    tandem.wait_caught_up()
    code, said = ctl(tandem, "verify", "--index", "ahead")
    assert code == 0, said
