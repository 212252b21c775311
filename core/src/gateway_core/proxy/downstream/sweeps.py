"""What the sweeper does with all connections of clients: end slow ones, have idle ones forget their last head.

`MinimumRate` is ``limits.min_rate``: clients that send a body or take a response too slowly. A pause has a limit of its
own (``body_timeout``, ``write_timeout``); one byte in each of them would hold a connection for ever. Here what was
moved in ten seconds is compared with the rate. Looked at once a second, and only while a rate is configured: requests
cost nothing. What waits for the upstream, for a plugin or for the gateway is not counted against the client. Tunnels
and gRPC are exempt: they may be silent for as long as both ends like.

`IdleHeads`: ten thousand idle connections would keep as many heads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from gateway_core import memory
from gateway_core.proxy.request_body import RequestBody
from gateway_core.proxy.wire.grpc import is_grpc
from gateway_core.proxy.wire.request_head import RequestHead
from gateway_core.reasons import BODY_TOO_SLOW

WINDOW: Final = 10.0
"""Seconds over which a rate is measured: shorter ones would meet clients whose network has a bad moment."""

_EVERY: Final = 1.0

KeyT = TypeVar("KeyT", bound=Hashable)


class Pace(Generic[KeyT]):
    """Remembers how far transfers were, and finds which are slow."""

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


class MovingExchange(Protocol):
    """An exchange, as far as this goes."""

    @property
    def head(self) -> RequestHead: ...
    @property
    def body(self) -> RequestBody | None: ...


class Moving(Protocol):
    """A client's connection, as far as this goes."""

    def awaited_bodies(self) -> Iterable[MovingExchange]:
        """Yield the exchanges whose client could send more of its body now."""

    def awaited_responses(self) -> Iterable[tuple[MovingExchange | None, int]]:
        """Yield the exchanges of which bytes wait for the client, with the bytes that it has taken.

        None stands for those that are over.
        """

    def end_slow_reader(self, exchange: MovingExchange | None) -> None:
        """End a response that the client takes too slowly."""


class MinimumRate:
    """Looks at all bodies and responses once a second; a thing to sweep (see `Sweeper`)."""

    __slots__ = ("_bodies", "_connections", "_rate", "_responses", "deadline")

    def __init__(self, connections: Collection[Moving], rate: Callable[[], int]) -> None:
        """Begin at the next sweep.

        :param connections: live.
        :param rate: bytes per second; 0 is none.
        """
        self._connections = connections
        self._bodies: Pace[RequestBody] = Pace()
        self._responses: Pace[tuple[Moving, MovingExchange | None]] = Pace()
        self._rate = rate
        self.deadline = 0.0

    def expire(self, now: float) -> None:
        """Look at everything, and end what is slow."""
        self.deadline = now + _EVERY
        # Without a rate nothing waits, so that a rate that comes with a reload begins with new windows.
        rate = self._rate() if self._connections else 0
        for body in self._bodies.slow(self._sent() if rate else (), rate, now):
            body.fail(408, BODY_TOO_SLOW, "the client sends its body too slowly")
        for connection, exchange in self._responses.slow(self._taken() if rate else (), rate, now):
            connection.end_slow_reader(exchange)

    def _sent(self) -> Iterable[tuple[RequestBody, int]]:
        for connection in self._connections:
            for exchange in connection.awaited_bodies():
                if exchange.body is not None and not is_grpc(exchange.head):
                    yield exchange.body, exchange.body.received

    def _taken(self) -> Iterable[tuple[tuple[Moving, MovingExchange | None], int]]:
        for connection in self._connections:
            for exchange, taken in connection.awaited_responses():
                if exchange is None or not is_grpc(exchange.head):
                    yield (connection, exchange), taken


# -- idle connections

KEPT: Final = 2.0
"""Seconds before an idle connection drops its cached head."""

MANY: Final = 1000
"""Heads that, forgotten at once, are worth giving their memory back to the system."""


class Remembering(Protocol):
    """A connection, as far as this goes."""

    @property
    def deadline(self) -> float: ...
    @property
    def remembers(self) -> bool:
        """Whether a head is remembered although no request is in progress."""

    def forget_heads(self) -> None: ...


class IdleHeads:
    """Looks at all connections once in a while; a thing to sweep (see `Sweeper`)."""

    __slots__ = ("_connections", "_idle_timeout", "deadline")

    def __init__(self, connections: Collection[Remembering], idle_timeout: Callable[[], float]) -> None:
        """Begin at the next sweep.

        :param connections: live.
        :param idle_timeout: seconds after which idle connections are closed: what their deadlines are made from. If
            they never are, how long they have been idle is not known, and heads are forgotten at each sweep.
        """
        self._connections = connections
        self._idle_timeout = idle_timeout
        self.deadline = 0.0

    def expire(self, now: float) -> None:
        """Have those forget that are idle for long enough."""
        self.deadline = now + KEPT / 2
        if not self._connections:
            return
        last = now - KEPT + self._idle_timeout()
        idle = [each for each in self._connections if each.remembers and each.deadline <= last]
        for connection in idle:
            connection.forget_heads()
        if len(idle) >= MANY:
            memory.trim()
