"""The trace of one request, while it is in progress.

Its identity is known with the head, its sampling by the route; both go upstream with each attempt. Spans are kept until
the request is over, and exported if the request was sampled, failed or was slow. Spans that end later, such as those of
a mirror, follow by themselves. One request keeps `MOST_SPANS` at most.

    begun (ids, provisional decision) -> followed (the route's decision) -> propagated (an upstream knows it) -> over
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, repeat
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
    TraceFields,
    fields_of,
    lines_for,
    read_decision,
    read_remote,
    with_lines,
    without_fields,
)
from gateway_core.observe.tracing.sampling import ALL, SamplingPolicy
from gateway_core.observe.tracing.spans import (
    AttemptSpan,
    HookFacts,
    RawSpan,
    ServerFacts,
    SpanBatch,
    SpanPlace,
    SpanSource,
    WaitFacts,
    begin_span,
)

MOST_SPANS: Final = 256
_IDS: Final = struct.Struct("32s16s16s")
_AT_ONCE: Final = 128

Ids = tuple[bytes, bytes, bytes]
"""Of a trace, of the request's own span, and of its first attempt."""


def new_ids(rng: Random) -> Callable[[], Ids]:
    """Return what returns other ids with each call, of which many are made at once."""

    def some(_: None) -> Iterator[Ids]:
        return _IDS.iter_unpack(rng.randbytes(_AT_ONCE * _IDS.size // 2).hex().encode())

    return chain.from_iterable(map(some, repeat(None))).__next__


class SpanSink(Protocol):
    """Where spans go."""

    def put(self, source: SpanSource) -> None:
        """Take spans, or drop them where there is no room."""

    def lose(self, count: int) -> None:
        """Count spans that were too many for one request."""


class Tracer:
    """Begins the traces of one configuration."""

    __slots__ = ("_new_ids", "clock", "decides_late", "formats", "is_usual", "metrics", "policy", "samples_all", "sink")

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
        self.samples_all = {0: False, ALL: True}.get(policy.bound)
        """Whether all traces that begin here are sampled; None if some are."""
        self.decides_late = policy.decides_late
        self.formats = tuple(formats)
        self.is_usual = self.formats == ("w3c",)
        self.sink = sink
        self.clock = clock
        self.metrics = metrics
        self._new_ids = new_ids(rng)

    def begin(self, fields: TraceFields, *, is_trusted: bool) -> RequestTrace:
        """Begin the trace of a client's request, or go on with its caller's.

        :param fields: of its head, as far as they carry a trace.
        :param is_trusted: whether the peer is a trusted proxy.
        """
        trace = RequestTrace()  # whose constructor would take a third more than this
        trace.tracer, policy = self, self.policy
        trace.policy = policy
        trace.raw_id, trace.own_id, trace._attempt_id = self._new_ids()  # noqa: SLF001 - it is made here only
        sampled = self.samples_all
        if sampled is None:  # as `SamplingPolicy.samples`, without a call
            sampled = int(trace.raw_id[16:], 16) < policy.bound
        trace.is_sampled = sampled
        trace.is_recorded = sampled or self.decides_late
        trace.is_propagated = trace.is_over = False
        trace.remote = trace._first = trace._more = None  # noqa: SLF001 - as above
        trace.came = fields
        if is_trusted and fields:
            trace.go_on()
        return trace

    def begin_own(self) -> RequestTrace:
        """Begin the trace of a request that the gateway sends for no client."""
        trace = self.begin((), is_trusted=False)
        trace.is_over, trace.is_recorded, trace.has_own_span = True, trace.is_sampled, False
        return trace

    def new_span_id(self) -> bytes:
        """Return another id."""
        return self._new_ids()[1]


class RequestTrace:
    """The trace of one request (a `SpanSource` at its end). What few of them set has its default in the class."""

    __slots__ = (
        "__dict__", "_attempt_id", "_ended_at", "_facts", "_first", "_more", "_started", "came", "held", "is_over",
        "is_propagated", "is_recorded", "is_sampled", "own_id", "policy", "raw_id", "remote", "span_count", "tracer",
    )  # fmt: skip

    is_trusted = False
    """Whether the client's fields count."""
    decision: bool | None = None
    """Of a trusted caller that names no span, and whether its request is to be sampled."""
    has_own_span = True
    lost = 0
    received_at = 0.0
    """When the request's body was complete; 0 if it had none."""
    span_count: int
    """The number of its spans; once it is over."""
    held: int
    """Bytes of the head whose parts it refers to; once it is over."""
    _facts: tuple[object, ...]
    _started: float
    _ended_at: float
    tracer: Tracer
    raw_id: bytes
    """Of the trace."""
    own_id: bytes
    """Of the request's own span."""
    _attempt_id: bytes
    """Of the first attempt's span, as long as that has not begun."""
    policy: SamplingPolicy
    remote: Remote | None
    """The caller's span, if the caller is trusted."""
    is_sampled: bool
    is_recorded: bool
    """Whether its spans are kept, since they may be exported."""
    is_propagated: bool
    """Whether an upstream knows the decision."""
    is_over: bool
    """Whether the request's own span has ended; spans that end later are exported by themselves."""
    came: TraceFields
    """What the client sent of a trace, which does not go on as it is."""
    # A list only for more than one: most requests have one attempt.
    _first: RawSpan | AttemptSpan | None
    _more: list[RawSpan | AttemptSpan] | None

    def go_on(self) -> None:
        """Go on with the trace of a client that is trusted."""
        self.is_trusted = True
        remote = read_remote(self.came, self.tracer.formats)
        if remote is not None:
            self.remote = remote
            self.raw_id = remote.trace_id.encode()
        else:
            self.decision = read_decision(self.came, self.tracer.formats)
        self.follow(self.policy)

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits."""
        return self.raw_id.decode()

    @property
    def span_id(self) -> str:
        """16 hexadecimal digits: the request's own span."""
        return self.own_id.decode()

    @property
    def parent_of_attempts(self) -> bytes:
        """The span that attempts are children of; empty if there is none."""
        return self.own_id if self.has_own_span else b""

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
            decision = self.decision if policy.follows_parent else None
            self.is_sampled = policy.samples(self.trace_id, self.remote) if decision is None else decision
        self.is_recorded = self.is_sampled or policy.decides_late

    def move(self, tracer: Tracer | None) -> None:
        """Export by another configuration: the one before is about to be closed."""
        if tracer is not None:
            self.tracer = tracer

    # -- upstreams

    def lines(self, span_id: bytes) -> bytes:
        """Return the fields for a request of a span, each line with a CRLF before it."""
        self.is_propagated = True
        tracer = self.tracer
        if tracer.is_usual and self.remote is None:
            usual = b"\r\ntraceparent: 00-%b-%b-01" if self.is_sampled else b"\r\ntraceparent: 00-%b-%b-00"
            return usual % (self.raw_id, span_id)
        return lines_for(tracer.formats, self.raw_id, span_id, self.flags, self.state)

    def without(self, block: bytes, fields: TraceFields) -> bytes:
        """Return lines without fields of a trace.

        :param fields: all that are in them.
        """
        # Baggage that a hook wrote goes on where the client sent none.
        block, is_dropped = without_fields(block, fields, keeps_baggage=self.is_trusted or not self.came)
        if is_dropped:
            self.tracer.metrics.count(TRACE_BAGGAGE_DROPPED)
        return block

    def sent_head(self, head: bytes, span_id: bytes) -> bytes:
        """Return a head with the fields of a span of this trace, and those of no other.

        :param head: of a request, with its empty line.
        """
        head = self.without(head, fields_of(head[head.index(b"\r\n") : -4]))
        return with_lines(head, self.lines(span_id))

    # -- spans

    @property
    def parent_id(self) -> bytes:
        """What upstreams receive of attempts that have no span."""
        return self.own_id

    def begin_attempt(self, line: bytes, now: float) -> AttemptSpan | None:
        """Return the span of an attempt to send the request itself; None if it is not going to be exported."""
        if not self.is_recorded:
            return None
        span_id, self._attempt_id = self._attempt_id, b""
        return begin_span(self, span_id or self.tracer.new_span_id(), self.own_id, line, now)

    def add(self, span: RawSpan | AttemptSpan) -> None:
        """Take a span that has ended."""
        if not self.is_over:
            if self._first is None:
                self._first = span
            elif self._more is None:
                self._more = [span]
            elif len(self._more) < MOST_SPANS - 1:
                self._more.append(span)
            else:
                self.lost += 1
        elif self.is_recorded and self.tracer.sink is not None:
            self.tracer.sink.put(SpanBatch(self.raw_id, self.flags | SAMPLED, self.state, [span]))

    def add_hook(self, span_id: bytes, facts: HookFacts, started: float, ended: float) -> None:
        """Take a call of a hook."""
        if self.is_recorded:
            self.add(RawSpan(span_id, self.own_id, started, ended, facts))

    def add_wait(self, parent_id: bytes, upstream: str, since: float, until: float) -> None:
        """Take the time that an attempt spent in an upstream's queue."""
        self.add(RawSpan(self.tracer.new_span_id(), parent_id, since, until, WaitFacts(upstream)))

    def drop(self) -> None:
        """End without being exported."""
        self.is_over, self.is_recorded, self._first, self._more = True, False, None, None

    def end(self, facts: tuple[object, ...], size: int, started: float, ended: float) -> None:
        """End the request's own span, and export the trace.

        :param facts: those of `ServerFacts`, in its order.
        :param size: bytes of the request's head.
        """
        self.is_over, more, count = True, self._more, 1
        if (last := self._first) is not None:
            count = 2
            if more is not None:
                last, count = more[-1], len(more) + 2
            if last.ended > ended:  # noqa: PLR1730 - the clock was read once more for it; `max` is a call
                ended = last.ended
        self._facts, self._started, self._ended_at = facts, started, ended
        self.span_count, self.held = count, size
        if (sink := self.tracer.sink) is not None:
            sink.put(self)
            if more is not None and self.lost:
                sink.lose(self.lost)

    def batch(self) -> SpanBatch:
        """Return the spans of a request that is over."""
        parent = b"" if self.remote is None else self.remote.span_id.encode()
        facts = ServerFacts._make(self._facts)
        spans: list[RawSpan | AttemptSpan] = [RawSpan(self.own_id, parent, self._started, self._ended_at, facts)]
        if self._first is not None:
            spans += (self._first, *(self._more or ()))
        caller = () if self.is_trusted else self.came
        return SpanBatch(
            self.raw_id, self.flags | SAMPLED, self.state, spans, self.remote is not None, self.lost,
            caller, self.tracer.formats, self.received_at,
        )  # fmt: skip


class TracePlace:
    """Where the attempts of a copy or a fetch belong (a `SpanPlace`)."""

    __slots__ = ("_is_call", "_parent_id", "_purpose", "_trace")

    def __init__(
        self, trace: RequestTrace, purpose: str = "", *, is_call: bool = False, parent_id: str | None = None
    ) -> None:
        """Be within a trace.

        :param purpose: as for `AttemptSpan`.
        :param is_call: whether it is a call of gRPC.
        :param parent_id: the span that the attempts are children of, if that is not the request's own.
        """
        self._trace = trace
        self._purpose = purpose
        self._is_call = is_call
        self._parent_id = trace.parent_of_attempts if parent_id is None else parent_id.encode()

    @property
    def parent_id(self) -> bytes:
        return self._parent_id or self._trace.own_id

    def begin_attempt(self, line: bytes, now: float) -> AttemptSpan | None:
        trace = self._trace
        if not trace.is_recorded:
            return None
        span = begin_span(trace, trace.tracer.new_span_id(), self._parent_id, line, now)
        span.is_grpc, span.purpose = self._is_call, self._purpose
        return span

    def sent_head(self, attempt: SpanningAttempt, head: bytes) -> bytes:
        """Return the head of an attempt with the fields of the trace."""
        return self._trace.sent_head(head, attempt.begin_span(self, head[: head.index(b"\r\n")]))


class SpanningAttempt(Protocol):
    """An attempt that may have a span."""

    def begin_span(self, place: SpanPlace, line: bytes) -> bytes:
        """Return the id of the span that its head is sent for."""
