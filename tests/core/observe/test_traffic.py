from __future__ import annotations

from typing import Any

import pytest
from gateway_core.observe.traffic import MOST_ROWS, percentile, traffic_of
from hypothesis import given
from hypothesis import strategies as st

BOUNDS = (0.1, 0.2, 0.4)


def part(**more: Any) -> dict[str, Any]:
    return {
        "elapsed": 1.0, "bounds": BOUNDS, "in_flight": 2, "connections": 3, "routes": [], "endpoints": [],
        "upstreams": [], "bindings": [], "reasons": {}, **more,
    }  # fmt: skip


def row(status: dict[str, int] | None = None, buckets: list[int] | None = None, **more: Any) -> dict[str, Any]:
    return {"status": status or {}, "buckets": buckets or [], "seconds": 0.5, "in_flight": 1, **more}


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
    assert percentile(BOUNDS, counts, share) == pytest.approx(expected)


@given(st.lists(st.integers(0, 1000), min_size=4, max_size=4))
def test_percentiles_never_fall(counts: list[int]) -> None:
    found = [percentile(BOUNDS, counts, share / 20) or 0.0 for share in range(1, 21)]

    assert found == sorted(found)
    assert all(0 <= each <= BOUNDS[-1] for each in found)


def test_workers_are_added_and_a_rate_counts_the_time_of_each() -> None:
    mine = row({"2xx": 4, "5xx": 1}, [5, 0, 0, 0], route="users", origins={"upstream": 5}, bytes_in=1, bytes_out=2)
    theirs = row({"2xx": 4}, [0, 4, 0, 0], route="users", origins={"upstream": 4}, bytes_in=1, bytes_out=2)

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


def test_an_upstream_is_its_endpoints_together() -> None:
    endpoints = [
        row({"2xx": 3}, [3, 0, 0, 0], upstream="users", endpoint="a", failures=0),
        row({"5xx": 1}, [0, 1, 0, 0], upstream="users", endpoint="b", failures=2),
    ]
    counts = [{"upstream": "users", "retries": 2, "refusals": 0, "pending": 1}]

    event, _ = traffic_of([(0, part(endpoints=endpoints, upstreams=counts))], [], "now")

    (shown,) = event["upstreams"]
    assert (shown["upstream"], shown["requests"], shown["errors"], shown["in_flight"]) == ("users", 4, 3, 2)
    assert (shown["retries"], shown["pending"], shown["rate"]) == (2, 1, 4.0)
    assert shown["failures"] == 2
    assert [(each["endpoint"], each["failures"]) for each in shown["endpoints"]] == [("b", 2), ("a", 0)]


def test_of_many_rows_those_with_errors_and_most_requests_stay_and_the_others_are_summed_up() -> None:
    rows = [row({"2xx": number}, [number, 0, 0, 0], route=f"r{number}") for number in range(1, 201)]
    rows.append(row({"5xx": 1}, [1, 0, 0, 0], route="broken"))

    event, every = traffic_of([(0, part(routes=rows))], [], "now")

    assert (len(event["routes"]), len(every)) == (MOST_ROWS, 201)
    assert [each["route"] for each in event["routes"][:2]] == ["broken", "r200"]
    assert event["left_out"]["routes"] == {"count": 101, "requests": sum(range(1, 102)), "errors": 0}
    assert event["gateway"]["requests"] == sum(range(1, 201)) + 1


def test_histograms_with_other_buckets_are_not_mixed() -> None:
    old = part(bounds=(1.0,), routes=[row({"2xx": 1}, [1, 0], route="users")])
    new = part(routes=[row({"2xx": 1}, [1, 0, 0, 0], route="users")])

    event, _ = traffic_of([(0, old), (1, new)], [], "now")

    assert (event["routes"][0]["requests"], event["gateway"]["buckets"]) == (2, [1, 0, 0, 0])


def test_bindings_have_the_mean_of_the_calls_that_were_timed() -> None:
    counts = {"plugin": "auth", "binding": "auth", "calls": 4, "errors": 1, "timeouts": 0}
    parts = [(0, part(bindings=[{**counts, "timed_calls": 4, "seconds": 2.0}])), (1, part())]

    event, _ = traffic_of(parts, [], "now")

    assert event["plugins"] == [{**counts, "mean": 0.5}]
    assert traffic_of([], [0], "now")[0]["gateway"]["requests"] == 0
