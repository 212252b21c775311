"""Calls of gRPC through the gateway: grpcio on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from gateway_core.hooks import Plugin
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response

from tests.core.proxy.kit import RunningProxy, run_proxy, until


class Echo(grpc.GenericRpcHandler):
    """Serves bytes of all kinds of streams, and its own health."""

    def __init__(self) -> None:
        self.health = b"\x08\x01"
        self.metadata: list[dict[str, str | bytes]] = []
        self.remaining: list[float] = []

    def service(self, details: Any) -> Any:
        self.metadata.append(dict(details.invocation_metadata))
        kinds: dict[str, Any] = {
            "/echo/Unary": grpc.unary_unary_rpc_method_handler(self.unary),
            "/echo/Server": grpc.unary_stream_rpc_method_handler(self.server),
            "/echo/Client": grpc.stream_unary_rpc_method_handler(self.client),
            "/echo/Both": grpc.stream_stream_rpc_method_handler(self.both),
            "/echo/Fails": grpc.unary_unary_rpc_method_handler(self.fails),
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
        async for piece in pieces:
            yield piece.upper()

    async def fails(self, data: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: \u00e9")
        return b""

    async def never(self, data: bytes, context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""


class Refusing(Plugin[object]):
    """Responds in place of the upstream, with the status that a field names."""

    name = "refusing"

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> Response | None:
        status = request.headers.get("x-refuse")
        return None if status is None else Response.problem(int(status), "because")


Calls = tuple[Any, Echo, RunningProxy]
Start = Callable[..., Awaitable[Calls]]


@asynccontextmanager
async def served(echo: Echo) -> AsyncIterator[str]:
    """Serve, and return the URL."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((echo,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"http://127.0.0.1:{port}"
    await server.stop(None)


@asynccontextmanager
async def calls(
    folder: Path,
    extra: str = "",
    upstream: str = "",
    address: str = "",
    routes: str = "",
    others: tuple[Echo, ...] = (),
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
            "routes:\n  - {id: echo, path_prefix: /echo, target: echo, plugins: [{name: refusing}]}\n"
            f"{routes}\n"
        )
        gateway = await stack.enter_async_context(run_proxy(config, folder, [Refusing]))
        channel = grpc.aio.insecure_channel(f"127.0.0.1:{gateway.port}")
        yield await stack.enter_async_context(channel), echo, gateway


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def begin(**options: Any) -> Calls:
            return await stack.enter_async_context(calls(tmp_path, **options))

        yield begin


async def code_of(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), caught.value.details() or ""


async def test_a_unary_call_passes_with_its_metadata(start: Start) -> None:
    channel, echo, _ = await start()
    call = channel.unary_unary("/echo/Unary")(b"hello", metadata=(("x-own-bin", b"\x00\x01\xfe"), ("x-own", "1")))
    assert await call == b"hello"
    assert dict(await call.initial_metadata())["x-initial"] == "1"
    trailing = dict(await call.trailing_metadata())
    assert (trailing["x-trailing-bin"], trailing["x-trailing"]) == (b"\x00\xff", "yes")
    assert (echo.metadata[0]["x-own-bin"], echo.metadata[0]["x-own"]) == (b"\x00\x01\xfe", "1")


async def test_streams_of_all_kinds_pass(start: Start) -> None:
    channel, _, _ = await start()
    found = [piece async for piece in channel.unary_stream("/echo/Server")(b"n")]
    assert found == [b"n%d" % number for number in range(20)]

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(50):
            yield b"%d," % number * 1000

    assert len(await channel.stream_unary("/echo/Client")(pieces())) == sum(len(b"%d," % n) for n in range(50)) * 1000


