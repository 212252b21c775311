"""Every example of the README is a configuration that the gateway takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_ratelimit.config import RateLimitConfig
from gateway_plugin_ratelimit.config.limits import Amounts, LimitConfig, LimitOptions, OverrideConfig
from gateway_plugin_ratelimit.config.redis import RedisConfig, RedisTlsConfig

README = Path(__file__).parents[3] / "plugins" / "ratelimit" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)


def bindings(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(document.get("plugins", ()))
    for route in document.get("routes", ()):
        found += route.get("plugins", ())
    return [binding for binding in found if binding["name"] == "ratelimit"]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_loads(example: str, tmp_path: Path) -> None:
    (tmp_path / "certificate.pem").touch()
    example = re.sub(r"/etc/ssl/[a-z.-]+", str(tmp_path / "certificate.pem"), example)
    found = bindings(yaml.safe_load(example))

    assert found
    for binding in found:
        RateLimitConfig.model_validate(binding["config"])


@pytest.mark.parametrize(
    "model", [Amounts, LimitConfig, LimitOptions, OverrideConfig, RateLimitConfig, RedisConfig, RedisTlsConfig]
)
def test_every_option_is_described_and_in_an_example(model: Any) -> None:
    text = "".join(EXAMPLES)

    for name, field in model.model_fields.items():
        assert field.description, name
        assert re.search(rf"\b{name}\b", text), f"{name} is in no example of {README.name}"
