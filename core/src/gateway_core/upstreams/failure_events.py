"""What the log says of requests that an upstream fails.

A failing endpoint fails every request that is sent to it. The first failure of a kind is logged at once; after that one
line in ten seconds says how many there were, and names the last of the requests.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from gateway_core.events import UPSTREAM_OVERLOADED, UPSTREAM_UNAVAILABLE, Event, Repeats, emit, repeated
from gateway_core.messages.trace import TraceContext, trace_id_of
from gateway_core.metrics.counts import UpstreamCounts
from gateway_core.reasons import OVERLOADED, UNAVAILABLE

REFUSALS: Final = {UNAVAILABLE: UPSTREAM_UNAVAILABLE, OVERLOADED: UPSTREAM_OVERLOADED}


class FailedRequest(Protocol):
    """A request of a client, as far as lines of the log name it."""

    request_id: str
    trace: TraceContext | None


class FailureEvents:
    """The failures of one upstream's requests; shared by the snapshots that have the upstream."""

    __slots__ = ("_counts", "_repeats", "_upstream")

    def __init__(self, upstream: str, counts: UpstreamCounts | None = None) -> None:
        self._upstream = upstream
        self._counts = counts or UpstreamCounts()
        self._repeats = Repeats()

    def failed(
        self, event: Event, endpoint: str, reason: str, now: float, request: FailedRequest | None = None
    ) -> None:
        """Report an attempt that failed.

        :param endpoint: its id.
        :param reason: what the system, OpenSSL or the reader of responses says.
        :param now: monotonic seconds.
        :param request: that it was for.
        """
        if count := self._repeats.count((event.name, endpoint), now):
            text = f"upstream {self._upstream!r}: endpoint {endpoint}: {reason}{repeated(count)}"
            self._emit(event, text, request, endpoint=endpoint, reason=reason, count=count)

    def refused(self, code: str, reason: str, now: float, request: FailedRequest | None = None) -> None:
        """Report a request for which there was no endpoint, or no connection within the upstream's limits.

        :param code: of `gateway_core.reasons`; others are reported by `failed`.
        """
        event = REFUSALS.get(code)
        if event is not None:
            self._counts.refuse(code)
        if event is not None and (count := self._repeats.count((event.name, reason), now)):
            text = f"upstream {self._upstream!r}: {reason}{repeated(count)}"
            self._emit(event, text, request, reason=reason, count=count)

    def _emit(self, event: Event, text: str, request: FailedRequest | None, **values: Any) -> None:
        request_id = None if request is None else request.request_id or None
        trace_id = None if request is None else trace_id_of(request.trace)
        emit(event, text, upstream=self._upstream, **values, request_id=request_id, trace_id=trace_id)
