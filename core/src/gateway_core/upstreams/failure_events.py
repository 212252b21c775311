"""One line in the log for each kind of failure of an endpoint, however many requests fail.

A failing endpoint fails every request that is sent to it. The first failure of a kind is written at once; after that
one line in ten seconds says how many there were.
"""

from __future__ import annotations

from typing import Final

from gateway_core.events import UPSTREAM_OVERLOADED, UPSTREAM_UNAVAILABLE, Event, emit
from gateway_core.metrics.counts import UpstreamCounts
from gateway_core.reasons import OVERLOADED, UNAVAILABLE
from gateway_core.repeats import Repeats, repeated

REFUSALS: Final = {UNAVAILABLE: UPSTREAM_UNAVAILABLE, OVERLOADED: UPSTREAM_OVERLOADED}


class FailureEvents:
    """The failures of one upstream's requests; shared by the snapshots that have the upstream."""

    __slots__ = ("_counts", "_repeats", "_upstream")

    def __init__(self, upstream: str, counts: UpstreamCounts | None = None) -> None:
        self._upstream = upstream
        self._counts = counts or UpstreamCounts()
        self._repeats = Repeats()

    def failed(self, event: Event, endpoint: str, reason: str, now: float) -> None:
        """Report an attempt that failed.

        :param endpoint: its id.
        :param reason: what the system, OpenSSL or the reader of responses says.
        :param now: monotonic seconds.
        """
        if count := self._repeats.count((event.name, endpoint), now):
            text = f"upstream {self._upstream!r}: endpoint {endpoint}: {reason}{repeated(count)}"
            emit(event, text, upstream=self._upstream, endpoint=endpoint, reason=reason, count=count)

    def refused(self, code: str, reason: str, now: float) -> None:
        """Report a request for which there was no endpoint, or no connection within the upstream's limits.

        :param code: of `gateway_core.reasons`; others are reported by `failed`.
        """
        event = REFUSALS.get(code)
        if event is not None:
            self._counts.refuse(code)
        if event is not None and (count := self._repeats.count((event.name, reason), now)):
            text = f"upstream {self._upstream!r}: {reason}{repeated(count)}"
            emit(event, text, upstream=self._upstream, reason=reason, count=count)
