"""What a client has sent and what nothing has read yet, and whether more is read from its socket.

Bytes wait here: the beginning of a head, requests behind the one in progress, or a part of a body. The socket is not
read while more than `HIGH_WATER` of them wait, nor while the receiver of a body does not keep up.

Bytes behind a request with Upgrade wait like any others until its response: after a 101 they belong to the new
protocol; after any other status nothing was switched, and they are the next request (RFC 9110 section 7.8), which is
read as strictly as every other. They are never sent upstream as they are.
"""

from __future__ import annotations

import asyncio

from gateway_core.proxy.request_body import HIGH_WATER


class ClientInput:
    """Keeps pieces as they came, and joins them once: a copy of all for each piece would be quadratic work."""

    __slots__ = ("_is_body_paused", "_parts", "_position", "_transport", "is_paused", "size")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._parts: list[bytes] = []
        self._position = 0  # where in the first part the bytes begin that were not taken
        self._is_body_paused = False
        self.is_paused = False
        """Whether the socket is not read."""
        self.size = 0
        """Bytes that wait."""

    def hold(self, data: bytes, position: int = 0) -> None:
        """Keep the bytes of ``data`` from a position on, behind what is kept."""
        if not self._parts:
            self._position = position
            self.size = len(data) - position
        else:
            if position:
                data = data[position:]
            self.size += len(data)
        self._parts.append(data)
        if self.size > HIGH_WATER:
            self.update()

    def take(self) -> tuple[bytes, int]:
        """Return everything and where in it the bytes begin; nothing is kept, `update` follows when they are read."""
        parts, position = self._parts, self._position
        self._parts, self._position, self.size = [], 0, 0
        if not parts:
            return b"", 0
        return (parts[0] if len(parts) == 1 else b"".join(parts)), position

    def drop(self) -> None:
        """Keep nothing, and read on: what comes is not kept either."""
        self.take()
        self.pause_body(False)

    @property
    def takes_body(self) -> bool:
        """Whether the receiver of a body keeps up."""
        return not self._is_body_paused

    def pause_body(self, is_paused: bool) -> None:
        """Read no more for now, or go on, as the receiver of a body wants it."""
        self._is_body_paused = is_paused
        self.update()

    def update(self) -> None:
        """Read from the socket or not, by what waits now."""
        pause = self._is_body_paused or self.size > HIGH_WATER
        if pause is not self.is_paused and not self._transport.is_closing():
            self.is_paused = pause
            if pause:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()
