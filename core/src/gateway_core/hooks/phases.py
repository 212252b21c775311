"""Run the phases before the upstream: inline while hooks are plain, in a task from the first one that must be awaited.

A request whose hooks all return None costs a loop over a tuple and nothing else. Whatever else can happen (an answer,
a failure, an awaitable) leaves that loop and is dealt with by the slower code below it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final

from gateway_core.errors import ClientGoneError
from gateway_core.hooks.chain import Hook, Stop
from gateway_core.hooks.failure_log import HookResultError, describe
from gateway_core.hooks.hook_result import (
    ANYTHING,
    FAILURES,
    Hooks,
    Suspended,
    denies,
    problem_of,
    refusal_of,
    wrong_result,
)
from gateway_core.messages import Request, Response, RouteInfo

_ABSENT: Final[Any] = object()


def start_phase(
    hooks: Hooks, request: Request, route: RouteInfo | None = _ABSENT
) -> Stop | Suspended[Stop | None] | None:
    """Run the hooks of a phase before the upstream, in order, until one answers or must be awaited.

    :param route: in the route match phase only: the route or None.
    :returns: None if all let the request pass; `Stop`; or `Suspended`, whose ``finish()`` gives one of the two.
    :raises ClientGoneError: a hook read the request's body and the client left meanwhile.
    """
    hook = result = None
    try:
        if route is _ABSENT:
            for hook in hooks:
                result = hook.call(request)
                if result is not None:
                    break
            else:
                return None
        else:
            for hook in hooks:
                result = hook.call(request, route)
                if result is not None:
                    break
            else:
                return None
    except ANYTHING as error:
        assert hook is not None
        stop = _failed(hook, request, error)
    else:
        stop = None if isinstance(result, Awaitable) else _judged(hook, request, result)
    if stop is not None:
        return stop
    args = (request,) if route is _ABSENT else (request, route)
    if isinstance(result, Awaitable):
        return _SuspendedDecision(hooks, hooks.index(hook), result, args)
    return _decide(hooks, hooks.index(hook) + 1, args)


class _SuspendedDecision(Suspended[Stop | None]):
    __slots__ = ("_args",)

    def __init__(self, hooks: Hooks, index: int, awaitable: Awaitable[object], args: tuple[Any, ...]) -> None:
        super().__init__(hooks, index, awaitable)
        self._args = args

    async def finish(self) -> Stop | None:
        hook, request = self._hooks[self._index], self._args[0]
        try:
            result = await self._result()
        except FAILURES as error:
            stop = _failed(hook, request, error)
        else:
            stop = None if result is None else _judged(hook, request, result)
        if stop is not None:
            return stop
        rest = _decide(self._hooks, self._index + 1, self._args)
        return await rest.finish() if isinstance(rest, Suspended) else rest


def _decide(hooks: Hooks, start: int, args: tuple[Any, ...]) -> Stop | Suspended[Stop | None] | None:
    """Do what `start_phase` does, from some hook on."""
    for index in range(start, len(hooks)):
        hook = hooks[index]
        try:
            result = hook.call(*args)
        except ANYTHING as error:
            stop = _failed(hook, args[0], error)
        else:
            if result is None:
                continue
            if isinstance(result, Awaitable):
                return _SuspendedDecision(hooks, index, result, args)
            stop = _judged(hook, args[0], result)
        if stop is not None:
            return stop
    return None


def _judged(hook: Hook, request: Request, result: object) -> Stop | None:
    if isinstance(result, Response):
        if not result.produced_by:
            result.produced_by = hook.binding.id
        return Stop(result, hook)
    if isinstance(result, str) and hook.phase == "gateway_route_match":
        return Stop(result, hook)
    return _failed(hook, request, wrong_result(hook, result))


def _failed(hook: Hook, request: Request, error: BaseException) -> Stop | None:
    """Apply the binding's policy to a failure."""
    binding = hook.binding
    if isinstance(error, ClientGoneError):
        raise error
    status = refusal_of(hook, error)
    if status is not None:
        return None if binding.is_shadow else Stop(problem_of(error), hook, describe(error))
    if not denies(hook, request, error):
        return None
    return Stop(problem_of(error), hook, f"{binding} failed in {hook.phase}: {describe(error)}")


def reject_result(stop: Stop, request: Request, why: str) -> Stop | None:
    """Count what a hook decided as its failure, such as an unknown route's id.

    :param why: what is wrong with it.
    :returns: the stop to go on with, or None if the binding's policy is to continue.
    """
    return _failed(stop.hook, request, HookResultError(why))
