"""test_standby_faults.py - a standby that is slow, busy, refuses, loses answers, hangs, or is given back an old state.

Against a scripted standby. What must hold every time: the standby becomes equal to the primary once it
lets itself be written, its versions never decrease, its checkpoint never passes what it has, and what
a human must know is shown.

SPDX-License-Identifier: Apache-2.0
"""

import os
import re
import shutil
import time

import pytest

from processes import wait_until
from scripted import SOON_S, applied, new_name, scripted_tandem, shared_fixtures, source
from tandem import request as ask

shared, tandem, index = shared_fixtures()


@pytest.fixture
def parking(request, run_folder):
    yield from scripted_tandem(request, run_folder, {"standbys.refused": "park"})


@pytest.fixture
def alone(request, run_folder):
    yield from scripted_tandem(request, run_folder)


# --- what is looked at ----------------------------------------------------------------------------

def status(tandem):
    return tandem.replicator.standby_status()


def document(tandem):
    """What .tandem says of the standby."""
    return ask(tandem.b.url, "GET", "/.tandem/_doc/standby").json()["_source"]


def index_status(tandem, index):
    return next((each for each in tandem.replicator.status()["indices"] if each["name"] == index), None)


def check_order(tandem, index):
    """C4: what the standby applied to a document never goes back."""
    last = {}
    for entry in applied(tandem.b, index):
        assert entry["version"] > last.get(entry["id"], 0), (entry, last[entry["id"]])
        last[entry["id"]] = entry["version"]


def seq_of(answer):
    return int(answer.headers["x-tandem-seq"].split(":")[1])


def write(tandem, index, id, source):
    """A write that is applied; its position in the journal."""
    return seq_of(tandem.put(index, id, source))


def delete(tandem, index, id):
    answer = tandem.request("DELETE", "/%s/_doc/%s" % (index, id))
    assert answer.headers["x-tandem-outcome"] == "applied", answer
    return seq_of(answer)


def mixed(tandem, index, rounds=4, documents=6):
    """Overwrites, deletes and re-creations of a few documents; the last position."""
    last = 0
    for n in range(rounds):
        for id in range(documents):
            if (n + id) % 3 == 2:
                last = delete(tandem, index, str(id))
            else:
                last = write(tandem, index, str(id), {"n": n})
    return last


def well(tandem, *indices):
    tandem.b.clear_faults()
    tandem.equal(*indices)
    for each in indices:
        check_order(tandem, each)


def bulks(tandem):
    return sum(entry["target"].startswith("/_bulk") for entry in tandem.b.log()["requests"])


# --- slow, busy, failing in part, losing answers --------------------------------------------------

@pytest.mark.parametrize("action,rule", [
    ("slow_answer", {"delay_ms": 200}), ("delay", {"delay_ms": 200}), ("status", {"status": 429}),
    ("status", {"status": 503}), ("status", {"status": 500}), ("status", {"status": 502}),
    ("item_status", {"status": 429}), ("item_status", {"status": 503, "item": '"_id":"2"'}),
    ("item_status", {"status": 429, "item": '"n": 2'}), ("item_status", {"status": 500, "item": '"delete"'}),
    ("reset_before", {}), ("reset_after", {}), ("close_before", {}), ("half_answer", {}), ("truncated", {}),
    ("garbage", {}), ("oversized", {}), ("execute_then_status", {"status": 500}),
    ("execute_then_status", {"status": 503}), ("execute_then_status", {"status": 200, "body": "{}"}),
    ("extra", {}), ("close_after", {}), ("drip", {"interval_ms": 1}), ("flood_1xx", {"lines": 100})],
    ids=lambda value: value if isinstance(value, str) else "-".join(re.sub(r"\W", "", str(v)) for v in value.values()))
def test_rows_arrive_in_order_in_spite_of(tandem, index, action, rule):
    # The first bulk of all is well, and so is every one behind the sixth.
    write(tandem, index, "first", {"n": 0})
    tandem.wait_caught_up()
    tandem.b.fault(action, prefix="/_bulk", count=6, **rule)
    mixed(tandem, index)
    wait_until(lambda: tandem.b.faults()[0]["fired"] >= 2, SOON_S, "it happened, and the bulk came again")
    well(tandem, index)


