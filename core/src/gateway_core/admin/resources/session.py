"""``GET /api/v1/session``: who sends a request, and what they may do."""

from __future__ import annotations

from typing import Literal

from gateway_core.admin.operation import ApiModel, Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.config import AdminRole


class Session(ApiModel):
    """Who sends a request."""

    name: str
    """The name of the token, of the client certificate, ``local`` for the control socket, or ``anonymous``."""
    role: AdminRole
    """What the caller may do."""
    how: Literal["socket", "token", "certificate", "anonymous"]
    """By what the caller is known."""
    may_tail: bool
    """Whether the caller may watch single requests."""


async def _session(call: Call) -> Reply:
    caller = call.caller
    return json_reply(
        Session(name=caller.name, role=caller.role, how=caller.how, may_tail=caller.may_tail).model_dump()
    )


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "session", "viewer", "Return who sends the request, and with which role", _session, result=Session
    ),
)
