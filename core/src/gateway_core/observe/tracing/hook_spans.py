"""Spans of plugins' hooks: for chains that are built with them, where a policy asks for that detail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway_core.messages import Request
from gateway_core.observe.hook_observer import HookObserver, HookWatch, ObservedHook
from gateway_core.observe.tracing.spans import HookFacts
from gateway_core.observe.tracing.trace import RequestTrace


class HookSpans:
    """Gives each call of a hook a span, and passes it on to another observer."""

    def __init__(self, other: HookObserver | None = None) -> None:
        """Observe hooks.

        :param other: what observes them as well.
        """
        self._other = other

    def watch(self, hook: ObservedHook) -> HookWatch:
        """Return what records the hook's calls."""
        return _SpanWatch(hook, None if self._other is None else self._other.watch(hook))


class _SpanWatch:
    __slots__ = ("_hook", "_other", "begin")

    def __init__(self, hook: ObservedHook, other: HookWatch | None) -> None:
        self._hook = hook
        self._other = other
        self.begin: Callable[[Request, tuple[Any, ...]], Any] | None = None if other is None else other.begin

    def end(self, begun: Any, request: Request, result: object, error: BaseException | None, seconds: float) -> None:
        if self._other is not None:
            self._other.end(begun, request, result, error, seconds)
        trace = request.trace
        if isinstance(trace, RequestTrace) and trace.policy.shows_hooks:
            now, hook = trace.tracer.clock.monotonic(), self._hook
            failure = None if error is None else type(error).__name__
            trace.add_hook(HookFacts(hook.plugin, hook.binding, hook.phase, failure), now - seconds, now)
