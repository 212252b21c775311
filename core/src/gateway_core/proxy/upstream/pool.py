"""The connections to one endpoint: the last one used is the first one taken again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway_core.proxy.socket_options import READ_SIZE, read_little, set_no_delay
from gateway_core.proxy.sweeper import NEVER, Sweeper
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.tasks import Tasks
from gateway_core.upstreams.transport import TransportSettings

if TYPE_CHECKING:
    from gateway_core.proxy.wire.response_head import ResponseHead

Connected = Callable[[UpstreamConnection | None, Failure, str], None]
"""Called with a connection, or with None and why there is none."""


class Pool:
    """Makes, lends and keeps connections to one endpoint. How many may be in use is for others to decide."""

    __slots__ = (
        "_context",
        "_idle_timeout",
        "_loop",
        "_max_idle",
        "_max_requests",
        "_on_closed",
        "_problem",
        "_sweeper",
        "_tasks",
        "closed",
        "host",
        "idle",
        "last_head",
        "max_head_bytes",
        "port",
        "settings",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        settings: TransportSettings,
        *,
        context: ssl.SSLContext | None = None,
        problem: str = "",
        max_head_bytes: int = 65536,
        sweeper: Sweeper,
        on_closed: Callable[[Pool], None] = lambda _: None,
    ) -> None:
        self.host = host
        self.port = port
        self.settings = settings
        self.max_head_bytes = max_head_bytes
        """Bytes of an answer's head at most."""
        self.idle: list[UpstreamConnection] = []
        self.closed = False
        self.last_head: ResponseHead | None = None
        """The last answer's head: most answers of an endpoint within a second have the same."""
        self._max_idle = settings.max_idle
        self._max_requests = settings.max_requests or NEVER
        self._idle_timeout = settings.idle_timeout
        self._context = context
        self._problem = problem  # why no connection can be made at all
        self._sweeper = sweeper
        self._on_closed = on_closed
        self._loop = loop
        self._tasks = Tasks()

    def take(self) -> UpstreamConnection | None:
        """Return an idle connection, or None."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if not connection.transport.is_closing():
                return connection
        return None

    def connect(self, seconds: float, connected: Connected) -> asyncio.Task[None]:
        """Have a connection made; cancel the task to give the wish up.

        :param seconds: how long it may take; 0 is no limit.
        """
        return self._tasks.spawn(self._connect(seconds, connected), name=f"connect {self.host}:{self.port}")

    async def _connect(self, seconds: float, connected: Connected) -> None:
        connection, failure, reason = None, Failure.CONNECT, ""
        server_name = self.settings.tls.server_name or self.host
        if self._problem:
            connected(None, failure, self._problem)
            return
        try:
            async with asyncio.timeout(seconds or None):
                _, connection = await self._loop.create_connection(
                    lambda: UpstreamConnection(self),
                    self.host,
                    self.port,
                    ssl=self._context,
                    server_hostname=server_name if self._context is not None else None,
                )
            set_no_delay(connection.transport)
            read_little(connection.transport)
            connection.transport.set_write_buffer_limits(high=READ_SIZE // 2)
        except TimeoutError:
            failure, reason = Failure.CONNECT_TIMEOUT, "connecting took too long"
        except ssl.SSLCertVerificationError as error:
            reason = f"its certificate is not trusted: {error.verify_message}"
        except (OSError, ssl.SSLError) as error:
            reason = f"cannot connect: {error}"
        connected(connection, failure, reason)

    def give_back(self, connection: UpstreamConnection) -> None:
        """Keep a connection for the next request, of any client."""
        idle = self.idle
        if self.closed or connection.bound or len(idle) >= self._max_idle or connection.uses >= self._max_requests:
            connection.abort()
            return
        connection.deadline = self._sweeper.time + self._idle_timeout
        idle.append(connection)

    def forget(self, connection: UpstreamConnection) -> None:
        """Let go of a connection that is closed or has become a tunnel."""
        if connection in self.idle:
            self.idle.remove(connection)

    @property
    def deadline(self) -> float:
        """When the connection that has been idle for longest is to be closed."""
        return self.idle[0].deadline if self.idle else NEVER

    def expire(self, now: float) -> None:
        """Close the connections that have been idle for too long."""
        while self.idle and self.idle[0].deadline <= now:
            self.idle[0].abort()

    async def aclose(self) -> None:
        """Close idle connections now, and those in use when their answers are complete.

        Connections that are being made go on: the requests that wait for them were given this endpoint.
        """
        self.closed = True
        self._on_closed(self)
        for connection in list(self.idle):
            connection.abort()

    async def cancel_connecting(self) -> None:
        """Give up the connections that are being made, whoever waits for them."""
        await self._tasks.aclose()

    def __repr__(self) -> str:
        return f"<Pool {self.host}:{self.port} idle={len(self.idle)}>"
