"""The streams of a connection among each other: whose turn it is, and what all of them hold."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import hyperframe.frame as hf
import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response
from gateway_core.proxy.http2 import waiting

from tests.core.proxy.downstream.http2_client import ENHANCE_YOUR_CALM, http2
from tests.core.proxy.downstream.http2_conformance import raw
from tests.core.proxy.kit import Peer, Proxied, counts, settled, until


async def test_clients_that_take_nothing_hold_little_together_and_the_worst_loses_its_streams(
    proxied: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "PLENTY", 100_000)
    monkeypatch.setattr(waiting, "MOST", 1_500_000)
    gateway, _ = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n" + bytes(400_000))
    async with http2(gateway) as patient, http2(gateway) as greedy:
        patient.gives_credit = greedy.gives_credit = False
        await patient.send(patient.head())
        await patient.until(lambda: len(patient.streams[1].body) == 65_535)

        await greedy.send(*[greedy.head() for _ in range(60)])

        codes = {ENHANCE_YOUR_CALM, None}
        await greedy.until(lambda: any(got.reset for got in greedy.streams.values()))
        assert {got.reset for got in greedy.streams.values()} <= codes
        assert gateway.proxy.http2_waiting.total <= 1_500_000
        await patient.settle()
        assert patient.streams[1].reset is None
        patient.gives_credit = True
        await patient.send(*[hf.WindowUpdateFrame(stream, window_increment=1 << 20) for stream in (0, 1)])
        assert len((await patient.response(1)).body) == 400_000
    await until(lambda: counts(gateway) == {} and not gateway.proxy.http2_waiting.total)


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{}, {4: 0}, {4: 2**31 - 1}], ids=["usual windows", "no window", "all windows"])
async def test_400_responses_that_a_client_does_not_read_take_less_than_100_kib_each(
    proxied: Proxied, settings: dict[int, int]
) -> None:
    size = 1 << 20
    gateway, upstream = await proxied(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(http2(gateway, settings)) for _ in range(4)]
        other = await stack.enter_async_context(http2(gateway))
        for client in clients:
            client.gives_credit = False
            await client.send(*[client.head() for _ in range(100)])
        await until(lambda: len(upstream.heads) == 400)

        # It is served while they wait, and once more when all that they may hold is there.
        for _ in range(3):
            assert len((await other.ask()).body) == size
            await settled(lambda: gateway.proxy.http2_waiting.total)

        assert 0 < gateway.proxy.http2_waiting.total < 400 * 102_400
    await until(lambda: counts(gateway) == {} and not gateway.proxy.http2_waiting.total)


async def test_a_priority_may_come_before_its_request_and_counts_more_than_its_field(proxied: Proxied) -> None:
    gate = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        await gate.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + bytes(30_000))

    gateway, _ = await proxied(script)
    async with http2(gateway, {4: 0}) as client:  # nothing of a body leaves before its window is opened
        client.gives_credit = False
        update = raw(16, 0, 0, b"\0\0\0\x03u=0")
        await client.send(update, client.head(), client.head(("priority", "u=6")))
        gate.set()
        await client.until(lambda: all(client.streams[stream].status == 200 for stream in (1, 3)))
        await client.send(*[hf.WindowUpdateFrame(stream, window_increment=30_000) for stream in (1, 3)])
        await client.until(lambda: all(len(client.streams[stream].body) == 30_000 for stream in (1, 3)))
    bodies = [frame.stream_id for frame in client.frames if isinstance(frame, hf.DataFrame) and frame.data]
    assert bodies == [3, 3, 1, 1]


class Adds(Plugin[Any]):
    """Adds a field to some responses."""

    name = "adds"

    @hookimpl
    def gateway_response(self, request: Request, response: Response) -> None:
        if request.path != "/plain":
            response.headers["x-b"] = request.path


async def test_a_response_head_that_comes_again_goes_to_each_request_with_its_own_id_and_framing(
    proxied: Proxied,
) -> None:
    head = b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 23:43:29 GMT\r\nX-A: 1\r\nContent-Length: 2\r\n\r\n"

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.head()
            await peer.send(head if request.startswith(b"HEAD") else head + b"ok")

    gateway, _ = await proxied(script, plugins=[Adds], extra="plugins: [{name: adds}]")
    async with http2(gateway) as client:
        plain = [await client.ask(path="/plain") for _ in range(3)]
        head_only = await client.ask(method="HEAD", path="/plain")
        added = [await client.ask(path=f"/{number}") for number in range(2)]
        plain.append(await client.ask(path="/plain"))

    assert len({got.headers["x-request-id"] for got in [*plain, head_only, *added]}) == 7
    assert [got.body for got in [*plain, head_only, *added]] == [b"ok"] * 4 + [b""] + [b"ok"] * 2
    usual = {":status": "200", "date": "Sun, 22 Nov 2026 23:43:29 GMT", "x-a": "1", "content-length": "2"}
    own = {"x-request-id", "via"}
    found = [{name: value for name, value in got.headers.items() if name not in own} for got in [*plain, head_only]]
    assert found == [usual] * 5
    assert [got.headers.get("x-b") for got in [*plain, head_only, *added]] == [None] * 5 + ["/0", "/1"]
