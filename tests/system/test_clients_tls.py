"""test_clients_tls.py - clients that sniff over TLS stay on Tandem, under the name that is in its certificate.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

import clients
from shared import shared_tandem
from test_http_tls import Authority

LET_IN = [("opensearch-2.19", "opensearch-py")] + [pytest.param(each, marks=pytest.mark.long) for each in (
    ("elasticsearch-7.10", "elasticsearch-py-7"), ("elasticsearch-8.8", "elasticsearch-py-8"),
    ("opensearch-2.19", "opensearch-js"), ("elasticsearch-7.10", "elasticsearch-js-7"),
    ("elasticsearch-8.8", "elasticsearch-js-8"))]


@pytest.fixture(scope="module", params=LET_IN, ids="-".join)
def let_in(request):
    return request.param


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"), "ours")


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder, let_in, authority):
    """Its certificate is for localhost, and not for the address at which it listens."""
    certificate, key = authority.issue("tandem", "DNS:localhost")
    yield from shared_tandem(request, clusters, run_folder, {
        "proxy.tls_certificate_file": certificate, "proxy.tls_key_file": key}, kind=let_in[0])


def test_a_client_that_sniffs_stays_on_tandem_under_the_name_it_called(tandem, let_in, authority):
    url = "https://localhost:" + tandem.url.rsplit(":", 1)[1]
    clients.sniff_and_write(let_in[1], tandem, url=url, ca_file=authority.certificate)
