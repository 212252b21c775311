"""Whom a request comes from, and what upstreams are told of it."""

from __future__ import annotations

import pytest
from gateway_core.proxy.wire.forwarding import Origin, origin_of
from gateway_core.proxy.wire.request_head import read_request_block


def origin(block: bytes, peer: str = "10.0.0.1", trusted: tuple[str, ...] = (), scheme: str = "http") -> Origin:
    facts = read_request_block(b"\r\nHost: a.example:8080" + block)
    assert facts is not None
    return origin_of(facts, peer, scheme, 80, lambda address: address in trusted)


def fields(found: Origin) -> dict[bytes, bytes]:
    return {line.partition(b": ")[0]: line.partition(b": ")[2] for line in found.tail.split(b"\r\n")[1:]}


def test_what_a_stranger_says_of_itself_is_replaced() -> None:
    found = origin(
        b"\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=x"
    )

    assert found.client_ip == "10.0.0.1"
    assert found.scheme == "http"
    assert fields(found) == {
        b"X-Forwarded-For": b"10.0.0.1",
        b"X-Forwarded-Proto": b"http",
        b"X-Forwarded-Host": b"a.example:8080",
        b"X-Forwarded-Port": b"80",
        b"Forwarded": b'for=10.0.0.1;proto=http;host="a.example:8080"',
        b"Via": b"1.1 gateway",
    }


def test_what_a_trusted_proxy_says_is_believed_and_added_to() -> None:
    found = origin(
        b"\r\nX-Forwarded-For: 1.1.1.1, 10.0.0.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: b.example"
        b"\r\nX-Forwarded-Port: 443\r\nForwarded: for=1.1.1.1\r\nX-Request-Id: abc-1\r\nVia: 1.1 first",
        trusted=("10.0.0.1", "10.0.0.2"),
    )

    assert found.client_ip == "1.1.1.1"
    assert found.scheme == "https"
    assert found.request_id == "abc-1"
    assert fields(found) == {
        b"X-Forwarded-For": b"1.1.1.1, 10.0.0.2, 10.0.0.1",
        b"X-Forwarded-Proto": b"https",
        b"X-Forwarded-Host": b"b.example",
        b"X-Forwarded-Port": b"443",
        b"Forwarded": b'for=1.1.1.1, for=10.0.0.1;proto=https;host="b.example"',
        b"Via": b"1.1 first, 1.1 gateway",
    }


def test_the_client_is_the_rightmost_address_that_is_not_trusted() -> None:
    found = origin(b"\r\nX-Forwarded-For: 6.6.6.6, 2.2.2.2, 10.0.0.2", trusted=("10.0.0.1", "10.0.0.2"))

    assert found.client_ip == "2.2.2.2"


def test_via_is_kept_whoever_sent_it_so_that_loops_show() -> None:
    assert fields(origin(b"\r\nVia: 1.1 gateway"))[b"Via"] == b"1.1 gateway, 1.1 gateway"


def test_an_ipv6_address_is_quoted_in_forwarded() -> None:
    assert fields(origin(b"", peer="::1"))[b"Forwarded"].startswith(b'for="[::1]";')


def test_a_unix_socket_has_no_address_and_is_not_trusted() -> None:
    found = origin(b"\r\nX-Forwarded-For: 1.1.1.1", peer="", trusted=("",))

    assert found.client_ip == ""
    assert fields(found)[b"X-Forwarded-For"] == b"unknown"


@pytest.mark.parametrize("given", [b"a b", b"a\xff", b"a" * 129, b"<script>"])
def test_a_request_id_that_is_none_is_not_kept(given: bytes) -> None:
    assert origin(b"\r\nX-Request-Id: " + given, trusted=("10.0.0.1",)).request_id == ""
