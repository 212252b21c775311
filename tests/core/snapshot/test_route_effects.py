"""Settings of routes and targets that change nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gateway_core.config import LoadedConfig, RetriesConfig, RouteTimeoutsConfig
from gateway_core.packages import PluginRegistry
from gateway_core.routing import Match, Router, RouteRule, rule_pattern
from gateway_core.snapshot import load
from gateway_core.snapshot.route_effects import (
    hash_sources_without_effect,
    no_effect,
    paths_may_meet,
    retries_without_effect,
    timeouts_without_effect,
    written,
)
from hypothesis import given
from hypothesis import strategies as st

Load = Callable[[str], LoadedConfig]

UPSTREAMS = """
upstreams:
  - {name: a, endpoints: [{url: "http://127.0.0.1:1"}]}
  - {name: s, endpoints: [{url: "unix:/run/s.sock"}]}
"""


def found(load_text: Load, route: str, more: str = "") -> list[str]:
    loaded = load_text(f"{more}{UPSTREAMS}routes:\n  - {{id: r, path_prefix: /p, {route}}}\n")
    assert {warning.code for warning in loaded.warnings} <= {"setting.no-effect"}
    return [warning.key_path.removeprefix("routes[0].") for warning in loaded.warnings]


@pytest.mark.parametrize(
    ("route", "keys"),
    [
        ("target: a, rewrite: {prefix: /p}", ["rewrite"]),
        ("target: a, rewrite: {prefix: /p, host: h}", ["rewrite.prefix"]),
        ("target: a, rewrite: {prefix: /q, host: h}", []),
        ("target: a, rewrite: {query: {set: {x: '1'}, remove: [x, y, y]}}", ["query.remove[0]", "query.remove[2]"]),
        ("target: a, strip_path: true, rewrite_response: {cookie_path: true}", []),
        ("target: a, rewrite_response: {cookie_path: true, location: true}", ["rewrite_response.cookie_path"]),
        ("target: a, preserve_host: true", []),
        ("target: s, preserve_host: false", ["preserve_host"]),
        ("respond: {status: 204}, rewrite: {template: /q}", ["rewrite"]),
        ("plugins: [{name: responding}], rewrite: {template: /q}", []),
        ("plugins: [{name: responding}], max_body_bytes: 7", ["max_body_bytes"]),
        ("targets: [{target: a}, {target: s}], preserve_host: false", []),
        ("target: a, buffer_request: 2MiB, max_body_bytes: 1MiB", ["buffer_request"]),
        ("target: a, buffer_request: 1MiB, max_body_bytes: 1MiB", []),
        ("target: a, mirror: [{target: a}, {target: s, percent: 0}]", ["mirror[1]"]),
        ("targets: [{target: a}], sticky_cookie: {name: c}", ["sticky_cookie"]),
        ("targets: [{target: a}], hash_on: client_ip", ["hash_on"]),
        ("targets: [{target: a}, {target: s}], hash_on: [client_ip, 'cookie:c']", ["hash_on[1]"]),
        ("targets: [{target: a}, {target: s}], hash_on: ['cookie:c', client_ip]", []),
        ("targets: [{target: a}, {target: s}], hash_on: 'param:id'", ["hash_on"]),
        ("targets: [{target: a}, {target: s}], hash_on: ['param:x', 'param:y']", ["hash_on[0]", "hash_on[1]"]),
        ("targets: [{target: a, rewrite: {prefix: /p}}, {target: s}]", ["targets[0].rewrite"]),
        (
            "rewrite: {host: h}, targets: [{target: a, rewrite: {host: i}}, {target: s, rewrite: {prefix: /x}}]",
            ["rewrite"],
        ),
        (
            "redirect: {path: /q}, buffer_request: 1MiB, rewrite_response: {location: true}",
            ["buffer_request", "rewrite_response"],
        ),
    ],
)
def test_settings_without_effect(load_text: Load, route: str, keys: list[str]) -> None:
    assert [key.removeprefix("rewrite.") if "query" in key else key for key in found(load_text, route)] == keys


def test_the_documents_limit_bounds_what_is_gathered(load_text: Load) -> None:
    assert found(load_text, "target: a, buffer_request: 2MiB", "limits: {max_body_bytes: 1MiB}\n") == ["buffer_request"]


@pytest.mark.parametrize(
    ("listen", "keys"),
    [
        ("[{address: ':1', hosts: [a.test]}]", ["listen[0].hosts"]),
        ("[{address: ':1', hosts: [a.test]}, ':1']", []),
        ("[':1', {name: internal, address: ':2', default: false}]", ["listen[1]"]),
    ],
)
def test_listeners_that_serve_less_than_they_seem_to(load_text: Load, listen: str, keys: list[str]) -> None:
    assert found(load_text, "target: a", f"listen: {listen}\n") == keys


def test_only_what_was_written_has_no_effect() -> None:
    retries = RetriesConfig.model_validate({"attempts": 2, "on": ["reset"]})

    assert written(retries, "on", "attempts", "methods") == ["on", "attempts"]
    assert list(no_effect(".x", ["on"], "why")) == [(".x.on", "on has no effect: why")]


@pytest.mark.parametrize(
    ("sources", "places"),
    [
        ((), []),
        (("client_ip",), []),
        (("cookie:a", "client_ip"), []),
        (("client_ip", "cookie:a", "client_ip"), [".hash_on[1]", ".hash_on[2]"]),
        (("cookie:a", "cookie:a"), [".hash_on[1]"]),
    ],
)
def test_what_stands_behind_a_source_that_every_request_has_is_never_looked_at(
    sources: tuple[str, ...], places: list[str]
) -> None:
    assert [place for place, _ in hash_sources_without_effect(sources)] == places


def test_retries_that_never_happen() -> None:
    never = RetriesConfig.model_validate({"attempts": 0, "on": ["reset"]})

    assert [place for place, _ in retries_without_effect(never)] == [".retries"]
    # To switch off those of the upstream is an effect.
    off = RetriesConfig.model_validate({"attempts": 0})
    assert list(retries_without_effect(off, replaces=True)) == []


def test_timeouts_that_the_total_ends_before() -> None:
    timeouts = RouteTimeoutsConfig.model_validate({"response": "5s", "idle": "1s"})

    assert [place for place, _ in timeouts_without_effect(timeouts, 5.0)] == [".timeouts.response"]


TARGET = "target: 'http://127.0.0.1:1'"


@pytest.mark.parametrize(
    ("prior", "other", "is_idle"),
    [
        ("path: /a", "path: /b", True),
        ("path: /a", "path_prefix: /", False),
        ("path: /a", "path_prefix: /a", False),
        ("path_prefix: /a", "path: /a/b", False),
        ("path_prefix: /a/c", "path: /a/b", True),
        ("path: '/:x'", "path: /a", False),
        ("path: '/:x/b'", "path: /a/c", True),
        ("path: '/a/*rest'", "path: /a/b/c", False),
        ("path_regex: /a", "path: /b", False),
        ("path: /a, methods: [GET]", "path_prefix: /, methods: [POST]", True),
        ("path: /a, methods: [GET]", "path_prefix: /", False),
        ("path: /a, hosts: [a.test]", "path_prefix: /, hosts: [b.test]", True),
        ("path: /a, hosts: [a.test]", "path_prefix: /, hosts: ['*.test']", False),
        ("path: /a, hosts: ['*.a.test']", "path_prefix: /, hosts: ['*.test']", False),
        ("path: /a", "path_prefix: /, priority: 5", True),
    ],
)
def test_a_priority_that_decides_nothing_is_a_warning(tmp_path: Path, prior: str, other: str, *, is_idle: bool) -> None:
    path = tmp_path / "gateway.yaml"
    # With a condition, so that it leaves some requests to the other.
    first = f"{{id: a, {prior}, headers: {{x-a: '1'}}, {TARGET}, priority: 5}}"
    path.write_text(f"routes:\n  - {first}\n  - {{id: b, {other}, {TARGET}}}\n")

    warnings = load([path], registry=PluginRegistry(find=dict), environ={}).warnings

    assert ("routes[0].priority" in [each.key_path for each in warnings]) is is_idle


segments = st.lists(st.sampled_from(["a", "b", ":x", "a:x"]), max_size=3)
patterns = st.tuples(st.sampled_from(["path", "path_prefix"]), segments, st.booleans()).map(
    lambda drawn: {drawn[0]: _text(drawn[1], rest=drawn[2] and drawn[0] == "path", prefix=drawn[0] == "path_prefix")}
)


def _text(parts: list[str], *, rest: bool, prefix: bool) -> str:
    named = [part.replace(":x", "" if prefix else f":x{index}") or "a" for index, part in enumerate(parts)]
    return "/" + "/".join([*named, "*rest"] if rest else named)


@given(patterns, patterns, st.lists(st.sampled_from(["a", "b", "ab", "c"]), max_size=4))
def test_patterns_that_take_one_path_may_meet(one: dict[str, Any], two: dict[str, Any], path: list[str]) -> None:
    rules = [RouteRule(id="r", payload=None, order=0, **each) for each in (one, two)]
    takes = [
        isinstance(Router.build([rule]).match("GET", "", "/" + "/".join(path), "", lambda _: ()), Match)
        for rule in rules
    ]

    if all(takes):
        assert paths_may_meet(rule_pattern(rules[0]), rule_pattern(rules[1]))
