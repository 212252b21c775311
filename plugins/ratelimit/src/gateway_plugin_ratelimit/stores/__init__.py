"""Where counters are kept: in this process, in memory that the workers of a machine share, or on a Redis server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias

from gateway_plugin_ratelimit.algorithms import Rule
from gateway_plugin_ratelimit.reservation import Reservation

Remaining: TypeAlias = tuple[int, float]
"""Of a request that passed: the units that are left, and seconds until the whole quota is there again."""

Charge: TypeAlias = Callable[[str], Remaining | None]
"""Charges a counter if the request passes at once; charges nothing and returns None if that takes a closer look."""


class Store(Protocol):
    """Counts requests. Whatever it cannot do is decided by its own policy: none of these raises."""

    def admit(self, reservation: Reservation) -> Awaitable[None] | None:
        """Charge a request to all of its limits or to none, and note the outcome in its reservation.

        :returns: None if that is done, or what to await until it is.
        """

    def acquire_slot(self) -> object:
        """Get ready to count requests in progress; done before the first one.

        :raises GatewayError: that is not possible with so many workers.
        """

    def compiled(self, rule: Rule, cost: int) -> Charge | None:
        """Return a quicker way to admit requests that have one limit; None if there is none."""

    def debit(self, reservation: Reservation, extra: Sequence[int]) -> None:
        """Take units that a request turned out to cost beyond what it was charged, by limit."""


__all__ = ["Charge", "Remaining", "Store"]
