"""The connections of clients in one process: how many there may be, how they all end, and whose turn it is.

A connection counts from when it is accepted: as an `AcceptedConnection` until its protocol is chosen (TLS may be to
come), then by itself, also while it is a tunnel. Connections over a limit get 503 and are closed.

**Turns** (`Turns`) are for connections that hold more than one step of work: no client's bytes must hold up all other
clients. A request that comes alone is served as soon as it is read, which costs no turn, unless its head is large. Of
requests that came together the first is served immediately; the others stay in their connection's buffer, as do all but
the first of very many small chunks of a body, and the connections that hold some form one queue. Each turn of the event
loop serves a bounded number of requests from its head, at most a few of each connection, which then goes to the end of
the queue. Between two turns the loop reads and writes for all other connections. A connection with a full buffer is not
read from (`HIGH_WATER`), so a client holds that much and one read at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from gateway_core.config import LimitsConfig
from gateway_core.descriptors import default_max_connections
from gateway_core.events import CONNECTION_FAILED, emit
from gateway_core.metrics.http2 import Http2Counts
from gateway_core.proxy.downstream.client import AcceptedConnection, Client
from gateway_core.proxy.downstream.shutdown import Shutdown
from gateway_core.proxy.downstream.sweeps import Moving, Remembering
from gateway_core.proxy.http2.waiting import WaitingBytes
from gateway_core.proxy.limit_events import LimitEvents
from gateway_core.proxy.response_fields import DateField
from gateway_core.proxy.running_exchange import ExchangeHost
from gateway_core.proxy.socket_options import abort_later, abort_unless_closed, say_end

TURN_AWAY: Final = 1.0
"""Seconds that a connection over the limit has to read why."""

MOST_TURNED_AWAY: Final = 16
"""Connections over the limit that have that time at once: they hold descriptors, which the limit is to bound."""


FEW: Final = 1000
"""Open connections up to which each remembers the first head of its client; the others begin with the second."""


class Connection(Remembering, Moving, Protocol):
    """A client's connection, whatever its protocol."""

    @property
    def client(self) -> Client: ...
    def expire(self, now: float) -> None: ...
    def drain(self) -> None:
        """Close the connection unless something is in progress, which then is its last."""

    def abort(self) -> None:
        """Close the connection whatever is in progress."""


