"""test_migration_page.py - docs/migration.md, command by command as it is typed there.

Only addresses and folders are replaced, and there is a systemctl that starts the programs without systemd.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import signal
import subprocess
import threading

import pytest

import compare
import processes
from old_cluster import OldCluster
from processes import wait_until
from shared import must
from tandem import ROOT, SANITIZER, program, request

pytestmark = [pytest.mark.long, pytest.mark.limit(900)]

PAGE = os.path.join(ROOT, "docs", "migration.md")
BLOCK_S = 300
SYSTEMCTL = r"""#!/bin/bash
# systemctl - for the test of a page: starts and stops our programs as the units do.
set -eu
for unit in "${@:2}"; do
    name=${unit#tandem-replicator@}
    case $unit in
    --now) continue ;;
    tandem-proxy) command=(tandem-proxy --config "$TANDEM_CONFIG") ;;
    tandem-replicator@*) command=(tandem-replicator --config "$TANDEM_CONFIG" --standby "$name") ;;
    *) echo "no unit $unit" >&2; exit 5 ;;
    esac
    case $1 in
    start|enable)
        setsid "${command[@]}" >>"$UNITS/$name.log" 2>&1 </dev/null &
        echo $! >"$UNITS/$name.pid" ;;
    stop|disable)
        pid=$(cat "$UNITS/$name.pid")
        kill "$pid"
        while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
        rm "$UNITS/$name.pid" ;;
    esac
done
"""


def blocks(text):
    """(heading, language, content) of the fenced blocks of a page, in order."""
    heading, found, lines = None, [], iter(text.split("\n"))
    for line in lines:
        if line.startswith("## "):
            heading = line[3:]
        elif line.startswith("```"):
            content = []
            for inner in lines:
                if inner.startswith("```"):
                    break
                content.append(inner)
            found.append((heading, line[3:], "\n".join(content) + "\n"))
    return found


class Reader:
    """Somebody who reads the page and types its commands."""

    def __init__(self, folder, old, new):
        self.folder, self.old, self.new = folder, old, new
        self.units = os.path.join(folder, "units")
        self.config = os.path.join(folder, "tandem.yml")
        bin = os.path.join(folder, "bin")
        for each in (self.units, bin, os.path.join(folder, "journal"), os.path.join(folder, "standby-new")):
            os.makedirs(each)
        with open(os.path.join(bin, "systemctl"), "w") as file:
            file.write(SYSTEMCTL)
        os.chmod(os.path.join(bin, "systemctl"), 0o755)
        programs = [os.path.dirname(program(name)) for name in ("tandem-proxy", "tandem-replicator", "tandemctl")]
        self.environment = dict(
            os.environ, PATH=":".join([bin] + programs + [os.environ["PATH"]]), TANDEM_CONFIG=self.config,
            UNITS=self.units, ASAN_OPTIONS="detect_leaks=1:exitcode=99")
        self.ports = {number: str(processes.free_port()) for number in ("9200", "9280", "9281")}
        self.url = "http://127.0.0.1:" + self.ports["9200"]

    def here(self, text):
        """TEXT with the addresses and folders of this machine."""
        text = text.replace("http://old.example:9200", self.old.url).replace("http://new.example:9200", self.new.url)
        text = re.sub(r"127\.0\.0\.1:(92\d\d)\b", lambda m: "127.0.0.1:" + self.ports.get(m.group(1), m.group(1)), text)
        return text.replace("/var/lib/tandem", self.folder)

    def writes_config(self, text):
        with open(self.config, "w") as file:
            file.write(self.here(text))
            # What the page leaves at its default.
            file.write('proxy: {listen: "127.0.0.1:%(9200)s", admin: "127.0.0.1:%(9280)s"}\n' % self.ports)

    def types(self, text):
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", self.here(text)], env=self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BLOCK_S)
        print("$ %s%s%s" % (text, done.stdout, done.stderr))
        assert done.returncode == 0, "exit code %d of\n%s%s%s" % (done.returncode, text, done.stdout, done.stderr)
        return done.stdout

    def pids(self):
        for name in os.listdir(self.units):
            if name.endswith(".pid"):
                with open(os.path.join(self.units, name)) as file:
                    yield int(file.read())

    def kill(self):
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def complaints(self):
        for name in os.listdir(self.units):
            with open(os.path.join(self.units, name), errors="replace") as file:
                yield from (line.strip() for line in file if SANITIZER.search(line))


class Application:
    """Writes one document after the other to URL; what was acknowledged is in `written`."""

    def __init__(self, url):
        self.url = url
        self.written = []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        n = 0
        while not self.ended.wait(0.05):
            n += 1
            answer = request(self.url, "PUT", "/events/event/live-%d?routing=r%d" % (n, n % 3),
                             {"n": n, "when": 1700000000000 + n, "kind": "live"})
            if answer.status == 201:
                self.written.append(n)

    def stop(self):
        self.ended.set()
        self.thread.join()


@pytest.fixture
def reader(clusters, run_folder):
    (old,) = clusters.get("elasticsearch-6.8", ("a",))
    (new,) = clusters.get("opensearch-2.19", ("b",))
    cluster = OldCluster(old.url, typed=True)
    cluster.definitions()
    cluster.fill_all(600)
    cluster.old_fashioned()
    reader = Reader(os.path.join(run_folder, "page"), old, new)
    yield reader
    reader.kill()


def test_who_does_what_the_page_says_has_moved(reader):
    with open(PAGE) as file:
        page = blocks(file.read())
    assert len([each for each in page if each[1] == "sh"]) > 8, "the page has lost its commands"
    application, said, before = None, {}, None
    try:
        for heading, language, text in page:
            if heading.startswith("4.") and application is None:  # they were given Tandem's address
                application = Application(reader.url)
            if heading.startswith("7.") and not application.ended.is_set():  # they are stopped
                wait_until(lambda: len(application.written) > 50, 60, "the application has written")
                application.stop()
            if "release" in text:
                before = compare.compare(reader.old.url, reader.new.url)
            if language == "yaml":
                reader.writes_config(text)
            else:
                said.setdefault(heading, []).append(reader.types(text))
    finally:
        if application is not None:
            application.stop()
    assert not before, compare.report(before)
    after = [each for each in compare.compare(reader.old.url, reader.new.url)]
    assert not after, compare.report(after)
    checked = said["2. See what will become of each definition"][0]
    assert "index words: translated" in checked and " 0 not possible" in checked, checked
    assert "equal to the primary in all" in said["5. Verify"][0]
    # The new cluster is an ordinary one, with all that was acknowledged.
    found = must(reader.new.url, "GET", "/events/_count", {"query": {"term": {"kind": "live"}}})["count"]
    assert found == len(application.written), (found, len(application.written))
    must(reader.new.url, "PUT", "/words/_doc/new", {"brand": {"new": "field"}})
    assert must(reader.new.url, "GET", "/_template/logs")["logs"]["order"] == 2
    assert not list(reader.pids()), "the programs still run"
    assert not list(reader.complaints())
