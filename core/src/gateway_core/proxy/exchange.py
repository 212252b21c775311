"""One request's way through the gateway: the pipeline that both lanes feed.

Everything happens in calls, not in a task: a request whose hooks are plain functions runs from its head to the bytes on
the upstream's socket in one go, and its answer likewise. Only a hook that must be awaited gets a task.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gateway_core.errors import ClientGoneError, TextTooLongError
from gateway_core.hooks import Hook, Stop, Suspended, reject_result, start_log_phase, start_phase
from gateway_core.messages import Record, Request, Response
from gateway_core.messages.request import set_body_reader
from gateway_core.proxy.answering import Answering
from gateway_core.proxy.gateway_responses import own_answer
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.routing import Match, NotFound, path_problem
from gateway_core.tasks import spawn
from gateway_core.upstreams.outcome import Outcome

if TYPE_CHECKING:
    from gateway_core.snapshot import CompiledRoute, Snapshot

CLIENT_LEFT = 499
"""Status in logs of a request whose client left before there was an answer."""

_OVER_LIMIT = "the request body is over its limit"


class Exchange(Answering):
    """A request in progress, from its head to its log line."""

    __slots__ = ("ended_at",)

    _mirrors_later = False  # whether a copy is to be sent once the body is there

    # -- phases

    def start(self) -> None:
        """Begin; the lane has set ``upload`` if the request has a body."""
        snapshot, exchanges = self.snapshot, self.proxy.exchanges
        snapshot.active += 1
        exchanges.add(self)
        if self.upload is not None:
            set_body_reader(self.request, self._read_body, self.upload.watch)
        most = snapshot.limits.max_requests
        if most and len(exchanges) > most:
            self.fail(503, "limits.max_requests is reached", retry_after=1)
        elif self.memo.refusal is not None:
            self.keep_alive = self.memo.refusal[0] != 400
            self.fail(*self.memo.refusal)
        elif hooks := self.chain.request:
            self.memo.drop_reserved(self.request, self.chain.reserved)
            self._run(hooks, "gateway_request", self._match)
        else:
            self._match(None)

    def _run(self, hooks: tuple[Hook, ...], phase: str, then: Callable[[Stop | None], None], *args: Any) -> None:
        """Run a phase and go on with ``then``, at once or from a task if a hook must be awaited."""
        outcome = start_phase(hooks, self.request, *args)
        if outcome is None:
            then(None)
        elif isinstance(outcome, Suspended):
            self.was_suspended = True
            self.task = spawn(self._finish_phase(outcome, phase, then), name="request", on_error=self.crashed)
        else:
            self._stopped(outcome, phase, then)

    async def _finish_phase(self, suspended: Suspended[Any], phase: str, then: Callable[[Stop | None], None]) -> None:
        try:
            outcome = await suspended.finish()
        except ClientGoneError:
            return
        self.task = None
        if self.over:
            return
        if outcome is None:
            then(None)
        else:
            self._stopped(outcome, phase, then)

    def crashed(self, error: BaseException) -> None:
        """Answer 500: the pipeline itself failed, or over what a plugin left; or break an answer off that has begun."""
        self.proxy.log.error("request %s failed: %r", self.request.request_id, error, exc_info=error)
        if not self.over:
            self.give_up()
            if self.head_sent:
                self.aborted = "gateway"
                self.break_off(flush=False)
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
        found = self.memo.found or self._find(request)
        if found is None:
            return
        route = self.route = found.payload
        request.path_params, request.route = found.params, route.info
        chain = self.chain = route.chain
        if chain.reserved_by_route is not None:
            self.memo.drop_reserved(request, chain.reserved_by_route)
        if chain.route_match:
            self._run(chain.route_match, "gateway_route_match", self._matched, request.route)
        elif self.upload is not None:
            self._matched(None)
        elif chain.pre_proxy:
            self._run(chain.pre_proxy, "gateway_pre_proxy", self._forward)
        else:
            self._forward(None)

    def _find(self, request: Request) -> Match[CompiledRoute] | None:
        """Return the route that takes the request; None if there is none, which is answered then."""
        path, router, fields = request._path, self.snapshot.router, request.header_values  # noqa: SLF001 - no call
        method, host, query, flags = request.method, request.host, request.query_string, request.path_flags
        try:
            found = router.match(method, host, path, query, fields)
            problem = flags and path_problem(router, found, method, host, request.raw_path, flags, query, fields)
        except TextTooLongError as error:
            self.fail(error.status, str(error))
            return None
        if isinstance(found, Match):
            if problem:
                self._take_route(found.payload)  # for the log
                self.fail(400, problem)
                return None
            if not self.chain.request:
                # Nobody could have changed anything: the same head leads to the same route.
                found.params = found.params and MappingProxyType(found.params)  # the next request may get it too
                self.memo.found = found
            return found
        self._no_route(own_answer(404) if isinstance(found, NotFound) else own_answer(405, allow=found.allow))
        return None

    def _no_route(self, response: Response) -> None:
        self.error = "no route"
        if hooks := self.chain.route_match:
            self._run(
                hooks, "gateway_route_match", lambda stop: self._matched(stop) if stop else self.answer(response), None
            )
        else:
            self.answer(response)

    def _take_route(self, route: CompiledRoute) -> None:
        self.route, self.request.route, self.chain = route, route.info, route.chain
        if route.chain.reserved_by_route is not None:
            self.memo.drop_reserved(self.request, route.chain.reserved_by_route)

    def _matched(self, stop: Stop | None) -> None:
        """Take another route if a hook chose one, then decide whether the request may go upstream."""
        if stop is not None and isinstance(stop.result, str):
            other = self.snapshot.routes.get(stop.result)
            if other is not None:
                self._take_route(other)
                if (problem := other.take_over(self.request)) is not None:
                    self.fail(400, problem)
                    return
            elif (verdict := reject_result(stop, self.request, f"there is no route {stop.result!r}")) is not None:
                self._stopped(verdict, "gateway_route_match", self._matched)
                return
        route, upload = self.route, self.upload
        if route is None:
            self.answer(own_answer(404))
            return
        if upload is not None:
            upload.limit = route.max_body_bytes
            if route.max_body_bytes and max(self.memo.facts.content_length, upload.received) > route.max_body_bytes:
                self._end_upload(413, _OVER_LIMIT, "gateway")
                return
        if hooks := self.chain.pre_proxy:
            self._run(hooks, "gateway_pre_proxy", self._forward)
        else:
            self._forward(None)

    def _forward(self, _: Stop | None) -> None:
        """Send the request upstream, or answer with the route's redirect."""
        route, request = self.route, self.request
        assert route is not None
        if route.is_straight and request.upstream is None and not request.path_was_set:
            assert route.upstream is not None
            self.send(route.upstream, route)
            return
        if request.path_flags and (problem := route.path_policy.problem(request.path_flags)) is not None:
            self.fail(400, problem)
            return
        if route.redirect is not None:
            self.answer(route.redirect(request))
            return
        upstream = route.upstream or route.pick_target(request, self.proxy.now()).upstream
        if request.upstream is not None:
            chosen = self.snapshot.upstreams.get(request.upstream)
            if chosen is None:
                self.fail(500, f"a plugin chose an upstream that there is not: {request.upstream!r}")
                return
            upstream = chosen
        if route.mirror is not None:
            if self.upload is None or self.upload.complete:
                self.proxy.mirror(self, route.mirror)
            else:
                self._mirrors_later = True
        self.send(upstream, route)

    # -- the request's body

    def feed(self, data: bytes) -> None:
        """Take the next part of the request's body from the lane."""
        upload = self.upload
        if upload is None or self.over:
            return
        if not upload.feed(data):
            self._end_upload(413, _OVER_LIMIT, "gateway")
        elif (self.connection is not None and not self.is_answering) or upload.is_being_read:
            self._watch(self.snapshot.limits.body_timeout)

    def feed_end(self) -> None:
        """Take note that the request's body is complete."""
        upload = self.upload
        if upload is not None and not self.over:
            upload.end()
            if self._mirrors_later and self.route is not None and self.route.mirror is not None:
                self.proxy.mirror(self, self.route.mirror)
            if self.connection is not None and not self.is_answering:
                self._watch(self._response_timeout())

    async def _read_body(self, limit: int) -> bytes:
        upload = self.upload
        assert upload is not None
        self.send_continue()
        if not upload.complete:
            self._watch(self.snapshot.limits.body_timeout)
        try:
            return await upload.read(limit)
        finally:
            if not self.over and not self.is_answering:
                self.deadline = NEVER

    def _drop_task(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.task = None

    def _end_upload(self, status: int, reason: str, by: str) -> None:
        """Take no more of the request's body, and respond with a status if that is still possible."""
        if self.over:
            return
        self.keep_alive = False
        self._drop_task()
        self.give_up()
        if self.head_sent:
            self.aborted, self.error = by, reason
            self.break_off(flush=True)
        else:
            self.fail(status, reason)

    def bad_body(self) -> None:
        """End a request whose body is malformed: its end is unknown (RFC 9112 section 6.3)."""
        self._end_upload(400, "the request body is malformed", "client")

    @property
    def waits_for_body(self) -> bool:
        """Whether the client could send more of its body now."""
        upload, asked = self.upload, not self.memo.facts.expect or self._continue_sent
        return asked and upload is not None and not upload.complete and not upload.is_paused

    def body_too_slow(self) -> None:
        """End a request whose body comes at less than ``limits.min_rate``."""
        self._end_upload(408, "the client sends its body too slowly", "client")

    # -- ends

    def expire(self, now: float) -> None:
        """Act on the deadline that the sweeper found to be over."""
        self.deadline = NEVER
        if self.over:
            return
        upload = self.upload
        if self.is_answering:
            self._expire_answer()
        elif self.memo.facts.expect and not self._continue_sent and self.connection is not None and upload is not None:
            self.send_continue()
            self.watch_upload()
        elif self._is_queued:
            self.give_up()
            self.fail(503, "no connection became free in time", retry_after=1)
        elif upload is not None and not upload.complete and not upload.is_paused and now < self.total_deadline:
            self._end_upload(408, "the client did not send its body in time", "client")
        elif self.connection is not None:
            self.connection.abort()
            self.on_failure(Failure.TIMEOUT, "it did not answer in time")
        else:
            self.give_up()
            self.fail(504, "the request took too long")

    def _expire_answer(self) -> None:
        if not self.head_sent:
            self._drop_task()
            self.give_up()
            self.keep_alive = False
            self.error = "the request took too long"
            self.write_own(own_answer(504))
            return
        self.aborted = "client" if self.is_client_slow else "upstream"
        self.error = "the client does not read" if self.is_client_slow else "the answer stalled"
        if not self.is_client_slow:
            self._unrecorded = Outcome.TIMEOUT
        self.give_up()
        self.break_off(flush=False)

    def client_gone(self) -> None:
        """Take note that the client's connection is lost."""
        if self.over:
            return
        self.aborted = self.aborted or "client"
        self._drop_task()
        if self.upload is not None:
            self.upload.client_gone()
        self.give_up()
        if not self.head_sent:
            self.response = Response(CLIENT_LEFT)
            self.response.reason = "Client Closed Request"
        self.keep_alive = False
        self._finish()

    def _finish(self, now: float | None = None) -> None:
        """End the exchange: log, let the snapshot go, give the connection back to its lane.

        :param now: monotonic seconds, if somebody has just looked.
        """
        self.over = True
        self.deadline = NEVER
        proxy, snapshot, request = self.proxy, self.snapshot, self.request
        proxy.exchanges.discard(self)
        if self._is_retrying and self.upstream is not None:
            self._is_retrying = False
            self.upstream.retry_budget.end()
        if now is None:
            now = proxy.now()
        self.ended_at = now
        head, response = self.head, self.response
        status = response.status if response is not None else head.status if head is not None else 0
        proxy.telemetry.count(request.route, status, now - request.started)
        if hooks := self.chain.log:
            if response is None and head is not None:
                response = Response.streamed(head.status, head.reason, head.block)
            outcome = start_log_phase(hooks, request, response or Response(CLIENT_LEFT), self._record(now))
            if isinstance(outcome, Suspended):
                snapshot.active += 1
                spawn(_finish_log(outcome, snapshot), name="log")
        self.lane.exchange_over(self.keep_alive)
        snapshot.release()

    def _record(self, now: float) -> Record:
        head, endpoint, response, upload = self.head, self.endpoint, self.response, self.upload
        answered = None
        if head is not None and endpoint is not None:
            answered = (endpoint, head.status, self.answered_at - self.picked_at)
        record = Record(self.attempts or (), answered)
        record.duration = now - self.request.started
        record.started_at = self.proxy.wall() - record.duration
        if self.answered_at:
            record.upstream_duration = self.answered_at - (self.first_try_at or self.picked_at)
        if upload is not None:
            record.bytes_received = upload.received
        record.bytes_sent = self.bytes_sent
        if self._tunnel_bytes is not None:
            record.bytes_received, record.bytes_sent = self._tunnel_bytes
        if response is None or response.is_streamed:
            record.produced_by = "upstream"
        elif response.produced_by:
            record.produced_by = response.produced_by
        if self.upstream is not None:
            record.upstream = self.upstream.name
        if self.error is not None:
            record.error = self.error
        if self.aborted is not None:
            record.aborted = self.aborted
        return record


async def _finish_log(suspended: Suspended[Any], snapshot: Snapshot) -> None:
    try:
        await suspended.finish()
    finally:
        snapshot.release()
