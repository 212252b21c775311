"""The server of the listeners at one address: makes the protocol of each connection that is accepted.

`gateway_core.process.listeners` has it called for each.
"""

from __future__ import annotations

from typing import Protocol

from gateway_core.messages import Response
from gateway_core.messages.request_ids import id_of
from gateway_core.proxy.downstream.client import AcceptedConnection
from gateway_core.proxy.downstream.connection import ClientConnection
from gateway_core.proxy.downstream.connections import ConnectionHost
from gateway_core.proxy.gateway_responses import closing_response
from gateway_core.proxy.socket_options import read_little_over_tls
from gateway_core.proxy.sweeper import Expiring


class ServerHost(ConnectionHost, Protocol):
    """The `Proxy`, for who accepts connections."""

    beginnings: set[Expiring]
    """Connections that were accepted and whose protocol is not chosen yet."""


class GatewayServer:
    """Makes the protocol of each new connection."""

    def __init__(self, proxy: ServerHost, listener: str) -> None:
        """Serve for the listeners at an address.

        :param listener: the address, by which a configuration knows them.
        """
        self.proxy = proxy
        self.listener = listener
        read_little_over_tls()

    def __call__(self) -> ClientConnection:
        """Return the protocol of a new connection that the event loop accepted."""
        return ClientConnection(self.proxy, self.listener)

    def protocol_for(self, accepted: AcceptedConnection | None) -> ClientConnection:
        """Return the protocol of a new connection.

        :param accepted: what its acceptor knows of it; None if the event loop accepted it.
        """
        return ClientConnection(self.proxy, self.listener, accepted)

    def too_many(self) -> bytes:
        """Return the response to a connection that is one too many."""
        return self.proxy.connections.refusal()

    def text_on_tls(self) -> bytes:
        """Return the response to a request without TLS on a TLS listener."""
        response = Response.problem(400, "this port expects TLS, and the request came without: use https")
        return closing_response(response, id_of(self.proxy.next_id_line()), self.proxy.date.block())
