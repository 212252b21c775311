"""The trace of one request, while it is in progress.

Its identity is known with the head, its sampling by the route; both go upstream with each attempt. Spans are kept until
the request is over, and exported if the request was sampled, failed or was slow. Spans that end later, such as those of
a mirror, follow by themselves. One request keeps `MOST_SPANS` at most.

    begun (ids, provisional decision) -> followed (the route's decision) -> propagated (an upstream knows it) -> over
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, Protocol

from gateway_core.clock import Clock
from gateway_core.metrics import Metrics
from gateway_core.metrics.catalogue import TRACE_BAGGAGE_DROPPED
from gateway_core.observe.tracing.propagation import (
    RANDOM,
    SAMPLED,
    Format,
    Remote,
    has_fields,
    lines_for,
    read_remote,
    without_fields,
)
from gateway_core.observe.tracing.sampling import SamplingPolicy
from gateway_core.observe.tracing.spans import ClientFacts, HookFacts, RawSpan, ServerFacts, SpanBatch

MOST_SPANS: Final = 256
_LOW_BITS: Final = (1 << 64) - 1


class SpanSink(Protocol):
    """Where spans go."""

    def put(self, batch: SpanBatch) -> None:
        """Take spans, or drop them where there is no room."""


class Tracer:
    """Begins the traces of one configuration."""

    __slots__ = ("_bits", "clock", "formats", "metrics", "policy", "sink")

    def __init__(
        self,
        policy: SamplingPolicy,
        formats: Sequence[Format],
        sink: SpanSink | None,
        clock: Clock,
        metrics: Metrics,
        rng: Random,
    ) -> None:
        """Sample by a policy.

        :param formats: that are read and written.
        :param sink: None exports nothing.
        :param rng: makes ids; not to be shared with another process.
        """
        self.policy = policy
        self.formats = tuple(formats)
        self.sink = sink
        self.clock = clock
        self.metrics = metrics
        self._bits: Callable[[int], int] = rng.getrandbits

    def begin(self, block: bytes, lowered: bytes, *, is_trusted: bool) -> RequestTrace:
        """Begin the trace of a client's request, or go on with its caller's.

        :param block: the fields of its head, and the same in lower case.
        :param is_trusted: whether the peer is a trusted proxy.
        """
        if not has_fields(lowered):
            return RequestTrace(self, self._bits(192))
        trace = RequestTrace(self, self._bits(192), read_remote(block, lowered, self.formats), is_trusted=is_trusted)
        trace.has_fields, trace.keeps_baggage = True, is_trusted
        return trace

    def begin_own(self) -> RequestTrace:
        """Begin the trace of a request that the gateway sends for no client."""
        trace = RequestTrace(self, self._bits(192))
        trace.is_over, trace.is_kept, trace.is_recorded = True, trace.is_sampled, trace.is_sampled
        trace.parent_of_attempts = ""  # there is no span around them
        return trace

    def new_span_id(self) -> str:
        """Return another id."""
        return f"{self._bits(64) or 1:016x}"


class RequestTrace:
    """The trace of one request; what few of them set has its default in the class."""

    __slots__ = (
        "__dict__", "is_recorded", "is_sampled", "parent_of_attempts", "policy", "span_id", "trace_id", "tracer",
    )  # fmt: skip

    remote: Remote | None = None
    """The caller's span, if the caller is trusted."""
    link: Remote | None = None
    """The caller's span, if it is not."""
    has_fields = False
    """Whether the client sent fields of a trace, which do not go on."""
    keeps_baggage = False
    is_propagated = False
    """Whether an upstream knows the decision."""
    is_over = is_kept = False
    lost = 0
    _spans: list[RawSpan] | None = None

    def __init__(self, tracer: Tracer, bits: int, remote: Remote | None = None, *, is_trusted: bool = False) -> None:
        """Make ids of 192 random bits."""
        ids = f"{bits:048x}"
        self.tracer = tracer
        self.trace_id = ids[:32]
        self.span_id = self.parent_of_attempts = ids[32:]
        """Of the request's own span, and of the one that attempts are children of."""
        policy = self.policy = tracer.policy
        if remote is not None:
            if is_trusted:
                self.remote, self.trace_id = remote, remote.trace_id
            else:
                self.link = remote
        # As `SamplingPolicy.samples`, without a call and a text in between where nothing else decides.
        self.is_sampled = (
            bits >> 64 & _LOW_BITS < policy.bound if remote is None else policy.samples(self.trace_id, self.remote)
        )
        self.is_recorded = self.is_sampled or policy.keeps_errors or policy.slow > 0
        """Whether its spans may be exported."""

    @property
    def flags(self) -> int:
        """Those that go on: the decision, and what the caller says of its id."""
        remote = self.remote
        return (SAMPLED if self.is_sampled else 0) | (0 if remote is None else remote.flags & RANDOM)

    @property
    def state(self) -> str:
        """The ``tracestate`` that goes on."""
        return "" if self.remote is None else self.remote.state

    def follow(self, policy: SamplingPolicy) -> None:
        """Sample as its route does, unless an upstream has received the decision already."""
        self.policy = policy
        if not self.is_propagated:
            self.is_sampled = policy.samples(self.trace_id, self.remote)
        self.is_recorded = self.is_sampled or policy.decides_late

    def move(self, tracer: Tracer | None) -> None:
        """Export by another configuration: the one before is about to be closed."""
        if tracer is not None:
            self.tracer = tracer

    # -- upstreams

    def sent_head(self, head: bytes, span_id: str, *, is_changed: bool) -> bytes:
        """Return a head with the fields of a span of this trace, and those of no other.

        :param head: of a request, with its empty line.
        :param is_changed: whether anything but the client may have written fields of a trace into it.
        """
        self.is_propagated = True
        if self.has_fields or (is_changed and has_fields(head.lower())):
            head, is_dropped = without_fields(head, keeps_baggage=self.keeps_baggage or not self.has_fields)
            if is_dropped:
                self.tracer.metrics.count(TRACE_BAGGAGE_DROPPED)
        return b"%b%b\r\n" % (head[:-2], lines_for(self.tracer.formats, self.trace_id, span_id, self.flags, self.state))

    # -- spans

    def add(self, span: RawSpan) -> None:
        """Take a span that has ended."""
        if self.is_over:
            if self.is_kept:
                self._export([span])
            return
        if self._spans is None:
            self._spans = [span]
        elif len(self._spans) < MOST_SPANS:
            self._spans.append(span)
        else:
            self.lost += 1

    def add_hook(self, facts: HookFacts, started: float, ended: float) -> None:
        """Take a call of a hook."""
        if self.is_recorded:
            self.add(RawSpan(self.tracer.new_span_id(), self.span_id, started, ended, facts))

    def drop(self) -> None:
        """End without being exported."""
        self.is_over, self.is_recorded, self._spans = True, False, None

    def end(self, facts: ServerFacts, started: float, ended: float) -> None:
        """End the request's own span, and export the trace."""
        self.is_over = self.is_kept = True
        spans, self._spans = self._spans, None
        parent = "" if self.remote is None else self.remote.span_id
        own = RawSpan(self.span_id, parent, started, ended, facts)
        self._export([own] if spans is None else [own, *spans], ended, is_whole=True)

    def _export(self, spans: Sequence[RawSpan], now: float | None = None, *, is_whole: bool = False) -> None:
        tracer = self.tracer
        if tracer.sink is None:
            return
        clock = tracer.clock
        offset = clock.wall() - (clock.monotonic() if now is None else now)
        link = self.link if is_whole else None
        is_remote = is_whole and self.remote is not None
        flags = self.flags | SAMPLED
        tracer.sink.put(
            SpanBatch(self.trace_id, flags, self.state, link, offset, spans, is_remote, self.lost if is_whole else 0)
        )


