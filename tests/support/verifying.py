"""verifying.py - short words for the tests of verify and repair.

SPDX-License-Identifier: Apache-2.0
"""

import contextlib
import random
import subprocess
import threading

from processes import wait_until
from shared import lines, must
from tandem import program, request

ENDS_S = 180
NDJSON = {"Content-Type": "application/x-ndjson"}


def bulk_path(tandem, index):
    """Elasticsearch 6 wants to know the type, later engines do not."""
    return ("/%s/_doc/_bulk" if tandem.primary.kind == "elasticsearch-6.8" else "/%s/_bulk") % index


def fill(tandem, index, count, shards=3):
    must(tandem.url, "PUT", "/" + index, {"settings": {"number_of_shards": shards, "number_of_replicas": 0}})
    for begin in range(0, count, 500):
        body = []
        for n in range(begin, min(begin + 500, count)):
            action = {"_id": "d%d" % n, **({"routing": "r%d" % (n % 5)} if n % 4 == 0 else {})}
            body += [{"index": action}, {"n": n, "text": "x y\n z", "deep": {"a": [1.0, 1e3]}}]
        assert not must(tandem.url, "POST", bulk_path(tandem, index), lines(*body), NDJSON)["errors"]
    tandem.wait_caught_up()


def ctl(tandem, *args):
    """Exit code and words."""
    done = subprocess.run([program("tandemctl"), "--config", tandem.config] + list(args), capture_output=True,
                          text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def report(tandem):
    return request(tandem.replicator.admin_url, "GET", "/_tandem/verify").json()


def ended(tandem):
    """The report when it has ended."""
    try:
        wait_until(lambda: report(tandem)["state"] == "ended", ENDS_S, "it ends")
    except AssertionError as error:
        raise AssertionError("%s: %s\n%s" % (error, report(tandem), tandem.replicator.status())) from None
    return report(tandem)


def result(tandem, index):
    return next(each for each in ended(tandem)["indices"] if each["index"] == index)


def kinds(found):
    return {kind: found[kind] for kind in ("missing", "extra", "different")}


@contextlib.contextmanager
def written_to(tandem, index, documents, writers, seed):
    """Meanwhile WRITERS threads write and delete the documents d0, d1 ... of INDEX."""
    enough = threading.Event()

    def keep_writing(number):
        mine = random.Random(seed + number)
        while not enough.is_set():
            path = "/%s/_doc/d%d" % (index, mine.randrange(documents))
            if mine.random() < 0.2:
                tandem.request("DELETE", path)
            else:
                tandem.request("PUT", path, {"live": mine.random()})

    threads = [threading.Thread(target=keep_writing, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        enough.set()
        for thread in threads:
            thread.join()
