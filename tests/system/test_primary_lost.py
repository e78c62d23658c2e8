"""test_primary_lost.py - a primary that was emptied, or mixed up with another cluster, must not
empty the standby.

SPDX-License-Identifier: Apache-2.0
"""

import os
import shutil

import pytest

from processes import wait_until
from scripted import SOON_S, scripted_tandem, source
from shared import must, shared_tandem
from tandem import request as ask
from tandem import request

GRAVEYARD = 500  # so many deletions an engine remembers


@pytest.fixture
def scripted(request, run_folder):
    yield from scripted_tandem(request, run_folder, equal=False)


@pytest.fixture
def alone(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, equal=False)


def test_an_emptied_primary_does_not_empty_the_standby(alone):
    for n in range(3):
        must(alone.url, "PUT", "/books/_doc/%d" % n, {"n": n})
    must(alone.url, "PUT", "/_ingest/pipeline/kept", {"processors": []})
    alone.wait_caught_up()
    alone.primary.stop()
    shutil.rmtree(os.path.join(alone.primary.folder, "data"))
    alone.primary.start().wait_ready()

    # Before it is noticed a write may reach the other cluster; it is never acknowledged.
    wait_until(lambda: alone.proxy.status()["primary"]["state"] == "another cluster", 20,
               "it is noticed")
    for method, path, body in (("PUT", "/books/_doc/9", {"n": 9}), ("DELETE", "/books", None),
                               ("PUT", "/others", {})):
        answer = alone.request(method, path, body)
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (503, "not-applied"), answer
    assert request(alone.primary.url, "HEAD", "/books").status == 404
    problems = alone.proxy.status()["problems"]
    assert any("writes are refused" in problem["text"] for problem in problems), problems
    assert "writes are refused" in alone.ctl("status", check=False)
    # Reads pass still.
    assert alone.request("GET", "/_cluster/health").status == 200
    # So it is after a restart of everything.
    for daemon in alone.daemons:
        daemon.stop()
    alone.replicator.spawn()
    alone.proxy.spawn()
    wait_until(lambda: answers(alone), 20, "it is there")
    for n in range(3):
        assert request(alone.standby.url, "GET", "/books/_doc/%d" % n).status == 200
    assert request(alone.standby.url, "GET", "/_ingest/pipeline/kept").status == 200
    answer = alone.request("PUT", "/books/_doc/9", {"n": 9})
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (503, "not-applied"), answer


def answers(tandem):
    try:
        return tandem.proxy.status()
    except OSError:
        return None


# --- between scripted clusters --------------------------------------------------------------------

def problem(tandem, word):
    """The proxy's problem that says WORD, or None."""
    return next((each for each in tandem.proxy.status()["problems"] if word in each["text"]), None)


def check_left_alone(tandem):
    """Writes are refused before anything is sent, and the standby keeps what it has."""
    tandem.a.clear_log()
    for method, path, body in (("PUT", "/books/_doc/9", {"n": 9}), ("DELETE", "/later", None),
                               ("POST", "/books/_doc", {"n": 9})):
        answer = tandem.request(method, path, body)
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (503, "not-applied"), answer
    assert tandem.request("GET", "/books/_doc/1").status == 200
    assert not tandem.a.log()["applied"]
    assert source(tandem.b, "books", "2") == {"n": 2} and source(tandem.b, "later", "1") == {"n": 1}
    assert ask(tandem.b.url, "GET", "/_ingest/pipeline/kept").status == 200


def set_back(tandem, away=False):
    """The primary is restored to what it was: its cluster_uuid stays, the version of its state is lower."""
    tandem.index("books")
    tandem.put("books", "1", {"n": 1})
    tandem.wait_caught_up()
    tandem.a.snapshot()
    tandem.put("books", "2", {"n": 2})
    tandem.index("later")
    tandem.put("later", "1", {"n": 1})
    for n in range(10):
        must(tandem.url, "PUT", "/_ingest/pipeline/kept", {"processors": [], "description": str(n)})
    tandem.wait_caught_up()
    wait_until(lambda: ask(tandem.b.url, "GET", "/_ingest/pipeline/kept").status == 200, SOON_S,
               "the standby has all of it")
    if away:
        tandem.proxy.stop()
    tandem.a.restore()
    assert ask(tandem.a.url, "HEAD", "/later").status == 404


