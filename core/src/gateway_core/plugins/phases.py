"""Run the hooks of a phase: inline while they are plain, in a task from the first one that must be awaited.

A request whose hooks all return None costs a loop over a tuple and nothing else. Whatever else can happen (an answer,
a failure, an awaitable) leaves that loop and is dealt with by the slower code below it.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, Generic, TypeVar

from gateway_core.errors import BodyTooLargeError, ClientGoneError
from gateway_core.messages import Record, Request, Response, RouteInfo
from gateway_core.plugins.awaiting import awaited, discard
from gateway_core.plugins.chains import Hook, Stop
from gateway_core.plugins.faults import HookResultError, HookTimeoutError, QuarantinedError, describe

Hooks = tuple[Hook, ...]
OutcomeT = TypeVar("OutcomeT")

_ABSENT: Final[Any] = object()

# SystemExit too: sys.exit() somewhere in a plugin must not end the gateway.
_FAILURES: Final = (Exception, SystemExit)


class Suspended(Generic[OutcomeT]):
    """A phase that has come to a hook which must be awaited."""

    __slots__ = ("_awaitable", "_hooks", "_index")

    def __init__(self, hooks: Hooks, index: int, awaitable: Awaitable[object]) -> None:
        self._hooks = hooks
        self._index = index
        self._awaitable: Awaitable[object] | None = awaitable

    async def finish(self) -> OutcomeT:
        """Run the hook and the rest of the phase; to be awaited in a task."""
        raise NotImplementedError

    async def _result(self) -> object:
        awaitable, self._awaitable = self._awaitable, None
        assert awaitable is not None, "a phase is finished once"
        return await awaited(awaitable, self._hooks[self._index].binding.timeout)

    def __del__(self) -> None:
        if self._awaitable is not None:
            discard(self._awaitable)


# --- request, route match, pre-proxy -----------------------------------------------------------------------------


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
    except _FAILURES as error:
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
        except _FAILURES as error:
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
        except _FAILURES as error:
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
    return _failed(hook, request, _wrong_result(hook, result))


def _failed(hook: Hook, request: Request, error: BaseException) -> Stop | None:
    """Apply the binding's policy to a failure."""
    binding = hook.binding
    if isinstance(error, ClientGoneError):
        raise error
    if isinstance(error, BodyTooLargeError):
        if binding.quarantine is not None:
            binding.quarantine.abandoned()
        return None if binding.is_shadow else Stop(_gateway_problem(413), hook, describe(error))
    if not _denies(hook, request, error):
        return None
    return Stop(_gateway_problem(500), hook, f"{binding} failed in {hook.phase}: {describe(error)}")


def reject_result(stop: Stop, request: Request, why: str) -> Stop | None:
    """Count what a hook decided as its failure, such as an unknown route's id.

    :param why: what is wrong with it.
    :returns: the stop to go on with, or None if the binding's policy is to continue.
    """
    return _failed(stop.hook, request, HookResultError(why))


def _denies(hook: Hook, request: Request, error: BaseException) -> bool:
    """Count and report a failure, and tell whether it denies the request."""
    binding = hook.binding
    if not isinstance(error, QuarantinedError):
        binding.faults.failed(binding, hook.phase, request, error)
    if binding.is_shadow:
        return False
    policy = binding.on_timeout if isinstance(error, HookTimeoutError) else binding.on_error
    return policy == "deny"


def _wrong_result(hook: Hook, result: object) -> HookResultError:
    may = "None, a Response or the id of a route" if hook.phase == "gateway_route_match" else "None or a Response"
    text = repr(result)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return HookResultError(f"it returned {shown} ({type(result).__name__}): return {may}")


def _gateway_problem(status: int) -> Response:
    response = Response.problem(status)
    response.produced_by = "gateway"
    return response


# --- response ----------------------------------------------------------------------------------------------------


def start_response_phase(hooks: Hooks, request: Request, response: Response) -> Response | Suspended[Response]:
    """Run the response hooks, each of which may change the answer or replace it.

    :returns: the answer to send, or `Suspended`, whose ``finish()`` gives it. A failing hook of a binding that denies
        replaces the answer by a 500, which the hooks after it then see.
    """
    hook = result = None
    try:
        for hook in hooks:
            result = hook.call(request, response)
            if result is not None:
                break
        else:
            return response
    except _FAILURES as error:
        assert hook is not None
        response = _response_failed(hook, request, response, error)
    else:
        if isinstance(result, Awaitable):
            return _SuspendedResponse(hooks, hooks.index(hook), result, request, response)
        response = _replaced(hook, request, response, result)
    return _respond(hooks, hooks.index(hook) + 1, request, response)


class _SuspendedResponse(Suspended[Response]):
    __slots__ = ("_request", "_response")

    def __init__(
        self, hooks: Hooks, index: int, awaitable: Awaitable[object], request: Request, response: Response
    ) -> None:
        super().__init__(hooks, index, awaitable)
        self._request = request
        self._response = response

    async def finish(self) -> Response:
        hook, request, response = self._hooks[self._index], self._request, self._response
        try:
            result = await self._result()
        except _FAILURES as error:
            response = _response_failed(hook, request, response, error)
        else:
            response = _replaced(hook, request, response, result)
        rest = _respond(self._hooks, self._index + 1, request, response)
        return await rest.finish() if isinstance(rest, Suspended) else rest


def _respond(hooks: Hooks, start: int, request: Request, response: Response) -> Response | Suspended[Response]:
    for index in range(start, len(hooks)):
        hook = hooks[index]
        try:
            result = hook.call(request, response)
        except _FAILURES as error:
            response = _response_failed(hook, request, response, error)
        else:
            if isinstance(result, Awaitable):
                return _SuspendedResponse(hooks, index, result, request, response)
            response = _replaced(hook, request, response, result)
    return response


def _replaced(hook: Hook, request: Request, response: Response, result: object) -> Response:
    if result is None or result is response:
        return response
    if isinstance(result, Response):
        if not result.produced_by:
            result.produced_by = hook.binding.id
        return result
    return _response_failed(hook, request, response, _wrong_result(hook, result))


def _response_failed(hook: Hook, request: Request, response: Response, error: BaseException) -> Response:
    return _gateway_problem(500) if _denies(hook, request, error) else response


# --- log ---------------------------------------------------------------------------------------------------------


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
    except _FAILURES as error:
        assert hook is not None
        _denies(hook, request, error)
    else:
        if isinstance(result, Awaitable):
            return _SuspendedLog(hooks, hooks.index(hook), result, (request, response, record))
        _denies(hook, request, _wrong_log_result(result))
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
        except _FAILURES as error:
            _denies(hook, self._args[0], error)
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
        except _FAILURES as error:
            _denies(hook, args[0], error)
    return None


def _wrong_log_result(result: object) -> HookResultError:
    return HookResultError(f"it returned a {type(result).__name__}: a log hook returns nothing")
