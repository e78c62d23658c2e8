"""tandem.py - Tandem's programs for the tests: started, watched, killed and stopped.

A Tandem is one proxy and a replicator per standby, in front of engines that run already, with all
its files in one folder:

    FOLDER/tandem.yml  FOLDER/journal/  FOLDER/standby-b/  FOLDER/proxy.log  FOLDER/replicator-b.log

The programs come from $TANDEM_BUILD, by default build/asan.

SPDX-License-Identifier: Apache-2.0
"""

import glob
import http.client
import json
import os
import re
import signal
import subprocess

import compare
import processes
from processes import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START_S = 30
# A replicator that lost its standby tries again after at most backoff_max, which we set to 2 s.
CATCH_UP_S = 60
# For tests that look at memory: the sanitizer keeps what is freed for a while, by default 256 MB of it.
FREES = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=2"}
SANITIZER = re.compile(r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|runtime error:).*")


def build_folder():
    return os.environ.get("TANDEM_BUILD") or os.path.join(ROOT, "build", "asan")


def program(name):
    """The path of one of our programs in the build folder."""
    for pattern in ("", "bin", "*"):
        for path in glob.glob(os.path.join(build_folder(), pattern, name)):
            if os.path.isfile(path) and os.access(path, os.X_OK):
                return path
    raise FileNotFoundError("no %s in %s; build it first (tests/run does), or set TANDEM_BUILD" % (
        name, build_folder()))


class Answer:
    """An HTTP answer, whole: status, headers (names in lower case), body."""

    def __init__(self, answer):
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.body = answer.read()

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "<%d %s %r>" % (self.status, self.headers, self.body[:500])


