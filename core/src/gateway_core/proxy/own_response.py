"""A response that was made here, by the gateway or a plugin, on its way through the response phase to the client."""

from __future__ import annotations

from typing import Protocol

from gateway_core.hooks import Hook, start_response_phase
from gateway_core.messages import Request, Response
from gateway_core.proxy.gateway_responses import with_request_id
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.response_fields import BODILESS, own_block
from gateway_core.proxy.response_phase import filtered
from gateway_core.proxy.response_writer import ResponseWriter


class OwnResponseOwner(Protocol):
    """The exchange, as far as its own responses use it."""

    id_line: bytes
    request: Request
    writer: ResponseWriter

    def runner(self) -> HookRunner:
        """Return what runs its hooks."""

    def response_begins(self) -> None:
        """Called before the head is written."""

    def written(self) -> None:
        """Called when the response is written."""


class OwnResponse:
    """The one response of an exchange that is not an upstream's."""

    __slots__ = ("_owner", "reason", "response")

    def __init__(self, owner: OwnResponseOwner, response: Response) -> None:
        self._owner = owner
        self.response = response
        self.reason: str | None = None
        """Why it is not the response that it was at first, if a response hook failed."""

    def respond(self, hooks: tuple[Hook, ...]) -> None:
        """Run response hooks, and write what they leave."""
        if hooks:
            owner = self._owner
            owner.runner().run(self.write, start_response_phase, hooks, owner.request, self.response)
        else:
            self.write(self.response)

    def write(self, response: Response) -> None:
        """Write a response, whole."""
        if response is not self.response:
            self.reason = response.failure or ("plugin.failed" if response.produced_by == "gateway" else None)
            self.response = response
        owner, status = self._owner, response.status
        has_body = status not in BODILESS
        body = with_request_id(response, owner.request.request_id) if has_body else b""
        if response.filters:
            body = filtered(response, body, True)
        owner.response_begins()
        length = len(body) if has_body else None
        owner.writer.start(status, response.reason, own_block(response), length, owner.id_line, body, True)
        owner.written()
