"""A request of the gateway's own to an upstream: no client waits for it at the other end of a connection.

What calls awaits `UpstreamCall.response` for the head, and `read`s the body until it is complete. The same limits,
queues, retries and timeouts hold as for the requests of clients, since its attempts are `Attempt`s as well. The body
waits in a buffer of `HIGH_WATER` bytes, above which the upstream's connection is not read: nothing is produced faster
than the caller takes it. `aclose` ends the call wherever it is; its maker closes it.

A request body is bytes, or an asynchronous iterator, which is asked for more as the upstream takes it. An iterator can
be sent again only as far as the retry policy keeps bodies (`RequestBody.keep`). It may also be the body of
a client's request, whose owner then is the exchange.

Plugins call this from hooks, in contexts of theirs. What is started here outlives them (connections are kept), so it is
started in an empty context.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextvars import Context
from typing import Final, NamedTuple, Protocol

from gateway_core.config import TimeoutsConfig
from gateway_core.errors import GatewayError, UpstreamError
from gateway_core.hooks import Stop
from gateway_core.messages import Headers, Request, Response, UpstreamAttempt
from gateway_core.messages.headers import headers_of_block
from gateway_core.observe.tracing import TracePlace
from gateway_core.proxy.attempt import Attempt
from gateway_core.proxy.attempt_owner import AttemptTerms, PreparedRequest, Retries, UpstreamFailure
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.proxy.upstream.pool import BoundConnections
from gateway_core.proxy.upstream_head import AttemptPhase
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.reasons import PLUGIN_FAILED
from gateway_core.tasks import spawn
from gateway_core.upstreams.endpoint import Endpoint
from gateway_core.upstreams.retry import RetryPolicy
from gateway_core.upstreams.upstream import Upstream

HIGH_WATER: Final = 65536
"""Bytes of a response's body that are held before its connection is paused."""


class HeadMaker(Protocol):
    """Makes the head of a call for each endpoint."""

    @property
    def method(self) -> str: ...

    def head_for(self, endpoint: Endpoint, body: RequestBody | None) -> PreparedRequest:
        """Return the head, and the flags of `UpstreamConnection.send`.

        :raises UpstreamError: it cannot be sent.
        """

    def on_interim(self, head: ResponseHead) -> None: ...


class Switched(NamedTuple):
    """A connection whose protocol was changed by a 101."""

    connection: UpstreamConnection
    data: bytes
    """What came behind the head."""


