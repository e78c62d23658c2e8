"""test_http_tls.py - TLS on both sides: verified by default, and closed when anything is wrong with it.

SPDX-License-Identifier: Apache-2.0
"""

import os
import socket
import ssl
import subprocess

import pytest

from fake_primary import Client, FakePrimary, Proxy, answer, get


class Authority:
    """Makes certificates in FOLDER with the openssl command."""

    def __init__(self, folder, name):
        self.folder, self.name = str(folder), name
        self.key, self.certificate = self.path(name + ".key"), self.path(name + ".pem")
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                 "-subj", "/CN=" + name, "-keyout", self.key, "-out", self.certificate)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *args):
        subprocess.run(["openssl"] + list(args), check=True, capture_output=True, cwd=self.folder)

    def issue(self, name, alternative, expired=False, subject=None):
        """A certificate for ALTERNATIVE ("DNS:localhost"); the paths of certificate and key."""
        key, request, certificate, extra = (self.path(name + end) for end in (".key", ".csr", ".pem", ".ext"))
        with open(extra, "w") as file:
            file.write("subjectAltName=%s\n" % alternative)
        self.run("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject or "/CN=" + name,
                 "-keyout", key, "-out", request)
        # openssl x509 knows no other way to make one that has expired.
        self.run("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                 "-extfile", extra, "-days", "-1" if expired else "2", "-out", certificate)
        os.chmod(key, 0o600)
        return certificate, key


def server_tls(certificate, key, highest=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if highest is not None:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = highest
        context.set_ciphers("ALL:@SECLEVEL=0")
    return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"), "ours")


@pytest.fixture(scope="module")
def good(authority):
    return authority.issue("good", "DNS:localhost,IP:127.0.0.1")


def through(primary, settings):
    proxy = Proxy([primary.url], settings)
    try:
        return get(proxy.port), proxy.log()
    finally:
        proxy.stop()
        primary.stop()


def test_a_verified_primary_is_used(authority, good):
    body = os.urandom(3000000)
    primary = FakePrimary(lambda request, connection: answer(200, request.body or body), tls=server_tls(*good))
    proxy = Proxy([primary.url], {"primary.ca_file": authority.certificate})
    try:
        assert get(proxy.port).body == body
        assert get(proxy.port, method="POST", body=body).body == body
        before = primary.connections
        for _ in range(20):
            assert get(proxy.port).body == body
        assert primary.connections == before  # they are kept
    finally:
        proxy.stop()
        primary.stop()


@pytest.mark.parametrize("wrong", ["name", "authority", "expired", "plain text", "old version"])
def test_what_cannot_be_verified_is_refused_with_the_reason(authority, good, tmp_path, wrong):
    issued = {"name": lambda: authority.issue("other", "DNS:other.example"),
              "authority": lambda: Authority(tmp_path, "theirs").issue("theirs-good", "IP:127.0.0.1"),
              "expired": lambda: authority.issue("expired", "IP:127.0.0.1", expired=True)}.get(wrong, lambda: good)()
    tls = server_tls(*issued, highest=ssl.TLSVersion.TLSv1_1 if wrong == "old version" else None)
    primary = FakePrimary(tls=None if wrong == "plain text" else tls)
    proxy = Proxy([primary.url.replace("http:", "https:")], {"primary.ca_file": authority.certificate},
                  active=False)
    try:
        got = get(proxy.port, method="POST", body=b"{}")
    finally:
        proxy.stop()
        primary.stop()
    assert got.status == 503 and got.get("X-Tandem-Outcome") == "not-applied"
    assert primary.requests == []
    reason = {"name": b"mismatch", "authority": b"issuer", "expired": b"expired"}.get(wrong, b"")
    assert reason in got.body


def test_verification_can_be_switched_off_and_says_so(tmp_path):
    theirs = Authority(tmp_path, "theirs").issue("x", "DNS:other.example")
    got, log = through(FakePrimary(tls=server_tls(*theirs)), {"primary.insecure_skip_verify": True})
    assert got.status == 200 and "not verified" in log


@pytest.fixture
def secure(authority, good):
    primary = FakePrimary(lambda request, connection: answer(200, request.target.encode() + request.body))
    proxy = Proxy([primary.url], {"proxy.tls_certificate_file": good[0], "proxy.tls_key_file": good[1],
                                  "proxy.head_timeout": "1s"})
    yield proxy
    proxy.stop()
    primary.stop()


def trusting(authority):
    context = ssl.create_default_context(cafile=authority.certificate)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def test_clients_speak_tls(authority, secure):
    body = os.urandom(1000000)
    with Client(secure.port, tls=trusting(authority)) as client:
        assert client.sock.selected_alpn_protocol() == "http/1.1"
        client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert client.read().body == b"/bench/_search" + body
        client.send(b"".join(b"GET /bench/_search?%d HTTP/1.1\r\nHost: t\r\n\r\n" % i for i in range(50)))
        for i in range(50):
            assert client.read().body == b"/bench/_search?%d" % i
        client.send(b"GET /a b HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.read().status == 400
        assert client.closed()


def test_a_slow_reader_over_tls_gets_all_of_it(authority, good):
    body = os.urandom(20 << 20)
    primary = FakePrimary(lambda request, connection: answer(200, body), tls=server_tls(*good))
    proxy = Proxy([primary.url], {"proxy.tls_certificate_file": good[0], "proxy.tls_key_file": good[1],
                                  "primary.ca_file": authority.certificate})
    try:
        with Client(proxy.port, tls=trusting(authority)) as client:
            client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
            client.until(b"\r\n\r\n")
            before = proxy.memory()
            assert get(proxy.port, tls=trusting(authority), method="HEAD").status == 200
            got = client.exactly(len(body))
            assert got == body and proxy.memory() - before < 8 << 20
    finally:
        proxy.stop()
        primary.stop()


def test_a_slow_reader_of_short_records_gets_all_of_it(authority, good):
    """RFC 6066: a client may ask for records of 512 bytes. What was gathered for one goes out in many, with pauses."""
    body = os.urandom(1 << 18).hex().encode()
    primary = FakePrimary(lambda request, connection: answer(200, body))
    proxy = Proxy([primary.url], {"proxy.tls_certificate_file": good[0], "proxy.tls_key_file": good[1]})
    client = subprocess.Popen(["openssl", "s_client", "-quiet", "-no_ign_eof", "-maxfraglen", "512", "-tls1_2", "-CAfile",
                               authority.certificate, "-connect", "127.0.0.1:%d" % proxy.port],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        for _ in range(8):  # pipelined: each next answer begins behind one that is not read yet
            client.stdin.write(b"GET /_search HTTP/1.1\r\nHost: x\r\n\r\n")
        client.stdin.flush()
        got = bytearray()
        while (len(got) <= 8 * len(body) or not got.endswith(body[-64:])) and (more := client.stdout.read1(700)):
            got += more
        assert got.count(body) == 8 and got.count(b"HTTP/1.1 200") == 8
        assert get(proxy.port, tls=trusting(authority)).status == 200
    finally:
        client.kill()
        client.communicate()
        proxy.stop()
        primary.stop()


def test_plain_text_and_half_handshakes_are_given_up(authority, secure):
    with Client(secure.port) as client:
        client.send(b"GET /bench/_search HTTP/1.1\r\nHost: t\r\n\r\n")
        assert client.closed()
    silent = [Client(secure.port) for _ in range(20)]
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        Client(secure.port, tls=old)
    assert get(secure.port, tls=trusting(authority)).status == 200
    for client in silent:
        assert client.closed()


def test_a_tls_client_that_cuts_the_connection_harms_nobody(authority, secure):
    for _ in range(20):
        client = Client(secure.port, tls=trusting(authority))
        client.send(b"POST /bench/_search HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\nhalf")
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sock.close()
    assert get(secure.port, tls=trusting(authority)).status == 200
