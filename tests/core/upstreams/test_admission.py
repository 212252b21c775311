from __future__ import annotations

import pytest
from gateway_core.config import UpstreamLimitsConfig
from gateway_core.upstreams import Admission, Decision, Endpoint, EndpointSpec, Load
from gateway_core.upstreams.admission import decide
from hypothesis import given
from hypothesis import strategies as st


def make_endpoint() -> Endpoint:
    return Endpoint(EndpointSpec("http", "a", 80))


@pytest.mark.parametrize(
    ("active", "pending", "max_active", "max_pending", "decision"),
    [
        (10**6, 0, 0, 0, Decision.ADMIT),
        (1, 0, 2, 1, Decision.ADMIT),
        (2, 0, 2, 1, Decision.QUEUE),
        (2, 1, 2, 1, Decision.REFUSE),
        (2, 10**6, 2, 0, Decision.QUEUE),
        (1, 1, 2, 2, Decision.QUEUE),
    ],
)
def test_a_place_admits_then_queues_then_refuses(
    active: int, pending: int, max_active: int, max_pending: int, decision: Decision
) -> None:
    load = Load()
    load.active, load.pending = active, pending

    assert decide(load, max_active, max_pending) is decision


def test_the_narrower_of_upstream_and_endpoint_decides() -> None:
    admission = Admission(UpstreamLimitsConfig(max_connections=3, max_pending=1, max_connections_per_endpoint=2))
    one, other = make_endpoint(), make_endpoint()
    for _ in range(2):
        admission.enter(one)

    assert admission.decide(one) is Decision.QUEUE
    assert admission.is_full(one)
    assert admission.decide(other) is Decision.ADMIT
    admission.enter(other)
    assert admission.decide(other) is Decision.QUEUE

    admission.enter_queue(other)
    assert admission.decide(other) is Decision.REFUSE
    assert not admission.may_leave_queue(other)
    admission.leave(one)
    assert admission.may_leave_queue(other)


def test_counts_go_on_across_snapshots() -> None:
    limits = UpstreamLimitsConfig(max_connections=1)
    load, endpoint = Load(), make_endpoint()
    old = Admission(limits, load)
    old.enter(endpoint)

    new = Admission(limits, load)

    assert new.decide(endpoint) is Decision.QUEUE
    old.leave(endpoint)
    assert new.decide(endpoint) is Decision.ADMIT


def test_no_limits_are_known_to_be_none() -> None:
    assert Admission(UpstreamLimitsConfig()).is_unlimited
    assert not Admission(UpstreamLimitsConfig(max_connections=1)).is_unlimited


@given(st.lists(st.sampled_from(["new", "end"]), max_size=80), st.integers(1, 4), st.integers(1, 3))
def test_the_limits_hold_through_any_history(history: list[str], connections: int, pending: int) -> None:
    admission = Admission(UpstreamLimitsConfig(max_connections=connections, max_pending=pending))
    endpoint = make_endpoint()
    for event in history:
        if event == "new":
            decision = admission.decide(endpoint)
            if decision is Decision.ADMIT:
                admission.enter(endpoint)
            elif decision is Decision.QUEUE:
                admission.enter_queue(endpoint)
        elif admission.load.active:
            admission.leave(endpoint)
            if admission.load.pending and admission.may_leave_queue(endpoint):
                admission.leave_queue(endpoint)
                admission.enter(endpoint)
        assert admission.load.active <= connections
        assert admission.load.pending <= pending
        assert (endpoint.active, endpoint.pending) == (admission.load.active, admission.load.pending)