@pytest.mark.parametrize("execute", [False, True])
def test_a_bulk_that_hangs_is_sent_again(tandem, index, execute):
    tandem.b.fault("hang", prefix="/_bulk", count=2, execute=execute)
    mixed(tandem, index, 2, 3)
    wait_until(lambda: tandem.b.faults()[0]["fired"] == 2, SOON_S, "it hung twice")
    tandem.equal(index)
    check_order(tandem, index)


def test_a_bulk_that_is_executed_long_after_it_was_sent_again(tandem, index):
    """The standby has newer rows by then, and a delete: the late one must not bring anything back."""
    tandem.b.fault("hang", prefix="/_bulk", execute=True, delay_ms=2500)
    write(tandem, index, "x", {"n": 1})
    write(tandem, index, "y", {"n": 1})
    wait_until(lambda: tandem.b.faults()[0]["fired"] == 1, SOON_S, "it hangs")
    write(tandem, index, "x", {"n": 2})
    delete(tandem, index, "y")
    tandem.wait_caught_up()
    before = applied(tandem.b, index)
    assert source(tandem.b, index, "x") == {"n": 2} and source(tandem.b, index, "y") is None
    time.sleep(2.5)  # it executes now
    assert applied(tandem.b, index) == before
    well(tandem, index)


def test_a_standby_that_asks_to_slow_down_gets_no_flood(tandem, index):
    tandem.b.fault("status", status=429, prefix="/_bulk", count=0)
    tandem.b.clear_log()
    mixed(tandem, index, 2, 4)
    before = bulks(tandem)
    time.sleep(1)  # how many come in a second
    assert bulks(tandem) - before < 80  # 8 lanes, each every 100 to 200 ms
    assert status(tandem)["lag_records"] > 0
    well(tandem, index)


def test_one_busy_index_does_not_hold_up_another(tandem, index):
    other = tandem.index(new_name("other"))
    tandem.b.fault("item_status", status=503, item='{"slow"', prefix="/_bulk", count=0)
    for n in range(8):
        write(tandem, index, str(n), {"slow": n})
        write(tandem, other, str(n), {"quick": n})
    for n in range(8):
        wait_until(lambda: source(tandem.b, other, str(n)) == {"quick": n}, SOON_S, "the other goes on")
        assert source(tandem.b, index, str(n)) is None
    well(tandem, index, other)


def test_a_standby_that_is_away_for_a_while(tandem, index):
    write(tandem, index, "x", {"n": 1})
    tandem.wait_caught_up()
    tandem.b.pause(1500)  # it accepts, and says nothing
    mixed(tandem, index)
    well(tandem, index)


def test_a_standby_whose_nodes_start_again(tandem, index):
    """Connections are reset, terms rise, tombstones are forgotten: deleted stays deleted."""
    for n in range(4):
        mixed(tandem, index, 2, 4)
        tandem.b.restart()
    well(tandem, index)


# --- checkpoints ----------------------------------------------------------------------------------

@pytest.mark.parametrize("action,rule", [("status", {"status": 503}), ("reset_before", {}), ("hang", {}),
                                         ("item_status", {"status": 429})])
def test_the_checkpoint_never_passes_what_is_applied(tandem, index, action, rule):
    write(tandem, index, "before", {"n": 1})
    tandem.wait_caught_up()
    tandem.b.fault(action, prefix="/_bulk", count=0, **rule)
    first = write(tandem, index, "held", {"n": 1})
    last = mixed(tandem, index, 1, 4)
    wait_until(lambda: tandem.b.faults()[0]["fired"] >= 2, SOON_S, "it was tried")
    time.sleep(1.2)  # .tandem is written every second
    assert source(tandem.b, index, "held") is None
    assert status(tandem)["applied_seq"] < first <= last
    assert document(tandem)["checkpoint"] < first
    tandem.replicator.kill9()
    assert document(tandem)["checkpoint"] < first
    tandem.b.clear_faults()
    tandem.replicator.start()
    well(tandem, index)
    wait_until(lambda: document(tandem)["checkpoint"] >= last, 10, "its checkpoint follows")


