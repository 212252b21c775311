"""When to fetch a document again, and for how long an old one will do. Pure: times come in as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import Final

from gateway_plugin_sdk import Backoff

SHORTEST_LIFETIME: Final = 10.0
"""Seconds; a server that asks for less is not asked more often."""

FIRST_RETRY: Final = 1.0
LONGEST_RETRY: Final = 60.0

_MAX_AGE: Final = re.compile(r"(?:^|[,\s])max-age\s*=\s*\"?([0-9]{1,9})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a document is kept; seconds."""

    refresh: float = 900.0
    cooldown: float = 30.0
    stale_for: float = 86400.0


def lifetime_of(cache_control: str, terms: Terms) -> float:
    """Return the seconds after which a document that was fetched is fetched again (RFC 9111 section 5.2)."""
    longest = max(terms.refresh, 0.1)
    match = _MAX_AGE.search(cache_control)
    if match is None:
        return longest
    return min(longest, max(float(match[1]), SHORTEST_LIFETIME))


class Freshness:
    """The history of one document's fetches."""

    __slots__ = ("_backoff", "due_at", "expires_at", "last_attempt", "terms")

    def __init__(self, terms: Terms, rng: Random) -> None:
        """Begin without a fetch.

        :param rng: draws the jitter of the delays after failures: many gateways do not come at the same moment.
        """
        self.terms = terms
        self.due_at = float("-inf")
        """When the next fetch is due."""
        self.expires_at = float("-inf")
        """When the document that is there may not be used any more."""
        self.last_attempt = float("-inf")
        self._backoff = Backoff(rng, first=FIRST_RETRY, longest=LONGEST_RETRY)

    def began(self, now: float) -> None:
        """Note that a fetch begins."""
        self.last_attempt = now

    def succeeded(self, now: float, lifetime: float) -> None:
        """Note that a fetch gave a document."""
        self._backoff.reset()
        self.due_at = now + lifetime
        self.expires_at = self.due_at + self.terms.stale_for

    def failed(self, now: float) -> None:
        """Note that a fetch failed: the next is due after a delay that doubles."""
        self.due_at = now + self._backoff.next_delay()

    def is_due(self, now: float) -> bool:
        return now >= self.due_at

    def is_usable(self, now: float) -> bool:
        return now < self.expires_at

    def may_ask(self, now: float) -> bool:
        """Say whether a request may cause a fetch out of turn."""
        return now - self.last_attempt >= self.terms.cooldown
