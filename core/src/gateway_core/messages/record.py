"""What is known of a request once it is over; the log phase reads it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Attempt:
    """One try at one endpoint."""

    endpoint: str
    """The endpoint's id."""

    outcome: str
    """``answered``, ``connect-failure``, ``reset``, ``timeout``, ``bad-answer`` or ``cancelled``."""

    status: int = 0
    """The status that the endpoint answered with; 0 if it did not."""

    duration: float = 0.0
    """Seconds from picking the endpoint to its response head or its failure."""


class Record:
    """Sizes, timings, attempts and the end of one request.

    Times are seconds; ``started_at`` is seconds since the epoch.
    """

    __slots__ = (
        "aborted",
        "attempts",
        "bytes_received",
        "bytes_sent",
        "duration",
        "error",
        "produced_by",
        "started_at",
        "upstream",
        "upstream_duration",
    )

    def __init__(self) -> None:
        self.started_at = 0.0
        """Wall-clock time at which the head was read."""
        self.duration = 0.0
        """From the complete request head to the last byte or the abort."""
        self.upstream = ""
        """Name of the upstream that an endpoint was picked from; empty if none was."""
        self.upstream_duration: float | None = None
        """From the first try to the response head; None if no upstream answered."""
        self.bytes_received = 0
        """Bytes of the request's body."""
        self.bytes_sent = 0
        """Bytes of the answer's body that were handed to the client's connection."""
        self.attempts: list[Attempt] = []
        """Each try at an endpoint, in order."""
        self.produced_by = "gateway"
        """``upstream``, ``gateway``, or the id of the binding that answered."""
        self.aborted: str | None = None
        """``client``, ``upstream`` or ``gateway`` if the answer did not reach its end because of it, else None."""
        self.error: str | None = None
        """Why the gateway answered for itself; for logs, never for clients."""
