"""What counts as one client where clients share something."""

from __future__ import annotations

import ipaddress
from typing import Final

_IPV6_BITS_OF_A_CLIENT: Final = 64


def client_of(address: str) -> str:
    """Return what counts as one client: an address, of IPv6 the network of 64 bits, which one client has for itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.IPv6Address(int(parsed) >> _IPV6_BITS_OF_A_CLIENT << _IPV6_BITS_OF_A_CLIENT))
