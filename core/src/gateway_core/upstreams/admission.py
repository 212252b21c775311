"""How many requests may be in progress and waiting, for a whole upstream and for each endpoint.

HTTP/1.1 carries one request at a time on a connection, so connections in use are requests in progress. Counting and
deciding are here; waiting is the data path's.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from gateway_core.config import UpstreamLimitsConfig
from gateway_core.metrics.counts import UpstreamCounts
from gateway_core.upstreams.failure_events import FailureEvents


class Decision(Enum):
    """What happens to a request that wants a connection."""

    ADMIT = "admit"
    QUEUE = "queue"
    """Wait, ``pending_timeout`` at most, until a request ends."""
    REFUSE = "refuse"


class Counted(Protocol):
    """What has requests in progress and waiting: an `Endpoint`, or the whole upstream."""

    active: int
    pending: int


class Load:
    """The counts of a whole upstream, shared by the snapshots that have it."""

    __slots__ = ("_on_closed", "active", "copies", "counts", "earned", "failures", "is_running", "pending", "retrying")

    def __init__(
        self, upstream: str = "", counts: UpstreamCounts | None = None, on_closed: Callable[[], None] = lambda: None
    ) -> None:
        self.counts = counts or UpstreamCounts()
        self.failures = FailureEvents(upstream, self.counts)
        """What the log says of requests that fail; a reload does not begin its ten seconds again."""
        self._on_closed = on_closed
        self.active = 0
        self.pending = 0
        self.copies = 0
        """Copies for a mirror in progress, which ``active`` counts too."""
        self.retrying = 0
        """Retries in progress."""
        self.earned = 0.0
        """Responses since retries were last paid for with them (see `RetryBudget`)."""
        self.is_running = False
        """Whether the upstream has had its first endpoints: those that come later begin slowly."""

    async def aclose(self) -> None:
        """Called when no snapshot has the upstream any more."""
        self._on_closed()


def decide(counted: Counted, max_active: int, max_pending: int) -> Decision:
    """Decide for one endpoint, or for the whole upstream; a maximum of 0 is no limit.

    Requests that wait go first: a new one is not admitted past a queue.
    """
    if max_active == 0 or (counted.active < max_active and not counted.pending):
        return Decision.ADMIT
    if max_pending == 0 or counted.pending < max_pending:
        return Decision.QUEUE
    return Decision.REFUSE


class Admission:
    """Decides on new requests of one upstream and counts those in progress."""

    __slots__ = ("is_unlimited", "limits", "load")

    def __init__(self, limits: UpstreamLimitsConfig, load: Load | None = None) -> None:
        """Start to count, or go on with the counts of an earlier snapshot."""
        self.limits = limits
        self.load = Load() if load is None else load
        self.is_unlimited = limits.max_connections == 0 and limits.max_connections_per_endpoint == 0
        """Whether `decide` always admits."""

    def decide(self, endpoint: Counted) -> Decision:
        """Decide on one more request to an endpoint."""
        limits = self.limits
        whole = decide(self.load, limits.max_connections, limits.max_pending)
        if whole is Decision.REFUSE:
            return whole
        part = decide(endpoint, limits.max_connections_per_endpoint, limits.max_pending_per_endpoint)
        return whole if part is Decision.ADMIT else part

    def may_leave_queue(self, endpoint: Counted) -> bool:
        """Return whether the first in the queue may go now."""
        limits = self.limits
        return (limits.max_connections == 0 or self.load.active < limits.max_connections) and (
            limits.max_connections_per_endpoint == 0 or endpoint.active < limits.max_connections_per_endpoint
        )

    def is_full(self, endpoint: Counted) -> bool:
        """Return whether the endpoint itself has no connection left, so that another may be better."""
        limit = self.limits.max_connections_per_endpoint
        return limit > 0 and (endpoint.active >= limit or endpoint.pending > 0)

    def enter(self, endpoint: Counted) -> None:
        """Count a request that is sent."""
        self.load.active += 1
        endpoint.active += 1

    def leave(self, endpoint: Counted) -> None:
        """Count a request that has ended, to the last byte."""
        self.load.active -= 1
        endpoint.active -= 1

    def enter_queue(self, endpoint: Counted) -> None:
        """Count a request that waits."""
        self.load.pending += 1
        endpoint.pending += 1

    def leave_queue(self, endpoint: Counted) -> None:
        """Count a request that waits no longer."""
        self.load.pending -= 1
        endpoint.pending -= 1
