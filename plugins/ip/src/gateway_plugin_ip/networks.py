"""Sets of networks: looked up by bisection, whatever their number."""

from __future__ import annotations

import socket
from bisect import bisect_right
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network


class NetworkSet:
    """Addresses as numbers, in ranges that do not touch: first numbers and last numbers by family."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, networks: Iterable[Network]) -> None:
        ranges: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for network in networks:
            if isinstance(network, IPv6Network) and (mapped := _unmapped(network)) is not None:
                network = mapped  # noqa: PLW2901 - the gateway writes such addresses as IPv4
            ranges[network.version].append((int(network.network_address), int(network.broadcast_address)))
        self._firsts: dict[int, list[int]] = {}
        self._lasts: dict[int, list[int]] = {}
        for version, found in ranges.items():
            firsts: list[int] = []
            lasts: list[int] = []
            for first, last in sorted(found):
                if lasts and first <= lasts[-1] + 1:
                    lasts[-1] = max(lasts[-1], last)
                else:
                    firsts.append(first)
                    lasts.append(last)
            self._firsts[version], self._lasts[version] = firsts, lasts

    def __len__(self) -> int:
        return sum(len(firsts) for firsts in self._firsts.values())

    def __contains__(self, address: tuple[int, int]) -> bool:
        version, number = address
        position = bisect_right(self._firsts[version], number) - 1
        return position >= 0 and number <= self._lasts[version][position]


def number_of(address: str) -> tuple[int, int] | None:
    """Return an address as version and number; None for a text that is none."""
    try:
        if ":" in address:
            return 6, int.from_bytes(socket.inet_pton(socket.AF_INET6, address), "big")
        return 4, int.from_bytes(socket.inet_pton(socket.AF_INET, address), "big")
    except (OSError, ValueError):
        return None


def _unmapped(network: IPv6Network) -> IPv4Network | None:
    """Return the IPv4 network of one that is mapped into IPv6 (``::ffff:10.0.0.0/104``)."""
    address = network.network_address.ipv4_mapped
    if address is None or network.prefixlen < 96:
        return None
    return IPv4Network((int(address), network.prefixlen - 96))


class BadLineError(ValueError):
    """A line of a file is no network."""


def read_networks(text: str) -> list[Network]:
    """Read a file of networks: one on a line, with comments behind ``#`` or ``;``.

    :raises BadLineError: with the number of the line and the remedy.
    """
    networks = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        entry = line.partition("#")[0].partition(";")[0].strip()
        if not entry:
            continue
        try:
            networks.append(ip_network(entry))
        except ValueError as error:
            reason = "has host bits set" if "host bits" in str(error) else "is not an address or a network"
            remedy = f"write {ip_network(entry, strict=False)}" if "host bits" in str(error) else "write 10.0.0.0/8"
            raise BadLineError(f"line {number}: {entry[:60]!r} {reason}: {remedy}") from None
    return networks
