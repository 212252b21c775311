"""What a request is counted by: `compile_key` turns the words of the configuration into a function of a request.

A source has one spelling for everything that upstreams take for the same, so that no other spelling gets a counter of
its own or passes by a condition: the match path without a slash at its end, the host in lower case without port and
dot, GET for HEAD, decoded names of parameters, all values of a field together. A value that is empty is missing.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from operator import attrgetter
from typing import Final

from gateway_plugin_sdk import MISSING, Headers, Request, claim_path

Source = Callable[[Request], str | None]
"""Takes one property of a request, or None where it has none."""

PLAIN_SOURCES: Final = ("client_ip", "peer_ip", "route", "identity", "method", "host", "path", "constant")
NAMED_SOURCES: Final = ("header", "cookie", "query", "param", "claim", "constant")
SOURCE_PATTERN: Final = rf"^({'|'.join(PLAIN_SOURCES)}|({'|'.join(NAMED_SOURCES)}):.+)$"
"""How a source is written: ``client_ip``, ``header:X-Tenant``, ``claim:org.id``."""

LONGEST_KEY: Final = 64
"""Characters of a key that are kept as they are: clients write keys, and 100,000 of 60 kB each are 6 GB."""
_LONGEST_ADDRESS: Final = 64
_NEEDLESS: Final = re.compile("%(2d|3[0-9]|[46][1-9a-f]|[57][0-9a]|5f|7e)")
"""Escapes of letters, digits, and the marks of names of hosts; ``%2e`` is refused by the gateway."""
SEVERAL: Final = ", "
"""Between several values of one name."""

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


def bounded(key: str) -> str:
    """Return what stands for a key in a counter's name: itself, or the digest of a long one.

    The digest cannot be chosen to collide (blake2b with 192 bits), and is the same in all workers and gateways that
    share counters. A sign before either keeps them apart.
    """
    if len(key) <= LONGEST_KEY:
        return f"={key}"
    return f"#{hashlib.blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=24).hexdigest()}"


def _with_prefix(source: str, ipv4_prefix: int, ipv6_prefix: int) -> Source:
    if source not in {"client_ip", "peer_ip"}:
        return compile_source(source)
    take = attrgetter(source)
    is_whole = ipv4_prefix == 32

    def by_network(request: Request) -> str | None:
        address: str = take(request)
        if is_whole and ":" not in address:
            return address or None
        if len(address) > _LONGEST_ADDRESS:  # no address: nothing to remember
            return address
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
    # What a GET costs an upstream a HEAD costs too.
    return "GET" if request.method == "HEAD" else request.method


def _host(request: Request) -> str | None:
    return plain_host(request.host) or None


def plain_host(text: str) -> str:
    """Return the one spelling of a host, as routes match it: lower case, without port, final dot and escapes that it
    does not need (RFC 3986 section 6.2.2.2), IPv6 compressed (RFC 5952).
    """
    host = text.lower()
    if not host.startswith("["):
        if "%" in host:
            host = _NEEDLESS.sub(lambda found: chr(int(found[1], 16)).lower(), host)
        # Whatever stands behind the colon: routes do not look at it either.
        return host.partition(":")[0].rstrip(".")
    literal = host[1:].partition("]")[0]
    try:
        return f"[{IPv6Address(literal)}]"
    except ValueError:
        return f"[{literal}]"


def _path(request: Request) -> str:
    # Applications take "/login/" for "/login" as often as not.
    return request.path.rstrip("/") or "/"


def _constant(_request: Request) -> str:
    return ""


def _named_header(name: str) -> Source:
    lowered = name.lower()
    Headers().get(lowered)  # refuses what is no name of a header now rather than with every request

    def take(request: Request) -> str | None:
        values = request.headers.get_all(lowered)
        # Several fields are one list (RFC 9110, section 5.3), however they are spaced.
        joined = SEVERAL.join(values) if len(values) > 1 else values[0] if values else ""
        return joined.strip() or None

    return take


def _named_cookie(name: str) -> Source:
    def take(request: Request) -> str | None:
        # Upstreams differ in which one of several cookies of a name they read.
        pairs = (pair.partition("=") for line in request.headers.get_all("cookie") for pair in line.split(";"))
        values = [value.strip().strip('"') for key, equals, value in pairs if equals and key.strip() == name]
        return SEVERAL.join(value for value in values if value) or None

    return take


def _named_query(name: str) -> Source:
    def take(request: Request) -> str | None:
        # Upstreams take the first of several values, the last, or all.
        return SEVERAL.join(value for key, value in request.query if key == name) or None

    return take


def _named_param(name: str) -> Source:
    return lambda request: request.path_params.get(name) or None


def _named_constant(text: str) -> Source:
    return lambda _request: text


def _named_claim(name: str) -> Source:
    read = claim_path(name)

    def take(request: Request) -> str | None:
        value = MISSING if request.identity is None else read(request.identity.claims)
        if value is MISSING or value is None:
            return None
        return value or None if isinstance(value, str) else as_text(value)

    return take


def as_text(value: object) -> str:
    """Return the JSON of a claim: equal for equal claims, whatever kind of mapping an auth plugin hands out."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Set | Sequence) else str(value)


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
