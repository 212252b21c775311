"""The input of routing: one rule per route, in this package's own words, free of configuration models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Generic, Protocol, TypeVar, cast

from gateway_core.messages.path import DEFAULT_POLICY, PathPolicy

P = TypeVar("P")
Q = TypeVar("Q")


class ConditionTests(Protocol):
    """The tests of a condition, as a configuration has them."""

    @property
    def value(self) -> str | None: ...
    @property
    def regex(self) -> str | None: ...
    @property
    def present(self) -> bool | None: ...
    @property
    def one_of(self) -> tuple[str, ...] | None: ...
    @property
    def none_of(self) -> tuple[str, ...] | None: ...


@dataclass(frozen=True, slots=True)
class ValueCondition:
    """What a header, a cookie, a query or a path parameter must be: exactly one of the tests is given.

    Values are compared exactly; a regex must match the whole value; ``present`` is whether the name is there at all.
    Header names are compared without case. Of several fields or parameters of one name, one that fits is enough; for
    ``none_of`` none may be among its values, and none need be there.
    """

    name: str
    value: str | None = None
    regex: str | None = None
    present: bool | None = None
    one_of: tuple[str, ...] | None = None
    none_of: tuple[str, ...] | None = None

    @classmethod
    def of(cls, configured: Mapping[str, ConditionTests]) -> tuple[ValueCondition, ...]:
        """Return conditions that are given by name."""
        return tuple([cls(k, v.value, v.regex, v.present, v.one_of, v.none_of) for k, v in configured.items()])


@dataclass(frozen=True, slots=True)
class AddressCondition:
    """Where the client's address must be: within ``one_of``, or not within ``none_of``; exactly one is given.

    A client without an address, on a unix socket, is in no network.
    """

    one_of: tuple[IPv4Network | IPv6Network, ...] = ()
    none_of: tuple[IPv4Network | IPv6Network, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteRule(Generic[P]):
    """When a route matches, and what the caller wants back when it does.

    At most one of ``path`` (a pattern), ``path_prefix`` and ``path_regex`` is given; none is every path. No methods
    means every method, no hosts means every host. A route with several paths has a rule for each. ``order`` is the
    route's place in the configuration; only the rules of one route share it, and they differ in nothing but path and
    payload. All rules of a table agree on ``policy.case``.
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
    cookies: tuple[ValueCondition, ...] = ()
    params: tuple[ValueCondition, ...] = ()
    client_ip: AddressCondition | None = None
    scheme: str | None = None
    """The scheme as the client sees it."""
    priority: int = 0
    order: int = 0
    policy: PathPolicy = DEFAULT_POLICY

    def carrying(self, payload: Q) -> RouteRule[Q]:
        """Return the same rule with another payload."""
        return cast("RouteRule[Q]", replace(self, payload=cast("P", payload)))

    @property
    def condition_count(self) -> int:
        """How many conditions rank like those on headers: all but methods and those on query parameters."""
        # Looked at once for each route, of which most have none.
        if not self.has_further_conditions:
            return len(self.headers)
        given = (self.client_ip is not None) + (self.scheme is not None)
        return len(self.headers) + len(self.cookies) + len(self.params) + given

    @property
    def has_conditions(self) -> bool:
        """Whether it has conditions beside those on path, host and method."""
        return bool(self.headers or self.query) or self.has_further_conditions

    @property
    def has_further_conditions(self) -> bool:
        """Whether it has conditions beside those on method, headers and query parameters."""
        return bool(self.cookies or self.params or self.client_ip is not None or self.scheme is not None)
