"""Reloads, drains and ages of connections under a hundred streams: no request is lost."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import hyperframe.frame as hf

from tests.core.proxy.downstream.http2_client import NO_ERROR, OK, PREFACE, Http2Client, http2
from tests.core.proxy.kit import Peer, Proxied, counts, until

STREAMS = 100


class Gate:
    """An upstream that responds once it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.waiting = 0

    async def __call__(self, peer: Peer) -> None:
        while True:
            await peer.head()
            self.waiting += 1
            await self.opened.wait()
            await peer.send(OK)


async def test_streams_that_were_begun_before_a_reload_end_as_they_would_have(proxied: Proxied) -> None:
    gate = Gate()
    gateway, upstream = await proxied(gate)
    async with http2(gateway) as client:
        heads = [client.head(path=f"/{number}") for number in range(STREAMS)]
        await client.send(*heads)
        await until(lambda: gate.waiting == STREAMS)
        for number in range(3):
            await gateway.reload(
                f"upstreams: [{{name: u, endpoints: [{{url: '{upstream.url}'}}]}}]\n"
                f"routes: [{{id: r{number}, path: /new, redirect: {{path: /r{number}, status: 302}}}},"
                " {id: all, path_prefix: /, target: u}]\n"
            )
            assert (await client.ask(path="/new")).headers["location"].endswith(f"/r{number}")
        gate.opened.set()
        for head in heads:
            got = await client.response(head.stream_id)
            assert (got.status, got.body) == (200, b"ok")
        assert not client.goaways
    await until(lambda: not counts(gateway))


async def test_a_drain_under_a_hundred_streams_serves_them_all_and_what_came_before_the_last_goaway(
    proxied: Proxied,
) -> None:
    gate = Gate()
    gateway, _ = await proxied(gate, "limits: {max_streams: 200}")
    async with http2(gateway) as client:
        heads = [client.head(path=f"/{number}") for number in range(STREAMS)]
        await client.send(*heads)
        await until(lambda: gate.waiting == STREAMS)
        gateway.proxy.connections.close_idle()
        await client.until(lambda: any(isinstance(each, hf.PingFrame) for each in client.frames))
        late = client.head(path="/late")  # the client has not read the GOAWAY when it sends this
        (ping,) = [each for each in client.frames if isinstance(each, hf.PingFrame)]
        await client.send(late, hf.PingFrame(0, opaque_data=ping.opaque_data, flags=["ACK"]))
        gate.opened.set()
        for head in [*heads, late]:
            assert (await client.response(head.stream_id)).status == 200
        await client.end()
    assert client.goaways == [(2**31 - 1, NO_ERROR), (late.stream_id, NO_ERROR)]
    await until(lambda: not counts(gateway) and not len(gateway.proxy.connections))


async def test_a_connection_that_begins_while_the_gateway_drains_is_served_and_ends(proxied: Proxied) -> None:
    """It was accepted before, and its preface came when all others had their GOAWAY."""
    gateway, _ = await proxied(OK)
    gateway.proxy.keeps_alive = False
    client = Http2Client(await gateway.connect_directly())

    # In one piece: the GOAWAY may be sent before anything else that the client sends is read.
    await client.send(PREFACE, hf.SettingsFrame(0), client.head())

    assert (await client.response(1)).status == 200
    await client.until(lambda: any(isinstance(each, hf.PingFrame) for each in client.frames))
    (ping,) = [each for each in client.frames if isinstance(each, hf.PingFrame)]
    await client.send(hf.PingFrame(0, opaque_data=ping.opaque_data, flags=["ACK"]))
    await client.end()
    assert client.goaways == [(2**31 - 1, NO_ERROR), (1, NO_ERROR)]
    client.peer.close()
    await until(lambda: not counts(gateway) and not len(gateway.proxy.connections))


async def test_connections_of_one_age_do_not_end_at_the_same_time(proxied: Proxied) -> None:
    gateway, _ = await proxied(OK, "limits: {max_connection_age: 1000s, idle_timeout: 1h}")
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(http2(gateway)) for _ in range(24)]
        ended = []
        for seconds in (800, 200, 200):  # they end between 900 and 1100; the clock runs on by itself meanwhile
            await gateway.pass_time(seconds)
            for _ in range(8):  # connections are looked at more rarely than exchanges
                await gateway.pass_time(0)
            for client in clients:
                if not client.goaways and not client.closed:
                    await client.settle()
            ended.append(sum(bool(client.goaways) for client in clients))
    assert ended[0] == 0
    assert 0 < ended[1] < len(clients)
    assert ended[2] == len(clients)
