"""test_admin_access.py - who may use the admin addresses: tokens with roles, client certificates, load balancers.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import json
import os
import ssl
import subprocess
import urllib.error
import urllib.request

import pytest

from processes import wait_until
from shared import must, shared_tandem
from tandem import program, request
from test_http_tls import Authority

TOKENS = {"viewer": "viewer-0123456789abcdef", "operator": "operator-0123456789abcdef",
          "admin": "admin-0123456789abcdef"}


@pytest.fixture(scope="module")
def tandem(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder)


def private(folder, name, text):
    path = os.path.join(folder, name)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    return path


def tokens_file(folder):
    return private(folder, "tokens", "# who may what\n" + "".join(
        "%s %s-name %s\n" % (role, role, token) for role, token in TOKENS.items()))


def asked(daemon, path, method="GET", token=None, context=None):
    """Status and JSON."""
    url = daemon.admin_url.replace("http:", "https:") if context else daemon.admin_url
    fields = {"Authorization": "Bearer " + token} if token else {}
    call = urllib.request.Request(url + path, b"" if method == "POST" else None, fields, method=method)
    try:
        with urllib.request.urlopen(call, timeout=20, context=context) as answer:
            return answer.status, json.loads(answer.read() or "{}")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read() or "{}")


def ends_well(condition):
    try:
        return condition()
    except OSError:
        return False


@contextlib.contextmanager
def configured(tandem, settings, context=None):
    """Both daemons run with SETTINGS in the sections admin and ctl, and as before afterwards."""
    before = tandem.settings
    for daemon in tandem.daemons:
        daemon.stop()
    tandem.settings = dict(before, **settings)
    tandem.write_config()
    try:
        for daemon in tandem.daemons:
            daemon.spawn()
        for daemon in tandem.daemons:
            wait_until(lambda: ends_well(lambda: asked(daemon, "/ready", context=context)[0] == 200), 30, "it answers")
        yield
    finally:
        tandem.settings = before
        tandem.write_config()
        for daemon in tandem.daemons:
            daemon.stop()
            daemon.spawn()
        for daemon in tandem.daemons:
            daemon.wait_ready()


def ctl(tandem, *args, **environment):
    done = subprocess.run([program("tandemctl"), "--config", tandem.config] + list(args), capture_output=True,
                          text=True, timeout=60, env=dict(os.environ, **environment))
    return done.returncode, done.stdout + done.stderr


def test_load_balancers_ask_for_roles(tandem):
    must(tandem.url, "PUT", "/lb/_doc/1", {"n": 1})
    tandem.wait_caught_up()
    for path in ("/primary", "/read", "/ready", "/live"):
        status, said = asked(tandem.proxy, path)
        assert status == 200 and said["role"] == "primary" and said["timeline"] == 1, (path, said)
        head = request(tandem.proxy.admin_url, "HEAD", path)
        assert head.status == 200 and head.body == b"", head
    for path in ("/standby", "/standby?cluster=b", "/standby?cluster=b&lag=10s", "/ready", "/live"):
        status, said = asked(tandem.replicator, path)
        assert status == 200 and said["role"] == "standby", (path, said)
    assert asked(tandem.replicator, "/standby?cluster=c")[0] == 404
    assert asked(tandem.replicator, "/standby?lag=soon")[0] == 400
    for daemon in tandem.daemons:
        assert b"# TYPE tandem_" in request(daemon.admin_url, "GET", "/metrics").body
    tandem.ctl("pause", "b")
    status, said = asked(tandem.replicator, "/standby")
    assert status == 503 and said["state"] == "paused" and said["reason"], said
    tandem.ctl("resume", "b")
    wait_until(lambda: asked(tandem.replicator, "/standby")[0] == 200, 20, "it may be read again")


def test_tokens_have_roles(tandem, tmp_path):
    audit = str(tmp_path / "audit.jsonl")
    with configured(tandem, {"admin": {"tokens_file": tokens_file(str(tmp_path)), "audit_file": audit}}):
        assert asked(tandem.proxy, "/primary")[0] in (200, 503)  # a load balancer has no name
        for daemon in tandem.daemons:
            assert asked(daemon, "/_tandem/status")[0] == 401
            assert asked(daemon, "/_tandem/status", token="viewer-0123456789abcdeX")[0] == 401
            assert asked(daemon, "/_tandem/status", token=TOKENS["viewer"])[0] == 200
        wait_until(lambda: asked(tandem.replicator, "/standby")[0] == 200, 30, "it runs")
        status, said = asked(tandem.replicator, "/_tandem/pause", "POST", TOKENS["viewer"])
        assert status == 403 and "operator" in said["error"]["text"], said
        assert asked(tandem.replicator, "/_tandem/pause", "POST", TOKENS["operator"])[0] in (200, 202)
        assert asked(tandem.replicator, "/_tandem/resume", "POST", TOKENS["operator"])[0] in (200, 202)
        status, said = asked(tandem.replicator, "/_tandem/release", "POST", TOKENS["operator"])
        assert status == 403 and "admin" in said["error"]["text"], said
        assert asked(tandem.proxy, "/_tandem/adopt", "POST", TOKENS["operator"])[0] == 403
        assert asked(tandem.proxy, "/_tandem/hold", "POST", TOKENS["viewer"])[0] == 403
        wait_until(lambda: asked(tandem.proxy, "/_tandem/hold?max_ms=5000", "POST", TOKENS["operator"])[0] == 200, 30, "it holds")
        assert asked(tandem.proxy, "/_tandem/hold/end", "POST", TOKENS["viewer"])[0] == 403
        assert asked(tandem.proxy, "/_tandem/hold/end", "POST", TOKENS["operator"])[0] == 200
        # tandemctl reads the file itself where it may, or is told which token to use.
        assert ctl(tandem, "status")[0] in (0, 4), ctl(tandem, "status")
        assert ctl(tandem, "pause", "b")[0] == 0
        viewer = private(str(tmp_path), "viewer", TOKENS["viewer"] + "\n")
        code, said = ctl(tandem, "resume", "b", TANDEM_TOKEN_FILE=viewer)
        assert code == 2 and "viewer-name has the role viewer" in said, said
        assert ctl(tandem, "resume", "b")[0] == 0
        calls = [json.loads(line) for line in open(audit)]
        pauses = [(call["name"], call["role"], call["status"]) for call in calls
                  if call["method"] == "POST" and call["target"].startswith("/_tandem/pause")]
        assert pauses[0] == ("viewer-name", "viewer", 403) and pauses[1][:2] == ("operator-name", "operator"), pauses
        assert {"name": "", "role": "nobody", "status": 401}.items() <= next(
            call for call in calls if call["status"] == 401).items()
        assert not any(token in open(audit).read() for token in TOKENS.values())
        # Another token takes the place of those before, without a restart.
        private(str(tmp_path), "tokens", "admin new-name another-0123456789abcdef\n")
        for daemon in tandem.daemons:
            os.kill(daemon.child.pid, 1)
            wait_until(lambda: asked(daemon, "/_tandem/status", token=TOKENS["viewer"])[0] == 401, 20, "it is read again")
            assert asked(daemon, "/_tandem/status", token="another-0123456789abcdef")[0] == 200
        log = open(tandem.replicator.log_path).read()
        assert "/_tandem/pause by operator-name (operator) from 127.0.0.1" in log
        assert not any(token in log for token in TOKENS.values())


def test_client_certificates_are_names_too(tandem, tmp_path):
    for name in ("ours", "theirs"):
        os.mkdir(str(tmp_path / name))
    authority, stranger = (Authority(str(tmp_path / name), name) for name in ("ours", "theirs"))
    server = authority.issue("server", "IP:127.0.0.1")
    ann = authority.issue("ann", "DNS:ann", subject="/OU=operator/CN=ann")
    eve = stranger.issue("eve", "DNS:eve", subject="/OU=admin/CN=eve")
    settings = {"admin": {"tls_certificate_file": server[0], "tls_key_file": server[1],
                          "client_ca_file": authority.certificate},
                "ctl": {"ca_file": authority.certificate, "certificate_file": ann[0], "key_file": ann[1]}}

    def context(certificate=None):
        made = ssl.create_default_context(cafile=authority.certificate)
        if certificate:
            made.load_cert_chain(*certificate)
        return made
    with configured(tandem, settings, context()):
        assert asked(tandem.proxy, "/_tandem/status", context=context())[0] == 401
        assert asked(tandem.proxy, "/_tandem/status", context=context(ann))[0] == 200
        wait_until(lambda: asked(tandem.replicator, "/standby", context=context())[0] == 200, 30, "it runs")
        assert asked(tandem.replicator, "/_tandem/pause", "POST", context=context(ann))[0] in (200, 202)
        assert asked(tandem.replicator, "/_tandem/resume", "POST", context=context(ann))[0] in (200, 202)
        assert asked(tandem.proxy, "/_tandem/adopt", "POST", context=context(ann))[0] == 403
        with pytest.raises(OSError):
            asked(tandem.proxy, "/_tandem/status", context=context(eve))
        assert not ends_well(lambda: asked(tandem.proxy, "/ready")[0] == 200), "plain HTTP is answered too"
        assert ctl(tandem, "pause", "b")[0] == 0 and ctl(tandem, "resume", "b")[0] == 0
        code, said = ctl(tandem, "release", "b", "--yes")
        assert code == 2 and "ann has the role operator" in said, said


@pytest.mark.parametrize("settings, said", [
    ({"proxy": {"admin": "0.0.0.0:9280"}}, "admin.tokens_file"),
    ({"admin": {"tls_key_file": "/etc/tandem/key.pem"}}, "go together"),
    ({"admin": {"client_ca_file": "/etc/tandem/ca.pem"}}, "needs TLS"),
])
def test_what_would_be_open_to_all_is_refused(tandem, settings, said):
    before = tandem.settings
    try:
        tandem.settings = dict(before)
        for section, values in settings.items():
            tandem.settings[section] = dict(before.get(section, {}), **values)
        tandem.write_config()
        code, answer = ctl(tandem, "check-config")
        assert code == 2 and said in answer, answer
    finally:
        tandem.settings = before
        tandem.write_config()
