"""The upstream connections that belong to one client's connection, because an upstream knows its user by them.

See `gateway_core.proxy.wire.fields` for what binds a connection. A bound connection serves the later requests of its
client, also those without credentials, is never lent to another, and is closed with the client's connection.
"""

from __future__ import annotations

from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.upstream import Upstream


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
