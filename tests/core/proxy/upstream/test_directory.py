"""Pools over reloads, and queues."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from gateway_core.upstreams.admission import Load

from tests.core.proxy.kit import Peer, StartProxy, StartUpstream, until

pytestmark = pytest.mark.one_protocol(reason="connections of HTTP/1")

GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"


def config(url: str, extra: str = "", limits: str = "") -> str:
    return f"""
limits: {{{limits}}}
upstreams: [{{name: u, endpoints: [{{url: "{url}"}}]{extra}}}]
routes: [{{id: all, path_prefix: /, target: u}}]
"""


async def test_the_limit_for_response_heads_is_that_of_the_snapshot_in_force(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    large = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Large: %b\r\n\r\nok" % (b"x" * 10000)
    upstream = await start_upstream(large)
    gateway = await start_proxy(config(upstream.url))
    statuses = [(await gateway.ask(GET % b""))[0]]

    await gateway.reload(config(upstream.url, limits="max_head_bytes: 8192"))
    statuses.append((await gateway.ask(GET % b""))[0])
    await gateway.reload(config(upstream.url))
    statuses.append((await gateway.ask(GET % b""))[0])

    assert statuses == [200, 502, 200]


def is_counted(load: Load, attempts: int) -> bool:
    return load.active + load.pending == attempts


async def test_attempts_that_wait_are_served_in_their_order(
    start_proxy: StartProxy, start_upstream: StartUpstream
) -> None:
    may_respond = asyncio.Event()
    served: list[bytes] = []

    async def serve(peer: Peer) -> None:
        while True:
            served.append((await peer.head()).split(b" ")[1])
            await may_respond.wait()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    upstream = await start_upstream(serve)
    gateway = await start_proxy(config(upstream.url, ", limits: {max_connections: 1}"))
    load = gateway.proxy.holder.current.upstreams["u"].admission.load
    clients = []
    for number in range(4):
        client = await gateway.connect()
        clients.append(client)
        await client.send(GET % b"%d" % number)
        await until(partial(is_counted, load, number + 1))

    may_respond.set()
    for client in clients:
        assert (await client.response())[0] == 200

    assert served == [b"/0", b"/1", b"/2", b"/3"]
    assert (load.active, load.pending) == (0, 0)
