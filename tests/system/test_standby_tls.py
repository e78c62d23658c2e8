"""test_standby_tls.py - TLS to the standby: verified by default; what cannot be verified gets not one row.

A gate in front of the scripted standby speaks TLS for it.

SPDX-License-Identifier: Apache-2.0
"""

import json

import pytest

from fake import Gate
from fake_primary import get
from processes import wait_until
from scripted import SOON_S, scripted_tandem, source
from shared import lines
from test_http_tls import Authority, authority, good, server_tls, trusting  # noqa: F401 (fixtures)

def secure(request, run_folder, tls, ca_file, more=None, both=False, equal=True):
    gates = []

    def settings(a, b):
        gates.append(Gate(b, tls))
        chosen = dict({"standbys.urls": [gates[0].url], "standbys.ca_file": ca_file}, **(more or {}))
        if both:
            gates.append(Gate(a, tls))
            chosen.update({"primary.urls": [gates[1].url], "primary.ca_file": ca_file})
        return chosen
    for running in scripted_tandem(request, run_folder, settings, equal=equal):
        running.gate = gates[0]
        yield running
    for gate in gates:
        gate.shut()


@pytest.fixture
def tandem(request, run_folder, authority, good):  # noqa: F811
    yield from secure(request, run_folder, server_tls(*good), authority.certificate)


@pytest.fixture
def both(request, run_folder, authority, good):  # noqa: F811
    yield from secure(request, run_folder, server_tls(*good), authority.certificate,
                      {"proxy.tls_certificate_file": good[0], "proxy.tls_key_file": good[1]}, both=True)


@pytest.fixture
def wrong(request, run_folder, authority, good, tmp_path):  # noqa: F811
    theirs = Authority(tmp_path, "theirs")
    yield from secure(request, run_folder, server_tls(*good), theirs.certificate, equal=False)


def test_rows_and_definitions_travel_over_tls(tandem):
    index = tandem.index("books")
    before = tandem.gate.bytes
    tandem.put(index, "x", {"text": "x" * 300_000})
    tandem.put(index, "y", {"n": 1})
    assert tandem.request("DELETE", "/books/_doc/y").status == 200
    tandem.equal(index)
    assert source(tandem.b, index, "x") == {"text": "x" * 300_000} and source(tandem.b, index, "y") is None
    assert tandem.gate.bytes - before > 300_000  # that is the way they took


def test_a_write_over_tls_from_the_client_to_the_standby(both, authority):  # noqa: F811
    port = int(both.url.rsplit(":", 1)[1])

    def send(method, target, body):
        return get(port, target, method, (), body, tls=trusting(authority))
    body = json.dumps({"text": "x" * 2_000_000}).encode()
    got = send("PUT", "/books/_doc/x", body)
    assert (got.status, got.get("X-Tandem-Outcome")) == (201, "applied"), got.body
    got = send("POST", "/books/_bulk", lines({"index": {"_id": "y"}}, {"n": 1}, {"delete": {"_id": "x"}}).encode())
    assert (got.status, got.get("X-Tandem-Outcome")) == (200, "applied"), got.body
    both.equal("books")
    assert source(both.b, "books", "y") == {"n": 1} and source(both.b, "books", "x") is None


def problems(tandem):
    return " ".join(each["text"] for each in tandem.replicator.status()["problems"])


def test_a_standby_that_cannot_be_verified_gets_nothing(wrong):
    answer = wrong.request("PUT", "/books/_doc/x", {"n": 1})
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (201, "applied"), answer
    wait_until(lambda: "cannot be reached" in problems(wrong), SOON_S, "it is shown")
    assert wrong.replicator.standby_status()["applied_seq"] == 0
    # Only the fixture looked, past the gate, whether it runs.
    assert wrong.gate.bytes == 0 and {each["target"] for each in wrong.b.log()["requests"]} == {"/"}
    assert "cannot be reached" in wrong.ctl("status", check=False)
    with open(wrong.replicator.log_path) as file:
        assert "certificate" in file.read()


def test_the_status_says_why_a_standby_cannot_be_verified(wrong):
    wait_until(lambda: problems(wrong), SOON_S, "it is shown")
    assert "certificate" in problems(wrong), problems(wrong)
