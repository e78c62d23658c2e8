"""test_release.py - a standby becomes an ordinary cluster: what waited, what is parked, what is in doubt, and a second try.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import subprocess
import tempfile
import threading

import pytest

from processes import last_lines, wait_until
from scripted import SOON_S, Scripted, source
from shared import must, shared_tandem
from standbys import ONE_SHARD, index_status, on_standby, set_coerce, wait_state, write
from tandem import Tandem, program, request


@pytest.fixture
def alone(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, equal=False)


@pytest.fixture
def parking(request, clusters, run_folder):
    yield from shared_tandem(request, clusters, run_folder, {"standbys.refused": "park"}, equal=False)


@pytest.fixture
def scripted(run_folder):
    """Between scripted clusters; afterwards there is nothing to be equal or to go on."""
    running = Scripted(tempfile.mkdtemp(prefix="release-", dir=run_folder))
    try:
        yield running.start()
        for daemon in running.daemons:
            assert not daemon.complaints()
    finally:
        running.kill()


def check_ordinary(url, *indices):
    """Nothing of Tandem's is left on a released cluster but the document that says so."""
    for index in indices:
        found = must(url, "GET", "/%s?flat_settings=true" % index)[index]
        assert not [name for name in found["aliases"] if "tandem" in name], found["aliases"]
        for name in ("index.mapping.total_fields.limit", "index.gc_deletes", "index.final_pipeline"):
            assert name not in found["settings"], found["settings"]
    settings = must(url, "GET", "/_cluster/settings?flat_settings=true")
    assert not [name for kind in settings.values() for name in kind
                if "auto_create" in name or "index_state_management" in name], settings
    assert request(url, "GET", "/_index_template/tandem-shadow").status >= 400
    assert released(url)


def released(url):
    """What .tandem says."""
    answer = request(url, "GET", "/.tandem/_doc/standby")
    return answer.status == 200 and answer.json()["_source"]["state"] == "released"


