"""test_data_streams_before_and_after.py - data streams that were there before Tandem, or are left to a released standby.

SPDX-License-Identifier: Apache-2.0
"""

from processes import wait_until
from shared import lines, must, shared_tandem
from streams import SOON_S, TEMPLATE, equal, members, write
from tandem import request as ask
from verifying import NDJSON, ctl


def test_a_stream_from_before_tandem_is_seeded(request, clusters, run_folder):
    def before(url):
        must(url, "PUT", "/_index_template/streams", TEMPLATE)
        for generation in range(2):
            body = [each for n in range(200) for each in ({"create": {}}, {"@timestamp": "2026-11-29", "word": str(n)})]
            assert not must(url, "POST", "/stream-old/_bulk", lines(*body), NDJSON)["errors"]
            must(url, "POST", "/stream-old/_rollover")

    for tandem in shared_tandem(request, clusters, run_folder, before=before):
        write(tandem, "stream-old", "now")
        wait_until(lambda: not any(each["state"] == "filling" for each in tandem.replicator.status()["indices"]),
                   SOON_S, "all is seeded")
        wait_until(lambda: equal(tandem, "stream-old") == 401, SOON_S, "all is there")
        code, said = ctl(tandem, "verify")
        assert code == 0, said


def test_a_released_standby_takes_writes_under_the_streams_name(request, clusters, run_folder):
    for tandem in shared_tandem(request, clusters, run_folder, equal=False):
        must(tandem.url, "PUT", "/_index_template/streams", TEMPLATE)
        write(tandem, "stream-released", "a", "b")
        must(tandem.url, "POST", "/stream-released/_rollover")
        equal(tandem, "stream-released")
        print(tandem.ctl("release", "b"))
        url = tandem.standby.url
        made = must(url, "POST", "/stream-released/_doc?refresh=true", {"@timestamp": "2026-11-29", "word": "c"})
        assert made["_index"] == members(tandem.primary.url, "stream-released")[-1], made
        assert must(url, "GET", "/stream-released/_count")["count"] == 3
        rolled = must(url, "POST", "/stream-released/_rollover")
        assert rolled["rolled_over"] and rolled["new_index"].endswith("-000003"), rolled
        must(url, "POST", "/stream-released/_doc?refresh=true", {"@timestamp": "2026-11-29", "word": "d"})


def test_an_excluded_stream_stays_on_the_primary(request, clusters, run_folder):
    for tandem in shared_tandem(request, clusters, run_folder, {"replicate.exclude": ["stream-own*"]}, equal=False):
        must(tandem.url, "PUT", "/_index_template/streams", TEMPLATE)
        answer = tandem.request("POST", "/stream-own/_doc", {"@timestamp": "2026-11-29"})
        assert answer.status == 201 and answer.headers["x-tandem-replicated"] == "no", answer
        (index,) = members(tandem.primary.url, "stream-own")
        answer = tandem.request("DELETE", "/%s/_doc/%s" % (index, answer.json()["_id"]))
        assert answer.status == 200 and answer.headers["x-tandem-replicated"] == "no", answer
        write(tandem, "stream-shared", "a")
        equal(tandem, "stream-shared")
        assert ask(tandem.standby.url, "HEAD", "/" + index).status == 404
