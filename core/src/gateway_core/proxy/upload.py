"""A request's body on its way upstream: held until an endpoint is ready, then passed on piece by piece."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from gateway_core.errors import BodyTooLargeError, ClientGoneError

if TYPE_CHECKING:
    from gateway_core.proxy.lane import Lane
    from gateway_core.proxy.upstream.connection import UpstreamConnection

HIGH_WATER: Final = 65536
"""Bytes that are held before the client is told to wait."""


class Upload:
    """The body of one request; made only for requests that have one."""

    __slots__ = (
        "_connection",
        "_held",
        "_held_size",
        "_kept",
        "_lane",
        "_paused",
        "_reader",
        "_watchers",
        "complete",
        "keep_limit",
        "limit",
        "received",
    )

    def __init__(self, lane: Lane, limit: int, body: bytes = b"", *, complete: bool = False) -> None:
        """Begin with what came together with the head.

        :param complete: whether that is all.
        """
        self._lane = lane
        self.limit = limit
        """Bytes at most; 0 is no limit."""
        self.received = self._held_size = len(body)
        self.complete = complete
        self.keep_limit = 0
        """Keep what was sent, for another try, up to so many bytes."""
        self._held = [body] if body else []
        self._kept: list[bytes] | None = []
        self._connection: UpstreamConnection | None = None
        self._paused = False
        self._reader: asyncio.Future[None] | None = None
        self._watchers: tuple[Callable[[bytes], None], ...] = ()

    @property
    def is_replayable(self) -> bool:
        """Whether everything that came so far can be sent again."""
        return self._kept is not None

    @property
    def is_paused(self) -> bool:
        """Whether the client was told to wait."""
        return self._paused

    @property
    def is_being_read(self) -> bool:
        """Whether a plugin waits for the whole body."""
        return self._reader is not None

    def feed(self, data: bytes) -> bool:
        """Take the next piece; False if the body is over its limit."""
        self.received += len(data)
        if self.limit and self.received > self.limit:
            return False
        for watch in self._watchers:
            watch(data)
        connection = self._connection
        if connection is not None:
            self._keep(data)
            connection.send_body(data)
            return True
        self._held.append(data)
        self._held_size += len(data)
        self._wake()
        if self._held_size >= HIGH_WATER and self._reader is None:
            self.pause()
        return True

    def watch(self, watch: Callable[[bytes], None]) -> None:
        """Tell of every piece, and now of those that are held; nothing went upstream yet."""
        for data in self._held:
            watch(data)
        self._watchers = (*self._watchers, watch)

    def end(self) -> None:
        """Note that the body is complete."""
        self.complete = True
        if self._connection is not None:
            self._connection.send_end()
        self._wake()

    def attach(self, connection: UpstreamConnection) -> None:
        """Send every further piece over a connection, as it comes."""
        self._connection = connection
        self.resume()

    def peek(self) -> bytes:
        """Return what came of the body so far, if it was kept."""
        return b"".join([*(self._kept or ()), *self._held])

    def take(self) -> bytes:
        """Return what is held, to be sent together with the head; `attach` follows."""
        parts = self._held
        held = parts[0] if len(parts) == 1 else b"".join(parts)
        self._held, self._held_size = [], 0
        if held:
            self._keep(held)
        return held

    def rewind(self) -> None:
        """Hold again what was sent: the next `connect` sends it once more."""
        self._connection = None
        if self._kept:
            self._held = [*self._kept, *self._held]
            self._held_size = sum(map(len, self._held))
        self._kept = []

    def disconnect(self) -> None:
        """Send nothing more; what still comes is dropped by whoever feeds."""
        self._connection = None

    def _keep(self, data: bytes) -> None:
        kept = self._kept
        if kept is None:
            return
        if self.received > self.keep_limit:
            self._kept = None
        else:
            kept.append(data)

    def pause(self) -> None:
        """Have the client wait."""
        if not self._paused and not self.complete:
            self._paused = True
            self._lane.pause_upload()

    def resume(self) -> None:
        """Let the client go on."""
        if self._paused:
            self._paused = False
            self._lane.resume_upload()

    async def read(self, limit: int) -> bytes:
        """Return the whole body, which stays held for the upstream.

        :raises BodyTooLargeError: it has more than ``limit`` bytes.
        """
        while True:
            if self._held_size > limit or (self.limit and self.received > self.limit):
                raise BodyTooLargeError(f"the body has more than {limit} bytes")
            if self.complete:
                break
            self._reader = asyncio.get_running_loop().create_future()
            self.resume()
            try:
                await self._reader
            finally:
                self._reader = None
        if len(self._held) > 1:
            self._held = [b"".join(self._held)]
        return self._held[0] if self._held else b""

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def client_gone(self) -> None:
        """Tell a plugin that reads the body that it will not come."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_exception(ClientGoneError("the client left within its body"))
