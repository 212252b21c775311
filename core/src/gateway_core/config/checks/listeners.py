"""Listeners: those that share an address agree, no two serve one host, routes name existing ones, trust is limited."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final

from gateway_core.config.address import UNIX, ListenAddress, is_private, overlap, parse_listen
from gateway_core.config.checks.scope import Scope, mappings, text
from gateway_core.config.models.gateway import DEFAULT_LISTEN
from gateway_core.config.problems import KeyPath
from gateway_core.config.suggestions import there_are
from gateway_core.config.values import InvalidValueError, Network, parse_trusted_peer

_OF_UNIX: Final = ("mode", "owner")
_OFF: Final = {"proxy_protocol": False}


def check_listeners(scope: Scope) -> None:
    """Report listeners that cannot share their address, and keys that do not go with it."""
    by_address: dict[str, list[tuple[KeyPath, Mapping[str, Any]]]] = {}
    for path, item in listeners(scope.document):
        address = text(item, "address")
        if address is None:
            continue
        by_address.setdefault(address, []).append((path, item))
        for key in _OF_UNIX if not address.startswith(UNIX) else ():
            if item.get(key) is not None:
                message = f"{key} is for unix sockets, and {scope.shown((*path, 'address'), address)} is none"
                scope.add_key((*path, key), message, code="value.inconsistent", remedy="remove it")
        if item.get("default") is False and text(item, "name") is None:
            message = "serves only routes that name it, and it has no name"
            scope.add(
                (*path, "default"), message, code="value.inconsistent", remedy="give it one, or leave default out"
            )
    for group in by_address.values():
        first_path, first = group[0]
        for path, item in group[1:]:
            _check_agreement(scope, path, item, first_path, first)
        _check_hosts(scope, group)


def listeners(document: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """Yield path and value of each listener, or of the default one; a text is one with that address."""
    written = document.get("listen", DEFAULT_LISTEN)
    items: list[tuple[KeyPath, Any]] = [(("listen",), written)]
    if isinstance(written, list):
        items = [(("listen", index), item) for index, item in enumerate(written)]
    for path, item in items:
        if isinstance(item, Mapping):
            yield path, item
        elif isinstance(item, str):
            yield path, {"address": item}


def _check_agreement(
    scope: Scope, path: KeyPath, item: Mapping[str, Any], first_path: KeyPath, first: Mapping[str, Any]
) -> None:
    place = scope.place(first_path)
    if (item.get("tls") is None) is not (first.get("tls") is None):
        has, other = ("no tls", "has it") if item.get("tls") is None else ("tls", "has none")
        message = f"has {has}, and the listener at {place}, which shares its address, {other}"
        scope.add(path, message, code="listen.disagree", related=[first_path], remedy="give both or neither")
    for key in ("proxy_protocol", *_OF_UNIX) if str(item["address"]).startswith(UNIX) else ("proxy_protocol",):
        mine, others = [one.get(key) if one.get(key) is not None else _OFF.get(key) for one in (item, first)]
        if mine != others:
            message = f"{key} differs from that of the listener at {place}, which shares its address and so its socket"
            remedy = "write the same on both"
            scope.add((*path, key), message, code="listen.disagree", remedy=remedy, related=[first_path])


def _check_hosts(scope: Scope, group: list[tuple[KeyPath, Mapping[str, Any]]]) -> None:
    first: dict[str, KeyPath] = {}
    for path, item in group:
        hosts = item.get("hosts")
        written = [host for host in hosts if isinstance(host, str)] if isinstance(hosts, list) else []
        for index, host in enumerate(written):
            key = host.lower().removesuffix(".")
            if key in first:
                shown = scope.shown((*path, "hosts", index), host)
                message = f"{shown} is already served at {scope.place(first[key])}"
                scope.add(
                    (*path, "hosts", index),
                    message,
                    code="name.duplicate",
                    related=[first[key]],
                    remedy="name it at one listener only",
                )
            first.setdefault(key, (*path, "hosts", index))
        if not written and "" in first:
            message = f"takes the same address as the listener at {scope.place(first[''])}, and the same hosts"
            scope.add(
                path,
                message,
                code="listen.overlap",
                related=[first[""]],
                remedy="give one of them hosts, or another address",
            )
        if not written:
            first.setdefault("", path)


def check_named_listeners(scope: Scope) -> None:
    """Report routes that name a listener that there is not."""
    names = {name for _, item in listeners(scope.document) if (name := text(item, "name"))}
    for path, route in mappings(scope.document, "routes"):
        written = route.get("listeners")
        for index, name in enumerate(written if isinstance(written, list) else ()):
            if isinstance(name, str) and name not in names:
                where = (*path, "listeners", index)
                remedy = scope.suggestion(name, names) or there_are(names, "none has a name, give it one in listen")
                scope.add(
                    where, f"{scope.shown(where, name)} is not a listener", code="listener.unknown", remedy=remedy
                )


def check_addresses(scope: Scope) -> None:
    """Report listeners that take the address of an earlier one, those of admin last; warn of one that others reach."""
    wanted = [(path, address) for path, item in listeners(scope.document) if (address := text(item, "address"))]
    admin = scope.document.get("admin")
    if isinstance(admin, Mapping):
        wanted += [(("admin", key), named) for key in ("listen", "health_listen") if (named := text(admin, key))]
        _check_exposed(scope, admin)
    parsed = [(path, address, found) for path, address in wanted if (found := _parsed(address)) is not None]
    for position, (path, address, found) in enumerate(parsed):
        for earlier, other, taken in parsed[:position]:
            # The same text twice among the listeners is looked at with their hosts (`check_listeners`).
            if overlap(found, taken) and (address != other or path[0] == "admin"):
                message = (
                    f"{scope.shown(path, address)} is taken by {scope.shown(earlier, other)} at {scope.place(earlier)}"
                )
                remedy = "give one of them another port, or leave one out"
                scope.add(path, message, code="listen.overlap", related=[earlier], remedy=remedy)
                break


def _check_exposed(scope: Scope, admin: Mapping[str, Any]) -> None:
    address = text(admin, "listen") or ""
    found = _parsed(address) if admin.get("tls") is None else None
    if found is not None and not is_private(found):
        shown = scope.shown(("admin", "listen"), address)
        message = f"{shown} can be reached from other machines, and over plain HTTP the admin listener takes no tokens"
        remedy = "listen on 127.0.0.1 or on a unix socket, or give it tls"
        scope.warn(("admin", "listen"), message, code="admin.exposed", remedy=remedy)


def _parsed(address: str) -> ListenAddress | None:
    try:
        return parse_listen(address)
    except InvalidValueError:
        return None  # a problem of its own


_PEERS: Final = "trusted_proxies"
_CLIENT: Final = "client_address"
_UNIX: Final = "unix:"
_WIDEST: Final = {4: 8, 6: 7}
"""Bits of the widest networks that one operator has: 10.0.0.0/8 and fc00::/7."""


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
    """Warn of networks that contain strangers or are in others, and of trusted peers that no listener can have."""
    listeners = list(_listeners(scope.document))
    lists = dict([((_PEERS,), _list(scope.document)), *(each.peers for each in listeners)])
    for path, peers in lists.items():
        for index, peer in enumerate(peers):
            _check_peer(scope, (*path, index), peer, [each for each in listeners if each.peers[0] == path])
        _check_networks(scope, path, peers)
    for client in dict.fromkeys(each.client_address for each in listeners):
        users = [each for each in listeners if each.client_address == client]
        if client is not None and not any(each.has_trusted_peers for each in users):
            message = "has no effect, because no peer is trusted"
            scope.warn(client, message, code="trust.no-effect", remedy="give the proxies in trusted_proxies")


def _check_peer(scope: Scope, path: KeyPath, peer: object, listeners: list[_Listener]) -> None:
    shown = scope.shown(path, peer)
    network = _network(peer)
    if network is not None and not network.prefixlen:
        message = f"{shown} trusts every peer, so clients can claim any address"
        scope.warn(path, message, code="trust.every-address", remedy="name only the networks of the proxies")
    elif listeners and not any((peer == _UNIX) in each.kinds for each in listeners):
        reason, remedy = "peers on a unix socket have no address", "write unix:"
        if peer == _UNIX:
            reason, remedy = "no listener that it counts for is a unix socket", "remove it or move it to one"
        scope.warn(path, f"{shown} has no effect, {reason}", code="trust.no-effect", remedy=remedy)


def _check_networks(scope: Scope, path: KeyPath, peers: list[Any]) -> None:
    networks = [(index, found) for index, peer in enumerate(peers) if (found := _network(peer)) is not None]
    for index, network in networks:
        if 0 < network.prefixlen < _WIDEST[network.version]:
            message = f"{network} holds addresses of strangers, who may then claim any client address and scheme"
            remedy = "name the networks of your own proxies"
            scope.warn((*path, index), message, code="trust.too-wide", remedy=remedy)
            continue
        for other_index, other in networks:
            if index != other_index and _holds(other, network) and (other != network or other_index < index):
                message = f"{network} has no effect: {other} holds it already"
                scope.warn((*path, index), message, code="setting.no-effect")
                break


def _network(peer: object) -> Network | None:
    try:
        found = parse_trusted_peer(peer)
    except InvalidValueError:
        return None  # a problem of its own
    return None if isinstance(found, str) else found


def _holds(wide: Network, narrow: Network) -> bool:
    if isinstance(wide, IPv4Network) and isinstance(narrow, IPv4Network):
        return narrow.subnet_of(wide)
    return isinstance(wide, IPv6Network) and isinstance(narrow, IPv6Network) and narrow.subnet_of(wide)


def _listeners(document: Mapping[str, Any]) -> Iterator[_Listener]:
    for path, listener in listeners(document):
        own = listener.get(_PEERS) is not None
        client = (*path, _CLIENT) if listener.get(_CLIENT) else (_CLIENT,) if document.get(_CLIENT) else None
        peers = ((*path, _PEERS), _list(listener)) if own else ((_PEERS,), _list(document))
        is_unix = str(listener.get("address")).startswith(_UNIX)
        kinds = {True, False} if is_unix and listener.get("proxy_protocol") is True else {is_unix}
        yield _Listener(kinds, peers, client)


def _list(section: Mapping[str, Any]) -> list[Any]:
    peers = section.get(_PEERS)
    return peers if isinstance(peers, list) else []