def test_a_row_that_waits_holds_the_checkpoint_in_the_standby_back(tandem, index):
    """The replicator's own may pass it, since it is durable there; the one in .tandem may not."""
    write(tandem, index, "before", {"n": 1})
    tandem.equal(index)
    tandem.b.fault("item_status", status=403, type="cluster_block_exception", item='{"blocked"',
                   prefix="/_bulk", count=0)
    blocked = write(tandem, index, "x", {"blocked": 1})
    wait_until(lambda: (index_status(tandem, index) or {}).get("state") == "stopped", SOON_S, "it is shown")
    time.sleep(1.2)  # .tandem is written every second
    assert document(tandem)["checkpoint"] < blocked
    well(tandem, index)


# --- refused for good -----------------------------------------------------------------------------

def refuse(tandem, **rule):
    tandem.b.fault("item_status", prefix="/_bulk", count=0, **dict(
        {"status": 400, "type": "mapper_parsing_exception", "item": '{"bad"'}, **rule))


def test_a_refused_row_stops_its_index_and_no_other(tandem, index):
    other = tandem.index(new_name("other"))
    write(tandem, index, "fields", {"n": 1, "bad": 1})  # a mapping that changes lets it try again
    tandem.equal(index)
    refuse(tandem)
    write(tandem, index, "x", {"bad": 1})
    wait_until(lambda: status(tandem)["parked"] == 1, SOON_S, "it is parked")
    assert index_status(tandem, index)["state"] == "stopped"
    seen = bulks(tandem)
    write(tandem, index, "y", {"n": 1})
    write(tandem, other, "z", {"n": 1})
    wait_until(lambda: source(tandem.b, other, "z") == {"n": 1}, SOON_S, "the other goes on")
    time.sleep(0.5)  # no hot loop, and nothing of the index
    assert bulks(tandem) - seen <= 3 and source(tandem.b, index, "y") is None
    assert index + "/x" in tandem.ctl("parked", "list")
    # It survives a restart.
    tandem.replicator.restart()
    wait_until(lambda: status(tandem)["state"] != "starting", SOON_S, "it has taken over")
    assert index_status(tandem, index)["state"] == "stopped" and status(tandem)["parked"] == 1
    tandem.b.clear_faults()
    tandem.ctl("parked", "retry", "--all")
    well(tandem, index, other)
    assert status(tandem)["parked"] == 0


def test_a_bulk_refused_as_a_whole_is_tried_row_by_row(tandem, index):
    """One row makes the whole request a 400: the others pass, that one is parked."""
    tandem.b.fault("status", status=400, type="parse_exception", body_contains='{"bad"', prefix="/_bulk", count=0)
    tandem.ctl("pause", "b")
    for n in range(12):
        write(tandem, index, str(n), {"bad": 1} if n == 5 else {"n": n})
    tandem.ctl("resume", "b")
    wait_until(lambda: status(tandem)["parked"] == 1, SOON_S, "it is parked")
    assert index + "/5" in tandem.ctl("parked", "list")
    tandem.b.clear_faults()
    tandem.ctl("parked", "retry", "--all")
    well(tandem, index)


def test_refused_rows_are_kept_aside_and_the_others_go_on(parking):
    index = parking.index("books")
    refuse(parking)
    write(parking, index, "x", {"bad": 1})
    write(parking, index, "y", {"n": 1})
    wait_until(lambda: status(parking)["parked"] == 1, SOON_S, "it is parked")
    wait_until(lambda: source(parking.b, index, "y") == {"n": 1}, SOON_S, "the others go on")
    # .tandem says that there is something to decide.
    wait_until(lambda: document(parking)["parked"] == 1, 5, "it says so")
    # A newer row of the same document passes; the parked one, retried later, does not undo it.
    write(parking, index, "x", {"n": 2})
    wait_until(lambda: source(parking.b, index, "x") == {"n": 2}, SOON_S, "the newer row is there")
    parking.b.clear_faults()
    parking.ctl("parked", "retry", "--all")
    wait_until(lambda: status(parking)["parked"] == 0, SOON_S, "none is parked")
    well(parking, index)
    refuse(parking)
    write(parking, index, "z", {"bad": 1})
    wait_until(lambda: status(parking)["parked"] == 1, SOON_S, "another is parked")
    parking.ctl("parked", "drop", "--all", "--yes")
    wait_until(lambda: status(parking)["parked"] == 0, SOON_S, "it is dropped")
    parking.b.clear_faults()
    write(parking, index, "z", {"n": 3})
    well(parking, index)


