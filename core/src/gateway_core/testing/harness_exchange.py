"""One request through the phases of a chain, without a gateway around it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from copy import copy
from functools import partial
from typing import Any, Final, TypeAlias

from gateway_core import reasons
from gateway_core.errors import BodySide
from gateway_core.hooks import (
    Chain,
    Hook,
    Stop,
    Suspended,
    start_attempt_phase,
    start_phase,
    start_response_phase,
)
from gateway_core.messages import Record, Request, Response, RouteInfo, UpstreamAttempt
from gateway_core.messages.body import BodySource, FilteredBody, FilterFailed, FilterSpec, TooLarge, read_whole
from gateway_core.messages.body_sources import BytesSource, IteratorSource, source_of
from gateway_core.messages.headers import block_of
from gateway_core.messages.hook_owner import running_hook
from gateway_core.tasks import spawn

LogDetached: TypeAlias = "Callable[[HarnessExchange, Response, int], Coroutine[Any, Any, Record]]"
"""Runs the log phase of a detached copy, whose response had so many bytes."""

LARGEST: Final = 1 << 30
CLIENT_SEES_NOTHING: Final = 499
"""Status in logs of a request that ended without a response."""


async def settled(outcome: Any) -> Any:
    """Return what a phase came to, awaited if one of its hooks must be."""
    return await outcome.finish() if isinstance(outcome, Suspended) else outcome


def _ignore(_size: int) -> None:
    """Do nothing."""


class StreamedBody:
    """The body of a request or of an upstream's response: read, replaced, or sent on through filters."""

    def __init__(self, source: BodySource, has_body: bool, side: BodySide, failed: FilterFailed) -> None:
        self._source = source
        self._specs: list[FilterSpec] = []
        self._side = side
        self._failed = failed
        self.has_body = has_body
        self.was_read = not has_body
        self.ended: Callable[[int], None] = _ignore
        """Called once when it was read, failed or is dropped, with its size."""

    def _end(self, size: int) -> None:
        ended, self.ended = self.ended, _ignore
        ended(size)

    def __del__(self) -> None:
        self._end(0)

    def _take(self) -> BodySource:
        source, specs = self._source, self._specs
        self._specs = []
        return FilteredBody(source, specs, self._failed) if specs and self.has_body else source

    async def read_body(self, limit: int) -> bytes:
        """Read the body through the filters so far; it is the body from then on."""
        try:
            found = await read_whole(self._take(), limit, self._side)
        except Exception:
            self._end(0)
            raise
        if isinstance(found, TooLarge):
            self._source = found.rest
            raise found.error
        self._source, self.was_read = BytesSource(found), True
        self._end(len(found))
        return found

    def set_body(self, data: bytes) -> None:
        """Put another body in its place."""
        self._source, self._specs, self.was_read, self.has_body = BytesSource(data), [], True, bool(data)

    def add_body_filter(self, spec: FilterSpec) -> bool:
        """Add a filter; return whether there is a body."""
        if self.has_body:
            self._specs.append(spec)
        return self.has_body


