"""`Request.detach`: a copy of a request that outlives it, and may be forwarded once, from anywhere.

A detached request is an exchange without a client. It has a context, a deadline and a log record of its own, and keeps
the snapshot of the request that it was made of, until it is over or dropped. It counts as a request in progress from
`forward` until its response was read to its end, closed, or dropped: draining waits for it, and `limits.max_requests`
counts it.
"""

from __future__ import annotations

import asyncio
from contextvars import Context
from copy import copy
from weakref import ref

from gateway_core import reasons
from gateway_core.errors import UpstreamError
from gateway_core.hooks import Chain, Hook, start_log_phase
from gateway_core.messages import Request, Response
from gateway_core.messages.body import BodySource, FilterSpec
from gateway_core.messages.body_sources import BytesSource, SourceWrapper
from gateway_core.proxy.forward import Forward, ForwardOwner
from gateway_core.proxy.gateway_responses import report_crash
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.request_phases import RequestPhases
from gateway_core.proxy.route_lookup import ChosenTarget
from gateway_core.proxy.streamed_body import StreamedBody
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.telemetry import make_record
from gateway_core.snapshot import CompiledRoute, RouteTarget


def detach(exchange: ForwardOwner, hook: Hook | None, body: bytes | None) -> Request:
    """Return a copy of an exchange's request.

    :param hook: the one that asks for it.
    :param body: the whole body, if there is one.
    :raises RuntimeError: no route is known yet.
    """
    if exchange.route is None:
        raise RuntimeError("detach() needs a route: call it in the pre-proxy phase, or behind it")
    request = copy(exchange.request)
    request.headers = exchange.request.headers.copy()
    request.state = dict(exchange.request.state)
    request.operations = DetachedOperations(exchange, request, hook, body)
    return request


class DetachedOperations:
    """The operations of a copy (`RequestOperations`), which make a `DetachedRequest` when it is forwarded.

    They do not hold the copy, so that one which is dropped without being sent is freed at once, with its snapshot.
    """

    def __init__(self, exchange: ForwardOwner, request: Request, hook: Hook | None, body: bytes | None) -> None:
        self.proxy = exchange.proxy
        self.head = exchange.head
        self.client = exchange.client
        self.id_line = exchange.id_line
        self.writer = exchange.writer
        self.snapshot = exchange.snapshot
        self.route, self.chain = exchange.route, exchange.chain
        self.chosen: ChosenTarget = (None, None) if exchange.phases is None else exchange.phases.chosen
        self.hook = hook if hook is not None and hook.phase == "gateway_pre_proxy" else None
        """The pre-proxy hook that made the copy."""
        self.data = body
        self._request = ref(request)
        self._sent: DetachedRequest | None = None
        self._is_over = False
        self.snapshot.active += 1

    async def forward(self) -> Response:
        """Send it, and return the response (see `Request.forward`).

        :raises RuntimeError: it was sent before.
        """
        request = self._request()
        assert request is not None, "it is what forward() is called on"
        if self._is_over:
            raise RuntimeError("forward() of a detached request may be called once")
        self._is_over = True  # from here on what is sent ends it
        self._sent = DetachedRequest(self, request)
        return await self._sent.forward()

    @property
    def has_body(self) -> bool:
        """Whether there is one."""
        return bool(self.data)

    async def read_body(self, limit: int) -> bytes:  # noqa: ARG002 - it was read within another limit
        """Return the body, which was read before."""
        return self.data or b""

    def read_body_nowait(self, limit: int) -> bytes | None:  # noqa: ARG002 - as above
        """Return the body, which was read before."""
        return self.data or b""

    def set_body(self, data: bytes) -> None:
        """Send another body."""
        self.data = data

    def add_body_filter(self, spec: FilterSpec) -> bool:  # noqa: ARG002 - as requests have it
        raise RuntimeError("the body of a detached request was read: use set_body()")

    def detach(self) -> Request:
        raise RuntimeError("the request is detached already")

    def abort(self, reason: str) -> None:
        """End it; later calls do nothing."""
        if self._sent is not None:
            self._sent.abort(reason)
        else:
            self._release()

    def _release(self) -> None:
        if not self._is_over:
            self._is_over = True
            self.snapshot.release()

    def __del__(self) -> None:
        self._release()


