from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway_core.hooks import Binding, Plugin, Suspended, build_chain, start_attempt_phase, start_phase
from gateway_core.hookspecs import hookimpl
from gateway_core.messages import Headers, Request, UpstreamAttempt
from gateway_core.observe import CallRecorder, ObservedHook


class Signs(Plugin[Any]):
    name = "signs"

    @hookimpl
    async def gateway_pre_proxy(self, request: Request) -> None:
        request.headers["x-a"] = "1"

    @hookimpl
    def gateway_attempt(self, attempt: UpstreamAttempt) -> None:
        attempt.headers["signature"] = "s"


class Seen:
    """An observer and the watch of every hook."""

    begin = None

    def __init__(self) -> None:
        self.hooks: list[ObservedHook] = []
        self.ended: list[tuple[object, BaseException | None]] = []

    def watch(self, hook: ObservedHook) -> Seen:
        self.hooks.append(hook)
        return self

    def end(self, begun: Any, request: Request, result: object, error: BaseException | None, seconds: float) -> None:
        assert begun is None
        assert seconds >= 0
        self.ended.append((result, error))


async def test_an_observer_is_told_of_each_hook_once_and_of_each_call(
    bind: Callable[..., Binding], request_: Request
) -> None:
    seen = Seen()
    chain = build_chain([bind(Signs, "s", route="r")], seen)

    outcome = start_phase(chain.pre_proxy, request_)
    assert isinstance(outcome, Suspended)
    assert seen.ended == []
    await outcome.finish()

    assert seen.hooks == [
        ObservedHook("signs", "s", "r", "gateway_pre_proxy"),
        ObservedHook("signs", "s", "r", "gateway_attempt"),
    ]
    assert seen.ended == [(None, None)]


def test_what_an_attempt_hook_changes_is_recorded(bind: Callable[..., Binding], request_: Request) -> None:
    recorder = CallRecorder()
    attempt = UpstreamAttempt("e", "/", "", "h", Headers())

    start_attempt_phase(build_chain([bind(Signs)], recorder).attempt, request_, attempt)

    assert [str(call) for call in recorder.calls()] == ["b.attempt: set signature: 's'"]


def test_in_shadow_mode_an_attempt_stays_as_it_is(bind: Callable[..., Binding], request_: Request) -> None:
    attempt = UpstreamAttempt("e", "/", "", "h", Headers())

    assert start_attempt_phase(build_chain([bind(Signs, is_shadow=True)]).attempt, request_, attempt) is None

    assert attempt.headers.items() == []
