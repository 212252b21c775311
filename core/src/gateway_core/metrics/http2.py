"""What connections of HTTP/2 count: how streams and connections end, and what flow control costs.

Nothing here is counted for every request: a stream that ends well leaves no trace.
"""

from __future__ import annotations

from typing import Final

from gateway_core.metrics.catalogue import (
    HTTP2_AGE,
    HTTP2_AGE_BOUNDS,
    HTTP2_GOAWAYS,
    HTTP2_RESETS,
    HTTP2_STALLED,
    OTHER,
)
from gateway_core.metrics.samples import Distribution, Samples

CODES: Final = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
    "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip
"""The codes of errors by their numbers (RFC 9113 section 7); peers may send others."""

GATEWAY: Final = "gateway"
PEER: Final = "peer"


class Http2Counts:
    """The counts of all connections of clients, or of all to upstreams."""

    __slots__ = ("_ages", "_goaways", "_resets", "stalled")

    def __init__(self) -> None:
        self._resets: dict[tuple[str, str], int] = {}  # by who sent them, and by code
        self._goaways: dict[tuple[str, str], int] = {}
        self._ages = Distribution([0] * (len(HTTP2_AGE_BOUNDS) + 1))
        self.stalled = 0.0
        """Seconds that bodies waited for windows of the peer: those of streams, added up, and of connections."""

    def reset(self, code: int, by: str) -> None:
        """Count a RST_STREAM.

        :param by: `GATEWAY` or `PEER`.
        """
        key = by, _label(code)
        self._resets[key] = self._resets.get(key, 0) + 1

    def goaway(self, code: int, by: str) -> None:
        """Count a GOAWAY; as `reset`."""
        key = by, _label(code)
        self._goaways[key] = self._goaways.get(key, 0) + 1

    def closed(self, seconds: float) -> None:
        """Count a connection that is closed, by its age."""
        bucket = sum(seconds > bound for bound in HTTP2_AGE_BOUNDS)
        self._ages.counts[bucket] += 1
        self._ages.sum += seconds

    def put(self, samples: Samples, side: str) -> None:
        """Add what was counted; may be called in a thread."""
        for family, counts in ((HTTP2_RESETS, self._resets), (HTTP2_GOAWAYS, self._goaways)):
            samples.put(family, [((side, *key), number) for key, number in list(counts.items())])
        samples.one(HTTP2_STALLED, self.stalled, side)
        ages = Distribution(self._ages.counts.copy(), self._ages.sum)
        samples.put(HTTP2_AGE, [((side,), ages)], HTTP2_AGE_BOUNDS)


def _label(code: int) -> str:
    return CODES[code] if code < len(CODES) else OTHER
