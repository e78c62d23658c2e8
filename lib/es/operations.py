#!/usr/bin/env python3
# operations.py - turns operations.tsv into the tables that operation.c includes.
#
# The rows stay as they are, for docs/compatibility.md; above them a trie over path segments, so that a
# request is classified by a few binary searches. A node has literal edges, sorted by length and then
# by bytes, and at most one edge for "any segment", whatever name the templates give the parameter.
#
# Refused: unknown words, and two rows that give one (method, shape of path) two meanings.
#
# SPDX-License-Identifier: Apache-2.0
import sys

COLUMNS = ["api", "methods", "path", "engines", "class", "kind", "note"]
METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"]
CLASSES = ["read", "write", "by_query", "metadata", "maintenance", "session", "admin", "unreplicated", "opaque", "forbidden"]
KINDS = ["none", "bulk", "index", "create", "update", "delete", "delete_by_query", "update_by_query",
         "index_create", "index_delete", "metadata_other", "by_query", "reindex", "restore", "data_stream", "nodes_http"]


class Node:
    def __init__(self):
        self.literals = {}  # segment -> Node
        self.parameter = None  # Node for any other segment
        self.leaves = []  # (methods, row number, row)


def read_rows(path):
    rows = []
    with open(path, encoding="ascii") as file:
        lines = [line.rstrip("\n") for line in file if not line.startswith("#")]
    if lines[0].split("\t") != COLUMNS:
        sys.exit(f"{path}: the columns must be {COLUMNS}")
    for line in lines[1:]:
        row = dict(zip(COLUMNS, line.split("\t"), strict=True))
        row["kind"] = "none" if row["kind"] == "-" else row["kind"]
        row["note"] = "" if row["note"] == "-" else row["note"]
        if row["class"] not in CLASSES or row["kind"] not in KINDS:
            sys.exit(f"{path}: unknown class or kind: {line}")
        if not row["path"].startswith("/") or not set(row["methods"].split(",")) <= set(METHODS):
            sys.exit(f"{path}: unknown method or path: {line}")
        rows.append(row)
    return rows


def is_parameter(segment):
    return segment.startswith("{")


def segments_of(row):
    return [segment for segment in row["path"].split("/") if segment]


def build(rows):
    root = Node()
    for number, row in enumerate(rows):
        node = root
        for segment in segments_of(row):
            if is_parameter(segment):
                node.parameter = node.parameter or Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, Node())
        add_leaf(node, number, row)
    return root


def add_leaf(node, number, row):
    """Methods that an earlier row of the same shape has must mean the same; that row then answers for them."""
    methods = set(row["methods"].split(","))
    for others, _, other in node.leaves:
        if methods & others and (other["class"], other["kind"]) != (row["class"], row["kind"]):
            sys.exit(f"two meanings: {other} and {row}")
        methods -= others
    if methods:
        node.leaves.append((methods, number, row))


def role_at(row, role):
    """The number (from 1) of the segment that is the index, type or id of the call; 0 for none."""
    names = {"index": ["{index}", "{alias}"], "type": ["{type}"], "id": ["{id}"]}[role]
    if role == "index" and row["kind"] == "data_stream":
        names = ["{name}"]
    if role != "index" and not row["path"].startswith("/{index}/"):
        return 0
    for at, segment in enumerate(segments_of(row), 1):
        if segment in names:
            return at
    return 0


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_rows(out, rows):
    out.write("static const struct op_row op_rows[] = {\n")
    for row in rows:
        fields = [quoted(row[name]) for name in ("api", "methods", "path", "engines", "note")]
        out.write(f"{{OP_{row['class'].upper()}, OP_KIND_{row['kind'].upper()}, {', '.join(fields)}}},\n")
    out.write("};\n")


def write_trie(out, root):
    """Nodes by breadth first, so that the edges and leaves of one node stand together."""
    nodes, edges, leaves = [root], [], []
    numbers = {id(root): 0}
    lines = []
    for node in nodes:  # grows while it is walked
        literals = sorted(node.literals.items(), key=lambda item: (len(item[0]), item[0]))
        children = [child for _, child in literals] + ([node.parameter] if node.parameter else [])
        for child in children:
            numbers[id(child)] = len(nodes)
            nodes.append(child)
        parameter = numbers[id(node.parameter)] if node.parameter else 0
        lines.append(f"{{{len(edges)}, {len(literals)}, {parameter}, {len(leaves)}, {len(node.leaves)}}},\n")
        edges += [f"{{{quoted(text)}, {len(text)}, {numbers[id(child)]}}},\n" for text, child in literals]
        for methods, number, row in node.leaves:
            bits = sum(1 << METHODS.index(method) for method in methods)
            places = ", ".join(str(role_at(row, role)) for role in ("index", "type", "id"))
            leaves.append(f"{{{bits}, {number}, {places}}},\n")
    for name, items in (("node", lines), ("edge", edges), ("leaf", leaves)):
        out.write(f"static const struct op_{name} op_{name}s[] = {{\n{''.join(items)}}};\n")


def main():
    rows = read_rows(sys.argv[1])
    root = build(rows)
    with open(sys.argv[2], "w", encoding="ascii") as out:
        out.write("/* Made by operations.py from operations.tsv; do not edit. */\n")
        for bit, method in enumerate(METHODS):
            out.write(f"#define OP_METHOD_{method} {1 << bit}u\n")
        deepest = max(len(segments_of(row)) for row in rows)
        out.write(f"#define OP_SEGMENTS_MAX {deepest}\n")
        write_rows(out, rows)
        write_trie(out, root)


if __name__ == "__main__":
    main()
