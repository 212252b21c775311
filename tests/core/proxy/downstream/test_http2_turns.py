"""Requests of HTTP/2 that are costly, or have large heads, take turns with those of other connections."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Any

from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.proxy.downstream.connections import LARGE_HEAD, SECONDS_PER_TURN

from tests.core.proxy.downstream.http2_client import http2
from tests.core.proxy.downstream.http2_conformance import GET, headers, literal
from tests.core.proxy.kit import MovedClock


class Costly(Plugin[Any]):
    """Each request takes as long as a turn may."""

    name = "costly"
    clock: MovedClock
    served: int

    @hookimpl
    def gateway_request(self, request: Request) -> Response:
        type(self).served += 1
        self.clock.move(SECONDS_PER_TURN)
        return Response(200, b"ok")


async def test_requests_that_are_costly_are_served_one_a_turn(start_proxy: Any) -> None:
    gateway = await start_proxy("plugins: [{name: costly}]\nroutes: []", plugins=[Costly])
    Costly.clock, Costly.served = gateway.clock, 0
    seen = [0]

    async with http2(gateway) as client:
        client.peer.writer.write(b"".join(headers(GET, stream) for stream in range(1, 40, 2)))
        while seen[-1] < 20:
            await asyncio.sleep(0)
            seen.append(Costly.served)

    # One is the first of its connection, which is served as it is read, the other one that had waited.
    assert max(after - before for before, after in pairwise(seen)) <= 2


async def test_large_heads_of_many_connections_are_served_one_a_turn(start_proxy: Any) -> None:
    gateway = await start_proxy("plugins: [{name: costly}]\nroutes: []", plugins=[Costly])
    Costly.clock, Costly.served = gateway.clock, 0
    large = headers(GET + literal(b"x", b"y" * LARGE_HEAD))
    seen = [0]

    async with AsyncExitStack() as clients:
        peers = [(await clients.enter_async_context(http2(gateway))).peer for _ in range(10)]
        for peer in peers:
            peer.writer.write(large)
        while seen[-1] < 10:
            await asyncio.sleep(0)
            seen.append(Costly.served)

    assert max(after - before for before, after in pairwise(seen)) == 1
