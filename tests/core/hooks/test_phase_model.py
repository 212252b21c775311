from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway_core.clock import SystemClock
from gateway_core.hooks import (
    Binding,
    Faults,
    Plugin,
    PluginContext,
    Stop,
    Suspended,
    build_chain,
    start_log_phase,
    start_phase,
    start_response_phase,
)
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Record, Request, Response
from gateway_core.metrics import Metrics
from hypothesis import given, settings
from hypothesis import strategies as st

Bind = Callable[..., Binding]
Counted = Callable[..., float]


@dataclass(frozen=True)
class Act:
    """What one hook does, and what its binding makes of a failure."""

    how: str  # plain, async, awaitable: a plain hook that returns a coroutine
    what: str  # pass, response, route, raise, exit, wrong
    denies: bool


ACTS = st.builds(
    Act,
    st.sampled_from(["plain", "async", "awaitable"]),
    st.sampled_from(["pass", "pass", "pass", "response", "route", "raise", "exit", "wrong"]),
    st.booleans(),
)


def do(act: Act, index: int, seen: list[int]) -> object:
    seen.append(index)
    match act.what:
        case "response":
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
    log = logging.getLogger("phase-model")
    context = PluginContext(str(index), None, SystemClock(), log, METRICS)
    on_error = "deny" if act.denies else "continue"
    return Binding(str(index), plugin.name, "1", None, on_error, on_error, None, False, plugin({}, context), Faults())


METRICS = Metrics()
logging.getLogger("phase-model").setLevel(logging.CRITICAL + 1)


def interpreted(acts: list[Act], phase: str) -> tuple[list[int], object]:
    """Return which hooks run and how a phase before the upstream ends: its status, a route, or None."""
    seen = []
    for index, act in enumerate(acts):
        seen.append(index)
        if act.what == "response":
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
        if act.what == "response":
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


async def finished(outcome: Any) -> Any:
    return await outcome.finish() if isinstance(outcome, Suspended) else outcome