def request(url, method, path, body=None, headers=None, timeout_s=60):
    """One request as it stands, on a connection of its own. BODY: bytes, text or something for JSON."""
    headers = dict(headers or {})
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    if body is not None:
        headers.setdefault("Content-Type", "application/json")
    host, port = url.split("//")[1].split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=timeout_s)
    try:
        connection.request(method, path, body, headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


def yaml(value, indent=""):
    """Just enough YAML for a settings file: sections of scalars, lists of scalars or sections."""
    lines = []
    for key, entry in value.items():
        if isinstance(entry, dict):
            lines += ["%s%s:" % (indent, key), yaml(entry, indent + "  ")]
        elif isinstance(entry, list) and entry and isinstance(entry[0], dict):
            lines.append("%s%s:" % (indent, key))
            for item in entry:
                text = yaml(item, indent + "    ")
                lines.append(indent + "  - " + text[len(indent) + 4:])
        elif isinstance(entry, list):
            lines.append("%s%s: [%s]" % (indent, key, ", ".join(json.dumps(x) for x in entry)))
        elif isinstance(entry, bool):
            lines.append("%s%s: %s" % (indent, key, "true" if entry else "false"))
        else:
            lines.append("%s%s: %s" % (indent, key, entry))
    return "\n".join(lines)


class Daemon:
    """One of our long-running programs."""

    def __init__(self, name, args, log_path, admin_port):
        self.name = name
        self.args = args
        self.log_path = log_path
        self.admin_url = "http://127.0.0.1:%d" % admin_port
        self.environment = {}  # what a test wants to add, for instance failpoints
        self.child = None

    def spawn(self):
        """Starts the process and returns at once."""
        env = dict(os.environ, ASAN_OPTIONS="detect_leaks=1:exitcode=99",
                   UBSAN_OPTIONS="print_stacktrace=1:halt_on_error=1:exitcode=99")
        env.update(self.environment)
        self.child = processes.spawn([program(self.args[0])] + self.args[1:], self.log_path,
                                     env=env)

    def start(self, deadline_s=START_S):
        self.spawn()
        return self.wait_ready(deadline_s)

    def running(self):
        return self.child is not None and self.child.poll() is None

    def wait_ready(self, deadline_s=START_S):
        def ready():
            if not self.running():
                raise AssertionError("%s ended while starting (exit code %s):\n%s" % (
                    self.name, self.child.returncode, processes.last_lines(self.log_path)))
            try:
                return self.is_ready()
            except (OSError, http.client.HTTPException):
                return False
        wait_until(ready, deadline_s, "%s is ready (see %s)" % (self.name, self.log_path))
        return self

    def is_ready(self):
        return request(self.admin_url, "GET", "/_tandem/status").status == 200

    def status(self):
        return request(self.admin_url, "GET", "/_tandem/status", timeout_s=10).json()

    def metrics(self):
        return request(self.admin_url, "GET", "/_tandem/metrics", timeout_s=10).body.decode()

    def descriptors(self):
        """How many file descriptors are open."""
        return len(os.listdir("/proc/%d/fd" % self.child.pid))

    def memory(self):
        """Resident bytes, without the journal's pages, which the kernel keeps."""
        with open("/proc/%d/status" % self.child.pid) as file:
            return 1024 * int(re.search(r"^RssAnon:\s+(\d+) kB", file.read(), re.MULTILINE).group(1))

    def stop(self):
        """SIGTERM; the exit code, which should be 0."""
        code = processes.end(self.child)
        self.child = None
        return code

    def kill9(self):
        processes.kill(self.child)
        self.child = None

    def restart(self, deadline_s=START_S):
        if self.running():
            self.stop()
        return self.start(deadline_s)

    def pause(self):
        processes.signal_group(self.child, signal.SIGSTOP)

    def resume(self):
        processes.signal_group(self.child, signal.SIGCONT)

    def complaints(self):
        """What a sanitizer said, a list of lines."""
        with open(self.log_path, errors="replace") as file:
            return [line.strip() for line in file if SANITIZER.search(line)]


class Proxy(Daemon):
    def __init__(self, config, folder, port, admin_port):
        super().__init__("proxy", ["tandem-proxy", "--config", config],
                         os.path.join(folder, "proxy.log"), admin_port)
        self.url = "http://127.0.0.1:%d" % port

    def is_ready(self):
        return self.status()["state"] == "active"


class Replicator(Daemon):
    def __init__(self, config, folder, standby, admin_port):
        super().__init__("replicator of " + standby,
                         ["tandem-replicator", "--config", config, "--standby", standby],
                         os.path.join(folder, "replicator-%s.log" % standby), admin_port)
        self.standby = standby

    def standby_status(self):
        return self.status()["standby"]


class Tandem:
    """A proxy in front of PRIMARY, and a replicator to each of STANDBYS (name -> engine)."""

    def __init__(self, folder, primary, standbys, settings=None):
        self.folder = folder
        self.primary = primary
        self.standbys = standbys
        self.config = os.path.join(folder, "tandem.yml")
        os.makedirs(os.path.join(folder, "journal"), exist_ok=True)
        port, admin_port = processes.free_port(), processes.free_port()
        self.proxy = Proxy(self.config, folder, port, admin_port)
        self.replicators = {
            name: Replicator(self.config, folder, name, processes.free_port()) for name in standbys}
        self.settings = self._settings(port, admin_port)
        for name, value in (settings or {}).items():
            section, key = name.split(".", 1)
            for target in self.settings[section] if section == "standbys" else [
                    self.settings.setdefault(section, {})]:
                target[key] = value
        self.write_config()

    def _settings(self, port, admin_port):
        standbys = []
        for name, engine in self.standbys.items():
            folder = os.path.join(self.folder, "standby-" + name)
            os.makedirs(folder, exist_ok=True)
            admin = self.replicators[name].admin_url.split("//")[1]
            standbys.append({"name": name, "urls": [engine.url], "admin": admin, "folder": folder,
                             "size_max": "1GB", "backoff_max": "2s"})
        return {
            "system": {"name": "tests"},
            "log": {"level": "debug"},
            "proxy": {"listen": "127.0.0.1:%d" % port, "admin": "127.0.0.1:%d" % admin_port,
                      "threads": 2},
            "primary": {"name": "a", "urls": [self.primary.url]},
            "journal": {"folder": os.path.join(self.folder, "journal"), "size_max": "1GB", "keep_size": "512MB"},
            "standbys": standbys,
        }

    def write_config(self):
        with open(self.config, "w") as file:
            file.write(yaml(self.settings) + "\n")

    @property
    def url(self):
        return self.proxy.url

    @property
    def standby(self):
        """The first standby: the only one in most tests."""
        return next(iter(self.standbys.values()))

    @property
    def replicator(self):
        return next(iter(self.replicators.values()))

    @property
    def daemons(self):
        return [self.proxy] + list(self.replicators.values())

    def start(self):
        # The replicators find the proxy's socket when it is there.
        for daemon in self.daemons:
            daemon.spawn()
        for daemon in self.daemons:
            daemon.wait_ready()
        return self

    def request(self, method, path, body=None, headers=None, timeout_s=60):
        """A request through the proxy."""
        return request(self.url, method, path, body, headers, timeout_s)

    def ctl(self, *args, check=True):
        """Runs tandemctl; returns what it printed."""
        done = subprocess.run([program("tandemctl"), "--config", self.config] + list(args),
                              capture_output=True, text=True, timeout=60)
        if check and done.returncode != 0:
            raise AssertionError("tandemctl %s: exit code %d\n%s%s" % (
                " ".join(args), done.returncode, done.stdout, done.stderr))
        return done.stdout

    def caught_up(self):
        """True when no write is open and every standby has applied the whole journal."""
        try:
            proxy = self.proxy.status()
            if proxy["open_intents"] != 0:
                return False
            for replicator in self.replicators.values():
                standby = replicator.standby_status()
                if (standby["applied_seq"] < proxy["journal"]["last_seq"]
                        or standby["lag_records"] != 0 or standby["waiting"] != 0):
                    return False
        except (OSError, http.client.HTTPException, KeyError, ValueError):
            return False
        return True

    def wait_caught_up(self, deadline_s=CATCH_UP_S):
        try:
            wait_until(self.caught_up, deadline_s, "every standby has caught up")
        except AssertionError as error:
            raise AssertionError("%s\n%s" % (error, self.describe())) from None

    def wait_equal(self, deadline_s=CATCH_UP_S):
        """Waits for lag 0, then until every standby equals the primary. What was changed behind the
        proxy's back is noticed within a poll of the follower, so the first look may be too early."""
        self.wait_caught_up(deadline_s)
        last = {}

        def equal():
            last.clear()
            for name, engine in self.standbys.items():
                found = compare.compare(self.primary.url, engine.url)
                if found:
                    last[name] = found
            return not last
        try:
            wait_until(equal, 10, "the standbys equal the primary", interval_s=0.5)
        except AssertionError:
            raise AssertionError("\n".join(
                "standby %s differs from the primary in %d things:\n%s" % (
                    name, len(found), compare.report(found)) for name, found in last.items()))

    def stop(self):
        """Ends all in order. An exit code other than 0 and anything a sanitizer said is an error."""
        wrong = []
        for daemon in self.daemons[1:] + self.daemons[:1]:
            if daemon.child is None:
                continue
            code = daemon.stop()
            if code != 0:
                wrong.append("%s ended with exit code %d" % (daemon.name, code))
        for daemon in self.daemons:
            if os.path.exists(daemon.log_path):
                wrong += ["%s: %s" % (daemon.name, line) for line in daemon.complaints()]
        if wrong:
            raise AssertionError("\n".join(wrong))

    def kill(self):
        """Ends all at once, whatever state they are in."""
        for daemon in self.daemons:
            if daemon.child is not None:
                daemon.kill9()

    def describe(self):
        """What the programs say of themselves, if they run, and the ends of their logs, for a failure."""
        text = ["The files of this run are kept in %s" % self.folder]
        for daemon in self.daemons:
            try:
                text.append("--- %s: %s" % (daemon.name, json.dumps(daemon.status())))
            except (OSError, http.client.HTTPException, ValueError) as error:
                text.append("--- %s: no status: %s" % (daemon.name, error))
            text.append("--- %s: last lines of %s" % (daemon.name, daemon.log_path))
            text.append(processes.last_lines(daemon.log_path))
        return "\n".join(text)
