"""The connections to one endpoint: made, lent, kept while idle, closed.

The connection that was used last is the first one taken again, so that the others grow old and are closed. A pool
outlives snapshots, as its endpoint does: what may change with a reload is read when it is used (`max_head_bytes`), and
whatever else a pool is made of is part of what distinguishes endpoints (`TransportSettings`).

How a connection is made: the endpoint's name is resolved by the process's resolver, and its addresses are tried a
quarter of a second apart, the families in turn, until one connects (RFC 8305). Where the endpoint expects a PROXY
header, that is sent first, TLS begins behind it, and the connection serves only clients of that address.

`BoundConnections` are the connections that belong to one client's connection, because an upstream knows its user by
them (see `gateway_core.proxy.wire.fields` for what binds a connection): they serve the later requests of that client,
also those without credentials, are never lent to another, and are closed with the client's connection.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, Protocol

from aiohappyeyeballs import start_connection

from gateway_core.descriptors import EXHAUSTED
from gateway_core.failure_text import system_reason
from gateway_core.metrics.counts import EndpointCounts
from gateway_core.proxy.socket_options import read_little, set_keepalive, set_no_delay
from gateway_core.proxy.sweeper import NEVER, Sweeper
from gateway_core.proxy.upstream.connect_timer import connect_timeout
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.http2_stream import Http2UpstreamStream
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.repairs import Leniency
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.proxy_protocol import Address, proxy_header
from gateway_core.tasks import Tasks
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.transport import TransportSettings
from gateway_core.upstreams.upstream import Upstream

HAPPY_EYEBALLS_DELAY: Final = 0.25
"""Seconds after which the next address is tried beside the one before (RFC 8305 section 5)."""

_LOCAL_ERRORS: Final = EXHAUSTED | {errno.EADDRNOTAVAIL}
"""What connecting fails with for want of descriptors, ports or memory here."""

Lent = UpstreamConnection | Http2UpstreamStream
"""What one request is sent over: a connection of HTTP/1, or a stream of HTTP/2."""

Connected = Callable[[Lent | None, Failure, str], None]
"""Called with what was made, or with None and why there is none."""


class Connecting(Protocol):
    """A connection that is being made."""

    def cancel(self) -> object:
        """Give the wish up."""


AddressInfo = tuple[int, int, int, str, tuple[Any, ...]]
"""What `socket.getaddrinfo` returns for an address: family, type, protocol, name, socket address."""


class NameResolver(Protocol):
    """Resolves the names of endpoints."""

    async def resolve(self, host: str, port: int = 0) -> Sequence[AddressInfo]:
        """Return the addresses of a name, best first.

        :raises OSError: it has none, or cannot be resolved.
        """


class SystemResolver:
    """Asks the operating system each time."""

    async def resolve(self, host: str, port: int = 0) -> Sequence[AddressInfo]:
        """Return the addresses of a name, best first."""
        return await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)


class ProxyClient(NamedTuple):
    """On whose behalf a connection begins with a PROXY header."""

    source: Address | None = None
    """The client's address and port; None sends a header without addresses."""
    destination: Address | None = None
    """The address and port that it connected to."""

    @property
    def key(self) -> str:
        """What distinguishes clients that may not share connections."""
        return self.source[0] if self.source is not None and self.destination is not None else ""


NO_CLIENT: Final = ProxyClient()
"""No client: what takes and makes connections without a PROXY header."""


# With TLS 1.3 a server refuses clients after the handshake, and its alert is lost if the request is still on its way.
_CERTIFICATE_HINT: Final = " (perhaps it wants a certificate: tls.cert)"


