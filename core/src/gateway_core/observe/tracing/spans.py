"""What is kept of a request for its spans: references and numbers, of which the exporter's thread makes spans.

Nothing is copied, formatted or decoded on the path of a request: ids are digits as bytes, and what a head says is read
from its own texts. What spans do not show is not kept: memory that is free at once is what the next request gets, while
it is still in the processor's cache.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from gateway_core.observe.tracing.propagation import Format, TraceFields


class SpanRoute(Protocol):
    """A route, as far as spans show it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def pattern(self) -> str:
        """That of its path; may be empty."""


class SpanEndpoint(Protocol):
    """Where an attempt goes."""

    authority: bytes
    scheme: str
    host: str
    port: int
    path: str
    """Of a unix socket."""


class SpanConnection(Protocol):
    """A connection to an endpoint, or a stream of one."""

    @property
    def http_version(self) -> str:
        """As `network.protocol.version` has it."""

    @property
    def peer(self) -> object:
        """The address at its other end, as the socket has it."""


class ServerFacts(NamedTuple):
    """A request of a client that is over.

    Of its head there are only the parts that spans show: the rest is free for the next requests.
    """

    method: str
    version: str
    path: str
    """As it was sent."""
    host: str
    """As the client asked for it."""
    block: bytes
    """The fields, each line with a CRLF before it."""
    scheme: str
    client_ip: str
    peer_ip: str
    query: str
    id_line: bytes
    """X-Request-Id as a line, with a CRLF on both sides."""
    route: SpanRoute | None
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


MOST_LINE: Final = 2048
"""Bytes that are kept of a request line, twice what is exported of a URL: each of many attempts may have 64 KiB."""


class AttemptSpan:
    """The span of an attempt, in progress or over. What few of them set has its default in the class."""

    __slots__ = (
        "__dict__", "ended", "endpoint", "grpc_status", "line", "parent_id", "peer", "responded_at", "span_id",
        "started", "status", "trace", "upstream", "version",
    )  # fmt: skip

    trace: SpanOwner
    """Until it ends."""
    span_id: bytes
    parent_id: bytes
    line: bytes
    """Of the request; not the head, which may have credentials."""
    started: float
    status: int
    """0 if there was no response."""
    responded_at: float
    """When its head came."""
    version: str
    """Of HTTP, as the connection that responded speaks it; empty without a response."""
    peer: object
    """The address that responded, as the socket has it."""
    endpoint: SpanEndpoint
    upstream: str
    ended: float
    grpc_status: int | None
    resend = 0
    """Attempts before it."""
    is_grpc: bool | None = None
    """Whether it is a call of gRPC; None if that is as for the request."""
    purpose = ""
    """What it is for, if it does not send the client's request: ``mirror`` or ``fetch``."""
    connected_at = 0.0
    """When a connection was open that had to be made for it."""
    reason: str | None = None
    """Why it failed: a code of `gateway_core.reasons`."""

    def waited(self, upstream: str, until: float) -> None:
        """Note that it had to wait for a connection until now: it only begins behind that."""
        since, self.started = self.started, until
        self.trace.add_wait(self.parent_id, upstream, since, until)

    def responded(self, status: int, connection: SpanConnection | None, now: float) -> None:
        """Note the response's head, and the connection that it came over."""
        self.status = status
        self.responded_at = now
        if connection is not None:
            self.version, self.peer = connection.http_version, connection.peer

    def failed(self, reason: str | None) -> None:
        """Note why it failed, if it did."""
        if reason is not None:
            self.reason = reason

    def end(
        self,
        now: float,
        upstream: str,
        endpoint: SpanEndpoint,
        retries: FailedAttempts | None,
        grpc_status: int | None,
    ) -> None:
        """End it, and give it to its trace.

        :param retries: the attempts of the same request before it.
        """
        self.ended = now
        self.upstream = upstream
        self.endpoint = endpoint
        if retries is not None:
            self.resend = len(retries.attempted)
        self.grpc_status = grpc_status
        self.trace.add(self)
        del self.trace  # which refers to this span


def begin_span(trace: SpanOwner, span_id: bytes, parent_id: bytes, line: bytes, now: float) -> AttemptSpan:
    """Return the span of an attempt that begins.

    :param line: of the request.
    """
    span = AttemptSpan()  # a function takes three quarters of what a constructor in Python takes
    span.trace, span.span_id, span.parent_id, span.started = trace, span_id, parent_id, now
    span.line = line if len(line) <= MOST_LINE else line[:MOST_LINE]
    span.status, span.responded_at, span.version, span.peer = 0, 0.0, "", None
    return span


class FailedAttempts(Protocol):
    """The attempts of a request that failed."""

    @property
    def attempted(self) -> Sequence[object]:
        """The endpoints."""


class SpanPlace(Protocol):
    """Where attempts belong."""

    @property
    def parent_id(self) -> bytes:
        """What upstreams receive of attempts without."""

    def begin_attempt(self, line: bytes, now: float) -> AttemptSpan | None:
        """Return the span of an attempt; None if it is not going to be exported."""


class SpanOwner(Protocol):
    """The trace of a span."""

    def add(self, span: RawSpan | AttemptSpan) -> None:
        """Take a span that has ended."""

    def add_wait(self, parent_id: bytes, upstream: str, since: float, until: float) -> None:
        """Take the time that an attempt spent in an upstream's queue."""


class WaitFacts(NamedTuple):
    """A wait in the queue of an upstream, for a connection that its limits allow."""

    upstream: str


class HookFacts(NamedTuple):
    """A call of a plugin's hook."""

    plugin: str
    binding: str
    phase: str
    error: str | None
    """The type of what it raised."""


class RawSpan(NamedTuple):
    """One span."""

    span_id: bytes
    parent_id: bytes
    """16 hexadecimal digits each; empty if there is no parent."""
    started: float
    ended: float
    facts: ServerFacts | HookFacts | WaitFacts


class SpanBatch(NamedTuple):
    """Spans of one trace that are exported together."""

    trace_id: bytes
    """32 hexadecimal digits."""
    flags: int
    state: str
    spans: Sequence[RawSpan | AttemptSpan]
    is_remote: bool = False
    """Whether the parent of the first span is in another process."""
    lost: int = 0
    """Spans that were too many for one request."""
    caller: TraceFields = ()
    """Fields of a caller that was not trusted: its span is no parent, and the first span links to it."""
    formats: Sequence[Format] = ()
    """In which they are read."""
    received_at: float = 0.0
    """When the body of the request was complete; 0 if it had none."""

    @property
    def span_count(self) -> int:
        """The number of spans."""
        return len(self.spans)

    @property
    def held(self) -> int:
        """What follows a request refers to no head."""
        return 0

    def batch(self) -> SpanBatch:
        """Return it."""
        return self


class SpanSource(Protocol):
    """What spans can be had of: a trace that is over, which nothing changes any more, or some that followed it."""

    @property
    def span_count(self) -> int:
        """The number of spans."""

    @property
    def held(self) -> int:
        """Bytes of the head whose parts it refers to."""

    def batch(self) -> SpanBatch:
        """Return them; called in a thread."""
