"""Runs the hooks of one exchange, phase by phase, in its one `contextvars.Context`.

All hooks of an exchange run in that context, plain and awaited ones, whichever connection's data led to the call: what
one sets, the later ones see, and nothing else does. A phase is started by ``context.run``, and while its hooks are
plain and leave nothing to be done, nothing else is needed; what it came to otherwise is for the `HookRunner`. The
pipeline itself never runs in the context, so that it is never entered twice: a phase with a hook that must be awaited
is finished in a task of the context, and the task's callback, which the loop calls outside of it, goes on with the
pipeline. Blocking hooks run in a copy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, Protocol, TypeVar

from gateway_core.errors import ClientGoneError
from gateway_core.hooks import Stop, Suspended
from gateway_core.messages import Request, Response
from gateway_core.messages.hook_owner import current_request
from gateway_core.messages.response import close_bodies
from gateway_core.tasks import spawn

T = TypeVar("T")


class Cancellable(Protocol):
    """Something that runs beside the phases."""

    def cancel(self) -> None:
        """End it."""


class HookRunner:
    """Made for an exchange when a hook must be awaited, or plain hooks leave something that goes on beside them."""

    __slots__ = ("_crashed", "_task", "_upload", "context", "is_stopped", "suspended")

    def __init__(self, crashed: Callable[[BaseException], None], context: Context) -> None:
        """Begin with a context that nothing else runs in.

        :param crashed: called with what a phase, or what goes on after it, raises.
        """
        self.context = context
        """Where plain hooks are run: `settle` takes what that came to."""
        self._crashed = crashed
        self._task: asyncio.Task[Any] | None = None
        self._upload: Cancellable | None = None
        self.suspended: Suspended[Any] | None = None
        """The phase in which a hook is awaited."""
        self.is_stopped = False
        """Whether no phase is to go on any more: the request was aborted."""

    def run(self, then: Callable[[T], None], start: Callable[..., T | Suspended[T]], *args: Any) -> None:
        """Run a phase and call ``then`` with its outcome, at once or when a hook that must be awaited is done."""
        self.settle(then, self.context.run(start, *args), args[1])

    def settle(self, then: Callable[[T], None], outcome: T | Suspended[T], request: Request) -> None:
        """Call ``then`` with the outcome of a phase that was started, now or when it is there."""
        if self.is_stopped:
            self._drop(outcome)
            return
        if not isinstance(outcome, Suspended):
            then(outcome)
            return
        self.suspended = outcome
        self.context.run(current_request.set, request)
        task = self._task = spawn(outcome.finish(), name="hooks", on_error=_ignore, context=self.context)
        task.add_done_callback(partial(self._resume, then))

    def finish_last(self, outcome: Suspended[None], done: Callable[[], None]) -> None:
        """Finish the log phase; `cancel` does not end it, and ``done`` is called in any case."""
        task = spawn(outcome.finish(), name="log", context=self.context)
        task.add_done_callback(lambda _: done())

    def spawn(self, coroutine: Coroutine[object, object, T], name: str) -> asyncio.Task[T]:
        """Run something else in the context; `cancel` does not end it, and what it raises stays with it."""
        return spawn(coroutine, name=name, on_error=_ignore, context=self.context)

    def keep_upload(self, upload: Cancellable) -> None:
        """Cancel the upload of a request's body with the phases, or at the end."""
        self._upload = upload

    def end(self) -> None:
        """End what runs beside the phases: the request goes nowhere any more."""
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None

    def cancel(self) -> None:
        """End the phase that is waiting; ``then`` is not called."""
        self.end()
        if self._task is not None:
            self._task.cancel()
            self._task = self.suspended = None

    def stop(self) -> None:
        """Let no phase go on any more; callable from any thread."""
        self.is_stopped = True

    def sibling(self) -> HookRunner:
        """Return another runner in the same context, for phases within one in which a hook is awaited."""
        return HookRunner(self._crashed, self.context)

    def copy_for(self, crashed: Callable[[BaseException], None]) -> HookRunner:
        """Return a runner in a copy of the context, for hooks over a copy of the request."""
        return HookRunner(crashed, self.context.copy())

    def _resume(self, then: Callable[[T], None], task: asyncio.Task[T]) -> None:
        is_current = self._task is task
        if is_current:
            self._task = self.suspended = None
        if not is_current or self.is_stopped:
            if not task.cancelled() and task.exception() is None:
                self._drop(task.result())
            return
        try:
            outcome = task.result()
        except ClientGoneError:
            return  # the exchange is about to be notified
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - of a task, which has ended
            self._crashed(error)
            return
        try:
            then(outcome)
        except Exception as error:  # noqa: BLE001 - a callback of the loop has no caller to raise to
            self._crashed(error)

    def _drop(self, outcome: object) -> None:
        """Close what a phase came to, when its request has ended."""
        response = outcome.result if isinstance(outcome, Stop) else outcome
        if isinstance(response, Response) and not (isinstance(response.body, bytes) and not response.replaced):
            self.spawn(close_bodies(response), "end of a body")


def _ignore(_: BaseException) -> None:
    """Leave an error to the task's callback."""
