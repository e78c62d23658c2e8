"""report.py - the table of a run: numbers, ratios, targets, and whether they were met.

SPDX-License-Identifier: Apache-2.0
"""

import statistics

import memory

BEGIN, END = "<!-- results: bench/run --record -->", "<!-- end of results -->"
SERVERS = ("direct", "haproxy", "nginx", "tandem")


def _median(rounds, key):
    return statistics.median(numbers[key] for numbers in rounds)


def _ratio(rounds, name, other, key):
    pairs = zip(rounds[name], rounds[other])
    return statistics.median(a[key] / b[key] for a, b in pairs)


def _met(good):
    return "met" if good else "**missed**"


def _table(head, rows):
    lines = ["| %s |" % " | ".join(head), "|%s" % (" --- |" * len(head))]
    return lines + ["| %s |" % " | ".join(row) for row in rows] + [""]


def _compared(rows, results):
    table = []
    for name, what, target, connections, _, _ in rows:
        rounds = results.get(name)
        if rounds is None:
            continue
        row = ["%s; %d connections" % (what, connections)]
        row += ["%.0f" % _median(rounds[server], "per_second") if server in rounds else "-"
                for server in SERVERS]
        if "haproxy" in rounds:
            ratio = _ratio(rounds, "tandem", "haproxy", "per_second")
            nginx = "%.2f" % _ratio(rounds, "nginx", "haproxy", "per_second") \
                if "nginx" in rounds else "-"
            row += ["%.1f / %.1f" % (_median(rounds["haproxy"], "cpu_us"),
                                     _median(rounds["tandem"], "cpu_us")),
                    nginx, "%.2f" % ratio, ">= %.2f" % target, _met(ratio >= target)]
        else:
            row += ["-", "-", "-", ">= %.2f" % target, "-"]
        table.append(row)
    if not table:
        return []
    return ["Requests per second, medians:", ""] + _table(
        ["work", "direct", "HAProxy", "nginx", "tandem", "CPU us a request: HAProxy / tandem",
         "nginx to HAProxy", "tandem to HAProxy", "target", ""], table)


def _lone(lone, results):
    rounds = results.get(lone[0])
    if rounds is None:
        return []
    flush = statistics.median(results["flush_us"])
    p50 = {server: _median(got, "p50") for server, got in rounds.items()}
    added = p50["tandem"] - p50["direct"]
    target = 4 * flush + 150
    text = ", ".join("%s %.0f us" % (server, p50[server]) for server in SERVERS if server in p50)
    return _table(["work", "result", "target", ""], [
        ["one flush of this disk (fdatasync of a block)", "%.0f us" % flush, "", ""],
        ["a lone write of 1 KiB, p50: %s (p99 of tandem %.0f us)" % (
            text, _median(rounds["tandem"], "p99")), "+%.0f us" % added,
         "<= 4 flushes + 150 = %.0f us" % target, _met(added <= target)],
        ["the same, against the goal of 0.8 ms", "+%.0f us" % added, "< 800 us",
         _met(added < 800)]])


def _parts(results):
    rows = []
    if "journal" in results:
        rate, p50 = results["journal"]["synced", 64]
        rows.append(["journal, group commit, records of 1 KiB, 64 in a commit",
                     "%.0f records/s (commit %.0f us)" % (rate, p50), ">= 100000",
                     _met(rate >= 100000)])
        rate, p50 = results["journal"]["synced", 1]
        rows.append(["journal, one record a commit", "%.0f records/s (commit %.0f us)" % (
            rate, p50), "", ""])
    if "scan" in results:
        scan = results["scan"]
        rows.append(["outcome scanner, answer of 1,000 items",
                     "%.2f GB/s, %.0f ns an item" % scan["outcome"], ">= 1 GB/s",
                     _met(scan["outcome"][0] >= 1)])
        for name, size in (("bulk-135", "135 bytes"), ("bulk-1k", "1 KiB")):
            rows.append(["splitting a bulk body, documents of %s" % size,
                         "%.0f ns a document" % scan[name][1], "<= 100 ns",
                         _met(scan[name][1] <= 100)])
    if "memory" in results:
        got = results["memory"]
        rows.append(["memory (RssAnon) with %d idle connections" % memory.IDLE,
                     "%.0f -> %.0f MB, %.1f KB each" % (
                         got["before"], got["idle"], memory.idle_kb(got)),
                     "<= %d KB each" % memory.IDLE_KB, _met(memory.idle_kb(got) <= memory.IDLE_KB)])
        rows.append(["... with %d readers that take nothing of %d MB each, at most" % (
            memory.SLOW, memory.SLOW_BYTES >> 20), "%.0f -> %.0f MB" % (
                got["after idle"], got["slow"]), "<= %.0f MB" % memory.slow_max_mb(got),
            _met(got["slow"] <= memory.slow_max_mb(got))])
    return _table(["work", "result", "target", ""], rows) if rows else []


