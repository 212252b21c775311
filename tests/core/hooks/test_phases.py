from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.errors import BodyTooLargeError, ClientGoneError, TextTooLongError
from gateway_core.hooks import (
    Binding,
    Plugin,
    Stop,
    Suspended,
    build_chain,
    reject_result,
    start_log_phase,
    start_phase,
    start_response_phase,
)
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response, RouteInfo

Bind = Callable[..., Binding]
Counted = Callable[..., float]


def pre_proxy(function: Callable[..., Any]) -> dict[str, Any]:
    return {"gateway_pre_proxy": hook("gateway_pre_proxy", function)}


def hook(phase: str, function: Callable[..., Any]) -> Any:
    function.__qualname__ = "Made.hook"
    return hookimpl(specname=phase)(function)


async def finished(outcome: Any) -> Any:
    return await outcome.finish() if isinstance(outcome, Suspended) else outcome


def test_without_hooks_nothing_happens(request_: Request) -> None:
    response = Response()

    assert start_phase((), request_) is None
    assert start_phase((), request_, None) is None
    assert start_response_phase((), request_, response) is response
    assert start_log_phase((), request_, response, Record()) is None


def test_the_route_match_phase_is_given_the_route_or_none(bind: Bind, request_: Request) -> None:
    seen = []

    class Seeing(Plugin[Any]):
        name = "seeing"

        @hookimpl
        def gateway_route_match(self, request: Any, route: Any) -> None:
            seen.append(route)

    hooks = build_chain([bind(Seeing)]).route_match

    start_phase(hooks, request_, None)
    start_phase(hooks, request_, RouteInfo("r"))

    assert seen == [None, RouteInfo("r")]


def test_an_answer_says_who_made_it(bind: Bind, request_: Request) -> None:
    stop = start_phase(build_chain([bind(pre_proxy(lambda self, request: Response(401)), "auth")]).pre_proxy, request_)

    assert isinstance(stop, Stop)
    assert isinstance(stop.result, Response)
    assert (stop.result.produced_by, stop.error) == ("auth", None)


@pytest.mark.parametrize(("on_timeout", "status"), [("deny", 500), ("continue", None)])
async def test_an_async_hook_that_takes_too_long_is_cancelled_and_counted(
    bind: Bind, request_: Request, counted: Counted, on_timeout: str, status: int | None
) -> None:
    cancelled = []

    async def hang(self: Any, request: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    binding = bind(pre_proxy(hang), "x", timeout=0.01, on_error="deny", on_timeout=on_timeout)
    stop = await finished(start_phase(build_chain([binding]).pre_proxy, request_))

    assert (stop and stop.result.status) == status
    assert cancelled == [True]
    assert counted("gateway_plugin_timeouts", binding="x") == 1
    assert counted("gateway_plugin_errors") == 0


async def test_a_timeout_error_of_the_hook_itself_is_an_ordinary_failure(
    bind: Bind, request_: Request, counted: Counted
) -> None:
    async def fail(self: Any, request: Any) -> None:
        raise TimeoutError

    stop = await finished(start_phase(build_chain([bind(pre_proxy(fail), timeout=9)]).pre_proxy, request_))

    assert stop.result.status == 500
    assert (counted("gateway_plugin_timeouts"), counted("gateway_plugin_errors")) == (0, 1)


async def test_a_cancelled_request_is_no_failure(bind: Bind, request_: Request, counted: Counted) -> None:
    started = asyncio.Event()

    async def wait(self: Any, request: Any) -> None:
        started.set()
        await asyncio.Event().wait()

    suspended = start_phase(build_chain([bind(pre_proxy(wait), on_error="continue")]).pre_proxy, request_)
    assert isinstance(suspended, Suspended)
    task = asyncio.get_running_loop().create_task(suspended.finish())
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert counted("gateway_plugin_errors") == 0


async def test_awaiting_something_that_was_cancelled_is_the_hooks_failure(bind: Bind, request_: Request) -> None:
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()

    async def wait(self: Any, request: Any) -> None:
        await gone

    stop = await finished(start_phase(build_chain([bind(pre_proxy(wait))]).pre_proxy, request_))

    assert stop.result.status == 500
    assert "it awaited something that was cancelled" in stop.error


async def test_a_body_over_the_limit_of_a_hook_is_413_and_no_failure(
    bind: Bind, request_: Request, counted: Counted
) -> None:
    async def read(self: Any, request: Any) -> None:
        raise BodyTooLargeError("the body is over 10 bytes")

    stop = await finished(start_phase(build_chain([bind(pre_proxy(read), on_error="continue")]).pre_proxy, request_))

    assert stop.result.status == 413
    assert counted("gateway_plugin_errors") == 0


@pytest.mark.parametrize(("source", "status"), [("path", 414), ("query", 400), ("field", 431)])
async def test_a_text_too_long_for_a_pattern_refuses_the_request_and_is_no_failure(
    bind: Bind, request_: Request, counted: Counted, source: Any, status: int
) -> None:
    def refuse(self: Any, request: Any, response: Any = None) -> None:
        raise TextTooLongError(source, 8192, ".*")

    async def refuse_later(self: Any, request: Any) -> None:
        refuse(self, request)

    for function in (refuse, refuse_later):
        stop = await finished(
            start_phase(build_chain([bind(pre_proxy(function), on_error="continue")]).pre_proxy, request_)
        )
        assert stop.result.status == status

    responding = build_chain([bind({"gateway_response": hook("gateway_response", refuse)}, on_error="continue")])
    assert (await finished(start_response_phase(responding.response, request_, Response()))).status == status
    assert counted("gateway_plugin_errors") == 0


async def test_a_text_too_long_in_a_log_hook_is_no_failure(bind: Bind, request_: Request, counted: Counted) -> None:
    def log(self: Any, request: Any, response: Any, record: Any) -> None:
        raise TextTooLongError("field", 8192, ".*")

    hooks = build_chain([bind({"gateway_log": hook("gateway_log", log)})]).log

    assert start_log_phase(hooks, request_, Response(), Record()) is None
    assert counted("gateway_plugin_errors") == 0


async def test_a_client_that_left_ends_the_request_without_a_failure(
    bind: Bind, request_: Request, counted: Counted
) -> None:
    async def read(self: Any, request: Any) -> None:
        raise ClientGoneError

    with pytest.raises(ClientGoneError):
        await finished(start_phase(build_chain([bind(pre_proxy(read), on_error="continue")]).pre_proxy, request_))
    assert counted("gateway_plugin_errors") == 0


async def test_a_future_is_as_good_as_a_coroutine(bind: Bind, request_: Request) -> None:
    future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
    future.set_result(Response(418))

    stop = await finished(start_phase(build_chain([bind(pre_proxy(lambda self, request: future))]).pre_proxy, request_))

    assert stop.result.status == 418


@pytest.mark.parametrize(("on_error", "goes_on"), [("deny", False), ("continue", True)])
def test_what_a_hook_decided_can_be_rejected_later(
    bind: Bind, request_: Request, counted: Counted, on_error: str, goes_on: bool
) -> None:
    members = {"gateway_route_match": hook("gateway_route_match", lambda self, request: "nowhere")}
    stop = start_phase(build_chain([bind(members, on_error=on_error)]).route_match, request_, None)
    assert isinstance(stop, Stop)

    rejected = reject_result(stop, request_, "there is no route 'nowhere'")

    assert (rejected is None) == goes_on
    assert counted("gateway_plugin_errors") == 1
