from __future__ import annotations

from random import Random

import pytest
from gateway_tokens.freshness import LONGEST_RETRY, Freshness, Terms, lifetime_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("header", "lifetime"),
    [
        ("", 900), ("public", 900), ("max-age=60", 60), ("public, Max-Age=60, immutable", 60), ("max-age=0", 10),
        ("max-age=99999999", 900), ("s-maxage=5", 900), ("max-age=x", 900), ('max-age="60"', 60), ("max-age=-1", 900),
    ],
)  # fmt: skip
def test_lifetime(header: str, lifetime: float) -> None:
    assert lifetime_of(header, Terms(refresh=900)) == lifetime


def test_a_document_is_due_then_stale_then_gone() -> None:
    freshness = Freshness(Terms(stale_for=100), Random(1))
    assert freshness.is_due(0)
    assert not freshness.is_usable(0)

    freshness.succeeded(now=0, lifetime=10)

    assert not freshness.is_due(9)
    assert freshness.is_due(10)
    assert freshness.is_usable(109)
    assert not freshness.is_usable(110)


def test_requests_may_ask_once_in_a_cooldown() -> None:
    freshness = Freshness(Terms(cooldown=30), Random(1))
    assert freshness.may_ask(0)

    freshness.began(0)

    assert not freshness.may_ask(29)
    assert freshness.may_ask(30)


@given(st.integers(1, 40), st.randoms(use_true_random=False))
def test_retries_come_later_and_later_up_to_a_bound(failures: int, rng: Random) -> None:
    freshness = Freshness(Terms(), rng)

    for _ in range(failures):
        freshness.failed(0)

    doubled = min(LONGEST_RETRY, 2.0 ** (failures - 1))
    assert doubled / 2 <= freshness.due_at <= doubled


def test_a_failure_leaves_the_document_in_use() -> None:
    freshness = Freshness(Terms(stale_for=100), Random(1))
    freshness.succeeded(0, 10)

    freshness.failed(10)

    assert freshness.is_usable(109)
    freshness.succeeded(12, 10)
    freshness.failed(22)
    assert freshness.due_at <= 23  # the first delay again
