from __future__ import annotations

from random import Random
from typing import Any

import pytest
from gateway_core.config import RetriesConfig
from gateway_core.messages.grpc_status import GrpcCode
from gateway_core.upstreams import Load, Outcome, Retry, RetryBudget, RetryPolicy, Stop, StopReason
from gateway_core.upstreams.outcome import grpc_outcome
from gateway_core.upstreams.retry import IDEMPOTENT_METHODS, NO_RETRIES
from hypothesis import given
from hypothesis import strategies as st


def decide(settings: RetriesConfig | None = None, **changes: Any) -> Retry | Stop:
    load = Load()
    load.active = 10
    arguments: dict[str, Any] = {
        "attempt": 1,
        "outcome": Outcome.RESET,
        "method": "GET",
        "is_replayable": True,
        "response_started": False,
        "now": 100.0,
        "deadline": 200.0,
        "budget": RetryBudget(20.0, 3, load),
        "rng": Random(1),
    }
    return RetryPolicy(settings or RetriesConfig.model_construct(attempts=2)).decide(**{**arguments, **changes})


def reason(decision: Retry | Stop) -> StopReason | None:
    return decision.reason if isinstance(decision, Stop) else None


@pytest.mark.parametrize(
    ("changes", "stops"),
    [
        ({}, None),
        ({"outcome": Outcome.CONNECT_FAILURE}, None),
        ({"outcome": Outcome.TIMEOUT}, None),
        ({"outcome": 502}, None),
        ({"outcome": 503}, None),
        ({"outcome": 504}, None),
        ({"outcome": 500}, StopReason.CONDITION),
        ({"outcome": 404}, StopReason.CONDITION),
        ({"outcome": 200}, StopReason.SUCCESS),
        ({"outcome": Outcome.ABANDONED}, StopReason.CONDITION),
        ({"response_started": True}, StopReason.RESPONSE_STARTED),
        ({"is_replayable": False}, StopReason.BODY),
        ({"attempt": 2}, None),
        ({"attempt": 3}, StopReason.ATTEMPTS),
        ({"deadline": 100.0}, StopReason.DEADLINE),
        ({"method": "POST"}, StopReason.METHOD),
        ({"method": "PATCH", "outcome": 503}, StopReason.METHOD),
        ({"method": "POST", "outcome": Outcome.CONNECT_FAILURE}, None),
        ({"method": "POST", "outcome": Outcome.CONNECT_FAILURE, "is_replayable": False}, StopReason.BODY),
    ],
)
def test_a_request_is_sent_again_only_when_all_allows_it(changes: dict[str, Any], stops: StopReason | None) -> None:
    assert reason(decide(**changes)) is stops


def test_no_attempts_means_no_retry() -> None:
    assert reason(decide(NO_RETRIES)) is StopReason.ATTEMPTS


def test_a_post_is_sent_again_when_somebody_asked_for_it() -> None:
    settings = RetriesConfig.model_construct(attempts=1, methods=IDEMPOTENT_METHODS | {"POST"})

    assert isinstance(decide(settings, method="POST"), Retry)


@given(
    method=st.sampled_from(["POST", "PATCH", "CONNECT", "LOCK"]),
    outcome=st.one_of(st.sampled_from(list(Outcome)), st.integers(100, 599)),
    on=st.sets(st.sampled_from(sorted(set(RetriesConfig().on) | {"500", "429"}))),
    attempts=st.integers(0, 9),
    attempt=st.integers(1, 9),
    response_started=st.booleans(),
)
def test_a_post_is_never_sent_twice_unasked(
    method: str, outcome: int, on: set[str], attempts: int, attempt: int, response_started: bool
) -> None:
    settings = RetriesConfig.model_construct(attempts=attempts, on=frozenset(on))

    decision = decide(settings, method=method, outcome=outcome, attempt=attempt, response_started=response_started)

    # After a connect failure nothing was sent, so that sending it "again" sends it once.
    assert isinstance(decision, Stop) or outcome == Outcome.CONNECT_FAILURE


def test_the_budget_is_a_share_of_the_live_requests_with_a_minimum() -> None:
    load = Load()
    budget = RetryBudget(20.0, 3, load)
    begun = 0
    for active, allowed in [(0, 3), (10, 3), (15, 3), (100, 20)]:
        load.active = active
        while budget.allows():
            budget.begin()
            begun += 1
        assert begun == allowed

    assert reason(decide(budget=budget)) is StopReason.BUDGET
    budget.end()
    assert isinstance(decide(budget=budget), Retry)


def test_good_times_pay_for_a_burst_of_retries() -> None:
    load = Load()
    budget = RetryBudget(20.0, 3, load)
    load.earned = 50

    begun = 0
    while budget.allows():
        budget.begin()
        begun += 1

    assert begun == 3 + 50 // 5
    assert load.earned == 0


def test_no_more_is_earned_than_a_bounded_past() -> None:
    load = Load()
    budget = RetryBudget(20.0, 0, load)
    load.earned = 10**9

    budget.begin()

    assert load.earned == 10_000 - 5


def test_a_share_of_nothing_earns_nothing() -> None:
    load = Load()
    load.earned = 10**6
    budget = RetryBudget(0.0, 1, load)
    assert budget.allows()

    budget.begin()

    assert not budget.allows()


