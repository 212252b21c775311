"""``POST /api/v1/bindings/{id}/{command}``: commands of plugins, run in every worker."""

from __future__ import annotations

from pydantic import JsonValue

from gateway_core.admin.gate import check_role
from gateway_core.admin.operation import Call, Operation
from gateway_core.admin.replies import Reply, json_reply
from gateway_core.admin.view import AdminView


async def run_command(call: Call) -> Reply:
    """Run the command that a request names, with the arguments of its body; no body is none."""
    binding, command = call.path["id"], call.path["command"]
    if not call.caller.may("operator") and not await _may_be_viewed(call.view, binding, command):
        check_role(call.caller, "operator")
    report = await call.view.run_command(binding, command, call.body or {})
    return json_reply(report.entries(), report.status)


async def _may_be_viewed(view: AdminView, binding: str, command: str) -> bool:
    """Whether a command changes nothing, in every worker."""
    workers = (await view.plugins()).get("workers", ())
    roles = {
        each.get("commands", {}).get(command)
        for worker in workers
        for each in worker.get("bindings", ())
        if each["path"] == binding
    }
    return roles == {"viewer"}


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
    ),
)
