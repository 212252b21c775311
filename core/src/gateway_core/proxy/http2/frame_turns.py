"""Frames of a read that brought many: some are acted upon, the others in later turns of the loop.

A quarter of a mebibyte may hold 29,000 frames, and acting upon them all would keep the loop from everything else for a
tenth of a second; and so would a few hundred blocks of fields, each byte of which may stand for a field of the table
(RFC 7541 section 6.1). While frames wait, nothing more is read, so that no more than one read's come to wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Final

from gateway_core.proxy.wire.h2.frames import FRAME_HEAD_SIZE, HEADERS, Frame, FrameReader

AT_ONCE: Final = 512
"""Frames that are acted upon in one turn of the loop."""

FIELD_BYTES_AT_ONCE: Final = 2048
"""Bytes of blocks of fields behind which a turn ends: about two milliseconds if each of them stands for a field."""


def take_some(held: Iterator[Frame]) -> Iterator[Frame]:
    """Yield the frames that are acted upon in one turn."""
    left = FIELD_BYTES_AT_ONCE
    for frame in islice(held, AT_ONCE):
        yield frame
        if frame[0] == HEADERS:
            left -= len(frame[3])
            if left <= 0:
                return


class FrameTurns:
    """Reads the frames of one connection, and has them acted upon in turns."""

    __slots__ = ("_held", "_reader", "_take", "_transport")

    def __init__(
        self, reader: FrameReader, transport: asyncio.Transport, take: Callable[[Iterable[Frame]], None]
    ) -> None:
        """Begin without frames.

        :param take: acts upon frames; it closes the transport where it cannot go on.
        """
        self._reader, self._transport, self._take = reader, transport, take
        self._held: Iterator[Frame] | None = None

    def feed(self, data: bytes) -> None:
        """Take what was read."""
        received = self._reader.read(data)
        if self._held is not None:
            self._held = chain(self._held, received)  # TLS had it already when reading was paused
        elif len(data) <= FRAME_HEAD_SIZE * AT_ONCE:
            self._take(received)
        elif self._take_some(received):
            self._transport.pause_reading()

    def _take_some(self, held: Iterator[Frame]) -> bool:
        """Act upon some frames; return whether others wait."""
        self._held = None
        self._take(take_some(held))
        if not self._reader.is_reading or self._transport.is_closing():
            return False
        self._held = held
        asyncio.get_running_loop().call_soon(self._go_on)
        return True

    def _go_on(self) -> None:
        if self._held is not None and not self._take_some(self._held) and not self._transport.is_closing():
            self._transport.resume_reading()

    def finish(self) -> None:
        """Act upon all frames that wait: the connection is gone, and they came before."""
        held, self._held = self._held, None
        if held is not None:
            self._take(held)
