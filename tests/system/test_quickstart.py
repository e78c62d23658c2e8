"""test_quickstart.py - the first thing that a new user runs: it works, and leaves nothing behind.

It has ports of its own, so it is skipped where one of them is taken; its data are in a folder of the test.

SPDX-License-Identifier: Apache-2.0
"""

import os
import signal
import socket

import pytest

import processes
from processes import wait_until
from tandem import ROOT, request

pytestmark = [pytest.mark.long, pytest.mark.limit(900)]

PROXY, STANDBY = "http://127.0.0.1:9200", "http://127.0.0.1:9212"
TANDEM_PORTS, CLUSTER_PORTS = (9200, 9280, 9281), (9211, 9212, 9311, 9312)
READY_S, END_S = 600, 90  # to build, and to start two engines on a busy machine


def listens(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Quickstart:
    def __init__(self, folder, *options):
        self.log = os.path.join(folder, "quickstart.log")
        self.data = os.path.join(folder, "data")
        self.from_line = self.lines()
        self.child = processes.spawn(["./quickstart"] + list(options), self.log, cwd=ROOT,
                                     env=dict(os.environ, XDG_DATA_HOME=self.data))

    def lines(self):
        if not os.path.exists(self.log):
            return 0
        with open(self.log, errors="replace") as file:
            return len(file.readlines())

    def said(self):
        with open(self.log, errors="replace") as file:
            return "".join(file.readlines()[self.from_line:])

    def wait_running(self):
        def runs():
            assert self.child.poll() is None, "it ended:\n" + self.said()
            return "It runs." in self.said()
        wait_until(runs, READY_S, "quickstart says that it runs, in " + self.log)
        return self

    def interrupt(self):
        """Ctrl-C; it ends with 0, and all that it started with it."""
        os.kill(self.child.pid, signal.SIGINT)
        wait_until(lambda: self.child.poll() is not None, END_S, "it ends")
        assert self.child.returncode == 0, self.said()
        assert self.left() == [], self.said()

    def left(self):
        """Processes that have to do with its data, as text."""
        found = []
        for name in os.listdir("/proc"):
            try:
                with open("/proc/%s/cmdline" % name) as file:
                    line = file.read().replace("\0", " ")
            except OSError:
                continue
            if self.data in line:
                found.append(line)
        return found


@pytest.fixture
def folder(run_folder):
    path = os.path.join(run_folder, "quickstart")
    os.makedirs(path, exist_ok=True)
    return path


@pytest.fixture
def start(folder):
    started = []

    def start(*options):
        started.append(Quickstart(folder, *options))
        return started[-1].wait_running()
    yield start
    for each in started:
        if each.child.poll() is None:
            processes.end(each.child, END_S)
            print(each.said())


def skip_if_taken(*ports):
    taken = [port for port in ports if listens(port)]
    if taken:
        pytest.skip("taken, so quickstart cannot run here: port %s" % ", ".join(map(str, taken)))


def put(id):
    answer = request(PROXY, "PUT", "/books/_doc/" + id, {"title": "Solaris"})
    assert answer.status == 201 and answer.headers["x-tandem-outcome"] == "applied", answer


def title(url, id):
    answer = request(url, "GET", "/books/_doc/" + id)
    return answer.json()["_source"]["title"] if answer.status == 200 else None


def test_two_clusters_are_started_and_a_second_run_has_what_the_first_wrote(start):
    skip_if_taken(*TANDEM_PORTS, *CLUSTER_PORTS)
    first = start()
    put("1")
    wait_until(lambda: title(STANDBY, "1") == "Solaris", 30, "the document is on the standby")
    first.interrupt()
    assert not any(map(listens, TANDEM_PORTS + CLUSTER_PORTS))
    second = start()
    assert title(PROXY, "1") == title(STANDBY, "1") == "Solaris"
    put("2")
    wait_until(lambda: title(STANDBY, "2") == "Solaris", 30, "the document is on the standby")
    second.interrupt()


def test_clusters_that_run_already_are_used_and_left_running(start, pair):
    skip_if_taken(*TANDEM_PORTS)
    primary, standby = pair
    running = start("--primary", primary.url, "--standby", standby.url)
    put("1")
    wait_until(lambda: title(standby.url, "1") == "Solaris", 30, "the document is on the standby")
    running.interrupt()
    assert title(primary.url, "1") == title(standby.url, "1") == "Solaris"


def test_what_stands_in_the_way_is_said_before_anything_is_begun(folder, start):
    skip_if_taken(*TANDEM_PORTS)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for options, complaint in (
                (("--port", str(port)), "port %d is taken" % port),
                (("--primary", "http://127.0.0.1:1"), "go together"),
                (("--primary", "localhost:1", "--standby", "http://127.0.0.1:2"), "no URL"),
                (("--primary", "http://127.0.0.1:1", "--standby", "http://127.0.0.1:1/"), "the same cluster")):
            refused = Quickstart(folder, *options)
            wait_until(lambda: refused.child.poll() is not None, 60, "it ends")
            assert refused.child.returncode != 0 and complaint in refused.said(), refused.said()
            assert "Building" not in refused.said()
