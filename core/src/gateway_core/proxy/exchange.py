"""One request's way through the gateway: the pipeline that both lanes feed.

Everything happens in calls, not in a task: a request whose hooks are plain functions runs from its head to the bytes on
the upstream's socket in one go, and its answer likewise. Only a hook that must be awaited gets a task.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gateway_core.errors import BodyTooLargeError
from gateway_core.messages import Attempt, Record, Request, Response
from gateway_core.plugins import Chain, Hook, Stop, Suspended, start_log_phase, start_phase, start_response_phase
from gateway_core.proxy.answer_head import status_line
from gateway_core.proxy.own_answers import own_answer
from gateway_core.proxy.sending import Sending
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream_connection import Failure, UpstreamConnection
from gateway_core.routing import MethodNotAllowed, NotFound, UnsafePathError, check_path
from gateway_core.tasks import spawn

if TYPE_CHECKING:
    from gateway_core.proxy.lane import HeadMemo, Lane
    from gateway_core.proxy.wire.response_head import ResponseHead
    from gateway_core.snapshot import CompiledRoute, Snapshot

CLIENT_LEFT = 499
"""Status in logs of a request whose client left before there was an answer."""


class Exchange(Sending):
    """A request in progress, from its head to its log line."""

    chain: Chain
    _task: asyncio.Task[None] | None = None
    _held_answer: list[bytes] | None = None
    _held_end: bytes | None = None
    _is_answering = False
    ended_at = 0.0
    _tunnel_bytes: tuple[int, int] | None = None

    def __init__(
        self, lane: Lane, transport: asyncio.Transport, snapshot: Snapshot, memo: HeadMemo, request: Request
    ) -> None:
        self.lane = lane
        self.transport = transport
        self.proxy = lane.proxy
        self.memo = memo
        self.request = request
        self.snapshot = snapshot
        self.chain = snapshot.global_chain
        self.raw_path = request.path
        self.raw_query = request.query
        self.raw_method = request.method

    # -- phases

    def start(self) -> None:
        """Begin; the lane has set ``upload`` if the request has a body."""
        proxy, snapshot, request = self.proxy, self.snapshot, self.request
        snapshot.active += 1
        proxy.exchanges.add(self)
        if self.upload is not None:
            request.set_body_reader(self._read_body)
        most = snapshot.limits.max_requests
        if most and len(proxy.exchanges) > most:
            self.fail(503, "limits.max_requests is reached", retry_after=1)
        elif (problem := check_path(request.path)) is not None:
            self.fail(400, problem)
        elif hooks := self.chain.request:
            self._run(hooks, "gateway_request", self._match)
        else:
            self._match(None)

    def _run(self, hooks: tuple[Hook, ...], phase: str, then: Callable[[Stop | None], None], *args: Any) -> None:
        """Run a phase and go on with ``then``, at once or from a task if a hook must be awaited."""
        outcome = start_phase(hooks, self.request, *args)
        if isinstance(outcome, Suspended):
            self.was_suspended = True
            self._task = spawn(self._finish_phase(outcome, phase, then), name="request", on_error=self._crashed)
        elif outcome is None:
            then(None)
        else:
            self._stopped(outcome, phase, then)

    async def _finish_phase(self, suspended: Suspended[Any], phase: str, then: Callable[[Stop | None], None]) -> None:
        try:
            outcome = await suspended.finish()
        except BodyTooLargeError as error:
            self._task = None
            if not self.over:
                self.keep_alive = False
                self.fail(413, str(error))
            return
        self._task = None
        if self.over:
            return
        if outcome is None:
            then(None)
        else:
            self._stopped(outcome, phase, then)

    def _crashed(self, error: BaseException) -> None:
        """Answer 500: the pipeline itself failed, which is a defect of ours."""
        self.proxy.log.error("request %s failed: %r", self.request.request_id, error, exc_info=error)
        if not self.over:
            self.give_up()
            if self.head_sent:
                self.aborted = "gateway"
                self.lane.break_off(flush=False)
            else:
                self.keep_alive = False
                self.error = repr(error)
                self.write_own(own_answer(500))

    def _stopped(self, stop: Stop, phase: str, then: Callable[[Stop | None], None]) -> None:
        result = stop.result
        if isinstance(result, str):
            then(stop)
            return
        result.produced_by = result.produced_by or stop.hook.binding.id
        self.error = stop.error or self.error
        self.answer(result, self.chain.response_after(phase, stop))

    def _match(self, _: Stop | None) -> None:
        """Find the route."""
        request = self.request
        if request.path is not self.raw_path and (problem := check_path(request.path)) is not None:
            self.fail(500, f"a plugin left a path that is not valid: {problem}")
            return
        found = self.snapshot.router.match(request.method, request.host, request.path, request.query, request.header)
        if isinstance(found, NotFound):
            self._no_route(own_answer(404))
        elif isinstance(found, MethodNotAllowed):
            self._no_route(own_answer(405, allow=found.allow))
        else:
            request.params = found.params
            route = self.route = found.payload
            chain = self.chain = route.chain
            request.route = route.info
            if chain.route_match:
                self._run(chain.route_match, "gateway_route_match", self._matched, request.route)
            elif chain.pre_proxy or self.upload is not None:
                self._matched(None)
            else:
                self._forward(None)

    def _no_route(self, response: Response) -> None:
        self.error = "no route"
        if hooks := self.chain.route_match:
            self._run(hooks, "gateway_route_match", lambda stop: self._not_matched(stop, response), None)
        else:
            self.answer(response)

    def _not_matched(self, stop: Stop | None, response: Response) -> None:
        if stop is None:
            self.answer(response)
        else:
            self._matched(stop)

    def _take_route(self, route: CompiledRoute) -> None:
        self.route = route
        self.chain = route.chain
        self.request.route = route.info

    def _matched(self, stop: Stop | None) -> None:
        """Take another route if a hook chose one, then decide whether the request may go upstream."""
        if stop is not None and isinstance(stop.result, str):
            other = self.snapshot.routes.get(stop.result)
            if other is None:
                self.fail(500, f"binding {stop.hook.binding.id!r} chose a route that there is not: {stop.result!r}")
                return
            self._take_route(other)
        route, upload = self.route, self.upload
        assert route is not None
        if upload is not None:
            upload.limit = route.max_body_bytes
            if route.max_body_bytes and max(self.memo.facts.content_length, upload.received) > route.max_body_bytes:
                self._refuse_body()
                return
        if hooks := self.chain.pre_proxy:
            self._run(hooks, "gateway_pre_proxy", self._forward)
        else:
            self._forward(None)

    def _forward(self, _: Stop | None) -> None:
        """Send the request upstream, or answer with the route's redirect."""
        route, request = self.route, self.request
        assert route is not None
        if route.redirect is not None:
            self.answer(route.redirect(request))
            return
        upstream = route.upstream or route.pick_upstream(self.proxy.rng)
        if request.upstream is not None:
            chosen = self.snapshot.upstreams.get(request.upstream)
            if chosen is None:
                self.fail(500, f"a plugin chose an upstream that there is not: {request.upstream!r}")
                return
            upstream = chosen
        if request.path is not self.raw_path and (problem := check_path(request.path)) is not None:
            self.fail(500, f"a plugin left a path that is not valid: {problem}")
            return
        if route.mirror is not None:
            self.proxy.mirror(self, route.mirror)
        try:
            self.send(upstream)
        except UnsafePathError as error:
            self.give_up()
            self.fail(400, str(error))

    # -- the request's body

    def feed(self, data: bytes) -> None:
        """Take the next part of the request's body from the lane."""
        upload = self.upload
        if upload is None or self.over:
            return
        if not upload.feed(data):
            self._refuse_body()
        elif self.connection is not None and not self._is_answering:
            self._watch(self.snapshot.limits.body_timeout)

    def feed_end(self) -> None:
        """Take note that the request's body is complete."""
        upload = self.upload
        if upload is not None and not self.over:
            upload.end()
            if self.connection is not None and not self._is_answering:
                self._watch(self._response_timeout())

    async def _read_body(self, limit: int) -> bytes:
        self.send_continue()
        assert self.upload is not None
        return await self.upload.read(limit)

    def _refuse_body(self) -> None:
        self.keep_alive = False
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.give_up()
        if self.head_sent:
            self.aborted, self.error = "gateway", "the request body is over its limit"
            self.lane.break_off(flush=True)
        else:
            self.fail(413, "the request body is over its limit")

    def bad_body(self) -> None:
        """Take note that what comes is not a body: it cannot be told where it ends (RFC 9112 section 6.3)."""
        if self.over:
            return
        self.keep_alive = False
        self.give_up()
        if self.head_sent:
            self.aborted, self.error = "client", "the request body is malformed"
            self.lane.break_off(flush=True)
        else:
            self.fail(400, "the request body is malformed")

    # -- the answer

    def answer(self, response: Response, hooks: tuple[Hook, ...] | None = None) -> None:
        """Give an answer that was made here; the response phase runs, the upstream is not asked."""
        self._is_answering = True
        self.deadline = NEVER
        if self.upload is not None and not self.upload.complete:
            self.keep_alive = False
        self.response = response
        run = self.chain.response if hooks is None else hooks
        outcome = start_response_phase(run, self.request, response) if run else response
        if isinstance(outcome, Suspended):
            self._task = spawn(self._finish_own(outcome), name="response", on_error=self._crashed)
        else:
            self.write_own(outcome)

    async def _finish_own(self, suspended: Suspended[Any]) -> None:
        response = await suspended.finish()
        self._task = None
        if not self.over:
            self.write_own(response)

    def on_answer(self, connection: UpstreamConnection, head: ResponseHead, body: bytes, complete: bool) -> None:
        """Pass an upstream's answer on, or try again if its status says so."""
        upstream, endpoint = self.upstream, self.endpoint
        assert upstream is not None
        assert endpoint is not None
        now = self.proxy.now()
        if complete:
            self.connection = None
        if head.status >= 500 and self._retries_status(connection, head, complete, now):
            return
        self.answered_at = now
        self.head = head
        self.answering_endpoint = endpoint
        self._is_answering = True
        upstream.record(endpoint, head.status, self.picked_at, now)
        if complete:
            self._leave(None)
        else:
            self.watch_answer_body()
        if upstream.sticky is None and not self.chain.response:
            self.relay_head(head, body, complete)
            return
        self._run_response_phase(head, body, complete)

    def _retries_status(self, connection: UpstreamConnection, head: ResponseHead, complete: bool, now: float) -> bool:
        upstream = self.upstream
        assert upstream is not None
        policy = (self.route.retry if self.route is not None else None) or upstream.retries
        if not policy.is_enabled or str(head.status) not in policy.settings.on:
            return False
        delay = self._delay_before_retry(head.status, now)
        if delay is None:
            return False
        self.connection = None
        if not complete:
            connection.abort()
        if self.upload is not None:
            self.upload.disconnect()
        self._note_attempt("answered", now, head.status)
        self._leave(head.status)
        self._start_retry(delay, now)
        return True

    def _run_response_phase(self, head: ResponseHead, body: bytes, complete: bool) -> None:
        response = self.response = self._response_of(head)
        upstream, endpoint = self.upstream, self.endpoint
        if upstream is not None and upstream.sticky is not None and endpoint is not None:
            cookie = upstream.sticky.set_cookie(endpoint, self._sticky_value)
            if cookie is not None:
                response.headers.add("Set-Cookie", cookie)
        outcome = start_response_phase(self.chain.response, self.request, response)
        if isinstance(outcome, Suspended):
            self._held_answer = [body]
            if complete:
                self._held_end = b""
            elif self.connection is not None:
                self.connection.transport.pause_reading()
            self._task = spawn(self._finish_response(outcome, head), name="response", on_error=self._crashed)
        else:
            self._respond(outcome, head, body, complete)

    async def _finish_response(self, suspended: Suspended[Any], head: ResponseHead) -> None:
        response = await suspended.finish()
        self._task = None
        if self.over:
            return
        held, self._held_answer = self._held_answer or [], None
        end, self._held_end = self._held_end, None
        if self.connection is not None and not self.is_client_slow:
            self.connection.transport.resume_reading()
        self._respond(response, head, b"".join(held), False)
        if end is not None and not self.over:
            self.relay_end(end)

    def _respond(self, response: Response, head: ResponseHead, body: bytes, complete: bool) -> None:
        if response.is_streamed:
            self.response = response
            self.relay_response(response, head, body, complete)
        else:
            # A hook replaced the upstream's answer: nobody reads the rest of that one.
            connection, self.connection = self.connection, None
            if connection is not None:
                connection.abort()
                self._leave(None)
            self.write_own(response)

    def _response_of(self, head: ResponseHead) -> Response:
        return Response.streamed(head.status, head.reason, head.block)

    def on_body(self, data: bytes) -> None:
        if self._held_answer is not None:
            self._held_answer.append(data)
            return
        if self.over:
            return
        self.relay_body(data)
        if not self.is_client_slow:
            self.watch_answer_body()

    def on_end(self, trailer: bytes) -> None:
        self.connection = None
        self._leave(None)
        self.deadline = NEVER
        if self._held_answer is not None:
            self._held_end = trailer
        elif not self.over:
            self.relay_end(trailer)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """Join client and upstream after 101 (RFC 9110 section 7.8)."""
        upstream, endpoint = self.upstream, self.endpoint
        assert upstream is not None
        assert endpoint is not None
        self.connection = None
        self.answered_at = self.proxy.now()
        self._is_answering = True
        self.head = head
        self.answering_endpoint = endpoint
        self.deadline = NEVER
        upstream.record(endpoint, head.status, self.picked_at, self.answered_at)
        self.head_sent = True
        self.keep_alive = False
        upgrade = head.upgrade or self.memo.facts.upgrade or b""
        self.transport.write(
            b"".join(
                (
                    status_line(head.status, head.reason),
                    head.block,
                    b"\r\nConnection: Upgrade\r\nUpgrade: ",
                    upgrade,
                    b"\r\n\r\n",
                )
            )
        )
        self.lane.open_tunnel(connection, data)

    @property
    def tunnel_idle_timeout(self) -> float:
        """Seconds without a byte after which a tunnel is closed."""
        return self.route.timeouts.idle if self.route is not None else 60.0

    def tunnel_closed(self, received: int, sent: int) -> None:
        """Take note that the tunnel is over; the lane's connection is gone."""
        self._tunnel_bytes = (received, sent)
        self._leave(None)
        self._finish()

    # -- ends

    def expire(self, now: float) -> None:
        """Act on the deadline that the sweeper found to be over."""
        self.deadline = NEVER
        if self.over:
            return
        upload = self.upload
        if self._is_answering:
            self._expire_answer()
        elif self.memo.facts.expect and not self._continue_sent and self.connection is not None and upload is not None:
            self.send_continue()
            self.watch_upload()
        elif self._is_queued:
            self.give_up()
            self.fail(503, "no connection became free in time", retry_after=1)
        elif upload is not None and not upload.complete and not upload.is_paused and now < self.total_deadline:
            self.give_up()
            self.keep_alive = False
            self.fail(408, "the client did not send its body in time")
        elif self.connection is not None:
            connection = self.connection
            connection.abort()
            self.on_failure(Failure.TIMEOUT, "it did not answer in time")
        else:
            self.give_up()
            self.fail(504, "the request took too long")

    def _expire_answer(self) -> None:
        self.aborted = "client" if self.is_client_slow else "upstream"
        self.error = "the client does not read" if self.is_client_slow else "the answer stalled"
        self.give_up()
        self.lane.break_off(flush=False)

    def client_gone(self) -> None:
        """Take note that the client's connection is lost."""
        if self.over:
            return
        self.aborted = self.aborted or "client"
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if self.upload is not None:
            self.upload.client_gone()
        self.give_up()
        if not self.head_sent:
            self.response = Response(CLIENT_LEFT)
            self.response.reason = "Client Closed Request"
        self.keep_alive = False
        self._finish()

    def _finish(self) -> None:
        """End the exchange: log, let the snapshot go, give the connection back to its lane."""
        self.over = True
        self.deadline = NEVER
        proxy = self.proxy
        proxy.exchanges.discard(self)
        if self._is_retrying and self.upstream is not None:
            self._is_retrying = False
            self.upstream.retry_budget.end()
        head, response = self.head, self.response
        now = self.ended_at = proxy.now()
        status = response.status if response is not None else head.status if head is not None else 0
        proxy.telemetry.count(self.request.route, status, now - self.request.started)
        if hooks := self.chain.log:
            if response is None and head is not None:
                response = self._response_of(head)
            outcome = start_log_phase(hooks, self.request, response or Response(CLIENT_LEFT), self._record(now))
            if isinstance(outcome, Suspended):
                snapshot = self.snapshot
                snapshot.active += 1
                spawn(_finish_log(outcome, snapshot), name="log")
        self.lane.exchange_over(self.keep_alive)
        self.snapshot.release()

    def _record(self, now: float) -> Record:
        record, request = Record(), self.request
        record.duration = now - request.started
        record.started_at = self.proxy.wall() - record.duration
        if self.answered_at:
            record.upstream_duration = self.answered_at - self.first_try_at
        upload = self.upload
        record.bytes_received = upload.received if upload is not None else 0
        record.bytes_sent = self.bytes_sent
        if self._tunnel_bytes is not None:
            record.bytes_received, record.bytes_sent = self._tunnel_bytes
        if self.attempts is not None:
            record.attempts = self.attempts
        head, endpoint = self.head, self.answering_endpoint
        if head is not None and endpoint is not None:
            duration = self.answered_at - self.picked_at
            record.attempts.append(Attempt(endpoint.id, "answered", head.status, duration))
        response = self.response
        if response is None or response.is_streamed:
            record.produced_by = "upstream"
        else:
            record.produced_by = response.produced_by or "gateway"
        record.upstream = self.upstream.name if self.upstream is not None else ""
        record.aborted = self.aborted
        record.error = self.error
        return record


async def _finish_log(suspended: Suspended[Any], snapshot: Snapshot) -> None:
    try:
        await suspended.finish()
    finally:
        snapshot.release()
