"""Clients that have said their last word (FIN) and may still listen, or may be gone: no packet tells which.

RFC 9112 section 9.6 lets a client close its half and read on, and scripts do; browsers that close a tab look the same.
So an answer that is at hand or under way is sent, and nobody works for long for a client that may not be there.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from gateway_core.proxy.sweeper import NEVER

if TYPE_CHECKING:
    from gateway_core.proxy.exchange import Exchange
    from gateway_core.proxy.service import Proxy

GRACE: Final = 0.5
"""Seconds without a byte of an answer after which such a client counts as gone."""


class Closing(Protocol):
    """A lane, as far as it is asked here."""

    proxy: Proxy
    exchange: Exchange | None

    def close_if_idle(self) -> None: ...
    def abort(self) -> None: ...


class HalfClosed:
    """Sees to the end of one connection whose client will send nothing more."""

    __slots__ = ("_lane", "_progress", "_transport", "deadline")

    def __init__(self, lane: Closing, transport: asyncio.Transport) -> None:
        self._lane = lane
        self._transport = transport
        exchange = lane.exchange
        self._progress: object = (exchange, exchange.bytes_sent if exchange is not None else 0)
        self.deadline = lane.proxy.now() + GRACE

    def expire(self, now: float) -> None:
        """Let the client go unless its answer has got further since the last time."""
        lane, transport = self._lane, self._transport
        exchange = lane.exchange
        if transport.is_closing():
            self.deadline = NEVER
            lane.proxy.half_closed.discard(self)
            return
        self.deadline = now + GRACE
        if exchange is None:
            lane.close_if_idle()
            return
        progress = (exchange, exchange.bytes_sent)
        # What waits to be written is another matter: a client that is gone refuses it, one that is there has its time.
        if progress in (self._progress, (exchange, 0)) and not transport.get_write_buffer_size():
            lane.abort()
        self._progress = progress
