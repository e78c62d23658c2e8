"""test_conformance.py - what passes of the engines' own REST tests passes through Tandem, and the standby is equal.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib

import pytest

import compare
import engine
from conformance import PASSED, Conformance
from rest_suite import Suite
from shared import shared_tandem

OPENSEARCH = ("org.opensearch:rest-api-spec:2.19.0", "opensearch-2.19")
ELASTICSEARCH = ("org.elasticsearch:rest-api-spec:7.10.2", "elasticsearch-7.10")
# What writes documents, and changes definitions: in each run.
SELECTION = ("bulk create delete get index mget update "
             "indices.create indices.delete indices.put_mapping indices.update_aliases").split()
# What is refused on purpose (docs/compatibility.md), by the call that is refused: why.
REFUSED = {OPENSEARCH: {}, ELASTICSEARCH: {}}


@pytest.fixture
def compared(request, clusters, run_folder):
    """Runs the folders of a suite for which WANTED is true."""
    def run(suite, wanted, refused):
        artifact, kind = suite
        tests = Conformance(Suite(artifact, engine.KINDS[kind]["version"]), wanted, refused)
        with contextlib.contextmanager(shared_tandem)(
                request, clusters, run_folder, {"replicate.exclude": list(compare.EXCLUDED)},
                kind=kind) as tandem:
            tests.run_through(tandem)
        tests.run_directly(tandem.primary)
        tests.check()
        return tests
    return run


@pytest.mark.limit(600)
def test_writes_and_definitions_pass_through_tandem(compared):
    assert compared(OPENSEARCH, SELECTION.__contains__, {}).count(PASSED) >= 100


@pytest.mark.long
@pytest.mark.limit(3600)
@pytest.mark.parametrize("suite", [OPENSEARCH, ELASTICSEARCH], ids=["opensearch", "elasticsearch"])
def test_a_whole_suite_passes_through_tandem(compared, suite):
    assert compared(suite, lambda folder: True, REFUSED[suite]).count(PASSED) >= 1200
