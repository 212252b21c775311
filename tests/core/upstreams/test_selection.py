from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_core.config import CircuitBreakerConfig
from gateway_core.upstreams import Candidates, Endpoint, EndpointSpec, RefusalReason, Upstream
from gateway_core.upstreams.selection import NEVER, NO_CANDIDATES, select
from hypothesis import given
from hypothesis import strategies as st

MakeCandidates = Callable[..., Candidates]
MakeUpstream = Callable[..., Upstream]


def ids(candidates: Candidates) -> str:
    return "".join(endpoint.id for endpoint in candidates.endpoints)


def test_all_are_chosen_while_nothing_is_wrong(make_candidates: MakeCandidates) -> None:
    members = make_candidates(a=1, b=2)

    selection = select(members, 0.0, 100.0)

    assert selection.candidates is members
    assert selection.until == NEVER


def test_unhealthy_and_ejected_endpoints_are_left_out_until_the_ejection_ends(make_candidates: MakeCandidates) -> None:
    members = make_candidates(a=1, b=2, c=3, d=4)
    members.endpoints[0].health.healthy = False
    members.endpoints[1].ejection.until = 110.0
    members.endpoints[2].ejection.until = 105.0

    selection = select(members, 0.0, 100.0)

    assert ids(selection.candidates) == "d"
    assert selection.candidates.weights == (4,)
    assert selection.until == 105.0
    assert ids(select(members, 0.0, 110.0).candidates) == "bcd"


def test_ill_endpoints_get_nothing_where_panic_is_off(make_candidates: MakeCandidates) -> None:
    members, backups = make_candidates(a=1, b=1), make_candidates(x=1)
    for endpoint in (*members.endpoints, *backups.endpoints):
        endpoint.health.healthy = False

    selection = select(members, None, 100.0, backups)

    assert (selection.candidates.endpoints, selection.is_panic, selection.fit) == ((), False, 0)


@given(
    ages=st.lists(st.floats(0, 100) | st.just(float("inf")), min_size=1, max_size=6),
    weights=st.lists(st.integers(1, 1000), min_size=6, max_size=6),
    slow_start=st.floats(0.5, 60),
)
def test_the_share_of_an_endpoint_that_joined_grows_linearly_from_a_tenth(
    ages: list[float], weights: list[int], slow_start: float
) -> None:
    now = 1000.0
    endpoints = [Endpoint(EndpointSpec("http", f"e{number}", 80)) for number in range(len(ages))]
    for endpoint, age in zip(endpoints, ages, strict=True):
        endpoint.joined_at = now - age
    members = Candidates(endpoints, weights[: len(endpoints)])

    selection = select(members, 0.0, now, slow_start=slow_start)

    assert selection.candidates.endpoints == members.endpoints
    if min(ages) >= slow_start:
        assert (selection.candidates, selection.until) == (members, NEVER)
        return
    # Weights are compared with that of an endpoint that has been there for ever.
    for age, weight, lowered in zip(ages, members.weights, selection.candidates.weights, strict=True):
        share = min(1.0, 0.1 + 0.9 * age / slow_start)
        assert share - 0.031 <= lowered / (weight * 100) <= share + 0.001
    assert now < selection.until <= now + slow_start / 30 * 1.001


@pytest.mark.parametrize("what", ["joined", "healthy again", "no longer ejected"])
def test_what_joins_and_what_recovers_begins_with_a_tenth_and_has_the_whole_in_the_end(
    what: str, make_candidates: MakeCandidates
) -> None:
    members = make_candidates(a=3, b=3)
    late = members.endpoints[1]
    if what == "joined":
        late.joined_at = 100.0
    elif what == "healthy again":
        late.health.recovered_at = 100.0
    else:
        late.ejection.until = 100.0

    at_first, halfway, then = (select(members, 0.0, now, slow_start=30.0) for now in (100.0, 115.0, 130.0))

    assert at_first.candidates.weights == (300, 30)
    assert halfway.candidates.weights == (300, 165)
    assert then.candidates is members


def test_slow_start_looks_again_until_all_have_their_whole_weight(make_candidates: MakeCandidates) -> None:
    members = make_candidates(a=1, b=1)
    members.endpoints[1].joined_at = now = 0.1

    weights: list[tuple[int, ...]] = []
    while now != NEVER and len(weights) < 100:
        selection = select(members, 0.0, now, slow_start=0.7)
        weights.append(selection.candidates.weights)
        now = selection.until

    assert weights == [*((100, 10 + 3 * step) for step in range(30)), (1, 1)]


