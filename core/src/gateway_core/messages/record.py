"""What is known of a request once it is over; the log phase reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Attempt:
    """One request to one endpoint; each retry is another."""

    endpoint: str
    """The endpoint's id."""

    outcome: str
    """``responded``, ``connect-failure``, ``reset``, ``timeout``, ``bad-response`` or ``cancelled``."""

    status: int = 0
    """Status of the endpoint's response; 0 if there was none."""

    duration: float = 0.0
    """Seconds from picking the endpoint to its response head or its failure."""

    url: str = ""
    """Scheme, host and port of the endpoint."""


class Address(Protocol):
    """An endpoint, as far as records name it."""

    id: str
    url: str


class Record:
    """Sizes, timings, attempts and the end of one request.

    Times are seconds; ``started_at`` is seconds since the epoch.
    """

    # Defaults stand in the class: a record is made for every request, and most of it is as usual.
    started_at = 0.0
    """Wall-clock time at which the head was read."""
    duration = 0.0
    """From the complete request head to the last byte or the abort."""
    upstream = ""
    """Name of the upstream that an endpoint was picked from; empty if none was."""
    upstream_duration: float | None = None
    """From the first attempt to the response head; None if no upstream responded."""
    bytes_received = 0
    """Bytes of the request's body."""
    bytes_sent = 0
    """Bytes of the response's body that were handed to the client's connection."""
    produced_by = "gateway"
    """``upstream``, ``gateway``, or the id of the binding that responded."""
    aborted: str | None = None
    """``client``, ``upstream`` or ``gateway`` if the response did not reach its end because of it, else None."""
    reason: str | None = None
    """Code of why the response is the gateway's own or did not reach its end (docs/reasons.md); None for an upstream's
    response that did."""
    error: str | None = None
    """The same as a text for people; for logs, never for clients."""

    _responded: tuple[Address, int, float] | None = None

    def __init__(self, attempts: Sequence[Attempt] = (), responded: tuple[Address, int, float] | None = None) -> None:
        """Keep the attempts.

        :param attempts: those that failed; or all of them.
        :param responded: the endpoint that responded after them, its status and the seconds that it took.
        """
        self._attempts = attempts
        if responded is not None:
            self._responded = responded

    @property
    def attempts(self) -> Sequence[Attempt]:
        """Each attempt, in order."""
        responded = self._responded
        if responded is not None:
            endpoint, status, duration = responded
            last = Attempt(endpoint.id, "responded", status, duration, endpoint.url)
            self.attempts = (*self._attempts, last)
        return self._attempts

    @attempts.setter
    def attempts(self, attempts: Sequence[Attempt]) -> None:
        self._attempts, self._responded = attempts, None

    @property
    def attempt_count(self) -> int:
        """How many attempts there were, without making their list."""
        return len(self._attempts) + (self._responded is not None)

    @property
    def endpoint(self) -> str | None:
        """Id of the last attempt's endpoint; None if there was no attempt."""
        if self._responded is not None:
            return self._responded[0].id
        return self._attempts[-1].endpoint if self._attempts else None
