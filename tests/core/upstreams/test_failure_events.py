from __future__ import annotations

from typing import Any

import pytest
from gateway_core.clock import SystemClock
from gateway_core.config import EndpointConfig, UpstreamConfig
from gateway_core.events import UPSTREAM_CONNECT_FAILED, UPSTREAM_RESET
from gateway_core.upstreams import UpstreamRuntime
from gateway_core.upstreams.failure_events import FailureEvents


def events(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str, Any]]:
    return [(vars(each)["event"], each.getMessage(), vars(each)["fields"]["count"]) for each in caplog.records]


def test_a_kind_of_failure_of_an_endpoint_is_one_line_in_ten_seconds(caplog: pytest.LogCaptureFixture) -> None:
    failures = FailureEvents("users")

    for now in (0.0, 1.0, 2.0, 10.0):
        failures.failed(UPSTREAM_CONNECT_FAILED, "a:80", "connection refused", now)
    failures.failed(UPSTREAM_RESET, "a:80", "closed", 10.0)
    failures.failed(UPSTREAM_CONNECT_FAILED, "b:80", "connection refused", 10.0)

    refused = "upstream 'users': endpoint a:80: connection refused"
    assert events(caplog) == [
        ("upstream.connect_failed", refused, 1),
        ("upstream.connect_failed", f"{refused} (3 times since the last such line)", 3),
        ("upstream.reset", "upstream 'users': endpoint a:80: closed", 1),
        ("upstream.connect_failed", "upstream 'users': endpoint b:80: connection refused", 1),
    ]


def test_requests_without_an_endpoint_or_a_connection_are_named_by_their_reason(
    caplog: pytest.LogCaptureFixture,
) -> None:
    failures = FailureEvents("users")

    failures.refused("upstream.unavailable", "no endpoint is healthy", 0.0)
    failures.refused("upstream.overloaded", "has no free connection", 0.0)
    failures.refused("upstream.overloaded", "has no free connection", 1.0)
    failures.refused("upstream.reset", "is reported by the attempt", 1.0)

    assert events(caplog) == [
        ("upstream.unavailable", "upstream 'users': no endpoint is healthy", 1),
        ("upstream.overloaded", "upstream 'users': has no free connection", 1),
    ]


async def test_a_reload_does_not_begin_the_ten_seconds_again(caplog: pytest.LogCaptureFixture) -> None:
    runtime = UpstreamRuntime(SystemClock())
    config = UpstreamConfig(name="users", endpoints=(EndpointConfig(url="http://a"),))
    old = runtime.open(config)
    old.upstream.failures.failed(UPSTREAM_CONNECT_FAILED, "a:80", "connection refused", 0.0)

    new = runtime.open(config.model_copy(update={"slow_start": 1.0}))
    await old.aclose()
    new.upstream.failures.failed(UPSTREAM_CONNECT_FAILED, "a:80", "connection refused", 1.0)
    await new.aclose()
    await runtime.aclose()

    assert [name for name, _, _ in events(caplog)] == ["upstream.connect_failed"]
