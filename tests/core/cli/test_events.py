from __future__ import annotations

from typing import Any

from gateway_core.cli.events import line_of

AT = "2026-01-01T00:00:00.000Z"


def test_a_change_is_a_line_of_the_log() -> None:
    change = {
        "at": AT,
        "level": "warning",
        "event": "breaker.opened",
        "message": "opened\x1b[2J",
        "process": "worker 1",
    }

    assert line_of("change", change) == f"{AT} warning breaker.opened[worker 1]: opened\\x1b[2J"
    assert line_of("change", {**change, "process": "program"}).startswith(f"{AT} warning breaker.opened: ")


def test_a_gap_has_the_number_of_what_is_missing_if_it_is_known() -> None:
    gap = {"at": AT, "kind": "change", "lost": 4, "reason": "slow-reader"}

    assert line_of("gap", gap) == f"{AT} gap: 4 change events are missing (slow-reader)"
    assert (
        line_of("gap", {**gap, "lost": None})
        == f"{AT} gap: an unknown number of change events are missing (slow-reader)"
    )


def test_traffic_is_a_line_of_numbers() -> None:
    total: dict[str, Any] = {"rate": 12.5, "errors": 2, "in_flight": 3, "p50": 0.0012, "p95": 0.5, "p99": None}
    traffic = {"at": AT, "gateway": total, "silent_workers": []}

    line = f"{AT} traffic: 12.5 requests/s, 2 errors, 3 in flight, p50 1.2 ms p95 500.0 ms p99 -"
    assert line_of("traffic", traffic) == line
    assert line_of("traffic", {**traffic, "silent_workers": [0, 2]}) == f"{line}, no reply of worker 0, 2"