@pytest.mark.parametrize(
    ("unhealthy", "threshold", "chosen", "panic"),
    [
        (4, 0.0, "abcd", True),
        (3, 0.0, "d", False),
        (3, 25.0, "d", False),
        (3, 26.0, "abcd", True),
        (2, 50.0, "cd", False),
        (1, 100.0, "abcd", True),
        (0, 100.0, "abcd", False),
    ],
)
def test_the_panic_rule_uses_all_when_too_few_are_fit(
    unhealthy: int, threshold: float, chosen: str, panic: bool, make_candidates: MakeCandidates
) -> None:
    members = make_candidates(a=1, b=1, c=1, d=1)
    for endpoint in members.endpoints[:unhealthy]:
        endpoint.health.healthy = False

    selection = select(members, threshold, 100.0)

    assert (ids(selection.candidates), selection.is_panic, selection.fit) == (chosen, panic, 4 - unhealthy)


def test_an_open_breaker_is_respected_even_in_panic() -> None:
    settings = CircuitBreakerConfig.model_construct(minimum_requests=1, open_for=30.0)
    endpoints = [Endpoint(EndpointSpec("http", name, 80, id=name), settings) for name in "ab"]
    for endpoint in endpoints:
        endpoint.health.healthy = False
    assert endpoints[0].breaker is not None
    endpoints[0].breaker.record_failure(100.0, 100.0)
    endpoints[0].refresh_flags()
    members = Candidates(endpoints, [1, 1])

    selection = select(members, 0.0, 100.0)

    assert (ids(selection.candidates), selection.is_panic, selection.until) == ("b", True, 130.0)
    assert ids(select(members, 0.0, 130.0).candidates) == "ab"


def test_nothing_is_chosen_from_nothing() -> None:
    selection = select(NO_CANDIDATES, 50.0, 100.0)

    assert (len(selection.candidates), selection.is_panic) == (0, False)


def states(members: Candidates, ill: str) -> Candidates:
    for endpoint in members.endpoints:
        endpoint.health.healthy = endpoint.id not in ill
    return members


@pytest.mark.parametrize(
    ("ill", "threshold", "chosen", "reserve", "panic"),
    [
        ("", 0.0, "abc", "xy", False),
        ("x", 0.0, "abc", "y", False),
        ("ab", 0.0, "c", "xy", False),
        ("abc", 0.0, "xy", "", False),
        ("abcx", 0.0, "y", "", False),
        ("abcxy", 0.0, "abcxy", "", True),
        # The threshold counts a, b and c only, and there is no panic while a backup is well.
        ("xy", 100.0, "abc", "", False),
        ("ab", 50.0, "c", "xy", False),
        ("abxy", 50.0, "abcxy", "", True),
        ("axy", 50.0, "bc", "", False),
    ],
)
def test_backups_are_used_while_no_other_endpoint_is_well_and_panic_is_over_all(
    ill: str, threshold: float, chosen: str, reserve: str, panic: bool, make_candidates: MakeCandidates
) -> None:
    members, backups = states(make_candidates(a=1, b=1, c=1), ill), states(make_candidates(x=1, y=1), ill)

    selection = select(members, threshold, 100.0, backups)

    assert (ids(selection.candidates), ids(selection.reserve), selection.is_panic) == (chosen, reserve, panic)


def test_backups_are_used_while_the_breakers_of_all_others_are_open(make_candidates: MakeCandidates) -> None:
    members, backups = make_candidates(a=1), make_candidates(x=1)
    config = CircuitBreakerConfig.model_construct(minimum_requests=1, open_for=30.0)
    broken = Endpoint(EndpointSpec("http", "a", 80), config)
    assert broken.breaker is not None
    broken.breaker.record_failure(100.0, 100.0)
    broken.refresh_flags()

    selection = select(Candidates([broken], members.weights), 0.0, 101.0, backups)

    assert ids(selection.candidates) == "x"
    assert selection.until == 130.0


def test_backups_serve_where_there_is_no_other_endpoint(make_candidates: MakeCandidates) -> None:
    assert ids(select(NO_CANDIDATES, 50.0, 100.0, make_candidates(x=1)).candidates) == "x"


def test_without_any_endpoint_there_is_no_panic() -> None:
    assert not select(NO_CANDIDATES, 50.0, 100.0).is_panic


def test_without_panic_a_request_fails_at_once_while_no_endpoint_is_well(make_upstream: MakeUpstream) -> None:
    upstream = make_upstream(panic=False)
    for endpoint in upstream.endpoints:
        endpoint.health.healthy = False
    upstream.endpoints[0].health.healthy = True
    upstream.endpoints[0].ejection.until = 130.0

    assert upstream.pick(None, 100.0) is None
    refusal = upstream.refusal(100.0)
    assert (refusal.reason, refusal.retry_after) == (RefusalReason.ALL_UNHEALTHY, 30.0)
    assert upstream.pick(None, 130.0) is upstream.endpoints[0]
