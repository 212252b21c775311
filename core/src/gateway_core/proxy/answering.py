"""The answers of an exchange: an upstream's or one made here, through the response phase and on to the client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gateway_core.errors import ClientGoneError
from gateway_core.hooks import Hook, Suspended, start_response_phase
from gateway_core.messages import Response
from gateway_core.proxy.answer_head import status_line
from gateway_core.proxy.retrying import Retrying
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.upstream.connection import UpstreamConnection
from gateway_core.proxy.upstream.response_handler import Failure
from gateway_core.proxy.wire.fields import list_members
from gateway_core.tasks import spawn

if TYPE_CHECKING:
    from gateway_core.proxy.wire.response_head import ResponseHead
    from gateway_core.upstreams.endpoint import Endpoint
    from gateway_core.upstreams.upstream import Upstream


class Answering(Retrying):
    """Runs the response phase over an answer and relays it."""

    __slots__ = ()

    task: asyncio.Task[None] | None = None
    """What runs a phase that must be awaited."""
    _held_answer: list[bytes] | None = None
    _held_end: bytes | None = None
    _tunnel_bytes: tuple[int, int] | None = None

    def answer(self, response: Response, hooks: tuple[Hook, ...] | None = None) -> None:
        """Give an answer that was made here; the response phase runs, the upstream is not asked."""
        self.is_answering = True
        self.deadline = NEVER
        if self.upload is not None and not self.upload.complete:
            self.keep_alive = False
        self.response = response
        run = self.chain.response if hooks is None else hooks
        outcome = start_response_phase(run, self.request, response) if run else response
        if isinstance(outcome, Suspended):
            self.task = spawn(self._finish_own(outcome), name="response", on_error=self.crashed)
        else:
            self.write_own(outcome)

    async def _finish_own(self, suspended: Suspended[Any]) -> None:
        try:
            response = await suspended.finish()
        except ClientGoneError:
            return
        self.task = None
        if not self.over:
            self.write_own(response)

    def on_answer(self, connection: UpstreamConnection, head: ResponseHead, body: bytes, complete: bool) -> None:
        """Pass an upstream's answer on, or try again if its status says so."""
        upstream, endpoint, upload, status = self.upstream, self.endpoint, self.upload, head.status
        assert upstream is not None
        assert endpoint is not None
        now = self.proxy.now()
        if complete:
            self.connection = None
            if upload is not None:
                upload.disconnect()
        if status >= 500 and self.retries_status(connection, head, complete, now):
            return
        self.answered_at = now
        self.head = head
        self.is_answering = True
        if complete:
            upstream.record(endpoint, status, self.picked_at, now)
            self._count_out(upstream, endpoint)
        else:
            if endpoint.is_guarded:
                # Its breaker waits for this one answer, whose body may take hours.
                upstream.record(endpoint, status, self.picked_at, now)
            else:
                self._unrecorded = status
            self.watch_answer_body()
        if self.chain.response or upstream.sticky is not None:
            self._run_response_phase(head, body, complete, upstream, endpoint)
        else:
            self.relay_head(head, body, complete)

    def _run_response_phase(
        self, head: ResponseHead, body: bytes, complete: bool, upstream: Upstream, endpoint: Endpoint
    ) -> None:
        """Run the hooks over an upstream's answer, and pass on what they leave."""
        try:
            self._run_response_hooks(head, body, complete, upstream, endpoint)
        except Exception as error:  # noqa: BLE001 - hooks may leave anything, and the connection is not to blame for it
            self.crashed(error)

    def _run_response_hooks(
        self, head: ResponseHead, body: bytes, complete: bool, upstream: Upstream, endpoint: Endpoint
    ) -> None:
        response = self.response = Response.streamed(head.status, head.reason, head.block)
        if upstream.sticky is not None:
            cookie = upstream.sticky.set_cookie(endpoint, self._sticky_value)
            if cookie is not None:
                response.headers.add("Set-Cookie", cookie)
        outcome = start_response_phase(self.chain.response, self.request, response)
        if outcome is response:
            self.relay_response(response, head, body, complete)
        elif isinstance(outcome, Suspended):
            self._held_answer = [body]
            if complete:
                self._held_end = b""
            elif self.connection is not None:
                self.connection.pause_reading()
            self.deadline = self.total_deadline  # it is the hook that takes its time now, not the upstream
            self.task = spawn(self._finish_response(outcome, head), name="response", on_error=self.crashed)
        else:
            self._respond(outcome, head, body, complete)

    async def _finish_response(self, suspended: Suspended[Any], head: ResponseHead) -> None:
        try:
            response = await suspended.finish()
        except ClientGoneError:
            return
        self.task = None
        if self.over:
            return
        held, self._held_answer = self._held_answer or [], None
        end, self._held_end = self._held_end, None
        if self.connection is not None and not self.is_client_slow:
            self.watch_answer_body()
            self.connection.resume_reading()
        is_cut_off = self.aborted is not None
        if not response.is_streamed:
            self.aborted = self.error = None
        self._respond(response, head, b"".join(held), False)
        if end is not None and not self.over:
            self.relay_end(end)
        elif is_cut_off and not self.over:
            self.break_off(flush=True)

    def _respond(self, response: Response, head: ResponseHead, body: bytes, complete: bool) -> None:
        if response.is_streamed:
            self.response = response
            self.relay_response(response, head, body, complete)
        else:
            # A hook replaced the upstream's answer: nobody reads the rest of that one.
            connection, self.connection = self.connection, None
            if connection is not None:
                connection.abort()
                self._leave(self._unrecorded)
            self.write_own(response)

    def on_body(self, data: bytes) -> None:
        if self._held_answer is not None:
            self._held_answer.append(data)
            return
        if self.over:
            return
        try:
            self.relay_body(data)
        except Exception as error:  # noqa: BLE001 - a transform failed
            self.crashed(error)
            return
        if not self.is_client_slow:
            self.watch_answer_body()

    def on_end(self, trailer: bytes) -> None:
        self.connection = None
        self._leave(self._unrecorded)
        self.deadline = NEVER
        if self.upload is not None:
            self.upload.disconnect()
        if self._held_answer is not None:
            self._held_end = trailer
        elif not self.over:
            try:
                self.relay_end(trailer)
            except Exception as error:  # noqa: BLE001 - a transform failed
                self.crashed(error)

    def on_switch(self, connection: UpstreamConnection, head: ResponseHead, data: bytes) -> None:
        """Join client and upstream after 101 (RFC 9110 section 7.8)."""
        upstream, endpoint = self.upstream, self.endpoint
        assert upstream is not None
        assert endpoint is not None
        offered = self.memo.facts.upgrade
        if head.upgrade and any(name != offered for name in list_members([head.upgrade])):
            # The client would take the bytes of one protocol for those of another.
            connection.abort()
            self.on_failure(Failure.BAD_ANSWER, "it changes to another protocol than the client offered")
            return
        self.connection = None
        self.answered_at = self.proxy.now()
        self.is_answering = True
        self.head = head
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
