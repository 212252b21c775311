"""Addresses that cannot be listened on together: what ``bind`` would reject, without binding."""

from __future__ import annotations

import ipaddress
import posixpath
from collections.abc import Iterator

from gateway_core.config import ConfigProblem, GatewayConfig, ListenAddress, PlaceOf, parse_listen
from gateway_core.config.suggestions import quote


def check_addresses(config: GatewayConfig, place_of: PlaceOf) -> Iterator[ConfigProblem]:
    """Find listeners that take the address of an earlier one, the admin listener last."""
    wanted = [(f"listen[{index}]", listen.address) for index, listen in enumerate(config.listen)]
    if config.admin is not None:
        wanted.append(("admin.listen", config.admin.listen))
    for position, (key_path, text) in enumerate(wanted):
        for earlier, other in wanted[:position]:
            # The same text twice among the listeners is reported as a name that is given twice.
            if overlap(parse_listen(text), parse_listen(other)) and (text != other or key_path == "admin.listen"):
                message = f"{quote(text)} is taken by {quote(other)} at {place_of(earlier)}"
                related = (place_of(earlier),)
                yield ConfigProblem(
                    place_of(key_path),
                    key_path,
                    message,
                    code="listen.overlap",
                    related=related,
                    remedy="give one of them another port, or leave one out",
                )
                break


def overlap(later: ListenAddress, earlier: ListenAddress) -> bool:
    """Whether a process that listens on one address cannot listen on another as well.

    An address without a host is every interface, IPv4 and IPv6 (one dual-stack socket), or IPv4 alone where IPv6 is
    taken; ``0.0.0.0`` and ``[::]`` are those of one family. Names of hosts are not resolved, apart from ``localhost``.
    """
    if later.path or earlier.path:
        return bool(later.path and earlier.path) and posixpath.normpath(later.path) == posixpath.normpath(earlier.path)
    if later.port != earlier.port or not later.port:
        return False  # Port 0 takes a free one each time.
    taken, wanted = _address(earlier.host), _address(later.host)
    if not later.host:
        return taken is None or taken.version == 4
    if not earlier.host:
        return True
    if taken is None or wanted is None:
        return later.host.lower() == earlier.host.lower()
    is_wildcard = taken.is_unspecified or wanted.is_unspecified
    return taken.version == wanted.version and (is_wildcard or taken == wanted)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address("127.0.0.1" if host.lower() == "localhost" else host)
    except ValueError:
        return None
