"""``POST /api/v1/reload`` and ``/match``: what reloads the configuration, or looks into the one in force."""

from __future__ import annotations

from typing import Any, Final

from gateway_core.admin.operation import API, ApiModel, Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.errors import RefusedError

RELOAD: Final = f"{API}reload"
MATCH: Final = f"{API}match"


class ReloadRequest(ApiModel):
    """How to reload."""

    wait: bool = True
    """Whether the response waits for the outcome."""


class ReloadQuery(ApiModel):
    """Whether to reload. It is in the address, as with all writes, so that the audit log has it."""

    dry_run: bool = False
    """Validate and prepare what files and sources have, return what would change, and change nothing."""


class MatchBody(ApiModel):
    """A request that is matched, and not sent."""

    url: str
    """A URL, or a path."""
    method: str = "GET"
    """Its method."""
    headers: dict[str, str | list[str]] = {}
    """Fields by name; a list stands for several of one name."""
    client: str | None = None
    """The client's address; ``127.0.0.1`` unless given."""
    listener: str | None = None
    """Name or address of the listener that it comes in at; the first one unless given."""


async def _reload(call: Call) -> Reply:
    if call.query.dry_run:
        return json_reply(dict(await call.view.try_reload()))
    if call.body is not None and not call.body.wait:
        call.view.request_reload()
        return json_reply({}, 202)
    return json_reply(dict(await call.view.reload()))


async def _match(call: Call) -> Reply:
    try:
        return json_reply(dict(await call.view.match(call.body.model_dump())))
    except ValueError as error:
        raise RefusedError(422, "invalid", f"the body cannot be used: {error}") from error


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "POST",
        "reload",
        "operator",
        "Read the configuration again, as SIGHUP does, and return what became of it",
        _reload,
        result=dict[str, Any],
        query=ReloadQuery,
        body=ReloadRequest,
        body_is_optional=True,
        success=(200, 202),
        errors=(503,),
    ),
    Operation(
        "POST",
        "match",
        "viewer",
        "Return which route takes a request, its chain with places, and why other routes do not",
        _match,
        result=dict[str, Any],
        body=MatchBody,
        errors=(503,),
    ),
)
