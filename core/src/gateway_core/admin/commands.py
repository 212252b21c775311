"""``POST /api/v1/bindings/{id}/{command}``: commands of plugins, run in every worker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import unquote

from aiohttp import web

from gateway_core.admin.server import COMMANDS, Reply, json_reply, text_reply


class Report(Protocol):
    """What became of a command in each worker."""

    @property
    def status(self) -> int:
        """The HTTP status that says it: 200, 404, 422 or 5xx."""
        ...

    def entries(self) -> list[dict[str, Any]]:
        """Return the result or the error of each worker, ready for JSON."""
        ...


class CommandView(Protocol):
    """What runs commands."""

    async def run_command(self, binding: str, command: str, arguments: Mapping[str, Any]) -> Report:
        """Run a command of a binding in every worker."""
        ...


async def serve_command(request: web.BaseRequest, view: CommandView) -> Reply:
    """Run the command that a request names, with the arguments of its body, a JSON object; no body is none."""
    if request.method != "POST":
        return text_reply("method not allowed\n", 405, {"Allow": "POST"})
    path = request.raw_path.removeprefix(COMMANDS).partition("?")[0]
    binding, separator, command = path.rpartition("/")
    if not separator or not binding or not command:
        return text_reply("not found: the path is /api/v1/bindings/{id}/{command}\n", 404)
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return text_reply("the arguments are larger than 1 MiB\n", 413)
    try:
        arguments = json.loads(body) if body.strip() else {}
    except ValueError as error:
        return text_reply(f"the body is no JSON: {error}\n", 400)
    if not isinstance(arguments, dict):
        return text_reply("the body is no JSON object of arguments by name\n", 422)
    report = await view.run_command(unquote(binding), unquote(command), arguments)
    return json_reply(report.entries(), report.status)
