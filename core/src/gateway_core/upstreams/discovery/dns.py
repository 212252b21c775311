"""Endpoints from DNS: one for each address of a name, or for each address of its SRV targets.

How it works: without ``nameservers`` addresses come from the gateway's `Resolver`, that is from the system (hosts file
included), every ``interval``. With them, and for SRV records, which the system's resolver does not have, dnspython
asks, and the records' time to live may bring the next look-up forward.

What fails in part counts in part. An AAAA look-up that fails leaves the IPv4 addresses in force (some servers refuse
AAAA altogether, RFC 4074), with the IPv6 addresses that were known, which makes the result stale; an SRV target that
does not resolve is left out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterable
from ipaddress import IPv6Address, ip_address
from itertools import groupby
from operator import attrgetter
from random import Random
from typing import Final, cast

from dns.asyncresolver import Resolver as NameServers
from dns.exception import DNSException
from dns.name import from_text, root
from dns.nameserver import Do53Nameserver
from dns.rdtypes.IN.SRV import SRV
from dns.resolver import NXDOMAIN, Answer

from gateway_core.config import DnsDiscoveryConfig
from gateway_core.events import DISCOVERY_PARTIAL, emit
from gateway_core.upstreams.discovery.interface import Discovered
from gateway_core.upstreams.endpoint import DEFAULT_PORTS, EndpointSpec
from gateway_core.upstreams.resolver import Resolver

SHORTEST_PAUSE: Final = 1.0
JITTER: Final = 0.1

_FAMILIES: Final = {"any": (socket.AF_INET, socket.AF_INET6), "ipv4": (socket.AF_INET,), "ipv6": (socket.AF_INET6,)}
_RECORDS: Final = {"any": ("A", "AAAA"), "ipv4": ("A",), "ipv6": ("AAAA",)}


class DnsError(Exception):
    """A name has no such records, or they cannot be had."""


class DnsDiscovery:
    """Resolves one name again and again."""

    __slots__ = ("_config", "_known", "_left_out", "_resolver", "_rng", "_servers", "_unconfirmed")

    def __init__(self, config: DnsDiscoveryConfig, rng: Random, resolver: Resolver) -> None:
        """Prepare; no query is sent yet.

        :param resolver: the gateway's, for names that are not looked up at ``nameservers``.
        """
        self._config = config
        self._rng = rng
        self._resolver = resolver
        self._servers: NameServers | None = _servers_of(config) if config.nameservers else None
        self._known: dict[tuple[str, str], set[str]] = {}
        """The addresses of the last look-up that succeeded, by host and type of record."""
        self._unconfirmed: list[str] = []
        """Why some of the endpoints of the last look-up are those of before it."""
        self._left_out = ""
        """Which SRV targets are left out, as the log has it."""

    async def watch(self) -> AsyncIterator[Discovered]:
        """Yield the endpoints whenever the interval, or the records' time to live, has passed."""
        last: tuple[EndpointSpec, ...] = ()
        while True:
            pause = self._config.interval
            try:
                last, ttl = await self.resolve()
                pause = min(pause, max(ttl, min(SHORTEST_PAUSE, pause)))
                unconfirmed = "; ".join(self._unconfirmed)
                yield Discovered(last, is_stale=bool(unconfirmed), reason=unconfirmed)
            except (DnsError, OSError) as error:
                if last:
                    yield Discovered(last, is_stale=True, reason=str(error))
                else:
                    # Nothing to keep: let the feed report it and come back soon.
                    raise
            await asyncio.sleep(pause * (1 + JITTER * (2 * self._rng.random() - 1)))

    async def resolve(self) -> tuple[tuple[EndpointSpec, ...], float]:
        """Look the name up once.

        :returns: the endpoints in a stable order, and for how many seconds they hold.
        :raises DnsError: if there are none.
        :raises OSError: if the machine's resolver fails.
        """
        config = self._config
        self._unconfirmed.clear()
        if config.record == "srv":
            return await self._resolve_services()
        port = config.port or DEFAULT_PORTS[config.scheme]
        addresses, ttl = await self._resolve_addresses(config.host)
        return tuple(EndpointSpec(config.scheme, address, port) for address in addresses), ttl

    async def _resolve_addresses(self, host: str) -> tuple[list[str], float]:
        if self._servers is not None:
            return await self._query_addresses(self._servers, host)
        families = _FAMILIES[self._config.family]
        found = await self._resolver.refresh(host)
        addresses = {str(address[0]) for family, _, _, _, address in found if family in families}
        if not addresses:
            raise DnsError(f"{host!r} has no address of the family {self._config.family}")
        return _ordered(addresses), float("inf")

    async def _query_addresses(self, servers: NameServers, host: str) -> tuple[list[str], float]:
        kinds = _RECORDS[self._config.family]
        results = await asyncio.gather(*(_query(servers, host, kind) for kind in kinds), return_exceptions=True)
        addresses: set[str] = set()
        ttl = float("inf")
        errors: list[str] = []
        for kind, result in zip(kinds, results, strict=True):
            if isinstance(result, Answer):
                self._known[host, kind] = {record.to_text() for record in result.rrset or ()}
                if result.rrset:
                    ttl = min(ttl, float(result.chaining_result.minimum_ttl))
            elif isinstance(result, DnsError):
                errors.append(str(result))
                if self._known.get((host, kind)):
                    self._unconfirmed.append(str(result))
            else:
                raise result
            addresses |= self._known.get((host, kind), set())
        if len(errors) == len(kinds) or not addresses:
            raise DnsError("; ".join(errors) or f"{host!r} has no address")
        return _ordered(addresses), ttl

    async def _resolve_services(self) -> tuple[tuple[EndpointSpec, ...], float]:
        config = self._config
        # The machine's servers are read each time: they may change, and one look-up in an interval costs nothing.
        servers = self._servers
        if servers is None:
            servers = await asyncio.to_thread(_servers_of, config)
        answer = await _query(servers, config.host, "SRV")
        records = [cast("SRV", record) for record in answer.rrset or ()]
        errors: list[str] = []
        for services in by_priority(records):
            ttl = float(answer.chaining_result.minimum_ttl)
            endpoints: dict[str, EndpointSpec] = {}
            hosts = [service.target.to_text(omit_final_dot=True) for service in services]
            results = await asyncio.gather(*map(self._resolve_addresses, hosts), return_exceptions=True)
            for service, result in zip(services, results, strict=True):
                if isinstance(result, DnsError | OSError):
                    errors.append(str(result))
                    continue
                if isinstance(result, BaseException):
                    raise result
                addresses, address_ttl = result
                ttl = min(ttl, address_ttl)
                for address in addresses:
                    # RFC 2782: weight 0 is a small chance, not none.
                    spec = EndpointSpec(config.scheme, address, service.port, weight=max(1, service.weight))
                    endpoints[spec.id] = spec
            if endpoints:
                self._report_left_out("; ".join(errors))
                return tuple(endpoints[name] for name in sorted(endpoints)), ttl
        raise DnsError("; ".join(errors) or f"SRV of {config.host!r}: no service is offered")

    def _report_left_out(self, reason: str) -> None:
        """Log which targets are left out, once as long as they are the same."""
        if reason and reason != self._left_out:
            host = self._config.host
            emit(DISCOVERY_PARTIAL, f"SRV targets of {host!r} are left out: {reason}", name=host, reason=reason)
        self._left_out = reason


