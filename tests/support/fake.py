"""fake.py - starts fake_es, the scripted cluster, and scripts it; and gates, nodes of it that fail alone.

SPDX-License-Identifier: Apache-2.0
"""

import re
import socket
import threading

import processes
from listener import Listener
from tandem import program, request


class FakeEs:
    """A scripted cluster on a port of its own; its state is lost when it ends."""

    def __init__(self, name, log_path, port=None, seed=None):
        self.name = name
        self.log_path = log_path
        self.port = port or processes.free_port()
        self.seed = seed
        self.url = "http://127.0.0.1:%d" % self.port
        self.child = None

    def start(self):
        args = [program("fake_es"), "--port", self.port, "--name", self.name]
        if self.seed is not None:
            args += ["--seed", self.seed]
        self.child = processes.spawn(args, self.log_path)
        processes.wait_until(self._answers, 10, "fake_es %s answers (see %s)" % (
            self.name, self.log_path))
        return self

    def _answers(self):
        try:
            return request(self.url, "GET", "/").status == 200
        except OSError:
            return False

    def running(self):
        return self.child is not None and self.child.poll() is None

    def stop(self):
        """Its exit code: 0, or what a sanitizer made of it."""
        code = processes.end(self.child)
        self.child = None
        return code

    def kill9(self):
        processes.kill(self.child)
        self.child = None

    def control(self, method, what, body=None):
        answer = request(self.url, method, "/_fake/" + what, body)
        assert answer.status == 200, answer
        return answer

    def fault(self, action, **rule):
        """Adds one rule; see fake_es.h for what it may say."""
        self.control("POST", "faults", dict(rule, action=action))

    def clear_faults(self):
        self.control("DELETE", "faults")

    def faults(self):
        """The rules with how often each was seen and fired."""
        return self.control("GET", "faults").json()

    def log(self):
        """{"requests": [...], "applied": [...]}: what came, and every operation that took a number."""
        return self.control("GET", "log").json()

    def clear_log(self):
        self.control("DELETE", "log")

    def restart(self):
        """As if the node were killed and started again: terms rise, tombstones are forgotten."""
        self.control("POST", "restart")

    def snapshot(self):
        self.control("POST", "snapshot")

    def restore(self, index=None):
        """Back to the snapshot, all of it or one index."""
        self.control("POST", "restore" + ("" if index is None else "?index=" + index))

    def pause(self, milliseconds):
        self.control("POST", "pause?ms=%d" % milliseconds)


class Trap:
    """Cuts the connection of the first request with MARKER in its head, on whichever gate it comes.

    share: of its body, that comes before the cut; executes: it is passed on, and cut when it is answered.
    """

    def __init__(self, marker, share=1.0, executes=False):
        self.marker, self.share, self.executes = marker, share, executes
        self.hits = 0  # requests with the marker, also behind the first
        self.sprung = False

    def size(self, data):
        """How much of DATA, which begins with a request, comes before the cut; None: not for us."""
        head, end, _ = data.partition(b"\r\n\r\n")
        if not end or self.marker not in head:
            return None
        self.hits += 1
        if self.hits > 1:
            return None
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        return len(head) + 4 + int(self.share * int(length.group(1) if length else 0))


class Gate:
    """A port in front of a fake: a node of that cluster, which can be shut, or demand TLS."""

    def __init__(self, fake, tls=None):
        self.fake, self.tls = fake, tls
        self.port = processes.free_port()
        self.url = "%s://127.0.0.1:%d" % ("https" if tls else "http", self.port)
        self.trap = None
        self.connections = 0
        self.bytes = 0  # of requests that were passed on
        self.open = set()
        self.listen()

    def listen(self):
        self.listener = Listener(self.port, self._serve, backlog=128)

    def shut(self):
        """Refuses connections, and closes those there are."""
        self.listener.close()
        for sock in list(self.open):
            _end(sock)

    def _serve(self, sock):
        behind = None
        try:
            if self.tls:
                sock = self.tls.wrap_socket(sock, server_side=True)
            behind = socket.create_connection(("127.0.0.1", self.fake.port))
            self.connections += 1
            self.open.add(sock)
            doomed, answered = threading.Event(), threading.Event()
            threading.Thread(target=self._answers, args=(behind, sock, doomed, answered), daemon=True).start()
            self._requests(sock, behind, doomed, answered)
        except OSError:
            pass
        finally:
            self.open.discard(sock)
            for each in (sock, behind):
                if each is not None:
                    _end(each)

    def _requests(self, sock, behind, doomed, answered):
        """Until the client ends. Requests are not pipelined to us, so each begins with what is read."""
        while data := sock.recv(1 << 16):
            size = self.trap.size(data) if self.trap else None
            if size is None:
                behind.sendall(data)
                self.bytes += len(data)
                continue
            while len(data) < size:
                more = sock.recv(1 << 16)
                if not more:
                    return
                data += more
            if self.trap.executes:
                doomed.set()
                behind.sendall(data)
                answered.wait(30)
            # Here, where nobody waits in recv(): else nothing would be reset before that returns.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.trap.sprung = True
            sock.close()
            return

    def _answers(self, behind, sock, doomed, answered):
        try:
            while data := behind.recv(1 << 16):
                if doomed.is_set():
                    answered.set()
                    return
                sock.sendall(data)
            _end(sock)
        except OSError:
            pass


def _end(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