class TracePlace:
    """Where the attempts of a request, a copy or a fetch belong."""

    __slots__ = ("is_call", "is_changed", "parent_id", "trace")

    def __init__(
        self, trace: RequestTrace, *, is_changed: bool = True, is_call: bool = False, parent_id: str | None = None
    ) -> None:
        """Be within a trace.

        :param is_changed: whether hooks may have written fields of a trace into the head.
        :param is_call: whether it is a call of gRPC.
        :param parent_id: the span that the attempts are children of, if that is not the request's own.
        """
        self.trace = trace
        self.is_changed = is_changed
        self.is_call = is_call
        self.parent_id = trace.parent_of_attempts if parent_id is None else parent_id

    def begin_attempt(self, head: bytes, now: float) -> AttemptSpan | None:
        """Return the span of an attempt; None if it is not going to be exported."""
        return AttemptSpan(self, head, now) if self.trace.is_recorded else None

    def sent_head(self, head: bytes, span: AttemptSpan | None) -> bytes:
        """Return a head with the fields of the trace.

        :param span: that it is sent for; None names the parent, which looks to the caller like a span of its own.
        """
        trace = self.trace
        span_id = self.parent_id or trace.span_id if span is None else span.span_id
        return trace.sent_head(head, span_id, is_changed=self.is_changed)


class TracedEndpoint(Protocol):
    """Where an attempt goes."""

    authority: bytes
    scheme: str
    host: str
    port: int
    path: str


class FailedAttempts(Protocol):
    """The attempts of a request that failed."""

    @property
    def attempted(self) -> Sequence[object]:
        """The endpoints."""


class AttemptSpan:
    """The span of an attempt in progress."""

    __slots__ = ("_line", "_place", "_reason", "_started", "_status", "_version", "span_id")

    def __init__(self, place: TracePlace, head: bytes, now: float) -> None:
        self._place = place
        self.span_id = place.trace.tracer.new_span_id()
        self._line = head[: head.index(b"\r\n")]  # not the head, which may have credentials
        self._started = now
        self._status = 0
        self._version = "1.1"
        self._reason: str | None = None

    def responded(self, status: int, connection: object) -> None:
        """Note the response's head.

        :param connection: that it came over; its ``http_version`` counts.
        """
        self._status = status
        self._version = getattr(connection, "http_version", "1.1")

    def failed(self, reason: str | None) -> None:
        """Note why it failed, if it did: a code of `gateway_core.reasons`."""
        self._reason = reason

    def end(
        self,
        now: float,
        upstream: str,
        endpoint: TracedEndpoint,
        retries: FailedAttempts | None,
        grpc_status: int | None,
    ) -> None:
        """End it.

        :param retries: the attempts of the same request before it.
        """
        place, attempted = self._place, 0 if retries is None else len(retries.attempted)
        facts = ClientFacts(
            self._line, endpoint.authority, upstream, endpoint.scheme, endpoint.host, endpoint.port, endpoint.path,
            attempted, self._status, self._reason, grpc_status, place.is_call, self._version,
        )  # fmt: skip
        place.trace.add(RawSpan(self.span_id, place.parent_id, self._started, now, facts))
