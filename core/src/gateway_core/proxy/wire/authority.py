"""Which values of Host are an authority (RFC 9110 section 7.2, RFC 3986 section 3.2.2).

Stricter than the grammar in what no client sends on purpose and readers take in different ways: commas (two Hosts
joined into one), empty labels, escapes of delimiters and control characters, zones of IPv6 addresses (which RFC 6874
keeps off the wire), port 0. ``_`` is in the grammar, though not in DNS.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Final

_LONGEST: Final = 255
"""Bytes of a name; DNS allows 253, and the root's dot."""
_MOST_PORT: Final = 65535

_ESCAPED: Final = rb"%(?:2[Dd]|3[0-9]|[46][1-9A-Fa-f]|[57][0-9Aa]|5[Ff]|7[Ee]|[89A-Fa-f][0-9A-Fa-f])"
"""Escapes of letters, digits, ``-_~`` and of bytes that are no ASCII."""
_LABEL: Final = rb"(?:[A-Za-z0-9_~!$&'()*+;=-]|" + _ESCAPED + rb")+"
_NAME: Final = re.compile(_LABEL + rb"(?:\." + _LABEL + rb")*\.?")
_IPV6_BYTES: Final = b"0123456789abcdefABCDEF:."


def valid_host(host: bytes) -> bool:
    """Whether a Host value is an authority without user information."""
    if host[:1] == b"[":
        address, bracket, port = host[1:].partition(b"]")
        return bool(bracket) and _is_ipv6(address) and (not port or (port[:1] == b":" and _is_port(port[1:])))
    name, colon, port = host.partition(b":")
    return _is_name(name) and (not colon or _is_port(port))


def _is_name(name: bytes) -> bool:
    return len(name) <= _LONGEST and _NAME.fullmatch(name) is not None


def _is_ipv6(address: bytes) -> bool:
    if address.translate(None, _IPV6_BYTES):
        return False
    try:
        IPv6Address(address.decode("ascii"))
    except AddressValueError:
        return False
    return True


def _is_port(port: bytes) -> bool:
    return not port or (port.isdigit() and len(port) <= 5 and 0 < int(port) <= _MOST_PORT)
