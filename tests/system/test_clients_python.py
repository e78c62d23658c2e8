"""test_clients_python.py - the official Python clients do through Tandem what they do with the engine itself.

The sessions are in support/clients/session.py, at the clients' own settings. After each the standby equals the primary.

SPDX-License-Identifier: Apache-2.0
"""

import os

import pytest

import clients
from shared import must, shared_tandem

SESSION = os.path.join(clients.HERE, "session.py")
LET_IN = [("opensearch-2.19", "opensearch-py"),
          pytest.param(("opensearch-1.3", "opensearch-py"), marks=pytest.mark.long),
          pytest.param(("elasticsearch-7.10", "elasticsearch-py-7"), marks=pytest.mark.long),
          pytest.param(("elasticsearch-8.8", "elasticsearch-py-7"), marks=pytest.mark.long),
          pytest.param(("elasticsearch-8.8", "elasticsearch-py-8"), marks=pytest.mark.long)]


@pytest.fixture(scope="module", params=LET_IN, ids="-".join)
def let_in(request):
    return request.param


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder, let_in):
    yield from shared_tandem(request, clusters, run_folder, kind=let_in[0])


@pytest.fixture
def client(let_in):
    return let_in[1]


def session(tandem, client, part):
    return clients.Session([clients.python(client), SESSION, client, tandem.primary.kind, tandem.url, part],
                           os.path.join(tandem.folder, part + ".log"))


@pytest.mark.parametrize("part", ["documents", "bulks", "reading", "asynchronous"])
def test_a_session_goes_as_with_the_engine(tandem, client, part):
    session(tandem, client, part).finish()
    tandem.wait_equal()


def test_a_client_that_sniffs_stays_on_tandem(tandem, client):
    tandem.wait_caught_up()
    before = tandem.proxy.status()["journal"]["last_seq"]
    session(tandem, client, "sniffing").finish()
    # Had it written past Tandem, the audit would have brought the documents over all the same, half a minute later.
    assert tandem.proxy.status()["journal"]["last_seq"] >= before + 30
    tandem.wait_equal()


def test_what_a_client_holds_for_written_outlives_kills_of_the_proxy(tandem, client):
    written = clients.write_through_restarts(tandem, session(tandem, client, "retries"))
    tandem.wait_equal()
    assert must(tandem.standby.url, "GET", "/retries-kept/_count")["count"] == written
