"""A request's body on its way upstream: held until an endpoint is ready, then passed on piece by piece.

The connection that reads the body feeds it (`feed`, `end`, `fail`); the exchange and its attempts read it. Three things
can be done with it, one after the other:

* nothing yet: pieces are held, and the client is paused at `HIGH_WATER`;
* `read`: a hook waits for the whole body, which stays held;
* `gather`: the exchange waits for the whole body before it sends anything;
* `take` and `attach`: what is held goes out with the request's head, and each later piece to the sink as it comes.

What went to a sink is kept as far as its senders want (`keep`), so that another attempt can `rewind` and send it again.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from gateway_core.errors import BodyTooLargeError, ClientGoneError
from gateway_core.messages.fields import FieldNames
from gateway_core.messages.headers import block_of, headers_of_block
from gateway_core.reasons import BODY_TOO_LARGE

HIGH_WATER: Final = 65536
"""Bytes that are held before the client's connection is paused."""


class BodyOwner(Protocol):
    """The exchange, as far as its request's body calls it."""

    def body_progress(self) -> None:
        """Called when a piece came: the client's time for the next one begins."""

    def body_ended(self) -> None:
        """Called when the body is complete."""

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        """Called when the body cannot be completed.

        :param status: that of the response, if one can still be made.
        :param reason: a code of `gateway_core.reasons`.
        :param detail: for logs.
        """


class RequestFlow(Protocol):
    """The connection's writer, as far as the body uses it."""

    def pause_request(self) -> None: ...
    def resume_request(self) -> None: ...


class BodySink(Protocol):
    """Where the body goes: an upstream connection."""

    def send_body(self, data: bytes) -> None: ...
    def send_end(self, trailers: bytes) -> None: ...


