"""test_clients_javascript.py - the official JavaScript clients do through Tandem what they do with the engine itself.

The sessions are in support/clients/session.js, at the clients' own settings. After each the standby equals the primary.

SPDX-License-Identifier: Apache-2.0
"""

import os

import pytest

import clients
from shared import must, shared_tandem

pytestmark = pytest.mark.long

SESSION = os.path.join(clients.HERE, "session.js")
LET_IN = [("opensearch-2.19", "opensearch-js"), ("elasticsearch-7.10", "elasticsearch-js-7"),
          ("elasticsearch-8.8", "elasticsearch-js-7"), ("elasticsearch-8.8", "elasticsearch-js-8"),
          ("elasticsearch-8.8", "opensearch-js")]


@pytest.fixture(scope="module", params=LET_IN, ids="-".join)
def let_in(request):
    return request.param


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder, let_in):
    yield from shared_tandem(request, clusters, run_folder, kind=let_in[0])


@pytest.fixture(scope="module")
def session(tandem, let_in):
    """Starts a part of the client's session."""
    environment = clients.node_environment()
    node = os.path.join(environment["PATH"].split(os.pathsep)[0], "node")
    return lambda part: clients.Session([node, SESSION, let_in[1], let_in[0], tandem.url, part],
                                        os.path.join(tandem.folder, part + ".log"), environment)


@pytest.mark.parametrize("part", ["documents", "bulks", "reading"])
def test_a_session_goes_as_with_the_engine(tandem, session, part):
    session(part).finish()
    tandem.wait_equal()


def test_a_client_that_sniffs_stays_on_tandem(tandem, session):
    tandem.wait_caught_up()
    before = tandem.proxy.status()["journal"]["last_seq"]
    session("sniffing").finish()
    # Had it written past Tandem, the audit would have brought the documents over all the same, half a minute later.
    assert tandem.proxy.status()["journal"]["last_seq"] >= before + 30
    tandem.wait_equal()


def test_what_a_client_holds_for_written_outlives_kills_of_the_proxy(tandem, session):
    written = clients.write_through_restarts(tandem, session("retries"))
    tandem.wait_equal()
    assert must(tandem.standby.url, "GET", "/retries-kept/_count")["count"] == written
