"""conftest.py - what the system tests share: engines, Tandem in front of them, a look at the end.

A test that asks for `tandem` gets a proxy and a replicator with a new journal between two empty
clusters. When it ends, the standby must have become equal to the primary, the programs must end with
0 at SIGTERM, and no sanitizer may have said a word. When it fails, all files are kept and the ends
of the logs are printed.

    @pytest.mark.engines("elasticsearch-7.10")     other engines than OpenSearch 2.19
    @pytest.mark.settings({"proxy.threads": 1})    settings other than the tests' usual ones
    @pytest.mark.standbys("b", "c")                more than one standby
    @pytest.mark.limit(600)                        seconds until the test is given up; else 300
    @pytest.mark.long                              only with tests/run --long

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import shutil
import signal
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import engine as engines
from clusters import Clusters
from tandem import Tandem

LIMIT_S = 300


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="also run the tests marked long")
    parser.addoption("--seed", type=int, help="the seed of seeded tests, to repeat one")


def pytest_configure(config):
    # Asked to end, we end in order, and the engines with us.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for line in ("engines(kind): the engines a test runs on", "settings(values): of Tandem",
                 "standbys(*names): the standbys, by default b", "limit(seconds): of one test",
                 "long: only run with --long"):
        config.addinivalue_line("markers", line)


def pytest_collection_modifyitems(config, items):
    if config.getoption("--long"):
        return
    skip = [item for item in items if item.get_closest_marker("long")]
    items[:] = [item for item in items if item not in skip]
    config.hook.pytest_deselected(items=skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.failed = report.failed
    return report


def _mark(request, name, default):
    marker = request.node.get_closest_marker(name)
    return marker.args if marker else default


@pytest.fixture(autouse=True)
def time_limit(request):
    """A test that hangs fails, with the stack that shows where."""
    (limit_s,) = _mark(request, "limit", (LIMIT_S,))

    def too_long(*_):
        raise TimeoutError("the test took more than %d s" % limit_s)
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(limit_s)
    yield
    signal.alarm(0)


@pytest.fixture(scope="session")
def run_folder(request):
    """For all files of this run; it stays if a test failed."""
    folder = tempfile.mkdtemp(prefix="tandem-tests-")
    os.chmod(folder, 0o755)  # some engines run as somebody else
    yield folder
    # The last test may have failed in its teardown, which this is a part of.
    if not request.session.testsfailed and not getattr(request.session, "teardowns_failed", 0):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def clusters(run_folder):
    all_clusters = Clusters(os.path.join(run_folder, "engines"))
    yield all_clusters
    all_clusters.stop_all()


@pytest.fixture
def seed(request):
    """The seed of a test that draws by chance: new each time, printed, and set with --seed."""
    chosen = request.config.getoption("--seed")
    if chosen is None:
        chosen = int.from_bytes(os.urandom(4), "big")
    print("seed %d: repeat with  tests/run %s --seed %d" % (chosen, request.node.name, chosen))
    return chosen


@pytest.fixture
def pair(request, clusters):
    """Two engines, empty: primary and standby."""
    (kind,) = _mark(request, "engines", (engines.MAIN_KIND,))
    return clusters.get(kind)


@pytest.fixture
def tandem(request, clusters, run_folder):
    (kind,) = _mark(request, "engines", (engines.MAIN_KIND,))
    (settings,) = _mark(request, "settings", ({},))
    names = _mark(request, "standbys", ("b",))
    primary, *standbys = clusters.get(kind, ("a",) + tuple(names))
    folder = os.path.join(run_folder, re.sub(r"[^A-Za-z0-9_.-]", "_", request.node.name))
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    running = Tandem(folder, primary, dict(zip(names, standbys)), settings)
    ok = False
    try:
        running.start()
        yield running
        if not getattr(request.node, "failed", False):
            for daemon in running.daemons:
                if not daemon.running():
                    daemon.start()
            running.wait_equal()
            running.stop()
            ok = True
    finally:
        running.kill()
        if ok:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            request.session.teardowns_failed = 1
            print(running.describe())
            for each in [primary] + standbys:
                print("--- engine %s: log in %s" % (each.name, each.log_path))


@pytest.fixture
def client(tandem):
    """The official client, pointed at the proxy; it never tries twice by itself."""
    from opensearchpy import OpenSearch
    with OpenSearch(tandem.url, timeout=60, max_retries=0, retry_on_timeout=False) as connected:
        yield connected
