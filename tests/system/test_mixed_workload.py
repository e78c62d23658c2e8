"""test_mixed_workload.py - many writers at once, every way to write; the standby ends up equal.

Some of the writers also make and delete indices, change mappings, swap an alias and put templates. The comparison of
the two clusters is made by the fixture when the test ends.

SPDX-License-Identifier: Apache-2.0
"""

import pytest

import engine
from workload import Workload


def opensearch(url):
    from opensearchpy import OpenSearch
    return lambda: OpenSearch(url, timeout=60, max_retries=0, retry_on_timeout=False)


def elasticsearch(url):
    import elasticsearch as library
    import warnings
    warnings.simplefilter("ignore", library.ElasticsearchWarning)
    return lambda: library.Elasticsearch(url, timeout=60, max_retries=0, retry_on_timeout=False)


def test_sixteen_writers_leave_both_clusters_equal(tandem, seed):
    workload = Workload(seed, opensearch(tandem.url), operations=60)
    workload.run()
    tandem.wait_caught_up()
    workload.check_ledger(tandem)
    definitions = ("new index ok", "drop index ok", "mapping ok", "swap ok", "template ok")
    assert sum(workload.tally[each] for each in definitions) > 0, "no definition changed under load"
    assert workload.ledger.refused, "nothing was refused, so nothing was shown"


@pytest.mark.engines(engine.SECOND_KIND)
def test_the_second_line_of_engines_too(tandem, seed):
    Workload(seed, opensearch(tandem.url), operations=10).run()


@pytest.mark.long
@pytest.mark.limit(900)
def test_sixteen_writers_for_longer(tandem, seed):
    Workload(seed, opensearch(tandem.url), operations=1000).run(deadline_s=600)


@pytest.mark.long
@pytest.mark.engines("elasticsearch-7.10")
def test_elasticsearch_7_with_its_own_client(tandem, seed):
    Workload(seed, elasticsearch(tandem.url), operations=60).run()


@pytest.mark.long
@pytest.mark.engines("elasticsearch-8.8")
def test_elasticsearch_8_without_scripts_and_pipelines(tandem, seed):
    Workload(seed, elasticsearch(tandem.url), operations=60, scripts=False, pipelines=False).run()


@pytest.mark.long
@pytest.mark.engines("elasticsearch-6.8")
def test_elasticsearch_6_with_types_in_all_paths(tandem, seed):
    workload = Workload(seed, elasticsearch(tandem.url), operations=60, typed=True)
    workload.run()
    tandem.wait_caught_up()
    workload.check_ledger(tandem)
