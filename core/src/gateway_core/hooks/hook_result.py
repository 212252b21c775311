"""What becomes of a hook's result or failure, in every phase."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, Generic, TypeVar

from gateway_core import reasons
from gateway_core.errors import BadPathError, BodyTooLargeError, TextTooLongError, UpstreamError
from gateway_core.hooks.awaiting import awaited, discard
from gateway_core.hooks.chain import Hook
from gateway_core.hooks.failure_log import HookResultError, HookTimeoutError, QuarantinedError
from gateway_core.messages import Request, Response

Hooks = tuple[Hook, ...]
OutcomeT = TypeVar("OutcomeT")

# SystemExit too: sys.exit() somewhere in a plugin must not end the gateway.
FAILURES: Final = (Exception, SystemExit)
# Of a plain call, in which nobody cancels anything, it is the plugin's own whatever it is.
ANYTHING: Final = (BaseException,)


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


def refusal_of(hook: Hook, error: BaseException) -> int | None:
    """Return the status for what is the client's fault or the upstream's, which no policy of the binding lets pass.

    It is no failure of the binding: it is neither counted nor a reason for quarantine.
    """
    if not isinstance(error, BadPathError | BodyTooLargeError | TextTooLongError):
        return None
    if hook.binding.quarantine is not None:
        hook.binding.quarantine.abandoned()
    return error.status


def denies(hook: Hook, request: Request, error: BaseException) -> bool:
    """Count and report a failure, and tell whether it denies the request."""
    binding = hook.binding
    if not isinstance(error, QuarantinedError):
        binding.faults.failed(binding, hook.phase, request, error)
    if binding.is_shadow:
        return False
    policy = binding.on_timeout if isinstance(error, HookTimeoutError) else binding.on_error
    return policy == "deny"


def wrong_result(hook: Hook, result: object) -> HookResultError:
    """Return the error of a hook that returned what its spec does not allow."""
    may = "None, a Response or the id of a route" if hook.phase == "gateway_route_match" else "None or a Response"
    text = repr(result)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return HookResultError(f"it returned {shown} ({type(result).__name__}): return {may}")


def gateway_problem(status: int, failure: str) -> Response:
    """Return the gateway's own response for a hook that failed; it says nothing of what is inside.

    :param failure: a code of :mod:`gateway_core.reasons`.
    """
    response = Response.problem(status)
    response.produced_by = "gateway"
    response.failure = failure
    return response


def problem_of(error: BaseException) -> Response:
    """Return the gateway's own response for what a hook raised."""
    if isinstance(error, BodyTooLargeError):
        return gateway_problem(error.status, reasons.BODY_TOO_LARGE)
    if isinstance(error, BadPathError):
        return gateway_problem(error.status, reasons.PATH_REFUSED)
    if isinstance(error, TextTooLongError):
        return gateway_problem(error.status, reasons.TEXT_TOO_LONG)
    if isinstance(error, UpstreamError):
        return gateway_problem(error.status, error.reason)
    if isinstance(error, HookTimeoutError):
        return gateway_problem(500, reasons.PLUGIN_TIMEOUT)
    if isinstance(error, QuarantinedError):
        return gateway_problem(500, reasons.PLUGIN_QUARANTINED)
    return gateway_problem(500, reasons.PLUGIN_FAILED)
