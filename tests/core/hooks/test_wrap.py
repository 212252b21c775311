from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.errors import BadBodyError, BodyTooLargeError, ClientGoneError
from gateway_core.hooks import (
    Binding,
    Plugin,
    Stop,
    Suspended,
    build_chain,
    hookimpl_blocking,
    start_log_phase,
    start_phase,
    start_response_phase,
)
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.messages.fields import HeaderError

from tests.core.messages.read import Read

Bind = Callable[..., Binding]
Counted = Callable[..., float]


class Failing(Plugin[Any]):
    """Fails as long as it is told to, in one way or another."""

    name = "failing"
    fails = True
    calls = 0

    @hookimpl
    def gateway_pre_proxy(self, request: Request) -> None:
        self.calls += 1
        if self.fails:
            raise ValueError


class FailingAsync(Failing):
    name = "failing-async"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:  # type: ignore[override]
        self.calls += 1
        if self.fails:
            raise ValueError


async def status(binding: Binding, request: Request) -> int | None:
    outcome = start_phase(build_chain([binding]).pre_proxy, request)
    stop = await outcome.finish() if isinstance(outcome, Suspended) else outcome
    return stop.result.status if stop is not None and isinstance(stop.result, Response) else None


@pytest.mark.parametrize("plugin", [Failing, FailingAsync])
@pytest.mark.parametrize(("on_error", "answer"), [("deny", 500), ("continue", None)])
async def test_quarantine_skips_a_failing_binding_and_tries_it_again(
    bind: Bind,
    request_: Request,
    clock: ManualClock,
    counted: Counted,
    plugin: type[Failing],
    on_error: str,
    answer: int | None,
) -> None:
    binding = bind(plugin, on_error=on_error, quarantine=(2, 10.0, 30.0, 1))
    instance = binding.instance
    assert isinstance(instance, Failing)

    assert [await status(binding, request_) for _ in range(5)] == [answer] * 5
    assert instance.calls == 2
    assert counted("gateway_plugin_errors") == 2
    assert counted("gateway_plugin_quarantined") == 3
    assert counted("gateway_plugin_quarantines") == 1

    clock.advance(30)
    assert [await status(binding, request_) for _ in range(2)] == [answer] * 2
    assert instance.calls == 3

    clock.advance(30)
    instance.fails = False
    assert [await status(binding, request_) for _ in range(3)] == [None] * 3
    assert instance.calls == 6


async def test_a_try_that_is_cancelled_with_its_request_makes_room_for_the_next(
    bind: Bind, request_: Request, clock: ManualClock
) -> None:
    class Waiting(Plugin[Any]):
        name = "waiting"
        waits = True

        @hookimpl
        async def gateway_pre_proxy(self) -> None:
            if self.waits:
                await asyncio.Event().wait()

    binding = bind(Waiting, quarantine=(1, 10.0, 30.0, 1))
    assert binding.quarantine is not None
    binding.quarantine.failed(clock.monotonic(), "gateway_pre_proxy", "client")
    clock.advance(30)

    suspended = start_phase(build_chain([binding]).pre_proxy, request_)
    assert isinstance(suspended, Suspended)
    task = asyncio.get_running_loop().create_task(suspended.finish())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    binding.instance.waits = False  # type: ignore[attr-defined]

    assert await status(binding, request_) is None
    assert binding.quarantine.is_closed


async def test_timeouts_count_for_the_quarantine(bind: Bind, request_: Request) -> None:
    class Hanging(Plugin[Any]):
        name = "hanging"

        @hookimpl
        async def gateway_pre_proxy(self) -> None:
            await asyncio.Event().wait()

    binding = bind(Hanging, timeout=0.01, quarantine=(2, 1000.0, 30.0, 1))

    for _ in range(2):
        await status(binding, request_)

    assert binding.quarantine is not None
    assert not binding.quarantine.is_closed


