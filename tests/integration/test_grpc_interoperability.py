"""The cases of gRPC's interoperability tests, by their names there, with grpcio on both sides of the gateway.

Those of credentials, of compression and of load balancing are about parts of a client that the gateway has no part in,
and cacheable_unary asks for GET, which grpcio sends no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.core.proxy.kit import RunningProxy, run_proxy, until
from tests.integration.grpc_kit import code_of

INITIAL, TRAILING = "x-grpc-test-echo-initial", "x-grpc-test-echo-trailing-bin"
LARGE_REQUEST, LARGE_RESPONSE = 271_828, 314_159
UPLOADS, DOWNLOADS = (27_182, 8, 1_828, 45_904), (31_415, 9, 2_653, 58_979)

SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP \u263a and non-BMP \U0001f608\t\n"


class TestService(grpc.GenericRpcHandler):
    """A request says in its first eight digits how long the response is to be, or is ``code NUMBER TEXT``."""

    __test__ = False

    def __init__(self) -> None:
        self.ended: list[str] = []

    def service(self, details: Any) -> Any:
        streams: dict[str, Any] = {
            "/grpc.testing.TestService/EmptyCall": grpc.unary_unary_rpc_method_handler(self.empty),
            "/grpc.testing.TestService/UnaryCall": grpc.unary_unary_rpc_method_handler(self.unary),
            "/grpc.testing.TestService/StreamingInputCall": grpc.stream_unary_rpc_method_handler(self.uploads),
            "/grpc.testing.TestService/StreamingOutputCall": grpc.unary_stream_rpc_method_handler(self.downloads),
            "/grpc.testing.TestService/FullDuplexCall": grpc.stream_stream_rpc_method_handler(self.both),
        }
        return streams.get(details.method)

    async def empty(self, data: bytes, context: Any) -> bytes:
        return b""

    async def unary(self, data: bytes, context: Any) -> bytes:
        await self._echo(context)
        if data.startswith(b"code"):
            await self._abort(data, context)
        return bytes(int(data[:8]))

    async def uploads(self, pieces: AsyncIterator[bytes], context: Any) -> bytes:
        context.add_done_callback(lambda _: self.ended.append("uploads"))
        return b"%d" % sum([len(piece) async for piece in pieces])

    async def downloads(self, data: bytes, context: Any) -> AsyncIterator[bytes]:
        for size in data.split():
            yield bytes(int(size))

    async def both(self, pieces: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        context.add_done_callback(lambda _: self.ended.append("both"))
        await self._echo(context)
        async for piece in pieces:
            if piece.startswith(b"code"):
                await self._abort(piece, context)
            yield bytes(int(piece[:8]))

    @staticmethod
    async def _echo(context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        if TRAILING in metadata:
            context.set_trailing_metadata(((TRAILING, metadata[TRAILING]),))
        if INITIAL in metadata:
            await context.send_initial_metadata(((INITIAL, metadata[INITIAL]),))

    @staticmethod
    async def _abort(data: bytes, context: Any) -> None:
        _, code, text = data.split(b" ", 2)
        (found,) = [each for each in grpc.StatusCode if each.value[0] == int(code)]
        await context.abort(found, text.decode())


Stack = tuple["Calls", TestService, RunningProxy]


class Calls:
    """Calls of the service over one channel."""

    def __init__(self, channel: Any) -> None:
        name = "/grpc.testing.TestService/"
        self.channel = channel
        self.empty = channel.unary_unary(f"{name}EmptyCall")
        self.unary = channel.unary_unary(f"{name}UnaryCall")
        self.uploads = channel.stream_unary(f"{name}StreamingInputCall")
        self.downloads = channel.unary_stream(f"{name}StreamingOutputCall")
        self.both = channel.stream_stream(f"{name}FullDuplexCall")


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with AsyncExitStack() as running:
        service, server = TestService(), grpc.aio.server()
        server.add_generic_rpc_handlers((service,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        running.push_async_callback(server.stop, None)
        config = (
            "listen: 127.0.0.1:0\n"
            f"upstreams: [{{name: u, protocol: http2, endpoints: [{{url: 'http://127.0.0.1:{port}'}}]}}]\n"
            "routes: [{id: all, path_prefix: /, target: u}]\n"
        )
        gateway = await running.enter_async_context(run_proxy(config, tmp_path))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}")
        yield Calls(await running.enter_async_context(channel)), service, gateway


def sized(response: int, request: int = 8) -> bytes:
    """Return a request of a size that asks for a response of a size."""
    return (b"%08d" % response).ljust(request, b"\0")


async def test_empty_unary(stack: Stack) -> None:
    calls, _, _ = stack
    assert await calls.empty(b"") == b""


async def test_large_unary(stack: Stack) -> None:
    calls, _, _ = stack
    assert len(await calls.unary(sized(LARGE_RESPONSE, LARGE_REQUEST))) == LARGE_RESPONSE


async def test_client_streaming(stack: Stack) -> None:
    calls, _, _ = stack

    async def pieces() -> AsyncIterator[bytes]:
        for size in UPLOADS:
            yield bytes(size)

    assert await calls.uploads(pieces()) == b"%d" % sum(UPLOADS)


async def test_server_streaming(stack: Stack) -> None:
    calls, _, _ = stack
    found = [len(piece) async for piece in calls.downloads(b" ".join(b"%d" % size for size in DOWNLOADS))]
    assert found == list(DOWNLOADS)


async def test_ping_pong(stack: Stack) -> None:
    calls, _, _ = stack
    call = calls.both()
    for request, response in zip(UPLOADS, DOWNLOADS, strict=True):
        await call.write(sized(response, request))
        assert len(await call.read()) == response
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_empty_stream(stack: Stack) -> None:
    calls, _, _ = stack
    call = calls.both()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("text", ["test status message", SPECIAL, "100% of \x7f"], ids=["plain", "special", "percent"])
async def test_status_code_and_message_and_special_status_message(stack: Stack, text: str) -> None:
    calls, _, _ = stack
    asked = b"code 2 " + text.encode()
    assert await code_of(calls.unary(asked)) == (grpc.StatusCode.UNKNOWN, text)

    call = calls.both()
    await call.write(asked)
    await call.done_writing()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNKNOWN, text)


async def test_every_status_code_passes_without_a_message(stack: Stack) -> None:
    calls, _, _ = stack
    for code in grpc.StatusCode:
        if code is not grpc.StatusCode.OK:
            assert await code_of(calls.unary(b"code %d " % code.value[0])) == (code, "")


async def test_custom_metadata(stack: Stack) -> None:
    calls, _, _ = stack
    binary = b"\xab\xab\xab" + bytes(range(256))
    metadata = ((INITIAL, "test_initial_metadata_value"), (TRAILING, binary))

    unary = calls.unary(sized(LARGE_RESPONSE, LARGE_REQUEST), metadata=metadata)
    assert len(await unary) == LARGE_RESPONSE
    both = calls.both(metadata=metadata)
    await both.write(sized(LARGE_RESPONSE, LARGE_REQUEST))
    assert len(await both.read()) == LARGE_RESPONSE
    await both.done_writing()
    assert await both.read() is grpc.aio.EOF

    for call in (unary, both):
        assert dict(await call.initial_metadata())[INITIAL] == "test_initial_metadata_value"
        assert dict(await call.trailing_metadata())[TRAILING] == binary


async def test_cancel_after_begin(stack: Stack) -> None:
    calls, service, gateway = stack
    call = calls.uploads()
    await call.write(b"x")
    await until(lambda: gateway.proxy.exchanges)
    call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED
    await until(lambda: not gateway.proxy.exchanges and service.ended == ["uploads"])


async def test_cancel_after_first_response(stack: Stack) -> None:
    calls, service, gateway = stack
    call = calls.both()
    await call.write(sized(DOWNLOADS[0], UPLOADS[0]))
    assert len(await call.read()) == DOWNLOADS[0]
    call.cancel()
    assert await call.code() is grpc.StatusCode.CANCELLED
    await until(lambda: not gateway.proxy.exchanges and service.ended == ["both"])


async def test_timeout_on_sleeping_server(stack: Stack) -> None:
    calls, _, gateway = stack
    call = calls.both(timeout=0.001)
    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: not gateway.proxy.exchanges)
    later = calls.both(timeout=0.5)
    assert await later.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: not gateway.proxy.exchanges)


@pytest.mark.parametrize(
    "of",
    [
        lambda channel: channel.unary_unary("/grpc.testing.TestService/UnimplementedCall"),
        lambda channel: channel.unary_unary("/grpc.testing.UnimplementedService/UnimplementedCall"),
    ],
    ids=["unimplemented_method", "unimplemented_service"],
)
async def test_unimplemented(stack: Stack, of: Callable[[Any], Any]) -> None:
    calls, _, _ = stack
    assert (await code_of(of(calls.channel)(b"")))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_concurrent_large_unary(stack: Stack) -> None:
    calls, _, gateway = stack
    found = await asyncio.gather(*[calls.unary(sized(LARGE_RESPONSE, LARGE_REQUEST)) for _ in range(30)])
    assert {len(each) for each in found} == {LARGE_RESPONSE}
    await until(lambda: not gateway.proxy.exchanges)
