"""A request's place in a trace, as plugins see it."""

from __future__ import annotations

from typing import Protocol


class TraceContext(Protocol):
    """The span of a request that is in progress; upstreams and what plugins fetch become its children."""

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits: the gateway's own span of the request."""

    @property
    def is_sampled(self) -> bool:
        """Whether upstreams receive that the trace is sampled; final once the route is known."""


def trace_id_of(trace: TraceContext | None) -> str | None:
    """Return the id of a trace, for logs."""
    return None if trace is None else trace.trace_id
