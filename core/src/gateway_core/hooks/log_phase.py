"""Run the log phase, in which every hook is called whatever the others do."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from gateway_core.errors import TextTooLongError
from gateway_core.hooks.chain import Hook
from gateway_core.hooks.failure_log import HookResultError
from gateway_core.hooks.hook_result import ANYTHING, FAILURES, Hooks, Suspended, denies, refusal_of
from gateway_core.messages import Record, Request, Response


def start_log_phase(hooks: Hooks, request: Request, response: Response, record: Record) -> Suspended[None] | None:
    """Run every log hook, whatever the others do.

    :returns: None when all is done, or `Suspended`. What a hook raises is counted and reported, never raised.
    """
    hook = result = None
    try:
        for hook in hooks:
            result = hook.call(request, response, record)
            if result is not None:
                break
        else:
            return None
    except ANYTHING as error:
        assert hook is not None
        _failed(hook, request, error)
    else:
        if isinstance(result, Awaitable):
            return _SuspendedLog(hooks, hooks.index(hook), result, (request, response, record))
        denies(hook, request, _wrong_log_result(result))
    return _log(hooks, hooks.index(hook) + 1, (request, response, record))


class _SuspendedLog(Suspended[None]):
    __slots__ = ("_args",)

    def __init__(self, hooks: Hooks, index: int, awaitable: Awaitable[object], args: tuple[Any, ...]) -> None:
        super().__init__(hooks, index, awaitable)
        self._args = args

    async def finish(self) -> None:
        hook = self._hooks[self._index]
        try:
            result = await self._result()
            if result is not None:
                raise _wrong_log_result(result)
        except FAILURES as error:
            _failed(hook, self._args[0], error)
        rest = _log(self._hooks, self._index + 1, self._args)
        if rest is not None:
            await rest.finish()


def _log(hooks: Hooks, start: int, args: tuple[Any, ...]) -> Suspended[None] | None:
    for index in range(start, len(hooks)):
        hook = hooks[index]
        try:
            result = hook.call(*args)
            if isinstance(result, Awaitable):
                return _SuspendedLog(hooks, index, result, args)
            if result is not None:
                raise _wrong_log_result(result)
        except ANYTHING as error:
            _failed(hook, args[0], error)
    return None


def _failed(hook: Hook, request: Request, error: BaseException) -> None:
    if not isinstance(error, TextTooLongError) or refusal_of(hook, error) is None:
        denies(hook, request, error)


def _wrong_log_result(result: object) -> HookResultError:
    return HookResultError(f"it returned a {type(result).__name__}: a log hook returns nothing")
