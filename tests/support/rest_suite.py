"""rest_suite.py - runs the engines' own REST tests (YAML): what passes directly must pass through Tandem.

The tests are those of the artifact `rest-api-spec`, fetched when they are needed and kept in the cache folder.
A file has `setup` and `teardown`, which belong to each of its tests; a test is a list of steps: calls (`do`) and
what their answers must be. A call is named as in the artifact's specification of the API, which says its methods
and paths.

SPDX-License-Identifier: Apache-2.0
"""

import json
import os
import re
import urllib.parse
import zipfile

import yaml

import engine
from tandem import request

FEATURES = {"allowed_warnings", "allowed_warnings_regex", "warnings", "warnings_regex", "headers", "arbitrary_key",
            "contains", "regex", "default_shards", "yaml", "stash_in_path", "no_xpack", "node_selector"}
CATCH = {"missing": [404], "conflict": [409], "bad_request": [400], "unauthorized": [401], "forbidden": [403],
         "request_timeout": [408], "unavailable": [503], "request": range(400, 600)}
NOT_APIS = ("warnings", "allowed_warnings", "allowed_warnings_regex", "warnings_regex")


class Skipped(Exception):
    """The test is not for this engine, or needs what this runner has not."""


class Failed(AssertionError):
    """An answer is not what the test says.

    api, answer: of the last call.
    """

    def __init__(self, text, api=None, answer=None):
        super().__init__(text)
        self.api = api
        self.answer = answer


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML as the tests mean it: dates are text, and so are yes, no, on and off."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers
            if tag not in ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:bool")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false|True|False)$"), list("tfTF"))


def ordered(version, opensearch):
    """A version as numbers. For OpenSearch those from 6 on are Elasticsearch's, which came before its own."""
    numbers = [int(part) for part in version.split(".")]
    return [0 if opensearch and numbers[0] >= 6 else 1] + numbers


class Suite:
    """The tests and the specification of one engine's line."""

    def __init__(self, artifact, version):
        self.opensearch = artifact.startswith("org.opensearch")
        self.version = ordered(version, self.opensearch)
        folder = engine.cache_folder("rest-api-spec", artifact.replace(":", "-"))
        self.folder = os.path.join(folder, "rest-api-spec")
        if not os.path.isdir(self.folder):
            engine.fetch_artifact(artifact, folder)
            for name in os.listdir(folder):
                if name.endswith(".jar"):
                    with zipfile.ZipFile(os.path.join(folder, name)) as jar:
                        jar.extractall(folder)
        self.apis = {}
        for name in os.listdir(os.path.join(self.folder, "api")):
            with open(os.path.join(self.folder, "api", name)) as file:
                self.apis.update(json.load(file))

    def files(self):
        """Names of the files with tests, as bulk/10_basic.yml."""
        tests = os.path.join(self.folder, "test")
        return sorted(os.path.relpath(os.path.join(folder, name), tests)
                      for folder, _, names in os.walk(tests) for name in names if name.endswith(".yml"))

    def tests(self, name):
        """(setup, teardown, {name: steps}) of one file."""
        sections = {}
        with open(os.path.join(self.folder, "test", name)) as file:
            for document in yaml.load_all(file, Loader):
                sections.update(document or {})
        return sections.pop("setup", []), sections.pop("teardown", []), sections


