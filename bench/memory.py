"""memory.py - what connections cost that do nothing, and clients that do not read.

SPDX-License-Identifier: Apache-2.0
"""

import socket
import time

import contenders

IDLE = 10000
IDLE_KB = 2  # that one may cost
SLOW = 200
SLOW_BYTES = 20 << 20  # of each answer, of which a slow reader takes nothing
# What the proxy may hold of one answer: the buffer of its connection to the primary at its largest
# (IOBUF_LARGE), and something for the connection.
SLOW_KB = 256 + 32
# Buffers grow to that size one by one, over a quarter of a minute: each only when the kernel takes
# some more for its client. After 30 s (proxy.write_timeout) the clients are cut off and all is
# given back. In between lies the most that they can cost.
SLOW_S = 28
OTHER_MB = 8  # what else may come and go meanwhile

REQUEST = b"GET /bytes/%d HTTP/1.1\r\nHost: bench\r\n\r\n"


def _connect(port, receive_buffer=None):
    link = socket.socket()
    if receive_buffer:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    link.connect(("127.0.0.1", port))
    return link


def _drop(links):
    for link in links:
        link.close()
    time.sleep(1)


def measure(contender, say):
    """Resident memory in MB: before, with idle connections (each had one request), and the most with
    slow readers."""
    results = {"before": contenders.memory_mb(contender.pid)}
    links = []
    for _ in range(IDLE):
        link = _connect(contender.port)
        link.sendall(REQUEST % 10)
        link.recv(4096)
        links.append(link)
    time.sleep(1)
    results["idle"] = contenders.memory_mb(contender.pid)
    say("memory: %.0f MB, with %d idle connections %.0f MB" % (
        results["before"], IDLE, results["idle"]))
    _drop(links)
    results["after idle"] = contenders.memory_mb(contender.pid)

    links = []
    for _ in range(SLOW):
        link = _connect(contender.port, 4096)
        link.sendall(REQUEST % SLOW_BYTES)
        links.append(link)
    until, results["slow"] = time.monotonic() + SLOW_S, 0
    while time.monotonic() < until:
        results["slow"] = max(results["slow"], contenders.memory_mb(contender.pid))
        time.sleep(0.2)
    say("memory: with %d slow readers of %d MB each at most %.0f MB" % (
        SLOW, SLOW_BYTES >> 20, results["slow"]))
    _drop(links)
    results["after slow"] = contenders.memory_mb(contender.pid)
    return results


def idle_kb(results):
    """What each idle connection cost."""
    return (results["idle"] - results["before"]) * 1024 / IDLE


def slow_max_mb(results):
    """What there may be with slow readers, whatever the length of their answers."""
    return results["after idle"] + SLOW * SLOW_KB / 1024 + OTHER_MB
