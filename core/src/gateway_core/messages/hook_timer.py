"""The time that a hook may take, which stands still while the hook waits for something that a client decides.

The runner of a phase starts a timer and names it in a context variable; whatever waits for a client (a request's body,
a forwarded response) pauses the timer that it finds there. The variable is inherited by tasks that a hook starts, so
these pause it as well; after the hook has ended, nothing happens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Final, Self


class HookTimer:
    """A timeout in seconds that can be paused; cancels the task that entered it, as `asyncio.timeout` does."""

    __slots__ = ("_left", "_pauses", "_scope", "_token", "expired", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.expired = False
        """Whether the time was over, once the hook has ended."""
        self._scope: asyncio.Timeout | None = asyncio.timeout(seconds)
        self._pauses = 0
        self._left = seconds

    def pause(self) -> None:
        """Stand still; several pauses at once end with the last `resume`."""
        self._pauses += 1
        scope = self._scope
        if self._pauses == 1 and scope is not None and not scope.expired() and (when := scope.when()) is not None:
            self._left = max(0.0, when - asyncio.get_running_loop().time())
            self._reschedule(None)

    def resume(self) -> None:
        """Go on with the time that was left."""
        self._pauses -= 1
        if not self._pauses and self._scope is not None and not self._scope.expired():
            self._reschedule(asyncio.get_running_loop().time() + self._left)

    def _reschedule(self, when: float | None) -> None:
        if self._scope is not None:
            with suppress(RuntimeError):  # the hook is about to end; what it left running still reads
                self._scope.reschedule(when)

    async def __aenter__(self) -> Self:
        assert self._scope is not None, "a timer is entered once"
        await self._scope.__aenter__()
        self._token = _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.reset(self._token)
        scope = self._scope
        assert scope is not None, "a timer is left once"
        try:
            await scope.__aexit__(kind, error, trace)
        finally:
            self.expired = scope.expired()
            # It knows the task, and who awaits the hook knows this timer: a cycle with a CancelledError of the task.
            self._scope = None


_current: Final[ContextVar[HookTimer | None]] = ContextVar("gateway hook timer", default=None)


@contextmanager
def hook_timer_paused() -> Iterator[None]:
    """Pause the timer of the hook that runs, if one does."""
    timer = _current.get()
    if timer is None:
        yield
        return
    timer.pause()
    try:
        yield
    finally:
        timer.resume()
