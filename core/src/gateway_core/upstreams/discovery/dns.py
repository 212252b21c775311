"""Endpoints from DNS: the addresses of a name, or the services behind an SRV name.

Any failure, "no such name" included, keeps the last good answer in force and says that it is stale: a name server
that has lost a zone must not take an upstream down.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from random import Random
from typing import Any, Final, Literal, cast

from gateway_core.config import DnsDiscoveryConfig
from gateway_core.upstreams.discovery.dns_client import DnsClient, DnsError, NameServer, system_name_servers
from gateway_core.upstreams.discovery.dns_message import RecordType, Service
from gateway_core.upstreams.discovery.interface import Discovered, DiscoveryContext
from gateway_core.upstreams.endpoint import DEFAULT_PORTS, EndpointSpec

SHORTEST_PAUSE: Final = 1.0
JITTER: Final = 0.1


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """``discovery.config`` of the ``dns`` discovery."""

    host: str
    port: int = 0
    """0 is the default of the scheme."""
    scheme: str = "http"
    record: Literal["address", "srv"] = "address"
    family: Literal["any", "ipv4", "ipv6"] = "any"
    interval: float = 10.0
    nameservers: tuple[str, ...] = ()
    timeout: float = 2.0


_FAMILIES: Final = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
_RECORDS: Final = {
    "any": (RecordType.A, RecordType.AAAA),
    "ipv4": (RecordType.A,),
    "ipv6": (RecordType.AAAA,),
}


class DnsDiscovery:
    """Resolves one name again and again."""

    __slots__ = ("_client", "_rng", "_settings")

    def __init__(self, settings: DnsSettings, rng: Random) -> None:
        """Use the settings.

        :raises ValueError: for a name server that is none.
        """
        self._settings = settings
        self._rng = rng
        servers = tuple(NameServer.parse(text) for text in settings.nameservers)
        self._client = DnsClient(servers, timeout=settings.timeout) if servers else None

    async def watch(self) -> AsyncIterator[Discovered]:
        """Yield the endpoints whenever the interval, or the records' time to live, has passed."""
        last: tuple[EndpointSpec, ...] = ()
        while True:
            pause = self._settings.interval
            try:
                last, ttl = await self.resolve()
                pause = min(pause, max(ttl, min(SHORTEST_PAUSE, pause)))
                yield Discovered(last)
            except (DnsError, OSError) as error:
                if last:
                    yield Discovered(last, is_stale=True, reason=str(error))
                else:
                    # Nothing to keep: let the feed report it and come back soon.
                    raise
            await asyncio.sleep(pause * (1 + JITTER * (2 * self._rng.random() - 1)))

    async def resolve(self) -> tuple[tuple[EndpointSpec, ...], float]:
        """Ask once.

        :returns: the endpoints in a stable order, and for how many seconds they hold.
        :raises DnsError: if there are none.
        :raises OSError: if the machine's resolver fails.
        """
        settings = self._settings
        if settings.record == "srv":
            return await self._resolve_services()
        port = settings.port or DEFAULT_PORTS[settings.scheme]
        addresses, ttl = await self._resolve_addresses(settings.host)
        return tuple(EndpointSpec(settings.scheme, address, port) for address in addresses), ttl

    async def _resolve_addresses(self, host: str) -> tuple[list[str], float]:
        """Return sorted addresses; through the system's resolver (hosts file included) unless servers are named."""
        if self._client is None:
            return await self._ask_system(host), float("inf")
        return await self._ask_servers(self._client, host)

    async def _ask_system(self, host: str) -> list[str]:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, None, family=_FAMILIES[self._settings.family], type=socket.SOCK_STREAM
        )
        return _ordered({str(address[4][0]) for address in found})

    async def _ask_servers(self, client: DnsClient, host: str) -> tuple[list[str], float]:
        answers = [await client.query(host, kind) for kind in _RECORDS[self._settings.family]]
        records = [record for answer in answers for record in answer]
        if not records:
            raise DnsError(f"{host!r} has no address")
        return _ordered({str(record.value) for record in records}), min(record.ttl for record in records)

    async def _resolve_services(self) -> tuple[tuple[EndpointSpec, ...], float]:
        loop = asyncio.get_running_loop()
        client = self._client or DnsClient(
            await loop.run_in_executor(None, system_name_servers), timeout=self._settings.timeout
        )
        records = await client.query(self._settings.host, RecordType.SRV)
        services = preferred([cast("Service", record.value) for record in records])
        if not services:
            raise DnsError(f"SRV of {self._settings.host!r}: no service is offered")
        ttl = float(min(record.ttl for record in records))
        endpoints: dict[str, EndpointSpec] = {}
        for service in services:
            addresses, address_ttl = await self._resolve_addresses(service.target)
            ttl = min(ttl, address_ttl)
            for address in addresses:
                # RFC 2782: weight 0 is a small chance, not none.
                spec = EndpointSpec(self._settings.scheme, address, service.port, weight=max(1, service.weight))
                endpoints[spec.id] = spec
        return tuple(endpoints[name] for name in sorted(endpoints)), ttl


def preferred(services: list[Service]) -> list[Service]:
    """Return the services of the lowest priority number; a target of ``.`` means that there is none (RFC 2782)."""
    offered = [service for service in services if service.target]
    best = min((service.priority for service in offered), default=0)
    return [service for service in offered if service.priority == best]


def _ordered(addresses: set[str]) -> list[str]:
    """Sort, IPv4 first: servers rotate their answers, and an order of its own would be a change each time."""

    def order(address: str) -> tuple[bool, int]:
        parsed = ip_address(address.partition("%")[0])
        return isinstance(parsed, IPv6Address), int(parsed)

    return sorted(addresses, key=order)


def make_dns_discovery(config: Mapping[str, Any], context: DiscoveryContext) -> DnsDiscovery:
    """Make the discovery from ``discovery.config`` (see `DnsDiscoveryConfig`).

    :raises ValueError: for unknown or missing keys and values that cannot be.
    """
    model = DnsDiscoveryConfig.model_validate(config)
    return DnsDiscovery(
        DnsSettings(
            host=model.host,
            port=model.port,
            scheme=model.scheme,
            record=model.record,
            family=model.family,
            interval=model.interval,
            nameservers=model.nameservers,
            timeout=model.timeout,
        ),
        context.rng,
    )
