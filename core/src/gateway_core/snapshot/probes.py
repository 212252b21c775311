"""Requests that meet or fail a route's conditions, to be matched by a router."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from urllib.parse import urlencode

from gateway_core.routing import Pattern, RouteRule, ValueCondition
from gateway_core.routing.patterns import Kind, Shape

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Probe:
    """A request that is tried; header fields and parameters by name."""

    method: str
    host: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    way: str = ""
    """How it fails the conditions of the protected route, such as ``another method``."""

    def __str__(self) -> str:
        query = urlencode(self.query)
        target = f"{self.path}?{query}" if query else self.path
        fields = ", ".join(f"{name}: {value}" for name, value in self.headers.items())
        where = f" at host {self.host}" if self.host else ""
        return f"{self.method} {target}{where}" + (f" with {fields}" if fields else "")


def path_for(pattern: Pattern, text: str) -> str:
    """Return a match path that a pattern takes, with ``text`` in the place of its parameters."""
    if pattern.shape is Shape.REGEX:
        return _example(pattern.text)
    segments = [segment.text if segment.kind is Kind.LITERAL else segment.text + text for segment in pattern.segments]
    if pattern.shape is Shape.PREFIX:
        segments.append(text)
    return "/" + "/".join(segments)


def meeting(rule: RouteRule[P], probe: Probe) -> Probe:
    """Return the request with what the conditions of a rule require."""
    headers = {**probe.headers, **_values(rule.headers)}
    return replace(probe, headers=headers, query={**probe.query, **_values(rule.query)})


def _values(conditions: Sequence[ValueCondition]) -> dict[str, str]:
    return {condition.name: _meets(condition) for condition in conditions if condition.present is not False}


def _meets(condition: ValueCondition) -> str:
    if condition.regex is not None:
        return _example(condition.regex)
    return "1" if condition.value is None else condition.value


def failed(values: Mapping[str, str], condition: ValueCondition) -> dict[str, str]:
    """Return values that fail a condition, all others as they were."""
    left = {name: value for name, value in values.items() if name != condition.name}
    return {**left, condition.name: "1"} if condition.present is False else left


_EXAMPLES: Final = (
    (r"\(\?P<\w+>|\(\?:", "("),
    (r"(\\d|\[0-9\])([+*?]|\{[^}]*\})?", "1"),
    (r"(\[[^\]]*\]|\\w|(?<!\\)\.)([+*?]|\{[^}]*\})?", "a"),
    (r"\(([^()|]*)\|[^()]*\)", r"\1"),
    (r"\|.*", ""),
    (r"[()?+*^$\\]", ""),
)


def _example(regex: str) -> str:
    """Return a text that an ordinary regular expression takes; the router says whether it does."""
    for pattern, text in _EXAMPLES:
        regex = re.sub(pattern, text, regex)
    return regex
