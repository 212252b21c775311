from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from gateway_core.admin import health_of

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


def endpoint(state: str, breaker: str | None = None) -> dict[str, Any]:
    return {"state": state, "breaker": None if breaker is None else {"state": breaker}}


def plugin_log(level: str, age: float, event: str = "plugin.log") -> dict[str, Any]:
    at = datetime.fromtimestamp(NOW - age, UTC).isoformat()
    return {"event": event, "level": level, "message": "it is lost", "at": at, "lines": 1}


@pytest.mark.parametrize(
    "event", [plugin_log("error", 60), plugin_log("warning", 1), plugin_log("error", 1, "upstream.local_error")]
)
def test_old_errors_warnings_and_events_of_the_gateway_make_it_not_degraded(event: dict[str, Any]) -> None:
    assert health_of({"version": "v", "recent_events": [event]}, NOW, is_draining=False).degraded == ()


@pytest.mark.parametrize(
    ("status", "unready"),
    [
        ({"version": None}, "no configuration is in force"),
        ({"version": "v", "serving": 0}, "no worker accepts connections"),
        ({"version": "v", "serving": 1}, ""),
        ({"version": "v"}, ""),
    ],
)
def test_a_gateway_is_not_ready_without_a_configuration_or_a_worker(status: dict[str, Any], unready: str) -> None:
    assert health_of(status, NOW, is_draining=False).unready == unready


def test_a_gateway_that_drains_is_not_ready_whatever_else_it_is() -> None:
    assert health_of({"version": "v", "serving": 2}, NOW, is_draining=True).unready == "draining"


@pytest.mark.parametrize(
    ("status", "name"),
    [
        ({"missing_workers": [{"number": 1, "reason": "no"}]}, "worker 1 cannot be started"),
        ({"silent_workers": [2]}, "worker 2 does not respond"),
        ({"shortages": ["connections cannot be accepted: full"]}, "connections cannot be accepted: full"),
        ({"workers": [{"recent_events": [plugin_log("error", 59)]}]}, "it is lost"),
        ({"failing_tasks": {"watch": "OSError"}}, "task watch fails"),
        ({"workers": [{"number": 0, "failing_tasks": {"discovery of u": "X"}}]}, "task discovery of u fails"),
        ({"sources": [{"source": "http://c", "stale": True, "rejected": []}]}, "source http://c is stale"),
        ({"sources": [{"source": "c", "stale": False, "rejected": ["c/b"]}]}, "document c/b was rejected"),
        (
            {"sources": [{"source": "c", "stale": False, "rejected": [], "gone": ["c/b"]}]},
            "document c/b is gone and stays in force, since others need it",
        ),
        ({"upstreams": [{"name": "u", "discovery": {"stale": True}}]}, "discovery of upstream u is stale"),
        ({"last_reload": {"ok": False}}, "the last reload failed"),
        (
            {"workers": [{"failing_bindings": [{"path": "orders/tiny", "plugin": "tiny"}]}]},
            "binding orders/tiny of plugin tiny fails",
        ),
        (
            {"certificates": [{"listener": "tls", "name": "a.test", "not_after": "2023-11-14T22:13:20+00:00"}]},
            "the certificate for a.test of listener tls has expired",
        ),
        (
            {
                "certificates": [
                    {"listener": "tls", "name": "a.test", "not_after": None, "issuance": {"is_failing": True}},
                    {"listener": "tls", "name": "b.test", "not_after": None, "issuance": {"is_failing": False}},
                ]
            },
            "a certificate for a.test of listener tls cannot be got",
        ),
        (
            {"upstreams": [{"name": "u", "endpoints": [endpoint("ejected"), endpoint("up", "open")]}]},
            "upstream u has no endpoint that gets requests",
        ),
        (
            {"upstreams": [{"name": "u", "panic": True, "endpoints": [endpoint("ejected"), endpoint("unhealthy")]}]},
            "upstream u is in panic mode: too few endpoints are healthy, so all get requests",
        ),
        (
            {"upstreams": [{"name": "u", "endpoints": [endpoint("unreachable"), endpoint("unreachable")]}]},
            "upstream u has no endpoint that can be connected to",
        ),
        (
            {"upstreams": [{"name": "u", "panic": True, "endpoints": [endpoint("drain"), endpoint("up", "open")]}]},
            "upstream u has no endpoint that gets requests",
        ),
    ],
)
def test_what_does_not_work_as_configured_is_named_while_requests_are_served(status: dict[str, Any], name: str) -> None:
    health = health_of({"version": "v", "serving": 1, **status}, NOW, is_draining=False)

    assert not health.unready
    assert health.degraded == (name,)


def test_what_each_worker_finds_is_named_once() -> None:
    workers = [{"failing_tasks": {"watch": "OSError"}}, {"failing_tasks": {"watch": "OSError"}}]

    assert health_of({"version": "v", "workers": workers}, NOW, is_draining=False).degraded == ("task watch fails",)


def test_an_upstream_with_one_endpoint_left_is_not_degraded() -> None:
    upstream = {"name": "u", "endpoints": [endpoint("unhealthy"), endpoint("up", "half_open")]}
    certificate = {"listener": "tls", "name": "a.test", "not_after": "2023-11-14T22:13:21+00:00"}

    health = health_of({"version": "v", "upstreams": [upstream], "certificates": [certificate]}, NOW, is_draining=False)

    assert health.degraded == ()
