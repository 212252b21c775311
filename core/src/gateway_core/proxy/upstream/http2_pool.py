"""The connections of HTTP/2 to one endpoint: few of them, each for many requests at a time.

A request takes a stream of the first connection that has room, so that connections which are not needed become idle
and are closed. Where none has room one connection is made for all requests that wait; those that find no room on it
once it is there have another one made. With ``protocol: auto`` the endpoint chooses by ALPN, and one that chooses
HTTP/1 has its connections lent to one request each, as by `Pool`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from gateway_core.metrics.http2 import Http2Counts
from gateway_core.proxy.upstream.connect_timer import ConnectTimer
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.http2_connection import Http2UpstreamConnection
from gateway_core.proxy.upstream.http2_pings import PingRation
from gateway_core.proxy.upstream.http2_stream import Http2UpstreamStream
from gateway_core.proxy.upstream.pool import NO_CLIENT, Connected, Connecting, Lent, Pool, ProxyClient
from gateway_core.proxy.upstream.response_handler import Failure


class _Waiting:
    """A request that waits for a connection."""

    __slots__ = ("_pool", "_timer", "connected", "seconds")

    def __init__(self, pool: Http2Pool, seconds: float, connected: Connected) -> None:
        self._pool = pool
        self.seconds = seconds
        self.connected = connected
        self._timer = ConnectTimer(seconds, self._expire) if seconds else None

    def cancel(self) -> None:
        """Wait no longer; the other requests go on waiting."""
        self._pool.give_up(self)
        self.stop()

    def stop(self) -> None:
        """Stop the time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # which calls back here: the request would be freed by the garbage collector only

    def _expire(self) -> None:
        self._timer = None
        self._pool.give_up(self)
        self.connected(None, Failure.CONNECT_TIMEOUT, "connecting took too long")


