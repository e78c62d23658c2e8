"""test_odd_names.py - ids, fields and indices with names that are no text to us, and documents too deep for us: they stop nobody.

Each test has Tandem, and the engines, for itself: some of these did lasting harm.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

from processes import wait_until
from shared import must, shared_tandem
from tandem import request as ask


@pytest.fixture
def alone(request, clusters, run_folder):
    """For what does lasting harm: killed at its end, whatever state it is in."""
    for running in shared_tandem(request, clusters, run_folder, {"proxy.metadata_timeout": "5s"}, equal=False):
        yield running
        running.kill()


# The first is answered as an escape that stands for no character; of the others the engine makes question marks.
@pytest.mark.parametrize("id", [b"\xed\xa0\x80", b"\\ud800", b"x\\udc00"], ids=("raw", "half", "tail"))
def test_an_id_that_is_no_text_ends_nobody(alone, id):
    """It reaches the standby, or its index is shown as diverged."""
    must(alone.url, "PUT", "/books/_doc/1", {"n": 1})
    alone.wait_caught_up()
    try:
        answer = alone.request("POST", "/books/_bulk", b'{"index":{"_id":"%s"}}\n{"n":1}\n' % id, timeout_s=20)
        assert answer.status in (200, 400), answer
    except OSError:
        assert alone.proxy.running(), "the proxy died"
    wait_until(lambda: alone.proxy.status()["open_intents"] == 0, 15, "no intent is open")
    must(alone.url, "PUT", "/books/_doc/2", {"n": 2})
    alone.wait_caught_up(15)
    shown = [each["name"] for each in alone.proxy.status()["indices"] if each["state"] == "diverged"]
    counts = [must(engine.url, "GET", "/books/_count")["count"] for engine in (alone.primary, alone.standby)
              if must(engine.url, "POST", "/books/_refresh")]
    assert shown == ["books"] or counts[0] == counts[1], (shown, counts)


# The name of an index may hold one too, and then even its deletion does: in the index graveyard. No test, since it
# would stay on the engines that all tests share.
@pytest.mark.parametrize("body", [b'{"a\\u0000b":1}', b'{"\xc0\x80":1}'], ids=["escape", "raw"])
def test_a_nul_in_a_fields_name_stops_nobody(alone, body):
    """What an engine takes for a name must not keep the follower from reading the state."""
    must(alone.url, "PUT", "/before/_doc/1", {"n": 1})
    alone.wait_caught_up()
    alone.request("PUT", "/fields/_doc/1", body)
    try:
        answer = alone.request("PUT", "/behind/_doc/1", {"n": 1})
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (201, "applied"), answer
        wait_until(lambda: ask(alone.standby.url, "HEAD", "/behind/_doc/1").status == 200, 15, "it travels")

        def seen():
            found = [each for daemon in alone.daemons for each in daemon.status()["indices"] if each["name"] == "fields"]
            return found or ask(alone.standby.url, "HEAD", "/fields/_doc/1").status == 200
        wait_until(seen, 15, "the odd one travels, or is shown")
    finally:
        ask(alone.primary.url, "DELETE", "/fields")


def deep(levels):
    """An object in objects, as many as LEVELS, behind `raw`."""
    return b'{"raw":' + b'{"a":' * (levels - 1) + b"1" + b"}" * levels


@pytest.mark.parametrize("levels", [500, 998, 999, 1100])
def test_an_update_of_a_deep_document(alone, levels):
    """Is answered as by the engine, and settled: the answer has the document within, and so has a probe's."""
    must(alone.url, "PUT", "/books", {"mappings": {"properties": {"raw": {"type": "object", "enabled": False}}}})
    try:
        answer = alone.request("POST", "/books/_update/u", b'{"doc":%s,"doc_as_upsert":true}' % deep(levels))
        assert (answer.status, answer.headers["x-tandem-outcome"]) == (201, "applied"), answer.headers
        assert "get" not in answer.json(), "the client did not ask for it"
        wait_until(lambda: alone.proxy.status()["open_intents"] == 0, 10, "no intent is open")
        alone.wait_caught_up(15)
        assert ask(alone.standby.url, "GET", "/books/_source/u").body == deep(levels)
    finally:
        ask(alone.primary.url, "DELETE", "/books")
