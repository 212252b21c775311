"""What a table holds for each route: the conditions beside the path, and the match that is returned."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Generic

from gateway_core.messages.path import decode_match_text
from gateway_core.routing.conditions import Conditions, HeaderLookup, RequestValues, compile_conditions
from gateway_core.routing.patterns import Captures, Kind, Pattern, Shape, captures_of
from gateway_core.routing.request_tests import compile_tests
from gateway_core.routing.rules import P, RouteRule

NO_PARAMS: Mapping[str, str] = MappingProxyType({})


class Match(Generic[P]):
    """The route that takes a request. Routes without parameters share one instance."""

    __slots__ = ("_captures", "_params", "_path", "payload", "rule")

    def __init__(
        self,
        rule: RouteRule[P],
        path: str = "",
        captures: Captures | None = None,
        params: Mapping[str, str] | None = None,
    ) -> None:
        """Describe a match.

        :param path: a match path, in which the parameters of ``captures`` stand.
        :param params: those that a regular expression has found, as they stand in the path; read-only ones are decoded.
        """
        self.payload = rule.payload
        self.rule = rule
        self._path = path
        self._captures = captures
        self._params = params

    @property
    def params(self) -> Mapping[str, str]:
        """Each parameter's text by its name, percent-decoded once (UTF-8, undecodable bytes are U+FFFD).

        Found when it is asked for: most requests go on without.
        """
        if self._captures is not None:
            self._params = texts_at(self._captures, self._path.split("/"))
            self._captures = None
        found = self._params
        if not found:
            return NO_PARAMS
        if not isinstance(found, MappingProxyType):  # hooks get it
            decoded = {name: decode_match_text(text) if "%" in text else text for name, text in found.items()}
            found = self._params = MappingProxyType(decoded)
        return found


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
        self.match: Match[P] = Match(rule)
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

    def match_for(self, path: str) -> Match[P]:
        """Return the match for a match path."""
        return self.match if self.captures is None else Match(self.match.rule, path, self.captures)


def _ends_in_parameter(pattern: Pattern) -> bool:
    last = len(pattern.segments) - 1
    is_exact = pattern.shape is Shape.EXACT and pattern.literal_count == last
    return is_exact and pattern.segments[last].kind is Kind.PARAM


def texts_at(captures: Captures, segments: list[str]) -> dict[str, str]:
    """Return what stands in the places of parameters.

    :param segments: those of a match path; the first is the empty one before ``/``.
    """
    params: dict[str, str] = {}
    for name, index, cut in captures:
        if cut == 0:
            params[name] = segments[index]
        elif cut > 0:
            params[name] = segments[index][cut:]
        else:
            params[name] = "/".join(segments[index:])
    return params