def refused_release(tandem):
    """Gives the command, which has to be refused; what it says."""
    done = subprocess.run([program("tandemctl"), "--config", tandem.config, "release", "b", "--yes"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done
    return done.stderr


def test_rows_without_a_mapping_pass_the_gate(scripted):
    """The primary's last word of its mapping was not heard: it shows the one from before."""
    books = scripted.index("books")
    scripted.put(books, "1", {"n": 1})
    scripted.wait_caught_up()
    before = must(scripted.a.url, "GET", "/books")
    scripted.a.fault("status", status=200, body=before, method="GET", prefix="/books?", count=0)
    scripted.put(books, "2", {"n": 2, "late": "2024-02-29"})
    scripted.put(books, "2", {"n": 22, "late": "2024-03-01"})
    wait_until(lambda: (index_status(scripted, books) or {"waiting": 0})["waiting"] == 2, SOON_S, "rows wait")
    assert source(scripted.b, books, "2") is None
    scripted.proxy.kill9()
    scripted.a.kill9()
    assert "released" in scripted.ctl("release", "b", "--yes", "--timeout", "20")
    assert source(scripted.b, books, "2") == {"n": 22, "late": "2024-03-01"}
    mapping = must(scripted.b.url, "GET", "/books/_mapping")["books"]["mappings"]
    assert mapping["properties"]["late"]["type"] == "date", mapping
    with open(scripted.replicator.log_path) as file:
        assert "wait for a mapping that never came" in file.read()
    check_ordinary(scripted.b.url, books)


@pytest.mark.parametrize("policy", ["alone", "parking"])
def test_a_release_with_parked_rows_is_refused(request, policy):
    tandem = request.getfixturevalue(policy)
    must(tandem.url, "PUT", "/refusing", ONE_SHARD)
    write(tandem, "refusing", 1)
    tandem.wait_caught_up()
    set_coerce(tandem, "refusing", False)
    must(tandem.url, "PUT", "/refusing/_doc/2", {"n": "2"})
    wait_until(lambda: tandem.replicator.standby_status()["parked"] == 1, 20, "it is parked")
    said = refused_release(tandem)
    assert "parked" in said and "retry or drop" in said, said
    assert not released(tandem.standby.url)
    must(tandem.url, "PUT", "/refusing/_doc/3", {"n": 3})
    tandem.ctl("parked", "drop", "--all", "--yes")
    wait_until(lambda: on_standby(tandem, "refusing", 3), 20, "it goes on as a standby")
    assert "released" in tandem.ctl("release", "b", "--yes")
    check_ordinary(tandem.standby.url, "refusing")
    assert not on_standby(tandem, "refusing", 2)


def test_what_cannot_go_in_is_left_out_by_force(alone):
    """It was never made, so its rows can't be there: the release says so and waits, until --force."""
    must(alone.standby.url, "PUT", "/taken/_doc/own", {"own": 1})
    write(alone, "taken", 1)
    write(alone, "books", 1)
    wait_until(lambda: (index_status(alone, "taken") or {"waiting": 0})["waiting"] == 1, 20, "its row waits")
    alone.proxy.kill9()
    alone.primary.kill9()
    alone.ctl("release", "b", "--yes", "--timeout", "1", check=False)
    wait_until(lambda: "the release waits: 1 rows of index taken" in alone.ctl("status", check=False), 20,
               "it is said what it waits for")
    assert not released(alone.standby.url)
    said = alone.ctl("release", "b", "--yes", "--force", "--timeout", "20")
    assert "released" in said and "index taken: 1 rows that waited are left out" in said, said
    check_ordinary(alone.standby.url, "books")
    assert on_standby(alone, "books", 1)
    assert must(alone.standby.url, "GET", "/taken/_doc/own")["_source"] == {"own": 1}


def test_a_write_left_hanging_is_said_to_be_in_doubt(alone):
    must(alone.url, "PUT", "/books", ONE_SHARD)
    write(alone, "books", 1)
    alone.wait_caught_up()
    alone.primary.pause()

    def hang():
        try:
            alone.request("PUT", "/books/_doc/hanging", {"n": 2})
        except OSError:
            pass  # the proxy is killed before it answers
    writer = threading.Thread(target=hang, daemon=True)
    writer.start()
    wait_until(lambda: alone.proxy.status()["open_intents"] == 1, 20, "it is under way")
    alone.proxy.kill9()
    alone.primary.kill9()
    writer.join(30)
    assert "released" in alone.ctl("release", "b", "--yes")
    status = alone.replicator.standby_status()
    assert status["in_doubt"] == [{"index": "books", "id": "hanging"}], status
    with open(alone.replicator.log_path) as file:
        assert "in doubt, never acknowledged: index books id hanging" in file.read()
    assert on_standby(alone, "books", 1)
    assert request(alone.standby.url, "HEAD", "/books/_doc/hanging").status == 404


# --- interrupted ----------------------------------------------------------------------------------

# Where it is killed: a request of the release that does not come back, executed or not.
INTERRUPTED = {
    "while it drains": {"prefix": "/_bulk"},
    "before the aliases go": {"prefix": "/_aliases"},
    "behind the aliases": {"prefix": "/_aliases", "execute": True},
    "before the settings are undone": {"prefix": "/books/_settings"},
    "behind the settings": {"prefix": "/books/_settings", "execute": True},
    "before the shadow goes": {"prefix": "/_index_template/tandem-shadow"},
    "before the last word": {"prefix": "/.tandem/_doc/standby", "body_contains": '"released"'}}
WITHOUT_ALIASES = [each for each in INTERRUPTED if each not in ("while it drains", "before the aliases go")]


def document(tandem):
    return request(tandem.b.url, "GET", "/.tandem/_doc/standby").json()["_source"]


def cut_release(scripted, where, settled=False):
    """A release with a row to drain, killed WHERE and given again. Settled: definitions are not read once more."""
    books = scripted.index("books")
    scripted.put(books, "1", {"n": 1})
    scripted.wait_caught_up()
    if settled:
        last = scripted.proxy.status()["journal"]["last_seq"]
        wait_until(lambda: document(scripted)["checkpoint"] >= last, SOON_S, "its checkpoint is stored")
    scripted.ctl("pause", "b")
    wait_state(scripted, "paused")
    scripted.put(books, "2", {"n": 2})
    scripted.b.fault("hang", count=0, **INTERRUPTED[where])
    answer = request(scripted.replicator.admin_url, "POST", "/_tandem/release")
    assert answer.status == 202, answer
    wait_until(lambda: scripted.b.faults()[-1]["fired"] >= 1, SOON_S, "it hangs " + where)
    scripted.replicator.kill9()
    assert not released(scripted.b.url)
    scripted.b.clear_faults()
    if not settled:  # its checkpoint was from long ago
        old = dict(document(scripted), checkpoint=0, marks=[0, 0])
        assert request(scripted.b.url, "PUT", "/.tandem/_doc/standby", old).status == 200
    scripted.replicator.start()
    wait_until(lambda: scripted.replicator.standby_status()["state"] != "starting", SOON_S, "it has taken over")
    scripted.ctl("release", "b", "--yes", "--timeout", "20")
    check_ordinary(scripted.b.url, books)
    for n in (1, 2):
        assert request(scripted.b.url, "GET", "/books/_doc/%d" % n).json()["_source"] == {"n": n}
    # Nothing of the first try writes any more, and what the engine guesses is let in.
    scripted.put(books, "3", {"n": 3})
    assert request(scripted.b.url, "PUT", "/books/_doc/4", {"new": "field"}).status == 201
    assert request(scripted.b.url, "HEAD", "/books/_doc/3").status == 404


@pytest.mark.parametrize("where", ["while it drains", "before the aliases go"])
def test_a_release_cut(scripted, where):
    cut_release(scripted, where)


@pytest.mark.parametrize("where", WITHOUT_ALIASES)
def test_a_release_without_aliases_cut(scripted, where):
    cut_release(scripted, where, settled=True)


@pytest.mark.parametrize("where", WITHOUT_ALIASES)
def test_a_release_cut_and_read_again(scripted, where):
    cut_release(scripted, where)


def test_a_release_cut_behind_its_last_word_is_done(scripted):
    books = scripted.index("books")
    scripted.put(books, "1", {"n": 1})
    scripted.wait_caught_up()
    scripted.b.fault("hang", execute=True, prefix="/.tandem/_doc/standby", body_contains='"released"')
    request(scripted.replicator.admin_url, "POST", "/_tandem/release")
    wait_until(lambda: released(scripted.b.url), SOON_S, "it is written")
    scripted.replicator.kill9()
    scripted.replicator.spawn()
    wait_until(lambda: not scripted.replicator.running(), SOON_S, "it ends")
    assert "was released" in last_lines(scripted.replicator.log_path)
    scripted.replicator.child = None
    check_ordinary(scripted.b.url, books)


# --- other lines of engines -----------------------------------------------------------------------

@pytest.fixture
def line(request, clusters, run_folder):
    """Its version, and a Tandem between two of that line, which are not compared: one is released."""
    primary, standby = clusters.get("elasticsearch-" + request.param)
    folder = os.path.join(run_folder, "release-of-" + request.param)
    os.makedirs(folder)
    running = Tandem(folder, primary, {"b": standby})
    try:
        yield request.param, running.start()
        running.stop()
    finally:
        running.kill()
        print(running.describe())


@pytest.mark.long
@pytest.mark.limit(400)
@pytest.mark.parametrize("line", [
    "6.8", "7.10", "8.8", "9.2"], indirect=True)
def test_release_of_elasticsearch(line):
    version, tandem = line
    must(tandem.url, "PUT", "/_template/waits", {
        "index_patterns": ["waits-*"], "order": 3, "settings": {"number_of_shards": 2}})
    must(tandem.url, "PUT", "/books/_doc/1", {"n": 1})
    tandem.wait_caught_up()
    url = tandem.standby.url
    assert must(url, "GET", "/books/_settings?flat_settings=true")["books"]["settings"][
        "index.mapping.total_fields.limit"] == "0"
    if version == "6.8":  # there is no require_alias
        settings = must(url, "GET", "/_cluster/settings?flat_settings=true")
        assert "action.auto_create_index" in json.dumps(settings), settings
    # Nothing shadows a legacy template before 7.8; from 8 on it is not taken beside the shadow.
    if version != "7.10":
        assert request(url, "GET", "/_template/waits").status == 404
    assert "released" in tandem.ctl("release", "b", "--yes", "--timeout", "30")
    check_ordinary(url, "books")
    assert must(url, "GET", "/_template/waits")["waits"]["index_patterns"] == ["waits-*"]
    must(url, "PUT", "/waits-1/_doc/1", {"new": "field"})
    assert must(url, "GET", "/waits-1/_settings?flat_settings=true")["waits-1"]["settings"][
        "index.number_of_shards"] == "2"
    must(url, "PUT", "/books/_doc/2", {"another": "field"})
