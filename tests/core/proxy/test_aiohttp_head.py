"""Heads on their way through aiohttp."""

from __future__ import annotations

import pytest
from gateway_core.proxy.aiohttp_head import absolute_form, for_aiohttp, forwarded_once
from gateway_core.proxy.wire.request_head import read_request_block

from tests.core.proxy.kit import Proxied, field


def test_aiohttp_gets_neither_body_nor_upgrade() -> None:
    head = (
        b"PURGE /a HTTP/1.1\r\nHost: x\r\nContent-length: 5\r\nUPGRADE: y\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n"
    )

    assert for_aiohttp(head) == b"POST /a HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    "line", [b"GET / HTTP/1.1", b"CONNECT x:1 HTTP/1.1", b"get / HTTP/1.1", b"G(T / HTTP/1.1", b"A\0"]
)
def test_request_lines_stay_as_they_are(line: bytes) -> None:
    assert for_aiohttp(line + b"\r\n\r\n") == line + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("target", "expected", "host"),
    [
        ("http://a:81/b?c", "/b?c", "a:81"),
        ("HTTP://a", "/", "a"),
        ("http://a?b", "/?b", "a"),
        ("https://[::1]/", "/", "[::1]"),
    ],
)
def test_an_absolute_target_names_the_host(target: str, expected: str, host: str) -> None:
    found = absolute_form(target, b"\r\nA: b\r\nHost: x", http_1_0=False)

    assert found is not None
    assert found[0] == expected
    assert found[1].host == host
    assert found[1].kept == b"\r\nA: b"


@pytest.mark.parametrize("target", ["ftp://a/", "http://u@a/", "http:///a", "http://a/#b", "a", "*"])
def test_what_is_no_absolute_target_is_refused(target: str) -> None:
    assert absolute_form(target, b"\r\nHost: x", http_1_0=False) is None


def test_every_forwarding_counts() -> None:
    facts = read_request_block(b"\r\nHost: x\r\nMax-Forwards: 2\r\nA: b")
    assert facts is not None

    found = forwarded_once(facts, http_1_0=False)

    assert found is not None
    assert found.max_forwards == 1
    assert found.kept == b"\r\nA: b\r\nMax-Forwards: 1"


async def test_options_for_the_gateway_itself_are_answered_by_it(proxied: Proxied) -> None:
    gateway, upstream = await proxied()

    for request in (b"OPTIONS * HTTP/1.1\r\n", b"OPTIONS / HTTP/1.1\r\nMax-Forwards: 0\r\n"):
        status, head, body = await gateway.ask(request + b"Host: x\r\n\r\n")
        assert status == 200
        assert b"GET" in (field(head, b"allow") or b"")
        assert body == b""

    assert upstream.heads == []


@pytest.mark.parametrize(("method", "expected"), [(b"OPTIONS", b"6"), (b"GET", b"7")])
async def test_max_forwards_is_counted_for_options_only(proxied: Proxied, method: bytes, expected: bytes) -> None:
    gateway, upstream = await proxied()

    await gateway.ask(method + b" / HTTP/1.1\r\nHost: x\r\nMax-Forwards: 7\r\n\r\n")

    assert field(upstream.heads[0], b"max-forwards") == expected


@pytest.mark.parametrize("method", [b"PURGE", b"QUERY", b"X-OWN"])
async def test_methods_that_nobody_knows_go_upstream(proxied: Proxied, method: bytes) -> None:
    gateway, upstream = await proxied()

    status, _, _ = await gateway.ask(method + b" / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")

    assert status == 200
    assert upstream.heads[0].startswith(method + b" / HTTP/1.1\r\n")
    assert upstream.bodies == [b"hi"]
