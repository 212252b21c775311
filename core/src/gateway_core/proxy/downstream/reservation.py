"""A connection that counts in the limits before a lane has it: its TLS is still to begin, or beginning."""

from __future__ import annotations


class Reservation:
    """One place among the connections; `Proxy` makes it, and a lane takes it over once the handshake is complete."""

    __slots__ = ("ip", "is_open")

    def __init__(self, ip: str) -> None:
        self.ip = ip
        """The client's address, as it is counted."""
        self.is_open = True
