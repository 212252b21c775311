from __future__ import annotations

import socket
from typing import Any

import pytest
from gateway_core.upstreams.discovery.dns_client import DnsClient, DnsError, NameServer, parse_resolv_conf
from gateway_core.upstreams.discovery.dns_message import RecordType


def make_client(server: Any, timeout: float = 5.0, attempts: int = 1) -> DnsClient:
    return DnsClient([NameServer("127.0.0.1", server.port)], timeout=timeout, attempts=attempts)


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("10.0.0.2", NameServer("10.0.0.2", 53)),
        ("10.0.0.2:5353", NameServer("10.0.0.2", 5353)),
        ("::1", NameServer("::1", 53)),
        ("[::1]", NameServer("::1", 53)),
        ("[::1]:5353", NameServer("::1", 5353)),
    ],
)
def test_a_name_server_is_an_address_and_perhaps_a_port(text: str, server: NameServer) -> None:
    assert NameServer.parse(text) == server


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'10\.0\.0\.2:dns' is not an address"):
        NameServer.parse("10.0.0.2:dns")


def test_resolv_conf_names_servers_in_order() -> None:
    text = "# comment\nsearch a.test\nnameserver 10.0.0.2 ; first\n nameserver\t::1\nnameserver\noptions x\n"

    assert parse_resolv_conf(text) == (NameServer("10.0.0.2"), NameServer("::1"))
    assert parse_resolv_conf("search a\n") == (NameServer("127.0.0.1"),)


async def test_an_answer_comes_over_udp(name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.1", "10.0.0.2", ttl=7)

    records = await make_client(name_server).query("users.test.", RecordType.A)

    assert [(record.value, record.ttl) for record in records] == [("10.0.0.1", 7), ("10.0.0.2", 7)]
    assert [how for how, _, _ in name_server.asked] == ["udp"]


async def test_a_truncated_answer_is_asked_for_over_tcp(name_server: Any) -> None:
    addresses = [f"10.0.{i // 250}.{i % 250}" for i in range(1_000)]
    name_server.put("users.test", RecordType.A, *addresses)
    name_server.truncates = True

    records = await make_client(name_server).query("users.test", RecordType.A)

    assert [record.value for record in records] == addresses
    assert [how for how, _, _ in name_server.asked] == ["udp", "tcp"]


async def test_datagrams_that_do_not_answer_are_passed_over(name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.1")
    name_server.garbage_first = True

    (record,) = await make_client(name_server).query("users.test", RecordType.A)

    assert record.value == "10.0.0.1"


async def test_an_alias_leads_to_its_addresses(name_server: Any) -> None:
    name_server.alias("www.test", "users.test", RecordType.A, "10.0.0.1")

    (record,) = await make_client(name_server).query("www.test", RecordType.A)

    assert record.value == "10.0.0.1"


async def test_a_name_without_such_records_has_none(name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.1")

    assert await make_client(name_server).query("users.test", RecordType.AAAA) == []


async def test_a_name_that_does_not_exist_is_not_asked_for_again(name_server: Any) -> None:
    with pytest.raises(DnsError, match=r"A of 'nobody\.test': no such name"):
        await make_client(name_server, attempts=3).query("nobody.test", RecordType.A)

    assert len(name_server.asked) == 1


async def test_the_next_server_is_asked_when_one_fails(name_server: Any) -> None:
    name_server.put("users.test", RecordType.A, "10.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        servers = [NameServer("127.0.0.1", deaf.getsockname()[1]), NameServer("127.0.0.1", name_server.port)]

        records = await DnsClient(servers, timeout=0.2).query("users.test", RecordType.A)

    assert len(records) == 1


async def test_a_server_failure_is_asked_again_and_then_told(name_server: Any) -> None:
    name_server.rcode = 2

    with pytest.raises(DnsError, match="server failure"):
        await make_client(name_server, attempts=2).query("users.test", RecordType.A)

    assert len(name_server.asked) == 2


async def test_a_closed_port_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    with pytest.raises(DnsError, match=r"users\.test"):
        await DnsClient([NameServer("127.0.0.1", port)], timeout=5.0, attempts=1).query("users.test", RecordType.A)


async def test_no_answer_in_time_is_told(name_server: Any) -> None:
    name_server.is_silent = True

    with pytest.raises(DnsError, match=r"no answer within 0\.05 s"):
        await make_client(name_server, timeout=0.05).query("users.test", RecordType.A)
