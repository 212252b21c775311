"""Calls of gRPC through the gateway: what passes, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest

from tests.core.proxy.kit import until
from tests.integration.grpc_kit import Echo, Start, code_of, starting


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with starting(tmp_path) as begin:
        yield begin


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


async def test_the_deadline_of_a_call_goes_on(start: Start) -> None:
    channel, echo, _ = await start()
    await channel.unary_unary("/echo/Unary")(b"x", timeout=50)
    assert 0 < echo.remaining[0] < 51  # grpcio rounds timeouts up


async def test_the_gateway_ends_a_call_at_its_deadline(start: Start) -> None:
    channel, _, gateway = await start(upstream="timeouts: {response: 0s}")
    call = channel.unary_unary("/echo/Never")(b"", timeout=3600)
    code, _ = await gateway.passing(1300, code_of(call))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_call_that_its_client_cancels_ends_at_the_service(start: Start) -> None:
    channel, echo, gateway = await start()
    call = channel.stream_stream("/echo/Both")()
    await call.write(b"a")
    assert await call.read() == b"A"
    call.cancel()
    await until(lambda: echo.ended and not gateway.proxy.exchanges)


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


async def test_what_a_retry_has_left_of_the_deadline_is_less(start: Start) -> None:
    retries = "retries: {attempts: 1, on: [unavailable]}"
    channel, echo, _ = await start(upstream=retries)
    echo.refusals = [(grpc.StatusCode.UNAVAILABLE, "50")]

    await channel.unary_unary("/echo/Refuses")(b"a", timeout=50)

    first, second = echo.remaining
    assert second <= first - 0.05


TIMEOUTS = "timeouts: {idle: 1s, response: 1s}"


async def test_a_quiet_stream_outlives_idle_and_body_timeouts(start: Start) -> None:
    channel, _, gateway = await start(extra="limits: {body_timeout: 1s, idle_timeout: 1s}", upstream=TIMEOUTS)
    call = channel.stream_stream("/echo/Both")()
    await call.write(b"a")
    assert await call.read() == b"A"
    for _ in range(3):
        await gateway.pass_time(3600)

    await call.write(b"b")
    assert await call.read() == b"B"
    await gateway.pass_time(3600)
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_is_quiet_before_its_first_message_as_well(start: Start) -> None:
    channel, echo, gateway = await start(extra="limits: {body_timeout: 1s}", upstream=TIMEOUTS)
    call = channel.stream_stream("/echo/Both")()
    await call.wait_for_connection()
    await until(lambda: echo.metadata)
    await gateway.pass_time(3600)

    await call.write(b"a")
    assert await call.read() == b"A"
    call.cancel()


async def test_a_stream_ends_when_the_whole_request_has_taken_too_long(start: Start) -> None:
    channel, _, gateway = await start(upstream="timeouts: {total: 1h}")
    call = channel.stream_stream("/echo/Both")()
    await call.write(b"a")
    assert await call.read() == b"A"
    await gateway.pass_time(3700)

    assert await call.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_calls_in_progress_end_with_unavailable_when_the_gateway_waits_no_longer(start: Start) -> None:
    channel, echo, gateway = await start()
    begun, waiting = channel.stream_stream("/echo/Both")(), channel.unary_unary("/echo/Never")(b"")
    await begun.write(b"a")
    assert await begun.read() == b"A"
    await until(lambda: len(echo.metadata) == 2)

    await gateway.proxy.drain(0.2)

    assert await begun.code() is await waiting.code() is grpc.StatusCode.UNAVAILABLE
    assert await begun.details() == "the gateway is being stopped and has waited long enough"
    await until(lambda: echo.ended)


async def test_a_call_that_its_service_gives_up_ends_at_the_client(start: Start) -> None:
    channel, echo, _ = await start()
    call = channel.stream_stream("/echo/Both")()
    await call.write(b"a")
    assert await call.read() == b"A"

    await echo.serving.stop(0)

    assert await call.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL}
