"""streams.py - short words for the tests of data streams.

SPDX-License-Identifier: Apache-2.0
"""

from processes import wait_until
from shared import equal_indices, lines, must
from tandem import request
from verifying import NDJSON

SOON_S = 60
TEMPLATE = {"index_patterns": ["stream-*"], "data_stream": {}, "priority": 10, "template": {
    "settings": {"number_of_shards": 2, "number_of_replicas": 0},
    "mappings": {"properties": {"@timestamp": {"type": "date"}, "word": {"type": "keyword"}}}}}


def write(tandem, stream, *words):
    body = []
    for word in words:
        body += [{"create": {}}, {"@timestamp": "2026-11-29T10:00:00Z", "word": word, "n": len(body)}]
    answer = tandem.request("POST", "/%s/_bulk" % stream, lines(*body), NDJSON)
    assert answer.status == 200 and not answer.json()["errors"], answer
    assert answer.headers["x-tandem-outcome"] == "applied", answer
    return [item["create"]["_id"] for item in answer.json()["items"]]


def members(url, stream):
    """The indices of the stream, oldest first."""
    (found,) = must(url, "GET", "/_data_stream/" + stream)["data_streams"]
    return [index["index_name"] for index in found["indices"]]


def behind(tandem, stream):
    """What the standby has behind the alias: index -> whether writes go to it."""
    answer = request(tandem.standby.url, "GET", "/_alias/" + stream)
    if answer.status == 404:
        return {}
    return {index: body["aliases"][stream].get("is_write_index", False) for index, body in answer.json().items()}


def equal(tandem, stream):
    names = members(tandem.primary.url, stream)
    equal_indices(tandem, *names)
    wait_until(lambda: behind(tandem, stream) == {name: name == names[-1] for name in names}, SOON_S, "the alias is right")
    must(tandem.standby.url, "POST", "/%s/_refresh" % stream)
    must(tandem.url, "POST", "/%s/_refresh" % stream)
    ours, theirs = (must(url, "GET", "/%s/_count" % stream)["count"] for url in (tandem.url, tandem.standby.url))
    assert ours == theirs, (ours, theirs)
    return ours