# --- blocked, closed, missing ---------------------------------------------------------------------

def flood(tandem, index, on):
    answer = ask(tandem.b.url, "PUT", "/%s/_settings" % index,
                 {"index.blocks.read_only_allow_delete": True if on else None})
    assert answer.status == 200, answer


def closed(tandem, index, on):
    answer = ask(tandem.b.url, "POST", "/%s/_%s" % (index, "close" if on else "open"))
    assert answer.status == 200, answer


def forbidden(status):
    def change(tandem, index, on):
        if on:
            tandem.b.fault("status", status=status, type="security_exception", prefix="/_bulk", count=0)
        else:
            tandem.b.clear_faults()
    return change


@pytest.mark.parametrize("block", [flood, closed], ids=["read only", "closed"])
def test_an_index_that_takes_no_writes_goes_on_by_itself(tandem, index, block):
    other = tandem.index(new_name("other"))
    write(tandem, index, "before", {"n": 1})
    tandem.equal(index)
    block(tandem, index, True)
    mixed(tandem, index, 2, 3)
    write(tandem, other, "x", {"n": 1})
    wait_until(lambda: (index_status(tandem, index) or {}).get("state") == "stopped", SOON_S, "it is shown")
    wait_until(lambda: source(tandem.b, other, "x") == {"n": 1}, SOON_S, "others go on")
    assert status(tandem)["parked"] == 0 and "block" in index_status(tandem, index)["why"]
    block(tandem, index, False)
    well(tandem, index, other)
    wait_until(lambda: index_status(tandem, index) is None, 10, "and it is well again")


@pytest.mark.parametrize("code", [401, 403])
def test_a_standby_that_forbids_is_waited_for(tandem, index, code):
    forbidden(code)(tandem, index, True)
    mixed(tandem, index, 1, 3)
    wait_until(lambda: any("refused" in each["text"] for each in tandem.replicator.status()["problems"]),
               SOON_S, "it is shown")
    assert status(tandem)["parked"] == 0
    forbidden(code)(tandem, index, False)
    well(tandem, index)


def test_an_index_that_vanished_is_made_again(tandem, index):
    mixed(tandem, index)
    tandem.equal(index)
    assert ask(tandem.b.url, "DELETE", "/" + index).status == 200
    write(tandem, index, "behind", {"n": 1})
    tandem.equal(index)


# --- sessions, lives ------------------------------------------------------------------------------

def test_a_late_bulk_of_a_former_session_writes_nothing(alone):
    """Killed while its bulk hangs; the next session deletes, tombstones go, and then it executes."""
    index = alone.index("books")
    write(alone, index, "warm", {"n": 1})
    alone.wait_caught_up()
    alone.b.fault("hang", prefix="/_bulk", execute=True, delay_ms=4000)
    write(alone, index, "x", {"n": 1})
    wait_until(lambda: alone.b.faults()[0]["fired"] == 1, SOON_S, "it hangs")
    begun = time.monotonic()
    session = status(alone)["session"]
    alone.replicator.kill9()
    alone.replicator.start()
    wait_until(lambda: status(alone)["session"] == session + 1, SOON_S, "the next session has taken over")
    delete(alone, index, "x")
    alone.equal(index)
    alone.b.control("POST", "forget_tombstones")
    before = applied(alone.b, index)
    assert time.monotonic() - begun < 4, "too slow to show anything"
    time.sleep(max(0, 4.5 - (time.monotonic() - begun)))  # it executes now
    assert applied(alone.b, index) == before
    assert source(alone.b, index, "x") is None
    well(alone, index)


def test_a_late_bulk_for_an_index_that_was_made_again_writes_nothing(tandem, index):
    write(tandem, index, "warm", {"n": 1})
    tandem.wait_caught_up()
    tandem.b.fault("hang", prefix="/_bulk", execute=True, delay_ms=3000)
    write(tandem, index, "x", {"n": 1})
    begun = time.monotonic()
    wait_until(lambda: tandem.b.faults()[0]["fired"] == 1, SOON_S, "it hangs")
    assert tandem.request("DELETE", "/" + index).status == 200
    tandem.index(index)
    tandem.equal(index)
    assert time.monotonic() - begun < 3, "too slow to show anything"
    time.sleep(max(0, 3.5 - (time.monotonic() - begun)))  # it executes now
    assert source(tandem.b, index, "x") is None
    well(tandem, index)


