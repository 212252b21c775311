"""An exchange whose pre-proxy hook forwards the request: what it responds with when that hook has ended.

The hook returned a response (perhaps the forwarded one), or None for the forwarded one, or failed. What is sent goes
through the response hooks that are left; a forwarded response that is not sent is closed.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from gateway_core.hooks import Hook, Stop, Suspended, start_response_phase
from gateway_core.messages import Response
from gateway_core.proxy.client_call import ClientCall
from gateway_core.proxy.forward import Forward, ForwardOwner
from gateway_core.proxy.gateway_responses import gateway_response
from gateway_core.proxy.mirror import send_copies
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_fields import own_block
from gateway_core.proxy.response_phase import join
from gateway_core.proxy.running_exchange import RunningExchange
from gateway_core.proxy.upstream_call import UpstreamCall
from gateway_core.reasons import PLUGIN_FAILED


class ChangedBody(Protocol):
    """The request's body, as hooks left it."""

    def take(self) -> RequestBody | None:
        """Return what goes upstream; nothing can change it any more."""

    def sent_by(self, sender: ForwardedExchange) -> None:
        """Tell of its end, if it is another one than the client's."""


class BodyOperations(Protocol):
    """What hooks can ask of the request, as far as its body goes."""

    @property
    def body(self) -> ChangedBody:
        """What they did to it."""


class ForwardingExchange(ForwardOwner, RunningExchange, Protocol):
    """The exchange, as far as this uses it."""

    @property
    def hook_operations(self) -> BodyOperations | None:
        """There are some, since a hook forwards."""

    def note_failure(self, reason: str, detail: str) -> None:
        """Record why the response is not an upstream's or a plugin's."""

    def respond_with(self, response: Response, hooks: tuple[Hook, ...]) -> None:
        """Respond, through these response hooks."""


class ForwardedExchange:
    """Forwards the request of an exchange (a `Forwarding`)."""

    __slots__ = ("_body", "_copies_wait", "_exchange", "_forward")

    def __init__(self, exchange: ForwardingExchange) -> None:
        self._exchange = exchange
        self._forward = Forward(exchange, self._take_body, self._send_copies)
        self._body: RequestBody | None = None  # that goes upstream
        self._copies_wait = False  # for the end of that

    @property
    def call(self) -> UpstreamCall | None:
        """What is sent upstream, if it came to that."""
        client_call = self._forward.client_call
        return None if client_call is None else client_call.call

    def _take_body(self) -> RequestBody | None:
        operations = self._exchange.hook_operations
        assert operations is not None, "a hook forwards"
        body = self._body = operations.body.take()
        if body is not self._exchange.body:
            operations.body.sent_by(self)
        return body

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
        exchange.watch(exchange.limits.body_timeout)
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
            exchange.write_response(Response(response.status, headers=response.headers))
            return
        fields = own_block(response, head.block)
        protocol = call.attempt.terms.protocol_of(head)
        client = exchange.writer.switch(head.status, response.reason, fields, protocol)
        join(exchange, client, switched.connection, switched.data)

    def close(self) -> None:
        """End what is in progress upstream."""
        self._forward.close()