def test_a_plain_hook_over_its_timeout_is_counted_and_its_decision_stands(
    bind: Bind, request_: Request, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    class Slow(Plugin[Any]):
        name = "slow"

        @hookimpl
        def gateway_pre_proxy(self) -> Response:
            threading.Event().wait(0.002)
            return Response(204)

    stop = start_phase(build_chain([bind(Slow, timeout=0.001)]).pre_proxy, request_)

    assert isinstance(stop, Stop)
    assert isinstance(stop.result, Response)
    assert stop.result.status == 204
    assert counted("gateway_plugin_timeouts") == 1
    assert "make it async, or mark it with @hookimpl_blocking" in caplog.text


async def test_a_blocking_hook_runs_in_a_thread_and_obeys_the_timeout(
    bind: Bind, request_: Request, counted: Counted
) -> None:
    release, threads = threading.Event(), list[int]()

    class Blocking(Plugin[Any]):
        name = "blocking"

        @hookimpl_blocking
        def gateway_pre_proxy(self, request: Request) -> Response | None:
            threads.append(threading.get_ident())
            if request.path == "/hang":
                release.wait(30)
            return Response(204)

    binding = bind(Blocking, timeout=5.0)
    assert await status(binding, request_) == 204
    assert threads != [threading.get_ident()]

    binding.timeout = 0.01
    request_.raw_path = "/hang"
    assert await status(binding, request_) == 500
    assert counted("gateway_plugin_timeouts") == 1
    release.set()


async def test_a_blocking_hook_runs_in_the_response_and_log_phases_too(bind: Bind, request_: Request) -> None:
    class Blocking(Plugin[Any]):
        name = "blocking"

        @hookimpl_blocking
        def gateway_response(self, response: Response) -> None:
            response.headers["x-thread"] = threading.current_thread().name

        @hookimpl_blocking
        def gateway_log(self, request: Request) -> None:
            request.state["logged"] = True

    chain = build_chain([bind(Blocking)])
    outcome = start_response_phase(chain.response, request_, Response())
    response = await outcome.finish() if isinstance(outcome, Suspended) else outcome
    assert response.headers["x-thread"].startswith("gateway-hook")

    logged = start_log_phase(chain.log, request_, response, Record())
    assert logged is not None
    await logged.finish()
    assert request_.state["logged"]


@pytest.mark.parametrize("error", [BadBodyError("x"), BodyTooLargeError("x"), ClientGoneError("x"), HeaderError("x")])
async def test_what_a_client_causes_does_not_count_for_the_quarantine(
    bind: Bind, request_: Request, error: Exception
) -> None:
    class Raising(Plugin[Any]):
        name = "raising"

        @hookimpl
        def gateway_response(self, request: Request, response: Response) -> None:
            raise error

    binding = bind(Raising, quarantine=(1, 10.0, 30.0, 1))

    for _ in range(5):
        start_response_phase(build_chain([binding]).response, request_, Response())

    assert binding.faults.count == 5

    assert binding.quarantine is not None
    assert binding.quarantine.is_closed


async def test_the_timeout_stands_still_while_a_hook_waits_for_the_clients_body(bind: Bind, request_: Request) -> None:
    came = asyncio.Event()

    async def slow(_limit: int) -> bytes:
        await came.wait()
        return b"body"

    class Reading(Plugin[Any]):
        name = "reading"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> Response:
            first, second = await asyncio.gather(request.read(), request.read())
            return Response(200, first + second)

    request_.operations = Read(slow)
    binding = bind(Reading, timeout=0.02, quarantine=(1, 1000.0, 30.0, 1))
    suspended = start_phase(build_chain([binding]).pre_proxy, request_)
    assert isinstance(suspended, Suspended)

    # Longer than the timeout: the hook is still there when the body comes at last.
    asyncio.get_running_loop().call_later(0.1, came.set)
    stop = await suspended.finish()

    assert stop is not None
    assert isinstance(stop.result, Response)
    assert stop.result.body == b"bodybody"
    assert binding.faults.count == 0


async def test_the_timeout_goes_on_when_the_body_is_there(bind: Bind, request_: Request) -> None:
    async def read(_limit: int) -> bytes:
        await asyncio.sleep(0)
        return b""

    class Hanging(Plugin[Any]):
        name = "hanging"

        @hookimpl
        async def gateway_pre_proxy(self, request: Request) -> None:
            await request.read()
            await asyncio.Event().wait()

    request_.operations = Read(read)
    binding = bind(Hanging, timeout=0.01)

    assert await status(binding, request_) == 500
    assert binding.faults.count == 1
