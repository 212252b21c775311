"""gRPC in pure Python through the gateway: grpclib on either side, and grpcio on the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.integration.grpc_kit import Start, starting

pytest.importorskip("grpclib", reason="the group test has it")

from grpclib.client import Channel, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Cardinality, Handler, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError
from grpclib.server import Server, Stream


class Bytes(CodecBase):
    """Messages that are bytes."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        return bytes(message)

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


class Echo:
    """A service of grpclib."""

    async def unary(self, stream: Stream[bytes, bytes]) -> None:
        message = await stream.recv_message()
        assert message is not None
        await stream.send_message(message)
        await stream.send_trailing_metadata(metadata={"x-trailing-bin": b"\x00\xff"})

    async def both(self, stream: Stream[bytes, bytes]) -> None:
        async for message in stream:
            await stream.send_message(message.upper())

    async def fails(self, stream: Stream[bytes, bytes]) -> None:
        await stream.recv_message()
        raise GRPCError(Status.FAILED_PRECONDITION, "not now: \u00e9")

    def __mapping__(self) -> dict[str, Handler]:
        return {
            "/echo/Unary": Handler(self.unary, Cardinality.UNARY_UNARY, bytes, bytes),
            "/echo/Both": Handler(self.both, Cardinality.STREAM_STREAM, bytes, bytes),
            "/echo/Fails": Handler(self.fails, Cardinality.UNARY_UNARY, bytes, bytes),
        }


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with starting(tmp_path) as begin:
        yield begin


@pytest.fixture
async def channel(start: Start) -> AsyncIterator[Channel]:
    """A channel of grpclib to a gateway before a service of grpcio."""
    _, _, gateway = await start()
    channel = Channel("127.0.0.1", gateway.port, codec=Bytes())
    yield channel
    channel.close()


async def test_calls_of_grpclib_pass_with_their_metadata(channel: Channel) -> None:
    method = UnaryUnaryMethod(channel, "/echo/Unary", bytes, bytes)

    async with method.open(metadata={"x-own-bin": b"\x01\xfe"}) as stream:
        await stream.send_message(b"hello", end=True)
        assert await stream.recv_message() == b"hello"
        await stream.recv_trailing_metadata()

    assert stream.trailing_metadata is not None
    assert stream.trailing_metadata["x-trailing-bin"] == b"\x00\xff"


async def test_streams_of_grpclib_pass_both_ways(channel: Channel) -> None:
    assert len(await UnaryStreamMethod(channel, "/echo/Server", bytes, bytes)(b"n")) == 20

    async with StreamStreamMethod(channel, "/echo/Both", bytes, bytes).open() as stream:
        for message in (b"a", b"b" * 200_000):
            await stream.send_message(message)
            assert await stream.recv_message() == message.upper()
        await stream.end()
        assert await stream.recv_message() is None


async def test_grpclib_gets_the_errors_of_a_service_and_of_the_gateway(channel: Channel) -> None:
    found = []
    for method, metadata in (("/echo/Fails", {}), ("/other/Method", {}), ("/echo/Unary", {"x-refuse": "403"})):
        with pytest.raises(GRPCError) as caught:
            await UnaryUnaryMethod(channel, method, bytes, bytes)(b"", metadata=metadata)
        found.append(caught.value.status)

    assert found == [Status.FAILED_PRECONDITION, Status.UNIMPLEMENTED, Status.PERMISSION_DENIED]


async def test_a_deadline_of_grpclib_ends_its_call(channel: Channel) -> None:
    with pytest.raises(asyncio.TimeoutError):
        await UnaryUnaryMethod(channel, "/echo/Never", bytes, bytes)(b"", timeout=0.2)


async def test_a_service_of_grpclib_serves_calls_of_grpcio(start: Start) -> None:
    server = Server([Echo()], codec=Bytes())
    await server.start("127.0.0.1", 0)
    port = server._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]  # there is no public way to it
    try:
        channel, _, _ = await start(address=f"127.0.0.1:{port}")
        call = channel.unary_unary("/echo/Unary")(b"x" * 100_000)
        assert await call == b"x" * 100_000
        assert dict(await call.trailing_metadata())["x-trailing-bin"] == b"\x00\xff"

        both = channel.stream_stream("/echo/Both")(iter([b"a", b"b"]))
        assert [piece async for piece in both] == [b"A", b"B"]

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/echo/Fails")(b"")
        assert (caught.value.code(), caught.value.details()) == (
            grpc.StatusCode.FAILED_PRECONDITION, "not now: \u00e9",
        )  # fmt: skip
    finally:
        server.close()
        await server.wait_closed()
