"""test_verify_sample.py - a random part of an index is compared, and no more is said than that.

SPDX-License-Identifier: Apache-2.0
"""

import json

import pytest

from shared import lines, must, shared_tandem
from verifying import NDJSON, ctl, ended, fill, kinds, result, written_to


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"audit.interval": "0s"}, equal=False)


def sampled(tandem, index, percent, exit_code):
    code, said = ctl(tandem, "verify", "--index", index, "--sample", percent, "--json")
    assert code == exit_code, said
    report = json.loads(said)
    return report, report["indices"][0]


@pytest.mark.long
def test_a_sample_of_all_finds_what_is_planted(tandem):
    fill(tandem, "whole", 1000)
    url = tandem.standby.url
    must(url, "DELETE", "/whole/_doc/d1")
    must(url, "PUT", "/whole/_doc/stranger", {"n": -1})
    version = must(url, "GET", "/whole/_doc/d3")["_version"]
    must(url, "PUT", "/whole/_doc/d3?version=%d&version_type=external_gte" % version, {"n": -3})
    report, found = sampled(tandem, "whole", "100%", 4)
    assert kinds(found) == {"missing": 1, "extra": 1, "different": 1}, found
    assert sorted(each["id"] for each in found["differences"]) == ["d1", "d3", "stranger"], found
    assert report["sample"] == 100 and found["sample"]["numbers"] == found["sample"]["of"] == 1000, report
    code, said = ctl(tandem, "verify", "--index", "whole", "--sample", "100%")
    assert code == 4 and "1 are missing, 1 are extra, 1 differ" in said, said
    assert "that was a sample: 1000 of 1000 numbers of the primary" in said and "equal," not in said, said


def test_a_sample_says_how_much_it_looked_at_and_never_equal(tandem):
    fill(tandem, "part", 3000)
    report, found = sampled(tandem, "part", "10", 0)
    sample = found["sample"]
    assert report["sample"] == 10 and sample["of"] == 3000, report
    # Stretches of a 64th of a shard, rounded up; the last one of each of the three shards may be short.
    least = 300 - 3 * (1100 // 64 - 1)
    assert least <= sample["numbers"] <= 400 and least <= sample["standby_numbers"] <= 400, sample
    assert sample["standby_of"] == 3000, sample
    assert found["documents"] == sample["numbers"], found
    code, said = ctl(tandem, "verify", "--index", "part", "--sample", "10%")
    assert code == 0 and "part: no difference in a sample: " in said and "not looked at" in said, said
    assert " equal" not in said, said


@pytest.mark.long
def test_a_sample_finds_its_share_of_extra_missing_and_different_documents(tandem):
    """A tenth of the documents is spoilt, all over: half a look can't miss all of them."""
    fill(tandem, "share", 2000)
    url = tandem.standby.url
    actions = []
    for n in range(5, 2000, 10):  # no routing at these
        if n % 4 == 0:
            continue
        action = {"_id": "d%d" % n}
        actions += [[{"delete": action}], [{"index": action}, {"n": -n}],
                    [{"index": {"_id": "s%d" % n}}, {"n": n}]][n // 10 % 3]
    assert not must(url, "POST", "/share/_bulk", lines(*actions), NDJSON)["errors"]
    _, whole = sampled(tandem, "share", "100", 4)
    _, found = sampled(tandem, "share", "50", 4)
    for kind, count in kinds(found).items():
        assert whole[kind] * 0.2 < count <= whole[kind], (found["sample"], kinds(found), kinds(whole))
    assert sum(kinds(found).values()) < sum(kinds(whole).values()), (kinds(found), kinds(whole))


@pytest.mark.long
def test_what_is_under_way_is_no_difference_of_a_sample(tandem, seed):
    fill(tandem, "moving", 1000)
    with written_to(tandem, "moving", 1000, 3, seed):
        for percent in (100, 30):
            must(tandem.replicator.admin_url, "POST", "/_tandem/verify?index=moving&sample=%d" % percent)
            found = result(tandem, "moving")
            assert kinds(found) == {"missing": 0, "extra": 0, "different": 0}, found
        must(tandem.standby.url, "PUT", "/moving/_doc/stranger", {"live": -1})
        must(tandem.replicator.admin_url, "POST", "/_tandem/verify?index=moving&sample=100")
        found = result(tandem, "moving")
        assert kinds(found) == {"missing": 0, "extra": 1, "different": 0}, found


def test_empty_shards_and_all_indices_are_sampled_as_well(tandem):
    fill(tandem, "empty", 1, shards=5)
    must(tandem.replicator.admin_url, "POST", "/_tandem/verify?sample=0.1")
    report = ended(tandem)
    found = next(each for each in report["indices"] if each["index"] == "empty")
    assert found["sample"]["numbers"] == found["sample"]["of"] == 1, found
    assert report["objects"]["differences"] == [], report