def by_priority(records: Iterable[SRV]) -> list[list[SRV]]:
    """Return the services that are offered by priority, the best first; a target of ``.`` offers nothing (RFC 2782)."""
    offered = sorted((record for record in records if record.target != root), key=attrgetter("priority"))
    return [list(group) for _, group in groupby(offered, key=attrgetter("priority"))]


async def _query(servers: NameServers, host: str, kind: str) -> Answer:
    """Ask for one type of record.

    :returns: a DNS response, which may have no ``rrset``.
    :raises DnsError: if there is no such name, or no response.
    """
    try:
        return await servers.resolve(from_text(host), kind, search=False, raise_on_no_answer=False)
    except NXDOMAIN:
        raise DnsError(f"{kind} of {host!r}: no such name") from None
    except DNSException as error:
        raise DnsError(f"{kind} of {host!r}: {str(error) or type(error).__name__}") from error


def _servers_of(config: DnsDiscoveryConfig) -> NameServers:
    """Return the configured name servers, or those of the machine, which blocks.

    :raises DnsError: if the machine has none.
    """
    try:
        servers = NameServers(configure=not config.nameservers)
    except DNSException as error:
        raise DnsError(f"the machine's name servers cannot be read: {error}") from error
    if config.nameservers:
        servers.nameservers = [Do53Nameserver(*_address_of(text)) for text in config.nameservers]
    servers.timeout = config.timeout
    servers.lifetime = config.timeout * max(1, len(servers.nameservers))
    return servers


def _address_of(text: str) -> tuple[str, int]:
    """Return host and port of a name server, which the configuration has checked."""
    if text.count(":") > 1 and not text.startswith("["):
        return text, 53
    host, _, port = text.removeprefix("[").partition("]" if text.startswith("[") else ":")
    return host, int(port.removeprefix(":") or 53)


def _ordered(addresses: set[str]) -> list[str]:
    """Sort, IPv4 first: servers rotate their records, and an order of its own would be a change each time."""

    def order(address: str) -> tuple[bool, int]:
        parsed = ip_address(address.partition("%")[0])
        return isinstance(parsed, IPv6Address), int(parsed)

    return sorted(addresses, key=order)
