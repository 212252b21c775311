"""Requests that meet or fail a route's conditions, to be matched by a router."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar
from urllib.parse import urlencode

from gateway_core.routing import Pattern, RouteRule, ValueCondition
from gateway_core.routing.patterns import Kind, Shape

P = TypeVar("P")
_CLIENT: Final = "192.0.2.1"


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
    client_ip: str = _CLIENT
    scheme: str = "http"

    @property
    def query_string(self) -> str:
        """The query as it is sent."""
        return urlencode(self.query)

    def header_values(self, name: str) -> tuple[str, ...]:
        """Return the values of a header, by its name in lower case."""
        return tuple(value for known, value in self.headers.items() if known.lower() == name)

    def __str__(self) -> str:
        query = self.query_string
        target = f"{self.path}?{query}" if query else self.path
        fields = ", ".join(f"{name}: {value}" for name, value in self.headers.items())
        where = f" at host {self.host}" if self.host else ""
        client = "" if self.client_ip == _CLIENT else f" from {self.client_ip}"
        scheme = "" if self.scheme == "http" else f" over {self.scheme}"
        return f"{self.method} {target}{where}" + (f" with {fields}" if fields else "") + client + scheme


def path_for(pattern: Pattern, text: str) -> str:
    """Return a match path that a pattern takes, with ``text`` in the place of its parameters."""
    if pattern.shape is Shape.REGEX:
        return _example(pattern.text)
    segments = [segment.text if segment.kind is Kind.LITERAL else segment.text + text for segment in pattern.segments]
    if pattern.shape is Shape.PREFIX:
        segments.append(text)
    return "/" + "/".join(segments)


def host_for(host: str) -> str:
    """Return a host that one of a route's takes."""
    return f"any.{host.partition('.')[2]}" if host.startswith(("*.", ":")) else host


def meeting(rule: RouteRule[P], probe: Probe) -> Probe:
    """Return the request with what the conditions of a rule require, apart from those on its path."""
    headers = {**probe.headers, **_values(rule.headers)}
    if rule.cookies:
        headers["Cookie"] = "; ".join([f"{name}={value}" for name, value in _values(rule.cookies).items()])
    address = rule.client_ip
    client = str(address.one_of[0].network_address) if address is not None and address.one_of else probe.client_ip
    return replace(
        probe,
        headers=headers,
        query={**probe.query, **_values(rule.query)},
        client_ip=client,
        scheme=rule.scheme or probe.scheme,
    )


def _values(conditions: Sequence[ValueCondition]) -> dict[str, str]:
    return {each.name: _meets(each) for each in conditions if each.present is not False and each.none_of is None}


def _meets(condition: ValueCondition) -> str:
    if condition.regex is not None:
        return _example(condition.regex)
    if condition.one_of is not None:
        return condition.one_of[0]
    return "1" if condition.value is None else condition.value


def failing_otherwise(rule: RouteRule[P], probe: Probe) -> Iterator[Probe]:
    """Yield requests that fail one condition of a rule on a cookie, the client's address or the scheme."""
    if rule.cookies:
        without = {name: value for name, value in probe.headers.items() if name != "Cookie"}
        yield replace(probe, headers=without, way="without the cookies")
    address = rule.client_ip
    if address is not None:
        other = address.none_of[0].network_address if address.none_of else _STRANGER
        yield replace(probe, client_ip=str(other), way="another client address")
    if rule.scheme is not None:
        yield replace(probe, scheme="http" if rule.scheme == "https" else "https", way="another scheme")


_STRANGER: Final = "198.51.100.7"


def failed(values: Mapping[str, str], condition: ValueCondition) -> dict[str, str]:
    """Return values that fail a condition, all others as they were."""
    left = {name: value for name, value in values.items() if name != condition.name}
    if condition.none_of is not None:
        return {**left, condition.name: condition.none_of[0]}
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
