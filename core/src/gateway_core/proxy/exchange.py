"""One request of a client, from its head to its log line: the phases, and the ends.

The connection makes an exchange for each request and calls it: `start` or `refuse`, then `pause_response`,
`resume_response` and `client_gone`; its body reports by `body_progress`, `body_ended` and `body_failed`. The exchange
responds through its `ResponseWriter`; a `Relay` sends the request upstream and passes the response on. The phases follow each other by calls, not in a task:

    request hooks -> match -> route-match hooks -> pre-proxy hooks -> upstream -> response hooks -> relay -> log hooks

A request whose hooks are plain functions runs from its head to the bytes on the upstream's socket in one go, and its
response likewise. Only a hook that must be awaited takes a task (`HookRunner`).

**The end** is `_finish`, once: the response is complete (`ResponseWriter.finish`), cut off (`ResponseWriter.cut`), or
the client is gone.

**The snapshot** is pinned until the response's head is written. A stream or a tunnel that goes on on a snapshot that is
no longer in force keeps its chain alive by a `ChainLease`, and lets go of the snapshot.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Protocol

from gateway_core.config import LimitsConfig
from gateway_core.hooks import Chain, Hook, start_log_phase, start_response_phase
from gateway_core.messages import Request, Response
from gateway_core.messages.request import set_body_reader
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.exchange_record import CLIENT_LEFT, make_record
from gateway_core.proxy.gateway_responses import gateway_response, with_request_id
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.inbound_head import InboundHead
from gateway_core.proxy.mirror import MAX_MIRRORED, send_copies
from gateway_core.proxy.relay import Relay
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.request_phases import RequestPhases
from gateway_core.proxy.response_fields import BODILESS, own_block
from gateway_core.proxy.response_phase import filtered
from gateway_core.proxy.response_writer import ResponseWriter
from gateway_core.proxy.route_matching import RouteRefusal, Unmatched, find_route
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.telemetry import Telemetry
from gateway_core.proxy.tunnel import Tunnel, TunnelEnd
from gateway_core.proxy.upstream.directory import UpstreamDirectory
from gateway_core.routing import Match, MethodNotAllowed
from gateway_core.snapshot import ChainLease, CompiledRoute, Snapshot, SnapshotHolder
from gateway_core.upstreams.upstream import Upstream


class ExchangeHost(Protocol):
    """What exchanges use of the process's `Proxy`."""

    now: Callable[[], float]
    wall: Callable[[], float]
    rng: Random
    log: logging.Logger
    holder: SnapshotHolder
    telemetry: Telemetry
    upstreams: UpstreamDirectory
    exchanges: set[Exchange]
    tunnels: set[Tunnel]
    keeps_alive: bool

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""