class HarnessExchange:
    """A request on its way through a chain; its `operations`."""

    def __init__(
        self,
        chain: Chain,
        request: Request,
        body: bytes | Iterable[bytes],
        upstream_response: Response,
        filter_failed: FilterFailed,
        log: LogDetached,
    ) -> None:
        """Prepare.

        :param body: the request's, whole or in pieces.
        :param filter_failed: called with filters that fail.
        :param log: runs the log phase of a detached copy.
        """
        self.chain = chain
        self.request = request
        source: BodySource = BytesSource(body) if isinstance(body, bytes) else IteratorSource(_iterated(body))
        self._body = StreamedBody(source, body != b"", "request", filter_failed)
        self._upstream_response = upstream_response
        self._filter_failed = filter_failed
        self._log = log
        self.detached: set[asyncio.Task[Record]] = set()
        """The log phases of detached copies."""
        self._suspended: Suspended[Any] | None = None
        self._may_forward = False
        self._task: asyncio.Task[Response] | None = None
        self.attempt: UpstreamAttempt | None = None
        self.sent_body = b""
        """What went upstream."""
        self.stopped: str | None = None
        self.route: str | None = None
        self._outer: tuple[Hook, ...] = ()
        """The response hooks that are left when a forwarded response goes to the client."""
        self.forwarded: Response | None = None
        self.aborted: str | None = None
        request.operations = self

    # -- phases

    async def run(self, route: RouteInfo) -> Response:
        """Run everything up to the log, and return the response with its whole body."""
        self._task = spawn(self._phases(route), name="harness exchange", on_error=lambda _: None)
        await asyncio.wait({self._task})
        if self.aborted is not None:
            return Response(CLIENT_SEES_NOTHING)
        return self._task.result()

    async def _phases(self, route: RouteInfo) -> Response:
        chain, request = self.chain, self.request
        if chain.reserved is not None:
            request.headers.remove_any(chain.reserved)
        for phase in ("gateway_request", "gateway_route_match", "gateway_pre_proxy"):
            args: tuple[Any, ...] = (request,)
            if phase == "gateway_route_match":
                request.route = route
                args = (request, route)
            stop = await self._phase(phase, args)
            if self.aborted is not None:
                raise asyncio.CancelledError
            if stop is None:
                continue
            if isinstance(stop.result, str):
                self.route = stop.result
                continue
            if self.forwarded is None:
                self.stopped = phase.removeprefix("gateway_")
                chain = self.chain = chain.for_stop(stop)
                return await self._respond(chain.response_after(phase, stop), stop.result)
            return await self._respond(self._outer, stop.result)
        if self.forwarded is not None:
            return await self._respond(self._outer, self.forwarded)
        return await self._respond(chain.response, await self._send())

    async def _phase(self, phase: str, args: tuple[Any, ...]) -> Stop | None:
        outcome = start_phase(self.chain.hooks_of(phase), *args)
        if not isinstance(outcome, Suspended):
            return outcome
        self._suspended, self._may_forward = outcome, phase == "gateway_pre_proxy"
        try:
            return await outcome.finish()
        finally:
            self._suspended, self._may_forward = None, False

    async def _send(self) -> Response:
        """Run the attempt hooks, send the body, and return the upstream's response."""
        request = self.request
        fields = request.headers.copy()
        for name in ("host", "content-length", "transfer-encoding", "connection"):
            fields.remove(name)
        attempt = UpstreamAttempt("test", request.sent_path, request.query_string, "upstream.test", fields)
        stop = await settled(start_attempt_phase(self.chain.attempt, request, attempt))
        if stop is not None:
            self.stopped = "attempt"
            refused: Response = stop.result
            return refused
        self.attempt = attempt
        self.sent_body = await self._body.read_body(LARGEST)
        given = self._upstream_response
        attempt.note_status(given.status)
        response = Response.streamed(given.status, given.reason, block_of(given.headers))
        response.is_for_head = request.method == "HEAD"
        response.came_length = given.content_length
        body = StreamedBody(source_of(given.body), response.has_body, "response", self._filter_failed)
        response.operations = body
        return response

    async def _respond(self, hooks: tuple[Hook, ...], response: Response) -> Response:
        response.is_for_head = self.request.method == "HEAD"
        sent: Response = await settled(start_response_phase(hooks, self.request, response))
        if sent.has_body:
            sent.body = await sent.read(LARGEST)
        return sent

    # -- operations

    @property
    def has_body(self) -> bool:
        return self._body.has_body

    async def read_body(self, limit: int) -> bytes:
        return await self._body.read_body(limit)

    def read_body_nowait(self, limit: int) -> bytes | None:  # noqa: ARG002 - here it comes while it is read
        return None

    def set_body(self, data: bytes) -> None:
        self._body.set_body(data)

    def add_body_filter(self, spec: FilterSpec) -> bool:
        return self._body.add_body_filter(spec)

    async def forward(self) -> Response:
        suspended = self._suspended
        if suspended is None or not self._may_forward:
            raise RuntimeError("forward() may be called once, in the pre-proxy phase")
        self._may_forward = False
        self.forwarded = await self._forward(suspended.hook, suspended.take_rest())
        return self.forwarded

    async def _forward(self, hook: Hook | None, later: tuple[Hook, ...]) -> Response:
        """Run what is within a hook that forwards: the later pre-proxy hooks, the attempt, their response hooks.

        :param hook: None behind the pre-proxy phase, where nothing is within.
        """
        inner, self._outer = ((), ()) if hook is None else self.chain.split_response(hook)
        stop = await settled(start_phase(later, self.request))
        if stop is None:
            response = await self._send()
        else:
            response = stop.result
            entered = self.chain.response_after("gateway_pre_proxy", stop)
            inner = tuple(each for each in inner if each in entered)
        response.is_for_head = self.request.method == "HEAD"
        found: Response = await settled(start_response_phase(inner, self.request, response))
        return found

    def detach(self) -> Request:
        if not self._body.was_read:
            raise RuntimeError("detach() needs the request's body to be read before")
        copied = copy(self.request)
        copied.headers = self.request.headers.copy()
        detached = _Detached(self.chain, copied, b"", self._upstream_response, self._filter_failed, self._log)
        detached.detached = self.detached
        hook = running_hook()
        detached.begin(self._body, hook if isinstance(hook, Hook) and hook.phase == "gateway_pre_proxy" else None)
        return copied

    def abort(self, reason: str) -> None:
        if self.aborted is None:
            self.aborted = reason or reasons.PLUGIN_ABORTED
            if self._task is not None:
                self._task.cancel()


class _Detached(HarnessExchange):
    """A detached copy of a request, which may be forwarded once, from anywhere."""

    _was_sent = False
    _hook: Hook | None = None

    def begin(self, body: StreamedBody, hook: Hook | None) -> None:
        """Take what it was made with.

        :param body: the request's, which was read.
        :param hook: the pre-proxy hook that made it; later ones run when it is forwarded.
        """
        self._body, self._hook = body, hook

    async def forward(self) -> Response:
        if self._was_sent:
            raise RuntimeError("forward() of a detached request may be called once")
        self._was_sent = True
        hooks = self.chain.pre_proxy
        later = hooks[hooks.index(self._hook) + 1 :] if self._hook in hooks else ()
        response = await self._forward(self._hook, later)
        streamed, shown = response.operations, response.copy_head()
        shown.operations = None
        if isinstance(streamed, StreamedBody) and streamed.has_body:
            streamed.ended = partial(self._over, shown)
        else:
            self._over(shown, len(response.body) if isinstance(response.body, bytes) else 0)
        return response

    def _over(self, response: Response, size: int) -> None:
        """Run the log phase: the response was read, or is not read any more."""
        self.detached.add(spawn(self._log(self, response, size), name="log of a detached copy"))


async def _iterated(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece
