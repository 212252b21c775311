"""``POST /api/v1/bindings/{id}/{command}``: commands of plugins, run in every worker."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from gateway_core.admin.operation import Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.admin.view import AdminView
from gateway_core.config import AdminRole


async def run_command(call: Call) -> Reply:
    """Run the command that a request names, with the arguments of its body; no body is none."""
    report = await call.view.run_command(call.path["id"], call.path["command"], call.body or {})
    return json_reply(report.entries(), report.status)


async def role_of_command(view: AdminView, path: Mapping[str, str]) -> AdminRole:
    """Return the role that a command needs: ``viewer`` if it changes nothing, in every worker."""
    workers = (await view.plugins()).get("workers", ())
    roles = {
        each.get("commands", {}).get(path["command"])
        for worker in workers
        for each in worker.get("bindings", ())
        if each["path"] == path["id"]
    }
    return "viewer" if roles == {"viewer"} else "operator"


OPERATIONS = (
    Operation(
        "POST",
        "bindings/{id*}/{command}",
        "viewer",
        "Run a command of a plugin in every worker; one that changes something needs the role operator",
        run_command,
        result=list[dict[str, JsonValue]],
        body=dict[str, JsonValue],
        body_is_optional=True,
        errors=(404, 422, 500, 503),
        reports_errors=True,
        role_of=role_of_command,
    ),
)