class Run:
    """One test against the cluster (or the proxy) at URL."""

    def __init__(self, suite, url):
        self.suite = suite
        self.url = url
        self.stash = {}
        self.api = self.answer = self.value = None

    def test(self, setup, teardown, steps):
        try:
            for step in setup + steps:
                self.step(step)
        finally:
            for step in teardown:
                try:
                    self.step(step)
                except AssertionError:
                    pass

    def step(self, step):
        (kind, argument), = step.items()
        run = getattr(self, "do_" + kind, None)
        if run is None:
            raise Skipped("the runner has no step " + kind)
        try:
            run(argument)
        except Failed as failed:
            raise Failed(str(failed), self.api, self.answer) from None

    # --- calls ---

    def do_skip(self, skip):
        features = skip.get("features", [])
        missing = set(re.split(r",\s*", features) if isinstance(features, str) else features) - FEATURES
        if missing:
            raise Skipped("the runner has not: " + " ".join(missing))
        for stretch in filter(None, str(skip.get("version", "")).split(",")):
            first, _, last = (part.strip() for part in stretch.partition("-"))
            if stretch.strip() == "all" or self.numbers(first, -1) <= self.suite.version <= self.numbers(last, 99):
                raise Skipped(skip.get("reason", "not for this version"))

    def numbers(self, text, otherwise):
        return ordered(text, self.suite.opensearch) if text else [otherwise]

    def do_do(self, call):
        call = {key: value for key, value in call.items() if key not in NOT_APIS}
        catch, headers = call.pop("catch", None), call.pop("headers", {})
        call.pop("node_selector", None)  # there is one node, of the version that is tested
        if catch == "param":
            return  # it is the client's library that refuses it
        for api, arguments in call.items():
            self.call(api, self.fill(dict(arguments or {})), {key: str(each) for key, each in headers.items()}, catch)

    def call(self, api, arguments, headers, catch):
        if api not in self.suite.apis:
            raise Skipped("no API " + api)
        ignore = arguments.pop("ignore", [])
        ignore = [int(each) for each in (ignore if isinstance(ignore, list) else [ignore])]
        method, path, body = self.take_path(self.suite.apis[api], arguments)
        query = urllib.parse.urlencode({key: self.text(value) for key, value in arguments.items()},
                                       quote_via=urllib.parse.quote)
        headers.setdefault("Content-Type", "application/json")
        self.api = api
        self.answer = request(self.url, method, path + ("?" + query if query else ""), body, headers)
        self.value = self.answer.body.decode("utf-8", "replace")
        kind = self.answer.headers.get("content-type", "")
        if "json" in kind and self.value:
            self.value = json.loads(self.value)
        elif "yaml" in kind:
            self.value = yaml.load(self.value, Loader)
        if method == "HEAD":
            self.value = self.answer.status < 300
            ignore = ignore + [404]
        self.check_status("%s %s" % (method, path), catch, ignore)

    def take_path(self, spec, arguments):
        """Takes the path's parts and the body out of ARGUMENTS."""
        paths = [path for path in spec["url"]["paths"] if all(part in arguments for part in path.get("parts", {}))]
        if not paths:
            raise Skipped("no path fits")
        chosen = max(paths, key=lambda path: len(path.get("parts", {})))
        path = chosen["path"]
        for part in chosen.get("parts", {}):
            path = path.replace("{%s}" % part, urllib.parse.quote(self.text(arguments.pop(part)), safe=",*"))
        body, methods = arguments.pop("body", None), chosen["methods"]
        method = "POST" if "POST" in methods and body is not None and methods[0] == "GET" else methods[0]
        if isinstance(body, list):
            body = "".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in body)
        elif isinstance(body, str) and not body.endswith("\n"):
            body += "\n"
        elif isinstance(body, dict):
            body = json.dumps(body)
        return method, path, body

    @staticmethod
    def text(value):
        if isinstance(value, bool):
            return "true" if value else "false"
        return ",".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)

    def check_status(self, what, catch, ignore):
        status, said = self.answer.status, self.answer.body[:300]
        if catch is None:
            good = status < 300 or status in ignore
        elif catch.startswith("/"):
            good = status >= 400 and re.search(catch.strip("/"), self.answer.body.decode("utf-8", "replace"))
        else:
            good = status in CATCH[catch]
        if not good:
            raise Failed("%s answers %d %r%s" % (what, status, said, ", not " + catch if catch else ""))

    # --- what an answer must be ---

    def fill(self, value):
        """VALUE with what was set before."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if not isinstance(value, str) or "$" not in value:
            return value
        if value.startswith("$") and value[1:] in self.stash:
            return self.stash[value[1:]]
        return re.sub(r"\$\{(\w+)\}", lambda match: str(self.stash.get(match.group(1), match.group(0))), value)

    def at(self, path):
        """The value at PATH of the last answer; None where there is none."""
        value = self.value
        if path in ("", "$body"):
            return value
        for part in re.split(r"(?<!\\)\.", path):
            part = str(self.fill(part.replace("\\.", ".")))
            if part == "_arbitrary_key_" and isinstance(value, dict):
                return next(iter(value), None)
            if isinstance(value, list):
                value = value[int(part)] if part.isdigit() and int(part) < len(value) else None
            elif isinstance(value, dict):
                value = value.get(part)
            else:
                return None
        return value

    def do_set(self, sets):
        for path, name in sets.items():
            self.stash[name] = self.at(path)

    def do_match(self, match):
        for path, expected in match.items():
            value, expected = self.at(path), self.fill(expected)
            if isinstance(expected, str) and re.match(r"^\s*/.*/\s*$", expected, re.S):
                pattern = expected.strip()[1:-1]
                good = value is not None and re.search(pattern, self.text(value), re.X) is not None
            else:
                good = same(value, expected)
            if not good:
                raise Failed("%s is %r, not %r" % (path, value, expected))

    def do_is_true(self, path):
        if self.at(path) in (None, "", False, 0, "false", "0"):
            raise Failed("%s is %r" % (path, self.at(path)))

    def do_is_false(self, path):
        if self.at(path) not in (None, "", False, 0, "false", "0"):
            raise Failed("%s is %r" % (path, self.at(path)))

    def do_length(self, lengths):
        for path, length in lengths.items():
            if self.at(path) is None or len(self.at(path)) != int(self.fill(length)):
                raise Failed("%s has not length %s: %r" % (path, length, self.at(path)))

    def do_contains(self, contains):
        for path, expected in contains.items():
            if not any(same_part(each, self.fill(expected)) for each in self.at(path) or []):
                raise Failed("%s does not contain %r" % (path, expected))

    def compare(self, pairs, good, word):
        for path, limit in pairs.items():
            value = self.at(path)
            if value is None or not good(float(value), float(self.fill(limit))):
                raise Failed("%s is %r, not %s %s" % (path, value, word, limit))

    def do_gt(self, pairs):
        self.compare(pairs, lambda a, b: a > b, "above")

    def do_gte(self, pairs):
        self.compare(pairs, lambda a, b: a >= b, "at least")

    def do_lt(self, pairs):
        self.compare(pairs, lambda a, b: a < b, "below")

    def do_lte(self, pairs):
        self.compare(pairs, lambda a, b: a <= b, "at most")


def same(value, expected):
    if isinstance(value, bool) or isinstance(expected, bool):
        return value is expected
    if isinstance(value, (int, float)) and isinstance(expected, (int, float)):
        return float(value) == float(expected)
    if isinstance(value, dict) and isinstance(expected, dict):
        return value.keys() == {str(key) for key in expected} and all(
            same(value[str(key)], each) for key, each in expected.items())
    if isinstance(value, list) and isinstance(expected, list):
        return len(value) == len(expected) and all(map(same, value, expected))
    return value == expected


def same_part(value, expected):
    if isinstance(value, dict) and isinstance(expected, dict):
        return all(key in value and same(value[key], each) for key, each in expected.items())
    return same(value, expected)
