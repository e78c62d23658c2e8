"""fake.py - starts fake_es, the scripted cluster, and scripts it.

SPDX-License-Identifier: Apache-2.0
"""

import processes
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
