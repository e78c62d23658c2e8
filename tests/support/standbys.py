"""standbys.py - short words for the tests of what happens on a standby.

SPDX-License-Identifier: Apache-2.0
"""

from processes import wait_until
from shared import must
from tandem import request

ONE_SHARD = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}


def write(tandem, index, *numbers):
    for n in numbers:
        must(tandem.url, "PUT", "/%s/_doc/%d" % (index, n), {"n": n})


def on_standby(tandem, index, n):
    return request(tandem.standby.url, "GET", "/%s/_doc/%d" % (index, n)).status == 200


def state(tandem):
    return tandem.replicator.standby_status()["state"]


def index_status(tandem, index):
    return next((each for each in tandem.replicator.status()["indices"]
                 if each["name"] == index), None)


def wait_state(tandem, expected):
    wait_until(lambda: state(tandem) == expected, 20, "the standby is " + expected)


def set_coerce(tandem, index, coerce):
    """By hand, on the standby: whether it takes text where a number is expected, as the primary."""
    for path, body in (("_settings", {"index.mapping.total_fields.limit": 100}),
                       ("_mapping", {"properties": {"n": {"type": "long", "coerce": coerce}}}),
                       ("_settings", {"index.mapping.total_fields.limit": 0})):
        must(tandem.standby.url, "PUT", "/%s/%s" % (index, path), body)
