"""One request of a client, from its head to its log line: the phases, and the ends.

Its connection and the request's body call it. A `Relay` sends the request upstream and passes the response on, an
`OwnResponse` was made here; both are written by the `ResponseWriter`. Only a hook that is awaited takes a task:

    request hooks -> match -> route-match hooks -> pre-proxy hooks -> upstream -> response hooks -> relay -> log hooks

**The end** is `finish`, once. **The snapshot** is pinned until the response's head is written; a stream or tunnel that
goes on when another one is in force keeps its chain alive by a `ChainLease`. A request that no hook sees is its head.
"""

from __future__ import annotations

from contextvars import Context

from gateway_core.hooks import NOTHING_PASSED, Chain, Hook
from gateway_core.messages import Request, Response
from gateway_core.messages.request_ids import id_of
from gateway_core.messages.request_lines import request_for_head
from gateway_core.proxy.downstream.client import Client
from gateway_core.proxy.exchange_operations import ExchangeOperations
from gateway_core.proxy.expiry import expire_exchange
from gateway_core.proxy.forward import ForwardedExchange
from gateway_core.proxy.gateway_responses import gateway_response, report_crash
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.own_response import OwnResponse
from gateway_core.proxy.plain_hooks import run_plain_hooks
from gateway_core.proxy.relay import Relay
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.request_end import record_end
from gateway_core.proxy.request_phases import RequestPhases
from gateway_core.proxy.response_stream import ResponseStream, failure_of
from gateway_core.proxy.response_writer import ResponseWriter, cut_off
from gateway_core.proxy.route_lookup import Found, find_first
from gateway_core.proxy.running_exchange import ExchangeHost
from gateway_core.proxy.sweeper import NEVER
from gateway_core.proxy.telemetry import response_of
from gateway_core.proxy.tracing import end_trace, follow_route, share
from gateway_core.proxy.tunnel import Tunnel
from gateway_core.proxy.wire.grpc import timeout_of, total_of
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.routing import Match
from gateway_core.snapshot import ChainLease, CompiledRoute, RouteTarget, Snapshot


