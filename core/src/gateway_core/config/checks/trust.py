"""Trusted peers of listeners: settings that trust every peer, and settings without effect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Final

from gateway_core.config.checks.listeners import listeners as listeners_of
from gateway_core.config.checks.scope import Scope
from gateway_core.config.location import KeyPath

_PEERS: Final = "trusted_proxies"
_CLIENT: Final = "client_address"
_UNIX: Final = "unix:"


@dataclass(frozen=True, slots=True)
class _Listener:
    """A listener, as far as trust goes."""

    kinds: set[bool]
    """Whether its peers are unix sockets, have addresses, or both: the PROXY protocol brings addresses."""
    peers: tuple[KeyPath, list[Any]]
    """The effective ``trusted_proxies`` and where they are written."""
    client_address: KeyPath | None
    """Where the effective ``client_address`` is written, if there is one."""

    @property
    def has_trusted_peers(self) -> bool:
        """Whether some peer of it can be trusted."""
        return any((peer == _UNIX) in self.kinds for peer in self.peers[1])


def check_trust(scope: Scope) -> None:
    """Warn of networks that contain every address, and of trusted peers that no listener can have."""
    listeners = list(_listeners(scope.document))
    lists = dict([((_PEERS,), _list(scope.document)), *(each.peers for each in listeners)])
    for path, peers in lists.items():
        for index, peer in enumerate(peers):
            _check_peer(scope, (*path, index), peer, [each for each in listeners if each.peers[0] == path])
    for client in dict.fromkeys(each.client_address for each in listeners):
        users = [each for each in listeners if each.client_address == client]
        if client is not None and not any(each.has_trusted_peers for each in users):
            message = "has no effect, because no peer is trusted: give the proxies in trusted_proxies"
            scope.warn(client, message, code="trust.no-effect")


def _check_peer(scope: Scope, path: KeyPath, peer: object, listeners: list[_Listener]) -> None:
    shown = scope.shown(path, peer)
    if _is_every_address(peer):
        message = f"{shown} trusts every peer, so clients can claim any address: name only the networks of the proxies"
        scope.warn(path, message, code="trust.every-address")
    elif listeners and not any((peer == _UNIX) in each.kinds for each in listeners):
        reason = "peers on a unix socket have no address: write unix:"
        if peer == _UNIX:
            reason = "no listener that it counts for is a unix socket: remove it or move it to one"
        message = f"{shown} has no effect, {reason}"
        scope.warn(path, message, code="trust.no-effect")


def _listeners(document: Mapping[str, Any]) -> Iterator[_Listener]:
    for path, listener in listeners_of(document):
        own = listener.get(_PEERS) is not None
        client = (*path, _CLIENT) if listener.get(_CLIENT) else (_CLIENT,) if document.get(_CLIENT) else None
        peers = ((*path, _PEERS), _list(listener)) if own else ((_PEERS,), _list(document))
        is_unix = str(listener.get("address")).startswith(_UNIX)
        kinds = {True, False} if is_unix and listener.get("proxy_protocol") is True else {is_unix}
        yield _Listener(kinds, peers, client)


def _list(section: Mapping[str, Any]) -> list[Any]:
    peers = section.get(_PEERS)
    return peers if isinstance(peers, list) else []


def _is_every_address(peer: object) -> bool:
    try:
        return isinstance(peer, str) and ip_network(peer).prefixlen == 0
    except ValueError:
        return False
