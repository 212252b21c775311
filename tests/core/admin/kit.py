"""What tests of the admin API share: a listener on a port, and requests as programs and pages send them."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from gateway_core.admin import AdminListener, AdminView, Place
from gateway_core.process.listeners import open_site

from tests.ports import free_port


class Answer(NamedTuple):
    """A response; the body as JSON if it is JSON."""

    status: int
    body: Any
    headers: Mapping[str, str]


@asynccontextmanager
async def listening(view: AdminView, place: Place | None = None) -> AsyncIterator[int]:
    """Listen on a free port of 127.0.0.1."""
    port = free_port()
    listener = AdminListener(open_site)
    await listener.open(place or Place(f"127.0.0.1:{port}"), view)
    try:
        yield port
    finally:
        await listener.aclose()


def send(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    body: Any = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Send one request; a body that is no text goes as JSON. Blocks."""
    fields = {} if body is None else {"Content-Type": "application/json"}
    content = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
    connection.request(method, path, content, {**fields, **(headers or {})})
    response = connection.getresponse()
    data = response.read()
    is_json = response.headers.get_content_type() in {"application/json", "application/problem+json"}
    return Answer(response.status, json.loads(data) if is_json and data else data.decode(), dict(response.headers))
