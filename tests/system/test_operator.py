"""test_operator.py - what an operator does and sees: stop, reload, wrong settings, secrets, status, metrics, installation.

Most of it needs no engine: these tests share a Tandem between two scripted clusters.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import glob
import http.client
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from fake import FakeEs
from processes import last_lines, wait_until
from shared import must
from tandem import ROOT, Tandem, build_folder, program, request
from test_journal_faults import log_of, run_to_its_end, wait_log

CANARY_CLIENT = "canary-client-5f1d"
CANARY_PRIMARY = "tandem:canary-primary-77aa"
CANARY_STANDBY = "tandem:canary-standby-0c3e"


# ---- SIGTERM (K16), on real engines ----

def write_until_closed(url, number, ended, failed):
    """Writes through the official client; a proxy that takes no new connection is the end, nothing else is."""
    from opensearchpy import OpenSearch
    from opensearchpy.exceptions import ConnectionError
    with OpenSearch(url, timeout=60, max_retries=0, retry_on_timeout=False) as client:
        for n in range(100_000):
            try:
                client.index(index="drained", id="%d-%d" % (number, n), body={"n": n})
            except ConnectionError as error:
                if "refused" not in str(error):  # a connection that was never made: nothing was sent
                    failed.append(repr(error))
                break
            except Exception as error:
                failed.append(repr(error))
                break
            ended[number] = n


def test_sigterm_under_load_fails_no_request(tandem):
    ended, failed = {}, []
    must(tandem.url, "PUT", "/drained")
    for round in range(3):
        ended.clear()
        writers = [threading.Thread(target=write_until_closed, daemon=True,
                                    args=(tandem.url, 100 * round + number, ended, failed))
                   for number in range(12)]
        for writer in writers:
            writer.start()
        wait_until(lambda: failed or len(ended) == 12 and min(ended.values()) >= 3, 60, "all write")
        assert tandem.proxy.stop() == 0
        for writer in writers:
            writer.join(30)
        assert not failed, failed
        assert log_of(tandem.proxy).rstrip().endswith("ended (open_intents=0)")
        tandem.proxy.start()
    assert tandem.proxy.status()["watch"] == 0
    tandem.wait_caught_up()
    for number, last in ended.items():
        assert request(tandem.standby.url, "GET", "/drained/_doc/%d-%d" % (number, last)).status == 200


# ---- between scripted clusters ----

def secret(folder, name, text, mode=0o600):
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write(text + "\n")
    os.chmod(path, mode)
    return path


@pytest.fixture(scope="module")
def fakes(run_folder):
    both = [FakeEs(name, os.path.join(run_folder, "operator-fake-%s.log" % name)).start()
            for name in ("a", "b")]
    yield both
    for each in both:
        if each.running():
            each.stop()


@pytest.fixture(scope="module")
def shared(request, run_folder, fakes):
    folder = os.path.join(run_folder, "operator")
    os.makedirs(folder)
    running = Tandem(folder, fakes[0], {"b": fakes[1]}, {
        "primary.credentials_file": secret(folder, "primary.secret", CANARY_PRIMARY),
        "standbys.credentials_file": secret(folder, "standby.secret", CANARY_STANDBY)})
    try:
        running.start()
        yield running
        running.stop()
    finally:
        running.kill()
        if request.session.testsfailed:
            print(running.describe())


@pytest.fixture
def tidy(shared):
    """The file and the programs are as before when the test has ended."""
    with open(shared.config) as file:
        before = file.read()
    yield shared
    with open(shared.config, "w") as file:
        file.write(before)
    for daemon in shared.daemons:
        if not daemon.running():
            daemon.start()
        elif reloads(daemon) > 0:
            reload(daemon)


def reloads(daemon):
    return log_of(daemon).count("reload: done") + log_of(daemon).count("reload: nothing was changed")


def reload(daemon):
    before = reloads(daemon)
    os.kill(daemon.child.pid, signal.SIGHUP)
    wait_until(lambda: reloads(daemon) > before, 10, "%s has read its file again" % daemon.name)


def said_since(daemon, size):
    return log_of(daemon)[size:]


def edit(tandem, section, key, value):
    tandem.settings[section][key] = value
    tandem.write_config()


def test_sighup_takes_what_can_change_and_names_the_rest(tidy):
    must(tidy.url, "PUT", "/books/_doc/1", {"n": 1})
    size = len(log_of(tidy.proxy))
    settings = tidy.settings["proxy"]
    settings.update(body_max="1KB", threads=1)
    tidy.write_config()
    try:
        reload(tidy.proxy)
        said = said_since(tidy.proxy, size)
        assert re.search(r"reload: .*proxy\.body_max", said), said
        assert re.search(r"restart: .*proxy\.threads", said), said
        assert "takes effect after a restart: proxy.body_max" not in said
        assert tidy.request("PUT", "/books/_doc/2", {"text": "x" * 2000}).status == 413
        must(tidy.url, "PUT", "/books/_doc/2", {"n": 2})
    finally:
        del settings["body_max"]
        settings["threads"] = 2


@pytest.mark.parametrize("line, complaint", [("  body_maks: 1KB", "body_maks"),
                                             ("  body_max: many", "body_max"),
                                             ("  body_max: [", "")])
def test_a_wrong_file_changes_nothing_at_sighup_and_is_refused_at_start(tidy, line, complaint):
    with open(tidy.config) as file:
        text = file.read()
    # As the first setting of its section; its own line number must be named.
    wrong = text.replace("proxy:\n", "proxy:\n" + line + "\n", 1)
    number = wrong[:wrong.index(line)].count("\n") + 1
    with open(tidy.config, "w") as file:
        file.write(wrong)
    for daemon in tidy.daemons:
        size = len(log_of(daemon))
        reload(daemon)
        said = said_since(daemon, size)
        assert " error " in said and "reload: nothing was changed" in said, said
        if complaint:
            assert "tandem.yml:%d" % number in said and complaint in said, said
        assert daemon.running()
    must(tidy.url, "PUT", "/books/_doc/3", {"text": "x" * 2000})
    for name, more in (("tandem-proxy", []), ("tandem-replicator", ["--standby", "b"]),
                       ("tandemctl", ["check-config"])):
        done = subprocess.run([program(name), "--config", tidy.config] + more, capture_output=True,
                              text=True, timeout=30)
        assert done.returncode == 2, (name, done)
        assert "tandem.yml:" in done.stderr and complaint in done.stderr, (name, done)
        if complaint:
            assert "tandem.yml:%d" % number in done.stderr, (name, done)


def test_a_standby_taken_from_the_file_does_not_disturb_its_replicator(tidy):
    standbys = tidy.settings["standbys"]
    tidy.settings["standbys"] = [dict(standbys[0], name="c")]
    tidy.write_config()
    try:
        for _ in range(3):
            reload(tidy.replicator)
        assert tidy.replicator.standby_status()["name"] == "b"
        must(tidy.url, "PUT", "/books/_doc/4", {"n": 4})
        tidy.wait_caught_up()
    finally:
        tidy.settings["standbys"] = standbys


@pytest.mark.parametrize("which", ["primary", "standby"])
def test_a_credentials_file_that_others_can_read_is_refused(tidy, which):
    path = os.path.join(tidy.folder, which + ".secret")
    daemon = tidy.proxy if which == "primary" else tidy.replicator
    daemon.stop()
    os.chmod(path, 0o644)
    try:
        code, said = run_to_its_end(daemon)
    finally:
        os.chmod(path, 0o600)
    assert code == 2 and path in said and "chmod 600" in said, said
    assert "canary" not in said


def files_of(folder):
    return [path for path in glob.glob(os.path.join(folder, "**"), recursive=True)
            if os.path.isfile(path) and not path.endswith(".secret")]


def forms(text):
    """How a secret may look: as it is, in base64 as a whole, and in base64 within something (three offsets)."""
    plain = text.encode()
    return [plain, base64.b64encode(plain), plain.split(b":")[-1]] + [
        base64.b64encode(b" " * shift + plain)[4:-4] for shift in (1, 2)]


def test_credentials_appear_nowhere(shared, fakes):
    basic = base64.b64encode(("user:" + CANARY_CLIENT).encode()).decode()
    headers = {"Authorization": "Basic " + basic}
    fakes[0].clear_log()
    for n in range(3):
        answer = shared.request("PUT", "/books/_doc/secret-%d" % n, {"n": n}, headers)
        assert answer.status in (200, 201), answer
    # What is refused, malformed, or without an answer is logged in other ways.
    shared.request("POST", "/books/_delete_by_query", {"query": {"match_all": {}}}, headers)
    shared.request("PUT", "/books/_doc/1?pipeline=%zz", {"n": 1}, headers)
    fakes[0].fault("reset_after", method="PUT", prefix="/books/_doc/doubt", count=1)
    shared.request("PUT", "/books/_doc/doubt", {"n": 1}, headers)
    fakes[0].clear_faults()
    wait_until(lambda: shared.proxy.status()["open_intents"] == 0, 30, "the doubt is settled")
    shared.wait_caught_up()
    haystack = {path: open(path, "rb").read() for path in files_of(shared.folder)}
    for daemon in shared.daemons:
        for what in ("status", "metrics"):
            haystack["%s of %s" % (what, daemon.name)] = request(
                daemon.admin_url, "GET", "/_tandem/" + what).body
        with open("/proc/%d/cmdline" % daemon.child.pid, "rb") as file:
            haystack["command line of " + daemon.name] = file.read()
    haystack["tandemctl"] = (shared.ctl("status") + shared.ctl("status", "--json")
                             + shared.ctl("journal", "dump")).encode()
    assert any(path.endswith("data.mdb") for path in haystack)
    needles = [form for text in (CANARY_CLIENT, CANARY_PRIMARY, CANARY_STANDBY) for form in forms(text)]
    needles.append(basic.encode())
    found = ["%r in %s" % (needle, path) for path, text in haystack.items()
             for needle in needles if needle in text]
    assert not found, found


SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*",?)*\})? '
                    r'([+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|Inf|NaN))$')


def parse_metrics(text):
    """Prometheus' text format 0.0.4, strictly; {name: type}, and the values by name and labels."""
    types, helps, values = {}, set(), {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name, help = line[7:].split(" ", 1)
            assert name not in helps and help, line
            helps.add(name)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name not in types and kind in ("counter", "gauge", "histogram", "summary"), line
            types[name] = kind
        else:
            match = SAMPLE.match(line)
            assert match, "not a sample: %r" % line
            name, labels, value = match.groups()
            assert name in types and name in helps, "no type or help before %r" % line
            assert (name, labels) not in values, "twice: %r" % line
            assert name.endswith("_total") == (types[name] == "counter"), line
            values[name, labels] = float(value)
    return types, values


def test_status_and_metrics_of_both_programs_parse(shared):
    must(shared.url, "PUT", "/books/_doc/counted", {"n": 1})
    shared.wait_caught_up()
    fields = {"proxy": ["program", "version", "system", "state", "uptime_s", "primary", "journal", "open_intents",
                        "in_doubt", "watch", "in_flight", "held", "state_version", "indices", "standbys",
                        "problems"],
              "replicator of b": ["program", "version", "system", "standby", "indices", "problems"]}
    for daemon in shared.daemons:
        answer = request(daemon.admin_url, "GET", "/_tandem/status")
        assert answer.headers["content-type"].startswith("application/json")
        missing = [name for name in fields[daemon.name] if name not in answer.json()]
        assert not missing, missing
        answer = request(daemon.admin_url, "GET", "/_tandem/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        types, values = parse_metrics(answer.body.decode())
        assert len(types) >= 8, types
        assert all(name.startswith("tandem_") for name in types)
    _, values = parse_metrics(shared.proxy.metrics())
    assert values["tandem_writes_applied_total", None] >= 1
    assert values["tandem_journal_last_seq", None] == shared.proxy.status()["journal"]["last_seq"]
    # What docs/operations.md says to watch must be there.
    with open(os.path.join(ROOT, "docs", "operations.md")) as file:
        watched = set(re.findall(r"`(tandem_[a-z_]+)`", "".join(
            line for line in file if line.startswith("| `tandem_"))))
    known = {name for daemon in shared.daemons for name in parse_metrics(daemon.metrics())[0]}
    assert watched and watched <= known, watched - known


def test_status_says_what_is_wrong_and_what_to_do(tidy, fakes):
    assert "WHAT IS WRONG, AND WHAT TO DO\n  nothing" in tidy.ctl("status")
    fakes[0].kill9()
    try:
        wait_until(lambda: tidy.proxy.status()["primary"]["state"] == "away", 30, "it is noticed")
        text = tidy.ctl("status")
        wrong = text[text.index("WHAT IS WRONG"):]
        assert "the primary's cluster state cannot be read" in wrong and "tandemctl release" in wrong, text
        _, values = parse_metrics(tidy.proxy.metrics())
        assert values["tandem_primary_ok", None] == 0
        answer = tidy.request("PUT", "/books/_doc/1", {"n": 1})
        assert answer.status == 503 and answer.headers["x-tandem-outcome"] == "not-applied", answer
        tidy.replicator.stop()
        text = tidy.ctl("status", check=False)
        assert "no replicator" in text and "journalctl -u tandem-replicator@b" in text, text
        tidy.proxy.stop()
        text = tidy.ctl("status", check=False)
        assert "no proxy" in text and "journalctl -u tandem-proxy" in text, text
    finally:
        for daemon in tidy.daemons:
            if daemon.running():
                daemon.stop()
        # A scripted cluster that begins anew is another cluster: so does all else.
        fakes[0].start()
        fakes[1].kill9()
        fakes[1].start()
        for folder in ("journal", "standby-b"):
            shutil.rmtree(os.path.join(tidy.folder, folder))
            os.makedirs(os.path.join(tidy.folder, folder))


# ---- H6: no file descriptors ----

def cpu_s(daemon):
    with open("/proc/%d/stat" % daemon.child.pid) as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_without_descriptors_new_connections_wait_and_nothing_spins(shared):
    pid = shared.proxy.child.pid
    host, port = shared.url.split("//")[1].split(":")
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    kept = [http.client.HTTPConnection(host, int(port), timeout=30) for _ in range(4)]
    waiting = []

    def ask(connection, n):
        connection.request("PUT", "/books/_doc/kept-%d" % n, b'{"n":1}',
                           {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    assert all(ask(connection, n) in (200, 201) for n, connection in enumerate(kept))
    used = len(os.listdir("/proc/%d/fd" % pid))
    size = len(log_of(shared.proxy))
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 6, limits[1]))
        admin = shared.proxy.admin_url.split("//")[1].split(":")
        for target in [(host, int(port))] * 60 + [(admin[0], int(admin[1]))] * 3:
            waiting.append(socket.create_connection(target, timeout=10))
        wait_log(shared.proxy, "no file descriptors are left")
        before, begun = cpu_s(shared.proxy), time.monotonic()
        for n in range(20):  # who is there is served
            assert ask(kept[n % 4], n) in (200, 201)
            time.sleep(0.1)  # long enough for something that spins to show
        share = (cpu_s(shared.proxy) - before) / (time.monotonic() - begun)
        assert share < 0.5, "the proxy uses %d %% of a processor" % (100 * share)
        assert len(said_since(shared.proxy, size).splitlines()) < 1000, "the log is flooded"
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        for connection in waiting:
            connection.close()
    wait_until(lambda: answers(shared), 20, "new connections are taken again")
    for connection in kept:
        connection.close()
    # Nothing was lost on the way: as many are in use as before, but for the kept ones.
    wait_until(lambda: len(os.listdir("/proc/%d/fd" % pid)) <= used, 20, "descriptors are given back")


def answers(tandem):
    try:
        return tandem.request("GET", "/", timeout_s=5).status == 200 and tandem.proxy.status()
    except OSError:
        return False


# ---- installation ----

def install(prefix, root=None):
    environment = dict(os.environ, **({"DESTDIR": root} if root else {}))
    subprocess.run(["cmake", "--install", build_folder(), "--prefix", prefix], check=True, env=environment,
                   capture_output=True, text=True, timeout=60)


def test_an_installation_has_all_in_place(tmp_path):
    root = str(tmp_path)
    install("/usr", root)
    for name in ("tandem-proxy", "tandem-replicator", "tandemctl"):
        assert os.access(os.path.join(root, "usr/bin", name), os.X_OK)
    for name in ("etc/tandem/tandem.yml", "usr/lib/systemd/system/tandem-proxy.service",
                 "usr/lib/systemd/system/tandem-replicator@.service", "usr/lib/sysusers.d/tandem.conf",
                 "usr/share/doc/tandem/operations.md"):
        assert os.path.isfile(os.path.join(root, name)), name
    unit = open(os.path.join(root, "usr/lib/systemd/system/tandem-proxy.service")).read()
    assert "ExecStart=/usr/bin/tandem-proxy --config /etc/tandem/tandem.yml" in unit
    assert "@TANDEM" not in unit and "ProtectSystem=strict" in unit
    config = os.path.join(root, "etc/tandem/tandem.yml")
    done = subprocess.run([os.path.join(root, "usr/bin/tandemctl"), "--config", config, "check-config"],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done
    with open(config, "a") as file:
        file.write("# the operator's own\n")
    install("/usr", root)
    assert "# the operator's own" in open(config).read()
    assert os.path.isfile(config + ".new")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_the_units_are_understood_by_systemd(tmp_path):
    prefix = str(tmp_path / "usr")
    install(prefix)
    folder = os.path.join(prefix, "lib/systemd/system")
    for installed, name in (("tandem-proxy.service",) * 2,
                            ("tandem-replicator@.service", "tandem-replicator@b.service")):
        if installed != name:
            os.rename(os.path.join(folder, installed), os.path.join(folder, name))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", os.path.join(folder, name)],
                              capture_output=True, text=True, timeout=60)
        ours = [line for line in (done.stdout + done.stderr).splitlines() if "tandem" in line]
        assert not ours, ours
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--threshold=25",
                               os.path.join(folder, name)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, (done.stdout + done.stderr)[-500:]
