"""Services of gRPC behind a gateway: grpcio on both sides."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import grpc
import grpc.aio
import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response

from tests.core.proxy.kit import RunningProxy, run_proxy


class Echo(grpc.GenericRpcHandler):
    """Serves bytes of all kinds of streams, and its own health."""

    def __init__(self) -> None:
        self.health = b"\x08\x01"
        self.refusals: list[tuple[grpc.StatusCode, str]] = []
        self.metadata: list[dict[str, str | bytes]] = []
        self.remaining: list[float] = []

        self.may_go_on = asyncio.Event()
        self.port = 0
        self.ended: list[int] = []  # the statuses of streams of Both

    async def begin(self) -> None:
        """Serve, at the same port as before."""
        self.serving = grpc.aio.server()
        self.serving.add_generic_rpc_handlers((self,))
        self.port = self.serving.add_insecure_port(f"127.0.0.1:{self.port}")
        await self.serving.start()

    def service(self, details: Any) -> Any:
        self.metadata.append(dict(details.invocation_metadata))
        kinds: dict[str, Any] = {
            "/echo/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/echo/Server": grpc.unary_stream_rpc_method_handler(self.server),
            "/echo/Client": grpc.stream_unary_rpc_method_handler(self.client),
            "/echo/Both": grpc.stream_stream_rpc_method_handler(self.both),
            "/echo/Fails": grpc.unary_unary_rpc_method_handler(self.fails),
            "/echo/Refuses": grpc.unary_unary_rpc_method_handler(self.refuses),
            "/echo/Late": grpc.unary_stream_rpc_method_handler(self.late),
            "/echo/Slow": grpc.unary_stream_rpc_method_handler(self.slow),
            "/echo/Never": grpc.unary_unary_rpc_method_handler(self.never),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(self.check),
        }
        return kinds.get(details.method)

    async def unary(self, data: bytes, context: Any) -> bytes:
        self.remaining.append(context.time_remaining() or 0.0)
        context.set_trailing_metadata((("x-trailing-bin", b"\x00\xff"), ("x-trailing", "yes")))
        await context.send_initial_metadata((("x-initial", "1"),))
        return data

    async def check(self, data: bytes, context: Any) -> bytes:
        return self.health

    async def server(self, data: bytes, context: Any) -> AsyncIterator[bytes]:
        for number in range(20):
            yield data + b"%d" % number

    async def client(self, pieces: AsyncIterator[bytes], context: Any) -> bytes:
        return b"".join([piece async for piece in pieces])

    async def both(self, pieces: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        context.add_done_callback(lambda done: self.ended.append(done.code()))
        async for piece in pieces:
            yield piece.upper()

    async def fails(self, data: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: \u00e9")
        return b""

    async def refuses(self, data: bytes, context: Any) -> bytes:
        """Refuse as long as there are refusals, with the pushback that each names."""
        self.remaining.append(context.time_remaining() or 0.0)
        if self.refusals:
            code, pushback = self.refusals.pop(0)
            if pushback:
                context.set_trailing_metadata((("grpc-retry-pushback-ms", pushback),))
            await context.abort(code, "refused")
        return data

    async def late(self, data: bytes, context: Any) -> AsyncIterator[bytes]:
        """Fail behind a message, with the code that the request names."""
        yield data
        await context.abort(grpc.StatusCode[data.decode()], "late")

    async def slow(self, data: bytes, context: Any) -> AsyncIterator[bytes]:
        """Send a message, and another one when the test lets it."""
        yield data
        await self.may_go_on.wait()
        yield data

    async def never(self, data: bytes, context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""


class Recording(Plugin[object]):
    """Keeps the records of the requests."""

    name = "recording"
    records: ClassVar[list[Record]] = []

    @hookimpl
    def gateway_log(self, request: Request, response: Response, record: Record) -> None:
        self.records.append(record)


class Refusing(Plugin[object]):
    """Responds in place of the upstream, with the status and the reason (in hex) that fields name."""

    name = "refusing"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        status = request.headers.get("x-refuse")
        why = bytes.fromhex(request.headers.get("x-why", "")).decode() or "because"
        return None if status is None else Response.problem(int(status), why)


Calls = tuple[Any, Echo, RunningProxy]
Start = Callable[..., Awaitable[Calls]]


@asynccontextmanager
async def served(echo: Echo) -> AsyncIterator[str]:
    """Serve, and return the URL."""
    await echo.begin()
    try:
        yield f"http://127.0.0.1:{echo.port}"
    finally:
        await echo.serving.stop(None)


@asynccontextmanager
async def calls(
    folder: Path,
    extra: str = "",
    upstream: str = "",
    address: str = "",
    routes: str = "",
    others: tuple[Echo, ...] = (),
    plugins: tuple[type[Plugin[Any]], ...] = (),
) -> AsyncIterator[Calls]:
    """Run a gateway before one service, or before several that are the same upstream's endpoints."""
    async with AsyncExitStack() as stack:
        echo = Echo()
        urls = [await stack.enter_async_context(served(each)) for each in (echo, *others)]
        if address:
            urls = [f"http://{address}"]
        endpoints = ", ".join(f"{{url: '{url}'}}" for url in urls)
        config = (
            f"listen: 127.0.0.1:0\n{extra}\nupstreams:\n"
            f"  - {{name: echo, protocol: http2, endpoints: [{endpoints}], {upstream}}}\n"
            "plugins: [{name: refusing}, {name: recording}]\n"
            "routes:\n  - {id: echo, path_prefix: /echo, target: echo}\n"
            f"{routes}\n"
        )
        gateway = await stack.enter_async_context(run_proxy(config, folder, [Refusing, Recording, *plugins]))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}")
        yield await stack.enter_async_context(channel), echo, gateway


@asynccontextmanager
async def starting(folder: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def begin(**options: Any) -> Calls:
            return await stack.enter_async_context(calls(folder, **options))

        yield begin


async def code_of(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def end_of(call: Any) -> grpc.StatusCode:
    """Read a stream to its end, and return how that was."""
    with contextlib.suppress(grpc.aio.AioRpcError):
        async for _ in call:
            pass
    code = await call.code()
    assert isinstance(code, grpc.StatusCode)
    return code
