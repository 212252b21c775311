"""What operators override while the gateway runs: endpoints, quarantines, the level of the log."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field

from gateway_core.admin.operation import ApiModel, Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.config import LogLevel
from gateway_core.config.values import PositiveDuration

LONGEST: Final = 30 * 86400.0
"""Seconds of an override."""


def _not_too_long(value: float) -> float:
    if value > LONGEST:
        raise ValueError("an override ends after 30 days at the latest")
    return value


Lifetime = Annotated[PositiveDuration, AfterValidator(_not_too_long)]


class OverrideRequest(ApiModel):
    """Why, and for how long."""

    reason: Annotated[str, Field(max_length=500)] = ""
    """Shown as long as it is in force."""


class EndpointRequest(OverrideRequest):
    """Which endpoint, why, and for how long."""

    upstream: Annotated[str, Field(max_length=500)] | None = None
    """The upstream that has it, where several have an endpoint of this id."""
    expires_in: Lifetime = 86400.0
    """After which the endpoint is as configured again, such as ``2h``."""


class DrainRequest(EndpointRequest):
    """Which endpoint, why, and for how long."""

    force: bool = False
    """Drain it even if no other endpoint of its upstream is up."""


class ReleaseRequest(OverrideRequest):
    """Why, and for how long."""

    expires_in: Lifetime = 600.0
    """How long no failure brings it back into quarantine, such as ``10m``."""


class LogLevelRequest(OverrideRequest):
    """Which level, why, and for how long."""

    level: LogLevel | None
    """The least important lines that are written; null is as configured."""
    expires_in: Lifetime = 3600.0
    """After which the level is as configured again, such as ``1h``."""


class Outcome(ApiModel):
    """What became of it."""

    override: dict[str, Any] | None
    """What is overridden now; null if it is as configured."""
    silent_workers: list[int]
    """Numbers of the workers that do not respond, and follow it as soon as they do."""
    not_kept: str
    """Why it ends with the gateway instead of surviving a restart; empty if it is on disk."""


async def _overrides(call: Call) -> Reply:
    return json_reply({"overrides": call.view.overrides.describe()})


async def _drain(call: Call) -> Reply:
    body = call.body or DrainRequest()
    outcome = await call.view.overrides.drain(
        call.path["id"],
        body.upstream,
        force=body.force,
        by=call.caller.name,
        reason=body.reason,
        seconds=body.expires_in,
    )
    return json_reply(dict(outcome))


async def _up(call: Call) -> Reply:
    body = call.body or EndpointRequest()
    outcome = await call.view.overrides.up(
        call.path["id"], body.upstream, by=call.caller.name, reason=body.reason, seconds=body.expires_in
    )
    return json_reply(dict(outcome))


async def _release(call: Call) -> Reply:
    body = call.body or ReleaseRequest()
    outcome = await call.view.overrides.release(
        call.path["binding"], by=call.caller.name, reason=body.reason, seconds=body.expires_in
    )
    return json_reply(dict(outcome))


async def _log_level(call: Call) -> Reply:
    body = call.body
    outcome = await call.view.overrides.set_log_level(
        body.level, by=call.caller.name, reason=body.reason, seconds=body.expires_in
    )
    return json_reply(dict(outcome))


def _write(path: str, summary: str, handle: Any, body: Any, *, is_optional: bool = True) -> Operation:
    return Operation(
        "POST",
        path,
        "operator",
        summary,
        handle,
        result=Outcome,
        body=body,
        body_is_optional=is_optional,
        errors=(404, 409, 503),
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "overrides", "viewer", "List what operators override, with owner, reason and end", _overrides,
        result=dict[str, Any],
    ),
    _write("endpoints/{id}:drain", "Send an endpoint no new requests; those under way finish", _drain, DrainRequest),
    _write("endpoints/{id}:up", "Have an endpoint get requests again", _up, EndpointRequest),
    _write(
        "plugins/{binding*}:release", "Take a binding out of quarantine, and keep it out for a while", _release,
        ReleaseRequest,
    ),
    _write("log:level", "Log from a level on, in every process", _log_level, LogLevelRequest, is_optional=False),
)  # fmt: skip