class Exchange:
    """A request in progress, from its head to its log line."""

    __slots__ = (
        "__dict__",
        "_relay",
        "_response",
        "_target",
        "body",
        "chain",
        "client",
        "deadline",
        "head",
        "id_line",
        "is_over",
        "proxy",
        "request",
        "route",
        "snapshot",
        "writer",
    )

    # What few exchanges set has its default here and a place in the dictionary when it is set: making one is cheaper.
    aborted: str | None = None
    """Who ended a response that is not complete: ``client``, ``upstream`` or ``gateway``."""
    reason: str | None = None
    """Why the gateway responded itself, or cut the response off: a code of `gateway_core.reasons`."""
    error: str | None = None
    """The same in words; for logs, never for clients."""
    _hooks: HookRunner | None = None
    _phases: RequestPhases | None = None
    _copies_later = False
    _total_deadline = NEVER
    _tunnel_bytes: tuple[int, int] | None = None
    _lease: ChainLease | None = None

    def __init__(
        self,
        proxy: ExchangeHost,
        writer: ResponseWriter,
        snapshot: Snapshot,
        head: InboundHead,
        request: Request,
        client: Client,
    ) -> None:
        self.proxy = proxy
        self.writer = writer
        self.snapshot = snapshot
        self.head = head
        self.request = request
        self.client = client
        self.chain: Chain = snapshot.global_chain
        self.route: CompiledRoute | None = None
        self.body: RequestBody | None = None
        self.id_line = f"\r\nX-Request-Id: {request.request_id}\r\n\r\n".encode("latin-1")
        """The field that ends a head in both directions, and the empty line behind it."""
        self.deadline = NEVER
        self.is_over = False
        self._target: Upstream | None = None  # of the route, or the one of its targets that was chosen
        self._relay: Relay | None = None
        self._response: Response | None = None  # one that was made here

    # -- the phases before the upstream

    def start(self, body: RequestBody | None = None) -> None:
        """Begin with the request phase."""
        proxy, snapshot = self.proxy, self.snapshot
        snapshot.active += 1
        proxy.exchanges.add(self)
        if body is not None:
            self.body = body
            set_body_reader(self.request, self._read_body, body.watch)
        limit = snapshot.limits.max_requests
        if limit and len(proxy.exchanges) > limit:
            self._refuse(gateway_response(503, retry_after=1), "limits.max-requests", "limits.max_requests is reached")
        elif self.head.refusal is not None:
            status, reason, detail = self.head.refusal
            self._refuse(gateway_response(status), reason, detail)
        elif self.chain.request:
            self.head.drop_reserved(self.request, self.chain.reserved)
            self._request_phases().run_request()
        else:
            self.match()

    def refuse(
        self, status: int, reason: str, detail: str, *, allow: tuple[str, ...] = (), close: bool = True
    ) -> None:
        """Begin with the response: the head is refused, or answered, before there is anything for hooks to decide on.

        :param reason: a code of `gateway_core.reasons`.
        :param detail: for logs.
        :param allow: methods, for the field Allow.
        :param close: whether it is the connection's last response.
        """
        self.snapshot.active += 1
        self.proxy.exchanges.add(self)
        if close:
            self.writer.keep_alive = False
        self._refuse(gateway_response(status, allow=allow), reason, detail)

    def _refuse(self, response: Response, reason: str, detail: str) -> None:
        if response.status == 400:
            self.writer.keep_alive = False
        # No binding was entered: only those that ask for all responses see this one.
        hooks = tuple([hook for hook in self.chain.response if hook.binding.instance.responses == "all"])
        self._respond_for_gateway(response, reason, detail, hooks)

    def _runner(self) -> HookRunner:
        runner = self._hooks
        if runner is None:
            runner = self._hooks = HookRunner(self.crashed)
        return runner

    def _request_phases(self) -> RequestPhases:
        phases = self._phases
        if phases is None:
            phases = self._phases = RequestPhases(self, self._runner())
        return phases

    def match(self) -> None:
        """Find the route."""
        request = self.request
        found = self.head.match or find_route(self.snapshot, request)
        if isinstance(found, Match):
            request.path_params = found.params
            self.take_route(found.payload)
            if hooks := self.chain.route_match:
                self._request_phases().run_route_match(hooks, None)
            else:
                self.routed()
        elif isinstance(found, RouteRefusal):
            if found.route is not None:
                self.take_route(found.route)
            self.fail(found.status, found.reason, found.detail)
        elif hooks := self.chain.route_match:
            self._request_phases().run_route_match(hooks, found)
        else:
            self.no_route(found)

    def take_route(self, route: CompiledRoute) -> None:
        """Go on with a route and its chain."""
        chain = self.chain = route.chain
        self.route, self.request.route = route, route.info
        if chain.reserved_by_route is not None:
            self.head.drop_reserved(self.request, chain.reserved_by_route)

    def no_route(self, found: Unmatched) -> None:
        """Respond that there is no route."""
        if isinstance(found, MethodNotAllowed):
            response = gateway_response(405, allow=found.allow)
            self._respond_for_gateway(response, "method-not-allowed", "no route takes the method", self.chain.response)
        else:
            self.fail(404, "no-route", "no route")

    def routed(self) -> None:
        """Choose the target, and run the pre-proxy phase."""
        route, body, request = self.route, self.body, self.request
        assert route is not None
        if body is not None:
            limit = body.limit = route.max_body_bytes
            if limit and max(self.head.facts.content_length, body.received) > limit:
                self.body_failed(413, "body-too-large", "the request body is over its limit")
                return
        if route.redirect is None:
            self._target = route.upstream or route.pick_upstream(self.proxy.rng)
            if request.upstream is None and (route.upstream is None or self.chain.pre_proxy):
                request.upstream = self._target.name
        if self.chain.pre_proxy:
            self._request_phases().run_pre_proxy()
        else:
            self.forward()

    def forward(self) -> None:
        """Send the request upstream, or respond with the route's redirect."""
        route, request, upstream, body = self.route, self.request, self._target, self.body
        assert route is not None
        if request.path_flags and (problem := route.path_policy.problem(request.path_flags)) is not None:
            self.fail(400, "path-refused", problem)
            return
        if route.redirect is not None:
            self.respond_with(route.redirect(request))
            return
        assert upstream is not None
        if request.upstream is not None and request.upstream != upstream.name:
            chosen = self.snapshot.upstreams.get(request.upstream)
            if chosen is None:
                detail = f"a plugin chose an upstream that is not configured: {request.upstream!r}"
                self.fail(500, "upstream.unknown", detail)
                return
            upstream = chosen
        if route.timeouts.total:
            self._total_deadline = request.started + route.timeouts.total
        if body is not None:
            policy = route.retry or upstream.retries
            keeps = policy.keeps_body(self.head.facts.content_length)
            body.keep_limit = policy.settings.max_body_bytes if keeps else 0
        if route.mirrors:
            self._copy(route)
        relay = self._relay = Relay(self, self.proxy.upstreams, route, upstream, self._total_deadline)
        # Without a hook that was awaited, no time worth asking for has passed since the head was read.
        is_late = self._hooks is not None and self._hooks.was_suspended
        relay.upstream_request.start(self.proxy.now() if is_late else request.started)

    def _copy(self, route: CompiledRoute) -> None:
        """Send copies to the route's mirrors, once the body is complete."""
        body = self.body
        if body is not None:
            body.keep_limit = max(body.keep_limit, MAX_MIRRORED)
            if not body.is_complete:
                self._copies_later = True
                return
        send_copies(route, self.request, self.head, body, self.id_line, self.proxy.upstreams)

    # -- the request's body

    async def _read_body(self, limit: int) -> bytes:
        body = self.body
        assert body is not None
        if self.head.facts.expect:
            self.writer.send_continue()
        if not body.is_complete:
            self.watch(self.limits.body_timeout)
        try:
            return await body.read(limit)
        finally:
            if not self.is_over and not self._is_responding:
                self.deadline = NEVER

    def body_progress(self) -> None:
        """Called when a piece of the request's body came."""
        body, relay = self.body, self._relay
        if relay is not None:
            relay.body_progress()
        elif body is not None and body.is_being_read:
            self.watch(self.limits.body_timeout)

    def body_ended(self) -> None:
        """Called when the request's body is complete."""
        if self._copies_later and self.route is not None:
            self._copies_later = False
            self._copy(self.route)
        if self._relay is not None:
            self._relay.body_ended()

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        """Take no more of the request's body, and respond with a status if that is still possible."""
        if self.is_over:
            return
        self.writer.keep_alive = False
        self._stop()
        if self.writer.head_sent:
            self.break_off("gateway" if status == 413 else "client", reason, detail)
        else:
            self.fail(status, reason, detail)

    @property
    def waits_for_body(self) -> bool:
        """Whether the client could send more of its body now."""
        body, relay = self.body, self._relay
        if body is None or body.is_complete or body.is_paused:
            return False
        return relay is None or not relay.expects_continue

    # -- responses

    @property
    def limits(self) -> LimitsConfig:
        """The limits of the snapshot in force."""
        return self.proxy.limits

    @property
    def _is_responding(self) -> bool:
        return self._response is not None or (self._relay is not None and self._relay.response_head is not None)

    def fail(self, status: int, reason: str, detail: str, retry_after: float | None = None) -> None:
        """Respond for the gateway, for a reason that only logs get to know."""
        response = gateway_response(status, retry_after=retry_after)
        self._respond_for_gateway(response, reason, detail, self.chain.response)

    def _respond_for_gateway(self, response: Response, reason: str, detail: str, hooks: tuple[Hook, ...]) -> None:
        self.reason, self.error = reason, detail
        response.failure = reason
        self.respond_with(response, hooks)

    def plugin_failed(self, reason: str, detail: str) -> None:
        """Record why a hook did not decide."""
        self.reason, self.error = reason, detail

    def respond_with(self, response: Response, hooks: tuple[Hook, ...] | None = None) -> None:
        """Give a response that was made here, through the response phase.

        :param hooks: those to run; None for all of the chain.
        """
        self.deadline = NEVER
        self._response = response
        hooks = self.chain.response if hooks is None else hooks
        if hooks:
            self._runner().run(self.write_response, start_response_phase, hooks, self.request, response)
        else:
            self.write_response(response)

    def run_response_hooks(self, response: Response, then: Callable[[Response], None]) -> None:
        """Run the response phase over an upstream's response."""
        if hooks := self.chain.response:
            self._runner().run(then, start_response_phase, hooks, self.request, response)
        else:
            then(response)

    def write_response(self, response: Response) -> None:
        """Write a response that was made here, whole."""
        if response is not self._response:
            failed = "plugin.failed" if response.produced_by == "gateway" else None
            self.reason = response.failure or failed or self.reason
        self._response = response
        body = b"" if response.status in BODILESS else with_request_id(response, self.request.request_id)
        if response.filters:
            body = filtered(response, body, True)
        self.response_begins()
        length = None if response.status in BODILESS else len(body)
        self.writer.start(response.status, response.reason, own_block(response), length, self.id_line, body, True)
        self.finish(self.proxy.now())

    def response_begins(self) -> None:
        """Decide whether the connection may be used again: not if the request's body is still to come."""
        if not self.proxy.keeps_alive or (self.body is not None and not self.body.is_complete):
            self.writer.keep_alive = False

    def head_written(self) -> None:
        """Let go of a snapshot that is not in force any more: the rest of the response may take hours."""
        if self.snapshot is not self.proxy.holder.current:
            self.snapshot_replaced()

    def snapshot_replaced(self) -> None:
        """Called when another snapshot is in force: what goes on after its head keeps its chain alone."""
        if not self.writer.head_sent or self.is_over:
            return
        snapshot, self.snapshot = self.snapshot, self.proxy.holder.current
        if self._lease is None:
            self._lease = ChainLease(self.chain)
            snapshot.release()

    def pause_response(self) -> None:
        """Called when the client does not keep up."""
        if self._relay is not None:
            self._relay.pause()
            self.watch(self.limits.write_timeout)

    def resume_response(self) -> None:
        """Called when the client takes more."""
        if self._relay is not None:
            self._relay.resume()

    def open_tunnel(self, client: TunnelEnd, upstream: TunnelEnd) -> None:
        """Join both byte streams after 101; the exchange ends with the tunnel."""
        proxy, route = self.proxy, self.route
        idle_timeout = 0.0 if route is None else route.timeouts.idle
        tunnel = Tunnel(client, upstream, idle_timeout=idle_timeout, now=proxy.now, on_closed=self._tunnel_closed)
        proxy.tunnels.add(tunnel)
        self.head_written()

    def _tunnel_closed(self, tunnel: Tunnel, received: int, sent: int) -> None:
        self.proxy.tunnels.discard(tunnel)
        self._tunnel_bytes = received, sent
        self._stop()
        self.finish(self.proxy.now())

    # -- deadlines

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds, 0 is never; or when the whole request has to be over."""
        if not self.is_over:
            deadline = self.proxy.now() + seconds if seconds else NEVER
            self.deadline = min(self._total_deadline, deadline)

    def watch_until(self, when: float) -> None:
        """Expire at a time of the monotonic clock, or when the whole request has to be over."""
        self.deadline = min(self._total_deadline, when)

    def expire(self, now: float) -> None:
        """Act on the deadline, which is over."""
        self.deadline = NEVER
        body, relay = self.body, self._relay
        if self.is_over:
            return
        if self._is_responding:
            self._expire_response()
        elif relay is not None and relay.send_continue():
            relay.on_sent(now)
        elif (
            body is not None
            and not body.is_complete
            and not body.is_paused
            and now < self._total_deadline
            and not (relay is not None and relay.upstream_request.is_queued)
        ):
            self.body_failed(408, "body-too-slow", "the client did not send its body in time")
        elif relay is not None:
            relay.upstream_request.expire()
        else:
            self.fail(504, "request-timeout", "the request took too long")

    def _expire_response(self) -> None:
        relay, is_client_slow = self._relay, self.writer.is_paused
        if relay is not None:
            relay.give_up(timed_out=self.writer.head_sent and not is_client_slow)
        if not self.writer.head_sent:
            self._stop()
            self.writer.keep_alive = False
            self.reason, self.error = "request-timeout", "the request took too long"
            self.write_response(gateway_response(504))
        elif is_client_slow:
            self.break_off("client", "client-too-slow", "the client does not read", flush=False)
        else:
            self.break_off("upstream", "upstream.timeout", "the response stalled", flush=False)

    # -- ends

    def crashed(self, error: BaseException) -> None:
        """Respond 500: the pipeline itself failed, or over what a plugin left; or cut off a response that has begun."""
        self.proxy.log.error("request %s failed: %r", self.request.request_id, error, exc_info=error)
        if self.is_over:
            return
        self._stop()
        if self.writer.head_sent:
            self.break_off("gateway", "internal", repr(error), flush=False)
            return
        self.writer.keep_alive = False
        self.reason, self.error = "internal", repr(error)
        self._response = None
        self.write_response(gateway_response(500))

    def _stop(self) -> None:
        """Stop whatever is under way: a phase, the upstream."""
        if self._hooks is not None:
            self._hooks.cancel()
        if self._relay is not None:
            self._relay.give_up()

    def client_gone(self, detail: str = "") -> None:
        """Called when the client's connection is lost.

        :param detail: for logs, if the gateway has closed it.
        """
        if self.is_over:
            return
        if detail:
            self.error = detail
        self.aborted, self.reason = self.aborted or "client", self.reason or "client-left"
        self._stop()
        if self.body is not None:
            self.body.client_gone()
        if not self.writer.head_sent:
            self._response = Response(CLIENT_LEFT)
            self._response.reason = "Client Closed Request"
        self.finish(self.proxy.now(), is_complete=False)

    def break_off(self, by: str, reason: str, detail: str, *, flush: bool = True) -> None:
        """Cut off the response, whose head is written, so that the client sees it.

        :param by: ``client``, ``upstream`` or ``gateway``.
        :param flush: whether what is written already is sent first.
        """
        self.aborted, self.reason, self.error = by, reason, detail
        self.writer.cut(flush=flush)
        self.finish(self.proxy.now(), is_complete=False)

    def finish(self, now: float, *, is_complete: bool = True) -> None:
        """Run the log phase, give the connection back, and let go of the snapshot.

        :param now: monotonic seconds.
        :param is_complete: whether the response is; otherwise the connection is being closed already.
        """
        self.is_over = True
        self.deadline = NEVER
        proxy, relay, response, status = self.proxy, self._relay, self._response, 0
        proxy.exchanges.discard(self)
        if response is None and relay is not None:
            response = None if relay.phase is None else relay.phase.response
        if response is not None:
            status = response.status
        elif relay is not None and relay.response_head is not None:
            status = relay.response_head.status
        proxy.telemetry.count(self.request.route, status, now - self.request.started)
        if hooks := self.chain.log:
            self._log(hooks, response, now)
        else:
            self._release()
        if relay is not None:
            # Without cycles of references, all that belonged to the request is freed now, and not by the collector.
            self._relay = None
            relay.upstream_request.clear()
        self.body = None
        if self._hooks is not None:
            self._hooks = None
        if is_complete:
            self.writer.finish(now)

    def _log(self, hooks: tuple[Hook, ...], response: Response | None, now: float) -> None:
        relay, request, body = self._relay, self.request, self.body
        call, head = (None, None) if relay is None else (relay.upstream_request, relay.response_head)
        if response is None:
            response = (
                Response(CLIENT_LEFT) if head is None else Response.streamed(head.status, head.reason, head.block)
            )
        record = make_record(call, head, response, now - request.started)
        record.started_at = self.proxy.wall() - record.duration
        record.bytes_sent = self.writer.bytes_sent
        if body is not None:
            record.bytes_received = body.received
        if self._tunnel_bytes is not None:
            record.bytes_received, record.bytes_sent = self._tunnel_bytes
        record.aborted, record.reason, record.error = self.aborted, self.reason, self.error
        self._runner().run_last(self._release, start_log_phase, hooks, request, response, record)

    def _release(self) -> None:
        if self._lease is not None:
            self._lease.release()
        else:
            self.snapshot.release()
