from __future__ import annotations

from contextlib import aclosing
from random import Random
from typing import Any

import aiohttp
import pytest
from gateway_core.clock import SystemClock
from gateway_core.upstreams import DiscoveryContext, EndpointSpec
from gateway_core.upstreams.discovery import DnsDiscovery, DnsSettings
from gateway_core.upstreams.discovery.dns import make_dns_discovery, preferred
from gateway_core.upstreams.discovery.dns_client import DnsError
from gateway_core.upstreams.discovery.dns_message import RecordType, Service


def make(server: Any, **settings: Any) -> DnsDiscovery:
    settings = {"host": "users.test", "port": 8080, "nameservers": (server.address,), "interval": 0.01, **settings}
    return DnsDiscovery(DnsSettings(**settings), Random(1))


async def test_endpoints_are_the_addresses_in_a_stable_order(name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.20", "10.0.0.3", ttl=30)
    name_server.put("users.test", RecordType.AAAA, "fd00::1", ttl=20)

    endpoints, ttl = await make(name_server).resolve()

    assert [endpoint.id for endpoint in endpoints] == ["10.0.0.3:8080", "10.0.0.20:8080", "[fd00::1]:8080"]
    assert ttl == 20


@pytest.mark.parametrize(("family", "hosts"), [("ipv4", ["10.0.0.1"]), ("ipv6", ["fd00::1"])])
async def test_one_family_may_be_chosen(family: str, hosts: list[str], name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.1")
    name_server.put("users.test", RecordType.AAAA, "fd00::1")

    endpoints, _ = await make(name_server, family=family).resolve()

    assert [endpoint.host for endpoint in endpoints] == hosts


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
async def test_the_port_is_that_of_the_scheme_unless_given(scheme: str, port: int, name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.1")

    endpoints, _ = await make(name_server, scheme=scheme, port=0).resolve()

    assert endpoints == (EndpointSpec(scheme, "10.0.0.1", port),)


async def test_services_bring_port_and_weight_and_the_best_priority_counts(name_server: Any) -> None:
    name = "_http._tcp.users.test"
    name_server.put(
        name,
        RecordType.SRV,
        Service(10, 5, 8081, "a.users.test"),
        Service(10, 0, 8082, "b.users.test"),
        Service(20, 9, 8083, "c.users.test"),
        ttl=9,
    )
    for number, host in enumerate("abc", 1):
        name_server.put(f"{host}.users.test", RecordType.A, f"10.0.0.{number}")

    endpoints, ttl = await make(name_server, host=name, record="srv").resolve()

    assert [(e.id, e.weight) for e in endpoints] == [("10.0.0.1:8081", 5), ("10.0.0.2:8082", 1)]
    assert ttl == 9


def test_a_target_of_a_dot_offers_nothing() -> None:
    assert preferred([Service(0, 0, 0, "")]) == []


async def test_a_service_that_is_not_offered_is_an_error(name_server: Any) -> None:
    name_server.put("_http._tcp.users.test", RecordType.SRV, Service(0, 0, 0, "."))

    with pytest.raises(DnsError, match="no service is offered"):
        await make(name_server, host="_http._tcp.users.test", record="srv").resolve()


async def test_the_system_resolver_is_asked_unless_servers_are_named() -> None:
    endpoints, _ = await DnsDiscovery(DnsSettings("localhost", port=80, family="ipv4"), Random(1)).resolve()

    assert EndpointSpec("http", "127.0.0.1", 80) in endpoints


async def test_the_last_good_answer_stays_in_force_and_is_said_to_be_stale(name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.1", ttl=0)
    async with aclosing(make(name_server, family="ipv4").watch()) as answers:  # type: ignore[type-var]
        first = await anext(answers)

        name_server.zone.clear()
        second = await anext(answers)
        name_server.put("users.test", RecordType.A, "10.0.0.2", ttl=0)
        third = await anext(answers)

    assert (first.endpoints[0].host, first.is_stale) == ("10.0.0.1", False)
    assert (second.endpoints, second.is_stale) == (first.endpoints, True)
    assert "no such name" in second.reason
    assert (third.endpoints[0].host, third.is_stale) == ("10.0.0.2", False)


async def test_without_a_last_answer_a_failure_is_one(name_server: Any) -> None:
    async with aclosing(make(name_server).watch()) as answers:  # type: ignore[type-var]
        with pytest.raises(DnsError):
            await anext(answers)


def make_context() -> DiscoveryContext:
    def session() -> aiohttp.ClientSession:
        raise AssertionError("dns needs no session")

    return DiscoveryContext("users", SystemClock(), Random(1), session)


async def test_it_is_made_from_the_words_of_the_configuration(name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.1")
    config = {
        "host": "users.test",
        "port": 9000,
        "family": "ipv4",
        "interval": "5s",
        "nameservers": [name_server.address],
    }

    endpoints, _ = await make_dns_discovery(config, make_context()).resolve()

    assert [endpoint.id for endpoint in endpoints] == ["10.0.0.1:9000"]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"host": "a", "typ": 1},
        {"host": "a", "nameservers": ["ns.test"]},
        {"host": "a", "nameservers": ["1.1.1.1:x"]},
    ],
)
def test_a_config_that_cannot_work_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="DnsDiscoveryConfig"):
        make_dns_discovery(config, make_context())