def test_a_primary_set_back_in_time_refuses_writes_and_spares_the_standby(scripted):
    set_back(scripted)
    wait_until(lambda: problem(scripted, "went backwards"), SOON_S, "it is noticed")
    check_left_alone(scripted)
    status = scripted.proxy.status()
    assert status["state"] == "readonly", status
    found = problem(scripted, "went backwards")
    assert "writes are refused" in found["text"] and "adopt" in found["do"], found
    text = scripted.ctl("status", check=False)
    assert "went backwards" in text and "adopt" in text, text
    # Somebody has looked, and says that this is the primary from now on.
    scripted.ctl("adopt", "--yes")
    wait_until(lambda: not problem(scripted, "went backwards"), SOON_S, "it is adopted")
    wait_until(lambda: scripted.request("PUT", "/books/_doc/3", {"n": 3}).status == 201, SOON_S,
               "writes pass")
    scripted.wait_caught_up()
    assert source(scripted.b, "books", "3") == {"n": 3}
    assert ask(scripted.b.url, "HEAD", "/later").status == 200


@pytest.mark.parametrize("when", ["while the proxy is away", "before it is started again"])
def test_a_primary_set_back_in_time_is_known_after_a_restart(scripted, when):
    away = when == "while the proxy is away"
    set_back(scripted, away)
    if not away:
        wait_until(lambda: problem(scripted, "went backwards"), SOON_S, "it is noticed")
        scripted.proxy.stop()
    scripted.proxy.spawn()
    wait_until(lambda: answers(scripted) and scripted.proxy.status()["state"] in ("active", "readonly"), SOON_S,
               "it has looked")
    assert problem(scripted, "went backwards"), scripted.proxy.status()
    check_left_alone(scripted)


def forget_deletion(tandem, *names):
    """These indices are gone from the cluster state, and from its list of deletions, before the follower looks."""
    tandem.a.fault("status", status=503, prefix="/_cluster/state", count=0)
    for name in names:
        assert ask(tandem.a.url, "DELETE", "/" + name).status == 200
    for n in range(GRAVEYARD + 1):
        name = "/passing-%d" % n
        assert ask(tandem.a.url, "PUT", name).status == 200
        assert ask(tandem.a.url, "DELETE", name).status == 200
    tandem.a.clear_faults()


def test_indices_that_vanish_without_a_deletion_stay_on_the_standby_and_are_shown(scripted):
    for name in ("lost-1", "lost-2", "kept"):
        scripted.index(name)
        scripted.put(name, "1", {"n": 1})
    scripted.wait_caught_up()
    forget_deletion(scripted, "lost-1", "lost-2")
    found = wait_until(lambda: problem(scripted, "nobody deleted"), SOON_S, "it is shown")
    assert found["level"] == "error" and "lost-1" in found["text"] and "lost-2" in found["text"], found
    assert "kept" not in found["text"], found
    text = scripted.ctl("status", check=False)
    assert "lost-1" in text and "nobody deleted" in text, text
    # What goes on is not disturbed, and the deletion of another index takes only that.
    scripted.put("kept", "2", {"n": 2})
    assert scripted.request("DELETE", "/kept").status == 200
    wait_until(lambda: ask(scripted.b.url, "HEAD", "/kept").status == 404, SOON_S, "what was deleted goes")
    for name in ("lost-1", "lost-2"):
        assert source(scripted.b, name, "1") == {"n": 1}
    # So it is after a restart of everything.
    for daemon in scripted.daemons:
        daemon.restart()
    assert problem(scripted, "nobody deleted"), scripted.proxy.status()
    for name in ("lost-1", "lost-2"):
        assert source(scripted.b, name, "1") == {"n": 1}
