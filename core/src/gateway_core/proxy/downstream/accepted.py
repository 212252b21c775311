"""A connection between the moment it is accepted and the moment its protocol has it."""

from __future__ import annotations

from gateway_core.config import ListenConfig


class AcceptedConnection:
    """Where a connection came in, who it is from, and its place in the limits.

    An acceptor makes it, `Proxy.reserve` counts it, and the connection's protocol takes the place over once TLS and a
    header of the PROXY protocol are read.
    """

    __slots__ = ("address", "destination", "ip", "is_anonymous", "is_counted", "listener", "server_name", "source")

    def __init__(self, address: str, ip: str | None) -> None:
        """Describe a connection as the socket shows it.

        :param address: that of the listeners, as configured.
        :param ip: of the other end; None if that has none that tells clients apart: a unix socket, or a load balancer
            whose header is still to come.
        """
        self.address = address
        self.ip = ip or ""
        """The client's address, as it is counted."""
        self.is_anonymous = ip is None
        """Whether the client has no address that tells it from others."""
        self.is_counted = False
        """Whether it has a place in the limits that no protocol has taken over."""
        self.listener: ListenConfig | None = None
        """The listener with whose settings TLS began; None without TLS."""
        self.server_name = ""
        """The name that the client asked for in its TLS handshake; empty without one."""
        self.source: tuple[str, int] | None = None
        """Address and port of the client by a header of the PROXY protocol: it is the peer, not the socket's."""
        self.destination: tuple[str, int] | None = None
        """Address and port that the client connected to, by the same header."""
