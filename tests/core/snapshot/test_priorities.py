from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from gateway_core.packages import PluginRegistry
from gateway_core.routing import Match, Router, RouteRule, rule_pattern
from gateway_core.snapshot import load
from gateway_core.snapshot.priorities import paths_may_meet
from hypothesis import given
from hypothesis import strategies as st

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