class UpstreamCall:
    """One request and its response (an `AttemptOwner`)."""

    passes_whole = True

    __slots__ = (
        "_attempt_phase", "_buffer", "_buffered", "_error", "_feeder", "_head", "_head_ready", "_is_complete",
        "_is_paused", "_may_feed", "_more", "_place", "_takes_switch", "_terms", "_timeouts", "_total_deadline",
        "attempt", "body", "bound", "deadline", "directory", "refusal", "response_head", "retry_after", "switched",
        "trailers", "upstream",
    )  # fmt: skip

    def __init__(
        self,
        directory: UpstreamDirectory,
        upstream: Upstream,
        head: HeadMaker,
        timeouts: TimeoutsConfig,
        body: bytes | AsyncIterator[bytes] | RequestBody = b"",
        seconds: float | None = None,
        bound: BoundConnections | None = None,
        *,
        key: str | None = None,
        request: Request | None = None,
        terms: Callable[[float], AttemptTerms] | None = None,
        takes_switch: bool = False,
        place: TracePlace | None = None,
    ) -> None:
        """Send nothing yet.

        :param timeouts: in seconds; 0 is no limit.
        :param body: empty bytes are no body.
        :param seconds: for all of it, the response's body included; None is ``timeouts.total``.
        :param bound: the upstream connections of the client.
        :param key: what the upstream's strategy hashes.
        :param request: the client's that it is for, for the log.
        :param terms: makes those of a client's request, which ends at a time of the monotonic clock.
        :param takes_switch: whether the caller takes a 101.
        :param place: where its attempts belong, if they are in a trace.
        """
        self.directory = directory
        self._head = head
        self._timeouts = timeouts
        self._buffer: deque[bytes] = deque()
        self._buffered = 0
        self._is_complete = self._is_paused = False
        self._error: Exception | None = None
        self.response_head: ResponseHead | None = None
        self._attempt_phase: AttemptPhase | None = None
        """The hooks that run before each attempt."""
        self.refusal: Stop | None = None  # by an attempt hook that failed
        self.retry_after: float | None = None
        """Seconds after which asking again may help."""
        self._takes_switch = takes_switch
        self.switched: Switched | None = None
        self._head_ready, self._more, self._may_feed = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._may_feed.set()
        self._feeder: asyncio.Task[None] | None = None
        self.deadline = NEVER
        self.trailers = Headers()
        """The response's trailer fields, valid once its body is complete."""
        total = timeouts.total if seconds is None else seconds
        until = self._total_deadline = directory.now() + total if total else NEVER
        own = AttemptTerms(head.method, upstream.retries, timeouts.connect, until, key, request=request)
        self._terms = own if terms is None else terms(until)
        self.upstream = upstream
        self._place = place
        self.bound = bound
        self.body = self._make_body(body, self._terms.policy)
        self.attempt = Attempt(self)
        """The last one."""

    def _make_body(self, body: bytes | AsyncIterator[bytes] | RequestBody, policy: RetryPolicy) -> RequestBody | None:
        if isinstance(body, RequestBody):
            made = body
        elif isinstance(body, bytes):
            if not body:
                return None
            made = RequestBody(self, self, body, is_complete=True)
        else:
            made = RequestBody(self, self)
            self._feeder = spawn(self._feed(made, body), name="request body of a call", on_error=self._feed_failed)
        if policy.is_enabled:
            made.keep(policy.settings.max_body_bytes)
        return made

    async def _feed(self, made: RequestBody, body: AsyncIterator[bytes]) -> None:
        try:
            async for data in body:
                await self._may_feed.wait()
                if data:
                    Context().run(made.feed, data)
        finally:
            end = getattr(body, "aclose", None)
            if end is not None:
                await end()
        Context().run(made.end)

    def _feed_failed(self, error: BaseException) -> None:
        """End the call with what the iterator of its request body raised."""
        self._end(error if isinstance(error, Exception) else GatewayError(f"a request body raised {error!r}"))

    # -- for the caller

    def run_before_attempts(self, phase: AttemptPhase) -> None:
        """Have attempt hooks run over each head."""
        self._attempt_phase = phase

    async def response(self) -> ResponseHead:
        """Send the request and return the response's head, whatever its status.

        :raises UpstreamError: there is no response.
        :raises Exception: what the iterator of the request's body raised.
        """
        self.directory.calls.add(self)
        self.on_waiting(0)
        # Not at once: the hook that awaits this is in the context in which attempt hooks may have to run.
        self.directory.loop.call_soon(self._start, context=Context())
        await self._head_ready.wait()
        if self.response_head is None:
            assert self._error is not None
            raise self._error
        return self.response_head

    def _start(self) -> None:
        if self._error is not None:
            return  # it was closed meanwhile
        try:
            if self.attempt.start(now := self.directory.now()):
                self.on_sent(now)
        except Exception as error:  # noqa: BLE001 - a callback of the loop has no caller to raise to
            self.crashed(error)

    async def read(self) -> bytes:
        """Return the next part of the response's body; empty once it is complete.

        :raises UpstreamError: the rest of it will not come.
        """
        while not self._buffer:
            if self._error is not None:
                raise self._error
            if self._is_complete:
                return b""
            self._more.clear()
            await self._more.wait()
        data = self._buffer.popleft()
        self._buffered -= len(data)
        if self._is_paused and self._buffered < HIGH_WATER // 2:
            self._is_paused = False
            Context().run(self.attempt.resume_reading)
            self.on_waiting(self._timeouts.idle)
        return data

    @property
    def is_idle(self) -> bool:
        """Whether `read` would wait: what was read so far may be passed on."""
        return not self._buffer and not self._is_complete and self._error is None

    def take_switched(self) -> Switched | None:
        """Return the connection of a 101, which is the caller's then."""
        switched, self.switched = self.switched, None
        return switched

    def rewrite_head(self, block: bytes) -> ResponseHead:
        """Change the block of the response's head, and return that."""
        assert self.response_head is not None
        self.response_head = self.response_head.with_block(block)
        return self.response_head

    async def aclose(self, error: Exception | None = None) -> None:  # noqa: ARG002 - as sources of bodies have it
        """End the call; what is left of the response is not read."""
        self.close()

    def close(self) -> None:
        """End the call, at once."""
        if self._feeder is not None:
            self._feeder.cancel()
        switched = self.take_switched()
        if switched is not None:
            switched.connection.transport.abort()
        Context().run(self._end, UpstreamError("the call was closed", reason="upstream.truncated"))
        self._buffer.clear()

    # -- called by the request

    def prepare(self, endpoint: Endpoint) -> PreparedRequest | None:
        """Make the head for an endpoint, and run the attempt hooks over it."""
        try:
            prepared = self._head.head_for(endpoint, self.body)
        except UpstreamError as error:
            self._end(error)
            return None
        if self._place is not None:
            prepared = self._place.sent_head(self.attempt, prepared[0]), prepared[1]
        if self._attempt_phase is None:
            return prepared
        self._attempt_phase.start(endpoint, prepared, self._connect, self._refuse)
        return None

    def _connect(self, head: PreparedRequest, observed: UpstreamAttempt | None) -> None:
        self.attempt.connect(head, observed)

    def _refuse(self, stop: Stop) -> None:
        self.refusal = stop
        status, reason, response = 502, PLUGIN_FAILED, stop.result
        if isinstance(response, Response) and response.status in {503, 504}:
            status, reason = response.status, response.failure or reason
        self._end(UpstreamError(stop.error or "an attempt hook failed", status=status, reason=reason))

    def terms(self) -> AttemptTerms:
        return self._terms

    def on_retry(self, retries: Retries) -> None:
        self.attempt = Attempt(self, retries)
        if self.attempt.start(now := self.directory.now()):
            self.on_sent(now)

    def on_sent(self, now: float) -> None:  # noqa: ARG002 - the clock is read once more for it
        self.on_waiting(self._timeouts.response)

    def on_waiting(self, seconds: float) -> None:
        deadline = self.directory.now() + seconds if seconds else NEVER
        self.deadline = min(self._total_deadline, deadline)

    def on_interim(self, head: ResponseHead) -> None:
        self._head.on_interim(head)

    def on_response(self, head: ResponseHead, body: bytes, complete: bool, trailers: bytes = b"") -> None:
        self.response_head = head
        self._head_ready.set()
        self.on_body(body)
        if complete:
            self.on_end(trailers)

    def on_body(self, data: bytes | memoryview) -> None:
        if data:
            self._buffer.append(bytes(data))
            self._buffered += len(data)
            self._more.set()
        if self._buffered > HIGH_WATER:
            self._is_paused = True
            self.attempt.pause_reading()
            self.on_waiting(0)  # the caller takes its time now, not the upstream
        else:
            self.on_waiting(self._timeouts.idle)

    def sink(self) -> None:
        """Return none: the body is read here."""

    def on_end(self, trailers: bytes) -> None:
        self.trailers = headers_of_block(trailers)
        self._is_complete = True
        self._end(None)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """Keep the connection for a caller that takes a 101; otherwise close what was not asked for."""
        if not self._takes_switch:
            connection.transport.abort()
            self._end(UpstreamError("it changes protocols, unasked", reason="upstream.bad-response"))
            return
        connection.pause_reading()
        self.switched = Switched(connection, data)
        self.response_head = head
        self.on_waiting(0)
        self._head_ready.set()

    def on_failed(self, failure: UpstreamFailure) -> None:
        self.retry_after = failure.retry_after
        self._end(UpstreamError(failure.detail, status=failure.status, reason=failure.reason))

    def on_broken(self, reason: str, detail: str) -> None:
        self._end(UpstreamError(detail, reason=reason))

    def keep_bound(self, endpoint: Endpoint, connection: UpstreamConnection) -> None:  # noqa: ARG002
        """Close it: a call has no client that it could belong to."""
        connection.abort()

    def crashed(self, error: BaseException) -> None:
        """End the call: its request body failed, or the gateway."""
        self._end(UpstreamError(f"the call failed: {error!r}", reason="internal"))

    def expire(self, now: float) -> None:
        """Act on the deadline, which is over."""
        self.deadline = NEVER
        if self.response_head is None and now < self._total_deadline:
            self.attempt.expire()
        else:
            error = UpstreamError("the response took too long", status=504, reason="upstream.timeout")
            self._end(error, timed_out=now < self._total_deadline)

    def _end(self, error: Exception | None, *, timed_out: bool = False) -> None:
        self.deadline = NEVER
        self.directory.calls.discard(self)
        if error is not None and not self._is_complete and self._error is None:
            self._error = error
        self.attempt.give_up(timed_out=timed_out)
        self._head_ready.set()
        self._more.set()

    # -- called by the request's body (`BodyOwner`, `RequestFlow`)

    def body_progress(self) -> None:
        """Restart the wait for the response: an upload may take longer than that."""
        self.body_ended()

    def body_ended(self) -> None:
        """Begin the wait for the response."""
        if self.response_head is None and self.attempt.is_sent:
            self.on_waiting(self._timeouts.response)

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        """End the call."""
        self._end(UpstreamError(detail, status=status, reason=reason))

    def pause_request(self) -> None:
        """Take no more of the request's body for now."""
        self._may_feed.clear()

    def resume_request(self) -> None:
        """Go on with the request's body."""
        self._may_feed.set()
