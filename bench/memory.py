"""memory.py - what connections cost that do nothing, and clients that do not read.

SPDX-License-Identifier: Apache-2.0
"""

import socket
import time

import contenders

IDLE = 10000
SLOW = 200
SLOW_BYTES = 20 << 20  # of each answer, of which a slow reader takes nothing

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
    """Resident memory in MB: before, with idle connections (each had one request), with slow
    readers."""
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
    time.sleep(8)
    results["slow"] = contenders.memory_mb(contender.pid)
    time.sleep(3)
    results["slow later"] = contenders.memory_mb(contender.pid)
    say("memory: with %d slow readers of %d MB each %.0f MB, then %.0f MB" % (
        SLOW, SLOW_BYTES >> 20, results["slow"], results["slow later"]))
    _drop(links)
    return results