class Pool:
    """Makes, lends and keeps connections to one endpoint. How many may be in use is for others to decide."""

    __slots__ = (
        "_context", "_has_name", "_idle_timeout", "_is_selective", "_loop", "_max_head_bytes", "_max_idle",
        "_max_requests", "_on_closed", "_problem", "_resolver", "_sweeper", "_tasks", "closed", "counts",
        "hint_for_new", "host", "idle", "last_head", "leniency", "path", "port", "sends_proxy_header", "settings",
        "tolerates_missing_close_notify",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        settings: TransportSettings,
        *,
        path: str = "",
        context: ssl.SSLContext | None = None,
        problem: str = "",
        resolver: NameResolver | None = None,
        max_head_bytes: int = 65536,
        sweeper: Sweeper,
        closed: bool = False,
        on_closed: Callable[[Pool], None] = lambda _: None,
        counts: EndpointCounts | None = None,
    ) -> None:
        """Begin without connections.

        :param path: of the endpoint's unix socket; host and port do not count then.
        :param context: for TLS; None is plain HTTP.
        :param problem: why no connection can be made at all.
        :param closed: whether no connection is kept idle.
        """
        self.host = host
        self.port = port
        self.path = path
        self.settings = settings
        self.idle: dict[UpstreamConnection, float] = {}
        """The idle connections in the order of their last use, each with when it has been idle for too long."""
        self.closed = closed
        self.counts = counts or EndpointCounts()
        """Where connections and their bytes are counted."""
        self.last_head: ResponseHead | None = None
        self.leniency = Leniency.TOLERANT if settings.http1.tolerant else Leniency.REPAIR
        self.tolerates_missing_close_notify = settings.tls.config.tolerate_missing_close_notify
        self.sends_proxy_header = settings.send_proxy_protocol is not None
        """Whether connections begin with a PROXY header, so that `take` and `connect` need the client."""
        self.hint_for_new = "" if context is None or settings.tls.config.cert else _CERTIFICATE_HINT
        self._is_selective = self.sends_proxy_header or settings.keepalive.max_age > 0
        self._has_name = not path and not _is_literal(host)
        self._max_head_bytes = max_head_bytes
        self._max_idle = settings.keepalive.max_idle
        self._max_requests = settings.keepalive.max_requests or NEVER
        self._idle_timeout = settings.keepalive.idle_timeout or NEVER
        self._context = context
        self._problem = problem
        self._resolver = resolver or SystemResolver()
        self._sweeper = sweeper
        self._on_closed = on_closed
        self._loop = loop
        self._tasks = Tasks()

    @property
    def max_head_bytes(self) -> int:
        """Bytes of a response's head at most."""
        return self._max_head_bytes

    def limit_heads(self, size: int) -> None:
        """Take responses' heads of no more than so many bytes: a snapshot is put in force."""
        self._max_head_bytes = size
        self.last_head = None  # which is recognised without being measured again

    # -- lending

    def take(self, client: ProxyClient = NO_CLIENT) -> Lent | None:
        """Return an idle connection, or None.

        :param client: needed if `sends_proxy_header`.
        """
        if self._is_selective:
            return self._select(client.key)
        idle = self.idle
        while idle:
            connection, _ = idle.popitem()
            if not connection.transport.is_closing():
                return connection
        return None

    def _select(self, client: str) -> UpstreamConnection | None:
        """Return the idle connection that was used last for this client and is not too old."""
        for connection in reversed(list(self.idle)):
            if connection.client == client:
                del self.idle[connection]
                if not connection.transport.is_closing() and connection.expires_at > self._sweeper.time:
                    return connection
                connection.abort()
        return None

    @property
    def idle_connections(self) -> int:
        """Connections that no request is using."""
        return len(self.idle)

    def give_back(self, connection: Any) -> None:
        """Keep a connection for the next request, of any client unless it began with a PROXY header."""
        idle = self.idle
        if self.closed or connection.bound or connection.uses >= self._max_requests:
            connection.abort()
            return
        if len(idle) >= self._max_idle:
            if not self.sends_proxy_header or not idle:
                connection.abort()
                return
            next(iter(idle)).abort()  # of another client, most likely, who may not come again
        idle[connection] = self._sweeper.time + self._idle_timeout

    def remember(self, head: ResponseHead) -> None:
        """Recognise the next head like this one, on any connection; not one by which a client has logged in."""
        self.last_head = None if head.binds else head

    def forget(self, connection: UpstreamConnection) -> None:
        """Drop a connection that is closed or has become a tunnel."""
        self.idle.pop(connection, None)

    @property
    def deadline(self) -> float:
        """When the next idle connection is to be closed."""
        if not self.settings.keepalive.max_age:
            return next(iter(self.idle.values()), NEVER)
        return min([min(deadline, each.expires_at) for each, deadline in self.idle.items()], default=NEVER)

    def expire(self, now: float) -> None:
        """Close the connections that have been idle for too long, or are too old."""
        for connection, deadline in list(self.idle.items()):
            if deadline <= now or connection.expires_at <= now:
                connection.abort()

    # -- connecting

    def connect(self, seconds: float, connected: Connected, client: ProxyClient = NO_CLIENT) -> Connecting:
        """Have a connection made; cancel the task to give the wish up.

        :param seconds: how long it may take; 0 is no limit.
        :param client: needed if `sends_proxy_header`.
        """
        name = f"connect {self.path or self.host}:{self.port}"
        return self._tasks.spawn(self._connect(seconds, connected, client), name=name)

    async def _connect(self, seconds: float, connected: Connected, client: ProxyClient) -> None:
        connection, failure = None, Failure.CONNECT
        if reason := self._problem:
            connected(None, failure, reason)
            return
        max_age = self.settings.keepalive.max_age
        made = self.new_protocol(client, self._sweeper.time + max_age if max_age else NEVER)
        steps: list[str] = []
        try:
            async with connect_timeout(seconds):
                await self._open(made, client, steps)
            transport: asyncio.Transport = made.transport  # type: ignore[attr-defined]  # that all of them have
            set_no_delay(transport)
            set_keepalive(transport)
            read_little(transport)
            connection = self.lend(made)
            if connection is None:
                reason = "it closed the connection at once"
            else:
                failure = Failure.NONE
                self.counts.connects += 1
        except TimeoutError:
            failure = Failure.CONNECT_TIMEOUT
            reason = "the TLS handshake took too long" if steps else "connecting took too long"
        except ssl.SSLCertVerificationError as error:
            reason = system_reason(error)
        except (OSError, RuntimeError) as error:  # uvloop raises RuntimeError for some states of sockets
            reason = f"cannot connect: {system_reason(error)}"
            if not isinstance(error, ssl.SSLError) and getattr(error, "errno", None) in _LOCAL_ERRORS:
                failure = Failure.LOCAL
        connected(connection, failure, reason)

    def new_protocol(self, client: ProxyClient, expires_at: float) -> asyncio.Protocol:
        """Return the protocol of a connection that is being made."""
        return UpstreamConnection(self, client.key, expires_at)

    def lend(self, protocol: asyncio.Protocol) -> Lent | None:
        """Return what a request is sent over; None if the connection is closed already."""
        assert isinstance(protocol, UpstreamConnection)
        return protocol if protocol.is_alive else None

    async def _open(self, connection: asyncio.Protocol, client: ProxyClient, steps: list[str]) -> None:
        """Connect, and give the connection its transport; put into ``steps`` that TLS begins."""
        loop, context = self._loop, self._context
        server_name = (self.settings.tls.config.server_name or self.host) if context is not None else None
        version = self.settings.send_proxy_protocol
        if not (self.path or self._has_name or version or context is not None):
            # Nothing to resolve or to send first: the loop does it in one go.
            await loop.create_connection(lambda: connection, self.host, self.port)
            return
        sock = await self._connect_socket()
        if version is not None:
            try:
                await loop.sock_sendall(sock, proxy_header(version, client.source, client.destination))
            except BaseException:
                sock.close()
                raise
        if context is not None:
            steps.append("TLS")
        # From here on only the loop closes the socket: TLS may still wait for the peer's end when this is given up.
        if self.path:
            await loop.create_unix_connection(lambda: connection, sock=sock)
        else:
            await loop.create_connection(lambda: connection, sock=sock, ssl=context, server_hostname=server_name)

    async def _connect_socket(self) -> socket.socket:
        """Return a socket that is connected to the endpoint."""
        if not self.path:
            addresses = await self._resolver.resolve(self.host, self.port)
            return await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY, loop=self._loop)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await self._loop.sock_connect(sock, self.path)
        except BaseException:
            sock.close()
            raise
        return sock

    # -- the end

    async def aclose(self) -> None:
        """Close idle connections now, and those in use when their responses are complete.

        Connections that are being made go on: the requests that wait for them were given this endpoint.
        """
        self.closed = True
        self._on_closed(self)
        for connection in list(self.idle):
            connection.abort()

    async def cancel_connecting(self) -> None:
        """Give up the connections that are being made."""
        await self._tasks.aclose()

    def __repr__(self) -> str:
        return f"<Pool {self.path or self.host}:{self.port} idle={len(self.idle)}>"


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


class BoundConnections:
    """At most one idle connection for each endpoint."""

    __slots__ = ("_idle", "_is_closed")

    def __init__(self) -> None:
        self._idle: dict[Endpoint, UpstreamConnection] = {}
        self._is_closed = False

    def keep(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:
        """Keep a connection whose response is complete for the client's next request."""
        older = self._idle.pop(endpoint, None)
        if older is not None:
            older.abort()
        if self._is_closed or connection.pool.closed:
            connection.abort()
        else:
            self._idle[endpoint] = connection

    def take(self, endpoint: Endpoint) -> UpstreamConnection | None:
        """Return the connection to an endpoint, if there is one that is open."""
        connection = self._idle.pop(endpoint, None)
        return connection if connection is not None and connection.is_alive else None

    def pick(self, upstream: Upstream, now: float) -> Endpoint | None:
        """Choose the endpoint of an upstream that knows the client by its connection; None if there is none."""
        for endpoint, connection in self._idle.items():
            if connection.is_alive and (chosen := upstream.pick_again(endpoint, now)) is not None:
                return chosen
        return None

    def close(self) -> None:
        """Close all, and those that are still in use once their responses are complete."""
        self._is_closed = True
        while self._idle:
            self._idle.popitem()[1].abort()
