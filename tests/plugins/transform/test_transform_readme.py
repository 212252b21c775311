"""Every example of the README is a configuration that the gateway takes, and every option is in one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_sdk.testing import PluginHarness
from gateway_plugin_transform import Transform
from gateway_plugin_transform.config import RequestConfig, ResponseConfig, TransformConfig

README = Path(__file__).parents[3] / "plugins" / "transform" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
MODELS: tuple[Any, ...] = (TransformConfig, RequestConfig, ResponseConfig)


def configs_of(example: str) -> list[dict[str, Any]]:
    document = yaml.safe_load(example)
    bindings = [*document.get("plugins", ()), *(b for route in document.get("routes", ()) for b in route["plugins"])]
    return [each["config"] for each in bindings]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_loads(example: str) -> None:
    assert [TransformConfig.model_validate(each) for each in configs_of(example)]


def test_the_upstream_gets_what_the_readme_has() -> None:
    sent, received = re.findall(r"`(\{\"[^`]*)`", README.read_text())
    with PluginHarness(Transform, configs_of(EXAMPLES[0])[0]) as harness:
        result = harness.request("POST", "/", headers={"Content-Type": "application/json"}, body=sent.encode())

    assert result.sent_body == received.encode()


def test_every_option_is_in_an_example_and_described() -> None:
    fields = [each for model in MODELS for each in model.model_fields.items()]

    assert [name for name, _ in fields if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []
    assert all(field.description for _, field in fields)
