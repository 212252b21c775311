from __future__ import annotations

from typing import Any

import pytest
from gateway_plugin_fault import Fault
from gateway_plugin_fault.config import AbortConfig, DelayConfig, FaultConfig
from gateway_plugin_sdk.testing import InvalidConfigError, assert_plugin_ok, one_route


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "makes no fault: write delay or abort"),
        ({"delay": {"duration": "2s", "to": "1s"}}, "to is shorter than duration"),
        ({"delay": {"duration": 0}}, "delays nothing"),
        ({"delay": {"duration": 5}}, "delay.duration"),
        ({"delay": {"percent": 101, "duration": "1s"}}, "delay.percent"),
        ({"abort": {"status": 200}}, "abort.status"),
        ({"abort": {"percent": "1%"}}, "abort.percent"),
        ({"abort": {}, "header": "a b"}, "header"),
        ({"abort": {}, "max_active": 0}, "max_active"),
    ],
)
def test_what_cannot_be_meant_is_a_problem_with_its_place(gateway: Any, config: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        gateway(one_route("http://127.0.0.1:9", {"name": "fault", "config": config}), plugins=[Fault])

    assert message in str(caught.value)
    assert "routes[0].plugins[0].config" in str(caught.value)


def test_every_option_is_described() -> None:
    models = (FaultConfig, DelayConfig, AbortConfig)

    assert all(field.description for model in models for field in model.model_fields.values())


def test_the_plugin_keeps_to_what_plugins_should() -> None:
    assert_plugin_ok(Fault, {"abort": {}})
