from __future__ import annotations

from collections.abc import Callable

import pytest
from gateway_core.config import CircuitBreakerConfig
from gateway_core.upstreams import Candidates, Endpoint, EndpointSpec
from gateway_core.upstreams.selection import NEVER, NO_CANDIDATES, select

MakeCandidates = Callable[..., Candidates]


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
