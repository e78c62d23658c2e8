"""fake_primary.py - a primary that says exactly the bytes a test wants, and the proxy in front of it.

FakePrimary answers what Tandem itself asks (one empty cluster with an index `bench`) and hands every
other request to the test's handler:

    def handler(request, connection):        # request: method, target, fields, body, raw head
        return answer(200, b"{}")            # bytes sent as they are, or None: it did all itself

A connection of its own thread each. `requests` lists what came, `connections` counts.
TANDEM_PROXY_BIN names another program to test instead of tandem-proxy.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import resource
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import processes
import tandem
from listener import Listener
from tandem import program, yaml

UUID = "YmVuY2gtaW5kZXgtdXVpZA"
CLUSTER = "ZmFrZS1jbHVzdGVyLXV1aWQ"


def answer(status, body=b"", fields=(), reason="OK", length=True):
    """The bytes of an answer; FIELDS are (name, value) pairs."""
    head = "HTTP/1.1 %d %s\r\n" % (status, reason)
    head += "".join("%s: %s\r\n" % field for field in fields)
    if length:
        head += "content-length: %d\r\n" % len(body)
    return head.encode("latin-1") + b"\r\n" + body


def chunked(*parts):
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def fields_of(line):
    name, value = line.split(":", 1)
    return name, value.strip(" ")


class Request:
    def __init__(self, head):
        self.head = head
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = lines[0].split(" ")
        self.fields = [fields_of(line) for line in lines[1:] if line]
        self.body = b""
        self.came_chunked = False

    def get(self, name):
        return next((v for n, v in self.fields if n.lower() == name.lower()), None)


class Reader:
    """Reads a socket by lines and counts, and keeps what came early."""

    def __init__(self, sock):
        self.sock = sock
        self.data = b""

    def more(self):
        got = self.sock.recv(1 << 16)
        self.data += got
        return got != b""

    def until(self, end):
        while end not in self.data:
            if not self.more():
                raise EOFError(self.data)
        at = self.data.index(end) + len(end)
        taken, self.data = self.data[:at], self.data[at:]
        return taken

    def exactly(self, count):
        taken, self.data = bytearray(self.data[:count]), self.data[count:]
        while len(taken) < count:
            got = self.sock.recv(min(count - len(taken), 1 << 20))
            if not got:
                raise EOFError(bytes(taken))
            taken += got
        return bytes(taken)

    def chunks(self):
        body = b""
        while True:
            size = int(self.until(b"\r\n")[:-2], 16)
            body += self.exactly(size)
            assert self.exactly(2) == b"\r\n"
            if size == 0:
                return body


class Connection(Reader):
    """Of the fake primary: a test may read and write it as it likes."""

    def __init__(self, sock, number):
        super().__init__(sock)
        self.number = number

    def read_body(self, request):
        if (request.get("Transfer-Encoding") or "").lower() == "chunked":
            request.came_chunked = True
            request.body = self.chunks()
        else:
            request.body = self.exactly(int(request.get("Content-Length") or 0))

    def send(self, data):
        self.sock.sendall(data)

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


STATE = {"cluster_uuid": CLUSTER, "version": 7, "metadata": {
    "templates": {}, "index-graveyard": {"tombstones": []}, "indices": {"bench": {
        "version": 3, "mapping_version": 1, "settings_version": 1, "aliases_version": 1,
        "state": "open", "settings": {"index": {"uuid": UUID, "number_of_shards": "1"}},
        "routing_num_shards": 1024, "primary_terms": {"0": 1}}}}}
DEFINITION = {"bench": {"aliases": {}, "mappings": {}, "settings": {"index": {
    "creation_date": "1700000000000", "number_of_shards": "1", "number_of_replicas": "0",
    "uuid": UUID, "version": {"created": "136407827"}, "provided_name": "bench"}}}}
STATS = {"indices": {"bench": {"shards": {"0": [{
    "routing": {"state": "STARTED", "primary": True, "node": "n"},
    "seq_no": {"max_seq_no": -1, "local_checkpoint": -1, "global_checkpoint": -1}}]}}}}
ROOT = {"name": "fake", "cluster_name": "fake", "cluster_uuid": CLUSTER, "version": {
    "distribution": "opensearch", "number": "2.19.1", "build_type": "tar",
    "lucene_version": "9.12.1", "minimum_wire_compatibility_version": "7.10.0",
    "minimum_index_compatibility_version": "7.0.0"}}


def tandems_own(request):
    """What Tandem asks for itself; None: it is a client's request."""
    path = request.target.split("?")[0]
    if request.method == "GET" and path == "/":
        found = ROOT
    elif path.startswith("/_cluster/state/version,metadata"):
        found = STATE
    elif path.startswith("/_cluster/state"):
        found = {"cluster_uuid": CLUSTER, "version": 7}
    elif request.method == "GET" and path == "/bench" and "ignore_unavailable" in request.target:
        found = DEFINITION
    elif path.endswith("/_stats/docs"):
        found = STATS
    elif path.startswith("/.tandem/"):
        status, found = (404, {}) if request.method == "GET" else (201, {"result": "created"})
        return answer(status, json.dumps(found).encode(), [("content-type", "application/json")])
    elif path in ("/_template", "/_index_template", "/_component_template", "/_ingest/pipeline"):
        found = {}
    else:
        return None
    return answer(200, json.dumps(found).encode(), [("content-type", "application/json")])


