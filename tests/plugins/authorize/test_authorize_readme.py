"""Every example of the README is a configuration that the gateway takes, and every option is in one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from gateway_plugin_authorize import Authorize
from gateway_plugin_authorize.config import AuthorizeConfig, ClaimRule, IdentityName, OpaConfig, Rule
from gateway_plugin_authorize.consumers import Consumer, ConsumerFile, Credential, read_consumers

README = Path(__file__).parents[3] / "plugins" / "authorize" / "README.md"
EXAMPLES = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
CONSUMERS = next(example for example in EXAMPLES if example.startswith("# consumers.yaml"))
MODELS: tuple[Any, ...] = (
    AuthorizeConfig, Rule, ClaimRule, OpaConfig, IdentityName, ConsumerFile, Consumer, Credential,
)  # fmt: skip


def test_the_file_of_the_readme_is_one() -> None:
    assert read_consumers(CONSUMERS).names == {"shop"}


@pytest.mark.parametrize("example", [example for example in EXAMPLES if example is not CONSUMERS])
def test_an_example_of_the_readme_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, example: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("consumers.yaml").write_text(CONSUMERS)
    document = yaml.safe_load(example)
    bindings = document if isinstance(document, list) else [b for route in document["routes"] for b in route["plugins"]]
    configs = [AuthorizeConfig.model_validate(each["config"]) for each in bindings if each["name"] == "authorize"]

    assert [finding for config in configs for finding in Authorize.check_config(config)] == []
    assert configs


def test_every_option_is_in_an_example_and_described() -> None:
    fields = [(field.alias or name, field) for model in MODELS for name, field in model.model_fields.items()]

    assert [name for name, _ in fields if not re.search(rf"\b{name}:", "".join(EXAMPLES))] == []
    assert all(field.description for _, field in fields)
