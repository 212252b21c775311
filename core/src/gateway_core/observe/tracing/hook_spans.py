"""Spans of plugins' hooks: for chains that are built with them, where a policy asks for that detail."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Final, NamedTuple

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


_current: Final[ContextVar[tuple[RequestTrace, bytes] | None]] = ContextVar("span of a hook", default=None)


def hook_span_id(trace: RequestTrace) -> str | None:
    """Return the span of the hook that runs in this context, if there is one of the trace."""
    found = _current.get()
    return found[1].decode() if found is not None and found[0] is trace else None


class _Begun(NamedTuple):
    others: Any
    span_id: bytes
    """Empty if there is no span."""


class _SpanWatch:
    __slots__ = ("_hook", "_other")

    def __init__(self, hook: ObservedHook, other: HookWatch | None) -> None:
        self._hook = hook
        self._other = other

    def begin(self, request: Request, rest: tuple[Any, ...]) -> _Begun:
        other, trace, span_id = self._other, request.trace, b""
        others = None if other is None or other.begin is None else other.begin(request, rest)
        if isinstance(trace, RequestTrace) and trace.policy.shows_hooks:
            span_id = trace.tracer.new_span_id()
            _current.set((trace, span_id))
        return _Begun(others, span_id)

    def end(self, begun: _Begun, request: Request, result: object, error: BaseException | None, seconds: float) -> None:
        if self._other is not None:
            self._other.end(begun.others, request, result, error, seconds)
        trace = request.trace
        if begun.span_id and isinstance(trace, RequestTrace):
            _current.set(None)
            now, hook = trace.tracer.clock.monotonic(), self._hook
            failure = None if error is None else type(error).__name__
            trace.add_hook(begun.span_id, HookFacts(hook.plugin, hook.binding, hook.phase, failure), now - seconds, now)
