"""The Date of responses that are made here (RFC 9110 section 6.6.1); an upstream's response keeps its own."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate


class DateField:
    """Formats the time of day, once a second."""

    __slots__ = ("_block", "_second", "_wall")

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._second = -1
        self._block = b""

    def value(self) -> str:
        """Return the field's value."""
        return self.block()[len(b"\r\nDate: ") :].decode()

    def block(self) -> bytes:
        """Return the field as a block (see `gateway_core.messages.Headers`)."""
        second = int(self._wall())
        if second != self._second:
            self._second = second
            self._block = b"\r\nDate: " + formatdate(second, usegmt=True).encode()
        return self._block
