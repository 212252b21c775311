from __future__ import annotations

import asyncio
import gc
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.errors import BodyTooLargeError, ClientGoneError
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response, RouteInfo
from gateway_core.metrics import Metrics
from gateway_core.plugins import (
    Binding,
    Faults,
    Plugin,
    PluginContext,
    Stop,
    Suspended,
    build_chain,
    reject_result,
    start_log_phase,
    start_phase,
    start_response_phase,
)
from hypothesis import given, settings
from hypothesis import strategies as st

Bind = Callable[..., Binding]
Counted = Callable[..., float]


def pre_proxy(function: Callable[..., Any]) -> dict[str, Any]:
    return {"gateway_pre_proxy": hook("gateway_pre_proxy", function)}


def hook(phase: str, function: Callable[..., Any]) -> Any:
    function.__qualname__ = "Made.hook"
    return hookimpl(specname=phase)(function)


async def finished(outcome: Any) -> Any:
    return await outcome.finish() if isinstance(outcome, Suspended) else outcome


# --- all of it against a naive interpreter ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Act:
    """What one hook does, and what its binding makes of a failure."""

    how: str  # plain, async, awaitable: a plain hook that returns a coroutine
    what: str  # pass, answer, route, raise, exit, wrong
    denies: bool


ACTS = st.builds(
    Act,
    st.sampled_from(["plain", "async", "awaitable"]),
    st.sampled_from(["pass", "pass", "pass", "answer", "route", "raise", "exit", "wrong"]),
    st.booleans(),
)


def do(act: Act, index: int, seen: list[int]) -> object:
    seen.append(index)
    match act.what:
        case "answer":
            return Response(200 + index)
        case "route":
            return f"route-{index}"
        case "raise":
            raise ValueError(index)
        case "exit":
            sys.exit(index)
        case "wrong":
            return index
    return None


def plugin_of(act: Act, index: int, phase: str, seen: list[int]) -> type[Plugin[Any]]:
    class Acting(Plugin[Any]):
        name = f"acting-{index}"

        if act.how == "async":

            @hookimpl(specname=phase)
            async def hook(self, request: Any) -> Any:
                await asyncio.sleep(0)
                return do(act, index, seen)

        elif act.how == "awaitable":

            @hookimpl(specname=phase)
            def hook(self, request: Any) -> Any:
                async def later() -> Any:
                    await asyncio.sleep(0)
                    return do(act, index, seen)

                return later()

        else:

            @hookimpl(specname=phase)
            def hook(self, request: Any) -> Any:
                return do(act, index, seen)

    return Acting


def bound(plugin: type[Plugin[Any]], index: int, act: Act) -> Binding:
    log = logging.getLogger("gateway.test")
    context = PluginContext(str(index), None, SystemClock(), log, METRICS)
    on_error = "deny" if act.denies else "continue"
    return Binding(str(index), plugin.name, "1", None, on_error, on_error, None, False, plugin({}, context), Faults())


METRICS = Metrics()
logging.getLogger("gateway.test").setLevel(logging.CRITICAL + 1)


def interpreted(acts: list[Act], phase: str) -> tuple[list[int], object]:
    """Return which hooks run and how a phase before the upstream ends: its status, a route, or None."""
    seen = []
    for index, act in enumerate(acts):
        seen.append(index)
        if act.what == "answer":
            return seen, 200 + index
        if act.what == "route" and phase == "gateway_route_match":
            return seen, f"route-{index}"
        if act.what != "pass" and act.denies:
            return seen, 500
    return seen, None


@settings(deadline=None)
@given(st.lists(ACTS, max_size=6), st.sampled_from(["gateway_request", "gateway_route_match", "gateway_pre_proxy"]))
def test_a_phase_runs_as_a_naive_interpreter_says(acts: list[Act], phase: str) -> None:
    seen: list[int] = []
    bindings = [bound(plugin_of(act, index, phase, seen), index, act) for index, act in enumerate(acts)]
    hooks = build_chain(bindings).hooks_of(phase)
    args: tuple[Any, ...] = (Request("GET", "/"), None) if phase == "gateway_route_match" else (Request("GET", "/"),)

    stop = asyncio.run(finished_in_loop(lambda: start_phase(hooks, *args)))

    result = stop.result.status if isinstance(stop, Stop) and isinstance(stop.result, Response) else stop
    expected, end = interpreted(acts, phase)
    assert (seen, result.result if isinstance(result, Stop) else result) == (expected, end)
    if isinstance(stop, Stop):
        assert stop.hook.binding.id == str(expected[-1])


async def finished_in_loop(start: Callable[[], Any]) -> Any:
    return await finished(start())


@settings(deadline=None)
@given(st.lists(ACTS, max_size=6))
def test_the_response_phase_runs_every_hook_and_the_last_word_counts(acts: list[Act]) -> None:
    seen: list[int] = []
    bindings = [bound(plugin_of(act, i, "gateway_response", seen), i, act) for i, act in enumerate(acts)]
    hooks = build_chain(bindings).response

    response = asyncio.run(finished_in_loop(lambda: start_response_phase(hooks, Request("GET", "/"), Response(299))))

    expected = 299
    for index, act in reversed(list(enumerate(acts))):
        if act.what == "answer":
            expected = 200 + index
        elif act.what != "pass" and act.denies:
            expected = 500
    assert seen == [*reversed(range(len(acts)))]
    assert response.status == expected


