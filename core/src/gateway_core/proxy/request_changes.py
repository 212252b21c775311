"""What hooks do to the body of a request: read it, replace it, put filters over it.

As long as no hook changes the body, it stays where the client's connection puts it, and a read only waits there. With
the first filter or other body it is a `StreamedBody` (`RequestChanges`), of which another `RequestBody` is made when
the request goes upstream:

    RequestBody of the client -> ClientBody -> filters -> FilteredRequest -> RequestBody that goes upstream

The second `RequestBody` is to the attempts and the mirrors what the first one is to a request that no hook changed: it
holds, keeps, and is sent again. So filters run once whatever the retries. One task in the exchange's context reads the
first and feeds the second, at the pace of the upstream. Limits and deadlines are the first one's: they count what
the client sent.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, Protocol

from gateway_core.errors import ClientGoneError
from gateway_core.messages import Headers
from gateway_core.messages.body import BodySource, FilterSpec
from gateway_core.messages.body_sources import BytesSource
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_fields import trailer_block
from gateway_core.proxy.response_stream import PIECES_PER_TURN, close_source, report_filter
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.streamed_body import BodyQueue, OneReader, StreamedBody, outside

_TURN: Final = 262144
"""Bytes that one upload passes on before others have their turn."""


class FilteringExchange(Protocol):
    """The exchange, as far as changed bodies use it."""

    def body_wanted(self, is_waiting: bool) -> None:
        """Called when a hook or an attempt begins to wait for the client's body, and when the next part is there."""

    def sent_body_ended(self) -> None:
        """Called when the body that goes upstream is complete."""

    def sent_body_failed(self, error: BaseException) -> None:
        """Called when the body that goes upstream will not be complete."""


class _Nowhere:
    """Where the rest of a body goes that a hook replaced."""

    def send_body(self, data: bytes) -> None: ...
    def send_end(self, trailers: bytes) -> None: ...


class ClientBody:
    """The client's body as a `BodySource`; nothing is taken from it until the first `read`."""

    __slots__ = ("_body", "_exchange", "_queue")

    def __init__(self, exchange: FilteringExchange, body: RequestBody) -> None:
        self._exchange = exchange
        self._body = body
        self._queue: BodyQueue | None = None

    @property
    def is_idle(self) -> bool:
        return self._queue is None or self._queue.is_idle

    @property
    def trailers(self) -> Headers:
        return Headers() if self._queue is None else self._queue.trailers

    async def read(self) -> bytes:
        """Return the next piece, or ``b""`` at the end; may be cancelled without losing a piece."""
        queue = self._queue
        if queue is None:
            body = self._body
            queue = self._queue = BodyQueue(self, [body.take()])
            if body.is_complete:
                queue.send_end(body.trailers)
            else:
                outside(body.attach, queue)
        return await queue.read()

    async def aclose(self, error: Exception | None) -> None:
        if self._queue is not None:
            await self._queue.aclose(error)
        else:
            self.unwanted()

    # -- called by the queue (`QueueFlow`)

    def pause_reading(self) -> None:
        """Have the client wait."""
        self._body.pause()

    def resume_reading(self) -> None:
        """Let the client go on."""
        self._body.resume()

    def waits(self, is_waiting: bool) -> None:
        """Begin the client's time for the next part, or end it."""
        self._exchange.body_wanted(is_waiting)

    def unwanted(self) -> None:
        """Drop what still comes."""
        if not self._body.is_complete:
            self._body.attach(_Nowhere())