class Http2Pool(Pool):
    """Makes, lends and keeps connections of HTTP/2 to one endpoint."""

    __slots__ = ("_connections", "_opening", "_scheme", "http2", "pings", "waiting")

    def __init__(self, *arguments: Any, scheme: str = "http", http2: Http2Counts | None = None, **options: Any) -> None:
        """Begin without connections; the arguments are those of `Pool`."""
        super().__init__(*arguments, **options)
        self._scheme = scheme
        self._connections: list[Http2UpstreamConnection] = []
        self.waiting: list[_Waiting] = []
        self._opening: Connecting | None = None
        self.pings = PingRation()
        self.http2 = http2 or Http2Counts()

    # -- lending

    def take(self, client: ProxyClient = NO_CLIENT) -> Lent | None:
        for connection in self._connections:
            if connection.has_room:
                return Http2UpstreamStream(connection, self, connection.sender.initial)
        return super().take(client) if self.idle else None

    def connect(self, seconds: float, connected: Connected, client: ProxyClient = NO_CLIENT) -> Connecting:
        if self.sends_proxy_header:
            return super().connect(seconds, connected, client)
        waiting = _Waiting(self, seconds, connected)
        self.waiting.append(waiting)
        self._open_for_all()
        return waiting

    def give_up(self, waiting: _Waiting) -> None:
        """Let a request wait no longer."""
        if waiting in self.waiting:
            self.waiting.remove(waiting)

    def _open_for_all(self) -> None:
        is_young = any(each.expects_settings and each.is_alive for each in self._connections)
        if self._opening is None and self.waiting and not is_young:
            # How long each request waits is its own matter. This one is given up after the longest of these times: the
            # kernel would ask a silent endpoint again after a minute only, and everything that comes would wait for it.
            times = [each.seconds for each in self.waiting]
            self._opening = super().connect(max(times) if all(times) else 0, self._opened)

    def _opened(self, connection: Lent | None, failure: Failure, detail: str) -> None:
        self._opening = None
        if failure is Failure.CONNECT_TIMEOUT:
            self._open_for_all()  # for those that came meanwhile
            return
        waiting, self.waiting = self.waiting, []
        while waiting:
            if connection is not None:
                lent: Lent | None = connection
                connection = None
            else:
                lent = None if failure is not Failure.NONE else self.take()
            if lent is None and failure is Failure.NONE:
                break  # no room is left: another connection is made for the rest
            first = waiting.pop(0)
            first.stop()
            first.connected(lent, failure, detail)
        self.waiting = waiting + self.waiting
        self._open_for_all()

    def give_back(self, connection: Any) -> None:
        """Keep a connection of HTTP/1; a stream that was not used leaves nothing behind."""
        if isinstance(connection, UpstreamConnection):
            super().give_back(connection)

    def new_protocol(self, client: ProxyClient, expires_at: float) -> asyncio.Protocol:
        return _Chooser(self, client, expires_at)

    def lend(self, protocol: asyncio.Protocol) -> Lent | None:
        assert isinstance(protocol, _Chooser)
        chosen = protocol.chosen
        if isinstance(chosen, UpstreamConnection) and self.settings.protocol == "http2":
            chosen.abort()
            raise ConnectionError("it does not choose HTTP/2 (ALPN), which `protocol: http2` asks for")
        if isinstance(chosen, Http2UpstreamConnection):
            if not chosen.is_alive:
                return None
            chosen.limit_heads(self.max_head_bytes)
            self._connections.append(chosen)
            return Http2UpstreamStream(chosen, self, chosen.sender.initial)
        return chosen if chosen is not None and chosen.is_alive else None

    def make(self, transport: asyncio.BaseTransport, client: ProxyClient, expires_at: float) -> Any:
        """Return the protocol that the endpoint has chosen, or that is configured."""
        tls = transport.get_extra_info("ssl_object")
        is_http2 = self.settings.protocol == "http2" if tls is None else tls.selected_alpn_protocol() == "h2"
        if is_http2:
            return Http2UpstreamConnection(self, self._scheme, expires_at)
        return UpstreamConnection(self, client.key, expires_at)

    def limit_heads(self, size: int) -> None:
        super().limit_heads(size)
        for connection in self._connections:
            connection.limit_heads(size)

    @property
    def idle_connections(self) -> int:
        return super().idle_connections + sum(not len(each) for each in list(self._connections))

    # -- called by connections

    def now(self) -> float:
        return self._sweeper.time

    def connection_changed(self, connection: Http2UpstreamConnection) -> None:
        if not connection.is_alive and connection in self._connections:
            self._connections.remove(connection)
        if self.closed and connection.is_alive and not len(connection):
            connection.close()
        elif self.waiting:
            self._serve(connection)
            self._open_for_all()

    def _serve(self, connection: Http2UpstreamConnection) -> None:
        """Give room that became free to who waits for a connection."""
        while self.waiting and connection.has_room:
            first = self.waiting.pop(0)
            first.stop()
            first.connected(Http2UpstreamStream(connection, self, connection.sender.initial), Failure.NONE, "")

    # -- time

    @property
    def deadline(self) -> float:
        deadlines = [min(each.deadline, each.idle_since + self._idle_timeout) for each in self._connections]
        return min([super().deadline, *deadlines])

    def expire(self, now: float) -> None:
        super().expire(now)
        for connection in list(self._connections):
            connection.expire(now)
            if now >= connection.idle_since + self._idle_timeout:
                connection.retire()

    async def aclose(self) -> None:
        await super().aclose()
        for connection in list(self._connections):
            if not len(connection):
                connection.close()

    def __repr__(self) -> str:
        return f"<Http2Pool {self.path or self.host}:{self.port} connections={len(self._connections)}>"


class _Chooser(asyncio.Protocol):
    """Stands in until the handshake has shown what the endpoint speaks."""

    def __init__(self, pool: Http2Pool, client: ProxyClient, expires_at: float) -> None:
        self._make: Callable[[asyncio.BaseTransport], Any] = lambda transport: pool.make(transport, client, expires_at)
        self.chosen: UpstreamConnection | Http2UpstreamConnection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.chosen = chosen = self._make(transport)
        transport.set_protocol(chosen)
        chosen.connection_made(transport)

    @property
    def transport(self) -> asyncio.Transport:
        """The transport, once there is one."""
        assert self.chosen is not None
        return self.chosen.transport
