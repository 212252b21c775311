"""Where plugins' time goes: per binding and phase, measured only in chains that were built for it."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Final

from gateway_core.hooks.awaiting import Deferred
from gateway_core.hooks.binding import Binding
from gateway_core.messages import Request
from gateway_core.metrics import Metrics

BOUNDS: Final = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0)
"""Seconds; upper bounds of the buckets, the last bucket has none."""

_REQUEST_KEY: Final = "gateway.timings"


@dataclass(slots=True)
class HookTime:
    """The time of one binding's hook in one phase."""

    plugin: str
    binding: str
    phase: str
    calls: int = 0
    total: float = 0.0
    """Seconds; of an ``async`` hook from its call to its end, waiting included."""

    longest: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    observe: Callable[[float], None] | None = field(default=None, repr=False, compare=False)
    """Told of each call as well, such as a metric."""

    def add(self, seconds: float) -> None:
        """Take note of one call."""
        self.calls += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        if self.observe is not None:
            self.observe(seconds)

    def describe(self) -> dict[str, Any]:
        """Return what status pages show of it; times in seconds."""
        return {
            "plugin": self.plugin,
            "binding": self.binding,
            "phase": self.phase,
            "calls": self.calls,
            "total": self.total,
            "mean": self.total / self.calls if self.calls else 0.0,
            "longest": self.longest,
        }


class Timings:
    """The times of every hook of the chains that were built with it."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        """Begin with no times.

        :param metrics: where to publish them as ``gateway_plugin_seconds``.
        """
        self._metrics = metrics
        self._times: dict[tuple[str, str, str], HookTime] = {}

    def all(self) -> list[HookTime]:
        """Return the times, those that took most in total first."""
        return sorted(self._times.values(), key=lambda each: -each.total)

    def timed(self, call: Callable[..., Any], binding: Binding, phase: str) -> Callable[..., Any]:
        """Wrap a hook so that its time is noted down here, and for the request if `watch` was called on it."""
        key = (binding.plugin, binding.id, phase)
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = HookTime(*key, observe=self._observer(key))

        def timed(request: Request, *rest: Any) -> Any:
            started = perf_counter()
            result = None
            try:
                result = call(request, *rest)
            finally:
                if not isinstance(result, Awaitable):
                    _note(times, request, perf_counter() - started)
            if isinstance(result, Awaitable):
                return Deferred(result, lambda each: _timed_awaitable(each, times, request, started))
            return result

        return timed

    def _observer(self, key: tuple[str, str, str]) -> Callable[[float], None] | None:
        if self._metrics is None:
            return None
        seconds = self._metrics.histogram(
            "gateway_plugin_seconds", "Seconds that hooks took.", ("plugin", "binding", "phase"), BOUNDS
        )
        return seconds.labels(*key).observe


async def _timed_awaitable(awaitable: Awaitable[Any], times: HookTime, request: Request, started: float) -> Any:
    try:
        return await awaitable
    finally:
        _note(times, request, perf_counter() - started)


def _note(times: HookTime, request: Request, seconds: float) -> None:
    times.add(seconds)
    noted = request.state.get(_REQUEST_KEY)
    if noted is not None:
        noted.append((times.binding, times.phase, seconds))


def noted(call: Callable[..., Any], binding: Binding, phase: str) -> Callable[..., Any]:
    """Wrap a hook so that its time is noted down in `Request.plugin_times`."""

    def timed(request: Request, *rest: Any) -> Any:
        started = perf_counter()
        result = None
        try:
            result = call(request, *rest)
        finally:
            if not isinstance(result, Awaitable):
                _note_in_request(request, binding, phase, started)
        return Deferred(result, awaited(request, started)) if isinstance(result, Awaitable) else result

    def awaited(request: Request, started: float) -> Callable[[Awaitable[object]], Coroutine[Any, Any, object]]:
        async def wait(awaitable: Awaitable[object]) -> object:
            try:
                return await awaitable
            finally:
                _note_in_request(request, binding, phase, started)

        return wait

    return timed


def _note_in_request(request: Request, binding: Binding, phase: str, started: float) -> None:
    request.plugin_times = (*request.plugin_times, (binding.id, phase, perf_counter() - started))


def watch(request: Request) -> None:
    """Note down the times of this request's hooks, for `server_timing`."""
    request.state[_REQUEST_KEY] = []


def is_watched(request: Request) -> bool:
    """Tell whether `watch` was called on this request."""
    return _REQUEST_KEY in request.state


def server_timing(request: Request) -> str:
    """Return the value of a ``Server-Timing`` field (W3C Server Timing): what each hook took, in milliseconds."""
    noted: list[tuple[str, str, float]] = request.state.get(_REQUEST_KEY, [])
    return ", ".join(
        f"{_token(binding)}.{phase.removeprefix('gateway_')};dur={seconds * 1000:.3f}"
        for binding, phase, seconds in noted
    )


def _token(text: str) -> str:
    return "".join(character if character.isascii() and character.isalnum() else "-" for character in text)
