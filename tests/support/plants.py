#!/usr/bin/env python3
"""plants.py - bugs planted in the programs, each of which a named system test must find.

    tests/support/plants.py [--junit FILE] [PLANT_NAME...]

For each bug the programs are built with -DTANDEM_PLANT=... in a folder of their own,
build/plant/NAME, and the one test that must find it is run on them. It must fail by an assertion
whose message is the one expected here: a bug that merely stops the programs, or a harness that
breaks, has found nothing. That the same tests pass without a planted bug is what the run of all
system tests shows. The simulation has the same bugs: see tests/README.md.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.dont_write_bytecode = True
import junit
import processes

PROGRAMS = ["tandem-proxy", "tandem-replicator", "tandemctl", "fake_es"]
BUILD_S, TEST_S = 900, 900

# bug -> the test that must find it, and what its failure says (a regular expression).
# PLANT_REORDER is not asked for: see tests/README.md.
PLANTS = {
    "PLANT_ACK_BEFORE_DURABLE": ("test_durable_first.py::test_no_answer_leaves_before_its_rows_are_durable",
                                 r"answered before the rows are durable"),
    "PLANT_LOSE_ROW": ("test_mixed_workload.py::test_sixteen_writers_leave_both_clusters_equal",
                       r"acknowledged, but not on the standby"),
    "PLANT_NO_NEGATIVE_ROW": ("test_doubt.py::test_a_write_without_an_answer_is_unknown_and_found_out[hang-False]",
                              r"AssertionError: \[\]"),
    "PLANT_DOCUMENT_VERSION": ("test_a_put_travels.py::test_a_put_travels", r"assert 1 == \(\(1 << 40\)"),
    "PLANT_INDEX_NAME": ("test_standby_faults.py::test_a_late_bulk_of_a_former_session_writes_nothing",
                         r"Left contains one more item"),
    "PLANT_FORGET_DELETES": ("test_order.py::test_a_write_that_a_delete_overtook_stays_deleted_when_the_standby_forgot",
                             r"primary has none, standby \{"),
    "PLANT_IGNORE_HOLES": ("test_audit.py::test_documents_that_went_past_tandem_are_brought_over", r"past is audited"),
    "PLANT_MAPPING_AFTER_ROWS": ("test_order.py::test_a_field_has_the_primarys_type_when_another_value_comes_first",
                                 r"guessed the field by itself"),
}


def run(args, log, deadline_s, **environment):
    """The exit code; None when it took too long."""
    child = processes.spawn(args, log, cwd=ROOT, env=dict(os.environ, **environment))
    try:
        child.wait(deadline_s)
        return child.returncode
    except subprocess.TimeoutExpired:
        return None
    finally:
        processes.end(child)


def build(bug, folder, log):
    """True when the programs with BUG in them are there."""
    os.makedirs(folder, exist_ok=True)
    return run(["cmake", "--preset", "debug", "-B", folder, "-Wno-dev", "-DTANDEM_PLANT=" + bug,
                "-DCMAKE_C_FLAGS=-O1"], log, BUILD_S) == 0 and run(
        ["cmake", "--build", folder, "-j", str(os.cpu_count()), "--target"] + PROGRAMS,
        log, BUILD_S) == 0


def failures(path):
    """(what it says in short, all of it) of each failed test in a JUnit file; None when none was run."""
    try:
        cases = list(xml.etree.ElementTree.parse(path).getroot().iter("testcase"))
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    if not cases or any(child.tag == "skipped" for case in cases for child in case):
        return None
    return [(child.get("message", ""), child.text or "") for case in cases
            for child in case if child.tag in ("failure", "error")]


def judge(texts, expected):
    """None when the bug was found, else why it does not count."""
    if texts is None:
        return "the test was not run"
    if not texts:
        return "NOT FOUND: the test passes"
    for short, _ in texts:
        if re.match("AssertionError|assert ", short) and re.search(expected, short, re.S):
            return None
    return "it fails, but not by the assertion expected (/%s/):\n%s" % (
        expected, "\n".join(short + "\n" + whole[:1500] for short, whole in texts))


def look_for(bug):
    """(name, seconds, what is wrong or None)."""
    test, expected = PLANTS[bug]
    name = "%s is found by %s" % (bug, test.split("::")[1])
    begun = time.monotonic()
    folder = os.path.join(ROOT, "build", "plant", bug[len("PLANT_"):].lower())
    log, xml_file = os.path.join(folder, "plant.log"), os.path.join(folder, "plant.xml")
    for path in (log, xml_file):
        if os.path.exists(path):
            os.unlink(path)
    if not build(bug, folder, log):
        wrong = "it cannot be built:\n" + processes.last_lines(log)
    else:
        # A test that fails keeps its files, which are of no use here.
        scratch = tempfile.mkdtemp(prefix="plant-")
        os.chmod(scratch, 0o755)  # some engines run as somebody else
        run([sys.executable, "-m", "pytest", "-x", "--long", "--junitxml=" + xml_file,
             "tests/system/" + test], log, TEST_S, TANDEM_BUILD=folder, TMPDIR=scratch)
        shutil.rmtree(scratch, ignore_errors=True)
        wrong = judge(failures(xml_file), expected)
    seconds = time.monotonic() - begun
    print("%s: %s, after %.0f s" % (name, "yes" if wrong is None else "NO", seconds), flush=True)
    if wrong is not None:
        print("%s\nthe log is %s; repeat with  tests/support/plants.py %s" % (wrong, log, bug))
    return name, seconds, wrong


def main():
    parser = argparse.ArgumentParser(description="Bugs planted in the programs, to be found.")
    parser.add_argument("--junit")
    parser.add_argument("bug", nargs="*", metavar="PLANT_NAME", help=", ".join(PLANTS))
    options = parser.parse_args()
    results = [look_for(bug) for bug in options.bug or PLANTS]
    if options.junit:
        junit.write(options.junit, "plants", results)
    return 1 if any(wrong is not None for _, _, wrong in results) else 0


if __name__ == "__main__":
    sys.exit(main())
