"""The listeners of a configuration by address, each with its trust and the routes that count there."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from gateway_core.config import DEFAULT_LISTEN, ListenConfig, ListenTlsConfig, RouteConfig
from gateway_core.routing import (
    HttpsRedirect,
    ListenerRule,
    ListenerTable,
    RedirectingRouter,
    Router,
    RouterBuilder,
    RouteRule,
)

if TYPE_CHECKING:
    from gateway_core.snapshot.route import CompiledRoute
    from gateway_core.snapshot.trust import Trust

DEFAULT_LISTENER: Final = ListenConfig(address=DEFAULT_LISTEN)
"""Stands for a listener that no longer is, while connections that came in at it go on."""

P = TypeVar("P")
T = TypeVar("T")

View = tuple[bool, str]
"""Which routes count at a listener: whether those do that name no listener, and its name if some route names it."""


@dataclass(frozen=True, slots=True, eq=False)
class CompiledListener:
    """A listener of one snapshot: all of a request's treatment that depends on where it came in."""

    config: ListenConfig
    trust: Trust
    router: Router[CompiledRoute]
    """The routes that count here."""


def client_auth_of(tls: ListenTlsConfig | None) -> Hashable:
    """Return what client authentication depends on: equal values authenticate alike, None requests no certificate."""
    if tls is None or tls.verifies_clients == "none":
        return None
    return (tls.verifies_clients, tls.client_ca, tls.client_crl)


def listener_tables(
    listen: Iterable[ListenConfig], payload_of: Callable[[ListenConfig], T]
) -> Mapping[str, ListenerTable[T]]:
    """Return what decides among the listeners of each address, by the address as configured."""
    by_address: dict[str, list[ListenerRule[T]]] = {}
    for config in listen:
        strict = config.tls is not None and config.tls.strict_sni
        rule = ListenerRule(payload_of(config), config.hosts, client_auth_of(config.tls), strict)
        by_address.setdefault(config.address, []).append(rule)
    return {address: ListenerTable(rules) for address, rules in by_address.items()}


class ListenerRoutes(Generic[P]):
    """Gathers the routes of each listener; listeners at which the same routes count share one table."""

    def __init__(self, listen: Sequence[ListenConfig], routes: Iterable[RouteConfig]) -> None:
        self._named = {name for route in routes if route.enabled for name in route.listeners}
        self._builders: dict[View, RouterBuilder[P]] = {self.view_of(config): RouterBuilder() for config in listen}
        self._exempt: dict[View, RouterBuilder[P]] = {
            (False, config.name or ""): RouterBuilder() for config in listen if config.https_redirect is not None
        }
        """The routes that name a listener which redirects all others to HTTPS."""
        self._routers: dict[View, Router[P]] = {}
        self._exempt_routers: dict[View, Router[P]] = {}

    @property
    def views(self) -> list[View]:
        """The ways in which routes count at listeners."""
        return list(self._builders)

    def view_of(self, listener: ListenConfig) -> View:
        """Return which routes count at a listener; equal for those at which the same count."""
        name = listener.name if listener.name in self._named else None
        return (listener.default, name or "")

    def views_of(self, route: RouteConfig) -> list[View]:
        """Return where a route counts."""
        if not route.listeners:
            return [view for view in self._builders if view[0]]
        return [view for view in self._builders if view[1] in route.listeners]

    def add(self, route: RouteConfig, rule: RouteRule[P]) -> None:
        """Put a rule of a route into the tables in which it counts.

        :raises RuleError: as `RouterBuilder.add`; also for a route that counts nowhere.
        """
        views = self.views_of(route)
        if not views:
            RouterBuilder[P]().add(rule)
        for view in views:
            self._builders[view].add(rule)
        for view, builder in self._exempt.items():
            if view[1] in route.listeners:
                builder.add(rule)

    def router_for(self, listener: ListenConfig) -> Router[P]:
        """Return the finished table of a listener; nothing may be added any more."""
        view = self.view_of(listener)
        if view not in self._routers:
            self._routers[view] = self._builders[view].freeze()
        found, redirect = self._routers[view], listener.https_redirect
        if redirect is None:
            return found
        exempt = (False, listener.name or "")
        if exempt not in self._exempt_routers:
            self._exempt_routers[exempt] = self._exempt[exempt].freeze()
        return RedirectingRouter(
            self._exempt_routers[exempt], found, HttpsRedirect(status=redirect.status, port=redirect.port)
        )