@pytest.mark.parametrize("what", ["all", "an index"])
def test_a_standby_given_back_an_older_state_is_brought_up_again(alone, what):
    index = alone.index("books")
    mixed(alone, index)
    alone.equal(index)
    last = alone.proxy.status()["journal"]["last_seq"]
    wait_until(lambda: document(alone)["checkpoint"] >= last, 10, "its checkpoint is stored")
    alone.b.snapshot()
    mixed(alone, index, 3)
    delete(alone, index, "1")
    last = write(alone, index, "later", {"n": 1})
    wait_until(lambda: document(alone)["checkpoint"] >= last, 10, "its checkpoint is stored")
    life = status(alone)["life"]
    alone.replicator.stop()
    alone.b.restore(index if what == "an index" else None)
    alone.replicator.start()
    write(alone, index, "behind", {"n": 1})
    alone.equal(index)
    if what == "all":
        assert status(alone)["life"] == life + 1


def test_replaying_all_of_it_again_changes_nothing(alone):
    """C6: a replicator that lost its place begins where .tandem says, or at the first record."""
    index = alone.index("books")
    mixed(alone, index)
    alone.equal(index)
    before = applied(alone.b, index)
    alone.replicator.stop()
    source_ = dict(document(alone), checkpoint=0, marks=[0, 0])
    assert ask(alone.b.url, "PUT", "/.tandem/_doc/standby", source_).status == 200
    alone.replicator.start()
    write(alone, index, "behind", {"n": 1})
    alone.equal(index)
    stale = re.search(r"tandem_standby_stale_total\{.*\} (\d+)", alone.replicator.metrics())
    assert int(stale.group(1)) > 0, "nothing was sent again"
    again = [entry for entry in applied(alone.b, index)[len(before):] if entry["id"] != "behind"]
    assert all(entry["op"] == "delete" for entry in again), again


def begin_at(tandem, seq):
    """The replicator has lost its folder, and .tandem says that it begins at SEQ."""
    last = tandem.proxy.status()["journal"]["last_seq"]
    wait_until(lambda: document(tandem)["checkpoint"] >= last, 10, "its checkpoint is stored")
    tandem.replicator.stop()
    shutil.rmtree(os.path.join(tandem.folder, "standby-b"))
    os.makedirs(os.path.join(tandem.folder, "standby-b"))
    begin = dict(document(tandem), checkpoint=seq - 1, marks=[seq - 1, seq - 1])
    assert ask(tandem.b.url, "PUT", "/.tandem/_doc/standby", begin).status == 200
    tandem.replicator.start()


@pytest.mark.parametrize("again", [False, True])
def test_rows_of_an_index_that_ended_before_it_was_known_wait_for_nothing(alone, again):
    """The replay begins behind the index's birth: it reads rows of it, and then its end."""
    alone.index("ended")
    first = write(alone, "ended", "x", {"n": 1})
    write(alone, "ended", "y", {"n": 1})
    assert alone.request("DELETE", "/ended").status == 200
    if again:
        alone.index("ended")
        write(alone, "ended", "z", {"n": 1})
    alone.wait_caught_up()
    begin_at(alone, first)
    last = write(alone, alone.index("beside"), "x", {"n": 1})
    alone.wait_caught_up()
    assert status(alone)["waiting"] == 0 and status(alone)["lag_records"] == 0, status(alone)
    wait_until(lambda: document(alone)["checkpoint"] >= last, 10, "nothing holds its checkpoint back")


def test_a_former_life_that_is_read_again_alarms_nobody(alone):
    """The replay goes through a definition of an index that was deleted and made again since: nobody need delete it."""
    alone.index("again")
    first = write(alone, "again", "x", {"n": 1})
    write(alone, "again", "y", {"new": "field"})
    assert alone.request("DELETE", "/again").status == 200
    alone.index("again")
    write(alone, "again", "z", {"n": 1})
    alone.wait_caught_up()
    begin_at(alone, first)
    alone.equal("again")
    with open(alone.replicator.log_path) as file:
        assert "which Tandem did not make" not in file.read()
