"""Priorities that decide nothing: no other route of another priority can take the same requests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway_core.config import GatewayConfig, RouteConfig
from gateway_core.routing import Pattern, RuleError
from gateway_core.routing.patterns import Kind, Shape
from gateway_core.snapshot.rules import pattern_of

_MOST_PAIRS: Final = 200_000
"""Pairs of routes that are compared at most; beyond it there is no warning."""


def idle_priorities(config: GatewayConfig) -> Iterator[tuple[str, str]]:
    """Yield key paths and messages. What may overlap counts as overlapping, so that no useful priority is reported."""
    given = [index for index, route in enumerate(config.routes) if route.priority]
    if len(given) * len(config.routes) > _MOST_PAIRS:
        return
    try:
        patterns = [pattern_of(route) for route in config.routes]
    except RuleError:
        return  # An error of its own.
    for index in given:
        route = config.routes[index]
        rivals = (
            other.priority != route.priority and _may_meet(route, patterns[index], other, patterns[position])
            for position, other in enumerate(config.routes)
            if position != index
        )
        if not any(rivals):
            why = "no route of another priority takes the same requests"
            yield f"routes[{index}].priority", f"priority has no effect: {why}"


def _may_meet(route: RouteConfig, pattern: Pattern, other: RouteConfig, other_pattern: Pattern) -> bool:
    """Whether a request may exist that both take. Header and query conditions are not compared."""
    if route.methods and other.methods and not set(route.methods) & set(other.methods):
        return False
    hosts, other_hosts = _names(route), _names(other)
    if hosts and other_hosts and not any(_same_host(one, two) for one in hosts for two in other_hosts):
        return False
    return paths_may_meet(pattern, other_pattern)


def _names(route: RouteConfig) -> list[str]:
    return [host.lower().removesuffix(".") for host in route.hosts]


def _same_host(one: str, two: str) -> bool:
    if one.startswith("*.") and two.startswith("*."):
        return one.endswith(two[1:]) or two.endswith(one[1:])
    if one.startswith("*."):
        return two.endswith(one[1:])
    return one.endswith(two[1:]) if two.startswith("*.") else one == two


def paths_may_meet(one: Pattern, two: Pattern) -> bool:
    """Whether a path may exist that both patterns take; a regular expression may take any."""
    if Shape.REGEX in {one.shape, two.shape}:
        return True
    for first, second in zip(one.segments, two.segments, strict=False):
        if Kind.REST in {first.kind, second.kind}:
            return True
        if first.kind is Kind.LITERAL and second.kind is Kind.LITERAL and first.text.lower() != second.text.lower():
            return False
    # What is left of the longer one must fit behind the end of the shorter one.
    shorter, longer = sorted((one, two), key=lambda pattern: len(pattern.segments))
    rest = longer.segments[len(shorter.segments) :]
    return shorter.shape is Shape.PREFIX or all(segment.kind is Kind.REST for segment in rest)
