"""Results that have to be awaited, and those that are never awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from gateway_core.errors import GatewayError
from gateway_core.hooks.failure_log import HookTimeoutError, describe
from gateway_core.messages.hook_timer import HookTimer


class HookCancelledError(GatewayError):
    """A hook awaited something that was cancelled, while its own request was not."""


class HookEscapeError(GatewayError):
    """A hook raised what is meant to end a program; it ends nothing here."""


class Deferred:
    """An awaitable that wraps another, and can be thrown away before anybody awaits it."""

    __slots__ = ("_inner", "_wrap")

    def __init__(
        self, inner: Awaitable[object], wrap: Callable[[Awaitable[object]], Coroutine[Any, Any, object]]
    ) -> None:
        self._inner = inner
        self._wrap = wrap

    def __await__(self) -> Generator[Any, Any, object]:
        return self._wrap(self._inner).__await__()

    def close(self) -> None:
        """Throw the wrapped awaitable away."""
        discard(self._inner)


def discard(awaitable: object) -> None:
    """End an awaitable that was never awaited, without the interpreter's warning about it."""
    end = getattr(awaitable, "close", None) or getattr(awaitable, "cancel", None)
    if end is not None:
        end()


def _is_cancelled() -> bool:
    # A function of its own: a local variable of `awaited` would make a cycle of the task, its CancelledError, and the
    # frames in that, which keeps all that a cancelled hook held until the collector runs.
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def awaited(awaitable: Awaitable[object], timeout: float | None) -> object:  # noqa: ASYNC109 - a policy's value
    """Await a hook's result for so many seconds at most, in which it does not wait for what a client decides.

    :raises HookTimeoutError: it took longer; it was cancelled.
    :raises HookCancelledError: it was cancelled, but not with the request.
    :raises HookEscapeError: it raised what asyncio does not keep in a task, such as KeyboardInterrupt.
    """
    timer = None
    try:
        if timeout is None:
            return await awaitable
        async with HookTimer(timeout) as timer:
            return await awaitable
    except TimeoutError as error:
        if timer is not None and timer.expired:
            raise HookTimeoutError(f"no result within its timeout of {timeout:g}s") from error
        raise
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        raise HookCancelledError("it awaited something that was cancelled") from error
    except (Exception, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        raise HookEscapeError(describe(error)) from error
