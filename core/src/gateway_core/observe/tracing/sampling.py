"""Which traces are exported: decisions over values.

**At the beginning** a trace that a trusted caller has begun keeps the caller's decision (parent-based); of the others a
share is sampled, by the trace id alone, so that all services with the same ratio choose the same traces. Upstreams
receive this decision. **At the end** a request that failed or was slow is exported whatever that decision was.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway_core.observe.tracing.propagation import SAMPLED, Remote

ALL: Final = 1 << 64
"""A bound that every trace id is below."""
_LOW_BITS: Final = ALL - 1


def bound_of(ratio: float) -> int:
    """Return what the last 64 bits of a trace id must be below (as OpenTelemetry's TraceIdRatioBased has it)."""
    return round(ratio * ALL)


class SamplingPolicy(NamedTuple):
    """How the traces of a route are sampled."""

    bound: int
    """Of `bound_of`, for traces that begin here."""
    follows_parent: bool = True
    """Whether the decision of a trusted caller counts."""
    keeps_errors: bool = False
    slow: float = 0.0
    """Seconds from which on a request is slow; 0 is never."""
    shows_hooks: bool = False
    """Whether each hook has a span."""

    @property
    def decides_late(self) -> bool:
        """Whether a request may be exported although it was not sampled at its beginning."""
        return self.keeps_errors or self.slow > 0

    def samples(self, trace_id: str, remote: Remote | None) -> bool:
        """Decide at the beginning.

        :param remote: the span of a trusted caller.
        """
        if remote is not None and remote.is_decided and self.follows_parent:
            return bool(remote.flags & SAMPLED)
        return int(trace_id[16:], 16) & _LOW_BITS < self.bound

    def keeps(self, *, is_error: bool, seconds: float) -> bool:
        """Decide at the end about a request that was not sampled.

        :param seconds: that it took; 0 for tunnels, which are long by nature.
        """
        return (is_error and self.keeps_errors) or (self.slow > 0 and seconds >= self.slow)
