"""Writes a response whose body has to be asked for: filters, a plugin's iterator, a file, a forwarded response.

One task for each such response, in the context of the exchange, reads a `BodySource` and writes what it gives, at the
pace of the client. The head goes on with the first piece: if that fails there can still be another response. Behind the
head the client sees a cut. However it ends, the source is closed, and that is awaited.

The task reads and writes the pieces alone. The end is reported by the task's callback, which runs outside of the
exchange's context, so that log hooks can run in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from gateway_core.errors import ESCAPES, ClientGoneError, UpstreamError
from gateway_core.events import PLUGIN_BODY_FAILED, emit
from gateway_core.hooks.policy import problem_of
from gateway_core.messages import Request, Response
from gateway_core.messages.body import BodySource, FilterSpec
from gateway_core.messages.body_sources import BytesSource, ClosingBehind, SourceWrapper
from gateway_core.messages.hook_owner import HookOwner, is_counted
from gateway_core.messages.trace import trace_id_of
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.streamed_body import outside
from gateway_core.reasons import PLUGIN_FAILED

PIECES_PER_TURN: Final = 64
_BYTES_PER_TURN: Final = 256 * 1024
"""What is written in one turn of the loop, so that all other connections have theirs."""


class StreamedResponse(Protocol):
    """The response whose body is streamed."""

    def begin_stream(self, first: bytes) -> None:
        """Write the head, with the first piece of the body; empty bytes are an empty body."""

    def end_stream(self, source: BodySource) -> None:
        """Called when all is written but the end; the source has the trailers."""

    def stream_failed(self, error: BaseException) -> None:
        """Called when the rest will not come."""


class ResponseStream:
    """The pump of one response."""

    __slots__ = (
        "_error",
        "_has_begun",
        "_is_cancelled",
        "_response",
        "_resumed",
        "_runner",
        "_source",
        "_task",
        "_writer",
    )

    def __init__(
        self, response: StreamedResponse, source: BodySource, writer: ResponseWriter, runner: HookRunner
    ) -> None:
        """Begin to read."""
        self._response = response
        self._source = source
        self._writer = writer
        self._runner = runner
        self._error: Exception | None = None
        self._has_begun = self._is_cancelled = False
        self._resumed: asyncio.Future[None] | None = None
        self._task = runner.spawn(self._pump(), "response body")
        self._task.add_done_callback(self._done)

    async def _pump(self) -> None:
        self._has_begun = True
        try:
            data = await self._read()
            outside(self._response.begin_stream, data)
            pieces, size = 1, len(data)
            while data:
                if pieces >= PIECES_PER_TURN or size >= _BYTES_PER_TURN:
                    pieces = size = 0
                    await asyncio.sleep(0)  # neither the source nor the client need ever make it wait
                while self._writer.is_paused:
                    self._resumed = asyncio.get_running_loop().create_future()
                    await self._resumed
                data = await self._read()
                pieces, size = pieces + 1, size + len(data)
                if data:
                    outside(self._writer.data, data)
        except Exception as error:
            self._error = error
            raise
        finally:
            await _closed(self._source, self._error)

    async def _read(self) -> bytes:
        try:
            return await self._source.read()
        except ESCAPES as error:  # they end nothing but the body
            raise RuntimeError(f"what gives the body raised {type(error).__name__}") from error
        except asyncio.CancelledError as error:
            if self._is_cancelled:
                raise
            raise RuntimeError("what gives the body was cancelled") from error

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._is_cancelled:
            if not self._has_begun:
                close_source(self._source, self._runner, self._error)
            return
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            try:
                self._response.end_stream(self._source)
            except Exception as failure:  # noqa: BLE001 - trailers are what a filter left
                emit(PLUGIN_BODY_FAILED, f"the end of a body failed: {failure!r}", error=failure, reason=repr(failure))
                error = failure
        if error is not None:
            self._response.stream_failed(error)

    def resume(self) -> None:
        """Go on: the client takes more."""
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)

    def cancel(self) -> None:
        """Write no more; nothing is reported. What gives the body is closed."""
        self._is_cancelled = True  # also where the task has ended and `_done` is about to be called
        if not self._task.done():
            self._error = ClientGoneError("the response was ended before its body")
            self._task.cancel()


def failure_of(error: BaseException) -> tuple[str, int, str]:
    """Return who is to blame for a body that failed, and status and reason of a response in its place."""
    response = problem_of(error)
    by = "upstream" if isinstance(error, UpstreamError) else "gateway"
    return by, response.status, response.failure or PLUGIN_FAILED


def report_filter(request: Request, spec: FilterSpec, error: BaseException) -> None:
    """Count and log a filter's failure: for the binding whose hook added it, if that is known."""
    report_body(request, spec.owner, "a body filter", error)


def report_body(request: Request, owner: HookOwner | None, what: str, error: BaseException) -> None:
    """Count and log a failure of what a plugin made, for its binding if that is known."""
    if owner is not None:
        owner.body_failed(request, error)
    else:
        text = f"request {request.request_id}: {what} failed: {error!r}"
        emit(
            PLUGIN_BODY_FAILED,
            text,
            error=error,
            request_id=request.request_id,
            trace_id=trace_id_of(request.trace),
            reason=repr(error),
        )


class PluginBody(SourceWrapper):
    """A file or an iterator of a plugin, whose failure is its binding's."""

    __slots__ = ("_owner", "_request")

    def __init__(self, source: BodySource, request: Request, owner: HookOwner | None) -> None:
        super().__init__(source)
        self._request = request
        self._owner = owner

    async def read(self) -> bytes:
        try:
            return await self._source.read()
        except ESCAPES as error:  # they end nothing but the body
            failure = RuntimeError(f"what gives the body raised {type(error).__name__}")
            report_body(self._request, self._owner, "a body", failure)
            raise failure from error
        except Exception as error:
            if not isinstance(error, ClientGoneError) and not is_counted(error):
                report_body(self._request, self._owner, "a body", error)
            raise


def close_source(source: BodySource, runner: HookRunner, error: Exception | None = None) -> None:
    """Close a source that is not read any further, in the exchange's context."""
    runner.spawn(_closed(source, error), "end of a body")


def close_replaced(response: Response, runner: Callable[[], HookRunner]) -> None:
    """Close the iterators that another body took the place of, in the exchange's context."""
    if response.replaced:
        close_source(ClosingBehind(BytesSource(b""), response.replaced), runner())
        response.replaced = ()


async def _closed(source: BodySource, error: Exception | None) -> None:
    try:
        await source.aclose(error)
    except (Exception, *ESCAPES):  # noqa: BLE001 - a plugin's own code; the body has ended
        emit(PLUGIN_BODY_FAILED, "what gave a body failed to close", error=error, reason=repr(error))
