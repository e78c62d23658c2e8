"""test_conformance.py - the engines' own REST tests: what passes directly passes through Tandem, and the standby is equal.

Each test runs against an engine without Tandem first; where it fails there, or is not for it, nothing is asked of Tandem.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

import clusters as all_clusters
import compare
from processes import wait_until
from rest_suite import Failed, Run, Skipped, Suite
from shared import shared_tandem
from tandem import request

SUITE = ("org.opensearch:rest-api-spec:2.19.0", "2.19.1")
# What writes documents, and changes definitions.
WRITING = ("bulk create delete exists get get_source index mget update indices.create indices.delete indices.put_alias "
           "indices.update_aliases indices.put_mapping indices.put_settings indices.delete_alias").split()
# file::test -> why it is not the same through Tandem.
KNOWN = {
    "bulk/10_basic.yml::Empty _id": "an empty id refuses the whole bulk, not its item",
    "bulk/10_basic.yml::Empty _id with op_type create": "an empty id refuses the whole bulk, not its item",
    "bulk/10_basic.yml::empty action": "it is refused in other words",
}


@pytest.fixture(scope="module")
def suite():
    return Suite(*SUITE)


@pytest.fixture(scope="module")
def direct(clusters):
    (engine,) = clusters.get("opensearch-2.19", ("direct",))
    return engine


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"replicate.exclude": list(compare.EXCLUDED)})


def make_empty(url):
    """As clusters.make_empty(), but for Tandem's own index on its primary."""
    request(url, "DELETE", "/*?expand_wildcards=open,closed")
    with compare.Cluster(url) as cluster:
        state = cluster.ask("GET", "/_cluster/state/metadata?filter_path=metadata.indices.*.state")
        for name in state.get("metadata", {}).get("indices", {}):
            if not name.startswith(".tandem"):
                request(url, "DELETE", "/" + name)
        for what, read in compare.GLOBALS:
            for name, value in read(cluster).items():
                if not compare.built_in(name, value):
                    request(url, "DELETE", all_clusters.PATHS[what] + name)
    request(url, "PUT", "/_cluster/settings", {"persistent": {"*": None}, "transient": {"*": None}})


def outcome(suite, url, sections, steps):
    """None when the test passes at URL, else what is wrong; Skipped goes through."""
    setup, teardown = sections
    make_empty(url)
    try:
        Run(suite, url).test(setup, teardown, steps)
    except Failed as error:
        return str(error)
    return None


def run_file(suite, direct, tandem, name):
    """(how many passed, lines that say what differs)."""
    setup, teardown, tests = suite.tests(name)
    passed, wrong = 0, []
    for title, steps in tests.items():
        key = "%s::%s" % (name, title)
        try:
            if key in KNOWN or outcome(suite, direct.url, (setup, teardown), steps) is not None:
                continue
        except Skipped:
            continue
        error = outcome(suite, tandem.url, (setup, teardown), steps)
        try:
            tandem.wait_equal()
        except AssertionError as differs:
            error = "%s; the standby differs: %s" % (error, differs)
        passed += error is None
        wrong += [] if error is None else ["%s: %s" % (key, error)]
    return passed, wrong


def run_files(suite, direct, tandem, wanted):
    passed, wrong = 0, []
    for name in suite.files():
        if wanted(name.split("/")[0]):
            more, said = run_file(suite, direct, tandem, name)
            passed += more
            wrong += said
    make_empty(tandem.url)
    wait_until(tandem.caught_up, 60, "the end")
    print("%d tests of the engine's own pass through Tandem" % passed)
    assert not wrong, "\n".join(wrong)
    return passed


@pytest.mark.long
@pytest.mark.limit(900)
def test_writes_and_definitions_pass_through_tandem(suite, direct, tandem):
    assert run_files(suite, direct, tandem, WRITING.__contains__) >= 100
