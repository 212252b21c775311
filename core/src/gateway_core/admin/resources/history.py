"""Versions that were in force: listed, shown, compared, rolled back to and pinned."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from gateway_core.admin.operation import API, ApiModel, Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.errors import RefusedError

HISTORY: Final = f"{API}config/history"
DIFF: Final = f"{API}config/diff"
ROLLBACK: Final = f"{API}config:rollback"
UNPIN: Final = f"{API}config:unpin"

Number = Annotated[int, Field(ge=1, le=10**9)]


class DiffQuery(ApiModel):
    """Which versions."""

    old: Number | Literal["running"]
    """The number of the older one, or ``running`` for what is in force."""
    new: Number | Literal["running"]
    """The number of the newer one, or ``running``."""


class Rollback(ApiModel):
    """To which version, and why."""

    number: Number
    """The number of the version, as the history has it."""
    reason: Annotated[str, Field(max_length=500)] = ""
    """Shown as long as it is pinned."""


class RollbackQuery(ApiModel):
    """Whether to roll back. It is in the address, as with all writes, so that the audit log has it."""

    dry_run: bool = False
    """Prepare the version, return what would change and end, and change nothing."""


async def _history(call: Call) -> Reply:
    return json_reply(await call.view.history())


async def _version(call: Call) -> Reply:
    text = call.path["number"]
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise RefusedError(404, "not-found", f"{text[:20]!r} is no number of a version")
    return json_reply(await call.view.kept_version(int(text)))


async def _diff(call: Call) -> Reply:
    numbers = (None if each == "running" else each for each in (call.query.old, call.query.new))
    return json_reply(dict(await call.view.diff(*numbers)))


async def _roll_back(call: Call) -> Reply:
    if call.query.dry_run:
        return json_reply(dict(await call.view.try_roll_back(call.body.number)))
    return json_reply(dict(await call.view.roll_back(call.body.number, call.caller.name, call.body.reason)))


async def _unpin(call: Call) -> Reply:
    return json_reply(dict(await call.view.unpin(call.caller.name)))


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "GET", "config/history", "viewer", "List the versions that were in force, the newest first, and what is pinned",
        _history, result=dict[str, Any], errors=(503,),
    ),
    Operation(
        "GET", "config/history/{number}", "viewer", "Return a version with its configuration, without secrets",
        _version, result=dict[str, Any], errors=(404, 503),
    ),
    Operation(
        "GET", "config/diff", "viewer", "Return what differs between two versions, by key path, without secrets",
        _diff, result=dict[str, Any], query=DiffQuery, errors=(404, 422, 503),
    ),
    Operation(
        "POST", "config:rollback", "editor", "Put a version in force and pin it: files are not applied until unpin",
        _roll_back, result=dict[str, Any], query=RollbackQuery, body=Rollback, errors=(404, 422, 503),
    ),
    Operation(
        "POST", "config:unpin", "editor", "Let files and sources count again, and apply them", _unpin,
        result=dict[str, Any], errors=(409, 503),
    ),
)  # fmt: skip
