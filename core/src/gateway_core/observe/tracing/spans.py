"""What is kept of a request for its spans: references and numbers, which the exporter's thread makes spans of.

Times are monotonic seconds; `SpanBatch.offset` makes them times of the clock on the wall.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gateway_core.observe.tracing.propagation import Remote


class ServerFacts(NamedTuple):
    """A request of a client that is over."""

    method: str
    scheme: str
    host: str
    """As the client asked for it."""
    path: str
    """As it was sent."""
    query: str
    version: str
    block: bytes
    """The fields, each line with a CRLF before it."""
    client_ip: str
    peer_ip: str
    request_id: str
    route: str | None
    """Its id."""
    pattern: str | None
    """That of its path."""
    status: int
    """0 if there was no response."""
    reason: str | None
    """A code of `gateway_core.reasons`, if the response is the gateway's or is not complete."""
    aborted: str | None
    """Who ended it before its end: client, upstream or gateway."""
    produced_by: str
    """``upstream``, ``gateway`` or a binding's id."""
    grpc_status: int | None
    is_grpc: bool
    received: int
    sent: int


class ClientFacts(NamedTuple):
    """An attempt that is over."""

    line: bytes
    """The request line."""
    authority: bytes
    upstream: str
    scheme: str
    host: str
    port: int
    path: str
    """Of a unix socket."""
    resend: int
    """Attempts before it."""
    status: int
    """0 if there was no response."""
    reason: str | None
    """Why it failed: a code of `gateway_core.reasons`."""
    grpc_status: int | None
    is_grpc: bool
    version: str


class HookFacts(NamedTuple):
    """A call of a plugin's hook."""

    plugin: str
    binding: str
    phase: str
    error: str | None
    """The type of what it raised."""


class RawSpan(NamedTuple):
    """One span."""

    span_id: str
    parent_id: str
    started: float
    ended: float
    facts: ServerFacts | ClientFacts | HookFacts


class SpanBatch(NamedTuple):
    """Spans of one trace that are exported together."""

    trace_id: str
    flags: int
    state: str
    link: Remote | None
    """The span of a caller that was not trusted: it is no parent, and the first span links to it."""
    offset: float
    """What makes monotonic seconds seconds since the Unix epoch."""
    spans: Sequence[RawSpan]
    is_remote: bool = False
    """Whether the parent of the first span is in another process."""
    lost: int = 0
    """Spans that were too many for one request."""
