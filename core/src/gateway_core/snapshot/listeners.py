"""The listeners of a configuration by address, each with its trust and the routes that count there.

Trust: which peers are believed, where they write the client's address, and fields that no peer may send.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from gateway_core.config import DEFAULT_LISTEN, ListenConfig, ListenTlsConfig, RouteConfig
from gateway_core.messages.fields import field_names
from gateway_core.routing import (
    HttpsRedirect,
    ListenerRule,
    ListenerTable,
    Pattern,
    RedirectingRouter,
    Router,
    RouterBuilder,
    RouteRule,
)

if TYPE_CHECKING:
    from gateway_core.config import ClientAddressConfig, GatewayConfig, TrustedPeer
    from gateway_core.snapshot.route import CompiledRoute

UNIX_PEERS: Final = "unix:"
"""Stands in ``trusted_proxies`` for every peer on a unix socket."""

Network = IPv4Network | IPv6Network

_REMEMBERED: Final = 8192
_LONGEST_ADDRESS: Final = 64
"""Characters of an address at most; longer texts are not remembered, as a client may have made them."""


class Trust:
    """Which forwarding fields of which peers a listener trusts; compiled once for a snapshot."""

    __slots__ = (
        "_is_inside",
        "has_trusted_peers",
        "header",
        "hops",
        "is_open_to_unix",
        "looks_at_names",
        "memo",
        "reserved",
        "stripped",
        "via",
    )

    def __init__(
        self,
        peers: Sequence[TrustedPeer] = (),
        client_address: ClientAddressConfig | None = None,
        strip_headers: Sequence[str] = (),
        via: bool | str = True,
    ) -> None:
        networks = tuple(each for each in peers if not isinstance(each, str))
        self._is_inside = _lookup(networks) if networks else None
        self.is_open_to_unix = UNIX_PEERS in peers
        """Whether peers on unix sockets are believed."""
        self.has_trusted_peers = bool(peers)
        """Whether there are peers that are believed."""
        self.hops = 0 if client_address is None or client_address.hops is None else client_address.hops
        """Which entry of X-Forwarded-For is the client's, from the right; 0 if that is not how it is found."""
        header = "" if client_address is None or client_address.header is None else client_address.header
        self.header = header.lower().encode()
        """Lower-case name of the field that holds the client's address; empty if that is not how it is found."""
        self.stripped = field_names(strip_headers) if strip_headers else None
        """Finds lines of fields in a lower-cased block that are removed from every peer; None without any."""
        self.reserved = field_names([header]) if header else None
        """Finds lines of the field that holds the client's address."""
        self.looks_at_names = bool(strip_headers or header)
        """Whether there are fields of the configuration's own to look for."""

        self.via = b"" if via is False else b"1.1 " + (b"gateway" if via is True else via.encode())
        """Our entry of Via; empty if none is added."""
        self.memo: dict[tuple[object, ...], Any] = {}
        """Recent origins of trusted peers, by the field values that they were read from; kept by `origin_of`."""

    def believes(self, peer_ip: str, *, is_unix: bool) -> bool:
        """Whether a connection's other end is a trusted proxy.

        :param peer_ip: its address; empty for a unix socket.
        """
        return self.is_open_to_unix if is_unix else self.is_trusted(peer_ip)

    def is_trusted(self, address: str) -> bool:
        """Whether an address is a trusted proxy's; what is no address is not."""
        return self._is_inside is not None and len(address) <= _LONGEST_ADDRESS and self._is_inside(address)


def _lookup(networks: Sequence[Network]) -> Callable[[str], bool]:
    @lru_cache(_REMEMBERED)
    def is_inside(text: str) -> bool:
        try:
            address = ip_address(text)
        except ValueError:
            return False
        return any(address in network for network in networks)

    return is_inside


def document_trust(config: GatewayConfig) -> Trust:
    """Return what listeners without settings of their own believe."""
    return Trust(config.trusted_proxies, config.client_address, config.strip_headers, config.via)


def listener_trust(config: GatewayConfig, listener: ListenConfig, document: Trust) -> Trust:
    """Return what a listener believes: the document's trust unless it has settings of its own."""
    if listener.trusted_proxies is None and listener.client_address is None:
        return document
    peers = config.trusted_proxies if listener.trusted_proxies is None else listener.trusted_proxies
    return Trust(peers, listener.client_address or config.client_address, config.strip_headers, config.via)


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

    def add(self, route: RouteConfig, rule: RouteRule[P], pattern: Pattern | None = None) -> None:
        """Put a rule of a route into the tables in which it counts.

        :param pattern: the rule's, if it is known already.
        :raises RuleError: as `RouterBuilder.add`; also for a route that counts nowhere.
        """
        views = self.views_of(route)
        if not views:
            RouterBuilder[P]().add(rule, pattern)
        for view in views:
            self._builders[view].add(rule, pattern)
        for view, builder in self._exempt.items():
            if view[1] in route.listeners:
                builder.add(rule, pattern)

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
