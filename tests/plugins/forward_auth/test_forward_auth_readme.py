"""Every example of the README is a configuration that the gateway takes, and every option is in one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_forward_auth import ForwardAuth
from gateway_plugin_forward_auth.config import BodyConfig, CacheConfig, ForwardAuthConfig, IdentityConfig
from gateway_plugin_sdk.testing import StartGateway

README = Path(__file__).parents[3] / "plugins" / "forward-auth" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
MODELS: tuple[Any, ...] = (ForwardAuthConfig, BodyConfig, CacheConfig, IdentityConfig)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_starts_and_lets_nothing_pass_without_its_service(
    gateway: StartGateway, example: str
) -> None:
    document = yaml.safe_load(re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", example))

    running = gateway(document, plugins=[ForwardAuth])

    assert running.get("/uploads").status == 503


def test_every_option_is_in_an_example_and_described() -> None:
    names = [name for model in MODELS for name in model.model_fields]

    assert [name for name in names if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []
    assert all(field.description for model in MODELS for field in model.model_fields.values())