class RequestBody:
    """The body of one request; made only for requests that have one."""

    __slots__ = (
        "_flow",
        "_held",
        "_held_size",
        "_is_paused",
        "_keep_limit",
        "_kept",
        "_owner",
        "_reader",
        "_reserved",
        "_sink",
        "is_chunked",
        "is_complete",
        "is_gathered",
        "limit",
        "received",
        "trailers",
    )

    def __init__(
        self,
        owner: BodyOwner,
        flow: RequestFlow,
        data: bytes = b"",
        is_complete: bool = False,
        *,
        trailers: bytes = b"",
        is_gathered: bool = False,
        is_chunked: bool = False,
    ) -> None:
        """Begin with what came together with the head.

        :param is_complete: whether that is all; only then there are ``trailers`` (see `end`).
        """
        self._owner = owner
        self._flow = flow
        self.limit = 0
        """Bytes at most; 0 is no limit."""
        self.received = self._held_size = len(data)
        self.is_complete = is_complete
        self._reserved: FieldNames | None = None
        self.trailers = trailers
        """The trailer fields as a block, once complete."""
        self.is_gathered = is_gathered
        """Whether all of it is held, however much that is below ``limit``."""
        self.is_chunked = is_chunked
        """Whether it goes out in chunks however it came: filters leave its length unknown."""
        self._keep_limit = 0
        self._held = [data] if data else []
        self._kept: list[bytes] | None = []
        self._sink: BodySink | None = None
        self._is_paused = False
        self._reader: asyncio.Future[None] | None = None

    @property
    def is_replayable(self) -> bool:
        """Whether everything that came so far can be sent again."""
        return self._kept is not None

    @property
    def is_paused(self) -> bool:
        """Whether the client's connection was paused."""
        return self._is_paused

    @property
    def is_being_read(self) -> bool:
        """Whether a plugin waits for the whole body."""
        return self._reader is not None

    def keep(self, size: int) -> None:
        """Keep what was sent, for another attempt, as long as it is no more than so many bytes; the largest counts."""
        self._keep_limit = max(self._keep_limit, size)

    def limit_to(self, limit: int, announced: int) -> bool:
        """Take no more than so many bytes; return whether what is known of the body is within that.

        :param announced: bytes by the request's head; -1 if it does not say.
        """
        self.limit = limit
        return not limit or (announced <= limit and self.received <= limit)

    # -- called by the connection

    def feed(self, data: bytes) -> None:
        """Take the next piece; an empty one is none."""
        self.received += len(data)
        if self.limit and self.received > self.limit:
            self._owner.body_failed(413, BODY_TOO_LARGE, "the request body is over its limit")
            return
        sink = self._sink
        if sink is not None:
            self._keep(data)
            sink.send_body(data)
        else:
            self._held.append(data)
            self._held_size += len(data)
            self._wake()
            if self._held_size >= HIGH_WATER and self._reader is None and not self.is_gathered:
                self.pause()
        self._owner.body_progress()

    def end(self, trailers: bytes = b"") -> None:
        """Complete the body.

        :param trailers: a block of the fields behind it that may go on.
        """
        self.is_complete = True
        self.resume()  # TLS may deliver the end although reading is paused; what follows is the next request
        self.trailers = trailers
        self.reserve(self._reserved)
        if self._sink is not None:
            self._sink.send_end(self.trailers)
        self._wake()
        self._owner.body_ended()

    def fail(self, status: int, reason: str, detail: str) -> None:
        """End a body that cannot be completed: it is malformed, or comes too slowly."""
        self._owner.body_failed(status, reason, detail)

    # -- called by the exchange and its attempts

    def gather(self, limit: int) -> bool:
        """Hold the whole body, and return whether it is there; `BodyOwner.body_ended` follows if not.

        :param limit: bytes at most; more are a failure, 413.
        """
        self.limit = min(self.limit or limit, limit)
        self.is_gathered = True
        if self.received > self.limit:
            self._owner.body_failed(413, BODY_TOO_LARGE, "the request body is over its limit")
            return False
        self.resume()
        return self.is_complete

    def reserve(self, names: FieldNames | None) -> None:
        """Leave fields out of the trailers that only bindings may set."""
        self._reserved = names
        if names is not None and self.trailers:
            trailers = headers_of_block(self.trailers)
            trailers.remove_any(names)
            self.trailers = block_of(trailers)

    def attach(self, sink: BodySink) -> None:
        """Send every further piece over a connection, as it comes."""
        self._sink = sink
        self.resume()

    def detach(self) -> None:
        """Send nothing more; what still comes is held up to `HIGH_WATER`."""
        self._sink = None

    def peek(self) -> bytes:
        """Return what came of the body so far, if it was kept."""
        return b"".join([*(self._kept or ()), *self._held])

    def copied(self) -> RequestBody:
        """Return the same bytes as another body, which can be sent again; this one is complete and was kept."""
        body = RequestBody(self._owner, self._flow, self.peek(), is_complete=True)
        body.keep(body.received)
        return body

    def take(self) -> bytes:
        """Return what is held, to be sent together with the head; `attach` follows."""
        parts = self._held
        held = parts[0] if len(parts) == 1 else b"".join(parts)
        self._held, self._held_size = [], 0
        if self.received > self._keep_limit:
            self._kept = None  # as `_keep` would, without a call
        elif held and self._kept is not None:
            self._kept.append(held)
        return held

    def rewind(self) -> None:
        """Hold again what was sent: the next `take` returns it once more."""
        self._sink = None
        if self._kept:
            self._held = [*self._kept, *self._held]
            self._held_size = sum(map(len, self._held))
        self._kept = []

    def _keep(self, data: bytes) -> None:
        kept = self._kept
        if kept is None:
            return
        if self.received > self._keep_limit:
            self._kept = None
        else:
            kept.append(data)

    def pause(self) -> None:
        """Have the client wait."""
        if not self._is_paused and not self.is_complete:
            self._is_paused = True
            self._flow.pause_request()

    def resume(self) -> None:
        """Let the client go on."""
        if self._is_paused:
            self._is_paused = False
            self._flow.resume_request()

    async def read(self, limit: int) -> bytes:
        """Return the whole body, which stays held for the upstream.

        :raises BodyTooLargeError: it has more than ``limit`` bytes.
        :raises ClientGoneError: the client left before it was complete.
        """
        while (data := self.read_nowait(limit)) is None:
            self._reader = asyncio.get_running_loop().create_future()
            self.resume()
            try:
                await self._reader
            finally:
                self._reader = None
        return data

    def read_nowait(self, limit: int) -> bytes | None:
        """Return the whole body, which stays held for the upstream; None if it is not complete.

        :raises BodyTooLargeError: it has more than ``limit`` bytes.
        """
        if self._held_size > limit or (self.limit and self.received > self.limit):
            raise BodyTooLargeError(f"the body has more than {limit} bytes")
        if not self.is_complete:
            return None
        if len(self._held) > 1:
            self._held = [b"".join(self._held)]
        return self._held[0] if self._held else b""

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def client_gone(self) -> None:
        """Let a plugin that reads the body know that it will not come."""
        if self._reader is not None and not self._reader.done():
            self._reader.set_exception(ClientGoneError("the client left within its body"))
