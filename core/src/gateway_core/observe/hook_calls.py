"""What every hook did, for tests and for authors of plugins; measured only in chains that were built for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gateway_core.messages import Request, Response, UpstreamAttempt
from gateway_core.observe.hook_observer import HookWatch, ObservedHook
from gateway_core.observe.hook_times import Timings

_MOST_CALLS: Final = 10_000


@dataclass(frozen=True, slots=True)
class HookCall:
    """One call of one hook."""

    plugin: str
    binding: str
    route: str | None
    """Id of the route that the binding belongs to; None if it is gateway-wide."""

    phase: str
    """The hook's name, such as ``gateway_pre_proxy``."""

    request: Request
    result: object
    """What the hook returned; of an ``async`` hook what its coroutine did."""

    error: BaseException | None
    """What it raised, or None."""

    changes: tuple[str, ...]
    """What it changed in the request or the response, in words: ``set x-user: 'ann'``, ``status 200 -> 204``."""

    duration: float
    """Seconds from the call to its end, waiting included."""

    @property
    def outcome(self) -> str:
        """What came of it, in words."""
        if self.error is not None:
            return f"raised {type(self.error).__name__}: {self.error}"
        if isinstance(self.result, Response):
            return f"responded {self.result.status}"
        if isinstance(self.result, str):
            return f"chose route {self.result!r}"
        return ", ".join(self.changes) or "passed"

    def __str__(self) -> str:
        return f"{self.binding}.{self.phase.removeprefix('gateway_')}: {self.outcome}"


class CallRecorder(Timings):
    """Keeps the latest calls of every hook of the chains that were built with it."""

    def __init__(self, on_call: Callable[[HookCall], None] | None = None) -> None:
        """Begin with no calls.

        :param on_call: called with each call when it is over, in the event loop's thread.
        """
        super().__init__()
        self._calls: list[HookCall] = []
        self._on_call = on_call

    def calls(self) -> list[HookCall]:
        """Return the calls in the order in which they ended; safe in any thread."""
        return self._calls.copy()

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()

    def watch(self, hook: ObservedHook) -> HookWatch:
        """Return what records the hook's calls."""
        return _CallsWatch(self, hook, super().watch(hook))

    def record(self, call: HookCall) -> None:
        """Keep a call."""
        if len(self._calls) >= _MOST_CALLS:
            del self._calls[: _MOST_CALLS // 2]
        self._calls.append(call)
        if self._on_call is not None:
            self._on_call(call)


class _CallsWatch:
    __slots__ = ("_hook", "_recorder", "_times")

    def __init__(self, recorder: CallRecorder, hook: ObservedHook, times: HookWatch) -> None:
        self._recorder = recorder
        self._hook = hook
        self._times = times

    def begin(self, request: Request, rest: tuple[Any, ...]) -> _Begun:
        return _Begun(rest, tuple(_states(request, rest)))

    def end(self, begun: _Begun, request: Request, result: object, error: BaseException | None, seconds: float) -> None:
        self._times.end(None, request, result, error, seconds)
        after = tuple(_states(request, begun.rest))
        changes = tuple(text for old, new in zip(begun.states, after, strict=True) for text in _changes(old, new))
        self._recorder.record(HookCall(*self._hook, request, result, error, changes, seconds))


class _State(NamedTuple):
    """What a hook may change of a request or a response."""

    values: dict[str, object]
    fields: list[tuple[str, str]]


class _Begun(NamedTuple):
    rest: tuple[Any, ...]
    states: tuple[_State, ...]


_REQUEST_VALUES: Final = ("method", "raw_path", "query_string", "upstream", "identity")


def _states(request: Request, rest: tuple[Any, ...]) -> Iterator[_State]:
    yield _State({name: getattr(request, name) for name in _REQUEST_VALUES}, request.headers.items())
    for each in rest:
        if isinstance(each, Response):
            yield _State({"status": each.status, "body filters": len(each.body_filters)}, each.headers.items())
        elif isinstance(each, UpstreamAttempt):
            yield _State({}, each.headers.items())


def _changes(old: _State, new: _State) -> Iterator[str]:
    for name, value in old.values.items():
        if new.values[name] != value:
            yield f"{name} {value!r} -> {new.values[name]!r}"
    if old.fields == new.fields:
        return
    left = list(old.fields)
    for pair in new.fields:
        if pair in left:
            left.remove(pair)
        else:
            yield f"set {pair[0].lower()}: {pair[1]!r}"
    kept = {name.lower() for name, _ in new.fields}
    for name in dict.fromkeys(name.lower() for name, _ in left):
        if name not in kept:
            yield f"removed {name}"
