"""Connections of an admin listener, bounded in number and time so that some clients cannot keep the others out.

Callers that have shown who they are keep their connections. When there is no room for another one, the oldest
connection of those that have not is closed: whoever opens many connections and sends nothing, or reads nothing, loses
them to the next operator that comes.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from gateway_core.admin.replies import EventStream, Reply, text_reply
from gateway_core.descriptors import operator_connections_for

MOST_CONNECTIONS: Final = 256
"""Of one listener, where there are descriptors enough: it may share them with the clients that it must not starve."""
IDLE_TIMEOUT: Final = 20.0
"""Seconds without a complete head after which a connection is closed, also a new one."""
WRITE_TIMEOUT: Final = 60.0
"""Seconds in which a client has to take a response, apart from streams of events."""


class AdminConnection(RequestHandler):
    """One connection."""

    def __init__(self, manager: ConnectionServer) -> None:
        # A compressed body is refused, not decompressed: a few bytes may become many.
        settings: dict[str, Any] = {"access_log": None, "auto_decompress": False, "keepalive_timeout": IDLE_TIMEOUT}
        super().__init__(manager, loop=asyncio.get_running_loop(), **settings)
        self._admits = manager

    def admit(self) -> None:
        """Keep the connection whatever others come: its caller has shown who it is."""
        self._admits.admit(self)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; a client that does not take it in time is disconnected."""
        if isinstance(resp, EventStream):  # which has been sent
            return await super().finish_response(request, resp, start_time)
        try:
            async with asyncio.timeout(WRITE_TIMEOUT):
                return await super().finish_response(request, resp, start_time)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            return resp, True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond to what could not be read or served, without a word of why."""
        if status >= 500:
            super().handle_error(request, status, exc, message)  # which logs it
        reply = text_reply(f"{HTTPStatus(status).phrase.lower()}\n", status)
        reply.force_close()
        return reply


class ConnectionServer(web.Server):
    """Makes connections, and closes some where there are too many."""

    def __init__(self, serve: Callable[[web.BaseRequest], Awaitable[Reply | EventStream]]) -> None:
        super().__init__(serve)
        self._unknown: dict[RequestHandler, asyncio.Transport] = {}
        """Connections of callers that have not shown who they are, the oldest first."""
        self._known: set[RequestHandler] = set()
        self._room = operator_connections_for(resource.getrlimit(resource.RLIMIT_NOFILE)[0])

    def __call__(self) -> RequestHandler:
        return AdminConnection(self)

    def admit(self, connection: AdminConnection) -> None:
        """Keep a connection that is open."""
        if self._unknown.pop(connection, None) is not None:
            self._known.add(connection)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection, and close the oldest one that may be if there are too many."""
        super().connection_made(handler, transport)
        self._unknown[handler] = transport
        if len(self._unknown) + len(self._known) > min(MOST_CONNECTIONS, self._room):
            self._unknown.pop(next(iter(self._unknown))).abort()

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        """Forget a connection."""
        super().connection_lost(handler, exc)
        self._unknown.pop(handler, None)
        self._known.discard(handler)


def keep_connection(request: web.BaseRequest) -> None:
    """Keep the connection of a caller that has shown who it is."""
    cast("AdminConnection", request.protocol).admit()
