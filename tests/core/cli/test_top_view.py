from __future__ import annotations

import pytest
from gateway_core.cli.top_view import WIDTH, Sort, fitted, reading_of, screen, sorted_rows, traffic_between
from hypothesis import given
from hypothesis import strategies as st

BEFORE = """
# TYPE gateway_requests_total counter
gateway_requests_total{route="users",status="200",origin="upstream"} 10
# TYPE gateway_request_duration_seconds histogram
gateway_request_duration_seconds_bucket{route="users",status_class="2xx",le="0.1"} 10
gateway_request_duration_seconds_bucket{route="users",status_class="2xx",le="1.0"} 10
gateway_request_duration_seconds_bucket{route="users",status_class="2xx",le="+Inf"} 10
"""
AFTER = """
# TYPE gateway_requests_total counter
gateway_requests_total{route="users",status="200",origin="upstream"} 14
gateway_requests_total{route="users",status="503",origin="gateway"} 2
# TYPE gateway_request_duration_seconds histogram
gateway_request_duration_seconds_bucket{route="users",status_class="2xx",le="0.1"} 10
gateway_request_duration_seconds_bucket{route="users",status_class="2xx",le="1.0"} 14
gateway_request_duration_seconds_bucket{route="users",status_class="2xx",le="+Inf"} 14
# TYPE gateway_upstream_requests_total counter
gateway_upstream_requests_total{upstream="u",endpoint="127.0.0.1:80",status="500"} 2
# TYPE gateway_upstream_errors_total counter
gateway_upstream_errors_total{upstream="u",endpoint="127.0.0.1:80",reason="x"} 4
# TYPE gateway_upstream_requests_in_flight gauge
gateway_upstream_requests_in_flight{upstream="u",endpoint="127.0.0.1:80"} 3
# TYPE gateway_plugin_calls_total counter
gateway_plugin_calls_total{plugin="auth",binding="a",phase="pre_proxy"} 6
# TYPE gateway_requests_in_flight gauge
gateway_requests_in_flight 3
"""


def test_rates_and_times_are_those_between_two_readings() -> None:
    found = traffic_between(reading_of(BEFORE, 10.0), reading_of(AFTER, 12.0))

    (route,) = found["routes"]
    assert (route["rate"], route["errors"]) == (3.0, 1.0)
    assert 0.1 < route["p50"] < route["p95"] <= 1.0
    (endpoint,) = found["upstreams"]
    assert (endpoint["rate"], endpoint["errors"], endpoint["in_flight"]) == (1.0, 3.0, 3)
    assert (found["plugins"][0]["rate"], found["rate"], found["in_flight"]) == (3.0, 3.0, 3.0)


def test_counters_that_begin_again_are_no_negative_rates() -> None:
    found = traffic_between(reading_of(AFTER, 10.0), reading_of(BEFORE, 12.0))

    assert found["routes"][0]["rate"] == 0.0
    assert found["routes"][0]["p95"] is None


@pytest.mark.parametrize(("sort", "names"), [("rate", "bca"), ("errors", "cab"), ("time", "acb"), ("name", "abc")])
def test_rows_are_sorted_by_each_key(sort: Sort, names: str) -> None:
    rows = [
        {"route": "c", "rate": 2, "errors": 5, "p95": 0.2},
        {"route": "a", "rate": 1, "errors": 1, "p95": 0.3},
        {"route": "b", "rate": 3, "errors": 0, "p95": None},
    ]

    assert "".join(row["route"] for row in sorted_rows(rows, sort)) == names


@given(st.text(max_size=90), st.floats(0, 1e7), st.one_of(st.none(), st.floats(0, 1e5)))
def test_no_line_is_wider_than_a_terminal_of_80_columns(name: str, rate: float, seconds: float | None) -> None:
    row = {"rate": rate, "errors": rate, "p50": seconds, "p95": seconds, "p99": seconds}
    found = {
        "rate": 1,
        "errors": 1,
        "routes": [{"route": name, **row}],
        "upstreams": [{"upstream": name, "endpoint": name, "in_flight": 1, **row}],
        "plugins": [{"plugin": name, "binding": "x", **row}],
    }

    lines = list(screen(found, {(name, name): "ejected (1 of 2 workers), up"}, f"gateway {name} {'x' * 100}", "rate"))

    assert max(map(len, lines)) <= WIDTH < 80
    assert all(line.isprintable() for line in lines)


@given(st.lists(st.integers(0, 30), min_size=3, max_size=3), st.integers(12, 60))
def test_tables_are_cut_to_the_height_of_the_terminal_and_show_that(sizes: list[int], height: int) -> None:
    lines = ["title", "numbers"]
    for size in sizes:
        lines += ["", "HEAD", *(["row"] * size)]

    shown = fitted(lines, height)

    assert len(shown) <= height
    assert shown.count("HEAD") == 3
    more = sum(int(line.split()[2]) for line in shown if line.startswith("... and "))
    assert shown.count("row") + more == sum(sizes)
