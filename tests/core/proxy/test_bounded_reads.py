"""Reads of bounded size on uvloop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

import pytest
import uvloop
from gateway_core.proxy.bounded_reads import READS_PER_TURN, BoundedReads, Buffers, bound_reads
from gateway_core.proxy.socket_options import READ_SIZE

MUCH = bytes(8_000_000)


class Collector(asyncio.Protocol):
    """Has a body of so many bytes."""

    def __init__(self, body: int, size: int) -> None:
        self.transport = cast("asyncio.Transport", None)
        self.left = body
        self.size = size
        self.sizes: list[int] = []
        self.bound: list[bool] = []
        self.made = asyncio.Event()
        self.ended = asyncio.Event()
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        bound_reads(self.transport, self, self.size)
        self.made.set()

    def is_in_body(self) -> bool:
        return self.left > 0

    def may_read(self) -> bool:
        return True

    def view_received(self, data: memoryview) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        assert not any(data)
        self.left -= len(data)
        self.sizes.append(len(data))
        self.bound.append(isinstance(self.transport.get_protocol(), BoundedReads))

    def eof_received(self) -> bool:
        self.ended.set()
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self.gone.set()


async def receive(body: int, size: int) -> Collector:
    collector = Collector(body, size)
    server = await asyncio.get_running_loop().create_server(lambda: collector, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(MUCH)
    writer.write_eof()
    async with asyncio.timeout(20):
        await collector.ended.wait()
        await collector.gone.wait()
    writer.close()
    server.close()
    assert sum(collector.sizes) == len(MUCH)
    return collector


@pytest.mark.parametrize("size", [READ_SIZE // 2, 2 * READ_SIZE])
def test_one_read_brings_no_more_than_the_bound(size: int) -> None:
    collector = uvloop.run(receive(len(MUCH) + 1, size))

    assert max(collector.sizes) <= size
    assert all(collector.bound)


def test_a_turn_has_few_reads_that_fill_the_buffer() -> None:
    turn = 0

    class InTurns(Collector):
        def __init__(self) -> None:
            super().__init__(len(MUCH) + 1, READ_SIZE)
            self.turns: list[int] = []

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self.turns.append(turn)

    async def receive_much() -> InTurns:
        loop, collector = asyncio.get_running_loop(), InTurns()

        def count() -> None:
            nonlocal turn
            turn += 1
            if not collector.gone.is_set():
                loop.call_soon(count)

        server = await loop.create_server(lambda: collector, "127.0.0.1", 0)
        count()
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(MUCH)
        writer.write_eof()
        async with asyncio.timeout(20):
            await collector.gone.wait()
        writer.close()
        server.close()
        return collector

    collector = uvloop.run(receive_much())

    full = [turn for turn, size in zip(collector.turns, collector.sizes, strict=True) if size == READ_SIZE]
    assert sum(collector.sizes) == len(MUCH)
    assert len(full) > 10
    assert max(full.count(turn) for turn in full) <= READS_PER_TURN


def test_a_buffer_is_filled_again_when_there_is_no_view_of_it() -> None:
    buffers = Buffers(10)

    first = buffers.take()
    again = buffers.take()
    view = memoryview(first)[:5]
    other = buffers.take()
    kept = memoryview(other)
    del view
    back = buffers.take()

    assert again is first
    assert other is not first
    assert back is first
    assert len(kept) == len(first) == 10


def test_no_view_changes_while_it_is_kept() -> None:
    kept: list[memoryview] = []
    sent = bytes(range(256)) * 40_000

    class Keeping(Collector):
        def view_received(self, data: memoryview) -> bool:
            kept.append(data)
            return True

    async def receive_views() -> None:
        collector = Keeping(len(sent) + 1, READ_SIZE)
        server = await asyncio.get_running_loop().create_server(lambda: collector, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(sent)
        writer.write_eof()
        async with asyncio.timeout(20):
            await collector.gone.wait()
        writer.close()
        server.close()

    uvloop.run(receive_views())

    assert len(kept) > 10
    assert b"".join(kept) == sent


def test_the_bound_ends_with_the_body() -> None:
    collector = uvloop.run(receive(1000, READ_SIZE))

    assert collector.sizes[0] <= READ_SIZE
    assert collector.bound[0]
    assert not any(collector.bound[1:])


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_asyncio_needs_none_and_nothing_is_bound_twice(run: Callable[[Awaitable[object]], object]) -> None:
    async def bind() -> None:
        collector = Collector(1, READ_SIZE)
        server = await asyncio.get_running_loop().create_server(lambda: collector, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        await collector.made.wait()
        before = collector.transport.get_protocol()
        bound_reads(collector.transport, collector)
        assert collector.transport.get_protocol() is before
        assert isinstance(before, BoundedReads) is (run is uvloop.run)
        writer.close()
        await collector.gone.wait()
        server.close()

    run(bind())
