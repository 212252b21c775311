from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.hooks import Binding, Plugin, build_chain, start_log_phase
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response

Bind = Callable[..., Binding]
Counted = Callable[..., float]


class Noting(Plugin[Any]):
    name = "noting"

    @hookimpl
    def gateway_log(self, request: Request) -> Any:
        request.state.setdefault("noted", []).append(self.context.binding)
        return self.config.get("result")


def test_a_result_of_a_log_hook_is_a_failure_that_changes_nothing(
    bind: Bind, request_: Request, counted: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    chain = build_chain([bind(Noting, "a", config={"result": Response()}), bind(Noting, "b")])

    assert start_log_phase(chain.log, request_, Response(), Record()) is None

    assert request_.state["noted"] == ["a", "b"]
    assert counted("gateway_plugin_errors", binding="a", phase="gateway_log") == 1
    assert "it returned <Response 200 OK> (Response): return None" in caplog.text


def test_a_log_hook_in_quarantine_is_skipped(bind: Bind, request_: Request, clock: Any) -> None:
    binding = bind(Noting, "a", quarantine=(1, 10.0, 30.0, 1))
    assert binding.quarantine is not None
    binding.quarantine.failed(clock.monotonic(), "gateway_log", "client")

    assert start_log_phase(build_chain([binding, bind(Noting, "b")]).log, request_, Response(), Record()) is None

    assert request_.state["noted"] == ["b"]


async def test_a_log_hook_that_hangs_is_cut_off_and_the_rest_runs(bind: Bind, request_: Request) -> None:
    class Hanging(Plugin[Any]):
        name = "hanging"

        @hookimpl
        async def gateway_log(self) -> None:
            await asyncio.Event().wait()

    chain = build_chain([bind(Hanging, timeout=0.01), bind(Noting, "b")])

    outcome = start_log_phase(chain.log, request_, Response(), Record())
    assert outcome is not None
    await outcome.finish()

    assert request_.state["noted"] == ["b"]
