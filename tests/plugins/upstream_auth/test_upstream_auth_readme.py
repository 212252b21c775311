"""Every example of the README is a configuration that the gateway takes, and every option is in one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_sdk.testing import StartGateway
from gateway_plugin_upstream_auth import UpstreamAuth
from gateway_plugin_upstream_auth.config import (
    ApiKeyConfig,
    AwsConfig,
    BasicConfig,
    BearerConfig,
    OAuth2Config,
    UpstreamAuthConfig,
)

README = Path(__file__).parents[3] / "plugins" / "upstream-auth" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
MODELS: tuple[Any, ...] = (UpstreamAuthConfig, BasicConfig, BearerConfig, ApiKeyConfig, OAuth2Config, AwsConfig)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_of_the_readme_starts(gateway: StartGateway, monkeypatch: pytest.MonkeyPatch, example: str) -> None:
    for name in re.findall(r"\$\{(\w+)\}", example):
        monkeypatch.setenv(name, "secret-of-the-example")
    document = yaml.safe_load(example)
    document.setdefault("routes", [{"id": "r", "path": "/", "target": document["upstreams"][0]["name"]}])

    running = gateway(document, plugins=[UpstreamAuth])

    assert running.get("/nowhere").status == 404


def test_every_option_is_in_an_example_and_described() -> None:
    names = [name for model in MODELS for name in model.model_fields]

    assert [name for name in names if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []
    assert all(field.description for model in MODELS for field in model.model_fields.values())
