from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import aclosing
from random import Random
from typing import Any

import aiohttp
import pytest
from dns.rcode import REFUSED, SERVFAIL
from dns.rdtypes.IN.SRV import SRV
from dns.rrset import from_text
from gateway_core.clock import SystemClock
from gateway_core.config import DnsDiscoveryConfig
from gateway_core.upstreams import DiscoveryContext, EndpointSpec
from gateway_core.upstreams.discovery import make_discovery
from gateway_core.upstreams.discovery.dns import DnsDiscovery, DnsError, _address_of, by_priority
from gateway_core.upstreams.resolver import AddressInfo, NameLookupError, Resolver


def make(server: Any, resolver: Resolver | None = None, **settings: Any) -> DnsDiscovery:
    servers = () if server is None else (server.address,)
    settings = {
        "host": "users.test",
        "port": 8080,
        "nameservers": servers,
        "interval": 0.01,
        "timeout": 5.0,
        **settings,
    }
    return DnsDiscovery(DnsDiscoveryConfig.model_construct(**settings), Random(1), resolver or Resolver())


async def hosts_of(discovery: DnsDiscovery) -> list[str]:
    endpoints, _ = await discovery.resolve()
    return [endpoint.host for endpoint in endpoints]


async def test_endpoints_are_the_addresses_in_a_stable_order(name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.20", "10.0.0.3", ttl=30)
    name_server.put("users.test", "AAAA", "fd00::1", ttl=20)

    endpoints, ttl = await make(name_server).resolve()

    assert [endpoint.id for endpoint in endpoints] == ["10.0.0.3:8080", "10.0.0.20:8080", "[fd00::1]:8080"]
    assert ttl == 20


async def test_an_alias_is_followed_and_its_time_to_live_counts(name_server: Any) -> None:
    name_server.alias("users.test", "real.test", "A", "10.0.0.1", ttl=7)

    endpoints, ttl = await make(name_server, family="ipv4").resolve()

    assert ([endpoint.host for endpoint in endpoints], ttl) == (["10.0.0.1"], 7)


async def test_what_others_send_is_passed_over(name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.1")
    name_server.garbage_first = True

    assert await hosts_of(make(name_server, family="ipv4")) == ["10.0.0.1"]


async def test_a_truncated_response_is_fetched_over_tcp(name_server: Any) -> None:
    name_server.put("users.test", "A", *(f"10.0.{number}.1" for number in range(200)))
    name_server.truncates = True

    assert len(await hosts_of(make(name_server, family="ipv4"))) == 200
    assert [how for how, _, _ in name_server.asked] == ["udp", "tcp"]


@pytest.mark.parametrize(("family", "hosts"), [("ipv4", ["10.0.0.1"]), ("ipv6", ["fd00::1"])])
async def test_one_family_may_be_chosen(family: str, hosts: list[str], name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.1")
    name_server.put("users.test", "AAAA", "fd00::1")

    assert await hosts_of(make(name_server, family=family)) == hosts


@pytest.mark.parametrize("code", [REFUSED, SERVFAIL])
@pytest.mark.parametrize(("bad", "host"), [("AAAA", "10.0.0.1"), ("A", "fd00::1")])
async def test_a_type_of_record_that_is_refused_leaves_the_other_in_force(
    code: int, bad: str, host: str, name_server: Any
) -> None:
    name_server.put("users.test", "A", "10.0.0.1")
    name_server.put("users.test", "AAAA", "fd00::1")
    name_server.rcodes[bad] = code

    assert await hosts_of(make(name_server)) == [host]


async def test_a_type_of_record_without_a_response_leaves_the_other_in_force(name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.1")
    name_server.silent.add("AAAA")

    assert await hosts_of(make(name_server, timeout=1.0)) == ["10.0.0.1"]


async def test_a_family_that_fails_keeps_the_addresses_that_were_known(name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.1")
    name_server.put("users.test", "AAAA", "fd00::1")
    discovery = make(name_server)
    await discovery.resolve()

    name_server.put("users.test", "A", "10.0.0.2")
    name_server.rcodes["AAAA"] = SERVFAIL

    assert await hosts_of(discovery) == ["10.0.0.2", "fd00::1"]


async def test_addresses_of_a_family_that_fails_are_stale_until_they_are_confirmed(name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.1", ttl=0)
    async with aclosing(make(name_server).watch()) as results:  # type: ignore[type-var]
        first = await anext(results)

        name_server.rcodes["A"] = SERVFAIL
        second = await anext(results)
        del name_server.rcodes["A"]
        third = await anext(results)

    assert [found.is_stale for found in (first, second, third)] == [False, True, False]
    assert second.endpoints == first.endpoints
    assert "A of 'users.test'" in second.reason


async def test_a_failure_of_all_types_is_one(name_server: Any) -> None:
    name_server.rcodes.update(A=SERVFAIL, AAAA=SERVFAIL)

    with pytest.raises(DnsError, match=r"A of 'users\.test': .*SERVFAIL.*; AAAA of"):
        await make(name_server).resolve()


@pytest.mark.parametrize(("scheme", "port"), [("http", 80), ("https", 443)])
async def test_the_port_is_that_of_the_scheme_unless_given(scheme: str, port: int, name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.1")

    endpoints, _ = await make(name_server, scheme=scheme, port=0).resolve()

    assert endpoints == (EndpointSpec(scheme, "10.0.0.1", port),)


SERVICE = "_http._tcp.users.test"


async def test_services_bring_port_and_weight_and_the_best_priority_counts(name_server: Any) -> None:
    services = ("10 5 8081 a.users.test.", "10 0 8082 b.users.test.", "20 9 8083 c.users.test.")
    name_server.put(SERVICE, "SRV", *services, ttl=9)
    for number, host in enumerate("abc", 1):
        name_server.put(f"{host}.users.test", "A", f"10.0.0.{number}")

    endpoints, ttl = await make(name_server, host=SERVICE, record="srv").resolve()

    assert [(e.id, e.weight) for e in endpoints] == [("10.0.0.1:8081", 5), ("10.0.0.2:8082", 1)]
    assert ttl == 9


async def test_a_target_that_does_not_resolve_does_not_block_the_others(
    name_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    name_server.put(SERVICE, "SRV", "10 5 8081 gone.users.test.", "10 5 8082 b.users.test.")
    name_server.put("b.users.test", "A", "10.0.0.2")

    endpoints, _ = await make(name_server, host=SERVICE, record="srv").resolve()

    assert [endpoint.id for endpoint in endpoints] == ["10.0.0.2:8082"]
    assert "SRV targets of '_http._tcp.users.test' are left out: A of 'gone.users.test': no such name" in caplog.text


async def test_targets_that_are_left_out_are_logged_once(name_server: Any, caplog: pytest.LogCaptureFixture) -> None:
    name_server.put(SERVICE, "SRV", "10 5 8081 gone.users.test.", "10 5 8082 b.users.test.", ttl=0)
    name_server.put("b.users.test", "A", "10.0.0.2")
    discovery = make(name_server, host=SERVICE, record="srv")

    for _ in range(3):
        await discovery.resolve()

    assert caplog.text.count("are left out") == 1


async def test_the_next_priority_serves_where_no_target_of_the_best_resolves(name_server: Any) -> None:
    name_server.put(SERVICE, "SRV", "10 5 8081 gone.users.test.", "20 5 8082 b.users.test.")
    name_server.put("b.users.test", "A", "10.0.0.2")

    endpoints, _ = await make(name_server, host=SERVICE, record="srv").resolve()

    assert [endpoint.id for endpoint in endpoints] == ["10.0.0.2:8082"]


async def test_services_of_which_no_target_resolves_are_an_error(name_server: Any) -> None:
    name_server.put(SERVICE, "SRV", "10 5 8081 gone.users.test.")

    with pytest.raises(DnsError, match=r"gone\.users\.test"):
        await make(name_server, host=SERVICE, record="srv").resolve()


def test_a_target_of_a_dot_offers_nothing() -> None:
    records = from_text("a.", 60, "IN", "SRV", "0 0 0 .", "20 0 80 b.", "10 0 80 c.", "10 0 81 d.")

    groups = by_priority([record for record in records if isinstance(record, SRV)])

    assert [sorted(record.target.to_text() for record in group) for group in groups] == [["c.", "d."], ["b."]]


async def test_a_service_that_is_not_offered_is_an_error(name_server: Any) -> None:
    name_server.put(SERVICE, "SRV", "0 0 0 .")

    with pytest.raises(DnsError, match="no service is offered"):
        await make(name_server, host=SERVICE, record="srv").resolve()


async def test_the_gateways_resolver_is_asked_unless_servers_are_named() -> None:
    asked: list[str] = []

    def look_up(host: str) -> Sequence[AddressInfo]:
        asked.append(host)
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("fd00::1", 0, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.1", 0)),
        ]

    resolver = Resolver(look_up=look_up)

    assert await hosts_of(make(None, resolver)) == ["10.0.0.1", "fd00::1"]
    assert await hosts_of(make(None, resolver, family="ipv6")) == ["fd00::1"]
    assert asked == ["users.test"] * 2


async def test_the_system_has_addresses_of_the_chosen_family_or_it_is_an_error() -> None:
    with pytest.raises((DnsError, NameLookupError)):
        await make(None, host="127.0.0.1", family="ipv6").resolve()


async def test_the_last_good_addresses_stay_in_force_and_are_stale(name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.1", ttl=0)
    async with aclosing(make(name_server, family="ipv4").watch()) as answers:  # type: ignore[type-var]
        first = await anext(answers)

        name_server.zone.clear()
        second = await anext(answers)
        name_server.put("users.test", "A", "10.0.0.2", ttl=0)
        third = await anext(answers)

    assert (first.endpoints[0].host, first.is_stale) == ("10.0.0.1", False)
    assert (second.endpoints, second.is_stale) == (first.endpoints, True)
    assert "no such name" in second.reason
    assert (third.endpoints[0].host, third.is_stale) == ("10.0.0.2", False)


async def test_without_addresses_to_keep_a_failure_is_one(name_server: Any) -> None:
    async with aclosing(make(name_server).watch()) as answers:  # type: ignore[type-var]
        with pytest.raises(DnsError):
            await anext(answers)


def make_context() -> DiscoveryContext:
    def session() -> aiohttp.ClientSession:
        raise AssertionError("dns needs no session")

    return DiscoveryContext("users", SystemClock(), Random(1), session)


async def test_it_is_made_from_the_keys_of_the_configuration(name_server: Any) -> None:
    name_server.put("users.test", "A", "10.0.0.1")
    config = {
        "host": "users.test",
        "port": 9000,
        "family": "ipv4",
        "interval": "5s",
        "nameservers": [name_server.address],
    }

    discovery = make_discovery("dns", config, make_context())
    assert isinstance(discovery, DnsDiscovery)
    endpoints, _ = await discovery.resolve()

    assert [endpoint.id for endpoint in endpoints] == ["10.0.0.1:9000"]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.2", ("10.0.0.2", 53)),
        ("10.0.0.2:5353", ("10.0.0.2", 5353)),
        ("fd00::1", ("fd00::1", 53)),
        ("[fd00::1]", ("fd00::1", 53)),
        ("[fd00::1]:5353", ("fd00::1", 5353)),
    ],
)
def test_a_name_server_is_an_address_with_a_port_or_without(text: str, address: tuple[str, int]) -> None:
    assert _address_of(text) == address


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
        make_discovery("dns", config, make_context())
