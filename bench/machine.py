"""machine.py - what does not need a contender: the machine, its disk, and parts of Tandem alone.

SPDX-License-Identifier: Apache-2.0
"""

import os
import statistics
import subprocess
import time

import tandem


def _version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True)
        return (done.stdout + done.stderr).split("\n")[0].strip()
    except OSError:
        return "not installed"


def describe():
    """A few words on where the numbers come from."""
    model = "unknown processor"
    with open("/proc/cpuinfo") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":")[1].strip()
                break
    system = "Linux"
    with open("/etc/os-release") as file:
        for line in file:
            if line.startswith("PRETTY_NAME="):
                system = line.split("=")[1].strip().strip('"')
    with open("/proc/loadavg") as file:
        busy = file.read().split()[0]
    return {"processors": "%d x %s" % (os.cpu_count(), model),
            "system": "%s, kernel %s" % (system, os.uname().release),
            "haproxy": _version(["haproxy", "-v"]), "nginx": _version(["nginx", "-v"]),
            "load before the run": busy, "time": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())}


def flush_us(folder, times=400):
    """The median time of one fdatasync of a block in a file that does not grow."""
    path = os.path.join(folder, "flush")
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    took = []
    try:
        os.pwrite(file, b"x" * (4096 * 200), 0)
        os.fsync(file)
        for number in range(times):
            os.pwrite(file, os.urandom(4096), number % 200 * 4096)
            begin = time.perf_counter()
            os.fdatasync(file)
            took.append((time.perf_counter() - begin) * 1e6)
    finally:
        os.close(file)
        os.unlink(path)
    return statistics.median(took)


def journal(folder):
    """Rows of bench-journal: (synced or not, records in a commit) -> records/s and p50 in us."""
    done = subprocess.run([tandem.program("bench-journal"), folder], capture_output=True,
                          text=True, check=True)
    rows = {}
    for line in done.stdout.split("\n")[2:]:
        words = line.split()
        if len(words) == 6:
            rows[words[0], int(words[1])] = (float(words[2]), float(words[4]))
    return rows


def scanners(times=5):
    """The best of several runs of each: what others do on the machine only makes it slower."""
    rows = {}
    for _ in range(times):
        done = subprocess.run([tandem.program("bench-scan")], capture_output=True, text=True,
                              check=True)
        for line in done.stdout.strip().split("\n"):
            name, rate, item = line.split()
            rows.setdefault(name, []).append((float(rate.split("=")[1]),
                                              float(item.split("=")[1])))
    return {name: (max(rate for rate, _ in got), min(item for _, item in got))
            for name, got in rows.items()}