class _TurnedAway(asyncio.Protocol):
    """A connection over the limit while its client reads why; it counts as long as it holds a descriptor."""

    def __init__(self, transport: asyncio.Transport, others: deque[asyncio.Transport]) -> None:
        self._transport = transport
        self._others = others

    def connection_lost(self, exc: BaseException | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._transport in self._others:
            self._others.remove(self._transport)


class Connections:
    """Counts connections by client, and in all."""

    __slots__ = (
        "_default_limit",
        "_limit_events",
        "_limits",
        "_per_client",
        "_reserved",
        "_switched",
        "_turned_away",
        "open",
        "opened",
        "refusal",
        "refused",
    )

    def __init__(
        self, limits: Callable[[], LimitsConfig], refusal: Callable[[], bytes], limit_events: LimitEvents
    ) -> None:
        """Begin without connections.

        :param limits: returns the limits in force.
        :param refusal: returns the whole response to a connection that is one too many.
        """
        self._limits = limits
        self._limit_events = limit_events
        self.refusal = refusal
        self._default_limit = default_max_connections()
        self.open: set[Connection] = set()
        """Those that speak HTTP."""
        self.opened = 0
        """Connections that were admitted since the process began."""
        self.refused = 0
        """Connections that were one too many."""
        self._switched = 0  # those that are tunnels
        self._reserved = 0
        self._per_client: dict[str, int] = {}
        self._turned_away: deque[asyncio.Transport] = deque()

    def __len__(self) -> int:
        """Return the number of connections, also of those whose TLS is still to begin or that are turned away."""
        return len(self.open) + self._switched + self._reserved + len(self._turned_away)

    # -- admission

    def reserve(self, accepted: AcceptedConnection) -> bool:
        """Count a connection that no protocol has yet; False if there are too many."""
        if limit := self._reached_limit(self._limits(), accepted.ip, is_unix=accepted.is_anonymous):
            self._report(limit, accepted.ip)
            return False
        self._count_client(accepted.ip)
        self._reserved += 1
        accepted.hold_place(True)
        return True

    def identify(self, accepted: AcceptedConnection, ip: str | None) -> bool:
        """Count a connection for the client that a header of the PROXY protocol names; False if that has too many.

        :param ip: None if it has no address.
        """
        self._dismiss_client(accepted.ip)
        accepted.identify(ip)
        limit = self._reached_client_limit(accepted.ip, is_unix=accepted.is_anonymous)
        self._count_client(accepted.ip)
        if limit:
            self._report(limit, accepted.ip)
        return not limit

    def cancel(self, accepted: AcceptedConnection) -> None:
        """Count a connection to be gone, or to be its protocol's from now on."""
        if accepted.is_counted:
            accepted.hold_place(False)
            self._reserved -= 1
            self._dismiss_client(accepted.ip)

    def admit(self, connection: Connection, accepted: AcceptedConnection | None, limits: LimitsConfig) -> bool:
        """Count a new connection; False if there are too many.

        :param accepted: what its acceptor knows of it; None if the event loop accepted it.
        :param limits: those in force.
        """
        client = connection.client
        if accepted is not None and accepted.is_counted:
            self.cancel(accepted)
        elif limit := self._reached_limit(limits, client.ip, is_unix=client.is_unix):
            self._report(limit, client.ip)
            return False
        self.opened += 1
        self._count_client(client.ip)
        self.open.add(connection)
        return True

    def hand_over(self, connection: Connection, successor: Connection) -> None:
        """Count a connection under the protocol that goes on with it."""
        self.open.discard(connection)
        self.open.add(successor)

    @property
    def limit(self) -> int:
        """Connections at most; 0 if there is no limit."""
        most = self._limits().max_connections
        return self._default_limit if most is None else most

    def _reached_limit(self, limits: LimitsConfig, ip: str, *, is_unix: bool) -> str:
        """Return which limit another connection would exceed; empty for none."""
        most = self._default_limit if limits.max_connections is None else limits.max_connections
        if most and len(self.open) + self._switched + self._reserved >= most:
            return "max_connections"
        return self._reached_client_limit(ip, is_unix=is_unix) if limits.max_connections_per_client > 0 else ""

    def _reached_client_limit(self, ip: str, *, is_unix: bool) -> str:
        most = self._limits().max_connections_per_client
        # Peers on a unix socket have no address that distinguishes them: they are not one client.
        is_reached = bool(most) and not is_unix and self._per_client.get(ip, 0) >= most
        return "max_connections_per_client" if is_reached else ""

    def _report(self, limit: str, ip: str) -> None:
        self.refused += 1
        self._limit_events.connection(f"limits.{limit} is reached", ip)

    def turn_away(self, transport: asyncio.Transport) -> None:
        """Respond to a connection that is one too many, and close it."""
        transport.set_protocol(_TurnedAway(transport, self._turned_away))
        transport.write(self.refusal())
        # If it were closed at once, what the client is about to send would cause a reset, which may overtake the 503.
        if not say_end(transport):
            transport.close()
            return
        self._turned_away.append(transport)
        abort_later(transport, TURN_AWAY)
        if len(self._turned_away) > MOST_TURNED_AWAY:
            abort_unless_closed(self._turned_away.popleft())

    # -- the end

    def switched(self, connection: Connection) -> None:
        """Count a connection to be a tunnel from now on."""
        if connection in self.open:
            self.open.discard(connection)
            self._switched += 1

    def dismiss(self, connection: Connection, *, is_tunnel: bool = False) -> None:
        """Count a connection to be gone."""
        if is_tunnel:
            self._switched -= 1
        elif connection in self.open:
            self.open.discard(connection)
        else:
            return  # it was turned away
        client = connection.client
        self._dismiss_client(client.ip)
        if client.bound is not None:
            client.bound.close()

    def _count_client(self, ip: str) -> None:
        self._per_client[ip] = self._per_client.get(ip, 0) + 1

    def _dismiss_client(self, ip: str) -> None:
        left = self._per_client[ip] - 1
        if left:
            self._per_client[ip] = left
        else:
            del self._per_client[ip]

    def forget_heads(self) -> None:
        """Have every connection forget what it remembers of a configuration that is replaced."""
        for connection in self.open:
            connection.forget_heads()

    def close_idle(self) -> None:
        """Close those without a request, and have the others close after their response."""
        for connection in list(self.open):
            connection.drain()

    def abort(self) -> None:
        """Close all of them whatever is in progress."""
        for connection in list(self.open):
            connection.abort()


# -- turns


REQUESTS_PER_TURN: Final = 16
"""Pipelined requests that one turn of the loop serves: a millisecond or two, whatever the number of connections."""

REQUESTS_PER_VISIT: Final = 4
"""Pipelined requests that one connection gets served before the others have their turn."""

SECONDS_PER_TURN: Final = 0.003
"""Time after which a turn serves no further connection, and a visit no further request, for those that are costly."""

LARGE_HEAD: Final = 4096
"""Bytes of a head above which it waits for its turn although it comes alone: 60 KiB of parameters or cookies may cost
tens of milliseconds, and many connections may have one each."""


_END: Final = b"\r\n\r\n"


def has_large_head(data: bytes, position: int) -> bool:
    """Return whether a head that begins at a position is complete, and large.

    :param data: more than `LARGE_HEAD` bytes.
    """
    end = position + LARGE_HEAD
    return data.find(_END, position, end) < 0 <= data.find(_END, end - len(_END) + 1)


class Pipelined(Protocol):
    """A connection that holds requests."""

    def serve_held(self, most: int) -> int:
        """Serve at most so many held requests and parts of bodies; return how many. Enter again if there are more."""

    def abort(self) -> None:
        """Close the connection."""


class Turns:
    """The queue of connections that hold requests which can be served."""

    __slots__ = ("_is_scheduled", "_loop", "_now", "_queue")

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float]) -> None:
        self._loop = loop
        self._now = now
        self._queue: deque[Pipelined] = deque()
        self._is_scheduled = False

    def enter(self, connection: Pipelined) -> None:
        """Have a connection's requests served in a later turn; a connection enters once until it is served."""
        self._queue.append(connection)
        self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        self._is_scheduled = False
        queue, left = self._queue, REQUESTS_PER_TURN
        end = self._now() + SECONDS_PER_TURN
        # Those that enter again meanwhile have had their visit in this turn.
        for _ in range(len(queue)):
            connection = queue.popleft()
            try:
                left -= connection.serve_held(min(left, REQUESTS_PER_VISIT))
            except Exception as error:  # noqa: BLE001 - a defect in serving one connection must not stop the queue
                text = f"a connection could not be served: {connection!r}"
                emit(CONNECTION_FAILED, text, error=error, reason=repr(error))
                connection.abort()
            if left <= 0 or self._now() >= end:
                break
        if queue:
            self._schedule()


class ConnectionHost(ExchangeHost, Protocol):
    """The `Proxy`, for a client's connection."""

    connections: Connections
    ending: set[Shutdown]
    turns: Turns
    date: DateField
    http2_counts: Http2Counts
    http2_waiting: WaitingBytes