class DetachedRequest:
    """One detached request on its way (a `ForwardOwner`)."""

    deadline = NEVER  # its upstream call has one
    forwarding = None
    tunnel_bytes: tuple[int, int] | None

    def __init__(self, made: DetachedOperations, request: Request) -> None:
        self.proxy = made.proxy
        self.head = made.head
        self.client = made.client
        self.id_line = made.id_line
        self.writer = made.writer
        self.snapshot = made.snapshot
        self.request = request
        self.route, self.chain = made.route, made.chain
        self.phases = RequestPhases(self, made.chosen)
        self._hook = made.hook
        hooks = self.chain.pre_proxy
        self._later = hooks[hooks.index(self._hook) + 1 :] if self._hook in hooks else ()
        self._data = made.data
        self.body: RequestBody | None = None
        self.context = self.snapshot.scope.context.copy()
        self.hooks = HookRunner(self.crashed, self.context)
        self._forward: Forward | None = None
        self._task: asyncio.Task[Response] | None = None
        self._is_over = False
        self._bytes = 0
        self.aborted: str | None = None
        self.grpc_code: int | None = None
        self.reason: str | None = None
        self.error: str | None = None

    async def forward(self) -> Response:
        """Send it, and return the response."""
        forward = self._forward = Forward(self, lambda: self.body)
        self.request.started = self.proxy.now()
        if self._data is not None:
            self.body = RequestBody(self, self, self._data, is_complete=True)
            self.body.gather(len(self._data))
        self.proxy.exchanges.add(self)
        later, runner = self._later, self.hooks.sibling()
        task = self._task = self.hooks.spawn(forward.run(self._hook, later, runner), "detached request")
        try:
            response = await task
        except BaseException as error:
            task.cancel()
            self._end(None, error)
            raise
        return self._watched(response)

    def _watched(self, response: Response) -> Response:
        """Have the end of the response's body end the request."""
        streamed = response.operations
        if not isinstance(streamed, StreamedBody):
            if isinstance(response.body, bytes):
                self._bytes = len(response.body)
            self._end(response, None)
            return response
        body = streamed.take()
        source = BytesSource(body) if isinstance(body, bytes) else body
        watched = _WatchedBody(self, response, source)
        # A copy: what is kept here must not keep the response that the plugin gets, whose end is noticed.
        given = response.copy_head()
        given.operations = StreamedBody(watched, "response", lambda *_: None, streamed.length)
        return given

    def abort(self, reason: str) -> None:
        """End it; later calls do nothing."""
        if self._is_over:
            return
        self.aborted, self.reason = "gateway", reason or reasons.PLUGIN_ABORTED
        if self._task is not None and not self._task.done():
            self._task.cancel()
        else:
            self._end(None, None)

    # -- ends

    def read(self, size: int) -> None:
        """Count what was read of the response."""
        self._bytes += size

    def end(self, response: Response, error: BaseException | None) -> None:
        """Called when the response was read or closed, in whatever context."""
        loop = self.proxy.upstreams.loop
        if not self._is_over and not loop.is_closed():
            loop.call_soon(self._end, response, error, context=Context())

    def _end(self, response: Response | None, error: BaseException | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        self.proxy.exchanges.discard(self)
        forward = self._forward
        if forward is not None:
            forward.close()
        if isinstance(error, UpstreamError) and self.reason is None:
            self.aborted, self.reason, self.error = "upstream", error.reason, str(error)
        elif response is not None and response.failure:
            self.reason, self.error = response.failure, forward.detail if forward is not None else None
        hooks = self.chain.log
        if not hooks or forward is None:
            self.snapshot.release()
            return
        call = None if forward.client_call is None else forward.client_call.call
        self.tunnel_bytes = len(self._data or b""), self._bytes
        record = make_record(self, call, response, self.proxy.now() - self.request.started, self.proxy.wall())
        shown = response or Response(499)
        outcome = self.context.run(start_log_phase, hooks, self.request, shown, record)
        if outcome is None:
            self.snapshot.release()
        else:
            self.hooks.finish_last(outcome, self.snapshot.release)

    def crashed(self, error: BaseException) -> None:
        """End it: the gateway itself failed."""
        report_crash("detached request", self.request.request_id, error)
        self._end(None, error)

    def expire(self, now: float) -> None:
        """Do nothing: the upstream call has the deadline."""

    def snapshot_replaced(self) -> None:
        """Do nothing: it stays on the snapshot that was pinned."""

    # -- what forwarding uses (`ForwardOwner`), and the body (`BodyOwner`, `RequestFlow`)

    def runner(self) -> HookRunner:
        return self.hooks

    def begin_hooks(self) -> Context:
        return self.context

    def take_route(self, route: CompiledRoute, chain: Chain) -> None:
        self.route, self.chain = route, chain

    def send(self, route: CompiledRoute, target: RouteTarget, sticky_target: RouteTarget | None = None) -> None:
        """Not called: `forward` sends it."""

    def fail(self, status: int, reason: str, detail: str) -> None:  # noqa: ARG002 - its owner's signature
        """Note the failure: the response is `forward`'s."""
        self.note_failure(reason, detail)

    def respond_with(self, response: Response, hooks: tuple[Hook, ...]) -> None:
        """Not called: there is no client to respond to."""

    def note_failure(self, reason: str, detail: str) -> None:
        self.reason, self.error = reason or None, detail or None

    def watch(self, seconds: float) -> None:
        """Do nothing: the body is there."""

    def body_progress(self) -> None:
        """Do nothing: the body is there."""

    def body_ended(self) -> None:
        """Do nothing: the body is there."""

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        """Do nothing: the body is there."""

    def pause_request(self) -> None:
        """Do nothing: the body is there."""

    def resume_request(self) -> None:
        """Do nothing: the body is there."""


class _WatchedBody(SourceWrapper):
    """The body of a detached request's response, whose end is the request's."""

    __slots__ = ("_detached", "_response")

    def __init__(self, detached: DetachedRequest, response: Response, source: BodySource) -> None:
        super().__init__(source)
        self._detached = detached
        self._response = response.copy_head()

    async def read(self) -> bytes:
        try:
            data = await self._source.read()
        except Exception as error:
            self._detached.end(self._response, error)
            raise
        if data:
            self._detached.read(len(data))
        else:
            self._detached.end(self._response, None)
        return data

    async def aclose(self, error: Exception | None) -> None:
        await super().aclose(error)
        self._detached.end(self._response, None)

    def __del__(self) -> None:
        self._detached.end(self._response, None)
