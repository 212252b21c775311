from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway_core.hooks import Binding, Suspended, build_chain, start_response_phase
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


def test_a_response_hook_may_return_the_response_it_was_given(bind: Bind, request_: Request) -> None:
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
