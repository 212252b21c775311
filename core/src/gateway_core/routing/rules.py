"""The input of routing: one rule per route, in this package's own words, free of configuration models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway_core.routing.path_policy import DEFAULT_POLICY, PathPolicy

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class ValueCondition:
    """What a header or a query parameter must be: exactly one of ``value``, ``regex`` and ``present``.

    A value is compared exactly; a regex must match the whole value; ``present`` is whether the name is there at all.
    Header names are compared without case. Of several fields or parameters of one name, one that fits is enough.
    """

    name: str
    value: str | None = None
    regex: str | None = None
    present: bool | None = None


@dataclass(frozen=True, slots=True)
class RouteRule(Generic[P]):
    """When a route matches, and what the caller wants back when it does.

    Exactly one of ``path`` (a pattern), ``path_prefix`` and ``path_regex`` is given. No methods means every method, no
    hosts means every host. ``order`` is the route's place in the configuration and unique in a table. All rules of
    a table agree on ``policy.case``.
    """

    id: str
    payload: P
    path: str | None = None
    path_prefix: str | None = None
    path_regex: str | None = None
    methods: frozenset[str] = frozenset()
    hosts: tuple[str, ...] = ()
    headers: tuple[ValueCondition, ...] = ()
    query: tuple[ValueCondition, ...] = ()
    priority: int = 0
    order: int = 0
    policy: PathPolicy = DEFAULT_POLICY