def _engines(results):
    got = results.get("engines")
    if got is None:
        return []
    rows = [
        ["acknowledged to readable on the standby, lone write, p50", "%.1f ms" % got["lag_p50_ms"],
         "< 10 ms", _met(got["lag_p50_ms"] < 10)],
        ["... p99", "%.1f ms" % got["lag_p99_ms"], "< 50 ms", _met(got["lag_p99_ms"] < 50)],
        ["catching up, %d records" % got["catch_up_records"],
         "%.0f documents/s" % got["catch_up"], "> 31000", _met(got["catch_up"] > 31000)],
        ["bulks of 1,000 documents of 1.1 KB, 8 writers, direct",
         "%.0f documents/s" % got["direct"], "", ""],
        ["... through Tandem, the replicator paused", "%.0f documents/s, %.2f of direct" % (
            got["through_paused"], got["paused_ratio"]), "the primary decides", ""],
        ["... through Tandem, the standby kept up to date on the same processors",
         "%.0f documents/s, %.2f of direct; %d records behind at the end" % (
             got["through_live"], got["through_live"] / got["direct"], got["behind_after_live"]),
         "", ""]]
    return ["Two real engines (OpenSearch 2.19), all on this machine:", ""] + _table(
        ["work", "result", "target", ""], rows)


def _history(results):
    got = results.get("history")
    if got is None:
        return []
    own, given, seeded = got["own"], got["given"], got["seeded"]
    ratio, comparable = seeded["per_second"] / own["per_second"], seeded["per_second"] / given["per_second"]
    standby = "%.0f documents/s; the standby has %.0f %% of the processors, %.1f us for a document"
    rows = [
        ["bulks straight to the standby, 8 writers, ids given by it",
         standby % (own["per_second"], own["share"] * 100, own["cpu_ms"] * 1000), "", ""],
        ["... with given ids and external versions",
         standby % (given["per_second"], given["share"] * 100, given["cpu_ms"] * 1000), "", ""],
        ["seeding %d documents" % got["seed_documents"],
         standby % (seeded["per_second"], seeded["share"] * 100, seeded["cpu_ms"] * 1000), "", ""],
        ["... meanwhile", "primary %.0f %%, %.1f us for a document; replicator %.0f %%, %.1f us" % (
            seeded["shares"]["primary"] * 100, seeded["primary_cpu_ms"] * 1000,
            seeded["shares"]["replicator"] * 100, seeded["replicator_cpu_ms"] * 1000), "", ""],
        ["... in documents/s, to its own bulks with given ids", "%.2f" % comparable, "0.8", _met(comparable >= 0.8)],
        ["... to those with ids given by it", "%.2f" % ratio, "0.8", _met(ratio >= 0.8)],
        ["the standby's processor time for a document: own, ids given by it / seeding; given ids / seeding",
         "%.2f; %.2f" % (own["cpu_ms"] / seeded["cpu_ms"], given["cpu_ms"] / seeded["cpu_ms"]), "", ""],
        ["the audit of %d shards: the primary's answer" % got["audit_shards"],
         "%.0f ms, %.0f KB, %.0f ms of its processors" % (got["stats_ms"], got["stats_kb"], got["stats_cpu_ms"]),
         "", ""],
        ["... the replicator's work, each round", "%.1f ms" % got["round_cpu_ms"], "", ""]]
    return ["", "A full cluster (two OpenSearch 2.19, all on this machine):", ""] + _table(
        ["work", "result", "target", ""], rows)


def render(rows, lone, results):
    """Markdown."""
    options = results["options"]
    where = "; ".join("%s: %s" % pair for pair in results["machine"].items())
    lines = ["%s. %d rounds of %g s." % (where, options.rounds, options.seconds), ""]
    lines += _compared(rows, results) + _lone(lone, results) + _parts(results) + _engines(results) + _history(
        results)
    return "\n".join(lines)


def record(path, text):
    """Puts TEXT between the marks in the file at PATH."""
    with open(path) as file:
        before, rest = file.read().split(BEGIN)
    after = rest.split(END)[1]
    with open(path, "w") as file:
        file.write(before + BEGIN + "\n\n" + text + "\n" + END + after)
