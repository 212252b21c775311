"""What plugins can ask of a request in progress."""

from __future__ import annotations

from typing import Protocol

from gateway_core.config import LimitsConfig
from gateway_core.proxy.inbound_head import InboundHead
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.response_writer import ResponseWriter


class OperatedExchange(Protocol):
    """The exchange, as far as its operations use it."""

    head: InboundHead
    is_over: bool
    writer: ResponseWriter

    @property
    def is_responding(self) -> bool:
        """Whether there is a response, written or not."""

    @property
    def limits(self) -> LimitsConfig:
        """Those of the snapshot in force."""

    def watch(self, seconds: float) -> None:
        """Expire in so many seconds; 0 is no limit but that of the whole request."""


class ExchangeOperations:
    """The operations of one exchange."""

    __slots__ = ("_body", "_exchange")

    def __init__(self, exchange: OperatedExchange, body: RequestBody) -> None:
        self._exchange = exchange
        self._body = body

    async def read_body(self, limit: int) -> bytes:
        """Return the whole body (see `Request.read`)."""
        exchange, body = self._exchange, self._body
        if exchange.head.facts.expect:
            exchange.writer.send_continue()
        if not body.is_complete:
            exchange.watch(exchange.limits.body_timeout)
        try:
            return await body.read(limit)
        finally:
            if not exchange.is_over and not exchange.is_responding:
                exchange.watch(0)
