"""What plugins can ask of a request in progress."""

from __future__ import annotations

from contextvars import Context
from typing import Protocol

from gateway_core.hooks import Hook
from gateway_core.messages import Request, Response
from gateway_core.messages.body import FilterSpec
from gateway_core.messages.hook_owner import running_hook
from gateway_core.proxy.detached_request import detach
from gateway_core.proxy.forward import ForwardedExchange, ForwardingExchange
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.request_changes import RequestChanges
from gateway_core.proxy.tunnel import Tunnel
from gateway_core.reasons import PLUGIN_ABORTED


class OperatedExchange(ForwardingExchange, Protocol):
    """The exchange, as far as its operations use it."""

    @property
    def forwarding(self) -> ForwardedExchange | None:
        """What forwards the request, if a hook does."""

    @property
    def tunnel(self) -> Tunnel | None:
        """What follows a 101."""

    def forward(self) -> ForwardedExchange:
        """Return what forwards the request for a hook."""

    def leave(self, by: str, reason: str, detail: str | None) -> None:
        """End without a client that could get more."""


class ExchangeOperations:
    """The operations of one exchange."""

    __slots__ = ("_body", "_exchange", "_is_sent")

    def __init__(self, exchange: OperatedExchange, *, is_sent: bool) -> None:
        """Begin with nothing asked for.

        :param is_sent: whether the request goes upstream already, so that its body cannot be changed any more.
        """
        self._exchange = exchange
        self._body: RequestChanges | None = None  # most hooks leave the body alone
        self._is_sent = is_sent

    @property
    def body(self) -> RequestChanges:
        """What hooks do to the request's body."""
        if self._body is None:
            self._body = RequestChanges(self._exchange)
            if self._is_sent:
                self._body.take()
        return self._body

    def take_body(self) -> RequestBody | None:
        """Return the body that goes upstream, as hooks leave it; nothing can be changed any more."""
        if self._body is None and self._exchange.body is None:
            self._is_sent = True
            return None
        return self.body.take()

    @property
    def has_body(self) -> bool:
        """Whether there is a body, as hooks left it (see `Request.has_body`)."""
        return (self._body is not None or self._exchange.body is not None) and self.body.has_body

    async def read_body(self, limit: int) -> bytes:
        """Return the whole body (see `Request.read`)."""
        return await self.body.read_body(limit)

    def read_body_nowait(self, limit: int) -> bytes | None:
        """Return the whole body if it is there (see `Request.read_nowait`)."""
        return self.body.read_body_nowait(limit)

    def set_body(self, data: bytes) -> None:
        """Send another body (see `Request.set_body`)."""
        self.body.set_body(data)

    def add_body_filter(self, spec: FilterSpec) -> bool:
        """Send the body through a filter; return whether there is one (see `Request.add_body_filter`)."""
        return self.body.add_body_filter(spec)

    async def forward(self) -> Response:
        """Send the request on, within the pre-proxy hook that is awaited (see `Request.forward`)."""
        exchange = self._exchange
        suspended = None if exchange.is_over else exchange.runner().suspended
        if suspended is None or suspended.hook.phase != "gateway_pre_proxy":
            raise RuntimeError("forward() may be called in the pre-proxy phase, by a hook that is awaited")
        if exchange.forwarding is not None:
            raise RuntimeError("forward() may be called once for each request")
        return await exchange.forward().run(suspended)

    def detach(self) -> Request:
        """Return a copy that outlives the request (see `Request.detach`)."""
        exchange, data = self._exchange, None
        if exchange.is_over:
            raise RuntimeError("detach() comes too late: the request is over")
        if self.body.has_body:
            data = self.body.whole
            if data is None:
                raise RuntimeError("detach() needs the request's body: await request.read() before")
        hook, suspended = running_hook(), exchange.runner().suspended
        if not isinstance(hook, Hook):
            hook = None if suspended is None else suspended.hook
        return detach(exchange, hook, data)

    def abort(self, reason: str) -> None:
        """End the exchange, at once for its hooks, and for its client as soon as the hook that calls is left."""
        exchange = self._exchange
        if exchange.is_over:
            return
        runner = exchange.runner()
        if runner.is_stopped:
            return
        runner.stop()
        exchange.proxy.upstreams.loop.call_soon_threadsafe(self._abort, reason or PLUGIN_ABORTED, context=Context())

    def _abort(self, reason: str) -> None:
        """End the exchange or the tunnel; outside of the context of the hooks, in which log hooks are to run."""
        exchange = self._exchange
        if exchange.is_over:
            return
        if exchange.tunnel is None:
            exchange.writer.cut(flush=exchange.writer.head_sent)
        exchange.leave("gateway", reason, "a plugin ended the request")
