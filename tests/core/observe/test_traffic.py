from __future__ import annotations

from typing import Any

import pytest
from gateway_core.observe.traffic import MOST_ROWS, percentiles, traffic_of
from hypothesis import given
from hypothesis import strategies as st

BOUNDS = (0.1, 0.2, 0.4)


def part(**more: Any) -> dict[str, Any]:
    return {
        "elapsed": 1.0, "bounds": BOUNDS, "in_flight": 2, "connections": 3, "routes": [], "endpoints": [],
        "upstreams": [], "bindings": [], "reasons": {}, **more,
    }  # fmt: skip


def cells(*outcomes: tuple[int, dict[int, int]]) -> list[list[Any]]:
    """Return requests of half a second altogether: the status, and how many are in which bucket."""
    return [[status << 2, 0.5, [list(pair) for pair in buckets.items()]] for status, buckets in outcomes]


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([0, 0, 0, 0], 0.5, None),
        ([10, 0, 0, 0], 0.5, 0.05),
        ([10, 10, 0, 0], 0.5, 0.1),
        ([10, 10, 0, 0], 0.75, 0.15),
        ([0, 0, 0, 5], 0.99, 0.4),
    ],
)
def test_a_percentile_is_linear_within_its_bucket(counts: list[int], share: float, expected: float | None) -> None:
    (found,) = percentiles(BOUNDS, dict(enumerate(counts)), [share])
    assert found == pytest.approx(expected)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_percentiles_never_fall(counts: list[int]) -> None:
    shares = [share / 20 for share in range(1, 21)]
    moved = {index: number for index, number in enumerate(counts) if number}

    found = [each or 0.0 for each in percentiles(BOUNDS, moved, shares)]

    assert found == sorted(found)
    assert found == [each or 0.0 for share in shares for each in percentiles(BOUNDS, dict(enumerate(counts)), [share])]
    assert all(0 <= each <= BOUNDS[-1] for each in found)


def test_workers_are_added_and_a_rate_counts_the_time_of_each() -> None:
    mine = ["users", 1, 1, 2, cells((200, {0: 4}), (502, {0: 1}))]
    theirs = ["users", 1, 1, 2, cells((204, {1: 4}))]

    event, _ = traffic_of(
        [(0, part(routes=[mine], reasons={"no-route": 1})), (1, part(routes=[theirs], elapsed=2.0))], [2], "now"
    )

    (shown,) = event["routes"]
    assert (shown["requests"], shown["rate"], shown["errors"], shown["in_flight"]) == (9, 7.0, 1, 2)
    assert (shown["status"], shown["bytes_out"], shown["p50"]) == ({"2xx": 8, "5xx": 1}, 4, pytest.approx(0.09))
    gateway = event["gateway"]
    assert (gateway["requests"], gateway["in_flight"], gateway["connections"]) == (9, 4, 6)
    assert (gateway["buckets"], gateway["reasons"]) == ([5, 4, 0, 0], {"no-route": 1})
    assert (event["workers"], event["silent_workers"], event["left_out"]) == ([0, 1], [2], {})
    assert event["seconds"] == 2.0


def test_an_upstream_is_its_endpoints_together() -> None:
    endpoints = [
        ["users", "a", 1, 0, cells((200, {0: 3}))],
        ["users", "b", 1, 2, cells((500, {1: 1}))],
    ]
    counts = [{"upstream": "users", "retries": 2, "refusals": 0, "pending": 1}]

    event, _ = traffic_of([(0, part(endpoints=endpoints, upstreams=counts))], [], "now")

    (shown,) = event["upstreams"]
    assert (shown["upstream"], shown["requests"], shown["errors"], shown["in_flight"]) == ("users", 4, 3, 2)
    assert (shown["retries"], shown["pending"], shown["rate"]) == (2, 1, 4.0)
    assert shown["failures"] == 2
    assert [(each["endpoint"], each["failures"]) for each in shown["endpoints"]] == [("b", 2), ("a", 0)]


def test_of_many_rows_those_with_errors_and_most_requests_stay_and_the_others_are_summed_up() -> None:
    rows = [[f"r{number}", 0, 0, 0, cells((200, {0: number}))] for number in range(1, 201)]
    rows.append(["broken", 0, 0, 0, cells((500, {0: 1}))])

    event, route = traffic_of([(0, part(routes=rows))], [], "now")

    assert (len(event["routes"]), [each["requests"] for each in route("r1")], route("none")) == (MOST_ROWS, [1], [])
    assert [each["route"] for each in event["routes"][:2]] == ["broken", "r200"]
    assert event["left_out"]["routes"] == {"count": 101, "requests": sum(range(1, 102)), "errors": 0}
    assert event["gateway"]["requests"] == sum(range(1, 201)) + 1


def test_histograms_with_other_buckets_are_not_mixed() -> None:
    old = part(bounds=(1.0,), routes=[["users", 0, 0, 0, cells((200, {0: 1}))]])
    new = part(routes=[["users", 0, 0, 0, cells((200, {0: 1}))]])

    event, _ = traffic_of([(0, old), (1, new)], [], "now")

    assert (event["routes"][0]["requests"], event["gateway"]["buckets"]) == (2, [1, 0, 0, 0])


def test_bindings_have_the_mean_of_the_calls_that_were_timed() -> None:
    counts = {"plugin": "auth", "binding": "auth", "calls": 4, "errors": 1, "timeouts": 0}
    parts = [(0, part(bindings=[{**counts, "timed_calls": 4, "seconds": 2.0}])), (1, part())]

    event, _ = traffic_of(parts, [], "now")

    assert event["plugins"] == [{**counts, "mean": 0.5}]
    assert traffic_of([], [0], "now")[0]["gateway"]["requests"] == 0
