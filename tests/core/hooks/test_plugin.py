from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gateway_core.clock import ManualClock
from gateway_core.hooks import Binding, Plugin
from gateway_core.metrics import Metrics


class Some(Plugin[Any]):
    name = "some"
    needs = frozenset({"identity"})
    provides = frozenset({"limit"})


def test_an_instance_is_handed_what_it_may_use(
    bind: Callable[..., Binding], clock: ManualClock, metrics: Metrics
) -> None:
    instance = bind(Some, "x", config={"a": 1}).instance

    assert instance.config == {"a": 1}
    assert (instance.clock, instance.metrics) == (clock, metrics)
    assert instance.log.name == "gateway.plugin.some"
    assert repr(instance) == "<Some 'x'>"
