"""What becomes of an exchange whose deadline is over: it depends on what it waits for."""

from __future__ import annotations

from typing import Protocol

from gateway_core.proxy.relay import Relay
from gateway_core.proxy.running_exchange import RunningExchange


class ExpiringExchange(RunningExchange, Protocol):
    """The exchange, as far as this uses it."""

    def respond_or_cut(self, status: int, reason: str, detail: str, by: str = "gateway") -> None:
        """Respond for the gateway without another hook, or cut off what has begun."""

    def break_off(self, by: str, reason: str, detail: str, *, flush: bool = True) -> None:
        """Cut off the response, whose head is written."""


def expire_exchange(exchange: ExpiringExchange, relay: Relay | None, now: float) -> None:
    """Act on the deadline of an exchange, which is over.

    :param relay: what sends it upstream, if it came to that.
    """
    body = exchange.body
    is_body_awaited = body is not None and not body.is_complete and not body.is_paused
    if exchange.is_responding:
        _expire_response(exchange, relay)
    elif relay is not None and relay.send_continue():
        relay.on_sent(now)
    elif is_body_awaited and now < exchange.total_deadline and not (relay and relay.attempt.is_queued):
        exchange.body_failed(408, "body-too-slow", "the client did not send its body in time")
    elif relay is not None:
        relay.attempt.expire()
    else:
        exchange.fail(504, "request-timeout", "the request took too long")


def _expire_response(exchange: ExpiringExchange, relay: Relay | None) -> None:
    writer = exchange.writer
    is_slow = writer.is_paused
    if relay is not None:
        relay.give_up(timed_out=writer.head_sent and not is_slow)
    if is_slow and writer.head_sent:
        exchange.break_off("client", "client-too-slow", "the client does not read", flush=False)
    else:
        reason = "upstream.timeout" if writer.head_sent else "request-timeout"
        exchange.respond_or_cut(504, reason, "the response stalled", "upstream")
