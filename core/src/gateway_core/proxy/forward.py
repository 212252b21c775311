"""`Request.forward`: a pre-proxy hook sends the request on, and gets the response.

The exchange goes on within the hook, like the layers of an onion:

    hook ... await request.forward()
                 later pre-proxy hooks -> attempts -> response hooks of the bindings behind
             <- response
    ... returns a response, or None for the forwarded one -> response hooks of the other bindings -> client

`Forward` is what is within the hook, of an exchange or of a detached request; it is awaited by the hook's task, so it
ends with it. `ForwardedExchange` is what the exchange does when the hook has ended: it responds with the hook's
response, or with the forwarded one, whose body is the `UpstreamCall`'s. A forwarded response that is not sent is
closed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

from gateway_core.errors import BodyTooLargeError
from gateway_core.hooks import Hook, Stop, Suspended, start_phase, start_response_phase
from gateway_core.messages import Response
from gateway_core.proxy.client_call import ClientCall, SentRequest
from gateway_core.proxy.gateway_responses import gateway_response, show_own_fields
from gateway_core.proxy.hook_runner import HookRunner
from gateway_core.proxy.mirror import send_copies
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.request_phases import RequestPhases
from gateway_core.proxy.response_fields import own_block
from gateway_core.proxy.response_phase import join
from gateway_core.proxy.route_lookup import Destination
from gateway_core.proxy.running_exchange import RequestOwner, RunningExchange
from gateway_core.proxy.upstream_call import UpstreamCall
from gateway_core.proxy.wire.grpc import is_grpc, total_of
from gateway_core.proxy.wire.response_head import ResponseHead
from gateway_core.reasons import BODY_TOO_LARGE, PLUGIN_FAILED
from gateway_core.snapshot import CompiledRoute

T = TypeVar("T")


class ForwardOwner(RequestOwner, Protocol):
    """Whose request it is, once its route is known."""

    @property
    def phases(self) -> RequestPhases | None:
        """What decided where the request goes; None if it was known before."""


class Forward:
    """One request that is forwarded."""

    __slots__ = (
        "_exchange",
        "_pass_interim",
        "_send_copies",
        "_take_body",
        "client_call",
        "detail",
        "outer",
        "response",
    )

    def __init__(
        self,
        exchange: ForwardOwner,
        take_body: Callable[[], RequestBody | None],
        send_copies: Callable[[], None] | None = None,
        pass_interim: Callable[[ResponseHead], None] | None = None,
    ) -> None:
        """Begin with nothing.

        :param take_body: returns the body that goes upstream, as hooks left it.
        :param send_copies: sends those for the route's mirrors.
        :param pass_interim: sends interim responses to the client.
        """
        self._exchange = exchange
        self._pass_interim = pass_interim
        self._take_body = take_body
        self._send_copies = send_copies
        self.outer: tuple[Hook, ...] = ()
        """The response hooks around the hook that forwards."""
        self.response: Response | None = None
        """What the hook gets."""
        self.detail = ""
        """What went wrong, for logs."""
        self.client_call: ClientCall | None = None

    async def run(self, hook: Hook | None, later: tuple[Hook, ...], runner: HookRunner) -> Response:
        """Run all that is within a hook, and return the response. In the context of the hooks.

        :param hook: the pre-proxy hook that forwards; None behind that phase.
        :param later: the pre-proxy hooks behind it.
        :param runner: for hooks of attempts, in the same context.
        """
        exchange = self._exchange
        phases = exchange.phases
        assert phases is not None, "there are hooks before the upstream"
        inner, self.outer = ((), ()) if hook is None else exchange.chain.split_response(hook)
        stop = await settled(start_phase(later, exchange.request))
        if stop is None and hook is not None and (chain := phases.take_target_chain()) is not None:
            inner, self.outer = chain.split_response(hook)
            stop = await settled(start_phase(chain.pre_proxy, exchange.request))
        if stop is not None:
            response = stop.result
            assert isinstance(response, Response), "only route-match hooks choose routes"
            self.detail = stop.error or ""
            entered = exchange.chain.response_after("gateway_pre_proxy", stop)
            inner = tuple(each for each in inner if each in entered)
        else:
            response = await self._send(phases, runner)
        response.is_for_head = exchange.head.method == "HEAD"
        if inner:
            show_own_fields(response, exchange.proxy.date, exchange.request.request_id)
        seen = await settled(start_response_phase(inner, exchange.request, response))
        if not self.is_forwarded(seen):
            self.close()
        self.response = seen
        return seen

    async def _send(self, phases: RequestPhases, runner: HookRunner) -> Response:
        exchange = self._exchange
        found, route = phases.destination(), exchange.route
        if isinstance(found, Response):
            return found
        assert route is not None
        body = self._take_body()
        # What hooks changed asks its client by itself.
        if body is not None and not body.is_complete and body is exchange.body:
            if exchange.head.facts.expect:
                exchange.writer.send_continue()
            exchange.watch(0 if is_grpc(exchange.head) else exchange.proxy.limits.body_timeout)
        if body is not None and route.buffer_request:
            try:
                await body.read(route.buffer_request)
            except BodyTooLargeError as error:
                self.detail = str(error)
                return gateway_response(413, BODY_TOO_LARGE)
            body.gather(route.buffer_request)
        sent = self._sent_request(route, found, body)
        self.client_call = ClientCall(exchange.proxy.upstreams, sent, runner)
        if route.mirrors and self._send_copies is not None:
            self._send_copies()
        response = await self.client_call.send()
        self.detail = self.client_call.error
        return response

    def _sent_request(self, route: CompiledRoute, destination: Destination, body: RequestBody | None) -> SentRequest:
        exchange = self._exchange
        request, total = exchange.request, total_of(exchange.head, route.timeouts.total)
        return SentRequest(
            request,
            exchange.head,
            exchange.client,
            exchange.snapshot,
            exchange.chain,
            route,
            destination.target,
            destination.sticky_target,
            body,
            exchange.id_line,
            max(0.001, request.started + total - exchange.proxy.now()) if total else None,
            self._pass_interim,
        )

    def is_forwarded(self, response: Response) -> bool:
        """Whether a response is the upstream's: hooks may have made copies of its head."""
        call = self.client_call
        if call is None or call.response is None or not response.is_streamed:
            return False
        if response.operations is None:
            return response.status == 101 == call.response.status
        return response.operations is call.response.operations

    def close(self) -> None:
        """End what is in progress upstream."""
        if self.client_call is not None:
            self.client_call.call.close()


