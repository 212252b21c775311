from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from gateway_plugin_ratelimit import resources
from gateway_plugin_sdk import Metrics, Request
from gateway_plugin_sdk.testing import ManualClock

from tests.plugins.ratelimit.conftest import MakeLimiter


async def test_idle_keys_are_forgotten_while_nothing_comes(
    limiter: MakeLimiter,
    monkeypatch: pytest.MonkeyPatch,
    clock: ManualClock,
    request_of: Callable[..., Request],
    eventually: Any,
) -> None:
    monkeypatch.setattr(resources, "SWEEP_EVERY", 0.01)
    limited = await limiter({"rate": 1, "burst": 5})
    for number in range(600):
        await limited.call(request_of(client_ip=f"192.0.2.{number}"))
    store = limited.plugin._store
    assert store.sweep_steps > 1

    clock.advance(2)

    await eventually(lambda: store.sweep_steps == 0)


async def test_gateways_in_one_process_count_apart(limiter: MakeLimiter) -> None:
    one, other = await limiter({"rate": 1, "burst": 2}), await limiter({"rate": 1, "burst": 2}, gateway=Metrics())

    assert await one.passed(3) + await other.passed(3) == 4
