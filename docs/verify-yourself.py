#!/usr/bin/env python3
"""verify-yourself.py - compares two clusters document by document, without Tandem and without trusting it.

    docs/verify-yourself.py PRIMARY_URL STANDBY_URL [INDEX ...]

Reads both with a scroll and prints every document that is on one side only, or has another routing or source.
Stop writing, and let the standby catch up, before you start it. The exit code is 0 when all is equal. A user and
password may stand in the URL. It holds a digest of each document of one index in memory.

SPDX-License-Identifier: Apache-2.0
"""

import base64
import hashlib
import json
import sys
import urllib.parse
import urllib.request

PAGE = 1000


class Cluster:
    def __init__(self, url):
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname + (":%d" % parts.port if parts.port else "")
        self.url = "%s://%s" % (parts.scheme, host)
        self.headers = {"Content-Type": "application/json"}
        if parts.username:
            account = "%s:%s" % (urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or ""))
            self.headers["Authorization"] = "Basic " + base64.b64encode(account.encode()).decode()

    def ask(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.headers, method=method)
        with urllib.request.urlopen(request, timeout=120) as answer:
            # Numbers as they are written: 1.0 is not 1, and no digit gets lost.
            return json.loads(answer.read(), parse_float=str, parse_int=str)

    def indices(self):
        state = self.ask("GET", "/_cluster/state/metadata?filter_path=metadata.indices.*.state")
        indices = state.get("metadata", {}).get("indices", {})
        return {name for name, index in indices.items() if not name.startswith(".") and index["state"] == "open"}

    def documents(self, index):
        """(id, routing) and a digest of the source, of each document."""
        path = urllib.parse.quote(index, safe="")
        self.ask("POST", "/%s/_refresh" % path)
        answer = self.ask("POST", "/%s/_search?scroll=5m" % path, {"size": PAGE, "sort": ["_doc"]})
        while answer["hits"]["hits"]:
            if answer["_shards"]["failed"] != "0":
                raise SystemExit("a shard of %s at %s does not answer" % (index, self.url))
            for hit in answer["hits"]["hits"]:
                source = json.dumps(hit.get("_source"), sort_keys=True)
                yield (hit["_id"], hit.get("_routing")), hashlib.sha256(source.encode()).digest()[:12]
            answer = self.ask("POST", "/_search/scroll", {"scroll": "5m", "scroll_id": answer["_scroll_id"]})
        self.ask("DELETE", "/_search/scroll", {"scroll_id": [answer["_scroll_id"]]})


def compare(primary, standby, index):
    """How many documents differ; prints each."""
    ours, count, differences = {}, 0, 0
    for key, digest in primary.documents(index):
        if key in ours:
            print("%s %s: twice on the primary" % (index, key))
        ours[key] = digest
        count += 1
    for key, digest in standby.documents(index):
        mine = ours.pop(key, None)
        if mine != digest:
            differences += 1
            print("%s %s: %s" % (index, key, "only on the standby" if mine is None else "another source"))
    for key in ours:
        print("%s %s: only on the primary" % (index, key))
    differences += len(ours)
    print("%s: %d documents, %s" % (index, count, "equal" if differences == 0 else "%d differ" % differences))
    return differences


def main():
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    primary, standby = Cluster(sys.argv[1]), Cluster(sys.argv[2])
    names, theirs = primary.indices(), standby.indices()
    wanted = set(sys.argv[3:]) or names | theirs
    differences = 0
    for index in sorted(wanted):
        if index not in names or index not in theirs:
            print("%s: only on the %s" % (index, "primary" if index in names else "standby"))
            differences += 1
        else:
            differences += compare(primary, standby, index)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
