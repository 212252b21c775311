"""How calls of gRPC end: retries, what takes endpoints out, records and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from gateway_core.messages import Record

from tests.core.proxy.kit import until
from tests.integration.grpc_kit import Recording, Start, code_of, end_of, starting


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with starting(tmp_path) as begin:
        yield begin


@pytest.fixture
def records() -> list[Record]:
    Recording.records.clear()
    return Recording.records


RETRIES = "retries: {attempts: 2, on: [unavailable, resource-exhausted], backoff_base: 1ms, backoff_max: 1ms}"
UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_refused_call_is_sent_again_and_says_how_often_it_was(start: Start, records: list[Record]) -> None:
    channel, echo, _ = await start(upstream=RETRIES)
    echo.refusals = [(UNAVAILABLE, ""), (EXHAUSTED, "")]

    assert await channel.unary_unary("/echo/Refuses")(b"a") == b"a"

    assert [each.get("grpc-previous-rpc-attempts") for each in echo.metadata] == [None, "1", "2"]
    await until(lambda: records)
    assert [attempt.grpc_status for attempt in records[0].failed] == [14, 8]
    assert (records[0].grpc_status, records[0].attempt_count) == (0, 3)


@pytest.mark.parametrize(
    ("refusals", "code"),
    [
        ([(UNAVAILABLE, "")] * 3, UNAVAILABLE),
        ([(grpc.StatusCode.INTERNAL, "")], grpc.StatusCode.INTERNAL),
        ([(UNAVAILABLE, "-1")], UNAVAILABLE),
        ([(UNAVAILABLE, "600000")], UNAVAILABLE),
    ],
)
async def test_a_call_is_not_sent_again_without_end(
    start: Start, refusals: list[tuple[grpc.StatusCode, str]], code: grpc.StatusCode
) -> None:
    channel, echo, _ = await start(upstream=RETRIES)
    echo.refusals = list(refusals)

    assert await code_of(channel.unary_unary("/echo/Refuses")(b"a")) == (code, "refused")
    assert len(echo.metadata) == len(refusals)


async def test_a_retry_waits_as_long_as_the_service_asks_for(start: Start) -> None:
    channel, echo, _ = await start(upstream=RETRIES)
    echo.refusals = [(UNAVAILABLE, "60"), (UNAVAILABLE, "0")]
    began = asyncio.get_running_loop().time()

    assert await channel.unary_unary("/echo/Refuses")(b"a") == b"a"
    assert asyncio.get_running_loop().time() - began >= 0.06


async def test_a_call_that_has_a_message_is_not_sent_again(start: Start) -> None:
    channel, echo, _ = await start(upstream=RETRIES)
    call = channel.unary_stream("/echo/Late")(b"UNAVAILABLE")

    assert await call.read() == b"UNAVAILABLE"
    assert await call.code() is UNAVAILABLE
    assert len(echo.metadata) == 1


async def test_a_service_that_starts_anew_loses_no_call(start: Start) -> None:
    channel, echo, _ = await start()
    multi = channel.unary_unary("/echo/Unary")
    assert await multi(b"a") == b"a"
    await echo.serving.stop(1)  # with a GOAWAY
    await echo.begin()

    assert await asyncio.gather(*[multi(b"%d" % number) for number in range(20)])


@pytest.mark.parametrize("method", ["/echo/Late", "/echo/Fails"])
async def test_the_status_of_a_call_is_recorded_and_counted(start: Start, records: list[Record], method: str) -> None:
    channel, _, gateway = await start()
    assert await end_of(channel.unary_stream(method)(b"FAILED_PRECONDITION")) is grpc.StatusCode.FAILED_PRECONDITION
    await until(lambda: records)

    assert records[0].grpc_status == 9
    assert records[0].attempts[-1].status == 200
    samples = gateway.environment.metrics.collect()
    assert samples.value("gateway_grpc_calls", "echo", "FAILED_PRECONDITION") == 1


async def test_the_status_of_a_refusal_is_recorded_and_counted(start: Start, records: list[Record]) -> None:
    channel, _, gateway = await start()
    await code_of(channel.unary_unary("/echo/Unary")(b"", metadata=(("x-refuse", "403"),)))
    await until(lambda: records)

    assert (records[0].grpc_status, records[0].produced_by) == (7, "refusing")
    assert gateway.environment.metrics.collect().value("gateway_grpc_calls", "echo", "PERMISSION_DENIED") == 1


BREAKER = "circuit_breaker: {minimum_requests: 3, failure_ratio: 1, open_for: 1h}"
OUTLIERS = "outlier_detection: {consecutive_5xx: 3, max_ejection_percent: 100}"


@pytest.mark.parametrize(
    ("guard", "event"), [(BREAKER, "is open: responded UNAVAILABLE"), (OUTLIERS, "is ejected for 30 s: responded")]
)
@pytest.mark.parametrize("method", ["/echo/Refuses", "/echo/Late"])
async def test_calls_that_fail_take_an_endpoint_out(
    start: Start, caplog: pytest.LogCaptureFixture, guard: str, event: str, method: str
) -> None:
    channel, echo, _ = await start(upstream=guard)
    echo.refusals = [(UNAVAILABLE, "")] * 9
    for _ in range(3):
        assert await end_of(channel.unary_stream(method)(b"UNAVAILABLE")) is UNAVAILABLE

    assert event in caplog.text


@pytest.mark.parametrize("code", ["UNIMPLEMENTED", "NOT_FOUND", "DEADLINE_EXCEEDED", "INVALID_ARGUMENT"])
async def test_what_clients_bring_about_takes_no_endpoint_out(start: Start, code: str) -> None:
    channel, _, _ = await start(upstream=f"{BREAKER}, {OUTLIERS}")
    for _ in range(5):
        assert await end_of(channel.unary_stream("/echo/Late")(code.encode())) is grpc.StatusCode[code]

    assert await channel.unary_unary("/echo/Unary")(b"a") == b"a"


async def test_a_deadline_that_the_client_has_chosen_takes_no_endpoint_out(start: Start) -> None:
    channel, _, gateway = await start(upstream=f"{BREAKER}, {OUTLIERS}")
    for _ in range(5):
        call = channel.unary_unary("/echo/Never")(b"", timeout=3600)
        assert (await gateway.passing(3700, code_of(call)))[0] is grpc.StatusCode.DEADLINE_EXCEEDED

    assert await channel.unary_unary("/echo/Unary")(b"a") == b"a"
