from __future__ import annotations

import asyncio
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.hooks import Binding, Stop, Suspended, build_chain, start_phase
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Request, Response

Bind = Callable[..., Binding]
Counted = Callable[..., float]


def pre_proxy(function: Callable[..., Any]) -> dict[str, Any]:
    return {"gateway_pre_proxy": hook("gateway_pre_proxy", function)}


def hook(phase: str, function: Callable[..., Any]) -> Any:
    function.__qualname__ = "Made.hook"
    return hookimpl(specname=phase)(function)


async def finished(outcome: Any) -> Any:
    return await outcome.finish() if isinstance(outcome, Suspended) else outcome


def test_a_failure_denies_with_a_problem_that_says_nothing(
    bind: Bind, request_: Request, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Any, request: Any) -> None:
        raise ValueError("the secret of the house")

    stop = start_phase(build_chain([bind(pre_proxy(fail), "x", route="users")]).pre_proxy, request_)

    assert isinstance(stop, Stop)
    assert isinstance(stop.result, Response)
    assert (stop.result.status, stop.result.is_problem, stop.result.produced_by) == (500, True, "gateway")
    assert b"secret" not in stop.result.body  # type: ignore[operator]  # bytes
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


async def test_a_phase_that_nobody_finishes_leaves_no_warning(bind: Bind, request_: Request) -> None:
    async def wait(self: Any, request: Any) -> None: ...

    plain = bind(pre_proxy(wait))
    wrapped = bind(pre_proxy(wait), quarantine=(1, 1, 1, 1), is_shadow=True)
    assert wrapped.quarantine is not None
    wrapped.quarantine.failed(0.0, "gateway_pre_proxy", "client")

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
