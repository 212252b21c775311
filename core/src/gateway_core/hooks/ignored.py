"""Which responses a hook has nothing to do with: asked once for each head that repeats (`Plugin.ignores_response`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from gateway_core.hooks.binding import Binding
from gateway_core.hooks.plugin import Plugin
from gateway_core.messages import Headers
from gateway_core.messages.headers import frozen_headers


class ArrivedResponse(Protocol):
    """The head of an upstream's response; the same object for the same head again, as mostly."""

    status: int
    block: bytes
    lowered: bytes


class Ignored:
    """The responses that one hook ignores."""

    __slots__ = ("_binding", "_ignores", "_last")

    def __init__(self, binding: Binding, ignores: Callable[[int, Headers], bool]) -> None:
        self._binding = binding
        self._ignores = ignores
        self._last: tuple[ArrivedResponse | None, bytes, bool] = (None, b"", False)

    def has(self, head: ArrivedResponse, lines: bytes) -> bool:
        """Return whether the hook ignores a response.

        :param lines: what earlier hooks are going to add to it.
        """
        last = self._last
        if last[0] is head and last[1] == lines:
            return last[2]
        headers = frozen_headers(head.block + lines, None if lines else head.lowered)
        try:
            ignores = self._ignores(head.status, headers) is True
        except Exception as error:  # noqa: BLE001 - the hook is called instead, and whatever it does is its own failure
            self._binding.faults.failed(self._binding, "ignores_response", None, error)
            ignores = False
        self._last = head, lines, ignores
        return ignores


def stands_for(instance: Plugin[object], method: str, hook: Callable[..., object]) -> bool:
    """Return whether a plugin has a method that stands for one of its hooks.

    Not one that it inherits from the class whose hook it has overridden: that knows nothing of the new one.
    """
    function = getattr(hook, "__func__", None)
    for each in type(instance).__mro__:
        own = vars(each)
        if each is Plugin:
            break
        if method in own:
            return True
        if any(value is function for value in own.values()):
            break
    return False
