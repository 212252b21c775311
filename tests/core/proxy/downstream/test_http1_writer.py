"""How responses are framed for clients of HTTP/1."""

from __future__ import annotations

import asyncio

import pytest
from gateway_core.proxy.downstream.http1_writer import Framing, framing_fields, framing_of

from tests.core.proxy.kit import Peer, Proxied, field

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "is_head", "length", "version", "framing"),
    [
        (200, False, 5, "1.1", Framing.LENGTH),
        (200, False, 0, "1.0", Framing.LENGTH),
        (200, False, None, "1.1", Framing.CHUNKED),
        (200, False, None, "1.0", Framing.UNTIL_CLOSE),
        (200, True, None, "1.1", Framing.NONE),
        (204, False, None, "1.1", Framing.NONE),
        (304, False, 5, "1.1", Framing.NONE),
    ],
)
def test_a_body_is_framed_as_its_length_and_the_version_allow(
    status: int, is_head: bool, length: int | None, version: str, framing: Framing
) -> None:
    assert framing_of(status, is_head, length, version) is framing


def test_a_204_never_has_a_length_and_a_304_may_say_it() -> None:
    assert framing_fields(204, Framing.NONE, 0, "1.1", keep_alive=True) == b""
    assert framing_fields(304, Framing.NONE, 5, "1.1", keep_alive=True) == b"\r\nContent-Length: 5"
    assert framing_fields(200, Framing.LENGTH, 5, "1.0", keep_alive=True).endswith(b"\r\nConnection: keep-alive")


@pytest.mark.parametrize("given", [b"", b"Date: Mon, 01 Jan 2024 00:00:00 GMT\r\n"])
async def test_a_response_has_one_date(proxied: Proxied, given: bytes) -> None:
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\n" + given + b"Content-Length: 2\r\n\r\nok")

    _, head, _ = await gateway.ask(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert head.lower().count(b"\r\ndate: ") == 1
    assert given in head


async def test_trailers_go_to_a_client_that_gets_chunks_only(proxied: Proxied) -> None:
    async def streams(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.send(CHUNKED + b"2\r\nok\r\n")
            await asyncio.sleep(0)
            await peer.send(b"0\r\nX-T: 1\r\n\r\n")

    gateway, _ = await proxied(streams)

    new = await gateway.send(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    old = await gateway.send(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")

    assert new.endswith(b"0\r\nX-T: 1\r\n\r\n") or field(new, b"content-length") == b"2"
    assert b"X-T" not in old
    assert old.endswith(b"\r\n\r\nok")


@pytest.mark.parametrize(
    ("status", "version", "goes_on"),
    [(b"426 Upgrade Required", b"1.1", True), (b"426 Upgrade Required", b"1.0", False), (b"200 OK", b"1.1", False)],
)
async def test_a_426_says_which_protocol_to_ask_for(
    proxied: Proxied, status: bytes, version: bytes, goes_on: bool
) -> None:
    fields = b"Connection: upgrade\r\nUpgrade: websocket, TLS/1.0\r\nContent-Length: 2\r\n"
    gateway, upstream = await proxied(b"HTTP/1.1 " + status + b"\r\n" + fields + b"\r\nok")

    for _ in range(2):  # the second one has a head that is known
        _, head, body = await gateway.ask(b"GET / HTTP/" + version + b"\r\nHost: x\r\n\r\n")

    assert (b"\r\nConnection: Upgrade\r\nUpgrade: websocket, TLS/1.0\r\n" in head) is goes_on
    assert (b"upgrade:" in head.lower()) is goes_on
    assert body == b"ok"
    assert len(upstream.heads) == 2
