"""conformance.py - the tests of an engine's own REST suite, without and with Tandem, and what came of them.

What fails without Tandem, or is not for this engine, says nothing of Tandem; what passes must pass through it too, and
after each test the standby must equal the primary. What Tandem refuses on purpose is excused, by the call that it
refuses: the difference must be a refusal of that call in Tandem's words, not just any.

SPDX-License-Identifier: Apache-2.0
"""

import collections
import time

import clusters
import compare
from processes import wait_until
from rest_suite import Failed, Run, Skipped
from tandem import request

WRONG_MAX = 60
SAID_MAX = 1500
# What can become of a test.
PASSED, REFUSED, WRONG = "pass", "refused on purpose", "WRONG"
SKIPPED, FAILS = "skipped", "fail without Tandem too"


def make_empty(url):
    """As clusters.make_empty(), but for Tandem's own index on its primary, and with the snapshots."""
    for repository in request(url, "GET", "/_snapshot").json():
        for snapshot in request(url, "GET", "/_snapshot/%s/_all" % repository).json().get("snapshots", []):
            request(url, "DELETE", "/_snapshot/%s/%s" % (repository, snapshot["snapshot"]))
        request(url, "DELETE", "/_snapshot/" + repository)
    request(url, "DELETE", "/_data_stream/*")
    request(url, "DELETE", "/*?expand_wildcards=open,closed")
    with compare.Cluster(url) as cluster:
        state = cluster.ask("GET", "/_cluster/state/metadata?filter_path=metadata.indices.*.state")
        for name in state.get("metadata", {}).get("indices", {}):
            if not name.startswith(".tandem"):
                request(url, "DELETE", "/" + name)
        for what, read in compare.GLOBALS:
            for name, value in read(cluster).items():
                if not compare.built_in(name, value):
                    request(url, "DELETE", clusters.PATHS[what] + name)
    request(url, "PUT", "/_cluster/settings", {"persistent": {"*": None}, "transient": {"*": None}})


class Conformance:
    """Tests of SUITE, those of the folders for which WANTED is true.

    refused: API -> why Tandem refuses it.
    """

    def __init__(self, suite, wanted, refused):
        self.suite = suite
        self.refused = refused
        self.names = [name for name in suite.files() if wanted(name.split("/")[0])]
        self.verdicts = {}  # (file, test) -> what became of it
        self.failures = {}  # the same -> what failed through Tandem
        self.seconds = collections.Counter()  # by folder
        self.skips = collections.Counter()  # why tests were skipped
        self.needed = set()  # APIs of `refused` that were
        self.wrong = []  # lines that say what differs

    def tests(self):
        for name in self.names:
            setup, teardown, tests = self.suite.tests(name)
            for title, steps in tests.items():
                yield (name, title), (setup, teardown, steps)

    def run(self, url, sections):
        """None when the test passes at URL, else the failure; Skipped goes through."""
        make_empty(url)
        try:
            Run(self.suite, url).test(*sections)
        except Failed as failed:
            return failed
        return None

    def run_through(self, tandem):
        """All tests through TANDEM."""
        for key, sections in self.tests():
            begun = time.monotonic()
            try:
                self.verdicts[key] = self.judge(key, self.run(tandem.url, sections))
            except Skipped as skipped:
                self.verdicts[key] = SKIPPED
                self.skips[str(skipped)] += 1
            self.look_at_standby(tandem, key)
            self.seconds[key[0].split("/")[0]] += time.monotonic() - begun
            if len(self.wrong) + len(self.failures) >= WRONG_MAX:
                break
        make_empty(tandem.url)
        wait_until(tandem.caught_up, 60, "the end")

    def judge(self, key, failed):
        if failed is None:
            return PASSED
        if self.is_on_purpose(failed):
            return REFUSED
        self.failures[key] = str(failed)
        print("%s::%s: %s" % (key + (failed,)), flush=True)
        return FAILS

    def look_at_standby(self, tandem, key):
        try:
            tandem.wait_equal()
        except AssertionError as differs:
            self.call_wrong(key, "the standby differs: %s" % str(differs)[:SAID_MAX])

    def call_wrong(self, key, text):
        self.verdicts[key] = WRONG
        self.wrong.append("%s::%s: %s" % (key + (text,)))
        print("WRONG " + self.wrong[-1], flush=True)

    def run_directly(self, primary):
        """What failed through Tandem against the engine PRIMARY alone: it must fail there too."""
        clusters.make_empty(primary)  # nothing of Tandem's is left
        for key, sections in self.tests():
            if key in self.failures and self.run(primary.url, sections) is None:
                self.call_wrong(key, self.failures[key])
        make_empty(primary.url)

    def is_on_purpose(self, failed):
        if failed.api not in self.refused or b'"type":"tandem_not_replicated"' not in failed.answer.body:
            return False
        self.needed.add(failed.api)
        return True

    def count(self, verdict):
        return sum(each == verdict for each in self.verdicts.values())

    def summary(self):
        """A line for each folder, one for each reason to skip, and the sum."""
        folders = collections.defaultdict(collections.Counter)
        for (name, _), verdict in self.verdicts.items():
            folders[name.split("/")[0]][verdict] += 1
        folders["all"] = sum(folders.values(), collections.Counter())
        self.seconds["all"] = sum(self.seconds.values())
        lines = ["skipped, %3d: %s" % (count, " ".join(why.split())) for why, count in self.skips.most_common()]
        for folder, counts in folders.items():
            lines.append("%-30s %4d s: %s" % (folder, self.seconds[folder], ", ".join(
                "%d %s" % (counts[each], each) for each in (PASSED, REFUSED, WRONG, SKIPPED, FAILS) if counts[each])))
        return "\n".join(lines)

    def check(self):
        """Nothing differs but what is refused on purpose, and all of that is still refused."""
        print(self.summary())
        assert not self.wrong, "%d tests differ through Tandem:\n%s" % (len(self.wrong), "\n".join(self.wrong))
        stale = set(self.refused) - self.needed
        assert not stale, "no test is refused any more because of: " + ", ".join(sorted(stale))
