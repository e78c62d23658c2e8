"""test_clients.py - the official clients of Python and JavaScript do through Tandem what they do with the engine itself.

The sessions are in support/clients/session.py and session.js, at the clients' own settings. After each the standby
equals the primary.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

import clients
from shared import shared_tandem

LET_IN = [("opensearch-2.19", "opensearch-py")] + [pytest.param(each, marks=pytest.mark.long) for each in (
    ("opensearch-1.3", "opensearch-py"), ("elasticsearch-7.10", "elasticsearch-py-7"),
    ("elasticsearch-8.8", "elasticsearch-py-7"), ("elasticsearch-8.8", "elasticsearch-py-8"),
    ("opensearch-2.19", "opensearch-js"), ("elasticsearch-7.10", "elasticsearch-js-7"),
    ("elasticsearch-8.8", "elasticsearch-js-7"), ("elasticsearch-8.8", "elasticsearch-js-8"),
    ("elasticsearch-8.8", "opensearch-js"))]


@pytest.fixture(scope="module", params=LET_IN, ids="-".join)
def let_in(request):
    return request.param


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder, let_in):
    yield from shared_tandem(request, clusters, run_folder, kind=let_in[0])


@pytest.fixture
def client(let_in):
    return let_in[1]


@pytest.mark.parametrize("part", ["documents", "bulks", "reading", "asynchronous"])
def test_a_session_goes_as_with_the_engine(tandem, client, part):
    if part == "asynchronous" and "-js" in client:
        pytest.skip("a JavaScript client is asynchronous in every part")
    clients.session(client, tandem, part).finish()
    tandem.wait_equal()


def test_writes_by_query_go_as_with_the_engine(tandem, client):
    if tandem.primary.kind == "elasticsearch-8.8":
        pytest.skip("the tests' Elasticsearch 8.8 has no writes by query")
    clients.session(client, tandem, "by_query").finish()
    tandem.wait_equal()


def test_a_client_that_sniffs_stays_on_tandem(tandem, client):
    clients.sniff_and_write(client, tandem)


def test_what_a_client_holds_for_written_outlives_kills_of_the_proxy(tandem, client):
    clients.kill_proxy_and_write(client, tandem)


@pytest.mark.long
def test_what_a_client_holds_for_written_outlives_kills_of_the_primary(tandem, client):
    clients.kill_primary_and_write(client, tandem)
