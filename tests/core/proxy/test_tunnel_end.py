"""Bytes of tunnels, and the close frame of WebSockets when the gateway ends."""

from __future__ import annotations

import asyncio
import gc

import pytest
from gateway_core.proxy.downstream.connection import ClientConnection
from gateway_core.proxy.exchange import Exchange
from gateway_core.proxy.tunnel import Tunnel
from gateway_core.tasks import spawn

from tests.core.proxy.kit import Peer, Proxied, bytes_of_endpoints, until

pytestmark = pytest.mark.http1_upstream  # which upgrades

UPGRADE = b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"


@pytest.mark.parametrize(
    ("upgrade", "sent", "received"),
    [
        (b"websocket", b"\x81\x02hi", b"\x88\x02\x03\xe9"),
        (b"websocket", b"\x81\x03hi", b""),  # in the middle of a frame
        (b"other", b"\x81\x02hi", b""),
    ],
)
async def test_a_websocket_gets_a_close_frame_when_the_gateway_ends(
    proxied: Proxied, upgrade: bytes, sent: bytes, received: bytes
) -> None:
    async def sends(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH.replace(b"websocket", upgrade) + sent)
        await peer.rest()

    gateway, _ = await proxied(sends)
    client = await gateway.connect()
    await client.send(UPGRADE.replace(b"websocket", upgrade))
    await client.head()
    assert await client.exactly(len(sent)) == sent

    draining = spawn(gateway.proxy.drain(0.1), name="test")

    assert await asyncio.wait_for(client.rest(), 30) == received
    await draining


async def test_bytes_through_a_tunnel_are_counted_while_it_lasts(proxied: Proxied) -> None:
    async def greet(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH + b"hello")  # at once, behind the head
        while data := await peer.reader.read(65536):
            await peer.send(data)

    gateway, _ = await proxied(greet)
    client = await gateway.connect()
    await client.send(UPGRADE)
    await client.head()
    await client.reader.readexactly(5)
    received, sent = bytes_of_endpoints(gateway)
    assert received == len(SWITCH) + 5

    for size in (1, 1000, 200_000):
        await client.send(b"x" * size)
        await client.reader.readexactly(size)

    assert bytes_of_endpoints(gateway) == (received + 201_001, sent + 201_001)


@pytest.mark.parametrize("first", ["client", "upstream"])
async def test_a_tunnel_that_has_ended_is_freed_without_the_garbage_collector(proxied: Proxied, first: str) -> None:
    async def greet(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH + b"hello")
        if first == "client":
            await peer.rest()

    gateway, _ = await proxied(greet)
    gc.collect()
    gc.freeze()  # what is there already is not looked through
    gc.disable()
    try:
        for _ in range(3):
            client = await gateway.connect()
            await client.send(UPGRADE)
            await client.head()
            await client.reader.readexactly(5)
            if first == "upstream":
                await client.rest()
            client.writer.close()
        del client

        kinds = (ClientConnection, Exchange, Tunnel)
        await until(lambda: not [each for each in gc.get_objects() if isinstance(each, kinds)])
    finally:
        gc.enable()
        gc.unfreeze()
