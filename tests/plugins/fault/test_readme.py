"""Every example of the README is a configuration that the gateway takes, and every option is in one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from gateway_plugin_fault.config import AbortConfig, DelayConfig, FaultConfig

README = Path(__file__).parents[3] / "plugins" / "fault" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_loads(example: str) -> None:
    document = yaml.safe_load(example)
    bindings = [*document.get("plugins", ()), *(b for route in document.get("routes", ()) for b in route["plugins"])]

    assert [FaultConfig.model_validate(binding["config"]) for binding in bindings]


def test_every_option_is_in_an_example() -> None:
    names = [name for model in (FaultConfig, DelayConfig, AbortConfig) for name in model.model_fields]

    assert [name for name in names if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []
