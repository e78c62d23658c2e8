"""clusters.py - pairs of engines that tests share, and how one is made empty again.

Starting an engine takes longer than most tests, so a pair stays until the end of the run; each test
gets it empty, and running, whatever the test before did to it.

SPDX-License-Identifier: Apache-2.0
"""

import os
import urllib.parse

import pytest

import compare
from engine import Engine, missing, start_all
from tandem import request


class Clusters:
    """Pairs of engines by kind, started when first asked for."""

    def __init__(self, folder):
        self.folder = folder
        self.engines = {}  # (kind, name) -> Engine

    def get(self, kind, names=("a", "b")):
        """Engines of KIND with these names, running and empty. The test is skipped where it cannot run."""
        if missing(kind):
            pytest.skip(missing(kind))
        chosen = []
        for name in names:
            if (kind, name) not in self.engines:
                folder = os.path.join(self.folder, kind, name)
                self.engines[kind, name] = Engine(kind, name, folder=folder)
            chosen.append(self.engines[kind, name])
        start_all([engine for engine in chosen if not engine.running()])
        for engine in chosen:
            engine.resume()
            make_empty(engine)
        return chosen

    def stop_all(self):
        for engine in self.engines.values():
            engine.stop()


# Templates before the component templates that they are composed of: the order of compare.GLOBALS.
PATHS = {"template": "/_template/", "index template": "/_index_template/",
         "component template": "/_component_template/", "pipeline": "/_ingest/pipeline/",
         "stored script": "/_scripts/", "lifecycle policy": "/_ilm/policy/"}


def _delete(engine, path):
    answer = request(engine.url, "DELETE", path)
    if answer.status not in (200, 404):
        raise RuntimeError("%s: DELETE %s answered %r" % (engine.name, path, answer))


def make_empty(engine):
    """Takes away every index, template, pipeline, script, policy and cluster setting."""
    if request(engine.url, "GET", "/_data_stream").status == 200:
        _delete(engine, "/_data_stream/*")
    _delete(engine, "/*?expand_wildcards=all")
    with compare.Cluster(engine.url) as cluster:
        state = cluster.ask("GET", "/_cluster/state/metadata?filter_path=metadata.indices.*.state")
        # Engines without hidden indices spare dotted names.
        for name in state.get("metadata", {}).get("indices", {}):
            _delete(engine, "/" + name)
        for what, read in compare.GLOBALS:
            for name, value in read(cluster).items():
                if not compare.built_in(name, value):
                    _delete(engine, PATHS[what] + urllib.parse.quote(name, safe=""))
    answer = request(engine.url, "PUT", "/_cluster/settings",
                     {"persistent": {"*": None}, "transient": {"*": None}})
    # 2.4 knows no null: what a test sets there, stays.
    if answer.status != 200 and engine.kind != "elasticsearch-2.4":
        raise RuntimeError("%s: cannot reset cluster settings: %r" % (engine.name, answer))
