"""What becomes of a hook's result or failure, in every phase.

Failures are of three kinds. What a client does (it leaves, stalls, sends too much or a bad path) is never a binding's
failure: it is neither counted nor a reason for quarantine, and no ``on_error`` lets it pass. What an upstream does
(`UpstreamError`) follows ``on_error`` with its own status, and is no reason for quarantine. Everything else is the
plugin's.
"""

from __future__ import annotations

import math
from typing import Final

from gateway_core import reasons
from gateway_core.errors import (
    BadBodyError,
    BadPathError,
    BodyTooLargeError,
    ClientGoneError,
    ShadowModeError,
    TextTooLongError,
    UpstreamError,
    is_clients_doing,
)
from gateway_core.hooks.chain import Hook
from gateway_core.hooks.failure_log import HookResultError, HookTimeoutError, QuarantinedError
from gateway_core.messages import Request, Response
from gateway_core.messages.hook_owner import is_counted

# SystemExit too: sys.exit() somewhere in a plugin must not end the gateway.
FAILURES: Final = (Exception, SystemExit)
# Of a plain call, in which nothing is cancelled, it is the plugin's own whatever it is.
ANYTHING: Final = (BaseException,)

_MOST_CAUSES: Final = 16


def client_error_in(error: BaseException) -> ClientGoneError | None:
    """Return the end of the client's connection that a failure stems from, however a plugin wrapped it; or None."""
    cause: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if cause is None or isinstance(cause, ClientGoneError):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def is_refusal(hook: Hook, error: BaseException) -> bool:
    """Return whether an error refuses the message whatever the binding's policy, because the plugin is not to blame.

    Too much of a body is the client's doing for a request, and a failure of the binding for a response.
    """
    refuses = is_clients_doing(error)
    if refuses and hook.binding.quarantine is not None:
        hook.binding.quarantine.abandoned()
    return refuses


def handle_failure(hook: Hook, request: Request, error: BaseException) -> bool:
    """Count and report a failure, and return whether the binding's policy denies the request."""
    binding = hook.binding
    if isinstance(error, ShadowModeError) and binding.is_shadow:
        if binding.quarantine is not None:
            binding.quarantine.abandoned()
        return False
    if is_counted(error):
        if binding.quarantine is not None:
            binding.quarantine.abandoned()
    elif not isinstance(error, QuarantinedError):
        binding.faults.failed(binding, hook.phase, request, error)
    if binding.is_shadow:
        return False
    policy = binding.on_timeout if isinstance(error, HookTimeoutError) else binding.on_error
    return policy == "deny"


def wrong_result(hook: Hook, result: object) -> HookResultError:
    """Return the error of a hook that returned what its spec does not allow."""
    may = _ALLOWED.get(hook.phase, "None or a Response")
    text = repr(result)
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return HookResultError(f"it returned {shown} ({type(result).__name__}): return {may}")


_ALLOWED: Final = {
    "gateway_route_match": "None, a Response or the id of a route",
    "gateway_attempt": "None",
    "gateway_log": "None",
}


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
        return gateway_problem(
            error.status, reasons.BODY_TOO_LARGE if error.source == "request" else reasons.PLUGIN_FAILED
        )
    if isinstance(error, BadBodyError):
        return gateway_problem(error.status, reasons.BAD_BODY)
    if isinstance(error, BadPathError):
        return gateway_problem(error.status, reasons.PATH_REFUSED)
    if isinstance(error, TextTooLongError):
        return gateway_problem(error.status, reasons.TEXT_TOO_LONG)
    if isinstance(error, UpstreamError):
        response = gateway_problem(error.status, error.reason)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        return response
    if isinstance(error, HookTimeoutError):
        return gateway_problem(500, reasons.PLUGIN_TIMEOUT)
    if isinstance(error, QuarantinedError):
        return gateway_problem(500, reasons.PLUGIN_QUARANTINED)
    return gateway_problem(500, reasons.PLUGIN_FAILED)
