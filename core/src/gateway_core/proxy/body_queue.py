"""A body that is pushed at one end and pulled at the other: where a connection's callbacks meet a task that reads.

What is pushed waits in the queue. Above `HIGH_WATER` bytes the sender is paused until half of it is read, so nothing
comes faster than it is taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Final, Protocol

from gateway_core.messages import Headers
from gateway_core.messages.headers import headers_of_block

HIGH_WATER: Final = 65536
"""Bytes that wait before the sender is paused."""


def outside(function: Callable[..., object], *args: object) -> None:
    """Call the pipeline from a task that runs in an exchange's context: what it leaves with the event loop, such as
    the reader of a socket, must not keep that context.
    """
    Context().run(function, *args)


class QueueFlow(Protocol):
    """The sender's side of a queue."""

    def pause_reading(self) -> None:
        """Send no more for now."""

    def resume_reading(self) -> None:
        """Go on."""

    def waits(self, is_waiting: bool) -> None:
        """Called when the reader begins to wait for the sender, and when it has something again."""

    def unwanted(self) -> None:
        """Called when the reader ended before the body did."""


class _Nobody:
    """The sender's side when the sender is gone."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def waits(self, is_waiting: bool) -> None: ...
    def unwanted(self) -> None: ...


_NOBODY: Final = _Nobody()


class BodyQueue:
    """The pieces of one body on their way from callbacks to a task (a `BodySource`)."""

    __slots__ = ("_error", "_flow", "_is_ended", "_is_paused", "_pieces", "_size", "_waiter", "trailers")

    def __init__(self, flow: QueueFlow, pieces: Iterable[bytes] = ()) -> None:
        """Begin with what is there."""
        self._flow = flow
        self._pieces = deque(piece for piece in pieces if piece)
        self._size = sum(map(len, self._pieces))
        self._is_ended = self._is_paused = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.trailers = Headers()
        """The fields behind the body, valid at its end."""

    # -- the sender

    def send_body(self, data: bytes) -> None:
        """Take the next piece."""
        if data and not self._is_ended:
            self._pieces.append(data)
            self._size += len(data)
            if self._size >= HIGH_WATER and not self._is_paused:
                self._is_paused = True
                self._flow.pause_reading()
            self._wake()

    def send_end(self, trailers: bytes = b"") -> None:
        """Take the complete end, with the block of the fields behind the body."""
        if trailers:
            self.trailers = headers_of_block(trailers)
        self._is_ended = True
        self._wake()

    def fail(self, error: Exception) -> None:
        """Cut the body: the reader gets the error behind what is there."""
        if not self._is_ended:
            self._error = error
            self._is_ended = True
            self._wake()

    def detach(self) -> None:
        """Tell the sender nothing more: it is gone."""
        self._flow = _NOBODY

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the reader

    @property
    def is_idle(self) -> bool:
        return not self._pieces and not self._is_ended

    async def read(self) -> bytes:
        """Return the next piece, or ``b""`` at the end; may be cancelled without losing a piece."""
        if not self._pieces and not self._is_ended:
            self._resume()
            outside(self._flow.waits, True)
            try:
                while not self._pieces and not self._is_ended:
                    self._waiter = asyncio.get_running_loop().create_future()
                    await self._waiter
            finally:
                self._waiter = None
                outside(self._flow.waits, False)
        if not self._pieces:
            if self._error is not None:
                raise self._error
            return b""
        data = self._pieces.popleft()
        self._size -= len(data)
        if self._size < HIGH_WATER // 2:
            self._resume()
        return data

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            if not self._is_ended:
                outside(self._flow.resume_reading)

    async def aclose(self, error: Exception | None) -> None:  # noqa: ARG002 - a BodySource
        """Drop what is left, and take no more."""
        self._pieces.clear()
        self._size = 0
        if not self._is_ended:
            self._is_ended = True
            outside(self._flow.unwanted)
