"""Which hook is running, for what it leaves behind: body filters, iterators and files fail after it has returned.

Found on the stack, so that calling plain hooks costs nothing for it. What calls hooks declares itself with
`calls_hooks`. Threads of blocking hooks and tasks that a hook starts have another stack: for them the hook is in
a context variable, which they inherit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextvars import ContextVar
from types import CodeType, FrameType
from typing import Any, Final, Protocol, TypeVar, cast

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_CALLERS: Final[set[CodeType]] = set()


class HookOwner(Protocol):
    """A hook, as far as what it made is attributed to it."""

    def body_failed(self, request: Any, error: BaseException) -> None:
        """Count and log that a filter or a body of its making failed."""


current_request: Final[ContextVar[Any]] = ContextVar("gateway request", default=None)
"""The request whose hook is awaited: what a hook fetches carries its id and its trace."""

_COUNTED: Final = "gateway_counted"


def mark_counted(error: BaseException) -> None:
    """Note that a body's failure was counted for the hook that made the body or its filter.

    A hook that reads the body gets the same exception, and is not to blame for it.
    """
    error.__dict__[_COUNTED] = True


def is_counted(error: BaseException) -> bool:
    """Return whether an error was counted already, for the hook whose body or filter failed."""
    return _COUNTED in error.__dict__


def calls_hooks(function: FunctionT) -> FunctionT:
    """Declare that a function calls hooks, or awaits them, each with the hook in its variable ``hook``."""
    _CALLERS.add(cast("Any", function).__code__)
    return function


awaited_hook: Final[ContextVar[HookOwner | None]] = ContextVar("gateway hook", default=None)
"""The hook that is awaited, or runs in a thread: for what has no caller of hooks on its own stack."""


def running_hook() -> HookOwner | None:
    """Return the hook that is called or awaited further up the stack, or that started this thread or task.

    None if there is none.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no public way to look at the callers
    while frame is not None:
        if frame.f_code in _CALLERS:
            found: HookOwner | None = frame.f_locals["hook"]
            return found
        frame = frame.f_back
    return awaited_hook.get()
