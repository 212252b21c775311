"""Places that requests in progress hold on a Redis server: renewed while they last, given back when they end."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from functools import partial

from gateway_plugin_ratelimit.stores.scripts import Call, renewal


class Leases:
    """What this process holds. Each request is one member, in the sorted set of each of its counters."""

    __slots__ = ("_held", "_next", "_owner", "returned", "seconds")

    def __init__(self, seconds: float) -> None:
        """Hold nothing yet.

        :param seconds: after which the server forgets a place that nobody renewed.
        """
        self.seconds = seconds
        self._owner = secrets.token_hex(6)
        self._next = 0
        self._held: dict[str, tuple[str, ...]] = {}
        self.returned: list[tuple[str, str]] = []
        """Places to give back, as (key, member)."""

    def __len__(self) -> int:
        return len(self._held)

    def new_member(self) -> str:
        """Return a name that no other request of any gateway has."""
        self._next += 1
        return f"{self._owner}:{self._next}"

    def hold(self, member: str, keys: Sequence[str]) -> partial[None]:
        """Note that a request holds places; return what to call when it is over."""
        self._held[member] = tuple(keys)
        return partial(self.give_back, member, keys)

    def give_back(self, member: str, keys: Sequence[str]) -> None:
        """Note that a request holds its places no longer."""
        self._held.pop(member, None)
        self.returned += [(key, member) for key in keys]

    def renewals(self) -> list[Call]:
        """Return the calls that keep what is held."""
        return [renewal(key, member, self.seconds) for member, keys in self._held.items() for key in keys]
