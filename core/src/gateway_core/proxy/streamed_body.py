"""The body of a message that streams, as hooks see it: read it, replace it, put filters over it.

`BodyQueue` is where a connection's callbacks meet a task that reads: what is pushed at one end waits until it is pulled
at the other. Above `HIGH_WATER` bytes the sender is paused until half of it is read, so nothing comes faster than it is
taken. `StreamedBody` is what hooks do to it. Nothing happens to the bytes until they are read: filters are noted, and
made when the body begins. `take` ends this and returns what goes on: bytes if the body was read or replaced, otherwise
a `BodySource`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context
from typing import Final, Protocol

from gateway_core.errors import BodySide, BodyTooLargeError
from gateway_core.messages import Headers
from gateway_core.messages.body import BodySource, FilteredBody, FilterFailed, FilterSpec, Replayed
from gateway_core.messages.body_sources import BrokenBody, BytesSource
from gateway_core.messages.headers import headers_of_block
from gateway_core.tasks import spawn

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


class _NullFlow:
    """The sender's side when the sender is gone."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def waits(self, is_waiting: bool) -> None: ...
    def unwanted(self) -> None: ...


_NULL_FLOW: Final = _NullFlow()


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
        """Notify the sender no more: it is gone."""
        self._flow = _NULL_FLOW

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


class OneReader:
    """Has tasks that read the same body wait for each other: what it comes from has one reader."""

    __slots__ = ("_lock", "_reader")

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._reader: asyncio.Task[object] | None = None

    async def __aenter__(self) -> None:
        """Wait for the reader before.

        :raises RuntimeError: that is this task, which would wait for itself.
        """
        task = asyncio.current_task()
        if task is not None and task is self._reader:
            raise RuntimeError("a body filter cannot read the body that passes through it")
        await self._lock.acquire()
        self._reader = task

    async def __aexit__(self, *_: object) -> None:
        self._reader = None
        self._lock.release()


class StreamedBody:
    """The body of one message while hooks decide over it."""

    __slots__ = (
        "_failed",
        "_is_filtered",
        "_reading",
        "_replaced",
        "_side",
        "_source",
        "_specs",
        "_whole",
        "is_changed",
        "length",
        "set_length",
    )

    def __init__(
        self, source: BodySource, side: BodySide, filter_failed: FilterFailed, length: int | None = None
    ) -> None:
        """Change nothing yet.

        :param source: where the body comes from; may be cancelled while it is read.
        :param filter_failed: called with filters that fail.
        :param length: bytes, as the message's head says; None if it does not.
        """
        self.length = length
        self._source = source
        self._side: BodySide = side
        self._failed = filter_failed
        self._specs: list[FilterSpec] = []
        self._whole: bytes | None = None
        self._is_filtered = False
        self._reading = OneReader()
        self._replaced: list[BodySource] = []
        self.is_changed = False
        """Whether it may differ from what came: length and digests do not hold."""
        self.set_length: int | None = None
        """Bytes of the body that was set, unless there are filters behind it."""

    async def read_body(self, limit: int) -> bytes:
        """Read the body through the filters so far; what they make of it is the body from then on.

        :raises BodyTooLargeError: it is larger; it goes on from its first byte.
        """
        async with self._reading:
            return await self._read_body(limit)

    async def _read_body(self, limit: int) -> bytes:
        source, pieces, size = self._filtered(), [], 0
        try:
            while data := await source.read():
                pieces.append(data)
                size += len(data)
                if size > limit:
                    raise BodyTooLargeError(f"the body is larger than {limit} bytes", self._side)
        except BodyTooLargeError:
            self._source = Replayed(pieces, source)
            raise
        except BaseException as error:
            # Where a filter stood when it was cancelled is unknown: its body cannot go on.
            if self._is_filtered or isinstance(error, Exception):
                self._source = BrokenBody(source, error)
            else:
                self._source = Replayed(pieces, source)
            raise
        data = b"".join(pieces)
        whole = self._source = BytesSource(data)
        whole.trailers = source.trailers
        self._whole = data
        return data

    def set_body(self, data: bytes) -> None:
        """Put another body in its place; filters that were added before are not made."""
        self._replaced.append(self._source)
        self._source, self._whole = BytesSource(data), data
        self._specs.clear()
        self._is_filtered, self.is_changed = False, True
        self.set_length = len(data)

    def add_body_filter(self, spec: FilterSpec) -> bool:
        """Add a filter; there is a body."""
        self._specs.append(spec)
        if not spec.observe:
            self.is_changed, self.set_length = True, None
        return True

    def _filtered(self) -> BodySource:
        if not self._specs:
            return self._source
        specs, self._specs = self._specs, []
        self._source = FilteredBody(self._source, specs, self._failed)
        self._whole, self._is_filtered = None, True
        return self._source

    def take(self) -> bytes | BodySource:
        """Return what goes on; what was replaced is closed."""
        replaced, self._replaced = self._replaced, []
        for source in replaced:
            spawn(source.aclose(None), name="end of a replaced body")
        source = self._filtered()
        return source if self._whole is None else self._whole

    @property
    def trailers(self) -> Headers:
        """The fields behind the body, if it was read."""
        return self._source.trailers
