"""Trust of a listener: its trusted peers, where they write the client's address, and fields that no peer may send."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any, Final

from gateway_core.messages.fields import field_names

if TYPE_CHECKING:
    from gateway_core.config import ClientAddressConfig, GatewayConfig, ListenConfig, TrustedPeer

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
        self.stripped = field_names(strip_headers)
        """Finds lines of fields in a lower-cased block that are removed from every peer; None without any."""
        self.reserved = field_names([header] if header else [])
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
