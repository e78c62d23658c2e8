#!/usr/bin/env python3
"""fuzz.py - lets each fuzzer search for a while, beginning with its corpus.

    tests/fuzz/fuzz.py [--seconds 60] [--build build/fuzz] [--junit FILE] [fuzz_NAME...]

What an input reaches that none reached before is kept in BUILD/found/NAME, from where the next run
goes on. Inputs that break something are in BUILD/broken/NAME, and the command that repeats each is
printed. As many run at once as there are processors.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
sys.dont_write_bytecode = True
import junit
import processes

LENGTH_MAX = 4096
INPUT_S = 10  # an input that takes longer counts as broken
END_S = 120  # it sees its time between two inputs


def programs(build):
    return {os.path.basename(path): path
            for path in sorted(glob.glob(os.path.join(build, "tests", "fuzz", "fuzz_*")))
            if os.access(path, os.X_OK) and os.path.isfile(path) and not path.endswith("_replay")}


def search(name, program, options):
    """(name, seconds, what is wrong or None)."""
    begun, corpus = time.monotonic(), name[len("fuzz_"):]
    found, broken = (os.path.join(options.build, what, corpus) for what in ("found", "broken"))
    os.makedirs(found, exist_ok=True)
    os.makedirs(broken, exist_ok=True)
    log = os.path.join(options.build, name + ".log")
    open(log, "w").close()
    child = processes.spawn(
        [program, "-max_total_time=%d" % options.seconds, "-max_len=%d" % LENGTH_MAX,
         "-timeout=%d" % INPUT_S, "-artifact_prefix=%s/" % broken, "-print_final_stats=1", found,
         os.path.join(ROOT, "tests", "fuzz", "corpus", corpus)], log)
    try:
        code = child.wait(options.seconds + END_S)
    except subprocess.TimeoutExpired:
        code = "none: it did not end"
    processes.kill(child)
    with open(log, errors="replace") as file:
        text = file.read()
    tried = re.search(r"stat::number_of_executed_units: +(\d+)", text)
    seconds = time.monotonic() - begun
    if code == 0 and tried and int(tried.group(1)) > 0:
        print("%-18s %9s inputs in %.0f s" % (name, tried.group(1), seconds), flush=True)
        return name, seconds, None
    inputs = re.findall(r"Test unit written to (\S+)", text)
    wrong = "exit code %s\n%s" % (code, "\n".join(
        "repeat with  %s %s" % (program, path) for path in inputs) or "no input was kept")
    # Lines that begin with # tell of the search, not of what broke.
    said = [line for line in text.splitlines() if not line.startswith("#")]
    print("%s: %s\n%s" % (name, wrong, "\n".join(said[-60:])), flush=True)
    return name, seconds, wrong


def main():
    parser = argparse.ArgumentParser(description="Lets each fuzzer search for a while.")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "fuzz"))
    parser.add_argument("--junit")
    parser.add_argument("name", nargs="*")
    options = parser.parse_args()
    there = programs(options.build)
    # A fuzzer that was not built is a failure, not a fuzzer less.
    sources = glob.glob(os.path.join(ROOT, "tests", "fuzz", "fuzz_*.c"))
    wanted = options.name or sorted(os.path.basename(path)[:-2] for path in sources)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(
            lambda name: search(name, there[name], options) if name in there
            else (name, 0, "it is not built"), wanted))
    if options.junit:
        junit.write(options.junit, "fuzz", results)
    wrong = [name for name, _, why in results if why is not None]
    print("fuzzers: %d searched, broken: %s" % (len(results), ", ".join(wrong) or "none"))
    return 1 if wrong or not results else 0


if __name__ == "__main__":
    sys.exit(main())
