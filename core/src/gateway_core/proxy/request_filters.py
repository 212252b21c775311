"""A request's body that hooks changed, on its way upstream.

    RequestBody of the client -> ClientBody -> filters -> FilteredRequest -> RequestBody that goes upstream

The second `RequestBody` is to the attempts and the mirrors what the first one is to a request that no hook changed: it
holds, keeps, and is sent again. So filters run once whatever the retries. One task in the exchange's context reads the
first and feeds the second, at the pace of the upstream. Limits and deadlines are the first one's: they count what
the client sent.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from gateway_core.errors import ClientGoneError
from gateway_core.messages import Headers
from gateway_core.messages.body import BodySource
from gateway_core.proxy.body_queue import BodyQueue, outside
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_fields import trailer_block
from gateway_core.proxy.response_stream import close_source

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

    # -- what the queue tells (`QueueFlow`)

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
            turn = 0
            while data := await source.read():
                outside(self.body.feed, data)
                await self._resumed.wait()
                turn += len(data)
                if turn > _TURN:  # neither a source nor an upstream that is quick may keep the loop from others
                    turn = 0
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

    # -- what the body tells (`BodyOwner`, `RequestFlow`)

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
    """Owner and flow of a body that is complete: it has nothing to tell."""

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