async def test_both_sides_of_a_stream_alternate(start: Start) -> None:
    channel, _, _ = await start()
    call = channel.stream_stream("/echo/Both")()
    for piece in (b"a", b"b", b"c" * 100_000):
        await call.write(piece)
        assert await call.read() == piece.upper()
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_an_error_of_the_service_reaches_its_client(start: Start) -> None:
    channel, _, _ = await start()
    assert await code_of(channel.unary_unary("/echo/Fails")(b"")) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "not now: \u00e9",
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, grpc.StatusCode.INTERNAL),
        (401, grpc.StatusCode.UNAUTHENTICATED),
        (403, grpc.StatusCode.PERMISSION_DENIED),
        (404, grpc.StatusCode.UNIMPLEMENTED),
        (413, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (429, grpc.StatusCode.UNAVAILABLE),
        (503, grpc.StatusCode.UNAVAILABLE),
        (418, grpc.StatusCode.UNKNOWN),
    ],
)
async def test_what_a_plugin_responds_is_a_status_of_grpc(start: Start, status: int, code: grpc.StatusCode) -> None:
    channel, _, _ = await start()
    call = channel.unary_unary("/echo/Unary")(b"x", metadata=(("x-refuse", str(status)),))
    assert await code_of(call) == (code, "because")


async def test_what_the_gateway_refuses_is_a_status_of_grpc(start: Start) -> None:
    channel, _, _ = await start(extra="limits: {max_body_bytes: 100}")
    assert (await code_of(channel.unary_unary("/nowhere/Unary")(b"")))[0] is grpc.StatusCode.UNIMPLEMENTED
    assert (await code_of(channel.unary_unary("/echo/Unary")(bytes(1000))))[0] is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_service_that_is_not_there_is_unavailable(start: Start) -> None:
    channel, _, _ = await start(address="127.0.0.1:1")
    assert (await code_of(channel.unary_unary("/echo/Unary")(b"")))[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_service_that_does_not_respond_exceeds_the_deadline(start: Start) -> None:
    channel, _, gateway = await start(upstream="timeouts: {response: 30s}")
    call = channel.unary_unary("/echo/Never")(b"")
    code, _ = await gateway.passing(10, code_of(call))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_the_deadline_of_a_call_goes_on_less_the_time_that_passed(start: Start) -> None:
    channel, echo, _ = await start()
    await channel.unary_unary("/echo/Unary")(b"x", timeout=50)
    assert 0 < echo.remaining[0] <= 50


async def test_the_gateway_ends_a_call_at_its_deadline(start: Start) -> None:
    channel, _, gateway = await start(upstream="timeouts: {response: 0s}")
    call = channel.unary_unary("/echo/Never")(b"", timeout=3600)
    code, _ = await gateway.passing(1300, code_of(call))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_that_its_client_cancels_ends_at_the_service(start: Start) -> None:
    channel, _, gateway = await start()
    call = channel.stream_stream("/echo/Both")()
    await call.write(b"a")
    assert await call.read() == b"A"
    call.cancel()
    while gateway.proxy.exchanges:  # noqa: ASYNC110 - what is waited for knows no event
        await asyncio.sleep(0.01)


async def test_a_hundred_calls_share_a_connection(start: Start) -> None:
    channel, _, _ = await start()
    multi = channel.unary_unary("/echo/Unary")
    found = await asyncio.gather(*[multi(b"%d" % number) for number in range(100)])
    assert found == [b"%d" % number for number in range(100)]


async def test_a_route_takes_the_calls_of_its_service_and_method(start: Start) -> None:
    routes = "  - {id: all, grpc: {service: echo.v1.Echo}, target: echo, rewrite: {template: '/echo/:method'}}"
    channel, _, _ = await start(routes=routes)

    assert await channel.unary_unary("/echo.v1.Echo/Unary")(b"a") == b"a"
    assert (await code_of(channel.unary_unary("/echo.v1.Echo/Fails")(b"")))[0] is grpc.StatusCode.FAILED_PRECONDITION
    assert (await code_of(channel.unary_unary("/echo.v2.Echo/Unary")(b"")))[0] is grpc.StatusCode.UNIMPLEMENTED


async def test_endpoints_that_do_not_serve_get_no_calls(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ill = Echo()
    ill.health = b"\x08\x02"
    health = "health_check: {type: grpc, service: echo.v1.Echo, interval: 10ms, jitter: 0}"
    channel, echo, _ = await start(upstream=health, others=(ill,))
    await until(lambda: "is unhealthy: responded NOT_SERVING, expected SERVING (grpc check)" in caplog.text)

    for _ in range(4):
        await channel.unary_unary("/echo/Unary")(b"")

    assert [len(service.remaining) for service in (echo, ill)] == [4, 0]
    ill.health = b"\x08\x01"
    await until(lambda: "is healthy again (grpc check)" in caplog.text)
