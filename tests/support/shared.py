"""shared.py - one Tandem for many short tests, and the same request with and without it.

Starting Tandem takes longer than most tests, so those of a file can share one, each with indices of
its own. When the last has run, the standby must equal the primary, as with the fixture `tandem`.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import shutil

import compare
from processes import wait_until
from tandem import Tandem, request

EXCLUDE = list(compare.EXCLUDED) + ["direct-*"]


def shared_tandem(request, clusters, run_folder, settings=None, standbys=("b",), equal=True, before=None,
                  kind="opensearch-2.19", standby_kind=None):
    """For a fixture, of the scope of a module or of one test: a generator.

    equal: at the end the standby must equal the primary.
    before: is given the primary's URL before Tandem sees it.
    kind: of the engines. standby_kind: of the standbys, where it is another one.
    """
    (primary,) = clusters.get(kind, ("a",))
    others = clusters.get(standby_kind or kind, tuple(standbys))
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", request.node.name)
    folder = os.path.join(run_folder, name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    running = Tandem(folder, primary, dict(zip(standbys, others)),
                     dict({"replicate.exclude": EXCLUDE}, **(settings or {})))
    failed_before = request.session.testsfailed
    ok = False
    try:
        if before is not None:
            before(primary.url)
        running.start()
        yield running
        if request.session.testsfailed == failed_before:
            if equal:
                delete_direct(running)
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


def delete_direct(tandem):
    request(tandem.primary.url, "DELETE", "/direct-*")


def must(url, method, path, body=None, headers=None):
    """The parsed answer to a request that has to succeed."""
    answer = request(url, method, path, body, headers)
    assert answer.status < 300, "%s %s: %r" % (method, path, answer)
    return answer.json() if answer.body else None


def lines(*objects):
    """A bulk body."""
    return "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in objects)


def equal_indices(tandem, *names):
    """Waits until these indices are equal on both sides; says in what they differ."""
    tandem.wait_caught_up()
    found = []

    def look():
        found.clear()
        for standby in tandem.standbys.values():
            with compare.Cluster(tandem.primary.url) as one, compare.Cluster(standby.url) as two:
                ours, theirs = one.indices(), two.indices()
                for name in names:
                    if (name in ours) != (name in theirs):
                        found.append("%s is on one side only" % name)
                    elif name in ours:
                        found.extend(compare.compare_index(one, two, name, True, 0))
        return not found
    try:
        wait_until(look, 10, "equal", interval_s=0.3)
    except AssertionError:
        raise AssertionError(compare.report(found)) from None


# What may differ between two requests that are alike.
ALIKE = ((re.compile(rb'"took" ?: ?\d+'), b'"took":0'),
         (re.compile(rb'"ingest_took" ?: ?\d+'), b'"ingest_took":0'),
         (re.compile(rb"(?<=[\"'])[A-Za-z0-9_-]{20}(?=[\"'])"), b"AUTO-ID"),
         (re.compile(rb'"index_uuid":"[^"]*"'), b'"index_uuid":"UUID"'),
         (re.compile(rb'"root_cause":\[.*?\}\],'), b""))


def first_difference(ours, theirs):
    one, two = repr(ours), repr(theirs)
    at = next((i for i, (a, b) in enumerate(zip(one, two)) if a != b), min(len(one), len(two)))
    begin = max(0, at - 100)
    return "\n  with Tandem: %s\n  without:     %s" % (one[begin:at + 300], two[begin:at + 300])


class Twins:
    """Two indices, one behind Tandem, one written to directly, that are asked for the same.

    {i} in paths and bodies stands for the name. The answers must be alike: status, body, fields.
    """

    def __init__(self, tandem, name):
        self.tandem = tandem
        self.name = "test-" + name
        self.direct = "direct-" + name

    def _named(self, value, name):
        if isinstance(value, dict):
            value = json.dumps(value)
        if isinstance(value, bytes):
            return value.replace(b"{i}", name.encode())
        return None if value is None else value.replace("{i}", name)

    def _alike(self, answer, name):
        body = answer.body.replace(name.encode(), b"{i}")
        for pattern, word in ALIKE:
            body = pattern.sub(word, body)
        fields = {key: value.replace(name, "{i}") for key, value in answer.headers.items()
                  if not key.startswith("x-tandem") and key not in ("content-length", "date")}
        if "location" in fields:
            fields["location"] = re.sub(r"/[A-Za-z0-9_-]{20}(?=$|\?)", "/AUTO-ID", fields["location"])
        return answer.status, fields, body

    def ask(self, method, path, body=None, headers=None, status=None):
        """Asks both; the answer that came through Tandem."""
        through, direct = (
            request(url, method, self._named(path, name), self._named(body, name), headers)
            for url, name in ((self.tandem.url, self.name), (self.tandem.primary.url, self.direct)))
        ours, theirs = self._alike(through, self.name), self._alike(direct, self.direct)
        if "_source" in path or "_source" in str(body):
            # An engine that filters a source shuffles its members.
            ours, theirs = (each[:2] + (json.loads(each[2]),) for each in (ours, theirs))
        assert ours == theirs, "%s %s: %s" % (method, path, first_difference(ours, theirs))
        assert status is None or through.status == status, "%s %s: %r" % (method, path, through)
        return through

    def write(self, method, path, body=None, headers=None, status=None, outcome="applied"):
        """The same, for a write: with the promise that its answer must make."""
        answer = self.ask(method, path, body, headers, status)
        if answer.status == 409 or b"version_conflict" in answer.body:
            outcome = "unknown"  # it may be of the cluster's own second try
        assert answer.headers.get("x-tandem-outcome") == outcome, "%s %s: %r" % (
            method, path, answer)
        if outcome == "not-applied":
            assert "x-tandem-seq" not in answer.headers, "%s %s: %r" % (method, path, answer)
        return answer

    def equal(self):
        equal_indices(self.tandem, self.name)