async def settled(outcome: T | Suspended[T]) -> T:
    """Return what a phase came to, awaited if one of its hooks must be."""
    return await outcome.finish() if isinstance(outcome, Suspended) else outcome


class ChangedBody(Protocol):
    """The request's body, as hooks left it."""

    def take(self) -> RequestBody | None:
        """Return what goes upstream; nothing can change it any more."""

    def sent_by(self, sender: ForwardedExchange) -> None:
        """Report its end, if it is another one than the client's."""


class BodyOperations(Protocol):
    """What hooks can ask of the request, as far as its body goes."""

    @property
    def body(self) -> ChangedBody:
        """What they did to it."""


class ForwardingExchange(ForwardOwner, RunningExchange, Protocol):
    """The exchange, as far as this uses it."""

    @property
    def operations(self) -> BodyOperations:
        """What hooks can ask of the request."""


class ForwardedExchange:
    """Forwards the request of an exchange."""

    __slots__ = ("_body", "_copies_wait", "_exchange", "_forward", "switched")

    def __init__(self, exchange: ForwardingExchange) -> None:
        self._exchange = exchange
        self._forward = Forward(exchange, self._take_body, self._send_copies, self._pass_interim)
        self._body: RequestBody | None = None  # that goes upstream
        self._copies_wait = False  # for the end of that
        self.switched: Response | None = None
        """The 101 that was sent."""

    @property
    def call(self) -> UpstreamCall | None:
        """What is sent upstream, if it came to that."""
        client_call = self._forward.client_call
        return None if client_call is None else client_call.call

    def _take_body(self) -> RequestBody | None:
        operations = self._exchange.operations
        body = self._body = operations.body.take()
        if body is not self._exchange.body:
            operations.body.sent_by(self)
        return body

    def _pass_interim(self, head: ResponseHead) -> None:
        if not self._exchange.is_over:
            self._exchange.writer.interim(head.status, head.reason, head.block)

    def _send_copies(self) -> None:
        exchange = self._exchange
        if exchange.route is not None:
            self._copies_wait = not send_copies(
                exchange.route,
                exchange.request,
                exchange.head,
                self._body,
                exchange.id_line,
                exchange.proxy.upstreams,
                exchange.runner,
            )

    def body_progress(self) -> None:
        """Called when a piece of the client's body came."""
        exchange, call = self._exchange, self.call
        exchange.watch(0 if is_grpc(exchange.head) else exchange.proxy.limits.body_timeout)
        if call is not None:
            call.body_progress()

    def body_ended(self) -> None:
        """Called when the client's body is complete."""
        self._exchange.watch(0)
        if self._body is self._exchange.body:
            self.sent_body_ended()

    def sent_body_ended(self) -> None:
        """Called when the body that goes upstream is complete."""
        if self._copies_wait:
            self._send_copies()
        if (call := self.call) is not None:
            call.body_ended()

    async def run(self, suspended: Suspended[Stop | None]) -> Response:
        """Forward, within the hook that is awaited."""
        runner = self._exchange.runner().sibling()
        return await self._forward.run(suspended.hook, suspended.take_rest(), runner)

    def end(self, stop: Stop | None) -> None:
        """Respond with what the hook left (see `Forwarding`)."""
        exchange, response, detail = self._exchange, self._forward.response, self._forward.detail
        if stop is not None and isinstance(stop.result, Response):
            response, detail = stop.result, stop.error or self._forward.detail
            response.produced_by = response.produced_by or stop.hook.binding.id
        elif response is None:
            detail = "the hook ended before what it forwarded was there"
            response = gateway_response(500, PLUGIN_FAILED)
        if not self._forward.is_forwarded(response):
            self._forward.close()
        exchange.note_failure(response.failure or "", detail if response.failure else "")
        call = self._forward.client_call
        if call is not None and call.call.switched is not None:
            switched = partial(self._switch, call)
            exchange.runner().run(switched, start_response_phase, self._forward.outer, exchange.request, response)
        else:
            exchange.respond_with(response, self._forward.outer)

    def _switch(self, client_call: ClientCall, response: Response) -> None:
        """Join both byte streams, if hooks left the 101 as it is."""
        exchange, call = self._exchange, client_call.call
        head, switched = call.response_head, None
        if response.is_streamed and head is not None and response.status == head.status:
            switched = call.take_switched()
        if switched is None or head is None:
            self._forward.close()
            bare = Response(response.status, headers=response.headers) if response.is_streamed else response
            exchange.respond_with(bare, ())
            return
        fields = own_block(response, head.block)
        protocol = call.attempt.terms.protocol_of(head)
        self.switched = response
        client = exchange.writer.switch(head.status, response.reason, fields, protocol)
        join(exchange, client, switched.connection, switched.data)

    def close(self) -> None:
        """End what is in progress upstream."""
        self._forward.close()
