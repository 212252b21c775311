"""Responses of the admin listener: text, JSON and problem details (RFC 9457), none of which reveals the software."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from gateway_core.errors import RefusedError

SECURITY_FIELDS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Sent with every response: whatever a browser shows of it loads nothing from elsewhere, and is shown in no frame."""

PROBLEM: Final = "application/problem+json"
EVENT_STREAM: Final = "text/event-stream"


class Reply(web.Response):
    """A response without the Server field that aiohttp adds."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        _secure(self)


class EventStream(web.StreamResponse):
    """A stream of events (HTML, "Server-sent events")."""

    def __init__(self) -> None:
        # Proxies are not to collect it, nor to compress it.
        super().__init__(headers={"Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"})

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        _secure(self)


def _secure(response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)
    for name, value in SECURITY_FIELDS.items():
        response.headers.setdefault(name, value)


def refusal_reply(error: RefusedError) -> Reply:
    """Return a refusal as a problem."""
    return Reply(text=json.dumps(error.content), status=error.status, content_type=PROBLEM, headers=error.headers)


def text_reply(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return a response of plain text."""
    return Reply(text=text, status=status, headers=headers)


def json_reply(data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """Return data as JSON."""
    return Reply(text=json.dumps(data), status=status, content_type="application/json", headers=headers)
