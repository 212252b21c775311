"""What a table holds for each route: the conditions beside the path, and the match that is returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic

from gateway_core.messages.path import decode_match_text
from gateway_core.routing.conditions import Conditions, HeaderLookup, RequestValues, compile_conditions
from gateway_core.routing.patterns import Captures, Kind, Pattern, Shape, captures_of
from gateway_core.routing.request_tests import compile_tests
from gateway_core.routing.rules import P, RouteRule

NO_PARAMS: Mapping[str, str] = MappingProxyType({})


@dataclass(slots=True)
class Match(Generic[P]):
    """The route that takes a request. Routes without parameters share one instance: do not change it.

    ``params`` maps each parameter's name to its text, percent-decoded once (UTF-8, undecodable bytes are U+FFFD).
    """

    payload: P
    params: Mapping[str, str]
    rule: RouteRule[P]


class Entry(Generic[P]):
    """One route at one place of a table."""

    __slots__ = ("captures", "conditions", "ends_in_parameter", "is_open", "match", "methods", "priority")

    def __init__(self, rule: RouteRule[P], pattern: Pattern) -> None:
        self.methods = rule.methods or None
        self.conditions: Conditions | None = compile_conditions(rule.headers, rule.query, compile_tests(rule, pattern))
        self.is_open = self.methods is None and self.conditions is None
        """Whether it takes every request for its path."""
        self.captures: Captures | None = captures_of(pattern)
        self.ends_in_parameter = _ends_in_parameter(pattern)
        """Whether its last segment is a parameter, and all others are literal."""
        self.match: Match[P] = Match(rule.payload, NO_PARAMS, rule)
        self.priority = rule.priority

    def rank(self) -> tuple[int, bool, int, int, int]:
        """Return what orders routes of equal host and path: the smaller comes first."""
        rule = self.match.rule
        return (-rule.priority, not rule.methods, -rule.condition_count, -len(rule.query), rule.order)

    def admits(self, method: str, header: HeaderLookup, values: RequestValues) -> bool:
        """Say whether method and conditions match."""
        if self.methods is not None and method not in self.methods:
            return False
        return self.conditions is None or self.conditions.hold(header, values)

    def match_for(self, segments: list[str]) -> Match[P]:
        """Return the match for a path with these segments of a match path (the first is the empty one before ``/``)."""
        if self.captures is None:
            return self.match
        params: dict[str, str] = {}
        for name, index, cut in self.captures:
            if cut == 0:
                params[name] = segments[index]
            elif cut > 0:
                params[name] = segments[index][cut:]
            else:
                params[name] = "/".join(segments[index:])
        return Match(self.match.payload, params, self.match.rule)


def _ends_in_parameter(pattern: Pattern) -> bool:
    last = len(pattern.segments) - 1
    is_exact = pattern.shape is Shape.EXACT and pattern.literal_count == last
    return is_exact and pattern.segments[last].kind is Kind.PARAM


def decode_params(match: Match[P]) -> Match[P]:
    """Return the match with its texts decoded; needed only if the match path has a ``%``."""
    if not match.params:
        return match
    decoded = {name: decode_match_text(text) if "%" in text else text for name, text in match.params.items()}
    return Match(match.payload, decoded, match.rule)