class FilteredRequest:
    """Feeds the body that goes upstream from a source."""

    __slots__ = ("_error", "_exchange", "_has_begun", "_resumed", "_runner", "_source", "_task", "body")

    def __init__(
        self, exchange: FilteringExchange, source: BodySource, runner: HookRunner, *, is_chunked: bool
    ) -> None:
        """Begin to read.

        :param is_chunked: whether the client's framing does not hold.
        """
        self._exchange = exchange
        self._source = source
        self._runner = runner
        self._error: Exception | None = None
        self._has_begun = False
        self._resumed: asyncio.Event = asyncio.Event()
        self._resumed.set()
        self.body = RequestBody(self, self, is_chunked=is_chunked)
        """What goes upstream."""
        self._task = runner.spawn(self._pump(), "request body")
        self._task.add_done_callback(self._done)
        runner.keep_upload(self)

    async def _pump(self) -> None:
        source, self._has_begun = self._source, True
        try:
            pieces = size = 0
            while data := await source.read():
                outside(self.body.feed, data)
                await self._resumed.wait()
                pieces, size = pieces + 1, size + len(data)
                if pieces >= PIECES_PER_TURN or size > _TURN:
                    # Neither a source nor an upstream that is quick may keep the loop from others.
                    pieces = size = 0
                    await asyncio.sleep(0)
        except SystemExit as error:  # it ends nothing but the body
            self._error = RuntimeError("what gives the body called sys.exit")
            raise self._error from error
        except Exception as error:
            self._error = error
            raise
        finally:
            await source.aclose(self._error)

    def _done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            if not self._has_begun:
                close_source(self._source, self._runner, self._error)
            elif self._error is None:
                self._exchange.sent_body_failed(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self._exchange.sent_body_failed(error)
        else:
            self.body.end(trailer_block(self._source.trailers))

    def cancel(self) -> None:
        """Send nothing more; nothing is reported."""
        if not self._task.done():
            self._error = ClientGoneError("the request was ended within its body")
            self._task.cancel()

    # -- called by the body (`BodyOwner`, `RequestFlow`)

    def body_progress(self) -> None:
        """Do nothing: the deadline is the client's."""

    def body_ended(self) -> None:
        """Begin the wait for the response."""
        self._exchange.sent_body_ended()

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        """Do nothing: what goes upstream has no limit."""

    def pause_request(self) -> None:
        """Read no more for now."""
        self._resumed.clear()

    def resume_request(self) -> None:
        """Go on."""
        self._resumed.set()


class _Alone:
    """Owner and flow of a body that is complete: it has nothing to report."""

    def body_progress(self) -> None: ...
    def body_ended(self) -> None: ...
    def body_failed(self, status: int, reason: str, detail: str) -> None: ...
    def pause_request(self) -> None: ...
    def resume_request(self) -> None: ...


def whole_body(data: bytes, trailers: bytes = b"") -> RequestBody:
    """Return a body that is there, to be sent with its length unless there are trailers."""
    alone = _Alone()
    return RequestBody(
        alone,
        alone,
        data,
        is_complete=True,
        trailers=trailers,
        is_gathered=not trailers,
        is_chunked=bool(trailers),
    )


class BodySender(Protocol):
    """What sends the body upstream."""

    def sent_body_ended(self) -> None:
        """Called when the body that goes upstream is complete."""


class RequestChanges:
    """The body of one request, as hooks leave it."""

    __slots__ = ("_changes", "_exchange", "_has_continued", "_is_taken", "_reading", "_sender", "_sent", "whole")

    def __init__(self, exchange: RunningExchange) -> None:
        self._exchange = exchange
        self._sender: BodySender | None = None
        self.whole: bytes | None = None
        """The body, if it was read or set and no filter follows."""
        self._changes: StreamedBody | None = None
        self._reading = OneReader()
        self._sent: RequestBody | None = None
        self._is_taken = self._has_continued = False

    async def read_body(self, limit: int) -> bytes:
        """Return the whole body (see `Request.read`)."""
        async with self._reading:
            return await self._read_body(limit)

    async def _read_body(self, limit: int) -> bytes:
        if self._changes is not None and not self._is_taken:
            self.whole = await self._changes.read_body(limit)
            return self.whole
        body = self._sent if self._is_taken else self._exchange.body
        if body is None:
            return b""
        self.body_wanted(not body.is_complete)
        try:
            self.whole = await body.read(limit)
        finally:
            self.body_wanted(False)
        return self.whole

    def read_body_nowait(self, limit: int) -> bytes | None:
        """Return the whole body if it is there (see `Request.read_nowait`)."""
        if self._changes is not None or self._is_taken:
            return None
        body = self._exchange.body
        found = b"" if body is None else body.read_nowait(limit)
        self.whole = self.whole if found is None else found
        return found

    def set_body(self, data: bytes) -> None:
        """Send another body (see `Request.set_body`)."""
        self._changing().set_body(data)
        self.whole = data

    def add_body_filter(self, spec: FilterSpec) -> bool:
        """Send the body through a filter; return whether there is one (see `Request.add_body_filter`)."""
        if not self.has_body:
            return False
        self._changing().add_body_filter(spec)
        self.whole = None if not spec.observe else self.whole
        return True

    @property
    def has_body(self) -> bool:
        """Whether there is a body; `Content-Length: 0` is none."""
        if self._changes is None or self._changes.set_length is None:
            return self._exchange.body is not None and self._exchange.head.facts.content_length != 0
        return self._changes.set_length > 0

    def _changing(self) -> StreamedBody:
        if self._is_taken or self._exchange.is_responding:
            raise RuntimeError("the request is on its way upstream: change its body before, up to pre-proxy")
        if self._changes is None:
            exchange = self._exchange
            source = BytesSource(b"") if exchange.body is None else ClientBody(self, exchange.body)
            self._changes = StreamedBody(source, "request", partial(report_filter, exchange.request))
        return self._changes

    # -- what the exchange calls

    def sent_by(self, sender: BodySender) -> None:
        """Report the end of the body that goes upstream, if it is another one than the client's."""
        self._sender = sender

    def take(self) -> RequestBody | None:
        """Return the body that goes upstream; filters are made now, and nothing can be changed any more."""
        self._is_taken = True
        exchange, changes = self._exchange, self._changes
        if changes is None:
            self._sent = exchange.body
            return self._sent
        if exchange.body is not None:
            exchange.body.reserve(exchange.chain.reserved)
        taken = changes.take()
        if not isinstance(taken, bytes):
            body = FilteredRequest(self, taken, exchange.runner(), is_chunked=changes.is_changed).body
        elif not taken and exchange.body is None:
            return None
        else:
            body = whole_body(taken, trailer_block(changes.trailers))
        self._sent = body
        return body

    # -- called by the body (`FilteringExchange`)

    def body_wanted(self, is_waiting: bool) -> None:
        """Begin the client's time for the next part of its body, or end it."""
        exchange = self._exchange
        client = exchange.body
        if exchange.is_over or exchange.is_responding or client is None:
            return
        if is_waiting and not client.is_complete:
            if exchange.head.facts.expect and not self._has_continued:
                self._has_continued = True
                exchange.writer.send_continue()
            exchange.watch(exchange.proxy.limits.body_timeout)
        elif not self._is_taken:
            exchange.watch(0)

    def sent_body_ended(self) -> None:
        """Report the end of the body that goes upstream."""
        if self._sender is not None:
            self._sender.sent_body_ended()

    def sent_body_failed(self, error: BaseException) -> None:
        """Report a filter that failed."""
        self._exchange.body_broken(error)
