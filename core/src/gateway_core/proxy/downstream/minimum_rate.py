"""Clients that send a body or take a response too slowly: ``limits.min_rate``.

A pause has a limit of its own (``body_timeout``, ``write_timeout``); one byte in each of them would hold a connection
for ever. Here what was moved in ten seconds is compared with the rate. Looked at once a second, and only while a rate
is configured: requests cost nothing. What waits for the upstream, for a plugin or for the gateway is not counted
against the client, and tunnels are exempt: they may be silent for as long as both ends like.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Hashable, Iterable
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from gateway_core.proxy.exchange import Exchange

WINDOW: Final = 10.0
"""Seconds over which a rate is measured: shorter ones would meet clients whose network has a bad moment."""

_EVERY: Final = 1.0

KeyT = TypeVar("KeyT", bound=Hashable)


class Pace(Generic[KeyT]):
    """Remembers how far transfers were, and tells which are slow."""

    __slots__ = ("_begun",)

    def __init__(self) -> None:
        self._begun: dict[KeyT, tuple[float, int]] = {}

    def slow(self, transfers: Iterable[tuple[KeyT, int]], rate: int, now: float) -> list[KeyT]:
        """Return those that moved less than ``rate`` bytes per second in a whole window.

        :param transfers: the ones that wait for their client now, with their bytes so far; one that is left out once
            begins a new window when it is back.
        """
        begun: dict[KeyT, tuple[float, int]] = {}
        slow: list[KeyT] = []
        for key, count in transfers:
            since, before = self._begun.get(key, (now, count))
            if now - since >= WINDOW:
                if count - before < rate * (now - since):
                    slow.append(key)
                since, before = now, count
            begun[key] = since, before
        self._begun = begun
        return slow


class Writing(Protocol):
    """A client's connection, as far as this goes."""

    @property
    def exchange(self) -> Exchange | None: ...
    @property
    def transport(self) -> asyncio.Transport | None: ...
    def abort(self) -> None: ...


class MinimumRate:
    """Looks at all bodies and responses once a second; a thing to sweep (see `Sweeper`)."""

    __slots__ = ("_exchanges", "_lanes", "_rate", "_responses", "_uploads", "deadline")

    def __init__(self, exchanges: Collection[Exchange], lanes: Collection[Writing], rate: Callable[[], int]) -> None:
        """Begin at the next sweep.

        :param exchanges: live, as ``lanes``.
        :param rate: bytes per second; 0 is none.
        """
        self._exchanges = exchanges
        self._lanes = lanes
        self._uploads: Pace[Exchange] = Pace()
        self._responses: Pace[tuple[Writing, Exchange | None]] = Pace()
        self._rate = rate
        self.deadline = 0.0

    def expire(self, now: float) -> None:
        """Look at everything, and end what is slow."""
        self.deadline = now + _EVERY
        # Without a rate nothing waits, so that a rate that comes with a reload begins with new windows.
        rate = self._rate() if self._lanes else 0
        uploads = [each for each in self._exchanges if each.waits_for_body] if rate else []
        sizes = [(each, each.upload.received) for each in uploads if each.upload is not None]
        for exchange in self._uploads.slow(sizes, rate, now):
            exchange.body_too_slow()
        for lane, answered in self._responses.slow(self._taken() if rate else (), rate, now):
            if answered is not None:
                answered.error = "the client reads too slowly"
            lane.abort()

    def _taken(self) -> Iterable[tuple[tuple[Writing, Exchange | None], int]]:
        """Yield the responses of which bytes wait, with the bytes that the client has taken."""
        for lane in self._lanes:
            transport, exchange = lane.transport, lane.exchange
            waiting = transport.get_write_buffer_size() if transport is not None else 0
            if waiting:
                yield (lane, exchange), (exchange.bytes_sent if exchange is not None else 0) - waiting
