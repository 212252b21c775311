from __future__ import annotations

from typing import Any

import pytest
from gateway_core.admin import health_of


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
    assert health_of(status, is_draining=False).unready == unready


def test_a_gateway_that_drains_is_not_ready_whatever_else_it_is() -> None:
    assert health_of({"version": "v", "serving": 2}, is_draining=True).unready == "draining"


@pytest.mark.parametrize(
    ("status", "name"),
    [
        ({"missing_workers": [{"number": 1, "reason": "no"}]}, "worker 1 cannot be started"),
        ({"silent_workers": [2]}, "worker 2 does not respond"),
        ({"failing_tasks": {"watch": "OSError"}}, "task watch fails"),
        ({"workers": [{"number": 0, "failing_tasks": {"discovery of u": "X"}}]}, "task discovery of u fails"),
        ({"sources": [{"source": "http://c", "stale": True, "rejected": []}]}, "source http://c is stale"),
        ({"sources": [{"source": "c", "stale": False, "rejected": ["c/b"]}]}, "document c/b was rejected"),
        ({"upstreams": [{"name": "u", "discovery": {"stale": True}}]}, "discovery of upstream u is stale"),
        ({"last_reload": {"ok": False}}, "the last reload failed"),
    ],
)
def test_what_does_not_work_as_configured_is_named_while_requests_are_served(status: dict[str, Any], name: str) -> None:
    health = health_of({"version": "v", "serving": 1, **status}, is_draining=False)

    assert not health.unready
    assert health.degraded == (name,)


def test_what_each_worker_finds_is_named_once() -> None:
    workers = [{"failing_tasks": {"watch": "OSError"}}, {"failing_tasks": {"watch": "OSError"}}]

    assert health_of({"version": "v", "workers": workers}, is_draining=False).degraded == ("task watch fails",)
