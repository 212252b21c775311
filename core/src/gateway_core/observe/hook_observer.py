"""The one interface between hooks and what observes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from gateway_core.messages import Request


class ObservedHook(NamedTuple):
    """One hook of one binding."""

    plugin: str
    binding: str
    route: str | None
    """Id of the route that the binding belongs to; None if it is gateway-wide."""

    phase: str
    """The hook's name, such as ``gateway_pre_proxy``."""


class HookWatch(Protocol):
    """Observes the calls of one hook."""

    @property
    def begin(self) -> Callable[[Request, tuple[Any, ...]], Any] | None:
        """Called before the hook with its arguments; what it returns is handed to `end`. None if there is nothing."""

    def end(self, begun: Any, request: Request, result: object, error: BaseException | None, seconds: float) -> None:
        """Take a call that is over.

        :param result: what the hook returned; of an ``async`` hook what its coroutine did.
        :param seconds: from the call to its end, waiting included.
        """


class HookObserver(Protocol):
    """Observes the hooks of the chains that are built with it."""

    def watch(self, hook: ObservedHook) -> HookWatch:
        """Return what observes a hook."""
