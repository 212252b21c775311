"""Whose ``X-Forwarded-*`` is believed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

_REMEMBERED = 65536


def trusts(networks: Sequence[IPv4Network | IPv6Network]) -> Callable[[str], bool]:
    """Return a function that tells whether an address is in one of the networks; it remembers its answers.

    An IPv4 address in IPv6 clothes (``::ffff:10.0.0.1``) counts as the IPv4 address. What is not an address, such as
    the empty peer of a unix socket, is not trusted.
    """
    if not networks:
        return _nobody

    @lru_cache(_REMEMBERED)
    def trusts_address(text: str) -> bool:
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in networks)

    return trusts_address


def _nobody(_address: str) -> bool:
    return False
