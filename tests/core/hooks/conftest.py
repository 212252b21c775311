from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from gateway_core.clock import ManualClock
from gateway_core.hooks import Binding, Faults, Plugin, PluginContext, Quarantine, QuarantinePolicy
from gateway_core.messages import Request
from gateway_core.metrics import Metrics

Bind = Callable[..., Binding]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def request_() -> Request:
    return Request("GET", "/a?b=c", headers={"Host": "a", "X": "1"}, host="a", request_id="r-1")


@pytest.fixture
def bind(clock: ManualClock, metrics: Metrics) -> Bind:
    """Return a function that binds a plugin class (or the bare hooks in a dict) without a configuration."""

    def make(plugin: type[Plugin[Any]] | dict[str, Any], name: str = "b", **policy: Any) -> Binding:
        if isinstance(plugin, dict):
            plugin = type("Made", (Plugin,), {"name": f"plugin-of-{name}", **plugin})
        route = policy.pop("route", None)
        quarantine = policy.pop("quarantine", None)
        on_error = policy.pop("on_error", "deny")
        context = PluginContext(name, route, clock, logging.getLogger(f"gateway.plugin.{plugin.name}"), metrics)
        return Binding(
            id=name,
            plugin=plugin.name,
            version="1",
            route=route,
            on_error=on_error,
            on_timeout=policy.pop("on_timeout", on_error),
            timeout=policy.pop("timeout", None),
            is_shadow=policy.pop("is_shadow", False),
            instance=plugin(policy.pop("config", {}), context),
            faults=Faults(),
            quarantine=None if quarantine is None else Quarantine(QuarantinePolicy(*quarantine)),
        )

    return make


@pytest.fixture
def counted(metrics: Metrics) -> Callable[..., float]:
    """Return a function that reads a counter's sum over the labels that are not given."""

    def read(name: str, **labels: str) -> float:
        return sum(
            sample.value
            for family in metrics.registry.collect()
            for sample in family.samples
            if sample.name == f"{name}_total" and labels.items() <= sample.labels.items()
        )

    return read
