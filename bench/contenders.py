"""contenders.py - what is compared: the bare stub, HAProxy, nginx and tandem-proxy, one thread each.

All stand in front of the same stub, at the same time; only one of them is under load. Each is
configured as its manual advises for a proxy that keeps connections: kept alive on both sides, no
log of requests.

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil
import socket
import threading
import time

import processes
import tandem

KEEP_SIZE = "256MB"  # of applied records: so the journal reaches its lasting size within seconds

HAPROXY = """
global
    nbthread 1
    maxconn 5000
defaults
    mode http
    option http-keep-alive
    http-reuse always
    timeout connect 5s
    timeout client 10m
    timeout server 2m
frontend clients
    bind 127.0.0.1:{port}
    default_backend stub
backend stub
    server stub 127.0.0.1:{stub} maxconn 1000
"""

NGINX = """
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    keepalive_timeout 600;
    keepalive_requests 1000000000;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    upstream stub {{ server 127.0.0.1:{stub}; keepalive 256; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://stub;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffers 16 64k;
            proxy_buffer_size 64k;
            proxy_busy_buffers_size 128k;
        }}
    }}
}}
"""


def cpu_seconds(pid):
    """What all threads of PID have used, exact to the nanosecond where the kernel tells."""
    total = 0
    for task in os.listdir("/proc/%d/task" % pid):
        try:
            with open("/proc/%d/task/%s/schedstat" % (pid, task)) as file:
                total += int(file.read().split()[0])
        except OSError:
            pass  # the thread has ended
    return total / 1e9


def memory_mb(pid):
    """The resident memory of PID that is its own: not what it has mapped of files, the journal, which
    the kernel takes back when it likes."""
    with open("/proc/%d/status" % pid) as file:
        for line in file:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    raise OSError("no RssAnon of %d" % pid)


class Contender:
    """One server under test."""

    def __init__(self, name, port, child, pid=None):
        self.name = name
        self.port = port
        self.child = child
        self.pid = pid or child.pid  # whose CPU time and memory count
        self.filled = False

    @property
    def address(self):
        return "127.0.0.1:%d" % self.port

    def end(self):
        processes.end(self.child, 5)


def _write(path, text):
    with open(path, "w") as file:
        file.write(text)
    return path


def _wait_listening(name, port, log):
    def answers():
        try:
            return tandem.request("http://127.0.0.1:%d" % port, "GET", "/", timeout_s=2).status == 200
        except OSError:
            return False
    try:
        processes.wait_until(answers, 15, "%s answers" % name)
    except AssertionError as error:
        raise SystemExit("%s\n%s" % (error, processes.last_lines(log))) from None


def start_stub(folder):
    port = processes.free_port()
    log = os.path.join(folder, "stub.log")
    child = processes.spawn([tandem.program("bench-stub"), port], log)
    _wait_listening("the stub", port, log)
    return Contender("direct", port, child)


def _start_haproxy(folder, stub):
    if shutil.which("haproxy") is None:
        return None
    port = processes.free_port()
    config = _write(os.path.join(folder, "haproxy.cfg"), HAPROXY.format(port=port, stub=stub.port))
    log = os.path.join(folder, "haproxy.log")
    child = processes.spawn(["haproxy", "-db", "-f", config], log)
    _wait_listening("HAProxy", port, log)
    return Contender("haproxy", port, child)


def _start_nginx(folder, stub):
    if shutil.which("nginx") is None:
        return None
    port = processes.free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    config = _write(os.path.join(folder, "nginx.conf"),
                    NGINX.format(port=port, stub=stub.port, folder=folder, user=user))
    log = os.path.join(folder, "nginx.log")
    child = processes.spawn(["nginx", "-p", folder, "-e", log, "-c", config], log)
    _wait_listening("nginx", port, log)
    with open("/proc/%d/task/%d/children" % (child.pid, child.pid)) as file:
        worker = int(file.read().split()[0])
    return Contender("nginx", port, child, worker)


class _Cluster:
    """What tandem.Tandem wants to know of an engine."""

    def __init__(self, port):
        self.url = "http://127.0.0.1:%d" % port


class _Applied(threading.Thread):
    """Says what a replicator says, as if its standby took everything at once: the journal is trimmed
    as it is in everyday life, and pages of it are written again instead of its file growing."""

    def __init__(self, folder, name):
        super().__init__(daemon=True, name="standby " + name)
        self.link = socket.socket(socket.AF_UNIX)
        self.link.connect(os.path.join(folder, "proxy.sock"))
        self.link.sendall(b"STANDBY %s\n" % name.encode())
        self.start()

    def run(self):
        rest = b""
        while True:
            time.sleep(0.05)
            try:
                got = self.link.recv(1 << 20)
                lines = (rest + got).split(b"\n")
                rest = lines.pop()
                numbers = [line.split()[1] for line in lines if line.startswith(b"RECORDS ")]
                if numbers:
                    self.link.sendall(b"CHECKPOINT %s\n" % numbers[-1])
            except OSError:
                return
            if not got:
                return


def start_tandem(folder, stub):
    """The proxy, and a standby that is nothing but words."""
    system = tandem.Tandem(os.path.join(folder, "tandem"), _Cluster(stub.port),
                           {"b": _Cluster(processes.free_port())},
                           {"log.level": "warn", "proxy.threads": 1, "journal.size_max": "8GB",
                            "journal.keep_size": KEEP_SIZE})
    system.proxy.start()
    contender = Contender("tandem", int(system.url.rsplit(":", 1)[1]), system.proxy.child)
    contender.started_s = time.monotonic()
    contender.system = system
    contender.standby = _Applied(system.settings["journal"]["folder"], "b")
    return contender


def start_all(folder):
    """The contenders by name; HAProxy and nginx only where they are installed."""
    stub = start_stub(folder)
    found = [stub, _start_haproxy(folder, stub), _start_nginx(folder, stub),
             start_tandem(folder, stub)]
    return {contender.name: contender for contender in found if contender is not None}
