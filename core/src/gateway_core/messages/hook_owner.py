"""Which hook is running, for what it leaves behind: body filters, iterators and files fail after it has returned.

Found on the stack, so that calling hooks costs nothing for it. What calls hooks declares itself with `calls_hooks`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final, Protocol, TypeVar, cast

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_CALLERS: Final[set[CodeType]] = set()


class HookOwner(Protocol):
    """A hook, as far as what it made is attributed to it."""

    def body_failed(self, request: Any, error: BaseException) -> None:
        """Count and log that a filter or a body of its making failed."""


def calls_hooks(function: FunctionT) -> FunctionT:
    """Declare that a function calls hooks, or awaits them, each with the hook in its variable ``hook``."""
    _CALLERS.add(cast("Any", function).__code__)
    return function


def running_hook() -> HookOwner | None:
    """Return the hook that is called or awaited further up the stack; None if there is none.

    In threads of blocking hooks, and in tasks that a hook starts, there is none.
    """
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no public way to look at the callers
    while frame is not None:
        if frame.f_code in _CALLERS:
            found: HookOwner | None = frame.f_locals["hook"]
            return found
        frame = frame.f_back
    return None
