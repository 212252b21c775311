from __future__ import annotations

from typing import Any

from gateway_core.cli.tail import line_of

ENTRY: dict[str, Any] = {
    "at": "2026-01-01T00:00:00.000Z", "status": 200, "seconds": 0.0123, "client": "10.0.0.1", "method": "GET",
    "path": "/users/1", "query": "", "route": "users", "endpoint": "127.0.0.1:8081", "produced_by": "upstream",
    "reason": None, "refusals": [],
}  # fmt: skip


def test_a_request_is_a_line() -> None:
    assert line_of("tail", ENTRY) == ("2026-01-01T00:00:00.000Z 200 12.3 ms 10.0.0.1 GET /users/1 users 127.0.0.1:8081")
    refused = {**ENTRY, "route": None, "endpoint": None, "produced_by": "gateway", "query": "a=b", "reason": "no-route"}
    assert line_of("tail", {**refused, "refusals": ["expired"]}).endswith("/users/1?a=b - gateway (no-route, expired)")


def test_no_request_changes_the_terminal() -> None:
    assert "\x1b" not in line_of("tail", {**ENTRY, "path": "/\x1b[2J\n"})


def test_what_is_missing_is_a_line() -> None:
    gap = {"at": "now", "kind": "tail", "lost": 2, "reason": "process-overloaded"}

    assert line_of("gap", gap) == "now gap: 2 tail events are missing (process-overloaded)"
