"""``POST /api/v1/...``: what changes the gateway or looks into its configuration, for its own user only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from aiohttp import web

from gateway_core.admin.commands import CommandView, serve_command
from gateway_core.admin.server import API, COMMANDS, Reply, json_reply, text_reply
from gateway_core.errors import GatewayError

RELOAD: Final = f"{API}reload"
MATCH: Final = f"{API}match"


class OperationView(CommandView, Protocol):
    """What carries operations out."""

    async def reload(self) -> Mapping[str, Any]:
        """Reload the configuration, wait for the outcome, and return it, with ``report``: problems as text.

        :raises GatewayError: the program ends, or another one takes over, before there is an outcome.
        """

    def request_reload(self) -> None:
        """Reload the configuration soon."""

    async def match(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return which route of the configuration in force takes a request, and why.

        :param request: as `gateway_core.admin.match.MatchRequest.from_json` reads it, and perhaps ``listener``.
        :raises ValueError: it is no request, or there is no such listener.
        :raises GatewayError: no configuration is in force.
        """


async def serve_operation(request: web.BaseRequest, view: OperationView) -> Reply:
    """Carry out what a request names, with the arguments of its body, a JSON object; no body is none."""
    if request.raw_path.startswith(COMMANDS):
        return await serve_command(request, view)
    if request.path not in {RELOAD, MATCH}:
        return text_reply("not found\n", 404)
    if request.method != "POST":
        return text_reply("method not allowed\n", 405, {"Allow": "POST"})
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        return text_reply("the body is larger than 1 MiB\n", 413)
    try:
        arguments = json.loads(body) if body.strip() else {}
        if not isinstance(arguments, dict):
            raise ValueError("not a JSON object")
        return await (_reload if request.path == RELOAD else _match)(view, arguments)
    except ValueError as error:
        return text_reply(f"the body cannot be used: {error}\n", 422)
    except GatewayError as error:
        return text_reply(f"{error}\n", 503)


async def _reload(view: OperationView, arguments: Mapping[str, Any]) -> Reply:
    if not arguments.get("wait", True):
        view.request_reload()
        return json_reply({}, 202)
    return json_reply(dict(await view.reload()))


async def _match(view: OperationView, arguments: Mapping[str, Any]) -> Reply:
    return json_reply(dict(await view.match(arguments)))


async def refuse_operation(request: web.BaseRequest) -> Reply:  # noqa: ARG001 - whatever it is
    """Refuse an operation on a listener that every client of the address may use."""
    return text_reply(
        "operations are not taken on a TCP address without tokens: run gateway on the machine of the gateway, which "
        "finds its control socket\n",
        403,
    )
