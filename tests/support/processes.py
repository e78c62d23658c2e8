"""processes.py - starts child processes that never outlive us, and ports nobody else takes.

What must hold:
  - A child dies with the process that started it, even if that is killed with SIGKILL: the kernel
    sends it SIGKILL (PR_SET_PDEATHSIG). The kernel watches the *thread* that forked, so all
    children are forked by one thread that lives as long as the process.
  - A child leads a process group of its own: signals reach all of it, and Ctrl-C only us.
  - A port given out is not given to another process that asks here, as long as we live.

SPDX-License-Identifier: Apache-2.0
"""

import atexit
import ctypes
import fcntl
import os
import queue
import random
import signal
import socket
import subprocess
import tempfile
import threading
import time

PR_SET_PDEATHSIG = 1
# Below the range from which Linux takes ports for outgoing connections (32768 and up): a stopped
# engine finds its port free again.
PORTS = range(20000, 32000)

_libc = ctypes.CDLL(None, use_errno=True)
_jobs = queue.Queue()
_children = set()
_port_locks = {}


def _in_child():
    """It dies with its parent, and Ctrl-C reaches it also where these tests run in the background."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _spawner():
    while True:
        args, options, answer = _jobs.get()
        try:
            answer.put(subprocess.Popen(args, start_new_session=True,
                                        preexec_fn=_in_child, **options))
        except Exception as error:  # handed to the caller
            answer.put(error)


def spawn(args, log_path=None, **options):
    """Starts ARGS in a process group of its own; output is appended to LOG_PATH when given."""
    if not getattr(spawn, "thread", None):
        spawn.thread = threading.Thread(target=_spawner, daemon=True, name="spawner")
        spawn.thread.start()
    log = None
    if log_path is not None:
        log = open(log_path, "ab")
        options.setdefault("stdout", log)
        options.setdefault("stderr", subprocess.STDOUT)
    options.setdefault("stdin", subprocess.DEVNULL)
    answer = queue.Queue()
    _jobs.put(([str(arg) for arg in args], options, answer))
    child = answer.get()
    if log is not None:
        log.close()
    if isinstance(child, Exception):
        raise child
    _children.add(child)
    return child


def signal_group(child, number):
    """Sends signal NUMBER to CHILD and whatever it started."""
    try:
        os.killpg(child.pid, number)
    except ProcessLookupError:
        pass


def end(child, patience_s=30):
    """Asks CHILD to end, insists after PATIENCE_S; returns its exit code."""
    if child.poll() is None:
        signal_group(child, signal.SIGCONT)
        try:
            child.terminate()
            child.wait(patience_s)
        except subprocess.TimeoutExpired:
            pass
    kill(child)
    return child.returncode


def kill(child):
    """SIGKILL to CHILD and all of its group, and waits until it is gone."""
    signal_group(child, signal.SIGKILL)
    child.wait()
    _children.discard(child)


@atexit.register
def _kill_all():
    for child in list(_children):
        kill(child)


def free_port():
    """A loopback port that nobody listens on, ours until this process ends."""
    folder = os.path.join(tempfile.gettempdir(), "tandem-ports")
    os.makedirs(folder, exist_ok=True)
    for port in random.SystemRandom().sample(PORTS, len(PORTS)):
        lock = open(os.path.join(folder, str(port)), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _port_locks[port] = lock
        return port
    raise RuntimeError("no free loopback port between %d and %d" % (PORTS.start, PORTS.stop))


def wait_until(condition, deadline_s, what, interval_s=0.05):
    """Waits until CONDITION() is true and returns what it returned; WHAT says what was expected."""
    end_s = time.monotonic() + deadline_s
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end_s:
            raise AssertionError("waited %.0f s in vain: %s" % (deadline_s, what))
        time.sleep(interval_s)


def last_lines(path, count=30):
    """The last COUNT lines of the file at PATH, or a word on why there are none."""
    try:
        with open(path, errors="replace") as file:
            return "".join(file.readlines()[-count:])
    except OSError as error:
        return "(%s)\n" % error
