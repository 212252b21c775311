"""Where counters are kept: in this process, in memory that the workers of a machine share, or on a Redis server."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Protocol

from gateway_plugin_ratelimit.passage import Passage


class Store(Protocol):
    """Counts requests. Whatever it cannot do is decided by its own policy: none of these raises."""

    def admit(self, passage: Passage) -> Awaitable[None] | None:
        """Charge a request to all of its limits or to none, and note the outcome in its passage.

        :returns: None if that is done, or what to await until it is.
        """

    def debit(self, passage: Passage, extra: Sequence[int]) -> None:
        """Take units that a request turned out to cost beyond what it was charged, by limit."""


__all__ = ["Store"]
