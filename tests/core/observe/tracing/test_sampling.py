from __future__ import annotations

from random import Random

import pytest
from gateway_core.clock import SystemClock
from gateway_core.metrics import Metrics
from gateway_core.observe.tracing import Tracer
from gateway_core.observe.tracing.propagation import Format, Remote, fields_of
from gateway_core.observe.tracing.sampling import SamplingPolicy, bound_of
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

SPAN = "00f067aa0ba902b7"


@given(st.integers(1, 2**128 - 1), st.floats(0, 1))
def test_a_ratio_chooses_the_traces_that_opentelemetry_chooses(trace_id: int, ratio: float) -> None:
    oracle = TraceIdRatioBased(ratio).should_sample(None, trace_id, "name").decision

    assert SamplingPolicy(bound_of(ratio)).samples(f"{trace_id:032x}", None) == (oracle is Decision.RECORD_AND_SAMPLE)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize("flags", [0, 1])
def test_a_trusted_callers_decision_counts_unless_the_policy_says_otherwise(ratio: float, flags: int) -> None:
    remote = Remote("a" * 32, SPAN, flags)

    assert SamplingPolicy(bound_of(ratio)).samples(remote.trace_id, remote) == bool(flags)
    assert SamplingPolicy(bound_of(ratio), follows_parent=False).samples(remote.trace_id, remote) == bool(ratio)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
def test_a_caller_that_leaves_the_decision_to_us_gets_ours(ratio: float) -> None:
    remote = Remote("a" * 32, SPAN, 0, is_decided=False)

    assert SamplingPolicy(bound_of(ratio)).samples(remote.trace_id, remote) == bool(ratio)


@pytest.mark.parametrize("ratio", [0.0, 1.0])
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b"b3: 0", False),
        (b"b3: 1", True),
        (b"b3: d", True),
        (b"X-B3-Sampled: 0", False),
        (b"X-B3-Sampled: 1", True),
        (b"X-B3-Flags: 1", True),
        (b"b3: 2", None),
        (b"X-B3-Flags: 0", None),
        (b"traceparent: 0", None),
    ],
)
def test_a_trusted_caller_may_decide_without_a_span_of_its_own(ratio: float, line: bytes, wanted: bool | None) -> None:
    def is_sampled(
        formats: tuple[Format, ...] = ("w3c", "b3", "b3multi"), *, trusts: bool = True, follows: bool = True
    ) -> bool:
        policy = SamplingPolicy(bound_of(ratio), follows_parent=follows)
        tracer = Tracer(policy, formats, None, SystemClock(), Metrics(), Random(1))
        return tracer.begin(fields_of(b"\r\n" + line), is_trusted=trusts).is_sampled

    assert is_sampled() == (bool(ratio) if wanted is None else wanted)
    assert [is_sampled(("w3c",)), is_sampled(trusts=False), is_sampled(follows=False)] == [bool(ratio)] * 3


@pytest.mark.parametrize(
    ("policy", "is_error", "seconds", "expected"),
    [
        (SamplingPolicy(0), True, 100.0, False),
        (SamplingPolicy(0, keeps_errors=True), True, 0.0, True),
        (SamplingPolicy(0, keeps_errors=True), False, 100.0, False),
        (SamplingPolicy(0, slow=2.0), False, 2.0, True),
        (SamplingPolicy(0, slow=2.0), True, 1.9, False),
    ],
)
def test_errors_and_slow_requests_are_kept_where_the_policy_asks_for_it(
    policy: SamplingPolicy, is_error: bool, seconds: float, expected: bool
) -> None:
    assert policy.keeps(is_error=is_error, seconds=seconds) is expected