@settings(deadline=None)
@given(st.lists(ACTS, max_size=6))
def test_the_log_phase_runs_every_hook_and_raises_nothing(acts: list[Act]) -> None:
    seen: list[int] = []
    bindings = [bound(plugin_of(act, i, "gateway_log", seen), i, act) for i, act in enumerate(acts)]
    hooks = build_chain(bindings).log

    asyncio.run(finished_in_loop(lambda: start_log_phase(hooks, Request("GET", "/"), Response(), Record())))

    assert seen == list(range(len(acts)))


@settings(deadline=None)
@given(st.lists(ACTS.filter(lambda act: act.how == "plain"), max_size=6))
def test_plain_hooks_need_no_event_loop(acts: list[Act]) -> None:
    seen: list[int] = []
    bindings = [bound(plugin_of(act, i, "gateway_pre_proxy", seen), i, act) for i, act in enumerate(acts)]

    outcome = start_phase(build_chain(bindings).pre_proxy, Request("GET", "/"))

    assert not isinstance(outcome, Suspended)


# --- single rules ----------------------------------------------------------------------------------------------------


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


def test_a_failure_denies_with_a_problem_that_says_nothing(
    bind: Bind, request_: Request, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Any, request: Any) -> None:
        raise ValueError("the secret of the house")

    stop = start_phase(build_chain([bind(pre_proxy(fail), "x", route="users")]).pre_proxy, request_)

    assert isinstance(stop, Stop)
    assert isinstance(stop.result, Response)
    assert (stop.result.status, stop.result.is_problem, stop.result.produced_by) == (500, True, "gateway")
    assert b"secret" not in stop.result.body
    assert stop.error is not None
    assert "the secret of the house" in stop.error
    assert counted("gateway_plugin_errors", binding="x", phase="gateway_pre_proxy") == 1
    (line,) = caplog.records
    for part in ("'x'", "'plugin-of-x'", "'users'", "gateway_pre_proxy", "r-1", "ValueError", __file__):
        assert part in line.getMessage()
    assert line.exc_info is not None


def test_a_wrong_result_is_a_failure_with_a_clear_text(bind: Bind, request_: Request) -> None:
    stop = start_phase(build_chain([bind(pre_proxy(lambda self, request: True))]).pre_proxy, request_)

    assert isinstance(stop, Stop)
    assert "it returned True (bool): return None or a Response" in str(stop.error)


def test_a_route_id_is_a_wrong_result_outside_the_match_phase(bind: Bind, request_: Request) -> None:
    stop = start_phase(build_chain([bind(pre_proxy(lambda self, request: "users"))]).pre_proxy, request_)

    assert isinstance(stop, Stop)
    assert "it returned 'users' (str)" in str(stop.error)


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


async def test_a_phase_that_nobody_finishes_leaves_no_warning(bind: Bind, request_: Request) -> None:
    async def wait(self: Any, request: Any) -> None: ...

    plain = bind(pre_proxy(wait))
    wrapped = bind(pre_proxy(wait), quarantine=(1, 1, 1), is_shadow=True)
    assert wrapped.quarantine is not None
    wrapped.quarantine.failed(0.0, "gateway_pre_proxy")

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for binding in (plain, wrapped):
            suspended = start_phase(build_chain([binding]).pre_proxy, request_)
            assert isinstance(suspended, Suspended)
            task = asyncio.get_running_loop().create_task(suspended.finish())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            del suspended, task
            gc.collect()


async def test_a_body_over_the_limit_of_a_hook_is_413_and_no_failure(
    bind: Bind, request_: Request, counted: Counted
) -> None:
    async def read(self: Any, request: Any) -> None:
        raise BodyTooLargeError("the body is over 10 bytes")

    stop = await finished(start_phase(build_chain([bind(pre_proxy(read), on_error="continue")]).pre_proxy, request_))

    assert stop.result.status == 413
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


def test_a_response_hook_may_return_the_answer_it_was_given(bind: Bind, request_: Request) -> None:
    response = Response(201)
    response.produced_by = "upstream"
    hooks = build_chain(
        [bind({"gateway_response": hook("gateway_response", lambda self, response: response)})]
    ).response

    assert start_response_phase(hooks, request_, response) is response
    assert response.produced_by == "upstream"


def test_hooks_after_a_failing_response_hook_see_the_500(bind: Bind, request_: Request) -> None:
    seen = []

    def fail(self: Any, request: Any, response: Any) -> None:
        raise ValueError

    outer = bind({"gateway_response": hook("gateway_response", lambda self, response: seen.append(response.status))})
    inner = bind({"gateway_response": hook("gateway_response", fail)}, "inner")
    start_response_phase(build_chain([outer, inner]).response, request_, Response(200))

    assert seen == [500]


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