class FakePrimary:
    def __init__(self, handler=None, tls=None):
        self.handler = handler or (lambda request, connection: answer(200, b"{}"))
        self.tls = tls
        self.requests = []  # of clients, in the order they came
        self.connections = 0
        self.port = processes.free_port()
        self.open = set()
        self.lock = threading.Lock()
        self.listen()

    def listen(self):
        self.listener = Listener(self.port, self._serve, backlog=512)

    @property
    def url(self):
        return "%s://127.0.0.1:%d" % ("https" if self.tls else "http", self.port)

    def _serve(self, sock):
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with self.lock:
                self.connections += 1
                connection = Connection(sock, self.connections)
                self.open.add(sock)
            while True:
                request = Request(connection.until(b"\r\n\r\n"))
                own = tandems_own(request)
                if own is None:
                    with self.lock:
                        self.requests.append(request)
                    if not getattr(self.handler, "reads_body", False):
                        connection.read_body(request)
                    own = self.handler(request, connection)
                if own is not None:
                    connection.send(own)
        except (OSError, EOFError, ValueError):
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            sock.close()

    def close_connections(self):
        with self.lock:
            open_now = list(self.open)
        for sock in open_now:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.listener.close()
        self.close_connections()


def reads_body(handler):
    """Marks a handler that reads the request's body itself, or not at all."""
    handler.reads_body = True
    return handler


class Answer:
    def __init__(self, head, body):
        self.head, self.body = head, body
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.fields = [fields_of(line) for line in lines[1:] if line]

    def get(self, name):
        return next((v for n, v in self.fields if n.lower() == name.lower()), None)

    def names(self):
        return [name for name, _ in self.fields]


class Client(Reader):
    """A client that sends and reads bytes, and knows just enough to find the end of an answer."""

    def __init__(self, port, timeout_s=15, tls=None, name="localhost"):
        sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(tls.wrap_socket(sock, server_hostname=name) if tls else sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def send(self, data):
        self.sock.sendall(data)
        return self

    def read(self, method="GET"):
        """The next answer that is not a 1xx."""
        head = self.until(b"\r\n\r\n")
        got = Answer(head, b"")
        if 100 <= got.status < 200:
            return self.read(method)
        if method == "HEAD" or got.status in (204, 304):
            return got
        if got.get("Transfer-Encoding") == "chunked":
            got.body = self.chunks()
        elif got.get("content-length") is not None:
            got.body = self.exactly(int(got.get("content-length")))
        else:
            got.body = self.rest()
        return got

    def rest(self):
        """Everything until the other side closes; an end by reset is an error."""
        while self.more():
            pass
        taken, self.data = self.data, b""
        return taken

    def closed(self):
        """True when the other side closes without another byte."""
        try:
            return self.rest() == b""
        except ConnectionResetError:
            return True


def get(port, target="/bench/_search", method="GET", fields=(), body=None, host="tandem", **options):
    """One request on a connection of its own."""
    head = "%s %s HTTP/1.1\r\nHost: %s\r\n" % (method, target, host)
    head += "".join("%s: %s\r\n" % field for field in fields)
    if body is not None:
        head += "Content-Length: %d\r\nContent-Type: application/json\r\n" % len(body)
    with Client(port, **options) as client:
        return client.send(head.encode("latin-1") + b"\r\n" + (body or b"")).read(method)


class Proxy:
    """tandem-proxy in front of PRIMARIES (URLs), with a journal of its own."""

    def __init__(self, primaries, settings=None, rlimit_files=None, active=True):
        self.folder = tempfile.mkdtemp(prefix="tandem-http-")
        self.port, admin = processes.free_port(), processes.free_port()
        values = {"log": {"level": "info"}, "proxy": {"listen": "127.0.0.1:%d" % self.port,
                                                       "admin": "127.0.0.1:%d" % admin},
                  "primary": {"urls": list(primaries)},
                  "journal": {"folder": os.path.join(self.folder, "journal")},
                  "standbys": [{"name": "b", "urls": ["http://127.0.0.1:1"],
                                "folder": os.path.join(self.folder, "b")}]}
        for name, value in (settings or {}).items():
            section, key = name.split(".")
            values[section][key] = value
        self.config = os.path.join(self.folder, "tandem.yml")
        with open(self.config, "w") as file:
            file.write(yaml(values) + "\n")
        self.log_path = os.path.join(self.folder, "proxy.log")
        self.rlimit_files = rlimit_files
        self.admin = admin
        os.mkdir(os.path.join(self.folder, "journal"))
        with open(os.path.join(self.folder, "journal", "adopt"), "w"):
            pass  # a new journal is meant: the primary need not be asked
        self.start(active)

    def start(self, active=True):
        """ACTIVE: wait until writes are admitted, which needs a primary that can be reached."""
        own = os.environ.get("TANDEM_PROXY_BIN")
        args = [own, self.config] if own else [program("tandem-proxy"), "--config", self.config]
        if self.rlimit_files:
            args = ["prlimit", "--nofile=%d" % self.rlimit_files] + args
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:exitcode=99:quarantine_size_mb=2",  # tests look at memory
                   UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:exitcode=99")
        self.child = processes.spawn(args, self.log_path, env=env)
        ready = self._active if active and not own else self._listens
        processes.wait_until(ready, 30, "the proxy is ready (see %s)" % self.log_path)

    def _active(self):
        try:
            status = tandem.request("http://127.0.0.1:%d" % self.admin, "GET", "/_tandem/status").json()
        except OSError:
            status = {}
        return self._listens() and status.get("state") == "active"

    def _listens(self):
        assert self.child.poll() is None, "the proxy ended: " + processes.last_lines(self.log_path)
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def cpu_s(self):
        with open("/proc/%d/stat" % self.child.pid) as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident bytes."""
        with open("/proc/%d/statm" % self.child.pid) as file:
            return int(file.read().split()[1]) * resource.getpagesize()

    def log(self):
        return processes.last_lines(self.log_path, 200)

    def stop(self):
        code = processes.end(self.child)
        assert code == 0, "the proxy ended with %s:\n%s" % (code, self.log())
