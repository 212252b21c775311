"""Run the response phase, in which each hook sees what the one before it left."""

from __future__ import annotations

from collections.abc import Awaitable

from gateway_core.errors import TextTooLongError
from gateway_core.hooks.chain import Hook
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
from gateway_core.messages import Request, Response


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
    except ANYTHING as error:
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
        except FAILURES as error:
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
        except ANYTHING as error:
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
    return _response_failed(hook, request, response, wrong_result(hook, result))


def _response_failed(hook: Hook, request: Request, response: Response, error: BaseException) -> Response:
    status = refusal_of(hook, error) if isinstance(error, TextTooLongError) else None
    if status is not None:
        return response if hook.binding.is_shadow else problem_of(error)
    return problem_of(error) if denies(hook, request, error) else response
