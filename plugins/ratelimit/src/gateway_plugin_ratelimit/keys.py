"""What a request is counted by: `compile_key` turns the words of the configuration into a function of a request."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from operator import attrgetter
from typing import Any, Final

from gateway_plugin_sdk import Headers, Request

Source = Callable[[Request], str | None]
"""Takes one property of a request, or None where it has none."""

PLAIN_SOURCES: Final = ("client_ip", "peer_ip", "route", "identity", "method", "host", "path", "constant")
NAMED_SOURCES: Final = ("header", "cookie", "query", "param", "claim", "constant")
SOURCE_PATTERN: Final = rf"^({'|'.join(PLAIN_SOURCES)}|({'|'.join(NAMED_SOURCES)}):.+)$"
"""How a source is written: ``client_ip``, ``header:X-Tenant``, ``claim:org.id``."""

NEEDS_IDENTITY: Final = ("identity", "claim:")
"""Beginnings of sources that somebody must have authenticated."""


def compile_source(source: str) -> Source:
    """Return the function that takes a source, written as `SOURCE_PATTERN` says, from a request.

    :raises ValueError: for a source that does not exist, and a header whose name is none.
    """
    kind, colon, name = source.partition(":")
    if not colon and kind in _PLAIN:
        return _PLAIN[kind]
    if colon and name and kind in _NAMED:
        return _NAMED[kind](name)
    raise ValueError(
        f"{source!r} is not something to count by: use {', '.join(PLAIN_SOURCES)}, "
        f"or one of {', '.join(f'{kind}:NAME' for kind in NAMED_SOURCES)}"
    )


def compile_key(sources: Sequence[str], *, ipv4_prefix: int = 32, ipv6_prefix: int = 64) -> Source:
    """Return the function that makes a request's key of one or several sources; None if any of them is missing.

    :param ipv4_prefix: bits of an IPv4 address that make a client.
    :param ipv6_prefix: bits of an IPv6 address that make a client; providers hand out /64 and shorter.
    """
    parts = [_with_prefix(source, ipv4_prefix, ipv6_prefix) for source in sources]
    if len(parts) == 1:
        return parts[0]

    def combined(request: Request) -> str | None:
        values = []
        for part in parts:
            value = part(request)
            if value is None:
                return None
            # With its length before it no value can pass for two.
            values.append(f"{len(value)}:{value}")
        return ",".join(values)

    return combined


def _with_prefix(source: str, ipv4_prefix: int, ipv6_prefix: int) -> Source:
    if source not in {"client_ip", "peer_ip"}:
        return compile_source(source)
    take = attrgetter(source)
    is_whole = ipv4_prefix == 32

    def by_network(request: Request) -> str | None:
        address: str = take(request)
        if is_whole and ":" not in address:
            return address or None
        return network_of(address, ipv4_prefix, ipv6_prefix) or None

    return by_network


@lru_cache(maxsize=16384)
def network_of(address: str, ipv4_prefix: int, ipv6_prefix: int) -> str:
    """Return the network of an address; IPv4 in IPv6 (``::ffff:192.0.2.1``) is IPv4, and no address is itself."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    prefix = ipv6_prefix if isinstance(parsed, IPv6Address) else ipv4_prefix
    if prefix == parsed.max_prefixlen:
        return parsed.compressed
    return ip_network((int(parsed), prefix), strict=False).compressed


def _client_ip(request: Request) -> str | None:
    return request.client_ip or None


def _peer_ip(request: Request) -> str | None:
    return request.peer_ip or None


def _route(request: Request) -> str | None:
    return None if request.route is None else request.route.id


def _identity(request: Request) -> str | None:
    identity = request.identity
    return None if identity is None else f"{identity.scheme}:{identity.subject}"


def _method(request: Request) -> str:
    return request.method


def _host(request: Request) -> str | None:
    host = request.host.lower()
    name, colon, port = host.rpartition(":")
    return (name if colon and port.isdigit() else host).rstrip(".") or None


def _path(request: Request) -> str:
    return request.path


def _constant(_request: Request) -> str:
    return ""


def _named_header(name: str) -> Source:
    lowered = name.lower()
    Headers().get(lowered)  # refuses what is no name of a header now rather than with every request
    return lambda request: request.headers.get(lowered)


def _named_cookie(name: str) -> Source:
    return lambda request: request.cookie(name)


def _named_query(name: str) -> Source:
    def take(request: Request) -> str | None:
        return next((value for key, value in request.query_params if key == name), None)

    return take


def _named_param(name: str) -> Source:
    return lambda request: request.params.get(name)


def _named_constant(text: str) -> Source:
    return lambda _request: text


def _named_claim(name: str) -> Source:
    find = claim_finder(name)

    def take(request: Request) -> str | None:
        value = find(request)
        if value is None or isinstance(value, str):
            return value
        return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)

    return take


def claim_finder(name: str) -> Callable[[Request], Any]:
    """Return the function that takes a claim: of that very name, or nested (``org.id`` is ``id`` of ``org``)."""
    path = name.split(".")

    def find(request: Request) -> Any:
        claims: Any = request.claims
        if name in claims:
            return claims[name]
        for step in path:
            if not isinstance(claims, Mapping):
                return None
            claims = claims.get(step)
        return claims

    return find


_PLAIN: Final[dict[str, Source]] = {
    "client_ip": _client_ip,
    "peer_ip": _peer_ip,
    "route": _route,
    "identity": _identity,
    "method": _method,
    "host": _host,
    "path": _path,
    "constant": _constant,
}
_NAMED: Final[dict[str, Callable[[str], Source]]] = {
    "header": _named_header,
    "cookie": _named_cookie,
    "query": _named_query,
    "param": _named_param,
    "claim": _named_claim,
    "constant": _named_constant,
}
