"""Rules of Traefik 2 and 3 as conditions of routes."""

# ruff: noqa: E501 - a configuration of Traefik a line
from __future__ import annotations

import re
from typing import Any

import pytest
from gateway_import.traefik.rules import RuleError, alternatives, conditions


def keys_of(rule: str) -> list[dict[str, Any]]:
    return [conditions(each).finish() for each in alternatives(rule)]


@pytest.mark.parametrize(
    ("rule", "keys"),
    [
        ("Host(`A.com`)", [{"hosts": ["a.com"]}]),
        ("Host(`a.com`, `b.com`)", [{"hosts": ["a.com", "b.com"]}]),
        ("Host(`a.com`) || Host(`b.com`)", [{"hosts": ["a.com"]}, {"hosts": ["b.com"]}]),
        ("Host(`a.com`) && (Method(`GET`) || Method(`PUT`))", [{"hosts": ["a.com"], "methods": [m]} for m in ("GET", "PUT")]),
        ("Path(`/a.b`)", [{"path_regex": r"/a\.b"}]),
        ("PathPrefix(`/`)", [{}]),
        ("PathPrefix(`/a`)", [{"path_regex": "/a.*"}]),
        ("Path(`/v/{id:[0-9]{2}}`)", [{"path_regex": "/v/(?:[0-9]{2})"}]),
        ("PathRegexp(`^/v/[0-9]+$`)", [{"path_regex": "/v/[0-9]+"}]),
        ("HostRegexp(`{sub:[a-z]+}.a.com`)", [{"headers": {"host": {"regex": r"(?i)(?:(?:[a-z]+)\.a\.com)(?::[0-9]+)?"}}}]),
        ("HostRegexp(`^.+\\.a\\.com$`)", [{"headers": {"host": {"regex": r"(?i)(?:.+\.a\.com)(?::[0-9]+)?"}}}]),
        ("HostRegexp(`^(?:adm|ops)[a-z]{0,3}\\.a\\.com$`)", [{"headers": {"host": {"regex": r"(?i)(?:(?:adm|ops)[a-z]{0,3}\.a\.com)(?::[0-9]+)?"}}}]),
        ('HostRegexp("^b\\\\.a\\\\.com$")', [{"headers": {"host": {"regex": r"(?i)(?:b\.a\.com)(?::[0-9]+)?"}}}]),
        ("Headers(`X-A`, `b`) && Query(`q=1`)", [{"headers": {"x-a": "b"}, "query": {"q": "1"}}]),
        ("Header(`X-A`, `b`) && Query(`q`, `1`)", [{"headers": {"x-a": "b"}, "query": {"q": "1"}}]),
        ("HeadersRegexp(`X-A`, `b+`)", [{"headers": {"x-a": {"regex": ".*b+.*"}}}]),
        ("ClientIP(`10.0.0.0/8`)", [{"client_ip": {"one_of": ["10.0.0.0/8"]}}]),
        ("!ClientIP(`10.0.0.0/8`)", [{"client_ip": {"none_of": ["10.0.0.0/8"]}}]),
        ("!Header(`X-A`, `b`)", [{"headers": {"x-a": {"none_of": ["b"]}}}]),
        ("!(PathPrefix(`/a`) || Path(`/b`))", [{"path_regex": "(?=(?!/a.*$).*$)(?=(?!/b$).*$).*"}]),
        ("!(Header(`X-A`, `b`) && Header(`X-C`, `d`))", [{"headers": {"x-a": {"none_of": ["b"]}}}, {"headers": {"x-c": {"none_of": ["d"]}}}]),
    ],
)  # fmt: skip
def test_a_rule_asks_for_the_same(rule: str, keys: list[dict[str, Any]]) -> None:
    assert keys_of(rule) == keys


@pytest.mark.parametrize(
    ("path", "matches"), [("/a", True), ("/ab", True), ("/a/private", False), ("/a/privates", False), ("/b", False)]
)
def test_paths_that_are_asked_for_and_excluded_are_one_expression(path: str, matches: bool) -> None:
    (keys,) = keys_of("PathPrefix(`/a`) && !PathPrefix(`/a/private`)")

    assert bool(re.compile(keys["path_regex"], re.DOTALL).fullmatch(path)) is matches


@pytest.mark.parametrize(
    "rule", ["!Host(`a`)", "!Method(`GET`)", "Host(`a`) && Host(`b`)", "SomethingNew(`x`)", "PathRegexp(`[`)"]
)
def test_what_has_no_counterpart_is_named(rule: str) -> None:
    (found,) = alternatives(rule)

    assert len(conditions(found).lost) == 1


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "Host(`a`",
        "Host(a)",
        "Host(`a`) &&",
        "&& Host(`a`)",
        "Host(`a`) Host(`b`)",
        "(" * 100,
        "'",
        'PathRegexp("\\d")',
    ],
)
def test_what_is_no_rule_is_an_error(rule: str) -> None:
    with pytest.raises(RuleError):
        alternatives(rule)
