"""How long responses are fresh; many cases are those of http-tests/cache-tests (freshness, expires, age, heuristic)."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_cache.config import CacheConfig
from gateway_plugin_cache.freshness import age_at_arrival, policy_of
from gateway_plugin_sdk import Headers

NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER = "Tue, 14 Nov 2023 22:14:20 GMT"  # a minute
EARLIER = "Tue, 14 Nov 2023 22:12:20 GMT"


def lifetime(*fields: tuple[str, str], status: int = 200, **config: Any) -> float:
    return policy_of(Headers(fields), status, NOW, CacheConfig(**config)).lifetime


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], 0),
        ([("Cache-Control", "max-age=60")], 60),
        ([("Cache-Control", "max-age=0")], 0),
        ([("Cache-Control", "max-age=60, s-maxage=5")], 5),
        ([("Cache-Control", "s-maxage=60, max-age=5")], 60),
        ([("Cache-Control", "max-age=60"), ("Expires", EARLIER)], 60),
        ([("Cache-Control", "max-age=0"), ("Expires", LATER), ("Date", DATE)], 0),
        ([("Cache-Control", "s-maxage=x, max-age=60")], 0),
        ([("Cache-Control", "public"), ("Expires", LATER), ("Date", DATE)], 60),
        ([("Expires", LATER), ("Date", DATE)], 60),
        ([("Expires", LATER), ("Date", EARLIER)], 120),
        ([("Expires", LATER)], 60),
        ([("Expires", EARLIER), ("Date", DATE)], 0),
        ([("Expires", DATE), ("Date", DATE)], 0),
        ([("Expires", "0")], 0),
        ([("Expires", LATER), ("Expires", EARLIER)], 0),
        ([("Cache-Control", "no-cache, max-age=60")], 0),
        ([("Pragma", "no-cache"), ("Cache-Control", "max-age=60")], 60),
        ([("Surrogate-Control", "max-age=60")], 0),
        # Targeted fields hold in the place of both.
        ([("CDN-Cache-Control", "max-age=60"), ("Cache-Control", "no-store")], 60),
        ([("CDN-Cache-Control", "max-age=0"), ("Cache-Control", "max-age=60")], 0),
        ([("CDN-Cache-Control", "no-store"), ("Expires", LATER)], 0),
        ([("CDN-Cache-Control", "MAX-AGE=60"), ("Cache-Control", "max-age=5")], 5),
    ],
)
def test_lifetimes_that_responses_state(fields: list[tuple[str, str]], expected: float) -> None:
    assert lifetime(*fields) == expected


@pytest.mark.parametrize(
    "value",
    [
        "THU, 18 Aug 2050 02:01:18 GMT",
        "Thu, 18 AUG 2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02:01:18 gMT",
        "Thu, 18 Aug 2050 02:01:18 UTC",
        "Thu, 18 Aug 50 02:01:18 GMT",
        "Thu 18 Aug 2050 02:01:18 GMT",
        "Thu, 18  Aug  2050 02:01:18 GMT",
        "Thu, 18-Aug-2050 02:01:18 GMT",
        "Thu, 18 Aug 2050 02.01.18 GMT",
        "Thu, 18 Aug 2050 2:01:18 GMT",
        "Thu, 38 Aug 2050 02:01:18 GMT",
    ],
)
def test_an_expires_that_is_no_date_is_in_the_past(value: str) -> None:
    assert lifetime(("Expires", value)) == 0
    assert lifetime(("Expires", "Thu, 18 Aug 2050 02:01:18 GMT")) > 0


@pytest.mark.parametrize(
    ("status", "expected"),
    [(200, 50), (203, 50), (204, 50), (300, 50), (301, 50), (308, 50), (404, 50), (405, 50), (410, 50),
     (302, 0), (307, 0), (403, 0), (414, 0), (500, 0), (501, 0)],
)  # fmt: skip
def test_lifetimes_are_configured_only_for_statuses_that_are_cacheable_by_default(status: int, expected: float) -> None:
    assert lifetime(status=status, default_ttl="50s") == expected


def test_what_responses_state_comes_before_what_is_configured() -> None:
    assert lifetime(("Cache-Control", "max-age=0"), default_ttl="50s") == 0
    assert lifetime(("Expires", "x"), default_ttl="50s") == 0
    assert lifetime(("Cache-Control", "max-age=100"), default_ttl="50s") == 100
    assert lifetime(("Cache-Control", "max-age=100"), max_ttl="50s") == 50
    assert lifetime(("Cache-Control", "no-cache"), default_ttl="50s") == 0


def test_guesses_are_a_part_of_the_time_since_the_last_change_and_at_most_a_day() -> None:
    modified = ("Last-Modified", EARLIER)

    assert lifetime(modified, ("Date", DATE), heuristic_fraction=0.1) == pytest.approx(6)
    assert lifetime(("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"), heuristic_fraction=0.1) == 86_400
    assert lifetime(("Last-Modified", LATER), ("Date", DATE), heuristic_fraction=0.1) == 0
    assert lifetime(modified) == 0
    assert lifetime(("Last-Modified", "x"), heuristic_fraction=0.1, default_ttl="5s") == 5


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("max-age=10, stale-while-revalidate=5, stale-if-error=7", (15, 17)),
        ("max-age=10", (30, 40)),
        ("max-age=10, stale-while-revalidate=0", (10, 40)),
        ("max-age=10, must-revalidate, stale-if-error=7", (10, 10)),
        ("max-age=10, proxy-revalidate", (10, 10)),
        ("s-maxage=10", (10, 10)),
        ("s-maxage=10, stale-while-revalidate=5", (15, 10)),
        ("max-age=10, no-cache, stale-while-revalidate=5", (0, 0)),
    ],
)
def test_how_long_a_stale_response_is_of_use(control: str, expected: tuple[float, float]) -> None:
    config = CacheConfig.model_validate({"stale_while_revalidate": "20s", "stale_if_error": "30s"})

    policy = policy_of(Headers([("Cache-Control", control)]), 200, NOW, config)

    assert (policy.stale_while_revalidate, policy.stale_if_error) == expected


@pytest.mark.parametrize(
    ("ages", "expected"),
    [
        ([], 0),
        (["30"], 30),
        (["abc"], 0),
        (["-7200"], 0),
        (["7200.0"], 0),
        (["7200,0"], 7200),
        (["0,7200"], 0),
        (["7200", "0"], 7200),
        (["0", "7200"], 0),
        (["7200, 7200"], 7200),
    ],
)
def test_ages_are_read_as_the_first_of_a_list(ages: list[str], expected: float) -> None:
    assert age_at_arrival(Headers([("Age", value) for value in ages]), NOW, 0.0) == expected


def test_a_response_is_as_old_as_its_date_or_its_age_with_the_delay() -> None:
    assert age_at_arrival(Headers({"Date": EARLIER}), NOW, 1.0) == 60
    assert age_at_arrival(Headers({"Date": LATER}), NOW, 1.0) == 1
    assert age_at_arrival(Headers({"Date": EARLIER, "Age": "100"}), NOW, 1.5) == 101.5
