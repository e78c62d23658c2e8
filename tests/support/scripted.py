"""scripted.py - Tandem between two scripted clusters: primary and standby do what a test tells them.

For what real engines cannot be made to do on demand. Starting all four takes a second, so the tests of
a file share them, each with indices of its own; faults are cleared behind each test.

SPDX-License-Identifier: Apache-2.0
"""

import itertools
import os
import re
import shutil

import pytest

from fake import FakeEs
from processes import wait_until
from shared import equal_indices
from tandem import Tandem, request

_numbers = itertools.count()

# Short, so that what hangs is given up while we look.
SETTINGS = {
    "primary.answer_timeout": "500ms", "follower.interval": "50ms",
    "follower.request_timeout": "2s", "standbys.request_timeout": "1s",
    "standbys.backoff_min": "20ms", "standbys.backoff_max": "200ms"}
# Tests look at the proxy's memory, of which the sanitizer keeps what is freed for a while.
FREES = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=2"}
# An answer's outcome is found out, shown and replayed within this; a loaded machine is slow.
SOON_S = 30


class Scripted(Tandem):
    """A Tandem whose primary and standby are fakes; `a` and `b` are their other names.

    settings: a dict, or what makes one of the two fakes, whose ports are known then.
    """

    def __init__(self, folder, settings=None):
        self.a = FakeEs("a", os.path.join(folder, "fake-a.log"))
        self.b = FakeEs("b", os.path.join(folder, "fake-b.log"))
        if callable(settings):
            settings = settings(self.a, self.b)
        super().__init__(folder, self.a, {"b": self.b}, dict(SETTINGS, **(settings or {})))
        self.proxy.environment = dict(FREES)

    def start(self):
        for fake in (self.a, self.b):
            fake.start()
        return super().start()

    def stop(self):
        super().stop()
        for fake in (self.a, self.b):
            code = fake.stop()
            assert code == 0, "fake_es %s ended with %d, see %s" % (fake.name, code, fake.log_path)

    def kill(self):
        super().kill()
        for fake in (self.a, self.b):
            if fake.running():
                fake.kill9()

    def heal(self):
        """No more faults, and what had ended runs."""
        for fake in (self.a, self.b):
            fake.clear_faults()
        for daemon in self.daemons:
            if not daemon.running():
                daemon.start()
        if self.replicator.standby_status()["parked"] != 0:
            self.ctl("parked", "retry", "--all")

    def equal(self, *names):
        """Waits until nothing is open or behind and these indices are equal."""
        equal_indices(self, *names)

    def index(self, name, **settings):
        """Makes an index and waits until the standby has it, so that faults hit nothing but rows."""
        body = {"settings": dict({"number_of_shards": 1, "number_of_replicas": 0}, **settings)}
        answer = self.request("PUT", "/" + name, body)
        assert answer.status == 200, answer
        self.wait_caught_up(SOON_S)
        wait_until(lambda: request(self.b.url, "HEAD", "/" + name).status == 200, SOON_S,
                   "the standby has the index " + name)
        return name

    def put(self, index, id, source):
        """A write that has to succeed."""
        answer = self.request("PUT", "/%s/_doc/%s" % (index, id), source)
        assert answer.status in (200, 201), answer
        assert answer.headers["x-tandem-outcome"] == "applied", answer
        return answer

    def rows(self, index, id=None):
        """The journal's rows of INDEX, in order, as tandemctl shows them."""
        args = ["journal", "dump", "--index", index] + ([] if id is None else ["--id", id])
        return self.ctl(*args).splitlines()

    def records(self):
        return self.ctl("journal", "dump").splitlines()


def scripted_tandem(request, run_folder, settings=None, equal=True):
    """For a fixture of the scope of a module or of one test: a generator."""
    # Not long: the path of a socket in it has at most 96 bytes.
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", request.node.name)
    folder = os.path.join(run_folder, "%s-%d" % (name[:30], next(_numbers)))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    running = Scripted(folder, settings)
    failed_before = request.session.testsfailed
    ok = False
    try:
        running.start()
        yield running
        if request.session.testsfailed == failed_before:
            running.heal()
            if equal:
                running.wait_equal()
        running.stop()
        ok = request.session.testsfailed == failed_before
    finally:
        running.kill()
        if ok:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            request.session.teardowns_failed = 1
            print(running.describe())


def shared_fixtures(settings=None):
    """The fixtures of a file whose tests share one: shared, tandem (healed before and behind each test), index."""
    @pytest.fixture(scope="module")
    def shared(request, run_folder):
        yield from scripted_tandem(request, run_folder, settings)

    @pytest.fixture
    def tandem(shared):
        shared.heal()
        yield shared
        shared.heal()

    return shared, tandem, index_fixture()


def index_fixture():
    @pytest.fixture
    def index(tandem):
        return tandem.index(new_name("books"))
    return index


def new_name(stem):
    return "%s-%d" % (stem, next(_numbers))


def source(fake, index, id, routing=None):
    """The document's source on one of the fakes; None when it is not there."""
    answer = request(fake.url, "GET", "/%s/_doc/%s%s" % (
        index, id, "" if routing is None else "?routing=" + routing))
    return answer.json()["_source"] if answer.status == 200 else None


def applied(fake, index):
    """What took a number in INDEX on one of the fakes, in order."""
    return [entry for entry in fake.log()["applied"] if entry["index"] == index]


def writes(fake, index):
    """How many requests came that could write to INDEX: those of its documents, by path."""
    return sum(entry["method"] in ("PUT", "POST", "DELETE") and
               re.match(r"/%s/(_doc|_create|_update|_bulk)\b" % re.escape(index), entry["target"])
               is not None for entry in fake.log()["requests"])


def connections(fake):
    """Established connections to one of the fakes, ours among them."""
    wanted = "0100007F:%04X" % fake.port
    with open("/proc/net/tcp") as file:
        return sum(line.split()[2] == wanted and line.split()[3] == "01" for line in file)


def memory(daemon):
    """Resident bytes of a daemon."""
    with open("/proc/%d/statm" % daemon.child.pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
