"""Shadow mode: a hook runs on a copy, and what it decides is counted and logged but not done."""

from __future__ import annotations

import copy
from collections import ChainMap
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

from gateway_core.errors import ShadowModeError
from gateway_core.events import PLUGIN_SHADOW, emit
from gateway_core.hooks.awaiting import Deferred
from gateway_core.hooks.binding import Binding
from gateway_core.hooks.failure_log import count
from gateway_core.messages import Request, Response, UpstreamAttempt
from gateway_core.messages.body import FilterSpec
from gateway_core.messages.operations import RequestOperations
from gateway_core.messages.response import close_bodies
from gateway_core.messages.trace import trace_id_of
from gateway_core.metrics.catalogue import PLUGIN_SHADOW_DECISIONS

_OWN_STATE: Final = "gateway.shadow"
_REQUEST_PARTS: Final = ("method", "raw_path", "query_string", "upstream", "identity", "headers_key")


def shadowed(call: Callable[..., Any], binding: Binding, phase: str) -> Callable[..., Any]:
    """Wrap a hook so that it works on copies and always returns None, in time or after being awaited."""

    def shadow(request: Request, *rest: Any) -> Any:
        before = request, *rest
        after = copy_request(request, binding), *map(_copied, rest)
        result = call(*after)
        if isinstance(result, Awaitable):
            return Deferred(result, lambda each: _awaited(each, binding, phase, before, after))
        return _observed(result, binding, phase, before, after)

    return shadow


def with_own_state(call: Callable[..., Any], binding: Binding) -> Callable[..., Any]:
    """Wrap a log hook, which may decide nothing, so that it finds what the binding's other hooks left."""
    return lambda request, *rest: call(copy_request(request, binding), *rest)


def _copied(argument: Any) -> Any:
    if isinstance(argument, Response):
        return copy_response(argument)
    if isinstance(argument, UpstreamAttempt):
        return argument.copy()
    return argument


async def _awaited(
    awaitable: Awaitable[Any], binding: Binding, phase: str, before: tuple[Any, ...], after: tuple[Any, ...]
) -> object:
    outcome = _observed(await awaitable, binding, phase, before, after)
    return await outcome if isinstance(outcome, Awaitable) else outcome


def _observed(result: object, binding: Binding, phase: str, before: tuple[Any, ...], after: tuple[Any, ...]) -> object:
    """Count and log a decision; a result of a wrong type is passed on, to be reported like any other."""
    if result is None:
        decision = "change" if _changed(before, after) else "none"
    elif isinstance(result, Response):
        decision = f"response {result.status}"
    elif isinstance(result, str) and phase == "gateway_route_match":
        decision = "reroute"
    else:
        return result
    count(binding, phase, PLUGIN_SHADOW_DECISIONS, decision.partition(" ")[0])
    if decision not in {"none", "change"}:
        request_id = before[0].request_id
        emit(
            PLUGIN_SHADOW,
            f"{binding} in shadow mode would have: {decision}, request {request_id}",
            logger=binding.instance.log,
            plugin=binding.plugin,
            binding=binding.path,
            request_id=request_id,
            trace_id=trace_id_of(before[0].trace),
            reason=str(decision),
        )
    return _closing(result, before, after)


def _closing(result: object, before: tuple[Any, ...], after: tuple[Any, ...]) -> Awaitable[None] | None:
    """Return what closes the iterators that nothing will be sent of; None if there are none, as usual."""
    kept = next((each for each in before if isinstance(each, Response)), None)
    left = [
        each for each in (result, *after[1:]) if isinstance(each, Response) and isinstance(each.body, AsyncIterator)
    ]
    if kept is not None:
        left = [each for each in left if each.body is not kept.body]
    return _close(left, kept) if left else None


async def _close(responses: list[Response], kept: Response | None) -> None:
    for each in responses:
        await close_bodies(each, kept)


def copy_request(request: Request, binding: Binding) -> Request:
    """Return a copy whose head, identity, target and state can be changed without changing the original.

    The binding finds in ``state`` what other plugins leave there, and what its own earlier hooks did. Only it sees the
    latter: an access log would name a refusal that was only tried. The body is shared.
    """
    state = request.state
    own: dict[str, Any] = state.setdefault(_OWN_STATE, {}).setdefault(binding, {})
    copied = copy.copy(request)
    copied.state = cast("dict[str, Any]", ChainMap(own, state))
    copied.announced = {}
    if request.operations is not None:
        copied.operations = _ShadowOperations(request.operations)
    copied._headers = request.headers.copy()  # noqa: SLF001 - a copy is made of the whole
    return copied


def copy_response(response: Response) -> Response:
    """Return a copy whose head can be changed without changing the original."""
    copied = copy.copy(response)
    copied.headers = response.headers.copy()
    copied.operations = _ShadowResponse(response)
    return copied


class _ShadowOperations:
    """What a request in shadow mode can be asked to do: to be read and observed."""

    def __init__(self, operations: RequestOperations[Request, Response]) -> None:
        self._operations = operations

    @property
    def has_body(self) -> bool:
        return self._operations.has_body

    async def read_body(self, limit: int) -> bytes:
        return await self._operations.read_body(limit)

    def read_body_nowait(self, limit: int) -> bytes | None:
        return self._operations.read_body_nowait(limit)

    def set_body(self, data: bytes) -> None:
        """Change nothing."""

    def add_body_filter(self, spec: FilterSpec) -> bool:
        return self._operations.add_body_filter(FilterSpec(spec.factory, True, spec.owner))

    async def forward(self) -> Response:
        raise ShadowModeError("forward() in shadow mode")

    def detach(self) -> Request:
        raise ShadowModeError("detach() in shadow mode")

    def abort(self, reason: str) -> None:
        """Change nothing."""


class _ShadowResponse:
    """The same for a response."""

    def __init__(self, response: Response) -> None:
        self._response = response

    async def read_body(self, limit: int) -> bytes:
        return await self._response.read(limit)

    def set_body(self, data: bytes) -> None:
        """Change nothing."""

    def add_body_filter(self, spec: FilterSpec) -> None:
        self._response.add_body_filter(spec.factory, observe=True)


def _changed(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    request, seen = before[0], after[0]
    if any(getattr(request, part) != getattr(seen, part) for part in _REQUEST_PARTS):
        return True
    for given, got in zip(before[1:], after[1:], strict=True):
        if isinstance(given, Response | UpstreamAttempt) and given.headers.key != got.headers.key:
            return True
        if isinstance(given, Response) and (
            given.status != got.status or given.body is not got.body or given.body_filters != got.body_filters
        ):
            return True
    return False
