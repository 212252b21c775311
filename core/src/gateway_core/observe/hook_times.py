"""Where plugins' time goes: per binding and phase, measured only in chains that were built for it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any, Final

from gateway_core.messages import Request
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import HOOK_BOUNDS, PLUGIN_DURATION
from gateway_core.metrics.samples import Distribution, Samples
from gateway_core.observe.hook_observer import HookWatch, ObservedHook

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
    buckets: list[int] = field(default_factory=lambda: [0] * (len(HOOK_BOUNDS) + 1))
    """Calls by their time, between `HOOK_BOUNDS`."""

    def add(self, seconds: float) -> None:
        """Take note of one call."""
        self.calls += 1
        self.total += seconds
        self.longest = max(self.longest, seconds)
        self.buckets[bisect_left(HOOK_BOUNDS, seconds)] += 1

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
        self._times: dict[tuple[str, str, str], HookTime] = {}
        if metrics is not None:
            metrics.register(self._collect)

    def all(self) -> list[HookTime]:
        """Return the times, those that took most in total first."""
        return sorted(self._times.values(), key=lambda each: -each.total)

    def watch(self, hook: ObservedHook) -> HookWatch:
        """Return what notes the hook's times here, and for requests on which `watch` was called."""
        key = (hook.plugin, hook.binding, hook.phase)
        times = self._times.get(key)
        if times is None:
            times = self._times[key] = HookTime(*key)
        return _TimesWatch(times)

    def _collect(self, samples: Samples) -> None:
        times = list(self._times.items())
        rows = [(key, Distribution(each.buckets.copy(), each.total)) for key, each in times]
        samples.put(PLUGIN_DURATION, rows, HOOK_BOUNDS)


class _TimesWatch:
    __slots__ = ("_times",)

    begin = None

    def __init__(self, times: HookTime) -> None:
        self._times = times

    def end(
        self, _begun: None, request: Request, _result: object, _error: BaseException | None, seconds: float
    ) -> None:
        times = self._times
        times.add(seconds)
        noted = request.state.get(_REQUEST_KEY)
        if noted is not None:
            noted.append((times.binding, times.phase, seconds))


class RequestTimes:
    """Notes the time of each hook in `Request.plugin_times`, for chains whose plugins need ``hook-times``."""

    def watch(self, hook: ObservedHook) -> HookWatch:
        """Return what notes the hook's times."""
        return _RequestWatch(hook)


class _RequestWatch:
    __slots__ = ("_hook",)

    begin = None

    def __init__(self, hook: ObservedHook) -> None:
        self._hook = hook

    def end(
        self, _begun: None, request: Request, _result: object, _error: BaseException | None, seconds: float
    ) -> None:
        request.plugin_times = (*request.plugin_times, (self._hook.binding, self._hook.phase, seconds))


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