@given(st.lists(st.sampled_from(["response", "retry", "end"]), max_size=200))
def test_retries_never_exceed_what_was_earned_and_the_minimum(history: list[str]) -> None:
    load = Load()
    budget = RetryBudget(25.0, 2, load)
    responses = begun = ended = 0
    for event in history:
        if event == "response":
            load.earned += 1
            responses += 1
        elif event == "retry" and budget.allows():
            budget.begin()
            begun += 1
        elif event == "end" and load.retrying:
            budget.end()
            ended += 1
        assert load.retrying <= 2 + responses / 4
        assert load.earned >= 0


def test_a_retry_cannot_end_that_has_not_begun() -> None:
    with pytest.raises(RuntimeError):
        RetryBudget(20.0, 3, Load()).end()


def test_back_off_doubles_up_to_the_maximum_with_full_jitter() -> None:
    policy = RetryPolicy(RetriesConfig.model_construct(attempts=50, backoff_base=0.1, backoff_max=1.0))
    rng = Random(1)

    for attempt, ceiling in [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (5, 1.0), (40, 1.0), (5_000, 1.0)]:
        delays = [policy.backoff(attempt, rng) for _ in range(300)]
        assert 0 <= min(delays) < 0.2 * ceiling
        assert 0.8 * ceiling < max(delays) <= ceiling


@pytest.mark.parametrize(("per_try", "limit"), [(0.0, 200.0), (5.0, 105.0), (500.0, 200.0)])
def test_a_try_ends_with_its_own_time_or_the_whole_request(per_try: float, limit: float) -> None:
    assert (
        RetryPolicy(RetriesConfig.model_construct(attempts=1, per_try_timeout=per_try)).attempt_timeout(100.0, 200.0)
        == limit
    )


@pytest.mark.parametrize(
    ("attempts", "length", "keeps"), [(0, 0, False), (1, 0, True), (1, 10, True), (1, 11, False), (1, -1, True)]
)
def test_only_short_bodies_are_kept(attempts: int, length: int, keeps: bool) -> None:
    assert RetryPolicy(RetriesConfig.model_construct(attempts=attempts, max_body_bytes=10)).keeps_body(length) is keeps


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connect_failure_at_a_discovered_endpoint_goes_on_to_another_whatever_the_policy(method: str) -> None:
    decision = decide(NO_RETRIES, outcome=Outcome.CONNECT_FAILURE, method=method, attempt=7, can_fail_over=True)

    assert decision == Retry(0.0)


@pytest.mark.parametrize(
    "changed",
    [
        {"can_fail_over": False},
        {"outcome": Outcome.RESET},
        {"outcome": Outcome.LOCAL},
        {"outcome": 503},
        {"is_replayable": False},
        {"response_started": True},
        {"now": 1e9},
    ],
)
def test_nothing_else_fails_over(changed: dict[str, Any]) -> None:
    arguments = {"outcome": Outcome.CONNECT_FAILURE, "can_fail_over": True, **changed}

    assert isinstance(decide(NO_RETRIES, **arguments), Stop)


def test_what_this_machine_lacks_is_not_retried() -> None:
    assert reason(decide(outcome=Outcome.LOCAL)) is StopReason.CONDITION


UNAVAILABLE = grpc_outcome(GrpcCode.UNAVAILABLE)
CALLS = RetriesConfig.model_construct(attempts=2, on=("unavailable", "resource-exhausted"))


@pytest.mark.parametrize(
    ("changes", "stops"),
    [
        ({"outcome": UNAVAILABLE}, None),
        ({"outcome": grpc_outcome(GrpcCode.RESOURCE_EXHAUSTED)}, None),
        ({"outcome": grpc_outcome(GrpcCode.INTERNAL)}, StopReason.CONDITION),
        ({"outcome": 503}, StopReason.CONDITION),
        ({"outcome": UNAVAILABLE, "is_replayable": False}, StopReason.BODY),
        ({"outcome": UNAVAILABLE, "attempt": 3}, StopReason.ATTEMPTS),
        ({"outcome": UNAVAILABLE, "pushback": 0.0}, None),
        ({"outcome": UNAVAILABLE, "pushback": -1.0}, StopReason.PUSHBACK),
        ({"outcome": UNAVAILABLE, "pushback": 10.1}, StopReason.PUSHBACK),
        ({"outcome": UNAVAILABLE, "pushback": 5.0, "deadline": 104.0}, StopReason.DEADLINE),
    ],
)
def test_a_call_is_sent_again_for_the_codes_that_are_listed(changes: dict[str, Any], stops: StopReason | None) -> None:
    assert reason(decide(CALLS, method="POST", **changes)) is stops


def test_what_the_endpoint_asks_for_takes_the_place_of_the_backoff() -> None:
    assert decide(CALLS, method="POST", outcome=UNAVAILABLE, pushback=7.5) == Retry(7.5)


def test_codes_are_not_retried_unless_they_are_listed() -> None:
    policy = RetryPolicy(RetriesConfig(attempts=1))

    assert not any(policy.may_retry(grpc_outcome(code)) for code in GrpcCode)
