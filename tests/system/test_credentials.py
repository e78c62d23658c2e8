"""test_credentials.py - who asks as whom: clients as themselves, Tandem with the account of each cluster.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import itertools
import os

import pytest

from processes import wait_until
from scripted import SOON_S, scripted_tandem, source
from shared import lines

numbers = itertools.count()


def basic(account):
    return "Basic " + base64.b64encode(account.encode()).decode()


CLIENT = basic("client:secret-of-the-client")
PRIMARY = basic("tandem-a:secret-of-a")
STANDBY = "ApiKey c2VjcmV0LW9mLWI="


@pytest.fixture(scope="module")
def tandem(request, run_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("credentials")

    def secret(name, text):
        path = str(folder / name)
        with open(path, "w") as file:
            file.write(text + "\n")
        os.chmod(path, 0o600)
        return path
    yield from scripted_tandem(request, run_folder, {
        "primary.credentials_file": secret("a", "tandem-a:secret-of-a"),
        "standbys.credentials_file": secret("b", STANDBY)})


@pytest.fixture
def index(tandem):
    name = tandem.index("books-%d" % next(numbers))
    yield name
    tandem.heal()


def fresh(tandem):
    tandem.wait_caught_up()
    for fake in (tandem.a, tandem.b):
        fake.clear_log()


def accounts(fake, *parts):
    """As whom was asked for what has one of PARTS in its target (none: for anything); the tests' own are not in it."""
    asked = fake.log()["requests"]
    return {each["authorization"] for each in asked
            if not parts or any(part in each["target"] for part in parts)}


def send(tandem, method, path, body=None, account=CLIENT):
    return tandem.request(method, path, body, {"Authorization": account} if account else None)


@pytest.mark.parametrize("account", [CLIENT, "Bearer client-token", ""])
def test_the_clients_own_account_reaches_the_primary_on_writes(tandem, index, account):
    fresh(tandem)
    for method, path, body in (
            ("PUT", "/_doc/1", {"n": 1}), ("POST", "/_doc", {"n": 1}), ("PUT", "/_create/2", {"n": 1}),
            ("POST", "/_update/1", {"doc": {"n": 2}}), ("POST", "/_bulk", lines({"index": {"_id": "3"}}, {"n": 1})),
            ("DELETE", "/_doc/2", None), ("PUT", "/_mapping", {"properties": {"k": {"type": "keyword"}}})):
        answer = send(tandem, method, "/" + index + path, body, account)
        assert answer.status in (200, 201), answer
    send(tandem, "GET", "/%s/_doc/1" % index, account=account)
    tandem.wait_caught_up()
    asked = [each for each in tandem.a.log()["requests"] if each["target"].startswith("/%s/_" % index)
             and "/_stats" not in each["target"]]
    assert len(asked) == 8 and {each["authorization"] for each in asked} == {account}, asked
    assert accounts(tandem.a) <= {account, PRIMARY}
    tandem.equal(index)


def test_the_follower_asks_with_tandems_own_account(tandem, index):
    fresh(tandem)
    wait_until(lambda: accounts(tandem.a, "/_cluster/state"), SOON_S, "the version is asked for")
    answer = send(tandem, "PUT", "/%s/_mapping" % index, {"properties": {"l": {"type": "long"}}})
    assert answer.status == 200, answer
    wait_until(lambda: accounts(tandem.a, "/_cluster/state/version,metadata"), SOON_S, "the state is read")
    assert accounts(tandem.a, "/_cluster/state") == {PRIMARY}


def test_probes_ask_with_tandems_own_account(tandem, index):
    fresh(tandem)
    tandem.a.fault("reset_after", prefix="/%s/_doc/x" % index)
    assert send(tandem, "PUT", "/%s/_doc/x" % index, {"n": 1}).status == 504
    tandem.wait_caught_up()
    for part in ("primary_terms", "/_stats", "/_mget"):
        assert accounts(tandem.a, part) == {PRIMARY}, part
    tandem.equal(index)
    assert source(tandem.b, index, "x") == {"n": 1}


def test_captures_ask_with_tandems_own_account(tandem):
    answer = send(tandem, "PUT", "/_ingest/pipeline/mark", {"processors": [{"set": {"field": "m", "value": 1}}]})
    assert answer.status == 200, answer
    index = tandem.index("piped", **{"index.default_pipeline": "mark"})
    fresh(tandem)
    assert send(tandem, "PUT", "/%s/_doc/x" % index, {"n": 1}).headers["x-tandem-outcome"] == "applied"
    assert accounts(tandem.a, "/_mget") == {PRIMARY} and accounts(tandem.a, "/_doc/x") == {CLIENT}
    tandem.equal(index)
    assert source(tandem.b, index, "x") == {"n": 1, "m": 1}


def test_a_client_reads_with_its_own_account_what_tandem_reads_with_another(tandem, index):
    fresh(tandem)
    send(tandem, "POST", "/_mget", {"docs": [{"_index": index, "_id": "x"}]})
    assert accounts(tandem.a, "/_mget") == {CLIENT}


def test_the_standby_is_asked_as_the_replicator_and_never_as_the_client(tandem, index):
    fresh(tandem)
    tandem.replicator.restart()
    assert send(tandem, "PUT", "/%s/_doc/x" % index, {"n": 1}).status == 201
    assert send(tandem, "PUT", "/%s-new" % index, {"settings": {"number_of_shards": 1}}).status == 200
    assert send(tandem, "PUT", "/%s-new/_doc/x" % index, {"n": 1}).status == 201
    tandem.wait_caught_up()
    assert accounts(tandem.b, "/_bulk") == {STANDBY}
    assert accounts(tandem.b) == {STANDBY}
    tandem.equal(index, index + "-new")


def test_no_secret_stands_in_logs_status_or_journal(tandem, index):
    assert send(tandem, "PUT", "/%s/_doc/x" % index, {"n": 1}).status == 201
    shown = [tandem.ctl("journal", "dump"), tandem.ctl("status", check=False)]
    for daemon in tandem.daemons:
        shown += [str(daemon.status()), daemon.metrics()]
        with open(daemon.log_path) as file:
            shown.append(file.read())
    for secret in ("secret-of", CLIENT.split()[1], PRIMARY.split()[1], STANDBY.split()[1]):
        assert not any(secret in text for text in shown), secret
    with open(os.path.join(tandem.folder, "journal", "data.mdb"), "rb") as file:
        stored = file.read()
    assert b"secret-of" not in stored and CLIENT.split()[1].encode() not in stored
