"""test_a_put_travels.py - the thinnest thing: a document put through Tandem is on the standby.

SPDX-License-Identifier: Apache-2.0
"""

import json
import re

from processes import wait_until
from tandem import request

SOURCE = b'{"title": "Solaris",  "pages": 204, "price": 0.10}'


def on_standby(tandem, path):
    answer = request(tandem.standby.url, "GET", path)
    return answer.json() if answer.status == 200 else None


def test_a_put_travels(tandem):
    answer = tandem.request("PUT", "/books/_doc/1", SOURCE)
    assert answer.status == 201, answer
    assert answer.headers["x-tandem-outcome"] == "applied", answer
    assert re.fullmatch(r"[0-9a-f]{32}:[0-9]+", answer.headers["x-tandem-seq"]), answer
    row = answer.json()

    found = wait_until(lambda: on_standby(tandem, "/books/_doc/1"), 30,
                       "the document is on the standby")
    assert found["_version"] == (row["_primary_term"] << 40) + row["_seq_no"]
    body = request(tandem.standby.url, "GET", "/books/_source/1").body
    assert json.loads(body) == json.loads(SOURCE)


def test_a_read_passes_through_untouched(tandem):
    tandem.request("PUT", "/books/_doc/1?refresh=true", SOURCE)
    for path in ("/books/_doc/1", "/books/_search?q=title:Solaris&filter_path=hits.hits._id",
                 "/_cluster/health?filter_path=status", "/"):
        through, direct = tandem.request("GET", path), request(tandem.primary.url, "GET", path)
        assert (through.status, through.body) == (direct.status, direct.body)
        assert through.headers["content-type"] == direct.headers["content-type"]


def test_a_later_put_and_a_delete_travel(tandem):
    for n in range(3):
        assert tandem.request("PUT", "/books/_doc/1", {"n": n}).status in (200, 201)
    assert tandem.request("PUT", "/books/_doc/2", {"n": 0}).status == 201
    answer = tandem.request("DELETE", "/books/_doc/2")
    assert (answer.status, answer.headers["x-tandem-outcome"]) == (200, "applied")
    tandem.wait_caught_up()
    assert on_standby(tandem, "/books/_doc/1")["_source"] == {"n": 2}
    assert on_standby(tandem, "/books/_doc/2") is None


def test_the_status_tells_what_is_where(tandem):
    tandem.request("PUT", "/books/_doc/1", SOURCE)
    tandem.wait_caught_up()
    proxy, standby = tandem.proxy.status(), tandem.replicator.standby_status()
    assert proxy["state"] == "active" and proxy["open_intents"] == 0
    assert standby["name"] == "b" and standby["applied_seq"] == proxy["journal"]["last_seq"]
    assert (standby["lag_records"], standby["parked"], standby["waiting"]) == (0, 0, 0)