class Exchange:
    """A request in progress, from its head to its log line. What few of them set has its default in the class."""

    __slots__ = (
        "__dict__", "_match", "_operations", "_own", "_pin", "_relay", "body", "chain", "client", "context", "deadline",
        "grpc_code", "head", "hooks", "id_line", "is_over", "passed", "phases", "proxy", "reason", "route", "seen",
        "snapshot", "started", "trace", "tunnel_bytes", "writer",
    )  # fmt: skip

    phases: RequestPhases | None
    forwarding: ForwardedExchange | None = None  # if a pre-proxy hook forwards
    sticky_target: RouteTarget | None = None  # that a cookie is to keep the client on
    total_deadline = NEVER
    _stream: ResponseStream | None = None
    tunnel: Tunnel | None = None  # behind a 101
    tunnel_bytes: tuple[int, int] | None  # from the client and to it
    aborted: str | None = None  # who ended a response that is not complete: client, upstream or gateway
    grpc_code: int | None  # of a call of gRPC whose response was made here
    error: str | None = None  # the reason in words; for logs, never for clients

    def __init__(
        self, proxy: ExchangeHost, writer: ResponseWriter, snapshot: Snapshot, head: RequestHead, client: Client,
        now: float,
    ) -> None:  # fmt: skip
        self.proxy, self.writer, self.snapshot = proxy, writer, snapshot  # CPython makes a tuple of more than three
        self._pin: Snapshot | ChainLease = snapshot  # what is kept for the exchange, to be released at its end
        self.started, self.id_line = now, head.origin.id_line or proxy.next_id_line()  # the end of both heads
        self.seen: Request | None = None
        self._match: Match[CompiledRoute] | None = None
        self.body: RequestBody | None = None
        self.chain: Chain = snapshot.global_chain  # until the route is known
        self.route: CompiledRoute | None = None
        self.head, self.is_over, self.deadline = head, False, NEVER
        self.context: Context | None = None  # of the hooks; without one, none has run and nothing can have been changed
        self.hooks: HookRunner | None = None
        self.phases = self.grpc_code = self.tunnel_bytes = None
        self._operations: ExchangeOperations | None = None  # once a hook has asked for something
        self._relay: Relay | None = None  # if the upstream responds
        self._own: OwnResponse | None = None  # if the gateway or a plugin does
        self.client, self.passed, tracer = client, NOTHING_PASSED, snapshot.tracer
        self.trace = None if tracer is None else tracer.begin(head.facts.trace, is_trusted=head.origin.is_trusted)
        self.reason: str | None = None  # why the gateway responded itself, or cut it off (`gateway_core.reasons`)
        snapshot.active += 1
        proxy.exchanges.add(self)

    def start(self, body: RequestBody | None = None) -> None:
        """Begin with the request phase, or by sending the request where nothing but its route is to be decided."""
        snapshot, head, self.body = self.snapshot, self.head, body
        is_admitted = len(self.proxy.exchanges) <= snapshot.max_requests
        found: Found | None = (head.match or find_first(head, self.client, snapshot)) if is_admitted else None
        if isinstance(found, Match) and not head.path_flags:
            route = found.payload
            is_direct = route.is_direct or (route.has_match_hooks and body is None and head.method != "OPTIONS")
            if is_direct and (body is None or body.limit_to(route.max_body_bytes, head.facts.content_length)):
                self.route, self.chain, self._match = route, route.chain, found
                if route.is_transparent and not (snapshot.attempt_hooks or (head.says_timeout and timeout_of(head))):
                    relay = self._relay = Relay(self, route, route.targets[0], body)  # `send` has nothing else to do
                    if relay.attempt.start(self.started):
                        self.deadline = self.started + relay.wait
                        if body is not None and not body.is_complete:
                            relay.on_sent(self.started)
                    return
                if route.sampling is not None:
                    follow_route(self, route.sampling)
                if (early := route.early) is not None and (passed := early.decide(head)) is not None:
                    self.passed = passed
                elif route.has_hooks and (phases := run_plain_hooks(self, route)) is not None:
                    self.phases = phases
                    phases.settle()
                    return
                self.send(route, route.targets[0])
                return
        self.phases = RequestPhases(self)
        self.phases.start(found)

    @property
    def request(self) -> Request:
        """The request as hooks see it, made when the first one does, or something else asks for more than the head."""
        return self.seen or self.make_request()

    def make_request(self) -> Request:
        request = self.seen = request_for_head(self.head, self.id_line, self.started)
        if (match := self._match) is not None:
            request.route, request.matched = match.payload.info, match
        request.trace, request.in_progress = self.trace, self
        if self.passed is not NOTHING_PASSED:
            self.passed.show(request)
        return request

    def take_route(self, route: CompiledRoute, chain: Chain) -> None:
        """Have a route's bindings take part from here on."""
        self.route, self.chain, self.request.route = route, chain, route.info
        if route.sampling is not None:
            follow_route(self, route.sampling)

    def refuse(self, status: int, reason: str, detail: str, *, allow: tuple[str, ...] = ()) -> None:
        """Begin with the response, the connection's last one: there is no request that could be read."""
        self.writer.make_last()
        self.phases = RequestPhases(self)
        self.phases.refuse(status, reason, detail, allow=allow)

    def runner(self) -> HookRunner:
        """Return what runs the hooks, in one context."""
        self.hooks = self.hooks or HookRunner(self.crashed, self.context or self.begin_hooks())
        return self.hooks

    def begin_hooks(self) -> Context:
        """Make the context of the hooks: the first one is about to run."""
        context = self.context = self.snapshot.scope.context.copy()
        if self.trace is not None:
            share(self.trace, context)
        return context

    @property
    def operations(self) -> ExchangeOperations:
        """What hooks can ask of the request; most ask for nothing."""
        self._operations = self._operations or ExchangeOperations(self, is_sent=self._relay is not None)
        return self._operations

    def forward(self) -> ForwardedExchange:
        """Return what forwards the request for a hook."""
        self.forwarding = found = ForwardedExchange(self)
        return found

    def send(self, route: CompiledRoute, target: RouteTarget, sticky_target: RouteTarget | None = None) -> None:
        """Send the request upstream."""
        operations = self._operations
        if sticky_target is not None:
            self.sticky_target = sticky_target
        total = total_of(self.head, route.total) if self.head.version == "2" else route.total
        body = self.body if operations is None else operations.take_body()
        if total:
            self.total_deadline = self.started + total
        relay = self._relay = Relay(self, route, target, body)
        if self.chain.attempt or self.snapshot.attempt_hooks:
            relay.use_hooks(self.chain.attempt + self.snapshot.attempt_hooks.get(target.upstream.name, ()))
        if operations is not None and body is not self.body:
            operations.body.sent_by(relay)
        now = self.started if self.hooks is None and (body is None or not body.is_gathered) else self.proxy.now()
        if route.mirrors:
            relay.send_copies()
        if relay.attempt.start(now):
            self.deadline = now + relay.wait
            if total or (body is not None and not body.is_complete):
                relay.on_sent(now)

    def body_progress(self) -> None:
        """Called when a piece of the request's body came."""
        body, sender = self.body, self._relay or self.forwarding
        if sender is not None:
            sender.body_progress()
        elif body is not None and (body.is_being_read or body.is_gathered):
            self.watch(self.proxy.limits.body_timeout)

    def body_ended(self) -> None:
        """Called when the request's body is complete."""
        if self.trace is not None and self.trace.is_recorded:
            self.trace.received_at = self.proxy.now()
        if (sender := self._relay or self.forwarding) is not None:
            sender.body_ended()
        elif self.phases is not None and not self.is_responding:
            self.phases.body_ended()

    def body_failed(self, status: int, reason: str, detail: str) -> None:
        """Take no more of the request's body, and respond with a status if that is still possible."""
        if self.is_over:
            return
        self.writer.make_last()
        self._stop()
        if self.writer.head_sent:
            self.break_off("gateway" if status == 413 else "client", reason, detail)
        else:
            self.fail(status, reason, detail)

    @property
    def is_responding(self) -> bool:
        """Whether there is a response, written or not."""
        return self._own is not None or (self._relay is not None and self._relay.response_head is not None)

    def fail(self, status: int, reason: str, detail: str, retry_after: float | None = None) -> None:
        """Respond for the gateway, for a reason that only logs get to know."""
        self.note_failure(reason, detail)
        self.respond_with(gateway_response(status, reason, retry_after=retry_after), self.chain.response)

    def note_failure(self, reason: str, detail: str | None, by: str | None = None) -> None:
        """Record why the response is not an upstream's or a plugin's, and who ended it if it is not complete."""
        self.aborted, self.reason, self.error = by or self.aborted, reason or None, detail or None
        self.proxy.limit_events.note(reason, detail, self.request)

    def respond_with(self, response: Response, hooks: tuple[Hook, ...]) -> None:
        """Give a response that was made here, through these hooks of the response phase."""
        self.deadline, self._own = NEVER, OwnResponse(self, response)
        self._own.respond(hooks)

    def stream(self, stream: ResponseStream) -> None:
        """Resume and cancel the stream of a body with its response."""
        self._stream = stream

    def body_broken(self, error: BaseException) -> None:
        """Called when what gives a body failed: filters, an iterator."""
        by, status, reason = failure_of(error)
        self.respond_or_cut(status, reason, repr(error), by, flush=True)

    def written(self, failure: str | None, grpc_code: int | None = None) -> None:
        """Called when a response that was made here is written."""
        self.reason, self.grpc_code = failure or self.reason, grpc_code
        self.finish(self.proxy.now())

    def snapshot_replaced(self) -> None:
        """Keep the chain alone if another snapshot is in force and the head is written: the rest may take hours."""
        snapshot, current = self.snapshot, self.proxy.holder.current
        if current is snapshot or not self.writer.head_sent or self.is_over:
            return
        self.snapshot = current
        if self.trace is not None:
            self.trace.move(current.tracer)
        self.client.forget()
        if self._pin is snapshot:
            self._pin = ChainLease(self.chain)
            snapshot.release()

    def pause_response(self) -> None:
        """Called when the client does not keep up."""
        if self._relay is not None and self._stream is None:
            self._relay.pause()
        self.watch(self.proxy.limits.write_timeout)

    def resume_response(self) -> None:
        """Called when the client takes more."""
        if self._stream is not None:
            self.watch(0)
            self._stream.resume()
        elif self._relay is not None:
            self._relay.resume()

    def tunnel_opened(self, tunnel: Tunnel) -> None:
        """Called when the client is joined with the upstream."""
        self.tunnel = tunnel
        self.snapshot_replaced()

    def tunnel_closed(self, received: int, sent: int) -> None:
        """Called when the tunnel that followed a 101 is closed: the exchange is over."""
        self.tunnel_bytes = received, sent
        self._stop()
        self.finish(self.proxy.now())

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds, 0 is never; or when the whole request has to be over."""
        if not self.is_over:
            self.deadline = min(self.total_deadline, self.proxy.now() + seconds if seconds else NEVER)

    def expire(self, now: float) -> None:
        """Act on the deadline, which is over."""
        self.deadline = NEVER
        expire_exchange(self, self._relay, now)

    def crashed(self, error: BaseException) -> None:
        """Respond 500: the pipeline itself failed, or over what a plugin left; or cut off a response that has begun."""
        report_crash("request", id_of(self.id_line), error, self.trace)
        self.respond_or_cut(500, "internal", repr(error))

    def respond_or_cut(self, status: int, reason: str, detail: str, by: str = "gateway", flush: bool = False) -> None:
        """Respond for the gateway without another hook, and close the connection; or cut off what has begun."""
        if self.is_over:
            return
        self._stop()
        if self.writer.head_sent:
            self.break_off(by, reason, detail, flush=flush)
            return
        self.writer.make_last()
        self.note_failure(reason, detail)
        self.respond_with(gateway_response(status, reason), ())

    def _stop(self) -> None:
        """Stop whatever is under way: a phase, the upstream."""
        if self.hooks is not None:
            self.hooks.cancel()
        if self._stream is not None:
            self._stream.cancel()
            self._stream = None
        elif self._own is not None:
            self._own.discard()
        if self._relay is not None:
            self._relay.give_up()

    def client_gone(self, detail: str = "") -> None:
        """Called when the client's connection is lost; ``detail`` says why if the gateway has closed it."""
        if not self.is_over:
            self.leave(self.aborted or "client", self.reason or "client-left", detail or self.error)

    def leave(self, by: str, reason: str, detail: str | None) -> None:
        """End without a client that could get more."""
        self.note_failure(reason, detail, by)
        if self.tunnel is not None:
            self.tunnel.expire(self.proxy.now())
            return
        self._stop()
        if self.body is not None:
            self.body.client_gone()
        if not self.writer.head_sent:
            self._own = OwnResponse(self, response_of(None))
        self.finish(self.proxy.now(), is_complete=False)

    def break_off(self, by: str, reason: str, detail: str, *, flush: bool = True) -> None:
        """Cut off the response, whose head is written, so that the client sees it (see `ResponseWriter.cut`)."""
        self.note_failure(reason, detail, by)
        self._stop()
        self.grpc_code = cut_off(self.writer, self.head, reason, flush=flush)
        self.finish(self.proxy.now(), is_complete=self.grpc_code is not None)

    def finish(self, now: float, is_complete: bool = True, outcome: int = 0) -> None:
        """Run the log phase, let go of the snapshot, and give the connection back if the response is complete."""
        self.is_over, self.deadline, is_recorded = True, NEVER, True
        proxy, relay, route = self.proxy, self._relay, self.route
        proxy.exchanges.discard(self)
        if outcome and route is not None:  # a plugin's response that nothing looks at
            route.counts.add(outcome, now - self.started, self.writer.bytes_sent)
            self._let_go(self.seen)
        elif (
            (self._own is None and self.reason is None and relay is not None and route is not None)
            and ((head := relay.response_head) is not None and head.status != 101 and not self.chain.log)
            and (proxy.tail is None and ((body := self.body) is None or self.phases is None))
            and (self.seen is None or (relay.response is None and relay.attempt.grpc_code is None))
        ):  # the response is the upstream's, and nothing else is to be recorded
            if (trace := self.trace) is not None and trace.is_recorded:
                end_trace(self, trace, relay, head.status, None, now)
            route.counts.add(head.status << 2, now - self.started, self.writer.bytes_sent, body.received if body else 0)
            if body is not None and (code := relay.attempt.grpc_code) is not None:
                route.counts.add_call(code)
            if body is not None or self.seen is not None:
                self._let_go(self.seen)
        else:
            is_recorded = record_end(self, self._own, relay, now, self._pin)
            self._let_go(self.seen)
        if is_recorded:
            if self._pin is self.snapshot and not self.snapshot.is_awaited:
                self.snapshot.active -= 1
            else:
                self._pin.release()
        if relay is not None:
            self._relay = None
            relay.attempt.clear()
        if is_complete:
            self.writer.finish(now)

    def _let_go(self, request: Request | None) -> None:
        """Drop what refers to this exchange, so that all of it is freed now, and not by the collector."""
        if (hooks := self.hooks) is not None:
            hooks.end()
            if self.forwarding is not None:
                self.forwarding.close()
            self.forwarding = self.hooks = self._stream = None
        if request is not None:
            request.in_progress = None
        self._own = self.body = self._operations = self.phases = None
