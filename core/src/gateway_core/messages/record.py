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

    grpc_status: int | None = None
    """``grpc-status`` of the response; None if it has none."""


class Address(Protocol):
    """An endpoint, as far as records name it."""

    id: str
    url: str


class Record:
    """Sizes, timings, attempts and the end of one request.

    Times are seconds; ``started_at`` is seconds since the epoch.
    """

    # In slots: the log reads all of it of every request, and finds a default in the class ten times as slowly.
    __slots__ = (
        "__dict__", "aborted", "bytes_received", "bytes_sent", "duration", "error", "failed", "grpc_status",
        "produced_by", "reason", "responded", "started_at", "upstream", "upstream_duration",
    )  # fmt: skip

    started_at: float
    """Wall-clock time at which the head was read."""
    duration: float
    """From the complete request head to the last byte or the abort."""
    upstream: str
    """Name of the upstream that an endpoint was picked from; empty if none was."""
    upstream_duration: float | None
    """From the first attempt to the response head; None if no upstream responded."""
    bytes_received: int
    """Bytes of the request's body."""
    bytes_sent: int
    """Bytes of the response's body that were handed to the client's connection."""
    produced_by: str
    """``upstream``, ``gateway``, or the id of the binding that responded."""
    aborted: str | None
    """``client``, ``upstream`` or ``gateway`` if the response did not reach its end because of it, else None."""
    reason: str | None
    """Code of why the response is the gateway's own or did not reach its end (docs/reasons.md); None for an upstream's
    response that did."""
    error: str | None
    """The same as a text for people; for logs, never for clients."""

    grpc_status: int | None
    """``grpc-status`` with which a call of gRPC ended; None for other requests, and for calls that ended without."""

    failed: Sequence[Attempt]
    """The attempts that failed, or all of them; for the data path."""
    responded: tuple[Address, int, float] | None
    """The endpoint that responded after them, its status and the seconds that it took; for the data path."""

    def __init__(self) -> None:
        """Make the record of a request that came to nothing yet."""
        self.started_at = self.duration = 0.0
        self.bytes_received = self.bytes_sent = 0
        self.upstream, self.produced_by, self.failed = "", "gateway", ()
        self.upstream_duration = self.aborted = self.reason = self.error = self.grpc_status = self.responded = None

    @property
    def attempts(self) -> Sequence[Attempt]:
        """Each attempt, in order."""
        if self.responded is not None:
            endpoint, status, duration = self.responded
            last = Attempt(endpoint.id, "responded", status, duration, endpoint.url)
            self.attempts = (*self.failed, last)
        return self.failed

    @attempts.setter
    def attempts(self, attempts: Sequence[Attempt]) -> None:
        self.failed, self.responded = attempts, None

    @property
    def attempt_count(self) -> int:
        """How many attempts there were, without making their list."""
        return len(self.failed) + (self.responded is not None)

    @property
    def endpoint(self) -> str | None:
        """Id of the last attempt's endpoint; None if there was no attempt."""
        if self.responded is not None:
            return self.responded[0].id
        return self.failed[-1].endpoint if self.failed else None
