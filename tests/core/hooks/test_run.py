from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

import pytest
from gateway_core import reasons
from gateway_core.errors import BodyTooLargeError, ClientGoneError, TextTooLongError, UpstreamError
from gateway_core.hooks import (
    Binding,
    Plugin,
    Stop,
    Suspended,
    build_chain,
    reject_result,
    start_attempt_phase,
    start_log_phase,
    start_phase,
    start_response_phase,
)
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Headers, Record, Request, Response, RouteInfo, UpstreamAttempt

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


def test_a_response_says_who_made_it(bind: Bind, request_: Request) -> None:
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


class Signing(Plugin[Any]):
    name = "signing"

    @hookimpl
    async def gateway_attempt(self, request: Request, attempt: UpstreamAttempt) -> None:
        await asyncio.sleep(0)
        attempt.headers["signature"] = f"{request.method} {attempt.host}{attempt.raw_path}"


def attempt_of() -> UpstreamAttempt:
    return UpstreamAttempt("e1", "/a", "", "users.internal", Headers({"A": "1"}))


async def test_attempt_hooks_change_the_fields_of_one_attempt(bind: Bind, request_: Request) -> None:
    attempt, other = attempt_of(), attempt_of()

    outcome = start_attempt_phase(build_chain([bind(Signing)]).attempt, request_, attempt)

    assert isinstance(outcome, Suspended)
    assert await outcome.finish() is None
    assert attempt.headers["signature"] == "GET users.internal/a"
    assert "signature" not in request_.headers
    assert "signature" not in other.headers


@pytest.mark.parametrize(("on_error", "status"), [("deny", 500), ("continue", None)])
@pytest.mark.parametrize("result", [Response(200), "route", ValueError("boom")])
def test_a_failing_attempt_hook_follows_the_policy_and_may_return_nothing(
    bind: Bind, request_: Request, on_error: str, status: int | None, result: Any
) -> None:
    def act(self: Any, request: Any, attempt: Any) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    binding = bind({"gateway_attempt": hook("gateway_attempt", act)}, on_error=on_error)

    stop: Any = start_attempt_phase(build_chain([binding]).attempt, request_, attempt_of())

    assert (stop and stop.result.status) == status
    assert binding.faults.count == 1


def test_a_response_that_is_returned_many_times_does_not_change(bind: Bind, request_: Request) -> None:
    shared = Response(403, b"no", {"A": "1"})

    def stop(self: Any, request: Any) -> Response:
        return shared

    def change(self: Any, request: Any, response: Any) -> None:
        response.headers.add("B", "2")
        response.status = 418

    chain = build_chain([bind(pre_proxy(stop), "x"), bind({"gateway_response": hook("gateway_response", change)}, "y")])
    for _ in range(2):
        stopped: Any = start_phase(chain.pre_proxy, request_)
        sent = start_response_phase(chain.response, request_, stopped.result)
        assert isinstance(sent, Response)
        assert (sent.status, sent.body, sent.produced_by) == (418, b"no", "x")
        assert sent.headers.items() == [("A", "1"), ("B", "2")]

    assert (shared.status, shared.headers.items(), shared.produced_by) == (403, [("A", "1")], "")


def test_a_replacement_that_is_returned_many_times_does_not_change(bind: Bind, request_: Request) -> None:
    shared = Response(200, b"own")

    def replace(self: Any, request: Any, response: Any) -> Response:
        return shared

    hooks = build_chain([bind({"gateway_response": hook("gateway_response", replace)}, "x")]).response
    first, second = (start_response_phase(hooks, request_, Response(500)) for _ in range(2))

    assert isinstance(first, Response)
    first.headers["A"] = "1"
    assert isinstance(second, Response)
    assert "A" not in second.headers
    assert (first.body, first.produced_by, shared.produced_by) == (b"own", "x", "")


@pytest.mark.parametrize(("on_error", "status"), [("deny", 504), ("continue", None)])
def test_an_upstream_error_follows_the_policy_with_its_own_status_and_no_quarantine(
    bind: Bind, request_: Request, on_error: str, status: int | None
) -> None:
    def fail(self: Any, request: Any) -> None:
        raise UpstreamError("no response", status=504, reason=reasons.TIMEOUT)

    binding = bind(pre_proxy(fail), "x", on_error=on_error, quarantine=(1, 1000.0, 30.0, 1))
    stop: Any = start_phase(build_chain([binding]).pre_proxy, request_)

    assert (stop and stop.result.status) == status
    assert (stop and stop.result.failure) == (status and "upstream.timeout")
    assert binding.quarantine is not None
    assert binding.quarantine.is_closed


async def test_what_a_client_does_is_no_failure_however_it_is_wrapped(bind: Bind, request_: Request) -> None:
    async def leave(self: Any, request: Any) -> None:
        try:
            raise ClientGoneError("the client left")
        except ClientGoneError as error:
            raise RuntimeError("no body") from error

    binding = bind(pre_proxy(leave), "x", on_error="continue", quarantine=(1, 1000.0, 30.0, 1))
    with pytest.raises(ClientGoneError):
        await finished(start_phase(build_chain([binding]).pre_proxy, request_))

    assert binding.faults.count == 0
    assert binding.quarantine is not None
    assert binding.quarantine.is_closed


def test_a_response_body_over_a_hooks_limit_is_the_bindings_failure(bind: Bind, request_: Request) -> None:
    def fail(self: Any, request: Any, response: Any) -> None:
        raise BodyTooLargeError("too large", "response")

    binding = bind({"gateway_response": hook("gateway_response", fail)}, "x")
    response = start_response_phase(build_chain([binding]).response, request_, Response(200))

    assert isinstance(response, Response)
    assert (response.status, response.failure) == (502, "plugin.failed")
    assert binding.faults.count == 1


async def test_hooks_run_in_the_context_that_they_are_started_in(bind: Bind, request_: Request) -> None:
    user: ContextVar[str] = ContextVar("user", default="")
    seen = []

    def set_user(self: Any, request: Any) -> None:
        user.set("ann")

    async def read_user(self: Any, request: Any) -> None:
        await asyncio.sleep(0)
        seen.append(user.get())
        user.set("bob")

    def read_again(self: Any, request: Any, response: Any) -> None:
        seen.append(user.get())

    chain = build_chain(
        [
            bind({**pre_proxy(set_user), "gateway_response": hook("gateway_response", read_again)}, "a"),
            bind(pre_proxy(read_user), "b"),
        ]
    )
    context = Context()
    outcome = context.run(start_phase, chain.pre_proxy, request_)
    await asyncio.get_running_loop().create_task(finished(outcome), context=context)
    context.run(start_response_phase, chain.response, request_, Response())

    assert seen == ["ann", "bob"]
    assert user.get() == ""
